"""One remaining equation: scan its whole domain, bracket every change of sign, compare all roots by l."""

from __future__ import annotations

import math
from typing import Any

from sympy import Interval, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.compiling.rows import Care
from symmle.errors import DataError, NoMaximumError, NotConvergedError, NotDerivedError
from symmle.fitting.coordinates import covering, scales_of
from symmle.fitting.plan import Plan, _shown
from symmle.fitting.profile import SCANNED_ROWS, Profile, care_for, is_extreme, strided
from symmle.fitting.roots import brackets_of, is_flat, on_all_rows, root_in, settled
from symmle.fitting.solution import (
    Solution,
    _what_is_wrong,
    best_of,
    check_conditions,
    closed_values,
    log_likelihood_at,
    non_finite_statistic,
    refuse_constant_covariate,
)

FEW_EXACT = 48  # rows that a scan takes one by one at 240 bits
FLAT = 1e-10  # relative steps of l below this are rounding


def solve_one(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None = None,
    checked: bool = False,
) -> Solution:
    """The maximum where one equation remains.

    Raises
    ------
    NoMaximumError
        No root is a maximum; l rises towards an end of the domain, which is named.
    """
    parameter = plan.left[0] if plan.left else plan.parameters[0]
    if plan.left and not checked:
        check_conditions(plan, table, constants)
    domain = plan.domain_of(parameter)
    if not isinstance(domain, Interval):
        raise NotDerivedError(
            f"{plan.name}: `{parameter}` has the domain {domain}; root finding needs an interval.",
            tuple(plan.estimator.remaining),
        )
    full, scanned, signs, low, high = _scan(plan, table, constants, domain, start)
    if is_extreme(table) and not (signs and brackets_of(signs)):
        full, scanned, signs, low, high = _scan(plan, table, constants, domain, start, Care.EXACT)
    if not signs:
        row = non_finite_statistic(plan, table)
        if row:
            raise DataError(f"{plan.name}: {row}. Drop the row or declare a support without it.")
        raise NotConvergedError(
            f"{plan.name}: the likelihood equation has a value at no `{parameter}` that was tried"
            f"{_what_is_wrong(plan, table)}. Pass a start, or rescale the data."
        )
    if is_flat(full, signs):
        return _undetermined(full, [p for p, _ in signs])
    candidates = _candidates(full, scanned, signs, low, high)
    for edge in _closed_ends(plan, domain, constants, low, high):
        values = {**constants, parameter: edge}
        values.update(closed_values(plan, table, values, careful=False) if plan.left else {})
        if not plan.reason_against(values, table):
            number = log_likelihood_at(plan, table, values)
            if CONTEXT.isfinite(number):
                candidates.append((number, values))
    return _chosen(full, candidates, [p for p, _ in signs], domain)


def _scan(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    domain: Interval,
    start: dict[str, float] | None,
    care: Care | None = None,
) -> tuple[Profile, Profile, list[tuple[float, float]], float, float]:
    """The profile on all rows and on those that are scanned, and the equation's values over its domain."""
    parameter = plan.left[0] if plan.left else plan.parameters[0]
    low, high = (float(plan.scalar(e, constants)) for e in (domain.start, domain.end))
    full = Profile(plan, table, constants, parameter, care_for(table) if care is None else care)
    scanned = (
        full
        if table.rows <= (4 * SCANNED_ROWS if care is None else FEW_EXACT)
        else Profile(
            plan, strided(table, SCANNED_ROWS if care is None else FEW_EXACT), constants, parameter, full.care
        )
    )
    points = covering(low, high, scanned.table)
    if start and str(parameter) in start:
        near = [start[str(parameter)] * (1 + d) for d in (-0.01, 0.01)]
        points = [p for p in sorted({*points, *near}) if low < p < high]
    signs = [(p, scanned.equation(p)) for p in points]
    signs = [(p, v) for p, v in signs if not math.isnan(v) and scanned.point(p) is not None]
    return full, scanned, signs, low, high


