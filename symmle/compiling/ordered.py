"""Order statistics of a summand: found in doubles, settled among neighbours and valued at 240 bits.

A minimum, maximum or quantile of g(x) is the value of g at one row. Doubles say which row up to rounding; rows
within rounding of it are put in order at 240 bits, and the value is g at that row at 240 bits. Of a bare column
it is a value of the data, without any error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Add, Expr, Mul, Pow, Symbol, exp, log

from symmle.compiling.kernels import CONTEXT, row_kernel, scalar_kernel
from symmle.compiling.program import Ordered
from symmle.compiling.row_data import Rows

Array = NDArray[Any]
EPS = 2.0**-52
NEAR = 64  # roundings within which rows are put in order at 240 bits
REACHED = 8 * EPS  # share of the total weight within which a cumulated weight counts as reached


@dataclass(frozen=True)
class Found:
    """The value, by how much it may be off, and the same row's value for other scalars."""

    number: Any
    error: Any
    again: Callable[[Mapping[Symbol, Any]], Any] | None = None


def ordered_value(order: Ordered, rows: Rows, known: Mapping[Symbol, Any], patience: int) -> Found:
    """The order statistic; `patience` rows may be valued at 240 bits."""
    with np.errstate(all="ignore"):
        extreme = _of_extremes(order, rows)
        if extreme is not None:
            return Found(extreme, CONTEXT.mpf(0))
        search = _Search(order, rows, known)
        if search.total is not None and not search.total > 0:
            return Found(CONTEXT.nan, CONTEXT.inf)
        if search.is_bare:
            return Found(CONTEXT.mpf(float(search.values[search.chosen()])), CONTEXT.mpf(0))
        return search.settled(patience)


@lru_cache(maxsize=256)
def _in_doubles(arguments: tuple[Symbol, ...], expression: Expr) -> Callable[..., Any]:
    return row_kernel(arguments, [expression])


@lru_cache(maxsize=256)
def _at_240_bits(arguments: tuple[Symbol, ...], expression: Expr) -> Callable[..., Any]:
    return scalar_kernel(arguments, [expression])


def _number_of(kernel: Callable[..., Any], arguments: list[Any]) -> Any:
    """A real number, or nan where the formula has none."""
    try:
        value = CONTEXT.convert(kernel(*arguments)[0])
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        return CONTEXT.nan
    if isinstance(value, CONTEXT.mpc):
        return value.real if abs(value.imag) <= abs(value.real) * CONTEXT.mpf(2) ** -150 else CONTEXT.nan
    return value


def direction_of(expression: Expr) -> int:
    """1 for an increasing and -1 for a decreasing function of its one symbol, 0 where that is not plain."""
    if expression.is_Symbol:
        return 1
    if isinstance(expression, (log, exp)):
        return direction_of(expression.args[0])  # type: ignore[arg-type]
    if isinstance(expression, Pow) and expression.exp.is_Rational and expression.base.is_positive:
        return direction_of(expression.base) * (1 if expression.exp > 0 else -1)
    if isinstance(expression, (Add, Mul)):
        number, rest = expression.as_coeff_Add() if isinstance(expression, Add) else expression.as_coeff_Mul()
        if rest.func != expression.func:
            return direction_of(rest) * (1 if isinstance(expression, Add) or number > 0 else -1)
    return 0


def _of_extremes(order: Ordered, rows: Rows) -> Any:
    """The extreme of a monotone function of one column, from the extremes of the column."""
    kind = type(order.operator).__name__
    if order.scalars or kind not in ("Minimum", "Maximum"):
        return None
    columns = order.summand.free_symbols
    direction = direction_of(order.summand) if len(columns) == 1 else 0
    if not direction:
        return None
    (column,) = columns
    sample = rows.sample
    lower = (kind == "Minimum") == (direction > 0)
    extreme = CONTEXT.mpf((sample.minimum if lower else sample.maximum)[column])  # type: ignore[index]
    if order.summand.is_Symbol:
        return extreme
    value = _number_of(_at_240_bits((column,), order.summand), [extreme])  # type: ignore[arg-type]
    return value if CONTEXT.isfinite(value) else None


