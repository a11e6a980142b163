"""A derivation in a notebook and in a terminal."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from report_examples import EXAMPLES
from sympy import S, Symbol, exp

from symmle import Mixture, Model, derive
from symmle.report.html import estimate_latex, mimebundle, write_html
from symmle.report.terminal import write_terminal


class Balance(HTMLParser):
    """Every tag that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_bundle_of_a_notebook(name: str) -> None:
    bundle = mimebundle(EXAMPLES[name]())
    assert set(bundle) == {"text/html", "text/latex", "text/plain"}
    page = Balance()
    page.feed(bundle["text/html"])
    assert page.open == []
    assert bundle["text/html"].count(r"\(") == bundle["text/html"].count(r"\)")
    assert bundle["text/latex"].startswith("$$") and bundle["text/latex"].endswith("$$")


def test_signs_of_html_are_escaped_within_mathematics() -> None:
    page = write_html(EXAMPLES["long_formulas"]())
    assert r"\(0 &lt; a &lt; 1\)" in page
    assert not re.search(r"<(?!/?(p|h4|div|span)\b)", page)


def test_the_short_form_is_the_estimate() -> None:
    text = estimate_latex(EXAMPLES["normal"]())
    assert text.startswith(r"$$\begin{aligned} \hat{\mu} &= \bar{x}")
    assert "no estimate" in estimate_latex(EXAMPLES["unknown_functions"]())


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_terminal_shows_no_code(name: str) -> None:
    text = write_terminal(EXAMPLES[name]())
    for oddity in ("Mean(", "Total(", "Count(", "\\", "**", "polygamma", "$ "):
        assert oddity not in text
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("    "))


def test_the_normal_law_in_a_terminal() -> None:
    text = write_terminal(EXAMPLES["normal"]())
    for line in (
        "L(μ, σ) = ∏ f(xᵢ; μ, σ)",
        "ℓ(μ, σ) = −(n/2) log(2 π) − n log σ − (1/(2 σ²)) Σ (xᵢ − μ)²",
        "μ̂ = x̄",
        "σ̂ = √((1/n) Σ (xᵢ − x̄)²)",
        "the xᵢ are not all equal",
    ):
        assert line in text


@pytest.mark.parametrize(
    "centres, weighted", [(("mu",), False), (("mu_1", "mu_2"), True)], ids=["a law", "a mixture of two"]
)
def test_what_a_quantile_is_stands_below(centres: tuple[str, ...], weighted: bool) -> None:
    """With weights it is a matter of their sums, no place in the ordered sample."""
    x, s = Symbol("x", real=True), Symbol("sigma", positive=True)
    laws = [exp(-abs(x - Symbol(c, real=True)) / s) / (2 * s) for c in centres]
    model = Mixture(laws, data={x: S.Reals}) if weighted else Model(laws[0], data=x)
    shown = " ".join(str(derive(model)).split())
    assert ("share p of the weight lies" in shown) == weighted
    assert ("at place ⌈n/2⌉" in shown) != weighted
