"""Data into a `Table` that the model can be evaluated on; what no parameter value allows is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Interval, Range, S, Set, Symbol

from symmle.compiling.columns import Column, column_of, is_table, names_of, read_column
from symmle.compiling.supports import Bounds, holds_booleans, is_discrete, not_whole, outside, widest
from symmle.declare.declaration import Declaration, SamplePart
from symmle.errors import DataError

Array = NDArray[Any]
BLOCK = 1 << 15  # rows a block: a few such columns stay in the second-level cache

LONG_BLOCK = 1 << 20  # for plain reductions, which leave no temporaries behind
BLOCK_ON_THE_WAY = 1 << 16  # for reductions and a few temporaries
BLOCK_OF_SUMS = 1 << 17  # for two reductions of one column, one after the other
PIVOT_ROWS = 512  # about so many rows give the pivot
RUN = 16  # rows that lie together where some rows stand for all


class ByColumn(dict[Symbol, float]):
    """A number for each column, found when first asked for."""

    def __init__(self, columns: Mapping[Symbol, Array], find: Callable[[Array], float]):
        super().__init__()
        self.columns = columns
        self.find = find

    def __missing__(self, column: Symbol) -> float:
        self[column] = found = self.find(self.columns[column])
        return found

    def __reduce__(self) -> Any:
        return (dict, ({c: self[c] for c in self.columns},))


def _largest(values: Array) -> float:
    return float(_reduced(np.maximum.reduce, values))


def _smallest(values: Array) -> float:
    return float(_reduced(np.minimum.reduce, values))


def _middle(values: Array) -> float:
    """A double near the mean, from some rows; half of each, since the sum of large values would overflow."""
    some = spread_rows(values, PIVOT_ROWS)
    mean = float(np.add.reduce(some * (0.5 / len(some)))) * 2
    return min(max(mean, float(np.min(some))), float(np.max(some)))


def spread_rows(values: Array, count: int) -> Array:
    """About `count` rows from everywhere, in runs of 16 that share lines of the cache."""
    step = len(values) // max(1, count // RUN)
    if step <= RUN:
        return values
    return np.ascontiguousarray(values[: step * (count // RUN)].reshape(-1, step)[:, :RUN]).ravel()


@dataclass
class Sample:
    """One sample: float64 columns by symbol, weights or None, n = the sum of the weights."""

    columns: dict[Symbol, Array]
    weights: Array | None
    n: float
    rows: int
    minimum: dict[Symbol, float] = field(default_factory=dict)
    maximum: dict[Symbol, float] = field(default_factory=dict)
    pivot: dict[Symbol, float] = field(default_factory=dict)  # doubles near the means
    total: dict[Symbol, float] = field(default_factory=dict)  # plain sums of columns without weights
    index: Array | None = None  # row numbers in what the user gave, where rows were left out
    offset: int = 0  # rows that a lag drops at the front
    dropped: int = 0  # rows that were left out as masked or missing
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)  # scaled copies, distinct rows

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "cache": {}}

    def row_number(self, position: int) -> int:
        """The row of the user's data that stands at `position` here."""
        return int(self.index[position]) if self.index is not None else position + self.offset


@dataclass(frozen=True)
class OnTheWay:
    """Sums over a column that are taken while its blocks are in the cache for the checks; kept as `cache[owner]`."""

    column: Symbol
    sums: Callable[[Array], Sequence[float]]  # of one block of rows
    owner: Any
    proves: bool = False  # finite sums say that every row lies in the support, as that of log x for x > 0


@dataclass
class Table:
    """The samples of a model, in its order."""

    samples: tuple[Sample, ...]
    name: str = ""

    def sample_of(self, columns: Any) -> Sample:
        """The sample that holds these columns."""
        first = tuple(columns)[0]
        for sample in self.samples:
            if first in sample.columns:
                return sample
        raise KeyError(first)

    @property
    def n(self) -> float:
        return float(sum(sample.n for sample in self.samples))

    @property
    def rows(self) -> int:
        return sum(sample.rows for sample in self.samples)

    @property
    def dropped(self) -> int:
        """The rows that were left out as masked or missing."""
        return sum(sample.dropped for sample in self.samples)


