"""Mathematics in a line of Unicode text, and a derivation for a terminal."""

from __future__ import annotations

import re
import textwrap
from typing import Any

from sympy import Add, Basic, Complement, FiniteSet, Interval, Range, S, Set, Symbol, oo

from symmle.report.blocks import Dialect, Display, Heading, Row
from symmle.report.layout import Piece
from symmle.report.names import unicode_name
from symmle.report.order import ordered_terms
from symmle.report.story import blocks_of, title_of
from symmle.report.unicode import UnicodePrinter, unicode_text
from symmle.sample import Count

_DIGITS = str.maketrans("₀₁₂₃₄₅₆₇₈₉‚", "0123456789,")
_LETTERS = {"given": "|", "dots": "…", "V": "Cov", "<=": "≤", ">=": "≥", "to": "→", "-": "−"}


def member_text(text: str, domain: Set, write: Any) -> str:
    sets = {S.Reals: "ℝ", S.Integers: "ℤ", S.Naturals: "{1, 2, …}", S.Naturals0: "{0, 1, 2, …}"}
    if domain in sets:
        return f"{text} ∈ {sets[domain]}"
    if isinstance(domain, Interval):
        below = "" if domain.start == -oo else f"{write(domain.start)} {'<' if domain.left_open else '≤'} "
        above = "" if domain.end == oo else f" {'<' if domain.right_open else '≤'} {write(domain.end)}"
        if below and not above:
            return f"{text} {'>' if domain.left_open else '≥'} {write(domain.start)}"
        return f"{below}{text}{above}" if below or above else f"{text} ∈ ℝ"
    if isinstance(domain, FiniteSet):
        inside = sorted(domain.args, key=lambda e: (not e.is_number, e.sort_key()))
        return f"{text} ∈ {{{', '.join(write(e) for e in inside)}}}"
    if isinstance(domain, Range):
        first = [write(domain.start + k * domain.step) for k in range(2)] if domain.start != -oo else []
        last = [write(domain.stop - domain.step)] if domain.stop != oo else []
        return f"{text} ∈ {{{', '.join([*first, '…', *last])}}}"
    if isinstance(domain, Complement) and domain.args[0] == S.Reals and isinstance(domain.args[1], FiniteSet):
        return f"{text} ≠ {', '.join(write(e) for e in domain.args[1].args)}"
    return f"{text} ∈ {write(domain)}"


