"""A negative definite Hessian at the stationary point: a local maximum, for every sample."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import Expr, Matrix, S, Symbol, cancel, together

from symmle.algebra import GaveUp, attempt_within, compile_expression
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.inequalities import SampleFacts
from symmle.likelihood import Likelihood
from symmle.record import Condition
from symmle.sample import statistics_of
from symmle.sampling import RandomPoints, as_numbers
from symmle.score import without_centring

THEOREM = "negative definite Hessian"


@dataclass(frozen=True)
class NegativeDefinite(Certificate):
    """(-1)**k times the k-th leading minor of the Hessian at the point is positive, k = 1..p."""

    declaration: Declaration
    parameters: tuple[Symbol, ...]
    hessian: tuple[tuple[Expr, ...], ...]
    minors: tuple[Expr, ...]
    conditions: tuple[Condition, ...] = ()
    theorem: str = THEOREM
    kind: Kind = Kind.LOCAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The minors by value at random samples."""
        stream, seen = RandomPoints(self.declaration, 23), 0
        with mpmath.workdps(30):
            entries = [[compile_expression(e) for e in row] for row in self.hessian]
            for _ in range(6):
                values = stream.parameters(stream.constants())
                rows = None if values is None else stream.samples(values, rows=8)
                if values is None or rows is None:
                    continue
                numbers = as_numbers(values)
                h = mpmath.matrix([[e(numbers, rows) for e in row] for row in entries])
                for k in range(1, h.rows + 1):
                    if mpmath.det(h[:k, :k]) * (-1) ** k <= 0:
                        return False, f"minor {k} has the wrong sign at a random sample"
                seen += 1
        return seen > 0, f"the leading minors alternate at {seen} random samples"


def certify_local(
    likelihood: Likelihood,
    hessian: Matrix,
    values: dict[Symbol, Expr],
    conditions: tuple[Condition, ...],
) -> NegativeDefinite | str:
    """The certificate for a closed point, or why it does not apply."""
    parameters = tuple(values)
    if len(parameters) > 3:
        return "more than three parameters"
    at_point = hessian.applyfunc(lambda e: without_centring(e.xreplace(values)))
    operators: list[Expr] = []
    for e in at_point:
        operators.extend(o for o in statistics_of(e) if o not in operators)
    known = SampleFacts(operators, likelihood.facts, [z for f in likelihood.forms for z in f.part.given])
    facts = likelihood.facts.with_bounds(known.bounds, known.encoding)
    hidden = at_point.applyfunc(known.hide)
    minors = []
    for k in range(1, len(parameters) + 1):
        minor = attempt_within(2.0, lambda k=k: cancel(together(hidden[:k, :k].det())))
        if isinstance(minor, GaveUp):
            return f"minor {k}: {minor.reason}"
        if facts.decide_sign(minor * S(-1) ** k) != 1:
            return f"the sign of minor {k} of the Hessian is not decided"
        minors.append(known.show(minor))
    rows = tuple(tuple(at_point[i, j] for j in range(at_point.cols)) for i in range(at_point.rows))
    return NegativeDefinite(likelihood.declaration, parameters, rows, tuple(minors), conditions)
