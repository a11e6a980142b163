"""Certificates of maxima at kinks: the subgradient contains 0 at a quantile, or the maximum is among the kinks."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import Expr, Interval, Symbol

from symmle.algebra import GaveUp, attempt_within, compile_expression
from symmle.certify.competitors import height_of, never_beaten
from symmle.certify.kink_reading import RowKinks, read_kinks
from symmle.certify.kink_slopes import (
    Slopes,
    falls_outside,
    is_concave,
    is_convex_between,
    is_monotone_between,
    slopes_of,
)
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Condition
from symmle.sampling import RandomPoints, as_numbers

AT_A_QUANTILE = "concave piecewise linear log-likelihood: the subgradient contains 0 at the quantile"
AT_A_KINK = "no maximum between neighbouring kinks: the log-likelihood is convex or monotone there"
PATIENCE = 10.0  # seconds for the proof that a search finds the maximum
DIGITS = 45  # of random checks
CONCAVE = "concave log-likelihood: the subgradient contains 0 at the maximum"


@dataclass(frozen=True)
class KinkMaximum(Certificate):
    """For every value of the other parameters l is concave in `parameter` and affine between the kinks.

    The log density of a row rises with slope c a_i up to its kink v_i and falls with slope c b_i after it, c > 0 free
    of the row: the one-sided derivatives of l, c (sum a - sum_{v < p} (a + b)) and c (sum a - sum_{v <= p} (a + b)),
    have 0 between them exactly from the quantile of the v_i at the share sum a / sum (a + b) on to the next kink,
    where that share is reached exactly. On a smaller domain the nearest of its points is the maximum.
    """

    declaration: Declaration
    parameter: Symbol
    value: Expr
    place: Expr
    left: Expr
    right: Expr
    common: Expr
    conditions: tuple[Condition, ...] = ()
    theorem: str = AT_A_QUANTILE
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The kinks and slopes read again from the density, second differences of l, and random competitors."""
        with mpmath.workdps(DIGITS):
            return self._check()

    def _check(self) -> tuple[bool, str]:
        likelihood = build_likelihood(self.declaration)
        found = read_kinks(likelihood, self.parameter)
        if isinstance(found, str) or len(found) != 1:
            return False, f"one kink a row is not found in {self.parameter}"
        slopes = slopes_of(found[0], self.parameter, likelihood)
        if not isinstance(slopes, Slopes):
            return False, slopes
        stored = (self.place, self.left, self.right, self.common)
        if (slopes.place, slopes.left, slopes.right, slopes.common) != stored:
            return False, "the slopes beside the kink are other ones"
        if self.common == 1:
            ok, text = bends_down(likelihood, self.parameter)
            if not ok:
                return False, text
        return never_beaten(likelihood, {self.parameter: self.value}, self.conditions)


@dataclass(frozen=True)
class MaximumAmongKinks(Certificate):
    """Where l has a maximum, it is one at a kink: for all values of the others l is largest in `parameter` there.

    `reason` is "monotone" or "convex" for what l is between neighbouring kinks, or "concave": then it is largest
    where the slope changes its sign, which one search finds. Below the least kink l does not fall and above the
    greatest it does not rise, or the end of the domain there is compared, too. `inner` says that the other
    parameters are maximised at every kink.
    """

    declaration: Declaration
    parameter: Symbol
    reason: str
    inner: Certificate | None = None
    conditions: tuple[Condition, ...] = ()
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    @property
    def theorem(self) -> str:  # type: ignore[override]
        own = CONCAVE if self.reason == "concave" else AT_A_KINK
        return own if self.inner is None else f"{own}; {self.inner.theorem}"

    def check(self) -> tuple[bool, str]:
        """The proof again, the inner certificate, and l between its kinks at random samples."""
        with mpmath.workdps(DIGITS):
            return self._check()

    def _check(self) -> tuple[bool, str]:
        likelihood = build_likelihood(self.declaration)
        if decide_search(likelihood, self.parameter) != self.reason:
            return False, "what l is between its kinks is not proved"
        ok, text = bends_down(likelihood, self.parameter) if self.reason == "concave" else at_a_kink(
            likelihood, self.parameter
        )  # fmt: skip
        if not ok or self.inner is None:
            return ok, text
        inner, more = self.inner.check()
        return inner, f"{text}; {more}"


