"""The corpus: every closed and reduced case of it derived, checked, and held against its reference numbers.

The references come from a checker that knows nothing of symmle. Whatever a case is, the answer agrees with
its reference or is an error of symmle: never a wrong number, never another exception.
"""

from __future__ import annotations

import math
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from symmle import Model, derive, fit
from symmle.derivation import Derivation
from symmle.errors import NotDerivedError, SymmleError, UnsoundStepError
from symmle.estimator import Kind, Scope
from symmle.fitting.result import FitResult

FILES = sorted((Path(__file__).parent / "corpus").glob("*.toml"))
CASES = {
    case["id"]: case for file in FILES for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
}
GROUPS = ("textbook", "novel", "exercise", "latent")

SOLVED = sorted(
    name
    for name, case in CASES.items()
    if case["expected"]["kind"] in ("closed_form", "profile")
    and case["group"] in GROUPS
    and "size" not in case["model"]
)
OTHERS = sorted(set(CASES) - set(SOLVED))
# derived for many seconds before what remains is left to the numbers
SLOW = {name for name, case in CASES.items() if case["group"] == "algebraic"} | {
    "censored-normal",
    "gaussian-equal-variances",
    "kumaraswamy-weibull-known-shapes",
    "marshall-olkin-weibull",
    "marshall-olkin-log-logistic",
}


def marked(names: list[str]) -> list[Any]:
    """The names as parameters, the long ones behind the marker `slow`; solved cases are never left out."""
    slow = SLOW - set(SOLVED)
    return [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in names]


@cache
def derivation_of(name: str) -> Derivation:
    return derive(Model.from_dict(CASES[name]["model"]))


def fit_of(name: str) -> FitResult:
    columns = dict(CASES[name]["data"])
    weights = columns.pop("weights", None)
    return fit(derivation_of(name), columns, weights=weights)


def assert_close(found: dict[str, float], wanted: dict[str, float], relative: float) -> None:
    assert set(wanted) <= set(found)
    for parameter, value in wanted.items():
        assert found[parameter] == pytest.approx(value, rel=relative, abs=relative / 10), parameter


def test_the_corpus_is_here() -> None:
    assert len(SOLVED) >= 70 and len(OTHERS) >= 85


@pytest.mark.parametrize("name", SOLVED)
def test_derived_and_agrees_with_the_reference(name: str) -> None:
    case = CASES[name]
    expected, reference = case["expected"], case["reference"]
    estimator = derivation_of(name).estimator

    wanted = len(expected.get("remaining", {}))
    if not expected.get("combines", False):
        assert len(estimator.remaining) <= wanted, [str(e.expression) for e in estimator.remaining]
        assert estimator.kind == ("reduced" if estimator.remaining else "closed form")
        assert set(estimator.closed) | {e.parameter for e in estimator.remaining} == set(
            derivation_of(name).model.parameters
        )
    for parameter, closed in estimator.closed.items():
        left = {e.parameter for e in estimator.remaining}
        known = left | set(derivation_of(name).model.constants)
        assert closed.free_symbols <= known, f"{parameter} = {closed}"

    result = fit_of(name)
    assert_close(result.estimates, reference["estimate"], 1e-6 if estimator.remaining else 1e-8)
    assert result.log_likelihood == pytest.approx(reference["loglik"], rel=1e-9, abs=1e-8)
    if "se" in reference:
        assert result.standard_errors is not None
        assert_close(result.standard_errors, reference["se"], 1e-4)
    assert not result.unbounded or expected["classification"] == "local maximum"


@pytest.mark.parametrize("name", SOLVED)
def test_every_step_holds(name: str) -> None:
    derivation = derivation_of(name)
    verification = derivation.verify()
    assert not verification.failures, str(verification)
    # a derivation that checks nothing is no derivation: its logarithm and its score at least are compared
    checked = {c.rule for c in verification.checks if c.holds}
    assert {"logarithm", "normal form", "score"} <= checked


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in SOLVED
        if CASES[n]["expected"]["kind"] == "closed_form"
        and CASES[n]["expected"]["classification"] == "global maximum"
    ],
)
def test_a_closed_global_maximum_is_proved_for_every_sample(name: str) -> None:
    (point,) = derivation_of(name).estimator.points
    assert point.kind is Kind.GLOBAL_MAXIMUM, point.reason
    assert point.certificate is not None and point.certificate.scope is Scope.EVERY_SAMPLE
    holds, found = point.certificate.check()
    assert holds, found


@pytest.mark.parametrize("name", marked(sorted(CASES)))
def test_nothing_is_claimed_that_the_reference_contradicts(name: str) -> None:
    """A certificate for every sample and the corpus cannot both be right."""
    classification = CASES[name]["expected"].get("classification")
    try:
        derivation = derivation_of(name)
    except SymmleError:
        return
    certificates = [p.certificate for p in derivation.estimator.points if p.certificate is not None]
    for point in derivation.estimator.points:
        assert (point.kind is Kind.UNDECIDED) == (point.certificate is None)
    for certificate in certificates:
        if certificate.kind is not Kind.GLOBAL_MAXIMUM or certificate.scope is not Scope.EVERY_SAMPLE:
            continue
        if classification == "set of maxima":
            assert getattr(certificate, "unique", False) is not True
        if classification == "several local maxima":
            assert getattr(certificate, "unique", False) is not True
        if classification in ("none", "local maximum"):
            # such a sample is one that the conditions exclude, so that no estimate comes out
            with pytest.raises(SymmleError):
                fit_of(name)


# cases with latent structure are held against their references, up to labels, in test_corpus_latent.py
@pytest.mark.parametrize("name", marked([n for n in OTHERS if CASES[n]["expected"]["kind"] != "em"]))
def test_what_is_not_asked_for_yet_agrees_or_is_refused(name: str) -> None:
    expected, reference = CASES[name]["expected"], CASES[name].get("reference", {})
    try:
        result = fit_of(name)
        value = result.log_likelihood
    except UnsoundStepError:
        raise
    except SymmleError as error:
        assert str(error)
        return
    assert math.isfinite(value) and all(math.isfinite(v) for v in result.estimates.values())
    if expected["kind"] == "nonexistent":
        pytest.fail(f"the likelihood has no maximum, but {result.estimates} came out: {result.status}")
    if expected["kind"] == "unbounded":
        assert result.unbounded is True
        return
    best = reference["loglik"]
    assert value == pytest.approx(best, rel=1e-8, abs=1e-7), result.status
    if expected["kind"] != "nonunique" and expected["classification"] != "several local maxima":
        assert_close(result.estimates, reference["estimate"], 2e-5)
    if "se" in reference and result.standard_errors is not None:
        assert_close(result.standard_errors, reference["se"], 1e-3)


def test_nothing_of_the_corpus_is_left_for_want_of_means() -> None:
    """A refusal of these kinds has its reason in the data, never in what is not built."""
    for name in OTHERS:
        if name in SLOW or CASES[name]["expected"]["kind"] not in ("em", "finite", "integer"):
            continue
        try:
            fit_of(name)
        except NotDerivedError as error:
            pytest.fail(f"{name}: {error}")
        except SymmleError as error:
            assert len(str(error)) > 40
