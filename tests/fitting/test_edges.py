"""Supports that move with parameters and stay with the score: the interior, the closed and the open edge."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from sympy import Interval, Piecewise, Rational, Symbol, cos, exp, oo, pi, sqrt, symbols

from symmle import Model, derive, fit
from symmle.compiling.data import read_table
from symmle.errors import NoMaximumError
from symmle.fitting.edges_frame import frames_of
from symmle.fitting.edges_paths import examine
from symmle.fitting.plan import plan_of

x = Symbol("x", real=True)
z = Symbol("z", positive=True)
mu = Symbol("mu", real=True)
a, b, s = symbols("a b s", positive=True)
y = x - mu
ABOVE = {x: Interval.open(mu, oo)}
INVERSE_GAUSSIAN = Model(sqrt(b / (2 * pi * y**3)) * exp(-b * (y - a) ** 2 / (2 * a**2 * y)), data=ABOVE)
COSINE = Model((1 + cos(pi * y / s)) / (2 * s), data={x: Interval(mu - s, mu + s)})
RAYLEIGH = Model(y / s**2 * exp(-(y**2) / (2 * s**2)), data=ABOVE)
GAMMA_TWO = Model(y * exp(-y / s) / s**2, data=ABOVE)


def climbing(support: Any) -> Any:
    """theta exp(theta**2 - theta x) on [theta, oo): l has a maximum, then a minimum, then rises to the edge."""
    return Model(a * exp(a**2 - a * x), data={x: support})


@pytest.mark.parametrize(
    ("law", "draw", "log_density"),
    [
        (
            INVERSE_GAUSSIAN,
            lambda r: r.normal() * 3 + r.wald(2, r.uniform(2, 20), 20),
            lambda d, p: stats.invgauss.logpdf(d - p["mu"], p["a"] / p["b"], scale=p["b"]),
        ),
        (
            COSINE,
            lambda r: r.normal() * 3 + 2 * (r.beta(4, 4, 25) - 0.5),
            lambda d, p: np.where(
                abs(d - p["mu"]) < p["s"],
                np.log1p(np.cos(np.pi * (d - p["mu"]) / p["s"])) - np.log(2 * p["s"]),
                -np.inf,
            ),
        ),
        (
            RAYLEIGH,
            lambda r: r.normal() * 3 + r.rayleigh(2, 20),
            lambda d, p: stats.rayleigh.logpdf(d, p["mu"], p["s"]),
        ),
        (
            GAMMA_TWO,
            lambda r: r.normal() * 3 + r.gamma(2, 1.5, 20),
            lambda d, p: stats.gamma.logpdf(d, 2, p["mu"], p["s"]),
        ),
    ],
)
def test_maxima_inside_are_never_beaten(law: Any, draw: Any, log_density: Any) -> Any:
    derivation = derive(law)
    names = [str(p) for p in derivation.model.parameters]
    for seed in range(2):
        r = np.random.default_rng(seed)
        data = draw(r)
        result = fit(derivation, data)
        assert not result.unbounded and not result.boundary

        def minus(theta: Any, data: Any = data) -> Any:
            p = dict(zip(names, theta, strict=True))
            if any(p[q] <= 0 for q in ("a", "b", "s") if q in p):
                return 1e10
            with np.errstate(all="ignore"):
                value = -float(np.sum(log_density(data, p)))
            return value if math.isfinite(value) else 1e10

        assert result.log_likelihood == pytest.approx(-minus([result.estimates[q] for q in names]), rel=1e-9)
        width = float(np.ptp(data))
        for _ in range(12):
            draws = {
                "mu": data.min() - width * 10 ** r.uniform(-3, 1),
                "a": 2.0,
                "b": 5.0,
                "s": width * r.uniform(0.2, 3),
            }
            if law is COSINE:
                draws["mu"] = float(np.mean(data)) + 0.1 * r.normal()
            end = optimize.minimize(
                minus, [draws[q] for q in names], method="Nelder-Mead", options={"maxfev": 2000}
            )
            assert -end.fun <= result.log_likelihood + 1e-7 * (1 + abs(result.log_likelihood))


def test_many_rows_are_compared_with_many_rows() -> None:
    r = np.random.default_rng(1)
    data = 4 + r.wald(2, 8, 5000)
    result = fit(INVERSE_GAUSSIAN, data)
    own = float(np.sum(stats.invgauss.logpdf(data - 4, 2 / 8, scale=8)))
    assert own <= result.log_likelihood < own + 10
    assert not result.unbounded


def test_raised_cosine_of_the_corpus() -> None:
    data = [
        1.671, 1.666, -0.5134, 0.5572, 2.379, -0.5001, 2.135, 1.795, 1.917, 2.677, 2.711, 1.016, 0.9292, 0.3534, 1.307,
        -0.8426, 1.023, 0.7561, 2.453, 2.063, -0.8841, 1.413, 0.908, 1.423,
    ]  # fmt: skip
    result = fit(COSINE, data)
    assert result.estimates == pytest.approx({"mu": 1.0945681689390128, "s": 2.7928869143769957}, rel=1e-8)
    assert result.log_likelihood == pytest.approx(-34.5363328094967, rel=1e-12)


@pytest.mark.parametrize(
    ("data", "estimate", "boundary"),
    [
        ([1.0, 2.0, 3.0], 1.0, True),  # no stationary point: the edge
        ([1.0, 9.0, 9.0, 8.0], None, False),  # the smaller root of 1/a + 2 a = mean(x)
        ([3.0, 3.1, 3.2], 3.0, True),  # a root, and the edge is higher
    ],
)
def test_a_closed_edge_is_compared_with_the_roots(data: Any, estimate: Any, boundary: Any) -> None:
    result = fit(climbing(Interval(a, oo)), data)
    grid = np.linspace(1e-3, min(data), 20001)
    heights = len(data) * (np.log(grid) + grid**2) - grid * sum(data)
    wanted = grid[int(np.argmax(heights))] if estimate is None else estimate
    assert result.estimates["a"] == pytest.approx(wanted, abs=1e-3 if estimate is None else 1e-12)
    assert result.boundary is boundary and not result.unbounded
    assert result.log_likelihood >= heights.max() - 1e-9


def test_an_open_edge_is_a_supremum() -> None:
    with pytest.raises(NoMaximumError, match="not attained") as refusal:
        fit(climbing(Interval.open(a, oo)), [1.0, 2.0, 3.0])
    assert refusal.value.supremum == pytest.approx({"a": 1.0, "log_likelihood": -3.0})


def test_the_others_are_solved_on_a_closed_edge() -> Any:
    law = Model(2 * y / s**2, data={x: Interval(mu, mu + s)})
    data = np.array([1.0, 2.0, 3.0, 2.5])
    result = fit(law, data)

    def minus(m: Any) -> float:  # the support ends at the largest row
        return -float(np.sum(np.log(2 * (data - m)) - 2 * np.log(3.0 - m)))

    best = optimize.minimize_scalar(minus, bounds=(-20, 1 - 1e-9), method="bounded", options={"xatol": 1e-11})
    assert result.estimates["mu"] == pytest.approx(best.x, abs=1e-5)
    assert result.estimates["mu"] + result.estimates["s"] == pytest.approx(3.0, rel=1e-14)
    assert result.log_likelihood >= -best.fun - 1e-12
    assert result.boundary and result.standard_errors is None


def test_an_edge_with_a_covariate() -> None:
    law = Model(
        (x - mu * z) * exp(-(x - mu * z) / s) / s**2,
        data={x: Interval.open(mu * z, oo)},
        covariates={z: Interval.open(0, oo)},
    )
    data = {"x": [2.0, 3.0, 5.0, 4.0, 6.0], "z": [1.0, 1.5, 2.0, 1.2, 2.2]}
    result = fit(law, data)
    d, c = (np.array(data[n]) for n in "xz")
    best = -math.inf
    for m in np.linspace(-3, 2, 20001):
        gap = d - m * c
        if gap.min() > 0:
            best = max(best, float(np.sum(np.log(gap)) - 2 * len(d) * np.log(gap.mean() / 2) - 2 * len(d)))
    assert result.log_likelihood == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    ("law", "data", "kinds"),
    [
        (INVERSE_GAUSSIAN, [1.0, 1.5, 2.0, 4.0, 3.0], ["below"]),
        (COSINE, [1.0, 1.5, 2.0, 4.0, 3.0], ["below", "below"]),
        (climbing(Interval(a, oo)), [1.0, 2.0, 3.0], ["finite"]),
        (
            Model(b / s * (y / s) ** (b - 1) * exp(-((y / s) ** b)), data=ABOVE),
            [1.0, 1.5, 2.0, 4.0, 3.0],
            ["unbounded"],
        ),
    ],
)
def test_what_an_edge_is(law: Any, data: Any, kinds: Any) -> None:
    plan = plan_of(derive(law))
    frames = frames_of(plan, read_table(law, data), {})
    assert [examine(frame, []).kind for frame in frames] == kinds


def test_gaps_keep_their_digits() -> None:
    plan = plan_of(derive(RAYLEIGH))
    (frame,) = frames_of(plan, read_table(RAYLEIGH, [1.0, 2.0, 4.0]), {})
    for eps in (1e-3, 1e-30, 1e-200):
        wanted = sum(math.log(g) - g * g / 2 for g in (eps, 1 + eps, 3 + eps))
        assert frame.height(eps, [0.0]) == pytest.approx(wanted, rel=1e-14)
    assert frame.height(0.0, [0.0]) == -math.inf


def test_pieces_that_join_smoothly() -> None:
    top = sqrt(2 / pi) / (a + b)
    law = Model(
        Piecewise((top * exp(-(y**2) / (2 * a**2)), x < mu), (top * exp(-(y**2) / (2 * b**2)), True)), data=x
    )
    derivation = derive(law)
    assert not derivation.estimator.obstacle
    for seed in (2, 3):
        r = np.random.default_rng(seed)
        data = np.concatenate([-abs(r.normal(0, 1, 10)), abs(r.normal(0, 3, 20))])
        result = fit(derivation, data)
        best = -math.inf
        for m in np.linspace(data.min(), data.max(), 4001)[1:-1]:
            below, above = (float(np.sum((d - m) ** 2)) for d in (data[data < m], data[data >= m]))
            ratio = (above / below) ** (1 / 3)
            first = math.sqrt(below * (1 + ratio) / len(data))
            second = ratio * first
            l = len(data) * math.log(math.sqrt(2 / math.pi) / (first + second))
            best = max(best, l - below / first**2 / 2 - above / second**2 / 2)
        assert result.log_likelihood >= best - 1e-9
        assert result.log_likelihood == pytest.approx(best, abs=1e-4)


# --- domains that hold their ends, and supports that are linear after a multiplication ---
PORT_PIRIE = np.array(
    [float(v) for v in (Path(__file__).parent.parent / "data" / "portpirie.csv").read_text().split()[1:]]
)


def extremes(xi: Any, place: Any) -> Any:
    """The generalised extreme value density, and its support for xi > 0."""
    g = 1 + xi * (x - place) / s
    return g ** (-1 / xi - 1) * exp(-(g ** (-1 / xi))) / s, Interval.open(place - s / xi, oo)


@pytest.mark.parametrize(
    ("shape", "place", "ends"),
    [
        (Interval(Rational(1, 10), Rational(1, 2)), Interval(4, 5), {"xi": 0.1, "mu": 4.0}),
        (Interval(Rational(1, 10), Rational(1, 2)), Interval(-oo, oo), {"xi": 0.1}),
        (Interval(Rational(1, 10), Rational(1, 2)), Interval(-oo, 3), {"xi": 0.1, "mu": 3.0}),
    ],
)
def test_a_maximum_at_closed_ends_is_attained(shape: Any, place: Any, ends: dict[str, float]) -> None:
    xi = Symbol("xi", real=True)
    density, support = extremes(xi, mu)
    model = Model(density, data={x: support}, parameters={xi: shape, mu: place, s: Interval.open(0, oo)})
    result = fit(model, PORT_PIRIE)
    free = [p for p in ("mu", "s") if p not in ends]

    def depth(theta: Any) -> float:
        at = {**ends, **dict(zip(free, theta, strict=True))}
        if at["s"] <= 0:
            return 1e300
        with np.errstate(all="ignore"):
            return min(-float(stats.genextreme.logpdf(PORT_PIRIE, -at["xi"], at["mu"], at["s"]).sum()), 1e300)

    start = [{"mu": 3.9, "s": 0.3}[p] for p in free]
    best = optimize.minimize(
        depth, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
    )
    assert result.boundary
    assert {p: result.estimates[p] for p in ends} == ends
    assert result.log_likelihood == pytest.approx(-best.fun, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("xi", "place"), [(Rational(1, 5), Rational(39, 10)), (Rational(2, 5), Rational(4))])
def test_a_support_that_is_linear_after_a_multiplication(xi: Any, place: Any) -> None:
    """1 + xi (x - mu)/sigma > 0 with sigma alone free."""
    g = 1 + xi * (x - place) / s
    model = Model(
        Piecewise((g ** (-1 / xi - 1) * exp(-(g ** (-1 / xi))) / s, g > 0), (0, True)),
        data={x: Interval(-oo, oo)},
    )
    result = fit(model, PORT_PIRIE)
    best = optimize.minimize_scalar(
        lambda v: -stats.genextreme.logpdf(PORT_PIRIE, -float(xi), float(place), v).sum(),
        bounds=(0.1, 0.9),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert result.log_likelihood == pytest.approx(-best.fun, abs=1e-9)
    assert result.estimates["s"] == pytest.approx(best.x, rel=1e-5)
