"""Rows at an end of the support where the formula of the density, or a derivative of it, has no value.

    l = n_e log f(e) + sum over x_i != e of log f(x_i)

f(e) is the limit of f, taken before anything is differentiated: F(x)**a has the slope a F**(a - 1) F', which is no
number at F = 0 for a < 1 though F**a is 0 there for every a.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import mpmath
from sympy import (
    Add,
    Dummy,
    Eq,
    Expr,
    Heaviside,
    Interval,
    KroneckerDelta,
    Mul,
    Piecewise,
    Pow,
    Range,
    S,
    Set,
    Symbol,
    ceiling,
    exp,
    floor,
    gamma,
    lambdify,
    limit,
    log,
    loggamma,
    nan,
    oo,
    sign,
    zoo,
)

from symmle.algebra import Bounds, Facts, GaveUp, attempt_within, compile_expression, ends_of_range
from symmle.declare.declaration import Declaration, SamplePart
from symmle.logarithm import open_logarithm
from symmle.sampling import RandomPoints, as_numbers

POINTS = 4  # random parameter values at which derivatives and the limit are looked at
NEAR, DIGITS = (60, 120), 500  # f at 10**-60 and 10**-120 from the end, in so many digits
LONGEST = 3000  # operations beyond which no second derivative is looked at
SECONDS = 2.0


def with_rows_at_ends(declaration: Declaration, part: SamplePart, opened: Expr, facts: Facts) -> Expr:
    """log f, by 1{x = e} log f(e) at the ends e of the support where the formula or a derivative has no value."""
    for x, end, side in _ends(part):
        if not _may_fail(opened, x, end):
            continue
        changed = attempt_within(SECONDS, _with_row_at, declaration, part, opened, facts, (x, end, side))
        if isinstance(changed, Expr):
            opened = changed
    return opened


def _with_row_at(
    declaration: Declaration, part: SamplePart, opened: Expr, facts: Facts, place: tuple[Symbol, Expr, int]
) -> Expr | None:
    x, end, side = place
    if part.density.has(Piecewise, KroneckerDelta, Heaviside, floor, ceiling, sign):
        return None  # what stands at the end may be no limit
    points = _points(declaration, part, x)
    if not points or not _fails(opened, x, end, tuple(declaration.parameters), points):
        return None
    value = density_at_end(part.density, x, end, side, facts)
    if value is None or not _is_limit(part.density, x, end, side, value, points):
        return None
    free, moving = opened.as_independent(x, as_Add=True)
    at_end = open_logarithm(value, facts) - free
    here = Eq(x, end)
    return (
        free
        + Piecewise((S.One, here), (S.Zero, True)) * at_end
        + Piecewise((S.Zero, here), (moving, True), evaluate=False)
    )


def _ends(part: SamplePart) -> Iterator[tuple[Symbol, Expr, int]]:
    """The finite ends that the support holds, and on which side of them it lies.

    A column that is positive almost surely has no row at 0.
    """
    for x in part.columns:
        for end, side in _ends_of(part.support[x]):
            if end.is_number and end.is_finite and Eq(x, end) != False:  # noqa: E712 - a SymPy truth value
                yield x, end, side


def _ends_of(support: Set) -> list[tuple[Expr, int]]:
    if isinstance(support, Range):
        low, high = ends_of_range(support)
        return [(low, 1), (high, -1)]
    if isinstance(support, Interval):
        return [
            *([] if support.left_open else [(support.start, 1)]),
            *([] if support.right_open else [(support.end, -1)]),
        ]
    return []


def _points(declaration: Declaration, part: SamplePart, x: Symbol) -> list[dict[Symbol, Any]]:
    """Random values of everything but x."""
    stream, found = RandomPoints(declaration, 5), []
    place = declaration.samples.index(part)
    for _ in range(POINTS):
        values = stream.parameters(stream.constants())
        rows = None if values is None else stream.samples(values, rows=1)
        if values is None or rows is None:
            continue
        others = {c: v[0] for c, v in rows[place].columns.items() if c != x}
        found.append({**as_numbers(values), **others})
    return found


# --- whether the formula fails at the end -----------------------------------------------------------


def _may_fail(e: Expr, x: Symbol, end: Expr) -> bool:
    """Whether some part of e is not analytic where x is put in: a root, logarithm, quotient or gamma at 0."""
    for node in e.atoms(Pow, log, gamma, loggamma):
        if isinstance(node, Pow) and node.exp.is_Integer and node.exp.is_positive:
            continue
        inner = node.base if isinstance(node, Pow) else node.args[0]
        if x in inner.free_symbols and inner.xreplace({x: end}) in (S.Zero, nan, zoo, oo, -oo):
            return True
    return any(e.xreplace({x: end}).has(bad) for bad in (nan, zoo, oo))


def _fails(
    opened: Expr, x: Symbol, end: Expr, parameters: tuple[Symbol, ...], points: list[dict[Symbol, Any]]
) -> bool:
    """Whether log f or a derivative by the parameters has no finite value where x = end is put in."""

    def is_lost(e: Expr) -> bool:
        return any(not _is_finite(_value(e, x, {**at, x: _number(end)}, {})) for at in points)

    if is_lost(opened):
        return True
    slopes = {p: opened.diff(p) for p in parameters}
    if any(is_lost(s) for s in slopes.values()):
        return True
    return any(
        is_lost(s.diff(q))
        for p, s in slopes.items()
        if s.count_ops() <= LONGEST
        for q in parameters[: parameters.index(p) + 1]
    )


def _is_finite(number: Any) -> bool:
    return not isinstance(number, mpmath.mpc) and bool(mpmath.isfinite(number))


def _number(e: Expr) -> Any:
    return lambdify([], e, modules="mpmath")()


def _value(e: Expr, x: Symbol, at: Mapping[Symbol, Any], known: dict[Expr, Any]) -> Any:
    """e in extended real numbers, x**k log(x) being 0 at x = 0 as it is where rows are added up."""
    if e not in known:
        if isinstance(e, Symbol):
            known[e] = at[e]
        elif not e.args:
            known[e] = _number(e)
        elif isinstance(e, Mul):
            known[e] = _product(e, x, at, known)
        else:
            known[e] = _applied(e, [_value(a, x, at, known) for a in e.args])
    return known[e]


def _product(e: Mul, x: Symbol, at: Mapping[Symbol, Any], known: dict[Expr, Any]) -> Any:
    def is_small(f: Expr) -> bool:
        base, power = f.as_base_exp()
        return x in base.free_symbols and not f.has(log) and power.is_negative is not True

    def is_large(f: Expr) -> bool:
        return any(x in g.free_symbols for g in f.atoms(log))

    small = [f for f in e.args if is_small(f)]
    large = [f for f in e.args if is_large(f)]

    def multiplied(factors: list[Expr]) -> Any:
        total = mpmath.mpf(1)
        for f in factors:
            total = total * _value(f, x, at, known)
        return total

    if small and large and multiplied(small) == 0:
        return multiplied([f for f in e.args if f not in small and f not in large]) * 0
    return multiplied(list(e.args))


def _applied(e: Expr, arguments: list[Any]) -> Any:
    try:
        if isinstance(e, Add):
            return sum(arguments, mpmath.mpf(0))
        if isinstance(e, Pow) and arguments[0] == 0 and arguments[1] < 0:
            return mpmath.inf
        return _function(e.func, len(arguments))(*arguments)
    except (ArithmeticError, ValueError, TypeError):
        return mpmath.nan


@lru_cache(maxsize=64)
def _function(head: Any, count: int) -> Any:
    slots = [Dummy() for _ in range(count)]
    return lambdify(slots, head(*slots), modules="mpmath")


# --- the limit --------------------------------------------------------------------------------------


def density_at_end(density: Expr, x: Symbol, end: Expr, side: int, facts: Facts) -> Expr | None:
    """The limit of the density as x goes to an end from within, where it is positive and finite for all parameters."""
    u = Dummy("u", positive=True)
    near = facts.with_bounds({u: Bounds(S.Zero, oo, True, True)})
    found = _limit(density.xreplace({x: end + side * u}), u, near)
    if found is None:
        answer = attempt_within(1.0, limit, density, x, end, "+" if side > 0 else "-")
        found = None if isinstance(answer, GaveUp) else answer
    if found is None or found.has(x, u, nan, zoo, oo) or found.is_zero:
        return None
    return found


def _limit(e: Expr, u: Symbol, facts: Facts) -> Expr | None:
    """The limit of e as u falls to 0, part by part; None where the parts do not tell."""
    if u not in e.free_symbols:
        return e
    if isinstance(e, Symbol):
        return S.Zero
    parts: list[Expr] = []
    for a in e.args:
        part = _limit(a, u, facts) if isinstance(a, Expr) else None
        if part is None:
            return None
        parts.append(part)
    infinite = [p for p in parts if p in (oo, -oo)]
    if isinstance(e, Add):
        if not infinite:
            return Add(*parts)
        return infinite[0] if len(set(infinite)) == 1 else None
    if isinstance(e, Mul):
        return _limit_of_product(parts, infinite, facts)
    if isinstance(e, Pow):
        return _limit_of_power(e, parts[0], parts[1], facts)
    if isinstance(e, exp) and infinite:
        return oo if parts[0] is oo else S.Zero
    if isinstance(e, log) and parts[0] == 0:
        return -oo
    found = e.func(*parts)
    return None if found.has(nan, zoo) or (found.has(oo) and found not in (oo, -oo)) else found


def _limit_of_product(parts: list[Expr], infinite: list[Expr], facts: Facts) -> Expr | None:
    if not infinite:
        return Mul(*parts)
    signs = [1 if p is oo else -1 if p == -oo else facts.decide_sign(p) for p in parts]
    if any(s not in (1, -1) for s in signs):
        return None
    return oo if signs.count(-1) % 2 == 0 else -oo


def _limit_of_power(e: Pow, base: Expr, power: Expr, facts: Facts) -> Expr | None:
    if base in (oo, -oo) or base == 0:
        sign = facts.decide_sign(power)
        if power in (oo, -oo) or sign not in (1, -1) or (base != oo and facts.decide_sign(e.base) != 1):
            return None
        return oo if (base is oo) == (sign == 1) else S.Zero
    if power in (oo, -oo):
        return None
    return Pow(base, power)


def _is_limit(
    density: Expr, x: Symbol, end: Expr, side: int, value: Expr, points: list[dict[Symbol, Any]]
) -> bool:
    """By numbers: the value is positive, and f comes near to it as x comes near to the end."""
    f, g = compile_expression(density), compile_expression(value)
    with mpmath.workdps(DIGITS):
        for at in points:
            wanted, place = g(at, []), _number(end)
            if not _is_finite(wanted) or not wanted > 0:
                return False
            gaps = [abs(f({**at, x: place + side * mpmath.mpf(10) ** -k}, []) / wanted - 1) for k in NEAR]
            if not (gaps[1] <= gaps[0] and gaps[1] < 1e-4):
                return False
            own = _at(f, {**at, x: place})
            if _is_finite(own) and abs(own / wanted - 1) > mpmath.mpf(10) ** (-DIGITS // 2):
                return False  # the density has a value of its own there
    return True


def _at(f: Any, values: dict[Symbol, Any]) -> Any:
    try:
        return f(values, [])
    except (ArithmeticError, ValueError, TypeError):
        return mpmath.nan


__all__ = ["density_at_end", "with_rows_at_ends"]
