"""The likelihoods of many groups at once: one Newton iteration for all of them, vectorised over the groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.data import Table, read_table
from symmle.errors import DataError, SymmleError
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.large_models import free_coordinates, likelihood_sums
from symmle.fitting.plan import Plan
from symmle.fitting.surface_sums import ALL, CURVES, LikelihoodSums
from symmle.progress import report

Array = NDArray[Any]
STEPS = 50
STEPS_BY_ROOTS = 20
CLOSE = 1e-8
CLOSE_ROOT = 1e-5  # a step, per observation, after which Newton's next one is below rounding
STILL = 0.05  # a longer step is no end, however little l would rise by it
LONGEST = 2.0  # of a step in free coordinates
BEND = 1e-11  # least determinant of the scaled Hessian
FAR = 40.0  # in free coordinates: towards the edge of the parameter space
BLOCK = 1 << 16  # rows of whole groups at a time


@dataclass
class Together:
    """Where the fits of all groups ended."""

    theta: Array  # (parameters, groups)
    steps: int
    done: Array  # which groups ended at a maximum
    passes: int = 0


def fitted_together(
    plan: Plan,
    plain: Any,
    weights: Any,
    constants: dict[Symbol, Any],
    order: Array | None,
    starts: Array,
) -> Together | None:
    """The fits of all groups from their common one; None where this way is not open.

    Parameters
    ----------
    plain
        The data without the column that names the groups.
    order, starts
        The order of the rows by group (None: as they are), and where each group begins in it.
    """
    coordinates = free_coordinates(plan, constants)
    declaration = plan.declaration
    if (
        coordinates is None
        or declaration.lags
        or len(declaration.samples) > 1
        or declaration.size is not None
    ):
        return None
    if plan.estimator.kind not in ("closed form", "reduced", "numeric") or plan.estimator.edges:
        return None
    try:
        table = read_table(plan.model, plain, weights, constants)
    except DataError:
        return None  # one by one, so that the message names the group
    if table.samples[0].rows != starts[-1]:
        return None  # masked rows are left out
    model = likelihood_sums(plan)
    sample = table.samples[0]
    columns, w = [sample.columns[c] for c in model.forms[0].columns], sample.weights
    if order is not None:
        columns, w = [c[order] for c in columns], None if w is None else w[order]
    grouped = _Grouped(model, columns, w, starts, [float(constants[c]) for c in model.constants])
    common = _common(plan, table, constants)
    if common is None:
        return None
    start, passes = common
    if plan.is_proved and len(coordinates) <= 2:
        found = _by_roots(grouped, coordinates, start)
        left = np.flatnonzero(~found.done)
        if len(left):
            rest = grouped.only(left)
            more = _newton(rest, coordinates, start)
            found.theta[:, left], found.done[left] = more.theta, more.done
            found.steps, passes = found.steps + more.steps, passes + rest.passes
    else:
        found = _newton(grouped, coordinates, start)
    found.passes = passes + grouped.passes
    return found


def _common(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> tuple[list[float], int] | None:
    """The fit of all groups as one sample, and its passes over the rows."""
    from symmle.fitting.solving import solve

    try:
        solution = solve(plan, table, constants)
    except SymmleError:
        return None
    return [float(solution.values[p]) for p in plan.parameters], max(1, solution.passes)


class _Grouped:
    """The likelihoods of all groups: sums by group of the statistics and of the functions of a pass."""

    def __init__(
        self,
        model: LikelihoodSums,
        columns: list[Array],
        w: Array | None,
        starts: Array,
        constants: list[float],
    ):
        self.model, self.constants = model, constants
        (form,) = model.forms
        self.columns, self.weights, self.starts = columns, w, starts
        self.n = np.diff(starts).astype(float) if w is None else np.add.reduceat(w, starts[:-1])
        self.form = form
        self.groups = len(starts) - 1
        sizes = np.diff(starts)
        self.size = int(sizes[0]) if self.groups and (sizes == sizes[0]).all() else 0  # 0: of different sizes
        self.chunks = self._chunks()
        self.passes = 1
        self.kept: list[list[Array]] = []
        statistics: list[list[Array]] = []
        with np.errstate(all="ignore"):
            for first, last in self.chunks:
                kept, summed = form.sums.rowwise_kept(
                    [self._rows(c, first, last) for c in columns], constants
                )
                self.kept.append(kept)
                statistics.append([self._sum(v, first, last) for v in summed])
        self.statistics = [np.concatenate(s) for s in zip(*statistics, strict=True)]

    def only(self, places: Array) -> _Grouped:
        """Some of the groups."""
        sizes = np.diff(self.starts)[places]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        rows = np.repeat(self.starts[places] - starts[:-1], sizes) + np.arange(starts[-1])
        w = None if self.weights is None else self.weights[rows]
        return _Grouped(self.model, [c[rows] for c in self.columns], w, starts, self.constants)

    def _rows(self, column: Array, first: int, last: int) -> Array:
        """The rows of some groups; a line for each group where all have the same size."""
        part = column[self.starts[first] : self.starts[last]]
        return part.reshape(-1, self.size) if self.size else part

    def _chunks(self) -> list[tuple[int, int]]:
        """Runs of whole groups of about as many rows as a block has."""
        found, first = [], 0
        while first < self.groups:
            last = int(np.searchsorted(self.starts, self.starts[first] + BLOCK, side="right")) - 1
            last = min(max(last, first + 1), self.groups)
            found.append((first, last))
            first = last
        return found

    def _sum(self, values: Any, first: int, last: int) -> Array:
        if self.size:
            shape = (last - first, self.size)
            rows = np.broadcast_to(np.asarray(values, dtype=float), shape)
            if self.weights is not None:
                return np.einsum("gi,gi->g", rows, self._rows(self.weights, first, last))  # type: ignore[no-any-return]
            return np.einsum("gi->g", rows)  # type: ignore[no-any-return]
        low, high = self.starts[first], self.starts[last]
        rows = np.broadcast_to(np.asarray(values, dtype=float), (high - low,))
        if self.weights is not None:
            rows = rows * self.weights[low:high]
        found: Array = np.add.reduceat(rows, self.starts[first:last] - low)
        return found

    def curves(self, theta: Sequence[Array]) -> tuple[list[Array], dict[tuple[int, int], Array]]:
        """The derivatives of l by each parameter, and by each pair of them."""
        outputs, p = self._at(theta, CURVES), len(theta)
        return outputs[:p], dict(zip(self.model.pairs, outputs[p:], strict=True))

    def _at(self, theta: Sequence[Array], what: int) -> list[Array]:
        needed = self.form.needed[what]
        moving: list[list[Array]] = []
        with np.errstate(all="ignore"):
            if needed:
                self.passes += 1
                for (first, last), kept in zip(self.chunks, self.kept, strict=True):
                    moving.append(self._pass([v[first:last] for v in theta], first, last, kept, needed))
            inputs = [self.n, *self.statistics]
            inputs += [np.concatenate([m[k] for m in moving]) for k in range(len(needed))]
            found = self.model.outer(what)(*theta, *self.constants, *inputs)
        return [np.broadcast_to(np.asarray(v, dtype=float), (self.groups,)) for v in found]

    def derivatives(self, theta: Array) -> tuple[Array, Array, Array]:
        """l of shape (G,), gradients (G, p), Hessians (G, p, p)."""
        outputs = self._at(list(theta), ALL)
        p = len(theta)
        gradient = np.stack(outputs[1 : p + 1], axis=1)
        hessian = np.empty((self.groups, p, p))
        for (i, j), h in zip(self.model.pairs, outputs[p + 1 :], strict=True):
            hessian[:, i, j] = hessian[:, j, i] = h
        return outputs[0], gradient, hessian

    def _pass(
        self, theta: Sequence[Array], first: int, last: int, kept: list[Array], needed: Sequence[int]
    ) -> list[Array]:
        counts = np.diff(self.starts[first : last + 1])

        def spread(values: Any) -> Any:
            if np.ndim(values) == 0:
                return values
            return values[:, None] if self.size else np.repeat(values, counts)

        columns = [self._rows(c, first, last) for c in self.columns]
        found = self.form.sums.rowwise(columns, kept, [*theta, *self.constants], spread, needed)
        return [self._sum(v, first, last) for v in found]


def _by_roots(grouped: _Grouped, coordinates: Sequence[Coordinate], start: list[float]) -> Together:
    """Newton's method on the score of every group, where a stationary point is proved to be the maximum.

    Neither l nor a line search is needed: a group whose steps do not end at a root is left to a fit of its own.
    """
    bounded = [k for k, c in enumerate(coordinates) if c.is_bounded]
    t = [np.full(grouped.groups, c.at(v)) for c, v in zip(coordinates, start, strict=True)]
    done = np.zeros(grouped.groups, dtype=bool)
    theta = [np.full(grouped.groups, v) for v in start]
    steps = 0
    with np.errstate(all="ignore"):
        while steps < STEPS_BY_ROOTS and not done.all():
            steps += 1
            report("groups", steps, math.nan)
            maps = [_values(c, row) for c, row in zip(coordinates, t, strict=True)]
            gradient, bends = grouped.curves([m[0] for m in maps])
            g = [d * m[1] for d, m in zip(gradient, maps, strict=True)]
            h = {pair: v * maps[pair[0]][1] * maps[pair[1]][1] for pair, v in bends.items()}
            for i, m in enumerate(maps):
                h[i, i] = h[i, i] + gradient[i] * m[2]
            if len(t) == 1:
                moves, bent = [-g[0] / h[0, 0]], h[0, 0] < 0
            else:
                a, b, c = h[0, 0], h[0, 1], h[1, 1]
                det = a * c - b * b
                moves = [(b * g[1] - c * g[0]) / det, (b * g[0] - a * g[1]) / det]
                bent = (a < 0) & (det > BEND * np.abs(a * c))
            if not bent.all():  # uphill by each parameter alone
                moves = [np.where(bent, m, g[i] / np.abs(h[i, i])) for i, m in enumerate(moves)]
            rise = sum(x * y for x, y in zip(g, moves, strict=True))
            longest = np.abs(moves[0]) if len(t) == 1 else np.maximum(np.abs(moves[0]), np.abs(moves[1]))
            share = np.minimum(1.0, LONGEST / longest)
            t = [np.where(done, x, x + share * move) for x, move in zip(t, moves, strict=True)]
            for k in bounded:
                bent &= np.abs(moves[k]) < STILL
            done |= bent & (rise < CLOSE_ROOT**2 * grouped.n)
        for k, (coordinate, row) in enumerate(zip(coordinates, t, strict=True)):
            theta[k] = _values(coordinate, row)[0]
            done &= np.isfinite(theta[k])
            if k in bounded:
                done &= np.abs(row) < FAR
    return Together(np.stack(theta), steps, done)


def _newton(grouped: _Grouped, coordinates: Sequence[Coordinate], start: list[float]) -> Together:
    """Newton's method for every group from one start, in free coordinates; a step that does not rise is cut."""
    groups = grouped.groups
    t = np.repeat(
        np.array([c.at(v) for c, v in zip(coordinates, start, strict=True)])[:, None], groups, axis=1
    )
    height, g, h = _in_free(grouped, coordinates, t)
    bounded = [k for k, c in enumerate(coordinates) if c.is_bounded]
    done = np.zeros(groups, dtype=bool)
    alive = np.isfinite(height)
    steps = 0
    while steps < STEPS:
        steps += 1
        report("groups", steps, float(np.nansum(height)))
        move, bent = _steps(g, h)
        length = np.sqrt(np.maximum(np.einsum("gi,gi->g", g, move), 0.0))
        still = (np.abs(move[:, bounded]) < STILL).all(axis=1)
        ended = alive & ~done & (length < CLOSE) & bent & still & (np.abs(t[bounded]) < FAR).all(axis=0)
        t = np.where(ended, t + move.T, t)
        done |= ended
        alive &= np.isfinite(length) & ((length >= CLOSE) | done)
        left = alive & ~done
        if not left.any():
            break
        share = np.where(left, np.minimum(1.0, 2.0 / np.maximum(np.abs(move).max(axis=1), 1e-300)), 0.0)
        for _ in range(12):
            trial = t + move.T * share
            higher, slope, bend = _in_free(grouped, coordinates, trial)
            bad = left & ~(np.isfinite(higher) & (higher >= height - 1e-12 * np.abs(height)))
            if not bad.any():
                break
            share = np.where(bad, share / 4, share)
        rose = left & ~bad
        alive &= rose | done
        t = np.where(rose, trial, t)
        height, g, h = (
            np.where(rose, higher, height),
            np.where(rose[:, None], slope, g),
            np.where(rose[:, None, None], bend, h),
        )
    theta = np.stack([_values(c, row)[0] for c, row in zip(coordinates, t, strict=True)])
    return Together(theta, steps, done & np.isfinite(theta).all(axis=0))


