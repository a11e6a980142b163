"""Concavity by composition: the models it proves, those it must not, and certificates that check themselves."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from fractions import Fraction

import pytest
from sympy import (
    Abs,
    Eq,
    Expr,
    FiniteSet,
    Integer,
    Interval,
    Piecewise,
    Range,
    Rational,
    S,
    Symbol,
    beta,
    binomial,
    diff,
    erf,
    exp,
    factorial,
    gamma,
    log,
    loggamma,
    oo,
    pi,
    sech,
    sqrt,
    symbols,
)

from symmle.certify.composition import Prover
from symmle.certify.coordinates import Coordinates
from symmle.certify.curvature import ConcaveByComposition, prove_concavity
from symmle.certify.lemmas import prove_sign
from symmle.certify.problem import ConcavityProblem
from symmle.certify.ranges import POSITIVE, REAL, Bounds, range_of, sign_on_support
from symmle.estimator import Kind, Scope

x, y, z, w, t, v, mu, m = symbols("x y z w t v mu m", real=True)
a, b, k, s, sigma, lam, theta, alpha, r = symbols("a b k s sigma lam theta alpha r", positive=True)
p = Symbol("p", positive=True)

LINE = Interval(-oo, oo)
HALF = Interval.open(0, oo)
UNIT = Interval.open(0, 1)
COUNTS = Range(0, oo)

Case = tuple[list[tuple[Expr, dict, dict]], dict]


def one(density: Expr, support: object, given: dict | None = None, **domains: object) -> Case:
    """A single sample of x (or of several columns) and the domains of its parameters."""
    columns = support if isinstance(support, dict) else {x: support}
    return [(density, columns, given or {})], {Symbol(n): d for n, d in domains.items()}


def parameters_of(case: Case) -> dict:
    """The domains keyed by the symbols that stand in the densities."""
    samples, domains = case
    found = {q.name: q for f, _, _ in samples for q in f.free_symbols}
    return {found[q.name]: d for q, d in domains.items()}


def proved(case: Case, constants: dict | None = None, seconds: float = 20.0) -> ConcaveByComposition | str:
    return prove_concavity(case[0], parameters_of(case), constants or {}, seconds)


normal = exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))
baseline = 1 - exp(-((x / 2) ** Rational(3, 2)))

# name: (case, whether strict, with conditions)
PROVED: dict[str, tuple[Case, bool, bool]] = {
    "normal": (one(normal, LINE, mu=LINE, sigma=HALF), True, False),
    "lognormal": (
        one(
            exp(-((log(x) - mu) ** 2) / (2 * sigma**2)) / (x * sigma * sqrt(2 * pi)),
            HALF,
            mu=LINE,
            sigma=HALF,
        ),
        True,
        False,
    ),
    "logistic": (
        one(exp(-(x - mu) / s) / (s * (1 + exp(-(x - mu) / s)) ** 2), LINE, mu=LINE, s=HALF),
        True,
        False,
    ),
    "gumbel": (one(exp(-(x - mu) / s - exp(-(x - mu) / s)) / s, LINE, mu=LINE, s=HALF), True, False),
    "hyperbolic secant": (one(sech(pi * (x - mu) / (2 * s)) / (2 * s), LINE, mu=LINE, s=HALF), True, False),
    "quartic": (
        one(exp(-(((x - mu) / s) ** 4)) / (2 * s * gamma(Rational(5, 4))), LINE, mu=LINE, s=HALF),
        True,
        False,
    ),
    "maxwell, shifted": (
        one(
            sqrt(2 / pi) * (x - mu) ** 2 * exp(-((x - mu) ** 2) / (2 * a**2)) / a**3,
            Interval.open(mu, oo),
            mu=LINE,
            a=HALF,
        ),
        True,
        False,
    ),
    "exponential": (one(lam * exp(-lam * x), Interval(0, oo), lam=HALF), True, False),
    "weibull": (
        one(k / lam * (x / lam) ** (k - 1) * exp(-((x / lam) ** k)), HALF, k=HALF, lam=HALF),
        True,
        False,
    ),
    "frechet": (
        one(k / s * (x / s) ** (-1 - k) * exp(-((x / s) ** (-k))), HALF, k=HALF, s=HALF),
        True,
        False,
    ),
    "log-logistic": (
        one((b / a) * (x / a) ** (b - 1) / (1 + (x / a) ** b) ** 2, HALF, a=HALF, b=HALF),
        True,
        False,
    ),
    "weibull, censored": (
        one(
            (k / s * (x / s) ** (k - 1)) ** w * exp(-((x / s) ** k)),
            {x: HALF, w: FiniteSet(0, 1)},
            k=HALF,
            s=HALF,
        ),
        True,
        True,
    ),
    "gamma": (
        one(x ** (k - 1) * exp(-x / theta) / (gamma(k) * theta**k), HALF, k=HALF, theta=HALF),
        True,
        False,
    ),
    "beta": (one(x ** (a - 1) * (1 - x) ** (b - 1) / beta(a, b), UNIT, a=HALF, b=HALF), True, False),
    "poisson": (one(lam**x * exp(-lam) / factorial(x), COUNTS, lam=HALF), True, False),
    "bernoulli": (one(p**x * (1 - p) ** (1 - x), FiniteSet(0, 1), p=UNIT), True, False),
    "binomial": (one(binomial(10, x) * p**x * (1 - p) ** (10 - x), Range(0, 11), p=UNIT), False, False),
    "geometric": (one(p * (1 - p) ** (x - 1), Range(1, oo), p=UNIT), True, False),
    "benini": (
        one(
            exp(-a * log(x) - b * log(x) ** 2) * (a / x + 2 * b * log(x) / x), Interval(1, oo), a=HALF, b=HALF
        ),
        True,
        True,
    ),
    "linkage": (
        one(
            Piecewise(
                ((2 + theta) / 4, Eq(x, 1)),
                ((1 - theta) / 4, Eq(x, 2)),
                ((1 - theta) / 4, Eq(x, 3)),
                (theta / 4, True),
            ),
            FiniteSet(1, 2, 3, 4),
            theta=UNIT,
        ),
        True,
        False,
    ),
    "exponentiated exponential": (
        one(alpha * lam * (1 - exp(-lam * x)) ** (alpha - 1) * exp(-lam * x), HALF, alpha=HALF, lam=HALF),
        True,
        False,
    ),
    "kumaraswamy": (one(a * b * x ** (a - 1) * (1 - x**a) ** (b - 1), UNIT, a=HALF, b=HALF), True, False),
    "kumaraswamy-weibull": (
        one(
            a
            * b
            * sqrt(x)
            * exp(-((x / 2) ** Rational(3, 2)))
            * baseline ** (a - 1)
            * (1 - baseline**a) ** (b - 1),
            HALF,
            a=HALF,
            b=HALF,
        ),
        True,
        False,
    ),
    "burr x": (
        one(
            2 * a * s**2 * x * exp(-((s * x) ** 2)) * (1 - exp(-((s * x) ** 2))) ** (a - 1),
            HALF,
            a=HALF,
            s=HALF,
        ),
        True,
        False,
    ),
    "power lindley": (
        one(a * b**2 / (b + 1) * (1 + x**a) * x ** (a - 1) * exp(-b * x**a), HALF, a=HALF, b=HALF),
        True,
        True,
    ),
    "regression": (
        one(
            exp(-((y - mu - m * z) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi)),
            {y: LINE},
            {z: LINE},
            mu=LINE,
            m=LINE,
            sigma=HALF,
        ),
        True,
        True,
    ),
    "autoregression": (
        one(
            exp(-((x - m * z) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi)),
            LINE,
            {z: LINE},
            m=LINE,
            sigma=HALF,
        ),
        True,
        True,
    ),
    "logistic regression": (
        one(exp(y * (mu + m * z)) / (1 + exp(mu + m * z)), {y: FiniteSet(0, 1)}, {z: LINE}, mu=LINE, m=LINE),
        True,
        True,
    ),
    "probit": (
        one(
            ((1 + erf(mu + m * z)) / 2) ** y * ((1 - erf(mu + m * z)) / 2) ** (1 - y),
            {y: FiniteSet(0, 1)},
            {z: LINE},
            mu=LINE,
            m=LINE,
        ),
        False,
        False,
    ),
    "laplace": (one(exp(-Abs(x - mu) / s) / (2 * s), LINE, mu=LINE, s=HALF), False, False),
}

NOT_PROVED: dict[str, Case] = {
    "cauchy": one(1 / (pi * (1 + (x - mu) ** 2)), LINE, mu=LINE),
    "student t": one((1 + (x - mu) ** 2 / (4 * s**2)) ** Rational(-5, 2) / s, LINE, mu=LINE, s=HALF),
    "birnbaum-saunders": one(
        (sqrt(x / b) + sqrt(b / x)) / (2 * a * x) * exp(-((sqrt(x / b) - sqrt(b / x)) ** 2) / (2 * a**2)),
        HALF,
        a=HALF,
        b=HALF,
    ),
    "generalised gamma": one(
        r / a**k * x ** (k - 1) * exp(-((x / a) ** r)) / gamma(k / r), HALF, a=HALF, k=HALF, r=HALF
    ),
    "exponential power": one(k / (2 * s * gamma(1 / k)) * exp(-((Abs(x) / s) ** k)), LINE, k=HALF, s=HALF),
    "negative binomial": one(
        gamma(x + r) / (gamma(r) * factorial(x)) * p**r * (1 - p) ** x, COUNTS, r=HALF, p=UNIT
    ),
    "normal mixture": one(
        p * exp(-((x - mu) ** 2) / 2) / sqrt(2 * pi) + (1 - p) * exp(-((x - m) ** 2) / 2) / sqrt(2 * pi),
        LINE,
        p=UNIT,
        mu=LINE,
        m=LINE,
    ),
    "lognormal, shifted": one(
        exp(-((log(x - m) - mu) ** 2) / (2 * sigma**2)) / ((x - m) * sigma),
        Interval.open(m, oo),
        mu=LINE,
        m=LINE,
        sigma=HALF,
    ),
    "chen": one(a * b * x ** (b - 1) * exp(x**b) * exp(a * (1 - exp(x**b))), HALF, a=HALF, b=HALF),
}


@pytest.mark.parametrize("name", PROVED)
def test_a_concave_model_is_proved_and_the_certificate_checks_itself(name: str) -> None:
    case, strict, conditional = PROVED[name]
    found = proved(case)
    assert isinstance(found, ConcaveByComposition), found
    assert (found.kind, found.scope) == (Kind.GLOBAL_MAXIMUM, Scope.EVERY_SAMPLE)
    assert found.strict is strict
    assert bool(found.conditions) is conditional
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    holds, text = again.check()
    assert holds, text


@pytest.mark.parametrize("name", NOT_PROVED)
def test_a_model_that_is_not_concave_is_refused_with_a_reason(name: str) -> None:
    found = proved(NOT_PROVED[name])
    assert isinstance(found, str) and found


def test_the_same_call_gives_the_same_certificate() -> None:
    case = PROVED["weibull"][0]
    assert proved(case) == proved(case) == proved(case)


def test_names_and_order_do_not_matter() -> None:
    gain, slope = Symbol("gain"), Symbol("u_1")
    density = gain / slope * (x / slope) ** (gain - 1) * exp(-((x / slope) ** gain))
    found = prove_concavity([(density, {x: HALF}, {})], {slope: HALF, gain: HALF}, {}, 20.0)
    assert isinstance(found, ConcaveByComposition), found
    assert found.check()[0]


def test_two_samples_share_parameters() -> None:
    second = (normal.xreplace({x: y, mu: m}), {y: LINE}, {})
    found = prove_concavity([(normal, {x: LINE}, {}), second], {mu: LINE, m: LINE, sigma: HALF}, {}, 20.0)
    assert isinstance(found, ConcaveByComposition) and found.strict and not found.conditions


def test_a_constant_without_a_value_and_one_with() -> None:
    density = exp(-((x - mu) ** 4) / s**4)
    for constants in ({s: None}, {s: Integer(2)}):
        found = prove_concavity([(density, {x: LINE}, {})], {mu: LINE}, constants, 20.0)
        assert isinstance(found, ConcaveByComposition), found


def test_constraints_must_be_affine_in_the_coordinates() -> None:
    cells = Piecewise((a, Eq(x, 1)), (b, Eq(x, 2)), (s, True))
    sample = [(cells, {x: FiniteSet(1, 2, 3)}, {})]
    domains = {a: UNIT, b: UNIT, s: UNIT}
    affine = prove_concavity(sample, domains, {}, 20.0, [a + b + s - 1])
    assert isinstance(affine, ConcaveByComposition) and affine.check()[0]
    assert isinstance(prove_concavity(sample, domains, {}, 20.0, [a**2 + b * s - 1]), str)


def test_a_certificate_in_wrong_coordinates_fails_its_check() -> None:
    found = proved(PROVED["normal"][0])
    assert isinstance(found, ConcaveByComposition)
    u1, u2 = (u for u, _ in found.coordinates)
    forged = replace(found, coordinates=((u1, sigma), (u2, mu)), inverse=((sigma, u1), (mu, u2)))
    assert not forged.check()[0]
    unmatched = replace(found, inverse=((sigma, u1), (mu, u2)))
    assert not unmatched.check()[0]


def test_the_rules_alone_do_not_prove_the_normal_in_its_own_parameters() -> None:
    problem = ConcavityProblem.of([(normal, {x: LINE}, {})], {mu: LINE, sigma: HALF}, {})
    assert isinstance(problem, ConcavityProblem)
    mean, scale = problem.parameters
    identity = Coordinates((mean, scale), (mean, scale), ((mean, mean), (scale, scale)))
    assert isinstance(problem.prove(identity, math.inf), str)


def test_the_deadline_is_kept() -> None:
    assert isinstance(proved(NOT_PROVED["generalised gamma"], seconds=0.0), str)


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


def test_a_support_that_moves_with_a_parameter_gives_a_convex_set_of_coordinates() -> None:
    shifted = exp(-(x - mu) / s) / s
    found = prove_concavity([(shifted, {x: Interval(mu, oo)}, {})], {mu: LINE, s: HALF}, {}, 20.0)
    assert isinstance(found, ConcaveByComposition) and found.check()[0]
    # the set of u with x in the support, sin(u) > x, is not convex
    from sympy import sin

    odd = prove_concavity([(exp(S.Zero * x), {x: Interval(-2, sin(mu))}, {})], {mu: LINE}, {}, 20.0)
    assert isinstance(odd, str)
