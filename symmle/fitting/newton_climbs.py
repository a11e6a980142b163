"""One climb of l by Newton's method in free coordinates: where it ends, and whether at a maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.kernels import CONTEXT
from symmle.fitting.solution import log_likelihood_at
from symmle.fitting.surface import Surface, is_ridge
from symmle.progress import report

STEPS = 300


@dataclass
class Climb:
    """Where one climb ended: converged, or not and why."""

    theta: NDArray[Any]
    height: float
    converged: bool
    steps: int
    runs_away: int | None = None  # the index of the parameter that left every scale
    ridge: bool = False  # l is constant along a line through the end


def climb_from(surface: Surface, theta: NDArray[Any]) -> Climb:
    t = surface.free(theta)
    began = t.copy()
    height = surface.height(theta)
    for step in range(STEPS):
        found = surface.derivatives(theta)
        if found is None or not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
            return Climb(theta, height, False, step, far(surface, t, began))
        gradient, hessian = found
        report("newton", step, height, (*surface.parameters, *surface.held), (*theta, *surface.held.values()))
        size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
        scaled = -hessian / np.outer(size, size)
        if not np.isfinite(scaled).all():
            return Climb(theta, height, False, step, far(surface, t, began))
        curved = float(np.max(np.abs(np.diag(hessian)))) > 1e-6  # far out l is flat in every direction
        eigenvalues, vectors = np.linalg.eigh(scaled)
        definite = eigenvalues[0] > 1e-10
        floor = 1e-6 * max(1.0, float(np.max(np.abs(eigenvalues))))
        stable = eigenvalues if definite else np.maximum(np.abs(eigenvalues), floor)
        with np.errstate(over="ignore", invalid="ignore"):
            move = vectors @ ((vectors.T @ (gradient / size)) / stable) / size
            gain = float(gradient @ move)
        if not np.isfinite(move).all():
            return Climb(theta, height, False, step, far(surface, t, began))
        # a location need not be one of the data (but of their logarithms): its steps grow as it goes
        longest = float(np.max(np.abs(move) / np.where(surface.lines, 1 + np.abs(t - began), 1.0)))
        if curved and definite and longest < 1e-7 and gain < 1e-9 * (1 + abs(height)):
            return Climb(theta, height, True, step)
        if not definite and curved and gain < 1e-8 * (1 + abs(height)) and far(surface, t, began) is None:
            flat = vectors[:, 0] / size
            if is_ridge(surface, t, theta, flat / np.max(np.abs(flat))):
                return Climb(theta, height, True, step, ridge=True)
        if longest > 2.0:
            move *= 2.0 / longest
        factor, moved = 1.0, False
        for _ in range(40):
            new = t + factor * move
            candidate = surface.at(new)
            other = surface.height(candidate)
            if other > height or (
                definite and longest < 1e-4 and other >= height - 1e-10 * (1 + abs(height))
            ):
                moved = True
                break
            factor /= 2
        if not moved:
            near = definite and gain < 1e-7 * (1 + abs(height)) and longest < 1e-3
            away = far(surface, t, began) if curved else int(np.argmax(np.abs(t)))
            return Climb(theta, height, bool(near and curved), step, None if near and curved else away)
        t, theta, height = new, candidate, other
        if np.max(_distances(surface, t, began)) > 60:
            return Climb(theta, height, False, step, far(surface, t, began))
    return Climb(theta, height, False, STEPS, far(surface, t, began))


def far(surface: Surface, t: NDArray[Any], began: NDArray[Any]) -> int | None:
    distance = _distances(surface, t, began)
    return int(np.argmax(distance)) if np.max(distance) > 8 else None


def at_an_end(surface: Surface, theta: NDArray[Any]) -> int | None:
    """The parameter of a bounded domain that is at an end of it but for rounding."""
    t = np.where(
        [math.isfinite(c.low) and math.isfinite(c.high) for c in surface.coordinates], surface.free(theta), 0
    )
    return int(np.argmax(np.abs(t))) if np.max(np.abs(t)) > 25 else None


def _distances(surface: Surface, t: NDArray[Any], began: NDArray[Any]) -> NDArray[Any]:
    """How far each parameter has gone, in powers of e of its scale."""
    gone = np.abs(t - began)
    return np.where(surface.lines, 3 * np.arcsinh(gone), gone)


def polished(surface: Surface, theta: NDArray[Any]) -> dict[Symbol, Any]:
    """Two plain Newton steps on the carefully evaluated score, at 240 bits."""
    plan, table = surface.plan, surface.table
    values = surface.values(theta)  # type: ignore[arg-type]
    height = log_likelihood_at(plan, table, values)
    for _ in range(3):
        score, entries = surface.of_kept(
            [v.number for v in plan.score.precise(table, values, tolerance=1e-9)],
            [v.number for v in plan.hessian.precise(table, values, tolerance=1e-6)],
        )
        if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for v in [*score, *entries]):
            break
        p = len(surface.parameters)
        matrix = CONTEXT.matrix(p, p)
        for i in range(p):
            for j in range(i + 1):
                matrix[i, j] = matrix[j, i] = entries[i * (i + 1) // 2 + j]
        try:
            move = CONTEXT.lu_solve(matrix, CONTEXT.matrix(score))
        except ZeroDivisionError:
            break
        moved = dict(values)
        for k, parameter in enumerate(surface.parameters):
            moved[parameter] = values[parameter] - move[k]
        if plan.reason_against(moved, table):
            break
        other = log_likelihood_at(plan, table, moved)
        if not other >= height - abs(height) * CONTEXT.mpf("1e-11"):
            break
        values, height = moved, other
    return values


def distance(surface: Surface, first: Sequence[float], second: Sequence[float]) -> float:
    return max(
        (abs(c.at(a) - c.at(b)) for c, a, b in zip(surface.coordinates, first, second, strict=True)),
        default=0.0,
    )


def spread(surface: Surface, first: Sequence[float], second: Sequence[float]) -> float:
    """As `distance`, but near an end of a bounded domain by the logs of the logits: little else changes there."""
    found = 0.0
    for c, a, b in zip(surface.coordinates, first, second, strict=True):
        u, v = c.at(a), c.at(b)
        if math.isfinite(c.low) and math.isfinite(c.high):
            u, v = (math.copysign(min(abs(w), 4 + math.log(max(abs(w), 4) / 4)), w) for w in (u, v))
        found = max(found, abs(u - v))
    return found


__all__ = ["Climb", "at_an_end", "climb_from", "distance", "far", "polished", "spread"]
