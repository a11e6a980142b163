"""When a clipped estimate exists: conditions of the free problem that still matter, and where."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mpmath
from sympy import And, Expr, Interval, Piecewise, S, Symbol, true
from sympy.core.relational import Relational

from symmle.algebra import Rows, compile_expression
from symmle.certify.competitors import contains, holds
from symmle.declare.declaration import Declaration
from symmle.record import Condition
from symmle.reductions.boundary_space import degenerate_samples
from symmle.sampling import RandomPoints
from symmle.strategies.problem import real_part

TRIED = 6  # degenerate samples that decide
SHARES = (6, 9, 12)  # a sample that is degenerate up to a share 10**-k
DIGITS = 50


@mpmath.workdps(DIGITS)
def kept_conditions(
    declaration: Declaration, p: Symbol, clipped: Expr, conditions: tuple[Condition, ...]
) -> tuple[Expr, tuple[Condition, ...]]:
    """The clipped estimate with its value on degenerate samples, and the conditions that are left.

    Where the formula is finite it is the limit of what holds for samples near by, and a condition is not
    needed. Where it is not, the estimate is the end that the clipped values near by have.
    """
    kept: list[Condition] = []
    branches: list[tuple[Expr, Any]] = []
    settled: list[Condition] = []
    f = compile_expression(clipped)
    conditions = _single(conditions)
    for condition in conditions:
        answers: set[Any] = set()
        samples = _failing(declaration, condition, conditions)
        if branches and all(any(holds(c, *s) is False for c in settled) for s in samples):
            continue  # another branch has these samples
        for numbers, rows in samples:
            value = _value(f, numbers, rows)
            if value is not None and contains(declaration.parameters[p], value, numbers):
                answers.add("finite")
            else:
                end = _end_near(declaration, p, f, numbers, rows)
                answers.add(end if end is not None else "none")
        if answers == {"finite"}:
            continue
        (only,) = answers if len(answers) == 1 else ("none",)
        if isinstance(only, Expr):
            branches.append((only, ~condition.expression))
            settled.append(condition)
        else:
            kept.append(condition)
    value = Piecewise(*branches, (clipped, true)) if branches else clipped
    return value, tuple(kept)


@mpmath.workdps(DIGITS)
def needed_conditions(
    declaration: Declaration, closed: dict[Symbol, Expr], conditions: tuple[Condition, ...]
) -> tuple[Condition, ...]:
    """Those conditions without which a closed form is not finite or leaves the closed domains."""
    conditions, kept = _single(conditions), []
    functions = {p: compile_expression(e) for p, e in closed.items()}
    for condition in conditions:
        samples = _failing(declaration, condition, conditions)
        for numbers, rows in samples:
            values = {p: _value(f, numbers, rows) for p, f in functions.items()}
            if any(
                v is None or not contains(declaration.parameters[p], v, {**numbers, **values})
                for p, v in values.items()
            ):
                kept.append(condition)
                break
        else:
            if not samples:
                kept.append(condition)
    return tuple(kept)


def _end_near(
    declaration: Declaration, p: Symbol, f: Any, numbers: dict[Symbol, Any], rows: list[Rows]
) -> Expr | None:
    """The closed end at which the clipped estimate is for samples that are degenerate up to small shares."""
    domain = declaration.parameters[p]
    if not isinstance(domain, Interval):
        return None
    stream = RandomPoints(declaration, 79)
    drawn = stream.parameters(stream.constants())
    other = None if drawn is None else stream.samples(drawn, rows=5)
    if other is None:
        return None
    found = set()
    for k in SHARES:
        mixed = [
            Rows(
                {c: [*s.columns[c], *o.columns[c]] for c in s.columns},
                [*s.weights, *(mpmath.mpf(10) ** -k for _ in o.weights)],
            )
            for s, o in zip(rows, other, strict=True)
        ]
        value = _value(f, numbers, mixed)
        for end, is_open in ((domain.start, domain.left_open), (domain.end, domain.right_open)):
            if value is not None and end.is_finite and not is_open:
                if value == mpmath.mpmathify(compile_expression(end)(numbers, [])):
                    found.add(end)
                    break
        else:
            return None
    return found.pop() if len(found) == 1 else None


@mpmath.workdps(DIGITS)
def guarded(
    declaration: Declaration, own: Expr, conditions: tuple[Condition, ...], inside: Any
) -> tuple[Condition, ...]:
    """Conditions that are asked where `inside` holds; as they are where `inside` has no value without them."""
    if inside == true:
        return _single(conditions)
    f, found = compile_expression(own), []
    conditions = _single(conditions)
    for condition in conditions:
        e = condition.expression
        samples = _failing(declaration, condition, conditions)
        known = bool(samples) and all(_value(f, numbers, rows) is not None for numbers, rows in samples)
        if known and isinstance(e, Relational) and e.rel_op in (">", "<", ">=", "<="):
            gap = e.lhs - e.rhs if e.rel_op in (">", ">=") else e.rhs - e.lhs  # type: ignore[operator]
            relation = e.func if e.rel_op in (">", ">=") else e.reversed.func
            whole = relation(Piecewise((gap, inside), (S.One, true)), S.Zero, evaluate=False)
            condition = replace(condition, expression=whole)
        found.append(condition)
    return tuple(found)


def _failing(
    declaration: Declaration, condition: Condition, others: tuple[Condition, ...]
) -> list[tuple[dict[Symbol, Any], list[Rows]]]:
    """Samples on which this condition fails: preferably this one alone."""
    found: list[tuple[int, int, tuple[dict[Symbol, Any], list[Rows]]]] = []
    for numbers, rows in degenerate_samples(declaration, condition):
        failing = sum(holds(c, numbers, rows) is False for c in others)
        found.append((failing, len(found), (numbers, rows)))
        if len(found) == 8 * TRIED:
            break
    fewest = min((failing for failing, _, _ in found), default=0)
    return [sample for failing, _, sample in found if failing == fewest][:TRIED]


def _single(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Conjunctions as several conditions."""
    found: list[Condition] = []
    for c in conditions:
        parts = c.expression.args if isinstance(c.expression, And) else (c.expression,)
        found.extend(replace(c, expression=e) for e in parts)
    return tuple(dict.fromkeys(found))


def _value(f: Any, numbers: dict[Symbol, Any], rows: list[Rows]) -> Any:
    try:
        return real_part(f(numbers, rows))
    except (ZeroDivisionError, ValueError, ArithmeticError, TypeError):
        return None


__all__ = ["guarded", "kept_conditions", "needed_conditions"]
