"""Supports that depend on parameters: the indicator is a constraint, and a monotone l has its maximum on its edge.

L = prod f(x_i) 1{every x_i in the support(theta)}. For one parameter after the other: the allowed values,
the sign of l's slope on them, the edge. What is left is solved with those parameters held.
"""

from __future__ import annotations

from dataclasses import replace

import mpmath
from sympy import Expr, FiniteSet, Gt, Interval, Lt, Symbol, Tuple, expand

from symmle.algebra import Facts, compile_expression
from symmle.certify.competitors import contains
from symmle.certify.composed import compose
from symmle.certify.monotone import ClippedByLimits, MonotoneOnSupport
from symmle.certify.monotone_slopes import Slope, facts_inside, widths
from symmle.declare.declaration import Declaration
from symmle.estimator import BySymbol, Certificate, Estimator, Face, Kind, StationaryPoint
from symmle.family import support_parameters
from symmle.inequalities import not_all_equal
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Condition, Equation, Relation, Step
from symmle.reduction import hold_fixed
from symmle.reductions.problem import Part, Reduced, Solve
from symmle.reductions.support_conditions import columns_of, feasible, positive, strict_off_the_edge, tidied
from symmle.reductions.support_edges import Edge, find_edge
from symmle.reductions.support_steps import steps_of, unattained
from symmle.sampling import RandomPoints, as_numbers
from symmle.strategies.problem import Skipped, real_part

Values = dict[Symbol, Expr]
IN_SPACE = "in the parameter space"
REPEATED = frozenset(("why not the score", "certificate"))


class Support:
    """Order statistics from the indicator of a support that names parameters."""

    name = "support that depends on parameters"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        declaration = likelihood.declaration
        moving = [p for p in declaration.parameters if p in support_parameters(likelihood)]
        if not moving or declaration.latent or declaration.constraints:
            return Skipped("")
        if any(part.components for part in declaration.samples):
            return Skipped("")
        for part in declaration.samples:
            named = set(moving)
            if any(isinstance(s, FiniteSet) and s.free_symbols & named for s in part.support.values()):
                return Skipped("")
            if any(e.free_symbols & named for e in part.inside):
                return Skipped("a condition on a row holds parameters and is no interval of one column")
        widths_of = [width for width, _ in widths(declaration)]
        for w in declaration.where:
            bound = [p for p in moving if w.has(p)]
            if len(bound) > 1 and not any(expand(w - width) == 0 for width in widths_of):
                # which of them gives way depends on the sample: one after the other is no proof
                return Skipped(f"{w} > 0 binds {' and '.join(map(str, bound))}, which all move a support")
        edges, reason = _eliminate(likelihood, moving)
        if not edges:
            return Skipped(reason)
        return _conclude(likelihood, edges, solve)


def _eliminate(likelihood: Likelihood, moving: list[Symbol]) -> tuple[list[Edge], str]:
    """Edges one after the other; each is free of the parameters that are not known before it."""
    edges: list[Edge] = []
    left = list(moving)
    reason = ""
    while left:
        for p in left:
            found = find_edge(likelihood, p, [e.parameter for e in edges])
            if isinstance(found, Edge):
                edges.append(found)
                left.remove(p)
                break
            reason = reason or found
        else:
            break
    return edges, reason


# --- conclusion -------------------------------------------------------------------------------------


def _conclude(likelihood: Likelihood, edges: list[Edge], solve: Solve) -> Reduced:
    declaration = likelihood.declaration
    values = _values(edges)
    known = facts_inside(likelihood)
    conditions: list[Condition] = []
    for edge in edges:
        conditions += feasible(edge.lower, edge.upper, values, declaration, known)
        for c in edge.conditions:
            if c.reading == IN_SPACE:  # with the estimates put in it may say more, or nothing
                conditions += positive(tidied(c.expression.lhs.xreplace(values)), declaration, known)  # type: ignore[attr-defined]
            else:
                conditions.append(_put_in_condition(c, values))
    for width, continuous in widths(declaration):
        at = tidied(width.xreplace(values))
        if Facts(likelihood.facts.bounds).decide_sign(width) == 1:
            continue  # positive wherever the parameters lie in their domains
        if continuous and not at.free_symbols & set(declaration.parameters):
            conditions += positive(at, declaration, known)
    conditions = list(dict.fromkeys(conditions))
    steps = steps_of(likelihood, edges, values)
    others = [p for p in declaration.parameters if p not in values]
    if others:
        held = _held(likelihood, values)
        part = solve(held)
        return _joined(likelihood, edges, values, conditions, steps, part)
    return Reduced(_estimator(declaration, edges, values, conditions, None), steps)


