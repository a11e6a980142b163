"""Kinks of a log density in one parameter, read from its form: where they are, and what stands on either side.

An absolute value, a maximum, a minimum, a sign or a condition that names the parameter p and a column of the data
bends at the value v of p at which its inner form u is 0. Where every such u has one v, the log density of a row is
`above` where u > 0 and `below` where u < 0; it is continuous in p if both agree at p = v.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sympy import (
    Abs,
    Basic,
    Dummy,
    Expr,
    Heaviside,
    Interval,
    Max,
    Min,
    Piecewise,
    Pow,
    S,
    Symbol,
    cancel,
    expand_log,
    nan,
    oo,
    piecewise_fold,
    sign,
    simplify,
    solve,
    together,
    zoo,
)
from sympy.core.relational import GreaterThan, LessThan, Relational, StrictGreaterThan, StrictLessThan

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.likelihood import Likelihood
from symmle.logarithm import open_logarithm

BENDS = (Abs, sign, Max, Min, Heaviside)
MOST_KINKS = 3  # different kinks of one row
LONG = 60  # operations beyond which a sign is not sought in other coordinates
UPPER, LOWER = (GreaterThan, StrictGreaterThan), (LessThan, StrictLessThan)


@dataclass(frozen=True)
class Kink:
    """The value `place` of the parameter at which `inner` is 0, in columns and what is known.

    `direction` is the sign of d inner / d parameter where it is the same for every row; `slope` is that
    derivative where inner is affine.
    """

    inner: Expr
    place: Expr
    direction: int | None
    slope: Expr | None


@dataclass(frozen=True)
class RowKinks:
    """The log density of a row of one sample as a function of the parameter, branch by branch.

    `branches` has a log density for every tuple of signs of the inner forms; without kinks there is one.
    """

    sample: int
    kinks: tuple[Kink, ...]
    branches: tuple[tuple[tuple[int, ...], Expr], ...]

    @property
    def above(self) -> Expr:
        return dict(self.branches)[(1,)]

    @property
    def below(self) -> Expr:
        return dict(self.branches)[(-1,)]


def bends_in(e: Basic, p: Symbol) -> bool:
    """Whether something that may bend names the parameter."""
    return any(p in n.free_symbols for n in e.atoms(*BENDS)) or any(
        p in r.free_symbols
        for piece in e.atoms(Piecewise)
        for _, c in piece.args
        for r in c.atoms(Relational)
    )


def read_kinks(
    likelihood: Likelihood, p: Symbol, known: frozenset[Symbol] = frozenset()
) -> tuple[RowKinks, ...] | str:
    """The kinks in p of the rows of every sample that p enters; "" where there are none, else why not read.

    Where a row bends may depend on the parameters in `known`, on others not.
    """
    found: list[RowKinks] = []
    for j, part in enumerate(likelihood.declaration.samples):
        if p not in part.density.free_symbols:
            continue
        rows = _read_sample(likelihood, j, p, known)
        if isinstance(rows, str):
            return rows
        found.append(rows)
    if not any(rows.kinks for rows in found):
        return ""
    return tuple(found)


def _read_sample(likelihood: Likelihood, j: int, p: Symbol, known: frozenset[Symbol]) -> RowKinks | str:
    part, facts = likelihood.declaration.samples[j], likelihood.facts
    columns = set(part.all_columns)
    others = frozenset(likelihood.parameters) - {p} - known
    domain = likelihood.declaration.parameters[p]
    pieces: list[tuple[tuple[int, ...], Expr]] = [((), part.density)]
    kinks: list[Kink] = []
    while True:
        form = next((u for _, e in pieces for u in _inner_forms(e, p)), None)
        if form is None:
            break
        if len(kinks) == MOST_KINKS:
            return f"the log density of a row has more than {MOST_KINKS} kinks in {p}"
        if not form.free_symbols & columns:
            return f"{form} bends in {p} whatever the data are"
        if _is_under_power(part.density, p, facts):
            return ""
        kink = _kink_of(form, p, domain, facts, others)
        if isinstance(kink, str):
            return kink
        if kink.place.free_symbols & others:
            named = ", ".join(sorted(map(str, kink.place.free_symbols & others)))
            return f"where the log density bends in {p} depends on {named}"
        kinks.append(kink)
        split = []
        for signs, e in pieces:
            for s in (1, -1):
                side = taken(e, kink, s, p, facts)
                if isinstance(side, str):
                    return side
                split.append(((*signs, s), side))
        pieces = split
    branches = []
    for signs, e in pieces:
        if e == 0:
            return ""  # a branch without density: a support that the parameter moves
        opened = attempt_within(3.0, open_logarithm, e, facts)
        if isinstance(opened, GaveUp) or opened.has(zoo, nan, oo, -oo):
            return ""
        branches.append((signs, opened))
    rows = RowKinks(j, tuple(kinks), tuple(branches))
    return _continuous(rows, p, facts)


def _is_under_power(e: Expr, p: Symbol, facts: Facts) -> bool:
    """Whether a power that is not 1 smooths (or may smooth) the kink: |x - p|**k with k > 1 or unknown."""
    for power in e.atoms(Pow):
        if isinstance(power.base, Expr) and power.base.has(*BENDS) and p in power.base.free_symbols:
            if (
                not power.exp.is_number
                and facts.decide_sign(1 - power.exp) is None
                and power.exp.free_symbols
            ):
                return True
            if (
                any(p in n.free_symbols for n in power.base.atoms(Abs))
                and facts.decide_sign(power.exp - 1) == 1
            ):
                return True
    return False


# --- inner forms ------------------------------------------------------------------------------------
def _inner_forms(e: Expr, p: Symbol) -> list[Expr]:
    """The innermost forms in p whose sign decides a branch, in a fixed order."""
    found: list[Expr] = []
    for node in e.atoms(*BENDS):
        if p in node.free_symbols:
            found.extend(_forms_of(node, p))
    for piece in e.atoms(Piecewise):
        for _, condition in piece.args:
            for relation in condition.atoms(Relational):
                if p in relation.free_symbols:
                    found.append(relation.lhs - relation.rhs)
    return sorted({u for u in found if not bends_in(u, p)}, key=lambda u: (u.count_ops(), u.sort_key()))


def _forms_of(node: Expr, p: Symbol) -> list[Expr]:
    if isinstance(node, Max | Min):
        first, *rest = node.args
        return [first - other for other in rest if p in (first - other).free_symbols]
    return [node.args[0]]  # type: ignore[list-item]


def _kink_of(
    u: Expr, p: Symbol, domain: object, facts: Facts, others: frozenset[Symbol] = frozenset()
) -> Kink | str:
    """Where u = 0 in p: one place, which u passes in one direction."""
    slope = attempt_within(1.0, lambda: cancel(together(u.diff(p))))
    if isinstance(slope, GaveUp):
        return slope.reason
    if p not in slope.free_symbols:  # affine
        content = attempt_within(1.0, lambda: cancel(together(u)).expand().as_content_primitive()[0])
        if not isinstance(content, GaveUp) and content > 0:
            u, slope = u / content, slope / content
        constant = cancel(together(u.xreplace({p: S.Zero})))
        place = cancel(-constant / slope)
        direction = facts.decide_sign(slope)
        if direction == 0:
            return f"{u} does not pass 0 in {p}"
        if direction is not None and u.free_symbols & others:
            u, slope = direction * (p - place), S(direction)
        return Kink(u, place, direction, slope)
    plain = expand_log(u, force=False)
    roots = attempt_within(2.0, solve, plain, p)
    if isinstance(roots, GaveUp) or len(roots) != 1 or roots[0].has(p):
        return f"the value of {p} at which {u} is 0 is not found"
    direction = facts.decide_sign(slope)
    if direction not in (1, -1):
        return f"whether {u} passes 0 once in {p} is not decided"
    if not isinstance(domain, Interval) or facts.range_of(roots[0]) is None:
        return f"the value of {p} at which {u} is 0 is not defined for every row"
    return Kink(u, roots[0], direction, None)


# --- branches ---------------------------------------------------------------------------------------
def taken(e: Expr, kink: Kink, s: int, p: Symbol, facts: Facts) -> Expr | str:
    """e where the inner form has the sign s."""
    table: dict[Basic, Basic] = {}
    for node in e.atoms(*BENDS):
        if p not in node.free_symbols or bends_in_arguments(node, p):
            continue
        if isinstance(node, Max | Min):
            replaced = _largest(node, kink, s, p, facts)
            if isinstance(replaced, str):
                return replaced
            if replaced is not None:
                table[node] = replaced
            continue
        w: Expr = node.args[0]  # type: ignore[assignment]
        same = _same_sign(w, kink, p, facts)
        if same is None:
            continue
        here = same * s
        if isinstance(node, Abs):
            table[node] = w if here == 1 else -w
        elif isinstance(node, sign):
            table[node] = S(here)
        else:
            table[node] = S.One if here == 1 else S.Zero
    for piece in e.atoms(Piecewise):
        for _, condition in piece.args:
            for relation in condition.atoms(Relational):
                w = relation.lhs - relation.rhs
                if p not in relation.free_symbols or bends_in(w, p):
                    continue
                same = _same_sign(w, kink, p, facts)
                if same is None:
                    continue
                if not isinstance(relation, UPPER + LOWER):
                    return f"the density has the condition {relation}"
                table[relation] = S.true if (same * s == 1) == isinstance(relation, UPPER) else S.false
    return e.xreplace(table)


def bends_in_arguments(node: Expr, p: Symbol) -> bool:
    return any(bends_in(a, p) for a in node.args)


def _largest(node: Expr, kink: Kink, s: int, p: Symbol, facts: Facts) -> Expr | str | None:
    """A maximum or minimum of arguments without those that the sign of the inner form excludes; None: untouched."""
    kept = list(node.args)
    first, *rest = node.args
    for other in rest:
        same = _same_sign(first - other, kink, p, facts) if p in (first - other).free_symbols else None
        if same is None:
            continue
        first_is_larger = same * s == 1
        kept.remove(other if first_is_larger == isinstance(node, Max) else first)
        if first not in kept:
            break
    return None if len(kept) == len(node.args) else node.func(*kept)


def _same_sign(w: Expr, kink: Kink, p: Symbol, facts: Facts) -> int | None:
    """1 where w has the sign of the inner form for every row, -1 where the opposite, None where not decided."""
    if w == kink.inner:
        return 1
    if w == -kink.inner:
        return -1
    ratio = attempt_within(1.0, lambda: cancel(together(w / kink.inner)))
    if not isinstance(ratio, GaveUp):
        found = facts.decide_sign(ratio)
        if found in (1, -1):
            return found
    other = _kink_of(w, p, Interval(-oo, oo), facts)
    if isinstance(other, str) or kink.direction is None or other.direction is None:
        return None
    gap = attempt_within(1.0, lambda: simplify(other.place - kink.place))
    return kink.direction * other.direction if not isinstance(gap, GaveUp) and gap == 0 else None


def _continuous(rows: RowKinks, p: Symbol, facts: Facts) -> RowKinks | str:
    """The rows, if branches agree at every kink; "" where the first derivatives do too and nothing bends."""
    branches = dict(rows.branches)
    smooth = bool(rows.kinks)
    for k, kink in enumerate(rows.kinks):
        for signs, e in rows.branches:
            if signs[k] != 1 or not _may_meet(rows.kinks, k, signs, p, facts):
                continue
            other = branches[(*signs[:k], -1, *signs[k + 1 :])]
            difference = e - other
            if not is_zero_at(difference, p, kink.place):
                return f"the log density jumps in {p} at {kink.place}"
            smooth = smooth and is_zero_at(difference.diff(p), p, kink.place)
    return "" if smooth else rows


def _may_meet(kinks: tuple[Kink, ...], k: int, signs: tuple[int, ...], p: Symbol, facts: Facts) -> bool:
    """Whether the other inner forms may have these signs at the k-th kink."""
    for j, other in enumerate(kinks):
        if j != k:
            found = facts.decide_sign(cancel(other.inner.xreplace({p: kinks[k].place})))
            if found is not None and found != signs[j]:
                return False
    return True


def is_zero_at(e: Expr, p: Symbol, place: Expr) -> bool:
    """Whether e is proved to be 0 at p = place."""
    at = e.xreplace({p: place})
    if at.has(zoo, nan, oo):
        return False
    found = attempt_within(2.0, lambda: simplify(expand_log(piecewise_fold(at))))
    return not isinstance(found, GaveUp) and found == 0


# --- signs beside a kink ----------------------------------------------------------------------------
def sign_beside(
    e: Expr, kinks: Iterable[tuple[Kink, int]], p: Symbol, columns: Iterable[Symbol], facts: Facts
) -> int | None:
    """The sign of e where each inner form has the given sign; None where it is not decided."""
    found = facts.decide_sign(e)
    if found is not None or e.count_ops() > LONG:
        return found
    for kink, s in kinks:
        for x in columns:
            if kink.slope is None or x not in kink.inner.free_symbols:
                continue
            t = Dummy("t", positive=True)
            slope = kink.inner.diff(x)
            if x in slope.free_symbols or slope == 0:
                continue
            at = x + (s * t - kink.inner) / slope  # inner = s t
            moved = attempt_within(1.0, lambda at=at, x=x: simplify(e.xreplace({x: simplify(at)})))
            if not isinstance(moved, GaveUp):
                found = facts.decide_sign(moved)
                if found is not None:
                    return found
    return None


__all__ = ["Kink", "RowKinks", "bends_in", "is_zero_at", "read_kinks", "sign_beside", "taken"]
