"""l is monotone in one parameter on the values that the sample allows: the maximum is their edge.

The proof is row by row. Let s(x; theta) = d log f(x; theta) / d p, or log f(x; p) - log f(x; p - 1) for a
whole number. Where s has one sign for every x inside the support and every admissible theta, so has the
sum over any sample, by continuity weakly so on the closed support: l runs one way along the interval
of allowed p, whatever the other parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, Symbol, expand

from symmle.certify.competitors import never_beaten
from symmle.certify.monotone_slopes import decide_slope, decide_turn
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import build_likelihood
from symmle.record import Condition

MONOTONE = "monotone likelihood: the maximum is the edge of the allowed values"
CONSTANT = "constant likelihood: every allowed value is a maximum"


@dataclass(frozen=True)
class MonotoneOnSupport(Certificate):
    """l falls (-1), rises (1) or stays (0) in the parameter on the allowed values, so that `value` maximises it.

    `value` is the least, the greatest, or one of the allowed values; it does not depend on those of the
    other parameters that are not known yet.
    """

    declaration: Declaration
    parameter: Symbol
    sign: int
    value: Expr
    conditions: tuple[Condition, ...] = ()
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    @property
    def theorem(self) -> str:  # type: ignore[override]
        return MONOTONE if self.sign else CONSTANT

    def check(self) -> tuple[bool, str]:
        """The sign of every row again, then competitors for the parameter, the others held."""
        likelihood = build_likelihood(self.declaration)
        found = decide_slope(likelihood, self.parameter)
        if isinstance(found, str) or found.sign != self.sign:
            return False, f"the sign of the slope in {self.parameter} is not {self.sign}"
        holds, text = never_beaten(likelihood, {self.parameter: self.value}, self.conditions)
        return holds, f"the slope has the sign {self.sign} in every row; {text}"


@dataclass(frozen=True)
class ClippedByLimits(Certificate):
    """The slope of l in the parameter has the sign of c0 - c1 p, c1 > 0: l rises up to its root and falls after it.

    On an interval of allowed values the maximum is the value nearest to the root.
    """

    declaration: Declaration
    parameter: Symbol
    root: Expr
    value: Expr
    conditions: tuple[Condition, ...] = ()
    theorem: str = "unimodal likelihood: the root of the score, or the nearest allowed value"
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The signs again, then competitors for the parameter, the others held."""
        likelihood = build_likelihood(self.declaration)
        found = decide_turn(likelihood, self.parameter)
        if isinstance(found, str) or expand(found.root - self.root) != 0:
            return False, f"the slope in {self.parameter} is not that of one turn"
        holds, text = never_beaten(likelihood, {self.parameter: self.value}, self.conditions)
        return holds, f"the slope falls through zero once; {text}"


__all__ = ["ClippedByLimits", "MonotoneOnSupport"]
