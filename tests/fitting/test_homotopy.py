"""All stationary points of likelihoods with rational scores in several parameters: published and random problems."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sympy import (
    Expr,
    Interval,
    Matrix,
    Rational,
    S,
    Symbol,
    diag,
    exp,
    factor,
    oo,
    pi,
    sqrt,
    symbols,
    together,
)

from symmle import Derivation, Model
from symmle.compiling.data import read_table
from symmle.estimator import Estimator, Kind
from symmle.fitting.homotopy import Everything, best_of_all, every_stationary_point, statistic_values
from symmle.fitting.homotopy_balls import Polynomials, enclose, polish
from symmle.fitting.homotopy_paths import distinct
from symmle.fitting.plan import plan_of

REAL = Interval(-oo, oo)


@cache
def covariance_model(kind: str) -> Derivation:
    """Centred trivariate normal with a linear covariance structure; nothing is derived but the likelihood."""
    x = symbols("x y z", real=True)
    if kind == "Toeplitz":
        t = symbols("t0 t1 t2", real=True)
        sigma = Matrix(3, 3, lambda i, j: t[abs(i - j)])
    else:
        t = symbols("t1 t2", real=True)
        sigma = t[0] * diag(1, 2, 3) + t[1] * diag(3, 1, Rational(1, 2))
    v = Matrix(x)
    form = together((v.T * sigma.inv().applyfunc(factor) * v)[0])
    density = exp(-form / 2) / sqrt((2 * pi) ** 3 * sigma.det().factor())
    minors = tuple(sigma[:k, :k].det() for k in (1, 2, 3))
    model = Model(
        density, data=dict.fromkeys(x, REAL), parameters=dict.fromkeys(t, S.Reals), where=minors, name=kind
    )
    return Derivation(model, Estimator(), (), ())


def statistics(matrix: list[list[str]]) -> dict[str, Any]:
    names = "xyz"
    found: dict[str, Any] = {"n": 2}
    for i in range(3):
        for j in range(i, 3):
            found[f"mean({names[i]}*{names[j]})"] = matrix[i][j]
    return found


MAXIMUM, SADDLE = Kind.LOCAL_MAXIMUM, Kind.SADDLE_POINT
# S, the points with log det K - tr(S K) (None where it is not published)
PUBLISHED: list[tuple[str, list[list[str]], list[tuple[tuple[float, ...], float | None, Kind]]]] = [
    (
        "Toeplitz",
        [["4/5", "-9/5", "-1/25"], ["-9/5", "79/16", "25/24"], ["-1/25", "25/24", "17/16"]],
        [
            ((2.527832, -0.215929, -1.452286), -5.346602, MAXIMUM),
            ((2.390377, -0.286009, 0.949965), -5.421751, MAXIMUM),
            ((2.285957, -0.256394, 0.422321), -5.424162, SADDLE),
        ],
    ),
    (  # a published package labels the second point global
        "Toeplitz",
        [[".9401", "-1.7277", ".0219"], ["-1.7277", "4.9926", "1.0142"], [".0219", "1.0142", ".9911"]],
        [
            ((2.499412, -0.204347, -1.213041), -5.453254, MAXIMUM),
            ((2.501780, -0.284143, 1.234171), -5.454710, MAXIMUM),
            ((2.299341, -0.225009, 0.022670), None, SADDLE),
        ],
    ),
    (
        "two diagonals",
        [[".0933", ".0126", ".0509"], [".0126", "2.3332", "-.0812"], [".0509", "-.0812", ".0324"]],
        [
            ((-0.275552, 1.719200), -1.328030, MAXIMUM),
            ((0.680031, -0.194966), -1.464349, MAXIMUM),
            ((0.142259, 0.520565), None, SADDLE),
        ],
    ),
]


@pytest.mark.parametrize(("kind", "matrix", "expected"), PUBLISHED)
def test_covariance_problems(
    kind: str, matrix: list[list[str]], expected: list[tuple[tuple[float, ...], float | None, Kind]]
) -> None:
    points = covariance_model(kind).stationary_points(statistics=statistics(matrix))
    assert points.complete is True  # type: ignore[attr-defined]
    assert points.ml_degree == 3  # type: ignore[attr-defined]
    assert points.reason == "all 3 complex solutions found (ML degree 3)"  # type: ignore[attr-defined]
    assert [p.kind for p in points] == [k for _, _, k in expected]
    for point, (values, height, _) in zip(points, expected, strict=True):
        assert [float(v) for v in point.values.values()] == pytest.approx(values, abs=1e-6)
        if height is not None:  # n = 2: l = log det K - tr(S K) - 3 log(2 pi)
            assert (point.log_likelihood or 0) + 3 * math.log(2 * math.pi) == pytest.approx(height, abs=1e-6)
        assert point.certificate is None  # and so none is called global


def height_of(sigma: np.ndarray, s: np.ndarray) -> float:
    values = np.linalg.eigvalsh(sigma)
    if values[0] <= 0:
        return -1e10
    return float(-np.sum(np.log(values)) - np.trace(np.linalg.solve(sigma, s)))


@pytest.mark.parametrize("seed", range(4))
def test_random_data_have_no_maximum_outside_the_list(seed: int) -> None:
    """Nelder-Mead from random starts ends at points of the list, and at none that is higher."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((5, 3)) * [1, 2, 0.5] * 10.0 ** rng.integers(-3, 4)
    derivation = covariance_model("two diagonals")
    points = derivation.stationary_points(dict(zip("xyz", rows.T, strict=True)))
    assert points.complete is True  # type: ignore[attr-defined]
    found = np.array([[float(v) for v in p.values.values()] for p in points])
    s = rows.T @ rows / len(rows)
    scale = float(np.trace(s))
    first, second = np.diag([1.0, 2, 3]), np.diag([3.0, 1, 0.5])

    def down(t: np.ndarray) -> float:
        return -height_of(scale * (t[0] * first + t[1] * second), s)

    for _ in range(12):
        end = minimize(
            down, rng.standard_normal(2), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12}
        )
        if end.fun < 1e9:
            gap = np.abs(found / scale - end.x).max(axis=1)
            assert gap.min() < 1e-5
            best = found[0] / scale
            assert -end.fun <= -down(best) + 1e-9


