"""Passes over the rows: weighted means of products of increments, three ways of rising care.

DIRECT takes increments in doubles, in blocks that stay in cache; CENTRED by second-order rules in
extended precision; EXACT row by row at 240 bits, for few distinct rows. Each comes with how far its
means may be off, so that the caller knows whether the next is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import numpy as np
from mpmath.libmp import NoConvergence
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.data import BLOCK, LONG_BLOCK
from symmle.compiling.increments import Increments, Node, Wide, exact
from symmle.compiling.judging import EPS, Judged, as_double, exact_sum, summed_product
from symmle.compiling.kernels import CONTEXT, row_kernel, scalar_kernel
from symmle.compiling.program import Monomial, SampleProgram
from symmle.compiling.row_data import MOST_DISTINCT, Moments, Rows

Array = NDArray[Any]
WIDE_EPS = float(np.finfo(Wide).eps)


class Care(IntEnum):
    DIRECT = 0
    CENTRED = 1
    EXACT = 2


class Pass(Judged):
    """The rows of one sample for the atoms of one stage."""

    def __init__(self, program: SampleProgram, stage: int):
        super().__init__(program, stage)
        self.stage = stage
        used = [program.atoms[i].expression for i in self.functions]
        self.columns = tuple(c for c in program.columns if any(e.has(c) for e in used))
        self._kernel: Callable[..., Any] | None = None
        self._shared: Callable[..., Any] | None = None

    def run(
        self,
        rows: Rows,
        scalars: Mapping[Symbol, Any],
        care: Care,
        judge: bool,
        patience: int = MOST_DISTINCT,
    ) -> Moments:
        """The means of the monomials of this stage; `judge` asks for errors too."""
        if care is Care.EXACT:
            return self._exactly(rows, scalars, patience)
        if care is Care.DIRECT:
            return self._with_underflown(self._direct(rows, scalars, judge), rows, scalars)
        return self._with_underflown(self._centred(rows, scalars), rows, scalars)

    # --- doubles, in blocks ---

    def _direct(self, rows: Rows, scalars: Mapping[Symbol, Any], judge: bool) -> Moments:
        numbers = [as_double(scalars[s]) for s in self.scalars]
        starts = self._starts(rows, numbers)
        columns = [rows.columns[c] for c in self.program.columns]
        weights = rows.weights
        total = rows.sample.n
        read = {m: mean for m in self.monomials if (mean := self._plain(m, rows)) is not None}
        left = [m for m in self.monomials if m not in read]
        sums: list[list[float]] = [[] for _ in left]
        left_rows = rows.sample.rows if left else 0
        alone = weights is None and left and all(self._stands_alone(m) for m in left)
        if alone and (at_once := self._summed_alone(rows, numbers, left)) is not None:
            sums, left_rows = at_once, 0
        for low in range(0, left_rows, BLOCK):
            block = {c: v[low : low + BLOCK] for c, v in zip(self.program.columns, columns, strict=True)}
            w = None if weights is None else weights[low : low + BLOCK]
            parts = self._increments(block, rows, numbers, starts)
            for found, monomial in zip(sums, left, strict=True):
                found.append(summed_product(parts, monomial, w))
        means = {m: CONTEXT.mpf(exact_sum(s) / total) for m, s in zip(left, sums, strict=True)}
        means.update(read)
        pivots = {i: CONTEXT.mpf(starts.get(i, 0.0)) for i in self.functions}
        errors = self._judged(rows, scalars, numbers, starts, means, set(read)) if judge else []
        return Moments(means, pivots, errors)

    def summed(self) -> set[Symbol]:
        """The columns of which no more than the plain mean is needed."""
        return {self.program.atoms[m[0][0]].expression for m in self.monomials if self._is_plain(m)}  # type: ignore[misc]

    def _is_plain(self, monomial: Monomial) -> bool:
        ((i, e), *others) = monomial
        if others or e != 1 or not self.program.atoms[i].is_column:
            return False
        return not any(k == i for m in self.monomials if m != monomial for k, _ in m)

    def _plain(self, monomial: Monomial, rows: Rows) -> Any:
        """Mean(x - c) by one plain sum, where no other mean needs the increments of that column."""
        if rows.weights is not None or not self._is_plain(monomial):
            return None
        atom = self.program.atoms[monomial[0][0]]
        column: Symbol = atom.expression  # type: ignore[assignment]
        values = rows.columns[column]
        if column in rows.sample.total and column not in rows.scales:
            total = rows.sample.total[column]
        else:
            total = exact_sum(
                [
                    float(np.add.reduce(values[low : low + LONG_BLOCK]))
                    for low in range(0, len(values), LONG_BLOCK)
                ]
            )
        return CONTEXT.mpf(total) / len(values) - CONTEXT.mpf(rows.pivots[column])

    def _stands_alone(self, monomial: Monomial) -> bool:
        """Mean(f(x)) with f not centred: the values themselves are summed up."""
        ((i, e), *others) = monomial
        atom = self.program.atoms[i]
        return not others and e == 1 and not atom.is_column and not atom.centred

    def _summed_alone(
        self, rows: Rows, numbers: Sequence[float], monomials: Sequence[Monomial]
    ) -> list[list[float]] | None:
        """The sums of plain functions, block by block; None where one of them is constant."""
        columns = [rows.columns[c] for c in self.columns]
        places = [self.functions.index(m[0][0]) for m in monomials]
        sums: list[list[float]] = [[] for _ in monomials]
        if not columns or any(np.ndim(v) == 0 for v in self._evaluated([c[:1] for c in columns], numbers)):
            return None
        kernel, reduce = self._kernel, np.add.reduce
        assert kernel is not None
        for low in range(0, rows.sample.rows, BLOCK):
            values = kernel(*[c[low : low + BLOCK] for c in columns], *numbers)
            for found, k in zip(sums, places, strict=True):
                found.append(float(reduce(values[k])))
        return sums

    def _starts(self, rows: Rows, numbers: Sequence[float]) -> dict[int, float]:
        """The double value of every centred atom at the pivots."""
        if not any(self.program.atoms[i].centred for i in self.functions):
            return {}
        at = [np.asarray([rows.pivots[c]]) for c in self.columns]
        values = self._evaluated(at, numbers)
        found = {}
        for i, value in zip(self.functions, values, strict=True):
            if self.program.atoms[i].centred:
                start = float(np.ravel(value)[0])
                found[i] = start if math.isfinite(start) else 0.0
        return found

    def _evaluated(self, columns: Sequence[Array], numbers: Sequence[float]) -> list[Array]:
        if not self.functions:
            return []
        if self._kernel is None:
            self._kernel = row_kernel(
                [*self.columns, *self.scalars], [self.program.atoms[i].expression for i in self.functions]
            )
        return self._kernel(*columns, *numbers)  # type: ignore[no-any-return]

    def _increments(
        self, block: Mapping[Symbol, Array], rows: Rows, numbers: Sequence[float], starts: Mapping[int, float]
    ) -> dict[int, Array]:
        parts: dict[int, Array] = {}
        for i in self.atoms:
            atom = self.program.atoms[i]
            if atom.is_column:
                parts[i] = block[atom.expression] - rows.pivots[atom.expression]  # type: ignore[index]
        values = self._evaluated([block[c] for c in self.columns], numbers)
        for i, value in zip(self.functions, values, strict=True):
            if np.ndim(value) == 0:
                value = np.full(len(next(iter(block.values()))), value, dtype=float)
            parts[i] = value - starts[i] if starts.get(i) else value
        return parts

    # --- second-order increments in extended precision ---

    def _centred(self, rows: Rows, scalars: Mapping[Symbol, Any]) -> Moments:
        base = [m for m in self.monomials if not self._is_linear_function(m)]
        linear = {m[0][0]: m for m in self.monomials if self._is_linear_function(m)}
        sums: dict[Any, Any] = {}
        sizes: dict[Any, float] = {}
        slopes: dict[int, dict[Symbol, Any]] = {}
        pivots: dict[int, Any] = {}
        in_doubles: set[int] = set()
        uncentred: set[int] = set()

        def add(key: Any, part: Any, w: Any, length: int) -> None:
            part = np.broadcast_to(np.asarray(part, dtype=Wide), (length,))
            weighted = part if w is None else part * w
            sums[key] = np.sum(weighted)
            sizes[key] = float(np.sum(np.abs(weighted)))

        # the rules choose by the largest increment, so that all rows must stand in one block
        w = None if rows.weights is None else rows.weights.astype(Wide)
        length = rows.sample.rows
        nodes = {}
        for c in self.program.columns:
            delta = rows.columns[c].astype(Wide) - Wide(rows.pivots[c])
            nodes[c] = Node(
                CONTEXT.mpf(rows.pivots[c]), {c: CONTEXT.mpf(1)}, delta, Wide(0), raw=rows.columns[c]
            )
        find = Increments(nodes, scalars)
        found = {i: find.node(self.program.atoms[i].expression) for i in self.atoms}
        for i in self.functions:
            pivots[i], slopes[i] = found[i].start, found[i].slopes
            if not found[i].wide:
                in_doubles.add(i)
            if not found[i].slopes:
                uncentred.add(i)
        for m in base:
            product: Any = Wide(1)
            for i, e in m:
                for _ in range(e):
                    product = product * found[i].delta
            add(m, product, w, length)
        for i in linear:
            add(i, found[i].rest, w, length)
        for c in {c for i in linear for c in slopes[i]}:
            add(c, nodes[c].delta, w, length)
        total = rows.count

        def mean(key: Any) -> Any:
            return exact(sums[key]) / total

        def error(key: Any, atoms: Sequence[int]) -> Any:
            eps = EPS if any(i in in_doubles for i in atoms) else WIDE_EPS
            return CONTEXT.mpf(8 * eps * sizes[key]) / total

        means: dict[Monomial, Any] = {m: mean(m) for m in base}
        errors: list[dict[Monomial, Any]] = []
        columns = {
            c: {m: s for i, m in linear.items() for k, s in slopes[i].items() if k == c} for c in nodes
        }
        shared = {c for c, moved in columns.items() if moved}
        for m in base:
            if not (len(m) == 1 and m[0][1] == 1 and self.program.atoms[m[0][0]].expression in shared):
                errors.append({m: error(m, [i for i, _ in m])})
        for i, m in linear.items():
            means[m] = mean(i) + sum((s * mean(c) for c, s in slopes[i].items()), CONTEXT.mpf(0))
            errors.append({m: error(i, [i])})
        for c, moved in columns.items():
            if moved:
                size = error(c, [])
                shift = {m: s * size for m, s in moved.items()}
                for m in base:
                    if len(m) == 1 and m[0][1] == 1 and self.program.atoms[m[0][0]].expression == c:
                        shift[m] = size
                errors.append(shift)
        for k in uncentred:  # a parameter rounded to a double inside a function without a rule
            for m in self.monomials:
                if any(i == k for i, _ in m) and self.program.atoms[k].scalars:
                    errors.append({m: abs(means[m]) * CONTEXT.mpf(4 * EPS)})
        at_rows = {i: np.broadcast_to(found[i].values, (length,)) for i in self.functions}
        return Moments(means, pivots, errors + self._spotted(rows.columns, scalars, at_rows, means))

    def _is_linear_function(self, monomial: Monomial) -> bool:
        return len(monomial) == 1 and monomial[0][1] == 1 and monomial[0][0] in self.functions

    # --- 240 bits a row ---

    def _exactly(self, rows: Rows, scalars: Mapping[Symbol, Any], patience: int) -> Moments:
        distinct = rows.distinct()
        if distinct is None or len(distinct[1]) > patience:
            raise ArithmeticError("too many distinct rows")
        columns, weights = distinct
        mp = CONTEXT.mpf
        values = {c: [mp(float(v)) for v in column] for c, column in columns.items()}
        total = sum(weights, mp(0))
        parts: dict[int, Any] = self._together(values, scalars)
        for i in self.atoms:
            atom = self.program.atoms[i]
            if atom.is_column:
                pivot = mp(rows.pivots[atom.expression])  # type: ignore[index]
                parts[i] = np.array([v - pivot for v in values[atom.expression]], dtype=object)  # type: ignore[index]
            if i in parts:
                continue
            fixed = [scalars[s] for s in atom.scalars]
            function = self._row_function(i)
            rows_of = zip(*(values[c] for c in atom.columns), strict=True)
            found = (function(*row, *fixed)[0] for row in rows_of)
            # the logarithm of what rounding made negative is complex
            parts[i] = np.array([CONTEXT.nan if isinstance(v, CONTEXT.mpc) else mp(v) for v in found], object)
        means, errors = {}, []
        tiny = mp(2) ** -200
        for m in self.monomials:
            product = weights
            for i, e in m:
                product = product * parts[i] ** e
            means[m] = sum(product, mp(0)) / total
            errors.append({m: sum((abs(p) for p in product), mp(0)) / total * tiny})
        return Moments(means, {i: mp(0) for i in self.functions}, errors)

    def _together(self, values: Mapping[Symbol, Any], scalars: Mapping[Symbol, Any]) -> dict[int, Any]:
        """The functions of the rows with what they share computed once; none where one of them has no value."""
        if len(self.functions) < 2 or not self.columns:
            return {}
        if self._shared is None:
            expressions = [self.program.atoms[i].expression for i in self.functions]
            self._shared = scalar_kernel([*self.columns, *self.scalars], expressions)
        fixed = [scalars[s] for s in self.scalars]
        try:
            rows = [
                self._shared(*row, *fixed) for row in zip(*(values[c] for c in self.columns), strict=True)
            ]
        except (ValueError, ArithmeticError, TypeError, NoConvergence):
            return {}
        return {
            i: np.array(
                [CONTEXT.nan if isinstance(v, CONTEXT.mpc) else CONTEXT.mpf(v) for v in found], object
            )
            for i, found in zip(self.functions, zip(*rows, strict=True), strict=True)
        }
