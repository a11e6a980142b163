"""Known laws and what is built from them, each written twice: as SymPy expressions and in NumPy.

The symbolic side is what symmle is given (density and distribution function as a paper prints them); the numeric
side carries log f, log F and log S and knows nothing of SymPy, so that tails keep their digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, gammaln, log_ndtr
from sympy import Expr, Integer, S, Symbol, cosh, exp, factorial, gamma, log, oo, pi, sqrt, symbols
from sympy import atan as arctangent
from sympy import erf as error_function

Array = NDArray[Any]
Point = dict[str, float]
Rng = np.random.Generator


class Logs(NamedTuple):
    """log f, log F and log S = log(1 - F) of rows."""

    density: Array
    below: Array
    above: Array


@dataclass(frozen=True)
class Parameter:
    """A parameter with its domain ("positive", "real", "unit" or "closed", which is [-1, 1]) and true value."""

    name: str
    kind: str
    truth: float

    @property
    def symbol(self) -> Symbol:
        return symbols(self.name, positive=True) if self.kind == "positive" else symbols(self.name, real=True)


@dataclass(frozen=True)
class Law:
    """A law by f, F and S = 1 - F at z, and the same as logarithms of NumPy arrays."""

    name: str
    low: Any
    high: Any
    density: Callable[[Any], Expr]
    below: Callable[[Any], Expr]
    above: Callable[[Any], Expr]
    logs: Callable[[Array, Point], Logs]
    parameters: tuple[Parameter, ...] = field(default_factory=tuple)

    @property
    def truth(self) -> Point:
        return {p.name: p.truth for p in self.parameters}


def log_complement(v: Any) -> Any:
    """log(1 - exp(v)) of v <= 0."""
    v = np.minimum(v, 0.0)
    return np.where(v > -0.6931, np.log(-np.expm1(v)), np.log1p(-np.exp(v)))


def log_complement_of_exp(u: Any) -> Any:
    """log(1 - exp(-exp(u))): next to underflow exp(u) has few digits, and the answer is u."""
    with np.errstate(all="ignore"):
        return np.where(u < -40.0, u, log_complement(-np.exp(u)))


class Names:
    """Fresh names: a law of a law has other parameters than the law."""

    def __init__(self, rng: Rng):
        self.rng = rng
        self.taken: list[str] = []

    def make(self, letter: str, kind: str, truth: float) -> Parameter:
        name = letter if letter not in self.taken else f"{letter}{self.taken.count(letter) + 1}"
        self.taken.append(letter)
        return Parameter(name, kind, round(truth, 3))

    def positive(self, letter: str, spread: float = 0.5) -> Parameter:
        return self.make(letter, "positive", float(np.exp(self.rng.normal(0, spread))))

    def real(self, letter: str) -> Parameter:
        return self.make(letter, "real", float(self.rng.normal(0, 3)))

    def unit(self, letter: str) -> Parameter:
        return self.make(letter, "unit", float(self.rng.uniform(0.15, 0.85)))

    def signed(self, letter: str) -> Parameter:
        return self.make(letter, "closed", float(self.rng.uniform(-0.9, 0.9)))


# --- laws on (0, oo), (-oo, oo), (0, 1) ---------------------------------------------------------
def by_cumulative_hazard(
    name: str, hazard: Callable[[Any], Expr], rate: Callable[[Any], Expr], logs: Any, *parameters: Parameter
) -> Law:
    """S = exp(-H), f = h exp(-H); `logs` gives log h and H in NumPy."""

    def numbers(z: Array, p: Point) -> Logs:
        log_rate, total = logs(z, p)
        return Logs(log_rate - total, log_complement(-total), -total)

    return Law(
        name,
        S.Zero,
        oo,
        lambda z: rate(z) * exp(-hazard(z)),
        lambda z: 1 - exp(-hazard(z)),
        lambda z: exp(-hazard(z)),
        numbers,
        parameters,
    )


def exponential(names: Names) -> Law:
    lam = names.positive("lam")
    a = lam.symbol
    return by_cumulative_hazard(
        "exponential",
        lambda z: a * z,
        lambda z: a,
        lambda z, p: (np.log(p[lam.name]) + 0 * z, p[lam.name] * z),
        lam,
    )


def rayleigh(names: Names) -> Law:
    sigma = names.positive("sigma")
    s = sigma.symbol
    return by_cumulative_hazard(
        "Rayleigh",
        lambda z: z**2 / (2 * s**2),
        lambda z: z / s**2,
        lambda z, p: (np.log(z) - 2 * np.log(p[sigma.name]), (z / p[sigma.name]) ** 2 / 2),
        sigma,
    )


def weibull(names: Names) -> Law:
    shape, scale = names.positive("k"), names.positive("sigma")
    k, s = shape.symbol, scale.symbol

    def logs(z: Array, p: Point) -> Any:
        u = np.log(z) - np.log(p[scale.name])
        return np.log(p[shape.name] / p[scale.name]) + (p[shape.name] - 1) * u, np.exp(p[shape.name] * u)

    return by_cumulative_hazard(
        "Weibull", lambda z: (z / s) ** k, lambda z: k / s * (z / s) ** (k - 1), logs, shape, scale
    )


def gompertz(names: Names) -> Law:
    eta, rate = names.positive("eta"), names.positive("b")
    e, b = eta.symbol, rate.symbol
    return by_cumulative_hazard(
        "Gompertz",
        lambda z: e * (exp(b * z) - 1),
        lambda z: e * b * exp(b * z),
        lambda z, p: (
            np.log(p[eta.name] * p[rate.name]) + p[rate.name] * z,
            p[eta.name] * np.expm1(p[rate.name] * z),
        ),
        eta,
        rate,
    )


def linear_hazard(names: Names) -> Law:
    first, second = names.positive("a"), names.positive("b")
    a, b = first.symbol, second.symbol
    return by_cumulative_hazard(
        "linear hazard",
        lambda z: a * z + b * z**2 / 2,
        lambda z: a + b * z,
        lambda z, p: (
            np.log(p[first.name] + p[second.name] * z),
            p[first.name] * z + p[second.name] * z**2 / 2,
        ),
        first,
        second,
    )


def lindley(names: Names) -> Law:
    parameter = names.positive("theta")
    t = parameter.symbol
    return by_cumulative_hazard(
        "Lindley",
        lambda z: t * z - log(1 + t * z / (1 + t)),
        lambda z: t**2 * (1 + z) / (1 + t + t * z),
        lambda z, p: (
            2 * np.log(p[parameter.name]) + np.log1p(z) - np.log(1 + p[parameter.name] * (1 + z)),
            p[parameter.name] * z - np.log1p(p[parameter.name] * z / (1 + p[parameter.name])),
        ),
        parameter,
    )


def lomax(names: Names) -> Law:
    shape, scale = names.positive("alpha"), names.positive("sigma")
    a, s = shape.symbol, scale.symbol

    def numbers(z: Array, p: Point) -> Logs:
        u = np.log1p(z / p[scale.name])
        above = -p[shape.name] * u
        return Logs(np.log(p[shape.name] / p[scale.name]) + above - u, log_complement(above), above)

    return Law(
        "Lomax",
        S.Zero,
        oo,
        lambda z: a / s * (1 + z / s) ** (-a - 1),
        lambda z: 1 - (1 + z / s) ** (-a),
        lambda z: (1 + z / s) ** (-a),
        numbers,
        (shape, scale),
    )


def log_logistic(names: Names) -> Law:
    shape = names.positive("c")
    c = shape.symbol

    def numbers(z: Array, p: Point) -> Logs:
        u = p[shape.name] * np.log(z)
        return Logs(
            np.log(p[shape.name]) + u - np.log(z) - 2 * np.logaddexp(0, u),
            -np.logaddexp(0, -u),
            -np.logaddexp(0, u),
        )

    return Law(
        "log-logistic",
        S.Zero,
        oo,
        lambda z: c * z ** (c - 1) / (1 + z**c) ** 2,
        lambda z: z**c / (1 + z**c),
        lambda z: 1 / (1 + z**c),
        numbers,
        (shape,),
    )


def frechet(names: Names) -> Law:
    shape = names.positive("alpha")
    a = shape.symbol

    def numbers(z: Array, p: Point) -> Logs:
        u = -p[shape.name] * np.log(z)
        below = -np.exp(u)
        return Logs(np.log(p[shape.name]) + u - np.log(z) + below, below, log_complement_of_exp(u))

    return Law(
        "Frechet",
        S.Zero,
        oo,
        lambda z: a * z ** (-a - 1) * exp(-(z ** (-a))),
        lambda z: exp(-(z ** (-a))),
        lambda z: 1 - exp(-(z ** (-a))),
        numbers,
        (shape,),
    )


def half_normal(names: Names) -> Law:
    scale = names.positive("sigma")
    s = scale.symbol

    def numbers(z: Array, p: Point) -> Logs:
        u = z / p[scale.name]
        above = math.log(2) + log_ndtr(-u)
        with np.errstate(all="ignore"):
            below = np.where(u < 1, np.log(erf(u / math.sqrt(2))), log_complement(above))
        return Logs(math.log(2 / math.pi) / 2 - np.log(p[scale.name]) - u**2 / 2, below, above)

    return Law(
        "half-normal",
        S.Zero,
        oo,
        lambda z: sqrt(2 / pi) / s * exp(-(z**2) / (2 * s**2)),
        lambda z: error_function(z / (sqrt(2) * s)),
        lambda z: 1 - error_function(z / (sqrt(2) * s)),
        numbers,
        (scale,),
    )


def length_biased_exponential(names: Names) -> Law:
    rate = names.positive("lam")
    a = rate.symbol

    def numbers(z: Array, p: Point) -> Logs:
        u = p[rate.name] * z
        above = np.log1p(u) - u
        return Logs(2 * np.log(p[rate.name]) + np.log(z) - u, log_complement(above), above)

    return Law(
        "length-biased exponential",
        S.Zero,
        oo,
        lambda z: z * a * exp(-a * z) * a,
        lambda z: 1 - (1 + a * z) * exp(-a * z),
        lambda z: (1 + a * z) * exp(-a * z),
        numbers,
        (rate,),
    )


def logistic(names: Names) -> Law:
    return Law(
        "logistic",
        -oo,
        oo,
        lambda z: exp(-z) / (1 + exp(-z)) ** 2,
        lambda z: 1 / (1 + exp(-z)),
        lambda z: exp(-z) / (1 + exp(-z)),
        lambda z, p: Logs(-z - 2 * np.logaddexp(0, -z), -np.logaddexp(0, -z), -np.logaddexp(0, z)),
    )


def gumbel(names: Names) -> Law:
    return Law(
        "Gumbel",
        -oo,
        oo,
        lambda z: exp(-z - exp(-z)),
        lambda z: exp(-exp(-z)),
        lambda z: 1 - exp(-exp(-z)),
        lambda z, p: Logs(-z - np.exp(-z), -np.exp(-z), log_complement_of_exp(-z)),
    )


def normal(names: Names) -> Law:
    return Law(
        "normal",
        -oo,
        oo,
        lambda z: exp(-(z**2) / 2) / sqrt(2 * pi),
        lambda z: (1 + error_function(z / sqrt(2))) / 2,
        lambda z: (1 - error_function(z / sqrt(2))) / 2,
        lambda z, p: Logs(-(z**2) / 2 - math.log(2 * math.pi) / 2, log_ndtr(z), log_ndtr(-z)),
    )


def cauchy(names: Names) -> Law:
    def below(z: Array) -> Array:
        # atan(-1/z)/pi left of -1, where 1/2 + atan(z)/pi loses its digits
        with np.errstate(all="ignore"):
            return np.where(
                z < -1,
                np.log(np.arctan(-1 / np.minimum(z, -1)) / math.pi),
                np.log(0.5 + np.arctan(z) / math.pi),
            )

    return Law(
        "Cauchy",
        -oo,
        oo,
        lambda z: 1 / (pi * (1 + z**2)),
        lambda z: S.Half + arctangent(z) / pi,
        lambda z: S.Half - arctangent(z) / pi,
        lambda z, p: Logs(-math.log(math.pi) - np.log1p(z**2), below(z), below(-z)),
    )


def hyperbolic_secant(names: Names) -> Law:
    def below(z: Array) -> Array:
        return np.log(2 / math.pi * np.arctan(np.exp(math.pi * z / 2)))

    return Law(
        "hyperbolic secant",
        -oo,
        oo,
        lambda z: 1 / (2 * cosh(pi * z / 2)),
        lambda z: 2 / pi * arctangent(exp(pi * z / 2)),
        lambda z: 2 / pi * arctangent(exp(-pi * z / 2)),
        lambda z, p: Logs(-np.logaddexp(math.pi * z / 2, -math.pi * z / 2), below(z), below(-z)),
    )


def power_function(names: Names) -> Law:
    shape = names.positive("a")
    a = shape.symbol

    def numbers(z: Array, p: Point) -> Logs:
        below = p[shape.name] * np.log(z)
        return Logs(np.log(p[shape.name]) + below - np.log(z), below, log_complement(below))

    return Law(
        "power function",
        S.Zero,
        S.One,
        lambda z: a * z ** (a - 1),
        lambda z: z**a,
        lambda z: 1 - z**a,
        numbers,
        (shape,),
    )


def kumaraswamy(names: Names) -> Law:
    first, second = names.positive("a"), names.positive("b")
    a, b = first.symbol, second.symbol

    def numbers(z: Array, p: Point) -> Logs:
        u = p[first.name] * np.log(z)
        rest = log_complement(u)
        return Logs(
            np.log(p[first.name] * p[second.name]) + u - np.log(z) + (p[second.name] - 1) * rest,
            log_complement(p[second.name] * rest),
            p[second.name] * rest,
        )

    return Law(
        "Kumaraswamy",
        S.Zero,
        S.One,
        lambda z: a * b * z ** (a - 1) * (1 - z**a) ** (b - 1),
        lambda z: 1 - (1 - z**a) ** b,
        lambda z: (1 - z**a) ** b,
        numbers,
        (first, second),
    )


def topp_leone(names: Names) -> Law:
    shape = names.positive("a")
    a = shape.symbol

    def numbers(z: Array, p: Point) -> Logs:
        u = np.log(z) + np.log(2 - z)
        below = p[shape.name] * u
        return Logs(np.log(2 * p[shape.name]) + np.log1p(-z) + below - u, below, log_complement(below))

    return Law(
        "Topp-Leone",
        S.Zero,
        S.One,
        lambda z: 2 * a * (1 - z) * (z * (2 - z)) ** (a - 1),
        lambda z: (z * (2 - z)) ** a,
        lambda z: 1 - (z * (2 - z)) ** a,
        numbers,
        (shape,),
    )


# --- laws made of a law -------------------------------------------------------------------------
def powered(law: Law, names: Names) -> Law:
    """F**a."""
    shape = names.positive("a")
    a = shape.symbol

    def numbers(z: Array, p: Point) -> Logs:
        f, below, _ = law.logs(z, p)
        alpha = p[shape.name]
        return Logs(np.log(alpha) + (alpha - 1) * below + f, alpha * below, log_complement(alpha * below))

    return replace(
        law,
        name=f"exponentiated {law.name}",
        density=lambda z: a * law.density(z) * law.below(z) ** (a - 1),
        below=lambda z: law.below(z) ** a,
        above=lambda z: 1 - law.below(z) ** a,
        logs=numbers,
        parameters=(*law.parameters, shape),
    )


def least_of(law: Law, names: Names) -> Law:
    """1 - (1 - F)**b."""
    shape = names.positive("b")
    b = shape.symbol

    def numbers(z: Array, p: Point) -> Logs:
        f, _, above = law.logs(z, p)
        beta = p[shape.name]
        return Logs(np.log(beta) + (beta - 1) * above + f, log_complement(beta * above), beta * above)

    return replace(
        law,
        name=f"proportional-hazards {law.name}",
        density=lambda z: b * law.density(z) * law.above(z) ** (b - 1),
        below=lambda z: 1 - law.above(z) ** b,
        above=lambda z: law.above(z) ** b,
        logs=numbers,
        parameters=(*law.parameters, shape),
    )


def transmuted(law: Law, names: Names) -> Law:
    """(1 + t) F - t F**2, t in [-1, 1]."""
    weight = names.signed("t")
    t = weight.symbol

    def kept(share: float, own: Array, other: Array) -> Array:
        """1 + share exp(other), exp(own) + exp(other) = 1, without cancellation."""
        return 1 + share * np.exp(other) if share >= 0 else (1 + share) - share * np.exp(own)

    def numbers(z: Array, p: Point) -> Logs:
        f, below, above = law.logs(z, p)
        # 1 + t - 2 t F = 1 - t + 2 t S, without cancellation near either end
        bent = np.where(
            below < above,
            1 + p[weight.name] - 2 * p[weight.name] * np.exp(below),
            1 - p[weight.name] + 2 * p[weight.name] * np.exp(above),
        )
        with np.errstate(all="ignore"):
            return Logs(
                f + np.log(bent),
                below + np.log(kept(p[weight.name], below, above)),
                above + np.log(kept(-p[weight.name], above, below)),
            )

    return replace(
        law,
        name=f"transmuted {law.name}",
        density=lambda z: law.density(z) * (1 + t - 2 * t * law.below(z)),
        below=lambda z: (1 + t) * law.below(z) - t * law.below(z) ** 2,
        above=lambda z: 1 - (1 + t) * law.below(z) + t * law.below(z) ** 2,
        logs=numbers,
        parameters=(*law.parameters, weight),
    )


def tilted(law: Law, names: Names) -> Law:
    """F/(1 - (1 - a) S) (Marshall and Olkin)."""
    tilt = names.positive("alpha")
    a = tilt.symbol

    def numbers(z: Array, p: Point) -> Logs:
        f, below, above = law.logs(z, p)
        alpha = math.log(p[tilt.name])
        whole = np.logaddexp(below, alpha + above)
        return Logs(alpha + f - 2 * whole, below - whole, alpha + above - whole)

    def whole(z: Any) -> Expr:
        return 1 - (1 - a) * law.above(z)

    return replace(
        law,
        name=f"Marshall-Olkin {law.name}",
        density=lambda z: a * law.density(z) / whole(z) ** 2,
        below=lambda z: law.below(z) / whole(z),
        above=lambda z: a * law.above(z) / whole(z),
        logs=numbers,
        parameters=(*law.parameters, tilt),
    )


def scaled(law: Law, names: Names) -> Law:
    """The law of sigma Z."""
    scale = names.positive("sigma")
    s = scale.symbol

    def numbers(x: Array, p: Point) -> Logs:
        f, below, above = law.logs(x / p[scale.name], p)
        return Logs(f - np.log(p[scale.name]), below, above)

    return replace(
        law,
        name=f"scaled {law.name}",
        density=lambda x: law.density(x / s) / s,
        below=lambda x: law.below(x / s),
        above=lambda x: law.above(x / s),
        logs=numbers,
        parameters=(*law.parameters, scale),
    )


def shifted_and_scaled(law: Law, names: Names) -> Law:
    """The law of mu + sigma Z, Z on the whole line."""
    place, scale = names.real("mu"), names.positive("sigma")
    m, s = place.symbol, scale.symbol

    def numbers(x: Array, p: Point) -> Logs:
        f, below, above = law.logs((x - p[place.name]) / p[scale.name], p)
        return Logs(f - np.log(p[scale.name]), below, above)

    return replace(
        law,
        name=f"location-scale {law.name}",
        density=lambda x: law.density((x - m) / s) / s,
        below=lambda x: law.below((x - m) / s),
        above=lambda x: law.above((x - m) / s),
        logs=numbers,
        parameters=(*law.parameters, place, scale),
    )


def exponential_of(law: Law, names: Names) -> Law:
    """The law of exp(Z), Z on the whole line."""

    def numbers(x: Array, p: Point) -> Logs:
        f, below, above = law.logs(np.log(x), p)
        return Logs(f - np.log(x), below, above)

    return replace(
        law,
        name=f"log-{law.name}",
        low=S.Zero,
        density=lambda x: law.density(log(x)) / x,
        below=lambda x: law.below(log(x)),
        above=lambda x: law.above(log(x)),
        logs=numbers,
    )


def logarithm_of(law: Law, names: Names) -> Law:
    """The law of log Z, Z > 0."""

    def numbers(x: Array, p: Point) -> Logs:
        z = np.exp(x)
        f, below, above = law.logs(
            np.where(z > 1e-300, z, np.nan), p
        )  # next to underflow few digits are left
        return Logs(f + x, below, above)

    return replace(
        law,
        name=f"logarithm of {law.name}",
        low=-oo,
        density=lambda x: law.density(exp(x)) * exp(x),
        below=lambda x: law.below(exp(x)),
        above=lambda x: law.above(exp(x)),
        logs=numbers,
    )


def root_of(law: Law, names: Names) -> Law:
    """The law of Z**(1/c), Z > 0: the data raised to c have the law."""
    power = names.positive("c")
    c = power.symbol

    def numbers(x: Array, p: Point) -> Logs:
        f, below, above = law.logs(x ** p[power.name], p)
        return Logs(f + np.log(p[power.name]) + (p[power.name] - 1) * np.log(x), below, above)

    return replace(
        law,
        name=f"power-transformed {law.name}",
        density=lambda x: law.density(x**c) * c * x ** (c - 1),
        below=lambda x: law.below(x**c),
        above=lambda x: law.above(x**c),
        logs=numbers,
        parameters=(*law.parameters, power),
    )


def unit_of(law: Law, names: Names) -> Law:
    """The law of exp(-Z), Z > 0, on (0, 1)."""

    def numbers(x: Array, p: Point) -> Logs:
        f, below, above = law.logs(-np.log(x), p)
        return Logs(f - np.log(x), above, below)

    return replace(
        law,
        name=f"unit {law.name}",
        high=S.One,
        density=lambda x: law.density(-log(x)) / x,
        below=lambda x: law.above(-log(x)),
        above=lambda x: law.below(-log(x)),
        logs=numbers,
    )


def cut_below(law: Law, names: Names) -> Law:
    """The law of Z given Z > q, q a known number about the true lower quartile."""
    q = cut_at(law, 0.25)

    def numbers(x: Array, p: Point) -> Logs:
        f, _, above = law.logs(x, p)
        kept = law.logs(np.array([float(q)]), p).above[0]
        return Logs(f - kept, log_complement(above - kept), above - kept)

    return replace(
        law,
        name=f"left-truncated {law.name}",
        low=q,
        density=lambda x: law.density(x) / law.above(q),
        below=lambda x: 1 - law.above(x) / law.above(q),
        above=lambda x: law.above(x) / law.above(q),
        logs=numbers,
    )


def cut_above(law: Law, names: Names) -> Law:
    """The law of Z given Z < q, q a known number about the true upper decile."""
    q = cut_at(law, 0.9)

    def numbers(x: Array, p: Point) -> Logs:
        f, below, _ = law.logs(x, p)
        kept = law.logs(np.array([float(q)]), p).below[0]
        return Logs(f - kept, below - kept, log_complement(below - kept))

    return replace(
        law,
        name=f"right-truncated {law.name}",
        high=q,
        density=lambda x: law.density(x) / law.below(q),
        below=lambda x: law.below(x) / law.below(q),
        above=lambda x: 1 - law.below(x) / law.below(q),
        logs=numbers,
    )


def cut_at(law: Law, share: float) -> Expr:
    """A quantile of the law at its true parameters as a short rational number."""
    value = float(quantiles(law, np.array([share]))[0])
    digits = 2 - math.floor(math.log10(abs(value) or 1))
    return Integer(round(value * 10**digits)) / Integer(10) ** digits


def quantiles(law: Law, shares: Array, truth: Point | None = None) -> Array:
    """F**-1 by bisection, on both tails' logarithms."""
    at = law.truth if truth is None else truth
    low, high = float(law.low), float(law.high)

    def place(u: Array) -> Array:
        if math.isfinite(low) and math.isfinite(high):
            return low + (high - low) / (1 + np.exp(-u))
        if math.isfinite(low):
            return low + np.exp(u)
        if math.isfinite(high):
            return high - np.exp(-u)
        return np.sinh(u)

    left, right = np.full(shares.shape, -40.0), np.full(shares.shape, 40.0)
    with np.errstate(all="ignore"):
        for _ in range(200):
            middle = (left + right) / 2
            _, below, above = law.logs(place(middle), at)
            is_right = np.where(shares < 0.5, below > np.log(shares), above < np.log1p(-shares))
            left, right = np.where(is_right, left, middle), np.where(is_right, middle, right)
    return place(left)


