"""Symmetries of a family: what its parameters do when columns are multiplied, or moved, by a number.

A family is closed under x -> c x if theta -> g_c(theta) exists with log f(c x; g_c theta) = log f(x; theta) + h(x, c).
Differentiated at c = 1, for two points theta of one row (so that h falls out):

    [x d/dx + sum_p xi_p(theta) d/dp] log f   is the same at both points,

linear in xi_p = e_p p (then p -> c**e_p p) or xi_p = k_p (then p -> p + k_p log c). For x -> x + m it is d/dx, and
xi_p = k_p (then p -> p + k_p m). The numbers e, k are found from random points, rounded to rationals and held against
further random points at 240 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from sympy import Expr, Interval, Range, S, Set, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.fitting.plan import Plan

POINTS = 6  # equations for each unknown
EXACT = 1e-40
SECONDS = 10.0

Group = tuple[dict[Symbol, Fraction], dict[Symbol, Fraction], Fraction | None]


def group_of(
    plan: Plan, constants: dict[Symbol, Any], columns: tuple[Symbol, ...], is_shift: bool
) -> Group | None:
    """Powers and steps of the parameters under the change of these columns, and `height`; None where there are none."""
    known = plan.__dict__.setdefault("_groups_of_units", {})
    key = (columns, is_shift, tuple(sorted((str(c), str(v)) for c, v in constants.items())))
    if key not in known:
        found = attempt_within(SECONDS, _find_group, plan, constants, columns, is_shift)
        known[key] = None if isinstance(found, GaveUp) else found
    return known[key]  # type: ignore[no-any-return]


def _find_group(
    plan: Plan, constants: dict[Symbol, Any], columns: tuple[Symbol, ...], is_shift: bool
) -> Group | None:
    for column in columns:  # the support itself must allow it
        support = support_of(plan, column)
        assert support is not None
        ends = {support.start, support.end}
        if not ends <= ({S.Infinity, S.NegativeInfinity} | (set() if is_shift else {S.Zero})):
            return None
    if not all(isinstance(plan.domain_of(p), Interval) for p in plan.parameters):
        return None
    unknowns = [(p, True) for p in plan.parameters if not is_shift and _scales(plan.domain_of(p))]
    unknowns += [(p, False) for p in plan.parameters if plan.domain_of(p) == S.Reals]
    pairs = _equations(plan, constants, columns, is_shift, unknowns)
    if pairs is None:
        return None
    rows = [[a - b for a, b in zip(one, other, strict=True)] for one, other in pairs]
    exact: list[Fraction] = []
    if unknowns:
        matrix = np.array([[float(v) for v in row] for row in rows[: -max(2 * len(unknowns), 4)]])
        size = np.abs(matrix).max(axis=1, keepdims=True)
        matrix = matrix / np.where(size > 0, size, 1.0)
        solution, _, rank, _ = np.linalg.lstsq(matrix[:, 1:], -matrix[:, 0], rcond=1e-9)
        if rank < len(unknowns):
            return None
        exact = [Fraction(float(v)).limit_denominator(12) for v in solution]
    with LOCK:
        for one, other in pairs:
            a, b = _applied(one, exact), _applied(other, exact)
            if abs(sum(a) - sum(b)) > EXACT * sum(abs(t) for t in [*a, *b]):
                return None
        heights = [sum(_applied(one, exact)) for one, _ in pairs]
        height = Fraction(float(heights[0])).limit_denominator(12)
        same = all(abs(h * height.denominator - height.numerator) < 1e-30 for h in heights)
    powers = {p: e for (p, is_power), e in zip(unknowns, exact, strict=True) if is_power and e}
    steps = {p: e for (p, is_power), e in zip(unknowns, exact, strict=True) if not is_power and e}
    return None if set(powers) & set(steps) else (powers, steps, height if same else None)


def _applied(row: Sequence[Any], numbers: Sequence[Fraction]) -> list[Any]:
    return [row[0], *(v * e.numerator / e.denominator for v, e in zip(row[1:], numbers, strict=True))]


def _scales(domain: Set) -> bool:
    """Whether a multiple of a member is a member."""
    if not isinstance(domain, Interval):
        return bool(domain == S.Reals)
    return {domain.start, domain.end} <= {S.Zero, S.Infinity, S.NegativeInfinity}


def _equations(
    plan: Plan,
    constants: dict[Symbol, Any],
    columns: tuple[Symbol, ...],
    is_shift: bool,
    unknowns: Sequence[tuple[Symbol, bool]],
) -> list[tuple[list[Any], list[Any]]] | None:
    """For rows of data: [change by data, change by each unknown] at two points of the parameter space."""
    part = plan.declaration.samples[0]
    opened: Expr = plan.derivation.likelihood.log_density[0]
    by_data = sum(((S.One if is_shift else c) * opened.diff(c) for c in columns), S.Zero)
    changes = [by_data, *((p if is_power else S.One) * opened.diff(p) for p, is_power in unknowns)]
    names = [*part.all_columns, *plan.parameters, *constants]
    kernel = scalar_kernel(names, [opened, *changes])
    random = np.random.default_rng(11)
    wanted = POINTS * (len(unknowns) + 1) + 4
    found: list[tuple[list[Any], list[Any]]] = []
    for _ in range(8 * wanted):
        if len(found) == wanted:
            return found
        row = [_member(plan, c, random) for c in part.all_columns]
        pair = []
        for _ in range(2):
            point = point_of(plan, random)
            with LOCK:
                try:
                    values = kernel(*row, *(point[p] for p in plan.parameters), *constants.values())
                except (ZeroDivisionError, ValueError, OverflowError, TypeError):
                    break
                if any(isinstance(v, CONTEXT.mpc) or not CONTEXT.isfinite(v) for v in values):
                    break
                pair.append([CONTEXT.mpf(v) for v in values[1:]])
        if len(pair) == 2:
            found.append((pair[0], pair[1]))
    return None


def _member(plan: Plan, column: Symbol, random: np.random.Generator) -> Any:
    support = support_of(plan, column)
    if isinstance(support, Interval) and support.free_symbols:
        support = S.Reals
    if isinstance(support, Range):
        low = int(support.inf) if support.inf.is_finite else 0
        top = int(support.sup) if support.sup.is_finite else low + 4
        return CONTEXT.mpf(int(random.integers(low, top + 1)))
    if support is not None and not isinstance(support, Interval):  # a finite set
        members = sorted(float(v) for v in support)
        return CONTEXT.mpf(members[int(random.integers(0, len(members)))])
    return _number(support if support is not None else S.Reals, random)


def point_of(plan: Plan, random: np.random.Generator) -> dict[Symbol, Any]:
    return {p: _number(plan.domain_of(p), random) for p in plan.parameters}


def _number(domain: Set, random: np.random.Generator) -> Any:
    """A random number inside an interval."""
    low = float(domain.inf) if domain.inf.is_number else -math.inf
    high = float(domain.sup) if domain.sup.is_number else math.inf
    if math.isfinite(low) and math.isfinite(high):
        return CONTEXT.mpf(low + (high - low) * float(random.uniform(0.1, 0.9)))
    if math.isfinite(low):
        return CONTEXT.mpf(low + math.exp(float(random.normal(0, 0.7))))
    if math.isfinite(high):
        return CONTEXT.mpf(high - math.exp(float(random.normal(0, 0.7))))
    return CONTEXT.mpf(float(random.normal(0, 1.5)))


def support_of(plan: Plan, column: Symbol) -> Set | None:
    part = plan.declaration.samples[0]
    column = plan.declaration.lags.get(column, column)
    found: Set | None = part.support.get(column, plan.declaration.given_domains.get(column, S.Reals))
    return found


__all__ = ["Group", "group_of", "point_of", "support_of"]