class Terminal(Dialect):
    """Plain text with Unicode mathematics."""

    room = 92.0
    implies, iff = "⇒", "⇔"

    def write(self, expression: Basic) -> str:
        return unicode_text(expression, self.names)

    def pieces(self, expression: Basic, room: float) -> list[Piece]:
        printer = UnicodePrinter(self.names)
        if isinstance(expression, Add):
            signed = [printer.signed(t) for t in ordered_terms(expression, printer.data)]
            first = ("" if signed[0][0] == "+" else "−") + signed[0][1]
            return [Piece(first), *(Piece(f"{sign} {body}") for sign, body in signed[1:])]
        return [Piece(self.write(expression))]

    def indexed(self, expression: Basic, columns: tuple[Symbol, ...]) -> str:
        printer = UnicodePrinter(self.names)
        with printer._indexed(columns):
            return str(printer._print(expression))

    def case(self, condition: Basic, columns: tuple[Symbol, ...]) -> str:
        printer = UnicodePrinter(self.names)
        with printer._indexed(columns):
            return printer.case(condition)

    def fraction(self, above: str, below: str) -> str:
        return f"{above}/({below})"

    def old(self, text: str) -> str:
        return f"{text}⁽ᵗ⁾"

    def vector(self, hat: bool = False) -> str:
        return "ϑ\u0302" if hat else "ϑ"

    def math(self, text: str) -> str:
        return text

    def plain(self, text: str) -> str:
        return text

    def observation(self, column: Symbol, place: str) -> str:
        if place == "n" and len(self.names.samples) > 1:
            place = next(self.write(Count(part)) for part in self.names.samples if column in part)
        return unicode_name(column.name, index=place)

    def legend(self, text: str) -> list[str]:
        notes = {
            "mean(": "mean(·) is the mean over the sample",
            "ψ": "ψ is the digamma function",
            "W₀": "W is Lambert's function",
            "W₋₁": "W₋₁ is the lower branch of Lambert's function",
            "median(": "median(·) is the observation at place ⌈n/2⌉ of the ordered sample",
            "upper median(": "upper median(·) is the one at place ⌊n/2⌋ + 1",
            "quantile(": "quantile(·, p) is the observation at place ⌈n p⌉ of the ordered sample",
            "upper quantile(": "upper quantile(·, p) is the one at place ⌊n p⌋ + 1",
            "I₀": "I is the modified Bessel function",
            "₍₁₎": "an index in brackets is the place in the ordered sample",
        }
        if re.search(r"quantile\(.*, weights ", text):
            notes["quantile("] = (
                "quantile(·, p, weights r) is the least observation up to which at least the share p of the weight lies"
            )
        found = [words for sign, words in notes.items() if sign in text]
        column = self.write(self.names.samples[0][0]) if self.names.samples else "x"
        if len(self.names.samples) == 1:
            signs = sorted(set(re.findall(r"(?<!\w)n([₀-₉][₀-₉‚]*)", text)))
            found += [
                f"n{s} counts the {column}ᵢ with value {s.translate(_DIGITS).replace(',', ' or ')}"
                for s in signs
            ]
        return found

    def hat(self, symbol: Symbol) -> str:
        return unicode_name(symbol.name, accent="hat")

    def function(self, letter: str, arguments: str) -> str:
        if letter == "1":
            return f"1{{{arguments}}}"
        if letter == "widehat":
            return f"estimate of {arguments}"
        if letter.startswith("hat "):
            return f"{unicode_name(letter[4:], accent='hat')}({arguments})"
        if letter.startswith("f") and letter[1:].isdigit():
            letter = unicode_name(letter)
        name = {"l": "ℓ", "lc": "ℓc", "logf": "log f"}.get(letter, letter)
        return f"{name}({arguments})"

    def slope(self, parameter: Symbol, second: Symbol | None = None) -> str:
        name, d = unicode_name(parameter.name), "d" if self.single else "∂"
        if second is None:
            return f"{d}ℓ/{d}{name}"
        return (
            f"{d}²ℓ/{d}{name}²" if second == parameter else f"{d}²ℓ/{d}{name}{d}{unicode_name(second.name)}"
        )

    def big(self, kind: str, columns: tuple[Symbol, ...], body: str) -> str:
        return f"{'∏' if kind == 'prod' else 'Σ'} {body}"

    def member(self, text: str, domain: Set) -> str:
        return member_text(text, domain, self.write)

    def letter(self, name: str) -> str:
        return _LETTERS.get(name, name)

    def matrix_entry(self, name: str, row: int, column: int) -> str:
        return unicode_name(self.letter(name) if len(self.letter(name)) == 1 else "C", index=f"{row}{column}")

    def width(self, text: str) -> float:
        return float(sum(1 for c in text if c not in "\u0302\u0304"))


def _row_lines(row: Row, dialect: Terminal, left: int) -> list[str]:
    """A row as lines, broken before the signs of a sum."""
    head = row.left.rjust(left + len(row.left) - int(dialect.width(row.left)))
    head = (
        f"    {head} {'≈' if row.relation == '~' else row.relation} " if row.left or row.relation else "    "
    )
    indent = " " * int(dialect.width(head))
    lines, current = [], head
    for piece in row.right:
        if dialect.width(current + piece.text) > dialect.room and current.strip() and current != head:
            lines.append(current.rstrip())
            current = indent + "  "
        current += piece.text + " "
    return [*lines, current.rstrip() + row.end.replace("< 0.", "< 0").replace("> 0.", "> 0").rstrip(".,")]


def write_terminal(derivation: Any) -> str:
    """The derivation for a terminal: words and Unicode mathematics, lines of at most 96 characters."""
    dialect = Terminal()
    blocks = blocks_of(derivation, dialect)
    lines = [title_of(derivation), ""]
    for block in blocks:
        if isinstance(block, Heading):
            lines += [*([""] if lines[-1] else []), block.title.upper()]
        elif isinstance(block, Display):
            left = max((int(dialect.width(r.left)) for r in block.rows), default=0)
            for row in block.rows:
                lines += _row_lines(row, dialect, left)
        else:
            lines += textwrap.wrap(block.text, 92, initial_indent="  ", subsequent_indent="  ")
    notes = dialect.legend("\n".join(lines))
    if notes:
        lines += ["", *textwrap.wrap("  (" + "; ".join(notes) + ")", 92, subsequent_indent="  ")]
    return "\n".join(lines) + "\n"
