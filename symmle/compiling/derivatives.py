"""symmle's private mpmath context, and derivatives of special functions that SymPy leaves as they stand.

zeta'(s), d K_v(z)/dv, d polylog(s, z)/ds and the like have no name of their own; mpmath differentiates them
numerically at a raised precision (zeta by its own series).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from sympy import (
    Derivative,
    Expr,
    Function,
    S,
    besseli,
    besselj,
    besselk,
    bessely,
    lowergamma,
    polylog,
    sign,
    uppergamma,
    zeta,
)

from symmle.errors import NotDerivedError

# mpmath's functions raise and lower the precision of their context: one context, one lock.
PRECISION = 240
CONTEXT = mpmath.MPContext()
CONTEXT.prec = PRECISION
LOCK = threading.RLock()

_DERIVATIVES: dict[str, Callable[..., Any]] = {}  # by the name that stands in formulas

_SPECIAL: dict[type, Callable[..., Any]] = {
    zeta: lambda *a: CONTEXT.zeta(*a),
    polylog: lambda s, z: CONTEXT.polylog(s, z),
    besseli: lambda v, z: CONTEXT.besseli(v, z),
    besselj: lambda v, z: CONTEXT.besselj(v, z),
    besselk: lambda v, z: CONTEXT.besselk(v, z),
    bessely: lambda v, z: CONTEXT.bessely(v, z),
    uppergamma: lambda s, x: CONTEXT.gammainc(s, x),
    lowergamma: lambda s, x: CONTEXT.gammainc(s, 0, x),
}


def derivative_of_special(node: Derivative) -> Expr:
    """A named function for the derivative of a special function by one of its arguments.

    Raises
    ------
    NotDerivedError
        The function, or the way it depends on the variable, is not known here.
    """
    inner = node.expr
    if isinstance(inner, sign):  # of a real argument, away from its zeros
        return S.Zero
    ((variable, order), *others) = node.variable_count
    places = [k for k, a in enumerate(inner.args) if a.has(variable)]
    if type(inner) not in _SPECIAL or others or len(places) != 1 or inner.args[places[0]] != variable:
        raise NotDerivedError(f"The formula holds {node}, for which no numbers are built.")
    (place,), count = places, int(order)
    name = f"symmle_d{count}_{type(inner).__name__}_{place}"
    if name not in _DERIVATIVES:
        _DERIVATIVES[name] = _numeric(type(inner), place, count)
    return Function(name)(*inner.args)  # type: ignore[no-any-return]


def _numeric(kind: type, place: int, order: int) -> Callable[..., Any]:
    def by_zeta(s: Any, a: Any = 1) -> Any:
        return CONTEXT.zeta(s, a, order)

    def by_differences(*arguments: Any) -> Any:
        def along(t: Any) -> Any:
            return _SPECIAL[kind](*arguments[:place], t, *arguments[place + 1 :])

        return CONTEXT.diff(along, CONTEXT.convert(arguments[place]), order)

    return by_zeta if kind is zeta and place == 0 else by_differences


def scalar_derivatives() -> dict[str, Callable[..., Any]]:
    """The derivatives that formulas name so far, for 240-bit numbers."""
    return dict(_DERIVATIVES)


def row_derivatives() -> dict[str, Callable[..., Any]]:
    """The same for rows, one number after the other."""

    def rows_of(function: Callable[..., Any]) -> Callable[..., Any]:
        def one(*arguments: float) -> float:
            with LOCK:
                return float(function(*(CONTEXT.mpf(float(a)) for a in arguments)))

        return np.vectorize(one, otypes=[float])

    return {name: rows_of(function) for name, function in _DERIVATIVES.items()}
