"""What a likelihood without a maximum tends to: limiting estimates, its supremum, and the law in the limit.

A refusal says that l has no maximum on the data. Here the way to the supremum is followed (`limits_path`), and
the refusal then carries the limit of every parameter and of l, and names the law that the densities tend to.
"""

from __future__ import annotations

import math
from time import thread_time
from typing import Any

from sympy import Interval, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError
from symmle.fitting.faces import evaluate_at
from symmle.fitting.limits_condition import condition_at_end
from symmle.fitting.limits_laws import Limit
from symmle.fitting.limits_path import Path, Point, Trail
from symmle.fitting.limits_recognition import law_in_the_limit, single_value
from symmle.fitting.limits_search import SECONDS, best_trail, is_followed, limit_on_data, remoteness
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution, _what_is_wrong
from symmle.fitting.spikes import find_spike
from symmle.fitting.surface import Surface
from symmle.record import Condition

REMOTE = 14.0  # powers of e beyond the data's scales: where a root is looked at again
MARK = "log_likelihood"
NEXT_TO = 1e-3  # relatively: a climb that has ended so near to a supremum was on the way to it


def refine(plan: Plan, table: Table, constants: Point, refusal: NoMaximumError) -> NoMaximumError:
    """The refusal with the limit of every parameter, the supremum, and the law in the limit where there is one.

    `.supremum` is {parameter name: limit, ..., "log_likelihood": limit}, with "law" and "law_parameters" where the
    densities tend to a known simpler law.

    Raises
    ------
    NotConvergedError
        Climbs alone say that there is no maximum, and no way was found on which l rises to where they met it.
    """
    known = refusal.supremum or {}
    if refusal.undetermined:  # l is constant along a line: it has maxima
        return refusal
    if MARK in known and "estimates" not in known:
        return _with_law(plan, table, constants, refusal)
    if not is_followed(plan, table):
        return refusal
    found = attempt_within(SECONDS, limit_on_data, plan, table, constants, refusal)
    if isinstance(found, GaveUp) or found is None:
        if refusal.condition is None and "estimates" in known and not plan.is_proved:
            raise _open(plan, known)
        return refusal
    trail, limits = found
    height = float(trail.limit) if abs(trail.limit) > 1e-15 else 0.0
    limit = None
    if math.isfinite(height):
        answer = attempt_within(2.0, law_in_the_limit, plan, table, trail)
        limit = None if isinstance(answer, GaveUp) else answer
        if limit is not None and abs(limit.log_likelihood - height) > 1e-6 * (1 + abs(height)):
            limit = None
    supremum: dict[str, Any] = {**limits, MARK: height if limit is None else limit.log_likelihood}
    point = single_value(plan, table)
    failed = None
    if math.isfinite(height):
        made = attempt_within(3.0, condition_at_end, plan, table, trail)
        failed = None if isinstance(made, GaveUp) or made is None or not made[1] < 0 else made
    if limit is not None:
        supremum.update(law=limit.law, law_parameters=dict(limit.parameters))
    elif point is not None and (math.isinf(height) or abs(height) < 1e-9):
        supremum.update(law="point mass", law_parameters={"at": point})
        if math.isfinite(height):
            supremum[MARK] = 0.0
    said = _said(plan, refusal, trail, supremum, table, limit, failed)
    spike = attempt_within(3.0, _spike, plan, table, constants, trail) if math.isfinite(height) else ""
    if isinstance(spike, GaveUp) or not spike:
        return said
    text = f"{said} Elsewhere the likelihood is unbounded: it rises without end as {spike}."
    return NoMaximumError(text, condition=said.condition, supremum=said.supremum)


def _open(plan: Plan, known: dict[str, Any]) -> NotConvergedError:
    return NotConvergedError(
        f"{plan.name}: Newton's method leaves the scales of the data without coming to a maximum (log-likelihood "
        f"{known[MARK]:.10g} so far), and no way to a supremum was found: whether there is a maximum is open. "
        "Pass a start near the maximum.",
        result=known,
    )


def _spike(plan: Plan, table: Table, constants: Point, trail: Trail) -> str:
    """A path to an observation along which l rises without end, from the begin of the way."""
    begin = trail.points[0]
    estimate = [1.0 if p in trail.drivers else float(begin[p]) for p in plan.parameters]
    return find_spike(Surface(plan, table, constants), estimate, float(trail.limit))


def refuse_far_out(plan: Plan, table: Table, constants: Point, solution: Solution) -> None:
    """NoMaximumError for a root at a place so remote that l, on the way there and on, only rises to a limit.

    What rounding makes of a likelihood equation far out may have a zero; a maximum is where l falls after it.
    NotConvergedError where the way there cannot be followed in time.
    """
    if (
        plan.is_proved
        or solution.method == "closed form"
        or solution.near
        or solution.unbounded
        or solution.boundary
        or not is_followed(plan, table)
    ):
        return
    path = Path(plan, table, constants, thread_time() + SECONDS)
    if not path.is_complete or max(remoteness(path, p, solution.values[p]) for p in plan.parameters) < REMOTE:
        return
    met = path.height(solution.values)
    trail = attempt_within(SECONDS, best_trail, path, solution.values, met)
    if trail is None:
        return
    estimates = {str(p): float(solution.values[p]) for p in plan.parameters}
    known = {"estimates": estimates, MARK: float(met)}
    if isinstance(trail, GaveUp):  # nothing tells such a root from rounding
        raise _open(plan, known)
    raise NoMaximumError(f"{plan.name}: the likelihood has no maximum on this data.", supremum=known)


