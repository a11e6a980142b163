"""Signs: three-valued answers from ranges, encodings by free positive symbols, and coefficients.

`Facts` holds what is known of symbols (their bounds) and, for statistics of a sample, expressions in
free symbols that encode every inequality the sample obeys. A sign is answered only when it is strict
for all values; None is "not decided", never "zero".
"""

from __future__ import annotations

from collections.abc import Mapping

from sympy import (
    Add,
    Dummy,
    Expr,
    LambertW,
    Mul,
    Pow,
    S,
    Symbol,
    acos,
    asin,
    atan,
    atan2,
    cancel,
    expand,
    factor_list,
    log,
    nan,
    oo,
    together,
    zoo,
)
from sympy.polys.polyerrors import PolificationFailed, PolynomialError

from symmle.algebra.bounds import Bounds, RangeFinder
from symmle.algebra.budget import GaveUp, attempt_within

MAX_OPERATIONS = 160  # beyond this no factorisation is tried


class Facts:
    """What is known of symbols: `bounds`, and `encoding` of symbols by expressions in free symbols."""

    def __init__(
        self,
        bounds: Mapping[Symbol, Bounds],
        encoding: Mapping[Expr, Expr] | None = None,
        positive: tuple[Expr, ...] = (),
    ):
        self.bounds = dict(bounds)
        self.encoding = dict(encoding or {})
        self.positive = positive  # expressions that are positive by declaration
        self.members: dict[Symbol, tuple[Expr, ...]] = {}  # finite supports, member by member
        self._ranges = RangeFinder(self.bounds)
        self._free: dict[Symbol, Expr] = {}
        self._signs: dict[Expr, int | None] = {}
        self._encoded = False

    def with_bounds(
        self, more: Mapping[Symbol, Bounds], encoding: Mapping[Expr, Expr] | None = None
    ) -> Facts:
        larger = Facts({**self.bounds, **more}, {**self.encoding, **(encoding or {})}, self.positive)
        larger.members = self.members
        return larger

    def range_of(self, expression: Expr) -> Bounds | None:
        """An enclosure of the values of an expression, or None."""
        return self._ranges.range_of(expression)

    def encode(self, expression: Expr) -> Expr:
        """Statistics by their free symbols, bounded symbols by positive ones."""
        for _ in range(4):
            encoded = expression.xreplace(self.encoding)
            if encoded == expression:
                break
            expression = encoded
        return expression.xreplace({s: self._free_of(s) for s in expression.free_symbols})

    def _free_of(self, symbol: Symbol) -> Expr:
        if symbol not in self._free:
            self._free[symbol] = self._encode_symbol(symbol)
        return self._free[symbol]

    def _encode_symbol(self, symbol: Symbol) -> Expr:
        b = self.bounds.get(symbol)
        if b is None:
            return symbol
        if b.lo == b.hi:
            return b.lo
        attained = (b.lo != -oo and not b.lo_open) or (b.lo == -oo and not b.hi_open)
        u = Dummy(f"u_{symbol}", nonnegative=True) if attained else Dummy(f"u_{symbol}", positive=True)
        if b.lo == 0 and b.hi == oo:
            return symbol if symbol.is_positive and b.lo_open else u
        if b.lo != -oo and b.hi != oo:
            return (b.lo + b.hi * u) / (1 + u)
        if b.lo != -oo:
            return b.lo + u
        if b.hi != oo:
            return b.hi - u
        return symbol if symbol.is_real else Dummy(f"u_{symbol}", real=True)

    # --- sign -----------------------------------------------------------------------------------
    def decide_sign(self, expression: Expr) -> int | None:
        """1 or -1 where the sign is strict for all admissible values, 0 for zero, else None."""
        if expression not in self._signs:
            self._signs[expression] = self._sign(expression)
        return self._signs[expression]

    def is_positive(self, expression: Expr) -> bool:
        return self.decide_sign(expression) == 1

    def _sign(self, e: Expr) -> int | None:
        known = _sign_of_assumptions(e)
        if known is not None or e.is_number:
            return known
        r = self.range_of(e)
        if r is not None and r.sign is not None:
            return r.sign
        sign = _FreeSigns(0, tuple(self.encode(q) for q in self.positive)).sign(self.encode(e))
        if sign is None:
            return None
        for symbol in sorted(e.free_symbols, key=str):
            b = self.bounds.get(symbol)
            # (lo + hi u)/(1 + u) does not reach hi
            if (
                b is not None
                and b.lo != -oo
                and b.hi != oo
                and b.lo != b.hi
                and not b.hi_open
                and symbol not in self.encoding
            ):
                at_end = e.xreplace({symbol: b.hi})
                if at_end.has(nan, zoo, oo) or self.decide_sign(at_end) != sign:
                    return None
        return sign


