"""l(N + 1) - l(N) at 240 bits, row by row where rows are few: what does not hold N is computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sympy import Add, Dummy, Expr, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, LOCK, scalar_kernel
from symmle.compiling.row_data import Rows
from symmle.fitting.plan import Plan
from symmle.sample import Mean, SampleOperator, statistics_of

FEW = 400  # distinct rows
NOISE = 2.0**-190  # of what was added: a smaller sum is 0
EXACT = -1.0  # a tolerance that asks for 240 bits: logarithms of numbers near 1 are rounded in doubles

Rise = Callable[[int], Any]


def rise_of(plan: Plan, table: Table, constants: Mapping[Symbol, Any], e: Expr, whole: Symbol) -> Rise:
    """A function of N; nan where a logarithm or a quotient is not defined."""
    return _by_rows(plan, table, constants, e, whole) or _compiled(plan, table, constants, e, whole)


def _compiled(plan: Plan, table: Table, constants: Mapping[Symbol, Any], e: Expr, whole: Symbol) -> Rise:
    compiled = plan.compile([e])

    def rise(n: int) -> Any:
        at = {**constants, whole: CONTEXT.mpf(n)}
        value = compiled.precise(table, at, tolerance=1e-6)[0]
        if value.finite and abs(value.number) < 1e-6 * table.n:
            value = compiled.precise(table, at, tolerance=EXACT)[0]
        if not value.finite:
            return value.number
        return CONTEXT.mpf(0) if abs(value.number) <= value.error else value.number

    return rise


def _by_rows(
    plan: Plan, table: Table, constants: Mapping[Symbol, Any], e: Expr, whole: Symbol
) -> Rise | None:
    operators = statistics_of(e)
    moving = [o for o in operators if o.has(whole)]
    if not all(isinstance(o, Mean) for o in moving):
        return None
    inner = [o for m in moving for o in statistics_of(m.args[0])]
    if any(o.has(whole) for o in inner):
        return None
    fixed = list(dict.fromkeys([o for o in operators if not o.has(whole)] + inner))
    found = plan.compile(fixed).precise(table, dict(constants), tolerance=EXACT) if fixed else []
    names: dict[SampleOperator, Symbol] = {o: Dummy(f"T{k}") for k, o in enumerate(fixed)}
    known = {**constants, **{names[o]: v.number for o, v in zip(fixed, found, strict=True)}}
    means = []
    for m in moving:
        rows = Rows.of(table.sample_of(m.columns), frozenset()).distinct()
        if rows is None or len(rows[1]) > FEW:
            return None
        means.append(_mean(m, rows, names, known, whole))  # type: ignore[arg-type]
    stand_ins = [Dummy(f"M{k}") for k in range(len(moving))]
    plain = e.xreplace({**names, **dict(zip(moving, stand_ins, strict=True))})
    outer = sorted(plain.free_symbols - set(stand_ins) - {whole}, key=str)
    kernel = scalar_kernel([whole, *outer, *stand_ins], list(Add.make_args(plain)))
    values = [known[s] for s in outer]

    def rise(n: int) -> Any:
        with LOCK:
            at = CONTEXT.mpf(n)
            try:
                inside = [mean(at) for mean in means]
                terms = [CONTEXT.convert(t) for t in kernel(at, *values, *(m for m, _ in inside))]
            except (ZeroDivisionError, OverflowError, ValueError, TypeError):
                return CONTEXT.nan
            total = sum(terms, CONTEXT.mpf(0))
            size = sum((abs(t) for t in terms), table.n * (1 + sum(s for _, s in inside)))
            if isinstance(total, CONTEXT.mpc) or not CONTEXT.isfinite(size):
                return total if CONTEXT.isinf(total) else CONTEXT.nan
            return CONTEXT.mpf(0) if abs(total) <= NOISE * size else total

    return rise


def _mean(
    m: Mean, rows: Any, names: Mapping[SampleOperator, Symbol], known: Mapping[Symbol, Any], whole: Symbol
) -> Callable[[Any], tuple[Any, Any]]:
    """The mean over the distinct rows, and that of the absolute values."""
    columns, weights = rows
    summand = m.args[0].xreplace(dict(names))
    rest = sorted(summand.free_symbols - set(m.columns) - {whole}, key=str)
    kernel = scalar_kernel([whole, *m.columns, *rest], [summand])
    values = [known[s] for s in rest]
    each = [
        [CONTEXT.mpf(float(v)) for v in row] for row in zip(*(columns[c] for c in m.columns), strict=True)
    ]
    count = sum(weights, CONTEXT.mpf(0))

    def mean(at: Any) -> tuple[Any, Any]:
        found = [CONTEXT.convert(kernel(at, *row, *values)[0]) for row in each]
        total = sum((w * v for w, v in zip(weights, found, strict=True)), CONTEXT.mpf(0))
        size = sum((w * abs(v) for w, v in zip(weights, found, strict=True)), CONTEXT.mpf(0))
        return total / count, size / count

    return mean


__all__ = ["EXACT", "rise_of"]
