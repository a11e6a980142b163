"""Slopes of l where the support depends on parameters: their signs row by row, and the density at a moving end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import mpmath
from sympy import (
    Abs,
    Add,
    Dummy,
    Expr,
    FiniteSet,
    Interval,
    Max,
    Min,
    Mul,
    Piecewise,
    Pow,
    Range,
    S,
    Symbol,
    Tuple,
    atan,
    cancel,
    ceiling,
    erf,
    exp,
    expand,
    expand_mul,
    expand_power_base,
    expand_power_exp,
    factor,
    factor_terms,
    floor,
    fraction,
    log,
    nan,
    oo,
    sign,
    sinh,
    tanh,
    together,
    zoo,
)

from symmle.algebra import Bounds, Facts, GaveUp, attempt_within, compile_expression, ends_of_range
from symmle.certify.neighbours import neighbours_of
from symmle.declare.declaration import Declaration
from symmle.inequalities import SampleFacts
from symmle.likelihood import Likelihood
from symmle.sample import Count, Total, statistics_of
from symmle.sampling import RandomPoints, as_numbers


@dataclass(frozen=True)
class Slope:
    """The sign of d l / d p (of l(p) - l(p - 1) for a whole number) on the allowed set, and that slope."""

    sign: int
    whole: bool
    expression: Expr


# --- facts ------------------------------------------------------------------------------------------


def support_ends(support: object) -> tuple[Expr, Expr, bool, bool] | None:
    """(lo, hi, open below, open above) of an interval or of a range of whole numbers without gaps."""
    if isinstance(support, Interval):
        return support.start, support.end, bool(support.left_open), bool(support.right_open)
    if isinstance(support, Range) and support.args[2] == 1:
        lo, hi = ends_of_range(support)
        return lo, hi, False, False
    return None


def widths(declaration: Declaration) -> list[tuple[Expr, bool]]:
    """hi - lo > 0 of every continuous support with two finite ends that name parameters (>= 0 for whole numbers)."""
    named = set(declaration.parameters) | set(declaration.constant_domains)
    found: list[tuple[Expr, bool]] = []
    for part in declaration.samples:
        for support in part.support.values():
            ends = support_ends(support)
            if ends is None or oo in ends[:2] or -oo in ends[:2]:
                continue
            width = expand(ends[1] - ends[0])
            if width.free_symbols & named and width not in [w for w, _ in found]:
                found.append((width, isinstance(support, Interval)))
    return found


def facts_inside(likelihood: Likelihood) -> Facts:
    """What is known of parameters and columns where the support is not empty: hi - lo > 0 is put to use.

    A parameter that stands in such a width alone with a coefficient is written by it, b = a + w or a (1 + w)
    with w > 0; a factor of unknown sign gets the sign that makes the width positive.
    """
    declaration, facts = likelihood.declaration, likelihood.facts
    encoding, bounds = dict(facts.encoding), dict(facts.bounds)
    positive = list(facts.positive)
    written: dict[Expr, Expr] = {}
    for width, continuous in widths(declaration):
        positive += [width] if continuous else []
        now = Facts(bounds, encoding, tuple(positive))
        width = expand(width.xreplace(written))
        if Facts(bounds, encoding, facts.positive).decide_sign(width) == 1:
            continue
        unknown = [f for f in Mul.make_args(factor_terms(width)) if now.decide_sign(f) is None]
        if len(unknown) == 1 and unknown[0].is_Symbol and continuous:
            rest = now.decide_sign(cancel(width / unknown[0]))
            if rest in (1, -1):
                ray = Bounds(S.Zero, oo, True, True) if rest == 1 else Bounds(-oo, S.Zero, True, True)
                bounds[unknown[0]] = ray
                continue
        w = Dummy("w", positive=True)  # of whole numbers it may be 0: signs hold weakly there
        names = [p for p in declaration.parameters if _is_linear(width, p) and p not in written]
        names.sort(key=lambda p: not width.coeff(p) > 0)  # b - a: b = a + w
        if names:
            p = names[0]
            c = width.coeff(p)
            rest = width - c * p
            if c == 1 and now.decide_sign(-rest) == 1:
                written[p] = -rest * (1 + w)  # b = a (1 + w) where a > 0
            else:
                written[p] = (w - rest) / c
            encoding[p] = written[p]
    found = Facts(bounds, encoding, tuple(positive))
    found.members = facts.members
    return found


def _is_linear(e: Expr, p: Symbol) -> bool:
    c = e.coeff(p)
    return bool(c.is_number and c.is_real and c != 0 and not (e - c * p).has(p))


# --- the slope --------------------------------------------------------------------------------------


def is_whole(declaration: Declaration, p: Symbol) -> bool:
    """Whether a parameter takes whole numbers only."""
    return isinstance(declaration.parameters[p], Range) or declaration.parameters[p] in (
        S.Naturals,
        S.Naturals0,
        S.Integers,
    )


def decide_slope(likelihood: Likelihood, p: Symbol) -> Slope | str:
    """The sign of l's slope in p where it is one and the same in every row, or why it is not decided."""
    declaration = likelihood.declaration
    if isinstance(declaration.parameters[p], FiniteSet):
        return f"{p} takes finitely many values"
    whole = is_whole(declaration, p)
    known = facts_inside(likelihood)
    if whole:
        found = neighbours_of(likelihood, p)
        rows: Sequence[Expr | GaveUp] = found.rows
        slope = found.difference
    else:
        rows = [_row_slope(f.opened, p, known) for f in likelihood.forms]
        kept = [r for r in rows if isinstance(r, Expr)]
        slope = Add(*(_summed(r, f.columns) for r, f in zip(kept, likelihood.forms, strict=False)))
    signs = set()
    for row, form in zip(rows, likelihood.forms, strict=True):
        if isinstance(row, GaveUp) or row.has(Abs, Max, Min, floor, ceiling, Piecewise, sign, nan, zoo):
            return f"the log-likelihood is not smooth in {p}"
        if whole and not row.free_symbols & set(form.columns.args):
            signs.add(_sign(row, known))
        elif whole:
            signs.add(_weakly(row, known))
        else:
            signs.add(_sign(row, known))
    known_signs = {s for s in signs if s is not None}
    if None in signs or {1, -1} <= known_signs:
        return f"the log-likelihood is not shown to be monotone in {p}"
    return Slope((known_signs - {0} or {0}).pop(), whole, slope)


