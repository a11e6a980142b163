"""Likelihood equations that are rational in several parameters, as polynomials; how many complex solutions they have.

    F_k(theta) = (theta**a_k / L_k(q)) N_k(q),   N_k = c_k0(q) + sum_j u_j c_kj(q),   k = 1..p

The statistics u occur linearly. Denominators are cleared and remembered: a solution is a zero of every N_k at which
no factor of a denominator vanishes. An unknown that is positive and occurs in powers of s**g alone is counted by
q = s**g, so that a solution and its mirror images are one.

The number of solutions for generic statistics is the ML degree (Catanese, Hosten, Khetan & Sturmfels 2006). It is
counted by the standard monomials of a Groebner basis of (N_1, .., N_p, w D - 1), D the product of the factors of the
denominators, modulo two large primes: an independent count, not a proof (a prime may be unlucky).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import gcd
from typing import Any, TypeAlias

from sympy import FF, QQ, Expr, Poly, Rational, Symbol, ring
from sympy.polys.groebnertools import groebner
from sympy.polys.orderings import MonomialOrder
from sympy.polys.polyerrors import CoercionFailed, GeneratorsError
from sympy.polys.rings import PolyElement

from symmle.algebra.budget import GaveUp, attempt_within

PRIMES = (2147483629, 2147483587, 2147483579, 2147483563)
SECONDS = 6.0
MOST_TERMS = 4000
MOST_DEGREE = 200  # solutions that are counted
MOST_KEYS = 500_000

Value: TypeAlias = Rational | int


class _GradedReverse(MonomialOrder):
    """grevlex, with keys that are whole numbers and remembered: most of the time goes into comparisons."""

    alias = "grevlex"
    is_global = True

    def __init__(self) -> None:
        self.keys: dict[tuple[int, ...], int] = {}

    def __call__(self, monomial: tuple[int, ...]) -> int:
        key = self.keys.get(monomial)
        if key is None:
            if len(self.keys) > MOST_KEYS:
                self.keys.clear()
            key = sum(monomial)
            for e in reversed(monomial):
                key = (key << 20) - e
            self.keys[monomial] = key
        return key


ORDER = _GradedReverse()


@dataclass(frozen=True)
class RationalSystem:
    """The equations; `numerators[k][0]` is c_k0 and `numerators[k][j]` belongs to statistic j, all over QQ.

    `powers` are the g of q = s**g, `shifts` the exponents a_k of each unknown, `clearers` the L_k, `factors` the
    irreducible polynomials in q that are not 0 at a solution.
    """

    unknowns: tuple[Symbol, ...]
    statistics: tuple[Symbol, ...]
    numerators: tuple[tuple[PolyElement, ...], ...]
    clearers: tuple[PolyElement, ...]
    shifts: tuple[tuple[int, ...], ...]
    factors: tuple[PolyElement, ...]
    powers: tuple[int, ...]

    def at(self, values: Sequence[Value]) -> tuple[PolyElement, ...]:
        """The N_k with numbers for the statistics."""
        found = []
        for row in self.numerators:
            total = row[0]
            for value, polynomial in zip(values, row[1:], strict=True):
                total = total + polynomial * QQ.convert(value)
            found.append(total)
        return tuple(found)


def rational_system(
    equations: Sequence[Expr],
    unknowns: Sequence[Symbol],
    statistics: Sequence[Symbol],
    positive: Sequence[Symbol] = (),
) -> RationalSystem | GaveUp:
    """The equations as polynomials, or why they are none.

    Parameters
    ----------
    equations : sequence of Expr
        In the unknowns and the statistics, with rational coefficients; linear in the statistics.
    positive : sequence of Symbol
        The unknowns that are positive wherever they are looked for.
    """
    return attempt_within(SECONDS, _system, tuple(equations), tuple(unknowns), tuple(statistics), positive)  # type: ignore[no-any-return]


def _system(
    equations: tuple[Expr, ...],
    unknowns: tuple[Symbol, ...],
    statistics: tuple[Symbol, ...],
    positive: Sequence[Symbol],
) -> RationalSystem | GaveUp:
    field = QQ.frac_field(*unknowns)
    rows = []
    for e in equations:
        try:
            rows.append(_coefficients(e, statistics, field))
        except (CoercionFailed, GeneratorsError, TypeError, ValueError):
            return GaveUp("the equations are not rational in the parameters")
    polynomials = field.field.ring
    numerators, clearers, factors = [], [], []
    for row in rows:
        clearer = polynomials.one
        for c in row:
            clearer = clearer.lcm(c.denom)
        numerators.append([c.numer * clearer.exquo(c.denom) for c in row])
        clearers.append(clearer)
        for f, _ in clearer.factor_list()[1]:
            if f not in factors:
                factors.append(f)
    if sum(len(c) for row in numerators for c in row) > MOST_TERMS:
        return GaveUp("the equations have too many terms")
    return _lowered(unknowns, statistics, numerators, clearers, factors, positive)


def _coefficients(e: Expr, statistics: tuple[Symbol, ...], field: Any) -> list[Any]:
    """c_0 and the coefficient of each statistic, as rational functions."""
    constant = e.xreplace(dict.fromkeys(statistics, Rational(0)))
    found = [constant]
    for u in statistics:
        slope = e.diff(u)
        if slope.free_symbols & set(statistics):
            raise CoercionFailed("a statistic is not linear")
        found.append(slope)
    return [field.from_sympy(c) for c in found]


def _lowered(
    unknowns: tuple[Symbol, ...],
    statistics: tuple[Symbol, ...],
    numerators: list[list[PolyElement]],
    clearers: list[PolyElement],
    factors: list[PolyElement],
    positive: Sequence[Symbol],
) -> RationalSystem:
    """Common powers of positive unknowns divided out, then powers s**g written as q."""
    p = len(unknowns)
    shifts = [[0] * p for _ in numerators]
    powers = [1] * p
    for i, s in enumerate(unknowns):
        if s not in positive:
            continue
        for k, row in enumerate(numerators):
            up = min(_exponents([c for c in row if c], i), default=0)
            down = min(_exponents([clearers[k]], i))
            numerators[k] = [_divided(c, i, up) for c in row]
            clearers[k] = _divided(clearers[k], i, down)
            shifts[k][i] = up - down
        factors = [f for f in factors if f.as_expr() != s]
        every = [c for row in numerators for c in row if c] + clearers + factors
        powers[i] = reduce(gcd, _exponents(every, i), 0) or 1
    if any(g > 1 for g in powers):
        numerators = [[_compressed(c, powers) for c in row] for row in numerators]
        clearers = [_compressed(c, powers) for c in clearers]
        factors = [_compressed(f, powers) for f in factors]
    # 0 is no value of a positive unknown
    gens = numerators[0][0].ring.gens
    for i, s in enumerate(unknowns):
        if s in positive and gens[i] not in factors:
            factors.append(gens[i])
    return RationalSystem(
        unknowns,
        statistics,
        tuple(map(tuple, numerators)),
        tuple(clearers),
        tuple(map(tuple, shifts)),
        tuple(factors),
        tuple(powers),
    )


def _exponents(polynomials: Sequence[PolyElement], i: int) -> set[int]:
    return {monomial[i] for c in polynomials for monomial in c}


def _divided(c: PolyElement, i: int, power: int) -> PolyElement:
    if not power:
        return c
    return c.ring.from_dict({(*m[:i], m[i] - power, *m[i + 1 :]): v for m, v in c.items()})


def _compressed(c: PolyElement, powers: Sequence[int]) -> PolyElement:
    return c.ring.from_dict({tuple(e // g for e, g in zip(m, powers, strict=True)): v for m, v in c.items()})


def count_solutions(
    system: RationalSystem, values: Sequence[Value], known: int | None = None
) -> int | GaveUp:
    """The number of complex solutions with multiplicity at these statistics, modulo two primes that agree.

    Where it is the `known` ML degree modulo one prime, no second one is asked.
    """
    first = [] if known is None else [known]
    return _agreed(lambda prime, _: _count(system, [_modulo(v, prime) for v in values], prime), first)


def ml_degree(system: RationalSystem) -> int | GaveUp:
    """The number of complex solutions for generic statistics: random ones modulo two primes that agree."""
    return _agreed(
        lambda prime, stream: _count(system, [stream.randrange(prime) for _ in system.statistics], prime), []
    )


def _agreed(count: Callable[[int, random.Random], int | GaveUp], found: list[int]) -> int | GaveUp:
    stream = random.Random(41)
    for prime in PRIMES[len(found) :]:
        answer = attempt_within(SECONDS, count, prime, stream)
        if isinstance(answer, GaveUp):
            return GaveUp(f"the complex solutions were not counted: {answer.reason}")
        if answer in found:
            return answer  # type: ignore[no-any-return]
        found.append(answer)
    return GaveUp(f"counts modulo primes differ: {', '.join(map(str, found))}")


def _modulo(value: Value, prime: int) -> int:
    r = Rational(value)
    if r.q % prime == 0:
        raise ZeroDivisionError("a statistic has the prime in its denominator")
    return int(r.p * pow(int(r.q), -1, prime) % prime)


def _count(system: RationalSystem, values: Sequence[int], prime: int) -> int | GaveUp:
    """dim of K[q, w] / (N_1, .., N_p, w D - 1) over the field with `prime` elements."""
    names = [f"q{i}" for i in range(len(system.unknowns))]
    r, *gens = ring(["w", *names], FF(prime), ORDER)
    w = gens[0]

    def lifted(c: PolyElement, scale: int = 1) -> PolyElement:
        return r.from_dict(
            {
                (0, *m): r.domain(_modulo(Rational(int(v.numerator), int(v.denominator)), prime) * scale)
                for m, v in c.items()
            }
        )

    equations = []
    for row in system.numerators:
        total = lifted(row[0])
        for value, c in zip(values, row[1:], strict=True):
            total = total + lifted(c, value)
        equations.append(total)
    if not all(equations):
        return GaveUp("an equation holds everywhere")
    clear = r.one
    for f in system.factors:
        clear = clear * lifted(f)
    if clear != r.one:
        equations.append(w * clear - r.one)
    else:
        equations.append(w)
    basis = groebner(equations, r, method="buchberger")
    return _standard_monomials([g.leading_expv() for g in basis], r.ngens)


def _standard_monomials(leading: Sequence[tuple[int, ...]], variables: int) -> int | GaveUp:
    """How many monomials no leading one divides."""
    if any(not any(m) for m in leading):
        return 0
    for i in range(variables):
        if not any(m[i] and not any(e for j, e in enumerate(m) if j != i) for m in leading):
            return GaveUp("the solutions are not isolated points")
    found, layer = 0, {(0,) * variables}
    while layer:
        found += len(layer)
        if found > MOST_DEGREE:
            return GaveUp(f"more than {MOST_DEGREE} complex solutions")
        above = {(*m[:i], m[i] + 1, *m[i + 1 :]) for m in layer for i in range(variables)}
        layer = {m for m in above if not any(all(a <= b for a, b in zip(l, m, strict=True)) for l in leading)}
    return found


def solution_degree(
    equations: Sequence[Expr],
    unknowns: Sequence[Symbol],
    held: Sequence[Symbol] = (),
    positive: Sequence[Symbol] = (),
) -> int | GaveUp:
    """How many complex solutions the equations have in the unknowns, the `held` symbols and all others generic.

    All other symbols are statistics and must occur linearly. The solutions are conjugate, so that from five on
    (and where the number is no product of twos and threes) no formula in radicals is to be expected.
    """
    fixed = {s: Rational(7 + 3 * i, 11 + i) for i, s in enumerate(held)}
    written = [e.xreplace(fixed) for e in equations]
    known = {*unknowns, *fixed}
    statistics = sorted({s for e in written for s in e.free_symbols} - known, key=lambda s: s.sort_key())
    system = rational_system(written, unknowns, statistics, positive)
    return system if isinstance(system, GaveUp) else ml_degree(system)


def as_poly(c: PolyElement, symbols: Sequence[Symbol]) -> Poly:
    """A polynomial of the system as a Poly over QQ."""
    return Poly(c.as_expr(*symbols), *symbols, domain=QQ)


__all__ = [
    "RationalSystem",
    "as_poly",
    "count_solutions",
    "ml_degree",
    "rational_system",
    "solution_degree",
]
