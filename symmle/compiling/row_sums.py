"""Sums over the rows of functions of data and parameters: one pass in cache-sized blocks, in doubles.

What is free of parameters (log x, x**2) is computed once and kept with the table, what is free of data
once a call; subexpressions are shared among all functions of a pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Dummy, Expr, Integer, Pow, Symbol, cse, exp, lambdify, log

from symmle.algebra.series import with_series
from symmle.compiling.derivatives import row_derivatives
from symmle.compiling.kernels import RowPrinter, log1p_, row_functions, softplus_, stable
from symmle.compiling.series import add_up_in_doubles

Array = NDArray[Any]
ROWS = 1 << 13  # of a block: some dozens of such buffers stay in the second-level cache


def with_powers_as_exponentials(e: Expr) -> Expr:
    """x**k as exp(k log x) where k is no number: the logarithm is shared, and kept where it is of data alone."""

    def written(power: Expr) -> Expr:
        base, exponent = power.base, power.exp  # type: ignore[attr-defined]
        return exp(exponent * log(base))  # type: ignore[no-any-return]

    return e.replace(
        lambda p: (
            isinstance(p, Pow)
            and not p.exp.is_number
            and not p.base.is_number
            and p.base.is_positive is not False
        ),
        written,
    )


def _shared(e: Expr) -> Expr:
    """log(1 + exp(y)) by way of exp(y), which the derivatives need too; beyond y = 709 it is not finite."""
    return e.replace(lambda p: p.func == softplus_, lambda p: log1p_(exp(p.args[0])))


class RowSums:
    """sum_i w_i g_j(x_i; theta) for several g_j, compiled once.

    Parameters
    ----------
    functions
        In columns and parameters, each with at least one column.
    columns, parameters
        Their symbols; the order of the arguments.
    statistics
        Functions of columns and `constants` alone, summed on the way by `keep`.
    """

    def __init__(
        self,
        functions: Sequence[Expr],
        columns: Sequence[Symbol],
        parameters: Sequence[Symbol],
        statistics: Sequence[Expr] = (),
        constants: Sequence[Symbol] = (),
    ):
        self.columns, self.parameters = tuple(columns), tuple(parameters)
        self.size = len(functions)
        names: dict[Symbol, Symbol] = {
            s: Dummy(f"a{i}", real=True) for i, s in enumerate((*columns, *parameters))
        }
        data = {names[c] for c in columns}
        known = {names[p] for p in parameters}
        bodies = [_shared(stable(with_powers_as_exponentials(f))).xreplace(names) for f in functions]
        bodies, self._kept_names, kept = _kept_apart(bodies, data, known)
        self._columns = [names[c] for c in columns]
        fixed = [_shared(stable(with_powers_as_exponentials(e))).xreplace(names) for e in statistics]
        self.statistics = len(fixed)
        wanted = [*self._columns, *(names[k] for k in constants)]
        self._make_kept = _compiled(wanted, [*kept, *fixed]) if kept or fixed else None
        steps, results = cse(bodies, order="none") if bodies else ([], [])
        ahead, scalars = [], set(known)
        for name, body in steps:  # what depends on no row is computed once a call
            if body.free_symbols <= scalars:
                ahead.append((name, body))
                scalars.add(name)
        later = [(n, b) for n, b in steps if n not in {a for a, _ in ahead}]
        numbers = [names[p] for p in parameters]
        self._scalar_names = [n for n, _ in ahead]
        self._ahead = (
            _compiled(numbers, self._scalar_names, cse=lambda _: (ahead, self._scalar_names))
            if ahead
            else None
        )
        used = [*self._columns, *self._kept_names, *numbers, *self._scalar_names]
        self._block = _compiled(used, results, cse=lambda _: (later, results)) if results else None

    def keep(
        self, columns: Sequence[Array], weights: Array | None = None, constants: Sequence[float] = ()
    ) -> tuple[list[Array], list[float]]:
        """The functions of data alone that every call needs, and the sums of the statistics: one pass."""
        if self._make_kept is None:
            return [], []
        rows = len(columns[0])
        found = [np.empty(rows) for _ in self._kept_names]
        parts: list[list[float]] = [[] for _ in range(self.statistics)]
        with np.errstate(all="ignore"):
            for low in range(0, rows, ROWS):
                high = low + ROWS
                block = self._make_kept(*(c[low:high] for c in columns), *constants)
                for whole, part in zip(found, block, strict=False):
                    whole[low:high] = part
                w = None if weights is None else weights[low:high]
                for sums, value in zip(parts, block[len(found) :], strict=True):
                    sums.append(_summed(value, w, min(high, rows) - low))
        return found, [_total(p) for p in parts]

    def __call__(
        self, columns: Sequence[Array], kept: Sequence[Array], weights: Array | None, theta: Sequence[float]
    ) -> list[float]:
        """The sums at theta; not finite where a row is not."""
        if self._block is None:
            return []
        rows = len(columns[0])
        parts: list[list[float]] = [[] for _ in range(self.size)]
        with np.errstate(all="ignore"):
            scalars = self._ahead(*theta) if self._ahead is not None else ()
            for low in range(0, rows, ROWS):
                high = low + ROWS
                block = self._block(
                    *(c[low:high] for c in columns), *(k[low:high] for k in kept), *theta, *scalars
                )
                w = None if weights is None else weights[low:high]
                count = min(high, rows) - low
                for found, value in zip(parts, block, strict=True):
                    found.append(_summed(value, w, count))
        return [_total(p) for p in parts]


def _total(parts: list[float]) -> float:
    try:
        return math.fsum(parts)
    except (OverflowError, ValueError):  # inf - inf
        return math.nan


def _summed(value: Any, weights: Array | None, count: int) -> float:
    if np.ndim(value) == 0:
        return float(value) * (count if weights is None else float(np.add.reduce(weights)))
    return float(np.add.reduce(value) if weights is None else np.dot(value, weights))


def _kept_apart(
    bodies: list[Expr], data: set[Symbol], known: set[Symbol]
) -> tuple[list[Expr], list[Symbol], list[Expr]]:
    """The largest parts of data alone that hold a function or a power, each by a name."""
    names: dict[Expr, Symbol] = {}

    def is_worth(e: Expr) -> bool:
        return bool(e.free_symbols & data) and not e.free_symbols & known and _is_costly(e)

    def walk(e: Any) -> Any:
        if not e.args or not isinstance(e, Expr):
            return e if not e.args else e.func(*(walk(a) for a in e.args))
        if is_worth(e):
            if e not in names:
                names[e] = Dummy(f"d{len(names)}", real=True)
            return names[e]
        if e.is_Mul or e.is_Add:
            alone = [a for a in e.args if a.free_symbols and a.free_symbols <= data]
            rest = [walk(a) for a in e.args if a not in alone]
            if len(alone) > 1 and rest:
                joined = e.func(*alone)
                return e.func(walk(joined), *rest)
        return e.func(*(walk(a) for a in e.args))

    found = [walk(b) for b in bodies]
    return found, list(names.values()), list(names)


def _is_costly(e: Expr) -> bool:
    """Whether keeping a column is cheaper than computing it again: a function, a root, a division."""
    if e.is_Function:
        return True
    if isinstance(e, Pow):
        return not (isinstance(e.exp, Integer) and 0 < int(e.exp) <= 3) or any(_is_costly(a) for a in e.args)
    return any(_is_costly(a) for a in e.args)  # type: ignore[arg-type]


def _compiled(arguments: Sequence[Any], results: Sequence[Any], cse: Any = True) -> Callable[..., Any]:
    if cse is True:
        summed = with_series(arguments, results, _compiled, add_up_in_doubles)
        if summed is not None:
            return summed
    functions = {**row_functions(), **row_derivatives()}
    printer = RowPrinter(
        {
            "fully_qualified_modules": False,
            "inline": True,
            "allow_unknown_functions": True,
            "user_functions": {name: name for name in functions},
        }
    )
    return lambdify(
        list(arguments), list(results), modules=[functions, "scipy", "numpy"], printer=printer, cse=cse
    )


__all__ = ["ROWS", "RowSums", "with_powers_as_exponentials"]
