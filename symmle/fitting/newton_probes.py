"""Other maxima, and ways to a supremum, that a grid of starts has missed: looked for from the best one found.

Each parameter with an end is sent far to each side of the maximum, the others maximised with it held there, and all
let go: what lies behind a dip of a profile likelihood is met so. Climbs that go back say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.fitting.newton_climbs import Climb, climb_from, spread
from symmle.fitting.surface import Surface

STEPS = (4.0, 10.0)  # powers of e, or logits
BACK = 1e-3


def probes(surface: Surface, top: Climb) -> list[Climb]:
    """Climbs from far beside a maximum that end elsewhere."""
    found: list[Climb] = []
    surface = Surface(surface.plan, surface.table, surface.constants, surface.held)
    surface.exact_seconds = 0.0  # where doubles have no value the way is not followed
    for start in _starts(surface, top):
        climb = climb_from(surface, start)
        if not math.isfinite(climb.height) or _is_back(surface, climb, top):
            continue
        if any(_is_back(surface, climb, other) for other in found):
            continue
        found.append(climb)
    return found


def _starts(surface: Surface, top: Climb) -> Iterator[NDArray[Any]]:
    t = surface.free(top.theta)
    for k, (p, c) in enumerate(zip(surface.parameters, surface.coordinates, strict=True)):
        if not c.is_bounded:
            continue
        for side in (-1.0, 1.0):
            others: NDArray[Any] = np.delete(top.theta, k)
            for step in STEPS:
                moved = t[k] + side * step
                theta = np.array(top.theta, dtype=float)
                theta[k] = c.value(moved)
                if not c.low < theta[k] < c.high:
                    break
                held = Surface(surface.plan, surface.table, surface.constants, {p: float(theta[k])})
                held.exact_seconds = 0.0
                if held.parameters:
                    if not math.isfinite(held.height(others)):
                        break
                    climb = climb_from(held, others)
                    if not math.isfinite(climb.height):
                        break
                    others = climb.theta
                    theta[[i for i in range(len(t)) if i != k]] = others
                if _worth(surface, theta, top):
                    yield theta


def _worth(surface: Surface, theta: NDArray[Any], top: Climb) -> bool:
    """Whether l is not hopelessly lower than at the maximum."""
    return surface.height(theta) > top.height - 30 * len(theta)


def _is_back(surface: Surface, climb: Climb, top: Climb) -> bool:
    same = spread(surface, climb.theta, top.theta) < BACK  # type: ignore[arg-type]
    lower = not climb.converged and climb.height <= top.height
    return same or lower


__all__ = ["probes"]
