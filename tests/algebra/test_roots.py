"""Roots of one equation: a table of equations and their roots, by value; and equations that no rule solves."""

from __future__ import annotations

import mpmath
import pytest
from sympy import (
    Abs,
    Expr,
    Float,
    LambertW,
    S,
    Symbol,
    besseli,
    cos,
    digamma,
    exp,
    log,
    loggamma,
    oo,
    sin,
    sqrt,
    symbols,
)

from symmle.algebra import Bounds, Facts, GaveUp
from symmle.algebra.roots import Roots, solve_equation

W, V, c, d = symbols("W V c d", positive=True)
r, q = symbols("r q", real=True)
t = Symbol("t", positive=True)
v = Symbol("v", real=True)
p = Symbol("p", positive=True)

FACTS = Facts(
    {
        W: Bounds(S.Zero, oo, True, True),
        V: Bounds(S.Zero, oo, True, True),
        t: Bounds(S.Zero, oo, True, True),
        p: Bounds(S.Zero, S.One, True, True),
    }
)


def real_values(roots: Roots, at: dict) -> list[float]:
    found = []
    for root in roots.roots:
        value = complex(root.xreplace(at).evalf(25))
        if abs(value.imag) < 1e-18 * max(1.0, abs(value.real)):
            found.append(value.real)
    return sorted({round(value, 12) for value in found})


# equation, unknown, numbers for the other symbols, the domain in which roots are compared, the roots there
TABLE: list[tuple[Expr, Symbol, dict, tuple[float, float], list[float]]] = [
    (1 / t - W, t, {W: 4}, (0, 1e9), [0.25]),
    (c / t - W / t**2, t, {c: 2, W: 3}, (0, 1e9), [1.5]),  # t = 0 is a root of nothing here
    (-1 / t + W / t**3, t, {W: 9}, (0, 1e9), [3.0]),
    (W / p - (1 - W) / (1 - p), p, {W: Float("0.3", 30)}, (0, 1), [0.3]),
    (t**2 + (W - 1) * t / W - 2 / W, t, {W: 2}, (0, 1e9), [(-1 + sqrt(17)) / 4]),  # Lindley
    (v**2 - r * v - 1, v, {r: 1.5}, (-1e9, 1e9), [-0.5, 2.0]),
    (v**4 - 5 * v**2 + 4, v, {}, (-1e9, 1e9), [-2.0, -1.0, 1.0, 2.0]),
    (t**4 - 5 * t**2 + 4, t, {}, (0, 1e9), [1.0, 2.0]),
    (t**3 + W * t - V, t, {W: 1, V: 10}, (0, 1e9), [2.0]),  # one real root
    (v**3 - 7 * v + c, v, {c: 6}, (-1e9, 1e9), [-3.0, 1.0, 2.0]),  # three, trigonometric
    (v**3 - r, v, {r: -8}, (-1e9, 1e9), [-2.0]),
    (t ** (2 * c) - W, t, {c: 1.5, W: 8}, (0, 1e9), [2.0]),
    (t**c * W - V, t, {c: 3, W: 2, V: 16}, (0, 1e9), [2.0]),
    (exp(-2 * v) - W, v, {W: 0.25}, (-1e9, 1e9), [0.693147180560]),
    (exp(-4 * t) - 3 * exp(-2 * t) + 2 * W, t, {W: 0.25}, (0, 1e9), [0.865451640968]),
    (log(1 - p) + W, p, {W: 0.5}, (0, 1), [0.393469340287]),
    (2 * log(t) - log(W) + c, t, {W: 4, c: 1}, (0, 1e9), [1.213061319425]),
    (r * sin(v) + q * cos(v), v, {r: 3, q: -4}, (-3.2, 3.2), [-2.214297435588, 0.927295218002]),
    (t * (t - 2) * (1 - exp(-t)), t, {}, (0, 1e9), [2.0]),
    ((t - 1) / (t - 1) ** 2 + 1 / W, t, {W: -3}, (0, 1e9), [4.0]),
    ((t**2 - 1) / (t - 1), t, {}, (0, 1e9), []),  # t = 1 is a removed singularity, t = -1 outside
    (1 / t + W, t, {W: 1}, (0, 1e9), []),  # the root -1/W is outside, not lost
]


