"""Full exponential families: a stationary point is a global maximum, for every sample."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import Add, Expr, Symbol

from symmle.algebra import GaveUp, attempt_within, compile_expression, is_close
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.family import (
    ExponentialFamily,
    find_family,
    have_independent_coefficients,
    jacobian_determinant,
    means_on_finite_support,
)
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Condition
from symmle.sample import Count
from symmle.sampling import RandomPoints, as_numbers

THEOREM = "full exponential family"


@dataclass(frozen=True)
class FullExponentialFamily(Certificate):
    """l = C(theta) + a(theta) . T with K = p and det Da nonzero: l is concave in eta = a(theta).

    The density normalises for every theta, so -C is n times the log-normaliser, convex on the convex
    natural parameter space; where Da is nonsingular a stationary point in theta is one in eta, hence a
    global maximum (Barndorff-Nielsen 1978, chapter 9). `held` are parameters that are held fixed.
    """

    declaration: Declaration
    parameters: tuple[Symbol, ...]
    held: tuple[Symbol, ...]
    constant: Expr
    coefficients: tuple[Expr, ...]
    statistics: tuple[Expr, ...]
    determinant: Expr  # of Da, or of D E[t] where `expected` holds the E[t] of one observation
    unique: bool = False
    conditions: tuple[Condition, ...] = ()
    theorem: str = THEOREM
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE
    expected: tuple[Expr, ...] = ()

    def check(self) -> tuple[bool, str]:
        """The form of l by value, the rank of 1, a_1 .. a_K, and the sign of det Da, again."""
        likelihood = build_likelihood(self.declaration)
        family = ExponentialFamily(
            self.parameters, self.constant, self.coefficients, self.statistics, self.held
        )
        if likelihood.facts.decide_sign(self.determinant) not in (1, -1):
            return False, f"the sign of det Da = {self.determinant} is not decided"
        if self.expected:
            wrong = self._expected_is_wrong(family, likelihood)
            if wrong:
                return False, wrong
            determinant = jacobian_determinant(self.expected, self.parameters)
        else:
            determinant = attempt_within(4.0, family.jacobian.det)
        if isinstance(determinant, GaveUp):
            return False, f"det Da: {determinant.reason}"
        if have_independent_coefficients(family, likelihood) is not True:
            return False, "1, a_1 .. a_K are linearly dependent"
        held_free = set(self.parameters)
        for s in self.statistics:
            if s.free_symbols & held_free:
                return False, f"the statistic {s} holds a parameter"
        difference = likelihood.log_likelihood - family.log_likelihood
        with mpmath.workdps(45):
            compiled, size = compile_expression(difference), compile_expression(likelihood.log_likelihood)
            ratio = compile_expression(determinant / self.determinant)
            stream, compared = RandomPoints(self.declaration, 29), 0
            for _ in range(5):
                values = stream.parameters(stream.constants())
                rows = None if values is None else stream.samples(values)
                if values is None or rows is None:
                    continue
                numbers = as_numbers(values)
                if abs(compiled(numbers, rows)) > mpmath.mpf(10) ** -30 * (1 + abs(size(numbers, rows))):
                    return False, f"C + a.T differs from l at {values}"
                if not is_close(ratio(numbers, rows), mpmath.mpf(1), 30):
                    return False, f"det Da is not {self.determinant}"
                compared += 1
        return (
            compared > 0,
            f"K = p = {len(self.parameters)}, l = C + a.T at {compared} random points, det Da has one sign",
        )

    def _expected_is_wrong(self, family: ExponentialFamily, likelihood: Likelihood) -> str:
        """Whether E[score] = 0 fails, (Da)' n E[t] + grad C = 0, at random points."""
        n = Count(likelihood.forms[0].columns)
        stream = RandomPoints(self.declaration, 31)
        with mpmath.workdps(45):
            for p in self.parameters:
                terms = [a.diff(p) * e for a, e in zip(self.coefficients, self.expected, strict=True)]
                gap = compile_expression(Add(*terms) + family.constant.diff(p) / n)
                size = compile_expression(Add(*(abs(t) for t in terms)))
                for _ in range(3):
                    values = stream.parameters(stream.constants())
                    rows = None if values is None else stream.samples(values)
                    if values is None or rows is None:
                        continue
                    numbers = as_numbers(values)
                    if abs(gap(numbers, rows)) > mpmath.mpf(10) ** -30 * (1 + size(numbers, rows)):
                        return "the expected statistics do not make E[score] vanish"
        return ""


def certify_family(
    likelihood: Likelihood, parameters: tuple[Symbol, ...], unique: bool, conditions: tuple[Condition, ...]
) -> FullExponentialFamily | str:
    """The certificate, or why it does not apply."""
    family = find_family(likelihood, parameters)
    if isinstance(family, str):
        return family
    if not family.is_full:
        return f"{family.size} statistics for {len(parameters)} parameters"
    if likelihood.declaration.normalises is False:
        return "the declaration says that the density was not checked to normalise"
    independent = have_independent_coefficients(family, likelihood)
    if independent is not True:
        return "the coefficients of the statistics are linearly dependent"
    determinant = attempt_within(3.0, lambda: family.jacobian.det().factor())
    expected: tuple[Expr, ...] = ()
    if isinstance(determinant, GaveUp) or likelihood.facts.decide_sign(determinant) not in (1, -1):
        means = means_on_finite_support(family, likelihood)
        other = None if means is None else jacobian_determinant(means, parameters)
        if other is None or isinstance(other, GaveUp) or likelihood.facts.decide_sign(other) not in (1, -1):
            return f"the sign of det Da = {determinant} is not decided"
        determinant, expected = other, means or ()
    return FullExponentialFamily(
        likelihood.declaration,
        parameters,
        family.held,
        family.constant,
        family.coefficients,
        family.statistics,
        determinant,
        unique,
        conditions,
        expected=expected,
    )


__all__ = ["FullExponentialFamily", "certify_family"]
