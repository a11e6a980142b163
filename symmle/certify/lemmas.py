"""Signs of functions of one variable, proved: rational functions, exponential polynomials, a logarithm.

The method is descent: P >= 0 on (0, oo) where P(0+) >= 0 and (P e^(-k t))' >= 0 for some rate k of P.
Every differentiation lowers the degree of the term with rate k, so that the descent ends, at a sum
of terms of one sign. Coefficients may hold data, whose signs are read off the support.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isinf

from sympy import (
    Dummy,
    Expr,
    Poly,
    Pow,
    Rational,
    S,
    Symbol,
    diff,
    exp,
    expand_mul,
    fraction,
    log,
    polygamma,
    together,
)
from sympy.core.mul import Mul
from sympy.polys.polyerrors import PolynomialError

from symmle.certify.exponentials import (
    Terms,
    factorial,
    limit_of_sum,
    mirrored,
    negated,
    split_exponentials,
    terms_of,
    written,
)
from symmle.certify.ranges import INF, Bounds

SignOf = Callable[[Expr], int | None]  # weak sign of a coefficient (data and constants alone)
_BUDGET = 400  # nodes of one descent


@dataclass(frozen=True)
class Lemma:
    """`expression` has the stated sign (1: >= 0, -1: <= 0) for t in the range; `steps` is how."""

    expression: Expr
    variable: Symbol
    sign: int
    steps: tuple[str, ...]


class _Descent:
    def __init__(self, sign_of: SignOf):
        self.sign_of = sign_of
        self.nodes = 0
        self.seen: dict[frozenset[tuple[tuple[int, Rational], Expr]], tuple[str, ...] | None] = {}

    def nonnegative(self, terms: Terms, depth: int = 0) -> tuple[str, ...] | None:
        """Why sum c t^j e^(k t) >= 0 on (0, oo), or None."""
        terms = {key: c for key, c in terms.items() if c != 0}
        if not terms:
            return ("0",)
        low = min(j for j, _ in terms)
        terms = {(j - low, k): c for (j, k), c in terms.items()}
        key = frozenset(terms.items())
        if key in self.seen:
            return self.seen[key]
        self.seen[key] = None
        self.nodes += 1
        if self.nodes > _BUDGET or depth > 14:
            return None
        found = self._descend(terms, depth)
        self.seen[key] = found
        return found

    def _descend(self, terms: Terms, depth: int) -> tuple[str, ...] | None:
        if all(self.sign_of(c) in (0, 1) for c in terms.values()):
            return (f"every term of {written(terms)} is nonnegative",)
        at_zero = expand_mul(sum((c for (j, _), c in terms.items() if j == 0), S.Zero))
        if self.sign_of(at_zero) not in (0, 1):
            return None
        for rate in sorted({k for _, k in terms}, key=lambda k: (-_negative_terms(terms, k), k)):
            derivative: Terms = {}
            for (j, k), c in terms.items():
                shifted = k - rate
                if shifted != 0:
                    _accumulate(derivative, (j, shifted), c * shifted)
                if j > 0:
                    _accumulate(derivative, (j - 1, shifted), c * j)
            found = self.nonnegative(derivative, depth + 1)
            if found is not None:
                line = f"{written(terms)} times exp({-rate} t) starts at {at_zero} or more and grows"
                return (line, *found)
        return None


def _accumulate(terms: Terms, key: tuple[int, Rational], value: Expr) -> None:
    terms[key] = expand_mul(terms.get(key, S.Zero) + value)


def _negative_terms(terms: Terms, rate: Rational) -> int:
    return sum(1 for (_, k), c in terms.items() if k == rate and c.could_extract_minus_sign())


def _sign_of_terms(terms: Terms, bounds: Bounds, sign_of: SignOf) -> tuple[int, tuple[str, ...]] | None:
    """The weak sign of an exponential polynomial on a range within (0, oo), (-oo, 0) or all of R."""
    if not terms:
        return 0, ("0",)
    sides = []
    if bounds.hi > 0:
        sides.append(terms)
    if bounds.lo < 0:
        sides.append(mirrored(terms))
    found = _sturm(terms, bounds)
    if found is not None:
        return found
    for sign in (1, -1):
        steps: tuple[str, ...] = ()
        for side in sides:
            proof = _Descent(sign_of).nonnegative(side if sign == 1 else negated(side))
            if proof is None:
                break
            steps += proof
        else:
            return sign, steps
    return None


def _sturm(terms: Terms, bounds: Bounds) -> tuple[int, tuple[str, ...]] | None:
    """A polynomial with rational coefficients: its roots are counted."""
    if any(k != 0 for _, k in terms) or not all(c.is_Rational for c in terms.values()):
        return None
    t = Dummy("t")
    poly = Poly(sum((c * t**j for (j, _), c in terms.items()), S.Zero), t)
    lo, hi = (None if isinf(e) else Rational(str(Fraction(e))) for e in (bounds.lo, bounds.hi))
    inside = poly.count_roots(lo, hi)
    for end in (lo, hi):
        if end is not None and poly.eval(end) == 0:
            inside -= 1
    if inside:
        return None
    middle = (
        (lo + hi) / 2
        if lo is not None and hi is not None
        else (lo + 1 if lo is not None else hi - 1 if hi is not None else S.Zero)
    )
    value = poly.eval(middle)
    if value == 0:
        return None
    return (1 if value > 0 else -1), (f"{poly.as_expr()} has no root in the range (Sturm)",)


def prove_sign(e: Expr, t: Symbol, bounds: Bounds, sign_of: SignOf, depth: int = 0) -> Lemma | None:
    """The proved weak sign of e on the range of t, or None. `sign_of` reads the signs of coefficients."""
    if depth > 3:
        return None
    if not e.has(t):
        sign = sign_of(e)
        return Lemma(e, t, sign, ("constant",)) if sign is not None else None
    if e.has(polygamma):
        return _by_laplace_transform(e, t, bounds, sign_of)
    split = split_exponentials(e, t)
    if split is None:
        return None
    rational, y, g = split
    logs = [a for a in rational.atoms(log) if a.has(t, y)]
    if len(logs) > 1:
        return None
    holder = Dummy("L")
    if logs:
        rational = rational.xreplace({logs[0]: holder})
    numerator, denominator = fraction(together(rational))
    if denominator.has(holder):
        # only an even power of the logarithm, whose sign does not matter
        kept = S.One
        for factor in Mul.make_args(denominator):
            base, power = factor.as_base_exp()
            if factor.has(holder) and not (power.is_Integer and int(power) % 2 == 0 and not base.has(Pow)):
                return None
            if not factor.has(holder):
                kept *= factor
        denominator = kept
    below = _sign_of_factors(denominator, t, y, g, bounds, sign_of)
    if below is None:
        return None
    if logs and numerator.has(holder):
        above = _with_logarithm(numerator, holder, logs[0], t, y, g, bounds, sign_of, depth)
    else:
        above = _sign_of_factors(numerator, t, y, g, bounds, sign_of)
    if above is None:
        return None
    return Lemma(e, t, above[0] * below[0], above[1] + below[1])


def prove_positive(e: Expr, t: Symbol, bounds: Bounds) -> bool:
    """Whether e > 0 on the range, for an e without other symbols."""
    if e.free_symbols != {t} or e.has(polygamma, log):
        return False
    split = split_exponentials(e, t)
    if split is None or bounds.lo < 0 < bounds.hi:
        return False
    rational, y, g = split
    numerator, denominator = fraction(together(rational))
    above = _sign_of_factors(numerator, t, y, g, bounds, _sign_of_number, strict=True)
    below = _sign_of_factors(denominator, t, y, g, bounds, _sign_of_number, strict=True)
    return above is not None and below is not None and above[0] * below[0] > 0


def _sign_of_number(c: Expr) -> int | None:
    if not c.is_number:
        return None
    return 1 if c.is_positive else -1 if c.is_negative else 0 if c.is_zero else None


def _sign_of_factors(
    e: Expr, t: Symbol, y: Symbol, g: Rational, bounds: Bounds, sign_of: SignOf, strict: bool = False
) -> tuple[int, tuple[str, ...]] | None:
    """The sign of a product of exponential polynomials, factor by factor; with `strict`, none vanishes."""
    sign = 1
    steps: tuple[str, ...] = ()
    for factor in Mul.make_args(e):
        base, power = factor.as_base_exp()
        if strict and factor.free_symbols - {t, y}:
            return None
        even = power.is_Integer and int(power) % 2 == 0
        if even and not strict:
            continue
        if not factor.has(t, y):
            one = sign_of(factor)
            if one is None:
                return None
            sign *= one
            continue
        if not power.is_Integer:
            return None
        terms = terms_of(base, t, y, g)
        found = None if terms is None else _sign_of_terms(terms, bounds, sign_of)
        if found is None:
            return None
        sign *= 1 if even else found[0]
        steps += found[1]
    return sign, steps


def _with_logarithm(
    numerator: Expr,
    holder: Symbol,
    logarithm: Expr,
    t: Symbol,
    y: Symbol,
    g: Rational,
    bounds: Bounds,
    sign_of: SignOf,
    depth: int,
) -> tuple[int, tuple[str, ...]] | None:
    """The sign of A L + B on (0, oo): of L + B/A, which is monotone with a limit of the right sign."""
    if bounds.lo != 0 or bounds.hi != INF:
        return None
    try:
        poly = Poly(numerator, holder)
    except PolynomialError:
        return None
    if poly.degree() != 1:
        return None
    a, b = (together(c) for c in poly.all_coeffs())
    sign_a = _sign_of_factors(_factored(a), t, y, g, bounds, sign_of, strict=True)
    if sign_a is None or sign_a[0] == 0:
        return None
    quotient = b / a
    back = {y: exp(g * t)}
    slope = together(diff((logarithm + quotient).xreplace(back), t))
    lemma = prove_sign(slope, t, bounds, sign_of, depth + 1)
    if lemma is None:
        return None
    # F = L + B/A decreases towards its limit at oo, or increases from its limit at 0
    for sign, end in ((1, INF if lemma.sign <= 0 else 0), (-1, INF if lemma.sign >= 0 else 0)):
        limit = limit_of_sum(logarithm, quotient, t, y, g, end)
        if limit is not None and (limit * sign).is_extended_nonnegative is True:
            line = f"{(logarithm + quotient).xreplace(back)} is monotone with limit {limit} at {end}"
            return sign * sign_a[0], (line, *lemma.steps, *sign_a[1])
    return None


def _factored(e: Expr) -> Expr:
    numerator, denominator = fraction(e)
    return numerator.factor() / denominator


def _by_laplace_transform(e: Expr, t: Symbol, bounds: Bounds, sign_of: SignOf) -> Lemma | None:
    """sum c psi'(a t + b) + sum r (t + b)**(-m) as the Laplace transform of a kernel of one sign.

    psi'(z) = int_0^oo s e^(-z s) / (1 - e^(-s)) ds and (z)**(-m) = int_0^oo s^(m-1) e^(-z s) / (m-1)! ds.
    """
    if not bounds.nonnegative:
        return None
    s = Dummy("s", positive=True)
    kernel = S.Zero
    for term in expand_mul(e).as_ordered_terms():
        coefficient, rest = term.as_independent(t, as_Add=False)
        if isinstance(rest, polygamma) and rest.args[0] == 1:
            inner, order = rest.args[1], None
        elif isinstance(rest, Pow) and rest.exp.is_Integer and rest.exp < 0:
            inner, order = rest.base, -int(rest.exp)
        else:
            return None
        inner = expand_mul(inner)
        a, b = inner.coeff(t, 1), inner.coeff(t, 0)
        if expand_mul(inner - a * t - b) != 0 or not (a.is_Rational and a > 0):
            return None
        if not (b.is_Rational and b >= 0):
            return None
        if order is None:
            kernel += coefficient / a**2 * s * exp(-b * s / a) / (1 - exp(-s / a))
        else:
            kernel += coefficient / a**order * s ** (order - 1) / factorial(order - 1) * exp(-b * s / a)
    found = prove_sign(kernel, s, Bounds(bounds.lo * 0, INF), sign_of, 1)
    if found is None:
        return None
    line = f"the Laplace transform of {kernel.xreplace({s: Symbol('s')})}"
    return Lemma(e, t, found.sign, (line, *found.steps))
