"""What both printers share: the samples, the index, which mean is a bar and which a sum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sympy import Basic, Eq, Expr, FiniteSet, Mul, Not, Or, Piecewise, Range, S, Set, Symbol

from symmle.report.names import split_name
from symmle.report.order import product_shape
from symmle.sample import SampleOperator


@dataclass(frozen=True)
class Names:
    """What a printer must know of a model: its samples' columns, which of them are lags, what gets a hat."""

    samples: tuple[tuple[Symbol, ...], ...] = ()
    lags: dict[Symbol, Symbol] = field(default_factory=dict)
    supports: dict[Symbol, Set] = field(default_factory=dict)
    hats: frozenset[Symbol] = frozenset()
    renewed: frozenset[Symbol] = frozenset()  # parameters that stand for their new values in an iteration
    marks: dict[Symbol, str] = field(default_factory=dict)  # columns with a second index: r_i1
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
    if last != S.true or {first, second} != {S.Zero, S.One}:
        return None
    return condition if first == 1 else Not(condition)


def levels_of(condition: Basic, domain: Set | None = None) -> tuple[int, ...]:
    """The whole numbers c at which a condition on one column holds, none where that is not a short list."""
    columns = condition.free_symbols
    if len(columns) != 1:
        return ()
    (column,) = columns
    if isinstance(domain, Range) and not domain.free_symbols and domain.is_finite_set and len(domain) <= 12:
        domain = FiniteSet(*domain)
    if isinstance(domain, FiniteSet) and all(c.is_Integer and c >= 0 for c in domain.args):
        held = {c: condition.xreplace({column: c}) for c in domain.args}
        if all(v in (S.true, S.false) for v in held.values()):
            return tuple(sorted(int(c) for c, v in held.items() if v == S.true))
    alternatives = condition.args if isinstance(condition, Or) else (condition,)
    found = [
        e.rhs if e.lhs == column else e.lhs for e in alternatives if isinstance(e, Eq) and column in e.args
    ]
    if len(found) == len(alternatives) and all(c.is_Integer and c >= 0 for c in found):
        return tuple(sorted(int(c) for c in found))
    return ()


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

    def count_name(self, columns: tuple[Symbol, ...]) -> str:
        """What is written below the n of one of several samples: the number of its column, or its name."""
        firsts = [split_name(part[0].name) for part in self.names.samples]
        numbered = len({letter for letter, _ in firsts}) == 1 and all(len(below) == 1 for _, below in firsts)
        _, below = split_name(columns[0].name)
        return below[0] if numbered and below and below[0].isdigit() else columns[0].name

    def levels(self, condition: Basic, columns: tuple[Symbol, ...]) -> tuple[int, ...]:
        """The values that a count n_c counts; none where the condition is to be written out."""
        if len(self.names.samples) > 1 or len(columns) != 1:
            return ()
        return levels_of(condition, self.names.supports.get(columns[0]))

    def support_of(self, condition: Basic) -> Set | None:
        """The support of the one column that a condition is about."""
        columns = condition.free_symbols
        return self.names.supports.get(next(iter(columns))) if len(columns) == 1 else None

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
