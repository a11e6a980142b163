"""Where l(N + 1) - l(N) changes its sign: proofs that it does so once, and the point in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import mpmath
from sympy import (
    Add,
    Dummy,
    Expr,
    Gt,
    Interval,
    Lt,
    Max,
    Min,
    Mul,
    Pow,
    Range,
    S,
    Set,
    Symbol,
    Tuple,
    exp,
    expand,
    factor,
    factor_list,
    fraction,
    log,
    nan,
    together,
    zoo,
)

from symmle.algebra import Bounds, Facts, GaveUp, attempt_within, compile_expression, ends_of_range
from symmle.algebra.roots import solve_equation
from symmle.certify.neighbours import Allowed, allowed_of, as_ratio, ends_of_domain, neighbours_of
from symmle.inequalities import SampleFacts
from symmle.likelihood import Likelihood
from symmle.sample import Count, Total, statistics_of
from symmle.sampling import RandomPoints, as_numbers
from symmle.strategies.problem import real_part


@dataclass(frozen=True)
class Degenerate:
    """A sample on which the point has no value: `statistic` = `value`; the sign of the difference for every N there."""

    column: Expr
    value: Expr
    holds_not: Expr  # a relation that is true on every other sample
    sign: int | None


@dataclass(frozen=True)
class Crossing:
    """l(N + 1) >= l(N) exactly where N <= `root`, in row symbols or statistics; `shown` in sample operators."""

    root: Expr
    shown: Expr
    by_line: bool
    limits: Limits
    degenerate: tuple[Degenerate, ...] = ()


def inside(facts: Facts) -> Facts:
    """The same facts with every bound open: a strict sign there is a weak one on the closure, by continuity."""
    opened = {s: Bounds(b.lo, b.hi, b.lo != b.hi, b.lo != b.hi) for s, b in facts.bounds.items()}
    found = Facts(opened, facts.encoding, facts.positive)
    found.members = facts.members
    return found


def weak_sign(e: Expr, facts: Facts) -> int | None:
    """1 where e >= 0 and -1 where e <= 0 on the closure, 0 for zero; None where that is not decided."""
    if e.has(nan, zoo):
        return None
    if e.is_nonnegative:
        return 0 if e.is_zero else 1
    return -1 if e.is_nonpositive else inside(facts).decide_sign(e)


def hidden_facts(likelihood: Likelihood, e: Expr) -> tuple[SampleFacts, Facts]:
    """Opaque symbols for the operators of an expression, and what is known of them."""
    given = [z for f in likelihood.forms for z in f.part.given]
    known = SampleFacts(statistics_of(e), likelihood.facts, given)
    return known, likelihood.facts.with_bounds(known.bounds, known.encoding)


def falls(likelihood: Likelihood, whole: Symbol) -> bool:
    """Whether l(N + 1) - l(N) does not rise in N: every row's part, or the whole in statistics."""
    found = neighbours_of(likelihood, whole)
    signs = []
    for row in found.rows:
        slope = attempt_within(2.0, lambda row=row: together(row.diff(whole)))
        signs.append(None if isinstance(slope, GaveUp) else weak_sign(slope, likelihood.facts))
    if all(s in (-1, 0) for s in signs):
        return True
    if any(o.has(whole) for o in statistics_of(found.rise)):
        return False
    known, facts = hidden_facts(likelihood, found.rise)
    slope = attempt_within(2.0, lambda: together(known.hide(found.rise).diff(whole)))
    return not isinstance(slope, GaveUp) and weak_sign(slope, facts) in (-1, 0)


def crossing_of(likelihood: Likelihood, whole: Symbol) -> Crossing | None:
    """The point where the difference changes sign, in closed form; None where there is none.

    Of one row every statistic is a function of that row; of more, the difference must be a function of
    statistics that do not hold N.
    """
    found = neighbours_of(likelihood, whole)
    least: tuple[Expr, ...] = ()
    most: tuple[Expr, ...] = ()
    if likelihood.declaration.size == 1:
        e, facts = Add(*found.rows), likelihood.facts
        allowed = allowed_of(likelihood, whole)
        if isinstance(allowed, Allowed):
            least, most = allowed.row_least, allowed.row_most
        back: dict[Expr, Expr] = {
            c: Total(c, f.columns) for f in likelihood.forms for c in f.part.all_columns
        }
        known = None
    else:
        if any(o.has(whole) for o in statistics_of(found.rise)):
            return None
        rise = found.rise
        if likelihood.is_single:
            rise = Add(
                *(t / Count(likelihood.forms[0].columns) for t in Add.make_args(expand(rise, log=False)))
            )
        known, facts = hidden_facts(likelihood, rise)
        e, back = known.hide(rise), {}
    level = _levelled(e, whole, facts)
    if level is None:
        return None
    cleared, facts, put_back = level
    limits = Limits(whole, facts, least, most)
    root = one_line(cleared, limits)
    by_line = root is not None
    if root is None and falls(likelihood, whole):
        root = _other_root(likelihood, cleared, whole, facts, put_back, known, back)
    if root is None:
        return None
    root = root.xreplace(put_back)
    shown = known.show(root) if known is not None else root.xreplace(back)
    if known is not None:
        degenerate = _degenerate_statistics(known, facts, e, root)
    else:
        degenerate = _degenerate_rows(likelihood, e, root, limits)
    if degenerate is None:
        return None
    return Crossing(root, shown, by_line, limits, degenerate)


