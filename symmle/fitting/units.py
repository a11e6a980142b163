"""Data in extreme units or far from 0 are fitted after a change of units that the family allows.

Where theta-hat(m + c x) = g(theta-hat(x)) (`symmetries` finds g), the fit is made on x, whose size is ordinary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Interval, Range, Set, Symbol

from symmle.compiling.data import ByColumn, Sample, Table, _largest, _middle, _smallest, spread_rows
from symmle.compiling.kernels import CONTEXT, LOCK
from symmle.errors import NoMaximumError, SymmleError
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution, log_likelihood_at
from symmle.fitting.symmetries import group_of, point_of, support_of
from symmle.progress import translated

Array = NDArray[Any]
FAR = 1e6  # spreads from 0 beyond which doubles lose digits that matter
LARGE_UNIT = 100  # powers of two of the size of the data, beyond which squares and cubes leave the range


@dataclass(frozen=True)
class Change:
    """x = shift + factor x' for some columns, and p = p' factor**e + k log(factor), or p' + k shift."""

    columns: tuple[Symbol, ...]
    shift: float = 0.0
    factor: float = 1.0
    powers: dict[Symbol, Fraction] = field(default_factory=dict)
    steps: dict[Symbol, Fraction] = field(default_factory=dict)
    height: Fraction | None = (
        None  # log f(x; p) = log f(x'; p') + height log(factor); None where rows differ in it
    )

    def forward(self, values: dict[Symbol, Any]) -> dict[Symbol, Any]:
        """Parameters for x from those for x'."""
        return self._moved(values, 1)

    def back(self, values: dict[Symbol, Any]) -> dict[Symbol, Any]:
        """Parameters for x' from those for x."""
        return self._moved(values, -1)

    def _moved(self, values: dict[Symbol, Any], sign: int) -> dict[Symbol, Any]:
        with LOCK:
            distance = CONTEXT.mpf(self.shift) if self.shift else CONTEXT.log(self.factor)
            found = dict(values)
            for p, e in self.powers.items():
                if p in found:
                    exponent = CONTEXT.mpf(e.numerator) / e.denominator
                    found[p] = found[p] * CONTEXT.mpf(self.factor) ** (sign * exponent)
            for p, k in self.steps.items():
                if p in found:
                    found[p] = found[p] + sign * distance * k.numerator / k.denominator
            return found

    def slope(self, parameter: Symbol) -> Any:
        """dp/dp'."""
        e = self.powers.get(parameter, Fraction(0))
        with LOCK:
            return CONTEXT.mpf(self.factor) ** (CONTEXT.mpf(e.numerator) / e.denominator)

    def rise(self, n: float) -> Any:
        """l on x less l on x'."""
        assert self.height is not None
        with LOCK:
            return n * CONTEXT.log(self.factor) * self.height.numerator / self.height.denominator

    def of_data(self, values: Array) -> Array:
        """x' from x."""
        return (values - self.shift) / self.factor

    def __str__(self) -> str:
        names = ", ".join(f"`{c}`" for c in self.columns)
        return f"{names} less {self.shift:.12g}" if self.shift else f"{names} divided by {self.factor:.12g}"


@dataclass(frozen=True)
class UsualUnits:
    """The data in usual units, the estimates there, and the changes that lead to them, in their order."""

    table: Table
    values: dict[Symbol, Any]
    changes: tuple[Change, ...]

    def log_likelihood(self, found: Any) -> Any:
        """l on the data as given from l on these."""
        return found + sum(change.rise(self.table.n) for change in self.changes)

    def slope(self, parameter: Symbol) -> Any:
        """The derivative of the parameter by the parameter here."""
        return math.prod((change.slope(parameter) for change in self.changes), start=CONTEXT.mpf(1))


Solve = Callable[[Table, dict[str, float] | None], Solution]


def solve_in_usual_units(
    plan: Plan, table: Table, constants: dict[Symbol, Any], start: dict[str, float] | None, solve: Solve
) -> Solution | None:
    """The solution by way of data of ordinary size; None where they are, or where the family allows no change.

    Data far from 0 of a family without a shift are divided by a power of two, which rounds nothing, and where that is
    refused (large powers of x leave the range) by a middle value.
    """
    changes = _changes(plan, table, constants, False)
    if not changes:
        return None
    try:
        return _solved_by(changes, plan, table, constants, start, solve)
    except SymmleError:
        others = _changes(plan, table, constants, True)
        if not others:
            raise
        try:
            return _solved_by(others, plan, table, constants, start, solve)
        except SymmleError:
            pass
        raise


