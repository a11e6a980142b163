"""Means of functions that underflow at every row: a factor outside may be as large as they are small.

The oracle is mpmath at 60 digits on the same doubles.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest
from sympy import Interval, S, Symbol, Tuple, exp, oo

from symmle.compiling.data import Table, read_table
from symmle.compiling.evaluate import CompiledExpressions
from symmle.compiling.kernels import CONTEXT
from symmle.compiling.rows import Care
from symmle.declare.declaration import Declaration, SamplePart
from symmle.sample import Mean

x = Symbol("x", real=True)
b = Symbol("b", positive=True)
FEW = np.array([-2.0, -1.9, -1.75])
MANY = np.linspace(-2, -1.75, 5000)


def table_of(values: Any) -> Table:
    part = SamplePart((x,), {x: Interval(-oo, oo)}, S.One)
    law = SimpleNamespace(declaration=Declaration((part,), {b: Interval.open(0, oo)}), name="")
    return read_table(law, {"x": values}, None)


def truth(formula: Any, rate: float, values: Any) -> Any:
    mp = mpmath.MPContext()
    mp.dps = 60
    return formula(mp, mp.mpf(rate), [mp.mpf(float(v)) for v in values])


def balanced(mp: Any, rate: Any, values: Any) -> Any:
    """exp(1.9 b) Mean(exp(b x))"""
    return mp.exp(rate * mp.mpf("1.9")) * sum(mp.exp(rate * v) for v in values) / len(values)


BALANCED = CompiledExpressions([exp(b * S("19/10")) * Mean(exp(b * x), Tuple(x))], [(x,)])
RATES = [1.0, 300.0, 1000.0, 30000.0]


@pytest.mark.parametrize("rate", RATES)
def test_few_rows_have_all_digits(rate: float) -> None:
    found = BALANCED.precise(table_of(FEW), {b: CONTEXT.mpf(rate)})[0]
    wanted = truth(balanced, rate, FEW)
    assert abs(found.number - wanted) < 1e-12 * wanted


@pytest.mark.parametrize("rate", RATES)
def test_many_rows_are_never_off_by_more_than_is_said(rate: float) -> None:
    found = BALANCED.precise(table_of(MANY), {b: CONTEXT.mpf(rate)})[0]
    assert abs(found.number - truth(balanced, rate, MANY)) <= found.error


@pytest.mark.parametrize("care", [Care.DIRECT, Care.CENTRED])
@pytest.mark.parametrize("rate", [1000.0, 30000.0])
def test_a_scan_sees_the_order_of_magnitude(rate: float, care: Care) -> None:
    found = BALANCED.quick(table_of(FEW), {b: CONTEXT.mpf(rate)}, care)[0]
    ratio = found / truth(balanced, rate, FEW)
    assert 0.1 < ratio < 10


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        (Mean(x, Tuple(x)), np.array([-1.0, 1.0])),
        (Mean(x * exp(-(x**2)), Tuple(x)), np.array([-2.0, 2.0])),
        (Mean(exp(b * x) - 1, Tuple(x)), np.zeros(4)),
    ],
)
def test_sums_that_are_zero_stay_zero(expression: Any, values: Any) -> None:
    found = CompiledExpressions([expression], [(x,)])
    assert abs(found.precise(table_of(values), {b: CONTEXT.mpf(2)})[0].number) < 1e-15
    assert abs(found.quick(table_of(values), {b: CONTEXT.mpf(2)})[0]) < 1e-15
