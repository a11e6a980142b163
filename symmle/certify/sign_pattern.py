"""The maximum from the signs of a score that is a polynomial of low degree over a positive denominator.

For a sample of known size the score in one parameter q is P(q)/D(q) with D > 0 on the interval where q may lie, and
P a product of factors of degree one and two in q. Two patterns of its signs are proved for every sample:

- "one root": P is positive at the lower end, negative at the upper one, and of degree two at most once the factors
  without a zero are left out. Then it has exactly one zero between; l rises up to it and falls after it.
- "three roots": on the whole line P = -k (q - c) Q(q), k > 0, Q = q**2 + beta q + gamma with discriminant Delta, and
  Q(c) = -m Delta with m > 0. Where Delta <= 0, Q >= 0 and c is the only change of sign, from plus to minus. Where
  Delta > 0, c lies between the zeros of Q and is a minimum; both zeros of Q are maxima, and l is the same at both
  since it is symmetric about their middle.

Signs are proved for samples without ties; for others the formulas are limits, and l is continuous.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import (
    Expr,
    Function,
    Poly,
    PolynomialError,
    S,
    Symbol,
    cancel,
    expand,
    factor_list,
    fraction,
    oo,
    sqrt,
    together,
)

from symmle.algebra import Facts
from symmle.certify.competitors import never_beaten
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import build_likelihood
from symmle.record import Condition

ONE = "the score changes its sign once, from plus to minus"
THREE = "signs of the score between its roots, compared by the log-likelihood"
MOST_OPERATIONS = 400


@dataclass(frozen=True)
class Problem:
    """The score and l in q and in symbols of the sample, whose assumptions say what is known of them.

    q lies in (lower, upper); `free` writes the symbols by free positive ones, for signs.
    """

    score: Expr
    log_likelihood: Expr
    q: Symbol
    lower: Expr
    upper: Expr
    free: tuple[tuple[Symbol, Expr], ...] = ()


@dataclass(frozen=True)
class Pattern:
    """The maximiser: `root`; or where `threshold` > 0 both of `pair`, and `root` elsewhere. `roots`: of the score."""

    root: Expr
    roots: tuple[Expr, ...]
    threshold: Expr | None = None
    pair: tuple[Expr, Expr] | None = None


class _Signs:
    """Signs of expressions in the sample's symbols, and in q on its interval."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.facts = Facts({})
        u, v = Symbol("u_q", positive=True), Symbol("v_q", real=True)
        if problem.lower != -oo and problem.upper != oo:
            self.inside = (problem.lower + problem.upper * u) / (1 + u)
        elif problem.lower != -oo:
            self.inside = problem.lower + u
        else:
            self.inside = problem.upper - u if problem.upper != oo else v

    def of(self, e: Expr) -> int | None:
        written = e.xreplace({self.problem.q: self.inside}).xreplace(dict(self.problem.free))
        if written.count_ops() > MOST_OPERATIONS:
            return None
        return self.facts.decide_sign(written)

    def at_end(self, polynomial: Poly, end: Expr) -> int | None:
        """The sign next to an end of the interval."""
        if end in (oo, -oo):
            sign = self.of(polynomial.LC())
            flips = end == -oo and polynomial.degree() % 2
            return None if sign is None else -sign if flips else sign
        return self.of(polynomial.as_expr().xreplace({self.problem.q: end}))


def find_pattern(problem: Problem) -> Pattern | str:
    """The pattern with its proof, or why there is none."""
    q, signs = problem.q, _Signs(problem)
    numerator, denominator = fraction(cancel(together(problem.score)))
    sign = _sign_of_product(signs, denominator)
    if sign is None:
        return "the sign of the denominator of the score is not decided"
    try:
        constant, factors = factor_list(numerator)
    except PolynomialError:
        return "the score is no ratio of polynomials"
    sign = _times(sign, signs.of(constant))
    active: list[Poly] = []
    others: list[Poly] = []
    for f, multiplicity in factors:
        own = signs.of(f)
        if own in (1, -1):
            sign = _times(sign, own if multiplicity % 2 else 1)
            continue
        if q not in f.free_symbols:
            return "the sign of a factor of the score is not decided"
        polynomial = f.as_poly(q)
        if polynomial is None or any(q in c.free_symbols for c in polynomial.all_coeffs()):
            return "the score is no ratio of polynomials"
        (active if multiplicity % 2 else others).append(polynomial)
    if sign is None:
        return "the sign of a factor of the score is not decided"
    degrees = sorted(p.degree() for p in active)
    if others or degrees not in ([1], [2], [1, 2]):
        return f"the score has factors of degree {', '.join(map(str, degrees)) or '0'}"
    active.sort(key=lambda p: p.degree())
    if len(active) == 1:
        return _one_root(problem, signs, active[0] * sign)
    return _three_roots(problem, signs, active[0] * sign, active[1])


