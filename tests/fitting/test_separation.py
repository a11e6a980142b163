"""Separation of regressions: named where it is, never where it is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from symmle import Derivation, Model, derive, fit
from symmle.errors import NoMaximumError
from symmle.fitting.plan import plan_of
from symmle.fitting.separation import separation

LOGISTIC = "(exp(a + b*z)/(1 + exp(a + b*z)))**y*(1/(1 + exp(a + b*z)))**(1 - y)"
PROBIT = "(erfc(-(a + b*z)/sqrt(2))/2)**y*(erfc((a + b*z)/sqrt(2))/2)**(1 - y)"
POISSON = "exp(y*(a + b*z) - exp(a + b*z))/factorial(y)"
BINOMIAL = "binomial(m, y)*exp(y*(a + b*z))/(1 + exp(a + b*z))**m"
TWO = "exp(y*(a + b*z + c*w))/(1 + exp(a + b*z + c*w))"
NORMAL = "exp(-(y - a - b*z)**2/2)/sqrt(2*pi)"


def derived(density: str, support: str, covariates: Any = ("z",), **more: Any) -> Derivation:
    names = [p for p in "abc" if f"{p}*" in density or f"{p} +" in density or f"- {p} -" in density]
    table = {
        "density": density,
        "data": {"y": support},
        "parameters": dict.fromkeys(names, "real"),
        "covariates": covariates if isinstance(covariates, dict) else list(covariates),
        **more,
    }
    return derive(Model.from_dict(table))


LOGIT = derived(LOGISTIC, "{0, 1}")

# name, derivation, columns, the supremum; None where there is a maximum
CASES: dict[str, tuple[Derivation, dict[str, list[float]], float | None]] = {
    "complete": (LOGIT, {"y": [0, 0, 1, 1], "z": [1, 2, 3, 4]}, 0.0),
    "reversed": (LOGIT, {"y": [1, 1, 0, 0], "z": [1, 2, 3, 4]}, 0.0),
    "quasi": (LOGIT, {"y": [0, 0, 1, 0, 1, 1], "z": [1, 2, 3, 3, 4, 5]}, 2 * math.log(0.5)),
    "quasi, three at the edge": (LOGIT, {"y": [0, 0, 1, 1, 1], "z": [1, 3, 3, 3, 5]}, math.log(4 / 27)),
    "all zeros": (LOGIT, {"y": [0, 0, 0], "z": [1, 2, 3]}, 0.0),
    "nearly quasi": (LOGIT, {"y": [0, 0, 0, 1, 1, 1], "z": [1, 2, 3.001, 3, 4, 5]}, None),
    "very nearly quasi": (LOGIT, {"y": [0, 0, 0, 1, 1, 1], "z": [1, 2, 3.000001, 3, 4, 5]}, None),
    "overlap": (LOGIT, {"y": [0, 1, 0, 1], "z": [1, 2, 3, 4]}, None),
    "a large scale": (LOGIT, {"y": [0, 0, 1, 1], "z": [1e6 + 1, 1e6 + 2, 1e6 + 3, 1e6 + 4]}, 0.0),
    "probit": (derived(PROBIT, "{0, 1}"), {"y": [0, 0, 1, 1], "z": [1, 2, 3, 4]}, 0.0),
    "zeros in one group": (
        derived(POISSON, "{0..oo}"),
        {"y": [0, 0, 0, 2, 3], "z": [0, 0, 0, 1, 1]},
        2 * (2.5 * math.log(2.5) - 2.5) - math.log(2 * 6),
    ),
    "counts": (derived(POISSON, "{0..oo}"), {"y": [0, 0, 1, 2, 3], "z": [0, 0, 0, 1, 1]}, None),
    "huge counts": (derived(POISSON, "{0..oo}"), {"y": [1000000, 2000000, 900000], "z": [0, 1, 2]}, None),
    "binomial": (
        derived(BINOMIAL, "{0..m}", {"z": "real", "m": "integer >= 1"}),
        {"y": [0, 0, 5, 4], "z": [1, 2, 3, 4], "m": [3, 4, 5, 4]},
        0.0,
    ),
    "binomial with a mixed row": (
        derived(BINOMIAL, "{0..m}", {"z": "real", "m": "integer >= 1"}),
        {"y": [0, 0, 3, 4], "z": [1, 2, 3, 4], "m": [3, 4, 5, 4]},
        3 * math.log(0.6) + 2 * math.log(0.4) + math.log(10),
    ),
    "two covariates": (
        derived(TWO, "{0, 1}", ("z", "w")),
        {"y": [0, 0, 1, 1, 0], "z": [1, 2, 1, 3, 4], "w": [0, 1, 2, 3, 2]},
        0.0,
    ),
    "no one-sided rows": (derived(NORMAL, "(-oo, oo)"), {"y": [1, 2, 1e8], "z": [1, 2, 4]}, None),
}


@pytest.mark.parametrize("name", CASES)
def test_separation_is_refused_with_its_supremum_and_nothing_else_is(name: str) -> None:
    derivation, columns, supremum = CASES[name]
    data = {c: np.array(v, float) for c, v in columns.items()}
    if supremum is None:
        assert all(math.isfinite(v) for v in fit(derivation, data).estimates.values())
        return
    with pytest.raises(NoMaximumError, match="separation") as refusal:
        fit(derivation, data)
    limits = refusal.value.supremum
    assert limits is not None and limits["log_likelihood"] == pytest.approx(supremum, abs=1e-9)
    assert any(math.isinf(v) for p, v in limits.items() if p != "log_likelihood")


def is_separated(y: np.ndarray, z: np.ndarray) -> bool:
    """Without linear programming: some threshold on z, in one of the two senses."""
    zeros, ones = z[y == 0], z[y == 1]
    if not len(zeros) or not len(ones):
        return True
    if z.min() == z.max():
        return False
    return bool(zeros.max() <= ones.min() or ones.max() <= zeros.min())


def test_random_data_are_called_separated_exactly_where_a_threshold_separates_them() -> None:
    plan = plan_of(LOGIT)
    from symmle.compiling.data import read_table

    rng, seen = np.random.default_rng(11), {True: 0, False: 0}
    for _ in range(120):
        n = int(rng.integers(3, 9))
        z = rng.integers(0, 5, n).astype(float) if rng.random() < 0.7 else rng.normal(3, 2, n)
        y = (rng.random(n) < 1 / (1 + np.exp(-rng.choice([0.3, 3]) * (z - 2)))).astype(float)
        found = separation(plan, read_table(plan.model, {"y": y, "z": z}))
        expected = is_separated(y, z)
        assert (found is not None) == expected, (y, z)
        seen[expected] += 1
    assert min(seen.values()) > 20


def test_the_supremum_is_what_a_plain_search_climbs_to() -> None:
    rng, compared = np.random.default_rng(12), 0
    for _ in range(40):
        n = int(rng.integers(4, 8))
        z, w = rng.integers(0, 3, n).astype(float), rng.integers(0, 3, n).astype(float)
        y = (rng.random(n) < 0.5).astype(float)

        def cost(t: np.ndarray, y: np.ndarray = y, z: np.ndarray = z, w: np.ndarray = w) -> float:
            eta = t[0] + t[1] * z + t[2] * w
            return float(np.sum(np.logaddexp(0, eta) - y * eta))

        plain = -minimize(cost, np.zeros(3), method="BFGS", options={"gtol": 1e-9, "maxiter": 2000}).fun
        try:
            fit(CASES["two covariates"][0], {"y": y, "z": z, "w": w})
        except NoMaximumError as refusal:
            if "separation" not in str(refusal):
                continue  # a covariate that never changes
            assert refusal.supremum is not None
            assert refusal.supremum["log_likelihood"] >= plain - 1e-9
            assert refusal.supremum["log_likelihood"] == pytest.approx(plain, abs=2e-3)
            compared += 1
    assert compared > 8
