"""Inputs that break fitters: each gives the right number, or an error with law, input, row, reason and way out."""

from __future__ import annotations

import time
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from laws_for_fits import column, law  # type: ignore[import-not-found]
from scipy.special import gammaln

from symmle import DataError, Derivation, NoMaximumError, SymmleError, derive, fit

GAMMA = column("gamma60")
X = np.array(GAMMA)
BEST = {"shape": 3.34421, "rate": 0.574212}
HEIGHT = -148.198
NAN, INF = float("nan"), float("inf")
COUNTS = [0, 1, 1, 2, 5, 0, 3, 9, 0, 1]


def put(row: int, value: Any) -> Any:
    found = list(GAMMA)
    found[row] = value
    return found


# --- refused -----------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, Any, type[SymmleError], list[str]]] = {
    # name: law, data, error, words of its message
    "NaN": ("gamma", put(3, NAN), DataError, ["gamma", "`x`", "row 3", "nan", 'missing="drop"']),
    "None": ("gamma", put(5, None), DataError, ["gamma", "`x`", "row 5", "None", "missing"]),
    "infinity": ("gamma", put(4, INF), DataError, ["gamma", "row 4", "inf", "Drop the row"]),
    "minus infinity": ("normal", put(4, -INF), DataError, ["normal", "row 4", "-inf", "Drop the row"]),
    "empty": ("gamma", [], DataError, ["gamma", "`x`", "no rows"]),
    "one observation": ("gamma", [5.0], NoMaximumError, ["gamma", "no maximum", "one row"]),
    "one observation, normal": ("normal", [5.0], NoMaximumError, ["normal", "no maximum", "one row"]),
    "constant": ("gamma", [2.0] * 20, NoMaximumError, ["gamma", "no maximum"]),
    "constant, normal": ("normal", [2.0] * 20, NoMaximumError, ["normal", "not all equal", "every `x` is 2"]),
    "constant, a rounding": ("normal", [0.1] * 20, NoMaximumError, ["normal", "not all equal"]),
    "outside the support": ("gamma", put(7, -1.5), DataError, ["gamma", "row 7", "-1.5", "support", "drop the row"]),
    "zero in positive data": ("gamma", put(9, 0.0), DataError, ["gamma", "row 9", "0", "support", "drop the row"]),
    "two dimensions": ("gamma", X.reshape(6, 10), DataError, ["gamma", "shape (6, 10)", "ravel"]),
    "one column of two dimensions": ("gamma", X[:, None], DataError, ["gamma", "shape (60, 1)", "ravel"]),
    "no dimension": ("gamma", np.array(3.0), DataError, ["gamma", "shape ()", "one number a row"]),
    "a number": ("gamma", 3.0, DataError, ["gamma", "column of numbers", "list"]),
    "numeric strings": ("gamma", [str(v) for v in GAMMA], DataError, ["gamma", "strings", "row 0", "convert"]),
    "an array of strings": ("gamma", X.astype(str), DataError, ["gamma", "strings", "convert"]),
    "one string": ("gamma", put(2, "6.0"), DataError, ["gamma", "strings", "row 2", "'6.0'"]),
    "booleans": ("gamma", X > 5, DataError, ["gamma", "True and False", "astype"]),
    "complex": ("gamma", X + 0j, DataError, ["gamma", "complex", "real part"]),
    "objects": ("gamma", X.astype(object), DataError, ["gamma", "objects", "astype"]),
    "fractions": ("gamma", [Fraction(1, 2), Fraction(3, 2)], DataError, ["gamma", "row 0", "Fraction"]),
    "dates": ("gamma", pd.Series(pd.to_datetime(["2020-01-01"])), DataError, ["gamma", "dates"]),
    "not whole": ("Poisson", [1, 2, 2.5], DataError, ["Poisson", "row 2", "2.5", "no whole number"]),
    "a negative count": ("negative binomial", [1, 2, -2], DataError, ["negative binomial", "row 2", "-2"]),
    "wide integers": ("gamma", [2**60, 2**60 + 1], DataError, ["gamma", "row 0", "2**53"]),
    "underdispersed": (
        "negative binomial",
        [2, 3, 2, 3, 2, 2, 3, 3],
        NoMaximumError,
        ["negative binomial", "no maximum", "size"],
    ),
    "uniform data": ("Pareto", np.linspace(0.01, 0.99, 99), NoMaximumError, ["Pareto", "no maximum"]),
    "light tails": ("Student t", GAMMA, NoMaximumError, ["Student t", "no maximum", "nu"]),
    "a set": ("gamma", {1.0, 2.0}, DataError, ["gamma", "set", "list"]),
    "text": ("gamma", "1 2 3", DataError, ["gamma", "string"]),
    "nothing": ("gamma", None, DataError, ["gamma", "None"]),
    "every row masked": ("gamma", np.ma.masked_all(5), DataError, ["gamma", "every row is masked"]),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.slow) if c == "light tails" else c for c in REFUSED]
)
def test_refused_by_name(case: str) -> None:
    name, data, error, words = REFUSED[case]
    with pytest.raises(error) as refused:
        fit(law(name), data)
    for word in words:
        assert word in str(refused.value)


