"""Which rows of a column lie outside a support: intervals, ranges, finite sets, their unions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import (
    Complement,
    Expr,
    FiniteSet,
    Intersection,
    Interval,
    Range,
    S,
    Set,
    Symbol,
    Union,
    lambdify,
    oo,
)

from symmle.algebra import Bounds as ValueBounds
from symmle.algebra import Facts, bounds_of_set
from symmle.declare.declaration import Declaration

Array = NDArray[Any]


def is_discrete(support: Set) -> bool:
    """Whether the support holds whole numbers or finitely many points alone."""
    if isinstance(support, (Range, FiniteSet)):
        return True
    if support in (S.Integers, S.Naturals, S.Naturals0):
        return True
    if isinstance(support, (Union, Intersection)):
        return all(is_discrete(part) for part in support.args)
    if isinstance(support, Complement):
        return is_discrete(support.args[0])  # type: ignore[arg-type]
    return False


def holds_booleans(support: Set | None) -> bool:
    """Whether True and False can be meant: a support within {0, 1}."""
    if support is None:
        return True
    if isinstance(support, FiniteSet):
        return all(element in (S.Zero, S.One) for element in support)
    return isinstance(support, Range) and support.size in (1, 2) and support.inf >= 0 and support.sup <= 1


class Bounds:
    """Numbers for the constants and columns that a bound names; None where it names a parameter."""

    def __init__(self, constants: Mapping[Symbol, Any], columns: Mapping[Symbol, Array]):
        self.constants = {k: v for k, v in constants.items() if v is not None}
        self.columns = columns

    def value(self, bound: Expr) -> Any:
        """A float, an array (one bound a row), or None for a bound that is not known yet."""
        if bound.is_number:
            return _float(bound)
        bound = bound.subs(self.constants)
        names = sorted(bound.free_symbols, key=str)
        if not names:
            return _float(bound)
        if not set(names) <= set(self.columns):
            return None
        arguments = [Symbol(f"c{i}") for i in range(len(names))]
        function = lambdify(arguments, bound.subs(dict(zip(names, arguments, strict=True))), "numpy")
        return function(*(self.columns[name] for name in names))


def widest(support: Set, declaration: Declaration, columns: frozenset[Symbol]) -> Set:
    """An interval that holds the support for every parameter value: bounds that name parameters at their extremes."""
    if not isinstance(support, Interval) or not support.free_symbols & set(declaration.parameters):
        return support
    if support.free_symbols & columns:
        return support
    known: dict[Symbol, Any] = {}
    for symbol, value in declaration.constants.items():
        if value is not None:
            known[symbol] = ValueBounds(value, value)
    for symbol, domain in declaration.parameters.items():
        found = bounds_of_set(domain, {c: v for c, v in declaration.constants.items() if v is not None})
        if found is not None:
            known[symbol] = found
    finder = Facts(known)
    low, high = finder.range_of(support.start), finder.range_of(support.end)
    start, start_open = (-oo, True) if low is None else (low.lo, low.lo_open)
    end, end_open = (oo, True) if high is None else (high.hi, high.hi_open)
    if not (start.is_number and end.is_number):
        return support
    return Interval(start, end, bool(start_open or support.left_open), bool(end_open or support.right_open))


@lru_cache(maxsize=1024)
def _float(bound: Expr) -> float:
    return float(bound)


def outside(
    values: Array, support: Set, bounds: Bounds, lowest: float, highest: float, whole: bool = False
) -> Array | None:
    """The mask of rows outside the support, or None where every row is inside.

    `lowest` and `highest` are the extremes of the column, so that constant bounds cost two
    comparisons; `whole` says that the column is known to hold whole numbers.
    """
    if isinstance(support, Interval):
        return _merge(
            _below(values, bounds.value(support.start), support.left_open, lowest),
            _above(values, bounds.value(support.end), support.right_open, highest),
        )
    if isinstance(support, Range) or support in (S.Integers, S.Naturals, S.Naturals0):
        return _outside_whole(values, support, bounds, lowest, highest, whole)
    if isinstance(support, FiniteSet):
        wanted = [bounds.value(element) for element in support]
        if any(value is None for value in wanted):
            return None
        member = np.zeros(values.shape, dtype=bool)
        for value in wanted:
            member |= values == value
        return None if member.all() else ~member
    if isinstance(support, Union):
        masks = [outside(values, part, bounds, lowest, highest) for part in support.args]
        if any(mask is None for mask in masks):
            return None
        return _any_or_none(np.logical_and.reduce([m for m in masks if m is not None]))
    if isinstance(support, Intersection):
        result = None
        for part in support.args:
            result = _merge(result, outside(values, part, bounds, lowest, highest))
        return result
    if isinstance(support, Complement):
        base, removed = support.args
        missed = outside(values, removed, bounds, lowest, highest)  # type: ignore[arg-type]
        hit = np.ones(values.shape, dtype=bool) if missed is None else ~missed
        return _merge(outside(values, base, bounds, lowest, highest), _any_or_none(hit))  # type: ignore[arg-type]
    return None


def _outside_whole(
    values: Array, support: Set, bounds: Bounds, lowest: float, highest: float, whole: bool
) -> Array | None:
    mask = None if whole else not_whole(values)
    start, end, step = -oo, oo, 1
    if isinstance(support, Range):
        start, step = support.start, support.step
        # the last element of Range(a, b, 1) is b - 1, symbolic or not
        end = support.stop - 1 if step == 1 and support.stop != oo else support.stop
        if step != 1 and not support.free_symbols:
            inside = np.array([int(v) in support for v in np.unique(values) if v == np.floor(v)], dtype=bool)
            if inside.all():
                return mask
            wrong = [v for v in np.unique(values) if v != np.floor(v) or int(v) not in support]
            return _merge(mask, np.isin(values, wrong))
    elif support == S.Naturals:
        start = S.One
    elif support == S.Naturals0:
        start = S.Zero
    mask = _merge(mask, _below(values, bounds.value(S(start)), False, lowest))
    return _merge(mask, _above(values, bounds.value(S(end)), False, highest))


def not_whole(values: Array, block: int = 1 << 14) -> Array | None:
    """The mask of rows that hold no whole number, or None."""
    for low in range(0, len(values), block):
        part = values[low : low + block]
        if not np.array_equal(part, np.floor(part)):
            return values != np.floor(values)
    return None


def _below(values: Array, bound: Any, is_open: bool, lowest: float) -> Array | None:
    if bound is None:
        return None
    if not isinstance(bound, np.ndarray) and (lowest > bound or (lowest == bound and not is_open)):
        return None
    return _any_or_none(values <= bound if is_open else values < bound)


def _above(values: Array, bound: Any, is_open: bool, highest: float) -> Array | None:
    if bound is None:
        return None
    if not isinstance(bound, np.ndarray) and (highest < bound or (highest == bound and not is_open)):
        return None
    return _any_or_none(values >= bound if is_open else values > bound)


def _any_or_none(mask: Array) -> Array | None:
    return mask if mask.any() else None


def _merge(first: Array | None, second: Array | None) -> Array | None:
    if first is None:
        return second
    return first if second is None else first | second
