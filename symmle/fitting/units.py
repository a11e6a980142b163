"""Data in extreme units or far from 0 are fitted after a change of units that the family allows.

A family is closed under x -> c x if theta -> g_c(theta) exists with log f(c x; g_c theta) = log f(x; theta) + h(x, c).
Differentiated at c = 1, for two points theta of one row (so that h falls out):

    [x d/dx + sum_p xi_p(theta) d/dp] log f   is the same at both points,

linear in xi_p = e_p p (then p -> c**e_p p) or xi_p = k_p (then p -> p + k_p log c). For x -> x + m it is d/dx, and
xi_p = k_p (then p -> p + k_p m). The numbers e, k are found from random points, rounded to rationals and held against
further random points at 240 bits. Then theta-hat(m + c x) = g(theta-hat(x)), and the fit is made on x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Interval, Range, S, Set, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.data import ByColumn, Sample, Table, _largest, _middle, _smallest, spread_rows
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.errors import NoMaximumError, SymmleError
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution, log_likelihood_at

Array = NDArray[Any]
FAR = 1e6  # spreads from 0 beyond which doubles lose digits that matter
LARGE_UNIT = 100  # powers of two of the size of the data, beyond which squares and cubes leave the range
POINTS = 6  # equations for each unknown
EXACT = 1e-40
SECONDS = 10.0


@dataclass(frozen=True)
class Change:
    """x = shift + factor x' for some columns, and p = p' factor**e + k log(factor), or p' + k shift."""

    columns: tuple[Symbol, ...]
    shift: float = 0.0
    factor: float = 1.0
    powers: dict[Symbol, Fraction] = field(default_factory=dict)
    steps: dict[Symbol, Fraction] = field(default_factory=dict)
    height: Fraction | None = (
        None  # log f(x; p) = log f(x'; p') + height log(factor); None where rows differ in it
    )

    def forward(self, values: dict[Symbol, Any]) -> dict[Symbol, Any]:
        """Parameters for x from those for x'."""
        return self._moved(values, 1)

    def back(self, values: dict[Symbol, Any]) -> dict[Symbol, Any]:
        """Parameters for x' from those for x."""
        return self._moved(values, -1)

    def _moved(self, values: dict[Symbol, Any], sign: int) -> dict[Symbol, Any]:
        with LOCK:
            distance = CONTEXT.mpf(self.shift) if self.shift else CONTEXT.log(self.factor)
            found = dict(values)
            for p, e in self.powers.items():
                if p in found:
                    exponent = CONTEXT.mpf(e.numerator) / e.denominator
                    found[p] = found[p] * CONTEXT.mpf(self.factor) ** (sign * exponent)
            for p, k in self.steps.items():
                if p in found:
                    found[p] = found[p] + sign * distance * k.numerator / k.denominator
            return found

    def slope(self, parameter: Symbol) -> Any:
        """dp/dp'."""
        e = self.powers.get(parameter, Fraction(0))
        with LOCK:
            return CONTEXT.mpf(self.factor) ** (CONTEXT.mpf(e.numerator) / e.denominator)

    def rise(self, n: float) -> Any:
        """l on x less l on x'."""
        assert self.height is not None
        with LOCK:
            return n * CONTEXT.log(self.factor) * self.height.numerator / self.height.denominator

    def of_data(self, values: Array) -> Array:
        """x' from x."""
        return (values - self.shift) / self.factor

    def __str__(self) -> str:
        names = ", ".join(f"`{c}`" for c in self.columns)
        return f"{names} less {self.shift:.12g}" if self.shift else f"{names} divided by {self.factor:.12g}"


@dataclass(frozen=True)
class UsualUnits:
    """The data in usual units, the estimates there, and the changes that lead to them, in their order."""

    table: Table
    values: dict[Symbol, Any]
    changes: tuple[Change, ...]

    def log_likelihood(self, found: Any) -> Any:
        """l on the data as given from l on these."""
        return found + sum(change.rise(self.table.n) for change in self.changes)

    def slope(self, parameter: Symbol) -> Any:
        """The derivative of the parameter by the parameter here."""
        return math.prod((change.slope(parameter) for change in self.changes), start=CONTEXT.mpf(1))


def solve_in_usual_units(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None,
    solve: Callable[[Table, dict[str, float] | None], Solution],
) -> Solution | None:
    """The solution by way of data of ordinary size; None where they are, or where the family allows no change."""
    changes: list[Change] = []
    for is_shift in (True, False):
        change = _needed(plan, table, constants, is_shift)
        if change is not None:
            changes.append(change)
            table = _changed(table, change)
    if not changes:
        return None
    if start:
        values = {p: CONTEXT.mpf(start[str(p)]) for p in plan.parameters if str(p) in start}
        for change in changes:
            values = change.back(values)
        start = {str(p): float(v) for p, v in values.items()}
    remark = f"The fit was made on {', then '.join(map(str, changes))}"
    try:
        solution = solve(table, start)
    except SymmleError as problem:
        problem.args = (
            f"{problem.args[0]} {remark}; numbers in this message are for that.",
            *problem.args[1:],
        )
        if isinstance(problem, NoMaximumError) and problem.supremum:
            problem.supremum = _supremum(plan, table, constants, changes, problem.supremum)
        raise
    if all(change.height is not None for change in changes):
        solution.usual = UsualUnits(table, solution.values, tuple(changes))
    for change in reversed(changes):
        solution.values = change.forward(solution.values)
        solution.maximisers = {
            name: _members(change, _symbol(plan, name), members)
            for name, members in solution.maximisers.items()
        }
    solution.status = f"{solution.status} {remark}, which the family allows."
    return solution


