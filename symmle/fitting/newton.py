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
from time import thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError, NotDerivedError
from symmle.fitting.coordinates import covering
from symmle.fitting.limits_path import Path
from symmle.fitting.limits_search import SECONDS, best_trail, is_followed
from symmle.fitting.newton_climbs import Climb, at_an_end, climb_from, distance, polished, spread
from symmle.fitting.newton_ends import FaceClimb, climbs_at_ends, nudged, rises_inwards
from symmle.fitting.newton_exact import continued
from symmle.fitting.newton_probes import probes
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
    is_singular,
    nearest_on_ridge,
)

MOST_PARAMETERS = 5
STARTS = 8
REACH = 40.0  # powers of e from a maximum
WORDS = {math.inf: "oo", -math.inf: "-oo"}
PARTS = (-math.inf, -4.0, -1.0, 1.0, 4.0, math.inf)  # of a bounded domain, by its logits


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
    climbs = [_both(scanned, full, np.array(theta)) for theta in starts]
    faces = climbs_at_ends(scanned, full, [*starts, *(c.theta for c in climbs)])
    edge = max((f for f in faces if f.climb.converged), key=lambda f: f.climb.height, default=None)
    if edge is not None and rises_inwards(edge.surface, edge.climb.theta):
        climbs += [_both(scanned, full, theta) for theta in nudged(full, edge)]
    for climb in climbs:  # the face itself stands for what has ended on it but for rounding
        if any(_is_on(full, f.surface, climb.theta) for f in faces):
            climb.converged, climb.runs_away = False, at_an_end(full, climb.theta)
    continued(full, climbs)
    done = [c for c in climbs if c.converged]
    if done and not plan.is_proved and start is None:
        highest = max(done, key=lambda c: c.height)
        beyond = [_both(scanned, full, c.theta) for c in probes(scanned, highest)]
        # farther out doubles make heights of rounding
        climbs += [c for c in beyond if c.converged or distance(full, c.theta, highest.theta) < REACH]  # type: ignore[arg-type]
        done = [c for c in climbs if c.converged]
    steps = sum(c.steps for c in climbs) + sum(f.climb.steps for f in faces)
    # what is high and no maximum, inside or on a face
    best = max([*climbs, *(_in_whole(f) for f in faces if not f.climb.converged)], key=lambda c: c.height)
    status = f"Newton's method from {len(starts)} starts of a coarse grid; the best end by log-likelihood."
    if edge is not None and _is_attained(edge, done, best):
        return _at_ends(plan, table, full, edge, done, status, steps, len(starts))
    if not done:
        member = _member_of_ridge(full, climbs, best)
        if member is None:
            raise _no_maximum(full, best)
        best = member
        done = [member]
    top = max(done, key=lambda c: c.height)
    solution = _of_climbs(full, done, top, status, steps)
    solution.starts, solution.maxima = len(starts), maxima_of(full, done)
    slack = 1e-7 * (1 + abs(top.height))
    if best.runs_away is None and not best.converged:
        best.runs_away = at_an_end(full, best.theta)
    if best.height > top.height + slack:
        way = _way_without_bound(full, best, top)
        if not way:
            raise _no_maximum(full, best)
        _call_unbounded(solution, way)
    elif edge is not None and edge.climb.height > top.height + slack:
        raise NotConvergedError(
            f"{plan.name}: the log-likelihood at a closed end of the parameter space is {edge.climb.height:.10g}; it "
            f"rises from there, and inside only {top.height:.10g} was found. Pass a start near the maximum.",
            result={"estimates": _named(plan, edge.whole), "log_likelihood": edge.climb.height},
        )
    elif not plan.is_proved:
        _look_for_spike(full, top, solution)
    return solution


def _both(scanned: Surface, full: Surface, theta: NDArray[Any]) -> Climb:
    """The end of a climb, first on the rows that are scanned."""
    climb = climb_from(scanned, theta)
    if full is not scanned and climb.converged:
        climb = climb_from(full, climb.theta)
    if not climb.converged and climb.height > -math.inf:  # what rounding made high is no evidence
        height = careful_height(full, climb.theta)
        climb.height = height if math.isfinite(height) else -math.inf
    return climb


def _of_climbs(surface: Surface, done: list[Climb], top: Climb, status: str, steps: int) -> Solution:
    """The highest of the ends, polished; a member of the set of maximisers where there is one."""
    plan, table = surface.plan, surface.table
    if top.ridge or is_singular(surface, top.theta):
        refuse_constant_covariate(plan, table, plan.parameters)
        solution = Solution(surface.values(nearest_on_ridge(surface, top.theta)), "newton", status, steps)
        solution.unique = False
        solution.status += (
            " The information is singular there: the likelihood is constant, to second order at least, along a curve "
            "through the estimates, which are one of many."
        )
        return solution
    ends = [polished(surface, c.theta) for c in _rivals(surface, done, top)]
    values, tied = best_of(plan, [(log_likelihood_at(plan, table, v), v) for v in ends])
    solution = Solution(values, "newton", status, steps, unique=False if tied else None)
    if tied:
        solution.status += " Several have the same; the smallest is given."
    return solution


