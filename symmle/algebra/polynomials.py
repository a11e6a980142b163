"""Roots of polynomials to degree three, and of those that are such in a power of the unknown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

from sympy import (
    Abs,
    Add,
    Dummy,
    Expr,
    Poly,
    Pow,
    Rational,
    Symbol,
    acos,
    cancel,
    cos,
    expand,
    pi,
    powsimp,
    sign,
    sqrt,
    together,
)

from symmle.algebra.budget import GaveUp, attempt_within
from symmle.algebra.facts import Facts


@dataclass(frozen=True)
class Roots:
    """Every root that the rule can produce, and the rule's name."""

    roots: tuple[Expr, ...]
    method: str


# what a rule is given to solve what it has reduced an equation to: (equation, unknown, facts, depth)
Solver = Callable[[Expr, Symbol, Facts, int], "Roots | GaveUp"]


def polynomial(e: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver) -> Roots | GaveUp:
    p = e.as_poly(v)
    if p is None or any(c.has(v) for c in p.all_coeffs()):
        return GaveUp("")
    coefficients = p.all_coeffs()
    degree = p.degree()
    if degree == 1:
        return Roots((tidy_quotient(-coefficients[1] / coefficients[0]),), "linear")
    if degree == 2:
        return Roots(_quadratic(*coefficients), "quadratic")
    powers = [m for (m,) in p.monoms() if m]
    step = gcd(*powers)
    if min(m for (m,) in p.monoms()) == 0 and step > 1:
        w = Dummy("w", real=True)
        inner = solve(_compress(p, step, w), w, facts, depth + 1)
        if isinstance(inner, GaveUp):
            return inner
        return Roots(
            tuple(r for q in inner.roots for r in roots_of_power(q, step, v, facts)),
            f"power and {inner.method}",
        )
    if degree == 3:
        return Roots(_cubic(coefficients, facts), "cubic")
    return GaveUp(f"polynomial of degree {degree}")


def _compress(p: Poly, step: int, w: Symbol) -> Expr:
    return Add(*(c * w ** (m // step) for (m,), c in p.terms()))


def tidy_quotient(e: Expr) -> Expr:
    answer = attempt_within(2.0, lambda: cancel(together(e)))
    if isinstance(answer, GaveUp) or answer.count_ops() > e.count_ops():
        return e
    return answer


def _quadratic(a: Expr, b: Expr, c: Expr) -> tuple[Expr, ...]:
    half = b / 2
    even = attempt_within(2.0, lambda: expand(half**2 - a * c))
    d = half**2 - a * c if isinstance(even, GaveUp) else even
    factored = attempt_within(2.0, lambda: d.factor())
    root = sqrt(d if isinstance(factored, GaveUp) else factored)
    return tuple(_quotient_of_sum(-half + s * root, a) for s in (1, -1))


def _quotient_of_sum(numerator: Expr, denominator: Expr) -> Expr:
    return powsimp(numerator / denominator)


def roots_of_power(value: Expr, k: int, v: Symbol, facts: Facts) -> list[Expr]:
    if k % 2 == 0:
        r = Pow(value, Rational(1, k))
        return [r] if v.is_positive else ([-r] if v.is_negative else [r, -r])
    s = facts.decide_sign(value)
    if s == 1 or v.is_positive:
        return [Pow(value, Rational(1, k))]
    if s == -1 or v.is_negative:
        return [-Pow(-value, Rational(1, k))]
    return [sign(value) * Pow(Abs(value), Rational(1, k))]


def _cubic(coefficients: list[Expr], facts: Facts) -> tuple[Expr, ...]:
    """Cardano in real radicals where only one root is real, else the trigonometric three.

    v = t - b/(3a): t**3 + p t + q = 0. For p > 0, and where q**2/4 + p**3/27 > 0, exactly one real root.
    """
    a, b, c, d = coefficients
    shift = tidy_quotient(-b / (3 * a))
    p = tidy_quotient((3 * a * c - b**2) / (3 * a**2))
    q = tidy_quotient((2 * b**3 - 9 * a * b * c + 27 * a**2 * d) / (27 * a**3))
    disc = tidy_quotient(q**2 / 4 + p**3 / 27)
    sign_p, sign_disc = facts.decide_sign(p), facts.decide_sign(disc)
    third = Rational(1, 3)
    if sign_p == 1:
        big = sqrt(disc)
        return (shift + Pow(big - q / 2, third) - Pow(big + q / 2, third),)
    sign_q = facts.decide_sign(q)
    if sign_disc == 1 and sign_q in (1, -1):
        # the larger of the two cube roots first, so that nothing cancels
        u = -sign_q * Pow(sign_q * q / 2 + sqrt(disc), third)
        return (shift + u - p / (3 * u),)
    radius = 2 * sqrt(-p / 3)
    angle = acos(3 * q / (p * radius)) / 3
    trigonometric = tuple(shift + radius * cos(angle - 2 * pi * k / 3) for k in range(3))
    one_real = sign(-q) * Pow(Abs(q) / 2 + sqrt(disc), third)
    return (*trigonometric, shift + one_real - p / (3 * one_real)) if sign_disc is None else trigonometric
