"""A density that is 0 outside a region: the region as a support, or as conditions on a row.

f = Piecewise((g, c), (0, True)) says that g is the density where c holds. A condition that bounds one
column alone, `x >= mu`, is a support; any other, 1 + xi x/s > 0, is an expression that is positive
on the support, in columns and parameters.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import And, Expr, Interval, Mul, Piecewise, S, Set, Symbol, expand, oo
from sympy.core.relational import GreaterThan, LessThan, Relational, StrictGreaterThan, StrictLessThan

from symmle.declare.declaration import SamplePart

ORDERED = (GreaterThan, LessThan, StrictGreaterThan, StrictLessThan)


def without_zero_branch(part: SamplePart) -> SamplePart:
    """The part with a zero branch said by its support or by `inside`; the part itself where there is none."""
    if part.components:
        return part
    found = _branch(part.density)
    if found is None:
        return part
    density, relations = found
    support, inside = dict(part.support), list(part.inside)
    for relation in relations:
        if not relation.free_symbols & set(part.columns):
            return part  # a condition on parameters alone cuts the parameter space, not the support
        narrowed = _narrowed(relation, support)
        if narrowed is None:
            inside.append(_positive(relation))
        else:
            support = narrowed
    return replace(part, density=density, support=support, inside=tuple(dict.fromkeys(inside)))


def _branch(density: Expr) -> tuple[Expr, list[Relational]] | None:
    """g and its conditions, where the density is a product with one factor Piecewise((g, c), (0, True))."""
    factors = Mul.make_args(density)
    pieces = [f for f in factors if isinstance(f, Piecewise)]
    if len(pieces) != 1:
        return None
    rest = Mul(*(f for f in factors if f is not pieces[0]))
    inner, conditions = pieces[0], []
    while isinstance(inner, Piecewise):
        branches = list(inner.args)
        if len(branches) != 2 or branches[1].cond != True:  # noqa: E712 - a SymPy truth value
            return None
        (value, condition), (other, _) = branches[0].args, branches[1].args
        if value == 0 and isinstance(condition, Relational):
            value, other, condition = other, value, condition.negated
        if other != 0:
            return None
        found = list(condition.args) if isinstance(condition, And) else [condition]
        if not all(isinstance(c, ORDERED) for c in found):
            return None
        conditions += found
        inner = value
    if inner.has(Piecewise):
        return None
    return rest * inner, conditions


def _positive(relation: Relational) -> Expr:
    """What is positive where the relation holds (a relation that is not strict differs on its edge alone)."""
    return relation.gts - relation.lts  # type: ignore[no-any-return]


def _narrowed(relation: Relational, support: dict[Symbol, Set]) -> dict[Symbol, Set] | None:
    """The support cut by a relation that bounds one column from one side; None where it does not."""
    gap = expand(_positive(relation))
    strict = isinstance(relation, StrictGreaterThan | StrictLessThan)
    columns = [x for x in support if gap.has(x)]
    if len(columns) != 1:
        return None
    (x,) = columns
    old = support[x]
    slope = gap.coeff(x)
    bound = expand(-(gap - slope * x) / slope) if slope != 0 else S.NaN
    if not isinstance(old, Interval) or bound.has(x) or slope.has(x) or bound.has(S.NaN, S.ComplexInfinity):
        return None
    if slope.is_positive:
        if old.start != -oo and not (bound - old.start).is_nonnegative:
            return None
        return {**support, x: Interval(bound, old.end, strict, old.right_open)}
    if slope.is_negative:
        if old.end != oo and not (old.end - bound).is_nonnegative:
            return None
        return {**support, x: Interval(old.start, bound, old.left_open, strict)}
    return None


__all__ = ["without_zero_branch"]
