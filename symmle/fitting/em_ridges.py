"""Points at which Newton's method does not end: components that coincide, edges, directions without curvature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symmle.fitting.em_guard import Guard
from symmle.fitting.em_labels import Exchange, Weights
from symmle.fitting.em_run import Runner, Trail

TIE = 1e-9  # log-likelihoods that differ by less, relative to 1 + |l|, are equal
INWARDS = (20.0, 12.0, 8.0, 6.0, 4.0, 3.0)  # free coordinates on the way back from an edge
NEARLY = 0.5  # of log-likelihood: an edge that is so much lower after a short run is none
NEAR_EDGE = 34.0  # of a free coordinate: 1e-15 from the end


@dataclass(frozen=True)
class Merged:
    """A point at which two branches have one law, and l there."""

    theta: list[float]
    height: float
    heavy: int
    light: int


@dataclass
class Ridges:
    """What is met on one table of rows."""

    runner: Runner
    guard: Guard
    weights: Weights
    exchange: Exchange

    def merged(self, theta: Sequence[float], height: float) -> Merged | None:
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
                        return Merged(at, top, heavy, light)
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

    def edge(self, theta: list[float], height: float) -> tuple[list[float], float, str] | None:
        """The point next to an end of a domain towards which l rises, l there, and the end in words."""
        runner = self.runner
        place = self._at_end(theta)
        if place is not None:
            return theta, height, self._towards(place, theta)
        t = runner.free(theta)
        if t is None:
            return None
        for i in np.argsort(-np.abs(t)):
            c = runner.coordinates[i]
            # towards infinity from far away alone; towards a finite end EM may be slow from anywhere
            if not (math.isfinite(c.low if t[i] < 0 else c.high) or (c.is_bounded and abs(t[i]) > 3.0)):
                continue
            moved = t.copy()
            two_ended = math.isfinite(c.low) and math.isfinite(c.high)
            moved[i] = math.copysign(NEAR_EDGE if two_ended else max(NEAR_EDGE, abs(t[i]) + 20.0), t[i])
            trial = runner.inside(moved)
            if not math.isfinite(runner.value(trial)):
                continue
            at, top, _ = runner.accelerated(trial, 15, Trail())
            if not top >= height - NEARLY:
                continue
            at, top, _ = runner.accelerated(at, 100, Trail())
            at, top = self._polished(at, top)
            if top >= height - TIE * (1 + abs(height)):
                at_t = runner.free(at)
                if at_t is None or (abs(at_t[i]) > 10.0 and self._falls_inwards(i, at_t, top)):
                    return at, top, self._towards(int(i), at)
        return None

    def _falls_inwards(self, i: int, t: np.ndarray, height: float) -> bool:
        """Whether l is nowhere higher on the way from next to an edge back inside, the others as they are."""
        for size in INWARDS:
            if size < abs(t[i]):
                inside = t.copy()
                inside[i] = math.copysign(size, t[i])
                if self.runner.value(self.runner.inside(inside)) > height + TIE * (1 + abs(height)):
                    return False
        return True

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


__all__ = ["TIE", "Merged", "Ridges"]
