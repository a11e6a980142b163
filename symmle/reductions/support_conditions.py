"""Conditions of estimates on the edge of a support: the data allow a value, and no degenerate sample is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from sympy import (
    Abs,
    And,
    Dummy,
    Expr,
    Max,
    Min,
    Mul,
    Pow,
    S,
    Symbol,
    Tuple,
    cancel,
    expand,
    factor_terms,
    fraction,
    together,
)
from sympy.core.relational import Ge, Gt, Le, Lt, Ne

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.certify.monotone_slopes import facts_inside, support_ends
from symmle.declare.declaration import Declaration
from symmle.inequalities import not_all_equal
from symmle.likelihood import Likelihood
from symmle.record import Condition
from symmle.reductions.support_limits import Limit
from symmle.sample import Maximum, Mean, Minimum, OrderStatistic, statistics_of

ALLOWED = "some parameter value allows every row"


def beats(limit: Limit, other: Limit, side: int, declaration: Declaration, known: Facts) -> bool:
    """Whether every row's bound is at least as strict as the end of the domain."""
    if limit.row is None or limit.whole and limit.each.is_integer is None:
        return False
    gap = side * (limit.each - other.value)
    return (
        gap == 0
        or known.decide_sign(gap) == 1
        or sign_on_closure(gap, limit.row.part, declaration, known) == 1
    )


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
    direction, open_factors = 1, []
    for factor in Mul.make_args(e):
        sign = known.decide_sign(factor) if factor.is_number or e.is_Mul else None
        if sign in (1, -1):
            direction *= sign
        else:
            open_factors.append(factor)
    if not open_factors:
        return [] if direction == 1 else [Condition(Gt(e, 0, evaluate=False), "in the parameter space")]
    return _positive_factor(direction * Mul(*open_factors), declaration, known)


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
            return [Condition(Gt(e, 0, evaluate=False), "not all at the edge", (inner, S.Zero))]
        if e == -o and isinstance(o, Minimum):
            return [Condition(Lt(o, 0, evaluate=False), "not all at the edge", (o.summand, S.Zero))]
    elif known.decide_sign(e) == 1:
        return []
    return [Condition(Gt(e, 0, evaluate=False), "in the parameter space")]


def feasible(
    lower: Sequence[Limit],
    upper: Sequence[Limit],
    values: dict[Symbol, Expr],
    declaration: Declaration,
    known: Facts,
) -> list[Condition]:
    """A <= B for the limits of one parameter, where the rows set one of them, with every estimate put in."""
    found: list[Condition] = []
    for low in lower:
        for high in upper:
            if not (low.row or high.row):
                continue
            if (low.row is None and beats(high, low, 1, declaration, known)) or (
                high.row is None and beats(low, high, -1, declaration, known)
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
    "beats",
    "columns_of",
    "feasible",
    "positive",
    "sign_on_closure",
    "strict_off_the_edge",
    "tidied",
]
