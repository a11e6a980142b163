"""SymPy objects as plain JSON-able data, and back, without ever parsing or evaluating text.

An expression is a nested list that begins with the name of its class; the names are a whitelist, and
nothing is evaluated on the way back, so that hostile data gets a `ModelError` and nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy
from sympy import (
    Basic,
    Dummy,
    Float,
    ImmutableDenseMatrix,
    Integer,
    MutableDenseMatrix,
    Rational,
    S,
    Symbol,
    Tuple,
)
from sympy.core.assumptions import _assume_defined
from sympy.core.symbol import Str
from sympy.external.gmpy import MPZ
from sympy.functions.elementary.piecewise import ExprCondPair
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from symmle import sample
from symmle.errors import ModelError

DEEPEST = 250  # levels of nesting; a derivation's expressions stay far below
PLAIN_INTEGER = 2**53  # above it a JSON reader may round: written as text

# Built with evaluate=False, so that they come back as they were.
_UNEVALUATED = """
    Add Mul Pow Piecewise Eq Ne Lt Le Gt Ge Union Intersection Complement Max Min Mod exp log sin
    cos tan cot sec csc asin acos atan acot atan2 sinh cosh tanh coth sech csch asinh acosh atanh
    acoth sinc gamma loggamma digamma trigamma polygamma lowergamma uppergamma beta betainc
    betainc_regularized erf erfc erfi erf2 erfinv erfcinv erf2inv Ei expint li Li Si Ci Shi Chi
    besselj bessely besseli besselk airyai airybi LambertW zeta dirichlet_eta polylog lerchphi
    stieltjes factorial factorial2 subfactorial binomial RisingFactorial FallingFactorial harmonic
    bernoulli Abs sign floor ceiling frac re im conjugate arg Heaviside DiracDelta KroneckerDelta
    elliptic_k elliptic_e elliptic_f
"""
# Built as they are: their constructors keep canonical arguments.
_AS_GIVEN = """
    And Or Not Xor Implies Equivalent ITE Contains Interval FiniteSet Range ProductSet Tuple Sum
    Product Integral Indexed IndexedBase Idx hyper meijerg appellf1
"""
_SINGLETONS = """
    Infinity NegativeInfinity ComplexInfinity NaN Exp1 ImaginaryUnit Pi EulerGamma Catalan
    GoldenRatio TribonacciConstant Reals Integers Naturals Naturals0 Rationals Complexes EmptySet
    UniversalSet
"""
_OPERATORS = (
    sample.Count,
    sample.Total,
    sample.Mean,
    sample.Minimum,
    sample.Maximum,
    sample.Median,
    sample.Quantile,
    sample.WeightedQuantile,
)


def _unevaluated(cls: type) -> Callable[..., Any]:
    return lambda *arguments: cls(*arguments, evaluate=False)


def _known_classes() -> dict[type, tuple[str, Callable[..., Any]]]:
    known: dict[type, tuple[str, Callable[..., Any]]] = {}
    for name in _UNEVALUATED.split():
        cls = getattr(sympy, name)
        known[cls] = (name, _unevaluated(cls))
    for name in _AS_GIVEN.split():
        cls = getattr(sympy, name)
        known[cls] = (name, cls)
    for cls in _OPERATORS:
        known[cls] = (cls.__name__, cls)
    known[ExprCondPair] = ("ExprCondPair", ExprCondPair)
    return known


_CLASSES = _known_classes()
_BUILDERS = dict(_CLASSES.values())
_CONSTANTS = {getattr(S, name): name for name in _SINGLETONS.split()}
_MATRICES = {"ImmutableDenseMatrix": ImmutableDenseMatrix, "MutableDenseMatrix": MutableDenseMatrix}


def expression_to_plain(expression: Any, depth: int = 0) -> Any:
    """A SymPy object as nested lists of names, integers and text.

    Raises
    ------
    ModelError
        If a class occurs that is not on the list of known ones.
    """
    if depth > DEEPEST:
        raise ModelError(
            f"The expression is nested more than {DEEPEST} levels deep; simplify it before it is stored."
        )
    if isinstance(expression, Integer):
        number = int(expression)
        return number if abs(number) <= PLAIN_INTEGER else ["Integer", str(number)]
    if isinstance(expression, Rational):
        return ["Rational", str(expression.p), str(expression.q)]
    if isinstance(expression, Float):
        sign, mantissa, exponent, bits = expression._mpf_
        return ["Float", int(sign), str(mantissa), int(exponent), int(bits), int(expression._prec)]
    if isinstance(expression, BooleanTrue | BooleanFalse):
        return ["Boolean", bool(expression)]
    if isinstance(expression, Symbol) and type(expression) in (Symbol, Dummy):
        assumptions = dict(sorted(expression._assumptions_orig.items()))
        if isinstance(expression, Dummy):
            return ["Dummy", expression.name, expression.dummy_index, assumptions]
        return ["Symbol", expression.name, assumptions]
    if isinstance(expression, ImmutableDenseMatrix | MutableDenseMatrix):
        entries = [expression_to_plain(e, depth + 1) for e in expression.flat()]
        return [type(expression).__name__, expression.rows, expression.cols, *entries]
    if isinstance(expression, Basic) and expression in _CONSTANTS:
        return ["Constant", _CONSTANTS[expression]]
    if isinstance(expression, Tuple):  # also its kin in hypergeometric functions
        return ["Tuple", *(expression_to_plain(a, depth + 1) for a in expression.args)]
    if type(expression) is Str:
        return ["Str", expression.name]
    known = _CLASSES.get(type(expression))
    if known is None:
        raise ModelError(
            f"'{type(expression).__name__}' in {expression} is not among the objects that can be stored; "
            "write the expression in elementary, gamma-type and Lambert W functions."
        )
    return [known[0], *(expression_to_plain(a, depth + 1) for a in expression.args)]


def stored_integer(value: Any) -> int:
    """The integer that was stored as a number or as its digits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ModelError(f"Expected an integer in stored data, got {value!r}.")
    if isinstance(value, str) and not (
        value.isascii() and value.lstrip("-").isdigit() and len(value) <= 4000
    ):
        raise ModelError(f"Expected the digits of an integer in stored data, got {value[:40]!r}.")
    return int(value)


