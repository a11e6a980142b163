"""Random variables of sympy.stats: the support is that of the variable, the density has no indicator."""

from __future__ import annotations

from typing import Any

import pytest
from sympy import Expr, FiniteSet, Interval, Piecewise, Range, Rational, Set, Symbol, exp, oo, pi, stats

from symmle.declare.random import declaration_from_random
from symmle.errors import ModelError
from symmle.model import Model

a, b = Symbol("a", positive=True), Symbol("b", positive=True)
mu = Symbol("mu", real=True)
p = Symbol("p", positive=True)
n = Symbol("n", integer=True, positive=True)
S = stats
UNIT = Interval.open(0, 1)
ROWS: list[tuple[Any, Set, dict[str, Set]]] = [
    (S.Normal("x", mu, a), Interval(-oo, oo), {"mu": Interval(-oo, oo), "a": Interval.open(0, oo)}),
    (S.Exponential("x", a), Interval(0, oo), {"a": Interval.open(0, oo)}),
    (S.Gamma("x", a, b), Interval(0, oo), {}),
    (S.Beta("x", a, b), Interval(0, 1), {}),
    (S.Pareto("x", a, b), Interval(a, oo), {}),
    (S.Uniform("x", a, b), Interval(a, b), {}),
    (S.Weibull("x", a, b), Interval(0, oo), {}),
    (S.LogNormal("x", mu, a), Interval(0, oo), {}),
    (S.Laplace("x", mu, a), Interval(-oo, oo), {}),
    (S.VonMises("x", mu, a), Interval(0, 2 * pi), {}),
    (S.RaisedCosine("x", mu, a), Interval(mu - a, mu + a), {}),
    (S.Poisson("x", a), Range(0, oo), {}),
    (S.Geometric("x", p), Range(1, oo), {"p": UNIT}),
    (S.NegativeBinomial("x", 5, p), Range(0, oo), {"p": UNIT}),
    (S.Logarithmic("x", p), Range(1, oo), {"p": UNIT}),
    (S.Skellam("x", a, b), Range(-oo, oo), {}),
    (S.Bernoulli("x", p), FiniteSet(0, 1), {"p": UNIT}),
    (S.Binomial("x", 5, p), FiniteSet(*range(6)), {"p": UNIT}),
    (S.Binomial("x", n, p), Range(0, n + 1), {"p": UNIT, "n": Range(1, oo)}),
    (S.BetaBinomial("x", 5, a, b), FiniteSet(*range(6)), {}),
    (S.Hypergeometric("x", 10, 5, 3), FiniteSet(*range(4)), {}),
    (S.Die("x", 6), FiniteSet(*range(1, 7)), {}),
    (S.Rademacher("x"), FiniteSet(-1, 1), {}),
]


@pytest.mark.parametrize(
    ("variable", "support", "domains"), ROWS, ids=lambda v: str(getattr(v, "pspace", ""))
)
def test_support_and_domains(variable: Any, support: Set, domains: dict[str, Set]) -> None:
    made = declaration_from_random(variable)
    assert list(made.samples[0].support.values()) == [support]
    assert not made.samples[0].density.has(Piecewise)
    found = {s.name: d for s, d in made.parameters.items()}
    for name, domain in domains.items():
        assert found[name] == domain
    assert Model(variable).check.value == "normalises"


def test_two_points_are_powers() -> None:
    x, q = Symbol("x", integer=True, nonnegative=True), Symbol("p", positive=True)
    density = declaration_from_random(S.Bernoulli("x", p)).samples[0].density
    assert density == q**x * (1 - q) ** (1 - x)
    coin = S.FiniteRV("x", {3: p, 5: 1 - p})
    density = declaration_from_random(coin, parameters={p: UNIT}).samples[0].density
    assert [density.subs(Symbol("x", integer=True, positive=True), k) for k in (3, 5)] == [p, 1 - p]


def test_more_points_are_branches() -> None:
    law = S.FiniteRV("x", {1: p / 2, 2: p / 2, 4: 1 - p})
    made = declaration_from_random(law, parameters={p: UNIT})
    density = made.samples[0].density
    assert [density.subs(made.samples[0].columns[0], k) for k in (1, 2, 4)] == [p / 2, p / 2, 1 - p]
    assert Model(law, parameters={p: UNIT}).check.value == "normalises"


def test_the_data_symbol_may_be_given() -> None:
    y = Symbol("y", positive=True)
    rate = Symbol("a", positive=True)
    made = Model(S.Exponential("x", a), y)
    assert made.density == rate * exp(-rate * y)
    assert Model.from_random(S.Uniform("x", 0, a), {y: Interval(0, a)}).data == {y: Interval(0, a)}
    assert Model(S.Exponential("x", a), constants={a: Rational(1, 2)}).parameters == {}


@pytest.mark.parametrize(
    "variable",
    [3, Symbol("x"), S.Normal("x", 0, 1) + 1, S.Coin("x"), S.Normal("x", [0, 0], [[1, 0], [0, 1]])],
)
def test_what_is_no_single_variable_is_refused(variable: Expr) -> None:
    with pytest.raises(ModelError, match="Expected"):
        declaration_from_random(variable)
