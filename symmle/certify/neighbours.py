"""Neighbouring whole numbers: l(N + 1) - l(N) row by row, and the whole numbers that the rows allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import (
    Add,
    Expr,
    Interval,
    Max,
    Min,
    Mul,
    Range,
    S,
    Symbol,
    binomial,
    ceiling,
    expand,
    expand_mul,
    factor_terms,
    factorial,
    floor,
    gamma,
    log,
    loggamma,
    oo,
    together,
)
from sympy.core.relational import Ge, Gt, Le, Relational

from symmle.algebra import Facts, GaveUp, attempt_within, ends_of_range
from symmle.likelihood import Likelihood
from symmle.sample import Count, Maximum, Mean, Minimum, Total

MANY = 40  # steps of a log-gamma that are written out


# --- the difference ---------------------------------------------------------------------------------


def step_up(e: Expr, whole: Symbol) -> Expr:
    """e(N + 1) - e(N); log-gammas become logarithms: log Gamma(N + a + 1) - log Gamma(N + a) = log(N + a)."""
    if not e.has(whole):
        return S.Zero
    return Add(*(_step_of_term(t, whole) for t in Add.make_args(_opened(e))))


def _opened(e: Expr) -> Expr:
    """A sum of terms; the logarithm of a binomial by those of its factorials."""

    def opened(n: Expr, k: Expr) -> Expr:
        return loggamma(n + 1) - loggamma(k + 1) - loggamma(n - k + 1)

    return expand_mul(
        e.replace(
            lambda n: isinstance(n, log) and isinstance(n.args[0], binomial),
            lambda n: opened(*n.args[0].args),
        )
    )


def _argument_of_gamma(e: Expr) -> Expr | None:
    """u where e is log Gamma(u)."""
    if isinstance(e, loggamma):
        return expand(e.args[0])
    if isinstance(e, log) and isinstance(e.args[0], gamma):
        return expand(e.args[0].args[0])
    if isinstance(e, log) and isinstance(e.args[0], factorial):
        return expand(e.args[0].args[0] + 1)
    return None


def _step_of_term(term: Expr, whole: Symbol) -> Expr:
    if not term.has(whole):
        return S.Zero
    fixed, moving = term.as_independent(whole, as_Add=False)
    if isinstance(moving, Mean):
        inner = step_up(moving.summand, whole)
        return fixed * Add(*(Mean(t, moving.args[-1]) for t in Add.make_args(expand_mul(inner))))
    argument = _argument_of_gamma(moving)
    if argument is not None:
        written = _step_of_loggamma(argument, whole)
        if written is not None:
            return expand_mul(fixed * written)
    plain = fixed * (moving.xreplace({whole: whole + 1}) - moving)
    return expand_mul(plain) if plain.has(log, loggamma) else expand(plain, power_base=False, power_exp=False)


def _step_of_loggamma(argument: Expr, whole: Symbol) -> Expr | None:
    slope = argument.coeff(whole)
    if not slope.is_Integer or (argument - slope * whole).has(whole) or abs(slope) > MANY:
        return None
    if slope > 0:
        return Add(*(log(argument + j) for j in range(int(slope))))
    return -Add(*(log(argument - j) for j in range(1, int(-slope) + 1)))


def as_ratio(e: Expr, whole: Symbol) -> Expr:
    """Logarithms with the same factor as one logarithm of a quotient; the rest as it is."""
    groups: dict[Expr, Expr] = {}
    rest = []
    for term in Add.make_args(expand_mul(e, deep=False)):
        logs = [f for f in Mul.make_args(term) if isinstance(f, log)]
        if len(logs) != 1:
            rest.append(term)
            continue
        number, factor = (term / logs[0]).as_coeff_Mul()
        if not number.is_Integer or abs(number) > 8:
            number, factor = (S.NegativeOne if number < 0 else S.One), factor * abs(number)
        groups[factor] = groups.get(factor, S.One) * logs[0].args[0] ** number
    found = [c * log(_tidied(q)) for c, q in groups.items()]
    return Add(*found, *rest)


def _parted(term: Expr, whole: Symbol, columns: tuple[Symbol, ...]) -> tuple[Expr, ...]:
    """c log(a(N) b(x)) as c log a + c log b, where no factor holds both."""
    logs = [f for f in Mul.make_args(term) if isinstance(f, log)]
    if len(logs) != 1 or not term.has(whole):
        return (term,)
    factors = Mul.make_args(logs[0].args[0])
    if any(f.has(whole) and f.has(*columns) for f in factors):
        return (term,)
    own = Mul(*(f for f in factors if not f.has(*columns)))
    rest = logs[0].args[0] / own
    c = term / logs[0]
    return (term,) if rest == 1 else (c * log(own), c * log(rest))


def _tidied(quotient: Expr) -> Expr:
    answer = attempt_within(1.0, lambda: factor_terms(together(quotient)))
    return quotient if isinstance(answer, GaveUp) else answer


def shifted_down(e: Expr, whole: Symbol) -> Expr:
    """e at N - 1."""
    found = []
    for term in Add.make_args(e):
        at = term.xreplace({whole: whole - 1})
        if at.has(log):
            at = at.replace(lambda n: isinstance(n, log), lambda n: log(_tidied(n.args[0])))
        found.append(at if at.has(log) else expand_mul(at))
    return Add(*found)


@dataclass(frozen=True)
class Neighbours:
    """l(N + 1) - l(N) of each sample's rows, and of the whole sample."""

    whole: Symbol
    rows: tuple[Expr, ...]
    rise: Expr  # l(N + 1) - l(N), in Count and Mean

    @property
    def difference(self) -> Expr:
        """l(N) - l(N - 1)."""
        return shifted_down(self.rise, self.whole)


