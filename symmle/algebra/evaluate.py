"""The value of an expression in sample operators, in mpmath, on given rows: for checks, not for speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
from sympy import Basic, Expr, S, Sum, Symbol, lambdify

from symmle.algebra.decisions import decided, scalar_decisions, without_poles
from symmle.algebra.series import add_up_in, with_series
from symmle.sample import (
    Count,
    Maximum,
    Mean,
    Median,
    Minimum,
    Quantile,
    SampleOperator,
    Total,
    WeightedQuantile,
    statistics_of,
)


@dataclass(frozen=True)
class Rows:
    """The rows of one sample: columns by symbol, and a weight for each row."""

    columns: Mapping[Symbol, Sequence[Any]]
    weights: Sequence[Any]


def _lambert(z: Any, k: Any = 0) -> Any:
    return mpmath.lambertw(z, int(k))


_MODULES: list[Any] = [
    {"LambertW": _lambert, "loggamma": mpmath.loggamma, **scalar_decisions(mpmath.mp)},
    "mpmath",
]


def _program(arguments: list[Any], e: Expr) -> Callable[..., Any]:
    """lambdify in mpmath; sums over an index are added up until a bound on the rest is small."""
    summed = with_series(arguments, [e], _listed, add_up_in(mpmath.mp)) if e.has(Sum) else None
    if summed is None:
        return lambdify(arguments, e, modules=_MODULES)  # type: ignore[no-any-return]
    program = summed
    return lambda *given: program(*given)[0]


def _names(kind: str, count: int) -> list[Symbol]:
    """Symbols of no one else, whose names Python takes as they are: lambdify rebuilds all for every other one."""
    return [Symbol(f"symmle_{kind}{k:03d}") for k in range(count)]


def _listed(arguments: Sequence[Any], expressions: Sequence[Expr]) -> Callable[..., Any]:
    return lambdify(list(arguments), list(expressions), modules=_MODULES)  # type: ignore[no-any-return]


def compile_expression(expression: Expr) -> Callable[[Mapping[Symbol, Any], Sequence[Rows]], Any]:
    """A function (values, samples) -> mpf of an expression; nested operators are constants inside."""
    expression = without_poles(expression, S.NegativeInfinity)
    operators = statistics_of(expression)
    stand_ins = _names("o", len(operators))
    plain = expression.xreplace(dict(zip(operators, stand_ins, strict=True)))
    symbols = sorted((s for s in plain.free_symbols if s not in set(stand_ins)), key=str)
    renamed = _names("v", len(symbols))
    body = _program([*renamed, *stand_ins], decided(plain).xreplace(dict(zip(symbols, renamed, strict=True))))
    parts = [_compile_operator(operator) for operator in operators]

    def value(values: Mapping[Symbol, Any], samples: Sequence[Rows]) -> Any:
        return body(*(values[s] for s in symbols), *(part(values, samples) for part in parts))

    return value


def _rows_of(operator: SampleOperator, samples: Sequence[Rows]) -> Rows:
    for rows in samples:
        if operator.columns[0] in rows.columns:
            return rows
    raise KeyError(operator.columns[0])


def _compile_operator(operator: SampleOperator) -> Callable[[Mapping[Symbol, Any], Sequence[Rows]], Any]:
    if isinstance(operator, Count):
        return lambda values, samples: mpmath.fsum(_rows_of(operator, samples).weights)
    columns = operator.columns
    summand = _compile_rowwise(operator.args[0], columns)  # type: ignore[arg-type]
    weight = _compile_rowwise(operator.weight, columns) if isinstance(operator, WeightedQuantile) else None
    share = _compile_share(operator)

    def value(values: Mapping[Symbol, Any], samples: Sequence[Rows]) -> Any:
        rows = _rows_of(operator, samples)
        weights = rows.weights
        if weight is not None:
            own = weight(values, samples, rows)
            weights = [w * v for w, v in zip(weights, own, strict=True)]
        kept = [i for i, w in enumerate(weights) if w]
        if len(kept) < len(weights):
            weights = [weights[i] for i in kept]
            rows = Rows({c: [column[i] for i in kept] for c, column in rows.columns.items()}, weights)
        return _reduce(operator, summand(values, samples, rows), weights, share(values, samples))

    return value


Rowwise = Callable[[Mapping[Symbol, Any], Sequence[Rows], Rows], list[Any]]


def _compile_rowwise(expression: Expr, columns: tuple[Symbol, ...]) -> Rowwise:
    """A function of the rows to the values of an expression at each; operators inside are constants."""
    inner = statistics_of(expression)
    stand_ins = _names("o", len(inner))
    plain = expression.xreplace(dict(zip(inner, stand_ins, strict=True)))
    symbols = sorted((s for s in plain.free_symbols - set(columns) if s not in set(stand_ins)), key=str)
    names = _names("v", len(columns) + len(symbols))
    put = dict(zip((*columns, *symbols), names, strict=True))
    body = _program([*names, *stand_ins], decided(plain).xreplace(put))
    parts = [_compile_operator(o) for o in inner]

    def value(values: Mapping[Symbol, Any], samples: Sequence[Rows], rows: Rows) -> list[Any]:
        extra = [values[s] for s in symbols] + [part(values, samples) for part in parts]
        return [body(*row, *extra) for row in zip(*(rows.columns[c] for c in columns), strict=True)]

    return value


def _compile_share(operator: SampleOperator) -> Callable[[Mapping[Symbol, Any], Sequence[Rows]], Any]:
    if isinstance(operator, Quantile | WeightedQuantile):
        return compile_expression(operator.probability)
    return lambda values, samples: mpmath.mpf(1) / 2


def _reduce(operator: SampleOperator, each: list[Any], weights: Sequence[Any], share: Any) -> Any:
    """The operator's value from those of its summand, on rows whose weight is not 0."""
    if isinstance(operator, Total | Mean):
        total = mpmath.fsum(w * e for w, e in zip(weights, each, strict=True))
        return total if isinstance(operator, Total) else total / mpmath.fsum(weights)
    if any(mpmath.isnan(mpmath.mpmathify(e)) for e in each):
        return mpmath.nan
    kept = sorted((e, w) for e, w in zip(each, weights, strict=True))
    if isinstance(operator, Minimum):
        return kept[0][0]
    if isinstance(operator, Maximum):
        return kept[-1][0]
    if not isinstance(operator, Median | Quantile | WeightedQuantile):
        raise TypeError(f"no value is defined for {type(operator).__name__}")
    total, so_far = mpmath.fsum(weights), mpmath.mpf(0)
    goal = share * total - abs(total) * mpmath.ldexp(mpmath.mpf(1), -(3 * mpmath.mp.prec) // 4)
    for e, w in kept:
        so_far += w
        if so_far >= goal:  # but for rounding of p n, which counts as reached
            return e
    return kept[-1][0] if kept else mpmath.nan


def evaluate(
    expression: Basic, values: Mapping[Symbol, Any], samples: Iterable[Rows], digits: int = 30
) -> Any:
    """The value with about `digits` digits; complex where it is."""
    with mpmath.workdps(digits + 10):
        return compile_expression(expression)(values, list(samples))  # type: ignore[arg-type]


def is_close(a: Any, b: Any, digits: int) -> bool:
    """Whether a and b agree to `digits` digits of the larger, absolute below 1."""
    scale = max(abs(a), abs(b), mpmath.mpf(1))
    if mpmath.isinf(scale):
        return bool(a == b)
    return bool(abs(a - b) <= scale * mpmath.mpf(10) ** (-digits))


__all__ = ["Rows", "compile_expression", "evaluate", "is_close"]
