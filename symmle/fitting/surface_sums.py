"""l, its score and its Hessian in doubles: statistics once, one pass over the rows for what does not separate.

l = sum_k c_k(theta) G_k(theta) with G_k = sum_i w_i g_k(x_i; theta). Where g_k is free of parameters it is a
statistic and is summed once for a table; the others and their derivatives are summed in one pass a call.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Add, Dummy, Expr, S, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import stable
from symmle.compiling.row_sums import RowSums, _compiled, with_powers_as_exponentials
from symmle.likelihood import Likelihood

Array = NDArray[Any]
Rows = list[tuple[list[Array], Array | None, float]]  # for each sample: columns, weights, n


@dataclass(frozen=True)
class _Form:
    """One sample: its statistics' functions and the functions of a pass."""

    columns: tuple[Symbol, ...]
    fixed: int  # how many statistics `moving` sums when it keeps what is free of parameters
    moving: RowSums
    heights: RowSums  # the moving functions without derivatives


class _Sums:
    """Names for the sums of one sample, by whether the function is free of parameters."""

    def __init__(self, free: set[Symbol]):
        self.free = free
        self.fixed: list[Expr] = []
        self.moving: list[Expr] = []
        self.names: dict[tuple[str, int], Symbol] = {}

    def of(self, g: Expr) -> Expr:
        """The symbol of sum_i w_i g(x_i)."""
        if g == 0:
            return S.Zero
        where, mark = (self.moving, "m") if g.free_symbols & self.free else (self.fixed, "f")
        if g not in where:
            where.append(g)
        key = (mark, where.index(g))
        return self.names.setdefault(key, Dummy(f"{mark}{key[1]}"))


class LikelihoodSums:
    """A likelihood compiled for doubles; `parameters` are free, every other symbol is a constant."""

    def __init__(self, likelihood: Likelihood, parameters: Sequence[Symbol], constants: Sequence[Symbol]):
        self.parameters, self.constants = tuple(parameters), tuple(constants)
        self.forms: list[_Form] = []
        free = set(parameters)
        height: list[Expr] = []
        slopes: list[list[Expr]] = [[] for _ in parameters]
        pairs = list(itertools.combinations_with_replacement(range(len(parameters)), 2))
        bends: list[list[Expr]] = [[] for _ in pairs]
        inputs: list[Symbol] = []
        plain_inputs: list[Symbol] = []
        for form in likelihood.forms:
            heights: list[Expr] = []
            sums = _Sums(free)
            fixed, moving, names, sum_of = sums.fixed, sums.moving, sums.names, sums.of
            columns = set(form.part.all_columns)
            for c, g in form.terms:
                if not g.free_symbols & columns:  # n times a function of parameters
                    names.setdefault(("n", 0), Dummy("n"))
                    c, total = c * g, names[("n", 0)]
                    derivatives = {}
                else:
                    total = sum_of(g)
                    if g.free_symbols & free and g not in heights:
                        heights.append(g)
                    derivatives = {p: g.diff(p) for p in parameters if g.has(p)}
                height.append(c * total)
                for i, p in enumerate(parameters):
                    slopes[i].append(c.diff(p) * total + c * sum_of(derivatives.get(p, S.Zero)))
                for k, (i, j) in enumerate(pairs):
                    p, q = parameters[i], parameters[j]
                    dp, dq = derivatives.get(p, S.Zero), derivatives.get(q, S.Zero)
                    second = dp.diff(q) if dp != 0 else S.Zero
                    bends[k].append(
                        c.diff(p, q) * total
                        + c.diff(p) * sum_of(dq)
                        + c.diff(q) * sum_of(dp)
                        + c * sum_of(second)
                    )
            known = (*self.parameters, *self.constants)
            ordered = form.part.all_columns
            self.forms.append(
                _Form(
                    ordered,
                    len(fixed),
                    RowSums(moving, ordered, known, fixed, self.constants),
                    RowSums(heights, ordered, known, fixed, self.constants),
                )
            )
            inputs.append(names.setdefault(("n", 0), Dummy("n")))
            inputs += [names.setdefault(("f", k), Dummy()) for k in range(len(fixed))]
            plain_inputs += inputs[len(plain_inputs) :]
            inputs += [names.setdefault(("m", k), Dummy()) for k in range(len(moving))]
            self._heights_of = getattr(self, "_heights_of", [])
            self._heights_of.append([names[("m", moving.index(g))] for g in heights])
            plain_inputs += self._heights_of[-1]
            plain_inputs, inputs = list(plain_inputs), list(inputs)
        self._inputs, self._plain_inputs = inputs, plain_inputs
        self._height, self._slopes, self._bends, self._pairs = Add(*height), slopes, bends, pairs

    @cached_property
    def _scalar(self) -> Callable[..., Any]:
        outputs = [self._height, *(Add(*s) for s in self._slopes), *(Add(*b) for b in self._bends)]
        return _scalar_function([*self.parameters, *self.constants], self._inputs, outputs)

    @cached_property
    def _scalar_height(self) -> Callable[..., Any]:
        return _scalar_function([*self.parameters, *self.constants], self._plain_inputs, [self._height])

    def on(self, rows: Rows, constants: Sequence[float]) -> SumsOnRows:
        return SumsOnRows(self, rows, tuple(constants))


