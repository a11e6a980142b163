"""Expansion of an expression in sample operators on a whole tail of its one parameter.

The parameter is written t = s u, -s u, a + s/u or b - s/u with u >= 256 (s sets where the tail begins), every
row of the sample gets its own series, and special functions enter by their asymptotic series with bounded
remainder. What comes out holds at every point of the tail, not only in the limit.
"""

from __future__ import annotations

from fractions import Fraction
from time import monotonic

import sympy as sp

from symmle.fitting.intervals_asymptotics import Asymptotics
from symmle.fitting.intervals_functions import RULES, lambert_rule
from symmle.fitting.intervals_growth import Growth, Series
from symmle.fitting.intervals_numbers import Bounds, Number, UnresolvedError
from symmle.fitting.intervals_program import Evaluation, NoEnclosureError, Rows
from symmle.sample import Count, Maximum, Mean, Minimum, SampleOperator, Total


class Tail(Asymptotics):
    """The t with t >= 256 size (t <= -256 size) for the end oo (-oo), or within size/256 of a finite end.

    `side` is 1 where the end is the upper one. A size that is a square of a short number lets square roots
    of the parameter have exact coefficients.
    """

    def __init__(
        self,
        variable: sp.Symbol,
        size: Fraction,
        end: sp.Expr,
        side: int,
        samples: tuple[Rows, ...],
        deadline: float,
        order: int = 3,
        length: int = 6,
    ):
        super().__init__(Growth(order, length))
        self.variable = variable
        self.deadline = deadline
        self.samples = {frozenset(rows.columns): rows for rows in samples}
        self.column_samples = {c: rows for rows in samples for c in rows.columns}
        self._plain = Evaluation({}, samples, 0)
        self._known: dict[tuple[sp.Basic, int | None], Series] = {}
        u = self.growth.u
        if end in (sp.oo, -sp.oo):
            self._variable = {u: self._rational(side * size)}
        else:
            falling = self.growth.quotient(0, u)
            limit = self.growth.constant(self._constant_of(end))
            self._variable = self.growth.add(limit, {falling: self._rational(-side * size)})

    def bounds(self, expression: sp.Expr) -> Bounds:
        """An enclosure of all values on the tail; raises UnresolvedError or NoEnclosureError."""
        return self.growth.bounds(self.series(expression, None))

    # -- expressions ---------------------------------------------------------------------------------

    def series(self, e: sp.Basic, row: int | None) -> Series:
        key = (e, row if row is not None and e.free_symbols & set(self.column_samples) else None)
        found = self._known.get(key)
        if found is None:
            if monotonic() > self.deadline:
                raise UnresolvedError("the time for this tail is over")
            found = self._known[key] = self._expand(e, row)
        return found

    def _expand(self, e: sp.Basic, row: int | None) -> Series:
        grow = self.growth
        if isinstance(e, SampleOperator):
            return self._statistic(e)
        if e.is_number:
            return grow.constant(self._constant_of(e))
        if isinstance(e, sp.Symbol):
            if e == self.variable:
                return self._variable
            if e in self.column_samples and row is not None:
                return grow.constant(
                    self._rational(Fraction(float(self.column_samples[e].columns[e][0, row])))
                )
            raise NoEnclosureError(f"the symbol {e} has no value")
        if isinstance(e, sp.Add):
            return self._sum(e, row)
        if isinstance(e, sp.Mul):
            return self._product(e, row)
        if isinstance(e, sp.Pow):
            return self._power(e, row)
        if isinstance(e, sp.exp):
            return grow.exponential(self.series(e.args[0], row))
        if isinstance(e, sp.log):
            return self._logarithm(e.args[0], row)
        if isinstance(e, sp.Piecewise):
            return self._cases(e, row)
        return self._function(e, row)

    def _statistic(self, e: SampleOperator) -> Series:
        rows = self.samples.get(frozenset(e.columns))
        if rows is None:
            raise NoEnclosureError(f"no sample has the columns of {e}")
        weights = [Fraction(float(w)) for w in rows.weights[0]]
        total = sum(weights, Fraction(0))
        if isinstance(e, Count):
            return self.growth.constant(self._rational(total))
        if isinstance(e, Mean | Total):
            count = total if isinstance(e, Mean) else Fraction(1)
            collected = []
            for i, w in enumerate(weights):
                collected.append(self.growth.scale(self.series(e.summand, i), self._rational(w / count)))
            return self.growth.add(*collected)
        if isinstance(e, Minimum | Maximum) and self.variable not in e.free_symbols:
            values = [self._limit(self.series(e.summand, i)) for i in range(len(weights))]
            pick = min if isinstance(e, Minimum) else max
            return self.growth.constant(pick(values, key=lambda v: v.bounds[0]))
        raise NoEnclosureError(f"{type(e).__name__} has no expansion")

    def _limit(self, series: Series) -> Number:
        if not series:
            return self._rational(0)
        if set(series) == {0} and series[0].is_rational:
            return series[0]
        raise UnresolvedError("an order statistic of values that are not exact")

    def _sum(self, e: sp.Add, row: int | None) -> Series:
        parts = [self.series(a, row) for a in e.args]
        for index, term in enumerate(e.args):
            root = next(
                (f for f in sp.Mul.make_args(term) if isinstance(f, sp.Pow) and f.exp == sp.S.Half), None
            )
            rest = (
                self.growth.add(*(p for k, p in enumerate(parts) if k != index)) if root is not None else {}
            )
            if not rest or not parts[index]:
                continue
            top, other = self.growth.leading(parts[index]), self.growth.leading(rest)
            if top == other and parts[index][top].sign() == -rest[top].sign():
                # R + sqrt(Q) = (Q - R**2)/(sqrt(Q) - R): the difference of near equals is taken symbolically
                remaining = e - term
                upper = sp.expand(term**2 - remaining**2)
                below = self.growth.add(parts[index], self.growth.negative(rest))
                return self.growth.multiply(self.series(upper, row), self.growth.inverse(below))
        return self.growth.add(*parts)

    def _product(self, e: sp.Mul, row: int | None) -> Series:
        factors = list(e.args)
        found: Series = self.growth.constant(self._rational(1))
        for f in list(factors):
            if not isinstance(f, sp.besseli):
                continue
            for g in factors:
                if (
                    isinstance(g, sp.Pow)
                    and g.exp == -1
                    and isinstance(g.base, sp.besseli)
                    and g.base.args[1] == f.args[1]
                ):
                    factors.remove(f)
                    factors.remove(g)
                    found = self.growth.multiply(found, self._bessel_quotient(f, g.base, row))
                    break
        parts = []
        for f in factors:
            if (
                isinstance(f, sp.log)
                and isinstance(f.args[0], sp.Abs | sp.Symbol)
                and not self.series(f.args[0], row)
            ):
                # log 0 stands only beside a power of 0: 0**p log 0 = 0 for p > 0
                if any(not self.series(g, row) for g in factors if g is not f):
                    return {}
            parts.append(self.series(f, row))
        for part in parts:
            found = self.growth.multiply(found, part)
        return found

    def _power(self, e: sp.Pow, row: int | None) -> Series:
        base = self.series(e.base, row)
        if e.exp.is_Rational:
            if not base:
                if e.exp > 0:
                    return {}
                raise UnresolvedError("a negative power of zero")
            return self.growth.rational_power(base, Fraction(int(e.exp.p), int(e.exp.q)))
        exponent = self.series(e.exp, row)
        if not exponent:
            return self.growth.constant(self._rational(1))
        if not base:
            if self.growth.shape(exponent)[1].sign() > 0:
                return {}
            raise UnresolvedError("a power of zero whose exponent is not positive")
        if set(exponent) == {0} and exponent[0].is_rational:
            return self.growth.rational_power(base, exponent[0].fraction)
        return self.growth.exponential(self.growth.multiply(exponent, self._log_series(base)))

    def _log_series(self, series: Series) -> Series:
        return self.growth.logarithm(series)

    def _logarithm(self, inside: sp.Expr, row: int | None) -> Series:
        if isinstance(inside, sp.besseli):
            return self._log_bessel(self._order_of(inside, row), self.series(inside.args[1], row))
        if isinstance(inside, sp.factorial):
            return self._log_gamma(self.series(inside.args[0] + 1, row))
        if isinstance(inside, sp.gamma):
            return self._log_gamma(self.series(inside.args[0], row))
        if isinstance(inside, sp.exp):
            return self.series(inside.args[0], row)
        if isinstance(inside, sp.Pow) and not isinstance(inside.base, sp.Pow) and inside.base.is_positive:
            return self.growth.multiply(self.series(inside.exp, row), self.series(sp.log(inside.base), row))
        return self._log_series(self.series(inside, row))

    def _function(self, e: sp.Basic, row: int | None) -> Series:
        grow = self.growth
        if isinstance(e, sp.Abs | sp.sign):
            inner = self.series(e.args[0], row)
            if not inner:
                return {}
            sign = grow.shape(inner)[1].sign()
            if isinstance(e, sp.sign):
                self._settled(inner)
                return grow.constant(self._rational(sign))
            self._settled(inner)
            return inner if sign > 0 else grow.negative(inner)
        if isinstance(e, sp.loggamma):
            return self._log_gamma(self.series(e.args[0], row))
        if isinstance(e, sp.gamma):
            return grow.exponential(self._log_gamma(self.series(e.args[0], row)))
        if isinstance(e, sp.factorial):
            return grow.exponential(self._log_gamma(self.series(e.args[0] + 1, row)))
        if isinstance(e, sp.polygamma) and e.args[0].is_Integer and e.args[0] >= 0:
            return self._polygamma(int(e.args[0]), self.series(e.args[1], row))
        if isinstance(e, sp.digamma):
            return self._polygamma(0, self.series(e.args[0], row))
        if isinstance(e, sp.besseli):
            return grow.exponential(self._log_bessel(self._order_of(e, row), self.series(e.args[1], row)))
        if isinstance(e, sp.tanh | sp.sinh | sp.cosh | sp.coth):
            return self.series(e.rewrite(sp.exp), row)
        if isinstance(e, sp.beta | sp.binomial):
            return self.series(e.rewrite(sp.gamma), row)
        if isinstance(e, sp.erf):
            return self._error_function(self.series(e.args[0], row), complementary=False)
        if isinstance(e, sp.erfc):
            return self._error_function(self.series(e.args[0], row), complementary=True)
        if isinstance(e, sp.atan):
            return self._arctangent(self.series(e.args[0], row))
        if isinstance(e, sp.LambertW):
            branch = 0 if len(e.args) == 1 else int(e.args[1])
            return self._smooth(("lambert", branch), lambert_rule(branch), self.series(e.args[0], row))
        rule = RULES.get(type(e))
        if rule is not None and len(e.args) == 1:
            return self._smooth(type(e).__name__, rule, self.series(e.args[0], row))
        if self.variable not in e.free_symbols:
            return self._data_alone(e, row)
        raise NoEnclosureError(f"{type(e).__name__} has no expansion")

    def _data_alone(self, e: sp.Basic, row: int | None) -> Series:
        jet = self._plain.enclosure(e)
        index = row if row is not None and jet.value.lo.shape[-1] > 1 else 0
        bounds = float(jet.value.lo[0, index]), float(jet.value.hi[0, index])
        return self.growth.constant(self.growth.atoms.atom((e, index), lambda: bounds))

    def _cases(self, e: sp.Piecewise, row: int | None) -> Series:
        for piece, condition in e.args:
            if condition is sp.true:
                return self.series(piece, row)
            mask = self._plain._mask(condition)
            if mask[0, row if row is not None and mask.shape[-1] > 1 else 0]:
                return self.series(piece, row)
        raise NoEnclosureError("a Piecewise without an otherwise has no expansion")

    def _order_of(self, e: sp.Expr, row: int | None) -> Fraction:
        nu = self.series(e.args[0], row)
        if nu and (set(nu) != {0} or not nu[0].is_rational):
            raise NoEnclosureError(f"the order of {e} is not a known number")
        order = nu[0].fraction if nu else Fraction(0)
        if order < 0 and order.denominator != 1:
            raise NoEnclosureError(f"the order of {e} is negative and no integer")
        return abs(order)

    def _bessel_quotient(self, upper: sp.Expr, lower: sp.Expr, row: int | None) -> Series:
        top, bottom = self._order_of(upper, row), self._order_of(lower, row)
        if abs(top - bottom) != 1:
            raise NoEnclosureError("a quotient of Bessel functions whose orders do not differ by one")
        ratio = self._bessel_ratio(min(top, bottom), self.series(upper.args[1], row))
        return ratio if top > bottom else self.growth.inverse(ratio)
