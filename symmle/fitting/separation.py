"""Separation: a direction of the regression coefficients along which no row's likelihood falls and some rise.

Let log f depend on beta through one affine predictor eta = v(row) . beta. A row is one-sided where log f only
rises in eta (or only falls): a success in a logistic regression, a count of zero in a log-linear one. Where a
direction d has v . d >= 0 on the rows that rise, v . d <= 0 on those that fall and v . d = 0 on all others, and
v . d != 0 for some one-sided row, then l rises along d from every beta, and so has no maximum (Albert and
Anderson 1984). The direction is found by linear programming and confirmed in exact arithmetic on the
numbers of the rows, so that data that are nearly separated are not taken to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from sympy import QQ, Interval, S, Symbol
from sympy.polys.matrices import DomainMatrix

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.data import Sample, Table
from symmle.errors import NoMaximumError
from symmle.fitting.plan import Plan
from symmle.fitting.predictors import Predictor, predictors_of
from symmle.fitting.separation_rows import BOTH, FALLS, LEVEL, SeparableRows, rows_of

Array = NDArray[Any]
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Separation:
    """The direction by parameter, in whole numbers or short decimals; whether it moves every row that is not level."""

    direction: dict[Symbol, float]
    complete: bool
    rows: int  # that move
    supremum: float | None  # of l, where every row has its limit

    @property
    def limits(self) -> dict[str, float]:
        """Where each coefficient of the direction goes."""
        return {str(p): math.copysign(math.inf, d) for p, d in self.direction.items() if d}

    @property
    def description(self) -> str:
        kind = "complete separation" if self.complete else "quasi-complete separation"
        shown = ", ".join(f"{p}: {v:.6g}" for p, v in self.direction.items())
        return (
            f"{kind}: along the direction ({shown}) the likelihood of {self.rows} rows rises and that of "
            "no row falls"
        )


def separation(plan: Plan, table: Table, constants: dict[Symbol, Any] | None = None) -> Separation | None:
    """The direction along which the data are separated; None where there is none, or no affine predictor.

    Where a support moves with a parameter rows stop a direction that no density would, and none is looked for.
    """
    if plan._moving_supports or any(part.inside for part in plan.declaration.samples):
        return None
    for predictor in _predictors(plan):
        sample = table.sample_of(predictor.part.all_columns)
        if sample.rows > MOST_ROWS:
            continue
        found = _separated(plan, predictor, sample, constants or {})
        if found is not None:
            return found
    return None


def refuse_separated(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> None:
    """NoMaximumError where the rows are separated."""
    found = separation(plan, table, constants)
    if found is None:
        return
    limits: dict[str, Any] = dict(found.limits)
    if found.supremum is not None:
        limits["log_likelihood"] = found.supremum
    height = "" if found.supremum is None else f" (to {found.supremum:.10g})"
    raise NoMaximumError(
        f"{plan.name}: the likelihood has no maximum on this data: {found.description}, so that the "
        f"log-likelihood rises{height} and its supremum is not attained. Leave a covariate out, or penalise.",
        condition=found,
        supremum=limits if found.supremum is not None else None,
    )


def _predictors(plan: Plan) -> list[Predictor]:
    """The predictors of a model of one sample with conditioned columns, made once."""
    known = plan.__dict__.get("_predictors_of_separation")
    if known is None:
        known = []
        declaration = plan.declaration
        if len(declaration.samples) == 1 and declaration.samples[0].given and not declaration.latent:
            part = declaration.samples[0]
            opened = plan.derivation.likelihood.log_density[0]
            made = attempt_within(2.0, predictors_of, part, opened, tuple(plan.parameters))
            found = [] if isinstance(made, GaveUp) else made
            known = [
                p
                for p in found
                if all(
                    plan.domain_of(q) in (S.Reals, Interval(-S.Infinity, S.Infinity)) for q in p.parameters
                )
            ]
        plan.__dict__["_predictors_of_separation"] = known
    return known  # type: ignore[no-any-return]


def _separated(
    plan: Plan, predictor: Predictor, sample: Sample, constants: dict[Symbol, Any]
) -> Separation | None:
    rows = rows_of(plan, predictor, sample, constants)
    if rows is None:
        return None
    left = rows.shapes != LEVEL
    first: tuple[list[Fraction], int, bool] | None = None
    height = float(np.sum(rows.weights[~left] * rows.levels[~left]))
    while True:  # what a direction leaves in place may be separated again
        moved = _moved(rows, left)
        if moved is None:
            break
        direction, moving = moved
        left = left & ~moving
        height += float(np.sum(rows.weights[moving] * rows.ends[moving]))
        if first is None:
            first = direction, int(np.sum(moving)), not left.any()
    if first is None:
        return None
    if not rows.has_nuisance and left.any():
        height += rows.largest(left)
    supremum = height if math.isfinite(height) and not rows.has_nuisance else None
    if supremum is not None and abs(supremum) < 1e-12:
        supremum = 0.0
    direction, count, complete = first
    along = {p: float(d) for p, d in zip(predictor.parameters, direction, strict=True)}
    return Separation(along, complete, count, supremum)


def _moved(rows: SeparableRows, left: NDArray[np.bool_]) -> tuple[list[Fraction], NDArray[np.bool_]] | None:
    """A direction of separation for the rows that are left, and those that it moves."""
    one_sided = left & (rows.shapes != BOTH)
    if not one_sided.any():
        return None
    signed = np.where(rows.shapes == FALLS, -1.0, 1.0)[:, None] * rows.vectors
    free = np.unique(signed[one_sided], axis=0)
    direction = _direction(free, np.unique(rows.vectors[left & ~one_sided], axis=0))
    if direction is None:
        return None
    d = np.array([float(c) for c in direction])
    moving = one_sided & (signed @ d > 1e-12 * (np.abs(signed) @ np.abs(d)))
    return (direction, moving) if moving.any() else None


def _direction(free: Array, fixed: Array) -> list[Fraction] | None:
    """d with free d >= 0, not all 0, and fixed d = 0: by linear programming, then exactly.

    One that moves every one-sided row is looked for first; then one that moves as many as there are.
    """
    plain = _along_axes(free, fixed)
    if plain is not None:
        return plain
    scale = np.max(np.abs(np.vstack([free, fixed])), axis=0)
    scale[scale == 0] = 1.0
    a, b = free / scale, fixed / scale
    sizes = np.max(np.abs(a), axis=1, keepdims=True)
    a = a / np.where(sizes > 0, sizes, 1.0)
    p = a.shape[1]
    margin = np.hstack([-a, np.ones((len(a), 1))])  # a d >= m, the least move
    equal = np.hstack([b, np.zeros((len(b), 1))])
    bounds = [(-1.0, 1.0)] * p
    for cost, upper, level, ranges in (
        (np.append(np.zeros(p), -1.0), margin, equal, [*bounds, (0.0, 1.0)]),
        (-np.sum(a, axis=0), -a, b, bounds),
    ):
        found = linprog(
            cost,
            A_ub=upper,
            b_ub=np.zeros(len(upper)),
            A_eq=level if len(level) else None,
            b_eq=np.zeros(len(level)) if len(level) else None,
            bounds=ranges,
            method="highs",
        )
        if found.status == 0 and -found.fun > 1e-9:
            direction = _confirmed(free, fixed, found.x[:p] / scale, a @ found.x[:p])
            if direction is not None:
                return direction
    return None


def _along_axes(free: Array, fixed: Array) -> list[Fraction] | None:
    """A single coefficient along which all one-sided rows move, where there is one: the plainest direction."""
    for j in range(free.shape[1]):
        for side in (1, -1):
            if np.all(side * free[:, j] > 0) and not np.any(fixed[:, j]):
                return [Fraction(side * int(i == j)) for i in range(free.shape[1])]
    return None


def _confirmed(free: Array, fixed: Array, near: Array, moves: Array) -> list[Fraction] | None:
    """An exact direction near the one that was found: the rows that it leaves in place stay so exactly."""
    for slack in (1e-9, 1e-7, 1e-5):
        still = np.vstack([fixed, free[moves <= slack]]) if len(fixed) else free[moves <= slack]
        p = len(near)
        if len(still):
            matrix = DomainMatrix(
                [[QQ(*Fraction(float(v)).as_integer_ratio()) for v in row] for row in still], still.shape, QQ
            )
            basis = [
                [Fraction(int(c.numerator), int(c.denominator)) for c in row]
                for row in matrix.nullspace().to_list()
            ]
        else:
            basis = [[Fraction(int(i == j)) for j in range(p)] for i in range(p)]
        if not basis:
            continue
        shares, *_ = np.linalg.lstsq(np.array([[float(c) for c in v] for v in basis]).T, near, rcond=None)
        size = float(np.max(np.abs(shares)))
        if not size > 0:
            continue
        for digits in (2, 4, 8, 40):
            rounded = [Fraction(float(s / size)).limit_denominator(10**digits) for s in shares]
            d = [sum((r * v[j] for r, v in zip(rounded, basis, strict=True)), Fraction(0)) for j in range(p)]
            exact = [
                sum((Fraction(float(v)) * c for v, c in zip(row, d, strict=True)), Fraction(0))
                for row in free
            ]
            if all(m >= 0 for m in exact) and any(m > 0 for m in exact):
                return _tidied(d)
    return None


def _tidied(d: list[Fraction]) -> list[Fraction]:
    """The same direction with its largest entry 1."""
    size = max(abs(v) for v in d)
    return [v / size for v in d]


__all__ = ["Separation", "refuse_separated", "separation"]