WEIGHTS_REFUSED = {
    "negative": (np.where(np.arange(60) == 8, -1.0, 1.0), ["weight of row 8", "-1", "not negative"]),
    "NaN": (np.where(np.arange(60) == 8, NAN, 1.0), ["weight of row 8", "nan"]),
    "infinite": (np.where(np.arange(60) == 8, INF, 1.0), ["weight of row 8", "inf"]),
    "too few": (np.ones(59), ["59 weights for 60 rows"]),
    "all zero": (np.zeros(60), ["every weight is 0", "positive weight"]),
    "strings": (["1"] * 60, ["weights", "strings"]),
    "two dimensions": (np.ones((60, 1)), ["weights", "shape (60, 1)"]),
}


@pytest.mark.parametrize("case", WEIGHTS_REFUSED)
def test_weights_are_refused_by_name(case: str) -> None:
    weights, words = WEIGHTS_REFUSED[case]
    with pytest.raises(DataError) as refused:
        fit(law("gamma"), X, weights=weights)
    for word in ["gamma", *words]:
        assert word in str(refused.value)


# --- taken, with the right number --------------------------------------------------------------------

READ_ONLY = X.copy()
READ_ONLY.flags.writeable = False
TAKEN: dict[str, Any] = {
    "list": GAMMA,
    "tuple": tuple(GAMMA),
    "generator": lambda: (v for v in GAMMA),
    "array": X,
    "read-only": READ_ONLY,
    "every other row of a longer array": np.repeat(X, 2)[::2],
    "backwards": X[::-1],
    "a column in Fortran order": np.asfortranarray(np.column_stack([X, X]))[:, 1],
    "a column in C order": np.column_stack([X, X])[:, 1],
    "big-endian": X.astype(">f8"),
    "long double": X.astype(np.longdouble),
    "a Series with an index": pd.Series(X, index=np.arange(60)[::-1] + 7),
    "a nullable Series": pd.Series(X, dtype="Float64"),
    "polars": pl.Series("x", X),
    "a data frame": pd.DataFrame({"x": X, "other": "text"}),
    "a data frame of one column of another name": pd.DataFrame({"y": X}),
    "a polars frame": pl.DataFrame({"x": X}),
    "a dict": {"x": X},
    "a masked array without masked rows": np.ma.array(X),
    "a masked array": np.ma.array(np.append(X, [-7.0, NAN]), mask=[False] * 60 + [True] * 2),
    "a structured array": np.array([(v,) for v in X], dtype=[("x", float)]),
}


@pytest.mark.parametrize("case", TAKEN)
def test_the_same_fit_from_every_container(case: str) -> None:
    data = TAKEN[case]
    result = fit(law("gamma"), data() if callable(data) else data)
    assert result.estimates == pytest.approx(BEST, rel=2e-6)
    assert result.log_likelihood == pytest.approx(HEIGHT, abs=6e-4)
    assert result.table.rows == 60
    assert result.dropped == (2 if case == "a masked array" else 0)


