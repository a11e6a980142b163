"""scipy.stats: the family's own `fit`, known locations and scales held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from benchmark_laws import Array, Columns, Estimates, Law
from scipy import stats

FITS: dict[str, Callable[[Array], Estimates]] = {}


def _names(*names: str) -> Callable[[Callable[[Array], Any]], Callable[[Array], Estimates]]:
    def named(found: Callable[[Array], Any]) -> Callable[[Array], Estimates]:
        return lambda x: dict(zip(names, map(float, found(x)), strict=True))

    return named


@_names("a", "b")
def gamma(x: Array) -> Any:
    a, _, scale = stats.gamma.fit(x, floc=0)
    return a, 1 / scale


@_names("k", "s")
def weibull(x: Array) -> Any:
    k, _, scale = stats.weibull_min.fit(x, floc=0)
    return k, scale


@_names("a", "b")
def beta(x: Array) -> Any:
    return stats.beta.fit(x, floc=0, fscale=1)[:2]


@_names("a", "k", "s")
def exponentiated_weibull(x: Array) -> Any:
    a, k, _, scale = stats.exponweib.fit(x, floc=0)
    return a, k, scale


@_names("m", "lam")
def inverse_gaussian(x: Array) -> Any:
    ratio, _, lam = stats.invgauss.fit(x, floc=0)
    return ratio * lam, lam


@_names("m", "s", "xi")
def gev(x: Array) -> Any:
    c, m, s = stats.genextreme.fit(x)
    return m, s, -c


@_names("m", "s", "nu")
def student(x: Array) -> Any:
    nu, m, s = stats.t.fit(x)
    return m, s, nu


FITS = {
    "gamma": gamma,
    "Weibull": weibull,
    "beta": beta,
    "exponentiated Weibull": exponentiated_weibull,
    "Gumbel": _names("m", "s")(stats.gumbel_r.fit),
    "logistic": _names("m", "s")(stats.logistic.fit),
    "inverse Gaussian": inverse_gaussian,
    "GEV": gev,
    "Student t": student,
    "Cauchy": _names("m", "s")(stats.cauchy.fit),
}  # no Kumaraswamy there; nbinom has whole-number r only


def contestant(law: Law) -> Callable[[Columns], Estimates] | None:
    if law.groups:
        return lambda columns: _by_group(columns, len(columns["x"]) // law.groups)
    found = FITS.get(law.name)
    return None if found is None else lambda columns: found(columns["x"])


def _by_group(columns: Columns, size: int) -> Estimates:
    fits = [gamma(x) for x in columns["x"].reshape(-1, size)]
    return {name: np.array([f[name] for f in fits]) for name in ("a", "b")}
