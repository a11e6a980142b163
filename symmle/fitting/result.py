"""The result of a fit: estimates at once, log-likelihood and standard errors when first read."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.compiling.data import Table
from symmle.estimator import Kind
from symmle.fitting.inference import Covariance, covariance_at
from symmle.fitting.plan import plan_of
from symmle.fitting.reparametrised import proof_on_data
from symmle.fitting.solution import Solution, as_doubles, log_likelihood_at
from symmle.fitting.spikes import spike_of
from symmle.fitting.standing import Standing, sentences_of, standing_of


class FitResult:
    """Estimates of one fit with what follows from the likelihood at them.

    Attributes
    ----------
    estimates : dict of str to float
    method : str
        "closed form", "bracketed root" or "newton".
    iterations : int
    unique, boundary, unbounded : bool
        The maximum is known to be one point; it sits on the edge; the likelihood is unbounded and
        the estimates are a local maximum.
    maximisers : dict of str to tuple
        Where several values of a parameter attain the maximum: the least and the greatest of an interval
        (or the members of a finite set); empty where the maximum is one point.
    """

    def __init__(
        self, derivation: Any, table: Table, solution: Solution, estimates: dict[str, float] | None = None
    ):
        self.derivation = derivation
        self.table = table
        self.solution = solution
        self.estimates: dict[str, float] = estimates or as_doubles(plan_of(derivation), solution.values)
        self.method = solution.method
        self.iterations = solution.iterations
        self.boundary = solution.boundary
        self.maximisers: dict[str, Any] = solution.maximisers

    @cached_property
    def unbounded(self) -> bool:
        """Whether the likelihood is unbounded; looked at when first read where a large sample was fitted."""
        solution = self.solution
        if solution.is_open and not solution.unbounded:
            solution.is_open = False
            path = spike_of(plan_of(self.derivation), self.table, solution)
            if path:
                solution.unbounded = True
                solution.status = (
                    f"{solution.status} The likelihood is unbounded: it rises without end as {path}. The estimates "
                    "are the largest interior local maximum that was found."
                )
        return solution.unbounded

    @cached_property
    def status(self) -> str:
        """What was done and found, where the maximum lies and whether it is the only one, in sentences."""
        sentences = sentences_of(self)  # before the solution's own, to which they may add
        parts = [self.solution.status, self._left_out, *sentences, self._covariance.reason]
        return " ".join(part for part in parts if part)

    @cached_property
    def _standing(self) -> Standing:
        return standing_of(self)

    @property
    def gradient_norm(self) -> float | None:
        """sqrt(s' V s) with the score s and the covariance V: how far a step of Newton's method would go on, in
        standard errors. Parameters at an end of their domain are left out; None where the maximum is no root of the
        score (order statistics, whole numbers, edges of the support).
        """
        return self._standing.gradient_norm

    @property
    def condition_number(self) -> float | None:
        """Of the observed information scaled to a unit diagonal; inf where it is singular, None where there is none."""
        return self._standing.condition_number

    @property
    def maxima_met(self) -> tuple[dict[str, Any], ...]:
        """The distinct maxima at which climbs ended, the highest first, as `estimates` and `log_likelihood`.

        Empty where no climbs were needed; a fit that was proved or that compared every root needs none.
        """
        return tuple({"estimates": dict(e), "log_likelihood": l} for e, l in self.solution.maxima)

    @property
    def dropped(self) -> int:
        """The rows that were left out as missing (see `missing` of `fit`) or masked."""
        return self.table.dropped

    @property
    def _left_out(self) -> str:
        dropped = self.table.dropped
        if not dropped:
            return ""
        return f"{dropped} {'row was' if dropped == 1 else 'rows were'} left out as missing or masked."

    @cached_property
    def log_likelihood(self) -> float:
        """l at the estimates: natural logarithm of the full density with its constants."""
        plan, usual = plan_of(self.derivation), self.solution.usual
        if usual is not None:
            return float(usual.log_likelihood(log_likelihood_at(plan, usual.table, usual.values)))
        return float(log_likelihood_at(plan, self.table, self.solution.values))

    @cached_property
    def _covariance(self) -> Covariance:
        plan = plan_of(self.derivation)
        usual = self.solution.usual
        if usual is not None:
            return covariance_at(plan, usual.table, usual.values, self.boundary, usual.slope)
        return covariance_at(plan, self.table, self.solution.values, self.boundary)

    @property
    def covariance(self) -> NDArray[Any] | None:
        """The inverse of the observed information, in the order of `estimates`; None where the theory gives none."""
        return self._covariance.matrix

    @property
    def standard_errors(self) -> dict[str, float] | None:
        """Square roots of the covariance's diagonal by name; None where the theory gives none."""
        return self._covariance.standard_errors

    @property
    def parameters_fitted(self) -> int:
        """Free parameters less equality constraints."""
        plan = plan_of(self.derivation)
        return len(plan.parameters) - len(plan.declaration.constraints)

    @property
    def aic(self) -> float:
        """2 p - 2 l (Akaike)."""
        return 2 * self.parameters_fitted - 2 * self.log_likelihood

    @property
    def aicc(self) -> float:
        """AIC + 2 p (p + 1)/(n - p - 1), for small samples; inf where n <= p + 1."""
        p, n = self.parameters_fitted, self.table.n
        return self.aic + 2 * p * (p + 1) / (n - p - 1) if n > p + 1 else math.inf

    @property
    def bic(self) -> float:
        """p log n - 2 l (Schwarz)."""
        return self.parameters_fitted * math.log(self.table.n) - 2 * self.log_likelihood

    @property
    def caic(self) -> float:
        """p (log n + 1) - 2 l (Bozdogan)."""
        return self.bic + self.parameters_fitted

    @property
    def hqic(self) -> float:
        """2 p log log n - 2 l (Hannan and Quinn); nan where n < 3."""
        n = self.table.n
        return (
            2 * self.parameters_fitted * math.log(math.log(n)) - 2 * self.log_likelihood
            if n >= 3
            else math.nan
        )

    @cached_property
    def unique(self) -> bool | None:
        """Whether the maximum is one point: proved for every sample, for this data, or None where open."""
        if self.solution.unique is not None:
            return self.solution.unique
        points = self.derivation.estimator.points
        proved = [p for p in points if p.certificate is not None and p.kind.value == "global maximum"]
        return True if len(proved) == 1 and len(points) == 1 else None

    @property
    def points(self) -> tuple[Any, ...]:
        """The stationary points of the derivation."""
        return tuple(self.derivation.estimator.points)

    @property
    def certificate(self) -> Any:
        """A proof that the estimates are the global maximum (for every sample, or for this data), or None."""
        return None if isinstance(self._proof, str) else self._proof

    @property
    def certificate_reason(self) -> str:
        """Why there is no certificate; '' where there is one."""
        return self._proof if isinstance(self._proof, str) else ""

    @cached_property
    def _proof(self) -> Any:
        for point in self.points:
            if point.certificate is not None and point.certificate.kind is Kind.GLOBAL_MAXIMUM:
                return point.certificate
        if self.boundary or self.unbounded:
            return "the maximum is on an edge, or the likelihood is unbounded"
        return proof_on_data(plan_of(self.derivation), self.table, self.solution.values)

    def confidence_intervals(
        self, level: float = 0.95, method: str = "wald", seed: int | None = 0
    ) -> dict[str, tuple[float, float]]:
        """Intervals for the parameters with asymptotic coverage `level`.

        Parameters
        ----------
        level : float
            Between 0 and 1.
        method : str
            "wald": estimate +- z * standard error on a scale without ends (the logarithm of a positive parameter,
            the logit of one in an interval), taken back; "plain": the same on the parameter's own scale;
            "profile": where the profile log-likelihood falls by half a chi-square quantile (should it meet a higher
            maximum, the result moves there); "bootstrap": percentiles of 999 resamples of the rows.
        seed : int, optional
            Of the bootstrap.

        Raises
        ------
        NotDerivedError
            No standard errors, or a parameter space on which the method is not defined.
        """
        from symmle.fitting.intervals_of_results import intervals

        return intervals(self, level, method, seed)

    def standard_errors_by(self, method: str = "observed", seed: int | None = 0) -> dict[str, float] | None:
        """Standard errors by "observed" or "expected" information, "sandwich" or "bootstrap".

        Raises
        ------
        NotDerivedError
            The expected information was not derived.
        """
        from symmle.fitting.intervals_of_results import errors_by

        return errors_by(self, method, seed)

    def derived(self, expression: Any, level: float = 0.95) -> Any:
        """g(theta-hat), by invariance, with the standard error of the delta method, sqrt(grad g' V grad g).

        Parameters
        ----------
        expression : Expr or str
            In the parameters (and constants).

        Returns
        -------
        Derived
            `.estimate`, `.standard_error` (None where there is none), `.interval`.
        """
        from symmle.fitting.intervals_of_results import derived

        return derived(self, expression, level)

    # --- after the fit --------------------------------------------------------------------------
    @cached_property
    def distribution(self) -> Any:
        """The fitted law with `pdf`, `cdf`, `ppf`, `rvs`, `mean`, ... as a frozen SciPy distribution has them."""
        from symmle.fitting.views import distribution_of

        return distribution_of(self)

    def bootstrap(self, resamples: int = 999, kind: str = "nonparametric", **options: Any) -> Any:
        """The fit repeated on resamples; see `symmle.fitting.bootstrap.bootstrap`."""
        from symmle.fitting.bootstrap import bootstrap

        return bootstrap(self, resamples, kind, **options)

    def goodness_of_fit(self, resamples: int = 199, **options: Any) -> Any:
        """KS, Cramer-von Mises and Anderson-Darling with bootstrap p-values; chi-square for counts."""
        from symmle.fitting.goodness import goodness_of_fit

        return goodness_of_fit(self, resamples, **options)

    def likelihood_ratio(self, larger: FitResult) -> Any:
        """The test of this model inside a larger one, fitted to the same data."""
        from symmle.fitting.comparing import likelihood_ratio

        return likelihood_ratio(self, larger)

    def plot(self, kinds: Any = None, figure: Any = None) -> Any:
        """Density, distribution function, QQ, PP and profiles as a matplotlib figure (an optional extra)."""
        from symmle.fitting.plots import plot

        return plot(self, kinds, figure)

    def summary(self) -> str:
        """The fit as a small table."""
        from symmle.fitting.tables import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        from symmle.fitting.tables import html_of

        return html_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: estimates, standard errors, covariance, log-likelihood, criteria, how it went."""
        from symmle.fitting.tables import table_of

        return table_of(self)

    def to_json(self, **options: Any) -> str:
        """`to_dict` as JSON; what is not finite is written as text."""
        from symmle.fitting.tables import json_of

        return json_of(self, **options)

    def to_frame(self) -> Any:
        """Estimates, standard errors and 95 % Wald intervals as a pandas data frame (an optional extra)."""
        from symmle.fitting.tables import frame_of

        return frame_of(self)

    def __repr__(self) -> str:
        inner = ", ".join(f"{k}={v:.9g}" for k, v in self.estimates.items())
        return f"FitResult({inner}; {self.method})"

    def __getstate__(self) -> dict[str, Any]:
        state = {k: v for k, v in self.__dict__.items() if k != "_view"}
        state["solution"] = _portable(self.solution)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.solution = _restored(self.solution)


def _portable(solution: Solution) -> Solution:
    """Numbers of a private mpmath context do not pickle; their text at full precision does."""
    copy = Solution(**solution.__dict__)
    copy.values = {s: v._mpf_ for s, v in solution.values.items()}
    if solution.usual is not None:
        values = {s: v._mpf_ for s, v in solution.usual.values.items()}
        copy.usual = replace(solution.usual, values=values)
    return copy


def _restored(solution: Solution) -> Solution:
    from symmle.compiling.kernels import CONTEXT

    solution.values = {s: CONTEXT.make_mpf(tuple(v)) for s, v in solution.values.items()}
    if solution.usual is not None:
        values = {s: CONTEXT.make_mpf(tuple(v)) for s, v in solution.usual.values.items()}
        solution.usual = replace(solution.usual, values=values)
    return solution


def as_array(values: dict[str, float]) -> NDArray[Any]:
    return np.array(list(values.values()))
