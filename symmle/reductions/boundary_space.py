"""Closed ends of parameter domains: which belong to the model, and larger spaces on which the density holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import mpmath
from sympy import Expr, FiniteSet, Interval, Range, Rational, S, Symbol, oo
from sympy.core.relational import Relational

from symmle.algebra import Rows, compile_expression
from symmle.certify.competitors import contains, holds
from symmle.declare.declaration import Declaration
from symmle.declare.domains import assumptions_of
from symmle.declare.normalisation import check_normalisation
from symmle.errors import ModelError
from symmle.record import Condition
from symmle.reduction import renamed
from symmle.sample import Maximum, Minimum
from symmle.sampling import RandomPoints, as_numbers

SECONDS = 0.6  # for the check that a density normalises outside the declared domain
PLACES = (S.NegativeOne, S.Zero, S.One)  # where densities break: 1/s**2 at s = 0
LARGER = (
    Interval.open(-oo, oo),
    Interval.open(0, oo),
    Interval.open(-oo, 0),
    Interval.open(-1, 1),
    Interval.open(0, 1),
)


@dataclass(frozen=True)
class Larger:
    """The declaration with one domain replaced by an open interval; `back` maps its symbols to the declared ones."""

    declaration: Declaration
    back: dict[Symbol, Symbol]


def closed_ends(declaration: Declaration) -> dict[Symbol, tuple[Expr | None, Expr | None]]:
    """The finite closed ends of interval domains, numbers or in constants: p -> (lower, upper)."""
    found = {}
    for p, domain in declaration.parameters.items():
        if not isinstance(domain, Interval) or domain.free_symbols & set(declaration.parameters):
            continue
        low = None if domain.left_open or domain.start == -oo else domain.start
        high = None if domain.right_open or domain.end == oo else domain.end
        if low is not None or high is not None:
            found[p] = (low, high)
    return found


def opened_where_undefined(declaration: Declaration) -> Declaration:
    """Without the closed ends at which there is no density: sigma = 0 of a normal law, the rate 0."""
    domains = dict(declaration.parameters)
    for p, (low, high) in closed_ends(declaration).items():
        domain = domains[p]
        assert isinstance(domain, Interval)
        left = bool(domain.left_open) or (low is not None and not is_density_at(declaration, p, low))
        right = bool(domain.right_open) or (high is not None and not is_density_at(declaration, p, high))
        domains[p] = Interval(domain.start, domain.end, left, right)
    return declaration if domains == declaration.parameters else replace(declaration, parameters=domains)


def is_density_at(declaration: Declaration, p: Symbol, end: Expr) -> bool:
    """Whether the densities are real, finite and not all 0 where p is at its end."""
    return _is_density(declaration, RandomPoints(declaration, 61), {p: end}, 3)


def _is_density(declaration: Declaration, stream: RandomPoints, at: dict[Symbol, Expr], count: int) -> bool:
    lowest = [compile_expression(Minimum(s.density, s.all_columns)) for s in declaration.samples]
    highest = [compile_expression(Maximum(s.density, s.all_columns)) for s in declaration.samples]
    ends = {p: compile_expression(e) for p, e in at.items()}
    seen = 0
    for _ in range(4 * count):
        values = stream.parameters(stream.constants())
        rows = None if values is None else stream.samples(values, rows=8)
        if values is None or rows is None:
            continue
        numbers = as_numbers(values)
        rows = [_with_ends(declaration, sample, numbers) for sample in rows]
        numbers |= {p: mpmath.mpmathify(f(numbers, [])) for p, f in ends.items()}
        try:
            low = [mpmath.mpmathify(f(numbers, rows)) for f in lowest]
            high = [mpmath.mpmathify(f(numbers, rows)) for f in highest]
        except (ZeroDivisionError, ValueError, ArithmeticError, TypeError):
            return False
        if any(isinstance(v, mpmath.mpc) or not mpmath.isfinite(v) or v < 0 for v in (*low, *high)):
            return False
        if not all(v > 0 for v in high):
            return False
        seen += 1
        if seen == count:
            return True
    return False


def _with_ends(declaration: Declaration, sample: Rows, numbers: dict[Symbol, Any]) -> Rows:
    """Two rows more, where counts are at the ends of their supports."""
    columns = {}
    for c, column in sample.columns.items():
        support = declaration.supports.get(c)
        ends = [column[0], column[0]]
        if isinstance(support, Range | FiniteSet):
            for k, bound in enumerate((support.inf, support.sup)):
                if bound.is_finite is not False:
                    ends[k] = mpmath.mpmathify(compile_expression(bound)(numbers, []))
        columns[c] = [*column, *ends]
    return Rows(columns, [*sample.weights, mpmath.mpf(1), mpmath.mpf(1)])


def larger_spaces(declaration: Declaration, p: Symbol) -> Iterator[Larger]:
    """The usual open intervals on which the density is one, the largest first; last the domain without its ends."""
    domain = declaration.parameters[p]
    assert isinstance(domain, Interval)
    start, end = domain.start, domain.end
    tried = set()
    for candidate in (*LARGER, Interval.open(-oo, end), Interval.open(start, oo)):
        below = Interval.open(candidate.start, start) if candidate.start != start else None
        above = Interval.open(end, candidate.end) if candidate.end != end else None
        pieces = [piece for piece in (below, above) if piece is not None]
        if candidate in tried or any(not isinstance(piece, Interval) for piece in pieces):
            continue  # the candidate does not hold the domain
        tried.add(candidate)
        places = [v for v in PLACES if any(piece.contains(v) == True for piece in pieces)]  # noqa: E712
        if pieces and all(is_density_at(declaration, p, v) for v in places):
            if all(_holds_on(declaration, p, piece) for piece in pieces):
                yield _with_domain(declaration, p, candidate)
    yield _with_domain(declaration, p, Interval.open(start, end))


def _with_domain(declaration: Declaration, p: Symbol, domain: Interval) -> Larger:
    """The symbol gets the assumptions of its new domain, so that nothing is simplified by the old ones."""
    symbol = Symbol(p.name, **assumptions_of(domain))
    changed = renamed(declaration, {p: symbol})
    domains = {q: domain if q == symbol else d for q, d in changed.parameters.items()}
    back = {q: p if q == symbol else q for q in changed.parameters}
    return Larger(replace(changed, parameters=domains, normalise_at={}), back)


def _holds_on(declaration: Declaration, p: Symbol, piece: Interval) -> bool:
    """Whether the density is positive and normalises, by numbers, for p in the piece."""
    outside = _with_domain(declaration, p, piece).declaration
    if not _is_density(outside, RandomPoints(outside, 67), {}, 8):
        return False
    outside = replace(outside, constants=RandomPoints(outside, 69).constants())
    if any(part.given for part in outside.samples):
        outside = _at_one_covariate(outside)
    try:
        found = check_normalisation(outside, SECONDS)
    except ModelError:
        return False
    return found.value != "not checked"


def _at_one_covariate(declaration: Declaration) -> Declaration:
    """Conditioned columns at one value: the density of the others must normalise there."""
    stream = RandomPoints(declaration, 71)
    values = stream.parameters(stream.constants())
    rows = None if values is None else stream.samples(values, rows=1)
    if values is None or rows is None:
        return declaration
    samples = []
    for part, drawn in zip(declaration.samples, rows, strict=True):
        at = {z: _exact(drawn.columns[z][0]) for z in part.given}
        support = {x: s.xreplace(at) for x, s in part.support.items()}
        samples.append(replace(part, support=support, density=part.density.xreplace(at), given=()))
    return replace(declaration, samples=tuple(samples), given_domains={}, lags={})


def _exact(number: Any) -> Expr:
    return Rational(round(float(number) * 2**14), 2**14)


def degenerate_samples(
    declaration: Declaration, condition: Condition
) -> Iterator[tuple[dict[Symbol, Any], list[Rows]]]:
    """Samples on which a condition fails: columns that are constant, at the ends of the support or elsewhere."""
    if not isinstance(condition.expression, Relational):
        return
    stream = RandomPoints(declaration, 73)
    for attempt in range(6):
        values = stream.parameters(stream.constants())
        drawn = None if values is None else stream.samples(values, rows=6)
        if values is None or drawn is None:
            continue
        numbers = as_numbers(values)
        for rows in _on_lines(declaration, drawn, numbers, attempt):
            if holds(condition, numbers, rows) is False:
                yield numbers, rows
        for which in [None, *(c for part in declaration.samples for c in part.all_columns)]:
            for end in (0, 1, None):
                rows = [
                    Rows(
                        {
                            c: _constant(declaration, c, column, numbers, attempt, which, end)
                            for c, column in sample.columns.items()
                        },
                        sample.weights,
                    )
                    for sample in drawn
                ]
                if holds(condition, numbers, rows) is False:
                    yield numbers, rows


def _on_lines(
    declaration: Declaration, drawn: list[Rows], numbers: dict[Symbol, Any], attempt: int
) -> Iterator[list[Rows]]:
    """One column an affine function of another, rising or falling, in turn, where its support allows that."""
    slope = mpmath.mpf((-1) ** attempt * (attempt + 1)) / 2
    for k, sample in enumerate(drawn):
        for c in sample.columns:
            for other in sample.columns:
                if c != other:
                    line = [mpmath.mpf(1) / 3 + slope * v for v in sample.columns[other]]
                    support = declaration.supports.get(c) or declaration.given_domains.get(c)
                    if support is not None and not all(contains(support, v, numbers) for v in line):
                        continue
                    changed = Rows({**sample.columns, c: line}, sample.weights)
                    yield [*drawn[:k], changed, *drawn[k + 1 :]]


def _constant(
    declaration: Declaration,
    column: Symbol,
    drawn: Sequence[Any],
    numbers: dict[Symbol, Any],
    place: int,
    which: Symbol | None,
    end: int | None,
) -> list[Any]:
    """The column at an attained end of its support, or at one of its values; as drawn where another is meant."""
    if which not in (None, column):
        return list(drawn)
    value = drawn[place]
    support = declaration.supports.get(column)
    if end is not None and isinstance(support, Interval | Range | FiniteSet):
        bound = (support.inf, support.sup)[end]
        inside = not isinstance(support, Interval) or not (support.left_open, support.right_open)[end]
        if inside and bound.is_finite is not False:
            value = mpmath.mpmathify(compile_expression(bound)(numbers, []))
    return [value] * len(drawn)


__all__ = [
    "Larger",
    "closed_ends",
    "degenerate_samples",
    "is_density_at",
    "larger_spaces",
    "opened_where_undefined",
]
