"""From solutions of a system to candidates: shown in operators, filtered by the domain, with conditions."""

from __future__ import annotations

from sympy import Add, And, Expr, Gt, Interval, Lt, Mul, Pow, S, Set, Symbol, expand, factor_terms, fraction, oo, powsimp, together

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.inequalities import SampleFacts
from symmle.record import Condition
from symmle.sample import Mean
from symmle.strategies.problem import Candidate, Problem, Rejected
from symmle.strategies.systems import Solution


def candidates_of(
    problem: Problem, solutions: list[Solution], known: SampleFacts, facts: Facts
) -> tuple[list[Candidate], list[Rejected]]:
    """Candidates inside the domain; what is outside for every sample seen is rejected with the reason."""
    kept: list[Candidate] = []
    rejected: list[Rejected] = []
    for solution in solutions:
        shown = {p: as_one_mean(known.show(tidy(e)), problem) for p, e in solution.values.items()}
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
        conditions = _conditions(problem, solution, shown, decided, known, facts)
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
    facts: Facts,
) -> tuple[Condition, ...]:
    """What excludes degenerate samples, and for what is not decided, that the value is in the domain."""
    found: list[Condition] = []
    for p, e in solution.values.items():
        inside = _in_domain_condition(problem.domains[p], p, shown[p])
        for requirement in _requirements(problem.domains[p], e):
            for condition in known.conditions_of(requirement, facts, inside):
                if condition not in found:
                    found.append(condition)
        if decided[p] is None and inside is not None and inside not in found:
            found.append(inside)
    return tuple(found)


def _requirements(domain: Set, value: Expr) -> list[Expr]:
    """Expressions that are positive where the value is defined and inside its domain."""
    found = [] if not isinstance(domain, Interval) else [
        side
        for bound, side in ((domain.start, value - domain.start), (domain.end, domain.end - value))
        if bound not in (oo, -oo)
    ]
    found.extend(d for d in [fraction(together(value))[1]] if not d.is_number)
    return found


def _in_domain_condition(domain: Set, p: Symbol, value: Expr) -> Condition | None:
    if not isinstance(domain, Interval):
        return None
    bounds = []
    if domain.start != -oo:
        bounds.append(Gt(value, domain.start, evaluate=False))
    if domain.end != oo:
        bounds.append(Lt(value, domain.end, evaluate=False))
    if not bounds:
        return None
    return Condition(And(*bounds, evaluate=False) if len(bounds) > 1 else bounds[0], "in the domain", (p,))


def as_one_mean(e: Expr, problem: Problem) -> Expr:
    """1 - Mean(I_1) - Mean(I_2) as Mean(I_3): an affine combination that equals a statistic on a finite support."""
    means = [t for t in Add.make_args(e) if t.has(Mean)]
    if len(means) < 2 or not all(isinstance(t.as_coeff_Mul()[1], Mean) for t in means):
        return e
    for form in problem.likelihood.forms:
        x = form.part.columns[0]
        members = problem.likelihood.facts.members.get(x)
        if members is None or len(form.columns.args) != 1 or any(t.as_coeff_Mul()[1].args[-1] != form.columns for t in means):
            continue
        inside = e.xreplace({t.as_coeff_Mul()[1]: t.as_coeff_Mul()[1].summand for t in means})
        for _, g in form.terms:
            if all(inside.xreplace({x: m}) == g.xreplace({x: m}) for m in members):
                return Mean(g, form.columns)
    return e


def tidy(e: Expr) -> Expr:
    """A shorter way of writing an answer, the same value: common factors out of sums and roots."""
    answer = attempt_within(0.5, lambda: factor_terms(powsimp(e)))
    if isinstance(answer, GaveUp) or answer.count_ops() > e.count_ops():
        answer = e
    return _roots_of_quotients(answer)


def _roots_of_quotients(e: Expr) -> Expr:
    """sqrt(a)/sqrt(b) under one root, its quotient written out: sqrt(C_yy - C_yz**2/C_zz)."""
    return e.replace(
        lambda n: isinstance(n, Mul) and sum(isinstance(f, Pow) and abs(f.exp) == S.Half for f in n.args) > 1,
        _one_root,
    )


def _one_root(product: Mul) -> Expr:
    inside, rest = S.One, S.One
    for f in product.args:
        if isinstance(f, Pow) and abs(f.exp) == S.Half:
            inside *= f.base if f.exp > 0 else 1 / f.base
        else:
            rest *= f
    # every factor is the root of a positive number here, so that the roots may be joined
    numerator, denominator = fraction(together(inside))
    spread = numerator / denominator
    if isinstance(denominator, Symbol):
        spread = expand(numerator) / denominator if not numerator.is_Add else sum(t / denominator for t in numerator.args)
    return rest * Pow(spread, S.Half)


__all__ = ["as_one_mean", "candidates_of", "tidy"]
