"""The upper incomplete gamma function and its derivatives by the order, in doubles and at 240 bits.

Oracles: mpmath's adaptive quadrature of the defining integral, and SciPy's survival function of the gamma law.
"""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import optimize, stats
from sympy import Eq, Piecewise, Symbol, exp, gamma, log, lowergamma, meijerg, symbols, uppergamma

from symmle import Model, derive, fit
from symmle.compiling.incomplete import by_log_upper, rows, scalar
from symmle.compiling.kernels import CONTEXT, row_kernel, scalar_kernel
from symmle.errors import NotDerivedError

a, b, x = symbols("a b x", positive=True)
d = Symbol("d")
POINTS = [
    (0.3, 1e-6),
    (2.5, 0.7),
    (-1.3, 0.02),
    (1e-5, 1e-7),
    (40.0, 3.0),
    (250.0, 90.0),
    (3.0, 800.0),
    (1.0, 1.0),
]


def by_quadrature(k: int, s: float, z: float) -> float:
    """log of the integral over u = log(t/z)."""
    mp = mpmath.MPContext()
    mp.dps = 30
    s, z = mp.mpf(s), mp.mpf(z)
    peak = mp.log(s / z) if s > z else mp.mpf(0)
    cuts = sorted({mp.mpf(0), peak / 2, peak, peak + mp.mpf("0.3"), peak + 1, peak + 3, peak + 12, peak + 40})

    def integrand(u: Any) -> Any:
        return mp.exp(s * (u - peak) - z * (mp.exp(u) - mp.exp(peak))) * u ** (k - 1)

    scale = s * (mp.log(z) + peak) - z * mp.exp(peak)
    return float(scale + mp.log(mp.quad(integrand, cuts)) - mp.loggamma(k))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize(("s", "z"), POINTS)
def test_both_kinds_of_numbers_are_the_integral(k: int, s: float, z: float) -> None:
    wanted = by_quadrature(k, s, z)
    slack = 1e-12 * (1 + abs(wanted))
    assert abs(float(rows(k, s, np.array([z]))[0]) - wanted) < slack
    assert abs(float(scalar(k, s, z)) - wanted) < slack


def test_the_order_and_the_argument_may_both_be_rows() -> None:
    s, z = np.array([0.5, 2.0, 7.0]), np.array([[1.0], [3.0]])
    found = rows(2, s, z)
    assert found.shape == (2, 3)
    assert found[1, 2] == pytest.approx(by_quadrature(2, 7.0, 3.0), rel=1e-12)
    assert np.ndim(rows(1, 2.0, 1.0)) == 0
    assert math.isnan(rows(2, 2.0, -1.0)) and math.isnan(rows(1, 2.0, math.nan))


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_by_the_order_are_compiled(order: int) -> None:
    """Against differences of log Q by the order at 30 digits."""
    formula = log(uppergamma(a, b * x)).diff(a, order)
    at = (2.3, 0.7, 4.0)
    mp = mpmath.MPContext()
    mp.dps = 40
    wanted = float(mp.diff(lambda s: mp.log(mp.gammainc(s, mp.mpf(0.7) * 4)), mp.mpf(2.3), order))
    assert row_kernel([a, b, x], [formula])(*at)[0] == pytest.approx(wanted, rel=1e-11)
    assert float(scalar_kernel([a, b, x], [formula])(*map(CONTEXT.mpf, at))[0]) == pytest.approx(
        wanted, rel=1e-13
    )


def test_far_out_logarithms_do_not_underflow() -> None:
    formula = uppergamma(a, x).diff(a) / uppergamma(a, x)
    found = row_kernel([a, x], [formula, log(uppergamma(a, x))])(3.0, np.array([1.0, 2000.0]))
    assert np.isfinite(found[0]).all() and found[1][1] == pytest.approx(
        2 * math.log(2000) - 2000 + math.log1p(1e-3 + 5e-7)
    )


@pytest.mark.parametrize(
    "formula", [meijerg([[], [1, 1]], [[0, 0, a], []], x), lowergamma(a, x).diff(a).atoms(meijerg).pop()]
)
def test_meijer_functions_that_are_known(formula: Any) -> None:
    assert by_log_upper(formula).has(exp)


@pytest.mark.parametrize("formula", [meijerg([[1], []], [[a], []], x), meijerg([[], [2]], [[0, a], []], x)])
def test_other_meijer_functions_are_refused_in_words(formula: Any) -> None:
    with pytest.raises(NotDerivedError, match="no numbers are built"):
        by_log_upper(formula)


DENSITY, SURVIVAL = b**a * x ** (a - 1) * exp(-b * x) / gamma(a), uppergamma(a, b * x) / gamma(a)


@pytest.mark.parametrize(
    "density", [DENSITY**d * SURVIVAL ** (1 - d), Piecewise((DENSITY, Eq(d, 1)), (SURVIVAL, True))]
)
def test_right_censored_gamma(density: Any) -> None:
    rng = np.random.default_rng(1)
    time, end = rng.gamma(2.3, 1 / 0.7, 60), rng.exponential(4, 60)
    seen, died = np.minimum(time, end), (time <= end).astype(float)

    def minus(u: Any) -> float:
        law = stats.gamma(math.exp(u[0]), scale=math.exp(-u[1]))
        return -float(np.sum(np.where(died == 1, law.logpdf(seen), law.logsf(seen))))

    best = optimize.minimize(minus, [0, 0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12})
    result = fit(derive(Model(density, data=x, covariates=(d,))), {"x": seen, "d": died})
    assert result.log_likelihood == pytest.approx(-best.fun, rel=1e-10)
    assert result.estimates == pytest.approx(dict(zip("ab", np.exp(best.x), strict=True)), rel=1e-5)
