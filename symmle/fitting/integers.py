"""Whole-number parameters: the maximum over the integers of a domain, the others maximised at each.

l(N + 1) - l(N) is evaluated at 240 bits, so that neighbours which differ in the twentieth digit are told
apart and ties are seen. Where one change of sign is proved, doubling and bisection find it; else the values
are scanned, and the status says how far.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sympy import Symbol, oo

from symmle.certify.neighbours import Allowed, allowed_of, ends_of_domain, neighbours_of, profile_rise
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError
from symmle.fitting.faces import evaluate_at, inner_constants
from symmle.fitting.integers_rise import EXACT, Rise, rise_of
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.solution import Solution, log_likelihood_at, reading_of, refuse_unless

ONE_BY_ONE = 200  # neighbours that are compared where nothing is proved
SLOWLY = 40  # the same, where each takes a maximisation of its own
FAR = 2**60  # beyond this l is taken for its limit


@dataclass(frozen=True)
class Height:
    """l at one whole number, the others at their best; `refusal` where that is not attained."""

    number: Any
    solution: Solution | None
    refusal: NoMaximumError | None = None


class Search:
    """l along the whole numbers of one parameter, on one data set."""

    def __init__(self, plan: Plan, table: Table, constants: dict[Symbol, Any]):
        self.plan, self.table, self.constants = plan, table, constants
        self.whole = plan.estimator.searched[0]
        self.face = plan.estimator.faces[0]
        self.heights: dict[int, Height] = {}
        self.signs: dict[int, int | None] = {}

    # --- where N may lie ---

    @cached_property
    def ends(self) -> tuple[int | None, int | None]:
        """The least and the greatest whole number that domain and rows allow; None where there is none."""
        likelihood = self.plan.derivation.likelihood
        allowed = allowed_of(likelihood, self.whole)
        lo, hi = ends_of_domain(likelihood, self.whole)
        if not isinstance(allowed, Allowed):
            allowed = Allowed()
        least = [*allowed.least, *([lo] if lo != -oo else [])]
        most = [*allowed.most, *([hi] if hi != oo else [])]
        found = (
            self.plan.compile([*least, *most]).precise(self.table, self.constants) if least or most else []
        )
        numbers = [int(CONTEXT.nint(v.number)) for v in found]
        return max(numbers[: len(least)], default=None), min(numbers[len(least) :], default=None)

    # --- l along N ---

    @property
    def others(self) -> bool:
        return bool(self.face.declaration.parameters)

    @cached_property
    def is_closed(self) -> bool:
        """Whether the others are closed at every N, so that l(N + 1) - l(N) is one formula."""
        inner = self.face.estimator
        complete = set(inner.closed) >= set(self.face.declaration.parameters)
        return complete and not (inner.remaining or inner.faces or inner.alternatives or inner.auxiliary)

    @cached_property
    def rise(self) -> Rise:
        likelihood = self.plan.derivation.likelihood
        if self.others:
            e = profile_rise(likelihood, self.whole, self.face.estimator.closed)
        else:
            e = neighbours_of(likelihood, self.whole).rise
        return rise_of(self.plan, self.table, self.constants, e, self.whole)

    def rise_at(self, n: int) -> Any:
        """l(n + 1) - l(n); nan where one of the two is not attained."""
        return self.rise(n) if self.is_closed else self.height(n + 1).number - self.height(n).number

    def sign(self, n: int) -> int | None:
        """The sign of l(n + 1) - l(n), 0 for a tie, None where it is not known."""
        if n not in self.signs:
            rise = self.rise_at(n)
            bad = isinstance(rise, CONTEXT.mpc) or CONTEXT.isnan(rise)
            self.signs[n] = None if bad else (rise > 0) - (rise < 0)
        return self.signs[n]

    def height(self, n: int) -> Height:
        if n not in self.heights:
            self.heights[n] = self._height(n)
        return self.heights[n]

    def _height(self, n: int) -> Height:
        from symmle.fitting.solving import solve

        known = {**self.constants, self.whole: CONTEXT.mpf(n)}
        refusal: NoMaximumError | None = None
        found = Solution(dict(known), "search over whole numbers")
        if self.others:
            inner = plan_of(self.plan.derivation.face(0))
            try:
                found = solve(inner, self.table, inner_constants(inner, known))
            except NoMaximumError as problem:
                if not self.is_closed:
                    return Height(CONTEXT.nan, None, problem)
                refusal = problem  # what is approached counts: nothing may lie above what is returned
                found.values = evaluate_at(self.plan, self.face.estimator.closed, self.table, known)
        values = {**known, **found.values}
        found.values = values
        if refusal is None and self.plan.reason_against(values, self.table):
            return Height(-CONTEXT.inf, None)
        number = self._value(values)
        if refusal is not None:
            return Height(number, None, self._with_supremum(refusal, values, number))
        return Height(number, found)

    def _with_supremum(
        self, refusal: NoMaximumError, values: dict[Symbol, Any], number: Any
    ) -> NoMaximumError:
        supremum = {str(p): float(values[p]) for p in self.plan.parameters}
        if not all(map(math.isfinite, supremum.values())) or not CONTEXT.isfinite(number):
            return refusal
        return NoMaximumError(str(refusal), supremum={**supremum, "log_likelihood": float(number)})

    def refuse_for_every_value(self) -> None:
        """NoMaximumError where a condition of the others fails that does not name N."""
        if self.others:
            inner = plan_of(self.plan.derivation.face(0))
            for relations in inner.conditions_on_data:
                if self.whole not in relations.symbols:
                    refuse_unless(
                        inner,
                        self.table,
                        relations,
                        relations.differences.precise(self.table, self.constants, tolerance=1e-6),
                    )

    def _value(self, values: dict[Symbol, Any]) -> Any:
        value = self.plan.log_likelihood.precise(self.table, values, tolerance=EXACT)[0]
        if value.finite and value.error <= 1e-9 * (1 + abs(value.number)):
            return value.number
        return log_likelihood_at(self.plan, self.table, values)

    # --- the changes of sign ---

    def first_fall(self, a: int, b: int) -> int:
        """The least n in (a, b] with l(n + 1) < l(n), by bisection; it is so at b."""
        while b - a > 1:
            middle = (a + b) // 2
            if (self.sign(middle) or 0) < 0:
                b = middle
            else:
                a = middle
        return b

    def tied_with(self, n: int) -> list[int]:
        """n and the neighbours below with the same l."""
        tied = [n]
        lo, _ = self.ends
        while len(tied) < 1000 and (lo is None or tied[-1] > lo) and self.sign(tied[-1] - 1) == 0:
            tied.append(tied[-1] - 1)
        return sorted(tied)


def search_integers(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The best value of the searched whole number, the others maximised at each.

    Raises
    ------
    NoMaximumError
        l rises for ever, or its supremum is not attained in the other parameters; `supremum` holds the limit.
    """
    search = Search(plan, table, constants)
    lo, hi = search.ends
    if lo is not None and hi is not None and lo > hi:
        raise NoMaximumError(
            f"{plan.name}: no `{search.whole}` allows every row: at least {lo} and at most {hi} are needed."
        )
    if not plan.is_proved:
        return _by_scan(search, lo, hi)
    return _by_bisection(search, _rising(search, hi) if lo is None else lo, hi)


