"""The way to a supremum that is not attained: one parameter driven to the end of its domain, the others maximised.

At each value of the driven parameter l is maximised over the others by Newton's method in 240-bit arithmetic,
started where the way has led so far. The driven values grow geometrically, so that what tends to a limit like
1/value has reached it to all digits of a double after some twenty steps; what rises like a logarithm rises
by the same amount in every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from time import thread_time
from typing import Any

import numpy as np
from mpmath.libmp import NoConvergence
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.compiling.evaluate import CompiledExpressions
from symmle.compiling.kernels import CONTEXT
from symmle.compiling.rows import Care
from symmle.fitting.coordinates import scales_of
from symmle.fitting.limits_coordinates import FreeCoordinate, free_coordinate
from symmle.fitting.limits_identified import to_be_held
from symmle.fitting.plan import Plan

Point = dict[Symbol, Any]
STEPS = 26
RATIO = 8  # by which a driven parameter grows or shrinks in a step
SETTLED = 1e-13  # steps of l below this, relatively, are none
ITERATIONS = 60
CURVED = 1e-6  # second derivatives in free coordinates below this are none


@dataclass
class Trail:
    """Points on the way and l at them; `drivers` are the parameters that were sent to an end (-1 low, 1 high)."""

    drivers: dict[Symbol, int]
    points: list[Point] = field(default_factory=list)
    heights: list[Any] = field(default_factory=list)

    @cached_property
    def limit(self) -> Any:
        """The limit of l: a number, inf where it grows without bound, nan where the way does not tell."""
        h = self.heights
        if len(h) < 5:
            return CONTEXT.nan
        steps = [b - a for a, b in zip(h[-6:], h[-5:], strict=False)]
        slack = CONTEXT.mpf(1e-9) * (1 + abs(h[-1]))
        if abs(steps[-1]) <= slack * CONTEXT.mpf(1e-3):
            return h[-1]
        ratios = [b / a for a, b in zip(steps, steps[1:], strict=False) if a]
        if len(ratios) < 3 or any(s <= 0 for s in steps):
            return CONTEXT.nan
        if min(ratios[-3:]) > CONTEXT.mpf("0.97") and steps[-1] > CONTEXT.mpf("0.01"):
            return CONTEXT.inf
        if len(h) == STEPS and _is_harmonic(h):
            return CONTEXT.inf
        rho = ratios[-1]
        if rho < CONTEXT.mpf("0.7") and steps[-1] * rho / (1 - rho) <= slack:
            return h[-1] + steps[-1] * rho / (1 - rho)
        return CONTEXT.nan


class Path:
    """l on a table along ways to the edge of the parameter space."""

    def __init__(self, plan: Plan, table: Table, constants: Point, deadline: float):
        self.plan, self.table, self.constants = plan, table, constants
        self.deadline = deadline
        self.held = to_be_held(plan, table, constants)  # at a plain value: the others are determined
        self.coordinates: dict[Symbol, FreeCoordinate] = {}
        for p in plan.parameters:
            coordinate = free_coordinate(plan, p, constants)
            if coordinate is not None:
                self.coordinates[p] = coordinate
        scales = scales_of(table)
        self.smallest, self.largest = CONTEXT.mpf(min(scales)), CONTEXT.mpf(max(scales))

    @property
    def is_complete(self) -> bool:
        """Whether every parameter has a free coordinate."""
        return len(self.coordinates) == len(self.plan.parameters)

    @property
    def free(self) -> list[Symbol]:
        """The parameters that are not held."""
        return [p for p in self.plan.parameters if p not in self.held]

    # --- l and its derivatives ---

    def _numbers(self, compiled: CompiledExpressions, values: Point) -> list[Any]:
        try:
            return compiled.quick(self.table, values, Care.EXACT)
        except (ValueError, ArithmeticError, NoConvergence):  # a special function too far out
            return [CONTEXT.nan] * len(compiled.expressions)

    def height(self, values: Point) -> Any:
        """l at a point, -inf where it has no value."""
        if self.plan.reason_against(values, self.table):
            return -CONTEXT.inf
        number = self._numbers(self.plan.log_likelihood, values)[0]
        if isinstance(number, CONTEXT.mpc) or CONTEXT.isnan(number):
            return -CONTEXT.inf
        return number

    def _derivatives(self, values: Point, names: Sequence[Symbol]) -> tuple[list[Any], Any] | None:
        """Gradient and Hessian of l in the free coordinates of `names`."""
        score = self._numbers(self.plan.score, values)
        entries = self._numbers(self.plan.hessian, values)
        if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for v in [*score, *entries]):
            return None
        place = {p: i for i, p in enumerate(self.plan.parameters)}
        slopes = {p: self.coordinates[p].slopes(values[p]) for p in names}
        gradient = [score[place[p]] * slopes[p][0] for p in names]
        hessian = CONTEXT.matrix(len(names), len(names))
        for a, p in enumerate(names):
            for b, q in enumerate(names[: a + 1]):
                i, j = max(place[p], place[q]), min(place[p], place[q])
                entry = entries[i * (i + 1) // 2 + j] * slopes[p][0] * slopes[q][0]
                if p == q:
                    entry += score[place[p]] * slopes[p][1]
                hessian[a, b] = hessian[b, a] = entry
        return gradient, hessian

    # --- the others maximised ---

    def maximise(
        self, values: Point, names: Sequence[Symbol]
    ) -> tuple[Point, Any, tuple[Symbol, int] | None]:
        """The maximum over `names` from a start, l there, and a parameter that runs off to an end, if one does."""
        at = dict(values)
        height = self.height(at)
        if not names or not CONTEXT.isfinite(height):
            return at, height, None
        for _ in range(ITERATIONS):
            if thread_time() > self.deadline:
                break
            found = self._derivatives(at, names)
            if found is None:
                break
            move, gain = _newton(*found)
            if move is None:
                break
            us = [self.coordinates[p].at(at[p]) for p in names]
            sizes = [
                self.largest + abs(u) if self.coordinates[p].is_line else CONTEXT.mpf(2)
                for p, u in zip(names, us, strict=True)
            ]
            longest = max(abs(m) / s for m, s in zip(move, sizes, strict=True))
            # relative to l, which may go to 0 itself
            if longest < CONTEXT.mpf(2) ** -180 or abs(gain) <= CONTEXT.mpf(2) ** -60 * abs(height):
                break
            factor = min(CONTEXT.mpf(1), 1 / longest)
            for _ in range(40):
                trial = dict(at)
                for p, u, m in zip(names, us, move, strict=True):
                    trial[p] = self.coordinates[p].value(u + factor * m)
                other = self.height(trial)
                if other > height:
                    break
                factor /= 2
            else:
                break
            at, height = trial, other
            gone = self._gone(values, at, names)
            if gone is not None:
                return at, height, gone
        return at, height, None

    def is_maximum(self, values: Point, names: Sequence[Symbol]) -> bool:
        """Whether l bends down in every direction at a point, and another step of Newton's method is nearly none."""
        found = self._derivatives(values, names)
        if found is None:
            return False
        gradient, hessian = found
        sizes = [CONTEXT.sqrt(abs(hessian[i, i])) for i in range(len(names))]
        if not names or max(sizes) ** 2 < CURVED or min(sizes) == 0:
            return not names
        scaled = [[float(-hessian[i, j] / (a * b)) for j, b in enumerate(sizes)] for i, a in enumerate(sizes)]
        if not np.isfinite(scaled).all() or not np.linalg.eigvalsh(np.array(scaled))[0] > 1e-10:
            return False
        move, gain = _newton(gradient, hessian)
        return move is not None and abs(gain) < CONTEXT.mpf(2) ** -40 * (1 + abs(self.height(values)))

    def _gone(self, start: Point, values: Point, names: Sequence[Symbol]) -> tuple[Symbol, int] | None:
        """A parameter that has left every scale since the start of an inner maximisation, and where to."""
        for p in names:
            c = self.coordinates[p]
            began, u = c.at(start[p]), c.at(values[p])
            far = 1e8 * (self.largest + abs(began)) if c.is_line else 60
            if abs(u - began) > far:
                return p, 1 if u > began else -1
        return None

    # --- the way ---

    def follow(self, drivers: dict[Symbol, int], start: Point) -> Trail | None:
        """The way on which the drivers go to their ends together; a further one that runs off joins them."""
        drivers = dict(drivers)
        for _ in range(len(self.plan.parameters)):
            trail, gone = self._follow(drivers, start)
            if gone is None or gone[0] in drivers:
                return trail
            drivers[gone[0]] = gone[1]
        return None

    def _follow(
        self, drivers: dict[Symbol, int], start: Point
    ) -> tuple[Trail | None, tuple[Symbol, int] | None]:
        others = [p for p in self.plan.parameters if p not in drivers and p not in self.held]
        trail = Trail(dict(drivers))
        begin = {
            p: CONTEXT.mpf(0) if p in self.held else self._moderate(p, start[p]) for p in self.plan.parameters
        }
        growth = CONTEXT.log(RATIO)
        places: list[dict[Symbol, Any]] = []
        for step in range(STEPS):
            if thread_time() > self.deadline:
                return None, None
            values: Point = dict(self.constants)
            for p, side in drivers.items():
                c = self.coordinates[p]
                u = (
                    side * max(self.largest, abs(begin[p])) * CONTEXT.mpf(RATIO) ** step
                    if c.is_line
                    else begin[p] + side * step * growth
                )
                values[p] = c.value(u)
            values.update({p: self.coordinates[p].value(begin[p]) for p in self.held if p not in drivers})
            guesses = [_extrapolated(places, p) for p in others] if places else [begin[p] for p in others]
            values.update({p: self.coordinates[p].value(u) for p, u in zip(others, guesses, strict=True)})
            values = self._closed(values, drivers)
            if places and not CONTEXT.isfinite(self.height(values)):
                values.update({p: self.coordinates[p].value(places[-1][p]) for p in others})
            values, height, gone = self.maximise(values, others)
            if gone is not None:
                return None, gone
            if not CONTEXT.isfinite(height):
                break
            trail.points.append(values)
            trail.heights.append(height)
            places.append({p: self.coordinates[p].at(values[p]) for p in self.plan.parameters})
            if len(trail.heights) > 6 and _is_settled(trail.heights) and _stand(places, others):
                break
        return (trail if len(trail.heights) > 4 else None), None

    def _closed(self, values: Point, drivers: dict[Symbol, int]) -> Point:
        """The parameters that are known in terms of the one that drives, filled in."""
        plan = self.plan
        if plan.left and set(plan.left) == set(drivers):
            names, compiled = plan.candidates[0]
            found = dict(zip(names, self._numbers(compiled, values), strict=True))
            filled = {**values, **found}
            if CONTEXT.isfinite(self.height(filled)):
                return filled
        return values

    def _moderate(self, p: Symbol, value: Any) -> Any:
        """The free coordinate of a value, drawn back to where the data's scales still count."""
        c = self.coordinates[p]
        u = c.at(CONTEXT.mpf(value))
        if c.is_interval:
            return min(max(u, CONTEXT.mpf(-4)), CONTEXT.mpf(4))
        if c.is_line:
            return min(max(u, -10 * self.largest), 10 * self.largest)
        side = 1 if CONTEXT.isfinite(c.low) else -1
        lo, hi = CONTEXT.log(self.smallest) - 3, CONTEXT.log(self.largest) + 3
        return side * min(max(side * u, lo), hi)


