"""symmle: maximum-likelihood estimators derived, proved and written down from a declared density.

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symmle.derivation import Derivation, components, derive, fit
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
    "components",
    "derive",
    "fit",
]

_HOME = {
    **dict.fromkeys(("Derivation", "components", "derive", "fit"), "derivation"),
    **dict.fromkeys((n for n in __all__ if n.endswith("Error")), "errors"),
    **dict.fromkeys(("Mixture", "Model"), "model"),
    **dict.fromkeys(("Count", "Maximum", "Mean", "Median", "Minimum", "Quantile", "Total"), "sample"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'symmle' has no attribute {name!r}")
    value = getattr(import_module(f"symmle.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
