"""Closed forms: evaluate every candidate, keep those the parameter space allows, the best by l."""

from __future__ import annotations

from typing import Any

from sympy import Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import DataError, NoMaximumError
from symmle.fitting.plan import Plan
from symmle.fitting.solution import (
    Solution,
    _what_is_wrong,
    check_conditions,
    closed_values,
    log_likelihood_at,
    non_finite_statistic,
)


def solve_closed(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The closed form on this data.

    Raises
    ------
    NoMaximumError
        A condition fails, or no candidate lies in the parameter space.
    """
    check_conditions(plan, table, constants)
    admissible: list[dict[Symbol, Any]] = []
    against = ""
    for which in range(len(plan.candidates)):
        values = {**constants, **closed_values(plan, table, constants, which)}
        reason = plan.reason_against(values, table)
        if reason:
            against = against or reason
        else:
            admissible.append(values)
    if not admissible:
        row = non_finite_statistic(plan, table)
        if row:
            raise DataError(
                f"{plan.name}: {row}, so that the likelihood has no maximum. Drop the row or declare a support without it."
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


def _ranked(number: Any) -> Any:
    if isinstance(number, CONTEXT.mpc) or CONTEXT.isnan(number):
        return -CONTEXT.inf
    return number
