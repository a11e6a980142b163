"""Plain EM for mixtures of normals and of two Poisson laws, in NumPy: E-step and M-step in one pass of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[Any]
BLOCK = 1 << 15
MOST = 5000


@dataclass
class Start:
    """Weights, means and scales of the components; where a program ended, with its iterations."""

    weights: Array
    means: Array
    scales: Array | None = None
    iterations: int = 0


def normals_by_hand(x: Array, start: Start, tolerance: float) -> Start:
    """EM for normals with their own scales; ends when l rises by less than `tolerance` a row.

    The data are centred, so that sums of squares keep their digits.
    """
    assert start.scales is not None
    n, k = len(x), len(start.weights)
    centre = float(x.mean())
    y = x - centre
    weights, means, scales = start.weights.copy(), start.means - centre, start.scales.copy()
    all_y, all_square = 0.0, float(y @ y)
    buffers, square, total = np.empty((k, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    before, step = -np.inf, 0
    while step < MOST:
        step += 1
        heights = np.log(weights / scales)
        rates = -0.5 / scales**2
        sums = np.zeros((3, k))
        level = 0.0
        for low in range(0, n, BLOCK):
            b = y[low : low + BLOCK]
            m = len(b)
            t, s = total[:m], square[:m]
            for j in range(k):
                f = buffers[j, :m]
                np.subtract(b, means[j], out=f)
                f *= f
                f *= rates[j]
                f += heights[j]
                np.exp(f, out=f)
            np.add(buffers[0, :m], buffers[1, :m], out=t)
            for j in range(2, k):
                t += buffers[j, :m]
            np.multiply(b, b, out=s)
            inverse = buffers[k - 1, :m]  # the last component's sums are what the others leave
            np.divide(1.0, t, out=inverse)
            for j in range(k - 1):
                r = buffers[j, :m]
                r *= inverse
                sums[0, j] += r.sum()
                sums[1, j] += r @ b
                sums[2, j] += r @ s
            level += np.log(t, out=t).sum()
        sums[:, -1] = np.array([n, all_y, all_square]) - sums[:, :-1].sum(axis=1)
        weights, means = sums[0] / n, sums[1] / sums[0]
        scales = np.sqrt(sums[2] / sums[0] - means**2)
        level /= n
        if level - before < tolerance:
            break
        before = level
    return Start(weights, means + centre, scales, step)


def poissons_by_hand(x: Array, start: Start, tolerance: float) -> Start:
    """EM for two Poisson laws on values and counts."""
    counts = np.bincount(x).astype(float)
    values = np.arange(len(counts), dtype=float)
    n, total, constant = float(len(x)), float(counts @ values), float(counts @ gammaln(values + 1.0))
    both = np.stack([counts, counts * values])
    (w, _), (m1, m2) = start.weights.tolist(), start.means.tolist()
    before, step = -np.inf, 0
    while step < MOST:
        step += 1
        # log of the odds of the first component, d = log(w/(1 - w)) - (m1 - m2) + x log(m1/m2)
        e = np.exp(values * log(m1 / m2) + (log(w / (1 - w)) - m1 + m2))
        others = e + 1
        level = (counts @ np.log(others) + total * log(m2) + n * (log(1 - w) - m2) - constant) / n
        s0, s1 = (both @ (e / others)).tolist()
        w, m1, m2 = s0 / n, s1 / s0, (total - s1) / (n - s0)
        if level - before < tolerance:
            break
        before = level
    return Start(np.array([w, 1 - w]), np.array([m1, m2]), None, step)
