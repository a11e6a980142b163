"""Parameters that the rows do not tell apart, seen from the scores of single rows.

A density that is the same along a curve theta(s) has v(theta) with v . d log f(x)/d theta = 0 for every x: the scores
of rows are dependent at every theta. On a way to a supremum one parameter of such a set is held: the others are then
determined, and no driver is lost on a curve along which nothing changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sympy import Interval, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.fitting.plan import Numbers, Plan
from symmle.fitting.symmetries import point_of

POINTS, ROWS = 2, 12
TINY = 1e-40  # relatively; numbers have 72 digits


def to_be_held(plan: Plan, table: Table, constants: Numbers) -> list[Symbol]:
    """Parameters that have to be held for the others to be determined by any number of rows."""
    known = plan.__dict__.setdefault("_to_be_held", {})
    key = tuple(sorted((str(c), str(v)) for c, v in constants.items()))
    if key not in known:
        known[key] = _found(plan, table, constants)
    return known[key]  # type: ignore[no-any-return]


def _found(plan: Plan, table: Table, constants: Numbers) -> list[Symbol]:
    if len(plan.declaration.samples) != 1 or len(plan.parameters) < 2:
        return []
    if not all(isinstance(plan.domain_of(p), Interval) for p in plan.parameters):
        return []
    part = plan.declaration.samples[0]
    sample = table.sample_of(part.all_columns)
    rows = np.unique(np.column_stack([sample.columns[c] for c in part.all_columns]), axis=0)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), ROWS)).astype(int)]
    if len(rows) <= len(plan.parameters):
        return []
    # a half line before a line: a location then has a limit
    order = sorted(plan.parameters, key=lambda p: plan.domain_of(p).inf.is_finite is True)
    opened = plan.derivation.likelihood.log_density[0]
    if not opened.free_symbols <= {*part.all_columns, *order, *constants}:
        return []
    kernel = scalar_kernel([*part.all_columns, *order, *constants], [opened.diff(p) for p in order])
    random = np.random.default_rng(5)
    held: set[Symbol] | None = None
    for _ in range(POINTS):
        point = point_of(plan, random)
        with LOCK:
            try:
                scores = [
                    [
                        CONTEXT.convert(v)
                        for v in kernel(
                            *(CONTEXT.mpf(float(x)) for x in row),
                            *(point[p] for p in order),
                            *constants.values(),
                        )
                    ]
                    for row in rows
                ]
            except (ZeroDivisionError, ValueError, OverflowError, TypeError):
                return []
            if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for row in scores for v in row):
                return []
            dependent = {order[k] for k in _dependent(scores)}
        held = dependent if held is None else held & dependent
        if not held:
            return []
    return [p for p in plan.parameters if p in (held or ())]


def _dependent(rows: list[list[Any]]) -> list[int]:
    """The columns that are combinations of those before them."""
    kept: list[list[Any]] = []
    found = []
    for k in range(len(rows[0])):
        column = [row[k] for row in rows]
        size = CONTEXT.sqrt(sum(v * v for v in column))
        for _ in range(2):  # Gram and Schmidt, twice
            for other in kept:
                share = sum(a * b for a, b in zip(column, other, strict=True))
                column = [a - share * b for a, b in zip(column, other, strict=True)]
        rest = CONTEXT.sqrt(sum(v * v for v in column))
        if rest <= TINY * size:
            found.append(k)
        else:
            kept.append([v / rest for v in column])
    return found


__all__ = ["to_be_held"]
