"""Closed forms on 10^6 rows: symmle's fit beside a NumPy program with the same statistics and checks.

Run as `python tests/benchmarks/closed_form_ratio.py [rows]`. Both run in turn; for each law the median over the
rounds of the ratio of both times is printed, by processor time (what other programs do does not count) and by
the clock. No test asserts a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from symmle import Model, derive, fit


def checked(x: np.ndarray, low: float = -np.inf) -> np.ndarray:
    """The checks that symmle makes: finite, inside the support, not constant."""
    smallest, largest = x.min(), x.max()
    if not (smallest > low and largest < np.inf and smallest > -np.inf):
        raise ValueError("outside the support")
    if smallest == largest:
        raise ValueError("constant")
    return x


def normal(x: np.ndarray) -> dict[str, float]:
    mean = checked(x).mean()
    d = x - mean
    return {"mu": mean, "sigma": np.sqrt(np.mean(d * d) - np.mean(d) ** 2)}


def exponential(x: np.ndarray) -> dict[str, float]:
    return {"lam": 1 / checked(x, 0.0).mean()}


def lognormal(x: np.ndarray) -> dict[str, float]:
    logs = np.log(checked(x, 0.0))
    mean = logs.mean()
    d = logs - mean
    return {"mu": mean, "sigma": np.sqrt(np.mean(d * d) - np.mean(d) ** 2)}


def gamma_known_shape(x: np.ndarray) -> dict[str, float]:
    return {"theta": checked(x, 0.0).mean() / 3}


def inverse_gaussian(x: np.ndarray) -> dict[str, float]:
    mean = checked(x, 0.0).mean()
    return {"mu": mean, "lam": 1 / np.mean((x - mean) ** 2 / (x * mean**2))}


def pareto(x: np.ndarray) -> dict[str, float]:
    return {"alpha": 1 / np.mean(np.log(checked(x, 1.0)))}


def regression(y: np.ndarray, z: np.ndarray) -> dict[str, float]:
    my, mz = checked(y).mean(), checked(z).mean()
    dy, dz = y - my, z - mz
    syy, syz, szz = np.mean(dy * dy), np.mean(dy * dz), np.mean(dz * dz)
    b = syz / szz
    return {"b0": my - b * mz, "b1": b, "sigma": np.sqrt(syy - b * syz)}


REAL, POSITIVE = "(-oo, oo)", "(0, oo)"
LAWS: list[tuple[str, dict[str, Any], Callable[..., dict[str, float]]]] = [
    (
        "normal",
        {
            "data": {"x": REAL},
            "parameters": {"mu": "real", "sigma": "positive"},
            "density": "exp(-(x - mu)**2/(2*sigma**2))/(sigma*sqrt(2*pi))",
        },
        normal,
    ),
    (
        "exponential",
        {"data": {"x": POSITIVE}, "parameters": {"lam": "positive"}, "density": "lam*exp(-lam*x)"},
        exponential,
    ),
    (
        "lognormal",
        {
            "data": {"x": POSITIVE},
            "parameters": {"mu": "real", "sigma": "positive"},
            "density": "exp(-(log(x) - mu)**2/(2*sigma**2))/(x*sigma*sqrt(2*pi))",
        },
        lognormal,
    ),
    (
        "gamma, shape 3",
        {
            "data": {"x": POSITIVE},
            "parameters": {"theta": "positive"},
            "density": "x**2*exp(-x/theta)/(2*theta**3)",
        },
        gamma_known_shape,
    ),
    (
        "inverse Gaussian",
        {
            "data": {"x": POSITIVE},
            "parameters": {"mu": "positive", "lam": "positive"},
            "density": "sqrt(lam/(2*pi*x**3))*exp(-lam*(x - mu)**2/(2*mu**2*x))",
        },
        inverse_gaussian,
    ),
    (
        "Pareto",
        {"data": {"x": "[1, oo)"}, "parameters": {"alpha": "positive"}, "density": "alpha/x**(alpha + 1)"},
        pareto,
    ),
    (
        "regression",
        {
            "data": {"y": REAL},
            "covariates": ["z"],
            "parameters": {"b0": "real", "b1": "real", "sigma": "positive"},
            "density": "exp(-(y - b0 - b1*z)**2/(2*sigma**2))/(sigma*sqrt(2*pi))",
        },
        regression,
    ),
]


def columns_of(name: str, rows: int) -> dict[str, np.ndarray]:
    """Data of the law, away from standard values."""
    rng = np.random.default_rng(7)
    z = rng.normal(3.0, 2.0, rows)
    return {
        "normal": {"x": rng.normal(12.0, 3.0, rows)},
        "exponential": {"x": rng.exponential(4.0, rows)},
        "lognormal": {"x": rng.lognormal(1.5, 0.6, rows)},
        "gamma, shape 3": {"x": rng.gamma(3.0, 2.0, rows)},
        "inverse Gaussian": {"x": rng.wald(3.0, 5.0, rows)},
        "Pareto": {"x": 1.0 + rng.pareto(2.5, rows)},
        "regression": {"y": 1.0 + 0.7 * z + rng.normal(0.0, 1.5, rows), "z": z},
    }[name]


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Clock time and processor time in ms, and what came out."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return 1e3 * (time.perf_counter() - clock), 1e3 * (time.process_time() - processor), found


def main(rows: int, repeats: int = 31) -> None:
    for name, table, program in LAWS:
        columns = columns_of(name, rows)
        derivation = derive(Model.from_dict(table))
        fit(derivation, columns)  # the one warm-up
        program(**columns)
        ours, theirs = np.empty((repeats, 2)), np.empty((repeats, 2))
        for k in range(repeats):
            *ours[k], result = timed(lambda d=derivation, c=columns: fit(d, c).estimates)  # type: ignore[misc]
            *theirs[k], expected = timed(lambda f=program, c=columns: f(**c))  # type: ignore[misc]
        gap = max(abs(result[k] / v - 1) for k, v in expected.items())
        clock, processor = np.median(ours / theirs, axis=0)
        best = ours.min(axis=0) / theirs.min(axis=0)
        print(
            f"{name:<17} symmle {np.median(ours[:, 1]):6.2f} ms   NumPy {np.median(theirs[:, 1]):6.2f} ms   ratio "
            f"{processor:5.2f} (clock {clock:5.2f}, best rounds {best[1]:5.2f})   largest difference {gap:.1e}"
        )


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 1_000_000)