def _steps(g: Array, h: Array) -> tuple[Array, Array]:
    """An ascent direction for every group, Newton's where the Hessian is negative definite, and whether it is."""
    p = g.shape[1]
    with np.errstate(all="ignore"):
        if p == 1:
            move, bent = -g / h[:, 0], h[:, 0, 0] < 0
        elif p == 2:
            a, b, c = h[:, 0, 0], h[:, 0, 1], h[:, 1, 1]
            det = a * c - b * b
            move = np.stack([b * g[:, 1] - c * g[:, 0], b * g[:, 0] - a * g[:, 1]], axis=1) / det[:, None]
            bent = (a < 0) & (det > 1e-11 * np.abs(a * c))
        else:
            move, bent = np.zeros_like(g), np.zeros(len(g), dtype=bool)
    others = np.flatnonzero(~(bent & np.isfinite(move).all(axis=1)))
    if len(others):
        part = h[others]
        size = np.sqrt(np.maximum(np.abs(np.einsum("gii->gi", part)), 1e-300))
        scaled = part / (size[:, :, None] * size[:, None, :])
        scaled[~np.isfinite(scaled).all(axis=(1, 2))] = -np.eye(p)
        values, vectors = np.linalg.eigh(scaled)
        inner = np.einsum("gji,gj->gi", vectors, g[others] / size) / np.maximum(np.abs(values), 1e-8)
        move[others] = np.einsum("gij,gj->gi", vectors, inner) / size
        bent[others] = values[:, -1] < -1e-11
    return move, bent


