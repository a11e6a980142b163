"""A solution at 240 bits, and how closed parts and likelihoods are evaluated at a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.compiling.evaluate import Value
from symmle.compiling.kernels import CONTEXT, LOCK, row_kernel
from symmle.compiling.row_data import MOST_DISTINCT
from symmle.errors import DataError, NoMaximumError
from symmle.fitting.plan import Numbers, Plan, _shown, is_real
from symmle.fitting.relations import Relations

LOOSE = 1e-6  # for conditions, of which the sign counts
DOUBT = 1e-6  # a value that may be off by more is not given
TIE = 1e-11  # log-likelihoods that differ by less, relatively, are equal


@dataclass
class Solution:
    """Values of parameters and constants at the maximum that was found, and what is known of it."""

    values: dict[Symbol, Any]
    method: str
    status: str = ""
    iterations: int = 0
    boundary: bool = False
    unbounded: bool = False
    unique: bool | None = None
    notes: list[str] = field(default_factory=list)
    maximisers: dict[str, Any] = field(default_factory=dict)  # sets of values that all attain the maximum
    usual: Any = None  # `units.UsualUnits`, where the data were brought to usual units for the fit
    latent: Any = None  # `em.LatentEnd`, where EM was run
    starts: int = (
        0  # how many climbs there were, and the distinct maxima at which they ended, the highest first
    )
    maxima: list[tuple[dict[str, float], float]] = field(default_factory=list)  # estimates and l
    inside: bool = False  # the parameter space and the support hold the values by construction
    near: bool = False  # no estimate is far beyond the scales of the data
    is_open: bool = False  # nobody has looked yet whether l is unbounded
    listed: bool = False  # all stationary points were found and compared
    passes: int = 0  # over the rows of a large sample, where they were counted


def passes_in_words(passes: int) -> str:
    """ "1 pass over the data"."""
    return f"{passes} {'pass' if passes == 1 else 'passes'} over the data"


def log_likelihood_at(plan: Plan, table: Table, values: Numbers, patience: int = MOST_DISTINCT) -> Any:
    """l at a point, at 240 bits; nan where doubles do not tell it."""
    value = plan.log_likelihood.precise(table, values, tolerance=1e-12, patience=patience)[0]
    if not value.finite:
        return _by_density(plan, table, values)
    return value.number if value.error <= 1e-7 * (1 + abs(value.number)) else CONTEXT.nan


def _by_density(plan: Plan, table: Table, values: Numbers) -> Any:
    """sum of w log f(x), where the opened logarithm meets 0 log 0 (a probability at its edge)."""
    total = 0.0
    for part in plan.declaration.samples:
        sample = table.sample_of(part.all_columns)
        names = sorted(part.density.free_symbols - set(part.all_columns), key=str)
        kernel = row_kernel([*part.all_columns, *names], [part.density])  # type: ignore[list-item]
        with np.errstate(all="ignore"):
            density = kernel(
                *(sample.columns[c] for c in part.all_columns), *(float(values[n]) for n in names)
            )[0]  # type: ignore[index]
            logs = np.log(np.broadcast_to(np.asarray(density, dtype=float), (sample.rows,)))
        total += float(np.sum(logs if sample.weights is None else logs * sample.weights))
    return CONTEXT.mpf(total)


def check_conditions(plan: Plan, table: Table, values: Numbers, at_estimate: bool = False) -> None:
    """Refuse data on which a condition of the estimator fails."""
    for relations in plan.conditions_at_estimate if at_estimate else plan.conditions_on_data:
        if relations.condition.reading == "in the domain":
            continue  # asked of the estimates themselves
        refuse_unless(plan, table, relations, relations.differences.precise(table, values, tolerance=LOOSE))


def refuse_unless(plan: Plan, table: Table, relations: Relations, differences: Sequence[Value]) -> None:
    """NoMaximumError that names the condition, where it does not hold."""
    if relations.hold(differences) is False:
        condition = relations.condition
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: {reading_of(condition)} is needed "
            f"({condition.expression}), and it does not hold{_what_is_wrong(plan, table)}.",
            condition=condition,
        )


def fails(plan: Plan, table: Table, values: Numbers) -> bool:
    """Whether a condition on data alone, of any reading, does not hold."""
    for relations in plan.conditions_on_data:
        if relations.hold(relations.differences.precise(table, values, tolerance=LOOSE)) is False:
            return True
    return False


def best_of(
    plan: Plan, candidates: Sequence[tuple[Any, dict[Symbol, Any]]]
) -> tuple[dict[Symbol, Any], bool]:
    """The point with the highest l, and whether another one ties; of tied ones the smallest."""
    ranked = [(-CONTEXT.inf if not is_real(height) else height, values) for height, values in candidates]
    top = max(height for height, _ in ranked)
    slack = TIE * (1 + abs(top)) if is_real(top) else 0
    tied = [values for height, values in ranked if height >= top - slack]
    chosen = min(tied, key=lambda values: [values[p] for p in plan.parameters])
    return chosen, any(_apart(plan, chosen, other) for other in tied)


def refuse_constant_covariate(plan: Plan, table: Table, undetermined: Sequence[Symbol]) -> None:
    """NoMaximumError, where the data do not determine parameters because a covariate never changes."""
    for part in plan.declaration.samples:
        sample = table.sample_of(part.all_columns)
        for column in part.given:
            if sample.minimum[column] == sample.maximum[column]:
                names = ", ".join(f"`{p}`" for p in undetermined)
                raise NoMaximumError(
                    f"{plan.name}: the likelihood has no one maximum on this data: every `{column}` is "
                    f"{sample.minimum[column]:.12g}, so that {names} {'is' if len(undetermined) == 1 else 'are'} "
                    "not determined.",
                    undetermined=tuple(map(str, undetermined)),
                )


def _apart(plan: Plan, first: Numbers, second: Numbers) -> bool:
    return any(abs(first[p] - second[p]) > 1e-7 * (abs(first[p]) + abs(second[p])) for p in plan.parameters)


READINGS = {
    "not all equal": "that the {} are not all equal",
    "not all at the edge": "that the {} are not all at the edge of the support",
    "both occur": "that both values of {} occur",
    "not on a line": "that the points of {} are not on a line",
    "not proportional": "that {} are not proportional",
    "defined": "that the formula for {} is defined",
    "in the domain": "that {} lies in its domain",
    "in the parameter space": "that the estimates lie in the parameter space",
}


def reading_of(condition: Any) -> str:
    """A condition in words."""
    columns = ", ".join(str(c) for c in condition.columns if c.free_symbols) or "data"
    if condition.reading in READINGS:
        return READINGS[condition.reading].format(columns)
    return f"that {condition.reading}" if condition.reading else "a condition"


def _what_is_wrong(plan: Plan, table: Table) -> str:
    """What is plainly special about the data, in words."""
    for part in plan.declaration.samples:
        sample = table.sample_of(part.all_columns)
        if sample.rows == 1:
            return f" (the sample of `{part.columns[0]}` has one row)"
        for column in part.all_columns:
            if sample.minimum[column] == sample.maximum[column]:
                return f" (every `{column}` is {sample.minimum[column]:.12g})"
    return ""


def closed_values(
    plan: Plan, table: Table, values: Numbers, which: int = 0, careful: bool = True
) -> dict[Symbol, Any]:
    """The closed parameters of one candidate at given values of the remaining ones."""
    names, compiled = plan.candidates[which]
    if not names:
        return {}
    if not careful:
        return dict(zip(names, compiled.quick(table, values), strict=True))
    found = compiled.precise(table, values)
    refuse_doubtful(plan, names, found)
    return {name: value.number for name, value in zip(names, found, strict=True)}


def refuse_doubtful(plan: Plan, names: Sequence[Symbol], found: Sequence[Value]) -> None:
    """Refuse a positive estimate that rounding alone may have made."""
    for name, value in zip(names, found, strict=True):
        if value.finite and value.relative_error > DOUBT and _must_be_positive(plan, name):
            raise DataError(
                f"{plan.name}: `{name}` comes out as {_shown(value.number)} with an error of the same size: the "
                "data do not tell it from 0 in double precision (a constant sample or an exact fit)."
            )


def _must_be_positive(plan: Plan, parameter: Symbol) -> bool:
    domain = plan.domain_of(parameter)
    return bool(domain.inf == 0)


def as_doubles(plan: Plan, values: Numbers) -> dict[str, float]:
    """Estimates by name, or a DataError that says what doubles cannot represent."""
    found = {}
    for parameter in plan.parameters:
        number = values[parameter]
        with LOCK:
            try:
                double = float(number)
            except OverflowError:
                double = math.inf
            small = number != 0 and abs(double) < 2.2250738585072014e-308
        if math.isinf(double) or small:
            raise DataError(
                f"{plan.name}: the estimate of `{parameter}`, {_shown(number)}, is not representable in double "
                "precision. Rescale the data (divide by a power of ten)."
            )
        found[str(parameter)] = double
    return found


def refuse_impossible_rows(plan: Plan, table: Table, values: Numbers) -> None:
    """DataError for a row on a closed edge of a fixed support where the density is 0 at the estimates."""
    for j, column, bound, upper in plan.closed_supports:
        part = plan.declaration.samples[j]
        sample = table.sample_of(part.all_columns)
        extreme = (sample.maximum if upper else sample.minimum)[column]
        if plan.scalar(bound, values) != extreme:
            continue
        rows = np.flatnonzero(sample.columns[column] == extreme)
        bad = _impossible(part, plan.derivation.likelihood.log_density[j], sample, values, rows)
        if bad is not None:
            raise DataError(
                f"{plan.name}: row {sample.row_number(bad)} (`{column}` = {extreme:.12g}) has density 0 or "
                "infinity at the edge of the support. Drop the row or declare a support without it."
            )


def _impossible(part: Any, opened: Any, sample: Any, values: Numbers, rows: Any) -> int | None:
    names = sorted(opened.free_symbols - set(part.all_columns), key=str)
    kernel = row_kernel([*part.all_columns, *names], [opened])
    columns = [sample.columns[c][rows] for c in part.all_columns]
    with np.errstate(all="ignore"):
        logs = kernel(*columns, *(float(values[n]) for n in names))[0]
        logs = np.broadcast_to(np.asarray(logs, dtype=float), rows.shape)
        if np.isnan(logs).any():  # 0 log 0: the density itself tells
            kernel = row_kernel([*part.all_columns, *names], [part.density])
            logs = np.log(np.asarray(kernel(*columns, *(float(values[n]) for n in names))[0], dtype=float))
            logs = np.broadcast_to(logs, rows.shape)
    bad = np.flatnonzero(np.isinf(logs))
    return int(rows[bad[0]]) if len(bad) else None


def offending_row(plan: Plan, table: Table, values: Numbers) -> str:
    """The first row whose log density is not finite, in words; '' where there is none."""
    for part, opened in zip(plan.declaration.samples, plan.derivation.likelihood.log_density, strict=True):
        sample = table.sample_of(part.all_columns)
        names = sorted(opened.free_symbols - set(part.all_columns), key=str)
        if not set(names) <= set(values):
            continue
        kernel = row_kernel([*part.all_columns, *names], [opened])
        with np.errstate(all="ignore"):
            logs = kernel(*(sample.columns[c] for c in part.all_columns), *(float(values[n]) for n in names))[
                0
            ]
        bad = np.flatnonzero(~np.isfinite(np.broadcast_to(logs, (sample.rows,))))
        if len(bad):
            column = part.columns[0]
            return f"row {sample.row_number(bad[0])} (`{column}` = {sample.columns[column][bad[0]]:.12g})"
    return ""


def non_finite_statistic(plan: Plan, table: Table) -> str:
    """The first row at which a summand of the closed form is not finite, in words."""
    from symmle.sample import Mean, Total, statistics_of

    expressions = [*plan.estimator.closed.values(), *(e.expression for e in plan.estimator.remaining)]
    for expression in expressions:
        for statistic in statistics_of(expression):
            if not isinstance(statistic, (Mean, Total)) or statistic.free_symbols:
                continue
            if statistic.summand.has(Mean, Total):
                continue
            sample = table.sample_of(statistic.columns)
            kernel = row_kernel(statistic.columns, [statistic.summand])
            with np.errstate(all="ignore"):
                values = kernel(*(sample.columns[c] for c in statistic.columns))[0]
            bad = np.flatnonzero(~np.isfinite(np.broadcast_to(values, (sample.rows,))))
            if len(bad):
                column = next(c for c in statistic.columns if statistic.summand.has(c))
                extreme = np.max(np.abs(sample.columns[column]))
                if extreme > 1e60 or extreme < 1e-60:
                    continue
                row = sample.row_number(int(bad[0]))
                value = sample.columns[column][bad[0]]
                return f"row {row}: `{column}` = {value:.12g} makes {statistic.summand} infinite"
    return ""


def number(value: Any) -> Any:
    """A 240-bit number from a double."""
    return CONTEXT.mpf(value)
