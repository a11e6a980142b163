"""Stationary points on data: every root of a rational equation, and whether the list is complete."""

from __future__ import annotations

import math
import pickle
import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from sympy import QQ, Poly, Symbol

from symmle import DataError, Derivation, Model, derive
from symmle.estimator import Estimator
from symmle.fitting.points import StationaryPoints

POSITIVE, REAL = "(0, oo)", "(-oo, oo)"
LAWS: dict[str, dict[str, Any]] = {
    "Cauchy": {"data": {"x": REAL}, "parameters": {"t": "real"}, "density": "1/(pi*(1 + (x - t)**2))"},
    "squared mean": {
        "data": {"x": REAL},
        "parameters": {"t": "real"},
        "density": "exp(-(x - t**2)**2/2)/sqrt(2*pi)",
    },
    "normal": {
        "data": {"x": REAL},
        "parameters": {"m": "real", "s": "positive"},
        "density": "exp(-(x - m)**2/(2*s**2))/(s*sqrt(2*pi))",
    },
    "Weibull": {
        "data": {"x": POSITIVE},
        "parameters": {"k": "positive", "s": "positive"},
        "density": "k/s*(x/s)**(k - 1)*exp(-(x/s)**k)",
    },
    "logistic location": {
        "data": {"x": REAL},
        "parameters": {"m": "real"},
        "density": "exp(-(x - m))/(1 + exp(-(x - m)))**2",
    },
    "circle": {
        "data": {"x": REAL, "y": REAL},
        "parameters": {"t": "(-pi, pi)"},
        "density": "exp(-((x - cos(t))**2 + (y - sin(t))**2)/2)/(2*pi)",
    },
    "ellipse": {
        "data": {"x": REAL, "y": REAL},
        "parameters": {"t": "(-pi, pi)"},
        "density": "exp(-((x - 2*cos(t))**2 + (y - sin(t))**2)/2)/(2*pi)",
    },
    "correlation": {
        "data": {"x": REAL, "y": REAL},
        "parameters": {"r": "(-1, 1)"},
        "density": "exp(-(x**2 - 2*r*x*y + y**2)/(2*(1 - r**2)))/(2*pi*sqrt(1 - r**2))",
    },
    "common mean": {
        "parameters": {"m": "real", "s": "positive", "t": "positive"},
        "samples": [
            {"data": {"x": REAL}, "density": "exp(-(x - m)**2/(2*s**2))/(s*sqrt(2*pi))"},
            {"data": {"y": REAL}, "density": "exp(-(y - m)**2/(2*t**2))/(t*sqrt(2*pi))"},
        ],
    },
    "Cauchy pair": {
        "data": {"x": REAL},
        "parameters": {"t": "real"},
        "density": "1/(pi*(1 + (x - t)**2))",
        "size": 2,
    },
    "mean not negative": {
        "data": {"x": REAL},
        "parameters": {"m": "nonnegative", "s": "positive"},
        "density": "exp(-(x - m)**2/(2*s**2))/(s*sqrt(2*pi))",
    },
    "rate between two and three": {
        "data": {"x": POSITIVE},
        "parameters": {"a": "[2, 3]"},
        "density": "a*exp(-a*x)",
    },
    "uniform": {"data": {"x": "[0, t]"}, "parameters": {"t": "positive"}, "density": "1/t"},
    "two sines": {
        "data": {"x": REAL},
        "parameters": {"t": "(0, 8)"},
        "density": "exp(-(x - t - 2*sin(t))**2/2)/sqrt(2*pi)",
    },
    "logistic": {
        "data": {"x": REAL},
        "parameters": {"m": "real", "s": "positive"},
        "density": "exp(-(x - m)/s)/(s*(1 + exp(-(x - m)/s))**2)",
    },
}


@cache
def law(name: str) -> Derivation:
    model = Model.from_dict({**LAWS[name], "name": name})
    # every solution of the likelihood equations themselves, nothing eliminated
    return Derivation(model, Estimator(), (), ()) if name == "common mean" else derive(model)


COMPLETE = [
    ("squared mean", [1, 2, 3.0], [-math.sqrt(2), 0, math.sqrt(2)], "exact arithmetic"),
    ("squared mean", [-1, -2.0], [0], "exact arithmetic"),
    ("Cauchy", [-3.0, 3.0], [-math.sqrt(8), 0, math.sqrt(8)], "exact arithmetic"),
    ("Cauchy", [5.0, 5.0, 5.0], [5.0], "exact arithmetic"),
    ("normal", [1, 2, 3.0], [2.0], "one stationary point"),
    ("Weibull", [1, 2, 3.0], [2.7385731735959604], "one stationary point"),
]


