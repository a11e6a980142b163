"""The M-step on responsibilities: closed where the engine's answer is closed, Newton on Q for what is left.

In the engine's answer Total(t) over the sample of branch j becomes sum_i w_i r_ij t(x_i), and Count its
sum_i w_i r_ij. A mean inside a mean is known before the outer one is taken, so that (x - Mean(x))**2 keeps its digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Dummy, Expr, S, Symbol

from symmle.compiling.kernels import row_kernel
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.em_rows import BranchesOnRows, BranchLikelihood
from symmle.fitting.surface_sums import scalar_function
from symmle.sample import Count, LinearStatistic, Maximum, Mean, Median, Minimum, Quantile, SampleOperator

Array = NDArray[Any]
NEWTON_STEPS = 4  # of a generalised M-step: Q need only rise
ORDERED = (Minimum, Maximum, Median, Quantile)


@dataclass
class _Known:
    """One sample operator: where its rows are, and how to find it when what stands inside is known."""

    operator: SampleOperator
    name: Symbol
    branch: int | None  # None: the labels
    stage: int
    inner: tuple[Symbol, ...]
    kernel: Callable[..., Any] | None = None


class MStep:
    """theta^(t+1) = argmax Q(theta | theta^(t)), or a rise of Q where there is no closed form."""

    def __init__(self, model: BranchLikelihood):
        self.model = model
        problem = model.problem
        closed = problem.estimator.closed
        unknown = set(problem.m_step.parameters)
        self._branch_of = {
            copy: j for j, branch in enumerate(problem.branches) for copy in branch.columns.values()
        }
        self._original = {
            copy: column for branch in problem.branches for column, copy in branch.columns.items()
        }
        self._operators: dict[SampleOperator, _Known] = {}
        self.closed: list[int] = []
        bodies: list[Expr] = []
        by_name = {str(p): e for p, e in closed.items()}
        for i, p in enumerate(model.parameters):
            e = by_name.get(str(p))
            if e is None or e.free_symbols & unknown or not self._is_built(e):
                continue
            self.closed.append(i)
            bodies.append(self._named(e)[0])
        self.open = [i for i in range(len(model.parameters)) if i not in self.closed]
        ordered = sorted(self._operators.values(), key=lambda k: k.stage)
        self._ordered = ordered
        inputs = [k.name for k in ordered]
        self._scalars = scalar_function(model.constants, inputs, bodies) if bodies else None

    @property
    def is_closed(self) -> bool:
        return not self.open

    # --- reading the answer ---

    def _is_built(self, e: Expr) -> bool:
        known = (Count, LinearStatistic, *ORDERED)
        return all(isinstance(o, known) for o in e.atoms(SampleOperator))

    def _named(self, e: Expr) -> tuple[Expr, int]:
        """The expression with symbols for its outermost operators, and the stage after which it is known."""
        stage = 0
        swap: dict[Any, Any] = {}

        def walk(node: Any) -> None:
            nonlocal stage
            if isinstance(node, SampleOperator):
                known = self._operator(node)
                swap[node] = known.name
                stage = max(stage, known.stage + 1)
                return
            for argument in node.args:
                walk(argument)

        walk(e)
        return e.xreplace(swap), stage

    def _operator(self, operator: SampleOperator) -> _Known:
        if operator in self._operators:
            return self._operators[operator]
        branch = next((self._branch_of[c] for c in operator.columns if c in self._branch_of), None)
        if isinstance(operator, Count):
            known = _Known(operator, Dummy("n"), branch, 0, ())
        else:
            inside, stage = self._named(operator.summand)  # type: ignore[attr-defined]
            inner = tuple(
                sorted(
                    inside.free_symbols - set(operator.columns) - set(self.model.constants),
                    key=lambda s: s.name + str(s.dummy_index),  # type: ignore[attr-defined]
                )
            )
            columns = operator.columns
            kernel = row_kernel([*columns, *inner, *self.model.constants], [inside])
            known = _Known(operator, Dummy("t"), branch, stage, inner, kernel)
        self._operators[operator] = known
        return known

    # --- on data ---

    def __call__(
        self,
        rows: BranchesOnRows,
        r: Array,
        theta: Sequence[float],
        coordinates: Sequence[Coordinate],
        is_allowed: Callable[[Sequence[float]], bool],
    ) -> list[float] | None:
        """The new theta; None where a closed value is no number or leaves its domain."""
        found = list(theta)
        if self._scalars is not None:
            values = self._closed(rows, r)
            if values is None:
                return None
            for i, v in zip(self.closed, values, strict=True):
                if not (math.isfinite(v) and coordinates[i].low <= v <= coordinates[i].high):
                    return None
                found[i] = v
        if self.open:
            return self._risen(rows, r, found, coordinates, is_allowed)
        return found

    def _closed(self, rows: BranchesOnRows, r: Array) -> list[float] | None:
        weighted = [r_j if rows.weights is None else r_j * rows.weights for r_j in r]
        sizes = [float(np.add.reduce(w)) for w in weighted]
        columns = dict(zip(self.model.columns, rows.columns, strict=True))
        known: dict[Symbol, float] = {}
        with np.errstate(all="ignore"):
            for item in self._ordered:
                known[item.name] = self._value(item, rows, columns, weighted, sizes, known)
        assert self._scalars is not None
        try:
            with np.errstate(all="ignore"):
                found = self._scalars(*rows.constants, *(known[k.name] for k in self._ordered))
                return [float(v) for v in found]
        except (ZeroDivisionError, OverflowError, ValueError, TypeError):
            return None

    def _value(
        self,
        item: _Known,
        rows: BranchesOnRows,
        columns: dict[Symbol, Array],
        weighted: Sequence[Array],
        sizes: Sequence[float],
        known: dict[Symbol, float],
    ) -> float:
        operator = item.operator
        if isinstance(operator, Count):
            return rows.n if item.branch is None else sizes[item.branch]
        values = self._values(item, rows, columns, known)
        if item.branch is None:  # of the labels, of which one is 1: sum_j n_j g(e_j)
            total = sum(n_j * g_j for n_j, g_j in zip(sizes, values, strict=True))
            return total / rows.n if isinstance(operator, Mean) else total
        w = weighted[item.branch]
        if isinstance(operator, ORDERED):
            return _order_statistic(operator, np.broadcast_to(values, w.shape), w)
        if np.ndim(values) == 0:
            total = float(values) * sizes[item.branch]
        else:
            total = float(w @ values)
            if not math.isfinite(total):
                total = float(np.where(w > 0, w * values, 0.0).sum())
        if not isinstance(operator, Mean):
            return total
        return total / sizes[item.branch] if sizes[item.branch] > 0 else math.nan

    def _values(
        self, item: _Known, rows: BranchesOnRows, columns: dict[Symbol, Array], known: dict[Symbol, float]
    ) -> Any:
        """g of every row, or g(e_j) of the labels; where it holds nothing that moves, it is found once."""
        kept = rows.statistics if not item.inner else None
        if kept is not None and item.name in kept:
            return kept[item.name]
        given = [*(known[s] for s in item.inner), *rows.constants]
        assert item.kernel is not None
        if item.branch is None:
            k = len(item.operator.columns)
            unit = np.eye(k).tolist()
            found: Any = [float(item.kernel(*e, *given)[0]) for e in unit]
        else:
            found = item.kernel(*(columns[self._original[c]] for c in item.operator.columns), *given)[0]
        if kept is not None:
            kept[item.name] = found
        return found

    def _risen(
        self,
        rows: BranchesOnRows,
        r: Array,
        theta: list[float],
        coordinates: Sequence[Coordinate],
        is_allowed: Callable[[Sequence[float]], bool],
    ) -> list[float]:
        """Some steps of Newton's method on Q in the coordinates that are open, each a rise."""
        at = list(theta)
        for _ in range(NEWTON_STEPS):
            height, g, h = rows.surrogate(at, r)
            if not math.isfinite(height):
                return at
            slopes = np.array([coordinates[i].slopes(at[i]) for i in self.open])
            with np.errstate(all="ignore"):
                g = g[self.open] * slopes[:, 0]
                h = h[np.ix_(self.open, self.open)] * np.outer(slopes[:, 0], slopes[:, 0])
                h += np.diag(rows_gradient(g, slopes))
            if not (np.isfinite(g).all() and np.isfinite(h).all()):
                return at
            values, vectors = np.linalg.eigh(-h)
            floor = max(1e-8 * float(np.abs(values).max(initial=0.0)), 1e-300)
            move = vectors @ ((vectors.T @ g) / np.maximum(np.abs(values), floor))
            gain = float(g @ move)
            longest = float(np.abs(move).max(initial=0.0))
            if longest > 2.0:
                move *= 2.0 / longest
            for _ in range(25):
                new = list(at)
                for i, m in zip(self.open, move, strict=True):
                    c = coordinates[i]
                    new[i] = c.value(c.at(at[i]) + float(m))
                other = rows.surrogate_value(new, r)
                if other >= height and is_allowed(new):
                    break
                move = move / 4
            else:
                return at
            at = new
            if gain < 1e-12 * (1.0 + abs(height)):
                break
        return at


def rows_gradient(g: Array, slopes: Array) -> Array:
    """The part of a Hessian in free coordinates that a bent coordinate adds: dQ/dtheta d2theta/dt2."""
    with np.errstate(all="ignore"):
        return np.where(slopes[:, 0] != 0, g * slopes[:, 1] / slopes[:, 0], 0.0)


def _order_statistic(operator: SampleOperator, values: Array, weights: Array) -> float:
    """The smallest value whose cumulated weight is at least p of the whole; rows of weight 0 are absent."""
    counts = weights > 0
    if not counts.any():
        return math.nan
    if isinstance(operator, Minimum):
        return float(values[counts].min())
    if isinstance(operator, Maximum):
        return float(values[counts].max())
    share = 0.5 if isinstance(operator, Median) else float(S(operator.probability))  # type: ignore[attr-defined]
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order])
    place = int(np.searchsorted(cumulated, share * cumulated[-1] * (1 - 1e-14)))
    return float(values[order[min(place, len(order) - 1)]])


__all__ = ["MStep"]
