"""Sums over rows in doubles: held against the functions evaluated row by row at 50 digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp
from sympy import Expr, Sum, Symbol, erfc, exp, factorial, gamma, lambdify, log, loggamma, oo, sqrt, symbols

from symmle import Model, derive, fit
from symmle.compiling.data import read_table
from symmle.compiling.row_forms import linear_parts, prepared
from symmle.compiling.row_sums import ROWS, RowSums, _compiled, on_threads
from symmle.errors import DataError
from symmle.fitting.plan import plan_of
from symmle.fitting.surface_sums import LikelihoodSums, rows_of

x = Symbol("x", real=True)
z = Symbol("z", positive=True)
a, b, s = symbols("a b s", positive=True)
m, c = symbols("m c", real=True)
POINT = {a: 1.7, b: 0.6, s: 2.3, m: 0.8, c: 0.3}
KNOWN = tuple(POINT)

U = (z / s) ** a
FUNCTIONS: list[tuple[str, Expr]] = [
    ("powers of one exponential", exp(-z / s) + z * exp(-2 * z / s) + z**2 * exp(-3 * z / s) / s),
    ("a power with a scale in its base", (z / s) ** a * log(z / s)),
    ("a square to complete", log(z**2 - 2 * m * z + m**2 + s**2)),
    ("lines that are multiples of each other", log(1 + c * (z - m) / s) / (s + c * (z - m))),
    ("expm1 beside exp and log1mexp", log(1 - exp(-U)) + exp(-U) / (1 - exp(-U))),
    ("softplus", log(1 + exp((m - z) / s)) - exp((m - z) / s) / (1 + exp((m - z) / s))),
    ("a special function of data and parameter", loggamma(z + a) - loggamma(a)),
    ("a tail of the normal law", log(erfc((z - m) / (s * sqrt(2))))),
    ("what is negative powers alone", 1 / (z + a) ** 3 + 1 / (z + a)),
]  # fmt: skip


def precisely(e: Expr, columns: dict[Symbol, Any], weights: Any = None) -> float:
    """sum w e by rows at 50 digits."""
    with mp.workdps(50):
        function = lambdify([*columns, *KNOWN], e, "mpmath")
        rows = list(zip(*columns.values(), strict=True))
        point = [mp.mpf(v) for v in POINT.values()]
        values = [function(*(mp.mpf(float(v)) for v in row), *point) for row in rows]
        w = [1] * len(rows) if weights is None else [mp.mpf(float(v)) for v in weights]
        return float(mp.fsum(v * k for v, k in zip(values, w, strict=True)))


def data(n: int = 60, seed: int = 3) -> Any:
    return np.random.default_rng(seed).gamma(2.0, 1.0, n) + 0.1


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=[n for n, _ in FUNCTIONS])
@pytest.mark.parametrize("weighted", [False, True])
def test_value_and_derivatives_are_those_of_the_function(name: str, function: Expr, weighted: bool) -> None:
    columns = [data()]
    weights = np.random.default_rng(1).uniform(0, 3, 60) if weighted else None
    wanted = [function, function.diff(s), function.diff(s, m), function.diff(a), function.diff(c, s)]
    wanted = [e for e in wanted if e.has(z)]
    parts = [linear_parts(prepared(e, (z,)), {z}) for e in wanted]
    basis = list(dict.fromkeys(f for terms in parts for _, f in terms if f.has(z)))
    sums = RowSums(basis, (z,), KNOWN)
    kept, _ = sums.keep(columns, weights)
    found = dict(zip(basis, sums(columns, kept, weights, list(POINT.values())), strict=True))
    total = 60.0 if weights is None else float(weights.sum())
    for e, terms in zip(wanted, parts, strict=True):
        free = [k if f.has(z) else k * f for k, f in terms]  # what is free of data
        numbers = _compiled(KNOWN, free)(*POINT.values())
        value = sum(v * found.get(f, total) for v, (_, f) in zip(numbers, terms, strict=True))
        assert value == pytest.approx(precisely(e, {z: columns[0]}, weights), rel=1e-11, abs=1e-11)


def test_few_functions_are_summed() -> None:
    """A scale outside, a factor of data alone and a square of what is there add no function to the pass."""
    cauchy = -log(1 + ((x - m) / s) ** 2)
    terms = [cauchy.diff(m), cauchy.diff(s), cauchy.diff(m, 2), cauchy.diff(m, s)]
    lines: list[Expr] = []
    basis = {f for e in terms for _, f in linear_parts(prepared(e, (x,), lines), {x})}
    assert len(basis) <= 6


@pytest.mark.parametrize("rows", [7, 5000, ROWS, 5 * ROWS + 17])
def test_the_sums_do_not_depend_on_threads(rows: int) -> None:
    column = [data(rows)]
    sums = RowSums([exp(-z / s), z * exp(-z / s)], (z,), KNOWN, [log(z)])
    found = []
    for threads in (1, 2, 5):
        with on_threads(threads):
            kept, statistics = sums.keep(column)
            found.append([*statistics, *sums(column, kept, None, list(POINT.values()))])
    assert found[0] == found[1] == found[2]
    plain = [
        np.log(column[0]).sum(),
        np.exp(-column[0] / 2.3).sum(),
        (column[0] * np.exp(-column[0] / 2.3)).sum(),
    ]
    assert found[0] == pytest.approx(plain, rel=1e-12)


def test_many_points_at_once_are_the_points_one_by_one() -> None:
    law = Model(a * z ** (a - 1) / s**a * exp(-((z / s) ** a)), data=z)
    derivation = derive(law)
    plan = plan_of(derivation)
    model = LikelihoodSums(derivation.likelihood, plan.parameters, [])
    on = model.on(rows_of(read_table(law, data(200)), derivation.likelihood), [])
    points = np.random.default_rng(0).uniform(0.5, 3, (9, 2))
    assert on.values_at_many(points) == pytest.approx([on.value(list(p)) for p in points], rel=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rows", [10, 5000])
def test_a_bad_row_is_named_though_the_sums_are_taken_on_the_way(bad: float, rows: int) -> None:
    derivation = derive(Model(b**a * z ** (a - 1) * exp(-b * z) / gamma(a), data=z))
    column = data(rows)
    column[7] = bad
    with pytest.raises(DataError, match="row 7"):
        fit(derivation, column)


def test_an_endless_sum_in_the_density_is_added_up() -> None:
    k, j = Symbol("k", integer=True, nonnegative=True), Symbol("j", integer=True, nonnegative=True)
    sums = RowSums([k * log(a) - log(Sum(a**j / factorial(j), (j, 0, oo)))], (k,), (a,))
    columns = [np.array([0.0, 1.0, 4.0])]
    kept, _ = sums.keep(columns)
    (found,) = sums(columns, kept, None, [1.7])
    assert found == pytest.approx(5 * np.log(1.7) - 3 * 1.7, rel=1e-12)


def test_groups_may_be_given_beside_a_table() -> None:
    derivation = derive(Model(b**a * z ** (a - 1) * exp(-b * z) / gamma(a), data=z))
    column, groups = data(120), np.repeat([3, 1, 2], 40)
    named = fit(derivation, {"z": column, "g": groups}, by="g")
    beside = fit(derivation, {"z": column}, by=groups)
    assert list(named) == list(beside) == [3, 1, 2]
    assert named.estimates["a"].tolist() == beside.estimates["a"].tolist()
