"""Whole numbers: l(N + 1) - l(N) changes its sign once, from + to -, for every sample."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import Expr, Symbol, oo

from symmle.algebra import compile_expression
from symmle.certify.competitors import never_beaten
from symmle.certify.crossing import crossing_of, falls
from symmle.certify.neighbours import Allowed, allowed_of, ends_of_domain, neighbours_of
from symmle.certify.relaxed import rises_and_falls
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Condition
from symmle.sampling import RandomPoints, as_numbers

THEOREM = "one sign change of the difference of neighbours"
STEPS = 40  # whole numbers that are looked at in a check


@dataclass(frozen=True)
class OneCrossing(Certificate):
    """l(N + 1) - l(N) >= 0 for N up to some point and < 0 from there on, for every sample.

    So l rises and then falls along the whole numbers that the rows allow, and the least N with a negative
    difference is the largest maximiser. `proof` says how the one crossing is known: "falls" (the difference
    does not rise in N), "line" (it has the sign of A + B N with B < 0),
    "concave" (l is concave in a real N) or "family" (l is concave in the natural parameter, monotone in a real N).
    """

    declaration: Declaration
    parameter: Symbol
    proof: str
    closed: tuple[tuple[Symbol, Expr], ...] = ()
    conditions: tuple[Condition, ...] = ()
    theorem: str = THEOREM
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The argument again, the signs along N at random samples, and competitors of the closed form."""
        likelihood = build_likelihood(self.declaration)
        if self.proof == "falls":
            if not falls(likelihood, self.parameter):
                return False, "the difference of neighbours is not seen to fall"
        elif self.proof in ("concave", "family"):
            if rises_and_falls(likelihood, self.parameter) != self.proof:
                return False, "l is not seen to rise and fall once along the real numbers"
        elif (crossing := crossing_of(likelihood, self.parameter)) is None or not crossing.by_line:
            return False, "the difference of neighbours does not have the sign of a falling line"
        with mpmath.workdps(40):
            holds, found = self._crossings(likelihood)
            if not holds or not self.closed:
                return holds, found
            beaten, rivals = never_beaten(likelihood, dict(self.closed), self.conditions)
        return beaten, f"{found}; {rivals}"

    def _crossings(self, likelihood: Likelihood) -> tuple[bool, str]:
        rise = compile_expression(neighbours_of(likelihood, self.parameter).rise)
        allowed = allowed_of(likelihood, self.parameter)
        if not isinstance(allowed, Allowed):
            return False, allowed
        lo, hi = ends_of_domain(likelihood, self.parameter)
        least = [compile_expression(e) for e in (*allowed.least, *([lo] if lo != -oo else []))]
        most = [compile_expression(e) for e in (*allowed.most, *([hi] if hi != oo else []))]
        stream, seen = RandomPoints(self.declaration, 23), 0
        for _ in range(6):
            values = stream.parameters(stream.constants())
            rows = self.declaration.size or 5
            sample = None if values is None else stream.samples(values, rows)
            if values is None or sample is None:
                continue
            numbers = as_numbers(values)
            start = max((f(numbers, sample) for f in least), default=numbers[self.parameter] - STEPS // 2)
            end = min((f(numbers, sample) for f in most), default=start + STEPS)
            signs = []
            at = start
            while at < min(end, start + STEPS):
                try:
                    value = mpmath.re(rise({**numbers, self.parameter: at}, sample))
                except (ZeroDivisionError, ValueError, ArithmeticError):
                    value = mpmath.nan
                if not mpmath.isnan(value):
                    signs.append(int(mpmath.sign(value)) if abs(value) > mpmath.mpf(10) ** -30 else 0)
                at += 1
            if any(a < b and a < 0 for a, b in zip(signs, signs[1:], strict=False)):
                return False, f"the difference has the signs {signs} along {self.parameter}"
            seen += 1
        return seen > 0, f"one crossing from + to - along {self.parameter} at {seen} random samples"


__all__ = ["OneCrossing"]
