"""f(x) = int f(x, z) dz where log f(x, z) is that of an exponential family in z: marginal, E[t(z) | x], M-step."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy import (
    Add,
    Dummy,
    Expr,
    Interval,
    S,
    Symbol,
    exp,
    expand,
    expand_mul,
    factor_terms,
    factorial,
    gamma,
    gammasimp,
    log,
    loggamma,
    oo,
    powdenest,
    powsimp,
    simplify,
    together,
)

from symmle.algebra import GaveUp, attempt_within
from symmle.declare.declaration import Declaration, SamplePart
from symmle.latent.kernels import Kernel, is_base_measure, match_kernel
from symmle.latent.problem import Unmatched
from symmle.latent.structure import unused_name
from symmle.likelihood import facts_of
from symmle.logarithm import open_logarithm, separate


@dataclass(frozen=True)
class Matched:
    """What the matching of a kernel gives, before the M-step is solved."""

    latent: Symbol
    kernel: Expr  # log f(z | x) without its constant
    naturals: dict[Expr, Expr]  # t_k(z) -> its coefficient in columns and parameters
    expectations: dict[Symbol, Expr]
    statistics: dict[Symbol, Expr]
    observed: Declaration
    m_step: Declaration


def match_latent(declaration: Declaration) -> Matched | Unmatched:
    """The latent variable's law given the data, as an exponential family in it."""
    if len(declaration.samples) != 1 or declaration.samples[0].components:
        return Unmatched("latent variables with several samples or components are not built")
    if len(declaration.latent) != 1:
        return Unmatched("more than one continuous latent variable is not built")
    (part,) = declaration.samples
    (z, support) = next(iter(declaration.latent.items()))
    if part.inside or declaration.lags:
        return Unmatched("a support that depends on the latent variable, or lags, are not built")
    known = {c: v for c, v in declaration.constants.items() if v is not None}
    if support.xreplace(known).free_symbols:
        return Unmatched(f"the support of {z} is not fixed")
    joint = SamplePart((*part.columns, z), {**part.support, z: support}, part.density, part.given)
    complete = replace(declaration, samples=(joint,), latent={})
    facts = facts_of(complete)
    opened = open_logarithm(part.density, facts)
    terms = separate(opened, (z,), _all_but(declaration, z), facts.members)
    coefficients = {t: a for a, t in terms}
    free = coefficients.pop(S.One, S.Zero)
    if any(t.free_symbols - {z} for t in coefficients):
        mixed = next(t for t in coefficients if t.free_symbols - {z})
        return Unmatched(f"log f(x, {z}) does not separate in {z}: {mixed}")
    whole = _unexpanded(opened, z, coefficients, free)
    if whole is not None:
        coefficients, free = whole
    kernel = match_kernel(z, support.xreplace(known), frozenset(coefficients))
    if kernel is None:
        listed = ", ".join(map(str, sorted(coefficients, key=str)))
        return Unmatched(f"the law of {z} given the data is of no known exponential family: it has {listed}")
    naturals = {t: coefficients.get(t, S.Zero) for t in kernel.naturals}
    for t, a in naturals.items():
        if is_base_measure(kernel, t) and a != -1:
            return Unmatched(f"{t} stands with {a}, not with -1")
    put_in = {kernel.naturals[t]: a for t, a in naturals.items()}
    for e in kernel.positive:
        if facts.decide_sign(e.xreplace(put_in)) != 1:
            return Unmatched(
                f"the law of {z} given the data is not known to be proper: {e.xreplace(put_in)} > 0"
            )
    log_marginal = free + kernel.log_normaliser.xreplace(put_in)
    observed = replace(
        declaration,
        samples=(replace(part, density=_as_density(log_marginal)),),
        latent={},
    )
    expectations, statistics = _expected(declaration, z, naturals, kernel, put_in)
    log_expected = _expected_log_density(opened, declaration, z, naturals, free, statistics)
    columns = tuple(expectations)
    m_part = SamplePart(
        (*part.columns, *columns),
        {**part.support, **{e: _range_of(e) for e in columns}},
        exp(log_expected),
        part.given,
    )
    m_step = replace(declaration, samples=(m_part,), latent={}, normalise_at={}, normalises=False, size=None)
    exponent = Add(*(_neat(a) * t for t, a in naturals.items()))
    return Matched(z, exponent, naturals, expectations, statistics, observed, m_step)


def _unexpanded(
    opened: Expr, z: Symbol, coefficients: dict[Expr, Expr], free: Expr
) -> tuple[dict[Expr, Expr], Expr] | None:
    """The coefficients of the t_k(z) with sums and squares of the others left whole, where that is seen."""
    stand_ins = {t: Dummy("t") for t in coefficients if t not in (z, z**2)}
    written = opened.xreplace(stand_ins)
    quadratic = z**2 in coefficients
    if not written.is_polynomial(z, *stand_ins.values()):
        return None
    zero = {z: S.Zero, **dict.fromkeys(stand_ins.values(), S.Zero)}
    found = {t: written.diff(d).xreplace(zero) for t, d in stand_ins.items()}
    if quadratic:
        found[z**2] = written.diff(z, 2).xreplace(zero) / 2
    if z in coefficients or quadratic:
        found[z] = written.diff(z).xreplace(zero)
    rest = written.xreplace(zero)
    gaps = [found.get(t, S.Zero) - coefficients.get(t, S.Zero) for t in {*found, *coefficients}]
    if any(expand(gap) != 0 for gap in (*gaps, rest - free)):
        return None
    return found, rest


