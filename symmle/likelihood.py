"""The likelihood of a declaration: product, logarithm, and the normal form n c + sum a_k T_k + residual."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import mpmath
from sympy import Abs, Add, Expr, FiniteSet, Interval, Symbol, Tuple, oo

from symmle.algebra import Bounds, Facts, bounds_of_set, compile_expression, ends_of_range, is_close
from symmle.declare.declaration import Declaration, SamplePart
from symmle.end_rows import with_rows_at_ends
from symmle.logarithm import open_logarithm, separate
from symmle.sample import Count, Mean, Total
from symmle.sampling import RandomPoints, as_numbers


@dataclass(frozen=True)
class NormalForm:
    """log f = sum coefficient * g over `terms`; g of the data, and of parameters in the residual."""

    part: SamplePart
    opened: Expr
    terms: tuple[tuple[Expr, Expr], ...]

    @property
    def columns(self) -> Tuple:
        return Tuple(*self.part.all_columns)

    def is_residual(self, g: Expr, parameters: set[Symbol]) -> bool:
        return bool(g.free_symbols & parameters)

    @property
    def mean(self) -> Expr:
        """The mean log-likelihood of this sample, in Mean operators."""
        return Add(*(c * Mean(g, self.columns) for c, g in self.terms))


@dataclass(frozen=True)
class Likelihood:
    """Everything about the likelihood that needs no derivative.

    `parameters` are the free ones. `log_likelihood` is in Count and Mean; `displayed` in n and Total.
    """

    declaration: Declaration
    parameters: dict[Symbol, object]
    forms: tuple[NormalForm, ...]
    facts: Facts = field(repr=False, compare=False)
    known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # found once: its rank

    @property
    def log_density(self) -> tuple[Expr, ...]:
        return tuple(f.opened for f in self.forms)

    @property
    def is_single(self) -> bool:
        return len(self.forms) == 1

    @property
    def log_likelihood(self) -> Expr:
        return Add(*(Count(f.columns) * f.mean for f in self.forms))

    @property
    def displayed(self) -> Expr:
        terms = [c * Total(g, f.columns) for f in self.forms for c, g in f.terms]
        return Add(*terms)

    @property
    def has_residual(self) -> bool:
        free = set(self.parameters)
        return any(f.is_residual(g, free) for f in self.forms for _, g in f.terms)

    def check(self, seed: int = 3, digits: int = 30) -> tuple[bool, str]:
        """The normal form by value: log f(x) equals the sum of its terms at random admissible points."""
        points, compared = RandomPoints(self.declaration, seed), 0
        with mpmath.workdps(digits + 15):
            for form in self.forms:
                plain = compile_expression(Mean(form.part.density, form.columns))
                ours = compile_expression(Mean(Add(*(c * g for c, g in form.terms)), form.columns))
                for _ in range(4):
                    values = points.parameters(points.constants())
                    rows = None if values is None else points.samples(values, rows=1)
                    if values is None or rows is None:
                        continue
                    numbers = as_numbers(values)
                    f = plain(numbers, rows)
                    if f == 0:
                        continue
                    if not is_close(mpmath.log(f), ours(numbers, rows), digits):
                        return (
                            False,
                            f"log f = {mpmath.nstr(mpmath.log(f))} but the terms give "
                            f"{mpmath.nstr(ours(numbers, rows))} at {values}",
                        )
                    compared += 1
        return compared > 0, f"equal at {compared} random points"


def facts_of(declaration: Declaration) -> Facts:
    """Ranges of parameters, constants, data columns and conditioned columns.

    Bounds of a support that name a parameter are encoded: x = mu + u for x in (mu, oo).
    """
    bounds: dict[Symbol, Bounds] = {}
    values: dict[Symbol, Expr] = {c: v for c, v in declaration.constants.items() if v is not None}
    encoding: dict[Expr, Expr] = {}
    for c, v in values.items():
        bounds[c] = Bounds(v, v)
    for c, domain in declaration.constant_domains.items():
        b = bounds_of_set(domain, values) if c not in values else None
        if b is not None:
            bounds[c] = b
    for p, domain in declaration.parameters.items():
        b = bounds_of_set(domain, values)
        if b is not None:
            bounds[p] = b
    for z, domain in declaration.given_domains.items():
        b = bounds_of_set(domain, values)
        if b is not None:
            bounds[z] = b
    for part in declaration.samples:
        for x, support in part.support.items():
            b = bounds_of_set(support, values)
            if b is not None:
                # a continuous law takes the ends of its support with probability 0
                bounds[x] = Bounds(b.lo, b.hi, True, True) if isinstance(support, Interval) else b
            moving = _moving_encoding(x, support, values)
            if moving is not None:
                encoding[x] = moving
                bounds.pop(x, None)
    for lag, source in declaration.lags.items():
        if source in bounds:
            bounds[lag] = bounds[source]
    inside = tuple(e.xreplace(values) for part in declaration.samples for e in part.inside)
    facts = Facts(bounds, encoding, _without_absolute_values((*declaration.where, *inside)))
    for x, support in {**declaration.supports, **declaration.given_domains}.items():
        if isinstance(support, FiniteSet):
            facts.members[x] = tuple(sorted(support.args, key=lambda m: m.sort_key()))
    for lag, source in declaration.lags.items():
        if source in facts.members:
            facts.members[lag] = facts.members[source]
    return facts


def _without_absolute_values(positive: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """a - |b| > 0 says that a - b > 0 and a + b > 0: what is positive, with the plain forms beside it."""
    found = list(positive)
    for e in positive:
        inner = sorted(e.atoms(Abs), key=str)
        if not inner or len(inner) > 3 or any(e.coeff(a) != -1 for a in inner):
            continue
        for signs in product((1, -1), repeat=len(inner)):
            found.append(e.xreplace({a: s * a.args[0] for a, s in zip(inner, signs, strict=True)}))
    return tuple(dict.fromkeys(found))


def _moving_encoding(x: Symbol, support: object, values: dict[Symbol, Expr]) -> Expr | None:
    from sympy import Dummy, Interval, Range

    if not isinstance(support, Interval | Range):
        return None
    lo, hi = ends_of_range(support) if isinstance(support, Range) else (support.start, support.end)
    lo, hi = lo.xreplace(values), hi.xreplace(values)
    if lo.is_number and hi.is_number:
        return None
    u = Dummy("u", positive=True)
    if hi == oo:
        return lo + u
    if lo == -oo:
        return hi - u
    return (lo + hi * u) / (1 + u)


def build_likelihood(declaration: Declaration) -> Likelihood:
    """Open the log densities and separate them."""
    facts = facts_of(declaration)
    forms = []
    for part in declaration.samples:
        opened = with_rows_at_ends(declaration, part, open_logarithm(part.density, facts), facts)
        terms = separate(opened, part.all_columns, frozenset(declaration.parameters), facts.members)
        forms.append(NormalForm(part, opened, tuple(terms)))
    return Likelihood(declaration, dict(declaration.parameters), tuple(forms), facts)


__all__ = ["Likelihood", "NormalForm", "build_likelihood", "facts_of"]
