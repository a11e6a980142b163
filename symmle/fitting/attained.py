"""Limits at closed ends of domains: the supremum of a way that ends inside the parameter space is a maximum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sympy import Interval, Symbol

from symmle.compiling.data import Table
from symmle.errors import NoMaximumError
from symmle.fitting.newton_climbs import climb_from, polished
from symmle.fitting.newton_ends import rises_inwards
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution
from symmle.fitting.surface import Surface, careful_height

AT_END = 1e-9  # relatively: a limit this near to an end is the end
SHORT_OF = 1e-7  # relatively: a maximum that is lower than the limit by more is another one


def attained(
    plan: Plan, table: Table, constants: dict[Symbol, Any], refusal: NoMaximumError
) -> Solution | None:
    """The maximum on the ends that the limits of a refusal lie at, where the domains hold these ends."""
    limits = refusal.supremum or {}
    height = limits.get("log_likelihood", math.nan)
    if not math.isfinite(height) or not all(
        math.isfinite(limits.get(str(p), math.nan)) for p in plan.parameters
    ):
        return None
    held: dict[Symbol, float] = {}
    for p in plan.parameters:
        domain, limit = plan.domain_of(p), float(limits[str(p)])
        if not isinstance(domain, Interval):
            return None
        for end, is_open in ((domain.start, domain.left_open), (domain.end, domain.right_open)):
            if end.is_number and end.is_finite and abs(float(end) - limit) <= AT_END * (1 + abs(limit)):
                if is_open:
                    return None
                held[p] = float(end)
    if not held:
        return None
    surface = Surface(plan, table, constants, held)
    theta = np.array([float(limits[str(p)]) for p in surface.parameters])
    values = surface.values(theta)
    if surface.parameters:
        climb = climb_from(surface, theta)
        if not climb.converged or climb.ridge:
            return None
        theta, values = climb.theta, polished(surface, climb.theta)
    found = careful_height(surface, theta)
    if not found >= height - SHORT_OF * (1 + abs(height)) or rises_inwards(surface, theta) is not False:
        return None
    ends = ", ".join(f"`{p}` = {end:.6g}" for p, end in held.items())
    status = f"The log-likelihood rises as far as its domain lets {ends} go; the others are solved there."
    return Solution(values, "newton", status, boundary=True)


__all__ = ["attained"]