def _all_but(declaration: Declaration, z: Symbol) -> frozenset[Symbol]:
    """Everything that stands beside z is a coefficient."""
    return frozenset(declaration.samples[0].density.free_symbols) - {z}


def _range_of(e: Symbol) -> Interval:
    return Interval.open(0, oo) if e.is_positive else Interval(-oo, oo)


def _expected(
    declaration: Declaration,
    z: Symbol,
    naturals: dict[Expr, Expr],
    kernel: Kernel,
    put_in: dict[Symbol, Expr],
) -> tuple[dict[Symbol, Expr], dict[Symbol, Expr]]:
    """Columns of the M-step and the expectations that fill them: E[t] = dA/d eta, Var z in place of E[z**2].

    Statistics whose coefficient names no parameter are not needed.
    """
    moving = set(declaration.parameters)
    needed = [t for t, a in naturals.items() if a.free_symbols & moving]
    if z**2 in needed and z not in needed:
        needed.insert(0, z)
    taken = {
        s.name for s in (*declaration.samples[0].all_columns, *declaration.parameters, *declaration.constants)
    }
    taken |= {z.name}
    expectations: dict[Symbol, Expr] = {}
    statistics: dict[Symbol, Expr] = {}
    a = kernel.log_normaliser
    for t in needed:
        if is_base_measure(kernel, t):
            continue
        value = a.diff(kernel.naturals[t])
        positive = t.is_positive
        name = f"e_{len(expectations) + 1}"
        if t == z**2 and z in kernel.naturals:
            name, positive = f"v_{len(expectations) + 1}", True
            value = a.diff(kernel.naturals[z], 2)
        column = Symbol(unused_name(name, taken), **({"positive": True} if positive else {"real": True}))
        expectations[column] = _neat(value.xreplace(put_in))
        statistics[column] = t
    return expectations, statistics


def _expected_log_density(
    opened: Expr,
    declaration: Declaration,
    z: Symbol,
    naturals: dict[Expr, Expr],
    free: Expr,
    statistics: dict[Symbol, Expr],
) -> Expr:
    """E[log f(x, z) | x] in the columns, without terms free of the parameters that hold z.

    The mean of z stands where z stood, so that (x - mu - z)**2 stays a square; a variance is added with
    the coefficient of z**2.
    """
    moving = set(declaration.parameters)
    columns = {t: e for e, t in statistics.items()}
    variance = columns.get(z**2) if z in columns and z**2 in columns else None
    if variance is not None:
        columns[z**2] = columns[z] ** 2
    kept = {t: a for t, a in naturals.items() if a.free_symbols & moving}
    plain = free + Add(*(a * columns[t] for t, a in kept.items()))
    functions = {t: columns.get(t, S.Zero) if t in kept else S.Zero for t in naturals if t not in (z, z**2)}
    whole = opened.xreplace(functions)
    if z in columns and (z in kept or z**2 in kept):
        whole = whole.xreplace({z: columns[z]})
    if expand(whole - plain) == 0:
        plain = whole
    return plain if variance is None else plain + naturals[z**2] * variance


def _neat(e: Expr) -> Expr:
    """One fraction, or a shorter form where one is found at once."""
    best = e
    for way, more in ((together, 1.5), (factor_terms, 1.0), (simplify, 1.0)):
        answer = attempt_within(1.0, way, best)
        if not isinstance(answer, GaveUp) and answer.count_ops() < more * best.count_ops():
            best = answer
    return best


def _as_density(log_density: Expr) -> Expr:
    """exp(log density) with log-gammas as gammas and logarithms as powers."""

    def as_product(e: Expr) -> Expr:
        plain, made = [], S.One
        for term in Add.make_args(expand_mul(e, deep=False)):
            inner, others = term.as_independent(loggamma, log, as_Add=False)
            if isinstance(others, loggamma) and inner.is_Integer:
                made *= gamma(others.args[0]) ** inner
            elif isinstance(others, log):
                made *= powdenest(_neat(others.args[0]) ** inner, force=False)
            elif others.has(loggamma, log):
                plain.append(term)
            else:
                plain.append(_neat(term))
        return made * exp(Add(*plain))

    answer = attempt_within(4.0, as_product, log_density)
    best = exp(log_density) if isinstance(answer, GaveUp) else answer
    for way in (_without_gammas, powsimp):
        shorter = attempt_within(1.0, way, best)
        if not isinstance(shorter, GaveUp) and shorter.count_ops() <= best.count_ops():
            best = shorter
    return best


def _without_gammas(e: Expr) -> Expr:
    return gammasimp(e.replace(factorial, lambda k: gamma(k + 1)))


__all__ = ["Matched", "match_latent"]