def decide_search(likelihood: Likelihood, p: Symbol) -> str:
    """What proves that a search over kinks finds the maximum over p: "monotone", "convex", "concave" or ""."""
    answer = attempt_within(PATIENCE, _decide_search, likelihood, p)
    return "" if isinstance(answer, GaveUp) else answer


def _decide_search(likelihood: Likelihood, p: Symbol) -> str:
    found = read_kinks(likelihood, p)
    if isinstance(found, str):
        return ""
    if falls_beyond(likelihood, found, p):
        if is_monotone_between(found, p, likelihood):
            return "monotone"
        if is_convex_between(found, p, likelihood):
            return "convex"
    alone = len(likelihood.parameters) == 1
    return "concave" if alone and is_concave(found, p, likelihood) else ""


def falls_beyond(likelihood: Likelihood, found: tuple[RowKinks, ...], p: Symbol) -> bool:
    """Whether no larger value lies outside the kinks, other than at a closed end of the domain."""
    domain = likelihood.declaration.parameters[p]
    low, high = falls_outside(found, p, likelihood)
    if not isinstance(domain, Interval):
        return False
    return (low or not domain.left_open) and (high or not domain.right_open)


def at_a_kink(likelihood: Likelihood, p: Symbol) -> tuple[bool, str]:
    """At random samples no value of p has a larger l than the best kink (or closed end of the domain)."""
    found = read_kinks(likelihood, p)
    if isinstance(found, str):
        return False, found
    height, compared = height_of(likelihood), 0
    places = [(rows.sample, compile_expression(k.place)) for rows in found for k in rows.kinks]
    domain = likelihood.declaration.parameters[p]
    stream, rivals = RandomPoints(likelihood.declaration, 61), RandomPoints(likelihood.declaration, 67)
    for _ in range(6):
        values = stream.parameters(stream.constants())
        samples = None if values is None else stream.samples(values, 5)
        if values is None or samples is None:
            continue
        at = as_numbers(values)
        kinks = []
        for j, place in places:
            rows = samples[j]
            for i in range(len(rows.weights)):
                here = {**at, **{c: column[i] for c, column in rows.columns.items()}}
                try:
                    kinks.append(place(here, samples))
                except ZeroDivisionError:
                    continue
        ends = [e for e in (domain.start, domain.end) if e.is_finite and domain.contains(e) == True]  # noqa: E712  # type: ignore[attr-defined]
        kinks += [mpmath.mpf(str(e.evalf(30))) for e in ends]
        best = max((height({**at, p: v}, samples) for v in kinks), default=-mpmath.inf)
        for _ in range(12):
            drawn = rivals.parameters(rivals.constants())
            if drawn is None:
                break
            other = height({**at, p: as_numbers(drawn)[p]}, samples)
            if other > best + mpmath.mpf(10) ** -20 * (1 + abs(best)):
                return (
                    False,
                    f"l is larger at {p} = {mpmath.nstr(as_numbers(drawn)[p], 8)} than at every kink",
                )
            compared += 1
    return compared > 0, f"no kink beaten by {compared} competitors"


def bends_down(likelihood: Likelihood, p: Symbol) -> tuple[bool, str]:
    """Second differences of l in p at random samples are not positive."""
    height, compared = height_of(likelihood), 0
    stream = RandomPoints(likelihood.declaration, 59)
    for _ in range(8):
        values, other = (stream.parameters(stream.constants()) for _ in range(2))
        samples = None if values is None else stream.samples(values, 5)
        if values is None or other is None or samples is None:
            continue
        at = as_numbers(values)
        first, last = at[p], as_numbers(other)[p]
        three = [height({**at, p: first + (last - first) * t / 2}, samples) for t in (0, 1, 2)]
        if not all(mpmath.isfinite(h) for h in three):
            continue
        if three[0] + three[2] - 2 * three[1] > mpmath.mpf(10) ** -20 * (1 + abs(three[1])):
            return (
                False,
                f"l is not concave in {p} between {mpmath.nstr(first, 8)} and {mpmath.nstr(last, 8)}",
            )
        compared += 1
    return compared > 0, f"concave at {compared} random triples"


__all__ = ["AT_A_KINK", "AT_A_QUANTILE", "CONCAVE", "KinkMaximum", "MaximumAmongKinks", "decide_search"]