def _assumptions(value: Any) -> dict[str, bool]:
    if not isinstance(value, dict) or any(
        k not in _assume_defined or not isinstance(v, bool) for k, v in value.items()
    ):
        raise ModelError(f"Expected assumptions of a symbol such as {{'positive': true}}, got {value!r}.")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 200:
        raise ModelError(f"Expected the name of a symbol in stored data, got {value!r}.")
    return value


def _build_atom(head: str, rest: list[Any]) -> Any:
    if head == "Integer":
        return Integer(stored_integer(rest[0]))
    if head == "Rational":
        numerator, denominator = stored_integer(rest[0]), stored_integer(rest[1])
        if denominator == 0:
            raise ModelError("A stored rational number has denominator 0.")
        return Rational(numerator, denominator)
    if head == "Float":
        sign, mantissa, exponent, bits, precision = (stored_integer(v) for v in rest)
        if not 1 <= precision <= 100_000 or abs(exponent) > 10**9:
            raise ModelError(f"A stored decimal number has an impossible precision or exponent: {rest!r}.")
        return Float._new((sign, MPZ(mantissa), exponent, bits), precision, zero=False)
    if head == "Boolean":
        if not isinstance(rest[0], bool):
            raise ModelError(f"Expected true or false in stored data, got {rest[0]!r}.")
        return S.true if rest[0] else S.false
    if head == "Symbol":
        return Symbol(_name(rest[0]), **_assumptions(rest[1]))
    if head == "Dummy":
        return Dummy(_name(rest[0]), dummy_index=stored_integer(rest[1]), **_assumptions(rest[2]))
    if head == "Str":
        return Str(_name(rest[0]))
    if rest[0] not in _CONSTANTS.values():
        raise ModelError(f"Unknown constant {rest[0]!r} in stored data.")
    return getattr(S, rest[0])


_ATOMS = {
    "Integer": 1,
    "Rational": 2,
    "Float": 5,
    "Boolean": 1,
    "Symbol": 2,
    "Dummy": 3,
    "Str": 1,
    "Constant": 1,
}


def expression_from_plain(plain: Any, depth: int = 0) -> Any:
    """The SymPy object that `expression_to_plain` wrote.

    Raises
    ------
    ModelError
        If a name is not on the list, or the data is not of the form that is written.
    """
    if depth > DEEPEST:
        raise ModelError(f"Stored data is nested more than {DEEPEST} levels deep.")
    if isinstance(plain, int) and not isinstance(plain, bool):
        return Integer(plain)
    if not isinstance(plain, list | tuple) or not plain or not isinstance(plain[0], str):
        raise ModelError(f"Expected a list that begins with the name of a SymPy class, got {plain!r:.80}.")
    head, rest = plain[0], list(plain[1:])
    if head in _ATOMS:
        if len(rest) != _ATOMS[head]:
            raise ModelError(f"'{head}' in stored data has {len(rest)} entries; expected {_ATOMS[head]}.")
        return _build_atom(head, rest)
    if head in _MATRICES:
        rows, columns = (stored_integer(v) for v in rest[:2])
        entries = [expression_from_plain(e, depth + 1) for e in rest[2:]]
        if rows < 0 or columns < 0 or rows * columns != len(entries):
            raise ModelError(f"A stored matrix has {len(entries)} entries; expected {rows} times {columns}.")
        return _MATRICES[head](rows, columns, entries)
    if head not in _BUILDERS:
        raise ModelError(f"Unknown class {head!r} in stored data; it was not written by symmle.")
    arguments = [expression_from_plain(a, depth + 1) for a in rest]
    try:
        return _BUILDERS[head](*arguments)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(f"Stored data does not make a '{head}': {error}.") from error