def read_table(
    model: Any,
    data: Any,
    weights: Any = None,
    constants: Mapping[Symbol, Any] | None = None,
    summed: Collection[Symbol] = (),
    missing: str = "error",
    on_the_way: OnTheWay | None = None,
) -> Table:
    """The rows of a data set as the model's samples: float64 columns, checked against the support.

    Parameters
    ----------
    model
        A model (it has `declaration` and `name`).
    data
        A bare column where the model has one data symbol, or a dict or table of columns by name.
        Covariates stand in the same table. A lag is built from its source and drops the first row.
        A masked row is left out.
    weights
        Counts of the rows (fractions allowed); a row of weight 0 is as if absent. For several
        samples, a dict by the name of a data column of each.
    constants
        Values of constants that the declaration leaves open.
    summed
        Columns of which the plain sum will be wanted: it is taken here, and shows what is not finite.
    on_the_way
        Further sums to take on the way, where the rows have no weights.
    missing
        "error": a NaN or None is refused, its row named. "drop": a row in which a column of its sample is missing
        (a lag's source one row before too) is left out, and `Table.dropped` counts it, as it does masked rows.

    Raises
    ------
    DataError
        Names the model, the column, the first offending row (from 0) and what to do.
    """
    if missing not in ("error", "drop"):
        raise ValueError(f'Expected missing to be "error" or "drop", got {missing!r}.')
    declaration: Declaration = model.declaration
    name = f"model '{model.name}'" if getattr(model, "name", "") else "the model"
    known = {**declaration.constants, **(constants or {})}
    raw = _raw_columns(declaration, data, name)
    samples = []
    for part in declaration.samples:
        part_weights = _weights_of_part(part, weights, len(declaration.samples), name)
        samples.append(
            _read_sample(
                declaration, part, raw, part_weights, known, name, summed, missing == "drop", on_the_way
            )
        )
    return Table(tuple(samples), getattr(model, "name", "") or "")


def table_of_column(model: Any, column: Symbol, values: Array) -> Table:
    """One column of doubles, known to be finite and in the support, as the one sample of a model."""
    sample = Sample({column: values}, None, float(len(values)), len(values))
    sample.minimum = ByColumn(sample.columns, _smallest)
    sample.maximum = ByColumn(sample.columns, _largest)
    sample.pivot = ByColumn(sample.columns, _middle)
    return Table((sample,), getattr(model, "name", "") or "")


def _needed(declaration: Declaration) -> list[str]:
    """The columns that must be given: all but lags."""
    lags = {lag.name for lag in declaration.lags}
    names = [c.name for part in declaration.samples for c in part.all_columns]
    return list(dict.fromkeys(n for n in names if n not in lags))


def _raw_columns(declaration: Declaration, data: Any, name: str) -> dict[str, Any]:
    needed = _needed(declaration)
    if data is None:
        raise DataError(f"{name}: expected data, got None.")
    if not is_table(data):
        if len(needed) != 1:
            raise DataError(
                f"{name}: expected a dict or table with the columns {', '.join(needed)}, "
                f"got a bare {type(data).__name__}. Pass {{'{needed[0]}': ..., ...}}."
            )
        return {needed[0]: data}
    given = names_of(data)
    missing = [column for column in needed if column not in given]
    if missing and len(needed) == 1 and len(given) == 1 and not isinstance(data, Mapping):
        return {needed[0]: column_of(data, given[0])}
    if missing:
        raise DataError(
            f"{name}: column `{missing[0]}` is missing; the data has the columns {', '.join(given) or '(none)'}. "
            f"Pass the columns {', '.join(needed)}."
        )
    if isinstance(data, Mapping):
        lags = {str(lag): str(source) for lag, source in declaration.lags.items()}
        for column in given:
            if column in lags:
                raise DataError(
                    f"{name}: column `{column}` is built from `{lags[column]}`, one row before. Leave it out."
                )
            if column not in needed:
                raise DataError(
                    f"{name}: column `{column}` is unknown; the model has the columns {', '.join(needed)}. "
                    "Leave it out or rename it (weights have their own argument)."
                )
    return {column: column_of(data, column) for column in needed}


def _weights_of_part(part: SamplePart, weights: Any, samples: int, name: str) -> Any:
    if weights is None or samples == 1 and not isinstance(weights, Mapping):
        return weights
    names = [str(c) for c in part.all_columns]
    if not isinstance(weights, Mapping):
        raise DataError(
            f"{name}: expected weights as a dict by data column, since the model has {samples} samples."
        )
    for key, value in weights.items():
        if str(key) in names:
            return value
    return None


