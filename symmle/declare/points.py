"""Admissible points of a parameter space: deterministic, moderate, away from its edges."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from sympy import Expr, FiniteSet, Interval, Range, Set, Symbol

from symmle.declare.declaration import Declaration
from symmle.declare.domains import set_of_assumptions
from symmle.declare.folding import bounds_at, number_at
from symmle.declare.numbers import NotComputed

Point = dict[Symbol, Any]
MOST_TRIES = 200


def admissible_points(declaration: Declaration, count: int) -> Iterator[Point]:
    """Points with all domains, `where`, constraints, weights and supports respected.

    Values of the constants, and of covariates and lags whose domain is declared, stand in them too.
    """
    found = 0
    for number in range(1, MOST_TRIES + 1):
        try:
            point = _point(declaration, number)
            admissible = is_admissible(declaration, point)
        except NotComputed:
            continue
        if admissible:
            yield point
            found += 1
            if found == count:
                return


def declared_point(declaration: Declaration) -> Point | None:
    """The point of `normalise_at`, the rest filled in; None if there is none."""
    if not declaration.normalise_at:
        return None
    for number in range(1, MOST_TRIES + 1):
        try:
            point = {**_point(declaration, number), **declaration.normalise_at}
            if is_admissible(declaration, point):
                return point
        except NotComputed:
            continue
    return None


def is_admissible(declaration: Declaration, point: Point) -> bool:
    """Whether a point lies in the parameter space, with supports that are not empty."""
    for parameter, domain in declaration.parameters.items():
        if not _inside(number_at(parameter, point), domain, point):
            return False
    if any(not number_at(w, point) > 1e-9 for w in declaration.where):
        return False
    if any(abs(number_at(c, point)) > 1e-9 for c in declaration.constraints):
        return False
    for part in declaration.samples:
        for weight, _ in part.components:
            if not weight.free_symbols & set(part.given) and not 0 <= number_at(weight, point) <= 1:
                return False
        for support in part.support.values():
            if isinstance(support, (Interval, Range)) and not support.free_symbols - set(point):
                low, high = bounds_at(support, point)
                if low > high or (isinstance(support, Interval) and low == high):
                    return False
    return True


def _inside(value: float, domain: Set, point: Point) -> bool:
    if isinstance(domain, FiniteSet):
        return any(abs(value - number_at(e, point)) < 1e-12 for e in domain.args)
    low, high = bounds_at(domain, point)
    if isinstance(domain, Range):
        return low <= value <= high and value == math.floor(value)
    left = low < value if domain.left_open else low <= value
    right = value < high if domain.right_open else value <= high
    return left and right


def _fractions(number: int, which: int) -> float:
    """A number in (0, 1): the fractional parts of multiples of square roots of primes."""
    prime = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43)[which % 14]
    return math.fmod((number + which // 14) * math.sqrt(prime) + 0.37, 1.0)


def _point(declaration: Declaration, number: int) -> Point:
    point: Point = {}
    which = 0
    for constant, value in declaration.constants.items():
        if value is None:
            domain = set_of_assumptions(constant, f"constant `{constant}`")
            value = _value(domain, _fractions(number, which), number, 1.0, point)
            which += 1
        point[constant] = value
    # a simplex of k parameters is met by small values alone
    shrink = (1.0, 0.5, 1.0 / max(1, len(declaration.parameters)))[number % 3]
    waiting = dict(declaration.parameters)
    while waiting:
        ready = [p for p, d in waiting.items() if not d.free_symbols & set(waiting)]
        for parameter in ready or list(waiting):
            domain = waiting.pop(parameter)
            point[parameter] = _value(domain, _fractions(number, which), number, shrink, point)
            which += 1
    for given, domain in declaration.given_domains.items():
        point[given] = _value(domain, _fractions(number, which), number, 1.0, point)
        which += 1
    for constraint in declaration.constraints:
        _solve(constraint, declaration, point)
    return point


def _value(domain: Set, fraction: float, number: int, shrink: float, point: Point) -> float:
    if isinstance(domain, FiniteSet):
        return number_at(domain.args[number % len(domain.args)], point)
    low, high = bounds_at(domain, point)
    if isinstance(domain, Range):
        if math.isinf(low) and math.isinf(high):
            return float(math.floor(7 * fraction) - 3)
        if math.isinf(high):
            return low + 2 + math.floor(4 * fraction)
        if math.isinf(low):
            return high - 2 - math.floor(4 * fraction)
        return low + math.floor((high - low + 1) * fraction)
    if math.isinf(low) and math.isinf(high):
        return round(-1.2 + 2.4 * fraction, 3)
    if math.isinf(high):
        return (
            round(low + 0.7 + 1.6 * fraction, 3)
            if abs(low) < 1e6
            else low + (0.7 + 1.6 * fraction) * abs(low)
        )
    if math.isinf(low):
        return (
            round(high - 0.7 - 1.6 * fraction, 3) if abs(high) < 1e6 else high - (0.7 + fraction) * abs(high)
        )
    share = (0.15 + 0.7 * fraction) * shrink
    value = low + (high - low) * share
    return round(value, 3) if low < round(value, 3) < high else value


def _solve(constraint: Expr, declaration: Declaration, point: Point) -> None:
    """Moves one parameter, in which the constraint is linear, onto the constraint."""
    for parameter in reversed(list(declaration.parameters)):
        slope = constraint.diff(parameter)
        if slope.is_zero or parameter in slope.free_symbols:
            continue
        steepness = number_at(slope, point)
        if steepness:
            point[parameter] = number_at(parameter, point) - number_at(constraint, point) / steepness
            return
    raise NotComputed("no parameter enters the constraint linearly")
