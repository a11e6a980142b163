"""The argument for an order statistic as recorded steps, and why an open end is not attained."""

from __future__ import annotations

from sympy import Expr, Integer, Interval, Symbol, Tuple, oo

from symmle.certify.monotone_slopes import Turn
from symmle.declare.declaration import Declaration
from symmle.likelihood import Likelihood
from symmle.record import Relation, Step
from symmle.reductions.support_edges import Edge

Values = dict[Symbol, Expr]


def steps_of(likelihood: Likelihood, edges: list[Edge], values: Values) -> tuple[Step, ...]:
    names = tuple(e.parameter for e in edges)
    found = [
        Step("why not the score", (), (), Relation.DEFINITION, names, details=(("reason", "moving support"),))
    ]
    for e in edges:
        p = e.parameter
        rows = tuple(dict.fromkeys(shown for r in e.relations for shown in r.shown))
        found.append(Step("support", rows, e.allowed, Relation.ALLOWED, (p,)))
        if isinstance(e.slope, Turn):
            l = likelihood.log_likelihood
            found.append(Step("score", (l,), (e.slope.score,), Relation.DERIVATIVE, (p,)))
            free = (("free optimum", Tuple(e.slope.root)),)
            found.append(Step("clip", (), (e.value,), Relation.MAXIMUM, (p,), e.conditions, details=free))
            continue
        lattice = (("lattice", True),) if e.slope.whole else ()
        found.append(
            Step(
                "monotone",
                (e.slope.expression,),
                (Integer(e.slope.sign),),
                Relation.SIGN,
                (p,),
                details=lattice,
            )
        )
        details: tuple[tuple[str, object], ...] = (("attained", e.attained),)
        claim = Relation.DEFINITION if e.by_condition else Relation.MAXIMUM
        if e.members is not None:
            details += (("set", e.members),)
        found.append(Step("edge", (), (e.value,), claim, (p,), e.conditions, details=details))
    before = tuple(e.value for e in edges if values[e.parameter] != e.value)
    after = tuple(values[e.parameter] for e in edges if values[e.parameter] != e.value)
    subject = tuple(e.parameter for e in edges if values[e.parameter] != e.value)
    if subject:
        found.append(
            Step(
                "put in",
                before,
                after,
                Relation.DEFINITION,
                subject,
                details=(("declaration", likelihood.declaration),),
            )
        )
    return tuple(found)


def unattained(declaration: Declaration, edges: list[Edge], values: Values) -> str:
    """What keeps the supremum from being attained, and what closing the support would change."""
    said = []
    for edge in edges:
        if edge.attained:
            continue
        limit = next(limit for limit in edge.active if limit.strict)
        row = limit.row
        assert row is not None
        support = declaration.samples[row.part].support[row.column]
        assert isinstance(support, Interval)
        closed = Interval(support.start, support.end)
        if support.start == -oo or support.end == oo or not _moves_both(edge):
            upper = row.upper
            closed = Interval(
                support.start,
                support.end,
                bool(support.left_open) and upper,
                bool(support.right_open) and not upper,
            )
        ends = " and ".join(str(r.bound) for r in edge.relations if r.strict)
        said.append(
            f"the support of {row.column} is open at {ends}; with the support {_written(closed)} the estimate of "
            f"{edge.parameter} is {values[edge.parameter]}"
        )
    return "; ".join(said)


def _moves_both(edge: Edge) -> bool:
    return len({r.upper for r in edge.relations}) > 1 or any(len(r.shown) > 1 for r in edge.relations)


def _written(support: Interval) -> str:
    left = "(" if support.left_open or support.start == -oo else "["
    right = ")" if support.right_open or support.end == oo else "]"
    return f"{left}{support.start}, {support.end}{right}"


__all__ = ["steps_of", "unattained"]
