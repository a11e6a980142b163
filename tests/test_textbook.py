"""Estimates from n, means and totals alone, as exercises give them."""

from __future__ import annotations

import math

import pytest
from scipy import optimize, special
from sympy import FiniteSet, Interval, Range, Symbol, exp, factorial, gamma, oo, pi, sqrt, symbols

from symmle import Model, derive
from symmle.derivation import Derivation
from symmle.errors import DataError, NoMaximumError, NotDerivedError, SymmleError

x, a, b, s, k, lam = symbols("x a b s k lambda", positive=True)
y, mu, c, d, z = symbols("y mu c d z", real=True)
p = Symbol("p", positive=True)
m = Symbol("m", integer=True, nonnegative=True)

MODELS: dict[str, Model] = {
    "exponential": Model(lam * exp(-lam * x), data=x),
    "normal": Model(exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y),
    "poisson": Model(a**m * exp(-a) / factorial(m), data={m: Range(0, oo)}),
    "bernoulli": Model(
        p**m * (1 - p) ** (1 - m), data={m: FiniteSet(0, 1)}, parameters={p: Interval.open(0, 1)}
    ),
    "gamma": Model(b**a * x ** (a - 1) * exp(-b * x) / gamma(a), data=x),
    "weibull": Model(k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), data=x),
    "inverse gaussian": Model(
        sqrt(lam / (2 * pi * x**3)) * exp(-lam * (x - a) ** 2 / (2 * a**2 * x)), data=x
    ),
    "regression": Model(
        exp(-((y - c - d * z) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y, covariates=(z,)
    ),
    "zero-truncated poisson": Model(a**m * exp(-a) / (factorial(m) * (1 - exp(-a))), data={m: Range(1, oo)}),
}
DERIVED: dict[str, Derivation] = {}


def derived(name: str) -> Derivation:
    if name not in DERIVED:
        DERIVED[name] = derive(MODELS[name])
    return DERIVED[name]


# sum of y 10, of z 6, of z**2 14, of y z 17, of y**2 30 at n = 4: Szz = 5, Szy = 2, Syy = 5
SLOPE = 2 / 5
ZTP = optimize.brentq(lambda t: t / (1 - math.exp(-t)) - 1.6, 1e-6, 50, xtol=1e-15, rtol=1e-15)
SHAPE = optimize.brentq(
    lambda t: math.log(t) - special.digamma(t) - (math.log(3.0) - 0.8), 1e-3, 1e3, xtol=1e-14, rtol=1e-14
)


@pytest.mark.parametrize(
    ("name", "statistics", "expected"),
    [
        ("exponential", {"n": 4, "total(x)": 10}, {"lambda": 0.4}),
        ("exponential", {"mean(x)": 2.5}, {"lambda": 0.4}),
        ("exponential", {"Mean( x )": "2.5"}, {"lambda": 0.4}),
        ("normal", {"n": 10, "mean(y)": 2, "total(y**2)": 80}, {"mu": 2, "s": 2}),
        ("normal", {"mean(y)": 2, "mean((y - 2)**2)": 4}, {"mu": 2, "s": 2}),
        ("normal", {"n": 5, "total(y)": 10, "total(y**2 - 4*y + 4)": 20}, {"mu": 2, "s": 2}),
        ("poisson", {"n": 8, "total(m)": 20}, {"a": 2.5}),
        ("bernoulli", {"n": 20, "total(m)": 7}, {"p": 0.35}),
        ("inverse gaussian", {"mean(x)": 2, "mean(1/x)": 0.75}, {"a": 2, "lambda": 4}),
        ("gamma", {"mean(x)": 3, "mean(log(x))": 0.8}, {"a": SHAPE, "b": SHAPE / 3}),
        ("zero-truncated poisson", {"mean(m)": 1.6}, {"a": ZTP}),
        (
            "regression",
            {"n": 4, "total(y)": 10, "total(z)": 6, "total(z**2)": 14, "total(y*z)": 17, "total(y**2)": 30},
            {"c": 2.5 - SLOPE * 1.5, "d": SLOPE, "s": math.sqrt((5 - 4 / 5) / 4)},
        ),
    ],
    ids=lambda v: str(v)[:60],
)
def test_estimates(name: str, statistics: dict, expected: dict[str, float]) -> None:
    found = derived(name).estimate(statistics=statistics)
    assert set(found) == set(expected)
    for parameter, value in expected.items():
        assert found[parameter] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e8, 1e150])
