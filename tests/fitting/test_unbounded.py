"""Unbounded likelihoods: the largest interior local maximum, or NoMaximumError, with the path named.

Oracles are simplex searches over scipy's densities, kept where the gradient vanishes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from sympy import Interval, Piecewise, Symbol, besseli, cos, exp, gamma, log, oo, pi, sqrt, symbols

from symmle import Model, derive, fit
from symmle.errors import NoMaximumError

x = Symbol("x", real=True)
u = Symbol("x", positive=True)
mu, m, xi = symbols("mu m xi", real=True)
k, s, nu = symbols("k s nu", positive=True)
y = x - mu
ABOVE = {x: Interval.open(mu, oo)}
GAP = 1 + xi * y / s
SHARE = 1 + xi * u / s
T = gamma((nu + 1) / 2) / (sqrt(nu * pi) * gamma(nu / 2) * s) * (1 + (y / s) ** 2 / nu) ** (-(nu + 1) / 2)
PORT_PIRIE = [
    4.03, 3.83, 3.65, 3.88, 4.01, 4.08, 4.18, 3.80, 4.36, 3.96, 3.98, 4.69, 3.85, 3.96, 3.85, 3.93, 3.75, 3.63, 3.57,
    4.25, 3.97, 4.05, 4.24, 4.22, 3.73, 4.37, 4.06, 3.71, 3.96, 4.06, 4.55, 3.79, 3.89, 4.11, 3.85, 3.86, 3.86, 4.21,
    4.01, 4.11, 4.24, 3.96, 4.21, 3.74, 3.85, 3.88, 3.66, 4.11, 3.71, 4.18, 3.90, 3.78, 3.91, 3.72, 4.00, 3.66, 3.62,
    4.33, 4.55, 3.75, 4.08, 3.90, 3.88, 3.94, 4.33,
]  # fmt: skip

# name: the model, its log density by scipy, the parameters that are positive, a way to draw a sample
LAWS = {
    "lognormal": (
        Model(exp(-((log(y) - m) ** 2) / (2 * s**2)) / (y * s * sqrt(2 * pi)), data=ABOVE),
        lambda z, p: stats.lognorm.logpdf(z - p["mu"], p["s"], scale=math.exp(min(p["m"], 300.0))),
        lambda r: r.normal() * 5 + np.exp(r.normal(0, r.uniform(0.3, 0.9), 20)),
    ),
    "weibull": (
        Model(k / s * (y / s) ** (k - 1) * exp(-((y / s) ** k)), data=ABOVE),
        lambda z, p: stats.weibull_min.logpdf(z - p["mu"], p["k"], scale=p["s"]),
        lambda r: r.normal() * 5 + 3 * r.weibull(r.uniform(1.3, 3), 20),
    ),
    "gamma": (
        Model(y ** (k - 1) * exp(-y / s) / (gamma(k) * s**k), data=ABOVE),
        lambda z, p: stats.gamma.logpdf(z - p["mu"], p["k"], scale=p["s"]),
        lambda r: r.normal() * 5 + r.gamma(r.uniform(1.5, 3), 2, 20),
    ),
    "log-logistic": (
        Model((k / s) * (y / s) ** (k - 1) / (1 + (y / s) ** k) ** 2, data=ABOVE),
        lambda z, p: stats.fisk.logpdf(z - p["mu"], p["k"], scale=p["s"]),
        lambda r: r.normal() + np.exp(r.logistic(0, r.uniform(0.2, 0.4), 20)),
    ),
    "generalised Pareto": (
        Model(Piecewise((SHARE ** (-1 / xi - 1) / s, SHARE > 0), (0, True)), data=u),
        lambda z, p: stats.genpareto.logpdf(z, p["xi"], scale=p["s"]),
        lambda r: stats.genpareto.rvs(r.uniform(-0.3, 0.6), scale=2, size=20, random_state=r),
    ),
}


@pytest.fixture(scope="module")
def derived() -> Any:
    return {name: derive(law[0]) for name, law in LAWS.items()}


def interior_maximum(name: Any, z: Any, names: Any, r: Any) -> Any:
    """The largest l that simplex searches end at with a gradient of 0."""
    log_density = LAWS[name][1]

    def minus(theta: Any) -> Any:
        p = dict(zip(names, theta, strict=True))
        if any(p[q] <= 0 for q in ("k", "s") if q in p):
            return 1e10
        with np.errstate(all="ignore"):
            value = -float(np.sum(log_density(z, p)))
        return value if math.isfinite(value) else 1e10

    best, width = -math.inf, float(z.max() - z.min())
    for _ in range(10):
        draws = {
            "mu": z.min() - width * 10 ** r.uniform(-2, 1),
            "xi": 0.3 * r.normal(),
            "m": r.normal(),
            "s": width * 10 ** r.uniform(-1, 1),
            "k": 10 ** r.uniform(-0.3, 1.2),
        }
        options = {"maxfev": 3000, "xatol": 1e-9, "fatol": 1e-11}
        end = optimize.minimize(minus, [draws[q] for q in names], method="Nelder-Mead", options=options)
        if end.fun > 1e9 or np.max(np.abs(end.x)) > 1e3 * (1 + width + abs(z).max()):
            continue
        steps = 1e-5 * (1 + np.abs(end.x))
        slopes = [(minus(end.x + h) - minus(end.x - h)) / 2e-5 for h in np.diag(steps)]
        if np.max(np.abs(slopes)) < 1e-2:
            best = max(best, -float(end.fun))
    return best


@pytest.mark.parametrize("name", LAWS)
def test_the_largest_interior_maximum_of_random_samples(name: Any, derived: Any) -> None:
    names = [str(p) for p in derived[name].model.parameters]
    said = 0
    for seed in range(2):
        r = np.random.default_rng(seed)
        z = LAWS[name][2](r)
        wanted = interior_maximum(name, z, names, r)
        try:
            result = fit(derived[name], z)
        except NoMaximumError as refusal:
            assert "bound" in str(refusal) or "rises" in str(refusal)
            assert not math.isfinite(wanted)
            continue
        assert result.log_likelihood >= wanted - 1e-7 * (1 + abs(wanted))
        assert result.unbounded and result.certificate is None
        assert "without bound" in result.status and "local" in result.status
        own = float(np.sum(LAWS[name][1](z, result.estimates)))
        assert result.log_likelihood == pytest.approx(own, rel=1e-9)
        said += 1
    assert said


def test_gev_of_port_pirie() -> None:
    law = Model(Piecewise((GAP ** (-1 / xi - 1) * exp(-(GAP ** (-1 / xi))) / s, GAP > 0), (0, True)), data=x)
    result = fit(law, PORT_PIRIE)
    assert result.estimates == pytest.approx(
        {"mu": 3.87474986, "s": 0.198043957, "xi": -0.0501095316}, rel=1e-7
    )
    assert result.log_likelihood == pytest.approx(4.33905847, abs=2e-8)
    assert result.unbounded and "without bound" in result.status
    assert result.standard_errors == pytest.approx({"mu": 0.02793, "s": 0.02025, "xi": 0.09826}, rel=1e-3)


@pytest.mark.parametrize(
    ("law", "data"),
    [
        (LAWS["generalised Pareto"][0], [0.4, 1.0, 0.2, 0.75, 0.6]),
        (LAWS["generalised Pareto"][0], [1.3]),
        (LAWS["weibull"][0], [1.0, 1.01, 1.03, 1.1, 1.5, 4.0, 20.0]),
        (LAWS["lognormal"][0], [2.0, 3.0]),
        (LAWS["lognormal"][0], [2.0, 2.0, 2.0]),
        (Model(u ** (k - 1) * exp(-u / s) / (gamma(k) * s**k), data=u), [2.3]),
        (
            Model(
                exp(k * cos(x - mu)) / (2 * pi * besseli(0, k)),
                data={x: Interval.open(-pi, pi)},
                parameters={mu: Interval.open(-pi, pi)},
            ),
            [0.7] * 6,
        ),
        (Model(s * k**s / u ** (s + 1), data={u: Interval(k, oo)}), [3.1]),
    ],
)
def test_no_maximum(law: Any, data: Any) -> None:
    with pytest.raises(NoMaximumError):
        fit(law, data)


def test_the_path_is_named() -> None:
    with pytest.raises(NoMaximumError, match=r"without bound as .* -> 0 at x = 1") as refusal:
        fit(LAWS["generalised Pareto"][0], [0.4, 1.0, 0.2, 0.75, 0.6])
    assert (refusal.value.supremum or {})["log_likelihood"] == math.inf


@pytest.mark.parametrize("rows", [500, 5000])
def test_growth_is_found_on_many_rows(rows: Any, derived: Any) -> None:
    r = np.random.default_rng(8)
    for name, data in (
        ("lognormal", 5 + np.exp(r.normal(0, 0.5, rows))),
        ("generalised Pareto", stats.genpareto.rvs(0.2, scale=3, size=rows, random_state=r)),
    ):
        result = fit(derived[name], data)
        assert result.unbounded, name


def test_weights_are_counts(derived: Any) -> None:
    data, weights = [2.0, 3.0, 4.0, 5.0, 7.0], [1, 2, 3, 2, 1]
    weighted = fit(derived["lognormal"], data, weights=weights)
    repeated = fit(derived["lognormal"], np.repeat(data, weights))
    assert weighted.estimates == pytest.approx(repeated.estimates, rel=1e-9)
    assert weighted.unbounded and repeated.unbounded


def test_student_with_free_degrees_of_freedom() -> None:
    abbey = "5.2 6.5 6.9 7 7 7 7.4 8 8 8 8 8.5 9 9 10 11 11 12 12 13.7 14 14 14 16 17 17 18 24 28 34 125"
    result = fit(Model(T, data=x), [float(v) for v in abbey.split()])
    assert result.estimates == pytest.approx({"mu": 9.96581488, "nu": 1.38207306, "s": 3.44056807}, rel=1e-7)
    assert result.unbounded and result.certificate is None
