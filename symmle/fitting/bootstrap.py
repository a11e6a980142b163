"""The bootstrap: the fit repeated on samples drawn from the fitted law, or with replacement from the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.compiling.data import read_table
from symmle.errors import NotDerivedError, SymmleError
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.refits import Refits, reweighted
from symmle.fitting.solution import as_doubles
from symmle.fitting.views import View, view_of
from symmle.progress import progress_on_terminal

Array = NDArray[Any]
RESAMPLES = 999
LEAST = 0.9  # share of the resamples that must have a maximum


@dataclass(frozen=True)
class Bootstrap:
    """Estimates of the resamples, one row each; `failed` of them had no maximum."""

    names: tuple[str, ...]
    estimates: Array
    failed: int
    kind: str

    @property
    def standard_errors(self) -> dict[str, float]:
        """Standard deviations over the resamples."""
        return dict(zip(self.names, map(float, self.estimates.std(axis=0, ddof=1)), strict=True))

    @property
    def covariance(self) -> Array:
        return np.atleast_2d(np.cov(self.estimates, rowvar=False))

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Percentile intervals."""
        tail = (1 - level) / 2
        low, high = np.quantile(self.estimates, [tail, 1 - tail], axis=0)
        return {k: (float(a), float(b)) for k, a, b in zip(self.names, low, high, strict=True)}


def bootstrap(
    result: Any,
    resamples: int = RESAMPLES,
    kind: str = "nonparametric",
    seed: int | None = 0,
    progress: bool | None = None,
    callback: Callable[[int, dict[str, float]], Any] | None = None,
) -> Bootstrap:
    """Estimates of `resamples` samples of the same size.

    Parameters
    ----------
    kind
        "nonparametric": rows drawn with replacement; "parametric": drawn from the fitted law.
    callback
        Called with the number of the resample and its estimates.

    Raises
    ------
    NotDerivedError
        More than a tenth of the resamples have no maximum, or the law cannot be drawn from.
    """
    if kind not in ("nonparametric", "parametric"):
        raise ValueError(f"Expected kind 'nonparametric' or 'parametric', got {kind!r}.")
    if resamples < 2:
        raise ValueError(f"Expected at least 2 resamples, got {resamples}.")
    view = view_of(result)
    if view is not None:
        return _in_usual_units(view, resamples, kind, seed, progress, callback)
    plan = plan_of(result.derivation)
    random = np.random.default_rng(seed)
    again = _again(plan, result, kind)
    found: list[list[float]] = []
    failed = 0
    with progress_on_terminal(progress, "bootstrap") as show:
        for k in range(resamples):
            if k % 50 == 0:
                show(f"bootstrap: {k} of {resamples}", k / resamples)
            try:
                estimates = again(random)
            except SymmleError:
                failed += 1
                continue
            found.append([estimates[str(p)] for p in plan.parameters])
            if callback is not None:
                callback(k, estimates)
    if len(found) < max(2, LEAST * resamples):
        raise NotDerivedError(
            f"{plan.name}: {failed} of {resamples} resamples have no maximum; a bootstrap of the others would mislead."
        )
    return Bootstrap(tuple(map(str, plan.parameters)), np.array(found), failed, kind)


def _in_usual_units(
    view: View,
    resamples: int,
    kind: str,
    seed: int | None,
    progress: bool | None,
    callback: Callable[[int, dict[str, float]], Any] | None,
) -> Bootstrap:
    def told(k: int, estimates: dict[str, float]) -> None:
        if callback is not None:
            callback(k, {name: view.value(name, v) for name, v in estimates.items()})

    found = bootstrap(view.result, resamples, kind, seed, progress, told)
    return replace(found, estimates=view.array(found.estimates))


def _again(plan: Plan, result: Any, kind: str) -> Callable[[np.random.Generator], dict[str, float]]:
    """The estimates of one resample."""
    from symmle.fitting.solving import solve

    constants = {
        c: result.solution.values[c] for c in plan.declaration.constants if c in result.solution.values
    }
    table = result.table
    try:
        refits = Refits(plan, constants)
    except NotDerivedError:
        refits = None
    start = {p: float(result.solution.values[p]) for p in plan.parameters}
    rows = None if refits is None else refits.rows_of(table)

    def refit(resampled: Any, read: Callable[[], Any]) -> dict[str, float]:
        if refits is not None:
            end = refits.maximum(resampled, start, close=1e-6)
            if end is not None:
                return {str(p): v for p, v in end[0].items()}
        return as_doubles(plan, solve(plan, read(), constants).values)

    def from_rows(random: np.random.Generator) -> dict[str, float]:
        assert rows is not None
        drawn = reweighted(rows, random)

        def read() -> Any:
            data: dict[str, Any] = {}
            weights: Any = {}
            for part, (columns, counts, _) in zip(plan.declaration.samples, drawn, strict=True):
                data.update({str(c): v for c, v in zip(part.all_columns, columns, strict=True)})
                weights[str(part.columns[0])] = counts
            weights = weights if len(drawn) > 1 else next(iter(weights.values()))
            return read_table(plan.model, data, weights, constants, plan.summed)

        return refit(drawn, read)

    def from_law(random: np.random.Generator) -> dict[str, float]:
        values = result.distribution.rvs(round(table.samples[0].n), random)
        drawn = [([values], None, float(len(values)))]
        return refit(drawn, lambda: read_table(plan.model, values, None, constants, plan.summed))

    if kind == "parametric":
        return from_law
    if rows is None:
        rows = refits_rows(plan, table)
    return from_rows


def refits_rows(plan: Plan, table: Any) -> Any:
    from symmle.fitting.surface_sums import rows_of

    return rows_of(table, plan.derivation.likelihood)


__all__ = ["Bootstrap", "bootstrap"]
