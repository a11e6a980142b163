"""Is theta identifiable? The rank of the score vectors of single observations at random points.

A direction in which every single score vanishes is one in which the density does not change: the directions at
each point (the kernel of the information) are tangents of the curves along which l is constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mpmath
from sympy import Expr, Symbol

from symmle.algebra import compile_expression
from symmle.likelihood import Likelihood
from symmle.sampling import RandomPoints, as_numbers


def information_rank(likelihood: Likelihood) -> int | None:
    """The largest rank of the matrix of per-observation scores at three random points; None unknown."""
    if "rank" not in likelihood.known:
        likelihood.known["rank"] = _information_rank(likelihood)
    return likelihood.known["rank"]  # type: ignore[no-any-return]


def _information_rank(likelihood: Likelihood) -> int | None:
    parameters = list(likelihood.parameters)
    with mpmath.workdps(30):
        scores, best = _scores(likelihood), None
        stream = RandomPoints(likelihood.declaration, 13)
        for _ in range(3):
            vectors = _score_vectors(likelihood, scores, stream, {})
            if vectors is None:
                continue
            best = max(best or 0, _rank(vectors[1]))
            if best == len(parameters):
                break
    return best


def null_spaces(
    likelihood: Likelihood, count: int, held: Mapping[Symbol, Expr] | None = None, seed: int = 13
) -> list[tuple[dict[Symbol, Any], list[list[Any]]]]:
    """At random points: the values of the parameters, and a basis of the directions in which no score changes.

    The parameters in `held` have the given values at every point.
    """
    found: list[tuple[dict[Symbol, Any], list[list[Any]]]] = []
    scores, stream = _scores(likelihood), RandomPoints(likelihood.declaration, seed)
    for _ in range(3 * count):
        vectors = _score_vectors(likelihood, scores, stream, held or {})
        if vectors is not None:
            found.append((vectors[0], null_space(vectors[1], len(likelihood.parameters))))
        if len(found) == count:
            break
    return found


def null_space(vectors: list[list[Any]], size: int) -> list[list[Any]]:
    """A basis of {d : v . d = 0 for every v}, by elimination with column pivots."""
    rows = [list(v) for v in vectors if all(mpmath.isfinite(e) for e in v)]
    scale = max((abs(e) for r in rows for e in r), default=mpmath.mpf(0)) or mpmath.mpf(1)
    pivots: list[int] = []
    for column in range(size):
        rank = len(pivots)
        best = max(range(rank, len(rows)), key=lambda i, c=column: abs(rows[i][c]), default=None)  # type: ignore[misc]
        if best is None or abs(rows[best][column]) < scale * mpmath.mpf(10) ** -15:
            continue
        rows[rank], rows[best] = rows[best], rows[rank]
        rows[rank] = [e / rows[rank][column] for e in rows[rank]]
        for i in range(len(rows)):
            if i != rank and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[rank], strict=True)]
        pivots.append(column)
    basis = []
    for free in (c for c in range(size) if c not in pivots):
        d = [mpmath.mpf(0)] * size
        d[free] = mpmath.mpf(1)
        for i, column in enumerate(pivots):
            d[column] = -rows[i][free]
        basis.append(d)
    return basis


def _scores(likelihood: Likelihood) -> list[list[Any]]:
    return [
        [compile_expression(form.opened.diff(p)) for p in likelihood.parameters] for form in likelihood.forms
    ]


def _score_vectors(
    likelihood: Likelihood, scores: list[list[Any]], stream: RandomPoints, held: Mapping[Symbol, Expr]
) -> tuple[dict[Symbol, Any], list[list[Any]]] | None:
    """Random parameters, and the score of every row of a random sample there."""
    values = stream.parameters(stream.constants())
    if values is None:
        return None
    values = {**values, **held}
    samples = stream.samples(values, rows=2 * len(likelihood.parameters) + 2)
    if samples is None:
        return None
    numbers, vectors = as_numbers(values), []
    for functions, rows in zip(scores, samples, strict=True):
        for i in range(len(rows.weights)):
            point = {**numbers, **{c: v[i] for c, v in rows.columns.items()}}
            try:
                vectors.append([f(point, []) for f in functions])
            except (ZeroDivisionError, ValueError, TypeError, KeyError):
                continue
    return numbers, vectors


def _rank(vectors: list[list]) -> int:  # type: ignore[type-arg]
    rank, rows = 0, [list(v) for v in vectors if all(mpmath.isfinite(e) for e in v)]
    if not rows:
        return 0
    scale = max(abs(e) for r in rows for e in r) or mpmath.mpf(1)
    for column in range(len(rows[0])):
        pivot = max(range(rank, len(rows)), key=lambda i: abs(rows[i][column]), default=None)
        if pivot is None or abs(rows[pivot][column]) < scale * mpmath.mpf(10) ** -15:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            factor = rows[i][column] / rows[rank][column]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[rank], strict=True)]
        rank += 1
        if rank == len(rows):
            break
    return rank
