"""The stationary points of a derivation on data, with log-likelihoods and kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sympy import Float, S, Symbol

from symmle.compiling.data import Table, read_table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError
from symmle.estimator import BySymbol, Kind, StationaryPoint
from symmle.fitting.bracket import roots_of
from symmle.fitting.fit import solve
from symmle.fitting.isolate import SIGN_CHANGE
from symmle.fitting.plan import Plan, plan_of, refuse_what_is_not_built
from symmle.fitting.rational_roots import rational_roots
from symmle.fitting.reparametrised import proof_on_data
from symmle.fitting.solution import closed_values, log_likelihood_at


class StationaryPoints(tuple[StationaryPoint, ...]):
    """Stationary points, the best first.

    Attributes
    ----------
    complete : bool or None
        True: there is no other one in the parameter space, by the proof that `reason` names; None: not known.
    reason : str
    """

    complete: bool | None
    reason: str

    def __new__(
        cls, points: Iterable[StationaryPoint], complete: bool | None = None, reason: str = ""
    ) -> StationaryPoints:
        made = super().__new__(cls, points)
        made.complete, made.reason = complete, reason
        return made

    def __reduce__(self) -> Any:
        return (StationaryPoints, (tuple(self), self.complete, self.reason))


def stationary_points(
    derivation: Any, data: Any, weights: Any = None, fixed: Mapping[Any, Any] | None = None
) -> StationaryPoints:
    """The stationary points in the parameter space that the derivation finds on this data, the best first.

    Closed candidates, every root of one remaining equation (all of them, where it is rational in the parameter),
    or the end of Newton's method. A point is a global maximum only by a certificate of the derivation.
    """
    plan = plan_of(derivation)
    constants = plan.constants(fixed)
    table = data if isinstance(data, Table) else read_table(plan.model, data, weights, constants)
    refuse_what_is_not_built(plan)
    candidates, exact = _candidates(plan, table, constants)
    found = _admissible(plan, table, candidates)
    found.sort(key=lambda pair: -pair[0])
    kinds = [_kind(plan, table, values) for _, values in found]
    complete, reason = _completeness(plan, table, found, kinds, exact)
    certificate = next(
        (p.certificate for p in derivation.estimator.points if p.certificate is not None), None
    )
    points = []
    for rank, (height, values) in enumerate(found):
        proof = certificate if rank == 0 and certificate is not None else None
        points.append(
            StationaryPoint(
                BySymbol({p: Float(float(values[p]), 17) for p in plan.parameters}),
                kinds[rank] if proof is None else proof.kind,
                proof,
                boundary=any(plan.is_at_edge(p, values[p], values) for p in plan.parameters),
                log_likelihood=float(height),
            )
        )
    return StationaryPoints(points, complete, reason)


def _candidates(
    plan: Plan, table: Table, constants: dict[Symbol, Any]
) -> tuple[list[dict[Symbol, Any]], str | None]:
    """Points that may be stationary; '' where they are all that there can be, else why that is not known."""
    unknown = plan.left or list(plan.parameters)
    if len(unknown) > 1:
        if plan.left:
            return [solve(plan, table, constants).values], "several equations remain"
        return _closed(plan, table, constants), "the roots of several equations were not counted"
    given = plan.given_the_rest
    equation = plan.equation.expressions[0]
    known = {s: S(v) for s, v in plan.declaration.constants.items() if v is not None}
    bound = "the parameters are bound by constraints"
    roots = bound if plan.declaration.constraints else rational_roots(equation, unknown[0], table, known)
    if isinstance(roots, str):
        found = roots_of(plan, table, constants) if plan.left else _closed(plan, table, constants)
        return found, roots
    points = []
    for root in roots:
        values = {**constants, unknown[0]: root}
        if not plan.is_in_domain(unknown[0], root, values):
            continue
        for which in range(len(given)):
            points.append({**values, **(closed_values(plan, table, values, which) if plan.left else {})})
    only = not plan.left or not given[0][0] or plan.estimator.profile_certificate is not None
    return points, "" if only else "the closed parameters may have other values"


def _closed(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> list[dict[Symbol, Any]]:
    return [
        {**constants, **closed_values(plan, table, constants, which)} for which in range(len(plan.candidates))
    ]


def _admissible(
    plan: Plan, table: Table, candidates: list[dict[Symbol, Any]]
) -> list[tuple[Any, dict[Symbol, Any]]]:
    found: list[tuple[Any, dict[Symbol, Any]]] = []
    for values in candidates:
        if plan.reason_against(values, table):
            continue
        height = log_likelihood_at(plan, table, values)
        if CONTEXT.isfinite(height):
            found.append((height, values))
    if not found:
        raise NoMaximumError(f"{plan.name}: no stationary point lies in the parameter space on this data.")
    return found


def _completeness(
    plan: Plan,
    table: Table,
    found: list[tuple[Any, dict[Symbol, Any]]],
    kinds: list[Kind],
    reason: str | None,
) -> tuple[bool | None, str]:
    if reason == "":
        return True, "every real root of the equation was isolated in exact arithmetic"
    if len(found) == 1 and plan.is_proved and kinds[0] is Kind.LOCAL_MAXIMUM:
        theorem = next(p.certificate.theorem for p in plan.estimator.points if p.certificate is not None)
        return True, f"{theorem}: there is one stationary point at most"
    if len(found) == 1:
        proof = proof_on_data(plan, table, found[0][1])
        if not isinstance(proof, str) and proof.theorem == SIGN_CHANGE:
            return True, proof.theorem
    return None, reason or ""


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
