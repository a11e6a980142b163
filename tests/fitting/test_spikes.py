"""Spikes: Student's t with free degrees of freedom is unbounded on every sample, however many rows it has.

With mu on one of n rows, nu < 1/(n - 1) and s -> 0, that row adds log(1/s) and every other takes nu log(1/s).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sympy import exp, gamma, pi, sqrt, symbols

from symmle import Model, derive, fit
from symmle.errors import NoMaximumError

x, mu = symbols("x mu", real=True)
s, nu = symbols("s nu", positive=True)
RATIO = 1 + ((x - mu) / s) ** 2 / nu
STUDENT = gamma((nu + 1) / 2) / (sqrt(nu * pi) * gamma(nu / 2) * s) * RATIO ** (-(nu + 1) / 2)


@pytest.fixture(scope="module")
def student() -> Any:
    return derive(Model(STUDENT, data=x))


def sample(n: int, nu: float, seed: int = 0) -> Any:
    return np.round(np.random.default_rng(seed).standard_t(nu, n) * 2 + 1, 3)


@pytest.mark.parametrize(
    ("n", "heaviness"), [(60, 2.0), (200, 3.0), (1000, 5.0), (2500, 3.0), (6000, 4.0), (100_000, 4.0)]
)
def test_student_is_unbounded_on_every_sample(student: Any, n: int, heaviness: float) -> None:
    result = fit(student, sample(n, heaviness))
    assert result.unbounded is True
    assert "s -> 0" in result.status and "local maximum" in result.status


def test_a_repeated_value_is_a_spike_too(student: Any) -> None:
    data = np.concatenate([sample(100, 2.5), np.full(5, 0.25)])
    result = fit(student, data)
    assert result.unbounded is True


def test_light_tails_have_no_maximum_and_the_spike_is_said(student: Any) -> None:
    with pytest.raises(NoMaximumError, match="unbounded"):
        fit(student, sample(40, 1000.0, seed=3))


@pytest.mark.parametrize(
    "density",
    [
        exp(-((x - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)),
        exp(-(x - mu) / s) / (s * (1 + exp(-(x - mu) / s)) ** 2),
        1 / (pi * s * (1 + ((x - mu) / s) ** 2)),
        STUDENT.subs(nu, 3),
    ],
)
def test_laws_of_fixed_tails_are_bounded(density: Any) -> None:
    assert not fit(derive(Model(density, data=x)), sample(60, 2.0)).unbounded
