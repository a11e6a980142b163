"""What large samples need of a plan: its sums in doubles, free coordinates, and sums that prove the support."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import Expr, Interval, S, Symbol, log

from symmle.compiling.kernels import log1p_
from symmle.declare.declaration import SamplePart
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.plan import Plan
from symmle.fitting.surface_sums import LikelihoodSums


def likelihood_sums(plan: Plan) -> LikelihoodSums:
    """l, score and Hessian of a plan as sums, compiled once."""
    made = plan.__dict__.get("_likelihood_sums")
    if made is None:
        constants = [c for c in plan.declaration.constants if c not in plan.parameters]
        made = LikelihoodSums(plan.derivation.likelihood, plan.parameters, constants)
        plan.__dict__["_likelihood_sums"] = made
    return made  # type: ignore[no-any-return]


def free_coordinates(
    plan: Plan, constants: dict[Symbol, Any], moving: bool = False
) -> list[Coordinate] | None:
    """Free coordinates of plain open or closed intervals; None for every other space."""
    if constants:
        return found_coordinates(plan, constants, moving)
    made = plan.__dict__.setdefault("_free_coordinates", {})
    if moving not in made:
        made[moving] = found_coordinates(plan, constants, moving)
    return made[moving]  # type: ignore[no-any-return]


def found_coordinates(plan: Plan, constants: dict[Symbol, Any], moving: bool) -> list[Coordinate] | None:
    """As `free_coordinates`, not kept."""
    declaration = plan.declaration
    if declaration.where or declaration.constraints or declaration.latent or plan.auxiliary:
        return None
    if plan.estimator.faces or (not moving and (plan.estimator.obstacle or plan._moving_supports)):
        return None
    found = []
    for p in plan.parameters:
        domain = plan.domain_of(p)
        if not isinstance(domain, Interval) or domain.free_symbols - set(constants):
            return None
        found.append(
            Coordinate(float(plan.scalar(domain.start, constants)), float(plan.scalar(domain.end, constants)))
        )
    return found


def proves_support(column: Symbol, part: SamplePart, statistics: Sequence[Expr]) -> bool:
    """Whether finite sums of these functions say that every row is finite and in the support: log x does for x > 0."""
    support = part.support.get(column)
    if not isinstance(support, Interval) or part.inside or len(part.all_columns) != 1:
        return False
    positive, below_one = log(column) in statistics, log1p_(-column) in statistics
    if support == Interval.open(0, 1):
        return positive and below_one
    if support == Interval.open(0, S.Infinity):
        return positive
    return support == S.Reals and column in statistics


__all__ = ["found_coordinates", "free_coordinates", "likelihood_sums", "proves_support"]
