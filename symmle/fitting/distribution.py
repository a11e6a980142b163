"""The fitted law as a frozen distribution: density, distribution function, quantiles, draws, moments."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import FiniteSet, Interval, Range, S, oo

from symmle.algebra import ends_of_range
from symmle.compiling.kernels import row_kernel
from symmle.errors import NotDerivedError
from symmle.fitting.cumulative import Cumulative, Steps
from symmle.fitting.plan import Plan

Array = NDArray[Any]
MOST_MEMBERS = 10_000_000


class FittedDistribution:
    """f(x; theta-hat) with the methods of a frozen SciPy distribution.

    Where there is no formula for F, it is found by quadrature (whole numbers: by summing) to about 13 digits.

    Raises
    ------
    NotDerivedError
        By `cdf`, `ppf`, `rvs` and moments of a model with several columns, covariates or samples.
    """

    def __init__(self, plan: Plan, values: dict[Any, Any], data: Array | None = None):
        self.name = plan.name
        self._plan = plan
        self._values = {s: float(v) for s, v in values.items()}
        self._data = data
        part = plan.declaration.samples[0]
        self._part, self._columns = part, part.all_columns
        self._log = plan.derivation.likelihood.log_density[0]
        self._alone = len(plan.declaration.samples) == 1 and len(self._columns) == 1
        domain = part.support[part.columns[0]]
        self.discrete = not isinstance(domain, Interval) and domain is not S.Reals

    def __repr__(self) -> str:
        inner = ", ".join(f"{p}={self._values[p]:.6g}" for p in self._plan.parameters)
        return f"FittedDistribution({self.name}: {inner})"

    # --- density ---

    @cached_property
    def _kernel(self) -> Callable[..., Any]:
        names = [s for s in self._values if self._log.has(s)]
        kernel = row_kernel([*self._columns, *names], [self._log])
        numbers = [self._values[s] for s in names]
        return lambda *columns: kernel(*columns, *numbers)[0]

    def support(self) -> tuple[float, float]:
        """The ends of the support at the estimates."""
        domain = self._part.support[self._part.columns[0]]
        if isinstance(domain, FiniteSet):
            members = [self._number(m) for m in domain.args]
            return min(members), max(members)
        if isinstance(domain, Range):
            lo, hi = ends_of_range(domain)
            return self._number(lo), self._number(hi)
        if isinstance(domain, Interval):
            return self._number(domain.start), self._number(domain.end)
        return (-math.inf, math.inf) if domain is not S.Naturals0 else (0.0, math.inf)

    def _number(self, bound: Any) -> float:
        if bound in (oo, -oo):
            return math.inf if bound == oo else -math.inf
        with np.errstate(all="ignore"):
            return float(bound.xreplace({s: S(v) for s, v in self._values.items() if bound.has(s)}))

    def logpdf(self, *columns: Any) -> Array:
        """log f at the values (one array for each column); -inf outside the support."""
        arrays = [np.asarray(c, dtype=float) for c in columns]
        if len(arrays) != len(self._columns):
            raise ValueError(f"{self.name}: expected {len(self._columns)} columns, got {len(arrays)}.")
        with np.errstate(all="ignore"):
            logs = np.asarray(self._kernel(*arrays), dtype=float)
        x = arrays[0]
        logs = np.broadcast_to(logs, np.broadcast(x, logs).shape)
        low, high = self.support() if self._alone else (-math.inf, math.inf)
        outside = (x < low) | (x > high)
        if self.discrete and self._alone:
            outside = outside | ~np.isin(x, self._members) if self._is_set else outside | (x != np.floor(x))
        return np.where(outside | np.isnan(logs), np.where(np.isnan(x), np.nan, -np.inf), logs)

    @property
    def _is_set(self) -> bool:
        return isinstance(self._part.support[self._part.columns[0]], FiniteSet)

    def pdf(self, *columns: Any) -> Array:
        """f at the values."""
        return np.exp(self.logpdf(*columns))

    logpmf, pmf = logpdf, pdf

    # --- distribution function ---

    @cached_property
    def _members(self) -> Array:
        domain = self._part.support[self._part.columns[0]]
        if isinstance(domain, FiniteSet):
            return np.sort(np.array([self._number(m) for m in domain.args]))
        low, high = self.support()
        if not math.isfinite(low):
            raise NotDerivedError(
                f"{self.name}: the distribution function of a law on all integers is not built."
            )
        if math.isfinite(high):
            return np.arange(low, high + 1)
        size, total = 1024, 0.0
        while size <= MOST_MEMBERS:
            members = np.arange(low, low + size)
            with np.errstate(all="ignore"):
                masses = np.exp(np.asarray(self._kernel(members), dtype=float))
            masses = np.where(np.isfinite(masses), masses, 0.0)
            total = math.fsum(masses)
            if total > 0.5 and masses[-size // 8 :].sum() < 1e-17 * total:
                return members
            size *= 4
        return members

    @cached_property
    def _cumulative(self) -> Cumulative | Steps:
        if not self._alone:
            raise NotDerivedError(
                f"{self.name}: distribution function, quantiles and draws need one data column without covariates; "
                "`pdf` and `logpdf` take every column."
            )
        if self.discrete:
            return Steps(self.pdf, self._members)
        places = (
            np.array([0.1, 0.5, 1.0, 2.0])
            if self._data is None
            else np.quantile(self._data, np.linspace(0, 1, 9))
        )
        return Cumulative(self.pdf, *self.support(), places)

    def cdf(self, x: Any) -> Array:
        """F(x) = P(X <= x)."""
        return self._cumulative.cdf(np.asarray(x, dtype=float))

    def sf(self, x: Any) -> Array:
        """1 - F(x), without cancellation in the upper tail."""
        return self._cumulative.sf(np.asarray(x, dtype=float))

    def logcdf(self, x: Any) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self.cdf(x))

    def logsf(self, x: Any) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self.sf(x))

    def ppf(self, q: Any) -> Array:
        """The smallest x with F(x) >= q."""
        return self._cumulative.ppf(np.asarray(q, dtype=float))

    def isf(self, q: Any) -> Array:
        return self.ppf(1 - np.asarray(q, dtype=float))

    def rvs(self, size: Any = 1, random_state: Any = None) -> Array:
        """Draws by inversion; the same for the same seed."""
        random = (
            random_state
            if isinstance(random_state, np.random.Generator)
            else np.random.default_rng(random_state)
        )
        return self.ppf(random.random(size))

    def interval(self, confidence: float) -> tuple[float, float]:
        """The central interval with this probability."""
        tail = (1 - confidence) / 2
        return float(self.ppf(tail)), float(self.ppf(1 - tail))

    def median(self) -> float:
        return float(self.ppf(0.5))

    def expect(self, g: Callable[[Array], Array] | None = None) -> float:
        """E g(X); nan where it does not exist or was not settled."""
        return self._cumulative.expect(g or (lambda x: x))

    def mean(self) -> float:
        return self.expect()

    def moment(self, order: int) -> float:
        return self.expect(lambda x: x**order)

    def var(self) -> float:
        centre = self.mean()
        if math.isnan(centre):
            return math.nan
        return self.expect(lambda x: (x - centre) ** 2)

    def std(self) -> float:
        return math.sqrt(self.var())

    def entropy(self) -> float:
        return -self.expect(lambda x: np.where(np.isfinite(self.logpdf(x)), self.logpdf(x), 0.0))


__all__ = ["FittedDistribution"]
