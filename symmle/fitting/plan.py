"""What a derivation needs compiled, made once and kept on it: closed parts, equations, likelihood, score."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from sympy import Add, Expr, FiniteSet, Float, Interval, Range, S, Set, Symbol, lambdify

from symmle.compiling.data import Table
from symmle.compiling.evaluate import CompiledExpressions
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.declare.declaration import Declaration
from symmle.errors import DataError, NotDerivedError
from symmle.estimator import Kind, Scope
from symmle.fitting.relations import Relations

Numbers = Mapping[Symbol, Any]
ROUNDING = CONTEXT.mpf(2) ** -200  # relative; estimates have 240 bits
_MAKING = threading.Lock()


class Plan:
    """Compiled parts of one derivation, each made when first used. A pickle of it is empty."""

    def __init__(self, derivation: Any):
        self.derivation = derivation
        self.model = derivation.model
        self.declaration: Declaration = derivation.model.declaration
        self.samples = [part.all_columns for part in self.declaration.samples]
        self.estimator = derivation.estimator
        self.parameters: tuple[Symbol, ...] = _free_parameters(derivation)
        self.auxiliary: dict[Symbol, Set] = dict(derivation.estimator.auxiliary)
        self._scalar: dict[Expr, Callable[[Numbers], Any]] = {}

    def __reduce__(self) -> Any:
        return (_nothing, ())

    @property
    def name(self) -> str:
        name = getattr(self.model, "name", "") or self.declaration.name
        return f"model '{name}'" if name else "the model"

    def compile(self, expressions: Sequence[Any]) -> CompiledExpressions:
        return CompiledExpressions([S(e) for e in expressions], self.samples)

    @property
    def unknowns(self) -> tuple[Symbol, ...]:
        """The parameters, and the new coordinates that remain after a reparametrisation."""
        return (*self.parameters, *self.auxiliary)

    @cached_property
    def left(self) -> list[Symbol]:
        """The unknowns without a closed form."""
        closed = {str(q) for q in self.estimator.closed}
        return [p for p in self.unknowns if str(p) not in closed]

    @cached_property
    def is_proved(self) -> bool:
        """Whether, for every sample, a stationary point in the parameter space is the global maximum."""
        certificates = [p.certificate for p in self.estimator.points if p.certificate is not None]
        return any(c.kind is Kind.GLOBAL_MAXIMUM and c.scope is Scope.EVERY_SAMPLE for c in certificates)

    # --- compiled parts ---

    @cached_property
    def candidates(self) -> list[tuple[list[Symbol], CompiledExpressions]]:
        """Closed candidates: the estimator's closed part and its alternatives."""
        found = []
        for closed in (self.estimator.closed, *self.estimator.alternatives):
            names = [p for p in self.parameters if _in(closed, p)]
            found.append((names, self.compile([closed[p] for p in names])))
        return found

    @cached_property
    def closed_with_conditions(self) -> CompiledExpressions:
        """The closed part and the differences of the conditions on data alone: one pass for both."""
        names = self.candidates[0][0]
        return self.compile(
            [self.estimator.closed[p] for p in names]
            + [p.lhs - p.rhs for c in self.conditions_of_values for p in c.parts]
        )

    @cached_property
    def summed(self) -> frozenset[Symbol]:
        """The columns of which a closed form wants the plain sum."""
        return frozenset() if self.left else self.closed_with_conditions.summed

    @cached_property
    def equation(self) -> CompiledExpressions:
        """The one equation that remains; the score, where there is one parameter and its closed form fails."""
        if self.left and self.estimator.remaining:
            return self.compile([self.estimator.remaining[0].expression])
        return self.compile([self.derivation.score.equations[(self.left or self.parameters)[0]]])

    @property
    def given_the_rest(self) -> list[tuple[list[Symbol], CompiledExpressions]]:
        """Closed candidates as functions of the parameters without a closed form."""
        return self.candidates if self.left else [([], self.compile([]))]

    @cached_property
    def log_likelihood(self) -> CompiledExpressions:
        return self.compile([self.derivation.likelihood.log_likelihood])

    @cached_property
    def score(self) -> CompiledExpressions:
        equations = self.derivation.score.slopes
        return self.compile([equations[p] for p in self.parameters])

    @cached_property
    def hessian(self) -> CompiledExpressions:
        matrix = self.derivation.score.curvature
        return self.compile([matrix[i, j] for i in range(len(self.parameters)) for j in range(i + 1)])

    @cached_property
    def conditions_on_data(self) -> list[Relations]:
        """The estimator's conditions in sample operators and constants."""
        return [c for c in self._conditions if not c.symbols & set(self.unknowns)]

    @cached_property
    def conditions_of_columns(self) -> list[Relations]:
        """Those which say that a column is not constant."""
        return [c for c in self.conditions_on_data if c.varying is not None]

    @cached_property
    def conditions_of_values(self) -> list[Relations]:
        """The others, without those of a domain, which is asked of the value itself."""
        asked = [c for c in self.conditions_on_data if c.condition.reading != "in the domain"]
        return [c for c in asked if c.varying is None]

    @cached_property
    def conditions_at_estimate(self) -> list[Relations]:
        """The conditions that name an unknown without a closed form."""
        return [c for c in self._conditions if c.symbols & set(self.unknowns)]

    @cached_property
    def _conditions(self) -> list[Relations]:
        return [Relations.of(condition, self.compile) for condition in self.estimator.conditions]

    # --- numbers ---

    def constants(self, fixed: Mapping[Any, Any] | None) -> dict[Symbol, Any]:
        """Values of the declared constants and of those that come with the data."""
        given = {str(k): v for k, v in (fixed or {}).items()}
        values: dict[Symbol, Any] = {}
        known = {**self.declaration.constants, **(getattr(self.model, "constants", None) or {})}
        for symbol, value in known.items():
            late = given.pop(str(symbol), None)
            if value is None:
                value = late
            elif late is not None and abs(float(S(late)) - float(S(value))) > 1e-12 * abs(float(S(value))):
                raise DataError(
                    f"{self.name}: `{symbol}` is fixed at {value} in the derivation; `fixed` gave {late}. "
                    "Derive again with the other value."
                )
            if value is None:
                raise DataError(
                    f"{self.name}: `{symbol}` is fixed but has no value. Pass fixed={{'{symbol}': value}}."
                )
            values[symbol] = _constant(value, symbol, self.name)
        if given:
            unknown = next(iter(given))
            raise DataError(
                f"{self.name}: `{unknown}` was not held fixed in the derivation. "
                f"Derive with fixed={{'{unknown}'}} first."
            )
        return values

    def scalar(self, expression: Expr, values: Numbers) -> Any:
        """The 240-bit value of an expression in parameters and constants."""
        if expression not in self._scalar:
            names = sorted(expression.free_symbols, key=str)
            kernel = scalar_kernel(names, [expression])  # type: ignore[arg-type]
            if names:
                self._scalar[expression] = lambda v: CONTEXT.convert(kernel(*(v[n] for n in names))[0])  # type: ignore[index]
            else:
                number = CONTEXT.convert(kernel()[0])
                self._scalar[expression] = lambda v: number
        with LOCK:
            try:
                return self._scalar[expression](values)
            except (ZeroDivisionError, OverflowError, ValueError, TypeError):
                return CONTEXT.nan

    # --- where estimates may lie ---

    @cached_property
    def _moving_supports(self) -> list[tuple[Any, Symbol, Set]]:
        """Supports whose bounds name parameters."""
        return [
            (part, column, support)
            for part in self.declaration.samples
            for column, support in part.support.items()
            if isinstance(support, (Interval, Range)) and support.free_symbols & set(self.parameters)
        ]

    @cached_property
    def _row_conditions(self) -> list[tuple[Any, Expr]]:
        """Expressions that are positive at every row of the support."""
        return [(part, e) for part in self.declaration.samples for e in part.inside]

    @cached_property
    def closed_supports(self) -> list[tuple[int, Symbol, Expr, bool]]:
        """Sample, column and finite closed ends of fixed supports that are intervals; True for the upper one."""
        found = []
        for j, part in enumerate(self.declaration.samples):
            for column, support in part.support.items():
                if not isinstance(support, Interval) or support.free_symbols - set(
                    self.declaration.constants
                ):
                    continue
                if support.start.is_finite is not False and not support.left_open:
                    found.append((j, column, support.start, False))
                if support.end.is_finite is not False and not support.right_open:
                    found.append((j, column, support.end, True))
        return found

    def domain_of(self, parameter: Symbol) -> Set:
        if parameter in self.auxiliary:
            return self.auxiliary[parameter]
        return self.declaration.parameters[parameter]

    def is_in_domain(self, parameter: Symbol, number: Any, values: Numbers) -> bool:
        """Whether a number lies in a parameter's domain (bounds may name other parameters)."""
        return _contains(self, self.domain_of(parameter), number, values)

    def is_at_edge(self, parameter: Symbol, number: Any, values: Numbers) -> bool:
        domain = self.domain_of(parameter)
        if not isinstance(domain, Interval):
            return False
        ends = (self.scalar(e, values) for e in (domain.start, domain.end) if e.is_finite is not False)
        return any(end == number for end in ends)

    def reason_against(self, values: Numbers, table: Table) -> str:
        """Why a full point is not in the parameter space of this data; '' where it is."""
        for parameter in (*self.parameters, *(a for a in self.auxiliary if a in values)):
            number = values[parameter]
            if not is_real(number):
                return f"`{parameter}` would be {_shown(number)}, which is no finite number"
            if not self.is_in_domain(parameter, number, values):
                return (
                    f"`{parameter}` would be {_shown(number)}, outside its domain {self.domain_of(parameter)}"
                )
        for expression in self.declaration.where:
            if not self.scalar(expression, values) > 0:
                return f"{expression} would be {_shown(self.scalar(expression, values))}, not positive"
        return self._outside_support(values, table)

    def _outside_support(self, values: Numbers, table: Table) -> str:
        for part, column, support in self._moving_supports:
            sample = table.sample_of(part.all_columns)
            low_open = isinstance(support, Interval) and bool(support.left_open)
            high_open = isinstance(support, Interval) and bool(support.right_open)
            high = support.end if isinstance(support, Interval) else support.stop - 1
            start = support.start
            for bound, extreme, is_open, upper in (
                (start, sample.minimum[column], low_open, False),
                (high, sample.maximum[column], high_open, True),
            ):
                if not bound.free_symbols:
                    continue
                if bound.free_symbols & set(sample.columns):
                    inside = _rows_inside(bound, column, sample, values, is_open, upper)
                else:
                    edge = self.scalar(bound, values)
                    gap = edge - extreme if upper else extreme - edge
                    # a third of the maximum times 3 is the maximum but for rounding
                    slack = ROUNDING * (abs(edge) + abs(extreme))
                    inside = gap > slack or (gap >= -slack and not is_open)
                if not inside:
                    return f"the support {support} would not hold every `{column}`"
        for part, expression in self._row_conditions:
            if not _is_positive_on(expression, table.sample_of(part.all_columns), values):
                return f"{expression} would not be positive at every `{part.columns[0]}`"
        return ""


