"""Where a spare component would stand: Lindsay's gradient at a mixture in which two components coincide.

At a mixture with density f (Lindsay 1983, The geometry of mixture likelihoods, Annals of Statistics 11) the
directional derivative of l towards a further component at t is

    D(t) = sum_i w_i f(x_i; t)/f(x_i) - n.

Where D(t) > 0 the spare component goes to t with a small weight and l rises. Where D <= 0 for every t no mixture
of whatever number of such components is higher, for l is concave in the mixing law; here D is looked at in
finitely many places, so that this is evidence and no proof.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from symmle.fitting.em_guard import Guard
from symmle.fitting.em_labels import Exchange, Weights
from symmle.fitting.em_run import Runner

Array = NDArray[np.float64]
WINDOWS = 48  # places a column, and rows that stand alone
DRAWN = 12  # small sets of rows, for components with several parameters
REFINED, ROUNDS = 3, 40  # the best places that are moved uphill, and how often
STEEP = 1e-7  # D/n from which a rise is looked for
WIDE = 0.125  # of the rows, where narrower components have no bound
BISECTIONS = 60


@dataclass(frozen=True)
class Spare:
    """The largest D/n that was met, in how many places it was looked at, and the mixture that is higher there."""

    slope: float
    places: int
    theta: list[float] | None


class SpareSearch:
    """Looks for the best place of a spare component, from fits of it to windows of the rows."""

    def __init__(self, runner: Runner, guard: Guard, weights: Weights, exchange: Exchange):
        self.runner, self.guard, self.weights, self.exchange = runner, guard, weights, exchange

    def __call__(self, theta: Sequence[float], heavy: int, light: int) -> Spare | None:
        """For a point where these two branches have one law; None where the weights cannot be moved freely."""
        rows = self.runner.rows
        shares = self.weights(theta, rows.constants)
        if rows.known is not None or self.weights.matrix is None or shares[light] <= 0:
            return None
        joint = rows.joint(theta)
        total = np.logaddexp.reduce(joint, axis=0)
        if not np.isfinite(total).all():
            return None
        present = np.exp(joint - total)
        ratio_of = _Ratios(self, list(theta), light, total, math.log(shares[light]))
        found: list[tuple[float, list[float]]] = []
        for window in self._windows(len(self.exchange.members[light]), present):
            t = self._fitted(theta, present, light, window)
            if t is not None and t not in [place for _, place in found]:
                found.append((ratio_of.slope(t), t))
        found = sorted((f for f in found if math.isfinite(f[0])), key=lambda f: -f[0])
        if not found:
            return None
        best = found[0]
        if not self.guard.unbounded:  # where the scale is free D has no bound
            best = max(self._uphill(theta, present, light, f, ratio_of) for f in found[:REFINED])
        slope, place = best
        higher = None
        if slope > STEEP:
            emptied = list(shares)
            emptied[heavy] += emptied[light]
            emptied[light] = 0.0
            higher = self._mixed(ratio_of.put(place), emptied, light, ratio_of(place))
        return Spare(slope, len(found), higher)

    # --- places ---

    def _windows(self, own: int, present: Array) -> Iterator[Array]:
        """Rows next to each other in a column, more and fewer of them; some alone; some drawn."""
        rows = self.runner.rows
        w = np.ones(rows.rows) if rows.weights is None else rows.weights
        smallest = WIDE if self.guard.unbounded else 0.0
        for column in rows.columns:
            order = np.argsort(column, kind="stable")
            middle = (np.cumsum(w[order]) - 0.5 * w[order]) / w.sum()
            part, made = 0.5, 0
            while made < WINDOWS and part >= smallest and part * rows.rows > own:
                for start in np.arange(0.0, 1.0 - part / 2, part / 2):
                    inside = np.zeros(rows.rows)
                    inside[order[(middle >= start) & (middle < start + part)]] = 1.0
                    made += 1
                    yield inside
                part /= 2
            if own == 1 and not self.guard.unbounded:
                for place in np.unique(np.linspace(0, rows.rows - 1, WINDOWS).astype(int)):
                    inside = np.zeros(rows.rows)
                    inside[order[place]] = 1.0
                    yield inside
        if own > 1 and not self.guard.unbounded:
            random = np.random.default_rng(11)
            for _ in range(DRAWN):
                inside = np.zeros(rows.rows)
                inside[random.choice(rows.rows, min(own + 1, rows.rows), replace=False)] = 1.0
                yield inside

    def _fitted(
        self, theta: Sequence[float], present: Array, light: int, window: Array
    ) -> list[float] | None:
        """The own parameters of the light branch from the M-step in which it has these rows by half."""
        r = present * (1.0 - 0.5 * window)
        r[light] = 0.5 * window
        found = self.runner.maximise(r, theta)
        return None if found is None else [found[i] for i in self.exchange.members[light]]

    def _uphill(
        self,
        theta: Sequence[float],
        present: Array,
        light: int,
        begun: tuple[float, list[float]],
        ratio_of: _Ratios,
    ) -> tuple[float, list[float]]:
        """EM on log sum_i w_i f(x_i; t)/f(x_i): the M-step on rows weighted by their ratios never lowers D."""
        slope, place = begun
        for _ in range(ROUNDS):
            ratios = ratio_of(place)
            top = float(ratios.max(initial=0.0))
            if not 0 < top < math.inf:
                break
            new = self._fitted(ratio_of.put(place), present, light, ratios / top)
            if new is None:
                break
            now = ratio_of.slope(new)
            if not now > slope + 1e-9 * (1 + abs(slope)):
                break
            slope, place = now, new
        return slope, place

    # --- the mixture with a component there ---

    def _mixed(
        self, theta: list[float], emptied: list[float], light: int, ratios: Array
    ) -> list[float] | None:
        """(1 - e) f + e f(.; t) with the e at which l is largest: l is concave in it."""
        rows = self.runner.rows
        w = 1.0 if rows.weights is None else rows.weights
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            slope = float(np.sum(w * (ratios - 1.0) / (1.0 + middle * (ratios - 1.0))))
            low, high = (middle, high) if slope > 0 else (low, middle)
        e = 0.5 * (low + high)
        wanted = [(1.0 - e) * s for s in emptied]
        wanted[light] = e
        found = self.weights.put(theta, wanted, rows.constants)
        if found is None or not self.runner.is_allowed(found) or self.guard.collapsed(found):
            return None
        return found


class _Ratios:
    """f(x_i; t)/f(x_i) for places t of the light branch."""

    def __init__(self, search: SpareSearch, theta: list[float], light: int, total: Array, log_share: float):
        self.rows, self.members = search.runner.rows, search.exchange.members[light]
        self.theta, self.light, self.total, self.log_share = theta, light, total, log_share

    def put(self, place: Sequence[float]) -> list[float]:
        found = list(self.theta)
        for i, v in zip(self.members, place, strict=True):
            found[i] = v
        return found

    def __call__(self, place: Sequence[float]) -> Array:
        joint = self.rows.joint(self.put(place))[self.light]
        with np.errstate(all="ignore"):
            found: Array = np.exp(joint - self.log_share - self.total)
        return found

    def slope(self, place: Sequence[float]) -> float:
        """D(t)/n."""
        ratios = self(place)
        w = self.rows.weights
        return float(ratios.sum() if w is None else ratios @ w) / self.rows.n - 1.0


__all__ = ["Spare", "SpareSearch"]
