"""Is theta identifiable? The rank of the score vectors of single observations at random points."""

from __future__ import annotations

import mpmath

from symmle.algebra import compile_expression
from symmle.likelihood import Likelihood
from symmle.sampling import RandomPoints, as_numbers


def information_rank(likelihood: Likelihood) -> int | None:
    """The largest rank of the matrix of per-observation scores at three random points; None unknown."""
    parameters = list(likelihood.parameters)
    with mpmath.workdps(30):
        rows_of = [[compile_expression(form.opened.diff(p)) for p in parameters] for form in likelihood.forms]
        stream, best = RandomPoints(likelihood.declaration, 13), None
        for _ in range(3):
            values = stream.parameters(stream.constants())
            samples = None if values is None else stream.samples(values, rows=2 * len(parameters) + 2)
            if values is None or samples is None:
                continue
            numbers = as_numbers(values)
            vectors = []
            for functions, rows in zip(rows_of, samples, strict=True):
                for i in range(len(rows.weights)):
                    point = {**numbers, **{c: v[i] for c, v in rows.columns.items()}}
                    try:
                        vectors.append([f(point, []) for f in functions])
                    except (ZeroDivisionError, ValueError, TypeError, KeyError):
                        continue
            best = max(best or 0, _rank(vectors))
            if best == len(parameters):
                break
    return best


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
