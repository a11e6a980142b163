"""Which member of a finite space is best, as a function of statistics: thresholds, comparisons, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import (
    Add,
    And,
    Expr,
    FiniteSet,
    Ge,
    Gt,
    Le,
    Lt,
    Piecewise,
    Range,
    S,
    Symbol,
    Tuple,
    expand,
    expand_log,
    factor_terms,
    nan,
    oo,
    powdenest,
    simplify,
    zoo,
)
from sympy.logic.boolalg import Boolean

from symmle.algebra import GaveUp, attempt_within
from symmle.certify.crossing import weak_sign
from symmle.likelihood import Likelihood
from symmle.reductions.members import Member
from symmle.sample import Count, Total, statistics_of

COMPARED = 4  # members that are compared pair by pair in a formula


@dataclass(frozen=True)
class Best:
    """For each parameter the best member's value, and the set of values that may tie with it."""

    closed: dict[Symbol, Expr]
    maximisers: dict[Symbol, FiniteSet]


@dataclass(frozen=True)
class Line:
    """D = slope * statistic + constant, slope with a sign."""

    statistic: Expr
    slope: Expr
    constant: Expr
    sign: int


def is_finite(l: Expr) -> bool:
    """Whether no row has probability 0."""
    return not l.has(zoo, nan, oo, -oo)


def best_of_values(likelihood: Likelihood, members: Sequence[Member], values: Sequence[Expr]) -> Best | None:
    """The best member where every value is finite: thresholds of one statistic, else comparisons of pairs."""
    per_row = Count(likelihood.forms[0].columns) if likelihood.is_single else S.One
    heights = [_divided(v, per_row) for v in values]
    if any(
        h.has(Piecewise) for h in heights
    ):  # SymPy takes the pieces of a row out of the mean in a condition
        return None
    repeated = any(expand(a - b) == 0 for i, a in enumerate(heights) for b in heights[:i])
    lines = None if repeated else _lines(likelihood, heights)  # equal lines tie everywhere
    if lines is not None:
        return _envelope(members, *lines)
    if len(members) > COMPARED or len(members[0]) > 1:
        return None
    conditions = []
    for i, own in enumerate(heights):
        others = [h for j, h in enumerate(heights) if j != i and expand(own - h) != 0]
        pairs = [_not_below(likelihood, own, h) for h in others]
        conditions.append(And(*pairs))
    if len(members) == 2 and not repeated:
        # the second wins where it is strictly better
        strict = _not_below(likelihood, heights[1], heights[0], strict=True)
        first = _chosen(members, [(1, strict), (0, S.true)])
        last = _chosen(members, [(1, conditions[1]), (0, S.true)])
        return Best(first, {p: FiniteSet(first[p], last[p]) for p in first})
    closed = _chosen(members, [*((i, c) for i, c in enumerate(conditions[:-1])), (len(members) - 1, S.true)])
    tied = {
        p: FiniteSet(
            *(Piecewise((m[p], c), (closed[p], True)) for m, c in zip(members, conditions, strict=True))
        )
        for p in closed
    }
    return Best(closed, tied)


def _divided(value: Expr, count: Expr) -> Expr:
    return Add(
        *(t / count for t in Add.make_args(expand(value, log=False, power_base=False, power_exp=False)))
    )


def _collected(difference: Expr) -> Expr:
    """One term for each product of statistics, its number as short as it can be."""
    operators = statistics_of(difference)
    terms: dict[Expr, Expr] = {}
    for term in Add.make_args(expand(difference, log=False, power_base=False, power_exp=False)):
        factor, statistic = term.as_independent(*operators, as_Add=False) if operators else (term, S.One)
        terms[statistic] = terms.get(statistic, S.Zero) + factor
    return Add(*(statistic * _short(c) for statistic, c in terms.items()))


def _short(c: Expr) -> Expr:
    made = attempt_within(2.0, lambda: simplify(expand_log(c, force=True)) if c.is_number else c)
    return c if isinstance(made, GaveUp) or made.count_ops() > c.count_ops() else made


def _chosen(members: Sequence[Member], order: Sequence[tuple[int, Boolean]]) -> dict[Symbol, Expr]:
    return {p: Piecewise(*((members[i][p], c) for i, c in order)) for p in members[0]}


def line_of(likelihood: Likelihood, difference: Expr) -> Line | None:
    """D as a number times a statistic plus a constant; None where the number's sign is not decided."""
    operators = statistics_of(difference)
    constant, rest = difference.as_independent(*operators, as_Add=True)
    if rest == 0:
        return None
    slope, statistic = factor_terms(rest).as_independent(*operators, as_Add=False)
    if statistic.could_extract_minus_sign():
        slope, statistic = -slope, -statistic
    sign = weak_sign(slope, likelihood.facts)
    return Line(statistic, slope, constant, sign) if sign in (1, -1) else None


def _threshold(line: Line) -> Expr:
    bound = -line.constant / line.slope
    made = attempt_within(2.0, lambda: simplify(powdenest(bound)))
    forms = [bound, expand(bound)] + ([] if isinstance(made, GaveUp) else [made])
    return min(forms, key=lambda t: (t.count_ops(), str(t)))


def _not_below(likelihood: Likelihood, one: Expr, other: Expr, strict: bool = False) -> Boolean:
    """one >= other (or >) as a relation of statistics."""
    difference = _collected(one - other)
    line = line_of(likelihood, difference)
    if line is None:
        return (Gt if strict else Ge)(difference, 0, evaluate=False)
    relation = {(1, True): Gt, (1, False): Ge, (-1, True): Lt, (-1, False): Le}[line.sign, strict]
    return relation(line.statistic, _threshold(line), evaluate=False)


