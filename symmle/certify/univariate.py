"""A function of the coordinates through one affine form t: its second derivative in t, and its sign."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mpmath
from sympy import Dummy, Expr, Mul, Pow, S, Symbol, cancel, diff, exp, expand_mul, lambdify, log, loggamma

from symmle.certify.exponentials import split_exponentials
from symmle.certify.lemmas import Lemma, prove_positive, prove_sign
from symmle.certify.ranges import POSITIVE, Bounds, range_of, sign_on_support
from symmle.certify.sampling import draw

if TYPE_CHECKING:
    from symmle.certify.composition import Prover
    from symmle.certify.shapes import Form


@dataclass(frozen=True)
class Curved:
    """The sign of the second derivative along the form, the steps, and the form where it is strict."""

    sign: int
    steps: tuple[str, ...]
    forms: tuple[Form, ...]


def affine_parts(prover: Prover, e: Expr) -> list[Expr] | None:
    """The largest affine subexpressions of e that hold coordinates."""
    found: list[Expr] = []

    def walk(part: Expr) -> bool:
        if not prover.depends(part):
            return True
        if prover.linear_form(part) is not None:
            if part not in found:
                found.append(part)
            return True
        if isinstance(part, Mul):  # constants apart: c f(u) is no affine part
            return all(walk(a) for a in part.args)
        return bool(part.args) and all(isinstance(a, Expr) and walk(a) for a in part.args)

    return found if walk(e) else None


def _inside_exponentials(prover: Prover, e: Expr) -> list[Expr]:
    return [a.exp for a in e.atoms(exp) if prover.depends(a) and prover.linear_form(a.exp) is not None]


def curvature(prover: Prover, e: Expr) -> Curved | None:
    """The curvature of e where it depends on the coordinates through one affine form alone."""
    parts = affine_parts(prover, e)
    if not parts:
        return None
    bases: list[Form] = []
    for candidate in sorted(_inside_exponentials(prover, e), key=str) + parts:
        form = prover.linear_form(candidate)
        assert form is not None
        if form not in bases and tuple(-c for c in form) not in bases:
            bases.append(form)
    for base in bases[:3]:
        found = _along(prover, e, parts, base)
        if found is not None:
            return found
    return None


def _along(prover: Prover, e: Expr, parts: list[Expr], base: Form) -> Curved | None:
    index = next(k for k, c in enumerate(base) if c != 0)
    ratios: dict[Expr, tuple[Expr, Expr]] = {}
    origin = dict.fromkeys(prover.unknowns, S.Zero)
    for part in parts:
        form = prover.linear_form(part)
        assert form is not None
        ratio = cancel(form[index] / base[index]) if form[index] != base[index] else S.One
        if any(
            expand_mul(a - ratio * b) != 0 and cancel(a - ratio * b) != 0
            for a, b in zip(form, base, strict=True)
        ):
            return None
        ratios[part] = (ratio, expand_mul(part).xreplace(origin))
    line = sum((c * u for c, u in zip(base, prover.unknowns, strict=True)), S.Zero)
    bounds = range_of(line, prover.known)
    sign = None
    if bounds.positive or bounds.negative:
        cases: tuple[tuple[int, Bounds], ...] = (
            (1 if bounds.positive else -1, bounds if bounds.positive else -bounds),
        )
    elif sum(1 for c in base if c != 0) == 1 and prover.positive(prover.unknowns[index]):
        # c u with u > 0: c is positive, negative or zero; zero is a limit of the others
        cases = ((1, POSITIVE), (-1, POSITIVE))
    else:
        cases = ((0, bounds),)
    steps: tuple[str, ...] = ()
    strict = True
    for side, range_of_t in cases:
        lemma = _second_derivative_sign(prover, e, ratios, side, range_of_t, base[index])
        if lemma is None or (sign is not None and lemma.sign != sign):
            return None
        sign = lemma.sign
        steps += lemma.steps
        strict = strict and not (lemma.expression.free_symbols - {lemma.variable}) and lemma.expression != 0
    if not sign:
        return None
    return Curved(sign, steps, (base,) if strict else ())


def _second_derivative_sign(
    prover: Prover, e: Expr, ratios: dict[Expr, tuple[Expr, Expr]], side: int, bounds: Bounds, scale: Expr
) -> Lemma | None:
    """The sign of h'' for e = h(t), t = side * (the form) where side is not 0."""
    t = Dummy("t", positive=True) if side else Dummy("t", real=True)
    known = {**prover.known, t: bounds}
    if (
        side
        and not scale.is_number
        and scale not in known
        and sign_on_support(scale, known, strict=True) is None
    ):
        known[scale] = POSITIVE if side > 0 else -POSITIVE  # c u > 0 and u > 0
    turn = side or 1
    h = _replaced(e, {p: ratio * turn * t + rest for p, (ratio, rest) in ratios.items()})
    if h.free_symbols & prover.names:
        return None
    h = _open_logs(h, t, known)
    if not _is_smooth(h, t, known):
        return None

    def sign_of(c: Expr) -> int | None:
        return sign_on_support(c, known)

    inner = _inner_exponential(h, t)
    if (inner is None and split_exponentials(h, t) is None) or _bends_both_ways(h, t, known):
        return None
    if inner is not None:  # h = g(v), v = exp(r t): h'' = r^2 (v^2 g'' + v g')
        v = Dummy("v", positive=True)
        rate = inner.exp.coeff(t, 1)
        g = h.xreplace(
            {a: v ** (a.exp / (rate * t)) for a in h.atoms(exp) if a.exp.has(t) and not a.exp.has(exp)}
        )
        g = g.xreplace({t: log(v) / rate})
        g = _open_logs(g, v, {**known, v: POSITIVE})
        second = v**2 * diff(g, v, 2) + v * diff(g, v)
        return prove_sign(second, v, POSITIVE, sign_of)
    return prove_sign(diff(h, t, 2), t, bounds, sign_of)


def _bends_both_ways(h: Expr, t: Symbol, known: dict[Expr, Bounds]) -> bool:
    """Whether second differences at random points show both signs: then there is nothing to prove."""
    symbols = sorted(h.free_symbols - {t}, key=str)
    if not all(s in known for s in symbols):
        return False
    try:
        call = lambdify([t, *symbols], h, modules="mpmath")
    except NotImplementedError:
        return False
    generator = random.Random(11)
    signs: set[int] = set()
    with mpmath.workdps(40):
        for _ in range(10):
            at, data = draw(known[t], generator), [draw(known[s], generator) for s in symbols]
            step = abs(at) * mpmath.mpf(10) ** -8
            try:
                low, middle, high = (mpmath.mpf(call(at + k * step, *data)) for k in (-1, 0, 1))
            except (ValueError, ZeroDivisionError, TypeError, OverflowError):
                continue
            bend = low + high - 2 * middle
            if mpmath.isfinite(bend) and abs(bend) > mpmath.mpf(10) ** -30 * (1 + abs(middle)):
                signs.add(1 if bend > 0 else -1)
    return len(signs) == 2


def _replaced(e: Expr, table: dict[Expr, Expr]) -> Expr:
    if e in table:
        return table[e]
    if not e.args:
        return e
    return e.func(*(_replaced(a, table) for a in e.args))


def _open_logs(h: Expr, t: Symbol, known: dict[Expr, Bounds]) -> Expr:
    """log(c t) as log c + log t, where both are positive (and log c is free of t)."""
    table = {}
    for atom in h.atoms(log):
        inside = atom.args[0]
        if isinstance(inside, Pow) and inside.base == t:
            table[atom] = inside.exp * log(t)
            continue
        if not isinstance(inside, Mul) or not inside.has(t):
            continue
        constant, rest = inside.as_independent(t, as_Add=False)
        if constant is not S.One and sign_on_support(constant, known, strict=True) == 1:
            table[atom] = log(constant) + log(rest)
        elif sign_on_support(-constant, known, strict=True) == 1:
            table[atom] = log(-constant) + log(-rest)
    return h.xreplace(table) if table else h


def _is_smooth(h: Expr, t: Symbol, known: dict[Expr, Bounds]) -> bool:
    """Whether h is surely twice differentiable on the whole range: no singularity inside."""
    if not h.has(t) or h == t:
        return True
    if isinstance(h, (log, loggamma)):
        return _is_positive(h.args[0], t, known) and _is_smooth(h.args[0], t, known)
    if isinstance(h, Pow):
        if h.exp.has(t):
            return False
        if not (h.exp.is_Integer and h.exp > 0):
            signed = sign_on_support(h.base, known, strict=True)
            if signed is None:
                signed = 1 if _is_positive(h.base, t, known) else None
            if signed is None or (signed < 0 and not h.exp.is_Integer):
                return False
        return _is_smooth(h.base, t, known)
    if h.is_Add or h.is_Mul or isinstance(h, exp):
        return all(_is_smooth(a, t, known) for a in h.args)
    return False


def _is_positive(e: Expr, t: Symbol, known: dict[Expr, Bounds]) -> bool:
    if sign_on_support(e, known, strict=True) == 1:
        return True
    return prove_positive(e, t, known[t])


def _inner_exponential(h: Expr, t: Symbol) -> Expr | None:
    """exp(r t) where another exponential stands on it."""
    for outer in h.atoms(exp):
        for inside in outer.exp.atoms(exp):
            if inside.has(t):
                rate = expand_mul(inside.exp).coeff(t, 1)
                if inside.exp == rate * t and rate.is_Rational:
                    return inside
    return None
