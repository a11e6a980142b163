"""Samples of known size one, two or three: l written in the ordered observations, and its score solved.

    n = 1: x = Mean(x).  n = 2: x_(1), x_(2) = Minimum, Maximum.  n = 3: also Total - Minimum - Maximum.

A density that is even in x is written in the ordered |x|.

Asked only where no formula for every n is found. One parameter; the score a ratio of polynomials in it, in
exp(theta) or in a power of it, with few enough roots that the signs between them are proved (`certify.sign_pattern`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import gcd

from sympy import (
    Abs,
    Expr,
    FiniteSet,
    Interval,
    Le,
    Piecewise,
    Pow,
    S,
    Set,
    Symbol,
    Tuple,
    cancel,
    expand,
    fraction,
    log,
    oo,
    powsimp,
    together,
)

from symmle.algebra import GaveUp, attempt_within
from symmle.algebra.rational_coordinates import rational_coordinates
from symmle.certify.sign_pattern import Pattern, Problem, certificate_of, find_pattern
from symmle.declare.declaration import Declaration
from symmle.estimator import BySymbol, Estimator, Kind, StationaryPoint
from symmle.likelihood import Likelihood
from symmle.record import Relation, Step
from symmle.reduction import with_numbers
from symmle.reductions.problem import Reduced, Skipped, Solve
from symmle.sample import Maximum, Mean, Minimum, Total

LARGEST = 3
SECONDS = 10.0


@dataclass(frozen=True)
class _Ordered:
    """The ordered observations in symbols: `rows`; the symbols in operators, and in free positive symbols.

    `steps` are the symbols of differences, by symbols of the observations; `operators` are these observations.
    """

    rows: tuple[Expr, ...]
    meaning: dict[Symbol, Expr]
    free: tuple[tuple[Symbol, Expr], ...]
    operators: tuple[Expr, ...]
    steps: tuple[tuple[Symbol, Expr], ...] = ()

    def shown(self, e: Expr) -> Expr:
        """An expression in operators."""
        by_rows = e.xreplace(dict(self.steps))
        by_rows = expand(by_rows.replace(lambda n: isinstance(n, Pow), lambda n: _tidy(n.base) ** n.exp))
        written = [f.xreplace(self.meaning) for f in (by_rows, e)]
        return min(written, key=lambda f: f.count_ops())  # type: ignore[no-any-return]


def _tidy(e: Expr) -> Expr:
    return e.expand().factor()


class Unrolled:
    """The estimate at a declared sample size."""

    name = "sample of known size"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        declaration = likelihood.declaration
        n = declaration.size
        if n is None or not all(isinstance(s, Interval) for s in declaration.parameters.values()):
            return Skipped("")
        reason = _why_not(declaration, n)
        if reason:
            return Skipped(reason)
        part = solve(replace(declaration, size=None))
        if set(part.estimator.closed) == set(declaration.parameters):
            return Skipped("")
        found = attempt_within(SECONDS, _reduced, likelihood, n)
        return Skipped(found.reason) if isinstance(found, GaveUp) else found


def _why_not(declaration: Declaration, n: int) -> str:
    part = declaration.samples[0]
    if n > LARGEST:
        return f"a sample of size {n} is not written out"
    if len(declaration.parameters) != 1 or declaration.where or declaration.latent:
        return "samples of known size are written out for one parameter alone"
    one_column = len(declaration.samples) == 1 and len(part.all_columns) == 1 and not part.components
    if not one_column or part.inside or declaration.lags:
        return "samples of known size are written out for one column alone"
    return "" if all(v is not None for v in declaration.constants.values()) else "a constant has no value"


def _reduced(likelihood: Likelihood, n: int) -> Reduced | Skipped:
    declaration = likelihood.declaration
    numbers = {c: v for c, v in declaration.constants.items() if v is not None}
    part, ((theta, domain),) = with_numbers(declaration).samples[0], declaration.parameters.items()
    (x,) = part.columns
    opened = likelihood.forms[0].opened.xreplace(numbers)
    reason = ""
    best: tuple[Problem, Pattern, _Ordered, Expr] | None = None
    even = not x.is_positive and _is_even(opened, x)
    for ordered in _ordered(n, x, even):
        posed = _posed(opened, x, theta, domain.xreplace(numbers), part.support[x], ordered)
        if isinstance(posed, str):
            reason = reason or posed
            continue
        problem, back = posed
        pattern = find_pattern(problem)
        if isinstance(pattern, str):
            reason = pattern
            continue
        length = ordered.shown(pattern.root).count_ops()
        if best is None or length < best[2].shown(best[1].root).count_ops():
            best = problem, pattern, ordered, back
    if best is None:
        return Skipped(reason)
    return _answer(likelihood, opened, x, theta, *best)


def _is_even(opened: Expr, x: Symbol) -> bool:
    """f(-x) = f(x), as it is written."""
    return bool(expand(opened.xreplace({x: -x}) - opened) == 0)


def _ordered(n: int, x: Symbol, even: bool) -> list[_Ordered]:
    """Ways to write the ordered sample: by least value and steps, or by centre and range."""
    columns = Tuple(x)
    value = Abs(x) if even else x
    low, high, total = Minimum(value, columns), Maximum(value, columns), Total(value, columns)
    known = {"positive": True} if even or x.is_positive else {"real": True}
    if n == 1:
        one, mean = Symbol("x_1", **known), Mean(value, columns)
        return [_Ordered((one,), {one: mean}, (), (mean,))]
    first = Symbol("x_1", **known)
    steps = [Symbol(f"d_{i}", positive=True) for i in range(1, n)]
    operators = (low, high) if n == 2 else (low, total - low - high, high)
    rows, at = [first], first
    for d in steps:
        at = at + d
        rows.append(at)
    ends = [b - a for a, b in pairwise(operators)]
    symbols = [first, *(Symbol(f"x_{i}", **known) for i in range(2, n + 1))]
    meaning = dict(zip(symbols, operators, strict=True)) | dict(zip(steps, ends, strict=True))
    differences = tuple((d, b - a) for d, (a, b) in zip(steps, pairwise(symbols), strict=True))
    plain = _Ordered(tuple(rows), meaning, (), operators, differences)
    if n != 2:
        return [plain]
    centre, spread = Symbol("c", **known), Symbol("r", positive=True)
    free = ((centre, first + steps[0] / 2), (spread, steps[0]))
    central = _Ordered(
        (centre - spread / 2, centre + spread / 2),
        {centre: Mean(value, columns), spread: high - low},
        free,
        operators,
    )
    return [central, plain]


def _posed(
    opened: Expr, x: Symbol, theta: Symbol, domain: Set, support: Set, ordered: _Ordered
) -> tuple[Problem, Expr] | str:
    """The problem in q, and theta as an expression in q."""
    l = sum((opened.xreplace({x: row}) for row in ordered.rows), S.Zero)
    ends = _interval(theta, domain, support, ordered)
    if isinstance(ends, str):
        return ends
    score = l.diff(theta)
    (written,), (coordinate,) = rational_coordinates([score], {theta: Interval.open(*ends)})
    q, back = coordinate.new, coordinate.back
    if q != theta:
        if ends != (-oo, oo) or not coordinate.positive:
            return "the score is not rational in the parameter"
        # the sign of d l / d theta is that of d l / d q
        name = Symbol(f"q_{theta}", positive=True)
        at = back.xreplace({q: name})
        l = l.xreplace({theta: at})
        written = l.diff(name)
        return Problem(written, l, name, S.Zero, oo, ordered.free), at
    power = _common_power(score, theta) if ends == (0, oo) else 1
    if power > 1:
        name = Symbol(f"q_{theta}", positive=True)
        at = name ** (S.One / power)
        l = l.xreplace({theta: at})
        return Problem(powsimp(l.diff(name)), l, name, S.Zero, oo, ordered.free), at
    return Problem(score, l, theta, ends[0], ends[1], ordered.free), theta


def _common_power(score: Expr, theta: Symbol) -> int:
    """g where the score, but for a power of theta, depends on theta**g alone."""
    exponents: list[int] = []
    for part in fraction(cancel(together(score))):
        polynomial = part.as_poly(theta)
        if polynomial is None:
            return 1
        found = [m for (m,) in polynomial.monoms()]
        exponents.extend(m - min(found) for m in found)
    return gcd(*exponents) or 1


def _interval(theta: Symbol, domain: Set, support: Set, ordered: _Ordered) -> tuple[Expr, Expr] | str:
    """The values of theta inside its domain at which every observation lies inside its support."""
    if not isinstance(domain, Interval) or domain.free_symbols or not isinstance(support, Interval):
        return "the domain is no interval of numbers"
    lower, upper = domain.start, domain.end
    limits: list[tuple[Expr, bool]] = []
    for bound, extreme, is_upper in (
        (support.end, ordered.rows[-1], True),
        (support.start, ordered.rows[0], False),
    ):
        if theta not in bound.free_symbols:
            continue
        slope = bound.diff(theta)
        if not slope.is_number or slope == 0:
            return "the support does not move in proportion to the parameter"
        at = expand((extreme - bound.xreplace({theta: S.Zero})) / slope)
        limits.append((at, (slope > 0) == is_upper))
    for at, is_lower in limits:
        if is_lower:
            if lower != -oo and not (at - lower).xreplace(dict(ordered.free)).is_positive:
                return "the limits of the parameter are not ordered"
            lower = at
        else:
            if upper != oo and not (upper - at).xreplace(dict(ordered.free)).is_positive:
                return "the limits of the parameter are not ordered"
            upper = at
    return lower, upper


def _answer(
    likelihood: Likelihood,
    opened: Expr,
    x: Symbol,
    theta: Symbol,
    problem: Problem,
    pattern: Pattern,
    ordered: _Ordered,
    back: Expr,
) -> Reduced | Skipped:
    declaration = likelihood.declaration

    def shown(e: Expr) -> Expr:
        at = back.xreplace({problem.q: e}) if back != theta else e
        return ordered.shown(_simple(at))

    root = shown(pattern.root)
    closed: Expr = root
    maximisers: BySymbol = BySymbol()
    if pattern.pair is not None and pattern.threshold is not None:
        constant, rest = pattern.threshold.as_coeff_Add()
        below = Le(rest.xreplace(ordered.meaning), -constant)
        low, high = (Piecewise((root, below), (shown(e), True)) for e in pattern.pair)
        closed, maximisers = low, BySymbol({theta: FiniteSet(low, high)})
    values = BySymbol({theta: closed})
    certificate = certificate_of(problem, pattern, declaration, values)
    estimator = Estimator(
        closed=values,
        points=(StationaryPoint(values, Kind.GLOBAL_MAXIMUM, certificate),),
        kind="closed form",
        route="joint",
        maximisers=maximisers,
    )
    unrolled = sum((opened.xreplace({x: row}) for row in ordered.operators), S.Zero)
    score = unrolled.diff(theta)
    every = tuple(Tuple(shown(e)) for e in pattern.roots)
    numerator = fraction(together(score))[0] if back == theta else score
    steps: tuple[Step, ...] = (
        Step("unrolled", (likelihood.log_likelihood,), (unrolled,), Relation.EQUAL),
        Step("score", (unrolled,), (score,), Relation.DERIVATIVE, (theta,)),
        Step("solve", (numerator,), every, Relation.ROOTS, (theta,)),
    )
    if len(every) > 1:
        steps += (Step("best member", (), (closed,), Relation.MAXIMUM, (theta,)),)
    return Reduced(estimator, steps)


def _simple(e: Expr) -> Expr:
    """Logarithms of powers and products of exponentials opened."""
    return powsimp(e.replace(lambda n: isinstance(n, log), lambda n: log(powsimp(n.args[0]))))


__all__ = ["Unrolled"]