def usual_units_at(
    plan: Plan, table: Table, constants: dict[Symbol, Any], values: dict[Symbol, Any]
) -> UsualUnits | None:
    """The data in usual units with a point that is known already; None where they are, or cannot be brought there."""
    if not _is_plain(plan):
        return None
    changes = _changes(plan, table, constants, False, _continuous_columns(plan))
    if not changes or any(change.height is None for change in changes):
        return None
    for change in changes:
        table, values = _changed(table, change), change.back(values)
    return UsualUnits(table, values, tuple(changes))


def _changes(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    by_middle: bool,
    columns: tuple[Symbol, ...] | None = None,
) -> list[Change]:
    """The changes, one after the other, that the data ask for."""
    found = []
    for is_shift in (True, False):
        change = _needed(plan, table, constants, is_shift, by_middle, columns)
        if change is not None:
            found.append(change)
            table = _changed(table, change)
    return found


def _solved_by(
    changes: list[Change],
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None,
    solve: Solve,
) -> Solution:
    for change in changes:
        table = _changed(table, change)
    if start:
        values = {p: CONTEXT.mpf(start[str(p)]) for p in plan.parameters if str(p) in start}
        for change in changes:
            values = change.back(values)
        start = {str(p): float(v) for p, v in values.items()}
    remark = f"The fit was made on {', then '.join(map(str, changes))}"
    as_given = partial(_as_given, plan, table.n, changes)
    try:
        with translated(as_given):
            solution = solve(table, start)
    except SymmleError as problem:
        problem.args = (
            f"{problem.args[0]} {remark}; numbers in this message are for that.",
            *problem.args[1:],
        )
        if isinstance(problem, NoMaximumError) and problem.supremum:
            problem.supremum = _supremum(plan, table, constants, changes, problem.supremum)
        raise
    if all(change.height is not None for change in changes):
        solution.usual = UsualUnits(table, solution.values, tuple(changes))
    solution.maxima = [as_given(*maximum) for maximum in solution.maxima]
    for change in reversed(changes):
        solution.values = change.forward(solution.values)
        solution.maximisers = {
            name: _members(change, _symbol(plan, name), members)
            for name, members in solution.maximisers.items()
        }
    solution.status = f"{solution.status} {remark}, which the family allows."
    return solution


def _as_given(
    plan: Plan, n: float, changes: Sequence[Change], estimates: dict[str, float], height: float
) -> tuple[dict[str, float], float]:
    """A point and l there for the data as given; nan where rows differ in what is added to l."""
    values = {p: CONTEXT.mpf(estimates[str(p)]) for p in plan.parameters if str(p) in estimates}
    for change in reversed(changes):
        values = change.forward(values)
        height = math.nan if change.height is None else float(height + change.rise(n))
    return {str(p): float(v) for p, v in values.items()}, height


def _symbol(plan: Plan, name: str) -> Symbol:
    return next(p for p in plan.parameters if str(p) == name)


def _members(change: Change, parameter: Symbol, members: Any) -> Any:
    return tuple(float(change.forward({parameter: CONTEXT.mpf(v)})[parameter]) for v in members)


def _supremum(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    changes: Sequence[Change],
    supremum: dict[str, Any],
) -> dict[str, Any]:
    """The supremum for the data as given; the log-likelihoods of both differ by what is free of parameters."""
    found = dict(supremum)
    estimates = {_symbol(plan, k): CONTEXT.mpf(v) for k, v in supremum.get("estimates", {}).items()}
    given = table
    for change in reversed(changes):
        estimates = change.forward(estimates)
        given = _restored(given, change)
    if "estimates" in found:
        found["estimates"] = {str(p): float(v) for p, v in estimates.items()}
    if "log_likelihood" in found:
        at = {**constants, **point_of(plan, np.random.default_rng(5))}
        there = log_likelihood_at(plan, table, at)
        for change in reversed(changes):
            at = change.forward(at)
        difference = log_likelihood_at(plan, given, at) - there
        if CONTEXT.isfinite(difference):
            found["log_likelihood"] = float(found["log_likelihood"] + difference)
        else:
            del found["log_likelihood"]
    return found


# --- tables ------------------------------------------------------------------------------------------


def _changed(table: Table, change: Change) -> Table:
    return _mapped(table, change, change.of_data)


def _restored(table: Table, change: Change) -> Table:
    return _mapped(table, change, lambda values: values * change.factor + change.shift)


