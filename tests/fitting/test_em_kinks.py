"""Mixtures of laws with kinks: maxima at rows, where the log-likelihood falls to both sides."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import laplace, norm
from sympy import Abs, Expr, S, Symbol, exp, pi, sqrt, symbols

from symmle import Mixture, Model, fit
from symmle.errors import NotConvergedError

Array = NDArray[np.float64]
X, Y = Symbol("x", real=True), Symbol("y", real=True)
MU, SIGMA = Symbol("mu", real=True), Symbol("sigma", positive=True)
RANDOM = np.random.default_rng(5)
TRUTH = RANDOM.random(300) < 0.4
DATA = np.where(TRUTH, RANDOM.normal(0, 1, 300), RANDOM.normal(4, 1.5, 300))


def _normal(mu: Expr) -> Expr:
    return exp(-((X - mu) ** 2) / (2 * SIGMA**2)) / (SIGMA * sqrt(2 * pi))


LAPLACE = exp(-Abs(X - MU) / SIGMA) / (2 * SIGMA)
OTHER = Symbol("nu", real=True)
KINKED = {
    "free scales": Model(LAPLACE, data=X).mixture(2),
    "one scale": Mixture([LAPLACE, LAPLACE.subs(MU, OTHER)], data={X: S.Reals}),
    "beside a normal": Mixture([LAPLACE.subs(SIGMA, 1), _normal(OTHER)], data={X: S.Reals}),
}


def _laplace_by_hand(name: str, data: Array, t: dict[str, float]) -> float:
    if name == "free scales":
        parts = [laplace.logpdf(data, t[f"mu_{j}"], t[f"sigma_{j}"]) for j in (1, 2)]
    elif name == "one scale":
        parts = [laplace.logpdf(data, t[m], t["sigma"]) for m in ("mu", "nu")]
    else:
        parts = [laplace.logpdf(data, t["mu"], 1.0), norm.logpdf(data, t["nu"], t["sigma"])]
    shares = np.log([t["w"], 1 - t["w"]])[:, None]
    return float(logsumexp(np.array(parts) + shares, axis=0).sum())


@pytest.mark.parametrize("name", sorted(KINKED))
def test_a_maximum_at_kinks(name: str) -> None:
    """By hand: centres at rows, l lower at points near by in every direction, one parameter at a time and together."""
    result = fit(KINKED[name], DATA)
    t = result.estimates
    centres = {"free scales": ("mu_1", "mu_2"), "one scale": ("mu", "nu"), "beside a normal": ("mu",)}[name]
    assert all(t[c] in DATA for c in centres)
    height = _laplace_by_hand(name, DATA, t)
    assert result.log_likelihood == pytest.approx(height, rel=1e-12)
    assert result.standard_errors is None and "held at kinks" in result.status
    random = np.random.default_rng(3)
    moves = [np.eye(len(t))[i] * side for i in range(len(t)) for side in (-1, 1)]
    for size in (1e-2, 1e-4):
        for move in [*moves, *random.normal(size=(100, len(t)))]:
            near = {p: v + size * m for (p, v), m in zip(t.items(), move, strict=True)}
            assert _laplace_by_hand(name, DATA, near) < height + 1e-11 * abs(height)


def _over_all_pairs(data: Array) -> float:
    """The maximum of two Laplace laws of one scale: l is convex in a centre between rows, so that both are rows."""
    best = -math.inf
    for pair in itertools.combinations(np.unique(data), 2):
        away = np.abs(data - np.array(pair)[:, None])
        share, scale, last = np.array([0.5, 0.5]), float(np.mean(away.min(axis=0))), -math.inf
        for _ in range(1000):
            joint = np.log(share)[:, None] - away / scale - math.log(2 * scale)
            height = float(np.logaddexp(*joint).sum())
            if height - last < 1e-10:
                break
            r, last = np.exp(joint - np.logaddexp(*joint)), height
            share, scale = np.maximum(r.mean(axis=1), 1e-300), float((r * away).sum() / len(data))
        best = max(best, height)
    return best


@pytest.mark.parametrize("seed", range(4))
def test_the_best_pair_of_kinks_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    data = np.append(random.laplace(0.0, 1.0, 4), random.laplace(6.0, 1.0, 6))
    result = fit(KINKED["one scale"], data)
    assert result.log_likelihood == pytest.approx(_over_all_pairs(data), rel=1e-7)


def test_kinks_that_are_no_values_of_a_parameter_are_refused() -> None:
    """Two regressions with Laplace errors: a kink is a line of intercept and slope."""
    a, b = symbols("a b", real=True)
    law = exp(-Abs(Y - a - b * X) / SIGMA) / (2 * SIGMA)
    model = Mixture([law, law.subs({a: MU, b: OTHER})], data={Y: S.Reals}, covariates=(X,))
    random = np.random.default_rng(5)
    x = random.normal(size=60)
    y = np.where(random.random(60) < 0.5, x, 5 - x) + random.laplace(0, 0.3, 60)
    with pytest.raises(NotConvergedError, match=r"has a kink in Abs\(") as refusal:
        fit(model, {"x": x, "y": y})
    assert math.isfinite(refusal.value.result["log_likelihood"])
