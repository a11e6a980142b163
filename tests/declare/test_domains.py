"""Sets from text and from SymPy, and the facts that follow from them."""

from __future__ import annotations

from typing import Any

import pytest
from sympy import (
    FiniteSet,
    Integers,
    Interval,
    Naturals,
    Naturals0,
    Range,
    Rational,
    Reals,
    S,
    Set,
    Symbol,
    oo,
    pi,
)

from symmle.declare.domains import (
    assumptions_of,
    canonical_set,
    lower,
    parse_set,
    set_of_assumptions,
    upper,
    written_set,
)
from symmle.errors import ModelError

theta = Symbol("theta", positive=True)
mu = Symbol("mu", real=True)
m = Symbol("m", integer=True, positive=True)
NAMES = {"theta": theta, "mu": mu, "m": m}
REAL, POSITIVE, NONNEGATIVE = {"real": True}, {"positive": True}, {"nonnegative": True}
WHOLE = {"integer": True}

# text, set, facts of a data symbol, facts of a parameter
ROWS: list[tuple[str, Set, dict[str, bool], dict[str, bool]]] = [
    ("real", Interval(-oo, oo), REAL, REAL),
    ("(-oo, oo)", Interval(-oo, oo), REAL, REAL),
    ("positive", Interval.open(0, oo), POSITIVE, POSITIVE),
    ("nonnegative", Interval(0, oo), POSITIVE, NONNEGATIVE),
    ("[0, oo)", Interval(0, oo), POSITIVE, NONNEGATIVE),
    ("(0, 1)", Interval.open(0, 1), POSITIVE, POSITIVE),
    ("[0, 1/2]", Interval(0, Rational(1, 2)), POSITIVE, NONNEGATIVE),
    ("[0.5, 2)", Interval.Ropen(Rational(1, 2), 2), POSITIVE, POSITIVE),
    ("(-1, 1)", Interval.open(-1, 1), REAL, REAL),
    ("(-oo, 0)", Interval.open(-oo, 0), {"negative": True}, {"negative": True}),
    ("(-oo, 0]", Interval(-oo, 0), {"negative": True}, {"nonpositive": True}),
    ("[-pi, pi]", Interval(-pi, pi), REAL, REAL),
    ("[theta, oo)", Interval(theta, oo), POSITIVE, POSITIVE),
    ("(0, theta)", Interval.open(0, theta), POSITIVE, POSITIVE),
    ("[-theta, 2*theta]", Interval(-theta, 2 * theta), REAL, REAL),
    ("(mu, oo)", Interval.open(mu, oo), REAL, REAL),
    ("integer", Range(-oo, oo), WHOLE, WHOLE),
    ("integer >= 1", Range(1, oo), WHOLE | POSITIVE, WHOLE | POSITIVE),
    ("integer>0", Range(1, oo), WHOLE | POSITIVE, WHOLE | POSITIVE),
    ("{0..oo}", Range(0, oo), WHOLE | NONNEGATIVE, WHOLE | NONNEGATIVE),
    ("{1..m}", Range(1, m + 1), WHOLE | POSITIVE, WHOLE | POSITIVE),
    ("{-oo..oo}", Range(-oo, oo), WHOLE, WHOLE),
    ("{0, 1}", FiniteSet(0, 1), WHOLE | NONNEGATIVE, WHOLE | NONNEGATIVE),
    ("{-1, 1}", FiniteSet(-1, 1), WHOLE, WHOLE),
    ("{1/4, 3/4}", FiniteSet(Rational(1, 4), Rational(3, 4)), POSITIVE, POSITIVE),
]


@pytest.mark.parametrize(("text", "meaning", "data", "parameter"), ROWS, ids=[r[0] for r in ROWS])
def test_text(text: str, meaning: Set, data: dict[str, bool], parameter: dict[str, bool]) -> None:
    found = parse_set(text, NAMES)
    assert found == meaning
    assert assumptions_of(found, data=True) == data
    assert assumptions_of(found) == parameter
    assert parse_set(written_set(found), NAMES) == found


BAD = [
    "(1, 0)",
    "{3..1}",
    "{0..theta}",
    "{0..1/2}",
    "foo",
    "(0, 1",
    "0, 1",
    "{}",
    "(0, )",
    "(a, b)",
    "(0, 1, 2)",
    "",
    "[0]",
]


@pytest.mark.parametrize(
    "text", [*BAD, "{1..2..3}", "integer >= x", "(0, __import__('os'))", "(" * 3000, 3, None]
)
def test_bad_text(text: Any) -> None:
    with pytest.raises(ModelError, match="Expected"):
        parse_set(text, NAMES)


@pytest.mark.parametrize(
    ("given", "meaning"),
    [
        (Reals, Interval(-oo, oo)),
        (Naturals, Range(1, oo)),
        (Naturals0, Range(0, oo)),
        (Integers, Range(-oo, oo)),
        (Interval(0, 0.5), Interval(0, Rational(1, 2))),
        (FiniteSet(0.25, 0.75), FiniteSet(Rational(1, 4), Rational(3, 4))),
        (Range(3), Range(0, 3)),
        ({0, 1}, FiniteSet(0, 1)),
    ],
)
def test_sympy_sets(given: Any, meaning: Set) -> None:
    assert canonical_set(given, "the support") == meaning


@pytest.mark.parametrize(
    "given", [S.EmptySet, S.Complexes, Range(0, 10, 2), Interval(0, 1) - FiniteSet(Rational(1, 2)), "x", 3]
)
def test_other_sets_are_errors(given: Any) -> None:
    with pytest.raises(ModelError, match="Expected"):
        canonical_set(given, "the support")


@pytest.mark.parametrize(
    ("facts", "meaning"),
    [
        ({}, Interval(-oo, oo)),
        ({"real": True}, Interval(-oo, oo)),
        ({"positive": True}, Interval.open(0, oo)),
        ({"nonnegative": True}, Interval(0, oo)),
        ({"negative": True}, Interval.open(-oo, 0)),
        ({"integer": True}, Range(-oo, oo)),
        ({"integer": True, "nonnegative": True}, Range(0, oo)),
        ({"integer": True, "positive": True}, Range(1, oo)),
    ],
)
def test_assumptions_as_sets(facts: dict[str, bool], meaning: Set) -> None:
    assert set_of_assumptions(Symbol("t", **facts), "t") == meaning


@pytest.mark.parametrize("facts", [{"imaginary": True}, {"zero": True}, {"even": True}, {"prime": True}])
def test_assumptions_without_a_set(facts: dict[str, bool]) -> None:
    with pytest.raises(ModelError):
        set_of_assumptions(Symbol("t", **facts), "t")


def test_bounds() -> None:
    assert (lower(Range(1, m + 1)), upper(Range(1, m + 1))) == (1, m)
    assert (lower(FiniteSet(3, -1)), upper(FiniteSet(3, -1))) == (-1, 3)
    assert upper(Range(0, oo)) == oo
