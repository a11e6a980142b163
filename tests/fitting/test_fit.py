"""Fits end to end: closed forms, roots, Newton; scales, weights, order; what has no maximum."""

from __future__ import annotations

import math
import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmle import DataError, Derivation, Model, NoMaximumError, derive, fit

AIR = [3, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487]
BEARINGS = [17.88, 28.92, 33, 41.52, 42.12, 45.6, 48.4, 51.84, 51.96, 54.12, 55.56, 67.8, 68.64, 68.64, 68.88,
            84.12, 93.12, 98.64, 105.12, 105.84, 127.92, 128.04, 173.4]  # fmt: skip
POSITIVE, REAL = "(0, oo)", "(-oo, oo)"

LAWS: dict[str, dict[str, Any]] = {
    "exponential": {"data": {"x": POSITIVE}, "parameters": {"lam": "positive"}, "density": "lam*exp(-lam*x)"},
    "normal": {
        "data": {"x": REAL},
        "parameters": {"mu": "real", "sigma": "positive"},
        "density": "exp(-(x - mu)**2/(2*sigma**2))/(sigma*sqrt(2*pi))",
    },
    "lognormal": {
        "data": {"x": POSITIVE},
        "parameters": {"mu": "real", "sigma": "positive"},
        "density": "exp(-(log(x) - mu)**2/(2*sigma**2))/(x*sigma*sqrt(2*pi))",
    },
    "inverse Gaussian": {
        "data": {"x": POSITIVE},
        "parameters": {"mu": "positive", "lam": "positive"},
        "density": "sqrt(lam/(2*pi*x**3))*exp(-lam*(x - mu)**2/(2*mu**2*x))",
    },
    "gamma": {
        "data": {"x": POSITIVE},
        "parameters": {"a": "positive", "b": "positive"},
        "density": "b**a*x**(a - 1)*exp(-b*x)/gamma(a)",
    },
    "weibull": {
        "data": {"x": POSITIVE},
        "parameters": {"k": "positive", "lam": "positive"},
        "density": "k/lam*(x/lam)**(k - 1)*exp(-(x/lam)**k)",
    },
    "bernoulli": {
        "data": {"x": "{0, 1}"},
        "parameters": {"p": "(0, 1)"},
        "density": "p**x*(1 - p)**(1 - x)",
    },
    "negative binomial": {
        "data": {"x": "{0..oo}"},
        "parameters": {"r": "positive", "p": "(0, 1)"},
        "density": "gamma(x + r)/(gamma(r)*factorial(x))*p**r*(1 - p)**x",
    },
    "logistic": {
        "data": {"x": REAL},
        "parameters": {"m": "real", "s": "positive"},
        "density": "exp(-(x - m)/s)/(s*(1 + exp(-(x - m)/s))**2)",
    },
    "regression": {
        "data": {"y": REAL},
        "covariates": ["z"],
        "parameters": {"b0": "real", "b1": "real", "sigma": "positive"},
        "density": "exp(-(y - b0 - b1*z)**2/(2*sigma**2))/(sigma*sqrt(2*pi))",
    },
}


@cache
def law(name: str) -> Derivation:
    return derive(Model.from_dict({**LAWS[name], "name": name}))


PUBLISHED = [
    # law, data, estimates, standard errors, log-likelihood
    ("exponential", AIR, {"lam": 0.00925212028}, {"lam": 0.00267086}, -68.19483041),
    ("gamma", AIR, {"a": 0.706493175, "b": 0.00653655983}, {"a": 0.245972, "b": 0.00319669}, -67.64542456),
    (
        "weibull",
        BEARINGS,
        {"k": 2.10184686, "lam": 81.8745587},
        {"k": 0.328657, "lam": 8.60093},
        -113.69195909,
    ),
    ("gamma", BEARINGS, {"a": 4.02470641, "b": 0.0557277479}, {}, -113.02981884),
    ("lognormal", BEARINGS, {"mu": 4.15038269, "sigma": 0.521686511}, {}, -113.12855433),
    ("inverse Gaussian", BEARINGS, {"mu": 72.2208696, "lam": 231.630331}, {}, -113.20464798),
]


