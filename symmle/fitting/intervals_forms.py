"""Rewriting an expression into an equal one whose enclosure is tighter."""

from __future__ import annotations

import sympy as sp

from symmle.sample import Mean, Total, totals_as_means


def condensed(e: sp.Expr) -> sp.Expr:
    """Logarithms of powers and products opened, powers of powers joined, factors pulled out of means.

    Only where the parts are positive for certain, or where the expression is real for positive parts alone.
    """
    return _condensed(totals_as_means(e), {})


def _condensed(e: sp.Basic, known: dict[sp.Basic, sp.Basic]) -> sp.Basic:
    found = known.get(e)
    if found is None:
        found = e
        if e.args and not isinstance(e, sp.Tuple):
            arguments = [_condensed(a, known) for a in e.args]
            if any(a is not b for a, b in zip(arguments, e.args, strict=True)):
                found = e.func(*arguments)
        if isinstance(found, sp.log):
            found = _opened(found.args[0])
        elif isinstance(found, sp.Pow):
            found = _joined(found)
        elif isinstance(found, Mean | Total):
            found = _spread(found)
        known[e] = found
    return found


def _is_odd(exponent: sp.Expr, base: sp.Expr) -> bool:
    """base**exponent is positive only where base is."""
    if base.is_positive:
        return True
    if exponent.is_Rational:
        return exponent.p % 2 == 1
    return False


def _opened(inside: sp.Expr) -> sp.Expr:
    if isinstance(inside, sp.exp):
        return inside.args[0]
    if isinstance(inside, sp.Pow) and _is_odd(inside.exp, inside.base):
        return inside.exp * _opened(inside.base)
    if isinstance(inside, sp.Mul):
        positive = [f for f in inside.args if f.is_positive]
        rest = sp.Mul(*(f for f in inside.args if not f.is_positive))
        if positive and (rest is sp.S.One or not rest.could_extract_minus_sign()):
            opened = sp.Add(*(_opened(f) for f in positive))
            return opened if rest is sp.S.One else opened + _opened_alone(rest)
    return _opened_alone(inside)


def _opened_alone(inside: sp.Expr) -> sp.Expr:
    if isinstance(inside, sp.Pow) and _is_odd(inside.exp, inside.base):
        return inside.exp * _opened(inside.base)
    return sp.log(inside)


def _joined(power: sp.Pow) -> sp.Expr:
    base, exponent = power.base, power.exp
    if isinstance(base, sp.Pow) and base.base.is_positive:
        return base.base ** (base.exp * exponent)
    if isinstance(base, sp.exp):
        return sp.exp(base.args[0] * exponent)
    if isinstance(base, sp.Mul):
        positive = [f for f in base.args if f.is_positive]
        if positive:
            rest = sp.Mul(*(f for f in base.args if not f.is_positive))
            return sp.Mul(
                *(
                    _joined(sp.Pow(f, exponent))
                    if isinstance(sp.Pow(f, exponent), sp.Pow)
                    else sp.Pow(f, exponent)
                    for f in positive
                )
            ) * (rest**exponent)
    return power


def _spread(mean: Mean) -> sp.Expr:
    summand = mean.summand
    if isinstance(summand, sp.Mul) and any(isinstance(f, sp.Add) for f in summand.args):
        terms = sp.Add.make_args(sp.expand_mul(summand))
        if len(terms) <= 6:
            return sp.Add(*(mean.func(t, mean.args[-1]) for t in terms))
    if isinstance(summand, sp.Add):
        return sp.Add(*(mean.func(t, mean.args[-1]) for t in summand.args))
    return mean