def _is_harmonic(heights: list[Any]) -> bool:
    """Whether steps fall like 1/k, as those of log log t do, and not like 1/k**2: 1/step is linear in k."""
    last = heights[-9:]
    over = [1 / (b - a) for a, b in zip(last, last[1:], strict=False) if b > a]
    if len(over) < 8:
        return False
    slopes = [b - a for a, b in zip(over, over[1:], strict=False)]
    bends = [abs(b - a) for a, b in zip(slopes, slopes[1:], strict=False)]
    return min(slopes) > 0 and max(bends) < min(slopes) / (5 * STEPS + 25)


def _newton(gradient: list[Any], hessian: Any) -> tuple[list[Any] | None, Any]:
    """A step that climbs: Newton's, with the eigenvalues of a scaled Hessian that is not definite flipped."""
    p = len(gradient)
    size = [CONTEXT.sqrt(abs(hessian[i, i])) for i in range(p)]
    if any(s == 0 for s in size):
        return None, None
    scaled = np.array([[float(-hessian[i, j] / (size[i] * size[j])) for j in range(p)] for i in range(p)])
    if not np.isfinite(scaled).all():
        return None, None
    eigenvalues, vectors = np.linalg.eigh(scaled)
    if eigenvalues[0] > 1e-9:
        try:
            move = CONTEXT.lu_solve(-hessian, CONTEXT.matrix(gradient))
            return list(move), sum(g * m for g, m in zip(gradient, move, strict=True))
        except ZeroDivisionError:
            pass
    stable = np.maximum(np.abs(eigenvalues), 1e-6)
    g = [a / s for a, s in zip(gradient, size, strict=True)]
    along = [sum(float(vectors[i, k]) * g[i] for i in range(p)) / float(stable[k]) for k in range(p)]
    move = [sum(float(vectors[i, k]) * along[k] for k in range(p)) / size[i] for i in range(p)]
    return move, sum(a * m for a, m in zip(gradient, move, strict=True))


