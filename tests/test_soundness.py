"""Traps: models on which a rule once said more than is true, or is easily led to."""

from __future__ import annotations

from typing import Any

import pytest
from sympy import (
    Abs,
    Dummy,
    Expr,
    FiniteSet,
    Interval,
    Range,
    S,
    Set,
    Symbol,
    acot,
    atan,
    cos,
    exp,
    factorial,
    log,
    oo,
    pi,
    sqrt,
)

from symmle import Mean, Model, NoMaximumError, NotConvergedError, NotDerivedError, derive, fit
from symmle.algebra import Bounds, Facts
from symmle.estimator import Kind, Scope
from symmle.inequalities import SampleFacts

x, y, z, t, a, b, p = (Symbol(name) for name in "xyztabp")
REAL, POSITIVE, COUNTS = S.Reals, Interval.open(0, oo), Range(0, oo)
NORMAL = exp(-(x**2) / 2) / sqrt(2 * pi)


def normal_with_mean(mean: Expr) -> Expr:
    return NORMAL.xreplace({x: x - mean})


def model(density: Expr, support: Set, domains: dict[Symbol, Set], **more: Any) -> Model:
    return Model(
        density, data={next(s for s in (y, x) if density.has(s)): support}, parameters=domains, **more
    )


# two maxima about a pole of the log-likelihood: no concavity, whatever the Hessian says where it exists
TWO_SIDED = [
    (t ** (2 * x) * exp(-(t**2)) / factorial(x), COUNTS, {t: REAL}),
    (t ** (2 * x) * exp(-(t**2)) / factorial(x), COUNTS, {t: Interval.open(-2, 1)}),
    ((t - 1) ** (2 * x) * exp(-((t - 1) ** 2)) / factorial(x), COUNTS, {t: REAL}),
]


@pytest.mark.parametrize(("density", "support", "domains"), TWO_SIDED, ids=["line", "interval", "shifted"])
def test_even_powers_are_not_concave(density: Expr, support: Set, domains: dict[Symbol, Set]) -> None:
    points = derive(model(density, support, domains)).estimator.points
    assert all(p.kind is not Kind.GLOBAL_MAXIMUM for p in points)


# where det Da vanishes the score has roots that 'expected = observed' has not: (model, data, the maximum)
SINGULAR = [
    (normal_with_mean(t**2), REAL, {t: REAL}, [-1.0, -2.0], 0.0),
    (
        (t * (1 - t)) ** x * (1 - t * (1 - t)) ** (1 - x),
        FiniteSet(0, 1),
        {t: Interval.open(0, 1)},
        [1, 1, 0],
        0.5,
    ),
]


@pytest.mark.parametrize(
    ("density", "support", "domains", "data", "maximum"), SINGULAR, ids=["square", "product"]
)
def test_roots_of_a_singular_chart(
    density: Expr, support: Set, domains: dict[Symbol, Set], data: list[float], maximum: float
) -> None:
    derivation = derive(model(density, support, domains))
    assert fit(derivation, data).estimates["t"] == pytest.approx(maximum, abs=1e-8)
    assert derivation.verify()


# the power of a root forgets its sign: (density, domain, data with no maximum, data with one, the maximum)
SQUARED = [
    (normal_with_mean(sqrt(a)), POSITIVE, [-1.0, -2.0], [1.0, 2.0], 2.25),
    (normal_with_mean(sqrt(a**2 + 1)), POSITIVE, [-1.0, -2.0, -0.5], [2.0, 3.0], sqrt(21) / 2),
    (normal_with_mean(a ** (S(1) / 4)), POSITIVE, [-1.0, -2.0], [1.0, 2.0], S(1.5) ** 4),
]


@pytest.mark.parametrize(
    ("density", "domain", "without", "data", "maximum"), SQUARED, ids=["root", "norm", "fourth"]
)
def test_a_power_does_not_forget_the_sign(
    density: Expr, domain: Set, without: list[float], data: list[float], maximum: Expr
) -> None:
    derivation = derive(model(density, REAL, {a: domain}))
    assert fit(derivation, data).estimates["a"] == pytest.approx(float(maximum), rel=1e-9)
    with pytest.raises(NoMaximumError):
        fit(derivation, without)


def test_a_covariate_stays_inside_its_mean() -> None:
    law = exp(y * b * z) / (1 + exp(b * z))
    logistic = Model(law, data={y: FiniteSet(0, 1)}, covariates={z: REAL}, parameters={b: REAL})
    estimator = derive(logistic).estimator
    assert not estimator.closed and len(estimator.remaining) == 1


