"""Time budgets for SymPy calls: any thread, no signals, no worker left behind.

SymPy is Python code, so a watchdog thread can raise an exception inside the thread that computes, at
its next bytecode. It is raised again until it is acknowledged, since a bare `except` may swallow it.
The watchdog lives as long as the outermost budget of its thread.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sympy.core.cache import clear_cache


@dataclass(frozen=True)
class GaveUp:
    """A call that did not answer, and why."""

    reason: str


class _Interrupt(BaseException):
    """Raised in the computing thread when a budget is used up."""


class _Watchdog(threading.Thread):
    """Raises _Interrupt in one thread whenever the innermost expired budget is still open."""

    AGAIN = 0.25  # seconds after which an interrupt that was swallowed is raised once more

    def __init__(self, thread_id: int):
        super().__init__(name="symmle-budget", daemon=True)
        self.thread_id = thread_id
        self.changed = threading.Condition()
        self.deadlines: list[float] = []
        self.closing = False

    def run(self) -> None:
        with self.changed:
            wait_until = 0.0
            while not self.closing:
                now = time.monotonic()
                due = min(self.deadlines, default=None)
                if due is None:
                    self.changed.wait()
                elif now >= max(due, wait_until):
                    self._raise(ctypes.py_object(_Interrupt))
                    wait_until = now + self.AGAIN
                else:
                    self.changed.wait(max(due, wait_until) - now)

    def _raise(self, what: Any) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread_id), what)

    def enter(self, deadline: float) -> int:
        with self.changed:
            self.deadlines.append(deadline)
            self.changed.notify()
            return len(self.deadlines)

    def leave(self, depth: int) -> None:
        """Forget this budget and those inside it, and an interrupt that is on its way for them."""
        with self.changed:
            del self.deadlines[depth - 1 :]
            if not any(d <= time.monotonic() for d in self.deadlines):
                self._raise(None)
            if not self.deadlines:
                self.closing = True
            self.changed.notify()


_local = threading.local()


def _leave(watchdog: _Watchdog, depth: int) -> None:
    while True:
        try:
            watchdog.leave(depth)
            if depth == 1:
                _local.watchdog = None
                watchdog.join()
            return
        except _Interrupt:
            continue


def attempt_within(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """function(*arguments), or GaveUp when it takes longer than `seconds` or SymPy raises.

    This is the one place where every exception is caught: whatever SymPy throws becomes a reason.
    """
    watchdog = getattr(_local, "watchdog", None)
    if watchdog is None:
        watchdog = _local.watchdog = _Watchdog(threading.get_ident())
        watchdog.start()
    deadline = time.monotonic() + seconds
    depth = watchdog.enter(deadline)
    try:
        try:
            return function(*arguments)
        finally:
            _leave(watchdog, depth)
    except _Interrupt:
        _leave(watchdog, depth) if depth > 1 else None
        clear_cache()  # a half-made entry must not answer a later call
        if depth > 1 and watchdog.deadlines and min(watchdog.deadlines) <= time.monotonic():
            raise  # an outer budget is used up as well
        return GaveUp(f"no answer within {seconds:.3g} s")
    except RecursionError:
        return GaveUp("recursion too deep")
    except Exception as error:
        from symmle.errors import SymmleError

        if isinstance(error, SymmleError):
            raise
        return GaveUp(f"{type(error).__name__}: {str(error)[:200]}")


def seconds_left() -> float:
    """Seconds until the innermost open budget of this thread is used up."""
    watchdog = getattr(_local, "watchdog", None)
    if watchdog is None or not watchdog.deadlines:
        return float("inf")
    return min(watchdog.deadlines) - time.monotonic()
