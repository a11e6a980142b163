"""Newton's method in free coordinates on sums over rows: each step an ascent, guided by a subsample if there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.fitting.coordinates import Coordinate
from symmle.fitting.small_matrices import Matrix, Vector, eigenvalues_of, inverse_of, product, times
from symmle.fitting.surface_sums import ALL, CURVES, VALUE, SumsOnRows
from symmle.progress import report

Array = NDArray[Any]

STEPS = 60

FAR = 40.0  # in free coordinates: towards the edge of the parameter space

GUIDED = 0.2  # length of a step from which the subsample guides it

CLOSE_GUIDED = 5e-4  # a guided step after which the next would be below rounding


CLOSE, CLOSEST = (
    1e-5,
    1e-9,
)  # a step, per observation, after which the next one would be below rounding: its square

LONGEST, WIDEST = 2.0, 5.0  # of a step, in logarithms and in standard deviations of one observation

UNSURE = 1.0  # length of a step after which l alone is looked at before its derivatives

STILL = 0.05  # in free coordinates: a step this long is no end, however little l would rise by it

BEND = 1e-11  # least eigenvalue of the scaled Hessian

MET = 1.0  # standard errors from a known end, where l bends down: an ascent ends there


@dataclass
class Ascent:
    """The end of an ascent: theta, l there, the number of steps, and whether it is a maximum."""

    theta: list[float]
    height: float
    steps: int
    gradient: float = math.inf
    condition: float = math.inf
    curve: Array | None = None  # the Hessian of l per observation in free coordinates


class Free:
    """l per observation as a function of free coordinates, in plain numbers: NumPy takes longer for so few."""

    def __init__(self, sums: SumsOnRows, coordinates: Sequence[Coordinate], held: int | None = None):
        self.sums, self.coordinates, self.held = sums, coordinates, held
        self.n = max(sums.n, 1.0)
        self.pairs = sums.model.pairs

    def theta(self, t: Vector) -> list[float]:
        return [c.value(v) for c, v in zip(self.coordinates, t, strict=True)]

    def curves(self, t: Vector) -> tuple[Vector, Matrix] | None:
        """Gradient and Hessian, or None where one is not finite."""
        theta = self.theta(t)
        return self._in_free(self.sums.at(theta, CURVES), theta)

    def at(self, t: Vector) -> tuple[float, Vector, Matrix] | None:
        """l, gradient and Hessian, or None where one is not finite."""
        theta = self.theta(t)
        height, *rest = self.sums.at(theta, ALL)
        found = self._in_free(rest, theta) if math.isfinite(height) else None
        return None if found is None else (height, *found)

    def is_lower(self, t: Vector, height: float) -> bool:
        """Whether l is below `height`, or nothing, at t: a third of the work of `at`."""
        return not self.sums.at(self.theta(t), VALUE)[0] >= height

    def _in_free(self, plain: list[float], theta: list[float]) -> tuple[Vector, Matrix] | None:
        if not math.isfinite(sum(map(abs, plain))):
            return None
        p, n = len(theta), self.n
        slopes = [c.slopes(v) for c, v in zip(self.coordinates, theta, strict=True)]
        g = [d * first / n for d, (first, _) in zip(plain, slopes, strict=False)]
        h = [[0.0] * p for _ in range(p)]
        for (i, j), v in zip(self.pairs, plain[p:], strict=True):
            h[i][j] = h[j][i] = v * slopes[i][0] * slopes[j][0] / n
        for k, (_, second) in enumerate(slopes):
            h[k][k] += plain[k] * second / n
        if self.held is not None:  # Newton's step is 0 there
            k = self.held
            g[k], h[k] = 0.0, [0.0] * p
            for row in h:
                row[k] = 0.0
            h[k][k] = -1.0
        return (g, h) if math.isfinite(sum(g) + sum(map(sum, h))) else None


def climb(
    sums: SumsOnRows,
    coordinates: Sequence[Coordinate],
    theta: Sequence[float],
    close: float,
    subsample: SumsOnRows | None = None,
    stage: str = "",
    known: Sequence[Ascent] = (),
    held: int | None = None,
) -> Ascent | None:
    """Newton's method in free coordinates, each step an ascent; None where it does not end at a maximum inside.

    With a subsample the step goes to the root of the score with its curvature taken from there:
    g(t + s) ~ g(t) + H s + [g_sub(t + s) - g_sub(t) - H_sub s], so that the error of a step is that of Newton's
    times the sampling error of the subsample (Jordan, Lee and Yang 2019, section 2).

    Where l bends down by one of the `known` ends, that end is what is returned. The parameter at the place `held`
    stays where it is.
    """
    with np.errstate(all="ignore"):
        return _climb(sums, coordinates, theta, close, subsample, stage, known, held)


def _climb(
    sums: SumsOnRows,
    coordinates: Sequence[Coordinate],
    theta: Sequence[float],
    close: float,
    subsample: SumsOnRows | None,
    stage: str,
    known: Sequence[Ascent],
    held: int | None,
) -> Ascent | None:
    free = Free(sums, coordinates, held)
    guide = None if subsample is None else Free(subsample, coordinates)
    try:
        t = [c.at(v) for c, v in zip(coordinates, theta, strict=True)]
    except ValueError:
        return None
    here = free.at(t)
    ended = [k for k, c in enumerate(coordinates) if c.is_bounded]
    for step in range(1, STEPS + 1):
        if here is None:
            return None
        height, g, h = here
        if stage:
            report(stage, step, height, sums.model.parameters, free.theta(t))
        bent, inverse = inverse_of(h, BEND)
        if bent and known:
            near = MET / math.sqrt(free.n)
            met = next((e for e in known if e.height >= height and distance(coordinates, e, t) < near), None)
            if met is not None:
                return met
        move = times(inverse, g)
        length = math.sqrt(max(product(g, move), 0.0))  # per observation, in units of its own spread
        guided = guide is not None and bent and length < GUIDED
        if guided:
            move = guided_step(guide, t, g, inverse, move)  # type: ignore[arg-type]
        still = close > CLOSE or is_still(move, ended)
        if still and length < (CLOSE_GUIDED if guided else close):
            if not bent or is_far(t, ended):
                return None
            return Ascent(
                free.theta(moved(t, move)), height, step, max(map(abs, g)), condition_of(h), np.array(h)
            )
        longest = max((abs(move[k]) for k in ended), default=0.0)
        share = min(1.0, LONGEST / max(longest, 1e-300), WIDEST / max(length, 1e-300))
        least = height - 1e-12 * abs(height)
        unsure = length > UNSURE
        for _ in range(30):
            if not (unsure and free.is_lower(moved(t, move, share), least)):
                there = free.at(moved(t, move, share))
                if there is not None and there[0] >= least:
                    break
            share, unsure = share / 4, True
        else:
            return None
        t, here = moved(t, move, share), there
        if is_far(t, ended):
            return None
    return None


def moved(t: Vector, move: Vector, share: float = 1.0) -> Vector:
    """t + share * move."""
    return [a + share * b for a, b in zip(t, move, strict=True)]


def is_still(move: Vector, ended: list[int]) -> bool:
    """Whether a step is short in logarithms: on the way to infinity a flat likelihood keeps steps of length 1."""
    return all(abs(move[k]) < STILL for k in ended)


def is_far(t: Vector, ended: list[int]) -> bool:
    """Whether a coordinate is near an end of its domain, as doubles go."""
    return any(abs(t[k]) > FAR for k in ended)


def condition_of(h: Matrix) -> float:
    """The condition number of the scaled Hessian."""
    sizes = np.abs(eigenvalues_of(h))
    return float(sizes.max() / max(sizes.min(), 1e-300))


def distance(coordinates: Sequence[Coordinate], end: Ascent, t: Vector) -> float:
    """How far free coordinates are from an end, in standard deviations of one observation."""
    if end.curve is None:
        return math.inf
    try:
        apart = [c.at(a) - b for c, a, b in zip(coordinates, end.theta, t, strict=True)]
    except ValueError:  # an end of a domain
        return math.inf
    return math.sqrt(max(-product(apart, times(end.curve.tolist(), apart)), 0.0))


def guided_step(
    guide: Free, t: Vector, g: Vector, inverse: Matrix, move: Vector, close: float = 1e-5
) -> Vector:
    """The step with the curvature of the score taken from a subsample; Newton's own where that does not help."""
    start = guide.at(t)
    if start is None:
        return move
    found, size = move, max(map(abs, move))
    for _ in range(3):
        there = guide.at(moved(t, found))
        if there is None:
            return move
        bent = times(start[2], found)
        rest = [a + b - c - d for a, b, c, d in zip(g, there[1], start[1], bent, strict=True)]
        better = times(inverse, rest)
        apart = max(abs(a - b) for a, b in zip(better, move, strict=True))
        if not apart <= 0.5 * size:
            return move
        settled = max(abs(a - b) for a, b in zip(better, found, strict=True)) <= close * size
        found = better
        if settled:
            break
    return found


__all__ = ["Ascent", "Free", "climb"]
