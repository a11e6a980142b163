"""The simpler law to which the densities on the way to a supremum tend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sympy import Float, Integer, Interval, Range, Set, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.compiling.supports import is_discrete
from symmle.fitting.limits_laws import Law, Limit, binomial_of, recognise, uniform_on
from symmle.fitting.limits_path import Point, Trail
from symmle.fitting.plan import Plan

PROBES = 24


def law_in_the_limit(plan: Plan, table: Table, trail: Trail) -> Limit | None:
    """The simpler law to whose log density those on the way tend at every probe, where there is one."""
    declaration = plan.declaration
    if len(declaration.samples) != 1:
        return None
    part = declaration.samples[0]
    if len(part.columns) != 1 or part.given:
        return None
    (column,) = part.columns
    sample = table.sample_of(part.all_columns)
    rows = sample.columns[column]
    if sample.minimum[column] == sample.maximum[column]:
        return None
    weights = np.ones(len(rows)) if sample.weights is None else sample.weights
    support = part.support[column].xreplace(_exact_values(trail.points[-1]))
    discrete = is_discrete(support)
    probes = _probes(rows, support, discrete)
    opened = plan.derivation.likelihood.log_density[0]
    names = sorted(opened.free_symbols - {column}, key=str)
    kernel = scalar_kernel([column, *names], [opened])
    last = len(trail.points) - 1
    approached = []
    for k in (last // 2, last):
        with LOCK:
            approached.append(
                np.array([_log(kernel, x, [trail.points[k][n] for n in names]) for x in probes])
            )
    return recognise(rows, weights, discrete, probes, approached, _laws_of(support))


def _exact_values(point: Point) -> dict[Symbol, Any]:
    """Values as SymPy numbers, whole ones as integers: a support may count up to them."""
    return {s: _exact(float(v), bool(v == CONTEXT.floor(v))) for s, v in point.items() if CONTEXT.isfinite(v)}


def _log(kernel: Any, x: float, values: list[Any]) -> float:
    try:
        found = CONTEXT.convert(kernel(CONTEXT.mpf(x), *values)[0])
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        return math.nan
    return math.nan if isinstance(found, CONTEXT.mpc) else float(found)


def _probes(rows: Any, support: Set, discrete: bool) -> Any:
    """Observations, and points of the support between and beside them."""
    distinct = np.unique(rows)
    some = distinct[np.linspace(0, len(distinct) - 1, min(len(distinct), PROBES)).astype(int)]
    low, high = float(distinct[0]), float(distinct[-1])
    width = high - low
    if discrete:
        beside = (
            np.arange(low - 3, high + 6)
            if width < 60
            else np.round(np.linspace(low, high + width / 4, PROBES))
        )
    else:
        beside = np.linspace(low - width / 3, high + width / 2, PROBES)
    inside = [x for x in beside if support.contains(_exact(x, discrete)) == True]  # noqa: E712 - a SymPy truth value
    return np.unique(np.concatenate([some, np.array(inside, dtype=float)]))


def _exact(x: float, discrete: bool) -> Any:
    return Integer(round(x)) if discrete else Float(x)


def _laws_of(support: Set) -> list[Law]:
    """Laws that a bounded support suggests: the uniform on it, the binomial of its size."""
    if support.free_symbols:
        return []
    if isinstance(support, Interval) and support.start.is_finite and support.end.is_finite:
        return [uniform_on(float(support.start), float(support.end))]
    if isinstance(support, Range) and support.inf == 0 and support.sup.is_finite and support.sup > 1:
        return [binomial_of(int(support.sup))]
    return []


def single_value(plan: Plan, table: Table) -> float | None:
    """The one value of a sample of one column that is constant."""
    part = plan.declaration.samples[0]
    if len(plan.declaration.samples) != 1 or len(part.all_columns) != 1:
        return None
    sample = table.sample_of(part.all_columns)
    low, high = sample.minimum[part.columns[0]], sample.maximum[part.columns[0]]
    return float(low) if low == high else None


__all__ = ["law_in_the_limit", "single_value"]
