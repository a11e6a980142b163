"""The members of a finite parameter space, and a declaration with one of them put in."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from sympy import Expr, FiniteSet, Piecewise, Range, S, Set, Symbol, piecewise_fold

from symmle.algebra import GaveUp, attempt_within, ends_of_range
from symmle.declare.declaration import Declaration, SamplePart
from symmle.reduction import hold_fixed

FEW = 12  # whole numbers that are compared one by one
MOST = 48  # members of a product

Member = dict[Symbol, Expr]


def is_enumerable(domain: Set) -> bool:
    """Whether a domain has few members, all known."""
    if isinstance(domain, FiniteSet):
        return len(domain.args) <= MOST
    if isinstance(domain, Range):
        lo, hi = ends_of_range(domain)
        return bool(lo.is_Integer and hi.is_Integer and 0 <= hi - lo < FEW)
    return False


def members_of_domain(domain: Set) -> tuple[Expr, ...]:
    """The members in ascending order where they are numbers."""
    if isinstance(domain, Range):
        return tuple(domain)
    found = list(domain.args)
    if all(m.is_number and m.is_real for m in found):
        return tuple(sorted(found, key=lambda m: (m.evalf(30), m.sort_key())))
    return tuple(found)


def members_of(declaration: Declaration, free: tuple[Symbol, ...]) -> list[Member]:
    """Every combination of members."""
    domains = [members_of_domain(declaration.parameters[p]) for p in free]
    return [dict(zip(free, values, strict=True)) for values in product(*domains)]


def put_member(declaration: Declaration, member: Member) -> Declaration | None:
    """The declaration at one member; None where `where`, a constraint or an empty support excludes it."""
    where, constraints = [], []
    for w in declaration.where:
        at = w.xreplace(member)
        if at.is_number:
            if not bool(at > 0):
                return None
        else:
            where.append(at)
    for c in declaration.constraints:
        at = c.xreplace(member)
        if at.is_number:
            if at.equals(0) is not True:
                return None
        else:
            constraints.append(at)
    samples = []
    for part in declaration.samples:
        support = {x: s.xreplace(member) for x, s in part.support.items()}
        if any(s is S.EmptySet for s in support.values()):
            return None
        samples.append(
            SamplePart(
                part.columns,
                support,
                _put(part.density, member),
                part.given,
                tuple((_put(w, member), _put(f, member)) for w, f in part.components),
                tuple(_put(e, member) for e in part.inside),
            )
        )
    held = hold_fixed(declaration, member)
    parameters = {p: s.xreplace(member) for p, s in held.parameters.items()}
    return replace(
        held,
        samples=tuple(samples),
        parameters=parameters,
        where=tuple(where),
        constraints=tuple(constraints),
    )


def _put(e: Expr, member: Member) -> Expr:
    at = e.xreplace(member)
    if not at.has(Piecewise):
        return at
    folded = attempt_within(1.0, piecewise_fold, at)
    return at if isinstance(folded, GaveUp) else folded


__all__ = ["Member", "is_enumerable", "members_of", "members_of_domain", "put_member"]
