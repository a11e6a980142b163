"""Increments to second order: f(x) - f(c) and what is left of it after its linear part, without cancellation.

Every node of an expression is e = e0 + delta with e0 its value at the pivots (240 bits), and
delta = sum_j e'_j d_j + rest, where d_j = x_j - c_j. Both delta and rest are computed by rules that
never subtract nearly equal numbers:

    log a:  delta = log1p(u), rest = rest_a/a0 - (u - log1p(u)),            u = delta_a/a0
    exp a:  delta = exp(a0) expm1(delta_a), rest = exp(a0) (rest_a + expm1(delta_a) - delta_a)
    1/a:    delta = -delta_a/(a0 a), rest = -rest_a/a0**2 + delta_a**2/(a0**2 a)
    a b:    delta = a0 delta_b + b0 delta_a + delta_a delta_b

So log(Mean(x)) - Mean(log(x)) is a mean of u - log1p(u), of one sign, and Mean(1/x) - 1/Mean(x) a
mean of squares, also on data of mean 1e8 and spread 1. Arrays are in extended precision where the
machine has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Add, Basic, Expr, Mul, Pow, S, Symbol, exp, log

from symmle.compiling.kernels import CONTEXT, row_kernel, scalar_kernel

Wide = np.longdouble
Array = NDArray[Any]


def wide(number: Any) -> Any:
    """An extended double near a 240-bit number."""
    high = float(number)
    if not np.isfinite(high):
        return Wide(high)
    return Wide(high) + Wide(float(number - high))


def exact(number: Any) -> Any:
    """A 240-bit number equal to an extended double."""
    high = float(number)
    if not np.isfinite(high):
        return CONTEXT.mpf(high)
    return CONTEXT.mpf(high) + CONTEXT.mpf(float(number - Wide(high)))


@dataclass
class Node:
    """e0, the slopes e'_j at the pivots, delta and rest."""

    start: Any
    slopes: dict[Symbol, Any]
    delta: Any
    rest: Any
    wide: bool = True  # False where doubles were used on the way
    raw: Any = None  # the values themselves, where they are known better than as start + delta

    @property
    def values(self) -> Any:
        return wide(self.start) + self.delta if self.raw is None else self.raw


def below(u: Array) -> Array:
    """u - log1p(u), by its series where u is small: u**2/2 - u**3/3 + ..."""
    small = np.abs(u) < 0.03
    series = np.zeros_like(u)
    v = np.where(small, u, 0)
    for k in range(14, 1, -1):
        series = Wide((-1) ** k) / k + v * series
    return np.where(small, v * v * series, u - np.log1p(np.where(u > -1, u, np.nan)))


def above(u: Array) -> Array:
    """expm1(u) - u, by its series where u is small: u**2/2 + u**3/6 + ..."""
    small = np.abs(u) < 0.1
    v = np.where(small, u, 0)
    series = np.zeros_like(u)
    for k in range(14, 1, -1):
        series = (1 + v * series / (k + 1)) if k > 2 else (Wide(1) + v * series / 3) / 2
    return np.where(small, v * v * series, np.expm1(u) - u)


