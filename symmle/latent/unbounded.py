"""Where one branch puts all its mass on one row: the likelihood of a mixture with a free scale has no bound.

Let theta_j stand in branch j alone, and another branch keep a positive density on every row while theta_j
moves. If f_j(x_1; theta_j) goes to infinity along a path of theta_j, so does the likelihood: row 1 from branch
j, the others from the other branch. The path sought is the maximum in one parameter at the single row,
p = p(x, q), followed as q goes to an end of its domain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mpmath
from sympy import (
    Abs,
    Dummy,
    Expr,
    Interval,
    Piecewise,
    S,
    Set,
    Symbol,
    besseli,
    beta,
    expand_log,
    factor,
    limit,
    log,
    loggamma,
    oo,
    pi,
    together,
)

from symmle.algebra import Facts, GaveUp, attempt_within, compile_expression
from symmle.algebra.roots import solve_equation
from symmle.declare.declaration import Declaration
from symmle.latent.problem import Branch
from symmle.likelihood import facts_of
from symmle.logarithm import open_logarithm
from symmle.sampling import RandomPoints, as_numbers

SIZES = (4, 8, 16, 32)  # decades along which the density must grow before a limit is asked for


@dataclass(frozen=True)
class Spike:
    """A path on which branch `label` has an infinite density at one row: p = value as q goes to `end`."""

    label: str
    branch: int
    path: tuple[tuple[Symbol, Expr], ...]
    q: Symbol
    end: Expr
    text: str
    scales: tuple[Symbol, ...]


def find_spike(declaration: Declaration, branches: tuple[Branch, ...]) -> Spike | None:
    """The first branch that can put all its mass on one row while another one covers the rest."""
    (part,) = declaration.samples
    if not all(isinstance(s, Interval) for s in part.support.values()):
        return None  # a probability is at most 1
    facts = facts_of(declaration)
    tied = set().union(*(e.free_symbols for e in (*declaration.where, *declaration.constraints)))
    tied = tied.union(*(d.free_symbols for d in declaration.parameters.values()))
    for j, branch in enumerate(branches):
        if isinstance(branch.density, Piecewise):
            continue
        opened = _without_betas(open_logarithm(branch.density, facts))
        for other in branches:
            if other is branch or other.density.has(Piecewise):
                continue  # a branch that vanishes somewhere does not cover the other rows
            own = branch.density.free_symbols - branch.weight.free_symbols - other.weight.free_symbols
            free = [p for p in declaration.parameters if p in own - tied]
            shared = other.density.free_symbols
            for p, value, q in _profiles(declaration, opened, free, part.all_columns, facts):
                # a value that stays where it is may be shared: the other density is positive there
                if q in shared or (p in shared and q in value.free_symbols):
                    continue
                end = _blows_up(declaration, opened.xreplace({p: value}), q, facts)
                if end is not None:
                    path = ((p, value),)
                    return Spike(branch.label, j, path, q, end, _said(branch, p, value, q, end), (q,))
    return None


def _profiles(
    declaration: Declaration,
    log_density: Expr,
    moving: list[Symbol],
    columns: tuple[Symbol, ...],
    facts: Facts,
) -> Iterator[tuple[Symbol, Expr, Symbol]]:
    """p, the value of p that is largest at a single row, and the parameter that is followed."""
    for p in moving:
        domain = declaration.parameters[p]
        for value in _values(log_density, p, columns, facts):
            if not _lies_in(value, domain, facts):
                continue
            for q in moving:
                if q != p:
                    yield p, value, q


def _lies_in(value: Expr, domain: Set, facts: Facts) -> bool:
    """Whether a value is seen to lie in an interval whatever the row."""
    if not isinstance(domain, Interval):
        return False
    above = domain.start == -oo or facts.decide_sign(value - domain.start) == 1
    return above and (domain.end == oo or facts.decide_sign(domain.end - value) == 1)


def _values(log_density: Expr, p: Symbol, columns: tuple[Symbol, ...], facts: Facts) -> list[Expr]:
    found = []
    for inner in sorted(log_density.atoms(Abs), key=str):
        if inner.has(p):
            found += _roots(inner.args[0], p, facts)
    found += _roots(log_density.diff(p), p, facts)
    if not found:  # the point at which a path of ever larger parameters concentrates
        found += _roots(_leading(log_density, False).diff(p), p, facts)
    return [v for v in dict.fromkeys(found) if v.free_symbols & set(columns)]


def _roots(equation: Expr, p: Symbol, facts: Facts) -> list[Expr]:
    if equation.has(Abs):
        return []
    answer = attempt_within(1.0, solve_equation, equation, p, facts)
    if isinstance(answer, GaveUp):
        return []
    return list(answer.roots)


def _blows_up(declaration: Declaration, profile: Expr, q: Symbol, facts: Facts) -> Expr | None:
    """The end of q's domain at which the log density at the row goes to infinity: seen by numbers, then proved."""
    domain = declaration.parameters[q]
    if not isinstance(domain, Interval) or domain.free_symbols:
        return None
    for end in (domain.start, domain.end):
        if not _grows(declaration, profile, q, end):
            continue
        t = Dummy("t", positive=True)
        along = t if end == oo else -t if end == -oo else end + 1 / t if end == domain.start else end - 1 / t
        answer = attempt_within(3.0, _limit, facts.encode(profile.xreplace({q: along})), facts.encode(t))
        if not isinstance(answer, GaveUp) and (answer == oo or answer.is_infinite and answer.is_positive):
            return S(end)
    return None


