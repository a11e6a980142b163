"""The log of a density, opened for curvature: exponents merged into one exp, powers of sums kept whole.

Unlike the normal form nothing is expanded that would lose its sign: (x u - v)**2 stays a square,
1 - exp(-t) stays a difference.
"""

from __future__ import annotations

from collections.abc import Mapping

from sympy import (
    Abs,
    Add,
    Dummy,
    Expr,
    I,
    Mul,
    Pow,
    S,
    Sum,
    Symbol,
    cosh,
    exp,
    expand_mul,
    factor,
    fraction,
    log,
    together,
)
from sympy import functions as sf
from sympy.functions.elementary.hyperbolic import HyperbolicFunction
from sympy.polys.polyerrors import PolynomialError

from symmle.certify.ranges import Bounds, sign_on_support
from symmle.logarithm import may_be_even

Known = Mapping[Symbol | Expr, Bounds]


def _sign(e: Expr, known: Known) -> int | None:
    return sign_on_support(e, known, strict=True)


def open_log(e: Expr, known: Known, unknowns: frozenset[Symbol]) -> Expr:
    """log(e), a sum over the factors of e; a factor of unknown sign stays inside one log.

    `e` is positive wherever it is meant (a density on its support), so that one factor of unknown
    sign beside positive ones is positive.
    """
    return Add(*(_log_factors(e, known, unknowns)))


def _log_factors(e: Expr, known: Known, unknowns: frozenset[Symbol]) -> list[Expr]:
    if not e.free_symbols & unknowns:
        return [log(-e) if _sign(e, known) == -1 else log(e) if _sign(e, known) == 1 else log(Abs(e))]
    if isinstance(e, Mul):
        opened: list[Expr] = []
        unsigned: list[Expr] = []
        negative = False
        for part in e.args:
            sign = _sign(part, known)
            if sign is None and isinstance(part, Pow) and may_be_even(part.exp):
                sign = 1  # zero on a null set at most: the density is positive there
            if sign is None:
                unsigned.append(part)
            elif sign < 0:
                negative = not negative
                opened += _log_of_negative(part, known, unknowns)
            else:
                opened += _log_factors(part, known, unknowns)
        if unsigned:
            rest = Mul(S.NegativeOne if negative else S.One, *unsigned)
            if rest == e:
                return [log(e)]
            opened += _log_factors(rest, known, unknowns)
        return opened
    if isinstance(e, exp):
        return [tidy(e.exp, known, unknowns)]
    if isinstance(e, Pow):
        return _log_of_power(e, known, unknowns)
    if isinstance(e, sf.gamma):
        return [sf.loggamma(e.args[0])]
    if isinstance(e, sf.factorial):
        return [sf.loggamma(e.args[0] + 1)]
    if isinstance(e, sf.beta):
        a, b = e.args[:2]
        return [sf.loggamma(a), sf.loggamma(b), -sf.loggamma(a + b)]
    if isinstance(e, sf.binomial):
        n, k = e.args
        return [sf.loggamma(n + 1), -sf.loggamma(k + 1), -sf.loggamma(n - k + 1)]
    if isinstance(e, Add):
        factored = factor_sum(e, known, unknowns)
        if factored != e:
            return _log_factors(factored, known, unknowns)
    return [log(e)]


def _log_of_negative(e: Expr, known: Known, unknowns: frozenset[Symbol]) -> list[Expr]:
    """The log of -e for a negative e that is no product."""
    if e.is_number:
        return [log(-e)]
    if isinstance(e, Add):
        return _log_factors(-e, known, unknowns)
    if isinstance(e, Pow) and e.exp.is_Integer:  # an odd power
        return [e.exp * part for part in _log_of_negative(e.base, known, unknowns)]
    return [log(-e)]


def _log_of_power(e: Pow, known: Known, unknowns: frozenset[Symbol]) -> list[Expr]:
    base, exponent = e.base, e.exp
    sign = _sign(base, known)
    if sign is None and may_be_even(exponent):
        return [exponent * log(Abs(base))]
    if sign == -1:
        if not may_be_even(exponent):
            # an odd power of a negative base, negative itself: the caller flips it
            return [log(e)]
        base = -base
    return [expand_mul(exponent * part) for part in _log_factors(base, known, unknowns)]


