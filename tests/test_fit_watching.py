"""Fits that are watched, ended by a callback, or interrupted: nothing is left broken."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
from laws_for_fits import LAWS, column, law  # type: ignore[import-not-found]

from symmle import Model, NotConvergedError, derive, fit
from symmle.progress import FitState, progress_on_terminal, report, watching

NEWCOMB = column("newcomb")


def test_a_callback_sees_every_iteration() -> None:
    seen: list[FitState] = []
    result = fit(law("Student t"), NEWCOMB, callback=seen.append)
    assert len(seen) > 5
    assert all(state.stage for state in seen)
    assert all(set(state.parameters) == {"m", "s", "nu"} for state in seen)
    assert all(isinstance(v, float) for state in seen for v in state.parameters.values())
    assert seen[0].iteration == 0
    # some of the climbs follow a spike, along which this likelihood has no bound
    reached = [state for state in seen if state.parameters == pytest.approx(result.estimates, rel=1e-5)]
    assert max(s.log_likelihood for s in reached) == pytest.approx(result.log_likelihood, rel=1e-9)
    assert fit(law("Student t"), NEWCOMB).estimates == result.estimates


def test_a_callback_sees_the_data_as_given() -> None:
    """Where the fit is made in usual units, what is told is for the data as given."""
    seen: list[FitState] = []
    result = fit(law("Cauchy"), np.array(NEWCOMB) * 1e150, callback=seen.append)
    last = max(seen, key=lambda state: state.log_likelihood)
    assert last.parameters == pytest.approx(result.estimates, rel=1e-5)
    assert last.log_likelihood == pytest.approx(result.log_likelihood, rel=1e-9)


def test_the_root_of_one_equation_is_watched() -> None:
    seen: list[FitState] = []
    fit(law("gamma"), column("gamma60"), callback=seen.append)
    assert {state.stage for state in seen} == {"root"}
    assert all(set(state.parameters) == {"shape"} for state in seen)


def test_stop_iteration_ends_a_fit() -> None:
    seen: list[FitState] = []

    def three(state: FitState) -> None:
        seen.append(state)
        if len(seen) == 3:
            raise StopIteration

    with pytest.raises(NotConvergedError) as ended:
        fit(law("Student t"), NEWCOMB, callback=three)
    assert "Student t" in str(ended.value) and "callback" in str(ended.value)
    assert ended.value.result["estimates"] == seen[-1].parameters
    assert ended.value.result["log_likelihood"] == seen[-1].log_likelihood
    assert len(seen) == 3


def test_errors_of_a_callback_come_through() -> None:
    def broken(state: FitState) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        fit(law("Student t"), NEWCOMB, callback=broken)
    before = fit(law("Student t"), NEWCOMB)
    assert before.estimates == fit(law("Student t"), NEWCOMB, callback=lambda state: None).estimates


def test_fits_inside_a_callback_are_not_seen_by_it() -> None:
    seen: list[FitState] = []

    def nested(state: FitState) -> None:
        seen.append(state)
        if len(seen) == 1:
            fit(law("Cauchy"), column("gamma60"))

    fit(law("Student t"), NEWCOMB, callback=nested)
    assert all("nu" in state.parameters for state in seen)


def test_groups_are_watched_one_by_one() -> None:
    seen: list[FitState] = []
    data = {"x": NEWCOMB, "g": [k % 2 for k in range(len(NEWCOMB))]}
    fit(law("Cauchy"), data, by="g", callback=seen.append)
    assert sum(state.iteration == 0 for state in seen) >= 2


def test_what_nobody_watches_costs_next_to_nothing() -> None:
    values = np.zeros(3)
    started = time.process_time()
    for k in range(100_000):
        report("newton", k, 0.0, ("a", "b", "c"), values)
    assert time.process_time() - started < 0.5


# --- Ctrl-C ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delay", "fresh"), [(0.002, False), (0.1, False), (0.5, False), (0.1, True)])
def test_an_interrupt_leaves_nothing_broken(delay: float, fresh: bool) -> None:
    """A real SIGINT in the middle of a fit, or of deriving what it needs; then the same fit again."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs behind it ignore them
    expected = fit(law("Student t"), NEWCOMB).estimates
    derivation = derive(Model.from_dict({**LAWS["Student t"], "name": "t"})) if fresh else law("Student t")
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        for _ in range(100):
            fit(derivation, NEWCOMB)
    timer.join()
    result = fit(derivation, NEWCOMB)
    assert result.estimates == expected
    assert result.standard_errors is not None
    seen: list[FitState] = []
    with watching():
        report("newton", 0, 0.0)
    assert not seen


# --- the terminal ------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_progress_is_for_terminals(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out = stream()
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setattr("symmle.progress.DELAY", 0.0)
    monkeypatch.setattr("symmle.progress.REFRESH", 0.001)
    fit(law("Student t"), NEWCOMB, callback=lambda state: time.sleep(0.004))  # long enough to be painted
    shown = out.getvalue()
    if stream is io.StringIO:
        assert shown == ""
        return
    assert "symmle: " in shown and "log-likelihood" in shown
    assert shown.endswith("\r\x1b[2K")  # the line is gone in the end


def test_short_fits_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    fit(law("exponential"), [1.0, 2.0, 4.0])
    assert out.getvalue() == ""


def test_a_bar_where_the_end_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr("sys.stderr", out)
    monkeypatch.setattr("symmle.progress.DELAY", 0.0)
    with progress_on_terminal(None, "bootstrap") as show:
        show("bootstrap: 250 of 1000", 0.25)
        time.sleep(1.2)
    assert "[######..................] bootstrap: 250 of 1000 (" in out.getvalue()
