"""Tables of data: what is read, what is refused and in which words."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sympy import Interval, Symbol

from symmle.compiling.data import Table, read_table
from symmle.declare.table import declaration_from_dict
from symmle.errors import DataError


def model(**table: Any) -> Any:
    given = {"parameters": {"theta": "positive"}, "density": "theta*exp(-theta*x)", **table}
    return SimpleNamespace(declaration=declaration_from_dict(given), name="law")


LIFE = model(data={"x": "(0, oo)"})
REAL = model(data={"x": "(-oo, oo)"}, density="exp(-(x - theta)**2/2)/sqrt(2*pi)")
COUNT = model(data={"x": "{0..oo}"}, density="exp(-theta)*theta**x/factorial(x)")
COIN = model(data={"x": "{0, 1}"}, parameters={"theta": "(0, 1)"}, density="theta**x*(1 - theta)**(1 - x)")
MOVING = model(data={"x": "[0, theta]"}, density="1/theta")
KNOWN = model(
    data={"x": "{0..m}"}, constants={"m": 4}, density="binomial(m, x)*theta**x*(1 - theta)**(m - x)"
)
LINE = model(
    data={"y": "(-oo, oo)"}, covariates={"z": "(0, oo)"}, density="exp(-(y - theta*z)**2/2)/sqrt(2*pi)"
)
SHIFTED = model(data={"y": "[z, oo)"}, covariates={"z": "(0, oo)"}, density="theta*exp(-theta*(y - z))")
CHAIN = model(
    data={"x": "(-oo, oo)"}, lags={"x_prev": "x"}, density="exp(-(x - theta*x_prev)**2/2)/sqrt(2*pi)"
)
TWO = SimpleNamespace(
    declaration=declaration_from_dict(
        {
            "parameters": {"theta": "positive"},
            "samples": [
                {"data": {"x": "(0, oo)"}, "density": "theta*exp(-theta*x)"},
                {"data": {"y": "(0, oo)"}, "density": "2*theta*exp(-2*theta*y)"},
            ],
        }
    ),
    name="law",
)

REFUSED = [
    # model, data, weights, words of the message
    (LIFE, [1.0, float("nan"), 2.0], None, ["law", "`x`", "row 1", "nan"]),
    (LIFE, [1.0, 2.0, float("inf")], None, ["row 2", "inf"]),
    (REAL, [float("-inf"), 2.0], None, ["row 0", "-inf"]),
    (LIFE, [], None, ["`x`", "no rows"]),
    (LIFE, np.ones((2, 2)), None, ["shape (2, 2)"]),
    (LIFE, 3.0, None, ["`x`", "column"]),
    (LIFE, np.float64(3.0), None, ["shape ()"]),
    (LIFE, [1 + 2j, 1.0], None, ["complex"]),
    (LIFE, ["1.0", "2.0"], None, ["strings", "row 0", "'1.0'"]),
    (LIFE, [1.0, "2.0"], None, ["strings", "row 1"]),
    (LIFE, np.array(["1.0"]), None, ["strings"]),
    (LIFE, "1 2 3", None, ["string"]),
    (LIFE, np.array([1.0, None], dtype=object), None, ["row 1", "missing"]),
    (LIFE, np.array([1.0, 2.0], dtype=object), None, ["objects"]),
    (LIFE, np.array(["2020-01-01"], dtype="datetime64[D]"), None, ["dates"]),
    (LIFE, pd.Series(pd.to_datetime(["2020-01-01"])), None, ["dates"]),
    (LIFE, pd.Series(["a", "b"]), None, ["row 0"]),
    (LIFE, pd.Series([1, None, 3], dtype="Int64"), None, ["row 1", "nan"]),
    (LIFE, pl.Series([1.0, None]), None, ["row 1", "nan"]),
    (LIFE, [[1.0], [1.0, 2.0]], None, ["different lengths"]),
    (LIFE, {1.0, 2.0}, None, ["set"]),
    (LIFE, None, None, ["None"]),
    (LIFE, [1.0, 0.0], None, ["row 1", "0", "support"]),
    (LIFE, [1.0, -3.5, -4.0], None, ["row 1", "-3.5"]),
    (LIFE, [True, True], None, ["True and False"]),
    (COUNT, [0, 1, 2.5], None, ["row 2", "2.5", "whole"]),
    (COUNT, [0, -1], None, ["row 1", "-1"]),
    (COIN, [0, 1, 2], None, ["row 2", "2"]),
    (COIN, [0, 0.5], None, ["row 1", "0.5"]),
    (KNOWN, [0, 5], None, ["row 1", "5"]),
    (MOVING, [1.0, -0.5], None, ["row 1", "-0.5"]),
    (SHIFTED, {"y": [3.0, 1.0], "z": [1.0, 2.0]}, None, ["`y`", "row 1"]),
    (LINE, {"y": [1.0, 2.0]}, None, ["`z`", "missing"]),
    (LINE, {"y": [1.0, 2.0], "z": [1.0]}, None, ["`z` has 1 rows", "`y` has 2"]),
    (LINE, {"y": [1.0], "z": [1.0], "q": [2.0]}, None, ["`q`", "unknown"]),
    (LINE, {"y": [1.0, 2.0], "z": [1.0, -1.0]}, None, ["`z`", "row 1", "-1"]),
    (LINE, [1.0, 2.0], None, ["dict", "y, z"]),
    (CHAIN, {"x": [1.0, 2.0], "x_prev": [0.0, 1.0]}, None, ["`x_prev`", "built from"]),
    (CHAIN, [1.0], None, ["no rows are left"]),
    (LIFE, [1.0, 2.0], [1.0], ["1 weights for 2 rows"]),
    (LIFE, [1.0, 2.0], [1.0, -1.0], ["weight of row 1", "-1.0"]),
    (LIFE, [1.0, 2.0], [1.0, float("nan")], ["weight of row 1"]),
    (LIFE, [1.0, 2.0], [float("inf"), 1.0], ["weight of row 0"]),
    (LIFE, [1.0, 2.0], [0.0, 0.0], ["every weight is 0"]),
    (LIFE, [1.0, 2.0], ["a", "b"], ["strings"]),
    (TWO, {"x": [1.0]}, None, ["`y`", "missing"]),
    (TWO, {"x": [1.0], "y": [2.0, 0.0]}, None, ["`y`", "row 1"]),
    (TWO, {"x": [1.0], "y": [2.0]}, [1.0], ["weights as a dict"]),
    (LIFE, np.ma.MaskedArray([1.0, 2.0], mask=[True, True]), None, ["masked"]),
    (LIFE, np.array([2**60 + 1]), None, ["2**53"]),
]


@pytest.mark.parametrize(("law", "data", "weights", "words"), REFUSED)
def test_bad_input_is_refused_by_name(law: Any, data: Any, weights: Any, words: list[str]) -> None:
    with pytest.raises(DataError) as refused:
        read_table(law, data, weights)
    for word in words:
        assert word in str(refused.value)


READ = [
    (LIFE, [1, 2, 3], [1.0, 2.0, 3.0]),
    (LIFE, (1.5, 2.5), [1.5, 2.5]),
    (LIFE, range(1, 4), [1.0, 2.0, 3.0]),
    (LIFE, (v for v in (1.0, 2.0)), [1.0, 2.0]),
    (LIFE, np.array([1, 2], dtype=np.int8), [1.0, 2.0]),
    (LIFE, np.array([1, 2], dtype=np.float32), [1.0, 2.0]),
    (LIFE, np.array([1.0, 9.0, 2.0, 9.0])[::2], [1.0, 2.0]),
    (LIFE, pd.Series([1.0, 2.0], index=[7, 9]), [1.0, 2.0]),
    (LIFE, pd.Series([1, 2], dtype="Int64"), [1.0, 2.0]),
    (LIFE, pl.Series([1, 2]), [1.0, 2.0]),
    (LIFE, {"x": [1.0, 2.0]}, [1.0, 2.0]),
    (LIFE, pd.DataFrame({"other": [0, 0], "x": [1.0, 2.0]}), [1.0, 2.0]),
    (LIFE, pl.DataFrame({"x": [1.0, 2.0], "other": ["a", "b"]}), [1.0, 2.0]),
    (LIFE, np.array([(1.0,), (2.0,)], dtype=[("x", float)]), [1.0, 2.0]),
    (LIFE, np.ma.MaskedArray([1.0, -9.0, 2.0], mask=[False, True, False]), [1.0, 2.0]),
    (COIN, [True, False, True], [1.0, 0.0, 1.0]),
    (COIN, np.array([True, False]), [1.0, 0.0]),
    (COUNT, np.array([3.0, 0.0]), [3.0, 0.0]),
    (KNOWN, [4, 0], [4.0, 0.0]),
    (MOVING, [0.0, 12.0], [0.0, 12.0]),
]


@pytest.mark.parametrize(("law", "data", "values"), READ)
def test_columns_are_read(law: Any, data: Any, values: list[float]) -> None:
    sample = read_table(law, data).samples[0]
    column = sample.columns[next(iter(sample.columns))]
    assert column.tolist() == values
    assert column.dtype == np.float64
    assert (sample.rows, sample.n) == (len(values), len(values))


def only(table: Table) -> dict[str, list[float]]:
    return {c.name: v.tolist() for c, v in table.samples[0].columns.items()}


def test_a_lag_drops_the_first_row() -> None:
    table = read_table(CHAIN, [1.0, 2.0, 4.0], [5.0, 6.0, 7.0])
    assert only(table) == {"x": [2.0, 4.0], "x_prev": [1.0, 2.0]}
    assert np.asarray(table.samples[0].weights).tolist() == [6.0, 7.0]
    assert table.n == 13.0


def test_a_masked_row_leaves_the_lags_that_need_it() -> None:
    table = read_table(
        CHAIN, np.ma.MaskedArray([1.0, 2.0, 99.0, 4.0, 5.0], mask=[False, False, True, False, False])
    )
    assert only(table) == {"x": [2.0, 5.0], "x_prev": [1.0, 4.0]}


def test_rows_of_weight_zero_are_as_if_absent() -> None:
    table = read_table(LIFE, [1.0, float("nan"), -3.0, 2.0], [2.0, 0.0, 0.0, 0.5])
    assert only(table) == {"x": [1.0, 2.0]}
    assert table.n == 2.5
    with pytest.raises(DataError, match="row 3"):
        read_table(LIFE, [1.0, float("nan"), -3.0, float("inf")], [2.0, 0.0, 0.0, 0.5])


def test_several_samples_have_their_own_lengths_and_weights() -> None:
    table = read_table(TWO, {"x": [1.0, 2.0, 3.0], "y": [4.0]}, {"x": [1.0, 1.0, 2.0]})
    assert [s.rows for s in table.samples] == [3, 1]
    assert [s.n for s in table.samples] == [4.0, 1.0]


def test_late_constants_bound_the_support() -> None:
    m = Symbol("m", positive=True)
    declared = declaration_from_dict(
        {"data": {"x": "[0, 1]"}, "parameters": {"theta": "positive"}, "density": "theta*x**(theta - 1)"}
    )
    part = declared.samples[0]
    moved = type(part)(part.columns, {part.columns[0]: Interval(0, m)}, part.density)
    law = SimpleNamespace(declaration=type(declared)((moved,), declared.parameters, {m: None}), name="law")
    assert read_table(law, [3.0], constants={m: 4}).rows == 1
    with pytest.raises(DataError, match="row 0 is 3"):
        read_table(law, [3.0], constants={m: 2})


def test_extremes_and_middles_are_found_when_asked_for() -> None:
    data = np.concatenate([np.linspace(3.0, 5.0, 5000), [9.0]])
    plain = read_table(LIFE, data).samples[0]
    summed = read_table(LIFE, data, summed=LIFE.declaration.samples[0].columns).samples[0]
    assert not summed.maximum and not plain.pivot
    (column,) = summed.columns
    assert summed.total[column] == pytest.approx(data.sum(), rel=1e-14)
    assert not plain.total
    for sample in (plain, summed):
        assert (sample.minimum[column], sample.maximum[column]) == (3.0, 9.0)
        assert 3.0 <= sample.pivot[column] <= 9.0
        again = pickle.loads(pickle.dumps(sample))
        assert (again.maximum[column], again.pivot[column]) == (9.0, sample.pivot[column])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sum_shows_what_is_not_finite(bad: float) -> None:
    with pytest.raises(DataError, match="row 2"):
        read_table(LIFE, [1.0, 2.0, bad, 4.0], summed=LIFE.declaration.samples[0].columns)