def _read_sample(
    declaration: Declaration,
    part: SamplePart,
    raw: Mapping[str, Any],
    weights: Any,
    constants: Mapping[Symbol, Any],
    name: str,
    summed: Collection[Symbol] = (),
    drop: bool = False,
    on_the_way: OnTheWay | None = None,
) -> Sample:
    read = {
        column: read_column(raw[column.name], f"{name}, column `{column.name}`", drop)
        for column in part.all_columns
        if column not in declaration.lags
    }
    rows = _common_length(read, name)
    depth = _add_lags(declaration, part, read)
    for column, values in read.items():
        support = part.support.get(column, declaration.given_domains.get(column))
        if values.boolean and not holds_booleans(support):
            raise DataError(
                f"{name}, column `{column}`: expected numbers in {support}, got True and False. "
                "Convert them with astype(float) if 0 and 1 are meant."
            )
    weight_column, total = _read_weights(weights, rows, name)
    keep, dropped = _kept_rows(read, weight_column, depth, rows, name)
    sample = Sample(
        {}, weight_column, total if weight_column is not None else float(rows - depth), rows - depth
    )
    sample.offset, sample.dropped = depth, dropped
    if keep is not None:
        sample.index = np.flatnonzero(keep) + depth
        sample.rows = len(sample.index)
        sample.n = float(sample.rows)
    for column, values in read.items():
        array = values.values[depth:] if len(values.values) == rows and depth else values.values
        sample.columns[column] = array if keep is None else array[keep]
    if weight_column is not None:
        kept = weight_column[depth:] if keep is None else weight_column[depth:][keep]
        sample.weights, sample.n = kept, float(np.sum(kept))
    if sample.rows == 0:
        raise DataError(f"{name}: no rows are left after the lag, the mask and the weights. Pass more rows.")
    bounds = Bounds(constants, sample.columns)
    sample.maximum = ByColumn(sample.columns, _largest)
    sample.pivot = ByColumn(sample.columns, _middle)
    for column in part.all_columns:
        if on_the_way is not None and column == on_the_way.column and sample.weights is None:
            if _sum_on_the_way(sample, on_the_way):
                continue
        _summarise(sample, column, name, column in summed and sample.weights is None)
        support = part.support.get(column, declaration.given_domains.get(column))
        if column in declaration.lags and support is None:
            source = declaration.lags[column]
            support = part.support.get(source)
        if support is not None:
            support = widest(support, declaration, frozenset(sample.columns))
            _check_support(sample, column, support, bounds, read[column], name)
    for condition in part.inside:
        _check_condition(sample, part, condition, bounds, name)
    return sample


def _common_length(read: Mapping[Symbol, Column], name: str) -> int:
    lengths = {column.name: len(values.values) for column, values in read.items()}
    rows = next(iter(lengths.values()))
    for column, length in lengths.items():
        if length != rows:
            first = next(iter(lengths))
            raise DataError(
                f"{name}: column `{column}` has {length} rows and column `{first}` has {rows}. "
                "Pass columns of one length."
            )
    if rows == 0:
        raise DataError(f"{name}, column `{next(iter(lengths))}`: expected data, got no rows.")
    return rows


def _add_lags(declaration: Declaration, part: SamplePart, read: dict[Symbol, Column]) -> int:
    """Build the lags of a part (x_prev is x one row before); returns how many rows they drop."""
    depth_of: dict[Symbol, int] = {}

    def depth(column: Symbol) -> tuple[Symbol, int]:
        if column not in declaration.lags:
            return column, 0
        source, below = depth(declaration.lags[column])
        return source, below + 1

    for column in part.all_columns:
        if column in declaration.lags:
            depth_of[column] = depth(column)[1]
    deepest = max(depth_of.values(), default=0)
    for column, steps in depth_of.items():
        source = read[depth(column)[0]]
        rows = len(source.values)
        cut = slice(deepest - steps, max(rows - steps, 0))
        mask = None if source.mask is None else source.mask[cut]
        read[column] = Column(np.ascontiguousarray(source.values[cut]), mask, False, source.whole)
    return deepest


def _read_weights(weights: Any, rows: int, name: str) -> tuple[Array | None, float]:
    if weights is None:
        return None, float(rows)
    column = read_column(weights, f"{name}, weights")
    values = column.values
    if column.mask is not None and column.mask.any():
        values = np.where(column.mask, 0.0, values)
    if len(values) != rows:
        raise DataError(f"{name}: {len(values)} weights for {rows} rows. Pass one weight a row.")
    low, high = float(np.min(values)), float(np.max(values))
    if not (low >= 0 and high < np.inf):
        row = int(np.flatnonzero(~((values >= 0) & (values < np.inf)))[0])
        raise DataError(
            f"{name}: the weight of row {row} is {values[row]}; weights are counts: finite and not negative."
        )
    if high == 0:
        raise DataError(f"{name}: every weight is 0, so no row is left. Pass a positive weight somewhere.")
    return values, float(np.sum(values))


def _kept_rows(
    read: Mapping[Symbol, Column], weights: Array | None, depth: int, rows: int, name: str
) -> tuple[Array | None, int]:
    """The mask (after the lag) of the rows that count, or None where all do; how many are masked or missing."""
    keep: Array | None = None
    for values in read.values():
        if values.mask is not None and values.mask.any():
            mask = values.mask[depth:] if len(values.mask) == rows else values.mask
            keep = ~mask if keep is None else keep & ~mask
    dropped = 0 if keep is None else int(len(keep) - np.count_nonzero(keep))
    if weights is not None:
        positive = weights[depth:] > 0
        if not positive.all():
            keep = positive if keep is None else keep & positive
    if keep is not None and not keep.any():
        raise DataError(f"{name}: every row is masked, missing or has weight 0. Pass rows that count.")
    return keep, dropped


