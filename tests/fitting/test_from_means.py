"""Estimates from means of a large column: textbook formulas, the numbers of the careful way, refusals."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import digamma

from symmle import DataError, Derivation, Model, NoMaximumError, derive, fit
from symmle.compiling.data import read_table
from symmle.fitting.from_means import from_means_of
from symmle.fitting.plan import plan_of

GAMMA = "b**a*x**(a - 1)*exp(-b*x)/gamma(a)"
INVERSE_GAUSSIAN = "sqrt(l/(2*pi*x**3))*exp(-l*(x - m)**2/(2*m**2*x))"


@cache
def law(density: str, support: str = "(0, oo)", **parameters: str) -> Derivation:
    return derive(Model.from_dict({"data": {"x": support}, "parameters": parameters, "density": density}))


def exponential() -> Derivation:
    return law("l*exp(-l*x)", l="positive")


def gamma() -> Derivation:
    return law(GAMMA, a="positive", b="positive")


def inverse_gaussian() -> Derivation:
    return law(INVERSE_GAUSSIAN, m="positive", l="positive")


def power() -> Derivation:
    return law("a*x**(a - 1)", "(0, 1)", a="positive")


def shape_of_gamma(x: Any) -> dict[str, float]:
    s = math.log(x.mean()) - np.log(x).mean()
    a = float(brentq(lambda a: math.log(a) - digamma(a) - s, 1e-3, 1e5, xtol=1e-14, rtol=1e-14))
    return {"a": a, "b": a / x.mean()}


def of_inverse_gaussian(x: Any) -> dict[str, float]:
    return {"m": x.mean(), "l": 1 / ((1 / x).mean() - 1 / x.mean())}


TEXTBOOK = [
    (exponential, lambda x: {"l": 1 / x.mean()}),
    (lambda: law("x/s**2*exp(-x**2/(2*s**2))", s="positive"), lambda x: {"s": math.sqrt((x * x).mean() / 2)}),
    (gamma, shape_of_gamma),
    (inverse_gaussian, of_inverse_gaussian),
]


def sample(n: int, seed: int = 3, shape: float = 2.5) -> Any:
    return np.random.default_rng(seed).gamma(shape, 1.3, n)


@pytest.mark.parametrize(("derivation", "formula"), TEXTBOOK)
@pytest.mark.parametrize("n", [1000, 65_537, 200_001])
def test_the_formulas_of_textbooks(derivation: Any, formula: Any, n: int) -> None:
    x = sample(n)
    assert from_means_of(plan_of(derivation())).fitted(x) is not None  # type: ignore[union-attr]
    result = fit(derivation(), x)
    for name, value in formula(x).items():
        assert result.estimates[name] == pytest.approx(value, rel=1e-11)
    assert result.unique is not False
    assert not result.unbounded
    assert result.standard_errors is not None


@pytest.mark.parametrize("derivation", [exponential, gamma, inverse_gaussian, power])
def test_the_careful_way_gives_the_same(derivation: Any) -> None:
    x = np.random.default_rng(5).beta(3, 2, 4000)
    quick, careful = fit(derivation(), x), fit(derivation(), list(x))
    assert quick.estimates == pytest.approx(careful.estimates, rel=1e-11)
    assert quick.log_likelihood == pytest.approx(careful.log_likelihood, rel=1e-13)
    assert quick.standard_errors == pytest.approx(careful.standard_errors, rel=1e-10)
    assert quick.table.n == careful.table.n == 4000


def test_a_power_law_on_the_unit_interval_by_its_logarithms() -> None:
    x = np.random.default_rng(5).beta(3, 1, 4000)
    assert fit(power(), x).estimates["a"] == pytest.approx(-1 / np.log(x).mean(), rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.floats(0.05, 400), scale=st.floats(-20, 20), n=st.integers(1000, 4000), seed=st.integers(0, 99)
)
def test_scale_carries_over(shape: float, scale: float, n: int, seed: int) -> None:
    """x -> c x leaves the shape of a gamma law and divides its rate, however it is computed."""
    x = np.maximum(np.random.default_rng(seed).gamma(shape, 1.0, n), 1e-200)
    one, other = fit(gamma(), x).estimates, fit(gamma(), x * 10**scale).estimates
    assert other["a"] == pytest.approx(one["a"], rel=1e-9)
    assert other["b"] * 10**scale == pytest.approx(one["b"], rel=1e-9)


BAD = [0.0, -1.0, -1e-300, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", [0, 77, 70_000, -1])
@pytest.mark.parametrize("derivation", [exponential, gamma, inverse_gaussian])
def test_rows_outside_the_support_are_refused(derivation: Any, bad: float, place: int) -> None:
    x = sample(70_001)
    x[place] = bad
    with pytest.raises(DataError, match=f"row {place % len(x)}"):
        fit(derivation(), x)


@pytest.mark.parametrize("bad", [1.0, 1.5, math.nan])
def test_rows_outside_the_unit_interval_are_refused(bad: float) -> None:
    x = np.random.default_rng(5).beta(3, 1, 4000)
    x[1234] = bad
    with pytest.raises(DataError, match="row 1234"):
        fit(power(), x)


@pytest.mark.parametrize("derivation", [gamma, inverse_gaussian])
def test_equal_rows_have_no_maximum(derivation: Any) -> None:
    with pytest.raises(NoMaximumError):
        fit(derivation(), np.full(5000, 2.5))


def test_nearly_equal_rows_go_the_careful_way() -> None:
    """The mean of x times that of 1/x less 1 is 1e-12 here: doubles do not tell it."""
    x = 1 + 1e-6 * np.random.default_rng(1).normal(size=3000)
    assert from_means_of(plan_of(inverse_gaussian())).fitted(x) is None  # type: ignore[union-attr]
    d = (x - x.mean()) / x.mean()
    found = fit(inverse_gaussian(), x).estimates
    # 1/l = mean of (1/x - 1/m) = mean of (d**2 - d**3 + ...)/m
    assert found["l"] == pytest.approx(x.mean() / float(np.mean(d**2 - d**3 + d**4)), rel=1e-9)


ELSEWHERE = [
    # a statistic that moves with a parameter; of both signs; not proved; several equations; a support that is closed
    law("k/s*(x/s)**(k - 1)*exp(-(x/s)**k)", k="positive", s="positive"),
    law("exp(-(x - m)**2/2)/sqrt(2*pi)", "(-oo, oo)", m="real"),
    law("x**(a - 1)*(1 - x)**(b - 1)*gamma(a + b)/(gamma(a)*gamma(b))", "(0, 1)", a="positive", b="positive"),
    law("l*exp(-l*x)", "[0, oo)", l="positive"),
]


@pytest.mark.parametrize("derivation", ELSEWHERE)
def test_other_laws_go_their_own_way(derivation: Derivation) -> None:
    assert from_means_of(plan_of(derivation)) is None


@pytest.mark.parametrize(
    "options",
    [{"weights": np.ones(2000)}, {"method": "newton"}, {"start": {"a": 2.0}}, {"bounds": {"a": (1, 9)}}],
)
def test_what_is_asked_for_is_done(options: dict[str, Any]) -> None:
    x = sample(2000)
    assert fit(gamma(), x, **options).estimates == pytest.approx(shape_of_gamma(x), rel=1e-7)


@pytest.mark.parametrize("options", [{"accelerate": False}, {"restarts": 3}, {"assignment": "hard"}])
def test_what_is_for_em_alone_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are for EM"):
        fit(gamma(), sample(2000), **options)


def test_a_table_and_whole_numbers_and_strides_are_read() -> None:
    x = sample(4000)
    wide = np.column_stack([x, x])[:, 0]
    for data in ({"x": x}, wide, read_table(gamma().model, x), x.astype(np.float32).astype(float)):
        assert fit(gamma(), data).estimates == pytest.approx(shape_of_gamma(x), rel=1e-5)
    whole = np.ceil(x).astype(int)
    assert fit(gamma(), whole).estimates == pytest.approx(shape_of_gamma(whole), rel=1e-9)
