"""From many starts to the ends that EM and Newton's method reach, and what each of them is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from symmle.fitting.em_basins import Basins
from symmle.fitting.em_first import Beginning
from symmle.fitting.em_guard import Guard
from symmle.fitting.em_kinks import Kinks, KinkSearch
from symmle.fitting.em_labels import Exchange, Weights
from symmle.fitting.em_ridges import TIE, Merged, Ridges
from symmle.fitting.em_run import Degenerate, End, Runner
from symmle.fitting.em_spare import SpareSearch

PLAIN = 20000  # iterations of EM where no acceleration is wanted
CYCLES = (0, 8, 24, 80, 250)  # of acceleration between attempts at Newton's method
FAR = 3000  # cycles of the one end that is followed further
BENT = 60  # cycles where no end is known to be a maximum
CLOSER = (4, 8)  # cycles after which a start is looked at again
LOOSE = 30.0  # standard error in free coordinates from which a parameter is as good as not determined
SADDLES = 3  # left one after the other
SPARES = 3  # coincidences left one after the other
RISE = 1e-8  # of l, relative to 1 + |l|, for which a coincidence is left
FLAT = 1e-7  # gradient per observation that counts as none where the Hessian is singular


@dataclass
class Search:
    """Runs on one table of rows; `random` decides whatever is drawn."""

    runner: Runner
    guard: Guard
    weights: Weights
    exchange: Exchange
    random: np.random.Generator
    assignment: str = "soft"
    accelerate: bool = True
    kinks: Kinks | None = None
    is_bent: bool = False  # by kinks that are not searched: no end is known to be a maximum

    coincidences: list[tuple[float, End]] = field(default_factory=list)  # l there, and where it led

    @cached_property
    def basins(self) -> Basins:
        return Basins(self.runner, self.weights, self.exchange)

    @cached_property
    def beginning(self) -> Beginning:
        parts = (self.runner, self.guard, self.exchange, self.basins, self.random)
        return Beginning(*parts, assignment=self.assignment)

    @cached_property
    def ridges(self) -> Ridges:
        return Ridges(self.runner, self.guard, self.weights, self.exchange)

    def begun(self, kind: str | None, count: int, finish: bool = False) -> list[End]:
        """The ends of short runs from `count` starts; those that collapse or fail are made up for, up to a limit.

        With `finish` each of them goes on to the end.
        """
        found: list[End] = []
        good = 0
        for end in self.beginning.runs(kind, count):
            good += end.kind == "begun"
            found.append(self.finished(end) if finish and end.kind == "begun" else end)
            if good >= count or len(found) >= 3 * count + 4:
                break
        return found

    # --- where it ends ---

    def finished(self, end: End) -> End:
        """Acceleration and Newton's method until a stationary point, or the reason why there is none."""
        try:
            if self.is_bent:
                theta, height, _ = self.runner.accelerated(end.theta, BENT, end.trail)
                return self._ended(end, theta, height, "failed", "EM ended at a kink or on its way to one")
            return self._finished(end, 0) if self.kinks is None else self._at_kinks(end)
        except Degenerate as fall:
            return self._ended(end, fall.theta, fall.height, "collapsed")

    def followed(self, ends: Sequence[End]) -> list[End]:
        """The highest end that did not come to rest is followed further, where no maximum is as high."""
        found = list(ends)
        told = max((e.height for e in found if e.kind in ("maximum", "flat", "edge")), default=-math.inf)
        for place in sorted(range(len(found)), key=lambda i: -found[i].height):
            end = found[place]
            if end.kind != "failed" or not math.isfinite(end.height) or not end.height > told:
                continue
            try:
                theta, height, _ = self.runner.accelerated(end.theta, FAR, end.trail)
            except Degenerate as fall:
                theta, height = fall.theta, fall.height
            found[place] = self.finished(replace(end, theta=theta, height=height))
            break
        return found

    def _finished(self, end: End, saddles: int, spares: int = 0) -> End:
        runner, trail = self.runner, end.trail
        theta, height, still = end.theta, end.height, False
        if not self.accelerate and not saddles:
            theta = runner.em(theta, PLAIN, trail, 1e-15)
            height = runner.value(theta)
        for cycles in (
            (0, *CLOSER) if self.accelerate and self.basins.met and not saddles else ()
        ):  # most starts end where another did
            if cycles:
                theta, height, still = runner.accelerated(theta, cycles, trail)
            known = self.basins.known(theta, height) if cycles else end.known
            if known is not None:
                return replace(known, start=end.start, steps=trail.steps, trail=trail)
        for cycles in CYCLES:
            if cycles:
                theta, height, still = runner.accelerated(theta, cycles, trail)
            if self.guard.collapsed(theta):
                return self._ended(end, theta, height, "collapsed")
            up = runner.climbed(theta)
            if up is not None and up.height >= height - TIE * (1 + abs(height)):
                if not self.guard.collapsed(up.theta):
                    information = self._information(up.theta)
                    loose = self._is_loose(information)
                    if loose:
                        merged = self.ridges.merged(list(up.theta), up.height)
                        if merged is not None:
                            return self._coinciding(end, merged, spares)
                    found = self._ended(end, up.theta, up.height, "maximum")
                    found.steps += up.steps
                    found.gradient, found.condition = up.gradient, up.condition
                    if not loose:
                        self.basins.remember(found, information)
                    return found
            if still:
                break
        if saddles < SADDLES:
            left = self._off_saddle(theta, height)
            if left is not None:
                higher = replace(end, theta=left, height=runner.value(left))
                return self._finished(higher, saddles + 1, spares)
        return self._without_newton(end, theta, height, spares)

    @cached_property
    def _over_kinks(self) -> KinkSearch:
        assert self.kinks is not None
        return KinkSearch(self.runner, self.ridges, self.kinks)

    def held(self, theta: Sequence[float]) -> tuple[int, ...]:
        """The parameters that are at kinks."""
        return () if self.kinks is None else tuple(sorted(self._over_kinks.held(theta)))

    def _at_kinks(self, end: End) -> End:
        """EM, then an ascent over kinks with Newton's method in the parameters that are at none."""
        theta = end.theta
        for cycles in CYCLES[1:]:
            theta, height, still = self.runner.accelerated(theta, cycles, end.trail)
            if self.guard.collapsed(theta):
                return self._ended(end, theta, height, "collapsed")
            rest = self._over_kinks(theta)
            if self.guard.collapsed(rest.theta):
                return self._ended(end, rest.theta, rest.height, "collapsed")
            if rest.is_maximum:
                found = self._ended(end, rest.theta, rest.height, "maximum")
                found.gradient, found.condition, found.held = rest.gradient, rest.condition, rest.held
                return found
            theta, height = rest.theta, rest.height
            if still:
                break
        return self._without_newton(end, theta, height, SPARES)

    def _information(self, theta: Sequence[float]) -> np.ndarray:
        """-D2l in free coordinates."""
        found: np.ndarray = -self.runner.n * self.runner.free_derivatives(theta)[2]
        return found

    def _is_loose(self, information: np.ndarray) -> bool:
        """Whether the information says next to nothing about some parameter."""
        if not np.isfinite(information).all():
            return True
        return bool(np.linalg.eigvalsh(information)[0] < 1.0 / LOOSE**2)

    def _off_saddle(self, theta: list[float], height: float) -> list[float] | None:
        """A higher point along the direction in which l is convex, where this one is stationary."""
        t = self.runner.free(theta)
        _, g, h = self.runner.free_derivatives(theta)
        if t is None or not (np.isfinite(g).all() and np.isfinite(h).all()):
            return None
        values, vectors = np.linalg.eigh(h)
        if not (values[-1] > 1e-6 and float(np.abs(g).max()) < 1e-4):
            return None
        best: tuple[float, list[float]] | None = None
        for length in (0.3, -0.3, 0.05, -0.05, 0.01, -0.01):
            trial = self.runner.inside(t + length * vectors[:, -1])
            top = self.runner.value(trial)
            if top > height and (best is None or top > best[0]):
                best = (top, trial)
        return None if best is None else best[1]

    def _ended(self, end: End, theta: Sequence[float], height: float, kind: str, note: str = "") -> End:
        heights = end.trail.heights
        if not heights and math.isfinite(end.height):  # Newton's method began where EM would have
            end.trail.add(end.height, end.theta)
        if heights and math.isfinite(height) and height >= heights[-1]:
            end.trail.add(height, theta)
        return End(list(theta), height, kind, end.start, end.trail.steps, trail=end.trail, note=note)

    def _without_newton(self, end: End, theta: list[float], height: float, spares: int) -> End:
        merged = self.ridges.merged(theta, height)
        if merged is not None:
            return self._coinciding(end, merged, spares)
        edge = self.ridges.edge(theta, height)
        if edge is not None:
            at, top, towards = edge
            return self._ended(end, at, top, "edge", towards)
        _, g, h = self.runner.free_derivatives(theta)
        if np.isfinite(g).all() and np.isfinite(h).all():
            if float(np.abs(g).max()) < FLAT and abs(float(np.linalg.eigvalsh(h)[-1])) < 1e-7:
                return self._ended(end, theta, height, "flat", "the data do not determine every parameter")
        return self._ended(end, theta, height, "failed", "neither EM nor Newton's method came to rest")

    def _coinciding(self, end: End, merged: Merged, spares: int) -> End:
        """Where two components have one law: from where the spare one raises l, or the point itself."""
        for height, led in self.coincidences:
            if abs(height - merged.height) <= TIE * (1 + abs(height)):
                return replace(led, start=end.start, steps=end.trail.steps, trail=end.trail)
        spare = SpareSearch(self.runner, self.guard, self.weights, self.exchange)
        looked = spare(merged.theta, merged.heavy, merged.light) if spares < SPARES else None
        if looked is not None and looked.theta is not None:
            height = self.runner.value(looked.theta)
            if height > merged.height + RISE * (1 + abs(merged.height)):
                found = self._finished(replace(end, theta=looked.theta, height=height), 0, spares + 1)
                self.coincidences.append((merged.height, found))
                return found
        note = "two components coincide: one fewer explains the data as well, and their shares are not determined"
        found = self._ended(end, merged.theta, merged.height, "flat", note)
        found.looked = looked
        self.coincidences.append((merged.height, found))
        return found


def distinct_ends(ends: Sequence[End]) -> list[End]:
    """Ends of different heights, the highest first."""
    found: list[End] = []
    for end in sorted(ends, key=lambda e: -e.height):
        if all(abs(end.height - other.height) > 1e-7 * (1 + abs(end.height)) for other in found):
            found.append(end)
    return found


__all__ = ["Search", "distinct_ends"]
