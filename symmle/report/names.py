"""How symbols are named in print: Greek letters, subscripts, indices; in LaTeX and in Unicode."""

from __future__ import annotations

import re
import unicodedata

_LETTERS = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon
    phi chi psi omega
"""
_GREEK = frozenset(_LETTERS.split())
_CAPITALS = {"Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"}
_SPELLINGS = {"lam": "lambda", "lamda": "lambda", "lambd": "lambda", "eps": "epsilon", "lambda_": "lambda"}
_LATEX = {"epsilon": r"\varepsilon", "omicron": "o"}
_SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_SUPERSCRIPTS = dict(zip("0123456789+-=()in", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁱⁿ", strict=True))


def split_name(name: str) -> tuple[str, tuple[str, ...]]:
    """The letter and the subscripts of a symbol's name: mu1 -> mu, 1; x_prev -> x, prev; xm -> x, m."""
    name = _SPELLINGS.get(name, name)
    head, *subscripts = [part for part in name.split("_") if part] or [name]
    digits = re.fullmatch(r"([^\W\d]+)(\d+)", head)
    if digits:
        head, subscripts = digits.group(1), [digits.group(2), *subscripts]
    head = _SPELLINGS.get(head, head)
    if head in _GREEK or head in _CAPITALS or len(head) == 1:
        return head, tuple(_SPELLINGS.get(s, s) for s in subscripts)
    for letter in sorted((*_GREEK, *_CAPITALS, *_SPELLINGS), key=len, reverse=True):
        if head.startswith(letter) and len(letter) > 2 and len(head) - len(letter) <= 2:
            return _SPELLINGS.get(letter, letter), (head[len(letter) :], *subscripts)
    if len(head) == 2 and head.isascii() and head.isalpha() and not subscripts:
        return head[0], (head[1],)
    return head, tuple(subscripts)


def _latex_letter(letter: str) -> str:
    if letter in _LATEX:
        return _LATEX[letter]
    if letter in _GREEK or letter in _CAPITALS:
        return "\\" + letter
    if len(letter) == 1:
        return letter
    return rf"\mathit{{{_escape(letter)}}}"


def _escape(text: str) -> str:
    return re.sub(r"([_%&#${}])", r"\\\1", text)


def _latex_subscript(text: str) -> str:
    if text.isdigit() or len(text) == 1 or text in _GREEK:
        return _latex_letter(text) if not text.isdigit() else text
    return rf"\mathrm{{{_escape(text)}}}"


def latex_name(name: str, accent: str = "", index: str = "") -> str:
    r"""`mu1` with accent `hat` -> \hat{\mu}_{1}; `x` with index `i` -> x_{i}."""
    letter, subscripts = split_name(name)
    body = _latex_letter(letter)
    if accent:
        wide = accent == "bar" and len(letter) > 1 and letter not in _GREEK
        body = rf"\{'overline' if wide else accent}{{{body}}}"
    below = [_latex_subscript(s) for s in subscripts] + ([index] if index else [])
    if not below:
        return body
    joined = ",".join(below)
    return f"{body}_{joined}" if len(joined) == 1 else f"{body}_{{{joined}}}"


def marked_latex(name: str, mark: str, indexed: bool) -> str:
    """A column of one number a branch: r_1 -> r_{i1}."""
    letter, _ = split_name(name)
    return f"{_latex_letter(letter)}_{{{'i' if indexed else ''}{',' if len(mark) > 1 else ''}{mark}}}"


def renewed_latex(text: str) -> str:
    """The new value of a parameter in an iteration."""
    return f"{text}^{{(t+1)}}"


def _unicode_letter(letter: str) -> str:
    if letter in _GREEK:
        return unicodedata.lookup(f"GREEK SMALL LETTER {letter.replace('lambda', 'lamda').upper()}")
    if letter in _CAPITALS:
        return unicodedata.lookup(f"GREEK CAPITAL LETTER {letter.replace('Lambda', 'Lamda').upper()}")
    return letter


def unicode_subscript(text: str) -> str:
    if all(c in _SUBSCRIPTS for c in text):
        return "".join(_SUBSCRIPTS[c] for c in text)
    return "_" + text


def unicode_superscript(text: str) -> str | None:
    """The text in raised characters, None where some have none."""
    return "".join(_SUPERSCRIPTS[c] for c in text) if all(c in _SUPERSCRIPTS for c in text) else None


def unicode_name(name: str, accent: str = "", index: str = "") -> str:
    letter, subscripts = split_name(name)
    mark = {"hat": "\u0302", "bar": "\u0304", "": ""}[accent]
    body = "".join(c + mark for c in _unicode_letter(letter))
    below = [_unicode_letter(s) for s in subscripts] + ([index] if index else [])
    return body + "".join(unicode_subscript(s) for s in below)


def marked_unicode(name: str, mark: str, indexed: bool) -> str:
    letter, _ = split_name(name)
    return _unicode_letter(letter) + unicode_subscript(("i" if indexed else "") + mark)


def renewed_unicode(text: str) -> str:
    return f"{text}⁽ᵗ⁺¹⁾"