def test_decimals_are_exact(scale: float) -> None:
    """Mean 1e8 and variance 1 from raw moments: nothing cancels, since a decimal is a rational."""
    assert derived("exponential").estimate(statistics={"mean(x)": scale})["lambda"] == pytest.approx(
        1 / scale, rel=1e-14
    )
    found = derived("normal").estimate(
        statistics={"mean(y)": "100000000.1", "mean(y**2)": "10000000020000001.01"}
    )
    assert found["s"] == pytest.approx(1.0, rel=1e-12)


def test_the_same_as_from_the_data() -> None:
    rows = [0.5, 2.25, 1.0, 4.0, 0.75]
    for name, keys in (
        ("exponential", {"mean(x)": lambda v: v}),
        ("inverse gaussian", {"mean(x)": lambda v: v, "mean(1/x)": lambda v: 1 / v}),
    ):
        from_data = derived(name).estimate(rows)
        statistics = {key: sum(map(g, rows)) / 5 for key, g in keys.items()}
        assert derived(name).estimate(statistics=statistics) == pytest.approx(from_data, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "statistics", "error", "word"),
    [
        ("normal", {"mean(y)": 2}, DataError, "mean(y"),
        ("normal", {"mean(y)": 2, "n": 5}, DataError, "needs"),
        ("exponential", {"total(x)": 2}, DataError, "n"),
        ("exponential", {"n": 0, "total(x)": 2}, DataError, "positive"),
        ("exponential", {"n": -3, "total(x)": 2}, DataError, "positive"),
        ("exponential", {"mean(x)": math.nan}, DataError, "finite"),
        ("exponential", {"mean(x)": math.inf}, DataError, "finite"),
        ("exponential", {"mean(x)": "two"}, DataError, "finite"),
        ("exponential", {"variance(x)": 2}, DataError, "statistic"),
        ("exponential", {"mean(w)": 2}, SymmleError, "w"),
        ("exponential", {"mean(__import__('os'))": 2}, SymmleError, ""),
        ("exponential", {"n": 3, "mean(x)": 2, "total(x)": 7}, DataError, "contradict"),
        ("exponential", {}, DataError, "needs"),
        ("exponential", {"mean(x)": -1}, NoMaximumError, "lambda"),
        ("exponential", {"mean(x)": 0}, SymmleError, ""),
        ("normal", {"mean(y)": 2, "mean(y**2)": 3}, NoMaximumError, "s"),
        ("normal", {"mean(y)": 2, "mean(y**2)": 4}, NoMaximumError, "s"),
        ("bernoulli", {"n": 5, "total(m)": 5}, NoMaximumError, "p"),
        ("bernoulli", {"n": 5, "total(m)": 7}, NoMaximumError, "p"),
        ("gamma", {"mean(x)": 1, "mean(log(x))": 0.5}, NoMaximumError, ""),
        ("weibull", {"mean(x)": 1, "mean(log(x))": -0.5}, NotDerivedError, "data"),
        ("zero-truncated poisson", {"mean(m)": 0.7}, NoMaximumError, ""),
    ],
    ids=lambda v: str(v)[:60],
)
def test_what_no_estimate_follows_from(
    name: str, statistics: dict, error: type[Exception], word: str
) -> None:
    with pytest.raises(error) as caught:
        derived(name).estimate(statistics=statistics)
    assert word in str(caught.value)


def test_two_samples_have_counts_of_their_own() -> None:
    model = Model.from_dict(
        {
            "samples": [
                {"data": {"u": "(0, oo)"}, "density": "a*exp(-a*u)"},
                {"data": {"w": "(0, oo)"}, "density": "2*a*exp(-2*a*w)"},
            ],
            "parameters": {"a": "positive"},
        }
    )
    found = derive(model).estimate(statistics={"count(u)": 3, "count(w)": 5, "total(u)": 4, "total(w)": 6})
    assert found["a"] == pytest.approx(8 / 16)
    with pytest.raises(DataError, match="count"):
        derive(model).estimate(statistics={"n": 3, "total(u)": 4, "total(w)": 6})


def test_what_was_held_fixed_gets_its_value_with_the_statistics() -> None:
    derivation = derive(MODELS["normal"], fixed=("mu",))
    statistics = {"mean(y)": 2, "mean(y**2)": 8}
    assert derivation.estimate(statistics=statistics, fixed={"mu": 1})["s"] == pytest.approx(
        math.sqrt(8 - 4 + 1)
    )
    with pytest.raises(DataError, match="mu"):
        derivation.estimate(statistics=statistics)
