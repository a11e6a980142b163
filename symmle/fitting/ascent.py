"""Newton's method in free coordinates on sums over rows: each step an ascent, guided by a subsample if there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.fitting.coordinates import Coordinate
from symmle.fitting.surface_sums import SumsOnRows
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

STILL = 0.05  # in free coordinates: a step this long is no end, however little l would rise by it

BEND = 1e-11  # least eigenvalue of the scaled Hessian


@dataclass
class Ascent:
    """The end of an ascent: theta, l there, the number of steps, and whether it is a maximum."""

    theta: list[float]
    height: float
    steps: int
    gradient: float = math.inf
    condition: float = math.inf
    curve: Array | None = None  # the Hessian of l per observation in free coordinates


class _Free:
    """l per observation as a function of free coordinates."""

    def __init__(self, sums: SumsOnRows, coordinates: Sequence[Coordinate]):
        self.sums, self.coordinates = sums, coordinates
        self.n = max(sums.n, 1.0)

    def theta(self, t: Array) -> list[float]:
        return [c.value(v) for c, v in zip(self.coordinates, t.tolist(), strict=True)]

    def slopes(self, t: Array) -> Array | None:
        """The gradient, or None where it is not finite."""
        theta = self.theta(t)
        return self._in_free(self.sums.slopes(theta), None, theta)[0]

    def curves(self, t: Array) -> tuple[Array, Array] | None:
        """Gradient and Hessian, or None where one is not finite."""
        theta = self.theta(t)
        g, h = self._in_free(*self.sums.curves(theta), theta)
        return None if g is None or h is None else (g, h)

    def at(self, t: Array) -> tuple[float, Array, Array] | None:
        """l, gradient and Hessian, or None where one is not finite."""
        theta = self.theta(t)
        height, gradient, hessian = self.sums.derivatives(theta)
        g, h = self._in_free(gradient, hessian, theta)
        return None if g is None or h is None or not math.isfinite(height) else (height, g, h)

    def _in_free(
        self, gradient: Array, hessian: Array | None, theta: list[float]
    ) -> tuple[Array | None, Array | None]:
        slopes = [c.slopes(v) for c, v in zip(self.coordinates, theta, strict=True)]
        n, plain = self.n, gradient.tolist()
        g = [d * first / n for d, (first, _) in zip(plain, slopes, strict=True)]
        if not all(map(math.isfinite, g)):
            return None, None
        if hessian is None:
            return np.array(g), None
        h = [
            [v * first * other / n for v, (other, _) in zip(row, slopes, strict=True)]
            for row, (first, _) in zip(hessian.tolist(), slopes, strict=True)
        ]
        for k, (d, (_, second)) in enumerate(zip(plain, slopes, strict=True)):
            h[k][k] += d * second / n
        if not all(math.isfinite(v) for row in h for v in row):
            return None, None
        return np.array(g), np.array(h)


def climb(
    sums: SumsOnRows,
    coordinates: Sequence[Coordinate],
    theta: Sequence[float],
    close: float,
    subsample: SumsOnRows | None = None,
    stage: str = "",
) -> Ascent | None:
    """Newton's method in free coordinates, each step an ascent; None where it does not end at a maximum inside.

    With a subsample the step goes to the root of the score with its curvature taken from there:
    g(t + s) ~ g(t) + H s + [g_sub(t + s) - g_sub(t) - H_sub s], so that the error of a step is that of Newton's
    times the sampling error of the subsample (Jordan, Lee and Yang 2019, section 2).
    """
    free = _Free(sums, coordinates)
    guide = None if subsample is None else _Free(subsample, coordinates)
    try:
        t = np.array([c.at(v) for c, v in zip(coordinates, theta, strict=True)])
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
        values, inverse = _inverse(h)
        move = inverse @ g
        length = math.sqrt(max(float(g @ move), 0.0))  # per observation, in units of its own spread
        bent = bool(values[-1] < -BEND)
        guided = guide is not None and bent and length < GUIDED
        if guided:
            move = _guided(guide, t, g, inverse, move)  # type: ignore[arg-type]
        still = close > CLOSE or _is_still(move, ended)
        if still and length < (CLOSE_GUIDED if guided else close):
            if not bent or _is_far(t, ended):
                return None
            return Ascent(free.theta(t + move), height, step, float(np.abs(g).max()), _condition(values), h)
        longest = max((abs(move[k]) for k in ended), default=0.0)
        share = min(1.0, LONGEST / max(longest, 1e-300), WIDEST / max(length, 1e-300))
        move = move if share == 1.0 else move * share
        for _ in range(30):
            there = free.at(t + move)
            if there is not None and there[0] >= height - 1e-12 * abs(height):
                break
            move = move / 4
        else:
            return None
        t, here = t + move, there
        if _is_far(t, ended):
            return None
    return None


def _is_still(move: Array, ended: list[int]) -> bool:
    """Whether a step is short in logarithms: on the way to infinity a flat likelihood keeps steps of length 1."""
    return all(abs(move[k]) < STILL for k in ended)


def _is_far(t: Array, ended: list[int]) -> bool:
    return any(abs(t[k]) > FAR for k in ended)


def _inverse(h: Array) -> tuple[Array, Array]:
    """The eigenvalues of the scaled Hessian, and the inverse of -h with all of them made positive."""
    if len(h) == 2:  # without the linear algebra library, which takes longer than many a pass
        (a, b), (_, c) = h.tolist()
        if a < 0 and c < 0 and b * b < (1 - 1e-8) * a * c:
            r = abs(b) / math.sqrt(a * c)
            det = a * c - b * b
            return np.array([-1 - r, -1 + r]), np.array([[-c / det, b / det], [b / det, -a / det]])
    size = np.sqrt(np.maximum(np.abs(h.diagonal()), 1e-300))
    scale = size[:, None] * size
    values, vectors = np.linalg.eigh(h / scale)
    flipped = np.maximum(np.abs(values), 1e-8)
    return values, (vectors / flipped) @ vectors.T / scale


def _condition(values: Array) -> float:
    return float(np.abs(values).max() / max(np.abs(values).min(), 1e-300))


def _guided(guide: _Free, t: Array, g: Array, inverse: Array, move: Array, close: float = 1e-5) -> Array:
    """The step with the curvature of the score taken from a subsample; Newton's own where that does not help."""
    start = guide.at(t)
    if start is None:
        return move
    found = move
    for _ in range(3):
        there = guide.at(t + found)
        if there is None:
            return move
        rest = there[1] - start[1] - start[2] @ found
        better = inverse @ (g + rest)
        if not np.isfinite(better).all() or np.abs(better - move).max() > 0.5 * np.abs(move).max():
            return move
        settled = np.abs(better - found).max() <= close * np.abs(move).max()
        found = better
        if settled:
            break
    return found


__all__ = ["Ascent", "climb"]
