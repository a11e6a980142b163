"""Rows at an end of the support where the formula has no slope: the density there is a limit, taken first."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sympy import (
    Eq,
    EulerGamma,
    Expr,
    Integer,
    Interval,
    Piecewise,
    Range,
    Symbol,
    digamma,
    exp,
    factorial,
    log,
    oo,
    symbols,
)

from symmle import Model, derive, fit
from symmle.derivation import Derivation
from symmle.end_rows import density_at_end
from symmle.errors import NoMaximumError
from symmle.likelihood import build_likelihood, facts_of

a, k, s = symbols("a k s", positive=True)
n = Symbol("n", integer=True, nonnegative=True)
x = Symbol("x", positive=True)
COUNTS = Range(0, oo)


def discretised(below: Any) -> Expr:
    return below(n + 1) - below(n)


EXPONENTIATED = discretised(lambda z: (1 - exp(-z / s)) ** a)
BOUNDED = (1 - (n / 4) ** k) ** a - (1 - ((n + 1) / Integer(4)) ** k) ** a
REMOVABLE = (1 - x**k) / ((1 - x) * (digamma(k + 1) + EulerGamma))
# density, its support, the end, the density there
PARTED: dict[str, tuple[Expr, Symbol, Any, Any, Expr]] = {
    "a power of F": (EXPONENTIATED, n, COUNTS, 0, (1 - exp(-1 / s)) ** a),
    "exp(-1/x)": (discretised(lambda z: exp(-(z ** (-k)))), n, COUNTS, 0, exp(Integer(-1))),
    "exp(-s/x)": (discretised(lambda z: exp(-s * z ** (-k))), n, COUNTS, 0, exp(-s)),
    "cut at 1": (EXPONENTIATED / (1 - (1 - exp(-1 / s)) ** a), n, Range(1, oo), None, Integer(0)),
    "the upper end": (BOUNDED, n, Range(0, 4), 3, (1 - (Integer(3) / 4) ** k) ** a),
    "a closed interval": (REMOVABLE, x, Interval(0, 1), 1, k / (digamma(k + 1) + EulerGamma)),
    "x**k log(x) has a value": (discretised(lambda z: 1 - exp(-((z / s) ** k))), n, COUNTS, None, Integer(0)),
    "nothing at the end": (exp(-s) * s**n / factorial(n), n, COUNTS, None, Integer(0)),
    "no row at 0": (a * x ** (a - 1), x, Interval(0, 1), None, Integer(0)),
    "a value of its own": (
        Piecewise((Integer(1) / 2, Eq(n, 0)), (EXPONENTIATED / (2 * (1 - (1 - exp(-1 / s)) ** a)), True)),
        n,
        COUNTS,
        None,
        Integer(0),
    ),
    "the limit is 0": (n * EXPONENTIATED, n, COUNTS, None, Integer(0)),
}


def parted(density: Expr, column: Symbol, support: Any) -> tuple[Any, Piecewise | None]:
    likelihood = build_likelihood(
        Model(
            density, data={column: support}, parameters=domains(density, column), normalises=False
        ).declaration
    )
    (form,) = likelihood.forms
    pieces = [p for p in form.opened.atoms(Piecewise) if p.args[0][0] == 0]
    pieces = [p for p in pieces if p.args[1][0].has(log)]
    assert len(pieces) <= 1
    return likelihood, pieces[0] if pieces else None


def domains(density: Expr, column: Symbol) -> dict[Symbol, Any]:
    return {p: Interval.open(0, oo) for p in sorted(density.free_symbols - {column}, key=str)}


@pytest.mark.parametrize("name", PARTED)
def test_the_row_is_parted_where_a_slope_fails(name: str) -> None:
    density, column, support, end, value = PARTED[name]
    likelihood, piece = parted(density, column, support)
    if end is None:
        assert piece is None
        return
    assert piece is not None
    (condition,) = [c for v, c in piece.args if v == 0]
    assert condition.rhs == end
    (form,) = likelihood.forms
    gap = form.opened.subs(form.part.columns[0], end) - log(value)
    assert abs(complex(gap.subs({a: 0.7, k: 1.3, s: 2.1}))) < 1e-12
    holds, why = likelihood.check()
    assert holds, why


@settings(max_examples=15, deadline=None)
@given(st.floats(0.2, 3), st.floats(0.3, 4))
def test_the_limit_is_what_the_density_nears(shape: float, scale: float) -> None:
    facts = facts_of(Model(EXPONENTIATED, data={n: COUNTS}, normalises=False).declaration)
    found = density_at_end(EXPONENTIATED, n, Integer(0), 1, facts)
    assert found is not None
    with mpmath.workdps(60):
        z = mpmath.mpf(10) ** -50
        near = (1 - mpmath.exp(-(z + 1) / scale)) ** shape - (1 - mpmath.exp(-z / scale)) ** shape
        assert float(found.subs({a: shape, s: scale})) == pytest.approx(float(near), rel=1e-7)


@pytest.fixture(scope="module")
def exponentiated() -> Derivation:
    return derive(Model(EXPONENTIATED, data={n: COUNTS}))


@pytest.mark.parametrize(
    "data",
    [[0, 0, 0, 0, 1, 0, 2, 0, 5, 0, 0, 9, 0, 1], [0] * 9 + [1, 1, 2, 7, 30], [1, 2, 2, 3, 3, 4, 0, 5, 6, 3]],
    ids=["shape below 1", "long tail", "shape above 1"],
)
def test_zeros_in_a_power_of_F_are_fitted(exponentiated: Derivation, data: list[int]) -> None:
    z = np.array(data, dtype=float)

    def depth(u: Any) -> float:
        shape, scale = np.exp(u)
        with np.errstate(all="ignore"):
            mass = (-np.expm1(-(z + 1) / scale)) ** shape - (-np.expm1(-z / scale)) ** shape
            total = -float(np.sum(np.log(mass)))
        return total if math.isfinite(total) else 1e300

    ends = [
        minimize(depth, [u, v], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        for u in (-1.0, 0.5)
        for v in (0.0, 2.0)
    ]
    best = min(ends, key=lambda end: end.fun)
    found = fit(exponentiated, z)
    assert found.log_likelihood == pytest.approx(-best.fun, rel=1e-9)
    assert [found.estimates["a"], found.estimates["s"]] == pytest.approx(list(np.exp(best.x)), rel=1e-4)
    assert all(math.isfinite(e) for e in found.standard_errors.values())


def test_a_row_at_a_closed_end_counts() -> None:
    """log f(1) = log k - log(psi(k + 1) + gamma) for every row at 1: two of them raise l without end."""
    data = [0.11, 0.35, 0.62, 1.0, 0.9, 1.0, 0.77]
    with pytest.raises(NoMaximumError, match="k -> oo the log-likelihood grows without bound"):
        fit(Model(REMOVABLE, data={x: Interval(0, 1)}), data)


def test_the_derivation_is_checked_and_written(exponentiated: Derivation) -> None:
    assert not [line for line in str(exponentiated.verify()).splitlines() if "FAILS" in line]
    assert r"n_0 a \log(1 - e^{-1/s})" in exponentiated.latex()
