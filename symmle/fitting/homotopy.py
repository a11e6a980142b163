"""Every stationary point of a likelihood whose score is rational in several parameters, for the statistics at hand.

The complex solutions are counted by algebra (`symmle.algebra.systems`), found by homotopy (`homotopy_paths`) and
proved one by one (`homotopy_balls`); the list of real ones in the parameter space is complete where the number that
was proved is the number that was counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Add, Dummy, Expr, Rational, S, Symbol

from symmle.algebra import GaveUp
from symmle.algebra.rational_coordinates import Coordinate, rational_coordinates, rebuilt
from symmle.algebra.systems import RationalSystem, count_solutions, ml_degree, rational_system
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.declare.declaration import Declaration
from symmle.estimator import Kind
from symmle.fitting.homotopy_balls import (
    Ball,
    Polynomials,
    are_apart,
    enclose,
    is_never_zero,
    polish,
    value_at,
)
from symmle.fitting.homotopy_paths import solutions_at_data
from symmle.fitting.plan import Plan
from symmle.fitting.rational_roots import exact_rows
from symmle.fitting.solution import log_likelihood_at
from symmle.likelihood import build_likelihood
from symmle.reduction import solve_constraints
from symmle.sample import Count, Mean, SampleOperator, Total, statistics_of
from symmle.score import ScoreSystem

MOST_UNKNOWNS = 6
MOST_ROWS = 8  # of a mean that holds a parameter: each row is a statistic of its own
MOST_SOLUTIONS = 60
SAME_SIGN = 1e-10  # an eigenvalue of the scaled Hessian below this is not told from 0

ValueOf = Callable[[SampleOperator], Rational]
Numbers = dict[Symbol, Any]


@dataclass(frozen=True)
class Everything:
    """The stationary points in the parameter space with their local kinds; whether they are all, and why."""

    points: tuple[tuple[Numbers, Kind], ...]
    complete: bool | None
    reason: str
    ml_degree: int | None


@dataclass(frozen=True)
class _Posed:
    """The equations of a declaration without constraints, as polynomials in new coordinates."""

    declaration: Declaration
    back: dict[Symbol, Expr]  # parameters that the constraints give
    coordinates: tuple[Coordinate, ...]
    system: RationalSystem
    values: tuple[Rational, ...]


def every_stationary_point(
    plan: Plan, value_of: ValueOf, constants: Mapping[Symbol, Any], table: Table | None = None
) -> Everything | str:
    """All stationary points, or why the likelihood equations are none of this kind.

    Parameters
    ----------
    value_of
        The number of a mean or count that holds no parameter.
    table
        The rows, for means that hold one.
    """
    posed = _posed(plan, value_of, constants, table)
    if isinstance(posed, str):
        return posed
    degree = _generic_degree(plan, posed)
    here = count_solutions(posed.system, posed.values)
    generic = None if isinstance(degree, GaveUp) else degree
    count = None if isinstance(here, GaveUp) else here
    if max(generic or 0, count or 0) > MOST_SOLUTIONS:
        return f"{generic or count} complex solutions are more than are looked for"
    approximate = solutions_at_data(posed.system, [float(v) for v in posed.values], generic, count)
    if isinstance(approximate, str):
        return approximate
    with LOCK:
        polynomials = Polynomials(posed.system.at(posed.values))
        balls, lost = _balls(posed.system, polynomials, approximate)
        reason = _why_not_all(balls, lost, generic, count, degree, here)
        found, doubtful = _real_ones(plan, posed, polynomials, balls, constants)
    reason = reason or doubtful
    if reason:
        return Everything(tuple(found), None, reason, generic)
    fewer = "" if count == generic else f", {generic} for generic data" if generic is not None else ""
    text = f"all {count} complex solutions found (ML degree {generic if count == generic else count}{fewer})"
    return Everything(tuple(found), True, text, generic)


def statistic_values(plan: Plan, table: Table, constants: Mapping[Symbol, Any]) -> ValueOf:
    """The means and counts of a table, rounded to 240 bits."""

    def value_of(operator: SampleOperator) -> Rational:
        if isinstance(operator, Count):
            return _as_rational(CONTEXT.mpf(table.sample_of(operator.columns).n))
        value = plan.compile([operator]).precise(table, dict(constants))[0]
        if not value.finite:
            raise ArithmeticError(f"{operator} has no value on this data")
        return _as_rational(value.number)

    return value_of


def best_of_all(
    plan: Plan, table: Table, constants: Mapping[Symbol, Any]
) -> tuple[Numbers, bool, Everything] | None:
    """The stationary point with the highest l, whether the list is complete, and the list; None where there is none.

    A complete list does not say that l has a maximum: its supremum may lie at the boundary.
    """
    found = every_stationary_point(plan, statistic_values(plan, table, constants), constants, table)
    if isinstance(found, str):
        return None
    heights = [
        (log_likelihood_at(plan, table, v), v)
        for v, kind in found.points
        if kind in (Kind.LOCAL_MAXIMUM, Kind.UNDECIDED) and not plan.reason_against(v, table)
    ]
    heights = [pair for pair in heights if CONTEXT.isfinite(pair[0])]
    if not heights:
        return None
    return max(heights, key=lambda pair: pair[0])[1], found.complete is True, found


# --- the equations --------------------------------------------------------------------------------
def _posed(
    plan: Plan, value_of: ValueOf, constants: Mapping[Symbol, Any], table: Table | None
) -> _Posed | str:
    declaration, equations = plan.declaration, plan.derivation.score.equations
    back: dict[Symbol, Expr] = {}
    if declaration.constraints:
        solved = solve_constraints(declaration)
        if solved is None:
            return "the parameters are bound by constraints that are not linear"
        declaration, back = solved
        equations = ScoreSystem(build_likelihood(declaration)).equations
    if not 1 <= len(equations) <= MOST_UNKNOWNS:
        return f"{len(equations)} likelihood equations are too many"
    known = _exact_constants(plan, constants)
    statistics: dict[Expr, Symbol] = {}
    values: dict[Symbol, Rational] = {}
    domains = {p: declaration.parameters[p] for p in equations}
    written, coordinates = rational_coordinates([e.xreplace(known) for e in equations.values()], domains)
    if any(c.left_out for c in coordinates):
        return "the parameter space is a whole circle"
    unknowns = {c.new for c in coordinates}
    try:
        polynomial = [_hidden(e, unknowns, statistics, values, value_of, table) for e in written]
    except ArithmeticError as problem:
        return str(problem)
    names = [c.new for c in coordinates]
    positive = [c.new for c in coordinates if c.positive]
    system = rational_system(polynomial, names, list(values), positive)
    if isinstance(system, GaveUp):
        return system.reason
    return _Posed(declaration, back, coordinates, system, tuple(values.values()))


def _exact_constants(plan: Plan, constants: Mapping[Symbol, Any]) -> dict[Symbol, Expr]:
    known = {s: v for s, v in plan.declaration.constants.items() if v is not None}
    late = {s: _as_rational(v) for s, v in constants.items() if s not in known and v is not None}
    return {**late, **known}


def _hidden(
    e: Expr,
    unknowns: set[Symbol],
    statistics: dict[Expr, Symbol],
    values: dict[Symbol, Rational],
    value_of: ValueOf,
    table: Table | None,
) -> Expr:
    """Counts as numbers, means as symbols that have values; a mean that holds an unknown as a sum over rows."""

    def named(key: Expr, number: Rational) -> Symbol:
        if key not in statistics:
            statistics[key] = Dummy(str(key), real=True)
            values[statistics[key]] = number
        return statistics[key]

    def change(node: Expr) -> Expr | None:
        if isinstance(node, Count):
            return value_of(node)
        if not isinstance(node, SampleOperator):
            return None
        if not node.free_symbols & unknowns:
            return named(node, value_of(node))
        if not isinstance(node, (Mean, Total)) or statistics_of(node.summand):
            raise ArithmeticError(f"{type(node).__name__} is not rational in the parameters")
        if table is None:
            raise ArithmeticError("a statistic holds a parameter: it needs the data")
        rows = exact_rows(table.sample_of(node.columns), MOST_ROWS)
        total = Add(*(weight for _, weight in rows)) if isinstance(node, Mean) else S.One
        columns = ", ".join(map(str, node.columns))
        weights = [
            named(Symbol(f"weight of row {i} of {columns}"), weight) for i, (_, weight) in enumerate(rows)
        ]
        parts = [_rounded(node.summand.xreplace(row)) for row, _ in rows]
        return Add(*(w * g for w, g in zip(weights, parts, strict=True))) / total

    return rebuilt(e, change)


def _rounded(e: Expr) -> Expr:
    """Irrational numbers (the logarithm of a row) rounded to 72 digits."""

    def change(node: Expr) -> Expr | None:
        if not node.is_number or node.is_Rational:
            return None
        return Rational(node.evalf(72))

    return rebuilt(e, change)


def _as_rational(number: Any) -> Rational:
    sign, man, exp, _ = CONTEXT.mpf(number)._mpf_
    value = Rational(int(man)) * Rational(2) ** int(exp)
    return -value if sign else value


def _generic_degree(plan: Plan, posed: _Posed) -> int | GaveUp:
    """The ML degree, kept with the plan: it belongs to the model (and to its rows, where they are statistics)."""
    kept: dict[Any, int | GaveUp] = plan.__dict__.setdefault("ml_degrees", {})
    key = (posed.system.numerators, posed.system.factors)
    if key not in kept:
        kept[key] = ml_degree(posed.system)
    return kept[key]


# --- the solutions --------------------------------------------------------------------------------
def _balls(
    system: RationalSystem, polynomials: Polynomials, approximate: Sequence[Any]
) -> tuple[list[Ball], str]:
    """Balls about different solutions at which no denominator vanishes, and what went wrong with others."""
    found: list[Ball] = []
    lost = ""
    for start in approximate:
        centre = polish(polynomials, start)
        ball = None if centre is None else enclose(polynomials, centre)
        if ball is None:
            lost = "a solution could not be proved (two solutions may coincide)"
            continue
        if not all(is_never_zero(f, ball) for f in system.factors):
            lost = "a solution lies where a denominator vanishes"
            continue
        if all(ball.is_apart(other) for other in found):
            found.append(ball)
    return found, lost


def _why_not_all(
    balls: Sequence[Ball],
    lost: str,
    generic: int | None,
    count: int | None,
    degree: int | GaveUp,
    here: int | GaveUp,
) -> str:
    if not are_apart(balls):
        return "solutions are not told apart"
    if count is None:
        return here.reason if isinstance(here, GaveUp) else ""
    if len(balls) == count:
        return ""
    what = f"{len(balls)} of {count} complex solutions were found and proved"
    if generic is not None and count < generic:
        what += f"; {generic - count} of the {generic} for generic data are at infinity or on the boundary"
    return f"{what}; {lost}" if lost else what


def _real_ones(
    plan: Plan,
    posed: _Posed,
    polynomials: Polynomials,
    balls: Sequence[Ball],
    constants: Mapping[Symbol, Any],
) -> tuple[list[tuple[Numbers, Kind]], str]:
    """The real solutions in the parameter space; and a reason where it is not decided for one."""
    found = []
    doubtful = ""
    for ball in balls:
        if not ball.is_real:
            continue
        q = [CONTEXT.re(x) for x in ball.centre]
        positive = [c.positive for c in posed.coordinates]
        if any(x <= 0 for x, needed in zip(q, positive, strict=True) if needed):
            continue  # no denominator vanishes in the ball, and 0 is one of them
        roots = [x if g == 1 else CONTEXT.root(x, g) for x, g in zip(q, posed.system.powers, strict=True)]
        values: Numbers = dict(constants)
        for c, x in zip(posed.coordinates, roots, strict=True):
            values[c.old] = _number(c.back, c.new, x)
        for p, e in posed.back.items():
            values[p] = plan.scalar(e, values)
        inside = _is_inside(plan, posed.declaration, values)
        if inside is None:
            doubtful = "a solution lies on the edge of the parameter space"
        elif inside:
            found.append((values, _kind(posed, polynomials, q, roots)))
    return found, doubtful


def _is_inside(plan: Plan, declaration: Declaration, values: Numbers) -> bool | None:
    """Whether a point is in the parameter space; None where it is on its edge up to rounding."""
    verdict: bool | None = True
    for p in declaration.parameters:
        domain = declaration.parameters[p]
        for bound, side in ((domain.inf, 1), (domain.sup, -1)):
            if bound.is_infinite:
                continue
            edge = plan.scalar(bound, values)
            gap = side * (values[p] - edge)
            if abs(gap) <= CONTEXT.mpf("1e-30") * (abs(edge) + abs(values[p])):
                verdict = None
            elif gap < 0:
                return False
    for w in declaration.where:
        value = plan.scalar(w, values)
        size = sum(abs(plan.scalar(a, values)) for a in Add.make_args(w))
        if abs(value) <= CONTEXT.mpf("1e-30") * size:
            verdict = None
        elif value < 0:
            return False
    return verdict


def _kind(posed: _Posed, polynomials: Polynomials, q: Sequence[Any], roots: Sequence[Any]) -> Kind:
    """Local kind by the signs of the eigenvalues of D H D, H the Hessian and D = d theta / d new > 0.

    score_k = theta**a_k / L_k(q) N_k(q), and N_k = 0 at the point.
    """
    system = posed.system
    matrix = polynomials.jacobian(q)
    for k, coordinate in enumerate(posed.coordinates):
        factor = 1 / value_at(system.clearers[k], q)
        for s, a in zip(roots, system.shifts[k], strict=True):
            factor *= s**a
        slope = coordinate.back.diff(coordinate.new)
        factor *= _number(slope, coordinate.new, roots[k])
        for i, g in enumerate(system.powers):
            matrix[k, i] *= factor * g * (roots[i] ** (g - 1) if g > 1 else 1)
    return kind_of(matrix)


def _number(e: Expr, unknown: Symbol, value: Any) -> Any:
    return CONTEXT.convert(scalar_kernel([unknown], [e])(value)[0])


def kind_of(hessian: Any) -> Kind:
    """The kind of a stationary point by its Hessian, scaled to have 1 on its diagonal."""
    p = hessian.rows
    size = [CONTEXT.sqrt(abs(hessian[i, i])) for i in range(p)]
    if any(s == 0 for s in size):
        return Kind.UNDECIDED
    scaled = CONTEXT.matrix(p, p)
    for i in range(p):
        for j in range(p):
            scaled[i, j] = (hessian[i, j] + hessian[j, i]) / (2 * size[i] * size[j])
    eigenvalues = list(CONTEXT.eigsy(scaled, eigvals_only=True))
    if any(abs(e) < SAME_SIGN for e in eigenvalues):
        return Kind.UNDECIDED
    if all(e < 0 for e in eigenvalues):
        return Kind.LOCAL_MAXIMUM
    return Kind.LOCAL_MINIMUM if all(e > 0 for e in eigenvalues) else Kind.SADDLE_POINT


__all__ = ["Everything", "best_of_all", "every_stationary_point", "kind_of", "statistic_values"]
