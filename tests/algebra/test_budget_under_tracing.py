"""Budgets under a tracer (coverage, a debugger): they answer, and leave the interpreter as it was."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from symmle.algebra import GaveUp, attempt_within

def endless():
    while True:
        pass

sys.settrace(lambda frame, event, argument: None)
assert attempt_within(5.0, lambda: 2) == 2
assert isinstance(attempt_within(0.05, endless), GaveUp)
assert attempt_within(5.0, attempt_within, 0.05, endless) == GaveUp("no answer within 0.05 s")
assert attempt_within(5.0, lambda: 3) == 3
print("done")
"""


def test_a_traced_program_returns() -> None:
    # in a process of its own: what this guards against hangs the interpreter at no Python line
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout.strip() == "done", run.stderr[-500:]
