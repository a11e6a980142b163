"""A fit as plain data, JSON, a data frame, and a small table of HTML."""

from __future__ import annotations

import html
import json
import math
from typing import Any

from symmle.errors import NotDerivedError, SymmleError
from symmle.fitting.plan import plan_of


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


def html_of(result: Any) -> str:
    """The summary as an HTML table."""
    errors = result.standard_errors
    try:
        intervals = result.confidence_intervals() if errors is not None else {}
    except SymmleError:
        intervals = {}
    rows = []
    for name, value in result.estimates.items():
        error = "&ndash;" if errors is None else f"{errors[name]:.6g}"
        between = f"{intervals[name][0]:.6g} to {intervals[name][1]:.6g}" if name in intervals else "&ndash;"
        rows.append(
            f"<tr><td>{html.escape(name)}</td><td>{value:.9g}</td><td>{error}</td><td>{between}</td></tr>"
        )
    title = html.escape(f"{plan_of(result.derivation).name}: n = {result.table.n:.12g}, {result.method}")
    last = f"log-likelihood {result.log_likelihood:.10g}, AIC {result.aic:.6f}, BIC {result.bic:.6f}"
    return (
        f"<table><caption>{title}</caption><thead><tr><th>parameter</th><th>estimate</th><th>standard error</th>"
        f"<th>95 % interval</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p>{last}<br>{html.escape(result.status)}</p>"
    )


__all__ = ["frame_of", "html_of", "json_of", "table_of"]
