"""A derivation as blocks of words and displays, each from a record; nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sympy import Basic, MatrixBase

from symmle.declare.declaration import Declaration
from symmle.record import Step
from symmle.report import deciding, ending, latent, opening, solving
from symmle.report.blocks import Block, Dialect, Display, Heading, Row, Words
from symmle.report.phrases import RELATIONS, capital
from symmle.report.typesetter import Names

_Writer = Callable[[Step, Dialect, Declaration], list[Block]]

RULES: dict[str, _Writer] = {
    "model": opening.model,
    "likelihood": opening.likelihood,
    "logarithm": opening.logarithm,
    "normal form": opening.normal_form,
    "score": opening.score,
    "latent structure": latent.latent_structure,
    "complete-data log-likelihood": latent.complete,
    "kernel": latent.kernel,
    "E-step": latent.e_step,
    "Q": latent.surrogate,
    "M-step": latent.m_step,
    "ascent": latent.ascent,
    "unbounded": latent.unbounded,
    "moment equations": solving.moment_equations,
    "solve": solving.solve,
    "eliminate": solving.eliminate,
    "combine scores": solving.combine_scores,
    "remaining": solving.remaining,
    "constraints": solving.constraints,
    "reparametrise": solving.reparametrise,
    "certificate": ending.certificate,
    "profile certificate": ending.profile_certificate,
    "existence": ending.existence,
    "estimate": ending.estimate,
    "why not the score": deciding.why_not_the_score,
    "support": deciding.support,
    "monotone": deciding.monotone,
    "edge": deciding.edge,
    "hold": deciding.hold,
    "put in": deciding.put_in,
    "slope": deciding.slope,
    "quantile": deciding.quantile,
    "ratio": deciding.ratio,
    "one crossing": deciding.one_crossing,
    "floor": deciding.floored,
    "comparison": deciding.comparison,
    "best member": deciding.best_member,
    "clip": deciding.clip,
    "lagrange": deciding.lagrange,
    "unrolled": deciding.unrolled,
    "ridge": deciding.ridge,
    "invariance": ending.invariance,
    "observed information": ending.information,
    "expected information": ending.information,
    "asymptotic covariance": ending.information,
    "identifiability": ending.identifiability,
    "exact law": ending.remark,
    "bias": ending.remark,
    "numeric check": ending.remark,
}


def names_of(declaration: Declaration) -> Names:
    return Names(
        tuple(p.all_columns for p in declaration.samples), dict(declaration.lags), declaration.supports
    )


def generic(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """A rule without words of its own: its name, before and after, by what the step claims."""
    blocks: list[Block] = [Words(f"{capital(dialect.plain(step.rule))}. {RELATIONS[step.relation]}")]
    rows = []
    for place, entry in enumerate(step.after):
        left = dialect.write(step.subject[place]) if len(step.subject) == len(step.after) else ""
        if isinstance(entry, Basic | MatrixBase):
            rows.append(dialect.row(left, entry, dialect.equals if left else "", end=","))
    if not rows:
        blocks = [Words(f"{capital(dialect.plain(step.rule))}.")]
    else:
        rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
        blocks.append(Display(tuple(rows)))
    for inner in step.substeps:
        blocks += blocks_of_step(inner, dialect, declaration)
    return blocks


def blocks_of_step(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    return RULES.get(step.rule, generic)(step, dialect, declaration)


def blocks_of(derivation: Any, dialect: Dialect) -> list[Block]:
    """The whole derivation in blocks; a heading is written once while it does not change.

    Parameters
    ----------
    derivation : object
        With `.model.declaration`, `.steps` (or `.written_steps()`, which has more of them) and `.estimator`.
    dialect : Dialect
        How mathematics is written.
    """
    declaration = derivation.model.declaration
    dialect.names = names_of(declaration)
    latent.prepare(dialect, derivation.steps)
    dialect.taken = {s.name for s in (*declaration.parameters, *declaration.constants)}
    dialect.single = len(declaration.parameters) == 1
    written = getattr(derivation, "written_steps", None)  # with the information as further steps
    steps = derivation.steps if written is None else written()
    told = any(s.rule == "existence" and s.conditions for s in steps)
    dialect.conditions_follow = told
    found: list[Block] = []
    current = ""
    for step in steps:
        if step.rule == "estimate":
            blocks = ending.estimate(step, dialect, declaration, derivation.estimator, told)
        else:
            blocks = blocks_of_step(step, dialect, declaration)
        for block in blocks:
            if isinstance(block, Heading):
                if block.title == current:
                    continue
                current = block.title
            found.append(block)
    if not any(s.rule == "estimate" for s in steps) and derivation.estimator is not None:
        found += _unsolved(derivation, dialect, declaration)
    return found


def _unsolved(derivation: Any, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The estimator of a derivation whose steps do not end with an estimate."""
    from symmle.record import Relation

    closed = derivation.estimator.closed
    if derivation.estimator.em is not None and not closed:
        return latent.limit_of_updates(dialect, declaration)
    step = Step("estimate", (), tuple(closed.values()), Relation.DEFINITION, tuple(closed))
    return ending.estimate(step, dialect, declaration, derivation.estimator)


def title_of(derivation: Any) -> str:
    name = getattr(derivation.model, "name", "") or derivation.model.declaration.name
    return f"Maximum likelihood: {name}" if name else "Maximum likelihood"


__all__ = ["RULES", "Display", "Row", "blocks_of", "blocks_of_step", "names_of", "title_of"]
