"""Signs: tables of what is decided and what must not be, and the property that a claimed sign holds."""

from __future__ import annotations

import random

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import (
    Dummy,
    Expr,
    Float,
    Integer,
    LambertW,
    Rational,
    S,
    Symbol,
    atan2,
    besseli,
    exp,
    lambdify,
    log,
    oo,
    sqrt,
    symbols,
)

from symmle.algebra import Bounds, Facts

W, V, g, h = symbols("W V g h", positive=True)
p = Symbol("p", positive=True)
s = Symbol("s", nonnegative=True)
m = Symbol("m", integer=True, nonnegative=True)
r, y, z = symbols("r y z", real=True)
C = Symbol("C", positive=True)
u = Dummy("u", positive=True)

BOUNDS = {
    p: Bounds(S.Zero, S.One, True, True),
    s: Bounds(S.Zero, S.One),
    m: Bounds(S.Zero, oo, False, True),
    W: Bounds(S.Zero, oo, True, True),
}
# Mean(x**2) = V stands for W**2 + g; x in (mu, oo) stands for mu + u
FACTS = Facts(BOUNDS, {V: W**2 + g, z: r + u}, positive=(1 - y**2,))


@pytest.mark.parametrize(
    ("expression", "sign"),
    [
        (W, 1),
        (-W / (1 + W), -1),
        (1 - p, 1),
        (p - 1, -1),
        (p * (1 - p), 1),
        (p - p**2 + Rational(1, 100), 1),
        (log(p), -1),
        (-p * log(p) - (1 - p) * log(1 - p), 1),
        (1 - (1 - p) ** 3, 1),
        (V - W**2, 1),
        (V / W - W, 1),
        (W - sqrt(V), -1),
        (sqrt(V) - W, 1),
        (sqrt(W**2 + 6 * W + 1) + W - 1, 1),  # the positive root of Lindley's quadratic
        (-sqrt(W**2 + 6 * W + 1) + 1 - W, -1),
        (sqrt(W**2 + 1) - W, 1),
        (z - r, 1),
        (exp(-(z - r)) - 1, -1),
        (r**2 + 1, 1),
        (r**2 - 2 * r + 2, 1),
        (r**2 + r * W + W**2, 1),  # a quadratic with a negative discriminant
        (1 - y**2, 1),  # by declaration
        (2 * y**2 - 2, -1),
        (exp(r), 1),
        (besseli(0, W), 1),
        (1 / (1 + exp(r)), 1),
        (log(1 + W), 1),
        (log(W + 2) - log(W + 1), 1),
        (Integer(0), 0),
        (W - W, 0),
        (exp(-W) - 1, -1),
        (W**3 + g * W - g * W, 1),
        (1 + m, 1),
        (2 - s, 1),
        (1 + p * m, 1),
        (W + m * s, 1),
    ],
    ids=str,
)
def test_a_sign_that_is_decided(expression: Expr, sign: int) -> None:
    assert FACTS.decide_sign(expression) == sign


@pytest.mark.parametrize(
    "expression",
    [
        r,
        r**2,  # zero at r = 0
        (r - W) ** 2,
        s,  # may be zero
        1 - s,
        s * (1 - s),
        p * s,
        m,
        W * m,
        m - s,
        exp(m) - 1,
        W - 1,
        V - 2 * W**2,
        V - W,
        W - g,
        log(W),
        p - Rational(1, 2),
        p - s,
        sqrt(V) - 2 * W,
        sqrt(W**2 + 1) - 2 * W,
        r**2 - 2 * r + 1,
        r**2 + 3 * r * W + W**2,
        1 - y,  # 1 - y**2 > 0 says it, but no rule reads that
        y,
        z,
        exp(W) - 2,
        log(W + 1) - log(g + 1),
        atan2(W, g) - 1,
        LambertW(-p / 3) + Rational(1, 2),
        W**2 - 2 * W * g + g**2,
        Symbol("unknown"),
        1 / r,
    ],
    ids=str,
)
def test_a_sign_that_must_stay_open(expression: Expr) -> None:
    decided = FACTS.decide_sign(expression)
    if expression == 1 - y:
        assert decided in (None, 1)
    else:
        assert decided is None


def test_more_bounds_decide_more_and_the_old_facts_stay_as_they_were() -> None:
    t = Symbol("t", real=True)
    assert FACTS.decide_sign(t - W) is None
    larger = FACTS.with_bounds({t: Bounds(-oo, S.Zero, True, False)})
    assert larger.decide_sign(t - W) == -1
    assert FACTS.decide_sign(t - W) is None
    assert larger.decide_sign(V - W**2) == 1


def test_signs_do_not_depend_on_names_or_order() -> None:
    names = ["a", "W", "zz", "Q_1"]
    for first in names:
        for second in names:
            if first == second:
                continue
            m, n = symbols(f"{first} {second}", positive=True)
            facts = Facts({m: Bounds(S.Zero, oo, True, True)}, {n: m**2 + g})
            assert facts.decide_sign(sqrt(n + 6 * m + 1) - m + 1) == 1
            assert facts.decide_sign(n - m) is None


# --- a claimed sign holds -------------------------------------------------------------------------

LEAVES = [W, V, g, p, r, z, S.One, Rational(1, 2), Integer(3)]
expressions = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        st.builds(lambda e: -e, inner),
        st.builds(lambda e: e**2, inner),
        st.builds(lambda e: exp(e), inner),
        st.builds(lambda e: log(1 + e**2), inner),
        st.builds(lambda e: sqrt(1 + e**2), inner),
        st.builds(lambda e, f: e + f, inner, inner),
        st.builds(lambda e, f: e - f, inner, inner),
        st.builds(lambda e, f: e * f, inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(expressions, st.integers(0, 10**6))
def test_a_claimed_sign_holds_at_random_points(expression: Expr, seed: int) -> None:
    if expression.has(S.ComplexInfinity, S.NaN):
        return
    sign = FACTS.decide_sign(expression)
    if sign is None:
        return
    f = lambdify([W, V, g, p, r, z], expression, "mpmath")
    stream = random.Random(seed)
    with mpmath.workdps(60):
        for _ in range(12):
            mean, gap = mpmath.exp(stream.gauss(0, 1.2)), mpmath.exp(stream.gauss(-1, 1.5))
            edge = stream.gauss(0, 1.5)
            value = f(
                mean,
                mean**2 + gap,
                gap,
                mpmath.mpf(stream.random()),
                mpmath.mpf(edge),
                edge + mpmath.exp(stream.gauss(0, 1)),
            )
            assert mpmath.sign(value) == sign or (sign == 0 and abs(value) < 1e-40), (expression, sign, value)


def test_numbers_are_decided_exactly() -> None:
    tiny = exp(Integer(-200)) - exp(Integer(-201))
    assert FACTS.decide_sign(tiny) == 1
    assert FACTS.decide_sign(sqrt(2) * sqrt(3) - sqrt(6)) == 0
    assert FACTS.decide_sign(Float("-1e-300")) == -1