def _in_free(grouped: _Grouped, coordinates: Sequence[Coordinate], t: Array) -> tuple[Array, Array, Array]:
    maps = [_values(c, row) for c, row in zip(coordinates, t, strict=True)]
    theta = np.stack([m[0] for m in maps])
    first, second = np.stack([m[1] for m in maps], axis=1), np.stack([m[2] for m in maps], axis=1)
    height, gradient, hessian = grouped.derivatives(theta)
    n = grouped.n
    with np.errstate(all="ignore"):
        g = gradient * first / n[:, None]
        h = hessian * first[:, :, None] * first[:, None, :] / n[:, None, None]
        places = np.arange(len(t))
        h[:, places, places] += gradient * second / n[:, None]
    good = np.isfinite(g).all(axis=1) & np.isfinite(h).all(axis=(1, 2))
    return (
        np.where(good, height, math.nan),
        np.where(good[:, None], g, 0.0),
        np.where(good[:, None, None], h, 0.0),
    )


def _values(c: Coordinate, t: Array) -> tuple[Array, Array, Array]:
    """theta, d theta/dt and d2 theta/dt2 for many t; as `Coordinate` has them for one."""
    with np.errstate(all="ignore"):
        if math.isfinite(c.low) and math.isfinite(c.high):
            width = c.high - c.low
            share = 1 / (1 + np.exp(-t))
            slope = width * share * (1 - share)
            return c.low + width * share, slope, slope * (1 - 2 * share)
        if math.isfinite(c.low):
            size = np.exp(t)
            return c.low + size, size, size
        if math.isfinite(c.high):
            size = np.exp(-t)
            return c.high - size, size, -size
    return c.centre + c.scale * t, np.full_like(t, c.scale), np.zeros_like(t)


__all__ = ["Together", "fitted_together"]
