"""Fits side by side, and the likelihood-ratio test between nested ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import chi2

from symmle.errors import DataError


@dataclass(frozen=True)
class LikelihoodRatio:
    """2 (l of the larger model - l of the smaller), its degrees of freedom and asymptotic p-value."""

    statistic: float
    degrees_of_freedom: int
    p_value: float
    note: str = ""

    def __str__(self) -> str:
        text = (
            f"likelihood ratio {self.statistic:.6g} on {self.degrees_of_freedom} degrees of freedom, "
            f"p = {self.p_value:.4g}"
        )
        return f"{text}\n{self.note}" if self.note else text


def likelihood_ratio(smaller: Any, larger: Any) -> LikelihoodRatio:
    """The test of a model against one that contains it, both fitted to the same data.

    The chi-square law is asymptotic and holds for a regular smaller model inside the larger one; that it is nested is
    the caller's claim, and a smaller model that fits better refutes it.

    Raises
    ------
    DataError
        Different data, no difference in the number of parameters, or a smaller model with a higher likelihood.
    """
    freedom = larger.parameters_fitted - smaller.parameters_fitted
    if freedom <= 0:
        raise DataError(
            f"Expected the second fit to have more parameters than the first, got {larger.parameters_fitted} and "
            f"{smaller.parameters_fitted}. Pass the smaller model first."
        )
    if larger.table.n != smaller.table.n or larger.table.rows != smaller.table.rows:
        raise DataError(
            f"The fits are to different data: n = {smaller.table.n:.12g} and {larger.table.n:.12g}."
        )
    statistic = 2 * (larger.log_likelihood - smaller.log_likelihood)
    if statistic < -1e-6 * (1 + abs(larger.log_likelihood)):
        raise DataError(
            f"The smaller model has the higher log-likelihood ({smaller.log_likelihood:.10g} over "
            f"{larger.log_likelihood:.10g}): it is not nested in the larger one, or that fit is a local maximum."
        )
    note = ""
    if smaller.boundary or larger.boundary:
        note = (
            "A maximum is on an edge: the chi-square law does not hold there, the p-value is a rough guide."
        )
    statistic = max(statistic, 0.0)
    return LikelihoodRatio(statistic, freedom, float(chi2.sf(statistic, freedom)), note)


def side_by_side(fits: Mapping[str, Any] | Sequence[Any]) -> str:
    """A table of fits, the lowest AIC first."""
    named = dict(fits) if isinstance(fits, Mapping) else {_name(r, k): r for k, r in enumerate(fits, 1)}
    rows = sorted(named.items(), key=lambda pair: pair[1].aic)
    if not rows:
        raise DataError("Expected at least one fit to compare.")
    wide = max([5, *(len(k) for k in named)])
    head = f"{'model':<{wide}}  {'k':>2}  {'log-likelihood':>16}  {'AIC':>13}  {'BIC':>13}  {'delta':>10}  estimates"
    lines = [head]
    least = rows[0][1].aic
    for name, r in rows:
        estimates = ", ".join(f"{k} = {v:.6g}" for k, v in r.estimates.items())
        lines.append(
            f"{name:<{wide}}  {r.parameters_fitted:>2}  {r.log_likelihood:>16.8g}  {r.aic:>13.6f}  {r.bic:>13.6f}  "
            f"{r.aic - least:>10.4f}  {estimates}"
        )
    return "\n".join(lines)


def _name(result: Any, place: int) -> str:
    return getattr(result.derivation.model, "name", "") or f"model {place}"


__all__ = ["LikelihoodRatio", "likelihood_ratio", "side_by_side"]
