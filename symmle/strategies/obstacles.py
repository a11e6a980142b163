"""Where the score is not enough: what keeps score-based strategies from being tried, and what they leave open."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import (
    Abs,
    Dummy,
    Expr,
    FiniteSet,
    Interval,
    Max,
    Min,
    Piecewise,
    Pow,
    S,
    Symbol,
    ceiling,
    floor,
    log,
    sign,
)

from symmle.family import support_parameters
from symmle.likelihood import Likelihood, NormalForm
from symmle.strategies.joints import is_smooth_at, rough_joint


@dataclass(frozen=True)
class Obstacle:
    """Why the likelihood equations do not decide the maximum.

    `id` is "latent", "mixture", "constraint", "space", "kink", "pieces" or "edge". An edge does not stop the
    score: every maximum is a root of it, or lies on the edge of what the support allows, or is approached
    there; `edges` are the parameters that move it.
    """

    id: str
    text: str
    edges: tuple[Symbol, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether no score-based strategy may be tried."""
        return self.id != "edge"

    def __str__(self) -> str:
        return self.text


def find_obstacle(likelihood: Likelihood) -> Obstacle | None:
    """Why the likelihood equations do not decide the maximum, or None where they do."""
    d = likelihood.declaration
    if d.latent:
        names = ", ".join(map(str, d.latent))
        text = f"latent: {names}; the likelihood is a sum or an integral over what was not observed"
        return Obstacle("latent", text)
    if any(part.components for part in d.samples):
        return Obstacle("mixture", "a finite mixture: no likelihood equation separates")
    if d.constraints:
        return Obstacle("constraint", f"the constraint {d.constraints[0]} = 0 is not linear in a parameter")
    free = set(likelihood.parameters)
    for p in likelihood.parameters:
        domain = d.parameters[p]
        if not isinstance(domain, Interval) and domain is not S.Reals:
            return Obstacle("space", f"the parameter {p} ranges over {domain}: its score is not defined")
    for form in likelihood.forms:
        found = _kink(form, free, likelihood) or _counted(form, likelihood)
        if found is not None:
            return found
    return _edge(likelihood)


def _kink(form: NormalForm, free: set[Symbol], likelihood: Likelihood) -> Obstacle | None:
    e = form.opened
    smooth: set[Expr] = set()
    for power in e.atoms(Pow):
        if isinstance(power.base, Abs) or (isinstance(power.base, Expr) and power.base.has(Abs)):
            if likelihood.facts.decide_sign(power.exp - 1) == 1:
                smooth |= power.base.atoms(Abs)
    outside = _without_conditions(e)
    for node in outside.atoms(Abs, Max, Min, floor, ceiling, sign):
        if not node.free_symbols & free or node in smooth or _inside_log(outside, node):
            continue
        if not is_smooth_at(e, node, form.part.all_columns, likelihood.facts):
            return Obstacle(
                "kink", f"the log-likelihood has kinks: {node} holds a parameter and is not smooth"
            )
    rough = rough_joint(e, form.part.all_columns, free, likelihood.facts)
    if rough is not None:
        text = f"the pieces of the density are bounded by parameters and not joined smoothly at {rough}"
        return Obstacle("pieces", text)
    return None


def moving_pieces(likelihood: Likelihood) -> bool:
    """Whether rows pass from one piece of the density to another as parameters move."""
    free = set(likelihood.parameters)
    return any(
        c.free_symbols & free and c.free_symbols & set(form.part.all_columns)
        for form in likelihood.forms
        for piece in form.opened.atoms(Piecewise)
        for _, c in piece.args
    )


def _without_conditions(e: Expr) -> Expr:
    """e with the conditions of its pieces hidden: a kink there is a joint of pieces."""
    hidden = {c: Dummy() > 0 for p in e.atoms(Piecewise) for _, c in p.args if c != True}  # noqa: E712
    return e.xreplace(hidden)


def _inside_log(e: Expr, node: Expr) -> bool:
    stand_in = Dummy()
    return not e.xreplace({log(node): stand_in}).has(node)


def _counted(form: NormalForm, likelihood: Likelihood) -> Obstacle | None:
    """A support of points that a parameter moves or counts."""
    named = support_parameters(likelihood) & set(likelihood.parameters)
    for x, support in form.part.support.items():
        moving = support.free_symbols & named
        if moving and (isinstance(support, FiniteSet) or not isinstance(support, Interval)):
            return Obstacle("space", f"the support of {x} depends on {', '.join(sorted(map(str, moving)))}")
    return None


def _edge(likelihood: Likelihood) -> Obstacle | None:
    named = support_parameters(likelihood) & set(likelihood.parameters)
    edges = tuple(p for p in likelihood.parameters if p in named)
    if not edges:
        return None
    names = ", ".join(map(str, edges))
    text = f"the support depends on {names}: the maximum may sit on its edge, or be approached there"
    return Obstacle("edge", text, edges)


__all__ = ["Obstacle", "find_obstacle", "moving_pieces"]
