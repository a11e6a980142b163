"""A derivation in LaTeX: `write_latex` gives the body, `document` a file that compiles."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sympy import Basic, Complement, FiniteSet, Interval, Range, S, Set, Symbol, Union, oo

from symmle.report.blocks import Block, Dialect, Display, Heading, Row, Words
from symmle.report.breaking import pieces_of
from symmle.report.layout import Piece, lines_of, width
from symmle.report.names import latex_name
from symmle.report.printer import TextbookPrinter
from symmle.report.story import blocks_of, title_of
from symmle.report.typesetter import Names
from symmle.sample import Count

_SPECIAL = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
    }
    | {"^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "<": r"\textless{}", ">": r"\textgreater{}"}
)
_LETTERS = {
    "given": r"\mid",
    "dots": r"\dots",
    "(": "(",
    ")": ")",
    "V": r"\operatorname{Cov}",
    "I": r"\mathcal{I}",
    "<=": r"\le",
    ">=": r"\ge",
    "to": r"\to",
    "const": r"\text{const}",
}
_FUNCTIONS = {
    "l": r"\ell",
    "lc": r"\ell_c",
    "logf": r"\log f",
    "E": r"\operatorname{E}",
    "Var": r"\operatorname{Var}",
}

# What is said of a sign where it occurs.
_LEGEND = (
    (r"\\overline\{", r"a bar over an expression denotes its mean over the sample"),
    (r"\\psi'", r"$\psi$ denotes the digamma function and $\psi'$ its derivative"),
    (r"\\psi(?!')", r"$\psi$ denotes the digamma function"),
    (r"(?<![A-Za-z])I_[{\d]", r"$I_\nu$ denotes the modified Bessel function of the first kind"),
    (r"(?<![A-Za-z])W_", r"$W_0$ and $W_{-1}$ denote the real branches of Lambert's function"),
    (r"_\{\((1|n)", r"a subscript in brackets denotes the place in the ordered sample"),
)


class Latex(Dialect):
    r"""LaTeX with amsmath; words hold mathematics between dollars.

    Attributes
    ----------
    room : float
        The width of a line in em; a text of the standard classes at 10 pt has 34.5.
    """

    room = 32.5
    implies = r"\Rightarrow"
    iff = r"\iff"
    opening, closing = "$", "$"

    def __init__(self, names: Names | None = None):
        super().__init__(names)
        self.formulas: dict[str, list[Piece]] = {}  # those within words, should they need a display

    def formula(self, expression: Basic) -> str:
        text = self.write(expression)
        if width(text) > 0.45 * self.room:
            self.formulas[text] = self.pieces(expression, self.room)
        return self.math(text)

    def printer(self) -> TextbookPrinter:
        return TextbookPrinter(self.names)

    def write(self, expression: Basic) -> str:
        return str(self.printer().doprint(expression))

    def pieces(self, expression: Basic, room: float) -> list[Piece]:
        printer = self.printer()
        found = pieces_of(printer, expression, room)
        if sum(width(p.text) for p in found) > 1.7 * room:
            short = TextbookPrinter(replace(self.names, bars=True))
            other = pieces_of(short, expression, room)
            if sum(width(p.text) for p in other) < 0.75 * sum(width(p.text) for p in found):
                return other
        return found

    def indexed_pieces(self, expression: Basic, columns: tuple[Symbol, ...], room: float) -> list[Piece]:
        printer = self.printer()
        with printer._indexed(columns):
            return pieces_of(printer, expression, room)

    def indexed(self, expression: Basic, columns: tuple[Symbol, ...]) -> str:
        printer = self.printer()
        with printer._indexed(columns):
            return str(printer._print(expression))

    def case(self, condition: Basic, columns: tuple[Symbol, ...]) -> str:
        printer = self.printer()
        with printer._indexed(columns):
            return printer.case(condition)

    def fraction(self, above: str, below: str) -> str:
        return rf"\frac{{{above}}}{{{below}}}"

    def old(self, text: str) -> str:
        return f"{text}^{{(t)}}"

    def vector(self, hat: bool = False) -> str:
        return r"\hat{\boldsymbol{\theta}}" if hat else r"\boldsymbol{\theta}"

    def math(self, text: str) -> str:
        return f"{self.opening}{text}{self.closing}"

    def plain(self, text: str) -> str:
        words = (_breakable(w) if len(w) > 12 else w.translate(_SPECIAL) for w in text.split(" "))
        return " ".join(words)

    def observation(self, column: Symbol, place: str) -> str:
        if place == "n" and len(self.names.samples) > 1:
            place = next(self.write(Count(part)) for part in self.names.samples if column in part)
        return latex_name(column.name, index=place)

    def legend(self, text: str) -> list[str]:
        notes: list[str] = []
        for pattern, words in _LEGEND:
            if re.search(pattern, text) and not any(words.removesuffix(" function") in n for n in notes):
                notes.append(words)
        if len(self.names.samples) == 1:
            column = self.names.samples[0][0]
            place = self.indexed(column, (column,))
            levels = sorted(set(re.findall(r"(?<![A-Za-z\\])n_(\d|\{[\d,]+\})", text)))
            singles = [v for v in levels if v.isdigit()]
            if len(singles) > 2:
                signs, values = ", ".join(f"n_{v}" for v in singles), ", ".join(singles)
                words = f"denote the numbers of observations with ${place}$ equal to ${values}$"
                notes.append(f"${signs}$ {words}")
                levels = [v for v in levels if v not in singles]
            for level in levels:
                values = level.strip("{}")
                holds = rf"{place} = {values}" if "," not in values else rf"{place} \in \{{{values}\}}"
                notes.append(f"$n_{level}$ denotes the number of observations with ${holds}$")
        return notes

    def hat(self, symbol: Symbol) -> str:
        return latex_name(symbol.name, accent="hat")

    def function(self, letter: str, arguments: str) -> str:
        if letter == "1":
            return rf"\mathbf{{1}}\{{{arguments}\}}"
        if letter == "widehat":
            return (
                rf"\widehat{{{arguments}}}"
                if width(arguments) < 3
                else rf"\bigl({arguments}\bigr)^{{\wedge}}"
            )
        if letter.startswith("hat "):
            name = latex_name(letter[4:], accent="hat")
        elif letter.startswith("f") and letter[1:].isdigit():
            name = f"f_{letter[1:]}"
        else:
            name = _FUNCTIONS.get(letter, letter)
        return f"{name}({arguments})"

    def slope(self, parameter: Symbol, second: Symbol | None = None) -> str:
        name = latex_name(parameter.name)
        d = "d" if self.single else r"\partial "
        if second is None:
            return rf"\frac{{{d}\ell}}{{{d}{name}}}"
        if second == parameter:
            return rf"\frac{{{d.strip()}^2 \ell}}{{{d}{name}^2}}"
        return rf"\frac{{{d.strip()}^2 \ell}}{{{d}{name}\,{d}{latex_name(second.name)}}}"

    def big(self, kind: str, columns: tuple[Symbol, ...], body: str) -> str:
        count = self.write(Count(columns))
        above = count if len(count) == 1 else f"{{{count}}}"
        return rf"\{kind}_{{i=1}}^{above} {body}"

    def member(self, text: str, domain: Set) -> str:
        return member_latex(text, domain, self.write)

    def letter(self, name: str) -> str:
        return _LETTERS.get(name, name)

    def matrix_entry(self, name: str, row: int, column: int) -> str:
        return rf"{self.letter(name)}_{{{row}{column}}}"

    def width(self, text: str) -> float:
        return width(text)


def _breakable(word: str) -> str:
    """A long formula in code: a line may end after its signs."""
    return "".join(
        c.translate(_SPECIAL) + (r"\hspace{0pt plus 0.4em}" if c in "+-*/,()_" else "") for c in word
    )


def member_latex(text: str, domain: Set, write: Any) -> str:
    r"""`x` in [0, 1] -> 0 \le x \le 1; in the reals -> x \in \mathbb{R}."""
    sets = {S.Reals: r"\mathbb{R}", S.Integers: r"\mathbb{Z}", S.Naturals: r"\{1, 2, \dots\}"}
    sets[S.Naturals0] = r"\{0, 1, 2, \dots\}"
    if domain in sets:
        return rf"{text} \in {sets[domain]}"
    if isinstance(domain, Interval):
        left, right = domain.start, domain.end
        at_left, at_right = ("<" if is_open else r"\le" for is_open in (domain.left_open, domain.right_open))
        below = "" if left == -oo else f"{write(left)} {at_left} "
        above = "" if right == oo else f" {at_right} {write(right)}"
        if below and not above:
            sign = ">" if domain.left_open else r"\ge"
            return f"{text} {sign} {write(left)}"
        return f"{below}{text}{above}" if below or above else rf"{text} \in \mathbb{{R}}"
    if isinstance(domain, FiniteSet):
        inside = ", ".join(
            write(e) for e in sorted(domain.args, key=lambda e: (not e.is_number, e.sort_key()))
        )
        return rf"{text} \in \{{{inside}\}}"
    if isinstance(domain, Range):
        if domain.start == -oo and domain.stop == oo:
            return rf"{text} \in \mathbb{{Z}}"
        first = [write(domain.start + k * domain.step) for k in range(2)] if domain.start != -oo else []
        last = [] if domain.stop == oo else [write(domain.stop - domain.step)]
        inside = ", ".join([*first, r"\dots", *last])
        return rf"{text} \in \{{{inside}\}}"
    if isinstance(domain, Complement) and domain.args[0] == S.Reals and isinstance(domain.args[1], FiniteSet):
        return rf"{text} \neq {', '.join(write(e) for e in domain.args[1].args)}"
    if isinstance(domain, Union):
        return r" \text{ or } ".join(member_latex(text, part, write) for part in domain.args)
    return rf"{text} \in {write(domain)}"


def _relation(row: Row) -> str:
    return {"~": r"\approx"}.get(row.relation, row.relation)


def row_lines(row: Row, dialect: Dialect, left_width: float = 0.0) -> list[str]:
    """One row of a display as lines of an align environment, without the line ends.

    `left_width` is the width of the widest left side among the rows that are aligned with it.
    """
    relation = _relation(row)
    taken = max(width(row.left), left_width) + (width(relation) if relation else 0.0)
    lines = lines_of(list(row.right), dialect.room - taken - 0.8)
    left = f"{row.left} &{relation} ".lstrip() if row.left or relation else "& "
    written = [left + lines[0][1]]
    for depth, text in lines[1:]:
        indent = r"\quad" * min(depth + 1, 3)
        written.append(rf"&{indent} {{}} {text}")
    if row.end:
        written[-1] += row.end
    return written


def display(block: Display, dialect: Dialect) -> str:
    """A display: one unnumbered line, or aligned lines."""
    left = max((width(row.left) for row in block.rows), default=0.0)
    rows = [row_lines(row, dialect, left) for row in block.rows]
    lines = [line for row in rows for line in row]
    if not lines:
        return ""
    if len(lines) == 1:
        return "\\[\n  " + lines[0].replace("&", "", 1).strip() + "\n\\]"
    tall = any(r"\frac" in line or r"\sum" in line for line in lines)
    end = r" \\[0.5ex]" if tall else r" \\"
    return "\\begin{align*}\n  " + f"{end}\n  ".join(lines) + "\n\\end{align*}"


def render(blocks: list[Block], dialect: Latex) -> str:
    """Blocks as LaTeX: a paragraph a heading."""
    written: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            written.append(("\n" if written else "") + rf"\paragraph{{{block.title}.}}")
        elif isinstance(block, Words):
            written.append(words_with_displays(block.text, dialect))
        elif isinstance(block, Display):
            written.append(display(block, dialect))
    return "\n".join(part for part in written if part) + "\n"


def words_with_displays(text: str, dialect: Latex) -> str:
    """Words in which a formula that is too wide for a line of words stands in a display of its own."""

    def shown(match: re.Match[str]) -> str:
        inside = match.group(1)
        if width(inside) < 0.45 * dialect.room:
            return match.group(0)
        pieces = dialect.formulas.get(inside, [Piece(inside)])
        row = Row("", tuple(pieces), "", match.group(2))
        return "\n" + display(Display((row,)), dialect) + "\n"

    return re.sub(r"\$([^$]+)\$([,.]?)", shown, text)


def with_legend(blocks: list[Block], dialect: Dialect, text: str) -> list[Block]:
    """The blocks with what must be said of signs at the end of the model's paragraph."""
    notes = dialect.legend(text)
    if not notes:
        return blocks
    places = [k for k, b in enumerate(blocks) if isinstance(b, Heading)]
    place = places[1] if len(places) > 1 else len(blocks)
    sentence = "; ".join(notes)
    return [*blocks[:place], Words(f"In what follows {sentence}."), *blocks[place:]]


def write_latex(derivation: Any) -> str:
    """The body of a derivation in LaTeX: needs amsmath and amssymb, nothing else.

    Parameters
    ----------
    derivation : Derivation
        Its steps are written one after the other; nothing is computed.

    Returns
    -------
    str
    """
    dialect = Latex()
    blocks = blocks_of(derivation, dialect)
    return render(with_legend(blocks, dialect, render(blocks, dialect)), dialect)


PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{lmodern}
\usepackage{amsmath,amssymb}
\allowdisplaybreaks
"""


def document(derivation: Any, title: str | None = None) -> str:
    """A complete document that compiles with pdflatex.

    Parameters
    ----------
    derivation : Derivation
    title : str, optional
        The title, in plain words; the model's name by default.
    """
    head = Latex().plain(title if title is not None else title_of(derivation))
    body = write_latex(derivation)
    return f"{PREAMBLE}\\begin{{document}}\n\\section*{{\\raggedright {head}}}\n{body}\\end{{document}}\n"
