"""Functions of the parameters that are identified: invariants of the directions in which l does not change.

At every point the directions in which no single score changes span a space N(theta). Where N is the same everywhere
after the parameters are replaced by powers or logarithms of them, the invariants are linear in those: a + b, a b, a/b,
s1**2 + s2**2; with exponents that may be multiples of powers of a parameter that N leaves alone: s**k a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath
from sympy import Add, Expr, Mul, Rational, Symbol

from symmle.identifiability import null_space, null_spaces
from symmle.likelihood import Likelihood

DIGITS = 30
LARGEST_DENOMINATOR = 24


@dataclass(frozen=True)
class Identified:
    """u = pivot**power + sum w q**power (or pivot times product of q**w where power is 0), q the free ones."""

    pivot: Symbol
    weights: tuple[tuple[Symbol, Expr], ...]
    power: int

    @property
    def function(self) -> Expr:
        if self.power == 0:
            return Mul(self.pivot, *(q**w for q, w in self.weights))
        return Add(self.pivot**self.power, *(w * q**self.power for q, w in self.weights))

    def solved(self, u: Expr) -> Expr:
        """The pivot, where the function has the value u."""
        if self.power == 0:
            return Mul(u, *(q**-w for q, w in self.weights))
        rest = u - Add(*(w * q**self.power for q, w in self.weights))
        return rest if self.power == 1 else rest ** Rational(1, self.power)


def identified_functions(likelihood: Likelihood, order: Sequence[Symbol]) -> list[Identified] | None:
    """The identified functions beside the parameters that are identified themselves; pivots first in `order`.

    None where the parameters are identified, or no such functions are found.
    """
    parameters = list(likelihood.parameters)
    with mpmath.workdps(DIGITS):
        points = null_spaces(likelihood, 4)
        if len(points) < 4 or not points[0][1] or len({len(basis) for _, basis in points}) != 1:
            return None
        moving = [
            p
            for k, p in enumerate(parameters)
            if any(abs(d[k]) > mpmath.mpf(10) ** -12 for _, basis in points for d in basis)
        ]
        names = [p for p in order if p in moving]
        for power in (1, 0, 2, -1):
            found = [_invariants(values, basis, parameters, names, power) for values, basis in points]
            rows = _same(found)
            if rows is not None:
                numbers = [[_rational(e) for e in row] for row in rows]
                if all(e is not None for row in numbers for e in row):
                    return _written(numbers, names, power)  # type: ignore[arg-type]
        return _with_exponents(likelihood, points, parameters, names)


def _invariants(
    values: dict[Symbol, Any],
    basis: list[list[Any]],
    parameters: list[Symbol],
    names: list[Symbol],
    power: int,
) -> list[list[Any]] | None:
    """Rows w in reduced form with w . d(theta**power) = 0 (d log theta for power 0) along the basis."""
    place = {p: k for k, p in enumerate(parameters)}
    try:
        turned = [[d[place[p]] * values[p] ** (power - 1) for p in names] for d in basis]
    except ZeroDivisionError:
        return None
    return _reduced(null_space(turned, len(names)), len(names))


def _reduced(rows: list[list[Any]], size: int) -> list[list[Any]]:
    """The reduced row echelon form of independent rows."""
    rows, rank = [list(r) for r in rows], 0
    for column in range(size):
        best = max(range(rank, len(rows)), key=lambda i, c=column: abs(rows[i][c]), default=None)  # type: ignore[misc]
        if best is None or abs(rows[best][column]) < mpmath.mpf(10) ** -12:
            continue
        rows[rank], rows[best] = rows[best], rows[rank]
        rows[rank] = [e / rows[rank][column] for e in rows[rank]]
        for i in range(len(rows)):
            if i != rank:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rows


def _same(found: Sequence[list[list[Any]] | None]) -> list[list[Any]] | None:
    """The rows, where they are the same at all points."""
    first = found[0]
    for other in found[1:]:
        if first is None or other is None or len(first) != len(other):
            return None
        if any(
            abs(a - b) > mpmath.mpf(10) ** -12
            for r, s in zip(first, other, strict=True)
            for a, b in zip(r, s, strict=True)
        ):
            return None
    return first


def _rational(number: Any) -> Rational | None:
    close = Fraction(str(mpmath.nstr(number, 20))).limit_denominator(LARGEST_DENOMINATOR)
    if abs(mpmath.mpf(close.numerator) / close.denominator - number) > mpmath.mpf(10) ** -12:
        return None
    return Rational(close.numerator, close.denominator)


def _written(rows: list[list[Expr]], names: list[Symbol], power: int) -> list[Identified] | None:
    found = []
    for row in rows:
        pivot = next(k for k, e in enumerate(row) if e != 0)
        if row[pivot] != 1:
            return None
        others = tuple((names[k], e) for k, e in enumerate(row) if k != pivot and e != 0)
        found.append(Identified(names[pivot], others, power))
    return found


def _with_exponents(
    likelihood: Likelihood, points: Any, parameters: list[Symbol], names: list[Symbol]
) -> list[Identified] | None:
    """Monomials whose exponents are c t**e for an identified parameter t, one invariant."""
    if len(names) != 2:
        return None
    for t in (p for p in parameters if p not in names):
        exponents: list[tuple[Any, Any]] = []
        for held in (Rational(3, 4), Rational(5, 4), Rational(9, 4)):
            if likelihood.declaration.parameters[t].contains(held) != True:  # noqa: E712 - a SymPy truth value
                break
            here = null_spaces(likelihood, 2, {t: held})
            rows = _same([_invariants(v, b, parameters, names, 0) for v, b in here])
            if rows is None or len(rows) != 1 or len(here) < 2:
                break
            exponents.append((mpmath.mpf(held.p) / held.q, rows[0][1]))
        if len(exponents) < 3:
            continue
        (t1, w1), (t2, w2), (t3, w3) = exponents
        if not w1 or w2 / w1 <= 0:
            continue
        e = round(mpmath.log(w2 / w1) / mpmath.log(t2 / t1))
        c = _rational(w1 / t1**e)
        if c is None or abs(w3 - w1 / t1**e * t3**e) > mpmath.mpf(10) ** -12 or e == 0:
            continue
        return [Identified(names[0], ((names[1], c * t**e),), 0)]
    return None


__all__ = ["Identified", "identified_functions"]
