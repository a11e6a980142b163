"""Estimates from a derivation and data: closed forms evaluated, remaining equations solved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from symmle.compiling.data import Table, read_table
from symmle.errors import DataError
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.result import FitResult
from symmle.fitting.solution import as_doubles
from symmle.fitting.solving import solve_or_refuse

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
