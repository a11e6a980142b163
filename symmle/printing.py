"""Derivations and fits as the command line shows them: text for people, plain tables for machines."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Any

from symmle.derivation import Derivation
from symmle.errors import NotDerivedError
from symmle.estimator import Kind
from symmle.report.names import unicode_name
from symmle.report.story import names_of
from symmle.report.terminal import Terminal

WIDTH = 92


@dataclass(frozen=True)
class Claim:
    """What is known of the point that was found: "proved" or "open", and the sentence."""

    status: str
    kind: str
    theorem: str = ""
    scope: str = ""
    reason: str = ""
    conditional: bool = False

    @property
    def _holds_for(self) -> str:
        if self.scope != "every sample":
            return "for these data"
        return "for every sample that meets the conditions" if self.conditional else "for every sample"

    @property
    def sentence(self) -> str:
        if self.status == "proved":
            return f"Proved: {self.kind}, {self._holds_for} ({self.theorem})."
        if self.kind == Kind.LOCAL_MAXIMUM.value:
            return "Open: this is a local maximum; the likelihood is higher elsewhere."
        return "Open: that this is the global maximum is not proved."


def claim_of(derivation: Derivation, certificate: Any = None, unbounded: bool = False) -> Claim:
    """The strongest certificate of the derivation's points; or `certificate`, found for the data.

    `unbounded` says that the fit met larger likelihoods than that of its estimates.
    """
    if unbounded:
        return Claim("open", Kind.LOCAL_MAXIMUM.value)
    proofs = [p.certificate for p in derivation.estimator.points if p.certificate is not None]
    if certificate is not None:
        proofs.append(certificate)
    proofs.sort(key=lambda proof: proof.kind is not Kind.GLOBAL_MAXIMUM)
    if not proofs:
        reason = next((p.reason for p in derivation.estimator.points if p.reason), "")
        return Claim("open", Kind.UNDECIDED.value, reason=reason)
    best = proofs[0]
    conditional = bool(best.conditions or derivation.estimator.conditions)
    return Claim("proved", best.kind.value, best.theorem, best.scope.value, conditional=conditional)


def certificate_for_data(result: Any, seconds: float) -> Any:
    """A proof that the fit is the global maximum for its data, or the reason why there is none."""
    from symmle.fitting.isolate import isolate

    samples = [(sample.columns, sample.weights) for sample in result.table.samples]
    constants = {s: v for s, v in result.solution.values.items() if s in result.derivation.model.constants}
    return isolate(result.derivation, samples, result.estimates, seconds, constants)


# --- a derivation ---------------------------------------------------------------------------------


def derivation_text(derivation: Derivation) -> str:
    """The derivation for a terminal; where nothing came out closed, what was tried and why it was left."""
    lines = [str(derivation).rstrip("\n")]
    if derivation.estimator.kind == "numeric":
        lines += ["", "NO CLOSED FORM"]
        for attempt in derivation.attempts:
            sentence = f"{attempt.strategy}: {attempt.reason}"
            lines += textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def derivation_table(derivation: Derivation) -> dict[str, Any]:
    """Plain data: what was found as strings, and the whole derivation as `Derivation.from_dict` takes it."""
    estimator, claim = derivation.estimator, claim_of(derivation)
    return {
        "model": derivation.model.name,
        "normalisation": derivation.model.check.value,
        "kind": estimator.kind,
        "route": estimator.route,
        "closed": {str(p): str(e) for p, e in estimator.closed.items()},
        "remaining": [
            {"parameter": str(q.parameter), "zero": str(q.expression)} for q in estimator.remaining
        ],
        "conditions": [str(c.expression) for c in estimator.conditions],
        "maximum": _claim_table(claim),
        "derivation": derivation.to_dict(),
    }


def _claim_table(claim: Claim) -> dict[str, str]:
    table = {"status": claim.status, "kind": claim.kind, "theorem": claim.theorem, "scope": claim.scope}
    return {**table, "reason": claim.reason}


def formulas(derivation: Derivation) -> list[str]:
    """The estimator in lines: its closed part, and the equations that remain."""
    estimator, dialect = derivation.estimator, Terminal()
    if estimator.kind == "em":
        names = ", ".join(map(str, derivation.model.parameters))
        return [f"{names} by EM: symmle derive has the steps"]
    dialect.names = names_of(derivation.model.declaration)
    hats = [*estimator.closed, *(q.parameter for q in estimator.remaining)]
    lines = []
    with dialect.hatted(hats):
        for parameter, expression in estimator.closed.items():
            lines.append((dialect.write(parameter), "=", dialect.write(expression)))
        for equation in estimator.remaining:
            name = dialect.write(equation.parameter)
            lines.append((name, "solves", f"{dialect.write(equation.expression)} = 0"))
    found = []
    for name, verb, text in lines:
        whole = f"{name} {verb} {text}"
        found.append(
            whole if dialect.width(whole) <= WIDTH else f"{name} {verb} a longer formula: symmle derive"
        )
    return found


# --- a fit ----------------------------------------------------------------------------------------


def fit_table(result: Any, claim: Claim) -> dict[str, Any]:
    """Plain data: estimates, standard errors, log-likelihood, and what is known of the point."""
    covariance = result.covariance
    return {
        "model": result.derivation.model.name,
        "n": _plain(result.table.n),
        "estimates": {k: _plain(v) for k, v in result.estimates.items()},
        "standard_errors": _plain_all(result.standard_errors),
        "covariance": None
        if covariance is None
        else [[_plain(v) for v in row] for row in covariance.tolist()],
        "log_likelihood": _plain(result.log_likelihood),
        "aic": _plain(result.aic),
        "bic": _plain(result.bic),
        "method": result.method,
        "iterations": result.iterations,
        "status": result.status,
        "boundary": result.boundary,
        "unbounded": result.unbounded,
        "maximum": _claim_table(claim),
        "closed": {str(p): str(e) for p, e in result.derivation.estimator.closed.items()},
    }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain_all(values: dict[str, float] | None) -> dict[str, float | None] | None:
    return None if values is None else {k: _plain(v) for k, v in values.items()}


def fit_text(result: Any, claim: Claim, source: str) -> str:
    """A fit for a terminal."""
    from symmle.fitting.standing import OPEN

    model = result.derivation.model
    title = f"{model.name or 'the model'}, fitted to {source}"
    shown = [] if result._standing.at_end else formulas(result.derivation)  # an end is no root of an equation
    lines = [title, "", *("  " + line for line in shown), *([""] if shown else [])]
    lines += ["  " + line for line in _parameter_lines(result)]
    n, maximum, aic, bic = (
        f"{v:.10g}" for v in (result.table.n, result.log_likelihood, result.aic, result.bic)
    )
    lines += ["", f"  n = {n}   log-likelihood = {maximum}   AIC = {aic}   BIC = {bic}", ""]
    status = result.status.replace(OPEN, "").replace("  ", " ")  # the claim says that
    for sentence in (status, claim.sentence, claim.reason and f"({claim.reason})"):
        lines += textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)


def _parameter_lines(result: Any) -> list[str]:
    errors = result.standard_errors
    try:
        intervals = result.confidence_intervals()
    except NotDerivedError:
        intervals = None
    head = ("", "estimate", "standard error", "95 % interval (Wald)")
    rows = [head]
    for name, value in result.estimates.items():
        error = "-" if errors is None else f"{errors[name]:.6g}"
        interval = "-" if intervals is None else "{:.6g} to {:.6g}".format(*intervals[name])
        rows.append((unicode_name(name), f"{value:.10g}", error, interval))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return [
        f"{r[0]:<{widths[0]}}   {r[1]:>{widths[1]}}   {r[2]:>{widths[2]}}   {r[3]:>{widths[3]}}".rstrip()
        for r in rows
    ]
