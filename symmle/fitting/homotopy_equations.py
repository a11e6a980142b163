"""Likelihood equations as a polynomial system with numbers for its statistics: from a table or from statistics.

Means that hold no parameter are the statistics. A mean that holds one is written out over the rows, of which the
weights are then the statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Add, Dummy, Expr, Rational, S, Symbol

from symmle.algebra import GaveUp
from symmle.algebra.rational_coordinates import Coordinate, rational_coordinates, rebuilt
from symmle.algebra.systems import RationalSystem, rational_system
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.declare.declaration import Declaration
from symmle.fitting.plan import Plan
from symmle.fitting.rational_roots import exact_rows
from symmle.likelihood import build_likelihood
from symmle.reduction import solve_constraints
from symmle.sample import Count, Mean, SampleOperator, Total, statistics_of
from symmle.score import ScoreSystem

MOST_UNKNOWNS = 6
MOST_ROWS = 8  # of a mean that holds a parameter: each row is a statistic of its own

ValueOf = Callable[[SampleOperator], Rational]


@dataclass(frozen=True)
class Posed:
    """The equations of a declaration without constraints, as polynomials in new coordinates.

    `values` are the numbers of the statistics of `system`; `back` are the parameters that the constraints give.
    """

    declaration: Declaration
    back: dict[Symbol, Expr]
    coordinates: tuple[Coordinate, ...]
    system: RationalSystem
    values: tuple[Rational, ...]


def pose(plan: Plan, value_of: ValueOf, constants: Mapping[Symbol, Any], table: Table | None) -> Posed | str:
    """The equations of a plan, or why they are not of this kind.

    `value_of` gives the number of a mean or count that holds no parameter, `table` the rows for others.
    """
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
    return Posed(declaration, back, coordinates, system, tuple(values.values()))


def _exact_constants(plan: Plan, constants: Mapping[Symbol, Any]) -> dict[Symbol, Expr]:
    known = {s: v for s, v in plan.declaration.constants.items() if v is not None}
    late = {s: as_rational(v) for s, v in constants.items() if s not in known and v is not None}
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


def as_rational(number: Any) -> Rational:
    sign, man, exp, _ = CONTEXT.mpf(number)._mpf_
    value = Rational(int(man)) * Rational(2) ** int(exp)
    return -value if sign else value


def statistic_values(plan: Plan, table: Table, constants: Mapping[Symbol, Any]) -> ValueOf:
    """The means and counts of a table, rounded to 240 bits."""

    def value_of(operator: SampleOperator) -> Rational:
        if isinstance(operator, Count):
            return as_rational(CONTEXT.mpf(table.sample_of(operator.columns).n))
        value = plan.compile([operator]).precise(table, dict(constants))[0]
        if not value.finite:
            raise ArithmeticError(f"{operator} has no value on this data")
        return as_rational(value.number)

    return value_of


__all__ = ["Posed", "ValueOf", "as_rational", "pose", "statistic_values"]
