"""Every stationary point of a likelihood whose score is rational in several parameters, for the statistics at hand.

The complex solutions are counted by algebra (`symmle.algebra.systems`), found by homotopy (`homotopy_paths`) and
proved one by one (`homotopy_balls`); the list of real ones in the parameter space is complete where the number that
was proved is the number that was counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import QQ, Add, Expr, Poly, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.algebra.systems import RationalSystem, as_poly, count_solutions, ml_degree
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
from symmle.fitting.homotopy_equations import Posed, ValueOf, pose, statistic_values
from symmle.fitting.homotopy_paths import solutions_at_data
from symmle.fitting.plan import Plan
from symmle.fitting.rational_roots import RationalRoots, real_roots_of
from symmle.fitting.solution import log_likelihood_at

MOST_SOLUTIONS = 60
SECONDS = 4.0
SAME_SIGN = 1e-10  # an eigenvalue of the scaled Hessian below this is not told from 0

Numbers = dict[Symbol, Any]


@dataclass(frozen=True)
class Everything:
    """The stationary points in the parameter space with their local kinds; whether they are all, and why."""

    points: tuple[tuple[Numbers, Kind], ...]
    complete: bool | None
    reason: str
    ml_degree: int | None


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
    posed = pose(plan, value_of, constants, table)
    if isinstance(posed, str):
        return posed
    degree = _generic_degree(plan, posed)
    generic = None if isinstance(degree, GaveUp) else degree
    if len(posed.coordinates) == 1:
        return _on_a_line(plan, posed, constants, generic)
    here = count_solutions(posed.system, posed.values, generic)
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
        real = [[CONTEXT.re(x) for x in ball.centre] for ball in balls if ball.is_real]
        found, doubtful = _in_the_space(plan, posed, polynomials, real, constants)
    reason = reason or doubtful
    if reason:
        return Everything(tuple(found), None, reason, generic)
    fewer = "" if count == generic else f", {generic} for generic data" if generic is not None else ""
    text = f"all {count} complex solutions found (ML degree {generic if count == generic else count}{fewer})"
    return Everything(tuple(found), True, text, generic)


def _on_a_line(
    plan: Plan, posed: Posed, constants: Mapping[Symbol, Any], generic: int | None
) -> Everything | str:
    """One unknown: the real roots of a polynomial, isolated in exact arithmetic."""
    name = [posed.coordinates[0].new]
    upper = as_poly(posed.system.at(posed.values)[0], name)
    lower = Poly(1, *name, domain=QQ)
    for f in posed.system.factors:
        lower *= as_poly(f, name)
    while not upper.is_zero and upper.gcd(lower).degree() > 0:
        upper = upper.quo(upper.gcd(lower))
    roots = attempt_within(SECONDS, real_roots_of, upper, Poly(1, *name, domain=QQ))
    if not isinstance(roots, RationalRoots):
        return roots.reason if isinstance(roots, GaveUp) else str(roots)
    with LOCK:
        polynomials = Polynomials(posed.system.at(posed.values))
        found, doubtful = _in_the_space(plan, posed, polynomials, [[r] for r in roots.roots], constants)
    return Everything(tuple(found), None if doubtful else True, doubtful or roots.reason, generic)


def equations_at(plan: Plan, value_of: ValueOf, constants: Mapping[Symbol, Any]) -> tuple[Any, ...] | str:
    """The polynomials with numbers for the statistics, to compare; or why there are none."""
    posed = pose(plan, value_of, constants, None)
    return posed if isinstance(posed, str) else posed.system.at(posed.values)


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


def _generic_degree(plan: Plan, posed: Posed) -> int | GaveUp:
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


def _in_the_space(
    plan: Plan,
    posed: Posed,
    polynomials: Polynomials,
    real: Sequence[Sequence[Any]],
    constants: Mapping[Symbol, Any],
) -> tuple[list[tuple[Numbers, Kind]], str]:
    """The real solutions in the parameter space; and a reason where it is not decided for one."""
    found = []
    doubtful = ""
    positive = [c.positive for c in posed.coordinates]
    for q in real:
        if any(x <= 0 for x, needed in zip(q, positive, strict=True) if needed):
            continue  # 0 is none of the solutions that are looked for
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


def _kind(posed: Posed, polynomials: Polynomials, q: Sequence[Any], roots: Sequence[Any]) -> Kind:
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


__all__ = [
    "Everything",
    "best_of_all",
    "equations_at",
    "every_stationary_point",
    "kind_of",
    "statistic_values",
]
