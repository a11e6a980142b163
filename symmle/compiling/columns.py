"""Columns from what users have: arrays, lists, Series, dicts, tables; what is no column is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.errors import DataError

Array = NDArray[Any]

KINDS = {
    "c": "complex numbers; pass their real part if that is what is meant",
    "U": "strings; convert them to numbers first",
    "S": "byte strings; convert them to numbers first",
    "T": "strings; convert them to numbers first",
    "M": "dates; pass numbers (for instance days since a date you choose)",
    "m": "time differences; pass numbers (for instance seconds)",
    "V": "records; pass one column a data symbol",
}


@dataclass
class Column:
    """A column as float64, with what its type said before."""

    values: Array
    mask: Array | None = None  # True where the row is masked
    boolean: bool = False
    whole: bool = False  # an integer type


def is_table(data: Any) -> bool:
    """A data frame, a dict or a structured array: something with named columns."""
    if isinstance(data, Mapping) or (isinstance(data, np.ndarray) and data.dtype.names):
        return True
    return hasattr(data, "columns") and hasattr(data, "__getitem__") and hasattr(data, "shape")


def names_of(data: Any) -> list[str]:
    if isinstance(data, Mapping):
        return [str(key) for key in data]
    if isinstance(data, np.ndarray):
        return list(data.dtype.names or ())
    return [str(key) for key in data.columns]


def column_of(data: Any, name: str) -> Any:
    if isinstance(data, Mapping):
        return next(value for key, value in data.items() if str(key) == name)
    return data[name]


def read_column(raw: Any, where: str, drop: bool = False) -> Column:
    """A float64 column, or a DataError that says what was given in its place.

    With `drop` the mask of the column is set where a value is missing (NaN, None, NA).
    """
    mask = None
    if isinstance(raw, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(raw)
        raw = np.ma.getdata(raw)
    if hasattr(raw, "to_numpy"):  # pandas, polars and their kin
        raw = _series_to_numpy(raw, where)
    if isinstance(raw, (str, bytes)):
        raise DataError(f"{where}: expected a column of numbers, got a string. Pass an array or a list.")
    if isinstance(raw, Mapping):
        raise DataError(f"{where}: expected a column of numbers, got a mapping. Pass an array or a list.")
    if isinstance(raw, (set, frozenset)):
        raise DataError(
            f"{where}: expected a column of numbers, got a set, which drops repeats. Pass a list."
        )
    if not isinstance(raw, np.ndarray):
        raw = _sequence_to_numpy(raw, where)
    if raw.ndim != 1:
        hint = "Pass one number a row" + (": array.ravel(), if every entry is one." if raw.ndim > 1 else ".")
        raise DataError(f"{where}: expected a one-dimensional column, got shape {raw.shape}. {hint}")
    if raw.dtype.kind == "O":
        absent = _absent(raw) if drop else None
        _refuse_objects(raw, where, absent)
        if absent is not None:
            mask = absent if mask is None else mask | absent
            raw = _without_objects(raw, absent, where)
    if raw.dtype.kind in KINDS or raw.dtype.kind not in "fiub":
        got = KINDS.get(raw.dtype.kind, f"type {raw.dtype}")
        shown = f" (row 0 is {raw[0]!r})" if len(raw) else ""
        raise DataError(f"{where}: expected real numbers, got {got}{shown}.")
    values = np.ascontiguousarray(raw, dtype=np.float64)
    if raw.dtype.kind in "iu" and raw.dtype.itemsize == 8 and len(raw):
        wide = (raw > 2**53) | (raw < -(2**53)) if raw.dtype.kind == "i" else raw > 2**53
        if wide.any():
            row = int(np.flatnonzero(wide)[0])
            raise DataError(
                f"{where}: row {row} is {raw[row]}, beyond 2**53, where doubles skip whole numbers. "
                "Rescale or pass floats."
            )
    if drop and raw.dtype.kind == "f":
        absent = np.isnan(values)
        if absent.any():
            mask = absent if mask is None else mask | absent
    return Column(values, mask, raw.dtype.kind == "b", raw.dtype.kind in "iub")


def _series_to_numpy(raw: Any, where: str) -> Array:
    array = raw.to_numpy()
    if isinstance(array, np.ndarray) and array.dtype.kind == "O":
        kind = getattr(getattr(raw, "dtype", None), "kind", "O")
        if kind in "iuf" and hasattr(raw, "isna"):  # a nullable numeric Series: missing rows become NaN
            return np.asarray(raw.to_numpy(dtype="float64", na_value=np.nan))
    return np.asarray(array)


def _sequence_to_numpy(raw: Any, where: str) -> Array:
    if not hasattr(raw, "__array__") and not hasattr(raw, "__len__"):
        try:
            raw = list(raw)  # a generator, a range
        except TypeError:
            raise DataError(
                f"{where}: expected a column of numbers, got {raw!r}. Pass an array or a list."
            ) from None
    if hasattr(raw, "__len__") and not hasattr(raw, "__array__"):
        for row, entry in enumerate(raw):
            if isinstance(entry, (str, bytes)):  # numpy would turn the whole column into strings
                raise DataError(
                    f"{where}: expected real numbers, got strings; convert them to numbers first "
                    f"(row {row} is {entry!r})."
                )
            if entry is np.ma.masked:
                raise DataError(f"{where}: row {row} is masked. Pass a masked array or leave the row out.")
    try:
        return np.asarray(raw)
    except ValueError:
        raise DataError(
            f"{where}: expected a one-dimensional column, got rows of different lengths."
        ) from None


def _is_missing(entry: Any) -> bool:
    return entry is None or type(entry).__name__ in ("NAType", "NaTType")


def _absent(raw: Array) -> Array:
    return np.fromiter((_is_missing(entry) for entry in raw), dtype=bool, count=len(raw))


def _refuse_objects(raw: Array, where: str, absent: Array | None) -> None:
    """DataError for Python objects that are no numbers; where missing rows are left out, for nothing else."""
    for row, entry in enumerate(raw):
        if absent is not None and absent[row]:
            continue
        is_number = isinstance(entry, (float, int, np.floating, np.integer, np.bool_))
        absent_here = _is_missing(entry) or (absent is None and is_number and entry != entry)
        if absent_here or not is_number:
            what = f"a {type(entry).__name__}; pass numbers"
            if absent_here:
                what = 'a missing value; drop the row, or pass missing="drop"'
            raise DataError(f"{where}: row {row} is {entry!r}, {what}.")
    if absent is None:
        raise DataError(
            f"{where}: expected real numbers, got Python objects. Convert them with astype(float)."
        )


def _without_objects(raw: Array, absent: Array, where: str) -> Array:
    """The present entries as numbers of one type, NaN or 0 in place of the absent ones."""
    flags = [isinstance(entry, (bool, np.bool_)) for entry in raw[~absent]]
    if any(flags) and not all(flags):
        row = int(np.flatnonzero(~absent)[flags.index(True)])
        raise DataError(
            f"{where}: row {row} is {raw[row]!r} among numbers. Convert the column with astype(float)."
        )
    try:
        present = np.asarray(list(raw[~absent]))
        found = np.zeros(len(raw), dtype=present.dtype if len(present) else float)
        found[~absent] = present
    except OverflowError:
        raise DataError(
            f"{where}: a whole number is beyond the range of doubles. Rescale the column."
        ) from None
    return found
