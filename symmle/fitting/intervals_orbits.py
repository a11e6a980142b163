"""Two positive parameters reduced to one along the orbits of a scaling, on the data at hand.

Along theta_1 = rho, theta_2 = kappa rho**w the log-likelihood has the derivative D/rho, where
D = theta_1 s_1 + w theta_2 s_2 is a combination of the scores. Where the parts of the scores that mix data and
parameters cancel in D, it is a rational function of rho whose coefficients are positive or negative for every kappa;
if they change sign once, from plus to minus, l has on every orbit one maximum, at the one positive root rho(kappa)
(Descartes). Then l(rho(kappa), kappa rho(kappa)**w) is a profile, and its global maximum that of l.
The Rice law is such in nu/sigma**2, the Skellam law in the product of its means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
import sympy as sp

from symmle.fitting.intervals_forms import condensed
from symmle.fitting.intervals_program import Evaluation, NoEnclosureError, Rows
from symmle.sample import Count, Mean, totals_as_means

_WEIGHTS = (0, 1, -1, 2, -2)


@dataclass(frozen=True)
class Orbit:
    """theta_1 = rho, theta_2 = kappa rho**weight; `rho` is the maximiser on the orbit, in kappa."""

    first: sp.Symbol
    second: sp.Symbol
    weight: int
    kappa: sp.Symbol
    rho: sp.Expr
    log_likelihood: sp.Expr
    score: sp.Expr

    def coordinate(self, first: float, second: float) -> float:
        """kappa of a point."""
        return second / first**self.weight


def orbit_of(log_likelihood: sp.Expr, parameters: Sequence[sp.Symbol], samples: tuple[Rows, ...]) -> Orbit:
    """An orbit profile; NoEnclosureError where none is found."""
    if len(parameters) != 2 or len(samples) != 1:
        raise NoEnclosureError("orbits are for two parameters and one sample")
    log_likelihood = totals_as_means(log_likelihood)
    one, two = parameters
    for first, second in ((one, two), (two, one)):
        scores = [sp.diff(log_likelihood, p) for p in (first, second)]
        for weight in _WEIGHTS:
            found = _along(log_likelihood, scores, first, second, weight, samples[0])
            if found is not None:
                return found
    raise NoEnclosureError("no scaling of the two parameters makes the likelihood a profile")


def _along(
    log_likelihood: sp.Expr,
    scores: list[sp.Expr],
    first: sp.Symbol,
    second: sp.Symbol,
    weight: int,
    rows: Rows,
) -> Orbit | None:
    combination = _separated(first * scores[0] + weight * second * scores[1], rows, (first, second))
    if combination is None:
        return None
    kappa, rho = sp.Dummy("kappa", positive=True), sp.Dummy("rho", positive=True)
    statistics = sorted(combination.atoms(Mean), key=sp.default_sort_key)
    names = {}
    for s in statistics:
        sign = _sign_on_data(s, rows)
        if sign is None:
            return None
        names[s] = sign * sp.Dummy("t", positive=True)
    written = combination.subs(names).subs({first: rho, second: kappa * rho**weight}, simultaneous=True)
    root = _only_root(written, rho)
    if root is None:
        return None
    back = {
        (v if isinstance(v, sp.Symbol) else -v): (s if isinstance(v, sp.Symbol) else -s)
        for s, v in names.items()
    }
    solution = root.subs(back)
    place = {first: rho, second: kappa * rho**weight}
    variable = sp.Symbol("kappa_" if any(str(c) == "kappa" for c in rows.columns) else "kappa", positive=True)

    def on_the_orbit(e: sp.Expr) -> sp.Expr:
        e = condensed(e.subs(place, simultaneous=True))  # while rho is known to be positive
        return condensed(e.subs(rho, solution).subs(kappa, variable))

    profile, score = on_the_orbit(log_likelihood), on_the_orbit(scores[1] * first**weight)
    return Orbit(first, second, weight, variable, solution.subs(kappa, variable), profile, score)


def _separated(combination: sp.Expr, rows: Rows, parameters: tuple[sp.Symbol, ...]) -> sp.Expr | None:
    """The combination over n as sum a(theta) Mean(t(x)), or None where data and parameters stay mixed."""
    columns = tuple(rows.columns)
    count = sp.Dummy("n", positive=True)
    per_row = sp.expand(combination).replace(lambda e: isinstance(e, Count), lambda e: count)
    if per_row.has(count):
        per_row = sp.expand(per_row / count)
    if per_row.has(count):
        return None
    bound = next((m.args[-1] for m in per_row.atoms(Mean)), None)
    if bound is None:
        return None
    inside = sp.S.Zero
    for term in sp.Add.make_args(per_row):
        means = [f for f in sp.Mul.make_args(term) if isinstance(f, Mean)]
        if len(means) > 1 or (not means and term.has(Mean)) or any(m.summand.has(Mean) for m in means):
            return None
        inside += (term / means[0]) * means[0].summand if means else term
    forms = [sp.expand]
    if inside.count_ops() < 150 and inside.is_rational_function(*parameters):
        forms.append(lambda e: sp.expand(sp.cancel(sp.together(e))))
    for form in forms:
        terms = sp.Add.make_args(form(inside))
        parts = [t.as_independent(*columns, as_Add=False) for t in terms]
        if not any(data.free_symbols & set(parameters) for _, data in parts):
            return sp.Add(*(a * Mean(t, bound) for a, t in parts))
    return None


def _sign_on_data(statistic: sp.Expr, rows: Rows) -> int | None:
    with np.errstate(all="ignore"):
        value = Evaluation({}, (rows,), 0).enclosure(statistic).value
    if value.lo.min() > 0:
        return 1
    return -1 if value.hi.max() < 0 else None


def _sign_for_positive(e: sp.Expr) -> int | None:
    """The sign of a polynomial in positive symbols all of whose terms have one sign; None where they differ."""
    signs = set()
    for term in sp.Add.make_args(sp.expand(e)):
        if term.is_positive:
            signs.add(1)
        elif term.is_negative:
            signs.add(-1)
        else:
            return None
    return signs.pop() if len(signs) == 1 else None


def _only_root(e: sp.Expr, rho: sp.Symbol) -> sp.Expr | None:
    """The one positive root in rho, where coefficients change sign once from plus to minus."""
    numerator, denominator = sp.fraction(sp.cancel(sp.together(e)))
    if not (numerator.is_polynomial(rho) and denominator.is_polynomial(rho)):
        return None
    below = _sign_for_positive(denominator)
    if below is None:
        return None
    polynomial = sp.Poly(numerator * below, rho)
    terms = sorted((n, c) for (n,), c in polynomial.terms())
    if len(terms) < 2:
        return None
    signs = [_sign_for_positive(c) for _, c in terms]
    if signs[0] != 1 or signs[-1] != -1 or _most_changes(signs) != 1:
        return None
    low = terms[0][0]
    step = gcd(*(n - low for n, _ in terms))
    coefficients = {(n - low) // step: c for n, c in terms}
    if max(coefficients) > 2:
        return None
    c, b, a = (coefficients.get(k, sp.S.Zero) for k in range(3))
    power = c / sp.expand(-b) if a == 0 else (b + sp.sqrt(b**2 - 4 * a * c)) / sp.expand(-2 * a)
    return power ** sp.Rational(1, step)


def _most_changes(signs: Sequence[int | None]) -> int:
    """Sign changes, unknown signs taken for the worst."""
    best = {signs[0] or 1: 0}
    if signs[0] is None:
        best = {1: 0, -1: 0}
    for s in signs[1:]:
        options = (s,) if s is not None else (1, -1)
        best = {o: max(n + (o != previous) for previous, n in best.items()) for o in options}
    return max(best.values())
