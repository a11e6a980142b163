"""Fits where the plain way fails: new coordinates, roots at 0, ties, ridges, closed edges, special functions."""

from __future__ import annotations

import math
import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from symmle import DataError, Derivation, Model, NoMaximumError, derive, fit
from symmle.estimator import Kind, Scope

POSITIVE, REAL = "(0, oo)", "(-oo, oo)"

LAWS: dict[str, dict[str, Any]] = {
    "generalised Pareto": {
        "data": {"x": POSITIVE},
        "parameters": {"xi": "positive", "s": "positive"},
        "density": "(1 + xi*x/s)**(-1/xi - 1)/s",
    },
    "squared mean": {
        "data": {"x": REAL},
        "parameters": {"t": "real"},
        "density": "exp(-(x - t**2)**2/2)/sqrt(2*pi)",
    },
    "folded Bernoulli": {
        "data": {"x": "{0, 1}"},
        "parameters": {"t": "(0, 1)"},
        "density": "(t*(1 - t))**x*(1 - t*(1 - t))**(1 - x)",
    },
    "exponential regression": {
        "data": {"t": POSITIVE},
        "covariates": ["z"],
        "parameters": {"a": "real", "b": "real"},
        "density": "exp(-a - b*z - t*exp(-a - b*z))",
    },
    "Cauchy": {"data": {"x": REAL}, "parameters": {"t": "real"}, "density": "1/(pi*(1 + (x - t)**2))"},
    "zeta": {"data": {"k": "{1..oo}"}, "parameters": {"a": "(1, oo)"}, "density": "k**(-a)/zeta(a)"},
    "zeta, shifted": {
        "data": {"k": "{1..oo}"},
        "parameters": {"a": "positive"},
        "density": "k**(-a - 1)/zeta(a + 1)",
    },
    "product of rates": {
        "data": {"x": POSITIVE},
        "parameters": {"a": "positive", "b": "positive"},
        "density": "a*b*exp(-a*b*x)",
    },
    "tilted log-logistic": {
        "data": {"x": POSITIVE},
        "parameters": {"a": "positive", "k": "positive", "s": "positive"},
        "density": "a*(k/s)*(x/s)**(k - 1)/(1 + (x/s)**k)**2/(1 - (1 - a)/(1 + (x/s)**k))**2",
    },
    "Cauchy, location not negative": {
        "data": {"x": REAL},
        "parameters": {"m": "[0, oo)", "s": "positive"},
        "density": "1/(pi*s*(1 + (x - m)**2/s**2))",
    },
    "Rayleigh with 0": {
        "data": {"x": "[0, oo)"},
        "parameters": {"s": "positive"},
        "density": "x/s**2*exp(-x**2/(2*s**2))",
    },
    "Poisson, closed": {
        "data": {"x": "{0..oo}"},
        "parameters": {"a": "[0, oo)"},
        "density": "a**x*exp(-a)/factorial(x)",
    },
    "generalised Poisson": {
        "data": {"x": "{0..oo}"},
        "parameters": {"t": "positive"},
        "density": "t*(t + x/4)**(x - 1)*exp(-t - x/4)/factorial(x)",
    },
}


@cache
def law(name: str) -> Derivation:
    return derive(Model.from_dict({**LAWS[name], "name": name}))


EXCESSES = [0.01, 0.05, 0.08, 0.11, 0.13, 0.2, 0.3, 0.42, 0.49, 0.61, 0.82, 0.97, 1.42, 2.5, 5.0, 15.6]


