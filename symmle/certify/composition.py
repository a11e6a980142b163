"""Curvature by composition: convex, concave or affine in the coordinates, proved by rules.

A shape is claimed for every value of the data in the support at once; signs of data-dependent
coefficients are read off ranges. Functions are extended by -oo (concave) or +oo (convex) to where a
logarithm of theirs has no value, which keeps every rule sound.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sympy import Abs, Add, Expr, Mul, Pow, S, Symbol, exp, log, loggamma

from symmle.certify import logarithms, univariate
from symmle.certify.grouping import mended_sum
from symmle.certify.opening import open_log, tidy
from symmle.certify.ranges import INF, Bounds, range_of, sign_on_support
from symmle.certify.shapes import (
    AFFINE,
    CONCAVE,
    CONSTANT,
    CONVEX,
    FLAT,
    FLIP,
    UNKNOWN,
    Form,
    OutOfTime,
    Shape,
    added,
    unknown,
)


@dataclass
class Prover:
    """Shapes of expressions in `unknowns`; `known` holds ranges of symbols and facts."""

    unknowns: tuple[Symbol, ...]
    known: Mapping[Symbol | Expr, Bounds]
    deadline: float = INF
    memo: dict[Expr, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = frozenset(self.unknowns)

    def sign(self, e: Expr) -> int | None:
        return sign_on_support(e, self.known)

    def positive(self, e: Expr) -> bool:
        return sign_on_support(e, self.known, strict=True) == 1

    def depends(self, e: Expr) -> bool:
        return bool(e.free_symbols & self.names)

    def tidy(self, e: Expr) -> Expr:
        return tidy(e, self.known, self.names)

    def open_log(self, e: Expr) -> Expr:
        return open_log(e, self.known, self.names)

    def linear_form(self, e: Expr) -> Form | None:
        """The coefficients of the coordinates in an affine expression, None where it is not affine."""
        if not self.depends(e):
            return (S.Zero,) * len(self.unknowns)
        if isinstance(e, Symbol):
            return tuple(S.One if e == u else S.Zero for u in self.unknowns)
        if isinstance(e, Add):
            forms = [self.linear_form(a) for a in e.args]
            if any(f is None for f in forms):
                return None
            return tuple(Add(*column) for column in zip(*forms, strict=True))
        if isinstance(e, Mul):
            dependent = [a for a in e.args if self.depends(a)]
            if len(dependent) != 1:
                return None
            inner = self.linear_form(dependent[0])
            if inner is None:
                return None
            factor = Mul(*(a for a in e.args if not self.depends(a)))
            return tuple(factor * c for c in inner)
        return None

    def shape(self, e: Expr) -> Shape:
        """The curvature of e in the coordinates."""
        found = self.memo.get(e)
        if found is None:
            if time.monotonic() > self.deadline:
                raise OutOfTime
            found = self._shape(e)
            self.memo[e] = found
        return found

    def _shape(self, e: Expr) -> Shape:
        if not self.depends(e):
            return Shape(CONSTANT, ("constant", e))
        if self.linear_form(e) is not None:
            return Shape(AFFINE, ("affine", e))
        if isinstance(e, Add):
            return self._sum(e)
        if isinstance(e, Mul):
            return self._product(e)
        if isinstance(e, Pow):
            found = self._power(e)
        elif isinstance(e, exp):
            found = self._exponential(e)
        elif isinstance(e, log):
            found = logarithms.shape_of_logarithm(self, e)
        elif isinstance(e, Abs):
            inner = self.shape(e.args[0])
            found = Shape(CONVEX, ("absolute value of affine", e)) if inner.kind in FLAT else unknown(e)
        elif isinstance(e, loggamma):
            found = unknown(e)
            form = self.linear_form(e.args[0])
            if form is not None and self.positive(e.args[0]):
                found = Shape(CONVEX, ("the gamma function is log-convex", e), (form,))
        else:
            found = unknown(e)
        if found.kind == UNKNOWN:
            return self.univariate(e) or found
        return found

    def univariate(self, e: Expr) -> Shape | None:
        """The curvature of a function of one affine form."""
        if time.monotonic() > self.deadline:
            raise OutOfTime
        found = univariate.curvature(self, e)
        if found is None:
            return None
        return Shape(CONCAVE if found.sign < 0 else CONVEX, ("univariate lemma", e, found.steps), found.forms)

    # sums ---------------------------------------------------------------------------------

    def _sum(self, e: Add) -> Shape:
        terms = self._collected(e)
        shapes = [self.shape(a) for a in terms]
        for kind in (CONCAVE, CONVEX):
            if all(s.is_(kind) for s in shapes):
                return added(kind, e, shapes)
        for kind in (CONCAVE, CONVEX):
            if sum(1 for s in shapes if not s.is_(kind)) < len(shapes) or len(shapes) < 4:
                mended = mended_sum(self, list(zip(terms, shapes, strict=True)), kind)
                if mended is not None:
                    return added(kind, e, mended)
        return unknown(e)

    def _collected(self, e: Add) -> list[Expr]:
        """The terms, those with the same function of the coordinates as one: (x - 1) f, not x f - f."""
        factors: dict[Expr, list[Expr]] = {}
        for term in e.args:
            factor, function = term.as_independent(*self.unknowns, as_Add=False)
            factors.setdefault(function, []).append(factor)
        return [Mul(Add(*found), function) for function, found in factors.items()]

    # products -----------------------------------------------------------------------------

    def _product(self, e: Mul) -> Shape:
        factor = Mul(*(a for a in e.args if not self.depends(a)))
        parts = [a for a in e.args if self.depends(a)]
        rest = Mul(*parts)
        if factor is not S.One:
            inner = self.shape(rest)
            if inner.kind in FLAT or inner.kind == UNKNOWN:
                return Shape(inner.kind, ("times a constant", e, inner.proof))
            sign = self.sign(factor)
            if sign is None:
                return unknown(e)
            strict = sign_on_support(factor, self.known, strict=True) is not None
            kind = inner.kind if sign >= 0 else FLIP[inner.kind]
            return Shape(
                kind, ("times a constant of known sign", e, inner.proof), inner.forms if strict else ()
            )
        for rule in (self._powers, self._by_logarithm):
            found = rule(rest, parts)
            if found is not None:
                return found
        return self.univariate(rest) or unknown(e)

    def _powers(self, e: Expr, parts: Sequence[Expr]) -> Shape | None:
        """Products of powers: geometric means are concave, |a|^p / prod b^q is convex for p >= 1 + sum q."""
        powers: list[tuple[Shape, Expr, Expr]] = []
        for part in parts:
            base, exponent = part.as_base_exp()
            if isinstance(part, exp) or not exponent.is_Rational:
                return None
            powers.append((self.shape(base), base, exponent))
        up = [p for p in powers if p[2] > 0]
        down = [p for p in powers if p[2] < 0]
        proofs = [s.proof for s, _, _ in powers]
        if not down:
            if all(s.is_(CONCAVE) and self.positive(b) for s, b, _ in up) and sum(p for _, _, p in up) <= 1:
                return Shape(CONCAVE, ("weighted geometric mean", e, *proofs))
            return None
        if len(up) > 1 or not all(s.is_(CONCAVE) and self.positive(b) for s, b, _ in down):
            return None
        if not up:
            return Shape(CONVEX, ("negative powers of concave", e, *proofs))
        s, base, p = up[0]
        whole = (p.is_Integer and p % 2 == 0) or self.sign(base) == 1
        if s.kind in FLAT and whole and p >= 1 - sum(q for _, _, q in down):
            return Shape(CONVEX, ("power over product of concave", e, *proofs))
        return None

    def _by_logarithm(self, e: Expr, parts: Sequence[Expr]) -> Shape | None:
        sign = sign_on_support(e, self.known, strict=True)
        if sign is None:
            return None
        inside = self.open_log(sign * e)
        if inside.has(Abs) or inside == log(sign * e):
            return None
        logarithm = self.shape(self.tidy(inside))
        if logarithm.is_(CONVEX):
            kind = CONVEX if sign > 0 else CONCAVE
            return Shape(
                kind, ("log-convex is convex", e, logarithm.proof), self._forms_of_exponential(inside)
            )
        return None

    def _forms_of_exponential(self, exponent: Expr) -> tuple[Form, ...]:
        """exp(g) is affine between two points only where g is constant.

        Then every strictly convex term of g, a function of its own form, is constant, and so is the
        affine part.
        """
        affine: list[Expr] = []
        forms: list[Form] = []
        whole = True
        for term in Add.make_args(self.tidy(exponent)):
            shape = self.shape(term)
            if shape.kind in FLAT:
                affine.append(term)
            else:
                forms += shape.forms
                whole = whole and shape.proof[0] == "univariate lemma" and len(shape.forms) == 1
        linear = self.linear_form(Add(*affine))
        if whole and linear is not None and any(c != 0 for c in linear):
            forms.append(linear)
        return tuple(forms)

    # functions ----------------------------------------------------------------------------

    def _power(self, e: Pow) -> Shape:
        base, p = e.base, e.exp
        if self.depends(p):
            return unknown(e)
        inner = self.shape(base)
        exponent = range_of(p, self.known)
        form = self.linear_form(base)
        forms = (form,) if form is not None else inner.forms
        if isinstance(base, Abs) and exponent.lo >= 1 and inner.kind == CONVEX:
            along = self.linear_form(base.args[0])
            strict = (along,) if along is not None and exponent.lo > 1 else ()
            return Shape(CONVEX, ("power of absolute value", e, inner.proof), strict)
        if p == S.Half and isinstance(base, Add) and self._is_squared_norm(base):
            return Shape(CONVEX, ("Euclidean norm of affine functions", e, inner.proof))
        if p.is_Integer and p % 2 == 0 and p > 0 and inner.kind in FLAT:
            return Shape(CONVEX, ("even power of affine", e), forms)
        sign = self.sign(base)
        if exponent.lo >= 1 and sign == 1 and inner.is_(CONVEX):
            return Shape(
                CONVEX, ("power of convex", e, inner.proof), forms if exponent.lo > 1 else inner.forms
            )
        if p.is_Integer and p % 2 == 0 and p > 0 and sign == -1 and inner.is_(CONCAVE):
            return Shape(CONVEX, ("even power of negative concave", e, inner.proof), forms)
        if exponent.lo >= 0 and exponent.hi <= 1 and self.positive(base) and inner.is_(CONCAVE):
            return Shape(CONCAVE, ("root of concave", e, inner.proof))
        if exponent.negative and self.positive(base) and inner.is_(CONCAVE):
            return Shape(CONVEX, ("negative power of concave", e, inner.proof), forms)
        if self.positive(base):
            inside = self.shape(self.tidy(p * log(base)))
            if inside.is_(CONVEX):
                forms = self._forms_of_exponential(p * log(base))
                return Shape(CONVEX, ("log-convex is convex", e, inside.proof), forms)
        return unknown(e)

    def _is_squared_norm(self, e: Add) -> bool:
        """Whether e is a sum of nonnegative constants and of squares of affine functions."""
        for term in e.args:
            factor, function = term.as_independent(*self.unknowns, as_Add=False)
            if self.sign(factor) not in (0, 1):
                return False
            base, power = function.as_base_exp()
            if function != 1 and (power != 2 or self.linear_form(base) is None):
                return False
        return True

    def _exponential(self, e: exp) -> Shape:
        inner = self.shape(e.exp)
        if not inner.is_(CONVEX):
            return unknown(e)
        return Shape(CONVEX, ("exponential of convex", e, inner.proof), self._forms_of_exponential(e.exp))
