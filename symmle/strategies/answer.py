"""From solutions of a system to candidates: shown in operators, filtered by the domain, with conditions."""

from __future__ import annotations

from sympy import Expr, Mul, Pow, S, Symbol, factor_terms, powsimp

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.inequalities import SampleFacts
from symmle.record import Condition
from symmle.strategies.problem import Candidate, Problem, Rejected
from symmle.strategies.systems import Solution


def candidates_of(
    problem: Problem, solutions: list[Solution], known: SampleFacts, facts: Facts
) -> tuple[list[Candidate], list[Rejected]]:
    """Candidates inside the domain; what is outside for every sample seen is rejected with the reason."""
    kept: list[Candidate] = []
    rejected: list[Rejected] = []
    for solution in solutions:
        shown = {p: tidy(known.show(e)) for p, e in solution.values.items()}
        decided = {p: problem.decide_in_domain(e, p, facts) for p, e in solution.values.items()}
        outside = [p for p, d in decided.items() if d is False]
        values = tuple(shown.items())
        if outside:
            rejected.append(Rejected(values, f"{outside[0]} is outside its domain for every sample"))
            continue
        in_domain: bool | None = True if all(d is True for d in decided.values()) else None
        if in_domain is None:
            inside, total = problem.count_admissible(shown)
            if total and not inside:
                rejected.append(Rejected(values, f"outside the domain at each of {total} random samples"))
                continue
        conditions = _conditions(problem, solution, shown, decided, known)
        if any(c.closed == shown for c in kept):
            continue
        kept.append(Candidate(shown, conditions, in_domain))
    return kept, rejected


def _conditions(
    problem: Problem,
    solution: Solution,
    shown: dict[Symbol, Expr],
    decided: dict[Symbol, bool | None],
    known: SampleFacts,
) -> tuple[Condition, ...]:
    """What excludes degenerate samples, and for what is not decided, that the value is in the domain."""
    from sympy import And, Gt, Interval, Lt, oo

    found: list[Condition] = []
    for p, e in solution.values.items():
        for condition in known.conditions_of(e):
            if condition not in found:
                found.append(condition)
        if decided[p] is None:
            domain = problem.domains[p]
            if isinstance(domain, Interval):
                bounds = []
                if domain.start != -oo:
                    bounds.append(Gt(shown[p], domain.start, evaluate=False))
                if domain.end != oo:
                    bounds.append(Lt(shown[p], domain.end, evaluate=False))
                if bounds:
                    found.append(Condition(And(*bounds, evaluate=False) if len(bounds) > 1 else bounds[0], "in the domain", (p,)))
    return tuple(found)


def tidy(e: Expr) -> Expr:
    """A shorter way of writing an answer, the same value: common factors out of sums and roots."""
    answer = attempt_within(0.5, lambda: factor_terms(powsimp(e)))
    if isinstance(answer, GaveUp) or answer.count_ops() > e.count_ops():
        answer = e
    return _roots_of_quotients(answer)


def _roots_of_quotients(e: Expr) -> Expr:
    """sqrt(a) sqrt(b) and a/sqrt(a) collected under one root where all parts are positive."""
    return e.replace(
        lambda n: isinstance(n, Mul) and sum(isinstance(f, Pow) and abs(f.exp) == S.Half for f in n.args) > 1,
        _one_root,
    )


def _one_root(product: Mul) -> Expr:
    inside, rest = S.One, S.One
    for f in product.args:
        if isinstance(f, Pow) and abs(f.exp) == S.Half and f.base.is_nonnegative:
            inside *= f.base if f.exp > 0 else 1 / f.base
        else:
            rest *= f
    return rest * Pow(inside, S.Half)


__all__ = ["candidates_of", "tidy"]
