"""Starts, assignments, known labels, responsibilities, draws, traces and the number of components."""

from __future__ import annotations

import json
import pickle
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import kstest, norm
from sympy import Expr, S, Symbol, exp, factorial, gamma, pi, sqrt

from symmle import Mixture, Model, components, derive, fit
from symmle.derivation import Derivation
from symmle.errors import DataError, NotConvergedError, NotDerivedError, UnsoundStepError
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.em_mstep import MStep
from symmle.fitting.em_options import ASSIGNMENTS
from symmle.fitting.em_result import LatentResult
from symmle.fitting.em_run import Runner, Trail
from symmle.fitting.em_starts import KINDS

Array = NDArray[np.float64]
X, Y, Z = Symbol("x", real=True), Symbol("y", real=True), Symbol("z", real=True)
MU, SIGMA = Symbol("mu", real=True), Symbol("sigma", positive=True)
RATE = Symbol("lambda", positive=True)
RANDOM = np.random.default_rng(5)
TRUTH = RANDOM.random(300) < 0.4
DATA = np.where(TRUTH, RANDOM.normal(0, 1, 300), RANDOM.normal(4, 1.5, 300))


def _normal(x: Symbol = X, mu: Expr = MU, sigma: Expr = SIGMA) -> Expr:
    return exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))


@lru_cache
def _normals(k: int = 2) -> Derivation:
    return derive(Model(_normal(), data=X).mixture(k))


@lru_cache
def _fitted() -> LatentResult:
    result = fit(_normals(), DATA)
    assert isinstance(result, LatentResult)
    return result


def _by_hand(data: Array, t: dict[str, float]) -> Array:
    """log w_j f_j, one column a component."""
    parts = [
        np.log(w) + norm.logpdf(data, t[f"mu_{j}"], t[f"sigma_{j}"])
        for j, w in ((1, t["w"]), (2, 1 - t["w"]))
    ]
    return np.array(parts).T


# --- starts and assignments ---


@pytest.mark.parametrize("init", KINDS)
def test_every_start_leads_to_the_same_maximum(init: str) -> None:
    result = fit(_normals(), DATA, init=init, restarts=3, seed=4)
    assert result.estimates == pytest.approx(_fitted().estimates, rel=1e-8)
    assert len(result.restarts) >= 3 and result.restarts[0].start.startswith(init)
    best = max(r.log_likelihood for r in result.restarts if r.outcome == "maximum")
    assert result.log_likelihood == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("assignment", [a for a in ASSIGNMENTS if a != "classification"])
def test_assignments_are_finished_at_the_maximum(assignment: str) -> None:
    result = fit(_normals(), DATA, assignment=assignment)
    assert result.method == "em"
    assert result.estimates == pytest.approx(_fitted().estimates, rel=1e-8)


def test_classification_is_called_so() -> None:
    result = fit(_normals(), DATA, assignment="classification")
    assert result.method == "classification maximum likelihood"
    assert result.standard_errors is None and "no maximum of the likelihood" in result.status
    joint = _by_hand(DATA, result.estimates)
    assert result.trace[-1] == pytest.approx(joint.max(axis=1).sum(), rel=1e-9)
    assert (np.diff(result.trace) >= -1e-9).all()
    labels = joint.argmax(axis=1)  # plain maximum likelihood for each label
    assert result.estimates["mu_1"] == pytest.approx(DATA[labels == 0].mean(), rel=1e-9)
    assert result.estimates["sigma_2"] == pytest.approx(DATA[labels == 1].std(), rel=1e-9)
    assert result.estimates["w"] == pytest.approx((labels == 0).mean(), rel=1e-9)
    assert result.log_likelihood < _fitted().log_likelihood


@pytest.mark.parametrize(
    "options", [{"init": "best"}, {"assignment": "firm"}, {"restarts": 0}, {"restarts": True}]
)
def test_options_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        fit(_normals(), DATA, **options)


def test_options_of_em_are_for_em() -> None:
    with pytest.raises(ValueError, match="are for EM"):
        fit(Model(_normal(), data=X), DATA, init="knn")
    with pytest.raises(NotDerivedError, match="no latent structure"):
        fit(Model(_normal(), data=X), DATA, method="em")