def _reduced(reduce: Any, values: Array) -> Any:
    parts = [reduce(values[low : low + LONG_BLOCK]) for low in range(0, len(values), LONG_BLOCK)]
    return parts[0] if len(parts) == 1 else reduce(parts)


def _sum_on_the_way(sample: Sample, wanted: OnTheWay) -> bool:
    """The wanted sums, block by block, with the extremes; True where the sums alone say that the rows are good."""
    values = sample.columns[wanted.column]
    lows, highs, sums = [], [], []
    with np.errstate(all="ignore"):
        for start in range(0, len(values), BLOCK_ON_THE_WAY):
            block = values[start : start + BLOCK_ON_THE_WAY]
            if not wanted.proves:
                lows.append(np.minimum.reduce(block))
                highs.append(np.maximum.reduce(block))
            sums.append(wanted.sums(block))
    if wanted.proves:
        good = all(map(math.isfinite, itertools.chain.from_iterable(sums)))
        if good:
            sample.minimum = ByColumn(sample.columns, _smallest)
            sample.cache[wanted.owner] = [math.fsum(s) for s in zip(*sums, strict=True)]
        return good
    low, high = float(np.min(lows)), float(np.max(highs))
    if math.isfinite(low) and math.isfinite(high):
        sample.minimum[wanted.column], sample.maximum[wanted.column] = low, high
        sample.cache[wanted.owner] = [
            math.fsum(s) if np.isfinite(s).all() else math.nan for s in zip(*sums, strict=True)
        ]
    return False


def _summarise(sample: Sample, column: Symbol, name: str, summed: bool) -> None:
    """Extremes (a NaN or an inf shows in them, or in the sum), and a pivot near the mean."""
    values = sample.columns[column]
    if column in sample.minimum:  # known by now
        return
    if summed:
        lows, sums = [], []
        for start in range(0, len(values), BLOCK_OF_SUMS):  # the block is in cache for the second pass
            block = values[start : start + BLOCK_OF_SUMS]
            lows.append(np.minimum.reduce(block))
            sums.append(np.add.reduce(block))
        low, total = float(min(lows)), math.fsum(sums) if np.isfinite(sums).all() else math.nan
        if math.isfinite(total) and math.isfinite(low):
            sample.minimum[column], sample.total[column] = low, total
            sample.pivot[column] = max(total / len(values), low)
            return
    low, high = _smallest(values), sample.maximum[column]
    if not (low > -math.inf and high < math.inf):
        position = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(
            f"{name}, column `{column}`: row {sample.row_number(position)} is {values[position]}; "
            f"every row must be a finite number. {_advice(values[position])}"
        )
    sample.minimum[column] = low


def _advice(value: float) -> str:
    if math.isnan(value):
        return 'Drop the row, mask it, or pass missing="drop".'
    return "Drop the row or mask it."


def _check_condition(sample: Sample, part: SamplePart, condition: Expr, bounds: Bounds, name: str) -> None:
    """A condition without parameters holds at every row."""
    values = bounds.value(condition)
    if values is None or np.all(values > 0):
        return
    position = int(np.flatnonzero(~(np.broadcast_to(values, (sample.rows,)) > 0))[0])
    column = part.columns[0]
    raise DataError(
        f"{name}, column `{column}`: row {sample.row_number(position)} is "
        f"{sample.columns[column][position]:.17g}; {condition} is not positive there, so that no parameter value "
        "allows it. Correct or drop the row, or declare another support."
    )


def _check_support(
    sample: Sample, column: Symbol, support: Set, bounds: Bounds, read: Column, name: str
) -> None:
    values = sample.columns[column]
    lowest = sample.minimum[column]
    end = support.end if isinstance(support, Interval) else None  # the real line has no arguments
    if isinstance(support, Range):
        end = support.args[1]
    endless = end is S.Infinity
    highest = lowest if endless else sample.maximum[column]
    mask = outside(values, support, bounds, lowest, highest, read.whole)
    if mask is None:
        return
    position = int(np.flatnonzero(mask)[0])
    value = values[position]
    row = sample.row_number(position)
    if is_discrete(support) and not_whole(values) is not None and value != np.floor(value):
        what = "the law is discrete and the value is no whole number"
    else:
        what = f"the support is {support}"
    raise DataError(
        f"{name}, column `{column}`: row {row} is {value:.17g}; {what}, so that no parameter value allows it. "
        "Correct or drop the row, or declare another support."
    )
