"""The maximum from means alone: theta = c(m_1, ..., m_k), with at most one equation F(theta_1; m) = 0 left.

Where a law is proved to have its maximum at the one stationary point, and the data enter by means of functions free
of parameters, a large column is read once and no table of trials is needed. Everything is in doubles; what
rounding could show in (by the derivatives in the means) goes the careful way, as does everything else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Add, Expr, Interval, S, Symbol, log

from symmle.compiling.data import table_of_column
from symmle.compiling.kernels import CONTEXT, log1p_
from symmle.compiling.row_sums import RowSums, over_blocks
from symmle.errors import NotDerivedError
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.large import LARGE
from symmle.fitting.large_models import found_coordinates, proves_support
from symmle.fitting.plan import Plan
from symmle.fitting.relations import Relations
from symmle.fitting.result import FitResult
from symmle.fitting.solution import Solution
from symmle.fitting.surface_sums import scalar_function
from symmle.sample import Count, Mean, SampleOperator

Array = NDArray[Any]

ROUNDING = 4e-16  # relative, of a mean over blocks
TRUSTED = 1e-12  # relative errors of an estimate that rounding may make
USUAL = 1e28  # sizes of means beyond which the data are brought to usual units first
STEPS = 50
LADDER = np.linspace(
    -14.0, 14.0, 41
)  # free coordinates at which the equation is looked at for a change of sign


class FromMeans:
    """The estimates of one plan as functions of the means of a column."""

    def __init__(self, plan: Plan, coordinates: Sequence[Coordinate], means: Sequence[Expr]):
        self.plan, self.coordinates = plan, coordinates
        self.names = [str(p) for p in plan.parameters]
        (self.column,) = plan.declaration.samples[0].all_columns
        functions = [m.summand for m in means]  # type: ignore[attr-defined]
        program = RowSums([], (self.column,), (), functions).keeping(range(len(functions)))
        if program.direct is None:
            raise NotDerivedError("A function of the data holds a sum over an index.")
        self.sums = program.direct
        # the size below which the error of a mean is not taken to go: a mean of logarithms may be 0
        self.least = [1.0 if _is_logarithm(g) else 0.0 for g in functions]
        self.proves = proves_support(self.column, plan.declaration.samples[0], functions)
        n, names = Symbol("n", positive=True), [Symbol(f"m_{k}", real=True) for k in range(len(means))]
        put: dict[Expr, Expr] = {**dict(zip(means, names, strict=True))}
        put |= {c: n for e in _expressions(plan) for c in e.atoms(Count)}
        left = plan.left
        self.unknown = left[0] if left else None
        self.place = plan.parameters.index(left[0]) if left else -1
        known = [*left, *names, n]
        if left:
            equation = plan.estimator.remaining[0].expression.xreplace(put)
            terms = Add.make_args(equation)
            slopes = [equation.diff(s) for s in (left[0], *names)]
            self.equation = scalar_function(known, [], [equation, equation.diff(left[0])])
            self.errors = scalar_function(known, [], [*terms, *slopes])
            self.terms = len(terms)
        closed = [(p, plan.estimator.closed[p].xreplace(put)) for p in plan.parameters if p not in left]
        self.closed = [plan.parameters.index(p) for p, _ in closed]
        derivatives = [e.diff(s) for _, e in closed for s in (*left, *names)]
        self.values = scalar_function(known, [], [*(e for _, e in closed), *derivatives])

    def fitted(self, column: Array) -> FitResult | None:
        """The result for a contiguous column of doubles; None where the careful way is to be taken."""
        with np.errstate(all="ignore"):
            means = self._means(column)
            if means is None:
                return None
            try:
                theta = self._theta(means, float(len(column)))
            except (ZeroDivisionError, OverflowError, ValueError, TypeError, NameError):
                return None
        if theta is None:
            return None
        table = table_of_column(self.plan.model, self.column, column)
        values = dict(zip(self.plan.parameters, map(CONTEXT.mpf, theta), strict=True))
        estimates = dict(zip(self.names, theta, strict=True))
        found = Solution(values, "newton" if self.place >= 0 else "closed form")
        found.status = (
            "The estimates are the closed form of the derivation."
            if self.place < 0
            else "Newton's method in a bracket converged on the one equation that is left; 1 pass over the data."
        )
        found.unique = True if self.place >= 0 else None
        found.inside = found.near = True
        found.passes = 1
        return FitResult(self.plan.derivation, table, found, estimates)

    def _means(self, column: Array) -> list[float] | None:
        """The means, where they say (with the least row) that every row is finite and in the support."""
        if column[0] == column[-1]:  # perhaps a constant column
            return None

        def work(low: int, high: int) -> list[float]:
            block = column[low:high]
            if not self.proves and not np.minimum.reduce(block) > 0:
                return [math.nan] * len(self.least)
            return self.sums(None, block)  # type: ignore[no-any-return]

        n = len(column)
        found = [total / n for total in over_blocks(work, n, 1)]
        good = all(1 / USUAL < abs(m) + least < USUAL for m, least in zip(found, self.least, strict=True))
        return found if good else None

    def _theta(self, means: list[float], n: float) -> list[float] | None:
        """The estimates, each with an error of rounding that does not show."""
        rounding = [ROUNDING * max(abs(m), least) for m, least in zip(means, self.least, strict=True)]
        theta = [0.0] * len(self.coordinates)
        known, errors = [*means, n], rounding
        if self.place >= 0:
            solved = self._root(means, n, rounding)
            if solved is None:
                return None
            theta[self.place] = solved[0]
            known, errors = [solved[0], *known], [solved[1], *errors]
        found = self.values(*known)
        count = len(self.closed)
        for k, place in enumerate(self.closed):
            value = float(found[k])
            slopes = found[count + k * len(errors) : count + (k + 1) * len(errors)]
            error = sum([abs(float(s)) * e for s, e in zip(slopes, errors, strict=True)])
            if not error <= TRUSTED * abs(value):
                return None
            theta[place] = value
        inside = all(c.low < v < c.high for c, v in zip(self.coordinates, theta, strict=True))
        return theta if inside and all(map(math.isfinite, theta)) else None

    def _root(self, means: list[float], n: float, rounding: list[float]) -> tuple[float, float] | None:
        """The root of the equation that is left, by Newton's method in a bracket, and its error."""
        c = self.coordinates[self.place]
        points = _ladder(c)
        heights = np.sign(self.equation(points, *means, n)[0])
        changes = np.flatnonzero(heights[1:] * heights[:-1] < 0)
        if len(changes) != 1:  # none, or more than a proof allows
            return None
        k = int(changes[0])
        low, high = c.at(float(points[k])), c.at(float(points[k + 1]))
        rising = heights[k] < 0
        t = 0.5 * (low + high)
        for _ in range(STEPS):
            p = c.value(t)
            height, slope = map(float, self.equation(p, *means, n))
            if (height < 0) == rising:
                low = t
            else:
                high = t
            step = -height / (slope * c.slopes(p)[0])
            if not low <= t + step <= high:
                step = 0.5 * (low + high) - t
            t += step
            if abs(step) <= 1e-9:  # the next one would be its square
                break
        else:
            return None
        p = c.value(t)
        found = list(map(float, self.errors(p, *means, n)))
        terms, slope, by_means = found[: self.terms], found[self.terms], found[self.terms + 1 :]
        noise = ROUNDING * sum(map(abs, terms)) + sum(
            [abs(s) * e for s, e in zip(by_means, rounding, strict=True)]
        )
        error = noise / abs(slope)
        return (p, error) if error <= TRUSTED * abs(p) else None


