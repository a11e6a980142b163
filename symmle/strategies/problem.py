"""What a strategy is given and what it answers: the problem, Solved or Skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import mpmath
from sympy import Expr, FiniteSet, Interval, Set, Symbol, oo

from symmle.algebra import Facts, GaveUp, Rows, compile_expression
from symmle.inequalities import SampleFacts
from symmle.likelihood import Likelihood
from symmle.record import Condition, Step
from symmle.sample import Count, SampleOperator, statistics_of
from symmle.sampling import RandomPoints, as_numbers
from symmle.score import ScoreSystem

NUMBER_OF_POINTS = 10


@dataclass(frozen=True)
class Rejected:
    """A root that was left out, and why."""

    values: tuple[tuple[Symbol, Expr], ...]
    reason: str


@dataclass(frozen=True)
class Candidate:
    """One solution: parameter -> expression in operators, constants and remaining parameters."""

    closed: dict[Symbol, Expr]
    conditions: tuple[Condition, ...] = ()
    in_domain: bool | None = None  # proved for every sample under `conditions`; None: not decided


@dataclass(frozen=True)
class Solved:
    """Candidates for `parameters`; what remains are the scores of the other parameters."""

    route: str
    parameters: tuple[Symbol, ...]
    candidates: tuple[Candidate, ...]
    steps: tuple[Step, ...]
    rejected: tuple[Rejected, ...] = ()
    # equations that were used up; the remaining ones are the scores of these parameters
    remaining: tuple[Symbol, ...] = ()
    # in other coordinates: the problem there, and the parameters that were replaced in terms of them
    problem: Problem | None = None
    back: Mapping[Symbol, Expr] = field(default_factory=dict)


@dataclass(frozen=True)
class Skipped:
    """Not applicable, or tried in vain, and why."""

    reason: str


class Strategy(Protocol):
    """One way of solving: `attempt` answers Solved or Skipped and keeps no state."""

    name: str

    def attempt(self, problem: Problem) -> Solved | Skipped: ...


@dataclass
class Problem:
    """The score system of a likelihood in the free parameters, with random admissible points."""

    likelihood: Likelihood
    score: ScoreSystem
    movable: frozenset[Symbol] = frozenset()  # parameters that the support names
    _points: list[tuple[dict[Symbol, object], list[Rows]]] | None = field(default=None, repr=False)
    fractions: dict[Symbol, Expr] | GaveUp | None = field(default=None, repr=False)  # scores, once asked for

    @property
    def parameters(self) -> tuple[Symbol, ...]:
        return self.score.parameters

    @property
    def domains(self) -> Mapping[Symbol, Set]:
        return self.likelihood.declaration.parameters

    @cached_property
    def equations(self) -> dict[Symbol, Expr]:
        """Scores; those of one sample are divided by n."""
        if not self.likelihood.is_single:
            return self.score.equations
        count = Count(self.likelihood.forms[0].columns)
        return {
            p: (e / count).expand(deep=False, power_base=False, log=False)
            for p, e in self.score.equations.items()
        }

    @property
    def points(self) -> list[tuple[dict[Symbol, object], list[Rows]]]:
        """Random admissible values of every symbol, with random samples."""
        if self._points is None:
            stream, found = RandomPoints(self.likelihood.declaration, 7), []
            for _ in range(NUMBER_OF_POINTS):
                values = stream.parameters(stream.constants())
                rows = None if values is None else stream.samples(values, rows=7)
                if values is not None and rows is not None:
                    found.append((as_numbers(values), rows))
            self._points = found
        return self._points

    def hidden(
        self, equations: Sequence[Expr], unknowns: set[Symbol]
    ) -> tuple[SampleFacts, Facts, list[Expr]]:
        """Operators free of the unknowns replaced by opaque symbols, with their facts."""
        operators: list[SampleOperator] = []
        for e in equations:
            for operator in statistics_of(e):
                if not operator.free_symbols & unknowns and operator not in operators:
                    operators.append(operator)
        given = {z for form in self.likelihood.forms for z in form.part.given}
        known = SampleFacts(operators, self.likelihood.facts, tuple(given))
        facts = self.likelihood.facts.with_bounds(known.bounds, known.encoding)
        return known, facts, [known.hide(e) for e in equations]

    def decide_in_domain(self, value: Expr, parameter: Symbol, facts: Facts) -> bool | None:
        """Whether a (hidden) value lies in the parameter's domain for every sample."""
        domain = self.domains[parameter]
        if isinstance(domain, FiniteSet):
            return None
        if not isinstance(domain, Interval):
            return True if value.is_real and domain.inf == -oo and domain.sup == oo else None
        answers: list[bool | None] = []
        for bound, is_open, direction in (
            (domain.start, domain.left_open, 1),
            (domain.end, domain.right_open, -1),
        ):
            if bound in (oo, -oo):
                continue
            sign = facts.decide_sign(direction * (value - bound))
            answers.append(None if sign is None else sign > 0 or (sign == 0 and not is_open))
        if any(a is False for a in answers):
            return False
        return True if all(a is True for a in answers) else None

    def count_admissible(self, closed: Mapping[Symbol, Expr]) -> tuple[int, int, int]:
        """At how many random points the values lie in their domains, of how many, and at how many they are real."""
        try:
            compiled = {p: compile_expression(e) for p, e in closed.items()}
        except (TypeError, ValueError, NotImplementedError):
            return 0, 0, 0
        inside = total = real = 0
        for values, rows in self.points:
            total += 1
            try:
                numbers = {p: f(values, rows) for p, f in compiled.items()}
            except (ZeroDivisionError, ValueError, ArithmeticError):
                continue
            real += all(real_part(v) is not None for v in numbers.values())
            inside += all(self.contains(p, v, values) for p, v in numbers.items())
        return inside, total, real

    def contains(self, parameter: Symbol, value: object, values: Mapping[Symbol, object]) -> bool:
        """Whether a number is real and in the domain (bounds may name other symbols)."""
        real = real_part(value)
        if real is None:
            return False
        domain = self.domains[parameter]
        if not isinstance(domain, Interval):
            return True
        lo, hi = (
            mpmath.mpf(str(b.evalf(25, subs={s: values[s] for s in b.free_symbols})))
            if b not in (oo, -oo)
            else (mpmath.inf if b == oo else -mpmath.inf)
            for b in (domain.start, domain.end)
        )
        above = real > lo or (not domain.left_open and real == lo)
        return bool(above and (real < hi or (not domain.right_open and real == hi)))


def real_part(value: object) -> object | None:
    """A number without its rounding-size imaginary part; None where it is not real or not finite."""
    number = mpmath.mpmathify(value)
    if isinstance(number, mpmath.mpc):
        if abs(number.imag) > mpmath.mpf(10) ** (-mpmath.mp.dps // 2) * max(1, abs(number.real)):
            return None
        number = number.real
    return number if mpmath.isfinite(number) else None
