"""Distribution functions from densities: panels of Gauss-Legendre quadrature, refined until they agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(21)
PANELS = 4000  # at most
PRECISE = 1e-13
FAR = 600.0  # of the coordinate: beyond it doubles end
TAIL = 100.0  # of the coordinate: a moment to which more than nothing is added there is infinite


class Cumulative:
    """F(x) and its inverse for a density on an interval, by quadrature in a coordinate that makes the line finite.

    Parameters
    ----------
    density
        A vectorised function of x.
    low, high
        The support; either may be infinite.
    places
        Some numbers where the mass is (quantiles of the data), and edges at which the density bends.
    """

    def __init__(self, density: Callable[[Array], Array], low: float, high: float, places: Array):
        self.density, self.low, self.high = density, low, high
        inside = np.sort(np.asarray(places, dtype=float))
        inside = inside[(inside > low) & (inside < high) & np.isfinite(inside)]
        self.centre = float(np.median(inside)) if len(inside) else 0.0
        spread = float(np.subtract(*np.quantile(inside, [0.75, 0.25]))) if len(inside) > 1 else 1.0
        self.scale = spread if spread > 0 else (abs(self.centre) or 1.0)
        start = np.concatenate([np.linspace(-FAR, FAR, 71), np.linspace(-12, 12, 49)])
        t = np.unique(np.concatenate([start, self._t(inside)]))
        self.edges = self._refined(t[np.concatenate([[True], np.diff(t) > 1e-6])])
        masses = self._masses(self.edges[:-1], self.edges[1:])
        self.total = math.fsum(masses)
        self.below = np.concatenate([[0.0], np.cumsum(masses)]) / self.total
        self.above = np.concatenate([np.cumsum(masses[::-1])[::-1], [0.0]]) / self.total

    # --- the coordinate t on the line, in which every end lies at infinity ---

    @property
    def _size(self) -> float:
        if math.isfinite(self.low):
            return max(self.centre - self.low, self.scale * 1e-3)
        return max(self.high - self.centre, self.scale * 1e-3)

    def _t(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            if math.isfinite(self.low) and math.isfinite(self.high):
                t = np.log(x - self.low) - np.log(self.high - x)
            elif math.isfinite(self.low):
                t = np.log((x - self.low) / self._size)
            elif math.isfinite(self.high):
                t = -np.log((self.high - x) / self._size)
            else:
                t = np.arcsinh((x - self.centre) / self.scale)
        return np.clip(t, -FAR, FAR)

    def _x(self, t: Array) -> tuple[Array, Array]:
        """x and dx/dt."""
        with np.errstate(all="ignore"):
            if math.isfinite(self.low) and math.isfinite(self.high):
                width = self.high - self.low
                small = 1 / (1 + np.exp(np.abs(t)))
                x = np.where(t < 0, self.low + width * small, self.high - width * small)
                return x, width * small * (1 - small)
            if math.isfinite(self.low):
                step = self._size * np.exp(t)
                return self.low + step, step
            if math.isfinite(self.high):
                step = self._size * np.exp(-t)
                return self.high - step, step
            return self.centre + self.scale * np.sinh(t), self.scale * np.cosh(t)

    def _masses(self, left: Array, right: Array) -> Array:
        half = (right - left) / 2
        u = left[:, None] + half[:, None] * (1 + NODES)
        x, slope = self._x(u)
        with np.errstate(all="ignore"):
            f = np.asarray(self.density(x.ravel()), dtype=float).reshape(x.shape) * slope
        return np.where(np.isfinite(f), f, 0.0) @ WEIGHTS * half

    def _refined(self, edges: Array) -> Array:
        kept = edges
        for _ in range(40):
            left, right = kept[:-1], kept[1:]
            middle = (left + right) / 2
            whole = self._masses(left, right)
            halves = self._masses(left, middle) + self._masses(middle, right)
            bad = np.abs(whole - halves) > PRECISE * max(float(np.sum(np.abs(halves))), 1e-300)
            bad &= right - left > 1e-9
            if not bad.any() or len(kept) > PANELS:
                return kept
            kept = np.sort(np.concatenate([kept, middle[bad]]))
        return kept

    # --- use ---

    def cdf(self, x: Array) -> Array:
        return self._part(np.asarray(x, dtype=float), self.below, 1.0)

    def sf(self, x: Array) -> Array:
        return self._part(np.asarray(x, dtype=float), self.above, -1.0)

    def _part(self, x: Array, table: Array, sign: float) -> Array:
        u = self._t(np.clip(x, self.low, self.high))
        k = np.clip(np.searchsorted(self.edges, u, side="right") - 1, 0, len(self.edges) - 2)
        if sign > 0:
            found = table[k] + self._masses(self.edges[k].ravel(), u.ravel()).reshape(u.shape) / self.total
        else:
            found = (
                table[k + 1]
                + self._masses(u.ravel(), self.edges[k + 1].ravel()).reshape(u.shape) / self.total
            )
        return np.clip(np.where(np.isnan(x), np.nan, found), 0.0, 1.0)

    def ppf(self, q: Array) -> Array:
        """The inverse of F, by bisection between panel edges and Newton's steps that stay inside."""
        q = np.asarray(q, dtype=float)
        flat = np.clip(q.ravel(), 0, 1)
        k = np.clip(np.searchsorted(self.below, flat, side="right") - 1, 0, len(self.edges) - 2)
        lo, hi = self.edges[k].copy(), self.edges[k + 1].copy()
        u = (lo + hi) / 2
        for _ in range(60):
            f = self.below[k] + self._masses(self.edges[k], u) / self.total - flat
            lo, hi = np.where(f <= 0, u, lo), np.where(f >= 0, u, hi)
            x, slope = self._x(u)
            with np.errstate(all="ignore"):
                step = u - f * self.total / (np.asarray(self.density(x), dtype=float) * slope)
            new = np.where(np.isfinite(step) & (step > lo) & (step < hi), step, (lo + hi) / 2)
            if np.all(np.abs(new - u) <= 4e-16 * np.maximum(np.abs(u), 1.0)):
                break
            u = new
        x = self._x(u)[0]
        x = np.where(flat <= 0, self.low, np.where(flat >= 1, self.high, x))
        return np.where(np.isnan(q.ravel()) | (q.ravel() < 0) | (q.ravel() > 1), np.nan, x).reshape(q.shape)

    def expect(self, g: Callable[[Array], Array]) -> float:
        """E g(X); nan where the panels do not settle it."""
        half = np.diff(self.edges) / 2
        u = self.edges[:-1, None] + half[:, None] * (1 + NODES)
        x, slope = self._x(u)
        with np.errstate(all="ignore"):
            f = np.asarray(self.density(x.ravel()), dtype=float).reshape(x.shape) * slope
            values = f * np.asarray(g(x.ravel()), dtype=float).reshape(x.shape)
        parts = np.where(np.isfinite(values), values, 0.0) @ WEIGHTS * half / self.total
        far = np.abs(self.edges[:-1] + half) > TAIL  # what decays there decays geometrically
        total = math.fsum(parts)
        return total if np.abs(parts[far]).sum() <= 1e-9 * (1e-300 + np.abs(parts).sum()) else math.nan


