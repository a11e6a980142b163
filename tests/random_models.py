"""Densities composed at random from known laws, data drawn from them, and a plain search for their maximum.

A density is valid by construction: powers, transmutations, truncations, tilts and transformations of laws whose
distribution functions are known. The search is SciPy's, on log densities written in NumPy, from twenty starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from random_models_laws import (  # type: ignore[import-not-found]
    ANYWHERE,
    COUNTS,
    CUTS,
    POSITIVE,
    REAL,
    UNIT,
    Counts,
    Law,
    Names,
    Parameter,
    exponential_of,
    logarithm_of,
    quantiles,
    root_of,
    scaled,
    shifted_and_scaled,
    size_biased,
    unit_of,
    whole_part_of,
    without_zero,
)
from scipy.optimize import minimize
from sympy import Expr, Interval, Range, Symbol, oo

Array = NDArray[Any]
Point = dict[str, float]
STARTS = 20
MOST_PARAMETERS = 4
NEAR, FAR, FARTHEST = 8.0, 20.0, 36.0  # how far free coordinates may go; the last nears the ends of doubles
FLOOR = 1e300


@dataclass(frozen=True)
class RandomModel:
    """A law composed at random, and a sample of it."""

    seed: int
    law: Law | Counts
    data: Array

    @property
    def name(self) -> str:
        return str(self.law.name)

    @cached_property
    def density(self) -> tuple[Symbol, Expr]:
        """The data symbol and the density as an expression."""
        if isinstance(self.law, Counts):
            x = Symbol("x", integer=True, nonnegative=True)
            return x, self.law.mass(x)
        x = Symbol("x", positive=True) if float(self.law.low) >= 0 else Symbol("x", real=True)
        return x, self.law.density(x)

    @property
    def support(self) -> Any:
        if isinstance(self.law, Counts):
            return Range(self.law.first, oo)
        return Interval.open(self.law.low, self.law.high)

    @property
    def domains(self) -> dict[Symbol, Any]:
        kinds = {
            "positive": Interval.open(0, oo),
            "real": Interval(-oo, oo),
            "unit": Interval.open(0, 1),
            "closed": Interval(-1, 1),
        }
        return {p.symbol: kinds[p.kind] for p in self.law.parameters}

    # --- the plain search -----------------------------------------------------------------------
    def log_likelihood(self, point: Point) -> float:
        """l by NumPy; -inf where the density is not positive or not a number at a row."""
        with np.errstate(all="ignore"):
            if isinstance(self.law, Counts):
                rows = self.law.log_mass(self.data, point)
            else:
                rows = self.law.logs(self.data, point).density
            total = float(np.sum(rows))
        return total if math.isfinite(total) else -math.inf

    def height(self, u: Array, reach: float) -> float:
        if not np.all(np.abs(u) <= reach):
            return -math.inf
        return self.log_likelihood(self.point(u))

    def point(self, u: Array) -> Point:
        """Parameters at free coordinates."""
        return {p.name: _value(p, float(v), self.scale) for p, v in zip(self.law.parameters, u, strict=True)}

    def coordinates(self, point: Point) -> Array:
        return np.array([_coordinate(p, point[p.name], self.scale) for p in self.law.parameters])

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Where a location may be: the median of the data and their spread."""
        return float(np.median(self.data)), float(np.std(self.data)) or 1.0

    def best(self, reach: float = FAR, starts: int = STARTS) -> tuple[float, Point]:
        """The largest l that the search meets, its free coordinates kept within `reach`."""
        rng = np.random.default_rng(self.seed + 10**6)
        truth = self.coordinates(self.law.truth)
        top, where = -math.inf, truth
        begins = [truth, *(rng.normal(0, 1.5, len(truth)) for _ in range(starts - 1))]
        for begin in begins:
            for way in ("L-BFGS-B", "Nelder-Mead"):
                begin = self._climb(begin, way, reach)
            height = self.height(begin, reach)
            if height > top:
                top, where = height, begin
        end = self._climb(where, "Nelder-Mead", reach)
        return max(top, self.height(end, reach)), self.point(end)

    def _climb(self, begin: Array, way: str, reach: float) -> Array:
        def depth(u: Array) -> float:
            height = self.height(u, reach)
            return -height if math.isfinite(height) else FLOOR

        if way == "Nelder-Mead":
            simplex = np.vstack([begin, begin + 0.1 * np.eye(len(begin))])
            options: Any = {
                "initial_simplex": simplex,
                "maxfev": 300 * len(begin),
                "xatol": 1e-9,
                "fatol": 1e-11,
            }
            found = minimize(depth, begin, method=way, options=options)
        else:
            found = minimize(depth, begin, method=way, bounds=[(-reach, reach)] * len(begin))
        return found.x if found.fun <= depth(begin) else begin

    def rises(self, starts: int = STARTS) -> bool:
        """Whether l is higher the farther the search may go: its supremum is not attained near."""
        near, far = (self.best(reach, starts)[0] for reach in (NEAR, FAR))
        return far > near + 1e-10 * (1 + abs(near))

    def is_unbounded(self, starts: int = STARTS) -> bool:
        """Whether l climbs by steps that do not shrink as the search may go farther and farther."""
        heights = [self.best(reach, starts)[0] for reach in (NEAR, FAR, FARTHEST)]
        first, second = heights[1] - heights[0], heights[2] - heights[1]
        return second > 1 and first > 1


