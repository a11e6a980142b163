"""Spikes: a scale that shrinks to nothing while a location sits on an observation.

Where l keeps rising along such a path the likelihood is unbounded, and an interior maximum is a local one
(Student's t with free degrees of freedom, three-parameter laws). Far out l is n_0 + sum_i a_i times log(1/scale) for
most laws, with a slope a_i for every other row; which sign it has is seen at a scale so small that everything else
is rounding: 10**-100000 is a number at 240 bits. A first look takes a few rows with the weights of all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from sympy import Interval, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.data import Sample, Table
from symmle.compiling.kernels import CONTEXT, scalar_kernel
from symmle.compiling.row_data import MOST_DISTINCT
from symmle.fitting.surface import Surface

DECADES = (100_000, 200_000, 400_000)  # powers of ten by which the scale is divided
SMALL = 1e-2  # of the estimate, for the other positive parameters; and that over the number of rows
MOST = 128  # paths that are tried
ROWS, MORE_ROWS = 12, 100  # of the first look, and of the one that stands for more rows than can be taken
SECONDS = 2.0


def find_spike(surface: Surface, estimate: Any, top: float) -> str:
    """The path along which l rises without end, in words, or nothing."""
    plan = surface.plan
    scales = [i for i, p in enumerate(plan.parameters) if _shrinks(plan.domain_of(p))]
    places = [i for i, p in enumerate(plan.parameters) if plan.domain_of(p).inf.is_infinite]
    if not scales or not places:
        return ""
    n = sum(sample.n for sample in surface.table.samples)
    start = [CONTEXT.mpf(float(v)) for v in estimate]
    names = [str(p) for p in plan.parameters]
    looks = [(where, _few_rows(surface.table, where)) for where in _observations(surface)]
    paths = ((s, *rest) for s in _shares(len(scales) - 1, n) for rest in product(scales, places, looks))
    for tried, (shares, scale, place, (where, few)) in enumerate(paths):
        if tried == MOST:
            return ""
        theta = list(start)
        theta[place] = CONTEXT.mpf(where)
        for i, share in zip((i for i in scales if i != scale), shares, strict=True):
            theta[i] *= CONTEXT.mpf(share)
        rises = attempt_within(SECONDS, _rises, surface, few, theta, scale, top)
        if isinstance(rises, GaveUp):
            return ""
        if not rises:
            continue
        whole = attempt_within(2 * SECONDS, _rises, surface, surface.table, theta, scale, top)
        if whole is None:  # too many rows: the others all have one slope, and a hundred stand for them
            some = _few_rows(surface.table, where, MORE_ROWS)
            whole = attempt_within(2 * SECONDS, _rises, surface, some, theta, scale, top)
        if whole is True:
            return f"{names[scale]} -> 0 at {names[place]} = {where:.6g}"
    return ""


def spike_of(plan: Any, table: Table, solution: Any) -> str:
    """The path along which l rises without end on the data of a solution, in words, or nothing."""
    usual = solution.usual
    values = solution.values if usual is None else usual.values
    table = table if usual is None else usual.table
    constants = {c: values[c] for c in values if c not in set(plan.parameters)}
    estimate = [float(values[p]) for p in plan.parameters]
    return find_spike(Surface(plan, table, constants), estimate, -math.inf)


def _shrinks(domain: Any) -> bool:
    return isinstance(domain, Interval) and domain.start == 0 and bool(domain.left_open)


def _shares(others: int, n: float) -> Iterator[tuple[float, ...]]:
    """Factors of the other positive parameters; a tail has to be as heavy as n rows are many."""
    found = product((1.0, SMALL, SMALL / n), repeat=others)
    yield from sorted(found, key=lambda shares: (len(set(shares)), shares))


def _observations(surface: Surface) -> list[float]:
    """The commonest value, the least and the greatest of the first column of each sample."""
    found: list[float] = []
    for part in surface.plan.declaration.samples:
        values = surface.table.sample_of(part.all_columns).columns[part.columns[0]]
        distinct, counts = np.unique(values, return_counts=True)
        for value in (distinct[int(np.argmax(counts))], distinct[0], distinct[-1]):
            if float(value) not in found:
                found.append(float(value))
    return found


def _few_rows(table: Table, where: float, count: int = ROWS) -> Table:
    """The rows at an observation and some of the others, with the weights of all."""
    samples = []
    for sample in table.samples:
        first = next(iter(sample.columns.values()))
        here = np.flatnonzero(first == where)
        others = np.flatnonzero(first != where)
        others = others[np.argsort(first[others], kind="stable")]
        kept = others[np.linspace(0, len(others) - 1, min(len(others), count)).astype(int)]
        weights = np.ones(sample.rows) if sample.weights is None else sample.weights
        chosen = np.concatenate([here[:count], kept])
        share = np.concatenate(
            [
                np.full(min(len(here), count), weights[here].sum() / max(1, min(len(here), count))),
                np.full(len(kept), weights[others].sum() / max(1, len(kept))),
            ]
        )
        columns = {c: v[chosen] for c, v in sample.columns.items()}
        part = Sample(
            columns, share, float(share.sum()), len(chosen), sample.minimum, sample.maximum, sample.pivot
        )
        samples.append(part)
    return Table(tuple(samples), table.name)


def _rises(surface: Surface, table: Table, theta: list[Any], scale: int, top: float) -> bool | None:
    """Whether l rises like the logarithm of 1/scale, beyond what was found; None where it cannot be told."""
    heights: list[Any] = []
    for decades in DECADES:
        at = list(theta)
        at[scale] = theta[scale] * CONTEXT.mpf(10) ** -decades
        height = _height(surface, table, dict(zip(surface.plan.parameters, at, strict=True)))
        if height is None:
            return None
        if not CONTEXT.isfinite(height) or (heights and not height > heights[-1]):
            return False
        heights.append(height)
    first, second = (b - a for a, b in zip(heights, heights[1:], strict=False))
    # each step doubles the number of decades: what rises like log(1/s) doubles its gain
    return bool(heights[-1] > top + 1 and second > CONTEXT.mpf("1.9") * first > 0)


def _height(surface: Surface, table: Table, values: Mapping[Symbol, Any]) -> Any:
    """sum w log f row by row at 240 bits; -inf outside the parameter space, None where the rows are too many.

    The density is taken as it was declared: (x - mu)**2 is 0 on an observation, x**2 - 2 mu x + mu**2 + s**2 no s**2.
    """
    full = {**surface.constants, **values}
    if surface.plan.reason_against(full, table):
        return -CONTEXT.inf
    total = CONTEXT.mpf(0)
    for part, density, columns, names in _densities(surface):
        sample = table.sample_of(part.all_columns)
        if sample.rows > MOST_DISTINCT:
            return None
        weights = np.ones(sample.rows) if sample.weights is None else sample.weights
        for k in np.flatnonzero(weights > 0):
            row = (CONTEXT.mpf(float(sample.columns[c][k])) for c in columns)
            value = density(*row, *(full[n] for n in names))[0]
            if isinstance(value, CONTEXT.mpc) or not (CONTEXT.isfinite(value) and value > 0):
                return -CONTEXT.inf
            total += CONTEXT.mpf(float(weights[k])) * CONTEXT.log(value)
    return total


def _densities(surface: Surface) -> list[tuple[Any, Any, list[Symbol], list[Symbol]]]:
    """Every sample's density as a function of a row and the parameters, compiled once."""
    known = surface.plan.__dict__.get("_densities_of_spikes")
    if known is None:
        known = []
        for part in surface.plan.declaration.samples:
            columns = [c for c in part.all_columns if c in part.density.free_symbols]
            names = sorted(part.density.free_symbols - set(columns), key=str)
            kernel = scalar_kernel([*columns, *names], [part.density])  # type: ignore[list-item]
            known.append((part, kernel, columns, names))
        surface.plan.__dict__["_densities_of_spikes"] = known
    return known  # type: ignore[no-any-return]
