"""One member of a ridge: the identified functions at their maximum, the free parameters at plain values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from sympy import Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, NotConvergedError
from symmle.fitting.faces import inner_constants
from symmle.fitting.limits import refine
from symmle.fitting.limits_coordinates import FreeCoordinate, free_coordinate
from symmle.fitting.plan import Plan, is_real, plan_of
from symmle.fitting.solution import Solution

HALVINGS = 200
FAR = 300  # in a free coordinate: beyond every scale


def choose(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The maximum over the identified functions, and a member of the curve on which it is attained.

    The free parameters are equal to the ones that make up for them where the functions are symmetric in both, else
    1 where that leaves the others in their domains, else in the middle of what does.
    """
    from symmle.fitting.solving import solve

    face = plan.estimator.faces[0]
    inner = plan_of(plan.derivation.face(0))
    known = inner_constants(inner, constants)
    try:
        found = solve(inner, table, known)
    except NoMaximumError as refusal:
        refined = refine(inner, table, known, refusal)
        raise NoMaximumError(
            f"{refined} Only functions of the parameters are identified: {_functions(plan)}.",
            refined.condition,
            refined.supremum,
        ) from refusal
    member = _member(plan, table, {**constants, **found.values}, face.at)
    if member is None:
        raise NotConvergedError(
            f"{plan.name}: no member of the ridge {_functions(plan)} was found inside the parameter space."
        )
    values = {s: v for s, v in member.items() if s in plan.parameters or s in constants}
    free = ", ".join(f"`{q}`" for q in plan.estimator.free)
    solution = Solution(
        values, found.method, found.status, found.iterations, found.boundary, found.unbounded, False
    )
    solution.status = (
        f"{found.status} Only functions of the parameters are identified ({_functions(plan)}): the estimates are one "
        f"member of a ridge, on which {free} may be any value that leaves the others in their domains."
    ).strip()
    if len(plan.estimator.free) == 1:
        (q,) = plan.estimator.free
        solution.maximisers = {str(q): _span(plan, table, member, face.at, q)}
    return solution


def _functions(plan: Plan) -> str:
    step = next((s for s in plan.derivation.steps if s.rule == "ridge"), None)
    names = [str(e) for e in step.after] if step is not None else []
    return ", ".join(names)


def _member(
    plan: Plan, table: Table, known: dict[Symbol, Any], at: dict[Symbol, Any]
) -> dict[Symbol, Any] | None:
    free = plan.estimator.free
    coordinates = {q: free_coordinate(plan, q, known) for q in free}
    for values in _trials(plan, known, at, coordinates):
        member = _filled(plan, {**known, **values}, at)
        if _is_inside(plan, table, member):
            return member
    return None


def _trials(
    plan: Plan,
    known: dict[Symbol, Any],
    at: dict[Symbol, Any],
    coordinates: dict[Symbol, FreeCoordinate | None],
) -> Iterator[dict[Symbol, Any]]:
    """Values of the free parameters, the plainest first."""
    free = plan.estimator.free
    equal = _equal_share(plan, known, at)
    if equal is not None:
        yield equal
    yield {q: CONTEXT.mpf(1) for q in free}
    yield {q: CONTEXT.mpf(1) / 2 for q in free}
    steps = [0] + [s * k for k in range(1, 80) for s in (1, -1)]
    if len(free) > 1:
        steps = steps[:41:4]
    for combination in product(steps, repeat=len(free)):
        trial = {}
        for q, k in zip(free, combination, strict=True):
            c = coordinates[q]
            if c is not None:
                trial[q] = c.value(CONTEXT.mpf(k) / 2)
        if len(trial) == len(free):
            yield trial


def _equal_share(plan: Plan, known: dict[Symbol, Any], at: dict[Symbol, Any]) -> dict[Symbol, Any] | None:
    """The value of a free parameter at which its one pivot is equal to it, where they can change places."""
    free = plan.estimator.free
    if len(free) != 1 or len(at) != 1:
        return None
    ((pivot, expression),), (q,) = at.items(), free
    if plan.domain_of(pivot) != plan.domain_of(q):
        return None
    step = next((s for s in plan.derivation.steps if s.rule == "ridge"), None)
    if step is None or any(e.xreplace({pivot: q, q: pivot}) != e for e in step.after):
        return None
    c = free_coordinate(plan, q, known)
    if c is None:
        return None

    def gap(u: Any) -> Any:
        value = c.value(u)
        return plan.scalar(expression, {**known, q: value}) - value

    low, high = CONTEXT.mpf(-FAR), CONTEXT.mpf(FAR)
    if c.is_line:
        low, high = CONTEXT.mpf(10) ** -60, CONTEXT.mpf(10) ** 30  # beside 0, where a quotient has no value
        if expression.subs(q, 0).is_finite:
            low = -high
    a, b = gap(low), gap(high)
    if not (is_real(a) and is_real(b)) or a * b >= 0:
        return None
    for _ in range(HALVINGS + 140):
        middle = (low + high) / 2
        m = gap(middle)
        if not is_real(m):
            return None
        low, high, a = (middle, high, m) if m * a > 0 else (low, middle, a)
    return {q: c.value((low + high) / 2)}


def _filled(plan: Plan, values: dict[Symbol, Any], at: dict[Symbol, Any]) -> dict[Symbol, Any]:
    return {**values, **{p: plan.scalar(e, values) for p, e in at.items()}}


def _is_inside(plan: Plan, table: Table, member: dict[Symbol, Any]) -> bool:
    return all(is_real(member[p]) for p in plan.parameters) and not plan.reason_against(member, table)


def _span(
    plan: Plan, table: Table, member: dict[Symbol, Any], at: dict[Symbol, Any], q: Symbol
) -> tuple[float, float]:
    """The ends of the values of the free parameter, about the member, that leave the others in their domains."""
    c = free_coordinate(plan, q, member)
    if c is None:
        return float(member[q]), float(member[q])
    ends = []
    for side in (-1, 1):
        inside, outside = c.at(member[q]), None
        step = CONTEXT.mpf(1) if not c.is_line else 1 + abs(inside)
        while abs(inside) < (CONTEXT.mpf(10) ** 30 if c.is_line else FAR):
            trial = inside + side * step
            if _is_inside(plan, table, _filled(plan, {**member, q: c.value(trial)}, at)):
                inside, step = trial, 2 * step
            else:
                outside = trial
                break
        if outside is None:
            ends.append(float(c.low if side < 0 else c.high))
            continue
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            if _is_inside(plan, table, _filled(plan, {**member, q: c.value(middle)}, at)):
                inside = middle
            else:
                outside = middle
        ends.append(float(c.value(inside)))
    return ends[0], ends[1]


__all__ = ["choose"]
