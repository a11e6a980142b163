"""What a derivation or a fit is doing: on one line of a terminal once it takes long, and to a callback of the user.

Solvers call `report` once an iteration. Where nobody watches, that is one look at a context variable.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

DELAY = 1.0  # seconds before anything is shown
REFRESH = 0.5  # seconds between two looks at what is done
WIDTH = 24  # of the bar

Watch = Callable[[str, int, float, Sequence[Any], Any], None]
Translate = Callable[[dict[str, float], float], tuple[dict[str, float], float]]


# --- the line on the terminal -----------------------------------------------------------------------


class _Line:
    """One line on stderr, rewritten from a thread so that a hanging call shows how long it hangs."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.part: float | None = None  # how much is done, where that is known
        self.started = time.monotonic()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name="symmle-progress", daemon=True)

    def _run(self) -> None:
        if self.done.wait(DELAY):
            return
        while True:
            sys.stderr.write(f"\r\x1b[2K{self._shown()}")
            sys.stderr.flush()
            if self.done.wait(REFRESH):
                sys.stderr.write("\r\x1b[2K")
                sys.stderr.flush()
                return

    def _shown(self) -> str:
        spent = time.monotonic() - self.started
        if self.part is None:
            return f"symmle: {self.text} ({spent:.0f} s)"
        full = round(WIDTH * min(max(self.part, 0.0), 1.0))
        return f"symmle: [{'#' * full}{'.' * (WIDTH - full)}] {self.text} ({spent:.0f} s)"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def progress_on_terminal(wanted: bool | None = None, text: str = "deriving") -> Iterator[Callable[..., None]]:
    """Yields a function that takes what is being done and, where known, which part of it is; silent in a pipe."""
    if not (_is_terminal() if wanted is None else wanted):
        yield lambda text, part=None: None
        return
    line = _Line(text)
    line.thread.start()

    def show(text: str, part: float | None = None) -> None:
        line.text, line.part = text, part

    try:
        yield show
    finally:
        line.done.set()
        line.thread.join()


# --- watching a fit ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class FitState:
    """Where a fit stands, for a callback.

    Attributes
    ----------
    stage : str
        What runs: "search", "subsample", "newton", "edges", "em", ...
    iteration : int
        Of this run of the stage, from 0; a stage may run from several starts.
    parameters : dict of str to float
        The point, by parameter name; what the stage does not move may be missing.
    log_likelihood : float
        l there, on the rows that the stage looks at (a subsample has a smaller one).
    """

    stage: str
    iteration: int
    parameters: dict[str, float]
    log_likelihood: float


class Stopped(BaseException):
    """A callback asked a fit to stop; no handler of errors on the way up is to take it for one."""

    def __init__(self, state: FitState):
        super().__init__(state)
        self.state = state


_WATCH: ContextVar[Watch | None] = ContextVar("symmle_watch", default=None)


def report(
    stage: str,
    iteration: int,
    log_likelihood: float,
    parameters: Sequence[Any] = (),
    values: Any = (),
) -> None:
    """Tell whoever watches that an iteration of a solver is done; `parameters` and their values in step."""
    watch = _WATCH.get()
    if watch is not None:
        watch(stage, iteration, log_likelihood, parameters, values)


@contextmanager
def watching(
    callback: Callable[[FitState], Any] | None = None, progress: bool | None = None
) -> Iterator[Callable[..., None]]:
    """What solvers report inside goes to the callback and to the terminal; what an outer watcher sees is held back.

    A StopIteration of the callback leaves as `Stopped`, everything else as it is.
    """
    shown = _is_terminal() if progress is None else progress
    with progress_on_terminal(shown, "fitting") as show:

        def watch(stage: str, iteration: int, height: float, parameters: Any, values: Any) -> None:
            if shown:
                known = "" if height != height else f", log-likelihood {height:.8g}"
                show(f"{stage}: iteration {iteration}{known}")
            if callback is None:
                return
            point = {str(p): float(v) for p, v in zip(parameters, values, strict=False)}
            state = FitState(stage, iteration, point, float(height))
            token = _WATCH.set(None)  # fits that the callback makes are its own
            try:
                callback(state)
            except StopIteration:
                raise Stopped(state) from None
            finally:
                _WATCH.reset(token)

        token = _WATCH.set(watch if shown or callback is not None else None)
        try:
            yield show
        finally:
            _WATCH.reset(token)


@contextmanager
def translated(translate: Translate) -> Iterator[None]:
    """What is reported inside goes on through a change of units."""
    outer = _WATCH.get()
    if outer is None:
        yield
        return

    def watch(stage: str, iteration: int, height: float, parameters: Any, values: Any) -> None:
        point = {str(p): float(v) for p, v in zip(parameters, values, strict=False)}
        point, height = translate(point, float(height))
        outer(stage, iteration, height, tuple(point), tuple(point.values()))

    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


__all__ = ["FitState", "Stopped", "progress_on_terminal", "report", "translated", "watching"]
