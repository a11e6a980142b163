"""What l does as the edge of a moving support comes to an observation, the other parameters maximised.

Let L = log(1/eps). Where l grows without bound it is c L + d log L + O(1) with c > 0 (a density that is
infinite at its edge: c counts rows and exponents; a lognormal's sigma that grows with L: d = -n), so that
c = 2 s(2L) - s(L) for the mean slopes s over (L, 2L). Growth is claimed where two such c agree, and l still
rises at 240 bits along the continued path at L a hundred times larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sympy import Symbol

from symmle.compiling.kernels import CONTEXT
from symmle.fitting.coordinates import Coordinate, scales_of
from symmle.fitting.edges_frame import MOST_PRECISE_ROWS, Frame, _text

DECADES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FARTHER = (1024, 4096, 16384)
LEVELS = (
    1e-4,
    1e-3,
    1e-2,
    0.05,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    20.0,
    100.0,
    1e4,
    1e6,
)  # gaps at which climbs start
SLOWEST = 0.02  # growth of l with log(1/eps) below this is none
MOST_STARTS = 1500
LOWEST = -1e299  # stands for -oo in searches
BRANCHES = 2
STARTED_AT = (1, 8, 32)  # decades

Vector = NDArray[Any]


@dataclass(frozen=True)
class Verdict:
    """What l tends to at an edge: "unbounded", "finite" (then `height` at the free coordinates `t`), or "below"."""

    frame: Frame
    kind: str
    height: float
    t: Vector
    path: str = ""
    limits: dict[str, float] = field(default_factory=dict)  # of the parameters, along an unbounded path


def maximised(frame: Frame, eps: float, start: Vector, patience: int = 160) -> tuple[float, Vector]:
    """The largest l that a simplex search from `start` finds at a gap, and where."""
    if not len(start):
        return frame.height(eps, start), start
    best, at = frame.height(eps, start), start
    for size in (0.5, 0.1):
        simplex = np.vstack(
            [at, *(at + size * (1 + abs(at[k]) / 10) * _unit(len(at), k) for k in range(len(at)))]
        )
        found = minimize(
            lambda t: -_finite(frame.height(eps, t)),
            at,
            method="Nelder-Mead",
            options={"initial_simplex": simplex, "maxfev": patience * len(at), "xatol": 1e-5, "fatol": 1e-7},
        )
        if -found.fun > best:
            best, at = float(-found.fun), np.asarray(found.x)
    return (best if best > LOWEST else -math.inf), at


def _finite(height: float) -> float:
    return max(height, 10 * LOWEST)


def _unit(size: int, k: int) -> Vector:
    return np.eye(size)[k]


def best_starts(frame: Frame, eps: float, count: int, rising: bool = False) -> list[Vector]:
    """The best points of a coarse grid over the other parameters, apart from each other.

    With `rising` those alone at which the density is infinite at its own edge.
    """
    axes = [_axis(c, frame) for c in frame.coordinates]
    total = math.prod(len(a) for a in axes)
    points = list(product(*axes))
    if total > MOST_STARTS:
        points = points[:: 1 + total // MOST_STARTS]
    if rising:
        points = [p for p in points if frame.own_rise(p) > SLOWEST]
    ranked = sorted(((frame.height(eps, p), p) for p in points), key=lambda pair: -pair[0])
    chosen: list[Vector] = []
    for height, point in ranked:
        t = np.array(point, dtype=float)
        if math.isfinite(height) and all(np.max(np.abs(t - c), initial=0.0) > 1.0 for c in chosen):
            chosen.append(t)
        if len(chosen) == count:
            break
    return chosen


def _axis(coordinate: Coordinate, frame: Frame) -> list[float]:
    low, high = math.isfinite(coordinate.low), math.isfinite(coordinate.high)
    if low and high:
        return [-6.0, -3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0, 6.0]
    scales = scales_of(frame.table)
    for sample in frame.table.samples:
        for column in sample.columns:
            scales += [
                s
                for s in (sample.maximum[column] - sample.minimum[column], abs(sample.maximum[column]))
                if s > 0
            ]
    if low or high:
        sizes = {round(math.log(s) + step, 2) for s in (1.0, *scales) for step in (-2.3, -1.0, 0.0, 1.0, 2.3)}
        return _thinned(sorted(s if low else -s for s in sizes), 0.6)
    places = {0.0, -0.3, 0.3, -1.0, 1.0, -2.5, 2.5, *(math.log(s) for s in scales)}
    for sample in frame.table.samples:
        for column, values in sample.columns.items():
            some = values[:: max(1, len(values) // 2000)]
            places |= {float(q) for q in np.quantile(some, (0.0, 0.25, 0.5, 0.75, 1.0))}
            places.add(2 * sample.minimum[column] - sample.maximum[column])
            places.add(2 * sample.maximum[column] - sample.minimum[column])
    return sorted(places)


def _thinned(values: list[float], gap: float) -> list[float]:
    kept: list[float] = []
    for value in values:
        if not kept or value - kept[-1] > gap:
            kept.append(value)
    return kept


def profile_over_gaps(frame: Frame) -> list[tuple[float, float, Vector]]:
    """(gap, l, the others) at gaps of every scale: where climbs to interior maxima start."""
    found: list[tuple[float, float, Vector]] = []
    before: Vector | None = None
    for level in LEVELS:
        eps = level * frame.unit
        starts = best_starts(frame, eps, 1) + ([] if before is None else [before])
        ends = [maximised(frame, eps, s, 80) for s in starts]
        ends = [e for e in ends if math.isfinite(e[0])]
        if ends:
            height, before = max(ends, key=lambda e: e[0])
            found.append((eps, height, before))
    return found


def examine(frame: Frame, near: list[Vector]) -> Verdict:
    """What l does as the gap shrinks to nothing; `near` are points from which the others are sought too."""
    best = Verdict(frame, "below", -math.inf, np.zeros(len(frame.others)))
    starts: list[tuple[float, Vector]] = []
    for k in STARTED_AT[::-1]:
        eps = frame.unit * 10.0**-k
        grid = best_starts(frame, eps, 3)
        for t in best_starts(frame, eps, 3, rising=True) if k == STARTED_AT[-1] else ():
            if _rises_alone(frame, t):
                return Verdict(frame, "unbounded", math.inf, t, _words_at(frame, t), _limits_at(frame, t))
        grid += near if k == STARTED_AT[0] else []
        ends = [maximised(frame, eps, s) for s in grid]
        ends = sorted((e for e in ends if math.isfinite(e[0])), key=lambda e: -e[0])
        starts += ends[:BRANCHES]
    starts = _apart(starts)
    for _, t in starts:
        if _rises_alone(frame, t):
            return Verdict(frame, "unbounded", math.inf, t, _words_at(frame, t), _limits_at(frame, t))
    for _, t in starts:
        verdict = _along(frame, t)
        if verdict.kind == "unbounded":
            return verdict
        if verdict.kind == "finite" and (best.kind == "below" or verdict.height > best.height):
            best = verdict
    return best


def _apart(starts: list[tuple[float, Vector]]) -> list[tuple[float, Vector]]:
    kept: list[tuple[float, Vector]] = []
    for start in starts:
        if all(np.max(np.abs(start[1] - k[1]), initial=0.0) > 0.1 for k in kept):
            kept.append(start)
    return kept


def _rises_alone(frame: Frame, t: Vector) -> bool:
    """Whether l grows without bound with the gap alone, the other parameters at t: a density infinite at its edge."""
    heights = [frame.height(frame.unit * 10.0**-k, t) for k in DECADES[-4:]]
    logs = [k * math.log(10) for k in DECADES[-4:]]
    slopes = [(b - a) / (v - u) for a, b, u, v in zip(heights, heights[1:], logs, logs[1:], strict=False)]
    if not (min(slopes) > SLOWEST and max(slopes) - min(slopes) < 0.05 * max(slopes)):
        return False
    return _still_rises(frame, [t, t], slopes[-1])


def _along(frame: Frame, t: Vector) -> Verdict:
    heights: list[float] = []
    places: list[Vector] = []
    for k in DECADES:
        eps = frame.unit * 10.0**-k
        starts = [t] if len(places) < 2 else [t, 2 * places[-1] - places[-2]]
        height, t = max((maximised(frame, eps, s, 100) for s in starts), key=lambda e: e[0])
        heights.append(height)
        places.append(t)
        if not math.isfinite(height):
            return Verdict(frame, "below", -math.inf, t)
    logs = [k * math.log(10) for k in DECADES]
    slopes = [(b - a) / (v - u) for a, b, u, v in zip(heights, heights[1:], logs, logs[1:], strict=False)]
    growth = [2 * b - a for a, b in zip(slopes, slopes[1:], strict=False)][-2:]
    if min(growth) > SLOWEST and max(growth) - min(growth) < 0.3 * max(growth):
        if _still_rises(frame, places, growth[-1]):
            return Verdict(frame, "unbounded", math.inf, t, _words(frame, places), _limits(frame, places))
        return Verdict(frame, "below", heights[-1], t)
    if abs(slopes[-1]) > 1e-6 or abs(heights[-1] - heights[-2]) > 1e-6 * (1 + abs(heights[-1])):
        return Verdict(frame, "below", heights[-1], t)
    return Verdict(frame, "finite", heights[-1], t)


def _still_rises(frame: Frame, places: list[Vector], growth: float) -> bool:
    """Whether l rises by half of what its growth promises, far along the continued path, at 240 bits."""
    if frame.samples[frame.edge.part].rows > MOST_PRECISE_ROWS:
        return True  # too many rows to be taken one by one: the slopes stand
    per_doubling = places[-1] - places[-2]
    heights = []
    for k in (DECADES[-1], *FARTHER):
        t = places[-1] + per_doubling * math.log2(k / DECADES[-1])
        values = {s: CONTEXT.convert(v) for s, v in frame.constants.items()}
        for q, c, u in zip(frame.others, frame.coordinates, t, strict=True):
            try:
                values[q] = CONTEXT.mpf(c.value(float(u)))
            except OverflowError:
                return False
        heights.append(frame.precise_height(CONTEXT.mpf(frame.unit) * CONTEXT.mpf(10) ** -k, values))
    steps = zip(heights, heights[1:], (DECADES[-1], *FARTHER), FARTHER, strict=False)
    rises = [float((b - a) / ((v - u) * math.log(10))) for a, b, u, v in steps]
    return all(math.isfinite(r) for r in rises) and rises[-1] > 0.3 * growth and rises[-1] > SLOWEST


def _words_at(frame: Frame, t: Vector) -> str:
    values = [
        f"{_text(q)} = {c.value(float(u)):.4g}"
        for q, c, u in zip(frame.others, frame.coordinates, t, strict=True)
    ]
    at = f" (at {', '.join(values)})" if values else ""
    return frame.edge.approached(frame.row) + at


def _limits_at(frame: Frame, t: Vector) -> dict[str, float]:
    found = frame.theta(0.0, t) or {}
    return {str(p): float(v) for p, v in found.items()}


def _ends(frame: Frame, places: list[Vector]) -> dict[Symbol, float]:
    """The parameters that keep moving along a path, and where they go."""
    found = {}
    for k, (q, c) in enumerate(zip(frame.others, frame.coordinates, strict=True)):
        change = places[-1][k] - places[-2][k]
        before = places[-2][k] - places[-3][k]
        low, high = math.isfinite(c.low), math.isfinite(c.high)
        scale = 0.3 if low or high else 0.1 * (1 + abs(places[-1][k]))
        if abs(change) >= scale and abs(before) >= 0.3 * abs(change):
            found[q] = c.high if change > 0 else c.low
    return found


def _limits(frame: Frame, places: list[Vector]) -> dict[str, float]:
    ends = _ends(frame, places)
    found = _limits_at(frame, places[-1])
    if frame.edge.bound == frame.moved:
        ends[frame.moved] = found[str(frame.moved)]
    return {**found, **{str(q): end for q, end in ends.items()}} if frame.moved in ends else {}


def _words(frame: Frame, places: list[Vector]) -> str:
    """The path: what the edge comes to, and the parameters that keep moving."""
    words = [frame.edge.approached(frame.row)]
    for q, end in _ends(frame, places).items():
        words.append(f"{q} -> {'oo' if end == math.inf else '-oo' if end == -math.inf else f'{end:g}'}")
    return ", ".join(words)


__all__ = ["Verdict", "best_starts", "examine", "maximised", "profile_over_gaps"]
