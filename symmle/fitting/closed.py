"""Closed forms: evaluate every candidate, keep those the parameter space allows, the best by l."""

from __future__ import annotations

from typing import Any

from sympy import Interval, Symbol

from symmle.compiling.data import Table
from symmle.compiling.evaluate import TOLERANCE
from symmle.compiling.kernels import CONTEXT
from symmle.errors import DataError, NoMaximumError, NotDerivedError
from symmle.fitting.bracket import solve_one
from symmle.fitting.plan import Plan
from symmle.fitting.solution import (
    LOOSE,
    Solution,
    _what_is_wrong,
    closed_values,
    log_likelihood_at,
    non_finite_statistic,
    refuse_doubtful,
    refuse_unless,
)


def solve_closed(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The closed form on this data.

    Raises
    ------
    NoMaximumError
        A condition fails, or no candidate lies in the parameter space.
    """
    admissible: list[dict[Symbol, Any]] = []
    against = ""
    for which in range(len(plan.candidates)):
        if which == 0:
            values = {**constants, **_first(plan, table, constants)}
        else:
            values = {**constants, **closed_values(plan, table, constants, which)}
        reason = plan.reason_against(values, table)
        if reason:
            against = against or reason
        else:
            admissible.append(values)
    if not admissible:
        edge = _closed_edge(plan, constants)
        if edge is not None and len(plan.parameters) == 1:
            return solve_one(plan, table, constants)  # the profile is l itself: compare its roots and ends
        if edge is not None:
            raise NotDerivedError(
                f"{plan.name}: {against}; the maximum is on the edge of the closed domain of `{edge}`, and maxima on "
                "edges with several parameters are not built yet."
            )
        row = non_finite_statistic(plan, table)
        if row:
            raise DataError(
                f"{plan.name}: {row}, so that the likelihood has no maximum. Drop the row or declare a "
                "support without it."
            )
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: {against}{_what_is_wrong(plan, table)}. "
            "It is approached at the edge of the parameter space and not attained."
        )
    best = admissible[0]
    if len(admissible) > 1:
        best = max(admissible, key=lambda v: _ranked(log_likelihood_at(plan, table, v)))
    edge = any(plan.is_at_edge(p, best[p], best) for p in plan.parameters)
    solution = Solution(best, "closed form", boundary=edge)
    solution.status = "The estimates are the closed form of the derivation."
    if edge:
        solution.status += " The maximum is on the edge of the parameter space."
    return solution


def _closed_edge(plan: Plan, constants: dict[Symbol, Any]) -> Symbol | None:
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
    relations = plan.conditions_on_data
    loose = sum(len(r.parts) for r in relations)
    found = plan.closed_with_conditions.precise(table, constants, [TOLERANCE] * len(names) + [LOOSE] * loose)
    values, rest = found[: len(names)], found[len(names) :]
    for relation in relations:
        here, rest = rest[: len(relation.parts)], rest[len(relation.parts) :]
        if relation.condition.reading != "in the domain":  # the domain is asked of the value itself
            refuse_unless(plan, table, relation, here)
    refuse_doubtful(plan, names, values)
    return {name: value.number for name, value in zip(names, values, strict=True)}


def _ranked(number: Any) -> Any:
    if isinstance(number, CONTEXT.mpc) or CONTEXT.isnan(number):
        return -CONTEXT.inf
    return number