@pytest.mark.parametrize(("name", "data", "estimates", "errors", "height"), PUBLISHED)
def test_published(name: str, data: Any, estimates: Any, errors: Any, height: float) -> None:
    result = fit(law(name), data)
    assert result.estimates == pytest.approx(estimates, rel=5e-9)
    assert result.log_likelihood == pytest.approx(height, rel=1e-10)
    assert result.standard_errors is not None
    for parameter, value in errors.items():
        assert result.standard_errors[parameter] == pytest.approx(value, rel=2e-6)
    assert result.aic == pytest.approx(2 * len(estimates) - 2 * height, rel=1e-9)
    assert name in result.summary()


def test_wald_intervals() -> None:
    result = fit(law("exponential"), AIR)
    low, high = result.confidence_intervals(method="plain")["lam"]
    rate, error = result.estimates["lam"], result.standard_errors["lam"]
    assert (low, high) == pytest.approx((rate - 1.959963985 * error, rate + 1.959963985 * error))
    with pytest.raises(ValueError, match="between 0 and 1"):
        result.confidence_intervals(level=95)


NUMACC = [10000000.2] + [10000000.1, 10000000.3] * 500


@pytest.mark.parametrize("name", ["normal", "lognormal", "inverse Gaussian"])
def test_numacc_holds_twelve_digits(name: str) -> None:
    # the certified mean is 10000000.2 and the deviation .1 in decimals; the oracle is in test_digits
    found = fit(law(name), NUMACC).estimates
    weighted = fit(law(name), [10000000.1, 10000000.2, 10000000.3], weights=[500, 1, 500]).estimates
    assert found == pytest.approx(weighted, rel=1e-13)
    if name == "normal":
        assert found["sigma"] == pytest.approx(0.1 * math.sqrt(1000 / 1001), rel=1e-7)


SCALE_OF = {
    "exponential": {"lam": -1},
    "normal": {"mu": 1, "sigma": 1},
    "gamma": {"a": 0, "b": -1},
    "weibull": {"k": 0, "lam": 1},
    "inverse Gaussian": {"mu": 1, "lam": 1},
    "logistic": {"m": 1, "s": 1},
}


@pytest.mark.parametrize("power", [-300, -120, 120, 300])
@pytest.mark.parametrize("name", ["exponential", "normal", "gamma", "weibull", "inverse Gaussian"])
def test_scale_families_hold_ten_digits(name: str, power: int) -> None:
    plain = fit(law(name), BEARINGS).estimates
    scaled = fit(law(name), np.array(BEARINGS) * 10.0**power).estimates
    for parameter, degree in SCALE_OF[name].items():
        expected = plain[parameter] * 10.0 ** (degree * power)
        assert scaled[parameter] == pytest.approx(expected, rel=1e-10, abs=0), parameter


def test_what_doubles_cannot_hold_is_said() -> None:
    with pytest.raises(DataError, match="not representable"):
        fit(law("exponential"), np.array([1e-310, 2e-310]))


NONE = [
    ("normal", [2.5], "one row"),
    ("normal", [4.0, 4.0, 4.0], "every `x` is 4"),
    ("normal", [0.1] * 9, "every `x` is 0.1"),
    ("gamma", [3.0], "k|a"),
    ("gamma", [2.0, 2.0], "every `x` is 2"),
    ("weibull", [2.0, 2.0, 2.0], "every `x` is 2"),
    ("inverse Gaussian", [2.0, 2.0], "every `x` is 2"),
    ("bernoulli", [0, 0, 0], "every `x` is 0"),
    ("bernoulli", [1, 1], "every `x` is 1"),
    ("negative binomial", [3, 3, 4, 3, 4], "r|p"),
]


@pytest.mark.parametrize(("name", "data", "words"), NONE)
def test_no_maximum_is_said(name: str, data: Any, words: str) -> None:
    with pytest.raises(NoMaximumError, match=words):
        fit(law(name), data)


