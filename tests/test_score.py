"""Scores and Hessians in sample operators, against numeric derivatives of densities written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sympy import Add, Mul, Symbol, Tuple, exp, gamma, log, pi, sqrt, symbols

from symmle import Model
from symmle.algebra import Rows, compile_expression
from symmle.likelihood import build_likelihood
from symmle.sample import Mean, SampleOperator
from symmle.score import ScoreSystem, split_means

x, a, b, s, k = symbols("x a b s k", positive=True)
y, mu = symbols("y mu", real=True)
XS = [0.4, 1.3, 2.2, 0.9, 5.0]

MODELS: dict[str, tuple[Model, list[str], Callable[..., float], list[float]]] = {
    "normal": (
        Model(exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y),
        ["mu", "s"],
        lambda v, mu, s: -((v - mu) ** 2) / (2 * s**2) - math.log(s),
        [0.7, 1.9],
    ),
    "gamma": (
        Model(b**a * x ** (a - 1) * exp(-b * x) / gamma(a), data=x),
        ["a", "b"],
        lambda v, a, b: a * math.log(b) + (a - 1) * math.log(v) - b * v - math.lgamma(a),
        [2.3, 0.8],
    ),
    "weibull": (
        Model(k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), data=x),
        ["k", "b"],
        lambda v, k, b: math.log(k / b) + (k - 1) * math.log(v / b) - (v / b) ** k,
        [1.7, 2.1],
    ),
    "log-logistic": (
        Model(k / b * (x / b) ** (k - 1) / (1 + (x / b) ** k) ** 2, data=x),
        ["k", "b"],
        lambda v, k, b: math.log(k / b) + (k - 1) * math.log(v / b) - 2 * math.log1p((v / b) ** k),
        [1.4, 0.6],
    ),
}


def central(f: Callable[[float], float], at: float, h: float = 1e-4) -> float:
    """A derivative to about 1e-10 by Richardson's extrapolation of central differences."""

    def slope(step: float) -> float:
        return (f(at + step) - f(at - step)) / (2 * step)

    return (4 * slope(h / 2) - slope(h)) / 3


@pytest.mark.parametrize("name", MODELS)
def test_score_and_hessian_by_hand(name: str) -> None:
    model, names, log_density, values = MODELS[name]
    score = ScoreSystem(build_likelihood(model.declaration))
    column = model.declaration.samples[0].columns[0]
    parameters = [model.symbol(n) for n in names]
    rows = [Rows({column: XS}, [1] * len(XS))]

    def l(*at: float) -> float:
        return sum(log_density(v, *at) for v in XS)

    def along(i: int, t: float) -> float:
        return l(*values[:i], t, *values[i + 1 :])

    def score_along(slope: Callable[..., Any], q: Symbol, t: float) -> float:
        return float(slope({**at, q: t}, rows))

    at = dict(zip(parameters, values, strict=True))
    for i, p in enumerate(parameters):
        numeric = central(partial(along, i), values[i])
        assert float(compile_expression(score.equations[p])(at, rows)) == pytest.approx(
            numeric, rel=1e-7, abs=1e-7
        )
        for j, q in enumerate(parameters):
            numeric = central(partial(score_along, compile_expression(score.equations[p]), q), values[j])
            order = score.parameters
            entry = score.hessian[order.index(p), order.index(q)]
            assert float(compile_expression(entry)(at, rows)) == pytest.approx(numeric, rel=1e-7, abs=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_each_statistic_stands_once_and_parameters_outside_where_they_separate(name: str) -> None:
    score = ScoreSystem(build_likelihood(MODELS[name][0].declaration))
    for e in score.equations.values():
        operators = [
            Mul(*(f for f in Mul.make_args(t) if isinstance(f, SampleOperator))) for t in Add.make_args(e)
        ]
        assert len(operators) == len(set(operators))
    if name in ("normal", "gamma"):
        for e in score.equations.values():
            assert all(not o.free_symbols for o in e.atoms(Mean))


def test_split_means_keeps_central_statistics_and_pulls_parameters_out() -> None:
    columns = Tuple(x)
    assert (
        split_means(Mean((x - a) ** 2, columns)) - (Mean(x**2, columns) - 2 * a * Mean(x, columns) + a**2)
        == 0
    )
    central_moment = Mean((x - Mean(x, columns)) ** 2, columns)
    assert split_means(b * central_moment) == b * central_moment
    assert split_means(Mean(log(a * x), columns)) == log(a) + Mean(log(x), columns)
    assert split_means(Mean((x / b) ** k, columns)).has(Mean(x**k, columns))


def test_a_subset_of_parameters_has_the_scores_of_the_whole() -> None:
    likelihood = build_likelihood(MODELS["weibull"][0].declaration)
    whole = ScoreSystem(likelihood)
    for p in whole.parameters:
        part = ScoreSystem(likelihood, (p,))
        assert part.equations == {p: whole.equations[p]}
        i = whole.parameters.index(p)
        assert part.hessian.shape == (1, 1) and (part.hessian[0, 0] - whole.hessian[i, i]).expand() == 0
    assert isinstance(whole.parameters[0], Symbol)
