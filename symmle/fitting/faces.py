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
    blocking = [refused for _, refused in refusals if best is None or not _is_below(refused, best[0])]
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


def _on_face(plan: Plan, table: Table, which: int, known: Mapping[Symbol, Any]) -> Solution:
    from symmle.fitting.solving import solve_or_refuse

    if not plan.estimator.faces[which].declaration.parameters:
        return Solution(dict(known), "comparison")
    inner = plan_of(plan.derivation.face(which))
    return solve_or_refuse(inner, table, inner_constants(inner, known))


def _is_below(refusal: Refusal, best: Any) -> bool:
    """Whether the supremum that a face does not attain is no more than what another attains."""
    met = getattr(refusal, "supremum", None) or getattr(refusal, "result", None) or {}
    supremum = met.get("log_likelihood")
    return supremum is not None and bool(supremum <= float(best) + 1e-6 * (1 + abs(float(best))))


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