def everything_of(model: Model, data: Any) -> Everything | str:
    derivation = Derivation(model, Estimator(), (), ())
    plan = plan_of(derivation)
    table = read_table(model, data, None, {})
    return every_stationary_point(plan, statistic_values(plan, table, {}), {}, table)


def model_of(density: str, parameters: dict[str, str], **more: Any) -> Model:
    return Model.from_dict({"data": {"x": "(-oo, oo)"}, "parameters": parameters, "density": density, **more})


NORMAL = ("exp(-(x - m)**2/(2*s**2))/(s*sqrt(2*pi))", {"m": "real", "s": "positive"})
CAUCHY = ("s/(pi*(s**2 + (x - m)**2))", {"m": "real", "s": "positive"})
LOGISTIC = ("exp(-(x - m)/s)/(s*(1 + exp(-(x - m)/s))**2)", {"m": "real", "s": "positive"})
SHARED = ("exp(-(x - a*b)**2/2)/sqrt(2*pi)", {"a": "real", "b": "real"})
QUARTIC = ("exp(-(x - m)**2/(2*s**4))/(s**2*sqrt(2*pi))", {"m": "real", "s": "positive"})

LISTS = [
    # law, data, complex solutions for the data, ML degree, the points
    (NORMAL, [1.0, 2.0, 4.0], 1, 1, [{"m": 7 / 3, "s": math.sqrt(14) / 3}]),
    (QUARTIC, [1.0, 2.0, 4.0], 1, 1, [{"m": 7 / 3, "s": (14 / 9) ** 0.25}]),
    (CAUCHY, [1.0, 2.0, 4.0], 1, 3, [{"m": 13 / 7, "s": math.sqrt(27) / 7}]),
]


