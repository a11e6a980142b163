"""Kinks searched on data: the best of the values at which the log-likelihood bends, the other parameters maximised.

Between neighbouring kinks l is smooth. Where it is proved convex or monotone there the maximum is at a kink, and the
kinks are compared. Where l is proved concave its slope changes sign once, and that is bracketed. Else the roots of
the slope between neighbouring kinks are compared, too, and the result says that nothing is proved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sympy import Interval, Symbol, oo

from symmle.certify.kink import decide_search
from symmle.certify.kink_reading import RowKinks, read_kinks
from symmle.certify.kink_slopes import falls_outside, slope_between
from symmle.compiling.data import Table
from symmle.compiling.evaluate import CompiledExpressions
from symmle.compiling.kernels import CONTEXT, LOCK, row_kernel
from symmle.errors import NoMaximumError, NotDerivedError, SymmleError
from symmle.fitting.kinks_lines import search_lines
from symmle.fitting.kinks_profile import Point, Profile
from symmle.fitting.plan import Plan, is_real
from symmle.fitting.solution import Solution, log_likelihood_at

MOST = 400  # kinks at which all else is maximised
MOST_QUICK = 5000  # kinks at which closed forms are evaluated in doubles first
FINALISTS = 12
NEAR = CONTEXT.mpf(2) ** -40  # of the distance to the next kink, where a limit is taken
STEPS = 240  # bisections of a bracket at 240 bits
TIE = 1e-12


def search_kinks(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The best value of the searched parameter, the others maximised at each."""
    if plan.estimator.route == "lines":
        return search_lines(plan, table, constants)
    return _Search(plan, table, constants).best()


@dataclass(frozen=True)
class _Form:
    """What a search needs of l as a function of p, read once from the density."""

    rows: tuple[RowKinks, ...]
    slope: CompiledExpressions
    shape: str  # what proves that the maximum is at a kink or where the slope changes its sign
    beyond: tuple[bool, bool]  # whether l is proved not to rise outward beyond the kinks


def _form_of(plan: Plan, p: Symbol, proof: str) -> _Form:
    known = plan.__dict__.setdefault("_kink_forms", {})
    if p not in known:
        likelihood = plan.derivation.likelihood
        rows = read_kinks(likelihood, p)
        if isinstance(rows, str):
            raise NotDerivedError(f"{plan.name}: the kinks of `{p}` are not found: {rows}.")
        slope = plan.compile([slope_between(rows, p, likelihood)])
        shape = proof or decide_search(likelihood, p)
        known[p] = _Form(rows, slope, shape, (True, True) if shape else falls_outside(rows, p, likelihood))
    return known[p]  # type: ignore[no-any-return]


