"""Conditions of an estimator on data: the relations that they are made of, compiled, and whether they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Basic, Expr, S, Symbol
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from symmle.compiling.evaluate import CompiledExpressions, Value


@dataclass(frozen=True)
class Relations:
    """A condition with its relations, and their differences compiled."""

    condition: Any
    parts: tuple[Relational, ...]
    differences: CompiledExpressions

    @classmethod
    def of(cls, condition: Any, compile_all: Callable[[Sequence[Expr]], CompiledExpressions]) -> Relations:
        parts = tuple(_relations(condition.expression))
        return cls(condition, parts, compile_all([p.lhs - p.rhs for p in parts]))

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
            truth[part] = S(part.func(sign, 0))
        result = self.condition.expression.xreplace(truth)
        return bool(result) if result in (S.true, S.false) else None


def _relations(condition: Basic) -> list[Relational]:
    """The relations that a condition is made of; those inside a sample operator are not among them."""
    if isinstance(condition, Relational):
        return [condition]
    return [r for part in condition.args if isinstance(part, Boolean) for r in _relations(part)]
