"""The stationary points of a derivation on data, with log-likelihoods and kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Float, S, Symbol

from symmle.compiling.data import Table, read_table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, SymmleError
from symmle.estimator import BySymbol, Kind, Scope, StationaryPoint
from symmle.fitting.bracket import roots_of
from symmle.fitting.em_points import latent_points
from symmle.fitting.faces import refuse_unattained
from symmle.fitting.homotopy import every_stationary_point, kind_of, statistic_values
from symmle.fitting.isolate import SIGN_CHANGE
from symmle.fitting.isolated_roots import isolated_roots
from symmle.fitting.plan import Plan, plan_of, refuse_what_is_not_built
from symmle.fitting.profile import Profile
from symmle.fitting.rational_roots import rational_roots
from symmle.fitting.reparametrised import proof_on_data
from symmle.fitting.roots import root_in
from symmle.fitting.solution import closed_values, log_likelihood_at
from symmle.fitting.solving import refuse_other_size, solve
from symmle.latent.problem import Labelled

SECONDS = 5.0  # for the isolation of the roots of a transcendental score
APART = 1e-9  # points that differ by less, relative to their size, are one
ISOLATED = "every root of the score was isolated by interval arithmetic"

Numbers = dict[Symbol, Any]


class StationaryPoints(tuple[StationaryPoint, ...]):
    """Stationary points, the best first.

    Attributes
    ----------
    complete : bool or None
        True: there is no other one in the parameter space, by the proof that `reason` names; None: not known.
    reason : str
    ml_degree : int or None
        The number of complex solutions of the likelihood equations, denominators cleared and remembered, for
        generic data; for one equation, the degree of its polynomial on this data. None where the equations are
        not rational in the parameters, or were not counted.
    """

    complete: bool | None
    reason: str
    ml_degree: int | None

    def __new__(
        cls,
        points: Iterable[StationaryPoint],
        complete: bool | None = None,
        reason: str = "",
        ml_degree: int | None = None,
    ) -> StationaryPoints:
        made = super().__new__(cls, points)
        made.complete, made.reason, made.ml_degree = complete, reason, ml_degree
        return made

    def __reduce__(self) -> Any:
        return (StationaryPoints, (tuple(self), self.complete, self.reason, self.ml_degree))


@dataclass(frozen=True)
class Candidates:
    """Points that may be stationary. `complete`: there can be no others; else `reason` says why that is not known.

    `edges` are claimed maxima that need be no roots of the score.
    """

    points: list[Numbers]
    complete: bool
    reason: str
    ml_degree: int | None = None
    edges: tuple[Numbers, ...] = ()


def stationary_points(
    derivation: Any, data: Any, weights: Any = None, fixed: Mapping[Any, Any] | None = None
) -> StationaryPoints:
    """The stationary points in the parameter space that the derivation finds on this data, the best first.

    Closed candidates; every root of one remaining equation, and every solution of several, where they are rational
    in the parameters; or the end of Newton's method. Where the derivation has its maximum on an edge, or without a
    score, that is in the list. A point is a global maximum only by a certificate of the derivation.
    """
    plan = plan_of(derivation)
    constants = plan.constants(fixed)
    table = data if isinstance(data, Table) else read_table(plan.model, data, weights, constants)
    refuse_other_size(plan, table)
    refuse_unattained(plan, table, constants)
    if isinstance(plan.estimator.em, Labelled) and plan.estimator.kind == "em":
        return StationaryPoints(*latent_points(plan, table, constants))
    refuse_what_is_not_built(plan)
    candidates = _candidates(plan, table, constants)
    found = _admissible(plan, table, candidates)
    certificate = next(
        (p.certificate for p in derivation.estimator.points if p.certificate is not None), None
    )
    top = found[0][0]
    points = []
    for rank, (height, values) in enumerate(found):
        on_edge = any(values is edge for edge in candidates.edges)
        # a point that ties with the best is a global maximum as well
        best = rank == 0 or (
            certificate is not None
            and certificate.kind is Kind.GLOBAL_MAXIMUM
            and top - height <= CONTEXT.mpf("1e-25") * (1 + abs(top))
        )
        proof = certificate if best else None
        kind = Kind.UNDECIDED if on_edge else _kind(plan, table, values)
        points.append(
            StationaryPoint(
                BySymbol({p: Float(float(values[p]), 17) for p in plan.parameters}),
                kind if proof is None else proof.kind,
                proof,
                boundary=on_edge or any(plan.is_at_edge(p, values[p], values) for p in plan.parameters),
                log_likelihood=float(height),
            )
        )
    complete, reason = _completeness(plan, table, found, points, candidates)
    return StationaryPoints(points, complete, reason, candidates.ml_degree)


def _candidates(plan: Plan, table: Table, constants: Numbers) -> Candidates:
    estimator = plan.estimator
    claimed = any(p.boundary for p in estimator.points) or estimator.faces
    if not claimed:
        return _of_the_score(plan, table, constants)
    edge = solve(plan, table, constants).values
    try:
        inner = _of_the_score(plan, table, constants, known=[])
    except (SymmleError, KeyError):
        inner = Candidates([], False, "the maximum is no root of the score")
    points = [v for v in inner.points if _are_apart(plan, v, edge)]
    # where the maximum found is a root of the score, it is no edge
    is_root = len(points) < len(inner.points) or (not inner.complete and _is_root(plan, table, edge))
    edges = () if is_root else (edge,)
    return Candidates([*points, edge], inner.complete, inner.reason, inner.ml_degree, edges)


def _of_the_score(
    plan: Plan, table: Table, constants: Numbers, known: list[Numbers] | None = None
) -> Candidates:
    """Points at which the score is 0; `known` are such points, where they need not be looked for."""
    unknown = plan.left or list(plan.parameters)
    reason = "the roots of several equations were not counted"
    if len(unknown) == 1:
        found = _of_one_equation(plan, table, constants, unknown[0])
        if isinstance(found, Candidates):
            return found
        reason = found
    if plan.is_proved and known is None:
        return Candidates(_found_otherwise(plan, table, constants), False, reason)
    everything = every_stationary_point(plan, statistic_values(plan, table, constants), constants, table)
    if isinstance(everything, str):
        points = _found_otherwise(plan, table, constants) if known is None else known
        if len(unknown) == 1 and points:
            isolated = _isolated(plan, table, constants, unknown[0], points)
            if isinstance(isolated, Candidates):
                return isolated
            return Candidates(points, False, f"{reason}; {isolated}")
        return Candidates(points, False, everything if len(unknown) > 1 else reason)
    points = [values for values, _ in everything.points]
    if not everything.complete:
        try:
            more = _found_otherwise(plan, table, constants) if known is None else known
        except SymmleError:
            more = []
        points += [v for v in more if all(_are_apart(plan, v, other) for other in points)]
    return Candidates(points, everything.complete is True, everything.reason, everything.ml_degree)


def _of_one_equation(plan: Plan, table: Table, constants: Numbers, unknown: Symbol) -> Candidates | str:
    """Every root of a rational equation in one unknown, or why they are not known."""
    if plan.declaration.constraints:
        return "the parameters are bound by constraints"
    known = {s: S(v) for s, v in plan.declaration.constants.items() if v is not None}
    roots = rational_roots(plan.equation.expressions[0], unknown, table, known, plan.domain_of(unknown))
    if isinstance(roots, str):
        return roots
    points = []
    given = plan.given_the_rest
    for root in roots.roots:
        values = {**constants, unknown: root}
        if not plan.is_in_domain(unknown, root, values):
            continue
        for which in range(len(given)):
            points.append({**values, **(closed_values(plan, table, values, which) if plan.left else {})})
    only = not plan.left or not given[0][0] or plan.estimator.profile_certificate is not None
    reason = roots.reason if only else "the closed parameters may have other values"
    return Candidates(points, only, reason, roots.degree)


def _found_otherwise(plan: Plan, table: Table, constants: Numbers) -> list[Numbers]:
    """Closed candidates, the roots that a scan finds, or the end of Newton's method."""
    if not plan.left:
        return [
            {**constants, **closed_values(plan, table, constants, which)}
            for which in range(len(plan.candidates))
        ]
    if len(plan.left) == 1:
        return roots_of(plan, table, constants)
    return [solve(plan, table, constants).values]


