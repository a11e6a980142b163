"""Budgets interrupt any thread, nest, and leave nothing behind."""

from __future__ import annotations

import threading
import time

import pytest
from sympy import Symbol, log
from sympy.stats import E, Weibull

from symmle.algebra import GaveUp, attempt_within, seconds_left
from symmle.errors import ModelError


def hang() -> None:
    while True:
        pass


def swallow() -> None:
    """A loop that catches whatever is raised, as a bare except deep in a library would."""
    while True:
        try:
            hang()
        except BaseException:
            continue


def test_answer_passes_through() -> None:
    assert attempt_within(1.0, lambda a, b: a + b, 2, 3) == 5


def test_hanging_call_gives_up_with_the_reason() -> None:
    answer = attempt_within(0.2, hang)
    assert isinstance(answer, GaveUp) and "0.2 s" in answer.reason


def test_sympy_hanging_gives_up() -> None:
    a, b = Symbol("a", positive=True), Symbol("b", positive=True)
    x = Weibull("x", a, b)
    started = time.monotonic()
    answer = attempt_within(1.0, lambda: E(log(x) ** 2 * x**3), by_wall=True)
    assert isinstance(answer, GaveUp)
    assert time.monotonic() - started < 2.0


def test_nested_budgets_end_with_their_own() -> None:
    inner: list[object] = []

    def outer() -> str:
        inner.append(attempt_within(0.1, hang))
        return "went on"

    assert attempt_within(5.0, outer) == "went on"
    assert isinstance(inner[0], GaveUp)


def test_outer_budget_ends_an_inner_one() -> None:
    def outer() -> None:
        attempt_within(30.0, hang)

    started = time.monotonic()
    assert isinstance(attempt_within(0.2, outer, by_wall=True), GaveUp)
    assert time.monotonic() - started < 1.5


def test_errors_become_reasons_but_symmles_own_pass() -> None:
    answer = attempt_within(1.0, lambda: 1 / 0)
    assert isinstance(answer, GaveUp) and "ZeroDivisionError" in answer.reason

    answer = attempt_within(1.0, lambda: 3 << (1 << 62))
    assert isinstance(answer, GaveUp) and "memory" in answer.reason

    def refuse() -> None:
        raise ModelError("no")

    with pytest.raises(ModelError):
        attempt_within(1.0, refuse)


def test_many_expiring_budgets_do_not_interfere() -> None:
    """Interrupts race with calls that end just in time; none may escape or be lost."""

    def busy(seconds: float) -> str:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass
        return "done"

    def run() -> int:
        given_up = 0
        for k in range(60):
            answer = attempt_within(0.02, busy, 0.0005 * k, by_wall=True)
            given_up += isinstance(answer, GaveUp)
            assert answer == "done" or isinstance(answer, GaveUp)
        return given_up

    assert attempt_within(20.0, run) > 5


def test_sleeping_costs_no_budget() -> None:
    """Processor time is counted, so that a busy machine does not change answers."""

    def sleep(times: int) -> str:
        for _ in range(times):
            time.sleep(0.05)
        return "slept"

    assert attempt_within(0.1, sleep, 6) == "slept"
    assert isinstance(attempt_within(0.1, sleep, 20, by_wall=True), GaveUp)


def test_works_in_a_thread_and_leaves_none_behind() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(attempt_within(0.2, hang)))
    thread.start()
    thread.join(5)
    assert isinstance(found[0], GaveUp)
    assert not [t for t in threading.enumerate() if t.name.startswith("symmle")]
    assert seconds_left() == float("inf")
