"""The maximum where something is not observed: EM from several starts, finished by Newton's method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Interval, Piecewise, Symbol
from sympy.functions.elementary.piecewise import ExprCondPair

from symmle.compiling.data import Table
from symmle.errors import DataError, NotDerivedError
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.em_choice import best_of, classified, on_all, on_closed_end, solution_of
from symmle.fitting.em_guard import Guard
from symmle.fitting.em_kinks import Kinks, kinks_of
from symmle.fitting.em_labels import Exchange, Weights, exchange_of, in_order
from symmle.fitting.em_mstep import MStep
from symmle.fitting.em_options import EmOptions
from symmle.fitting.em_rows import BranchesOnRows, BranchLikelihood
from symmle.fitting.em_run import Runner
from symmle.fitting.em_search import Search
from symmle.fitting.large_starts import compressed
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution
from symmle.fitting.surface_sums import scalar_function
from symmle.latent.problem import Labelled

Array = NDArray[Any]
RESTARTS = 8
FEW, MANY = 4096, 1 << 15  # rows of the search and of the subsample, for larger tables


class Compiled:
    """What EM needs of a plan, compiled once."""

    def __init__(self, plan: Plan, problem: Labelled):
        _refuse(plan, problem)
        constants = [c for c in plan.declaration.constants if c not in plan.parameters]
        self.model = BranchLikelihood(problem, plan.parameters, constants)
        self.m_step = MStep(self.model)
        self.weights = Weights(self.model)
        self.exchange: Exchange = exchange_of(self.model)
        self.bends = kinks_of(problem)  # what is not searched
        self.kinks = Kinks(problem, plan.parameters, constants)
        where = list(problem.observed.where)
        self._where = scalar_function([*plan.parameters, *constants], [], where) if where else None

    def is_allowed(self, theta: Sequence[float], constants: Sequence[float]) -> bool:
        if self._where is None:
            return True
        return all(v > 0 for v in self._where(*theta, *constants))


def compiled(plan: Plan) -> Compiled:
    found = plan.__dict__.get("_em")
    if found is None:
        found = plan.__dict__["_em"] = Compiled(plan, plan.estimator.em)
    return found  # type: ignore[no-any-return]


def rows_for(
    plan: Plan, table: Table, constants: Mapping[Symbol, Any], labels: Array | None = None
) -> BranchesOnRows:
    """The rows as they are, without compression."""
    model = compiled(plan).model
    sample = table.sample_of(model.columns)
    numbers = [float(constants[c]) for c in model.constants]
    return model.on([sample.columns[c] for c in model.columns], sample.weights, numbers, labels)


def solve_em(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    start: dict[str, float] | None = None,
    options: EmOptions | None = None,
) -> Solution:
    """The best end of EM from several starts, at a stationary point of the observed likelihood.

    Raises
    ------
    NotDerivedError
        Parameters that EM and Newton's method do not move: whole ones, ends of supports, constraints.
    DataError
        Fewer distinct rows than components.
    NoMaximumError
        Every start runs into a degenerate point, or l rises towards an edge of the parameter space.
    """
    problem, options = plan.estimator.em, options or EmOptions()
    if problem is None:
        raise NotDerivedError(f"{plan.name} has no latent structure that EM was derived for.")
    options.check()
    if not isinstance(problem, Labelled):
        from symmle.fitting.em_conditional import solve_conditional

        return solve_conditional(plan, table, constants, start, options)
    parts = compiled(plan)
    coordinates = coordinates_of(plan, table, constants)
    labels = _labels(plan, table, problem, options.labels)
    rows = rows_for(plan, table, constants, labels)
    if labels is None:
        ((columns, weights, _),) = compressed([(rows.columns, rows.weights, rows.n)])
        if weights is not rows.weights:
            rows = parts.model.on(columns, weights, rows.constants)
    random = np.random.default_rng(20 if options.seed is None else options.seed)

    def on(some: BranchesOnRows, of: Guard | None = None) -> Search:
        guard = Guard(some, parts.weights, bool(problem.unbounded)) if of is None else of
        runner = Runner(
            some,
            parts.m_step,
            coordinates,
            lambda theta: parts.is_allowed(theta, some.constants),
            guard.collapsed,
        )
        ways = (options.assignment, options.accelerate)
        kinks = parts.kinks if parts.kinks and not parts.bends else None
        return Search(runner, guard, parts.weights, parts.exchange, random, *ways, kinks, bool(parts.bends))

    small = rows.rows <= FEW
    few = on(rows if small else drawn_rows(rows, FEW, random))
    whole = few if small else on(rows, few.guard)
    _refuse_few_values(plan, parts, few.guard, rows)
    if start is not None and all(str(p) in start for p in plan.parameters):
        begun = [few.beginning.given([start[str(p)] for p in plan.parameters])]
    else:
        finish = not start and options.assignment != "classification"
        begun = few.begun(options.init, options.restarts or RESTARTS, finish)
        if start:
            given = {i: start[str(p)] for i, p in enumerate(plan.parameters) if str(p) in start}
            begun = few.beginning.moved(begun, given)
    if options.assignment == "classification":
        return classified(plan, whole, begun, constants, labels)
    ends = [few.finished(e) if e.kind == "begun" else e for e in begun]
    ends = ends if parts.bends else few.followed(ends)
    best = best_of(plan, problem, ends, partial(on_closed_end, plan, few))
    if not small:
        best = on_all(
            whole, [on(drawn_rows(rows, MANY, random), few.guard)] if rows.rows > 2 * MANY else [], best
        )
        if best.kind not in ("maximum", "flat"):
            best = best_of(plan, problem, [best], partial(on_closed_end, plan, whole))
    if start is None and labels is None:
        ordered = in_order(parts.exchange, parts.weights, best.theta, rows.constants)
        inside = all(c.low <= v <= c.high for c, v in zip(coordinates, ordered, strict=True))
        if inside and parts.is_allowed(ordered, rows.constants):  # bounds may tell the components apart
            best.theta = ordered
            best.held = whole.held(ordered)
    return solution_of(plan, problem, whole, best, ends, constants, labels)


# --- refusals ---


def _refuse(plan: Plan, problem: Labelled) -> None:
    declaration = problem.observed
    free = set(plan.parameters)
    if declaration.constraints:
        raise NotDerivedError(
            f"{plan.name} has latent structure and constraints: EM under constraints is not built."
        )
    if len(declaration.samples) != 1:
        raise NotDerivedError(
            f"{plan.name} has latent structure in several samples: EM for that is not built."
        )
    (part,) = declaration.samples
    moving = [s for s in part.support.values() if s.free_symbols & free]
    jumping = [
        c
        for b in problem.branches
        for piece in b.density.atoms(Piecewise)
        for c in piece.args
        if isinstance(c, ExprCondPair) and c.cond.free_symbols & free
    ]
    if moving or jumping or part.inside:
        raise NotDerivedError(
            f"{plan.name}: the support of a component moves with parameters, where EM may stop at any point. "
            "Nothing else is built yet for such mixtures."
        )
    for p in plan.parameters:
        if not isinstance(plan.domain_of(p), Interval):
            raise NotDerivedError(
                f"{plan.name}: `{p}` has the domain {plan.domain_of(p)}: EM takes intervals."
            )


def _refuse_few_values(plan: Plan, parts: Compiled, few: Guard, rows: BranchesOnRows) -> None:
    most = max(len(group) for group in parts.exchange.classes)
    if rows.known is not None or most < 2 or few.distinct >= most:
        return
    distinct = few.distinct if few.rows is rows else Guard(rows, parts.weights, False).distinct
    if distinct < most:
        shown = "row" if len(rows.columns) > 1 else "value"
        raise DataError(
            f"{plan.name}: {most} components need at least {most} distinct {shown}s; the data have {distinct}. "
            "Take fewer components."
        )


def _labels(plan: Plan, table: Table, problem: Labelled, labels: Any) -> Array | None:
    """The place of each row's branch, -1 where it is not known."""
    if labels is None:
        return None
    sample = table.samples[0]
    given = list(labels)
    total = sample.rows + sample.offset if sample.index is None else None
    if total is not None and len(given) != total:
        raise DataError(
            f"{plan.name}: {len(given)} labels for {total} rows. Pass one a row, None where unknown."
        )
    kept = given[sample.offset :] if sample.index is None else [given[int(i)] for i in sample.index]
    names = {b.label: j for j, b in enumerate(problem.branches)}
    found = np.full(len(kept), -1)
    for row, label in enumerate(kept):
        if label is None or (isinstance(label, float) and math.isnan(label)) or str(label) == "":
            continue
        text = (
            str(int(label))
            if isinstance(label, (int, float, np.number)) and label == int(label)
            else str(label)
        )
        if text not in names:
            raise DataError(
                f"{plan.name}: row {sample.row_number(row)} has the label {label!r}; the branches are "
                f"{', '.join(names)}, and None stands for an unknown one."
            )
        found[row] = names[text]
    return found


