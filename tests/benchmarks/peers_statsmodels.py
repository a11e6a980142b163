"""statsmodels' GenericLikelihoodModel: log density of each row by NumPy, positive parameters as logarithms, BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from benchmark_laws import NUMPY, Columns, Estimates, Law
from statsmodels.base.model import GenericLikelihoodModel


def contestant(law: Law) -> Callable[[Columns], Estimates] | None:
    if law.groups:
        return None  # one model a group; minutes
    unit = [d == "(0, 1)" for d in law.parameters.values()]
    real = [d == "real" for d in law.parameters.values()]

    def inner(t: Any) -> list[float]:
        return [
            v if r else float(1 / (1 + np.exp(-v)) if u else np.exp(v))
            for v, r, u in zip(t, real, unit, strict=True)
        ]

    def outer(theta: list[float]) -> list[float]:
        return [
            v if r else float(np.log(v / (1 - v)) if u else np.log(v))
            for v, r, u in zip(theta, real, unit, strict=True)
        ]

    class Generic(GenericLikelihoodModel):  # type: ignore[misc]
        def nloglikeobs(self, params: Any) -> Any:
            with np.errstate(all="ignore"):
                return -law.log_density(NUMPY, self.endog, *inner(params))

    def run(columns: Columns) -> Estimates:
        x = columns["x"].astype(float, copy=False)
        model = Generic(x, np.ones((len(x), 1)), extra_params_names=list(law.parameters)[1:])
        found = model.fit(outer(law.starting_point(x)), method="bfgs", disp=0, skip_hessian=True)
        return dict(zip(law.parameters, inner(found.params), strict=True))

    return run
