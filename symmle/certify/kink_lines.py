"""Two parameters that move one kink: every row bends along a line p + q z = y in the plane of (p, q).

If the log density of a row is alpha - kappa h(u), with u affine in (p, q), h >= 0 convex, 0 at 0 and linear on either
side, kappa > 0 and h free of the other parameters, then whatever these are l is largest over (p, q) where
L = sum h(u_i) is least. L is convex and piecewise linear: so is its minimum over q for each p, which is least at a
value of p at which two rows have their kinks in q at one place. The profile of l in p rises before it and falls after.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import Abs, Expr, Interval, Max, S, Symbol, Tuple, cancel, oo

from symmle.algebra import GaveUp, attempt_within
from symmle.certify.competitors import height_of
from symmle.certify.kink import DIGITS
from symmle.certify.kink_forms import hinges
from symmle.certify.kink_reading import read_kinks
from symmle.certify.kink_slopes import slopes_of
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Condition
from symmle.sampling import RandomPoints, as_numbers

ON_LINES = "convex piecewise linear loss: least where the kinks of two rows meet"


@dataclass(frozen=True)
class Lines:
    """A row has its kink in `other` at start + slope p, both free of the parameters."""

    parameter: Symbol
    other: Symbol
    sample: int
    start: Expr
    slope: Expr


def read_lines(likelihood: Likelihood, p: Symbol) -> Lines | str:
    """The lines of the rows in p and another parameter, or why there are none."""
    declaration = likelihood.declaration
    if _is_bounded(declaration, p):
        return f"the domain of {p} has ends"
    for q in likelihood.parameters:
        if q == p or _is_bounded(declaration, q):
            continue
        found = read_kinks(likelihood, q, frozenset((p,)))
        if isinstance(found, str) or len(found) != 1 or len(found[0].kinks) != 1:
            continue
        (rows,), (kink,) = found, found[0].kinks
        slopes = slopes_of(rows, q, likelihood)
        if isinstance(slopes, str) or slopes.conditions or kink.slope is None or kink.direction is None:
            continue
        if p in Tuple(slopes.left, slopes.right, slopes.common).free_symbols:
            continue
        form = attempt_within(2.0, hinges, rows.above, rows.below, kink.inner, q)
        if form is None or isinstance(form, GaveUp):
            continue
        rest = form.xreplace({h: S.Zero for h in form.atoms(Abs, Max) if q in h.free_symbols})
        slope = cancel(kink.place.diff(p))
        start = cancel(kink.place - slope * p)
        if (start.free_symbols | slope.free_symbols) & set(likelihood.parameters) or slope == 0:
            continue
        if rest.free_symbols & {p, q}:
            continue
        return Lines(p, q, rows.sample, start, slope)
    return f"{p} does not move one kink a row together with another parameter"


def _is_bounded(declaration: Declaration, p: Symbol) -> bool:
    domain = declaration.parameters[p]
    return not isinstance(domain, Interval) or domain.start != -oo or domain.end != oo


@dataclass(frozen=True)
class LinesMaximum(Certificate):
    """Where l has a maximum, it is one at a value of `parameter` at which the kinks in `other` of two rows meet.

    The profile of l in `parameter` rises up to the set of maximisers and falls after it. `inner` says that the other
    parameters are at their maximum for every value of `parameter`.
    """

    declaration: Declaration
    parameter: Symbol
    other: Symbol
    inner: Certificate | None = None
    conditions: tuple[Condition, ...] = ()
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE
    reason: str = "lines"

    @property
    def theorem(self) -> str:  # type: ignore[override]
        return ON_LINES if self.inner is None else f"{ON_LINES}; {self.inner.theorem}"

    def check(self) -> tuple[bool, str]:
        """The lines again, the inner certificate, and l on random segments of the plane."""
        likelihood = build_likelihood(self.declaration)
        lines = read_lines(likelihood, self.parameter)
        if isinstance(lines, str) or lines.other != self.other:
            return False, "the kinks of the rows are not lines in both parameters"
        with mpmath.workdps(DIGITS):
            ok, text = _bends_down(likelihood, (self.parameter, self.other))
        if not ok or self.inner is None:
            return ok, text
        inner, more = self.inner.check()
        return inner, f"{text}; {more}"


def _bends_down(likelihood: Likelihood, pair: tuple[Symbol, Symbol]) -> tuple[bool, str]:
    """l at the middle of random segments of (p, q) is no less than the mean of its ends."""
    height, compared = height_of(likelihood), 0
    stream = RandomPoints(likelihood.declaration, 71)
    for _ in range(8):
        drawn, other = (stream.parameters(stream.constants()) for _ in range(2))
        samples = None if drawn is None else stream.samples(drawn, 5)
        if drawn is None or other is None or samples is None:
            continue
        first, last = as_numbers(drawn), as_numbers(other)
        last = {**first, **{s: last[s] for s in pair}}
        middle = {**first, **{s: (first[s] + last[s]) / 2 for s in pair}}
        low, mid, high = (height(v, samples) for v in (first, middle, last))
        if not all(mpmath.isfinite(h) for h in (low, mid, high)):
            continue
        if low + high - 2 * mid > mpmath.mpf(10) ** -20 * (1 + abs(mid)):
            return False, "l is not concave in both parameters on a random segment"
        compared += 1
    return compared > 0, f"concave on {compared} random segments"


__all__ = ["ON_LINES", "Lines", "LinesMaximum", "read_lines"]
