"""A fit seen in usual units: what follows it is computed there and brought back, p = slope p' + offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.compiling.kernels import CONTEXT
from symmle.fitting.distribution import FittedDistribution
from symmle.fitting.plan import plan_of
from symmle.fitting.solution import Solution
from symmle.fitting.units import UsualUnits, usual_units_at

Array = NDArray[Any]


@dataclass(frozen=True)
class View:
    """The fit in usual units, and for each parameter the slope and the offset that lead back."""

    result: Any
    slopes: dict[str, float]
    offsets: dict[str, float]

    def value(self, name: str, value: float) -> float:
        """The parameter for the data as given."""
        return self.slopes[name] * value + self.offsets[name]

    def interval(self, name: str, ends: tuple[float, float]) -> tuple[float, float]:
        return self.value(name, ends[0]), self.value(name, ends[1])

    def array(self, estimates: Array) -> Array:
        """Estimates by row, in the order of the parameters."""
        found: Array = estimates * np.array(list(self.slopes.values())) + np.array(
            list(self.offsets.values())
        )
        return found


def view_of(result: Any) -> View | None:
    """The fit in usual units; None where its data are in such units, or the family allows no change."""
    if "_view" not in result.__dict__:
        usual = usual_units_of(result)
        result.__dict__["_view"] = None if usual is None else _seen(result, usual)
    found: View | None = result.__dict__["_view"]
    return found


def usual_units_of(result: Any) -> UsualUnits | None:
    """The units of the fit, or for a closed form those that its data ask for."""
    found: UsualUnits | None = result.solution.usual
    if found is None:
        plan = plan_of(result.derivation)
        values = result.solution.values
        constants = {c: values[c] for c in plan.declaration.constants if c in values}
        found = usual_units_at(plan, result.table, constants, values)
    return found


def _seen(result: Any, usual: UsualUnits) -> View:
    plan = plan_of(result.derivation)
    solution = result.solution
    inner = Solution(usual.values, solution.method, boundary=solution.boundary, unbounded=solution.unbounded)
    zero = {p: CONTEXT.mpf(0) for p in plan.parameters}
    for change in reversed(usual.changes):
        zero = change.forward(zero)
    slopes = {str(p): float(usual.slope(p)) for p in plan.parameters}
    offsets = {str(p): float(zero[p]) for p in plan.parameters}
    seen = type(result)(result.derivation, usual.table, inner)
    seen.__dict__["_view"] = None
    return View(seen, slopes, offsets)


class MovedDistribution(FittedDistribution):
    """The law of shift + factor X, where X has the fitted law of the data in usual units."""

    def __init__(self, inner: FittedDistribution, outer: FittedDistribution, shift: float, factor: float):
        self.__dict__.update(outer.__dict__)
        self._inner, self._shift, self._factor = inner, shift, factor

    def _there(self, x: Any) -> Array:
        found: Array = (np.asarray(x, dtype=float) - self._shift) / self._factor
        return found

    def logpdf(self, *columns: Any) -> Array:
        return self._inner.logpdf(*map(self._there, columns)) - np.log(self._factor)

    def cdf(self, x: Any) -> Array:
        return self._inner.cdf(self._there(x))

    def sf(self, x: Any) -> Array:
        return self._inner.sf(self._there(x))

    def ppf(self, q: Any) -> Array:
        return self._inner.ppf(q) * self._factor + self._shift

    def expect(self, g: Any = None) -> float:
        return self._inner.expect(lambda u: (g or _same)(u * self._factor + self._shift))

    def var(self) -> float:
        return self._inner.var() * self._factor**2

    def entropy(self) -> float:
        return self._inner.entropy() + float(np.log(self._factor))


def _same(x: Array) -> Array:
    return x


def distribution_of(result: Any) -> FittedDistribution:
    """The fitted law, evaluated in usual units where the data are in others."""
    plan = plan_of(result.derivation)
    columns = result.table.samples[0].columns
    outer = FittedDistribution(plan, result.solution.values, next(iter(columns.values()), None))
    view = view_of(result)
    if view is None or not outer._alone:
        return outer
    shift, factor = 0.0, 1.0
    for change in reversed(usual_units_of(result).changes):  # type: ignore[union-attr]
        shift, factor = change.shift + change.factor * shift, change.factor * factor
    return MovedDistribution(view.result.distribution, outer, shift, factor)


__all__ = ["MovedDistribution", "View", "distribution_of", "usual_units_of", "view_of"]
