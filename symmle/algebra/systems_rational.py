"""Systems with one complex solution: each unknown as a rational function of everything else.

Where the likelihood equations have one complex solution (ML degree one: the estimate is a rational function of the
statistics) a Groebner basis over the field of rational functions of the other symbols is linear in every unknown.
It is asked only after a count modulo a prime, at random values of the others, has said that there is one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from sympy import QQ, Expr, Pow, Rational, Symbol, ring
from sympy.polys.groebnertools import groebner
from sympy.polys.polyerrors import CoercionFailed, GeneratorsError

from symmle.algebra.budget import GaveUp, attempt_within
from symmle.algebra.systems import ORDER, RationalSystem, ml_degree, rational_system

SECONDS = 4.0
MOST_OPERATIONS = 1500


def rational_solution(
    equations: Sequence[Expr], unknowns: Sequence[Symbol], positive: Sequence[Symbol] = ()
) -> dict[Symbol, Expr] | GaveUp:
    """The one solution, for generic values of all other symbols; or why there is none of this kind.

    A positive unknown that occurs in powers of s**g alone is the g-th root of a rational function. Nothing is said
    of special values of the other symbols, at which a denominator of the answer vanishes.
    """
    if sum(e.count_ops() for e in equations) > MOST_OPERATIONS:
        return GaveUp("the equations are too long")
    return attempt_within(SECONDS, _solution, tuple(equations), tuple(unknowns), tuple(positive))  # type: ignore[no-any-return]


def _solution(
    equations: tuple[Expr, ...], unknowns: tuple[Symbol, ...], positive: tuple[Symbol, ...]
) -> dict[Symbol, Expr] | GaveUp:
    others = sorted(
        {s for e in equations for s in e.free_symbols} - set(unknowns), key=lambda s: s.sort_key()
    )
    stream = random.Random(59)
    drawn = {s: Rational(stream.randint(10**6, 10**7), stream.randint(10**6, 10**7)) for s in others}
    special = rational_system([e.xreplace(drawn) for e in equations], unknowns, (), positive)
    if isinstance(special, GaveUp):
        return special
    count = ml_degree(special)
    if isinstance(count, GaveUp):
        return count
    if count != 1:
        return GaveUp(f"there are {count} complex solutions")
    try:
        return _linear_basis(equations, unknowns, others, special)
    except (CoercionFailed, GeneratorsError, ValueError):
        return GaveUp("the equations are not rational")


def _linear_basis(
    equations: tuple[Expr, ...], unknowns: tuple[Symbol, ...], others: list[Symbol], special: RationalSystem
) -> dict[Symbol, Expr] | GaveUp:
    whole = QQ.frac_field(*unknowns, *others)
    constants = QQ.frac_field(*others) if others else QQ
    r, *gens = ring(["w", *(f"q{i}" for i in range(len(unknowns)))], constants, ORDER)
    p = len(unknowns)

    def lifted(c: Any, strip: bool) -> Any:
        """A polynomial in unknowns and others as one in q = s**g over the constants."""
        least = [min(m[i] for m in c) if strip and special.powers[i] > 1 else 0 for i in range(p)]
        found = r.zero
        for m, v in c.items():
            monomial = tuple((m[i] - least[i]) // special.powers[i] for i in range(p))
            factor = constants.convert(v)
            for s, e in zip(others, m[p:], strict=True):
                factor = factor * constants.from_sympy(s) ** e
            found += r.from_dict({(0, *monomial): factor})
        return found

    basis, clear = [], r.one
    seen: list[Any] = []
    for e in equations:
        fraction = whole.from_sympy(e)
        basis.append(lifted(fraction.numer, True))
        for f, _ in fraction.denom.factor_list()[1]:
            inside = any(any(m[:p]) for m in f)
            if inside and f not in seen:
                seen.append(f)
                clear *= lifted(f, True)
    for i, g in enumerate(special.powers):
        if g > 1:
            clear *= gens[i + 1]
    basis.append(gens[0] * clear - r.one if clear != r.one else gens[0])
    found: dict[Symbol, Expr] = {}
    for element in groebner(basis, r, method="buchberger"):
        leading = element.leading_expv()
        if leading[0] or sum(leading) != 1:
            continue
        i = leading.index(1) - 1
        if any(any(m) for m in element if m != leading):
            return GaveUp("the basis is not linear")
        constant = element.get((0,) * r.ngens, constants.zero)
        value = constants.to_sympy(-constant / element[leading])
        found[unknowns[i]] = Pow(value.factor(), Rational(1, special.powers[i]))
    return found if len(found) == p else GaveUp("the basis is not linear")


__all__ = ["rational_solution"]
