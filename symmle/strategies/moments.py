"""Full exponential families: the likelihood equations read 'expected statistic = observed statistic'."""

from __future__ import annotations

from sympy import Eq, Expr, Tuple, cancel, factor

from symmle.algebra import GaveUp, attempt_within
from symmle.family import find_family, jacobian_determinant, means_on_finite_support
from symmle.record import Relation, Step
from symmle.sample import Count, statistics_of
from symmle.strategies.answer import candidates_of
from symmle.strategies.problem import Problem, Skipped, Solved
from symmle.strategies.systems import solve_system


class Moments:
    """E[T](theta) = T, solved for theta: E[T] = -(Da)^-T grad C needs no integration."""

    name = "moments"

    def attempt(self, problem: Problem) -> Solved | Skipped:
        family = find_family(problem.likelihood, problem.parameters)
        if isinstance(family, str):
            return Skipped(f"no exponential family: {family}")
        if not family.is_full:
            return Skipped(f"{family.size} statistics for {len(problem.parameters)} parameters")
        determinant = attempt_within(3.0, lambda: factor(family.jacobian.det()))
        summed = False  # the expected statistics were summed over a finite support
        if isinstance(determinant, GaveUp) or problem.likelihood.facts.decide_sign(determinant) not in (
            1,
            -1,
        ):
            # score = Da' (T - E T): where Da is singular the score has roots that E T = T has not
            means = means_on_finite_support(family, problem.likelihood)
            other = None if means is None else jacobian_determinant(means, problem.parameters)
            if other is None or isinstance(other, GaveUp) or not _has_sign(other, problem):
                return Skipped(
                    "det Da may vanish: the likelihood equations say more than expected = observed"
                )
            n = Count(problem.likelihood.forms[0].columns)
            expected: list[Expr] | GaveUp = [n * m for m in means or ()]
            summed = True
        else:
            expected = family.expected_statistics()
        if isinstance(expected, GaveUp):
            return Skipped(f"expected statistics: {expected.reason}")
        observed = list(family.statistics)
        if problem.likelihood.is_single:
            n = Count(problem.likelihood.forms[0].columns)
            expected, observed = (
                [e / n if summed else cancel(e / n) for e in expected],
                [t / n for t in observed],
            )
        # the simplest equation first, as one would write them down
        pairs = sorted(zip(expected, observed, strict=True), key=lambda pair: pair[0].count_ops())
        expected, observed = [e for e, _ in pairs], [t for _, t in pairs]
        equations = [e - t for e, t in zip(expected, observed, strict=True)]
        known, facts, hidden = problem.hidden(equations, set(problem.parameters))
        if any(statistics_of(h) for h in hidden):
            return Skipped("an expected statistic holds covariates and parameters together")
        solutions = solve_system(
            dict(zip(problem.parameters, hidden, strict=True)), problem.parameters, facts
        )
        if isinstance(solutions, GaveUp):
            return Skipped(f"expected = observed statistics: {solutions.reason}")
        kept, rejected = candidates_of(problem, solutions, known, facts, equations)
        if not kept:
            return Skipped("no root lies in the domain")
        scores = tuple(problem.equations.values())
        moment = Step(
            "moment equations",
            scores,
            tuple(Eq(e, t, evaluate=False) for e, t in zip(expected, observed, strict=True)),
            Relation.EQUIVALENT,
            problem.parameters,
        )
        solve = Step(
            "solve",
            tuple(equations),
            tuple(Tuple(*(c.closed[p] for p in problem.parameters)) for c in kept),
            Relation.ROOTS,
            problem.parameters,
            details=(
                ("method", ", ".join(dict.fromkeys(m for s in solutions for m in s.methods))),
                ("rejected", tuple((Tuple(*(v for _, v in r.values)), r.reason) for r in rejected)),
            ),
        )
        return Solved("moments", problem.parameters, tuple(kept), (moment, solve), tuple(rejected))


def _has_sign(e: Expr, problem: Problem) -> bool:
    return problem.likelihood.facts.decide_sign(e) in (1, -1)
