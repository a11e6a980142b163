"""Names, and how what a user wrote is shown in an error."""

from __future__ import annotations

import keyword
import unicodedata

from symmle.declare.functions import CONSTANTS
from symmle.errors import ModelError


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean ...?`, or nothing."""
    from difflib import get_close_matches  # for errors alone: the import takes milliseconds

    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def shown(text: object, width: int = 60) -> str:
    """A short printable form of what a user wrote."""
    plain = str(text)[: 4 * width].encode("ascii", "backslashreplace").decode()
    plain = "".join(c if c.isprintable() else " " for c in plain)
    return plain if len(plain) <= width else plain[: width - 3] + "..."


def check_name(name: object, what: str = "a name") -> str:
    """The name itself, if a symbol of a model may bear it; a ModelError otherwise."""
    if not isinstance(name, str):
        raise ModelError(f"Expected {what} as text, got {shown(repr(name))}. Write it as a string.")
    if keyword.iskeyword(name):
        hint = "write lam" if name == "lambda" else "choose another name"
        raise ModelError(f"Expected {what}, got `{name}`, a keyword of Python: {hint}.")
    normal = len(name) <= 100 and unicodedata.normalize("NFKC", name) == name
    if not normal or not name.isidentifier() or name.startswith("__"):
        raise ModelError(
            f"Expected {what} made of letters, digits and underscores, got `{shown(name)}`. Rename it."
        )
    if name in CONSTANTS and name != "E":
        raise ModelError(f"Expected {what}, got `{name}`, which is a number. Choose another name.")
    return name
