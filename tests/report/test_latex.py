"""A derivation in LaTeX: what it says, that it compiles, that nothing runs into the margin."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report_examples import EXAMPLES

from symmle.report.latex import document, write_latex
from symmle.report.layout import Piece, lines_of, width

pdflatex = shutil.which("pdflatex")
needs_latex = pytest.mark.skipif(pdflatex is None, reason="pdflatex is not installed")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_derivation_is_written_the_same_every_time(name: str) -> None:
    assert write_latex(EXAMPLES[name]()) == write_latex(EXAMPLES[name]())


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        (
            "normal",
            [
                r"Let $x_1, \dots, x_n$ be independent observations with density",
                r"for $x \in \mathbb{R}$. The unknown parameters are $\mu \in \mathbb{R}$ and $\sigma > 0$.",
                r"L(\mu, \sigma) &= \prod_{i=1}^n f(x_i; \mu, \sigma)",
                r"\ell(\mu, \sigma) = -\frac{n}{2} \log(2 \pi) - n \log \sigma",
                "exponential family",
                r"\frac{\partial \ell}{\partial \sigma} &=",
                "every statistic equals its expected value",
                "is rejected: sigma would be negative",
                r"\hat{\mu} &= \bar{x}",
                r"exactly when the $x_i$ are not all equal",
                "full rank",
            ],
        ),
        (
            "weibull",
            [
                r"with $k$ held fixed",
                r"\hat{\lambda}(k) =",
                "Substituting, one equation is left",
                "< 0.",
                r"where $\hat{k}$ solves the equation",
                r"5 s \& was given up",
                "A rule of tomorrow",
            ],
        ),
        (
            "two_poisson",
            [
                r"$y_1, \dots, y_{n_y}$",
                "probability mass function",
                r"f_2(y \mid z; \lambda)",
                "has not been proved",
                r"\frac{d\ell}{d\lambda}",
            ],
        ),
        ("autoregression", [r"f(x_i \mid x_{i-1}; \phi)", "Conditionally on the first row"]),
        (
            "long_formulas",
            [r"$n_0$ denotes the number", r"\overline{x^2}", "the symmetric matrix with the entries"],
        ),
        ("unknown_functions", [r"\mathbf{1}\{0 \le x_i \le \theta_{\mathrm{max}}\}", r"Strange\_rule \#1"]),
        ("gamma_law", [r"$\psi$ denotes the digamma function and $\psi'$ its derivative"]),
    ],
)
def test_what_is_said(name: str, phrases: list[str]) -> None:
    text = re.sub(r"\s+", " ", write_latex(EXAMPLES[name]()))
    for phrase in phrases:
        assert phrase in text


def test_nothing_is_called_a_maximum_without_a_certificate() -> None:
    text = write_latex(EXAMPLES["gamma_law"]())
    assert "The maximum likelihood estimate" not in text
    assert "has not been proved" in text
    assert "has not been proved" not in write_latex(EXAMPLES["normal"]())


def test_no_oddities_of_code_are_left() -> None:
    for name, build in EXAMPLES.items():
        text = write_latex(build())
        for oddity in (r"\log{", r"\left(x \right)", "Mean(", "Total(", "Count(", "lambda_{", "{x}_{i}"):
            assert oddity not in text, (name, oddity)


@needs_latex
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_document_compiles_and_keeps_its_margins(name: str, tmp_path: Path) -> None:
    source = tmp_path / "derivation.tex"
    source.write_text(document(EXAMPLES[name]()), encoding="utf-8")
    command = [str(pdflatex), "-interaction=nonstopmode", "-halt-on-error", source.name]
    run = subprocess.run(
        command, check=False, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120
    )
    assert run.returncode == 0, run.stdout[-2000:]
    log = (tmp_path / "derivation.log").read_text(errors="replace")
    wide = [float(w) for w in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert max(wide, default=0.0) <= 10.0


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("x", "x + y"),
        (r"\frac{a + b}{c}", r"a + b + \frac{a + b}{c}"),
        (r"x_i^2", "x + i + 2"),
        (r"\sum_{i=1}^{n} x_i", r"\sum_{i=1}^{n} x_i y_i z_i"),
        (
            r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}",
            r"\begin{pmatrix} a + b & b + c + d \\ c & d \end{pmatrix}",
        ),
    ],
)
def test_widths_are_in_order(narrow: str, wide: str) -> None:
    assert 0 < width(narrow) < width(wide)


def test_lines_are_filled_and_not_overfilled() -> None:
    pieces = [Piece("x"), *(Piece("+ y") for _ in range(30))]
    lines = lines_of(pieces, 12.0)
    assert len(lines) > 2
    assert all(width(text) <= 12.0 for _, text in lines)
    assert " ".join(text for _, text in lines) == " ".join(p.text for p in pieces)
