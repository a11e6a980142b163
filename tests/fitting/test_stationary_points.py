"""Stationary points on data: every root of a rational equation, and whether the list is complete."""

from __future__ import annotations

import math
import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
from sympy import QQ, Poly, Symbol

from symmle import Derivation, Model, derive
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
    "logistic": {
        "data": {"x": REAL},
        "parameters": {"m": "real", "s": "positive"},
        "density": "exp(-(x - m)/s)/(s*(1 + exp(-(x - m)/s))**2)",
    },
}


@cache
def law(name: str) -> Derivation:
    return derive(Model.from_dict({**LAWS[name], "name": name}))


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
