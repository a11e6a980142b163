"""l next to the edge of a moving support: one gap and the other parameters in place of the parameters.

Every row x of the support has a gap g(x; theta) > 0, as x - mu or 1 + xi x/s. At the row that the edge comes
to first the gap is set to eps, which is solved for one parameter p in which g = A + B p is linear:
p = (eps - A)/B there. The gap of row i is then D_i + eps B_i/B with D_i = A_i - A B_i/B, which is exactly 0
at the row itself, so that gaps of 10**-300 keep their digits where x - p would lose them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import (
    Add,
    Dummy,
    Expr,
    Function,
    Interval,
    S,
    Symbol,
    cancel,
    expand,
    expand_mul,
    fraction,
    lambdify,
    together,
)

from symmle.compiling.data import Sample, Table
from symmle.compiling.kernels import CONTEXT, LOCK, row_kernel, scalar_kernel
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.plan import Plan
from symmle.fitting.surface import ends_in

MOST_ROWS = 200
MOST_PRECISE_ROWS = 512

Array = NDArray[Any]
Point = Sequence[float] | Array


@dataclass(frozen=True)
class Edge:
    """A gap that is positive on the support of one sample; `closed` where the support holds gap 0."""

    part: int
    gap: Expr
    closed: bool
    column: Symbol | None = None
    bound: Expr | None = None

    def approached(self, row: dict[Symbol, float]) -> str:
        """What tends to what, in words of symbols."""
        if self.bound is not None and not self.bound.free_symbols & set(row):
            return f"{_text(self.bound)} -> {row[self.column]:.6g}"  # type: ignore[index]
        at = ", ".join(f"{_text(c)} = {v:.6g}" for c, v in row.items() if c in self.gap.free_symbols)
        return f"{_text(self.gap)} -> 0 at {at}"


@lru_cache(maxsize=256)
def _text(e: Expr) -> str:
    """The expression as printed; SymPy takes longer for that than a pass over thousands of rows."""
    return str(e)


def edges_of(plan: Plan) -> list[Edge]:
    """The edges of moving supports, and of regions outside which the density is 0."""
    found = []
    moving = set(plan.parameters)
    for j, part in enumerate(plan.declaration.samples):
        for x, support in part.support.items():
            if not isinstance(support, Interval):
                continue
            if support.start.free_symbols & moving:
                found.append(Edge(j, x - support.start, not support.left_open, x, support.start))
            if support.end.free_symbols & moving:
                found.append(Edge(j, support.end - x, not support.right_open, x, support.end))
        found += [Edge(j, e, False) for e in part.inside if e.free_symbols & moving]
    return found


class Frame:
    """l as a function of eps and the other parameters, in doubles and at 240 bits."""

    def __init__(
        self,
        plan: Plan,
        table: Table,
        constants: dict[Symbol, Any],
        edge: Edge,
        row: int,
        moved: Symbol,
        most: int = MOST_ROWS,
    ):
        self.plan, self.edge, self.moved = plan, edge, moved
        self.constants = constants
        self.table = table
        self.others = tuple(p for p in plan.parameters if p != moved)
        part = plan.declaration.samples[edge.part]
        sample = table.samples[edge.part]
        self.row = {c: float(sample.columns[c][row]) for c in part.all_columns}
        self.number = row
        self.samples = [
            _some_rows(s, row if j == edge.part else None, most) for j, s in enumerate(table.samples)
        ]
        spread = [sample.maximum[c] / 2 - sample.minimum[c] / 2 for c in part.columns]
        self.unit = max(2 * max(spread), 1e-300) if edge.bound is not None and max(spread) > 0 else 1.0
        self.coordinates = [_coordinate(plan, p, constants, table) for p in self.others]
        self.low, self.high = ends_in(plan, moved, constants)
        self._prepare(part)

    def with_all_rows(self) -> Frame:
        """The same with every row of the data."""
        return Frame(
            self.plan, self.table, self.constants, self.edge, self.number, self.moved, self.table.rows
        )

    def _prepare(self, part: Any) -> None:
        columns = [list(p.all_columns) for p in self.plan.declaration.samples]
        edge, p = self.edge, self.moved
        self.symbols = [*self.others, *self.constants]
        slope = edge.gap.diff(p)
        base = edge.gap.xreplace({p: S.Zero})
        mine = columns[edge.part]
        self._line = lambdify([*mine, *self.symbols], [base, slope], "numpy")
        self._precise_line = scalar_kernel([*mine, *self.symbols], [base, slope])
        self.gap_symbol = Dummy("g", positive=True)
        opened = self.plan.derivation.likelihood.log_density
        self._bodies = []
        for j, expression in enumerate(opened):
            if j == edge.part:
                expression = _by_gap(expression, edge.gap, self.gap_symbol, p, part.columns)
            names = [*columns[j], self.gap_symbol, p, *self.symbols]
            self._bodies.append((names, expression, row_kernel(names, [expression])))
        self._precise: list[Callable[..., Any]] | None = None
        self._where = [lambdify([p, *self.symbols], w, "numpy") for w in self.plan.declaration.where]
        self._other_gaps = []
        for other in edges_of(self.plan):
            if other is not edge and other != edge:
                names = [*columns[other.part], p, *self.symbols]
                self._other_gaps.append(
                    (other.part, columns[other.part], lambdify(names, other.gap, "numpy"))
                )

    # --- points ---

    def theta(self, eps: float, t: Point) -> dict[Symbol, float] | None:
        """All parameters of a point, or None where the parameter space does not hold it."""
        found = self._placed(eps, t)
        if found is None:
            return None
        values, moved, _, _ = found
        return {self.moved: moved, **{q: values[q] for q in self.others}}

    def _placed(self, eps: float, t: Point) -> Any:
        """The values of all symbols, the moved parameter, and the gap's line at the row of the edge."""
        values = {s: np.float64(float(v)) for s, v in self.constants.items()}
        for q, c, u in zip(self.others, self.coordinates, t, strict=True):
            try:
                values[q] = np.float64(c.value(float(u)))
            except OverflowError:
                return None
            if not math.isfinite(values[q]) or values[q] in (c.low, c.high):
                return None
        rest = [values[s] for s in self.symbols]
        with np.errstate(all="ignore"):
            base, slope = self._line(*self.row.values(), *rest)
            if not slope or not math.isfinite(base) or not math.isfinite(slope):
                return None
            return values, np.float64((eps - base) / slope), base, slope

    def _moved(self, eps: float, t: Point) -> Any:
        """A point, and the gaps of all rows: start + eps ratio."""
        placed = self._placed(eps, t)
        if placed is None:
            return None
        values, moved, base, slope = placed
        sample = self.samples[self.edge.part]
        mine = list(self.plan.declaration.samples[self.edge.part].all_columns)
        with np.errstate(all="ignore"):
            bases, slopes = self._line(*(sample.columns[c] for c in mine), *(values[s] for s in self.symbols))
            ratio = np.broadcast_to(np.asarray(slopes / slope, dtype=float), (sample.rows,))
            start = np.array(np.broadcast_to(bases - base * ratio, (sample.rows,)), dtype=float)
            start[self._same_row(sample, mine)] = 0.0
        return values, moved, start, ratio

    def _same_row(self, sample: Sample, mine: list[Symbol]) -> Array:
        same = np.ones(sample.rows, dtype=bool)
        for c in mine:
            same &= sample.columns[c] == self.row[c]
        return same

    def height(self, eps: float, t: Point) -> float:
        """l in doubles; -inf outside the parameter space."""
        found = self._moved(eps, t)
        if found is None:
            return -math.inf
        values, moved, start, ratio = found
        if not self.low <= moved <= self.high:
            return -math.inf
        rest = [values[s] for s in self.symbols]
        total = 0.0
        with np.errstate(all="ignore"):
            gaps = start + eps * ratio
            if not np.all(gaps > 0) and not (eps == 0 and np.all(gaps >= 0)):
                return -math.inf
            if any(not w(moved, *rest) > 0 for w in self._where):
                return -math.inf
            for j, columns, gap in self._other_gaps:
                other = gap(*(self.samples[j].columns[c] for c in columns), moved, *rest)
                if not np.all(np.asarray(other) >= 0):
                    return -math.inf
            for j, (_, _, kernel) in enumerate(self._bodies):
                sample = self.samples[j]
                mine = [sample.columns[c] for c in self.plan.declaration.samples[j].all_columns]
                logs = np.asarray(kernel(*mine, gaps if j == self.edge.part else 0.0, moved, *rest)[0])
                if np.iscomplexobj(logs):
                    return -math.inf
                logs = np.broadcast_to(logs, (sample.rows,))
                total += float(np.sum(logs if sample.weights is None else logs * sample.weights))
        return total if math.isfinite(total) else -math.inf

    def own_rise(self, t: Point) -> float:
        """d log f/d log(1/gap) of the row at the edge, the gap near 0: positive where the density is infinite there."""
        found = self._placed(0.0, t)
        if found is None:
            return -math.inf
        values, moved, _, _ = found
        if not self.low <= moved <= self.high:
            return -math.inf
        mine = [self.row[c] for c in self.plan.declaration.samples[self.edge.part].all_columns]
        rest = [values[s] for s in self.symbols]
        kernel = self._bodies[self.edge.part][2]
        with np.errstate(all="ignore"):
            near, far = (complex(kernel(*mine, np.float64(g), moved, *rest)[0]) for g in (1e-200, 1e-100))
        rise = (near - far) / math.log(1e100)
        return rise.real if not rise.imag and math.isfinite(rise.real) else -math.inf

    def precise_height(self, eps: Any, values: dict[Symbol, Any]) -> Any:
        """l at 240 bits at 240-bit values of the other parameters; -inf where it is not real."""
        sample = self.samples[self.edge.part]
        mine = list(self.plan.declaration.samples[self.edge.part].all_columns)
        with LOCK:
            if self._precise is None:
                self._precise = [scalar_kernel(names, [body]) for names, body, _ in self._bodies]
            total = CONTEXT.mpf(0)
            rest = [CONTEXT.convert(values[s]) for s in self.symbols]
            try:
                base, slope = self._precise_line(*(CONTEXT.mpf(self.row[c]) for c in mine), *rest)
                moved = (eps - base) / slope
                for j, kernel in enumerate(self._precise):
                    rows = self.samples[j]
                    names = list(self.plan.declaration.samples[j].all_columns)
                    for i in range(rows.rows):
                        at = [CONTEXT.mpf(float(rows.columns[c][i])) for c in names]
                        gap = CONTEXT.mpf(0)
                        if j == self.edge.part:
                            a, b = self._precise_line(*at, *rest)
                            same = all(float(sample.columns[c][i]) == self.row[c] for c in mine)
                            gap = (0 if same else a - base * b / slope) + eps * b / slope
                        found = kernel(*at, gap, moved, *rest)[0]
                        if isinstance(found, CONTEXT.mpc) or not CONTEXT.isfinite(found):
                            return -CONTEXT.inf
                        total += found if rows.weights is None else found * float(rows.weights[i])
            except (ZeroDivisionError, OverflowError, ValueError, TypeError):
                return -CONTEXT.inf
        return total


