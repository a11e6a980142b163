"""Enclosures of special functions on arrays of intervals: log-gamma, polygamma, Bessel, erf, Lambert W.

Log-gamma and polygamma are computed here, by the recurrence up to an argument of at least 12 and the
asymptotic series there, whose remainder is below the first omitted term for a positive argument (Abramowitz
and Stegun, Handbook of Mathematical Functions, 6.1.42 and 6.4.11). Bessel functions, erf and Lambert W are
SciPy's with a wide margin (1e-12 relative; SciPy's tests hold 1e-13 and better).
"""

from __future__ import annotations

from math import factorial

import numpy as np
from scipy import special

from symmle.fitting.intervals import Array, Interval, increasing

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_SHIFT = 12
_ROUNDING = 2e-14  # relative to the sum of sizes: fewer than 60 operations of at most four units each
_MARGIN = 1e-12
_LOG_GAMMA_ARGMIN = (1.4616321449683622, 1.4616321449683624)
_LOG_GAMMA_MINIMUM = -0.12148629053584977  # a float below it


def _log_gamma_at(x: Array) -> Interval:
    steps = np.where(x < _SHIFT, _SHIFT, 0)
    z = x + steps  # x exactly representable or not, z >= 12: the rounding of the sum is in _ROUNDING
    terms = [(z - 0.5) * np.log(z), -z, np.full_like(z, 0.9189385332046727)]
    for k, b in enumerate(_BERNOULLI, start=1):
        terms.append(b / (2 * k * (2 * k - 1)) / z ** (2 * k - 1))
    for j in range(_SHIFT):
        terms.append(np.where(j < steps, -np.log(np.where(j < steps, x + j, 1.0)), 0.0))
    value = sum(terms)
    size = sum(np.abs(t) for t in terms)
    # the rounding of z = x + steps moves log-gamma by at most log(z) eps z, part of the first term's size
    error = _ROUNDING * size + np.abs(43867 / 798 / (18 * 17) / z**17)
    return Interval(value - error, value + error)


def _polygamma_at(m: int, x: Array) -> Interval:
    steps = np.where(x < _SHIFT, _SHIFT, 0)
    z = x + steps
    sign = (-1.0) ** (m + 1)
    if m == 0:
        terms = [np.log(z), -0.5 / z]
        terms += [-b / (2 * k) / z ** (2 * k) for k, b in enumerate(_BERNOULLI, start=1)]
        omitted = 43867 / 798 / 18 / z**18
    else:
        terms = [sign * factorial(m - 1) / z**m, sign * factorial(m) / (2 * z ** (m + 1))]
        terms += [
            sign * b * factorial(2 * k + m - 1) / factorial(2 * k) / z ** (2 * k + m)
            for k, b in enumerate(_BERNOULLI, start=1)
        ]
        omitted = 43867 / 798 * factorial(18 + m - 1) / factorial(18) / z ** (18 + m)
    for j in range(_SHIFT):
        inside = np.where(j < steps, x + j, 1.0)
        terms.append(np.where(j < steps, sign * factorial(m) / inside ** (m + 1), 0.0))
    value = sum(terms)
    size = sum(np.abs(t) for t in terms)
    # digamma moves by eps z / z where z is rounded: one more unit
    error = _ROUNDING * size + np.abs(omitted) + (1e-15 if m == 0 else 0.0)
    return Interval(value - error, value + error)


def log_gamma(a: Interval) -> Interval:
    """log Gamma(a) for a > 0: convex with its minimum near 1.46."""
    bad = a.hi <= 0
    lo_arg = np.clip(a.lo, 1e-300, 1e300)
    hi_arg = np.clip(a.hi, 1e-300, 1e300)
    at_lo, at_hi = _log_gamma_at(lo_arg), _log_gamma_at(hi_arg)
    hi = np.maximum(np.where(a.lo > 0, at_lo.hi, np.inf), np.where(a.hi >= 1e300, np.inf, at_hi.hi))
    hi = np.where((a.lo < 1e-300) & (a.lo > 0), np.inf, hi)
    right, left = a.lo >= _LOG_GAMMA_ARGMIN[1], a.hi <= _LOG_GAMMA_ARGMIN[0]
    lo = np.where(right, at_lo.lo, np.where(left, at_hi.lo, _LOG_GAMMA_MINIMUM))
    lo = np.where(left & (a.hi < 1e-300), 690.0, lo)
    return Interval(np.where(bad, -np.inf, lo), np.where(bad, np.inf, hi))


def polygamma(m: int, a: Interval) -> Interval:
    """The m-th derivative of digamma on a > 0, where it is monotone."""
    bad = a.lo < 0
    lo_arg = np.clip(a.lo, 1e-30, 1e30)
    hi_arg = np.clip(a.hi, 1e-30, 1e30)
    at_lo, at_hi = _polygamma_at(m, lo_arg), _polygamma_at(m, hi_arg)
    near_zero, far = a.lo < 1e-30, a.hi > 1e30
    if m % 2 == 0:  # increasing from -oo; to oo for digamma, to 0 otherwise
        lo = np.where(near_zero, -np.inf, at_lo.lo)
        hi = np.where(far, np.inf if m == 0 else 0.0, at_hi.hi)
    else:  # decreasing from oo to 0
        lo = np.where(far, 0.0, np.maximum(at_hi.lo, 0.0))
        hi = np.where(near_zero, np.inf, at_lo.hi)
    return Interval(np.where(bad, -np.inf, lo), np.where(bad, np.inf, hi))


