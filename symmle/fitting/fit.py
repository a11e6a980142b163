"""Estimates from a derivation and data: closed forms evaluated, remaining equations solved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sympy import Interval, S, Set

from symmle.compiling.data import Table, read_table
from symmle.compiling.row_sums import on_threads
from symmle.errors import DataError, NotConvergedError, SymmleError
from symmle.fitting.em_options import EmOptions, running_em
from symmle.fitting.em_result import result_of
from symmle.fitting.ends import ends_between, fit_at_ends
from symmle.fitting.from_means import fitted_from_means
from symmle.fitting.large import sums_on_the_way
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.plan import _contains as domain_contains
from symmle.fitting.result import FitResult
from symmle.fitting.solution import as_doubles
from symmle.fitting.solving import solve_or_refuse
from symmle.progress import FitState, Stopped, watching

METHODS = ("auto", "closed", "root", "newton", "em")


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


@dataclass(frozen=True)
class _Asked:
    """What a fit is asked for, as `fit_derivation` has it."""

    data: Any
    weights: Any
    fixed: Mapping[Any, Any] | None
    start: Mapping[Any, float] | None
    method: str
    by: Any
    missing: str
    bounds: Mapping[Any, Any] | None


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
    bounds: Mapping[Any, Any] | None = None,
    callback: Callable[[FitState], Any] | None = None,
    progress: bool | None = None,
    init: str | None = None,
    restarts: int | None = None,
    assignment: str = "soft",
    labels: Any = None,
    accelerate: bool = True,
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
        "auto"; or "closed", "root", "newton", "em" to ask for one way.
    by
        A column name or a column: one fit a group, as a dict.
    threads
        How many threads the passes over many rows take; None: as many as OMP_NUM_THREADS says, else as there are
        cores. The estimates do not depend on it.
    seed
        Of random starts of EM; every other fit is deterministic.
    missing
        "error": a NaN or None is refused, its row named; "drop": rows with one in a column of the model are left
        out, and `status` and `dropped` of the result count them.
    bounds
        Closed intervals by parameter name to which the domains are cut; see `Derivation.bounded`.
    callback
        Called with a `FitState` after each iteration; StopIteration ends the fit.
    progress
        Whether a long fit is shown on the terminal; None where stderr is one.
    init, restarts
        Of EM. Where it starts: "knn" (nearest of well-spread seeds), "kmeans", "kmeans++", "quantiles", "random"; by
        default each of them in turn. How many starts: the best is kept, `restarts` of the result has the others.
    assignment
        Of EM: "soft"; "hard" (each row to its likeliest branch) or "stochastic" (to a branch that is drawn), finished
        by soft EM and Newton's method; "classification": hard and left so, which is no maximum of the likelihood.
    labels
        Of EM: the branch of each row where it is known, None where it is not.
    accelerate
        Of EM: False for plain iterations until they are still, of which `iterates` of the result has each.

    Returns
    -------
    FitResult, or a mapping of them by group (`Groups`, which has all estimates as arrays).

    Raises
    ------
    NotConvergedError
        The callback ended the fit; `.result` has the last point.
    """
    asked = (weights, fixed, start, by, threads, bounds, callback, init, restarts, labels)
    plain = (method, missing, assignment, accelerate) == ("auto", "error", "soft", True)
    if plain and all(a is None for a in asked):
        quick = fitted_from_means(plan_of(derivation), data)
        if quick is not None:
            return quick
    if method not in METHODS:
        raise ValueError(f"Expected method to be one of {', '.join(METHODS)}, got {method!r}.")
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ValueError(f"Expected threads to be a positive whole number or None, got {threads!r}.")
    em = EmOptions(init, restarts, assignment, labels, accelerate, seed)
    by_em = derivation.estimator.kind == "em" or method == "em"
    if em.is_given and not by_em:
        raise ValueError(
            "`init`, `restarts`, `assignment`, `labels` and `accelerate` are for EM; the derivation is of kind "
            f"'{derivation.estimator.kind}'. Leave them out."
        )
    try:
        with watching(callback, progress), running_em(em), on_threads(threads):
            return _fit(derivation, _Asked(data, weights, fixed, start, method, by, missing, bounds))
    except Stopped as stop:
        state = stop.state
        raise NotConvergedError(
            f"{plan_of(derivation).name}: the callback ended the fit at iteration {state.iteration} of the stage "
            f"'{state.stage}' (log-likelihood {state.log_likelihood:.10g}).",
            result={"estimates": state.parameters, "log_likelihood": state.log_likelihood},
        ) from None


