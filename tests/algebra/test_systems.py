"""Rational likelihood equations as polynomial systems: the number of complex solutions, coordinates, refusals."""

from __future__ import annotations

import pytest
from sympy import Expr, Interval, Rational, cos, exp, log, oo, pi, simplify, sin, sqrt, symbols, tan

from symmle.algebra import GaveUp
from symmle.algebra.rational_coordinates import rational_coordinates
from symmle.algebra.systems import (
    RationalSystem,
    count_solutions,
    ml_degree,
    rational_system,
    solution_degree,
)
from symmle.algebra.systems_rational import rational_solution
from symmle.sample import Mean

a, b, s, u, v, w, x = symbols("a b s u v w x", real=True)

COUNTS: list[tuple[str, list[Expr], list[Expr], list[Expr], int]] = [
    # equations, unknowns, positive ones, complex solutions for generic u, v, w
    ("a line", [u - v * a], [a], [], 1),
    ("a cubic", [a**3 + u * a + v], [a], [], 3),
    ("a cleared denominator is no solution", [(a**2 - u**2 * 0 - 1) / (a - 1) + u], [a], [], 1),
    (
        "normal mean and standard deviation",
        [(u - a) / s**2, -1 / s + (v - 2 * a * u + a**2) / s**3],
        [a, s],
        [s],
        1,
    ),
    (
        "the same without the sign of s",
        [(u - a) / s**2, -1 / s + (v - 2 * a * u + a**2) / s**3],
        [a, s],
        [],
        2,
    ),
    ("two conics", [a**2 + u * b**2 - v, b**2 + w * a - 1], [a, b], [], 4),
    ("correlation", [a * (1 - a**2) + (1 + a**2) * u - a * v], [a], [], 3),
]


@pytest.mark.parametrize(
    ("equations", "unknowns", "positive", "expected"), [c[1:] for c in COUNTS], ids=[c[0] for c in COUNTS]
)
def test_the_number_of_complex_solutions(
    equations: list[Expr], unknowns: list[Expr], positive: list[Expr], expected: int
) -> None:
    system = rational_system(equations, unknowns, [u, v, w], positive)  # type: ignore[arg-type]
    assert isinstance(system, RationalSystem)
    assert ml_degree(system) == expected
    assert count_solutions(system, [Rational(3, 7), Rational(-11, 5), Rational(2, 9)]) == expected


def test_special_statistics_have_fewer_solutions() -> None:
    system = rational_system([u * a**2 + v * a + 1], [a], [u, v])
    assert isinstance(system, RationalSystem)
    assert ml_degree(system) == 2
    assert count_solutions(system, [Rational(0), Rational(1)]) == 1  # the other one is at infinity
    assert count_solutions(system, [Rational(1), Rational(2)]) == 2  # a double root counts twice


REFUSED = [
    ("a square root", [sqrt(a) - u], [a], "not rational"),
    ("a logarithm", [log(a) - u], [a], "not rational"),
    ("a statistic squared", [a - u**2], [a], "not rational"),
]