def bessel_ratio(nu: Array, a: Interval) -> Interval:
    """I_{nu+1}(a) / I_nu(a) for nu >= 0 and a >= 0: increasing from 0 to 1."""

    def at(x: Array) -> Array:
        x = np.clip(x, 0.0, 1e8)
        lower = special.ive(nu, x)
        small = x < 1e-8
        ratio = special.ive(nu + 1, x) / np.where(lower > 0, lower, np.nan)
        return np.where(small | ~(lower > 1e-290), np.nan, ratio)

    lo, hi = at(a.lo), at(a.hi)
    # Amos (1974): x/(nu+1/2+sqrt(x^2+(nu+3/2)^2)) <= I_{nu+1}/I_nu <= x/(nu+1/2+sqrt(x^2+(nu+1/2)^2))
    x, y = np.clip(a.lo, 0.0, 1e8), np.clip(a.hi, 0.0, 1e150)
    safe_lo = x / (nu + 0.5 + np.sqrt(x * x + (nu + 1.5) ** 2)) * (1 - _MARGIN)
    safe_hi = np.where(np.isinf(a.hi), 1.0, y / (nu + 0.5 + np.sqrt(y * y + (nu + 0.5) ** 2)) * (1 + _MARGIN))
    lo = np.where(np.isnan(lo), safe_lo, np.maximum(safe_lo, lo * (1 - _MARGIN)))
    hi = np.where(np.isnan(hi) | (a.hi > 1e8), safe_hi, np.minimum(safe_hi, hi * (1 + _MARGIN)))
    bad = a.lo < 0
    return Interval(np.where(bad, -1.0, np.maximum(lo, 0.0)), np.minimum(hi, 1.0))


def log_bessel(nu: Array, a: Interval) -> Interval:
    """log I_nu(a) for nu >= 0 and a >= 0, increasing."""

    def at(x: Array) -> tuple[Array, Array]:
        inside = np.clip(x, 0.0, 1e8)
        scaled = special.ive(nu, inside)
        usable = (scaled > 1e-290) & (x <= 1e8)
        value = np.log(np.where(usable, scaled, 1.0)) + inside
        error = _MARGIN + 1e-15 * (np.abs(value) + inside)
        return np.where(usable, value - error, -np.inf), np.where(usable, value + error, np.inf)

    lo, hi = at(np.maximum(a.lo, 0.0))[0], at(np.maximum(a.hi, 0.0))[1]
    # I_nu(x) <= (x/2)^nu e^x / Gamma(nu+1): where SciPy's value underflows
    crude = nu * np.log(np.maximum(a.hi, 1e-300) / 2) + a.hi - special.gammaln(nu + 1) + 1e-9
    crude = np.where(np.isfinite(crude), crude + np.abs(crude) * 1e-12, np.inf)
    hi = np.where(np.isinf(hi) & (a.hi > 1e-290), crude, hi)
    bad = a.hi < 0
    return Interval(np.where(bad, -np.inf, lo), np.where(bad | (a.lo < 0), np.inf, hi))


error_function = increasing(special.erf, least=-1.0, most=1.0, slack=_MARGIN)
log_normal_distribution = increasing(special.log_ndtr, most=0.0, slack=_MARGIN)


def complementary_error_function(a: Interval) -> Interval:
    lo, hi = special.erfc(a.hi), special.erfc(a.lo)
    return Interval(
        np.maximum(lo * (1 - _MARGIN) - 1e-300, 0.0), np.minimum(hi * (1 + _MARGIN) + 1e-300, 2.0)
    )


def lambert_w(a: Interval, branch: int) -> Interval:
    """W_0 on [-1/e, oo), increasing; W_{-1} on [-1/e, 0), decreasing; each end checked by w e^w."""
    outside = (a.lo < -0.36787944117144228) | ((a.hi >= 0) if branch == -1 else False)

    def bounds(x: Array) -> tuple[Array, Array]:
        x = np.clip(x, -0.36787944117144228, 1e300)
        w = special.lambertw(np.where((branch == -1) & (x >= 0), -0.1, x), branch).real
        margin = 1e-10 * np.abs(w) + 1e-300
        lower, upper = w - margin, w + margin
        if branch == 0:
            lower = np.maximum(lower, -1.0)
            holds = (lower * np.exp(lower) <= x + np.abs(x) * 1e-14) & (
                upper * np.exp(upper) >= x - np.abs(x) * 1e-14
            )
        else:
            upper = np.minimum(upper, -1.0)
            holds = (lower * np.exp(lower) >= x - np.abs(x) * 1e-14) & (
                upper * np.exp(upper) <= x + np.abs(x) * 1e-14
            )
        least = np.where(branch == 0, -1.0, -np.inf)
        most = np.where(branch == 0, np.inf, -1.0)
        return np.where(holds, lower, least), np.where(holds, upper, most)

    at_lo, at_hi = bounds(a.lo), bounds(a.hi)
    lo, hi = (at_lo[0], at_hi[1]) if branch == 0 else (at_hi[0], at_lo[1])
    if branch == 0:
        hi = np.where(np.isinf(a.hi), np.inf, hi)
    return Interval(np.where(outside, -np.inf, lo), np.where(outside, np.inf, hi))
