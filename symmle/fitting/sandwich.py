"""Standard errors that hold where the model is wrong: J^-1 (sum w s s') J^-1 with the scores of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import row_kernel
from symmle.fitting.plan import Plan

Array = NDArray[Any]


def scores_of_rows(plan: Plan, table: Table, values: Mapping[Symbol, Any]) -> tuple[Array, Array]:
    """d log f(x_i) / d theta at the values, one row each, and the weights of the rows."""
    found, weights = [], []
    for part, opened in zip(plan.declaration.samples, plan.derivation.likelihood.log_density, strict=True):
        sample = table.sample_of(part.all_columns)
        slopes = [opened.diff(p) for p in plan.parameters]
        names = sorted({s for e in slopes for s in e.free_symbols} - set(part.all_columns), key=str)
        kernel = row_kernel([*part.all_columns, *names], slopes)
        with np.errstate(all="ignore"):
            columns = kernel(
                *(sample.columns[c] for c in part.all_columns), *(float(values[n]) for n in names)
            )
        found.append(
            np.column_stack([np.broadcast_to(np.asarray(c, dtype=float), (sample.rows,)) for c in columns])
        )
        weights.append(np.ones(sample.rows) if sample.weights is None else sample.weights)
    return np.concatenate(found), np.concatenate(weights)


def sandwich(plan: Plan, table: Table, values: Mapping[Symbol, Any], covariance: Array) -> Array:
    """J^-1 K J^-1 (Huber 1967, White 1982), from the inverse observed information J^-1; a weight counts rows."""
    scores, weights = scores_of_rows(plan, table, values)
    meat = scores.T @ (scores * weights[:, None])
    found: Array = covariance @ meat @ covariance
    return found


__all__ = ["sandwich", "scores_of_rows"]
