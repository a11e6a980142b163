"""The profile over a whole number: the other parameters maximised at each N, and what l does as N grows."""

from __future__ import annotations

import mpmath
from sympy import Add, Expr, Gt, Mul, S, Symbol, expand, factor_terms, series

from symmle.algebra import GaveUp, attempt_within, compile_expression
from symmle.certify.neighbours import ends_of_domain, profile_rise, shifted_down
from symmle.likelihood import Likelihood
from symmle.record import Condition, Relation, Step
from symmle.reductions.problem import Part
from symmle.sample import Count, Mean, statistics_of
from symmle.sampling import RandomPoints, as_numbers

ORDER = 4


def is_closed(part: Part) -> bool:
    """Whether the other parameters are closed at every N."""
    inner = part.estimator
    complete = set(inner.closed) >= set(part.declaration.parameters)
    return complete and not (inner.remaining or inner.faces or inner.alternatives or inner.auxiliary)


def profile_steps(
    likelihood: Likelihood, whole: Symbol, part: Part
) -> tuple[list[Step], tuple[Condition, ...]]:
    """The steps from the other parameters at each N to the profile, and when its maximum is finite."""
    declaration, closed = likelihood.declaration, part.estimator.closed
    steps = [
        Step(
            "hold",
            (),
            (whole,),
            Relation.DEFINITION,
            (whole,),
            details=(("declaration", part.declaration),),
        ),
        *part.steps,
        Step(
            "put in",
            tuple(closed.values()),
            tuple(closed.values()),
            Relation.DEFINITION,
            tuple(closed),
            details=(("declaration", declaration),),
        ),
    ]
    if not is_closed(part):
        return steps, ()
    rise = profile_rise(likelihood, whole, closed)
    l = likelihood.log_likelihood.xreplace(closed)
    steps.append(ratio_step(likelihood, whole, l, shifted_down(rise, whole)))
    _, hi = ends_of_domain(likelihood, whole)
    if hi != S.Infinity:
        return steps, ()
    found = attempt_within(4.0, tail, rise, whole)
    if isinstance(found, GaveUp) or found is None:
        return steps, ()
    left = tuple(t for t in Add.make_args(found) if not t.could_extract_minus_sign())
    right = tuple(-t for t in Add.make_args(found) if t.could_extract_minus_sign())
    relation = Gt(Add(*right), Add(*left), evaluate=False)
    return steps, (Condition(relation, "", ()),)


def ratio_step(likelihood: Likelihood, whole: Symbol, l: Expr, difference: Expr) -> Step:
    """l(N) - l(N - 1) written out: an equality, where random samples allow N - 1 as well, to be compared by value."""
    before = l - l.xreplace({whole: whole - 1})
    relation = Relation.EQUAL if _has_values(likelihood, before) else Relation.DEFINITION
    return Step("ratio", (before,), (difference,), relation, (whole,))


def _has_values(likelihood: Likelihood, e: Expr) -> bool:
    f = compile_expression(e)
    stream = RandomPoints(likelihood.declaration, 41)
    for _ in range(5):
        values = stream.parameters(stream.constants())
        rows = None if values is None else stream.samples(values, 6)
        if values is None or rows is None:
            continue
        try:
            if mpmath.isfinite(f(as_numbers(values), rows)):
                return True
        except (ZeroDivisionError, ValueError, ArithmeticError, TypeError):
            continue
    return False


def tail(rise: Expr, whole: Symbol) -> Expr | None:
    """The leading coefficient of l(N + 1) - l(N) in 1/N, positive factors left out: negative where l falls at last."""
    h = Symbol("h", positive=True)
    total = S.Zero
    fixed: dict[Expr, Symbol] = {}
    for operator in statistics_of(rise):
        if not operator.has(whole):
            fixed[operator] = Symbol(f"T{len(fixed)}", positive=True)
    rest = []
    for term in Add.make_args(expand(rise, log=False)):
        moving = [f for f in Mul.make_args(term) if isinstance(f, Mean) and f.has(whole)]
        if not moving:
            rest.append(term.xreplace(fixed))
            continue
        if len(moving) > 1 or (term / moving[0]).has(whole):
            return None
        g = _series(moving[0].summand.xreplace({whole: 1 / h}), h)
        if g is None:
            return None
        factor = (term / moving[0]).xreplace(fixed)
        columns = moving[0].args[-1]
        for power in range(ORDER):
            c = expand(g).coeff(h, power)
            for t in Add.make_args(expand(c)):
                mean = Mean(t, columns)
                total += factor * h**power * _fixed(mean, fixed)
    plain = _series(Add(*rest).xreplace({whole: 1 / h}), h)
    if plain is None:
        return None
    total = expand(total + plain)
    for power in range(-2, ORDER):
        c = factor_terms(expand(total.coeff(h, power)))
        if c != 0:
            back = {s: o for o, s in fixed.items()}
            return _without_positive(c.xreplace(back))
    return None


def _fixed(e: Expr, fixed: dict[Expr, Symbol]) -> Expr:
    for operator in statistics_of(e):
        if operator not in fixed:
            fixed[operator] = Symbol(f"T{len(fixed)}", positive=True)
    return e.xreplace(fixed)


def _series(e: Expr, h: Symbol) -> Expr | None:
    if not e.has(h):
        return e
    found = series(e, h, 0, ORDER).removeO()
    return found if found.is_polynomial(h) or not found.has(S.NaN) else None


def _without_positive(e: Expr) -> Expr:
    kept = [f for f in Mul.make_args(e) if not f.is_positive]
    found = expand(Mul(*kept))
    return found.xreplace(dict.fromkeys(found.atoms(Count), S.One)) if found.is_Mul else found


__all__ = ["is_closed", "profile_steps", "ratio_step", "tail"]
