"""Samples of known size: closed forms in order statistics, their proofs, and where there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from sympy import Symbol, integrate, oo

from symmle import DataError, Derivation, Model, derive, fit
from symmle.certify.sign_pattern import Problem, SignPattern, find_pattern
from symmle.estimator import Kind
from symmle.sampling import RandomPoints

REAL, POSITIVE = "(-oo, oo)", "(0, oo)"
T3 = "gamma(2)/(sqrt(3*pi)*gamma(3/2))*(1 + (x - t)**2/3)**(-2)"
TRIANGLE = {"data": {"x": "(0, t)"}, "parameters": {"t": "positive"}, "density": "2*(t - x)/t**2"}
CAUCHY = {"data": {"x": REAL}, "parameters": {"t": "real"}, "density": "1/(pi*(1 + (x - t)**2))"}
STUDENT = {"data": {"x": REAL}, "parameters": {"t": "real"}, "density": T3}
SCALE = {"data": {"x": REAL}, "parameters": {"t": "positive"}, "density": "t/(pi*(t**2 + x**2))"}
LOGISTIC = {
    "data": {"x": REAL},
    "parameters": {"t": "real"},
    "density": "exp(-(x - t))/(1 + exp(-(x - t)))**2",
}
LOMAX = {"data": {"x": POSITIVE}, "parameters": {"t": "positive"}, "density": "2*t**2/(x + t)**3"}
NORMAL = {"data": {"x": REAL}, "parameters": {"t": "real"}, "density": "exp(-(x - t)**2/2)/sqrt(2*pi)"}


@cache
def law(which: int, n: int | None) -> Derivation:
    model = (TRIANGLE, CAUCHY, STUDENT, SCALE, LOGISTIC, LOMAX, NORMAL)[which]
    return derive(Model.from_dict({**model, "name": f"law {which}", **({} if n is None else {"size": n})}))


def two_of_t(nu: float) -> Callable[[np.ndarray], float]:
    def estimate(x: np.ndarray) -> float:
        half = (x.max() - x.min()) / 2
        return float(x.mean() - np.sqrt(max(half**2 - nu, 0.0)))

    return estimate


def triangle_of_two(x: np.ndarray) -> float:
    return float((3 * x.sum() + np.sqrt(9 * x.sum() ** 2 - 32 * x.min() * x.max())) / 4)


def lomax_of_two(x: np.ndarray) -> float:  # t**2 - Mean(x) t - 2 x1 x2 = 0
    mean = x.mean()
    return float((mean + np.sqrt(mean**2 + 8 * x[0] * x[1])) / 2)


CLOSED: list[tuple[int, int, Callable[[np.ndarray], float]]] = [
    (0, 1, lambda x: 2 * x[0]),
    (0, 2, triangle_of_two),
    (1, 1, lambda x: x[0]),
    (1, 2, two_of_t(1)),
    (2, 2, two_of_t(3)),
    (3, 1, lambda x: abs(x[0])),
    (3, 2, lambda x: float(np.sqrt(abs(x[0] * x[1])))),
    (4, 1, lambda x: x[0]),
    (4, 2, lambda x: float(x.mean())),
    (5, 1, lambda x: 2 * x[0]),
    (5, 2, lomax_of_two),
]


def draws(which: int, n: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(10 * which + n)
    scales = 10.0 ** rng.uniform(-1, 1, count)
    shape = rng.exponential if which in (0, 5) else rng.standard_normal
    return [shape(size=n) * scale for scale in scales]


@pytest.mark.parametrize(("which", "n", "formula"), CLOSED)
def test_closed_forms(which: int, n: int, formula: Callable[[np.ndarray], float]) -> None:
    derivation = law(which, n)
    assert derivation.estimator.kind == "closed form"
    for x in draws(which, n, 6):
        assert derivation.estimate(x)["t"] == pytest.approx(formula(x), rel=1e-12)


@pytest.mark.parametrize(("which", "n", "formula"), CLOSED)
def test_proofs(which: int, n: int, formula: Callable[[np.ndarray], float]) -> None:
    derivation = law(which, n)
    (point,) = derivation.estimator.points
    assert point.kind is Kind.GLOBAL_MAXIMUM
    assert isinstance(point.certificate, SignPattern)
    holds, found = point.certificate.check()
    assert holds, found
    rules = [s.rule for s in derivation.steps]
    assert rules.index("unrolled") < rules.index("score") < rules.index("solve") < rules.index("certificate")


@pytest.mark.parametrize(("which", "n", "formula"), CLOSED)
def test_steps_verify(
    which: int, n: int, formula: Callable[[np.ndarray], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On samples of the declared size, for which alone the steps are true."""
    samples = RandomPoints.samples
    monkeypatch.setattr(RandomPoints, "samples", lambda self, values, rows=6: samples(self, values, n))
    assert not law(which, n).verify().failures


