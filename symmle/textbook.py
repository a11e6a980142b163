"""Estimates and stationary points from the statistics of an exercise: n, means and totals, without the data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import mpmath
from sympy import Add, Dummy, Expr, Float, Interval, Rational, S, Symbol, Tuple, linsolve, nan, oo, zoo

from symmle.algebra import GaveUp, attempt_within, compile_expression
from symmle.declare.parser import parse_expression
from symmle.errors import DataError, NoMaximumError, NotDerivedError
from symmle.estimator import BySymbol, Kind, StationaryPoint
from symmle.logarithm import separate
from symmle.sample import Count, Maximum, Mean, Minimum, SampleOperator, Total, statistics_of
from symmle.strategies.problem import real_part

if TYPE_CHECKING:
    from symmle.derivation import Derivation
    from symmle.fitting.points import StationaryPoints

_KEY = re.compile(r"^\s*(mean|total|count|minimum|maximum)\s*\((.*)\)\s*$", re.IGNORECASE | re.DOTALL)
_GRID = 400


def estimate_from_statistics(
    derivation: Derivation, statistics: Mapping[Any, Any], fixed: Mapping[Any, Any] | None = None
) -> dict[str, float]:
    """Estimates by name from {"n": 10, "mean(x)": 2.5, "total(x**2)": 80}.

    Raises
    ------
    DataError
        A statistic that the formula needs follows from none of those given.
    NotDerivedError
        An equation remains whose statistics hold a parameter: it needs the data.
    NoMaximumError
        The statistics give a value outside the parameter's domain.
    """
    given = _Given(derivation, statistics)
    estimator = derivation.estimator
    if not estimator.closed and not estimator.remaining:
        raise NotDerivedError(
            "Nothing was derived that statistics could be put into: " + "; ".join(estimator.notes)
        )
    constants = _constants(derivation, fixed)
    values: dict[Symbol, Any] = dict(constants)
    if len(estimator.remaining) > 1:
        raise NotDerivedError(
            f"{len(estimator.remaining)} equations remain; pass the data.",
            tuple(e.expression for e in estimator.remaining),
        )
    for equation in estimator.remaining:
        expression = given.put_in(equation.expression)
        values[equation.parameter] = _root(derivation, expression, equation.parameter, constants)
    candidates = []
    for closed in (estimator.closed, *estimator.alternatives):
        found = dict(values)
        for p, e in closed.items():
            found[p] = _value(given.put_in(e), values)
        outside = next((p for p in closed if not _in_domain(derivation, p, found[p], values)), None)
        if outside is None:
            candidates.append(found)
        elif closed is estimator.closed:
            first_outside = (outside, found[outside])
    if not candidates:
        p, v = first_outside
        raise NoMaximumError(
            f"The statistics give {p} = {v}, outside its domain {derivation.model.domain_of(p)}: "
            "the likelihood has no maximum for such a sample. Check the statistics."
        )
    best = candidates[0] if len(candidates) == 1 else max(candidates, key=lambda c: given.log_likelihood(c))
    return {str(p): float(best[p]) for p in derivation.model.parameters}


def stationary_points_from_statistics(
    derivation: Derivation, statistics: Mapping[Any, Any], fixed: Mapping[Any, Any] | None = None
) -> StationaryPoints:
    """The stationary points in the parameter space from {"n": 10, "mean(x*y)": 2.5}, the best first.

    All of them where the likelihood equations are rational in the parameters; else the estimate alone. The
    log-likelihood is None where it needs a statistic that is not given; the order is right all the same.
    """
    from symmle.fitting.homotopy import equations_at, every_stationary_point
    from symmle.fitting.plan import plan_of, refuse_what_is_not_built
    from symmle.fitting.points import StationaryPoints

    given = _Given(derivation, statistics)
    plan = plan_of(derivation)
    refuse_what_is_not_built(plan)
    constants = plan.constants(fixed)
    certificate = next(
        (p.certificate for p in derivation.estimator.points if p.certificate is not None), None
    )
    # what the statistics leave open is put to 0, and must not matter
    everything = every_stationary_point(plan, given.value_of, constants)
    if given.open and equations_at(plan, given.value_of, constants) != equations_at(
        plan, partial(given.value_of, at=S.One), constants
    ):
        given.put_in(given.open[0])
    if isinstance(everything, str):
        estimates = estimate_from_statistics(derivation, statistics, fixed)
        kind = certificate.kind if certificate is not None else Kind.UNDECIDED
        unique = certificate is not None and plan.is_proved and not derivation.estimator.maximisers
        reason = f"{certificate.theorem}: there is one stationary point at most" if unique else everything  # type: ignore[union-attr]
        only = StationaryPoint(
            BySymbol({p: Float(estimates[str(p)], 17) for p in plan.parameters}), kind, certificate
        )
        return StationaryPoints([only], True if unique else None, reason)
    ranked = sorted(
        ((given.log_likelihood(v, S.Zero), v, kind) for v, kind in everything.points),
        key=lambda found: -found[0],
    )
    if not ranked:
        raise NoMaximumError(
            f"{plan.name}: no stationary point lies in the parameter space for these statistics."
        )
    points = []
    for rank, (_, values, kind) in enumerate(ranked):
        proof = certificate if rank == 0 else None
        points.append(
            StationaryPoint(
                BySymbol({p: Float(float(values[p]), 17) for p in plan.parameters}),
                kind if proof is None else proof.kind,
                proof,
                log_likelihood=given.whole_log_likelihood(values),
            )
        )
    return StationaryPoints(points, everything.complete, everything.reason, everything.ml_degree)


def _constants(derivation: Derivation, fixed: Mapping[Any, Any] | None) -> dict[Symbol, Expr]:
    late = {str(k): v for k, v in (fixed or {}).items()}
    found: dict[Symbol, Expr] = {}
    for symbol, value in derivation.model.constants.items():
        value = late.get(str(symbol), value) if value is None else value
        if value is None:
            raise DataError(f"`{symbol}` is held fixed without a value. Pass fixed={{'{symbol}': value}}.")
        found[symbol] = _exact(value, f"the value of `{symbol}`")
    return found


def _exact(value: Any, what: str) -> Expr:
    """The decimal that was written: 2.1 is 21/10."""
    if isinstance(value, Expr) and not isinstance(value, Float):
        number = value
    else:
        try:
            number = Rational(str(value))
        except (TypeError, ValueError):
            raise DataError(f"Expected a finite number as {what}, got {value!r}.") from None
    if not number.is_number or not number.is_finite or not number.is_real:
        raise DataError(f"Expected a finite number as {what}, got {value!r}.")
    return number


class _Given:
    """The statistics that were given, and what follows from them by linear combination."""

    def __init__(self, derivation: Derivation, statistics: Mapping[Any, Any]):
        self.derivation = derivation
        self.columns = [f.columns for f in derivation.likelihood.forms]
        self.counts: dict[Expr, Expr] = {}
        self.other: dict[Expr, Expr] = {}
        equations: list[tuple[Expr, Expr]] = []
        late: list[tuple[Expr, Expr]] = []
        for key, value in statistics.items():
            operator = self._operator(key)
            number = _exact(value, f"statistic `{key}`")
            if isinstance(operator, Count):
                if not number > 0:
                    raise DataError(f"Expected a positive sample size as `{key}`, got {value!r}.")
                self.counts[operator] = number
            elif isinstance(operator, Minimum | Maximum):
                self.other[operator] = number
            else:
                late.append((operator, number))
        for operator, number in late:
            equations.append((self._as_means(operator, str(operator)), number))
        self.symbols: dict[Expr, Symbol] = {}
        rows = [self._linear(e) - v for e, v in equations]
        self.partly = self._solve(rows)  # each mean by those that are left open
        unknown = set(self.symbols.values())
        self.known = {s: v for s, v in self.partly.items() if not v.free_symbols & unknown}
        self.open: list[SampleOperator] = []

    def _operator(self, key: Any) -> Expr:
        if isinstance(key, SampleOperator):
            return key
        if isinstance(key, Expr) and statistics_of(key):
            return key
        if str(key).strip() == "n":
            if len(self.columns) > 1:
                raise DataError("There are several samples: give count(x) for each by one of its columns.")
            return Count(self.columns[0])
        match = _KEY.match(str(key))
        if match is None:
            raise DataError(f"Expected a statistic such as 'n', 'mean(x)' or 'total(x**2)', got {key!r}.")
        kind, inside = match.group(1).lower(), match.group(2)
        names = {str(s): s for c in self.columns for s in c} | {
            str(s): s for s in self.derivation.model.constants
        }
        e = parse_expression(inside, names, f"statistic `{key}`")
        columns = next((c for c in self.columns if e.free_symbols & set(c)), None)
        if columns is None:
            raise DataError(
                f"Statistic `{key}` names no column of the data: {', '.join(str(s) for c in self.columns for s in c)}."
            )
        if kind == "count":
            return Count(columns)
        return {"mean": Mean, "total": Total, "minimum": Minimum, "maximum": Maximum}[kind](e, columns)

    def _as_means(self, operator: Expr, key: str) -> Expr:
        def mean(t: Expr) -> Expr:
            count = self.counts.get(Count(t.args[-1]))
            if count is None:
                raise DataError(f"A total needs the sample size: give 'n' beside {key}.")
            return count * Mean(t.summand, t.args[-1])

        return operator.replace(lambda e: isinstance(e, Total), mean)

    def _linear(self, e: Expr) -> Expr:
        """Means split into those of single terms, each by a symbol."""

        def split(operator: Expr) -> Expr:
            columns: Tuple = operator.args[-1]
            summand = operator.summand.replace(lambda n: isinstance(n, Mean), split)
            parts = []
            for c, g in separate(summand, tuple(columns)):
                mean = Mean(g, columns)
                parts.append(
                    c
                    * (
                        self.symbols.setdefault(mean, Dummy(str(mean), real=True))
                        if isinstance(mean, Mean)
                        else mean
                    )
                )
            return Add(*parts)

        found = e
        for operator in sorted(statistics_of(e), key=lambda o: -o.count_ops()):
            if isinstance(operator, Mean):
                found = found.xreplace({operator: split(operator)})
        return found.xreplace(self.counts).xreplace(self.other)

    def _solve(self, rows: list[Expr]) -> dict[Symbol, Expr]:
        if not rows:
            return {}
        unknown = list(self.symbols.values())
        answer = attempt_within(2.0, linsolve, rows, unknown)
        if isinstance(answer, GaveUp) or not answer:
            raise DataError("The given statistics contradict each other.")
        (solution,) = answer
        return dict(zip(unknown, solution, strict=True))

    def put_in(self, e: Expr) -> Expr:
        """The expression with numbers for its statistics."""
        found = self._linear(e).xreplace(self.known)
        back = {s: m for m, s in self.symbols.items()}
        missing = [str(back[s]) for s in found.free_symbols if s in back]
        left = statistics_of(found)
        bound = [m for m in missing if self._holds_parameter(m, back)]
        if bound:
            raise NotDerivedError(
                f"{bound[0].lower()} holds a parameter: it needs the data, not statistics.", (e,)
            )
        if missing or left:
            names = ", ".join(sorted([*(m.lower() for m in missing), *(str(o).lower() for o in left)]))
            raise DataError(
                f"The formula needs {names}, which does not follow from the statistics given. Give it."
            )
        return found

    def _holds_parameter(self, name: str, back: Mapping[Symbol, Expr]) -> bool:
        mean = next(m for m in back.values() if str(m) == name)
        return bool(mean.free_symbols & set(self.derivation.model.parameters))

    def value_of(self, operator: SampleOperator, at: Expr = S.Zero) -> Rational:
        """The number of one mean or count; `at` stands for what the statistics leave open of it."""
        if isinstance(operator, Count) and operator not in self.counts:
            names = " or ".join(f"count({c[0]})" for c in self.columns if tuple(c) == operator.columns)
            raise DataError(
                f"The formula needs the sample size. Give {'n' if len(self.columns) == 1 else names}."
            )
        found = self._with_open(operator, at)
        if operator not in self.open and found != self._with_open(operator, at + 1):
            self.open.append(operator)
        if not found.is_Rational:
            raise ArithmeticError(f"{operator} is no rational number")
        return found

    def whole_log_likelihood(self, values: Mapping[Symbol, Any]) -> float | None:
        """l, or None where it needs a statistic that is not given."""
        heights = []
        for at in (S.Zero, S.One):
            e = self._with_open(self.derivation.likelihood.log_likelihood, at)
            if statistics_of(e):
                return None
            heights.append(float(_value(e, values)))
        return heights[0] if abs(heights[0] - heights[1]) <= 1e-12 * (1 + abs(heights[0])) else None

    def _with_open(self, e: Expr, at: Expr) -> Expr:
        """The expression with a number for what the statistics leave open."""
        found = self._linear(e).xreplace(self.partly)
        return found.xreplace(dict.fromkeys(self.symbols.values(), at))

    def log_likelihood(self, values: Mapping[Symbol, Any], open_at: Expr | None = None) -> Any:
        """l up to statistics without parameters, to compare candidates; or with a number for what is left open."""
        scores = self.derivation.likelihood
        terms = []
        for form in scores.forms:
            for c, g in form.terms:
                if c.free_symbols & set(self.derivation.model.parameters):
                    terms.append(c * Count(form.columns) * Mean(g, form.columns))
        e = Add(*terms)
        return _value(self.put_in(e) if open_at is None else self._with_open(e, open_at), values)


def _value(e: Expr, values: Mapping[Symbol, Any]) -> Any:
    """The number of an expression; what two precisions do not agree on is rounding about 0."""
    if e.has(zoo, nan, oo):
        return mpmath.nan
    f, found = compile_expression(e), []
    for digits in (40, 60):
        with mpmath.workdps(digits):
            value = f({s: mpmath.mpmathify(_mp(v)) for s, v in values.items()}, [])
            if isinstance(value, mpmath.mpc) and abs(value.imag) < mpmath.mpf(10) ** -20 * abs(value.real):
                value = value.real
            found.append(value)
    return found[1] if abs(found[1] - found[0]) <= mpmath.mpf(10) ** -12 * abs(found[1]) else mpmath.mpf(0)


def _mp(v: Any) -> Any:
    if isinstance(v, Rational):
        return mpmath.mpf(int(v.p)) / int(v.q)
    return mpmath.mpf(str(v.evalf(40))) if isinstance(v, Expr) else v


def _in_domain(derivation: Derivation, p: Symbol, value: Any, values: Mapping[Symbol, Any]) -> bool:
    value = real_part(value)
    if value is None:
        return False
    domain = derivation.model.domain_of(p)
    if not isinstance(domain, Interval):
        return True
    lo, hi = domain.start.xreplace(dict(values)), domain.end.xreplace(dict(values))
    above = lo == -oo or value > _mp(S(lo)) or (not domain.left_open and value >= _mp(S(lo)))
    below = hi == oo or value < _mp(S(hi)) or (not domain.right_open and value <= _mp(S(hi)))
    return bool(above and below)


def _root(derivation: Derivation, e: Expr, p: Symbol, constants: Mapping[Symbol, Expr]) -> Any:
    """The root of a remaining equation in numbers, where its sign changes once on a wide grid."""
    f = compile_expression(e)
    domain = derivation.model.domain_of(p)
    lo, hi = (domain.start, domain.end) if isinstance(domain, Interval) else (-oo, oo)
    with mpmath.workdps(40):
        known = {s: _mp(v) for s, v in constants.items()}

        def at(u: Any) -> Any:
            if lo == -oo and hi == oo:
                return mpmath.sinh(u)
            if hi == oo:
                return _mp(lo) + mpmath.exp(u)
            if lo == -oo:
                return _mp(hi) - mpmath.exp(-u)
            return _mp(lo) + (_mp(hi) - _mp(lo)) / (1 + mpmath.exp(-u))

        def g(u: Any) -> Any:
            return mpmath.re(f({**known, p: at(u)}, []))

        grid = [mpmath.mpf(k) / 10 for k in range(-_GRID, _GRID + 1)]
        signs = [(u, mpmath.sign(g(u))) for u in grid]
        brackets = [(a, b) for (a, s), (b, t) in zip(signs, signs[1:], strict=False) if s * t < 0]
        if not brackets:
            raise NoMaximumError(
                f"The remaining equation for {p} has no root for these statistics: no maximum inside."
            )
        if len(brackets) > 1:
            raise NotDerivedError(
                f"The remaining equation for {p} has {len(brackets)} roots; pass the data.", (e,)
            )
        return at(mpmath.findroot(g, brackets[0], solver="anderson", tol=1e-30, verify=False))
