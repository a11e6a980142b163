"""Expressions in sample operators, constants and parameters, evaluated on a table to 12 digits.

The value is accepted once the errors of the means, carried through the formula, stay below the
tolerance; else the means are taken again with more care. No family is known here: the formula and
the numbers decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sympy import Expr, Float, Symbol

from symmle.compiling.data import Sample, Table
from symmle.compiling.kernels import CONTEXT, LOCK
from symmle.compiling.ordered import Found, direction_of, ordered_value
from symmle.compiling.program import Fused, Program
from symmle.compiling.row_data import MOST_DISTINCT, Moments, Rows
from symmle.compiling.rows import Care, Pass

TOLERANCE = 1e-13
LARGE, SMALL = 1e60, 1e-60  # beyond these a fourth power leaves the doubles


@dataclass(frozen=True)
class Value:
    """A number at 240 bits and how far it may be off (inf where that could not be told)."""

    number: Any
    error: Any
    exact_zero: bool = False

    @property
    def finite(self) -> bool:
        return bool(CONTEXT.isfinite(self.number))

    @property
    def relative_error(self) -> float:
        if self.number == 0:
            return 0.0 if self.error == 0 else math.inf
        size, error = abs(_as_double(self.number)), _as_double(self.error)
        if 1e-290 < size < 1e290 and 1e-290 < error < 1e290:
            return error / size
        return _as_double(self.error / abs(self.number))

    def __float__(self) -> float:
        return float(self.number)


NOT_A_NUMBER = Value(CONTEXT.nan, CONTEXT.inf)


class CompiledExpressions:
    """Several expressions over the same samples, compiled once and evaluated on any table.

    Parameters
    ----------
    expressions
        In sample operators, parameters and constants; nested means are allowed.
    samples
        The columns of each sample, in the order that the operators bind them.
    """

    def __init__(self, expressions: Sequence[Expr], samples: Sequence[tuple[Symbol, ...]]):
        self.expressions = list(expressions)
        self.samples = [tuple(columns) for columns in samples]
        self._summed: frozenset[Symbol] | None = None
        self._programs: dict[frozenset[Symbol], tuple[Program, list[list[Pass]]]] = {}

    def __reduce__(self) -> Any:
        return (CompiledExpressions, (self.expressions, self.samples))

    @property
    def parameters(self) -> tuple[Symbol, ...]:
        """The symbols that need values."""
        return self._program(frozenset())[0].parameters

    @property
    def summed(self) -> frozenset[Symbol]:
        """The columns of which nothing but the plain mean is needed."""
        if self._summed is None:
            found = [run.summed() for stage in self._program(frozenset())[1] for run in stage]
            self._summed = frozenset().union(*found)
        return self._summed

    def __call__(self, table: Table, values: Mapping[Symbol, Any] | None = None) -> list[float]:
        """The values as doubles (nan where there is none, inf where one overflows)."""
        return [_as_double(v.number) for v in self.precise(table, values or {})]

    def precise(
        self,
        table: Table,
        values: Mapping[Symbol, Any],
        tolerance: float | Sequence[float] = TOLERANCE,
        patience: int = MOST_DISTINCT,
    ) -> list[Value]:
        """The values at 240 bits with their errors, by as much care as the tolerances ask for.

        More than `patience` distinct rows are not evaluated one by one.
        """
        wanted = [tolerance] * len(self.expressions) if isinstance(tolerance, float) else tolerance
        with LOCK, np.errstate(all="ignore"):
            best = [NOT_A_NUMBER] * len(self.expressions)
            for care in Care:
                try:
                    found = self._evaluated(table, values, care, True, patience)
                except ArithmeticError:
                    continue
                best = [_better(a, b) for a, b in zip(best, found, strict=True)]
                if all(v.finite and v.relative_error <= t for v, t in zip(best, wanted, strict=True)):
                    break
            return best

    def quick(self, table: Table, values: Mapping[Symbol, Any], care: Care = Care.DIRECT) -> list[Any]:
        """The values by one way of summing, without errors: for scans and iterations."""
        with LOCK, np.errstate(all="ignore"):
            try:
                return [v.number for v in self._evaluated(table, values, care, False)]
            except ArithmeticError:
                return [CONTEXT.nan] * len(self.expressions)

    # --- inside ---

    def _program(self, scaled: frozenset[Symbol]) -> tuple[Program, list[list[Pass]]]:
        if scaled not in self._programs:
            program = Program(self.expressions, self.samples, scaled)
            passes = [[Pass(sample, stage) for sample in program.samples] for stage in range(program.stages)]
            self._programs[scaled] = (program, passes)
        return self._programs[scaled]

    def _evaluated(
        self,
        table: Table,
        values: Mapping[Symbol, Any],
        care: Care,
        judge: bool,
        patience: int = MOST_DISTINCT,
    ) -> list[Value]:
        scaled = frozenset(c for s in self.samples for c in _extreme_columns(table.sample_of(s), s))
        program, passes = self._program(scaled)
        rows = [_rows(table.sample_of(columns), scaled) for columns in self.samples]
        known: dict[Symbol, Any] = {p: _number(values[p]) for p in program.parameters}
        for sample, part in zip(program.samples, rows, strict=True):
            known[sample.count] = part.count
            known.update({d: CONTEXT.mpf(part.pivots[c]) for c, d in sample.pivots.items()})
            known.update({d: part.scales[c] for c, d in sample.scales.items()})
        fused = program.fused()
        moments: list[list[Moments]] = []
        orders: dict[Symbol, Found] = {}
        for stage in range(program.stages):
            for order in program.ordered:
                if order.stage == stage:
                    found = ordered_value(order, rows[order.sample], known, patience if judge else 1)
                    orders[order.dummy], known[order.dummy] = found, found.number
            moments.append([])
            for j, run in enumerate(passes[stage]):
                means = (
                    run.run(rows[j], known, care, judge, patience) if run.monomials else Moments({}, {}, [])
                )
                moments[-1].append(means)
                _bind(program, j, means, known)
            if fused is None:
                known.update(_called(program, stage, known))
        if fused is None:
            numbers = [_real(v) for _, v in _called(program, program.stages, known)]
        else:
            given = [known[a] for a in fused.arguments]
            numbers = [_real(v) for v in fused(given)]
        if not judge:
            return [Value(number, CONTEXT.inf) for number in numbers]
        if fused is None:
            errors = _staged_errors(program, moments, orders, known, numbers)
        else:
            errors = _fused_errors(program, moments[0], orders, fused, given, numbers)
        return [_value(v, e, care) for v, e in zip(numbers, errors, strict=True)]


def compile_expressions(
    expressions: Sequence[Expr], samples: Sequence[tuple[Symbol, ...]]
) -> CompiledExpressions:
    """Expressions in sample operators as a function of a table and parameter values."""
    return CompiledExpressions(expressions, samples)


def _bind(program: Program, j: int, found: Moments, known: dict[Symbol, Any]) -> None:
    sample = program.samples[j]
    known.update({sample.atoms[i].pivot: value for i, value in found.pivots.items()})
    known.update({sample.monomials[m]: value for m, value in found.means.items()})


def _extreme_columns(sample: Sample, columns: tuple[Symbol, ...]) -> list[Symbol]:
    found = []
    for column in columns:
        total = sample.total.get(column)
        if total is not None and sample.minimum[column] >= 0 and sample.rows * SMALL < total < LARGE:
            continue  # total/n <= the largest <= total
        largest = max(abs(sample.minimum[column]), abs(sample.maximum[column]))
        if largest > LARGE or 0 < largest < SMALL:
            found.append(column)
    return found


def _rows(sample: Sample, scaled: frozenset[Symbol]) -> Rows:
    key = ("rows", scaled)
    if key not in sample.cache:
        sample.cache[key] = Rows.of(sample, scaled)
    return sample.cache[key]  # type: ignore[no-any-return]


Shift = dict[Symbol, Any]


def _shifts(
    program: Program, moments: list[list[Moments]], orders: Mapping[Symbol, Found]
) -> list[tuple[int, Shift]]:
    """Stage and joint movement of every independent error of the means and order statistics.

    Where a formula may jump every error is taken both ways, as large as all of them together: alone it might
    not reach the jump.
    """
    found: list[tuple[int, Shift]] = []
    for stage, of_samples in enumerate(moments):
        for sample, of_sample in zip(program.samples, of_samples, strict=True):
            for shift in of_sample.errors:
                moved = {sample.monomials[m]: delta for m, delta in shift.items() if delta}
                if moved:
                    found.append((stage, moved))  # type: ignore[arg-type]
    for order in program.ordered:
        error = orders[order.dummy].error
        if error:
            found.append((order.stage, {order.dummy: error}))
    if not program.jumps:
        return found
    k = len(found)
    return [(s, {d: f * delta for d, delta in shift.items()}) for s, shift in found for f in (k, -k)]


def _staged_errors(
    program: Program,
    moments: list[list[Moments]],
    orders: Mapping[Symbol, Found],
    known: dict[Symbol, Any],
    numbers: list[Any],
) -> list[Any]:
    """Every independent error, one after the other, carried through the formulas of all later stages."""
    total = [CONTEXT.mpf(0)] * len(numbers)
    for stage, shift in _shifts(program, moments, orders):
        moved = dict(known)
        for name, delta in shift.items():
            moved[name] = moved[name] + delta
        for later in range(stage, program.stages + 1):
            for order in program.ordered:
                again = orders[order.dummy].again
                if order.stage == later > stage and again is not None:
                    moved[order.dummy] = known[order.dummy] + (again(moved) - again(known))
            results = _called(program, later, moved)
            if later < program.stages:
                moved.update(results)
        for k, (_, value) in enumerate(results):
            total[k] += _distance(value, numbers[k])
    return total


def _fused_errors(
    program: Program,
    moments: list[Moments],
    orders: Mapping[Symbol, Found],
    fused: Fused,
    given: list[Any],
    numbers: list[Any],
) -> list[Any]:
    """As `_staged_errors`, where the outputs are one function of the moments."""
    place = {a: k for k, a in enumerate(fused.arguments)}
    total = [CONTEXT.mpf(0)] * len(numbers)
    for _, shift in _shifts(program, [moments], orders):
        moved = list(given)
        for name, delta in shift.items():
            k = place.get(name)
            if k is not None:
                moved[k] = moved[k] + delta
        for k, value in enumerate(fused(moved)):
            if value is not numbers[k]:
                total[k] += _distance(value, numbers[k])
    return total


def _called(program: Program, stage: int, known: Mapping[Symbol, Any]) -> list[tuple[Any, Any]]:
    """The named values of a stage's formulas."""
    arguments, names, kernel = program.formulas(stage)
    try:
        results = kernel(*(known[a] for a in arguments))
    except (ZeroDivisionError, OverflowError, ValueError, TypeError) as problem:
        raise ArithmeticError(str(problem)) from problem
    return list(zip(names or [None] * len(results), results, strict=True))