def plan_of(derivation: Any) -> Plan:
    """The plan of a derivation, made on first use and kept in its `__dict__`."""
    found = derivation.__dict__.get("_plan")
    if found is None:
        with _MAKING:
            found = derivation.__dict__.get("_plan")
            if found is None:
                found = Plan(derivation)
                derivation.__dict__["_plan"] = found
    return found  # type: ignore[no-any-return]


def refuse_what_is_not_built(plan: Plan) -> None:
    """Latent variables, mixtures and constrained models without a closed form."""
    declaration = plan.declaration
    closed = (not plan.estimator.remaining and plan.estimator.closed) or plan.estimator.faces
    equations = tuple(plan.estimator.remaining)
    if closed:
        return
    if declaration.latent or any(part.components for part in declaration.samples):
        raise NotDerivedError(
            f"{plan.name} has latent structure: no closed form, and EM is not built yet. "
            f"Its likelihood equations: {_written(equations)}.",
            equations,
        )
    if declaration.constraints:
        raise NotDerivedError(
            f"{plan.name} has constraints and no closed form was found; numeric maximisation under "
            f"constraints is not built yet. Its equations: {_written(equations)}.",
            equations,
        )
    obstacle = getattr(plan.estimator, "obstacle", "")
    if obstacle:
        raise NotDerivedError(
            f"{plan.name}: {obstacle}. The likelihood equations do not decide such a maximum, and nothing else is "
            "built yet.",
            equations,
        )
    discrete = [p for p in plan.parameters if isinstance(plan.domain_of(p), (Range, FiniteSet))]
    if discrete:
        raise NotDerivedError(
            f"{plan.name}: `{discrete[0]}` is whole or one of finitely many values, and no rule solved it. "
            f"Its equations: {_written(equations)}.",
            equations,
        )


