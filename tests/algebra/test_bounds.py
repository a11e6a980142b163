"""Ranges: tables of exact ends, and the property that no value ever lies outside."""

from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import (
    Abs,
    Expr,
    FiniteSet,
    Interval,
    Piecewise,
    Range,
    Rational,
    S,
    Set,
    Symbol,
    atan,
    besseli,
    cos,
    erf,
    erfc,
    exp,
    factorial,
    gamma,
    lambdify,
    log,
    oo,
    sin,
    symbols,
    tanh,
)

from symmle.algebra import Bounds, RangeFinder, bounds_of_set

a, b, u, w = symbols("a b u w", positive=True)
r, q = symbols("r q", real=True)
k = Symbol("k", integer=True, nonnegative=True)

POSITIVE = Bounds(S.Zero, oo, True, True)
REAL = Bounds(-oo, oo, True, True)
UNIT = Bounds(S.Zero, S.One, True, True)
CLOSED_UNIT = Bounds(S.Zero, S.One)
ABOVE_TWO = Bounds(S(2), oo, False, True)
COUNTS = Bounds(S.Zero, oo, False, True)
BOUNDS = {a: POSITIVE, b: ABOVE_TWO, u: UNIT, w: CLOSED_UNIT, r: REAL, q: Bounds(S(-3), S(2)), k: COUNTS}


@pytest.mark.parametrize(
    ("expression", "lo", "hi", "lo_open", "hi_open"),
    [
        (a, 0, oo, True, True),
        (-a, -oo, 0, True, True),
        (1 - u, 0, 1, True, True),
        (1 - w, 0, 1, False, False),
        (1 / b, 0, Rational(1, 2), True, False),
        (b - 1, 1, oo, False, True),
        (exp(-a), 0, 1, True, True),
        (1 - exp(-a), 0, 1, True, True),
        (log(u), -oo, 0, True, True),
        (log(b), log(2), oo, False, True),
        (log(1 - u), -oo, 0, True, True),
        (u**2, 0, 1, True, True),
        (b**2, 4, oo, False, True),
        (b**-3, 0, Rational(1, 8), True, False),
        (q**2, 0, 9, False, False),
        (q**3, -27, 8, False, False),
        (Abs(q), 0, 3, False, False),
        (Abs(q - 5), 3, 8, False, False),
        (r**2, 0, oo, False, True),
        (exp(r), 0, oo, True, True),
        (u**a, 0, 1, True, True),
        (b**a, 1, oo, True, True),
        (log(1 + u) - u, log(2) - 1, 0, True, True),  # monotone; its terms alone say (-1, log 2)
        (u / (1 + u), 0, 1, True, True),
        (tanh(r), -1, 1, True, True),
        (2 * atan(a), 0, S.Pi, True, True),
        (erf(a), 0, 1, True, True),
        (erfc(r), 0, 2, True, True),
        (gamma(a), 0, oo, True, True),
        (factorial(k), 0, oo, True, True),
        (besseli(0, a), 0, oo, True, True),
        (sin(r), -1, 1, False, False),
        (cos(q) + 2, 1, 3, False, False),
        (Piecewise((u, r > 0), (3, True)), 0, 3, True, False),
        (a + b, 2, oo, True, True),
        (u * w, 0, 1, False, True),
        (u - w, -1, 1, True, True),
    ],
    ids=str,
)
def test_range(expression: Expr, lo: Expr, hi: Expr, lo_open: bool, hi_open: bool) -> None:
    found = RangeFinder(BOUNDS).range_of(expression)
    assert found == Bounds(S(lo), S(hi), lo_open, hi_open)


@pytest.mark.parametrize(
    "expression",
    [
        log(r),  # not real for negative r
        log(q),
        r**a,
        1 / r,  # undefined at 0
        1 / q,
        1 / (w - w**2 - Rational(1, 4)),
        gamma(r),
        factorial(r),
        besseli(0, q),
    ],
    ids=str,
)
def test_what_may_be_undefined_has_no_range(expression: Expr) -> None:
    assert RangeFinder(BOUNDS).range_of(expression) is None


