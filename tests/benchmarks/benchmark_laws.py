"""The laws of the benchmarks: declaration, simulated data, log density in array functions, a start from few rows.

The log density is written once, over an array library, as one who knows no reduction writes it: the generic peers
maximise it, and it judges every contestant's answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[Any]
Columns = dict[str, Array]
Estimates = dict[str, Any]

POSITIVE, REAL, UNIT, COUNTS = "(0, oo)", "(-oo, oo)", "(0, 1)", "{0..oo}"
START_ROWS = 1000  # of the starts that the generic peers are given
EULER = 0.5772156649015329


@dataclass(frozen=True)
class ArrayLibrary:
    """What the log densities need of NumPy or of jax.numpy."""

    xp: Any
    gammaln: Callable[..., Any]


NUMPY = ArrayLibrary(np, gammaln)


@dataclass(frozen=True)
class Law:
    """One row of the benchmarks.

    Attributes
    ----------
    parameters : dict
        Name to domain, "positive" or "real", in the order of the arguments of `log_density`.
    simulate : callable
        (generator, rows) to the data column.
    log_density : callable
        (library, x, *parameters) to the log density of each row.
    start : callable
        The column's first rows to parameter values, by moments.
    groups : int
        How many groups of equal size the rows fall into; 0 where they are one sample.
    """

    name: str
    rows: int
    support: str
    density: str
    parameters: dict[str, str]
    simulate: Callable[[np.random.Generator, int], Array]
    log_density: Callable[..., Any]
    start: Callable[[Array], list[float]]
    groups: int = 0

    def declaration(self) -> dict[str, Any]:
        """The table that `symmle.Model.from_dict` takes."""
        return {
            "name": self.name,
            "data": {"x": self.support},
            "parameters": self.parameters,
            "density": self.density,
        }

    def columns(self, rows: int | None = None, seed: int = 20) -> Columns:
        """Simulated data; with groups a column g of whole numbers that rise."""
        n = self.rows if rows is None else rows
        found = {"x": self.simulate(np.random.default_rng(seed), n)}
        if self.groups:
            size = self.rows // self.groups
            found["g"] = np.repeat(np.arange(max(n // size, 1)), size)
            found["x"] = found["x"][: len(found["g"])]
        return found

    def starting_point(self, x: Array) -> list[float]:
        return [float(v) for v in self.start(np.asarray(x[:START_ROWS], dtype=float))]

    def log_likelihood(self, columns: Columns, estimates: Estimates) -> float:
        """sum_i log f(x_i), each row by the estimates of its group."""
        theta = [np.asarray(estimates[p], dtype=float) for p in self.parameters]
        if self.groups:
            theta = [t[columns["g"]] for t in theta]
        with np.errstate(all="ignore"):
            return float(np.sum(self.log_density(NUMPY, columns["x"], *theta)))


# --- log densities ---------------------------------------------------------------------------------


def gamma(lib: ArrayLibrary, x: Any, a: Any, b: Any) -> Any:
    return a * lib.xp.log(b) - lib.gammaln(a) + (a - 1) * lib.xp.log(x) - b * x


def weibull(lib: ArrayLibrary, x: Any, k: Any, s: Any) -> Any:
    log_z = lib.xp.log(x / s)
    return lib.xp.log(k / s) + (k - 1) * log_z - lib.xp.exp(k * log_z)


def beta(lib: ArrayLibrary, x: Any, a: Any, b: Any) -> Any:
    constant = lib.gammaln(a + b) - lib.gammaln(a) - lib.gammaln(b)
    return constant + (a - 1) * lib.xp.log(x) + (b - 1) * lib.xp.log1p(-x)


def kumaraswamy(lib: ArrayLibrary, x: Any, a: Any, b: Any) -> Any:
    log_x = lib.xp.log(x)
    return lib.xp.log(a * b) + (a - 1) * log_x + (b - 1) * lib.xp.log1p(-lib.xp.exp(a * log_x))


def exponentiated_weibull(lib: ArrayLibrary, x: Any, a: Any, k: Any, s: Any) -> Any:
    log_z = lib.xp.log(x / s)
    u = lib.xp.exp(k * log_z)
    return lib.xp.log(a * k / s) + (k - 1) * log_z - u + (a - 1) * lib.xp.log(-lib.xp.expm1(-u))


def gumbel(lib: ArrayLibrary, x: Any, m: Any, s: Any) -> Any:
    z = (x - m) / s
    return -lib.xp.log(s) - z - lib.xp.exp(-z)


def logistic(lib: ArrayLibrary, x: Any, m: Any, s: Any) -> Any:
    z = lib.xp.abs(x - m) / s
    return -lib.xp.log(s) - z - 2 * lib.xp.log1p(lib.xp.exp(-z))


def inverse_gaussian(lib: ArrayLibrary, x: Any, m: Any, lam: Any) -> Any:
    return 0.5 * lib.xp.log(lam / (2 * np.pi * x**3)) - lam * (x - m) ** 2 / (2 * m**2 * x)


def gev(lib: ArrayLibrary, x: Any, m: Any, s: Any, xi: Any) -> Any:
    y = 1 + xi * (x - m) / s
    log_y = lib.xp.log(lib.xp.where(y > 0, y, 1.0))
    inside = -lib.xp.log(s) - (1 + 1 / xi) * log_y - lib.xp.exp(-log_y / xi)
    return lib.xp.where(y > 0, inside, -np.inf)


def student(lib: ArrayLibrary, x: Any, m: Any, s: Any, nu: Any) -> Any:
    constant = lib.gammaln((nu + 1) / 2) - lib.gammaln(nu / 2) - 0.5 * lib.xp.log(nu * np.pi) - lib.xp.log(s)
    return constant - (nu + 1) / 2 * lib.xp.log1p(((x - m) / s) ** 2 / nu)


def cauchy(lib: ArrayLibrary, x: Any, m: Any, s: Any) -> Any:
    return -lib.xp.log(np.pi * s) - lib.xp.log1p(((x - m) / s) ** 2)


def negative_binomial(lib: ArrayLibrary, x: Any, r: Any, p: Any) -> Any:
    ways = lib.gammaln(x + r) - lib.gammaln(r) - lib.gammaln(x + 1.0)
    return ways + r * lib.xp.log(p) + x * lib.xp.log1p(-p)


# --- starts by moments or quantiles ----------------------------------------------------------------


def _gamma_start(x: Array) -> list[float]:
    mean, variance = x.mean(), x.var()
    return [mean**2 / variance, mean / variance]


def _weibull_start(x: Array) -> list[float]:
    y = np.log(x)
    k = np.pi / np.sqrt(6) / y.std()
    return [k, np.exp(y.mean() + EULER / k)]


def _beta_start(x: Array) -> list[float]:
    mean, variance = x.mean(), x.var()
    total = mean * (1 - mean) / variance - 1
    return [mean * total, (1 - mean) * total]


def _gumbel_start(x: Array) -> list[float]:
    s = x.std() * np.sqrt(6) / np.pi
    return [x.mean() - EULER * s, s]


def _quartiles_start(x: Array) -> list[float]:
    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75))
    return [middle, (high - low) / 2]


def _negative_binomial_start(x: Array) -> list[float]:
    mean, variance = x.mean(), x.var()
    p = min(mean / variance, 0.9)
    return [mean * p / (1 - p), p]


# --- the rows --------------------------------------------------------------------------------------

MILLION = 1_000_000
GAMMA = "b**a*x**(a - 1)*exp(-b*x)/gamma(a)"
POSITIVE_PAIR = {"a": "positive", "b": "positive"}
LOCATION_SCALE = {"m": "real", "s": "positive"}
LAWS: tuple[Law, ...] = (
    Law(
        "gamma",
        MILLION,
        POSITIVE,
        GAMMA,
        POSITIVE_PAIR,
        lambda rng, n: rng.gamma(2.5, 1.7, n),
        gamma,
        _gamma_start,
    ),
    Law(
        "Weibull",
        MILLION,
        POSITIVE,
        "k/s*(x/s)**(k - 1)*exp(-(x/s)**k)",
        {"k": "positive", "s": "positive"},
        lambda rng, n: 3.0 * rng.weibull(1.6, n),
        weibull,
        _weibull_start,
    ),
    Law(
        "beta",
        MILLION,
        UNIT,
        "gamma(a + b)/(gamma(a)*gamma(b))*x**(a - 1)*(1 - x)**(b - 1)",
        POSITIVE_PAIR,
        lambda rng, n: rng.beta(2.3, 3.7, n),
        beta,
        _beta_start,
    ),
    Law(
        "Kumaraswamy",
        MILLION,
        UNIT,
        "a*b*x**(a - 1)*(1 - x**a)**(b - 1)",
        POSITIVE_PAIR,
        lambda rng, n: (1 - rng.uniform(0, 1, n) ** (1 / 3.1)) ** (1 / 2.2),
        kumaraswamy,
        _beta_start,
    ),
    Law(
        "exponentiated Weibull",
        MILLION,
        POSITIVE,
        "a*k/s*(x/s)**(k - 1)*exp(-(x/s)**k)*(1 - exp(-(x/s)**k))**(a - 1)",
        {"a": "positive", "k": "positive", "s": "positive"},
        lambda rng, n: 2.5 * (-np.log1p(-(rng.uniform(0, 1, n) ** (1 / 1.8)))) ** (1 / 1.4),
        exponentiated_weibull,
        lambda x: [1.0, *_weibull_start(x)],
    ),
    Law(
        "Gumbel",
        MILLION,
        REAL,
        "exp(-(x - m)/s - exp(-(x - m)/s))/s",
        LOCATION_SCALE,
        lambda rng, n: rng.gumbel(4.0, 1.7, n),
        gumbel,
        _gumbel_start,
    ),
    Law(
        "logistic",
        MILLION,
        REAL,
        "exp(-(x - m)/s)/(s*(1 + exp(-(x - m)/s))**2)",
        LOCATION_SCALE,
        lambda rng, n: rng.logistic(3.0, 0.8, n),
        logistic,
        lambda x: [x.mean(), x.std() * np.sqrt(3) / np.pi],
    ),
    Law(
        "inverse Gaussian",
        MILLION,
        POSITIVE,
        "sqrt(lam/(2*pi*x**3))*exp(-lam*(x - m)**2/(2*m**2*x))",
        {"m": "positive", "lam": "positive"},
        lambda rng, n: rng.wald(3.0, 5.0, n),
        inverse_gaussian,
        lambda x: [x.mean(), x.mean() ** 3 / x.var()],
    ),
    Law(
        "GEV",
        10_000,
        REAL,
        "Piecewise((exp(-(1 + xi*(x - m)/s)**(-1/xi))*(1 + xi*(x - m)/s)**(-1/xi - 1)/s, "
        "1 + xi*(x - m)/s > 0), (0, True))",
        {"m": "real", "s": "positive", "xi": "real"},
        lambda rng, n: 10 + 2.0 / 0.15 * (rng.exponential(1.0, n) ** -0.15 - 1),
        gev,
        lambda x: [*_gumbel_start(x), 0.1],
    ),
    Law(
        "Student t",
        100_000,
        REAL,
        "gamma((nu + 1)/2)/(gamma(nu/2)*sqrt(nu*pi)*s)*(1 + ((x - m)/s)**2/nu)**(-(nu + 1)/2)",
        {"m": "real", "s": "positive", "nu": "positive"},
        lambda rng, n: 2.0 + 1.5 * rng.standard_t(5.0, n),
        student,
        lambda x: [*_quartiles_start(x), 4.0],
    ),
    Law(
        "Cauchy",
        100_000,
        REAL,
        "1/(pi*s*(1 + ((x - m)/s)**2))",
        LOCATION_SCALE,
        lambda rng, n: 3.0 + 0.7 * rng.standard_cauchy(n),
        cauchy,
        _quartiles_start,
    ),
    Law(
        "negative binomial",
        100_000,
        COUNTS,
        "gamma(x + r)/(gamma(r)*factorial(x))*p**r*(1 - p)**x",
        {"r": "positive", "p": "(0, 1)"},
        lambda rng, n: rng.negative_binomial(3.5, 0.4, n),
        negative_binomial,
        _negative_binomial_start,
    ),
    Law(
        "gamma by group",
        500_000,
        POSITIVE,
        GAMMA,
        POSITIVE_PAIR,
        lambda rng, n: rng.gamma(2.5, 1.7, n),
        gamma,
        _gamma_start,
        groups=10_000,
    ),
)


@cache
def law(name: str) -> Law:
    """The row of that name."""
    return next(row for row in LAWS if row.name == name)


__all__ = ["LAWS", "NUMPY", "Array", "ArrayLibrary", "Columns", "Estimates", "Law", "law"]
