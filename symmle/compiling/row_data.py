"""The rows of one sample as passes want them, and what a pass returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.compiling.data import Sample
from symmle.compiling.kernels import CONTEXT
from symmle.compiling.program import Monomial

Array = NDArray[Any]
MOST_DISTINCT = 3000  # rows that are taken one by one at 240 bits


@dataclass
class Rows:
    """The columns of one sample as the program wants them: scaled by powers of two, with pivots."""

    sample: Sample
    columns: dict[Symbol, Array]
    scales: dict[Symbol, Any]  # the power of two by which a column was divided
    pivots: dict[Symbol, float]
    _distinct: tuple[dict[Symbol, Array], Array] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, sample: Sample, scaled: frozenset[Symbol]) -> Rows:
        columns, scales, pivots = {}, {}, {}
        for column, values in sample.columns.items():
            pivots[column] = _pivot(sample, column)
            if column in scaled:
                largest = max(abs(sample.minimum[column]), abs(sample.maximum[column]))
                exponent = math.frexp(largest)[1]
                values = np.ldexp(values, -exponent)
                scales[column] = CONTEXT.ldexp(CONTEXT.mpf(1), exponent)
                low, high = float(values.min()), float(values.max())
                pivots[column] = low if low == high else min(max(float(values.mean()), low), high)
            columns[column] = values
        return cls(sample, columns, scales, pivots)

    @property
    def weights(self) -> Array | None:
        return self.sample.weights

    @property
    def count(self) -> Any:
        """n at 240 bits: a rounded sum of weights would not cancel in n * mean."""
        if self.weights is None:
            return CONTEXT.mpf(self.sample.rows)
        return CONTEXT.mpf(self.sample.n)

    def distinct(self) -> tuple[dict[Symbol, Array], Array] | None:
        """The distinct rows and their weights, where they are few enough for 240 bits a row."""
        if self.sample.rows > 200_000:
            return None
        if self._distinct is None:
            names = list(self.columns)
            stacked = np.column_stack([self.columns[c] for c in names])
            values, inverse = np.unique(stacked, axis=0, return_inverse=True)
            if len(values) > MOST_DISTINCT:
                return None
            weights = np.full(len(values), CONTEXT.mpf(0), dtype=object)
            given = self.weights if self.weights is not None else np.ones(len(stacked))
            for i, w in zip(np.ravel(inverse), given, strict=True):
                weights[i] += CONTEXT.mpf(float(w))
            self._distinct = ({c: values[:, k] for k, c in enumerate(names)}, weights)
        return self._distinct


def _pivot(sample: Sample, column: Symbol) -> float:
    values = sample.columns[column]
    if values[0] == values[-1] and sample.minimum[column] == sample.maximum[column]:
        return sample.minimum[column]
    return sample.pivot[column]


@dataclass
class Moments:
    """Means by monomial at 240 bits, pivots of atoms, and independent errors of what was summed.

    An error is a dict: by how much each mean moves together.
    """

    means: dict[Monomial, Any]
    pivots: dict[int, Any]
    errors: list[dict[Monomial, Any]]
