"""The rules of curvature, the lemmas of one variable, the ranges: what each decides and leaves open."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from sympy import Abs, Expr, Rational, Symbol, diff, exp, log, loggamma, sqrt, symbols

from symmle.certify.composition import Prover
from symmle.certify.lemmas import prove_sign
from symmle.certify.ranges import POSITIVE, REAL, Bounds, range_of, sign_on_support

x, mu = symbols("x mu", real=True)
a, b, p = symbols("a b p", positive=True)
positive, real = Symbol("t", positive=True), Symbol("t", real=True)


@pytest.mark.parametrize(
    ("h", "variable", "expected"),
    [
        (log(positive) - log(1 - exp(-positive)), positive, -1),
        (log(-log(1 - exp(-positive))), positive, 1),  # so -log(1 - e^-t) is log-convex
        (log(positive) + log(1 + exp(positive)), positive, -1),
        (log(real) + log(1 + exp(real)), real, -1),
        (positive * log(positive) - loggamma(positive), positive, -1),
        (-loggamma(positive / 2), positive, -1),
        (3 * log(positive) - log(positive**2 + 2), positive, -1),
        (log(exp(positive) - 1 - positive), positive, -1),
        (-log(1 + positive**2), positive, None),  # bends both ways
        (log(positive) + exp(positive / 3), positive, None),
        (log(log(1 + positive)), positive, -1),
    ],
)
def test_second_derivatives_have_the_proved_sign(h: Expr, variable: Symbol, expected: int | None) -> None:
    bounds = POSITIVE if variable == positive else REAL
    lemma = prove_sign(diff(h, variable, 2), variable, bounds, lambda c: sign_on_support(c, {}))
    assert (lemma.sign if lemma is not None else None) == expected


def shape_of(e: Expr) -> str:
    known = {a: POSITIVE, mu: REAL, x: REAL, b: POSITIVE, p: Bounds(Fraction(0), Fraction(1))}
    prover = Prover((a, mu), known)
    return prover.shape(prover.tidy(e)).kind


@pytest.mark.parametrize(
    ("e", "expected"),
    [
        (x * a + mu, "affine"),
        (b * exp(x * a), "convex"),
        (x * exp(a), "unknown"),  # the sign of x is not known
        (-((x * a - mu) ** 2), "concave"),
        ((x * a - mu) ** 3, "unknown"),
        (mu**2 / a, "convex"),  # quadratic over linear
        (mu**2 * a, "unknown"),
        (sqrt(a), "concave"),
        (log(1 + exp(mu) + exp(x * a)), "convex"),
        (log(1 - exp(-b * a)), "concave"),
        (log(1 - exp(-b * a)) - mu**2, "concave"),
        (log(1 + mu**2), "unknown"),
        (Abs(x * a - mu), "convex"),
        (Abs(x * a - mu) ** Rational(3, 2), "convex"),
        (Abs(x * a - mu) ** Rational(1, 2), "unknown"),
        (a * mu, "unknown"),
        (log(a) * log(a), "unknown"),
        (a * log(a), "convex"),
        (1 / a, "convex"),
        (1 / mu, "unknown"),  # mu may be zero
        (log(1 - mu**2), "concave"),
        (exp(-(mu**2)), "unknown"),
        (p * exp(a) + (1 - p) * exp(-a), "convex"),
    ],
)
def test_the_shape_of_an_expression(e: Expr, expected: str) -> None:
    assert shape_of(e) == expected


@pytest.mark.parametrize(
    ("e", "lo", "hi", "positive_on_support"),
    [
        (1 - exp(a * log(p)), 0, 1, True),
        (p * (1 - p), 0, 1, True),
        (Rational(7, 10) * p + Rational(3, 10) * (1 - p), Fraction(3, 10), Fraction(7, 10), True),
        (x**2, 0, math.inf, False),
        (x**2 + 1, 1, math.inf, True),
        (p - Rational(1, 2), Fraction(-1, 2), Fraction(1, 2), False),
    ],
)
def test_ranges_contain_every_value(e: Expr, lo: float, hi: float, positive_on_support: bool) -> None:
    found = range_of(e, {a: POSITIVE, x: REAL, p: Bounds(Fraction(0), Fraction(1))})
    assert (found.lo, found.hi, found.positive) == (lo, hi, positive_on_support)
