"""The symbols of a model: the facts that they carry, the values of constants, plain expressions."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Set, Symbol, sympify

from symmle.declare.domains import assumptions_of, exact
from symmle.declare.parser import parse_expression
from symmle.declare.words import shown
from symmle.errors import ModelError

SIGNS = ("positive", "negative", "nonnegative", "nonpositive", "integer")


def is_random(given: Any) -> bool:
    """Whether this is a random variable of `sympy.stats`, which is not imported for the question."""
    return type(given).__module__.startswith("sympy.stats")


def symbol_of(name: str, domain: Set, *, data: bool = False) -> Symbol:
    """The symbol of this name that carries what its set allows."""
    return Symbol(name, **assumptions_of(domain, data=data))


def constant_symbol(name: str, value: Expr | None) -> Symbol:
    """The symbol of a constant, with the sign and wholeness of its value."""
    if value is None:
        return Symbol(name, real=True)
    facts = {"integer": True} if value.is_integer else {}
    if value.is_positive:
        facts["positive"] = True
    elif value.is_negative:
        facts["negative"] = True
    elif value.is_zero:
        facts["nonnegative"] = True
    return Symbol(name, **(facts or {"real": True}))


def constant_value(given: Any, what: str) -> Expr | None:
    """The exact number of a constant; None stays None (it comes with the data)."""
    if given is None:
        return None
    if isinstance(given, (str, float)):
        value = parse_expression(given, {}, what)
    else:
        value = exact(sympified(given, what))
    if not value.is_number or not value.is_real or not value.is_finite:
        raise ModelError(f"Expected {what} to be a finite real number, got {shown(given)}. Pass a number.")
    return value


def sympified(given: Any, what: str) -> Expr:
    if isinstance(given, (str, bytes)):
        raise ModelError(
            f"Expected {what} as a SymPy expression, got the text `{shown(given)}`. "
            "Build it from symbols, or use Model.from_dict, which reads text."
        )
    try:
        made = sympify(given)
    except (TypeError, ValueError, AttributeError, RecursionError):
        made = None
    if not isinstance(made, Expr) or isinstance(given, bool) or getattr(made, "is_Matrix", False):
        raise ModelError(f"Expected {what} as a SymPy expression, got {shown(repr(given))}. Pass an Expr.")
    if any(is_random(s) for s in made.free_symbols):
        raise ModelError(
            f"Expected {what} in plain symbols, got a random variable. Use Model.from_random(X)."
        )
    return made