def test_a_given_start_keeps_its_labels() -> None:
    start = {"mu_1": 4.0, "sigma_1": 1.0, "mu_2": 0.0, "sigma_2": 1.0, "w": 0.5}
    result = fit(_normals(), DATA, start=start)
    assert result.estimates["mu_1"] == pytest.approx(_fitted().estimates["mu_2"], rel=1e-8)
    assert result.estimates["w"] == pytest.approx(1 - _fitted().estimates["w"], rel=1e-8)
    assert [r.start for r in result.restarts] == ["given"]


def test_a_partial_start_is_begun_from() -> None:
    """What is given is where every run begins; the rest is found as ever."""
    result = fit(_normals(), DATA, start={"mu_1": 4.5, "sigma_1": 1.25}, restarts=3)
    assert result.iterates[0]["mu_1"] == 4.5 and result.iterates[0]["sigma_1"] == 1.25
    assert all(r.start.endswith("partly given") for r in result.restarts) and len(result.restarts) == 3
    assert result.log_likelihood == pytest.approx(_fitted().log_likelihood, rel=1e-12)


def test_the_same_call_gives_the_same_answer() -> None:
    again = [fit(_normals(), DATA).estimates for _ in range(3)]
    assert again[0] == again[1] == again[2]


def test_the_callback_stops_em() -> None:
    def stop(state: Any) -> None:
        if state.stage == "em":
            raise StopIteration

    with pytest.raises(NotConvergedError, match="em"):
        fit(_normals(), DATA, callback=stop)


def test_bounds_are_kept() -> None:
    result = fit(_normals(), DATA, bounds={"w": (0.6, 0.9)})
    assert result.estimates["w"] == pytest.approx(0.6, abs=1e-12)
    assert result.boundary and result.standard_errors is None
    joint = _by_hand(DATA, result.estimates)
    r = np.exp(joint - logsumexp(joint, axis=1)[:, None])
    means = (r * DATA[:, None]).sum(axis=0) / r.sum(axis=0)
    assert [result.estimates["mu_1"], result.estimates["mu_2"]] == pytest.approx(list(means), rel=1e-6)
    free = fit(_normals(), DATA, bounds={"w": (0.1, 0.9)})
    assert free.estimates == pytest.approx(_fitted().estimates, rel=1e-7) and not free.boundary
    other = fit(_normals(), DATA, bounds={"w": (0.5, 0.9)})  # which tells the components apart
    assert other.estimates["w"] == pytest.approx(1 - _fitted().estimates["w"], rel=1e-7)
    assert other.estimates["mu_1"] == pytest.approx(_fitted().estimates["mu_2"], rel=1e-7)


# --- what must not fall ---


class _Broken(MStep):
    """An M-step that goes the wrong way."""

    def __call__(self, *arguments: Any) -> list[float] | None:
        found = super().__call__(*arguments)
        return None if found is None else [v + 0.5 for v in found]


def test_a_fall_is_seen() -> None:
    from symmle.compiling.data import read_table
    from symmle.fitting.em import compiled, rows_for
    from symmle.fitting.plan import plan_of

    derivation = derive(
        Mixture([_normal(X, MU, S.One), _normal(X, -MU, S.One)], weights=(S.Half, S.Half), data={X: S.Reals})
    )
    plan = plan_of(derivation)
    rows = rows_for(plan, read_table(plan.model, DATA), {})
    line = [Coordinate(-np.inf, np.inf)]
    good = Runner(rows, compiled(plan).m_step, line)
    trail = Trail()
    good.em([1.0], 50, trail)
    assert (np.diff(trail.heights) >= 0).all() and len(trail.heights) > 3
    with pytest.raises(UnsoundStepError, match="observed log-likelihood fell"):
        Runner(rows, _Broken(compiled(plan).model), line).em([2.0], 50, Trail())


# --- use ---


def test_responsibilities_and_predictions() -> None:
    result = _fitted()
    new = np.array([-3.0, 1.9, 2.2, 9.0])
    joint = _by_hand(new, result.estimates)
    expected = np.exp(joint - logsumexp(joint, axis=1)[:, None])
    assert result.responsibilities(new) == pytest.approx(expected, rel=1e-10)
    assert list(result.predict(new)) == [result.branches[j] for j in expected.argmax(axis=1)]
    assert result.responsibilities().shape == (300, 2)
    assert result.responsibilities().sum(axis=1) == pytest.approx(np.ones(300))
    entropy = -(result.responsibilities() * np.log(result.responsibilities())).sum()
    assert result.icl == pytest.approx(result.bic + 2 * entropy, rel=1e-10)


