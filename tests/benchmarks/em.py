"""Mixtures: symmle's fit beside plain EM written by hand and packages: `python tests/benchmarks/em.py [row ...]`.

All from the same start, to the same log-likelihood (1e-9 a row), one thread, in turns; scikit-learn with
reg_covar=0 and tol=1e-12. Iterations and ratios are printed.
"""

from __future__ import annotations

import turns  # first: NumPy reads its settings when it is imported

# isort: split
import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from em_by_hand import Start
from em_laws import ROWS, TOLERANCE, Row
from numpy.typing import NDArray

from symmle import Model, derive, fit

Array = NDArray[Any]
SAME = 1e-9  # of the log-likelihood a row


def scikit_learn(row: Row) -> Callable[[dict[str, Array]], Start]:
    """GaussianMixture from the given start; its own initialisation is made cheap, for it is not used."""
    from sklearn.mixture import GaussianMixture

    def run(columns: dict[str, Array]) -> Start:
        x = columns["x"]
        start = row.start(x)
        assert start.scales is not None
        model = GaussianMixture(
            len(row.weights),
            reg_covar=0.0,
            tol=TOLERANCE,
            max_iter=5000,
            weights_init=start.weights,
            means_init=start.means[:, None],
            precisions_init=1 / start.scales[:, None, None] ** 2,
            init_params="random_from_data",
            random_state=0,
        ).fit(x[:, None])
        return Start(
            model.weights_, model.means_[:, 0], np.sqrt(model.covariances_[:, 0, 0]), int(model.n_iter_)
        )

    return run


class Ours:
    """`fit(derivation, x, start=...)`, or from default arguments; estimates only."""

    def __init__(self, row: Row, with_start: bool = True):
        self.row, self.with_start = row, with_start
        self.derivation = derive(Model.from_dict(row.declaration()))

    def __call__(self, columns: dict[str, Array]) -> Start:
        x = columns["x"]
        start = self.row.named(self.row.start(x)) if self.with_start else None
        result = fit(self.derivation, x, start=start)
        found = self.row.unnamed(result.estimates)
        found.iterations = result.iterations or 0
        return found


def measure(row: Row, repeats: int) -> dict[str, Any]:
    columns = row.columns()
    programs: dict[str, Any] = {"by hand": row.by_hand}
    derive_time, _, ours = turns.timed(lambda: Ours(row))
    programs |= {"symmle": ours, "symmle, no start": Ours(row, with_start=False)}
    if row.scales:
        try:
            programs["scikit-learn"] = scikit_learn(row)
        except ImportError as problem:
            print(f"scikit-learn is not there: {problem}")
    found = turns.take_turns(programs, columns, repeats, again=("symmle", "by hand"))
    heights = {n: row.height(columns["x"], a) for n, a in found.answers.items()}
    return {
        "row": row.name,
        "rows": row.rows,
        "median": found.median,
        "least": found.least,
        "runs": {n: len(t) for n, t in found.times.items()},
        "iterations": {n: a.iterations for n, a in found.answers.items()},
        "below": {n: max(heights.values()) - h for n, h in heights.items()},
        "height": heights,
        "failures": found.failures,
        "derive": derive_time,
        "first_fit": found.first.get("symmle"),
    }


def print_row(found: dict[str, Any]) -> None:
    print(f"\n{found['row']}: derive {found['derive']:.0f} ms", flush=True)
    mine = found["median"].get("symmle")
    for name, spent in found["median"].items():
        below = found["below"][name]
        line = f"  {name:<17}{spent:10.2f} ms, least {found['least'][name]:10.2f}, "
        line += f"{found['iterations'][name]:5d} iterations"
        line += f"   l/n = {found['height'][name]:.12f}"
        if below >= SAME:
            line += f"   NOT at the maximum: {below:.1e} a row below"
        if mine is not None and not name.startswith("symmle"):
            line += f"   symmle/this: {mine / spent:.3f}"
        print(line + ("" if found["runs"][name] > 1 else "   (one run)"))
    for name, reason in found["failures"].items():
        print(f"  {name:<17} failed: {reason[:160]}")


def main() -> None:
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(names)}; all without")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="a file for everything that was measured")
    options = parser.parse_args()
    unknown = sorted(set(options.rows) - set(names))
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(names)}")
    turns.one_core()
    all_found = []
    for row in ROWS:
        if not options.rows or row.name in options.rows:
            all_found.append(measure(row, options.repeat))
            print_row(all_found[-1])
    if options.json:
        options.json.write_text(json.dumps(all_found, indent=1))


if __name__ == "__main__":
    main()
