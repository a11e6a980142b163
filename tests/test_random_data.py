"""Random data: a fit is never beaten by a plain numeric search, and a refusal is one that the search confirms.

The densities, samplers and the search stand in `random_data_cases` and `random_data_search`; they know nothing of
symmle. Each case of the corpus is derived once and fitted to many samples.
"""

from __future__ import annotations

import math
import tomllib
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from random_data_cases import ALL  # type: ignore[import-not-found]
from random_data_search import WIDE, Columns, RandomCase, Space, search  # type: ignore[import-not-found]

from symmle import Model, derive, fit
from symmle.derivation import Derivation
from symmle.errors import SymmleError

QUICK, MANY = 5, 50
TOLERANCE = 1e-7
CASES: dict[str, RandomCase] = {case.name: case for case in ALL}
NAMES = sorted(CASES)
# mixtures, and what is numeric in several parameters throughout
NUMERIC = {
    "coin-mixture-gambler",
    "marshall-olkin-log-logistic",
    "beta-exponential-gamma-limit",
    "student-t-df-unbounded",
}
# derived or fitted for many seconds: in the long sweep alone
LONG = {
    "behrens-fisher-one-root",
    "bivariate-normal-rho-three-roots",
    "cfn-claw-tree",
    "gamma-single-observation",
    "gaussian-equal-variances",
    "gpd-unrestricted-shape",
    "kimura-two-parameter",
    "log-linear-cubic",
    "negative-binomial-underdispersed",
    "von-mises-equal-angles",
}
KINDS = {"order_statistic", "integer", "finite", "boundary", "nonunique", "unbounded", "nonexistent"}


@cache
def corpus() -> dict[str, dict]:  # type: ignore[type-arg]
    files = sorted((Path(__file__).parent / "corpus").glob("*.toml"))
    return {c["id"]: c for f in files for c in tomllib.loads(f.read_text(encoding="utf-8"))["case"]}


@cache
def derivation_of(name: str) -> Derivation:
    return derive(Model.from_dict(corpus()[name]["model"]))


def explain(name: str, columns: Columns) -> str:
    return f"{name} on { ({k: v.tolist() for k, v in columns.items()}) }"


def check(case: RandomCase, columns: Columns, rng: np.random.Generator, starts: int) -> None:
    data = {k: v for k, v in columns.items() if k != "weights"}
    shown = explain(case.name, columns)
    try:
        result = fit(derivation_of(case.name), data, weights=columns.get("weights"))
    except SymmleError as refusal:
        assert type(refusal).__name__ in case.refusals, f"{shown}: {type(refusal).__name__}: {refusal}"
        assert_refused_rightly(case, columns, rng, starts, f"{shown}: {refusal}")
        return
    if case.unbounded:
        assert result.unbounded is True, shown
        return
    assert not result.unbounded, shown
    found = result.log_likelihood
    slack = TOLERANCE * (1 + abs(found))
    assert math.isfinite(found), shown
    own = case.log_likelihood(columns, result.estimates)
    assert abs(own - found) <= slack, f"{shown}: l is {own} at {result.estimates}, {found} was said"
    best, point = search(case, columns, rng, starts)
    assert best <= found + slack, f"{shown}: {best} at {point}, but {found} at {result.estimates}"


def assert_refused_rightly(
    case: RandomCase, columns: Columns, rng: np.random.Generator, starts: int, shown: str
) -> None:
    """No parameter has a positive likelihood, or it rises as the search may come nearer to the edges."""
    far, point = search(case, columns, rng, starts, WIDE)
    if far == -math.inf:
        return
    near, _ = search(case, columns, rng, starts, case.narrow)
    assert far > near + 1e-12 * (1 + abs(near)), f"refused, but a maximum is at {point}: {shown}"


def sweep(name: str, count: int, starts: int) -> None:
    case = CASES[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for _ in range(count):
        check(case, case.draw(rng), rng, starts)


def test_every_case_of_these_kinds_has_random_data() -> None:
    wanted = {
        name
        for name, case in corpus().items()
        if case["expected"]["kind"] in KINDS
        or case["group"] == "algebraic"
        or "constraints" in case["model"]
        or "size" in case["model"]
    }
    assert wanted - NUMERIC == set(CASES)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in LONG])
def test_a_few_samples(name: str) -> None:
    sweep(name, QUICK, 2)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_fifty_samples(name: str) -> None:
    sweep(name, MANY, 6)


# --- the densities and the search themselves ----------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_the_density_written_by_hand_is_that_of_the_corpus(name: str) -> None:
    """At the reference estimate of the corpus both give the same log-likelihood."""
    reference = corpus()[name].get("reference", {})
    if "loglik" not in reference:
        pytest.skip("the corpus has no estimate for this case")
    columns = {k: np.array(v, dtype=float) for k, v in corpus()[name]["data"].items()}
    found = CASES[name].log_likelihood(columns, reference["estimate"])
    assert found == pytest.approx(reference["loglik"], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", [n for n in NAMES if "loglik" in corpus()[n].get("reference", {})])
def test_the_search_finds_what_the_corpus_has(name: str) -> None:
    columns = {k: np.array(v, dtype=float) for k, v in corpus()[name]["data"].items()}
    best, _ = search(CASES[name], columns, np.random.default_rng(1), 8)
    wanted = corpus()[name]["reference"]["loglik"]
    assert best == pytest.approx(wanted, rel=1e-6, abs=1e-6)


def test_a_wrong_estimate_is_seen() -> None:
    """Half of the root for the maximum of the uniform: the search beats it."""
    case = CASES["triangle-up"]
    columns = {"x": np.array([1.0, 2.0, 3.0])}
    best, point = search(case, columns, np.random.default_rng(2), 4)
    assert point["theta"] == pytest.approx(3.0, rel=1e-9)
    assert best > case.log_likelihood(columns, {"theta": 3.1}) + 0.1
    assert case.log_likelihood(columns, {"theta": 2.9}) == -math.inf


def test_a_wrong_refusal_is_seen() -> None:
    case = CASES["negative-binomial-underdispersed"]
    spread, narrow = np.array([0.0, 9.0, 1.0, 14.0, 2.0]), np.array([3.0, 3.0, 2.0, 4.0, 3.0])
    rng = np.random.default_rng(3)
    with pytest.raises(AssertionError, match="a maximum is at"):
        assert_refused_rightly(case, {"x": spread}, rng, 6, "")
    assert_refused_rightly(case, {"x": narrow}, rng, 6, "")


def test_coordinates_of_spaces_are_undone() -> None:
    for space, value in (
        (Space("real", 3), -7.0),
        (Space("positive", 5), 0.3),
        (Space("open", ends=(-2, 5)), 4.0),
        (Space("closed", ends=(1, 2)), 1.25),
    ):
        assert space.point(space.coordinate(value)) == pytest.approx(value, rel=1e-12)
        assert space.allows(value, 1e-3) and not Space("open").allows(1e-9, 1e-3)