def _written(equations: Sequence[Any]) -> str:
    return "; ".join(f"{e.parameter}: {e.expression} = 0" for e in equations) or "none were derived"


def _nothing() -> None:
    """What a pickled plan becomes: it is made again on first use."""
    return None


def _free_parameters(derivation: Any) -> tuple[Symbol, ...]:
    likelihood = getattr(derivation, "likelihood", None)
    free = getattr(likelihood, "parameters", None)
    return tuple(free if free is not None else derivation.model.declaration.parameters)


def _in(closed: Mapping[Symbol, Any], parameter: Symbol) -> bool:
    return any(str(p) == str(parameter) for p in closed)


def _constant(value: Any, symbol: Symbol, name: str) -> Any:
    number = S(value)
    if not number.is_number or number.is_real is False or number.is_finite is False:
        raise DataError(f"{name}: expected a finite real number for `{symbol}`, got {value!r}.")
    with LOCK:
        return CONTEXT.mpf(Float(number, 80)._mpf_)


def _contains(plan: Plan, domain: Set, number: Any, values: Numbers) -> bool:
    if isinstance(domain, Interval):
        start, end = plan.scalar(domain.start, values), plan.scalar(domain.end, values)
        above = number > start or (number == start and not domain.left_open)
        return bool(above and (number < end or (number == end and not domain.right_open)))
    if isinstance(domain, Range) or domain in (S.Integers, S.Naturals, S.Naturals0):
        whole = number == CONTEXT.floor(number)
        low, high = plan.scalar(domain.inf, values), plan.scalar(domain.sup, values)
        return bool(whole and low <= number <= high)
    if isinstance(domain, FiniteSet):
        return any(
            abs(plan.scalar(e, values) - number) <= abs(number) * CONTEXT.mpf(2) ** -60 for e in domain
        )
    return True