def _value(p: Parameter, u: float, scale: tuple[float, float]) -> float:
    if p.kind == "positive":
        return math.exp(u)
    if p.kind == "unit":
        return 1 / (1 + math.exp(-u))
    if p.kind == "closed":
        return min(max(u / 2, -1.0), 1.0)
    return scale[0] + scale[1] * math.sinh(u)


def _coordinate(p: Parameter, value: float, scale: tuple[float, float]) -> float:
    if p.kind == "positive":
        return math.log(value)
    if p.kind == "unit":
        return math.log(value) - math.log1p(-value)
    if p.kind == "closed":
        return 2 * value
    return math.asinh((value - scale[0]) / scale[1])


# --- composition --------------------------------------------------------------------------------
def composed(seed: int) -> RandomModel:
    """The model of a seed."""
    rng = np.random.default_rng(seed)
    while True:
        names = Names(rng)
        law = _law(rng, names)
        if 0 < len(law.parameters) <= MOST_PARAMETERS:
            size = int(np.exp(rng.uniform(math.log(20), math.log(400))))
            data = sample(law, rng, size)
            if np.isfinite(data).all() and len(np.unique(data)) > min(3, 1 + len(law.parameters)):
                return RandomModel(seed, law, data)


def _law(rng: np.random.Generator, names: Names) -> Law | Counts:
    kind = rng.choice(["positive", "real", "unit", "whole", "counts"], p=[0.45, 0.25, 0.12, 0.1, 0.08])
    if kind == "counts":
        counts = _one(rng, COUNTS)(names)
        return _one(rng, (without_zero, size_biased, lambda law, _: law))(counts, names)
    if kind == "real":
        law = _changed(_one(rng, REAL)(names), rng, names, 2)
        law = shifted_and_scaled(law, names)
        law = _one(rng, (exponential_of, lambda law, _: law, lambda law, _: law))(law, names)
    elif kind == "unit":
        law = _changed(_one(rng, (*UNIT, *POSITIVE))(names), rng, names, 1)
        if law.high == oo:
            law = unit_of(law, names)
        law = _changed(law, rng, names, 1)
    else:
        law = _changed(_one(rng, POSITIVE)(names), rng, names, 1)
        if rng.random() < 0.4:
            law = _one(rng, (scaled, root_of))(law, names)
        law = _changed(law, rng, names, 1)
        if kind == "whole":
            counts = whole_part_of(law, names)
            return without_zero(counts, names) if rng.random() < 0.3 else counts
        if rng.random() < 0.15:
            law = shifted_and_scaled(logarithm_of(law, names), names)
    if rng.random() < 0.2:
        law = _one(rng, CUTS)(law, names)
    return law


def _changed(law: Law, rng: np.random.Generator, names: Names, most: int) -> Law:
    for _ in range(int(rng.integers(0, most + 1))):
        law = _one(rng, ANYWHERE)(law, names)
    return law


def _one(rng: np.random.Generator, choices: Any) -> Callable[..., Any]:
    return choices[int(rng.integers(len(choices)))]  # type: ignore[no-any-return]


def sample(law: Law | Counts, rng: np.random.Generator, size: int) -> Array:
    """Data by inversion, to five digits, inside the support."""
    shares = rng.uniform(0, 1, size)
    if isinstance(law, Counts):
        x = np.arange(law.first, law.first + 20000, dtype=float)
        with np.errstate(all="ignore"):
            total = np.cumsum(np.exp(law.log_mass(x, law.truth)))
        return x[np.minimum(np.searchsorted(total, shares), len(x) - 1)]
    drawn = quantiles(law, shares)
    with np.errstate(all="ignore"):
        digits = 4 - np.floor(np.log10(np.abs(drawn)))
        short = np.round(drawn * 10**digits) / 10**digits
    return np.where((short > float(law.low)) & (short < float(law.high)), short, drawn)
