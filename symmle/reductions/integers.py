"""Whole-number parameters: l(N) - l(N - 1) >= 0 solved for N, or searched where it has no closed root."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import (
    And,
    Expr,
    FiniteSet,
    Max,
    Min,
    Mul,
    Piecewise,
    Symbol,
    cancel,
    ceiling,
    expand,
    factor,
    floor,
    fraction,
    oo,
    together,
)

from symmle.algebra import GaveUp, attempt_within
from symmle.certify.composed import compose
from symmle.certify.crossing import Crossing, crossing_of, falls
from symmle.certify.neighbours import (
    Allowed,
    allowed_of,
    ends_of_domain,
    neighbours_of,
    whole_parameters,
)
from symmle.certify.ratio import OneCrossing
from symmle.certify.relaxed import rises_and_falls
from symmle.estimator import BySymbol, Certificate, Estimator, Face, Kind, StationaryPoint
from symmle.likelihood import Likelihood
from symmle.record import Condition, Relation, Step
from symmle.reduction import hold_fixed
from symmle.reductions.integers_profile import profile_steps, ratio_step
from symmle.reductions.members import is_enumerable
from symmle.reductions.problem import Part, Reduced, Skipped, Solve


@dataclass(frozen=True)
class Integers:
    """L(N)/L(N - 1) >= 1 for N up to one point: N-hat is the largest whole number up to it."""

    name = "ratio of neighbouring whole numbers"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        found = whole_parameters(likelihood)
        declaration = likelihood.declaration
        others = [p for p in declaration.parameters if p not in found]
        if not found or declaration.latent or any(part.components for part in declaration.samples):
            return Skipped("")
        if any(is_enumerable(declaration.parameters[p]) for p in others):
            return Skipped("")
        reasons = []
        for whole in found:
            answer = _closed(likelihood, whole, solve)
            if isinstance(answer, Reduced):
                return answer
            reasons.append(answer.reason)
        if all(is_enumerable(declaration.parameters[p]) for p in found):
            return Skipped(reasons[0])
        whole = next(p for p in found if not is_enumerable(declaration.parameters[p]))
        if declaration.constraints or declaration.parameters[whole].free_symbols & set(
            declaration.parameters
        ):
            return Skipped(f"the domain of {whole} depends on other parameters")
        return _searched(likelihood, whole, solve)


# --- in closed form -------------------------------------------------------------------------------


def _closed(likelihood: Likelihood, whole: Symbol, solve: Solve) -> Reduced | Skipped:
    declaration = likelihood.declaration
    others = [p for p in declaration.parameters if p != whole]
    allowed = allowed_of(likelihood, whole)
    if isinstance(allowed, str):
        return Skipped(allowed)
    crossing = crossing_of(likelihood, whole)
    if crossing is None:
        return Skipped(f"l({whole}) - l({whole} - 1) >= 0 was not solved for {whole}")
    lo, hi = ends_of_domain(likelihood, whole)
    all_least = (*((lo,) if lo != -oo else ()), *allowed.least)
    all_most = (*((hi,) if hi != oo else ()), *allowed.most)
    least, most = _bounds(allowed, crossing, lo, hi)
    free = set(others)
    if any(e.free_symbols & free for e in (crossing.shown, *all_least, *all_most)):
        return Skipped(f"the bound for {whole} depends on other parameters")
    root = _tidy(crossing.shown + 1)
    guarded = _guarded(crossing, all_least, all_most)
    if isinstance(guarded, str):
        return Skipped(guarded)
    conditions, cases = guarded
    upper = _clipped(floor(root), least, most, cases)
    lower = _clipped(ceiling(root) - 1, all_least, most, cases)  # below a whole root, maybe below the domain
    certificate = OneCrossing(
        declaration, whole, "line" if crossing.by_line else "falls", ((whole, upper),), conditions
    )
    steps = _opening(likelihood, whole, allowed)
    steps += [
        _crossing_step(whole, certificate),
        Step(
            "floor",
            (),
            (upper,),
            Relation.MAXIMUM,
            (whole,),
            conditions,
            details=(("root", root),),
        ),
    ]
    maximisers = BySymbol({whole: FiniteSet(upper, lower)})
    if not others:
        point = StationaryPoint(BySymbol({whole: upper}), Kind.GLOBAL_MAXIMUM, certificate)
        estimator = Estimator(
            BySymbol({whole: upper}),
            (),
            (point,),
            conditions,
            "integer",
            "ratio",
            maximisers=maximisers,
        )
        return Reduced(estimator, tuple(steps))
    part = solve(hold_fixed(declaration, {whole: None}))
    return _with_others(likelihood, whole, upper, maximisers, certificate, conditions, steps, part)


def _with_others(
    likelihood: Likelihood,
    whole: Symbol,
    upper: Expr,
    maximisers: dict[Symbol, object],
    certificate: Certificate,
    conditions: tuple[Condition, ...],
    steps: list[Step],
    part: Part,
) -> Reduced:
    """N-hat does not depend on the other parameters: they are solved at it."""
    declaration = likelihood.declaration
    inner = part.estimator
    proof = inner.points[0].certificate if inner.points else None
    joined = compose(certificate, proof)
    kind = joined.kind if joined is not None else Kind.UNDECIDED
    reason = "" if joined is not None else (inner.points[0].reason if inner.points else "no proof")
    hold = Step(
        "hold",
        (),
        (upper,),
        Relation.DEFINITION,
        (whole,),
        details=(("declaration", part.declaration),),
    )
    put = {whole: upper}
    rest = {p: e.xreplace(put) for p, e in inner.closed.items()}
    back = Step(
        "put in",
        tuple(inner.closed.values()),
        tuple(rest.values()),
        Relation.DEFINITION,
        tuple(rest),
        details=(("declaration", declaration),),
    )
    every = conditions + tuple(
        Condition(c.expression.xreplace(put), c.reading, tuple(e.xreplace(put) for e in c.columns))
        for c in inner.conditions
    )
    steps = [*steps, hold, *part.steps, back]
    complete = set(inner.closed) >= set(part.declaration.parameters) and not inner.remaining
    if complete and not inner.faces and not inner.alternatives:
        closed = BySymbol({whole: upper, **rest})
        point = StationaryPoint(closed, kind, joined, False, None, reason)
        return Reduced(
            Estimator(closed, (), (point,), every, "integer", "ratio", maximisers=maximisers), tuple(steps)
        )
    values = BySymbol({p: p for p in declaration.parameters} | {whole: upper})
    point = StationaryPoint(values, kind, joined, False, None, reason)
    face = Face(put, part.declaration, inner)
    estimator = Estimator(
        BySymbol({whole: upper}),
        inner.remaining,
        (point,),
        conditions,
        "integer",
        "ratio",
        faces=(face,),
        maximisers=maximisers,
    )
    return Reduced(estimator, tuple(steps))


def _bounds(
    allowed: Allowed, crossing: Crossing, lo: Expr, hi: Expr
) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    """What clips N-hat: bounds that the point is not known to respect."""
    top = crossing.root + 1

    def kept(shown: tuple[Expr, ...], rows: tuple[Expr, ...], side: int) -> list[Expr]:
        found = []
        for bound, row in zip(shown, rows, strict=True):
            gap = row if bound == row or _rowwise(crossing, row) else None
            sign = None if gap is None else crossing.limits.weak_sign(factor(together(side * (top - gap))))
            if sign not in (0, 1):
                found.append(bound)
        return found

    least = kept(
        (*((lo,) if lo != -oo else ()), *allowed.least),
        (*((lo,) if lo != -oo else ()), *allowed.row_least),
        1,
    )
    most = kept(
        (*((hi,) if hi != oo else ()), *allowed.most), (*((hi,) if hi != oo else ()), *allowed.row_most), -1
    )
    return tuple(least), tuple(most)


def _rowwise(crossing: Crossing, row: Expr) -> bool:
    """Whether the point is written in row symbols, as the bound is (a sample of one row)."""
    return crossing.root != crossing.shown


def _clipped(
    e: Expr, least: tuple[Expr, ...], most: tuple[Expr, ...], cases: tuple[tuple[Expr, Expr], ...]
) -> Expr:
    value = Max(*least, e) if least else e
    value = Min(*most, value) if most else value
    return Piecewise((value, And(*(c for c, _ in cases))), (cases[0][1], True)) if cases else value


def _guarded(
    crossing: Crossing, least: tuple[Expr, ...], most: tuple[Expr, ...]
) -> tuple[tuple[Condition, ...], tuple[tuple[Expr, Expr], ...]] | str:
    """Samples on which the point has no value: no maximum where l rises for ever, else the end of the domain."""
    conditions: list[Condition] = []
    cases: list[tuple[Expr, Expr]] = []
    for d in crossing.degenerate:
        if d.sign == 1 and not most:
            conditions.append(Condition(d.holds_not, "not all at the edge", (d.column, d.value)))
        elif d.sign == 1:
            cases.append((d.holds_not, Min(*most)))
        elif d.sign == -1 and least:
            cases.append((d.holds_not, Max(*least)))
        else:
            return "the end of the domain that is meant on a degenerate sample is not known"
    if len({value for _, value in cases}) > 1:
        return "several degenerate samples with ends of their own"
    return tuple(conditions), tuple(cases)


def _tidy(e: Expr) -> Expr:
    """The shortest of some equal forms; p/(1 - p) rather than -p/(p - 1)."""
    forms = [e]
    for way in (expand, together, cancel, lambda t: factor(together(t))):
        made = attempt_within(1.0, way, e)
        if not isinstance(made, GaveUp):
            forms.append(made)
    best = min(forms, key=lambda t: (t.count_ops(), str(t)))
    return best.replace(
        lambda n: isinstance(n, Mul) and n.could_extract_minus_sign() and fraction(n)[1].is_Add,
        lambda n: expand(-fraction(n)[0]) / expand(-fraction(n)[1]),
    )


# --- searched -------------------------------------------------------------------------------------


def _searched(likelihood: Likelihood, whole: Symbol, solve: Solve) -> Reduced | Skipped:
    declaration = likelihood.declaration
    allowed = allowed_of(likelihood, whole)
    if isinstance(allowed, str):
        return Skipped(allowed)
    part = solve(hold_fixed(declaration, {whole: None}))
    inner = part.estimator
    steps = _opening(likelihood, whole, allowed)
    others = part.declaration.parameters
    certificate: Certificate | None = None
    reason = "that the likelihood rises and falls once along the whole numbers is not proved"
    if not others:
        proof = "falls" if falls(likelihood, whole) else ""
        if not proof:
            crossing = crossing_of(likelihood, whole)
            proof = "line" if crossing is not None and crossing.by_line else ""
        proof = proof or rises_and_falls(likelihood, whole)
        if proof:
            certificate = OneCrossing(declaration, whole, proof)
            steps.append(_crossing_step(whole, certificate))
    conditions: tuple[Condition, ...] = ()
    if others:
        more, conditions = profile_steps(likelihood, whole, part)
        steps += more
    point = StationaryPoint(
        BySymbol({p: p for p in declaration.parameters}),
        Kind.GLOBAL_MAXIMUM if certificate is not None else Kind.UNDECIDED,
        certificate,
        reason="" if certificate is not None else reason,
    )
    estimator = Estimator(
        kind="integer",
        route="search",
        points=(point,),
        conditions=conditions,
        searched=(whole,),
        faces=(Face({}, part.declaration, inner),),
        notes=() if certificate is not None else (reason,),
    )
    return Reduced(estimator, tuple(steps))


# --- steps ----------------------------------------------------------------------------------------


def _opening(likelihood: Likelihood, whole: Symbol, allowed: Allowed) -> list[Step]:
    found = neighbours_of(likelihood, whole)
    steps = [
        Step(
            "why not the score",
            (),
            (),
            Relation.DEFINITION,
            (whole,),
            details=(("reason", "whole numbers"),),
        )
    ]
    if allowed.limits:
        steps.append(Step("support", allowed.limits, allowed.after, Relation.ALLOWED, (whole,)))
    if not set(likelihood.parameters) - {whole}:
        steps.append(ratio_step(likelihood, whole, likelihood.log_likelihood, found.difference))
    return steps


def _crossing_step(whole: Symbol, certificate: OneCrossing) -> Step:
    return Step(
        "one crossing",
        (),
        (),
        Relation.THEOREM,
        (whole,),
        details=(("certificate", certificate), ("theorem", certificate.theorem)),
    )


__all__ = ["Integers"]
