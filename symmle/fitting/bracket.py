"""One remaining equation: scan its whole domain, bracket every change of sign, compare all roots by l."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scipy.optimize import brentq
from sympy import Interval, Symbol

from symmle.compiling.data import Sample, Table
from symmle.compiling.kernels import CONTEXT
from symmle.compiling.rows import Care
from symmle.errors import DataError, NoMaximumError, NotConvergedError, NotDerivedError
from symmle.fitting.coordinates import covering
from symmle.fitting.plan import Plan, _shown
from symmle.fitting.solution import (
    Solution,
    _what_is_wrong,
    check_conditions,
    closed_values,
    log_likelihood_at,
    non_finite_statistic,
)

FEW = 200  # distinct rows up to which scans evaluate them one by one where they must
SCANNED_ROWS = 4096  # the scan looks at this many rows; roots are found on all


@dataclass
class Profile:
    """The remaining equation and l as functions of the one remaining parameter."""

    plan: Plan
    table: Table
    constants: dict[Symbol, Any]
    parameter: Symbol
    care: Care = Care.DIRECT
    which: int = 0
    calls: int = 0

    def point(self, theta: Any) -> dict[Symbol, Any] | None:
        """The full point at theta, or None where the parameter space does not hold it."""
        values = {**self.constants, self.parameter: CONTEXT.mpf(theta)}
        names, compiled = self.plan.given_the_rest[self.which]
        values.update(zip(names, compiled.quick(self.table, values, self.care), strict=True))
        return None if self.plan.reason_against(values, self.table) else values

    def equation(self, theta: Any) -> float:
        """The equation squashed to [-1, 1], so that no size of it overflows; nan where there is none."""
        self.calls += 1
        values = {**self.constants, self.parameter: CONTEXT.mpf(theta)}
        number = self.plan.equation.quick(self.table, values, self.care)[0]
        if isinstance(number, CONTEXT.mpc) or not CONTEXT.isfinite(number):
            return math.nan
        return _squashed(number)

    def precise_equation(self, theta: Any) -> Any:
        values = {**self.constants, self.parameter: theta}
        return self.plan.equation.precise(self.table, values, tolerance=1e-9)[0].number

    def log_likelihood(self, theta: Any) -> Any:
        values = {**self.constants, self.parameter: CONTEXT.mpf(theta)}
        names, compiled = self.plan.given_the_rest[self.which]
        found = compiled.precise(self.table, values, tolerance=1e-9, patience=FEW)
        values.update({name: value.number for name, value in zip(names, found, strict=True)})
        if self.plan.reason_against(values, self.table):
            return CONTEXT.nan
        return log_likelihood_at(self.plan, self.table, values, FEW)


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
    if not signs:
        row = non_finite_statistic(plan, table)
        if row:
            raise DataError(f"{plan.name}: {row}. Drop the row or declare a support without it.")
        raise NotConvergedError(
            f"{plan.name}: the likelihood equation has a value at no `{parameter}` that was tried"
            f"{_what_is_wrong(plan, table)}. Pass a start, or rescale the data."
        )
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
    plan: Plan, table: Table, constants: dict[Symbol, Any], domain: Interval, start: dict[str, float] | None
) -> tuple[Profile, Profile, list[tuple[float, float]], float, float]:
    """The profile on all rows and on those that are scanned, and the equation's values over its domain."""
    parameter = plan.left[0] if plan.left else plan.parameters[0]
    low, high = (float(plan.scalar(e, constants)) for e in (domain.start, domain.end))
    full = Profile(plan, table, constants, parameter, _care_for(table))
    scanned = (
        full
        if table.rows <= 4 * SCANNED_ROWS
        else Profile(plan, strided(table), constants, parameter, full.care)
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
    brackets = _brackets(signs)
    if scanned is not full:
        brackets = [b for b in (_on_all_rows(full, *b, low, high) for b in brackets) if b is not None]
    candidates: list[tuple[Any, dict[Symbol, Any]]] = []
    for left, right in brackets:
        root = _root(full, left, right)
        if root is None or not _changes_sign(full, root, low, high):
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
    best = max(candidates, key=lambda c: c[0]) if candidates else None
    slack = CONTEXT.mpf(1e-9) * (1 + abs(best[0])) if best else 0
    if best is not None and (top is None or finite[top] <= best[0] + slack):
        values = best[1]
        edge = any(plan.is_at_edge(p, values[p], values) for p in plan.parameters)
        status = f"The remaining equation for {parameter} was solved by a bracketed root finder over its whole domain"
        status += (
            f"; {len(candidates)} roots were compared by the log-likelihood." if len(candidates) > 1 else "."
        )
        if edge:
            status += " The maximum is on the edge of the parameter space."
        return Solution(values, "bracketed root", status, full.calls, boundary=edge)
    assert top is not None or best is None
    rising = top is not None and top in ends
    if best is not None and rising and _keeps_rising(full, finite, top):  # type: ignore[arg-type]
        values = best[1]
        status = (
            f"The likelihood is unbounded as {parameter} approaches {_shown(CONTEXT.mpf(top))}; "
            "the estimates are the largest interior local maximum."
        )
        return Solution(values, "bracketed root", status, full.calls, unbounded=True)
    if top is None:
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: it is nowhere finite."
        )
    if not rising and best is None:
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
    end = domain.start if top == points[0] else domain.end
    values = full.point(top) or {}
    raise NoMaximumError(
        f"{plan.name}: the likelihood has no maximum on this data: it rises as {parameter} -> {end} "
        f"(log-likelihood {_shown(finite[top])} at {parameter} = {top:.6g}){_what_is_wrong(plan, full.table)}.",
        supremum={
            "estimates": {str(p): _double(values[p]) for p in plan.parameters if p in values},
            "log_likelihood": _double(finite[top]),
        },
    )


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


