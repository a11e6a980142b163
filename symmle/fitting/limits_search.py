"""Where l rises to on a data set: the ways that are followed, from where a climb has ended or from the middle."""

from __future__ import annotations

import math
from time import thread_time
from typing import Any

import numpy as np
from sympy import Symbol

from symmle.compiling.data import Sample, Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError, SymmleError
from symmle.fitting.limits_path import Path, Point, Trail, limit_of
from symmle.fitting.plan import Plan

SECONDS = 10.0
MOST_ROWS = 400  # distinct rows that are followed at 240 bits


def is_followed(plan: Plan, table: Table) -> bool:
    declaration = plan.declaration
    latent = declaration.latent or any(part.components for part in declaration.samples)
    if latent or declaration.constraints or len(plan.parameters) > 5 or plan.estimator.faces:
        return False
    return all(_distinct(sample) <= MOST_ROWS for sample in table.samples)


def _distinct(sample: Sample) -> int:
    """The number of distinct rows, or of those among the first ones where these are more than enough."""
    columns = list(sample.columns.values())
    some = len(np.unique(np.column_stack([c[: 4 * MOST_ROWS] for c in columns]), axis=0))
    if some > MOST_ROWS or sample.rows <= 4 * MOST_ROWS:
        return some
    return len(np.unique(np.column_stack(columns), axis=0))


def limit_on_data(
    plan: Plan, table: Table, constants: Point, refusal: NoMaximumError
) -> tuple[Trail, dict[str, float]] | None:
    """The way along which l rises highest, and the limits of the parameters."""
    path = Path(plan, table, constants, thread_time() + SECONDS)
    if not path.is_complete:
        return None
    start = _farthest(plan, table, constants, refusal)
    met = path.height({**constants, **start}) if start else -CONTEXT.inf
    best = best_trail(path, start, met) if start else None
    if best is None:  # every end of every domain, from the middle of the data's scales
        start = {p: c.value(CONTEXT.mpf(0)) for p, c in path.coordinates.items()}
        best = _highest(path, [(p, side) for p in path.free for side in (-1, 1)], start, CONTEXT.inf)
        if best is None or _falls_short(best, met):
            return None
    limits = {str(p): limit_of(path, best, p) for p in path.free}
    return best, {p: v for p, v in limits.items() if v is not None}


def best_trail(path: Path, start: Point, met: Any) -> Trail | None:
    """The highest trail from where a climb has ended: its remotest parameters are sent on."""
    order = sorted(path.free, key=lambda p: -remoteness(path, p, start[p]))
    ways = [(p, 1 if path.coordinates[p].at(start[p]) > 0 else -1) for p in order[:3]]
    best = _highest(path, ways, start, met)
    return None if best is None or _falls_short(best, met) else best


def _highest(path: Path, ways: list[tuple[Symbol, int]], start: Point, enough: Any) -> Trail | None:
    best: Trail | None = None
    for p, side in ways:
        trail = path.follow({p: side}, start)
        if trail is None or CONTEXT.isnan(trail.limit) or not _rises(trail):
            continue
        if best is None or trail.limit > best.limit:
            best = trail
        if not _falls_short(best, enough):
            break
    return best


def _rises(trail: Trail) -> bool:
    """Whether l rises along the way; where it stays the same the way is a ridge, and the limit is attained."""
    first = min(trail.heights[:3])
    return bool(trail.limit > first + CONTEXT.mpf(1e-12) * (1 + abs(first)))


def _falls_short(trail: Trail, met: Any) -> bool:
    """Whether a trail ends below a height that was met elsewhere."""
    if CONTEXT.isinf(trail.limit):
        return False
    return bool(CONTEXT.isinf(met) and met > 0) or trail.limit < met - CONTEXT.mpf(1e-7) * (1 + abs(met))


def remoteness(path: Path, p: Symbol, value: Any) -> float:
    """How far out a value is: in powers of e beyond the scales of the data."""
    c = path.coordinates[p]
    u = c.at(value)
    if c.is_line:
        return float(CONTEXT.log(1 + abs(u) / path.largest))
    if c.is_interval:
        return float(abs(u))
    u = u if CONTEXT.isfinite(c.low) else -u
    return float(max(u - CONTEXT.log(path.largest), CONTEXT.log(path.smallest) - u, 0))


def _farthest(plan: Plan, table: Table, constants: Point, refusal: NoMaximumError) -> Point | None:
    """The point that the refusal met farthest out; where it names none, the one that the score leads to."""
    found = _met(plan, refusal)
    if found is not None:
        return found
    from symmle.fitting.bracket import solve_one
    from symmle.fitting.newton import solve_several

    solve = solve_one if len(plan.parameters) == 1 else solve_several
    try:
        return {p: solve(plan, table, constants, checked=True).values[p] for p in plan.parameters}
    except NotConvergedError as problem:
        met = _met(plan, problem)
    except NoMaximumError as problem:
        met = _met(plan, problem)
    except SymmleError:
        met = None
    if met is not None or len(plan.parameters) == 1 or len(plan.left) != 1:
        return met
    try:
        return {p: solve_one(plan, table, constants, checked=True).values[p] for p in plan.parameters}
    except NoMaximumError as problem:
        return _met(plan, problem)
    except SymmleError:
        return None


def _met(plan: Plan, problem: Any) -> Point | None:
    known = getattr(problem, "supremum", None) or getattr(problem, "result", None)
    estimates = known.get("estimates") if isinstance(known, dict) else None
    if not isinstance(estimates, dict) or set(estimates) != {str(p) for p in plan.parameters}:
        return None
    if any(math.isnan(v) for v in estimates.values()):
        return None
    return {p: CONTEXT.mpf(estimates[str(p)]) for p in plan.parameters}


__all__ = ["SECONDS", "best_trail", "is_followed", "limit_on_data", "remoteness"]
