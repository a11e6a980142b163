"""Roots by Lambert's W in both real branches, and by amplitude and phase."""

from __future__ import annotations

from collections.abc import Callable

from sympy import (
    Dummy,
    Expr,
    LambertW,
    Pow,
    S,
    Symbol,
    atan2,
    cancel,
    cos,
    exp,
    expand,
    fraction,
    log,
    sin,
    together,
)

from symmle.algebra.budget import GaveUp, attempt_within
from symmle.algebra.facts import Facts
from symmle.algebra.polynomials import Roots, Solver, tidy_quotient


def lambert(e: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver) -> Roots | GaveUp:
    """(a0 + a1 y) + (b0 + b1 y) exp(y) = 0 in y = v, log g(v) or an exponent; both real branches.

    alpha + beta y + gamma exp(k y) = 0 has y = -alpha/beta - W(k gamma/beta exp(-k alpha/beta))/k.
    """
    for y_of_v, v_of_y in _lambert_variables(e, v):
        y = Dummy("y", real=True)
        big = Dummy("E", positive=True)
        substituted = attempt_within(2.0, _in_exponentials, e, v, y_of_v, v_of_y, y, big)
        if isinstance(substituted, GaveUp) or substituted is None or substituted.has(v):
            continue
        answer = _lambert_roots(substituted, y, big)
        if answer is None:
            continue
        found = []
        for root in answer:
            value = v_of_y(root)
            found.append(value)
        return Roots(tuple(found), "Lambert W")
    return GaveUp("")


def _lambert_variables(e: Expr, v: Symbol) -> list[tuple[Expr, Callable[[Expr], Expr]]]:
    found: list[tuple[Expr, Callable[[Expr], Expr]]] = []
    for n in e.atoms(exp, log, Pow):
        if not n.has(v):
            continue
        if isinstance(n, exp) or (isinstance(n, Pow) and n.exp.has(v) and not n.base.has(v)):
            exponent = n.args[0] if isinstance(n, exp) else n.exp * log(n.base)
            p = exponent.as_poly(v)
            if p is not None and p.degree() == 1:
                slope, intercept = p.all_coeffs()
                found.append((exponent, _line_back(slope, intercept)))
        elif isinstance(n, log):
            p = n.args[0].as_poly(v)
            if p is not None and p.degree() == 1:
                slope, intercept = p.all_coeffs()
                found.append((n, _exponential_back(slope, intercept)))
    return sorted(found, key=lambda pair: (pair[0].count_ops(), pair[0].sort_key()))


def _line_back(slope: Expr, intercept: Expr) -> Callable[[Expr], Expr]:
    return lambda y: (y - intercept) / slope


def _exponential_back(slope: Expr, intercept: Expr) -> Callable[[Expr], Expr]:
    return lambda y: (exp(y) - intercept) / slope


def _in_exponentials(
    e: Expr, v: Symbol, y_of_v: Expr, v_of_y: Callable[[Expr], Expr], y: Symbol, big: Symbol
) -> Expr | None:
    renamed = e.xreplace({y_of_v: y}) if isinstance(y_of_v, log) else e
    renamed = renamed.subs(v, v_of_y(y))
    renamed = expand(renamed.replace(exp, lambda a: exp(expand(a)).expand(power_exp=True)), log=False)
    renamed = renamed.replace(
        lambda n: isinstance(n, exp) and n.args[0].has(y),
        lambda n: Pow(big, cancel(n.args[0] / y)) if not cancel(n.args[0] / y).has(y) else n,
    )
    numerator = fraction(together(renamed))[0]
    return expand(numerator)


def _lambert_roots(e: Expr, y: Symbol, big: Symbol) -> list[Expr] | None:
    p = e.as_poly(y, big)
    if p is None or p.has(exp(y)):
        return None
    lowest = min(m[1] for m in p.monoms())
    terms = {(i, j - lowest): c for (i, j), c in p.terms()}
    if set(terms) <= {(0, 0), (1, 0), (0, 1)} and (0, 1) in terms and (1, 0) in terms:
        alpha, beta, g, k = terms.get((0, 0), S.Zero), terms[1, 0], terms[0, 1], S.One
    elif set(terms) <= {(0, 0), (0, 1), (1, 1)} and (0, 0) in terms and (1, 1) in terms:
        alpha, beta, g, k = terms.get((0, 1), S.Zero), terms[1, 1], terms[0, 0], S.NegativeOne
    else:
        return None
    inside = tidy_quotient(k * g / beta) * exp(tidy_quotient(-k * alpha / beta))
    return [tidy_quotient(-alpha / beta) - LambertW(inside, branch) / k for branch in (0, -1)]


def amplitude_phase(e: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver) -> Roots | GaveUp:
    """A sin v + B cos v = 0: the direction (B, -A) and its opposite."""
    waves = [n for n in e.atoms(sin, cos) if n.has(v)]
    if not waves or any(n.args[0] != v for n in waves):
        return GaveUp("")
    s, c = Dummy(), Dummy()
    renamed = expand(e.xreplace({sin(v): s, cos(v): c}))
    a, b = renamed.coeff(s), renamed.coeff(c)
    if renamed.has(v) or expand(renamed - a * s - b * c) != 0 or any(t.has(s, c) for t in (a, b)):
        return GaveUp("")
    return Roots((atan2(-b, a), atan2(b, -a)), "amplitude and phase")
