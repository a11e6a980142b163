"""Roots of one equation in one unknown, in closed form, each by a rule that has a name.

A rule answers with every root it can have (real or not: the domain is somebody else's business) or
with a reason. No rule returns an expression that holds the unknown. SymPy's `solve` is not asked: on what
no rule reaches it costs seconds, loses roots or keeps spurious ones.
"""

from __future__ import annotations

import random

from sympy import (
    Abs,
    CRootOf,
    Derivative,
    Expr,
    Integral,
    Piecewise,
    Rational,
    Subs,
    Sum,
    Symbol,
    besseli,
    erf,
    erfc,
    expand,
    factor_list,
    fraction,
    gamma,
    loggamma,
    lowergamma,
    polygamma,
    sign,
    together,
    uppergamma,
    zeta,
)

from symmle.algebra.budget import GaveUp, attempt_within
from symmle.algebra.facts import Facts
from symmle.algebra.kernels import logarithms, one_kernel
from symmle.algebra.polynomials import Roots, polynomial
from symmle.algebra.transcendental import amplitude_phase, lambert
from symmle.sample import SampleOperator

MAX_ROOT_OPERATIONS = 400
_NOT_INVERTED = (
    polygamma,
    gamma,
    loggamma,
    besseli,
    Abs,
    sign,
    Piecewise,
    erf,
    erfc,
    uppergamma,
    lowergamma,
    zeta,
    SampleOperator,
    Sum,
    Integral,
    Derivative,
    Subs,
)


def solve_equation(e: Expr, v: Symbol, facts: Facts, depth: int = 0) -> Roots | GaveUp:
    """All roots of e = 0 in v, or GaveUp. Roots of cleared denominators are left out."""
    if not e.has(v):
        return GaveUp("the unknown does not occur")
    if any(v in n.free_symbols for n in e.atoms(*_NOT_INVERTED)):
        return GaveUp(f"{v} stands in a function that no rule inverts")
    cleared = attempt_within(2.0, _numerator, e)
    if isinstance(cleared, GaveUp):
        return cleared
    numerator, denominator = cleared
    found: list[Expr] = []
    methods: list[str] = []
    for factor in _factors_with(numerator, v, facts):
        answer = _solve_factor(factor, v, facts, depth)
        if isinstance(answer, GaveUp):
            return answer
        methods.append(answer.method)
        found.extend(r for r in answer.roots if r not in found)
    kept = [r for r in found if not r.has(v) and _is_closed(r) and not _vanishes(denominator, v, r)]
    return Roots(tuple(kept), " and ".join(dict.fromkeys(methods)) or "no factor vanishes")


def _numerator(e: Expr) -> tuple[Expr, Expr]:
    numerator, denominator = fraction(together(e))
    return expand(numerator, power_base=False, log=False), denominator


def _factors_with(e: Expr, v: Symbol, facts: Facts) -> list[Expr]:
    """Factors that hold v and may vanish."""
    answer = attempt_within(2.0, lambda: factor_list(e))
    if isinstance(answer, GaveUp):
        return [e]
    factors = [f for f, _ in answer[1] if f.has(v)]
    if not factors:
        return [e]
    return [f for f in factors if f.count_ops() > 80 or facts.decide_sign(f) is None]


def _vanishes(denominator: Expr, v: Symbol, root: Expr) -> bool:
    """Whether a cleared denominator is zero at the root, at every one of three random points."""
    if not denominator.has(v):
        return False
    stream = random.Random(19)
    for _ in range(3):
        at: dict[Expr, Expr] = {}
        for s in sorted(denominator.free_symbols | root.free_symbols, key=lambda s: s.sort_key()):
            draw = Rational(stream.randint(200, 4000), 1024)
            at[s] = -draw if s.is_negative else draw
        at.pop(v, None)
        value = attempt_within(
            2.0, lambda at=at: denominator.xreplace({v: root.xreplace(at).evalf(30)}).xreplace(at).evalf(20)
        )
        if isinstance(value, GaveUp) or not value.is_number or abs(value) > Rational(1, 10**12):
            return False
    return True


def _is_closed(e: Expr) -> bool:
    return (
        not e.has(CRootOf, Integral, Sum) and e.is_finite is not False and e.count_ops() < MAX_ROOT_OPERATIONS
    )


def _solve_factor(e: Expr, v: Symbol, facts: Facts, depth: int) -> Roots | GaveUp:
    if depth > 4:
        return GaveUp("nested too deep")
    reasons = []
    for rule in (polynomial, one_kernel, logarithms, lambert, amplitude_phase):
        answer = rule(e, v, facts, depth, solve_equation)
        if isinstance(answer, Roots):
            return answer
        reasons.append(answer.reason)
    return GaveUp("; ".join(r for r in reasons if r) or "no rule applies")
