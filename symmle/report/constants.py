"""Numbers as a textbook writes them: sqrt(2)/(2 sqrt(pi)) as 1/sqrt(2 pi), log 2 + log pi as log(2 pi)."""

from __future__ import annotations

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S, Symbol, log, pi

from symmle.sample import SampleOperator


def is_negative_term(term: Expr) -> bool:
    """Whether a minus sign is printed before this term."""
    if isinstance(term, Add):
        return False
    coefficient = term.as_coeff_Mul()[0]
    return bool(coefficient.is_number and coefficient.is_extended_negative)


def join_number_logs(terms: list[Expr]) -> list[Expr]:
    """c log 2 + c log pi -> c log(2 pi), and c log 2 - c log pi -> c log(2/pi)."""
    groups: dict[Expr, list[tuple[int, Expr]]] = {}
    first: dict[Expr, int] = {}
    kept: list[tuple[int, Expr]] = []
    for place, term in enumerate(terms):
        factors = list(Mul.make_args(term))
        logs = [f for f in factors if isinstance(f, log) and f.args[0].is_number]
        if len(logs) != 1:
            kept.append((place, term))
            continue
        factors.remove(logs[0])
        coefficient = Mul(*factors)
        sign = -1 if is_negative_term(coefficient) else 1
        groups.setdefault(sign * coefficient, []).append((sign, logs[0].args[0]))
        first.setdefault(sign * coefficient, place)
    for coefficient, members in groups.items():
        sign = 1 if members[0][0] > 0 or any(s > 0 for s, _ in members) else -1
        argument = Mul(*(a if s == sign else 1 / a for s, a in members))
        joined = Mul(sign * coefficient, log(argument, evaluate=False))
        kept.append((first[coefficient], joined))
    return [term for _, term in sorted(kept, key=lambda pair: pair[0])]


def joined_roots(factors: list[Expr]) -> tuple[list[Expr], list[Expr]]:
    """sqrt(lambda)/(sqrt(2) sqrt(pi) x**(3/2)) -> sqrt(lambda/(2 pi x**3)), and the other factors."""
    halves, rest, numbers = [], [], []
    for f in factors:
        root = isinstance(f, Pow) and f.exp.is_Rational and f.exp.q == 2
        if root and (isinstance(f.base, Symbol) or f.base.has(SampleOperator)):
            halves.append(f)
        elif root and (f.base.is_Integer or f.base is pi):
            numbers.append(f)
        else:
            rest.append(f)
    if not halves or len(halves) + len(numbers) < 2:
        return [], factors
    rational = Mul(*(f for f in rest if f.is_Rational))
    rest = [f for f in rest if not f.is_Rational]
    numeric = Mul(rational**2, *(f.base ** (2 * f.exp) for f in numbers))
    parts = [Pow(f.base, 2 * f.exp, evaluate=False) if 2 * f.exp != 1 else f.base for f in halves]
    square = Mul(*([] if numeric == 1 else Mul.make_args(numeric)), *parts, evaluate=False)
    return [Pow(square, S.Half, evaluate=False)], ([S.NegativeOne] if rational.is_negative else []) + rest


def square_roots(factors: list[Expr]) -> tuple[Expr, list[Expr], list[Expr], list[Expr], list[Expr]]:
    """Numbers of a product with their square roots in one: sqrt(2)/(2 sqrt(pi)) -> 1 / sqrt(2 pi)."""
    rational: Expr = S.One
    inside: Expr = S.One
    rest: list[Expr] = []
    for f in factors:
        if f.is_Rational:
            rational *= f
        elif (
            isinstance(f, Pow) and f.exp.is_Rational and f.exp.q == 2 and (f.base.is_Integer or f.base is pi)
        ):
            inside *= f.base ** (2 * f.exp)
        else:
            rest.append(f)
    if inside is S.One:
        return rational, [], [], [], rest
    whole, square = S.One, rational**2 * inside  # |rational| sqrt(inside) = sqrt(square)
    number, circle = square.as_independent(pi)
    above, below = [Integer(number.p)], [Integer(number.q)]
    power = circle.as_base_exp()[1] if circle is not S.One else 0
    (above if power > 0 else below).append(pi ** abs(power))
    sign = -1 if rational.is_negative else 1
    top, bottom = _extracted(Mul(*above)), _extracted(Mul(*below))
    whole = Rational(top[0] * sign, bottom[0])
    if top[1] is not S.One and bottom[1] is not S.One:
        leading = [Pow(Mul(top[1], 1 / bottom[1], evaluate=False), S.Half, evaluate=False)]
        return whole, leading, [], [], rest
    over = [] if top[1] is S.One else [Pow(top[1], S.Half, evaluate=False)]
    under = [] if bottom[1] is S.One else [Pow(bottom[1], S.Half, evaluate=False)]
    return whole, [], over, under, rest


def _extracted(square: Expr) -> tuple[int, Expr]:
    """m and r with square = m**2 r, and r free of square factors (pi counts as a letter)."""
    number, circle = square.as_independent(pi)
    whole, left = 1, int(number)
    divisor = 2
    while divisor * divisor <= left and divisor < 1000:
        while left % divisor**2 == 0:
            left //= divisor**2
            whole *= divisor
        divisor += 1
    power = circle.as_base_exp()[1] if circle is not S.One else 0
    return whole, left * pi**power
