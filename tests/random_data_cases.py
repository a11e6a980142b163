"""The models of the corpus whose maximum is no root of a score, or one of several, written by hand in numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from random_data_search import Columns, Point, RandomCase, Space  # type: ignore[import-not-found]
from scipy.special import gammaln

Rng = np.random.Generator
LOG_2PI = math.log(2 * math.pi)
EDGE = 1e-13  # relative slack at a closed end of a support: estimates are doubles


def inside(condition: Any, value: Any) -> NDArray[Any]:
    """The value where the condition holds, -inf elsewhere."""
    return np.where(condition, value, -np.inf)


def normal(x: Any, mu: Any, sigma: Any) -> Any:
    return -(((x - mu) / sigma) ** 2) / 2 - np.log(sigma) - LOG_2PI / 2


def below(x: Any, bound: Any) -> Any:
    return x <= bound + EDGE * abs(bound)


def above(x: Any, bound: Any) -> Any:
    return x >= bound - EDGE * abs(bound)


def rounded(x: Any) -> NDArray[Any]:
    return np.asarray(np.round(x, 4))


def at_rows(columns: Columns, parameter: str) -> list[Point]:
    return [{parameter: float(v)} for v in columns["x"]]


# --- several stationary points ------------------------------------------------------------------
def cauchy(n: int, name: str) -> RandomCase:
    return RandomCase(
        name,
        lambda rng: {"x": rounded(rng.uniform(-5, 5) + rng.uniform(0.3, 2) * rng.standard_cauchy(n))},
        lambda c, t: -np.log(math.pi * (1 + (c["x"] - t["theta"]) ** 2)),
        {"theta": Space("real", 10)},
        candidates=lambda c, eps: at_rows(c, "theta"),
    )


def student(c: Columns, t: Point) -> Any:
    constant = math.lgamma(2) - math.lgamma(1.5) - math.log(3 * math.pi) / 2
    return constant - 2 * np.log1p((c["x"] - t["mu"]) ** 2 / 3)


def equal_variances(c: Columns, t: Point) -> Any:
    a, b, x, y = t["a"], t["b"], c["x"], c["y"]
    if not a > abs(b):
        return np.full(len(x), -np.inf)
    gap = a * a - b * b
    return -(a * x**2 - 2 * b * x * y + a * y**2) / (2 * gap) - LOG_2PI - math.log(gap) / 2


def correlation(c: Columns, t: Point) -> Any:
    r, x, y = t["rho"], c["x"], c["y"]
    return -(x**2 - 2 * r * x * y + y**2) / (2 * (1 - r * r)) - LOG_2PI - math.log1p(-r * r) / 2


def behrens_fisher(c: Columns, t: Point) -> Any:
    return np.array([normal(c["x"], t["mu"], t["s1"]).sum() + normal(c["y"], t["mu"], t["s2"]).sum()])


def cells(*probabilities: float) -> NDArray[Any]:
    """Logarithms of cell probabilities, -inf where one is not positive."""
    p = np.array(probabilities)
    return np.where(p > 0, np.log(np.maximum(p, 1e-300)), -np.inf)


def counts(rng: Rng, values: int, first: int = 1) -> Columns:
    p = rng.dirichlet(np.full(values, 2.0))
    return {
        "x": np.arange(first, first + values),
        "weights": rng.multinomial(rng.integers(20, 200), p).astype(float),
    }


def kimura(c: Columns, t: Point) -> Any:
    fast, slow = math.exp(-2 * (t["a"] + t["b"])), math.exp(-4 * t["b"])
    return cells(1 / 4 + slow / 4 + fast / 2, 1 / 4 + slow / 4 - fast / 2, 1 / 2 - slow / 2)


def kimura_counts(rng: Rng) -> Columns:
    p = np.exp(kimura({}, {"a": rng.uniform(0.05, 1), "b": rng.uniform(0.05, 0.5)}))
    return {"x": np.array([1, 2, 3]), "weights": rng.multinomial(rng.integers(30, 300), p).astype(float)}


def claw_tree(c: Columns, t: Point) -> Any:
    u, v, w = t["t1"] * t["t2"], t["t1"] * t["t3"], t["t2"] * t["t3"]
    return cells((1 + u + v + w) / 4, (1 + u - v - w) / 4, (1 - u + v - w) / 4, (1 - u - v + w) / 4)


def claw_counts(rng: Rng) -> Columns:
    p = np.exp(claw_tree({}, {k: rng.uniform(0.4, 0.9) for k in ("t1", "t2", "t3")}))
    return {"x": np.array([1, 2, 3, 4]), "weights": rng.multinomial(rng.integers(60, 400), p).astype(float)}


def three_coins(c: Columns, t: Point) -> Any:
    pairs = (("x", "a"), ("y", "b"), ("z", "c"))
    return sum(c[x] * np.log(t[p]) + (1 - c[x]) * np.log1p(-t[p]) for x, p in pairs)


def cubic(c: Columns, t: Point) -> Any:
    return c["x"] * np.log(t["t"]) - math.log(1 + t["t"] + t["t"] ** 2 + t["t"] ** 3)


OPEN = Space("open")

SEVERAL = [
    cauchy(2, "cauchy-location-two-close"),
    cauchy(5, "cauchy-location-five"),
    cauchy(3, "cauchy-location-three"),
    cauchy(3, "cauchy-location-three-clustered"),
    cauchy(4, "cauchy-location-four"),
    RandomCase(
        "student-t3-location-outlier",
        lambda rng: {"x": rounded(np.append(rng.standard_t(3, rng.integers(2, 7)), rng.uniform(5, 30)))},
        student,
        {"mu": Space("real", 10)},
        candidates=lambda c, eps: at_rows(c, "mu"),
    ),
    RandomCase(
        "logistic-location-three",
        lambda rng: {"x": rounded(rng.uniform(-9, 9) + rng.logistic(0, 1.5, 3))},
        lambda c, t: -(c["x"] - t["mu"]) - 2 * np.logaddexp(0, -(c["x"] - t["mu"])),
        {"mu": Space("real", 10)},
    ),
    RandomCase(
        "gaussian-equal-variances",
        lambda rng: {k: rounded(rng.uniform(0.2, 3) * rng.normal(size=7)) for k in ("x", "y")},
        equal_variances,
        {"a": Space("positive"), "b": Space("real")},
    ),
    RandomCase(
        "mean-on-circle",
        lambda rng: {k: rounded(rng.uniform(-2, 2) + rng.normal(size=6)) for k in ("x", "y")},
        lambda c, t: normal(c["x"], np.cos(t["t"]), 1) + normal(c["y"], np.sin(t["t"]), 1),
        {"t": Space("open", ends=(-math.pi, math.pi))},
    ),
    RandomCase(
        "bivariate-normal-rho-three-roots",
        lambda rng: {
            k: rounded(rng.uniform(0.1, 1.3) * rng.normal(size=rng.integers(5, 6))) for k in ("x", "y")
        },
        correlation,
        {"rho": Space("open", ends=(-1, 1))},
        candidates=lambda c, eps: [{"rho": -0.9}, {"rho": 0.0}, {"rho": 0.9}],
    ),
    RandomCase(
        "mean-on-parabola",
        lambda rng: {
            "x": rounded(rng.normal(0, 1, 4)),
            "y": rounded(rng.uniform(-1, 5) + rng.normal(size=4)),
        },
        lambda c, t: normal(c["x"], t["t"], 1) + normal(c["y"], t["t"] ** 2, 1),
        {"t": Space("real")},
        candidates=lambda c, eps: [{"t": -1.5}, {"t": 1.5}],
    ),
    RandomCase(
        "behrens-fisher-one-root",
        lambda rng: {
            "x": rounded(rng.normal(5, 1, rng.integers(3, 9))),
            "y": rounded(rng.normal(rng.uniform(3, 8), 2.5, 6)),
        },
        behrens_fisher,
        {"mu": Space("real", 5), "s1": Space("positive"), "s2": Space("positive")},
        candidates=lambda c, eps: [{"mu": float(c[k].mean()), "s1": 1.0, "s2": 1.0} for k in ("x", "y")],
    ),
    RandomCase(
        "kimura-two-parameter",
        kimura_counts,
        kimura,
        {"a": Space("positive"), "b": Space("positive")},
        narrow=0.2,  # exp(-2 a) is below the last digit from a = 20 on
    ),
    RandomCase(
        "three-way-independence",
        lambda rng: {k: rng.integers(0, 2, 8).astype(float) for k in ("x", "y", "z")},
        three_coins,
        {"a": OPEN, "b": OPEN, "c": OPEN},
    ),
    RandomCase("cfn-claw-tree", claw_counts, claw_tree, {"t1": OPEN, "t2": OPEN, "t3": OPEN}),
    RandomCase("log-linear-cubic", lambda rng: counts(rng, 4, 0), cubic, {"t": Space("positive")}),
]

# --- supports and kinks -------------------------------------------------------------------------
ORDER = [
    RandomCase(
        "uniform-theta-theta-plus-1",
        lambda rng: {"x": rounded(rng.uniform(-9, 9) + rng.uniform(0, 1, rng.integers(2, 9)))},
        lambda c, t: inside(above(c["x"], t["theta"]) & below(c["x"], t["theta"] + 1), 0.0),
        {"theta": Space("real", 10)},
        candidates=lambda c, eps: [{"theta": c["x"].min()}, {"theta": c["x"].max() - 1}],
    ),
    RandomCase(
        "uniform-a-b",
        lambda rng: {"x": rounded(rng.uniform(-9, 0) + rng.uniform(1, 9) * rng.uniform(0, 1, 6))},
        lambda c, t: inside(
            above(c["x"], t["a"]) & below(c["x"], t["b"]) & (t["b"] > t["a"]),
            -np.log(np.maximum(t["b"] - t["a"], 1e-300)),
        ),
        {"a": Space("real", 10), "b": Space("real", 10)},
        candidates=lambda c, eps: [{"a": c["x"].min(), "b": c["x"].max()}],
    ),
    RandomCase(
        "laplace-both",
        lambda rng: {"x": rounded(rng.uniform(-9, 30) + rng.laplace(0, 4, rng.integers(3, 10)))},
        lambda c, t: -np.abs(c["x"] - t["mu"]) / t["b"] - np.log(2 * t["b"]),
        {"mu": Space("real", 10), "b": Space("positive", 4)},
        candidates=lambda c, eps: [{"mu": v, "b": 4.0} for v in c["x"]],
    ),
    RandomCase(
        "asymmetric-laplace-known-asymmetry",
        lambda rng: {"x": rounded(rng.uniform(-9, 9) + rng.laplace(0, 1, rng.integers(3, 13)))},
        lambda c, t: (
            math.log(3 / 16)
            - np.log(t["sigma"])
            - np.maximum((c["x"] - t["mu"]) / 4, 3 * (t["mu"] - c["x"]) / 4) / t["sigma"]
        ),
        {"mu": Space("real", 10), "sigma": Space("positive")},
        candidates=lambda c, eps: [{"mu": v, "sigma": 1.0} for v in c["x"]],
    ),
    RandomCase(
        "power-function-both",
        lambda rng: {"x": rounded(rng.uniform(1, 30) * rng.power(rng.uniform(0.5, 9), 7))},
        lambda c, t: inside(
            below(c["x"], t["b"]), np.log(t["a"] / t["b"]) + (t["a"] - 1) * np.log(c["x"] / t["b"])
        ),
        {"a": Space("positive"), "b": Space("positive", 10)},
        candidates=lambda c, eps: [{"a": 1.0, "b": c["x"].max()}],
    ),
    RandomCase(
        "power-function-endpoint",
        lambda rng: {"x": rounded(rng.uniform(1, 30) * rng.power(3, rng.integers(1, 9)))},
        lambda c, t: inside(
            below(c["x"], t["theta"]), math.log(3) + 2 * np.log(c["x"]) - 3 * np.log(t["theta"])
        ),
        {"theta": Space("positive", 10)},
        candidates=lambda c, eps: [{"theta": c["x"].max()}],
    ),
    RandomCase(
        "uniform-theta-2theta",
        lambda rng: {"x": rounded(rng.uniform(0.1, 9) * rng.uniform(1, 2, rng.integers(1, 9)))},
        lambda c, t: inside(above(c["x"], t["theta"]) & below(c["x"], 2 * t["theta"]), -np.log(t["theta"])),
        {"theta": Space("positive", 3)},
        candidates=lambda c, eps: [{"theta": c["x"].max() / 2}, {"theta": c["x"].min()}],
    ),
    RandomCase(
        "uniform-minus-theta-2theta",
        lambda rng: {"x": rounded(rng.uniform(0.1, 9) * rng.uniform(-1, 2, rng.integers(1, 9)))},
        lambda c, t: inside(
            above(c["x"], -t["theta"]) & below(c["x"], 2 * t["theta"]), -np.log(3 * t["theta"])
        ),
        {"theta": Space("positive", 3)},
        candidates=lambda c, eps: [{"theta": max(-c["x"].min(), c["x"].max() / 2)}],
    ),
    RandomCase(
        "triangle-down-two",
        lambda rng: {"x": rounded(rng.uniform(0.5, 20) * rng.triangular(0, 0, 1, 2) + 0.001)},
        lambda c, t: inside(
            c["x"] < t["theta"],
            np.log(2 * np.maximum(t["theta"] - c["x"], 1e-300)) - 2 * np.log(t["theta"]),
        ),
        {"theta": Space("positive", 10)},
        candidates=lambda c, eps: [{"theta": 1.5 * c["x"].max()}],
    ),
    RandomCase(
        "triangle-up",
        lambda rng: {
            "x": rounded(rng.uniform(0.5, 20) * rng.triangular(0, 1, 1, rng.integers(1, 9)) + 0.001)
        },
        lambda c, t: inside(below(c["x"], t["theta"]), np.log(2 * c["x"]) - 2 * np.log(t["theta"])),
        {"theta": Space("positive", 10)},
        candidates=lambda c, eps: [{"theta": c["x"].max()}],
    ),
    RandomCase(
        "theta-over-x-squared",
        lambda rng: {"x": rounded(rng.uniform(0.5, 20) / rng.uniform(0.05, 1, rng.integers(1, 9)))},
        lambda c, t: inside(above(c["x"], t["theta"]), np.log(t["theta"]) - 2 * np.log(c["x"])),
        {"theta": Space("positive", 10)},
        candidates=lambda c, eps: [{"theta": c["x"].min()}],
    ),
    RandomCase(
        "uniform-index-dependent",
        lambda rng: (lambda z, theta: {"x": rounded(rng.uniform(-z * (theta - 1), z * (theta + 1))), "z": z})(
            np.arange(1.0, 8.0), rng.uniform(0.3, 4)
        ),
        lambda c, t: inside(below(np.abs(c["x"] / c["z"] - 1), t["theta"]), -np.log(2 * c["z"] * t["theta"])),
        {"theta": Space("positive", 2)},
        candidates=lambda c, eps: [{"theta": np.abs(c["x"] / c["z"] - 1).max()}],
    ),
    RandomCase(
        "uniform-open-interval",
        lambda rng: {"x": rounded(rng.uniform(0.5, 20) * rng.uniform(0.01, 1, rng.integers(1, 9)))},
        lambda c, t: inside(c["x"] < t["theta"], -np.log(t["theta"])),
        {"theta": Space("positive", 10)},
        keeps_off=lambda c, t, eps: bool(t["theta"] >= c["x"].max() * (1 + eps)),
        candidates=lambda c, eps: [{"theta": c["x"].max() * (1 + 2 * eps)}],
    ),
]


# --- simplices, edges, finite and whole-number parameters ---------------------------------------
def simplex(count: int) -> Any:
    """Log odds u1, u2, ... against the last cell -> p1, ..., p(count)."""

    def expand(point: Point) -> Point:
        odds = np.array([*(point[f"u{k}"] for k in range(1, count)), 0.0])
        p = np.exp(np.maximum(odds - odds.max(), -700))
        return {f"p{k + 1}": float(v) for k, v in enumerate(p / p.sum())}

    return expand


def mendel(c: Columns, t: Point) -> Any:
    return cells(t["p1"], t["p2"], t["p3"], t["p4"])


def multinomial(c: Columns, t: Point) -> Any:
    constant = gammaln(13) - sum(gammaln(c[x] + 1) for x in ("x1", "x2", "x3"))
    return constant + c["x1"] * cells(t["p1"])[0] + c["x2"] * cells(t["p2"])[0] + c["x3"] * cells(t["p3"])[0]


def trials(rng: Rng) -> Columns:
    drawn = rng.multinomial(12, rng.dirichlet([3.0, 3.0, 3.0]), 6)
    return {f"x{k + 1}": drawn[:, k].astype(float) for k in range(3)}


def bernoulli(c: Columns, t: Point) -> Any:
    p = t["p"]
    return np.where(c["x"] == 1, np.log(np.maximum(p, 0)), np.log1p(-p))


def coin(rng: Rng) -> Columns:
    return {"x": rng.binomial(1, rng.uniform(0.05, 0.95), rng.integers(1, 12)).astype(float)}


def choose(n: Any, k: Any) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def binomial_size(c: Columns, t: Point) -> Any:
    m, x = t["m"], c["x"]
    return inside(x <= m, choose(np.maximum(m, x), x) + x * math.log(0.3) + (m - x) * math.log(0.7))


def poisson_or_geometric(c: Columns, t: Point) -> Any:
    x = c["x"]
    poisson = x * math.log(2) - 2 - gammaln(x + 1)
    return poisson if t["theta"] == 0 else math.log(1 / 3) + x * math.log(2 / 3)


def either(columns: Columns) -> list[float]:
    return [0.0, 1.0]


DISCRETE = [
    RandomCase(
        "categorical-mendel",
        lambda rng: counts(rng, 4),
        mendel,
        {u: Space("real") for u in ("u1", "u2", "u3")},
        expand=simplex(4),
        narrow=0.2,
    ),
    RandomCase(
        "multinomial-simplex",
        trials,
        multinomial,
        {u: Space("real") for u in ("u1", "u2")},
        expand=simplex(3),
        narrow=0.2,
    ),
    RandomCase("bernoulli-at-most-half", coin, bernoulli, {"p": Space("closed", ends=(0.0, 0.5))}),
    RandomCase("bernoulli-all-zeros-open", coin, bernoulli, {"p": OPEN}),
    RandomCase(
        "uniform-or-root",
        lambda rng: {"x": rng.uniform(0.001, 1, 6).round(4) ** rng.integers(1, 3)},
        lambda c, t: 0.0 * c["x"] if t["theta"] == 0 else -np.log(2) - np.log(c["x"]) / 2,
        members={"theta": either},
    ),
    RandomCase(
        "poisson-or-geometric",
        lambda rng: {
            "x": (rng.poisson(2, 6) if rng.uniform() < 0.5 else rng.geometric(1 / 3, 6) - 1).astype(float)
        },
        poisson_or_geometric,
        members={"theta": either},
    ),
    RandomCase(
        "binomial-size-one",
        lambda rng: {"x": rng.integers(0, 40, 1).astype(float)},
        binomial_size,
        members={"m": lambda c: range(1, 60 + 4 * int(c["x"].max()))},
    ),
    RandomCase(
        "discrete-uniform-zero",
        lambda rng: {"x": rng.integers(rng.integers(0, 2), 30, 4).astype(float)},
        lambda c, t: inside((c["x"] >= 1) & (c["x"] <= t["N"]), -np.log(t["N"])),
        members={"N": lambda c: range(1, 60)},
        refusals=("DataError", "NoMaximumError"),
    ),
]


# --- ridges, no maximum, no bound ---------------------------------------------------------------
def negative_binomial(c: Columns, t: Point) -> Any:
    x, r, p = c["x"], t["r"], t["p"]
    # log of r (r + 1) ... (r + x - 1) without the cancellation of two large log gammas
    rising = np.array([np.log(r + np.arange(int(k))).sum() for k in x])
    return rising - gammaln(x + 1) + r * np.log(p) + x * np.log1p(-p)


def overdispersed_or_not(rng: Rng) -> Columns:
    n = int(rng.integers(3, 12))
    return {
        "x": (rng.negative_binomial(3, 0.4, n) if rng.uniform() < 0.5 else rng.binomial(6, 0.6, n)).astype(
            float
        )
    }


def towards_poisson(c: Columns, eps: float) -> list[Point]:
    mean = max(float(c["x"].mean()), 1e-9)
    return [{"r": r, "p": r / (r + mean)} for r in (1.0, 0.5 / eps)]


def logistic(c: Columns, t: Point) -> Any:
    u = t["a"] + t["b"] * c["z"]
    return c["y"] * u - np.logaddexp(0, u)


def separated_or_not(rng: Rng) -> Columns:
    z = np.sort(rounded(rng.uniform(-2, 2, 7)))
    y = (z > rng.uniform(-2.5, 2.5)).astype(float)
    if rng.uniform() < 0.6:
        y[rng.integers(0, 7)] = rng.integers(0, 2)
    return {"y": y, "z": z}


def lomax(c: Columns, t: Point) -> Any:
    return np.log(t["a"] * t["b"]) - (t["a"] + 1) * np.log1p(t["b"] * c["x"])


def towards_exponential(c: Columns, eps: float) -> list[Point]:
    mean = float(c["x"].mean())
    return [{"a": a, "b": 1 / (a * mean)} for a in (2.0, 0.5 / eps)]


def gamma(c: Columns, t: Point) -> Any:
    return (t["k"] - 1) * np.log(c["x"]) - c["x"] / t["s"] - gammaln(t["k"]) - t["k"] * np.log(t["s"])


def constant_or_not(rng: Rng) -> Columns:
    n = int(rng.integers(1, 5))
    return {
        "x": rounded(np.full(n, rng.uniform(0.5, 9)) if rng.uniform() < 0.5 else rng.gamma(2, 2, n) + 0.01)
    }


def von_mises(c: Columns, t: Point) -> Any:
    from scipy.special import ive

    return t["k"] * (np.cos(c["x"] - t["mu"]) - 1) - LOG_2PI - math.log(ive(0, t["k"]))


def angles(rng: Rng) -> Columns:
    n = int(rng.integers(2, 7))
    return {"x": rounded(np.full(n, rng.uniform(-3, 3)) if rng.uniform() < 0.5 else rng.vonmises(1, 2, n))}


def pareto(c: Columns, t: Point) -> Any:
    return inside(above(c["x"], t["m"]), np.log(t["a"]) + t["a"] * np.log(t["m"] / c["x"]) - np.log(c["x"]))


def generalised_pareto(c: Columns, t: Point) -> Any:
    base = 1 + t["xi"] * c["x"] / t["s"]
    return inside(base > 0, -(1 / t["xi"] + 1) * np.log(np.maximum(base, 1e-300)) - np.log(t["s"]))


def pareto_points(c: Columns, eps: float) -> list[Point]:
    rise = float(np.log(c["x"] / c["x"].min()).mean())
    return [{"m": float(c["x"].min()), "a": min(1 / max(rise, 2 * eps), 0.5 / eps)}]


ABSENT = [
    RandomCase(
        "exponential-rate-sum",
        lambda rng: {"x": rounded(rng.exponential(rng.uniform(0.2, 9), 5) + 0.001)},
        lambda c, t: np.log(t["a"] + t["b"]) - (t["a"] + t["b"]) * c["x"],
        {"a": Space("positive"), "b": Space("positive")},
    ),
    RandomCase(
        "negative-binomial-underdispersed",
        overdispersed_or_not,
        negative_binomial,
        {"r": Space("positive"), "p": OPEN},
        candidates=towards_poisson,
    ),
    RandomCase(
        "logistic-complete-separation",
        separated_or_not,
        logistic,
        {"a": Space("real", 0.2), "b": Space("real", 0.2)},
        narrow=0.02,
    ),
    RandomCase(
        "lomax-light-tailed",
        lambda rng: {
            "x": rounded((rng.uniform(0.2, 3, 7) if rng.uniform() < 0.5 else rng.pareto(1.5, 7)) + 0.001)
        },
        lomax,
        {"a": Space("positive"), "b": Space("positive")},
        candidates=towards_exponential,
    ),
    RandomCase(
        "gamma-single-observation",
        constant_or_not,
        gamma,
        {"k": Space("positive"), "s": Space("positive")},
        candidates=lambda c, eps: [{"k": 0.5 / eps, "s": float(c["x"].mean()) * 2 * eps}],
    ),
    RandomCase(
        "von-mises-equal-angles",
        angles,
        von_mises,
        {"mu": Space("open", ends=(-math.pi, math.pi)), "k": Space("positive")},
        candidates=lambda c, eps: [{"mu": float(c["x"][0]), "k": 0.5 / eps}],
    ),
    RandomCase(
        "pareto-single-observation",
        constant_or_not,
        pareto,
        {"m": Space("positive", 3), "a": Space("positive")},
        candidates=pareto_points,
    ),
    RandomCase(
        "gpd-unrestricted-shape",
        lambda rng: {"x": rounded(rng.exponential(2, 6) + 0.01)},
        generalised_pareto,
        {"xi": Space("real"), "s": Space("positive", 2)},
        candidates=lambda c, eps: [{"xi": -2.0, "s": 2 * float(c["x"].max()) * (1 + 2 * eps)}],
        keeps_off=lambda c, t, eps: bool(1 + t["xi"] * c["x"].max() / t["s"] >= eps),
        unbounded=True,
    ),
]

ALL = [*SEVERAL, *ORDER, *DISCRETE, *ABSENT]
