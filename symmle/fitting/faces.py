"""Maxima that are not roots of a score: on faces of the parameter space, over searched values, unattained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sympy import FiniteSet, Interval, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import DataError, NoMaximumError, NotConvergedError, NotDerivedError
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.solution import TIE, Solution, check_conditions, log_likelihood_at

AT_END = 1e-9  # a parameter this near to an end of its domain, relatively, is on it but for rounding
INWARDS = (0.02, 0.2)  # of the width of a domain: where climbs inside start from a maximum on an edge

Refusal = NoMaximumError | NotConvergedError | NotDerivedError


def refuse_unattained(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> None:
    """NoMaximumError with the limiting estimates, where the derivation found that none is attained."""
    estimator = plan.estimator
    if not estimator.supremum:
        return
    check_conditions(plan, table, constants)
    values = evaluate_at(plan, estimator.supremum, table, constants)
    limit: dict[str, Any] = {str(p): float(v) for p, v in values.items() if CONTEXT.isfinite(v)}
    if all(p in limit for p in map(str, plan.parameters)):
        height = float(log_likelihood_at(plan, table, {**constants, **values}))
        if math.isfinite(height):
            limit["log_likelihood"] = height
    shown = ", ".join(f"{p} = {v:.10g}" for p, v in limit.items() if p != "log_likelihood")
    raise NoMaximumError(
        f"{plan.name}: the likelihood has no maximum: its supremum is approached at {shown} and not attained; "
        f"{estimator.unattained}",
        supremum=limit,
    )


def evaluate_at(
    plan: Plan, expressions: Mapping[Symbol, Any], table: Table, values: Mapping[Symbol, Any]
) -> dict[Symbol, Any]:
    """240-bit values of expressions in sample operators and known symbols."""
    if not expressions:
        return {}
    found = plan.compile(list(expressions.values())).precise(table, dict(values))
    return {p: v.number for p, v in zip(expressions, found, strict=True)}


def solve_faces(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The best of the maxima on the faces.

    A face on which a row is impossible is left out; one without a maximum only where the best of the others is at
    least its supremum.

    Raises
    ------
    NoMaximumError
        No face has a maximum, or the likelihood rises higher on a face that has none.
    """
    check_conditions(plan, table, constants)
    best: tuple[Any, Solution] | None = None
    impossible: DataError | None = None
    refusals: list[tuple[int, Refusal]] = []
    ties: list[Solution] = []
    reason = ""
    for which, face in enumerate(plan.estimator.faces):
        own = set(face.declaration.parameters)
        later = {p: e for p, e in face.at.items() if e.free_symbols & own}  # known when the face is solved
        first = {p: e for p, e in face.at.items() if p not in later}
        known = {**constants, **evaluate_at(plan, first, table, constants)}
        try:
            found = _on_face(plan, table, which, known)
        except DataError as problem:
            impossible = impossible or problem
            continue
        except (NoMaximumError, NotConvergedError, NotDerivedError) as refusal:
            refusals.append((which, refusal))
            continue
        values = {**known, **found.values}
        values |= evaluate_at(plan, later, table, values)
        height = log_likelihood_at(plan, table, values)
        reason = plan.reason_against(values, table)
        if reason or not CONTEXT.isfinite(height):
            continue
        found.values = values
        slack = TIE * (1 + abs(height))
        if best is None or height > best[0] + slack:
            best, ties = (height, found), [found]
        elif height >= best[0] - slack:
            ties.append(found)
    if best is not None:
        best = _seen_from_inside(plan, table, constants, best)
    blocking = [
        refined
        for which, refused in refusals
        if best is None or not _stands_at_end(plan, refused, best[0])
        if (refined := _refined(plan, table, constants, which, refused)) is not None
        if best is None or not _is_below(refined, best[0])
    ]
    if blocking:  # what is open on one face is open for all
        raise next((r for r in blocking if not isinstance(r, NoMaximumError)), blocking[0])
    if best is None:
        raise impossible or DataError(
            f"{plan.name}: no value of {', '.join(map(str, plan.parameters))} allows the data"
            f"{': ' + reason if reason else ''}. Look for a row outside the support."
        )
    solution = best[1]
    at_edge = any(plan.is_at_edge(p, solution.values[p], solution.values) for p in plan.parameters)
    solution.boundary = solution.boundary or at_edge or plan.estimator.kind == "order statistic"
    if len(ties) > 1:
        solution.unique = False
        for p in plan.parameters:
            different = sorted({float(t.values[p]) for t in ties})
            if len(different) > 1:
                solution.maximisers[str(p)] = tuple(different)
    return solution


def _on_face(
    plan: Plan, table: Table, which: int, known: Mapping[Symbol, Any], start: dict[str, float] | None = None
) -> Solution:
    from symmle.fitting.solving import solve_or_refuse

    if not plan.estimator.faces[which].declaration.parameters:
        return Solution(dict(known), "comparison")
    inner = plan_of(plan.derivation.face(which))
    return solve_or_refuse(inner, table, inner_constants(inner, known), start, refined=False)