# --- laws of counts -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Counts:
    """A law of x = `first`, first + 1, ...: its mass as an expression, and its logarithm in NumPy."""

    name: str
    first: int
    mass: Callable[[Any], Expr]
    log_mass: Callable[[Array, Point], Array]
    parameters: tuple[Parameter, ...]
    mean: Expr | None = None
    log_mean: Callable[[Point], Any] | None = None

    @property
    def truth(self) -> Point:
        return {p.name: p.truth for p in self.parameters}


def whole_part_of(law: Law, names: Names) -> Counts:
    """P(x) = S(x) - S(x + 1), x = 0, 1, ...: the law of the whole part of Z > 0."""

    def numbers(x: Array, p: Point) -> Array:
        with np.errstate(all="ignore"):
            upper = law.logs(x + 1.0, p).above
            lower = np.where(x > 0, law.logs(np.maximum(x, 1e-300), p).above, 0.0)
            return lower + log_complement(upper - lower)

    def mass(x: Any) -> Expr:
        return law.above(x) - law.above(x + 1)

    return Counts(f"discrete {law.name}", 0, mass, numbers, law.parameters)


def poisson(names: Names) -> Counts:
    mean = names.positive("lam", 0.8)
    a = mean.symbol
    return Counts(
        "Poisson",
        0,
        lambda x: exp(-a) * a**x / factorial(x),
        lambda x, p: x * np.log(p[mean.name]) - p[mean.name] - gammaln(x + 1),
        (mean,),
        a,
        lambda p: np.log(p[mean.name]),
    )