class Steps:
    """The same for a law on whole numbers (or a finite set): masses summed until the rest is below rounding."""

    def __init__(self, mass: Callable[[Array], Array], members: Array):
        self.members = np.asarray(members, dtype=float)
        with np.errstate(all="ignore"):
            masses = np.asarray(mass(self.members), dtype=float)
        self.masses = np.where(np.isfinite(masses), masses, 0.0)
        self.total = math.fsum(self.masses)
        self.below = np.cumsum(self.masses) / self.total

    def cdf(self, x: Array) -> Array:
        x = np.asarray(x, dtype=float)
        k = np.searchsorted(self.members, x, side="right")
        return np.where(np.isnan(x), np.nan, np.where(k > 0, self.below[np.maximum(k, 1) - 1], 0.0))

    def sf(self, x: Array) -> Array:
        above = np.concatenate([np.cumsum(self.masses[::-1])[::-1], [0.0]]) / self.total
        x = np.asarray(x, dtype=float)
        return np.where(np.isnan(x), np.nan, above[np.searchsorted(self.members, x, side="right")])

    def ppf(self, q: Array) -> Array:
        q = np.asarray(q, dtype=float)
        k = np.searchsorted(self.below, q * (1 - 4e-16), side="left")
        found = self.members[np.minimum(k, len(self.members) - 1)]
        found = np.where(q <= 0, self.members[0] - 1, found)
        return np.where(np.isnan(q) | (q < 0) | (q > 1), np.nan, found)

    def expect(self, g: Callable[[Array], Array]) -> float:
        return math.fsum(np.asarray(g(self.members), dtype=float) * self.masses) / self.total


__all__ = ["Cumulative", "Steps"]
