"""The corpus where the score is not enough: every case of it answered, refused by its class, verified, written.

The references come from a checker that knows nothing of symmle.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from test_corpus import (  # type: ignore[import-not-found]
    CASES,
    assert_close,
    derivation_of,
    fit_of,
)

from symmle.errors import DataError, ModelError, NoMaximumError
from symmle.estimator import Kind, Scope

KINDS = ("order_statistic", "integer", "finite", "boundary", "nonunique", "unbounded", "nonexistent")
HERE = sorted(
    name
    for name, case in CASES.items()
    if (
        case["expected"]["kind"] in KINDS
        or case["group"] == "algebraic"
        or "size" in case["model"]
        or case["model"].get("constraints")
    )
    and "components" not in case["model"]
)
REFUSED = [n for n in HERE if CASES[n]["expected"]["kind"] == "nonexistent"]
UNBOUNDED = [n for n in HERE if CASES[n]["expected"]["kind"] == "unbounded"]
ANSWERED = [n for n in HERE if n not in REFUSED and n not in UNBOUNDED]
# what the page must hold: the argument without a score, by the kind of the case
ARGUED = [
    n
    for n in ANSWERED
    if CASES[n]["expected"]["kind"] in ("order_statistic", "integer", "finite", "boundary")
]
ARGUMENTS = {"monotone", "slope", "one crossing", "comparison", "clip", "certificate"}


def data_of(name: str) -> dict[str, Any]:
    columns = dict(CASES[name]["data"])
    columns.pop("weights", None)
    return columns


def test_the_cases_are_here() -> None:
    assert len(HERE) >= 40


@pytest.mark.parametrize("name", ANSWERED)
def test_the_estimate_is_the_reference(name: str) -> None:
    expected, reference = CASES[name]["expected"], CASES[name]["reference"]
    result = fit_of(name)
    assert result.log_likelihood == pytest.approx(reference["loglik"], rel=1e-10, abs=1e-9)
    if expected["kind"] == "nonunique":
        assert result.unique is False
        assert result.maximisers or derivation_of(name).estimator.free
        return
    assert_close(result.estimates, reference["estimate"], 1e-8)
    if "se" in reference:
        assert result.standard_errors is not None
        assert_close(result.standard_errors, reference["se"], 1e-4)
    assert not result.unbounded


@pytest.mark.parametrize("name", REFUSED)
def test_no_maximum_is_refused_by_its_class(name: str) -> None:
    reference = CASES[name].get("reference", {})
    outside = "outside the support" in CASES[name]["expected"].get("why", "")
    with pytest.raises((ModelError, DataError) if outside else NoMaximumError) as refusal:
        fit_of(name)
    assert len(str(refusal.value)) > 40
    if "supremum" in reference and isinstance(refusal.value, NoMaximumError):
        assert refusal.value.supremum is not None
        assert refusal.value.supremum["log_likelihood"] == pytest.approx(
            reference["supremum"], rel=1e-6, abs=1e-6
        )


@pytest.mark.parametrize("name", UNBOUNDED)
def test_an_unbounded_likelihood_is_refused_or_said_to_be_one(name: str) -> None:
    try:
        result = fit_of(name)
    except NoMaximumError as refusal:
        assert len(str(refusal)) > 40
        return
    assert result.unbounded is True and result.certificate is None
    assert math.isfinite(result.log_likelihood)


@pytest.mark.parametrize("name", HERE)
def test_every_step_holds(name: str) -> None:
    verification = derivation_of(name).verify()
    assert not verification.failures, str(verification)
    assert {c.rule for c in verification.checks if c.holds}, str(verification)


@pytest.mark.parametrize("name", ARGUED)
def test_the_argument_is_recorded_and_proved(name: str) -> None:
    derivation = derivation_of(name)
    rules = [s.rule for s in derivation.steps]
    assert "likelihood" in rules and "why not the score" in rules and "estimate" in rules
    assert ARGUMENTS & set(rules), rules
    point = derivation.estimator.points[0]
    assert point.kind is Kind.GLOBAL_MAXIMUM, point.reason
    assert point.certificate is not None and point.certificate.theorem
    assert point.certificate.scope is Scope.EVERY_SAMPLE
    holds, found = point.certificate.check()
    assert holds, found


@pytest.mark.parametrize("name", HERE)
def test_the_page_is_written(name: str) -> None:
    derivation = derivation_of(name)
    text, page = str(derivation), derivation.latex()
    for closed in derivation.estimator.closed:
        assert str(closed) in text or closed.name in page or len(page) > 500
    for sign in ("zoo", "nan", "Dummy", "CRootOf"):
        assert sign not in page and sign not in text


@pytest.mark.parametrize("name", [n for n in ANSWERED if "stationary" in CASES[n]["reference"]])
def test_the_stationary_points_are_all_of_them(name: str) -> None:
    wanted = CASES[name]["reference"]["stationary"]
    weights = CASES[name]["data"].get("weights")
    found = derivation_of(name).stationary_points(data_of(name), weights=weights)
    assert len(found) == len(wanted), [dict(p.values) for p in found]
    assert found.complete is True, found.reason
    for point in found:
        near = min(wanted, key=lambda w: sum(abs(float(point.values[p]) - v) for p, v in w["at"].items()))
        assert_close({str(p): float(v) for p, v in point.values.items()}, near["at"], 1e-8)
        assert point.log_likelihood == pytest.approx(near["loglik"], rel=1e-9, abs=1e-9)
        kind = "local maximum" if point.kind is Kind.GLOBAL_MAXIMUM else point.kind.value
        assert kind == near["kind"]
