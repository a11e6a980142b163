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
from numpy.typing import NDArray
from sympy import Add, Expr, Function, Pow, S, Symbol, exp, log

from symmle.compiling.data import BLOCK, LONG_BLOCK
from symmle.compiling.increments import Increments, Node, Wide, exact
from symmle.compiling.kernels import CONTEXT, row_kernel, scalar_kernel
from symmle.compiling.program import Atom, Monomial, SampleProgram
from symmle.compiling.row_data import MOST_DISTINCT, Moments, Rows

Array = NDArray[Any]
EPS = 2.0**-52
WIDE_EPS = float(np.finfo(Wide).eps)
STRETCH = 1 << 13
SPOTS = 12  # rows at which functions that may cancel are held against 240 bits
STRIDED = 512  # rows that magnitudes are judged by


class Care(IntEnum):
    DIRECT = 0
    CENTRED = 1
    EXACT = 2


class Pass:
    """The rows of one sample for the atoms of one stage."""

    def __init__(self, program: SampleProgram, stage: int):
        self.program = program
        self.stage = stage
        self.monomials = [m for m in program.monomials if program.stage_of(m) == stage]
        self.atoms = sorted({i for m in self.monomials for i, _ in m})
        self.functions = [i for i in self.atoms if not program.atoms[i].is_column]
        scalars = {s for i in self.functions for s in program.atoms[i].scalars}
        self.scalars = tuple(sorted(scalars, key=str))
        used = [program.atoms[i].expression for i in self.functions]
        self.columns = tuple(c for c in program.columns if any(e.has(c) for e in used))
        self._kernel: Callable[..., Any] | None = None
        self._exact: dict[int, Callable[..., Any]] = {}

    def run(
        self,
        rows: Rows,
        scalars: Mapping[Symbol, Any],
        care: Care,
        judge: bool,
        patience: int = MOST_DISTINCT,
    ) -> Moments:
        """The means of the monomials of this stage; `judge` asks for errors too."""
        if care is Care.DIRECT:
            return self._direct(rows, scalars, judge)
        if care is Care.CENTRED:
            return self._centred(rows, scalars)
        return self._exactly(rows, scalars, patience)

    # --- doubles, in blocks ---

    def _direct(self, rows: Rows, scalars: Mapping[Symbol, Any], judge: bool) -> Moments:
        numbers = [_double(scalars[s]) for s in self.scalars]
        starts = self._starts(rows, numbers)
        columns = [rows.columns[c] for c in self.program.columns]
        weights = rows.weights
        total = rows.sample.n
        read = {m: mean for m in self.monomials if (mean := self._plain(m, rows)) is not None}
        left = [m for m in self.monomials if m not in read]
        sums: list[list[float]] = [[] for _ in left]
        for low in range(0, rows.sample.rows if left else 0, BLOCK):
            block = {c: v[low : low + BLOCK] for c, v in zip(self.program.columns, columns, strict=True)}
            w = None if weights is None else weights[low : low + BLOCK]
            parts = self._increments(block, rows, numbers, starts)
            for found, monomial in zip(sums, left, strict=True):
                found.append(_summed(parts, monomial, w))
        means = {m: CONTEXT.mpf(_fsum(s) / total) for m, s in zip(left, sums, strict=True)}
        means.update(read)
        pivots = {i: CONTEXT.mpf(starts.get(i, 0.0)) for i in self.functions}
        errors = self._judged(rows, scalars, numbers, starts, means, set(read)) if judge else []
        return Moments(means, pivots, errors)

    def _plain(self, monomial: Monomial, rows: Rows) -> Any:
        """Mean(x - c) by one plain sum, where no other mean needs the increments of that column."""
        ((i, e), *others) = monomial
        atom = self.program.atoms[i]
        if others or e != 1 or not atom.is_column or rows.weights is not None:
            return None
        if any(k == i for m in self.monomials if m != monomial for k, _ in m):
            return None
        values = rows.columns[atom.expression]  # type: ignore[index]
        sums = [
            float(np.add.reduce(values[low : low + LONG_BLOCK])) for low in range(0, len(values), LONG_BLOCK)
        ]
        return CONTEXT.mpf(_fsum(sums)) / len(values) - CONTEXT.mpf(rows.pivots[atom.expression])  # type: ignore[index]

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

    def _judged(
        self,
        rows: Rows,
        scalars: Mapping[Symbol, Any],
        numbers: Sequence[float],
        starts: Mapping[int, float],
        means: Mapping[Monomial, Any],
        plain: set[Monomial],
    ) -> list[dict[Monomial, Any]]:
        """How far each mean may be off, judged by rows at even distances."""
        step = max(1, -(-rows.sample.rows // STRIDED))
        block = {c: v[::step] for c, v in rows.columns.items()}
        w = None if rows.weights is None else rows.weights[::step]
        parts = self._increments(block, rows, numbers, starts)
        sizes = {i: np.abs(p) for i, p in parts.items()}
        total = float(len(block[self.program.columns[0]])) if w is None else float(np.sum(w)) or 1.0
        errors: list[dict[Monomial, Any]] = []
        for m in self.monomials:
            error = 4 * EPS * max(_summed(sizes, m, w) / total, abs(float(means[m])))
            if m in plain:
                error += 2 * EPS * float(np.mean(np.abs(block[self.program.atoms[m[0][0]].expression])))  # type: ignore[index]
            for i, e in m:
                if starts.get(i):
                    rest = tuple((k, f - (k == i)) for k, f in m if f - (k == i))
                    error += 2 * EPS * e * abs(starts[i]) * (_summed(sizes, rest, w) / total if rest else 1.0)
            errors.append({m: CONTEXT.mpf(error)})
        for k in range(len(numbers)):  # a parameter is rounded to a double: what does that move?
            moved = list(numbers)
            moved[k] *= 1 + EPS
            other = self._increments(block, rows, moved, starts)
            shift = {
                m: CONTEXT.mpf((_summed(other, m, w) - _summed(parts, m, w)) / total)
                for m in self.monomials
                if any(numbers_of(self.program.atoms[i], self.scalars[k]) for i, _ in m)
            }
            errors.append(shift)
        values = {i: parts[i] + starts.get(i, 0.0) for i in self.functions}
        return errors + self._spotted(rows, scalars, values, means, step)

    def _spotted(
        self,
        rows: Rows,
        scalars: Mapping[Symbol, Any],
        values: Mapping[int, Array],
        means: Mapping[Monomial, Any],
        step: int = 1,
    ) -> list[dict[Monomial, Any]]:
        """Errors of functions whose inner sums may cancel, found at a few rows by 240 bits.

        `values` are those at every `step`-th row.
        """
        errors: list[dict[Monomial, Any]] = []
        for i in self.functions:
            atom = self.program.atoms[i]
            if not may_cancel(atom.expression):
                continue
            columns = {c: rows.columns[c][::step] for c in atom.columns}
            count = len(values[i])
            spots = set(np.linspace(0, count - 1, min(count, SPOTS)).astype(int).tolist())
            for column in columns.values():
                spots |= {int(np.argmin(column)), int(np.argmax(column))}
            worst = 0.0
            for k in sorted(spots):
                truth = self._row_function(i)(
                    *(CONTEXT.mpf(float(column[k])) for column in columns.values()),
                    *(scalars[s] for s in atom.scalars),
                )[0]
                if isinstance(truth, CONTEXT.mpc) or not CONTEXT.isfinite(truth) or truth == 0:
                    continue
                worst = max(worst, _double(abs(exact(Wide(values[i][k])) / truth - 1)))
            # rounding alone is a few units; more is cancellation, which hits some rows and not others
            if not worst <= 64 * EPS:
                size = float(np.mean(np.abs(values[i]))) * (worst if math.isfinite(worst) else 1.0)
                errors.append({m: CONTEXT.mpf(size) for m in self.monomials if any(k == i for k, _ in m)})
        return errors

    def _row_function(self, i: int) -> Callable[..., Any]:
        if i not in self._exact:
            atom = self.program.atoms[i]
            self._exact[i] = scalar_kernel([*atom.columns, *atom.scalars], [atom.expression])
        return self._exact[i]

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
        return Moments(means, pivots, errors + self._spotted(rows, scalars, at_rows, means))

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
        parts: dict[int, Any] = {}
        for i in self.atoms:
            atom = self.program.atoms[i]
            if atom.is_column:
                pivot = mp(rows.pivots[atom.expression])  # type: ignore[index]
                parts[i] = np.array([v - pivot for v in values[atom.expression]], dtype=object)  # type: ignore[index]
                continue
            fixed = [scalars[s] for s in atom.scalars]
            function = self._row_function(i)
            rows_of = zip(*(values[c] for c in atom.columns), strict=True)
            parts[i] = np.array([mp(function(*row, *fixed)[0]) for row in rows_of], dtype=object)
        means, errors = {}, []
        tiny = mp(2) ** -200
        for m in self.monomials:
            product = weights
            for i, e in m:
                product = product * parts[i] ** e
            means[m] = sum(product, mp(0)) / total
            errors.append({m: sum((abs(p) for p in product), mp(0)) / total * tiny})
        return Moments(means, {i: mp(0) for i in self.functions}, errors)


def may_cancel(expression: Expr) -> bool:
    """Whether a sum of functions of columns stands inside, other than 1 + f, which is rewritten."""
    for node in expression.atoms(Add):
        functions = [a for a in node.args if a.has(Function, Pow) and not a.is_number]
        if functions and (len(node.args) > 2 or node.args[0] is not S.One):
            return True
        if any(a.has(exp, log) and a.free_symbols for a in node.args):
            return True
    return False


def numbers_of(atom: Atom, scalar: Symbol) -> bool:
    return scalar in atom.scalars


def _double(number: Any) -> float:
    try:
        return float(number)
    except (TypeError, OverflowError):
        return math.nan


def _fsum(parts: list[float]) -> float:
    try:
        return math.fsum(parts)
    except (OverflowError, ValueError):  # inf, or inf - inf
        return math.nan


def _summed(parts: Mapping[int, Array], monomial: Monomial, w: Array | None) -> float:
    """sum_i w_i prod_a delta_a**e, the last product by a dot."""
    factors = [parts[i] for i, e in monomial for _ in range(e)]
    if w is not None:
        factors.insert(0, w)
    product = factors[0]
    for factor in factors[1:-1]:
        product = product * factor
    if len(factors) == 1:
        return float(np.add.reduce(product))
    last = factors[-1]
    total = 0.0
    for low in range(0, len(product), STRETCH):  # longer products would wake BLAS's threads
        total += float(np.dot(product[low : low + STRETCH], last[low : low + STRETCH]))
    return total
