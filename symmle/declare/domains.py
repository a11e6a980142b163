"""Supports and parameter domains: text or SymPy sets -> canonical sets, and the facts that follow.

Canonical sets are Interval, Range (step 1) and FiniteSet; their bounds may name symbols.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sympy import Expr, FiniteSet, Interval, Range, Rational, S, Set, Symbol, Tuple
from sympy.core.numbers import Float

from symmle.declare.parser import parse_expression
from symmle.declare.words import shown
from symmle.errors import ModelError

NAMED_SETS: dict[str, Set] = {
    "real": Interval(-S.Infinity, S.Infinity),
    "positive": Interval.open(0, S.Infinity),
    "nonnegative": Interval(0, S.Infinity),
    "negative": Interval.open(-S.Infinity, 0),
    "nonpositive": Interval(-S.Infinity, 0),
    "integer": Range(-S.Infinity, S.Infinity),
}
FORMS = 'real, positive, nonnegative, "(a, b)", "[a, b)", "integer >= 1", "{0, 1}", "{0..oo}"'


def exact(expression: Any) -> Any:
    """Floating-point numbers as the rationals that they are written as: 0.3 is 3/10."""
    if not hasattr(expression, "has") or not expression.has(Float):
        return expression
    return expression.xreplace({f: _written(f) for f in expression.atoms(Float)})


def _written(number: Float) -> Expr:
    text = repr(float(number)) if number._prec <= 53 else str(number)
    if text in ("inf", "-inf", "nan"):
        return Rational(str(number))
    return Rational(text)


def parse_set(text: object, names: Mapping[str, Expr], what: str = "the domain") -> Set:
    """The set that a text means.

    Parameters
    ----------
    text : str
        One of ``real``, ``positive``, ``nonnegative``, ``negative``, ``integer``, ``integer >= k``,
        ``(a, b)`` with round or square brackets, ``{a, b, c}``, ``{a..b}``.
    names : mapping of str to Expr
        Symbols that bounds may name.
    what : str
        What the set is for, for the message of an error.

    Examples
    --------
    >>> parse_set("[0, 1)", {})
    Interval.Ropen(0, 1)
    >>> parse_set("{0..3}", {})
    Range(0, 4, 1)
    """
    if not isinstance(text, str):
        raise ModelError(f"Expected {what} as text, got {shown(repr(text))}. Write one of: {FORMS}.")
    if len(text) > 2_000:
        raise ModelError(f"Expected {what} of at most 2000 characters, got {len(text)}. Shorten it.")
    plain = " ".join(text.split())
    if plain in NAMED_SETS:
        return NAMED_SETS[plain]
    match = re.fullmatch(
        r"integer (>=|>|<=|<) (.+)", re.sub(r"(>=|<=|>(?!=)|<(?!=))", r" \1 ", plain).replace("  ", " ")
    )
    if match:
        bound = parse_expression(match[2], names, f"the bound of {what}")
        sign = match[1]
        if sign in (">=", ">"):
            return _range(bound + (sign == ">"), S.Infinity, text, what)
        return _range(-S.Infinity, bound - (sign == "<"), text, what)
    if len(plain) >= 2 and plain[0] == "{" and plain[-1] == "}":
        return _braces(plain[1:-1], names, text, what)
    if len(plain) >= 2 and plain[0] in "([" and plain[-1] in ")]":
        parts = _split(plain[1:-1])
        if len(parts) == 2:
            low, high = (parse_expression(p, names, f"a bound of {what}", infinite=True) for p in parts)
            return _interval(low, high, plain[0] == "(", plain[-1] == ")", text, what)
    raise ModelError(
        f"Expected {what} as one of {FORMS}; got `{shown(text)}`. Rewrite it in one of these forms."
    )


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _braces(inside: str, names: Mapping[str, Expr], text: str, what: str) -> Set:
    if ".." in inside:
        bounds = re.split(r"\.\.+", inside)
        if len(bounds) != 2:
            raise ModelError(f"Expected {what} as {{first..last}}, got `{shown(text)}`. Write two bounds.")
        low, high = (parse_expression(b, names, f"a bound of {what}", infinite=True) for b in bounds)
        return _range(low, high, text, what)
    elements = [parse_expression(part, names, f"an element of {what}") for part in _split(inside)]
    return FiniteSet(*elements)


def _interval(low: Expr, high: Expr, left: bool, right: bool, text: object, what: str) -> Set:
    try:
        made = Interval(low, high, left, right)
    except (ValueError, TypeError, NotImplementedError):
        raise ModelError(f"Expected {what} with real bounds, got `{shown(text)}`. Mend the bounds.") from None
    return not_empty(made, text, what)


def _range(low: Expr, high: Expr, text: object, what: str) -> Set:
    for bound in (low, high):
        if (bound.is_integer is False and not bound.is_infinite) or (
            bound.free_symbols and not bound.is_integer
        ):
            raise ModelError(
                f"Expected {what} with whole bounds, got `{shown(text)}`, whose bound {bound} need not "
                "be a whole "
                "number. Declare its symbols as integers (a parameter with domain `integer >= 1`)."
            )
    try:
        made = Range(low, high if high.is_infinite else high + 1)
    except (ValueError, TypeError):
        raise ModelError(
            f"Expected {what} with whole bounds, got `{shown(text)}`. Mend the bounds."
        ) from None
    return not_empty(made, text, what)


def not_empty(made: Set, text: object, what: str) -> Set:
    """The set, if SymPy does not know it to be empty."""
    bare = isinstance(made, Range) and (lower(made) - upper(made)).is_positive
    if made is S.EmptySet or made == Range(0) or bare:
        raise ModelError(
            f"Expected {what} with something in it, got `{shown(text)}`, which is empty. Swap the bounds?"
        )
    return made


def canonical_set(given: Any, what: str) -> Set:
    """A SymPy set as Interval, Range or FiniteSet; a ModelError for any other."""
    if isinstance(given, (tuple, list, Tuple)) and len(given) == 2:
        return canonical_set(Interval.open(*given), what)
    if isinstance(given, (set, frozenset, range)):
        given = FiniteSet(*given)
    if not isinstance(given, Set):
        raise ModelError(
            f"Expected {what} as a SymPy set or a text, got {shown(repr(given))}. Pass Interval(a, b)."
        )
    made: Set = exact(given)
    if made is S.Naturals:
        return Range(1, S.Infinity)
    if made is S.Naturals0:
        return Range(0, S.Infinity)
    if made is S.Integers:
        return NAMED_SETS["integer"]
    if made is S.Reals:
        return NAMED_SETS["real"]
    not_empty(made, given, what)
    if isinstance(made, Range) and made.step == 1:
        return made
    if isinstance(made, (Interval, FiniteSet)) and not made.has(S.NaN):
        return made
    raise ModelError(
        f"Expected {what} as an Interval, a Range of step 1 or a FiniteSet, got {shown(given)}. Use one "
        "of these."
    )


def lower(domain: Set) -> Expr:
    """The greatest lower bound, as an expression (Min of the elements of a finite set)."""
    if isinstance(domain, Interval):
        return domain.start
    if isinstance(domain, Range):
        return domain.start
    return min(domain.args, key=lambda e: e.sort_key()) if domain.free_symbols else domain.inf


def upper(domain: Set) -> Expr:
    """The least upper bound, as an expression."""
    if isinstance(domain, Interval):
        return domain.end
    if isinstance(domain, Range):
        return domain.stop if domain.stop.is_infinite else domain.stop - 1
    return max(domain.args, key=lambda e: e.sort_key()) if domain.free_symbols else domain.sup


def is_discrete(domain: Set) -> bool:
    return isinstance(domain, (Range, FiniteSet))


def assumptions_of(domain: Set, *, data: bool = False) -> dict[str, bool]:
    """What a symbol of this set is known to be.

    A data symbol of a continuous support is not at its edge, almost surely: [0, oo) makes it
    positive, while a parameter of [0, oo) is nonnegative.
    """
    facts: dict[str, bool] = {}
    if isinstance(domain, FiniteSet):
        if all(e.is_integer for e in domain.args):
            facts["integer"] = True
        for fact in ("positive", "negative", "nonnegative", "nonpositive"):
            if all(getattr(e, f"is_{fact}") for e in domain.args):
                facts[fact] = True
                break
        return facts or {"real": True}
    low, high = lower(domain), upper(domain)
    if isinstance(domain, Range):
        facts["integer"] = True
        left = right = False
    else:
        left, right = (data or bool(domain.left_open)), (data or bool(domain.right_open))
    if low.is_positive or (left and low.is_nonnegative):
        facts["positive"] = True
    elif high.is_negative or (right and high.is_nonpositive):
        facts["negative"] = True
    elif low.is_nonnegative:
        facts["nonnegative"] = True
    elif high.is_nonpositive:
        facts["nonpositive"] = True
    return facts or {"real": True}


def set_of_assumptions(symbol: Symbol, what: str) -> Set:
    """The set that the assumptions of a user's symbol mean; the real line for a plain symbol."""
    for fact in ("even", "odd", "prime", "composite"):
        if symbol.assumptions0.get(fact) and not symbol.is_zero:
            raise ModelError(
                f"Expected {what} with a set, got a symbol that is {fact}. Pass its set, as Range(0, 9)."
            )
    if symbol.is_extended_real is False or symbol.is_zero or symbol.is_infinite:
        raise ModelError(
            f"Expected {what} to be a real symbol, got assumptions that forbid it. Use Symbol(..., "
            "real=True)."
        )
    if symbol.is_integer:
        if symbol.is_positive:
            return Range(1, S.Infinity)
        if symbol.is_nonnegative:
            return Range(0, S.Infinity)
        if symbol.is_negative:
            return Range(-S.Infinity, 0)
        return NAMED_SETS["integer"]
    for fact in ("positive", "negative", "nonnegative", "nonpositive"):
        if getattr(symbol, f"is_{fact}"):
            return NAMED_SETS[fact]
    return NAMED_SETS["real"]


def written_set(domain: Set) -> str:
    """A set as a model file writes it: `(0, oo)`, `{0..m}`, `{1/4, 3/4}`."""
    if isinstance(domain, Interval):
        left = "(" if domain.left_open else "["
        return f"{left}{domain.start}, {domain.end}{')' if domain.right_open else ']'}"
    if isinstance(domain, Range):
        return f"{{{lower(domain)}..{upper(domain)}}}"
    return "{" + ", ".join(str(e) for e in domain.args) + "}"
