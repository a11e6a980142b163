"""Asymptotic expansions of special functions with bounded remainders, on series that hold on a whole tail."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from fractions import Fraction
from math import factorial

import numpy as np
import sympy as sp

from symmle.fitting.intervals import Interval
from symmle.fitting.intervals_functions import RULES, Rule, polygamma_rule
from symmle.fitting.intervals_growth import Growth, Series
from symmle.fitting.intervals_numbers import Bounds, Number, UnresolvedError
from symmle.fitting.intervals_program import enclosed_number


class Asymptotics:
    """Functions of series: by Taylor's formula at a finite limit, by their asymptotic series at 0 and oo."""

    def __init__(self, growth: Growth):
        self.growth = growth

    def _rational(self, value: Fraction | int) -> Number:
        return self.growth.rational(value)

    def _constant_of(self, e: sp.Expr) -> Number:
        if e.is_Rational:
            return self._rational(Fraction(int(e.p), int(e.q)))
        return self.growth.atoms.atom(("number", e), lambda: _scalar(enclosed_number(e)))

    def _settled(self, series: Series) -> None:
        """Raises unless the sign of the leading term is the sign on the whole tail."""
        _, _, rest = self.growth.factored(series)
        self.growth.small_bounds(rest)

    def _smooth(self, name: Hashable, rule: Rule, inner: Series) -> Series:
        """f(c + e) = f(c) + f'(c) e + f''(between) e**2/2 where e falls to 0."""
        grow = self.growth
        infinite, constant, small = grow.split(inner)
        if infinite and name in (sp.sin, sp.cos):
            return grow.inside((-1.0, 1.0))
        if infinite:
            raise UnresolvedError(f"{name} of an argument that grows has no expansion")
        value = constant.function(name, _enclosing(rule, 0))
        if not small:
            return grow.constant(value)
        slope = constant.function((name, "slope"), _enclosing(rule, 1))
        lo, hi = grow.bounds(small)
        c = constant.bounds
        around = (
            float(np.nextafter(c[0] + min(lo, 0.0), -np.inf)),
            float(np.nextafter(c[1] + max(hi, 0.0), np.inf)),
        )
        return grow.taylor((value, slope), small, _enclosing(rule, 2)(around))

    def _log_gamma(self, g: Series) -> Series:
        grow = self.growth
        kind, c = grow.shape(g)
        if c.sign() < 0:
            raise UnresolvedError("log-gamma of a negative argument")
        if kind == 0:
            return self._smooth(sp.loggamma, RULES[sp.loggamma], g)
        if kind < 0:
            self._settled(g)
            shifted = grow.add(grow.constant(self._rational(1)), g)
            return grow.add(
                self._smooth(sp.loggamma, RULES[sp.loggamma], shifted), grow.negative(grow.logarithm(g))
            )
        self._settled(g)
        log, inverse = grow.logarithm(g), grow.inverse(g)
        half_log = self._constant_of(sp.log(2 * sp.pi) / 2)
        shifted = grow.add(g, grow.constant(self._rational(Fraction(-1, 2))))
        cube = grow.multiply(inverse, grow.multiply(inverse, inverse))
        return grow.add(
            grow.multiply(shifted, log),
            grow.negative(g),
            grow.constant(half_log),
            grow.scale(inverse, self._rational(Fraction(1, 12))),
            grow.scale(cube, self._within(-1 / 359, 0.0)),
        )

    def _polygamma(self, m: int, g: Series) -> Series:
        grow = self.growth
        kind, c = grow.shape(g)
        if c.sign() < 0:
            raise UnresolvedError("polygamma of a negative argument")
        if kind == 0:
            return self._smooth(("polygamma", m), polygamma_rule(m), g)
        self._settled(g)
        inverse = grow.inverse(g)

        def power(n: int) -> Series:
            found = grow.constant(self._rational(1))
            for _ in range(n):
                found = grow.multiply(found, inverse)
            return found

        if kind < 0:
            shifted = grow.add(grow.constant(self._rational(1)), g)
            pole = self._rational(-((-1) ** m) * factorial(m))
            return grow.add(
                self._smooth(("polygamma", m), polygamma_rule(m), shifted), grow.scale(power(m + 1), pole)
            )
        if m == 0:
            return grow.add(
                grow.logarithm(g),
                grow.scale(inverse, self._rational(Fraction(-1, 2))),
                grow.scale(power(2), self._rational(Fraction(-1, 12))),
                grow.scale(power(4), self._within(0.0, 1 / 119)),
            )
        sign = (-1) ** (m + 1)
        ends = sorted((0.0, sign * factorial(m + 1) / 11.99))
        return grow.add(
            grow.scale(power(m), self._rational(sign * factorial(m - 1))),
            grow.scale(power(m + 1), self._rational(Fraction(sign * factorial(m), 2))),
            grow.scale(power(m + 2), self._within(*ends)),
        )

    def _within(self, lo: float, hi: float) -> Number:
        return Number.within(self.growth.atoms, (lo, hi))

    def _log_bessel(self, nu: Fraction, z: Series) -> Series:
        """log I_nu(z), from the bounds of Amos on I_nu'/I_nu, integrated from infinity."""
        grow = self.growth
        kind, c = grow.shape(z)
        if c.sign() < 0:
            raise UnresolvedError("a Bessel function of a negative argument")
        if kind < 0:  # (z/2)^nu / Gamma(nu + 1) <= I_nu(z) <= that times exp(z^2/(4 nu + 4))
            square = grow.multiply(z, z)
            gamma = self._log_gamma(grow.constant(self._rational(nu + 1)))
            half = grow.logarithm(grow.scale(z, self._rational(Fraction(1, 2))))
            excess = float(Fraction(1, 4) / (nu + 1)) * (1 + 1e-15)
            return grow.add(
                grow.scale(half, self._rational(nu)),
                grow.negative(gamma),
                grow.scale(square, self._within(0.0, excess)),
            )
        if kind == 0:
            raise UnresolvedError("a Bessel function near a finite argument")
        self._settled(z)
        # a = nu + 1/2, b = nu + 3/2: -b^2/2 <= z^2 (I_{nu+1}/I_nu - 1 + a/z) <= (a + a^2/(2 z))^2
        least = max(grow.bounds(z)[0], 1e-300)
        a, b = float(nu) + 0.5, float(nu) + 1.5
        above = (a + a * a / (2 * least)) ** 2 * (1 + 1e-12)
        below = b * b / 2 * (1 + 1e-12)
        return grow.add(
            z,
            grow.scale(grow.logarithm(z), self._rational(Fraction(-1, 2))),
            grow.constant(self._constant_of(-sp.log(2 * sp.pi) / 2)),
            grow.scale(grow.inverse(z), self._within(-above, below)),
        )

    def _bessel_ratio(self, nu: Fraction, z: Series) -> Series:
        grow = self.growth
        kind, c = grow.shape(z)
        if c.sign() < 0 or kind == 0:
            raise UnresolvedError("a quotient of Bessel functions near a finite argument")
        self._settled(z)
        if kind < 0:  # z/(2 nu + 2) (1 - [0, 1] z^2/(4 (nu + 1)(nu + 2)))
            square = grow.multiply(z, z)
            fall = -float(Fraction(1, 4) / ((nu + 1) * (nu + 2))) * (1 + 1e-15)
            first = grow.scale(z, self._rational(Fraction(1, 2) / (nu + 1)))
            return grow.multiply(
                first, grow.add(grow.constant(self._rational(1)), grow.scale(square, self._within(fall, 0.0)))
            )
        least = max(grow.bounds(z)[0], 1e-300)
        a, b = float(nu) + 0.5, float(nu) + 1.5
        above = (a + a * a / (2 * least)) ** 2 * (1 + 1e-12)
        inverse = grow.inverse(z)
        return grow.add(
            grow.constant(self._rational(1)),
            grow.scale(inverse, self._rational(-(nu + Fraction(1, 2)))),
            grow.scale(grow.multiply(inverse, inverse), self._within(-b * b / 2 * (1 + 1e-12), above)),
        )

    def _error_function(self, z: Series, complementary: bool) -> Series:
        """erfc(z) = exp(-z^2)/(z sqrt(pi)) (1 - [0, 1]/(2 z^2)) for z > 0."""
        grow = self.growth
        one = grow.constant(self._rational(1))
        kind, c = grow.shape(z) if z else (0, self._rational(0))
        if kind <= 0:
            cls = sp.erfc if complementary else sp.erf
            return self._smooth(cls, RULES[cls], z)
        self._settled(z)
        sign = c.sign()
        size = z if sign > 0 else grow.negative(z)
        inverse = grow.inverse(size)
        gauss = grow.exponential(grow.negative(grow.multiply(size, size)))
        tail = grow.multiply(grow.scale(gauss, self._constant_of(1 / sp.sqrt(sp.pi))), inverse)
        correction = grow.add(one, grow.scale(grow.multiply(inverse, inverse), self._within(-0.5, 0.0)))
        tail = grow.multiply(tail, correction)
        if complementary:
            return tail if sign > 0 else grow.add(one, one, grow.negative(tail))
        return grow.add(one, grow.negative(tail)) if sign > 0 else grow.add(tail, grow.negative(one))

    def _arctangent(self, z: Series) -> Series:
        grow = self.growth
        if not z or grow.shape(z)[0] <= 0:
            return self._smooth(sp.atan, RULES[sp.atan], z)
        sign = grow.shape(z)[1].sign()
        self._settled(z)
        quarter = grow.constant(self._constant_of(sp.pi / 2))
        inner = self._smooth(sp.atan, RULES[sp.atan], grow.inverse(z))
        return grow.add(quarter if sign > 0 else grow.negative(quarter), grow.negative(inner))


def _scalar(a: Interval) -> Bounds:
    return float(np.min(a.lo)), float(np.max(a.hi))


def _enclosing(rule: Rule, order: int) -> Callable[[Bounds], Bounds]:
    def enclose(b: Bounds) -> Bounds:
        with np.errstate(all="ignore"):
            found = rule(Interval(np.array([[b[0]]]), np.array([[b[1]]])), order)[order]
        return _scalar(found)

    return enclose
