"""The remaining equation and l as functions of one parameter, and the rows that scans look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sympy import Symbol

from symmle.compiling.data import Sample, Table
from symmle.compiling.evaluate import Value
from symmle.compiling.kernels import CONTEXT
from symmle.compiling.row_data import MOST_DISTINCT
from symmle.compiling.rows import Care
from symmle.fitting.plan import Plan
from symmle.fitting.solution import log_likelihood_at
from symmle.progress import report

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
        report("root", self.calls, math.nan, (self.parameter,), (theta,))
        values = {**self.constants, self.parameter: CONTEXT.mpf(theta)}
        number = self.plan.equation.quick(self.table, values, self.care)[0]
        if isinstance(number, CONTEXT.mpc) or not CONTEXT.isfinite(number):
            return math.nan
        return _squashed(number)

    def precise_equation(self, theta: Any) -> Any:
        return self.careful_equation(theta, 1e-9).number

    def careful_equation(self, theta: Any, tolerance: float) -> Value:
        """The equation with its error; none where the support would not hold every row."""
        if self.plan.estimator.edges and self.point(theta) is None:
            return Value(CONTEXT.nan, CONTEXT.inf)
        values = {**self.constants, self.parameter: theta}
        return self.plan.equation.precise(self.table, values, tolerance=tolerance)[0]

    def log_likelihood(self, theta: Any) -> Any:
        values = {**self.constants, self.parameter: CONTEXT.mpf(theta)}
        names, compiled = self.plan.given_the_rest[self.which]
        found = compiled.precise(self.table, values, tolerance=1e-9, patience=FEW)
        values.update({name: value.number for name, value in zip(names, found, strict=True)})
        if self.plan.reason_against(values, self.table):
            return CONTEXT.nan
        return log_likelihood_at(self.plan, self.table, values, FEW)


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


def care_for(table: Table) -> Care:
    """Whether plain doubles are enough for scanning: not where the spread is small."""
    for sample in table.samples:
        for column in sample.columns:
            mean = sample.pivot[column]
            spread = sample.maximum[column] / 2 - sample.minimum[column] / 2
            if 0 < spread < 1e-5 * abs(mean):
                return Care.CENTRED
    return Care.DIRECT


def is_extreme(table: Table) -> bool:
    """Whether doubles may overflow inside functions of the data, and the rows are few enough for 240 bits."""
    for sample in table.samples:
        for column in sample.columns:
            largest = max(abs(sample.minimum[column]), abs(sample.maximum[column]))
            if (largest > 1e100 or 0 < largest < 1e-100) and table.rows <= MOST_DISTINCT:
                return True
    return False


def _squashed(number: Any) -> float:
    size = abs(number)
    return float(number / (1 + size))