def _candidates(
    full: Profile, scanned: Profile, signs: list[tuple[float, float]], low: float, high: float
) -> list[tuple[Any, dict[Symbol, Any]]]:
    """Every confirmed root with the closed parameters filled in, and l there."""
    plan, table = full.plan, full.table
    brackets = brackets_of(signs)
    if scanned is not full:
        brackets = [b for b in (on_all_rows(full, *b, low, high) for b in brackets) if b is not None]
    candidates: list[tuple[Any, dict[Symbol, Any]]] = []
    for left, right in brackets:
        root = root_in(full, left, right)
        root = None if root is None else settled(full, root, low, high)
        if root is None:
            continue
        for which in range(len(plan.given_the_rest)):
            values = {**full.constants, full.parameter: root}
            values.update(closed_values(plan, table, values, which) if plan.left else {})
            if plan.reason_against(values, table):
                continue
            number = log_likelihood_at(plan, table, values)
            if CONTEXT.isfinite(number):
                candidates.append((number, values))
    return candidates


def roots_of(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> list[dict[Symbol, Any]]:
    """Every root of the one remaining equation that a scan of its domain finds, as full points."""
    domain = plan.domain_of(plan.left[0])
    if not isinstance(domain, Interval):
        return []
    full, scanned, signs, low, high = _scan(plan, table, constants, domain, None)
    return [values for _, values in _candidates(full, scanned, signs, low, high)] if signs else []


def _chosen(
    full: Profile, candidates: list[tuple[Any, dict[Symbol, Any]]], points: list[float], domain: Any
) -> Solution:
    plan, parameter = full.plan, full.parameter
    ends = [points[0], points[-1]]
    heights = {
        p: full.log_likelihood(p) for p in dict.fromkeys([*points[:: max(1, len(points) // 12)], *ends])
    }
    finite = {p: h for p, h in heights.items() if CONTEXT.isfinite(h)}
    top = max(finite, key=lambda p: finite[p]) if finite else None
    found, tied = best_of(plan, candidates) if candidates else (None, False)
    best = max(height for height, _ in candidates) if candidates else None
    slack = CONTEXT.mpf(1e-9) * (1 + abs(best)) if best is not None else 0
    if found is not None and best is not None and (top is None or finite[top] <= best + slack):
        values = found
        edge = any(plan.is_at_edge(p, values[p], values) for p in plan.parameters)
        status = f"The remaining equation for {parameter} was solved by a bracketed root finder over its whole domain"
        status += (
            f"; {len(candidates)} roots were compared by the log-likelihood." if len(candidates) > 1 else "."
        )
        if tied:
            status += " Several have the same; the smallest is given."
        if edge:
            status += " The maximum is on the edge of the parameter space."
        unique = False if tied else None
        return Solution(values, "bracketed root", status, full.calls, boundary=edge, unique=unique)
    if found is None and top is not None:  # l may have settled, to its rounding, before the last point
        for end in (min(finite), max(finite)):
            if finite[end] >= finite[top] - FLAT * (1 + abs(finite[top])):
                top, ends = end, [end]
                break
    rising = top is not None and top in ends
    if found is not None and top is not None and rising and _keeps_rising(full, finite, top):
        values = found
        status = (
            f"The likelihood is unbounded as {parameter} approaches {_shown(CONTEXT.mpf(top))}; "
            "the estimates are the largest interior local maximum."
        )
        return Solution(values, "bracketed root", status, full.calls, unbounded=True)
    if top is None and any(CONTEXT.isnan(h) for h in heights.values()):
        raise NotConvergedError(
            f"{plan.name}: the log-likelihood has too few digits at every `{parameter}` that was tried"
            f"{_what_is_wrong(plan, full.table)}. Pass a start, or rescale the data."
        )
    if top is None:
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: it is nowhere finite."
        )
    if not rising and found is None:
        raise NotConvergedError(
            f"{plan.name}: the remaining equation has no root, yet the log-likelihood is highest inside the domain of "
            f"`{parameter}`, near {top:.6g}. Pass a start near the maximum."
        )
    if plan._moving_supports and not _at_end(domain, top, plan, full.constants):
        raise NotDerivedError(
            f"{plan.name}: the likelihood is largest at the edge of what the support allows, near "
            f"{parameter} = {top:.6g}; no rule has solved that.",
            tuple(plan.estimator.remaining),
        )
    end = domain.start if top < points[len(points) // 2] else domain.end
    values = full.point(top) or {}
    refusal = NoMaximumError(
        f"{plan.name}: the likelihood has no maximum on this data: it rises as {parameter} -> {end} "
        f"(log-likelihood {_shown(finite[top])} at {parameter} = {top:.6g}){_what_is_wrong(plan, full.table)}.",
        supremum={
            "estimates": {str(p): _double(values[p]) for p in plan.parameters if p in values},
            "log_likelihood": _double(finite[top]),
        },
    )
    if _is_remote(domain, top, plan, full) or _is_followed_on(full, refusal):
        raise refusal
    raise NotConvergedError(
        f"{plan.name}: the log-likelihood rises until {parameter} = {top:.6g} (log-likelihood "
        f"{_shown(finite[top])}), beyond which it has too few digits to tell whether there is a maximum. "
        "Pass a start beyond, or rescale the data.",
        result=refusal.supremum,
    )


def _is_remote(domain: Any, top: float, plan: Plan, full: Profile) -> bool:
    """Whether a point is so near to an end of the domain that nothing of the data's scales is left beyond it."""
    scales = scales_of(full.table)
    far, near = 1e6 * max(scales), 1e-6 * min(scales)
    for end in (plan.scalar(e, full.constants) for e in (domain.start, domain.end)):
        if not CONTEXT.isfinite(end):
            if abs(top) > far:
                return True
        elif abs(CONTEXT.mpf(top) - end) < near:
            return True
    return False


def _is_followed_on(full: Profile, refusal: NoMaximumError) -> bool:
    """Whether l, row by row at 240 bits, goes on to rise to where the parameters leave every scale."""
    from symmle.fitting.limits_search import SECONDS, is_followed, limit_on_data

    if not is_followed(full.plan, full.table):
        return False
    found = attempt_within(SECONDS, limit_on_data, full.plan, full.table, full.constants, refusal)
    return not isinstance(found, GaveUp) and found is not None


def _undetermined(full: Profile, points: list[float]) -> Solution:
    """The equation holds everywhere: its parameter is not determined by this data."""
    plan, parameter = full.plan, full.parameter
    refuse_constant_covariate(plan, full.table, [parameter])
    middle = CONTEXT.mpf(min(points, key=lambda p: (abs(abs(p) - (points[0] >= 0)), p)))
    values = {**full.constants, parameter: middle}
    values.update(closed_values(plan, full.table, values) if plan.left else {})
    status = (
        f"The likelihood does not depend on {parameter} on this data: the estimates are one point of many."
    )
    return Solution(values, "bracketed root", status, full.calls, unique=False)


def _at_end(domain: Any, top: float, plan: Plan, constants: dict[Symbol, Any]) -> bool:
    """Whether a scanned point is next to an end of the domain, and not where the data end the scan."""
    ends = [plan.scalar(e, constants) for e in (domain.start, domain.end)]
    for end in ends:
        if CONTEXT.isfinite(end):
            if abs(CONTEXT.mpf(top) - end) <= CONTEXT.mpf("1e-9") * (1 + abs(end)):
                return True
        elif abs(top) > 1e9:
            return True
    return False


def _keeps_rising(full: Profile, heights: dict[float, Any], top: float) -> bool:
    """Whether l rises towards an end by steps that do not shrink."""
    order = sorted(heights, key=lambda p: abs(p - top))[:3]
    if len(order) < 3:
        return False
    first, second = heights[order[0]] - heights[order[1]], heights[order[1]] - heights[order[2]]
    return bool(first > CONTEXT.mpf("0.5") * second > 0 and first > 1)


def _closed_ends(
    plan: Plan, domain: Interval, constants: dict[Symbol, Any], low: float, high: float
) -> list[Any]:
    ends = []
    if math.isfinite(low) and not domain.left_open:
        ends.append(plan.scalar(domain.start, constants))
    if math.isfinite(high) and not domain.right_open:
        ends.append(plan.scalar(domain.end, constants))
    return ends


def _double(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