@dataclass(frozen=True)
class Turn:
    """d l / d p = (c0 - c1 p) times something positive, c1 > 0; its root c0/c1 and the score itself."""

    root: Expr
    score: Expr
    whole: bool = False


def decide_turn(likelihood: Likelihood, p: Symbol) -> Turn | str:
    """The one turn of l in p, where the numerator of its score is affine in p with a falling slope."""
    refused = f"the log-likelihood is not shown to be monotone in {p}"
    score = likelihood.log_likelihood.diff(p)
    operators = statistics_of(score)
    if any(o.free_symbols & {p} for o in operators) or score.has(
        Abs, Max, Min, floor, ceiling, Piecewise, sign
    ):
        return refused
    known = SampleFacts(operators, likelihood.facts, [z for f in likelihood.forms for z in f.part.given])
    facts = likelihood.facts.with_bounds(known.bounds, known.encoding)
    answer = attempt_within(2.0, lambda: fraction(cancel(together(known.hide(score)))))
    if isinstance(answer, GaveUp):
        return refused
    numerator, denominator = answer
    poly = numerator.as_poly(p)
    if poly is None or poly.degree() != 1:
        return refused
    slope, constant = poly.all_coeffs()
    signs = facts.decide_sign(slope), facts.decide_sign(denominator)
    if signs not in ((1, -1), (-1, 1)):
        return refused
    return Turn(cancel(known.show(-constant / slope)), score)


def _row_slope(opened: Expr, p: Symbol, known: Facts) -> Expr | GaveUp:
    """d log f / d p, simplified; |u| is written as u or -u where its sign is known."""
    plain = opened.replace(
        lambda e: isinstance(e, Abs) and known.decide_sign(e.args[0]) in (1, -1),
        lambda e: known.decide_sign(e.args[0]) * e.args[0],
    )
    slope = plain.diff(p)
    found = attempt_within(2.0, lambda: factor_terms(cancel(together(slope))))
    if isinstance(found, GaveUp) or found.count_ops() > slope.count_ops():
        zero = attempt_within(1.0, lambda: expand(slope) == 0)
        return S.Zero if zero is True else slope
    return found


