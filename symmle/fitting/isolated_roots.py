"""Every root of the score in one parameter, by interval arithmetic on its whole domain.

The tails are intervals that reach to the ends of the domain, on which an expansion with bounded remainder gives the
score one sign; what lies between is cut into boxes on each of which the score is not zero, or is monotone with signs
at its ends that are known, so that it has one root or none. (Moore, Kearfott and Cloud, Introduction to Interval
Analysis, 2009, chapter 8.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sympy import Expr, Symbol

from symmle.compiling.data import Table
from symmle.fitting.intervals_numbers import UnresolvedError
from symmle.fitting.intervals_program import NoEnclosureError, Rows
from symmle.fitting.intervals_sweep import _EFFORTS, _TAIL_STEPS, Isolator, _float, _Open
from symmle.fitting.isolate import objective_of
from symmle.fitting.tails import Tail

SMALLEST = 1e-13
MOST_BOXES = 20_000


class RootIsolator(Isolator):
    """All roots of the score within a wall-clock deadline."""

    def roots(self) -> list[tuple[float, float]] | str:
        """Intervals that each hold exactly one root, and together all of them; or why they are not known."""
        try:
            with np.errstate(all="ignore"):
                return self._roots()
        except (_Open, NoEnclosureError, UnresolvedError) as reason:
            return str(reason)

    def _roots(self) -> list[tuple[float, float]]:
        o = self.objective
        if o.score is None:
            raise _Open("the score is not known")
        lower, upper = _float(o.lower), _float(o.upper)
        if not lower < self.estimate < upper:
            raise _Open("the estimate is not inside the domain")
        here = np.array([self.estimate])
        curvature = float(self._evaluate(o.score, here, here, 1)[1].middle[0])
        count = sum(float(rows.weights.sum()) for rows in o.samples)
        self.scale = (count / -curvature) ** 0.5 if curvature < 0 else max(abs(self.estimate), 1.0)
        self.best = np.inf
        left = self._one_sign(o.lower, lower, -1)
        right = self._one_sign(o.upper, upper, 1)
        return self._between(left, right)

    def _one_sign(self, end: Expr, limit: float, side: int) -> float:
        """Where a tail begins on which the score has one sign."""
        o, reason = self.objective, "no tail was tried"
        for effort in _EFFORTS:
            for step in _TAIL_STEPS:
                size, start = self._tail_start(end, self.estimate, side, step)
                if not (self.estimate < start < limit if side > 0 else limit < start < self.estimate):
                    continue
                until = self.started + (0.4 if side < 0 else 0.7) * (self.deadline - self.started)
                tail = Tail(o.variable, size, end, side, o.samples, until, *effort)
                try:
                    slope = tail.bounds(o.score)  # type: ignore[arg-type]
                except UnresolvedError as trouble:
                    reason = str(trouble)
                    continue
                if slope[0] > 0 or slope[1] < 0:
                    return start
                reason = f"the score is only known to be in [{slope[0]:.6g}, {slope[1]:.6g}]"
        raise _Open(f"the tail towards {end} is not bounded: {reason}")

    def _between(self, left: float, right: float) -> list[tuple[float, float]]:
        lo, hi = np.array([left]), np.array([right])
        found: list[tuple[float, float]] = []
        for _ in range(200):
            lo, hi = self._split(lo, hi)
            _, slope, bend = self._refined(lo, hi)
            open_boxes = ~((slope.lo > 0) | (slope.hi < 0))
            lo, hi, bends = lo[open_boxes], hi[open_boxes], (bend.lo[open_boxes], bend.hi[open_boxes])
            if not len(lo):
                return sorted(found)
            _, at_lo, _ = self._refined(lo, lo)
            _, at_hi, _ = self._refined(hi, hi)
            monotone = (bends[0] > 0) | (bends[1] < 0)
            opposite = ((at_lo.lo > 0) & (at_hi.hi < 0)) | ((at_lo.hi < 0) & (at_hi.lo > 0))
            same = ((at_lo.lo > 0) & (at_hi.lo > 0)) | ((at_lo.hi < 0) & (at_hi.hi < 0))
            for k in np.flatnonzero(monotone & opposite):
                found.append((float(lo[k]), float(hi[k])))
            rest = ~(monotone & (opposite | same))
            lo, hi = lo[rest], hi[rest]
            if not len(lo):
                return sorted(found)
            if np.any(hi - lo <= SMALLEST * np.maximum(np.abs(lo), np.abs(hi))) or len(lo) > MOST_BOXES:
                raise _Open(f"near {lo[0]:.6g} the score is not told from 0")
        raise _Open("too many subdivisions")


def isolated_roots(
    derivation: Any, table: Table, constants: Mapping[Symbol, Any], near: float, seconds: float
) -> list[tuple[float, float]] | str:
    """Intervals with exactly one root of the (profile) score each, and all of them; or the reason for none.

    `near` is a point inside the domain, at best the maximum.
    """
    try:
        rows = tuple(Rows.of(s.columns, s.weights) for s in table.samples)
        objective = objective_of(derivation, rows, constants)
    except NoEnclosureError as reason:
        return str(reason)
    return RootIsolator(objective, near, seconds, ratio=0.47).roots()


__all__ = ["RootIsolator", "isolated_roots"]
