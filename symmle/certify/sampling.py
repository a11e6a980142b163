"""Random points of parameters and data, and exact second derivatives there: the test before every proof."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import mpmath
from mpmath.libmp import NoConvergence
from sympy import DiracDelta, Expr, S, Sum, Symbol, diff, lambdify

from symmle.certify.ranges import Bounds, End

# what mpmath raises where a number is none, or has no room
UNREAL = (
    ValueError,
    ZeroDivisionError,
    TypeError,
    OverflowError,
    NameError,
    NoConvergence,
    MemoryError,
)
DIGITS = 30
_POINTS = 36


@dataclass(frozen=True)
class Row:
    """How one log density is sampled: its expression, columns with ranges, whole-numbered ones, facts."""

    log_density: Expr
    columns: tuple[tuple[Symbol, Callable[[dict[Symbol, mpmath.mpf], random.Random], mpmath.mpf | None]], ...]


Matrixlike = list[list[mpmath.mpf]]


@dataclass(frozen=True)
class Measured:
    """Gradient and Hessian of one log density at one point of the parameters."""

    at: tuple[mpmath.mpf, ...]
    gradient: list[mpmath.mpf]
    hessian: Matrixlike


def _derivatives(e: Expr, variables: Sequence[Symbol], arguments: Sequence[Symbol]) -> Callable[..., list]:
    first = [diff(e, v) for v in variables]
    second = [diff(first[i], v) for i in range(len(variables)) for v in variables[i:]]
    whole = [x.replace(DiracDelta, lambda *a: S.Zero) for x in (*first, *second)]
    return lambdify(list(arguments), [e, *whole], modules="mpmath", cse=not e.has(Sum))


def _unpacked(values: Sequence, p: int) -> tuple[list[mpmath.mpf], Matrixlike]:
    gradient, rest = list(values[1 : p + 1]), list(values[p + 1 :])
    hessian = [[mpmath.mpf(0)] * p for _ in range(p)]
    k = 0
    for i in range(p):
        for j in range(i, p):
            hessian[i][j] = hessian[j][i] = rest[k]
            k += 1
    return gradient, hessian


def _number(end: End) -> mpmath.mpf | None:
    if math.isinf(end):
        return None
    exact = Fraction(end)
    return mpmath.mpf(exact.numerator) / exact.denominator


def draw(bounds: Bounds, generator: random.Random) -> mpmath.mpf:
    """A number inside the bounds, of any size."""
    scale = mpmath.mpf(10) ** generator.uniform(-1, 1) if generator.random() < 0.3 else mpmath.mpf(1)
    lo, hi = _number(bounds.lo), _number(bounds.hi)
    if lo is not None and hi is not None:
        share = generator.betavariate(0.6, 0.6) if generator.random() < 0.5 else generator.random()
        return lo + (hi - lo) * min(max(mpmath.mpf(share), mpmath.mpf("1e-4")), mpmath.mpf("0.9999"))
    step = mpmath.exp(generator.gauss(0, 1.3)) * scale
    if lo is not None:
        return lo + step
    if hi is not None:
        return hi - step
    return mpmath.mpf(generator.gauss(0, 1.5)) * scale


def measured(
    rows: Sequence[Row],
    parameters: Sequence[Symbol],
    known: Mapping[Symbol | Expr, Bounds],
    seed: int,
    deadline: float,
    points: int = _POINTS,
) -> list[Measured] | None:
    """Exact first and second derivatives at random points; None where they cannot be computed."""
    generator = random.Random(seed)
    found: list[Measured] = []
    p = len(parameters)
    for row in rows:
        columns = [c for c, _ in row.columns]
        try:
            call = _derivatives(row.log_density, parameters, [*parameters, *columns])
        except NotImplementedError:  # a function that mpmath has no name for
            return None
        share = max(8, points // len(rows))
        good = tried = 0
        while good < share and tried < 6 * share:
            tried += 1
            if time.monotonic() > deadline:
                return found if len(found) >= points // 2 else None
            theta = {q: draw(known[q], generator) for q in parameters}
            data = []
            for _, sample in row.columns:
                data.append(sample(theta, generator))
            if any(d is None for d in data):
                continue
            try:
                values = call(*theta.values(), *data)
                real = [mpmath.mpf(v) for v in values]
            except UNREAL:
                continue
            if not all(mpmath.isfinite(v) for v in real):
                continue
            gradient, hessian = _unpacked(real, p)
            found.append(Measured(tuple(theta.values()), gradient, hessian))
            good += 1
        if good < max(3, share // 4):
            return None
    return found


class ConcaveOnNumbers:
    """Whether l is concave at the measured points, in given coordinates.

    d^2 l / du^2 is congruent to H - sum_k g_k D^2 u_k with g = J^-T grad l, so the inverse map is not needed.
    """

    def __init__(self, points: Sequence[Measured], parameters: Sequence[Symbol]):
        self.points = points
        self.parameters = tuple(parameters)
        self.curves: dict[Expr, list[tuple[list[mpmath.mpf], Matrixlike]] | None] = {}

    def _curve(self, function: Expr) -> list[tuple[list[mpmath.mpf], Matrixlike]] | None:
        if function not in self.curves:
            call = _derivatives(function, self.parameters, self.parameters)
            try:
                found = [
                    _unpacked([mpmath.mpf(v) for v in call(*point.at)], len(self.parameters))
                    for point in self.points
                ]
            except UNREAL:
                found = None
            self.curves[function] = found
        return self.curves[function]

    def accepts(self, functions: Sequence[Expr]) -> bool:
        """True where no measured point speaks against concavity."""
        p = len(self.parameters)
        curves = [self._curve(f) for f in functions]
        if any(c is None for c in curves):
            return False
        for k, point in enumerate(self.points):
            columns = [list(row) for row in zip(*(curve[k][0] for curve in curves), strict=True)]  # type: ignore[index]
            pull = _solution(columns, point.gradient)
            if pull is None:
                return False
            turned = [
                [
                    point.hessian[i][j] - sum(pull[m] * curves[m][k][1][i][j] for m in range(p))  # type: ignore[index]
                    for j in range(p)
                ]
                for i in range(p)
            ]
            size = [
                [
                    abs(point.hessian[i][j])
                    + abs(point.gradient[i] * point.gradient[j])
                    + sum(abs(pull[m] * curves[m][k][1][i][j]) for m in range(p))  # type: ignore[index]
                    for j in range(p)
                ]
                for i in range(p)
            ]
            if not _is_negative_semidefinite(turned, size):
                return False
        return True


def _solution(matrix: Matrixlike, right: Sequence[mpmath.mpf]) -> list[mpmath.mpf] | None:
    """x with matrix x = right by elimination, None where the matrix is singular."""
    rows = [[*row, r] for row, r in zip(matrix, right, strict=True)]
    p = len(rows)
    for k in range(p):
        best = max(range(k, p), key=lambda i: abs(rows[i][k]))
        if abs(rows[best][k]) <= mpmath.mpf(10) ** (-DIGITS // 2) * max(abs(v) for v in rows[best][:p]):
            return None
        rows[k], rows[best] = rows[best], rows[k]
        for i in range(p):
            if i != k:
                factor = rows[i][k] / rows[k][k]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [rows[k][p] / rows[k][k] for k in range(p)]


def _is_negative_semidefinite(matrix: Matrixlike, size: Matrixlike) -> bool:
    """By pivoted elimination; `size` holds the magnitude of what was added up in each entry."""
    p = len(matrix)
    a = [[-v for v in row] for row in matrix]
    left = list(range(p))
    slack = mpmath.mpf(10) ** (-DIGITS // 2)
    scale = [mpmath.sqrt(size[i][i]) or mpmath.mpf(1) for i in range(p)]
    a = [[a[i][j] / (scale[i] * scale[j]) for j in range(p)] for i in range(p)]
    noise = (
        max([mpmath.mpf(1), *(size[i][j] / (scale[i] * scale[j]) for i in range(p) for j in range(p))]) ** 2
    )
    while left:
        pivot = max(left, key=lambda i: a[i][i])
        if min(a[i][i] for i in left) < -slack * noise:
            return False
        if a[pivot][pivot] <= slack * noise:
            return all(abs(a[i][j]) <= mpmath.sqrt(slack) * noise for i in left for j in left)
        left.remove(pivot)
        for i in left:
            for j in left:
                a[i][j] -= a[i][pivot] * a[pivot][j] / a[pivot][pivot]
    return True
