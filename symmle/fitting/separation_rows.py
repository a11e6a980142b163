"""Rows of a regression as functions of their affine predictor: which way each rises, and to what."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Interval, Symbol

from symmle.compiling.data import Sample
from symmle.compiling.kernels import row_kernel
from symmle.fitting.plan import Plan
from symmle.fitting.predictors import Predictor

Array = NDArray[Any]
GRID = (0.01, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 100.0, 300.0, 700.0)
RISES, FALLS, LEVEL, BOTH = 1, -1, 0, 2


@dataclass(frozen=True)
class SeparableRows:
    """v by row, whether log f rises or falls in eta there, and the value that it rises to."""

    vectors: Array
    weights: Array
    shapes: Array
    ends: Array  # of log f where eta goes the way in which it rises; nan where that is not told
    levels: Array  # of log f where it does not depend on eta
    derivatives: Callable[[Array], tuple[Array, Array, Array]]  # log f and its two derivatives in eta, by row
    has_nuisance: bool

    def largest(self, which: NDArray[np.bool_]) -> float:
        """The maximum of l over the rows named, by Newton's method in as many coordinates as they determine."""
        v, w = self.vectors[which], self.weights[which]
        scale = np.max(np.abs(v), axis=0)
        u, sizes, _ = np.linalg.svd(v / np.where(scale > 0, scale, 1.0), full_matrices=False)
        rank = int(np.sum(sizes > 1e-10 * sizes[0]))
        basis = u[:, :rank]  # eta = basis c

        def height(c: Array) -> tuple[float, Array, Array]:
            eta = np.zeros(len(self.weights))
            eta[which] = basis @ c
            value, first, second = (d[which] for d in self.derivatives(eta))
            return float(np.sum(w * value)), basis.T @ (w * first), (basis.T * (w * second)) @ basis

        c = np.zeros(rank)
        now, gradient, hessian = height(c)
        for _ in range(200):
            if not (math.isfinite(now) and np.isfinite(gradient).all() and np.isfinite(hessian).all()):
                return math.nan
            try:
                move = np.linalg.solve(-hessian, gradient)
            except np.linalg.LinAlgError:
                return math.nan
            gain = float(gradient @ move)
            if abs(gain) < 1e-20 * (1 + abs(now)):
                return now
            factor = 1.0
            while factor > 1e-12:
                other = height(c + factor * move)
                if other[0] > now:
                    break
                factor /= 2
            else:
                return now if abs(gain) < 1e-11 * (1 + abs(now)) else math.nan
            c = c + factor * move
            now, gradient, hessian = other
        return math.nan


def rows_of(
    plan: Plan, predictor: Predictor, sample: Sample, constants: dict[Symbol, Any]
) -> SeparableRows | None:
    """The rows of a sample along a predictor, None where they have no values."""
    vectors = _vectors(predictor, sample, constants)
    if vectors is None:
        return None
    shapes, ends = _shapes(plan, predictor, sample, constants)
    if shapes is None or ends is None:
        return None
    weights = np.ones(sample.rows) if sample.weights is None else sample.weights
    shapes = np.where((weights > 0) & np.any(vectors != 0, axis=1), shapes, LEVEL)
    has_nuisance = bool(set(predictor.rest) & set(plan.parameters))
    columns = [sample.columns[c] for c in predictor.part.all_columns]
    functions = [predictor.profile, predictor.profile.diff(predictor.eta)]
    functions.append(functions[1].diff(predictor.eta))
    kernel = _kernel((*predictor.part.all_columns, predictor.eta, *predictor.rest), tuple(functions))
    nuisance = _nuisances(plan, predictor, constants)[0]

    def derivatives(eta: Array) -> tuple[Array, Array, Array]:
        with np.errstate(all="ignore"):
            found = kernel(*columns, eta, *nuisance)
            first, second, third = (
                np.broadcast_to(np.asarray(f, dtype=float), (sample.rows,)) for f in found
            )
        return first, second, third

    level = shapes == LEVEL
    levels = (
        np.where(level, derivatives(np.zeros(sample.rows))[0], np.nan)
        if level.any()
        else np.zeros(sample.rows)
    )
    return SeparableRows(
        vectors,
        weights,
        shapes,
        np.where(shapes == RISES, ends[1], ends[0]),
        levels,
        derivatives,
        has_nuisance,
    )


@lru_cache(maxsize=64)
def _kernel(arguments: tuple[Symbol, ...], expressions: tuple[Expr, ...]) -> Callable[..., Any]:
    return row_kernel(arguments, expressions)