def _held(likelihood: Likelihood, values: Values) -> Declaration:
    """The known parameters as constants; what they ask of the others, the support not empty, stands in `where`."""
    declaration = likelihood.declaration
    held = hold_fixed(declaration, dict.fromkeys(values))
    asked = [
        width
        for width, continuous in widths(declaration)
        if continuous
        and width.free_symbols & set(held.parameters)
        and Facts(likelihood.facts.bounds).decide_sign(width) != 1
        and not any(expand(width - w) == 0 for w in held.where)
    ]
    return replace(held, where=(*held.where, *asked))


def _values(edges: list[Edge]) -> Values:
    """The estimates, the earlier ones put into the later; of a set its midpoint."""
    values: Values = {}
    for edge in edges:
        values[edge.parameter] = tidied(edge.value.xreplace(values))
    for edge in edges:
        if edge.members is not None:
            lo, hi = (tidied(end.xreplace(values)) for end in (edge.members.start, edge.members.end))
            if not (lo.free_symbols | hi.free_symbols) & set(values) and not edge.slope.whole:
                values[edge.parameter] = tidied((lo + hi) / 2)
    return values


def _sets(edges: list[Edge], values: Values) -> dict[Symbol, Interval]:
    """The sets of values that all maximise, where they are more than one value on some sample."""
    found = BySymbol()
    for edge in edges:
        if edge.members is not None:
            lo, hi = (tidied(end.xreplace(values)) for end in (edge.members.start, edge.members.end))
            if tidied(hi - lo) != 0:
                found[edge.parameter] = Interval(lo, hi, edge.members.left_open, edge.members.right_open)
    return found


def _estimator(
    declaration: Declaration,
    edges: list[Edge],
    values: Values,
    conditions: list[Condition],
    inner: Certificate | None,
    closed: Values | None = None,
) -> Estimator:
    """The estimator where every parameter has a closed form."""
    closed = BySymbol(closed or values)
    common = {
        "conditions": tuple(conditions),
        "kind": "order statistic",
        "route": "support",
    }
    if not all(e.attained for e in edges):
        return Estimator(supremum=closed, unattained=unattained(declaration, edges, values), **common)  # type: ignore[arg-type]
    certificate = None
    if not any(e.by_condition for e in edges):
        certificate = _certificate(declaration, edges, inner, len(closed) > len(values), conditions)
    point = StationaryPoint(
        closed,
        Kind.GLOBAL_MAXIMUM if certificate is not None else Kind.UNDECIDED,
        certificate,
        boundary=True,
        reason="" if certificate is not None else "not every part of the argument is proved",
    )
    return Estimator(closed=closed, points=(point,), maximisers=_sets(edges, values), **common)  # type: ignore[arg-type]


def _certificate(
    declaration: Declaration,
    edges: list[Edge],
    inner: Certificate | None,
    wants_inner: bool,
    conditions: list[Condition],
) -> Certificate | None:
    parts: list[Certificate | None] = [
        MonotoneOnSupport(declaration, e.parameter, e.slope.sign, e.value, tuple(conditions))
        if isinstance(e.slope, Slope)
        else ClippedByLimits(declaration, e.parameter, e.slope.root, e.value, tuple(conditions))
        for e in edges
    ]
    return compose(*parts, *([inner] if wants_inner else []))


# --- the rest ---------------------------------------------------------------------------------------


