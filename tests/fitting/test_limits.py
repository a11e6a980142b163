"""Where no maximum exists: the supremum, the law in the limit, and that nothing is refused that has a maximum."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special, stats

from symmle import Derivation, Model, derive, fit
from symmle.algebra import Rows, evaluate
from symmle.errors import NoMaximumError

INF = math.inf
LIGHT = [0.8, 0.9, 1, 1, 1.1, 1.2, 0.9, 1.1]
UNIFORM = np.random.default_rng(5).uniform(0, 1, 30).round(4).tolist()
COUNTS = [2.0, 3, 3, 3, 4, 2, 3, 3, 4, 2]

# density, support, parameters
MODELS: dict[str, tuple[str, str, dict[str, str]]] = {
    "negative binomial": (
        "gamma(x + r)/(gamma(r)*factorial(x))*p**r*(1 - p)**x",
        "{0..oo}",
        {"r": "positive", "p": "(0, 1)"},
    ),
    "negative binomial by its mean": (
        "gamma(x + r)/(gamma(r)*factorial(x))*(r/(r + m))**r*(m/(r + m))**x",
        "{0..oo}",
        {"m": "positive", "r": "positive"},
    ),
    "Lomax": ("a*b/(1 + b*x)**(a + 1)", "(0, oo)", {"a": "positive", "b": "positive"}),
    "Lomax by its scale": ("a/s*(1 + x/s)**(-a - 1)", "(0, oo)", {"s": "positive", "a": "positive"}),
    "Bernoulli": ("p**x*(1 - p)**(1 - x)", "{0, 1}", {"p": "(0, 1)"}),
    "Poisson": ("lam**x*exp(-lam)/factorial(x)", "{0..oo}", {"lam": "positive"}),
    "geometric": ("p*(1 - p)**(x - 1)", "{1..oo}", {"p": "(0, 1)"}),
    "truncated Poisson": ("lam**x/(factorial(x)*(exp(lam) - 1))", "{1..oo}", {"lam": "positive"}),
    "logarithmic": ("-p**x/(x*log(1 - p))", "{1..oo}", {"p": "(0, 1)"}),
    "von Mises": (
        "exp(k*cos(x - mu))/(2*pi*besseli(0, k))",
        "(-pi, pi)",
        {"mu": "(-pi, pi)", "k": "positive"},
    ),
    "Weibull": ("k/s*(x/s)**(k - 1)*exp(-(x/s)**k)", "(0, oo)", {"k": "positive", "s": "positive"}),
    "gamma": ("x**(k - 1)*exp(-x/s)/(gamma(k)*s**k)", "(0, oo)", {"k": "positive", "s": "positive"}),
    "normal": (
        "exp(-(x - mu)**2/(2*sigma**2))/(sigma*sqrt(2*pi))",
        "(-oo, oo)",
        {"mu": "real", "sigma": "positive"},
    ),
    "inverse Gaussian": (
        "sqrt(lam/(2*pi*x**3))*exp(-lam*(x - mu)**2/(2*mu**2*x))",
        "(0, oo)",
        {"mu": "positive", "lam": "positive"},
    ),
    "Kumaraswamy": ("a*b*x**(a - 1)*(1 - x**a)**(b - 1)", "(0, 1)", {"a": "positive", "b": "positive"}),
    "Cauchy": ("s/(pi*(s**2 + (x - m)**2))", "(-oo, oo)", {"m": "real", "s": "positive"}),
    "Student t": (
        "gamma((nu + 1)/2)/(gamma(nu/2)*sqrt(nu*pi)*s)*(1 + (x - m)**2/(nu*s**2))**(-(nu + 1)/2)",
        "(-oo, oo)",
        {"m": "real", "s": "positive", "nu": "positive"},
    ),
    "generalised gamma": (
        "c*x**(a*c - 1)*exp(-(x/s)**c)/(s**(a*c)*gamma(a))",
        "(0, oo)",
        {"a": "positive", "c": "positive", "s": "positive"},
    ),
    "binomial size": (
        "binomial(N, x)*p**x*(1 - p)**(N - x)",
        "{0..N}",
        {"N": "integer >= 1", "p": "(0, 1)"},
    ),
    "Skellam": (
        "exp(-a - b)*(a/b)**(x/2)*besseli(Abs(x), 2*sqrt(a*b))",
        "{-oo..oo}",
        {"a": "positive", "b": "positive"},
    ),
}

# model, data, the limits that are known, log-likelihood, law
Limits = dict[str, float]
NONE: dict[str, tuple[str, list[float], Limits, float, str | None]] = {
    "underdispersed": ("negative binomial", COUNTS, {"r": INF, "p": 1}, -15.517735175735583, "Poisson"),
    "underdispersed, by the mean": (
        "negative binomial by its mean",
        COUNTS,
        {"r": INF, "m": 2.9},
        -15.517735175735583,
        "Poisson",
    ),
    "horse kicks": (
        "negative binomial",
        [0.0] * 109 + [1.0] * 65 + [2.0] * 22 + [3.0] * 3 + [4.0],
        {"r": INF, "p": 1},
        -206.10672147,
        "Poisson",
    ),
    "no counts": ("negative binomial", [0, 0, 0], {}, 0.0, "point mass"),
    "light tails": ("Lomax", LIGHT, {"a": INF, "b": 0}, -8.0, "exponential"),
    "uniform data": (
        "Lomax by its scale",
        UNIFORM,
        {"a": INF, "s": INF},
        float(np.sum(stats.expon.logpdf(UNIFORM, scale=np.mean(UNIFORM)))),
        "exponential",
    ),
    "all failures": ("Bernoulli", [0, 0, 0], {"p": 0}, 0.0, "point mass"),
    "all successes": ("Bernoulli", [1, 1], {"p": 1}, 0.0, "point mass"),
    "all zero": ("Poisson", [0, 0, 0], {"lam": 0}, 0.0, "point mass"),
    "all at once": ("geometric", [1, 1, 1], {"p": 1}, 0.0, "point mass"),
    "truncated, all ones": ("truncated Poisson", [1, 1, 1], {"lam": 0}, 0.0, "point mass"),
    "logarithmic, all ones": ("logarithmic", [1, 1, 1], {"p": 0}, 0.0, "point mass"),
    "angles without direction": (
        "von Mises",
        [-3 * math.pi / 4, -math.pi / 4, math.pi / 4, 3 * math.pi / 4],
        {"k": 0},
        -4 * math.log(2 * math.pi),
        "uniform",
    ),
    "constant, Weibull": ("Weibull", [2, 2, 2], {"k": INF, "s": 2}, INF, "point mass"),
    "constant, gamma": ("gamma", [2, 2, 2], {"k": INF, "s": 0}, INF, "point mass"),
    "one row, gamma": ("gamma", [2.3], {"k": INF, "s": 0}, INF, "point mass"),
    "constant, normal": ("normal", [2, 2, 2], {"mu": 2, "sigma": 0}, INF, "point mass"),
    "one row, normal": ("normal", [-3.5], {"mu": -3.5, "sigma": 0}, INF, "point mass"),
    "constant, inverse Gaussian": ("inverse Gaussian", [2, 2], {"mu": 2, "lam": INF}, INF, "point mass"),
    "constant, Kumaraswamy": ("Kumaraswamy", [0.3, 0.3], {"b": INF}, INF, "point mass"),
    "more than half in one place": ("Cauchy", [1, 1, 1, 5], {"m": 1, "s": 0}, INF, None),
    "uniform data under Student t": (
        "Student t",
        UNIFORM,
        {"nu": INF, "m": float(np.mean(UNIFORM)), "s": float(np.std(UNIFORM))},
        float(np.sum(stats.norm.logpdf(UNIFORM, np.mean(UNIFORM), np.std(UNIFORM)))),
        "normal",
    ),
    "constant, generalised gamma": ("generalised gamma", [2, 2, 2], {}, INF, "point mass"),
    "variance above the mean": (
        "binomial size",
        [0, 1, 5, 9, 2],
        {"N": INF, "p": 0},
        float(np.sum(stats.poisson.logpmf([0, 1, 5, 9, 2], 3.4))),
        "Poisson",
    ),
    "differences without spread": (
        "Skellam",
        [3, 4, 3, 3, 4, 3],
        {"a": 10 / 3, "b": 0},
        float(np.sum(stats.poisson.logpmf([3, 4, 3, 3, 4, 3], 10 / 3))),
        "Poisson",
    ),
}
DERIVED: dict[str, Derivation] = {}


def derived(name: str) -> Derivation:
    if name not in DERIVED:
        density, support, parameters = MODELS[name]
        table = {"density": density, "data": {"x": support}, "parameters": parameters}
        DERIVED[name] = derive(Model.from_dict(table))
    return DERIVED[name]


def refused(model: str, data: Any) -> NoMaximumError:
    with pytest.raises(NoMaximumError) as refusal:
        fit(derived(model), np.array(data, float))
    assert refusal.value.supremum is not None, str(refusal.value)
    return refusal.value


@pytest.mark.parametrize("name", NONE)
def test_the_supremum_and_the_law_in_the_limit_are_given(name: str) -> None:
    model, data, limits, height, law = NONE[name]
    refusal = refused(model, data)
    found = refusal.supremum
    assert found is not None
    assert found["log_likelihood"] == pytest.approx(height, rel=1e-9, abs=1e-9)
    for parameter, value in limits.items():
        assert found[parameter] == pytest.approx(value, rel=1e-7, abs=1e-9)
    assert found.get("law") == law
    assert ("without bound" in str(refusal)) == (height == INF)
    if law not in (None, "point mass"):
        assert f"the {law} law" in str(refusal) and "does not attain" in str(refusal)


def test_student_t_on_gamma_data_tends_to_the_normal_law() -> None:
    file = Path(__file__).parent.parent / "data" / "gamma60.csv"
    if not file.exists():
        pytest.skip("the data are not here")
    x = np.loadtxt(file, delimiter=",", skiprows=1).ravel()
    found = refused("Student t", x).supremum
    assert found is not None and found["law"] == "normal"
    assert found["law_parameters"]["mean"] == pytest.approx(5.82399, abs=1e-5)
    assert found["log_likelihood"] == pytest.approx(-152.470, abs=1e-3)


def negative_binomial_has_a_maximum(x: np.ndarray) -> bool:
    return bool(np.mean(x**2) - np.mean(x) ** 2 > np.mean(x) * (1 + 1e-12))


def test_counts_are_refused_exactly_where_they_are_underdispersed() -> None:
    model = "negative binomial by its mean"
    rng, seen = np.random.default_rng(21), {True: 0, False: 0}
    for _ in range(12):
        n = int(rng.integers(3, 15))
        if rng.random() < 0.5:
            x = rng.binomial(6, 0.5, n).astype(float)
        else:
            x = rng.negative_binomial(rng.choice([2, 40]), rng.choice([0.3, 0.9]), n).astype(float)
        if not x.any():
            continue
        seen[negative_binomial_has_a_maximum(x)] += 1
        if negative_binomial_has_a_maximum(x):
            assert math.isfinite(fit(derived(model), x).estimates["r"])
        else:
            found = refused(model, x).supremum
            assert found is not None
            expected = float(np.sum(stats.poisson.logpmf(x, np.mean(x))))
            assert found["log_likelihood"] == pytest.approx(expected, abs=1e-9)
    assert min(seen.values()) > 2


def best_lomax(x: np.ndarray) -> tuple[float, float]:
    """The profile log-likelihood at its best scale by a plain search, and at a scale far out."""

    def profile(t: float) -> float:
        mean = float(np.mean(np.log1p(x * math.exp(t))))
        return len(x) * (t - math.log(mean) - 1 - mean)

    grid = np.linspace(-14, 12, 1500)
    heights = [profile(t) for t in grid]
    k = int(np.argmax(heights))
    if k == 0:
        return heights[0], heights[0]
    found = optimize.minimize_scalar(
        lambda t: -profile(t), bounds=(grid[k - 1], grid[min(k + 1, 1499)]), method="bounded"
    )
    return -float(found.fun), heights[0]


def test_lomax_is_refused_exactly_where_the_exponential_is_higher() -> None:
    rng, seen = np.random.default_rng(22), {True: 0, False: 0}
    for _ in range(24):
        n = int(rng.integers(3, 15))
        x = rng.gamma(rng.choice([0.4, 1, 4]), 1, n)
        x = x / np.mean(x) * rng.choice([0.2, 1.0, 5.0])
        best, _ = best_lomax(x)
        exponential = float(np.sum(stats.expon.logpdf(x, scale=np.mean(x))))
        if exponential + 1e-9 < best < exponential + 1e-5:
            continue
        exists = best > exponential + 1e-9
        seen[exists] += 1
        if exists:
            assert fit(derived("Lomax"), x).log_likelihood == pytest.approx(best, abs=1e-6)
        else:
            found = refused("Lomax", x).supremum
            assert found is not None and found["law"] == "exponential"
            assert found["log_likelihood"] == pytest.approx(exponential, abs=1e-9)
    assert min(seen.values()) > 3


def test_counts_from_one_have_a_maximum_unless_all_are_one() -> None:
    rng = np.random.default_rng(23)
    for _ in range(15):
        x = 1.0 + rng.poisson(rng.choice([0.1, 1.0, 6.0]), 8)
        if x.max() == 1:
            assert refused("truncated Poisson", x).supremum is not None
            continue
        lam = fit(derived("truncated Poisson"), x).estimates["lam"]
        assert lam / -special.expm1(-lam) == pytest.approx(np.mean(x), rel=1e-9)


def test_what_is_refused_does_not_depend_on_the_unit() -> None:
    for scale in (1e-6, 1.0, 1e6):
        found = refused("Lomax", np.array(LIGHT) * scale).supremum
        assert found is not None and found["law"] == "exponential"
        assert found["log_likelihood"] == pytest.approx(-8.0 - 8 * math.log(scale), abs=1e-8)


# model, data, what has to be positive for l to exceed its limit, up to a positive factor
CONDITIONS: dict[str, tuple[str, Any, Any]] = {
    "variance above the mean": ("negative binomial", COUNTS, lambda x: np.var(x) - np.mean(x)),
    "the same by the mean": ("negative binomial by its mean", COUNTS, lambda x: np.var(x) - np.mean(x)),
    "coefficient of variation": ("Lomax", LIGHT, lambda x: np.mean(x**2) / np.mean(x) - 2 * np.mean(x)),
    "the same by the scale": (
        "Lomax by its scale",
        UNIFORM,
        lambda x: np.mean(x**2) / np.mean(x) - 2 * np.mean(x),
    ),
    "kurtosis": ("Student t", UNIFORM, lambda x: np.mean((x - np.mean(x)) ** 4) / np.var(x) ** 2 - 3),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_condition_that_failed_is_derived(name: str) -> None:
    model, data, expected = CONDITIONS[name]
    refusal = refused(model, data)
    relation = refusal.condition.expression
    (column,) = derived(model).model.declaration.samples[0].all_columns
    x = np.array(data, float)
    value = evaluate(relation.lhs - relation.rhs, {}, [Rows({column: list(x)}, [1.0] * len(x))])
    ratio = float(value) / float(expected(x))
    assert value < 0
    other = np.append(x, [x[0] + 7, x[1] + 9])
    value = evaluate(relation.lhs - relation.rhs, {}, [Rows({column: list(other)}, [1.0] * len(other))])
    assert float(value) == pytest.approx(ratio * float(expected(other)), rel=1e-9) and ratio > 0
    assert "It would pass the limit" in str(refusal)
