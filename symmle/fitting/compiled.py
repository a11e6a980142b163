"""The compiled log-likelihood, score and Hessian of a derivation, for those who go on with their own programs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.compiling.data import read_table
from symmle.fitting.plan import plan_of
from symmle.fitting.surface_sums import ALL, LikelihoodSums, SumsOnRows, rows_of

Array = NDArray[Any]


class CompiledLikelihood:
    """l(theta), its gradient and its Hessian in doubles, by passes over cache-sized blocks of the rows.

    Parameters
    ----------
    derivation
        A derivation of a model with ordinary parameters.
    fixed
        Values of what the derivation holds fixed as a symbol.

    Examples
    --------
    >>> from sympy import Symbol, exp
    >>> from symmle import Model, derive
    >>> x, lam = Symbol("x", positive=True), Symbol("lambda", positive=True)
    >>> compiled = derive(Model(lam*exp(-lam*x), data=x)).compile()
    >>> at = compiled.on([1.0, 2.0, 3.0])
    >>> round(at.log_likelihood({"lambda": 0.5}), 6), at.score([0.5]).tolist()
    (-5.079442, [0.0])
    """

    def __init__(self, derivation: Any, fixed: Mapping[Any, Any] | None = None):
        self._plan = plan_of(derivation)
        self._constants = self._plan.constants(fixed)
        names = [c for c in self._plan.declaration.constants if c not in self._plan.parameters]
        self._model = LikelihoodSums(derivation.likelihood, self._plan.parameters, names)
        self._numbers = [float(self._constants[c]) for c in names]
        self.parameters = tuple(map(str, self._plan.parameters))

    def on(self, data: Any, weights: Any = None) -> LikelihoodOnData:
        """The functions on a data set, read and checked once; the statistics are summed once."""
        table = read_table(self._plan.model, data, weights, self._constants)
        sums = self._model.on(rows_of(table, self._plan.derivation.likelihood), self._numbers)
        return LikelihoodOnData(self.parameters, sums)

    def source(self) -> str:
        """The Python source of every compiled function."""
        found: list[str] = []
        for k, form in enumerate(self._model.forms, 1):
            for what, function in form.sums.sources():
                code = inspect.getsource(inspect.unwrap(function))
                found.append(f"# sample {k}, {what}\n{code}")
        found.append(
            f"# log-likelihood, score, Hessian from the sums\n{inspect.getsource(self._model.outer(ALL))}"
        )
        return "\n".join(found)


class LikelihoodOnData:
    """l and its derivatives on one data set; theta is a sequence in the order of `parameters`, or a dict by name.

    Attributes
    ----------
    parameters : tuple of str
    """

    def __init__(self, parameters: tuple[str, ...], sums: SumsOnRows):
        self.parameters = parameters
        self._sums = sums

    @property
    def passes(self) -> int:
        """How many passes over the rows were made."""
        return self._sums.passes

    def log_likelihood(self, theta: Sequence[float] | Mapping[str, float]) -> float:
        """l(theta); nan outside the parameter space."""
        return self._sums.value(self._ordered(theta))

    def score(self, theta: Sequence[float] | Mapping[str, float]) -> Array:
        """The gradient, shape (p,)."""
        return self._sums.derivatives(self._ordered(theta))[1]

    def hessian(self, theta: Sequence[float] | Mapping[str, float]) -> Array:
        """The matrix of second derivatives, shape (p, p)."""
        return self._sums.derivatives(self._ordered(theta))[2]

    def derivatives(self, theta: Sequence[float] | Mapping[str, float]) -> tuple[float, Array, Array]:
        """l, gradient and Hessian from one pass."""
        return self._sums.derivatives(self._ordered(theta))

    def _ordered(self, theta: Sequence[float] | Mapping[str, float]) -> list[float]:
        if isinstance(theta, Mapping):
            missing = [p for p in self.parameters if p not in theta]
            if missing or len(theta) != len(self.parameters):
                raise ValueError(
                    f"Expected values for {', '.join(self.parameters)}, got {', '.join(map(str, theta))}."
                )
            return [float(theta[p]) for p in self.parameters]
        values = [float(v) for v in np.asarray(theta, dtype=float).ravel()]
        if len(values) != len(self.parameters):
            raise ValueError(
                f"Expected {len(self.parameters)} values, for {', '.join(self.parameters)}; got {len(values)}."
            )
        return values


__all__ = ["CompiledLikelihood", "LikelihoodOnData"]
