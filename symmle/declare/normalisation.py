"""Whether a density integrates or sums to 1: checked at points of the parameter space, three-valued."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sympy import Expr, Set, Symbol

from symmle.declare.declaration import Declaration, SamplePart
from symmle.declare.domains import is_discrete, lower, upper
from symmle.declare.folding import number_at
from symmle.declare.mass import Negative, mass
from symmle.declare.numbers import NotComputed, NotReal
from symmle.declare.points import Point, admissible_points, declared_point
from symmle.declare.quadrature import Amount, Clock, Diverges, OutOfTime
from symmle.errors import ModelError

SECONDS = 1.0
FIRST_SHARE = 0.25
TOLERANCE = 1e-6


@dataclass(frozen=True)
class NormalisationCheck:
    """What the check found.

    `value` is "normalises" (at the points that were tried; evidence, no proof), "conditional" (the same,
    given covariates or lags, or left out for them) or "not checked"; `number` is the integral that is
    farthest from 1, `at` where it was computed, and `reason` why the rest is open.
    """

    value: str
    number: float | None = None
    at: tuple[tuple[str, float], ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        number = "" if self.number is None else f" ({self.number:.9g} at {_place(dict(self.at))})"
        return f"{self.value}{number}{': ' + self.reason if self.reason else ''}"


def check_normalisation(declaration: Declaration, seconds: float = SECONDS) -> NormalisationCheck:
    """Integrates or sums the density at points of the parameter space.

    Raises
    ------
    ModelError
        If it reliably does not give 1, or is negative or not real at a point of the parameter space.
    """
    if declaration.normalises is False:
        return NormalisationCheck("not checked", reason="the declaration leaves the check out")
    conditional = any(part.given for part in declaration.samples)
    for part in declaration.samples:
        for z in part.given:
            if z not in declaration.given_domains and z in _symbols_of(part):
                return NormalisationCheck("conditional", reason=f"covariate `{z}` has no declared domain")
    clock = Clock(seconds)
    worst: tuple[float, Point] | None = None
    reason = ""
    tried = 0
    for point in _points(declaration):
        if tried and clock.left < seconds * (1 - FIRST_SHARE):
            break
        tried += 1
        for number, part in enumerate(declaration.samples, 1):
            label = _label(declaration, number)
            try:
                found = _checked(declaration, part, point, clock, label)
            except NotReal as problem:
                place = {**point, **getattr(problem, "place", {})}
                raise ModelError(
                    f"Expected {label} to be real on its support, but it is not at {_place(place)}. "
                    "Mend the formula, the support or the domains, or cut the parameter space with `where`."
                ) from None
            except Negative as problem:
                raise ModelError(
                    f"Expected {label} not to be negative, but it is at "
                    f"{_place({**point, **problem.place})}. "
                    "Mend the formula, the support or the domains, or cut the parameter space with `where`."
                ) from None
            except OutOfTime as problem:
                reason = reason or str(problem)
                break
            except NotComputed as problem:
                reason = reason or str(problem)
                continue
            if worst is None or abs(found - 1) > abs(worst[0] - 1):
                worst = (found, point)
    if not tried:
        return NormalisationCheck(
            "not checked", reason="no admissible point of the parameter space was found"
        )
    if reason or worst is None:
        return NormalisationCheck("not checked", reason=reason)
    at = tuple((s.name, number_at(s, worst[1])) for s in worst[1] if s not in declaration.constants)
    return NormalisationCheck("conditional" if conditional else "normalises", worst[0], at)


def _symbols_of(part: SamplePart) -> set[Any]:
    return part.with_indicator.free_symbols.union(*(s.free_symbols for s in part.support.values()))


def _label(declaration: Declaration, number: int) -> str:
    sample = f" of sample {number}" if len(declaration.samples) > 1 else ""
    return f"the density{sample}" + (f" of model '{declaration.name}'" if declaration.name else "")


def _points(declaration: Declaration) -> Any:
    first = declared_point(declaration)
    if first is not None:
        yield first
    yield from admissible_points(declaration, 2 if first is None else 1)


def _place(point: Mapping[Any, Any]) -> str:
    parts = [f"{name} = {float(value):.6g}" for name, value in point.items()]
    return ", ".join(parts) or "the only point"


def _columns(declaration: Declaration, part: SamplePart, density: Expr) -> dict[Symbol, Set]:
    latent = {z: s for z, s in declaration.latent.items() if z in density.free_symbols}
    return {**part.support, **latent}


def _checked(declaration: Declaration, part: SamplePart, point: Point, clock: Clock, label: str) -> float:
    """The total mass, if it is 1; a ModelError if it reliably is not; NotComputed otherwise."""
    total = _component_masses(declaration, part, point, clock)
    if total is not None:
        return total
    density = part.with_indicator
    columns = _columns(declaration, part, density)
    try:
        first = mass(density, columns, point, clock)
    except Diverges:
        first = Amount(math.inf, 0.0)
    if first.error <= TOLERANCE and abs(first.value - 1) <= TOLERANCE:
        return first.value
    if not first.error <= TOLERANCE * max(1.0, abs(first.value)):
        raise NotComputed(f"the error of its integral is estimated as {first.error:.2g}")
    if abs(first.value) < 1e-9:
        raise NotComputed("its mass was not found: it is concentrated beyond the reach of the check")
    # doubles may cancel: 40 digits and another splitting have the last word
    second = _confirmed(density, columns, point, clock)
    if second.error <= TOLERANCE and abs(second.value - 1) <= TOLERANCE:
        return second.value
    both = (first.value, second.value)
    scale = max(1.0, min(map(abs, both)))
    if both != (math.inf, math.inf) and not (
        abs(first.value - second.value) <= 1e-7 * scale and second.error <= TOLERANCE * scale
    ):
        raise NotComputed(f"two ways of integrating differ: {first.value:.9g} and {second.value:.9g}")
    verb = "sum" if all(is_discrete(s) for s in columns.values()) else "integrate"
    product = " (over the product of the supports)" if len(columns) > 1 else ""
    raise ModelError(
        f"Expected {label} to {verb} to 1{product}, but it {verb}s to {second.value:.9g} at {_place(point)}, "
        f"over {_ranges(columns)}. Mend the constant, the support or the domains (`where` cuts the "
        "parameter space), or pass "
        "normalises=False to leave the check out."
    )


def _component_masses(declaration: Declaration, part: SamplePart, point: Point, clock: Clock) -> float | None:
    """sum_j w_j int f_j, where every component integrates to 1; None where that is not so.

    Components far apart are met one by one, where a rule over their sum could miss one.
    """
    if not part.components:
        return None
    total = 0.0
    for weight, density in part.components:
        found = mass(density, _columns(declaration, part, density), point, clock)
        if not (found.error <= TOLERANCE and abs(found.value - 1) <= TOLERANCE):
            return None
        total += number_at(weight, point) * found.value
    return total if abs(total - 1) <= TOLERANCE else None


def _confirmed(density: Expr, columns: Mapping[Symbol, Set], point: Point, clock: Clock) -> Amount:
    try:
        return mass(density, columns, point, clock, step=0.37, precise=True)
    except OutOfTime:
        raise
    except Diverges:
        return Amount(math.inf, 0.0)
    except NotComputed:
        return mass(density, columns, point, clock, step=0.37)


def _ranges(columns: Mapping[Symbol, Set]) -> str:
    return ", ".join(
        f"{x} in {{{lower(s)}..{upper(s)}}}" if is_discrete(s) else f"{x} from {lower(s)} to {upper(s)}"
        for x, s in columns.items()
    )
