"""The indicator of a likelihood as limits on one parameter: a <= x_i for all i is a <= Minimum(x).

Every relation of a row, lo <= x and x <= hi, is solved for the parameter where the bound is a strictly
monotone function of it; the largest (smallest) of the solved bounds over the rows is one order statistic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sympy import (
    Abs,
    Add,
    Expr,
    Interval,
    Max,
    Min,
    Mul,
    Pow,
    Range,
    S,
    Symbol,
    Tuple,
    cancel,
    ceiling,
    exp,
    expand,
    expand_mul,
    floor,
    log,
    nan,
    oo,
    zoo,
)
from sympy.core.relational import Ge, Gt, Le, Lt, Relational

from symmle.algebra import Facts
from symmle.certify.monotone_slopes import is_whole, support_ends, widths
from symmle.declare.declaration import Declaration
from symmle.sample import Maximum, Minimum


@dataclass(frozen=True)
class RowRelation:
    """term <= bound (upper) or term >= bound, in every row of one sample; `shown` is how the support says it."""

    part: int
    column: Symbol
    columns: Tuple
    term: Expr
    bound: Expr
    upper: bool
    strict: bool
    shown: tuple[Relational, ...]


@dataclass(frozen=True)
class Limit:
    """p >= value (lower) or p <= value; `each` is the bound of one row, `source` "rows", "domain" or "where"."""

    value: Expr
    lower: bool
    strict: bool
    source: str
    each: Expr
    row: RowRelation | None = None
    whole: bool = False

    def relation(self, p: Symbol) -> Relational:
        if self.lower:
            return (Gt if self.strict else Ge)(p, self.value, evaluate=False)
        return (Lt if self.strict else Le)(p, self.value, evaluate=False)


# --- relations of a row -----------------------------------------------------------------------------


def row_relations(declaration: Declaration, free: Iterable[Symbol]) -> list[RowRelation]:
    """Those ends of the supports that name one of `free`; -h <= x - c <= h is |x - c| <= h where c is known."""
    free, found = set(free), []
    for j, part in enumerate(declaration.samples):
        columns = Tuple(*part.all_columns)
        for x, support in part.support.items():
            ends = support_ends(support)
            if ends is None or not support.free_symbols & free:
                continue
            lo, hi, lo_open, hi_open = ends
            below = [b for b in (lo.args if isinstance(lo, Max) else (lo,)) if b.free_symbols & free]
            above = [b for b in (hi.args if isinstance(hi, Min) else (hi,)) if b.free_symbols & free]
            shown_below = [(Lt if lo_open else Le)(b, x, evaluate=False) for b in below]
            shown_above = [(Lt if hi_open else Le)(x, b, evaluate=False) for b in above]
            if below == [lo] and above == [hi] and lo_open == hi_open and lo != hi:
                centre = expand((lo + hi) / 2)
                if not centre.free_symbols & set(declaration.parameters):
                    half = cancel((hi - lo) / 2)
                    both = (shown_below[0], shown_above[0])
                    found.append(RowRelation(j, x, columns, Abs(x - centre), half, True, hi_open, both))
                    continue
            for b, r in zip(below, shown_below, strict=True):
                found.append(RowRelation(j, x, columns, x, b, False, lo_open, (r,)))
            for b, r in zip(above, shown_above, strict=True):
                found.append(RowRelation(j, x, columns, x, b, True, hi_open, (r,)))
    return found


# --- one bound solved for one parameter -------------------------------------------------------------


def solve_bound(left: Expr, p: Symbol, right: Expr, greater: bool, known: Facts) -> tuple[Expr, bool] | None:
    """left(p) >= right (greater) or <= right as p >= value or p <= value: (value, p is above it); None: not solved.

    The layers of left are taken off one by one, each strictly monotone with a direction that is known.
    """
    for _ in range(12):
        if left == p:
            return right, greater
        peeled = _peel(left, p, right, greater, known)
        if peeled is None:
            return None
        left, right, greater = peeled
    return None


def _peel(left: Expr, p: Symbol, right: Expr, greater: bool, known: Facts) -> tuple[Expr, Expr, bool] | None:
    if isinstance(left, Add):
        constant, rest = left.as_independent(p, as_Add=True)
        if constant != 0:
            return rest, right - constant, greater
        left = expand(left)
        slope = left.coeff(p)
        rest = expand(left - slope * p)
        if slope == 0 or slope.has(p) or rest.has(p):
            return None
        return slope * p, right - rest, greater
    if isinstance(left, Mul):
        factor, rest = left.as_independent(p, as_Add=False)
        direction = known.decide_sign(factor)
        if factor != 1 and direction in (1, -1):
            return rest, right / factor, greater if direction == 1 else not greater
        opened = expand(left)
        return (opened, right, greater) if factor == 1 and isinstance(opened, Add) else None
    if isinstance(left, exp):
        return (left.exp, log(right), greater) if known.decide_sign(right) == 1 else None
    if isinstance(left, log):
        return left.args[0], exp(right), greater
    if isinstance(left, Pow) and not left.exp.has(p) and left.exp.is_real:
        return _root(left.base, left.exp, right, greater, known)
    return None


def _root(base: Expr, k: Expr, right: Expr, greater: bool, known: Facts) -> tuple[Expr, Expr, bool] | None:
    """base**k against right, where base keeps one sign: base against right**(1/k)."""
    positive = known.decide_sign(base)
    if positive == -1 and k.is_even:
        return _root(-base, k, right, greater, known)
    power = known.decide_sign(k)
    if power not in (1, -1) or not (positive == 1 or _is_nonnegative(base, known)):
        return None
    if not (known.decide_sign(right) == 1 or _is_nonnegative(right, known)):
        if power == -1 or not greater:
            return None
        right = Max(right, 0)  # base**k >= right says nothing where right < 0
    return base, right ** (1 / k), greater if power == 1 else not greater


def _is_nonnegative(e: Expr, known: Facts) -> bool:
    if e.is_nonnegative:
        return True
    r = known.range_of(e)
    return r is not None and r.is_nonnegative


# --- the extreme of the rows ------------------------------------------------------------------------


def extreme(e: Expr, columns: Tuple, top: bool, free: set[Symbol], known: Facts) -> Expr | None:
    """max_i e(x_i) (top) or min_i, the free parameters taken out: max (x - s) = max x - s. None where they stay in."""
    e = expand_mul(e)
    constant, rest = e.as_independent(*columns.args, as_Add=True) if isinstance(e, Add) else (S.Zero, e)
    if not rest.free_symbols & set(columns.args):
        return constant + rest
    factor, inner = (
        rest.as_independent(*columns.args, as_Add=False) if isinstance(rest, Mul) else (S.One, rest)
    )
    if isinstance(rest, Add) and rest.free_symbols & free:
        found = _common_factor(rest, columns, free)
        if found is None:
            return None
        factor, inner = found
    if inner.free_symbols & free:
        return None
    direction = known.decide_sign(factor)
    if direction not in (1, -1):
        return None
    if direction == -1:
        top = not top
    return constant + factor * _pulled(inner, columns, top, known)


def _common_factor(e: Expr, columns: Tuple, free: set[Symbol]) -> tuple[Expr, Expr] | None:
    """k(theta) T(x) where every term of a sum has the same factor k."""
    parts = [t.as_independent(*columns.args, as_Add=False) for t in Add.make_args(e)]
    k = parts[0][0]
    ratios = [cancel(c / k) for c, _ in parts]
    if any(r.free_symbols & free for r in ratios):
        return None
    return k, Add(*(r * t for r, (_, t) in zip(ratios, parts, strict=True)))


def _pulled(t: Expr, columns: Tuple, top: bool, known: Facts) -> Expr:
    """The order statistic of a row expression; strictly monotone functions are taken out: max x**2 = (max x)**2."""
    if (
        isinstance(t, Pow)
        and t.exp.is_number
        and (known.decide_sign(t.base) == 1 or (t.exp > 0 and _is_nonnegative(t.base, known)))
    ):
        inner = extreme(t.base, columns, top == bool(t.exp > 0), set(), known)
        if inner is not None:
            return inner**t.exp
    if isinstance(t, exp | log):
        inner = extreme(t.args[0], columns, top, set(), known)
        if inner is not None:
            return t.func(inner)
    if isinstance(t, Max) and len(t.args) == 2 and any(a.is_number for a in t.args):
        number = next(a for a in t.args if a.is_number)
        other = next(a for a in t.args if a is not number)
        inner = extreme(other, columns, top, set(), known)
        if inner is not None:
            return Max(number, inner)
    return Maximum(t, columns) if top else Minimum(t, columns)


# --- all limits of one parameter --------------------------------------------------------------------


def limits_of(
    declaration: Declaration, p: Symbol, known: Facts, held: Iterable[Symbol]
) -> tuple[list[Limit], list[RowRelation]] | str:
    """What rows, p's domain, `where` and the other domains ask of p; `held` parameters count as known."""
    free = set(declaration.parameters) - set(held)
    found: list[Limit] = []
    relations = [r for r in row_relations(declaration, free) if r.bound.has(p)]
    whole = is_whole(declaration, p)
    for r in relations:
        if not whole and isinstance(declaration.samples[r.part].support[r.column], Range):
            return f"{r.column} is whole and {p} is not"
        solved = solve_bound(r.bound, p, r.term, r.upper, known)
        if solved is None:
            return f"the bound {r.bound} of the support of {r.column} is not solved for {p}"
        each, lower = solved
        if each.has(nan, zoo, oo, p):
            return f"the bound {r.bound} of the support of {r.column} is not solved for {p}"
        value = extreme(each, r.columns, lower, free, known)
        if value is None:
            return f"the extreme of {each} over the rows is not free of the other parameters"
        found.append(_limit(value, lower, r.strict, "rows", each, r, whole))
    for bound, lower, strict in _ends_of_domain(declaration, p):
        found.append(Limit(bound, lower, strict, "domain", bound, None, whole))
    for w in _positive_on_space(declaration, p):
        solved = solve_bound(w, p, S.Zero, True, known)
        if solved is None:
            return f"{w} > 0 is not solved for {p}"
        found.append(_limit(solved[0], solved[1], True, "where", solved[0], None, whole))
    return found, relations


