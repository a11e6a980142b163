"""The stationary points of a derivation on data, with log-likelihoods and kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sympy import Float, Symbol

from symmle.compiling.data import Table, read_table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError
from symmle.estimator import BySymbol, Kind, StationaryPoint
from symmle.fitting.bracket import roots_of
from symmle.fitting.fit import solve
from symmle.fitting.plan import Plan, plan_of, refuse_what_is_not_built
from symmle.fitting.solution import closed_values, log_likelihood_at


def stationary_points(
    derivation: Any, data: Any, weights: Any = None, fixed: Mapping[Any, Any] | None = None
) -> tuple[StationaryPoint, ...]:
    """The stationary points in the parameter space that the derivation finds on this data, the best first.

    Closed candidates, every bracketed root of one remaining equation, or the end of Newton's method.
    A point is a global maximum only by a certificate of the derivation.
    """
    plan = plan_of(derivation)
    constants = plan.constants(fixed)
    table = data if isinstance(data, Table) else read_table(plan.model, data, weights, constants)
    refuse_what_is_not_built(plan)
    found = _points(plan, table, constants)
    found.sort(key=lambda pair: -pair[0])
    certificate = next(
        (p.certificate for p in derivation.estimator.points if p.certificate is not None), None
    )
    points = []
    for rank, (height, values) in enumerate(found):
        kind = _kind(plan, table, values)
        proof = certificate if rank == 0 and certificate is not None else None
        if proof is not None:
            kind = proof.kind
        points.append(
            StationaryPoint(
                BySymbol({p: Float(float(values[p]), 17) for p in plan.parameters}),
                kind,
                proof,
                boundary=any(plan.is_at_edge(p, values[p], values) for p in plan.parameters),
                log_likelihood=float(height),
            )
        )
    return tuple(points)


def _points(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> list[tuple[Any, dict[Symbol, Any]]]:
    candidates: list[dict[Symbol, Any]] = []
    if not plan.left:
        for which in range(len(plan.candidates)):
            candidates.append({**constants, **closed_values(plan, table, constants, which)})
    elif len(plan.left) == 1:
        candidates = roots_of(plan, table, constants)
    else:
        candidates = [solve(plan, table, constants).values]
    found = []
    for values in candidates:
        if plan.reason_against(values, table):
            continue
        height = log_likelihood_at(plan, table, values)
        if CONTEXT.isfinite(height):
            found.append((height, values))
    if not found:
        raise NoMaximumError(f"{plan.name}: no stationary point lies in the parameter space on this data.")
    return found


def _kind(plan: Plan, table: Table, values: dict[Symbol, Any]) -> Kind:
    """Local kind by the signs of the Hessian's eigenvalues."""
    p = len(plan.parameters)
    entries = plan.hessian.precise(table, values, tolerance=1e-7)
    if not all(v.finite for v in entries) or plan.declaration.constraints:
        return Kind.UNDECIDED
    matrix = CONTEXT.matrix(p, p)
    for i in range(p):
        for j in range(i + 1):
            matrix[i, j] = matrix[j, i] = entries[i * (i + 1) // 2 + j].number
    size = [CONTEXT.sqrt(abs(matrix[i, i])) for i in range(p)]
    if any(s == 0 for s in size):
        return Kind.UNDECIDED
    for i in range(p):
        for j in range(p):
            matrix[i, j] /= size[i] * size[j]
    eigenvalues = list(CONTEXT.eigsy(matrix, eigvals_only=True))
    if any(abs(e) < 1e-10 for e in eigenvalues):
        return Kind.UNDECIDED
    if all(e < 0 for e in eigenvalues):
        return Kind.LOCAL_MAXIMUM
    return Kind.LOCAL_MINIMUM if all(e > 0 for e in eigenvalues) else Kind.SADDLE_POINT
