"""Contestants of a benchmark take turns in one thread on one core. Import it before NumPy, which reads the settings."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the package of this checkout

SLOW = 3.0  # seconds of a run after which a contestant is not run again


def one_core() -> None:
    """This process stays on one core, where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Processor time and clock time in ms, and what came out."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return 1e3 * (time.process_time() - processor), 1e3 * (time.perf_counter() - clock), found


@dataclass
class Turns:
    """Processor times in ms by contestant, what their first runs took and gave, and who failed."""

    times: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def median(self) -> dict[str, float]:
        return {name: median(t) for name, t in self.times.items()}

    @property
    def least(self) -> dict[str, float]:
        return {name: min(t) for name, t in self.times.items()}


def take_turns(
    programs: dict[str, Callable[[dict[str, Any]], Any]],
    columns: dict[str, Any],
    repeats: int,
    again: tuple[str, ...] = (),
) -> Turns:
    """One warm-up each, then `repeats` rounds on fresh copies of the columns, so that nothing kept by array helps.

    Who takes longer than `SLOW` has that one run only, but for those in `again`, whose first run compiles.
    """
    found = Turns()
    for name, program in programs.items():
        try:
            found.first[name], _, found.answers[name] = timed(lambda p=program: p(columns))  # type: ignore[misc]
        except Exception as problem:  # noqa: BLE001  # a contestant that fails is a line of the table
            found.failures[name] = f"{type(problem).__name__}: {problem}"
            continue
        found.times[name] = []
    quick = [n for n in found.times if found.first[n] < 1e3 * SLOW or n in again]
    for _ in range(repeats):
        for name in quick:
            fresh = {k: v.copy() for k, v in columns.items()}
            found.times[name].append(timed(lambda p=programs[name], c=fresh: p(c))[0])  # type: ignore[misc]
    for name, spent in found.times.items():
        if not spent:
            spent.append(found.first[name])
    return found
