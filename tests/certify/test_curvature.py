"""Concavity by composition: the models it proves, those it must not, and their checks."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import mpmath
import pytest
from sympy import (
    Abs,
    Eq,
    Expr,
    FiniteSet,
    Gt,
    Interval,
    Piecewise,
    Range,
    Rational,
    Sum,
    Symbol,
    beta,
    binomial,
    cos,
    erf,
    exp,
    factorial,
    gamma,
    log,
    oo,
    pi,
    sech,
    sqrt,
    symbols,
)

from symmle.certify.cells import named
from symmle.certify.coordinates import Coordinates, candidate_functions, solved, systems
from symmle.certify.curvature import ConcaveByComposition, prove_concavity
from symmle.certify.problem import ConcavityProblem
from symmle.certify.ranges import range_of
from symmle.certify.sampling import DIGITS, ConcaveOnNumbers
from symmle.estimator import Kind, Scope
from symmle.sample import Mean

x, y, z, w, t, v, mu, m = symbols("x y z w t v mu m", real=True)
a, b, k, s, sigma, lam, theta, alpha, r = symbols("a b k s sigma lam theta alpha r", positive=True)
p = Symbol("p", positive=True)
j = Symbol("j", integer=True, nonnegative=True)

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
    "raised cosine": (
        one((1 + cos(pi * (x - mu) / s)) / (2 * s), Interval(mu - s, mu + s), mu=LINE, s=HALF),
        True,
        False,
    ),
    "hyperbolic": (one(exp(-sqrt(1 + ((x - mu) / s) ** 2)) / s, LINE, mu=LINE, s=HALF), False, False),
    "generalised poisson": (
        one(
            theta * (theta + p * x) ** (x - 1) * exp(-theta - p * x) / factorial(x),
            COUNTS,
            theta=HALF,
            p=UNIT,
        ),
        True,
        True,
    ),
    "conway-maxwell-poisson": (
        one(
            lam**x / factorial(x) ** a / Sum(lam**j / factorial(j) ** a, (j, 0, oo)),
            COUNTS,
            lam=HALF,
            a=Interval.open(0, oo),
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


@pytest.mark.parametrize("name", ["normal", "gamma", "birnbaum-saunders", "student t", "chen"])
def test_the_rules_prove_nothing_that_numbers_refute(name: str) -> None:
    case = PROVED[name][0] if name in PROVED else NOT_PROVED[name]
    problem = ConcavityProblem.of(case[0], parameters_of(case), {})
    assert isinstance(problem, ConcavityProblem)
    rows = problem.rows()
    assert not isinstance(rows, str)
    functions = candidate_functions([row.log_density for row in rows], problem.known, problem.parameters)
    refuted = 0
    with mpmath.workdps(DIGITS):
        points = problem.measured(3, math.inf)
        assert points is not None
        numbers = ConcaveOnNumbers(points, problem.parameters)
        for choice in systems(functions, problem.parameters):
            symbols_of_choice = symbols(f"u1:{len(choice) + 1}")
            named_ones = [
                named(u, range_of(f, problem.known)) for u, f in zip(symbols_of_choice, choice, strict=True)
            ]
            system = solved(choice, problem.parameters, problem.known, named_ones)
            if system is None or numbers.accepts(choice):
                continue
            assert isinstance(problem.prove(system, math.inf), str), choice
            refuted += 1
            if refuted == 5:
                break
    assert refuted


def test_a_regression_is_strict_where_the_covariate_varies() -> None:
    found = proved(PROVED["regression"][0])
    assert isinstance(found, ConcaveByComposition)
    (condition,) = found.conditions
    assert condition.reading == "not all equal"
    assert condition.expression == Gt(Mean(z**2, (y, z)) - Mean(z, (y, z)) ** 2, 0)


def test_the_deadline_is_kept() -> None:
    assert isinstance(proved(NOT_PROVED["generalised gamma"], seconds=0.0), str)
