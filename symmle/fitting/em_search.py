"""From many starts to the ends that EM and Newton's method reach, and what each of them is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from symmle.fitting.em_basins import Basins
from symmle.fitting.em_guard import Guard
from symmle.fitting.em_labels import Exchange, Weights
from symmle.fitting.em_rows import IMPOSSIBLE
from symmle.fitting.em_run import Degenerate, End, Runner, Trail
from symmle.fitting.em_starts import features_of, starts
from symmle.fitting.large_starts import _trials

PLAIN = 20000  # iterations of EM where no acceleration is wanted
SHORT = (4, 8)  # iterations before starts are compared, fewer on the slope of a maximum that was met already
CYCLES = (0, 8, 24, 80, 250)  # of acceleration between attempts at Newton's method
FAR = 3000  # cycles of the one end that is followed further
CLOSER = (4, 8)  # cycles after which a start is looked at again
TIE = 1e-9  # log-likelihoods that differ by less, relative to 1 + |l|, are equal
NEAR_EDGE = 34.0  # of a free coordinate: 1e-15 from the end
LOOSE = 30.0  # standard error in free coordinates from which a parameter is as good as not determined
SADDLES = 3  # left one after the other
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

    @cached_property
    def basins(self) -> Basins:
        return Basins(self.runner, self.weights, self.exchange)

    # --- where to begin ---

    @cached_property
    def middle(self) -> list[float]:
        """A point of the parameter space, whatever the data."""
        coordinates = self.runner.coordinates
        ended = [math.isfinite(c.low) and math.isfinite(c.high) for c in coordinates]
        for s in (0.0, -1.0, -2.0, -3.0, -5.0):  # small shares leave room for the others
            point = [c.value(s if e else 0.0) for c, e in zip(coordinates, ended, strict=True)]
            if self.runner.is_allowed(point):
                return point
        random = np.random.default_rng(5)
        for _ in range(200):
            point = [
                c.value(float(t)) for c, t in zip(coordinates, random.normal(size=len(ended)), strict=True)
            ]
            if self.runner.is_allowed(point):
                break
        return point

    def begun(self, kind: str | None, count: int, finish: bool = False) -> list[End]:
        """The ends of short runs from `count` starts; those that collapse or fail are made up for, up to a limit.

        With `finish` each of them goes on to the end.
        """
        rows = self.runner.rows
        model = rows.model
        features = features_of(rows.columns, rows.weights)
        rotate = len(self.exchange.classes) > 1
        own = max(len(o) for o in model.own)
        found: list[End] = []
        good = 0
        for name, r in starts(kind, count, features, rows.weights, model.size, own, rotate, self.random):
            try:
                end = self._short(name, self._possible(r))
            except Degenerate as fall:
                end = End(fall.theta, fall.height, "collapsed", name)
            good += end.kind == "begun"
            found.append(self.finished(end) if finish and end.kind == "begun" else end)
            if good >= count or len(found) >= 3 * count + 4:
                break
        return found

    def given(self, theta: Sequence[float], name: str = "given") -> End:
        height = self.runner.value(theta)
        if math.isfinite(height):
            return End(list(theta), height, "begun", name)
        return End(
            list(theta), height, "failed", name, note="the start gives a row the density 0, or is excluded"
        )

    def moved(self, begun: Sequence[End], some: Mapping[int, float]) -> list[End]:
        """The starts with these parameters as they are given."""
        return [
            self.given([some.get(i, v) for i, v in enumerate(e.theta)], f"{e.start}, partly given")
            for e in begun
            if e.theta
        ]

    def _possible(self, r: np.ndarray) -> np.ndarray:
        """Responsibilities without those of branches that never hold a row; known labels as they are."""
        rows = self.runner.rows
        a = rows.joint(self.middle)
        r = np.where(a < IMPOSSIBLE, 0.0, r)
        total = r.sum(axis=0)
        lost = total == 0
        if lost.any():
            r[:, lost] = np.where(a[:, lost] < IMPOSSIBLE, 0.0, 1.0)
            total = r.sum(axis=0)
        return r / np.where(total > 0, total, 1.0)

    def _short(self, name: str, r: np.ndarray) -> End:
        runner, trail = self.runner, Trail()
        theta = runner.maximise(r, self._anywhere(r))
        if theta is None:
            return End([], -math.inf, "failed", name, note="the first M-step has no value")
        if self.assignment in ("hard", "classification"):
            theta = runner.classified(theta, 200, trail)
        elif self.assignment == "stochastic":
            theta = runner.stochastic(theta, 60, trail, self.random)
        height = runner.value(theta)
        for iterations in SHORT if self.assignment != "classification" else ():
            theta = runner.em(theta, iterations, trail)
            height = runner.value(theta)
            if self.basins.known(theta, height) is not None:
                break
        kind = "begun" if math.isfinite(height) else "failed"
        if kind == "begun" and self.guard.collapsed(theta):
            kind = "collapsed"
        return End(theta, height, kind, name, trail=trail)

    def _anywhere(self, r: np.ndarray) -> list[float]:
        """A point for what has no closed M-step: for each branch the best of some at the scales of the data."""
        runner = self.runner
        middle = self.middle
        left = set(runner.m_step.open)
        if not left:
            return middle
        rows = runner.rows
        table = [(list(rows.columns), rows.weights, rows.n)]
        trials = _trials(runner.coordinates, table, np.random.default_rng(7))
        found = list(middle)
        for j, own in enumerate(rows.model.own):
            places = [i for i in own if i in left]
            left -= set(places)
            if not places:
                continue
            one = np.zeros_like(r)
            one[j] = r[j]
            best = -math.inf
            for trial in trials:
                point = [trial[i] if i in places else v for i, v in enumerate(found)]
                if not runner.is_allowed(point):
                    continue
                height = rows.surrogate_value(point, one)
                if height > best:
                    best, chosen = height, point
            if math.isfinite(best):
                found = chosen
        return found

    # --- where it ends ---

    def finished(self, end: End) -> End:
        """Acceleration and Newton's method until a stationary point, or the reason why there is none."""
        try:
            return self._finished(end, 0)
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

    def _finished(self, end: End, saddles: int) -> End:
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
            known = self.basins.known(theta, height)
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
                        ridge = self._merged(end, list(up.theta), up.height)
                        if ridge is not None:
                            return ridge
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
                return self._finished(replace(end, theta=left, height=runner.value(left)), saddles + 1)
        return self._without_newton(end, theta, height)

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

    def _without_newton(self, end: End, theta: list[float], height: float) -> End:
        merged = self._merged(end, theta, height)
        if merged is not None:
            return merged
        edge = self._edge(end, theta, height)
        if edge is not None:
            return edge
        _, g, h = self.runner.free_derivatives(theta)
        if np.isfinite(g).all() and np.isfinite(h).all():
            if float(np.abs(g).max()) < FLAT and abs(float(np.linalg.eigvalsh(h)[-1])) < 1e-7:
                return self._ended(end, theta, height, "flat", "the data do not determine every parameter")
        return self._ended(end, theta, height, "failed", "neither EM nor Newton's method came to rest")

    def _merged(self, end: End, theta: list[float], height: float) -> End | None:
        """The point where two exchangeable branches have one law, where l is as high there."""
        constants = self.runner.rows.constants
        shares = self.weights(theta, constants)
        for group in self.exchange.classes:
            ranked = sorted(group, key=lambda j: -shares[j])
            for a, heavy in enumerate(ranked):
                for light in ranked[a + 1 :]:
                    trial = list(theta)
                    members = self.exchange.members
                    for to, since in zip(members[light], members[heavy], strict=True):
                        trial[to] = theta[since]
                    trial = self._away_from_edges(trial)
                    if not math.isfinite(self.runner.value(trial)):
                        continue
                    at, top, _ = self.runner.accelerated(trial, 100, Trail())
                    at, top = self._polished(at, top)
                    pairs = zip(members[light], members[heavy], strict=True)
                    together = all(math.isclose(at[i], at[j], rel_tol=1e-6) for i, j in pairs)
                    if not together or self._at_end(at) is not None or self.guard.collapsed(at):
                        continue
                    if top >= height - TIE * (1 + abs(height)):
                        note = (
                            "two components coincide: one fewer explains the data as well, and their shares are "
                            "not determined"
                        )
                        return self._ended(end, at, top, "flat", note)
        return None

    def _away_from_edges(self, theta: list[float]) -> list[float]:
        """Weights of branches that coincide may be anything: not next to an edge."""
        found = list(theta)
        for i in self.weights.own:
            c = self.runner.coordinates[i]
            if math.isfinite(c.low) and math.isfinite(c.high):
                width = c.high - c.low
                found[i] = min(max(found[i], c.low + 0.05 * width), c.high - 0.05 * width)
        return found if math.isfinite(self.runner.value(found)) else theta

    def _polished(self, theta: list[float], height: float) -> tuple[list[float], float]:
        """Newton steps across the directions in which l is curved."""
        for _ in range(4):
            t = self.runner.free(theta)
            _, g, h = self.runner.free_derivatives(theta)
            if t is None or not (np.isfinite(g).all() and np.isfinite(h).all()):
                break
            values, vectors = np.linalg.eigh(h)
            curved = values < -1e-6 * float(np.abs(values).max(initial=1e-300))
            move = -(vectors[:, curved] / values[curved]) @ (vectors[:, curved].T @ g)
            if not np.abs(move).max(initial=0.0) < 1.0:
                break
            new = self.runner.inside(t + move)
            top = self.runner.value(new)
            if not top >= height - 1e-14 * (1 + abs(height)):
                break
            theta, height = new, top
        return theta, height

    def along(self, theta: list[float], held: set[int]) -> tuple[list[float], float]:
        """The maximum over the other coordinates by Newton's method from nearby; these stay where they are."""
        runner = self.runner
        height = runner.value(theta)
        others = [i for i in range(len(theta)) if i not in held]
        for _ in range(30):
            _, g, h = runner.free_derivatives(theta)
            g, h = g[others], h[np.ix_(others, others)]
            if not others or not (np.isfinite(g).all() and np.isfinite(h).all()):
                break
            values, vectors = np.linalg.eigh(h)
            if not values[-1] < 0:
                break
            move = -(vectors / values) @ (vectors.T @ g)
            new = list(theta)
            for i, m in zip(others, move, strict=True):
                c = runner.coordinates[i]
                new[i] = c.value(c.at(theta[i]) + float(np.clip(m, -1.0, 1.0)))
            top = runner.value(new)
            if not top >= height - 1e-14 * (1 + abs(height)):
                break
            theta, height = new, top
            if float(np.abs(move).max()) < 1e-12:
                break
        return theta, height

    def _edge(self, end: End, theta: list[float], height: float) -> End | None:
        """The point next to an end of a domain towards which l rises."""
        runner = self.runner
        place = self._at_end(theta)
        if place is not None:
            return self._ended(end, theta, height, "edge", self._towards(place, theta))
        t = runner.free(theta)
        if t is None:
            return None
        for i in np.argsort(-np.abs(t)):
            c = runner.coordinates[i]
            if not (math.isfinite(c.low) or math.isfinite(c.high)) or abs(t[i]) < 3.0:
                continue
            moved = t.copy()
            two_ended = math.isfinite(c.low) and math.isfinite(c.high)
            moved[i] = math.copysign(NEAR_EDGE if two_ended else max(NEAR_EDGE, abs(t[i]) + 20.0), t[i])
            trial = runner.inside(moved)
            if not math.isfinite(runner.value(trial)):
                continue
            at, top, _ = runner.accelerated(trial, 100, Trail())
            at, top = self._polished(at, top)
            if top >= height - TIE * (1 + abs(height)):
                at_t = runner.free(at)
                if at_t is None or abs(at_t[i]) > 10.0:
                    return self._ended(end, at, top, "edge", self._towards(int(i), at))
        return None

    def _at_end(self, theta: Sequence[float]) -> int | None:
        """The first parameter at an end of its domain, or so near that doubles hardly tell."""
        for i, (c, v) in enumerate(zip(self.runner.coordinates, theta, strict=True)):
            if not c.low < v < c.high:
                return i
            if math.isfinite(c.low) and math.isfinite(c.high) and abs(c.at(v)) > NEAR_EDGE - 4:
                return i
        return None

    def _towards(self, i: int, theta: Sequence[float]) -> str:
        p = self.runner.rows.model.parameters[i]
        c = self.runner.coordinates[i]
        target = c.low if abs(theta[i] - c.low) <= abs(theta[i] - c.high) or math.isinf(c.high) else c.high
        if math.isinf(c.high) and abs(theta[i]) > 1e6:
            target = c.high
        return f"{p} -> {target:.12g}".replace("inf", "infinity")


def distinct_ends(ends: Sequence[End]) -> list[End]:
    """Ends of different heights, the highest first."""
    found: list[End] = []
    for end in sorted(ends, key=lambda e: -e.height):
        if all(abs(end.height - other.height) > 1e-7 * (1 + abs(end.height)) for other in found):
            found.append(end)
    return found


__all__ = ["Search", "distinct_ends"]
