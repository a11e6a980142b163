"""Laws and data sets that the tests of fits share: declarations by name, each derived once."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

from symmle import Derivation, Model, derive

POSITIVE, REAL, COUNTS = "(0, oo)", "(-oo, oo)", "{0..oo}"
DATA = Path(__file__).parent / "data"


def _law(support: str, density: str, **parameters: str) -> dict[str, Any]:
    return {"data": {"x": support}, "parameters": parameters, "density": density}


def _censored(density: str, survival: str, **parameters: str) -> dict[str, Any]:
    """d = 1: observed at x; d = 0: still alive at x."""
    return {
        "data": {"x": POSITIVE, "d": "{0, 1}"},
        "parameters": parameters,
        "density": f"({density})**d*({survival})**(1 - d)",
        "normalises": False,
    }


NORMAL = "exp(-(x - mu)**2/(2*sigma**2))/(sigma*sqrt(2*pi))"
LOGNORMAL = "exp(-(log(x) - mu)**2/(2*sigma**2))/(x*sigma*sqrt(2*pi))"
STUDENT = "gamma((nu + 1)/2)/(gamma(nu/2)*sqrt(nu*pi)*s)*(1 + ((x - m)/s)**2/nu)**(-(nu + 1)/2)"
GENERALISED_GAMMA = (
    "lam/(sigma*x*gamma(1/lam**2))*(1/lam**2)**(1/lam**2)"
    "*exp(((log(x) - mu)/sigma*lam - exp(lam*(log(x) - mu)/sigma))/lam**2)"
)

LAWS: dict[str, dict[str, Any]] = {
    "exponential": _law(POSITIVE, "rate*exp(-rate*x)", rate="positive"),
    "exponential from 0": _law("[0, oo)", "rate*exp(-rate*x)", rate="positive"),
    "gamma": _law(
        POSITIVE, "rate**shape*x**(shape - 1)*exp(-rate*x)/gamma(shape)", shape="positive", rate="positive"
    ),
    "Weibull": _law(
        POSITIVE,
        "shape/scale*(x/scale)**(shape - 1)*exp(-(x/scale)**shape)",
        shape="positive",
        scale="positive",
    ),
    "lognormal": _law(POSITIVE, LOGNORMAL, mu="real", sigma="positive"),
    "inverse Gaussian": _law(
        POSITIVE, "sqrt(lam/(2*pi*x**3))*exp(-lam*(x - mu)**2/(2*mu**2*x))", mu="positive", lam="positive"
    ),
    "generalised gamma": _law(POSITIVE, GENERALISED_GAMMA, mu="real", sigma="positive", lam="positive"),
    "Pareto": _law(
        POSITIVE, "shape*scale**shape/(x + scale)**(shape + 1)", shape="positive", scale="positive"
    ),
    "normal": _law(REAL, NORMAL, mu="real", sigma="positive"),
    "Student t": _law(REAL, STUDENT, m="real", s="positive", nu="positive"),
    "GEV": _law(
        REAL,
        "Piecewise((exp(-(1 + xi*(x - mu)/sigma)**(-1/xi))*(1 + xi*(x - mu)/sigma)**(-1/xi - 1)/sigma, "
        "1 + xi*(x - mu)/sigma > 0), (0, True))",
        mu="real",
        sigma="positive",
        xi="real",
    ),
    "logistic": _law(REAL, "exp(-(x - m)/s)/(s*(1 + exp(-(x - m)/s))**2)", m="real", s="positive"),
    "Cauchy": _law(REAL, "1/(pi*s*(1 + ((x - m)/s)**2))", m="real", s="positive"),
    "Cauchy location": _law(REAL, "1/(pi*(1 + (x - m)**2))", m="real"),
    "Laplace": _law(REAL, "exp(-Abs(x - m)/b)/(2*b)", m="real", b="positive"),
    "Laplace location": _law(REAL, "exp(-Abs(x - m))/2", m="real"),
    "Gumbel": _law(REAL, "exp(-(x - m)/s - exp(-(x - m)/s))/s", m="real", s="positive"),
    "uniform of length 1": _law("[theta, theta + 1]", "1", theta="real"),
    "shifted lognormal": _law(
        "(theta, oo)",
        "exp(-(log(x - theta) - mu)**2/(2*sigma**2))/((x - theta)*sigma*sqrt(2*pi))",
        theta="real",
        mu="real",
        sigma="positive",
    ),
    "shifted Weibull": _law(
        "(theta, oo)",
        "shape/scale*((x - theta)/scale)**(shape - 1)*exp(-((x - theta)/scale)**shape)",
        theta="real",
        shape="positive",
        scale="positive",
    ),
    "shifted exponential": _law("[theta, oo)", "exp(-(x - theta)/s)/s", theta="real", s="positive"),
    "Poisson": _law(COUNTS, "mu**x*exp(-mu)/factorial(x)", mu="positive"),
    "negative binomial, mean": _law(
        COUNTS,
        "gamma(x + size)/(gamma(size)*factorial(x))*(size/(size + mu))**size*(mu/(size + mu))**x",
        size="positive",
        mu="positive",
    ),
    "negative binomial": _law(
        COUNTS, "gamma(x + size)/(gamma(size)*factorial(x))*p**size*(1 - p)**x", size="positive", p="(0, 1)"
    ),
    "binomial, both": _law("{0..N}", "binomial(N, x)*p**x*(1 - p)**(N - x)", N="integer >= 1", p="(0, 1)"),
    "logistic regression": {
        "data": {"y": "{0, 1}"},
        "covariates": ["x"],
        "parameters": {"a": "real", "b": "real"},
        "density": "exp(y*(a + b*x))/(1 + exp(a + b*x))",
    },
    "censored exponential": _censored("rate*exp(-rate*x)", "exp(-rate*x)", rate="positive"),
    "censored gamma": _censored(
        "rate**shape*x**(shape - 1)*exp(-rate*x)/gamma(shape)",
        "uppergamma(shape, rate*x)/gamma(shape)",
        shape="positive",
        rate="positive",
    ),
    "censored Weibull": _censored(
        "shape/scale*(x/scale)**(shape - 1)*exp(-(x/scale)**shape)",
        "exp(-(x/scale)**shape)",
        shape="positive",
        scale="positive",
    ),
    "censored lognormal": _censored(
        LOGNORMAL, "erfc((log(x) - mu)/(sigma*sqrt(2)))/2", mu="real", sigma="positive"
    ),
    "censored normal": _censored(NORMAL, "erfc((x - mu)/(sigma*sqrt(2)))/2", mu="real", sigma="positive"),
    "censored log-logistic": _censored(
        "shape/scale*(x/scale)**(shape - 1)/(1 + (x/scale)**shape)**2",
        "1/(1 + (x/scale)**shape)",
        shape="positive",
        scale="positive",
    ),
}


@cache
def law(name: str) -> Derivation:
    """The derivation of a law."""
    return derive(Model.from_dict({**LAWS[name], "name": name}))


@cache
def column(name: str, which: str = "") -> list[float]:
    """One column of a data set in tests/data: the first, or the one that is named."""
    with (DATA / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [float(row[which or next(iter(row))]) for row in rows]
