"""The builder: symbols with the facts of their sets, parameters found, bad declarations refused."""

from __future__ import annotations

from typing import Any

import pytest
from sympy import Dummy, Eq, FiniteSet, Interval, Piecewise, Range, Rational, Symbol, exp, oo, pi, sqrt

from symmle.declare.build import build
from symmle.errors import ModelError

x = Symbol("x", positive=True)
y = Symbol("y", real=True)
k = Symbol("k", integer=True, nonnegative=True)
rate = Symbol("lambda", positive=True)
mu, w, z, c = Symbol("mu"), Symbol("w"), Symbol("z"), Symbol("c")
theta = Symbol("theta", positive=True)
sigma = Symbol("sigma", positive=True)
NORMAL = exp(-((y - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))


def test_parameters_are_the_free_symbols_and_domains_follow_from_assumptions() -> None:
    made = build(NORMAL, data=y, name="normal")
    assert {p.name: d for p, d in made.parameters.items()} == {
        "mu": Interval(-oo, oo),
        "sigma": Interval.open(0, oo),
    }
    assert made.samples[0].support == {y: Interval(-oo, oo)}
    assert made.name == "normal"


def test_symbols_carry_what_their_sets_allow() -> None:
    plain_x, plain_rate = Symbol("x"), Symbol("lambda")
    made = build(
        plain_rate * exp(-plain_rate * plain_x),
        data={plain_x: Interval(0, oo)},
        parameters={plain_rate: Interval.open(0, oo)},
    )
    (column,) = made.samples[0].columns
    assert column == x and made.samples[0].density == rate * exp(-rate * x)


def test_the_users_symbol_stays_where_it_says_exactly_that() -> None:
    made = build(rate * exp(-rate * x), data=x)
    assert made.samples[0].columns[0] == x
    assert next(iter(made.parameters)) == rate
    dummy = Dummy("x", positive=True)
    assert build(rate * exp(-rate * dummy), data=dummy).samples[0].columns[0] == x


def test_a_name_is_an_identity() -> None:
    made = build(rate * exp(-rate * Symbol("x")), data=x)
    assert made.samples[0].density == rate * exp(-rate * x)


def test_supports_name_parameters() -> None:
    made = build(1 / theta, data={x: Interval(0, theta)})
    assert list(made.parameters) == [theta]
    assert made.samples[0].support == {x: Interval(0, theta)}


def test_constants_and_floats_are_exact() -> None:
    made = build(0.5 * c * exp(-0.5 * c * x) * rate / rate * rate**0, data=x, constants={c: 0.7})
    assert made.constants == {Symbol("c", positive=True): Rational(7, 10)}
    assert not made.samples[0].density.atoms(type(Symbol("x").evalf() * 1.0 / Symbol("x")))
    assert build(rate * c * exp(-rate * c * x), data=x, constants={c: "5/2"}).constants == {
        Symbol("c", positive=True): Rational(5, 2)
    }
    (symbol,) = build(rate * c * exp(-rate * c * x), data=x, constants={c: None}).constants
    assert symbol == Symbol("c", real=True)


def test_mixture_weights_lie_between_0_and_1() -> None:
    made = build(data=x, components=[(w, rate * exp(-rate * x)), (1 - w, exp(-x))])
    assert {p.name: d for p, d in made.parameters.items()}["w"] == Interval.open(0, 1)
    assert len(made.samples[0].components) == 2


def test_columns_that_are_conditioned_on() -> None:
    made = build(NORMAL.subs(mu, mu * z), data=y, covariates=(z,))
    assert made.samples[0].given == (Symbol("z", real=True),) and made.given_domains == {}
    made = build(NORMAL.subs(mu, mu * z), data=y, covariates={z: Interval(0, 1)})
    assert made.given_domains == {Symbol("z", positive=True): Interval(0, 1)}
    made = build(NORMAL.subs(mu, mu * z), data=y, lags={z: y})
    assert made.lags == {Symbol("z", real=True): y} and made.samples[0].all_columns == (
        y,
        Symbol("z", real=True),
    )


def test_several_samples() -> None:
    made = build(
        samples=[
            {"data": x, "density": rate * exp(-rate * x)},
            {"data": {y: Interval(0, oo)}, "density": 2 * rate * exp(-2 * rate * y)},
        ]
    )
    assert [part.columns[0].name for part in made.samples] == ["x", "y"]
    assert list(made.parameters) == [rate]


def test_discrete_supports_latent_variables_and_the_rest() -> None:
    p = Symbol("p")
    table = Piecewise((p, Eq(k, 0)), (1 - p, True))
    made = build(table, data={k: FiniteSet(0, 1)}, parameters={p: Interval.open(0, 1)}, size=3)
    assert made.size == 3 and made.supports == {k: FiniteSet(0, 1)}
    u = Symbol("u")
    made = build(exp(-u) * rate * u * exp(-rate * u * x), data=x, latent={u: Interval.open(0, oo)})
    assert made.latent == {Symbol("u", positive=True): Interval.open(0, oo)}
    made = build(
        NORMAL,
        data=y,
        where=(mu > sigma, sigma - 1),
        constraints=(Eq(mu, 2 * sigma),),
        normalise_at={"mu": 1},
    )
    real_mu = Symbol("mu", real=True)
    assert made.where == (real_mu - sigma, sigma - 1)
    assert made.constraints == (real_mu - 2 * sigma,)
    assert made.normalise_at == {real_mu: 1}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"density": rate * exp(-rate * x)}, "data symbols"),
    ({"density": None, "data": x}, "Expected a density"),
    ({"density": "exp(-x)", "data": x}, "from_dict"),
    ({"density": rate * exp(-rate * x), "data": 3}, "symbol"),
    ({"density": rate * exp(-rate * x), "data": {x: 3}}, "SymPy set"),
    ({"density": rate * exp(-rate * x), "data": {x: Interval(1, 0)}}, "something in it"),
    ({"density": rate * exp(-rate * x), "data": {x: Interval(-oo, oo)}}, "which is positive"),
    (
        {"density": rate * exp(-rate * x), "data": x, "parameters": {x: Interval(0, 1)}},
        "as data and as parameter",
    ),
    (
        {"density": rate * exp(-rate * x), "data": x, "parameters": {mu: Interval(0, 1)}},
        "`mu` stands in neither",
    ),
    (
        {"density": rate * exp(-rate * x), "data": x, "parameters": {rate: Interval(-1, 1)}},
        "which is positive",
    ),
    ({"density": rate * exp(-rate * x), "data": x, "parameters": {rate: FiniteSet()}}, "something in it"),
    ({"density": rate * exp(-rate * x), "data": x, "constants": {rate: -1}}, "to be positive"),
    ({"density": rate * exp(-rate * x), "data": x, "constants": {rate: oo}}, "finite real number"),
    ({"density": rate * exp(-rate * x), "data": x, "where": (mu,)}, "`mu`"),
    ({"density": rate * exp(-rate * x), "data": x, "constraints": (mu - 1,)}, "`mu`"),
    ({"density": rate * exp(-rate * x), "data": x, "size": 0}, "sample size"),
    ({"density": rate * exp(-rate * x), "data": x, "normalise_at": {"lam": 1}}, "normalise_at"),
    ({"density": rate * exp(-rate * x), "data": x, "lags": {z: mu}}, "data column"),
    ({"density": -exp(-x), "data": x}, "to be positive"),
    ({"density": rate * exp(-rate * x), "data": x, "samples": []}, "either samples"),
    ({"samples": []}, "at least one sample"),
    ({"samples": [{"data": x, "densty": 1}]}, "did you mean `density`"),
    ({"data": x, "components": [(w,)]}, "weight, density"),
    ({"data": x, "components": [(x, exp(-x))]}, "free of the data"),
    (
        {
            "density": 1 / rate,
            "data": {k: Range(0, oo)},
            "parameters": {rate: Interval(0, mu), mu: Interval(0, rate)},
        },
        "circle",
    ),
    ({"density": exp(-x), "data": x, "name": 3}, "name"),
    (
        {
            "samples": [
                {"data": x, "density": rate * exp(-rate * x)},
                {"data": y, "density": NORMAL * x},
            ]
        },
        "another sample",
    ),
    ({"density": Dummy("t", real=True) * Dummy("t", real=True) * exp(-x), "data": x}, "two different"),
]


@pytest.mark.parametrize(("arguments", "reason"), BAD)
def test_bad_declarations(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        build(**arguments)


def test_a_closed_edge_opens_for_a_positive_parameter() -> None:
    made = build(rate * exp(-rate * x), data={x: Interval(0, oo)}, parameters={rate: Interval(0, oo)})
    assert made.parameters == {rate: Interval.open(0, oo)}
    assert made.supports == {x: Interval(0, oo)}
