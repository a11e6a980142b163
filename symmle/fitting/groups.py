"""Many groups at once: one Newton iteration for all of them, vectorised over the groups; the others one by one.

A group whose iteration does not end at a maximum inside the parameter space is fitted by itself, by the careful ways,
so that refusals are those of a single fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.columns import column_of, is_table, names_of
from symmle.compiling.data import Table, read_table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import DataError, SymmleError
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.large import _coordinates, _model
from symmle.fitting.plan import Plan
from symmle.fitting.result import FitResult
from symmle.fitting.solution import Solution
from symmle.fitting.surface_sums import ALL, CURVES, LikelihoodSums
from symmle.progress import report

Array = NDArray[Any]
MANY = 16  # groups from which they are fitted together
STEPS = 50
STEPS_BY_ROOTS = 20
CLOSE = 1e-8
CLOSE_ROOT = 1e-5  # a step, per observation, after which Newton's next one is below rounding
STILL = 0.05  # a longer step is no end, however little l would rise by it
LONGEST = 2.0  # of a step in free coordinates
BEND = 1e-11  # least determinant of the scaled Hessian
FAR = 40.0  # in free coordinates: towards the edge of the parameter space
BLOCK = 1 << 16  # rows of whole groups at a time


class Groups(Mapping[Any, FitResult]):
    """Fits by group, in the order in which groups first occur; a result is made when it is looked at.

    Attributes
    ----------
    estimates : dict of str to array
        The estimates of all groups by parameter name, in the order of the groups.
    """

    def __init__(self, keys: Sequence[Any], estimates: dict[str, Array], make: Callable[[int], FitResult]):
        self._places = {k: i for i, k in enumerate(keys)}
        self.estimates = estimates
        self._make = make
        self._made: dict[int, FitResult] = {}

    def __getitem__(self, group: Any) -> FitResult:
        place = self._places[group]
        if place not in self._made:
            self._made[place] = self._make(place)
        return self._made[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"Groups({len(self)} fits of {', '.join(self.estimates)})"

    def to_frame(self) -> Any:
        """The estimates as a pandas data frame, one row a group (an optional extra)."""
        import pandas

        return pandas.DataFrame(self.estimates, index=pandas.Index(list(self._places), name="group"))


def grouped_rows(data: Any, by: Any) -> tuple[list[Any], Array, Array | None]:
    """The groups in the order of their first rows, where each begins, and the order of the rows (None: as they are)."""
    if isinstance(by, str):
        if not is_table(data) or by not in names_of(data):
            raise DataError(
                f"`by` names the column `{by}`, which the data does not have. Pass a table with it."
            )
        values = np.asarray(column_of(data, by))
    else:
        values = np.asarray(by)
    if values.ndim != 1:
        raise DataError(f"`by` must be one group a row; it has shape {values.shape}.")
    if values.dtype.kind in "iu" and len(values):
        change = values[1:] != values[:-1]
        starts = np.concatenate([[0], np.flatnonzero(change) + 1, [len(values)]])
        keys = values[starts[:-1]]
        if np.all(keys[1:] > keys[:-1]):  # sorted already
            return keys.tolist(), starts, None
    known, first_rows, codes = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first_rows, kind="stable")
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    codes = place[codes]
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(known)))])
    in_order = bool(np.all(codes[1:] >= codes[:-1]))
    return known[order].tolist(), starts, None if in_order else np.argsort(codes, kind="stable")


def fit_groups(
    plan: Plan,
    data: Any,
    weights: Any,
    by: Any,
    constants: dict[Symbol, Any],
    alone: Callable[[Any, Any], FitResult],
) -> Groups:
    """One fit a group.

    Parameters
    ----------
    alone
        The fit of one group from its data and weights.
    """
    keys, starts, order = grouped_rows(data, by)
    rows_of_data = _rows(data, by)
    if rows_of_data is not None and starts[-1] != rows_of_data:
        raise DataError(f"`by` has {starts[-1]} entries for {rows_of_data} rows.")

    def rows_of(place: int) -> Any:
        low, high = starts[place], starts[place + 1]
        return slice(low, high) if order is None else order[low:high]

    def fit_alone(place: int) -> FitResult:
        rows = rows_of(place)
        part_weights = None if weights is None else np.asarray(weights)[rows]
        try:
            return alone(_part(data, by, rows), part_weights)
        except DataError as problem:
            raise DataError(f"group {keys[place]!r}: {problem}") from problem

    together = None if len(keys) < MANY else _together(plan, data, weights, by, constants, order, starts)
    names = [str(p) for p in plan.parameters]
    if together is None:
        made = [fit_alone(k) for k in range(len(keys))]
        table = {n: np.array([r.estimates[n] for r in made]) for n in names}
        return Groups(keys, table, lambda place: made[place])
    theta, steps, done = together
    kept: dict[int, FitResult] = {}
    for place in np.flatnonzero(~done):
        kept[int(place)] = fit_alone(int(place))
        theta[:, place] = [kept[int(place)].estimates[n] for n in names]

    def make(place: int) -> FitResult:
        if place in kept:
            return kept[place]
        rows = rows_of(place)
        part_weights = None if weights is None else np.asarray(weights)[rows]
        table = read_table(plan.model, _part(data, by, rows), part_weights, constants)
        values = {p: CONTEXT.mpf(float(v)) for p, v in zip(plan.parameters, theta[:, place], strict=True)}
        solution = Solution({**constants, **values}, "newton", iterations=int(steps))
        solution.status = f"Newton's method converged, together with the other groups, in {steps} steps."
        solution.unique = True if plan.is_proved else None
        return FitResult(plan.derivation, table, solution)

    return Groups(keys, dict(zip(names, theta, strict=True)), make)


def _columns_besides(data: Any, by: Any) -> list[str]:
    """The columns of a table without the one that names the groups."""
    return [n for n in names_of(data) if not (isinstance(by, str) and n == by)]


def _rows(data: Any, by: Any) -> int | None:
    if is_table(data):
        names = _columns_besides(data, by)
        return len(np.asarray(column_of(data, names[0]))) if names else None
    return len(np.asarray(data))


def _part(data: Any, by: Any, rows: Any) -> Any:
    if is_table(data):
        return {n: np.asarray(column_of(data, n))[rows] for n in _columns_besides(data, by)}
    return np.asarray(data)[rows]


# --- all groups together ---------------------------------------------------------------------------


def _together(
    plan: Plan,
    data: Any,
    weights: Any,
    by: Any,
    constants: dict[Symbol, Any],
    order: Array | None,
    starts: Array,
) -> tuple[Array, int, Array] | None:
    """theta of shape (p, groups), the number of steps, and which groups ended; None where this way is not open."""
    coordinates = _coordinates(plan, constants)
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
    plain = {n: column_of(data, n) for n in _columns_besides(data, by)} if is_table(data) else data
    try:
        table = read_table(plan.model, plain, weights, constants)
    except DataError:
        return None  # one by one, so that the message names the group
    if table.samples[0].rows != starts[-1]:
        return None  # masked rows are left out
    model = _model(plan)
    assert model is not None
    sample = table.samples[0]
    columns, w = [sample.columns[c] for c in model.forms[0].columns], sample.weights
    if order is not None:
        columns, w = [c[order] for c in columns], None if w is None else w[order]
    grouped = _Grouped(model, columns, w, starts, [float(constants[c]) for c in model.constants])
    start = _start(plan, table, constants)
    if start is None:
        return None
    if plan.is_proved and len(coordinates) <= 2:
        theta, steps, done = _by_roots(grouped, coordinates, start)
        left = np.flatnonzero(~done)
        if not len(left):
            return theta, steps, done
        theta[:, left], more, done[left] = _newton(grouped.only(left), coordinates, start)
        return theta, steps + more, done
    return _newton(grouped, coordinates, start)


def _start(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> list[float] | None:
    """The fit of all groups as one sample."""
    from symmle.fitting.solving import solve

    try:
        solution = solve(plan, table, constants)
    except SymmleError:
        return None
    return [float(solution.values[p]) for p in plan.parameters]


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


def _by_roots(
    grouped: _Grouped, coordinates: Sequence[Coordinate], start: list[float]
) -> tuple[Array, int, Array]:
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
    return np.stack(theta), steps, done


def _newton(
    grouped: _Grouped, coordinates: Sequence[Coordinate], start: list[float]
) -> tuple[Array, int, Array]:
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
    return theta, steps, done & np.isfinite(theta).all(axis=0)


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


__all__ = ["Groups", "fit_groups", "grouped_rows"]