def test_an_exact_line_has_no_maximum() -> None:
    z = np.array([1.0, 2.0, 4.0, 7.0])
    with pytest.raises((NoMaximumError, DataError)):
        fit(law("regression"), {"y": 2.0 + 3.0 * z, "z": z})


@pytest.mark.parametrize("name", ["normal", "gamma", "weibull"])
def test_weights_are_repeats(name: str) -> None:
    data, weights = BEARINGS[:8], [1, 2, 1, 3, 0, 1, 1, 2]
    weighted = fit(law(name), [*data[:4], -1e9 if name == "normal" else data[4], *data[5:]], weights=weights)
    repeated = fit(law(name), np.repeat(data, weights))
    assert weighted.estimates == pytest.approx(repeated.estimates, rel=1e-12)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)
    assert weighted.standard_errors == pytest.approx(repeated.standard_errors, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=20, unique=True), st.randoms())
def test_order_is_nothing(data: list[float], random: Any) -> None:
    shuffled = data.copy()
    random.shuffle(shuffled)
    first, second = fit(law("normal"), data).estimates, fit(law("normal"), shuffled).estimates
    assert first["sigma"] == pytest.approx(second["sigma"], rel=1e-12)
    assert first["mu"] == pytest.approx(second["mu"], rel=1e-12, abs=1e-12)


def test_the_same_call_gives_the_same_answer() -> None:
    answers = {str(fit(law("weibull"), BEARINGS).estimates) for _ in range(6)}
    assert len(answers) == 1


def test_newton_and_groups() -> None:
    data = {"x": BEARINGS, "g": ["a"] * 11 + ["b"] * 12}
    both = fit(law("normal"), data, by="g")
    assert list(both) == ["a", "b"]
    assert both["a"].estimates == fit(law("normal"), BEARINGS[:11]).estimates
    newton = fit(law("logistic"), BEARINGS)
    assert newton.method == "newton"
    assert newton.standard_errors is not None
    moved = fit(law("logistic"), [3 * v - 7 for v in BEARINGS])
    assert moved.estimates["m"] == pytest.approx(3 * newton.estimates["m"] - 7, rel=1e-9)
    assert moved.estimates["s"] == pytest.approx(3 * newton.estimates["s"], rel=1e-9)


def test_start_and_fixed_are_checked() -> None:
    with pytest.raises(DataError, match="has domain"):
        fit(law("weibull"), BEARINGS, start={"k": -1.0})
    with pytest.raises(DataError, match="was not held fixed"):
        fit(law("weibull"), BEARINGS, fixed={"k": 2.0})
    held = derive(Model.from_dict({**LAWS["weibull"], "name": "weibull"}), fixed=("k",))
    assert fit(held, BEARINGS, fixed={"k": 1}).estimates["lam"] == pytest.approx(np.mean(BEARINGS), rel=1e-13)
    with pytest.raises(DataError, match="has no value"):
        fit(held, BEARINGS)


def test_results_and_derivations_survive_pickling() -> None:
    result = fit(law("gamma"), AIR)
    again = pickle.loads(pickle.dumps(result))
    assert again.estimates == result.estimates
    assert again.log_likelihood == result.log_likelihood
    assert again.standard_errors == pytest.approx(result.standard_errors)


def test_certificates_are_computed_when_read() -> None:
    closed = fit(law("normal"), BEARINGS)
    assert closed.certificate is not None
    assert closed.certificate_reason == ""
    root = fit(law("gamma"), AIR)
    assert (root.certificate is None) == bool(root.certificate_reason)


def test_every_stationary_point_is_listed() -> None:
    cauchy = derive(
        Model.from_dict(
            {
                "data": {"x": REAL},
                "parameters": {"t": "real"},
                "density": "1/(pi*(1 + (x - t)**2))",
                "name": "cauchy",
            }
        )
    )
    points = cauchy.stationary_points([-3.0, 3.0])
    found = sorted((float(p.values["t"]), p.kind.value) for p in points)
    assert [kind for _, kind in found] == ["local maximum", "local minimum", "local maximum"]
    assert [t for t, _ in found] == pytest.approx([-math.sqrt(8), 0, math.sqrt(8)], abs=1e-12)