def _brackets(signs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found = []
    for (left, a), (right, b) in zip(signs, signs[1:], strict=False):
        if a == 0:
            found.append((left, left))
        elif a * b < 0:
            found.append((left, right))
    if signs[-1][1] == 0:
        found.append((signs[-1][0], signs[-1][0]))
    return found


def _on_all_rows(
    full: Profile, left: float, right: float, low: float, high: float
) -> tuple[float, float] | None:
    """The bracket that a subsample gave, widened until the equation changes its sign on all rows."""
    for _ in range(40):
        if full.equation(left) * full.equation(right) <= 0:
            return left, right
        width = (right - left) or abs(left) * 1e-3
        left = max(left - width, left - (left - low) / 2) if math.isfinite(low) else left - width
        right = min(right + width, right + (high - right) / 2) if math.isfinite(high) else right + width
    return None


def _root(full: Profile, left: float, right: float) -> Any:
    """The root in a bracket at full precision, or None for a pole."""
    if left != right:
        ends = min(abs(full.equation(left)), abs(full.equation(right)))
        try:
            root = brentq(
                lambda t: _or_zero(full.equation(t)), left, right, xtol=1e-300, rtol=1e-14, maxiter=300
            )
        except (RuntimeError, ValueError):
            return None
        if not abs(full.equation(root)) <= max(ends, 1e-9):
            return None
    else:
        root = left
    theta = CONTEXT.mpf(root)
    step = abs(theta) * CONTEXT.mpf(2) ** -30 or CONTEXT.mpf(2) ** -60
    before, after = full.precise_equation(theta), full.precise_equation(theta + step)
    for _ in range(4):  # secant steps on the carefully evaluated equation
        slope = (after - before) / step
        if isinstance(slope, CONTEXT.mpc) or not CONTEXT.isfinite(slope) or slope == 0:
            break
        move = -before / slope
        if (
            abs(move) > CONTEXT.mpf("1e-3") * (abs(theta) + step)
            or not left <= theta + move <= right
            and left != right
        ):
            break
        other = full.precise_equation(theta + move)
        if isinstance(other, CONTEXT.mpc) or not CONTEXT.isfinite(other):
            break
        theta, step, after, before = theta + move, -move, before, other
        if move == 0 or abs(move) <= abs(theta) * CONTEXT.mpf(2) ** -56 or before == 0:
            break
    return theta


def _changes_sign(full: Profile, root: Any, low: float, high: float) -> bool:
    """Whether the carefully evaluated equation has opposite signs on both sides of a root.

    Far out, where the equation tends to 0, rounding makes roots that are none.
    """
    step = abs(root) * CONTEXT.mpf("1e-4") or CONTEXT.mpf("1e-8")
    signs = []
    for side in (-1, 1):
        theta = root + side * step
        if not low < theta < high:
            theta = root + side * step * CONTEXT.mpf("1e-8")
        values = {**full.constants, full.parameter: theta}
        value = full.plan.equation.precise(full.table, values, tolerance=0.1)[0]
        if not value.finite or value.error >= abs(value.number) / 2:
            return False
        signs.append(value.number > 0)
    return signs[0] != signs[1]


def _closed_ends(
    plan: Plan, domain: Interval, constants: dict[Symbol, Any], low: float, high: float
) -> list[Any]:
    ends = []
    if math.isfinite(low) and not domain.left_open:
        ends.append(plan.scalar(domain.start, constants))
    if math.isfinite(high) and not domain.right_open:
        ends.append(plan.scalar(domain.end, constants))
    return ends


def strided(table: Table, rows: int = SCANNED_ROWS) -> Table:
    """Rows at even distances, for scans; extremes are those of all rows."""
    samples = []
    for sample in table.samples:
        step = max(1, sample.rows // rows)
        columns = {c: v[::step] for c, v in sample.columns.items()}
        weights = None if sample.weights is None else sample.weights[::step]
        count = len(next(iter(columns.values())))
        n = float(count) if weights is None else float(weights.sum())
        samples.append(Sample(columns, weights, n, count, sample.minimum, sample.maximum, sample.pivot))
    return Table(tuple(samples), table.name)


def _care_for(table: Table) -> Care:
    """Whether plain doubles in the rows are enough for scanning: not where the spread is small."""
    for sample in table.samples:
        for column, mean in sample.pivot.items():
            spread = sample.maximum[column] / 2 - sample.minimum[column] / 2
            if 0 < spread < 1e-5 * abs(mean):
                return Care.CENTRED
    return Care.DIRECT


def _squashed(number: Any) -> float:
    size = abs(number)
    return float(number / (1 + size))


def _or_zero(number: float) -> float:
    return 0.0 if math.isnan(number) else number


def _double(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
