"""Large samples: Newton with exact derivatives, from a search on few rows over a subsample to all rows.

All in doubles, with few passes over the data. Where anything is in doubt (no ascent, an edge, a Hessian that is
not negative definite, rounding that would show) there is no answer here, and the careful ways are taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sympy import Sum, Symbol

from symmle.compiling.data import OnTheWay, Table
from symmle.compiling.kernels import CONTEXT
from symmle.fitting.ascent import (
    BEND,
    CLOSE,
    CLOSE_GUIDED,
    CLOSEST,
    GUIDED,
    Ascent,
    Free,
    climb,
    condition_of,
    guided_step,
    is_far,
    is_still,
    moved,
)
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.large_models import free_coordinates, likelihood_sums, proves_support
from symmle.fitting.large_starts import (
    FAIR,
    FEW,
    MANY,
    MORE,
    STARTS,
    STARTS_ON_ALL,
    TRIED,
    along_profiles,
    are_one,
    compressed,
    drawn_rows,
    ends_of_ascents,
    first_rows,
    trials_at,
)
from symmle.fitting.plan import Plan
from symmle.fitting.small_matrices import inverse_of, product, times
from symmle.fitting.solution import Solution, passes_in_words
from symmle.fitting.surface_sums import SumsOnRows, rows_of
from symmle.progress import report

LARGE = 1000  # rows from which this way is taken

CHEAP = 8000  # rows to which another pass is not spared

REMOTE = 14.0  # powers of e beyond the scales of the data, from where the careful ways are taken


def solve_large(
    plan: Plan, table: Table, constants: dict[Symbol, Any], moving: bool = False
) -> Solution | None:
    """The maximum by few passes over many rows, or None where the careful ways are to be taken.

    With `moving` also inside a support that moves with parameters: the caller looks at its edges.
    """
    if table.rows < LARGE and not _is_costly(plan):
        return None
    coordinates = free_coordinates(plan, constants, moving)
    if coordinates is None:
        return None
    model = likelihood_sums(plan)
    numbers = [float(constants[c]) for c in model.constants]
    rows = compressed(rows_of(table, plan.derivation.likelihood))
    random = np.random.default_rng(20)
    few = drawn_rows(rows, FEW, random, moving)
    trials = trials_at(coordinates, few, random)
    full = model.on(rows, numbers)
    full.give_totals(table)
    p = len(coordinates)
    starts = 1 if plan.is_proved else 2 * p if p > 3 else STARTS
    close = CLOSEST if table.rows <= CHEAP else CLOSE
    left = sum(len(columns[0]) for columns, _, _ in rows)
    if model.is_separable or left <= MANY:  # a pass costs nothing, or is none
        starts = starts if starts == 1 else max(starts, STARTS_ON_ALL)
        thin = None if model.is_separable or left <= FEW else model.on(first_rows(few, TRIED), numbers)
        ends = ends_of_ascents(full, coordinates, trials, starts, close, thin, "all rows")
        if starts > 1 and p > 2:
            ends = along_profiles(full, coordinates, ends, close)
        return _best(plan, table, constants, coordinates, ends, full)
    thin = model.on(first_rows(few, TRIED), numbers)
    found = ends_of_ascents(model.on(few, numbers), coordinates, trials, starts, tried_on=thin)
    if left <= 3 * MANY:  # a subsample would save nothing
        ends = [e for s in found if (e := climb(full, coordinates, s.theta, close, stage="all rows"))]
        return _best(plan, table, constants, coordinates, ends, full)
    count = min(max(min(MANY, left // 4), left // 40), MORE)
    subsample = model.on(drawn_rows(rows, count, random, moving), numbers)
    ends = []
    for start in found:
        middle = climb(subsample, coordinates, start.theta, FAIR, stage="subsample")
        end = None if middle is None else _finish(full, subsample, coordinates, middle.theta)
        if end is not None:
            ends.append(end)
    return _best(plan, table, constants, coordinates, ends, full)


def _best(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    coordinates: Sequence[Coordinate],
    ends: list[Ascent],
    full: SumsOnRows,
) -> Solution | None:
    """The highest of the maxima on all rows; the others are kept with it."""
    if len(ends) < 2:
        return _solution(plan, table, constants, coordinates, ends[0] if ends else None, full)
    for end in ends:
        end.height = full.value(end.theta)
    ends = sorted((e for e in ends if math.isfinite(e.height)), key=lambda e: -e.height)
    distinct: list[Ascent] = []
    for end in ends:
        if not any(are_one(coordinates, end, other, full.n) for other in distinct):
            distinct.append(end)
    solution = _solution(plan, table, constants, coordinates, distinct[0] if distinct else None, full)
    if solution is not None:
        names = [str(p) for p in plan.parameters]
        solution.starts = len(ends)
        solution.maxima = [(dict(zip(names, e.theta, strict=True)), e.height) for e in distinct]
    return solution


def _solution(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    coordinates: Sequence[Coordinate],
    end: Ascent | None,
    full: SumsOnRows,
) -> Solution | None:
    if end is None or not _is_near_the_data(coordinates, end.theta, table):
        return None
    values = {p: CONTEXT.mpf(v) for p, v in zip(plan.parameters, end.theta, strict=True)}
    found = Solution({**constants, **values}, "newton", iterations=end.steps)
    found.passes = full.passes
    found.status = f"Newton's method converged on all rows; {passes_in_words(full.passes)}."
    found.unique = True if plan.is_proved else None
    found.inside = not plan._moving_supports and not plan._row_conditions
    found.near = True
    found.is_open = not plan.is_proved
    return found


def _is_near_the_data(coordinates: Sequence[Coordinate], theta: Sequence[float], table: Table) -> bool:
    """Whether no parameter is so far beyond the scales of the data that it may be on its way to infinity."""
    ends = (
        abs(v)
        for s in table.samples
        for c in s.columns
        for v in (s.pivot[c], s.maximum[c] if c in s.maximum else s.pivot[c])
    )
    largest = max(ends, default=0.0)
    if not largest > 0:
        return False
    scale = math.log(largest)
    for c, v in zip(coordinates, theta, strict=True):
        if c.is_bounded:
            t = c.at(v)
            whole = math.isfinite(c.low) and math.isfinite(c.high)
            units = (0,) if whole else (-2, -1, 0, 1, 2)  # of powers of the data's size
            far = min(abs(t - k * scale) for k in units)
        else:
            far = math.log1p(abs(v) / largest)
        if far > REMOTE:
            return False
    return True


def sums_on_the_way(plan: Plan, data: Any, constants: dict[Symbol, Any]) -> OnTheWay | None:
    """The statistics of a large sample that enters by statistics alone: reading it can take them on the way."""
    if not plan.left or isinstance(data, Mapping) or np.ndim(data) != 1 or len(data) < LARGE:
        return None
    if constants:
        return _found_sums(plan, constants)
    if "_sums_on_the_way" not in plan.__dict__:
        plan.__dict__["_sums_on_the_way"] = _found_sums(plan, constants)
    return plan.__dict__["_sums_on_the_way"]  # type: ignore[no-any-return]


def _found_sums(plan: Plan, constants: dict[Symbol, Any]) -> OnTheWay | None:
    if plan.declaration.latent or plan.declaration.lags or free_coordinates(plan, constants) is None:
        return None
    model = likelihood_sums(plan)
    if not model.is_separable or len(model.forms) != 1 or len(model.forms[0].columns) != 1:
        return None
    sums, numbers = model.forms[0].sums, [float(constants[c]) for c in model.constants]
    program = sums.keeping(range(sums.statistics))
    fixed = [*numbers, *program.scalars(numbers)]
    column = model.forms[0].columns[0]
    proves = proves_support(column, plan.declaration.samples[0], model.statistics(0))
    return OnTheWay(column, lambda block: program.block(None, block, *fixed)[1], model, proves)


def _finish(
    full: SumsOnRows, subsample: SumsOnRows, coordinates: Sequence[Coordinate], theta: list[float]
) -> Ascent | None:
    """The maximum on all rows from that of a subsample, by two passes, each step guided by the subsample."""
    free, guide = Free(full, coordinates), Free(subsample, coordinates)
    t = [c.at(v) for c, v in zip(coordinates, theta, strict=True)]
    ended = [k for k, c in enumerate(coordinates) if c.is_bounded]
    for step in range(1, 5):
        there = free.curves(t)
        if there is None:
            break
        g, h = there
        report("all rows", step, math.nan, full.model.parameters, free.theta(t))
        bent, inverse = inverse_of(h, BEND)
        move = times(inverse, g)
        length = math.sqrt(max(product(g, move), 0.0))
        if not bent or length > GUIDED or is_far(t, ended):
            break
        theta = free.theta(t)
        t = moved(t, guided_step(guide, t, g, inverse, move, 1e-3 if step == 1 else 1e-5))
        if length < CLOSE_GUIDED and is_still(move, ended):
            return Ascent(free.theta(t), math.nan, step, max(map(abs, g)), condition_of(h), np.array(h))
    return climb(full, coordinates, theta, CLOSE, subsample, "all rows")


def _is_costly(plan: Plan) -> bool:
    """Whether one value of l takes long at 240 bits: it holds a sum over an index."""
    return any(e.has(Sum) for e in plan.derivation.likelihood.log_density)


__all__ = ["LARGE", "solve_large", "sums_on_the_way"]