def _extrapolated(places: list[dict[Symbol, Any]], p: Symbol) -> Any:
    """Where a coordinate goes next: on by the ratio of its last two steps."""
    if len(places) < 2:
        return places[-1][p]
    last = places[-1][p] - places[-2][p]
    if len(places) < 3:
        return places[-1][p] + last
    before = places[-2][p] - places[-3][p]
    ratio = last / before if before else CONTEXT.mpf(0)
    if not 0 <= ratio <= 2 * RATIO:
        ratio = CONTEXT.mpf(0)
    return places[-1][p] + ratio * last


def _is_settled(heights: list[Any]) -> bool:
    slack = CONTEXT.mpf(SETTLED) * (1 + abs(heights[-1]))
    return all(abs(b - a) <= slack for a, b in zip(heights[-3:], heights[-2:], strict=False))


def _stand(places: list[dict[Symbol, Any]], names: Sequence[Symbol]) -> bool:
    """Whether every coordinate stands still, or goes on by equal or growing steps."""
    for p in names:
        last, before = places[-1][p] - places[-2][p], places[-2][p] - places[-3][p]
        if abs(last) > CONTEXT.mpf(1e-12) * (1 + abs(places[-1][p])) and abs(last) < abs(
            before
        ) * CONTEXT.mpf("0.9"):
            return False
    return True


