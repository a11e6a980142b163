"""A fit as plain data, JSON, a data frame, and a small table of HTML."""

from __future__ import annotations

import html
import json
import math
import re
import textwrap
from typing import Any

from symmle.errors import NotDerivedError, SymmleError
from symmle.fitting.plan import plan_of

WIDTH = 100


def table_of(result: Any) -> dict[str, Any]:
    """Plain dicts, lists, numbers and text."""
    covariance = result.covariance
    return {
        "model": plan_of(result.derivation).name,
        "n": result.table.n,
        "dropped": result.dropped,
        "estimates": dict(result.estimates),
        "standard_errors": None if result.standard_errors is None else dict(result.standard_errors),
        "covariance": None if covariance is None else [[float(v) for v in row] for row in covariance],
        "log_likelihood": result.log_likelihood,
        "parameters_fitted": result.parameters_fitted,
        "aic": result.aic,
        "aicc": result.aicc,
        "bic": result.bic,
        "caic": result.caic,
        "hqic": result.hqic,
        "method": result.method,
        "iterations": result.iterations,
        "status": result.status,
        "unique": result.unique,
        "boundary": result.boundary,
        "unbounded": result.unbounded,
        "gradient_norm": result.gradient_norm,
        "condition_number": result.condition_number,
        "maxima_met": list(result.maxima_met),
        "maximisers": {k: list(v) for k, v in result.maximisers.items()},
    }


def json_of(result: Any, **options: Any) -> str:
    """Strict JSON: infinities and nan as text."""
    return json.dumps(_finite(table_of(result)), allow_nan=False, **options)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def frame_of(result: Any) -> Any:
    """A pandas data frame, one row a parameter."""
    try:
        import pandas
    except ImportError as problem:
        raise NotDerivedError(
            "A data frame needs pandas, which is not installed. Install it: pip install 'symmle[frames]'."
        ) from problem
    errors = result.standard_errors
    columns: dict[str, list[float]] = {"estimate": list(result.estimates.values())}
    if errors is not None:
        intervals = result.confidence_intervals()
        columns["standard_error"] = [errors[k] for k in result.estimates]
        columns["lower"] = [intervals[k][0] for k in result.estimates]
        columns["upper"] = [intervals[k][1] for k in result.estimates]
    return pandas.DataFrame(columns, index=pandas.Index(list(result.estimates), name="parameter"))


def intervals_of(result: Any) -> dict[str, tuple[float, float]]:
    """95 % Wald intervals, or none."""
    if result.standard_errors is None:
        return {}
    try:
        found: dict[str, tuple[float, float]] = result.confidence_intervals()
    except SymmleError:
        return {}
    return found


def rows_of_summary(result: Any) -> list[tuple[str, str, str, str]]:
    """Parameter, estimate, standard error, interval as text; a dash where there is none."""
    errors, intervals = result.standard_errors, intervals_of(result)
    found = [("parameter", "estimate", "standard error", "95 % interval")]
    for name, value in result.estimates.items():
        error = "-" if errors is None else f"{errors[name]:.6g}"
        between = "{:.6g} to {:.6g}".format(*intervals[name]) if name in intervals else "-"
        found.append((name, f"{value:.9g}", error, between))
    return found


def heights_of(result: Any) -> str:
    return f"log-likelihood {result.log_likelihood:.10g}, AIC {result.aic:.6f}, BIC {result.bic:.6f}"


def title_of(result: Any) -> str:
    return f"{plan_of(result.derivation).name}: n = {result.table.n:.12g}, {result.method}"


def text_of(result: Any) -> str:
    """The summary for a terminal."""
    rows = rows_of_summary(result)
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    lines = [title_of(result)]
    for name, *cells in rows:
        padded = [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([f"{name:<{widths[0]}}", *padded]))
    return "\n".join([*lines, heights_of(result), *textwrap.wrap(result.status, WIDTH)])


def html_of(result: Any) -> str:
    """The summary as an HTML table."""
    head, *rows = [[html.escape(cell) for cell in row] for row in rows_of_summary(result)]
    left = ' style="text-align: left"'
    body = "".join(
        f"<tr><td{left}>{name}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>".replace(
            "<td>-<", "<td>&ndash;<"
        )
        for name, *cells in rows
    )
    status = re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(result.status))
    return (
        f"<table><caption>{html.escape(title_of(result))}</caption>"
        f"<thead><tr><th{left}>{head[0]}</th>{''.join(f'<th>{c}</th>' for c in head[1:])}</tr></thead>"
        f'<tbody>{body}</tbody></table><p style="max-width: 50em">{heights_of(result)}<br>{status}</p>'
    )


__all__ = ["frame_of", "html_of", "json_of", "table_of", "text_of"]
