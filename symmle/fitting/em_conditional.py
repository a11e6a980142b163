"""EM where the latent variable is continuous: columns of E[t_k(z) | x; theta], then the M-step on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import S, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, row_kernel
from symmle.errors import NoMaximumError, NotConvergedError
from symmle.fitting.em_mstep import MStep
from symmle.fitting.em_run import End, Runner, Trail
from symmle.fitting.large_starts import FEW, drawn_rows, ends_of_ascents, trials_at
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution
from symmle.fitting.surface_sums import LikelihoodSums, Rows, rows_of
from symmle.latent.problem import Branch, Conditional
from symmle.likelihood import build_likelihood

Array = NDArray[Any]
CYCLES = (4, 20, 80, 300)
EDGE = 12.0  # of a free coordinate


@dataclass(frozen=True)
class _OneBranch:
    """The M-step's sample as the only branch of a problem: its columns are those of the model and the e_k."""

    branches: tuple[Branch, ...]
    m_step: Any
    estimator: Any


class ConditionalModel:
    """A conditional problem compiled: expectations, the observed likelihood, the expected complete one."""

    def __init__(self, plan: Plan, problem: Conditional):
        self.parameters = plan.parameters
        self.constants = tuple(c for c in plan.declaration.constants if c not in plan.parameters)
        self.problem = problem
        (part,) = problem.observed.samples
        self.observed_columns: tuple[Symbol, ...] = part.all_columns
        self.expected = tuple(problem.expectations)
        self.size = len(self.expected)
        (inside,) = problem.m_step.samples
        self.columns: tuple[Symbol, ...] = inside.all_columns
        self.own = [list(range(len(self.parameters)))]
        self.pairs = list(itertools.combinations_with_replacement(range(len(self.parameters)), 2))
        self.likelihood = plan.derivation.likelihood
        self.sums = LikelihoodSums(self.likelihood, self.parameters, self.constants)
        names = [*self.observed_columns, *self.parameters, *self.constants]
        self.kernel = row_kernel(names, list(problem.expectations.values()))
        self._complete: LikelihoodSums | None = None
        columns = {c: c for c in self.columns}
        self.one = _OneBranch(
            (Branch("", S.One, inside.density, columns),),
            problem.m_step,
            problem.estimator,
        )

    @property
    def complete(self) -> LikelihoodSums:
        if self._complete is None:
            self._complete = LikelihoodSums(
                build_likelihood(self.problem.m_step), self.parameters, self.constants
            )
        return self._complete


class ConditionalRows:
    """The rows of a conditional problem with the interface that `Runner` and `MStep` ask for."""

    def __init__(self, model: ConditionalModel, rows: Rows, constants: Sequence[float]):
        self.model = model
        ((self.given, self.weights, self.n),) = rows
        self.rows = len(self.given[0])
        self.constants = tuple(constants)
        self.sums = model.sums.on(rows, constants)
        self.columns: list[Array] = []  # of the M-step, once expectations are known
        self.statistics = None  # they move with the expectations

    def expectation(self, theta: Sequence[float], out: Array | None = None) -> tuple[float, Array]:
        height = self.sums.value(theta)
        found = np.empty((self.model.size, self.rows)) if out is None else out
        with np.errstate(all="ignore"):
            for row, value in zip(
                found, self.model.kernel(*self.given, *theta, *self.constants), strict=True
            ):
                row[...] = value
        return height, found

    def value(self, theta: Sequence[float]) -> float:
        return self.sums.value(theta)

    def derivatives(self, theta: Sequence[float]) -> tuple[float, Array, Array]:
        return self.sums.derivatives(theta)

    def filled(self, expectations: Array) -> ConditionalRows:
        """These rows with the expectations as columns of the M-step."""
        known = dict(zip(self.model.observed_columns, self.given, strict=True))
        known |= dict(zip(self.model.expected, expectations, strict=True))
        self.columns = [known[c] for c in self.model.columns]
        self._complete = self.model.complete.on([(self.columns, self.weights, self.n)], self.constants)
        return self

    def surrogate(self, theta: Sequence[float], r: Array) -> tuple[float, Array, Array]:
        return self._complete.derivatives(theta)

    def surrogate_value(self, theta: Sequence[float], r: Array) -> float:
        return self._complete.value(theta)


class _View:
    """What `MStep` reads of a compiled problem."""

    def __init__(self, model: ConditionalModel):
        self.problem = model.one
        self.parameters, self.constants, self.columns = model.parameters, model.constants, model.columns


class ConditionalStep:
    """The M-step on columns of expectations."""

    def __init__(self, model: ConditionalModel):
        self.step = MStep(_View(model))  # type: ignore[arg-type]
        self.open = self.step.open

    def __call__(
        self, rows: ConditionalRows, r: Array, theta: Sequence[float], coordinates: Any, is_allowed: Any
    ) -> list[float] | None:
        one = np.ones((1, rows.rows))
        return self.step(rows.filled(r), one, theta, coordinates, is_allowed)  # type: ignore[arg-type]


