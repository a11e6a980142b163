"""Closed ends of parameter domains: mu >= 0, p in [1/3, 2/3]; the maximum inside, or one on the edge.

Three ways, the first that applies. A parameter whose maximiser is the same whatever the others are: it is
clipped, and the others are solved at it. One bounded parameter in a larger space in which l is concave: the
free maximum where it lies inside, else the parameter at its end and the others solved again there. Else the
inside and every edge are left to be compared by value on data.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from sympy import And, Expr, FiniteSet, Ge, Le, Max, Min, Piecewise, Range, Symbol, true

from symmle.algebra import seconds_left
from symmle.certify.clipped import AtClosedEnds, Clipped, is_unimodal
from symmle.certify.composed import compose
from symmle.declare.declaration import Declaration
from symmle.estimator import BySymbol, Certificate, Estimator, Face
from symmle.family import support_parameters
from symmle.inequalities import SampleFacts
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Equation, Relation, Step
from symmle.reduction import hold_fixed
from symmle.reductions.boundary_conditions import guarded, kept_conditions, needed_conditions
from symmle.reductions.boundary_records import (
    answer,
    certificate_of,
    clip_step,
    closed_of,
    in_larger,
    is_closed,
    leaving,
    point,
    reason_of,
    renamed_conditions,
    why,
    without_proofs,
)
from symmle.reductions.boundary_space import Larger, closed_ends, larger_spaces, opened_where_undefined
from symmle.reductions.problem import Part, Reduced, Skipped, Solve
from symmle.sample import statistics_of
from symmle.score import ScoreSystem

MOST_SPACES = 3  # larger spaces that are tried
MOST_BOUNDED = 3  # the inside and all edges of a box: 3**k problems
End = tuple[Expr | None, Expr | None]


class _Once:
    """`solve`, which asks no question twice: the inside is one of the larger spaces."""

    def __init__(self, solve: Solve):
        self.solve = solve
        self.known: list[tuple[Declaration, Part]] = []

    def __call__(self, declaration: Declaration) -> Part:
        for asked, part in self.known:
            if asked == declaration:
                return part
        part = self.solve(declaration)
        self.known.append((declaration, part))
        return part


class Boundary:
    """Maxima over domains with closed finite ends."""

    name = "closed boundary"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        declaration = likelihood.declaration
        if not closed_ends(declaration) or declaration.latent or declaration.constraints:
            return Skipped("")
        if any(part.components for part in declaration.samples) or support_parameters(likelihood):
            return Skipped("")
        if any(isinstance(d, FiniteSet | Range) for d in declaration.parameters.values()):
            return Skipped("")
        solve = _Once(solve)
        opened = opened_where_undefined(declaration)
        ends = closed_ends(opened)
        if not ends:  # the density says that the domain is open
            part = solve(opened)
            return Reduced(part.estimator, without_proofs(part.steps))
        if len(opened.parameters) == 1:
            (p,) = ends
            return _clip_one(opened, p, ends[p], likelihood, solve)
        if declaration.where or len(ends) == len(opened.parameters):
            within = _always_inside(declaration, opened, ends, solve)
            if within is not None:
                return within
        for p in ends:
            held = _hold_one(opened, p, solve)
            if held is not None:
                return held
        if len(ends) == 1:
            (p,) = ends
            found = _inside_or_at_end(opened, p, ends[p], likelihood, solve)
            if found is not None:
                return found
        if len(ends) > MOST_BOUNDED:
            return Skipped(f"{len(ends)} parameters with closed ends are too many to compare all edges")
        return _compare_edges(opened, ends, solve)


# --- one parameter ----------------------------------------------------------------------------------
def _clip_one(
    declaration: Declaration, p: Symbol, end: End, likelihood: Likelihood, solve: Solve
) -> Reduced | Skipped:
    first: tuple[Larger, Part] | None = None
    for larger in islice(larger_spaces(declaration, p), MOST_SPACES):
        part = solve(larger.declaration)
        free = closed_of(part, larger)
        proof = certificate_of(part)
        if proof is not None and is_unimodal(proof, larger.declaration):
            if free is None:
                return _roots_and_ends(declaration, p, larger, part, proof)
            break
        first = first or (larger, part)
    else:
        assert first is not None
        return _roots_and_ends(declaration, p, *first, None)
    clipped = _clip(free[p], end, likelihood)
    conditions = renamed_conditions(part.estimator.conditions, larger)
    value, conditions = kept_conditions(declaration, p, clipped, conditions)
    closed = {p: value}
    whole = Clipped(declaration, tuple(closed.items()), larger.declaration, proof, (), conditions)
    steps = in_larger(declaration, (p,), larger, part)
    return answer(declaration, closed, conditions, whole, (*steps, clip_step(closed, free, conditions)))


def _roots_and_ends(
    declaration: Declaration, p: Symbol, larger: Larger, part: Part, proof: Certificate | None
) -> Reduced | Skipped:
    """No closed form, or several: every root of the score in the domain and its closed ends, by value on data."""
    if part.estimator.obstacle:
        return Skipped(part.estimator.obstacle)
    score = ScoreSystem(build_likelihood(declaration)).equations[p]
    left = part.estimator.remaining[0].expression.xreplace(larger.back) if part.estimator.remaining else score
    reason = "the roots of the score and the closed ends are compared by value on data"
    whole = None if proof is None else Clipped(declaration, (), larger.declaration, proof)
    estimator = Estimator(
        remaining=(Equation(p, left),),
        points=(point(declaration, {}, whole, reason),),
        route="boundary",
        notes=() if whole is not None else (f"no proof of a global maximum for every sample: {reason}",),
    )
    return Reduced(estimator, in_larger(declaration, (p,), larger, part))


def _clip(root: Expr, end: End, likelihood: Likelihood) -> Expr:
    """Max(lo, Min(hi, root)) without the ends that the root never passes."""
    low, high = end
    known = SampleFacts(
        statistics_of(root), likelihood.facts, [z for f in likelihood.forms for z in f.part.given]
    )
    facts = likelihood.facts.with_bounds(known.bounds, known.encoding)
    hidden = known.hide(root)
    if high is not None and facts.decide_sign(high - hidden) not in (0, 1):
        root = Min(high, root)
    if low is not None and facts.decide_sign(hidden - low) not in (0, 1):
        root = Max(low, root)
    return root


# --- an optimum that never leaves the closed domains --------------------------------------------------
def _always_inside(
    declaration: Declaration, opened: Declaration, ends: dict[Symbol, End], solve: Solve
) -> Reduced | None:
    """The closed form without the ends, where it is in the closed domains for every sample: p_j = n_j/n."""
    inside = _interior(opened, ends)
    part = solve(inside)
    certificate = certificate_of(part)
    if certificate is None or not is_closed(part):
        return None
    if any(c.reading.startswith("in the") for c in part.estimator.conditions):
        return None
    closed = dict(part.estimator.closed)
    conditions = needed_conditions(declaration, closed, part.estimator.conditions)
    proof = AtClosedEnds(declaration, tuple(closed.items()), certificate, conditions)
    steps = (why(tuple(ends), inside), *leaving(without_proofs(part.steps), declaration))
    return answer(declaration, closed, conditions, proof, steps)


def _interior(declaration: Declaration, ends: dict[Symbol, End]) -> Declaration:
    domains = {p: d.interior if p in ends else d for p, d in declaration.parameters.items()}
    return replace(declaration, parameters=domains)


# --- a parameter that is clipped whatever the others are ---------------------------------------------
def _hold_one(declaration: Declaration, p: Symbol, solve: Solve) -> Reduced | None:
    others = [q for q in declaration.parameters if q != p]
    alone = hold_fixed(declaration, dict.fromkeys(others))
    first = solve(alone)
    own = first.estimator.closed.get(p)
    certificate = certificate_of(first)
    if own is None or own.free_symbols & set(others) or certificate is None or first.estimator.alternatives:
        return None
    if any(c.expression.free_symbols & set(others) for c in first.estimator.conditions):
        return None
    held = hold_fixed(declaration, {p: None})
    second = solve(held)
    inner = second.estimator
    if inner.obstacle or not (inner.closed or inner.remaining or inner.faces):
        return None
    put_in = {p: own}
    conditions = first.estimator.conditions + tuple(
        replace(c, expression=c.expression.xreplace(put_in)) for c in inner.conditions
    )
    closed = {p: own, **{q: e.xreplace(put_in) for q, e in inner.closed.items()}}
    proof = compose(certificate, certificate_of(second))
    opening = _opening(first, alone, (p,))
    held_step = Step("hold", (), (own,), Relation.DEFINITION, (p,), details=(("declaration", held),))
    named = tuple(q for q in inner.closed)
    back = Step(
        "put in",
        tuple(inner.closed.values()),
        tuple(closed[q] for q in named),
        Relation.DEFINITION,
        named,
        details=(("declaration", declaration),),
    )
    steps = (*opening, held_step, *without_proofs(second.steps), back)
    if all(q in closed for q in declaration.parameters):
        return answer(declaration, closed, conditions, proof, steps, reason_of(second))
    estimator = replace(
        inner,
        closed=BySymbol(closed),
        remaining=tuple(replace(e, expression=e.expression.xreplace(put_in)) for e in inner.remaining),
        points=(point(declaration, closed, proof, reason_of(second)),),
        conditions=conditions,
        faces=(Face(put_in, held, inner),),
        kind="reduced",
        route="boundary",
        profile_certificate=None,
    )
    return Reduced(estimator, steps)


def _opening(part: Part, declaration: Declaration, subject: tuple[Symbol, ...]) -> tuple[Step, ...]:
    """The steps of a part that is solved first, in its own declaration, with the reason why at their head."""
    steps = without_proofs(part.steps)
    if steps and steps[0].rule == "why not the score":
        return steps
    return (why(subject, declaration), *steps)


# --- one bounded parameter in a larger space ---------------------------------------------------------
def _inside_or_at_end(
    declaration: Declaration, p: Symbol, end: End, likelihood: Likelihood, solve: Solve
) -> Reduced | Skipped | None:
    for larger in islice(larger_spaces(declaration, p), MOST_SPACES - 1):
        part = solve(larger.declaration)
        certificate = certificate_of(part)
        if certificate is not None and is_unimodal(certificate, larger.declaration):
            break
    else:
        return None
    edges = {e: solve(hold_fixed(declaration, {p: e})) for e in end if e is not None}
    proofs = [certificate_of(edge) for edge in edges.values()]
    if any(proof is None for proof in proofs):
        return None
    at_ends = tuple(proof for proof in proofs if proof is not None)
    free = closed_of(part, larger)
    if free is None or any(not is_closed(edge) for edge in edges.values()):
        proof = Clipped(declaration, (), larger.declaration, certificate, at_ends)
        return _compare_edges(declaration, {p: end}, solve, proof)
    own = free[p]
    clipped = _clip(own, end, likelihood)
    low, high = end
    inside = And(
        *(Ge(own, low) for _ in (0,) if low is not None and clipped.has(Max)),
        *(Le(own, high) for _ in (0,) if high is not None and clipped.has(Min)),
    )
    closed = {p: clipped}
    for q in declaration.parameters:
        if q != p:
            branches: list[tuple[Expr, object]] = [(free[q], inside)]
            if low is not None and clipped.has(Max):
                branches.append((edges[low].estimator.closed[q].xreplace({p: low}), Le(own, low)))
            if high is not None and clipped.has(Min):
                branches.append((edges[high].estimator.closed[q].xreplace({p: high}), true))
            closed[q] = Piecewise(*branches[:-1], (branches[-1][0], true))
    conditions = guarded(declaration, own, renamed_conditions(part.estimator.conditions, larger), inside)
    for bound, side in ((low, Le), (high, Ge)):
        if bound is not None and clipped.has(Max if bound is low else Min):
            at = tuple(
                replace(c, expression=c.expression.xreplace({p: bound}))
                for c in edges[bound].estimator.conditions
            )
            conditions += guarded(declaration, own, at, side(own, bound))
    conditions = tuple(dict.fromkeys(conditions))
    proof = Clipped(declaration, tuple(closed.items()), larger.declaration, certificate, at_ends, conditions)
    steps = list(in_larger(declaration, (p,), larger, part))
    for bound, edge in edges.items():
        steps += _held_steps(declaration, p, bound, edge)
    return answer(declaration, closed, conditions, proof, (*steps, clip_step(closed, free, conditions)))


def _held_steps(declaration: Declaration, p: Symbol, bound: Expr, edge: Part) -> list[Step]:
    """The problem on the edge: p held at its end, the others solved, and back."""
    closed = edge.estimator.closed
    return [
        Step("hold", (), (bound,), Relation.DEFINITION, (p,), details=(("declaration", edge.declaration),)),
        *without_proofs(edge.steps),
        Step(
            "put in",
            tuple(closed.values()),
            tuple(e.xreplace({p: bound}) for e in closed.values()),
            Relation.DEFINITION,
            tuple(closed),
            details=(("declaration", declaration),),
        ),
    ]


def _numeric_inside(declaration: Declaration, estimator: Estimator, bounded: set[Symbol]) -> Estimator:
    """The answer inside as it is used on data.

    A bounded parameter that is eliminated leaves its domain where the others do not: the score is then left as
    it is. Conditions of a family are not those of a part of it: data decide.
    """
    if not estimator.remaining:
        return estimator
    if not bounded & set(estimator.closed):
        return replace(estimator, conditions=())
    score = ScoreSystem(build_likelihood(declaration)).equations
    return Estimator(remaining=tuple(Equation(p, e) for p, e in score.items()), points=estimator.points[:1])


# --- the inside and every edge, by value -------------------------------------------------------------
def _compare_edges(
    declaration: Declaration, ends: dict[Symbol, End], solve: Solve, proof: Certificate | None = None
) -> Reduced | Skipped:
    inside = _interior(declaration, ends)
    part = solve(inside)
    if part.estimator.obstacle:
        return Skipped(part.estimator.obstacle)
    faces = [Face({}, inside, _numeric_inside(inside, part.estimator, set(ends)))]
    steps: list[Step] = [why(tuple(ends), inside), *leaving(without_proofs(part.steps), declaration)]
    for p, pair in ends.items():
        for bound in pair:
            if bound is None:
                continue
            if seconds_left() < 1.0:
                return Skipped("no time was left to solve the problems on all edges")
            edge = solve(hold_fixed(declaration, {p: bound}))
            if edge.estimator.obstacle:
                return Skipped(edge.estimator.obstacle)
            faces.append(Face({p: bound}, edge.declaration, edge.estimator))
            steps += _held_steps(declaration, p, bound, edge)
    reason = "the maxima inside and on the edges are compared by value on data"
    estimator = Estimator(
        remaining=part.estimator.remaining
        or tuple(e for face in faces for e in face.estimator.remaining)[: len(declaration.parameters)],
        points=(point(declaration, {}, proof, reason),),
        kind="numeric",
        route="boundary",
        notes=() if proof is not None else (f"no proof of a global maximum for every sample: {reason}",),
        faces=tuple(faces),
    )
    return Reduced(estimator, tuple(steps))


__all__ = ["Boundary"]
