"""Pieces that are joined smoothly: l has a score where value and first derivative agree at every joint.

At a joint x = b(theta) let D be the difference of the two log densities that meet there. Where
D(b(theta), theta) = 0 for every theta and dD/dx = 0 there, all derivatives of D by theta are 0 too
(differentiate D(b(theta), theta) = 0), so that l is continuously differentiable in theta.
"""

from __future__ import annotations

from itertools import product

from sympy import Abs, Dummy, Expr, Piecewise, S, Symbol, simplify, solve_linear
from sympy.core.relational import GreaterThan, LessThan, Relational, StrictGreaterThan, StrictLessThan

from symmle.algebra import Facts, GaveUp, attempt_within

ORDERED = (GreaterThan, LessThan, StrictGreaterThan, StrictLessThan)


def rough_joint(
    e: Expr, columns: tuple[Symbol, ...], parameters: set[Symbol], facts: Facts
) -> Relational | None:
    """A condition with parameters at which the pieces of e are not proved to join smoothly, or None."""
    conditions = [c for piece in e.atoms(Piecewise) for _, c in piece.args]
    relations = {r for c in conditions for r in c.atoms(Relational) if r.free_symbols & parameters}
    for relation in sorted(relations, key=str):
        if not isinstance(relation, ORDERED):
            return relation
        smooth = attempt_within(4.0, _joins, e, relation, columns, facts)
        if isinstance(smooth, GaveUp) or not smooth:
            return relation
    return None


def _joins(e: Expr, relation: Relational, columns: tuple[Symbol, ...], facts: Facts) -> bool:
    gap = relation.lhs - relation.rhs
    found = [x for x in columns if x in gap.free_symbols]
    if len(found) != 1:
        return False
    (x,) = found
    inner = sorted(gap.atoms(Abs), key=str)
    for signs in product((1, -1), repeat=len(inner)):
        plain = gap.xreplace({a: s * a.args[0] for a, s in zip(inner, signs, strict=True)})
        name, place = solve_linear(plain, symbols=[x])
        if name != x or place.has(x):
            return False
        here = [facts.decide_sign(a.args[0].xreplace({x: place})) for a in inner]
        if None in here or 0 in here:
            return False
        if tuple(here) != signs:
            continue  # this is no point of the joint
        sides = [_beside(e, x, place, side, facts) for side in (-1, 1)]
        if sides[0] is None or sides[1] is None:
            return False
        difference = sides[1] - sides[0]
        for order in (difference, difference.diff(x)):
            if simplify(order.xreplace({x: place})) != 0:
                return False
    return True


def is_smooth_at(e: Expr, node: Expr, columns: tuple[Symbol, ...], facts: Facts) -> bool:
    """Whether e is continuously differentiable where the argument of an absolute value in it is 0."""
    answer = attempt_within(4.0, _turns, e, node, columns, facts)
    return not isinstance(answer, GaveUp) and answer


def _turns(e: Expr, node: Expr, columns: tuple[Symbol, ...], facts: Facts) -> bool:
    found = [x for x in columns if x in node.free_symbols]
    if not isinstance(node, Abs) or len(found) != 1:
        return False
    (x,) = found
    name, place = solve_linear(node.args[0], symbols=[x])
    if name != x or place.has(x):
        return False
    sides = [_beside(e, x, place, side, facts) for side in (-1, 1)]
    if sides[0] is None or sides[1] is None:
        return False
    difference = sides[1] - sides[0]
    return all(simplify(order.xreplace({x: place})) == 0 for order in (difference, difference.diff(x)))


def _beside(e: Expr, x: Symbol, place: Expr, side: int, facts: Facts) -> Expr | None:
    """The branch of e next to x = place on one side; None where a condition is not decided there."""
    truth = {}
    for piece in e.atoms(Piecewise):
        for _, condition in piece.args:
            for relation in condition.atoms(Relational):
                if not isinstance(relation, ORDERED):
                    return None
                sign = _sign_beside(relation.gts - relation.lts, x, place, side, facts)
                if sign is None:
                    return None
                truth[relation] = S.true if sign == 1 else S.false
    found = _without_abs(e.xreplace(truth), x, place, side, facts)
    return None if found.has(Piecewise) else found


def _without_abs(e: Expr, x: Symbol, place: Expr, side: int, facts: Facts) -> Expr:
    """e with the absolute values opened whose sign beside x = place is known."""
    known = {}
    for a in e.atoms(Abs):
        sign = _sign_of_plain(a.args[0], x, place, side, facts)
        if sign is not None:
            known[a] = a.args[0] * sign
    return e.xreplace(known)


def _sign_beside(h: Expr, x: Symbol, place: Expr, side: int, facts: Facts) -> int | None:
    """The sign of h just beside x = place."""
    h = _without_abs(h, x, place, side, facts)
    return None if h.has(Abs) else _sign_of_plain(h, x, place, side, facts)


def _sign_of_plain(h: Expr, x: Symbol, place: Expr, side: int, facts: Facts) -> int | None:
    if h.has(Abs):
        return None
    at = simplify(h.xreplace({x: place}))
    if at != 0:
        return facts.decide_sign(at) or None
    slope = facts.decide_sign(simplify(h.diff(x)).xreplace({x: Dummy(real=True)}))
    return slope * side or None if slope is not None else None


__all__ = ["is_smooth_at", "rough_joint"]
