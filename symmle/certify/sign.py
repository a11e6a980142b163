"""One parameter: the score changes sign once, from plus to minus, for every sample."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import mpmath
from sympy import Dummy, Expr, Interval, Symbol, cancel, expand, fraction, oo, together

from symmle.algebra import GaveUp, attempt_within, compile_expression
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.inequalities import SampleFacts
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Condition
from symmle.sample import statistics_of
from symmle.sampling import RandomPoints, as_numbers

THEOREM = "sign of the score on both sides of a unique root"


@dataclass(frozen=True)
class OneSignChange(Certificate):
    """The score is a positive factor times a polynomial with one sign change, from + to -.

    `parameter` = (lo + hi u)/(1 + u), u > 0, maps the domain to the half line; by Descartes' rule of
    signs the `signs` of the coefficients in u (None: either) allow one positive root. l rises before
    it and falls after it, so that it is the global maximum and the only one.
    """

    declaration: Declaration
    parameter: Symbol
    score: Expr
    signs: tuple[int | None, ...]
    conditions: tuple[Condition, ...] = ()
    unique: bool = True
    theorem: str = THEOREM
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The signs of the coefficients again, and sign changes counted on grids at random samples."""
        likelihood = build_likelihood(self.declaration)
        signs = coefficient_signs(self.score, self.parameter, likelihood)
        if isinstance(signs, str) or tuple(signs) != self.signs or not _one_change(signs):
            return False, "the coefficients do not have one change of sign"
        stream, seen = RandomPoints(self.declaration, 17), 0
        with mpmath.workdps(25):
            f = compile_expression(self.score)
            domain = self.declaration.parameters[self.parameter]
            for _ in range(4):
                values = stream.parameters(stream.constants())
                rows = None if values is None else stream.samples(values)
                if values is None or rows is None:
                    continue
                numbers = as_numbers(values)
                found = []
                for k in range(-24, 25):
                    u = mpmath.mpf(2) ** k
                    found.append(mpmath.sign(f({**numbers, self.parameter: _to_domain(u, domain)}, rows)))
                changes = [(a, b) for a, b in zip(found, found[1:], strict=False) if a * b < 0]
                if any(change != (1, -1) for change in changes) or len(changes) > 1:
                    return False, f"the score changes sign as {changes} on a grid"
                seen += 1
        return (
            seen > 0,
            f"coefficient signs {list(signs)}; one change + to - on grids at {seen} random samples",
        )


def _to_domain(u: object, domain: Interval) -> object:
    lo, hi = domain.start, domain.end
    if lo == -oo and hi == oo:
        return mpmath.log(u)  # type: ignore[arg-type]
    if hi == oo:
        return mpmath.mpf(str(lo.evalf(25))) + u  # type: ignore[operator]
    a, b = mpmath.mpf(str(lo.evalf(25))), mpmath.mpf(str(hi.evalf(25)))
    return (a + b * u) / (1 + u)  # type: ignore[operator]


def coefficient_signs(score: Expr, parameter: Symbol, likelihood: Likelihood) -> list[int | None] | str:
    """Signs of the coefficients in u of the numerator, highest power first; the denominator positive."""
    domain = likelihood.declaration.parameters[parameter]
    if not isinstance(domain, Interval) or (domain.start == -oo):
        return "the domain is not bounded below"
    operators = statistics_of(score)
    if any(o.free_symbols & {parameter} for o in operators):
        return "a statistic holds the parameter"
    known = SampleFacts(operators, likelihood.facts, [z for f in likelihood.forms for z in f.part.given])
    facts = likelihood.facts.with_bounds(known.bounds, known.encoding)
    u = Dummy("u", positive=True)
    mapped = domain.start + u if domain.end == oo else (domain.start + domain.end * u) / (1 + u)
    answer = attempt_within(2.0, _numerator_in, known.hide(score), parameter, mapped, u)
    if isinstance(answer, GaveUp):
        return answer.reason
    numerator, denominator = answer
    p = numerator.as_poly(u)
    if p is None or any(c.has(u) for c in p.all_coeffs()):
        return "the score is not rational in the parameter"
    sign = facts.decide_sign(denominator)
    if sign not in (1, -1):
        return "the sign of the denominator is not decided"
    signs = [facts.decide_sign(c) for c in p.all_coeffs()]
    return [None if s is None else s * sign for s in signs]


def _numerator_in(score: Expr, parameter: Symbol, mapped: Expr, u: Symbol) -> tuple[Expr, Expr]:
    numerator, denominator = fraction(cancel(together(score.xreplace({parameter: mapped}))))
    return expand(numerator), denominator


def _one_change(signs: list[int | None]) -> bool:
    """Whether every way to settle the undecided signs gives one change, from + (low) to - (high)."""
    signs = [s for s in signs if s != 0]
    undecided = signs.count(None)
    if undecided > 6 or not signs or signs[0] != -1 or signs[-1] != 1:
        return False
    for choice in product((1, -1), repeat=undecided):
        filled, settled = iter(choice), []
        for s in signs:
            settled.append(next(filled) if s is None else s)
        if sum(a != b for a, b in zip(settled, settled[1:], strict=False)) != 1:
            return False
    return True


def certify_sign(
    likelihood: Likelihood, parameter: Symbol, score: Expr, conditions: tuple[Condition, ...]
) -> OneSignChange | str:
    """The certificate for a model in one parameter, or why it does not apply."""
    signs = coefficient_signs(score, parameter, likelihood)
    if isinstance(signs, str):
        return signs
    if not _one_change(signs):
        return f"the coefficients have the signs {signs}"
    return OneSignChange(likelihood.declaration, parameter, score, tuple(signs), conditions)


__all__ = ["OneSignChange", "certify_sign", "coefficient_signs"]
