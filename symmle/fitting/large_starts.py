"""Where the fit of a large sample begins: points at the scales of the data, the ends of ascents on few rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symmle.fitting.ascent import BEND, Array, Ascent, climb, distance, moved
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.small_matrices import inverse_of
from symmle.fitting.surface_sums import Rows, SumsOnRows

FEW, MANY, MORE = 256, 4096, 8192  # rows of the search, and of the subsample for small and large tables

TRIALS, MOST_TRIALS = 64, 128  # points to start from: drawn, or all combinations where these are few

TRIED = 64  # rows on which they are compared: more points lead nearer than more rows

# starts of the search where nothing proves that there is one maximum: on few rows (with many parameters 2 for each),
# and on all rows where a pass costs little
STARTS, STARTS_ON_ALL = 4, 10


TOGETHER, BY = (
    0.2,
    1.0,
)  # standard deviations of one observation: ends this near are one; trials this near lead there

AWAY = 0.3  # the share of the trials of a coordinate by which a second start differs in one of them

PROFILED = (
    -1.5,
    1.5,
    -4.0,
    4.0,
)  # in logarithms, or in standard deviations of one observation, from a maximum

APART = 1.0  # standard errors beyond which two ends are two

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


def drawn_rows(rows: Rows, count: int, random: np.random.Generator, ends: bool = False) -> Rows:
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


def first_rows(rows: Rows, count: int) -> Rows:
    """The first rows of what was drawn."""
    return [
        ([c[:count] for c in columns], None if w is None else w[:count], float(min(len(columns[0]), count)))
        for columns, w, _ in rows
    ]


@dataclass(frozen=True)
class Trials:
    """Points to start from, one a row, and the places of their coordinates among all that are tried, in [0, 1]."""

    points: Array
    places: Array


def trials_at(coordinates: Sequence[Coordinate], rows: Rows, random: np.random.Generator) -> Trials:
    """Points to start from: each parameter at magnitudes that the data suggest, in random combinations."""
    places, sizes = [0.0], [1.0, 0.3, 3.0, 0.1, 10.0]
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
    sizes_of = [len(c) for c in choices]
    if math.prod(sizes_of) <= MOST_TRIALS:
        picked = list(np.indices(sizes_of).reshape(len(choices), -1))
    else:
        count = TRIALS if len(choices) < 3 else 4 * TRIALS
        picked = [random.integers(0, m, count) for m in sizes_of]
    points = np.stack([np.array(c)[k] for c, k in zip(choices, picked, strict=True)], axis=1)
    return Trials(points, np.stack(picked, axis=1) / (np.array(sizes_of) - 1.0))


def ends_of_ascents(
    sums: SumsOnRows,
    coordinates: Sequence[Coordinate],
    trials: Trials,
    starts: int,
    close: float = ROUGH,
    tried_on: SumsOnRows | None = None,
    stage: str = "",
) -> list[Ascent]:
    """The distinct ends of ascents from the best of the trials; where two end together, that one alone."""
    heights = (tried_on or sums).values_at_many(trials.points)
    order = np.argsort(np.where(np.isfinite(heights), -heights, math.inf), kind="stable")
    order = order[: int(np.count_nonzero(np.isfinite(heights)))]
    p = len(coordinates)
    enough = 2 if p < 3 else 2 * p if stage else p
    found: list[Ascent] = []
    reached = tried = 0
    while len(order) and reached < starts and tried < 4 * starts:
        k = next((k for k in order if not any(_is_by(coordinates, e, trials.points[k]) for e in found)), None)
        if k is None:  # every other trial lies by an end that is known
            break
        away = np.abs(trials.places[order] - trials.places[k]).max(axis=1) > AWAY
        order = order[away] if away.any() else order[order != k]
        tried += 1
        end = climb(sums, coordinates, trials.points[k].tolist(), close, stage=stage, known=found)
        if end is None:
            continue
        reached += 1
        if any(end is other or are_one(coordinates, end, other, sums.n) for other in found):
            if reached >= enough and len(found) == 1:  # from afar to the same end
                break
            continue
        found.append(end)
    return sorted(found, key=lambda e: -e.height)


def along_profiles(
    sums: SumsOnRows, coordinates: Sequence[Coordinate], found: list[Ascent], close: float
) -> list[Ascent]:
    """The ends, with those met from points away from the best where one parameter is held and the others follow.

    What starts spread over the space miss: a maximum in a narrow valley that leads away from another.
    """
    if not found or found[0].curve is None:
        return found
    ends, best = list(found), found[0]
    bent, covariance = inverse_of(found[0].curve.tolist(), BEND)
    if not bent:
        return found
    top = [c.at(v) for c, v in zip(coordinates, best.theta, strict=True)]
    for k, c in enumerate(coordinates):
        spread = math.sqrt(covariance[k][k])
        along = [row[k] / covariance[k][k] for row in covariance]
        for share in PROFILED:
            apart = share if c.is_bounded else share * spread
            for course in (along, [float(j == k) for j in range(len(top))]):
                start = [c.value(v) for c, v in zip(coordinates, moved(top, course, apart), strict=True)]
                there = climb(sums, coordinates, start, ROUGH, held=k)
                if there is not None:
                    break
            else:
                continue
            end = climb(sums, coordinates, there.theta, close, stage="all rows", known=ends)
            if end is not None and not any(end is e or are_one(coordinates, end, e, sums.n) for e in ends):
                ends.append(end)
    return sorted(ends, key=lambda e: -e.height)


def _is_by(coordinates: Sequence[Coordinate], end: Ascent, trial: Array) -> bool:
    """Whether a trial lies by an end, so that a climb from it would lead there."""
    return _distance(coordinates, end, trial.tolist()) < BY


def are_one(coordinates: Sequence[Coordinate], one: Ascent, other: Ascent, n: float) -> bool:
    """Whether two ends on n rows lie within what separates an end from its maximum, by the curvature there."""
    return _distance(coordinates, one, other.theta) < min(TOGETHER, APART / math.sqrt(max(n, 1.0)))


def _distance(coordinates: Sequence[Coordinate], end: Ascent, theta: Sequence[float]) -> float:
    """How far a point is from an end, in standard deviations of one observation."""
    try:
        return distance(coordinates, end, [c.at(v) for c, v in zip(coordinates, theta, strict=True)])
    except ValueError:  # an end of a domain
        return math.inf


__all__ = [
    "Trials",
    "along_profiles",
    "are_one",
    "compressed",
    "drawn_rows",
    "ends_of_ascents",
    "first_rows",
    "trials_at",
]
