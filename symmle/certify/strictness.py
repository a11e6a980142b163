"""Strict concavity: the linear forms along which the log densities are strictly curved span the coordinates.

Between two maximisers of a concave sum every term is affine, so that every such form is constant:
where the forms of the sample span, there is one maximiser at most.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from sympy import Add, Expr, Gt, S, Symbol, expand
from sympy.matrices import Matrix

from symmle.certify.cells import Cell, column_sampler
from symmle.certify.ranges import Bounds, range_of
from symmle.certify.sampling import draw
from symmle.record import Condition
from symmle.sample import Mean

if TYPE_CHECKING:
    from symmle.certify.problem import ConcavityProblem

Weights = dict[tuple[int, tuple[Expr, ...]], Expr]


def strictness(
    problem: ConcavityProblem,
    forms: Sequence[tuple[Cell, tuple[tuple[Expr, ...], ...]]],
    p: int,
    known: Mapping[Symbol | Expr, Bounds],
) -> tuple[bool, tuple[Condition, ...]]:
    """Strict where the forms span; by the data: where a Gram determinant is positive."""
    if not _spans_on_numbers(problem, forms, p):
        return False, ()
    weights, needed = _reduced(problem, _weights_of_forms(forms), p)
    left = len(next(iter(weights))[1]) if weights else 0
    if left == 0:
        return True, tuple(dict.fromkeys(needed))
    for chosen in list(combinations(weights, left))[:60]:
        bounds = range_of(Matrix([f for _, f in chosen]).det().expand(), known)
        if bounds.positive or bounds.negative:
            means = [_mean(problem, sample, weights[sample, f]) for sample, f in chosen]
            needed += [Condition(Gt(m, 0)) for m in means if m != 1]
            return True, tuple(dict.fromkeys(needed))
    always = {key: w for key, w in weights.items() if w == 1}
    for group in (always, weights):
        gram = Matrix.zeros(left, left)
        for (sample, form), weight in group.items():
            gram += Matrix(
                left, left, lambda i, j, s=sample, f=form, w=weight: _mean(problem, s, w * f[i] * f[j])
            )
        determinant = gram.det(method="berkowitz").expand()
        if determinant != 0 and determinant.count_ops() < 120:
            return True, (*dict.fromkeys(needed), _gram_condition(determinant))
    return False, ()


def _reduced(problem: ConcavityProblem, weights: Weights, p: int) -> tuple[Weights, list[Condition]]:
    """The forms in the coordinates that no form alone settles, and what those that do need.

    A form c u_k with a number c keeps u_k fixed: the rest has to span the other coordinates.
    """
    needed: list[Condition] = []
    while True:
        alone = [
            (sample, form, next(k for k, c in enumerate(form) if c != 0))
            for sample, form in weights
            if sum(1 for c in form if c != 0) == 1 and sum(form).is_number
        ]
        if not alone:
            return weights, needed
        sample, form, held = alone[0]
        weight = weights[sample, form]
        if weight != 1:
            needed.append(Condition(Gt(_mean(problem, sample, weight), 0)))
        rest: Weights = {}
        for (s, f), w in weights.items():
            cut = _bare(tuple(c for k, c in enumerate(f) if k != held))
            if any(c != 0 for c in cut):
                known = rest.get((s, cut), S.Zero)
                rest[s, cut] = S.One if S.One in (w, known) else expand(w + known)
        weights = dict(sorted(rest.items(), key=lambda item: item[1] != 1))
        if not weights:
            return weights, needed


def _mean(problem: ConcavityProblem, sample: int, e: Expr) -> Expr:
    cell = next(c for c in problem.cells if c.sample == sample)
    columns = tuple(problem.originals[x] for x in cell.columns)
    e = expand(e).xreplace(problem.originals)
    return Mean(e, columns) if columns else e


def _spans_on_numbers(
    problem: ConcavityProblem, forms: Sequence[tuple[Cell, tuple[tuple[Expr, ...], ...]]], p: int
) -> bool:
    """Whether some sample makes the forms span."""
    generator = random.Random(7)
    lines = []
    for cell, here in forms:
        for _ in range(p + 1):
            theta = {q: draw(problem.known[q], generator) for q in problem.parameters}
            point: dict[Symbol, Any] = {}
            for x, d in (*cell.given_columns, *cell.random_columns):
                value = column_sampler(x, d, problem.known)(theta, generator)
                point[x] = S(str(value)) if value is not None else S.One
            lines += [[c.xreplace(point).evalf() for c in form] for form in here]
    if not lines or any(not c.is_number or not c.is_finite for line in lines for c in line):
        return False
    return Matrix(lines).rank(iszerofunc=lambda v: abs(v) < 1e-8) == p


def _weights_of_forms(
    forms: Sequence[tuple[Cell, tuple[tuple[Expr, ...], ...]]],
) -> Weights:
    """(sample, form) -> the indicator of the rows where the curvature is strict along the form."""
    rows: dict[tuple[int, tuple[Expr, ...]], list[Cell]] = {}
    for cell, here in forms:
        for form in dict.fromkeys(_bare(f) for f in here):
            rows.setdefault((cell.sample, form), []).append(cell)
    found = {}
    for (sample, form), cells in rows.items():
        everywhere = len(cells) == sum(1 for c, _ in forms if c.sample == sample)
        found[sample, form] = S.One if everywhere else Add(*(c.indicator for c in cells))
    return dict(sorted(found.items(), key=lambda item: item[1] != 1))


def _gram_condition(determinant: Expr) -> Condition:
    """det Mean(f f^T) > 0; of one column, Mean(g^2) - Mean(g)^2 > 0."""
    means = determinant.atoms(Mean)
    for mean in means:
        square = Mean(mean.summand**2, mean.columns)
        ratio = determinant / (square - mean**2)
        if (
            ratio.expand().is_Rational
            or (determinant.coeff(square) * (square - mean**2) - determinant).expand() == 0
        ):
            return Condition(Gt(square - mean**2, 0), "not all equal", (mean.summand,))
    return Condition(Gt(determinant, 0), "not on a line")


def _bare(form: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """A linear form up to a number."""
    lead = next((c for c in form if c != 0), S.One).as_coeff_Mul()[0]
    return tuple(c / lead for c in form)