def without_maximum(
    plan: Plan, table: Table, constants: Point, problem: NotConvergedError
) -> NoMaximumError | None:
    """The refusal for climbs that all ended without a maximum, where l grows without bound along a way.

    Or where the highest of them has ended next to the supremum of a way that does not attain it. None where neither
    holds: then it stays open whether there is a maximum.
    """
    met = problem.result if isinstance(problem.result, dict) else None
    try:
        refusal = refine(plan, table, constants, NoMaximumError("", supremum=met))
    except NotConvergedError:
        return None
    found = refusal.supremum or {}
    if "estimates" in found or MARK not in found:
        return None
    if found[MARK] == math.inf:
        return refusal
    height = (met or {}).get(MARK)
    near = height is not None and abs(found[MARK] - height) <= NEXT_TO * (1 + abs(height))
    return refusal if near and _leaves_the_space(plan, found) else None


def _leaves_the_space(plan: Plan, limits: dict[str, Any]) -> bool:
    """Whether a parameter goes to an end that its domain does not hold."""
    for p in plan.parameters:
        domain, limit = plan.domain_of(p), limits.get(str(p))
        if limit is None or not isinstance(domain, Interval):
            continue
        if math.isinf(limit):
            return True
        for end, is_open in ((domain.start, domain.left_open), (domain.end, domain.right_open)):
            if (
                is_open
                and end.is_number
                and end.is_finite
                and abs(float(end) - limit) <= 1e-12 * (1 + abs(limit))
            ):
                return True
    return False


def _with_law(plan: Plan, table: Table, constants: Point, refusal: NoMaximumError) -> NoMaximumError:
    """A refusal that knows its supremum: the law in the limit, where one whole number grows without end."""
    known, estimator = dict(refusal.supremum or {}), plan.estimator
    growing = [p for p in estimator.searched if known.get(str(p)) == math.inf]
    if "law" in known or len(growing) != 1 or len(estimator.faces) != 1 or not math.isfinite(known[MARK]):
        return refusal
    closed = estimator.faces[0].estimator.closed
    if {*closed, *growing} != set(plan.parameters):
        return refusal
    trail = Trail({growing[0]: 1})
    for k in (6, 12, 18):
        at = {**constants, growing[0]: CONTEXT.mpf(10) ** k}
        trail.points.append({**at, **evaluate_at(plan, closed, table, at)})
    limit = attempt_within(2.0, law_in_the_limit, plan, table, trail)
    if (
        isinstance(limit, GaveUp)
        or limit is None
        or abs(limit.log_likelihood - known[MARK]) > 1e-6 * (1 + abs(known[MARK]))
    ):
        return refusal
    known.update({MARK: limit.log_likelihood, "law": limit.law, "law_parameters": dict(limit.parameters)})
    text = f"{str(refusal).rstrip('.')}; {_rises_to(limit)}."
    return NoMaximumError(text, condition=refusal.condition, supremum=known)


def _rises_to(limit: Limit) -> str:
    shown = " and ".join(f"{name} {value:.6g}" for name, value in limit.parameters.items())
    return (
        f"the log-likelihood rises to that of the {limit.law} law with {shown} "
        f"(log-likelihood {limit.log_likelihood:.10g}) and does not attain it"
    )


# --- in words ---


def _said(
    plan: Plan,
    refusal: NoMaximumError,
    trail: Trail,
    supremum: dict[str, Any],
    table: Table,
    limit: Limit | None = None,
    failed: tuple[Condition, float] | None = None,
) -> NoMaximumError:
    opening = f"{plan.name}: the likelihood has no maximum on this data{_what_is_wrong(plan, table)}"
    if refusal.condition is not None:
        opening = str(refusal).rstrip(".")
    # the parameters that go to an end of their domain
    going = [
        str(p)
        for p in plan.parameters
        if str(p) in supremum and _is_at_an_end(plan, p, supremum[str(p)], trail)
    ]
    ways = ", ".join(f"{name} -> {_number(supremum[name])}" for name in going)
    as_ = f"as {ways} " if ways else ""
    height = supremum[MARK]
    if math.isinf(height):
        text = f"{as_}the log-likelihood grows without bound"
    elif limit is not None:
        text = f"{as_}{_rises_to(limit)}"
    else:
        text = f"{as_}the log-likelihood rises to {height:.10g} and does not attain it"
    joined = ";" if refusal.condition is not None else ":"
    condition = refusal.condition
    if failed is not None:
        text += (
            f". It would pass the limit on the way if {failed[0].expression}; the left side is {failed[1]:.6g} on "
            "this data"
        )
        condition = condition or failed[0]
    return NoMaximumError(f"{opening}{joined} {text}.", condition=condition, supremum=supremum)


def _is_at_an_end(plan: Plan, p: Symbol, limit: float, trail: Trail) -> bool:
    if p in trail.drivers or math.isinf(limit):
        return True
    domain = plan.domain_of(p)
    ends = (domain.start, domain.end) if isinstance(domain, Interval) else ()
    return any(e.is_number and e.is_finite and abs(float(e) - limit) < 1e-9 * (1 + abs(limit)) for e in ends)


def _number(value: float) -> str:
    return {math.inf: "oo", -math.inf: "-oo"}.get(value, f"{value:.6g}")


__all__ = ["refine", "refuse_far_out", "without_maximum"]
