"""Interval arithmetic on arrays, rounded outwards: every operation returns an interval that holds every value.

An `Interval` is a pair of arrays of one shape (or shapes that broadcast). Sums, products and quotients are
widened by one unit in the last place, elementary functions of the C library and NumPy by eight (their own
tests hold four). Where a function is not defined on all of an interval, the enclosure is that of its values
where it is defined; where it is defined nowhere it is the whole line, so that nothing can be concluded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_SLACK = 2.0**-49  # eight units in the last place
_TINY = 5e-324 * 16


def down(value: Any) -> Array:
    """The next float below; nan (an undefined operation) counts as minus infinity."""
    lowered = np.nextafter(value, -np.inf)
    return np.where(np.isnan(lowered), -np.inf, lowered)


def up(value: Any) -> Array:
    """The next float above; nan counts as infinity."""
    raised = np.nextafter(value, np.inf)
    return np.where(np.isnan(raised), np.inf, raised)


def _below(value: Any, slack: float = _SLACK) -> Array:
    lowered = value - (np.abs(value) * slack + _TINY)
    # an infinite value stands for a limit or an overflow: the largest finite number is below it
    lowered = np.where(value == np.inf, np.finfo(float).max, lowered)
    return np.where(np.isnan(lowered), -np.inf, lowered)


def _above(value: Any, slack: float = _SLACK) -> Array:
    raised = value + (np.abs(value) * slack + _TINY)
    raised = np.where(value == -np.inf, -np.finfo(float).max, raised)
    return np.where(np.isnan(raised), np.inf, raised)


@dataclass(frozen=True, eq=False)
class Interval:
    """Arrays lo <= hi: sets of numbers, one an entry."""

    lo: Array
    hi: Array

    @classmethod
    def of(cls, value: Any) -> Interval:
        """The points of an array of floats."""
        array = np.asarray(value, dtype=float)
        return cls(array, array)

    @property
    def is_zero(self) -> bool:
        return bool(np.all(self.lo == 0) and np.all(self.hi == 0))

    @property
    def middle(self) -> Array:
        with np.errstate(all="ignore"):
            return np.clip(0.5 * self.lo + 0.5 * self.hi, self.lo, self.hi)

    def __add__(self, other: Interval) -> Interval:
        return Interval(down(self.lo + other.lo), up(self.hi + other.hi))

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(down(self.lo - other.hi), up(self.hi - other.lo))

    def __mul__(self, other: Interval) -> Interval:
        lo, hi = _product_hull(self, other)
        return Interval(down(lo), up(hi))

    def __truediv__(self, other: Interval) -> Interval:
        return self * reciprocal(other)

    def scaled(self, factor: float) -> Interval:
        """Times one float."""
        lo, hi = (self.lo, self.hi) if factor >= 0 else (self.hi, self.lo)
        if abs(factor) in (1.0, 2.0, 0.5):
            return Interval(lo * factor, hi * factor)
        return Interval(down(lo * factor), up(hi * factor))

    def intersection(self, other: Interval) -> Interval:
        """Both enclosures hold, so does what they share (rounding can never make it empty)."""
        return Interval(np.maximum(self.lo, other.lo), np.minimum(self.hi, other.hi))


def _product_hull(a: Interval, b: Interval) -> tuple[Array, Array]:
    products = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi]
    # 0 * inf: an infinite bound is never attained, so the product of every value with 0 is 0
    products = [np.where(np.isnan(p), 0.0, p) for p in products]
    lo = np.minimum(np.minimum(products[0], products[1]), np.minimum(products[2], products[3]))
    hi = np.maximum(np.maximum(products[0], products[1]), np.maximum(products[2], products[3]))
    return lo, hi


def whole(like: Interval) -> Interval:
    return Interval(np.full_like(like.lo, -np.inf), np.full_like(like.hi, np.inf))


def where(mask: Any, a: Interval, b: Interval) -> Interval:
    return Interval(np.where(mask, a.lo, b.lo), np.where(mask, a.hi, b.hi))


def reciprocal(a: Interval) -> Interval:
    """1/a; the whole line where 0 is inside."""
    inside = (a.lo < 0) & (a.hi > 0) | (a.lo == 0) & (a.hi == 0)
    lo = np.where(a.hi == 0, -np.inf, down(1.0 / a.hi))
    hi = np.where(a.lo == 0, np.inf, up(1.0 / a.lo))
    return Interval(np.where(inside, -np.inf, lo), np.where(inside, np.inf, hi))


def square(a: Interval) -> Interval:
    return integer_power(a, 2)


def integer_power(a: Interval, n: int) -> Interval:
    """a**n for an integer n."""
    if n < 0:
        return reciprocal(integer_power(a, -n))
    if n == 0:
        return Interval(np.ones_like(a.lo), np.ones_like(a.hi))
    if n == 1:
        return a
    lo, hi = a.lo**n, a.hi**n
    if n % 2 == 0:
        straddles = (a.lo <= 0) & (a.hi >= 0)
        lo, hi = np.where(straddles, 0.0, np.minimum(lo, hi)), np.maximum(lo, hi)
        return Interval(np.maximum(_below(lo), 0.0), _above(hi))
    return Interval(_below(lo), _above(hi))


def real_power(a: Interval, exponent: float) -> Interval:
    """a**exponent for a float exponent, a >= 0 (values below 0 are outside the domain)."""
    if exponent < 0:
        return reciprocal(real_power(a, -exponent))
    base = Interval(np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0))
    if exponent == 0.5:
        lo, hi = down(np.sqrt(base.lo)), up(np.sqrt(base.hi))
    else:
        lo, hi = _below(base.lo**exponent), _above(base.hi**exponent)
    lo = np.where(a.hi < 0, -np.inf, np.maximum(lo, 0.0))
    return Interval(lo, np.where(a.hi < 0, np.inf, hi))


def increasing(
    function: Callable[[Array], Array], least: float = -np.inf, most: float = np.inf, slack: float = _SLACK
) -> Callable[[Interval], Interval]:
    """The enclosure of an increasing function with values in [least, most]."""

    def enclose(a: Interval) -> Interval:
        lo, hi = _below(function(a.lo), slack), _above(function(a.hi), slack)
        return Interval(np.maximum(lo, least), np.minimum(hi, most))

    return enclose


exponential = increasing(np.exp, least=0.0)
exponential_minus_one = increasing(np.expm1, least=-1.0)
arctangent = increasing(np.arctan, least=-1.5707963267948968, most=1.5707963267948968)
hyperbolic_tangent = increasing(np.tanh, least=-1.0, most=1.0)
hyperbolic_sine = increasing(np.sinh)
inverse_hyperbolic_sine = increasing(np.arcsinh)


def logarithm(a: Interval) -> Interval:
    """log a on the part of a that is positive."""
    lo = np.where(a.lo > 0, _below(np.log(np.maximum(a.lo, 1e-323))), -np.inf)
    hi = np.where(a.hi > 0, _above(np.log(np.maximum(a.hi, 1e-323))), np.inf)
    return Interval(lo, hi)


def logarithm_of_one_plus(a: Interval) -> Interval:
    inside_lo, inside_hi = a.lo > -1, a.hi > -1
    lo = np.where(inside_lo, _below(np.log1p(np.where(inside_lo, a.lo, 0.0))), -np.inf)
    hi = np.where(inside_hi, _above(np.log1p(np.where(inside_hi, a.hi, 0.0))), np.inf)
    return Interval(lo, hi)


def hyperbolic_cosine(a: Interval) -> Interval:
    size = absolute(a)
    return Interval(np.maximum(_below(np.cosh(size.lo)), 1.0), _above(np.cosh(size.hi)))


def absolute(a: Interval) -> Interval:
    straddles = (a.lo <= 0) & (a.hi >= 0)
    low, high = np.abs(a.lo), np.abs(a.hi)
    return Interval(np.where(straddles, 0.0, np.minimum(low, high)), np.maximum(low, high))


def signum(a: Interval) -> Interval:
    return Interval(np.sign(a.lo), np.sign(a.hi))


def cosine(a: Interval) -> Interval:
    """cos a, by whether a multiple of pi lies inside (tested with slack for the rounding of pi)."""
    size = np.maximum(np.abs(a.lo), np.abs(a.hi))
    known = size < 1e6
    first = np.where(known, a.lo, 0.0) / np.pi
    last = np.where(known, a.hi, 0.0) / np.pi
    slack = 1e-9
    top = np.floor((last + slack) / 2) >= np.ceil((first - slack) / 2)  # an even multiple
    bottom = np.floor((last + slack - 1) / 2) >= np.ceil((first - slack - 1) / 2)
    at_lo, at_hi = np.cos(np.where(known, a.lo, 0.0)), np.cos(np.where(known, a.hi, 0.0))
    lo = np.where(bottom | ~known, -1.0, np.minimum(at_lo, at_hi) - 1e-15)
    hi = np.where(top | ~known, 1.0, np.maximum(at_lo, at_hi) + 1e-15)
    return Interval(np.maximum(lo, -1.0), np.minimum(hi, 1.0))


_HALF_PI = Interval(np.float64(1.5707963267948966), np.float64(1.5707963267948968))  # type: ignore[arg-type]


def sine(a: Interval) -> Interval:
    return cosine(a - _HALF_PI)


def arctangent_of_quotient(y: Interval, x: Interval) -> Interval:
    """atan2(y, x): by corners where the box is away from the cut, else [-pi, pi]."""
    corners = [np.arctan2(u, v) for u in (y.lo, y.hi) for v in (x.lo, x.hi)]
    lo = _below(np.minimum(np.minimum(corners[0], corners[1]), np.minimum(corners[2], corners[3])))
    hi = _above(np.maximum(np.maximum(corners[0], corners[1]), np.maximum(corners[2], corners[3])))
    away = (x.lo > 0) | (y.lo > 0) | (y.hi < 0)
    return Interval(np.where(away, lo, -3.1415926535897936), np.where(away, hi, 3.1415926535897936))


def weighted_mean(a: Interval, shares: Array) -> Interval:
    """sum_i shares_i a_i over the last axis, kept as an axis of length one.

    The error of a sum of n products is below (n + 2) units of roundoff times the sum of sizes.
    """
    low, high = a.lo * shares, a.hi * shares
    low = np.where(shares == 0, 0.0, low)
    high = np.where(shares == 0, 0.0, high)
    unit = (low.shape[-1] + 4) * 2.0**-52
    lo = low.sum(axis=-1, keepdims=True)
    hi = high.sum(axis=-1, keepdims=True)
    lo = lo - unit * np.abs(low).sum(axis=-1, keepdims=True) - _TINY * low.shape[-1]
    hi = hi + unit * np.abs(high).sum(axis=-1, keepdims=True) + _TINY * low.shape[-1]
    return Interval(
        np.where(np.isnan(lo), -np.inf, np.minimum(lo, np.finfo(float).max)),
        np.where(np.isnan(hi), np.inf, np.maximum(hi, -np.finfo(float).max)),
    )
