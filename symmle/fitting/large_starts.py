"""Where the fit of a large sample begins: points at the scales of the data, the ends of ascents on few rows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from symmle.fitting.ascent import Array, Ascent, climb, distance
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.surface_sums import Rows, SumsOnRows

FEW, MANY, MORE = 256, 4096, 8192  # rows of the search, and of the subsample for small and large tables

TRIALS, MOST_TRIALS = 64, 128  # points to start from: drawn, or all combinations where these are few

TRIED = 64  # rows on which they are compared: more points lead nearer than more rows

STARTS = 4  # starts of the search where nothing proves that there is one maximum


TOGETHER, BY = (
    0.2,
    1.0,
)  # standard deviations of one observation: ends this near are one; trials this near lead there

APART = 3.0  # standard errors beyond which two ends are two

ROUGH, FAIR = 0.05, 0.01  # ends of the search on few rows and on the subsample: below their sampling errors


def compressed(rows: Rows) -> Rows:
    """Whole-number columns that stand alone as values and counts."""
    return [
        _counted(columns[0], weights, n)
        if len(columns) == 1 and len(columns[0]) > 1000 and float(columns[0][0]).is_integer()
        else (columns, weights, n)
        for columns, weights, n in rows
    ]


def _counted(values: Array, weights: Array | None, n: float) -> tuple[list[Array], Array | None, float]:
    low, high = float(np.min(values)), float(np.max(values))
    if high - low < min(1e5, len(values) / 4) and low == math.floor(low):
        whole = values.astype(np.int64)
        if np.array_equal(whole, values):
            counts = np.bincount(whole - int(low), weights=weights)
            kept = np.flatnonzero(counts)
            return [kept.astype(float) + low], counts[kept].astype(float), n
    return [values], weights, n


def _drawn(rows: Rows, count: int, random: np.random.Generator, ends: bool = False) -> Rows:
    """Rows drawn at random; with `ends` the least and the greatest of each column among them."""
    found: Rows = []
    for columns, weights, n in rows:
        size = len(columns[0])
        if size <= count:
            found.append((columns, weights, n))
            continue
        chosen = random.integers(0, size, count)
        if ends:
            chosen[: 2 * len(columns)] = [int(f(c)) for c in columns for f in (np.argmin, np.argmax)]
        part = None if weights is None else weights[chosen]
        found.append(([c[chosen] for c in columns], part, float(count if part is None else part.sum())))
    return found


def _first(rows: Rows, count: int) -> Rows:
    """The first rows of what was drawn."""
    return [
        ([c[:count] for c in columns], None if w is None else w[:count], float(min(len(columns[0]), count)))
        for columns, w, _ in rows
    ]


def _trials(coordinates: Sequence[Coordinate], rows: Rows, random: np.random.Generator) -> Array:
    """Points to start from: each parameter at magnitudes that the data suggest, in random combinations."""
    places, sizes = [0.0], [1.0, 0.3, 3.0]
    for columns, _, _ in rows:
        for column in columns:
            ordered = np.sort(column)
            q = [float(ordered[int(s * (len(ordered) - 1))]) for s in (0.25, 0.5, 0.75)]
            places += [q[1], q[0], q[2], q[1]]
            spread = (q[2] - q[0]) or abs(q[1]) or 1.0
            centre = abs(q[1]) or spread
            sizes += [spread, spread / 2, 1 / spread, centre, 1 / centre]
            if ordered[0] > 0:  # the law may be one of log x
                logs = [math.log(v) for v in q]
                places += [logs[1], logs[0], logs[2]]
                sizes += [max(logs[2] - logs[0], 1e-3)]
    choices: list[list[float]] = []
    for c in coordinates:
        low, high = c.low, c.high
        if math.isfinite(low) and math.isfinite(high):
            options = [low + (high - low) * s for s in (0.5, 0.2, 0.8, 0.35, 0.65, 0.05, 0.95)]
        elif math.isfinite(low):
            options = [low + s for s in sizes]
        elif math.isfinite(high):
            options = [high - s for s in sizes]
        else:
            options = [*places, 0.2, -0.2, 1.0]
        choices.append(sorted(set(options)))
    if math.prod(len(c) for c in choices) <= MOST_TRIALS:
        return np.array(list(itertools.product(*choices)))
    count = TRIALS if len(choices) < 3 else 4 * TRIALS
    picked = [random.integers(0, len(c), count) for c in choices]
    return np.stack([np.array(c)[k] for c, k in zip(choices, picked, strict=True)], axis=1)


def _search(
    sums: SumsOnRows,
    coordinates: Sequence[Coordinate],
    trials: Array,
    starts: int,
    close: float = ROUGH,
    tried_on: SumsOnRows | None = None,
) -> list[Ascent]:
    """The distinct ends of ascents from the best of the trials; where two end together, that one alone."""
    heights = (tried_on or sums).values_at_many(trials)
    order = [int(k) for k in np.argsort(np.where(np.isfinite(heights), -heights, math.inf), kind="stable")]
    order = [k for k in order if math.isfinite(heights[k])]
    found: list[Ascent] = []
    reached = tried = 0
    while order and reached < starts and tried < 4 * starts:
        k = next((k for k in order if not any(_is_by(coordinates, e, trials[k]) for e in found)), None)
        if k is None:  # every other trial lies by an end that is known
            break
        order.remove(k)
        tried += 1
        end = climb(sums, coordinates, trials[k].tolist(), close, known=found)
        if end is None:
            continue
        reached += 1
        if any(end is other or _are_one(coordinates, end, other, sums.n) for other in found):
            if reached >= (2 if len(coordinates) < 3 else 3) and len(found) == 1:  # from afar to the same end
                break
            continue
        found.append(end)
    return sorted(found, key=lambda e: -e.height)


def _is_by(coordinates: Sequence[Coordinate], end: Ascent, trial: Array) -> bool:
    """Whether a trial lies by an end, so that a climb from it would lead there."""
    return _distance(coordinates, end, trial.tolist()) < BY


def _are_one(coordinates: Sequence[Coordinate], one: Ascent, other: Ascent, n: float) -> bool:
    """Whether two ends on n rows lie within what separates an end from its maximum, by the curvature there."""
    return _distance(coordinates, one, other.theta) < min(TOGETHER, APART / math.sqrt(max(n, 1.0)))


def _distance(coordinates: Sequence[Coordinate], end: Ascent, theta: Sequence[float]) -> float:
    """How far a point is from an end, in standard deviations of one observation."""
    try:
        return distance(coordinates, end, [c.at(v) for c, v in zip(coordinates, theta, strict=True)])
    except ValueError:  # an end of a domain
        return math.inf


__all__ = ["compressed"]
