"""l, its score and its Hessian in doubles: statistics once, one pass over the rows for what does not separate.

l = sum_k c_k(theta) G_k(theta) with G_k = sum_i w_i g_k(x_i; theta). Where g_k is free of parameters it is a
statistic and is summed once for a table; the others and their derivatives are summed in one pass a call.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Add, Dummy, Expr, S, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import stable
from symmle.compiling.row_forms import linear_parts, prepared, with_powers_as_exponentials
from symmle.compiling.row_sums import RowSums, _compiled
from symmle.likelihood import Likelihood

Array = NDArray[Any]
Rows = list[tuple[list[Array], Array | None, float]]  # for each sample: columns, weights, n


VALUE, SLOPES, CURVES, ALL = (
    0,
    1,
    2,
    3,
)  # what a pass is for: l; its gradient; gradient and Hessian; all three


@dataclass(frozen=True)
class _Form:
    """One sample: its columns, the functions to sum, and which of them each kind of pass needs."""

    columns: tuple[Symbol, ...]
    sums: RowSums
    needed: tuple[tuple[int, ...], ...]  # by what a pass is for


class _Sums:
    """Names for the sums of one sample: of functions free of parameters, and of the others."""

    def __init__(self, columns: Sequence[Symbol], free: set[Symbol]):
        self.columns, self.free = set(columns), free
        self.n: Symbol = Dummy("n")
        self.lines: list[Expr] = []
        self.fixed: dict[Expr, Symbol] = {}
        self.moving: dict[Expr, Symbol] = {}

    def of(self, g: Expr) -> Expr:
        """sum_i w_i g(x_i) in names of sums."""
        found = []
        for coefficient, function in linear_parts(prepared(g, self.columns, self.lines), self.columns):
            if not function.free_symbols & self.columns:
                found.append(coefficient * function * self.n)
                continue
            table = self.moving if function.free_symbols & self.free else self.fixed
            found.append(coefficient * table.setdefault(function, Dummy("t", real=True)))
        return Add(*found)


class LikelihoodSums:
    """A likelihood compiled for doubles; `parameters` are free, every other symbol is a constant."""

    def __init__(self, likelihood: Likelihood, parameters: Sequence[Symbol], constants: Sequence[Symbol]):
        self.parameters, self.constants = tuple(parameters), tuple(constants)
        self._known = (*self.parameters, *self.constants)
        free = set(parameters)
        self.pairs = list(itertools.combinations_with_replacement(range(len(parameters)), 2))
        height: list[Expr] = []
        slopes: list[list[Expr]] = [[] for _ in parameters]
        bends: list[list[Expr]] = [[] for _ in self.pairs]
        self.forms: list[_Form] = []
        tables: list[_Sums] = []
        for form in likelihood.forms:
            columns = form.part.all_columns
            sums = _Sums(columns, free)
            mine: tuple[list[Expr], list[list[Expr]], list[list[Expr]]] = (
                [],
                [[] for _ in parameters],
                [[] for _ in self.pairs],
            )
            for c, g in form.terms:
                if not g.free_symbols & set(columns):  # n times a function of parameters
                    c, total = c * g, sums.n
                    first: dict[Symbol, Expr] = {}
                else:
                    total = sums.of(g)
                    first = {p: g.diff(p) for p in parameters if g.has(p)}
                summed = {p: sums.of(d) for p, d in first.items()}
                mine[0].append(c * total)
                for i, p in enumerate(parameters):
                    mine[1][i] += [c.diff(p) * total, c * summed.get(p, S.Zero)]
                for k, (i, j) in enumerate(self.pairs):
                    p, q = parameters[i], parameters[j]
                    second = sums.of(first[p].diff(q)) if p in first else S.Zero
                    mine[2][k] += [
                        c.diff(p, q) * total,
                        c.diff(p) * summed.get(q, S.Zero),
                        c.diff(q) * summed.get(p, S.Zero),
                        c * second,
                    ]
            names = list(sums.moving.values())
            used = [
                Add(*mine[0]).free_symbols,
                Add(*(t for row in mine[1] for t in row)).free_symbols,
                Add(*(t for row in mine[1] + mine[2] for t in row)).free_symbols,
                set(names),
            ]
            needed = tuple(tuple(k for k, name in enumerate(names) if name in u) for u in used)
            rows = RowSums(list(sums.moving), columns, self._known, list(sums.fixed), self.constants)
            self.forms.append(_Form(tuple(columns), rows, needed))  # type: ignore[arg-type]
            tables.append(sums)
            height += mine[0]
            for whole, part in zip(slopes + bends, mine[1] + mine[2], strict=True):
                whole += part
        self._tables = tables
        self._height, self._slopes, self._bends = Add(*height), slopes, bends
        self._made: dict[int, Callable[..., Any]] = {}

    def _inputs(self, what: int) -> list[Symbol]:
        found: list[Symbol] = []
        for table, form in zip(self._tables, self.forms, strict=True):
            moving = list(table.moving.values())
            found += [table.n, *table.fixed.values(), *(moving[k] for k in form.needed[what])]
        return found

    @property
    def is_separable(self) -> bool:
        """Whether the data enter by statistics free of the parameters alone."""
        return not any(form.sums.size for form in self.forms)

    def statistics(self, sample: int) -> list[Expr]:
        """The functions free of parameters that are summed over the rows of a sample."""
        return list(self._tables[sample].fixed)

    def outer(self, what: int) -> Callable[..., Any]:
        """l, and what else is asked for, from parameters, constants, and the sums of every sample."""
        if what not in self._made:
            outputs = [self._height] if what in (VALUE, ALL) else []
            outputs += [Add(*s) for s in self._slopes] if what >= SLOPES else []
            outputs += [Add(*b) for b in self._bends] if what >= CURVES else []
            self._made[what] = scalar_function(self._known, self._inputs(what), outputs)
        return self._made[what]

    def on(self, rows: Rows, constants: Sequence[float]) -> SumsOnRows:
        return SumsOnRows(self, rows, tuple(constants))


class SumsOnRows:
    """The likelihood on given rows: `value` and `derivatives` at theta; `passes` counts the passes over the rows."""

    def __init__(self, model: LikelihoodSums, rows: Rows, constants: tuple[float, ...]):
        self.model, self.rows, self.constants = model, rows, constants
        self.passes = 0
        self.n = sum(n for _, _, n in rows)
        self._kept: list[list[Array]] | None = None
        self._fixed: list[list[float]] = []
        self._totals: list[dict[int, float]] = [{} for _ in rows]
        self._bound: dict[int, list[Callable[[list[float]], Sequence[float]]]] = {}

    def value(self, theta: Sequence[float]) -> float:
        """l(theta); nan where a row has none."""
        return self.at(theta, VALUE)[0]

    def slopes(self, theta: Sequence[float]) -> Array:
        """The gradient of l at theta."""
        return np.array(self.at(theta, SLOPES))

    def curves(self, theta: Sequence[float]) -> tuple[Array, Array]:
        """The gradient and the Hessian of l at theta."""
        return self._split(self.at(theta, CURVES))

    def derivatives(self, theta: Sequence[float]) -> tuple[float, Array, Array]:
        """l, its gradient and its Hessian at theta."""
        found = self.at(theta, ALL)
        return found[0], *self._split(found[1:])

    def _split(self, found: list[float]) -> tuple[Array, Array]:
        p = len(self.model.parameters)
        hessian = np.empty((p, p))
        for (i, j), h in zip(self.model.pairs, found[p:], strict=True):
            hessian[i, j] = hessian[j, i] = h
        return np.array(found[:p]), hessian

    def values_at_many(self, points: Array) -> Array:
        """l at many theta, rows of `points`: for few rows."""
        self._prepare()
        known = np.tile(np.array(self.constants, dtype=float), (len(points), 1))
        points = np.column_stack([points, known]) if self.constants else points
        inputs: list[Any] = []
        for form, (columns, weights, n), fixed, kept in zip(
            self.model.forms, self.rows, self._fixed, self._kept or [], strict=True
        ):
            inputs += [n, *fixed]
            if form.needed[VALUE]:
                inputs += list(form.sums.at_many(columns, kept, weights, points, form.needed[VALUE]))
        with np.errstate(all="ignore"):
            try:
                found = self.model.outer(VALUE)(*points.T, *inputs)[0]
            except (ZeroDivisionError, OverflowError, ValueError, TypeError):
                return np.full(len(points), math.nan)
        return np.broadcast_to(np.asarray(found, dtype=float), (len(points),))

    def give_totals(self, table: Table) -> None:
        """Statistics that were taken when the table was read are not taken again."""
        for place, sample in enumerate(table.samples):
            found = sample.cache.get(self.model)
            if found is not None:
                self._totals[place] = dict(enumerate(found))
                self.passes += 1

    def _prepare(self) -> None:
        if self._kept is None:
            made = [
                form.sums.first(columns, weights, self.constants, known=known)
                for form, (columns, weights, _), known in zip(
                    self.model.forms, self.rows, self._totals, strict=True
                )
            ]
            self.passes += not any(self._totals) and any(form.sums.keeps for form in self.model.forms)
            self._kept, self._fixed = [m[0] for m in made], [m[1] for m in made]

    def at(self, theta: Sequence[float], what: int) -> list[float]:
        """What is asked for (`VALUE`, ...) as one list: l, the gradient, the Hessian's upper half by `model.pairs`."""
        point = [*map(float, theta), *self.constants]
        with np.errstate(all="ignore"):
            inputs = self._inputs(what, point)
            try:
                return list(map(float, self.model.outer(what)(*point, *inputs)))
            except (ZeroDivisionError, OverflowError, ValueError, TypeError):
                p, pairs = len(self.model.parameters), len(self.model.pairs)
                return [math.nan] * (1, p, p + pairs, 1 + p + pairs)[what]

    def _inputs(self, what: int, point: list[float]) -> list[float]:
        """n, the statistics and the sums of every sample, in the order of `outer`."""
        if self._kept is None:
            made = [
                form.sums.first(columns, weights, self.constants, point, form.needed[what], known)
                for form, (columns, weights, _), known in zip(
                    self.model.forms, self.rows, self._totals, strict=True
                )
            ]
            self.passes += any(form.sums.keeps or form.needed[what] for form in self.model.forms)
            self._kept, self._fixed = [m[0] for m in made], [m[1] for m in made]
            moving: list[Sequence[float]] = [m[2] for m in made]
        else:
            moving = [sums(point) for sums in self._bound_to(what)]
            self.passes += any(form.needed[what] for form in self.model.forms)
        inputs: list[float] = []
        for (_, _, n), fixed, found in zip(self.rows, self._fixed, moving, strict=True):
            inputs += [n, *fixed, *found]
        return inputs

    def _bound_to(self, what: int) -> list[Callable[[list[float]], Sequence[float]]]:
        """The sums of every sample as functions of the point."""
        if what not in self._bound:
            self._bound[what] = [
                form.sums.bound(columns, kept, weights, form.needed[what])
                or partial(form.sums, columns, kept, weights, which=form.needed[what])
                for form, (columns, weights, _), kept in zip(
                    self.model.forms, self.rows, self._kept or [], strict=True
                )
            ]
        return self._bound[what]


def scalar_function(
    symbols: Sequence[Symbol], inputs: Sequence[Symbol], outputs: Sequence[Expr]
) -> Callable[..., Any]:
    """Expressions as a function of parameters and sums; it takes numbers, or arrays of them."""
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
