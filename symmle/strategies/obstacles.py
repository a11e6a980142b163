"""Where the score is not enough: what keeps every score-based strategy from being tried."""

from __future__ import annotations

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
    expand,
    expand_log,
    floor,
    log,
    nan,
    oo,
    sign,
    zoo,
)

from symmle.family import support_parameters
from symmle.likelihood import Likelihood, NormalForm


def find_obstacle(likelihood: Likelihood) -> str | None:
    """Why the likelihood equations do not decide the maximum, or None where they do."""
    d = likelihood.declaration
    if d.latent:
        names = ", ".join(map(str, d.latent))
        return f"latent: {names}; the likelihood is a sum or an integral over what was not observed"
    if any(part.components for part in d.samples):
        return "a finite mixture: no likelihood equation separates"
    if d.constraints:
        return f"the constraint {d.constraints[0]} = 0 is not linear in a parameter"
    free = set(likelihood.parameters)
    for p in likelihood.parameters:
        domain = d.parameters[p]
        if not isinstance(domain, Interval) and domain is not S.Reals:
            return f"the parameter {p} ranges over {domain}: its score is not defined"
    for form in likelihood.forms:
        kink = _kink(form.opened, free, likelihood)
        if kink is not None:
            return kink
        edge = _edge(form, likelihood)
        if edge is not None:
            return edge
    return None


def _kink(e: Expr, free: set[Symbol], likelihood: Likelihood) -> str | None:
    smooth: set[Expr] = set()
    for power in e.atoms(Pow):
        if isinstance(power.base, Abs) or (isinstance(power.base, Expr) and power.base.has(Abs)):
            if likelihood.facts.decide_sign(power.exp - 1) == 1:
                smooth |= power.base.atoms(Abs)
    for node in e.atoms(Abs, Max, Min, floor, ceiling, sign):
        if node.free_symbols & free and node not in smooth and not _inside_log(e, node):
            return f"the log-likelihood has kinks: {node} holds a parameter and is not smooth"
    for node in e.atoms(Piecewise):
        if any(c.free_symbols & free for _, c in node.args):
            return "the pieces of the density are bounded by parameters"
    return None


def _inside_log(e: Expr, node: Expr) -> bool:
    stand_in = Dummy()
    return not e.xreplace({log(node): stand_in}).has(node)


def _edge(form: NormalForm, likelihood: Likelihood) -> str | None:
    """A moving support is harmless where the density vanishes at its edge."""
    named = support_parameters(likelihood) & set(likelihood.parameters)
    for x, support in form.part.support.items():
        if not support.free_symbols & named:
            continue
        if isinstance(support, FiniteSet) or not isinstance(support, Interval):
            return f"the support of {x} depends on {', '.join(map(str, named))}"
        for bound, side in ((support.start, 1), (support.end, -1)):
            if bound.free_symbols & named and not _vanishes_at(form.opened, x, bound, side, likelihood):
                return (
                    f"the support of {x} depends on {', '.join(sorted(map(str, named)))} and the density does not "
                    f"vanish at {x} = {bound}: the maximum may sit on the edge"
                )
    return None


def _vanishes_at(opened: Expr, x: Symbol, bound: Expr, side: int, likelihood: Likelihood) -> bool:
    if bound in (oo, -oo):
        return True
    u = Dummy("u", positive=True)
    near = expand(expand_log(opened.xreplace({x: bound + side * u})), log=False)
    rest, coefficient = near.as_independent(log(u), as_Add=True)[0], near.coeff(log(u))
    at_edge = rest.xreplace({u: S.Zero})
    if coefficient.has(u) or rest.has(log(u)) or at_edge.has(nan, zoo, oo, -oo):
        return False
    return likelihood.facts.decide_sign(coefficient) == 1
