"""iminuit: the unbinned negative log-likelihood of a vectorised NumPy log density, MIGRAD, limits from the domains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from benchmark_laws import NUMPY, Array, Columns, Estimates, Law
from iminuit import Minuit
from iminuit.cost import UnbinnedNLL

LIMITS = {"positive": (0, None), "(0, 1)": (0, 1)}
ROWS_AT_ONE = 100_000  # MIGRAD stops at a distance that is absolute in l: finer for fewer rows


def contestant(law: Law) -> Callable[[Columns], Estimates] | None:
    def density(x: Array, *theta: float) -> Any:
        with np.errstate(all="ignore"):
            return law.log_density(NUMPY, x, *theta)

    def one(x: Array) -> list[float]:
        cost = UnbinnedNLL(x, density, log=True, name=["x", *law.parameters])
        minuit = Minuit(cost, *law.starting_point(x), name=list(law.parameters))
        for name, domain in law.parameters.items():
            if domain in LIMITS:
                minuit.limits[name] = LIMITS[domain]
        minuit.tol = 0.1 * min(1.0, len(x) / ROWS_AT_ONE)
        minuit.migrad()
        return [float(v) for v in minuit.values]

    def run(columns: Columns) -> Estimates:
        return dict(zip(law.parameters, one(columns["x"].astype(float, copy=False)), strict=True))

    def by_group(columns: Columns) -> Estimates:
        found = np.array([one(x) for x in columns["x"].reshape(law.groups, -1)])
        return dict(zip(law.parameters, found.T, strict=True))

    return by_group if law.groups else run