def _levelled(e: Expr, whole: Symbol, facts: Facts) -> tuple[Expr, Facts, dict[Expr, Expr]] | None:
    """A function without logarithms of N that has the sign of e: c log Q + r >= 0 where Q >= exp(-r/c)."""
    e = as_ratio(e, whole)
    logs = [t for t in Add.make_args(e) if any(isinstance(f, log) and f.has(whole) for f in Mul.make_args(t))]
    if not logs:
        return e, facts, {}
    if len(logs) != 1:
        return None
    inner = next(f for f in Mul.make_args(logs[0]) if isinstance(f, log) and f.has(whole))
    c, rest = logs[0] / inner, e - logs[0]
    if c.has(whole) or rest.has(whole):
        return None
    sign = weak_sign(c, facts)
    if sign not in (1, -1):
        return None
    if rest == 0:
        return sign * (inner.args[0] - 1), facts, {}
    level = exp(-rest / c)
    stand_in = Dummy("Y", positive=True)
    bounds = inside(facts).range_of(level) or Bounds(S.Zero, S.Infinity, True, True)
    if bounds.lo < 0:
        bounds = Bounds(S.Zero, bounds.hi, True, bounds.hi_open)
    return sign * (inner.args[0] - stand_in), facts.with_bounds({stand_in: bounds}), {stand_in: level}


@dataclass(frozen=True)
class Limits:
    """Signs where N is also at least each of `least` and at most each of `most`, in the symbols of a row."""

    whole: Symbol
    facts: Facts
    least: tuple[Expr, ...] = ()
    most: tuple[Expr, ...] = ()

    def weak_sign(self, e: Expr) -> int | None:
        """As `weak_sign`; a factor A + B N with B > 0 is not negative where it is not at a lower limit."""
        known = weak_sign(e, self.facts)
        if known is not None:
            return known
        if isinstance(e, Mul):
            signs = [self.weak_sign(f) for f in e.args]
            return None if None in signs else prod(signs)  # type: ignore[arg-type]
        if isinstance(e, Pow) and e.exp.is_Integer:
            inner = self.weak_sign(e.base)
            return None if inner is None else inner ** (2 - int(e.exp) % 2)
        if isinstance(e, log):
            return self._of_quotient(e.args[0])
        return self._of_line(e)

    def _of_quotient(self, quotient: Expr) -> int | None:
        """The sign of q - 1 for a positive quotient q."""
        cleared = attempt_within(1.0, lambda: fraction(together(quotient - 1)))
        if isinstance(cleared, GaveUp):
            return None
        signs = [self.weak_sign(f) for f in (factor(expand(cleared[0])), cleared[1])]
        return None if None in signs else prod(signs)  # type: ignore[arg-type]

    def _of_line(self, e: Expr) -> int | None:
        p = e.as_poly(self.whole)
        if p is None or p.degree() != 1:
            return None
        slope = weak_sign(p.all_coeffs()[0], self.facts)
        if slope not in (1, -1):
            return None
        for sign, bounds in (
            (slope, self.least),
            (-slope, self.most),
        ):
            for bound in bounds:
                if weak_sign(expand(e.xreplace({self.whole: bound})), self.facts) in (0, sign):
                    return sign
        return None

    def at(self, values: dict[Expr, Expr]) -> Limits:
        """The same limits where symbols of the row have values."""
        return Limits(
            self.whole,
            self.facts,
            tuple(b.xreplace(values) for b in self.least),
            tuple(b.xreplace(values) for b in self.most),
        )


