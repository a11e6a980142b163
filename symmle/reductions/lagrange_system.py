"""The Lagrangian's equations as polynomials in parameters and multipliers, solved in closed form by elimination."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import QQ, Abs, Dummy, Expr, Poly, PolynomialError, Symbol, fraction, groebner, sqrt, together
from sympy.polys.polyerrors import CoercionFailed

from symmle.algebra import GaveUp, attempt_within

SECONDS = 3.0  # for each parameter that the elimination may leave
MOST_POINTS = 8
Solution = dict[Symbol, Expr]


def solutions_of(
    equations: Sequence[Expr], multipliers: Sequence[Symbol], parameters: Sequence[Symbol]
) -> list[Solution] | str:
    """All common zeros as expressions in the opaque statistics, or why they are not found.

    Denominators are cleared and saturated: a root of a denominator is none of the system.
    """
    unknowns = (*multipliers, *parameters)
    cleared = [fraction(together(e)) for e in equations]
    statistics = sorted(
        set().union(*(e.free_symbols for pair in cleared for e in pair)) - set(unknowns), key=str
    )
    reason = "no parameter is left alone in an equation of degree two"
    for last in parameters:
        order = (*multipliers, *(p for p in parameters if p != last), last)
        answer = attempt_within(SECONDS, _eliminated, cleared, order, statistics)
        if isinstance(answer, GaveUp):
            reason = answer.reason
        elif answer is not None:
            return answer
    return reason


def _eliminated(
    cleared: list[tuple[Expr, Expr]], order: tuple[Symbol, ...], statistics: list[Symbol]
) -> list[Solution] | None:
    field = QQ.frac_field(*statistics) if statistics else QQ
    inverse = Dummy("s")
    product = 1
    for _, denominator in cleared:
        product = product * denominator
    saturation = [1 - inverse * product] if getattr(product, "free_symbols", set()) & set(order) else []
    try:
        basis = groebner([n for n, _ in cleared] + saturation, inverse, *order, order="lex", domain=field)
    except (PolynomialError, CoercionFailed):
        return None
    polynomials = [p.as_expr() for p in basis.polys]
    solutions: list[Solution] = [{}]
    for place in range(len(order) - 1, -1, -1):
        unknown, later = order[place], set(order[place + 1 :])
        own = [
            Poly(p, unknown)
            for p in polynomials
            if p.has(unknown) and not p.free_symbols & ({inverse, *order} - later - {unknown})
        ]
        if not own:
            return None
        simplest = min(own, key=lambda p: p.degree())
        extended = []
        for known in solutions:
            roots = _roots(Poly(simplest.as_expr().xreplace(known), unknown), not known)
            if roots is None:
                return None
            extended += [{**known, unknown: root} for root in roots]
        solutions = extended
        if len(solutions) > MOST_POINTS:
            return None
    return solutions


def _roots(polynomial: Poly, is_first: bool) -> list[Expr] | None:
    """All roots by radicals of degree two, also in the square of the unknown."""
    factors = [f for f, _ in polynomial.factor_list()[1]] if is_first else [polynomial]
    found: list[Expr] = []
    for f in factors:
        coefficients = f.all_coeffs()
        if f.degree() == 1:
            found.append(-coefficients[1] / coefficients[0])
        elif f.degree() == 2:
            found += _quadratic(*coefficients)
        elif f.degree() == 4 and coefficients[1] == 0 and coefficients[3] == 0:
            for square in _quadratic(*coefficients[::2]):
                found += [_either_root(square), -_either_root(square)]
        else:
            return None
    return found


def _quadratic(a: Expr, b: Expr, c: Expr) -> list[Expr]:
    if b == 0:
        root = _either_root(-c / a)
        return [root, -root]
    root = _either_root(b**2 - 4 * a * c)
    return [(-b + root) / (2 * a), (-b - root) / (2 * a)]


def _either_root(e: Expr) -> Expr:
    """One of the two square roots: which is the same, as both are taken; so |s| is written s."""
    return sqrt(e.factor()).replace(Abs, lambda s: s)


__all__ = ["solutions_of"]
