"""Sums over an index in doubles, for one set of parameters or for every row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MOST_TERMS = 1 << 20
FIRST = 64


def add_up_in_doubles(term: Callable[..., Any], given: Sequence[Any], first: Any, last: Any) -> Any:
    """The sum in doubles; with columns among the arguments, one for each row."""
    first, last = float(first), None if last is None else float(last)
    wide = [np.asarray(g, dtype=float)[..., None] if np.ndim(g) else g for g in given]
    total: Any = 0.0
    low, size = first, FIRST
    while True:
        high = low + size if last is None else min(low + size, last + 1)
        if high <= low:
            return total
        with np.errstate(all="ignore"):
            values = np.asarray(term(np.arange(low, high), *wide)[0], dtype=float)
        values = (
            np.broadcast_to(values, (*values.shape[:-1], int(high - low)))
            if values.ndim
            else np.full(int(high - low), values)
        )
        total = total + values.sum(axis=-1)
        if last is None:
            end, before = np.abs(values[..., -1]), np.abs(values[..., -2])
            with np.errstate(all="ignore"):
                ratio = np.where(before > 0, end / before, 0.0)
                rest = end * ratio / (1 - ratio)
            if np.all((ratio < 1) & (rest <= 1e-17 * np.abs(total)) | (end == 0) & np.isfinite(total)):
                return total
            if not np.all(np.isfinite(values)) or low - first > MOST_TERMS:
                return total * np.nan
        low, size = high, 2 * size


__all__ = ["add_up_in_doubles"]
