"""Is the fitted point the global maximum for the data at hand? A proof by enclosures, or the reason for none.

`isolate` writes the log-likelihood as a function of the one parameter that is left: the others are closed in it
and maximise for each of its values (the derivation's profile certificate), or there are no others. The proof is in
`intervals_sweep`; what it needs is stored in the certificate, whose `check` does it again with other cuts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symmle.estimator import Certificate, Kind, Scope
from symmle.fitting.intervals import Array
from symmle.fitting.intervals_forms import condensed
from symmle.fitting.intervals_program import NoEnclosureError, Rows
from symmle.fitting.intervals_sweep import Isolation, Isolator, Objective
from symmle.record import Condition

Sample = tuple[Mapping[sp.Symbol, Array], Array | None]  # columns -> values of the rows; weights
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

    def check(self) -> tuple[bool, str]:
        """The isolation again from the stored expressions and rows, with other subdivisions."""
        samples = tuple(
            Rows.of({c: np.array(v) for c, v in zip(columns, values, strict=True)}, np.array(weights))
            for columns, values, weights in self.samples
        )
        objective = Objective(self.log_likelihood, self.score, self.parameter, self.lower, self.upper, samples)
        found = Isolator(objective, self.estimate, 4 * self.seconds, ratio=0.45).run()
        if isinstance(found, str):
            return False, found
        if found.root[0] > self.root[1] or found.root[1] < self.root[0]:
            return False, f"the root is in [{found.root[0]!r}, {found.root[1]!r}], not in [{self.root[0]!r}, {self.root[1]!r}]"
        return True, (
            f"{self.parameter} in [{found.root[0]:.15g}, {found.root[1]:.15g}]; {found.left}; {found.right}; "
            f"{found.boxes} boxes between, {found.by_value} of them by value"
        )


def isolate(
    derivation: Any,
    samples: Sequence[Sample],
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
        For each sample of the model, its columns as arrays and its weights (None: all one).
    estimates
        Parameter (symbol or name) to number.
    deadline
        Seconds of wall-clock time.
    constants
        Values of constants that the model leaves open.
    """
    try:
        objective = objective_of(derivation, samples, constants or {})
    except NoEnclosureError as reason:
        return str(reason)
    estimate = _named(estimates, objective.variable)
    found = Isolator(objective, estimate, deadline).run()
    if isinstance(found, str):
        return found
    return certified(objective, found, estimate, deadline)


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


def objective_of(derivation: Any, samples: Sequence[Sample], constants: Mapping[sp.Symbol, Any]) -> Objective:
    """The profile log-likelihood in the one parameter that is left; NoEnclosureError says why there is none."""
    model, estimator = derivation.model, derivation.estimator
    free = [p for p in model.parameters if p in set(derivation.score.equations)]
    closed = {p: e for p, e in estimator.closed.items()}
    left = [p for p in free if p not in closed]
    if len(free) == 1:
        closed, left = {}, free
    if len(left) != 1:
        raise NoEnclosureError(f"{len(left)} parameters are left, the isolation is for one")
    if closed and estimator.profile_certificate is None:
        raise NoEnclosureError("the closed part is not proved to be the conditional maximum")
    if model.declaration.constraints:
        raise NoEnclosureError("the parameters are bound by constraints")
    variable = left[0]
    rows = tuple(Rows.of(columns, weights) for columns, weights in samples)
    values = {s: sp.Rational(v) if isinstance(v, float) else sp.sympify(v) for s, v in _known(model, constants)}

    def written(e: sp.Expr) -> sp.Expr:
        for _ in closed:
            e = e.subs(closed)
        return condensed(e.subs(values))

    lower, upper = _domain(model, variable, closed, rows, values)
    return Objective(
        written(derivation.likelihood.log_likelihood),
        written(derivation.score.equations[variable]),
        variable,
        lower,
        upper,
        rows,
    )


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
    model: Any, variable: sp.Symbol, closed: Mapping[sp.Symbol, sp.Expr], rows: tuple[Rows, ...], values: Mapping[sp.Symbol, Any]
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
                raise NoEnclosureError(f"the support of {column} moves with {', '.join(map(str, sorted(moving, key=str)))}")
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
