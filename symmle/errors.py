"""The exceptions of symmle: every message says what was expected, what was got and what to do."""

from __future__ import annotations

from typing import Any


class SymmleError(Exception):
    """Base of every error that symmle raises on purpose."""


class ModelError(SymmleError, ValueError):
    """A bad declaration: it does not normalise, names an unknown symbol, has an empty domain."""


class DataError(SymmleError, ValueError):
    """Data that no estimate can be computed from: NaN, wrong shape, a row outside the support."""


class NotDerivedError(SymmleError):
    """What remains cannot be solved by what is built; `equations` holds it."""

    def __init__(self, message: str, equations: tuple[Any, ...] = ()):
        super().__init__(message)
        self.equations = equations


class NoMaximumError(SymmleError):
    """The likelihood has no maximum on this data: unbounded, at infinity or not attained.

    `condition` is the condition that failed; `supremum` the limiting estimates and
    log-likelihood, where there are some, as a dict. `undetermined` names parameters that the data do
    not tell: the likelihood is largest along a whole line.
    """

    def __init__(
        self,
        message: str,
        condition: Any = None,
        supremum: dict[str, Any] | None = None,
        undetermined: tuple[str, ...] = (),
    ):
        super().__init__(message)
        self.condition = condition
        self.supremum = supremum
        self.undetermined = undetermined


class NotConvergedError(SymmleError):
    """An iteration ended without a maximum; `result` is the best that was met."""

    def __init__(self, message: str, result: Any = None):
        super().__init__(message)
        self.result = result


class UnsoundStepError(SymmleError):
    """A rule produced something false: a bug in symmle."""
