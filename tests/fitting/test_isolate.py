"""One-parameter proofs on data: what is proved, and what must not be."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy as sp

from symmle.estimator import Kind, Scope
from symmle.fitting.intervals_forms import condensed
from symmle.fitting.intervals_orbits import Orbit, orbit_of
from symmle.fitting.intervals_program import NoEnclosureError, Rows
from symmle.fitting.intervals_sweep import Isolation, Isolator, Objective
from symmle.fitting.isolate import GlobalOnData, certified, isolate
from symmle.sample import Count, Mean

x = sp.Symbol("x", positive=True)
z = sp.Symbol("z", real=True)
t = sp.Symbol("t", positive=True)
m = sp.Symbol("m", real=True)
u = sp.Symbol("u", real=True)


def M(e: sp.Expr) -> sp.Expr:
    return Mean(e, (x,))


def R(e: sp.Expr) -> sp.Expr:
    return Mean(e, (z,))


BEARINGS = [
    17.88, 28.92, 33.0, 41.52, 42.12, 45.6, 48.48, 51.84, 51.96, 54.12, 55.56, 67.8, 68.64, 68.64, 68.88, 84.12, 93.12,
    98.64, 105.12, 105.84, 127.92, 128.04, 173.4,
]  # fmt: skip
SMALL = [0.31, 0.82, 0.55, 0.14, 0.67, 0.48, 0.91, 0.22, 0.6, 0.37]
POSITIVE = [0.74, 1.9, 0.33, 2.8, 1.2, 0.95, 3.4, 1.6, 0.5, 2.2, 1.1, 0.08]
COUNTS = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
COUNT_WEIGHTS = [70.0, 38.0, 17.0, 10.0, 9.0, 3.0, 2.0, 1.0]
CENTRED = [-2.1, -1.2, -0.7, -0.3, -0.1, 0.2, 0.4, 0.9, 1.6, 2.9]
HALF_LINE = (sp.S.Zero, sp.oo)
LINE = (-sp.oo, sp.oo)


def weibull() -> sp.Expr:
    return sp.log(t) + (t - 1) * M(sp.log(x)) - sp.log(M(x**t)) - 1


def gamma() -> sp.Expr:
    return t * sp.log(t) - t * sp.log(M(x)) + (t - 1) * M(sp.log(x)) - t - sp.loggamma(t)


def exponentiated_exponential() -> sp.Expr:
    power = -M(sp.log(1 - sp.exp(-t * x)))
    return -sp.log(power) + sp.log(t) - t * M(x) + power - 1


def kumaraswamy() -> sp.Expr:
    power = -M(sp.log(1 - x**t))
    return -sp.log(power) + sp.log(t) + (t - 1) * M(sp.log(x)) + power - 1


def chen() -> sp.Expr:
    return -sp.log(M(sp.exp(x**t)) - 1) + sp.log(t) + (t - 1) * M(sp.log(x)) + M(x**t) - 1


def negative_binomial() -> sp.Expr:
    n, p = Mean(z, (z,)), t / (t + Mean(z, (z,)))
    return R(sp.loggamma(z + t)) - sp.loggamma(t) - R(sp.loggamma(z + 1)) + t * sp.log(p) + n * sp.log(1 - p)


def exponential_power() -> sp.Expr:
    size = R(sp.Abs(z) ** t)
    return sp.log(t / 2) - sp.log(t * size) / t - sp.loggamma(1 / t) - 1 / t


def cauchy() -> sp.Expr:
    return -R(sp.log(1 + (z - u) ** 2))


def von_mises() -> sp.Expr:
    length = sp.sqrt(R(sp.cos(z)) ** 2 + R(sp.sin(z)) ** 2)
    return t * length - sp.log(sp.besseli(0, t)) - sp.log(2 * sp.pi)


def birnbaum_saunders() -> sp.Expr:
    shape = M(x) / t + t * M(1 / x) - 2
    return M(sp.log(sp.sqrt(x / t) + sp.sqrt(t / x))) - M(sp.log(x)) - sp.log(shape) / 2 - sp.Rational(1, 2)


def shifted_maxwell() -> sp.Expr:
    return 2 * M(sp.log(x - u)) - sp.Rational(3, 2) * sp.log(M((x - u) ** 2))


def power_lindley() -> sp.Expr:
    mean = M(x**t)
    b = (1 - mean + sp.sqrt((mean - 1) ** 2 + 8 * mean)) / (2 * mean)
    return sp.log(t) + 2 * sp.log(b) - sp.log(b + 1) + M(sp.log(1 + x**t)) + (t - 1) * M(sp.log(x)) - b * mean


def lomax() -> sp.Expr:
    shape = 1 / M(sp.log(1 + t * x))
    return sp.log(shape) + sp.log(t) - (shape + 1) * M(sp.log(1 + t * x))


def _objective(
    log_likelihood: sp.Expr,
    data: list[float],
    domain: tuple[sp.Expr, sp.Expr],
    weights: list[float] | None = None,
    score: bool = True,
) -> Objective:
    (column,) = next(iter(log_likelihood.atoms(Mean))).columns
    (variable,) = log_likelihood.free_symbols
    rows = Rows.of(
        {column: np.array(data, dtype=float)}, None if weights is None else np.array(weights, dtype=float)
    )
    derivative = condensed(sp.diff(log_likelihood, variable)) if score else None
    return Objective(condensed(log_likelihood), derivative, variable, *domain, (rows,))


def _estimate(objective: Objective, near: float) -> float:
    """A stationary point by Newton's iteration in floats, on the enclosures' middles."""
    from symmle.fitting.intervals import Interval
    from symmle.fitting.intervals_program import Evaluation

    at = near
    for _ in range(60):
        with np.errstate(all="ignore"):
            box = Interval.of(np.array([[at]]))
            jet = Evaluation({objective.variable: box}, objective.samples, 2).enclosure(
                objective.log_likelihood
            )
        slope, bend = jet.gradient[0], jet.hessian[0]
        assert slope is not None and bend is not None
        at -= float(slope.middle[0, 0] / bend.middle[0, 0])
    return at


PROVED: dict[str, tuple[Callable[[], sp.Expr], list[float], tuple[Any, ...], list[float] | None, float]] = {
    "weibull": (weibull, BEARINGS, HALF_LINE, None, 2.0),
    "weibull, other units": (weibull, [v * 1e-3 for v in BEARINGS], HALF_LINE, None, 2.0),
    "weibull, weighted": (weibull, POSITIVE, HALF_LINE, [1, 2, 1, 3, 1, 1, 0, 2, 1, 1, 5, 1], 1.3),
    "gamma": (gamma, POSITIVE, HALF_LINE, None, 1.5),
    "exponentiated exponential": (exponentiated_exponential, POSITIVE, HALF_LINE, None, 1.0),
    "kumaraswamy": (kumaraswamy, SMALL, HALF_LINE, None, 1.7),
    "chen": (chen, POSITIVE, HALF_LINE, None, 0.7),
    "negative binomial": (negative_binomial, COUNTS, HALF_LINE, COUNT_WEIGHTS, 1.0),
    "exponential power": (exponential_power, CENTRED, HALF_LINE, None, 1.2),
    "von mises": (von_mises, CENTRED, HALF_LINE, None, 0.5),
    "birnbaum-saunders": (birnbaum_saunders, POSITIVE, HALF_LINE, None, 1.0),
    "shifted maxwell": (shifted_maxwell, POSITIVE, (-sp.oo, sp.Rational(0.08)), None, -0.3),
    "power lindley": (power_lindley, POSITIVE, HALF_LINE, None, 1.1),
    "cauchy, one maximum far above another": (cauchy, [0.0, 0.1, -0.2, 0.3, 9.0], LINE, None, 0.05),
}  # fmt: skip


@pytest.mark.parametrize("name", PROVED)
def test_a_global_maximum_is_proved_and_proved_again(name: str) -> None:
    build, data, domain, weights, near = PROVED[name]
    objective = _objective(build(), data, domain, weights)
    estimate = _estimate(objective, near)
    found = Isolator(objective, estimate, 60.0).run()
    assert isinstance(found, Isolation), found
    assert found.root[0] - 1e-9 <= estimate <= found.root[1] + 1e-9
    certificate = certified(objective, found, estimate, 60.0)
    assert not isinstance(certificate, str), certificate
    assert certificate.kind is Kind.GLOBAL_MAXIMUM and certificate.scope is Scope.DATA
    holds, text = pickle.loads(pickle.dumps(certificate)).check()
    assert holds, text


# near-uniform: the limit p = oo lies above the interior local maximum
UNIFORM = [round(-1 + 2 * (i + 0.5) / 12, 6) for i in range(12)]

OPEN: dict[str, tuple[Callable[[], sp.Expr], list[float], tuple[Any, ...], float]] = {
    "cauchy: two equal maxima": (cauchy, [-3.0, 3.0], LINE, 8**0.5),
    "cauchy: a minimum between two maxima": (cauchy, [-3.0, 3.0], LINE, 0.0),
    "cauchy: the lower of two maxima": (cauchy, [0.0, 0.1, -0.2, 9.0], LINE, 8.9),
    "negative binomial: less spread than a Poisson law": (
        negative_binomial,
        [3, 4, 4, 5, 4, 3],
        HALF_LINE,
        50.0,
    ),
    "weibull: a sample of equal values": (weibull, [2.0, 2.0, 2.0], HALF_LINE, 5.0),
    "weibull: not the root": (weibull, POSITIVE, HALF_LINE, 3.0),
    "gamma: perturbed sign": (lambda: -gamma(), POSITIVE, HALF_LINE, 1.5),
    "weibull: perturbed sign": (lambda: weibull() - 4 * sp.log(t), POSITIVE, HALF_LINE, 1.0),
    "exponential power: the limit at infinity is higher": (exponential_power, UNIFORM, HALF_LINE, 2.0),
    "lomax: light tails": (lomax, [0.9, 1.0, 1.1, 1.05, 0.95], HALF_LINE, 1.0),
    "birnbaum-saunders: the wrong end": (birnbaum_saunders, POSITIVE, HALF_LINE, 40.0),
}


@pytest.mark.parametrize("name", OPEN)
@pytest.mark.parametrize("score", [True, False])
def test_what_is_no_unique_global_maximum_is_never_claimed(name: str, score: bool) -> None:
    build, data, domain, near = OPEN[name]
    objective = _objective(build(), data, domain, score=score)
    for estimate in (near, _estimate(objective, near)):
        inside = np.isfinite(estimate) and float(domain[0]) < estimate < float(domain[1])
        found = Isolator(objective, estimate if inside else near, 4.0).run()
        assert isinstance(found, str), (estimate, found)
        assert found


def test_random_samples_are_never_claimed_at_a_lower_maximum() -> None:
    """Cauchy and exponential-power samples with several maxima: the claim is for the highest alone."""
    generator = np.random.default_rng(7)
    for _ in range(6):
        data = list(np.round(generator.standard_cauchy(5) * 4, 3))
        objective = _objective(cauchy(), data, LINE)
        grid = np.linspace(min(data) - 5, max(data) + 5, 4001)
        values = [-np.mean(np.log1p((np.array(data) - g) ** 2)) for g in grid]
        peaks = [i for i in range(1, 4000) if values[i - 1] < values[i] > values[i + 1]]
        best = max(peaks, key=lambda i: values[i])
        for i in peaks:
            found = Isolator(objective, _estimate(objective, float(grid[i])), 5.0).run()
            if isinstance(found, Isolation):
                assert i == best, (data, grid[i], grid[best])


def test_a_score_that_is_not_the_derivative_is_found_out() -> None:
    objective = _objective(weibull(), POSITIVE, HALF_LINE)
    assert objective.score is not None
    false = Objective(objective.log_likelihood, -objective.score, t, *HALF_LINE, objective.samples)
    assert isinstance(Isolator(false, _estimate(objective, 1.3), 20.0).run(), str)


def test_the_deadline_is_kept() -> None:
    objective = _objective(weibull(), BEARINGS, HALF_LINE)
    assert Isolator(objective, 2.1, 0.0).run() == "the time is over"


# two positive parameters, one combination of whose scores loses what mixes data and parameters
a, b = sp.Symbol("a", positive=True), sp.Symbol("b", positive=True)
w = sp.Symbol("w", integer=True)
RICE = [3.65, 2.28, 4.99, 4.24, 2.9, 3.3, 1.7, 4.1, 2.2, 3.8, 5.2, 3.05]
DIFFERENCES = [4, 3, 0, 3, -1, 2, 1, 0, 2, -2, 5, 1, 1, 0, 3]
WAITING = [1.55, 0.61, 0.11, 0.05, 2.9, 0.4, 1.1, 3.6, 0.75, 0.2, 5.1, 1.3]


def rice() -> sp.Expr:
    return (
        M(sp.log(x)) - 2 * sp.log(b) - (M(x**2) + a**2) / (2 * b**2) + M(sp.log(sp.besseli(0, x * a / b**2)))
    )


def quasi_lindley() -> sp.Expr:
    return sp.log(b) + M(sp.log(a + b * x)) - sp.log(a + 1) - b * M(x)


def skellam() -> sp.Expr:
    bessel = Mean(sp.log(sp.besseli(w, 2 * sp.sqrt(a * b))), (w,))
    return -a - b + (sp.log(a) - sp.log(b)) * Mean(w, (w,)) / 2 + bessel


def _on_orbits(build: Callable[[], sp.Expr], data: list[float]) -> tuple[Orbit, Objective]:
    log_likelihood = build()
    (column,) = next(iter(log_likelihood.atoms(Mean))).columns
    rows = (Rows.of({column: np.array(data, dtype=float)}),)
    orbit = orbit_of(log_likelihood, (a, b), rows)
    return orbit, Objective(orbit.log_likelihood, orbit.score, orbit.kappa, sp.S.Zero, sp.oo, rows)


def _grid_maximum(build: Callable[[], sp.Expr], data: list[float]) -> tuple[float, float, float]:
    """The best of a plain search without any of this."""
    from scipy import optimize, special

    values = np.array(data, dtype=float)

    def minus(p: np.ndarray) -> float:
        u, v = np.exp(p)
        if build is rice:
            z = values * u / v**2
            return -np.mean(
                np.log(values)
                - 2 * np.log(v)
                - (values**2 + u**2) / (2 * v**2)
                + np.log(special.ive(0, z))
                + z
            )
        if build is quasi_lindley:
            return -np.mean(np.log(v) + np.log(u + v * values) - np.log(u + 1) - v * values)
        z = 2 * np.sqrt(u * v)
        bessel = np.log(special.ive(np.abs(values), z)) + z
        return -np.mean(-u - v + (np.log(u) - np.log(v)) * values / 2 + bessel)

    starts = [(i, j) for i in np.linspace(-3, 2, 6) for j in np.linspace(-3, 2, 6)]
    options = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 4000}
    best = min(
        (optimize.minimize(minus, s, method="Nelder-Mead", options=options) for s in starts),
        key=lambda r: r.fun,
    )
    return float(np.exp(best.x[0])), float(np.exp(best.x[1])), -float(best.fun)


@pytest.mark.parametrize(
    ("build", "data"),
    [(rice, RICE), (quasi_lindley, WAITING), (skellam, DIFFERENCES)],
    ids=["rice", "quasi", "skellam"],
)
def test_two_parameters_are_reduced_along_orbits(build: Callable[[], sp.Expr], data: list[float]) -> None:
    orbit, objective = _on_orbits(build, data)
    first, second, value = _grid_maximum(build, data)
    place = {"a": first, "b": second}
    found = Isolator(
        objective, orbit.coordinate(place[str(orbit.first)], place[str(orbit.second)]), 60.0
    ).run()
    if isinstance(found, str):  # a maximum at the edge has no proof; inside it has
        assert min(first, second) < 1e-3 or max(first, second) > 1e3, found
        return
    estimate = _estimate(objective, found.root[0])
    certificate = certified(objective, found, estimate, 60.0)
    assert not isinstance(certificate, str)
    assert found.value[0] - 1e-6 <= value <= found.value[1] + 1e-6
    whole = replace(certificate, orbit=orbit, before=build())
    assert whole.check()[0], whole.check()[1]
    assert not replace(whole, before=build() + sp.log(a)).check()[0]


def test_no_orbit_where_the_scores_do_not_separate() -> None:
    with pytest.raises(NoEnclosureError):
        _on_orbits(lambda: M(sp.log(a + b * x) ** 2) - b * M(x), WAITING)


@pytest.mark.parametrize(
    ("data", "route_is_proved", "proved"),
    [(POSITIVE, True, True), (POSITIVE, False, False)],
)
def test_from_a_derivation(data: list[float], route_is_proved: bool, proved: bool) -> None:
    """A Weibull law with its scale closed: only a proved conditional maximum is a profile."""
    k, s = sp.Symbol("k", positive=True), sp.Symbol("s", positive=True)
    n = Count((x,))
    log_likelihood = n * (sp.log(k) - k * sp.log(s) + (k - 1) * M(sp.log(x)) - M(x**k) * s**-k)
    closed = {s: M(x**k) ** (1 / k)}
    derivation = SimpleNamespace(
        model=SimpleNamespace(
            parameters={k: sp.Interval.open(0, sp.oo), s: sp.Interval.open(0, sp.oo)},
            constants={},
            samples=(SimpleNamespace(support={x: sp.Interval.open(0, sp.oo)}),),
            declaration=SimpleNamespace(constraints=(), latent={}),
        ),
        estimator=SimpleNamespace(closed=closed, profile_certificate=object() if route_is_proved else None),
        likelihood=SimpleNamespace(log_likelihood=log_likelihood),
        score=SimpleNamespace(equations={p: sp.diff(log_likelihood, p) for p in (k, s)}),
    )
    estimate = _estimate(_objective(weibull(), data, HALF_LINE), 1.3)
    rows = [({x: np.array(data)}, None)]
    found = isolate(derivation, rows, {"k": estimate, "s": 1.0}, deadline=60.0)
    if not proved:
        assert isinstance(found, str) and "not proved" in found
        return
    assert isinstance(found, GlobalOnData) and found.check()[0]
    wrong = isolate(derivation, rows, {"k": estimate * 1.01, "s": 1.0}, deadline=60.0)
    assert isinstance(wrong, str)
