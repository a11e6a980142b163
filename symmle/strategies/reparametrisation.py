"""Nothing separates: put a ratio, product or difference of two parameters in the place of one, and eliminate.

The maximum is the same in any coordinates that are one-to-one. With b = tau a, b = tau/a or b = tau + a
the density may separate where it did not: in the generalised Pareto law xi is eliminated once
tau = xi/sigma is held fixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sympy import Expr, Interval, S, Set, Symbol, Tuple, oo, solve_linear

from symmle.algebra import GaveUp, attempt_within, seconds_left
from symmle.declare.declaration import Declaration
from symmle.family import support_parameters
from symmle.likelihood import build_likelihood
from symmle.record import Relation, Step
from symmle.reduction import put_into_samples
from symmle.score import ScoreSystem
from symmle.strategies.elimination import Elimination
from symmle.strategies.problem import Problem, Skipped, Solved
from symmle.strategies.separability import Separability

POSITIVE = Interval.open(0, oo)


class Reparametrisation:
    """Elimination in coordinates where one parameter is a ratio, product or difference."""

    name = "elimination after a reparametrisation"

    def attempt(self, problem: Problem) -> Solved | Skipped:
        declaration = problem.likelihood.declaration
        if len(problem.parameters) < 2:
            return Skipped("one parameter has nothing to be combined with")
        if declaration.where or declaration.constraints:
            return Skipped("the parameter space is not a product")
        size = len(problem.parameters) - 1
        hopeless = _Hopeless(problem)
        for b, new, domain, expression in _maps(declaration):
            if seconds_left() < 2.0:
                return Skipped("no time is left")
            if hopeless(b, new, expression):
                continue
            changed = attempt_within(4.0, _changed, problem, b, new, domain, expression)
            if isinstance(changed, GaveUp):
                continue
            answer = attempt_within(6.0, Elimination(size).attempt, changed)
            if isinstance(answer, Solved) and len(answer.candidates) == 1:
                step = Step(
                    "reparametrise",
                    (b,),
                    (expression,),
                    Relation.DEFINITION,
                    (b,),
                    details=(
                        ("map", (Tuple(b, expression),)),
                        ("domain", Tuple(new, domain)),
                        ("declaration", changed.likelihood.declaration),
                    ),
                )
                return replace(answer, steps=(step, *answer.steps), problem=changed, back={b: expression})
        return Skipped("no ratio, product or difference of two parameters lets the others be eliminated")


class _Hopeless:
    """Whether numbers show that in new coordinates too nothing separates, whichever of them is held."""

    def __init__(self, problem: Problem):
        self.parameters = problem.parameters
        self.separability = attempt_within(2.0, Separability, problem.likelihood)
        self.known: dict[Expr, bool] = {}

    def __call__(self, b: Symbol, new: Symbol, expression: Expr) -> bool:
        if isinstance(self.separability, GaveUp):
            return False
        (back,) = solve_linear(expression - b, symbols=[new])[1:]
        return self._is_ruled_out(back, b, expression, new) and all(
            self._is_ruled_out(p, p, new, new) for p in self.parameters if p != b
        )

    def _is_ruled_out(self, held: Expr, moved: Symbol, back: Expr, name: Symbol) -> bool:
        """`held` and its reciprocal or opposite are one; with what is held nothing else can be eliminated."""
        for same in (held, 1 / held, -held):
            if same in self.known:
                return self.known[same]
        assert not isinstance(self.separability, GaveUp)
        answer = attempt_within(2.0, self.separability.rules_out, held, moved, back, name)
        self.known[held] = answer is True
        return answer is True


def _maps(declaration: Declaration) -> Iterator[tuple[Symbol, Symbol, Set, Expr]]:
    """(parameter replaced, new symbol, its domain, the parameter in terms of it)."""
    taken = {str(s) for s in declaration.parameters} | {str(s) for s in declaration.constants}
    taken |= {str(c) for part in declaration.samples for c in part.all_columns}
    name = next(n for n in ("tau", "eta", "omega", "tau_1", "tau_2", "tau_3", "tau_4") if n not in taken)
    for a, domain_a in declaration.parameters.items():
        for b, domain_b in declaration.parameters.items():
            if a == b:
                continue
            if domain_a == POSITIVE and domain_b in (POSITIVE, S.Reals):
                tau = Symbol(name, positive=True) if domain_b == POSITIVE else Symbol(name, real=True)
                yield b, tau, domain_b, tau * a
                yield b, tau, domain_b, tau / a
            elif domain_a == domain_b == S.Reals:
                tau = Symbol(name, real=True)
                yield b, tau, S.Reals, tau + a


def _changed(problem: Problem, b: Symbol, new: Symbol, domain: Set, expression: Expr) -> Problem:
    d = problem.likelihood.declaration
    samples = put_into_samples(d, {b: expression})
    parameters = {(new if p == b else p): (domain if p == b else s) for p, s in d.parameters.items()}
    likelihood = build_likelihood(replace(d, samples=samples, parameters=parameters))
    movable = frozenset(support_parameters(likelihood) & set(parameters))
    return Problem(likelihood, ScoreSystem(likelihood), movable)