def limit_of(path: Path, trail: Trail, p: Symbol) -> float | None:
    """The limit of a parameter along the way: a number, an end of its domain, or None where it is not told."""
    c = path.coordinates[p]
    if p in trail.drivers:
        return float(c.high if trail.drivers[p] > 0 else c.low)
    us = [c.at(point[p]) for point in trail.points[-4:]]
    steps = [b - a for a, b in zip(us, us[1:], strict=False)]
    scale = CONTEXT.mpf(1) if not c.is_line else path.largest
    if abs(steps[-1]) <= CONTEXT.mpf(1e-9) * (abs(us[-1]) if c.is_line and us[-1] else scale):
        return _snapped(c.value(us[-1]), path.largest)
    if abs(steps[-1]) < CONTEXT.mpf("0.6") * abs(steps[-2]):
        rho = steps[-1] / steps[-2]
        return _snapped(c.value(us[-1] + steps[-1] * rho / (1 - rho)), path.largest)
    far = 1e3 * path.largest if c.is_line else 8
    if abs(us[-1]) > far and abs(steps[-1]) >= abs(steps[-2]) * CONTEXT.mpf("0.9"):
        return float(c.high if us[-1] > 0 else c.low)
    return None


def _snapped(value: Any, scale: Any) -> float:
    """A number that is rounding beside the scale of the data is 0."""
    return 0.0 if abs(value) < scale * CONTEXT.mpf(1e-20) else float(value)


__all__ = ["Path", "Trail", "limit_of"]
