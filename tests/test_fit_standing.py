"""Status of a fit in every way it was found: stationary or at an edge, conditioned, unique, which maxima were met."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from laws_for_fits import column, law  # type: ignore[import-not-found]

from symmle import Model, derive, fit
from symmle.fitting.large import LARGE

GAMMA = column("gamma60")
MANY = np.random.default_rng(5).gamma(3.0, 2.0, LARGE + 500)
INSIDE, ONLY = "inside the parameter space", "only maximum"

# way: law, data, a word of the method, whether the score vanishes at the estimates, words of the status
WAYS: dict[str, tuple[str, Any, str, bool, list[str]]] = {
    "closed": ("normal", GAMMA, "closed form", True, [INSIDE, ONLY, "proved for every sample"]),
    "root": ("gamma", GAMMA, "bracketed root", True, [INSIDE, ONLY, "proved for every sample"]),
    "several roots": ("Cauchy location", [-3, 3, 0.5], "bracketed root", True, [INSIDE]),
    "newton": ("Cauchy", GAMMA, "newton", True, [INSIDE, "8 starts ended at one maximum", "is not proved"]),
    "newton, proved": ("logistic", GAMMA, "newton", True, [INSIDE, ONLY]),
    "large": ("gamma", MANY, "newton", True, [INSIDE, ONLY]),
    "unbounded": ("GEV", column("portpirie"), "newton", True, [INSIDE, "grows without bound"]),
    "order statistic": ("shifted exponential", GAMMA, "closed form", False, ["at an edge", ONLY]),
    "median": ("Laplace", GAMMA, "closed form", False, [INSIDE, "order statistic"]),
    "integer": ("binomial, both", [16, 18, 22, 25, 27], "", False, ["were compared"]),
    "a set": ("uniform of length 1", [0.31, 0.92, 0.55, 1.13], "", False, ["every `theta` from 0.13 to 0.31"]),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_way_says_how_it_stands(way: str) -> None:
    name, data, method, stationary, words = WAYS[way]
    result = fit(law(name), data)
    assert method in result.method
    for word in words:
        assert word in result.status
    if not stationary:
        assert result.gradient_norm is None and result.condition_number is None
        return
    assert 0 <= result.gradient_norm < 1e-6
    assert 1 <= result.condition_number < 100
    assert "gradient norm" in result.status and "condition number of the information" in result.status


def correlation_condition(covariance: Any) -> float:
    """For two parameters (1 + |r|)/(1 - |r|), with the correlation of the estimates."""
    r = abs(covariance[0, 1]) / math.sqrt(covariance[0, 0] * covariance[1, 1])
    return (1 + r) / (1 - r)


@pytest.mark.parametrize("name", ["gamma", "Weibull", "lognormal", "logistic"])
@pytest.mark.parametrize("factor", [1.0, 1e-150, 1e150])
def test_the_condition_number_is_free_of_units(name: str, factor: float) -> None:
    result = fit(law(name), np.array(GAMMA) * factor)
    assert result.condition_number == pytest.approx(
        correlation_condition(fit(law(name), GAMMA).covariance), rel=1e-6
    )
    assert result.gradient_norm < 1e-9


def test_the_gradient_norm_is_the_distance_to_the_root_in_standard_errors() -> None:
    """At mean(x) + e the score of a normal law is -n e/s**2: the norm is sqrt(n) e/s."""
    model = Model.from_dict(
        {"data": {"x": "(-oo, oo)"}, "parameters": {"m": "real"}, "density": "exp(-(x - m)**2/2)/sqrt(2*pi)"}
    )
    result = fit(model, GAMMA)
    (m,) = result.solution.values
    result.solution.values[m] += 0.01
    assert result.gradient_norm == pytest.approx(math.sqrt(len(GAMMA)) * 0.01, rel=1e-9)
    assert "gradient norm 0.077" in result.status


def test_a_maximum_at_an_end_leaves_its_parameter_out_of_the_norm() -> None:
    result = fit(law("gamma"), GAMMA, bounds={"shape": (4, 10)})
    assert result.boundary and result.gradient_norm < 1e-9
    assert result.condition_number == 1  # one parameter is left
    assert "`shape` is at an end of the domain" in result.status


def test_maxima_that_were_met() -> None:
    """Two far groups under a Cauchy law of small scale: a maximum at each."""
    density = "1/(pi*s*(1 + ((x - m)/s)**2))"
    model = Model.from_dict(
        {"data": {"x": "(-oo, oo)"}, "parameters": {"m": "real", "s": "(0, 1/2]"}, "density": density}
    )
    free = derive(model)
    x = [-10.0, -10.2, -9.9, -10.1, 10.0, 10.3, 9.8, 10.1, 10.15]
    result = fit(free, x)
    assert 9 < result.estimates["m"] < 11
    for maximum in result.maxima_met:
        assert set(maximum) == {"estimates", "log_likelihood"}
    heights = [maximum["log_likelihood"] for maximum in result.maxima_met]
    assert heights == sorted(heights, reverse=True)
    one = fit(law("Cauchy"), GAMMA)
    assert len(one.maxima_met) == 1
    assert one.maxima_met[0]["estimates"] == pytest.approx(one.estimates, rel=1e-6)
    assert one.maxima_met[0]["log_likelihood"] == pytest.approx(one.log_likelihood, rel=1e-9)
    other = fit(law("Cauchy"), np.array(GAMMA) * 1e150)
    assert other.maxima_met[0]["estimates"] == pytest.approx(other.estimates, rel=1e-6)
    assert other.maxima_met[0]["log_likelihood"] == pytest.approx(other.log_likelihood, rel=1e-9)
    assert fit(law("gamma"), GAMMA).maxima_met == ()


def test_what_is_known_goes_into_tables_and_pickles() -> None:
    result = fit(law("Cauchy"), GAMMA)
    again = pickle.loads(pickle.dumps(result))
    assert again.status == result.status
    assert again.maxima_met == result.maxima_met
    table = result.to_dict()
    assert table["gradient_norm"] == result.gradient_norm
    assert table["condition_number"] == result.condition_number
    assert table["maxima_met"] == list(result.maxima_met)