def _rising(search: Search, hi: int | None) -> int:
    """A value at which l rises, or hi, where the domain has no least member."""
    n = 0 if hi is None else min(0, hi - 1)
    step = 1
    while (search.sign(n) or 0) < 0:
        if step > FAR:
            raise NoMaximumError(f"{search.plan.name}: l rises as `{search.whole}` falls without end.")
        n, step = n - step, 2 * step
    return n


def _by_bisection(search: Search, lo: int, hi: int | None) -> Solution:
    """One change of sign is proved: doubling steps until l falls, then bisection."""
    last = hi - 1 if hi is not None else max(lo, 1) * FAR
    a, step = lo - 1, 1
    while True:
        b = min(lo - 1 + step, last)
        if b <= a:  # l rises up to the end of the domain
            if hi is None:
                raise _without_end(search, last)
            best = hi
            break
        if (search.sign(b) or 0) < 0:
            best = search.first_fall(a, b)
            break
        a, step = b, 2 * step
    status = "l rises up to the estimate and falls from there on, as is proved."
    return _answer(search, best, search.tied_with(best), status, True)


def _grid(lo: int, hi: int | None, count: int, ratio: float) -> Iterator[int]:
    end = hi if hi is not None else FAR
    n, step = lo, 1.0
    while n < end:
        yield n
        if n - lo >= count:
            step = max(step * ratio, (n - lo) * (ratio - 1), 1.0)
        n += int(step)
    if hi is None:
        yield end


def _both_ways(search: Search, hi: int | None, count: int, ratio: float) -> list[int]:
    """Values around the data, and at growing steps to both sides, where the domain has no least member."""
    columns = [s for sample in search.table.samples for s in sample.minimum.values()]
    middle = int(min(columns)) - count // 2
    down = [2 * middle - n for n in _grid(middle, None, 0, ratio)]
    return sorted({*down, *_grid(middle, hi, 2 * count, ratio)})


