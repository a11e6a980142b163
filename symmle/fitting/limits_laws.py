"""Simpler laws that a limit of densities may be, each at its own maximum-likelihood estimate.

A law is recognised by value: log f(x; theta) tends to log g(x) at every observation and at points between and
beside them. The model's name, and how its density is written, say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from scipy.optimize import brentq, minimize

Array = NDArray[Any]
Estimates = dict[str, float]
CLOSE = 1e-6  # of log f to log g, relative to 1 + |log g|


@dataclass(frozen=True)
class Law:
    """A law by name: its estimates from weighted rows (None where there are none), and its log density."""

    name: str
    discrete: bool
    estimate: Callable[[Array, Array], Estimates | None]
    log_density: Callable[[Array, Estimates], Array]


@dataclass(frozen=True)
class Limit:
    """The law that was recognised, its parameters and its log-likelihood on the sample."""

    law: str
    parameters: Estimates
    log_likelihood: float


def recognise(
    rows: Array,
    weights: Array,
    discrete: bool,
    probes: Array,
    approached: Sequence[Array],
    more: Sequence[Law] = (),
) -> Limit | None:
    """The first law whose log density is the limit of `approached`, log densities at the probes along the way."""
    for law in (*more, *LAWS):
        if law.discrete != discrete:
            continue
        with np.errstate(all="ignore"):
            found = law.estimate(rows, weights)
            if found is None or not all(math.isfinite(v) for v in found.values()):
                continue
            goal = law.log_density(probes, found)
            gaps = [_gap(f, goal) for f in approached]
            if gaps[-1] < CLOSE and gaps[-1] <= max(gaps[0], CLOSE / 100):
                height = float(np.sum(weights * law.log_density(rows, found)))
                return Limit(law.name, found, height)
    return None


def _gap(found: Array, goal: Array) -> float:
    both = np.isfinite(goal)
    if not np.isfinite(found[both]).all() or (np.isfinite(found[~both]) & (found[~both] > -60)).any():
        return math.inf
    return float(np.max(np.abs(found[both] - goal[both]) / (1 + np.abs(goal[both])), initial=0.0))


def _mean(x: Array, w: Array) -> float:
    return float(np.sum(w * x) / np.sum(w))


def _variance(x: Array, w: Array) -> float:
    return _mean((x - _mean(x, w)) ** 2, w)


def _positive(x: Array) -> bool:
    return bool(np.min(x) > 0)


# --- laws on whole numbers ---


def _poisson(x: Array, w: Array) -> Estimates | None:
    return {"mean": _mean(x, w)} if np.min(x) >= 0 and np.max(x) > 0 else None


def _geometric(x: Array, w: Array) -> Estimates | None:
    return {"p": 1 / (1 + _mean(x, w))} if np.min(x) >= 0 and np.max(x) > 0 else None


def _geometric_from_one(x: Array, w: Array) -> Estimates | None:
    return {"p": 1 / _mean(x, w)} if np.min(x) >= 1 and np.max(x) > 1 else None


def _bernoulli(x: Array, w: Array) -> Estimates | None:
    return {"p": _mean(x, w)} if np.isin(x, (0, 1)).all() and 0 < _mean(x, w) < 1 else None


# --- laws with a density ---


def _normal(x: Array, w: Array) -> Estimates | None:
    s = math.sqrt(_variance(x, w))
    return {"mean": _mean(x, w), "standard deviation": s} if s > 0 else None


def _lognormal(x: Array, w: Array) -> Estimates | None:
    if not _positive(x):
        return None
    found = _normal(np.log(x), w)
    return found and {"mean of log": found["mean"], "standard deviation of log": found["standard deviation"]}


def _exponential(x: Array, w: Array) -> Estimates | None:
    return {"mean": _mean(x, w)} if np.min(x) >= 0 and np.max(x) > 0 else None


def _gamma(x: Array, w: Array) -> Estimates | None:
    if not _positive(x) or np.min(x) == np.max(x):
        return None
    gap = math.log(_mean(x, w)) - _mean(np.log(x), w)
    if not gap > 1e-12:
        return None
    k = math.exp(brentq(lambda t: t - float(special.digamma(math.exp(t))) - gap, -30, 30, xtol=1e-14))
    return {"shape": k, "scale": _mean(x, w) / k}


def _weibull(x: Array, w: Array) -> Estimates | None:
    if not _positive(x) or np.min(x) == np.max(x):
        return None
    logs = np.log(x)
    shift = float(np.max(logs))

    def equation(t: float) -> float:
        k = math.exp(t)
        powers = w * np.exp(k * (logs - shift))
        return 1 / k + _mean(logs, w) - float(np.sum(powers * logs) / np.sum(powers))

    k = math.exp(brentq(equation, -20, 20, xtol=1e-14))
    scale = math.exp(shift) * _mean(np.exp(k * (logs - shift)), w) ** (1 / k)
    return {"shape": k, "scale": scale}


def _inverse_gaussian(x: Array, w: Array) -> Estimates | None:
    if not _positive(x):
        return None
    m = _mean(x, w)
    gap = _mean(1 / x, w) - 1 / m
    return {"mean": m, "shape": 1 / gap} if gap > 1e-14 else None


def _half_normal(x: Array, w: Array) -> Estimates | None:
    return {"scale": math.sqrt(_mean(x**2, w))} if np.min(x) >= 0 and np.max(x) > 0 else None


def _median(x: Array, w: Array) -> float:
    order = np.argsort(x)
    total = np.cumsum(w[order])
    return float(x[order][np.searchsorted(total, total[-1] / 2)])


def _laplace(x: Array, w: Array) -> Estimates | None:
    m = _median(x, w)
    b = _mean(np.abs(x - m), w)
    return {"location": m, "scale": b} if b > 0 else None


def _by_search(
    log_density: Callable[[Array, float, float], Array],
) -> Callable[[Array, Array], Estimates | None]:
    """Location and scale of a smooth law by minimising -l."""

    def estimate(x: Array, w: Array) -> Estimates | None:
        s = math.sqrt(_variance(x, w))
        if not s > 0:
            return None
        u = (x - _mean(x, w)) / s

        def cost(t: Array) -> float:
            return -float(np.sum(w * log_density(u, t[0], math.exp(t[1])))) / float(np.sum(w))

        found = minimize(
            cost, [0.0, -0.5], method="Nelder-Mead", options={"xatol": 1e-11, "fatol": 1e-15, "maxiter": 4000}
        )
        return {"location": _mean(x, w) + s * float(found.x[0]), "scale": s * math.exp(float(found.x[1]))}

    return estimate


def _log_logistic_density(x: Array, m: float, s: float) -> Array:
    return np.asarray(stats.logistic.logpdf(x, m, s))


def _log_gumbel_density(x: Array, m: float, s: float) -> Array:
    return np.asarray(stats.gumbel_r.logpdf(x, m, s))


def _log_minimum_density(x: Array, m: float, s: float) -> Array:
    return np.asarray(stats.gumbel_l.logpdf(x, m, s))


def uniform_on(low: float, high: float) -> Law:
    """The uniform law on a known interval: nothing is estimated."""
    return Law(
        "uniform",
        False,
        lambda x, w: {"low": low, "high": high},
        lambda x, p: np.where((x >= p["low"]) & (x <= p["high"]), -math.log(p["high"] - p["low"]), -np.inf),
    )


def binomial_of(size: int) -> Law:
    """The binomial law of a known size."""

    def estimate(x: Array, w: Array) -> Estimates | None:
        m = _mean(x, w) / size
        return {"size": float(size), "p": m} if 0 < m < 1 else None

    return Law("binomial", True, estimate, lambda x, p: np.asarray(stats.binom.logpmf(x, p["size"], p["p"])))


LAWS: tuple[Law, ...] = (
    Law("Poisson", True, _poisson, lambda x, p: np.asarray(stats.poisson.logpmf(x, p["mean"]))),
    Law("geometric", True, _geometric, lambda x, p: np.asarray(stats.geom.logpmf(x + 1, p["p"]))),
    Law("geometric", True, _geometric_from_one, lambda x, p: np.asarray(stats.geom.logpmf(x, p["p"]))),
    Law("Bernoulli", True, _bernoulli, lambda x, p: np.asarray(stats.bernoulli.logpmf(x, p["p"]))),
    Law("exponential", False, _exponential, lambda x, p: np.asarray(stats.expon.logpdf(x, scale=p["mean"]))),
    Law(
        "normal",
        False,
        _normal,
        lambda x, p: np.asarray(stats.norm.logpdf(x, p["mean"], p["standard deviation"])),
    ),
    Law(
        "lognormal",
        False,
        _lognormal,
        lambda x, p: np.asarray(
            stats.lognorm.logpdf(x, p["standard deviation of log"], scale=math.exp(p["mean of log"]))
        ),
    ),
    Law(
        "half-normal",
        False,
        _half_normal,
        lambda x, p: np.asarray(stats.halfnorm.logpdf(x, scale=p["scale"])),
    ),
    Law(
        "Rayleigh",
        False,
        lambda x, w: {"scale": math.sqrt(_mean(x**2, w) / 2)} if _positive(x) else None,
        lambda x, p: np.asarray(stats.rayleigh.logpdf(x, scale=p["scale"])),
    ),
    Law("gamma", False, _gamma, lambda x, p: np.asarray(stats.gamma.logpdf(x, p["shape"], scale=p["scale"]))),
    Law(
        "Weibull",
        False,
        _weibull,
        lambda x, p: np.asarray(stats.weibull_min.logpdf(x, p["shape"], scale=p["scale"])),
    ),
    Law(
        "inverse Gaussian",
        False,
        _inverse_gaussian,
        lambda x, p: np.asarray(stats.invgauss.logpdf(x, p["mean"] / p["shape"], scale=p["shape"])),
    ),
    Law(
        "Laplace",
        False,
        _laplace,
        lambda x, p: np.asarray(stats.laplace.logpdf(x, p["location"], p["scale"])),
    ),
    Law(
        "logistic",
        False,
        _by_search(_log_logistic_density),
        lambda x, p: _log_logistic_density(x, p["location"], p["scale"]),
    ),
    Law(
        "Gumbel",
        False,
        _by_search(_log_gumbel_density),
        lambda x, p: _log_gumbel_density(x, p["location"], p["scale"]),
    ),
    Law(
        "Gumbel of minima",
        False,
        _by_search(_log_minimum_density),
        lambda x, p: _log_minimum_density(x, p["location"], p["scale"]),
    ),
)

__all__ = ["LAWS", "Law", "Limit", "binomial_of", "recognise", "uniform_on"]