@pytest.mark.parametrize(("name", "data", "expected", "reason"), COMPLETE)
def test_complete_lists(name: str, data: Any, expected: list[float], reason: str) -> None:
    points = law(name).stationary_points(data)
    assert isinstance(points, StationaryPoints)
    assert points.complete is True
    assert reason in points.reason
    found = sorted(float(next(iter(p.values.values()))) for p in points)
    assert found == pytest.approx(expected, rel=1e-14, abs=1e-14)
    heights = [p.log_likelihood or 0.0 for p in points]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_the_number_of_points_is_that_of_the_polynomial(seed: int) -> None:
    data = np.round(np.random.default_rng(seed).standard_cauchy(7) * 4, 3)
    t = Symbol("t")
    polynomial = Poly(0, t, domain=QQ)
    for k, x in enumerate(data):  # sum of 2 (x - t)/(1 + (x - t)**2) over the common denominator
        product = Poly(t - float(x), t, domain=QQ)
        for j, y in enumerate(data):
            if j != k:
                product *= Poly(1 + (t - float(y)) ** 2, t, domain=QQ)
        polynomial += product
    points = law("Cauchy").stationary_points(data)
    assert points.complete is True  # type: ignore[attr-defined]
    assert len(points) == polynomial.count_roots()
    kinds = [p.kind.value for p in sorted(points, key=lambda p: float(p.values["t"]))]  # type: ignore[index]
    assert kinds == ["local maximum", "local minimum"] * (len(kinds) // 2) + ["local maximum"]


def roots_inside(coefficients: Any, low: float, high: float) -> list[float]:
    roots = np.roots(coefficients)
    return sorted(float(r.real) for r in roots if abs(r.imag) < 1e-9 and low < r.real < high)


def values_of(points: Any, name: str) -> list[float]:
    return sorted(float(p.values[name]) for p in points)


@pytest.mark.parametrize("seed", range(6))
def test_the_correlation_has_the_roots_of_its_cubic(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = 0.3 if seed % 2 else 1.0  # small data have three roots
    x, y = np.round(rng.standard_normal((2, 6)) * scale, 2)
    s, q = float(np.mean(x * y)), float(np.mean(x**2 + y**2))
    expected = roots_inside([-1, s, 1 - q, s], -1, 1)  # r (1 - r**2) + (1 + r**2) s - r q = 0
    points = law("correlation").stationary_points({"x": x, "y": y})
    assert points.complete is True  # type: ignore[attr-defined]
    assert points.ml_degree == 3  # type: ignore[attr-defined]
    assert values_of(points, "r") == pytest.approx(expected, abs=1e-8)
    kinds = [p.kind.value for p in sorted(points, key=lambda p: float(p.values["r"]))]  # type: ignore[index]
    assert kinds == ["local maximum", "local minimum", "local maximum"][: len(kinds)]


FAR_APART = [
    ([0.0, 0.4, -0.4], [9.0, 9.3, 8.7]),
    ([1.0, 2.0, 4.0], [2.0, 3.5, 3.0]),
    ([0.1, 0.0], [5.0, 5.1, 5.2, 4.9]),
]


@pytest.mark.parametrize(("x", "y"), FAR_APART)
def test_a_common_mean_has_the_roots_of_its_cubic(x: list[float], y: list[float]) -> None:
    def quadratic(v: list[float]) -> np.ndarray:
        return np.array([1.0, -2 * np.mean(v), np.mean(np.square(v))])  # Mean((v - m)**2)

    def line(v: list[float]) -> np.ndarray:
        return len(v) * np.array([-1.0, np.mean(v)])

    cubic = np.polyadd(np.polymul(line(x), quadratic(y)), np.polymul(line(y), quadratic(x)))
    points = law("common mean").stationary_points({"x": x, "y": y})
    assert points.complete is True  # type: ignore[attr-defined]
    assert points.ml_degree == 3  # type: ignore[attr-defined]
    assert values_of(points, "m") == pytest.approx(roots_inside(cubic, -np.inf, np.inf), abs=1e-8)
    for p in points:
        assert float(p.values["s"]) ** 2 == pytest.approx(np.mean((np.array(x) - float(p.values["m"])) ** 2))  # type: ignore[index]
    kinds = [p.kind.value for p in sorted(points, key=lambda p: float(p.values["m"]))]  # type: ignore[index]
    assert kinds == ["local maximum", "saddle point", "local maximum"][: len(kinds)]


def test_angles_have_every_root() -> None:
    points = law("circle").stationary_points({"x": [0.3, -1.0], "y": [1.4, 0.2]})
    top = math.atan2(0.8, -0.35)
    assert points.complete is True  # type: ignore[attr-defined]
    assert values_of(points, "t") == pytest.approx([top - math.pi, top])
    near = law("ellipse").stationary_points({"x": [0.1], "y": [0.05]})
    assert near.complete is True  # type: ignore[attr-defined]
    t = np.linspace(-math.pi, math.pi, 4001)
    slope = -2 * np.sin(t) * (0.1 - 2 * np.cos(t)) + np.cos(t) * (0.05 - np.sin(t))
    changes = int(np.sum(np.sign(slope[1:]) != np.sign(slope[:-1])))
    assert len(near) == changes == 4


def test_exponentials_are_rounded_and_said_to_be() -> None:
    points = law("logistic location").stationary_points([0.4, 2.9, 1.2])
    assert points.complete is True  # type: ignore[attr-defined]
    assert "rounded to 240 bits" in points.reason  # type: ignore[attr-defined]
    assert values_of(points, "m") == pytest.approx([1.4619058919385859], abs=1e-12)


def test_transcendental_roots_are_isolated() -> None:
    """t + 2 sin(t) = mean: stationary where it holds or where its slope vanishes, 2 cos(t) = -1."""
    points = law("two sines").stationary_points([4.0])
    assert points.complete is True  # type: ignore[attr-defined]
    assert "interval arithmetic" in points.reason  # type: ignore[attr-defined]
    t = np.linspace(1e-9, 8 - 1e-9, 40001)
    slope = (4.0 - t - 2 * np.sin(t)) * (1 + 2 * np.cos(t))
    crossings = t[:-1][np.sign(slope[1:]) != np.sign(slope[:-1])]
    assert values_of(points, "t") == pytest.approx(list(crossings), abs=1e-3)


def test_two_maxima_of_the_same_height_are_both_global() -> None:
    points = law("Cauchy pair").stationary_points([-3.0, 3.0])
    assert [p.kind.value for p in points] == ["global maximum", "global maximum", "local minimum"]
    assert all(p.certificate is not None for p in points[:2])
    one = law("Cauchy pair").stationary_points([2.1, 3.4])
    assert [p.kind.value for p in one] == ["global maximum"]


EDGES = [
    # law, data, (value of the first parameter, is it on an edge) of the best point, complete
    ("mean not negative", [-1.0, -2.0, 0.5], 0.0, True),
    ("mean not negative", [1.0, 2.0, 0.5], 7 / 6, False),
    ("rate between two and three", [1.0, 2.0, 0.5], 2.0, True),
    ("rate between two and three", [0.4, 0.5, 0.3], 2.5, False),
    ("uniform", [1.0, 2.0, 0.5], 2.0, True),
]


@pytest.mark.parametrize(("name", "data", "value", "edge"), EDGES)
def test_maxima_on_edges_are_in_the_list(name: str, data: list[float], value: float, edge: bool) -> None:
    points = law(name).stationary_points(data)
    assert points.complete is True  # type: ignore[attr-defined]
    best = points[0]
    assert float(next(iter(best.values.values()))) == pytest.approx(value)
    assert best.boundary is edge
    assert best.kind.value == "global maximum"


STATISTICS = [
    # law, statistics, values of the first parameter, complete
    ("normal", {"n": 4, "mean(x)": 2, "mean(x**2)": 5}, [2.0], True),
    ("correlation", {"n": 5, "mean(x*y)": "0.01", "mean(x**2 + y**2)": "0.2"}, None, True),
    ("squared mean", {"n": 3, "mean(x)": 2}, [-math.sqrt(2), 0.0, math.sqrt(2)], True),
]


@pytest.mark.parametrize(("name", "statistics", "expected", "complete"), STATISTICS)
def test_points_from_statistics(
    name: str, statistics: dict[str, Any], expected: list[float] | None, complete: bool
) -> None:
    points = law(name).stationary_points(statistics=statistics)
    assert points.complete is complete  # type: ignore[attr-defined]
    if expected is None:
        expected = roots_inside([-1, 0.01, 1 - 0.2, 0.01], -1, 1)
    parameter = next(iter(points[0].values))
    assert values_of(points, str(parameter)) == pytest.approx(expected, abs=1e-12)


REFUSED_STATISTICS = [
    ("normal", {"n": 4, "mean(x)": 2}, "mean(x**2)"),
    ("normal", {"mean(x)": 2, "mean(x**2)": 5}, "sample size"),
]


@pytest.mark.parametrize(("name", "statistics", "message"), REFUSED_STATISTICS)
def test_missing_statistics_are_named(name: str, statistics: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        law(name).stationary_points(statistics=statistics)


def test_what_is_not_known_is_said() -> None:
    points = law("logistic").stationary_points([1.0, 2.0, 4.0, 3.5])
    assert len(points) == 1
    assert points.complete in (None, True)  # type: ignore[attr-defined]
    many = law("Cauchy").stationary_points(np.random.default_rng(1).standard_cauchy(300))
    assert many.complete is None  # type: ignore[attr-defined]
    assert many.reason  # type: ignore[attr-defined]


def test_points_survive_pickling() -> None:
    points = law("Cauchy").stationary_points([-3.0, 3.0])
    again = pickle.loads(pickle.dumps(points))
    assert again == points
    assert (again.complete, again.reason) == (points.complete, points.reason)  # type: ignore[attr-defined]
    assert again.ml_degree == points.ml_degree == 3  # type: ignore[attr-defined]
