"""Rows that are 0 where a formula has x**k log(x): the product is 0 there, and nothing else is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize
from sympy import Symbol, exp, log, symbols

from symmle import Model, derive, fit
from symmle.compiling.kernels import CONTEXT, row_kernel, scalar_kernel, stable

k, s = symbols("k s", positive=True)
n = Symbol("n", integer=True, nonnegative=True)
t = Symbol("t", positive=True)

VANISHING = [
    n**k * log(n),
    n**k * log(n) ** 2 * exp(-(n**k)),
    n ** (2 * k) * (log(n) - log(s)) / (1 + n**k),
    (n / s) ** k * log(n / s),
]
OTHERS = [
    (n**k * log(n + 1), 0.0),
    (log(n) / n, -np.inf),
    (log(n) * exp(-n), -np.inf),
]


@pytest.mark.parametrize("formula", VANISHING)
def test_zero_times_log_zero_is_zero(formula: Any) -> None:
    rows = row_kernel([n, k, s], [formula])
    with np.errstate(all="ignore"):
        found = rows(np.array([0.0, 2.0]), 0.7, 1.3)[0]
    assert found[0] == 0
    wanted = float(formula.subs({n: 2, k: 0.7, s: 1.3}))
    assert found[1] == pytest.approx(wanted, rel=1e-12)
    exact = scalar_kernel([n, k, s], [formula])
    assert exact(*map(CONTEXT.mpf, (0, 0.7, 1.3)))[0] == 0
    assert float(exact(*map(CONTEXT.mpf, (2, 0.7, 1.3)))[0]) == pytest.approx(wanted, rel=1e-13)


@pytest.mark.parametrize(("formula", "wanted"), OTHERS)
def test_what_does_not_vanish_stays(formula: Any, wanted: float) -> None:
    with np.errstate(all="ignore"):
        found = row_kernel([n, k], [formula])(np.array([0.0, 2.0]), 0.7)[0]
    assert found[0] == wanted


def test_positive_data_are_left_alone() -> None:
    assert stable(t**k * log(t)) == t**k * log(t)


def test_discrete_weibull_with_zeros() -> None:
    data = np.repeat([0.0, 1, 2, 3, 5, 9, 17], [20, 9, 6, 4, 3, 2, 1])

    def minus(u: Any) -> float:
        shape, scale = np.exp(u)
        mass = np.exp(-((data / scale) ** shape)) - np.exp(-(((data + 1) / scale) ** shape))
        return -float(np.sum(np.log(np.maximum(mass, 1e-300))))

    best = optimize.minimize(minus, [0, 0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
    result = fit(derive(Model(exp(-((n / s) ** k)) - exp(-(((n + 1) / s) ** k)), data=n)), data)
    assert result.log_likelihood == pytest.approx(-best.fun, rel=1e-10)
    assert result.estimates == pytest.approx(dict(zip("ks", np.exp(best.x), strict=True)), rel=1e-5)