@pytest.mark.parametrize(
    ("equation", "unknown", "at", "domain", "expected"), TABLE, ids=lambda e: str(e)[:40]
)
def test_roots_by_value(
    equation: Expr, unknown: Symbol, at: dict, domain: tuple[float, float], expected: list[float]
) -> None:
    answer = solve_equation(equation, unknown, FACTS)
    assert isinstance(answer, Roots), answer
    assert not any(root.has(unknown) for root in answer.roots)
    assert len(answer.roots) == len(set(answer.roots))
    found = [value for value in real_values(answer, at) if domain[0] < value < domain[1]]
    assert found == pytest.approx([float(e) for e in expected], abs=1e-9)


# name: equation in the unknown, its range, values of W for which the root inside is checked
LAMBERT = {
    "zero-truncated Poisson": (W * (1 - exp(-t)) - t, t, (1e-12, 700.0), (1.0001, 1.3, 2.5, 40.0)),
    "logarithmic series": (-W * (1 - p) * log(1 - p) - p, p, (1e-12, 1 - 1e-15), (1.0001, 1.7, 4.0, 30.0)),
    "truncation in the exponent": (exp(-v) - 1 + W * v, v, (1e-12, 700.0), (0.02, 0.5, 0.9)),
    "v exp(v)": (v * exp(v) - W, v, (0.0, 700.0), (0.1, 1.0, 50.0)),
    "v exp(-v), beyond its peak": (v * exp(-v) - W / 10, v, (1.0, 700.0), (0.1, 1.0, 3.0)),
    "v exp(-v), before its peak": (v * exp(-v) - W / 10, v, (0.0, 1.0), (0.1, 1.0, 3.0)),
    "log": (log(t) + t - W, t, (1e-12, 700.0), (0.1, 1.0, 20.0)),
}


@pytest.mark.parametrize("name", LAMBERT)
def test_lambert_by_both_branches(name: str) -> None:
    equation, unknown, (low, high), values = LAMBERT[name]
    answer = solve_equation(equation, unknown, FACTS)
    assert isinstance(answer, Roots), answer
    branches = {
        w.args[1] if len(w.args) > 1 else S.Zero for root in answer.roots for w in root.atoms(LambertW)
    }
    assert branches == {S.Zero, S.NegativeOne}
    f = equation.subs(W, 1 * W)
    for number in values:
        with mpmath.workdps(30):

            def g(s: object, number: float = number) -> mpmath.mpf:
                return mpmath.mpf(
                    str(f.xreplace({W: Float(str(number), 30), unknown: Float(str(s), 30)}).evalf(30))
                )

            # bisection inside the range, with nothing of the rules
            a, b = mpmath.mpf(low), mpmath.mpf(high)
            sign = mpmath.sign(g(a))
            assert sign != mpmath.sign(g(b))
            for _ in range(90):
                middle = (a + b) / 2
                a, b = (middle, b) if mpmath.sign(g(middle)) == sign else (a, middle)
        inside = [value for value in real_values(answer, {W: Float(str(number), 30)}) if low < value < high]
        assert any(abs(value - float(a)) < 1e-9 * max(1.0, abs(float(a))) for value in inside)


NOT_SOLVED = [
    (digamma(t) - log(t) + W, t),
    (loggamma(t) - W, t),
    (besseli(1, t) / besseli(0, t) - W, t),
    (Abs(v - r) - W, v),
    (v + sin(v) - r, v),
    (t + log(t) + exp(t) - W, t),
    (v**5 - v - r, v),
    (t**t - W - t**c, t),
    (W - V, t),  # the unknown does not occur
    (1 / t, t),  # vanishes nowhere
]


@pytest.mark.parametrize(("equation", "unknown"), NOT_SOLVED, ids=lambda e: str(e))
def test_what_no_rule_solves_is_given_up_with_a_reason(equation: Expr, unknown: Symbol) -> None:
    answer = solve_equation(equation, unknown, FACTS)
    assert isinstance(answer, GaveUp), answer
    assert answer.reason


def test_roots_do_not_depend_on_the_name_of_the_unknown() -> None:
    lengths = set()
    for name in ("t", "a", "zeta", "x_0", "theta"):
        s = Symbol(name, positive=True)
        answer = solve_equation((s**2 + (W - 1) * s / W - 2 / W), s, FACTS)
        assert isinstance(answer, Roots)
        lengths.add((len(answer.roots), answer.method, str(real_values(answer, {W: 2}))))
    assert len(lengths) == 1
