"""Profile-likelihood intervals: {theta_k : 2 (l(theta-hat) - sup over the others of l) <= chi2 quantile}."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from scipy.optimize import brentq
from scipy.stats import chi2
from sympy import Symbol

from symmle.errors import NotConvergedError
from symmle.fitting.ascent import FAR
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.refits import Refits
from symmle.fitting.surface_sums import Rows

GAIN = 1e-7  # by which another maximum must be higher to be one


class BetterMaximum(Exception):
    """The profile met a higher likelihood than that of the estimates."""

    def __init__(self, values: dict[Symbol, float], height: float):
        super().__init__(height)
        self.values, self.height = values, height


def profile_interval(
    refits: Refits,
    rows: Rows,
    estimate: Mapping[Symbol, float],
    parameter: Symbol,
    level: float,
    spread: float,
) -> tuple[float, float]:
    """The interval of one parameter; an end of its domain where the profile does not fall far enough.

    Parameters
    ----------
    spread
        A first guess of the half width, in units of the parameter.

    Raises
    ------
    BetterMaximum
        A profile maximum is higher than the estimate.
    """
    coordinate = refits.coordinates[parameter]
    top = refits.sums(rows, refits.plan.parameters, {}).value([estimate[p] for p in refits.plan.parameters])
    drop = float(chi2.ppf(level, 1)) / 2
    centre = coordinate.at(estimate[parameter])
    slope = coordinate.slopes(estimate[parameter])[0]
    step = max(abs(spread / slope) if slope else 1.0, 1e-8 * (1 + abs(centre)))
    ends = []
    for side in (-1.0, 1.0):
        profiled: dict[float, dict[Symbol, float]] = {centre: dict(estimate)}

        def excess(t: float, profiled: dict[float, dict[Symbol, float]] = profiled) -> float:
            """l at the profile over t, less the height that the ends have; each ascent starts at the nearest point."""
            nearest = profiled[min(profiled, key=lambda s: abs(s - t))]
            found = refits.maximum(rows, {**nearest, parameter: coordinate.value(t)}, (parameter,), 1e-7)
            if found is None:
                return -math.inf
            values, height = found
            if height > top + GAIN * (1 + abs(top)):
                raise BetterMaximum(values, height)
            profiled[t] = values
            return height - top + drop

        inner, outer = centre, centre + side * step
        bounded = math.isfinite(coordinate.low) or math.isfinite(coordinate.high)
        for _ in range(60):
            value = excess(outer)
            if value < 0:
                break
            inner, outer = outer, outer + 1.6 * (outer - centre)
            if bounded and abs(outer - centre) > FAR:
                break
        if value >= 0 or (math.isinf(value) and abs(outer - centre) > 30 * step and bounded):
            ends.append(coordinate.value(side * math.inf) if not bounded else _edge(coordinate, side))
            continue
        if math.isinf(value):  # no maximum over the others was reached there: nearer, and on from there
            inner, outer = _nearer(excess, inner, outer, side * step, parameter, coordinate)
        ends.append(coordinate.value(brentq(excess, inner, outer, xtol=1e-10 * (1 + abs(outer)), rtol=1e-13)))
    return ends[0], ends[1]


def _nearer(
    excess: Callable[[float], float],
    inner: float,
    outer: float,
    step: float,
    parameter: Symbol,
    coordinate: Coordinate,
) -> tuple[float, float]:
    """Two points between which the excess changes sign, where it has no value at the outer one."""
    for _ in range(80):
        middle = inner + (outer - inner) / 2
        near = abs(outer - inner) < abs(step) / 32
        value = excess(outer if near else middle)
        if math.isfinite(value):
            point = outer if near else middle
            if value < 0:
                return inner, point
            inner, outer = point, (outer + step if near else outer)
        elif abs(outer - inner) < 1e-9 * (1 + abs(outer)):
            break
        else:
            outer = middle
    raise NotConvergedError(f"the profile of `{parameter}` ends at {coordinate.value(inner):.6g}")


def _edge(coordinate: Any, side: float) -> float:
    return float(coordinate.low if side < 0 else coordinate.high)


__all__ = ["BetterMaximum", "profile_interval"]
