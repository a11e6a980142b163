"""Several remaining equations: Newton on the score with its exact Jacobian, safeguarded, from a coarse grid.

The iteration climbs l in free coordinates (log of a half line, logit of an interval): where the
Hessian is not negative definite its eigenvalues are flipped, and a step that does not raise l is
halved. So what it ends at is a maximum of l and never a saddle point; it is accepted only where the
last Newton step is small, so that a flat way to infinity is not taken for an end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Interval, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError, NotDerivedError
from symmle.fitting.bracket import FEW, SCANNED_ROWS, _care_for, _double, strided
from symmle.fitting.coordinates import Coordinate, covering
from symmle.fitting.plan import Plan, _shown
from symmle.fitting.solution import Solution, _what_is_wrong, check_conditions, log_likelihood_at

MOST_PARAMETERS = 5
STARTS = 8
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


class Surface:
    """l, its gradient and Hessian in free coordinates."""

    def __init__(self, plan: Plan, table: Table, constants: dict[Symbol, Any]):
        self.plan, self.table, self.constants = plan, table, constants
        self.care = _care_for(table)
        self.coordinates = [_coordinate(plan, p, constants, table) for p in plan.parameters]

    def values(self, theta: Sequence[float]) -> dict[Symbol, Any]:
        found = dict(self.constants)
        found.update({p: CONTEXT.mpf(float(v)) for p, v in zip(self.plan.parameters, theta, strict=True)})
        return found

    def height(self, theta: Sequence[float]) -> float:
        if not all(math.isfinite(v) for v in theta):
            return -math.inf
        values = self.values(theta)
        if self.plan.reason_against(values, self.table):
            return -math.inf
        number = self.plan.log_likelihood.quick(self.table, values, self.care)[0]
        if isinstance(number, CONTEXT.mpc) or CONTEXT.isnan(number):
            return -math.inf
        return _double(number)

    def derivatives(self, theta: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Gradient and Hessian by t, from those by theta and the chain rule."""
        values = self.values(theta)
        score = self.plan.score.quick(self.table, values, self.care)
        entries = self.plan.hessian.quick(self.table, values, self.care)
        if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for v in [*score, *entries]):
            return None
        p = len(theta)
        slopes = [c.slopes(float(v)) for c, v in zip(self.coordinates, theta, strict=True)]
        gradient = np.array([_double(score[i] * slopes[i][0]) for i in range(p)])
        hessian = np.empty((p, p))
        k = 0
        for i in range(p):
            for j in range(i + 1):
                entry = entries[k] * slopes[i][0] * slopes[j][0]
                if i == j:
                    entry += score[i] * slopes[i][1]
                hessian[i, j] = hessian[j, i] = _double(entry)
                k += 1
        return gradient, hessian


def solve_several(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None = None,
    checked: bool = False,
) -> Solution:
    """The maximum where several equations remain, or nothing was derived and the parameters are few.

    Raises
    ------
    NotDerivedError
        Too many parameters for a grid of starts.
    NoMaximumError
        Every climb runs to the edge of the parameter space or to infinity.
    NotConvergedError
        Climbs end without a maximum.
    """
    remaining = list(plan.left or plan.parameters)
    if len(plan.parameters) > MOST_PARAMETERS:
        raise NotDerivedError(
            f"{plan.name}: {len(remaining)} equations remain for {', '.join(map(str, remaining))}; "
            f"numeric maximisation over {len(plan.parameters)} parameters is not built yet.",
            tuple(plan.estimator.remaining),
        )
    if not checked:
        check_conditions(plan, table, constants)
    scanned = Surface(plan, table if table.rows <= SCANNED_ROWS else strided(table, 1024), constants)
    full = Surface(plan, table, constants) if scanned.table is not table else scanned
    starts = _given(plan, start) or _starts(scanned, remaining)
    if not starts:
        raise NotConvergedError(
            f"{plan.name}: the log-likelihood is finite at no point of the grid of starts"
            f"{_what_is_wrong(plan, table)}. Pass a start."
        )
    climbs = []
    for theta in starts:
        climb = _climb(scanned, np.array(theta))
        if full is not scanned and climb.converged:
            climb = _climb(full, climb.theta)
        climbs.append(climb)
    done = [c for c in climbs if c.converged]
    steps = sum(c.steps for c in climbs)
    best = max(climbs, key=lambda c: c.height)
    if not done:
        raise _no_maximum(full, best)
    top = max(done, key=lambda c: c.height)
    values = _polished(full, top.theta)
    status = f"Newton's method from {len(starts)} starts of a coarse grid; the best end by log-likelihood."
    solution = Solution(values, "newton", status, steps)
    if top.ridge or _is_singular(full, top.theta):
        solution.unique = False
        solution.status += (
            " The information is singular there: the likelihood is constant, to second order at least, along a curve "
            "through the estimates, which are one of many."
        )
    slack = 1e-7 * (1 + abs(top.height))
    if best.height > top.height + slack:
        if best.runs_away is not None and best.height < top.height + 50 * len(plan.parameters):
            raise _no_maximum(full, best)
        solution.unbounded = True
        solution.status = (
            "The log-likelihood is higher on the way to the edge of the parameter space, where it does not settle; "
            "the estimates are the largest interior local maximum that was found."
        )
    return solution


