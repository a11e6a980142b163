"""Exponential polynomials, sums of c t^j e^(k t): read, written, and their limits at 0 and oo."""

from __future__ import annotations

from functools import reduce
from math import gcd, lcm
from typing import Any

from sympy import Dummy, Expr, Integer, Poly, Rational, S, Symbol, exp, expand_mul, fraction, log, together
from sympy.polys.polyerrors import PolynomialError

from symmle.certify.ranges import INF

Terms = dict[tuple[int, Rational], Expr]  # (power of t, rate) -> coefficient


def split_exponentials(e: Expr, t: Symbol) -> tuple[Expr, Dummy, Rational] | None:
    """e as a rational function of t and y = exp(g t), with y and the rate g; None where it is none."""
    rates: set[Rational] = set()
    parts: dict[Expr, tuple[Expr, Rational]] = {}
    for atom in e.atoms(exp):
        if not atom.has(t):
            continue
        exponent = expand_mul(atom.exp)
        rate = exponent.coeff(t, 1)
        rest = exponent - rate * t
        if not rate.is_Rational or expand_mul(rest).has(t):
            return None
        parts[atom] = (rest, rate)
        rates.add(rate)
    y = Dummy("y", positive=True)
    if not rates:
        return e, y, S.One
    scale = lcm(*(int(r.q) for r in rates))
    g = Rational(reduce(gcd, (int(r * scale) for r in rates)), scale)
    replaced = e.xreplace({a: exp(rest) * y ** Integer(rate / g) for a, (rest, rate) in parts.items()})
    return replaced, y, g


def terms_of(numerator: Expr, t: Symbol, y: Symbol, g: Rational) -> Terms | None:
    try:
        poly = Poly(numerator, t, y)
    except PolynomialError:
        return None
    found: Terms = {}
    for (j, k), c in poly.terms():
        if c.has(t, y):
            return None
        found[(j, k * g)] = found.get((j, k * g), S.Zero) + c
    return found


def written(terms: Terms) -> str:
    """The exponential polynomial in t, for people."""
    t = Symbol("t")
    return str(sum((c * t**j * exp(k * t) for (j, k), c in terms.items()), S.Zero))


def mirrored(terms: Terms) -> Terms:
    return {(j, -k): (c if j % 2 == 0 else -c) for (j, k), c in terms.items()}


def negated(terms: Terms) -> Terms:
    return {key: -c for key, c in terms.items()}


def limit_of_sum(
    logarithm: Expr, quotient: Expr, t: Symbol, y: Symbol, g: Rational, end: float
) -> Expr | None:
    """The limit of log(R) + Q at 0+ or oo, R and Q rational in t and y = exp(g t)."""
    inside = _limit(logarithm.args[0], t, y, g, end)
    outside = _limit(quotient, t, y, g, end)
    if inside is None or outside is None or not outside.is_finite or inside.is_negative:
        return None
    if inside is S.Infinity:
        return S.Infinity
    return log(inside) + outside if inside != 0 else S.NegativeInfinity


def _limit(e: Expr, t: Symbol, y: Symbol, g: Rational, end: float) -> Expr | None:
    numerator, denominator = fraction(together(e))
    above, below = terms_of(numerator, t, y, g), terms_of(denominator, t, y, g)
    if not above or not below or any(c.free_symbols for c in (*above.values(), *below.values())):
        return S.Zero if above == {} and below else None
    leading = _leading_at_infinity if end == INF else _leading_at_zero
    order: Any
    other: Any
    (order, value), (other, over) = leading(above), leading(below)
    if value is None or over is None:
        return None
    if order == other:
        return value / over
    vanishes = order < other if end == INF else order > other
    if vanishes:
        return S.Zero
    return S.Infinity if (value / over).is_positive else S.NegativeInfinity


def _leading_at_infinity(terms: Terms) -> tuple[tuple[Rational, int], Expr | None]:
    (j, k), c = max(terms.items(), key=lambda item: (item[0][1], item[0][0]))
    return (k, j), c


def _leading_at_zero(terms: Terms) -> tuple[int, Expr | None]:
    for n in range(12):  # the coefficient of t**n
        total = S.Zero
        for (j, k), c in terms.items():
            if n >= j:
                total += c * k ** (n - j) / Integer(factorial(n - j)) if n > j else c
        if total != 0:
            return n, total
    return 0, None


def factorial(n: int) -> int:
    return reduce(lambda a, b: a * b, range(2, n + 1), 1)
