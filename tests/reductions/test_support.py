"""Supports that depend on parameters: estimates against formulas and random competitors in NumPy, and refusals.

A row is a model, its log-likelihood in NumPy with the indicator, the estimates in NumPy, and how data are drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sympy import Interval

from symmle import Model, derive, fit
from symmle.errors import NoMaximumError
from symmle.estimator import Kind, Scope

Data = dict[str, Any]


@dataclass(frozen=True)
class Row:
    table: dict[str, Any]
    l: Callable[..., float]  # (data, weights, parameters) -> log-likelihood, -inf outside
    draw: Callable[[np.random.Generator, int], Data]
    estimates: Callable[[Data, Any], dict[str, float]]
    whole: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    least: int = 1  # rows without which there is no maximum
    proved: bool = True
    options: dict[str, Any] = field(default_factory=dict)


def inside(x: Any, lo: Any, hi: Any) -> bool:
    slack = 1e-12 * (1 + np.abs(x))
    return bool(np.all(x >= lo - slack) and np.all(x <= hi + slack))


def total(values: Any, x: Any, w: Any) -> float:
    return float(np.sum(np.broadcast_to(values, np.shape(x)) * w))


def model(density: str, support: str, **parameters: str) -> dict[str, Any]:
    return {"data": {"x": support}, "parameters": parameters, "density": density}


def uniform(lo: float, hi: float) -> Callable[[np.random.Generator, int], Data]:
    return lambda rng, n: {"x": rng.uniform(lo, hi, n)}


def one(lo: Callable[..., Any], hi: Callable[..., Any], log_f: Callable[..., Any]) -> Callable[..., float]:
    """The log-likelihood of one column x with support [lo(p), hi(p)]."""

    def l(data: Data, w: Any, /, **p: float) -> float:
        x = data["x"]
        return total(log_f(x, **p), x, w) if inside(x, lo(**p), hi(**p)) else -np.inf

    return l


def mean(x: Any, w: Any) -> float:
    return float(np.average(x, weights=w))


ROWS: dict[str, Row] = {
    "uniform, upper end": Row(
        model("1/theta", "[0, theta]", theta="positive"),
        one(lambda theta: 0, lambda theta: theta, lambda x, theta: -np.log(theta)),
        uniform(0, 3.2),
        lambda d, w: {"theta": d["x"].max()},
    ),
    "uniform, ends and a closed domain": Row(
        model("1/theta", "[0, theta]", theta="[2, oo)"),
        one(lambda theta: 0, lambda theta: theta, lambda x, theta: -np.log(theta)),
        uniform(0, 2.2),
        lambda d, w: {"theta": max(2.0, d["x"].max())},
    ),
    "uniform, symmetric": Row(
        model("1/(2*tau)", "[-tau, tau]", tau="positive"),
        one(lambda tau: -tau, lambda tau: tau, lambda x, tau: -np.log(2 * tau)),
        uniform(-2, 2),
        lambda d, w: {"tau": np.abs(d["x"]).max()},
    ),
    "uniform, one to two": Row(
        model("1/theta", "[theta, 2*theta]", theta="positive"),
        one(lambda theta: theta, lambda theta: 2 * theta, lambda x, theta: -np.log(theta)),
        uniform(3, 6),
        lambda d, w: {"theta": d["x"].max() / 2},
    ),
    "uniform, two ends": Row(
        model("1/(b - a)", "[a, b]", b="real", a="real"),
        one(lambda a, b: a, lambda a, b: b, lambda x, a, b: -np.log(b - a) if b > a else -np.inf),
        uniform(-5, -1),
        lambda d, w: {"a": d["x"].min(), "b": d["x"].max()},
        least=2,
    ),
    "uniform, centre and half range": Row(
        model("1/(2*s)", "[mu - s, mu + s]", s="positive", mu="real"),
        one(lambda s, mu: mu - s, lambda s, mu: mu + s, lambda x, s, mu: -np.log(2 * s)),
        uniform(7, 9),
        lambda d, w: {"mu": (d["x"].max() + d["x"].min()) / 2, "s": (d["x"].max() - d["x"].min()) / 2},
        least=2,
    ),
    "uniform, off its centre": Row(
        model("1/(3*s)", "[mu - s, mu + 2*s]", mu="real", s="positive"),
        one(lambda s, mu: mu - s, lambda s, mu: mu + 2 * s, lambda x, s, mu: -np.log(3 * s)),
        uniform(-4, 9),
        lambda d, w: {"mu": (d["x"].max() + 2 * d["x"].min()) / 3, "s": (d["x"].max() - d["x"].min()) / 3},
        least=2,
    ),
    "uniform, start and width": Row(
        model("1/w", "[a, a + w]", a="real", w="positive"),
        one(lambda a, w: a, lambda a, w: a + w, lambda x, a, w: -np.log(w)),
        uniform(-4, 9),
        lambda d, w: {"a": d["x"].min(), "w": d["x"].max() - d["x"].min()},
        least=2,
    ),
    "uniform of unit length": Row(
        model("1", "[theta, theta + 1]", theta="real"),
        one(lambda theta: theta, lambda theta: theta + 1, lambda x, theta: 0.0),
        uniform(-0.4, 0.4),
        lambda d, w: {"theta": (d["x"].max() - 1 + d["x"].min()) / 2},
        sets=("theta",),
    ),
    "uniform to a square": Row(
        model("1/theta**2", "[0, theta**2]", theta="positive"),
        one(lambda theta: 0, lambda theta: theta**2, lambda x, theta: -2 * np.log(theta)),
        uniform(0, 5),
        lambda d, w: {"theta": np.sqrt(d["x"].max())},
    ),
    "uniform to an exponential": Row(
        model("exp(-theta)", "[0, exp(theta)]", theta="real"),
        one(lambda theta: 0, lambda theta: np.exp(theta), lambda x, theta: -theta),
        uniform(0, 0.5),
        lambda d, w: {"theta": np.log(d["x"].max())},
    ),
    "uniform to a reciprocal": Row(
        model("theta", "[0, 1/theta]", theta="positive"),
        one(lambda theta: 0, lambda theta: 1 / theta, lambda x, theta: np.log(theta)),
        uniform(0, 7),
        lambda d, w: {"theta": 1 / d["x"].max()},
    ),
    "triangle, rising": Row(
        model("3*x**2/c**3", "[0, c]", c="positive"),
        one(lambda c: 0, lambda c: c, lambda x, c: np.log(3 * x**2 / c**3)),
        uniform(0.5, 3),
        lambda d, w: {"c": d["x"].max()},
    ),
    "Pareto": Row(
        model("a*m**a/x**(a + 1)", "[m, oo)", m="positive", a="positive"),
        one(
            lambda a, m: m,
            lambda a, m: np.inf,
            lambda x, a, m: np.log(a) + a * np.log(m) - (a + 1) * np.log(x),
        ),
        lambda rng, n: {"x": 2.5 * rng.pareto(3, n) + 2.5},
        lambda d, w: {"m": d["x"].min(), "a": 1 / (mean(np.log(d["x"]), w) - np.log(d["x"].min()))},
        least=2,
    ),
    "exponential with a start": Row(
        model("lam*exp(-lam*(x - mu))", "[mu, oo)", lam="positive", mu="real"),
        one(lambda lam, mu: mu, lambda lam, mu: np.inf, lambda x, lam, mu: np.log(lam) - lam * (x - mu)),
        lambda rng, n: {"x": rng.exponential(3, n) - 20},
        lambda d, w: {"mu": d["x"].min(), "lam": 1 / (mean(d["x"], w) - d["x"].min())},
        least=2,
    ),
    "half-normal with a start": Row(
        model("sqrt(2/pi)*exp(-(x - mu)**2/(2*s**2))/s", "[mu, oo)", mu="real", s="positive"),
        one(
            lambda s, mu: mu,
            lambda s, mu: np.inf,
            lambda x, s, mu: 0.5 * np.log(2 / np.pi) - (x - mu) ** 2 / (2 * s**2) - np.log(s),
        ),
        lambda rng, n: {"x": np.abs(rng.normal(0, 3, n)) + 4},
        lambda d, w: {"mu": d["x"].min(), "s": np.sqrt(mean((d["x"] - d["x"].min()) ** 2, w))},
        least=2,
    ),
    "power function": Row(
        model("a/b*(x/b)**(a - 1)", "[0, b]", a="positive", b="positive"),
        one(lambda a, b: 0, lambda a, b: b, lambda x, a, b: np.log(a / b) + (a - 1) * np.log(x / b)),
        uniform(0.5, 30),
        lambda d, w: {"b": d["x"].max(), "a": 1 / (np.log(d["x"].max()) - mean(np.log(d["x"]), w))},
        least=2,
    ),
    "uniform below zero": Row(
        model("-1/theta", "[theta, 0]", theta="(-oo, 0)"),
        one(lambda theta: theta, lambda theta: 0, lambda x, theta: -np.log(-theta)),
        uniform(-3.2, 0),
        lambda d, w: {"theta": d["x"].min()},
    ),
    "uniform to a whole number": Row(
        model("1/N", "(0, N)", N="integer >= 1"),
        one(lambda N: 0, lambda N: N, lambda x, N: -np.log(N)),
        uniform(0, 7.2),
        lambda d, w: {"N": np.floor(d["x"].max()) + 1},
        whole=("N",),
    ),
    "truncated normal": Row(
        model("sqrt(2/pi)*exp(-x**2/2)/(erf(b/sqrt(2)) - erf(a/sqrt(2)))", "[a, b]", a="real", b="real"),
        one(
            lambda a, b: a,
            lambda a, b: b,
            lambda x, a, b: norm.logpdf(x) - np.log(norm.cdf(b) - norm.cdf(a)) if b > a else -np.inf,
        ),
        uniform(-1.5, 2),
        lambda d, w: {"a": d["x"].min(), "b": d["x"].max()},
        least=2,
    ),
    "truncated exponential": Row(
        model("exp(-x)/(1 - exp(-b))", "[0, b]", b="positive"),
        one(lambda b: 0, lambda b: b, lambda x, b: -x - np.log(1 - np.exp(-b))),
        uniform(0, 3),
        lambda d, w: {"b": d["x"].max()},
    ),
    "Laplace between symmetric ends": Row(
        model("exp(-Abs(x))/(2*(1 - exp(-c)))", "[-c, c]", c="positive"),
        one(lambda c: -c, lambda c: c, lambda x, c: -np.abs(x) - np.log(2 * (1 - np.exp(-c)))),
        uniform(-3, 2),
        lambda d, w: {"c": np.abs(d["x"]).max()},
    ),
    "whole numbers 1..N": Row(
        model("1/N", "{1..N}", N="integer >= 1"),
        one(lambda N: 1, lambda N: N, lambda x, N: -np.log(N)),
        lambda rng, n: {"x": rng.integers(1, 40, n)},
        lambda d, w: {"N": d["x"].max()},
        whole=("N",),
    ),
    "whole numbers -N..N": Row(
        model("1/(2*N + 1)", "{-N..N}", N="integer >= 1"),
        one(lambda N: -N, lambda N: N, lambda x, N: -np.log(2 * N + 1)),
        lambda rng, n: {"x": rng.integers(-40, 40, n)},
        lambda d, w: {"N": max(1, np.abs(d["x"]).max())},
        whole=("N",),
    ),
    "whole numbers a..b": Row(
        model("1/(b - a + 1)", "{a..b}", a="integer >= 0", b="integer >= 0"),
        one(lambda a, b: a, lambda a, b: b, lambda x, a, b: -np.log(b - a + 1)),
        lambda rng, n: {"x": rng.integers(5, 40, n)},
        lambda d, w: {"a": d["x"].min(), "b": d["x"].max()},
        whole=("a", "b"),
    ),
    "whole numbers N+1..2N": Row(
        model("1/N", "{N+1..2*N}", N="integer >= 1"),
        one(lambda N: N + 1, lambda N: 2 * N, lambda x, N: -np.log(N)),
        lambda rng, n: {"x": rng.integers(14, 25, n)},
        lambda d, w: {"N": np.ceil(d["x"].max() / 2)},
        whole=("N",),
    ),
    "geometric with a start": Row(
        model("p*(1 - p)**(x - m)", "{m..oo}", m="integer >= 0", p="(0, 1)"),
        one(
            lambda m, p: m,
            lambda m, p: np.inf,
            lambda x, m, p: np.log(p) + (x - m) * np.log(1 - p) if 0 < p < 1 else -np.inf,
        ),
        lambda rng, n: {"x": np.append(rng.integers(3, 25, n - 1), 30) if n > 1 else np.array([4])},
        lambda d, w: {"m": d["x"].min(), "p": 1 / (mean(d["x"], w) - d["x"].min() + 1)},
        whole=("m",),
        least=2,
    ),
}


def columns(row: Row, n: int, seed: int) -> Data:
    data = row.draw(np.random.default_rng(seed), n)
    if n > 4:  # ties
        data = {c: np.append(v[:-1], v[0]) for c, v in data.items()}
    return data


@pytest.fixture(scope="module")
def derived() -> dict[str, Any]:
    return {}


def derivation_of(name: str, derived: dict[str, Any]) -> Any:
    if name not in derived:
        derived[name] = derive(Model.from_dict(ROWS[name].table))
    return derived[name]


@pytest.mark.parametrize("name", ROWS)
def test_the_estimate_is_the_formula_and_not_beaten(name: str, derived: dict[str, Any]) -> None:
    row, derivation = ROWS[name], derivation_of(name, derived)
    rng = np.random.default_rng(8)
    domains = {str(p): (float(s.inf), float(s.sup)) for p, s in derivation.model.parameters.items()}
    for n, weighted in ((row.least, False), (3, True), (11, True)):
        data = columns(row, n, 100 + n)
        w = rng.integers(1, 5, n).astype(float) if weighted else np.ones(n)
        result = fit(derivation, data, weights=w if weighted else None)
        wanted = row.estimates(data, w)
        assert set(result.estimates) == set(wanted)
        for p, value in wanted.items():
            assert result.estimates[p] == pytest.approx(value, rel=1e-11, abs=1e-11)
        top = row.l(data, w, **wanted)
        assert result.log_likelihood == pytest.approx(top, rel=1e-10, abs=1e-10)
        assert result.standard_errors is None
        for _ in range(250):
            step = 10.0 ** rng.uniform(-5, 1)
            rival = {p: v + step * rng.normal() * (rng.random() < 0.7) for p, v in wanted.items()}
            rival = {p: round(v) if p in row.whole else v for p, v in rival.items()}
            if any(not domains[p][0] <= v <= domains[p][1] for p, v in rival.items()):
                continue
            assert not row.l(data, w, **rival) > top + 1e-9 * (1 + abs(top)), rival


@pytest.mark.parametrize("name", ROWS)
def test_the_derivation_is_proved_and_verified(name: str, derived: dict[str, Any]) -> None:
    derivation = derivation_of(name, derived)
    estimator = derivation.estimator
    assert estimator.kind == "order statistic"
    rules = [s.rule for s in derivation.steps]
    assert (
        rules.index("why not the score")
        < rules.index("support")
        < rules.index("monotone")
        < rules.index("edge")
    )
    point = estimator.points[0]
    assert point.kind is Kind.GLOBAL_MAXIMUM and point.boundary
    assert point.certificate is not None and point.certificate.scope is Scope.EVERY_SAMPLE
    verification = derivation.verify()
    assert verification, str(verification)
    held = {c.rule for c in verification.checks if c.holds}
    assert {"support", "monotone", "edge", "certificate"} <= held


@pytest.mark.parametrize("name", [n for n, r in ROWS.items() if r.sets])
def test_a_set_of_maxima_is_given(name: str, derived: dict[str, Any]) -> None:
    row, derivation = ROWS[name], derivation_of(name, derived)
    data = columns(row, 6, 3)
    result = fit(derivation, data)
    assert result.unique is False
    for p in row.sets:
        lo, hi = result.solution.maximisers[p]
        assert lo < result.estimates[p] < hi
        w = np.ones(6)
        assert row.l(data, w, **{p: lo}) == row.l(data, w, **{p: hi}) == row.l(data, w, **result.estimates)
        assert row.l(data, w, **{p: lo - 1e-6}) == row.l(data, w, **{p: hi + 1e-6}) == -np.inf


@pytest.mark.parametrize("name", [n for n, r in ROWS.items() if r.least > 1])
def test_a_constant_sample_has_no_maximum(name: str, derived: dict[str, Any]) -> None:
    row, derivation = ROWS[name], derivation_of(name, derived)
    x = columns(row, row.least, 3)["x"][:1]
    for n in (1, 4):
        with pytest.raises(NoMaximumError):
            fit(derivation, {"x": np.repeat(x, n)})


# --- covariates, several samples --------------------------------------------------------------------


def table(density: str, support: str, given: Any, **parameters: str) -> dict[str, Any]:
    return {"data": {"y": support}, "covariates": given, "parameters": parameters, "density": density}


def test_bounds_with_a_covariate() -> None:
    rng = np.random.default_rng(3)
    z = rng.uniform(0.5, 4, 12)
    for given in ({"z": "(0, oo)"}, ["z"]):
        derivation = derive(Model.from_dict(table("1/(z*theta)", "[0, z*theta]", given, theta="positive")))
        for _ in range(5):
            y = z * rng.uniform(0, 7, 12)
            assert fit(derivation, {"y": y, "z": z}).estimates["theta"] == pytest.approx(
                np.max(y / z), rel=1e-13
            )
        assert derivation.verify()


def test_a_power_function_below_a_frontier() -> None:
    rng = np.random.default_rng(4)
    z = rng.uniform(0.5, 4, 12)
    y = z * rng.uniform(0.1, 7, 12)
    derivation = derive(
        Model.from_dict(
            table("a/(z*b)*(y/(z*b))**(a - 1)", "[0, z*b]", {"z": "(0, oo)"}, a="positive", b="positive")
        )
    )
    found = fit(derivation, {"y": y, "z": z}).estimates
    b = np.max(y / z)
    assert found["b"] == pytest.approx(b, rel=1e-13)
    assert found["a"] == pytest.approx(1 / (np.log(b) - np.mean(np.log(y / z))), rel=1e-11)
    assert derivation.verify()


def several(*samples: tuple[str, str, str], **parameters: str) -> Model:
    parts = [{"data": {x: support}, "density": density} for x, support, density in samples]
    return Model.from_dict({"samples": parts, "parameters": parameters})


def test_samples_that_share_an_end() -> None:
    derivation = derive(several(("x", "[0, t]", "1/t"), ("y", "[0, 2*t]", "1/(2*t)"), t="positive"))
    rng = np.random.default_rng(3)
    for _ in range(6):
        x, y = rng.uniform(0, 2, 4), rng.uniform(0, 4, 3)
        assert fit(derivation, {"x": x, "y": y}).estimates["t"] == max(x.max(), y.max() / 2)
    assert derivation.verify()


def test_samples_that_share_a_start() -> None:
    derivation = derive(
        several(
            ("x", "[m, oo)", "a*exp(-a*(x - m))"),
            ("y", "[m, oo)", "b*exp(-b*(y - m))"),
            m="real",
            a="positive",
            b="positive",
        )
    )
    rng = np.random.default_rng(3)
    x, y = 1 + rng.exponential(2, 6), 1.1 + rng.exponential(5, 3)
    m = min(x.min(), y.min())
    found = fit(derivation, {"x": x, "y": y}).estimates
    assert found == pytest.approx({"m": m, "a": 1 / (x.mean() - m), "b": 1 / (y.mean() - m)}, rel=1e-11)
    # one of the samples may be constant, where it is not at the edge
    constant = np.full(6, x.max())
    found = fit(derivation, {"x": constant, "y": y}).estimates
    assert found["a"] == pytest.approx(1 / (x.max() - y.min()), rel=1e-11)
    with pytest.raises(NoMaximumError):
        fit(derivation, {"x": np.full(6, 0.5), "y": y})


@pytest.mark.parametrize(
    "density, turn",
    [
        ("exp(-y/t)/t", lambda x, y: y.sum() / (len(x) + len(y))),
        ("t*exp(-t*y)", lambda x, y: (len(y) - len(x)) / y.sum()),
    ],
)
def test_a_likelihood_that_turns_is_clipped(density: str, turn: Any) -> None:
    derivation = derive(several(("x", "[0, t]", "1/t"), ("y", "(0, oo)", density), t="positive"))
    rng = np.random.default_rng(3)
    seen = set()
    for k in range(12):
        x, y = rng.uniform(0, 0.2 + k % 4, 2 + k % 3), rng.exponential(0.4 + k % 5, 6 - k % 4)
        free = turn(x, y)
        assert fit(derivation, {"x": x, "y": y}).estimates["t"] == pytest.approx(
            max(free, x.max()), rel=1e-12
        )
        seen.add(free > x.max())
    assert seen == {True, False}
    assert derivation.verify()
    assert derivation.estimator.points[0].certificate is not None


def test_a_turn_beside_an_open_end_is_no_maximum_where_the_end_comes_first() -> None:
    derivation = derive(several(("x", "(0, t)", "1/t"), ("y", "(0, oo)", "exp(-y/t)/t"), t="positive"))
    rng = np.random.default_rng(6)
    seen = set()
    for k in range(12):
        x, y = rng.uniform(0, 0.2 + k % 4, 3), rng.exponential(0.4 + k % 5, 5)
        root = y.sum() / (len(x) + len(y))
        seen.add(bool(root > x.max()))
        if root > x.max():
            assert fit(derivation, {"x": x, "y": y}).estimates["t"] == pytest.approx(root, rel=1e-12)
        else:
            with pytest.raises(NoMaximumError):
                fit(derivation, {"x": x, "y": y})
    assert seen == {True, False}
    assert derivation.estimator.conditions  # the root alone is no maximum for every sample
    assert derivation.verify()


# --- what is left is numeric ------------------------------------------------------------------------


def test_a_truncated_exponential_with_unknown_rate() -> None:
    from scipy.optimize import minimize_scalar

    derivation = derive(
        Model.from_dict(model("lam*exp(-lam*x)/(1 - exp(-lam*b))", "[0, b]", b="positive", lam="positive"))
    )
    estimator = derivation.estimator
    assert estimator.kind == "order statistic" and len(estimator.remaining) == 1 and len(estimator.faces) == 1
    x = np.array([0.1, 0.2, 0.3, 0.5, 0.9, 2.0])
    plain = minimize_scalar(
        lambda r: -np.sum(np.log(r) - r * x - np.log(1 - np.exp(-r * 2.0))),
        bounds=(1e-6, 20),
        method="bounded",
        options={"xatol": 1e-10},
    )
    result = fit(derivation, x)
    assert result.estimates["b"] == 2.0
    assert result.estimates["lam"] == pytest.approx(plain.x, rel=1e-6)
    assert derivation.verify()


# --- open ends --------------------------------------------------------------------------------------


OPEN = {
    "(0, theta)": (model("1/theta", "(0, theta)", theta="positive"), {"theta": "max"}, "(0, theta]"),
    "(m, oo)": (model("a*m**a/x**(a + 1)", "(m, oo)", m="positive", a="positive"), {"m": "min"}, "[m, oo)"),
    "[a, b)": (model("1/(b - a)", "[a, b)", a="real", b="real"), {"a": "min", "b": "max"}, "[a, b]"),
}


@pytest.mark.parametrize("name", OPEN)
def test_an_open_end_is_not_attained(name: str) -> None:
    declared, ends, closed = OPEN[name]
    derivation = derive(Model.from_dict(declared))
    assert not derivation.estimator.closed and not any(p.certificate for p in derivation.estimator.points)
    assert closed in derivation.estimator.unattained
    x = np.random.default_rng(2).uniform(2, 5, 9)
    with pytest.raises(NoMaximumError) as refusal:
        fit(derivation, x)
    assert refusal.value.supremum is not None
    for p, end in ends.items():
        assert refusal.value.supremum[p] == getattr(x, end)()
    assert derivation.verify()
    # the limit is that of the closed support
    same = derive(Model.from_dict({**declared, "data": {"x": closed}}))
    assert refusal.value.supremum["log_likelihood"] == pytest.approx(fit(same, x).log_likelihood, rel=1e-12)


def test_an_open_unit_interval_has_an_open_set_of_maxima() -> None:
    derivation = derive(Model.from_dict(model("1", "(theta - 1/2, theta + 1/2)", theta="real")))
    (members,) = derivation.estimator.maximisers.values()
    assert isinstance(members, Interval) and members.left_open and members.right_open
    result = fit(derivation, [4.1, 4.7])
    assert result.unique is False and result.estimates["theta"] == pytest.approx(4.4)


def test_rows_that_no_value_allows_together() -> None:
    derivation = derive(Model.from_dict(model("1", "[theta, theta + 1]", theta="real")))
    with pytest.raises(NoMaximumError):
        fit(derivation, [0.0, 1.5])


# --- where it must not be claimed -------------------------------------------------------------------

NOT_MONOTONE = {
    "falls and rises": model("theta*exp(theta**2 - theta*x)", "[theta, oo)", theta="positive"),
    "gamma with a start": model("(x - m)**(k - 1)*exp(-(x - m))/gamma(k)", "(m, oo)", m="real", k="positive"),
    "infinite at the edge": model("(x - m)**(k - 1)*exp(-(x - m))/gamma(k)", "[m, oo)", m="real", k="(0, 1)"),
    "lognormal with a start": model(
        "exp(-(log(x - m) - mu)**2/(2*s**2))/((x - m)*s*sqrt(2*pi))",
        "(m, oo)",
        m="real",
        mu="real",
        s="positive",
    ),
    "Weibull with a start": model(
        "k/s*((x - m)/s)**(k - 1)*exp(-((x - m)/s)**k)", "(m, oo)", m="real", k="positive", s="positive"
    ),
    "vanishes at the edge": model("2*(t - x)/t**2", "(0, t)", t="positive"),
    "fixed support": model("exp(-x/t)/t", "(0, oo)", t="positive"),
    "binomial size": {**model("binomial(N, x)/2**N", "{0..N}", N="integer >= 1")},
}


@pytest.mark.parametrize("name", NOT_MONOTONE)
def test_no_edge_is_claimed(name: str) -> None:
    from symmle.likelihood import build_likelihood
    from symmle.reductions.support import Support
    from symmle.strategies.problem import Skipped

    def never(declaration: Any) -> Any:
        raise AssertionError("nothing was reduced")

    likelihood = build_likelihood(Model.from_dict(NOT_MONOTONE[name]).declaration)
    assert isinstance(Support().attempt(likelihood, never), Skipped)
