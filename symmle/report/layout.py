"""How wide a LaTeX formula is in print, and where it may be broken."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Widths in em at 10 pt, close to Computer Modern's.
_COMMANDS = {
    "sum": 1.45, "prod": 1.3, "int": 0.6, "log": 1.45, "exp": 1.6, "sin": 1.4, "cos": 1.5, "tan": 1.6,
    "max": 1.9, "min": 1.8, "arg": 1.6, "infty": 1.0, "cdot": 0.72, "qquad": 2.0, "quad": 1.0, "in": 1.2,
    "mid": 0.8, "le": 1.33, "ge": 1.33, "neq": 1.33, "to": 1.5, "dots": 1.3, "hspace": 0.0,
    "Gamma": 0.62, "Bigl": 0.2, "Bigr": 0.2, "left": 0.35, "right": 0.35, "Big": 0.05,
    "displaystyle": 0.0, "mathbf": 0.0, "mathrm": 0.0, "text": 0.0, "operatorname": 0.2, "mathit": 0.0,
    "boldsymbol": 0.0, "bar": 0.0, "hat": 0.0, "tilde": 0.0, "overline": 0.0, "mathbb": 0.1,
    "mathcal": 0.1, "bigl": 0.05, "bigr": 0.05, "partial": 0.55, "ell": 0.42, "limits": 0.0,
    "lambda": 0.58, "mu": 0.6, "sigma": 0.57, "lceil": 0.45, "rceil": 0.45, "lfloor": 0.45,
    "rfloor": 0.45,
}  # fmt: skip
_CHARACTERS = {
    "=": 1.33, "+": 1.22, "-": 1.22, "<": 1.33, ">": 1.33, ",": 0.45, "(": 0.39, ")": 0.39, "|": 0.28,
    "[": 0.28, "]": 0.28, "/": 0.5, "!": 0.28, "'": 0.3, ".": 0.28, "\\": 0.3, ";": 0.45, ":": 0.8,
}  # fmt: skip
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[{}^_&]|\s+|.", re.DOTALL)


def _group(tokens: list[str], start: int) -> tuple[list[str], int]:
    """The tokens of the argument that begins at `start`, and where it ends."""
    while start < len(tokens) and tokens[start].isspace():
        start += 1
    if start >= len(tokens):
        return [], start
    if tokens[start] != "{":
        return [tokens[start]], start + 1
    depth, place = 0, start
    while place < len(tokens):
        depth += {"{": 1, "}": -1}.get(tokens[place], 0)
        place += 1
        if depth == 0:
            break
    return tokens[start + 1 : place - 1], place


def _measure(tokens: list[str]) -> float:
    total, place, limits = 0.0, 0, False
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if token in (r"\frac", r"\dfrac", r"\tfrac", r"\binom"):
            above, place = _group(tokens, place)
            below, place = _group(tokens, place)
            total += max(_measure(above), _measure(below)) * (0.7 if token == r"\tfrac" else 1.0) + 0.25
        elif token == r"\sqrt":
            inside, place = _group(tokens, place)
            total += _measure(inside) + 0.9
        elif token in ("^", "_"):
            script, place = _group(tokens, place)
            size = 0.72 * _measure(script)
            total += max(0.0, size - 1.45) / 2 if limits else size * (0.5 if _follows(tokens, place) else 1.0)
            continue
        elif token in (r"\begin", r"\end"):
            _, place = _group(tokens, place)
            total += 0.6
        elif token.startswith("\\") and token[1:].isalpha():
            total += _COMMANDS.get(token[1:], 0.6)
        elif token in (r"\,", r"\;", r"\:"):
            total += 0.2
        elif token not in "{}&" and not token.isspace():
            total += _CHARACTERS.get(token, 0.5 if token.isdigit() else 0.56)
        limits = token in (r"\sum", r"\prod", r"\max", r"\min")
    return total


def _follows(tokens: list[str], place: int) -> bool:
    """Whether another script stands at the same place (x_i^2): both share the width."""
    return place < len(tokens) and tokens[place] in "^_"


def width(text: str) -> float:
    r"""The printed width of a displayed formula in em (1 em = 10 pt at 10 pt).

    Examples
    --------
    >>> width("x + y") < width(r"\\frac{x + y + z}{2}")
    True
    """
    rows = text.split(r"\\") if r"\begin" in text else [text]
    if len(rows) > 1 and "&" in text:
        columns = max(row.count("&") for row in rows) + 1
        cells = [[_measure(_TOKEN.findall(c)) for c in row.split("&")] for row in rows]
        return sum(max((r[c] for r in cells if c < len(r)), default=0.0) + 1.0 for c in range(columns))
    return max(_measure(_TOKEN.findall(row)) for row in rows)


@dataclass(frozen=True)
class Piece:
    """Part of a formula before which a line may be broken."""

    text: str
    depth: int = 0  # open brackets before it: the continuation is indented further


def lines_of(pieces: list[Piece], room: float, first_room: float | None = None) -> list[tuple[int, str]]:
    """Pieces packed into lines of at most `room` em: (depth, text) a line."""
    lines: list[tuple[int, str]] = []
    current, depth, left = "", 0, room if first_room is None else first_room
    for piece in pieces:
        joined = f"{current} {piece.text}".strip()
        if current and width(joined) > left:
            lines.append((depth, current))
            current, depth, left = piece.text, piece.depth, room - 1.0 - piece.depth
        else:
            current = joined
    return [*lines, (depth, current)]
