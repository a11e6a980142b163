"""Ranges of expressions over boxes, with exact or outward-rounded ends: what decides signs in proofs.

An end is a Fraction or +-infinity; `open` ends are surely not attained. Everything returned contains
the true range, so a sign read off it is proved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from sympy import Abs, Add, Expr, Interval, Mul, Pow, Rational, S, Set, Symbol, exp, expand, log
from sympy import functions as sf
from sympy.sets.sets import FiniteSet

End = Fraction | float

INF = math.inf
_SLACK = Fraction(1, 10**12)  # relative outward rounding of a floating-point value


@dataclass(frozen=True)
class Bounds:
    """A nonempty interval; `lo_open` and `hi_open` say that the end is surely not attained."""

    lo: End = -INF
    hi: End = INF
    lo_open: bool = True
    hi_open: bool = True

    @property
    def positive(self) -> bool:
        return self.lo > 0 or (self.lo == 0 and self.lo_open)

    @property
    def negative(self) -> bool:
        return self.hi < 0 or (self.hi == 0 and self.hi_open)

    @property
    def nonnegative(self) -> bool:
        return self.lo >= 0

    @property
    def nonpositive(self) -> bool:
        return self.hi <= 0

    @property
    def is_point(self) -> bool:
        return self.lo == self.hi

    def __neg__(self) -> Bounds:
        return Bounds(-self.hi, -self.lo, self.hi_open, self.lo_open)

    def join(self, other: Bounds) -> Bounds:
        """The hull of both."""
        lo, lo_open = min((self.lo, self.lo_open), (other.lo, other.lo_open))
        hi, hi_closed = max((self.hi, not self.hi_open), (other.hi, not other.hi_open))
        return Bounds(lo, hi, lo_open, not hi_closed)

    def meet(self, other: Bounds) -> Bounds:
        """What both allow; where they exclude each other (no such point), the first."""
        lo, lo_open = max((self.lo, self.lo_open), (other.lo, other.lo_open))
        hi, not_open = min((self.hi, not self.hi_open), (other.hi, not other.hi_open))
        if lo > hi:
            return self
        return Bounds(lo, hi, lo_open, not not_open)


REAL = Bounds()
POSITIVE = Bounds(Fraction(0), INF)
NONNEGATIVE = Bounds(Fraction(0), INF, False, True)
UNIT = Bounds(Fraction(-1), Fraction(1), False, False)


def point(value: End) -> Bounds:
    return Bounds(value, value, False, False)


def end_of(value: Expr) -> End | None:
    """An exact end of a number, None where it is no rational and not infinite."""
    if value is S.Infinity:
        return INF
    if value is S.NegativeInfinity:
        return -INF
    if isinstance(value, Rational):
        return Fraction(int(value.p), int(value.q))
    return None


def around(value: Expr) -> Bounds:
    """A thin interval about a real number that is no rational."""
    if value.is_extended_real is not True or not value.is_number:
        return REAL
    exact = end_of(value)
    if exact is not None:
        return point(exact) if not math.isinf(exact) else REAL
    approximate = Fraction(str(value.evalf(20)))
    slack = (abs(approximate) + Fraction(1, 10**12)) * _SLACK
    return Bounds(approximate - slack, approximate + slack)


def bounds_of_set(domain: Set | None, known: Mapping[Symbol, Bounds] | None = None) -> Bounds:
    """The hull of a declared support or domain; ends that name symbols are read through `known`."""
    known = known or {}
    if domain is None:
        return REAL
    if isinstance(domain, FiniteSet):
        parts = [range_of(e, known) for e in domain.args]
        return Bounds(min(p.lo for p in parts), max(p.hi for p in parts), False, False)
    low, high = domain.inf, domain.sup
    lo = range_of(low, known) if low.is_finite is not False else point(-INF)
    hi = range_of(high, known) if high.is_finite is not False else point(INF)
    left_open = right_open = False
    if isinstance(domain, Interval):
        left_open, right_open = bool(domain.left_open), bool(domain.right_open)
    return Bounds(
        lo.lo,
        hi.hi,
        left_open or lo.lo_open or math.isinf(lo.lo),
        right_open or hi.hi_open or math.isinf(hi.hi),
    )


def _add(a: Bounds, b: Bounds) -> Bounds:
    lo = -INF if -INF in (a.lo, b.lo) else a.lo + b.lo
    hi = INF if INF in (a.hi, b.hi) else a.hi + b.hi
    return Bounds(lo, hi, a.lo_open or b.lo_open, a.hi_open or b.hi_open)


def _corner(a: End, a_open: bool, b: End, b_open: bool) -> tuple[End, bool]:
    attained_zero = (a == 0 and not a_open) or (b == 0 and not b_open)
    if a == 0 or b == 0:
        return Fraction(0), not attained_zero
    if math.isinf(a) or math.isinf(b):
        return (INF if (a > 0) == (b > 0) else -INF), True
    return a * b, a_open or b_open


def _multiply(a: Bounds, b: Bounds) -> Bounds:
    corners = [
        _corner(x, xo, y, yo)
        for x, xo in ((a.lo, a.lo_open), (a.hi, a.hi_open))
        for y, yo in ((b.lo, b.lo_open), (b.hi, b.hi_open))
    ]
    lo, hi = min(c[0] for c in corners), max(c[0] for c in corners)
    return Bounds(lo, hi, all(o for v, o in corners if v == lo), all(o for v, o in corners if v == hi))


def _reciprocal(a: Bounds) -> Bounds:
    if not (a.positive or a.negative):
        return REAL

    def flip(end: End, sign: int) -> End:
        if math.isinf(end):
            return Fraction(0)
        return sign * INF if end == 0 else Fraction(1) / end

    sign = 1 if a.positive else -1
    return Bounds(flip(a.hi, sign), flip(a.lo, sign), a.hi_open, a.lo_open)


def _rounded(value: float, up: bool) -> End:
    if math.isinf(value):
        return value
    exact = Fraction(value)
    slack = (abs(exact) * _SLACK) + Fraction(1, 10**300)
    return exact + slack if up else exact - slack


def _exp_end(end: End, up: bool) -> End:
    if end == 0:
        return Fraction(1)
    if end == -INF:
        return Fraction(0)
    if end > 700:
        return INF if up else Fraction(10) ** 300
    if end < -700:
        return Fraction(1, 10**290) if up else Fraction(0)
    return _rounded(math.exp(end), up)


def _log_end(end: End, up: bool) -> End:
    if end == 1:
        return Fraction(0)
    if end <= 0:
        return -INF
    if math.isinf(end):
        return INF
    # of numerator and denominator apart: no overflow
    value = math.log(end.numerator) - math.log(end.denominator)  # type: ignore[union-attr]
    spread = Fraction(1, 10**9)
    return Fraction(value) + (spread if up else -spread)


def _exp(a: Bounds) -> Bounds:
    return Bounds(_exp_end(a.lo, False), _exp_end(a.hi, True), a.lo_open, a.hi_open).meet(POSITIVE)


def _log(a: Bounds) -> Bounds:
    return Bounds(_log_end(a.lo, False), _log_end(a.hi, True), a.lo_open or a.lo <= 0, a.hi_open)


def _absolute(a: Bounds) -> Bounds:
    if a.nonnegative:
        return a
    if a.nonpositive:
        return -a
    hi, hi_open = max((-a.lo, a.lo_open), (a.hi, a.hi_open))
    return Bounds(Fraction(0), hi, False, hi_open and -a.lo != a.hi)


def _whole_power(a: Bounds, n: int) -> Bounds:
    base = _absolute(a) if n % 2 == 0 else a
    return Bounds(
        base.lo**n if not math.isinf(base.lo) else base.lo,
        base.hi**n if not math.isinf(base.hi) else base.hi,
        base.lo_open,
        base.hi_open,
    )


def _power(base: Bounds, exponent: Bounds) -> Bounds:
    if exponent.is_point and not math.isinf(exponent.lo):
        e = Fraction(exponent.lo)
        if e.denominator == 1:
            n = int(e)
            if abs(n) > 64:
                return NONNEGATIVE if n % 2 == 0 else REAL
            return _whole_power(base, n) if n >= 0 else _reciprocal(_whole_power(base, -n))
    if base.positive:
        return _exp(_multiply(exponent, _log(base)))
    return NONNEGATIVE if base.nonnegative else REAL


_ALWAYS: dict[type, Bounds] = {
    sf.sin: UNIT,
    sf.cos: UNIT,
    sf.tanh: Bounds(Fraction(-1), Fraction(1)),
    sf.erf: Bounds(Fraction(-1), Fraction(1)),
    sf.erfc: Bounds(Fraction(0), Fraction(2)),
    sf.cosh: Bounds(Fraction(1), INF, False, True),
    sf.sech: Bounds(Fraction(0), Fraction(1), True, False),
}
_POSITIVE_OF_POSITIVE = (sf.gamma, sf.besseli, sf.besselk, sf.beta)


def range_of(e: Expr, known: Mapping[Symbol | Expr, Bounds]) -> Bounds:
    """An interval that contains every value of `e` while symbols run through `known`.

    `known` may also hold whole expressions (facts), such as x - mu > 0.
    """
    found = _range_of(e, known)
    fact = known.get(e)
    if fact is not None:
        found = found.meet(fact)
    else:
        opposite = known.get(-e)
        if opposite is not None:
            found = found.meet(-opposite)
    return found


def _range_of(e: Expr, known: Mapping[Symbol | Expr, Bounds]) -> Bounds:
    if e.is_number:
        return around(e)
    if isinstance(e, Symbol):
        if e in known:
            return known[e]
        if e.is_positive:
            return POSITIVE
        return NONNEGATIVE if e.is_nonnegative else REAL
    parts = [range_of(a, known) for a in e.args if isinstance(a, Expr)]
    if len(parts) != len(e.args) or not parts:
        return REAL
    if isinstance(e, Add):
        total = parts[0]
        for part in parts[1:]:
            total = _add(total, part)
        for fact, bounds in known.items():
            if isinstance(fact, Add) and fact.free_symbols <= e.free_symbols:
                total = total.meet(_through_fact(e, fact, bounds))
        return total.meet(_corners(e, known)) if len(e.free_symbols) < 5 else total
    if isinstance(e, Mul):
        product = parts[0]
        for part in parts[1:]:
            product = _multiply(product, part)
        return product
    if isinstance(e, Pow):
        return _power(parts[0], parts[1])
    if isinstance(e, exp):
        return _exp(parts[0])
    if isinstance(e, log):
        return _log(parts[0])
    if isinstance(e, Abs):
        return _absolute(parts[0])
    if isinstance(e, sf.erf) and (parts[0].positive or parts[0].negative):
        unit = Bounds(Fraction(0), Fraction(1))
        return unit if parts[0].positive else -unit
    if isinstance(e, (sf.sinh, sf.atan)) and (parts[0].positive or parts[0].negative):
        return POSITIVE if parts[0].positive else -POSITIVE
    orders = all(p.nonnegative for p in parts[:-1])
    if isinstance(e, _POSITIVE_OF_POSITIVE) and orders and parts[-1].positive:
        return POSITIVE
    if isinstance(e, sf.factorial) and parts[0].nonnegative:
        return POSITIVE
    for function, bounds in _ALWAYS.items():
        if isinstance(e, function):
            return bounds
    return POSITIVE if e.is_positive else REAL


def _through_fact(e: Add, fact: Add, bounds: Bounds) -> Bounds:
    """The range of e = c fact + d, c and d numbers, from that of the fact."""
    parts = e.as_coefficients_dict()
    for term, coefficient in fact.as_coefficients_dict().items():
        if term.is_number:
            continue
        ratio = parts.get(term, S.Zero) / coefficient
        if ratio == 0:
            for factor in (S.Pi, 1 / S.Pi):  # the numbers that stand beside data in practice
                ratio = parts.get(term * factor, S.Zero) * factor / coefficient
                if ratio != 0:
                    break
        rest = expand(e - ratio * fact) if ratio != 0 else e
        if ratio != 0 and rest.is_number:
            return _add(_multiply(around(ratio), bounds), around(rest))
        return REAL
    return REAL


def _corners(e: Add, known: Mapping[Symbol | Expr, Bounds]) -> Bounds:
    """The range of a polynomial of degree one in every symbol over a finite box: its corners."""
    symbols = sorted(e.free_symbols, key=str)
    if not all(s in known and not math.isinf(known[s].lo) and not math.isinf(known[s].hi) for s in symbols):
        return REAL
    if not e.is_polynomial(*symbols):
        return REAL
    poly = expand(e).as_poly(*symbols)
    if poly is None or (not poly.domain.is_QQ and not poly.domain.is_ZZ):
        return REAL
    if any(poly.degree(s) > 1 for s in symbols):
        return REAL
    values: list[tuple[Fraction, bool]] = [(Fraction(0), False)]
    points: list[tuple[list[End], bool]] = [([], False)]
    for s in symbols:
        b = known[s]
        points = [([*p, v], o or vo) for p, o in points for v, vo in ((b.lo, b.lo_open), (b.hi, b.hi_open))]
    values = []
    for p, opened in points:
        total = Fraction(0)
        for monomial, coefficient in poly.terms():
            term = Fraction(int(coefficient.p), int(coefficient.q))
            for power, v in zip(monomial, p, strict=True):
                term *= Fraction(v) ** power
            total += term
        values.append((total, opened))
    lo, hi = min(v for v, _ in values), max(v for v, _ in values)
    # an extreme corner is surely missed where every point that attains it is a missed corner: with one
    # extreme corner alone (otherwise an edge between two of them may attain it inside)
    lows, highs = [o for v, o in values if v == lo], [o for v, o in values if v == hi]
    return Bounds(lo, hi, lows == [True], highs == [True])


def sign_on_support(e: Expr, known: Mapping[Symbol | Expr, Bounds], strict: bool = False) -> int | None:
    """1 where e >= 0 on the whole box, -1 where e <= 0, 0 where both; with `strict`, e > 0 or e < 0."""
    found = range_of(e, known)
    if strict:
        return 1 if found.positive else -1 if found.negative else None
    if found.nonnegative and found.nonpositive:
        return 0
    return 1 if found.nonnegative else -1 if found.nonpositive else None
