"""Many groups at once: one Newton iteration for all of them, vectorised over the groups; the others one by one.

A group whose iteration does not end at a maximum inside the parameter space is fitted by itself, by the careful ways,
so that refusals are those of a single fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.columns import column_of, is_table, names_of
from symmle.compiling.data import read_table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import DataError
from symmle.fitting.groups_together import fitted_together
from symmle.fitting.plan import Plan
from symmle.fitting.result import FitResult
from symmle.fitting.solution import Solution, passes_in_words

Array = NDArray[Any]
MANY = 16  # groups from which they are fitted together


class Groups(Mapping[Any, FitResult]):
    """Fits by group, in the order in which groups first occur; a result is made when it is looked at.

    Attributes
    ----------
    estimates : dict of str to array
        The estimates of all groups by parameter name, in the order of the groups.
    """

    def __init__(self, keys: Sequence[Any], estimates: dict[str, Array], make: Callable[[int], FitResult]):
        self._places = {k: i for i, k in enumerate(keys)}
        self.estimates = estimates
        self._make = make
        self._made: dict[int, FitResult] = {}

    def __getitem__(self, group: Any) -> FitResult:
        place = self._places[group]
        if place not in self._made:
            self._made[place] = self._make(place)
        return self._made[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"Groups({len(self)} fits of {', '.join(self.estimates)})"

    def to_frame(self) -> Any:
        """The estimates as a pandas data frame, one row a group (an optional extra)."""
        import pandas

        return pandas.DataFrame(self.estimates, index=pandas.Index(list(self._places), name="group"))


def grouped_rows(data: Any, by: Any) -> tuple[list[Any], Array, Array | None]:
    """The groups in the order of their first rows, where each begins, and the order of the rows (None: as they are)."""
    if isinstance(by, str):
        if not is_table(data) or by not in names_of(data):
            raise DataError(
                f"`by` names the column `{by}`, which the data does not have. Pass a table with it."
            )
        values = np.asarray(column_of(data, by))
    else:
        values = np.asarray(by)
    if values.ndim != 1:
        raise DataError(f"`by` must be one group a row; it has shape {values.shape}.")
    if values.dtype.kind in "iu" and len(values):
        change = values[1:] != values[:-1]
        starts = np.concatenate([[0], np.flatnonzero(change) + 1, [len(values)]])
        keys = values[starts[:-1]]
        if np.all(keys[1:] > keys[:-1]):  # sorted already
            return keys.tolist(), starts, None
    known, first_rows, codes = np.unique(values, return_index=True, return_inverse=True)
    order = np.argsort(first_rows, kind="stable")
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    codes = place[codes]
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(known)))])
    in_order = bool(np.all(codes[1:] >= codes[:-1]))
    return known[order].tolist(), starts, None if in_order else np.argsort(codes, kind="stable")


def fit_groups(
    plan: Plan,
    data: Any,
    weights: Any,
    by: Any,
    constants: dict[Symbol, Any],
    alone: Callable[[Any, Any], FitResult],
) -> Groups:
    """One fit a group.

    Parameters
    ----------
    alone
        The fit of one group from its data and weights.
    """
    keys, starts, order = grouped_rows(data, by)
    rows_of_data = _rows(data, by)
    if rows_of_data is not None and starts[-1] != rows_of_data:
        raise DataError(f"`by` has {starts[-1]} entries for {rows_of_data} rows.")

    def rows_of(place: int) -> Any:
        low, high = starts[place], starts[place + 1]
        return slice(low, high) if order is None else order[low:high]

    def fit_alone(place: int) -> FitResult:
        rows = rows_of(place)
        part_weights = None if weights is None else np.asarray(weights)[rows]
        try:
            return alone(_part(data, by, rows), part_weights)
        except DataError as problem:
            raise DataError(f"group {keys[place]!r}: {problem}") from problem

    together = None
    if len(keys) >= MANY:
        plain = {n: column_of(data, n) for n in columns_besides(data, by)} if is_table(data) else data
        together = fitted_together(plan, plain, weights, constants, order, starts)
    names = [str(p) for p in plan.parameters]
    if together is None:
        made = [fit_alone(k) for k in range(len(keys))]
        table = {n: np.array([r.estimates[n] for r in made]) for n in names}
        return Groups(keys, table, lambda place: made[place])
    theta = together.theta
    kept: dict[int, FitResult] = {}
    for place in np.flatnonzero(~together.done):
        kept[int(place)] = fit_alone(int(place))
        theta[:, place] = [kept[int(place)].estimates[n] for n in names]

    def make(place: int) -> FitResult:
        if place in kept:
            return kept[place]
        rows = rows_of(place)
        part_weights = None if weights is None else np.asarray(weights)[rows]
        table = read_table(plan.model, _part(data, by, rows), part_weights, constants)
        values = {p: CONTEXT.mpf(float(v)) for p, v in zip(plan.parameters, theta[:, place], strict=True)}
        solution = Solution({**constants, **values}, "newton", iterations=together.steps)
        solution.passes = together.passes
        solution.status = (
            f"Newton's method converged, together with the other groups, in {together.steps} steps; "
            f"{passes_in_words(together.passes)}."
        )
        solution.unique = True if plan.is_proved else None
        return FitResult(plan.derivation, table, solution)

    return Groups(keys, dict(zip(names, theta, strict=True)), make)


def columns_besides(data: Any, by: Any) -> list[str]:
    """The columns of a table without the one that names the groups."""
    return [n for n in names_of(data) if not (isinstance(by, str) and n == by)]


def _rows(data: Any, by: Any) -> int | None:
    if is_table(data):
        names = columns_besides(data, by)
        return len(np.asarray(column_of(data, names[0]))) if names else None
    return len(np.asarray(data))


def _part(data: Any, by: Any, rows: Any) -> Any:
    if is_table(data):
        return {n: np.asarray(column_of(data, n))[rows] for n in columns_besides(data, by)}
    return np.asarray(data)[rows]


__all__ = ["Groups", "fit_groups", "grouped_rows"]