def factor_sum(e: Expr, known: Known, unknowns: frozenset[Symbol]) -> Expr:
    """A sum as a product where it is one: over a common denominator, functions taken as symbols."""
    names: dict[Expr, Dummy] = {}

    def hide(part: Expr) -> Expr:
        if isinstance(part, (Add, Mul)):
            return part.func(*(hide(a) for a in part.args))
        if isinstance(part, Pow) and part.exp.is_Integer:
            return Pow(hide(part.base), part.exp)
        if part.is_Rational or isinstance(part, Symbol):
            return part
        return names.setdefault(part, Dummy())

    hidden = hide(e)
    if not hidden.free_symbols:
        return e
    try:
        numerator, denominator = fraction(together(hidden))
        factored = factor(numerator)
    except PolynomialError:
        return e
    if not isinstance(factored, Add):  # else a sum of squares would only be multiplied out
        numerator = factored
    if isinstance(numerator, Add) and denominator is S.One:
        return e
    back = {dummy: part for part, dummy in names.items()}
    return (numerator / denominator).xreplace(back)


def tidy(e: Expr, known: Known, unknowns: frozenset[Symbol]) -> Expr:
    """An exponent or summand: sums multiplied out, powers with unknown exponents as one exp."""
    if not e.free_symbols & unknowns or isinstance(e, Symbol):
        return e
    if isinstance(e, Add):
        return Add(*(tidy(a, known, unknowns) for a in e.args))
    if isinstance(e, log):
        return open_log(tidy(e.args[0], known, unknowns), known, unknowns)
    if isinstance(e, exp):
        return exp(tidy(e.exp, known, unknowns))
    if isinstance(e, Pow):
        return _tidy_power(e, known, unknowns)
    if isinstance(e, Mul):
        return _tidy_product(e, known, unknowns)
    if isinstance(e, Abs):
        inner = tidy(e.args[0], known, unknowns)
        return Abs(factor_sum(inner, known, unknowns) if isinstance(inner, Add) else inner)
    if isinstance(e, HyperbolicFunction):
        return tidy(e.rewrite(cosh).rewrite(exp), known, unknowns)
    if isinstance(e, Sum):
        return e.func(tidy(e.function, known, unknowns), *e.limits)
    if e.args and all(isinstance(a, Expr) for a in e.args):
        return e.func(*(tidy(a, known, unknowns) for a in e.args))
    return e


def _tidy_power(e: Pow, known: Known, unknowns: frozenset[Symbol]) -> Expr:
    exponent = tidy(e.exp, known, unknowns)
    base = tidy(e.base, known, unknowns)
    if exponent.free_symbols & unknowns:
        if _sign(base, known) == 1 or base.is_nonnegative:
            return exp(tidy(expand_mul(exponent * open_log(base, known, unknowns)), known, unknowns))
        return Pow(base, exponent)
    if isinstance(base, exp):
        return exp(expand_mul(base.exp * exponent))
    if isinstance(base, Add):
        base = factor_sum(base, known, unknowns)
    if isinstance(base, Mul):
        return _spread(base, exponent, known)
    return Pow(base, exponent)


def _spread(base: Mul, exponent: Expr, known: Known) -> Expr:
    """A power of a product as a product of powers: factors of unknown sign stay together."""
    factors: list[Expr] = []
    together_still: list[Expr] = []
    for f in base.args:
        if isinstance(f, exp):
            factors.append(exp(expand_mul(f.exp * exponent)))
        elif exponent.is_integer or _sign(f, known) == 1:
            factors.append(Pow(f, exponent))
        else:
            together_still.append(f)
    return Mul(*factors, Pow(Mul(*together_still), exponent))


def _tidy_product(e: Mul, known: Known, unknowns: frozenset[Symbol]) -> Expr:
    plain: list[Expr] = []
    exponents: list[Expr] = []
    for part in e.args:
        part = tidy(part, known, unknowns)
        for piece in Mul.make_args(part):
            if isinstance(piece, exp):
                exponents.append(piece.exp)
            else:
                plain.append(piece)
    product = Mul(*plain)
    if exponents:
        product = Mul(product, exp(expand_mul(Add(*exponents))))
    return _distribute(product)


def _distribute(product: Expr) -> Expr:
    """Sums of power one multiplied out, other powers left whole."""
    for part in Mul.make_args(product):
        if isinstance(part, Add):
            rest = product / part
            return Add(*(_distribute(_merged(a * rest)) for a in part.args))
    return product


def _merged(product: Expr) -> Expr:
    """Exponentials of a product as one."""
    exponents = [a.exp for a in Mul.make_args(product) if isinstance(a, exp)]
    if len(exponents) < 2:
        return product
    plain = [a for a in Mul.make_args(product) if not isinstance(a, exp)]
    return Mul(*plain, exp(expand_mul(Add(*exponents))))


def is_complex(e: Expr) -> bool:
    """Whether an imaginary unit crept in (a log or power opened where it must not)."""
    return bool(e.has(I, S.ComplexInfinity, S.NaN))
