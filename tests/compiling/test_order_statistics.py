"""Order statistics, floors and branches in compiled formulas, against plain Python on the same numbers."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sympy import (
    Abs,
    And,
    Eq,
    Expr,
    Integer,
    Interval,
    Max,
    Min,
    Or,
    Piecewise,
    Rational,
    S,
    Symbol,
    ceiling,
    exp,
    floor,
    log,
    oo,
    sign,
    sqrt,
)

from symmle.compiling.data import Table, read_table
from symmle.compiling.evaluate import CompiledExpressions
from symmle.declare.declaration import Declaration, SamplePart
from symmle.sample import Count, Maximum, Mean, Median, Minimum, Quantile, Total, WeightedQuantile

x, y, z = (Symbol(n, real=True) for n in "xyz")
m, p = Symbol("m", real=True), Symbol("p", positive=True)
ONE, TWO = (x,), (y, z)
RNG = np.random.default_rng(5)


def table_of(columns: dict[Symbol, Any], weights: Any = None) -> Table:
    part = SamplePart(tuple(columns), {c: Interval(-oo, oo) for c in columns}, S.One)
    law = SimpleNamespace(declaration=Declaration((part,), {m: Interval(-oo, oo)}), name="")
    return read_table(law, {c.name: v for c, v in columns.items()}, weights)


def values_of(
    e: Expr, columns: dict[Symbol, Any], weights: Any = None, values: dict[Symbol, Any] | None = None
) -> tuple[float, float, float]:
    """The precise value, its error, and the quick value."""
    program = CompiledExpressions([e], [tuple(columns)])
    table = table_of(columns, weights)
    (precise,) = program.precise(table, values or {})
    (quick,) = program.quick(table, values or {})
    return float(precise.number), float(precise.error), float(quick)


def quantile(values: Any, share: Fraction, weights: Any = None) -> float:
    """The smallest value whose cumulated weight reaches the share of all, in fractions."""
    w = [Fraction(1)] * len(values) if weights is None else [Fraction(float(v)) for v in weights]
    pairs = sorted((v, u) for v, u in zip(values, w, strict=True) if u)
    so_far, goal = Fraction(0), share * sum(w)
    for v, u in pairs:
        so_far += u
        if so_far >= goal:
            return float(v)
    raise AssertionError


SHARES = [Rational(1, 2), Rational(1, 3), Rational(3, 10), Rational(9, 10), Rational(1, 100)]


@pytest.mark.parametrize("share", SHARES, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 10, 30, 1000])
def test_quantile_of_a_column(share: Rational, n: int) -> None:
    data = np.round(RNG.normal(3, 2, n), 1)
    fraction = Fraction(int(share.p), int(share.q))
    counts = RNG.integers(0, 4, n).astype(float) + (np.arange(n) == 0)
    for weights in (None, counts):
        truth = quantile(data, fraction, weights)
        assert values_of(Quantile(x, share, ONE), {x: data}, weights) == (truth, 0.0, truth)
        by_constant = values_of(Quantile(x, p, ONE), {x: data}, weights, {p: share})
        assert by_constant == (truth, 0.0, truth)


COUNTS = [
    (Median(x, ONE), [4.0, 1.0, 3.0, 2.0], None, 2.0),
    (Median(x, ONE), [4.0, 1.0, 3.0, 2.0], [1, 1, 5, 1], 3.0),
    (Median(x, ONE), [4.0, 1.0, 3.0, 2.0], [0.1, 0.2, 0.1, 0.4], 2.0),
    (Quantile(x, Rational(3, 10), ONE), np.arange(10.0), None, 2.0),  # 3 of 10 are reached
    (Quantile(x, Rational(1, 3), ONE), np.arange(9.0), None, 2.0),
    (Quantile(x, Rational(6, 10), ONE), [1.0, 2.0, 3.0], [0.1, 0.2, 0.2], 2.0),  # 0.1 + 0.2 reaches 0.3
    (-Quantile(-x, Rational(7, 10), ONE), np.arange(10.0), None, 3.0),
    (Quantile(x, 1 / (1 + Count(ONE) / 3), ONE), [5.0, 7.0, 9.0], None, 7.0),
    (WeightedQuantile(y / z, Abs(z), S.Half, TWO), ([2.0, 6.0, 0.0, -5.0], [1.0, 2.0, 0.0, -1.0]), None, 3.0),
    (
        WeightedQuantile(y / z, Abs(z), S.Half, TWO),
        ([2.0, 6.0, 1.0, -5.0], [1.0, 2.0, 0.0, -1.0]),
        [9, 1, 1, 1],
        2.0,
    ),
    (WeightedQuantile(y, z**2, Rational(1, 5), TWO), ([1.0, 2.0, 3.0], [1.0, 1.0, 2.0]), None, 2.0),
]


@pytest.mark.parametrize("row", COUNTS, ids=lambda r: str(r[0]))
def test_cumulated_weight(row: Any) -> None:
    e, data, weights, truth = row
    columns = {y: data[0], z: data[1]} if isinstance(data, tuple) else {x: data}
    found, error, quick = values_of(e, columns, weights)
    assert (found, quick) == (truth, truth)
    assert error <= 1e-15


def test_rows_without_weight_drop_out_and_none_left_is_no_number() -> None:
    e = WeightedQuantile(y / z, Abs(z), S.Half, TWO)
    assert np.isnan(values_of(e, {y: [1.0, 2.0], z: [0.0, 0.0]})[0])


NESTED: list[tuple[Expr, Any]] = [
    (Mean(Abs(x - Median(x, ONE)), ONE), lambda v: np.mean(np.abs(v - med(v)))),
    (Total(Abs(x - Median(x, ONE)), ONE), lambda v: np.sum(np.abs(v - med(v)))),
    (Median(Abs(x - Median(x, ONE)), ONE), lambda v: med(np.abs(v - med(v)))),
    (Mean((x - Minimum(x, ONE)) ** 2, ONE), lambda v: np.mean((v - v.min()) ** 2)),
    (Maximum(x - Mean(x, ONE), ONE), lambda v: np.max(v - v.mean())),
    (Maximum(Abs(x), ONE) - Minimum(x, ONE), lambda v: np.max(np.abs(v)) - v.min()),
    (Mean(log(1 + x - Minimum(x, ONE)), ONE), lambda v: np.mean(np.log1p(v - v.min()))),
    (exp(Median(log(Abs(x)), ONE)), lambda v: np.exp(med(np.log(np.abs(v))))),
    (Mean(Max(x - Median(x, ONE), 0), ONE), lambda v: np.mean(np.maximum(v - med(v), 0))),
    (
        Mean(Piecewise((x, x > Median(x, ONE)), (0, True)), ONE),
        lambda v: np.mean(np.where(v > med(v), v, 0)),
    ),
    (Max(Mean(x, ONE), Median(x, ONE)), lambda v: max(v.mean(), med(v))),
    (Min(Mean(x, ONE), m), lambda v: min(v.mean(), 2.0)),
    (Quantile((x - m) ** 2, Rational(1, 4), ONE), lambda v: quantile((v - 2.0) ** 2, Fraction(1, 4))),
    (Minimum(x * m + m, ONE), lambda v: np.min(v * 2 + 2)),
]


def med(v: Any) -> float:
    return quantile(v, Fraction(1, 2))


@pytest.mark.parametrize("row", NESTED, ids=lambda r: str(r[0]))
@pytest.mark.parametrize("n", [1, 2, 7, 5000])
def test_nested(row: Any, n: int) -> None:
    e, oracle = row
    data = RNG.normal(1, 3, n)
    found, error, quick = values_of(e, {x: data}, None, {m: 2})
    truth = float(oracle(data))
    assert found == pytest.approx(truth, rel=1e-12, abs=1e-12)
    assert quick == pytest.approx(truth, rel=1e-12, abs=1e-12)
    assert error <= 1e-11 * (1 + abs(truth))


def test_an_order_statistic_of_a_difference_is_that_row_at_240_bits() -> None:
    data = 1e15 + np.array([0.0, 0.25, 0.5])
    found, error, _ = values_of(Maximum(x - m, ONE), {x: data}, None, {m: S(10**15) + Rational(1, 3)})
    assert found == pytest.approx(1 / 6, rel=1e-14)
    assert error == 0


def test_order_at_the_ends_of_the_doubles() -> None:
    data = np.array([3e-300, 1e-300, 2e-300])
    assert values_of(Median(x, ONE), {x: data})[0] == 2e-300
    assert values_of(Median(x**2, ONE) / Minimum(x**2, ONE), {x: data})[0] == pytest.approx(4, rel=1e-14)
    assert values_of(Maximum(x, ONE), {x: np.array([3e300, 1.0])})[0] == 3e300


FLOORS: list[tuple[Expr, Any, dict[Symbol, Any], float]] = [
    (floor(Total(x, ONE) / p), [3.0], {p: Rational(3, 10)}, 10),  # not 9
    (floor(Total(x, ONE) / p), [7.0], {p: Rational(3, 10)}, 23),
    (floor(Total(x, ONE) / p), [1.0, 2.0, 4.0], {p: Rational(7, 10)}, 10),
    (ceiling(Total(x, ONE) / p), [1.0, 2.0, 4.0], {p: Rational(7, 10)}, 10),
    (ceiling(Total(x, ONE) / p) - 1, [1.0, 2.0, 5.0], {p: Rational(7, 10)}, 11),
    (floor(Mean(x, ONE)), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], {}, 3),
    (floor(Mean(x, ONE)), [2.0, 2.0, 2.0], {}, 2),
    (floor(Mean(x, ONE) + Rational(1, 3)), [2.0, 3.0, 3.0], {}, 3),  # 8/3 + 1/3
    (floor(sqrt(Total(x, ONE)) - 2), [2.0, 2.0], {}, 0),
    (floor(-Total(x, ONE) / p), [3.0], {p: Rational(3, 10)}, -10),
    (floor(Maximum(x, ONE) * m / p), [3.0, 2.0], {m: 7, p: 3}, 7),
    (floor(Maximum(x, ONE) * 10), [0.29, 0.1], {}, 2),
    (sign(Total(x, ONE) - p), [1.0, 2.0], {p: 3}, 0),
    (Piecewise((1, Eq(Mean(x, ONE), p)), (2, True)), [0.0, 0.0, 1.0], {p: Rational(1, 3)}, 1),
    (Piecewise((1, Mean(x, ONE) > p), (2, True)), [0.0, 0.0, 1.0], {p: Rational(1, 3)}, 2),
    (Piecewise((1, Mean(x, ONE) >= p), (2, True)), [0.0, 0.0, 1.0], {p: Rational(1, 3)}, 1),
    (
        Piecewise((1, And(Mean(x, ONE) > 0, Mean(x, ONE) < p)), (3, Or(Mean(x, ONE) > 5, Mean(x, ONE) < 0))),
        [6.0],
        {p: 1},
        3,
    ),
]


@pytest.mark.parametrize("row", FLOORS, ids=lambda r: f"{r[0]} {r[1]}")
def test_floors_and_comparisons(row: Any) -> None:
    e, data, values, truth = row
    found, error, quick = values_of(e, {x: data}, None, values)
    assert (found, error, quick) == (truth, 0.0, truth)


def test_floor_on_many_rows_of_whole_numbers() -> None:
    data = RNG.integers(0, 10**6, 20_000).astype(float)
    total = int(data.sum())
    data[0] += -total % 10 + 10
    total = int(data.sum())
    e = floor(Total(x, ONE) / p)
    assert values_of(e, {x: data}, None, {p: Rational(1, 10)}) == (10 * total, 0.0, 10 * total)
    assert values_of(e, {x: data}, None, {p: 10})[:2] == (total // 10, 0.0)


def test_a_floor_that_rounding_may_move_says_so() -> None:
    data = RNG.normal(size=20_000)
    data = np.concatenate([data, 1 - data])  # mean 1/2, but for rounding
    _, error, _ = values_of(floor(2 * Mean(x, ONE)), {x: data})
    assert error >= 1


BRANCHES: list[tuple[Expr, Any, float]] = [
    (Piecewise((1 / (Mean(x, ONE) - 1), Mean(x, ONE) > 1), (log(Mean(x, ONE)), True)), [1.0, 1.0], 0.0),
    (
        Piecewise(
            (1 / Mean(x, ONE) + Mean(x, ONE), Mean(x, ONE) > 0),
            (1 / (1 / Mean(x, ONE) - 1) + 2, False),
            (2, True),
        ),
        [0.0],
        2.0,
    ),
    (Piecewise((log(-Mean(x, ONE)), Mean(x, ONE) < 0), (7, True)), [0.0, 2.0], 7.0),
    (
        Piecewise((1 / (Maximum(x, ONE) - 3) ** 2, Maximum(x, ONE) < 3), (1 / Maximum(x, ONE), True)),
        [3.0, 2.0],
        1 / 3,
    ),
    (Mean(Piecewise((log(x), x > 0), (0, True)), ONE), [0.0, -1.0, np.e], 1 / 3),
    (Piecewise((S.Infinity, Mean(x, ONE) > 3), (Mean(x, ONE), True)), [1.0, 2.0], 1.5),
]


@pytest.mark.parametrize("row", BRANCHES, ids=lambda r: str(r[0]))
def test_branches_that_are_not_taken(row: Any) -> None:
    e, data, truth = row
    found, error, quick = values_of(e, {x: data})
    assert found == pytest.approx(truth, rel=1e-14)
    assert quick == pytest.approx(truth, rel=1e-14)
    assert error <= 1e-14


ROWS: list[tuple[Expr, Any, float]] = [
    (
        Total(Piecewise((1, And(Eq(x, 0), p > 1)), (2, Or(x > 1, m > 5)), (4, True)), ONE),
        [0.0, 1.0, 2.0],
        7.0,
    ),
    (Total(Piecewise((x, And(p > 1, m > 0)), (5 * x, True)), ONE), [1.0, 2.0], 3.0),
    (Total(Piecewise((x, Or(p > 3, And(x > 1, m > 5))), (2 * x, True)), ONE), [1.0, 2.0], 6.0),
    (Total(Piecewise((S.ComplexInfinity, x < 0), (x, True)), ONE), [1.0, 2.0], 3.0),
    (S.ComplexInfinity * Total(Piecewise((1, x < 0), (0, True)), ONE) + Total(x, ONE), [1.0, 2.0], 3.0),
    (
        Total(
            (S.ComplexInfinity * Piecewise((0, x < 3), (1, True)) + x) * Piecewise((1, p > 1), (0, True)), ONE
        ),
        [1.0, 2.0],
        3.0,
    ),
    (
        Total(
            (S.ComplexInfinity * Piecewise((0, x < 1), (1, True)) + x) * Piecewise((0, p > 1), (1, True)), ONE
        ),
        [1.0, 2.0],
        0.0,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: str(r[0]))
def test_conditions_on_rows_and_on_parameters(row: Any) -> None:
    e, data, truth = row
    assert values_of(e, {x: data}, None, {p: 2, m: 1}) == (truth, pytest.approx(0, abs=1e-14), truth)


def test_no_branch_is_no_number() -> None:
    e = Piecewise((1, Mean(x, ONE) > 5))
    assert np.isnan(values_of(e, {x: [1.0]})[0])


def test_an_integer_stays_one() -> None:
    assert values_of(Max(Integer(2), Mean(x, ONE)), {x: [1.0]}) == (2.0, 0.0, 2.0)
