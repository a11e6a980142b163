"""Time budgets for SymPy calls: any thread, no signals, no worker left behind.

SymPy is Python code, so a watchdog thread can raise an exception inside the thread that computes, at
its next bytecode. It is raised again until it is acknowledged, since a bare `except` may swallow it.
The watchdog lives as long as the outermost budget of its thread.

Budgets count the processor time of the computing thread, so that answers do not depend on what else the
machine does; the limit of a whole run, which somebody waits for, counts the wall clock.
"""

from __future__ import annotations

import _thread
import ctypes
import sys
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
    """Raises _Interrupt in one thread while the earliest deadline of its open budgets has passed.

    The computing thread may be interrupted at any bytecode, so it takes no lock that it could leave
    held: it replaces `deadlines` (one assignment), then waits while `firing` is set. The watchdog sets
    `firing` before it reads `deadlines`, so that no interrupt is raised for a budget that was left.
    """

    AGAIN = 0.25  # seconds after which an interrupt that was swallowed is raised once more
    TICK = 0.02  # seconds between two looks at the deadlines

    def __init__(self, thread_id: int):
        super().__init__(name="symmle-budget", daemon=True)
        self.thread_id = thread_id
        self.clock = _processor_clock(thread_id)
        self.deadlines: tuple[tuple[bool, float], ...] = ()  # (by the wall clock, when)
        self.firing = False
        self.raised = False  # an interrupt may be on its way
        self.closing = _thread.allocate_lock()
        self.closing.acquire()

    def run(self) -> None:
        fired, fired_for = 0.0, None
        while True:
            if self.closing.acquire(timeout=min(self.TICK, max(0.001, self.left(self.deadlines)))):
                return
            now = time.monotonic()
            self.firing = True
            current = self.deadlines
            swallowed = current is not fired_for or now >= fired + self.AGAIN
            if swallowed and self.left(current) <= 0:
                self.raised = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self.thread_id), ctypes.py_object(_Interrupt)
                )
                fired, fired_for = now, current
            self.firing = False

    def now(self, by_wall: bool) -> float:
        return time.monotonic() if by_wall else self.clock()

    def left(self, deadlines: tuple[tuple[bool, float], ...]) -> float:
        """Seconds until the first of the deadlines; infinite where there is none."""
        return min((when - self.now(by_wall) for by_wall, when in deadlines), default=float("inf"))

    def leave(self, depth: int) -> None:
        """Forget this budget and those inside it, and take an interrupt that is on its way for them.

        It is taken by letting it arrive: to clear it in the interpreter would leave CPython 3.11 with
        its flag set, which hangs under a tracer.
        """
        self.deadlines = self.deadlines[: depth - 1]
        while self.firing:
            time.sleep(0)
        if self.raised:
            self.raised = False
            try:
                for _ in range(100):  # interrupts arrive where a loop jumps back
                    pass
            except _Interrupt:
                pass


_local = threading.local()


class _Quiet:
    """Interrupts that land in finalizers, where Python reports what it cannot raise, are not reported.

    They are raised again. Counted, so that budgets of several threads share one hook.
    """

    lock = threading.Lock()
    users = 0
    before: Any = None

    @classmethod
    def hook(cls, unraisable: Any) -> None:
        if unraisable.exc_type is not _Interrupt:
            cls.before(unraisable)

    @classmethod
    def begin(cls) -> None:
        with cls.lock:
            if cls.users == 0:
                cls.before = sys.unraisablehook
                sys.unraisablehook = cls.hook
            cls.users += 1

    @classmethod
    def end(cls) -> None:
        with cls.lock:
            cls.users -= 1
            if cls.users == 0 and sys.unraisablehook == cls.hook:
                sys.unraisablehook = cls.before


def _leave(watchdog: _Watchdog, depth: int) -> None:
    while True:
        try:
            watchdog.leave(depth)
            break
        except _Interrupt:
            continue
    if depth == 1 and getattr(_local, "watchdog", None) is watchdog:
        _local.watchdog = None
        watchdog.closing.release()
        watchdog.join()
        _Quiet.end()


def attempt_within(
    seconds: float, function: Callable[..., Any], *arguments: Any, by_wall: bool = False
) -> Any:
    """function(*arguments), or GaveUp when it takes longer than `seconds` or SymPy raises.

    Seconds are of the processor, or of the wall clock for what somebody waits for.
    This is the one place where every exception is caught: whatever SymPy throws becomes a reason.
    """
    watchdog = getattr(_local, "watchdog", None)
    if watchdog is None:
        _Quiet.begin()
        watchdog = _local.watchdog = _Watchdog(threading.get_ident())
        watchdog.start()
    depth = len(watchdog.deadlines) + 1
    watchdog.deadlines = (*watchdog.deadlines, (by_wall, watchdog.now(by_wall) + seconds))
    try:
        try:
            return function(*arguments)
        finally:
            _leave(watchdog, depth)
    except _Interrupt:
        _leave(watchdog, depth)  # the interrupt may have come before the line above had done it
        clear_cache()  # a half-made entry must not answer a later call
        if watchdog.left(watchdog.deadlines) <= 0:
            raise  # an outer budget is used up as well
        return GaveUp(f"no answer within {seconds:.3g} s")
    except (NameError, ImportError):
        raise  # a fault of the program, not an answer
    except MemoryError:
        return GaveUp("a number too large for the memory")  # exp of exp of exp: refused before it is taken
    except RecursionError:
        return GaveUp("recursion too deep")
    except Exception as error:
        from symmle.errors import SymmleError

        if isinstance(error, SymmleError):
            raise
        return GaveUp(f"{type(error).__name__}: {str(error)[:200]}")


def seconds_left() -> float:
    """Seconds until the first open budget of this thread is used up."""
    watchdog = getattr(_local, "watchdog", None)
    return float("inf") if watchdog is None else watchdog.left(watchdog.deadlines)


def _processor_clock(thread_id: int) -> Callable[[], float]:
    """The processor time of one thread, readable from another; the wall clock where there is none."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    clock = time.pthread_getcpuclockid(thread_id)

    def read() -> float:
        return time.clock_gettime(clock)

    return read