def _refined(
    plan: Plan, table: Table, constants: dict[Symbol, Any], which: int, refusal: Refusal
) -> Refusal | None:
    """The refusal of a face with what l tends to there."""
    from symmle.fitting.limits import refine, without_maximum

    inner = plan_of(plan.derivation.face(which))
    face = plan.estimator.faces[which]
    first = {p: e for p, e in face.at.items() if not e.free_symbols & set(face.declaration.parameters)}
    known = inner_constants(inner, {**constants, **evaluate_at(plan, first, table, constants)})
    try:
        if isinstance(refusal, NoMaximumError):
            return refine(inner, table, known, refusal)
        if isinstance(refusal, NotConvergedError):
            return without_maximum(inner, table, known, refusal) or refusal
    except NotConvergedError as problem:
        return problem
    return refusal


def _stands_at_end(plan: Plan, refusal: Refusal, best: Any) -> bool:
    """Whether what ended without a maximum is at a closed end of a domain, of which another face is the maximum.

    The climbs on that other face have found `best`, which is no lower.
    """
    met = _met(refusal)
    estimates = met.get("estimates")
    if not isinstance(estimates, dict) or not _is_no_higher(met.get("log_likelihood"), best):
        return False
    for p in plan.parameters:
        domain, value = plan.domain_of(p), estimates.get(str(p))
        if not isinstance(domain, Interval) or value is None:
            continue
        for end, is_open in ((domain.start, domain.left_open), (domain.end, domain.right_open)):
            if end.is_number and end.is_finite and not is_open:
                if abs(value - float(end)) <= AT_END * (1 + abs(float(end))):
                    return True
    return False


def _seen_from_inside(
    plan: Plan, table: Table, constants: dict[Symbol, Any], best: tuple[Any, Solution]
) -> tuple[Any, Solution]:
    """The best of the maxima, or a higher one inside to which l rises from it (Karush-Kuhn-Tucker)."""
    inside = next((k for k, f in enumerate(plan.estimator.faces) if not f.at), None)
    height, solution = best
    ends = {
        p: end
        for p in plan.parameters
        if isinstance(domain := plan.domain_of(p), Interval)
        for end in (domain.start, domain.end)
        if end.is_number and end.is_finite and float(solution.values[p]) == float(end)
    }
    if inside is None or not ends:
        return best
    score = plan.score.precise(table, solution.values, tolerance=1e-6)
    for p, end in ends.items():
        slope = score[plan.parameters.index(p)]
        if not slope.finite or isinstance(slope.number, CONTEXT.mpc):
            continue
        inwards = slope.number if end == plan.domain_of(p).inf else -slope.number
        if not inwards > max(slope.error, 1e-7 * (1 + abs(height))):
            continue
        for share in INWARDS:
            start = {str(q): float(solution.values[q]) for q in plan.parameters}
            start[str(p)] = _moved_inside(plan.domain_of(p), end, share)
            try:
                found = _on_face(plan, table, inside, constants, start)
            except (DataError, NoMaximumError, NotConvergedError, NotDerivedError):
                continue
            values = {**constants, **found.values}
            other = log_likelihood_at(plan, table, values)
            if CONTEXT.isfinite(other) and other > best[0] + TIE * (1 + abs(best[0])):
                found.values = values
                best = (other, found)
    return best


def _moved_inside(domain: Interval, end: Any, share: float) -> float:
    """A point of an interval at a share of its width, or of 1, from an end."""
    width = float(domain.end) - float(domain.start)
    step = share * (width if math.isfinite(width) else 1 + abs(float(end)))
    return float(end) + (step if end == domain.start else -step)


def _met(refusal: Refusal) -> dict[str, Any]:
    met = getattr(refusal, "supremum", None) or getattr(refusal, "result", None)
    return met if isinstance(met, dict) else {}


def _is_no_higher(height: Any, best: Any) -> bool:
    return height is not None and bool(height <= float(best) + 1e-6 * (1 + abs(float(best))))


def _is_below(refusal: Refusal, best: Any) -> bool:
    """Whether the supremum that a face does not attain is no more than what another attains.

    The height at which climbs have ended without a maximum is no supremum.
    """
    return isinstance(refusal, NoMaximumError) and _is_no_higher(_met(refusal).get("log_likelihood"), best)


def inner_constants(inner: Plan, known: Mapping[Symbol, Any]) -> dict[Symbol, Any]:
    """The constants that the plan of a face knows, with values from outside."""
    return {s: known[s] for s in inner.declaration.constants if s in known}


def maximisers_on(plan: Plan, table: Table, solution: Solution) -> dict[str, Any]:
    """The sets of values that all attain the maximum on this data: (least, greatest) or the members, by name."""
    found: dict[str, Any] = {}
    for p, members in plan.estimator.maximisers.items():
        if isinstance(members, Interval):
            ends = {p: members.start}, {p: members.end}
            lo, hi = (evaluate_at(plan, e, table, solution.values)[p] for e in ends)
            if hi > lo:
                found[str(p)] = (float(lo), float(hi))
        elif isinstance(members, FiniteSet):
            values = [evaluate_at(plan, {p: m}, table, solution.values)[p] for m in members.args]
            distinct = sorted({float(v) for v in values})
            if len(distinct) > 1:
                found[str(p)] = tuple(distinct)
    return found


__all__ = ["evaluate_at", "inner_constants", "maximisers_on", "refuse_unattained", "solve_faces"]
