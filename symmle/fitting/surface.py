"""l with its gradient and Hessian in free coordinates, and sets of maximisers: where l is constant along a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from time import thread_time
from typing import Any

import numpy as np
from mpmath.libmp import NoConvergence
from numpy.typing import NDArray
from sympy import Interval, Symbol

from symmle.compiling.data import Table
from symmle.compiling.evaluate import CompiledExpressions
from symmle.compiling.kernels import CONTEXT
from symmle.compiling.rows import Care
from symmle.errors import NotDerivedError
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.plan import Plan
from symmle.fitting.profile import FEW, care_for
from symmle.fitting.solution import log_likelihood_at

Theta = Sequence[float] | NDArray[Any]
EXACT_ROWS = 400
EXACT_SECONDS = 3.0  # for values with all digits, where doubles have lost them
FLAT = 1e-9  # an eigenvalue of the scaled information below this is none


class Surface:
    """l, its gradient and Hessian in free coordinates of the parameters that are not held."""

    def __init__(
        self, plan: Plan, table: Table, constants: dict[Symbol, Any], held: Mapping[Symbol, Any] | None = None
    ):
        self.held = dict(held or {})
        self.plan, self.table, self.constants = plan, table, {**constants, **self.held}
        self.care = care_for(table)
        self.kept = [i for i, p in enumerate(plan.parameters) if p not in self.held]
        self.parameters = [plan.parameters[i] for i in self.kept]
        self.coordinates = [_coordinate(plan, p, self.constants, table) for p in self.parameters]
        few = sum(sample.rows for sample in table.samples) <= EXACT_ROWS
        self.exact_seconds = EXACT_SECONDS if few and self.care is not Care.EXACT else 0.0
        self.lines = np.array([math.isinf(c.low) and math.isinf(c.high) for c in self.coordinates])

    def at(self, t: NDArray[Any]) -> NDArray[Any]:
        """theta of free coordinates."""
        return np.array([_value(c, float(u)) for c, u in zip(self.coordinates, t, strict=True)])

    def free(self, theta: Theta) -> NDArray[Any]:
        """Free coordinates of theta."""
        return np.array([c.at(float(v)) for c, v in zip(self.coordinates, theta, strict=True)])

    def values(self, theta: Theta) -> dict[Symbol, Any]:
        found = dict(self.constants)
        found.update({p: CONTEXT.mpf(float(v)) for p, v in zip(self.parameters, theta, strict=True)})
        return found

    def of_kept(self, score: Sequence[Any], entries: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The score and the lower triangle of the Hessian, without the parameters that are held."""
        kept = self.kept
        return [score[i] for i in kept], [
            entries[i * (i + 1) // 2 + j] for a, i in enumerate(kept) for j in kept[: a + 1]
        ]

    def height(self, theta: Theta) -> float:
        if not all(math.isfinite(v) for v in theta):
            return -math.inf
        values = self.values(theta)
        if self.plan.reason_against(values, self.table):
            return -math.inf
        number = self._numbers(self.plan.log_likelihood, values)[0]
        if isinstance(number, CONTEXT.mpc) or CONTEXT.isnan(number):
            return -math.inf
        return _double(number)

    def _numbers(self, compiled: CompiledExpressions, values: dict[Symbol, Any]) -> list[Any]:
        """Values by doubles; where these are not finite and the rows are few, with all digits while there is time."""
        found = compiled.quick(self.table, values, self.care)
        if self.exact_seconds <= 0 or not any(_is_lost(v) for v in found):
            return found
        begin = thread_time()
        try:
            return compiled.quick(self.table, values, Care.EXACT)
        except (ValueError, ArithmeticError, NoConvergence):  # a special function too far out
            return found
        finally:
            self.exact_seconds -= thread_time() - begin

    def derivatives(self, theta: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Gradient and Hessian by t, from those by theta and the chain rule."""
        values = self.values(theta)
        score, entries = self.of_kept(
            self._numbers(self.plan.score, values),
            self._numbers(self.plan.hessian, values),
        )
        if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for v in [*score, *entries]):
            return None
        p = len(theta)
        slopes = [c.slopes(float(v)) for c, v in zip(self.coordinates, theta, strict=True)]
        gradient = np.array([_double(score[i] * slopes[i][0]) for i in range(p)])
        hessian = np.empty((p, p))
        k = 0
        for i in range(p):
            for j in range(i + 1):
                entry = entries[k] * slopes[i][0] * slopes[j][0]
                if i == j:
                    entry += score[i] * slopes[i][1]
                hessian[i, j] = hessian[j, i] = _double(entry)
                k += 1
        return gradient, hessian


def _is_lost(number: Any) -> bool:
    return not isinstance(number, CONTEXT.mpc) and not CONTEXT.isfinite(number)


def is_singular(surface: Surface, theta: NDArray[Any]) -> bool:
    found = surface.derivatives(theta)
    if found is None:
        return False
    size = np.sqrt(np.maximum(np.abs(np.diag(found[1])), 1e-300))
    return bool(np.linalg.eigvalsh(-found[1] / np.outer(size, size))[0] < FLAT)


def careful_height(surface: Surface, theta: Theta) -> float:
    """l with all its digits, or -inf where the parameter space does not hold theta or doubles do not tell l."""
    if not all(math.isfinite(v) for v in theta):
        return -math.inf
    values = surface.values(theta)
    if surface.plan.reason_against(values, surface.table):
        return -math.inf
    number = log_likelihood_at(surface.plan, surface.table, values, FEW)
    return _double(number) if CONTEXT.isfinite(number) else -math.inf


def is_ridge(surface: Surface, t: NDArray[Any], theta: NDArray[Any], direction: NDArray[Any]) -> bool:
    """Whether l stays the same far along a line: a set of maxima, not the way to a distant one."""
    height = careful_height(surface, theta)
    for distance in (-12, -6, -2, 2, 6, 12):
        other = careful_height(surface, surface.at(t + distance * direction))
        if not abs(other - height) <= 1e-9 * (1 + abs(height)):
            return False
    return True


def nearest_on_ridge(surface: Surface, theta: NDArray[Any]) -> NDArray[Any]:
    """The member of a set of maximisers that is nearest to t = 0: one that no start and no row order changes."""
    height = careful_height(surface, theta)
    t, found = surface.free(theta), theta
    for _ in range(40):
        move = _along(surface, t)
        if move is None or np.max(np.abs(move)) < 1e-10:
            break
        t = t + move * min(1.0, 2.0 / float(np.max(np.abs(move))))
        for _ in range(3):
            back = _across(surface, t)
            if back is None:
                return found
            t = t + back
        if not abs(careful_height(surface, surface.at(t)) - height) <= 1e-9 * (1 + abs(height)):
            return found
        found = surface.at(t)
    return found


def is_curved_ridge(surface: Surface, theta: NDArray[Any]) -> bool:
    """Whether l stays the same on both sides of theta along every direction in which it is flat, as far as it bends.

    A short step along a flat direction is followed by steps across, back up to the ridge. On the way to a supremum
    at infinity the side nearer to the data is lower.
    """
    height, t = careful_height(surface, theta), surface.free(theta)
    directions = _flat_directions(surface, t)
    if directions is None or not math.isfinite(height):
        return False
    for direction in directions.T:
        for side in (-1.0, 1.0):
            at, along = t, side * direction
            for _ in range(4):
                moved = _step_on_ridge(surface, at, along)
                if moved is None:
                    return False
                at, along = moved
                if not abs(careful_height(surface, surface.at(at)) - height) <= 1e-10 * (1 + abs(height)):
                    return False
    return True


def _flat_directions(surface: Surface, t: NDArray[Any]) -> NDArray[Any] | None:
    """An orthonormal basis of the directions in which l is flat; None where there is none, or nothing else."""
    found = _flat_basis(surface, t)
    if found is None:
        return None
    _, size, eigenvalues, vectors = found
    flat = np.abs(eigenvalues) < 1e-6
    if not flat.any() or flat.all():
        return None
    return np.linalg.qr(vectors[:, flat] / size[:, None])[0]  # type: ignore[no-any-return]


def _step_on_ridge(
    surface: Surface, t: NDArray[Any], along: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """A quarter along a flat direction and back up across, and the direction that goes on from there."""
    at = t + 0.25 * along / float(np.max(np.abs(along)))
    for _ in range(12):
        back = _across(surface, at)
        if back is None or not np.max(np.abs(back)) < 1:
            return None
        at = at + back
        if np.max(np.abs(back)) < 1e-9:
            break
    basis = _flat_directions(surface, at)
    if basis is None:
        return None
    on = basis @ (basis.T @ along)
    return (at, on) if np.max(np.abs(on)) > 0.1 * np.max(np.abs(along)) else None


def _flat_basis(
    surface: Surface, t: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None:
    """Gradient, sizes, and eigenvalues and vectors of the scaled information."""
    found = surface.derivatives(surface.at(t))
    if found is None or not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
        return None
    size = np.sqrt(np.maximum(np.abs(np.diag(found[1])), 1e-300))
    eigenvalues, vectors = np.linalg.eigh(-found[1] / np.outer(size, size))
    return found[0], size, eigenvalues, vectors


def _along(surface: Surface, t: NDArray[Any]) -> NDArray[Any] | None:
    """-t, projected on the directions in which l is flat."""
    found = _flat_basis(surface, t)
    if found is None:
        return None
    _, size, eigenvalues, vectors = found
    flat = np.abs(eigenvalues) < 1e-7
    if not flat.any():
        return None
    basis, _ = np.linalg.qr(vectors[:, flat] / size[:, None])
    return -basis @ (basis.T @ t)  # type: ignore[no-any-return]


def _across(surface: Surface, t: NDArray[Any]) -> NDArray[Any] | None:
    """A Newton step in the directions in which l is not flat."""
    found = _flat_basis(surface, t)
    if found is None:
        return None
    gradient, size, eigenvalues, vectors = found
    steep = np.abs(eigenvalues) >= 1e-7
    inverse = np.where(steep, 1 / np.where(steep, np.abs(eigenvalues), 1.0), 0.0)
    return vectors @ ((vectors.T @ (gradient / size)) * inverse) / size  # type: ignore[no-any-return]


def _value(coordinate: Coordinate, t: float) -> float:
    try:
        return coordinate.value(t)
    except OverflowError:
        return math.inf


def _coordinate(plan: Plan, parameter: Symbol, constants: dict[Symbol, Any], table: Table) -> Coordinate:
    low, high = ends_in(plan, parameter, constants)
    sample = table.samples[0]
    spread = max((sample.maximum[c] / 4 - sample.minimum[c] / 4 for c in sample.columns), default=1.0)
    return Coordinate(low, high, 0.0, spread if 0 < spread < math.inf else 1.0)


def ends_in(plan: Plan, parameter: Symbol, constants: dict[Symbol, Any]) -> tuple[float, float]:
    domain = plan.domain_of(parameter)
    if not isinstance(domain, Interval):
        raise NotDerivedError(
            f"{plan.name}: `{parameter}` has the domain {domain}; Newton's method needs an interval.",
            tuple(plan.estimator.remaining),
        )
    ends = []
    for bound, infinite in ((domain.start, -math.inf), (domain.end, math.inf)):
        known = bound.free_symbols <= set(constants)
        ends.append(float(plan.scalar(bound, constants)) if known else infinite)
    return ends[0], ends[1]


def _double(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