def _mapped(table: Table, change: Change, of_data: Callable[[Array], Array]) -> Table:
    samples = []
    for sample in table.samples:
        columns = {c: of_data(v) if c in change.columns else v for c, v in sample.columns.items()}
        samples.append(
            Sample(
                columns,
                sample.weights,
                sample.n,
                sample.rows,
                minimum=ByColumn(columns, _smallest),
                maximum=ByColumn(columns, _largest),
                pivot=ByColumn(columns, _middle),
                index=sample.index,
                offset=sample.offset,
                dropped=sample.dropped,
            )
        )
    return Table(tuple(samples), table.name)


# --- which change ------------------------------------------------------------------------------------


def _needed(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    is_shift: bool,
    by_middle: bool,
    among: tuple[Symbol, ...] | None = None,
) -> Change | None:
    """The change of units that the data ask for and the family allows; with `by_middle`, only for narrow data."""
    plain = _columns_in_units(plan) if among is None else among
    sample = table.samples[0]
    if not any(_looks_far(sample.columns[c]) for c in plain):
        return None
    for columns in dict.fromkeys([plain, *((c,) for c in plain)]):
        if not columns:
            continue
        middle, spread, size = _sizes(sample, columns)
        if is_shift:
            if not (spread > 0 and abs(middle) > FAR * spread and math.isfinite(middle)):
                continue
            shift, factor = middle, 1.0
        else:
            power = math.frexp(size)[1] if size > 0 and math.isfinite(size) else 0
            narrow = spread > 0 and abs(middle) > FAR * spread  # then large powers of x are met
            if abs(power) <= (1 if narrow else LARGE_UNIT):
                continue
            if by_middle and not (narrow and middle > 0):
                continue
            shift, factor = 0.0, middle if by_middle else math.ldexp(1.0, min(power, 1000))
        found = group_of(plan, constants, columns, is_shift)
        if found is not None and not any(
            e.free_symbols & {*found[0], *found[1]} for e in plan.declaration.where
        ):
            return Change(columns, shift, factor, *found)
    return None


def _columns_in_units(plan: Plan) -> tuple[Symbol, ...]:
    """The columns of real numbers, where the likelihood is of a kind that may be fitted in other units."""
    known: tuple[Symbol, ...] | None = plan.__dict__.get("_columns_in_units")
    if known is None:
        known = _continuous_columns(plan) if _is_open(plan) else ()
        plan.__dict__["_columns_in_units"] = known
    return known


def _continuous_columns(plan: Plan) -> tuple[Symbol, ...]:
    columns = plan.declaration.samples[0].all_columns
    return tuple(c for c in columns if _is_continuous(support_of(plan, c)))


def _looks_far(values: Array) -> bool:
    """Whether some rows are far from 0 or of an extreme size; a quick look, for every fit."""
    some = sorted(values[:: max(1, len(values) // 24)].tolist())
    low, middle, high = some[len(some) // 4], some[len(some) // 2], some[-1 - len(some) // 4]
    size = max(abs(low), abs(middle), abs(high))
    return not 1e-28 < size < 1e28 or abs(middle) > FAR / 8 * (high - low)


def _is_open(plan: Plan) -> bool:
    """Whether the likelihood is of the kind that is fitted by iteration on one sample of fixed support."""
    return _is_plain(plan) and (bool(plan.left) or plan.estimator.kind in ("numeric", "reduced", "em"))


def _is_plain(plan: Plan) -> bool:
    """Whether there is one sample of fixed support and a parameter space that is a product."""
    declaration, estimator = plan.declaration, plan.estimator
    narrowed = declaration.where or declaration.latent
    if (narrowed and estimator.kind != "em") or declaration.constraints or len(declaration.samples) != 1:
        return False
    return not (estimator.faces or estimator.searched or estimator.free or plan._moving_supports)


def _is_continuous(support: Set | None) -> bool:
    return isinstance(support, Interval) and not isinstance(support, Range) and not support.free_symbols


def _sizes(sample: Sample, columns: Sequence[Symbol]) -> tuple[float, float, float]:
    """Of some rows: a middle value, the range of the middle half (or all) of them, and their typical size."""
    some = np.concatenate([spread_rows(sample.columns[c], 512) for c in columns])
    low, middle, high = (float(q) for q in np.quantile(some, (0.25, 0.5, 0.75), method="nearest"))
    spread = high - low
    if not spread > 0:
        spread = float(np.max(some) - np.min(some))
    size = float(np.median(np.abs(some)))
    return middle, spread, size if size > 0 else float(np.max(np.abs(some)))


__all__ = ["Change", "UsualUnits", "solve_in_usual_units", "usual_units_at"]