def neighbours_of(likelihood: Likelihood, whole: Symbol) -> Neighbours:
    """The difference of neighbours, logarithms collected."""
    rows = tuple(as_ratio(step_up(f.opened, whole), whole) for f in likelihood.forms)
    rise = Add(
        *(
            Count(f.columns) * Mean(part, f.columns)
            for f, row in zip(likelihood.forms, rows, strict=True)
            for t in Add.make_args(row)
            for part in _parted(t, whole, f.part.all_columns)
        )
    )
    return Neighbours(whole, rows, rise)


def profile_rise(likelihood: Likelihood, whole: Symbol, closed: Mapping[Symbol, Expr]) -> Expr:
    """l(N + 1) - l(N), the other parameters at their estimates for each N."""
    return Add(*(Count(f.columns) * step_up(f.mean.xreplace(dict(closed)), whole) for f in likelihood.forms))


# --- what the rows allow ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Allowed:
    """The whole numbers N with every row in its support: at least each of `least`, at most each of `most`.

    Expressions in sample operators, whole. `limits` are the relations of a row, `after` those of N.
    """

    least: tuple[Expr, ...] = ()
    most: tuple[Expr, ...] = ()
    limits: tuple[Relational, ...] = ()
    after: tuple[Relational, ...] = ()
    row_least: tuple[Expr, ...] = ()
    row_most: tuple[Expr, ...] = ()


def allowed_of(likelihood: Likelihood, whole: Symbol) -> Allowed | str:
    """What supports, `where` and binomials ask of N, or why that could not be written."""
    size = likelihood.declaration.size
    least: dict[Expr, Expr] = {}
    most: dict[Expr, Expr] = {}
    limits: list[Relational] = []
    after: list[Relational] = []
    for form in likelihood.forms:
        for e, strict, relation in _requirements(form.part, whole):
            solved = _solved_for(e, whole, strict, likelihood.facts)
            if solved is None:
                return f"{relation} is not solved for {whole}"
            side, bound = solved
            columns = form.columns
            named = bool(bound.free_symbols & set(columns.args))
            if not named:
                shown = bound
            elif size == 1:
                shown = bound.xreplace({c: Total(c, columns) for c in columns.args})
            else:
                shown = extreme(bound, columns, side)
            kept = least if side > 0 else most
            if shown not in kept:
                kept[shown] = bound
                if named:
                    limits.append(relation)
                    end = extreme(bound, columns, side)
                    after.append((Ge if side > 0 else Le)(whole, end, evaluate=False))
    for w in likelihood.declaration.where:
        if w.has(whole):
            solved = _solved_for(w, whole, True, likelihood.facts)
            if solved is None:
                return f"{w} > 0 is not solved for {whole}"
            (least if solved[0] > 0 else most)[solved[1]] = solved[1]
    return Allowed(
        tuple(least),
        tuple(most),
        tuple(limits),
        tuple(after),
        tuple(least.values()),
        tuple(most.values()),
    )


