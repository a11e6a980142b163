"""The safe parser: what a text means, and that a hostile text is an error at once."""

from __future__ import annotations

import time

import pytest
from sympy import (
    Abs,
    Eq,
    Expr,
    Piecewise,
    Rational,
    Sum,
    Symbol,
    besseli,
    binomial,
    exp,
    factorial,
    gamma,
    log,
    oo,
    pi,
    sqrt,
)

from symmle.declare.parser import parse_expression
from symmle.declare.words import check_name
from symmle.errors import ModelError

x, a, b, m = (Symbol(n, positive=True) for n in "xabm")
NAMES: dict[str, Expr] = {"x": x, "a": a, "b": b, "m": m}
j = Symbol("j", integer=True, nonnegative=True)

MEANS = [
    ("0.3*x", 3 * x / 10),
    ("1e-3", Rational(1, 1000)),
    ("0.1234567890123456789", Rational("0.1234567890123456789")),
    ("1_000*x", 1000 * x),
    ("3/2", Rational(3, 2)),
    ("Rational(1, 3)", Rational(1, 3)),
    ("-x**2", -(x**2)),
    ("2**-x", 2 ** (-x)),
    ("a*exp(-a*x)", a * exp(-a * x)),
    ("x**(a - 1)*exp(-x/b)/(gamma(a)*b**a)", x ** (a - 1) * exp(-x / b) / (gamma(a) * b**a)),
    ("log(x)/sqrt(2*pi)", log(x) / sqrt(2 * pi)),
    ("Abs(x - a)", Abs(x - a)),
    ("besseli(0, a*x)", besseli(0, a * x)),
    ("binomial(m, x)/factorial(x)", binomial(m, x) / factorial(x)),
    ("Sum(a**j/factorial(j), (j, 0, oo))", Sum(a**j / factorial(j), (j, 0, oo))),
    ("Piecewise((a, Eq(x, 1)), (b, True))", Piecewise((a, Eq(x, 1)), (b, True))),
    ("Piecewise((a, x == 1), (b, True))", Piecewise((a, Eq(x, 1)), (b, True))),
    (
        "Piecewise((a, (x > 1) & (x < 2) | Eq(x, 5)), (b, True))",
        Piecewise((a, (x > 1) & (x < 2) | Eq(x, 5)), (b, True)),
    ),
    ("Piecewise((a, 1 < x < 2), (b, True))", Piecewise((a, (x > 1) & (x < 2)), (b, True))),
    ("x +\n  a", x + a),
]


@pytest.mark.parametrize(("text", "meaning"), MEANS)
def test_meaning(text: str, meaning: Expr) -> None:
    assert parse_expression(text, NAMES) == meaning


