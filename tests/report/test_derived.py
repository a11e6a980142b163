"""What derive records, in print: the words of real derivations, and that their documents compile."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sympy import Expr, Symbol

from symmle import Model, derive
from symmle.report.html import mimebundle
from symmle.report.latex import document, write_latex
from symmle.report.terminal import write_terminal

pdflatex = shutil.which("pdflatex")

MODELS: dict[str, dict[str, Any]] = {
    "exponential": {
        "data": {"x": "[0, oo)"},
        "parameters": {"lam": "positive"},
        "density": "lam*exp(-lam*x)",
    },
    "gamma": {
        "data": {"x": "(0, oo)"},
        "parameters": {"alpha": "positive", "beta": "positive"},
        "density": "beta**alpha*x**(alpha - 1)*exp(-beta*x)/gamma(alpha)",
    },
    "four cells": {
        "data": {"x": "{1, 2, 3, 4}"},
        "parameters": {"theta": "(0, 1)"},
        "density": "Piecewise(((2 + theta)/4, Eq(x, 1)), ((1 - theta)/4, (Eq(x, 2) | Eq(x, 3))), (theta/4, True))",
    },
    "two samples": {
        "samples": [
            {"data": {"x": "{0..oo}"}, "density": "exp(-lam)*lam**x/factorial(x)"},
            {"data": {"y": "{0..oo}"}, "density": "exp(-lam*r)*(lam*r)**y/factorial(y)"},
        ],
        "parameters": {"lam": "positive", "r": "positive"},
    },
    "series": {
        "data": {"x": "(-oo, oo)"},
        "lags": {"x_prev": "x"},
        "parameters": {"phi": "real", "sigma": "positive"},
        "density": "exp(-(x - phi*x_prev)**2/(2*sigma**2))/(sigma*sqrt(2*pi))",
    },
}

PHRASES = {
    "exponential": [
        r"\hat{\lambda} = \frac{1}{\bar{x}}",
        r"\frac{d\ell}{d\lambda} = \frac{n}{\lambda}",
        "a global maximum",
    ],
    "gamma": [
        r"\hat{\beta} = \frac{\hat{\alpha}}{\bar{x}}",
        r"where $\hat{\alpha}$ solves the equation",
        r"\psi(\hat{\alpha})",
    ],
    "four cells": [
        r"n_1",
        r"$n_{2,3}$ denotes the number of observations with $x_i \in \{2,3\}$",
        r"\text{otherwise}",
    ],
    "two samples": [
        r"\hat{\lambda} &= \bar{x}",
        r"\hat{r} &= \frac{\bar{y}}{\bar{x}}",
        r"y_1, \dots, y_{n_y}",
        r"\log(x_i!)",
    ],
    "series": [r"x_{i-1}", "Conditionally on the first row", r"\sum_{i=1}^n x_i x_{i-1}"],
}


@cache
def derivation(name: str) -> Any:
    return derive(Model.from_dict({**MODELS[name], "name": name}), time_limit=30.0)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_said_of_real_derivations(name: str) -> None:
    text = re.sub(r"\s+", " ", write_latex(derivation(name)))
    for phrase in PHRASES[name]:
        assert phrase in text
    for code in ("Mean(", "Total(", "Count(", "Piecewise", "**"):
        assert code not in text


@pytest.mark.parametrize("name", MODELS)
def test_other_dialects_say_the_same(name: str) -> None:
    text = write_terminal(derivation(name))
    assert text.startswith(f"Maximum likelihood: {name}")
    assert all(f"\n{heading}\n" in text for heading in ("MODEL", "LIKELIHOOD", "SCORE", "ESTIMATE"))
    assert "\\" not in text
    page = mimebundle(derivation(name))["text/html"]
    assert all(f"<h4>{heading}</h4>" in page for heading in ("Model", "Likelihood", "Score", "Estimate"))
    assert "$" not in page


@pytest.mark.skipif(pdflatex is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("name", MODELS)
def test_real_documents_compile_and_keep_their_margins(name: str, tmp_path: Path) -> None:
    (tmp_path / "derivation.tex").write_text(document(derivation(name)), encoding="utf-8")
    command = [str(pdflatex), "-interaction=nonstopmode", "-halt-on-error", "derivation.tex"]
    run = subprocess.run(
        command, check=False, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120
    )
    assert run.returncode == 0, run.stdout[-2000:]
    log = (tmp_path / "derivation.log").read_text(errors="replace")
    assert max((float(w) for w in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)), default=0.0) <= 10.0


def test_the_parameters_of_a_written_estimate_wear_hats() -> None:
    closed: dict[Symbol, Expr] = derivation("two samples").estimator.closed
    assert set(map(str, closed)) == {"lam", "r"}
    text = write_latex(derivation("two samples"))
    estimate = text.split(r"\paragraph{Estimate.}")[1].split(r"\paragraph")[0]
    assert r"\hat{\lambda}" in estimate and r"\lambda" not in estimate.replace(r"\hat{\lambda}", "")
