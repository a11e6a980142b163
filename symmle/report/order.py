"""Textbook order: the terms of a sum and the factors of a product as an editor would set them.

Nothing is computed here: a sum comes back as its terms, a product as what stands above, below and
after the fraction bar; both are the same expression when they are read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sympy import (
    Add,
    Expr,
    Function,
    Integer,
    Mul,
    Piecewise,
    Pow,
    S,
    Symbol,
    besseli,
    besselk,
    beta,
    binomial,
    erf,
    exp,
    factorial,
    gamma,
    log,
    loggamma,
    sign,
    sin,
    sinh,
    tan,
    tanh,
)
from sympy.core.numbers import NumberSymbol

from symmle.report.constants import is_negative_term, join_number_logs, joined_roots, square_roots
from symmle.sample import Count, LinearStatistic, Mean, SampleOperator, Total

_ODD = (sin, tan, sinh, tanh, erf, sign)
_SOLID = (gamma, beta, besseli, besselk, factorial, binomial)  # stand in a fraction as symbols do


def has_statistics(expression: Expr) -> bool:
    return any(not isinstance(s, Count) for s in expression.atoms(SampleOperator))


def _is_log_like(term: Expr) -> bool:
    return any(
        isinstance(f, log | loggamma) or (isinstance(f, LinearStatistic) and isinstance(f.summand, log))
        for f in Mul.make_args(term)
    )


def _has_roots(term: Expr) -> bool:
    """Radicals stand last: x-bar + sqrt(...)."""
    return any(not p.exp.is_Integer and has_statistics(p.base) for p in term.atoms(Pow) if p.exp.is_number)


def is_factorial(argument: Expr) -> bool:
    """Whether Gamma(argument) is x! of a whole number x."""
    less = argument - 1
    return bool(isinstance(less, Symbol) and less.is_integer and less.is_nonnegative)


def _level(term: Expr) -> int:
    """The number that the indicators of a term are about: n_1 stands before n_2."""
    numbers = [int(n) for p in term.atoms(Piecewise) for n in p.args[0].args[1].atoms(Integer)]
    default = any(p.args[0].args[0] == 0 for p in term.atoms(Piecewise))
    return max(numbers, default=0) + 100 * default


def turned(expression: Expr, data: Iterable[Symbol] = ()) -> Expr:
    """The expression or its negative, whichever begins with a positive term of the data: x - mu."""
    if not isinstance(expression, Add) or all(is_negative_term(t) for t in expression.args):
        return -expression if is_negative_term(expression) or isinstance(expression, Add) else expression
    data = set(data)
    about = [t for t in expression.args if _rank(t, data) == 2]
    others = [t for t in expression.args if _rank(t, data) < 2]
    if about and others and all(is_negative_term(t) for t in about):
        return Add(*(-t for t in expression.args))
    return expression


def _rank(term: Expr, data: Iterable[Symbol]) -> int:
    """0 numbers (times n), 1 parameters alone, 2 the data."""
    if has_statistics(term) or term.free_symbols & set(data):
        return 2
    return 1 if term.free_symbols else 0


def _is_linear(term: Expr) -> bool:
    return (
        all(f.is_number or isinstance(f, Symbol | Count) for f in Mul.make_args(term)) and not term.is_number
    )


def _spread(term: Expr) -> list[Expr]:
    """n (a + b) within a sum -> n a + n b."""
    coefficient, factors = term.as_coeff_mul()
    sums = [f for f in factors if isinstance(f, Add)]
    if len(sums) != 1 or not all(isinstance(f, Count | Add) for f in factors) or len(factors) != 2:
        return [term]
    others = Mul(coefficient, *(f for f in factors if not isinstance(f, Add)))
    return [others * t for t in sums[0].args]


def _gathered(terms: list[Expr]) -> list[Expr]:
    """n_1 a + n_2 a -> (n_1 + n_2) a."""
    counts: dict[Expr, list[Expr]] = {}
    places: dict[Expr, int] = {}
    kept: list[tuple[int, Expr]] = []
    for place, term in enumerate(terms):
        factors = Mul.make_args(term)
        sizes = [f for f in factors if isinstance(f, Count)]
        rest = Mul(*(f for f in factors if not isinstance(f, Count)))
        if len(sizes) == 1 and not rest.is_Rational:
            counts.setdefault(rest, []).append(sizes[0])
            places.setdefault(rest, place)
        else:
            kept.append((place, term))
    for rest, sizes in counts.items():
        together = (
            sizes[0] * rest if len(sizes) == 1 else Mul(*Mul.make_args(rest), Add(*sizes), evaluate=False)
        )
        kept.append((places[rest], together))
    return [term for _, term in sorted(kept, key=lambda pair: pair[0])]


def ordered_terms(expression: Add, data: Iterable[Symbol] = ()) -> list[Expr]:
    """The terms of a sum in textbook order.

    A sum that holds logarithms reads as a log-likelihood does: numbers, parameters, data. Any other
    begins with its positive terms; a number stands last beside linear terms (alpha - 1), first else
    (1 - p, 1 + x**2).
    """
    data = set(data)
    terms = _gathered(join_number_logs([t for term in expression.as_ordered_terms() for t in _spread(term)]))
    ranked = any(_is_log_like(t) and _rank(t, data) < 2 for t in terms) and (
        len(terms) > 2 or any(_rank(t, data) < 2 and not is_negative_term(t) for t in terms)
    )
    some_positive = not all(is_negative_term(t) for t in terms)
    others_linear = all(_is_linear(t) for t in terms if not t.is_Rational)

    def key(term: Expr) -> tuple[int, ...]:
        negative = is_negative_term(term)
        if term.is_Rational and negative and (some_positive or others_linear):
            return (9, 0, 0)
        if ranked:
            return (_rank(term, data), int(negative), 0, 0, _level(term))
        number_last = term.is_Rational and others_linear
        return (int(negative), int(number_last), _rank(term, data), int(_has_roots(term)), _level(term))

    return sorted(terms, key=key)


@dataclass(frozen=True)
class Shape:
    """A product: sign * leading * (above / below) * after."""

    negative: bool
    leading: tuple[Expr, ...]
    above: tuple[Expr, ...]
    below: tuple[Expr, ...]
    after: tuple[Expr, ...]


def falls(power: Expr) -> bool:
    """Whether an exponent is negative as it is written: -1, -k, -alpha - 1."""
    return all(is_negative_term(t) for t in Add.make_args(power))


def _even_base(factor: Expr) -> Expr | None:
    """The sum that is squared."""
    return (
        factor.base
        if isinstance(factor, Pow) and factor.exp.is_even and isinstance(factor.base, Add)
        else None
    )


def _less_number(factor: Expr) -> bool:
    """An odd power of p - 1."""
    base, power = factor.as_base_exp()
    if not (isinstance(base, Add) and power.is_odd):
        return False
    positive = [t for t in base.args if not is_negative_term(t)]
    negative = [t for t in base.args if is_negative_term(t)]
    return bool(positive and negative) and all(t.is_Rational for t in negative)


def _is_level(factor: Expr) -> bool:
    """The number of rows where a condition holds: printed as one sign."""
    return isinstance(factor, Total) and isinstance(factor.summand, Piecewise)


def merge_counts(factors: list[Expr], is_plain_mean: object) -> list[Expr]:
    """Means that are printed as sums, written as totals: n Mean(g) -> Total(g), Mean(g) -> n**-1 Total(g)."""
    exponents: dict[Expr, Expr] = {}
    changed: list[Expr] = []
    for f in factors:
        base, power = f.as_base_exp()
        if isinstance(base, Mean) and power.is_Integer and not is_plain_mean(base):  # type: ignore[operator]
            count = Count(base.args[-1])
            exponents[count] = exponents.get(count, S.Zero) - power
            changed.append(Total(base.summand, base.args[-1]) ** power)
        elif isinstance(base, Count) and power.is_Integer:
            exponents[base] = exponents.get(base, S.Zero) + power
        else:
            changed.append(f)
    return [count**e for count, e in exponents.items() if e != 0] + changed


def product_shape(factors: list[Expr], data: Iterable[Symbol] = (), is_plain_mean: object = None) -> Shape:
    """What stands above, below and after the fraction bar of a product."""
    data = set(data)
    if is_plain_mean is not None:
        factors = merge_counts(factors, is_plain_mean)
    exponents = [f.args[0] for f in factors if isinstance(f, exp)]
    if len(exponents) > 1:  # exp(a) exp(b) -> exp(a + b)
        factors = [*(f for f in factors if not isinstance(f, exp)), exp(Add(*exponents), evaluate=False)]
    joined, factors = joined_roots(factors)
    rational, leading, above, below, rest = square_roots(factors)
    leading = joined + leading
    negative = bool(rational.is_negative)
    rest = [f if _even_base(f) is None else Pow(turned(f.base, data), f.exp, evaluate=False) for f in rest]
    for place, f in enumerate(rest):
        if isinstance(f, _ODD) and isinstance(f.args[0], Add) and turned(f.args[0], data) != f.args[0]:
            rest[place] = f.func(turned(f.args[0], data), evaluate=False)
            negative = not negative
        elif negative and isinstance(f, Add) and turned(f, data) != f:
            rest[place], negative = turned(f, data), False
        elif negative and _less_number(f):  # -n/(p - 1) -> n/(1 - p)
            base, power = f.as_base_exp()
            rest[place], negative = Pow(Add(*(-t for t in base.args)), power, evaluate=False), False
            if power == 1:
                rest[place] = rest[place].base
    rational = abs(rational)
    after: list[Expr] = []
    for f in rest:
        base, power = f.as_base_exp() if not isinstance(f, exp) else (f, S.One)
        if falls(power):
            below.append(Pow(base, -power, evaluate=False) if power != -1 else base)
        elif (
            isinstance(base, Function | LinearStatistic)
            and not isinstance(base, _SOLID)
            and not _is_level(base)
        ) or (base.free_symbols & data and not power.is_number):
            after.append(f)
        else:
            above.append(f)
    above, below = _joined_powers(above), _joined_powers(below)
    if rational.p != 1:
        above.insert(0, Integer(rational.p))
    if rational.q != 1:
        below.insert(0, Integer(rational.q))
    above, after = _placed(above, below, after, data)
    return Shape(
        negative,
        tuple(leading),
        *(_sorted(part, data) for part in (above, below, after)),
    )


def _joined_powers(factors: list[Expr]) -> list[Expr]:
    """lambda lambda**k -> lambda**(k + 1)."""
    exponents: dict[Expr, Expr] = {}
    for f in factors:
        base, power = f.as_base_exp() if not isinstance(f, exp) else (f, S.One)
        exponents[base] = exponents.get(base, S.Zero) + power
    if len(exponents) == len(factors):
        return factors
    return [base if power == 1 else Pow(base, power, evaluate=False) for base, power in exponents.items()]


def _placed(
    above: list[Expr], below: list[Expr], after: list[Expr], data: set[Symbol]
) -> tuple[list[Expr], list[Expr]]:
    """A ratio of sums, and a lone function over a short denominator, stand in the fraction."""
    if not below:
        return above + after, []
    if any(isinstance(b, Total) or b.has(Total, Mean) for b in below) or any(
        b.free_symbols & data and not isinstance(b, Symbol) for b in below
    ):
        return above + after, []
    if any(isinstance(b.as_base_exp()[0], Add) and b.has(exp) and not isinstance(b, exp) for b in below):
        above = above + [f for f in after if isinstance(f, exp)]
        after = [f for f in after if not isinstance(f, exp)]
    lone = not above and len(after) == 1 and not isinstance(after[0], LinearStatistic | exp)
    if lone and not all(b.is_number for b in below):
        return after, []
    counts = [f for f in after if isinstance(f, Mean)]  # x-bar stands in the numerator
    return above + counts, [f for f in after if not isinstance(f, Mean)]


def _sorted(factors: list[Expr], data: set[Symbol]) -> tuple[Expr, ...]:
    sums = any(isinstance(f, Total) and not _is_level(f) for f in factors)
    return tuple(sorted(factors, key=lambda f: _place(f, data, sums)))


def _place(factor: Expr, data: set[Symbol], beside_sums: bool) -> tuple[int, int, str]:
    """Numbers, n, symbols and powers, roots of numbers, statistics, brackets, functions, sums."""
    base = factor.as_base_exp()[0] if not isinstance(factor, exp) else factor
    if factor.is_Rational:
        order = 0
    elif (
        isinstance(base, Count)
        or (isinstance(base, Add) and all(isinstance(a, Count) for a in base.args))
        or isinstance(factor, NumberSymbol)
        or _is_level(base)
    ):
        order = 1
    elif isinstance(base, Symbol):
        order = 3
    elif base.is_number and not isinstance(base, Function):
        order = 4 if isinstance(factor, Pow) and factor.exp.is_Rational else 2
    elif isinstance(factor, binomial):
        order = 2
    elif isinstance(base, Total):
        order = 9
    elif isinstance(base, SampleOperator):
        order = 5
    elif isinstance(base, Add):
        order = 6
    elif isinstance(base, log | loggamma):
        order = 10 if beside_sums else 8  # not log p sum x, which reads as log(p sum x)
    elif isinstance(base, exp):
        order = 8
    else:
        order = 7
    return order, int(bool(base.free_symbols & data)), str(factor)
