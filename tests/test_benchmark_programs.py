"""The programs by hand of tests/benchmarks maximise what symmle maximises; the densities that judge are SciPy's."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from symmle import Model, derive, fit

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from benchmark_laws import LAWS, NUMPY, Law, law
from by_hand import BARE, BY_HAND
from em_by_hand import Start
from em_laws import ROWS as MIXTURES
from em_laws import Row

ROWS = 2000
SEEDS = (3, 4)

# parameters and SciPy's frozen law
SCIPY: list[tuple[str, tuple[float, ...], Any]] = [
    ("gamma", (2.5, 0.6), stats.gamma(2.5, scale=1 / 0.6)),
    ("Weibull", (1.6, 3.0), stats.weibull_min(1.6, scale=3.0)),
    ("beta", (2.3, 3.7), stats.beta(2.3, 3.7)),
    ("exponentiated Weibull", (1.8, 1.4, 2.5), stats.exponweib(1.8, 1.4, scale=2.5)),
    ("Gumbel", (4.0, 1.7), stats.gumbel_r(4.0, 1.7)),
    ("logistic", (3.0, 0.8), stats.logistic(3.0, 0.8)),
    ("inverse Gaussian", (3.0, 5.0), stats.invgauss(3.0 / 5.0, scale=5.0)),
    ("GEV", (10.0, 2.0, 0.15), stats.genextreme(-0.15, 10.0, 2.0)),
    ("Student t", (2.0, 1.5, 5.0), stats.t(5.0, 2.0, 1.5)),
    ("Cauchy", (3.0, 0.7), stats.cauchy(3.0, 0.7)),
    ("negative binomial", (3.5, 0.4), stats.nbinom(3.5, 0.4)),
]


@cache
def derived(name: str) -> Any:
    return derive(Model.from_dict(law(name).declaration()))


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("seed", SEEDS)
def test_program_by_hand_and_symmle_are_at_the_same_maximum(name: str, seed: int) -> None:
    row: Law = law(name)
    columns = row.columns(ROWS, seed)
    by_hand = BY_HAND[name](columns)
    ours = (fit(derived(name), columns, by="g") if row.groups else fit(derived(name), columns["x"])).estimates
    theirs, mine = row.log_likelihood(columns, by_hand), row.log_likelihood(columns, ours)
    assert mine == pytest.approx(theirs, rel=1e-8, abs=0)
    for parameter, value in by_hand.items():  # l is flat there: the estimates say more
        assert np.allclose(ours[parameter], value, rtol=1e-5)


@pytest.mark.parametrize(("name", "theta", "frozen"), SCIPY, ids=[row[0] for row in SCIPY])
def test_density_that_judges_is_that_of_scipy(name: str, theta: tuple[float, ...], frozen: Any) -> None:
    row: Law = law(name)
    x = row.columns(200)["x"]
    expected = (frozen.logpmf if name == "negative binomial" else frozen.logpdf)(x)
    assert np.allclose(row.log_density(NUMPY, x, *theta), expected, rtol=1e-10, atol=1e-12)


def test_density_of_kumaraswamy_integrates_and_is_that_of_the_declaration() -> None:
    # SciPy does not have it: if y is uniform, (1 - y^(1/b))^(1/a) has the distribution function 1 - (1 - x^a)^b
    x, step = np.linspace(0.05, 0.95, 19), 1e-6
    a, b = 2.2, 3.1
    slope = ((1 - (x - step) ** a) ** b - (1 - (x + step) ** a) ** b) / (2 * step)
    assert np.allclose(np.exp(law("Kumaraswamy").log_density(NUMPY, x, a, b)), slope, rtol=1e-7)


@pytest.mark.parametrize("name", [row.name for row in LAWS])
def test_bare_pass_is_finite_and_the_start_lies_in_the_domain(name: str) -> None:
    row: Law = law(name)
    columns = row.columns(ROWS)
    assert np.isfinite(BARE[name](columns))
    start = row.starting_point(columns["x"])
    assert np.isfinite(np.sum(row.log_density(NUMPY, columns["x"], *start)))


@pytest.mark.parametrize("row", [r for r in MIXTURES if r.rows == 100_000], ids=lambda r: r.name)
def test_em_by_hand_ends_where_no_parameter_moved_rises_and_symmle_ends_there(row: Row) -> None:
    columns = row.columns(ROWS)
    x = columns["x"]
    found = row.by_hand(columns)
    top = row.height(x, found)
    assert top > row.height(x, row.start(x))
    for name, value in row.named(found).items():
        for step in (-1e-3, 1e-3):
            moved: Start = row.unnamed({**row.named(found), name: value + step})
            assert row.height(x, moved) < top
    derivation = derive(Model.from_dict(row.declaration()))
    ours = fit(derivation, x, start=row.named(row.start(x))).estimates
    assert row.height(x, row.unnamed(ours)) == pytest.approx(top, rel=1e-8, abs=0)
