"""Data as people keep it in files: a CSV table with a header, or bare numbers; every bad cell is named."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from symmle.declare.parser import nearest, shown
from symmle.errors import DataError

MISSING = ("", "na", "n/a", "null", "none", ".")
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class TextTable:
    """Cells as text: the names of the columns (none where the file has no header) and numbered rows."""

    source: str
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]  # line number, cells

    @property
    def width(self) -> int:
        return len(self.rows[0][1]) if self.rows else len(self.header)

    def column(self, place: int, missing: bool = False) -> list[float]:
        """The numbers of a column; with `missing`, nan for a cell that is empty or says that it is missing.

        Raises
        ------
        DataError
            Naming file, line and column of the first cell that is no number.
        """
        label = f"column `{self.header[place]}`" if self.header else f"column {place + 1}"
        found = []
        for line, cells in self.rows:
            if place >= len(cells):
                raise DataError(
                    f"{self.source}, line {line}: expected {self.width} cells, got {len(cells)}, "
                    f"so that {label} is missing. Complete the line or remove it."
                )
            value = as_number(cells[place])
            if value is None and missing and cells[place].lower() in MISSING:
                value = math.nan
            if value is None:
                raise DataError(
                    f"{self.source}, line {line}, {label}: expected a number, got '{shown(cells[place])}'. "
                    "Correct the cell or remove the line."
                )
            found.append(value)
        return found

    def place_of(self, name: str) -> int:
        """Where the column of this name stands."""
        if not self.header:
            raise DataError(
                f"{self.source}: expected a header with the column `{name}`, got numbers in the first line. "
                "Add a line of names."
            )
        if name not in self.header:
            hint = nearest(name, list(self.header)) or f"; it has the columns {', '.join(self.header)}."
            raise DataError(f"{self.source}: there is no column `{shown(name)}`{hint}")
        return self.header.index(name)


def as_number(cell: str) -> float | None:
    """The number that a cell holds (inf and nan are numbers here, and refused with the data)."""
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def read_text(source: str, stream: Iterable[str] | None = None) -> TextTable:
    """The table in a file, or on standard input for "-".

    Cells are separated by comma, semicolon or tab, whichever the first line has; where it has none of
    them, by white space. The first line is a header where a cell of it is no number. Empty lines and
    lines that open with # are left out.

    Raises
    ------
    DataError
        If the file cannot be read or holds no rows.
    """
    if stream is not None:
        lines = list(stream)
    elif source == "-":
        source, lines = "standard input", list(sys.stdin)
    else:
        try:
            lines = io.StringIO(Path(source).read_text(encoding="utf-8-sig"), newline="").readlines()
        except (OSError, UnicodeDecodeError, ValueError) as problem:
            raise DataError(
                f"Expected a readable data file, got '{shown(source)}': {shown(problem, 120)}."
            ) from None
    numbered = [(k, line) for k, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    if not numbered:
        raise DataError(f"{source}: expected numbers, got an empty file.")
    rows = tuple(_cells(numbered, source))
    first = rows[0][1]
    if all(as_number(cell) is not None for cell in first):
        return TextTable(source, (), rows)
    if len(rows) == 1:
        raise DataError(f"{source}: expected rows of numbers below the header, got none.")
    return TextTable(source, first, rows[1:])


def _cells(numbered: Sequence[tuple[int, str]], source: str) -> Iterable[tuple[int, tuple[str, ...]]]:
    delimiter = next((d for d in DELIMITERS if d in numbered[0][1]), None)
    if delimiter is None:  # names and numbers one a line, or numbers separated by white space
        for k, line in numbered:
            words = line.split()
            if len(words) > 1 and all(as_number(w) is not None for w in words):
                yield from ((k, (w,)) for w in words)
            else:
                yield k, (line.strip().strip('"'),)
        return
    reader = csv.reader((line for _, line in numbered), delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            yield numbered[reader.line_num - 1][0], tuple(cell.strip() for cell in cells)
    except csv.Error as problem:
        raise DataError(f"{source}, line {numbered[reader.line_num - 1][0]}: {problem}.") from None


def columns_for(
    needed: Sequence[str],
    table: TextTable,
    given: Mapping[str, str],
    weights: str | None,
    missing: bool = False,
) -> tuple[dict[str, list[float]], list[float] | None]:
    """The columns that a model needs, by data symbol, and the weights.

    Parameters
    ----------
    needed
        Names of the data symbols.
    given
        Which column of the file stands for a data symbol, where its name is another one.
    weights
        The column of weights.
    missing
        Whether empty cells and those that say NA are read as nan.
    """
    for symbol in given:
        if symbol not in needed:
            raise DataError(
                f"Expected a column for one of {', '.join(needed)}, got one for `{shown(symbol)}`."
            )
    found = {}
    others = [name for name in table.header if name != weights]
    for symbol in needed:
        if symbol in given:
            place = table.place_of(given[symbol])
        elif symbol in table.header:
            place = table.header.index(symbol)
        elif len(needed) == 1 and len(others) == 1:
            place = table.header.index(others[0])
        elif len(needed) == 1 and not table.header and table.width == 1:
            place = 0
        else:
            has = f"the columns {', '.join(table.header)}" if table.header else "no header"
            raise DataError(
                f"{table.source}: expected a column `{symbol}`, got {has}. "
                f"Say which one it is: --column {'NAME' if len(needed) == 1 else symbol + '=NAME'}."
            )
        found[symbol] = table.column(place, missing)
    return found, None if weights is None else table.column(table.place_of(weights))


def numbers_of(words: Sequence[str]) -> list[float]:
    """Numbers given on the command line, apart or with commas between them.

    Examples
    --------
    >>> numbers_of(["3", "5,7", "1e2"])
    [3.0, 5.0, 7.0, 100.0]
    """
    found = []
    for word in (w for given in words for w in given.replace(",", " ").split()):
        value = as_number(word)
        if value is None or math.isnan(value):
            raise DataError(f"Expected numbers after --values, got '{shown(word)}'.")
        found.append(value)
    return found