def test_a_constant_in_a_denominator_is_a_condition() -> None:
    c = Symbol("c", real=True)
    free = Model(normal_with_mean(c * a), data={x: REAL}, parameters={a: REAL, c: REAL})
    conditions = derive(free, fixed=["c"]).estimator.conditions
    assert any(condition.expression.free_symbols for condition in conditions)


def test_kinks_are_no_roots_of_a_score() -> None:
    laplace = derive(model(exp(-Abs(x - t)) / 2, REAL, {t: REAL}))
    rules = [s.rule for s in laplace.steps]
    assert "score" not in rules and "why not the score" in rules
    result = fit(laplace, [1.0, 2.0, 4.0, 7.0])
    assert result.estimates == {"t": 2.0} and result.maximisers == {"t": (2.0, 4.0)}
    assert result.unique is False and result.standard_errors is None


def test_angles_within_half_a_turn() -> None:
    law = ((1 + cos(t)) / 2) ** x * ((1 - cos(t)) / 2) ** (1 - x)
    estimator = derive(model(law, FiniteSet(0, 1), {t: Interval.open(0, pi)})).estimator
    assert estimator.kind == "closed form"
    assert estimator.points[0].certificate is not None
    assert estimator.points[0].certificate.scope is Scope.EVERY_SAMPLE


@pytest.mark.parametrize(
    ("expression", "bounds"),
    [
        ((p + 1) ** 2 - p**2 - 2 * p - 1, Bounds(S(0), oo, True, True)),
        (log(p**2) - 2 * log(p), Bounds(S(0), S(3), True, True)),
        (atan(1 / p), Bounds(S(-1), S(1), True, True)),
        (acot(p), Bounds(-oo, oo, True, True)),
        (p, Bounds(S(0), oo, False, True)),
        (p * (1 - p), Bounds(S(0), S(1))),
        (p - 1, Bounds(S(1), oo, False, True)),
    ],
)
def test_no_strict_sign(expression: Expr, bounds: Bounds) -> None:
    symbol = Dummy("p", real=True)
    assert Facts({symbol: bounds}).decide_sign(expression.xreplace({p: symbol})) not in (1, -1)


def test_a_moment_that_does_not_occur_is_not_zero() -> None:
    u, v, w = (Symbol(name, real=True) for name in "uvw")
    columns = (u, v, w)
    means = [Mean(g, columns) for g in (u**2, v**2, w**2, u * w, v * w)]
    known = SampleFacts(means, Facts({}))
    u2, v2, w2, uw, vw = (known.hide(m) for m in means)
    facts = Facts(known.bounds, known.encoding)
    # u = v = w makes it negative
    assert facts.decide_sign(w2 * u2 * v2 - uw**2 * v2 - vw**2 * u2) is None


def test_a_local_minimum_is_not_an_estimate() -> None:
    """The stationary points that are maxima lie outside the domain; the one inside is a minimum."""
    law = exp(-(x**2) / (2 * (1 + a**2))) / sqrt(2 * pi * (1 + a**2))
    derivation = derive(model(law, REAL, {a: Interval.open(-1, 1)}))
    with pytest.raises((NoMaximumError, NotConvergedError, NotDerivedError)):
        fit(derivation, [1.4, 2.15, 2.45])


def test_ends_that_a_condition_orders_are_not_taken_one_after_the_other() -> None:
    """With a > b the least allowed a depends on b: Max(max x, b) is not attained at a = b."""
    table = {
        "data": {"x": "[0, a]", "y": "[0, b]"},
        "parameters": {"a": "positive", "b": "positive"},
        "density": "1/(a*b)",
        "where": ["a - b"],
    }
    derivation = derive(Model.from_dict(table))
    assert all(p.certificate is None for p in derivation.estimator.points) and derivation.verify()


def test_a_covariate_of_both_signs_limits_from_both_sides_and_is_no_absent_maximum() -> None:
    table = {
        "data": {"y": "[b*z, oo)"},
        "covariates": ["z"],
        "parameters": {"b": "real"},
        "density": "exp(-(y - b*z))",
        "normalises": False,
    }
    derivation = derive(Model.from_dict(table))
    with pytest.raises(NotDerivedError, match="both signs"):
        fit(derivation, {"y": [1.0, 4.0, 2.0], "z": [1.0, 2.0, -1.0]})
    assert fit(derivation, {"y": [1.0, 4.0, 2.0], "z": [1.0, 2.0, 3.0]}).estimates["b"] == pytest.approx(
        2 / 3
    )
