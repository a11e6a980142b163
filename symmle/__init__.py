"""symmle: maximum-likelihood estimators derived, proved and written down from a declared density."""

from symmle.derivation import Derivation, derive, fit
from symmle.errors import (
    DataError,
    ModelError,
    NoMaximumError,
    NotConvergedError,
    NotDerivedError,
    SymmleError,
    UnsoundStepError,
)
from symmle.model import Mixture, Model
from symmle.sample import Count, Maximum, Mean, Median, Minimum, Quantile, Total

__version__ = "0.1.0"

__all__ = [
    "Count",
    "DataError",
    "Derivation",
    "Maximum",
    "Mean",
    "Median",
    "Minimum",
    "Mixture",
    "Model",
    "ModelError",
    "NoMaximumError",
    "NotConvergedError",
    "NotDerivedError",
    "Quantile",
    "SymmleError",
    "Total",
    "UnsoundStepError",
    "derive",
    "fit",
]
