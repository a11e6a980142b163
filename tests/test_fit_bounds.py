"""Bounds: the domain cut to a closed interval, the maximum there held against a plain search with the same box."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laws_for_fits import column, law  # type: ignore[import-not-found]
from scipy import optimize, stats
from scipy.special import gammaln
from sympy import Interval

from symmle import DataError, ModelError, derive, fit

GAMMA = column("gamma60")
X = np.array(GAMMA)
Height = Callable[[Any], float]


def gamma_height(theta: Any) -> float:
    a, b = theta
    return float(np.sum(a * np.log(b) - gammaln(a) + (a - 1) * np.log(X) - b * X))


def normal_height(theta: Any) -> float:
    z = (X - theta[0]) / theta[1]
    return float(np.sum(-z * z / 2 - np.log(theta[1] * math.sqrt(2 * math.pi))))


def weibull_height(theta: Any) -> float:
    k, s = theta
    return float(np.sum(np.log(k / s) + (k - 1) * np.log(X / s) - (X / s) ** k))


def logistic_height(theta: Any) -> float:
    z = (X - theta[0]) / theta[1]
    return float(np.sum(-z - np.log(theta[1]) - 2 * np.log1p(np.exp(-z))))


def best_in_box(height: Height, box: list[tuple[float, float]]) -> tuple[Any, float]:
    """The best end of bounded quasi-Newton ascents from a grid; written without symmle."""
    best, top = None, -math.inf
    for a in np.linspace(*box[0], 3):
        for b in np.linspace(*box[1], 3):
            end = optimize.minimize(lambda t: -height(t), [a, b], method="L-BFGS-B", bounds=box, tol=1e-14)
            if -end.fun > top:
                best, top = end.x, -end.fun
    return best, top


# law, its height, bounds, the box of the search, which parameters end at a bound
BOXES: list[tuple[str, Height, dict[str, Any], list[tuple[float, float]], list[str]]] = [
    ("gamma", gamma_height, {"shape": (4, 10)}, [(4, 10), (0.05, 5)], ["shape"]),
    ("gamma", gamma_height, {"shape": (None, 3)}, [(0.1, 3), (0.05, 5)], ["shape"]),
    ("gamma", gamma_height, {"rate": (0.1, 0.5)}, [(0.1, 10), (0.1, 0.5)], ["rate"]),
    ("gamma", gamma_height, {"shape": (4, 5), "rate": (None, 0.5)}, [(4, 5), (0.01, 0.5)], ["shape", "rate"]),
    ("gamma", gamma_height, {"shape": (1, 10), "rate": (0.1, math.inf)}, [(1, 10), (0.1, 9)], []),
    ("normal", normal_height, {"sigma": (None, 3)}, [(0, 10), (0.1, 3)], ["sigma"]),
    ("normal", normal_height, {"mu": (None, 5.5)}, [(0, 5.5), (0.1, 9)], ["mu"]),
    ("normal", normal_height, {"mu": (-9, 5.5), "sigma": (3.5, 4)}, [(-9, 5.5), (3.5, 4)], ["mu", "sigma"]),
    ("Weibull", weibull_height, {"shape": (2.5, 4)}, [(2.5, 4), (1, 20)], ["shape"]),
    ("Weibull", weibull_height, {"scale": (1, 5)}, [(0.2, 6), (1, 5)], ["scale"]),
    ("logistic", logistic_height, {"s": (2.5, 4)}, [(0, 10), (2.5, 4)], ["s"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "height", "bounds", "box", "ends"), BOXES)
def test_the_maximum_in_a_box(
    name: str, height: Height, bounds: dict[str, Any], box: list[tuple[float, float]], ends: list[str]
) -> None:
    result = fit(law(name), GAMMA, bounds=bounds)
    theta, top = best_in_box(height, box)
    assert list(result.estimates.values()) == pytest.approx(list(theta), rel=2e-4)
    assert result.log_likelihood >= top - 1e-9 * abs(top)
    assert height(list(result.estimates.values())) == pytest.approx(result.log_likelihood, rel=1e-12)
    assert result.boundary is bool(ends)
    assert (result.standard_errors is None) is bool(ends)
    for parameter in ends:
        assert result.estimates[parameter] in bounds[parameter]
        assert f"`{parameter}`" in result.status and "at an end of the domain" in result.status


def test_a_maximum_inside_the_bounds_is_the_free_one_with_its_proof() -> None:
    free, bounded = fit(law("gamma"), GAMMA), fit(law("gamma"), GAMMA, bounds={"shape": (1, 10)})
    assert bounded.estimates == free.estimates
    assert bounded.standard_errors == free.standard_errors
    assert bounded.unique is True and "proved for every sample" in bounded.status


def test_bounds_make_a_maximum_where_there_was_none() -> None:
    """Counts with less variance than mean: the size runs to its bound."""
    counts = [2, 3, 2, 3, 2, 2, 3, 3]
    result = fit(law("negative binomial, mean"), counts, bounds={"size": (0.01, 1000)})
    assert result.estimates == pytest.approx({"size": 1000, "mu": 2.5}, rel=1e-9)
    assert result.boundary
    expected = stats.nbinom.logpmf(counts, 1000, 1000 / 1002.5).sum()
    assert result.log_likelihood == pytest.approx(expected, rel=1e-10)


def test_whole_numbers_have_bounds() -> None:
    result = fit(law("binomial, both"), [16, 18, 22, 25, 27], bounds={"N": (27, 50)})
    assert result.estimates["N"] == 50
    assert result.boundary
    assert fit(law("binomial, both"), [16, 18, 22, 25, 27], bounds={"N": (30, 150)}).estimates["N"] == 99


PORT_PIRIE = np.array(column("portpirie"))


def test_a_limit_at_two_bounds_is_attained() -> None:
    """mu = 4, xi = 0.1: held there, only sigma is left, in which the support is not linear."""
    result = fit(law("GEV"), PORT_PIRIE, bounds={"xi": (0.1, 0.5), "mu": (4.0, 5.0)})
    sigma = result.estimates["sigma"]
    assert result.boundary and result.estimates["xi"] == 0.1 and result.estimates["mu"] == 4.0
    by_scipy = optimize.minimize_scalar(
        lambda u: -stats.genextreme.logpdf(PORT_PIRIE, -0.1, 4.0, u).sum(),
        bounds=(0.1, 1.0),
        method="bounded",
    )
    assert result.log_likelihood == pytest.approx(-by_scipy.fun, abs=1e-8)
    assert sigma == pytest.approx(by_scipy.x, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("bounds", "ends"), [({"xi": (0.1, 0.5)}, {"xi": 0.1})])
def test_a_bound_where_the_support_moves(bounds: dict[str, Any], ends: dict[str, float]) -> None:
    """The ways inside end at no maximum; each bound is held, and l must rise there outwards."""
    result = fit(law("GEV"), PORT_PIRIE, bounds=bounds)
    free = [p for p in ("mu", "sigma", "xi") if p not in ends]

    def height(theta: Any) -> float:
        at = {**ends, **dict(zip(free, theta, strict=True))}
        if at["sigma"] <= 0:
            return -math.inf
        return float(stats.genextreme.logpdf(PORT_PIRIE, -at["xi"], at["mu"], at["sigma"]).sum())

    start = [{"mu": 3.9, "sigma": 0.2}[p] for p in free]
    options = {"xatol": 1e-10, "fatol": 1e-12}
    end = optimize.minimize(lambda t: -height(t), start, method="Nelder-Mead", options=options)
    assert result.log_likelihood == pytest.approx(-end.fun, rel=1e-9)
    for parameter, value in (ends | dict(zip(free, end.x, strict=True))).items():
        assert result.estimates[parameter] == pytest.approx(value, rel=1e-5)
    assert result.boundary and "at an end of the domain" in result.status
    assert result.gradient_norm < 1e-6


@settings(max_examples=12, deadline=None, derandomize=True)
@given(ends=st.tuples(st.integers(1, 60), st.integers(1, 60)).filter(lambda e: e[0] != e[1]))
def test_a_concave_likelihood_of_one_parameter_is_clipped(ends: tuple[int, int]) -> None:
    """An exponential rate: the nearest point of [low, high] to 1/mean(x)."""
    low, high = sorted(end / 100 for end in ends)
    result = fit(law("exponential"), GAMMA, bounds={"rate": (low, high)})
    free = 1 / X.mean()
    assert result.estimates["rate"] == pytest.approx(min(max(free, low), high), rel=1e-12)
    assert result.boundary is not (low < free < high)


REFUSED: list[tuple[dict[Any, Any], list[str]]] = [
    ({"shape": (-3, -1)}, ["`shape`", "gamma", "-3 to -1", "nothing"]),
    ({"shape": (5, 4)}, ["`shape`", "5 to 4", "lower one first"]),
    ({"shape": (3, 3)}, ["`shape`", "one value", "fixed={'shape': 3}"]),
    ({"sha": (1, 2)}, ["`sha`", "no free parameter", "shape, rate"]),
    ({"shape": 3}, ["`shape`", "pair (low, high)"]),
    ({"shape": (1, 2, 3)}, ["`shape`", "pair (low, high)"]),
    ({"shape": (math.nan, 2)}, ["`shape`", "nan"]),
    ({"shape": ("rate", 2)}, ["`shape`", "rate"]),
    ({"shape": ("__import__('os')", 2)}, ["`shape`"]),
]


@pytest.mark.parametrize(("bounds", "words"), REFUSED)
def test_bounds_are_refused_in_words(bounds: dict[Any, Any], words: list[str]) -> None:
    with pytest.raises(ModelError) as refused:
        fit(law("gamma"), GAMMA, bounds=bounds)
    for word in words:
        assert word in str(refused.value)


def test_every_option_at_once() -> None:
    """fixed, start, weights, by, missing and bounds."""
    free = derive(law("Student t").model, fixed=["nu"])
    weights = np.append(np.arange(60) % 3 + 1.0, [5.0])
    data = {"x": [*GAMMA, None], "g": ["a"] * 30 + ["b"] * 31}
    options: dict[str, Any] = dict(fixed={"nu": 4}, bounds={"s": (0.5, 2.0)}, missing="drop")
    groups = fit(free, data, weights=weights, by="g", start={"m": 5.0, "s": 1.0}, **options)
    for group, rows in (("a", slice(0, 30)), ("b", slice(30, 60))):
        alone = groups[group]
        x, w = X[rows], weights[:60][rows]

        def height(theta: Any, x: Any = x, w: Any = w) -> float:
            return float((w * stats.t.logpdf(x, 4, theta[0], theta[1])).sum())

        theta, top = best_in_box(height, [(0, 12), (0.5, 2.0)])
        assert list(alone.estimates.values()) == pytest.approx(list(theta), rel=1e-4)
        assert alone.log_likelihood == pytest.approx(top, rel=1e-9)
    assert groups["b"].dropped == 1
    with pytest.raises(DataError, match="`start` gave 3"):
        fit(free, GAMMA, fixed={"nu": 4}, start={"m": 5.0, "s": 3.0}, bounds={"s": (0.5, 2.0)})
    with pytest.raises(ModelError, match="no free parameter"):
        fit(free, GAMMA, fixed={"nu": 4}, bounds={"nu": (1, 9)})


def test_the_derivation_for_bounds_is_made_once() -> None:
    derivation = law("gamma")
    first = derivation.bounded({"shape": (4, 10)})
    assert derivation.bounded({"shape": (4.0, 10.0)}) is first
    assert derivation.bounded({"shape": (4, 9)}) is not first
    assert first.model.domain_of(derivation.model.symbol("shape")) == Interval(4, 10)
