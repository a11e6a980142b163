"""The public face: storing, invariance, plain sums, and what a notebook and a terminal show."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from sympy import (
    FiniteSet,
    Interval,
    Range,
    Sum,
    Symbol,
    exp,
    factorial,
    lambdify,
    oo,
    pi,
    sqrt,
    symbols,
    sympify,
)

from symmle import Model, derive, fit
from symmle.algebra import Rows, compile_expression
from symmle.derivation import Derivation
from symmle.errors import ModelError, NotDerivedError
from symmle.sample import Count, SampleOperator

x, a, b, s, k, lam = symbols("x a b s k rate", positive=True)
y, mu, c, d, z = symbols("y mu c d z", real=True)
p = Symbol("p", positive=True)
m = Symbol("m", integer=True, nonnegative=True)
XS = [0.31, 1.7, 0.92, 4.4, 2.2, 0.15, 1.1]

MODELS: dict[str, tuple[Model, dict[str, list[float]]]] = {
    "exponential": (Model(lam * exp(-lam * x), data=x, name="exponential"), {"x": XS}),
    "normal": (Model(exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y), {"y": XS}),
    "weibull": (Model(k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), data=x), {"x": XS}),
    "bernoulli": (
        Model(p**m * (1 - p) ** (1 - m), data={m: FiniteSet(0, 1)}, parameters={p: Interval.open(0, 1)}),
        {"m": [1, 0, 1, 1]},
    ),
    "zero-truncated poisson": (
        Model(a**m * exp(-a) / (factorial(m) * (1 - exp(-a))), data={m: Range(1, oo)}),
        {"m": [1, 2, 1, 4]},
    ),
    "regression": (
        Model(exp(-((y - c - d * z) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y, covariates=(z,)),
        {"y": XS, "z": [1.0, 4.0, 2.0, 9.0, 5.0, 0.5, 3.0]},
    ),
    "lindley": (Model(a**2 * (1 + x) * exp(-a * x) / (1 + a), data=x), {"x": XS}),
    "uniform, not derived": (Model(1 / b, data={x: Interval(0, b)}), {"x": XS}),
}
DERIVED: dict[str, Derivation] = {}


def derived(name: str) -> Derivation:
    if name not in DERIVED:
        DERIVED[name] = derive(MODELS[name][0])
    return DERIVED[name]


@pytest.mark.parametrize("name", MODELS)
def test_storing_and_reading_back(name: str) -> None:
    derivation = derived(name)
    text = json.dumps(derivation.to_dict())
    for again in (pickle.loads(pickle.dumps(derivation)), Derivation.from_dict(json.loads(text))):
        assert again == derivation and hash(again) == hash(derivation)
        assert again.estimator == derivation.estimator
        assert again.steps == derivation.steps and again.attempts == derivation.attempts
        assert json.dumps(again.to_dict()) == text
        assert repr(again) == repr(derivation) and again.latex() == derivation.latex()
        assert not again.verify().failures
        if derivation.estimator.closed:
            assert again.estimate(MODELS[name][1]) == derivation.estimate(MODELS[name][1])


def test_a_stored_text_runs_nothing_and_a_strange_one_is_refused() -> None:
    table = derived("exponential").to_dict()
    with pytest.raises(ModelError, match="format"):
        Derivation.from_dict({**table, "format": "something else"})
    hostile = json.loads(json.dumps(table).replace("Mean", "__import__('os').system"))
    with pytest.raises(Exception) as caught:
        Derivation.from_dict(hostile)
    assert not isinstance(caught.value, SystemExit)


def test_a_derivation_is_equal_to_its_like_alone() -> None:
    assert derived("exponential") == derive(MODELS["exponential"][0])
    assert derived("exponential") != derived("lindley")
    assert derived("exponential") != 3
    assert derived("normal") != derive(MODELS["normal"][0], fixed={"mu": 0})


# --- invariance -----------------------------------------------------------------------------------

DELTA = [
    ("exponential", "1/rate"),
    ("exponential", "exp(-2*rate)"),
    ("normal", "mu/s"),
    ("normal", "mu + 2*s"),
    ("normal", "s**2"),
    ("bernoulli", "log(p/(1 - p))"),
]


@pytest.mark.parametrize(("name", "g"), DELTA, ids=[f"{n}: {g}" for n, g in DELTA])
def test_mle_of_an_expression_and_its_variance_by_the_delta_method(name: str, g: str) -> None:
    model, data = MODELS[name]
    derivation = derived(name)
    invariant = derivation.mle_of(g)
    rows = [Rows({model.symbol(n): v for n, v in data.items()}, [1] * len(next(iter(data.values()))))]
    estimates = derivation.estimate(data)

    names = sorted(estimates)
    plain = lambdify([Symbol(q) for q in names], sympify(g), "math")

    def value(**at: float) -> float:
        return float(plain(*(at[q] for q in names)))

    found = float(compile_expression(invariant.expression)({}, rows))
    assert found == pytest.approx(value(**estimates), rel=1e-10)
    # gradient by differences, covariance by the expected information of each law, by hand
    n = len(next(iter(data.values())))
    covariance = {
        "exponential": lambda q: {("rate", "rate"): q["rate"] ** 2 / n},
        "normal": lambda q: {("mu", "mu"): q["s"] ** 2 / n, ("s", "s"): q["s"] ** 2 / (2 * n)},
        "bernoulli": lambda q: {("p", "p"): q["p"] * (1 - q["p"]) / n},
    }[name](estimates)
    h = 1e-5
    slope = {
        q: (value(**{**estimates, q: v + h}) - value(**{**estimates, q: v - h})) / (2 * h)
        for q, v in estimates.items()
    }
    wanted = sum(slope[i] * slope[j] * v for (i, j), v in covariance.items())
    assert invariant.variance is not None
    assert float(compile_expression(invariant.variance)({}, rows)) == pytest.approx(wanted, rel=1e-6)


def test_mle_of_takes_expressions_and_refuses_strangers() -> None:
    derivation = derived("exponential")
    assert derivation.mle_of(1 / lam) == derivation.mle_of("1/rate") == derivation.mle_of(1 / Symbol("rate"))
    with pytest.raises(ModelError, match="tau"):
        derivation.mle_of(Symbol("tau") + lam)
    with pytest.raises(ModelError):
        derivation.mle_of("rate + tau")
    with pytest.raises(NotDerivedError, match="k"):
        derived("weibull").mle_of("b*gamma(1 + 1/k)")


# --- plain sums -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exponential", "normal", "regression", "bernoulli", "lindley"])
def test_as_sums_is_plain_sympy_with_the_same_value(name: str) -> None:
    _, data = MODELS[name]
    derivation = derived(name)
    estimates = derivation.estimate(data)
    n = len(next(iter(data.values())))
    for parameter, written in derivation.estimator.as_sums().items():
        assert not written.has(SampleOperator, Count) and written.has(Sum)
        for total in written.atoms(Sum):
            assert {str(v) for v in total.variables} <= set("ijklm")
            inside = total.function.atoms(Sum)
            assert not {v for t in inside for v in t.variables} & set(total.variables), (
                "an index is used twice"
            )
        value = written.subs(Symbol("n", integer=True, positive=True), n).doit()
        bases = {e for e in value.free_symbols if hasattr(e, "base")}
        value = value.xreplace({e: data[str(e.base)][int(e.indices[0]) - 1] for e in bases})
        assert float(value.evalf()) == pytest.approx(estimates[str(parameter)], rel=1e-9)


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_what_a_notebook_and_a_terminal_show(name: str) -> None:
    derivation = derived(name)
    line = repr(derivation)
    assert line.startswith("Derivation(") and "\n" not in line
    assert derivation.estimator.kind in line
    bundle = derivation._repr_mimebundle_()
    assert {"text/plain", "text/html", "text/latex"} <= set(bundle)
    assert all(isinstance(v, str) and v for v in bundle.values())
    assert derivation._repr_latex_() == bundle["text/latex"]
    assert "Dummy" not in bundle["text/plain"] + bundle["text/latex"] and "_W" not in bundle["text/plain"]
    assert "\\hat" in bundle["text/latex"] or not derivation.estimator.closed
    assert derivation.document().startswith("\\documentclass")


def test_the_repr_of_a_reduced_estimator_counts_its_equations() -> None:
    assert repr(derived("weibull")).endswith("1 equations remain)")
    assert "rate = 1/Mean(x)" in repr(derived("exponential"))


# --- numbers --------------------------------------------------------------------------------------


def test_closed_by_symbol_name_and_assumption() -> None:
    closed = derived("exponential").estimator.closed
    assert closed["rate"] == closed[lam] == closed[Symbol("rate")]
    with pytest.raises(KeyError):
        closed["tau"]


def test_fit_takes_a_model_or_a_derivation() -> None:
    model, data = MODELS["normal"]
    one, two = fit(model, data), fit(derived("normal"), data)
    assert one.estimates == two.estimates == derived("normal").estimate(data)
    assert one.estimates["s"] == pytest.approx(np.std(XS), rel=1e-12)
    assert one.standard_errors["mu"] == pytest.approx(np.std(XS) / np.sqrt(len(XS)), rel=1e-9)


def test_weights_are_counts() -> None:
    derivation = derived("weibull")
    weighted = derivation.estimate({"x": [1.0, 2.0, 5.0, 9.0]}, weights=[3, 1, 2, 0])
    repeated = derivation.estimate({"x": [1.0, 1.0, 1.0, 2.0, 5.0, 5.0]})
    assert weighted == pytest.approx(repeated, rel=1e-9)


@pytest.mark.parametrize("what", ["a string", None, 3, x], ids=str)
def test_derive_expects_a_model(what: object) -> None:
    with pytest.raises(ModelError, match="Model"):
        derive(what)  # type: ignore[arg-type]