def _by_scan(search: Search, lo: int | None, hi: int | None) -> Solution:
    """Nothing is proved: every value near the start, then growing steps; all changes of sign are followed."""
    search.refuse_for_every_value()
    quick = search.is_closed
    count, ratio = (ONE_BY_ONE, 1.1) if quick else (SLOWLY, 2.0)
    peaks: list[int] = []
    last: tuple[int, int] | None = None
    grid = _both_ways(search, hi, count, ratio) if lo is None else _grid(lo, hi, count, ratio)
    for n in grid:
        sign = search.sign(n)
        if sign is None:
            peaks += [n] if hi is not None and n == hi else [n, n + 1]
            continue
        if sign < 0 and last is None and lo is None:
            raise NoMaximumError(
                f"{search.plan.name}: the likelihood has no maximum on this data: it rises as `{search.whole}` "
                "falls without end."
            )
        if sign < 0 and (last is None or last[1] >= 0):
            peaks.append(n if last is None else search.first_fall(last[0], n))
        last = (n, sign)
    rising = last is None or last[1] >= 0
    if rising and hi is not None:
        peaks.append(hi)
    heights = {n: search.height(n) for n in dict.fromkeys(peaks)}
    known = {n: h for n, h in heights.items() if CONTEXT.isfinite(h.number)}
    if hi is None and rising and last is not None:
        limit = _limit(search)
        if last[1] > 0 and not any(h.number >= limit for h in known.values()):
            raise _without_end(search, FAR)
        if last[1] == 0 and not known:
            start = lo if lo is not None else last[0]
            known = {start: search.height(start)}
    if not known:
        refusal = next((h.refusal for h in heights.values() if h.refusal is not None), None)
        raise refusal or NoMaximumError(f"{search.plan.name}: no `{search.whole}` has a positive likelihood.")
    best = max(known, key=lambda n: (known[n].number, -n))
    refusal = known[best].refusal
    if refusal is not None:
        raise refusal
    tied = search.tied_with(best)
    tied += [n for n in known if n not in tied and known[n].number == known[best].number]
    complete = lo is not None and hi is not None and hi - lo <= count
    if complete:
        status = f"All values of {search.whole} were compared."
    else:
        near = f"{lo} to {lo + count}" if lo is not None else "those near the data"
        status = (
            f"The values of {search.whole} were compared: {near} one by one, those beyond at growing steps."
        )
    return _answer(search, best, sorted(tied), status, complete)


def _answer(search: Search, best: int, tied: list[int], status: str, complete: bool) -> Solution:
    chosen = search.height(tied[0])
    if chosen.solution is None:
        chosen = search.height(best)
    if chosen.refusal is not None:
        raise chosen.refusal
    if chosen.solution is None:
        raise NoMaximumError(
            f"{search.plan.name}: the likelihood is 0 at `{search.whole}` = {best}, its best value."
        )
    solution = chosen.solution
    solution.method = "search over whole numbers"
    solution.status = status
    inner = solution.unique
    solution.unique = False if len(tied) > 1 or inner is False else (True if complete else None)
    if len(tied) > 1:
        solution.maximisers = {**solution.maximisers, str(search.whole): tuple(float(n) for n in tied)}
        solution.status += (
            f" {' and '.join(map(str, tied[:4]))} have the same likelihood; the least is given."
        )
    return solution


# --- where l rises for ever ---------------------------------------------------------------------


def _limit(search: Search) -> Any:
    """l as N grows without end: with l(N) = limit + c/N, the limit is l(N) + N (l(N + 1) - l(N)).

    Where N (l(N + 1) - l(N)) does not go to 0, l grows at least as log N: infinity.
    """
    near = FAR * search.rise_at(FAR)
    if search.is_closed and near > 0:
        far = 1024 * FAR * search.rise_at(1024 * FAR)
        if far * 2 > near:
            return CONTEXT.inf
    return search.height(FAR).number + (near if CONTEXT.isfinite(near) else 0)


def _without_end(search: Search, last: int) -> NoMaximumError:
    plan, whole = search.plan, search.whole
    supremum: dict[str, Any] = {str(whole): float("inf")}
    if search.others and search.is_closed:
        closed = search.face.estimator.closed
        near, far = (
            evaluate_at(plan, closed, search.table, {**search.constants, whole: CONTEXT.mpf(n)})
            for n in (FAR, FAR**2)
        )
        for p in closed:
            supremum[str(p)] = _limit_of(near[p], far[p])
    limit = _limit(search)
    if not CONTEXT.isnan(limit):
        supremum["log_likelihood"] = float(limit)
    failed = next(iter(plan.estimator.conditions), None)
    needed = ""
    if failed is not None:
        needed = f" {reading_of(failed) if failed.reading else 'the condition'} ({failed.expression}) does not hold;"
    shown = ", ".join(
        f"{name} = {value:.10g}" for name, value in supremum.items() if name != "log_likelihood"
    )
    return NoMaximumError(
        f"{plan.name}: the likelihood has no maximum on this data:{needed} it rises as `{whole}` grows without "
        f"end, towards {shown}.",
        supremum=supremum,
    )


def _limit_of(near: Any, far: Any) -> float:
    if abs(far) * 2**20 < abs(near) or far == 0:
        return 0.0
    if abs(near) * 2**20 < abs(far):
        return float("inf") if far > 0 else float("-inf")
    return float(far)


__all__ = ["search_integers"]
