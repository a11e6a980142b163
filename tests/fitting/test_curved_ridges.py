"""Likelihoods that are constant on a curved surface: a member of the set of maxima is given, and said to be one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sympy import exp, symbols

from symmle import Model, derive, fit

x, mu = symbols("x mu", real=True)
k, s, tau = symbols("k s tau", positive=True)
z = (x - mu) / tau
# the logarithm of a Weibull law, moved and scaled once more: of four parameters two functions are identified
TWICE = k * (exp(z) / s) ** (k - 1) * exp(-((exp(z) / s) ** k)) * exp(z) / (s * tau)


def data() -> Any:
    return np.round(np.random.default_rng(4).gumbel(1.5, 0.7, 30) * -1, 4)


@pytest.fixture(scope="module")
def result() -> Any:
    return fit(derive(Model(TWICE, data=x)), data())


def test_a_member_of_a_bent_ridge_is_given(result: Any) -> None:
    """The maximum is that of the smallest-value law with location mu + tau log s and scale tau/k."""
    simple = fit(derive(Model(exp(z - exp(z)) / tau, data=x)), data())
    assert result.log_likelihood == pytest.approx(simple.log_likelihood, rel=1e-9)
    found = result.estimates
    assert found["tau"] / found["k"] == pytest.approx(simple.estimates["tau"], rel=1e-5)
    assert found["mu"] + found["tau"] * math.log(found["s"]) == pytest.approx(
        simple.estimates["mu"], rel=1e-5
    )


def test_it_is_said_to_be_one_of_many(result: Any) -> None:
    assert result.unique is False and not result.unbounded
    assert "one of many" in result.status
