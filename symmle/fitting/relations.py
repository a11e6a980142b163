"""Conditions of an estimator on data: the relations that they are made of, compiled, and whether they hold."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Basic, Expr, S, Symbol
from sympy.core.relational import Relational, StrictLessThan
from sympy.logic.boolalg import Boolean

from symmle.compiling.data import Table
from symmle.compiling.evaluate import CompiledExpressions, Value, direction_of
from symmle.sample import Maximum, Minimum

BY_SIGN: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Relations:
    """A condition with its relations, and their differences compiled."""

    condition: Any
    parts: tuple[Relational, ...]
    differences: CompiledExpressions
    varying: Symbol | None = None  # the condition says that this column is not constant

    @classmethod
    def of(cls, condition: Any, compile_all: Callable[[Sequence[Expr]], CompiledExpressions]) -> Relations:
        parts = tuple(_relations(condition.expression))
        differences = compile_all([p.lhs - p.rhs for p in parts])
        return cls(condition, parts, differences, _varying(condition.expression))

    def plainly_holds(self, table: Table) -> bool:
        """Whether the first and last rows show already that a column is not constant."""
        if self.varying is None:
            return False
        values = table.sample_of((self.varying,)).columns[self.varying]
        return bool(values[0] != values[-1])

    @property
    def symbols(self) -> set[Symbol]:
        return {s for p in self.parts for s in p.free_symbols}  # type: ignore[misc]

    def hold(self, differences: Sequence[Value]) -> bool | None:
        """Whether the condition holds, from the values of the differences; None: not known."""
        truth: dict[Basic, Basic] = {}
        for part, value in zip(self.parts, differences, strict=True):
            if not value.finite:
                return None
            sign = 0 if abs(value.number) <= value.error else (1 if value.number > 0 else -1)
            if part is self.condition.expression and part.rel_op in BY_SIGN:
                return BY_SIGN[part.rel_op](sign, 0)
            truth[part] = S(part.func(sign, 0))
        result = self.condition.expression.xreplace(truth)
        return bool(result) if result in (S.true, S.false) else None


def _varying(condition: Basic) -> Symbol | None:
    """x, where the condition is Minimum(g(x)) < Maximum(g(x)) with g strictly monotone."""
    if not isinstance(condition, StrictLessThan):
        return None
    low, high = condition.args
    if not (isinstance(low, Minimum) and isinstance(high, Maximum) and low.args == high.args):
        return None
    symbols = low.summand.free_symbols
    return symbols.pop() if len(symbols) == 1 and direction_of(low.summand) else None  # type: ignore[return-value]


def _relations(condition: Basic) -> list[Relational]:
    """The relations that a condition is made of; those inside a sample operator are not among them."""
    if isinstance(condition, Relational):
        return [condition]
    return [r for part in condition.args if isinstance(part, Boolean) for r in _relations(part)]