def _rows_inside(
    bound: Expr, column: Symbol, sample: Any, values: Numbers, is_open: bool, upper: bool
) -> bool:
    names = sorted(bound.free_symbols, key=str)
    function = lambdify(names, bound, "numpy")
    edge = function(*(sample.columns[n] if n in sample.columns else float(values[n]) for n in names))  # type: ignore[index]
    gap = edge - sample.columns[column] if upper else sample.columns[column] - edge
    slack = (
        16 * np.finfo(float).eps * (np.abs(edge) + np.abs(sample.columns[column]))
    )  # the bound is in doubles
    return bool(np.all(gap > 0) if is_open else np.all(gap >= -slack))


@lru_cache(maxsize=64)
def _sign_of(expression: Expr) -> tuple[list[Any], Callable[..., Any], Callable[[], Any]]:
    """Names, the value with the size of its terms in doubles, and the value at 240 bits when first wanted."""
    names = sorted(expression.free_symbols, key=str)
    terms = sum((abs(t) for t in Add.make_args(expression)), S.Zero)
    precise = lru_cache(maxsize=1)(lambda: scalar_kernel(names, [expression]))  # type: ignore[arg-type]
    return names, lambdify(names, [expression, terms], "numpy"), precise


def _is_positive_on(expression: Expr, sample: Any, values: Numbers) -> bool:
    """Whether an expression is positive at every row; rows where doubles do not tell it are taken at 240 bits."""
    names, quick, precise = _sign_of(expression)
    with np.errstate(all="ignore"):
        given = [sample.columns[n] if n in sample.columns else float(values[n]) for n in names]  # type: ignore[index]
        found, size = (np.broadcast_to(v, (sample.rows,)) for v in quick(*given))
    if not np.all(found > -1e-12 * size):
        return False
    for row in np.flatnonzero(~(found > 1e-12 * size))[:64]:
        with LOCK:
            at = [
                CONTEXT.mpf(float(sample.columns[n][row])) if n in sample.columns else values[n]
                for n in names
            ]  # type: ignore[index]
            if not precise()(*at)[0] > 0:
                return False
    return True


def is_real(number: Any) -> bool:
    """Whether a 240-bit number is real and finite."""
    return not isinstance(number, CONTEXT.mpc) and bool(CONTEXT.isfinite(number))


def _shown(number: Any) -> str:
    with LOCK:
        return str(CONTEXT.nstr(number, 8))
