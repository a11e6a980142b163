"""Fits of symmle beside its peers and programs by hand: `python tests/benchmarks/fits.py [row ...]`.

One thread on one core. After one warm-up the contestants take turns, so that what else the machine does hits all alike;
printed are the medians of processor time, the ratios, the log-likelihoods, passes and memory. README.md beside this
file says what each contestant is.
"""

from __future__ import annotations

import turns  # first: NumPy reads its settings when it is imported

# isort: split
import argparse
import json
import sys
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_laws import LAWS, Columns, Estimates, Law
from by_hand import BARE, BY_HAND

from symmle import Model, derive, fit

PEERS = ("scipy", "statsmodels", "iminuit", "jax")
SAME = 1e-9  # relative, of log-likelihoods
Program = Callable[[Columns], Estimates]


def peers_of(law: Law, wanted: list[str]) -> dict[str, Program]:
    found = {}
    for name in wanted:
        try:
            program = import_module(f"peers_{name}").contestant(law)
        except ImportError as problem:
            print(f"{name} is not there: {problem}", file=sys.stderr)
            continue
        if program is not None:
            found[name] = program
    return found


class Ours:
    """`fit(derivation, data)`, estimates only; keeps the last result."""

    def __init__(self, law: Law):
        self.law = law
        self.result: Any = None
        self.groups: Any = None
        self.derive_time, _, self.derivation = turns.timed(lambda: derive(Model.from_dict(law.declaration())))

    def __call__(self, columns: Columns) -> Estimates:
        if self.law.groups:
            self.groups = fit(self.derivation, columns, by="g")
            return dict(self.groups.estimates)
        self.result = fit(self.derivation, columns["x"])
        return dict(self.result.estimates)

    def passes(self) -> str:
        """Over the data in the last fit, where they are counted."""
        result = self.result if self.groups is None else self.groups[next(iter(self.groups))]
        return str(result.solution.passes or "?")

    def memory(self, columns: Columns) -> float:
        """The most memory that a fit holds at a time, the data among it, over the data."""
        data = sum(c.nbytes for c in columns.values())
        tracemalloc.start()
        self(columns)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return 1 + peak / data


def measure(law: Law, repeats: int, wanted: list[str]) -> dict[str, Any]:
    """Times and log-likelihoods of all contestants on one row."""
    columns = law.columns()
    ours = Ours(law)
    programs: dict[str, Callable[[Columns], Any]] = {"bare pass": BARE[law.name], "symmle": ours}
    if law.name in BY_HAND:
        programs["by hand"] = BY_HAND[law.name]
    programs |= peers_of(law, wanted)
    found = turns.take_turns(programs, columns, repeats, again=("symmle", "jax"))
    if "symmle" in found.failures:
        raise SystemExit(f"{law.name}: symmle failed: {found.failures['symmle']}")
    heights = {n: law.log_likelihood(columns, a) for n, a in found.answers.items() if n != "bare pass"}
    best = max(heights.values())
    return {
        "row": law.name,
        "rows": law.rows,
        "median": found.median,
        "least": found.least,
        "runs": {n: len(t) for n, t in found.times.items()},
        "below": {n: (best - h) / abs(best) for n, h in heights.items()},
        "log_likelihood": heights,
        "failures": found.failures,
        "derive": ours.derive_time,
        "first_fit": found.first["symmle"],
        "passes": ours.passes(),
        "memory": ours.memory(columns),
        "status": "" if ours.result is None else str(ours.result.status),
    }


def fastest_peer(found: dict[str, Any], which: str = "median") -> tuple[str, float] | None:
    """The fastest peer that reaches the log-likelihood."""
    there = {n: t for n, t in found[which].items() if n in PEERS and found["below"].get(n, 1) < SAME}
    return min(there.items(), key=lambda pair: pair[1]) if there else None


def ratios(found: dict[str, Any], which: str) -> tuple[float, float]:
    """symmle over the fastest peer and over the program by hand; nan where there is none."""
    peer = fastest_peer(found, which)
    mine = found[which]["symmle"]
    return mine / peer[1] if peer else np.nan, mine / found[which].get("by hand", np.nan)


def print_row(found: dict[str, Any]) -> None:
    print(f"\n{found['row']}, {found['rows']} rows", flush=True)
    for name, spent in found["median"].items():
        line = f"  {name:<12} {spent:10.2f} ms, least {found['least'][name]:10.2f}"
        if name in found["below"]:
            short = found["below"][name]
            line += f"   l = {found['log_likelihood'][name]:.6f}"
            line += "" if short < SAME else f"   NOT at the maximum: {short:.1e} relative below"
        print(line + ("" if found["runs"][name] > 1 else "   (one run)"))
    for name, reason in found["failures"].items():
        print(f"  {name:<12} failed: {reason[:200]}")
    print(
        f"  derive {found['derive']:.0f} ms, first fit {found['first_fit']:.0f} ms, passes {found['passes']}, "
        f"memory {found['memory']:.2f} times the data",
        flush=True,
    )


HEADINGS = (
    *(
        "row",
        "bare pass",
        "by hand",
        "symmle",
        "fastest peer",
        "/ peer",
        "/ by hand",
        "least / peer",
        "least / by hand",
    ),
    *("passes", "memory"),
)


def cells_of(found: dict[str, Any]) -> list[str]:
    """A line of the table under `HEADINGS`: times in ms, the ratios of the medians and of the least times."""
    median, peer = found["median"], fastest_peer(found)
    quotients = [v for which in ("median", "least") for v in ratios(found, which)]
    mark = "" if found["below"]["symmle"] < SAME else " (below the others)"
    return [
        found["row"],
        f"{median['bare pass']:.2f}",
        f"{median['by hand']:.2f}" if "by hand" in median else "-",
        f"{median['symmle']:.2f}{mark}",
        f"{peer[1]:.2f} {peer[0]}" if peer else "-",
        *(f"{v:.2f}" if np.isfinite(v) else "-" for v in quotients),
        str(found["passes"]),
        f"{found['memory']:.2f}",
    ]


def print_table(all_found: list[dict[str, Any]], markdown: bool) -> None:
    lines = [list(HEADINGS), *(cells_of(found) for found in all_found)]
    if markdown:
        lines.insert(1, ["---"] * len(HEADINGS))
        print("\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
        return
    widths = [max(len(line[k]) for line in lines) for k in range(len(HEADINGS))]
    print()
    for line in lines:
        print(
            "  ".join(
                c.ljust(w) if k in (0, 4) else c.rjust(w)
                for k, (c, w) in enumerate(zip(line, widths, strict=True))
            )
        )


def main() -> None:
    names = [law.name for law in LAWS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(names)}; all without")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each contestant after the warm-up")
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS, help="which peers")
    parser.add_argument("--markdown", action="store_true", help="the table as README.md has it")
    options = parser.parse_args()
    unknown = sorted(set(options.rows) - set(names))
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(names)}")
    turns.one_core()
    all_found = []
    for law in LAWS:
        if not options.rows or law.name in options.rows:
            all_found.append(measure(law, options.repeat, options.peers))
            print_row(all_found[-1])
    print_table(all_found, options.markdown)
    if options.json:
        options.json.write_text(json.dumps(all_found, indent=1))


if __name__ == "__main__":
    main()