@pytest.mark.parametrize(("law", "data", "here", "generic", "expected"), LISTS)
def test_lists(
    law: tuple[str, dict[str, str]],
    data: list[float],
    here: int,
    generic: int,
    expected: list[dict[str, float]],
) -> None:
    found = everything_of(model_of(*law), data)
    assert isinstance(found, Everything)
    assert found.complete is True
    assert f"all {here} complex" in found.reason
    assert found.ml_degree == generic
    values = [{str(p): float(v) for p, v in point.items()} for point, _ in found.points]
    assert values == [pytest.approx(e, rel=1e-12) for e in expected]


REASONS = [
    (LOGISTIC, [1.0, 2.0, 4.0], "not rational"),
    (CAUCHY, [float(k**2) for k in range(20)], "rows are too many"),
    (SHARED, [1.0, 2.0], "do not move the equations freely"),
]


@pytest.mark.parametrize(("law", "data", "reason"), REASONS)
def test_reasons_why_there_is_no_list(
    law: tuple[str, dict[str, str]], data: list[float], reason: str
) -> None:
    found = everything_of(model_of(*law), data)
    if isinstance(found, Everything):
        assert found.complete is None
        assert reason in found.reason
    else:
        assert reason in found


def test_a_constant_sample_has_no_complete_list_and_no_point() -> None:
    found = everything_of(model_of(*NORMAL), [2.0, 2.0, 2.0])
    assert isinstance(found, str) or not found.points


def test_the_best_of_all_is_the_highest() -> None:
    derivation = covariance_model("Toeplitz")
    plan = plan_of(derivation)
    rows = np.random.default_rng(3).standard_normal((6, 3))
    table = read_table(derivation.model, dict(zip("xyz", rows.T, strict=True)), None, {})
    found = best_of_all(plan, table, {})
    assert found is not None
    values, complete, everything = found
    assert complete
    listed = derivation.stationary_points(dict(zip("xyz", rows.T, strict=True)))
    assert {str(p): float(values[p]) for p in plan.parameters} == pytest.approx(
        {str(p): float(v) for p, v in listed[0].values.items()}
    )
    assert len(everything.points) == len(listed)


def test_the_same_call_gives_the_same_answer() -> None:
    kind, matrix, _ = PUBLISHED[2]
    answers = [covariance_model(kind).stationary_points(statistics=statistics(matrix)) for _ in range(2)]
    assert answers[0] == answers[1]


def ring_polynomials(*expressions: Expr) -> Polynomials:
    from sympy import QQ, ring

    made, *_ = ring("a b", QQ)
    return Polynomials([made.from_expr(e) for e in expressions])


A, B = Symbol("a"), Symbol("b")
BALLS = [
    # equations, start, is it proved, is it real
    ((A**2 - 2, B - A), (1.4, 1.4), True, True),
    ((A**2 + 2, B - A), (1.4j, 1.4j), True, False),
    ((A**2, B - A), (0.01, 0.01), False, False),  # a double root
    (((A - 1) ** 2 + S(10) ** -8, B), (1 + 1e-4j, 0), True, False),
]


@pytest.mark.parametrize(("equations", "start", "proved", "real"), BALLS)
def test_solutions_are_proved_or_not(
    equations: tuple[Expr, Expr], start: tuple[complex, complex], proved: bool, real: bool
) -> None:
    polynomials = ring_polynomials(*equations)
    centre = polish(polynomials, start)
    ball = None if centre is None else enclose(polynomials, centre)
    assert (ball is not None) is proved
    if ball is not None:
        assert ball.is_real is real


def test_close_points_are_one() -> None:
    points = [np.array([1.0 + 0j, 2.0]), np.array([1.0 + 1e-9j, 2.0]), np.array([1.0 + 0j, 2.1])]
    assert len(distinct(points)) == 2
