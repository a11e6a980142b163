"""Enclosures of an expression in sample operators: values, gradients and Hessians over boxes of parameters.

Numbers that belong to rows are arrays (boxes, rows), all others (boxes, 1). Derivatives are carried forward
with the values, so that the mean value form of anything is at hand.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import sympy as sp
from sympy.logic.boolalg import Boolean

from symmle.fitting import intervals as iv
from symmle.fitting.intervals import Array, Interval
from symmle.fitting.intervals_functions import (
    RULES,
    bessel_ratio_rule,
    expm1_rule,
    lambert_rule,
    log_bessel_rule,
    polygamma_rule,
)
from symmle.fitting.intervals_jets import SHIFTED_FROM, Jet, JetArithmetic, NoEnclosureError, Rows
from symmle.sample import Count, Maximum, Mean, Minimum, SampleOperator, Total


class Evaluation(JetArithmetic):
    """Enclosures over one stack of boxes. `boxes` maps parameters to intervals of shape (boxes, 1)."""

    def __init__(self, boxes: Mapping[sp.Symbol, Interval], samples: tuple[Rows, ...], order: int):
        self.boxes = boxes
        self.samples = {frozenset(rows.columns): rows for rows in samples}
        self.columns = {c: rows.columns[c] for rows in samples for c in rows.columns}
        super().__init__(tuple(boxes), order)
        self._known: dict[sp.Basic, Jet] = {}

    def enclosure(self, expression: sp.Expr) -> Jet:
        """Value and derivatives as they are."""
        return self.jet(expression).plain

    def jet(self, expression: sp.Expr) -> Jet:
        found = self._known.get(expression)
        if found is None:
            found = self._known[expression] = self._evaluate(expression)
        return found

    # -- expressions ------------------------------------------------------------------------------

    def _evaluate(self, e: sp.Expr) -> Jet:
        if e.is_number and not e.has(SampleOperator):
            return self._constant(enclosed_number(e))
        if isinstance(e, sp.Symbol):
            return self._symbol(e)
        if isinstance(e, SampleOperator):
            return self._statistic(e)
        if isinstance(e, sp.Add):
            return self._of_sum(e)
        if isinstance(e, sp.Mul):
            return self._of_product(e)
        if isinstance(e, sp.Pow):
            return self._of_power(e)
        if isinstance(e, sp.log):
            return self._of_logarithm(e)
        if isinstance(e, sp.Piecewise):
            return self._of_cases(e)
        return self._of_function(e)

    def _symbol(self, s: sp.Symbol) -> Jet:
        if s in self.boxes:
            box = self.boxes[s]
            one = Interval(np.ones_like(box.lo), np.ones_like(box.lo)) if self.order else None
            gradient = tuple(one if s == q else None for q in self.parameters)
            return Jet(box, gradient, (None,) * len(self.pairs))
        if s in self.columns:
            return self._constant(Interval.of(self.columns[s]))
        raise NoEnclosureError(f"the symbol {s} has no value")

    def _statistic(self, e: SampleOperator) -> Jet:
        rows = self.samples.get(frozenset(e.columns))
        if rows is None:
            raise NoEnclosureError(f"no sample has the columns of {e}")
        if isinstance(e, Count):
            return self._constant(rows.total)
        if isinstance(e, Mean | Total):
            inner = self.jet(e.summand)
            shift = None
            if inner.shift is not None:
                shift = inner.shift.max(axis=-1, keepdims=True)
                inner = inner.rescaled(np.broadcast_to(shift, inner.shift.shape))
            mean = Jet(
                iv.weighted_mean(_spread(inner.value, rows), rows.shares),
                tuple(
                    None if g is None else iv.weighted_mean(_spread(g, rows), rows.shares)
                    for g in inner.gradient
                ),
                tuple(
                    None if h is None else iv.weighted_mean(_spread(h, rows), rows.shares)
                    for h in inner.hessian
                ),
                shift,
            )
            if isinstance(e, Total):
                return self._product(mean, self._constant(rows.total))
            return mean
        if isinstance(e, Minimum | Maximum) and not e.summand.free_symbols & set(self.parameters):
            inner = self.enclosure(e.summand)
            pick = np.min if isinstance(e, Minimum) else np.max
            return self._constant(
                Interval(
                    pick(inner.value.lo, axis=-1, keepdims=True), pick(inner.value.hi, axis=-1, keepdims=True)
                )
            )
        raise NoEnclosureError(f"{type(e).__name__} has no enclosure")

    def _of_sum(self, e: sp.Add) -> Jet:
        terms = list(e.args)
        # c - c exp(A) is -c expm1(A): 1 - exp(A) near A = 0 loses all figures
        number = next((t for t in terms if t.is_Rational), None)
        if number is not None:
            for t in terms:
                factor, rest = t.as_coeff_Mul()
                if factor == -number and isinstance(rest, sp.exp):
                    power = self.enclosure(rest.args[0])
                    if np.any(power.value.hi > SHIFTED_FROM):
                        break
                    grown = self._composed(expm1_rule, power)
                    terms.remove(number)
                    terms.remove(t)
                    total = self._product(self._constant(enclosed_number(factor)), grown)
                    for other in terms:
                        total = self._sum(total, self.jet(other))
                    return total
        total = self.jet(terms[0])
        for t in terms[1:]:
            total = self._sum(total, self.jet(t))
        return self._beside_conjugate(e, total)

    def _beside_conjugate(self, e: sp.Add, direct: Jet) -> Jet:
        """R + sqrt(Q) = (Q - R**2)/(sqrt(Q) - R): one of the two loses no figures."""
        roots = [
            t
            for t in e.args
            if any(isinstance(f, sp.Pow) and f.exp == sp.S.Half for f in sp.Mul.make_args(t))
        ]
        if len(roots) != 1:
            return direct
        root, rest = roots[0], e - roots[0]
        if not (root.free_symbols | rest.free_symbols) & set(self.parameters):
            return direct
        upper = self.jet(sp.expand(root**2 - rest**2))
        below = self._sum(
            self.jet(root), self._product(self._constant(Interval.of([[-1.0]])), self.jet(rest))
        )
        defined = self.defined  # where the conjugate is not defined, its enclosure is the whole line
        other, direct = self._product(upper, self._power(below, sp.S.NegativeOne)).plain, direct.plain
        self.defined = defined

        def both(a: Interval | None, b: Interval | None) -> Interval | None:
            return None if a is None or b is None else a.intersection(b)

        return Jet(
            direct.value.intersection(other.value),
            tuple(map(both, direct.gradient, other.gradient)),
            tuple(map(both, direct.hessian, other.hessian)),
        )

    def _of_product(self, e: sp.Mul) -> Jet:
        factors = list(e.args)
        total: Jet | None = None
        for f in list(factors):
            if not isinstance(f, sp.besseli):
                continue
            for g in factors:
                if isinstance(g, sp.Pow) and g.exp == -1 and isinstance(g.base, sp.besseli):
                    ratio = self._bessel_quotient(f, g.base)
                    if ratio is not None:
                        factors.remove(f)
                        factors.remove(g)
                        total = ratio if total is None else self._product(total, ratio)
                        break
        for f in list(factors):
            if not isinstance(f, Mean):
                continue
            for g in factors:
                if (
                    isinstance(g, sp.Pow)
                    and g.exp == -1
                    and isinstance(g.base, Mean)
                    and g.base.columns == f.columns
                ):
                    factors.remove(f)
                    factors.remove(g)
                    average = self._weighted_average(f, g.base)
                    total = average if total is None else self._product(total, average)
                    break
        for f in factors:
            total = self.jet(f) if total is None else self._product(total, self.jet(f))
        assert total is not None
        return total

    def _weighted_average(self, upper: Mean, lower: Mean) -> Jet:
        """Mean(h w)/Mean(w), w > 0, lies between the least and the largest h."""
        a, b = self.jet(upper), self.jet(lower)
        jet = self._product(a, self._power(b, sp.S.NegativeOne)).plain
        weight = self.jet(lower.summand)
        defined = self.defined  # where the simplified quotient is not, its enclosure is the whole line
        quotient = self.enclosure(sp.powsimp(upper.summand / lower.summand))
        self.defined = defined
        h = _spread(quotient.value, self.samples[frozenset(upper.columns)])
        positive = np.all(weight.value.lo >= 0, axis=-1, keepdims=True)
        lo = np.where(positive, h.lo.min(axis=-1, keepdims=True), -np.inf)
        hi = np.where(positive, h.hi.max(axis=-1, keepdims=True), np.inf)
        return Jet(jet.value.intersection(Interval(lo, hi)), jet.gradient, jet.hessian)

    def _bessel_quotient(self, upper: sp.Expr, lower: sp.Expr) -> Jet | None:
        if upper.args[1] != lower.args[1] or abs(sp.expand(upper.args[0] - lower.args[0])) != 1:
            return None
        top, bottom = self._order_of(upper), self._order_of(lower)
        argument = self.enclosure(upper.args[1])
        self._within_domain(argument, argument.value.lo >= 0)
        least = np.minimum(top, bottom)
        grows = top > bottom

        def rule(a: Interval, order: int) -> list[Interval]:
            ratio = bessel_ratio_rule(least)(a, order)
            inverse = [iv.reciprocal(ratio[0])]
            if order:
                inverse.append(-(ratio[1] * iv.square(inverse[0])))
            if order > 1:
                bend = (iv.square(ratio[1]) * inverse[0]).scaled(2.0) - ratio[2]
                inverse.append(bend * iv.square(inverse[0]))
            return [iv.where(grows, r, i) for r, i in zip(ratio, inverse, strict=True)]

        return self._composed(rule, argument)

    def _log_bessel(self, e: sp.Expr) -> Jet:
        argument = self.enclosure(e.args[1])
        self._within_domain(argument, argument.value.lo >= 0)
        return self._composed(log_bessel_rule(self._order_of(e)), argument)

    def _order_of(self, e: sp.Expr) -> Array:
        order = self.enclosure(e.args[0])
        nu = order.value.middle
        if e.args[0].is_integer:
            nu = np.round(nu)
        unknown = np.any(order.value.lo != order.value.hi) and not e.args[0].is_integer
        if any(g is not None for g in order.gradient) or unknown:
            raise NoEnclosureError(f"the order of {e} is not a known number")
        if np.any((nu < 0) & (nu != np.floor(nu))):
            raise NoEnclosureError(f"the order of {e} is negative and no integer")
        return np.abs(nu)

    def _of_power(self, e: sp.Pow) -> Jet:
        base, exponent = e.base, e.exp
        if exponent.is_Rational:
            return self._power(self.jet(base), exponent)
        power = self.enclosure(exponent)
        constant = all(g is None for g in power.gradient)
        below = self.enclosure(base)
        if (
            constant
            and np.all(power.value.lo == power.value.hi)
            and np.all(power.value.lo == np.floor(power.value.lo))
        ):
            return self._integer_powers(below, power.value.lo)
        if np.any((below.value.lo <= 0) & (below.value.hi >= 0)) and np.any(below.value.lo == 0):
            return self._power_of_zero(below, power)
        return self._exponential(self._product(power, self._logarithm(self.jet(base))))

    def _of_logarithm(self, e: sp.log) -> Jet:
        inside = e.args[0]
        if isinstance(inside, sp.besseli):
            return self._log_bessel(inside)
        if isinstance(inside, sp.gamma | sp.factorial):
            return self._log_gamma(inside.args[0] + 1 if isinstance(inside, sp.factorial) else inside.args[0])
        if isinstance(inside, sp.exp):
            return self.jet(inside.args[0])
        found = self._logarithm(self.jet(inside))
        if isinstance(inside, sp.Add) and sp.S.One in inside.args:
            rest = self.enclosure(inside - 1).value
            sharper = found.value.intersection(iv.logarithm_of_one_plus(rest))
            return Jet(sharper, found.gradient, found.hessian)
        return found

    def _log_gamma(self, argument: sp.Expr) -> Jet:
        jet = self.enclosure(argument)
        self._within_domain(jet, jet.value.lo > 0)
        return self._composed(RULES[sp.loggamma], jet)

    def _of_function(self, e: sp.Expr) -> Jet:
        if isinstance(e, sp.exp):
            return self._exponential(self.jet(e.args[0]))
        rule = RULES.get(type(e))
        if rule is not None and len(e.args) == 1:
            argument = self.enclosure(e.args[0])
            if isinstance(e, sp.loggamma):
                self._within_domain(argument, argument.value.lo > 0)
            return self._composed(rule, argument)
        order = {sp.digamma: 0, sp.trigamma: 1}.get(type(e))
        if isinstance(e, sp.polygamma) and e.args[0].is_Integer and e.args[0] >= 0:
            order = int(e.args[0])
        if order is not None:
            argument = self.enclosure(e.args[-1])
            self._within_domain(argument, argument.value.lo > 0)
            return self._composed(polygamma_rule(order), argument)
        if isinstance(e, sp.gamma | sp.factorial):
            return self._exponential(
                self._log_gamma(e.args[0] + 1 if isinstance(e, sp.factorial) else e.args[0])
            )
        if isinstance(e, sp.LambertW):
            branch = 0 if len(e.args) == 1 else int(e.args[1])
            argument = self.enclosure(e.args[0])
            self._within_domain(
                argument, (argument.value.lo > -0.36787944) & ((branch == 0) | (argument.value.hi < 0))
            )
            return self._composed(lambert_rule(branch), argument)
        if isinstance(e, sp.besseli):
            return self._exponential(self._log_bessel(e))
        if isinstance(e, sp.atan2):
            y, x = self.enclosure(e.args[0]), self.enclosure(e.args[1])
            if all(g is None for g in (*y.gradient, *x.gradient)):
                return self._constant(iv.arctangent_of_quotient(y.value, x.value))
        if isinstance(e, sp.beta | sp.binomial):
            return self.jet(e.rewrite(sp.gamma))
        raise NoEnclosureError(f"{type(e).__name__} has no enclosure")

    def _of_cases(self, e: sp.Piecewise) -> Jet:
        """Pieces told apart by the data alone."""
        result: Jet | None = None
        for piece, condition in reversed(e.args):
            jet = self.enclosure(piece)
            if result is None:
                if condition is not sp.true:
                    raise NoEnclosureError("a Piecewise without an otherwise has no enclosure")
                result = jet
                continue
            mask = self._mask(condition)

            def choose(u: Interval | None, v: Interval | None, mask: Array = mask) -> Interval | None:
                if u is None and v is None:
                    return None
                zero = Interval.of([[0.0]])
                return iv.where(mask, u if u is not None else zero, v if v is not None else zero)

            value = choose(jet.value, result.value)
            assert value is not None
            result = Jet(
                value,
                tuple(map(choose, jet.gradient, result.gradient)),
                tuple(map(choose, jet.hessian, result.hessian)),
            )
        assert result is not None
        return result

    def _mask(self, condition: Boolean) -> Array:
        if condition in (sp.true, sp.false):
            return np.array([[condition is sp.true]])
        if isinstance(condition, sp.And):
            return np.logical_and.reduce([self._mask(c) for c in condition.args])
        if isinstance(condition, sp.Or):
            return np.logical_or.reduce([self._mask(c) for c in condition.args])
        if isinstance(condition, sp.Not):
            return np.logical_not(self._mask(condition.args[0]))
        if isinstance(condition, sp.core.relational.Relational):
            a, b = self.enclosure(condition.lhs), self.enclosure(condition.rhs)
            u, v = a.value, b.value
            if np.array_equal(u.lo, u.hi) and np.array_equal(v.lo, v.hi):
                compare = {
                    sp.Eq: np.equal, sp.Ne: np.not_equal, sp.Lt: np.less, sp.Le: np.less_equal,
                    sp.Gt: np.greater, sp.Ge: np.greater_equal,
                }.get(type(condition))  # fmt: skip
                if compare is not None:
                    return compare(u.lo, v.lo)
        raise NoEnclosureError(f"the condition {condition} is not decided by the data")


def _spread(a: Interval, rows: Rows) -> Interval:
    """Repeated over the rows where it is the same for all."""
    if a.lo.shape[-1] == rows.shares.shape[-1]:
        return a
    shape = (a.lo.shape[0], rows.shares.shape[-1])
    return Interval(np.broadcast_to(a.lo, shape), np.broadcast_to(a.hi, shape))


def enclosed_number(e: sp.Expr) -> Interval:
    """The float interval around a SymPy number."""
    if e.is_Rational:
        nearest = float(e)
        if np.isfinite(nearest) and sp.Rational(nearest) == e:
            return Interval.of(nearest)
    else:
        precise = e.evalf(30)
        if not (precise.is_Float or precise.is_Rational):
            raise NoEnclosureError(f"{e} is no finite real number")
        nearest = float(precise)
    slack = abs(nearest) * 2.0**-51 + 1e-320
    return Interval(np.float64(nearest - slack), np.float64(nearest + slack))  # type: ignore[arg-type]
