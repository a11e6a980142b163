"""Large samples in a support that moves with parameters: the interior maximum by few passes, and a known way up.

That l grows without bound towards an edge is found by a search (`edges_paths`), and kept with the derivation. On
other data it is looked at again along the same way, on every row: the density of the row at the edge still rises
without end there, and that of all others stays finite.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.fitting.edges_frame import Frame, _first_rows
from symmle.fitting.edges_paths import SLOWEST, _words_at
from symmle.fitting.large import LARGE, solve_large
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution

GAP = 1e-200  # of the row at the edge, in units of the data


@dataclass(frozen=True)
class KnownRise:
    """An edge towards which l grows without bound, and the other parameters in free coordinates on the way."""

    frame: Frame
    t: Any

    def path_on(self, table: Table) -> str:
        """The way on other data, in words; '' where l does not rise along it there."""
        frame = self.frame
        part = frame.plan.declaration.samples[frame.edge.part]
        sample = table.samples[frame.edge.part]
        for row in _first_rows(frame.edge, part, sample):
            moved = copy.copy(frame)
            moved.table, moved.number, moved.samples = table, row, list(table.samples)
            moved.row = {c: float(sample.columns[c][row]) for c in part.all_columns}
            rise = moved.own_rise(self.t)
            if not rise > SLOWEST:
                continue
            if np.isfinite(moved.height(frame.unit * GAP, self.t)):
                return _words_at(moved, self.t)
        return ""


def keep_rise(plan: Plan, frame: Frame, t: Any) -> None:
    """Keep a way along which l was seen to rise without end by one row alone."""
    if frame.own_rise(t) > SLOWEST:
        kept = copy.copy(frame)
        del kept.table, kept.samples  # the data are not held
        plan.__dict__["_known_rise"] = KnownRise(kept, t)


def solve_large_inside(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution | None:
    """The interior maximum of an unbounded likelihood by few passes; None where the careful way is to be taken."""
    known = plan.__dict__.get("_known_rise")
    if known is None or table.rows < LARGE:
        return None
    found = solve_large(plan, table, constants, moving=True)
    if found is None or plan.reason_against(found.values, table):
        return None
    path = known.path_on(table)
    if not path:
        return None
    found.inside = True
    found.unbounded = True
    found.unique = None
    found.status = (
        f"The likelihood grows without bound as {path}. The estimates are the largest interior local maximum that "
        f"was found. {found.status}"
    )
    return found


__all__ = ["KnownRise", "keep_rise", "solve_large_inside"]
