"""The likelihood of a declaration: against log-densities written by hand, and its own checker."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from sympy import (
    Expr,
    Integer,
    Interval,
    Range,
    Symbol,
    Tuple,
    exp,
    factorial,
    gamma,
    log,
    loggamma,
    oo,
    pi,
    sqrt,
    symbols,
)

from symmle import Model
from symmle.algebra import Rows, compile_expression
from symmle.likelihood import build_likelihood
from symmle.sample import Count, Mean, Total

x, a, b, s, k = symbols("x a b s k", positive=True)
y, mu, c, d, z = symbols("y mu c d z", real=True)
m = Symbol("m", integer=True, nonnegative=True)

normal = exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi))

XS = [0.4, 1.3, 2.2, 0.9]
YS = [-1.0, 0.5, 3.0, 2.5]

# name: model, whether it has a residual, values, columns, l by hand
MODELS: dict[str, tuple[Model, bool, dict[str, float], dict[str, list[float]], Callable[[], float]]] = {
    "normal": (
        Model(normal, data=y),
        False,
        {"mu": 0.7, "s": 1.9},
        {"y": YS},
        lambda: sum(
            -((v - 0.7) ** 2) / (2 * 1.9**2) - math.log(1.9) - 0.5 * math.log(2 * math.pi) for v in YS
        ),
    ),
    "gamma": (
        Model(b**a * x ** (a - 1) * exp(-b * x) / gamma(a), data=x),
        False,
        {"a": 2.3, "b": 0.8},
        {"x": XS},
        lambda: sum(2.3 * math.log(0.8) + 1.3 * math.log(v) - 0.8 * v - math.lgamma(2.3) for v in XS),
    ),
    "weibull": (
        Model(k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), data=x),
        True,
        {"k": 1.7, "b": 2.1},
        {"x": XS},
        lambda: sum(math.log(1.7 / 2.1) + 0.7 * math.log(v / 2.1) - (v / 2.1) ** 1.7 for v in XS),
    ),
    "poisson": (
        Model(a**m * exp(-a) / factorial(m), data={m: Range(0, oo)}),
        False,
        {"a": 1.7},
        {"m": [0, 1, 4, 2]},
        lambda: sum(v * math.log(1.7) - 1.7 - math.lgamma(v + 1) for v in (0, 1, 4, 2)),
    ),
    "regression": (
        Model(exp(-((y - c - d * z) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y, covariates=(z,)),
        False,
        {"c": 0.2, "d": -1.1, "s": 0.9},
        {"y": YS, "z": XS},
        lambda: sum(
            -((u - 0.2 + 1.1 * v) ** 2) / (2 * 0.81) - math.log(0.9) - 0.5 * math.log(2 * math.pi)
            for u, v in zip(YS, XS, strict=True)
        ),
    ),
    "moving support": (
        Model(2 * (y - mu) * exp(-((y - mu) ** 2)), data={y: Interval.open(mu, oo)}),
        True,
        {"mu": -1.3},
        {"y": YS},
        lambda: sum(math.log(2 * (v + 1.3)) - (v + 1.3) ** 2 for v in YS),
    ),
}


def numbers(model: Model, values: dict[str, float]) -> dict[Symbol, float]:
    return {model.symbol(name): value for name, value in values.items()}


@pytest.mark.parametrize("name", MODELS)
def test_log_likelihood_by_hand(name: str) -> None:
    model, residual, values, columns, by_hand = MODELS[name]
    likelihood = build_likelihood(model.declaration)
    rows = [Rows({model.symbol(n): v for n, v in columns.items()}, [1] * 4)]
    at = numbers(model, values)
    for written in (likelihood.log_likelihood, likelihood.displayed):
        assert float(compile_expression(written)(at, rows)) == pytest.approx(by_hand(), rel=1e-12)
    assert likelihood.has_residual is residual
    holds, found = likelihood.check()
    assert holds, found


def test_weights_are_counts() -> None:
    model = MODELS["gamma"][0]
    l = compile_expression(build_likelihood(model.declaration).log_likelihood)
    column = model.symbol("x")
    at = numbers(model, MODELS["gamma"][2])
    weighted = l(at, [Rows({column: [1.0, 2.0, 9.0]}, [3, 1, 0])])
    repeated = l(at, [Rows({column: [1.0, 1.0, 1.0, 2.0]}, [1, 1, 1, 1])])
    assert float(weighted) == pytest.approx(float(repeated), rel=1e-14)


@pytest.mark.parametrize("wrong", ["coefficient", "statistic", "missing term", "sign"])
def test_the_normal_form_has_its_own_checker(wrong: str) -> None:
    likelihood = build_likelihood(MODELS["weibull"][0].declaration)
    (form,) = likelihood.forms
    terms: list[tuple[Expr, Expr]] = list(form.terms)
    coefficient, g = terms[-1]
    if wrong == "coefficient":
        terms[-1] = (coefficient * (1 + Integer(10) ** -25), g)
    elif wrong == "statistic":
        terms[-1] = (coefficient, g.subs(form.part.columns[0], form.part.columns[0] + Integer(10) ** -25))
        if terms[-1][1] == g:
            terms[-1] = (coefficient, g + 1)
    elif wrong == "missing term":
        terms.pop()
    else:
        terms[-1] = (-coefficient, g)
    holds, found = replace(likelihood, forms=(replace(form, terms=tuple(terms)),)).check()
    assert not holds and found


def test_two_samples_have_two_sizes() -> None:
    u, w = symbols("u w", positive=True)
    model = Model.from_dict(
        {
            "samples": [
                {"data": {"u": "(0, oo)"}, "density": "a*exp(-a*u)"},
                {"data": {"w": "(0, oo)"}, "density": "2*a*exp(-2*a*w)"},
            ],
            "parameters": {"a": "positive"},
        }
    )
    likelihood = build_likelihood(model.declaration)
    u, w, rate = (model.symbol(n) for n in ("u", "w", "a"))
    expected = Count(Tuple(u)) * (log(rate) - rate * Mean(u, Tuple(u))) + Count(Tuple(w)) * (
        log(2) + log(rate) - 2 * rate * Mean(w, Tuple(w))
    )
    assert (likelihood.log_likelihood - expected).expand() == 0
    assert not likelihood.is_single


def test_displayed_names_the_statistics_in_totals() -> None:
    likelihood = build_likelihood(MODELS["gamma"][0].declaration)
    (column,) = likelihood.forms[0].part.columns
    columns = Tuple(column)
    assert likelihood.displayed.atoms(Total) == {Total(column, columns), Total(log(column), columns)}
    assert likelihood.displayed.has(loggamma) and not likelihood.displayed.has(Mean)
    assert likelihood.log_density[0].has(log(column))
