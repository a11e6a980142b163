"""Concavity of what can be declared: several samples, constants, constraints, moving supports, any names."""

from __future__ import annotations

from sympy import (
    Eq,
    Expr,
    FiniteSet,
    Integer,
    Interval,
    Piecewise,
    S,
    Set,
    Symbol,
    exp,
    oo,
    pi,
    sin,
    sqrt,
    symbols,
)

from symmle.certify.curvature import ConcaveByComposition, prove_concavity

Sample = tuple[Expr, dict[Symbol, Set], dict[Symbol, Set]]

x, y, mu, m = symbols("x y mu m", real=True)
a, b, s, sigma, lam = symbols("a b s sigma lam", positive=True)
LINE = Interval(-oo, oo)
HALF = Interval.open(0, oo)
UNIT = Interval.open(0, 1)
normal = exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))


def test_names_and_order_do_not_matter() -> None:
    gain, slope = Symbol("gain"), Symbol("u_1")
    density = gain / slope * (x / slope) ** (gain - 1) * exp(-((x / slope) ** gain))
    found = prove_concavity([(density, {x: HALF}, {})], {slope: HALF, gain: HALF}, {}, 20.0)
    assert isinstance(found, ConcaveByComposition), found
    assert found.check()[0]


def test_two_samples_share_parameters() -> None:
    second: Sample = (normal.xreplace({x: y, mu: m}), {y: LINE}, {})
    found = prove_concavity([(normal, {x: LINE}, {}), second], {mu: LINE, m: LINE, sigma: HALF}, {}, 20.0)
    assert isinstance(found, ConcaveByComposition) and found.strict and not found.conditions


def test_a_constant_without_a_value_and_one_with() -> None:
    density = exp(-((x - mu) ** 4) / s**4)
    for constants in ({s: None}, {s: Integer(2)}):
        found = prove_concavity([(density, {x: LINE}, {})], {mu: LINE}, constants, 20.0)
        assert isinstance(found, ConcaveByComposition), found


def test_constraints_must_be_affine_in_the_coordinates() -> None:
    cells = Piecewise((a, Eq(x, 1)), (b, Eq(x, 2)), (s, True))
    sample: list[Sample] = [(cells, {x: FiniteSet(1, 2, 3)}, {})]
    domains = {a: UNIT, b: UNIT, s: UNIT}
    affine = prove_concavity(sample, domains, {}, 20.0, [a + b + s - 1])
    assert isinstance(affine, ConcaveByComposition) and affine.check()[0]
    assert isinstance(prove_concavity(sample, domains, {}, 20.0, [a**2 + b * s - 1]), str)


def test_a_column_of_two_samples_has_the_support_of_both() -> None:
    first: Sample = (lam * exp(-lam * x), {x: HALF}, {})
    second: Sample = (exp(-((x - lam) ** 2) / 2) / sqrt(2 * pi), {x: LINE}, {})
    found = prove_concavity([first, second], {lam: HALF}, {}, 20.0)
    assert isinstance(found, ConcaveByComposition) and found.check()[0]


def test_a_support_that_moves_with_a_parameter_gives_a_convex_set_of_coordinates() -> None:
    shifted = exp(-(x - mu) / s) / s
    found = prove_concavity([(shifted, {x: Interval(mu, oo)}, {})], {mu: LINE, s: HALF}, {}, 20.0)
    assert isinstance(found, ConcaveByComposition) and found.check()[0]
    # the set of u with x in the support, sin(u) > x, is not convex
    odd = prove_concavity([(exp(S.Zero * x), {x: Interval(-2, sin(mu))}, {})], {mu: LINE}, {}, 20.0)
    assert isinstance(odd, str)
