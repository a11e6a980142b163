"""Sums over the rows of functions of data and parameters: one pass in cache-sized blocks, in doubles.

What is free of parameters (log x, x**2) is computed once and kept with the table, what is free of data
once a call; subexpressions are shared among all functions of a pass, and the sum of a product is an inner product.
"""

from __future__ import annotations

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
    Dummy,
    Expr,
    Sum,
    Symbol,
    cse,
    lambdify,
)

from symmle.algebra.series import with_series
from symmle.compiling.derivatives import row_derivatives
from symmle.compiling.kernels import RowPrinter, row_functions
from symmle.compiling.row_forms import (
    _WEIGHT,
    _hoisted,
    _kept_apart,
    _opened,
    _Pool,
    _with_few_functions,
    prepared,
)
from symmle.compiling.series import add_up_in_doubles

Array = NDArray[Any]

ROWS = 1 << 16  # of a block: its buffers stay in the caches, and few blocks keep Python's share small

FEW_ROWS = 1 << 14  # of a block where there are many buffers

MANY_STEPS = 24

ROWS_OF_TWO = 1 << 18  # from which a second thread pays


SHORT = (
    1 << 13
)  # rows of an inner product for which BLAS starts no threads, so that it is the same everywhere


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
        with np.errstate(all="ignore"):
            fixed = [*constants, *keeping.scalars(constants)]
            numbers = [] if program is None or theta is None else [*theta, *program.scalars(theta)]
            sums = over_blocks(work, rows, steps)
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

        def work(low: int, high: int) -> list[float]:
            w = None if weights is None else weights[low:high]
            arrays = (*(c[low:high] for c in columns), *(k[low:high] for k in kept))
            return program.block(w, *arrays, *numbers)[1]  # type: ignore[no-any-return]

        with np.errstate(all="ignore"):
            numbers = [*theta, *program.scalars(theta)]
            return over_blocks(work, len(columns[0]), program.steps)

    def bound(
        self, columns: Sequence[Array], kept: Sequence[Array], weights: Array | None, which: Sequence[int]
    ) -> Callable[[Sequence[float]], Sequence[float]] | None:
        """The sums of some functions at theta, all else looked up before; None for rows that make several blocks.

        Few rows cost less than what leads to them. The caller sees to it that NumPy does not warn.
        """
        if not len(which):
            return lambda point: ()
        program = self.program(which)
        block, ahead = program.direct, program.ahead
        if block is None or len(columns[0]) > _rows_of_block(len(columns[0]), program.steps):
            return None
        arrays = (weights, *columns, *kept)
        if ahead is None:
            return lambda point: block(*arrays, *point)  # type: ignore[no-any-return]
        return lambda point: block(*arrays, *point, *ahead(*point))  # type: ignore[no-any-return]

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
        self,
        columns: Sequence[Array],
        kept: Sequence[Array],
        weights: Array | None,
        points: Array,
        which: Sequence[int],
    ) -> Array:
        """The sums at many theta, rows of `points`: for few rows."""
        theta = [points[:, k : k + 1] for k in range(points.shape[1])]
        with np.errstate(all="ignore"):
            values = self.rowwise(columns, kept, theta, which=which)
            shape = (len(points), len(columns[0]))
            values = [np.broadcast_to(v, shape) for v in values]
            return np.array([v.sum(axis=1) if weights is None else v @ weights for v in values])

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
        self.direct: Callable[..., Any] | None = (
            None  # what `block` calls, where nothing is summed outside of it
        )
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
        self.direct = function

    def scalars(self, theta: Sequence[Any]) -> Sequence[Any]:
        """What is computed once a call."""
        return () if self.ahead is None else self.ahead(*theta)  # type: ignore[no-any-return]


def _cut(found: Sequence[Any], cut: int) -> tuple[Sequence[Any], list[float]]:
    return found[:cut], list(found[cut:])


def _dot(w: Array | None, a: Any, b: Any) -> float:
    if w is not None or type(a) is not np.ndarray or type(b) is not np.ndarray:
        return _total(w, a * b)  # a factor may be the same for all rows
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


def over_blocks(work: Callable[[int, int], list[float]], rows: int, steps: int) -> list[float]:
    """The sums of what `work` gives for every block of rows; the same for any number of threads.

    The caller sees to it that NumPy does not warn.
    """
    size = _rows_of_block(rows, steps)

    def guarded(low: int) -> list[float]:  # a thread has its own state of errors
        with np.errstate(all="ignore"):
            return work(low, min(low + size, rows))

    if rows <= size:
        return work(0, rows)
    threads = threads_now() if rows >= ROWS_OF_TWO else 1
    if threads > 1:
        share = -(-rows // (size * threads)) * size

        def run(start: int) -> list[list[float]]:
            return [guarded(low) for low in range(start, min(start + share, rows), size)]

        parts = [p for found in _pool(threads).map(run, range(0, rows, share)) for p in found]
    else:
        parts = [work(low, min(low + size, rows)) for low in range(0, rows, size)]
    return [_exact(p) for p in zip(*parts, strict=True)]


def _rows_of_block(rows: int, steps: int) -> int:
    return min(ROWS, max(rows // 4, SHORT)) if steps < MANY_STEPS else FEW_ROWS


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


__all__ = ["ROWS", "RowSums", "on_threads", "over_blocks", "threads_now"]
