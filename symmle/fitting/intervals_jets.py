"""Values with gradients and Hessians in enclosures, and the rows they are taken over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from symmle.fitting import intervals as iv
from symmle.fitting.intervals import Array, Interval
from symmle.fitting.intervals_functions import RULES, Rule, power_rule

SHIFTED_FROM = 100.0
_MOST_ROWS = 50_000


class NoEnclosureError(ValueError):
    """The expression holds something that has no enclosure here; the message names it."""


@dataclass(frozen=True, eq=False)
class Rows:
    """One sample as enclosures see it: columns (1, rows), their weights (1, rows), equal rows merged."""

    columns: dict[sp.Symbol, Array]
    weights: Array

    @property
    def shares(self) -> Array:
        return self.weights / self.weights.sum()

    @property
    def total(self) -> Interval:
        total = self.weights.sum()
        if np.all(self.weights == np.floor(self.weights)):
            return Interval.of([[total]])
        slack = total * 1e-15 * self.weights.size
        return Interval(np.array([[total - slack]]), np.array([[total + slack]]))

    @classmethod
    def of(cls, columns: Mapping[sp.Symbol, Array], weights: Array | None = None) -> Rows:
        """Rows of positive weight."""
        names = list(columns)
        table = np.stack([np.asarray(columns[c], dtype=float) for c in names])
        weight = np.ones(table.shape[1]) if weights is None else np.asarray(weights, dtype=float)
        table, weight = table[:, weight > 0], weight[weight > 0]
        if not table.shape[1]:
            raise NoEnclosureError("there are no rows of positive weight")
        if table.shape[1] > _MOST_ROWS:
            raise NoEnclosureError(
                f"{table.shape[1]} rows are more than enclosures are made for ({_MOST_ROWS})"
            )
        if not np.all(np.isfinite(table)):
            raise NoEnclosureError("the rows hold values that are not finite")
        distinct, inverse = np.unique(table, axis=1, return_inverse=True)
        merged = np.zeros(distinct.shape[1])
        np.add.at(merged, inverse.ravel(), weight)
        return cls({c: distinct[i][None, :] for i, c in enumerate(names)}, merged[None, :])


@dataclass(frozen=True, eq=False)
class Jet:
    """A value with its derivatives in the parameters (None where they vanish), all times exp(shift).

    The shift keeps what is beyond the range of floats: even whole numbers, one a box and row, constant in the
    parameters; None where there is none.
    """

    value: Interval
    gradient: tuple[Interval | None, ...]
    hessian: tuple[Interval | None, ...]  # entries (j, k), j <= k, row by row
    shift: Array | None = None

    def rescaled(self, shift: Array | None) -> Jet:
        """The same with another shift, at least its own where nothing is to overflow."""
        if self.shift is None and shift is None:
            return self
        gap = (0.0 if self.shift is None else self.shift) - (0.0 if shift is None else shift)
        if not np.any(gap):
            return Jet(self.value, self.gradient, self.hessian, shift)
        factor = iv.exponential(Interval.of(gap))
        value = self.value * factor
        return Jet(
            value,
            tuple(_times(g, factor) for g in self.gradient),
            tuple(_times(h, factor) for h in self.hessian),
            shift,
        )

    @property
    def plain(self) -> Jet:
        return self.rescaled(None)


class JetArithmetic:
    """Sums, products and functions of jets, in `parameters`, with derivatives up to `order`."""

    def __init__(self, parameters: tuple[sp.Symbol, ...], order: int):
        self.parameters = parameters
        self.order = order
        self.pairs = [(j, k) for j in range(len(parameters)) for k in range(j, len(parameters))]
        self.defined: NDArray[np.bool_] = np.ones((1, 1), dtype=bool)  # where all that was met is defined

    def _constant(self, value: Interval) -> Jet:
        if value.lo.ndim == 0:
            value = Interval(value.lo.reshape(1, 1), value.hi.reshape(1, 1))
        p = len(self.parameters)
        return Jet(value, (None,) * p, (None,) * len(self.pairs))

    def _sum(self, a: Jet, b: Jet) -> Jet:
        def add(u: Interval | None, v: Interval | None) -> Interval | None:
            return v if u is None else u if v is None else u + v

        shift = None
        if a.shift is not None or b.shift is not None:
            shift = np.maximum(0.0 if a.shift is None else a.shift, 0.0 if b.shift is None else b.shift)
            a, b = a.rescaled(shift), b.rescaled(shift)
        return Jet(
            a.value + b.value,
            tuple(map(add, a.gradient, b.gradient)),
            tuple(map(add, a.hessian, b.hessian)),
            shift,
        )

    def _product(self, a: Jet, b: Jet) -> Jet:
        gradient, hessian = [], []
        for u, v in zip(a.gradient, b.gradient, strict=True):
            gradient.append(_total([_times(u, b.value), _times(v, a.value)]))
        if self.order > 1:
            for index, (j, k) in enumerate(self.pairs):
                cross = [_times(a.gradient[j], b.gradient[k]), _times(a.gradient[k], b.gradient[j])]
                if j == k:
                    cross = [c.scaled(2.0) if c is not None else None for c in cross[:1]]
                ends = [_times(a.hessian[index], b.value), _times(b.hessian[index], a.value)]
                hessian.append(_total(ends + cross))
        shift = a.shift if b.shift is None else b.shift if a.shift is None else a.shift + b.shift
        if shift is not None and not np.any(shift):
            shift = None
        return Jet(a.value * b.value, tuple(gradient), tuple(hessian) or (None,) * len(self.pairs), shift)

    def _exponential(self, a: Jet) -> Jet:
        a = a.plain
        size = np.where(np.isfinite(a.value.middle), a.value.middle, 0.0)
        shift = np.where(np.abs(size) > SHIFTED_FROM, 2 * np.round(size / 2), 0.0)
        if not np.any(shift):
            return self._composed(RULES[sp.exp], a)
        inner = Jet(a.value - Interval.of(shift), a.gradient, a.hessian)
        found = self._composed(RULES[sp.exp], inner)
        return Jet(found.value, found.gradient, found.hessian, shift)

    def _within_domain(self, argument: Jet, inside: NDArray[np.bool_]) -> None:
        """Remembers the boxes on which an argument that moves may leave the domain of its function."""
        if any(g is not None for g in argument.gradient):
            self.defined = self.defined & np.all(inside, axis=-1, keepdims=True)

    def _logarithm(self, a: Jet) -> Jet:
        self._within_domain(a, a.value.lo > 0)
        if a.shift is None:
            return self._composed(RULES[sp.log], a)
        found = self._composed(RULES[sp.log], Jet(a.value, a.gradient, a.hessian))
        return Jet(found.value + Interval.of(a.shift), found.gradient, found.hessian)

    def _power(self, a: Jet, exponent: sp.Rational) -> Jet:
        if exponent < 0:
            self._within_domain(a, (a.value.lo > 0) | ((a.value.hi < 0) & bool(exponent.is_Integer)))
        elif not exponent.is_Integer:
            self._within_domain(a, a.value.lo >= 0)
        if a.shift is None or exponent.q > 2:
            return self._composed(power_rule(exponent), a)
        found = self._composed(power_rule(exponent), Jet(a.value, a.gradient, a.hessian))
        shift = a.shift * float(exponent)
        if np.any(shift % 2):
            return self._composed(power_rule(exponent), a)
        return Jet(found.value, found.gradient, found.hessian, shift)

    def _power_of_zero(self, below: Jet, power: Jet) -> Jet:
        """0**p = 0 for p > 0, with all derivatives in p, on rows where the base is exactly 0."""
        zero = (below.value.lo == 0) & (below.value.hi == 0)
        if any(g is not None for g in below.gradient):
            zero = np.zeros_like(zero)
        lifted = Jet(
            Interval(np.where(zero, 1.0, below.value.lo), np.where(zero, 1.0, below.value.hi)),
            below.gradient,
            below.hessian,
        )
        general = self._exponential(self._product(power, self._logarithm(lifted))).plain
        unknown = zero & ~(power.value.lo > 0)

        def mend(a: Interval | None) -> Interval | None:
            if a is None:
                return None
            return Interval(
                np.where(unknown, -np.inf, np.where(zero, 0.0, a.lo)),
                np.where(unknown, np.inf, np.where(zero, 0.0, a.hi)),
            )

        value = mend(general.value)
        assert value is not None
        return Jet(value, tuple(map(mend, general.gradient)), tuple(map(mend, general.hessian)))

    def _integer_powers(self, base: Jet, exponents: Array) -> Jet:
        """base**n with its own integer n in every row."""
        result: Jet | None = None
        for n in np.unique(exponents):
            piece = self._composed(power_rule(sp.Integer(int(n))), base)
            if result is None:
                result = piece
                continue
            mask = exponents == n

            def choose(u: Interval | None, v: Interval | None, mask: Array = mask) -> Interval | None:
                if u is None and v is None:
                    return None
                u = u if u is not None else Interval.of([[0.0]])
                v = v if v is not None else Interval.of([[0.0]])
                return iv.where(mask, u, v)

            value = choose(piece.value, result.value)
            assert value is not None
            result = Jet(
                value,
                tuple(map(choose, piece.gradient, result.gradient)),
                tuple(map(choose, piece.hessian, result.hessian)),
            )
        assert result is not None
        return result

    def _composed(self, rule: Rule, a: Jet) -> Jet:
        a = a.plain
        constant = all(g is None for g in a.gradient)
        order = 0 if constant else self.order
        outer = rule(a.value, order)
        if constant:
            return Jet(outer[0], a.gradient, a.hessian)
        gradient: tuple[Interval | None, ...] = (None,) * len(self.parameters)
        hessian: tuple[Interval | None, ...] = (None,) * len(self.pairs)
        if order:
            gradient = tuple(_times(g, outer[1]) for g in a.gradient)
        if order > 1:
            entries = []
            for index, (j, k) in enumerate(self.pairs):
                left, right = a.gradient[j], a.gradient[k]
                if left is None or right is None:
                    bend = None
                else:
                    bend = (iv.square(left) if j == k else left * right) * outer[2]
                entries.append(_total([bend, _times(a.hessian[index], outer[1])]))
            hessian = tuple(entries)
        return Jet(outer[0], gradient, hessian)


def _times(a: Interval | None, b: Interval | None) -> Interval | None:
    return None if a is None or b is None else a * b


def _total(terms: list[Interval | None]) -> Interval | None:
    found: Interval | None = None
    for t in terms:
        if t is not None:
            found = t if found is None else found + t
    return found