def _is_singular(surface: Surface, theta: NDArray[Any]) -> bool:
    found = surface.derivatives(theta)
    if found is None:
        return False
    size = np.sqrt(np.maximum(np.abs(np.diag(found[1])), 1e-300))
    return bool(np.linalg.eigvalsh(-found[1] / np.outer(size, size))[0] < 1e-9)


def _no_maximum(surface: Surface, best: Climb) -> Exception:
    plan = surface.plan
    estimates = {str(p): float(v) for p, v in zip(plan.parameters, best.theta, strict=True)}
    if plan._moving_supports:
        return NotDerivedError(
            f"{plan.name}: the support depends on parameters, no rule solved it, and the climbs end at its edge "
            f"(best log-likelihood met: {best.height:.10g}).",
            tuple(plan.estimator.remaining),
        )
    reliable = CONTEXT.isfinite(log_likelihood_at(plan, surface.table, surface.values(best.theta), FEW))  # type: ignore[arg-type]
    if best.runs_away is not None and reliable:
        parameter = plan.parameters[best.runs_away]
        return NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: it rises as {parameter} leaves every scale "
            f"(log-likelihood {best.height:.10g} at {parameter} = {best.theta[best.runs_away]:.6g})"
            f"{_what_is_wrong(plan, surface.table)}.",
            supremum={"estimates": estimates, "log_likelihood": best.height},
        )
    return NotConvergedError(
        f"{plan.name}: Newton's method ended without a maximum; the best log-likelihood met is {best.height:.10g}. "
        "Pass a start near the maximum.",
        result={"estimates": estimates, "log_likelihood": best.height},
    )


def _given(plan: Plan, start: dict[str, float] | None) -> list[list[float]]:
    if not start or any(str(p) not in start for p in plan.parameters):
        return []
    return [[float(start[str(p)]) for p in plan.parameters]]


def _starts(surface: Surface, remaining: Sequence[Symbol]) -> list[list[float]]:
    """The best points of a grid over the remaining parameters, the closed ones filled in."""
    plan, table = surface.plan, surface.table
    budget = 2500
    per = max(4, int(budget ** (1 / len(remaining))))
    axes = []
    for parameter in remaining:
        low, high = _ends(plan, parameter, surface.constants)
        points = [v for v in covering(low, high, table, dense=False) if _sensible(v, low, high, table)]
        axes.append([points[k] for k in sorted(set(np.linspace(0, len(points) - 1, per).astype(int)))])
    small = Surface(plan, strided(table, 256), surface.constants) if table.rows > 512 else surface
    names, compiled = plan.given_the_rest[0]
    ranked: list[tuple[float, list[float]]] = []
    for combination in itertools.product(*axes):
        values = dict(surface.constants)
        values.update({p: CONTEXT.mpf(v) for p, v in zip(remaining, combination, strict=True)})
        if names:
            values.update(zip(names, compiled.quick(small.table, values, small.care), strict=True))
        if any(p not in values or isinstance(values[p], CONTEXT.mpc) for p in plan.parameters):
            continue
        theta = [_double(values[p]) for p in plan.parameters]
        height = small.height(theta)
        if math.isfinite(height):
            ranked.append((height, theta))
    ranked.sort(key=lambda pair: -pair[0])
    chosen: list[list[float]] = []
    for _, theta in ranked:  # the best points, none next to one that is taken already
        if all(_distance(surface, theta, other) > 1.0 for other in chosen):
            chosen.append(theta)
        if len(chosen) == STARTS:
            break
    return chosen


def _sensible(value: float, low: float, high: float, table: Table) -> bool:
    """Within a few powers of ten of what the data suggest."""
    if math.isfinite(low) and math.isfinite(high):
        return True
    from symmle.fitting.coordinates import scales_of

    scales = scales_of(table)
    if math.isfinite(low) != math.isfinite(high):
        distance = value - low if math.isfinite(low) else high - value
        return min(scales) / 100 <= distance <= 100 * max(scales)
    return abs(value) <= 10 * max(scales)


def _distance(surface: Surface, first: Sequence[float], second: Sequence[float]) -> float:
    return max(abs(c.at(a) - c.at(b)) for c, a, b in zip(surface.coordinates, first, second, strict=True))


