"""Units do not matter: data times 1e-150 and 1e150, data plus 1e9, small samples and those of the fast way."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import chi2

from symmle import Derivation, Model, NotDerivedError, SymmleError, derive, fit
from symmle.fitting.large import LARGE

POSITIVE, REAL = "(0, oo)", "(-oo, oo)"
SMALL, MANY = 20, LARGE + 1000
CLOSE = 1e-9


def _law(support: str, density: str, **parameters: str) -> dict[str, Any]:
    return {"data": {"x": support}, "parameters": parameters, "density": density}


LAWS = {
    "gamma": _law(POSITIVE, "b**a*x**(a - 1)*exp(-b*x)/gamma(a)", a="positive", b="positive"),
    "Weibull": _law(POSITIVE, "k/s*(x/s)**(k - 1)*exp(-(x/s)**k)", k="positive", s="positive"),
    "lognormal": _law(POSITIVE, "exp(-(log(x) - m)**2/(2*k**2))/(x*k*sqrt(2*pi))", m="real", k="positive"),
    "exponential": _law(POSITIVE, "b*exp(-b*x)", b="positive"),
    "inverse Gaussian": _law(
        POSITIVE, "sqrt(t/(2*pi*x**3))*exp(-t*(x - s)**2/(2*s**2*x))", s="positive", t="positive"
    ),
    "logistic": _law(REAL, "exp(-(x - l)/s)/(s*(1 + exp(-(x - l)/s))**2)", l="real", s="positive"),
    "Cauchy": _law(REAL, "1/(pi*s*(1 + ((x - l)/s)**2))", l="real", s="positive"),
    "normal": _law(REAL, "exp(-(x - l)**2/(2*s**2))/(s*sqrt(2*pi))", l="real", s="positive"),
    "Laplace": _law(REAL, "exp(-Abs(x - l)/s)/(2*s)", l="real", s="positive"),
    "Gumbel": _law(REAL, "exp(-(x - l)/s - exp(-(x - l)/s))/s", l="real", s="positive"),
    "Student t": _law(
        REAL,
        "gamma((k + 1)/2)/(gamma(k/2)*sqrt(k*pi)*s)*(1 + ((x - l)/s)**2/k)**(-(k + 1)/2)",
        l="real",
        s="positive",
        k="positive",
    ),
}
# what a parameter becomes when the data are multiplied: l, s and t by the factor, b by its reciprocal,
# m by adding its logarithm; a and k stay
DRAWN = {
    "gamma": lambda r, n: r.gamma(2.5, 3.0, n),
    "Weibull": lambda r, n: 2.0 * r.weibull(1.7, n),
    "lognormal": lambda r, n: r.lognormal(0.5, 0.8, n),
    "exponential": lambda r, n: r.exponential(2.0, n),
    "inverse Gaussian": lambda r, n: r.wald(2.0, 3.0, n),
    "logistic": lambda r, n: r.logistic(1.5, 2.0, n),
    "Cauchy": lambda r, n: 1.5 + 0.7 * r.standard_cauchy(n),
    "normal": lambda r, n: r.normal(1.5, 2.0, n),
    "Laplace": lambda r, n: r.laplace(1.5, 2.0, n),
    "Gumbel": lambda r, n: r.gumbel(1.5, 2.0, n),
    "Student t": lambda r, n: 1.5 + 2.0 * r.standard_t(3.0, n),
}


@cache
def law(name: str) -> Derivation:
    return derive(Model.from_dict({**LAWS[name], "name": name}))


@cache
def sample(name: str, rows: int) -> Any:
    """Multiples of 2**-16: the shifts and scalings below round nothing that a double near 1e9 could not hold."""
    drawn = DRAWN[name](np.random.default_rng(7), rows)
    return np.maximum(np.round(drawn * 65536), 1 if drawn.min() > 0 else -np.inf) / 65536


@cache
def plain(name: str, rows: int) -> Any:
    return fit(law(name), sample(name, rows))


def scaled(name: str, value: float, factor: float) -> float:
    if name in "lst":
        return value * factor
    if name == "b":
        return value / factor
    return value + np.log(factor) if name == "m" else value


def hold(name: str, rows: int, factor: float) -> None:
    expected, found = plain(name, rows), fit(law(name), sample(name, rows) * factor)
    for parameter, value in expected.estimates.items():
        assert found.estimates[parameter] == pytest.approx(scaled(parameter, value, factor), rel=CLOSE)
    height = expected.log_likelihood - rows * np.log(factor)
    assert found.log_likelihood == pytest.approx(height, rel=CLOSE)
    assert found.standard_errors is None or all(np.isfinite(v) for v in found.standard_errors.values())
    assert (found.standard_errors is None) == (expected.standard_errors is None)
    if expected.standard_errors is None:
        return
    for parameter, error in expected.standard_errors.items():
        right = error if parameter == "m" else scaled(parameter, error, factor)
        assert found.standard_errors[parameter] == pytest.approx(right, rel=1e-7)


EXACT = [pytest.param(2.0**power, marks=pytest.mark.slow) for power in (-498, 498)]


@pytest.mark.parametrize("factor", [*EXACT, 1e-150, 1e150])
@pytest.mark.parametrize("name", LAWS)
def test_twenty_rows_in_other_units(name: str, factor: float) -> None:
    hold(name, SMALL, factor)


@pytest.mark.parametrize("factor", [1e-150, 1e150])
@pytest.mark.parametrize("name", LAWS)
def test_many_rows_in_other_units(name: str, factor: float) -> None:
    hold(name, MANY, factor)


@pytest.mark.parametrize("rows", [SMALL, MANY])
@pytest.mark.parametrize("name", ["normal", "logistic", "Gumbel", "Cauchy", "Laplace"])
def test_data_far_from_zero(name: str, rows: int) -> None:
    expected, found = plain(name, rows), fit(law(name), sample(name, rows) + 1e9)
    assert found.estimates["l"] - 1e9 == pytest.approx(expected.estimates["l"], abs=3e-7)
    assert found.estimates["s"] == pytest.approx(expected.estimates["s"], rel=CLOSE)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=CLOSE)


@pytest.mark.parametrize("rows", [SMALL, MANY])
@pytest.mark.parametrize("shape", [200.0, 5000.0, 1e6])
def test_gamma_laws_beyond_the_range_of_the_gamma_function(shape: float, rows: int) -> None:
    x = np.random.default_rng(3).gamma(shape, 0.5, rows)
    result = fit(law("gamma"), x)
    a, b = result.estimates["a"], result.estimates["b"]
    assert a / b == pytest.approx(x.mean(), rel=1e-10)
    terms = a * np.log(b) - gammaln(a) + (a - 1) * np.log(x) - b * x
    assert result.log_likelihood == pytest.approx(terms.sum(), rel=1e-8)
    for k in (1 - 1e-3, 1 + 1e-3):  # along a/b = mean(x)
        lower = k * a * np.log(k * b) - gammaln(k * a) + (k * a - 1) * np.log(x) - k * b * x
        assert lower.sum() < result.log_likelihood


def test_a_fit_in_other_units_is_stored_whole() -> None:
    result = fit(law("logistic"), sample("logistic", SMALL) * 1e150)
    assert "divided by" in result.status
    again = pickle.loads(pickle.dumps(result))
    assert again.estimates == result.estimates
    assert again.log_likelihood == result.log_likelihood
    assert again.standard_errors == result.standard_errors


def test_refusals_are_told_for_the_data_as_given() -> None:
    """x_i all equal: no maximum; the supremum of counts of a gamma law in other units."""
    with pytest.raises(SymmleError) as refused:
        fit(law("gamma"), np.full(10, 3e200))
    assert "gamma" in str(refused.value)
    assert "divided by" in str(refused.value)


def test_a_start_is_taken_to_the_other_units() -> None:
    x = sample("Student t", SMALL) * 1e150
    start = {"l": 1.5e150, "s": 2e150, "k": 3.0}
    result = fit(law("Student t"), x, start=start)
    assert result.estimates["k"] == pytest.approx(plain("Student t", SMALL).estimates["k"], rel=1e-7)


# --- what follows a fit ------------------------------------------------------------------------------

WAYS = ("wald", "plain", "profile", "bootstrap")


def after(result: Any) -> dict[str, Any]:
    """Intervals by every way, and standard errors by the others; None where they are refused."""
    found: dict[str, Any] = {}
    for way in WAYS[:3]:
        try:
            found[way] = result.confidence_intervals(method=way)
        except NotDerivedError:
            found[way] = None
    for kind in ("nonparametric", "parametric"):
        found[kind] = result.bootstrap(12, kind).intervals(0.5)
    if result.standard_errors is not None:
        errors = result.standard_errors_by("sandwich")
        found["sandwich"] = {k: (v, v) for k, v in errors.items()}
    return found


# Student t is left out: the profile of k is flat on twenty rows, and resamples have no maximum
FOLLOWED = sorted(set(LAWS) - {"Student t"})


@cache
def plain_after(name: str) -> dict[str, Any]:
    return after(plain(name, SMALL))


def move(parameter: str, way: str, value: float, factor: float) -> float:
    """An end of an interval, or a standard error, in the other units."""
    if way == "sandwich" and parameter == "m":
        return value
    return scaled(parameter, value, factor)


@pytest.mark.parametrize("factor", [1e-150, 1e150])
@pytest.mark.parametrize("name", FOLLOWED)
def test_intervals_and_bootstraps_in_other_units(name: str, factor: float) -> None:
    result = fit(law(name), sample(name, SMALL) * factor)
    found, expected = after(result), plain_after(name)
    assert {k for k, v in found.items() if v is None} == {k for k, v in expected.items() if v is None}
    for way, intervals in expected.items():
        for parameter, ends in (intervals or {}).items():
            right = tuple(move(parameter, way, end, factor) for end in ends)
            assert found[way][parameter] == pytest.approx(right, rel=1e-6), (way, parameter)
    assert result.goodness_of_fit(0).statistics == pytest.approx(
        plain(name, SMALL).goodness_of_fit(0).statistics, rel=1e-7
    )


@pytest.mark.parametrize("name", ["normal", "logistic", "Gumbel", "Cauchy"])
def test_intervals_far_from_zero(name: str) -> None:
    found, expected = after(fit(law(name), sample(name, SMALL) + 1e9)), plain_after(name)
    for way, intervals in expected.items():
        for parameter, ends in intervals.items():
            shift = 1e9 if parameter == "l" and way != "sandwich" else 0.0
            right = tuple(end + shift for end in ends)
            near = 1e-6 if shift else 1e-6 * max(map(abs, ends))
            assert found[way][parameter] == pytest.approx(right, rel=0, abs=near), (way, parameter)


@pytest.mark.parametrize("factor", [1.0, 1e-150, 1e150])
def test_profiles_of_an_exponential_law_are_those_of_its_formula(factor: float) -> None:
    """2 n (log(b mean) + 1 - b mean) = -chi2 at both ends; no end is taken for the edge of the domain."""
    x = sample("exponential", SMALL) * factor
    low, high = fit(law("exponential"), x).confidence_intervals(method="profile")["b"]
    for b in (low * x.mean(), high * x.mean()):
        assert 2 * SMALL * (np.log(b) + 1 - b) == pytest.approx(-chi2.ppf(0.95, 1), rel=1e-7)
    assert low * x.mean() < 1 < high * x.mean()


def test_the_fitted_law_in_other_units() -> None:
    """All methods of the law of a X, from those of X."""
    one = plain("inverse Gaussian", SMALL).distribution
    for factor in (1e-150, 1e150):
        other = fit(law("inverse Gaussian"), sample("inverse Gaussian", SMALL) * factor).distribution
        q = np.array([0.01, 0.3, 0.9])
        x = one.ppf(q)
        np.testing.assert_allclose(other.ppf(q) / factor, x, rtol=1e-8)
        np.testing.assert_allclose(other.cdf(x * factor), q, rtol=1e-8)
        np.testing.assert_allclose(other.sf(x * factor), 1 - q, rtol=1e-8)
        np.testing.assert_allclose(other.pdf(x * factor) * factor, one.pdf(x), rtol=1e-8)
        assert other.mean() / factor == pytest.approx(one.mean(), rel=1e-8)
        assert other.std() / factor == pytest.approx(one.std(), rel=1e-8)
        assert other.entropy() - np.log(factor) == pytest.approx(one.entropy(), rel=1e-8)
        assert other.support() == (0.0, np.inf)
