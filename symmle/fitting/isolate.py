"""Is the fitted point the global maximum for the data at hand? A proof by enclosures, or the reason for none.

The log-likelihood is written as a function of one parameter: the others are closed in it and maximise for each
of its values (the derivation's profile certificate); or there are no others; or two positive parameters are
reduced along the orbits of a scaling (`intervals_orbits`). The proof in one parameter is in `intervals_sweep`; all
that it needs is stored in the certificate, whose `check` does it again with other cuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from time import monotonic
from typing import Any

import numpy as np
import sympy as sp

from symmle.algebra import GaveUp, attempt_within
from symmle.estimator import Certificate, Kind, Scope
from symmle.fitting.intervals import Array
from symmle.fitting.intervals_forms import condensed
from symmle.fitting.intervals_orbits import Orbit, orbit_of
from symmle.fitting.intervals_program import NoEnclosureError, Rows
from symmle.fitting.intervals_sweep import Isolation, Isolator, Objective
from symmle.record import Condition

StoredSample = tuple[tuple[sp.Symbol, ...], tuple[tuple[float, ...], ...], tuple[float, ...]]

SIGN_CHANGE = "sign of the score on both sides of a unique root"
COMPARISON = "one root, and the log-likelihood below its value elsewhere and towards both ends"


@dataclass(frozen=True)
class GlobalOnData(Certificate):
    """The maximiser of the log-likelihood of the stored data lies in `root`, and there is one only."""

    parameter: sp.Symbol
    log_likelihood: sp.Expr
    score: sp.Expr | None
    lower: sp.Expr
    upper: sp.Expr
    samples: tuple[StoredSample, ...]
    estimate: float
    root: tuple[float, float]
    tails: tuple[str, str]
    boxes: int
    theorem: str = COMPARISON
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.DATA
    conditions: tuple[Condition, ...] = ()
    seconds: float = 5.0
    orbit: Orbit | None = None  # how two parameters became the one, and of which log-likelihood
    before: sp.Expr | None = None

    def check(self) -> tuple[bool, str]:
        """The isolation again from the stored expressions and rows, with other subdivisions."""
        samples = tuple(
            Rows.of({c: np.array(v) for c, v in zip(columns, values, strict=True)}, np.array(weights))
            for columns, values, weights in self.samples
        )
        if self.orbit is not None:
            again = attempt_within(
                4 * self.seconds, orbit_of, self.before, (self.orbit.first, self.orbit.second), samples
            )
            if isinstance(again, GaveUp) or again.log_likelihood != self.log_likelihood:
                return False, "the reduction along orbits is not found again"
        objective = Objective(
            self.log_likelihood, self.score, self.parameter, self.lower, self.upper, samples
        )
        found = Isolator(objective, self.estimate, 4 * self.seconds, ratio=0.45).run()
        if isinstance(found, str):
            return False, found
        if found.root[0] > self.root[1] or found.root[1] < self.root[0]:
            return (
                False,
                f"the root is in [{found.root[0]!r}, {found.root[1]!r}], not in [{self.root[0]!r}, {self.root[1]!r}]",
            )
        return True, (
            f"{self.parameter} in [{found.root[0]:.15g}, {found.root[1]:.15g}]; {found.left}; {found.right}; "
            f"{found.boxes} boxes between, {found.by_value} of them by value"
        )


def isolate(
    derivation: Any,
    samples: Any,
    estimates: Mapping[Any, float],
    deadline: float = 5.0,
    constants: Mapping[sp.Symbol, Any] | None = None,
) -> GlobalOnData | str:
    """A certificate that the estimates are the global maximum for these data, or the reason why there is none.

    Parameters
    ----------
    derivation
        An object with `model`, `estimator`, `likelihood` and `score`.
    samples
        For each sample of the model, its columns as arrays and its weights (None: all one); or a `Table`.
    estimates
        Parameter (symbol or name) to number.
    deadline
        Seconds of wall-clock time.
    constants
        Values of constants that the model leaves open.
    """
    until = monotonic() + deadline
    prepared = attempt_within(deadline, _prepared, derivation, samples, constants or {})
    if isinstance(prepared, GaveUp):
        return prepared.reason
    if isinstance(prepared, str):
        return prepared
    objective, orbit, before = prepared
    if orbit is None:
        estimate = _named(estimates, objective.variable)
    else:
        estimate = orbit.coordinate(_named(estimates, orbit.first), _named(estimates, orbit.second))
    found = Isolator(objective, estimate, until - monotonic()).run()
    if isinstance(found, str):
        return found
    certificate = certified(objective, found, estimate, deadline)
    if orbit is None or isinstance(certificate, str):
        return certificate
    return replace(certificate, orbit=orbit, before=before)


def _prepared(
    derivation: Any, samples: Any, constants: Mapping[sp.Symbol, Any]
) -> tuple[Objective, Orbit | None, sp.Expr | None] | str:
    try:
        rows = tuple(Rows.of(*_columns_and_weights(s)) for s in getattr(samples, "samples", samples))
        try:
            return objective_of(derivation, rows, constants), None, None
        except NoEnclosureError as reason:
            first_reason = str(reason)
        try:
            return _orbit_objective(derivation, rows, constants)
        except NoEnclosureError as reason:
            return f"{first_reason}; {reason}"
    except NoEnclosureError as reason:
        return str(reason)


def _columns_and_weights(sample: Any) -> tuple[Mapping[sp.Symbol, Array], Array | None]:
    if hasattr(sample, "columns"):
        return sample.columns, sample.weights
    columns, weights = sample
    return columns, weights


def certified(objective: Objective, found: Isolation, estimate: float, seconds: float) -> GlobalOnData | str:
    """The certificate of an isolation whose root is the estimate."""
    lo, hi = found.root
    slack = 1e-6 * max(abs(lo), abs(hi), 1e-300)
    if not lo - slack <= estimate <= hi + slack:
        return f"the maximum is in [{lo!r}, {hi!r}], and the estimate of {objective.variable} is {estimate!r}"
    by_sign = not found.by_value and "falls" in found.left and "falls" in found.right
    stored = tuple(
        (
            tuple(rows.columns),
            tuple(tuple(map(float, column[0])) for column in rows.columns.values()),
            tuple(map(float, rows.weights[0])),
        )
        for rows in objective.samples
    )
    return GlobalOnData(
        parameter=objective.variable,
        log_likelihood=objective.log_likelihood,
        score=objective.score,
        lower=objective.lower,
        upper=objective.upper,
        samples=stored,
        estimate=estimate,
        root=found.root,
        tails=(found.left, found.right),
        boxes=found.boxes,
        theorem=SIGN_CHANGE if by_sign else COMPARISON,
        seconds=seconds,
    )


def objective_of(derivation: Any, rows: tuple[Rows, ...], constants: Mapping[sp.Symbol, Any]) -> Objective:
    """The profile log-likelihood in the one parameter that is left; NoEnclosureError says why there is none."""
    model, estimator = derivation.model, derivation.estimator
    free = list(derivation.score.equations)
    closed = {p: e for p, e in estimator.closed.items() if p in free}
    if len(free) == 1:
        closed = {}
    left = [p for p in free if p not in closed]
    if len(left) != 1:
        raise NoEnclosureError(f"{len(left)} parameters are left, the isolation is for one")
    if closed and estimator.profile_certificate is None:
        raise NoEnclosureError("the closed part is not proved to be the conditional maximum")
    variable = left[0]
    values = _values(model, constants)
    lower, upper = _domain(model, variable, closed, rows, values)
    log_likelihood = _written(derivation.likelihood.log_likelihood, closed, values)
    score = _written(derivation.score.equations[variable], closed, values)
    return Objective(log_likelihood, score, variable, lower, upper, rows)


def _orbit_objective(
    derivation: Any, rows: tuple[Rows, ...], constants: Mapping[sp.Symbol, Any]
) -> tuple[Objective, Orbit, sp.Expr]:
    """Two positive parameters reduced along orbits, after what is proved to be a conditional maximum."""
    model, estimator = derivation.model, derivation.estimator
    free = list(derivation.score.equations)
    closed = {p: e for p, e in estimator.closed.items() if p in free}
    if len(free) == 2 or estimator.profile_certificate is None:
        closed = {}
    left = tuple(p for p in free if p not in closed)
    if len(left) != 2:
        raise NoEnclosureError(f"{len(left)} parameters are left, orbits are for two")
    values = _values(model, constants)
    for p in left:
        if _domain(model, p, {q: sp.S.Zero for q in free if q != p}, rows, values) != (sp.S.Zero, sp.oo):
            raise NoEnclosureError("orbits are for two parameters with the domain (0, oo)")
    before = _written(derivation.likelihood.log_likelihood, closed, values)
    orbit = orbit_of(before, left, rows)
    objective = Objective(orbit.log_likelihood, orbit.score, orbit.kappa, sp.S.Zero, sp.oo, rows)
    return objective, orbit, before


def _written(e: sp.Expr, closed: Mapping[sp.Symbol, sp.Expr], values: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    for _ in closed:
        e = e.subs(closed)
    return condensed(e.subs(values))


def _values(model: Any, constants: Mapping[sp.Symbol, Any]) -> dict[sp.Symbol, sp.Expr]:
    if model.declaration.constraints:
        raise NoEnclosureError("the parameters are bound by constraints")
    if model.declaration.latent:
        raise NoEnclosureError("there are latent variables")
    return {s: sp.Rational(v) if isinstance(v, float) else sp.sympify(v) for s, v in _known(model, constants)}


def _known(model: Any, constants: Mapping[sp.Symbol, Any]) -> list[tuple[sp.Symbol, Any]]:
    given = {str(s): v for s, v in constants.items()}
    found = []
    for symbol, value in model.constants.items():
        value = given.get(str(symbol), value)
        if value is None:
            raise NoEnclosureError(f"the constant {symbol} has no value")
        found.append((symbol, value))
    return found


def _named(values: Mapping[Any, float], symbol: sp.Symbol) -> float:
    for key, value in values.items():
        if str(key) == str(symbol):
            return float(value)
    raise KeyError(str(symbol))


def _domain(
    model: Any,
    variable: sp.Symbol,
    closed: Mapping[sp.Symbol, sp.Expr],
    rows: tuple[Rows, ...],
    values: Mapping[sp.Symbol, Any],
) -> tuple[sp.Expr, sp.Expr]:
    """The parameter's interval, cut down to where every row is in the support."""
    domain = model.parameters[variable]
    if not isinstance(domain, sp.Interval):
        raise NoEnclosureError(f"the domain of {variable} is no interval")
    lower, upper = domain.start.subs(values), domain.end.subs(values)
    if lower.free_symbols or upper.free_symbols:
        raise NoEnclosureError(f"the domain of {variable} depends on other parameters")
    for part, sample in zip(model.samples, rows, strict=True):
        for column, support in part.support.items():
            moving = support.free_symbols & {variable, *closed}
            if not moving:
                continue
            if moving != {variable} or not isinstance(support, sp.Interval):
                raise NoEnclosureError(
                    f"the support of {column} moves with {', '.join(map(str, sorted(moving, key=str)))}"
                )
            data = sample.columns[column][0]
            for bound, least in ((support.start, True), (support.end, False)):
                if variable not in bound.free_symbols:
                    continue
                if bound != variable:
                    raise NoEnclosureError(f"the support of {column} has the bound {bound}")
                edge = Fraction(float(data.min() if least else data.max()))
                exact = sp.Rational(edge.numerator, edge.denominator)
                lower, upper = (lower, sp.Min(upper, exact)) if least else (sp.Max(lower, exact), upper)
    return lower, upper
