"""Floors, signs and comparisons in formulas: decided as if arithmetic were exact where rounding alone is between.

What differs from a whole number (or from equality) by less than the last quarter of the digits of the terms that
were added is taken as whole (equal): 3/(3/10) is 10, though 3/10 is rounded. Errors of the data's sums are not
hidden by this: who knows them carries them through the formula.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Basic, Expr, Function, Mul, Piecewise, S, ceiling, floor, sign, zoo
from sympy.core.relational import Relational

from symmle.sample import SampleOperator

floor_ = Function("symmle_floor", real=True)
times_ = Function("symmle_times", real=True)  # a product that is 0 where its first factor is
signum_ = Function("symmle_signum", real=True)


def has_jumps(expression: Basic) -> bool:
    """Whether the value may jump where the statistics move a little."""
    return bool(expression.has(floor, ceiling, sign, Relational))


def decided(expression: Expr) -> Expr:
    """The expression with floors, signs and comparisons on the terms that are added up in them.

    A Piecewise without a last branch that always holds gets one that is no number.
    """
    expression = without_poles(expression, S.NegativeInfinity)
    if not expression.has(floor, ceiling, sign, Relational, Piecewise):
        return expression
    return _walk(expression)


def without_poles(expression: Expr, stand_in: Expr) -> Expr:
    """A pole as `stand_in`, where it is taken: log(0) times an indicator is 0 where the indicator is."""
    if not expression.has(zoo):
        return expression

    def may_vanish(e: Basic) -> bool:
        return isinstance(e, Piecewise | SampleOperator) and not e.has(zoo, times_)

    def is_cut(node: Any) -> bool:
        return isinstance(node, Mul) and node.has(zoo, times_) and any(map(may_vanish, node.args))

    def cut(*factors: Expr) -> Expr:
        node = Mul(*factors)
        indicator = Mul(*(a for a in node.args if may_vanish(a)))
        return times_(indicator, Mul(*(a for a in node.args if not may_vanish(a))))  # type: ignore[no-any-return]

    return expression.replace(is_cut, lambda node: cut(*node.args)).xreplace({zoo: stand_in})


def _walk(node: Any) -> Any:
    if not node.args or not isinstance(node, Basic):
        return node
    arguments = [_walk(a) for a in node.args]
    if isinstance(node, floor):
        return floor_(*Add.make_args(arguments[0]))
    if isinstance(node, ceiling):
        return -floor_(*(-t for t in Add.make_args(arguments[0])))
    if isinstance(node, sign):
        return _signum(arguments[0])
    if isinstance(node, Relational):
        return node.func(_signum(arguments[0] - arguments[1]), S.Zero)
    if isinstance(node, Piecewise):
        if node.args[-1][1] != True:  # noqa: E712 - a SymPy truth value
            arguments.append((S.NaN, True))
        return Piecewise(*arguments, evaluate=False)
    return node.func(*arguments)


def _signum(e: Expr) -> Expr:
    """The sign of a product is the product of the signs."""
    return Mul(*(signum_(*Add.make_args(f)) for f in Mul.make_args(e) if not f.is_positive))  # type: ignore[no-any-return]


def scalar_decisions(context: Any) -> dict[str, Any]:
    """The functions that formulas name, in an mpmath context, and its constants."""

    def snap() -> Any:
        return context.ldexp(context.mpf(1), -(3 * context.prec) // 4)

    def added(terms: tuple[Any, ...]) -> tuple[Any, Any]:
        """The sum and the size of what was added; no number where it is not real."""
        numbers = [context.convert(t) for t in terms]
        total = sum(numbers, context.mpf(0))
        if isinstance(total, context.mpc):
            if abs(total.imag) > snap() * abs(total.real):
                return context.nan, context.mpf(0)
            total = total.real
        return total, sum((abs(t) for t in numbers), context.mpf(0))

    def floor_of(*terms: Any) -> Any:
        """The largest whole number that is at most the sum; a sum that is whole but for rounding is whole."""
        total, size = added(terms)
        if not context.isfinite(total):
            return total
        near = context.nint(total)
        return near if abs(total - near) <= snap() * max(size, 1) else context.floor(total)

    def signum_of(*terms: Any) -> Any:
        """The sign of a sum, 0 where rounding alone keeps it from 0."""
        total, size = added(terms)
        if len(terms) > 1 and context.isfinite(total) and abs(total) <= snap() * size:
            return context.mpf(0)
        return context.sign(total)

    return {
        "symmle_times": lambda a, b: context.mpf(0) if a == 0 else a * b,
        "symmle_floor": floor_of,
        "symmle_signum": signum_of,
        "inf": context.inf,
        "nan": context.nan,
    }


__all__ = ["decided", "has_jumps", "scalar_decisions", "without_poles"]
