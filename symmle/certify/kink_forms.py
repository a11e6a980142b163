"""Log densities with kinks in other forms of the same function: maxima for pieces, hinges for what bends."""

from __future__ import annotations

from sympy import Abs, Basic, Expr, Max, Min, Piecewise, Symbol, cancel, exp, expand, simplify, together

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.certify.kink_reading import BENDS, LOWER, UPPER, RowKinks, bends_in, is_zero_at, taken


def pieces_as_extremes(e: Expr, p: Symbol, facts: Facts) -> Expr:
    """Two pieces that meet where their condition on p changes, as a maximum or minimum of both.

    Piecewise((E, w > 0), (F, True)) with E - F = k w is Max(E, F) for k > 0 and Min(E, F) for k < 0.
    """
    table: dict[Basic, Basic] = {}
    for piece in e.atoms(Piecewise):
        if len(piece.args) != 2 or piece.args[1][1] != True:  # noqa: E712 - a SymPy truth value
            continue
        (first, condition), (second, _) = piece.args
        if not isinstance(condition, UPPER + LOWER) or p not in condition.free_symbols:
            continue
        k = attempt_within(
            1.0, lambda a=first - second, w=condition.lhs - condition.rhs: cancel(together(a / w))
        )
        found = None if isinstance(k, GaveUp) else facts.decide_sign(k)
        if found in (1, -1):
            larger = (found == 1) == isinstance(condition, UPPER)
            table[piece] = (Max if larger else Min)(first, second)
    return e.xreplace(table)


def as_hinges(e: Expr, rows: RowKinks, p: Symbol, others: frozenset[Symbol], facts: Facts) -> Expr:
    """Bends that name other parameters, in hinges of the inner form u, which does not: c Max(u, 0) + d Max(-u, 0).

    The log density is then smooth in the other parameters, and its statistics are not negative.
    """
    if len(rows.kinks) != 1 or rows.kinks[0].inner.free_symbols & others:
        return e
    (kink,) = rows.kinks
    u = kink.inner
    table: dict[Basic, Basic] = {}
    for node in sorted(e.atoms(Abs, Max, Min, Piecewise), key=lambda n: n.count_ops()):
        if not (p in node.free_symbols and node.free_symbols & others):
            continue
        up, down = taken(node, kink, 1, p, facts), taken(node, kink, -1, p, facts)
        if isinstance(up, str) or isinstance(down, str) or bends_in(up, p) or bends_in(down, p):
            continue
        rewritten = hinges(up, down, u, p)
        if rewritten is not None:
            table[node] = rewritten
    plain = e.xreplace(table)
    if not any(p in n.free_symbols and n.free_symbols & others for n in plain.atoms(*BENDS, Piecewise)):
        return plain
    whole = hinges(rows.above, rows.below, u, p)
    return plain if whole is None else exp(whole)


def hinges(up: Expr, down: Expr, u: Expr, p: Symbol) -> Expr | None:
    """`up` where u > 0 and `down` where u < 0, both affine in u, as d + a Max(u, 0) + b Max(-u, 0)."""
    slope = u.diff(p)
    a, b = (attempt_within(1.0, lambda e=e: cancel(together(e.diff(p) / slope))) for e in (up, down))
    if isinstance(a, GaveUp) or isinstance(b, GaveUp) or p in a.free_symbols | b.free_symbols:
        return None
    at_kink = attempt_within(2.0, lambda: simplify(expand(down - b * u)))
    if isinstance(at_kink, GaveUp) or p in at_kink.free_symbols:
        return None
    return at_kink + (a * Abs(u) if a == -b else a * Max(u, 0) - b * Max(-u, 0))


def vanishes_only_at(h: Expr, rows: RowKinks, p: Symbol, columns: set[Symbol], facts: Facts) -> bool:
    """Whether h(row; p) >= 0 is proved to be 0 only where p is at the one kink of the row."""
    (kink,) = rows.kinks
    if kink.direction is None or not is_zero_at(h, p, kink.place):
        return False
    for s, e in ((1, rows.above), (-1, rows.below)):
        side = taken(h, kink, s, p, facts)
        if isinstance(side, str):
            return False
        ratio = attempt_within(2.0, simplify, side.diff(p) / e.diff(p))
        # h moves as -log f does, which falls on both sides of the kink
        if isinstance(ratio, GaveUp) or ratio.free_symbols & columns or facts.decide_sign(-ratio) != 1:
            return False
    return True


__all__ = ["as_hinges", "hinges", "pieces_as_extremes", "vanishes_only_at"]
