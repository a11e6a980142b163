"""The range of an expression over boxes: exact interval arithmetic on SymPy numbers.

Endpoints are exact; an endpoint that is not attained is open. A range encloses: it may be too wide,
never too narrow. Where an expression has one varying symbol and a derivative of one sign, the range
is that of the endpoints, hence exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sympy import (
    Abs,
    Add,
    Expr,
    FiniteSet,
    Interval,
    Mul,
    Piecewise,
    Pow,
    Range,
    S,
    Set,
    Symbol,
    asin,
    atan,
    besseli,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    factorial,
    gamma,
    limit,
    log,
    oo,
    sin,
    sinh,
    tanh,
    zoo,
)

from symmle.algebra.budget import GaveUp, attempt_within


@dataclass(frozen=True)
class Bounds:
    """lo..hi with SymPy numbers; an open end is approached and not attained."""

    lo: Expr
    hi: Expr
    lo_open: bool = False
    hi_open: bool = False

    def __post_init__(self) -> None:
        if self.lo == self.hi and self.lo.is_finite:  # one value is attained
            object.__setattr__(self, "lo_open", False)
            object.__setattr__(self, "hi_open", False)

    @property
    def sign(self) -> int | None:
        """1, -1 or 0 where the sign is strict everywhere; None otherwise."""
        if self.lo > 0 or (self.lo == 0 and self.lo_open):
            return 1
        if self.hi < 0 or (self.hi == 0 and self.hi_open):
            return -1
        return 0 if self.lo == 0 == self.hi else None

    @property
    def is_nonnegative(self) -> bool:
        return bool(self.lo >= 0)

    @property
    def is_nonpositive(self) -> bool:
        return bool(self.hi <= 0)


REAL = Bounds(-oo, oo, True, True)


def ends_of_range(domain: Range) -> tuple[Expr, Expr]:
    """The least and greatest member; `inf` and `sup` of a symbolic Range raise."""
    start, stop, step = domain.args
    return start, stop if stop == oo else stop - step


def bounds_of_set(domain: Set, values: Mapping[Symbol, Expr]) -> Bounds | None:
    """The hull of a support or domain whose bounds become numbers by `values`."""
    if isinstance(domain, Interval):
        lo, hi = domain.start.xreplace(dict(values)), domain.end.xreplace(dict(values))
        lo_open, hi_open = bool(domain.left_open), bool(domain.right_open)
    elif isinstance(domain, Range):
        lo, hi = (end.xreplace(dict(values)) for end in ends_of_range(domain))
        lo_open = hi_open = False
    elif isinstance(domain, FiniteSet):
        members = [m.xreplace(dict(values)) for m in domain.args]
        if not all(m.is_number for m in members):
            return None
        lo, hi, lo_open, hi_open = min(members), max(members), False, False
    elif domain is S.Reals:
        return REAL
    elif domain in (S.Naturals, S.Naturals0, S.Integers):
        lo, hi = domain.inf, domain.sup
        lo_open = hi_open = False
    else:
        return None
    if not (lo.is_number and hi.is_number):
        if not lo.is_number:
            lo, lo_open = -oo, True
        if not hi.is_number:
            hi, hi_open = oo, True
    return Bounds(lo, hi, lo_open or lo == -oo, hi_open or hi == oo)


_INCREASING = (exp, log, atan, asin, erf, sinh, tanh)
_OPEN_LIMITS: dict[Any, dict[Any, Expr]] = {
    exp: {-oo: S.Zero, oo: oo},
    log: {S.Zero: -oo, oo: oo},
    erf: {-oo: -S.One, oo: S.One},
    tanh: {-oo: -S.One, oo: S.One},
    sinh: {-oo: -oo, oo: oo},
    atan: {-oo: -S.Pi / 2, oo: S.Pi / 2},
    asin: {},
}


class RangeFinder:
    """Ranges of expressions whose symbols lie in given bounds; other symbols are unbounded reals."""

    def __init__(self, bounds: Mapping[Symbol, Bounds], depth: int = 0):
        self.bounds = dict(bounds)
        self.depth = depth
        self._known: dict[Expr, Bounds | None] = {}

    def range_of(self, expression: Expr) -> Bounds | None:
        """An enclosure of the values, or None where the expression may be undefined or not real."""
        if expression in self._known:
            return self._known[expression]
        try:
            found = self._by_structure(expression)
        except TypeError:  # ends that SymPy cannot compare
            found = None
        if found is not None and not _is_comparable(found):
            found = None
        # where the structure says that the expression is defined it is continuous, so that a derivative of
        # one sign makes it monotone
        if found is not None and found.sign is None and not expression.is_Atom:
            finer = self._by_monotonicity(expression)
            if finer is not None and _is_comparable(finer) and bool(finer.lo <= finer.hi):
                found = finer
        self._known[expression] = found
        return found

    # --- one node -------------------------------------------------------------------------------
    def _by_structure(self, e: Expr) -> Bounds | None:
        if e.is_number:
            return Bounds(e, e) if e.is_real else (Bounds(e, e, True, True) if e in (oo, -oo) else None)
        if isinstance(e, Symbol):
            return self.bounds.get(e) or _of_assumptions(e)
        if isinstance(e, Add):
            return self._fold(e.args, _add)
        if isinstance(e, Mul):
            return self._fold(e.args, _multiply)
        if isinstance(e, Pow):
            return self._power(e.base, e.exp)
        if isinstance(e, _INCREASING):
            return self._increasing(e)
        if isinstance(e, Abs):
            inner = self.range_of(e.args[0])
            return None if inner is None else _absolute(inner)
        if isinstance(e, sin | cos):
            return _wave(e, self.range_of(e.args[0]))
        if isinstance(e, cosh):
            return Bounds(S.One, oo, False, True) if self.range_of(e.args[0]) is not None else None
        if isinstance(e, erfc):
            return Bounds(S.Zero, S(2), True, True) if self.range_of(e.args[0]) is not None else None
        if isinstance(e, gamma | factorial):
            inner = self.range_of(e.args[0])
            least = inner is not None and (
                inner.sign == 1 or (isinstance(e, factorial) and inner.is_nonnegative)
            )
            return Bounds(S.Zero, oo, True, True) if least else None
        if isinstance(e, besseli):
            inner = self.range_of(e.args[1])
            return Bounds(S.Zero, oo, True, True) if inner is not None and inner.sign == 1 else None
        if isinstance(e, Piecewise):
            return _hull([self.range_of(branch) for branch, _ in e.args])
        return None

    def _fold(self, arguments: Any, combine: Any) -> Bounds | None:
        total: Bounds | None = None
        for argument in arguments:
            part = self.range_of(argument)
            if part is None:
                return None
            total = part if total is None else combine(total, part)
            if total is None:
                return None
        return total

    def _increasing(self, e: Expr) -> Bounds | None:
        inner = self.range_of(e.args[0])
        if inner is None:
            return None
        function = e.func
        if function is log and not inner.is_nonnegative:
            return None
        if function is log and inner.lo == 0 and not inner.lo_open:
            inner = Bounds(inner.lo, inner.hi, True, inner.hi_open)  # almost surely
        limits = _OPEN_LIMITS[function]
        lo = limits.get(inner.lo, None)
        hi = limits.get(inner.hi, None)
        return Bounds(
            function(inner.lo) if lo is None else lo,
            function(inner.hi) if hi is None else hi,
            inner.lo_open or lo in (oo, -oo),
            inner.hi_open or hi in (oo, -oo),
        )

    def _power(self, base: Expr, exponent: Expr) -> Bounds | None:
        b, e = self.range_of(base), self.range_of(exponent)
        if b is None or e is None:
            return None
        if e.lo == e.hi and e.lo.is_integer and exponent.is_Integer:
            return _integer_power(b, exponent)
        if not (b.sign == 1 or (b.is_nonnegative and (e.sign == 1))):
            if b.is_nonnegative and b.lo == 0:  # almost surely positive
                b = Bounds(b.lo, b.hi, True, b.hi_open)
            else:
                return None
        if e.lo == e.hi:
            at = [_real_power(v, e.lo) for v in (b.lo, b.hi)]
            if any(v is None for v in at):
                return None
            if e.lo > 0:
                return Bounds(at[0], at[1], b.lo_open, b.hi_open or at[1] == oo)
            return Bounds(at[1], at[0], b.hi_open or b.hi == oo, b.lo_open or at[0] == oo)
        one = self.range_of(base - 1)
        if one is not None and e.sign == 1:
            if one.is_nonpositive:
                return Bounds(S.Zero, S.One, b.lo_open or b.lo > 0, one.sign == -1)
            if one.is_nonnegative:
                return Bounds(S.One, oo, one.sign == 1, True)
        if one is not None and e.sign == -1:
            if one.is_nonpositive:
                return Bounds(S.One, oo, one.sign == -1, True)
            if one.is_nonnegative:
                return Bounds(S.Zero, S.One, True, one.sign == 1)
        return Bounds(S.Zero, oo, b.sign == 1, True)

    # --- monotone in the only symbol ------------------------------------------------------------
    def _by_monotonicity(self, e: Expr) -> Bounds | None:
        free = e.free_symbols
        if self.depth > 1 or len(free) != 1 or e.count_ops() > 40:
            return None
        (symbol,) = free
        box = self.bounds.get(symbol)
        if (
            box is None
            or isinstance(e, Piecewise)
            or e.has(Piecewise, Abs)
            or symbol.is_integer
            and box.lo == -oo
        ):
            return None
        slope = attempt_within(2.0, lambda: e.diff(symbol))
        if isinstance(slope, GaveUp):
            return None
        inner = RangeFinder(self.bounds, self.depth + 1)
        direction = inner.range_of(slope)
        if direction is None or direction.sign is None:
            slope = attempt_within(2.0, lambda: slope.together().factor())
            direction = None if isinstance(slope, GaveUp) else inner.range_of(slope)
        if direction is None or not (direction.is_nonnegative or direction.is_nonpositive):
            return None
        strict = direction.sign in (1, -1)
        ends = []
        for at, side in ((box.lo, "+"), (box.hi, "-")):
            value = e.xreplace({symbol: at}) if at.is_finite else zoo
            if not (value.is_number and value.is_real):
                value = attempt_within(2.0, limit, e, symbol, at, side)
            if isinstance(value, GaveUp) or not (value.is_number and value.is_extended_real):
                return None
            ends.append(value)
        low, high = (0, 1) if direction.is_nonnegative else (1, 0)
        is_open = (box.lo_open and strict, box.hi_open and strict)
        return Bounds(
            ends[low], ends[high], is_open[low] or ends[low] == -oo, is_open[high] or ends[high] == oo
        )


def _is_comparable(b: Bounds) -> bool:
    """Whether SymPy can tell both ends from 0 and from each other."""
    try:
        return all(isinstance(bool(test), bool) for test in (b.lo > 0, b.hi < 0, b.lo <= b.hi))
    except TypeError:
        return False


def _of_assumptions(e: Expr) -> Bounds | None:
    if e.is_positive:
        return Bounds(S.Zero, oo, True, True)
    if e.is_nonnegative:
        return Bounds(S.Zero, oo, False, True)
    if e.is_negative:
        return Bounds(-oo, S.Zero, True, True)
    if e.is_nonpositive:
        return Bounds(-oo, S.Zero, True, False)
    return REAL if e.is_real else None


def _add(a: Bounds, b: Bounds) -> Bounds:
    return Bounds(a.lo + b.lo, a.hi + b.hi, a.lo_open or b.lo_open, a.hi_open or b.hi_open)


def _times(x: Expr, y: Expr) -> Expr:
    return S.Zero if x == 0 or y == 0 else x * y  # 0 * oo is 0 for ranges


def _multiply(a: Bounds, b: Bounds) -> Bounds | None:
    corners = []
    for x, x_open in ((a.lo, a.lo_open), (a.hi, a.hi_open)):
        for y, y_open in ((b.lo, b.lo_open), (b.hi, b.hi_open)):
            attained_zero = (x == 0 and not x_open) or (y == 0 and not y_open)
            corners.append((_times(x, y), not attained_zero and (x_open or y_open)))
    try:
        lo = min(v for v, _ in corners)
        hi = max(v for v, _ in corners)
    except TypeError:
        return None
    lo_open = all(o for v, o in corners if v == lo)
    hi_open = all(o for v, o in corners if v == hi)
    return Bounds(lo, hi, lo_open, hi_open)


def _wave(e: Expr, inner: Bounds | None) -> Bounds | None:
    """[-1, 1], or the half of it where the angle stays on one side."""
    if inner is None:
        return None
    shift = S.Pi / 2 if isinstance(e, cos) else S.Zero  # cos a = sin(a + pi/2)
    lo, hi = inner.lo + shift, inner.hi + shift
    if lo >= 0 and hi <= S.Pi:
        touches = (lo == 0 and not inner.lo_open) or (hi == S.Pi and not inner.hi_open)
        return Bounds(S.Zero, S.One, not touches, False)
    if lo >= -S.Pi and hi <= 0:
        touches = (lo == -S.Pi and not inner.lo_open) or (hi == 0 and not inner.hi_open)
        return Bounds(-S.One, S.Zero, False, not touches)
    return Bounds(-S.One, S.One)


def _absolute(a: Bounds) -> Bounds:
    if a.is_nonnegative:
        return a
    if a.is_nonpositive:
        return Bounds(-a.hi, -a.lo, a.hi_open, a.lo_open)
    hi = max(-a.lo, a.hi)
    return Bounds(S.Zero, hi, False, hi == oo)


def _real_power(value: Expr, exponent: Expr) -> Expr | None:
    if value == 0:
        return S.Zero if exponent > 0 else oo
    if value == oo:
        return oo if exponent > 0 else S.Zero
    return value**exponent


def _integer_power(b: Bounds, k: Expr) -> Bounds | None:
    if k < 0:
        if b.sign is None or b.sign == 0:
            return None
        p = _integer_power(b, -k)
        if p is None:
            return None
        lo = S.Zero if p.hi == oo else (1 / p.hi if p.hi != 0 else -oo)
        hi = S.Zero if p.lo == -oo else (1 / p.lo if p.lo != 0 else oo)
        return Bounds(lo, hi, p.hi_open or p.hi == 0, p.lo_open or p.lo == 0)
    if k.is_odd or b.is_nonnegative:
        return Bounds(b.lo**k, b.hi**k, b.lo_open, b.hi_open)
    return _integer_power(_absolute(b), k)


def _hull(parts: list[Bounds | None]) -> Bounds | None:
    if any(p is None for p in parts):
        return None
    known = [p for p in parts if p is not None]
    lo, hi = min(p.lo for p in known), max(p.hi for p in known)
    return Bounds(
        lo, hi, all(p.lo_open for p in known if p.lo == lo), all(p.hi_open for p in known if p.hi == hi)
    )
