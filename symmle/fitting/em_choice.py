"""The best of the ends of EM, what is refused for want of one, and how the answer is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError
from symmle.fitting.em_kinks import kinks_of
from symmle.fitting.em_labels import in_order
from symmle.fitting.em_ridges import TIE
from symmle.fitting.em_run import Degenerate, End, Trail
from symmle.fitting.em_search import Search, distinct_ends
from symmle.fitting.em_spare import STEEP
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution
from symmle.latent.problem import Labelled

Array = NDArray[Any]
HIGHER = 1e-7  # by which an end that is no maximum must pass the maxima to count, relative to 1 + |l|


@dataclass
class LatentEnd:
    """What a result keeps of the run: the trail of the best one, and how every start ended."""

    trail: Trail
    ends: list[End] = field(default_factory=list)
    labels: Array | None = None
    assignment: str = "soft"
    held: tuple[int, ...] = ()  # parameters at kinks


def on_closed_end(plan: Plan, search: Search, end: End) -> End | None:
    """The end with its parameters put on the edges that they are next to; None where one of these is open."""
    theta, held = list(end.theta), set()
    for i, (p, c) in enumerate(zip(plan.parameters, search.runner.coordinates, strict=True)):
        domain = plan.domain_of(p)
        width = c.high - c.low if math.isfinite(c.high - c.low) else max(1.0, abs(theta[i]))
        for edge, is_open in ((c.low, domain.left_open), (c.high, domain.right_open)):
            if math.isfinite(edge) and abs(theta[i] - edge) < 1e-9 * width:
                if is_open:
                    return None
                theta[i] = edge
                held.add(i)
    theta, height = search.ridges.along(theta, held)
    if not held or not height >= end.height - TIE * (1 + abs(end.height)):
        return None
    end.trail.add(height, theta)
    return replace(end, theta=theta, height=height, kind="on the edge")


def best_of(
    plan: Plan,
    problem: Labelled,
    ends: Sequence[End],
    attained: Callable[[End], End | None] | None = None,
) -> End:
    # where l has no bound only a maximum with a definite information is an answer
    kinds = ("maximum",) if problem.unbounded else ("maximum", "flat")
    maxima = [e for e in ends if e.kind in kinds]
    edges = [e for e in ends if e.kind == "edge"]
    best = max(maxima, key=lambda e: e.height, default=None)
    over = max(edges, key=lambda e: e.height, default=None)
    _refuse_lower(plan, problem, ends)
    if best is not None:
        tied = [e for e in maxima if e.height >= best.height - TIE * (1 + abs(best.height))]
        best = next((e for e in tied if e.kind == "maximum"), best)
        if over is None or problem.unbounded or over.height <= best.height + TIE * (1 + abs(best.height)):
            return best
    if over is not None and attained is not None:
        held = attained(over)
        if held is not None:
            return held
    collapsed = [e for e in ends if e.kind == "collapsed"]
    if over is not None and not (problem.unbounded and collapsed):
        limit: dict[str, Any] = {str(p): v for p, v in zip(plan.parameters, over.theta, strict=True)}
        limit["log_likelihood"] = over.height
        inside = "" if best is None else f" (the highest maximum inside has {best.height:.10g})"
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no maximum on this data: it rises to {over.height:.10g} as "
            f"{over.note}, which is not attained{inside}. Fewer components may do.",
            supremum=limit,
        )
    flat = [e for e in ends if e.kind == "flat"]
    if problem.unbounded and flat:
        best = max(flat, key=lambda e: e.height)
        limit = {str(p): v for p, v in zip(plan.parameters, best.theta, strict=True)}
        raise NoMaximumError(
            f"{plan.name}: the likelihood has no bound ({problem.unbounded}), and the only stationary points that were "
            f"met are no isolated maxima: {best.note} (log-likelihood {best.height:.10g}). Take fewer components.",
            supremum={**limit, "log_likelihood": math.inf},
        )
    if collapsed:
        why = problem.unbounded or "a component contracts to a single point"
        raise NoMaximumError(
            f"{plan.name}: every one of {len(ends)} starts ran into a degenerate point, where a component rests on "
            f"fewer than two distinct rows or is a million times narrower than the data ({why}); no local maximum "
            "was met. Take fewer components, or ones that share their scale.",
        )
    raise _not_converged(plan, problem, max(ends, key=lambda e: e.height))


def _refuse_lower(plan: Plan, problem: Labelled, ends: Sequence[End]) -> None:
    """No maximum, edge or coincidence is an answer where EM met a higher point at which it did not come to rest."""
    open_ends = [e for e in ends if e.kind == "failed" and math.isfinite(e.height)]
    told = [e for e in ends if e.kind in ("maximum", "flat", "edge")]
    if not open_ends or not told:
        return
    highest, best = max(open_ends, key=lambda e: e.height), max(told, key=lambda e: e.height)
    # without a bound such a point may be on its way to a collapse, which the maxima are not held against
    isolated = any(e.kind == "maximum" for e in told)
    if problem.unbounded and isolated and not kinks_of(problem):
        return
    if highest.height > best.height + HIGHER * (1 + abs(best.height)):
        raise _not_converged(plan, problem, highest)


def _not_converged(plan: Plan, problem: Labelled, end: End) -> NotConvergedError:
    values = {str(p): v for p, v in zip(plan.parameters, end.theta, strict=False)}
    kinks = kinks_of(problem)
    if kinks:
        why = (
            f"{kinks}, where maxima lie and Newton's method cannot finish what EM begins, so that its end is not "
            "known to be a maximum. Smooth components, or one without the others, can be fitted"
        )
    else:
        why = (end.note or "EM ended without a maximum").rstrip(".")
    advice = "" if kinks else " Pass a start near the maximum."
    return NotConvergedError(
        f"{plan.name}: {why}; the best log-likelihood met is {end.height:.10g}.{advice}",
        result={"estimates": values, "log_likelihood": end.height},
    )


def on_all(whole: Search, between: Sequence[Search], best: End) -> End:
    """The maximum on a subsample carried to all rows: by Newton's method, or by EM where that does not climb."""
    theta = best.theta
    for search in between if whole.kinks is None else ():
        up = search.runner.climbed(theta)
        theta = theta if up is None else up.theta
    smooth = best.kind == "maximum" and whole.kinks is None
    up = whole.runner.climbed(theta, 1e-8) if smooth else None
    if up is not None and not whole.guard.collapsed(up.theta):
        best.trail.add(up.height, up.theta)
        found = replace(best, theta=list(up.theta), height=up.height, steps=best.steps + up.steps)
        found.gradient, found.condition = up.gradient, up.condition
        return found
    begun = End(list(theta), whole.runner.value(theta), "begun", best.start, trail=best.trail)
    return whole.finished(begun)