def _ladder(c: Coordinate) -> Array:
    """Points of a domain, from end to end."""
    if math.isfinite(c.low) and math.isfinite(c.high):
        return c.low + (c.high - c.low) / (1 + np.exp(-LADDER))
    if math.isfinite(c.low):
        return c.low + np.exp(LADDER)
    return c.high - np.exp(-LADDER)


def from_means_of(plan: Plan) -> FromMeans | None:
    """The estimates of this plan from means, where they are that; kept with the plan."""
    if "_from_means" not in plan.__dict__:
        plan.__dict__["_from_means"] = _made(plan)
    return plan.__dict__["_from_means"]  # type: ignore[no-any-return]


def _made(plan: Plan) -> FromMeans | None:
    declaration, estimator = plan.declaration, plan.estimator
    parts = declaration.samples
    if len(parts) != 1 or len(parts[0].all_columns) != 1 or parts[0].inside or declaration.lags:
        return None
    if declaration.constants or declaration.size is not None or not plan.is_proved or len(plan.left) > 1:
        return None
    special = estimator.alternatives or estimator.maximisers or estimator.free or estimator.supremum
    if special or estimator.searched or estimator.edges or estimator.em is not None:
        return None
    if estimator.kind not in ("closed form", "reduced") or len(estimator.remaining) != len(plan.left):
        return None
    (column,) = parts[0].all_columns
    support = parts[0].support.get(column)
    if support not in (Interval.open(0, S.Infinity), Interval.open(0, 1)):
        return None
    if not all(_is_of_data_that_vary(c) for c in plan._conditions):
        return None
    coordinates = found_coordinates(plan, {}, False)
    if coordinates is None or any(not c.is_bounded for c in coordinates if plan.left):
        return None
    operators = {o for e in _expressions(plan) for o in e.atoms(SampleOperator)}
    means = sorted((o for o in operators if isinstance(o, Mean)), key=str)
    if not means or any(not isinstance(o, (Mean, Count)) for o in operators):
        return None
    if not all(_is_summable(m.summand, column) for m in means):
        return None
    if support == Interval.open(0, 1) and not proves_support(column, parts[0], [m.summand for m in means]):
        return None
    try:
        return FromMeans(plan, coordinates, means)
    except NotDerivedError:  # a function for which there are no numbers in doubles
        return None


def _expressions(plan: Plan) -> list[Expr]:
    return [*plan.estimator.closed.values(), *(e.expression for e in plan.estimator.remaining)]


def _is_of_data_that_vary(condition: Relations) -> bool:
    """Whether a condition says that the column is not constant, or that an estimate is in its domain."""
    return condition.varying is not None or condition.condition.reading == "in the domain"


def _is_summable(g: Expr, column: Symbol) -> bool:
    """Whether g is free of parameters and its sum loses nothing: all of one sign, or a logarithm."""
    if g.free_symbols != {column} or g.has(SampleOperator):
        return False
    return bool(g.is_nonnegative or g.is_nonpositive or _is_logarithm(g))


def _is_logarithm(g: Expr) -> bool:
    return g.func in (log, log1p_)


def fitted_from_means(plan: Plan, data: Any) -> FitResult | None:
    """The fit of a plain large column with nothing asked for besides; None where that does not apply."""
    if (
        type(data) is not np.ndarray
        or data.dtype != np.float64
        or data.ndim != 1
        or len(data) < LARGE
        or not data.flags.c_contiguous
    ):
        return None
    found = from_means_of(plan)
    return None if found is None else found.fitted(data)


__all__ = ["FromMeans", "fitted_from_means", "from_means_of"]
