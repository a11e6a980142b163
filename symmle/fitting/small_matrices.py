"""Products and inverses of the few rows that a Hessian has, in plain numbers: quicker than a call of LAPACK."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = list[float]
Matrix = list[list[float]]

PIVOT = 1e-8  # of a scaled matrix: below it the eigenvalues are asked
FEW = 5  # rows up to which plain numbers are quicker


def product(a: Sequence[float], b: Sequence[float]) -> float:
    """a' b."""
    return sum([x * y for x, y in zip(a, b, strict=True)])


def times(m: Matrix, v: Sequence[float]) -> Vector:
    """M v."""
    return [sum([x * y for x, y in zip(row, v, strict=True)]) for row in m]


def inverse_of(h: Matrix, bend: float) -> tuple[bool, Matrix]:
    """(-H)^-1 and whether -H is positive definite; where it is not, the eigenvalues are taken as if it were.

    Of the matrix scaled to a diagonal of 1; "definite" is a least eigenvalue above `bend`.
    """
    if len(h) <= FEW:
        found = _inverse_of_definite(h)
        if found is not None:
            return True, found
    a = np.array(h)
    size = np.sqrt(np.maximum(np.abs(a.diagonal()), 1e-300))
    scale = size[:, None] * size
    scaled = a / scale
    if not np.isfinite(scaled).all():  # beyond what doubles hold: by each coordinate alone
        return False, np.diag(1 / size**2).tolist()
    values, vectors = np.linalg.eigh(scaled)
    flipped = np.maximum(np.abs(values), PIVOT)
    return bool(values[-1] < -bend), ((vectors / flipped) @ vectors.T / scale).tolist()


def eigenvalues_of(h: Matrix) -> NDArray[Any]:
    """The eigenvalues of H scaled to a diagonal of -1; -inf and 0 where doubles do not hold it."""
    a = np.array(h)
    size = np.sqrt(np.maximum(np.abs(a.diagonal()), 1e-300))
    scaled = a / (size[:, None] * size)
    return np.linalg.eigvalsh(scaled) if np.isfinite(scaled).all() else np.array([-math.inf, 0.0])


def _inverse_of_definite(h: Matrix) -> Matrix | None:
    """(-H)^-1 by Cholesky's factor of the scaled matrix; None where a pivot is not clearly positive."""
    p = len(h)
    if not all(h[k][k] < 0 for k in range(p)):
        return None
    scale = [1 / math.sqrt(-h[k][k]) for k in range(p)]
    root: Matrix = []  # L, row by row
    for i in range(p):
        row: Vector = []
        for j in range(i):
            rest = -h[i][j] * scale[i] * scale[j]
            for k in range(j):
                rest -= row[k] * root[j][k]
            row.append(rest / root[j][j])
        pivot = 1.0
        for v in row:
            pivot -= v * v
        if not pivot > PIVOT:
            return None
        row.append(math.sqrt(pivot))
        root.append(row)
    inverse: Matrix = []  # L^-1, row by row
    for i in range(p):
        row = [0.0] * p
        row[i] = 1 / root[i][i]
        for j in range(i):
            rest = 0.0
            for k in range(j, i):
                rest -= root[i][k] * inverse[k][j]
            row[j] = rest / root[i][i]
        inverse.append(row)
    found = [[0.0] * p for _ in range(p)]
    for i in range(p):
        for j in range(i + 1):
            entry = 0.0
            for k in range(i, p):
                entry += inverse[k][i] * inverse[k][j]
            found[i][j] = found[j][i] = entry * scale[i] * scale[j]
    return found


__all__ = ["Matrix", "Vector", "eigenvalues_of", "inverse_of", "product", "times"]