def solution_of(
    plan: Plan,
    problem: Labelled,
    whole: Search,
    best: End,
    ends: Sequence[End],
    constants: dict[Symbol, Any],
    labels: Array | None,
) -> Solution:
    values = {p: CONTEXT.mpf(v) for p, v in zip(plan.parameters, best.theta, strict=True)}
    found = Solution({**constants, **values}, "em", iterations=best.steps)
    met = distinct_ends([e for e in ends if e.kind == "maximum"])
    fallen = sum(e.kind == "collapsed" for e in ends)
    count = f"{len(ends)} {'start' if len(ends) == 1 else 'starts'}"
    said = [f"EM from {count} (the best: {best.start}), finished by Newton's method."]
    if fallen:
        said.append(
            f"{fallen} of the starts {'was' if fallen == 1 else 'were'} left at a collapsed component."
        )
    if problem.unbounded or fallen:
        found.unbounded = True
        why = problem.unbounded or "a component may contract to a point"
        said.append(f"A local maximum of an unbounded likelihood: {why.rstrip('.')}.")
    found.boundary = best.kind == "on the edge"
    if best.kind == "flat":
        found.unique = False
        said.append(f"The maximum is not one point: {best.note}. {_no_higher(best)}")
    found.status = " ".join(said)
    if best.held:
        names = ", ".join(str(plan.parameters[i]) for i in best.held)
        said[0] = (
            said[0].rstrip(".")
            + f" with {names} held at kinks, where the log-likelihood falls to both sides."
        )
        found.status = " ".join(said)
    found.latent = LatentEnd(best.trail, list(ends), labels, held=best.held)
    found.starts = len(ends)
    found.maxima = [
        ({str(p): float(v) for p, v in zip(plan.parameters, e.theta, strict=True)}, e.height) for e in met
    ]
    return found


def _no_higher(end: End) -> str:
    """What Lindsay's gradient says of other maxima, which is evidence alone: places are finitely many."""
    if end.looked is None or end.looked.slope > STEEP:
        return "That there is no higher one is not proved."
    return (
        f"That there is no higher one is checked, not proved: in none of {end.looked.places} places does a further "
        "component raise the log-likelihood (Lindsay's gradient)."
    )


def classified(
    plan: Plan,
    whole: Search,
    begun: Sequence[End],
    constants: dict[Symbol, Any],
    labels: Any,
) -> Solution:
    """Maximum of sum_i max_j log w_j f_j(x_i): no maximum of the likelihood, and called so."""
    ends = []
    for end in begun:
        if end.kind != "begun":
            ends.append(end)
            continue
        trail = Trail()
        try:
            theta = whole.runner.classified(end.theta, 500, trail)
        except Degenerate:
            ends.append(replace(end, kind="collapsed"))
            continue
        kind = "collapsed" if whole.guard.collapsed(theta) else "classification"
        ends.append(End(theta, trail.heights[-1], kind, end.start, trail.steps, trail=trail))
    good = [e for e in ends if e.kind == "classification"]
    if not good:
        raise NoMaximumError(f"{plan.name}: under hard assignment every start ends at a collapsed component.")
    best = max(good, key=lambda e: e.height)
    if labels is None:
        best.theta = in_order(whole.exchange, whole.weights, best.theta, whole.runner.rows.constants)
    values = {p: CONTEXT.mpf(v) for p, v in zip(plan.parameters, best.theta, strict=True)}
    found = Solution({**constants, **values}, "classification maximum likelihood", iterations=best.steps)
    found.status = (
        f"Classification maximum likelihood: each row belongs to its likeliest branch (classification log-likelihood "
        f"{best.height:.10g}). This is not the maximum of the likelihood."
    )
    found.latent = LatentEnd(best.trail, list(ends), labels, assignment="classification")
    return found


__all__ = ["LatentEnd", "best_of", "classified", "on_all", "on_closed_end", "solution_of"]
