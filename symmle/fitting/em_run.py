"""EM on given rows: plain, accelerated, with hard and stochastic assignment; what must not fall is checked.

Acceleration is SQUAREM (Varadhan and Roland 2008, Scandinavian Journal of Statistics 35, scheme S3): from
t1 = M(t0), t2 = M(t1), r = t1 - t0, v = t2 - t1 - r, a = -|r|/|v| to t0 - 2 a r + a^2 v in free coordinates, where
l there is not below l(t1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.errors import UnsoundStepError
from symmle.fitting.ascent import climb
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.em_mstep import MStep
from symmle.fitting.em_rows import BranchesOnRows
from symmle.fitting.surface_sums import ALL, VALUE
from symmle.progress import report

Array = NDArray[Any]
SLACK = 1e-9  # of rounding: l may fall by so much of 1 + |l|
OBSERVED = ("EM", "observed log-likelihood")
CLASSIFIED = ("hard assignment", "classification log-likelihood")
STILL = 1e-13  # rise of l, relative to 1 + |l|, that counts as none


class Degenerate(Exception):
    """A run met a point where a component has collapsed and doubles no longer tell l."""

    def __init__(self, theta: list[float], height: float):
        super().__init__(theta)
        self.theta, self.height = theta, height


@dataclass
class Trail:
    """The way of a run: log-likelihoods (of what must not fall) and points, one an iteration."""

    heights: list[float] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    steps: int = 0

    def add(self, height: float, theta: Sequence[float]) -> None:
        self.heights.append(height)
        self.points.append(list(theta))


@dataclass
class End:
    """Where a run ended: theta, l there, and what it is: "maximum", "flat", "edge", "collapsed" or "failed"."""

    theta: list[float]
    height: float
    kind: str
    start: str = ""
    steps: int = 0
    gradient: float = math.inf
    condition: float = math.inf
    trail: Trail = field(default_factory=Trail)
    note: str = ""
    held: tuple[int, ...] = ()  # parameters at kinks
    known: End | None = None  # a maximum on whose slope a short run ended
    looked: Any = None  # at a coincidence, what Lindsay's gradient says


class Runner:
    """EM on one table of rows."""

    def __init__(
        self,
        rows: BranchesOnRows,
        m_step: MStep,
        coordinates: Sequence[Coordinate],
        allowed: Callable[[Sequence[float]], bool] | None = None,
        degenerate: Callable[[Sequence[float]], Any] | None = None,
    ):
        self.rows, self.m_step, self.coordinates = rows, m_step, list(coordinates)
        self.is_allowed = allowed or (lambda theta: True)
        self.is_degenerate = degenerate or (lambda theta: False)
        self.n, self.model = rows.n, rows.model
        self._buffer: Array | None = None

    # --- what `climb` asks for ---

    def derivatives(self, theta: Sequence[float]) -> tuple[float, Array, Array]:
        if not self.is_allowed(theta):
            p = len(self.coordinates)
            return math.nan, np.full(p, math.nan), np.full((p, p), math.nan)
        return self.rows.derivatives(theta)

    def at(self, theta: Sequence[float], what: int) -> list[float]:
        """l; l, the gradient and the upper half of the Hessian by `model.pairs`; or the last two alone."""
        if what == VALUE:
            return [self.value(theta)]
        height, gradient, hessian = self.derivatives(theta)
        slopes = [*gradient.tolist(), *(float(hessian[i, j]) for i, j in self.model.pairs)]
        return [height, *slopes] if what == ALL else slopes

    def value(self, theta: Sequence[float]) -> float:
        return self.rows.value(theta) if self.is_allowed(theta) else math.nan

    # --- steps ---

    def expectation(self, theta: Sequence[float]) -> tuple[float, Array]:
        """l and the responsibilities (in a buffer that the next call overwrites)."""
        if self._buffer is None:
            self._buffer = np.empty((self.rows.model.size, self.rows.rows))
        return self.rows.expectation(theta, self._buffer)

    def maximise(self, r: Array, theta: Sequence[float]) -> list[float] | None:
        found = self.m_step(self.rows, r, theta, self.coordinates, self.is_allowed)
        return found if found is not None and self.is_allowed(found) else None

    def _moved(self, r: Array, theta: Sequence[float], trail: Trail) -> list[float] | None:
        """The M-step as one more of the trail's steps."""
        found = self.maximise(r, theta)
        trail.steps += found is not None
        return found

    def free(self, theta: Sequence[float]) -> Array | None:
        try:
            return np.array([c.at(v) for c, v in zip(self.coordinates, theta, strict=True)])
        except (ValueError, ZeroDivisionError):  # on an edge
            return None

    def inside(self, t: Array) -> list[float]:
        return [c.value(float(v)) for c, v in zip(self.coordinates, t, strict=True)]

    def em(self, theta: Sequence[float], iterations: int, trail: Trail, close: float = STILL) -> list[float]:
        """Plain EM; the observed log-likelihood is checked not to fall."""
        at = list(theta)
        last = -math.inf
        for _ in range(iterations):
            height, r = self.expectation(at)
            if not math.isfinite(height):  # the step led to an edge where a row is impossible
                return trail.points[-1] if trail.points else at
            self._must_not_fall(height, last, at, OBSERVED)
            self._record(trail, height, at)
            if height - last <= close * (1 + abs(height)):
                break
            last = height
            new = self._moved(r, at, trail)
            if new is None:
                break
            at = new
        return at

    def accelerated(
        self, theta: Sequence[float], cycles: int, trail: Trail, close: float = STILL
    ) -> tuple[list[float], float, bool]:
        """SQUAREM: the point, l there, and whether l has stopped rising."""
        at = list(theta)
        height, r = self.expectation(at)
        trail.add(height, at)
        still = 0
        for _ in range(cycles):
            first = self.maximise(r, at)
            if first is None:
                return at, height, False
            h1, r = self.expectation(first)
            if not math.isfinite(h1):
                return at, height, False
            self._must_not_fall(h1, height, first, OBSERVED)
            second = self.maximise(r, first)
            trail.steps += 2
            if second is None:
                return first, h1, False
            best, top, r = self._jump(at, first, second, h1)
            if not math.isfinite(top):
                return first, h1, False
            self._record(trail, top, best)
            still = still + 1 if top - height <= close * (1 + abs(top)) else 0
            at, height = best, top
            if still >= 2:
                return at, height, True
        return at, height, False

    def _jump(
        self, zero: list[float], first: list[float], second: list[float], height: float
    ) -> tuple[list[float], float, Array]:
        t0, t1, t2 = self.free(zero), self.free(first), self.free(second)
        if t0 is not None and t1 is not None and t2 is not None:
            r = t1 - t0
            v = t2 - t1 - r
            with np.errstate(all="ignore"):
                length = -float(np.sqrt((r @ r) / (v @ v))) if (v @ v) > 0 else -1.0
            if math.isfinite(length) and length < -1.0:
                length = max(length, -1e4)
                far = t0 - 2 * length * r + length**2 * v
                if np.abs(far - t0).max() < 30.0:
                    trial = self.inside(far)
                    if self.is_allowed(trial) and self.free(trial) is not None:
                        top, resp = self.expectation(trial)
                        if top >= height:
                            return trial, top, resp
        top, resp = self.expectation(second)
        self._must_not_fall(top, height, second, OBSERVED)
        return second, top, resp

    def _record(self, trail: Trail, height: float, theta: Sequence[float]) -> None:
        trail.add(height, theta)
        report("em", len(trail.heights), height, self.rows.model.parameters, theta)

    def _must_not_fall(self, new: float, old: float, theta: Sequence[float], what: tuple[str, str]) -> None:
        """Refuse a fall that rounding does not explain; at a degenerate point rounding explains any."""
        if math.isfinite(old) and new < old - SLACK * (1 + abs(old)):
            if self.is_degenerate(theta):
                raise Degenerate(list(theta), old)
            raise UnsoundStepError(
                f"The {what[1]} fell from {old!r} to {new!r} in an iteration of {what[0]}, which theory excludes: a "
                "bug in symmle."
            )

    def classified(self, theta: Sequence[float], iterations: int, trail: Trail) -> list[float]:
        """Hard assignment: each row to its likeliest branch; sum_i max_j log w_j f_j(x_i) is checked not to fall."""
        at = list(theta)
        last, labels = -math.inf, None
        for _ in range(iterations):
            a = self.rows.joint(at)
            new_labels = a.argmax(axis=0)
            top = a[new_labels, np.arange(self.rows.rows)]
            height = float(top.sum() if self.rows.weights is None else top @ self.rows.weights)
            self._must_not_fall(height, last, at, CLASSIFIED)
            self._record(trail, height, at)
            if labels is not None and np.array_equal(labels, new_labels):
                break
            labels, last = new_labels, height
            r = np.zeros_like(a)
            r[labels, np.arange(self.rows.rows)] = 1.0
            new = self._moved(r, at, trail)
            if new is None:
                break
            at = new
        return at

    def stochastic(
        self, theta: Sequence[float], iterations: int, trail: Trail, random: np.random.Generator
    ) -> list[float]:
        """Each row to a branch drawn from its responsibilities; the best point met, by observed l."""
        at = best = list(theta)
        top = -math.inf
        for _ in range(iterations):
            height, r = self.expectation(at)
            trail.add(height, at)
            if height > top:
                best, top = at, height
            if not math.isfinite(height):
                break
            drawn = (np.cumsum(r, axis=0) < random.random(self.rows.rows)).sum(axis=0)
            one = np.zeros_like(r)
            one[np.minimum(drawn, len(r) - 1), np.arange(self.rows.rows)] = 1.0
            new = self._moved(one, at, trail)
            if new is None:
                break
            at = new
        return best

    def climbed(self, theta: Sequence[float], close: float = 1e-9) -> Any:
        """The end of Newton's method on the observed likelihood from here, or None."""
        if self.free(theta) is None:
            return None
        found = climb(self, self.coordinates, theta, close, None, "newton")  # type: ignore[arg-type]
        # the last step is not looked at any more: along a ridge it may leave what `where` allows
        return found if found is not None and self.is_allowed(found.theta) else None

    def free_derivatives(self, theta: Sequence[float]) -> tuple[float, Array, Array]:
        """l, gradient and Hessian in free coordinates, divided by n."""
        height, g, h = self.derivatives(theta)
        slopes = np.array([c.slopes(v) for c, v in zip(self.coordinates, theta, strict=True)])
        with np.errstate(all="ignore"):
            free = g * slopes[:, 0] / self.n
            bent = (h * np.outer(slopes[:, 0], slopes[:, 0]) + np.diag(g * slopes[:, 1])) / self.n
        return height, free, bent


__all__ = ["Degenerate", "End", "Runner", "Trail"]
