"""Logarithms of error functions as kernels write them, held against SymPy's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sympy import Expr, N, Rational, Symbol, erf, erfc, exp, factorial, log, sqrt

from symmle.compiling.kernels import CONTEXT, row_kernel, scalar_kernel

z = Symbol("z", real=True)
EXPRESSIONS = (
    log(1 - erf(z)),
    log(1 + erf(z)),
    log(1 - erf(sqrt(2) / (2 * z))),
    log(1 + erf(-z / 3)),
    log(erfc(z)),
    log(erfc(-2 * z)),
    log(1 - exp(z - 9)),
    log(1 + exp(z)),
    log(2 - erf(z)),
    log(1 - erf(z) / 2),
)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
@pytest.mark.parametrize("at", [-3.0, -0.4, 0.08, 1.0, 2.7, 5.0])
def test_a_logarithm_is_that_of_its_argument(expression: Expr, at: float) -> None:
    wanted = float(N(expression.subs(z, Rational(at)), 20, maxn=200))
    assert float(scalar_kernel([z], [expression])(CONTEXT.mpf(at))[0]) == pytest.approx(wanted, rel=1e-13)
    rows = np.array([at, at])
    found = np.broadcast_to(row_kernel([z], [expression])(rows)[0], (2,))
    assert found == pytest.approx(wanted, rel=1e-11, abs=1e-14)


def test_log_gammas_of_whole_numbers_do_not_overflow() -> None:
    """Of integers SymPy writes loggamma(x + 1) as log(gamma(x + 1)), and 171! is no double."""
    x = Symbol("x", integer=True, nonnegative=True)
    (found,) = row_kernel([x], [-log(factorial(x))])(np.array([0.0, 170.0, 171.0, 5000.0]))
    assert found == pytest.approx([-math.lgamma(v + 1) for v in (0.0, 170.0, 171.0, 5000.0)], rel=1e-13)
