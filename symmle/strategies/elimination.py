"""Solve the scores of a subset of the parameters for that subset, the others held fixed.

With all parameters it is the joint solution. With fewer, phi-hat(psi) is put into the other scores,
which are the derivative of the profile by the envelope theorem.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from sympy import Symbol, Tuple

from symmle.algebra import GaveUp, seconds_left
from symmle.record import Relation, Step
from symmle.strategies.answer import candidates_of
from symmle.strategies.problem import Problem, Skipped, Solved
from symmle.strategies.systems import LONG, solve_system


def solve_scores(problem: Problem, subset: tuple[Symbol, ...]) -> Solved | Skipped:
    """Candidates for `subset` from its own scores."""
    equations = {p: problem.equations[p] for p in subset}
    known, facts, hidden = problem.hidden(list(equations.values()), set(subset))
    opaque = [h for h in hidden if _still_bound(h, subset)]
    if opaque:
        return Skipped(
            f"the score of {', '.join(map(str, subset))} holds data and {', '.join(map(str, subset))} together"
        )
    solutions = solve_system(dict(zip(subset, hidden, strict=True)), subset, facts)
    if isinstance(solutions, GaveUp):
        return Skipped(solutions.reason)
    kept, rejected = candidates_of(problem, solutions, known, facts, list(equations.values()))
    if not kept:
        return Skipped("no root lies in the domain")
    joint = len(subset) == len(problem.parameters)
    if len(kept) > 2 and any(e.count_ops() > LONG for c in kept for e in c.closed.values()):
        return Skipped(
            f"{len(kept)} roots, which no sign tells apart: the equation says more than its radicals"
        )
    step = Step(
        "solve" if joint else "eliminate",
        tuple(equations.values()),
        tuple(Tuple(*(c.closed[p] for p in subset)) for c in kept),
        Relation.ROOTS if joint or len(kept) > 1 else Relation.PROFILE,
        subset,
        details=(
            ("method", ", ".join(dict.fromkeys(m for s in solutions for m in s.methods))),
            ("rejected", tuple((Tuple(*(v for _, v in r.values)), r.reason) for r in rejected)),
        ),
    )
    remaining = tuple(p for p in problem.parameters if p not in subset)
    return Solved("joint" if joint else "profile", subset, tuple(kept), (step,), tuple(rejected), remaining)


def _still_bound(hidden: object, subset: tuple[Symbol, ...]) -> bool:
    from symmle.sample import statistics_of

    return bool(statistics_of(hidden))  # type: ignore[arg-type]


def subsets(parameters: tuple[Symbol, ...], size: int) -> Iterator[tuple[Symbol, ...]]:
    """Subsets of one size, in the order of declaration."""
    return combinations(parameters, size)


class Joint:
    """All scores solved together."""

    name = "joint closed form"

    def attempt(self, problem: Problem) -> Solved | Skipped:
        return solve_scores(problem, problem.parameters)


class Elimination:
    """The largest subset that its own scores determine, among equals the shortest answer."""

    name = "elimination"

    def __init__(self, size: int | None = None):
        self.size = size

    def attempt(self, problem: Problem) -> Solved | Skipped:
        candidates = tuple(p for p in problem.parameters if p not in problem.movable)
        sizes = range(len(problem.parameters) - 1, 0, -1) if self.size is None else (self.size,)
        reasons = []
        for size in sizes:
            found: list[Solved] = []
            for subset in subsets(candidates, size):
                if seconds_left() < 0.05:
                    return Skipped("no time is left")
                answer = solve_scores(problem, subset)
                if isinstance(answer, Solved):
                    found.append(answer)
                else:
                    reasons.append(f"{', '.join(map(str, subset))}: {answer.reason}")
            if found:
                return min(found, key=_length)
        return Skipped("; ".join(reasons)[:400] or "fewer than two parameters")


def _length(solved: Solved) -> tuple[int, int]:
    return len(solved.candidates), sum(e.count_ops() for c in solved.candidates for e in c.closed.values())
