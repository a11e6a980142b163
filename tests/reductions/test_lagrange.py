"""Equality constraints: the Lagrangian, free parameters of the constraint set, elimination, points on the set."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import gammaln
from sympy import sqrt

from symmle import Model, derive, fit
from symmle.algebra.constraints import parametrisations
from symmle.certify.competitors import never_beaten
from symmle.certify.lagrange import LargestOnCompact, OnConstraints, is_ellipsoid
from symmle.derivation import Derivation
from symmle.errors import NoMaximumError
from symmle.estimator import Kind
from symmle.sampling import RandomPoints, as_numbers

R, P, U = "(-oo, oo)", "(0, oo)", "(0, 1)"
THREE = "Piecewise((p1, Eq(x, 1)), (p2, Eq(x, 2)), (p3, True))"
FOUR = "Piecewise((a11, Eq(x, 1)), (a12, Eq(x, 2)), (a21, Eq(x, 3)), (a22, True))"
PLANE = "exp(-((x - a)**2 + (y - b)**2)/2)/(2*pi)"
NORMAL = "exp(-(x - mu)**2/(2*sigma**2))/(sigma*sqrt(2*pi))"
GAMMA = "b**a*x**(a - 1)*exp(-b*x)/gamma(a)"


EXPONENTIALS = [
    {"data": {"x": P}, "density": "l1*exp(-l1*x)"},
    {"data": {"y": P}, "density": "l2*exp(-l2*y)"},
]
POISSONS = [
    {"data": {"x": "{0..oo}"}, "density": "l1**x*exp(-l1)/factorial(x)"},
    {"data": {"y": "{0..oo}"}, "density": "l2**y*exp(-l2)/factorial(y)"},
]
RATES = {"l1": "positive", "l2": "positive"}

MODELS: dict[str, dict[str, Any]] = {
    "hardy-weinberg": {
        "data": {"x": "{1, 2, 3}"},
        "parameters": {"p1": U, "p2": U, "p3": U},
        "density": THREE,
        "constraints": ["p1 + p2 + p3 - 1", "p2**2 - 4*p1*p3"],
    },
    "independence": {
        "data": {"x": "{1, 2, 3, 4}"},
        "parameters": {"a11": U, "a12": U, "a21": U, "a22": U},
        "density": FOUR,
        "constraints": ["a11 + a12 + a21 + a22 - 1", "a11*a22 - a12*a21"],
    },
    "circle": {
        "data": {"x": R, "y": R},
        "parameters": {"a": "real", "b": "real"},
        "density": PLANE,
        "constraints": ["a**2 + b**2 - 1"],
    },
    "hyperbola": {
        "data": {"x": R, "y": R},
        "parameters": {"a": "positive", "b": "positive"},
        "density": PLANE,
        "constraints": ["a*b - 1"],
    },
    "variation 1": {
        "data": {"x": R},
        "parameters": {"mu": "real", "sigma": "positive"},
        "density": NORMAL,
        "constraints": ["mu**2 - sigma**2"],
    },
    "variation 1, positive": {
        "data": {"x": R},
        "parameters": {"mu": "positive", "sigma": "positive"},
        "density": NORMAL,
        "constraints": ["mu**2 - sigma**2"],
    },
    "product of rates": {"samples": EXPONENTIALS, "parameters": RATES, "constraints": ["l1*l2 - 1"]},
    "square of rates": {"samples": EXPONENTIALS, "parameters": RATES, "constraints": ["l1 - l2**2"]},
    "product of means": {"samples": POISSONS, "parameters": RATES, "constraints": ["l1*l2 - 1"]},
    "ratio of means": {"samples": POISSONS, "parameters": RATES, "constraints": ["l1/l2 - 2"]},
    "gamma with mean 2": {
        "data": {"x": P},
        "parameters": {"a": "positive", "b": "positive"},
        "density": GAMMA,
        "constraints": ["a/b - 2"],
    },
    "simplex": {
        "data": {"x": "{1, 2, 3}"},
        "parameters": {"p1": U, "p2": U, "p3": U},
        "density": THREE,
        "constraints": ["p1 + p2 + p3 - 1"],
    },
    "simplex, closed": {
        "data": {"x": "{1, 2, 3}"},
        "parameters": {"p1": "[0, 1]", "p2": "[0, 1]", "p3": "[0, 1]"},
        "density": THREE,
        "constraints": ["p1 + p2 + p3 - 1"],
    },
}


@cache
def derived(name: str) -> Derivation:
    return derive(Model.from_dict(MODELS[name]))


def shares(x: Any, count: int) -> Any:
    return np.array([np.mean(x == k + 1) for k in range(count)])


def hardy(d: dict[str, Any]) -> list[float]:
    f = shares(d["x"], 3)
    q = f[0] + f[1] / 2
    return [q**2, 2 * q * (1 - q), (1 - q) ** 2]


def margins(d: dict[str, Any]) -> list[float]:
    f = shares(d["x"], 4)
    row, column = f[0] + f[1], f[0] + f[2]
    return [row * column, row * (1 - column), (1 - row) * column, (1 - row) * (1 - column)]


def direction(d: dict[str, Any]) -> list[float]:
    m = np.array([d["x"].mean(), d["y"].mean()])
    return list(m / np.hypot(*m))


def positive_variation(d: dict[str, Any]) -> list[float]:
    m, q = d["x"].mean(), np.mean(d["x"] ** 2)
    s = (np.sqrt(m**2 + 4 * q) - m) / 2
    return [s, s]


def product_of_rates(d: dict[str, Any]) -> list[float]:
    # n1 - n2 - l T1 + T2/l = 0
    n1, n2, s, t = len(d["x"]), len(d["y"]), d["x"].sum(), d["y"].sum()
    l = ((n1 - n2) + np.sqrt((n1 - n2) ** 2 + 4 * s * t)) / (2 * s)
    return [l, 1 / l]


def square_of_rates(d: dict[str, Any]) -> list[float]:
    # l = k**2: (2 n1 + n2)/k - 2 k T1 - T2 = 0
    n, s, t = 2 * len(d["x"]) + len(d["y"]), d["x"].sum(), d["y"].sum()
    k = (-t + np.sqrt(t**2 + 8 * s * n)) / (4 * s)
    return [k**2, k]


def ratio_of_means(d: dict[str, Any]) -> list[float]:
    l = (d["x"].sum() + d["y"].sum()) / (2 * len(d["x"]) + len(d["y"]))
    return [2 * l, l]


def types(count: int) -> Any:
    def draw(r: Any) -> dict[str, Any]:
        drawn = r.choice(np.arange(1, count + 1), p=r.dirichlet(np.full(count, 3.0)), size=r.integers(3, 40))
        return {"x": np.append(drawn, np.arange(1, count + 1)).astype(float)}

    return draw


def points(r: Any) -> dict[str, Any]:
    n = r.integers(1, 20)
    return {"x": r.normal(r.normal(0, 1.5), 1, n), "y": r.normal(r.normal(0, 1.5), 1, n)}


def reals(r: Any) -> dict[str, Any]:
    return {"x": r.normal(r.normal(0, 2), r.choice([0.3, 1, 3]), r.integers(2, 20))}


def waits(r: Any) -> dict[str, Any]:
    return {"x": r.exponential(2, r.integers(1, 15)), "y": r.exponential(0.5, r.integers(1, 15))}


def counts(r: Any) -> dict[str, Any]:
    draws = (
        np.append(r.poisson(r.choice([0.3, 1, 3]), r.integers(1, 15)), 1).astype(float) for _ in range(2)
    )
    return dict(zip("xy", draws, strict=True))


# model, its answer in NumPy, random data, certificate
CLOSED = [
    ("hardy-weinberg", hardy, types(3), OnConstraints),
    ("independence", margins, types(4), OnConstraints),
    ("circle", direction, points, LargestOnCompact),
    ("variation 1, positive", positive_variation, reals, OnConstraints),
    ("product of rates", product_of_rates, waits, OnConstraints),
    ("square of rates", square_of_rates, waits, object),
    ("ratio of means", ratio_of_means, counts, OnConstraints),
    ("simplex", lambda d: list(shares(d["x"], 3)), types(3), object),
    ("simplex, closed", lambda d: list(shares(d["x"], 3)), types(3), object),
]


@pytest.mark.parametrize(("name", "answer", "data", "certificate"), CLOSED, ids=[row[0] for row in CLOSED])
def test_constrained_maxima_in_closed_form(name: str, answer: Any, data: Any, certificate: Any) -> None:
    derivation = derived(name)
    point = derivation.estimator.points[0]
    assert set(derivation.estimator.closed) == set(derivation.model.parameters)
    assert point.kind is Kind.GLOBAL_MAXIMUM
    assert isinstance(point.certificate, certificate)
    for seed in range(50):
        sample = data(np.random.default_rng(seed))
        assert list(fit(derivation, sample).estimates.values()) == pytest.approx(answer(sample), rel=1e-9), (
            seed
        )


@pytest.mark.parametrize("name", [n for n in MODELS if n != "simplex, closed"])
def test_every_step_verifies(name: str) -> None:
    verification = derived(name).verify()
    assert verification, str(verification)


@pytest.mark.parametrize(
    "name", [n for n in MODELS if not n.startswith("simplex") and n != "square of rates"]
)
def test_the_lagrangian_is_recorded(name: str) -> None:
    steps = {s.rule: s for s in derived(name).steps}
    assert steps["why not the score"].detail("reason") == "constraint"
    multipliers = steps["lagrange"].detail("multipliers")
    assert len(multipliers) == len(MODELS[name]["constraints"])  # type: ignore[arg-type]
    assert all(e.free_symbols & set(multipliers) for e in steps["lagrange"].after)  # type: ignore[call-overload]


def height(x: Any, mu: float, sigma: float) -> float:
    return float(np.sum(-((x - mu) ** 2) / (2 * sigma**2) - np.log(sigma) - np.log(2 * np.pi) / 2))


def test_several_branches_are_compared_by_value_and_none_is_claimed() -> None:
    derivation = derived("variation 1")
    assert derivation.estimator.points[0].kind is Kind.UNDECIDED
    for seed in range(50):
        x = reals(np.random.default_rng(seed))["x"]
        result = fit(derivation, {"x": x})
        best = max(
            -minimize_scalar(
                lambda t, side=side, x=x: -height(x, side * np.exp(t), np.exp(t)),
                bounds=(-8, 8),
                method="bounded",
                options={"xatol": 1e-11},
            ).fun
            for side in (1, -1)
        )
        assert result.estimates["sigma"] == pytest.approx(abs(result.estimates["mu"]))
        assert best <= result.log_likelihood + 1e-7 * (1 + abs(best))


def gamma_height(a: float, x: Any) -> float:
    return float(np.sum(a * np.log(a / 2) + (a - 1) * np.log(x) - a * x / 2 - gammaln(a)))


def test_without_a_closed_form_a_free_parameter_is_left() -> None:
    estimator = derived("gamma with mean 2").estimator
    (face,) = estimator.faces
    (a,) = face.declaration.parameters
    assert {p.name: e for p, e in face.at.items()} == {"b": a / 2}
    assert estimator.points[0].kind is Kind.GLOBAL_MAXIMUM


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("hardy-weinberg", {"x": [1.0, 1.0]}),
        ("independence", {"x": [1.0, 2.0, 2.0]}),
        ("simplex", {"x": [1.0, 2.0]}),
        ("product of means", {"x": [0.0], "y": [0.0, 0.0]}),
    ],
)
def test_samples_without_a_maximum_inside_or_with_one(name: str, data: dict[str, Any]) -> None:
    data = {k: np.array(v) for k, v in data.items()}
    if name == "product of means":  # -n1 l - n2/l: inside
        estimates = fit(derived(name), data).estimates
        assert estimates["l1"] == pytest.approx(np.sqrt(2))
        return
    with pytest.raises(NoMaximumError):
        fit(derived(name), data)


# constraints, how many branches, the free parameters of the first
SETS = [
    ("hardy-weinberg", 1, {"t"}),
    ("independence", 1, {"r", "q"}),
    ("circle", 2, {"a"}),
    ("hyperbola", 1, {"a"}),
    ("variation 1", 2, {"sigma"}),
    ("variation 1, positive", 1, {"mu"}),
    ("square of rates", 1, {"l2"}),
]


@pytest.mark.parametrize(("name", "count", "free"), SETS)
def test_the_constraint_set_by_free_parameters(name: str, count: int, free: set[str]) -> None:
    declaration = Model.from_dict(MODELS[name]).declaration
    found = parametrisations(declaration.constraints, declaration.parameters)
    assert found is not None
    assert len(found) == count
    assert {p.name for p in found[0].free} == free
    assert (
        parametrisations((sqrt(2) - sum(p**5 + p for p in declaration.parameters),), declaration.parameters)
        is None
    )


@pytest.mark.parametrize("name", list(MODELS))
def test_random_points_stay_on_the_set(name: str) -> None:
    declaration = Model.from_dict(MODELS[name]).declaration
    stream, near = RandomPoints(declaration, 5), 0
    for _ in range(5):
        values = stream.parameters(stream.constants())
        assert values is not None
        assert all(abs(c.xreplace(values).evalf(30)) < 1e-25 for c in declaration.constraints)
        assert all(d.contains(values[p]) == True for p, d in declaration.parameters.items())  # noqa: E712
        for point in stream.moved(as_numbers(values)):
            at = {p: mpmath.mpf(v) for p, v in point.items() if not isinstance(v, mpmath.mpc)}
            if len(at) == len(point):
                slack = 1e-10 * (1 + max(map(abs, at.values())) ** 2)
                assert all(abs(c.evalf(20, subs=at)) < slack for c in declaration.constraints)
                near += 1
    assert near


def test_competitors_stay_on_the_set_and_beat_what_is_wrong() -> None:
    derivation = derived("circle")
    likelihood, closed = derivation.likelihood, dict(derivation.estimator.closed)
    assert never_beaten(likelihood, closed)[0]
    a, b = closed
    assert not never_beaten(likelihood, {a: closed[b], b: closed[a]})[0]  # on the circle, elsewhere
    assert not never_beaten(likelihood, {a: closed[a] * 2, b: closed[b]})[0]  # off the circle


def test_false_certificates_are_refuted() -> None:
    certificate = derived("hardy-weinberg").estimator.points[0].certificate
    assert isinstance(certificate, OnConstraints)
    assert certificate.check()[0]
    (p1, e1), (p2, e2), (p3, e3) = certificate.closed
    assert not replace(certificate, closed=((p1, e3), (p2, e2), (p3, e1))).check()[0]
    assert not replace(certificate, branch=certificate.branch[1:]).check()[0]


ELLIPSOIDS: list[tuple[Any, bool]] = [
    (lambda a, b: a**2 + b**2 - 1, True),
    (lambda a, b: 2 * a**2 + a * b + b**2 - a - 3, True),
    (lambda a, b: 1 - a**2 - b**2, True),
    (lambda a, b: a * b - 1, False),
    (lambda a, b: a**2 + b**2 + 1, False),
    (lambda a, b: a**2 - b - 1, False),
    (lambda a, b: a**2 - 1, False),
]


@pytest.mark.parametrize(("constraint", "compact"), ELLIPSOIDS)
def test_ellipsoids(constraint: Any, compact: bool) -> None:
    declaration = Model.from_dict(MODELS["circle"]).declaration
    h = constraint(*declaration.parameters)
    assert is_ellipsoid(replace(declaration, constraints=(h,))) is compact
