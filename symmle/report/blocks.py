"""The parts of a written derivation, before they are put into LaTeX, HTML or plain text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sympy import Basic, Expr, Set, Symbol

from symmle.report.abbreviations import abbreviated
from symmle.report.layout import Piece
from symmle.report.typesetter import Names
from symmle.sample import Count


@dataclass(frozen=True)
class Heading:
    title: str


@dataclass(frozen=True)
class Words:
    text: str


@dataclass(frozen=True)
class Row:
    """left relation right, the right side in pieces between which the line may be broken."""

    left: str
    right: tuple[Piece, ...]
    relation: str = "="
    end: str = ""


@dataclass(frozen=True)
class Display:
    rows: tuple[Row, ...]


Block = Heading | Words | Display


class Dialect(ABC):
    """How mathematics is written in one kind of text."""

    equals = "="
    room: float = 37.0  # em of a line
    implies: str
    iff: str

    def __init__(self, names: Names | None = None):
        self.names = names or Names()
        self.conditions_follow = False  # a paragraph of its own says when the maximum exists
        self.taken: set[str] = set()  # letters of the model
        self.letters: dict[Expr, Symbol] = {}  # that stand for parts of formulas
        self.solved: dict[Basic, Basic] = {}  # equations that were shown, left side by right side
        self.proved = False  # the point has been shown to be the global maximum
        self.label = Symbol("z")  # what is not observed of a row
        self.single = False  # one parameter: an ordinary derivative
        self.shown: dict[Basic, str] = {}  # expressions that the reader has seen, and what they were called

    @contextmanager
    def hatted(self, symbols: Iterable[Symbol]) -> Iterator[None]:
        """Within it these symbols are printed with a hat."""
        kept, self.names = self.names, replace(self.names, hats=frozenset(symbols))
        yield
        self.names = kept

    @contextmanager
    def renewed(self, symbols: Iterable[Symbol]) -> Iterator[None]:
        """Within it these parameters are printed as new values of an iteration."""
        kept, self.names = self.names, replace(self.names, renewed=frozenset(symbols))
        yield
        self.names = kept

    @abstractmethod
    def write(self, expression: Basic) -> str:
        """An expression."""

    @abstractmethod
    def pieces(self, expression: Basic, room: float) -> list[Piece]:
        """An expression in pieces between which a line may be broken."""

    @abstractmethod
    def indexed(self, expression: Basic, columns: tuple[Symbol, ...]) -> str:
        """An expression with the index i on these columns."""

    def indexed_pieces(self, expression: Basic, columns: tuple[Symbol, ...], room: float) -> list[Piece]:
        """The same, in pieces."""
        return [Piece(self.indexed(expression, columns))]

    @abstractmethod
    def case(self, condition: Basic, columns: tuple[Symbol, ...]) -> str:
        """A condition on a row."""

    @abstractmethod
    def fraction(self, above: str, below: str) -> str: ...

    @abstractmethod
    def old(self, text: str) -> str:
        """The value of a parameter, or of all of them, before an iteration."""

    @abstractmethod
    def vector(self, hat: bool = False) -> str:
        """The name of all parameters together."""

    @abstractmethod
    def math(self, text: str) -> str:
        """Mathematics within words."""

    @abstractmethod
    def plain(self, text: str) -> str:
        """Words from outside (a model's name, a reason), with what is special in this text escaped."""

    @abstractmethod
    def observation(self, column: Symbol, place: str) -> str:
        """The first ("1") or last ("n") value of a column."""

    @abstractmethod
    def legend(self, text: str) -> list[str]:
        """What must be said of the signs that occur in a written derivation."""

    @abstractmethod
    def hat(self, symbol: Symbol) -> str: ...

    @abstractmethod
    def function(self, letter: str, arguments: str) -> str:
        """A function by its letter: "L", "l" (the log-likelihood), "f", "E"."""

    @abstractmethod
    def slope(self, parameter: Symbol, second: Symbol | None = None) -> str:
        """The derivative of the log-likelihood."""

    @abstractmethod
    def big(self, kind: str, columns: tuple[Symbol, ...], body: str) -> str:
        """The product or sum over the rows of a sample."""

    @abstractmethod
    def member(self, text: str, domain: Set) -> str:
        """`text` lies in `domain`: 0 < p < 1, mu in R."""

    @abstractmethod
    def letter(self, name: str) -> str:
        """A sign by its name: "J" observed, "I" expected information, "T" statistic with an index."""

    @abstractmethod
    def matrix_entry(self, name: str, row: int, column: int) -> str: ...

    @abstractmethod
    def width(self, text: str) -> float: ...

    def formula(self, expression: Basic) -> str:
        """An expression within words."""
        return self.math(self.write(expression))

    def arguments(self, parameters: Iterable[Symbol], hat: bool = False) -> str:
        """The parameters as arguments: all of them by one name where they are many."""
        listed = list(parameters)
        if len(listed) > 3:
            return self.vector(hat)
        return ", ".join(self.hat(p) if hat else self.write(p) for p in listed)

    def counts(self) -> tuple[Count, ...]:
        return tuple(Count(part) for part in self.names.samples)

    # --- what needs only the above
    def listed(self, symbols: Iterable[Basic]) -> str:
        return ", ".join(self.write(s) for s in symbols)

    def displays(self, rows: list[tuple[str, Basic]], end: str = ".", zero: bool = False) -> list[Block]:
        """Rows `left = expression`, or `expression = 0`; long repeated parts get letters.

        The last row ends with `end`, the others with a comma.
        """
        taken = {s.name for part in self.names.samples for s in part} | self.taken
        short, named = abbreviated(
            [e for _, e in rows], lambda e: self.width(self.write(e)), 2.5 * self.room, taken, self.letters
        )
        lines = []
        for place, ((left, _), e) in enumerate(zip(rows, short, strict=True)):
            mark = "," if place < len(rows) - 1 or named else end
            lines.append(self.zero_row(e, mark) if zero else self.row(left, e, end=mark))
        if not named:
            return [Display(tuple(lines))]
        meanings = [self.row(self.write(s), e, end=",") for s, e in named]
        meanings[-1] = replace(meanings[-1], end=end)
        return [Display(tuple(lines)), Words("where"), Display(tuple(meanings))]

    def zero_row(self, expression: Basic, end: str) -> Row:
        """`expression = 0`."""
        pieces = self.pieces(expression, self.room - 4)
        last = pieces[-1]
        return Row("", (*pieces[:-1], Piece(f"{last.text} {self.equals} 0", last.depth)), "", end)

    def row(self, left: str, right: Expr | str, relation: str = "=", end: str = "") -> Row:
        if isinstance(right, str):
            return Row(left, (Piece(right),), relation, end)
        room = self.room - self.width(left) - 2.0
        return Row(left, tuple(self.pieces(right, max(room - 1.5, self.room / 2))), relation, end)
