"""A whole number taken as a real one: where l rises and falls once along the reals it does so along the integers."""

from __future__ import annotations

from dataclasses import replace

from sympy import Interval, Symbol, together

from symmle.algebra import GaveUp, attempt_within
from symmle.certify.crossing import weak_sign
from symmle.certify.exponential import certify_family
from symmle.certify.neighbours import ends_of_domain
from symmle.declare.declaration import SamplePart
from symmle.likelihood import Likelihood, build_likelihood


def relaxed(likelihood: Likelihood, whole: Symbol) -> tuple[Likelihood, Symbol] | None:
    """The likelihood with the whole number as a real one, inside the ends of its domain.

    None where a support or another domain names it.
    """
    declaration = likelihood.declaration
    sets = (*declaration.supports.values(), *declaration.parameters.values())
    if any(whole in s.free_symbols for s in sets):
        return None
    lo, hi = ends_of_domain(likelihood, whole)
    if not (lo.is_number and hi.is_number):
        return None
    real = Symbol(whole.name, positive=True) if lo >= 0 else Symbol(whole.name, real=True)
    put = {whole: real}
    samples = tuple(
        SamplePart(part.columns, part.support, part.density.xreplace(put), part.given)
        for part in declaration.samples
    )
    parameters = {
        real if p == whole else p: Interval.open(lo, hi) if p == whole else s
        for p, s in declaration.parameters.items()
    }
    made = replace(
        declaration,
        samples=samples,
        parameters=parameters,
        where=tuple(w.xreplace(put) for w in declaration.where),
        normalise_at={},
    )
    return build_likelihood(made), real


def rises_and_falls(likelihood: Likelihood, whole: Symbol) -> str:
    """ "concave" in N, or "family": a one-parameter exponential family is concave in a(N), a monotone; "" else."""
    found = attempt_within(3.0, relaxed, likelihood, whole)
    if isinstance(found, GaveUp) or found is None or len(likelihood.parameters) != 1:
        return ""
    real_likelihood, real = found
    curvatures = attempt_within(
        2.0, lambda: [together(f.opened.diff(real, 2)) for f in real_likelihood.forms]
    )
    if not isinstance(curvatures, GaveUp):
        signs = [weak_sign(c, real_likelihood.facts) for c in curvatures]
        if all(s in (-1, 0) for s in signs):
            return "concave"
    certificate = attempt_within(4.0, certify_family, real_likelihood, (real,), False, ())
    return "" if isinstance(certificate, GaveUp | str) else "family"


__all__ = ["relaxed", "rises_and_falls"]
