"""Expansions on a whole tail [U, oo): sums of enclosed coefficients times monomials in the order of growth.

A monomial is exp(L) where L is a linear combination of infinite monomials of lower level, with exact
coefficients: u**b = exp(b log u), exp(a u), exp(c exp(a u)) and so on; the lowest is log log u. So the monomials
are a group in which growth is compared by the leading term of L (Hardy's logarithmico-exponential scale;
van der Hoeven, Transseries and Real Differential Algebra, 2006). A `Series` says: for every u >= U there are
numbers in the coefficients' enclosures that make the sum true. So nothing is left out as "smaller order": the
value of a series on the whole tail is bounded by `Growth.bounds`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import cmp_to_key

from symmle.fitting.intervals_numbers import (
    Atoms,
    Bounds,
    Number,
    TooSoonError,
    UnresolvedError,
    add_bounds,
    exp_bounds,
    invert_bounds,
    multiply_bounds,
)

Series = dict[int, Number]  # monomial -> coefficient
_INFINITE = (-math.inf, math.inf)


class Growth:
    """The monomials of one tail u >= start, and arithmetic of series on it."""

    START = 256.0

    def __init__(self, order: int = 4, length: int = 10):
        self.atoms = Atoms()
        self.order = order
        self.length = length
        self._exponents: list[Series] = [{}, {}, {}]
        self._ids: dict[frozenset[tuple[int, object]], int] = {frozenset(): 0}
        self._compared: dict[tuple[int, int], int] = {}
        self._bounded: dict[int, Bounds] = {}
        self.one, self.loglog, self._logloglog = 0, 1, 2
        log = math.log(self.START)
        self._bounded[0] = (1.0, 1.0)
        self._bounded[1] = (math.log(log) * (1 - 1e-14), math.inf)
        self.log_u = self.monomial({self.loglog: self.rational(1)})
        self.u = self.monomial({self.log_u: self.rational(1)})

    # -- numbers and monomials ----------------------------------------------------------------------

    def rational(self, value: Fraction | int) -> Number:
        return Number.rational(self.atoms, value)

    def monomial(self, exponent: Series) -> int:
        exponent = {m: c for m, c in exponent.items() if not c.bounds[0] <= 0 <= c.bounds[1] or c.sign() != 0}
        key = frozenset((m, c.key) for m, c in exponent.items())
        found = self._ids.get(key)
        if found is None:
            self._exponents.append(exponent)
            found = self._ids[key] = len(self._exponents) - 1
        return found

    def _difference(self, a: int, b: int) -> Series:
        """The exponent of a/b."""
        if 1 in (a, b) or 2 in (a, b):
            raise UnresolvedError("an iterated logarithm stands in an exponent")
        found = dict(self._exponents[a])
        for m, c in self._exponents[b].items():
            total = found[m] - c if m in found else -c
            if total.is_zero:
                found.pop(m, None)
            else:
                found[m] = total
        return found

    def compare(self, a: int, b: int) -> int:
        """1 where a/b grows without bound, -1 where it falls to 0, 0 where a is b."""
        if a == b:
            return 0
        found = self._compared.get((a, b))
        if found is None:
            found = self._compare(a, b)
            self._compared[a, b] = found
            self._compared[b, a] = -found
        return found

    def _compare(self, a: int, b: int) -> int:
        if b in (1, 2) and a not in (1, 2):
            return -self._compare(b, a)
        if a in (1, 2):
            if b in (1, 2):
                return 1 if a < b else -1
            if b == 0:
                return 1
            # log log u against exp(L): any infinite L of this scale is at least log log u itself
            return -self._exponents[b][self.leading(self._exponents[b])].sign()
        difference = {m: c for m, c in self._difference(a, b).items() if c.sign() != 0}
        return difference[self.leading(difference)].sign() if difference else 0

    def leading(self, series: Iterable[int]) -> int:
        best: int | None = None
        for m in series:
            if best is None or self.compare(m, best) > 0:
                best = m
        if best is None:
            raise UnresolvedError("a series is zero")
        return best

    def quotient(self, a: int, b: int) -> int:
        return self.monomial(self._difference(a, b))

    def product(self, a: int, b: int) -> int:
        if a == 0:
            return b
        if b == 0:
            return a
        for one, other in ((a, b), (b, a)):
            if one in (1, 2):
                raise UnresolvedError("an iterated logarithm stands in a product")
            del other
        found = dict(self._exponents[a])
        for m, c in self._exponents[b].items():
            total = found[m] + c if m in found else c
            if total.is_zero:
                found.pop(m, None)
            else:
                found[m] = total
        return self.monomial(found)

    def exponent_of(self, m: int) -> Series:
        """log of the monomial, as a series."""
        if m in (1, 2):
            raise UnresolvedError("the logarithm of an iterated logarithm")
        return dict(self._exponents[m])

    # -- bounds on the whole tail --------------------------------------------------------------------

    def monomial_bounds(self, m: int) -> Bounds:
        found = self._bounded.get(m)
        if found is None:
            found = self._bounded[m] = exp_bounds(self._linear_bounds(self._exponents[m]))
        return found

    def _ratio_bounds(self, a: int, b: int) -> Bounds:
        """a/b for a of smaller growth than b, both infinite."""
        if a == self.loglog and b == self.log_u:  # y exp(-y) falls for y >= 1
            y = self._bounded[1][0]
            return 0.0, y * math.exp(-y) * (1 + 1e-12)
        if a == self.loglog:
            lo, hi = self._ratio_bounds(a, self.log_u)
            return multiply_bounds((lo, hi), self._ratio_bounds(self.log_u, b))
        return 0.0, self.monomial_bounds(self.quotient(a, b))[1]

    def _linear_bounds(self, exponent: Series) -> Bounds:
        """Bounds of a sum of infinite monomials: by its leading one, which must prevail from U on."""
        if not exponent:
            return 0.0, 0.0
        top = self.leading(exponent)
        bracket = exponent[top].bounds
        for m, c in exponent.items():
            if m != top:
                bracket = add_bounds(bracket, multiply_bounds(c.bounds, self._ratio_bounds(m, top)))
        if len(exponent) == 1 and bracket[0] <= 0 <= bracket[1]:  # a sign that is known exactly
            sign = exponent[top].sign()
            return (0.0, math.inf) if sign > 0 else (-math.inf, 0.0)
        least = self.monomial_bounds(top)[0]
        if bracket[0] > 0:
            return multiply_bounds((bracket[0], bracket[0]), (least, least))[0], math.inf
        if bracket[1] < 0:
            return -math.inf, multiply_bounds((bracket[1], bracket[1]), (least, least))[1]
        raise TooSoonError("the leading term does not prevail at the start of the tail")

    def bounds(self, series: Series) -> Bounds:
        """An enclosure of the values on the whole tail."""
        infinite = {m: c for m, c in series.items() if m != 0 and self.compare(m, 0) > 0}
        total = (0.0, 0.0)
        for m, c in series.items():
            if m not in infinite:
                total = add_bounds(total, multiply_bounds(c.bounds, self.monomial_bounds(m)))
        if not infinite:
            return total
        try:
            return add_bounds(total, self._linear_bounds(infinite))
        except TooSoonError:
            raise
        except UnresolvedError:
            return _INFINITE

    # -- arithmetic ------------------------------------------------------------------------------------

    def constant(self, value: Number) -> Series:
        return {} if value.is_zero else {0: value}

    def add(self, *parts: Series) -> Series:
        found: Series = {}
        for part in parts:
            for m, c in part.items():
                total = found[m] + c if m in found else c
                if total.is_zero:
                    found.pop(m, None)
                else:
                    found[m] = total
        return self.trimmed(found)

    def scale(self, series: Series, factor: Number) -> Series:
        if factor.is_zero:
            return {}
        return {m: c * factor for m, c in series.items()}

    def negative(self, series: Series) -> Series:
        return {m: -c for m, c in series.items()}

    def multiply(self, a: Series, b: Series) -> Series:
        found: Series = {}
        for m, c in a.items():
            for q, d in b.items():
                both = self.product(m, q)
                total = found[both] + c * d if both in found else c * d
                if total.is_zero:
                    found.pop(both, None)
                else:
                    found[both] = total
        return self.trimmed(found)

    def trimmed(self, series: Series) -> Series:
        """At most `length` terms: smaller ones are drawn into the coefficient of the last that stays."""
        if len(series) <= self.length:
            return series
        ordered = sorted(series, key=cmp_to_key(self.compare), reverse=True)
        kept = {m: series[m] for m in ordered[: self.length]}
        last = ordered[self.length - 1]
        lo, hi = kept[last].bounds
        for m in ordered[self.length :]:
            ratio = self.monomial_bounds(self.quotient(m, last))[1]
            extra = multiply_bounds(series[m].bounds, (0.0, ratio))
            lo, hi = add_bounds((lo, hi), extra)
        kept[last] = Number.within(self.atoms, (lo, hi))
        return kept

    def split(self, series: Series) -> tuple[Series, Number, Series]:
        """The infinite part, the constant, and the part that falls to 0."""
        infinite, small, constant = {}, {}, self.rational(0)
        for m, c in series.items():
            if m == 0:
                constant = c
            elif self.compare(m, 0) > 0:
                infinite[m] = c
            else:
                small[m] = c
        return infinite, constant, small

    def factored(self, series: Series) -> tuple[int, Number, Series]:
        """m, c, e with series = c m (1 + e), e falling to 0, and c of known sign."""
        top = self.leading(series)
        c = series[top]
        c.sign()
        inverse = c.inverse()
        rest = {self.quotient(m, top): d * inverse for m, d in series.items() if m != top}
        return top, c, rest

    def polynomial(self, coefficients: Sequence[Fraction], rest: Series, remainder: Bounds) -> Series:
        """sum coefficients[k] rest**k + [remainder] rest**K, K the number of coefficients."""
        power: Series = {0: self.rational(1)}
        parts = []
        for a in coefficients:
            parts.append(self.scale(power, self.rational(a)))
            power = self.multiply(power, rest)
        parts.append(self.scale(power, Number.within(self.atoms, remainder)))
        return self.add(*parts)

    def small_bounds(self, rest: Series) -> Bounds:
        lo, hi = self.bounds(rest)
        if not (lo > -0.75 and hi < 8.0):
            raise TooSoonError("the correction to the leading term is not small yet")
        return min(lo, 0.0), max(hi, 0.0)

    def power_of_one_plus(self, rest: Series, p: Fraction) -> Series:
        """(1 + rest)**p by the binomial series with Lagrange's remainder."""
        if not rest:
            return {0: self.rational(1)}
        lo, hi = self.small_bounds(rest)
        coefficients, binomial = [], Fraction(1)
        for k in range(self.order):
            coefficients.append(binomial)
            binomial = binomial * (p - k) / (k + 1)
        q = float(p) - self.order
        ends = [(1 + lo) ** q, (1 + hi) ** q]
        spread = (min(ends) * (1 - 1e-13), max(ends) * (1 + 1e-13))
        return self.polynomial(coefficients, rest, multiply_bounds(_of(binomial), spread))

    def inverse(self, series: Series) -> Series:
        top, c, rest = self.factored(series)
        outer = {self.quotient(0, top): c.inverse()}
        return self.multiply(outer, self.power_of_one_plus(rest, Fraction(-1)))

    def rational_power(self, series: Series, p: Fraction) -> Series:
        if p.denominator == 1 and 0 <= p.numerator <= 6:
            found: Series = {0: self.rational(1)}
            for _ in range(p.numerator):
                found = self.multiply(found, series)
            return found
        top, c, rest = self.factored(series)
        exponent = {m: d * self.rational(p) for m, d in self.exponent_of(top).items()}
        if p.denominator == 1:
            factor = self.rational(1)
            base = c if p > 0 else c.inverse()
            for _ in range(abs(p.numerator)):
                factor = factor * base
        else:
            if c.sign() < 0:
                raise UnresolvedError("a fractional power of a negative number")
            if c.is_rational and c.fraction == 1:
                factor = c
            else:
                factor = (c.logarithm() * self.rational(p)).exponential()
        return self.multiply({self.monomial(exponent): factor}, self.power_of_one_plus(rest, p))

    def log_of_one_plus(self, rest: Series) -> Series:
        if not rest:
            return {}
        lo, hi = self.small_bounds(rest)
        coefficients = [Fraction(0)] + [Fraction((-1) ** (k + 1), k) for k in range(1, self.order)]
        k = self.order
        ends = [(1 + lo) ** -k / k, (1 + hi) ** -k / k]
        spread = (min(ends) * (1 - 1e-13), max(ends) * (1 + 1e-13))
        if k % 2 == 0:
            spread = (-spread[1], -spread[0])
        return self.polynomial(coefficients, rest, spread)

    def logarithm(self, series: Series) -> Series:
        top, c, rest = self.factored(series)
        if c.sign() < 0:
            raise UnresolvedError("the logarithm of a negative number")
        return self.add(self.exponent_of(top), self.constant(c.logarithm()), self.log_of_one_plus(rest))

    def exponential(self, series: Series) -> Series:
        infinite, constant, small = self.split(series)
        if any(c.terms is None for c in infinite.values()):
            raise UnresolvedError("an exponent is known by bounds alone")
        outer = {self.monomial(infinite): constant.exponential()}
        if not small:
            return outer
        lo, hi = self.bounds(small)
        if max(abs(lo), abs(hi)) > 8:
            raise TooSoonError("the correction in an exponent is not small yet")
        coefficients = [Fraction(1, math.factorial(k)) for k in range(self.order)]
        ends = exp_bounds((min(lo, 0.0), max(hi, 0.0)))
        last = 1 / math.factorial(self.order)
        inner = self.polynomial(
            coefficients, small, multiply_bounds(ends, (last * (1 - 1e-15), last * (1 + 1e-15)))
        )
        return self.multiply(outer, inner)

    def taylor(self, values: Sequence[Number], small: Series, second: Bounds) -> Series:
        """values[0] + values[1] e + [second]/2 e**2."""
        half = multiply_bounds(second, (0.5, 0.5))
        square = self.multiply(small, small)
        return self.add(
            self.constant(values[0]),
            self.scale(small, values[1]),
            self.scale(square, Number.within(self.atoms, half)),
        )

    def inside(self, bounds: Bounds) -> Series:
        return {0: Number.within(self.atoms, bounds)}

    def shape(self, series: Series) -> tuple[int, Number]:
        """1, c for c m with m infinite; 0, c for a limit c that is not 0; -1, c for c m that falls to 0."""
        top = self.leading(series)
        c = series[top]
        return (0 if top == 0 else self.compare(top, 0)), c


def _of(f: Fraction) -> Bounds:
    x = float(f)
    return (x, x) if Fraction(x) == f else (math.nextafter(x, -math.inf), math.nextafter(x, math.inf))


__all__ = ["Growth", "Series", "TooSoonError", "UnresolvedError", "invert_bounds"]
