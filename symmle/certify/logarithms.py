"""The curvature of log g: concave for concave g; convex for sums, series, integrals of log-convex terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sympy import Abs, Add, Expr, Mul, S, Sum, besseli, cos, erf, erfc, exp, expand_mul, log, pi

from symmle.certify.ranges import INF, Bounds, range_of, sign_on_support
from symmle.certify.shapes import CONCAVE, CONVEX, FLAT, Form, Shape, unknown

if TYPE_CHECKING:
    from symmle.certify.composition import Prover


def shape_of_logarithm(prover: Prover, e: log) -> Shape:
    inside = e.args[0]
    opened = prover.open_log(inside)
    if opened != e and not opened.has(Abs):
        return prover.shape(opened)
    inner = prover.shape(inside)
    if inner.is_(CONCAVE):
        form = prover.linear_form(inside)
        forms = (form,) if form is not None else inner.forms
        return Shape(CONCAVE, ("logarithm of concave", e, inner.proof), forms)
    special = _known_logarithm(prover, e, inside)
    if special is not None:
        return special
    if isinstance(inside, Add):
        return _logarithm_of_sum(prover, e, inside)
    return unknown(e)


def _known_logarithm(prover: Prover, e: log, inside: Expr) -> Shape | None:
    if isinstance(inside, Sum):
        return _logarithm_of_series(prover, e, inside)
    if isinstance(inside, (erfc, erf)) and prover.linear_form(inside.args[0]) is not None:
        return Shape(CONCAVE, ("interval probability of a log-concave law is log-concave", e))
    if isinstance(inside, Add):  # 1 + cos a = 2 cos(a/2)**2, concave logarithm for -pi < a < pi
        waves = [a for a in inside.args if isinstance(a, cos)]
        if len(waves) == 1 and inside == 1 + waves[0]:
            angle = waves[0].args[0]
            form = prover.linear_form(angle)
            turns = range_of(expand_mul(angle / pi), prover.known)
            if form is not None and turns.lo >= -1 and turns.hi <= 1:
                return Shape(CONCAVE, ("logarithm of 1 + cos within half a turn", e), (form,))
    if isinstance(inside, besseli) and inside.args[0] == 0:
        argument = inside.args[1]
        inner = prover.shape(argument)
        rule = "I_0 is an integral of exponentials, log-convex and even"
        if inner.kind in FLAT or (inner.kind == CONVEX and prover.sign(argument) == 1):
            form = prover.linear_form(argument)
            return Shape(CONVEX, (rule, e, inner.proof), (form,) if form is not None else inner.forms)
    return None


def _logarithm_of_series(prover: Prover, e: log, inside: Sum) -> Shape | None:
    if len(inside.limits) != 1 or len(inside.limits[0]) != 3:
        return None
    index, first, last = inside.limits[0]
    if prover.depends(first) or prover.depends(last):
        return None
    low, high = range_of(first, prover.known), range_of(last, prover.known)
    if last is S.Infinity:
        high = Bounds(INF, INF)
    wider = dict(prover.known)
    wider[index] = Bounds(low.lo, high.hi, False, high.hi == INF)
    within = type(prover)(prover.unknowns, wider, prover.deadline)
    term = within.shape(within.tidy(within.open_log(inside.function)))
    if within.positive(inside.function) and term.is_(CONVEX):
        return Shape(CONVEX, ("series of log-convex terms", e, term.proof))
    return None


def _logarithm_of_sum(prover: Prover, e: log, inside: Add) -> Shape:
    terms = list(inside.args)
    if all(prover.positive(a) or prover.sign(a) == 1 for a in terms):
        logs = [prover.shape(prover.tidy(prover.open_log(a))) for a in terms]
        if all(s.is_(CONVEX) for s in logs):
            rule = ("sum of log-convex is log-convex", e, *(s.proof for s in logs))
            return Shape(CONVEX, rule, _differences(prover, terms, logs))
    normal = _normal_probability(prover, e, inside)
    if normal is not None:
        return normal
    for term in terms:  # log(T + rest) = log T + log(1 + rest/T)
        if not (isinstance(term, exp) or any(isinstance(f, exp) for f in Mul.make_args(term))):
            continue
        sign = sign_on_support(term, prover.known, strict=True)
        if sign != 1:
            continue
        rest = prover.tidy(expand_mul(Add(*(a for a in terms if a != term)) / term))
        first, second = prover.shape(prover.tidy(prover.open_log(term))), prover.shape(1 + rest)
        if first.is_(CONCAVE) and second.is_(CONCAVE):
            rule = ("logarithm of concave, a factor taken out", e, first.proof, second.proof)
            return Shape(CONCAVE, rule, (*first.forms, *second.forms))
    return unknown(e)


def _differences(prover: Prover, terms: Sequence[Expr], logs: Sequence[Shape]) -> tuple[Form, ...]:
    """Log-sum-exp of affine functions is strictly convex along their differences."""
    if not all(s.kind in FLAT for s in logs):
        return ()
    if not all(prover.positive(a) for a in terms):
        return ()
    forms = [prover.linear_form(prover.tidy(prover.open_log(a))) for a in terms]
    if any(f is None for f in forms):
        return ()
    first = forms[0]
    return tuple(
        tuple(expand_mul(a - b) for a, b in zip(f, first, strict=True))  # type: ignore[arg-type]
        for f in forms[1:]
    )


def _normal_probability(prover: Prover, e: log, inside: Add) -> Shape | None:
    """c (1 + erf(a)), c (1 - erf(a)), c (erf(b) - erf(a)): log-concave (Prekopa)."""
    constant, rest = inside.as_independent(*prover.unknowns, as_Add=True)
    pieces = []
    for term in Add.make_args(rest):
        factor, function = term.as_independent(*prover.unknowns, as_Add=False)
        if not isinstance(function, (erf, erfc)):
            return None
        if prover.linear_form(function.args[0]) is None:
            return None
        pieces.append((factor if isinstance(function, erf) else -factor, function))
        if isinstance(function, erfc):
            constant += factor
    proof = ("interval probability of a log-concave law is log-concave", e)
    if len(pieces) == 1 and constant in (pieces[0][0], -pieces[0][0]) and prover.positive(constant):
        return Shape(CONCAVE, proof)
    if len(pieces) == 2 and constant == 0 and expand_mul(pieces[0][0] + pieces[1][0]) == 0:
        return Shape(CONCAVE, proof)
    return None
