"""A plain density that is a sum of weights times densities: a mixture that nobody declared as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sympy import Add, Expr, Interval, Mul, S, Symbol, expand_mul, integrate, summation

from symmle.algebra import Facts, attempt_within, ends_of_range
from symmle.declare.declaration import Declaration, SamplePart
from symmle.declare.normalisation import check_normalisation
from symmle.errors import ModelError
from symmle.latent.problem import Unmatched
from symmle.likelihood import facts_of

MOST_TERMS = 6
CHECK_SECONDS = 0.5
INTEGRATION_SECONDS = 1.5
CLOSE = 1e-6


def read_sum(declaration: Declaration) -> Declaration | Unmatched:
    """The declaration with components, where its density is a sum of positive terms that split so."""
    if len(declaration.samples) != 1 or declaration.latent or declaration.lags:
        return Unmatched("not one plain sample")
    (part,) = declaration.samples
    if part.components or part.inside:
        return Unmatched("not a plain density")
    terms = _terms(part.density)
    if not 1 < len(terms) <= MOST_TERMS:
        return Unmatched("the density is no sum of a few terms")
    if any(s.free_symbols & set(declaration.parameters) for s in part.support.values()):
        return Unmatched("the support moves with a parameter")
    facts = facts_of(declaration)
    if any(facts.decide_sign(t) != 1 for t in terms):
        return Unmatched("a term of the sum is not positive")
    pairs = []
    for t in terms:
        split = _split(declaration, part, t, facts)
        if split is None:
            return Unmatched(f"{t} is no weight times a density")
        pairs.append(split)
    total = attempt_within(1.0, lambda: expand_mul(Add(*(w for w, _ in pairs))).simplify())
    if total != 1:
        return Unmatched("the weights are not seen to add up to one")
    if not any(w.free_symbols for w, _ in pairs) and len({f for _, f in pairs}) < 2:
        return Unmatched("the terms are the same")
    return replace(declaration, samples=(replace(part, components=tuple(pairs)),))


def _terms(density: Expr) -> list[Expr]:
    """The terms of a sum, common factors multiplied into each."""
    factors = Mul.make_args(density)
    sums = [f for f in factors if isinstance(f, Add)]
    if len(sums) != 1:
        return [density]
    rest = Mul(*(f for f in factors if f is not sums[0]))
    return [rest * t for t in sums[0].args]


def _split(declaration: Declaration, part: SamplePart, term: Expr, facts: Facts) -> tuple[Expr, Expr] | None:
    """(w, f) with term = w f, w free of the data and f a density."""
    for w in _weights(declaration, part, term):
        if facts.decide_sign(w) != 1 or facts.decide_sign(1 - w) != 1:
            continue
        if _is_density(declaration, part, term / w):
            return w, term / w
    return None


def _weights(declaration: Declaration, part: SamplePart, term: Expr) -> Iterator[Expr]:
    """Candidates: the factors whose parameters the density does not have, numbers with them, then the integral."""
    columns = set(part.all_columns)
    free, rest = term.as_independent(*columns, as_Add=False)
    apart = [f for f in Mul.make_args(free) if f.free_symbols and not f.free_symbols & rest.free_symbols]
    if apart:
        yield Mul(*apart)
    total = attempt_within(INTEGRATION_SECONDS, _mass, part, term)
    if isinstance(total, Expr) and not total.has(*columns) and total.is_finite is not False:
        yield total


def _mass(part: SamplePart, term: Expr) -> Expr | None:
    for x, support in part.support.items():
        if isinstance(support, Interval):
            term = integrate(term, (x, support.start, support.end), conds="none")
        elif hasattr(support, "start"):
            lo, hi = ends_of_range(support)
            term = summation(term, (x, lo, hi))
        else:
            term = Add(*(term.xreplace({x: v}) for v in support))
    return term.simplify()


def _is_density(declaration: Declaration, part: SamplePart, density: Expr) -> bool:
    """By quadrature at points of the parameter space."""
    used: set[Symbol] = density.free_symbols
    domains = {z: declaration.given_domains.get(z, Interval(-S.Infinity, S.Infinity)) for z in part.given}
    alone = replace(
        declaration,
        samples=(replace(part, density=density),),
        parameters={p: d for p, d in declaration.parameters.items() if p in used},
        given_domains=domains,
        constraints=(),
        where=tuple(w for w in declaration.where if w.free_symbols <= used),
        normalises=None,
        name="",
    )
    try:
        check = check_normalisation(alone, CHECK_SECONDS)
    except ModelError:
        return False
    return check.number is not None and abs(check.number - 1) < CLOSE


__all__ = ["read_sum"]
