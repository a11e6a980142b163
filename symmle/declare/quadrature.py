"""Integrals and sums of a density over its support, in plain floats, with an error estimate.

Continuous: from every break point (an edge of the support, a kink, the peak) the line is measured by
x = break +- exp(t), so that all scales are met alike, singular edges become smooth and heavy tails
exponential; in t the integral is an adaptive Gauss-Kronrod rule over the part where the scanned
integrand is not negligible. Discrete: explicit partial sums until the terms fall geometrically, and
the midpoint rule of Euler and Maclaurin for tails that fall like a power.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from symmle.declare.numbers import NotComputed, NotReal

Integrand = Callable[[float], float]
NEGLIGIBLE = 1e-15
FARTHEST = 690.0
MOST_SEGMENTS = 400
TERMS_BEFORE_TAIL = 1_000

# Gauss-Kronrod 7-15: nodes, Kronrod weights, Gauss weights (Kronrod 1965)
_NODES = (
    0.991455371120812639206854697526329,
    0.949107912342758524526189684047851,
    0.864864423359769072789712788640926,
    0.741531185599394439863864773280788,
    0.586087235467691130294144691693013,
    0.405845151377397166906606412076961,
    0.207784955007898467600689403773245,
    0.000000000000000000000000000000000,
)
_KRONROD = (
    0.022935322010529224963732008058970,
    0.063092092629978553290700663189204,
    0.104790010322250183839876322541518,
    0.140653259715525918745189590510238,
    0.169004726639267902826583426598550,
    0.190350578064785409913256402421014,
    0.204432940075298892414161999234649,
    0.209482141084727828012999174891714,
)
_GAUSS = (
    0.129484966168869693270611432679082,
    0.279705391489276667901467771423780,
    0.381830050505118944950369775488975,
    0.417959183673469387755102040816327,
)


@dataclass
class Amount:
    """A value with an estimate of its error."""

    value: float = 0.0
    error: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.value + other.value, self.error + other.error)


class OutOfTime(NotComputed):
    """The time for the check is used up."""


class Diverges(NotComputed):
    """The integral is infinite."""


class Clock:
    """A deadline that the loops look at."""

    def __init__(self, seconds: float):
        self.end = time.monotonic() + seconds

    def look(self) -> None:
        if time.monotonic() > self.end:
            raise OutOfTime("it takes longer than the time for this check")

    @property
    def left(self) -> float:
        return self.end - time.monotonic()


@dataclass(frozen=True)
class Ray:
    """f(edge + u) or f(edge - u) as a function of u in (0, length)."""

    value: Integrand
    length: float


def _kronrod(h: Integrand, a: float, b: float) -> tuple[float, float]:
    middle, half = (a + b) / 2, (b - a) / 2
    center = h(middle)
    kronrod, gauss = center * _KRONROD[7], center * _GAUSS[3]
    for i in range(7):
        step = half * _NODES[i]
        pair = h(middle - step) + h(middle + step)
        kronrod += pair * _KRONROD[i]
        if i % 2:
            gauss += pair * _GAUSS[i // 2]
    return kronrod * half, abs((kronrod - gauss) * half)


def along(ray: Ray, clock: Clock, step: float = 0.5, tolerance: float = 1e-9) -> Amount:
    """The integral over one ray.

    `step` is the width of the scan in t = log u; the caller confirms with another one.
    """

    def h(t: float) -> float:
        u = math.exp(t)
        return ray.value(u) * u

    top = math.log(ray.length) if math.isfinite(ray.length) else None
    high = 40.0 if top is None else top
    low = (-40.0 if top is None else top - 40.0) + 0.137 * step
    count = max(2, round((high - low) / step))
    grid = [low + (high - low) * i / count for i in range(count + 1)]
    if top is not None:
        grid[-1] = top - 1e-14
    heights: list[float] = []
    for t in grid:
        try:
            heights.append(h(t))
        except (OutOfTime, NotReal):
            raise
        except NotComputed:
            heights.append(math.nan)
        if len(heights) % 16 == 0:
            clock.look()
    peak = max((abs(v) for v in heights if math.isfinite(v)), default=0.0)
    if peak == 0.0:
        return Amount(0.0, math.inf if any(math.isnan(v) for v in heights) else 0.0)
    if peak < 1e-280:
        return Amount(0.0, 1e-200)
    floor = NEGLIGIBLE * peak
    missing = 0.0
    # outwards until negligible
    if abs(heights[0]) > floor:
        missing += _extend(h, grid, heights, -4 * step, floor, clock)
    if top is None and abs(heights[-1]) > floor:
        missing += _extend(h, grid, heights, 4 * step, floor, clock)
        if missing == math.inf and heights[-1] >= heights[-2] >= heights[-3] > 0:
            raise Diverges("its integral is infinite")  # f(u) u does not fall
    bulk = [i for i, v in enumerate(heights) if abs(v) > floor]
    first, last = bulk[0], bulk[-1]
    for edge, beyond in ((first, first - 1), (last, last + 1)):
        if 0 <= beyond < len(grid) and math.isnan(heights[beyond]):
            missing += abs(heights[edge]) * 2 if abs(heights[edge]) < 1e-9 * peak else math.inf
    wanted = [abs(v) > floor for v in heights]
    result = Amount(0.0, missing)
    segments: list[tuple[float, float]] = []
    for i in range(max(0, first - 2), min(len(grid) - 1, last + 2)):
        if math.isnan(heights[i]) or math.isnan(heights[i + 1]):
            if first <= i < last:
                raise NotComputed("the density cannot be computed at some places")
            continue
        if any(wanted[max(0, i - 1) : i + 3]):
            if segments and segments[-1][1] == grid[i] and segments[-1][1] - segments[-1][0] < 1.9:
                segments[-1] = (segments[-1][0], grid[i + 1])
            else:
                segments.append((grid[i], grid[i + 1]))
    return result + _adaptive(h, segments, clock, tolerance)


def _extend(
    h: Integrand, grid: list[float], heights: list[float], step: float, floor: float, clock: Clock
) -> float:
    """Adds grid points outwards; returns an estimate of what is cut off at the last one."""
    end = -1 if step > 0 else 0
    quiet = 0
    while quiet < 2:
        t = grid[end] + step
        if abs(t) > FARTHEST:
            break
        clock.look()
        try:
            value = h(t)
        except (OutOfTime, NotReal):
            raise
        except (NotComputed, OverflowError):
            break
        if not math.isfinite(value):
            break
        grid.insert(len(grid) if step > 0 else 0, t)
        heights.insert(len(heights) if step > 0 else 0, value)
        quiet = quiet + 1 if abs(value) <= floor else 0
    if quiet == 2:
        return 0.0
    last, before = abs(heights[end]), abs(heights[end - 1 if step > 0 else 1])
    if last <= floor:
        return 0.0
    if not last < before:
        return math.inf
    rate = math.log(before / last) / abs(step)
    return last / rate if rate > 0.01 else math.inf


def _adaptive(h: Integrand, segments: list[tuple[float, float]], clock: Clock, tolerance: float) -> Amount:
    """Bisects the segment of the largest error until the errors sum below the tolerance."""
    heap: list[tuple[float, float, float, float]] = []
    for a, b in segments:
        value, error = _kronrod(h, a, b)
        heapq.heappush(heap, (-error, a, b, value))
        clock.look()
    error = -math.fsum(item[0] for item in heap)
    count = len(heap)
    while heap and error > tolerance and count < MOST_SEGMENTS + len(segments):
        worst, a, b, value = heapq.heappop(heap)
        if b - a < 1e-12:
            heapq.heappush(heap, (worst, a, b, value))
            break
        error += worst
        middle = (a + b) / 2
        for left, right in ((a, middle), (middle, b)):
            value, e = _kronrod(h, left, right)
            heapq.heappush(heap, (-e, left, right, value))
            error += e
        count += 1
        clock.look()
    return Amount(math.fsum(item[3] for item in heap), -math.fsum(item[0] for item in heap))


def summed(f: Integrand, first: float, last: float, clock: Clock, least: int = 25) -> Amount:
    """The sum of f over the whole numbers from first to last (either may be infinite)."""
    if first == -math.inf and last == math.inf:
        return summed(f, 0, math.inf, clock, least) + summed(lambda k: f(-k), 1, math.inf, clock, least)
    if first == -math.inf:
        return summed(lambda k: f(-k), -last, math.inf, clock, least)
    total, k, before, quiet = 0.0, first, math.nan, 0
    terms: list[float] = []
    while k <= last:
        term = f(k)
        terms.append(term)
        count = len(terms)
        quiet = quiet + 1 if abs(term) <= 1e-18 else 0
        if count >= least:
            ratio = abs(term / before) if before else (0.0 if term == 0 else 1.0)
            if ratio < 0.98 and abs(term) * ratio / (1 - ratio) < 1e-13 and sum(terms) > 1e-3:
                return Amount(math.fsum(terms), abs(term) / (1 - ratio))
            if quiet > 60 and sum(terms[-200:]) < 1e-15 < sum(terms):
                return Amount(math.fsum(terms), 1e-15)
        if count % 64 == 0:
            clock.look()
        if count >= TERMS_BEFORE_TAIL and last - k > 1_000:
            break
        before = term
        k += 1
    total = math.fsum(terms)
    if k > last:
        return Amount(total, 1e-15 * len(terms))
    if last != math.inf:
        return Amount(total, math.inf)
    # sum_{j > k} f(j) = int_{k + 1/2}^oo f + f'(k + 1/2)/24 - ...
    edge = k + 0.5
    try:
        tail = along(Ray(lambda u: f(edge + u), math.inf), clock)
    except NotReal:
        raise NotComputed("its terms fall slowly, and it is not real between them") from None
    slope = f(edge + 0.5) - f(edge - 0.5)
    return Amount(total + tail.value + slope / 24, tail.error + abs(slope) / 100 + abs(f(edge)) * 1e-9)
