"""Fisher information: by E[score] = 0 or by integration, against plain quadrature of products of scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import integrate
from sympy import (
    FiniteSet,
    Interval,
    Matrix,
    Range,
    Symbol,
    beta,
    exp,
    factorial,
    gamma,
    oo,
    pi,
    sqrt,
    symbols,
)

from symmle import Model, derive
from symmle.algebra import Rows, compile_expression
from symmle.information import find_information
from symmle.likelihood import build_likelihood
from symmle.score import ScoreSystem

x, a, b, s, lam = symbols("x a b s lambda", positive=True)
y, mu, c, d, z = symbols("y mu c d z", real=True)
p = Symbol("p", positive=True)
m = Symbol("m", integer=True, nonnegative=True)
UNIT = Interval.open(0, 1)

# name: model, values, log density by hand, support for quadrature or the members to sum over
MODELS: dict[str, tuple[Model, dict[str, float], Callable[..., float], tuple[float, float] | range]] = {
    "exponential": (
        Model(lam * exp(-lam * x), data=x),
        {"lambda": 1.7},
        lambda v, l: math.log(l) - l * v,
        (0, 40),
    ),
    "normal": (
        Model(exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y),
        {"mu": -0.4, "s": 1.3},
        lambda v, mu, s: -((v - mu) ** 2) / (2 * s * s) - math.log(s) - 0.5 * math.log(2 * math.pi),
        (-16, 15),
    ),
    "gamma": (
        Model(b**a * x ** (a - 1) * exp(-b * x) / gamma(a), data=x),
        {"a": 2.6, "b": 0.9},
        lambda v, a, b: a * math.log(b) + (a - 1) * math.log(v) - b * v - math.lgamma(a),
        (1e-12, 70),
    ),
    "inverse gaussian": (
        Model(sqrt(lam / (2 * pi * x**3)) * exp(-lam * (x - a) ** 2 / (2 * a**2 * x)), data=x),
        {"a": 1.4, "lambda": 2.2},
        lambda v, a, l: 0.5 * math.log(l / (2 * math.pi * v**3)) - l * (v - a) ** 2 / (2 * a * a * v),
        (1e-3, 80),
    ),
    "beta": (
        Model(x ** (a - 1) * (1 - x) ** (b - 1) / beta(a, b), data={x: UNIT}),
        {"a": 2.4, "b": 3.1},
        lambda v, a, b: (
            (a - 1) * math.log(v)
            + (b - 1) * math.log1p(-v)
            - math.lgamma(a)
            - math.lgamma(b)
            + math.lgamma(a + b)
        ),
        (1e-9, 1 - 1e-9),
    ),
    "poisson": (
        Model(a**m * exp(-a) / factorial(m), data={m: Range(0, oo)}),
        {"a": 2.3},
        lambda v, a: v * math.log(a) - a - math.lgamma(v + 1),
        range(80),
    ),
    "bernoulli": (
        Model(p**m * (1 - p) ** (1 - m), data={m: FiniteSet(0, 1)}, parameters={p: UNIT}),
        {"p": 0.35},
        lambda v, p: v * math.log(p) + (1 - v) * math.log1p(-p),
        range(2),
    ),
    "lindley": (
        Model(a**2 * (1 + x) * exp(-a * x) / (1 + a), data=x),
        {"a": 0.8},
        lambda v, a: 2 * math.log(a) + math.log1p(v) - a * v - math.log1p(a),
        (0, 60),
    ),
    "normal with s = mu": (
        Model(exp(-((y - a) ** 2) / (2 * a**2)) / (a * sqrt(2 * pi)), data=y),
        {"a": 1.2},
        lambda v, a: -((v - a) ** 2) / (2 * a * a) - math.log(a) - 0.5 * math.log(2 * math.pi),
        (-14, 16),
    ),
}


def gradient(log_density: Callable[..., float], v: float, at: list[float]) -> list[float]:
    """The score of one observation by Richardson's differences."""

    def slope(i: int, h: float) -> float:
        up, down = list(at), list(at)
        up[i] += h
        down[i] -= h
        return (log_density(v, *up) - log_density(v, *down)) / (2 * h)

    return [(4 * slope(i, 5e-4) - slope(i, 1e-3)) / 3 for i in range(len(at))]


