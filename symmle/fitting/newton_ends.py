"""Maxima at closed ends of domains: parameters held there, l climbed in the others.

Where a domain holds its end, a maximum may stand at it that is no root of the score. Every combination of closed
ends is a face; a maximum on one counts where l does not rise from it into the space (Karush-Kuhn-Tucker).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Interval, Symbol

from symmle.compiling.kernels import CONTEXT
from symmle.fitting.newton_climbs import Climb, climb_from, distance
from symmle.fitting.surface import Surface, careful_height

MOST_FACES = 8
STARTS = 4
NUDGES = (3.0, 8.0, 14.0)  # logits by which a point is moved from an end, back into the space


@dataclass
class FaceClimb:
    """A climb on a face; `surface` holds the parameters at their ends."""

    surface: Surface
    climb: Climb

    @property
    def whole(self) -> NDArray[Any]:
        """The end of the climb as a point of the whole space."""
        values = dict(zip(self.surface.parameters, self.climb.theta, strict=True)) | self.surface.held
        return np.array([float(values[p]) for p in self.surface.plan.parameters])


def closed_ends(surface: Surface, moving: bool = False) -> list[dict[Symbol, float]]:
    """The faces of the parameter space, by the parameters that are held and where: few held first.

    Where the support moves (and the caller does not look at its edge) there are none.
    """
    plan = surface.plan
    if (plan._moving_supports and not moving) or plan.declaration.constraints:
        return []
    choices: list[tuple[Symbol, tuple[float | None, ...]]] = []
    for p, c in zip(surface.parameters, surface.coordinates, strict=True):
        domain = plan.domain_of(p)
        if not isinstance(domain, Interval):
            continue
        ends: list[float | None] = [None]
        if math.isfinite(c.low) and not domain.left_open:
            ends.append(c.low)
        if math.isfinite(c.high) and not domain.right_open:
            ends.append(c.high)
        choices.append((p, tuple(ends)))
    faces = [
        {p: end for (p, _), end in zip(choices, at, strict=True) if end is not None}
        for at in product(*(ends for _, ends in choices))
    ]
    return sorted((f for f in faces if f), key=len)[:MOST_FACES]


def climbs_at_ends(
    scanned: Surface, full: Surface, points: Sequence[Any], moving: bool = False
) -> list[FaceClimb]:
    """Climbs on every face, from the best of some points of the space brought down to it."""
    found = []
    for held in closed_ends(full, moving):
        few, all_rows = (Surface(s.plan, s.table, s.constants, held) for s in (scanned, full))
        if full is scanned:
            few = all_rows
        for theta in _best_on(few, points):
            found.append(FaceClimb(all_rows, _climbed(few, all_rows, theta)))
    return found


def _best_on(face: Surface, points: Sequence[Any]) -> list[NDArray[Any]]:
    brought = [np.array([float(theta[i]) for i in face.kept]) for theta in points]
    ranked = [(face.height(theta), theta) for theta in brought]
    ranked = sorted((pair for pair in ranked if math.isfinite(pair[0])), key=lambda pair: -pair[0])
    chosen: list[NDArray[Any]] = []
    for _, theta in ranked:
        if all(distance(face, theta, other) > 0.5 for other in chosen):  # type: ignore[arg-type]
            chosen.append(theta)
    return chosen[:STARTS]


def _climbed(few: Surface, full: Surface, theta: NDArray[Any]) -> Climb:
    if not full.parameters:
        return Climb(theta, careful_height(full, theta), True, 0)
    climb = climb_from(few, theta)
    if few is not full and climb.converged:
        climb = climb_from(full, climb.theta)
    climb.height = careful_height(full, climb.theta)
    return climb


def rises_inwards(face: Surface, theta: NDArray[Any]) -> bool | None:
    """Whether l rises from a maximum on a face into the space; None where the slopes have no value."""
    score = face.plan.score.precise(face.table, face.values(theta), tolerance=1e-6)
    unknown = False
    for p, end in face.held.items():
        slope = score[face.plan.parameters.index(p)]
        if not slope.finite or isinstance(slope.number, CONTEXT.mpc):
            unknown = True
            continue
        inwards = slope.number if end == float(face.plan.domain_of(p).inf) else -slope.number
        if inwards > max(slope.error, 1e-7 * (1 + abs(careful_height(face, theta)))):
            return True
    return None if unknown else False


def nudged(full: Surface, found: FaceClimb) -> list[NDArray[Any]]:
    """Points of the space near a maximum on a face."""
    points = []
    for by in NUDGES:
        theta = found.whole
        for p, end in found.surface.held.items():
            k = full.parameters.index(p)
            c = full.coordinates[k]
            theta[k] = c.value(-by if end == c.low else by)
        points.append(theta)
    return points


__all__ = ["FaceClimb", "climbs_at_ends", "closed_ends", "nudged", "rises_inwards"]
