"""A maximum over identified functions of the parameters: every point of a curve attains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
from sympy import Expr, Symbol

from symmle.algebra import compile_expression, is_close
from symmle.certify.competitors import contains, never_beaten
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import build_likelihood
from symmle.record import Condition
from symmle.sampling import RandomPoints, as_numbers


@dataclass(frozen=True)
class IdentifiedMaximum(Certificate):
    """l(theta) = g(u(theta)), u maps the parameter space onto the space of g, and g has its maximum at u-hat.

    So max l = g(u-hat), attained exactly on {theta : u(theta) = u-hat}, which is not empty.
    """

    declaration: Declaration
    identified: Declaration  # of g: the density in terms of u
    functions: tuple[tuple[Symbol, Expr], ...]  # u, and what it is of theta
    closed: tuple[tuple[Symbol, Expr], ...]  # u-hat
    proof: Certificate
    conditions: tuple[Condition, ...] = ()
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    @property
    def theorem(self) -> str:  # type: ignore[override]
        return f"the likelihood depends on identified functions alone; {self.proof.theorem}"

    def check(self) -> tuple[bool, str]:
        """l = g(u) at random points, the proof for g again, and random competitors."""
        same, text = depends_alone(self.declaration, self.identified, self.functions)
        if not same:
            return False, text
        found = [self.proof.check()]
        if self.closed:
            likelihood = build_likelihood(self.identified)
            found.append(never_beaten(likelihood, dict(self.closed), self.conditions))
        return all(ok for ok, _ in found), "; ".join([text, *(t for _, t in found)])


def depends_alone(
    declaration: Declaration,
    identified: Declaration,
    functions: tuple[tuple[Symbol, Expr], ...],
    digits: int = 30,
) -> tuple[bool, str]:
    """Whether l(theta) = g(u(theta)) by value at random parameters and samples, with u in its domain."""
    with mpmath.workdps(digits + 15):
        whole = compile_expression(build_likelihood(declaration).log_likelihood)
        part = compile_expression(build_likelihood(identified).log_likelihood)
        maps = {u: compile_expression(e) for u, e in functions}
        stream, compared = RandomPoints(declaration, 47), 0
        for _ in range(18):
            values = stream.parameters(stream.constants())
            rows = None if values is None else stream.samples(values, rows=4)
            if values is None or rows is None:
                continue
            numbers: dict[Any, Any] = dict(as_numbers(values))
            try:
                numbers.update({u: f(numbers, rows) for u, f in maps.items()})
                left, right = whole(numbers, rows), part(numbers, rows)
            except (ZeroDivisionError, ValueError, ArithmeticError):
                continue
            for u, _ in functions:
                if not contains(identified.parameters[u], numbers[u], numbers):
                    return False, f"{u} = {mpmath.nstr(numbers[u], 8)} is outside its domain"
            if not is_close(left, right, digits - 5):
                return False, f"l is {mpmath.nstr(left, 12)}, not {mpmath.nstr(right, 12)}"
            compared += 1
            if compared == 6:
                break
    return compared > 2, f"l depends on the identified functions alone at {compared} random points"


__all__ = ["IdentifiedMaximum", "depends_alone"]