def _climb(surface: Surface, theta: NDArray[Any]) -> Climb:
    t = np.array([c.at(float(v)) for c, v in zip(surface.coordinates, theta, strict=True)])
    began = t.copy()
    height = surface.height(theta)
    for step in range(STEPS):
        found = surface.derivatives(theta)
        if found is None or not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
            return Climb(theta, height, False, step, _far(t, began))
        gradient, hessian = found
        size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
        scaled = -hessian / np.outer(size, size)
        eigenvalues, vectors = np.linalg.eigh(scaled)
        definite = eigenvalues[0] > 1e-10
        floor = 1e-6 * max(1.0, float(np.max(np.abs(eigenvalues))))
        stable = eigenvalues if definite else np.maximum(np.abs(eigenvalues), floor)
        move = vectors @ ((vectors.T @ (gradient / size)) / stable) / size
        gain = float(gradient @ move)
        longest = float(np.max(np.abs(move)))
        if definite and longest < 1e-7 and gain < 1e-9 * (1 + abs(height)):
            return Climb(theta, height, True, step)
        if not definite and gain < 1e-8 * (1 + abs(height)) and _far(t, began) is None:
            flat = vectors[:, 0] / size
            if _is_ridge(surface, t, height, flat / np.max(np.abs(flat))):
                return Climb(theta, height, True, step, ridge=True)
        if longest > 2.0:
            move *= 2.0 / longest
        factor, moved = 1.0, False
        for _ in range(40):
            new = t + factor * move
            candidate = np.array([_value(c, float(u)) for c, u in zip(surface.coordinates, new, strict=True)])
            other = surface.height(candidate)
            if other > height or (
                definite and longest < 1e-4 and other >= height - 1e-10 * (1 + abs(height))
            ):
                moved = True
                break
            factor /= 2
        if not moved:
            near = definite and gain < 1e-7 * (1 + abs(height)) and longest < 1e-3
            return Climb(theta, height, bool(near), step, None if near else _far(t, began))
        t, theta, height = new, candidate, other
        if _far(t, began) is not None and np.max(np.abs(t - began)) > 60:
            return Climb(theta, height, False, step, _far(t, began))
    return Climb(theta, height, False, STEPS, _far(t, began))


def _is_ridge(surface: Surface, t: NDArray[Any], height: float, direction: NDArray[Any]) -> bool:
    """Whether l stays the same far along a line: a set of maxima, not the way to a distant one."""
    for distance in (-12, -6, -2, 2, 6, 12):
        theta = [
            _value(c, float(u)) for c, u in zip(surface.coordinates, t + distance * direction, strict=True)
        ]
        other = surface.height(theta)
        if not abs(other - height) <= 1e-9 * (1 + abs(height)):
            return False
    return True


def _far(t: NDArray[Any], began: NDArray[Any]) -> int | None:
    distance = np.abs(t - began)
    return int(np.argmax(distance)) if np.max(distance) > 8 else None


def _value(coordinate: Coordinate, t: float) -> float:
    try:
        return coordinate.value(t)
    except OverflowError:
        return math.inf


def _polished(surface: Surface, theta: NDArray[Any]) -> dict[Symbol, Any]:
    """Two plain Newton steps on the carefully evaluated score, at 240 bits."""
    plan, table = surface.plan, surface.table
    values = surface.values(theta)  # type: ignore[arg-type]
    height = log_likelihood_at(plan, table, values)
    for _ in range(3):
        score = [v.number for v in plan.score.precise(table, values, tolerance=1e-9)]
        entries = [v.number for v in plan.hessian.precise(table, values, tolerance=1e-6)]
        if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for v in [*score, *entries]):
            break
        p = len(plan.parameters)
        matrix = CONTEXT.matrix(p, p)
        for i in range(p):
            for j in range(i + 1):
                matrix[i, j] = matrix[j, i] = entries[i * (i + 1) // 2 + j]
        try:
            move = CONTEXT.lu_solve(matrix, CONTEXT.matrix(score))
        except ZeroDivisionError:
            break
        moved = dict(values)
        for k, parameter in enumerate(plan.parameters):
            moved[parameter] = values[parameter] - move[k]
        if plan.reason_against(moved, table):
            break
        other = log_likelihood_at(plan, table, moved)
        if not other >= height - abs(height) * CONTEXT.mpf("1e-11"):
            break
        values, height = moved, other
    return values


def _coordinate(plan: Plan, parameter: Symbol, constants: dict[Symbol, Any], table: Table) -> Coordinate:
    low, high = _ends(plan, parameter, constants)
    sample = table.samples[0]
    spread = max((sample.maximum[c] / 4 - sample.minimum[c] / 4 for c in sample.columns), default=1.0)
    return Coordinate(low, high, 0.0, spread if 0 < spread < math.inf else 1.0)


def _ends(plan: Plan, parameter: Symbol, constants: dict[Symbol, Any]) -> tuple[float, float]:
    domain = plan.domain_of(parameter)
    if not isinstance(domain, Interval):
        raise NotDerivedError(
            f"{plan.name}: `{parameter}` has the domain {domain}; Newton's method needs an interval.",
            tuple(plan.estimator.remaining),
        )
    ends = []
    for bound, infinite in ((domain.start, -math.inf), (domain.end, math.inf)):
        known = bound.free_symbols <= set(constants)
        ends.append(float(plan.scalar(bound, constants)) if known else infinite)
    return ends[0], ends[1]


__all__ = ["Climb", "Surface", "_shown", "solve_several"]
