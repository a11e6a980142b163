"""A fit with something unobserved: responsibilities, predictions, the trace, restarts, exact standard errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.compiling.data import Table, read_table
from symmle.errors import NotDerivedError
from symmle.fitting.distribution import FittedDistribution
from symmle.fitting.em import rows_for
from symmle.fitting.em_choice import LatentEnd
from symmle.fitting.em_conditional import rows_of_table
from symmle.fitting.inference import Covariance
from symmle.fitting.plan import plan_of
from symmle.fitting.result import FitResult
from symmle.fitting.standing import Standing
from symmle.latent.problem import Labelled

Array = NDArray[Any]


@dataclass(frozen=True)
class Restart:
    """How one start ended: "maximum", "flat" (several points), "edge", "collapsed" or "failed"."""

    start: str
    outcome: str
    log_likelihood: float
    estimates: dict[str, float]
    iterations: int
    note: str = ""


class LatentResult(FitResult):
    """A fit by EM.

    Attributes
    ----------
    trace : list of float
        The log-likelihood after each iteration of the best run (under "classification" the classification
        log-likelihood).
    iterates : list of dict
        The estimates after each of them.
    restarts : list of Restart
        How every start ended, the chosen one among them.
    """

    @property
    def _latent(self) -> LatentEnd:
        found: LatentEnd = self.solution.latent
        return found

    @property
    def _problem(self) -> Any:
        return self.derivation.estimator.em

    @property
    def is_labelled(self) -> bool:
        """Whether the latent variable is a label among finitely many."""
        return isinstance(self._problem, Labelled)

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        for compiled in ("_here", "distribution"):  # made again when asked for
            state.pop(compiled, None)
        return state

    @cached_property
    def _here(self) -> tuple[Any, list[float]]:
        """The rows and theta in the units in which the fit was made."""
        plan, usual = plan_of(self.derivation), self.solution.usual
        table, values = (self.table, self.solution.values) if usual is None else (usual.table, usual.values)
        theta = [float(values[p]) for p in plan.parameters]
        if self.is_labelled:
            return rows_for(plan, table, values, self._latent.labels), theta
        return rows_of_table(plan, table, values), theta

    @cached_property
    def log_likelihood(self) -> float:
        """l at the estimates: natural logarithm of the full density with its constants, labels that are known in it."""
        rows, theta = self._here
        height = rows.value(theta)
        usual = self.solution.usual
        if usual is not None:
            from symmle.compiling.kernels import CONTEXT

            return float(usual.log_likelihood(CONTEXT.mpf(height)))
        return float(height)

    @cached_property
    def _derivatives(self) -> tuple[float, Array, Array]:
        rows, theta = self._here
        found: tuple[float, Array, Array] = rows.derivatives(theta)
        return found

    @cached_property
    def _covariance(self) -> Covariance:
        if self._latent.assignment == "classification":
            return Covariance(
                None, None, "Standard errors: none, since this is no maximum of the likelihood."
            )
        if self.unique is False:
            return Covariance(None, None, "Standard errors: none, since the maximum is not one point.")
        if self._latent.held:
            return Covariance(
                None, None, "Standard errors: none, since the maximum is at kinks of the log-likelihood."
            )
        if self.boundary:
            reason = "Standard errors: none, since the maximum is on the edge of the parameter space."
            return Covariance(None, None, reason)
        plan = plan_of(self.derivation)
        information = -self._derivatives[2]
        if not np.isfinite(information).all() or (np.diag(information) <= 0).any():
            return Covariance(
                None, None, "Standard errors: none, since the observed information is not finite."
            )
        size = np.sqrt(np.diag(information))
        scaled = information / np.outer(size, size)
        values = np.linalg.eigvalsh(scaled)
        if values[0] <= 1e-12:
            reason = "Standard errors: none, since the observed information is not positive definite."
            return Covariance(None, None, reason, condition=math.inf)
        here = np.linalg.inv(scaled) / np.outer(size, size)
        usual = self.solution.usual
        slopes = np.ones(len(size))
        if usual is not None:
            slopes = np.array([float(usual.slope(p)) for p in plan.parameters])
        matrix = here * np.outer(slopes, slopes)
        errors = {str(p): float(v) for p, v in zip(plan.parameters, np.sqrt(np.diag(matrix)), strict=True)}
        return Covariance(matrix, errors, "", here, float(values[-1] / values[0]))

    @cached_property
    def _standing(self) -> Standing:
        covariance = self._covariance
        if covariance.here is None:
            return Standing(None, covariance.condition, ())
        gradient = self._derivatives[1]
        return Standing(
            float(math.sqrt(max(gradient @ covariance.here @ gradient, 0.0))), covariance.condition, ()
        )

    # --- the run ---

    @property
    def trace(self) -> list[float]:
        return [self._given(h) for h in self._latent.trail.heights]

    def _given(self, height: float) -> float:
        usual = self.solution.usual
        if usual is None or self._latent.assignment == "classification":
            return height
        from symmle.compiling.kernels import CONTEXT

        return float(usual.log_likelihood(CONTEXT.mpf(height)))

    def _named(self, theta: Any) -> dict[str, float]:
        plan, usual = plan_of(self.derivation), self.solution.usual
        values: dict[Any, Any] = dict(zip(plan.parameters, theta, strict=False))
        if usual is not None and values:
            from symmle.compiling.kernels import CONTEXT

            values = {p: CONTEXT.mpf(v) for p, v in values.items()}
            for change in reversed(usual.changes):
                values = change.forward(values)
        return {str(p): float(v) for p, v in values.items()}

    @property
    def iterates(self) -> list[dict[str, float]]:
        return [self._named(theta) for theta in self._latent.trail.points]

    @property
    def restarts(self) -> list[Restart]:
        return [
            Restart(e.start, e.kind, self._given(e.height), self._named(e.theta), e.steps, e.note)
            for e in self._latent.ends
        ]

    # --- the latent labels ---

    def _rows(self, data: Any) -> Any:
        plan = plan_of(self.derivation)
        values = self.solution.values
        if not self.is_labelled:
            raise NotDerivedError(f"{plan.name} has no labels: its latent variable is continuous.")
        if data is None:
            return rows_for(plan, self.table, values, self._latent.labels)
        constants = {c: values[c] for c in plan.declaration.constants if c in values}
        return rows_for(plan, read_table(plan.model, data, None, constants), values)

    @property
    def branches(self) -> tuple[str, ...]:
        """The labels, in the order of the columns of `responsibilities`."""
        return tuple(b.label for b in self._problem.branches)

    def responsibilities(self, data: Any = None) -> Array:
        """P(label | row) at the estimates: one row each, one column a branch; by default of the fitted data."""
        rows = self._rows(data)
        theta = [float(self.solution.values[p]) for p in plan_of(self.derivation).parameters]
        found: Array = rows.expectation(theta)[1].T
        return found

    def predict(self, data: Any = None) -> Array:
        """The likeliest branch of each row, by its label."""
        found: Array = np.array(self.branches)[self.responsibilities(data).argmax(axis=1)]
        return found

    @property
    def icl(self) -> float:
        """BIC + 2 sum_i w_i H(r_i), H the entropy of a row's responsibilities (Biernacki, Celeux and Govaert 2000)."""
        r = self.responsibilities()
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(r > 0, r * np.log(r), 0.0).sum(axis=1)
        weights = self.table.samples[0].weights
        return self.bic + 2 * float(entropy.sum() if weights is None else entropy @ weights)

    # --- the law ---

    @cached_property
    def distribution(self) -> Any:
        """The fitted mixture with `pdf`, `cdf`, `ppf`, `rvs`, ... as a frozen SciPy distribution has them."""
        sample = self.table.samples[0]
        plan = plan_of(self.derivation)
        made = FittedDistribution(plan, self.solution.values, next(iter(sample.columns.values()), None))
        if self.is_labelled:
            made.__dict__["_kernel"] = self._log_density
        return made

    @property
    def _log_density(self) -> Callable[..., Array]:
        plan, values = plan_of(self.derivation), self.solution.values
        theta = [float(values[p]) for p in plan.parameters]
        model = rows_for(plan, self.table, values).model
        constants = [float(values[c]) for c in model.constants]

        def log_density(*columns: Any) -> Array:
            arrays = np.broadcast_arrays(*(np.asarray(c, dtype=float) for c in columns))
            rows = model.on([a.ravel() for a in arrays], None, constants)
            found: Array = rows.row_heights(theta).reshape(arrays[0].shape)
            return found

        return log_density

    def sample(self, size: int = 1, seed: int | None = None) -> tuple[Array, Array]:
        """Draws from the fitted mixture and their labels, drawn given the values.

        Raises
        ------
        NotDerivedError
            Several columns or covariates.
        """
        random = np.random.default_rng(seed)
        x = np.atleast_1d(self.distribution.rvs(size, random))
        r = self.responsibilities(x)
        drawn = (np.cumsum(r, axis=1) < random.random((len(x), 1))).sum(axis=1)
        return x, np.array(self.branches)[np.minimum(drawn, r.shape[1] - 1)]

    def plot_trace(self, axes: Any = None) -> Any:
        """The log-likelihood over iterations as a matplotlib figure (an optional extra)."""
        try:
            from matplotlib.figure import Figure
        except ImportError as problem:
            raise NotDerivedError(
                "Pictures need matplotlib, which is not installed. Install it: pip install 'symmle[plot]'."
            ) from problem
        if axes is None:
            axes = Figure(figsize=(6, 3.5), layout="constrained").add_subplot()
        axes.plot(range(len(self.trace)), self.trace, marker="o", markersize=3)
        axes.set_xlabel("iteration")
        axes.set_ylabel("log-likelihood")
        return axes.figure


def result_of(derivation: Any, table: Table, solution: Any) -> FitResult:
    """The result of a fit, with what EM adds where it was run."""
    return (LatentResult if solution.latent is not None else FitResult)(derivation, table, solution)


__all__ = ["LatentResult", "Restart", "result_of"]