class _Search(Profile):
    """The kinks of one parameter, each a value at which the others are maximised."""

    def __init__(self, plan: Plan, table: Table, constants: dict[Symbol, Any]):
        super().__init__(plan, table, constants)
        self.form = _form_of(plan, self.p, self.proof)
        self.shape = self.form.shape

    def best(self) -> Solution:
        places = self._places()
        if self.shape == "concave":
            return self._by_bisection(places)
        status = f"The log-likelihood was compared at the {len(places)} values of {self.p} at which it bends"
        if self.shape:
            points = self._compared(places)
            status += "; it has no maximum between them."
            if not self.proof:
                status += " That the other parameters are at their maximum at each is not proved."
        else:
            if len(places) > MOST:
                raise NotDerivedError(
                    f"{self.plan.name}: the log-likelihood bends at {len(places)} values of `{self.p}` and is not "
                    f"proved to have its maximum at one of them; a search takes at most {MOST}."
                )
            points = self._compared(places)
            inside = self._between(places)
            points += inside
            status += (
                f" and at {len(inside)} stationary points between them; "
                "that no other maximum is larger is not proved."
            )
        solution = self._chosen(points, status)
        self._refuse_if_higher(
            places, self.plan.log_likelihood.precise(self.table, solution.values)[0].number
        )
        return solution

    # --- where it bends ---

    def _places(self) -> list[Any]:
        """The distinct kinks in the domain, and its closed ends, in order, at 240 bits."""
        values: list[Any] = []
        for rows in self.form.rows:
            part = self.plan.declaration.samples[rows.sample]
            sample = self.table.sample_of(part.all_columns)
            for kink in rows.kinks:
                if kink.place in sample.columns:
                    values += [CONTEXT.mpf(v) for v in np.unique(sample.columns[kink.place]).tolist()]  # type: ignore[index]
                    continue
                names = sorted(kink.place.free_symbols - set(part.all_columns), key=str)
                kernel = row_kernel([*part.all_columns, *names], [kink.place])  # type: ignore[list-item]
                with np.errstate(all="ignore"):
                    each = kernel(
                        *(sample.columns[c] for c in part.all_columns), *(float(self.known[n]) for n in names)
                    )[0]  # type: ignore[index]
                each = np.unique(np.broadcast_to(each, (sample.rows,)))
                values += [CONTEXT.mpf(v) for v in each[np.isfinite(each)].tolist()]
        domain = self.domain
        if isinstance(domain, Interval):
            for end, is_open in ((domain.start, domain.left_open), (domain.end, domain.right_open)):
                if end.is_finite is not False and not is_open:
                    values.append(self.plan.scalar(end, self.known))
        inside = sorted({v for v in values if self.plan.is_in_domain(self.p, v, self.known)})
        if not inside:
            raise NoMaximumError(
                f"{self.plan.name}: the likelihood has no maximum on this data: it bends at no value of "
                f"`{self.p}` in its domain {domain}."
            )
        return inside

    def _refuse_if_higher(self, places: list[Any], best: Any) -> None:
        """NoMaximumError where l rises at least as high near a kink at which the others have no maximum.

        Between neighbouring kinks the supremum over the others is a supremum of functions of p that are monotone or
        convex there: its limit at a kink is its value there.
        """
        found: list[tuple[Any, Any, Solution, SymmleError]] = []
        for value, problem in self.refused:
            sides = [side for side in (-1, 1) if any((v - value) * side > 0 for v in places)]
            ways = [
                way for side in sides or [-1, 1] if (way := self._approached(places, value, side)) is not None
            ]
            if not ways:
                raise problem
            height, at = max(ways, key=lambda way: way[0])
            found.append((height, value, at, problem))
        if not found:
            return
        height, value, at, problem = max(found, key=lambda way: way[0])
        if height < best - 1e-7 * (1 + abs(best)):
            return
        limits: dict[str, Any] = {str(q): float(at.values[q]) for q in self.plan.parameters}
        limits |= {str(self.p): float(value), "log_likelihood": float(height)}
        raise NoMaximumError(
            f"{self.plan.name}: the likelihood has no maximum on this data: as `{self.p}` -> {float(value):.12g} "
            f"it rises to {float(height):.10g}, and there the other parameters have no maximum.",
            supremum=limits,
        ) from problem

    def _approached(self, places: list[Any], value: Any, side: int) -> Point | None:
        """What the maximum over the others tends to as p comes near to a kink from one side."""
        gap = min(((v - value) * side for v in places if (v - value) * side > 0), default=1 + abs(value))
        step = max(gap * NEAR, abs(value) * NEAR / 16)
        near, far = (self.at(value + side * step * 4**k, limit=True) for k in (0, 1))
        if near is None or far is None:
            return None
        # what is missing falls at least as the root of the step
        return near[0] + max(near[0] - far[0], 0), near[1]

    def _compared(self, places: list[Any]) -> list[Point]:
        chosen = places
        if len(places) > MOST:
            chosen = self._finalists(places)
        return [point for v in chosen if (point := self.at(v)) is not None]

    def _finalists(self, places: list[Any]) -> list[Any]:
        """The kinks with the highest l in doubles, where the others have closed forms."""
        if len(places) > MOST_QUICK or not self.is_closed:
            raise NotDerivedError(
                f"{self.plan.name}: the log-likelihood bends at {len(places)} values of `{self.p}`, all of which "
                f"would have to be compared; a search takes at most {MOST_QUICK if self.is_closed else MOST}."
            )
        heights = []
        for v in places:
            known: dict[Symbol, Any] = {**self.known, self.p: v}
            known.update(zip(self.closed, self.formulas.quick(self.table, known), strict=True))
            height = self.plan.log_likelihood.quick(self.table, known)[0]
            heights.append(float(height) if is_real(height) else -np.inf)
        order = np.argsort(-np.asarray(heights), kind="stable")[:FINALISTS].tolist()
        empty = [k for k, height in enumerate(heights) if height == -np.inf]
        if len(empty) > FINALISTS:
            raise NotDerivedError(
                f"{self.plan.name}: at {len(empty)} of the values of `{self.p}` at which the log-likelihood bends the "
                "closed forms of the other parameters have no value."
            )
        return [places[k] for k in sorted({*order, *empty})]

    def _chosen(self, points: list[Point], status: str) -> Solution:
        if not points:
            if self.refused:
                raise self.refused[0][1]
            raise NoMaximumError(
                f"{self.plan.name}: no value of `{self.p}` at which the log-likelihood bends has a maximum over "
                "the rest."
            )
        top = max(height for height, _ in points)
        tied = [s for height, s in points if height >= top - TIE * (1 + abs(top))]
        solution = min(tied, key=lambda s: s.values[self.p])
        apart = sorted({s.values[self.p] for s in tied})
        solution.method, solution.status = "kinks", status
        if len(apart) > 1:
            solution.maximisers = {str(self.p): self._flat(apart, top)}
        solution.boundary = self.plan.is_at_edge(self.p, solution.values[self.p], solution.values)
        solution.unique = False if len(apart) > 1 else solution.unique
        return solution

    def _flat(self, tied: list[Any], top: Any) -> tuple[float, ...]:
        """The interval of tied kinks where l is the same between them; else all of them."""
        for low, high in zip(tied, tied[1:], strict=False):
            middle = self.at((low + high) / 2)
            if middle is None or middle[0] < top - TIE * (1 + abs(top)):
                return tuple(float(v) for v in tied)
        return float(tied[0]), float(tied[-1])

    # --- the slope between kinks ---

    def _slope_at(self, value: Any) -> Any:
        """dl/dp at the maximum over the others (their own derivatives vanish there); nan where there is none."""
        if not self.has_others:
            values: Mapping[Symbol, Any] = {**self.known, self.p: value}
        else:
            point = self.at(value)
            if point is None:
                return CONTEXT.nan
            values = point[1].values
        slope = self.form.slope.precise(self.table, values)[0]
        return CONTEXT.mpf(0) if abs(slope.number) <= slope.error else slope.number

    def _between(self, places: list[Any]) -> list[Point]:
        """The maxima strictly between neighbouring kinks, and beyond the outer ones."""
        found = []
        for low, high in zip(places, places[1:], strict=False):
            gap = (high - low) * CONTEXT.mpf(2) ** -40
            root = self._falling_root(low + gap, high - gap)
            if root is not None and (point := self.at(root)) is not None:
                found.append(point)
        beyond = self.form.beyond
        for start, side, falls in ((places[0], -1, beyond[0]), (places[-1], 1, beyond[1])):
            if falls:
                continue
            root = self._beyond(start, side, max(places[-1] - places[0], abs(start), CONTEXT.mpf(1)))
            if root is not None and (point := self.at(root)) is not None:
                found.append(point)
        return found

    def _falling_root(self, low: Any, high: Any) -> Any:
        """A root of the slope in (low, high) where it goes from plus to minus; None where the ends show none."""
        first, last = self._slope_at(low), self._slope_at(high)
        if not (first > 0 and last < 0):
            return None
        return _bisected(self._slope_at, low, high)

    def _beyond(self, start: Any, side: int, scale: Any) -> Any:
        """A maximum outside all kinks: a root of the slope where l still rises outward, within the domain."""
        previous = start
        rising = False
        for k in range(-30, 40):
            value = start + side * scale * CONTEXT.mpf(2) ** k
            if not self.plan.is_in_domain(self.p, value, self.known):
                break
            slope = self._slope_at(value) * side
            if rising and slope < 0:
                return _bisected(self._slope_at, *sorted((previous, value)))
            rising, previous = bool(slope > 0), value
        if rising:
            side_of = "below" if side < 0 else "above"
            raise NotDerivedError(
                f"{self.plan.name}: the log-likelihood rises {side_of} every value of `{self.p}` at which it bends; "
                "its maximum is not found by a search over kinks."
            )
        return None

    def _by_bisection(self, places: list[Any]) -> Solution:
        """Concave: the kink at which the slope changes its sign, or its root between two kinks."""
        low, high = -1, len(places)  # the slope just above places[low] is positive, above places[high] not
        while high - low > 1:
            k = (low + high) // 2
            slope = self._beside(places, k, 1)
            low, high = (k, high) if slope > 0 else (low, k)
        if high == len(places):
            value = self._outside(places[-1], 1)
        elif self._beside(places, high, -1) < 0:
            value = (
                self._outside(places[0], -1)
                if high == 0
                else self._root_between(places[high - 1], places[high])
            )
        else:
            value = places[high]
        status = (
            f"The log-likelihood is concave in {self.p}: its slope changes sign at the estimate, one of {len(places)} "
            "values at which it bends or between two of them."
        )
        point = self.at(value)
        return self._with_set(places, high, self._chosen([] if point is None else [point], status))

    def _beside(self, places: list[Any], k: int, side: int) -> Any:
        """The slope just above (below) the k-th kink; beyond the domain it points inward."""
        if side > 0:
            room = places[k + 1] - places[k] if k + 1 < len(places) else max(abs(places[k]), CONTEXT.mpf(1))
        else:
            room = places[k] - places[k - 1] if k > 0 else max(abs(places[k]), CONTEXT.mpf(1))
        value = places[k] + side * room * CONTEXT.mpf(2) ** -60
        if not self.plan.is_in_domain(self.p, value, self.known):
            return -CONTEXT.mpf(side)
        return self._slope_at(value)

    def _root_between(self, low: Any, high: Any) -> Any:
        return _bisected(self._slope_at, low, high)

    def _outside(self, start: Any, side: int) -> Any:
        root = self._beyond(start, side, max(abs(start), CONTEXT.mpf(1)))
        if root is None:
            end = self.domain.end if side > 0 else self.domain.start  # type: ignore[union-attr]
            where = end if end not in (oo, -oo) else "infinity"
            raise NoMaximumError(
                f"{self.plan.name}: the likelihood has no maximum on this data: it rises in `{self.p}` towards {where}."
            )
        return root

    def _with_set(self, places: list[Any], k: int, solution: Solution) -> Solution:
        """The interval of maximisers, where the slope is 0 between two kinks."""
        at = solution.values[self.p]
        if k < len(places) and at == places[k] and k + 1 < len(places) and self._beside(places, k, 1) == 0:
            other = self.at(places[k + 1])
            height = log_likelihood_at(self.plan, self.table, solution.values)
            if other is not None and abs(other[0] - height) <= TIE * (1 + abs(height)):
                solution.maximisers = {str(self.p): (float(at), float(places[k + 1]))}
                solution.unique = False
                return solution
        solution.unique = True
        return solution


def _bisected(f: Callable[[Any], Any], low: Any, high: Any) -> Any:
    """The root of a function that goes from plus to minus, to 200 bits or to where its values are no numbers."""
    with LOCK:
        for _ in range(STEPS):
            middle = (low + high) / 2
            if not low < middle < high or high - low <= abs(middle) * CONTEXT.mpf(2) ** -100:
                break
            value = f(middle)
            if not is_real(value):
                break
            if value == 0:
                return middle
            low, high = (middle, high) if value > 0 else (low, middle)
    return (low + high) / 2


__all__ = ["search_kinks"]