def _limit(e: Expr, t: Symbol) -> Expr:
    """The limit as t goes to infinity; special functions of large arguments by their leading terms."""
    found = [u for f in e.atoms(loggamma, log) for u in _arguments(f)]
    large = all(limit(u, t, oo) == oo for u in found)
    written = _leading(e) if large else e
    return limit(expand_log(written.replace(log, lambda u: log(factor(together(u))))), t, oo)


def _arguments(f: Expr) -> tuple[Expr, ...]:
    """What must be large for the leading terms to hold."""
    inner = f.args[0]
    if isinstance(f, loggamma):
        return (inner,)
    return (inner.args[1],) if isinstance(inner, besseli) else ()


def _without_betas(e: Expr) -> Expr:
    betas = {f: f.args[0].args for f in e.atoms(log) if isinstance(f.args[0], beta)}
    return e.xreplace({f: loggamma(a) + loggamma(b) - loggamma(a + b) for f, (a, b) in betas.items()})


def _leading(e: Expr, whole: bool = True) -> Expr:
    """log Gamma(u) = u log u - u + (log 2 pi - log u)/2 + o(1), log I_n(u) = u - (log 2 pi u)/2 + o(1)."""

    def gammas(u: Expr) -> Expr:
        return u * log(u) - u + (log(2 * pi) - log(u)) / 2 * int(whole)

    changed = e.replace(loggamma, gammas)
    logs = {f: f.args[0].args[1] for f in changed.atoms(log) if isinstance(f.args[0], besseli)}
    return changed.xreplace({f: u - log(2 * pi * u) / 2 * int(whole) for f, u in logs.items()})


def _grows(declaration: Declaration, profile: Expr, q: Symbol, end: Expr) -> bool:
    stream = RandomPoints(declaration, 5)
    values = stream.parameters(stream.constants())
    rows = None if values is None else stream.samples(values, 1)
    if values is None or rows is None:
        return False
    at = {**as_numbers(values), **{c: v[0] for c, v in rows[0].columns.items()}}
    f = compile_expression(profile)
    heights = []
    with mpmath.workdps(80):
        for k in SIZES:
            far = mpmath.mpf(10) ** k
            if end in (oo, -oo):
                here = far if end == oo else -far
            else:
                here = (
                    mpmath.mpf(str(end.evalf(30)))
                    + (1 if end == declaration.parameters[q].start else -1) / far
                )
            try:
                heights.append(mpmath.re(f({**at, q: here}, [])))
            except (ValueError, ZeroDivisionError, ArithmeticError, TypeError):
                return False
    gains = [b - a for a, b in zip(heights, heights[1:], strict=False)]
    return all(mpmath.isfinite(h) for h in heights) and all(g > 1 for g in gains)


def _said(branch: Branch, p: Symbol, value: Expr, q: Symbol, end: Expr) -> str:
    name = f"component {branch.label}" if branch.label.isdigit() else f"the branch {branch.label}"
    return (
        f"the density of {name} at one row goes to infinity where {p} = {value} and {q} goes to {end}, "
        "while another component covers the other rows"
    )


__all__ = ["Spike", "find_spike"]
