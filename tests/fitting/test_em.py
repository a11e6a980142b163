"""Fits of mixtures and latent variables against published values and against programs written by hand."""

from __future__ import annotations

import csv
import math
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from sympy import Eq, Expr, FiniteSet, Interval, Piecewise, S, Symbol, exp, factorial, gamma, oo, pi, sqrt

from symmle import Mixture, Model, derive, fit
from symmle.derivation import Derivation
from symmle.errors import DataError, NoMaximumError
from symmle.fitting.em_result import LatentResult

HERE = Path(__file__).parents[1]
X, N = Symbol("x", real=True), Symbol("x", integer=True, nonnegative=True)
MU, SIGMA = Symbol("mu", real=True), Symbol("sigma", positive=True)
RATE = Symbol("lambda", positive=True)
DEATHS: dict[str, Any] = dict(data=np.arange(10.0), weights=[162, 267, 271, 185, 111, 61, 27, 8, 3, 1])


def _normal(mu: Expr = MU, sigma: Expr = SIGMA) -> Expr:
    return exp(-((X - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))


@lru_cache
def _normals(k: int = 2) -> Derivation:
    return derive(Model(_normal(), data=X).mixture(k))


@lru_cache
def _poissons(k: int = 2) -> Derivation:
    return derive(Model(exp(-RATE) * RATE**N / factorial(N), data={N: S.Naturals0}).mixture(k))


def _column(name: str, column: str) -> NDArray[np.float64]:
    with (HERE / "data" / name).open() as file:
        return np.array([float(row[column]) for row in csv.DictReader(file)])


def _data(name: str) -> Any:
    if name == "acidity":
        with (HERE / "data" / "em_acidity.csv").open() as file:
            return np.array([float(list(row.values())[-1]) for row in csv.DictReader(file)])
    return _column("em_faithful.csv", name)


# --- published fits (facts: mixtools' vignette, mclust, Hasselblad 1969) ---

PUBLISHED = [
    ("waiting", -1034.00174983, (54.6148561, 5.87121941, 80.0910694, 5.86773442, 0.360886074)),
    ("eruptions", -276.36004050, (2.01860782, 0.235621771, 4.27334342, 0.437063146, 0.348404634)),
    ("acidity", -184.64470890, (4.33017047, 0.37262823, 6.24918584, 0.519635351, 0.596185641)),
]


@pytest.mark.parametrize("name, height, estimates", PUBLISHED)
def test_two_normals(name: str, height: float, estimates: tuple[float, ...]) -> None:
    result = fit(_normals(), _data(name))
    assert isinstance(result, LatentResult)
    assert result.log_likelihood == pytest.approx(height, rel=1e-8)
    assert list(result.estimates) == ["mu_1", "sigma_1", "mu_2", "sigma_2", "w"]
    assert list(result.estimates.values()) == pytest.approx(estimates, rel=1e-6)
    assert result.unbounded and "local maximum of an unbounded likelihood" in result.status
    assert result.gradient_norm is not None and result.gradient_norm < 1e-10


def test_standard_errors_are_those_of_differences() -> None:
    """Second differences of a log-likelihood written by hand give the same standard errors."""
    data = _data("eruptions")
    result = fit(_normals(), data)
    names = list(result.estimates)

    def height(theta: NDArray[np.float64]) -> float:
        t = dict(zip(names, theta, strict=True))
        parts = []
        for j, w in ((1, t["w"]), (2, 1 - t["w"])):
            mu, sigma = t[f"mu_{j}"], t[f"sigma_{j}"]
            parts.append(math.log(w / (sigma * math.sqrt(2 * math.pi))) - 0.5 * ((data - mu) / sigma) ** 2)
        return float(logsumexp(parts, axis=0).sum())

    at, p, h = np.array(list(result.estimates.values())), len(names), 1e-4
    steps = np.eye(p) * h
    hessian = np.array(
        [
            [
                (height(at + a + b) - height(at + a - b) - height(at - a + b) + height(at - a - b))
                / (4 * h * h)
                for a in steps
            ]
            for b in steps
        ]
    )
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    assert list(result.standard_errors.values()) == pytest.approx(list(errors), rel=1e-4)


def test_london_times_deaths() -> None:
    result = fit(_poissons(), **DEATHS)
    assert result.log_likelihood == pytest.approx(-1989.94585988, rel=1e-8)
    assert result.estimates == pytest.approx(
        dict(w=0.359885397, lambda_1=1.2560951, lambda_2=2.66340436), rel=1e-6
    )
    assert result.standard_errors == pytest.approx(dict(w=0.1947, lambda_1=0.3500, lambda_2=0.2505), abs=1e-4)
    assert not result.unbounded and len(result.maxima_met) == 1


def _linkage() -> Derivation:
    t = Symbol("t", positive=True)
    x, z = Symbol("x", integer=True), Symbol("z", integer=True)
    density = Piecewise(
        (S.Half, Eq(x, 0) & Eq(z, 0)),
        (t / 4, Eq(x, 0) & Eq(z, 1)),
        ((1 - t) / 4, (Eq(x, 1) | Eq(x, 2)) & Eq(z, 0)),
        (t / 4, Eq(x, 3) & Eq(z, 0)),
        (0, True),
    )
    data, latent = {x: FiniteSet(0, 1, 2, 3)}, {z: FiniteSet(0, 1)}
    return derive(Model(density, data=data, latent=latent, parameters={t: Interval.open(0, 1)}))


def test_linkage_iterates_are_those_of_dempster_laird_and_rubin() -> None:
    """Table 1 of Dempster, Laird and Rubin (1977), from 0.5, in nine digits."""
    published = [0.5, 0.608247423, 0.624321050, 0.626488879, 0.626777322]
    published += [0.626815632, 0.626820719, 0.626821394, 0.626821484]
    options: dict[str, Any] = dict(weights=[125, 18, 20, 34], method="em", start={"t": 0.5}, accelerate=False)
    result = fit(_linkage(), {"x": [0, 1, 2, 3]}, **options)
    iterates = [point["t"] for point in result.iterates]
    assert iterates[:9] == pytest.approx(published, abs=6e-10)
    assert result.estimates["t"] == pytest.approx((15 + math.sqrt(53809)) / 394, rel=1e-14)
    assert result.standard_errors["t"] == pytest.approx(0.0514673492, rel=1e-8)
    share = 0.5 / (0.5 + result.estimates["t"] / 4)
    assert result.responsibilities()[0] == pytest.approx([share, 1 - share], rel=1e-12)


def test_blood_groups() -> None:
    """Phenotypes A, B, AB, O of 521 persons; genotypes are latent."""
    result = fit(
        _corpus_derivation("abo-allele-frequencies-latent"), [0, 1, 2, 3], weights=[186, 38, 13, 284]
    )
    assert result.estimates == pytest.approx(dict(p=0.213590939, q=0.0501453289), rel=1e-8)
    assert result.standard_errors == pytest.approx(dict(p=0.0135174, q=0.00684499), rel=1e-5)
    assert result.log_likelihood == pytest.approx(-511.57146972, rel=1e-10)


def test_student_t_with_a_latent_scale_is_the_direct_fit() -> None:
    """abbey of MASS: m 9.96581488, s 3.44056807, nu 1.38207306, log-likelihood -106.95759661."""
    z, nu = Symbol("z", positive=True), Symbol("nu", positive=True)
    joint = sqrt(z) * _normal() * exp((1 - z) * (X - MU) ** 2 / (2 * SIGMA**2))
    joint *= (nu / 2) ** (nu / 2) * z ** (nu / 2 - 1) * exp(-nu * z / 2) / gamma(nu / 2)
    derivation = derive(Model(joint, data=X, latent={z: Interval.open(0, oo)}))
    assert derivation.estimator.kind == "em"
    result = fit(derivation, _abbey())
    direct = fit(Model(_student(nu), data=X), _abbey())
    assert result.estimates == pytest.approx(direct.estimates, rel=1e-8)
    assert result.log_likelihood == pytest.approx(-106.95759661, rel=1e-9)
    assert result.standard_errors == pytest.approx(direct.standard_errors, rel=1e-6)
    assert (np.diff(result.trace) > -1e-10).all() and len(result.trace) > 3


def _student(nu: Symbol) -> Expr:
    constant = gamma((nu + 1) / 2) / (gamma(nu / 2) * sqrt(nu * pi) * SIGMA)
    return constant * (1 + ((X - MU) / SIGMA) ** 2 / nu) ** (-(nu + 1) / 2)


def _abbey() -> NDArray[np.float64]:
    with (HERE / "data" / "abbey.csv").open() as file:
        return np.array([float(list(row.values())[-1]) for row in csv.DictReader(file)])


# --- the corpus ---


@lru_cache
def _cases() -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted((HERE / "corpus").glob("*.toml")):
        with path.open("rb") as file:
            for case in tomllib.load(file)["case"]:
                found[case["id"]] = case
    return found


@lru_cache
def _corpus_derivation(name: str) -> Derivation:
    return derive(Model.from_dict(_cases()[name]["model"]))


CORPUS = [
    "gmm2-common-variance", "gmm2-known-variances-latent", "gmm3-common-variance", "gmm2-free-variances",
    "geometric-mixture-2", "weibull-mixture-2", "two-coins", "binomial-mixture-2", "zero-inflated-poisson",
    "mixture-of-regressions-2", "abo-allele-frequencies-latent", "random-intercept-two-replicates",
    "zero-inflated-binomial", "coin-mixture-gambler",
]  # fmt: skip
EXCHANGED = {"geometric-mixture-2": ("p", "q"), "gmm2-known-variances-latent": ("m1", "m2")}


@pytest.mark.parametrize("name", CORPUS)
def test_corpus(name: str) -> None:
    case = _cases()[name]
    data = {k: np.array(v, dtype=float) for k, v in case["data"].items()}
    weights = data.pop("weights", None)
    derivation = _corpus_derivation(name)
    assert derivation.estimator.em is not None
    result = fit(derivation, data, weights=weights, method="em")
    reference = case["reference"]
    assert result.log_likelihood == pytest.approx(reference["loglik"], rel=1e-8)
    estimates, errors = dict(reference["estimate"]), dict(reference["se"])
    if name in EXCHANGED:  # the same law with its components in the other order
        one, other = EXCHANGED[name]
        first = estimates[one] > estimates[other]
        if first == (result.estimates[one] < result.estimates[other]):
            estimates[one], estimates[other] = estimates[other], estimates[one]
            errors[one], errors[other] = errors[other], errors[one]
            estimates["w"] = 1 - estimates["w"]
    assert result.estimates == pytest.approx(estimates, rel=1e-6)
    assert result.standard_errors == pytest.approx(errors, rel=1e-4)
    assert result.gradient_norm is not None and result.gradient_norm < 1e-10


def test_the_gambler_has_two_maxima() -> None:
    """Hosten, Khetan and Sturmfels (2005): a global and a lower local maximum up to exchange."""
    case = _cases()["coin-mixture-gambler"]
    data = {k: np.array(v, dtype=float) for k, v in case["data"].items()}
    weights = data.pop("weights")
    result = fit(_corpus_derivation(case["id"]), data, weights=weights, restarts=20)
    heights = [m["log_likelihood"] for m in result.maxima_met]
    assert heights == pytest.approx([-391.434671952363, -394.974666080299], rel=1e-9)


def test_the_gambler_has_six_isolated_stationary_points() -> None:
    case = _cases()["coin-mixture-gambler"]
    data = {k: np.array(v, dtype=float) for k, v in case["data"].items()}
    weights = data.pop("weights")
    points: Any = _corpus_derivation(case["id"]).stationary_points(data, weights)
    expected = case["reference"]["stationary"]
    assert len(points) == len(expected) == 6
    for point in expected:
        near = [p for p in points if all(abs(float(p.values[n]) - v) < 1e-9 for n, v in point["at"].items())]
        assert len(near) == 1 and near[0].kind.value == point["kind"]
        assert near[0].log_likelihood == pytest.approx(point["loglik"], rel=1e-12)
    assert points.complete is None and "where p = q" in points.reason


# --- units, refusals, degenerate data ---


@pytest.mark.parametrize("scale", [1e-4, 1e-150, 1e150, 1e9])
def test_the_guard_is_relative_to_the_scale_of_the_data(scale: float) -> None:
    data = _data("waiting")
    usual, result = fit(_normals(), data), fit(_normals(), data * scale)
    height = usual.log_likelihood - len(data) * math.log(scale)
    assert result.log_likelihood == pytest.approx(height, rel=1e-10)
    for name, value in usual.estimates.items():
        factor = 1.0 if name == "w" else scale
        assert result.estimates[name] == pytest.approx(value * factor, rel=1e-8)
        assert result.standard_errors[name] == pytest.approx(usual.standard_errors[name] * factor, rel=1e-7)
    assert result.trace[-1] == pytest.approx(result.log_likelihood, rel=1e-10)


def test_far_from_zero() -> None:
    result = fit(_normals(), _data("waiting") + 1e9)
    assert result.estimates["mu_2"] - 1e9 == pytest.approx(80.0910694, abs=1e-5)
    assert result.log_likelihood == pytest.approx(-1034.00174983, rel=1e-8)


FAR = np.append(np.random.default_rng(1).normal(size=100), 1000.0)
REFUSED: list[tuple[str, Any, type[Exception], str]] = [
    ("constant", np.ones(50), DataError, "2 components need at least 2 distinct values"),
    ("two values", np.array([1.0, 2.0] * 20), NoMaximumError, "no local maximum was met"),
    ("three rows", np.array([1.0, 2.0, 3.0]), NoMaximumError, "no local maximum was met"),
    ("one far point", FAR, NoMaximumError, "fewer than two distinct rows"),
    ("one far point, other units", FAR * 1e-4, NoMaximumError, "fewer than two distinct rows"),
]


@pytest.mark.parametrize("data, error, words", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_only_a_degenerate_maximum(data: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fit(_normals(), data)


def test_more_components_than_distinct_values() -> None:
    with pytest.raises(DataError, match="3 components need at least 3 distinct values; the data have 2"):
        fit(_poissons(3), [4, 7] * 20)


def test_one_component_is_enough() -> None:
    """Underdispersed counts: the maximum is one Poisson law, whatever the weights."""
    counts = np.random.default_rng(0).binomial(10, 0.5, 200)
    result = fit(_poissons(), counts)
    assert result.unique is False and result.standard_errors is None
    assert result.estimates["lambda_1"] == pytest.approx(counts.mean(), rel=1e-6)
    assert result.estimates["lambda_2"] == pytest.approx(counts.mean(), rel=1e-6)
    assert "two components coincide" in result.status


def test_a_supremum_that_is_not_attained() -> None:
    """More zeros than a mixture with positive rates explains: a rate runs to 0."""
    counts = [0] * 50 + list(np.random.default_rng(2).poisson(9, 200) + 1)
    with pytest.raises(NoMaximumError, match=r"lambda_[12] -> 0") as caught:
        fit(_poissons(), counts)
    assert caught.value.supremum is not None and caught.value.supremum["log_likelihood"] < 0


def test_zero_inflation_without_too_many_zeros() -> None:
    w, x = Symbol("w"), N
    spike = Piecewise((1, Eq(x, 0)), (0, True))
    model = Mixture([spike, exp(-RATE) * RATE**x / factorial(x)], weights=(w, 1 - w), data={x: S.Naturals0})
    counts = np.random.default_rng(3).poisson(6, 100)
    with pytest.raises(NoMaximumError, match="w -> 0"):
        fit(model, counts[counts > 0])


def test_a_variance_component_that_runs_to_its_edge() -> None:
    """Pairs that differ more inside than between: the variance between them has its supremum at 0."""
    random = np.random.default_rng(4)
    y = random.normal(size=40)
    data = {"y1": y + random.normal(size=40), "y2": -y + random.normal(size=40)}
    with pytest.raises(NoMaximumError, match="rises as t goes to the edge"):
        fit(_corpus_derivation("random-intercept-two-replicates"), data)
