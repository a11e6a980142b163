"""Records of reductions by smaller problems: estimators of closed forms, steps that enter and leave a space."""

from __future__ import annotations

from dataclasses import replace

from sympy import Expr, Symbol, Tuple

from symmle.declare.declaration import Declaration
from symmle.estimator import BySymbol, Certificate, Estimator, Kind, StationaryPoint
from symmle.record import Condition, Relation, Step
from symmle.reductions.boundary_space import Larger
from symmle.reductions.problem import Part, Reduced

PROOFS = ("certificate", "profile certificate")


def answer(
    declaration: Declaration,
    closed: dict[Symbol, Expr],
    conditions: tuple[Condition, ...],
    proof: Certificate | None,
    steps: tuple[Step, ...],
    reason: str = "",
) -> Reduced:
    closed = {q: closed[q] for q in declaration.parameters}
    estimator = Estimator(
        closed=BySymbol(closed),
        points=(point(declaration, closed, proof, reason),),
        conditions=tuple(dict.fromkeys(conditions)),
        kind="closed form",
        route="boundary",
        notes=() if proof is not None else (f"no proof of a global maximum for every sample: {reason}",),
    )
    return Reduced(estimator, steps)


def point(
    declaration: Declaration, closed: dict[Symbol, Expr], proof: Certificate | None, reason: str
) -> StationaryPoint:
    values = BySymbol({q: closed.get(q, q) for q in declaration.parameters})
    kind = Kind.UNDECIDED if proof is None else proof.kind
    return StationaryPoint(values, kind, proof, boundary=True, reason="" if proof is not None else reason)


def closed_of(part: Part, larger: Larger) -> dict[Symbol, Expr] | None:
    """The one closed form of a part, by the declared symbols."""
    if not is_closed(part):
        return None
    return {larger.back[q]: e for q, e in part.estimator.closed.items()}


def is_closed(part: Part) -> bool:
    estimator = part.estimator
    return (
        not estimator.remaining
        and not estimator.alternatives
        and not estimator.obstacle
        and set(estimator.closed) == set(part.declaration.parameters)
    )


def certificate_of(part: Part) -> Certificate | None:
    """The proof of a global maximum for every sample."""
    points = part.estimator.points
    proof = points[0].certificate if points else None
    return proof if proof is not None and proof.kind is Kind.GLOBAL_MAXIMUM else None


def reason_of(part: Part) -> str:
    points = part.estimator.points
    return points[0].reason if points else "no proof was reached"


def renamed_conditions(conditions: tuple[Condition, ...], larger: Larger) -> tuple[Condition, ...]:
    return tuple(
        replace(
            c,
            expression=c.expression.xreplace(larger.back),
            columns=tuple(e.xreplace(larger.back) for e in c.columns),
        )
        for c in conditions
    )


def in_larger(
    declaration: Declaration, subject: tuple[Symbol, ...], larger: Larger, part: Part
) -> tuple[Step, ...]:
    """The steps on the larger space; after the last the declared space holds again."""
    return (why(subject, larger.declaration), *leaving(without_proofs(part.steps), declaration))


def leaving(steps: tuple[Step, ...], declaration: Declaration) -> tuple[Step, ...]:
    if not steps:
        return ()
    last = steps[-1]
    kept = tuple((k, v) for k, v in last.details if k != "declaration")
    return (*steps[:-1], replace(last, details=(*kept, ("declaration", declaration))))


def why(subject: tuple[Symbol, ...], declaration: Declaration) -> Step:
    return Step(
        "why not the score",
        (),
        (),
        Relation.DEFINITION,
        subject,
        details=(("reason", "closed edge"), ("declaration", declaration)),
    )


def clip_step(
    closed: dict[Symbol, Expr], free: dict[Symbol, Expr], conditions: tuple[Condition, ...]
) -> Step:
    return Step(
        "clip",
        (),
        tuple(closed.values()),
        Relation.MAXIMUM,
        tuple(closed),
        conditions,
        details=(("free optimum", Tuple(*(free[q] for q in closed))),),
    )


def without_proofs(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Steps of a part without its certificates, which the whole's certificate holds."""
    return tuple(s for s in steps if s.rule not in PROOFS)


__all__ = [
    "answer",
    "certificate_of",
    "clip_step",
    "closed_of",
    "in_larger",
    "is_closed",
    "leaving",
    "point",
    "reason_of",
    "renamed_conditions",
    "why",
    "without_proofs",
]
