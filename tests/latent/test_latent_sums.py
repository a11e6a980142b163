"""Plain densities that are sums: which are mixtures, and which are not."""

from __future__ import annotations

from typing import Any

import pytest

from symmle import Model, derive
from symmle.latent.problem import Labelled, Unmatched
from symmle.latent.sums import read_sum

MIXTURES: dict[str, dict[str, Any]] = {
    "two exponentials": dict(
        data={"x": "(0, oo)"},
        parameters={"w": "(0, 1)", "a": "positive", "b": "positive"},
        density="w*a*exp(-a*x) + (1 - w)*b*exp(-b*x)",
    ),
    "two poissons of common factor": dict(
        data={"x": "{0..oo}"},
        parameters={"w": "(0, 1)", "a": "positive", "b": "positive"},
        density="(w*exp(-a)*a**x + (1 - w)*exp(-b)*b**x)/factorial(x)",
    ),
    "known weights": dict(
        data={"x": "(-oo, oo)"},
        parameters={"a": "real", "b": "real"},
        density="exp(-(x - a)**2/2)/(2*sqrt(2*pi)) + exp(-(x - b)**2/2)/(2*sqrt(2*pi))",
    ),
    "background": dict(
        data={"x": "(0, 1)"},
        parameters={"w": "(0, 1)", "a": "positive"},
        density="w + (1 - w)*a*x**(a - 1)",
    ),
    "regressions": dict(
        data={"y": "(-oo, oo)"},
        covariates=["z"],
        parameters={"w": "(0, 1)", "a": "real", "b": "real"},
        density="w*exp(-(y - a*z)**2/2)/sqrt(2*pi) + (1 - w)*exp(-(y - b*z)**2/2)/sqrt(2*pi)",
    ),
}

OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "a difference of exponentials": (
        dict(
            data={"x": "{0..oo}"},
            parameters={"lam": "positive"},
            density="exp(-lam*x) - exp(-lam*(x + 1))",
        ),
        "not positive",
    ),
    "transmuted": (
        dict(
            data={"x": "(0, oo)"},
            parameters={"a": "positive", "l": "(-1, 1)"},
            density="a*exp(-a*x)*(1 - l + 2*l*exp(-a*x))",
        ),
        "not positive",
    ),
    "linear hazard": (
        dict(
            data={"x": "(0, oo)"},
            parameters={"a": "positive", "b": "positive"},
            density="(a + b*x)*exp(-a*x - b*x**2/2)",
        ),
        "no weight times a density",
    ),
    "one term": (
        dict(data={"x": "(0, oo)"}, parameters={"a": "positive"}, density="a*exp(-a*x)"),
        "no sum",
    ),
}


@pytest.mark.parametrize("name", sorted(MIXTURES))
def test_a_sum_of_weighted_densities_is_a_mixture(name: str) -> None:
    derivation = derive(Model.from_dict(MIXTURES[name]))
    assert derivation.estimator.kind == "em"
    em = derivation.estimator.em
    assert isinstance(em, Labelled) and len(em.branches) == 2
    assert derivation.verify()
    assert "E-STEP" in str(derivation)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_sums_are_left_alone(name: str) -> None:
    table, words = OTHERS[name]
    answer = read_sum(Model.from_dict(table).declaration)
    assert isinstance(answer, Unmatched) and words in answer.reason


def test_a_sum_that_is_solved_stays_solved() -> None:
    """Lindley's law is a mixture of two gammas, and has a closed form."""
    lindley = Model.from_dict(
        {
            "data": {"x": "(0, oo)"},
            "parameters": {"t": "positive"},
            "density": "t**2/(1 + t)*(1 + x)*exp(-t*x)",
        }
    )
    assert not isinstance(read_sum(lindley.declaration), Unmatched)
    estimator = derive(lindley).estimator
    assert estimator.kind == "closed form" and estimator.em is None