def _joined(
    likelihood: Likelihood,
    edges: list[Edge],
    values: Values,
    conditions: list[Condition],
    steps: tuple[Step, ...],
    part: Part,
) -> Reduced:
    """The answer for the other parameters, with the order statistics put in."""
    declaration, inner = likelihood.declaration, part.estimator
    hold = Step(
        "hold",
        (),
        tuple(values.values()),
        Relation.DEFINITION,
        tuple(values),
        details=(("declaration", part.declaration),),
    )
    steps = (*steps, hold, *(s for s in part.steps if s.rule not in REPEATED))
    others = {p: tidied(e.xreplace(values)) for p, e in (inner.closed or inner.supremum).items()}
    put_in = Step(
        "put in",
        tuple((inner.closed or inner.supremum).values()),
        tuple(others.values()),
        Relation.DEFINITION,
        tuple(others),
        details=(("declaration", declaration),),
    )
    steps = (*steps, put_in)
    conditions = _with_inner(conditions, edges, values, part)
    whole = {p: {**values, **others}[p] for p in declaration.parameters if p in values or p in others}
    complete = len(whole) == len(declaration.parameters) and not inner.remaining and not inner.faces
    if inner.supremum or not all(e.attained for e in edges):
        said = unattained(declaration, edges, values)
        if inner.unattained:
            said = f"{said}; {inner.unattained}" if said else inner.unattained
        estimator = Estimator(
            supremum=BySymbol(whole),
            unattained=said,
            conditions=tuple(conditions),
            kind="order statistic",
            route="support",
        )
        return Reduced(estimator, steps)
    if complete and not inner.alternatives:
        conditions += [c for c in _off_the_edge(declaration, edges, whole) if c not in conditions]
        certificate = inner.points[0].certificate if inner.points else None
        estimator = _estimator(declaration, edges, values, conditions, certificate, whole)
        more = {p: s.xreplace(values) for p, s in inner.maximisers.items()}
        return Reduced(
            replace(estimator, maximisers=BySymbol({**estimator.maximisers, **more}), free=inner.free), steps
        )
    estimator = Estimator(
        closed=BySymbol(whole),
        remaining=tuple(
            Equation(e.parameter, e.expression.xreplace(values), e.origin) for e in inner.remaining
        ),
        points=(
            StationaryPoint(
                BySymbol({**whole, **{p: p for p in declaration.parameters if p not in whole}}),
                boundary=True,
                reason="the part without a moving end has no closed form",
            ),
        ),
        conditions=tuple(conditions),
        kind="order statistic",
        route="support",
        notes=inner.notes,
        faces=(Face(BySymbol(values), part.declaration, inner),),
        maximisers=_sets(edges, values),
        auxiliary=inner.auxiliary,
    )
    return Reduced(estimator, steps)


def _with_inner(
    conditions: list[Condition], edges: list[Edge], values: Values, part: Part
) -> list[Condition]:
    """The conditions of the rest with the order statistics put in.

    What x > m makes strict is strict at m = Minimum(x) where a row is off the edge: "not all equal" says so.
    """
    limits = _limits(edges)
    kept, implied = list(part.estimator.conditions), False
    if len(limits) == 1 and len(edges) == 1:
        held = build_likelihood(part.declaration)
        kept = [c for c in part.estimator.conditions if not strict_off_the_edge(c, held)]
        implied = len(kept) < len(part.estimator.conditions)
    off = [not_all_equal(*limits[0])] if implied else []
    return list(dict.fromkeys([*conditions, *off, *(_put_in_condition(c, values) for c in kept)]))


def _limits(edges: list[Edge]) -> list[tuple[Expr, Tuple]]:
    return [c for c in (columns_of(limit) for e in edges for limit in e.active) if c is not None]


def _put_in_condition(c: Condition, values: Values) -> Condition:
    return Condition(c.expression.xreplace(values), c.reading, tuple(e.xreplace(values) for e in c.columns))


def _off_the_edge(declaration: Declaration, edges: list[Edge], whole: Values) -> list[Condition]:
    """ "Not all equal", where the estimates have no value on samples whose rows all sit on the edge.

    x > m is strict, x >= Minimum(x) is not: what was strict for every sample fails where all rows are at the edge,
    as in a sample of one row.
    """
    limits = list(dict.fromkeys(_limits(edges)))
    if not limits or _is_defined_at_one_row(declaration, whole):
        return []
    if len(limits) == 1 and len({c for f in declaration.samples for c in f.columns}) == 1:
        return [not_all_equal(*limits[0])]
    found = []
    moving = {e.parameter for e in edges}
    for p, value in whole.items():
        domain = declaration.parameters[p]
        if p in moving or not isinstance(domain, Interval):
            continue
        if domain.start.is_finite is not False:
            found.append(Condition(Gt(value, domain.start, evaluate=False), "in the parameter space"))
        if domain.end.is_finite is not False:
            found.append(Condition(Lt(value, domain.end, evaluate=False), "in the parameter space"))
    return found


def _is_defined_at_one_row(declaration: Declaration, closed: Values) -> bool:
    functions = {p: compile_expression(e) for p, e in closed.items()}
    stream, seen = RandomPoints(replace(declaration, size=None), 31), 0
    with mpmath.workdps(40):
        for _ in range(12):
            values = stream.parameters(stream.constants())
            rows = None if values is None else stream.samples(values, rows=1)
            if values is None or rows is None:
                continue
            numbers = as_numbers(values)
            for p, f in functions.items():
                try:
                    found = real_part(f(numbers, rows))
                except (ZeroDivisionError, ValueError, ArithmeticError, TypeError):
                    return False
                if found is None or not contains(declaration.parameters[p], found, numbers):
                    return False
                size = abs(mpmath.mpmathify(found))
                if not mpmath.mpf(10) ** -25 < size < mpmath.mpf(10) ** 25:
                    return False
            seen += 1
            if seen == 3:
                return True
    return False


__all__ = ["Support"]