class Increments:
    """Evaluates nodes for one block of rows; `columns` are Nodes, `scalars` 240-bit numbers."""

    def __init__(self, columns: Mapping[Symbol, Node], scalars: Mapping[Symbol, Any]):
        self.columns = columns
        self.scalars = scalars
        self._known: dict[Basic, Node] = {}

    def node(self, expression: Expr) -> Node:
        if expression not in self._known:
            self._known[expression] = self._node(expression)
        return self._known[expression]

    def _node(self, e: Expr) -> Node:
        if e in self.columns:
            return self.columns[e]  # type: ignore[index]
        if not e.has(*self.columns):
            return Node(self._scalar(e), {}, Wide(0), Wide(0))
        if isinstance(e, Add):
            parts = [self.node(a) for a in e.args]  # type: ignore[arg-type]
            return Node(
                sum((p.start for p in parts), CONTEXT.mpf(0)),
                _combined([(1, p) for p in parts]),
                sum((p.delta for p in parts), Wide(0)),
                sum((p.rest for p in parts), Wide(0)),
                all(p.wide for p in parts),
            )
        if isinstance(e, Mul):
            result = self.node(e.args[0])  # type: ignore[arg-type]
            for factor in e.args[1:]:
                result = self._times(result, self.node(factor))  # type: ignore[arg-type]
            return result
        if isinstance(e, log):
            return self._log(e, self.node(e.args[0]))  # type: ignore[arg-type]
        if isinstance(e, exp):
            return self._exp(e, self.node(e.args[0]))  # type: ignore[arg-type]
        if isinstance(e, Pow):
            return self._power(e)
        return self._direct(e)

    def _scalar(self, e: Expr) -> Any:
        names = sorted(e.free_symbols, key=str)
        return CONTEXT.mpf(scalar_kernel(names, [e])(*(self.scalars[n] for n in names))[0])  # type: ignore[index]

    def _times(self, a: Node, b: Node) -> Node:
        a0, b0 = wide(a.start), wide(b.start)
        return Node(
            a.start * b.start,
            _combined([(b.start, a), (a.start, b)]),
            a0 * b.delta + b0 * a.delta + a.delta * b.delta,
            a0 * b.rest + b0 * a.rest + a.delta * b.delta,
            a.wide and b.wide,
            None if a.raw is None and b.raw is None else a.values * b.values,
        )

    def _log(self, e: Expr, a: Node) -> Node:
        if a.start <= 0:
            return self._direct(e)
        a0 = wide(a.start)
        u = a.delta / a0
        if np.max(np.abs(u)) > 0.5:
            return self._direct(e)
        return Node(
            CONTEXT.log(a.start), _combined([(1 / a.start, a)]), np.log1p(u), a.rest / a0 - below(u), a.wide
        )

    def _exp(self, e: Expr, a: Node) -> Node:
        if np.max(np.abs(a.delta)) > 1:
            return self._direct(e)
        start = CONTEXT.exp(a.start)
        e0 = wide(start)
        return Node(
            start, _combined([(start, a)]), e0 * np.expm1(a.delta), e0 * (a.rest + above(a.delta)), a.wide
        )

    def _power(self, e: Pow) -> Node:
        base, exponent = self.node(e.base), e.exp
        if exponent.has(*self.columns):
            return self.node(exp(exponent * log(e.base)))  # type: ignore[arg-type]
        if exponent.is_Integer and 0 < exponent <= 8:
            result = base
            for _ in range(int(exponent) - 1):
                result = self._times(result, base)
            return result
        if base.start == 0:
            return self._direct(e)
        a0 = wide(base.start)
        if exponent is S.NegativeOne and np.max(np.abs(base.delta / a0)) <= 0.5:
            a = a0 + base.delta
            return Node(
                1 / base.start,
                _combined([(-1 / base.start**2, base)]),
                -base.delta / (a0 * a),
                -base.rest / (a0 * a0) + base.delta / a0 * (base.delta / a0) / a,
                base.wide,
            )
        k = self._scalar(exponent)
        u = base.delta / a0
        if base.start < 0 or np.max(np.abs(u)) > 0.5 or abs(k) * np.max(np.abs(u)) > 1:
            return self._direct(e)
        start = base.start**k
        e0, growth = wide(start), wide(k) * np.log1p(u)
        slope = k * start / base.start
        # a**k = a0**k exp(k log1p(u)); its linear part is k u
        return Node(
            start,
            _combined([(slope, base)]),
            e0 * np.expm1(growth),
            wide(slope) * base.rest + e0 * (above(growth) - wide(k) * below(u)),
            base.wide,
        )

    def _direct(self, e: Expr) -> Node:
        """A function without a rule, not centred: pivot 0, all of it in delta and rest."""
        arguments = [a for a in e.args if isinstance(a, Expr) and a.has(*self.columns)]
        if not arguments or len(arguments) != len([a for a in e.args if a.has(*self.columns)]):
            names: list[Any] = [*self.columns]
            inputs = [np.asarray(self.columns[n].values, dtype=float) for n in names]
            body = e
        else:
            inputs = [np.asarray(self.node(a).values, dtype=float) for a in arguments]
            names = [Symbol(f"argument{i}", real=True) for i in range(len(arguments))]
            body = e.func(*(names[arguments.index(a)] if a in arguments else a for a in e.args))
        extra = sorted(body.free_symbols - set(names), key=str)
        function = row_kernel([*names, *extra], [body])
        with np.errstate(all="ignore"):
            values = function(*inputs, *(float(self.scalars[s]) for s in extra))[0]  # type: ignore[index]
        values = np.asarray(values, dtype=float).astype(Wide)
        return Node(CONTEXT.mpf(0), {}, values, values, False)


def _combined(parts: list[tuple[Any, Node]]) -> dict[Symbol, Any]:
    slopes: dict[Symbol, Any] = {}
    for factor, part in parts:
        for column, slope in part.slopes.items():
            slopes[column] = slopes.get(column, 0) + factor * slope
    return slopes
