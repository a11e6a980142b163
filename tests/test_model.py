"""Models: every case of the corpus is built, bad densities are refused with their number and point."""

from __future__ import annotations

import contextlib
import pickle
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sympy import (
    Abs,
    Eq,
    Expr,
    FiniteSet,
    Interval,
    Piecewise,
    Rational,
    Symbol,
    besseli,
    cos,
    exp,
    factorial,
    gamma,
    log,
    oo,
    pi,
    sin,
    sqrt,
    zeta,
)

from symmle.errors import ModelError
from symmle.model import Mixture, Model

CORPUS = Path(__file__).parent / "corpus"
CASES = [case for file in sorted(CORPUS.glob("*.toml")) for case in tomllib.loads(file.read_text())["case"]]

x = Symbol("x", positive=True)
y = Symbol("y", real=True)
k = Symbol("k", integer=True, nonnegative=True)
j = Symbol("j", integer=True, positive=True)
a, b, rate, sigma = (Symbol(n, positive=True) for n in ("a", "b", "lambda", "sigma"))
mu = Symbol("mu", real=True)
p = Symbol("p")
UNIT = {p: Interval.open(0, 1)}
NORMAL = exp(-((y - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_every_case_of_the_corpus_is_built(case: dict[str, Any]) -> None:
    model = Model.from_dict(case["model"])
    if case["model"].get("normalises") is False:
        assert model.check.value == "not checked"
    elif sum(1 for s in model.data.values() if isinstance(s, Interval)) + len(model.declaration.latent) < 3:
        assert model.check.value == "normalises", str(model.check)
    assert pickle.loads(pickle.dumps(model)) == model
    assert [model.symbol(n).name for n in case["model"]["parameters"]] == list(case["model"]["parameters"])


# density, data, arguments
GOOD: list[tuple[str, Expr, Any, dict[str, Any]]] = [
    ("gamma", b**a * x ** (a - 1) * exp(-b * x) / gamma(a), x, {}),
    ("normal far away", NORMAL, y, {"normalise_at": {"mu": 1e6, "sigma": 0.01}}),
    ("normal wide", NORMAL, y, {"normalise_at": {"mu": -3, "sigma": 1e8}}),
    ("laplace", exp(-Abs(y - mu) / b) / (2 * b), y, {}),
    ("cauchy", 1 / (pi * sigma * (1 + ((y - mu) / sigma) ** 2)), y, {}),
    ("lomax, heavy", a * (1 + x) ** (-a - 1), x, {"normalise_at": {"a": 0.1}}),
    (
        "beta, both edges",
        x ** (a - 1) * (1 - x) ** (b - 1) * gamma(a + b) / gamma(a) / gamma(b),
        {x: Interval(0, 1)},
        {"normalise_at": {"a": 0.1, "b": 0.2}},
    ),
    ("arcsine", 1 / (pi * sqrt((y - mu) * (mu + sigma - y))), {y: Interval.open(mu, mu + sigma)}, {}),
    ("gumbel", exp(-(y - mu) / b - exp(-(y - mu) / b)) / b, y, {}),
    ("logistic", exp(-(y - mu) / b) / (b * (1 + exp(-(y - mu) / b)) ** 2), y, {}),
    ("uniform", 1 / (b - a), {x: Interval(a, b)}, {}),
    ("reflected", exp(y / b) / b, {y: Interval(-oo, 0)}, {}),
    ("tent", Piecewise((1 - Abs(y - mu), Abs(y - mu) < 1), (0, True)), {y: Interval(-oo, oo)}, {}),
    ("von mises", exp(a * cos(y - mu)) / (2 * pi * besseli(0, a)), {y: Interval(-pi, pi)}, {}),
    (
        "two bumps",
        exp(-((y - mu) ** 2) * 5000) * sqrt(5000 / pi) / 2 + exp(-((y + 50) ** 2) / 2) / sqrt(8 * pi),
        y,
        {},
    ),
    ("poisson", rate**k * exp(-rate) / factorial(k), k, {"normalise_at": {"lambda": 300}}),
    ("geometric, slow", p * (1 - p) ** k, k, {"parameters": UNIT, "normalise_at": {"p": 0.001}}),
    ("zeta", j ** (-a - 1) / zeta(a + 1), j, {"normalise_at": {"a": 1.2}}),
    ("bernoulli", p**k * (1 - p) ** (1 - k), {k: FiniteSet(0, 1)}, {"parameters": UNIT}),
    (
        "constant without value",
        a * Symbol("c", positive=True) * exp(-a * Symbol("c", positive=True) * x),
        x,
        {"constants": {Symbol("c", positive=True): None}},
    ),
]


@pytest.mark.parametrize(("label", "density", "data", "arguments"), GOOD, ids=[g[0] for g in GOOD])
def test_densities_that_normalise(label: str, density: Expr, data: Any, arguments: dict[str, Any]) -> None:
    model = Model(density, data, **arguments)
    assert model.check.value == "normalises", str(model.check)
    assert model.check.number == pytest.approx(1, abs=1e-6)


BAD: list[tuple[str, Expr, Any, dict[str, Any], str]] = [
    ("constant forgotten", NORMAL * sqrt(2 * pi), y, {}, "integrates to 2.506"),
    ("one in ten thousand off", NORMAL * Rational(10001, 10000), y, {}, "integrates to 1.0001 "),
    ("wrong support", rate * exp(-rate * x), {x: Interval(1, oo)}, {}, "integrates to 0"),
    (
        "wrong power",
        a * x ** (a - 2),
        {x: Interval(0, 1)},
        {"parameters": {a: Interval.open(1, oo)}},
        "integrates to",
    ),
    ("infinite", rate / (rate + x), x, {}, "integrates to inf"),
    ("data misnamed", NORMAL, x, {"parameters": {y: Interval(-oo, oo)}}, "integrates to inf"),
    ("sum", p * (1 - p) ** k, {k: FiniteSet(0, 1, 2)}, {"parameters": UNIT}, "sums to 0"),
    ("sum from 1", rate**j * exp(-rate) / factorial(j), j, {}, "sums to 0"),
    ("table", Piecewise((p, Eq(k, 0)), (p, True)), {k: FiniteSet(0, 1)}, {"parameters": UNIT}, "sums to"),
    ("negative", 2 * rate * exp(-rate * x) * (1 - rate * x / 2), x, {}, "negative"),
    (
        "negative between",
        (1 + 3 * sin(x)) / (2 * pi) * a / a**1,
        {x: Interval(0, 2 * pi)},
        {},
        "negative|integrate",
    ),
    ("not real", sqrt(a - x) * 3 / (2 * a**2), {x: Interval(0, 2 * a)}, {}, "not at"),
    (
        "not real for some",
        1 / sqrt(1 - mu**2) * sqrt(1 - mu**2) ** 2 * log(mu) * exp(-x),
        x,
        {},
        "real|negative|integrate",
    ),
    ("bernoulli without domain", p**k * (1 - p) ** (1 - k), {k: FiniteSet(0, 1)}, {}, "negative|real"),
    (
        "at the point given",
        exp(-x / a) / a * (1 + Piecewise((0, a < 10), (1, True))),
        x,
        {"normalise_at": {"a": 20}},
        "integrates to 2 at a = 20",
    ),
]


@pytest.mark.parametrize(("label", "density", "data", "arguments", "reason"), BAD, ids=[b[0] for b in BAD])
def test_densities_that_are_refused(
    label: str, density: Expr, data: Any, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        Model(density, data, name="tried", **arguments)
    assert "'tried'" in str(caught.value) and "Mend" in str(caught.value)
    assert Model(density, data, normalises=False, **arguments).check.value == "not checked"


OPEN: list[tuple[str, Expr, Any, dict[str, Any]]] = [
    ("too heavy", a / ((x + 1) * (1 + log(1 + x)) ** (a + 1)), x, {}),
    ("oscillates", 2 * sin(x) / (pi * x) + 0 * a, x, {}),
    ("out of reach", exp(-((y - 10**9 * mu) ** 2) / 2) / sqrt(2 * pi), y, {}),
    ("three columns", a * exp(-a * (x + Abs(y) + Abs(mu))) * a**2 / 4, (x, y, mu), {}),
]


@pytest.mark.parametrize(("label", "density", "data", "arguments"), OPEN, ids=[o[0] for o in OPEN])
def test_what_cannot_be_computed_is_not_refused_as_unnormalised(
    label: str, density: Expr, data: Any, arguments: dict[str, Any]
) -> None:
    try:
        check = Model(density, data, **arguments).check
    except ModelError as problem:
        assert "negative" in str(problem)
    else:
        assert check.value == "not checked" and check.reason


def test_columns_that_are_conditioned_on() -> None:
    z = Symbol("z", positive=True)
    assert Model(z * a * exp(-a * z * x), x, covariates=(z,)).check.value == "conditional"
    assert Model(z * a * exp(-a * z * x), x, covariates=(z,)).check.number == pytest.approx(1)
    with pytest.raises(ModelError, match="integrates"):
        Model(a * exp(-a * z * x), x, covariates=(z,))
    plain = Symbol("z")
    check = Model(NORMAL.subs(mu, mu * plain), y, covariates=(plain,)).check
    assert check.value == "conditional" and check.number is None and "z" in check.reason
    previous = Symbol("y_prev")
    assert Model(NORMAL.subs(mu, mu * previous), y, lags={previous: y}).check.value == "conditional"


def test_mixtures() -> None:
    law = Model(rate * exp(-rate * x), x)
    two = law.mixture(2)
    assert [str(s) for s in two.parameters] == ["lambda_1", "lambda_2", "w"]
    assert two.check.value == "normalises" and len(two.samples[0].components) == 2
    three = law.mixture(3)
    assert str(three.declaration.where[0]) == "-w_1 - w_2 + 1"
    w = Symbol("w")
    other = Model(x * exp(-x / b) / b**2, x)
    made = Mixture([law, other], weights=(w, 1 - w), name="two laws")
    assert made.domain_of("w") == Interval.open(0, 1) and made.name == "two laws"
    assert Mixture([law, other], weights=(w,)) == Mixture([law, other], weights=(w, 1 - w))
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(ModelError, match="weights"):
        Mixture([law, other], weights=(w, 1 - w, w))
    with pytest.raises(ModelError, match="same columns"):
        Mixture([law, Model(NORMAL, y)])
    with pytest.raises(ModelError, match="at least two"):
        Mixture([law])
    with pytest.raises(ModelError, match="from 2"):
        law.mixture(1)
    with pytest.raises(ModelError, match="integrate"):
        Mixture([law, other], weights=(w, w))


def test_several_samples() -> None:
    first = Model(rate * exp(-rate * x), x)
    second = {"data": {y: Interval(0, oo)}, "density": rate**2 * exp(-(rate**2) * y)}
    made = Model(samples=[first, second])
    assert len(made.samples) == 2 and list(made.parameters) == [rate]
    with pytest.raises(ModelError, match="sample 2"):
        Model(samples=[first, {**second, "density": rate * exp(-(rate**2) * y)}])
    with pytest.raises(ModelError, match="one sample"):
        _ = made.density


def test_what_a_model_says() -> None:
    model = Model(NORMAL, y, constants={mu: 2}, name="normal")
    assert model.symbol("mu") == Symbol("mu", integer=True, positive=True)
    assert model.symbol(Symbol("sigma")) == sigma
    assert model.domain_of("sigma") == Interval.open(0, oo)
    assert model.domain_of(y) == Interval(-oo, oo)
    assert model.domain_of("mu") == FiniteSet(2)
    with pytest.raises(ModelError, match="did you mean `sigma`"):
        model.symbol("sigm")
    assert repr(model).startswith("Model('normal': f(y; sigma) = ")
    assert model._repr_latex_().startswith("$\\displaystyle f(y; \\sigma) = ")
    again = Model(NORMAL, y, constants={mu: 2}, name="normal")
    assert model == again and hash(model) == hash(again) and model != Model(NORMAL, y)
    assert model.check == again.check
    assert Model.from_declaration(model.declaration, model.check) == model


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "exponential.toml"
    file.write_text('density = "lam*exp(-lam*x)"\n[data]\nx = "[0, oo)"\n[parameters]\nlam = "positive"\n')
    assert Model.from_toml(file).name == "exponential"


def test_a_hostile_density_does_not_hang_the_check() -> None:
    table = {
        "data": {"x": "positive"},
        "parameters": {"a": "positive"},
        "constants": {"m": 10},
        "density": "a*exp(-a*x)*m**m**m**m**m/m**m**m**m**m",
    }
    Model.from_dict(table)
    with contextlib.suppress(ModelError):
        Model.from_dict({**table, "density": "a*exp(-a*x - exp(exp(exp(exp(m*x)))))*exp(m**m**m**x)"})
