"""Finite parameter spaces held against every member in turn, with NumPy and SciPy alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats

from symmle import Model, derive, fit
from symmle.derivation import Derivation
from symmle.errors import SymmleError
from symmle.estimator import Kind

Table = dict[str, Any]
TABLE = (
    "Piecewise((Piecewise((1/3, x < 2), (0, Eq(x, 2)), (1/6, True)), Eq(theta, 1)), "
    "(Piecewise((1/4, x < 4), (0, True)), Eq(theta, 2)), "
    "(Piecewise((0, x < 2), (1/2, Eq(x, 3)), (1/4, True)), True))"
)  # Casella and Berger, exercise 7.1
CELLS = {
    1: [1 / 3, 1 / 3, 0, 1 / 6, 1 / 6],
    2: [1 / 4, 1 / 4, 1 / 4, 1 / 4, 0],
    3: [0, 0, 1 / 4, 1 / 2, 1 / 4],
}
NORMAL = "exp(-(x - m)**2/(2*v))/sqrt(2*pi*v)"


def table(density: str, support: str, parameters: dict[str, str], **more: Any) -> Table:
    return {"density": density, "data": {"x": support}, "parameters": parameters, **more}


def cells(theta: float, x: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(np.asarray(CELLS[int(theta)])[x.astype(int)]).sum())


def uniform(theta: float, x: np.ndarray) -> float:
    return -len(x) * math.log(theta) if x.max() < theta else -math.inf


Best = Callable[[float, np.ndarray], float]  # l at a member, the other parameters at their best
MODELS: dict[str, tuple[Table, Sequence[float], Best]] = {
    "uniform or root": (
        table("Piecewise((1, Eq(theta, 0)), (1/(2*sqrt(x)), True))", "(0, 1)", {"theta": "{0, 1}"}),
        [0, 1],
        lambda t, x: 0.0 if t == 0 else float(np.sum(-np.log(2 * np.sqrt(x)))),
    ),
    "Poisson or geometric": (
        table(
            "Piecewise((2**x*exp(-2)/factorial(x), Eq(theta, 0)), ((1/3)*(2/3)**x, True))",
            "{0..oo}",
            {"theta": "{0, 1}"},
        ),
        [0, 1],
        lambda t, x: (stats.poisson.logpmf(x, 2) if t == 0 else stats.geom.logpmf(x + 1, 1 / 3)).sum(),
    ),
    "table": (table(TABLE, "{0..4}", {"theta": "{1, 2, 3}"}), [1, 2, 3], cells),
    "table, one row": (table(TABLE, "{0..4}", {"theta": "{1, 2, 3}"}, size=1), [1, 2, 3], cells),
    "table without zeros": (
        table(
            "Piecewise((2*t/3, Eq(x, 0)), (t/3, Eq(x, 1)), (2*(1 - t)/3, Eq(x, 2)), ((1 - t)/3, True))",
            "{0..3}",
            {"t": "{1/3, 2/3}"},
        ),
        [1 / 3, 2 / 3],
        lambda t, x: float(np.log(np.array([2 * t, t, 2 - 2 * t, 1 - t])[x.astype(int)] / 3).sum()),
    ),
    "two coins": (
        table("p**x*(1 - p)**(1 - x)", "{0, 1}", {"p": "{1/4, 3/4}"}),
        [0.25, 0.75],
        lambda p, x: stats.bernoulli.logpmf(x, p).sum(),
    ),
    "three coins": (
        table("p**x*(1 - p)**(1 - x)", "{0, 1}", {"p": "{1/4, 1/2, 3/4}"}),
        [0.25, 0.5, 0.75],
        lambda p, x: stats.bernoulli.logpmf(x, p).sum(),
    ),
    "four Poisson means": (
        table("a**x*exp(-a)/factorial(x)", "{0..oo}", {"a": "{1, 2, 5, 7}"}),
        [1, 2, 5, 7],
        lambda a, x: stats.poisson.logpmf(x, a).sum(),
    ),
    "three normal means": (
        table(NORMAL, "(-oo, oo)", {"m": "{-1, 0, 2}"}, constants={"v": 4}),
        [-1, 0, 2],
        lambda m, x: stats.norm.logpdf(x, m, 2).sum(),
    ),
    "two variances, any mean": (
        table(NORMAL, "(-oo, oo)", {"v": "{1, 4}", "m": "real"}),
        [1, 4],
        lambda v, x: stats.norm.logpdf(x, x.mean(), math.sqrt(v)).sum(),
    ),
    "three shapes, any rate": (
        table("a**k*x**(k - 1)*exp(-a*x)/gamma(k)", "(0, oo)", {"k": "{1, 2, 3}", "a": "positive"}),
        [1, 2, 3],
        lambda k, x: stats.gamma.logpdf(x, k, 0, x.mean() / k).sum(),
    ),
    "three uniforms": (table("1/theta", "(0, theta)", {"theta": "{1, 2, 5}"}), [1, 2, 5], uniform),
    "size of a binomial, eight values": (
        table("binomial(m, x)*p**x*(1 - p)**(m - x)", "{0..m}", {"m": "{5..12}"}, constants={"p": 0.3}),
        list(range(5, 13)),
        lambda m, x: stats.binom.logpmf(x, int(m), 0.3).sum(),
    ),
}


@cache
def derivation_of(name: str) -> Derivation:
    return derive(Model.from_dict(MODELS[name][0]))


def samples_of(name: str) -> list[np.ndarray]:
    generator = np.random.default_rng(sum(map(ord, name)))
    support, size = MODELS[name][0]["data"]["x"], MODELS[name][0].get("size")
    found = []
    x: Any
    for k in range(8):
        n = size or int(generator.integers(1, 8))
        if support == "{0..3}":
            x = generator.integers(0, 4, n)
        elif support == "{0..4}":
            theta = 1 + k % 3
            x = generator.choice(5, n, p=CELLS[theta])
        elif support == "{0, 1}":
            x = generator.integers(0, 2, n)
        elif support.startswith("{"):
            x = generator.poisson(1 + k % 6, n)
        elif support == "(0, 1)":
            x = generator.beta(0.3 + 0.2 * k, 1, n)
        elif support == "(0, theta)":
            x = generator.uniform(0, (1, 2, 5)[k % 3], n)
        elif support == "(0, oo)":
            x = generator.gamma(1 + k % 4, 2, n + 1)
        else:
            x = generator.normal(k - 3, 1 + k % 2, n)
        found.append(np.asarray(x, dtype=float))
    return found


@pytest.mark.parametrize("name", MODELS)
def test_the_largest_value_is_found(name: str) -> None:
    model, members, l = MODELS[name]
    parameter = next(iter(model["parameters"]))
    for x in samples_of(name):
        with np.errstate(all="ignore"):
            heights = [float(l(t, x)) for t in members]
        best = max(heights)
        if not math.isfinite(best):
            with pytest.raises(SymmleError):
                fit(derivation_of(name), x)
            continue
        result = fit(derivation_of(name), x)
        assert result.log_likelihood == pytest.approx(best, rel=1e-9, abs=1e-9)
        tied = [t for t, h in zip(members, heights, strict=True) if h >= best - 1e-10 * (1 + abs(best))]
        assert any(result.estimates[parameter] == pytest.approx(t) for t in tied)
        assert result.unique is (len(tied) == 1), (x, heights)


@pytest.mark.parametrize("name", MODELS)
def test_every_step_holds_and_the_maximum_is_proved(name: str) -> None:
    derivation = derivation_of(name)
    verification = derivation.verify()
    assert not verification.failures, str(verification)
    assert "why not the score" in [s.rule for s in derivation.steps]
    (point,) = derivation.estimator.points
    assert point.kind is Kind.GLOBAL_MAXIMUM and point.certificate is not None
    assert "finitely many values" in point.certificate.theorem
    assert derivation.estimator.kind == "finite"


THRESHOLDS = {
    "uniform or root": "Piecewise((1, Mean(log(x)) < -log(4)), (0, True))",
    "two coins": "Piecewise((3/4, Mean(x) > 1/2), (1/4, True))",
    "three normal means": "Piecewise((-1, Mean(x) <= -1/2), (0, Mean(x) <= 1), (2, True))",
    "table, one row": "Piecewise((1, Total(x) <= 1), (2, Total(x) <= 2), (3, True))",
    "Poisson or geometric": (
        "Piecewise((1, Mean(log(gamma(x + 1))) - log(3)*Mean(x) > -2 + log(3)), (0, True))"
    ),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_the_threshold_is_derived(name: str) -> None:
    (closed,) = derivation_of(name).estimator.closed.values()
    assert str(closed) == THRESHOLDS[name]


TIES: list[tuple[str, list[float], tuple[float, ...]]] = [
    ("two coins", [1, 0], (0.25, 0.75)),
    ("uniform or root", [0.25], (0.0, 1.0)),
    ("table, one row", [2], (2.0, 3.0)),
    ("three normal means", [1.0], (0.0, 2.0)),
]


@pytest.mark.parametrize(("name", "x", "tied"), TIES)
def test_members_that_tie_are_all_given(name: str, x: list[float], tied: tuple[float, ...]) -> None:
    result = fit(derivation_of(name), x)
    (parameter,) = result.estimates
    assert result.unique is False
    assert result.maximisers == {parameter: tied}
    assert result.estimates[parameter] == tied[0]


def test_a_row_that_no_member_allows_is_refused() -> None:
    with pytest.raises(SymmleError):
        fit(derivation_of("table"), [0, 2, 4])
    with pytest.raises(SymmleError):
        fit(derivation_of("three uniforms"), [6.0])


def test_counts_stand_for_rows() -> None:
    plain = fit(derivation_of("table"), [3, 3, 3, 2])
    weighted = fit(derivation_of("table"), [3, 2, 0], weights=[3, 1, 0])
    assert weighted.estimates == plain.estimates == {"theta": 3.0}
    assert weighted.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)


def test_a_product_of_two_finite_spaces() -> None:
    model = table(NORMAL, "(-oo, oo)", {"m": "{0, 1}", "v": "{1, 4}"})
    derivation = derive(Model.from_dict(model))
    for x in ([0.2, 0.5], [1.0], [-0.5, 4.0], [3.0, -3.0]):
        heights = {(m, v): stats.norm.logpdf(x, m, math.sqrt(v)).sum() for m in (0, 1) for v in (1, 4)}
        result = fit(derivation, x)
        assert result.log_likelihood == pytest.approx(max(heights.values()), rel=1e-12)


def test_a_whole_number_beside_a_finite_space() -> None:
    model = table(
        "binomial(x + r - 1, x)*q**r*(1 - q)**x", "{0..oo}", {"r": "integer >= 1", "q": "{1/4, 1/2}"}
    )
    x = np.array([3.0, 4, 5])
    result = fit(derive(Model.from_dict(model)), x)
    best = max((stats.nbinom.logpmf(x, r, q).sum(), r, q) for r in range(1, 100) for q in (0.25, 0.5))
    assert result.log_likelihood == pytest.approx(best[0], rel=1e-12)
    assert (result.estimates["r"], result.estimates["q"]) == best[1:]
