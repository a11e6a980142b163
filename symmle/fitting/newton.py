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
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError, NotDerivedError
from symmle.fitting.coordinates import covering
from symmle.fitting.plan import Plan
from symmle.fitting.profile import FEW, SCANNED_ROWS, strided
from symmle.fitting.solution import (
    Solution,
    _what_is_wrong,
    best_of,
    check_conditions,
    log_likelihood_at,
    refuse_constant_covariate,
)
from symmle.fitting.spikes import find_spike
from symmle.fitting.surface import (
    Surface,
    _double,
    careful_height,
    ends_in,
    is_curved_ridge,
    is_ridge,
    is_singular,
    nearest_on_ridge,
)
from symmle.progress import report

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
        if not climb.converged and climb.height > -math.inf:  # what rounding made high is no evidence
            height = careful_height(full, climb.theta)
            climb.height = height if math.isfinite(height) else -math.inf
        climbs.append(climb)
    done = [c for c in climbs if c.converged]
    steps = sum(c.steps for c in climbs)
    best = max(climbs, key=lambda c: c.height)
    if not done:
        member = _member_of_ridge(full, climbs, best)
        if member is None:
            raise _no_maximum(full, best)
        best = member
        done = [member]
    top = max(done, key=lambda c: c.height)
    status = f"Newton's method from {len(starts)} starts of a coarse grid; the best end by log-likelihood."
    if top.ridge or is_singular(full, top.theta):
        refuse_constant_covariate(plan, table, plan.parameters)
        solution = Solution(full.values(nearest_on_ridge(full, top.theta)), "newton", status, steps)  # type: ignore[arg-type]
        solution.unique = False
        solution.status += (
            " The information is singular there: the likelihood is constant, to second order at least, along a curve "
            "through the estimates, which are one of many."
        )
    else:
        ends = [_polished(full, c.theta) for c in _rivals(full, done, top)]
        values, tied = best_of(plan, [(log_likelihood_at(plan, table, v), v) for v in ends])
        solution = Solution(values, "newton", status, steps, unique=False if tied else None)
        if tied:
            solution.status += " Several have the same; the smallest is given."
    solution.starts, solution.maxima = len(starts), maxima_of(full, done)
    slack = 1e-7 * (1 + abs(top.height))
    if best.runs_away is None and not best.converged:
        best.runs_away = _at_an_end(full, best.theta)
    if best.height > top.height + slack:
        if best.runs_away is not None and best.height < top.height + 50 * len(plan.parameters):
            raise _no_maximum(full, best)
        solution.unbounded = True
        solution.status = (
            "The log-likelihood is higher on the way to the edge of the parameter space, where it does not settle; "
            "the estimates are the largest interior local maximum that was found."
        )
    elif not plan.is_proved:
        spike = find_spike(full, top.theta, top.height)
        if spike:
            solution.unbounded = True
            solution.status = (
                f"The likelihood is unbounded: it rises without end as {spike}. "
                "The estimates are the largest interior local maximum that was found."
            )
    return solution


def maxima_of(surface: Surface, done: Sequence[Climb]) -> list[tuple[dict[str, float], float]]:
    """The distinct maxima at which climbs ended, by name and with l, the highest first."""
    kept: list[Climb] = []
    for climb in sorted(done, key=lambda c: -c.height):
        if all(_distance(surface, climb.theta, k.theta) > 1e-4 for k in kept):  # type: ignore[arg-type]
            kept.append(climb)
    names = [str(p) for p in surface.plan.parameters]
    return [(dict(zip(names, map(float, c.theta), strict=True)), float(c.height)) for c in kept]


def _member_of_ridge(surface: Surface, climbs: list[Climb], best: Climb) -> Climb | None:
    """A point of a curved set of maxima, where climbs have ended at one height and none at a point."""
    if not math.isfinite(best.height):
        return None
    level = [c for c in climbs if c.height >= best.height - 1e-9 * (1 + abs(best.height))]
    level.sort(key=lambda c: float(np.max(np.abs(surface.free(c.theta)))))
    for climb in level[:3]:
        member = nearest_on_ridge(surface, climb.theta)
        if is_curved_ridge(surface, member):
            return Climb(member, careful_height(surface, member), True, climb.steps, ridge=True)
    return None


