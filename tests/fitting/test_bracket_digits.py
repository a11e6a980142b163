"""A scan of one equation that ends where digits end says "no maximum" only where l is followed on at 240 bits."""

from __future__ import annotations

import math
from typing import Any

import pytest
from sympy import Symbol, factorial, gamma, symbols

from symmle import Model, derive, fit
from symmle.errors import NoMaximumError, NotConvergedError
from symmle.fitting import limits_search
from symmle.fitting.profile import Profile

n = Symbol("n", integer=True, nonnegative=True)
r, m = symbols("r m", positive=True)
MASS = gamma(n + r) / (gamma(r) * factorial(n)) * (r / (r + m)) ** r * (m / (r + m)) ** n
UNDERDISPERSED = [3, 3, 2, 4, 3, 3, 2, 3]


@pytest.fixture(scope="module")
def derived() -> Any:
    return derive(Model(MASS, data=n))


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The equation has a value up to r = 50 only."""
    equation = Profile.equation
    monkeypatch.setattr(Profile, "equation", lambda self, p: equation(self, p) if float(p) < 50 else math.nan)


def test_a_scan_to_the_end_says_no_maximum(derived: Any) -> None:
    with pytest.raises(NoMaximumError):
        fit(derived, UNDERDISPERSED)


@pytest.mark.usefixtures("few_digits")
def test_what_is_followed_on_is_no_maximum(derived: Any) -> None:
    with pytest.raises(NoMaximumError):
        fit(derived, UNDERDISPERSED)


@pytest.mark.usefixtures("few_digits")
def test_what_cannot_be_followed_is_open(derived: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_search, "is_followed", lambda plan, table: False)
    with pytest.raises(NotConvergedError, match="too few digits to tell"):
        fit(derived, UNDERDISPERSED)
