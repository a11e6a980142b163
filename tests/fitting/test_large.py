"""Large samples: few passes, the highest of several maxima, no flat way taken for an end; held against SciPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from symmle import Model, NoMaximumError, derive, fit

CAUCHY = "1/(pi*s*(1 + ((x - m)/s)**2))"
UNIT_CAUCHY = "1/(pi*(1 + (x - m)**2))"
GEV = (
    "Piecewise((exp(-(1 + xi*(x - m)/s)**(-1/xi))*(1 + xi*(x - m)/s)**(-1/xi - 1)/s, "
    "1 + xi*(x - m)/s > 0), (0, True))"
)
NEGATIVE_BINOMIAL = "gamma(x + r)/(gamma(r)*factorial(x))*p**r*(1 - p)**x"


def law(density: str, support: str = "(-oo, oo)", **parameters: str) -> Any:
    return derive(Model.from_dict({"data": {"x": support}, "parameters": parameters, "density": density}))


def best(negative: Callable[[Any], float], starts: Sequence[Sequence[float]]) -> float:
    """The highest log-likelihood of plain searches."""
    options = {"maxiter": 4000, "xatol": 1e-10, "fatol": 1e-10}
    return -min(float(minimize(negative, s, method="Nelder-Mead", options=options).fun) for s in starts)


def two_clusters(n: int, share: float, distance: float, seed: int) -> Any:
    random = np.random.default_rng(seed)
    left = round(n * share)
    return np.concatenate([random.normal(-distance, 1, left), random.normal(distance, 1, n - left)])


@pytest.mark.parametrize("n", [1500, 6000, 30_000])
@pytest.mark.parametrize("share", [0.5, 0.49, 0.53])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_highest_of_two_maxima_is_found(n: int, share: float, seed: int) -> None:
    x = two_clusters(n, share, 20, seed)
    result = fit(law(UNIT_CAUCHY, m="real"), x)
    found = best(
        lambda p: float(np.sum(np.log(np.pi) + np.log1p((x - p[0]) ** 2))), [(-20.0,), (0.0,), (20.0,)]
    )
    assert result.log_likelihood >= found - 1e-7 * abs(found)


@pytest.mark.parametrize("share", [0.5, 0.45, 0.6])
def test_location_and_scale_of_two_clusters(share: float) -> None:
    x = two_clusters(3000, share, 50, 5)
    result = fit(law(CAUCHY, m="real", s="positive"), x)
    starts = [(a, b) for a in (-50.0, 0.0, 50.0) for b in (0.0, 2.0, 4.0)]
    found = best(
        lambda p: float(np.sum(np.log(np.pi) + p[1] + np.log1p(((x - p[0]) / np.exp(p[1])) ** 2))), starts
    )
    assert result.log_likelihood >= found - 1e-9 * abs(found)


@pytest.mark.parametrize("n", [1500, 20_000])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_scale_of_the_data_does_not_matter(n: int, scale: float) -> None:
    x = np.random.default_rng(3).standard_cauchy(n) * 2 + 1
    derivation = law(CAUCHY, m="real", s="positive")
    one, other = fit(derivation, x), fit(derivation, x * scale)
    assert [v * scale for v in one.estimates.values()] == pytest.approx(
        list(other.estimates.values()), rel=1e-7
    )
    assert "passes over the data" in other.status


@pytest.mark.parametrize("n", [1200, 6000, 50_000])
def test_counts_that_are_less_spread_than_poisson_have_no_maximum(n: int) -> None:
    x = np.random.default_rng(n).binomial(10, 0.4, n)
    with pytest.raises(NoMaximumError):
        fit(law(NEGATIVE_BINOMIAL, "{0..oo}", r="positive", p="(0, 1)"), x)


@pytest.mark.parametrize("xi", [0.15, -0.2])
def test_a_known_way_to_the_edge_is_looked_at_on_other_data(xi: float) -> None:
    """The first fit finds that l is unbounded by a search; the next ones say the same of their own data."""
    derivation = law(GEV, m="real", s="positive", xi="real")

    def drawn(n: int, seed: int) -> Any:
        return 10 + 2 / xi * (np.random.default_rng(seed).exponential(1.0, n) ** -xi - 1)

    fit(derivation, drawn(60, 0))
    x = drawn(5000, 1)
    result = fit(derivation, x)

    def negative(p: Any) -> float:
        y = 1 + p[2] * (x - p[0]) / np.exp(p[1])
        if np.min(y) <= 0:
            return np.inf
        return float(len(x) * p[1] + np.sum((1 + 1 / p[2]) * np.log(y) + y ** (-1 / p[2])))

    assert result.log_likelihood == pytest.approx(best(negative, [(10.0, 0.7, xi)]), abs=1e-6)
    assert (
        result.unbounded is True
        and f"x = {x.max():.6g}"[:8] in result.status
        or f"x = {x.min():.6g}"[:8] in result.status
    )


@pytest.mark.parametrize("k", [2, 5])
def test_constants_of_the_model_are_known_to_the_search(k: int) -> None:
    table = {
        "data": {"x": "(0, oo)"},
        "parameters": {"a": "positive", "s": "positive"},
        "constants": {"k": k},
        "density": "a*k*(x/s)**(k - 1)*(1 - exp(-(x/s)**k))**(a - 1)*exp(-(x/s)**k)/s",
    }
    random = np.random.default_rng(k)
    x = 2 * (-np.log1p(-(random.uniform(size=3000) ** (1 / 1.5)))) ** (1 / k)
    result = fit(derive(Model.from_dict(table)), x)

    def negative(p: Any) -> float:
        a, s = np.exp(p)
        u = (x / s) ** k
        return -float(
            np.sum(np.log(a * k / s) + (k - 1) * np.log(x / s) + (a - 1) * np.log(-np.expm1(-u)) - u)
        )

    assert result.log_likelihood == pytest.approx(best(negative, [(0.4, 0.7)]), abs=1e-6)
    assert "passes over the data" in result.status


@pytest.mark.parametrize("threads", [0, -2, 1.5, "two", True])
def test_threads_are_a_positive_number(threads: Any) -> None:
    with pytest.raises(ValueError, match="positive whole number"):
        fit(law(CAUCHY, m="real", s="positive"), [1.0, 2.0, 4.0], threads=threads)