def test_single_precision_is_taken_as_it_stands() -> None:
    result = fit(law("gamma"), X.astype(np.float32))
    again = fit(law("gamma"), X.astype(np.float32).astype(float))
    assert result.estimates == again.estimates
    assert result.estimates == pytest.approx(BEST, rel=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float16"])
def test_whole_numbers_of_every_type(dtype: str) -> None:
    expected = fit(law("negative binomial"), COUNTS)
    found = fit(law("negative binomial"), np.array(COUNTS, dtype=dtype))
    assert found.estimates == expected.estimates


def test_booleans_are_counts_where_the_law_has_0_and_1() -> None:
    rows = {"x": [1.0, 2.0, 3.0, 4.0, 2.5], "y": np.array([False, True, False, True, True])}
    numbers = {**rows, "y": rows["y"].astype(float)}  # type: ignore[attr-defined]
    assert (
        fit(law("logistic regression"), rows).estimates == fit(law("logistic regression"), numbers).estimates
    )


@pytest.mark.parametrize("factor", [1e-300, 1e300, 1e-150, 1e150])
def test_all_values_times_a_power_of_ten(factor: float) -> None:
    result = fit(law("gamma"), X * factor)
    assert result.estimates["shape"] == pytest.approx(BEST["shape"], rel=2e-6)
    assert result.estimates["rate"] * factor == pytest.approx(BEST["rate"], rel=2e-6)
    expected = fit(law("gamma"), X)
    assert result.log_likelihood == pytest.approx(expected.log_likelihood - 60 * np.log(factor), rel=1e-9)
    assert result.standard_errors is not None
    assert result.standard_errors["shape"] == pytest.approx(expected.standard_errors["shape"], rel=1e-8)


def test_all_values_plus_1e9() -> None:
    """The gamma shape there is near (mean/sd)**2."""
    result = fit(law("gamma"), X + 1e9)
    assert result.estimates["shape"] == pytest.approx(1e18 / X.var(), rel=1e-6)
    assert result.estimates["shape"] / result.estimates["rate"] == pytest.approx(X.mean() + 1e9, rel=1e-14)
    normal = fit(law("normal"), X + 1e9)
    assert normal.estimates["sigma"] == pytest.approx(X.std(), rel=1e-7)


@pytest.mark.slow
def test_the_weibull_shape_of_values_plus_1e9() -> None:
    assert fit(law("Weibull"), X + 1e9).estimates["shape"] == pytest.approx(2.955e8, rel=2e-4)


# --- weights -----------------------------------------------------------------------------------------


def test_weights_are_counts() -> None:
    counts = np.arange(60) % 4
    weighted, repeated = fit(law("gamma"), X, weights=counts), fit(law("gamma"), np.repeat(X, counts))
    assert weighted.estimates == pytest.approx(repeated.estimates, rel=1e-12)
    assert weighted.log_likelihood == pytest.approx(repeated.log_likelihood, rel=1e-12)
    assert weighted.standard_errors == pytest.approx(repeated.standard_errors, rel=1e-9)
    assert weighted.bic == pytest.approx(repeated.bic, rel=1e-12)


def test_fractional_weights_scale_the_likelihood() -> None:
    half, whole = fit(law("gamma"), X, weights=np.full(60, 0.5)), fit(law("gamma"), X)
    assert half.estimates == pytest.approx(whole.estimates, rel=1e-12)
    assert half.log_likelihood == pytest.approx(whole.log_likelihood / 2, rel=1e-12)


def test_a_row_of_weight_0_is_as_if_absent() -> None:
    weights = np.append(np.ones(60), [0.0, 0.0])
    result = fit(law("gamma"), np.append(X, [1e6, 0.5]), weights=weights)
    assert result.estimates == pytest.approx(BEST, rel=2e-6)
    assert result.dropped == 0


# --- missing values ----------------------------------------------------------------------------------

MISSING: dict[str, Any] = {
    "NaN": np.append(X, [NAN, NAN]),
    "None": [*GAMMA, None, None],
    "NaN and None": [*GAMMA, NAN, None],
    "a nullable Series": pd.Series([*GAMMA, None, None], dtype="Float64"),
    "polars": pl.Series([*GAMMA, None, None]),
    "a frame": pd.DataFrame({"x": [*GAMMA, NAN, NAN], "unused": NAN}),
    "objects": np.array([*GAMMA, None, pd.NA], dtype=object),
}


@pytest.mark.parametrize("case", MISSING)
def test_missing_rows_are_left_out_where_asked(case: str) -> None:
    data = MISSING[case]
    with pytest.raises(DataError, match="row 60"):
        fit(law("gamma"), data)
    result = fit(law("gamma"), data, missing="drop")
    assert result.estimates == pytest.approx(BEST, rel=2e-6)
    assert result.dropped == 2
    assert "2 rows were left out" in result.status
    assert result.to_dict()["dropped"] == 2
    assert result.table.n == 60


def test_a_missing_covariate_drops_its_row() -> None:
    rows = {"x": [1.0, None, 3.0, 4.0, 2.5, 9.0], "y": [0, 1, 0, 1, 1, None]}
    result = fit(law("logistic regression"), rows, missing="drop")
    kept = {"x": [1.0, 3.0, 4.0, 2.5], "y": [0, 0, 1, 1]}
    assert result.estimates == pytest.approx(fit(law("logistic regression"), kept).estimates, rel=1e-12)
    assert result.dropped == 2


def test_weights_go_with_their_rows() -> None:
    weights = np.append(np.ones(60), 5.0)
    result = fit(law("gamma"), [*GAMMA, None], weights=weights, missing="drop")
    assert result.estimates == pytest.approx(BEST, rel=2e-6)
    assert result.table.n == 60


def test_what_is_missing_is_no_leave_for_what_is_wrong() -> None:
    for data, word in [
        ([*GAMMA, NAN, INF], "row 61 is inf"),
        ([*GAMMA, None, -1.0], "row 61 is -1"),
        ([*GAMMA, None, "7"], "strings"),
        ([*GAMMA, None, Fraction(1, 2)], "row 61"),
        ([*GAMMA, None, True], "among numbers"),
        ([None, NAN], "every row is masked, missing"),
    ]:
        with pytest.raises(DataError, match=word):
            fit(law("gamma"), data, missing="drop")
    with pytest.raises(ValueError, match="missing"):
        fit(law("gamma"), GAMMA, missing="ignore")


def test_missing_rows_by_group() -> None:
    data = {"x": [*GAMMA, None, *GAMMA], "g": ["a"] * 61 + ["b"] * 60}
    found = fit(law("gamma"), data, by="g", missing="drop")
    assert (found["a"].dropped, found["b"].dropped) == (1, 0)
    assert found["a"].estimates == pytest.approx(found["b"].estimates, rel=1e-9)


# --- mixtures ----------------------------------------------------------------------------------------


@cache
def two_normals() -> Derivation:
    return derive(law("normal").model.mixture(2))


@pytest.mark.parametrize("far", [12.0, 60.0])
@pytest.mark.parametrize("factor", [1e-4, 1e-150, 1e150])
def test_a_mixture_with_one_far_point_is_the_same_in_all_units(far: float, factor: float) -> None:
    """A local maximum that is said to be one, or a refusal; never a variance with an absolute floor."""
    random = np.random.default_rng(3)
    x = np.concatenate([random.normal(0, 1, 100), random.normal(4, 1, 60), [far]])
    outcomes: list[Any] = []
    for data, unit in ((x, 1.0), (x * factor, factor)):
        try:
            result = fit(two_normals(), data)
        except NoMaximumError as error:
            assert "component" in str(error)
            outcomes.append(None)
            continue
        assert result.unbounded and "local maximum" in result.status
        weight = next(v for k, v in result.estimates.items() if k.startswith("w"))
        places = [v / unit for k, v in result.estimates.items() if not k.startswith("w")]
        outcomes.append([weight, *places, result.log_likelihood + len(x) * np.log(unit)])
    assert (outcomes[0] is None) == (outcomes[1] is None)
    if outcomes[0] is not None:
        assert outcomes[1] == pytest.approx(outcomes[0], rel=1e-6)


@pytest.mark.parametrize("data", [[2.0] * 30, [1.0], [0.1] * 7])
def test_a_mixture_of_constant_data_is_refused_at_once(data: list[float]) -> None:
    derivation = two_normals()
    began = time.process_time()
    with pytest.raises(SymmleError, match="distinct values"):
        fit(derivation, data)
    assert time.process_time() - began < 5


# --- size --------------------------------------------------------------------------------------------


def test_a_million_rows() -> None:
    x = np.random.default_rng(1).gamma(3.0, 2.0, 1_000_000)
    result = fit(law("gamma"), x)
    a, b = result.estimates["shape"], result.estimates["rate"]
    assert a / b == pytest.approx(x.mean(), rel=1e-9)
    height = (a * np.log(b) - gammaln(a)) * len(x) + (a - 1) * np.log(x).sum() - b * x.sum()
    assert result.log_likelihood == pytest.approx(height, rel=1e-10)
    x[777_777] = NAN
    with pytest.raises(DataError, match="row 777777 is nan"):
        fit(law("gamma"), x)
    dropped = fit(law("gamma"), x, missing="drop")
    assert dropped.dropped == 1
    assert dropped.estimates == pytest.approx(result.estimates, rel=1e-4)


def test_a_gamma_law_with_a_shape_over_171() -> None:
    x = np.random.default_rng(2).gamma(500.0, 1.0, 200)
    result = fit(law("gamma"), x)
    a, b = result.estimates["shape"], result.estimates["rate"]
    terms = a * np.log(b) - gammaln(a) + (a - 1) * np.log(x) - b * x
    assert result.log_likelihood == pytest.approx(terms.sum(), rel=1e-9)
    assert 350 < a < 700