def _fit(derivation: Any, asked: _Asked) -> Any:
    if asked.bounds:
        return _fit_within(derivation, asked)
    plan = plan_of(derivation)
    constants = plan.constants(asked.fixed)
    if asked.by is not None:
        from symmle.fitting.groups import fit_groups

        def alone(part: Any, part_weights: Any) -> FitResult:
            found: FitResult = _fit(derivation, replace(asked, data=part, weights=part_weights, by=None))
            return found

        return fit_groups(plan, asked.data, asked.weights, asked.by, constants, alone)
    table = asked.data
    if not isinstance(table, Table):
        more = sums_on_the_way(plan, asked.data, constants)
        table = read_table(plan.model, asked.data, asked.weights, constants, plan.summed, asked.missing, more)
    start = _start(plan, asked.start)
    return result_of(derivation, table, solve_or_refuse(plan, table, constants, start, asked.method))


def _fit_within(derivation: Any, asked: _Asked) -> Any:
    """The fit on domains cut to the bounds; a proved global maximum that lies inside them is the answer at once."""
    bounded = derivation.bounded(asked.bounds)
    domains = bounded.model.declaration.parameters
    asked = replace(asked, bounds=None)
    if asked.by is not None:
        return _fit(bounded, asked)
    if plan_of(derivation).is_proved:
        try:
            free: FitResult = _fit(derivation, asked)
        except SymmleError:
            pass
        else:
            inside = all(domains[p].contains(S(free.estimates[str(p)])) == True for p in domains)  # noqa: E712
            if inside and not free.boundary and not free.unbounded and free.unique is True:
                return free
    found = fit_at_ends(bounded, ends_between(derivation, bounded), lambda d: _fit_face(d, bounded, asked))
    if isinstance(found, FitResult):
        ends = {p: [float(e) for e in (s.inf, s.sup) if e.is_finite] for p, s in domains.items()}
        found.boundary = found.boundary or any(found.estimates[str(p)] in ends[p] for p in domains)
    return found


def _fit_face(derivation: Any, bounded: Any, asked: _Asked) -> FitResult:
    """The fit of what is left where parameters are held; a start of theirs is left out."""
    if asked.start is not None and derivation is not bounded:
        left = {str(p) for p in derivation.model.parameters}
        asked = replace(asked, start={k: v for k, v in asked.start.items() if str(k) in left})
    found: FitResult = _fit(derivation, asked)
    return found


def _start(plan: Plan, start: Mapping[Any, float] | None) -> dict[str, float] | None:
    if start is None:
        return None
    found = {str(k): float(v) for k, v in start.items()}
    known = {str(p): p for p in plan.parameters}
    for name, value in found.items():
        if name not in known:
            raise DataError(f"{plan.name}: `start` names `{name}`; the parameters are {', '.join(known)}.")
        domain = plan.domain_of(known[name])
        inside = np.isfinite(value) and (domain.free_symbols or _is_inside(plan, domain, value))
        if not inside:
            raise DataError(
                f"Parameter `{name}` of {plan.name} has domain {domain}; `start` gave {value}. "
                "Pass a start inside it or leave it out."
            )
    return found


def _is_inside(plan: Plan, domain: Set, value: float) -> bool:
    if isinstance(domain, Interval):  # SymPy's own answer takes longer than many a fit
        return domain_contains(plan, domain, value, {})
    return bool(domain.contains(value) == True)  # noqa: E712
