"""A plain numeric search for the maximum of a log-likelihood: numpy and scipy, nothing of symmle.

A `RandomCase` is a model of the corpus written by hand: how a sample is drawn, the log density of its rows,
where the parameters lie. The search climbs by Nelder and Mead's simplex from random starts and from points that
the data suggest (order statistics, whole numbers, members of a finite set).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Columns = dict[str, NDArray[Any]]
Point = dict[str, float]
WORST = 1e300
NARROW, WIDE = 1e-3, 1e-7  # how near to an open edge (or to infinity, 1/eps) a search may go


@dataclass(frozen=True)
class Space:
    """Where one real parameter lies. `scale` is the size of usual values, `ends` those of a bounded space.

    kind: "real", "positive", "open" (an interval without its ends) or "closed".
    """

    kind: str
    scale: float = 1.0
    ends: tuple[float, float] = (0.0, 1.0)

    def point(self, u: float) -> float:
        """The parameter at the unbounded coordinate u; usual values at u of size 1."""
        if self.kind == "real":
            return self.scale * u
        if self.kind == "positive":
            return self.scale * math.exp(min(max(u, -600.0), 600.0))
        lo, hi = self.ends
        if self.kind == "open":
            return lo + (hi - lo) / (1 + math.exp(min(max(-u, -600.0), 600.0)))
        return min(max(lo + (hi - lo) * (0.5 + u / 2), lo), hi)

    def coordinate(self, value: float) -> float:
        if self.kind == "real":
            return value / self.scale
        if self.kind == "positive":
            return math.log(value / self.scale)
        lo, hi = self.ends
        part = (value - lo) / (hi - lo)
        return math.log(part / (1 - part)) if self.kind == "open" else 2 * part - 1

    def allows(self, value: float, eps: float) -> bool:
        if self.kind == "real":
            return abs(value) <= self.scale / eps
        if self.kind == "positive":
            return self.scale * eps <= value <= self.scale / eps
        lo, hi = self.ends
        gap = eps * (hi - lo) if self.kind == "open" else 0.0
        return lo + gap <= value <= hi - gap


def _nothing(columns: Columns, eps: float) -> list[Point]:
    return []


def _anywhere(columns: Columns, point: Point, eps: float) -> bool:
    return True


def _same(point: Point) -> Point:
    return point


@dataclass(frozen=True)
class RandomCase:
    """One case of the corpus for random data.

    Attributes
    ----------
    name : str
        Its id in the corpus.
    draw : callable
        rng -> columns, and `weights` where the rows have counts.
    log_density : callable
        (columns, parameters) -> one number a row; -inf outside the support.
    spaces : dict
        The free real parameters.
    members : dict
        The values to try of whole-number and finite parameters, from the columns.
    candidates : callable
        (columns, eps) -> points that the data suggest; eps is the distance kept from an open edge.
    keeps_off : callable
        (columns, parameters, eps) -> whether the point keeps eps off the open ends of a moving support.
    expand : callable
        Free parameters -> all parameters, where constraints tie them.
    narrow : float
        The larger eps of the two at which a refused likelihood must be seen to rise.
    refusals : tuple of str
        The classes of errors with which `fit` may answer.
    unbounded : bool
        The likelihood has no upper bound on any sample.
    """

    name: str
    draw: Callable[[np.random.Generator], Columns]
    log_density: Callable[[Columns, Point], NDArray[Any]]
    spaces: Mapping[str, Space] = field(default_factory=dict)
    members: Mapping[str, Callable[[Columns], Iterable[float]]] = field(default_factory=dict)
    candidates: Callable[[Columns, float], list[Point]] = _nothing
    keeps_off: Callable[[Columns, Point, float], bool] = _anywhere
    expand: Callable[[Point], Point] = _same
    narrow: float = NARROW
    refusals: tuple[str, ...] = ("NoMaximumError",)
    unbounded: bool = False

    def log_likelihood(self, columns: Columns, point: Point) -> float:
        """Sum over rows of w log f; -inf where a row of positive weight is outside the support."""
        with np.errstate(all="ignore"):
            rows = np.asarray(self.log_density(columns, point), dtype=float)
        weights = columns.get("weights", np.ones(rows.shape))
        used = rows[weights > 0]
        if np.isnan(used).any():
            return -math.inf
        return float(np.sum(used * weights[weights > 0]))


def search(
    case: RandomCase, columns: Columns, rng: np.random.Generator, starts: int, eps: float = WIDE
) -> tuple[float, Point]:
    """The largest log-likelihood that was met, and where (all parameters)."""
    names = list(case.spaces)
    best: tuple[float, Point] = (-math.inf, {})
    suggested = case.candidates(columns, eps)
    for values in itertools.product(*(list(m(columns)) for m in case.members.values())):
        other = dict(zip(case.members, values, strict=True))
        for start in _starts(case, names, suggested, rng, starts):
            height, point = _climb(case, columns, names, other, start, eps)
            if height > best[0]:
                best = height, case.expand(point)
    return best


def _starts(
    case: RandomCase, names: list[str], suggested: list[Point], rng: np.random.Generator, count: int
) -> Iterable[NDArray[Any]]:
    for point in suggested:
        yield np.array([case.spaces[p].coordinate(point[p]) for p in names])
    for _ in range(count if names else 1):
        yield rng.normal(0, 1, len(names))


def _climb(
    case: RandomCase, columns: Columns, names: list[str], other: Point, start: NDArray[Any], eps: float
) -> tuple[float, Point]:
    def point_at(u: NDArray[Any]) -> Point:
        return {**other, **{p: case.spaces[p].point(float(v)) for p, v in zip(names, u, strict=True)}}

    def depth(u: NDArray[Any]) -> float:
        point = point_at(u)
        if not all(case.spaces[p].allows(point[p], eps) for p in names):
            return WORST
        if not case.keeps_off(columns, point, eps):
            return WORST
        value = -case.log_likelihood(columns, case.expand(point))
        return value if value < WORST else WORST

    if not names:
        return _height(depth(start)), point_at(start)
    at = start
    for size in (0.5, 0.02):
        simplex = np.vstack([at, at + size * np.eye(len(names))])
        options = {"initial_simplex": simplex, "maxfev": 250 * len(names), "xatol": 1e-10, "fatol": 1e-12}
        with np.errstate(all="ignore"):
            at = minimize(depth, at, method="Nelder-Mead", options=options).x
    lowest = min((at, start), key=depth)
    return _height(depth(lowest)), point_at(lowest)


def _height(depth: float) -> float:
    return -depth if depth < WORST else -math.inf
