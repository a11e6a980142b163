"""What a likelihood without a maximum tends to: limiting estimates, its supremum, and the law in the limit.

A refusal says that l has no maximum on the data. Here the way to the supremum is followed (`limits_path`), and
the refusal then carries the limit of every parameter and of l, and names the law that the densities tend to.
"""

from __future__ import annotations

import math
from time import thread_time
from typing import Any

import numpy as np
from sympy import Interval, Range, Set, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.data import Sample, Table
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.compiling.supports import is_discrete
from symmle.errors import NoMaximumError, NotConvergedError, SymmleError
from symmle.fitting.limits_laws import Law, Limit, binomial_of, recognise, uniform_on
from symmle.fitting.limits_path import Path, Point, Trail, limit_of
from symmle.fitting.plan import Plan

SECONDS = 5.0
MOST_ROWS = 400  # distinct rows that are followed at 240 bits
PROBES = 24
MARK = "log_likelihood"


def refine(plan: Plan, table: Table, constants: Point, refusal: NoMaximumError) -> NoMaximumError:
    """The refusal with the limit of every parameter, the supremum, and the law in the limit where there is one.

    `.supremum` is {parameter name: limit, ..., "log_likelihood": limit}, with "law" and "law_parameters" where the
    densities tend to a known simpler law. What cannot be followed in a few seconds is left as it is.
    """
    known = refusal.supremum or {}
    if MARK in known and "estimates" not in known:
        return refusal
    if not _is_followed(plan, table):
        return refusal
    found = attempt_within(SECONDS, _limit, plan, table, constants, refusal)
    if isinstance(found, GaveUp) or found is None:
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
    point = _single_value(plan, table)
    if limit is not None:
        supremum.update(law=limit.law, law_parameters=dict(limit.parameters))
    elif point is not None and (math.isinf(height) or abs(height) < 1e-9):
        supremum.update(law="point mass", law_parameters={"at": point})
        if math.isfinite(height):
            supremum[MARK] = 0.0
    return _said(plan, refusal, trail, supremum)


def _is_followed(plan: Plan, table: Table) -> bool:
    declaration = plan.declaration
    latent = declaration.latent or any(part.components for part in declaration.samples)
    if latent or declaration.constraints or len(plan.parameters) > 5 or plan.estimator.faces:
        return False
    return all(_distinct(sample) <= MOST_ROWS for sample in table.samples)


def _distinct(sample: Sample) -> int:
    stacked = np.column_stack(list(sample.columns.values()))
    return len(np.unique(stacked, axis=0))


# --- the way ---


def _limit(
    plan: Plan, table: Table, constants: Point, refusal: NoMaximumError
) -> tuple[Trail, dict[str, float]] | None:
    """The way along which l rises highest, and the limits of the parameters."""
    path = Path(plan, table, constants, thread_time() + SECONDS)
    if not path.is_complete:
        return None
    start = _farthest(plan, table, constants, refusal)
    met = path.height({**constants, **start}) if start else -CONTEXT.inf
    best = _best_trail(path, start, met) if start else None
    if best is None:  # every end of every domain, from the middle of the data's scales
        start = {p: c.value(CONTEXT.mpf(0)) for p, c in path.coordinates.items()}
        best = _highest(path, [(p, side) for p in plan.parameters for side in (-1, 1)], start, CONTEXT.inf)
        if best is None or _falls_short(best, met):
            return None
    limits = {str(p): limit_of(path, best, p) for p in plan.parameters}
    return best, {p: v for p, v in limits.items() if v is not None}


def _best_trail(path: Path, start: Point, met: Any) -> Trail | None:
    """The highest trail from where a climb has ended: its remotest parameters are sent on."""
    order = sorted(path.plan.parameters, key=lambda p: -_remoteness(path, p, start[p]))
    ways = [(p, 1 if path.coordinates[p].at(start[p]) > 0 else -1) for p in order[:3]]
    best = _highest(path, ways, start, met)
    return None if best is None or _falls_short(best, met) else best


def _highest(path: Path, ways: list[tuple[Symbol, int]], start: Point, enough: Any) -> Trail | None:
    best: Trail | None = None
    for p, side in ways:
        trail = path.follow({p: side}, start)
        if trail is None or CONTEXT.isnan(trail.limit):
            continue
        if best is None or trail.limit > best.limit:
            best = trail
        if not _falls_short(best, enough):
            break
    return best


def _falls_short(trail: Trail, met: Any) -> bool:
    """Whether a trail ends below a height that was met elsewhere."""
    if CONTEXT.isinf(trail.limit):
        return False
    return bool(CONTEXT.isinf(met) and met > 0) or trail.limit < met - CONTEXT.mpf(1e-7) * (1 + abs(met))


def _remoteness(path: Path, p: Symbol, value: Any) -> float:
    """How far out a value is: in powers of e beyond the scales of the data."""
    c = path.coordinates[p]
    u = c.at(value)
    if c.is_line:
        return float(CONTEXT.log(1 + abs(u) / path.largest))
    if c.is_interval:
        return float(abs(u))
    u = u if CONTEXT.isfinite(c.low) else -u
    return float(max(u - CONTEXT.log(path.largest), CONTEXT.log(path.smallest) - u, 0))


def _farthest(plan: Plan, table: Table, constants: Point, refusal: NoMaximumError) -> Point | None:
    """The point that the refusal met farthest out; where it names none, the one that the score leads to."""
    found = _met(plan, refusal)
    if found is not None:
        return found
    from symmle.fitting.bracket import solve_one
    from symmle.fitting.newton import solve_several

    solve = solve_one if len(plan.parameters) == 1 else solve_several
    try:
        return {p: solve(plan, table, constants, checked=True).values[p] for p in plan.parameters}
    except NotConvergedError as problem:
        met = _met(plan, problem)
    except NoMaximumError as problem:
        met = _met(plan, problem)
    except SymmleError:
        met = None
    if met is not None or len(plan.parameters) == 1 or len(plan.left) != 1:
        return met
    try:
        return {p: solve_one(plan, table, constants, checked=True).values[p] for p in plan.parameters}
    except NoMaximumError as problem:
        return _met(plan, problem)
    except SymmleError:
        return None