def _summed(row: Expr, columns: Tuple) -> Expr:
    if not row.free_symbols & set(columns.args):
        return Count(columns) * row
    return Total(row, columns)


def _sign(row: Expr, known: Facts) -> int | None:
    """The sign of a row's slope; powers of encoded products are opened: (m + m w)**a - m**a = m**a ((1 + w)**a - 1)."""
    row = row.replace(lambda n: isinstance(n, Add) and len(n.args) == 2, lambda n: _rise(n, known))
    found = known.decide_sign(row)
    if found is not None or not row.has(exp) and all(p.exp.is_number for p in row.atoms(Pow)):
        return found
    opened = attempt_within(1.0, lambda: _opened(known.encode(row)))
    if isinstance(opened, GaveUp) or opened.has(nan, zoo):
        return None
    total = 1
    for each in Mul.make_args(opened):
        side = Facts({}).decide_sign(each)
        if side not in (1, -1):
            return None
        total *= side
    return total


def _rise(e: Expr, known: Facts) -> Expr:
    """c h(u) - c h(v) for an increasing h as a symbol of the sign of c (u - v), where that is known."""
    (c, h), (d, k) = (t.as_coeff_Mul() for t in e.args)
    if c != -d or h.func is not k.func or not isinstance(h, erf | exp | log | atan | tanh | sinh):
        return e
    side = known.decide_sign(h.args[0] - k.args[0])
    stand_in = Dummy("h", positive=True)
    return c * side * stand_in if side in (1, -1) else e


def _opened(e: Expr) -> Expr:
    e = e.replace(
        lambda n: isinstance(n, Pow | exp), lambda n: expand_power_exp(expand_power_base(factor_terms(n)))
    )
    numerator, denominator = fraction(together(e))
    return factor(expand_power_exp(expand_mul(numerator))) / factor(expand_power_exp(expand_mul(denominator)))


def _weakly(row: Expr, known: Facts) -> int | None:
    """The sign between the ends of a range of whole numbers; it holds weakly at the ends by continuity."""
    opened = {s: b if b.lo == b.hi else Bounds(b.lo, b.hi, True, True) for s, b in known.bounds.items()}
    return Facts(opened, known.encoding, known.positive).decide_sign(row)


# --- the density at a moving end --------------------------------------------------------------------


def density_at(likelihood: Likelihood, part: int, x: Symbol, bound: Expr) -> str:
    """ "finite" where f is positive and finite at x = bound for every admissible theta, "zero", "infinite" or "mixed".

    Looked at by value at random admissible points: an analytic density is 0 or infinite there at all of them, or
    at those with an exponent on one side of 0.
    """
    declaration = likelihood.declaration
    sample = declaration.samples[part]
    f = compile_expression(sample.density)
    edge = compile_expression(bound)
    stream, seen = RandomPoints(replace(declaration, size=None), 29), set()
    with mpmath.workdps(40):
        for _ in range(8):
            values = stream.parameters(stream.constants())
            rows = None if values is None else stream.samples(values, rows=1)
            if values is None or rows is None:
                continue
            at = {**as_numbers(values), **{c: column[0] for c, column in rows[part].columns.items()}}
            try:
                at[x] = edge(at, [])
                height = mpmath.mpmathify(f(at, []))
            except ZeroDivisionError:
                seen.add("infinite")
                continue
            except (ValueError, ArithmeticError, TypeError):
                seen.add("mixed")
                continue
            height = height.real if isinstance(height, mpmath.mpc) and abs(height.imag) < 1e-30 else height
            if isinstance(height, mpmath.mpc) or mpmath.isnan(height):
                seen.add("mixed")
            elif mpmath.isinf(height):
                seen.add("infinite")
            else:
                seen.add("finite" if height > mpmath.mpf(10) ** -25 else "zero")
    return seen.pop() if len(seen) == 1 else "mixed"


__all__ = [
    "Slope",
    "Turn",
    "decide_slope",
    "decide_turn",
    "density_at",
    "facts_inside",
    "is_whole",
    "support_ends",
    "widths",
]