def test_the_fitted_law_and_draws_from_it() -> None:
    result = _fitted()
    t = result.estimates
    x, labels = result.sample(4000, seed=1)

    def cdf(v: Array) -> Array:
        first, second = (norm.cdf(v, t[f"mu_{j}"], t[f"sigma_{j}"]) for j in (1, 2))
        found: Array = t["w"] * first + (1 - t["w"]) * second
        return found

    assert kstest(x, cdf).pvalue > 0.001
    assert (labels == result.branches[0]).mean() == pytest.approx(t["w"], abs=0.04)
    assert x[labels == result.branches[1]].mean() == pytest.approx(t["mu_2"], abs=0.15)
    assert result.distribution.cdf([0.0, 3.0]) == pytest.approx(cdf(np.array([0.0, 3.0])), rel=1e-8)
    assert result.distribution.logpdf(200.0) == pytest.approx(
        logsumexp(_by_hand(np.array([200.0]), t)), rel=1e-12
    )


def test_weights_are_counts() -> None:
    rounded = np.round(DATA, 1)
    values, counts = np.unique(rounded, return_counts=True)
    one, other = fit(_normals(), rounded), fit(_normals(), values, weights=counts)
    assert one.estimates == pytest.approx(other.estimates, rel=1e-8)
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-12)
    assert one.standard_errors == pytest.approx(other.standard_errors, rel=1e-7)


def test_large_samples_are_passed_over_few_times() -> None:
    random = np.random.default_rng(8)
    data = np.where(random.random(60_000) < 0.3, random.normal(0, 1, 60_000), random.normal(3, 2, 60_000))
    result = fit(_normals(), data)
    joint = _by_hand(data, result.estimates)
    assert result.log_likelihood == pytest.approx(logsumexp(joint, axis=1).sum(), rel=1e-11)
    r = np.exp(joint - logsumexp(joint, axis=1)[:, None])
    means = (r * data[:, None]).sum(axis=0) / r.sum(axis=0)
    assert [result.estimates["mu_1"], result.estimates["mu_2"]] == pytest.approx(list(means), rel=1e-9)
    assert result.gradient_norm is not None and result.gradient_norm < 1e-8


def test_counts_are_compressed() -> None:
    n = Symbol("n", integer=True, nonnegative=True)
    derivation = derive(Model(exp(-RATE) * RATE**n / factorial(n), data={n: S.Naturals0}).mixture(2))
    random = np.random.default_rng(9)
    data = np.where(random.random(20_000) < 0.4, random.poisson(2, 20_000), random.poisson(7, 20_000))
    values, counts = np.unique(data, return_counts=True)
    one, other = fit(derivation, data), fit(derivation, values, weights=counts)
    assert one.estimates == pytest.approx(other.estimates, rel=1e-9)


# --- known labels ---


def test_all_labels_known_is_plain_maximum_likelihood() -> None:
    labels = [1 if t else 2 for t in TRUTH]
    result = fit(_normals(), DATA, labels=labels)
    assert result.estimates["mu_1"] == pytest.approx(DATA[TRUTH].mean(), rel=1e-9)
    assert result.estimates["sigma_2"] == pytest.approx(DATA[~TRUTH].std(), rel=1e-9)
    assert result.estimates["w"] == pytest.approx(TRUTH.mean(), rel=1e-9)
    assert list(result.predict()[:5]) == [str(v) for v in labels[:5]]


