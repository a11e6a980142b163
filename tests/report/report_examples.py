"""Hand-made derivations, as the engine records them, for the tests of the reports."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sympy import (
    Eq,
    Expr,
    FiniteSet,
    Function,
    Interval,
    Matrix,
    Piecewise,
    Range,
    S,
    Symbol,
    Tuple,
    diff,
    exp,
    factorial,
    gamma,
    log,
    loggamma,
    oo,
    pi,
    polygamma,
    sqrt,
)

from symmle.declare.declaration import Declaration, SamplePart
from symmle.estimator import BySymbol, Certificate, Estimator, Kind, Scope, StationaryPoint
from symmle.record import Condition, Equation, Relation, Step
from symmle.sample import Count, Mean, Total


@dataclass(frozen=True)
class Stated(Certificate):
    """A certificate for the tests."""

    theorem: str = "exponential family"
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE
    conditions: tuple[Condition, ...] = ()

    def check(self) -> tuple[bool, str]:
        return True, ""


def _derivation(declaration: Declaration, steps: list[Step], estimator: Estimator) -> Any:
    return SimpleNamespace(
        model=SimpleNamespace(declaration=declaration, name=declaration.name),
        steps=tuple(steps),
        estimator=estimator,
    )


def _opening(
    declaration: Declaration, logs: tuple[Expr, ...], likelihood: Expr, **details: object
) -> list[Step]:
    densities = tuple(p.density for p in declaration.samples)
    parameters = tuple(declaration.parameters)
    totals = tuple(Total(g, p.all_columns) for g, p in zip(logs, declaration.samples, strict=True))
    score = tuple(diff(likelihood, p) for p in parameters)
    return [
        Step("model", (), densities, Relation.DEFINITION),
        Step("likelihood", densities, densities, Relation.DEFINITION),
        Step("logarithm", densities, logs, Relation.LOGARITHM),
        Step("normal form", totals, (likelihood,), Relation.EQUAL, details=tuple(details.items())),
        Step("score", (likelihood,), score, Relation.DERIVATIVE, parameters),
    ]


def normal() -> Any:
    x, mu, sigma = Symbol("x", real=True), Symbol("mu", real=True), Symbol("sigma", positive=True)
    cols = (x,)
    n = Count(cols)
    density = exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi))
    part = SamplePart(cols, {x: S.Reals}, density)
    declaration = Declaration((part,), {mu: S.Reals, sigma: Interval.open(0, oo)}, name="normal")
    opened = -log(2 * pi) / 2 - log(sigma) - (x - mu) ** 2 / (2 * sigma**2)
    likelihood = -n * log(2 * pi) / 2 - n * log(sigma) - Total((x - mu) ** 2, cols) / (2 * sigma**2)
    variance = Mean((x - Mean(x, cols)) ** 2, cols)
    condition = Condition(variance > 0, "not all equal", cols)
    closed = {mu: Mean(x, cols), sigma: sqrt(variance)}
    proof = Stated(conditions=(condition,))
    steps = _opening(
        declaration,
        (opened,),
        likelihood,
        statistics=(Total(x, cols), Total(x**2, cols)),
        family="exponential family",
    )
    moments = (Eq(mu, Mean(x, cols)), Eq(mu**2 + sigma**2, Mean(x**2, cols), evaluate=False))
    steps += [
        Step("moment equations", steps[-1].after, moments, Relation.EQUIVALENT, (mu, sigma)),
        Step(
            "solve",
            tuple(e.lhs - e.rhs for e in moments),
            (Tuple(*closed.values()),),
            Relation.ROOTS,
            (mu, sigma),
            details=(
                ("rejected", ((Tuple(Mean(x, cols), -sqrt(variance)), "sigma would be negative"),)),
                ("method", "power"),
            ),
        ),
        Step(
            "certificate",
            tuple(closed.values()),
            (Matrix([[-n / sigma**2, 0], [0, -2 * n / sigma**2]]).as_immutable(),),
            Relation.THEOREM,
            (mu, sigma),
            (condition,),
            details=(("certificate", proof), ("theorem", "exponential family")),
        ),
        Step("existence", (), (), Relation.DEFINITION, conditions=(condition,), details=(("exactly", True),)),
        Step("estimate", (), tuple(closed.values()), Relation.DEFINITION, (mu, sigma), (condition,)),
        Step("invariance", (), (), Relation.EQUAL, details=(("pairs", ((sigma**2, variance),)),)),
        Step(
            "observed information",
            (),
            (Matrix([[n / variance, 0], [0, 2 * n / variance]]).as_immutable(),),
            Relation.EQUAL,
            (mu, sigma),
        ),
        Step(
            "expected information",
            (),
            (Matrix([[n / sigma**2, 0], [0, 2 * n / sigma**2]]).as_immutable(),),
            Relation.EQUAL,
            (mu, sigma),
        ),
        Step(
            "asymptotic covariance",
            (),
            (Matrix([[sigma**2 / n, 0], [0, sigma**2 / (2 * n)]]).as_immutable(),),
            Relation.EQUAL,
            (mu, sigma),
        ),
        Step("identifiability", (), (), Relation.EQUAL, (mu, sigma), details=(("rank", 2),)),
    ]
    point = StationaryPoint(closed, Kind.GLOBAL_MAXIMUM, proof)
    estimator = Estimator(BySymbol(closed), (), (point,), (condition,), "closed form", "moments")
    return _derivation(declaration, steps, estimator)


def weibull() -> Any:
    x, k, lam = (Symbol(s, positive=True) for s in ("x", "k", "lam"))
    cols = (x,)
    n = Count(cols)
    density = k / lam * (x / lam) ** (k - 1) * exp(-((x / lam) ** k))
    part = SamplePart(cols, {x: Interval(0, oo)}, density)
    declaration = Declaration(
        (part,), {k: Interval.open(0, oo), lam: Interval.open(0, oo)}, name="weibull_2 & more"
    )
    opened = log(k) - k * log(lam) + (k - 1) * log(x) - x**k / lam**k
    likelihood = (
        n * log(k) - n * k * log(lam) + (k - 1) * Total(log(x), cols) - lam ** (-k) * Total(x**k, cols)
    )
    scale = Mean(x**k, cols) ** (1 / k)
    left = 1 / k + Mean(log(x), cols) - Mean(x**k * log(x), cols) / Mean(x**k, cols)
    steps = _opening(declaration, (opened,), likelihood, statistics=(Total(log(x), cols),))
    steps += [
        Step(
            "eliminate",
            (diff(likelihood, lam),),
            (scale,),
            Relation.PROFILE,
            (lam,),
            details=(("method", "power"),),
        ),
        Step("remaining", (diff(likelihood, k),), (left,), Relation.EQUAL, (k,)),
        Step(
            "certificate",
            (scale,),
            (-Mean(x**k * log(x) ** 2, cols) - 1 / k**2,),
            Relation.THEOREM,
            (k,),
            details=(("certificate", Stated("curvature")), ("theorem", "curvature"), ("sign", "negative")),
        ),
        Step("estimate", (), (scale,), Relation.DEFINITION, (lam,)),
        Step(
            "observed information",
            (),
            (diff(likelihood, k, lam) * Matrix([[1, 2], [2, 3]]).as_immutable(),),
            Relation.EQUAL,
            (k, lam),
        ),
        Step(
            "expected information",
            (),
            (),
            Relation.EQUAL,
            (k, lam),
            details=(("reason", "the integral did not end within 5 s & was given up"),),
        ),
        Step("a rule of tomorrow", (scale,), (scale**2,), Relation.IMPLIED, (lam,)),
        Step("exact law", (), (), Relation.DEFINITION, details=(("law", "none is known"),)),
    ]
    point = StationaryPoint({lam: scale}, Kind.GLOBAL_MAXIMUM, Stated("curvature"))
    estimator = Estimator(
        BySymbol({lam: scale}), (Equation(k, left, "profile score"),), (point,), (), "reduced", "profile"
    )
    return _derivation(declaration, steps, estimator)


def gamma_law() -> Any:
    x, alpha, beta = (Symbol(s, positive=True) for s in ("x", "alpha", "beta"))
    cols = (x,)
    n = Count(cols)
    density = beta**alpha * x ** (alpha - 1) * exp(-beta * x) / gamma(alpha)
    part = SamplePart(cols, {x: Interval.open(0, oo)}, density)
    declaration = Declaration(
        (part,), {alpha: Interval.open(0, oo), beta: Interval.open(0, oo)}, name="gamma"
    )
    opened = alpha * log(beta) - loggamma(alpha) + (alpha - 1) * log(x) - beta * x
    likelihood = (
        n * alpha * log(beta)
        - n * loggamma(alpha)
        + (alpha - 1) * Total(log(x), cols)
        - beta * Total(x, cols)
    )
    rate = alpha / Mean(x, cols)
    left = log(alpha) - polygamma(0, alpha) - log(Mean(x, cols)) + Mean(log(x), cols)
    steps = _opening(
        declaration,
        (opened,),
        likelihood,
        statistics=(Total(log(x), cols), Total(x, cols)),
        family="exponential family",
    )
    steps += [
        Step(
            "eliminate",
            (diff(likelihood, beta),),
            (rate,),
            Relation.PROFILE,
            (beta,),
            details=(("method", "linear"),),
        ),
        Step("remaining", (diff(likelihood, alpha),), (left,), Relation.EQUAL, (alpha,)),
        Step("estimate", (), (rate,), Relation.DEFINITION, (beta,)),
        Step(
            "observed information",
            (),
            (
                Matrix(
                    [[n * polygamma(1, alpha), -n / beta], [-n / beta, n * alpha / beta**2]]
                ).as_immutable(),
            ),
            Relation.EQUAL,
            (alpha, beta),
        ),
    ]
    estimator = Estimator(
        BySymbol({beta: rate}), (Equation(alpha, left, "profile score"),), (), (), "reduced", "profile"
    )
    return _derivation(declaration, steps, estimator)


def two_poisson() -> Any:
    x, y = Symbol("x", integer=True, nonnegative=True), Symbol("y", integer=True, nonnegative=True)
    lam, z = Symbol("lam", positive=True), Symbol("z", positive=True)
    first = SamplePart((x,), {x: Range(0, oo)}, lam**x * exp(-lam) / factorial(x))
    second = SamplePart(
        (y,), {y: Range(0, oo)}, (2 * lam * z) ** y * exp(-2 * lam * z) / factorial(y), given=(z,)
    )
    declaration = Declaration((first, second), {lam: Interval.open(0, oo)}, name="two Poisson samples")
    logs = (x * log(lam) - lam - log(factorial(x)), y * log(2 * lam * z) - 2 * lam * z - log(factorial(y)))
    n_x, n_y = Count((x,)), Count((y, z))
    likelihood = (
        -n_x * lam
        + log(lam) * (Total(x, (x,)) + Total(y, (y, z)))
        - 2 * lam * Total(z, (y, z))
        + Total(y * log(2 * z), (y, z))
        - Total(log(factorial(x)), (x,))
        - Total(log(factorial(y)), (y, z))
    )
    closed = (n_x * Mean(x, (x,)) + n_y * Mean(y, (y, z))) / (n_x + 2 * n_y * Mean(z, (y, z)))
    steps = _opening(declaration, logs, likelihood)
    steps += [
        Step(
            "solve",
            (diff(likelihood, lam),),
            (closed,),
            Relation.ROOTS,
            (lam,),
            details=(("method", "linear"),),
        ),
        Step("estimate", (), (closed,), Relation.DEFINITION, (lam,)),
    ]
    return _derivation(
        declaration, steps, Estimator(BySymbol({lam: closed}), kind="closed form", route="joint")
    )


def autoregression() -> Any:
    x, back, phi = Symbol("x", real=True), Symbol("x_prev", real=True), Symbol("phi", real=True)
    cols = (x, back)
    n = Count(cols)
    density = exp(-((x - phi * back) ** 2) / 2) / sqrt(2 * pi)
    part = SamplePart((x,), {x: S.Reals}, density, given=(back,))
    declaration = Declaration((part,), {phi: Interval.open(-1, 1)}, lags={back: x}, name="AR(1)")
    likelihood = -n * log(2 * pi) / 2 - Total((x - phi * back) ** 2, cols) / 2
    closed = Mean(x * back, cols) / Mean(back**2, cols)
    steps = _opening(declaration, (-log(2 * pi) / 2 - (x - phi * back) ** 2 / 2,), likelihood)
    steps += [
        Step("solve", (diff(likelihood, phi),), (closed,), Relation.ROOTS, (phi,)),
        Step("estimate", (), (closed,), Relation.DEFINITION, (phi,)),
    ]
    return _derivation(
        declaration, steps, Estimator(BySymbol({phi: closed}), kind="closed form", route="joint")
    )


def long_formulas() -> Any:
    """Formulas wider than any line: radicals, nested fractions, a long summand, a wide matrix."""
    x, a, b = (
        Symbol("x", integer=True, nonnegative=True),
        Symbol("a", positive=True),
        Symbol("b", positive=True),
    )
    m = Symbol("m", positive=True)
    cols = (x,)
    n = Count(cols)
    density = Piecewise((a, Eq(x, 0)), (b, Eq(x, 1)), (1 - a - b, True))
    part = SamplePart(cols, {x: FiniteSet(0, 1, 2)}, density)
    declaration = Declaration(
        (part,),
        {a: Interval.open(0, 1), b: Interval.open(0, 1)},
        where=(1 - a - b,),
        constants={m: S(10)},
        name="long",
    )
    w1, w2, w3 = Mean(x, cols), Mean(x**2, cols), Mean(x**3, cols)
    radical = (
        w1**3 - 3 * w1 * w2 / 2 + w3 / 2 + sqrt((w2 - w1**2) ** 3 + (2 * w1**3 - 3 * w1 * w2 + w3) ** 2 / 4)
    ) ** (S.One / 3)
    closed = w1 + radical - (w2 - w1**2) / radical
    ratio = (1 + w1 + w1 * w2 + w3**2 + 7 * w2 * w3 - w2 / w3 + a * w1 + log(w1) * w3) / (
        2 + w3 + w2 * w3 + w1**2 + 11 * w1 * w3 - w1 / w3 + a * w2 + log(w2) * w1
    )
    total = Total(
        (x + a) ** 2 * log(1 + a * x)
        + sqrt(x + b) * log(x + b + 1)
        + x ** (a + b) / (x + a)
        + exp(-x * b) * x,
        cols,
    )
    one = Piecewise((1, Eq(x, 1)), (0, True))
    likelihood = Total(one, cols) * log(b) + Total(Piecewise((1, Eq(x, 0)), (0, True)), cols) * log(a)
    likelihood += (n - Total(one, cols)) * log(1 - a - b)
    logs = (Piecewise((log(a), Eq(x, 0)), (log(b), Eq(x, 1)), (log(1 - a - b), True)),)
    steps = _opening(declaration, logs, likelihood)
    steps += [
        Step("solve", (a**3 - w3,), (closed,), Relation.ROOTS, (a,), details=(("method", "cubic"),)),
        Step(
            "remaining",
            (),
            (ratio - a, total - sqrt(total + ratio), log(ratio) * a - total / (1 + a)),
            Relation.EQUAL,
            (a, b),
        ),
        Step(
            "observed information",
            (),
            (Matrix([[total, ratio], [ratio, closed]]).as_immutable(),),
            Relation.EQUAL,
            (a, b),
        ),
        Step("estimate", (), (closed, ratio.subs(a, 1)), Relation.DEFINITION, (a, b)),
    ]
    return _derivation(
        declaration, steps, Estimator(BySymbol({a: closed, b: ratio}), kind="closed form", route="joint")
    )


def unknown_functions() -> Any:
    """Names that need care, a moving support and a rule that is not known."""
    x, theta, odd = (
        Symbol("x", positive=True),
        Symbol("theta_max", positive=True),
        Symbol("my_param", positive=True),
    )
    part = SamplePart((x,), {x: Interval(0, theta)}, 1 / theta)
    declaration = Declaration((part,), {theta: Interval.open(0, oo), odd: S.Reals}, name="50% of $x_1^2$")
    steps = [
        Step("model", (), (1 / theta,), Relation.DEFINITION),
        Step("likelihood", (), (1 / theta,), Relation.DEFINITION),
        Step("strange_rule #1", (), (Function("g")(theta), odd**2), Relation.EQUAL),
    ]
    return _derivation(declaration, steps, Estimator())


EXAMPLES = {
    f.__name__: f
    for f in (normal, weibull, gamma_law, two_poisson, autoregression, long_formulas, unknown_functions)
}
