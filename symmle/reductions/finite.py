"""Finite parameter spaces: every member is put in, the others are solved at it, and the values are compared."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, FiniteSet, Piecewise, Symbol, Tuple

from symmle.certify.comparison import Comparison
from symmle.estimator import BySymbol, Certificate, Estimator, Face, Kind, StationaryPoint
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Relation, Step
from symmle.reductions.finite_best import Best, best_in_table, best_of_values, is_finite
from symmle.reductions.members import MOST, Member, is_enumerable, members_of, put_member
from symmle.reductions.problem import Part, Reduced, Skipped, Solve

SHOWN = 3  # members of which every step is written


@dataclass(frozen=True)
class Finite:
    """l at each of finitely many members, compared by value."""

    name = "comparison of finitely many values"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        declaration = likelihood.declaration
        domains = declaration.parameters
        free = tuple(p for p in domains if is_enumerable(domains[p]))
        if not free or declaration.latent or any(part.components for part in declaration.samples):
            return Skipped("")
        size = 1
        for p in free:
            size *= len(set(domains[p]))
        if size > MOST:
            return Skipped(f"{size} members are too many to compare")
        members, parts = [], []
        for member in members_of(declaration, free):
            held = put_member(declaration, member)
            if held is None:
                continue
            members.append(member)
            parts.append(solve(held))
        if not members:
            return Skipped("no member is in the parameter space")
        others = [p for p in domains if p not in free]
        best = _best(likelihood, free, members, parts)
        if best is not None:
            return _closed(likelihood, free, members, parts, best)
        return _on_faces(likelihood, free, members, parts, others)


def _best(
    likelihood: Likelihood, free: tuple[Symbol, ...], members: list[Member], parts: list[Part]
) -> Best | None:
    """Where every value has a closed form: which is the largest."""
    moving = any(set(free) & s.free_symbols for s in likelihood.declaration.supports.values())
    values = [_value(part) for part in parts]
    known = [v for v in values if v is not None]
    if moving or len(known) < len(values) or not all(map(is_finite, known)):
        return best_in_table(likelihood, members, ()) if not parts[0].declaration.parameters else None
    conditions = {tuple(p.estimator.conditions) for p in parts}
    proofs = [p.estimator.points[0].certificate if p.estimator.points else None for p in parts]
    if parts[0].declaration.parameters and (len(conditions) > 1 or any(c is None for c in proofs)):
        return None
    return best_in_table(likelihood, members, known) or best_of_values(likelihood, members, known)


def _value(part: Part) -> Expr | None:
    """l with the other parameters at their closed estimates."""
    l = build_likelihood(part.declaration).log_likelihood
    if not part.declaration.parameters:
        return l
    inner = part.estimator
    if set(inner.closed) < set(part.declaration.parameters) or inner.remaining or inner.faces:
        return None
    return None if inner.alternatives or inner.maximisers else l.xreplace(dict(inner.closed))


def _closed(
    likelihood: Likelihood, free: tuple[Symbol, ...], members: list[Member], parts: list[Part], best: Best
) -> Reduced:
    declaration = likelihood.declaration
    closed = dict(best.closed)
    for p in parts[0].declaration.parameters:
        own = [part.estimator.closed[p] for part in parts]
        closed[p] = own[0] if len(set(own)) == 1 else _as_chosen(best.closed, free, members, own)
    conditions = parts[0].estimator.conditions
    certificate = Comparison(
        declaration,
        free,
        tuple(Tuple(*(m[p] for p in free)) for m in members),
        _proofs(parts),
        tuple(closed.items()),
        conditions,
    )
    steps = [
        _why(free),
        *_part_steps(likelihood, free, members, parts),
        _comparison(likelihood, free, members, parts),
    ]
    steps.append(Step("best member", (), tuple(closed.values()), Relation.MAXIMUM, tuple(closed), conditions))
    ordered = BySymbol({p: closed[p] for p in declaration.parameters})
    point = StationaryPoint(ordered, Kind.GLOBAL_MAXIMUM, certificate)
    estimator = Estimator(
        ordered,
        (),
        (point,),
        conditions,
        "finite",
        "comparison",
        maximisers=BySymbol({p: s for p, s in best.maximisers.items() if _varies(s)}),
    )
    return Reduced(estimator, tuple(steps))


def _varies(members: FiniteSet) -> bool:
    return len(members.args) > 1


def _as_chosen(
    chosen: dict[Symbol, Expr], free: tuple[Symbol, ...], members: list[Member], own: list[Expr]
) -> Expr:
    """Another parameter's estimate at the best member: the pieces of the first free parameter, its values replaced.

    Each piece of `chosen` is for one member; members are told apart by all of their values.
    """
    pieces = []
    heads = [chosen[p] for p in free]
    first = heads[0]
    if not isinstance(first, Piecewise):
        return own[next(k for k, m in enumerate(members) if all(m[p] == chosen[p] for p in free))]
    for _, condition in first.args:
        at = {p: _under(chosen[p], condition) for p in free}
        pieces.append((own[next(k for k, m in enumerate(members) if m == at)], condition))
    return Piecewise(*pieces)


def _under(e: Expr, condition: object) -> Expr:
    if not isinstance(e, Piecewise):
        return e
    return next((value for value, c in e.args if c == condition), e.args[-1][0])


def _on_faces(
    likelihood: Likelihood,
    free: tuple[Symbol, ...],
    members: list[Member],
    parts: list[Part],
    others: list[Symbol],
) -> Reduced:
    declaration = likelihood.declaration
    proofs = _proofs(parts)
    certificate = None
    if not others or len(proofs) == len(parts):
        listed = tuple(Tuple(*(m[p] for p in free)) for m in members)
        certificate = Comparison(declaration, free, listed, proofs)
    reason = (
        ""
        if certificate is not None
        else "that the other parameters are maximised is not proved at every member"
    )
    steps = [
        _why(free),
        *_part_steps(likelihood, free, members, parts),
        _comparison(likelihood, free, members, parts),
    ]
    point = StationaryPoint(
        BySymbol({p: p for p in declaration.parameters}),
        Kind.GLOBAL_MAXIMUM if certificate is not None else Kind.UNDECIDED,
        certificate,
        reason=reason,
    )
    faces = tuple(
        Face(dict(member), part.declaration, part.estimator)
        for member, part in zip(members, parts, strict=True)
    )
    estimator = Estimator(
        kind="finite", route="comparison", points=(point,), faces=faces, notes=(reason,) if reason else ()
    )
    return Reduced(estimator, tuple(steps))


def _proofs(parts: list[Part]) -> tuple[Certificate, ...]:
    """The proofs that the other parameters are maximised at each member."""
    found = []
    for part in parts:
        for point in part.estimator.points[:1]:
            if point.certificate is not None and point.kind is Kind.GLOBAL_MAXIMUM:
                found.append(point.certificate)
    return tuple(found)


# --- steps ----------------------------------------------------------------------------------------


def _why(free: tuple[Symbol, ...]) -> Step:
    return Step("why not the score", (), (), Relation.DEFINITION, free, details=(("reason", "finite space"),))


def _part_steps(
    likelihood: Likelihood, free: tuple[Symbol, ...], members: list[Member], parts: list[Part]
) -> list[Step]:
    """How the other parameters are solved at the members."""
    steps: list[Step] = []
    for member, part in list(zip(members, parts, strict=True))[:SHOWN]:
        if not part.declaration.parameters:
            break
        closed = part.estimator.closed
        values = tuple(member[p] for p in free)
        steps.append(
            Step("hold", (), values, Relation.DEFINITION, free, details=(("declaration", part.declaration),))
        )
        steps.extend(part.steps)
        steps.append(
            Step(
                "put in",
                tuple(closed.values()),
                tuple(closed.values()),
                Relation.DEFINITION,
                tuple(closed),
                details=(("declaration", likelihood.declaration),),
            )
        )
    return steps


def _comparison(
    likelihood: Likelihood, free: tuple[Symbol, ...], members: list[Member], parts: list[Part]
) -> Step:
    shown = tuple(m[free[0]] if len(free) == 1 else Tuple(*(m[p] for p in free)) for m in members)
    details = (("members", shown),)
    values = [_value(part) for part in parts]
    moving = any(set(free) & s.free_symbols for s in likelihood.declaration.supports.values())
    known = [v for v in values if v is not None]
    if moving or len(known) < len(values) or not all(map(is_finite, known)):
        return Step("comparison", (), (), Relation.DEFINITION, free, details=details)
    l = likelihood.log_likelihood
    after = [
        l.xreplace(member).xreplace(dict(part.estimator.closed))
        for member, part in zip(members, parts, strict=True)
    ]
    if not all(map(is_finite, after)):
        return Step("comparison", tuple(known), (), Relation.DEFINITION, free, details=details)
    return Step("comparison", tuple(known), tuple(after), Relation.EQUAL, free, details=details)


__all__ = ["Finite"]
