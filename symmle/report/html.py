"""A derivation for notebooks: words in HTML or Markdown, mathematics for MathJax."""

from __future__ import annotations

import html
import re
from typing import Any

from symmle.report.blocks import Block, Display, Heading, Words
from symmle.report.latex import Latex, display, render, row_lines, with_legend
from symmle.report.story import blocks_of


class MathJax(Latex):
    r"""LaTeX within HTML: mathematics stands between \( and \), other words are escaped."""

    opening, closing = r"\(", r"\)"
    room = 44.0

    def plain(self, text: str) -> str:
        # MathJax must not find mathematics in a name
        return html.escape(text).replace("$", "<span>$</span>").replace("\\", "<span>\\</span>")


def _safe(text: str) -> str:
    """TeX within HTML: < and & are escaped, the browser gives them back to MathJax."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _words(text: str) -> str:
    r"""Words with the mathematics between \( and \) escaped for HTML."""
    return re.sub(r"\\\(.*?\\\)", lambda m: _safe(m.group(0)), text, flags=re.DOTALL)


def write_html(derivation: Any) -> str:
    """The derivation as HTML in which MathJax sets the mathematics."""
    dialect = MathJax()
    blocks = blocks_of(derivation, dialect)
    blocks = with_legend(blocks, dialect, render(blocks, dialect))
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            parts.append(f"<h4>{html.escape(block.title)}</h4>")
        elif isinstance(block, Words):
            note = re.sub(r"\$([^$<>]+)\$", r"\\(\1\\)", block.text)  # a legend's mathematics
            parts.append(f"<p>{_words(note)}</p>")
        else:
            parts.append(f"<div>{_safe(display(block, dialect))}</div>")
    return "\n".join(parts)


def estimate_latex(derivation: Any) -> str:
    r"""The estimate alone between $$: what `_repr_latex_` shows.

    Examples
    --------
    `$$\begin{aligned} \hat{\mu} &= \bar{x} \end{aligned}$$`
    """
    dialect = Latex()
    written = blocks_of(derivation, dialect)
    blocks = [b for b in _part(written, "Estimate") if isinstance(b, Display)]
    if not blocks:  # what is iterated, where the estimate is a limit
        blocks = [b for b in _part(written, "M-step") if isinstance(b, Display)]
    lines = [line for block in blocks for row in block.rows for line in row_lines(row, dialect)]
    if not lines:
        return r"$$\text{no estimate was derived}$$"
    lines = [line.rstrip(",.") for line in lines]
    return r"$$\begin{aligned} " + r" \\[0.5ex] ".join(lines) + r" \end{aligned}$$"


def _part(blocks: list[Block], title: str) -> list[Block]:
    """The blocks of the paragraph with this heading."""
    found: list[Block] = []
    within = False
    for block in blocks:
        if isinstance(block, Heading):
            within = block.title == title
        elif within:
            found.append(block)
    return found


def mimebundle(derivation: Any) -> dict[str, str]:
    """What `_repr_mimebundle_` returns: HTML with mathematics, the estimate in LaTeX, and plain text."""
    from symmle.report.terminal import write_terminal

    return {
        "text/html": write_html(derivation),
        "text/latex": estimate_latex(derivation),
        "text/plain": write_terminal(derivation),
    }


__all__ = ["MathJax", "estimate_latex", "mimebundle", "write_html"]
