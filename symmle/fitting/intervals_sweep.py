"""Proof that a fitted point is the global maximum of the likelihood of the data at hand, in one parameter.

The function is the profile log-likelihood l(t), on its whole domain. The domain is cut into three:
around the fitted point an interval on which l' falls from plus to minus, so that it holds one maximum; two tails
that reach to the ends of the domain, on which an expansion with bounded remainder keeps l below its value at the
fitted point (or l' of one sign, falling outwards); and what lies between, in small boxes, on each of which interval
arithmetic shows that l is below that value or that l' is not zero. Then no other point can be the maximum, and one
exists: on the compact middle l takes its largest value, at a point that no box allows but the one.
(Hansen and Walster, Global Optimization Using Interval Analysis, 2nd ed. 2004, chapters 9 and 12.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from time import monotonic

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symmle.fitting import intervals as iv
from symmle.fitting.intervals import Array, Interval
from symmle.fitting.intervals_growth import Growth
from symmle.fitting.intervals_numbers import UnresolvedError
from symmle.fitting.intervals_program import Evaluation, NoEnclosureError, Rows
from symmle.fitting.tails import Tail

_ENTRIES = 150_000  # boxes times rows in one evaluation
_TAIL_STEPS = (4.0, 16.0, 64.0, 2.0**10, 2.0**16, 2.0**24, 2.0**36)
_EFFORTS = ((2, 5), (4, 10))  # terms of Taylor's series, terms of an expansion


@dataclass(frozen=True, eq=False)
class Objective:
    """A log-likelihood in one parameter on an open interval, with its derivative where that is simpler known."""

    log_likelihood: sp.Expr
    score: sp.Expr | None
    variable: sp.Symbol
    lower: sp.Expr
    upper: sp.Expr
    samples: tuple[Rows, ...]


@dataclass(frozen=True)
class Isolation:
    """What the proof found: the enclosure of the maximiser and how each part of the domain was settled."""

    root: tuple[float, float]
    left: str
    right: str
    boxes: int
    by_value: int  # boxes that are settled by the value of l, not by the sign of l'
    value: tuple[float, float] = field(default=(0.0, 0.0))


class _Open(Exception):
    """The proof did not come about; the message says why."""


class Isolator:
    """One attempt, within a wall-clock deadline; `ratio` sets where boxes are cut."""

    def __init__(self, objective: Objective, estimate: float, seconds: float, ratio: float = 0.5):
        self.objective = objective
        self.estimate = float(estimate)
        self.started = monotonic()
        self.deadline = self.started + seconds
        self.ratio = ratio
        self.boxes = 0
        self.by_value = 0

    def run(self) -> Isolation | str:
        """The isolation, or the reason why there is none."""
        try:
            with np.errstate(all="ignore"):
                return self._run()
        except (_Open, NoEnclosureError, UnresolvedError) as reason:
            return str(reason)

    def _run(self) -> Isolation:
        o = self.objective
        lower, upper = _float(o.lower), _float(o.upper)
        if not lower < self.estimate < upper:
            raise _Open("the estimate is not inside the domain")
        at = self._evaluate(o.log_likelihood, np.array([self.estimate]), np.array([self.estimate]), 2)
        self.best = float(at[0].lo[0])
        if not np.isfinite(self.best):
            raise _Open("the log-likelihood has no finite enclosure at the estimate")
        curvature = float(at[2].middle[0])
        count = sum(float(rows.weights.sum()) for rows in o.samples)
        self.scale = (count / -curvature) ** 0.5 if curvature < 0 else max(abs(self.estimate), 1.0)
        left, right = self._root_interval(lower, upper)
        left_start, left_text = self._tail(o.lower, lower, left, -1)
        right_start, right_text = self._tail(o.upper, upper, right, 1)
        self._settle(self._cut(left_start, left) + self._cut(right, right_start))
        root = self._sharpened(left, right)
        return Isolation(
            root, left_text, right_text, self.boxes, self.by_value, (self.best, float(at[0].hi[0]))
        )

    # -- enclosures ------------------------------------------------------------------------------------

    def _evaluate(self, e: sp.Expr, lo: Array, hi: Array, order: int) -> list[Interval]:
        """Value, slope, curvature on the boxes."""
        return self._evaluated(e, lo, hi, order)[0]

    def _evaluated(
        self, e: sp.Expr, lo: Array, hi: Array, order: int
    ) -> tuple[list[Interval], NDArray[np.bool_]]:
        """The same, in chunks, and where the expression is sure to be defined on all of the box."""
        rows = max(r.weights.size for r in self.objective.samples)
        chunk = max(1, _ENTRIES // rows)
        parts: list[list[Interval]] = []
        defined: list[NDArray[np.bool_]] = []
        for start in range(0, len(lo), chunk):
            if monotonic() > self.deadline:
                raise _Open("the time is over")
            box = Interval(lo[start : start + chunk, None], hi[start : start + chunk, None])
            evaluation = Evaluation({self.objective.variable: box}, self.objective.samples, order)
            jet = evaluation.enclosure(e)
            shape = box.lo.shape
            defined.append(np.broadcast_to(evaluation.defined, shape)[:, 0])
            entries = [jet.value, *jet.gradient[: order > 0], *jet.hessian[: order > 1]]
            zero = Interval(np.zeros(shape), np.zeros(shape))
            parts.append([zero if i is None else _full(i, shape) for i in entries])
        found = [
            Interval(
                np.concatenate([p[k].lo for p in parts])[:, 0], np.concatenate([p[k].hi for p in parts])[:, 0]
            )
            for k in range(order + 1)
        ]
        return found, np.concatenate(defined)

    def _refined(self, lo: Array, hi: Array) -> tuple[Interval, Interval, Interval]:
        """Value, slope and curvature of l on boxes, by mean value forms about the middle.

        Where l may not be defined on all of a box, only the plain value is used: it bounds l where it is defined.
        """
        o = self.objective
        middle = Interval.of(np.clip(0.5 * lo + 0.5 * hi, lo, hi))
        offset = Interval(lo, hi) - middle
        (value, slope, bend), defined = self._evaluated(o.log_likelihood, lo, hi, 2)
        plain = value
        at_value, at_slope = self._evaluate(o.log_likelihood, middle.lo, middle.lo, 1)
        if o.score is not None:
            other, other_bend = self._evaluate(o.score, lo, hi, 1)
            (at_other,) = self._evaluate(o.score, middle.lo, middle.lo, 0)
            slope, bend = slope.intersection(other), bend.intersection(other_bend)
            at_slope = at_slope.intersection(at_other)
            empty = (slope.lo > slope.hi) | (at_slope.lo > at_slope.hi) | (bend.lo > bend.hi)
            if np.any(empty & defined):
                raise _Open("the score is not the derivative of the log-likelihood")
        slope = slope.intersection(at_slope + bend * offset)
        value = value.intersection(at_value + slope * offset)
        value = value.intersection(at_value + at_slope * offset + (bend * iv.square(offset)).scaled(0.5))
        unknown = iv.whole(value)
        return (
            iv.where(defined, value, plain),
            iv.where(defined, slope, unknown),
            iv.where(defined, bend, unknown),
        )

    # -- the three parts -----------------------------------------------------------------------------------

    def _root_interval(self, lower: float, upper: float) -> tuple[float, float]:
        """The largest tried interval about the estimate on which l' falls, from plus to minus."""
        t = self.estimate
        widths = self.scale * 2.0 ** -np.arange(0, 46, 1.0)
        lo, hi = t - widths, t + widths
        inside = (lo > lower) & (hi < upper) & (lo < t) & (hi > t)
        lo, hi = lo[inside], hi[inside]
        if not len(lo):
            raise _Open("the estimate is too close to an end of the domain")
        _, _, bend = self._refined(lo, hi)
        _, at_lo, _ = self._refined(lo, lo)
        _, at_hi, _ = self._refined(hi, hi)
        good = (bend.hi < 0) & (at_lo.lo > 0) & (at_hi.hi < 0)
        if not good.any():
            raise _Open(
                "the second derivative at the estimate is not enclosed below zero, or the score does not change sign"
            )
        index = int(np.argmax(good))
        return float(lo[index]), float(hi[index])

    def _tail(self, end: sp.Expr, limit: float, edge: float, side: int) -> tuple[float, str]:
        """Where the tail begins, and what was shown on it: found outwards, then brought closer."""
        begun, failed, reason = monotonic(), 2.0, "no tail was tried"
        for effort in _EFFORTS:
            for step in _TAIL_STEPS:
                found = self._tail_at(end, limit, edge, side, step, effort)
                if isinstance(found, str):
                    failed, reason = step, found or reason
                    continue
                for _ in range(3):  # a long middle costs more than a few expansions
                    if monotonic() - begun > 0.1 * (self.deadline - self.started):
                        break
                    closer = math.sqrt(failed * step)
                    better = self._tail_at(end, limit, edge, side, closer, effort)
                    if isinstance(better, str):
                        failed = closer
                    else:
                        found, step = better, closer
                return found
        raise _Open(f"the tail towards {end} is not bounded: {reason}")

    def _tail_at(
        self, end: sp.Expr, limit: float, edge: float, side: int, step: float, effort: tuple[int, int]
    ) -> tuple[float, str] | str:
        """Where this tail begins and what was shown on it, or why nothing was."""
        o = self.objective
        size, start = self._tail_start(end, edge, side, step * (1.0 + 0.5 * (0.5 - self.ratio)))
        if not (edge < start < limit if side > 0 else limit < start < edge):
            return ""
        if monotonic() > self.deadline:
            raise _Open(f"the time is over before the tail towards {end} is bounded")
        until = min(self.deadline, monotonic() + 0.25 * (self.deadline - self.started))
        tail = Tail(o.variable, size, end, side, o.samples, until, *effort)
        try:
            bounds = tail.bounds(o.log_likelihood)
            if bounds[1] < self.best:
                return start, f"l <= {bounds[1]:.6g} from {start:.6g} to {end}"
            reason = f"l is only known to be in [{bounds[0]:.6g}, {bounds[1]:.6g}]"
        except UnresolvedError as trouble:
            reason = str(trouble)
        if o.score is None:
            return reason
        try:
            slope = tail.bounds(o.score)
        except UnresolvedError:
            return reason
        if (slope[1] < 0) if side > 0 else (slope[0] > 0):
            return start, f"l falls from {start:.6g} to {end}"
        return reason

    def _tail_start(self, end: sp.Expr, edge: float, side: int, step: float) -> tuple[Fraction, float]:
        """The size of a tail, a square of five bits, and a float that lies in it, close to where it begins."""
        begin = Fraction(int(Growth.START))
        if not end.is_finite:
            distance = abs(self.scale * step / 2 + side * edge + abs(edge) * (step - 2) / 2)
            size = _short_square(distance / float(begin))
            return size, float(side * size * begin)
        size = _short_square(abs(float(end) - edge) / step * float(begin))
        exact = float(end) - side * float(size / begin)
        return size, float(np.nextafter(exact, side * np.inf) + side * 4e-16 * abs(float(end)))

    def _cut(self, lo: float, hi: float) -> list[tuple[float, float]]:
        if lo >= hi:
            return []
        return [(lo, hi)]

    def _settle(self, pending: Sequence[tuple[float, float]]) -> None:
        """Every box: l below the value at the estimate, or l' not zero; else cut."""
        if not pending:
            return
        lo = np.array([b[0] for b in pending])
        hi = np.array([b[1] for b in pending])
        for _ in range(200):
            lo, hi = self._split(lo, hi)
            value, slope, _ = self._refined(lo, hi)
            low = value.hi < self.best
            steep = (slope.lo > 0) | (slope.hi < 0)
            self.boxes += len(lo)
            self.by_value += int(np.sum(low & ~steep))
            open_boxes = ~(low | steep)
            lo, hi = lo[open_boxes], hi[open_boxes]
            if not len(lo):
                return
            if np.any(hi - lo <= 1e-13 * np.maximum(np.abs(lo), np.abs(hi))):
                raise _Open(f"near {lo[0]:.6g} neither the value nor the slope is settled")
            if len(lo) > 20_000:
                raise _Open("too many boxes are open")
        raise _Open("too many subdivisions")

    def _split(self, lo: Array, hi: Array) -> tuple[Array, Array]:
        """Boxes in two (in eight while they are few), geometrically where they span a factor."""
        for _ in range(3 if len(lo) < 64 else 1):
            middle = lo + self.ratio * (hi - lo)
            with np.errstate(all="ignore"):
                geometric = np.where(lo > 0, 1.0, -1.0) * np.sqrt(np.abs(lo)) * np.sqrt(np.abs(hi))
            wide = (lo > 0) & (hi > 4 * lo) | (hi < 0) & (lo < 4 * hi)
            middle = np.where(wide, geometric, middle)
            middle = np.clip(middle, lo, hi)
            lo, hi = np.concatenate([lo, middle]), np.concatenate([middle, hi])
        return lo, hi

    def _sharpened(self, lo: float, hi: float) -> tuple[float, float]:
        """Interval Newton on l' = 0."""
        for _ in range(20):
            if monotonic() > self.deadline:
                break
            middle = 0.5 * (lo + hi)
            if not lo < middle < hi:
                break
            _, _, bend = self._refined(np.array([lo]), np.array([hi]))
            _, slope, _ = self._refined(np.array([middle]), np.array([middle]))
            step = Interval.of(np.array([middle])) - slope / bend
            new_lo, new_hi = max(lo, float(step.lo[0])), min(hi, float(step.hi[0]))
            if not new_lo <= new_hi or new_hi - new_lo > 0.9 * (hi - lo):
                break
            lo, hi = new_lo, new_hi
        return lo, hi


def _short_square(x: float) -> Fraction:
    """A square near x, of a number of five bits."""
    mantissa, exponent = math.frexp(math.sqrt(max(x, 1e-290)))
    return (Fraction(max(round(mantissa * 32), 1), 32) * Fraction(2) ** exponent) ** 2


def _float(e: sp.Expr) -> float:
    return float(e) if e.is_finite else (np.inf if e is sp.oo else -np.inf)


def _full(a: Interval, shape: tuple[int, ...]) -> Interval:
    return Interval(np.broadcast_to(a.lo, shape), np.broadcast_to(a.hi, shape))


def rows_of(samples: Sequence[tuple[Mapping[sp.Symbol, Array], Array | None]]) -> tuple[Rows, ...]:
    """Samples given as (columns -> arrays, weights or None)."""
    return tuple(Rows.of(columns, weights) for columns, weights in samples)