def test_new_coordinates_are_solved_for_and_not_reported() -> None:
    derivation = law("generalised Pareto")
    assert derivation.estimator.auxiliary
    result = fit(derivation, EXCESSES)
    assert set(result.estimates) == {"xi", "s"}
    assert derivation.estimate(EXCESSES) == result.estimates
    xi, s, x = result.estimates["xi"], result.estimates["s"], np.array(EXCESSES)
    assert s == pytest.approx(np.mean((1 + xi) * x / (1 + xi * x / s)), rel=1e-12)  # dl/ds = 0
    assert xi == pytest.approx(np.mean(np.log1p(xi * x / s)), rel=1e-12)

    def height(xi: float, s: float) -> float:
        return float(np.sum(-np.log(s) - (1 / xi + 1) * np.log1p(xi * x / s)))

    assert result.log_likelihood == pytest.approx(height(xi, s), rel=1e-13)
    h = 1e-4
    information = np.empty((2, 2))
    steps = {"xi": np.array([h * xi, 0]), "s": np.array([0, h * s])}
    names = list(result.estimates)
    for i, p in enumerate(names):
        for j, q in enumerate(names):
            u, v, at = steps[p], steps[q], np.array([xi, s])
            mixed = (
                height(*(at + u + v)) - height(*(at + u - v)) - height(*(at - u + v)) + height(*(at - u - v))
            )
            information[i, j] = -mixed / (4 * np.max(u) * np.max(v))
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert list(result.standard_errors.values()) == pytest.approx(errors, rel=1e-4)
    proof = result.certificate
    assert proof is not None and proof.scope is Scope.DATA and proof.kind is Kind.GLOBAL_MAXIMUM
    assert proof.check()[0]
    (point,) = derivation.stationary_points(EXCESSES)
    assert {str(p): float(v) for p, v in point.values.items()} == pytest.approx(result.estimates)
    again = pickle.loads(pickle.dumps(result))
    assert (again.estimates, again.log_likelihood) == (result.estimates, result.log_likelihood)
    assert again.standard_errors == result.standard_errors


def test_new_coordinates_at_the_edge() -> None:
    with pytest.raises(NoMaximumError):
        fit(law("generalised Pareto"), np.linspace(1, 2, 20))


ROOTS = [
    # law, data, estimates, whether the maximum is one point
    ("squared mean", [-1.0, -2.0, -0.3], {"t": 0.0}, True),
    ("squared mean", [1.0, 2.0, 4.5], {"t": -math.sqrt(2.5)}, False),
    ("folded Bernoulli", [1, 1, 1, 0], {"t": 0.5}, True),
    ("folded Bernoulli", [0, 1, 0, 0, 0, 0, 0], {"t": (1 - math.sqrt(3 / 7)) / 2}, False),
    ("exponential regression", {"t": [2.0] * 5, "z": [1, 2, 3, 4, 5]}, {"a": math.log(2), "b": 0.0}, True),
    ("exponential regression", {"t": [3.0] * 4, "z": [-1, 2, 3, 40]}, {"a": math.log(3), "b": 0.0}, True),
    ("Cauchy", [-3.0, 3.0], {"t": -math.sqrt(8)}, False),
    ("zeta", [1, 2, 1, 1, 5], {"a": 2.143546403724604}, True),
    ("zeta, shifted", [1, 2, 1, 1, 5], {"a": 1.143546403724604}, True),
    ("Poisson, closed", [0, 0, 0], {"a": 0.0}, True),
]


@pytest.mark.parametrize(("name", "data", "estimates", "one"), ROOTS)
def test_the_right_root(name: str, data: Any, estimates: dict[str, float], one: bool) -> None:
    result = fit(law(name), data)
    assert result.estimates == pytest.approx(estimates, rel=1e-12, abs=1e-14)
    assert (result.unique is False) == (not one)
    rows = len(data["z"]) if isinstance(data, dict) else len(data)
    weighted = fit(law(name), data, weights=[3] * rows)
    many = {k: np.repeat(v, 3) for k, v in data.items()} if isinstance(data, dict) else np.repeat(data, 3)
    assert weighted.estimates == pytest.approx(fit(law(name), many).estimates, rel=1e-12, abs=1e-14)
    assert weighted.estimates == pytest.approx(estimates, rel=1e-12, abs=1e-14)


def test_zeta_has_standard_errors() -> None:
    result = fit(law("zeta"), [1, 2, 1, 1, 5])
    assert result.standard_errors == pytest.approx({"a": 0.55214380771178}, rel=1e-9)