@pytest.mark.parametrize(
    ("equations", "unknowns", "reason"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_what_is_no_polynomial_system_is_said(
    equations: list[Expr], unknowns: list[Expr], reason: str
) -> None:
    system = rational_system(equations, unknowns, [u])  # type: ignore[arg-type]
    assert isinstance(system, GaveUp)
    assert reason in system.reason


def test_solutions_that_are_no_points_are_not_counted() -> None:
    system = rational_system([a * b - u, a * b - u], [a, b], [u])
    assert isinstance(system, RationalSystem)
    answer = ml_degree(system)
    assert isinstance(answer, GaveUp)
    assert "isolated" in answer.reason


WHOLE, CIRCLE, HALF_OPEN = Interval.open(-oo, oo), Interval.open(-pi, pi), Interval.Ropen(0, 2 * pi)
COORDINATES = [
    # equation, domain, is it rewritten, is the end of a circle left out
    (exp(2 * a) - u * exp(-a), WHOLE, True, False),
    (Mean(1 / (1 + exp(a - x)), (x,)) - u, WHOLE, True, False),
    (exp(a) + a - u, WHOLE, False, False),
    (exp(a**2) - u, WHOLE, False, False),
    (u * cos(a) - v * sin(a), CIRCLE, True, False),
    (u * cos(2 * a) - v * tan(a), CIRCLE, True, False),
    (u * cos(a) - v * sin(a), HALF_OPEN, True, True),
    (u * cos(a) - v * sin(a), WHOLE, False, False),
    (u * cos(a / 2) - v, CIRCLE, False, False),
    (a**2 - u, WHOLE, False, False),
]


@pytest.mark.parametrize(("equation", "domain", "rewritten", "left_out"), COORDINATES)
def test_coordinates_in_which_equations_are_rational(
    equation: Expr, domain: Interval, rewritten: bool, left_out: bool
) -> None:
    (found,), (coordinate,) = rational_coordinates([equation], {a: domain})
    assert (coordinate.new != a) is rewritten
    assert coordinate.left_out is left_out
    assert (a in found.free_symbols) is not rewritten
    if rewritten and not found.has(Mean):
        value = Rational(7, 10)
        at = {u: Rational(3, 5), v: Rational(-2, 7)}
        direct = equation.xreplace({a: coordinate.back.xreplace({coordinate.new: value})}).xreplace(at)
        assert abs((direct - found.xreplace({coordinate.new: value, **at})).evalf(30)) < 1e-25


DEGREES = [
    ([u - v * a], [a], [], 1),
    ([a**5 + u * a + v], [a], [], 5),
    ([a**2 + u * b**2 - v, b**2 + w * a - 1], [a, b], [], 4),
    ([a**2 + u * b**2 - v], [a], [b], 2),
    ([u - s**2], [s], [], 1),  # s is positive
]


@pytest.mark.parametrize(("equations", "unknowns", "held", "expected"), DEGREES)
def test_degrees_of_subsets(
    equations: list[Expr], unknowns: list[Expr], held: list[Expr], expected: int
) -> None:
    assert solution_degree(equations, unknowns, held, [s]) == expected  # type: ignore[arg-type]


p, q = symbols("p q", positive=True)
SOLUTIONS: list[tuple[list[Expr], list[Expr], dict[Expr, Expr]]] = [
    ([u - v * a], [a], {a: u / v}),
    ([(u - a) / s**2, -1 / s + (v - 2 * a * u + a**2) / s**3], [a, s], {a: u, s: sqrt(v - u**2)}),
    ([(v - 2 * u * a + a**2) / s**3 - 1 / s, (u - a) / s**2 * w], [a, s], {a: u, s: sqrt(v - u**2)}),
    ([p / s - q, a - u * s], [a, s], {s: p / q, a: p * u / q}),
    (  # equal variances: b is the covariance, a the variance
        [
            -a / (a**2 - b**2) + (2 * a * (a * w - b * v) / (a**2 - b**2) - w) / (a**2 - b**2),
            b / (a**2 - b**2) + (-2 * b * (a * w - b * v) / (a**2 - b**2) + v) / (a**2 - b**2),
        ],
        [a, b],
        {a: w, b: v},
    ),
]


@pytest.mark.parametrize(("equations", "unknowns", "expected"), SOLUTIONS)
def test_one_complex_solution_is_rational(
    equations: list[Expr], unknowns: list[Expr], expected: dict[Expr, Expr]
) -> None:
    found = rational_solution(equations, unknowns, [s])  # type: ignore[arg-type]
    assert isinstance(found, dict)
    assert {k: simplify(found[k] - e) for k, e in expected.items()} == dict.fromkeys(expected, 0)  # type: ignore[index]


NOT_RATIONAL = [
    ([a**2 - u], [a], "2 complex solutions"),
    ([exp(a) - u], [a], "not rational"),
    ([a * b - u, a * b - u], [a, b], "isolated"),
    ([a**2 + u * b**2 - v, b**2 + w * a - 1], [a, b], "4 complex solutions"),
]


@pytest.mark.parametrize(("equations", "unknowns", "reason"), NOT_RATIONAL)
def test_several_complex_solutions_are_not_rational(
    equations: list[Expr], unknowns: list[Expr], reason: str
) -> None:
    found = rational_solution(equations, unknowns)  # type: ignore[arg-type]
    assert isinstance(found, GaveUp)
    assert reason in found.reason