HOSTILE = [
    "x.__class__",
    "x.__class__.__bases__[0].__subclasses__()",
    "().__class__",
    "__import__('os').system('true')",
    "__import__(os)",
    "eval(x)",
    "exec(x)",
    "open(x)",
    "getattr(x, a)",
    "print(x)",
    "lambda: x",
    "(lambda y: y)(x)",
    "[x for x in a]",
    "{x: a}",
    "{x}",
    "[x, a]",
    "(x, a)",
    "f'{x}'",
    "'x'",
    '"""x"""',
    "b'x'",
    "x if a else b",
    "x := 3",
    "x; a",
    "import os",
    "yield x",
    "await x",
    "*x",
    "exp(*x)",
    "exp(**x)",
    "exp(x=1)",
    "exp(x, evaluate=1)",
    "x[0]",
    "x @ a",
    "x // a",
    "x % a",
    "x ^ 2",
    "x << 3",
    "exp",
    "exp(exp)",
    "nan",
    "True",
    "None",
    "...",
    "1j",
    "0x10",
    "0b1",
    "x > 0 & a > 0",
    "x and a",
    "x is a",
    "x in a",
    "x not in (a, b)",
    "9**9**9**9",
    "10**10**8",
    "2**(2**(2**(2**2)))",
    "x**100000",
    "((10**60*x)**1000)**1000",
    "((x + 1)**1000)**1000",
    "factorial(10**9)",
    "factorial(factorial(10))",
    "binomial(10**9, 10**8)",
    "gamma(10**8)",
    "exp(exp(exp(1000)))",
    "floor(exp(10**8))",
    "floor(exp(10)**1000)",
    "zeta(10**6)",
    "uppergamma(1000, x)",
    "RisingFactorial(x, 100000)",
    "harmonic(10**8)",
    "Sum(j, (j, 0, 10**12))",
    "Sum(x, (x, 0, 3))",
    "Sum(j, j)",
    "Sum(j, (j, 0.5, 2))",
    "Sum(j, ((j, 0), 1, 2))",
    "1" * 100,
    "1e9999",
    "1e999999999",
    "1/0",
    "x/(a - a)",
    "0**-1",
    "log(-1)",
    "sqrt(-x)",
    "oo*x",
    "",
    "   ",
    "\x00",
    "x\u200b",
    "\uff58",
    "\u2460 + x",
    "x\u00b2",
    "(" * 5000,
    "(" * 80 + "x" + ")" * 80,
    "-" * 9000 + "x",
    "- " * 4000 + "x",
    "not " * 2000 + "x",
    "1+" * 4999 + "1",
    "x**" * 2000 + "x",
    "sqrt(1+" * 59 + "x" + ")" * 59,
    "x" * 1_000_000,
    "(" * 1_000_000,
    "a(x)",
    "a (x)",
    "gama(x)",
    "y*x",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: repr(t[:24]))
def test_hostile_text_is_an_error_at_once(text: str) -> None:
    before = time.perf_counter()
    with pytest.raises(ModelError) as caught:
        parse_expression(text, NAMES, "the density")
    assert time.perf_counter() - before < 2.0  # computing any of them would take minutes or for ever
    message = str(caught.value)
    assert message.startswith("Expected") and len(message) < 700 and message.isascii()


@pytest.mark.parametrize("given", [None, True, b"x", ["x"], {"x": 1}, object()])
def test_other_types_are_errors(given: object) -> None:
    with pytest.raises(ModelError, match="as text"):
        parse_expression(given, NAMES)


HINTS = [
    ("lambda*x", "write lam"),
    ("gama(x)", "did you mean `gamma`"),
    ("a(x)", "shadows a function"),
    ("y", "Declare it as data, parameter"),
    ("x ^ 2", r"a power is \*\*"),
    ("exp", r"Write exp\(\.\.\.\)"),
    ("gamma(x, a)", "1 arguments"),
    ("x + y*2", "at character 5"),
    ("x > 0 & a > 0", "brackets around each comparison"),
]


@pytest.mark.parametrize(("text", "hint"), HINTS)
def test_an_error_says_what_to_do(text: str, hint: str) -> None:
    with pytest.raises(ModelError, match=hint):
        parse_expression(text, NAMES)


def test_a_declared_name_shadows_a_function() -> None:
    beta = Symbol("beta", positive=True)
    assert parse_expression("beta*x", {"beta": beta, "x": x}) == beta * x
    with pytest.raises(ModelError, match="shadows"):
        parse_expression("beta(x, 2)", {"beta": beta, "x": x})
    assert parse_expression("E*x", {"E": a, "x": x}) == a * x


@pytest.mark.parametrize(
    "name", ["lambda", "if", "a b", "", "1a", "__x", "pi", "oo", "\uff58", "a-b", 3, None]
)
def test_names_that_no_symbol_may_bear(name: object) -> None:
    with pytest.raises(ModelError):
        check_name(name)


@pytest.mark.parametrize("name", ["x", "x_prev", "N", "E", "S", "beta", "pi_a", "\u03c3"])
def test_names(name: str) -> None:
    assert check_name(name) == name
