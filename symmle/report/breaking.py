"""A formula that is wider than the line, taken apart where a textbook would break it: at + and at =."""

from __future__ import annotations

from sympy import Add, Basic, Expr, Function, Mul, Pow, log
from sympy.core.relational import Relational

from symmle.report.constants import is_negative_term
from symmle.report.layout import Piece, width
from symmle.report.order import falls, ordered_terms
from symmle.report.printer import TextbookPrinter
from symmle.sample import Count, Mean, Total


def _wrapped(pieces: list[Piece], left: str, right: str) -> list[Piece]:
    """The pieces within brackets of a fixed size, which may stand on different lines."""
    inner = [Piece(p.text, p.depth + 1) for p in pieces]
    inner[0] = Piece(left + inner[0].text, pieces[0].depth)
    inner[-1] = Piece(inner[-1].text + right, inner[-1].depth)
    return inner


def _before(text: str, pieces: list[Piece]) -> list[Piece]:
    return [Piece(f"{text} {pieces[0].text}", pieces[0].depth), *pieces[1:]]


def pieces_of(printer: TextbookPrinter, expression: Basic, room: float) -> list[Piece]:
    """The formula in pieces; a part that is wider than `room` em is broken further where it can be."""
    if isinstance(expression, Add):
        found: list[Piece] = []
        for term in ordered_terms(expression, printer.data):
            sign, text = printer.signed(term)
            if width(text) <= room - 1:
                parts = [Piece(text)]
            else:
                parts = pieces_of(printer, -term if is_negative_term(term) else term, room - 1)
            if found:
                parts = _before(sign, parts)
            elif sign == "-":
                parts = [Piece("-" + parts[0].text, parts[0].depth), *parts[1:]]
            found += parts
        return found
    if isinstance(expression, Relational):
        right = pieces_of(printer, expression.rhs, room - 2)
        sign = printer.relation_sign(expression)
        return [*pieces_of(printer, expression.lhs, room), *_before(sign, right)]
    text = printer.doprint(expression)
    if width(text) <= room or (isinstance(expression, Mean) and printer.is_plain_mean(expression)):
        return [Piece(text)]  # a bar is one piece, however wide
    if isinstance(expression, Mul | Mean) or (isinstance(expression, Pow) and falls(expression.exp)):
        return _product(printer, expression, room)
    if isinstance(expression, Pow):
        with printer._within():
            raised = printer._print(expression.exp)
        inside = pieces_of(printer, expression.base, room - 2)
        return _wrapped(inside, r"\Bigl(", rf"\Bigr)^{{{raised}}}")
    if isinstance(expression, Total):
        return _total(printer, expression, room)
    if isinstance(expression, Function) and len(expression.args) == 1:
        name = (
            r"\log"
            if isinstance(expression, log)
            else text.split("(")[0].split(r"\left")[0].split(r"\Bigl")[0]
        )
        if name and width(name) < 4:
            return _wrapped(pieces_of(printer, expression.args[0], room - 3), rf"{name}\Bigl(", r"\Bigr)")
    return [Piece(text)]


def _total(printer: TextbookPrinter, expression: Total, room: float) -> list[Piece]:
    count = printer._print_Count(Count(expression.columns))
    head = rf"\sum_{{i=1}}^{{{count}}}"
    with printer._indexed(expression.columns):
        summand = expression.summand
        inside = pieces_of(printer, summand, room - 3)
    if isinstance(summand, Add):
        inside = _wrapped(inside, r"\Bigl(", r"\Bigr)")
    return _before(head, inside)


def _product(printer: TextbookPrinter, expression: Expr, room: float) -> list[Piece]:
    shape = printer.shape(expression)
    above, below = list(shape.above), list(shape.below)
    found: list[Piece] = []
    fraction = rf"\frac{{{printer._row(above, True) or '1'}}}{{{printer._row(below, True)}}}" if below else ""
    if below and width(fraction) > room:
        short = [f for f in above if width(printer.factor(f)) < room / 4]
        narrow = rf"\frac{{{printer._row(short, True) or '1'}}}{{{printer._row(below, True)}}}"
        if width(narrow) <= room / 2:
            long = _factors(printer, [f for f in above if f not in short], room)
            found = _beside([Piece(narrow)], long, room)
        else:
            over = _factors(printer, above, room - 1, alone=True) or [Piece("1")]
            if len(over) > 1:
                over = _wrapped(over, r"\Bigl(", r"\Bigr)")
            under = _wrapped(_factors(printer, below, room - 1, alone=True), r"\Bigl(", r"\Bigr)")
            found = [*over, *_before(r"\Big/", under)]
    elif below:
        found = [Piece(fraction)]
    else:
        found = _factors(printer, above, room)
    parts = (
        _factors(printer, list(shape.leading), room),
        found,
        _factors(printer, list(shape.after), room),
    )
    found = []
    for part in parts:
        found = _beside(found, part, room)
    return _before("-", found) if shape.negative else found


def _factors(printer: TextbookPrinter, factors: list[Expr], room: float, alone: bool = False) -> list[Piece]:
    found: list[Piece] = []
    for factor in factors:
        bare = alone and len(factors) == 1
        text = printer._print(factor) if bare else printer.factor(factor, last=factor is factors[-1])
        if width(text) <= room:
            parts = [Piece(text)]
        else:
            parts = pieces_of(printer, factor, room - 1)
            if isinstance(factor, Add) and not bare:
                parts = _wrapped(parts, r"\Bigl(", r"\Bigr)")
        found = _beside(found, parts, room)
    return found


def _beside(left: list[Piece], right: list[Piece], room: float) -> list[Piece]:
    """Two factors, between which a line is broken only where they do not fit on one."""
    if not left or not right:
        return left + right
    if width(left[-1].text) + width(right[0].text) > room:
        return [*left, Piece(rf"\times {right[0].text}", left[-1].depth), *right[1:]]
    dot = r"\cdot " if right[0].text[0].isdigit() else ""
    return [*left[:-1], Piece(f"{left[-1].text} {dot}{right[0].text}", left[-1].depth), *right[1:]]
