"""Letters for repeated parts, and where wide formulas are broken."""

from __future__ import annotations

import pytest
from sympy import Basic, Expr, Symbol, log, sqrt

from symmle.report.abbreviations import abbreviated
from symmle.report.breaking import pieces_of
from symmle.report.layout import width
from symmle.report.printer import TextbookPrinter
from symmle.report.typesetter import Names
from symmle.sample import Mean

x, a, b = Symbol("x", positive=True), Symbol("a", positive=True), Symbol("A", positive=True)
cols = (x,)
PRINTER = TextbookPrinter(Names(samples=(cols,)))
w, v = Mean((x - Mean(x, cols)) ** 2, cols), Mean((x - Mean(x, cols)) ** 3, cols)
root = sqrt(4 * w**3 + v**2)


def printed(expression: Basic) -> float:
    return width(PRINTER.doprint(expression))


@pytest.mark.parametrize(
    "expression",
    [
        (v + root) ** a + (v - root) ** a + a / root + log(root) * root,
        (v + root) / (1 + root) + (2 + root) / (3 + root) - w / root**2,
        w * root + v * root**3 + a * w + b * v + w * v * a * b,
    ],
)
def test_putting_the_parts_back_gives_the_formula(expression: Expr) -> None:
    short, named = abbreviated([expression], printed, 10.0)
    assert named
    assert printed(short[0]) < printed(expression)
    for letter, part in reversed(named):
        short = [e.subs(letter, part) for e in short]
    assert (short[0] - expression).expand() == 0 or short[0].equals(expression)


def test_letters_are_new_and_are_explained_before_they_are_used() -> None:
    expression = b * root + b**2 * root * a + w * b + root**3 + (v + root) ** a + (v + root) ** (2 * a) + w**a
    _, named = abbreviated([expression], printed, 5.0, taken=("C",))
    letters = [s.name for s, _ in named]
    assert "A" not in letters and "C" not in letters
    for place, (_, part) in enumerate(named):
        assert {s.name for s in part.free_symbols} & set(letters) <= set(letters[:place])


def test_the_same_part_keeps_its_letter() -> None:
    known: dict[Expr, Symbol] = {}
    _, first = abbreviated([root + a * root], printed, 5.0, known=known)
    _, second = abbreviated([root * a**2 + log(root)], printed, 5.0, known=known)
    assert dict(first) == dict(second)


def test_short_formulas_are_left_alone() -> None:
    assert abbreviated([w + w**2], printed, 500.0) == ([w + w**2], [])


@pytest.mark.parametrize("room", [12.0, 20.0, 33.0])
def test_every_piece_of_a_wide_formula_fits(room: float) -> None:
    terms = sum((k * Mean(x**k, cols) * log(a + k) for k in range(2, 9)), start=a)
    for expression in (
        terms,
        terms / (1 + terms),
        log(terms) * terms,
        sqrt(terms),
        (terms - a) ** 2 / a,
        -terms * b,
    ):
        pieces = pieces_of(PRINTER, expression, room)
        assert len(pieces) > 1
        assert all(width(p.text) <= room + 6.0 for p in pieces)
        text = " ".join(p.text for p in pieces)
        assert text.count("{") == text.count("}")
        assert text.count(r"\Bigl") == text.count(r"\Bigr")
        assert all(p.text.count(r"\left") == p.text.count(r"\right") for p in pieces)


def test_a_wide_mean_under_a_bar_is_one_piece() -> None:
    printer = TextbookPrinter(Names(samples=(cols,), bars=True))
    wide = Mean(log(sum((a**k * x**k for k in range(9)), start=b)), cols)
    for expression in (wide, a * wide, wide / b):
        pieces = pieces_of(printer, expression, 12.0)
        assert sum(r"\overline" in p.text for p in pieces) == 1
