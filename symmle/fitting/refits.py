"""Maximising again: with parameters held, with other weights, on other samples; always from a start that is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.errors import NotDerivedError
from symmle.fitting.ascent import Ascent, climb
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.large_models import free_coordinates
from symmle.fitting.plan import Plan
from symmle.fitting.surface_sums import LikelihoodSums, Rows, SumsOnRows, rows_of

CLOSE = 1e-8


class Refits:
    """Ascents from known starts on the likelihood of a plan, any of its parameters held fixed.

    Raises
    ------
    NotDerivedError
        The parameter space is no product of intervals, or the support moves with a parameter.
    """

    def __init__(self, plan: Plan, constants: Mapping[Symbol, Any]):
        self.plan = plan
        self.constants = {c: float(constants[c]) for c in plan.declaration.constants if c in constants}
        found = free_coordinates(plan, dict(constants))
        if found is None or plan.estimator.kind in ("order statistic", "integer", "finite"):
            raise NotDerivedError(
                f"{plan.name}: this needs an ordinary likelihood on a product of intervals; here parameters are bound "
                "together, move the support or are whole numbers."
            )
        self.coordinates: dict[Symbol, Coordinate] = dict(zip(plan.parameters, found, strict=True))
        self._models: dict[tuple[Symbol, ...], LikelihoodSums] = {}

    def rows_of(self, table: Table) -> Rows:
        return rows_of(table, self.plan.derivation.likelihood)

    def sums(self, rows: Rows, free: Sequence[Symbol], held: Mapping[Symbol, float]) -> SumsOnRows:
        """The likelihood on rows as a function of the free parameters."""
        key = tuple(free)
        others = [p for p in self.plan.parameters if p not in key]
        if key not in self._models:
            constants = [*others, *self.constants]
            self._models[key] = LikelihoodSums(self.plan.derivation.likelihood, key, constants)
        numbers = [*(held[p] for p in others), *self.constants.values()]
        return self._models[key].on(rows, numbers)

    def maximum(
        self, rows: Rows, start: Mapping[Symbol, float], held: Sequence[Symbol] = (), close: float = CLOSE
    ) -> tuple[dict[Symbol, float], float] | None:
        """The nearest maximum uphill of the start with some parameters held there, and l; None where there is none."""
        free = [p for p in self.plan.parameters if p not in held]
        sums = self.sums(rows, free, {p: start[p] for p in held})
        if not free:
            return dict(start), sums.value([])
        end: Ascent | None = climb(sums, [self.coordinates[p] for p in free], [start[p] for p in free], close)
        if end is None:
            return None
        found = {**start, **dict(zip(free, end.theta, strict=True))}
        height = sums.value(end.theta)
        return (found, height) if math.isfinite(height) else None


def reweighted(rows: Rows, random: np.random.Generator) -> Rows:
    """The rows with counts of a sample of the same size drawn with replacement."""
    found: Rows = []
    for columns, weights, n in rows:
        size = len(columns[0])
        share = None if weights is None else weights / weights.sum()
        counts = random.multinomial(max(1, round(n)), np.full(size, 1 / size) if share is None else share)
        found.append((columns, counts.astype(float), float(counts.sum())))
    return found


__all__ = ["Refits", "reweighted"]