def fisher_by_quadrature(name: str) -> np.ndarray:
    """E[score score'] of one observation: no second derivative, nothing of symmle."""
    _, values, log_density, support = MODELS[name]
    at = list(values.values())

    def entry(i: int, j: int) -> float:
        def f(v: float) -> float:
            g = gradient(log_density, v, at)
            return g[i] * g[j] * math.exp(log_density(v, *at))

        if isinstance(support, range):
            return sum(f(v) for v in support)
        middle = support[0] + (support[1] - support[0]) * 0.08
        return sum(
            integrate.quad(f, lo, hi, limit=200, epsabs=1e-10)[0]
            for lo, hi in ((support[0], middle), (middle, support[1]))
        )

    p_ = len(at)
    return np.array([[entry(min(i, j), max(i, j)) for j in range(p_)] for i in range(p_)])


@pytest.mark.parametrize("name", MODELS)
def test_expected_information_by_quadrature(name: str) -> None:
    model, values, _, _ = MODELS[name]
    information = derive(model).information
    assert isinstance(information.expected, Matrix), information.reason
    order = [str(q) for q in information.parameters]
    numbers = {model.symbol(n): v for n, v in values.items()}
    rows = [Rows({model.declaration.samples[0].columns[0]: [1]}, [1])]  # n = 1
    found = np.array(
        [
            [float(compile_expression(information.expected[i, j])(numbers, rows)) for j in range(len(order))]
            for i in range(len(order))
        ]
    )
    positions = [list(values).index(n) for n in order]
    wanted = fisher_by_quadrature(name)[np.ix_(positions, positions)]
    assert found == pytest.approx(wanted, rel=2e-5, abs=2e-5)
    covariance = information.asymptotic_covariance
    assert covariance is not None
    inverse = np.array(
        [
            [float(compile_expression(covariance[i, j])(numbers, rows)) for j in range(len(order))]
            for i in range(len(order))
        ]
    )
    assert inverse @ found == pytest.approx(np.eye(len(order)), abs=1e-10)


def test_observed_information_is_minus_the_hessian_and_data_free_where_the_family_is_natural() -> None:
    model = Model(lam * exp(-lam * x), data=x)
    information = derive(model).information
    rate = model.symbol("lambda")
    n = information.observed[0, 0] * rate**2
    assert str(n) == "Count(x)"
    assert information.expected == information.observed


@pytest.mark.parametrize("name", ["cauchy", "lags", "several columns"])
def test_none_with_the_reason(name: str) -> None:
    tables: dict[str, dict[str, Any]] = {
        "cauchy": {
            "data": {"x": "(-oo, oo)"},
            "parameters": {"m": "real", "s": "positive", "nu": "positive"},
            "density": "gamma((nu + 1)/2)/(gamma(nu/2)*sqrt(nu*pi)*s)*(1 + ((x - m)/s)**2/nu)**(-(nu + 1)/2)",
        },
        "lags": {
            "data": {"x": "(-oo, oo)"},
            "parameters": {"f": "(-1, 1)", "s": "positive"},
            "density": "exp(-(x - f*x_prev)**2/(2*s**2))/(s*sqrt(2*pi))",
            "lags": {"x_prev": "x"},
            "normalises": False,
        },
        "several columns": {
            "data": {"u": "(0, oo)", "v": "(0, oo)"},
            "parameters": {"k": "positive", "a": "positive"},
            "density": "k*u**(k - 1)*exp(-u**k)*a*exp(-a*v)",
        },
    }
    model = Model.from_dict(tables[name])
    likelihood = build_likelihood(model.declaration)
    information = find_information(likelihood, ScoreSystem(likelihood), time_limit=2.0)
    if information.expected is None:
        assert information.reason
        assert information.asymptotic_covariance is None
    assert information.observed.shape == (len(model.parameters),) * 2
    assert name != "lags" or information.expected is None


def test_regression_has_the_information_of_its_covariates() -> None:
    model = Model(exp(-((y - c - d * z) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y, covariates=(z,))
    information = derive(model).information
    assert information.expected is not None
    zs = [0.5, 2.0, -1.0, 4.0]
    rows = [Rows({model.symbol("y"): [0.0] * 4, model.symbol("z"): zs}, [1] * 4)]
    at = {model.symbol("c"): 0.3, model.symbol("d"): -1.2, model.symbol("s"): 0.7}
    order = [str(q) for q in information.parameters]
    found = {
        (order[i], order[j]): float(compile_expression(information.expected[i, j])(at, rows))
        for i in range(3)
        for j in range(3)
    }
    assert found["c", "c"] == pytest.approx(4 / 0.49)
    assert found["c", "d"] == pytest.approx(sum(zs) / 0.49)
    assert found["d", "d"] == pytest.approx(sum(v * v for v in zs) / 0.49)
    assert found["s", "s"] == pytest.approx(2 * 4 / 0.49)
    assert found["c", "s"] == pytest.approx(0, abs=1e-12) and found["d", "s"] == pytest.approx(0, abs=1e-12)
