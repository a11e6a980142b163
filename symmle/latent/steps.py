"""The records of an EM derivation: structure, complete-data log-likelihood, E-step, Q, M-step, why it climbs."""

from __future__ import annotations

from sympy import Add, Expr, Symbol, Tuple

from symmle.declare.declaration import Declaration
from symmle.latent.mstep import Solve
from symmle.latent.problem import Conditional, Labelled
from symmle.latent.weighted import Table, left_over, responsibilities, updates
from symmle.likelihood import build_likelihood
from symmle.logarithm import open_logarithm
from symmle.record import Relation, Step
from symmle.sample import Total


def steps_of(declaration: Declaration, em: Labelled | Conditional, solve: Solve) -> tuple[Step, ...]:
    """The steps of the EM algorithm of a declaration, in the order of a textbook."""
    if isinstance(em, Labelled):
        return _labelled(declaration, em, solve)
    return _conditional(declaration, em, solve)


def _labelled(declaration: Declaration, em: Labelled, solve: Solve) -> tuple[Step, ...]:
    (part,) = declaration.samples
    density = Add(*(b.weight * b.density for b in em.branches))
    table, labels = Table(em), Table(em, "zuhc")
    structure = Step(
        "latent structure",
        tuple(b.weight * b.density for b in em.branches),
        (em.observed.samples[0].density,),
        Relation.MARGINAL,
        labels.shares,
        details=(("em", em), ("declared", declaration)),
    )
    complete = Step(
        "complete-data log-likelihood", (), (labels.expected,), Relation.DEFINITION, labels.shares
    )
    weights = () if declaration.latent else tuple(b.weight for b in em.branches)
    expectation = Step("E-step", weights, responsibilities(em), Relation.EXPECTATION, table.shares)
    surrogate = Step("Q", (), (table.expected,), Relation.SURROGATE, table.shares)
    return (
        Step("model", (), (part.density if part.components else density,), Relation.DEFINITION),
        structure,
        complete,
        expectation,
        surrogate,
        *_ending(em, solve, table.shares, table.expected),
    )


def _conditional(declaration: Declaration, em: Conditional, solve: Solve) -> tuple[Step, ...]:
    (part,) = declaration.samples
    (z,) = declaration.latent
    joint = open_logarithm(part.density, build_likelihood(em.observed).facts)
    (m_part,) = em.m_step.samples
    q = Total(build_likelihood(em.m_step).forms[0].opened, Tuple(*m_part.all_columns))
    columns = tuple(em.expectations)
    structure = Step(
        "latent structure",
        (part.density,),
        (em.observed.samples[0].density,),
        Relation.MARGINAL,
        (z,),
        details=(("em", em), ("declared", declaration)),
    )
    complete = Step(
        "complete-data log-likelihood",
        (),
        (Total(joint, Tuple(*part.all_columns, z)),),
        Relation.DEFINITION,
        (z,),
    )
    kernel = (em.kernel,) if em.kernel is not None else ()
    return (
        Step("model", (), (em.observed.samples[0].density,), Relation.DEFINITION),
        structure,
        complete,
        Step("kernel", (), kernel, Relation.DEFINITION, (z,)),
        Step(
            "E-step",
            tuple(em.statistics.values()),
            tuple(em.expectations.values()),
            Relation.EXPECTATION,
            columns,
            details=(("latent", z),),
        ),
        Step("Q", (), (q,), Relation.SURROGATE, columns, details=(("dropped", True),)),
        *_ending(em, solve, columns, q),
    )


def _ending(
    em: Labelled | Conditional, solve: Solve, columns: tuple[Symbol, ...], q: Expr
) -> tuple[Step, ...]:
    closed = updates(em, solve)
    left = left_over(em)
    numeric = tuple(p for p in em.m_step.parameters if p not in closed and p not in {p for p, _ in left})
    proved = (
        all(any(point.certificate is not None for point in b.estimator.points) for b in em.blocks)
        and not numeric
    )
    smooth = all(b.estimator.kind in ("closed form", "reduced", "numeric") for b in em.blocks)
    update = Step(
        "M-step",
        (q,),
        tuple(closed.values()),
        Relation.UPDATE,
        tuple(closed),
        details=(
            ("remaining", tuple(Tuple(p, e) for p, e in left)),
            ("numeric", numeric),
            ("proved", proved),
            ("smooth", smooth),
            ("columns", columns),
        ),
    )
    told = (("proved", proved), ("smooth", smooth))
    ascent = Step("ascent", (), (), Relation.ASCENT, tuple(closed), details=told)
    bound = getattr(em, "unbounded", "")
    if not bound or not isinstance(em, Labelled):
        return update, ascent
    spiked = next(b.label for b in em.branches if b.density.free_symbols & set(em.free_scales))
    details = (("collapse", tuple(Tuple(p, e) for p, e in em.collapse.items())), ("label", spiked))
    return update, ascent, Step("unbounded", (), (), Relation.DEFINITION, tuple(em.collapse), details=details)


__all__ = ["steps_of"]
