"""Random admissible points: parameter values in the parameter space and samples in the support.

They are for checks of identities and signs, the same every time for the same seed. Values are exact
rationals of few digits, so that no check hides behind rounding.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
from sympy import Expr, FiniteSet, Piecewise, Set, Symbol, lambdify, oo

from symmle.algebra import Bounds, Rows, bounds_of_set, compile_expression
from symmle.algebra.constraints import Parametrisation, parametrisations
from symmle.declare.declaration import Declaration, SamplePart

Values = dict[Symbol, Any]


class RandomPoints:
    """A stream of admissible parameter values and samples of a declaration."""

    def __init__(self, declaration: Declaration, seed: int = 1):
        self.declaration = declaration
        self.random = random.Random(seed)
        self._branches: tuple[Parametrisation, ...] | None = None
        self._plain = len(declaration.constraints) < 2 and all(
            _is_plain(c, declaration.parameters) for c in declaration.constraints
        )

    def constants(self) -> dict[Symbol, Expr]:
        """Values of the constants; those without one get a random number of their assumptions."""
        found: dict[Symbol, Expr] = {}
        for symbol, value in self.declaration.constants.items():
            if value is None and symbol in self.declaration.constant_domains:
                value = self._member(self.declaration.constant_domains[symbol], found)
            found[symbol] = value if value is not None else self._rational(_bounds_of(symbol))
        return found

    def parameters(self, constants: Mapping[Symbol, Expr]) -> dict[Symbol, Expr] | None:
        """Values of the parameters that satisfy the domains, `where` and constraints."""
        d = self.declaration
        if not self._plain:
            return self._on_branches(constants)
        for _ in range(200):
            values: dict[Symbol, Expr] = dict(constants)
            for p, domain in d.parameters.items():
                drawn = self._member(domain, values)
                if drawn is None:
                    break
                values[p] = drawn
            else:
                if self._constrain(values) and all(bool(w.xreplace(values) > 0) for w in d.where):
                    return values
        return None

    @property
    def branches(self) -> tuple[Parametrisation, ...]:
        """Parametrisations of the set on which the constraints hold; none where they are not solved."""
        if self._branches is None:
            d = self.declaration
            self._branches = parametrisations(d.constraints, d.parameters) or ()
        return self._branches

    def _on_branches(self, constants: Mapping[Symbol, Expr]) -> dict[Symbol, Expr] | None:
        for _ in range(200 if self.branches else 0):
            branch = self.random.choice(self.branches)
            values: dict[Symbol, Expr] = dict(constants)
            for p, domain in branch.free.items():
                drawn = self._member(domain, values)
                if drawn is None:
                    break
                values[p] = drawn
            else:
                found = self.completed(branch, values)
                if found is not None:
                    return found
        return None

    def completed(self, branch: Parametrisation, values: Mapping[Symbol, Expr]) -> dict[Symbol, Expr] | None:
        """The point of the constraint set with these free parameters; None outside the parameter space."""
        d = self.declaration
        if any(w.xreplace(dict(values)).is_positive is not True for w in branch.positive):
            return None
        point = {s: v for s, v in values.items() if s not in branch.free or s in d.parameters}
        point |= {p: e.xreplace(dict(values)) for p, e in branch.back.items()}
        for p, domain in d.parameters.items():
            if domain.xreplace(point).contains(point[p]) != True:  # noqa: E712 - a SymPy truth value
                return None
        return point if all(w.xreplace(point).is_positive is True for w in d.where) else None

    def moved(self, point: Mapping[Symbol, Any]) -> Iterator[Values]:
        """Points of the constraint set near a point of it: steps of its free parameters, in numbers."""
        parameters = self.declaration.parameters
        for branch in self.branches:
            back = {p: compile_expression(e) for p, e in branch.back.items()}
            start = _free_values(branch, point)
            if start is None or any(
                abs(f({**point, **start}, []) - point[p]) > mpmath.mpf(10) ** -10 * (1 + abs(point[p]))
                for p, f in back.items()
            ):
                continue
            for q, value in start.items():
                for k in (0, 1, 2, 4, 8):
                    for side in (-1, 1):
                        step = side * (abs(value) + mpmath.mpf("0.01")) * mpmath.mpf(10) ** -k
                        at = {**point, **start, q: value + step}
                        try:
                            at |= {p: f(at, []) for p, f in back.items()}
                        except (ZeroDivisionError, ValueError, ArithmeticError):
                            continue
                        yield {p: at[p] for p in parameters}

    def _constrain(self, values: dict[Symbol, Expr]) -> bool:
        for constraint in self.declaration.constraints:
            names = [p for p in self.declaration.parameters if constraint.has(p)]
            last = names[-1]
            coefficient = constraint.coeff(last)
            if coefficient == 0 or coefficient.free_symbols:
                return False
            share = Fraction(1, len(names))
            for p in names[:-1]:
                values[p] = values[p] * share
            values[last] = -(constraint - coefficient * last).xreplace(values) / coefficient
            domain = self.declaration.parameters[last]
            if domain.contains(values[last]) != True:  # noqa: E712 - a SymPy truth value
                return False
        return True

    def samples(self, values: Mapping[Symbol, Expr], rows: int = 6) -> list[Rows] | None:
        """One Rows for each sample; None where the support is empty at these parameters."""
        found = []
        for part in self.declaration.samples:
            columns: dict[Symbol, list[Any]] = {c: [] for c in part.all_columns}
            for k in range(rows):
                row = self._row(part, values, k)
                if row is None:
                    return None
                for c, value in row.items():
                    columns[c].append(_number(value))
            weights = [mpmath.mpf(1)] * rows
            found.append(Rows(columns, weights))
        return found

    def _row(self, part: SamplePart, values: Mapping[Symbol, Expr], k: int) -> dict[Symbol, Expr] | None:
        """A row of the support; with conditions or several columns, one where the density is positive."""
        for attempt in range(60):
            row: dict[Symbol, Expr] = {}
            place = k if attempt == 0 else None
            for z in part.given:
                source = self.declaration.lags.get(z)
                domain = part.support[source] if source is not None else self.declaration.given_domains.get(z)
                drawn = (
                    self._rational(None) if domain is None else self._member(domain, {**values, **row}, place)
                )
                if drawn is None:
                    return None
                row[z] = drawn
            for x in part.columns:
                drawn = self._member(part.support[x], {**values, **row}, place)
                if drawn is None:
                    return None
                row[x] = drawn
            at = {**values, **row}
            if not all(_is_positive(e, at) for e in part.inside):
                continue
            plain = len(part.columns) < 2 and not part.density.has(Piecewise)  # else a branch may be 0
            if plain or _is_positive(part.density, at):
                return row
        return None

    def _member(self, domain: Set, values: Mapping[Symbol, Expr], k: int | None = None) -> Expr | None:
        if isinstance(domain, FiniteSet):
            members = sorted((m.xreplace(dict(values)) for m in domain.args), key=lambda m: m.sort_key())
            if k is not None and k < len(members):
                return members[k]
            return self.random.choice(members)
        b = bounds_of_set(domain, values)
        if b is None or bool(b.lo > b.hi):
            return None
        if domain.is_iterable or getattr(domain, "is_Integer", False) or _is_integer(domain):
            lo = -5 if b.lo == -oo else int(b.lo)
            hi = lo + 11 if b.hi == oo else int(b.hi)
            from sympy import Integer

            return Integer(self.random.randint(lo, min(hi, lo + 11)))
        return self._rational(b)

    def _rational(self, b: Bounds | None) -> Expr:
        from sympy import Rational

        def short(value: float) -> Expr:
            return Rational(round(value * 2**14), 2**14)

        if b is None or (b.lo == -oo and b.hi == oo):
            return short(self.random.gauss(0.35, 1.3))
        if b.lo != -oo and b.hi != oo:
            u = Rational(self.random.randint(40, 470), 512)
            width = b.hi - b.lo
            if not width.is_Rational or not b.lo.is_Rational:
                lo, hi = (Rational(round(float(v) * 2**14), 2**14) for v in (b.lo, b.hi))
                return lo + (hi - lo) * u
            return b.lo + width * u
        step = short(math.exp(self.random.gauss(0.1, 0.7)))
        return b.lo + step if b.lo != -oo else b.hi - step


@lru_cache(maxsize=256)
def _compiled(density: Expr) -> tuple[tuple[Symbol, ...], Any]:
    symbols = tuple(sorted(density.free_symbols, key=str))
    return symbols, lambdify(symbols, density, modules="mpmath")


def _is_positive(density: Expr, values: Mapping[Symbol, Expr]) -> bool:
    symbols, f = _compiled(density)
    if any(s not in values for s in symbols):
        return True  # a parameter that is held open
    try:
        return bool(mpmath.re(f(*(_number(values[s]) for s in symbols))) > 0)
    except (ValueError, ZeroDivisionError, TypeError):
        return False


def _is_integer(domain: Set) -> bool:
    from sympy import Range, S

    return isinstance(domain, Range) or domain in (S.Naturals, S.Naturals0, S.Integers)


def _bounds_of(symbol: Symbol) -> Bounds | None:
    from sympy import S

    if symbol.is_positive:
        return Bounds(S.Zero, oo, True, True)
    if symbol.is_negative:
        return Bounds(-oo, S.Zero, True, True)
    return None


def _free_values(branch: Parametrisation, point: Mapping[Symbol, Any]) -> Values | None:
    """The free parameters of a branch at a point."""
    found: Values = {}
    for q in branch.free:
        try:
            value = point[q] if q in point else compile_expression(branch.forward[q])(point, [])
        except (ZeroDivisionError, ValueError, ArithmeticError):
            return None
        if isinstance(value, mpmath.mpc):
            return None
        found[q] = value
    return found


def _is_plain(constraint: Expr, parameters: Mapping[Symbol, Set]) -> bool:
    """Whether a constraint is linear in its last parameter with a number for a coefficient."""
    names = [p for p in parameters if constraint.has(p)]
    if not names:
        return True
    coefficient = constraint.coeff(names[-1])
    rest = constraint - coefficient * names[-1]
    return bool(coefficient.is_number and coefficient != 0 and not rest.has(names[-1]))


def _number(value: Expr) -> Any:
    if value.is_Rational:
        return mpmath.mpf(int(value.p)) / int(value.q)
    return lambdify([], value, modules="mpmath")()


def as_numbers(values: Mapping[Symbol, Expr]) -> Values:
    """mpmath numbers of exact values, at the working precision."""
    return {s: _number(v) for s, v in values.items()}
