"""Spikes: a scale that shrinks to nothing while a location sits on an observation.

Where l keeps rising along such a path the likelihood is unbounded, and an interior maximum is a local one
(Student's t with free degrees of freedom, three-parameter laws, mixtures).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from sympy import Interval

from symmle.algebra import GaveUp, attempt_within
from symmle.fitting.surface import Surface, careful_height

STEPS = (1e-6, 1e-12, 1e-24, 1e-48, 1e-96)  # times the estimate
SMALL = 1e-2  # of the estimate, for the other positive parameters
MOST = 64  # paths that are tried


def find_spike(surface: Surface, estimate: Any, top: float) -> str:
    """The path along which l rises without end, in words, or nothing."""
    plan = surface.plan
    scales = [i for i, p in enumerate(plan.parameters) if _shrinks(plan.domain_of(p))]
    places = [i for i, p in enumerate(plan.parameters) if plan.domain_of(p).inf.is_infinite]
    if not scales or not places:
        return ""
    tried = 0
    for scale, place in product(scales, places):
        others = [i for i in scales if i != scale]
        for where in _observations(surface):
            for shares in product((1.0, SMALL), repeat=len(others)):
                tried += 1
                if tried > MOST:
                    return ""
                theta = np.array(estimate, dtype=float)
                theta[place] = where
                for i, share in zip(others, shares, strict=True):
                    theta[i] *= share
                rises = _rises(surface, theta, scale, top)
                if rises is None:
                    return ""
                if rises:
                    names = [str(p) for p in plan.parameters]
                    return f"{names[scale]} -> 0 at {names[place]} = {where:.6g}"
    return ""


def _shrinks(domain: Any) -> bool:
    return isinstance(domain, Interval) and domain.start == 0 and bool(domain.left_open)


def _observations(surface: Surface) -> list[float]:
    """The commonest value, the least and the greatest of the first column of each sample."""
    found: list[float] = []
    for part in surface.plan.declaration.samples:
        values = surface.table.sample_of(part.all_columns).columns[part.columns[0]]
        distinct, counts = np.unique(values, return_counts=True)
        for value in (distinct[int(np.argmax(counts))], distinct[0], distinct[-1]):
            if float(value) not in found:
                found.append(float(value))
    return found


def _rises(surface: Surface, theta: Any, scale: int, top: float) -> bool | None:
    """Whether l rises along the path, or None where it cannot be told in time."""
    heights = []
    for step in STEPS:
        at = theta.copy()
        at[scale] *= step
        height = attempt_within(0.3, careful_height, surface, at)
        if isinstance(height, GaveUp):  # an exponential of an exponential has more digits than time
            return None
        if not math.isfinite(height):
            return False
        heights.append(height)
    gains = [b - a for a, b in zip(heights, heights[1:], strict=False)]
    # each step doubles the number of decades: what rises like log(1/s) doubles its gain
    return heights[-1] > top + 1 and all(g > 0.1 for g in gains) and gains[-1] > 1.5 * gains[-2]
