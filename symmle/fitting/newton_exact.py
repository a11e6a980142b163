"""Climbs that doubles have ended, continued at 240 bits.

Where a distribution function is so near 0 or 1 that a double holds no digit of the other side, l and its slopes
are noise to doubles and a climb halts though l rises. With few rows every number has all its digits, and a
parameter near an end of its domain is the end and its distance from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import thread_time

import numpy as np

from symmle.compiling.kernels import CONTEXT
from symmle.fitting.limits_path import Path
from symmle.fitting.limits_search import is_followed
from symmle.fitting.newton_climbs import Climb, at_an_end, spread
from symmle.fitting.surface import Surface, _double

SECONDS = 8.0  # for all the climbs of one search where none has come to a maximum
FEWER_SECONDS = 3.0  # where others have
MOST = 4
RESTING = 1e-4  # slopes of the other parameters below this, in standard errors, are none
AGREED = 2  # climbs that have ended at one maximum are enough


def continued(surface: Surface, climbs: Sequence[Climb]) -> None:
    """The highest of the climbs that have halted without a maximum go on with all digits, in place."""
    halted = [c for c in climbs if not c.converged and c.height > -np.inf and _is_near(surface, c)]
    done = [c for c in climbs if c.converged]
    if not halted or done and surface.plan.is_proved or not is_followed(surface.plan, surface.table):
        return
    seconds = FEWER_SECONDS if done else SECONDS
    path = Path(surface.plan, surface.table, surface.constants, thread_time() + seconds)
    if not path.is_complete:
        return
    begun: list[Climb] = []
    ends: list[Climb] = []
    for climb in sorted(halted, key=lambda c: -c.height):
        if thread_time() > path.deadline or len(begun) == MOST:
            return
        if any(_is_same(surface, climb, other) for other in (*done, *begun, *ends)):
            continue
        begun.append(replace(climb))
        _go_on(surface, path, climb)
        ends.append(climb)
        if climb.converged and sum(e.converged and _is_same(surface, climb, e) for e in ends) >= AGREED:
            return


def _is_near(surface: Surface, climb: Climb) -> bool:
    """Whether a climb has halted where the data's scales still count, and not by rest at an end of a domain."""
    end = at_an_end(surface, climb.theta)
    if end is None:
        return climb.runs_away is None
    found = surface.derivatives(climb.theta)
    if found is None or not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
        return True
    size = np.sqrt(np.maximum(np.abs(np.diag(found[1])), 1e-300))
    others = [k for k in range(len(surface.parameters)) if k != end]
    return bool(np.max(np.abs(found[0][others] / size[others]), initial=0.0) > RESTING)


def _is_same(surface: Surface, first: Climb, second: Climb) -> bool:
    return spread(surface, first.theta, second.theta) < 1e-3  # type: ignore[arg-type]


def _go_on(surface: Surface, path: Path, climb: Climb) -> None:
    names = surface.parameters
    start = surface.values(climb.theta)
    for k, (p, c) in enumerate(zip(names, surface.coordinates, strict=True)):
        if climb.theta[k] in (c.low, c.high):  # a double that is no number inside
            u = CONTEXT.mpf(-36 if climb.theta[k] == c.low else 36)
            start[p] = path.coordinates[p].value(u)
    at, height, gone = path.maximise(start, names)
    if not CONTEXT.isfinite(height):
        return
    theta = np.array([_double(at[p]) for p in names])
    climb.theta, climb.height = theta, _double(height)
    if gone is not None:
        climb.runs_away = names.index(gone[0])
        return
    climb.runs_away = at_an_end(surface, theta)
    climb.converged = climb.runs_away is None and path.is_maximum(at, names)


__all__ = ["continued"]
