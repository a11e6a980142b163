"""A maximum at a bound, where the ways inside end at none: each end held in turn, and the score there asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Symbol

from symmle.errors import NoMaximumError, NotConvergedError, NotDerivedError, SymmleError
from symmle.fitting.plan import plan_of
from symmle.fitting.result import FitResult
from symmle.fitting.solution import Solution

Refit = Callable[[Any], FitResult]


@dataclass(frozen=True)
class End:
    """A bound of a parameter."""

    parameter: Symbol
    value: Expr
    upper: bool


def ends_between(free: Any, bounded: Any) -> list[End]:
    """The ends at which the domains of a derivation were cut."""
    found = []
    for p, domain in bounded.model.declaration.parameters.items():
        whole = free.model.declaration.parameters[p]
        for value, old, upper in ((domain.inf, whole.inf, False), (domain.sup, whole.sup, True)):
            if value.is_finite and value != old:
                found.append(End(p, value, upper))
    return found


def fit_at_ends(bounded: Any, ends: Sequence[End], refit: Refit) -> FitResult:
    """The fit, or where it ends without a maximum the best one with a parameter held at a bound.

    A point there counts only where l rises outwards (Karush-Kuhn-Tucker), so that nothing beside it inside is higher.
    """
    try:
        return refit(bounded)
    except (NoMaximumError, NotConvergedError, NotDerivedError) as problem:
        best = None
        for end in ends:
            rest = [e for e in ends if e.parameter != end.parameter]
            found = _held_at(bounded, end, rest, refit)
            if found is not None and (best is None or found.log_likelihood > best.log_likelihood):
                best = found
        limit = _supremum(problem)
        if best is not None and limit <= best.log_likelihood + 1e-7 * (1 + abs(best.log_likelihood)):
            return best
        if math.isfinite(limit) and any(
            _meets(problem, end) for end in ends
        ):  # bounds are closed: l attains it
            raise NotDerivedError(
                f"{plan_of(bounded).name}: the log-likelihood rises to {limit:.10g} at bounds, and the estimates there "
                "were not found. Hold a parameter at its bound with `fixed`.",
            ) from problem
        raise


def _supremum(problem: SymmleError) -> float:
    """What l is said to tend to; -inf where that is not known."""
    known = problem.supremum if isinstance(problem, NoMaximumError) else None
    return float((known or {}).get("log_likelihood", -math.inf))


def _meets(problem: SymmleError, end: End) -> bool:
    """Whether the limit lies at a bound."""
    known = (problem.supremum if isinstance(problem, NoMaximumError) else None) or {}
    value = known.get("estimates", known).get(str(end.parameter), math.nan)
    bound = float(end.value)
    return abs(float(value) - bound) <= 1e-4 * (1 + abs(bound))


def _held_at(bounded: Any, end: End, rest: Sequence[End], refit: Refit) -> FitResult | None:
    try:
        face = fit_at_ends(bounded.holding({end.parameter: end.value}), rest, refit)
    except (NoMaximumError, NotConvergedError, NotDerivedError):
        return None
    plan, values = plan_of(bounded), face.solution.values
    if face.unbounded or face.solution.usual is not None:
        return None
    place = plan.parameters.index(end.parameter)
    slope = plan.score.precise(face.table, values, tolerance=1e-6)[place]
    if not slope.finite or (slope.number < 0 if end.upper else slope.number > 0):
        return None
    solution = Solution(values, face.method, iterations=face.iterations, boundary=True)
    solution.status = (
        f"The log-likelihood rises as `{end.parameter}` goes to its bound {end.value} and beyond; with it held there: "
        f"{face.solution.status}"
    )
    try:
        return FitResult(bounded, face.table, solution)
    except SymmleError:
        return None


__all__ = ["End", "ends_between", "fit_at_ends"]
