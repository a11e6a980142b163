"""Checks of the steps that need no score: limits of a support, signs, maxima on an edge.

A claim is held against random parameters and samples of its declaration; nothing is known of the rule that
made it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import mpmath
from sympy import S, Symbol

from symmle.algebra import Rows, compile_expression
from symmle.certify.competitors import never_beaten
from symmle.declare.declaration import Declaration
from symmle.likelihood import Likelihood
from symmle.record import Step
from symmle.strategies.problem import real_part

DIGITS = 30


class Checked(Protocol):
    """What a check is given: a declaration, its likelihood, and random admissible points."""

    declaration: Declaration
    likelihood: Likelihood

    def points(self, count: int, rows: int = 6) -> list[tuple[dict[Symbol, Any], list[Rows]]]: ...


def _value(f: Callable[..., Any], values: dict[Symbol, Any], rows: list[Rows]) -> Any:
    try:
        return f(values, rows)
    except (ZeroDivisionError, ValueError, ArithmeticError):
        return None


def check_allowed(verifier: Checked, step: Step) -> tuple[bool, str]:
    """Every row satisfies all of `before` exactly where all of `after` hold, at fitting and unfitting parameters."""
    rowwise = [_gap(r) for r in step.before]
    whole = [_gap(r) for r in step.after]
    points, seen = verifier.points(8, rows=3), {True: 0, False: 0}
    for (values, samples), (others, _) in zip(points, points[1:] + points[:1], strict=True):
        for numbers in (values, {**values, **{p: others[p] for p in verifier.declaration.parameters}}):
            left = all(_row_holds(gap, numbers, samples) for gap in rowwise)
            right = all(_holds(f(numbers, samples), func) for f, func in whole)
            if left != right:
                shown = ", ".join(
                    f"{p} = {mpmath.nstr(numbers[p], 8)}" for p in verifier.declaration.parameters
                )
                return (
                    False,
                    f"the rows are {'' if left else 'not '}in the support at {shown}, the limits say otherwise",
                )
            seen[left] += 1
    return seen[True] > 0, f"the same at {seen[True]} allowed and {seen[False]} excluded random points"


def _gap(relation: Any) -> tuple[Any, Any]:
    return compile_expression(relation.lhs - relation.rhs), relation.func


def _holds(gap: Any, func: Any) -> bool:
    return bool(func(S(int(mpmath.sign(mpmath.re(gap)))), S.Zero))


def _row_holds(gap: tuple[Any, Any], values: dict[Symbol, Any], samples: list[Rows]) -> bool:
    f, func = gap
    found = True
    for rows in samples:
        for i in range(len(rows.weights)):
            at = {**values, **{c: column[i] for c, column in rows.columns.items()}}
            try:
                found &= _holds(f(at, samples), func)
            except KeyError:  # a relation of another sample
                break
    return found


def check_sign(verifier: Checked, step: Step) -> tuple[bool, str]:
    compared = 0
    for e, claimed in zip(step.before, step.after, strict=True):
        f = compile_expression(e)  # type: ignore[arg-type]
        for values, rows in verifier.points(8):
            value = _value(f, values, rows)
            real: Any = None if value is None else real_part(value)
            if real is None:
                continue
            sign = 0 if abs(real) < mpmath.mpf(10) ** -DIGITS else int(mpmath.sign(real))
            if sign != int(claimed):  # type: ignore[call-overload]
                return (
                    False,
                    f"the value is {mpmath.nstr(real, 8)} at a random point, the sign {claimed} is claimed",
                )
            compared += 1
    return compared > 0, f"the sign holds at {compared} random points"


def check_maximum(verifier: Checked, step: Step) -> tuple[bool, str]:
    closed = dict(zip(step.subject, step.after, strict=True))
    attained = bool(step.detail("attained", True))
    return never_beaten(verifier.likelihood, closed, step.conditions, attained)  # type: ignore[arg-type]
