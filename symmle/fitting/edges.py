"""Supports that move with parameters: interior maxima from the score, and a look at every edge.

The edge of what the support allows is where the score says nothing. l is followed to it (`edges_paths`): it
falls; or it has a limit, which is attained where the support is closed; or it grows without bound, and then
the largest interior local maximum is the estimate and is called local.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sympy import Dummy, Expr, S, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError, NotDerivedError, SymmleError
from symmle.fitting.bracket import roots_of, solve_one
from symmle.fitting.closed import solve_closed
from symmle.fitting.edges_frame import Frame, frames_of
from symmle.fitting.edges_large import keep_rise, solve_large_inside
from symmle.fitting.edges_paths import Verdict, examine, maximised, profile_over_gaps
from symmle.fitting.newton import (
    MOST_PARAMETERS,
    _given,
    _rivals,
    _starts,
    maxima_of,
    solve_several,
)
from symmle.fitting.newton_climbs import Climb, climb_from, polished
from symmle.fitting.newton_ends import FaceClimb, climbs_at_ends, rises_inwards
from symmle.fitting.plan import Plan
from symmle.fitting.profile import SCANNED_ROWS, strided
from symmle.fitting.solution import (
    Solution,
    _what_is_wrong,
    best_of,
    check_conditions,
    closed_values,
    log_likelihood_at,
)
from symmle.fitting.spikes import find_spike
from symmle.fitting.surface import Surface, is_singular

STEPS = 60


def _refuse_two_sided(plan: Plan, table: Table) -> None:
    """A bound with a covariate of both signs limits its parameter from both sides, which no frame here does."""
    for part, column, support in plan._moving_supports:
        sample = table.sample_of(part.all_columns)
        for z in sorted(support.free_symbols & set(part.given), key=str):
            if sample.minimum[z] < 0 < sample.maximum[z]:
                raise NotDerivedError(
                    f"{plan.name}: the end of the support of `{column}` moves with `{z}`, which takes both signs: rows "
                    "limit the parameter from both sides, and that is not built yet.",
                    tuple(plan.estimator.remaining),
                )


def solve_with_edges(
    plan: Plan, table: Table, constants: dict[Symbol, Any], start: dict[str, float] | None = None
) -> Solution:
    """The maximum where the support moves with parameters.

    Raises
    ------
    NoMaximumError
        l grows without bound towards an edge and has no interior local maximum; or its supremum is at an open
        edge, or at infinity.
    NotDerivedError
        No parameter can be solved for at an edge, so that the edge is not looked at.
    """
    if start is None:
        quick = solve_large_inside(plan, table, constants)
        if quick is not None:
            return quick
    if plan.is_proved:
        proved = _as_proved(plan, table, constants, start)
        if proved is not None:
            return proved
    if len(plan.parameters) > MOST_PARAMETERS:
        raise NotDerivedError(
            f"{plan.name}: the support depends on parameters, and numeric maximisation over "
            f"{len(plan.parameters)} parameters is not built yet.",
            tuple(plan.estimator.remaining),
        )
    check_conditions(plan, table, constants)
    _refuse_two_sided(plan, table)
    frames = frames_of(plan, table, constants)
    if not frames:
        raise NotDerivedError(
            f"{plan.name}: the support depends on parameters in a way that is not linear in any of them; its edge "
            "cannot be looked at.",
            tuple(plan.estimator.remaining),
        )
    levels = {frame: profile_over_gaps(frame) for frame in frames}
    surface = Surface(plan, table, constants)
    climbs, tried = _climbs(plan, table, constants, surface, levels, start)
    done = [c for c in climbs if c.converged and not c.ridge and not is_singular(surface, c.theta)]
    top = max(done, key=lambda c: c.height) if done else None
    near = [] if top is None else [c.theta for c in [top]]
    verdicts = [examine(frame, [_others(frame, theta, plan) for theta in near]) for frame in frames]
    unbounded = next((v for v in verdicts if v.kind == "unbounded"), None)
    finite = [_on_all_rows(v) for v in verdicts if v.kind == "finite"]
    edge = max(finite, key=lambda v: v.height, default=None)
    boxed = _best_at_ends(surface, climbs, top)
    if boxed is not None and (edge is None or boxed.climb.height > edge.height - _slack(edge.height)):
        return _boxed(surface, boxed, levels, unbounded, tried)
    if top is None and unbounded is not None:
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: it grows without bound as {unbounded.path}, "
            "and no interior local maximum was found.",
            supremum={**unbounded.limits, "log_likelihood": math.inf},
        )
    if (
        unbounded is None
        and edge is not None
        and (top is None or edge.height > top.height + _slack(top.height))
    ):
        _refuse_far(surface, levels, edge.height)
        return _at_edge(plan, table, constants, edge)
    if top is None:
        _refuse_far(surface, levels, -math.inf)
        special = _what_is_wrong(plan, table)
        if special:
            raise _no_interior_maximum(plan, frames, special)
        raise NotConvergedError(
            f"{plan.name}: no climb from {tried} starts ended at an interior maximum, and the likelihood has no limit "
            "at the edge of the support that is a maximum. Pass a start near the maximum."
        )
    if unbounded is None:
        _refuse_far(surface, levels, top.height + _slack(top.height))
    ends = [polished(surface, c.theta) for c in _rivals(surface, done, top)]
    values, tied = best_of(plan, [(log_likelihood_at(plan, table, v), v) for v in ends])
    status = f"Newton's method from {tried} starts; the best interior maximum by log-likelihood."
    solution = Solution(
        values, "newton", status, sum(c.steps for c in climbs), unique=False if tied else None
    )
    solution.starts, solution.maxima = tried, maxima_of(surface, done)
    if unbounded is not None:
        keep_rise(plan, unbounded.frame, unbounded.t)
        solution.unbounded = True
        solution.status = (
            f"The likelihood grows without bound as {unbounded.path}. The estimates are the largest interior local "
            "maximum that was found."
        )
        return solution
    spike = find_spike(surface, top.theta, top.height)
    if spike:
        solution.unbounded = True
        solution.status = (
            f"The likelihood is unbounded: it rises without end as {spike}. "
            "The estimates are the largest interior local maximum that was found."
        )
    else:
        solution.status += " The log-likelihood is lower at every edge of the support."
    return solution


def _best_at_ends(surface: Surface, climbs: list[Climb], top: Climb | None) -> FaceClimb | None:
    """The highest maximum with parameters at closed ends of their domains, where l is no higher inside."""
    points = [c.theta for c in climbs if math.isfinite(c.height)]
    faces = climbs_at_ends(surface, surface, points, moving=True)
    best: FaceClimb | None = None
    for face in faces:
        height = face.climb.height
        if not (face.climb.converged and math.isfinite(height)) or face.climb.ridge:
            continue
        if top is not None and height <= top.height + _slack(top.height):
            continue
        if (best is None or height > best.climb.height) and rises_inwards(
            face.surface, face.climb.theta
        ) is False:
            best = face
    return best


def _boxed(
    surface: Surface,
    boxed: FaceClimb,
    levels: Mapping[Frame, list[tuple[float, float, Any]]],
    unbounded: Verdict | None,
    tried: int,
) -> Solution:
    """A maximum at closed ends of domains, inside the support."""
    face = boxed.surface
    if unbounded is None:
        _refuse_far(surface, levels, boxed.climb.height + _slack(boxed.climb.height))
    values = polished(face, boxed.climb.theta) if face.parameters else face.values([])
    ends = ", ".join(f"`{p}` = {end:.6g}" for p, end in face.held.items())
    status = (
        f"Newton's method from {tried} starts; the log-likelihood rises as far as its domain lets {ends} go."
    )
    if unbounded is not None:
        status = f"The likelihood grows without bound as {unbounded.path}. {status}"
    solution = Solution(values, "newton", status, boxed.climb.steps, boundary=True)
    solution.unbounded, solution.starts = unbounded is not None, tried
    return solution


def _no_interior_maximum(plan: Plan, frames: list[Frame], special: str) -> NoMaximumError:
    """The refusal on one row or equal rows; l is said to be unbounded where searches keep raising it."""
    rising = False
    for frame in frames:
        start = np.zeros(len(frame.others))
        heights = [maximised(frame, frame.unit, start, patience)[0] for patience in (40, 160, 640)]
        rising = rising or all(b > a + 3 for a, b in zip(heights, heights[1:], strict=False))
    return NoMaximumError(
        f"{plan.name}: the likelihood has no maximum on this data{special}: no interior maximum was found, and "
        f"there is none at the edge of the support{'; it grows without bound' if rising else ''}.",
        supremum={"log_likelihood": math.inf} if rising else None,
    )


def _as_proved(
    plan: Plan, table: Table, constants: dict[Symbol, Any], start: dict[str, float] | None
) -> Solution | None:
    """A stationary point inside the support, where a proof says that it is the global maximum."""
    try:
        if not plan.left:
            found = solve_closed(plan, table, constants)
        elif len(plan.left) == 1 and len(plan.estimator.remaining) <= 1:
            found = solve_one(plan, table, constants, start)
        else:
            found = solve_several(plan, table, constants, start)
    except SymmleError:
        return None
    inside = (
        not found.unbounded and found.unique is not False and not plan.reason_against(found.values, table)
    )
    return found if inside else None


def _climbs(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    surface: Surface,
    levels: Mapping[Frame, list[tuple[float, float, Any]]],
    start: dict[str, float] | None,
) -> tuple[list[Climb], int]:
    """Climbs from a given start, from gaps of every scale, from roots and closed forms, and from a coarse grid."""
    starts: list[Any] = list(_given(plan, start))
    for frame, profile in levels.items():
        for eps, t in _worth_climbing(profile):
            theta = frame.theta(eps, t)
            if theta is not None:
                starts.append([float(theta[p]) for p in plan.parameters])
    found = []
    if len(plan.left) == 1 and len(plan.estimator.remaining) == 1:
        found = roots_of(plan, table, constants)
    elif not plan.left:
        for which in range(len(plan.candidates)):
            found.append({**constants, **closed_values(plan, table, constants, which)})
    for values in found:
        if not plan.reason_against(values, table):
            starts.append([float(values[p]) for p in plan.parameters])
    if len(starts) < 3:
        scanned = surface if table.rows <= SCANNED_ROWS else Surface(plan, strided(table, 1024), constants)
        starts += _starts(scanned, list(plan.left or plan.parameters))[:3]
    climbs: list[Climb] = []
    for theta in starts:
        if not math.isfinite(surface.height(theta)):
            continue
        climb = climb_from(surface, np.array(theta, dtype=float))
        climbs.append(climb)
    return climbs, len(climbs)


def _worth_climbing(profile: list[tuple[float, float, Any]]) -> list[tuple[float, Any]]:
    """The peaks of l over the gaps, and every third gap."""
    found = []
    for k, (eps, height, t) in enumerate(profile):
        beside = [profile[j][1] for j in (k - 1, k + 1) if 0 <= j < len(profile)]
        if k % 3 == 1 or all(height >= h for h in beside):
            found.append((eps, t))
    return found


def _others(frame: Frame, theta: Any, plan: Plan) -> Any:
    values = dict(zip(plan.parameters, theta, strict=True))
    return np.array([c.at(float(values[q])) for q, c in zip(frame.others, frame.coordinates, strict=True)])


def _slack(height: float) -> float:
    return 1e-9 * (1 + abs(height))


def _on_all_rows(verdict: Verdict) -> Verdict:
    """The limit of l at an edge with every row, where only some were looked at."""
    frame = verdict.frame
    if all(s.rows == t.rows for s, t in zip(frame.samples, frame.table.samples, strict=True)):
        height, t = maximised(frame, 0.0, verdict.t, 400)
        return Verdict(frame, "finite", height, t, verdict.path) if math.isfinite(height) else verdict
    whole = frame.with_all_rows()
    height, t = maximised(whole, 0.0, verdict.t, 200)
    if not math.isfinite(height):
        height, t = maximised(whole, frame.unit * 1e-200, verdict.t, 200)
    return Verdict(whole, "finite", height, t, verdict.path)


def _refuse_far(surface: Surface, levels: Mapping[Frame, list[tuple[float, float, Any]]], top: float) -> None:
    """NoMaximumError where l is higher, and still rises, as an edge goes away from the data."""
    plan = surface.plan
    for frame, profile in levels.items():
        points = [frame.theta(eps, t) for eps, _, t in profile[-2:]]
        if len(points) < 2 or points[0] is None or points[1] is None:
            continue
        before, height = (
            surface.height([float(point[p]) for p in plan.parameters]) for point in points if point
        )
        if height > top + 1e-7 * (1 + abs(height)) and height > before:
            estimates = {str(p): float(v) for p, v in points[1].items()}
            raise NoMaximumError(
                f"{plan.name}: the likelihood has no maximum on this data: it rises as {frame.edge.gap} -> oo "
                f"(log-likelihood {height:.10g} at {', '.join(f'{k} = {v:.6g}' for k, v in estimates.items())}).",
                supremum={"estimates": estimates, "log_likelihood": height},
            )


def _at_edge(plan: Plan, table: Table, constants: dict[Symbol, Any], verdict: Verdict) -> Solution:
    """The edge as the estimate, the others solved there; NoMaximumError where the support is open."""
    frame = verdict.frame
    values, height = _solved_on_edge(plan, table, constants, verdict)
    approached = frame.edge.approached(frame.row)
    if not frame.edge.closed:
        limits: dict[str, Any] = {str(p): float(values[p]) for p in plan.parameters}
        shown = ", ".join(f"{p} = {v:.10g}" for p, v in limits.items())
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: its supremum is approached as {approached} "
            f"({shown}) and not attained, because the support is open there.",
            supremum={**limits, "log_likelihood": float(height)},
        )
    status = (
        f"The maximum is on the edge of what the support allows ({approached}); the others are solved there."
    )
    return Solution(values, "edge", status, boundary=True)


def _solved_on_edge(
    plan: Plan, table: Table, constants: dict[Symbol, Any], verdict: Verdict
) -> tuple[dict[Symbol, Any], Any]:
    """Newton's method at 240 bits for the others, with the gap at 0."""
    frame = verdict.frame
    row = {c: Dummy(str(c)) for c in frame.row}
    gap = frame.edge.gap.xreplace(row)
    slope = gap.diff(frame.moved)
    moved = -gap.xreplace({frame.moved: S.Zero}) / slope
    l: Expr = plan.derivation.likelihood.log_likelihood.xreplace({frame.moved: moved})
    others = frame.others
    score = [l.diff(q) for q in others]
    hessian = [score[i].diff(others[j]) for i in range(len(others)) for j in range(i + 1)]
    known = {**constants, **{row[c]: CONTEXT.mpf(v) for c, v in frame.row.items()}}
    values = dict(known)
    for q, c, u in zip(others, frame.coordinates, verdict.t, strict=True):
        values[q] = CONTEXT.mpf(c.value(float(u)))
    equations, curvature = plan.compile(score), plan.compile(hessian)
    for step in range(STEPS if others else 0):
        slopes = [v.number for v in equations.precise(table, values, tolerance=1e-12)]
        entries = [v.number for v in curvature.precise(table, values, tolerance=1e-8)]
        matrix = CONTEXT.matrix(len(others), len(others))
        for i in range(len(others)):
            for j in range(i + 1):
                matrix[i, j] = matrix[j, i] = entries[i * (i + 1) // 2 + j]
        try:
            move = CONTEXT.lu_solve(matrix, CONTEXT.matrix(slopes))
        except (ZeroDivisionError, ValueError, TypeError):
            raise _unsettled(plan, frame) from None
        size = max(abs(move[k]) / (abs(values[q]) + CONTEXT.mpf("1e-30")) for k, q in enumerate(others))
        if not CONTEXT.isfinite(size) or (step > 3 and size > 1):
            raise _unsettled(plan, frame)
        share = min(CONTEXT.mpf(1), CONTEXT.mpf("0.3") / size) if size else CONTEXT.mpf(1)
        for k, q in enumerate(others):
            values[q] -= share * move[k]
        if size < CONTEXT.mpf("1e-25"):
            break
    else:
        if others:
            raise _unsettled(plan, frame)
    found = {**constants, **{q: values[q] for q in others}}
    found[frame.moved] = plan.compile([moved]).precise(table, values)[0].number
    height = plan.compile([l]).precise(table, values, tolerance=1e-12)[0].number
    return found, height


def _unsettled(plan: Plan, frame: Frame) -> NotDerivedError:
    return NotDerivedError(
        f"{plan.name}: the likelihood is largest at the edge of the support ({frame.edge.approached(frame.row)}), "
        "where the other parameters do not settle.",
        tuple(plan.estimator.remaining),
    )


__all__ = ["solve_with_edges"]