def _symbol(plan: Plan, name: str) -> Symbol:
    return next(p for p in plan.parameters if str(p) == name)


def _members(change: Change, parameter: Symbol, members: Any) -> Any:
    return tuple(float(change.forward({parameter: CONTEXT.mpf(v)})[parameter]) for v in members)


def _supremum(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    changes: Sequence[Change],
    supremum: dict[str, Any],
) -> dict[str, Any]:
    """The supremum for the data as given; the log-likelihoods of both differ by what is free of parameters."""
    found = dict(supremum)
    estimates = {_symbol(plan, k): CONTEXT.mpf(v) for k, v in supremum.get("estimates", {}).items()}
    given = table
    for change in reversed(changes):
        estimates = change.forward(estimates)
        given = _restored(given, change)
    if "estimates" in found:
        found["estimates"] = {str(p): float(v) for p, v in estimates.items()}
    if "log_likelihood" in found:
        at = {**constants, **_point(plan, np.random.default_rng(5))}
        there = log_likelihood_at(plan, table, at)
        for change in reversed(changes):
            at = change.forward(at)
        difference = log_likelihood_at(plan, given, at) - there
        if CONTEXT.isfinite(difference):
            found["log_likelihood"] = float(found["log_likelihood"] + difference)
        else:
            del found["log_likelihood"]
    return found


# --- tables ------------------------------------------------------------------------------------------


def _changed(table: Table, change: Change) -> Table:
    return _mapped(table, change, change.of_data)


def _restored(table: Table, change: Change) -> Table:
    return _mapped(table, change, lambda values: values * change.factor + change.shift)


def _mapped(table: Table, change: Change, of_data: Callable[[Array], Array]) -> Table:
    samples = []
    for sample in table.samples:
        columns = {c: of_data(v) if c in change.columns else v for c, v in sample.columns.items()}
        samples.append(
            Sample(
                columns,
                sample.weights,
                sample.n,
                sample.rows,
                minimum=ByColumn(columns, _smallest),
                maximum=ByColumn(columns, _largest),
                pivot=ByColumn(columns, _middle),
                index=sample.index,
                offset=sample.offset,
                dropped=sample.dropped,
            )
        )
    return Table(tuple(samples), table.name)


# --- which change ------------------------------------------------------------------------------------


def _needed(plan: Plan, table: Table, constants: dict[Symbol, Any], is_shift: bool) -> Change | None:
    """The change of units that the data ask for and the family allows."""
    if not _is_open(plan):
        return None
    part = plan.declaration.samples[0]
    sample = table.samples[0]
    plain = tuple(c for c in part.all_columns if _is_continuous(_support(plan, c)))
    for columns in dict.fromkeys([plain, *((c,) for c in plain)]):
        if not columns:
            continue
        middle, spread, size = _sizes(sample, columns)
        if is_shift:
            if not (spread > 0 and abs(middle) > FAR * spread and math.isfinite(middle)):
                continue
            shift, factor = middle, 1.0
        else:
            power = math.frexp(size)[1] if size > 0 and math.isfinite(size) else 0
            if abs(power) <= LARGE_UNIT:
                continue
            shift, factor = 0.0, math.ldexp(1.0, min(power, 1000))
        found = _group(plan, constants, columns, is_shift)
        if found is not None:
            return Change(columns, shift, factor, *found)
    return None


def _is_open(plan: Plan) -> bool:
    """Whether the likelihood is of the kind that is fitted by iteration on one sample of fixed support."""
    declaration, estimator = plan.declaration, plan.estimator
    if declaration.where or declaration.constraints or declaration.latent or len(declaration.samples) != 1:
        return False
    if estimator.faces or estimator.searched or estimator.free or plan._moving_supports:
        return False
    return bool(plan.left) or estimator.kind in ("numeric", "reduced")


def _support(plan: Plan, column: Symbol) -> Set | None:
    part = plan.declaration.samples[0]
    column = plan.declaration.lags.get(column, column)
    found: Set | None = part.support.get(column, plan.declaration.given_domains.get(column, S.Reals))
    return found


def _is_continuous(support: Set | None) -> bool:
    return isinstance(support, Interval) and not isinstance(support, Range) and not support.free_symbols


def _sizes(sample: Sample, columns: Sequence[Symbol]) -> tuple[float, float, float]:
    """Of some rows: a middle value, the range of the middle half (or all) of them, and their typical size."""
    some = np.concatenate([spread_rows(sample.columns[c], 512) for c in columns])
    low, middle, high = (float(q) for q in np.quantile(some, (0.25, 0.5, 0.75), method="nearest"))
    spread = high - low
    if not spread > 0:
        spread = float(np.max(some) - np.min(some))
    size = float(np.median(np.abs(some)))
    return middle, spread, size if size > 0 else float(np.max(np.abs(some)))


Group = tuple[dict[Symbol, Fraction], dict[Symbol, Fraction], Fraction | None]


def _group(
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
        support = _support(plan, column)
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
            point = _point(plan, random)
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
    support = _support(plan, column)
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


def _point(plan: Plan, random: np.random.Generator) -> dict[Symbol, Any]:
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


__all__ = ["solve_in_usual_units"]