def _isolated(
    plan: Plan, table: Table, constants: Numbers, unknown: Symbol, points: list[Numbers]
) -> Candidates | str:
    """Every root of a transcendental equation in one unknown, or why they are not known."""
    best = max(points, key=lambda v: log_likelihood_at(plan, table, v))
    inside = isolated_roots(plan.derivation, table, constants, float(best[unknown]), SECONDS)
    if isinstance(inside, str):
        return inside
    found = []
    for low, high in inside:
        held = [v for v in points if low <= v[unknown] <= high]
        if held:
            found.append(held[0])
            continue
        root = root_in(Profile(plan, table, constants, unknown), low, high)
        if root is None:
            return "a root that was isolated was not computed"
        values = {**constants, unknown: root}
        found.append({**values, **(closed_values(plan, table, values) if plan.left else {})})
    return Candidates(found, True, ISOLATED)


def _is_root(plan: Plan, table: Table, values: Numbers) -> bool:
    """Whether the score is 0 up to rounding, in units of the information."""
    scores = plan.score.precise(table, values, tolerance=1e-12)
    entries = plan.hessian.precise(table, values, tolerance=1e-7)
    for k, (p, score) in enumerate(zip(plan.parameters, scores, strict=True)):
        bend = entries[k * (k + 3) // 2]
        if not (score.finite and bend.finite):
            return False
        if abs(score.number) > 4 * score.error + 1e-20 * abs(bend.number) * (abs(values[p]) + 1e-300):
            return False
    return True


def _are_apart(plan: Plan, first: Numbers, second: Numbers) -> bool:
    return any(abs(first[p] - second[p]) > APART * (abs(first[p]) + abs(second[p])) for p in plan.parameters)


def _admissible(plan: Plan, table: Table, candidates: Candidates) -> list[tuple[Any, Numbers]]:
    """Candidates in the parameter space with their log-likelihoods, the best first."""
    found: list[tuple[Any, Numbers]] = []
    for values in candidates.points:
        if plan.reason_against(values, table):
            continue
        height = log_likelihood_at(plan, table, values)
        if CONTEXT.isfinite(height):
            found.append((height, values))
    if not found:
        raise NoMaximumError(f"{plan.name}: no stationary point lies in the parameter space on this data.")
    found.sort(key=lambda pair: -pair[0])
    return found


def _completeness(
    plan: Plan,
    table: Table,
    found: list[tuple[Any, Numbers]],
    points: list[StationaryPoint],
    candidates: Candidates,
) -> tuple[bool | None, str]:
    if candidates.complete:
        return True, candidates.reason
    if len(found) == 1 and plan.is_proved and not candidates.edges and not points[0].boundary:
        certificate = next(p.certificate for p in plan.estimator.points if p.certificate is not None)
        unique = certificate.scope is Scope.EVERY_SAMPLE and not plan.estimator.maximisers
        if unique and _kind(plan, table, found[0][1]) is Kind.LOCAL_MAXIMUM:
            return True, f"{certificate.theorem}: there is one stationary point at most"
    if len(found) == 1 and not candidates.edges:
        proof = proof_on_data(plan, table, found[0][1])
        if not isinstance(proof, str) and proof.theorem == SIGN_CHANGE:
            return True, proof.theorem
    return None, candidates.reason


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
    return kind_of(matrix)