def test_some_labels_known() -> None:
    """Stationary point of the likelihood in which known rows have the density of their own component."""
    labels: list[int | None] = [None] * 300
    for row in range(60):
        labels[row] = 2 if TRUTH[row] else 1  # named the other way round: no order is imposed
    result = fit(_normals(), DATA, labels=labels)
    assert result.estimates["mu_1"] > result.estimates["mu_2"]
    joint = _by_hand(DATA, result.estimates)
    known = np.where(TRUTH[:60], 1, 0)
    r = np.exp(joint - logsumexp(joint, axis=1)[:, None])
    r[:60] = np.eye(2)[known]
    height = logsumexp(joint[60:], axis=1).sum() + joint[np.arange(60), known].sum()
    assert result.log_likelihood == pytest.approx(height, rel=1e-10)
    assert r.mean(axis=0)[0] == pytest.approx(result.estimates["w"], rel=1e-8)
    assert (r[:, 1] @ DATA) / r[:, 1].sum() == pytest.approx(result.estimates["mu_2"], rel=1e-7)


@pytest.mark.parametrize(
    "labels, words", [([1, 2], "2 labels for 300 rows"), ([3] + [None] * 299, "row 0 has the label 3")]
)
def test_labels_that_do_not_fit(labels: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit(_normals(), DATA, labels=labels)


# --- other shapes of data and laws ---


def test_two_columns() -> None:
    first, second = (Symbol(n, real=True) for n in ("a", "b"))
    law = _normal(X, first, S.One) * _normal(Y, second, S.One)
    derivation = derive(Model(law, data={X: S.Reals, Y: S.Reals}).mixture(2))
    random = np.random.default_rng(6)
    group = random.random(200) < 0.5
    data = {"x": random.normal(3.0 * group), "y": random.normal(-2.0 * group)}
    result = fit(derivation, data)
    t = result.estimates
    parts = [
        np.log(w) + norm.logpdf(data["x"], t[f"a_{j}"]) + norm.logpdf(data["y"], t[f"b_{j}"])
        for j, w in ((1, t["w"]), (2, 1 - t["w"]))
    ]
    assert result.log_likelihood == pytest.approx(logsumexp(parts, axis=0).sum(), rel=1e-10)
    assert (t["a_1"], t["a_2"]) == pytest.approx((0.0, 3.0), abs=0.4)
    assert (result.predict(data) == result.branches[1]).mean() == pytest.approx(group.mean(), abs=0.08)


def test_components_of_different_families_without_a_closed_m_step() -> None:
    """A normal beside a gamma law, whose shape has no closed form."""
    shape, rate, w = Symbol("a", positive=True), Symbol("b", positive=True), Symbol("w")
    x = Symbol("x", positive=True)
    laws = [rate**shape * x ** (shape - 1) * exp(-rate * x) / gamma(shape), RATE * exp(-RATE * x)]
    derivation = derive(Mixture(laws, weights=(w, 1 - w), data={x: S.Reals & _positive()}))
    random = np.random.default_rng(7)
    data = np.append(random.gamma(9.0, 0.5, 200), random.exponential(0.5, 150))
    result = fit(derivation, data)
    t = result.estimates
    assert (np.diff(result.trace) >= -1e-9).all()
    assert result.gradient_norm is not None and result.gradient_norm < 1e-8
    assert t["lambda"] == pytest.approx(2.0, abs=0.7) and t["w"] == pytest.approx(4 / 7, abs=0.1)


def _positive() -> Any:
    from sympy import Interval, oo

    return Interval.open(0, oo)


# --- the number of components, keeping results ---


def test_the_number_of_components() -> None:
    data = DATA + 5.0 * (~TRUTH)
    found = components(Model(_normal(), data=X), data, most=3)
    assert found.best("bic") == 2 and found.best("icl") == 2
    assert found[2].log_likelihood == pytest.approx(fit(_normals(), data).log_likelihood, rel=1e-10)
    assert found.criterion(1, "icl") == found[1].bic
    table = found.table()
    assert "ICL" in table and table.count("*") == 3
    with pytest.raises(ValueError, match="criterion"):
        found.best("aicc")


def test_results_are_kept_and_drawn() -> None:
    result = _fitted()
    again = pickle.loads(pickle.dumps(result))
    assert again.estimates == result.estimates and again.trace == result.trace
    assert again.responsibilities([1.0]) == pytest.approx(result.responsibilities([1.0]))
    assert json.loads(result.to_json())["log_likelihood"] == pytest.approx(result.log_likelihood)
    assert result.plot_trace().axes[0].get_ylabel() == "log-likelihood"
    assert "em" in result.summary()
    low, high = result.confidence_intervals()["mu_2"]
    assert low < result.estimates["mu_2"] < high
