"""How far means may be off: rounding in the rows, judged by some of them, and functions that cancel inside."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Add, Expr, Function, Pow, S, Symbol, exp, log

from symmle.compiling.data import spread_rows
from symmle.compiling.increments import Wide, exact
from symmle.compiling.kernels import CONTEXT, scalar_kernel
from symmle.compiling.program import Atom, Monomial, SampleProgram
from symmle.compiling.row_data import Moments, Rows
from symmle.compiling.supports import not_whole

Array = NDArray[Any]
EPS = 2.0**-52
STRETCH = 1 << 13
SPOTS = 12  # rows at which functions that may cancel are held against 240 bits
UNDERFLOWN = 1e-290  # means below are looked at
LOST = 1e-14  # of the function itself: a mean below is none
STRIDED = 512  # rows that magnitudes are judged by


class Judged(ABC):
    """What a pass over rows knows of the errors of its means."""

    def __init__(self, program: SampleProgram, stage: int):
        self.program = program
        self.monomials = [m for m in program.monomials if program.stage_of(m) == stage]
        self.atoms = sorted({i for m in self.monomials for i, _ in m})
        self.functions = [i for i in self.atoms if not program.atoms[i].is_column]
        scalars = {s for i in self.functions for s in program.atoms[i].scalars}
        self.scalars = tuple(sorted(scalars, key=str))
        self._exact: dict[int, Callable[..., Any]] = {}

    @abstractmethod
    def _increments(
        self, block: Mapping[Symbol, Array], rows: Rows, numbers: Sequence[float], starts: Mapping[int, float]
    ) -> dict[int, Array]:
        """The increments of every atom at a block of rows."""

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
        if len(plain) == len(self.monomials) and (bounds := self._plainly_judged(rows, plain, means)):
            return bounds
        block = {c: spread_rows(v, STRIDED) for c, v in rows.columns.items()}
        w = None if rows.weights is None else spread_rows(rows.weights, STRIDED)
        parts = self._increments(block, rows, numbers, starts)
        sizes = {i: np.abs(p) for i, p in parts.items()}
        total = float(len(block[self.program.columns[0]])) if w is None else float(np.sum(w)) or 1.0
        errors: list[dict[Monomial, Any]] = []
        for m in self.monomials:
            if m in plain and self._is_exact(rows, m):
                continue
            error = 4 * EPS * max(summed_product(sizes, m, w) / total, abs(float(means[m])))
            if m in plain:
                error += 2 * EPS * float(np.mean(np.abs(block[self.program.atoms[m[0][0]].expression])))  # type: ignore[index]
            for i, e in m:
                if starts.get(i):
                    rest = tuple((k, f - (k == i)) for k, f in m if f - (k == i))
                    error += (
                        2
                        * EPS
                        * e
                        * abs(starts[i])
                        * (summed_product(sizes, rest, w) / total if rest else 1.0)
                    )
            errors.append({m: CONTEXT.mpf(error)})
        for k in range(len(numbers)):  # a parameter is rounded to a double: what does that move?
            moved = list(numbers)
            moved[k] *= 1 + EPS
            other = self._increments(block, rows, moved, starts)
            shift = {
                m: CONTEXT.mpf((summed_product(other, m, w) - summed_product(parts, m, w)) / total)
                for m in self.monomials
                if any(numbers_of(self.program.atoms[i], self.scalars[k]) for i, _ in m)
            }
            errors.append(shift)
        values = {i: parts[i] + starts.get(i, 0.0) for i in self.functions}
        return errors + self._spotted(block, scalars, values, means)

    def _is_exact(self, rows: Rows, monomial: Monomial) -> bool:
        """Whether a plain sum of whole numbers is free of rounding; asked where a formula has floors."""
        column: Symbol = self.program.atoms[monomial[0][0]].expression  # type: ignore[assignment]
        if not self.program.jumps or rows.weights is not None or column in rows.scales:
            return False
        sample = rows.sample
        if ("whole", column) not in sample.cache:
            largest = max(abs(sample.minimum[column]), abs(sample.maximum[column]))
            small = largest * sample.rows < 2.0**53
            sample.cache["whole", column] = small and not_whole(sample.columns[column]) is None
        return bool(sample.cache["whole", column])

    def _plainly_judged(
        self, rows: Rows, plain: set[Monomial], means: Mapping[Monomial, Any]
    ) -> list[dict[Monomial, Any]]:
        """Errors of plain sums of columns of one sign, where Mean(|x|) is known; else none."""
        errors = []
        for m in plain:
            column = self.program.atoms[m[0][0]].expression
            low, pivot = rows.sample.minimum[column], rows.pivots[column]  # type: ignore[index]
            if self._is_exact(rows, m):
                continue
            if low < 0 or rows.scales:
                return []
            mean = float(means[m])
            # |x - c| <= x + c, of which the mean is at most mean + 2 c
            errors.append({m: CONTEXT.mpf(EPS * (4 * abs(mean) + 6 * (mean + 2 * abs(pivot))))})
        return errors or [{}]

    def _spotted(
        self,
        rows: Mapping[Symbol, Array],
        scalars: Mapping[Symbol, Any],
        values: Mapping[int, Array],
        means: Mapping[Monomial, Any],
    ) -> list[dict[Monomial, Any]]:
        """Errors of functions whose inner sums may cancel, found at a few rows by 240 bits.

        `values` are those at these rows.
        """
        errors: list[dict[Monomial, Any]] = []
        for i in self.functions:
            atom = self.program.atoms[i]
            if not may_cancel(atom.expression):
                continue
            columns = {c: rows[c] for c in atom.columns}
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
                worst = max(worst, as_double(abs(exact(Wide(values[i][k])) / truth - 1)))
            # rounding alone is a few units; more is cancellation, which hits some rows and not others
            if not worst <= 64 * EPS:
                size = float(np.mean(np.abs(values[i]))) * (worst if math.isfinite(worst) else 1.0)
                errors.append({m: CONTEXT.mpf(size) for m in self.monomials if any(k == i for k, _ in m)})
        return errors

    def _with_underflown(self, found: Moments, rows: Rows, scalars: Mapping[Symbol, Any]) -> Moments:
        """The means with those of functions that underflow at every row taken at a few rows, and off by as much.

        exp(-1000 x) is no zero where a factor outside the mean is as large as it is small.
        """
        low = [m for m, mean in found.means.items() if abs(mean) < UNDERFLOWN]
        low = [m for m in low if any(i in self.functions for i, _ in m)]
        if not low:
            return found
        spots = np.linspace(0, rows.sample.rows - 1, min(rows.sample.rows, SPOTS)).astype(int).tolist()
        for column in self.program.columns:
            spots += [int(np.argmin(rows.columns[column])), int(np.argmax(rows.columns[column]))]
        truths: dict[int, list[Any]] = {}
        for i in {i for m in low for i, _ in m}:
            truth = self._at_spots(i, rows, scalars, spots)
            if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for v in truth):
                return found
            truths[i] = truth
        for m in low:
            functions = [i for i, _ in m if i in self.functions]
            if not any(0 < max(map(abs, truths[i])) < UNDERFLOWN for i in functions):
                continue
            products = [CONTEXT.mpf(1)] * len(spots)
            for i, e in m:
                pivot = found.pivots.get(i, CONTEXT.mpf(0)) if i in self.functions else CONTEXT.mpf(0)
                products = [p * (v - pivot) ** e for p, v in zip(products, truths[i], strict=True)]
            largest = max(map(abs, products))
            if abs(found.means[m]) > LOST * largest:  # long doubles have it
                continue
            found.means[m] = sum(products, CONTEXT.mpf(0)) / len(spots)
            if found.errors:
                found.errors.append({m: largest})
        return found

    def _at_spots(self, i: int, rows: Rows, scalars: Mapping[Symbol, Any], spots: Sequence[int]) -> list[Any]:
        """An atom at a few rows at 240 bits: a function, or a column about its pivot."""
        atom = self.program.atoms[i]
        if atom.is_column:
            column: Symbol = atom.expression  # type: ignore[assignment]
            pivot = CONTEXT.mpf(rows.pivots[column])
            return [CONTEXT.mpf(float(rows.columns[column][k])) - pivot for k in spots]
        given = [rows.columns[c] for c in atom.columns]
        fixed = [scalars[s] for s in atom.scalars]
        function = self._row_function(i)
        return [function(*(CONTEXT.mpf(float(column[k])) for column in given), *fixed)[0] for k in spots]

    def _row_function(self, i: int) -> Callable[..., Any]:
        if i not in self._exact:
            atom = self.program.atoms[i]
            self._exact[i] = scalar_kernel([*atom.columns, *atom.scalars], [atom.expression])
        return self._exact[i]


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


def as_double(number: Any) -> float:
    try:
        return float(number)
    except (TypeError, OverflowError):
        return math.nan


def exact_sum(parts: list[float]) -> float:
    try:
        return math.fsum(parts)
    except (OverflowError, ValueError):  # inf, or inf - inf
        return math.nan


def summed_product(parts: Mapping[int, Array], monomial: Monomial, w: Array | None) -> float:
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
