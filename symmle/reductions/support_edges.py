"""The maximum over one parameter on the allowed values: an edge of them, or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sympy import (
    Abs,
    Expr,
    Interval,
    Max,
    Min,
    Symbol,
    expand,
    floor,
)
from sympy.core.relational import Gt, Lt, Relational

from symmle.algebra import Facts
from symmle.certify.monotone_slopes import (
    Slope,
    Turn,
    decide_slope,
    decide_turn,
    density_at,
    facts_inside,
    is_whole,
)
from symmle.declare.declaration import Declaration
from symmle.likelihood import Likelihood
from symmle.record import Condition
from symmle.reductions.support_conditions import beats, positive
from symmle.reductions.support_limits import Limit, RowRelation, limits_of

OFF_THE_END = "the root of the score lies off the open end"


@dataclass(frozen=True)
class Edge:
    """`value` maximises l over p whatever the parameters that are not known yet; `members` all do."""

    parameter: Symbol
    slope: Slope | Turn
    value: Expr
    lower: tuple[Limit, ...]
    upper: tuple[Limit, ...]
    relations: tuple[RowRelation, ...]
    attained: bool = True
    members: Interval | None = None
    conditions: tuple[Condition, ...] = ()
    by_condition: bool = False  # attained only where an end of the parameter space comes before an open limit

    @property
    def allowed(self) -> tuple[Relational, ...]:
        """The limits that the rows set."""
        return tuple(limit.relation(self.parameter) for limit in self.lower + self.upper if limit.row)

    @property
    def active(self) -> tuple[Limit, ...]:
        """The limits of the rows at which the maximum sits."""
        sign = self.slope.sign if isinstance(self.slope, Slope) else 0
        sides = {-1: self.lower, 1: self.upper, 0: self.lower + self.upper}[sign]
        return tuple(limit for limit in sides if limit.row)


def find_edge(likelihood: Likelihood, p: Symbol, held: Iterable[Symbol]) -> Edge | str:
    """Where l is monotone or constant in p on the allowed values, its maximum; else the reason ("" : no moving end)."""
    declaration = likelihood.declaration
    known = facts_inside(likelihood)
    limits = limits_of(declaration, p, known, held)
    if isinstance(limits, str):
        return limits
    found, relations = limits
    if not relations:
        return ""
    ends = {
        r: {density_at(likelihood, r.part, r.column, _end(r, declaration, above)) for above in _sides(r)}
        for r in relations
        if isinstance(declaration.samples[r.part].support[r.column], Interval)
    }
    if any("zero" in heights for heights in ends.values()):
        return ""  # the density vanishes there: the score decides
    infinite = f"the density is not finite where an observation meets the end that {p} moves"
    slope = decide_slope(likelihood, p)
    lower = tuple(limit for limit in found if limit.lower)
    upper = tuple(limit for limit in found if not limit.lower)
    free = set(declaration.parameters) - set(held)
    if isinstance(slope, str):
        turn = decide_turn(likelihood, p)
        if is_whole(declaration, p):
            return ""  # neighbours of a whole number are compared elsewhere
        if isinstance(turn, str) or any(heights - {"finite"} for heights in ends.values()):
            return turn if isinstance(turn, str) else infinite
        return _turned(p, turn, lower, upper, tuple(relations), free, declaration, known)
    if slope.sign == 0:
        return _constant(p, slope, lower, upper, tuple(relations), free, declaration, known)
    active = lower if slope.sign < 0 else upper
    if not any(limit.row for limit in active):
        return f"l is monotone in {p} away from the limits that the sample sets"
    if any(limit.row is not None and ends.get(limit.row, set()) - {"finite"} for limit in active):
        return infinite
    closed, attained, conditions = _combined(active, declaration, known)
    if closed.free_symbols & free:
        return f"the edge for {p} depends on {', '.join(sorted(map(str, closed.free_symbols & free)))}"
    return Edge(
        p,
        slope,
        closed,
        lower,
        upper,
        tuple(relations),
        attained,
        None,
        tuple(conditions),
        _mixed(active, attained),
    )


def _mixed(active: Sequence[Limit], attained: bool) -> bool:
    return attained and all(limit.strict for limit in active if limit.row)


def _turned(
    p: Symbol,
    turn: Turn,
    lower: tuple[Limit, ...],
    upper: tuple[Limit, ...],
    relations: tuple[RowRelation, ...],
    free: set[Symbol],
    declaration: Declaration,
    known: Facts,
) -> Edge | str:
    """l rises and then falls in p: its root, or the nearest allowed value."""
    value, conditions = turn.root, []
    for limits, side in ((lower, 1), (upper, -1)):
        if any(limit.row and limit.strict for limit in limits):
            # beyond an open end the root is the maximum; short of it the supremum is not attained
            closed = [limit.value for limit in limits if not limit.strict]
            value = _best([*closed, value], side)
            for limit in limits:
                if limit.strict and (
                    limit.row or not any(beats(r, limit, side, declaration, known) for r in limits)
                ):
                    gap = (Gt if side > 0 else Lt)(value, limit.value, evaluate=False)
                    conditions.append(Condition(gap, OFF_THE_END))
        elif any(limit.row for limit in limits):
            best, _, asked = _combined(limits, declaration, known)
            value = (Max if side > 0 else Min)(best, value)
            conditions += asked
        elif limits:
            value = (Max if side > 0 else Min)(limits[0].value, value)
            if limits[0].strict:
                conditions += positive(side * (turn.root - limits[0].value), declaration, known)
    if value.free_symbols & free:
        return f"the maximum over {p} depends on {', '.join(sorted(map(str, value.free_symbols & free)))}"
    return Edge(p, turn, value, lower, upper, relations, True, None, tuple(conditions))


def _sides(r: RowRelation) -> tuple[bool, ...]:
    return (False, True) if isinstance(r.term, Abs) else (r.upper,)


def _end(r: RowRelation, declaration: Declaration, above: bool) -> Expr:
    if not isinstance(r.term, Abs):
        return r.bound
    support = declaration.samples[r.part].support[r.column]
    return support.end if above else support.start  # type: ignore[attr-defined]


def _combined(
    active: Sequence[Limit], declaration: Declaration, known: Facts
) -> tuple[Expr, bool, list[Condition]]:
    """The largest lower (smallest upper) limit, whether it is attained, and under which conditions."""
    rows = [limit for limit in active if limit.row]
    kept, conditions = list(rows), []
    side = 1 if active[0].lower else -1
    best = _best([limit.value for limit in rows], side)
    for other in active:
        if other.row:
            continue
        if other.strict:
            # an open end of the parameter space: reached by no value, so that the rows must keep off it
            conditions += positive(side * (best - other.value), declaration, known)
        elif not any(beats(limit, other, side, declaration, known) for limit in rows):
            kept.append(other)
    closed = [limit.value for limit in kept if not limit.strict]
    strict = [limit.value for limit in kept if limit.strict]
    if strict and closed:
        top = _best(closed, side)
        conditions += [Condition((Gt if side > 0 else Lt)(top, s, evaluate=False)) for s in strict]
    return _best([limit.value for limit in kept], side), bool(closed), conditions


def _best(values: Sequence[Expr], side: int) -> Expr:
    values = list(dict.fromkeys(values))
    return values[0] if len(values) == 1 else (Max if side > 0 else Min)(*values)


def _constant(
    p: Symbol,
    slope: Slope,
    lower: tuple[Limit, ...],
    upper: tuple[Limit, ...],
    relations: tuple[RowRelation, ...],
    free: set[Symbol],
    declaration: Declaration,
    known: Facts,
) -> Edge | str:
    """l does not change on A <= p <= B: a value that does not depend on the others and is allowed if any is."""
    if not lower or not upper:
        return f"l does not depend on {p} and the sample does not limit it on both sides"
    sides = []
    for limits, side in ((lower, 1), (upper, -1)):
        rows = [limit for limit in limits if limit.row]
        kept = rows + [
            o for o in limits if not o.row and not any(beats(r, o, side, declaration, known) for r in rows)
        ]
        best = _best([limit.value for limit in kept], side)
        sides.append(
            (best, any(limit.strict for limit in kept), len(kept) == 1 or not best.free_symbols & free)
        )
    (a, a_open, a_plain), (b, b_open, b_plain) = sides
    if not (a_plain and b_plain):
        return f"several limits for {p} hold other parameters"
    value = _free_point(a, b, a_open, b_open, free)
    if value is None:
        return f"no allowed value of {p} is free of the other parameters"
    if slope.whole and not value.is_integer:
        value = floor(value)
    return Edge(p, slope, value, lower, upper, relations, True, Interval(a, b, a_open, b_open))


def _free_point(a: Expr, b: Expr, a_open: bool, b_open: bool, free: set[Symbol]) -> Expr | None:
    """A point of every interval [a, b] that is not empty, without the free parameters: the midpoint if it can be."""
    middle = expand((a + b) / 2)
    if not middle.free_symbols & free:
        return middle
    for edge, is_open in ((a, a_open), (b, b_open)):
        if not is_open and not edge.free_symbols & free:
            return edge
    names = sorted((a.free_symbols | b.free_symbols) & free, key=str)
    slopes = [(a.diff(q), b.diff(q)) for q in names]
    da, db = slopes[0]
    if not (da.is_number and db.is_number) or da * db >= 0:
        return None
    share = db / (db - da)  # share a + (1 - share) b does not change with the first of them
    point = expand(share * a + (1 - share) * b)
    return None if point.free_symbols & free else point


__all__ = ["Edge", "find_edge"]
