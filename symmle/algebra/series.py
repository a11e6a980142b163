"""Sums over an index in formulas that become programs: taken out, and added up until a bound on the rest is small.

A sum is taken out before subexpressions are shared (SymPy's sharing does not know that the index is bound), and its
value is passed to the rest as one more argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sympy import Basic, Dummy, Expr, Pow, S, Sum, Symbol, exp, factorial, gamma, log, loggamma, powsimp

MOST_TERMS = 20_000

Make = Callable[[Sequence[Symbol], Sequence[Expr]], Callable[..., Any]]
# the value of a sum from its term, the arguments, the first index and the last (None: endless)
AddUp = Callable[[Callable[..., Any], Sequence[Any], Any, Any], Any]


def with_series(
    arguments: Sequence[Symbol], expressions: Sequence[Expr], make: Make, add_up: AddUp
) -> Callable[..., Any] | None:
    """The program of expressions that hold sums; None where they hold none. `make` returns lists."""
    sums: list[Sum] = []
    for e in expressions:
        for found in outermost_sums(e):
            if found not in sums:
                sums.append(found)
    if not sums:
        return None
    stand_ins = [Dummy(f"series{k}", real=True) for k in range(len(sums))]
    put = dict(zip(sums, stand_ins, strict=True))
    inner = make([*arguments, *stand_ins], [e.xreplace(put) for e in expressions])
    parts = [_series(s, arguments, make, add_up) for s in sums]
    return lambda *given: inner(*given, *(part(*given) for part in parts))


def outermost_sums(e: Basic) -> list[Sum]:
    if isinstance(e, Sum):
        return [e] if len(e.limits) == 1 and len(e.limits[0]) == 3 else []
    return [s for a in e.args for s in outermost_sums(a)]


def _series(e: Sum, arguments: Sequence[Symbol], make: Make, add_up: AddUp) -> Callable[..., Any]:
    index, low, high = e.limits[0]
    place = Dummy("j", integer=True, nonnegative=low.is_nonnegative)
    term = make([place, *arguments], [in_logarithms(e.function.xreplace({index: place}))])
    endless = high is S.Infinity
    ends = make(list(arguments), [low, S.Zero if endless else high])

    def value(*given: Any) -> Any:
        first, last = ends(*given)
        return add_up(term, given, first, None if endless else last)

    return value


def in_logarithms(e: Expr) -> Expr:
    """Factorials, gammas and powers with a variable exponent as exponentials, joined: none overflows alone."""
    e = e.replace(lambda f: isinstance(f, factorial), lambda f: exp(loggamma(f.args[0] + 1)))
    e = e.replace(lambda f: isinstance(f, gamma), lambda f: exp(loggamma(f.args[0])))
    e = e.replace(
        lambda p: isinstance(p, Pow) and not p.exp.is_number and p.base.is_positive is not False,
        lambda p: exp(p.exp * log(p.base)),
    )
    e = e.replace(
        lambda p: isinstance(p, Pow) and isinstance(p.base, exp), lambda p: exp(p.base.args[0] * p.exp)
    )
    return powsimp(e, combine="exp")  # type: ignore[no-any-return]


def add_up_in(context: Any) -> AddUp:
    """Terms added in an mpmath context until the geometric bound on the rest is below its precision."""

    def add_up(term: Callable[..., Any], given: Sequence[Any], first: Any, last: Any) -> Any:
        total, before = context.mpf(0), None
        place = context.mpf(first)
        for _ in range(MOST_TERMS):
            if last is not None and place > last:
                return total
            value = context.mpf(term(place, *given)[0])
            total += value
            if not context.isfinite(total):
                return context.nan
            size = abs(value)
            if last is None and before:
                ratio = size / before
                if ratio < 1 and size * ratio / (1 - ratio) <= context.ldexp(abs(total), -context.prec - 5):
                    return total
            before, place = size, place + 1
        return context.nan

    return add_up


__all__ = ["AddUp", "add_up_in", "in_logarithms", "outermost_sums", "with_series"]
