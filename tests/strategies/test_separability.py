"""Tables of numbers say where nothing separates; they never say so where an elimination exists."""

from __future__ import annotations

from typing import Any

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Dummy, Expr, Integer, Interval, Range, Symbol, erf, exp, gamma, log, oo, pi, sqrt, symbols

from symmle import Model
from symmle.likelihood import build_likelihood
from symmle.strategies.separability import Separability, has_full_rank

x = Symbol("x", positive=True)
y = Symbol("y", real=True)
n = Symbol("n", integer=True, nonnegative=True)
a, b, s = symbols("a b s", positive=True)
m = Symbol("m", real=True)
NORMAL = exp(-((y - m) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi))
WEIBULL = a / s * (x / s) ** (a - 1) * exp(-((x / s) ** a))
CAUCHY = 1 / (pi * s * (1 + ((y - m) / s) ** 2))
GAMMA = b**a * x ** (a - 1) * exp(-b * x) / gamma(a)
PARETO = (1 + b * x / s) ** (-1 / b - 1) / s  # the generalised Pareto law: free of b once b/s is held
NEGBIN = gamma(n + a) / (gamma(n + 1) * gamma(a)) * (b / (1 + b)) ** a * (1 / (1 + b)) ** n
HALF_NORMAL = erf((n + 1) / (sqrt(2) * s)) ** a - erf(n / (sqrt(2) * s)) ** a
COUNTS = Range(0, oo)
# density, its data, what is held, the parameter that follows and how, whether the rest cannot be eliminated
CASES: dict[str, tuple[Expr, Any, Expr, Symbol, Expr, bool]] = {
    "normal, mean held": (NORMAL, y, m, m, Integer(1), False),
    "normal, sigma held": (NORMAL, y, s, s, Integer(1), False),
    "Weibull, shape held": (WEIBULL, x, a, a, Integer(1), False),
    "Weibull, scale held": (WEIBULL, x, s, s, Integer(1), True),
    "gamma, shape held": (GAMMA, x, a, a, Integer(1), False),
    "gamma, mean held": (GAMMA, x, a / b, b, a, False),
    "Cauchy, scale held": (CAUCHY, y, s, s, Integer(1), True),
    "Cauchy, location held": (CAUCHY, y, m, m, Integer(1), True),
    "generalised Pareto, scale held": (PARETO, x, s, s, Integer(1), True),
    "generalised Pareto, ratio held": (PARETO, x, b / s, s, b, False),
    "negative binomial, size held": (NEGBIN, n, a, a, Integer(1), False),
    "negative binomial, odds held": (NEGBIN, n, b, b, Integer(1), True),
    "discretised, scale held": (HALF_NORMAL, n, s, s, Integer(1), True),
    "discretised, power held": (HALF_NORMAL, n, a, a, Integer(1), True),
}


def parameters(density: Expr, column: Symbol) -> dict[Symbol, Any]:
    free = sorted(density.free_symbols - {column}, key=str)
    return {p: Interval(-oo, oo) if p == m else Interval.open(0, oo) for p in free}


@pytest.mark.parametrize("name", CASES)
def test_what_separates_is_never_ruled_out(name: str) -> None:
    density, column, held, moved, numerator, wanted = CASES[name]
    support = {x: Interval.open(0, oo), y: Interval(-oo, oo), n: COUNTS}[column]
    model = Model(density, data={column: support}, parameters=parameters(density, column), normalises=False)
    likelihood = build_likelihood(model.declaration)
    own = {p.name: p for p in likelihood.parameters}
    put = {p: own[p.name] for p in (a, b, s, m) if p.name in own}
    name_of_held = Dummy(positive=True)
    back = name_of_held if held == moved else (numerator / name_of_held).xreplace(put)
    found = Separability(likelihood).rules_out(held.xreplace(put), moved.xreplace(put), back, name_of_held)
    assert found is wanted


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), st.lists(st.integers(-99, 99), min_size=162, max_size=162))
def test_a_sum_of_products_has_no_full_rank(rank: int, entries: list[int]) -> None:
    with mpmath.workdps(150):
        left, right = ([mpmath.mpf(e) / 7 for e in half] for half in (entries[:81], entries[81:]))
        table = [
            [sum((left[9 * i + k] * right[9 * k + j] for k in range(rank)), mpmath.mpf(0)) for j in range(9)]
            for i in range(9)
        ]
        assert not has_full_rank(table)


def test_a_table_of_a_function_that_does_not_separate_has_full_rank() -> None:
    with mpmath.workdps(150):
        assert has_full_rank([[1 / mpmath.mpf(i + j + 1) for i in range(9)] for j in range(9)])
        assert has_full_rank(
            [[mpmath.exp(mpmath.mpf(i * j) / 9) for i in range(1, 10)] for j in range(1, 10)]
        )
        assert not has_full_rank([[mpmath.mpf(i + j) ** 3 for i in range(9)] for j in range(9)])
        assert not has_full_rank([[mpmath.mpf(0)] * 9 for _ in range(9)])


def test_the_logarithm_of_a_product_is_one_statistic() -> None:
    model = Model(a * x ** (a - 1), data={x: Interval.open(0, 1)}, normalises=False)
    likelihood = build_likelihood(model.declaration)
    (p,) = likelihood.parameters
    assert likelihood.forms[0].opened.has(log)
    assert not Separability(likelihood).rules_out(Integer(1), p, p, Dummy())
