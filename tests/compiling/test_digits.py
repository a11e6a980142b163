"""Twelve digits on ill-conditioned data, against 60-digit arithmetic on the same doubles."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Interval, Rational, S, Symbol, Tuple, besseli, exp, log, oo, sqrt

from symmle.compiling.data import Table, read_table
from symmle.compiling.evaluate import CompiledExpressions, compile_expressions
from symmle.declare.declaration import Declaration, SamplePart
from symmle.sample import Count, Maximum, Mean, Median, Minimum, Quantile, Total

mpf = mpmath.mpf
x, y, z = (Symbol(n, positive=True) for n in "xyz")
k = Symbol("k", positive=True)
ONE, TWO = Tuple(x), Tuple(y, z)


def table_of(columns: dict[Symbol, Any], weights: Any = None) -> Table:
    part = SamplePart(tuple(columns), {c: Interval(-oo, oo) for c in columns}, S.One)
    law = SimpleNamespace(declaration=Declaration((part,), {k: Interval.open(0, oo)}), name="")
    return read_table(law, {c.name: v for c, v in columns.items()}, weights)


def M(g: Any) -> Any:
    return Mean(g, ONE)


def N(g: Any) -> Any:
    return Mean(g, TWO)


Rows = list[tuple[Any, ...]]
Oracle = Callable[[Callable[[Any], Any], Rows], Any]


def average(rows: Rows, weights: list[Any]) -> Callable[[Any], Any]:
    total = mpmath.fsum(weights)
    return lambda g: mpmath.fsum(w * g(*row) for row, w in zip(rows, weights, strict=True)) / total


def central(mean: Any, power: int, f: Any = lambda v: v) -> Any:
    middle = mean(f)
    return mean(lambda v: (f(v) - middle) ** power)


# expression, what it is at 60 digits given the mean operator
ONE_COLUMN: list[tuple[str, Any, Any]] = [
    ("mean", M(x), lambda m: m(lambda v: v)),
    ("variance, raw", M(x**2) - M(x) ** 2, lambda m: central(m, 2)),
    ("variance, central", M((x - M(x)) ** 2), lambda m: central(m, 2)),
    ("standard deviation", sqrt(M(x**2) - M(x) ** 2), lambda m: mpmath.sqrt(central(m, 2))),
    ("total", Total((x - M(x)) ** 2, ONE) / Count(ONE), lambda m: central(m, 2)),
    ("lognormal mu", M(log(x)), lambda m: m(mpmath.log)),
    (
        "lognormal sigma, raw",
        sqrt(M(log(x) ** 2) - M(log(x)) ** 2),
        lambda m: mpmath.sqrt(central(m, 2, mpmath.log)),
    ),
    (
        "lognormal sigma, central",
        sqrt(M((log(x) - M(log(x))) ** 2)),
        lambda m: mpmath.sqrt(central(m, 2, mpmath.log)),
    ),
    ("inverse Gaussian", 1 / (M(1 / x) - 1 / M(x)), lambda m: 1 / (m(lambda v: 1 / v) - 1 / m(lambda v: v))),
    ("log gap", log(M(x)) - M(log(x)), lambda m: mpmath.log(m(lambda v: v)) - m(mpmath.log)),
    ("square root gap", sqrt(M(x)) - M(sqrt(x)), lambda m: mpmath.sqrt(m(lambda v: v)) - m(mpmath.sqrt)),
    ("fourth moment", M((x - M(x)) ** 4), lambda m: central(m, 4)),
    (
        "x log x gap",
        M(x * log(x)) - M(x) * M(log(x)),
        lambda m: m(lambda v: v * mpmath.log(v)) - m(lambda v: v) * m(mpmath.log),
    ),
]

RNG = np.random.default_rng(20)
SETS = {
    "NumAcc": np.array([10000000.2] + [10000000.1, 10000000.3] * 500),
    "mean 1e8, spread 1": 1e8 + RNG.normal(size=300),
    "mean 1e8, spread 1, many rows": 1e8 + RNG.normal(size=5000),
    "mean 1e5, spread 1e-5": 1e5 + 1e-5 * RNG.normal(size=200),
    "plain": RNG.gamma(2.0, 3.0, 200),
    "wide": RNG.lognormal(0.0, 6.0, 200),
}


def compiled() -> CompiledExpressions:
    return compile_expressions([e for _, e, _ in ONE_COLUMN], [(x,)])


PROGRAM = compiled()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_one_column(name: str, weighted: bool) -> None:
    data = SETS[name]
    weights = RNG.integers(1, 5, len(data)) / 2 if weighted else None
    found = PROGRAM(table_of({x: data}, weights))
    with mpmath.workdps(60):
        given_weights = [mpf(1)] * len(data) if weights is None else [mpf(float(w)) for w in weights]
        mean = average([(mpf(float(v)),) for v in data], given_weights)
        for (label, _, oracle), value in zip(ONE_COLUMN, found, strict=True):
            truth = oracle(mean)
            assert abs(mpf(value) / truth - 1) < mpf("1e-12"), (label, value, truth)


SLOPE = (N(y * z) - N(y) * N(z)) / (N(z**2) - N(z) ** 2)
CENTRAL_SLOPE = N((y - N(y)) * (z - N(z))) / N((z - N(z)) ** 2)
REGRESSION = [
    SLOPE,
    CENTRAL_SLOPE,
    N(y) - N(z) * SLOPE,
    N(y) - N(z) * CENTRAL_SLOPE,
    sqrt(N(y**2) - N(y) ** 2 - (N(y * z) - N(y) * N(z)) ** 2 / (N(z**2) - N(z) ** 2)),
    sqrt(N((y - (N(y) - CENTRAL_SLOPE * N(z)) - CENTRAL_SLOPE * z) ** 2)),
]
LINE = compile_expressions(REGRESSION, [(y, z)])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("noise", [1.0, 1e-6])
def test_regression_far_from_the_origin(noise: float, weighted: bool) -> None:
    zs = 1e8 + RNG.normal(size=250)
    ys = 3e8 + 2.0 * (zs - 1e8) + noise * RNG.normal(size=250)
    weights = RNG.integers(1, 5, 250) / 4 if weighted else None
    found = LINE(table_of({y: ys, z: zs}, weights))
    with mpmath.workdps(80):
        given_weights = [mpf(1)] * 250 if weights is None else [mpf(float(w)) for w in weights]
        mean = average([(mpf(float(a)), mpf(float(b))) for a, b in zip(ys, zs, strict=True)], given_weights)
        my, mz = mean(lambda a, b: a), mean(lambda a, b: b)
        slope = mean(lambda a, b: (a - my) * (b - mz)) / mean(lambda a, b: (b - mz) ** 2)
        cut = my - slope * mz
        sigma = mpmath.sqrt(mean(lambda a, b: (a - cut - slope * b) ** 2))
        for value, truth in zip(found, [slope, slope, cut, cut, sigma, sigma], strict=True):
            assert abs(mpf(value) / truth - 1) < mpf("1e-12"), (value, truth)


SCALED = [
    (sqrt(M(x**2) - M(x) ** 2), 1),
    (sqrt(M((x - M(x)) ** 2)), 1),
    (1 / M(x), -1),
    (1 / (M(1 / x) - 1 / M(x)), 1),
    (M(x**k) ** (1 / k), 1),
    (log(M(x)) - M(log(x)), 0),
    (sqrt(M(log(x) ** 2) - M(log(x)) ** 2), 0),
    (M(x**k * log(x)) / M(x**k) - M(log(x)), 0),
    ((M((x - M(x)) ** 4)) ** Rational(1, 4), 1),
    (Minimum(x, ONE), 1),
    (Median(x, ONE), 1),
]


@pytest.mark.parametrize("power", [-300, -150, 150, 300])
def test_scale(power: int) -> None:
    data = np.random.default_rng(5).gamma(2.0, 1.5, 40)
    program = compile_expressions([e for e, _ in SCALED], [(x,)])
    plain = program(table_of({x: data}), {k: 1.7})
    moved = program(table_of({x: data * 10.0**power}), {k: 1.7})
    for (expression, degree), one, other in zip(SCALED, plain, moved, strict=True):
        assert mpf(other) == pytest.approx(mpf(one) * mpf(10) ** (degree * power), rel=1e-10), expression


EDGES = [
    # data, expression, value
    ([2.0, 2.0, 2.0], M((x - M(x)) ** 2), 0.0),
    ([0.1] * 7, M(x**2) - M(x) ** 2, 0.0),
    ([0.1] * 7, log(M(x)) - M(log(x)), 0.0),
    ([700.0, 710.0, 720.0], log(M(exp(x))), float(720 + np.log((1 + np.exp(-10) + np.exp(-20)) / 3))),
    ([1e-20, 1e-18], M(log(1 + x)), 5.05e-19),
    ([1e-20, 1e-18], M(1 - exp(-x)), 5.05e-19),
    ([900.0, 1000.0], M(log(besseli(0, x))), 945.6536559705708),
    ([5.0, 1.0, 3.0], Quantile(x, Rational(1, 3), ONE), 1.0),
    ([5.0, 1.0, 3.0, 4.0], Median(x, ONE), 3.0),
    ([5.0, 1.0, 3.0, 4.0], Maximum(x, ONE) - Minimum(x, ONE), 4.0),
]


@pytest.mark.parametrize(("data", "expression", "value"), EDGES)
def test_edges(data: list[float], expression: Any, value: float) -> None:
    found = compile_expressions([expression], [(x,)])(table_of({x: data}))[0]
    assert found == pytest.approx(value, rel=1e-9, abs=0)


def test_names_of_functions_are_good_names_of_parameters() -> None:
    beta, gamma, lam = (Symbol(n, positive=True) for n in ("beta", "gamma", "lambda"))
    program = compile_expressions([M(x**beta) + gamma / lam], [(x,)])
    assert program(table_of({x: [1.0, 2.0]}), {beta: 2, gamma: 3, lam: 4})[0] == pytest.approx(
        3.25, rel=1e-15
    )


finite = st.floats(0.01, 1e6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(finite, st.integers(0, 4)), min_size=2, max_size=12), st.randoms())
def test_weights_are_repeats_and_order_is_nothing(rows: list[tuple[float, int]], random: Any) -> None:
    if sum(w for _, w in rows) == 0:
        rows[0] = (rows[0][0], 1)
    weighted = PROGRAM(table_of({x: [v for v, _ in rows]}, [w for _, w in rows]))
    repeated = [v for v, w in rows for _ in range(w)]
    random.shuffle(repeated)
    plain = PROGRAM(table_of({x: repeated}))
    for (label, _, _), a, b in zip(ONE_COLUMN, weighted, plain, strict=True):
        assert a == pytest.approx(b, rel=1e-12, abs=0, nan_ok=True), label
