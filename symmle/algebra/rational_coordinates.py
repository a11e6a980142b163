"""Coordinates in which equations become rational: q = exp(g theta), and q = tan((theta - c) / 2) on (c - pi, c + pi).

Both are increasing and smooth with a smooth inverse, so that the solutions and the signs of second derivatives at
them are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from sympy import (
    Add,
    Dummy,
    Expr,
    Interval,
    Mul,
    Pow,
    S,
    Set,
    Symbol,
    atan,
    cos,
    cot,
    csc,
    exp,
    expand,
    expand_trig,
    gcd,
    log,
    pi,
    sec,
    sin,
    tan,
)

from symmle.sample import SampleOperator

_ANGLES = (sin, cos, tan, cot, sec, csc)


@dataclass(frozen=True)
class Coordinate:
    """An unknown `old` by the new one: `back` is old as an expression in `new`.

    `left_out` says that the value at new = oo is in the domain of the old one.
    """

    old: Symbol
    new: Symbol
    back: Expr
    positive: bool
    left_out: bool = False


def rational_coordinates(
    equations: Sequence[Expr], domains: Mapping[Symbol, Set]
) -> tuple[tuple[Expr, ...], tuple[Coordinate, ...]]:
    """The equations in new unknowns where old ones stand in exponentials or angles alone; else as they are."""
    found = tuple(equations)
    coordinates = []
    for s, domain in domains.items():
        coordinate = Coordinate(s, s, s, _is_positive(s, domain))
        for rule in (_exponential, _half_angle):
            answer = rule(found, s, domain)
            if answer is not None:
                found, coordinate = answer
                break
        coordinates.append(coordinate)
    return found, tuple(coordinates)


def _is_positive(s: Symbol, domain: Set) -> bool:
    if isinstance(domain, Interval) and domain.start.is_nonnegative:
        return bool(domain.start.is_positive or domain.left_open)
    return bool(s.is_positive)


def rebuilt(e: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """The expression with `change` applied from the outside, inside sample operators too."""
    new = change(e)
    if new is not None:
        return new
    if isinstance(e, SampleOperator):
        if not e.args[:-1]:
            return e
        inner = [rebuilt(a, change) for a in e.args[:-1]]  # type: ignore[arg-type]
        return e.func(*inner, e.args[-1])
    if not e.args:
        return e
    return e.func(*(rebuilt(a, change) for a in e.args))  # type: ignore[arg-type]


def _occurs(e: Expr, s: Symbol) -> bool:
    return s in e.free_symbols


def _inside(e: Expr, s: Symbol, kinds: tuple[type, ...]) -> list[Expr] | None:
    """The functions of these kinds that hold s; None where s stands anywhere else."""
    if not _occurs(e, s):
        return []
    if isinstance(e, kinds):
        return [e]
    if e == s or (isinstance(e, Pow) and not e.exp.is_Integer):
        return None
    if not isinstance(e, (Add, Mul, Pow, SampleOperator)):
        return None
    found: list[Expr] = []
    for a in e.args[:-1] if isinstance(e, SampleOperator) else e.args:
        below = _inside(a, s, kinds)  # type: ignore[arg-type]
        if below is None:
            return None
        found.extend(below)
    return found


def _functions(equations: Sequence[Expr], s: Symbol, kinds: tuple[type, ...]) -> list[Expr] | None:
    found: list[Expr] = []
    for e in equations:
        below = _inside(e, s, kinds)
        if below is None:
            return None
        found.extend(below)
    return found or None


def _exponential(
    equations: tuple[Expr, ...], s: Symbol, domain: Set
) -> tuple[tuple[Expr, ...], Coordinate] | None:
    functions = _functions(equations, s, (exp,))
    if functions is None:
        return None
    slopes = []
    for f in functions:
        slope = expand(f.args[0]).coeff(s, 1)
        if not slope.is_Rational or _occurs(expand(f.args[0] - slope * s), s):
            return None
        slopes.append(slope)
    step = abs(reduce(gcd, slopes, S.Zero))
    q = Dummy(f"exp_{s}", positive=True)

    def change(e: Expr) -> Expr | None:
        if not isinstance(e, exp) or not _occurs(e, s):
            return None
        argument = expand(e.args[0])
        slope = argument.coeff(s, 1)
        return q ** int(slope / step) * exp(expand(argument - slope * s))  # type: ignore[no-any-return]

    return tuple(rebuilt(e, change) for e in equations), Coordinate(s, q, log(q) / step, True)


def _half_angle(
    equations: tuple[Expr, ...], s: Symbol, domain: Set
) -> tuple[tuple[Expr, ...], Coordinate] | None:
    if not isinstance(domain, Interval) or not (domain.start.is_finite and domain.end.is_finite):
        return None
    if (domain.end - domain.start <= 2 * pi) != True:  # noqa: E712 - a SymPy truth value
        return None
    centre = (domain.start + domain.end) / 2
    widest = domain.end - domain.start == 2 * pi
    functions = _functions(equations, s, _ANGLES)
    if functions is None:
        return None
    for f in functions:
        argument = expand(f.args[0])
        if not argument.coeff(s, 1).is_Integer or _occurs(argument - argument.coeff(s, 1) * s, s):
            return None
    q = Dummy(f"tan_{s}", real=True)
    sine, cosine = 2 * q / (1 + q**2), (1 - q**2) / (1 + q**2)
    angles = {
        sin(s): sine * cos(centre) + cosine * sin(centre),
        cos(s): cosine * cos(centre) - sine * sin(centre),
    }

    def change(e: Expr) -> Expr | None:
        if not isinstance(e, _ANGLES) or not _occurs(e, s):
            return None
        plain = expand_trig(e.rewrite(cos) if isinstance(e, sec) else e).rewrite([tan, cot, csc], sin)
        written = expand_trig(plain).xreplace(angles)
        return None if _occurs(written, s) else written  # type: ignore[no-any-return]

    left_out = widest and not (domain.left_open and domain.right_open)
    changed = tuple(rebuilt(e, change) for e in equations)
    if any(_occurs(e, s) for e in changed):
        return None
    return changed, Coordinate(s, q, centre + 2 * atan(q), False, left_out)


__all__ = ["Coordinate", "rational_coordinates", "rebuilt"]
