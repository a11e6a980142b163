"""Densities one by one: a sample's density at each row of its finite columns, and what its support says."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import mpmath
from sympy import Eq, Expr, Interval, Mul, Piecewise, Range, S, Set, Sum, Symbol, diff, fraction
from sympy.sets.sets import FiniteSet

from symmle.certify.composition import Prover
from symmle.certify.opening import factor_sum, tidy
from symmle.certify.ranges import INF, NONNEGATIVE, POSITIVE, Bounds, bounds_of_set, range_of
from symmle.certify.sampling import draw
from symmle.certify.shapes import CONCAVE

_UNROLLED = 6  # elements of a finite support that are gone through one by one
_ROWS = 24


@dataclass(frozen=True)
class Cell:
    """One log density to prove: a sample's density at a row of its finite columns."""

    density: Expr
    random_columns: tuple[tuple[Symbol, Set], ...]
    given_columns: tuple[tuple[Symbol, Set], ...]
    sample: int
    columns: tuple[Symbol, ...] = ()  # of the whole sample, in order
    indicator: Expr = S.One  # 1 on the rows that are meant, a polynomial in the finite columns


def named(symbol: Symbol, bounds: Bounds, whole: bool | None = None) -> Symbol:
    """A symbol of the same name with the assumptions of its range alone; `whole` for counts."""
    if bounds.positive:
        return Symbol(symbol.name, positive=True, integer=whole)
    if bounds.negative:
        return Symbol(symbol.name, negative=True, integer=whole)
    if bounds.nonnegative:
        return Symbol(symbol.name, nonnegative=True, integer=whole)
    return Symbol(symbol.name, real=True, integer=whole)


def cells_of(
    density: Expr,
    supports: dict[Symbol, Set],
    given: dict[Symbol, Set],
    free_constants: Sequence[Symbol],
    sample: int,
    plain: dict[Symbol, Symbol],
    apart: int = 0,
) -> list[Cell] | str:
    """The density at every row of its small finite columns, and open in the others.

    The first `apart` values of an infinite column are gone through one by one, too.
    """
    lists: dict[Symbol, list[Expr | Set]] = {}
    for x, d in supports.items():
        elements: list[Expr | Set] | None = _elements(d)
        if elements is None and apart and isinstance(d, Range) and d.start.is_Integer and d.step == 1:
            elements = [*(d.start + k for k in range(apart)), Range(d.start + apart, d.stop)]
        if elements is not None:
            lists[x] = elements
    count = 1
    for elements in lists.values():
        count *= len(elements)
    if count > _ROWS:
        lists = {}
    cells = []
    for row in product(*lists.values()):
        at = {x: value for x, value in zip(lists, row, strict=True) if isinstance(value, Expr)}
        tails = {x: value for x, value in zip(lists, row, strict=True) if isinstance(value, Set)}
        here = density.subs(at) if at else density
        here = here.xreplace(plain)
        if here.has(Piecewise):
            return "the density is given by cases"
        if here == 0:
            continue
        others = tuple((plain[x], tails.get(x, d)) for x, d in supports.items() if x not in at)
        aside = tuple((plain[z], d) for z, d in given.items()) + tuple((c, S.Reals) for c in free_constants)
        indicator = S.One
        for x, tail in tails.items():
            indicator *= Piecewise((1, plain[x] >= tail.inf), (0, True))
        for x, value in at.items():
            if len(lists[x]) == 2 and not tails:
                (other,) = (v for v in lists[x] if v != value)
                indicator *= (plain[x] - other) / (value - other)
            elif len(lists[x]) > 1:
                indicator *= Piecewise((1, Eq(plain[x], value)), (0, True))
        columns = tuple(plain[x] for x in (*supports, *given))
        cells.append(Cell(here, others, aside, sample, columns, indicator))
    return cells


def _elements(d: Set) -> list[Expr] | None:
    if isinstance(d, FiniteSet) and len(d) <= _UNROLLED:
        return list(d.args)
    if isinstance(d, Range) and d.size.is_Integer and d.size <= _UNROLLED:
        return list(d)
    return None


def support_facts(
    cell: Cell,
    inverse: Mapping[Symbol, Expr],
    known: Mapping[Symbol | Expr, Bounds],
    names: frozenset[Symbol],
) -> tuple[dict[Symbol | Expr, Bounds], list[Expr]]:
    """What a support that names parameters says: x - a > 0 as facts, and what is positive."""
    facts: dict[Symbol | Expr, Bounds] = {}
    edges: list[Expr] = []
    for x, d in cell.random_columns:
        if not isinstance(d, Interval):
            if x in known:
                facts[x] = known[x].meet(bounds_of_set(d, known))
            continue
        for end, is_open, side in ((d.start, d.left_open, 1), (d.end, d.right_open, -1)):
            gap = side * (x - end.xreplace(dict(inverse)))
            if not gap.free_symbols & names or end.is_infinite:
                continue
            bounds = POSITIVE if is_open else NONNEGATIVE
            facts[gap] = bounds
            top, bottom = fraction(factor_sum(tidy(gap, known, names), known, names))
            kept = S.One
            for factor in Mul.make_args(top):
                if not range_of(factor, known).positive:
                    kept *= factor
            if range_of(bottom, known).positive:
                facts[kept] = bounds
                edges.append(kept)
            else:
                edges.append(gap)
    return facts, edges


def is_convex_region(prover: Prover, edge: Expr) -> bool:
    """Whether {u : edge > 0} is convex: a concave function, or a monotone one of one coordinate."""
    if prover.shape(edge).is_(CONCAVE):
        return True
    held = edge.free_symbols & prover.names
    if len(held) != 1:
        return False
    slope = range_of(diff(edge, held.pop()), prover.known)
    return slope.nonnegative or slope.nonpositive


def cut_series(summand: Expr, limits: Any) -> Expr:
    """A series cut off, for the test on numbers alone: what the rules say of it holds of its parts."""
    index, first, last = limits
    return Sum(summand, (index, first, first + 30 if last is S.Infinity else last))


def column_sampler(x: Symbol, domain: Set, known: Mapping[Symbol | Expr, Bounds]) -> Any:
    """A function that draws a value of the column for given parameters."""
    whole = not isinstance(domain, Interval)
    finite = list(domain.args) if isinstance(domain, FiniteSet) else None
    moving = bool(domain.free_symbols)
    fixed = None if moving else known[x].meet(bounds_of_set(domain, known))

    def sample(theta: dict[Symbol, mpmath.mpf], generator: random.Random) -> mpmath.mpf | None:
        if finite is not None and not moving:
            return mpmath.mpf(generator.choice(finite).evalf(30))
        bounds = fixed
        if bounds is None:
            at = {s: S(str(v)) for s, v in theta.items()}
            here = domain.xreplace(at)
            if here is S.EmptySet:
                return None
            bounds = bounds_of_set(here, known)
        value = draw(bounds, generator)
        if whole:
            value = mpmath.floor(value) if bounds.hi == INF else mpmath.nint(value)
        return value

    return sample