class _FreeSigns:
    """Signs of expressions in free symbols that carry their assumptions (positive or real)."""

    def __init__(self, depth: int = 0, positive: tuple[Expr, ...] = ()):
        self.ranges = RangeFinder({})
        self.depth = depth
        self.positive = positive

    def _deeper(self) -> _FreeSigns:
        return _FreeSigns(self.depth + 1, self.positive)

    def sign(self, e: Expr) -> int | None:
        known = self._simple(e)
        if known is not None:
            return known
        if self.depth > 4 or e.count_ops() > MAX_OPERATIONS or e.has(atan2, acos, asin, atan, LambertW):
            return None
        e = _merge_logs(e)
        if isinstance(e, log):
            return self._deeper().sign(e.args[0] - 1)
        factored = attempt_within(2.0, _factors, e)
        if isinstance(factored, GaveUp):
            return None
        total = 1
        for base, power in factored:
            s = self._of_factor(base)
            if s is None:
                return None
            total *= s if not (power.is_even) else s * s
        return total

    def _simple(self, e: Expr) -> int | None:
        known = _sign_of_assumptions(e)
        if known is not None:
            return known
        r = self.ranges.range_of(e)
        if r is not None and r.sign is not None:
            return r.sign
        for q in self.positive:
            ratio = cancel(e / q) if e.free_symbols == q.free_symbols else e
            if ratio.is_number and ratio.is_real and ratio != 0:
                return 1 if ratio > 0 else -1
        return None

    def _of_factor(self, e: Expr) -> int | None:
        known = self._simple(e)
        if known is not None:
            return known
        if isinstance(e, log):
            return self._deeper().sign(e.args[0] - 1)
        if isinstance(e, Pow) and e.exp.is_real:
            return 1 if self._deeper().sign(e.base) == 1 else None
        if isinstance(e, Add):
            return self._of_sum(e) or self._of_root_sum(e) or self._of_quadratic(e)
        return None

    def _of_sum(self, e: Expr) -> int | None:
        signs = {self._weak(t) for t in Add.make_args(expand(e))}
        strict = {s for s, is_strict in signs if s is not None and is_strict}
        weak = {s for s, _ in signs}
        if None in weak or len(weak) != 1 or not strict:
            return None
        return weak.pop()

    def _of_quadratic(self, e: Expr) -> int | None:
        """a s**2 + b s + c with a of one sign and b**2 < 4 a c: the sign of a."""
        if e.count_ops() > 60:
            return None
        for s in sorted(e.free_symbols, key=lambda s: s.sort_key()):
            p = e.as_poly(s)
            if p is None or p.degree() != 2:
                continue
            a, b, c = p.all_coeffs()
            inner = self._deeper()
            sign = inner.sign(a)
            if sign is not None and inner.sign(expand(4 * a * c - b**2)) == 1:
                return sign
        return None

    def _weak(self, term: Expr) -> tuple[int | None, bool]:
        """(sign, strict) of a term; an even power of a real symbol is nonnegative, not strict."""
        total, strict = 1, True
        for factor in Mul.make_args(term):
            s = self._simple(factor)
            if s is None:
                r = self.ranges.range_of(factor)
                if r is not None and (r.is_nonnegative or r.is_nonpositive):
                    s, strict = (1 if r.is_nonnegative else -1), False
                elif isinstance(factor, log):
                    s = self._deeper().sign(factor.args[0] - 1)
            if s is None or s == 0:
                return None, False
            total *= s
        return total, strict

    def _of_root_sum(self, e: Expr) -> int | None:
        """P + c sqrt(Q): the sign of c where c**2 Q > P**2."""
        roots = [t for t in Add.make_args(e) if _square_root(t) is not None]
        if len(roots) != 1:
            return None
        rest = e - roots[0]
        inner = self._deeper()
        s_root, s_rest = inner.sign(roots[0]), inner.sign(rest)
        if s_root is None:
            q = _square_root(roots[0])
            c = roots[0] / Pow(q, S.Half)
            if inner.sign(q) != 1 and not _is_sum_of_squares(q):
                return None
            s_root = inner.sign(c)
            if s_root is None:
                return None
        if s_rest == s_root:
            return s_root
        gap = inner.sign(expand(roots[0] ** 2 - rest**2))
        if gap == 1:
            return s_root
        return s_rest if gap == -1 and s_rest is not None else None


def _sign_of_assumptions(e: Expr) -> int | None:
    if e.is_zero:
        return 0
    if e.is_positive:
        return 1
    return -1 if e.is_negative else None


def _is_sum_of_squares(e: Expr) -> bool:
    return bool(e.is_nonnegative)


def _square_root(term: Expr) -> Expr | None:
    for factor in Mul.make_args(term):
        if isinstance(factor, Pow) and factor.exp == S.Half:
            return factor.base
    return None


def _merge_logs(e: Expr) -> Expr:
    """A sum of logarithms with integer coefficients, and numbers alone, as one logarithm."""
    inside, rest = S.One, S.Zero
    for term in Add.make_args(e):
        c, function = term.as_coeff_Mul()
        if isinstance(function, log) and c.is_Integer and abs(c) <= 4:
            inside *= function.args[0] ** c
        else:
            rest += term
    if inside is S.One or rest is not S.Zero:
        return e
    return log(together(inside))


def _factors(e: Expr) -> list[tuple[Expr, Expr]]:
    numerator, denominator = cancel(together(e)).as_numer_denom()
    found: list[tuple[Expr, Expr]] = []
    for part in (numerator, denominator):
        if part.is_number or part.is_Symbol:
            found.append((part, S.One))
            continue
        try:
            coefficient, factors = factor_list(part)
        except (PolynomialError, PolificationFailed):
            coefficient, factors = S.One, [(part, 1)]
        found.append((coefficient, S.One))
        found.extend((f, S(k)) for f, k in factors)
    return found
