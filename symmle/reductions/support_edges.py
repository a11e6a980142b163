"""The maximum over one parameter on the allowed values: an edge of them, or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from sympy import (
    Abs,
    And,
    Dummy,
    Expr,
    Interval,
    Max,
    Min,
    Mul,
    Pow,
    Symbol,
    Tuple,
    cancel,
    expand,
    factor_terms,
    floor,
    fraction,
    together,
)
from sympy.core.relational import Ge, Gt, Le, Lt, Ne, Relational

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.certify.monotone import (
    Slope,
    Turn,
    decide_slope,
    decide_turn,
    density_at,
    facts_inside,
    is_whole,
    support_ends,
)
from symmle.declare.declaration import Declaration
from symmle.inequalities import not_all_equal
from symmle.likelihood import Likelihood
from symmle.record import Condition
from symmle.reductions.support_limits import Limit, RowRelation, limits_of
from symmle.sample import Maximum, Mean, Minimum, OrderStatistic, statistics_of

ALLOWED = "some parameter value allows every row"


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
            return f"l turns in {p}, and the end of the support that it moves is open"
        if any(limit.row for limit in limits):
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
        elif not any(_beats(limit, other, side, declaration, known) for limit in rows):
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


def _beats(limit: Limit, other: Limit, side: int, declaration: Declaration, known: Facts) -> bool:
    """Whether every row's bound is at least as strict as the end of the domain."""
    if limit.row is None or limit.whole and limit.each.is_integer is None:
        return False
    gap = side * (limit.each - other.value)
    return (
        gap == 0
        or known.decide_sign(gap) == 1
        or sign_on_closure(gap, limit.row.part, declaration, known) == 1
    )


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
            o for o in limits if not o.row and not any(_beats(r, o, side, declaration, known) for r in rows)
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


# --- conditions -------------------------------------------------------------------------------------


def sign_on_closure(e: Expr, part: int, declaration: Declaration, known: Facts) -> int | None:
    """The strict sign of a row expression for every row of the closed support; None where it is not decided."""
    choices = []
    support = declaration.samples[part].support
    for x in [c for c in declaration.samples[part].columns if e.has(c)]:
        ends = support_ends(support[x])
        if ends is None:
            return None
        lo, hi, lo_open, hi_open = ends
        at = [x] + [
            b for b, is_open in ((lo, lo_open), (hi, hi_open)) if b.is_finite is not False and not is_open
        ]
        choices.append([(x, v) for v in at])
    signs = {known.decide_sign(e.xreplace({x: v for x, v in c if v != x})) for c in product(*choices)}
    return signs.pop() if len(signs) == 1 else None


def positive(e: Expr, declaration: Declaration, known: Facts) -> list[Condition]:
    """The conditions under which e > 0, an expression in order statistics; none where it always is."""
    e = factor_terms(expand(e))
    if isinstance(e, Pow) and e.exp.is_number and (e.exp > 0 or e.exp.is_odd):
        return positive(e.base, declaration, known)
    found: list[Condition] = []
    for factor in Mul.make_args(e):
        if factor.is_number:
            continue
        if e.is_Mul and known.decide_sign(factor) == 1:
            continue
        found += _positive_factor(factor, declaration, known)
    return found


def _positive_factor(e: Expr, declaration: Declaration, known: Facts) -> list[Condition]:
    statistics = [o for o in statistics_of(e) if isinstance(o, OrderStatistic)]
    for o in statistics:
        if isinstance(o, Maximum) and e == o - Minimum(o.summand, o.args[-1]):
            return [not_all_equal(o.summand, o.args[-1])]
    if len(statistics) == 1:
        (o,) = statistics
        part = next(j for j, s in enumerate(declaration.samples) if o.columns[0] in s.all_columns)
        if sign_on_closure(e.xreplace({o: o.summand}), part, declaration, known) == 1:
            return []
        if e == o and isinstance(o, Maximum):
            inner = o.summand.args[0] if isinstance(o.summand, Abs) else o.summand
            return [Condition(Gt(e, 0, evaluate=False), "not all at the edge", (inner, e * 0))]
    elif known.decide_sign(e) == 1:
        return []
    return [Condition(Gt(e, 0, evaluate=False), "in the parameter space")]


