"""Estimates from a derivation and data: closed forms evaluated, remaining equations solved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sympy import Symbol

from symmle.compiling.data import Table, read_table
from symmle.errors import DataError, NoMaximumError, NotConvergedError, NotDerivedError, SymmleError
from symmle.fitting.bracket import solve_one
from symmle.fitting.closed import solve_closed, solve_score
from symmle.fitting.edges import solve_with_edges
from symmle.fitting.faces import maximisers_on, refuse_unattained, solve_faces
from symmle.fitting.homotopy import best_of_all
from symmle.fitting.large import solve_large
from symmle.fitting.limits import refine, refuse_far_out, without_maximum
from symmle.fitting.newton import solve_several
from symmle.fitting.plan import Plan, plan_of, refuse_what_is_not_built
from symmle.fitting.result import FitResult
from symmle.fitting.ridge import choose
from symmle.fitting.search import search
from symmle.fitting.separation import refuse_separated
from symmle.fitting.solution import Solution, as_doubles, log_likelihood_at, refuse_impossible_rows
from symmle.fitting.units import solve_in_usual_units

METHODS = ("auto", "closed", "root", "newton")


def estimate(
    derivation: Any, data: Any, fixed: Mapping[Any, Any] | None = None, weights: Any = None
) -> dict[str, float]:
    """The estimates by parameter name.

    Parameters
    ----------
    derivation
        A derivation.
    data
        A `Table`, or what `read_table` takes.
    fixed
        Values of what the derivation holds fixed as a symbol.
    weights
        Counts of the rows, where `data` is no `Table`.
    """
    plan = plan_of(derivation)
    constants = plan.constants(fixed)
    table = data if isinstance(data, Table) else read_table(plan.model, data, weights, constants, plan.summed)
    return as_doubles(plan, solve_or_refuse(plan, table, constants).values)


def fit_derivation(
    derivation: Any,
    data: Any,
    weights: Any = None,
    fixed: Mapping[Any, Any] | None = None,
    start: Mapping[Any, float] | None = None,
    method: str = "auto",
    by: Any = None,
    seed: int | None = None,
    threads: int | None = None,
    missing: str = "error",
) -> Any:
    """Fit a derivation to data.

    Parameters
    ----------
    derivation
        A derivation.
    data, weights
        What `read_table` takes.
    fixed
        Values of what the derivation holds fixed as a symbol.
    start
        A start by parameter name for the numeric part; none is needed.
    method
        "auto"; or "closed", "root", "newton" to ask for one way.
    by
        A column name or a column: one fit a group, as a dict.
    seed, threads
        Accepted for stability of the interface; fits are deterministic and use one thread.
    missing
        "error": a NaN or None is refused, its row named; "drop": rows with one in a column of the model are left
        out, and `status` and `dropped` of the result count them.

    Returns
    -------
    FitResult, or a mapping of them by group (`Groups`, which has all estimates as arrays).
    """
    if method not in METHODS:
        raise ValueError(f"Expected method to be one of {', '.join(METHODS)}, got {method!r}.")
    plan = plan_of(derivation)
    if by is not None:
        from symmle.fitting.groups import fit_groups

        def alone(part: Any, part_weights: Any) -> FitResult:
            options: dict[str, Any] = dict(fixed=fixed, start=start, method=method, missing=missing)
            found: FitResult = fit_derivation(derivation, part, part_weights, **options)
            return found

        return fit_groups(plan, data, weights, by, plan.constants(fixed), alone)
    constants = plan.constants(fixed)
    table = data
    if not isinstance(data, Table):
        table = read_table(plan.model, data, weights, constants, plan.summed, missing)
    return FitResult(derivation, table, solve_or_refuse(plan, table, constants, _start(plan, start), method))


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
) -> Solution:
    """The solution, data in extreme units first brought to usual ones; a refusal says what the likelihood tends to."""
    found = None
    if method != "closed":
        found = solve_in_usual_units(
            plan, table, constants, start, lambda t, s: _solve_as_given(plan, t, constants, s, method)
        )
    return _solve_as_given(plan, table, constants, start, method) if found is None else found


def _solve_as_given(
    plan: Plan, table: Table, constants: dict[Symbol, Any], start: dict[str, float] | None, method: str
) -> Solution:
    try:
        refuse_separated(plan, table, constants)
        solution = solve(plan, table, constants, start, method)
        against = plan.reason_against(solution.values, table)
        if against:
            raise NotConvergedError(f"{plan.name}: no maximum was found: {against}.")
        refuse_far_out(plan, table, constants, solution)
    except NoMaximumError as refusal:
        raise refine(plan, table, constants, refusal) from refusal.__cause__
    except NotConvergedError as problem:
        unbounded = without_maximum(plan, table, constants, problem)
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


def _start(plan: Plan, start: Mapping[Any, float] | None) -> dict[str, float] | None:
    if start is None:
        return None
    found = {str(k): float(v) for k, v in start.items()}
    known = {str(p): p for p in plan.parameters}
    for name, value in found.items():
        if name not in known:
            raise DataError(f"{plan.name}: `start` names `{name}`; the parameters are {', '.join(known)}.")
        domain = plan.domain_of(known[name])
        inside = np.isfinite(value) and (domain.free_symbols or domain.contains(value) == True)  # noqa: E712
        if not inside:
            raise DataError(
                f"Parameter `{name}` of {plan.name} has domain {domain}; `start` gave {value}. "
                "Pass a start inside it or leave it out."
            )
    return found
