"""A function of one variable on intervals: its value and first two derivatives, by name of the SymPy class.

Derivatives are written so that they lose little to dependence: by the value where that is possible.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sympy as sp

from symmle.fitting import intervals as iv
from symmle.fitting import intervals_special as special
from symmle.fitting.intervals import Array, Interval

Rule = Callable[[Interval, int], list[Interval]]
_ONE = Interval.of(1.0)
_TWO_OVER_ROOT_PI = Interval.of([1.1283791670955126])


def _exp(a: Interval, order: int) -> list[Interval]:
    return [iv.exponential(a)] * (order + 1)


def _expm1(a: Interval, order: int) -> list[Interval]:
    return [iv.exponential_minus_one(a), *([iv.exponential(a)] * order)]


def _log(a: Interval, order: int) -> list[Interval]:
    found = [iv.logarithm(a)]
    if order:
        slope = iv.reciprocal(Interval(np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0)))
        found += [slope, -iv.square(slope)]
    return found[: order + 1]


def _sin(a: Interval, order: int) -> list[Interval]:
    value = iv.sine(a)
    return [value, iv.cosine(a), -value][: order + 1]


def _cos(a: Interval, order: int) -> list[Interval]:
    value = iv.cosine(a)
    return [value, -iv.sine(a), -value][: order + 1]


def _tan(a: Interval, order: int) -> list[Interval]:
    value = iv.sine(a) / iv.cosine(a)
    slope = _ONE + iv.square(value)
    return [value, slope, (value * slope).scaled(2.0)][: order + 1]


def _tanh(a: Interval, order: int) -> list[Interval]:
    value = iv.hyperbolic_tangent(a)
    slope = _ONE - iv.square(value)
    return [value, slope, (value * slope).scaled(-2.0)][: order + 1]


def _sinh(a: Interval, order: int) -> list[Interval]:
    value = iv.hyperbolic_sine(a)
    return [value, iv.hyperbolic_cosine(a), value][: order + 1]


def _cosh(a: Interval, order: int) -> list[Interval]:
    value = iv.hyperbolic_cosine(a)
    return [value, iv.hyperbolic_sine(a), value][: order + 1]


def _atan(a: Interval, order: int) -> list[Interval]:
    slope = iv.reciprocal(_ONE + iv.square(a))
    return [iv.arctangent(a), slope, (a * iv.square(slope)).scaled(-2.0)][: order + 1]


def _asinh(a: Interval, order: int) -> list[Interval]:
    square = _ONE + iv.square(a)
    slope = iv.real_power(square, -0.5)
    return [iv.inverse_hyperbolic_sine(a), slope, -(a * slope / square)][: order + 1]


def _abs(a: Interval, order: int) -> list[Interval]:
    crosses = (a.lo <= 0) & (a.hi >= 0)
    bend = Interval(np.zeros_like(a.lo), np.where(crosses, np.inf, 0.0))
    return [iv.absolute(a), iv.signum(a), bend][: order + 1]


def _sign(a: Interval, order: int) -> list[Interval]:
    crosses = (a.lo <= 0) & (a.hi >= 0)
    jump = Interval(np.zeros_like(a.lo), np.where(crosses, np.inf, 0.0))
    turn = Interval(np.where(crosses, -np.inf, 0.0), np.where(crosses, np.inf, 0.0))
    return [iv.signum(a), jump, turn][: order + 1]


def _log_gamma(a: Interval, order: int) -> list[Interval]:
    found = [special.log_gamma(a)]
    if order:
        found.append(special.polygamma(0, a))
    if order > 1:
        found.append(special.polygamma(1, a))
    return found


def _erf(a: Interval, order: int) -> list[Interval]:
    slope = iv.exponential(-iv.square(a)) * _wide(_TWO_OVER_ROOT_PI)
    return [special.error_function(a), slope, (a * slope).scaled(-2.0)][: order + 1]


def _erfc(a: Interval, order: int) -> list[Interval]:
    slope = -(iv.exponential(-iv.square(a)) * _wide(_TWO_OVER_ROOT_PI))
    return [special.complementary_error_function(a), slope, (a * slope).scaled(-2.0)][: order + 1]


def _wide(a: Interval) -> Interval:
    return Interval(iv.down(a.lo), iv.up(a.hi))


RULES: dict[type, Rule] = {
    sp.exp: _exp,
    sp.log: _log,
    sp.sin: _sin,
    sp.cos: _cos,
    sp.tan: _tan,
    sp.tanh: _tanh,
    sp.sinh: _sinh,
    sp.cosh: _cosh,
    sp.atan: _atan,
    sp.asinh: _asinh,
    sp.Abs: _abs,
    sp.sign: _sign,
    sp.loggamma: _log_gamma,
    sp.erf: _erf,
    sp.erfc: _erfc,
}
expm1_rule: Rule = _expm1


def polygamma_rule(m: int) -> Rule:
    return lambda a, order: [special.polygamma(m + k, a) for k in range(order + 1)]


def lambert_rule(branch: int) -> Rule:
    def rule(a: Interval, order: int) -> list[Interval]:
        value = special.lambert_w(a, branch)
        if order == 0:
            return [value]
        # W' = exp(-W)/(1 + W), W'' = -exp(-2W) (W + 2)/(1 + W)^3
        inverse = iv.reciprocal(_ONE + value)
        slope = iv.exponential(-value) * inverse
        bend = -(iv.square(slope) * (value + Interval.of(2.0)) * inverse)
        return [value, slope, bend][: order + 1]

    return rule


def power_rule(exponent: sp.Rational) -> Rule:
    """a**p for a rational p; negative bases only where p is an integer."""
    p = float(exponent)

    def value(a: Interval, q: sp.Rational) -> Interval:
        if q.is_Integer:
            return iv.integer_power(a, int(q))
        return iv.real_power(a, float(q))

    def rule(a: Interval, order: int) -> list[Interval]:
        found = [value(a, exponent)]
        if order:
            found.append(value(a, exponent - 1) * _float_of(exponent))
        if order > 1:
            found.append(value(a, exponent - 2) * _float_of(exponent * (exponent - 1)))
        return found

    del p
    return rule


def _float_of(number: sp.Rational) -> Interval:
    nearest = float(number)
    if sp.Rational(nearest) == number:
        return Interval.of(nearest)
    return Interval(iv.down(nearest), iv.up(nearest))


def log_bessel_rule(nu: Array) -> Rule:
    """log I_nu: its derivative is I_{nu+1}/I_nu + nu/z."""

    def rule(a: Interval, order: int) -> list[Interval]:
        found = [special.log_bessel(nu, a)]
        if order:
            ratio = bessel_ratio_rule(nu)(a, order - 1)
            order_term = Interval.of(nu) / a
            flat = nu == 0
            found.append(iv.where(flat, ratio[0], ratio[0] + order_term))
            if order > 1:
                found.append(iv.where(flat, ratio[1], ratio[1] - order_term / a))
        return found

    return rule


def bessel_ratio_rule(nu: Array) -> Rule:
    """r = I_{nu+1}/I_nu, r' = 1 - (2 nu + 1) r/z - r^2."""

    def rule(a: Interval, order: int) -> list[Interval]:
        r = special.bessel_ratio(nu, a)
        found = [r]
        if order:
            square = iv.square(Interval(np.maximum(a.lo, 0.0), np.maximum(a.hi, 0.0)))
            half = Interval.of(nu + 0.5)

            def bound(shift: float) -> Interval:
                root = iv.real_power(square + iv.square(Interval.of(nu + shift)), 0.5)
                return iv.reciprocal(half + root)

            low, high = bound(1.5), bound(0.5)
            per_z = Interval(low.lo, high.hi)
            quotient = r / a
            per_z = per_z.intersection(iv.where(a.lo > 0, quotient, per_z))
            twice = Interval.of(2 * nu + 1)
            slope = _ONE - twice * per_z - iv.square(r)
            # the ratio increases from slope 1/(2 nu + 2) and is concave: 0 <= r' <= 1/(2 nu + 2)
            found.append(slope)
        if order > 1:
            bend = twice * per_z / a - twice * found[1] / a - (r * found[1]).scaled(2.0)
            found.append(bend)
        return found

    return rule
