"""Sums over the rows of functions of data and parameters: one pass in cache-sized blocks, in doubles.

What is free of parameters (log x, x**2) is computed once and kept with the table, what is free of data
once a call; subexpressions are shared among all functions of a pass, and the sum of a product is an inner product.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import (
    Add,
    Dummy,
    Expr,
    Function,
    Integer,
    Mul,
    Pow,
    S,
    Sum,
    Symbol,
    cancel,
    cse,
    exp,
    expand,
    lambdify,
    log,
)

from symmle.algebra.series import with_series
from symmle.compiling.derivatives import row_derivatives
from symmle.compiling.kernels import RowPrinter, expm1_, log1mexp_, log1p_, row_functions, softplus_, stable
from symmle.compiling.series import add_up_in_doubles

Array = NDArray[Any]
ROWS = 1 << 16  # of a block: its buffers stay in the caches, and few blocks keep Python's share small
FEW_ROWS = 1 << 14  # of a block where there are many buffers
MANY_STEPS = 24
ROWS_OF_TWO = 1 << 18  # from which a second thread pays
SHORT = (
    1 << 13
)  # rows of an inner product for which BLAS starts no threads, so that it is the same everywhere

dot_, total_, inverse_ = (Function(f"symmle_{n}") for n in ("dot", "total", "inverse"))
exp_ = Function("symmle_exp")  # not joined: exp(y)**2 stays a square


def with_powers_as_exponentials(e: Expr, columns: Iterable[Symbol] = ()) -> Expr:
    """x**k as exp(k log x) where k is no number: the logarithm is shared, and kept where it is of data alone.

    What is free of `columns` goes out of the base: (x/s)**k is s**-k exp(k log x).
    """
    data = set(columns)

    def written(power: Expr) -> Expr:
        base, exponent = power.base, power.exp  # type: ignore[attr-defined]
        if data and base.is_Mul:
            outside, inside = base.as_independent(*data, as_Add=False)
            if outside != 1 and outside.is_positive and inside.is_positive:
                return exp(exponent * log(outside)) * exp(exponent * log(inside))  # type: ignore[no-any-return]
        return exp(exponent * log(base))  # type: ignore[no-any-return]

    return e.replace(
        lambda p: (
            isinstance(p, Pow)
            and not p.exp.is_number
            and not p.base.is_number
            and p.base.is_positive is not False
        ),
        written,
    )


def prepared(e: Expr, columns: Iterable[Symbol], lines: list[Expr] | None = None) -> Expr:
    """The function as rows are evaluated: stable, its squares completed, its lines as multiples of those in `lines`.

    log(1 + exp(y)) goes by way of exp(y), which the derivatives need too; beyond y = 709 it is not finite.
    """
    e = with_powers_as_exponentials(_squared(e, set(columns)), columns)
    e = e.replace(lambda p: isinstance(p, log) and p.args[0].is_Mul, lambda p: _opened_log(p, set(columns)))
    e = stable(e).replace(lambda p: p.func == softplus_, lambda p: log(1 + exp(p.args[0])))
    return _lines(e, set(columns), [] if lines is None else lines)


def _lines(e: Expr, columns: set[Symbol], known: list[Expr]) -> Expr:
    """Every a x + b in one form, so that it is shared: a multiple of a known one; a (x - r); else a x + b."""

    def canonical(node: Expr) -> Expr:
        mine = columns & node.free_symbols
        if len(mine) != 1:
            return node
        (x,) = mine
        opened = expand(node)
        a, b = opened.coeff(x), opened.coeff(x, 0)
        if a == 0 or (a.free_symbols | b.free_symbols) & columns or expand(opened - a * x - b) != 0:
            return node
        for line in known:
            ratio = cancel(opened / line)
            if not ratio.free_symbols & columns and ratio.is_nonzero is not False:
                return ratio * line
        r = cancel(-b / a)
        if r.is_polynomial(*r.free_symbols):
            known.append(x - r)
            return a * (x - r)
        known.append(a * x + b)
        return known[-1]

    def small(node: Expr) -> bool:
        return isinstance(node, Add) and len(node.args) <= 4 and bool(node.free_symbols & columns)

    e = e.replace(small, canonical)
    return e.replace(
        lambda n: n.func == log1p_ and n.args[0].has(Add), lambda n: log(canonical(1 + n.args[0]))
    )


def _opened_log(e: Expr, columns: set[Symbol]) -> Expr:
    outside, inside = e.args[0].as_independent(*columns, as_Add=False)
    if outside.free_symbols and outside.is_positive and inside.is_positive:
        return log(outside) + log(inside)  # type: ignore[no-any-return]
    return e


def _squared(e: Expr, columns: set[Symbol]) -> Expr:
    """x**2 - 2 m x + m**2 + c as (x - m)**2 + c: fewer operations, and no cancellation far from 0."""

    def completed(node: Expr) -> Expr:
        for column in columns & node.free_symbols:
            parts = {0: S.Zero, 1: S.Zero, 2: S.Zero}
            for term in node.args:
                rest, power = term.as_independent(column, as_Add=False)
                degree = (
                    0 if power == 1 else power.as_base_exp()[1] if power.as_base_exp()[0] == column else -1
                )
                if degree not in parts or rest.free_symbols & columns:
                    break
                parts[degree] += rest
            else:
                a, b, c = parts[2], parts[1], parts[0]
                if b != 0 and (a.is_positive or a.is_negative):
                    middle = (-b / (2 * a)).expand()
                    return a * (column - middle) ** 2 + (c - a * middle**2).expand()
        return node

    return e.replace(lambda n: isinstance(n, Add) and len(n.args) > 2, completed)


def linear_parts(e: Expr, columns: set[Symbol]) -> list[tuple[Expr, Expr]]:
    """e as a sum of coefficients free of data times functions of rows, (coefficient, function)."""
    found = []
    for term in Add.make_args(e):
        coefficient, rest = term.as_independent(*columns, as_Add=False)
        factors = []
        for factor in Mul.make_args(rest):
            base, power = factor.as_base_exp()
            if isinstance(base, Add) and isinstance(power, Integer):
                leading = _leading(base, columns)
                if leading not in (None, S.One):
                    coefficient *= leading**power
                    base = Add(*(a / leading for a in base.args))
            if isinstance(power, Integer) and power < -1:
                base, power = inverse_(base), -power
            elif power == -1:
                base, power = inverse_(base), S.One
            factors.append(base**power)
        found.append((coefficient, Mul(*factors)))
    return found


def _leading(base: Expr, columns: set[Symbol]) -> Expr | None:
    """The coefficient of the first bare column, where it cannot be 0."""
    for column in sorted(columns & base.free_symbols, key=str):
        for term in base.args:
            coefficient, rest = term.as_independent(column, as_Add=False)
            if rest == column and not coefficient.free_symbols & columns and coefficient.is_nonzero:
                return coefficient
    return None


class RowSums:
    """sum_i w_i g_j(x_i; theta) for several g_j, compiled once.

    Parameters
    ----------
    functions
        In columns and parameters, each with at least one column.
    columns, parameters
        Their symbols; the order of the arguments.
    statistics
        Functions of columns and `constants` alone, summed on the way by `keep`.
    """

    def __init__(
        self,
        functions: Sequence[Expr],
        columns: Sequence[Symbol],
        parameters: Sequence[Symbol],
        statistics: Sequence[Expr] = (),
        constants: Sequence[Symbol] = (),
    ):
        self.columns, self.parameters = tuple(columns), tuple(parameters)
        self.size = len(functions)
        names: dict[Symbol, Symbol] = {
            s: Dummy(f"a{i}", real=True) for i, s in enumerate((*columns, *parameters))
        }
        data = {names[c] for c in columns}
        self._known = [names[p] for p in parameters]
        count = len(functions)
        written = [prepared(e, columns).xreplace(names) for e in (*functions, *statistics)]
        written = _with_few_functions(written, data)
        bodies, self._kept_names, kept = _kept_apart(written[:count], data, set(self._known))
        self._bodies = bodies
        self._columns = [names[c] for c in columns]
        self._data = data | set(self._kept_names)
        self.statistics = len(statistics)
        wanted = [*self._columns, *(names[k] for k in constants)]
        self._kept, self._fixed_names = kept, [names[k] for k in constants]
        self._statistics, self._wanted = written[count:], wanted
        self.keeps = bool(kept or statistics)  # whether there is anything to keep or to sum once
        self._keeping: dict[tuple[int, ...], _Program] = {}
        self._programs: dict[tuple[tuple[int, ...], bool], _Program] = {}

    def keeping(self, which: Sequence[int]) -> _Program:
        """What is kept, and some of the statistics."""
        key = tuple(which)
        if key not in self._keeping:
            pool = _Pool(set(self._columns))
            sums = [pool.sum_of(self._statistics[k]) for k in key]
            self._keeping[key] = _Program(self._wanted, self._kept, sums, self._fixed_names)
        return self._keeping[key]

    @cached_property
    def _rowwise_kept(self) -> _Program:
        return _Program(self._wanted, [*self._kept, *self._statistics], [], self._fixed_names)

    def program(self, which: Sequence[int] | None = None, rowwise: bool = False) -> _Program:
        """The compiled functions, all or some; `rowwise` ones are not summed."""
        key = tuple(range(self.size) if which is None else which), rowwise
        if key not in self._programs:
            bodies = [self._bodies[k] for k in key[0]]
            used = [*self._columns, *self._kept_names, *self._known]
            shared = _Pool(self._data)
            parts = [] if rowwise else [shared.sum_of(b) for b in bodies]
            self._programs[key] = _Program(used, bodies if rowwise else [], parts, self._known)
        return self._programs[key]

    def keep(
        self, columns: Sequence[Array], weights: Array | None = None, constants: Sequence[float] = ()
    ) -> tuple[list[Array], list[float]]:
        """The functions of data alone that every call needs, and the sums of the statistics: one pass."""
        kept, statistics, _ = self.first(columns, weights, constants)
        return kept, statistics

    def first(
        self,
        columns: Sequence[Array],
        weights: Array | None,
        constants: Sequence[float],
        theta: Sequence[float] | None = None,
        which: Sequence[int] | None = None,
        known: Mapping[int, float] | None = None,
    ) -> tuple[list[Array], list[float], list[float]]:
        """What is kept, the statistics, and the sums at theta of some functions, in one pass.

        Statistics in `known` are taken from there.
        """
        known = known or {}
        program = None if theta is None else self.program(which)
        left = [k for k in range(self.statistics) if k not in known]
        if not left and not self._kept_names:
            sums = [] if program is None or theta is None else self(columns, [], weights, theta, which)
            return [], [known[k] for k in range(self.statistics)], sums
        rows = len(columns[0])
        keeping, found = self.keeping(left), [np.empty(rows) for _ in self._kept_names]
        fixed = [*constants, *keeping.scalars(constants)]
        numbers = [] if program is None or theta is None else [*theta, *program.scalars(theta)]

        def work(low: int, high: int) -> list[float]:
            part = [c[low:high] for c in columns]
            w = None if weights is None else weights[low:high]
            values, sums = keeping.block(w, *part, *fixed)
            for whole, value in zip(found, values, strict=True):
                whole[low:high] = value
            if program is not None:
                sums = [*sums, *program.block(w, *part, *(k[low:high] for k in found), *numbers)[1]]
            return sums

        steps = keeping.steps + (0 if program is None else program.steps)
        sums = _over_blocks(work, rows, steps)
        statistics = {**known, **dict(zip(left, sums, strict=False))}
        return found, [statistics[k] for k in range(self.statistics)], sums[len(left) :]

    def __call__(
        self,
        columns: Sequence[Array],
        kept: Sequence[Array],
        weights: Array | None,
        theta: Sequence[float],
        which: Sequence[int] | None = None,
    ) -> list[float]:
        """The sums at theta of all functions or of some; not finite where a row is not."""
        if self.size == 0 or (which is not None and not len(which)):
            return []
        program = self.program(which)
        with np.errstate(all="ignore"):
            numbers = [*theta, *program.scalars(theta)]

        def work(low: int, high: int) -> list[float]:
            w = None if weights is None else weights[low:high]
            arrays = (*(c[low:high] for c in columns), *(k[low:high] for k in kept))
            return program.block(w, *arrays, *numbers)[1]  # type: ignore[no-any-return]

        return _over_blocks(work, len(columns[0]), program.steps)

    def rowwise_kept(
        self, columns: Sequence[Array], constants: Sequence[float]
    ) -> tuple[list[Array], list[Array]]:
        """What is kept and the functions of the statistics, not summed."""
        if not self.keeps:
            return [], []
        values, _ = self._rowwise_kept.block(
            None, *columns, *constants, *self._rowwise_kept.scalars(constants)
        )
        found = [np.broadcast_to(v, columns[0].shape) for v in values]
        return found[: len(self._kept_names)], found[len(self._kept_names) :]

    def rowwise(
        self,
        columns: Sequence[Array],
        kept: Sequence[Array],
        theta: Sequence[Any],
        spread: Callable[[Any], Any] = lambda values: values,
        which: Sequence[int] | None = None,
    ) -> Sequence[Any]:
        """The functions, not summed; what is computed once a call is brought to the shape of the rows by `spread`."""
        program = self.program(which, rowwise=True)
        numbers = [spread(v) for v in (*theta, *program.scalars(theta))]
        return program.block(None, *columns, *kept, *numbers)[0]  # type: ignore[no-any-return]

    def at_many(
        self, columns: Sequence[Array], kept: Sequence[Array], points: Array, which: Sequence[int]
    ) -> Array:
        """The sums without weights at many theta, rows of `points`: for few rows."""
        theta = [points[:, k : k + 1] for k in range(points.shape[1])]
        with np.errstate(all="ignore"):
            values = self.rowwise(columns, kept, theta, which=which)
            shape = (len(points), len(columns[0]))
            return np.array([np.broadcast_to(v, shape).sum(axis=1) for v in values])

    def sources(self) -> list[tuple[str, Callable[..., Any]]]:
        """The compiled functions with what each does."""
        parts: list[tuple[str, Callable[..., Any] | None]] = []
        if self.keeps:
            program = self.keeping(range(self.statistics))
            parts.append(("kept with the rows, and statistics", program.block))
        if self.size:
            program = self.program()
            parts += [("once a call", program.ahead), ("each block of rows", program.block)]
        return [(what, function) for what, function in parts if function is not None]


class _Program:
    """Functions of columns and parameters: values by row, and sums; what depends on no row is computed once a call."""

    def __init__(
        self, used: Sequence[Symbol], rows: Sequence[Expr], sums: Sequence[Expr], known: Sequence[Symbol]
    ):
        w = _WEIGHT
        self.ahead: Callable[..., Any] | None = None
        bodies = [*rows, *sums]
        if any(b.has(Sum) for b in bodies):
            self.steps = MANY_STEPS
            inner = _compiled(list(used), [_opened(b) for b in bodies])
            cut = len(rows)

            def block(weights: Array | None, *given: Any) -> tuple[list[Any], list[float]]:
                found = inner(*given)
                count = max((len(g) for g in given if np.ndim(g)), default=1)
                return found[:cut], [_summed(v, weights, count) for v in found[cut:]]

            self.block: Callable[..., Any] = block
            return
        hoisted: dict[Expr, Symbol] = {}
        bodies = [_hoisted(b, set(known), hoisted) for b in bodies]
        names = list(hoisted.values())
        if hoisted:
            self.ahead = _compiled(list(known), list(hoisted))
        later, results = cse(bodies, order="none") if bodies else ([], [])
        self.steps = len(later)
        cut = len(rows)
        function = _compiled([w, *used, *names], results, cse=lambda _: (later, results))
        self.block = lambda *given: _cut(function(*given), cut)
        self.block.__wrapped__ = function  # type: ignore[attr-defined]

    def scalars(self, theta: Sequence[Any]) -> Sequence[Any]:
        """What is computed once a call."""
        return () if self.ahead is None else self.ahead(*theta)  # type: ignore[no-any-return]


_WEIGHT = Dummy("w", real=True)


def _cut(found: Sequence[Any], cut: int) -> tuple[Sequence[Any], list[float]]:
    return found[:cut], list(found[cut:])


class _Pool:
    """Inner products for sums of products: the pieces that other sums need too are preferred."""

    def __init__(self, data: set[Symbol]):
        self.data = data
        self.made: set[Expr] = set()

    def sum_of(self, body: Expr) -> Expr:
        """The sum over rows of w times the function, as an inner product where it is a product."""
        factors: list[Expr] = []
        for factor in Mul.make_args(body):
            base, power = factor.as_base_exp()
            whole = isinstance(power, Integer) and 0 < power <= 6
            factors += [base] * int(power) if whole else [factor]
        if not 2 <= len(factors) <= 8 or any(not f.free_symbols & self.data for f in factors):
            return total_(_WEIGHT, body)
        best: tuple[tuple[int, int], Expr, Expr] | None = None
        places = range(len(factors))
        for size in range(len(factors) // 2, 0, -1):
            for chosen in itertools.combinations(places, size):
                one = Mul(*(factors[k] for k in chosen))
                other = Mul(*(factors[k] for k in places if k not in chosen))
                cost = self._cost(one) + (0 if one == other else self._cost(other))
                key = (cost, len(factors) - 2 * size)
                if best is None or key < best[0]:
                    best = key, one, other
        assert best is not None
        self.made |= {best[1], best[2]}
        return dot_(_WEIGHT, *sorted(best[1:], key=str))

    def _cost(self, product: Expr) -> int:
        if product in self.made or not isinstance(product, (Mul, Pow)):
            return 0
        powers = [f.as_base_exp()[1] for f in Mul.make_args(product)]
        return sum(abs(int(p)) if p.is_Integer else 1 for p in powers) - 1


def _with_few_functions(bodies: Sequence[Expr], data: set[Symbol]) -> list[Expr]:
    """exp(2 y) as exp(y)**2, exp(y) as 1 + expm1(y) where expm1(y) is wanted too, one 1/y for all its powers."""

    def inverted(e: Expr) -> Expr:
        return inverse_(e.base) ** -e.exp if e.base.free_symbols & data else e  # type: ignore[attr-defined, no-any-return]

    def primitive(e: Expr) -> Expr:
        content, rest = e.args[0].as_content_primitive()
        if content < 0:
            content, rest = -content, -rest
        whole = content if content.is_Integer and content <= 8 else S.One
        return exp_(rest * (content / whole)) ** whole  # type: ignore[no-any-return]

    found = [b.replace(lambda e: isinstance(e, exp), primitive) for b in bodies]
    found = [
        b.replace(lambda e: isinstance(e, Pow) and e.exp.is_Integer and e.exp < 0, inverted) for b in found
    ]
    precise = {e.args[0] for b in found for e in b.atoms(Function) if e.func == expm1_}
    if not precise:
        return found
    put = {exp_(y): 1 + expm1_(y) for y in precise} | {log1mexp_(y): log(-expm1_(y)) for y in precise}
    return [b.xreplace(put) for b in found]


def _hoisted(e: Any, known: set[Symbol], found: dict[Expr, Symbol]) -> Any:
    """The expression with what is free of data by name."""
    if not isinstance(e, Expr) or not e.args:
        return e if not getattr(e, "args", ()) else e.func(*(_hoisted(a, known, found) for a in e.args))

    def named(part: Expr) -> Expr:
        if part.is_number or part.is_Symbol:
            return part
        return found.setdefault(part, Dummy(f"c{len(found)}", real=True))

    if e.free_symbols <= known:
        return named(e)
    if e.is_Mul or e.is_Add:
        alone = [a for a in e.args if a.free_symbols <= known]
        rest = [_hoisted(a, known, found) for a in e.args if a not in alone]
        if not alone:
            return e.func(*rest)
        minus = e.is_Mul and len(alone) == 1 and alone[0] is S.NegativeOne
        return e.func(*alone, *rest) if minus else e.func(named(e.func(*alone)), *rest)
    return e.func(*(_hoisted(a, known, found) for a in e.args))


def _opened(e: Expr) -> Expr:
    """The function whose sum is meant, where sums are taken outside."""
    if e.func in (dot_, total_):
        return Mul(*e.args[1:])
    return e


def _dot(w: Array | None, a: Any, b: Any) -> float:
    if w is not None:
        return _total(w, a * b)
    if np.ndim(a) != 1 or np.ndim(b) != 1:  # a factor turned out to be the same for all rows
        return _total(None, a * b)
    return a.dot(b) if a.size <= SHORT else _product(a, b)  # type: ignore[no-any-return]


def _total(w: Array | None, a: Any) -> float:
    return np.add.reduce(a) if w is None else _product(a, w)  # type: ignore[no-any-return]


def _product(a: Array, b: Array) -> float:
    """The inner product in short pieces."""
    rows = len(a)
    if rows <= SHORT:
        return float(np.dot(a, b))
    cut = rows - rows % SHORT
    pieces = [a[:cut].reshape(-1, SHORT), b[:cut].reshape(-1, SHORT)]
    if hasattr(np, "vecdot"):
        total = float(np.add.reduce(np.vecdot(*pieces)))
    else:  # NumPy before 2.0
        total = math.fsum(float(np.dot(*p)) for p in zip(*pieces, strict=True))
    return total + float(np.dot(a[cut:], b[cut:]))


def _over_blocks(work: Callable[[int, int], list[float]], rows: int, steps: int) -> list[float]:
    """The sums of what `work` gives for every block of rows; the same for any number of threads."""
    size = min(ROWS, max(rows // 4, SHORT)) if steps < MANY_STEPS else FEW_ROWS

    def guarded(low: int) -> list[float]:
        with np.errstate(all="ignore"):
            return work(low, min(low + size, rows))

    if rows <= size:
        return list(map(float, guarded(0)))
    threads = threads_now() if rows >= ROWS_OF_TWO else 1
    if threads > 1:
        share = -(-rows // (size * threads)) * size

        def run(start: int) -> list[list[float]]:
            return [guarded(low) for low in range(start, min(start + share, rows), size)]

        parts = [p for found in _pool(threads).map(run, range(0, rows, share)) for p in found]
    else:
        with np.errstate(all="ignore"):
            parts = [work(low, min(low + size, rows)) for low in range(0, rows, size)]
    return [_exact(p) for p in zip(*parts, strict=True)]


@contextmanager
def on_threads(threads: int | None) -> Iterator[None]:
    """Passes over many rows on so many threads; None: as many as OMP_NUM_THREADS says, or as there are cores."""
    token = _THREADS.set(threads)
    try:
        yield
    finally:
        _THREADS.reset(token)


def threads_now() -> int:
    """How many threads a pass over many rows takes."""
    found = _THREADS.get()
    if found is None:
        said = os.environ.get("OMP_NUM_THREADS", "")
        found = int(said) if said.isdigit() else _cores()
    return max(1, found)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_THREADS: ContextVar[int | None] = ContextVar("threads of a pass", default=None)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="symmle")


def _exact(parts: Iterable[float]) -> float:
    try:
        return math.fsum(parts)
    except (OverflowError, ValueError):  # inf - inf
        return math.nan


def _summed(value: Any, weights: Array | None, count: int) -> float:
    if np.ndim(value) == 0:
        return float(value) * (count if weights is None else float(np.add.reduce(weights)))
    return _total(weights, value)


def _kept_apart(
    bodies: list[Expr], data: set[Symbol], known: set[Symbol]
) -> tuple[list[Expr], list[Symbol], list[Expr]]:
    """The largest parts of data alone that hold a function or a power, each by a name."""
    names: dict[Expr, Symbol] = {}

    def is_worth(e: Expr) -> bool:
        return bool(e.free_symbols & data) and not e.free_symbols & known and _is_costly(e)

    def walk(e: Any) -> Any:
        if not e.args or not isinstance(e, Expr):
            return e if not e.args else e.func(*(walk(a) for a in e.args))
        if is_worth(e):
            if isinstance(e, Pow) and isinstance(e.exp, Integer) and 0 < int(e.exp) <= 3:
                return walk(e.base) ** e.exp  # cheaper than to read another column
            if e not in names:
                names[e] = Dummy(f"d{len(names)}", real=True)
            return names[e]
        if e.is_Mul or e.is_Add:
            alone = [a for a in e.args if a.free_symbols and a.free_symbols <= data]
            rest = [walk(a) for a in e.args if a not in alone]
            if len(alone) > 1 and rest:
                joined = e.func(*alone)
                return e.func(walk(joined), *rest)
        return e.func(*(walk(a) for a in e.args))

    found = [walk(b) for b in bodies]
    return found, list(names.values()), list(names)


def _is_costly(e: Expr) -> bool:
    """Whether keeping a column is cheaper than computing it again: a function, a root, a division."""
    if e.is_Function:
        return True
    if isinstance(e, Pow):
        return not (isinstance(e.exp, Integer) and 0 < int(e.exp) <= 3) or any(_is_costly(a) for a in e.args)
    return any(_is_costly(a) for a in e.args)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _functions() -> dict[str, Any]:
    return {
        **row_functions(),
        **row_derivatives(),
        "symmle_dot": _dot,
        "symmle_total": _total,
        "symmle_inverse": lambda y: 1.0 / y,
        "symmle_exp": np.exp,
    }


def _compiled(arguments: Sequence[Any], results: Sequence[Any], cse: Any = True) -> Callable[..., Any]:
    if cse is True:
        summed = with_series(arguments, results, _compiled, add_up_in_doubles)
        if summed is not None:
            return summed
    functions = _functions()
    printer = RowPrinter(
        {
            "fully_qualified_modules": False,
            "inline": True,
            "allow_unknown_functions": True,
            "user_functions": {name: name for name in functions},
        }
    )
    return lambdify(
        list(arguments), list(results), modules=[functions, "scipy", "numpy"], printer=printer, cse=cse
    )


__all__ = [
    "ROWS",
    "RowSums",
    "linear_parts",
    "on_threads",
    "prepared",
    "threads_now",
    "with_powers_as_exponentials",
]
