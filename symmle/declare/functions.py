"""The functions and numbers that a text may name, by their SymPy names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Expr, S


@dataclass(frozen=True)
class KnownFunction:
    """A function with its number of arguments, and how large a constant argument may be.

    `largest` bounds what SymPy would compute on the spot; `exact` says that a constant argument
    must be rational (rounding would evaluate it to all its digits); `form` names the
    functions whose arguments are no plain expressions.
    """

    build: Callable[..., Any]
    fewest: int = 1
    most: int = 1
    largest: int = 10_000
    exact: bool = False
    form: str = ""


def _rational(p: Expr, q: Expr = S.One) -> Expr:
    if not (p.is_Rational and q.is_Rational and q != 0):
        raise ValueError("Rational takes one or two numbers")
    return p / q


CONSTANTS: dict[str, Expr] = {
    "pi": S.Pi,
    "E": S.Exp1,
    "oo": S.Infinity,
    "EulerGamma": S.EulerGamma,
    "Catalan": S.Catalan,
    "GoldenRatio": S.GoldenRatio,
}

_ONE = (
    "exp log ln cbrt Abs sign sin cos tan cot sec csc asin acos atan acot asec acsc sinh cosh tanh coth "
    "sech csch "
    "asinh acosh atanh acoth sinc erf erfc erfi erfinv erfcinv Ei li Si Ci Shi Chi airyai airybi Heaviside "
    "digamma trigamma dirichlet_eta elliptic_k"
)
_TWO = "atan2 besselj bessely besseli besselk polygamma polylog expint KroneckerDelta erf2"
_GROWING = "gamma loggamma factorial"
_RANGE = {"LambertW": (1, 2), "zeta": (1, 2), "elliptic_e": (1, 2), "elliptic_f": (2, 2), "lerchphi": (3, 3)}

FUNCTIONS: dict[str, KnownFunction] = {
    **{name: KnownFunction(getattr(sympy, name)) for name in _ONE.split()},
    **{name: KnownFunction(getattr(sympy, name), 2, 2, 50) for name in _TWO.split()},
    **{name: KnownFunction(getattr(sympy, name), 1, 1, 1_000) for name in _GROWING.split()},
    **{name: KnownFunction(getattr(sympy, name), *count, 100) for name, count in _RANGE.items()},
    "abs": KnownFunction(sympy.Abs),
    "sqrt": KnownFunction(sympy.sqrt),
    "factorial2": KnownFunction(sympy.factorial2, 1, 1, 1_000),
    "harmonic": KnownFunction(sympy.harmonic, 1, 2, 100),
    "beta": KnownFunction(sympy.beta, 2, 2, 1_000),
    "binomial": KnownFunction(sympy.binomial, 2, 2, 1_000),
    # expanded term by term when a number stands in them
    "uppergamma": KnownFunction(sympy.uppergamma, 2, 2, 30),
    "lowergamma": KnownFunction(sympy.lowergamma, 2, 2, 30),
    "RisingFactorial": KnownFunction(sympy.RisingFactorial, 2, 2, 50),
    "FallingFactorial": KnownFunction(sympy.FallingFactorial, 2, 2, 50),
    "rf": KnownFunction(sympy.rf, 2, 2, 50),
    "ff": KnownFunction(sympy.ff, 2, 2, 50),
    "floor": KnownFunction(sympy.floor, exact=True, largest=10**50),
    "ceiling": KnownFunction(sympy.ceiling, exact=True, largest=10**50),
    "frac": KnownFunction(sympy.frac, exact=True, largest=10**50),
    "Mod": KnownFunction(sympy.Mod, 2, 2, exact=True, largest=10**50),
    "Max": KnownFunction(sympy.Max, 1, 10),
    "Min": KnownFunction(sympy.Min, 1, 10),
    "Rational": KnownFunction(_rational, 1, 2),
    "Eq": KnownFunction(sympy.Eq, 2, 2),
    "Ne": KnownFunction(sympy.Ne, 2, 2),
    "Lt": KnownFunction(sympy.Lt, 2, 2),
    "Le": KnownFunction(sympy.Le, 2, 2),
    "Gt": KnownFunction(sympy.Gt, 2, 2),
    "Ge": KnownFunction(sympy.Ge, 2, 2),
    "And": KnownFunction(sympy.And, 1, 100, form="logical"),
    "Or": KnownFunction(sympy.Or, 1, 100, form="logical"),
    "Not": KnownFunction(sympy.Not, 1, 1, form="logical"),
    "Piecewise": KnownFunction(sympy.Piecewise, 1, 200, form="Piecewise"),
    "Sum": KnownFunction(sympy.Sum, 2, 2, form="Sum"),
    "Product": KnownFunction(sympy.Product, 2, 2, form="Product"),
    "hyper": KnownFunction(sympy.hyper, 3, 3, 100, form="hyper"),
}
