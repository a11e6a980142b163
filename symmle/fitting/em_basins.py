"""Maxima that EM has met: a later start on the slope of one of them need not be followed to its end."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from symmle.fitting.em_labels import Exchange, Weights, in_order
from symmle.fitting.em_run import End, Runner

Array = NDArray[np.float64]
SAME = 1.0, 0.02  # log-likelihood below a maximum, also per row, up to which a point may be on its slope
AGREES = 0.15  # part by which l may differ from its parabola there


@dataclass(frozen=True)
class Basin:
    """A maximum in free coordinates t with J = -D2l there: around it l = l_max - (t - t_max)' J (t - t_max)/2."""

    end: End
    at: Array
    information: Array
    reach: float

    def holds(self, at: Array, height: float) -> bool:
        """Whether l at a point is what the parabola says."""
        away, below = at - self.at, self.end.height - height
        said = 0.5 * float(away @ self.information @ away)
        return said < self.reach and abs(below - said) <= AGREES * said + 1e-12 * (1 + abs(height))


@dataclass
class Basins:
    """The maxima met on one table of rows."""

    runner: Runner
    weights: Weights
    exchange: Exchange
    met: list[Basin] = field(default_factory=list)

    def remember(self, end: End, information: Array) -> None:
        at = self.runner.free(end.theta)
        if at is not None:
            reach = max(SAME[0], SAME[1] * self.runner.n)
            self.met.append(Basin(end, at, information, reach))

    def known(self, theta: list[float], height: float) -> End | None:
        """The maximum on whose slope this point lies, up to the order of labels."""
        if not self.met or not np.isfinite(height):
            return None
        points = [theta]
        if self.runner.rows.known is None:
            points.append(in_order(self.exchange, self.weights, theta, self.runner.rows.constants))
        for point in points:
            at = self.runner.free(point)
            for basin in self.met:
                if at is not None and basin.holds(at, height):
                    return basin.end
        return None


__all__ = ["Basin", "Basins"]