def _sign_of_product(signs: _Signs, e: Expr) -> int | None:
    """The sign of a polynomial that is never zero, factor by factor."""
    try:
        constant, factors = factor_list(e)
    except PolynomialError:
        constant, factors = S.One, [(e, 1)]
    sign = signs.of(constant)
    for f, multiplicity in factors:
        own = signs.of(f)
        if own not in (1, -1):
            return None
        sign = _times(sign, own if multiplicity % 2 else 1)
    return sign


def _times(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first * second


def _one_root(problem: Problem, signs: _Signs, p: Poly) -> Pattern | str:
    if signs.at_end(p, problem.lower) != 1 or signs.at_end(p, problem.upper) != -1:
        return "the score is not proved to fall from plus to minus"
    if p.degree() == 1:
        a, b = p.all_coeffs()
        root = cancel(-b / a)
        return Pattern(root, (root,))
    a, b, c = p.all_coeffs()
    if signs.of(a) not in (1, -1):
        return "the sign of the leading coefficient of the score is not decided"
    half = b / 2
    root = sqrt(expand(half**2 - a * c).factor())
    # P'(root) = -2 sqrt(..) < 0 at the first, where P falls
    found = tuple((-half - s * root) / a for s in (1, -1))
    return Pattern(found[0], found)


def _three_roots(problem: Problem, signs: _Signs, line: Poly, conic: Poly) -> Pattern | str:
    if problem.lower != -oo or problem.upper != oo:
        return "the roots of the score are not ordered on an interval with an end"
    if _times(signs.of(line.LC()), signs.of(conic.LC())) != -1:
        return "the score is not proved to fall at infinity"
    a, b = line.all_coeffs()
    centre = cancel(-b / a)
    lead, beta, gamma = conic.all_coeffs()
    beta, gamma = cancel(beta / lead), cancel(gamma / lead)
    delta = (beta**2 / 4 - gamma).expand().factor()
    at_centre = expand(centre**2 + beta * centre + gamma)
    if delta == 0 or signs.of(cancel(at_centre / delta)) != -1:
        return "the roots of the score are not ordered"
    if not _is_symmetric(problem, cancel(-beta / 2)):
        return "the log-likelihoods at two maxima are not compared"
    pair = (-beta / 2 - sqrt(delta), -beta / 2 + sqrt(delta))
    return Pattern(centre, (centre, *pair), _shortest(signs, delta), pair)


def _shortest(signs: _Signs, e: Expr) -> Expr:
    """An expression of the same sign, without the factors whose sign is known."""
    constant, factors = factor_list(e)
    sign, rest = signs.of(constant), S.One
    for f, multiplicity in factors:
        own = signs.of(f)
        if own in (1, -1):
            sign = _times(sign, own if multiplicity % 2 else 1)
        else:
            rest *= f**multiplicity
    return e if sign is None else sign * rest


def _is_symmetric(problem: Problem, middle: Expr) -> bool:
    """l(middle + t) = l(middle - t), by expanding what stands in its functions."""
    t = Symbol("t_q", real=True)
    sides = [
        problem.log_likelihood.xreplace({problem.q: middle + s * t}).replace(
            lambda e: isinstance(e, Function), lambda e: e.func(*(expand(a) for a in e.args))
        )
        for s in (1, -1)
    ]
    return expand(sides[0] - sides[1]) == 0


@dataclass(frozen=True)
class SignPattern(Certificate):
    """The estimate of `declaration`, of known sample size, is where the pattern of signs has its maximum."""

    declaration: Declaration
    closed: tuple[tuple[Symbol, Expr], ...]
    problem: tuple[Expr, ...]  # score, log-likelihood, q, lower, upper
    free: tuple[tuple[Symbol, Expr], ...]
    root: Expr
    threshold: Expr | None = None
    theorem: str = ONE
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE
    conditions: tuple[Condition, ...] = ()

    def check(self) -> tuple[bool, str]:
        """The signs again, and random competitors of the closed form."""
        score, l, q, lower, upper = self.problem
        if expand(together(l.diff(q) - score)) != 0 and cancel(together(l.diff(q) - score)) != 0:
            return False, "the score is not the derivative of the log-likelihood"
        again = find_pattern(Problem(score, l, q, lower, upper, self.free))  # type: ignore[arg-type]
        if isinstance(again, str):
            return False, again
        if again.root != self.root or again.threshold != self.threshold:
            return False, "the signs lead to another formula"
        return never_beaten(build_likelihood(self.declaration), dict(self.closed), self.conditions)


def certificate_of(
    problem: Problem, pattern: Pattern, declaration: Declaration, closed: dict[Symbol, Expr]
) -> SignPattern:
    return SignPattern(
        declaration,
        tuple(closed.items()),
        (problem.score, problem.log_likelihood, problem.q, problem.lower, problem.upper),
        problem.free,
        pattern.root,
        pattern.threshold,
        ONE if pattern.pair is None else THREE,
    )


__all__ = ["Pattern", "Problem", "SignPattern", "certificate_of", "find_pattern"]
