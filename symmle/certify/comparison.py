"""Finite parameter spaces: the maximum is the largest of finitely many values."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import Expr, Symbol, Tuple

from symmle.algebra import compile_expression
from symmle.certify.competitors import never_beaten
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import build_likelihood
from symmle.record import Condition
from symmle.sampling import RandomPoints, as_numbers

THEOREM = "comparison of finitely many values"


@dataclass(frozen=True)
class Comparison(Certificate):
    """sup over a finite set of sup over the rest = the largest of the suprema, one for each member.

    `members` lists every combination of values of `parameters`; `parts` are proofs that the other parameters
    are maximised at each (none where there are no others); `closed` names the best member, where it is closed.
    """

    declaration: Declaration
    parameters: tuple[Symbol, ...]
    members: tuple[Tuple, ...]
    parts: tuple[Certificate, ...] = ()
    closed: tuple[tuple[Symbol, Expr], ...] = ()
    conditions: tuple[Condition, ...] = ()
    theorem: str = THEOREM
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The list is complete, every part holds, and no member has a larger l than the named one."""
        every = 1
        for p in self.parameters:
            every *= len(set(self.declaration.parameters[p]))
        if len(set(self.members)) > every or not self.members:
            return False, f"{len(self.members)} members are listed, the space has {every}"
        for member in self.members:
            for p, value in zip(self.parameters, member.args, strict=True):
                if self.declaration.parameters[p].contains(value) == False:  # noqa: E712 - a SymPy truth value
                    return False, f"{value} is no value of {p}"
        for part in self.parts:
            holds, found = part.check()
            if not holds:
                return False, found
        if not self.closed:
            return True, f"{len(self.members)} members, each with the others at their maximum"
        holds, found = self._named_is_best()
        if not holds:
            return holds, found
        beaten, rivals = never_beaten(build_likelihood(self.declaration), dict(self.closed), self.conditions)
        return beaten, f"{found}; {rivals}"

    def _named_is_best(self) -> tuple[bool, str]:
        """l at the closed form against l at every member, the others as they are, at random samples."""
        likelihood = build_likelihood(self.declaration)
        l = compile_expression(likelihood.log_likelihood)
        named = {p: compile_expression(e) for p, e in self.closed}
        others = set(self.declaration.parameters) - set(named)
        if others:
            return False, "the closed form leaves parameters open"
        stream, seen = RandomPoints(self.declaration, 47), 0
        with mpmath.workdps(40):
            for _ in range(6):
                values = stream.parameters(stream.constants())
                rows = None if values is None else stream.samples(values, self.declaration.size or 5)
                if values is None or rows is None:
                    continue
                numbers = as_numbers(values)
                try:
                    best = {p: f(numbers, rows) for p, f in named.items()}
                    top = mpmath.re(l({**numbers, **best}, rows))
                    for member in self.members:
                        at = {
                            p: compile_expression(v)(numbers, rows)
                            for p, v in zip(self.parameters, member.args, strict=True)
                        }
                        other = mpmath.re(l({**numbers, **best, **at}, rows))
                        if other > top + mpmath.mpf(10) ** -25 * (1 + abs(top)):
                            return False, f"l is larger at {member} than at the named member"
                except (ZeroDivisionError, ValueError, ArithmeticError, TypeError):
                    continue
                seen += 1
        return True, f"the largest of {len(self.members)} values at {seen} random samples"


__all__ = ["Comparison"]