@pytest.mark.parametrize("which", range(6))
def test_no_point_of_a_grid_is_better(which: int) -> None:
    density = {
        0: lambda x, t: np.where(t > x, 2 * (t - x) / t**2, 0),
        1: lambda x, t: 1 / (1 + (x - t) ** 2),
        2: lambda x, t: (1 + (x - t) ** 2 / 3) ** -2.0,
        3: lambda x, t: t / (t**2 + x**2),
        4: lambda x, t: np.exp(-(x - t)) / (1 + np.exp(-(x - t))) ** 2,
        5: lambda x, t: t**2 / (x + t) ** 3,
    }[which]
    for x in draws(which, 2, 12):
        estimate = law(which, 2).estimate(x)["t"]
        size = np.abs(x).max()
        grid = np.linspace(1e-3, 20, 20001) * size if which in (0, 3, 5) else np.linspace(-3, 3, 20001) * size
        with np.errstate(divide="ignore"):
            best = np.log(density(x[:, None], grid)).sum(axis=0).max()
            mine = np.log(density(x, estimate)).sum()
        assert mine >= best - 1e-12


def test_two_maxima_are_a_set() -> None:
    result = fit(law(1, 2), [-3.0, 3.0])
    assert result.unique is False
    assert result.estimates["t"] == pytest.approx(-np.sqrt(8))
    assert result.log_likelihood == pytest.approx(-5.8729787102)
    close = fit(law(1, 2), [2.1, 3.4])
    assert close.unique is True
    assert close.estimates["t"] == pytest.approx(2.75)
    (maximisers,) = law(1, 2).estimator.maximisers.values()
    assert len(maximisers.args) == 2


def test_the_condition_is_the_range() -> None:
    assert "Maximum(x) - Minimum(x) <= 2" in str(law(1, 2).estimator.closed["t"])  # type: ignore[index]


OTHERWISE = [
    # law, size, the strategy that is left out, why
    (6, 2, "", ""),  # the mean, for every n
    (1, 3, "sample of known size", "degree 5"),
    (1, 4, "sample of known size", "size 4"),
    (3, 3, "sample of known size", "degree 3"),
]


@pytest.mark.parametrize(("which", "n", "name", "reason"), OTHERWISE)
def test_where_nothing_is_written_out(which: int, n: int, name: str, reason: str) -> None:
    derivation = law(which, n)
    assert "unrolled" not in [s.rule for s in derivation.steps]
    reasons = [a.reason for a in derivation.attempts if a.strategy == name and not a.solved]
    assert not reason or any(reason in r for r in reasons)
    if which == 6:
        assert derivation.estimator.closed == law(6, None).estimator.closed


@pytest.mark.parametrize(("n", "data"), [(2, [1.0, 2.0, 3.0]), (1, [1.0, 2.0]), (2, [1.0])])
def test_data_of_another_size_are_refused(n: int, data: list[float]) -> None:
    with pytest.raises(DataError, match="size"):
        fit(law(1, n), data)


Q, C, D = Symbol("q", real=True), Symbol("c", real=True), Symbol("d", positive=True)
UNPROVED: list[tuple[str, Any, Any, Any]] = [
    ("a minimum", (Q - C) ** 2, None, "fall"),
    ("five roots", -Q * (Q**2 - D) * (Q**2 - D - 1), None, "degree"),
    ("an end where the sign is open", -((Q - C) ** 2), 0, "fall"),
]


@pytest.mark.parametrize(("l", "lower", "reason"), [u[1:] for u in UNPROVED], ids=[u[0] for u in UNPROVED])
def test_patterns_that_are_not_proved(l: Any, lower: Any, reason: str) -> None:
    primitive = integrate(l, Q) if "degree" in reason else l
    problem = Problem(primitive.diff(Q), primitive, Q, -oo if lower is None else lower, oo)
    found = find_pattern(problem)
    assert isinstance(found, str)
    assert reason in found


def test_an_asymmetric_pair_is_not_compared() -> None:
    # two maxima about a minimum at c, of different heights: the score is -(q - c)(q - c - d)(q - c + 2 d)
    score = (-(Q - C) * (Q - C - D) * (Q - C + 2 * D)).expand()
    found = find_pattern(Problem(score, integrate(score, Q), Q, -oo, oo))
    assert isinstance(found, str)
