"""Standard errors from the exact observed information, on the tangent space of constraints."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
    """The asymptotic covariance by parameter name order, standard errors, or the reason for neither.

    Attributes
    ----------
    here : array or None
        The covariance in the units of the table that was looked at.
    condition : float or None
        The condition number of the information scaled to a unit diagonal, so that units do not matter; inf where
        it is singular, None where there is no information.
    """

    matrix: NDArray[Any] | None
    standard_errors: dict[str, float] | None
    reason: str = ""
    here: NDArray[Any] | None = None
    condition: float | None = None


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
        inverse, condition = _inverse(within)
        if inverse is None:
            return Covariance(
                None,
                None,
                "Standard errors: none, since the observed information is not positive definite.",
                condition=condition,
            )
        covariance = basis * inverse * basis.T
        here = _doubles(covariance)
        if slope is not None:
            scales = [slope(q) for q in plan.parameters]
            for i in range(p):
                for j in range(p):
                    covariance[i, j] *= scales[i] * scales[j]
        errors = {str(q): _double(CONTEXT.sqrt(abs(covariance[k, k]))) for k, q in enumerate(plan.parameters)}
        matrix = _doubles(covariance)
    return Covariance(matrix, errors, here=here, condition=condition)


def gradient_norm_at(
    plan: Plan, table: Table, values: Mapping[Symbol, Any], covariance: NDArray[Any]
) -> float:
    """sqrt(s' V s) with the score s: how many standard errors a further step of Newton's method would go."""
    for tolerance, patience in ((math.inf, 1), (1e-6, 2048)):
        score = plan.score.precise(table, values, tolerance, patience)
        s = np.array([_double(v.number) for v in score])
        found = math.sqrt(max(float(s @ covariance @ s), 0.0))
        if found < 1e-6:
            break
    return found


def stationarity_on_face(
    plan: Plan, table: Table, values: Mapping[Symbol, Any], free: Sequence[Symbol]
) -> tuple[float | None, float | None]:
    """Gradient norm and condition number in the parameters that are not at an end of their domain."""
    places = [k for k, p in enumerate(plan.parameters) if p in free]
    entries = plan.hessian.precise(table, values, tolerance=1e-7)
    with LOCK:
        information = CONTEXT.matrix(len(places), len(places))
        for a, i in enumerate(places):
            for b, j in enumerate(places):
                value = entries[max(i, j) * (max(i, j) + 1) // 2 + min(i, j)]
                if not value.finite:
                    return None, None
                information[a, b] = -value.number
        inverse, condition = _inverse(information)
        if inverse is None:
            return None, condition
        covariance = np.zeros((len(plan.parameters), len(plan.parameters)))
        covariance[np.ix_(places, places)] = _doubles(inverse)
    return gradient_norm_at(plan, table, values, covariance), condition


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


def _inverse(matrix: Any) -> tuple[Any, float]:
    """The inverse of a positive definite matrix, or None where it is none; its condition, scaled to a unit diagonal."""
    p = matrix.rows
    if any(not matrix[i, i] > 0 for i in range(p)):
        return None, math.inf
    scale = [CONTEXT.sqrt(matrix[i, i]) for i in range(p)]
    scaled = CONTEXT.matrix(p, p)
    for i in range(p):
        for j in range(p):
            scaled[i, j] = matrix[i, j] / (scale[i] * scale[j])
    eigenvalues = CONTEXT.eigsy(scaled, eigvals_only=True)
    if not min(eigenvalues) > CONTEXT.mpf("1e-13"):
        return None, math.inf
    condition = _double(max(eigenvalues) / min(eigenvalues))
    inverse = scaled**-1
    for i in range(p):
        for j in range(p):
            inverse[i, j] /= scale[i] * scale[j]
    return inverse, condition


def _doubles(matrix: Any) -> NDArray[Any]:
    return np.array([[_double(matrix[i, j]) for j in range(matrix.cols)] for i in range(matrix.rows)])


def _double(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
