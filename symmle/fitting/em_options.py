"""How EM is run: what the user asks for, carried from `fit` to the solver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from symmle.fitting.em_starts import KINDS

ASSIGNMENTS = ("soft", "hard", "stochastic", "classification")


@dataclass(frozen=True)
class EmOptions:
    """How EM is run; see `symmle.fitting.fit.fit_derivation`."""

    init: str | None = None
    restarts: int | None = None
    assignment: str = "soft"
    labels: Any = None
    accelerate: bool = True
    seed: int | None = None

    def check(self) -> None:
        if self.init is not None and self.init not in KINDS:
            raise ValueError(f"Expected init to be one of {', '.join(KINDS)}, got {self.init!r}.")
        if self.assignment not in ASSIGNMENTS:
            raise ValueError(
                f"Expected assignment to be one of {', '.join(ASSIGNMENTS)}, got {self.assignment!r}."
            )
        whole = isinstance(self.restarts, int) and not isinstance(self.restarts, bool)
        if self.restarts is not None and not (whole and self.restarts >= 1):
            raise ValueError(f"Expected restarts to be a whole number from 1, got {self.restarts!r}.")

    @property
    def is_given(self) -> bool:
        """Whether anything was asked for that has a meaning for EM alone."""
        return (
            self.init is not None
            or self.restarts is not None
            or self.assignment != "soft"
            or self.labels is not None
            or not self.accelerate
        )


_OPTIONS: ContextVar[EmOptions | None] = ContextVar("symmle_em_options", default=None)


@contextmanager
def running_em(options: EmOptions) -> Iterator[None]:
    """EM inside runs with these options."""
    options.check()
    token = _OPTIONS.set(options)
    try:
        yield
    finally:
        _OPTIONS.reset(token)


def options_now() -> EmOptions:
    return _OPTIONS.get() or EmOptions()


__all__ = ["ASSIGNMENTS", "EmOptions", "options_now", "running_em"]