def _look_for_spike(surface: Surface, top: Climb, solution: Solution) -> None:
    spike = find_spike(surface, top.theta, top.height)
    if spike:
        _call_unbounded(solution, spike)


def _call_unbounded(solution: Solution, way: str) -> None:
    solution.unbounded = True
    solution.status = (
        f"The likelihood is unbounded: it rises without end as {way}. "
        "The estimates are the largest interior local maximum that was found."
    )


def _way_without_bound(surface: Surface, best: Climb, top: Climb) -> str:
    """The way along which l is seen to rise without end where a climb has ended higher than any maximum, in words."""
    spike = find_spike(surface, top.theta, top.height)
    if spike or not is_followed(surface.plan, surface.table):
        return spike
    path = Path(surface.plan, surface.table, surface.constants, thread_time() + SECONDS)
    if not path.is_complete:
        return ""
    values = surface.values(best.theta)
    trail = attempt_within(SECONDS, best_trail, path, values, path.height(values))
    if trail is None or isinstance(trail, GaveUp) or trail.limit != math.inf:
        return ""
    ends = {
        p: path.coordinates[p].high if side > 0 else path.coordinates[p].low
        for p, side in trail.drivers.items()
    }
    return ", ".join(f"{p} -> {WORDS.get(float(end), f'{float(end):.6g}')}" for p, end in ends.items())


# --- maxima at closed ends ---
def _in_whole(found: FaceClimb) -> Climb:
    """A climb on a face that has ended without a maximum, as one of the whole space."""
    climb = found.climb
    away = None if climb.runs_away is None else found.surface.kept[climb.runs_away]
    return Climb(found.whole, climb.height, False, climb.steps, away)


def _is_attained(edge: FaceClimb, done: list[Climb], best: Climb) -> bool:
    """Whether nothing that was met is higher than a maximum on a face, from which l does not rise."""
    height = edge.climb.height
    slack = 1e-7 * (1 + abs(height))
    if best.height > height + slack or any(c.height > height - slack * 1e-3 for c in done):
        return False
    return math.isfinite(height) and not rises_inwards(edge.surface, edge.climb.theta)


def _is_on(full: Surface, face: Surface, theta: NDArray[Any]) -> bool:
    """Whether a point is on a face but for rounding."""
    at = dict(zip(full.parameters, theta, strict=True))
    return all(abs(at[p] - end) <= 1e-10 * (1 + abs(end)) for p, end in face.held.items())


def _at_ends(
    plan: Plan,
    table: Table,
    full: Surface,
    edge: FaceClimb,
    done: list[Climb],
    status: str,
    steps: int,
    starts: int,
) -> Solution:
    surface, climb = edge.surface, edge.climb
    if surface.parameters:
        solution = _of_climbs(surface, [climb], climb, status, steps)
    else:
        solution = Solution(surface.values([]), "newton", status, steps)
    solution.boundary, solution.starts = True, starts
    solution.maxima = [(_named(plan, edge.whole), climb.height), *maxima_of(full, done)]
    _look_for_spike(full, Climb(edge.whole, climb.height, True, 0), solution)
    return solution


def _named(plan: Plan, theta: NDArray[Any]) -> dict[str, float]:
    return {str(p): float(v) for p, v in zip(plan.parameters, theta, strict=True)}


def maxima_of(surface: Surface, done: Sequence[Climb]) -> list[tuple[dict[str, float], float]]:
    """The distinct maxima at which climbs ended, by name and with l, the highest first."""
    kept: list[Climb] = []
    for climb in sorted(done, key=lambda c: -c.height):
        if all(distance(surface, climb.theta, k.theta) > 1e-4 for k in kept):  # type: ignore[arg-type]
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
            if all(distance(surface, climb.theta, k.theta) > 1e-4 for k in kept):  # type: ignore[arg-type]
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
            return NotConvergedError(
                f"{plan.name}: the likelihood rises towards the closed edge of the domain of `{parameter}`, to "
                f"{best.height:.10g} at least, and no maximum was found there. Pass a start near the maximum.",
                result={"estimates": estimates, "log_likelihood": best.height},
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
        if all(spread(surface, theta, other) > 1.0 for other in chosen):
            chosen.append(theta)
        if len(chosen) == STARTS:
            break
    return chosen + _near_ends(surface, ranked, chosen)


def _near_ends(
    surface: Surface, ranked: list[tuple[float, list[float]]], chosen: list[list[float]]
) -> list[list[float]]:
    """The best point of each part of a bounded domain (by its logits) from which no start was chosen."""
    more: list[list[float]] = []
    for k, c in enumerate(surface.coordinates):
        if not (math.isfinite(c.low) and math.isfinite(c.high)):
            continue
        for low, high in itertools.pairwise(PARTS):
            inside = [theta for _, theta in ranked if low <= c.at(theta[k]) < high]
            if inside and not any(low <= c.at(theta[k]) < high for theta in [*chosen, *more]):
                more.append(inside[0])
    return more


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