def one_line(e: Expr, limits: Limits) -> Expr | None:
    """The root of a function with the sign of A + B N, B < 0; None where it is not of that form.

    e = 0 is cleared of denominators and of factors with a sign of their own.
    """
    cleared = attempt_within(2.0, lambda: fraction(together(e)))
    if isinstance(cleared, GaveUp):
        return None
    numerator, denominator = cleared
    if isinstance(denominator, Add):
        factored = attempt_within(1.0, factor, denominator)
        denominator = denominator if isinstance(factored, GaveUp) else factored
    sign = limits.weak_sign(denominator)
    factors = attempt_within(2.0, lambda: factor_list(expand(numerator, power_base=False, log=False)))
    if sign not in (1, -1) or isinstance(factors, GaveUp):
        return None
    line = None
    for f, power in ((factors[0], 1), *factors[1]):
        s = limits.weak_sign(f)
        if s in (1, -1):
            sign *= s if power % 2 else 1
            continue
        p = f.as_poly(limits.whole)
        if line is not None or power != 1 or p is None or p.degree() != 1:
            return None
        line = p
    if line is None:
        return None
    b, a = line.all_coeffs()
    slope = limits.weak_sign(b)
    return -a / b if slope is not None and slope * sign == -1 else None


def _other_root(
    likelihood: Likelihood,
    e: Expr,
    whole: Symbol,
    facts: Facts,
    put_back: dict[Expr, Expr],
    known: SampleFacts | None,
    back: dict[Expr, Expr],
) -> Expr | None:
    """The root of a falling difference that is no line: the one candidate at which the sign changes."""
    answer = solve_equation(e, whole, facts)
    if isinstance(answer, GaveUp):
        return None
    rise = compile_expression(neighbours_of(likelihood, whole).rise)
    lo, _ = ends_of_domain(likelihood, whole)
    for root in answer.roots:
        full = root.xreplace(put_back)
        shown = compile_expression(known.show(full) if known is not None else full.xreplace(back))
        stream, seen = RandomPoints(likelihood.declaration, 31), 0
        for _ in range(10):
            values = stream.parameters(stream.constants())
            sample = None if values is None else stream.samples(values, likelihood.declaration.size or 5)
            if values is None or sample is None:
                continue
            numbers = as_numbers(values)
            try:
                at = real_part(shown(numbers, sample))
                if at is None:
                    break
                step = mpmath.mpf(1) / 8
                if lo.is_number and lo.is_finite and at - step < lo:
                    continue
                before = mpmath.re(rise({**numbers, whole: at - step}, sample))
                after = mpmath.re(rise({**numbers, whole: at + step}, sample))
            except (ZeroDivisionError, ValueError, ArithmeticError):
                continue
            if not (before > 0 > after):
                break
            seen += 1
        else:
            if seen:
                return root
    return None


# --- samples on which the point has no value -------------------------------------------------------


def _degenerate_statistics(
    known: SampleFacts, facts: Facts, e: Expr, root: Expr
) -> tuple[Degenerate, ...] | None:
    found = []
    for symbol, value, condition in known.degenerate:
        plain = facts.encode(root) if symbol not in root.free_symbols else root
        if symbol not in plain.free_symbols or not _has_no_value(plain, symbol, value):
            continue
        there = (facts.encode(e) if symbol not in e.free_symbols else e).xreplace({symbol: value})
        sign = weak_sign(there, facts)
        if sign not in (1, -1):
            return None
        found.append(Degenerate(symbol, value, condition.expression, sign))
    return tuple(found)


def _degenerate_rows(
    likelihood: Likelihood, e: Expr, root: Expr, limits: Limits
) -> tuple[Degenerate, ...] | None:
    """The finite ends of the supports at which the point is not defined (one row)."""
    found = []
    for form in likelihood.forms:
        columns = Tuple(*form.part.all_columns)
        for x, support in form.part.support.items():
            if x not in root.free_symbols:
                continue
            for end, lower in _ends(support):
                if not end.is_number or not end.is_finite or not _has_no_value(root, x, end):
                    continue
                sign = limits.at({x: end}).weak_sign(e.xreplace({x: end}))
                if sign not in (1, -1):
                    return None
                other = (Gt if lower else Lt)(Total(x, columns), end, evaluate=False)
                found.append(Degenerate(x, end, other, sign))
    return tuple(found)


def _ends(support: Set) -> list[tuple[Expr, bool]]:
    """The ends of a support, and what the larger or smaller of several is made of; True for a lower one."""
    if isinstance(support, Range):
        lo, hi = ends_of_range(support)
    elif isinstance(support, Interval):
        lo, hi = support.start, support.end
    else:
        numbers = [m for m in support.args if m.is_number]
        return [(min(numbers), True), (max(numbers), False)] if numbers else []
    return [
        *((end, True) for end in (lo.args if isinstance(lo, Max) else (lo,))),
        *((end, False) for end in (hi.args if isinstance(hi, Min) else (hi,))),
    ]


def _has_no_value(e: Expr, symbol: Expr, value: Expr) -> bool:
    at = e.xreplace({symbol: value})
    return bool(at.has(nan, zoo, S.Infinity, S.NegativeInfinity))


__all__ = [
    "Crossing",
    "Degenerate",
    "crossing_of",
    "falls",
    "hidden_facts",
    "inside",
    "one_line",
    "weak_sign",
]
