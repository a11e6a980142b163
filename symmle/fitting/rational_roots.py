"""Every real root of an equation that is rational in its parameter: exact arithmetic on the data's doubles.

Sample operators are written out row by row, so that what stands over the common denominator is a polynomial
with rational coefficients, whose real roots SymPy isolates with proof. An equation that is rational in
exp(theta) or tan(theta / 2) is one in these. Functions of the data alone (exp(x)) are rounded to 240 bits;
roots that such a rounding could make or unmake are no proof, and the reason is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sympy import QQ, Add, Expr, Mul, Poly, Pow, Rational, S, Set, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.algebra.rational_coordinates import rational_coordinates
from symmle.compiling.data import Sample, Table
from symmle.compiling.kernels import CONTEXT, scalar_kernel
from symmle.sample import Count, Mean, SampleOperator, Total

MOST_ROWS = 400
MOST_DEGREE = 100
SECONDS = 4.0
NEARLY_REAL = 1e-20  # complex roots of rounded polynomials are to be farther from the real line

Ratio = tuple[Poly, Poly]


class NotRationalError(ArithmeticError):
    """The expression is no ratio of polynomials in the parameter with rational coefficients."""


@dataclass(frozen=True)
class RationalRoots:
    """All real roots at 240 bits; the number of complex ones, and whether the coefficients were rounded."""

    roots: tuple[Any, ...]
    degree: int
    rounded: bool = False

    @property
    def reason(self) -> str:
        exact = "every real root of the equation was isolated in exact arithmetic"
        return f"{exact}, its coefficients rounded to 240 bits" if self.rounded else exact


def rational_roots(
    expression: Expr,
    parameter: Symbol,
    table: Table,
    constants: Mapping[Symbol, Expr],
    domain: Set | None = None,
) -> RationalRoots | str:
    """All real roots at 240 bits, or the reason why they are not known.

    With the domain of the parameter, roots in it are found where the equation is rational in exp(parameter) or in
    tan(parameter / 2).
    """
    found = attempt_within(SECONDS, _roots, expression, parameter, table, constants, domain)
    return found.reason if isinstance(found, GaveUp) else found


def _roots(
    expression: Expr, parameter: Symbol, table: Table, constants: Mapping[Symbol, Expr], domain: Set | None
) -> RationalRoots | str:
    back: Expr | None = None
    left_out = False
    if domain is not None:
        (expression,), (coordinate,) = rational_coordinates((expression,), {parameter: domain})
        if coordinate.new != parameter:
            parameter, back, left_out = coordinate.new, coordinate.back, coordinate.left_out
    written = Written(parameter, table, constants)
    try:
        upper, lower = written.ratio(expression, {})
    except NotRationalError as problem:
        return str(problem)
    if left_out and upper.degree() < lower.degree():
        return "the end of the circle is a root"
    found = real_roots_of(upper, lower)
    if isinstance(found, str):
        return found
    roots = found.roots
    if written.rounded and not _well_apart(upper):
        return "roots lie so close that rounding may make or unmake them"
    if back is not None:
        kernel = scalar_kernel([parameter], [back])
        positive = [r for r in roots if r > 0 or not parameter.is_positive]
        roots = tuple(CONTEXT.convert(kernel(r)[0]) for r in positive)
    return RationalRoots(roots, found.degree, written.rounded)


def real_roots_of(upper: Poly, lower: Poly) -> RationalRoots | str:
    """All real roots of a ratio of polynomials."""
    polynomial = upper.quo(upper.gcd(lower))
    if polynomial.is_zero:
        return "the equation holds everywhere"
    if polynomial.degree() < 1:
        return RationalRoots((), 0)
    simple = polynomial.sqf_part()
    roots = [_refined(simple, left, right) for (left, right), _ in simple.intervals()]
    return RationalRoots(tuple(roots), polynomial.degree())


def _well_apart(polynomial: Poly) -> bool:
    """Whether no two complex roots are so close that rounding could have made one of two, or real ones complex."""
    coefficients = [CONTEXT.mpf(int(c.p)) / int(c.q) for c in polynomial.all_coeffs()]
    try:
        roots = CONTEXT.polyroots(coefficients, maxsteps=200, extraprec=400)
    except CONTEXT.NoConvergence:
        return False
    return all(abs(a - b) > NEARLY_REAL * (abs(a) + abs(b)) for k, a in enumerate(roots) for b in roots[:k])


def _refined(polynomial: Poly, left: Rational, right: Rational) -> Any:
    """The one root between two rational numbers, by bisection that exact signs steer, then secants at 240 bits."""
    if left == right:
        return CONTEXT.mpf(int(left.p)) / int(left.q)
    while left < 0 < right or (right - left) > Rational(1, 2**60) * max(abs(left), abs(right)):
        middle = S.Zero if left < 0 < right else (left + right) / 2
        here = polynomial.eval(middle)
        if here == 0:
            return CONTEXT.mpf(int(middle.p)) / int(middle.q)
        if (polynomial.eval(left) > 0) != (here > 0):
            right = middle
        else:
            left = middle
    return (CONTEXT.mpf(int(left.p)) / int(left.q) + CONTEXT.mpf(int(right.p)) / int(right.q)) / 2


class Written:
    """Expressions as ratios of polynomials in one parameter, the rows of the data put in."""

    def __init__(self, parameter: Symbol, table: Table, constants: Mapping[Symbol, Expr]):
        self.parameter, self.table, self.constants = parameter, table, constants
        self.one = Poly(1, parameter, domain=QQ)
        self.rounded = False

    def ratio(self, e: Expr, row: Mapping[Symbol, Rational]) -> Ratio:
        if e == self.parameter:
            return Poly(self.parameter, self.parameter, domain=QQ), self.one
        if e.is_Rational:
            return self.one * e, self.one
        if isinstance(e, Symbol):
            value = row.get(e, self.constants.get(e))
            if value is None or not value.is_Rational:
                raise NotRationalError(f"{e} is no rational number")
            return self.one * value, self.one
        if isinstance(e, Add):
            return _sum([self.ratio(a, row) for a in e.args])  # type: ignore[arg-type]
        if isinstance(e, Mul):
            upper, lower = self.one, self.one
            for a in e.args:
                p, q = self.ratio(a, row)  # type: ignore[arg-type]
                upper, lower = upper * p, lower * q
            return _reduced(upper, lower)
        if isinstance(e, Pow) and e.exp.is_Integer:
            p, q = self.ratio(e.base, row)
            n = int(e.exp)
            if n < 0:
                if p.is_zero:
                    raise NotRationalError(f"{e.base} is 0")
                p, q = q, p
            return p ** abs(n), q ** abs(n)
        if isinstance(e, SampleOperator):
            return self._operator(e)
        if not e.has(SampleOperator) and not e.has(self.parameter):
            return self.one * self._rounded(e, row), self.one
        raise NotRationalError(f"{type(e).__name__} is not rational")

    def _rounded(self, e: Expr, row: Mapping[Symbol, Rational]) -> Rational:
        """A function of the data alone at 240 bits."""
        number = e.xreplace({**self.constants, **row}).evalf(80)
        if not number.is_Float or not number.is_finite:
            raise NotRationalError(f"{e} has no value")
        self.rounded = True
        return Rational(number)

    def _operator(self, e: SampleOperator) -> Ratio:
        rows = exact_rows(self.table.sample_of(e.columns), MOST_ROWS)
        total = sum((weight for _, weight in rows), S.Zero)
        if isinstance(e, Count):
            return self.one * total, self.one
        if not isinstance(e, (Mean, Total)):
            raise NotRationalError(f"{type(e).__name__} is no mean")
        parts = []
        for row, weight in rows:
            p, q = self.ratio(e.summand, row)
            parts.append((p * (weight if isinstance(e, Total) else weight / total), q))
        return _sum(parts)


def _sum(parts: list[Ratio]) -> Ratio:
    """The sum of ratios, halves first, so that degrees grow evenly."""
    while len(parts) > 1:
        paired = [_added(*parts[k : k + 2]) for k in range(0, len(parts) - 1, 2)]
        parts = paired + parts[2 * len(paired) :]
    return parts[0]


def _added(first: Ratio, second: Ratio) -> Ratio:
    (p, q), (r, s) = first, second
    if q == s:
        return p + r, q
    return _reduced(p * s + r * q, q * s)


def _reduced(upper: Poly, lower: Poly) -> Ratio:
    if max(upper.degree(), lower.degree()) > MOST_DEGREE:
        raise NotRationalError("the polynomial is of too high a degree")
    if lower.degree() == 0:
        number = lower.LC()
        return upper * (1 / number), Poly(1, *lower.gens, domain=QQ)
    return upper, lower


def exact_rows(sample: Sample, most: int) -> list[tuple[dict[Symbol, Rational], Rational]]:
    """The rows of a sample and their weights, as the rational numbers that the doubles are."""
    if sample.rows > most:
        raise NotRationalError(f"{sample.rows} rows are too many for exact arithmetic")
    weights = [1.0] * sample.rows if sample.weights is None else list(sample.weights)
    return [
        ({c: _exact(v[k]) for c, v in sample.columns.items()}, _exact(weights[k])) for k in range(sample.rows)
    ]


def _exact(value: Any) -> Rational:
    upper, lower = float(value).as_integer_ratio()
    return Rational(upper, lower)
