"""Closed forms: evaluate every candidate, keep those the parameter space allows, the best by l."""

from __future__ import annotations

from typing import Any

from sympy import Interval, Symbol

from symmle.compiling.data import Table
from symmle.compiling.evaluate import TOLERANCE
from symmle.errors import DataError, NoMaximumError, NotConvergedError, NotDerivedError
from symmle.fitting.bracket import solve_one
from symmle.fitting.newton import solve_several
from symmle.fitting.plan import Plan, is_real
from symmle.fitting.solution import (
    LOOSE,
    Solution,
    _what_is_wrong,
    best_of,
    closed_values,
    fails,
    log_likelihood_at,
    non_finite_statistic,
    refuse_doubtful,
    refuse_unless,
)

SEVERAL = " Other points have the same log-likelihood; the smallest in the order of the parameters is given."


def solve_closed(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The closed form on this data.

    A candidate that is not real, or outside its domain, is no estimate; where none is left the score itself is
    solved.

    Raises
    ------
    NoMaximumError
        A condition fails, or the likelihood rises towards the edge of the parameter space.
    """
    candidates = [{**constants, **_first(plan, table, constants)}]
    for which in range(1, len(plan.candidates)):
        candidates.append({**constants, **closed_values(plan, table, constants, which)})
    reasons = [plan.reason_against(values, table) for values in candidates]
    admissible = [v for v, reason in zip(candidates, reasons, strict=True) if not reason]
    if not admissible:
        return _otherwise(plan, table, constants, candidates, next(r for r in reasons if r))
    best, tied = admissible[0], False
    if len(admissible) > 1:
        best, tied = best_of(plan, [(log_likelihood_at(plan, table, v), v) for v in admissible])
    if len(admissible) < len(candidates) and not plan.is_proved:
        # what is left may be a minimum, the maxima outside: the score is asked, with the ends of the domain
        try:
            other = solve_score(plan, table, constants)
        except NotDerivedError:  # nothing numeric is built for this space: the candidates stand
            other = None
        if other is not None:
            mine, numeric = (log_likelihood_at(plan, table, v) for v in (best, other.values))
            if not mine >= numeric - 1e-9 * (1 + abs(numeric)):
                return other
    edge = any(plan.is_at_edge(p, best[p], best) for p in plan.parameters)
    points = plan.estimator.points
    on_edge = edge or (plan.estimator.kind == "order statistic" and any(p.boundary for p in points))
    solution = Solution(best, "closed form", boundary=on_edge, unique=False if tied else None)
    solution.status = "The estimates are the closed form of the derivation."
    if tied:
        solution.status += SEVERAL
    if edge:
        solution.status += " The maximum is on the edge of the parameter space."
    return solution


def solve_score(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The maximum by the score alone, where the closed form has no value in the parameter space."""
    if len(plan.parameters) == 1:
        return solve_one(plan, table, constants, checked=True)
    declaration = plan.declaration
    latent = declaration.latent or any(part.components for part in declaration.samples)
    if declaration.constraints or latent or len(plan.parameters) > 5:
        raise NotDerivedError(
            f"{plan.name}: the closed form has no value in the parameter space on this data, and numeric "
            "maximisation of this model is not built yet.",
            tuple(plan.derivation.score.equations.values()),
        )
    return solve_several(plan, table, constants, checked=True)


def _otherwise(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    candidates: list[dict[Symbol, Any]],
    against: str,
) -> Solution:
    row = non_finite_statistic(plan, table)
    if row:
        raise DataError(
            f"{plan.name}: {row}, so that the likelihood has no maximum. Drop the row or declare a "
            "support without it."
        )
    edge = _closed_edge(plan)
    if edge is not None and len(plan.parameters) > 1:
        raise NotDerivedError(
            f"{plan.name}: {against}; the maximum is on the edge of the closed domain of `{edge}`, and maxima on "
            "edges with several parameters are not built yet."
        )
    refusal = NoMaximumError(
        f"{plan.name}: the likelihood has no maximum on this data: {against}{_what_is_wrong(plan, table)}. "
        "It is approached at the edge of the parameter space and not attained."
    )
    numbers = all(is_real(v[p]) for v in candidates for p in plan.parameters)
    if plan.is_proved and numbers and edge is None:
        raise refusal  # the one stationary point that l can have lies outside
    try:
        return solve_score(plan, table, constants)
    except NotConvergedError as problem:
        if plan.is_proved and fails(plan, table, constants):
            raise refusal from problem
        raise


def _closed_edge(plan: Plan) -> Symbol | None:
    """A parameter whose domain has a closed finite end."""
    for parameter in plan.parameters:
        domain = plan.domain_of(parameter)
        if isinstance(domain, Interval):
            low = domain.start.is_finite is not False and not domain.left_open
            high = domain.end.is_finite is not False and not domain.right_open
            if low or high:
                return parameter
    return None


def _first(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> dict[Symbol, Any]:
    """The first candidate, after the conditions, from the same pass over the rows."""
    names, _ = plan.candidates[0]
    relations = plan.conditions_of_values
    loose = sum(len(r.parts) for r in relations)
    found = plan.closed_with_conditions.precise(table, constants, [TOLERANCE] * len(names) + [LOOSE] * loose)
    values, rest = found[: len(names)], found[len(names) :]
    for relation in relations:
        here, rest = rest[: len(relation.parts)], rest[len(relation.parts) :]
        refuse_unless(plan, table, relation, here)
    for relation in plan.conditions_of_columns:
        if not relation.plainly_holds(table):
            refuse_unless(
                plan, table, relation, relation.differences.precise(table, constants, tolerance=LOOSE)
            )
    refuse_doubtful(plan, names, values)
    return {name: value.number for name, value in zip(names, values, strict=True)}
