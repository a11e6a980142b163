"""After the fit: intervals, the fitted law, goodness of fit, comparisons, tables, pictures, large samples."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from symmle import Model, derive, fit
from symmle.derivation import Derivation
from symmle.errors import DataError, NoMaximumError, NotDerivedError
from symmle.fitting.comparing import side_by_side
from symmle.fitting.distribution import FittedDistribution
from symmle.fitting.goodness import distances
from symmle.fitting.large import LARGE, solve_large
from symmle.fitting.plan import plan_of

DATA = Path(__file__).parent.parent / "data"
POSITIVE, LINE = {"x": "(0, oo)"}, {"x": "(-oo, oo)"}
LAWS: dict[str, dict[str, Any]] = {
    "exponential": dict(data=POSITIVE, parameters={"lam": "positive"}, density="lam*exp(-lam*x)"),
    "gamma": dict(
        data=POSITIVE,
        parameters={"k": "positive", "r": "positive"},
        density="r**k*x**(k - 1)*exp(-r*x)/gamma(k)",
    ),
    "weibull": dict(
        data=POSITIVE,
        parameters={"k": "positive", "s": "positive"},
        density="k/s*(x/s)**(k - 1)*exp(-(x/s)**k)",
    ),
    "normal": dict(
        data=LINE,
        parameters={"m": "real", "s": "positive"},
        density="exp(-(x - m)**2/(2*s**2))/(s*sqrt(2*pi))",
    ),
    "cauchy": dict(
        data=LINE, parameters={"m": "real", "s": "positive"}, density="1/(pi*s*(1 + ((x - m)/s)**2))"
    ),
    "logistic": dict(
        data=LINE,
        parameters={"m": "real", "s": "positive"},
        density="exp(-(x - m)/s)/(s*(1 + exp(-(x - m)/s))**2)",
    ),
    "beta": dict(
        data={"x": "(0, 1)"},
        parameters={"a": "positive", "b": "positive"},
        density="x**(a - 1)*(1 - x)**(b - 1)*gamma(a + b)/(gamma(a)*gamma(b))",
    ),
    "poisson": dict(
        data={"x": "{0..oo}"}, parameters={"lam": "positive"}, density="exp(-lam)*lam**x/factorial(x)"
    ),
    "negative binomial": dict(
        data={"x": "{0..oo}"},
        parameters={"r": "positive", "p": "(0, 1)"},
        density="gamma(x + r)/(gamma(r)*factorial(x))*p**r*(1 - p)**x",
    ),
}
DERIVED: dict[str, Derivation] = {}


def derived(law: str) -> Derivation:
    if law not in DERIVED:
        DERIVED[law] = derive(Model.from_dict({"name": law, **LAWS[law]}))
    return DERIVED[law]


def column(file: str) -> list[float]:
    return [float(v) for v in (DATA / file).read_text(encoding="utf-8").split()[1:]]


AIR = [3, 5, 7, 18, 43, 85, 91, 98, 100, 130, 230, 487]
HORSE = np.repeat(np.arange(5), [109, 65, 22, 3, 1])


@pytest.mark.parametrize(
    ("law", "data", "parameter", "interval"),
    [
        ("exponential", AIR, "lam", (0.004954442, 0.01551735)),
        ("gamma", "precip.csv", "k", (3.36796, 6.398714)),
        ("gamma", "precip.csv", "r", (0.0944204, 0.1860889)),
        ("poisson", HORSE, "lam", (0.5080629, 0.7247374)),
    ],
)
def test_published_profile_intervals(
    law: str, data: Any, parameter: str, interval: tuple[float, float]
) -> None:
    result = fit(derived(law), column(data) if isinstance(data, str) else data)
    found = result.confidence_intervals(method="profile")[parameter]
    assert found == pytest.approx(interval, rel=2e-6)


def test_wald_intervals_stay_in_the_domain_and_plain_ones_do_not() -> None:
    result = fit(derived("gamma"), [1.0, 2.0, 9.0])
    wald, plain = result.confidence_intervals(), result.confidence_intervals(method="plain")
    assert all(low > 0 for low, _ in wald.values()) and min(low for low, _ in plain.values()) < 0
    k, error = result.estimates["k"], result.standard_errors["k"]
    assert wald["k"][1] == pytest.approx(k * math.exp(1.959963984540054 * error / k), rel=1e-12)


def test_a_profile_that_does_not_end_says_the_edge() -> None:
    # the interval of the probability at one success in one trial is open at 1
    model = Model.from_dict(
        {"data": {"x": "{0, 1}"}, "parameters": {"p": "(0, 1)"}, "density": "p**x*(1 - p)**(1 - x)"}
    )
    low, high = fit(model, [1, 0]).confidence_intervals(0.999, "profile")["p"]
    assert 0 < low < 0.5 < high < 1


@pytest.mark.parametrize("method", ["bayes", ""])
def test_unknown_methods_are_refused(method: str) -> None:
    result = fit(derived("exponential"), AIR)
    with pytest.raises(ValueError, match="one of"):
        result.confidence_intervals(method=method)
    with pytest.raises(ValueError, match="one of"):
        result.standard_errors_by(method)


def test_standard_errors_by_other_ways() -> None:
    random = np.random.default_rng(4)
    x = random.gamma(2.0, 3.0, 400)
    result = fit(derived("gamma"), x)
    observed = result.standard_errors_by("observed")
    for method in ("expected", "sandwich", "bootstrap"):
        found = result.standard_errors_by(method)
        assert found == pytest.approx(observed, rel=0.25), method
    # exponential: the sandwich is sd(x)/(mean(x)**2 sqrt(n))
    result = fit(derived("exponential"), x)
    assert result.standard_errors_by("sandwich")["lam"] == pytest.approx(
        x.std() / x.mean() ** 2 / math.sqrt(400), rel=1e-10
    )


def test_the_bootstrap_is_the_same_for_a_seed_and_counts_weights() -> None:
    result = fit(derived("exponential"), AIR)
    one, two = (result.bootstrap(200, seed=3) for _ in range(2))
    assert np.array_equal(one.estimates, two.estimates) and one.failed == 0
    weighted = fit(derived("poisson"), [0, 1, 2, 3, 4], weights=[109, 65, 22, 3, 1])
    assert weighted.bootstrap(300).standard_errors["lam"] == pytest.approx(0.0552, rel=0.15)
    assert weighted.bootstrap(300, "parametric").standard_errors["lam"] == pytest.approx(0.0552, rel=0.15)
    with pytest.raises(ValueError, match="nonparametric"):
        result.bootstrap(10, "bayesian")


def test_the_delta_method() -> None:
    result = fit(derived("gamma"), column("precip.csv"))
    mean = result.derived("k/r")
    assert mean.estimate == pytest.approx(np.mean(column("precip.csv")), rel=1e-12)
    # the mean's standard error is sqrt(k/r**2/n) exactly: its gradient is the inverse of the expected score
    k, r = result.estimates["k"], result.estimates["r"]
    assert mean.standard_error == pytest.approx(math.sqrt(k / r**2 / 70), rel=1e-9)
    assert mean.interval[0] < mean.estimate < mean.interval[1]


FROZEN: dict[str, Callable[[dict[str, float]], Any]] = {
    "gamma": lambda e: stats.gamma(e["k"], scale=1 / e["r"]),
    "normal": lambda e: stats.norm(e["m"], e["s"]),
    "cauchy": lambda e: stats.cauchy(e["m"], e["s"]),
    "beta": lambda e: stats.beta(e["a"], e["b"]),
    "poisson": lambda e: stats.poisson(e["lam"]),
    "negative binomial": lambda e: stats.nbinom(e["r"], e["p"]),
}


def drawn(law: str, size: int = 60) -> Any:
    random = np.random.default_rng(7)
    return {
        "gamma": lambda: random.gamma(0.6, 3.0, size),
        "normal": lambda: random.normal(1e3, 2.0, size),
        "cauchy": lambda: random.standard_cauchy(size),
        "beta": lambda: random.beta(0.5, 0.7, size),
        "poisson": lambda: random.poisson(4.0, size),
        "negative binomial": lambda: random.negative_binomial(2, 0.3, size),
        "weibull": lambda: 2.0 * random.weibull(1.7, size),
        "logistic": lambda: random.logistic(1.0, 2.0, size),
    }[law]()


@pytest.mark.parametrize("law", FROZEN)
def test_the_fitted_law_is_the_frozen_one(law: str) -> None:
    result = fit(derived(law), drawn(law))
    found, wanted = result.distribution, FROZEN[law](result.estimates)
    q = np.array([1e-6, 0.01, 0.3, 0.5, 0.9, 0.999])
    x = wanted.ppf(q)
    density = wanted.pmf if found.discrete else wanted.pdf
    np.testing.assert_allclose(found.pdf(x), density(x), rtol=1e-11)
    np.testing.assert_allclose(found.cdf(x), wanted.cdf(x), rtol=1e-11)
    np.testing.assert_allclose(found.sf(x), wanted.sf(x), rtol=1e-8)
    np.testing.assert_allclose(found.ppf(q), x, rtol=1e-9)
    assert found.support() == tuple(map(float, wanted.support()))
    if law == "cauchy":
        assert math.isnan(found.mean()) and math.isnan(found.var())
    else:
        assert found.mean() == pytest.approx(wanted.mean(), rel=1e-12)
        assert found.var() == pytest.approx(wanted.var(), rel=1e-10)
        assert found.entropy() == pytest.approx(float(wanted.entropy()), rel=1e-9)
    assert np.array_equal(found.rvs(5, 1), found.rvs(5, 1))
    assert found.interval(0.9) == pytest.approx(tuple(map(float, wanted.interval(0.9))), rel=1e-9)
    outside = found.support()[0] - 1
    if math.isfinite(outside):
        assert found.pdf(outside) == 0 and found.cdf(outside) == 0 and found.sf(outside) == 1
    assert np.isnan(found.cdf(np.nan)) and np.isnan(found.ppf(1.5))


def test_a_law_with_covariates_has_a_density_and_says_what_it_lacks() -> None:
    model = Model.from_dict(
        {
            "data": {"y": "(-oo, oo)"},
            "covariates": ["z"],
            "parameters": {"b": "real", "s": "positive"},
            "density": "exp(-(y - b*z)**2/(2*s**2))/(s*sqrt(2*pi))",
            "normalises": False,
        }
    )
    law = fit(model, {"y": [1.0, 2.5, 2.9], "z": [1.0, 2.0, 3.0]}).distribution
    assert np.isfinite(law.logpdf(np.array([1.0]), np.array([2.0]))).all()
    with pytest.raises(NotDerivedError, match="one data column"):
        law.cdf(0.0)


def test_distances_are_those_of_scipy() -> None:
    x = drawn("normal")
    result = fit(derived("normal"), x)
    found = distances(result.distribution, x)
    m, s = result.estimates["m"], result.estimates["s"]
    assert found["Kolmogorov-Smirnov"] == pytest.approx(stats.kstest(x, "norm", (m, s)).statistic, rel=1e-9)
    assert found["Cramer-von Mises"] == pytest.approx(
        stats.cramervonmises(x, "norm", (m, s)).statistic, rel=1e-9
    )
    weighted = distances(result.distribution, x, np.full(len(x), 2.0))
    assert weighted == pytest.approx(distances(result.distribution, np.repeat(x, 2)))


def test_published_distances() -> None:
    beef = column("groundbeef.csv")
    found = distances(fit(derived("weibull"), beef).distribution, np.array(beef))
    wanted = {"Kolmogorov-Smirnov": 0.1396256, "Cramer-von Mises": 0.6839600, "Anderson-Darling": 3.5730718}
    assert found == pytest.approx(wanted, rel=1e-5)


def test_p_values_tell_a_good_fit_from_a_bad_one() -> None:
    good = fit(derived("normal"), np.random.default_rng(1).normal(0, 1, 80)).goodness_of_fit(99)
    bad = fit(derived("normal"), np.random.default_rng(1).exponential(1, 80)).goodness_of_fit(99)
    assert all(p > 0.05 for p in good.p_values.values()) and all(p < 0.05 for p in bad.p_values.values())
    assert "p-value" in str(good) and good.resamples == 99
    counts = fit(derived("poisson"), np.random.default_rng(1).poisson(3, 300)).goodness_of_fit()
    assert counts.p_values["chi-square"] > 0.01 and "degrees of freedom" in counts.note


def test_criteria_and_comparisons() -> None:
    x = column("precip.csv")
    small, large = fit(derived("exponential"), x), fit(derived("gamma"), x)
    n, p = 70, 2
    assert large.aicc == pytest.approx(large.aic + 2 * p * (p + 1) / (n - p - 1))
    assert large.caic == pytest.approx(large.bic + p)
    assert large.hqic == pytest.approx(2 * p * math.log(math.log(n)) - 2 * large.log_likelihood)
    test = small.likelihood_ratio(large)
    assert test.statistic == pytest.approx(2 * (large.log_likelihood - small.log_likelihood))
    assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 1))
    table = side_by_side([small, large]).splitlines()
    assert table[1].startswith("gamma") and "0.0000" in table[1]
    with pytest.raises(DataError, match="more parameters"):
        large.likelihood_ratio(small)
    with pytest.raises(DataError, match="different data"):
        small.likelihood_ratio(fit(derived("gamma"), x[1:]))
    with pytest.raises(DataError, match="not nested"):
        fit(derived("exponential"), AIR).likelihood_ratio(fit(derived("normal"), AIR))


def test_tables() -> None:
    result = fit(derived("gamma"), AIR)
    table = json.loads(result.to_json())
    assert table["estimates"] == pytest.approx(result.estimates)
    assert table["n"] == 12 and len(table["covariance"]) == 2
    frame = result.to_frame()
    assert list(frame.index) == ["k", "r"] and frame.loc["k", "estimate"] == result.estimates["k"]
    page = result._repr_html_()
    assert "<table>" in page and "gamma" in page and "Infinity" not in json.dumps(table)


@pytest.mark.parametrize("law", ["gamma", "poisson", "cauchy"])
def test_pictures_are_drawn(law: str, tmp_path: Path) -> None:
    result = fit(derived(law), drawn(law, 200))
    figure = result.plot()
    figure.savefig(tmp_path / "fit.png", dpi=50)
    assert (tmp_path / "fit.png").stat().st_size > 5000
    titles = [a.get_title() for a in figure.axes if a.get_visible()]
    assert "Density" in titles and "Distribution function" in titles
    assert sum(t.startswith("Profile of") for t in titles) == len(result.estimates)
    with pytest.raises(ValueError, match="kinds among"):
        result.plot("violin")


@pytest.mark.parametrize("law", ["gamma", "weibull", "cauchy", "logistic", "beta", "negative binomial"])
def test_large_samples_agree_with_the_careful_way(law: str) -> None:
    x = drawn(law, LARGE + 1000)
    plan = plan_of(derived(law))
    result = fit(derived(law), x)
    quick = solve_large(plan, result.table, {})
    assert quick is not None and "over the data" in quick.status
    careful = fit(derived(law), x, start={k: v * 1.01 for k, v in result.estimates.items()}, method="newton")
    for name, error in careful.standard_errors.items():  # what remains is far below sampling error
        assert result.estimates[name] == pytest.approx(careful.estimates[name], abs=1e-6 * error)
    twice = fit(derived(law), x[: LARGE + 1000], weights=np.full(LARGE + 1000, 2.0))
    assert twice.estimates == pytest.approx(result.estimates, rel=1e-9)


@pytest.mark.parametrize(
    ("law", "x"),
    [
        ("weibull", np.full(LARGE + 1, 2.0)),
        ("negative binomial", np.tile([2.0, 3.0], LARGE)),
        ("gamma", np.full(LARGE + 1, 3.5)),
    ],
)
def test_large_samples_without_a_maximum_are_left_to_the_careful_way(law: str, x: Any) -> None:
    table = fit(derived("exponential" if law != "negative binomial" else "poisson"), x).table
    assert solve_large(plan_of(derived(law)), table, {}) is None


def test_the_fitted_law_of_scaled_data_is_the_scaled_law() -> None:
    x = drawn("gamma")
    one = fit(derived("gamma"), x).distribution
    for scale in (1e-100, 1e100):
        other: FittedDistribution = fit(derived("gamma"), x * scale).distribution
        np.testing.assert_allclose(other.ppf([0.1, 0.5, 0.9]) / scale, one.ppf([0.1, 0.5, 0.9]), rtol=1e-8)


@pytest.mark.parametrize("law", ["gamma", "weibull", "cauchy", "logistic", "negative binomial"])
def test_compiled_functions_are_the_likelihood_and_its_derivatives(law: str) -> None:
    x = drawn(law, 9000)  # more than one block
    result = fit(derived(law), x)
    compiled = derived(law).compile()
    at = compiled.on(x)
    theta = [v * 1.1 if law != "negative binomial" else v * 0.9 for v in result.estimates.values()]
    assert at.log_likelihood(result.estimates) == pytest.approx(result.log_likelihood, rel=1e-12)
    value, score, hessian = at.derivatives(theta)
    assert value == pytest.approx(at.log_likelihood(theta), rel=1e-13)
    for i in range(len(theta)):
        step = 1e-5 * abs(theta[i])
        up, down = ([t + s * step * (k == i) for k, t in enumerate(theta)] for s in (1, -1))
        slope = (at.log_likelihood(up) - at.log_likelihood(down)) / (2 * step)
        assert score[i] == pytest.approx(slope, rel=1e-5, abs=1e-4)
        bend = (at.score(up) - at.score(down)) / (2 * step)
        np.testing.assert_allclose(hessian[i], bend, rtol=1e-5, atol=1e-3)
    assert "def " in compiled.source() and "# sample 1" in compiled.source()
    with pytest.raises(ValueError, match="Expected"):
        at.log_likelihood([1.0])
    with pytest.raises(ValueError, match="Expected values"):
        at.score({"unknown": 1.0})


@pytest.mark.parametrize("law", ["gamma", "weibull", "poisson", "logistic"])
@pytest.mark.parametrize("mixed", [False, True])
def test_many_groups_are_fitted_at_once_as_one_by_one(law: str, mixed: bool) -> None:
    groups = np.repeat([f"g{k}" for k in range(30)], 25)
    x = drawn(law, 750)
    if mixed:
        groups = np.random.default_rng(2).permutation(groups)
    weights = np.random.default_rng(3).integers(1, 4, 750).astype(float)
    found = fit(derived(law), {"x": x, "group": groups}, weights=weights, by="group")
    assert list(found) == list(dict.fromkeys(groups)) and len(found) == 30
    for group in ("g0", "g17"):
        rows = groups == group
        alone = fit(derived(law), x[rows], weights=weights[rows])
        assert found[group].estimates == pytest.approx(alone.estimates, rel=1e-9)
        assert found[group].log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-10)
        assert found[group].standard_errors == pytest.approx(alone.standard_errors, rel=1e-6)
    place = list(found).index("g17")
    assert {k: v[place] for k, v in found.estimates.items()} == found["g17"].estimates
    assert list(found.to_frame().index) == list(found)


def test_a_group_that_has_no_maximum_is_named() -> None:
    x = np.concatenate([drawn("gamma", 475), np.full(25, 2.0)])
    groups = np.repeat(np.arange(20), 25)
    with pytest.raises(NoMaximumError):
        fit(derived("gamma"), x, by=groups)
    x[30] = -1.0
    with pytest.raises(DataError, match="group 1"):
        fit(derived("gamma"), x, by=groups)
    with pytest.raises(DataError, match="entries"):
        fit(derived("gamma"), x, by=groups[:-1])