# --- coordinates and rows ---


def coordinates_of(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> list[Coordinate]:
    """Free coordinates of the domains; a real line in units of the range of the data."""
    sample = table.samples[0]
    ranges = [float(sample.maximum[c] / 2 - sample.minimum[c] / 2) for c in sample.columns]
    spread = max(ranges, default=1.0) or 1.0
    found = []
    for p in plan.parameters:
        domain = plan.domain_of(p)
        if domain.free_symbols - set(constants):
            raise NotDerivedError(
                f"{plan.name}: the domain of `{p}` names parameters: EM for that is not built."
            )
        low, high = (float(plan.scalar(end, constants)) for end in (domain.start, domain.end))
        line = math.isinf(low) and math.isinf(high)
        found.append(Coordinate(low, high, 0.0, spread) if line else Coordinate(low, high))
    return found


def drawn_rows(rows: BranchesOnRows, count: int, random: np.random.Generator) -> BranchesOnRows:
    chosen = np.sort(random.integers(0, rows.rows, count))
    return rows.model.on(
        [c[chosen] for c in rows.columns],
        None if rows.weights is None else rows.weights[chosen],
        rows.constants,
        None if rows.known is None else rows.known[chosen],
    )


__all__ = ["compiled", "rows_for", "solve_em"]
