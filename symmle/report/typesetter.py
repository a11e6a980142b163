"""What the LaTeX and the terminal printer share: the samples, the index, which mean is a bar and which a sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sympy import Basic, Eq, Expr, Mul, Piecewise, S, Symbol

from symmle.report.order import product_shape
from symmle.sample import SampleOperator


@dataclass(frozen=True)
class Names:
    """What a printer must know of a model: its samples' columns, which of them are lags, what gets a hat."""

    samples: tuple[tuple[Symbol, ...], ...] = ()
    lags: dict[Symbol, Symbol] = field(default_factory=dict)
    hats: frozenset[Symbol] = frozenset()
    bars: bool = False  # other means than that of a column are printed with a bar too

    @property
    def data(self) -> frozenset[Symbol]:
        return frozenset(c for part in self.samples for c in part)

    def source_of(self, column: Symbol) -> tuple[Symbol, int]:
        """The column that a lag is taken from, and how many rows it lies back."""
        back = 0
        while column in self.lags and back < 10:
            column, back = self.lags[column], back + 1
        return column, back


def indicator(summand: Expr) -> Basic | None:
    """The condition of a summand that is 1 where it holds and 0 elsewhere."""
    if not isinstance(summand, Piecewise) or len(summand.args) != 2:
        return None
    (first, condition), (second, last) = (pair.args for pair in summand.args)
    return condition if first == 1 and second == 0 and last == S.true else None


def level_of(condition: Basic) -> Expr | None:
    """The number c of a condition `column = c`."""
    if isinstance(condition, Eq):
        for side, other in (condition.args, condition.args[::-1]):
            if isinstance(side, Symbol) and other.is_Integer and other >= 0:
                return other
    return None


class Typesetter:
    """What the LaTeX and the terminal printer share: context, and which mean is printed how."""

    names: Names
    _bound: tuple[Symbol, ...]
    _nested: int
    _inline: int

    def _print(self, expression: Any) -> str:
        """Given by the printer of SymPy beside which this class stands."""
        return str(super()._print(expression))  # type: ignore[misc]

    def __init__(self, names: Names | None = None):
        super().__init__()
        self.names = names or Names()
        self._bound = ()  # columns that carry the index at this place
        self._nested = 0  # within a sum: means inside are printed with a bar
        self._inline = 0  # within an exponent: fractions are printed with a slash

    @property
    def data(self) -> set[Symbol]:
        return set(self.names.data) | set(self._bound)

    @contextmanager
    def _indexed(self, columns: Iterable[Symbol]) -> Iterator[None]:
        kept, self._bound = self._bound, tuple(columns)
        self._nested += 1
        yield
        self._nested -= 1
        self._bound = kept

    @contextmanager
    def _within(self, inline: int = 1, unindexed: bool = False) -> Iterator[None]:
        kept = self._bound
        self._inline += inline
        if unindexed:
            self._bound = ()
        yield
        self._inline -= inline
        self._bound = kept

    def bracket(self, text: str) -> str:
        return f"({text})"

    def is_plain_mean(self, mean: Expr) -> bool:
        """Whether the mean is printed as one sign (x-bar, n_1/n), not as a sum."""
        if isinstance(mean.summand, Symbol) and self.names.source_of(mean.summand)[1] == 0:
            return True
        if indicator(mean.summand) is not None and not self._nested:
            return False
        return (self.names.bars or self._nested > 0) and not mean.summand.has(SampleOperator)

    def shape(self, expression: Expr) -> Any:
        return product_shape(list(Mul.make_args(expression)), self.data, self.is_plain_mean)