def extreme(bound: Expr, columns: object, side: int) -> Expr:
    """The largest (1) or smallest (-1) of a row expression; one column alone is taken out of it."""
    free = sorted(bound.free_symbols & set(columns.args), key=str)  # type: ignore[attr-defined]
    if len(free) == 1:
        x = free[0]
        slope = bound.coeff(x)
        if slope in (1, -1) and not (bound - slope * x).has(x):
            top = (side > 0) == (slope == 1)
            operator = Maximum(x, columns) if top else Minimum(x, columns)
            return bound - slope * x + slope * operator
    return Maximum(bound, columns) if side > 0 else Minimum(bound, columns)


def _requirements(part: object, whole: Symbol) -> list[tuple[Expr, bool, Relational]]:
    """(e, strict, as written): e >= 0, or > 0, holds for a row with positive density."""
    found: list[tuple[Expr, bool, Relational]] = []
    for x, support in part.support.items():  # type: ignore[attr-defined]
        if not support.has(whole):
            continue
        if isinstance(support, Range):
            lo, hi = ends_of_range(support)
            left = right = False
        elif isinstance(support, Interval):
            lo, hi = support.start, support.end
            left, right = bool(support.left_open), bool(support.right_open)
        else:
            continue
        for bound in lo.args if isinstance(lo, Max) else (lo,):
            if bound.has(whole) and bound != -oo:
                found.append((x - bound, left, (Gt if left else Ge)(x, bound, evaluate=False)))
        for bound in hi.args if isinstance(hi, Min) else (hi,):
            if bound.has(whole) and bound != oo:
                found.append((bound - x, right, Le(x, bound, evaluate=False)))
    for node in sorted(part.density.atoms(binomial, factorial, gamma), key=str):  # type: ignore[attr-defined]
        if not node.has(whole):
            continue
        if isinstance(node, binomial):
            n, k = node.args
            needs = [(n - k, False), (k, False)]
        else:
            needs = [(node.args[0], isinstance(node, gamma))]
        for e, strict in needs:
            e = expand(e)
            if e.has(whole):
                found.append((e, strict, (Gt if strict else Ge)(e, 0, evaluate=False)))
    return found


def _solved_for(e: Expr, whole: Symbol, strict: bool, facts: Facts) -> tuple[int, Expr] | None:
    """e >= 0 as N >= bound (1) or N <= bound (-1), the bound whole."""
    e = expand(e)
    slope = e.coeff(whole)
    rest = expand(e - slope * whole)
    if rest.has(whole) or slope == 0:
        return None
    side = facts.decide_sign(slope)
    if side not in (1, -1):
        return None
    bound = expand(-rest / slope)
    if strict:
        bound = floor(bound) + 1 if side > 0 else ceiling(bound) - 1
    elif not bound.is_integer:
        bound = ceiling(bound) if side > 0 else floor(bound)
    return side, bound


def ends_of_domain(likelihood: Likelihood, whole: Symbol) -> tuple[Expr, Expr]:
    """The least and the greatest member of N's domain."""
    domain = likelihood.declaration.parameters[whole]
    if isinstance(domain, Range):
        return ends_of_range(domain)
    return domain.inf, domain.sup


def whole_parameters(likelihood: Likelihood) -> list[Symbol]:
    """The parameters that are whole numbers."""
    lattices = (S.Naturals, S.Naturals0, S.Integers)
    domains = likelihood.declaration.parameters
    return [p for p, d in domains.items() if isinstance(d, Range) or d in lattices]


__all__ = [
    "Allowed",
    "Neighbours",
    "allowed_of",
    "as_ratio",
    "ends_of_domain",
    "extreme",
    "neighbours_of",
    "profile_rise",
    "shifted_down",
    "step_up",
    "whole_parameters",
]
