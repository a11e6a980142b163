"""How a fit stands: stationary or at an edge, well or badly conditioned, one maximum or several; in sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from symmle.errors import SymmleError
from symmle.estimator import Kind, Scope
from symmle.fitting.inference import REGULAR_KINDS, gradient_norm_at, stationarity_on_face
from symmle.fitting.plan import plan_of

OPEN = "That there is no higher maximum is not proved."
SEVERAL = "Other points attain the same log-likelihood."
ROUNDING = 1e-15  # what a double does not show


@dataclass(frozen=True)
class Standing:
    """What is known of a point besides its height.

    Attributes
    ----------
    gradient_norm : float or None
        sqrt(s' V s): the score in standard errors, over the parameters that are not at an end of their domain.
    condition_number : float or None
        Of the observed information, scaled to a unit diagonal.
    at_end : tuple of str
        The parameters at an end of their domain.
    """

    gradient_norm: float | None
    condition_number: float | None
    at_end: tuple[str, ...]


def standing_of(result: Any) -> Standing:
    """Gradient norm, condition number and edges of a fit; None where the estimator is no root of the score."""
    plan, usual = plan_of(result.derivation), result.solution.usual
    table, values = (result.table, result.solution.values) if usual is None else (usual.table, usual.values)
    at_end = [p for p in plan.parameters if plan.is_at_edge(p, values[p], values)]
    names = tuple(map(str, at_end))
    if plan.estimator.kind not in REGULAR_KINDS:
        return Standing(None, None, names)
    try:
        if not result.boundary:
            covariance = result._covariance
            if covariance.here is None:
                return Standing(None, covariance.condition, names)
            norm = gradient_norm_at(plan, table, values, covariance.here)
            return Standing(norm, covariance.condition, names)
        free = [p for p in plan.parameters if p not in at_end]
        if not at_end or not free or plan.declaration.constraints:
            return Standing(None, None, names)
        return Standing(*stationarity_on_face(plan, table, values, free), names)
    except (SymmleError, ArithmeticError):
        return Standing(None, None, names)


def _members(name: str, found: Any, chosen: float) -> str:
    """An interval by its ends, of which the estimate is neither; else the members one by one."""
    if tuple(found) in ((-math.inf, math.inf), (0, math.inf)) and found[0] < chosen:
        return f"every `{name}`"
    if len(found) == 2 and found[0] < chosen < found[1]:
        return f"every `{name}` from {found[0]:.12g} to {found[1]:.12g}"
    return f"`{name}` = {', '.join(f'{v:.12g}' for v in found[:-1])} or {found[-1]:.12g}"


def sentences_of(result: Any) -> list[str]:
    """Where the maximum lies, how well it is determined, and whether it is the only one."""
    return [s for s in (_place(result), _uniqueness(result)) if s]


def _place(result: Any) -> str:
    standing: Standing = result._standing
    if standing.at_end:
        ends = " and ".join(f"`{name}`" for name in standing.at_end)
        where = f"{ends} {'are' if len(standing.at_end) > 1 else 'is'} at an end of the domain"
    elif result.boundary:
        where = "" if "edge" in result.solution.status else "The maximum is at an edge"
    else:
        where = "The estimates are inside the parameter space"
    numbers = []
    if standing.gradient_norm is not None:
        norm = standing.gradient_norm
        shown = f"{norm:.2g}" if norm >= ROUNDING else f"below {ROUNDING:g}"
        numbers.append(f"gradient norm {shown} (in standard errors)")
    if standing.condition_number is not None:
        numbers.append(f"condition number of the information {standing.condition_number:.3g}")
    text = "; ".join(part for part in (where, ", ".join(numbers)) if part)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _uniqueness(result: Any) -> str:
    solution = result.solution
    if result.unbounded:
        return ""
    if result.unique is True:
        proofs = [p.certificate for p in result.points if p.certificate is not None]
        for_all = any(c.kind is Kind.GLOBAL_MAXIMUM and c.scope is Scope.EVERY_SAMPLE for c in proofs)
        return f"It is the only maximum{', which is proved for every sample' if for_all else ''}."
    if result.unique is False:
        members = [_members(name, found, result.estimates[name]) for name, found in result.maximisers.items()]
        return f"The maximum is attained by {' and '.join(members)}." if members else SEVERAL
    if solution.listed:
        return ""
    if not solution.maxima:
        return OPEN
    count = len(solution.maxima)
    ends = "one maximum" if count == 1 else f"{count} distinct maxima"
    return f"{solution.starts} starts ended at {ends}. {OPEN}"


__all__ = ["OPEN", "Standing", "sentences_of", "standing_of"]
