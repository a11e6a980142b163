"""derive: any subset of parameters held fixed, any names and order, always in time, always the same."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special
from sympy import Interval, Rational, Symbol, exp, gamma, oo, pi, sqrt, symbols

from symmle import Model, derive
from symmle.errors import DataError, ModelError, NotDerivedError
from symmle.estimator import Kind

X = np.array([0.31, 1.7, 0.92, 4.4, 2.2, 0.15, 1.1, 3.05, 0.77])
Y = np.array([-1.2, 0.4, 2.2, 5.1, 1.0, -0.3, 0.9, 2.6, 0.2])

x, a, b, s, k, lam = symbols("x a b s k lambda", positive=True)
y, mu, c, d, z = symbols("y mu c d z", real=True)


def normal_by_hand(mu: float, s: float) -> float:
    return float(np.sum(-((Y - mu) ** 2) / (2 * s * s) - np.log(s)))


def gamma_by_hand(a: float, b: float) -> float:
    return float(np.sum(a * np.log(b) + (a - 1) * np.log(X) - b * X - special.gammaln(a)))


def weibull_by_hand(k: float, b: float) -> float:
    return float(np.sum(np.log(k / b) + (k - 1) * np.log(X / b) - (X / b) ** k))


def inverse_gaussian_by_hand(a: float, lam: float) -> float:
    return float(np.sum(0.5 * np.log(lam) - lam * (X - a) ** 2 / (2 * a * a * X)))


def regression_by_hand(c: float, d: float, s: float) -> float:
    return float(np.sum(-((Y - c - d * X) ** 2) / (2 * s * s) - np.log(s)))


# name: model, data, log-likelihood by hand, parameters with a value to hold each at; real ones by name
FAMILIES: dict[str, tuple[Model, dict[str, np.ndarray], Callable[..., float], dict[str, str], set[str]]] = {
    "normal": (
        Model(exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y),
        {"y": Y},
        normal_by_hand,
        {"mu": "0.3", "s": "1.75"},
        {"mu"},
    ),
    "gamma": (
        Model(b**a * x ** (a - 1) * exp(-b * x) / gamma(a), data=x),
        {"x": X},
        gamma_by_hand,
        {"a": "1.7", "b": "0.6"},
        set(),
    ),
    "weibull": (
        Model(k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), data=x),
        {"x": X},
        weibull_by_hand,
        {"k": "1.5", "b": "2.25"},
        set(),
    ),
    "inverse gaussian": (
        Model(sqrt(lam / (2 * pi * x**3)) * exp(-lam * (x - a) ** 2 / (2 * a**2 * x)), data=x),
        {"x": X},
        lambda **q: inverse_gaussian_by_hand(q["a"], q["lambda"]),
        {"a": "1.3", "lambda": "0.8"},
        set(),
    ),
    "regression": (
        Model(
            exp(-((y - c - d * x) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)),
            data=y,
            covariates={x: Interval.open(0, oo)},
        ),
        {"y": Y, "x": X},
        regression_by_hand,
        {"c": "-0.4", "d": "1.1", "s": "1.6"},
        {"c", "d"},
    ),
}
SUBSETS = [
    (name, held)
    for name, (_, _, _, values, _) in FAMILIES.items()
    for size in range(len(values))
    for held in combinations(values, size)
]


def maximise(
    by_hand: Callable[..., float], held: dict[str, float], free: list[str], real: set[str]
) -> dict[str, float]:
    """Plain numeric maximum: Nelder-Mead, polished, on log scales for positive parameters."""

    def values(u: np.ndarray) -> dict[str, float]:
        return {n: float(v) if n in real else math.exp(v) for n, v in zip(free, u, strict=True)}

    def objective(u: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            value = -by_hand(**{**held, **values(u)})
        return value if math.isfinite(value) else 1e300

    start = np.full(len(free), 0.2)
    for _ in range(3):
        found = optimize.minimize(
            objective,
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-11, "fatol": 1e-13, "maxiter": 4000, "maxfev": 8000},
        )
        start = found.x
    return values(start)


@pytest.mark.parametrize(("name", "held"), SUBSETS, ids=[f"{n} {'+'.join(h) or 'none'}" for n, h in SUBSETS])
def test_any_subset_held_fixed(name: str, held: tuple[str, ...]) -> None:
    model, data, by_hand, values, real = FAMILIES[name]
    free = [n for n in values if n not in held]
    numbers = {n: float(values[n]) for n in held}
    expected = maximise(by_hand, numbers, free, real)

    with_numbers = derive(model, fixed={n: Rational(values[n]) for n in held})
    found = with_numbers.estimate(data)
    assert set(found) == set(free)
    for n in free:
        assert found[n] == pytest.approx(expected[n], rel=2e-6, abs=1e-6)
    assert by_hand(**numbers, **found) >= by_hand(**numbers, **expected) - 1e-9
    assert not with_numbers.verify().failures, str(with_numbers.verify())
    (point,) = with_numbers.estimator.points
    assert point.kind in (Kind.GLOBAL_MAXIMUM, Kind.LOCAL_MAXIMUM, Kind.UNDECIDED)

    if held:
        # a symbol alone stays a symbol in the formula and gets its value with the data
        alone = derive(model, fixed={model.symbol(n): None for n in held})
        symbols_held = {alone.model.symbol(n) for n in held}
        named = set().union(*(e.free_symbols for e in alone.estimator.closed.values()))
        assert named <= symbols_held | {e.parameter for e in alone.estimator.remaining}
        late = alone.estimate(data, fixed={n: float(values[n]) for n in held})
        for n in free:
            assert late[n] == pytest.approx(found[n], rel=1e-9)
        with pytest.raises(DataError, match=str(held[0])):
            alone.estimate(data)


@pytest.mark.parametrize(
    "key", ["by name", "by symbol", "by a symbol of other assumptions", "as an iterable"]
)
def test_ways_to_name_what_is_fixed(key: str) -> None:
    model = FAMILIES["normal"][0]
    ways: dict[str, dict[Any, Any] | tuple[Any, ...]] = {
        "by name": {"mu": 0},
        "by symbol": {mu: 0},
        "by a symbol of other assumptions": {Symbol("mu"): 0},
        "as an iterable": ("mu",),
    }
    fixed = ways[key]
    derivation = derive(model, fixed=fixed)
    assert [str(p) for p in derivation.model.parameters] == ["s"]
    late = {"mu": 0.0} if key == "as an iterable" else None
    found = derivation.estimate(Y, fixed=late)
    assert found["s"] == pytest.approx(math.sqrt(np.mean(Y**2)), rel=1e-12)


@pytest.mark.parametrize(
    ("fixed", "word"), [({"tau": 1}, "tau"), ({"s": -1}, "domain"), ({"s": 0}, "domain")], ids=str
)
def test_what_cannot_be_fixed(fixed: dict, word: str) -> None:
    with pytest.raises(ModelError, match=word):
        derive(FAMILIES["normal"][0], fixed=fixed)


@pytest.mark.parametrize("limit", [0, -1, math.nan])
def test_a_time_limit_is_positive(limit: float) -> None:
    with pytest.raises(ModelError, match="time_limit"):
        derive(FAMILIES["normal"][0], time_limit=limit)


# --- time -----------------------------------------------------------------------------------------

HARD: dict[str, Model] = {
    "generalised hyperbolic": Model.from_dict(
        {
            "data": {"x": "(0, oo)"},
            "parameters": {"p": "real", "a": "positive", "b": "positive"},
            "density": "(a/b)**(p/2)*x**(p - 1)*exp(-(a*x + b/x)/2)/(2*besselk(p, sqrt(a*b)))",
            "normalises": False,
        }
    ),
    "weibull": FAMILIES["weibull"][0],
    "exponentiated generalised gamma": Model.from_dict(
        {
            "data": {"x": "(0, oo)"},
            "parameters": {"a": "positive", "b": "positive", "c": "positive", "d": "positive"},
            "density": "a*b*c*d*x**(a - 1)*(1 + b*x**a)**(-c - 1)*(1 - (1 + b*x**a)**(-c))**(d - 1)",
        }
    ),
    "four coupled angles": Model.from_dict(
        {
            "data": {"x": "(-oo, oo)", "y": "(-oo, oo)"},
            "parameters": {"m": "real", "r": "(-1, 1)", "s": "positive", "t": "positive"},
            "density": "exp(-((x - m)**2/s**2 - 2*r*(x - m)*(y - m)/(s*t) + (y - m)**2/t**2)/(2*(1 - r**2)))"
            "/(2*pi*s*t*sqrt(1 - r**2))",
            "normalises": False,
        }
    ),
}


def spent(function: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    answer = function()
    return time.perf_counter() - started, answer


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "another thread"])
def test_derive_returns_within_its_limit_and_a_second_and_leaves_no_worker(
    name: str, in_thread: bool
) -> None:
    before = set(threading.enumerate())
    found: list[tuple[float, object]] = []

    def run() -> None:
        found.append(spent(lambda: derive(HARD[name], time_limit=0.5)))

    if in_thread:
        worker = threading.Thread(target=run)
        worker.start()
        worker.join(30)
        assert not worker.is_alive()
    else:
        run()
    ((seconds, derivation),) = found
    assert seconds < 1.5
    assert set(threading.enumerate()) <= before
    estimator = derivation.estimator  # type: ignore[attr-defined]
    assert len(estimator.closed) + len(estimator.remaining) >= 1 or estimator.notes
    # whatever was reached is sound
    assert not derivation.verify().failures  # type: ignore[attr-defined]


def test_several_threads_derive_at_once() -> None:
    found: dict[int, dict[str, float]] = {}

    def run(i: int) -> None:
        found[i] = derive(FAMILIES["gamma"][0]).estimate(X)

    workers = [threading.Thread(target=run, args=(i,)) for i in range(3)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
    assert len(found) == 3 and found[0] == found[1] == found[2]


# --- the same again -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_six_times_the_same(name: str) -> None:
    model = FAMILIES[name][0]
    first = derive(model)
    stored = json.dumps(first.to_dict(), sort_keys=True)
    for _ in range(5):
        again = derive(model)
        assert again == first
        assert again.estimator == first.estimator and again.steps == first.steps
        assert _without_seconds(json.loads(json.dumps(again.to_dict(), sort_keys=True))) == _without_seconds(
            json.loads(stored)
        )


def _without_seconds(table: object) -> object:
    if isinstance(table, dict):
        return {key: _without_seconds(v) for key, v in table.items() if key != "seconds"}
    return [_without_seconds(v) for v in table] if isinstance(table, list) else table


def weibull_of(data: str, shape: str, scale: str, order: tuple[str, ...]) -> Model:
    return Model.from_dict(
        {
            "data": {data: "(0, oo)"},
            "parameters": dict.fromkeys(order, "positive"),
            "density": f"{shape}/{scale}*({data}/{scale})**({shape} - 1)*exp(-({data}/{scale})**{shape})",
        }
    )


def regression_of(data: str, names: tuple[str, str, str], order: tuple[str, ...]) -> Model:
    one, two, three = names
    domains = {one: "real", two: "real", three: "positive"}
    return Model.from_dict(
        {
            "data": {data: "(-oo, oo)"},
            "parameters": {n: domains[n] for n in order},
            "density": f"exp(-({data} - {one} - {two}*w)**2/(2*{three}**2))/({three}*sqrt(2*pi))",
            "covariates": ["w"],
            "normalises": False,
        }
    )


@pytest.mark.parametrize(
    "names",
    [("k", "b"), ("b", "k"), ("zeta", "a"), ("beta", "gamma"), ("S", "E1"), ("x", "n"), ("a_1", "a_0")],
)
def test_names_and_order_change_no_number(names: tuple[str, str]) -> None:
    shape, scale = names
    data = "t" if "x" in names else "x"
    expected = maximise(weibull_by_hand, {}, ["k", "b"], set())
    for order in permutations(names):
        derivation = derive(weibull_of(data, shape, scale, order))
        assert [str(e.parameter) for e in derivation.estimator.remaining] == [shape]
        found = derivation.estimate(X)
        assert found[shape] == pytest.approx(expected["k"], rel=1e-6)
        assert found[scale] == pytest.approx(expected["b"], rel=1e-6)


@pytest.mark.parametrize("names", [("c", "d", "s"), ("s", "c", "d"), ("sigma", "mu", "beta")])
def test_names_and_order_of_a_regression(names: tuple[str, str, str]) -> None:
    slope = np.cov(X, Y, bias=True)[0, 1] / np.var(X)
    intercept = Y.mean() - slope * X.mean()
    spread = math.sqrt(np.mean((Y - intercept - slope * X) ** 2))
    for order in permutations(names):
        derivation = derive(regression_of("v", names, order))
        found = derivation.estimate({"v": Y, "w": X})
        assert [found[n] for n in names] == pytest.approx([intercept, slope, spread], rel=1e-10)
        (point,) = derivation.estimator.points
        assert point.kind is Kind.GLOBAL_MAXIMUM


def test_attempts_say_what_was_tried_in_order() -> None:
    derivation = derive(FAMILIES["weibull"][0])
    names = [t.strategy for t in derivation.attempts]
    assert names.index("moments") < names.index("joint closed form") < names.index("elimination")
    assert [t.solved for t in derivation.attempts if t.strategy == "elimination"] == [True]
    assert all(t.reason for t in derivation.attempts if not t.solved)


def test_what_is_not_identifiable_is_a_ridge() -> None:
    derivation = derive(Model((a + b) * exp(-(a + b) * x), data=x))
    (free,) = derivation.estimator.free
    (closed,) = derivation.estimator.closed
    assert {str(free), str(closed)} == {"a", "b"} and "ridge" in [s.rule for s in derivation.steps]
    assert derivation.estimator.closed[closed].has(free)
    assert str(derivation.mle_of("a + b").expression) == "1/Mean(x)"
    with pytest.raises(NotDerivedError):
        derivation.mle_of("a - b")