def _limit(
    value: Expr, lower: bool, strict: bool, source: str, each: Expr, row: RowRelation | None, whole: bool
) -> Limit:
    """A limit of a whole number is the next whole number."""
    if whole:
        integral = each.is_integer
        if strict:
            value = (
                (value + 1 if lower else value - 1)
                if integral
                else (floor(value) + 1 if lower else ceiling(value) - 1)
            )
        elif not integral:
            value = ceiling(value) if lower else floor(value)
        strict = False
    return Limit(value, lower, strict, source, each, row, whole)


def _ends_of_domain(declaration: Declaration, p: Symbol) -> list[tuple[Expr, bool, bool]]:
    domain = declaration.parameters[p]
    if isinstance(domain, Interval | Range):
        ends = support_ends(domain)
        if ends is None:
            return []
        lo, hi, lo_open, hi_open = ends
    elif domain in (S.Naturals, S.Naturals0):
        lo, hi, lo_open, hi_open = domain.inf, oo, False, True
    else:
        return []
    found = [] if lo == -oo or _is_implied(p - lo, declaration) else [(lo, True, lo_open)]
    return found + ([] if hi == oo or _is_implied(hi - p, declaration) else [(hi, False, hi_open)])


def _positive_on_space(declaration: Declaration, p: Symbol) -> list[Expr]:
    """`where` and the domains of other parameters that name p, but for those that the support implies."""
    asked = [w for w in declaration.where if w.has(p)]
    for q, domain in declaration.parameters.items():
        if q != p and isinstance(domain, Interval) and domain.has(p):
            asked += [q - domain.start] if domain.start.has(p) else []
            asked += [domain.end - q] if domain.end.has(p) else []
    return [w for w in asked if not _is_implied(w, declaration)]


def _is_implied(w: Expr, declaration: Declaration) -> bool:
    """Whether w > 0, with two parameters in it, is what a support asks that is not empty."""
    if len(w.free_symbols & set(declaration.parameters)) < 2:
        return False
    ratios = [cancel(w / width) for width, _ in widths(declaration)]
    return any(r.is_number and r.is_positive for r in ratios)


__all__ = ["Limit", "RowRelation", "extreme", "limits_of", "row_relations", "solve_bound"]
