"""Kinks along lines: the value of p at which the kinks in another parameter of two rows meet, by a unimodal search."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.certify.kink_lines import Lines, read_lines
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, row_kernel
from symmle.errors import NoMaximumError, NotDerivedError
from symmle.fitting.kinks_profile import Point, Profile
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution

MOST_ROWS = 2500  # whose crossings are listed
FEW = 24  # crossings that are compared one by one
TIE = 1e-12


def search_lines(plan: Plan, table: Table, constants: dict[Any, Any]) -> Solution:
    """The best crossing, the other parameters in closed form at each."""
    profile = Profile(plan, table, constants)
    lines = read_lines(plan.derivation.likelihood, profile.p)
    if isinstance(lines, str):
        raise NotDerivedError(f"{plan.name}: {lines}.")
    places = _crossings(profile, lines)
    low, high = 0, len(places) - 1
    while high - low > FEW:  # the profile rises and then falls: a third of the places is left out each time
        third = (high - low) // 3
        first, second = _height(profile, places[low + third]), _height(profile, places[high - third])
        low, high = (low + third, high) if first < second else (low, high - third)
    points = [point for v in places[low : high + 1] if (point := _at(profile, v)) is not None]
    top = max(height for height, _ in points)
    tied = [s for height, s in points if height >= top - TIE * (1 + abs(top))]
    solution = tied[0]
    solution.method = "kinks"
    solution.status = (
        f"The log-likelihood, maximised over the other parameters, rises and falls once along the {len(places)} values "
        f"of {profile.p} at which the kinks of two rows meet; the estimate is the best of them."
    )
    if not profile.proof:
        solution.status += " That the other parameters are at their maximum at each is not proved."
    if len(tied) > 1:
        solution.unique = False
        solution.maximisers = {
            str(q): (min(ends), max(ends))
            for q in plan.parameters
            if len(ends := {float(s.values[q]) for s in tied}) > 1
        }
    return solution


def _crossings(profile: Profile, lines: Lines) -> NDArray[Any]:
    """The values of p at which start_i + slope_i p = start_j + slope_j p for two rows, in order."""
    plan = profile.plan
    part = plan.declaration.samples[lines.sample]
    sample = profile.table.sample_of(part.all_columns)
    names = sorted((lines.start.free_symbols | lines.slope.free_symbols) - set(part.all_columns), key=str)
    kernel = row_kernel([*part.all_columns, *names], [lines.start, lines.slope])  # type: ignore[list-item]
    with np.errstate(all="ignore"):
        found = kernel(
            *(sample.columns[c] for c in part.all_columns), *(float(profile.known[n]) for n in names)
        )  # type: ignore[index]
    rows = np.unique(np.column_stack([np.broadcast_to(f, (sample.rows,)) for f in found]), axis=0)
    if len(rows) > MOST_ROWS:
        raise NotDerivedError(
            f"{plan.name}: {len(rows)} distinct rows have too many crossings of their kinks; a search takes at most "
            f"{MOST_ROWS} rows."
        )
    start, slope = rows.T
    first, second = np.triu_indices(len(rows), 1)
    with np.errstate(all="ignore"):
        places = (start[second] - start[first]) / (slope[first] - slope[second])
    places = np.unique(places[np.isfinite(places)])
    if not len(places):
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no one maximum on this data: the kinks of no two rows meet, so that "
            f"`{profile.p}` and `{lines.other}` are not determined."
        )
    return places


def _at(profile: Profile, value: float) -> Point | None:
    """l at a crossing; without a maximum over the others there is none at all."""
    point = profile.at(CONTEXT.mpf(value))
    if point is None and profile.refused:
        raise profile.refused[0][1]
    return point


def _height(profile: Profile, value: float) -> Any:
    point = _at(profile, value)
    return -CONTEXT.inf if point is None else point[0]


__all__ = ["search_lines"]
