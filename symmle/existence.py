"""Samples on which a maximum cannot exist or is not one point, where no closed form says so."""

from __future__ import annotations

from sympy import Expr, Gt, Matrix, S, Tuple

from symmle.family import find_family
from symmle.inequalities import SampleFacts, not_all_equal
from symmle.likelihood import NormalForm
from symmle.record import Condition
from symmle.sample import Maximum, Mean, statistics_of
from symmle.strategies.problem import Problem

_GAPS = ("not all equal", "not on a line", "not proportional")


def degenerate_conditions(problem: Problem) -> tuple[Condition, ...]:
    """Full families: the statistics off the edge that Jensen and Cauchy-Schwarz draw; covariates of full rank."""
    found: list[Condition] = []
    for form in problem.likelihood.forms:
        for condition in _rank_of_regressors(form):
            if condition not in found:
                found.append(condition)
    family = find_family(problem.likelihood, problem.parameters)
    if isinstance(family, str) or not family.is_full:
        return tuple(found)
    operators: list[Expr] = []
    for t in family.statistics:
        operators.extend(o for o in statistics_of(t) if o not in operators)
    given = [z for form in problem.likelihood.forms for z in form.part.given]
    known = SampleFacts(operators, problem.likelihood.facts, given)
    for _, _, condition in known.degenerate:
        if condition.reading in _GAPS and condition not in found:
            found.append(condition)
    return tuple(found)


def _rank_of_regressors(form: NormalForm) -> list[Condition]:
    """The functions r_k(z) that stand beside one function of the data are linearly independent over the rows."""
    given = set(form.part.given)
    if not given:
        return []
    beside: dict[Expr, list[Expr]] = {}
    for coefficient, g in form.terms:
        if g.free_symbols & set(form.part.columns) and coefficient.free_symbols:
            data, regressor = g.as_independent(*given, as_Add=False)
            beside.setdefault(data, []).append(regressor)
    found = []
    for regressors in beside.values():
        if regressors == [S.One] or any(r.free_symbols - given - set(form.columns.args) for r in regressors):
            continue
        found.append(_independent(regressors, form.columns))
    return found


def _independent(regressors: list[Expr], columns: Tuple) -> Condition:
    if len(regressors) == 1:
        return Condition(
            Gt(Maximum(abs(regressors[0]), columns), 0, evaluate=False),
            "not all at the edge",
            (regressors[0], S.Zero),
        )
    if len(regressors) == 2 and S.One in regressors:
        return not_all_equal(next(r for r in regressors if r != 1), columns)
    gram = Matrix([[Mean(r * s, columns) for s in regressors] for r in regressors])
    return Condition(Gt(gram.det(), 0, evaluate=False), "not proportional", tuple(regressors))
