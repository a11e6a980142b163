"""Triangular solution of a system: one equation with one unknown, or linear in one, at a time.

A root is put into the other equations; a long one goes in under a name, so that no radical meets
another. Every branch is followed; the domain sorts them out at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sympy import Dummy, Expr, Symbol, cancel, expand, fraction, together

from symmle.algebra import Facts, GaveUp, attempt_within, seconds_left
from symmle.algebra.roots import Roots, solve_equation
from symmle.algebra.systems_rational import rational_solution

MAX_BRANCHES = 12
MAX_CHOICES = 4  # ways to begin that are tried at each level
SECONDS = 8.0
FIRST_SECONDS = 1.5  # before it is asked whether a system has one solution only
LONG = 30  # operations from which a root goes into other equations under a name


@dataclass(frozen=True)
class Solution:
    """unknown -> hidden expression, and the rules that were used."""

    values: dict[Symbol, Expr]
    methods: tuple[str, ...]


def solve_system(
    equations: Mapping[Symbol, Expr], unknowns: tuple[Symbol, ...], facts: Facts
) -> list[Solution] | GaveUp:
    """Every solution of the hidden equations in the unknowns, or why there is none to be had."""

    def solved() -> list[Solution] | GaveUp:
        return _solve(list(equations.values()), list(unknowns), facts, {}, (), {})

    branches = attempt_within(SECONDS if len(unknowns) == 1 else FIRST_SECONDS, solved)
    if isinstance(branches, GaveUp) and len(unknowns) > 1:
        positive = [p for p in unknowns if p.is_positive]
        single = rational_solution(list(equations.values()), unknowns, positive)
        if not isinstance(single, GaveUp):
            return [Solution(single, ("one complex solution",))]
        branches = attempt_within(SECONDS, solved)
    if isinstance(branches, GaveUp):
        return branches
    return branches[:MAX_BRANCHES]


def _solve(
    equations: list[Expr],
    unknowns: list[Symbol],
    facts: Facts,
    solved: dict[Symbol, Expr],
    methods: tuple[str, ...],
    named: dict[Symbol, Expr],
) -> list[Solution] | GaveUp:
    if not unknowns:
        return [Solution(_put_back(solved, named), methods)]
    reason = "no equation can be solved for one unknown"
    for equation, unknown in _choices(equations, unknowns)[:MAX_CHOICES]:
        if seconds_left() < 0.02:
            return GaveUp("no time is left")
        answer = solve_equation(equation, unknown, facts)
        if isinstance(answer, GaveUp):
            reason = f"{unknown}: {answer.reason}"
            continue
        long = any(r.count_ops() > LONG for r in answer.roots)
        if len(answer.roots) > 2 and long and (solved or len(unknowns) > 1):
            reason = f"{unknown} has {len(answer.roots)} roots, which no sign tells apart"
            continue
        found: list[Solution] = []
        for root in _admissible(answer, unknown, unknowns, facts):
            below = _branch(
                equation, root, unknown, equations, unknowns, facts, solved, methods + (answer.method,), named
            )
            if isinstance(below, GaveUp):
                reason = below.reason
                found = []
                break
            found.extend(below)
        if found:
            return found
    return GaveUp(reason)


def _admissible(answer: Roots, unknown: Symbol, unknowns: list[Symbol], facts: Facts) -> list[Expr]:
    """Roots that are not excluded by a proved sign (a negative root of a positive unknown)."""
    kept = []
    for root in answer.roots:
        if unknown.is_positive and facts.decide_sign(root) in (-1, 0):
            continue
        kept.append(root)
    return kept


def _branch(
    equation: Expr,
    root: Expr,
    unknown: Symbol,
    equations: list[Expr],
    unknowns: list[Symbol],
    facts: Facts,
    solved: dict[Symbol, Expr],
    methods: tuple[str, ...],
    named: dict[Symbol, Expr],
) -> list[Solution] | GaveUp:
    others = [u for u in unknowns if u != unknown]
    value = root
    if root.count_ops() > LONG and not root.free_symbols & set(others):
        value = Dummy("r", positive=True) if unknown.is_positive else Dummy("r", real=True)
        named = {**named, value: root}
    rest = []
    for e in equations:
        if e is equation:
            continue
        if e.has(unknown):
            e = e.xreplace({unknown: value})
            answer = attempt_within(2.0, _light, e)
            if not isinstance(answer, GaveUp):
                e = answer
        rest.append(e)
    earlier = {u: s.xreplace({unknown: value}) for u, s in solved.items()}
    return _solve(rest, others, facts, {**earlier, unknown: value}, methods, named)


def _light(e: Expr) -> Expr:
    numerator, denominator = fraction(together(e))
    numerator = expand(numerator, power_base=False, log=False)
    return cancel(numerator / denominator) if numerator.count_ops() < 120 else numerator / denominator


def _put_back(solved: dict[Symbol, Expr], named: dict[Symbol, Expr]) -> dict[Symbol, Expr]:
    result = dict(solved)
    for _ in range(len(named) + len(solved)):
        result = {u: e.xreplace(named) for u, e in result.items()}
    for _ in range(len(solved)):  # unknowns solved later stand in those solved earlier
        result = {u: e.xreplace({w: f for w, f in result.items() if w != u}) for u, e in result.items()}
    return result


def _choices(equations: list[Expr], unknowns: list[Symbol]) -> list[tuple[Expr, Symbol]]:
    """(equation, unknown) pairs, the most promising first."""
    ranked: list[tuple[tuple[int, int, int], int, Expr, Symbol]] = []
    for e in equations:
        present = [u for u in unknowns if e.has(u)]
        for u in present:
            degree = _degree(e, u)
            if len(present) == 1:
                rank = (0 if degree == 1 else 1 if 0 < degree <= 2 else 3, degree, e.count_ops())
            elif degree == 1:
                rank = (2, len(present), e.count_ops())
            elif degree == 2:
                rank = (5, len(present), e.count_ops())
            else:
                rank = (6, len(present), e.count_ops())
            ranked.append((rank, len(ranked), e, u))
    ranked.sort(key=lambda r: (r[0], r[1]))
    return [(e, u) for _, _, e, u in ranked]


def _degree(e: Expr, u: Symbol) -> int:
    answer = attempt_within(2.0, lambda: fraction(together(e))[0].as_poly(u))
    if isinstance(answer, GaveUp) or answer is None or any(c.has(u) for c in answer.coeffs()):
        return 9
    return int(answer.degree())