def _number(value: Any) -> Any:
    if isinstance(value, (int, float, CONTEXT.mpf)):
        return CONTEXT.mpf(value)
    if isinstance(value, Expr):
        return CONTEXT.mpf(Float(value, 80)._mpf_)
    return CONTEXT.mpf(value)


def _real(value: Any) -> Any:
    """A real 240-bit number; what is left imaginary by rounding alone is dropped."""
    if value is None:  # no branch of a Piecewise holds
        return CONTEXT.nan
    if not isinstance(value, CONTEXT.mpf):
        value = CONTEXT.convert(value)
    if isinstance(value, CONTEXT.mpc):
        if abs(value.imag) <= abs(value.real) * CONTEXT.mpf(2) ** -150:
            return value.real
        return value
    return value


def _distance(value: Any, number: Any) -> Any:
    distance = abs(_real(value) - number)
    return distance if CONTEXT.isfinite(distance) else CONTEXT.inf


def _value(number: Any, error: Any, care: Care) -> Value:
    if not isinstance(number, CONTEXT.mpc) and CONTEXT.isnan(number):
        return NOT_A_NUMBER
    if care is Care.EXACT and CONTEXT.isfinite(error) and abs(number) <= 4 * error:
        return Value(
            CONTEXT.mpf(0), CONTEXT.mpf(0), exact_zero=True
        )  # what exact arithmetic cannot tell from zero
    if isinstance(number, CONTEXT.mpc):
        return NOT_A_NUMBER
    return Value(number, error)


def _better(first: Value, second: Value) -> Value:
    if not second.finite:  # more care found no value: what rounding made is none either
        return first if first.relative_error <= 1e-3 else second
    if not first.finite or second.relative_error <= first.relative_error:
        return second
    return first


def _as_double(number: Any) -> float:
    if isinstance(number, CONTEXT.mpc):
        return math.nan
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


__all__ = ["CompiledExpressions", "Value", "compile_expressions", "direction_of"]
