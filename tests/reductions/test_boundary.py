"""Closed ends of domains: clipped closed forms, other parameters solved again, edges compared by value."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import gammaln, xlogy
from sympy import Interval, oo

from symmle import Model, derive, fit
from symmle.certify.clipped import Clipped, has_convex_image
from symmle.certify.exponential import FullExponentialFamily
from symmle.derivation import Derivation
from symmle.errors import NoMaximumError
from symmle.estimator import Kind
from symmle.reductions.boundary_space import closed_ends, larger_spaces, opened_where_undefined

R, P = "(-oo, oo)", "(0, oo)"
NORMAL = "exp(-(x - mu)**2/(2*sigma**2))/(sigma*sqrt(2*pi))"
BERNOULLI = "p**x*(1 - p)**(1 - x)"
POISSON = "lam**x*exp(-lam)/factorial(x)"
TWO = [
    {"data": {"x": "{0..oo}"}, "density": "l1**x*exp(-l1)/factorial(x)"},
    {"data": {"y": "{0..oo}"}, "density": "l2**y*exp(-l2)/factorial(y)"},
]
LINE = "exp(-(y - a - b*z)**2/(2*sigma**2))/(sigma*sqrt(2*pi))"
GAMMA = "b**a*x**(a - 1)*exp(-b*x)/gamma(a)"

MODELS: dict[str, dict[str, Any]] = {
    "bernoulli at most half": {
        "data": {"x": "{0, 1}"},
        "parameters": {"p": "[0, 1/2]"},
        "density": BERNOULLI,
    },
    "bernoulli in thirds": {"data": {"x": "{0, 1}"}, "parameters": {"p": "[1/3, 2/3]"}, "density": BERNOULLI},
    "bernoulli closed": {"data": {"x": "{0, 1}"}, "parameters": {"p": "[0, 1]"}, "density": BERNOULLI},
    "poisson at least 1": {"data": {"x": "{0..oo}"}, "parameters": {"lam": "[1, oo)"}, "density": POISSON},
    "poisson not negative": {
        "data": {"x": "{0..oo}"},
        "parameters": {"lam": "nonnegative"},
        "density": POISSON,
    },
    "poisson of a scale": {
        "data": {"x": "{0..oo}"},
        "parameters": {"theta": "[1, 2]"},
        "density": "theta**(-x)*exp(-1/theta)/factorial(x)",
    },
    "geometric": {"data": {"x": "{0..oo}"}, "parameters": {"p": "[1/2, 1]"}, "density": "p*(1 - p)**x"},
    "exponential at least 1": {
        "data": {"x": P},
        "parameters": {"lam": "[1, oo)"},
        "density": "lam*exp(-lam*x)",
    },
    "normal mean": {
        "data": {"x": R},
        "parameters": {"mu": "nonnegative", "sigma": "positive"},
        "density": NORMAL,
    },
    "normal mean in [0, 1]": {
        "data": {"x": R},
        "parameters": {"mu": "[0, 1]", "sigma": P},
        "density": NORMAL,
    },
    "normal scale": {"data": {"x": R}, "parameters": {"mu": "real", "sigma": "[1, oo)"}, "density": NORMAL},
    "normal box": {"data": {"x": R}, "parameters": {"mu": "[0, 1]", "sigma": "[1, 2]"}, "density": NORMAL},
    "slope": {
        "data": {"y": R},
        "covariates": ["z"],
        "parameters": {"a": "real", "b": "nonnegative", "sigma": "positive"},
        "density": LINE,
    },
    "two rates": {"samples": TWO, "parameters": {"l1": "[1, oo)", "l2": "[2, 4]"}},
    "scale not negative": {
        "data": {"x": R},
        "parameters": {"mu": "real", "sigma": "nonnegative"},
        "density": NORMAL,
    },
    "gamma shape": {"data": {"x": P}, "parameters": {"a": "[1, oo)", "b": "positive"}, "density": GAMMA},
    "cauchy": {"data": {"x": R}, "parameters": {"mu": "nonnegative"}, "density": "1/(pi*(1 + (x - mu)**2))"},
    "correlation": {
        "data": {"x": R, "y": R},
        "parameters": {"rho": "[0, 1)"},
        "density": "exp(-(x**2 - 2*rho*x*y + y**2)/(2*(1 - rho**2)))/(2*pi*sqrt(1 - rho**2))",
    },
}


@cache
def derived(name: str) -> Derivation:
    return derive(Model.from_dict(MODELS[name]))


def clip(value: float, low: float = -np.inf, high: float = np.inf) -> float:
    return float(min(max(value, low), high))


def normal_at(x: Any, mu: float) -> dict[str, float]:
    return {"mu": mu, "sigma": float(np.sqrt(np.mean((x - mu) ** 2)))}


def line(d: dict[str, Any]) -> dict[str, float]:
    y, z = d["y"], d["z"]
    b = max(0.0, float(np.cov(y, z, bias=True)[0, 1] / np.var(z)))
    a = float(np.mean(y) - b * np.mean(z))
    return {"a": a, "b": b, "sigma": float(np.sqrt(np.mean((y - a - b * z) ** 2)))}


def bits(r: Any) -> dict[str, Any]:
    return {"x": (r.random(r.integers(1, 12)) < r.choice([0, 0.2, 0.5, 0.7, 1])).astype(float)}


def counts(r: Any) -> dict[str, Any]:
    return {"x": r.poisson(r.choice([0.1, 0.8, 1.2, 4]), r.integers(1, 12)).astype(float)}


def reals(r: Any) -> dict[str, Any]:
    return {"x": r.normal(r.choice([-2, 0, 0.5, 1, 3]), r.choice([0.3, 1, 1.5, 4]), r.integers(2, 20))}


def waits(r: Any) -> dict[str, Any]:
    return {"x": r.exponential(r.choice([0.3, 0.8, 1, 2]), r.integers(2, 20))}


def lines(r: Any) -> dict[str, Any]:
    z = r.normal(1, 2, r.integers(4, 20))
    return {"z": z, "y": r.choice([-1, -0.1, 0, 0.1, 1]) * z + r.normal(0, 1, len(z))}


def rates(r: Any) -> dict[str, Any]:
    return {
        "x": r.poisson(1.2, r.integers(1, 12)).astype(float),
        "y": r.poisson(3, r.integers(1, 12)).astype(float),
    }


def mean(d: dict[str, Any]) -> float:
    return float(np.mean(d["x"]))


# model, its answer in NumPy, random data
CLOSED = [
    ("bernoulli at most half", lambda d: {"p": clip(mean(d), 0, 0.5)}, bits),
    ("bernoulli in thirds", lambda d: {"p": clip(mean(d), 1 / 3, 2 / 3)}, bits),
    ("bernoulli closed", lambda d: {"p": mean(d)}, bits),
    ("poisson at least 1", lambda d: {"lam": clip(mean(d), 1)}, counts),
    ("poisson not negative", lambda d: {"lam": mean(d)}, counts),
    ("poisson of a scale", lambda d: {"theta": clip(1 / mean(d) if mean(d) else np.inf, 1, 2)}, counts),
    ("geometric", lambda d: {"p": clip(1 / (1 + mean(d)), 0.5)}, counts),
    ("exponential at least 1", lambda d: {"lam": clip(1 / mean(d), 1)}, waits),
    ("normal mean", lambda d: normal_at(d["x"], clip(mean(d), 0)), reals),
    ("normal mean in [0, 1]", lambda d: normal_at(d["x"], clip(mean(d), 0, 1)), reals),
    ("normal scale", lambda d: {"mu": mean(d), "sigma": clip(float(np.std(d["x"])), 1)}, reals),
    (
        "normal box",
        lambda d: (lambda f: {"mu": f["mu"], "sigma": clip(f["sigma"], 1, 2)})(
            normal_at(d["x"], clip(mean(d), 0, 1))
        ),
        reals,
    ),
    ("slope", line, lines),
    ("two rates", lambda d: {"l1": clip(mean(d), 1), "l2": clip(float(np.mean(d["y"])), 2, 4)}, rates),
]


@pytest.mark.parametrize(("name", "answer", "data"), CLOSED, ids=[row[0] for row in CLOSED])
def test_a_clipped_estimate_is_closed_proved_and_right_on_random_data(
    name: str, answer: Any, data: Any
) -> None:
    derivation = derived(name)
    point = derivation.estimator.points[0]
    assert derivation.estimator.kind == "closed form"
    assert not derivation.estimator.remaining
    assert point.kind is Kind.GLOBAL_MAXIMUM
    assert point.certificate is not None
    on_edge = 0
    for seed in range(50):
        sample = data(np.random.default_rng(seed))
        result = fit(derivation, sample)
        wanted = answer(sample)
        assert result.estimates == pytest.approx(wanted, rel=1e-9, abs=1e-12), seed
        assert np.isfinite(result.log_likelihood)
        assert (result.standard_errors is None) == result.boundary
        on_edge += result.boundary
    assert on_edge or name in ("poisson not negative",)


@pytest.mark.parametrize("name", [row[0] for row in CLOSED] + ["gamma shape", "cauchy", "correlation"])
def test_every_step_verifies_and_the_reason_is_recorded(name: str) -> None:
    derivation = derived(name)
    verification = derivation.verify()
    assert verification, str(verification)
    reasons = [s.detail("reason") for s in derivation.steps if s.rule == "why not the score"]
    assert reasons[0] == "closed edge"
    if derivation.estimator.closed:
        assert derivation.estimator.points[0].certificate is not None
        assert [s.rule for s in derivation.steps].count("certificate") == 1


# model, a degenerate sample, the answer (None: no maximum)
DEGENERATE = [
    ("bernoulli at most half", {"x": [0.0, 0.0]}, {"p": 0.0}),
    ("bernoulli at most half", {"x": [1.0]}, {"p": 0.5}),
    ("poisson not negative", {"x": [0.0, 0.0, 0.0]}, {"lam": 0.0}),
    ("poisson of a scale", {"x": [0.0, 0.0]}, {"theta": 2.0}),
    ("geometric", {"x": [0.0, 0.0]}, {"p": 1.0}),
    ("normal mean", {"x": [-3.0, -3.0]}, {"mu": 0.0, "sigma": 3.0}),
    ("normal mean", {"x": [3.0, 3.0]}, None),
    ("normal mean in [0, 1]", {"x": [0.5, 0.5]}, None),
    ("normal mean in [0, 1]", {"x": [2.0, 2.0]}, {"mu": 1.0, "sigma": 1.0}),
    ("normal scale", {"x": [2.0, 2.0]}, {"mu": 2.0, "sigma": 1.0}),
    ("slope", {"z": [1.0, 2.0], "y": [3.0, 1.0]}, {"a": 2.0, "b": 0.0, "sigma": 1.0}),
    ("slope", {"z": [1.0, 2.0], "y": [1.0, 3.0]}, None),
    ("slope", {"z": [1.0, 1.0, 1.0], "y": [1.0, 3.0, 2.0]}, None),
    ("gamma shape", {"x": [2.0, 2.0]}, None),
    ("scale not negative", {"x": [2.0, 2.0]}, None),
]


@pytest.mark.parametrize(("name", "data", "answer"), DEGENERATE)
def test_degenerate_samples(name: str, data: dict[str, Any], answer: dict[str, float] | None) -> None:
    if answer is None:
        with pytest.raises(NoMaximumError):
            fit(derived(name), data)
        return
    assert fit(derived(name), data).estimates == pytest.approx(answer, abs=1e-12)


def test_the_log_likelihood_at_an_edge_counts_zero_to_the_zero_as_one() -> None:
    assert fit(derived("bernoulli at most half"), {"x": [0.0] * 5}).log_likelihood == 0.0
    sample = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    assert fit(derived("bernoulli at most half"), {"x": sample}).log_likelihood == pytest.approx(
        5 * np.log(0.5)
    )
    assert xlogy(0.0, 0.0) == 0.0


def gamma_height(t: Any, x: Any) -> float:
    a, b = t
    return float(np.sum(a * np.log(b) + (a - 1) * np.log(x) - b * x - gammaln(a)))


def test_without_a_closed_form_the_inside_and_the_edge_are_compared() -> None:
    derivation = derived("gamma shape")
    assert [dict(face.at) for face in derivation.estimator.faces][0] == {}
    assert isinstance(derivation.estimator.points[0].certificate, Clipped)
    for seed in range(12):
        r = np.random.default_rng(seed)
        x = r.gamma(r.choice([0.5, 1, 1.1, 3]), r.choice([0.5, 2]), r.integers(3, 30))
        result = fit(derivation, {"x": x})
        ours = list(result.estimates.values())
        best = max(
            -minimize(
                lambda t, x=x: -gamma_height(t, x),
                start,
                bounds=[(1, None), (1e-6, None)],
                method=method,
            ).fun
            for start in (ours, [1.0, 1 / x.mean()], [3.0, 3 / x.mean()])
            for method in ("L-BFGS-B", "Nelder-Mead")
        )
        assert ours[0] >= 1
        assert result.log_likelihood == pytest.approx(gamma_height(ours, x), rel=1e-9)
        assert best <= result.log_likelihood + 1e-7 * (1 + abs(best))


# no theorem says that these likelihoods have one maximum: the roots and the ends are compared, nothing is claimed
UNPROVED = [
    ("cauchy", "mu", lambda t, d: -np.sum(np.log(np.pi * (1 + (d["x"] - t) ** 2))), np.linspace(0, 12, 4001)),
    (
        "correlation",
        "rho",
        lambda t, d: np.sum(
            -(d["x"] ** 2 - 2 * t * d["x"] * d["y"] + d["y"] ** 2) / (2 * (1 - t**2))
            - np.log(2 * np.pi * np.sqrt(1 - t**2))
        ),
        np.linspace(0, 0.9999, 4001),
    ),
]


@pytest.mark.parametrize(("name", "parameter", "height", "grid"), UNPROVED)
def test_what_is_not_unimodal_is_not_claimed_and_still_right(
    name: str, parameter: str, height: Any, grid: Any
) -> None:
    derivation = derived(name)
    assert derivation.estimator.points[0].kind is Kind.UNDECIDED
    assert derivation.estimator.points[0].certificate is None
    for seed in range(15):
        r = np.random.default_rng(seed)
        x = r.normal(r.choice([-2, 0, 3]), 3, r.integers(2, 12))
        data = (
            {"x": x}
            if name == "cauchy"
            else {"x": x, "y": r.choice([-0.5, 0, 0.8]) * x + r.normal(0, 1, len(x))}
        )
        result = fit(derivation, data)
        best = max(float(height(t, data)) for t in grid)
        assert result.log_likelihood == pytest.approx(
            float(height(result.estimates[parameter], data)), rel=1e-9
        )
        assert best <= result.log_likelihood + 1e-7 * (1 + abs(best))


def declaration_of(name: str) -> Any:
    return Model.from_dict(MODELS[name]).declaration


# model, parameter, the larger interval on which its density is one
SPACES = [
    ("bernoulli at most half", "p", Interval.open(0, 1)),
    ("poisson at least 1", "lam", Interval.open(0, oo)),
    ("normal mean", "mu", Interval.open(-oo, oo)),
    ("normal scale", "sigma", Interval.open(0, oo)),
    ("slope", "b", Interval.open(-oo, oo)),
    ("correlation", "rho", Interval.open(-1, 1)),
]


@pytest.mark.parametrize(("name", "parameter", "domain"), SPACES)
def test_the_larger_space_is_where_the_density_is_one(name: str, parameter: str, domain: Interval) -> None:
    declaration = declaration_of(name)
    (p,) = [q for q in declaration.parameters if q.name == parameter]
    larger = next(larger_spaces(declaration, p))
    (q,) = [q for q in larger.declaration.parameters if q.name == parameter]
    assert larger.declaration.parameters[q] == domain
    assert larger.back[q] == p


@pytest.mark.parametrize(
    ("name", "left"),
    [("scale not negative", 0), ("bernoulli closed", 1), ("poisson not negative", 1), ("geometric", 1)],
)
def test_ends_without_a_density_are_no_ends(name: str, left: int) -> None:
    assert len(closed_ends(opened_where_undefined(declaration_of(name)))) == left


@pytest.mark.parametrize(
    ("where", "convex"), [((), True), (("sigma - 1",), True), (("sigma - mu**2",), False)]
)
def test_convexity_of_the_space_in_the_natural_coordinates(where: tuple[str, ...], convex: bool) -> None:
    table = {"data": {"x": R}, "parameters": {"mu": "real", "sigma": "positive"}, "density": NORMAL}
    derivation = derive(Model.from_dict(table))
    certificate = derivation.estimator.points[0].certificate
    assert isinstance(certificate, FullExponentialFamily)
    declaration = Model.from_dict({**table, "where": list(where)}).declaration
    assert has_convex_image(certificate, declaration) is convex


def test_a_false_clip_is_refuted() -> None:
    certificate = derived("normal scale").estimator.points[0].certificate
    assert isinstance(certificate, Clipped)
    assert certificate.check()[0]
    mu, sigma = (p for p, _ in certificate.closed)
    closed = dict(certificate.closed)
    wrong = replace(certificate, closed=((mu, closed[mu]), (sigma, closed[sigma] + 1)))
    assert not wrong.check()[0]


# nothing with a closed end, or a matter of another rule
OTHERS = [
    {"data": {"x": R}, "parameters": {"mu": "real", "sigma": "positive"}, "density": NORMAL},
    {"data": {"x": "[0, theta]"}, "parameters": {"theta": "positive"}, "density": "1/theta"},
    {"data": {"x": "{0, 1}"}, "parameters": {"p": "{1/4, 3/4}"}, "density": BERNOULLI},
]


@pytest.mark.parametrize("table", OTHERS)
def test_other_models_are_left_to_other_rules(table: dict[str, Any]) -> None:
    derivation = derive(Model.from_dict(table))
    assert not any(s.detail("reason") == "closed edge" for s in derivation.steps)
    assert not any(a.strategy == "closed boundary" for a in derivation.attempts)