RIDGES = [
    ("product of rates", [1, 2, 1, 1, 5.0], {"a": math.sqrt(0.5), "b": math.sqrt(0.5)}),
    (
        "tilted log-logistic",
        [0.8, 2.4, 1.1, 5.6, 0.9, 3.2, 1.7, 0.4, 2.0, 1.3, 7.9, 0.6],
        {"k": 2.001657287064},
    ),
]


@pytest.mark.parametrize(("name", "data", "estimates"), RIDGES)
def test_a_ridge_is_said_and_always_the_same_point(name: str, data: Any, estimates: dict[str, float]) -> None:
    result = fit(law(name), data)
    assert result.unique is False
    assert result.standard_errors is None
    for parameter, value in estimates.items():
        assert result.estimates[parameter] == pytest.approx(value, rel=1e-6)
    other = fit(law(name), np.repeat(data, 2)).estimates
    assert other == pytest.approx(fit(law(name), data, weights=[2] * len(data)).estimates, rel=1e-6)
    assert other == pytest.approx(result.estimates, rel=1e-6)


def test_the_others_are_solved_again_on_a_closed_edge() -> None:
    data = np.array([-3.0, -3.5, -2.0, -1.0, -7.0])
    result = fit(law("Cauchy, location not negative"), data)
    found = minimize_scalar(
        lambda t: np.sum(np.log(np.pi) + t + np.log1p((data / np.exp(t)) ** 2)),
        bounds=(-3, 5),
        method="bounded",
    )
    assert result.estimates["m"] == 0.0 and result.boundary and result.standard_errors is None
    assert result.estimates["s"] == pytest.approx(math.exp(found.x), rel=1e-5)
    assert result.log_likelihood == pytest.approx(-found.fun, rel=1e-9)


REFUSED = [
    ("exponential regression", {"t": [2.0, 3.0], "z": [1, 1]}, NoMaximumError, "every `z` is 1"),
    ("exponential regression", {"t": [2.0], "z": [5]}, NoMaximumError, "`b` is not determined"),
    ("zeta", [1, 1, 1], NoMaximumError, "a -> oo"),
    ("Rayleigh with 0", [1.0, 0.0, 2.0], DataError, "row 1"),
    ("generalised Poisson", [0, 0, 0], NoMaximumError, "t -> 0"),
]


@pytest.mark.parametrize(("name", "data", "error", "words"), REFUSED)
def test_what_is_no_estimate_is_refused(name: str, data: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fit(law(name), data)


GLM: dict[str, Any] = {
    "data": {"y": "{0, 1}"},
    "covariates": ["z"],
    "parameters": {"a": "real", "b": "real"},
    "density": "exp(y*(a + b*z))/(1 + exp(a + b*z))",
    "name": "logistic regression",
}

SEPARATED = [
    ([1, 1, 1, 1], [1.0, 2, 3, 4], "no maximum"),
    ([0, 0, 1, 1], [1.0, 2, 3, 4], "no maximum"),
    ([0, 1, 1, 0], [2.0, 2, 2, 2], "every `z` is 2"),
]


@pytest.mark.parametrize(("y", "z", "words"), SEPARATED)
def test_separated_and_constant_covariates(y: list[int], z: list[float], words: str) -> None:
    LAWS["logistic regression"] = GLM
    with pytest.raises(NoMaximumError, match=words):
        fit(law("logistic regression"), {"y": y, "z": z})


@pytest.mark.parametrize("power", [-300, -150, 150, 300])
def test_one_equation_on_extreme_scales(power: int) -> None:
    LAWS["log-logistic"] = {
        "data": {"x": POSITIVE},
        "parameters": {"a": "positive"},
        "density": "(2/a)*(x/a)/(1 + (x/a)**2)**2",
    }
    data = np.array([1.0, 2.0, 3.0, 0.7, 1.4])
    plain, scaled = fit(law("log-logistic"), data), fit(law("log-logistic"), data * 10.0**power)
    assert scaled.estimates["a"] == pytest.approx(plain.estimates["a"] * 10.0**power, rel=1e-10, abs=0)
