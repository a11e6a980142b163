"""What a derivation is trying, on one line of a terminal, once it takes longer than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DELAY = 1.0  # seconds before anything is shown


class _Line:
    """One line on stderr, rewritten from a thread so that a hanging call shows how long it hangs."""

    def __init__(self) -> None:
        self.text = "deriving"
        self.started = time.monotonic()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, name="symmle-progress", daemon=True)

    def _run(self) -> None:
        if self.done.wait(DELAY):
            return
        while True:
            spent = time.monotonic() - self.started
            sys.stderr.write(f"\r\x1b[2Ksymmle: {self.text} ({spent:.0f} s)")
            sys.stderr.flush()
            if self.done.wait(0.5):
                sys.stderr.write("\r\x1b[2K")
                sys.stderr.flush()
                return


@contextmanager
def progress_on_terminal(wanted: bool | None = None) -> Iterator[Callable[[str], None]]:
    """Yields a function that takes what is being tried; silent where stderr is no terminal."""
    if wanted is None:
        wanted = sys.stderr is not None and sys.stderr.isatty()
    if not wanted:
        yield lambda text: None
        return
    line = _Line()
    line.thread.start()

    def show(text: str) -> None:
        line.text = text

    try:
        yield show
    finally:
        line.done.set()
        line.thread.join()