def _rivals(surface: Surface, done: list[Climb], top: Climb) -> list[Climb]:
    """The best end, and others that are as high and stand elsewhere."""
    kept = [top]
    for climb in done:
        if climb.height >= top.height - 1e-8 * (1 + abs(top.height)):
            if all(_distance(surface, climb.theta, k.theta) > 1e-4 for k in kept):  # type: ignore[arg-type]
                kept.append(climb)
    return kept


def _no_maximum(surface: Surface, best: Climb) -> Exception:
    plan = surface.plan
    estimates = {str(p): float(v) for p, v in zip(plan.parameters, best.theta, strict=True)}
    if plan._moving_supports:
        return NotDerivedError(
            f"{plan.name}: the support depends on parameters, no rule solved it, and the climbs end at its edge "
            f"(best log-likelihood met: {best.height:.10g}).",
            tuple(plan.estimator.remaining),
        )
    if best.runs_away is not None:
        parameter = plan.parameters[best.runs_away]
        if _nears_closed_end(surface, best, parameter):
            return NotDerivedError(
                f"{plan.name}: the likelihood rises towards the closed edge of the domain of `{parameter}`, and "
                "maxima on edges with several parameters are not built yet.",
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


def _nears_closed_end(surface: Surface, best: Climb, parameter: Symbol) -> bool:
    domain = surface.plan.domain_of(parameter)
    low, high = ends_in(surface.plan, parameter, surface.constants)
    theta = float(best.theta[best.runs_away])
    if math.isfinite(low) and math.isfinite(high):
        is_low = theta - low < high - theta
    else:
        is_low = math.isfinite(low) and abs(theta - low) < 1
    if is_low:
        return not domain.left_open
    return math.isfinite(high) and not domain.right_open


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
        low, high = ends_in(plan, parameter, surface.constants)
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
    t = surface.free(theta)
    began = t.copy()
    height = surface.height(theta)
    for step in range(STEPS):
        found = surface.derivatives(theta)
        if found is None or not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
            return Climb(theta, height, False, step, _far(surface, t, began))
        gradient, hessian = found
        report("newton", step, height, surface.plan.parameters, theta)
        size = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
        scaled = -hessian / np.outer(size, size)
        curved = float(np.max(np.abs(np.diag(hessian)))) > 1e-6  # far out l is flat in every direction
        eigenvalues, vectors = np.linalg.eigh(scaled)
        definite = eigenvalues[0] > 1e-10
        floor = 1e-6 * max(1.0, float(np.max(np.abs(eigenvalues))))
        stable = eigenvalues if definite else np.maximum(np.abs(eigenvalues), floor)
        move = vectors @ ((vectors.T @ (gradient / size)) / stable) / size
        gain = float(gradient @ move)
        # a location need not be one of the data (but of their logarithms): its steps grow as it goes
        longest = float(np.max(np.abs(move) / np.where(surface.lines, 1 + np.abs(t - began), 1.0)))
        if curved and definite and longest < 1e-7 and gain < 1e-9 * (1 + abs(height)):
            return Climb(theta, height, True, step)
        if not definite and curved and gain < 1e-8 * (1 + abs(height)) and _far(surface, t, began) is None:
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
            away = _far(surface, t, began) if curved else int(np.argmax(np.abs(t)))
            return Climb(theta, height, bool(near and curved), step, None if near and curved else away)
        t, theta, height = new, candidate, other
        if np.max(_distances(surface, t, began)) > 60:
            return Climb(theta, height, False, step, _far(surface, t, began))
    return Climb(theta, height, False, STEPS, _far(surface, t, began))


def _far(surface: Surface, t: NDArray[Any], began: NDArray[Any]) -> int | None:
    distance = _distances(surface, t, began)
    return int(np.argmax(distance)) if np.max(distance) > 8 else None


def _at_an_end(surface: Surface, theta: NDArray[Any]) -> int | None:
    """The parameter of a bounded domain that is at an end of it but for rounding."""
    t = np.where(
        [math.isfinite(c.low) and math.isfinite(c.high) for c in surface.coordinates], surface.free(theta), 0
    )
    return int(np.argmax(np.abs(t))) if np.max(np.abs(t)) > 25 else None


def _distances(surface: Surface, t: NDArray[Any], began: NDArray[Any]) -> NDArray[Any]:
    """How far each parameter has gone, in powers of e of its scale."""
    gone = np.abs(t - began)
    return np.where(surface.lines, 3 * np.arcsinh(gone), gone)


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
