"""Intervals and standard errors of a fit: Wald, profile, bootstrap, sandwich, delta method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sympy import Expr, Interval, Symbol

from symmle.errors import NotDerivedError
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.profile_intervals import BetterMaximum, profile_interval
from symmle.fitting.refits import Refits
from symmle.fitting.sandwich import sandwich
from symmle.fitting.solution import Solution, number
from symmle.fitting.views import usual_units_of, view_of

MOVED = "A profile met a higher maximum than the fit had found; the estimates moved there."
METHODS = ("wald", "plain", "profile", "bootstrap")
ERRORS = ("observed", "expected", "sandwich", "bootstrap")


@dataclass(frozen=True)
class Derived:
    """g(theta-hat), its standard error by the delta method, and an interval."""

    expression: Expr
    estimate: float
    standard_error: float | None
    interval: tuple[float, float] | None


def intervals(
    result: Any, level: float = 0.95, method: str = "wald", seed: int | None = 0
) -> dict[str, tuple[float, float]]:
    """Intervals by parameter name; see `FitResult.confidence_intervals`."""
    if not 0 < level < 1:
        raise ValueError(f"Expected a level between 0 and 1, got {level}.")
    if method not in METHODS:
        raise ValueError(f"Expected method to be one of {', '.join(METHODS)}, got {method!r}.")
    if method == "bootstrap":
        return result.bootstrap(seed=seed).intervals(level)  # type: ignore[no-any-return]
    if method == "profile":
        return _profiles(result, level)
    errors = result.standard_errors
    if errors is None:
        raise NotDerivedError(f"No Wald intervals: {result._covariance.reason}")
    z = float(ndtri(0.5 + level / 2))
    plan = plan_of(result.derivation)
    found = {}
    for p in plan.parameters:
        name, value = str(p), result.estimates[str(p)]
        coordinate = None if method == "plain" else _coordinate(plan, p, result.solution.values)
        if coordinate is None:
            found[name] = (value - z * errors[name], value + z * errors[name])
            continue
        half = z * errors[name] / coordinate.slopes(value)[0]
        centre = coordinate.at(value)
        found[name] = (coordinate.value(centre - half), coordinate.value(centre + half))
    return found


def _coordinate(plan: Plan, parameter: Symbol, values: Mapping[Symbol, Any]) -> Coordinate | None:
    """A scale without ends; None for the whole line."""
    domain = plan.domain_of(parameter)
    if not isinstance(domain, Interval):
        return None
    found = Coordinate(float(plan.scalar(domain.start, values)), float(plan.scalar(domain.end, values)))
    return found if math.isfinite(found.low) or math.isfinite(found.high) else None


def _profiles(result: Any, level: float) -> dict[str, tuple[float, float]]:
    view = view_of(result)
    if view is not None:
        found = _profiles(view.result, level)
        if view.result.solution.status == MOVED:
            _follow(result)
        return {name: view.interval(name, ends) for name, ends in found.items()}
    plan = plan_of(result.derivation)
    constants = {
        c: result.solution.values[c] for c in plan.declaration.constants if c in result.solution.values
    }
    refits = Refits(plan, constants)
    rows = refits.rows_of(result.table)
    for _ in range(5):
        estimate = {p: float(result.solution.values[p]) for p in plan.parameters}
        errors = result.standard_errors or {str(p): 0.1 * (1 + abs(v)) for p, v in estimate.items()}
        try:
            return {
                str(p): profile_interval(refits, rows, estimate, p, level, 2 * errors[str(p)])
                for p in plan.parameters
            }
        except BetterMaximum as better:
            _move(result, plan, refits, rows, better)
    raise NotDerivedError(f"{plan.name}: the profiles keep meeting higher maxima.")


def _follow(result: Any) -> None:
    """The result moves to where its view in usual units did."""
    units = usual_units_of(result)
    assert units is not None
    values = view_of(result).result.solution.values  # type: ignore[union-attr]
    units = replace(units, values=values)
    for change in reversed(units.changes):
        values = change.forward(values)
    _moved_to(result, Solution(values, "newton", MOVED, usual=units))


def _moved_to(result: Any, solution: Solution) -> None:
    for name in [n for n in result.__dict__ if n not in ("derivation", "table")]:
        del result.__dict__[name]
    result.__init__(result.derivation, result.table, solution)


def _move(result: Any, plan: Plan, refits: Refits, rows: Any, better: BetterMaximum) -> None:
    """The result goes on from a higher point that a profile met."""
    found = refits.maximum(rows, better.values)
    values = better.values if found is None else found[0]
    solution = Solution({**result.solution.values, **{p: number(v) for p, v in values.items()}}, "newton")
    solution.status = MOVED
    _moved_to(result, solution)


def errors_by(result: Any, method: str = "observed", seed: int | None = 0) -> dict[str, float] | None:
    """Standard errors by name; None where the theory gives none."""
    if method not in ERRORS:
        raise ValueError(f"Expected method to be one of {', '.join(ERRORS)}, got {method!r}.")
    if method == "bootstrap":
        return result.bootstrap(seed=seed).standard_errors  # type: ignore[no-any-return]
    view = view_of(result)
    if view is not None:
        errors = errors_by(view.result, method, seed)
        return None if errors is None else {k: v * view.slopes[k] for k, v in errors.items()}
    if result.standard_errors is None:
        return None
    plan = plan_of(result.derivation)
    if method == "observed":
        return dict(result.standard_errors)
    if method == "sandwich":
        matrix = sandwich(plan, result.table, result.solution.values, result.covariance)
    else:
        matrix = _expected(result, plan)
    return {str(p): math.sqrt(matrix[k, k]) for k, p in enumerate(plan.parameters)}


def _expected(result: Any, plan: Plan) -> NDArray[Any]:
    information = result.derivation.information
    if information.expected is None:
        raise NotDerivedError(f"{plan.name}: the expected information was not derived: {information.reason}")
    entries = plan.compile(list(information.expected)).precise(result.table, result.solution.values)
    size = len(plan.parameters)
    matrix = np.array([float(v.number) for v in entries]).reshape(size, size)
    return np.linalg.inv(matrix)


def derived(result: Any, expression: Any, level: float = 0.95) -> Derived:
    """g at the estimates and its standard error; see `FitResult.derived`."""
    plan = plan_of(result.derivation)
    g = result.derivation._in_parameters(expression)
    values = result.solution.values
    estimate = float(plan.scalar(g, values))
    covariance = result.covariance
    if covariance is None:
        return Derived(g, estimate, None, None)
    gradient = np.array([float(plan.scalar(g.diff(p), values)) for p in plan.parameters])
    error = math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
    z = float(ndtri(0.5 + level / 2))
    return Derived(g, estimate, error, (estimate - z * error, estimate + z * error))


__all__ = ["Derived", "derived", "errors_by", "intervals"]
