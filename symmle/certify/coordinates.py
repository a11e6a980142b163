"""Coordinates in which a log-likelihood may be concave: found from the data's coefficients, tested on numbers.

The innermost affine forms of the data (the exponents, the arguments of functions, the bases of
powers) have coefficients that are functions of the parameters: 1/sigma and mu/sigma, k and k log lambda.
Those, the parameters, their logarithms and reciprocals are the candidates.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import mpmath
from mpmath.libmp import NoConvergence
from sympy import Add, DiracDelta, Expr, Mul, Pow, S, Sum, Symbol, diff, exp, expand_mul, lambdify, log, powdenest

from symmle.certify.ranges import Bounds, range_of

_POINTS = 36
_SYSTEMS = 260
DIGITS = 30


@dataclass(frozen=True)
class Coordinates:
    """u_k = functions[k](theta), theta = inverse[theta](u): smooth both ways, so one to one."""

    symbols: tuple[Symbol, ...]
    functions: tuple[Expr, ...]
    inverse: tuple[tuple[Symbol, Expr], ...]

    def bounds(self, known: Mapping[Symbol | Expr, Bounds]) -> dict[Symbol, Bounds]:
        """A box (convex) that contains the image of the parameter domain."""
        return {u: range_of(f, known) for u, f in zip(self.symbols, self.functions, strict=True)}


def candidate_functions(
    log_densities: Sequence[Expr], known: Mapping[Symbol | Expr, Bounds], parameters: Sequence[Symbol]
) -> list[tuple[int, Expr]]:
    """(cost, function of the parameters), cheapest first."""
    found: dict[Expr, int] = {}

    def add(function: Expr, cost: int) -> None:
        bare = function.as_coeff_Mul()[1]
        if not bare.free_symbols & set(parameters) or bare.count_ops() > 10 or bare.is_Add:
            return
        found[bare] = min(cost, found.get(bare, 99))

    for p in parameters:
        add(p, 0)
    for density in log_densities:
        for function in _coefficient_functions(density, parameters):
            add(function, 1)
    for p in parameters:
        bounds = known[p]
        if bounds.positive:
            add(log(p), 2)
            add(1 / p, 3)
    for function in [f for f, cost in found.items() if cost == 1 and f not in parameters]:
        if not function.has(log) and range_of(function, known).positive and len(function.free_symbols) == 1:
            add(log(function), 4)
    return sorted(((cost, f) for f, cost in found.items()), key=lambda pair: (pair[0], pair[1].count_ops(), str(pair[1])))


def _coefficient_functions(e: Expr, parameters: Sequence[Symbol]) -> Iterator[Expr]:
    """The functions of the parameters that multiply data inside the innermost affine forms of e."""
    names = set(parameters)

    def forms(argument: Expr) -> Iterator[Expr]:
        for term in Add.make_args(expand_mul(argument)):
            dependent = term.as_independent(*parameters, as_Add=False)[1]
            if not dependent.free_symbols & names:
                continue
            if dependent.free_symbols <= names:
                if not isinstance(dependent, (exp, log)) or not dependent.args[0].is_Add:
                    yield dependent
                yield from inside(dependent)
            else:
                plain = Mul(*(f for f in Mul.make_args(dependent) if f.free_symbols <= names))
                if plain is not S.One:
                    yield plain
                yield from inside(dependent)

    def inside(e: Expr) -> Iterator[Expr]:
        if isinstance(e, Mul):
            for part in e.args:
                base, power = part.as_base_exp()
                if isinstance(base, Add) and power.is_Rational and power > 0 and not base.free_symbols <= names:
                    others = Mul(*(f for f in e.args if f != part and f.free_symbols and f.free_symbols <= names))
                    yield from forms(base * powdenest(others ** (1 / power), force=True))
                else:
                    yield from inside(part)
        elif isinstance(e, exp):
            yield from forms(e.exp)
        elif isinstance(e, Pow):
            if e.exp.free_symbols & names:
                yield from forms(e.exp * log(e.base))
            yield from forms(e.base)
        else:
            for argument in e.args:
                if isinstance(argument, Expr) and argument.free_symbols & names:
                    yield from forms(argument)

    seen: set[Expr] = set()
    for function in forms(e):
        if function not in seen:
            seen.add(function)
            yield function


def systems(candidates: Sequence[tuple[int, Expr]], parameters: Sequence[Symbol]) -> list[tuple[Expr, ...]]:
    """Choices of as many functions as there are parameters, each parameter in one of them, cheapest first."""
    names = set(parameters)
    chosen = [
        (sum(c for c, _ in choice), tuple(f for _, f in choice))
        for choice in combinations(candidates[: 16 if len(parameters) < 4 else 11], len(parameters))
        if set().union(*(f.free_symbols for _, f in choice)) >= names
    ]
    chosen.sort(key=lambda pair: pair[0])
    return [choice for _, choice in chosen[:_SYSTEMS]]


def solved(
    functions: Sequence[Expr],
    parameters: Sequence[Symbol],
    known: Mapping[Symbol | Expr, Bounds],
    symbols: Sequence[Symbol],
) -> Coordinates | None:
    """The inverse map of u = functions(theta), one parameter after another; None where it is not plain."""
    inverse: dict[Symbol, Expr] = {}
    left = list(zip(functions, symbols, strict=True))
    while left:
        for pair in left:
            function, u = pair
            open_ones = function.free_symbols & set(parameters) - set(inverse)
            if len(open_ones) == 1:
                (parameter,) = open_ones
                value = _peeled(function, u, parameter, known)
                if value is None:
                    return None
                inverse[parameter] = value.xreplace(inverse)
                left.remove(pair)
                break
        else:
            return None
    ordered = tuple((p, inverse[p]) for p in parameters)
    return Coordinates(tuple(symbols), tuple(functions), ordered)


def _peeled(function: Expr, target: Expr, theta: Symbol, known: Mapping[Symbol | Expr, Bounds]) -> Expr | None:
    """theta from function(theta) = target, by inverses that are one to one on the range."""
    while function != theta:
        if isinstance(function, Mul):
            factor, rest = function.as_independent(theta, as_Add=False)
            bounds = range_of(factor, known)
            if factor is S.One or not (bounds.positive or bounds.negative):
                return None
            target, function = target / factor, rest
        elif isinstance(function, Add):
            constant, rest = function.as_independent(theta, as_Add=True)
            if constant is S.Zero:
                return None
            target, function = target - constant, rest
        elif isinstance(function, exp):
            target, function = log(target), function.exp
        elif isinstance(function, log):
            target, function = exp(target), function.args[0]
        elif isinstance(function, Pow) and not function.exp.has(theta):
            if function.exp != -1 and not range_of(function.base, known).positive:
                return None
            target, function = target ** (1 / function.exp), function.base
        else:
            return None
    return target


# numbers ----------------------------------------------------------------------------------


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


def draw(bounds: Bounds, generator: random.Random) -> mpmath.mpf:
    """A number inside the bounds, of any size."""
    scale = mpmath.mpf(10) ** generator.uniform(-1, 1) if generator.random() < 0.3 else mpmath.mpf(1)
    finite_lo, finite_hi = bounds.lo != -mpmath.inf, bounds.hi != mpmath.inf
    lo = mpmath.mpf(bounds.lo.numerator) / bounds.lo.denominator if finite_lo else None
    hi = mpmath.mpf(bounds.hi.numerator) / bounds.hi.denominator if finite_hi else None
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
        call = _derivatives(row.log_density, parameters, [*parameters, *columns])
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
            except (ValueError, ZeroDivisionError, TypeError, OverflowError, NoConvergence):
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
                    _unpacked([mpmath.mpf(v) for v in call(*point.at)], len(self.parameters)) for point in self.points
                ]
            except (ValueError, ZeroDivisionError, TypeError, OverflowError, NoConvergence):
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
    noise = max([mpmath.mpf(1), *(size[i][j] / (scale[i] * scale[j]) for i in range(p) for j in range(p))]) ** 2
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