def frames_of(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> list[Frame]:
    """A frame for each edge and each row that it may come to first."""
    found = []
    for edge in edges_of(plan):
        part = plan.declaration.samples[edge.part]
        sample = table.samples[edge.part]
        moved = _linear_parameter(edge, plan)
        if moved is None:
            edge = _multiplied(edge)
            moved = _linear_parameter(edge, plan)
        if moved is None:
            continue
        for row in _first_rows(edge, part, sample):
            found.append(Frame(plan, table, constants, edge, row, moved))
    return found


def _multiplied(edge: Edge) -> Edge:
    """The gap times its positive denominator: 1 + xi (x - mu)/sigma as sigma + xi (x - mu), linear in sigma."""
    above, below = fraction(together(edge.gap))
    return replace(edge, gap=expand(above)) if below.is_positive else edge


def _linear_parameter(edge: Edge, plan: Plan) -> Symbol | None:
    """The parameter for which the gap is solved: one with a constant slope and no bounds is preferred."""
    candidates: list[tuple[bool, bool, int, Symbol]] = []
    for p in plan.parameters:
        slope = edge.gap.diff(p)
        if slope.is_zero or slope.has(p):
            continue
        domain = plan.domain_of(p)
        bounded = not isinstance(domain, Interval) or domain.start.is_finite or domain.end.is_finite
        candidates.append((bool(slope.free_symbols), bool(bounded), len(candidates), p))
    return min(candidates)[3] if candidates else None


def _first_rows(edge: Edge, part: Any, sample: Sample) -> list[int]:
    columns = [c for c in part.all_columns if c in edge.gap.free_symbols]
    if len(columns) == 1 and edge.column is not None:
        values = sample.columns[columns[0]]
        return [int(np.argmin(values) if edge.gap.coeff(edge.column) == 1 else np.argmax(values))]
    rows: list[int] = []
    for c in columns:
        for k in (int(np.argmin(sample.columns[c])), int(np.argmax(sample.columns[c]))):
            if k not in rows:
                rows.append(k)
    return rows[:4]


def _by_gap(e: Expr, gap: Expr, g: Symbol, moved: Symbol, columns: tuple[Symbol, ...]) -> Expr:
    """e with sums that vanish with the gap written in it: ratio * g + rest, the rest free of the moved parameter."""
    x = next(c for c in columns if gap.has(c))
    slope = expand(gap).coeff(x)
    linear = slope != 0 and not slope.has(x) and not (expand(gap) - slope * x).expand().has(x)

    def rewrite(n: Expr) -> Expr:
        whole = cancel(n / gap)
        if not whole.free_symbols & {x, moved}:
            return whole * g
        if not linear:
            return n
        opened = expand(n)
        own = opened.coeff(x)
        if own == 0 or own.has(x) or expand(opened - own * x).has(x):
            return n
        ratio = cancel(own / slope)
        rest = cancel(n - ratio * gap)
        if rest.has(x) or rest.has(moved) or ratio.has(moved) and rest != 0:
            return n
        return ratio * g + rest

    e = e.replace(lambda n: isinstance(n, Add) and n.has(x) and n.has(moved), rewrite)
    # 1 + xi (sigma g/xi - sigma/xi)/sigma is g
    return e.replace(lambda n: isinstance(n, Add) and n.has(g) and not n.has(Function), expand_mul)


def _some_rows(sample: Sample, row: int | None, most: int) -> Sample:
    """At most so many rows, the extremes and one row among them; the rows that tie with it stay."""
    if sample.rows <= most:
        return sample
    keep = set(range(0, sample.rows, sample.rows // most))
    for values in sample.columns.values():
        keep |= {int(np.argmin(values)), int(np.argmax(values))}
    if row is not None:
        same = np.ones(sample.rows, dtype=bool)
        for values in sample.columns.values():
            same &= values == values[row]
        keep |= set(np.flatnonzero(same)[:most].tolist())
    rows = sorted(keep)
    columns = {c: v[rows] for c, v in sample.columns.items()}
    weights = None if sample.weights is None else sample.weights[rows]
    n = float(len(rows)) if weights is None else float(weights.sum())
    return Sample(columns, weights, n, len(rows), sample.minimum, sample.maximum, sample.pivot)


def _coordinate(plan: Plan, parameter: Symbol, constants: dict[Symbol, Any], table: Table) -> Coordinate:
    low, high = ends_in(plan, parameter, constants)
    return Coordinate(low, high)


__all__ = ["Edge", "Frame", "edges_of", "frames_of"]