def solve_conditional(
    plan: Plan, table: Table, constants: dict[Symbol, Any], start: dict[str, float] | None, options: Any
) -> Solution:
    """EM from a start at the scales of the data, finished by Newton's method on the observed likelihood."""
    from symmle.fitting.em import coordinates_of
    from symmle.fitting.em_choice import LatentEnd

    coordinates = coordinates_of(plan, table, constants)
    rows = rows_of_table(plan, table, constants)
    model, numbers = rows.model, rows.constants
    raw = rows_of(table, model.likelihood)
    step = ConditionalStep(model)
    runner = Runner(rows, step, coordinates)  # type: ignore[arg-type]
    if start is not None and all(str(p) in start for p in plan.parameters):
        begins = {"given": [start[str(p)] for p in plan.parameters]}
    else:
        random = np.random.default_rng(20)
        few = drawn_rows(raw, FEW, random)
        trials = trials_at(coordinates, few, random)
        begins = {"scales of the data": _highest(runner, trials.points.tolist())}
        found = ends_of_ascents(
            model.sums.on(few, numbers), coordinates, trials_at(coordinates, few, random), 2
        )
        if found:
            begins["search on few rows"] = list(found[0].theta)
        if start:
            begins = {
                f"{name}, partly given": [
                    start.get(str(p), v) for p, v in zip(plan.parameters, theta, strict=True)
                ]
                for name, theta in begins.items()
            }
    ends = [_ended(runner, theta, name) for name, theta in begins.items()]
    end = max(ends, key=lambda e: (e.kind == "maximum", e.height))
    if end.kind != "maximum":
        raise _refusal(plan, runner, end)
    values = {p: CONTEXT.mpf(v) for p, v in zip(plan.parameters, end.theta, strict=True)}
    solution = Solution({**constants, **values}, "em", iterations=end.steps)
    solution.status = (
        "EM on expectations of the latent variable, finished by Newton's method on the observed likelihood."
    )
    solution.latent = LatentEnd(end.trail, ends)
    return solution


def rows_of_table(plan: Plan, table: Table, constants: Mapping[Symbol, Any]) -> ConditionalRows:
    """The rows of a table as the conditional problem takes them, compiled once for a plan."""
    model = plan.__dict__.get("_em_conditional")
    if model is None:
        model = plan.__dict__["_em_conditional"] = ConditionalModel(plan, plan.estimator.em)
    numbers = [float(constants[c]) for c in model.constants]
    return ConditionalRows(model, rows_of(table, model.likelihood), numbers)


def _highest(runner: Runner, trials: Sequence[list[float]]) -> list[float]:
    heights = [runner.value(t) for t in trials]
    usable = [(h, k) for k, h in enumerate(heights) if math.isfinite(h)]
    return trials[max(usable)[1]] if usable else trials[0]


def _ended(runner: Runner, theta: list[float], name: str) -> End:
    trail = Trail()
    height = runner.value(theta)
    for cycles in CYCLES:
        theta, height, _ = runner.accelerated(theta, cycles, trail)
        up = runner.climbed(theta)
        if up is not None and up.height >= height - 1e-9 * (1 + abs(height)):
            trail.add(up.height, up.theta)
            gradient = float(np.abs(runner.free_derivatives(up.theta)[1]).max())
            return End(
                list(up.theta),
                up.height,
                "maximum",
                name,
                trail.steps + up.steps,
                gradient,
                up.condition,
                trail,
            )
    return End(list(theta), height, "failed", name, trail.steps, trail=trail)


def _rising_to_edge(runner: Runner, end: End) -> list[int]:
    """The parameters that may go to an end of their domain without lowering l."""
    t = runner.free(end.theta)
    if t is None:
        return [i for i, c in enumerate(runner.coordinates) if not c.low < end.theta[i] < c.high]
    found = []
    for i, c in enumerate(runner.coordinates):
        for sign, edge in ((-1.0, c.low), (1.0, c.high)):
            moved = t.copy()
            moved[i] += sign * EDGE
            if math.isfinite(edge) and runner.value(runner.inside(moved)) >= end.height:
                found.append(i)
    return found


def _refusal(plan: Plan, runner: Runner, end: End) -> NoMaximumError | NotConvergedError:
    values = {str(p): v for p, v in zip(plan.parameters, end.theta, strict=True)}
    far = [str(plan.parameters[i]) for i in _rising_to_edge(runner, end)]
    if far:
        return NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: it rises as {', '.join(far)} "
            f"{'goes' if len(far) == 1 else 'go'} to the edge of the parameter space (log-likelihood "
            f"{end.height:.10g} at {values}).",
            supremum={**values, "log_likelihood": end.height},
        )
    return NotConvergedError(
        f"{plan.name}: neither EM nor Newton's method came to rest; the best log-likelihood met is "
        f"{end.height:.10g}. Pass a start near the maximum.",
        result={"estimates": values, "log_likelihood": end.height},
    )


__all__ = ["ConditionalModel", "rows_of_table", "solve_conditional"]
