"""Large samples: Newton with exact derivatives, from a search on few rows over a subsample to all rows.

All in doubles, with few passes over the data. Where anything is in doubt (no ascent, an edge, a Hessian that is
not negative definite, rounding that would show) there is no answer here, and the careful ways are taken.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Interval, Sum, Symbol

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution
from symmle.fitting.surface_sums import LikelihoodSums, Rows, SumsOnRows, rows_of

Array = NDArray[Any]
LARGE = 4000  # rows from which this way is taken
FEW, MANY = 256, 4096  # rows of the search and of the subsample
TRIALS = 48
STEPS = 60
FAR = 40.0  # in free coordinates: towards the edge of the parameter space
CLOSE = 1e-7  # a step, per observation, after which the next one would be below rounding
BEND = 1e-11  # least eigenvalue of the scaled Hessian


@dataclass
class Ascent:
    """The end of an ascent: theta, l there, the number of steps, and whether it is a maximum."""

    theta: list[float]
    height: float
    steps: int
    gradient: float = math.inf
    condition: float = math.inf


def solve_large(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution | None:
    """The maximum by few passes over many rows, or None where the careful ways are to be taken."""
    coordinates = _coordinates(plan, constants)
    if coordinates is None or (table.rows < LARGE and not _is_costly(plan)):
        return None
    model = _model(plan)
    if model is None:
        return None
    numbers = [float(constants[c]) for c in model.constants]
    rows = _compressed(rows_of(table, plan.derivation.likelihood), plan)
    random = np.random.default_rng(20)
    few, many = _drawn(rows, FEW, random), _drawn(rows, MANY, random)
    start = _search(
        model.on(few, numbers), coordinates, _trials(coordinates, few, random), 1 if plan.is_proved else 4
    )
    if start is None:
        return None
    middle = climb(model.on(many, numbers), coordinates, start.theta, 1e-4)
    if middle is None:
        return None
    full = model.on(rows, numbers)
    end = climb(full, coordinates, middle.theta, CLOSE)
    if end is None:
        return None
    values = {p: CONTEXT.mpf(v) for p, v in zip(plan.parameters, end.theta, strict=True)}
    found = Solution({**constants, **values}, "newton", iterations=end.steps)
    found.status = (
        f"Newton's method converged on all rows (gradient {end.gradient:.2g} per observation, condition number "
        f"{end.condition:.2g}) after a search on a subsample; {full.passes} passes over the data."
    )
    found.unique = True if plan.is_proved else None
    return found


def _is_costly(plan: Plan) -> bool:
    """Whether one value of l takes long at 240 bits: it holds a sum over an index."""
    return any(e.has(Sum) for e in plan.derivation.likelihood.log_density)


def _model(plan: Plan) -> LikelihoodSums | None:
    made = plan.__dict__.get("_likelihood_sums", False)
    if made is False:
        constants = [c for c in plan.declaration.constants if c not in plan.parameters]
        made = LikelihoodSums(plan.derivation.likelihood, plan.parameters, constants)
        plan.__dict__["_likelihood_sums"] = made
    return made  # type: ignore[no-any-return]


def _coordinates(plan: Plan, constants: dict[Symbol, Any]) -> list[Coordinate] | None:
    """Free coordinates of plain open or closed intervals; None for every other space."""
    declaration = plan.declaration
    if declaration.where or declaration.constraints or declaration.latent or plan.auxiliary:
        return None
    if plan.estimator.faces or plan.estimator.obstacle or plan._moving_supports:
        return None
    found = []
    for p in plan.parameters:
        domain = plan.domain_of(p)
        if not isinstance(domain, Interval) or domain.free_symbols - set(constants):
            return None
        found.append(
            Coordinate(float(plan.scalar(domain.start, constants)), float(plan.scalar(domain.end, constants)))
        )
    return found


def _compressed(rows: Rows, plan: Plan) -> Rows:
    """Whole-number columns that stand alone as values and counts."""
    found: Rows = []
    for columns, weights, n in rows:
        if len(columns) == 1 and len(columns[0]) > 1000:
            (values,) = columns
            low, high = float(values.min()), float(values.max())
            if high - low < min(1e5, len(values) / 4) and low == math.floor(low):
                whole = values.astype(np.int64)
                if np.array_equal(whole, values):
                    counts = np.bincount(whole - int(low), weights=weights)
                    kept = np.flatnonzero(counts)
                    found.append(([kept.astype(float) + low], counts[kept].astype(float), n))
                    continue
        found.append((columns, weights, n))
    return found


def _drawn(rows: Rows, count: int, random: np.random.Generator) -> Rows:
    """Rows drawn at random, the least and the greatest of each column among them."""
    found: Rows = []
    for columns, weights, n in rows:
        size = len(columns[0])
        if size <= count:
            found.append((columns, weights, n))
            continue
        chosen = random.integers(0, size, count)
        part = None if weights is None else weights[chosen]
        found.append(([c[chosen] for c in columns], part, float(count if part is None else part.sum())))
    return found


def _trials(coordinates: Sequence[Coordinate], rows: Rows, random: np.random.Generator) -> list[list[float]]:
    """Points to start from: each parameter at magnitudes that the data suggest, in random combinations."""
    places, sizes = [0.0], [1.0, 0.3, 3.0]
    for columns, _, _ in rows:
        for column in columns:
            q = np.quantile(column, (0.1, 0.25, 0.5, 0.75, 0.9))
            places += [float(v) for v in (q[2], q[1], q[3], q[2])]
            spread = float(q[3] - q[1]) or abs(float(q[2])) or 1.0
            centre = abs(float(q[2])) or spread
            sizes += [spread, spread / 2, 1 / spread, centre, 1 / centre]
    options = []
    for c in coordinates:
        low, high = c.low, c.high
        if math.isfinite(low) and math.isfinite(high):
            options.append([low + (high - low) * s for s in (0.5, 0.2, 0.8, 0.35, 0.65, 0.05, 0.95)])
        elif math.isfinite(low):
            options.append([low + s for s in sizes])
        elif math.isfinite(high):
            options.append([high - s for s in sizes])
        else:
            options.append([*places, 0.2, -0.2, 1.0])
    return [
        [o[int(k)] for o, k in zip(options, random.integers(0, [len(o) for o in options]), strict=True)]
        for _ in range(TRIALS)
    ]


def _search(
    sums: SumsOnRows, coordinates: Sequence[Coordinate], trials: list[list[float]], ends: int
) -> Ascent | None:
    """The best end of ascents from the best of the trials."""
    ranked = sorted(
        ((sums.value(t), t) for t in trials),
        key=lambda pair: -pair[0] if math.isfinite(pair[0]) else math.inf,
    )
    best: Ascent | None = None
    reached = 0
    for height, trial in ranked[: 4 * ends]:
        if not math.isfinite(height) or reached >= ends:
            break
        end = climb(sums, coordinates, trial, 1e-2)
        if end is None:
            continue
        reached += 1
        if best is None or end.height > best.height:
            best = end
    return best


def climb(
    sums: SumsOnRows, coordinates: Sequence[Coordinate], theta: Sequence[float], close: float
) -> Ascent | None:
    """Newton's method in free coordinates, each step an ascent; None where it does not end at a maximum inside."""
    try:
        t = np.array([c.at(v) for c, v in zip(coordinates, theta, strict=True)])
    except ValueError:
        return None
    n = max(sums.n, 1.0)
    height, gradient, hessian = sums.derivatives(theta)
    theta = list(theta)
    for step in range(1, STEPS + 1):
        if not (math.isfinite(height) and np.isfinite(gradient).all() and np.isfinite(hessian).all()):
            return None
        slopes = np.array([c.slopes(v) for c, v in zip(coordinates, theta, strict=True)])
        g = gradient * slopes[:, 0] / n
        h = (hessian * np.outer(slopes[:, 0], slopes[:, 0]) + np.diag(gradient * slopes[:, 1])) / n
        size = np.sqrt(np.maximum(np.abs(np.diag(h)), 1e-300))
        values, vectors = np.linalg.eigh(h / np.outer(size, size))
        flipped = np.maximum(np.abs(values), 1e-8)
        move = vectors @ ((vectors.T @ (g / size)) / flipped) / size
        length = math.sqrt(max(float(g @ move), 0.0))  # per observation, in units of its own spread
        if length < close:
            bent = values[-1] < -BEND and np.abs(t).max() < FAR
            theta = [c.value(v) for c, v in zip(coordinates, t + move, strict=True)]
            ratio = float(np.abs(values).max() / max(np.abs(values).min(), 1e-300))
            return Ascent(theta, height, step, float(np.abs(g).max()), ratio) if bent else None
        longest = float(np.abs(move * _unit(coordinates, theta)).max())
        move = move if longest <= 2.0 else move * (2.0 / longest)
        for _ in range(30):
            trial = t + move
            there = [c.value(v) for c, v in zip(coordinates, trial, strict=True)]
            risen, slope, bend = sums.derivatives(there)
            if math.isfinite(risen) and risen >= height - 1e-12 * abs(height):
                break
            move = move / 4
        else:
            return None
        t, theta, height, gradient, hessian = trial, there, risen, slope, bend
        if (
            np.abs(t[[math.isfinite(c.low) or math.isfinite(c.high) for c in coordinates]]).max(initial=0.0)
            > FAR
        ):
            return None
    return None


def _unit(coordinates: Sequence[Coordinate], theta: Sequence[float]) -> Array:
    """What a step is measured by: whole units of a logarithm, on the line the value itself."""
    return np.array(
        [
            1.0 if math.isfinite(c.low) or math.isfinite(c.high) else 1.0 / (abs(v) + 1e3)
            for c, v in zip(coordinates, theta, strict=True)
        ]
    )


__all__ = ["LARGE", "Ascent", "climb", "solve_large"]