def feasible(
    edge: Edge, values: dict[Symbol, Expr], declaration: Declaration, known: Facts
) -> list[Condition]:
    """A <= B for the limits of one parameter, where the rows set one of them, with every estimate put in."""
    found: list[Condition] = []
    for low in edge.lower:
        for high in edge.upper:
            if not (low.row or high.row):
                continue
            if (low.row is None and _beats(high, low, 1, declaration, known)) or (
                high.row is None and _beats(low, high, -1, declaration, known)
            ):
                continue
            a, b = (tidied(limit.value.xreplace(values)) for limit in (low, high))
            gap = tidied(b - a)
            if gap.free_symbols & set(declaration.parameters) or _is_nonnegative(gap):
                continue
            strict = low.strict or high.strict
            found.append(Condition((Lt if strict else Le)(a, b, evaluate=False), ALLOWED))
    return found


def strict_off_the_edge(condition: Condition, held: Likelihood) -> bool:
    """Whether a condition holds for every sample of the held problem with a row inside the moving end.

    A mean has a strict sign where its rows have one inside the support, and by continuity none the other way on
    the edge; the largest of the rows is positive where one is.
    """
    e = condition.expression
    if isinstance(e, And):
        return all(strict_off_the_edge(Condition(part), held) for part in e.args)
    if not isinstance(e, Gt | Ge | Lt | Le | Ne):
        return False
    answer = attempt_within(2.0, lambda: fraction(together(e.lhs - e.rhs)))
    if isinstance(answer, GaveUp):
        return False
    total = 1
    for part in answer:
        for factor in Mul.make_args(factor_terms(part)):
            sign = _sign_by_rows(factor, held)
            if sign not in (1, -1):
                return False
            total *= sign
    return isinstance(e, Ne) or total == (1 if isinstance(e, Gt | Ge) else -1)


def _sign_by_rows(e: Expr, held: Likelihood) -> int | None:
    operators = statistics_of(e)
    base = e.base if isinstance(e, Pow) and e.exp.is_number else e
    if base is not e:
        sign = _sign_by_rows(base, held)
        return sign if sign == 1 or (sign == -1 and e.exp.is_Integer and e.exp.is_odd) else None
    if not operators:
        return facts_inside(held).decide_sign(e)
    stand_ins = {o: Dummy() for o in operators if isinstance(o, Mean | Maximum)}
    if len(stand_ins) != len(operators) or len({o.args[-1] for o in operators}) > 1:
        return None
    if any(statistics_of(o.summand) for o in stand_ins):
        return None
    opaque = expand(e.xreplace(stand_ins))
    slopes = [opaque.diff(d) for d in stand_ins.values()]
    if any(s.free_symbols & set(stand_ins.values()) for s in slopes):
        return None
    rows = expand(opaque.xreplace({d: o.summand for o, d in stand_ins.items()}))
    sign = facts_inside(held).decide_sign(rows)
    if any(isinstance(o, Maximum) for o in operators):
        return 1 if sign == 1 and len(operators) == 1 and slopes[0].is_positive else None
    return sign


def _is_nonnegative(gap: Expr) -> bool:
    if gap.is_nonnegative:
        return True
    return any(
        isinstance(o, Maximum) and cancel(gap / (o - Minimum(o.summand, o.args[-1]))).is_positive
        for o in statistics_of(gap)
    )


def tidied(e: Expr) -> Expr:
    """Expanded, equal members of Max and Min written once, |x| of order statistics left as it is."""

    def merge(node: Expr) -> Expr:
        members: list[Expr] = []
        for a in node.args:
            if not any(expand(a - m) == 0 for m in members):
                members.append(a)
        return expand(members[0]) if len(members) == 1 else node.func(*members)

    def simpler() -> Expr:
        plain = e.replace(lambda n: isinstance(n, Max | Min), merge)
        opened = expand(plain)
        return opened if opened.count_ops() < plain.count_ops() else plain

    answer = attempt_within(2.0, simpler)
    return e if isinstance(answer, GaveUp) else answer


def columns_of(limit: Limit) -> tuple[Expr, Tuple] | None:
    """The row expression of which a limit is the extreme, and its columns."""
    found = [o for o in statistics_of(limit.value) if isinstance(o, OrderStatistic)]
    return (found[0].summand, found[0].args[-1]) if len(found) == 1 else None


__all__ = [
    "ALLOWED",
    "Edge",
    "columns_of",
    "feasible",
    "find_edge",
    "positive",
    "sign_on_closure",
    "strict_off_the_edge",
    "tidied",
]