def _met(plan: Plan, problem: Any) -> Point | None:
    known = getattr(problem, "supremum", None) or getattr(problem, "result", None)
    estimates = known.get("estimates") if isinstance(known, dict) else None
    if not isinstance(estimates, dict) or set(estimates) != {str(p) for p in plan.parameters}:
        return None
    if any(math.isnan(v) for v in estimates.values()):
        return None
    return {p: CONTEXT.mpf(estimates[str(p)]) for p in plan.parameters}


# --- the law in the limit ---


def law_in_the_limit(plan: Plan, table: Table, trail: Trail) -> Limit | None:
    """The simpler law to whose log density those on the way tend at every probe, where there is one."""
    declaration = plan.declaration
    if len(declaration.samples) != 1:
        return None
    part = declaration.samples[0]
    if len(part.columns) != 1 or part.given:
        return None
    (column,) = part.columns
    sample = table.sample_of(part.all_columns)
    rows = sample.columns[column]
    if sample.minimum[column] == sample.maximum[column]:
        return None
    weights = np.ones(len(rows)) if sample.weights is None else sample.weights
    support = part.support[column]
    discrete = is_discrete(support)
    probes = _probes(rows, support, discrete)
    opened = plan.derivation.likelihood.log_density[0]
    names = sorted(opened.free_symbols - {column}, key=str)
    kernel = scalar_kernel([column, *names], [opened])
    last = len(trail.points) - 1
    approached = []
    for k in (last // 2, last):
        with LOCK:
            approached.append(
                np.array([_log(kernel, x, [trail.points[k][n] for n in names]) for x in probes])
            )
    return recognise(rows, weights, discrete, probes, approached, _laws_of(support))


def _log(kernel: Any, x: float, values: list[Any]) -> float:
    try:
        found = CONTEXT.convert(kernel(CONTEXT.mpf(x), *values)[0])
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        return math.nan
    return math.nan if isinstance(found, CONTEXT.mpc) else float(found)


def _probes(rows: Any, support: Set, discrete: bool) -> Any:
    """Observations, and points of the support between and beside them."""
    distinct = np.unique(rows)
    some = distinct[np.linspace(0, len(distinct) - 1, min(len(distinct), PROBES)).astype(int)]
    low, high = float(distinct[0]), float(distinct[-1])
    width = high - low
    if discrete:
        beside = (
            np.arange(low - 3, high + 6)
            if width < 60
            else np.round(np.linspace(low, high + width / 4, PROBES))
        )
    else:
        beside = np.linspace(low - width / 3, high + width / 2, PROBES)
    inside = [x for x in beside if support.contains(_exact(x, discrete)) == True]  # noqa: E712 - a SymPy truth value
    return np.unique(np.concatenate([some, np.array(inside, dtype=float)]))


def _exact(x: float, discrete: bool) -> Any:
    from sympy import Float, Integer

    return Integer(round(x)) if discrete else Float(x)


def _laws_of(support: Set) -> list[Law]:
    """Laws that a bounded support suggests: the uniform on it, the binomial of its size."""
    if support.free_symbols:
        return []
    if isinstance(support, Interval) and support.start.is_finite and support.end.is_finite:
        return [uniform_on(float(support.start), float(support.end))]
    if isinstance(support, Range) and support.inf == 0 and support.sup.is_finite and support.sup > 1:
        return [binomial_of(int(support.sup))]
    return []


def _single_value(plan: Plan, table: Table) -> float | None:
    """The one value of a sample of one column that is constant."""
    part = plan.declaration.samples[0]
    if len(plan.declaration.samples) != 1 or len(part.all_columns) != 1:
        return None
    sample = table.sample_of(part.all_columns)
    low, high = sample.minimum[part.columns[0]], sample.maximum[part.columns[0]]
    return float(low) if low == high else None


# --- in words ---


def _said(plan: Plan, refusal: NoMaximumError, trail: Trail, supremum: dict[str, Any]) -> NoMaximumError:
    opening = f"{plan.name}: the likelihood has no maximum on this data"
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
    law = supremum.get("law")
    if math.isinf(height):
        text = f"{as_}the log-likelihood grows without bound"
    elif law and law != "point mass":
        shown = " and ".join(f"{name} {value:.6g}" for name, value in supremum["law_parameters"].items())
        text = (
            f"{as_}the log-likelihood rises to that of the {law} law with {shown} "
            f"(log-likelihood {height:.10g}) and does not attain it"
        )
    else:
        text = f"{as_}the log-likelihood rises to {height:.10g} and does not attain it"
    joined = ";" if refusal.condition is not None else ":"
    return NoMaximumError(f"{opening}{joined} {text}.", condition=refusal.condition, supremum=supremum)


def _is_at_an_end(plan: Plan, p: Symbol, limit: float, trail: Trail) -> bool:
    if p in trail.drivers or math.isinf(limit):
        return True
    domain = plan.domain_of(p)
    ends = (domain.start, domain.end) if isinstance(domain, Interval) else ()
    return any(e.is_number and e.is_finite and abs(float(e) - limit) < 1e-9 * (1 + abs(limit)) for e in ends)


def _number(value: float) -> str:
    return {math.inf: "oo", -math.inf: "-oo"}.get(value, f"{value:.6g}")


__all__ = ["law_in_the_limit", "refine"]
