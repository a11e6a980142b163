"""Components that collapse: a law much narrower than the data, or one that rests on a single distinct row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Interval, S, Symbol

from symmle.fitting.em_labels import Weights
from symmle.fitting.em_rows import BranchesOnRows
from symmle.fitting.em_starts import scale_of

Array = NDArray[Any]
NARROW = 1e-6  # of the data's scale
PEAK = 0.5 * (1 + math.log(2 * math.pi))  # minus the mean log density of a normal law of scale 1
ALONE = 1e-4  # share of a component's weight outside its heaviest row


class Guard:
    """Says which branches have collapsed at a point, relative to the scale of the data."""

    def __init__(self, rows: BranchesOnRows, weights: Weights, unbounded: bool):
        self.rows, self.weights, self.unbounded = rows, weights, unbounded
        problem = rows.model.problem
        (part,) = problem.observed.samples
        places = {c: i for i, c in enumerate(rows.model.columns)}
        self.continuous = [
            places[c]
            for c, support in part.support.items()
            if isinstance(support, Interval) or support is S.Reals
        ]
        # a law without parameters of its own stays what it is
        free: set[Symbol] = set(rows.model.parameters)
        self.moving = [j for j, b in enumerate(problem.branches) if b.density.free_symbols & free]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """The number of the distinct row that each row is."""
        if len(self.rows.columns) == 1:
            return np.unique(self.rows.columns[0], return_inverse=True)[1].ravel()
        table = np.array(self.rows.columns).T
        return np.unique(table, axis=0, return_inverse=True)[1].ravel()

    @property
    def distinct(self) -> int:
        return int(self.groups.max()) + 1

    @cached_property
    def size(self) -> float:
        """sum of log scales of the continuous columns."""
        scales = [scale_of(self.rows.columns[i]) for i in self.continuous]
        return float(sum(math.log(s) for s in scales)) if all(s > 0 for s in scales) else math.inf

    def collapsed(self, theta: Sequence[float]) -> list[int]:
        """The branches that have collapsed; every branch where theta has no finite l."""
        if not self.continuous:
            return []
        a = self.rows.joint(theta)
        with np.errstate(all="ignore"):
            r = np.exp(a - a.max(axis=0))
            r /= r.sum(axis=0)
            if self.rows.weights is not None:
                r *= self.rows.weights
            numbers = r.sum(axis=1)
            logs = np.log(np.maximum(self.weights(theta, self.rows.constants), 1e-300))
        if not np.isfinite(numbers).all():
            return list(self.moving)
        found = []
        for j in self.moving:
            if numbers[j] <= 1e-9 * self.rows.n:
                continue  # empty: another matter
            mine = r[j] > 0
            mean = float(r[j][mine] @ a[j][mine]) / float(numbers[j]) - float(logs[j])
            d = len(self.continuous)
            if mean + self.size + PEAK * d > -math.log(NARROW) * d:
                found.append(j)
            elif self.unbounded:
                heaviest = float(np.bincount(self.groups, weights=r[j]).max())
                if numbers[j] - heaviest < ALONE * numbers[j]:
                    found.append(j)
        return found


__all__ = ["Guard"]
