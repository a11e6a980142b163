"""The maximum for a table of data: by what the derivation left to do, each way in its turn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.errors import DataError, NoMaximumError, NotConvergedError, NotDerivedError, SymmleError
from symmle.fitting.attained import attained
from symmle.fitting.bracket import solve_one
from symmle.fitting.closed import solve_closed, solve_score
from symmle.fitting.edges import solve_with_edges
from symmle.fitting.em import solve_em
from symmle.fitting.em_options import options_now
from symmle.fitting.faces import maximisers_on, refuse_unattained, solve_faces
from symmle.fitting.homotopy import best_of_all
from symmle.fitting.large import solve_large
from symmle.fitting.limits import refine, refuse_far_out, without_maximum
from symmle.fitting.newton import solve_several
from symmle.fitting.plan import Plan, refuse_what_is_not_built
from symmle.fitting.ridge import choose
from symmle.fitting.search import search
from symmle.fitting.separation import refuse_separated
from symmle.fitting.solution import Solution, log_likelihood_at, refuse_impossible_rows
from symmle.fitting.units import solve_in_usual_units


def refuse_other_size(plan: Plan, table: Table) -> None:
    """DataError where the model holds for another sample size than the data have."""
    size = plan.declaration.size
    if size is None:
        return
    for sample in table.samples:
        if sample.weights is not None and np.any(sample.weights != np.rint(sample.weights)):
            raise DataError(
                f"{plan.name} is declared for samples of size {size}: its rows are counted, and weights that are no "
                "whole numbers have no meaning."
            )
        if sample.n != size:
            raise DataError(
                f"{plan.name} is declared for samples of size {size}; the data have n = {sample.n:.12g}. "
                "Pass that many rows, or declare the model without a size."
            )


def solve_or_refuse(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None = None,
    method: str = "auto",
    refined: bool = True,
) -> Solution:
    """The solution, data in extreme units first brought to usual ones; a refusal says what the likelihood tends to.

    Where that is not asked for (`refined`) a refusal says where it was met.
    """
    found = None
    if method != "closed":
        found = solve_in_usual_units(
            plan,
            table,
            constants,
            start,
            lambda t, s: _solve_as_given(plan, t, constants, s, method, refined),
        )
    return _solve_as_given(plan, table, constants, start, method, refined) if found is None else found


def _solve_as_given(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None,
    method: str,
    refined: bool,
) -> Solution:
    if plan.estimator.kind == "em" or method == "em":
        refuse_other_size(plan, table)
        return solve_em(plan, table, constants, start, options_now())
    try:
        refuse_separated(plan, table, constants)
        solution = solve(plan, table, constants, start, method)
        against = "" if solution.inside else plan.reason_against(solution.values, table)
        if against:
            raise NotConvergedError(f"{plan.name}: no maximum was found: {against}.")
        refuse_far_out(plan, table, constants, solution)
    except NoMaximumError as refusal:
        if not refined:
            raise
        said = refine(plan, table, constants, refusal)
        at_end = attained(plan, table, constants, said)
        if at_end is None:
            raise said from refusal.__cause__
        solution = at_end
    except NotConvergedError as problem:
        unbounded = without_maximum(plan, table, constants, problem) if refined else None
        if unbounded is None:
            raise
        raise unbounded from problem
    return solution


def solve(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None = None,
    method: str = "auto",
) -> Solution:
    """The solution by what the derivation left to do."""
    refuse_other_size(plan, table)
    refuse_unattained(plan, table, constants)
    refuse_what_is_not_built(plan)
    try:
        solution = _solved(plan, table, constants, start, method)
    except NoMaximumError as refusal:
        if refusal.condition is None or plan.is_proved or plan.estimator.searched:
            raise
        solution = _despite(plan, table, constants, refusal)
    refuse_impossible_rows(plan, table, solution.values)
    if plan.estimator.maximisers:
        solution.maximisers |= maximisers_on(plan, table, solution)
        solution.unique = not solution.maximisers
    return solution


def _solved(
    plan: Plan, table: Table, constants: dict[Symbol, Any], start: dict[str, float] | None, method: str
) -> Solution:
    left = plan.left
    if plan.estimator.free:
        return choose(plan, table, constants)
    if plan.estimator.faces and (left or plan.estimator.remaining):
        if plan.estimator.searched:
            return search(plan, table, constants)
        return solve_faces(plan, table, constants)
    if plan.estimator.edges and method in ("auto", "newton"):
        return solve_with_edges(plan, table, constants, start)
    if method == "closed" and left:
        raise NotDerivedError(
            f"{plan.name} has no closed form: {', '.join(map(str, left))} remain.",
            tuple(plan.estimator.remaining),
        )
    if not left and method != "newton":
        return solve_closed(plan, table, constants)
    if method == "auto" and start is None:
        found = solve_large(plan, table, constants)
        if found is not None:
            return found
    if len(left) == 1 and len(plan.estimator.remaining) <= 1 and method != "newton":
        return solve_one(plan, table, constants, start)
    if method == "root":
        raise NotDerivedError(
            f"{plan.name}: {len(left)} parameters remain; a root finder takes one.",
            tuple(plan.estimator.remaining),
        )
    best = solve_several(plan, table, constants, start)
    return best if plan.is_proved or start is not None else _compared(plan, table, constants, best)


def _compared(plan: Plan, table: Table, constants: dict[Symbol, Any], best: Solution) -> Solution:
    """The best of all stationary points, where they can be listed and one is higher than what was climbed to."""
    listed = best_of_all(plan, table, constants)
    if listed is None or best.unbounded:
        return best
    values, complete, _ = listed
    mine, other = (log_likelihood_at(plan, table, v) for v in (best.values, values))
    if other > mine + 1e-9 * (1 + abs(mine)):
        best = Solution({**constants, **values}, "polynomial system", iterations=best.iterations)
    if complete:
        best.listed = True
        best.status = f"{best.status} All stationary points were found; this is the highest.".strip()
    return best


def _despite(plan: Plan, table: Table, constants: dict[Symbol, Any], refusal: NoMaximumError) -> Solution:
    """A condition fails, and nothing proves that the formula gives the only maximum: the score is asked."""
    try:
        if len(plan.left) == 1:
            solution = solve_one(plan, table, constants, checked=True)
        else:
            solution = solve_score(plan, table, constants)
    except SymmleError as problem:
        raise refusal from problem
    if solution.unbounded or solution.unique is False:
        raise refusal
    return solution


__all__ = ["refuse_other_size", "solve", "solve_or_refuse"]
