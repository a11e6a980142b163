"""Values of expressions in sample operators, against plain Python on the same rows."""

from __future__ import annotations

import math
from statistics import fmean

import mpmath
import pytest
from scipy import special
from sympy import (
    Expr,
    LambertW,
    Rational,
    Symbol,
    Tuple,
    besseli,
    exp,
    log,
    loggamma,
    polygamma,
    sqrt,
    symbols,
)

from symmle.algebra import Rows, compile_expression, evaluate, is_close
from symmle.sample import Count, Maximum, Mean, Median, Minimum, Quantile, Total

x, y, k, mu = symbols("x y k mu", positive=True)
z = Symbol("z", real=True)
X, Y, ZX = Tuple(x), Tuple(y), Tuple(z, x)

XS = [0.5, 2.0, 3.25, 3.25, 7.0]
ONES = [1, 1, 1, 1, 1]
WEIGHTS = [2, 0, 1, 3, 0.5]
ROWS_X = Rows({x: XS}, ONES)
WEIGHTED = Rows({x: XS}, WEIGHTS)
ROWS_Y = Rows({y: [1.0, 4.0]}, [1, 1])
PAIRS = Rows({z: [-1.0, 0.0, 2.0, 5.0, -3.0], x: XS}, ONES)
VALUES = {k: 1.5, mu: 2.0}


def weighted(values: list[float]) -> float:
    return sum(w * v for w, v in zip(WEIGHTS, values, strict=True)) / sum(WEIGHTS)


xbar = fmean(XS)
wbar = weighted(XS)


@pytest.mark.parametrize(
    ("expression", "samples", "expected"),
    [
        (Count(X), [ROWS_X], 5),
        (Count(X), [WEIGHTED], 6.5),
        (Mean(x, X), [ROWS_X], xbar),
        (Mean(x, X), [WEIGHTED], wbar),
        (Total(x, X), [WEIGHTED], wbar * 6.5),
        (Mean(x**k * log(x), X), [ROWS_X], fmean(v**1.5 * math.log(v) for v in XS)),
        (Mean((x - Mean(x, X)) ** 2, X), [ROWS_X], fmean((v - xbar) ** 2 for v in XS)),
        (Mean((x - Mean(x, X)) ** 2, X), [WEIGHTED], weighted([(v - wbar) ** 2 for v in XS])),
        (sqrt(Mean(Mean(x, X) * x**2 / mu, X)), [ROWS_X], math.sqrt(xbar * fmean(v * v for v in XS) / 2)),
        (
            Mean((z - Mean(z, ZX)) * x, ZX),
            [PAIRS],
            fmean((a - 0.6) * b for a, b in zip([-1, 0, 2, 5, -3], XS, strict=True)),
        ),
        (Count(X) * Mean(x, X) - Count(Y) * Mean(y, Y), [ROWS_X, ROWS_Y], 16 - 5),
        (Count(X) * Mean(x, X) - Count(Y) * Mean(y, Y), [ROWS_Y, ROWS_X], 16 - 5),
        (Minimum(x, X), [ROWS_X], 0.5),
        (Maximum(x - mu, X), [ROWS_X], 5.0),
        (Minimum(-x, X), [WEIGHTED], -7.0),
        (Maximum(Rational(1, 10) * x, X), [Rows({x: XS}, [1, 1, 1, 1, 0])], 0.325),  # weight 0: as if absent
        (Median(x, X), [ROWS_X], 3.25),
        (Median(x, X), [Rows({x: [4.0, 1.0, 3.0, 2.0]}, [1, 1, 1, 1])], 2.0),  # lower, never interpolated
        (Median(x, X), [WEIGHTED], 3.25),
        (Quantile(x, Rational(1, 5), X), [ROWS_X], 0.5),
        (Quantile(x, Rational(1, 5) + Rational(1, 10**9), X), [ROWS_X], 2.0),
        (Quantile(x, k / 2, X), [ROWS_X], 3.25),
        (Quantile(x, Rational(1), X), [ROWS_X], 7.0),
        (loggamma(mu) + polygamma(0, k), [], math.lgamma(2.0) + 0.03648997397857652),
        (LambertW(-exp(-mu), -1), [], -3.1461932206205825),
        (LambertW(-exp(-mu)), [], -0.15859433956303937),
        (besseli(1, k) / besseli(0, k), [], special.iv(1, 1.5) / special.iv(0, 1.5)),
    ],
    ids=str,
)
def test_value(expression: Expr, samples: list[Rows], expected: float) -> None:
    assert float(compile_expression(expression)(VALUES, samples)) == pytest.approx(
        expected, rel=1e-9, abs=1e-12
    )


def test_digits_hold_beyond_doubles() -> None:
    rows = Rows({x: [mpmath.mpf(10) ** 8 + mpmath.mpf(i) / 7 for i in range(4)]}, ONES[:4])
    value = evaluate(Mean(x**2, X) - Mean(x, X) ** 2, {}, [rows], digits=40)
    with mpmath.workdps(45):
        rows = Rows({x: [mpmath.mpf(10) ** 8 + mpmath.mpf(i) / 7 for i in range(4)]}, ONES[:4])
        value = evaluate(Mean(x**2, X) - Mean(x, X) ** 2, {}, [rows], digits=40)
        assert abs(value - mpmath.mpf(5) / 4 / 49) < mpmath.mpf(10) ** -25


def test_names_of_functions_may_name_symbols() -> None:
    gamma_, exp_, lam = Symbol("gamma"), Symbol("exp"), Symbol("lambda")
    e = gamma_ * exp(lam) + exp_ + Mean(x ** Symbol("beta"), X)
    values = {gamma_: 2, exp_: 3, lam: 0, Symbol("beta"): 1}
    assert float(compile_expression(e)(values, [ROWS_X])) == pytest.approx(5 + xbar)


def test_a_sample_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="y"):
        compile_expression(Mean(y, Y))({}, [ROWS_X])


@pytest.mark.parametrize(
    ("first", "second", "digits", "close"),
    [
        (1.0, 1.0 + 1e-12, 10, True),
        (1.0, 1.0 + 1e-8, 10, False),
        (0, 1e-12, 10, True),
        (1e20, 1e20 + 1e5, 14, True),
        (1, -1, 1, False),
    ],
)
def test_is_close(first: float, second: float, digits: int, close: bool) -> None:
    assert is_close(mpmath.mpf(first), mpmath.mpf(second), digits) is close
