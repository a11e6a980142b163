"""Standard errors from the exact observed information, on the tangent space of constraints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, LOCK
from symmle.fitting.plan import Plan

REGULAR_KINDS = ("closed form", "reduced", "numeric", "em")


@dataclass(frozen=True)
class Covariance:
    """The asymptotic covariance by parameter name order, standard errors, or the reason for neither."""

    matrix: NDArray[Any] | None
    standard_errors: dict[str, float] | None
    reason: str = ""


def covariance_at(
    plan: Plan,
    table: Table,
    values: Mapping[Symbol, Any],
    boundary: bool,
    slope: Callable[[Symbol], Any] | None = None,
) -> Covariance:
    """(-H)^{-1} at the estimate; with constraints g = 0, N (N^T I N)^{-1} N^T with N spanning ker Dg.

    With `slope`, dtheta/dtheta' of each parameter, for theta where table and values are those of theta'.
    """
    kind = plan.estimator.kind
    if kind not in REGULAR_KINDS:
        return Covariance(None, None, f"Standard errors: none, since the estimator is of kind '{kind}'.")
    if boundary:
        return Covariance(
            None, None, "Standard errors: none, since the maximum is on the edge of the parameter space."
        )
    p = len(plan.parameters)
    entries = plan.hessian.precise(table, values, tolerance=1e-7)
    if not all(v.finite for v in entries):
        return Covariance(None, None, "Standard errors: none, since the observed information is not finite.")
    with LOCK:
        information = CONTEXT.matrix(p, p)
        for i in range(p):
            for j in range(i + 1):
                information[i, j] = information[j, i] = -entries[i * (i + 1) // 2 + j].number
        basis = CONTEXT.eye(p)
        if plan.declaration.constraints:
            information, basis = _constrained(plan, table, values, information)
        if basis.cols == 0:
            return Covariance(None, None, "Standard errors: none, since the constraints leave no freedom.")
        within = basis.T * information * basis
        inverse = _inverse(within)
        if inverse is None:
            return Covariance(
                None, None, "Standard errors: none, since the observed information is not positive definite."
            )
        covariance = basis * inverse * basis.T
        if slope is not None:
            scales = [slope(q) for q in plan.parameters]
            for i in range(p):
                for j in range(p):
                    covariance[i, j] *= scales[i] * scales[j]
        errors = {str(q): _double(CONTEXT.sqrt(abs(covariance[k, k]))) for k, q in enumerate(plan.parameters)}
        matrix = np.array([[_double(covariance[i, j]) for j in range(p)] for i in range(p)])
    return Covariance(matrix, errors)


def _constrained(plan: Plan, table: Table, values: Mapping[Symbol, Any], information: Any) -> tuple[Any, Any]:
    """The information of the Lagrangian, and a basis of the directions that the constraints leave."""
    parameters, constraints = plan.parameters, plan.declaration.constraints
    p, m = len(parameters), len(constraints)
    jacobian = CONTEXT.matrix(m, p)
    for k, g in enumerate(constraints):
        for i, q in enumerate(parameters):
            jacobian[k, i] = plan.scalar(g.diff(q), values)
    if any(g.diff(q, r) != 0 for g in constraints for q in parameters for r in parameters):
        score = CONTEXT.matrix([v.number for v in plan.score.precise(table, values, tolerance=1e-8)])
        multipliers = CONTEXT.lu_solve(jacobian * jacobian.T, -(jacobian * score))
        for i, q in enumerate(parameters):
            for j, r in enumerate(parameters):
                bend = sum(
                    (multipliers[k] * plan.scalar(g.diff(q, r), values) for k, g in enumerate(constraints)),
                    CONTEXT.mpf(0),
                )
                information[i, j] -= bend
    return information, _null_space(jacobian)


def _null_space(jacobian: Any) -> Any:
    """A basis of ker J by Gauss elimination with full pivoting."""
    m, p = jacobian.rows, jacobian.cols
    a, order, rank = jacobian.copy(), list(range(p)), 0
    for k in range(min(m, p)):
        size, i, j = max((abs(a[i, j]), i, j) for i in range(k, m) for j in range(k, p))
        if size < CONTEXT.mpf(2) ** -80:
            break
        for c in range(p):
            a[k, c], a[i, c] = a[i, c], a[k, c]
        for r in range(m):
            a[r, k], a[r, j] = a[r, j], a[r, k]
        order[k], order[j] = order[j], order[k]
        for r in range(m):
            if r != k:
                factor = a[r, k] / a[k, k]
                for c in range(p):
                    a[r, c] -= factor * a[k, c]
        rank += 1
    basis = CONTEXT.matrix(p, p - rank)
    for free in range(p - rank):
        basis[order[rank + free], free] = CONTEXT.mpf(1)
        for k in range(rank):
            basis[order[k], free] = -a[k, rank + free] / a[k, k]
    return basis


def _inverse(matrix: Any) -> Any:
    """The inverse of a positive definite matrix, or None where it is none."""
    p = matrix.rows
    if any(not matrix[i, i] > 0 for i in range(p)):
        return None
    scale = [CONTEXT.sqrt(matrix[i, i]) for i in range(p)]
    scaled = CONTEXT.matrix(p, p)
    for i in range(p):
        for j in range(p):
            scaled[i, j] = matrix[i, j] / (scale[i] * scale[j])
    smallest = min(CONTEXT.eigsy(scaled, eigvals_only=True))
    if not smallest > CONTEXT.mpf("1e-13"):
        return None
    inverse = scaled**-1
    for i in range(p):
        for j in range(p):
            inverse[i, j] /= scale[i] * scale[j]
    return inverse


def _double(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
