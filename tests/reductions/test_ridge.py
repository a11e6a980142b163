"""Parameters that are not identified: the identified functions, a member of the ridge, and what is not a ridge."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from sympy import simplify, sympify

from symmle import Derivation, Model, derive, fit
from symmle.errors import NoMaximumError
from symmle.estimator import Kind
from symmle.sample import Mean

TILTED = "a*(k/s)*(x/s)**(k - 1)/(1 + (x/s)**k)**2/(1 - (1 - a)/(1 + (x/s)**k))**2"
CELLS = (
    "(p1/(p1 + p2 + p3))**((x - 1)*(x - 2)/2)*(p2/(p1 + p2 + p3))**(x*(2 - x))"
    "*(p3/(p1 + p2 + p3))**(x*(x - 1)/2)"
)

Numbers = dict[str, float]


def exponential_rate(x: Any) -> float:
    return float(1 / np.mean(x))


# density, support, parameters, the identified functions, {function: its estimate by another way}
RIDGES: dict[str, tuple[str, str, dict[str, str], set[str], Callable[[Any], Numbers] | None]] = {
    "sum of rates": (
        "(a + b)*exp(-(a + b)*x)",
        "(0, oo)",
        {"a": "positive", "b": "positive"},
        {"a + b"},
        lambda x: {"a + b": exponential_rate(x)},
    ),
    "three rates": (
        "(a + 2*b + c)*exp(-(a + 2*b + c)*x)",
        "(0, oo)",
        {"a": "positive", "b": "positive", "c": "positive"},
        {"a + 2*b + c"},
        lambda x: {"a + 2*b + c": exponential_rate(x)},
    ),
    "product of means": (
        "exp(-(x - a*b)**2/2)/sqrt(2*pi)",
        "(-oo, oo)",
        {"a": "real", "b": "real"},
        {"a*b"},
        lambda x: {"a*b": float(np.mean(x))},
    ),
    "ratio": (
        "a/b*exp(-a*x/b)",
        "(0, oo)",
        {"a": "positive", "b": "positive"},
        {"a/b"},
        lambda x: {"a/b": exponential_rate(x)},
    ),
    "difference of locations": (
        "exp(-(x - a + b)**2/(2*s**2))/(s*sqrt(2*pi))",
        "(-oo, oo)",
        {"a": "real", "b": "real", "s": "positive"},
        {"a - b"},
        lambda x: {"a - b": float(np.mean(x)), "s": float(np.std(x))},
    ),
    "sum of variances": (
        "exp(-(x - m)**2/(2*(v + w)))/sqrt(2*pi*(v + w))",
        "(-oo, oo)",
        {"m": "real", "v": "positive", "w": "positive"},
        {"v + w"},
        lambda x: {"m": float(np.mean(x)), "v + w": float(np.var(x))},
    ),
    "squares": (
        "exp(-(x - m)**2/(2*(v**2 + w**2)))/sqrt(2*pi*(v**2 + w**2))",
        "(-oo, oo)",
        {"m": "real", "v": "positive", "w": "positive"},
        {"v**2 + w**2"},
        lambda x: {"m": float(np.mean(x)), "v**2 + w**2": float(np.var(x))},
    ),
    "product of probabilities": (
        "(p*q)**x*(1 - p*q)**(1 - x)",
        "{0, 1}",
        {"p": "(0, 1)", "q": "(0, 1)"},
        {"p*q"},
        lambda x: {"p*q": float(np.mean(x))},
    ),
    "proportional cells": (
        CELLS,
        "{0, 1, 2}",
        {"p1": "positive", "p2": "positive", "p3": "positive"},
        {"p1/p3", "p2/p3"},
        lambda x: {"p1/p3": np.sum(x == 0) / np.sum(x == 2), "p2/p3": np.sum(x == 1) / np.sum(x == 2)},
    ),
    "Weibull scale": (
        "k/(a*b)*(x/(a*b))**(k - 1)*exp(-(x/(a*b))**k)",
        "(0, oo)",
        {"a": "positive", "b": "positive", "k": "positive"},
        {"a*b"},
        lambda x: dict(zip(("k", "a*b"), stats.weibull_min.fit(x, floc=0)[::2], strict=True)),
    ),
}
CLOSED = sorted(set(RIDGES) - {"Weibull scale"})
DERIVED: dict[str, Derivation] = {}


def derived(name: str) -> Derivation:
    if name not in DERIVED:
        density, support, parameters, *_ = RIDGES[name]
        DERIVED[name] = derive(
            Model.from_dict({"density": density, "data": {"x": support}, "parameters": parameters})
        )
    return DERIVED[name]


def drawn(support: str, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    match support:
        case "(0, oo)":
            return rng.weibull(1.4, 15) * rng.choice([0.2, 3.0])
        case "(-oo, oo)":
            return rng.normal(rng.choice([-4.0, 0.3]), 2, 15)
        case "{0, 1}":
            return np.array([0.0, 1.0, *(rng.random(10) < 0.7)])
        case _:
            return np.array([0.0, 1, 2, *rng.integers(0, 3, 12)])


@pytest.mark.parametrize("name", RIDGES)
def test_the_identified_functions_are_named(name: str) -> None:
    derivation = derived(name)
    (step,) = (s for s in derivation.steps if s.rule == "ridge")
    by_name = {str(p): p for p in derivation.model.declaration.parameters}
    expected = {simplify(sympify(e, locals=by_name)) for e in RIDGES[name][3]}
    assert {simplify(e) for e in step.after} == expected
    assert derivation.estimator.free == step.subject
    assert [s for s in derivation.steps if s.rule == "why not the score"][0].detail("reason") == "ridge"


@pytest.mark.parametrize("name", CLOSED)
def test_every_member_is_proved_a_global_maximum(name: str) -> None:
    derivation = derived(name)
    (point,) = derivation.estimator.points
    assert point.kind is Kind.GLOBAL_MAXIMUM and point.certificate is not None
    assert point.certificate.check()[0]
    verification = derivation.verify()
    assert not verification.failures, str(verification)
    assert Derivation.from_dict(derivation.to_dict()) == derivation
    assert derivation.latex()


@pytest.mark.parametrize("name", RIDGES)
def test_the_estimates_are_a_member_of_the_ridge(name: str) -> None:
    _, support, parameters, _, reference = RIDGES[name]
    assert reference is not None
    for seed in range(6):
        x = drawn(support, seed)
        result = fit(derived(name), x)
        assert result.unique is False
        for function, value in reference(x).items():
            found = float(sympify(function, locals={}).subs(result.estimates))
            assert found == pytest.approx(value, rel=1e-4 if name == "Weibull scale" else 1e-10)
        for p, domain in parameters.items():
            assert domain == "real" or result.estimates[p] > 0
        for low, high in result.maximisers.values():
            assert low < high


def test_the_free_parameter_ranges_over_what_leaves_the_others_inside() -> None:
    result = fit(derived("sum of rates"), [1.0, 2.0, 3.0])
    assert result.estimates["a"] == pytest.approx(0.25) and result.estimates["b"] == pytest.approx(0.25)
    assert result.maximisers["b"] == pytest.approx((0.0, 0.5), abs=1e-12)
    result = fit(derived("product of probabilities"), [0.0, 1.0, 1.0, 1.0])
    assert result.maximisers["q"] == pytest.approx((0.75, 1.0), abs=1e-12)


def test_the_closed_form_names_the_free_parameter() -> None:
    estimator = derived("sum of rates").estimator
    (x,) = derived("sum of rates").model.declaration.samples[0].columns
    (b,) = estimator.free
    assert estimator.closed["a"] == 1 / Mean(x, (x,)) - b
    assert estimator.kind == "closed form"


def test_a_tilted_log_logistic_is_a_log_logistic() -> None:
    derivation = derive(
        Model.from_dict(
            {"density": TILTED, "data": {"x": "(0, oo)"}, "parameters": dict.fromkeys("aks", "positive")}
        )
    )
    (free,) = derivation.estimator.free
    assert str(free) in "as"
    x = np.array([0.5, 0.9, 1.7, 2.2, 3.9, 8.4])
    result = fit(derivation, x)

    def cost(t: Any) -> float:
        return -float(np.sum(stats.fisk.logpdf(x, math.exp(t[0]), scale=math.exp(t[1]))))

    plain = optimize.minimize(
        cost, [0.0, 0.5], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13}
    )
    assert result.log_likelihood == pytest.approx(-plain.fun, abs=1e-9)
    assert result.unique is False


@pytest.mark.parametrize(
    ("density", "support", "parameters"),
    [
        ("exp(-(x - m)**2/(2*s**2))/(s*sqrt(2*pi))", "(-oo, oo)", {"m": "real", "s": "positive"}),
        ("p**x*(1 - p)**(1 - x)", "{0, 1}", {"p": "(0, 1)"}),
        (
            "exp(-(x - a - b)**2/(2*b))/sqrt(2*pi*b)",
            "(-oo, oo)",
            {"a": "real", "b": "positive"},
        ),  # a + b and b
    ],
)
def test_identified_parameters_are_no_ridge(density: str, support: str, parameters: dict[str, str]) -> None:
    derivation = derive(
        Model.from_dict({"density": density, "data": {"x": support}, "parameters": parameters})
    )
    assert not derivation.estimator.free
    assert all(s.rule != "ridge" for s in derivation.steps)


def test_no_maximum_on_a_ridge_is_refused() -> None:
    with pytest.raises(NoMaximumError, match=r"v \+ w"):
        fit(derived("sum of variances"), [2.0, 2.0, 2.0])
    with pytest.raises(NoMaximumError):
        fit(derived("product of probabilities"), [0.0, 0.0, 0.0])