@pytest.mark.parametrize(
    ("bounds", "sign"),
    [
        (POSITIVE, 1),
        (Bounds(S.Zero, oo, False, True), None),
        (Bounds(-oo, S.Zero, True, True), -1),
        (Bounds(S(-1), S.Zero), None),
        (Bounds(S.Zero, S.Zero), 0),
        (Bounds(S(2), S(3)), 1),
        (REAL, None),
    ],
    ids=str,
)
def test_sign_is_strict(bounds: Bounds, sign: int | None) -> None:
    assert bounds.sign == sign


theta = Symbol("theta", positive=True)


@pytest.mark.parametrize(
    ("domain", "values", "expected"),
    [
        (Interval(0, 1), {}, CLOSED_UNIT),
        (Interval.open(0, oo), {}, POSITIVE),
        (S.Reals, {}, REAL),
        (Range(0, oo), {}, COUNTS),
        (Range(2, 7), {}, Bounds(S(2), S(6))),
        (S.Naturals0, {}, COUNTS),
        (S.Naturals, {}, Bounds(S.One, oo, False, True)),
        (FiniteSet(3, -1, 2), {}, Bounds(S(-1), S(3))),
        (Interval(0, theta), {theta: S(4)}, Bounds(S.Zero, S(4))),
        (Interval(0, theta), {}, Bounds(S.Zero, oo, False, True)),  # the hull over every theta
        (Range(0, theta + 1), {theta: S(4)}, Bounds(S.Zero, S(4))),
    ],
    ids=str,
)
def test_bounds_of_a_set(domain: Set, values: dict, expected: Bounds) -> None:
    assert bounds_of_set(domain, values) == expected


# --- a range encloses -----------------------------------------------------------------------------

LEAVES = [a, b, u, w, r, q, S(2), Rational(-1, 3), S.One]
UNARY: list[Callable[[Expr], Expr]] = [
    lambda e: -e,
    lambda e: e**2,
    lambda e: e**3,
    lambda e: 1 / e,
    exp,
    log,
    Abs,
    tanh,
    atan,
    cos,
    lambda e: exp(-e),
    lambda e: log(1 + e),
    lambda e: 1 - exp(-e),
]
BINARY: list[Callable[[Expr, Expr], Expr]] = [
    lambda e, f: e + f,
    lambda e, f: e - f,
    lambda e, f: e * f,
    lambda e, f: e / f,
    lambda e, f: e**f,
]
expressions = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(lambda g, e: g(e), st.sampled_from(UNARY), inner),
        st.builds(lambda g, e, f: g(e, f), st.sampled_from(BINARY), inner, inner),
    ),
    max_leaves=5,
)


def draw(bounds: Bounds, s: float) -> float:
    """A member of a range from a number in (0, 1)."""
    lo, hi = float(bounds.lo), float(bounds.hi)
    if math.isfinite(lo) and math.isfinite(hi):
        return lo + (hi - lo) * s
    step = math.exp(6 * s - 3)
    if math.isfinite(lo):
        return lo + step
    return hi - step if math.isfinite(hi) else 8 * s - 4


@settings(max_examples=120, deadline=None, derandomize=True)
@given(expressions, st.lists(st.floats(0.01, 0.99), min_size=12, max_size=12))
def test_no_value_lies_outside_its_range(expression: Expr, numbers: list[float]) -> None:
    if expression.has(S.ComplexInfinity, S.NaN, S.ImaginaryUnit, oo, -oo):
        return
    found = RangeFinder(BOUNDS).range_of(expression)
    if found is None:
        return
    symbols_of = [a, b, u, w, r, q]
    f = lambdify(symbols_of, expression, "mpmath")
    with mpmath.workdps(40):
        for shift in range(6):
            point = [mpmath.mpf(draw(BOUNDS[s], numbers[(i + shift) % 12])) for i, s in enumerate(symbols_of)]
            value = mpmath.mpmathify(f(*point))
            assert abs(mpmath.im(value)) == 0, (expression, point, value)
            lo, hi = (
                mpmath.inf if e == oo else -mpmath.inf if e == -oo else mpmath.mpf(str(e.evalf(30)))
                for e in (found.lo, found.hi)
            )
            slack = mpmath.mpf(10) ** -20 * (1 + abs(value))
            assert lo - slack <= value <= hi + slack, (expression, point, value, found)
            if found.sign:
                # far out in a tail the digits run out, the sign does not turn
                assert value * found.sign > -slack * mpmath.mpf(10) ** -10
