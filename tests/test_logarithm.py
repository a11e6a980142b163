"""Logarithms of densities, opened under the facts of the support: by value, and what must stay closed."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import (
    Abs,
    Add,
    Eq,
    Expr,
    Integer,
    Mul,
    Piecewise,
    Rational,
    S,
    Symbol,
    beta,
    binomial,
    exp,
    factorial,
    gamma,
    lambdify,
    log,
    loggamma,
    oo,
    pi,
    sqrt,
    symbols,
)

from symmle.algebra import Bounds, Facts
from symmle.logarithm import open_logarithm, separate

x, a, b, k = symbols("x a b k", positive=True)
y, mu = symbols("y mu", real=True)
p = Symbol("p", positive=True)
m = Symbol("m", integer=True, nonnegative=True)
POSITIVE = Bounds(S.Zero, oo, True, True)
FACTS = Facts(
    {
        x: POSITIVE,
        a: POSITIVE,
        b: POSITIVE,
        k: POSITIVE,
        p: Bounds(S.Zero, S.One, True, True),
        m: Bounds(S.Zero, oo, False, True),
    }
)

# density, columns, where it is compared (numbers of x, y, m), statistics that must have come out
TABLE: list[tuple[Expr, tuple[Symbol, ...], set[Expr]]] = [
    (a * exp(-a * x), (x,), {S.One, x}),
    (b**a * x ** (a - 1) * exp(-b * x) / gamma(a), (x,), {S.One, x, log(x)}),
    (exp(-((y - mu) ** 2) / (2 * a**2)) / (a * sqrt(2 * pi)), (y,), {S.One, y, y**2}),
    (p**m * (1 - p), (m,), {S.One, m}),
    (a**m * exp(-a) / factorial(m), (m,), {S.One, m, loggamma(m + 1)}),
    (binomial(m + 3, 3) * (1 - p) ** m * p**4, (m,), {S.One, m, loggamma(m + 4), loggamma(m + 1)}),
    (k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), (x,), {S.One, log(x), x**k}),
    (x ** (a - 1) * (1 + x) ** (-a - b) / beta(a, b), (x,), {S.One, log(x), log(1 + x)}),
    (-(p**m) / (m * log(1 - p)), (m,), {S.One, m, log(m)}),
    (a * b * x ** (a - 1) * (1 + x**a) ** (-b - 1), (x,), {S.One, log(x), log(1 + x**a)}),
    (a**2 * (1 + x) * exp(-a * x) / (1 + a), (x,), {S.One, x, log(1 + x)}),
    (sqrt(a / (2 * pi * x**3)) * exp(-a * (x - b) ** 2 / (2 * b**2 * x)), (x,), {S.One, x, 1 / x, log(x)}),
    (a * (1 - exp(-b * x)) ** (a - 1) * b * exp(-b * x), (x,), {S.One, x, log(1 - exp(-b * x))}),
    (exp(-Abs(y) / b) / (2 * b), (y,), {S.One, Abs(y)}),
]
IDS = [str(f)[:50] for f, _, _ in TABLE]


def point(stream: random.Random) -> dict[Symbol, float]:
    return {
        x: math.exp(stream.gauss(0, 0.7)),
        a: math.exp(stream.gauss(0.4, 0.5)),
        b: math.exp(stream.gauss(0, 0.5)),
        k: math.exp(stream.gauss(0, 0.4)),
        p: stream.uniform(0.05, 0.95),
        y: stream.gauss(0.5, 2),
        mu: stream.gauss(-0.5, 1),
        m: float(stream.randint(1, 9)),
    }


def value(e: Expr, at: dict[Symbol, float]) -> complex:
    names = sorted(at, key=str)
    return complex(lambdify(names, e, "mpmath")(*(at[s] for s in names)))


@pytest.mark.parametrize(("density", "columns", "statistics"), TABLE, ids=IDS)
def test_opened_and_separated(density: Expr, columns: tuple[Symbol, ...], statistics: set[Expr]) -> None:
    opened = open_logarithm(density, FACTS)
    pairs = separate(opened, columns)
    stream = random.Random(4)
    for _ in range(8):
        at = point(stream)
        expected = math.log(value(density, at).real)
        assert value(opened, at) == pytest.approx(expected, rel=1e-11, abs=1e-11)
        total = sum(value(c, at) * value(g, at) for c, g in pairs)
        assert total == pytest.approx(expected, rel=1e-11, abs=1e-11)
    for c, _ in pairs:
        assert not c.has(*columns)
    assert len({g for _, g in pairs}) == len(pairs)
    # statistics free of data dependence are one constant; scale of a statistic is not promised
    found = {Mul(*(f for f in Mul.make_args(g) if not f.is_number)) for _, g in pairs} | {S.One}
    assert found == statistics


@pytest.mark.parametrize(
    ("density", "stays"),
    [
        (log(1 + x) * a, log(log(1 + x))),
        ((x + a) * b, log(x + a)),
        ((exp(-x) + exp(-2 * x / a)) * b, None),  # a logarithm of a sum is left or factored, never split
        (1 - exp(-a * x), log(1 - exp(-a * x))),  # not (exp(a x) - 1) exp(-a x)
        (1 - (1 + b * x) ** (-a), log(1 - (1 + b * x) ** (-a))),
    ],
    ids=str,
)
def test_logarithms_of_sums_stay(density: Expr, stays: Expr | None) -> None:
    opened = open_logarithm(density, FACTS)
    if stays is not None:
        assert opened.has(stays)
    stream = random.Random(8)
    for _ in range(5):
        at = point(stream)
        assert value(opened, at) == pytest.approx(math.log(value(density, at).real), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(
    ("density", "at"),
    [
        (y**2 * exp(-(y**2) / 2) / sqrt(2 * pi), {y: -1.5}),  # log y**2 is 2 log|y|, not 2 log y
        (y**2, {y: -1.5}),
        ((y - mu) ** 4, {y: -1.5, mu: 2.0}),
        (Abs(y) ** a, {y: -2.0, a: 1.5}),
        ((1 - y**2) ** a, {y: -0.5, a: 2.5}),
        ((mu - y) ** 4 * b, {y: 3.0, mu: 1.0, b: 2.0}),
        (-log(p) * p**x, {p: 0.3, x: 2.0}),
        ((-log(1 - p)) ** (-1) * p**m / m, {p: 0.3, m: 2.0}),
    ],
    ids=str,
)
def test_signs_are_not_forced(density: Expr, at: dict[Symbol, float]) -> None:
    facts = Facts({p: Bounds(S.Zero, S.One, True, True), y: Bounds(-oo, oo, True, True)})
    opened = open_logarithm(density, facts)
    assert value(opened, at) == pytest.approx(math.log(value(density, at).real), rel=1e-12)


def test_pieces_of_a_finite_law_each_have_their_own_indicator() -> None:
    facts = Facts({p: Bounds(S.Zero, S.One, True, True)})
    facts.members[m] = (Integer(0), Integer(1), Integer(2))
    law = Piecewise((p**2, Eq(m, 0)), (2 * p * (1 - p), Eq(m, 1)), ((1 - p) ** 2, True))
    opened = open_logarithm(law, facts)
    for member in (0, 1, 2):
        at = {p: 0.3, m: float(member)}
        assert value(opened, at) == pytest.approx(math.log(value(law, at).real), rel=1e-12)
    pairs = separate(opened, (m,))
    assert len(pairs) == 3 and all(not c.has(m) and not g.has(p) for c, g in pairs)


# --- the normal form by value, on densities nobody wrote ------------------------------------------

FACTORS = [
    a,
    1 / b,
    x ** (a - 1),
    (x / b) ** k,
    exp(-b * x),
    exp(-((x / a) ** 2)),
    1 / gamma(a),
    (1 + x) ** (-k),
    (1 + x / b) ** (-a),
    1 - exp(-a * x),
    (1 - exp(-b * x)) ** (k - 1),
    sqrt(a * x + 1),
    1 / (x**2 + b**2),
    p ** (2 * x),
    (1 - p) ** a,
    beta(a, k) ** -1,
    exp(k - k * exp(x / 9)),
    Rational(3, 7),
    sqrt(2 * pi),
]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(FACTORS), min_size=2, max_size=6), st.integers(0, 10**6))
def test_products_of_anything(factors: list[Expr], seed: int) -> None:
    density = Mul(*factors)
    opened = open_logarithm(density, FACTS)
    terms = separate(opened, (x,))
    joined = Add(*(c * g for c, g in terms))
    assert all(not c.has(x) for c, _ in terms)
    stream = random.Random(seed)
    for _ in range(3):
        at = point(stream)
        expected = math.log(value(density, at).real)
        assert value(opened, at) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert value(joined, at) == pytest.approx(expected, rel=1e-9, abs=1e-9)
