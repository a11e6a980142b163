"""The first points of EM: what a start's labelling becomes after its first iterations."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from symmle.fitting.em_basins import Basins
from symmle.fitting.em_guard import Guard
from symmle.fitting.em_labels import Exchange
from symmle.fitting.em_rows import IMPOSSIBLE
from symmle.fitting.em_run import Degenerate, End, Runner, Trail
from symmle.fitting.em_starts import features_of, starts
from symmle.fitting.large_starts import trials_at

SHORT = (4, 8)  # iterations before starts are compared, fewer on the slope of a maximum that was met already


@dataclass
class Beginning:
    """Short runs on one table of rows; `random` decides whatever is drawn."""

    runner: Runner
    guard: Guard
    exchange: Exchange
    basins: Basins
    random: np.random.Generator
    assignment: str = "soft"

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

    def runs(self, kind: str | None, count: int) -> Iterator[End]:
        """The ends of short runs, without end after the first `count`: those begin at random."""
        rows = self.runner.rows
        model = rows.model
        features = features_of(rows.columns, rows.weights)
        rotate = len(self.exchange.classes) > 1
        own = max(len(o) for o in model.own)
        for name, r in starts(kind, count, features, rows.weights, model.size, own, rotate, self.random):
            try:
                yield self._short(name, self._possible(r))
            except Degenerate as fall:
                yield End(fall.theta, fall.height, "collapsed", name)

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
        height, known = runner.value(theta), None
        for iterations in SHORT if self.assignment != "classification" else ():
            theta = runner.em(theta, iterations, trail)
            height = runner.value(theta)
            known = self.basins.known(theta, height)
            if known is not None:
                break
        kind = "begun" if math.isfinite(height) else "failed"
        if kind == "begun" and self.guard.collapsed(theta):
            kind = "collapsed"
        return End(theta, height, kind, name, trail=trail, known=known)

    def _anywhere(self, r: np.ndarray) -> list[float]:
        """A point for what has no closed M-step: for each branch the best of some at the scales of the data."""
        runner = self.runner
        middle = self.middle
        left = set(runner.m_step.open)
        if not left:
            return middle
        rows = runner.rows
        table = [(list(rows.columns), rows.weights, rows.n)]
        trials = trials_at(runner.coordinates, table, np.random.default_rng(7)).points
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


__all__ = ["Beginning"]