# --- one statistic: the upper envelope of lines ---------------------------------------------------


def _lines(
    likelihood: Likelihood, heights: Sequence[Expr]
) -> tuple[Expr, list[Expr], list[Expr], dict[Symbol, Expr]] | None:
    """(statistic, slopes, constants, known numbers), where every l - l_0 is a line in one statistic."""
    found: Expr | None = None
    slopes, constants = [S.Zero], [S.Zero]
    for h in heights[1:]:
        difference = _collected(h - heights[0])
        if not statistics_of(difference):
            slopes.append(S.Zero)
            constants.append(difference)
            continue
        line = line_of(likelihood, difference)
        if line is None or (found is not None and line.statistic != found):
            return None
        found = line.statistic
        slopes.append(line.slope)
        constants.append(line.constant)
    known = {c: v for c, v in likelihood.declaration.constants.items() if v is not None}
    if found is None or not all(e.xreplace(known).is_number for e in (*slopes, *constants)):
        return None
    return found, slopes, constants, known


def _is_less(a: Expr, b: Expr) -> bool:
    return bool((a - b).evalf(60) < 0) and not (a - b).equals(0)


def _envelope(
    members: Sequence[Member],
    statistic: Expr,
    exact_slopes: Sequence[Expr],
    exact_constants: Sequence[Expr],
    known: dict[Symbol, Expr],
) -> Best:
    """max over k of c_k + a_k T, T from -oo to oo: members by slope, thresholds where neighbours cross."""
    slopes, constants = ([e.xreplace(known) for e in es] for es in (exact_slopes, exact_constants))
    order = sorted(range(len(members)), key=lambda k: (slopes[k].evalf(40), constants[k].evalf(40), -k))
    hull: list[int] = []
    starts: list[Expr] = []
    for k in order:
        if hull and (slopes[hull[-1]] - slopes[k]).equals(0):
            if starts:
                starts.pop()
            hull.pop()  # the same slope, not larger
        while hull:
            j = hull[-1]
            cross = (constants[j] - constants[k]) / (slopes[k] - slopes[j])
            if starts and not _is_less(starts[-1], cross):
                hull.pop()
                starts.pop()
                continue
            starts.append(cross)
            break
        hull.append(k)
    bounds = [
        _threshold(
            Line(statistic, exact_slopes[k] - exact_slopes[j], exact_constants[k] - exact_constants[j], 1)
        )
        for j, k in zip(hull, hull[1:], strict=False)
    ]

    def read(first: bool) -> dict[Symbol, Expr]:
        pieces: list[tuple[int, Boolean]] = []
        if len(hull) == 2 and hull[1] > hull[0]:  # the second where it is better, as in a test
            relation = Gt if first else Ge
            return _chosen(
                members, [(hull[1], relation(statistic, bounds[0], evaluate=False)), (hull[0], S.true)]
            )
        for k, following, bound in zip(hull, hull[1:], bounds, strict=False):
            keeps = (k < following) == first
            pieces.append((k, (Le if keeps else Lt)(statistic, bound, evaluate=False)))
        return _chosen(members, [*pieces, (hull[-1], S.true)])

    closed, other = read(True), read(False)
    return Best(closed, {p: FiniteSet(closed[p], other[p]) for p in closed})


# --- one row of a finite support: a table -----------------------------------------------------------


def best_in_table(likelihood: Likelihood, members: Sequence[Member], values: Sequence[Expr]) -> Best | None:
    """The best member for each value of the one row, where the support is finite and the density a table of cells."""
    if likelihood.declaration.size != 1 or not likelihood.is_single:
        return None
    if likelihood.declaration.parameters.keys() - set(members[0]) or not (
        not values or any(v.has(Piecewise) for v in values)
    ):
        return None
    part = likelihood.forms[0].part
    if len(part.all_columns) != 1:
        return None
    x = part.columns[0]
    support = part.support[x]
    points = list(support) if isinstance(support, FiniteSet | Range) and support.is_finite_set else []
    if not points or len(points) > 40 or not all(v.is_number for v in points):
        return None
    points.sort(key=lambda v: v.evalf(30))
    total = Total(x, Tuple(x))
    rows: list[list[int]] = []
    for v in points:
        heights = [part.density.xreplace(m).xreplace({x: v}) for m in members]
        if not all(h.is_number and h.is_real for h in heights):
            return None
        best = [k for k, h in enumerate(heights) if not any(_is_less(h, other) for other in heights)]
        if heights[best[0]].is_positive is not True:
            return None
        rows.append(best)

    def table(rank: int) -> dict[Symbol, Expr]:
        chosen = [best[min(rank, len(best) - 1)] for best in rows]
        pieces: list[tuple[int, Boolean]] = []
        for k, (v, following) in enumerate(zip(points, chosen[1:], strict=False)):
            if chosen[k] != following:
                pieces.append((chosen[k], Le(total, v, evaluate=False)))
        return _chosen(members, [*pieces, (chosen[-1], S.true)])

    tables = [table(rank) for rank in range(max(map(len, rows)))]
    return Best(tables[0], {p: FiniteSet(*(t[p] for t in tables)) for p in tables[0]})


__all__ = ["Best", "best_in_table", "best_of_values", "is_finite"]
