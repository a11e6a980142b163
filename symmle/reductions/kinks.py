"""Kinks: medians, weighted medians and quantiles, from the slopes on either side of where a row bends.

One parameter p, the others held fixed: the log density of a row bends where p meets a value v of the row. Where l
is concave and affine between the kinks it is largest at a quantile of the v; if that is the same whatever the other
parameters are, it is put in and the ladder goes on with the rest. Else the kinks are searched on data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy import Abs, Expr, Gt, Interval, Lt, Max, Min, Piecewise, S, Set, Symbol, oo

from symmle.algebra import Facts, bounds_of_set
from symmle.certify.composed import compose
from symmle.certify.kink import KinkMaximum, MaximumAmongKinks, decide_search
from symmle.certify.kink_forms import as_hinges, pieces_as_extremes, vanishes_only_at
from symmle.certify.kink_lines import LinesMaximum, read_lines
from symmle.certify.kink_reading import RowKinks, bends_in, read_kinks
from symmle.certify.kink_slopes import Slopes, slope_between, slopes_of
from symmle.declare.declaration import Declaration
from symmle.estimator import BySymbol, Certificate, Estimator, Face, Kind, StationaryPoint
from symmle.family import support_parameters
from symmle.inequalities import not_all_equal
from symmle.likelihood import Likelihood
from symmle.record import Condition, Relation, Step
from symmle.reduction import hold_fixed
from symmle.reductions.problem import Part, Reduced, Skipped, Solve
from symmle.sample import Maximum, Mean, Total

WHY = (("reason", "kinks"),)


class Kinks:
    """Maxima where the log-likelihood bends in a parameter."""

    name = "kinks"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        declaration = likelihood.declaration
        densities = [part.density for part in declaration.samples]
        bent = [p for p in likelihood.parameters if any(bends_in(f, p) for f in densities)]
        if not bent or declaration.latent or declaration.constraints:
            return Skipped("")
        if any(part.components for part in declaration.samples):
            return Skipped("")
        reasons, searchable = [], []
        for p in bent:
            if not isinstance(declaration.parameters[p], Interval) or p in support_parameters(likelihood):
                continue
            found = read_kinks(likelihood, p)
            if isinstance(found, str):
                reasons.append(found)
                continue
            closed = _at_a_quantile(likelihood, p, found, solve)
            if isinstance(closed, Reduced):
                return closed
            reasons.append(closed)
            searchable.append((p, found))
        for p, found in searchable:
            answer = _searched(likelihood, p, found, solve)
            if isinstance(answer, Reduced):
                return answer
            reasons.append(answer.reason)
        for p in bent:
            answer = _along_lines(likelihood, p, solve)
            if isinstance(answer, Reduced):
                return answer
        return Skipped("; ".join(dict.fromkeys(r for r in reasons if r)))


# --- at a quantile ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Place:
    """The maximiser over p, the set of all of them, and when it exists."""

    value: Expr
    members: Set
    conditions: tuple[Condition, ...]


def _at_a_quantile(
    likelihood: Likelihood, p: Symbol, found: tuple[RowKinks, ...], solve: Solve
) -> Reduced | str:
    declaration = likelihood.declaration
    if len(found) != 1:
        return f"{p} moves the kinks of {len(found)} samples, whose pooled quantile has no closed form here"
    slopes = slopes_of(found[0], p, likelihood)
    if isinstance(slopes, str):
        return slopes
    place = _in_domain(likelihood, slopes)
    if isinstance(place, str):
        return place
    own = KinkMaximum(
        declaration, p, place.value, slopes.place, slopes.left, slopes.right, slopes.common, place.conditions
    )
    steps = _quantile_steps(likelihood, slopes, place)
    part = solve(_held(likelihood, p, found))
    inner = part.estimator
    if part.declaration.parameters and not (inner.closed or inner.remaining or inner.faces):
        return inner.obstacle or f"with {p} known nothing is found for the other parameters"
    put_in = {p: place.value}
    closed = {p: place.value, **{q: e.xreplace(put_in) for q, e in inner.closed.items()}}
    conditions = dict.fromkeys(
        (
            *place.conditions,
            *(_put_into(c, found[0], slopes, put_in, likelihood.facts) for c in inner.conditions),
        )
    )
    certificate: Certificate | None = own
    reason = ""
    if part.declaration.parameters:
        steps += _held_steps(declaration, p, place.value, part, closed)
        proof = inner.points[0].certificate if inner.points else None
        certificate = compose(own, proof)
        reason = inner.points[0].reason if inner.points and certificate is None else ""
    complete = all(q in closed for q in declaration.parameters) and not inner.faces
    values = BySymbol({q: closed.get(q, q) for q in declaration.parameters})
    kind = certificate.kind if certificate is not None else Kind.UNDECIDED
    estimator = Estimator(
        closed=BySymbol(closed),
        remaining=tuple(replace(e, expression=e.expression.xreplace(put_in)) for e in inner.remaining),
        points=(StationaryPoint(values, kind, certificate, reason=reason),),
        conditions=tuple(conditions),
        kind="order statistic" if complete else "reduced",
        route="kinks",
        notes=inner.notes,
        faces=() if complete else (Face(put_in, part.declaration, inner),),
        maximisers=BySymbol({p: place.members}),
        supremum=BySymbol(
            {q: e.xreplace(put_in) for q, e in inner.supremum.items()} | (put_in if inner.supremum else {})
        ),
        unattained=inner.unattained,
    )
    return Reduced(estimator, steps)


def _in_domain(likelihood: Likelihood, slopes: Slopes) -> _Place | str:
    """The quantile, moved to the nearest point of the domain where it may lie outside."""
    p = slopes.parameter
    domain = likelihood.declaration.parameters[p]
    assert isinstance(domain, Interval)
    if domain.free_symbols & set(likelihood.parameters):
        return f"the domain of {p} depends on other parameters"
    known = {c: v for c, v in likelihood.declaration.constants.items() if v is not None}
    box, reach = bounds_of_set(domain, known), likelihood.facts.range_of(slopes.place)
    value, lower, upper = slopes.lower, slopes.lower, slopes.upper
    conditions = slopes.conditions
    low = domain.start != -oo and not (
        box is not None
        and reach is not None
        and (reach.lo > box.lo or (reach.lo == box.lo and (reach.lo_open or not box.lo_open)))
    )
    high = domain.end != oo and not (
        box is not None
        and reach is not None
        and (reach.hi < box.hi or (reach.hi == box.hi and (reach.hi_open or not box.hi_open)))
    )
    if low:
        if domain.left_open:
            # some maximiser lies above the open end: the greatest does
            conditions += (Condition(Gt(upper, domain.start, evaluate=False), "in the domain"),)
            value = Piecewise((value, Gt(value, domain.start)), (upper, True))
        else:
            value, upper = Max(value, domain.start), Max(upper, domain.start)
        lower = Max(lower, domain.start)
    if high:
        if domain.right_open:
            conditions += (Condition(Lt(slopes.lower, domain.end, evaluate=False), "in the domain"),)
        else:
            value, lower = Min(value, domain.end), Min(lower, domain.end)
        upper = Min(upper, domain.end)
    return _Place(value, Interval(lower, upper), conditions)


def _put_into(
    condition: Condition, rows: RowKinks, slopes: Slopes, put_in: dict[Symbol, Expr], facts: Facts
) -> Condition:
    """A condition of the rest at the quantile; "some row is off its kink" is "the kinks are not all equal" there."""
    e = condition.expression
    p, columns = slopes.parameter, set(slopes.columns.args)
    if isinstance(e, Gt) and e.rhs == 0 and isinstance(e.lhs, Mean | Maximum):
        summand = e.lhs.summand
        if vanishes_only_at(summand, rows, p, columns, facts):
            return not_all_equal(slopes.place, slopes.columns)
        (kink,) = rows.kinks
        if summand in (Abs(kink.inner), Abs(-kink.inner)) and kink.slope is not None:
            line = (kink.inner.xreplace({p: S.Zero}), kink.slope)
            return Condition(e.xreplace(put_in), "not proportional", line)
    at = tuple(c.xreplace(put_in) for c in condition.columns)
    return replace(condition, expression=e.xreplace(put_in), columns=at)


# --- searched ---------------------------------------------------------------------------------------
def _searched(
    likelihood: Likelihood, p: Symbol, found: tuple[RowKinks, ...], solve: Solve
) -> Reduced | Skipped:
    declaration = likelihood.declaration
    if declaration.parameters[p].free_symbols & set(declaration.parameters):
        return Skipped(f"the domain of {p} depends on other parameters")
    part = solve(_held(likelihood, p, found))
    inner = part.estimator
    if part.declaration.parameters and not (inner.closed or inner.remaining or inner.faces):
        return Skipped(inner.obstacle or f"with {p} known nothing is found for the other parameters")
    kind = decide_search(likelihood, p)
    unproved = "" if kind else f"whether the maximum over {p} is at a kink is not proved"
    proof = inner.points[0].certificate if inner.points else None
    whole = MaximumAmongKinks(declaration, p, kind, proof) if kind else None
    return _left_to_search(likelihood, p, part, whole, unproved, _slope_steps(likelihood, p, found), "kinks")


def _along_lines(likelihood: Likelihood, p: Symbol, solve: Solve) -> Reduced | Skipped:
    """Rows that bend where p + q z meets y: every row is a line in (p, q), and the maximum is where lines cross."""
    declaration = likelihood.declaration
    lines = read_lines(likelihood, p)
    if isinstance(lines, str):
        return Skipped(lines)
    part = solve(hold_fixed(declaration, {p: None}))
    if not part.estimator.closed or part.estimator.remaining or part.estimator.faces:
        return Skipped(f"with {p} known no closed form is found for the other parameters")
    proof = part.estimator.points[0].certificate if part.estimator.points else None
    return _left_to_search(
        likelihood, p, part, LinesMaximum(declaration, p, lines.other, proof), "", (), "lines"
    )


def _left_to_search(
    likelihood: Likelihood,
    p: Symbol,
    part: Part,
    whole: MaximumAmongKinks | LinesMaximum | None,
    unproved: str,
    argument: tuple[Step, ...],
    route: str,
) -> Reduced:
    """The estimator that is searched on data: the others in closed form (or solved) at every value of p."""
    declaration, inner = likelihood.declaration, part.estimator
    if whole is not None and part.declaration.parameters:
        if whole.inner is None or whole.inner.kind is not Kind.GLOBAL_MAXIMUM:
            unproved = inner.points[0].reason if inner.points else "the rest is not proved to be at a maximum"
    certificate = None if unproved else whole
    point = StationaryPoint(
        BySymbol({q: q for q in declaration.parameters}),
        certificate.kind if certificate is not None else Kind.UNDECIDED,
        certificate,
        reason=unproved,
    )
    steps: tuple[Step, ...] = (
        Step("why not the score", (), (), Relation.DEFINITION, (p,), details=WHY),
        *argument,
    )
    if part.declaration.parameters:
        steps += _held_steps(declaration, p, p, part, dict(inner.closed))
    estimator = Estimator(
        kind="order statistic",
        route=route,
        points=(point,),
        notes=() if certificate else (f"no proof of a global maximum for every sample: {unproved}",),
        faces=(Face({}, part.declaration, inner),),
        searched=(p,),
    )
    return Reduced(estimator, steps)


def _held(likelihood: Likelihood, p: Symbol, found: tuple[RowKinks, ...]) -> Declaration:
    """The declaration with p a constant, its bends written so that they are smooth in the other parameters."""
    held, facts = hold_fixed(likelihood.declaration, {p: None}), likelihood.facts
    others = frozenset(held.parameters)
    samples = list(held.samples)
    for rows in found:
        density = pieces_as_extremes(samples[rows.sample].density, p, facts)
        samples[rows.sample] = replace(
            samples[rows.sample], density=as_hinges(density, rows, p, others, facts)
        )
    return replace(held, samples=tuple(samples))


# --- steps ------------------------------------------------------------------------------------------
def _quantile_steps(likelihood: Likelihood, slopes: Slopes, place: _Place) -> tuple[Step, ...]:
    p, columns = slopes.parameter, slopes.columns
    left, right = slopes.common * slopes.left, slopes.common * slopes.right
    slope = Total(Piecewise((left, slopes.place > p), (-right, True)), columns)
    return (
        Step("why not the score", (), (), Relation.DEFINITION, (p,), details=WHY),
        Step(
            "slope",
            (likelihood.log_likelihood,),
            (slope,),
            Relation.DERIVATIVE,
            (p,),
            details=(("left", left), ("right", right), ("kink", slopes.place)),
        ),
        Step(
            "quantile",
            (),
            (place.value,),
            Relation.MAXIMUM,
            (p,),
            place.conditions,
            details=(("set", place.members), ("share", slopes.share), ("weight", slopes.weight)),
        ),
    )


def _slope_steps(likelihood: Likelihood, p: Symbol, found: tuple[RowKinks, ...]) -> tuple[Step, ...]:
    """The derivative between the kinks, where every row has one."""
    slope = slope_between(found, p, likelihood)
    return (Step("slope", (likelihood.log_likelihood,), (slope,), Relation.DERIVATIVE, (p,)),)


def _held_steps(
    declaration: Declaration, p: Symbol, value: Expr, part: Part, closed: dict[Symbol, Expr]
) -> tuple[Step, ...]:
    """The others solved with p known, and what is known put in."""
    inner = part.estimator.closed
    kept = tuple(s for s in part.steps if s.rule not in ("certificate", "profile certificate"))
    hold = Step("hold", (), (value,), Relation.DEFINITION, (p,), details=(("declaration", part.declaration),))
    back = Step(
        "put in",
        tuple(inner.values()),
        tuple(closed[q] for q in inner),
        Relation.DEFINITION,
        tuple(inner),
        details=(("declaration", declaration),),
    )
    return (hold, *kept, back)


__all__ = ["Kinks"]