def _vectors(predictor: Predictor, sample: Sample, constants: dict[Symbol, Any]) -> Array | None:
    """v by row."""
    columns = predictor.part.all_columns
    names = sorted(set().union(*(v.free_symbols for v in predictor.direction)) - set(columns), key=str)
    if not set(names) <= set(constants):
        return None
    kernel = _kernel((*columns, *names), predictor.direction)
    with np.errstate(all="ignore"):
        found = kernel(*(sample.columns[c] for c in columns), *(float(constants[n]) for n in names))
    vectors = np.column_stack([np.broadcast_to(np.asarray(v, dtype=float), (sample.rows,)) for v in found])
    return vectors if np.isfinite(vectors).all() else None


def _shapes(
    plan: Plan, predictor: Predictor, sample: Sample, constants: dict[Symbol, Any]
) -> tuple[Array | None, tuple[Array, Array] | None]:
    """By row, whether log f rises, falls, is level or turns in eta, by value on a wide grid; and its ends."""
    columns = predictor.part.all_columns
    largest = max(max(abs(sample.minimum[c]), abs(sample.maximum[c]), 1.0) for c in columns)
    grid = sorted({*GRID, *(largest * s for s in (0.1, 1.0, 10.0, 100.0))})
    etas = [-g for g in reversed(grid)] + [0.0] + grid
    kernel = _kernel((*columns, predictor.eta, *predictor.rest), (predictor.profile,))
    given = [sample.columns[c] for c in columns]
    shapes: Array | None = None
    ends: tuple[Array, Array] | None = None
    for nuisance in _nuisances(plan, predictor, constants):
        with np.errstate(all="ignore"):
            heights = np.array(
                [
                    np.broadcast_to(
                        np.asarray(kernel(*given, np.float64(e), *nuisance)[0], dtype=float), (sample.rows,)
                    )
                    for e in etas
                ]
            )
        here = _shapes_of(heights)
        if shapes is not None and not np.array_equal(shapes, here):
            here = np.where(shapes == here, here, BOTH)
        shapes = here
        ends = _ends(heights[::-1]), _ends(heights)
    return shapes, ends


def _nuisances(plan: Plan, predictor: Predictor, constants: dict[Symbol, Any]) -> list[list[float]]:
    """Values of what stands beside eta: constants, and a few of other parameters."""
    found = []
    for share in (0.5, 0.15, 0.9):
        values: list[float] = []
        for s in predictor.rest:
            if s in constants:
                values.append(float(constants[s]))
                continue
            domain = plan.domain_of(s)
            if not isinstance(domain, Interval) or domain.free_symbols:
                return []
            low, high = float(domain.start), float(domain.end)
            odds = share / (1 - share)
            if math.isfinite(low) and math.isfinite(high):
                values.append(low + share * (high - low))
            elif math.isfinite(low):
                values.append(low + odds)
            else:
                values.append(
                    (high if math.isfinite(high) else 0.0)
                    - math.log(odds)
                    - (1 if math.isfinite(high) else 0)
                )
        found.append(values)
        if not set(predictor.rest) - set(constants):
            break
    return found


def _shapes_of(heights: Array) -> Array:
    """Of columns of values in increasing eta; what overflows at the ends is left away."""
    known = np.where(heights == np.inf, np.nan, heights)
    with np.errstate(invalid="ignore"):
        steps = np.diff(known, axis=0)  # from -inf to -inf there is none
        slack = 1e-12 * (1 + np.fmin(np.abs(known[1:]), np.abs(known[:-1])))
        slack = np.where(np.isfinite(slack), slack, 0.0)
        up, down = np.any(steps > slack, axis=0), np.any(steps < -slack, axis=0)
    found = np.where(up & down, BOTH, np.where(up, RISES, np.where(down, FALLS, LEVEL)))
    return np.where(np.sum(~np.isnan(known), axis=0) < 6, BOTH, found)


def _ends(heights: Array) -> Array:
    """The value that each column approaches at its end, nan where it still moves."""
    found = np.full(heights.shape[1], np.nan)
    for i in range(heights.shape[1]):
        known = heights[np.isfinite(heights[:, i]), i]
        if len(known) > 1 and abs(known[-1] - known[-2]) <= 1e-13 * (1 + abs(known[-1])):
            found[i] = known[-1]
    return found


__all__ = ["BOTH", "FALLS", "LEVEL", "RISES", "SeparableRows", "rows_of"]