def geometric(names: Names) -> Counts:
    chance = names.unit("p")
    q = chance.symbol
    return Counts(
        "geometric",
        0,
        lambda x: q * (1 - q) ** x,
        lambda x, p: np.log(p[chance.name]) + x * np.log1p(-p[chance.name]),
        (chance,),
        (1 - q) / q,
        lambda p: np.log1p(-p[chance.name]) - np.log(p[chance.name]),
    )


def negative_binomial(names: Names) -> Counts:
    size, chance = names.positive("r"), names.unit("p")
    r, q = size.symbol, chance.symbol
    return Counts(
        "negative binomial",
        0,
        lambda x: gamma(x + r) / (factorial(x) * gamma(r)) * q**r * (1 - q) ** x,
        lambda x, p: (
            gammaln(x + p[size.name])
            - gammaln(x + 1)
            - gammaln(p[size.name])
            + p[size.name] * np.log(p[chance.name])
            + x * np.log1p(-p[chance.name])
        ),
        (size, chance),
        r * (1 - q) / q,
        lambda p: np.log(p[size.name]) + np.log1p(-p[chance.name]) - np.log(p[chance.name]),
    )


def without_zero(law: Counts, names: Names) -> Counts:
    """P(x)/(1 - P(0)), x = 1, 2, ..."""

    def numbers(x: Array, p: Point) -> Array:
        return law.log_mass(x, p) - log_complement(law.log_mass(np.zeros(1), p)[0])

    return replace(
        law,
        name=f"zero-truncated {law.name}",
        first=1,
        mass=lambda x: law.mass(x) / (1 - law.mass(Integer(0))),
        log_mass=numbers,
    )


def size_biased(law: Counts, names: Names) -> Counts:
    """x P(x)/E[x], x = 1, 2, ..."""
    assert law.mean is not None and law.log_mean is not None
    mean, log_mean = law.mean, law.log_mean
    return replace(
        law,
        name=f"size-biased {law.name}",
        first=1,
        mass=lambda x: x * law.mass(x) / mean,
        log_mass=lambda x, p: np.log(x) + law.log_mass(x, p) - log_mean(p),
        mean=None,
    )


POSITIVE = (
    exponential, rayleigh, weibull, gompertz, linear_hazard, lindley, lomax, log_logistic, frechet, half_normal,
    length_biased_exponential,
)  # fmt: skip
REAL = (logistic, gumbel, normal, cauchy, hyperbolic_secant)
UNIT = (power_function, kumaraswamy, topp_leone)
ANYWHERE = (powered, least_of, transmuted, tilted)
CUTS = (cut_below, cut_above)
COUNTS = (poisson, geometric, negative_binomial)