class _Search:
    """The rows of one sample in the order of a summand."""

    def __init__(self, order: Ordered, rows: Rows, known: Mapping[Symbol, Any]):
        self.order, self.known = order, known
        self.columns = dict(rows.sample.columns)
        self.arguments = (*self.columns, *order.scalars)
        self.kind = type(order.operator).__name__
        count = rows.sample.rows
        self.weights: Array | None = rows.weights
        if order.weight is not None:
            own = self._rowwise(order.weight, count)
            self.weights = own if self.weights is None else self.weights * own
            kept = self.weights != 0
            if not kept.all():
                self.columns = {c: v[kept] for c, v in self.columns.items()}
                self.weights, count = self.weights[kept], int(np.count_nonzero(kept))
        self.is_bare = order.summand in self.columns
        self.values = self._rowwise(order.summand, count)
        self.total: Any = None
        if self.weights is not None:
            self.total = np.sum(self.weights, dtype=np.longdouble) if count else 0.0

    def _rowwise(self, expression: Expr, count: int) -> Array:
        if expression.is_Symbol and expression in self.columns:
            return self.columns[expression]  # type: ignore[index]
        kernel = _in_doubles(self.arguments, expression)
        scalars = [float(CONTEXT.convert(self.known[s])) for s in self.order.scalars]
        values = kernel(*self.columns.values(), *scalars)[0]
        return np.broadcast_to(np.asarray(values, dtype=float), (count,))

    # --- which row ---

    def share(self) -> Any:
        """The probability at 240 bits."""
        if self.kind == "Median":
            return CONTEXT.mpf(1) / 2
        probability = self.order.probability
        assert probability is not None
        names = tuple(s for s in self.order.scalars if s in probability.free_symbols)
        return _number_of(_at_240_bits(names, probability), [self.known[s] for s in names])

    def chosen(self) -> int:
        """The row that doubles choose."""
        if self.kind == "Minimum":
            return int(np.argmin(self.values))
        if self.kind == "Maximum":
            return int(np.argmax(self.values))
        if self.weights is None:
            rank = self._rank(len(self.values))
            value = np.partition(self.values, rank)[rank]
            return int(np.argmax(self.values == value))
        ranks = np.argsort(self.values, kind="stable")
        cumulated = np.cumsum(self.weights[ranks], dtype=np.longdouble)
        position = int(np.searchsorted(cumulated, self._goal(cumulated[-1])))
        return int(ranks[min(position, len(ranks) - 1)])

    def _rank(self, count: int) -> int:
        """The place, from 0, of the smallest value with at least p n rows up to it."""
        goal = self.share() * count
        if CONTEXT.isnan(goal):
            return 0
        return int(min(max(CONTEXT.ceil(goal - REACHED * count), 1), count)) - 1

    def _goal(self, total: Any) -> Any:
        """The cumulated weight that is to be reached, less what rounding of weights may hide."""
        goal = self.share() * CONTEXT.mpf(float(total))
        low = max(goal - CONTEXT.mpf(REACHED * float(total)), goal * CONTEXT.mpf(1e-14))
        return np.longdouble(float(low))

    # --- its value ---

    def at_row(self, row: int, known: Mapping[Symbol, Any]) -> Any:
        given = [CONTEXT.mpf(float(v[row])) for v in self.columns.values()]
        kernel = _at_240_bits(self.arguments, self.order.summand)
        return _number_of(kernel, [*given, *(known[s] for s in self.order.scalars)])

    def settled(self, patience: int) -> Found:
        """The value at 240 bits, after the rows that doubles cannot tell apart are put in order."""
        if not np.isfinite(self.values).all():
            return self._among(np.arange(len(self.values)), patience) or Found(CONTEXT.nan, CONTEXT.inf)
        row = self.chosen()
        value = self.values[row]
        spots = {row, *np.linspace(0, len(self.values) - 1, 5).astype(int).tolist()}
        worst = CONTEXT.mpf(0)
        for spot in spots:
            off = abs(self.at_row(spot, self.known) - CONTEXT.mpf(float(self.values[spot])))
            worst = max(worst, off) if CONTEXT.isfinite(off) else worst
        number = self.at_row(row, self.known)
        if not worst:
            return self._found(number, row)
        window = NEAR * (worst + EPS * abs(CONTEXT.mpf(float(value))))
        near = np.flatnonzero(np.abs(self.values - value) <= float(window))
        return self._among(near, patience) or Found(number, window, self._again(row))

    def _found(self, number: Any, row: int) -> Found:
        return Found(number, CONTEXT.mpf(0), self._again(row))

    def _again(self, row: int) -> Callable[[Mapping[Symbol, Any]], Any] | None:
        return (lambda known: self.at_row(row, known)) if self.order.scalars else None

    def _among(self, near: Array, patience: int) -> Found | None:
        """The order statistic where it lies among a few rows; all others are below or above them."""
        stacked = np.column_stack([v[near] for v in self.columns.values()])
        distinct, first, inverse = np.unique(stacked, axis=0, return_index=True, return_inverse=True)
        if len(distinct) > patience:
            return None
        exact = [self.at_row(int(near[k]), self.known) for k in first]
        if any(CONTEXT.isnan(v) for v in exact):
            return None
        ranks = sorted(range(len(exact)), key=lambda k: exact[k])
        if self.kind in ("Minimum", "Maximum"):
            k = ranks[0 if self.kind == "Minimum" else -1]
            return self._found(exact[k], int(near[first[k]]))
        w = np.ones(len(self.values)) if self.weights is None else self.weights
        held = np.zeros(len(distinct), dtype=np.longdouble)
        np.add.at(held, np.ravel(inverse), w[near])
        inside = np.zeros(len(self.values), dtype=bool)
        inside[near] = True
        below = (self.values < np.min(self.values[near])) & ~inside
        so_far = np.sum(w[below], dtype=np.longdouble)
        goal = self._goal(np.sum(w, dtype=np.longdouble))
        for k in ranks:
            so_far += held[k]
            if so_far >= goal:
                return self._found(exact[k], int(near[first[k]]))
        k = ranks[-1]
        return self._found(exact[k], int(near[first[k]]))


__all__ = ["Found", "direction_of", "ordered_value"]
