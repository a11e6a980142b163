"""Goodness of fit: Kolmogorov-Smirnov, Cramer-von Mises, Anderson-Darling, chi-square for counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from symmle.compiling.data import read_table
from symmle.errors import DataError, NotDerivedError, SymmleError
from symmle.fitting.distribution import FittedDistribution
from symmle.fitting.plan import plan_of
from symmle.fitting.views import view_of
from symmle.progress import progress_on_terminal

Array = NDArray[Any]
LEAST_EXPECTED = 5.0
RESAMPLES = 199


@dataclass(frozen=True)
class GoodnessOfFit:
    """Statistics by name and their p-values (None where not asked for); `resamples` fits stand behind each."""

    statistics: dict[str, float]
    p_values: dict[str, float | None]
    resamples: int
    note: str = ""

    def __str__(self) -> str:
        lines = [f"{'statistic':<22}{'value':>14}{'p-value':>12}"]
        for name, value in self.statistics.items():
            p = self.p_values.get(name)
            lines.append(f"{name:<22}{value:>14.6g}{'-' if p is None else format(p, '.4g'):>12}")
        return "\n".join([*lines, self.note] if self.note else lines)


def distances(law: FittedDistribution, x: Array, weights: Array | None = None) -> dict[str, float]:
    """KS, Cramer-von Mises and Anderson-Darling distances between the sample and a continuous law.

    Source: D'Agostino and Stephens, Goodness-of-Fit Techniques, chapter 4.
    """
    if weights is not None:
        x = np.repeat(x, _whole(weights))
    x = np.sort(x)
    n = len(x)
    i = np.arange(1, n + 1)
    f, s = law.cdf(x), law.sf(x)
    with np.errstate(divide="ignore"):
        ad = -n - float(np.sum((2 * i - 1) * (np.log(f) + np.log(s[::-1])))) / n
    return {
        "Kolmogorov-Smirnov": float(max((i / n - f).max(), (f - (i - 1) / n).max())),
        "Cramer-von Mises": float(1 / (12 * n) + np.sum((f - (2 * i - 1) / (2 * n)) ** 2)),
        "Anderson-Darling": ad,
    }


def _whole(weights: Array) -> Array:
    counts = np.rint(weights).astype(int)
    if np.any(np.abs(counts - weights) > 1e-9):
        raise DataError("Goodness of fit needs whole counts as weights; some are fractions.")
    return counts


def chi_square(
    law: FittedDistribution, x: Array, weights: Array | None, parameters: int
) -> tuple[float, int]:
    """Pearson's statistic over cells in which at least five are expected, and its degrees of freedom."""
    counts = np.ones(len(x)) if weights is None else weights
    n = float(counts.sum())
    members = law._members
    members = members[law.pmf(members) * n > 1e-12]
    observed = np.array([counts[x == m].sum() for m in members])
    expected = law.pmf(members) * n
    cells: list[tuple[float, float]] = []
    o = e = 0.0
    for a, b in zip(observed, expected, strict=True):
        o, e = o + float(a), e + float(b)
        if e >= LEAST_EXPECTED:
            cells.append((o, e))
            o = e = 0.0
    rest_observed, rest_expected = n - sum(c[0] for c in cells), n - sum(c[1] for c in cells)
    if cells and (rest_expected < LEAST_EXPECTED):
        last = cells.pop()
        cells.append((last[0] + rest_observed, last[1] + rest_expected))
    elif rest_expected > 0:
        cells.append((rest_observed, rest_expected))
    return sum((a - b) ** 2 / b for a, b in cells), len(cells) - 1 - parameters


def goodness_of_fit(
    result: Any, resamples: int = RESAMPLES, seed: int | None = 0, progress: bool | None = None
) -> GoodnessOfFit:
    """Distances between sample and fitted law, with p-values by the parametric bootstrap (each resample is fitted).

    Counts are tested by Pearson's chi-square, with its asymptotic p-value.

    Raises
    ------
    NotDerivedError
        The model has several columns, covariates or samples.
    """
    view = view_of(result)
    if view is not None:  # the statistics are the same in all units
        return goodness_of_fit(view.result, resamples, seed, progress)
    plan = plan_of(result.derivation)
    law = result.distribution
    law.cdf(0.0)  # says what it needs
    sample = result.table.samples[0]
    x, weights = sample.columns[plan.declaration.samples[0].columns[0]], sample.weights
    if law.discrete:
        value, freedom = chi_square(law, x, weights, result.parameters_fitted)
        p = float(chi2.sf(value, freedom)) if freedom > 0 else None
        note = f"{freedom} degrees of freedom; cells joined to at least {LEAST_EXPECTED:g} expected."
        return GoodnessOfFit({"chi-square": value}, {"chi-square": p}, 0, note)
    observed = distances(law, x, weights)
    if not resamples:
        return GoodnessOfFit(observed, dict.fromkeys(observed), 0)
    again = _fits(plan, result)
    random = np.random.default_rng(seed)
    beyond = dict.fromkeys(observed, 0)
    done = failed = 0
    with progress_on_terminal(progress, "goodness of fit") as show:
        for k in range(resamples):
            if k % 20 == 0:
                show(f"goodness of fit: {k} of {resamples}", k / resamples)
            drawn = law.rvs(round(sample.n), random)
            try:
                other = FittedDistribution(plan, again(drawn), drawn)
                found = distances(other, drawn)
            except SymmleError:
                failed += 1
                continue
            done += 1
            for name, value in found.items():
                beyond[name] += bool(value >= observed[name] or math.isnan(value))
    if done < 0.9 * resamples:
        raise NotDerivedError(
            f"{plan.name}: {failed} of {resamples} samples of the fitted law have no maximum."
        )
    p_values: dict[str, float | None] = {k: (1 + v) / (1 + done) for k, v in beyond.items()}
    note = f"p-values from {done} samples of the fitted law, each fitted again."
    return GoodnessOfFit(observed, p_values, done, note)


def _fits(plan: Any, result: Any) -> Callable[[Array], dict[Any, float]]:
    """All symbols' values at the maximum on drawn values."""
    from symmle.fitting.refits import Refits
    from symmle.fitting.solving import solve

    constants = {
        c: result.solution.values[c] for c in plan.declaration.constants if c in result.solution.values
    }
    numbers = {c: float(v) for c, v in constants.items()}
    start = {p: float(result.solution.values[p]) for p in plan.parameters}
    try:
        refits = Refits(plan, constants)
    except NotDerivedError:
        refits = None

    def again(values: Array) -> dict[Any, float]:
        if refits is not None:
            end = refits.maximum([([values], None, float(len(values)))], start, close=1e-6)
            if end is not None:
                return {**numbers, **end[0]}
        table = read_table(plan.model, values, None, constants, plan.summed)
        return {s: float(v) for s, v in solve(plan, table, constants).values.items()}

    return again


__all__ = ["GoodnessOfFit", "chi_square", "distances", "goodness_of_fit"]
