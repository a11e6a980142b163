"""The corpus where something is not observed: every case of it derived, fitted, verified, written.

The references come from a checker that knows nothing of symmle. Components that may change places are compared
up to their labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest
from test_corpus import (  # type: ignore[import-not-found]
    CASES,
    derivation_of,
    fit_of,
)

from symmle import fit
from symmle.estimator import Kind

HERE = sorted(name for name, case in CASES.items() if case["expected"]["kind"] == "em")
# incomplete data whose likelihood is written down already: no label is left to average over
DIRECT = {"censored-normal", "interval-censored-exponential"}
LATENT = [name for name in HERE if name not in DIRECT]
# the marginal likelihood has a maximum in closed form, which is given in place of an iteration
CLOSED = {"rao-genetic-linkage", "poisson-exponential-rate-latent"}
# the weights (the last one is what is left) and the parameters of each component that may change places
LABELS: dict[str, tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "coin-mixture-gambler": (("w",), (("p",), ("q",))),
    "gmm2-common-variance": (("w",), (("m1",), ("m2",))),
    "gmm2-known-variances-latent": (("w",), (("m1",), ("m2",))),
    "gmm2-free-variances": (("w",), (("m1", "s1"), ("m2", "s2"))),
    "gmm3-common-variance": (("w1", "w2"), (("m1",), ("m2",), ("m3",))),
    "geometric-mixture-2": (("w",), (("p",), ("q",))),
    "binomial-mixture-2": (("w",), (("p",), ("q",))),
    "weibull-mixture-2": (("w",), (("k1", "s1"), ("k2", "s2"))),
    "mixture-of-regressions-2": (("w",), (("a1", "b1"), ("a2", "b2"))),
    "two-coins": ((), (("a",), ("b",))),
}
RULES = {"latent structure", "E-step", "Q", "M-step", "ascent"}


def relabelled(name: str, reference: dict[str, Any]) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Estimates and standard errors with the components in every order."""
    estimates, errors = reference["estimate"], reference["se"]
    weights, groups = LABELS.get(name, ((), ()))
    shares = [*(estimates[w] for w in weights), 1 - sum(estimates[w] for w in weights)]
    for order in permutations(range(len(groups))):
        at, se = dict(estimates), dict(errors)
        for to, since in enumerate(order):
            for one, other in zip(groups[to], groups[since], strict=True):
                at[one], se[one] = estimates[other], errors[other]
            if to < len(weights):
                at[weights[to]] = shares[since]
                if since < len(weights):
                    se[weights[to]] = errors[weights[since]]
                elif len(weights) > 1:
                    del se[weights[to]]  # of a sum: the corpus does not say it
        yield at, se


def is_near(found: dict[str, float], wanted: dict[str, float], relative: float) -> bool:
    near = {k: pytest.approx(v, rel=relative, abs=relative / 10) for k, v in wanted.items()}
    return all(found[k] == v for k, v in near.items())


def test_the_cases_are_here() -> None:
    assert len(HERE) >= 18 and set(LABELS) <= set(LATENT) and set(LATENT) >= CLOSED


@pytest.mark.parametrize("name", HERE)
def test_the_estimate_is_the_reference_up_to_labels(name: str) -> None:
    reference = CASES[name]["reference"]
    result = fit_of(name)
    assert result.log_likelihood == pytest.approx(reference["loglik"], rel=1e-8)
    orders = [pair for pair in relabelled(name, reference) if is_near(result.estimates, pair[0], 1e-6)]
    assert orders, (result.estimates, reference["estimate"])
    assert result.standard_errors is not None
    assert is_near(result.standard_errors, orders[0][1], 1e-4), (result.standard_errors, reference["se"])
    assert result.gradient_norm is not None and result.gradient_norm < 1e-10


@pytest.mark.parametrize("name", HERE)
def test_what_is_said_of_the_maximum(name: str) -> None:
    classification = CASES[name]["expected"]["classification"]
    estimator, result = derivation_of(name).estimator, fit_of(name)
    assert (estimator.em is None) == (name in DIRECT)
    wanted = "numeric" if name in DIRECT else "closed form" if name in CLOSED else "em"
    assert estimator.kind == wanted
    if classification == "local maximum":
        assert result.unbounded is True and result.certificate is None
        assert "A local maximum of an unbounded likelihood" in result.status
        assert estimator.em.unbounded
    else:
        assert result.unbounded is False
    if classification == "several local maxima":
        assert len(result.maxima_met) >= 2
        assert result.certificate is None
    if wanted == "em" and not result.unbounded:
        assert "That there is no higher maximum is not proved." in result.status
    if wanted != "em":
        assert result.certificate is not None and result.certificate.kind is Kind.GLOBAL_MAXIMUM


@pytest.mark.parametrize("name", sorted(CLOSED))
def test_em_ends_at_the_closed_form(name: str) -> None:
    columns = dict(CASES[name]["data"])
    weights = columns.pop("weights", None)
    result = fit(derivation_of(name), columns, weights=weights, method="em")
    assert result.method == "em"
    assert is_near(result.estimates, CASES[name]["reference"]["estimate"], 1e-8)


@pytest.mark.parametrize("name", HERE)
def test_every_step_of_it_holds(name: str) -> None:
    verification = derivation_of(name).verify()
    assert not verification.failures, str(verification)
    holds = {c.rule for c in verification.checks if c.holds}
    assert name in DIRECT or holds >= RULES, holds


@pytest.mark.parametrize("name", HERE)
def test_the_page_of_it_is_written(name: str) -> None:
    derivation = derivation_of(name)
    text, page = str(derivation), derivation.latex()
    for sign in ("zoo", "nan", "Dummy", "CRootOf", "Piecewise"):
        assert sign not in page and sign not in text
    if name in LATENT:
        assert "E-step" in page and "M-step" in page
    if CASES[name]["expected"]["classification"] == "local maximum":
        assert "bound" in page and "bound" in text


@pytest.mark.parametrize("name", [n for n in HERE if "stationary" in CASES[n]["reference"]])
def test_the_isolated_stationary_points(name: str) -> None:
    columns = dict(CASES[name]["data"])
    weights = columns.pop("weights", None)
    found = derivation_of(name).stationary_points(columns, weights=weights)
    wanted = CASES[name]["reference"]["stationary"]
    assert len(found) == len(wanted)
    for point in wanted:
        (near,) = [
            p for p in found if is_near({str(k): float(v) for k, v in p.values.items()}, point["at"], 1e-8)
        ]
        assert near.kind.value == point["kind"]
        assert near.log_likelihood == pytest.approx(point["loglik"], rel=1e-10)
    # beside them lies a line of stationary points, and nothing proves that there are no others
    assert found.complete is None and "where p = q" in found.reason