class SumsOnRows:
    """The likelihood on given rows: `value` and `derivatives` at theta; `passes` counts the passes over the rows."""

    def __init__(self, model: LikelihoodSums, rows: Rows, constants: tuple[float, ...]):
        self.model, self.rows, self.constants = model, rows, constants
        self.passes = 0
        self.n = sum(n for _, _, n in rows)
        self._fixed: list[list[float]] | None = None
        self._kept: dict[str, list[list[Array]]] = {}

    def _of(self, which: str) -> tuple[list[list[Array]], list[list[float]]]:
        """What is free of parameters: columns to keep and the statistics, by one pass when first needed."""
        if which not in self._kept:
            made = [
                getattr(form, which).keep(columns, weights, self.constants)
                for form, (columns, weights, _) in zip(self.model.forms, self.rows, strict=True)
            ]
            self.passes += any(getattr(form, which)._make_kept is not None for form in self.model.forms)
            self._kept[which] = [kept for kept, _ in made]
            self._fixed = [sums for _, sums in made]
        assert self._fixed is not None
        return self._kept[which], self._fixed

    def value(self, theta: Sequence[float]) -> float:
        """l(theta); nan where a row has none."""
        inputs: list[float] = []
        point = [*map(float, theta), *self.constants]
        kept, statistics = self._of("heights")
        for form, (columns, weights, n), fixed, own in zip(
            self.model.forms, self.rows, statistics, kept, strict=True
        ):
            inputs += [n, *fixed, *form.heights(columns, own, weights, point)]
        self.passes += any(form.heights.size for form in self.model.forms)
        (found,) = self._scalars(self.model._scalar_height, point, inputs)
        return found

    def derivatives(self, theta: Sequence[float]) -> tuple[float, Array, Array]:
        """l, its gradient and its Hessian at theta."""
        inputs: list[float] = []
        point = [*map(float, theta), *self.constants]
        kept, statistics = self._of("moving")
        for form, (columns, weights, n), fixed, own in zip(
            self.model.forms, self.rows, statistics, kept, strict=True
        ):
            inputs += [n, *fixed, *form.moving(columns, own, weights, point)]
        self.passes += any(form.moving.size for form in self.model.forms)
        found = self._scalars(self.model._scalar, point, inputs)
        p = len(self.model.parameters)
        gradient, hessian = np.array(found[1 : p + 1]), np.empty((p, p))
        for (i, j), h in zip(self.model._pairs, found[p + 1 :], strict=True):
            hessian[i, j] = hessian[j, i] = h
        return found[0], gradient, hessian

    def _scalars(self, function: Callable[..., Any], point: list[float], inputs: list[float]) -> list[float]:
        try:
            with np.errstate(all="ignore"):
                return [float(v) for v in function(*point, *inputs)]
        except (ZeroDivisionError, OverflowError, ValueError, TypeError):
            size = (
                1
                if function is self.model._scalar_height
                else 1 + len(self.model._slopes) + len(self.model._pairs)
            )
            return [math.nan] * size


def _scalar_function(
    symbols: Sequence[Symbol], inputs: Sequence[Symbol], outputs: Sequence[Expr]
) -> Callable[..., Any]:
    names: dict[Symbol, Symbol] = {
        s: Dummy(f"p{i}", positive=s.is_positive, real=True) for i, s in enumerate(symbols)
    }
    bodies = [stable(with_powers_as_exponentials(e)).xreplace(names) for e in outputs]
    return _compiled([*names.values(), *inputs], bodies)


def rows_of(table: Table, likelihood: Likelihood) -> Rows:
    """The columns, weights and n of every sample of a table."""
    found: Rows = []
    for form in likelihood.forms:
        sample = table.sample_of(form.part.all_columns)
        columns = [sample.columns[c] for c in form.part.all_columns]
        found.append((columns, sample.weights, float(sample.n)))
    return found


__all__ = ["LikelihoodSums", "Rows", "SumsOnRows", "rows_of"]
