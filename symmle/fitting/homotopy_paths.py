"""Every solution of G(q, u) = 0 for given statistics u, by monodromy and parameter homotopy, in doubles.

G is polynomial in q and affine in u, so a random complex q0 has a u0 with G(q0, u0) = 0 by linear algebra. Along
loops u0 -> u1 -> u2 -> u0 the solutions over u0 are permuted, and new ones are found from those that are known,
until as many are known as there are; they are then followed from u0 to the data (Duff et al. 2019).

Paths are followed all at once: Runge-Kutta prediction, Newton correction, a step size for each path. Nothing here
is proved: what arrives is certified elsewhere, and a path that is lost is a solution that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.algebra.systems import RationalSystem

Complex = NDArray[Any]
LOOPS = 40
QUIET_LOOPS = 8  # loops without a new solution after which all are taken to be known, where no count is
ROUNDS = 4  # other starts, where paths were lost on the way to the data
CLOSE = 1e-6
FAR = 1e9


class Family:
    """G(q, u): monomials, and for each equation their coefficients for 1, u_1, .., u_m; scaled to be near 1.

    `scale` has the size of the solutions by the coefficients at the data (least squares on their logarithms).
    """

    def __init__(self, system: RationalSystem, values: Sequence[float]):
        monomials = sorted({m for row in system.numerators for c in row for m in c})
        self.exponents = np.array(monomials, dtype=int).reshape(len(monomials), len(system.unknowns))
        place = {m: j for j, m in enumerate(monomials)}
        sizes = np.array([1.0, *(abs(v) or 1.0 for v in values)])
        self.data: Complex = np.array([1.0, *values], dtype=complex) / sizes
        self.coefficients = np.zeros((len(system.numerators), len(sizes), len(monomials)), dtype=complex)
        for k, row in enumerate(system.numerators):
            for j, c in enumerate(row):
                for m, v in c.items():
                    self.coefficients[k, j, place[m]] = float(v) * sizes[j]
        self.scale = self._balanced()

    def _balanced(self) -> NDArray[np.float64]:
        at_data = abs(np.einsum("kjm,j->km", self.coefficients, self.data))
        equations, p = len(at_data), self.exponents.shape[1]
        rows, right = [], []
        for k in range(equations):
            for m in np.flatnonzero(at_data[k]):
                rows.append([*self.exponents[m], *(float(k == j) for j in range(equations))])
                right.append(-np.log(at_data[k, m]))
        found = np.linalg.lstsq(np.array(rows, dtype=float), np.array(right), rcond=None)[0]
        scale: NDArray[np.float64] = np.exp(np.clip(found[:p], -300, 300))
        with np.errstate(all="ignore"):
            self.coefficients *= np.exp(self.exponents @ np.log(scale))
            largest = abs(self.coefficients).max(axis=(1, 2), keepdims=True)
        self.coefficients /= np.where(largest > 0, largest, 1)
        return scale

    @property
    def unknowns(self) -> int:
        return int(self.exponents.shape[1])

    def monomials(self, q: Complex) -> tuple[Complex, Complex]:
        """All monomials at each point, and their derivatives: shapes (points, M) and (points, p, M)."""
        highest = int(self.exponents.max(initial=0))
        powers = np.ones((highest + 1, *q.shape), dtype=complex)
        for e in range(1, highest + 1):
            powers[e] = powers[e - 1] * q
        single = [powers[self.exponents[:, i], :, i].T for i in range(self.unknowns)]
        values = np.prod(single, axis=0)
        slopes = np.empty((len(q), self.unknowns, len(self.exponents)), dtype=complex)
        for i in range(self.unknowns):
            power = self.exponents[:, i]
            slopes[:, i] = power * powers[np.maximum(power - 1, 0), :, i].T
            for j in range(self.unknowns):
                if j != i:
                    slopes[:, i] *= single[j]
        return values, slopes

    def weights(self, u: Complex) -> Complex:
        """Coefficients of the monomials in each equation at statistics u."""
        return np.asarray(np.einsum("kjm,j->km", self.coefficients, u), dtype=complex)

    def statistics_through(self, q: Complex, stream: np.random.Generator) -> Complex | None:
        """Random statistics at which q is a solution."""
        values, _ = self.monomials(q[None, :])
        rows = np.einsum("kjm,m->kj", self.coefficients, values[0])
        u = _random(stream, rows.shape[1])
        u[0] = 1.0
        missing = rows @ u
        correction, _, rank, _ = np.linalg.lstsq(rows[:, 1:], -missing, rcond=1e-12)
        if rank < len(rows):
            return None
        u[1:] += correction
        return u


def _random(stream: np.random.Generator, count: int) -> Complex:
    return stream.standard_normal(count) + 1j * stream.standard_normal(count)


def _solve(matrices: Complex, right: Complex) -> Complex:
    try:
        return np.linalg.solve(matrices, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        found = np.full(right.shape, np.nan, dtype=complex)
        for k, (a, b) in enumerate(zip(matrices, right, strict=True)):
            try:
                found[k] = np.linalg.solve(a, b)
            except np.linalg.LinAlgError:
                continue
        return found


def track(family: Family, begin: Complex, end: Complex, starts: Complex) -> tuple[Complex, NDArray[np.bool_]]:
    """The solutions at statistics `end` to which those at `begin` lead, and which paths arrived."""
    a, b = family.weights(begin), family.weights(end)

    def tangent(q: Complex, t: NDArray[np.float64]) -> Complex:
        values, slopes = family.monomials(q)
        along = values @ (b - a).T
        jacobian = (1 - t)[:, None, None] * np.einsum("pim,km->pki", slopes, a) + t[
            :, None, None
        ] * np.einsum("pim,km->pki", slopes, b)
        return -_solve(jacobian, along)

    def newton(q: Complex, t: NDArray[np.float64]) -> Complex:
        values, slopes = family.monomials(q)
        residual = (1 - t)[:, None] * (values @ a.T) + t[:, None] * (values @ b.T)
        jacobian = (1 - t)[:, None, None] * np.einsum("pim,km->pki", slopes, a) + t[
            :, None, None
        ] * np.einsum("pim,km->pki", slopes, b)
        return -_solve(jacobian, residual)

    q, count = starts.copy(), len(starts)
    t, h = np.zeros(count), np.full(count, 0.05)
    active = np.ones(count, dtype=bool)
    with np.errstate(all="ignore"):
        for _ in range(5000):
            w = np.flatnonzero(active)
            if not len(w):
                break
            here, s, step = q[w], t[w], np.minimum(h[w], 1 - t[w])
            k1 = tangent(here, s)
            k2 = tangent(here + step[:, None] / 2 * k1, s + step / 2)
            k3 = tangent(here + step[:, None] / 2 * k2, s + step / 2)
            k4 = tangent(here + step[:, None] * k3, s + step)
            there = here + step[:, None] / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            first = newton(there, s + step)
            there = there + first
            second = newton(there, s + step)
            there = there + second
            third = newton(there, s + step)
            there = there + third
            size = abs(there).max(axis=1) + 1e-12
            begun, ended = abs(first).max(axis=1) / size, abs(third).max(axis=1) / size
            good = (begun < 1e-4) & (ended < 1e-9) & (ended <= begun)
            q[w[good]], t[w[good]] = there[good], (s + step)[good]
            h[w[good & (begun < 1e-6)]] *= 2.0
            h[w[~good]] /= 2.0
            done = good & (s + step >= 1)
            lost = (h[w] < 1e-12) | (abs(q[w]).max(axis=1) > FAR)
            active[w[done | lost]] = False
    return q, t >= 1


def distinct(points: Sequence[Complex]) -> list[Complex]:
    """Points no two of which are close."""
    found: list[Complex] = []
    for q in points:
        if all(abs(q - other).max() > CLOSE * (abs(q).max() + abs(other).max()) for other in found):
            found.append(q)
    return found


def monodromy(family: Family, count: int | None, seed: int) -> tuple[Complex, list[Complex]] | str:
    """Statistics u0, and the solutions there that loops find, until there are `count`."""
    stream = np.random.default_rng(seed)
    start = _random(stream, family.unknowns)
    u0 = family.statistics_through(start, stream)
    if u0 is None:
        return "the statistics do not move the equations freely"
    known, quiet = [start], 0
    for _ in range(LOOPS):
        if len(known) == count or (count is None and quiet >= QUIET_LOOPS):
            break
        points, at = np.array(known), u0
        for to in (_random(stream, len(u0)), _random(stream, len(u0)), u0):
            to = to.copy()
            to[0] = 1.0
            points, arrived = track(family, at, to, points)
            points, at = points[arrived], to
            if not len(points):
                break
        more = distinct([*known, *points])
        quiet = quiet + 1 if len(more) == len(known) else 0
        known = more
    return u0, known


def solutions_at_data(
    system: RationalSystem, values: Sequence[float], generic: int | None, count: int | None
) -> list[Complex] | str:
    """Approximate solutions for the data, as many as were found; or why there is no start.

    `generic` is their number for generic statistics, `count` that for the data, where they are known.
    """
    family = Family(system, values)
    if not np.isfinite(family.coefficients).all():
        return "the statistics are too large or too small for doubles"
    best: list[Complex] = []
    for seed in range(ROUNDS):
        found = monodromy(family, generic, 5 + seed)
        if isinstance(found, str):
            return found
        u0, known = found
        ends, arrived = track(family, u0, family.data, np.array(known))
        best = distinct([*best, *ends[arrived]])
        if count is None or len(best) >= count:
            break
    return [q * family.scale for q in best]


__all__ = ["Family", "distinct", "monodromy", "solutions_at_data", "track"]
