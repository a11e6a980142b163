"""Free coordinates of a domain, and points that cover it at the scales of the data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT


@dataclass(frozen=True)
class Coordinate:
    """theta as an increasing function of t in R.

    Half lines by exp, intervals by the logistic function, the line by `centre + scale * t`.
    """

    low: float
    high: float
    centre: float = 0.0
    scale: float = 1.0

    @property
    def is_bounded(self) -> bool:
        """Whether the domain has an end."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def value(self, t: float) -> float:
        if math.isfinite(self.low) and math.isfinite(self.high):
            if t < 0:
                return self.low + (self.high - self.low) * (math.exp(t) / (1 + math.exp(t)))
            return self.high - (self.high - self.low) * (math.exp(-t) / (1 + math.exp(-t)))
        if math.isfinite(self.low):
            return self.low + _exp(t)
        if math.isfinite(self.high):
            return self.high - _exp(-t)
        return self.centre + self.scale * t

    def at(self, theta: float) -> float:
        """The t of a theta inside the domain."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return _log(theta - self.low) - _log(self.high - theta)
        if math.isfinite(self.low):
            return _log(theta - self.low)
        if math.isfinite(self.high):
            return -_log(self.high - theta)
        return (theta - self.centre) / self.scale

    def slopes(self, theta: float) -> tuple[float, float]:
        """d theta/dt and d2 theta/dt2."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            width = self.high - self.low
            p = (theta - self.low) / width
            return width * p * (1 - p), width * p * (1 - p) * (1 - 2 * p)
        if math.isfinite(self.low):
            return theta - self.low, theta - self.low
        if math.isfinite(self.high):
            return self.high - theta, theta - self.high
        return self.scale, 0.0


def scales_of(table: Table) -> list[float]:
    """Magnitudes that the data suggest: of the values, of their spread, of the ratio of both."""
    found = [1.0]
    for sample in table.samples:
        for column, values in sample.columns.items():
            largest = max(abs(sample.minimum[column]), abs(sample.maximum[column]))
            if largest == 0:
                continue
            exponent = math.frexp(largest)[1]
            part = np.ldexp(values[:: max(1, len(values) // 2000)], -exponent)
            size = _times(float(np.mean(np.abs(part))), exponent)
            spread = float(np.std(part))
            found += [size, _over(size)]
            if spread > 1e-14:
                found += [_times(spread, exponent), _over(_times(spread, exponent))]
                ratio = float(np.mean(np.abs(part))) / spread
                if ratio > 30:
                    found += [ratio, ratio**2]
    kept: list[float] = []
    for scale in found:
        if math.isfinite(scale) and scale > 0 and all(abs(math.log(scale) - math.log(k)) > 0.5 for k in kept):
            kept.append(scale)
    return kept


def covering(low: float, high: float, table: Table, dense: bool = True) -> list[float]:
    """Increasing points of a domain, dense where the data's scales are and thin far out."""
    scales = scales_of(table)
    near = np.arange(-3, 3.01, 0.1 if dense else 0.5)
    far = np.concatenate([np.arange(-30, -12, 3), np.arange(-12, -3, 0.75)])
    powers = np.concatenate([far, near, -far[::-1]]).tolist()
    steps = sorted({s * 10.0**p for s in scales for p in powers if 1e-307 < s * 10.0**p < 1e307})
    steps = _thinned(steps, 1.1 if dense else 1.5)
    if math.isfinite(low) and math.isfinite(high):
        t = np.concatenate(
            [np.arange(-34, -6, 1.5), np.arange(-6, 6.01, 0.1 if dense else 0.5), np.arange(7, 35, 1.5)]
        )
        points = [Coordinate(low, high).value(float(u)) for u in t]
    elif math.isfinite(low):
        points = [low + s for s in steps]
    elif math.isfinite(high):
        points = [high - s for s in steps]
    else:
        points = [sign * s for s in steps for sign in (-1.0, 1.0)] + [0.0]
        for centre, size in _places(table, dense):
            points += [centre] + [
                centre + sign * size * 10.0**p
                for sign in (-1, 1)
                for p in np.arange(-8, 1.1, 0.5 if dense else 2).tolist()
            ]
    points += [p for p, _ in _places(table, dense)] if math.isfinite(low) != math.isfinite(high) else []
    return sorted({p for p in points if low < p < high and math.isfinite(p)})


def _places(table: Table, dense: bool) -> Iterable[tuple[float, float]]:
    """Where data lie, and how far around to look: quantiles of every column."""
    for sample in table.samples:
        for column, values in sample.columns.items():
            part = np.sort(values[:: max(1, len(values) // 2000)])
            spread = sample.maximum[column] - sample.minimum[column]
            if not math.isfinite(spread):
                continue
            if spread == 0:
                spread = abs(sample.maximum[column]) or 1.0
            count = min(len(part), 33 if dense else 5)
            ranks = np.linspace(0, len(part) - 1, count).astype(int)
            edges = (sample.minimum[column], sample.maximum[column], sample.pivot[column])
            for edge in edges:
                yield edge, spread
            inner = [float(v) for v in part[ranks]]
            for first, second in zip(inner, inner[1:], strict=False):
                if first < second:
                    yield first, 0.0
                    yield first + (second - first) / 2, 0.0


def _thinned(steps: list[float], ratio: float) -> list[float]:
    kept: list[float] = []
    for step in steps:
        if not kept or step > ratio * kept[-1]:
            kept.append(step)
    return kept


def _times(number: float, exponent: int) -> float:
    try:
        return math.ldexp(number, exponent)
    except OverflowError:
        return math.inf


def _over(number: float) -> float:
    return 1 / number if number and math.isfinite(1 / number) else math.inf


def _log(gap: float) -> float:
    """log of a distance to an end, which a point next to it may be rounded onto."""
    return math.log(max(gap, 5e-324))


def _exp(t: float) -> float:
    return math.exp(min(max(t, -745.0), 709.0))


def ends_of(low: object, high: object) -> tuple[float, float]:
    """Ends of a domain as doubles."""
    return float(CONTEXT.convert(low)), float(CONTEXT.convert(high))
