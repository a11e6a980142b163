"""Large samples: Newton with exact derivatives, from a search on few rows over a subsample to all rows.

All in doubles, with few passes over the data. Where anything is in doubt (no ascent, an edge, a Hessian that is
not negative definite, rounding that would show) there is no answer here, and the careful ways are taken.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Interval, S, Sum, Symbol, log

from symmle.compiling.data import OnTheWay, Table
from symmle.compiling.kernels import CONTEXT, log1p_
from symmle.declare.declaration import SamplePart
from symmle.fitting.coordinates import Coordinate
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution
from symmle.fitting.surface_sums import LikelihoodSums, Rows, SumsOnRows, rows_of
from symmle.progress import report

Array = NDArray[Any]
LARGE = 1000  # rows from which this way is taken
CHEAP = 8000  # rows to which another pass is not spared
FEW, MANY, MORE = 256, 4096, 16384  # rows of the search, and of the subsample for small and large tables
TRIALS, MOST_TRIALS = 64, 128  # points to start from: drawn, or all combinations where these are few
STARTS = 4  # starts of the search where nothing proves that there is one maximum
STEPS = 60
FAR = 40.0  # in free coordinates: towards the edge of the parameter space
GUIDED = 0.2  # length of a step from which the subsample guides it
CLOSE_GUIDED = 5e-4  # a guided step after which the next would be below rounding
CLOSE, CLOSEST = (
    1e-5,
    1e-9,
)  # a step, per observation, after which the next one would be below rounding: its square
TOGETHER, BY = (
    0.2,
    1.0,
)  # standard deviations of one observation: ends this near are one; trials this near lead there
LONGEST, WIDEST = 2.0, 5.0  # of a step, in logarithms and in standard deviations of one observation
STILL = 0.05  # in free coordinates: a step this long is no end, however little l would rise by it
ROUGH, FAIR = 0.05, 0.01  # ends of the search on few rows and on the subsample: below their sampling errors
REMOTE = 14.0  # powers of e beyond the scales of the data, from where the careful ways are taken
BEND = 1e-11  # least eigenvalue of the scaled Hessian


@dataclass
class Ascent:
    """The end of an ascent: theta, l there, the number of steps, and whether it is a maximum."""

    theta: list[float]
    height: float
    steps: int
    gradient: float = math.inf
    condition: float = math.inf
    curve: Array | None = None  # the Hessian of l per observation in free coordinates


def solve_large(
    plan: Plan, table: Table, constants: dict[Symbol, Any], moving: bool = False
) -> Solution | None:
    """The maximum by few passes over many rows, or None where the careful ways are to be taken.

    With `moving` also inside a support that moves with parameters: the caller looks at its edges.
    """
    if table.rows < LARGE and not _is_costly(plan):
        return None
    coordinates = _coordinates(plan, constants, moving)
    if coordinates is None:
        return None
    model = _model(plan)
    numbers = [float(constants[c]) for c in model.constants]
    rows = compressed(rows_of(table, plan.derivation.likelihood))
    random = np.random.default_rng(20)
    few = _drawn(rows, FEW, random, moving)
    trials = _trials(coordinates, few, random)
    full = model.on(rows, numbers)
    full.give_totals(table)
    starts = 1 if plan.is_proved else STARTS
    close = CLOSEST if table.rows <= CHEAP else CLOSE
    left = sum(len(columns[0]) for columns, _, _ in rows)
    if model.is_separable or left <= MANY:  # a pass costs nothing, or is none
        ends = _search(full, coordinates, trials, starts, close if starts == 1 else ROUGH)
        if starts > 1:
            ends = [e for s in ends if (e := climb(full, coordinates, s.theta, close, stage="all rows"))]
        return _best(plan, table, constants, coordinates, ends, full)
    found = _search(model.on(few, numbers), coordinates, trials, starts)
    if left <= 3 * MANY:  # a subsample would save nothing
        ends = [e for s in found if (e := climb(full, coordinates, s.theta, close, stage="all rows"))]
        return _best(plan, table, constants, coordinates, ends, full)
    count = min(max(min(MANY, left // 4), left // 40), MORE)
    subsample = model.on(_drawn(rows, count, random, moving), numbers)
    ends = []
    for start in found:
        middle = climb(subsample, coordinates, start.theta, FAIR, stage="subsample")
        end = None if middle is None else _finish(full, subsample, coordinates, middle.theta)
        if end is not None:
            ends.append(end)
    return _best(plan, table, constants, coordinates, ends, full)


def _best(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    coordinates: Sequence[Coordinate],
    ends: list[Ascent],
    full: SumsOnRows,
) -> Solution | None:
    """The highest of the maxima on all rows; the others are kept with it."""
    if len(ends) < 2:
        return _solution(plan, table, constants, coordinates, ends[0] if ends else None, full)
    for end in ends:
        end.height = full.value(end.theta)
    ends = sorted((e for e in ends if math.isfinite(e.height)), key=lambda e: -e.height)
    distinct: list[Ascent] = []
    for end in ends:
        if not any(_are_one(coordinates, end, other) for other in distinct):
            distinct.append(end)
    solution = _solution(plan, table, constants, coordinates, distinct[0] if distinct else None, full)
    if solution is not None:
        names = [str(p) for p in plan.parameters]
        solution.starts = len(ends)
        solution.maxima = [(dict(zip(names, e.theta, strict=True)), e.height) for e in distinct]
    return solution


def _solution(
    plan: Plan,
    table: Table,
    constants: dict[Symbol, Any],
    coordinates: Sequence[Coordinate],
    end: Ascent | None,
    full: SumsOnRows,
) -> Solution | None:
    if end is None or not _is_near_the_data(coordinates, end.theta, table):
        return None
    values = {p: CONTEXT.mpf(v) for p, v in zip(plan.parameters, end.theta, strict=True)}
    found = Solution({**constants, **values}, "newton", iterations=end.steps)
    passes = f"{full.passes} {'pass' if full.passes == 1 else 'passes'} over the data"
    found.status = f"Newton's method converged on all rows; {passes}."
    found.unique = True if plan.is_proved else None
    found.inside = not plan._moving_supports and not plan._row_conditions
    found.near = True
    found.is_open = not plan.is_proved
    return found


def _is_near_the_data(coordinates: Sequence[Coordinate], theta: Sequence[float], table: Table) -> bool:
    """Whether no parameter is so far beyond the scales of the data that it may be on its way to infinity."""
    ends = (
        abs(v)
        for s in table.samples
        for c in s.columns
        for v in (s.pivot[c], s.maximum[c] if c in s.maximum else s.pivot[c])
    )
    largest = max(ends, default=0.0)
    if not largest > 0:
        return False
    scale = math.log(largest)
    for c, v in zip(coordinates, theta, strict=True):
        if c.is_bounded:
            t = c.at(v)
            whole = math.isfinite(c.low) and math.isfinite(c.high)
            units = (0,) if whole else (-2, -1, 0, 1, 2)  # of powers of the data's size
            far = min(abs(t - k * scale) for k in units)
        else:
            far = math.log1p(abs(v) / largest)
        if far > REMOTE:
            return False
    return True


def sums_on_the_way(plan: Plan, data: Any, constants: dict[Symbol, Any]) -> OnTheWay | None:
    """The statistics of a large sample that enters by statistics alone: reading it can take them on the way."""
    if not plan.left or isinstance(data, Mapping) or np.ndim(data) != 1 or len(data) < LARGE:
        return None
    if constants:
        return _found_sums(plan, constants)
    if "_sums_on_the_way" not in plan.__dict__:
        plan.__dict__["_sums_on_the_way"] = _found_sums(plan, constants)
    return plan.__dict__["_sums_on_the_way"]  # type: ignore[no-any-return]


def _found_sums(plan: Plan, constants: dict[Symbol, Any]) -> OnTheWay | None:
    if plan.declaration.latent or plan.declaration.lags or _coordinates(plan, constants) is None:
        return None
    model = _model(plan)
    if not model.is_separable or len(model.forms) != 1 or len(model.forms[0].columns) != 1:
        return None
    sums, numbers = model.forms[0].sums, [float(constants[c]) for c in model.constants]
    program = sums.keeping(range(sums.statistics))
    fixed = [*numbers, *program.scalars(numbers)]
    column = model.forms[0].columns[0]
    proves = _proves_support(column, plan.declaration.samples[0], model.statistics(0))
    return OnTheWay(column, lambda block: program.block(None, block, *fixed)[1], model, proves)


def _proves_support(column: Symbol, part: SamplePart, statistics: Sequence[Expr]) -> bool:
    """Whether finite sums of these functions say that every row is finite and in the support: log x does for x > 0."""
    support = part.support.get(column)
    if not isinstance(support, Interval) or part.inside or len(part.all_columns) != 1:
        return False
    positive, below_one = log(column) in statistics, log1p_(-column) in statistics
    if support == Interval.open(0, 1):
        return positive and below_one
    if support == Interval.open(0, S.Infinity):
        return positive
    return support == S.Reals and column in statistics


def _finish(
    full: SumsOnRows, subsample: SumsOnRows, coordinates: Sequence[Coordinate], theta: list[float]
) -> Ascent | None:
    """The maximum on all rows from that of a subsample, by two passes, each step guided by the subsample."""
    free, guide = _Free(full, coordinates), _Free(subsample, coordinates)
    t = np.array([c.at(v) for c, v in zip(coordinates, theta, strict=True)])
    ended = [k for k, c in enumerate(coordinates) if c.is_bounded]
    for step in range(1, 5):
        there = free.curves(t)
        if there is None:
            break
        g, h = there
        report("all rows", step, math.nan, full.model.parameters, free.theta(t))
        values, inverse = _inverse(h)
        move = inverse @ g
        length = math.sqrt(max(float(g @ move), 0.0))
        if values[-1] >= -BEND or length > GUIDED or _is_far(t, ended):
            break
        theta = free.theta(t)
        t = t + _guided(guide, t, g, inverse, move, 1e-3 if step == 1 else 1e-5)
        if length < CLOSE_GUIDED and _is_still(move, ended):
            return Ascent(free.theta(t), math.nan, step, float(np.abs(g).max()), _condition(values), h)
    return climb(full, coordinates, theta, CLOSE, subsample, "all rows")


def _is_costly(plan: Plan) -> bool:
    """Whether one value of l takes long at 240 bits: it holds a sum over an index."""
    return any(e.has(Sum) for e in plan.derivation.likelihood.log_density)


def _model(plan: Plan) -> LikelihoodSums:
    made = plan.__dict__.get("_likelihood_sums")
    if made is None:
        constants = [c for c in plan.declaration.constants if c not in plan.parameters]
        made = LikelihoodSums(plan.derivation.likelihood, plan.parameters, constants)
        plan.__dict__["_likelihood_sums"] = made
    return made  # type: ignore[no-any-return]


def _coordinates(plan: Plan, constants: dict[Symbol, Any], moving: bool = False) -> list[Coordinate] | None:
    """Free coordinates of plain open or closed intervals; None for every other space."""
    if constants:
        return _found_coordinates(plan, constants, moving)
    made = plan.__dict__.setdefault("_free_coordinates", {})
    if moving not in made:
        made[moving] = _found_coordinates(plan, constants, moving)
    return made[moving]  # type: ignore[no-any-return]


def _found_coordinates(plan: Plan, constants: dict[Symbol, Any], moving: bool) -> list[Coordinate] | None:
    declaration = plan.declaration
    if declaration.where or declaration.constraints or declaration.latent or plan.auxiliary:
        return None
    if plan.estimator.faces or (not moving and (plan.estimator.obstacle or plan._moving_supports)):
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


def compressed(rows: Rows) -> Rows:
    """Whole-number columns that stand alone as values and counts."""
    return [
        _counted(columns[0], weights, n)
        if len(columns) == 1 and len(columns[0]) > 1000 and float(columns[0][0]).is_integer()
        else (columns, weights, n)
        for columns, weights, n in rows
    ]


def _counted(values: Array, weights: Array | None, n: float) -> tuple[list[Array], Array | None, float]:
    low, high = float(np.min(values)), float(np.max(values))
    if high - low < min(1e5, len(values) / 4) and low == math.floor(low):
        whole = values.astype(np.int64)
        if np.array_equal(whole, values):
            counts = np.bincount(whole - int(low), weights=weights)
            kept = np.flatnonzero(counts)
            return [kept.astype(float) + low], counts[kept].astype(float), n
    return [values], weights, n


def _drawn(rows: Rows, count: int, random: np.random.Generator, ends: bool = False) -> Rows:
    """Rows drawn at random; with `ends` the least and the greatest of each column among them."""
    found: Rows = []
    for columns, weights, n in rows:
        size = len(columns[0])
        if size <= count:
            found.append((columns, weights, n))
            continue
        chosen = random.integers(0, size, count)
        if ends:
            chosen[: 2 * len(columns)] = [int(f(c)) for c in columns for f in (np.argmin, np.argmax)]
        part = None if weights is None else weights[chosen]
        found.append(([c[chosen] for c in columns], part, float(count if part is None else part.sum())))
    return found


def _trials(coordinates: Sequence[Coordinate], rows: Rows, random: np.random.Generator) -> Array:
    """Points to start from: each parameter at magnitudes that the data suggest, in random combinations."""
    places, sizes = [0.0], [1.0, 0.3, 3.0]
    for columns, _, _ in rows:
        for column in columns:
            ordered = np.sort(column)
            q = [float(ordered[int(s * (len(ordered) - 1))]) for s in (0.25, 0.5, 0.75)]
            places += [q[1], q[0], q[2], q[1]]
            spread = (q[2] - q[0]) or abs(q[1]) or 1.0
            centre = abs(q[1]) or spread
            sizes += [spread, spread / 2, 1 / spread, centre, 1 / centre]
            if ordered[0] > 0:  # the law may be one of log x
                logs = [math.log(v) for v in q]
                places += [logs[1], logs[0], logs[2]]
                sizes += [max(logs[2] - logs[0], 1e-3)]
    choices: list[list[float]] = []
    for c in coordinates:
        low, high = c.low, c.high
        if math.isfinite(low) and math.isfinite(high):
            options = [low + (high - low) * s for s in (0.5, 0.2, 0.8, 0.35, 0.65, 0.05, 0.95)]
        elif math.isfinite(low):
            options = [low + s for s in sizes]
        elif math.isfinite(high):
            options = [high - s for s in sizes]
        else:
            options = [*places, 0.2, -0.2, 1.0]
        choices.append(sorted(set(options)))
    if math.prod(len(c) for c in choices) <= MOST_TRIALS:
        return np.array(list(itertools.product(*choices)))
    picked = [random.integers(0, len(c), TRIALS) for c in choices]
    return np.stack([np.array(c)[k] for c, k in zip(choices, picked, strict=True)], axis=1)


def _search(
    sums: SumsOnRows, coordinates: Sequence[Coordinate], trials: Array, starts: int, close: float = ROUGH
) -> list[Ascent]:
    """The distinct ends of ascents from the best of the trials; where two end together, that one alone."""
    heights = sums.values_at_many(trials)
    order = [int(k) for k in np.argsort(np.where(np.isfinite(heights), -heights, math.inf), kind="stable")]
    order = [k for k in order if math.isfinite(heights[k])]
    found: list[Ascent] = []
    reached = tried = 0
    while order and reached < starts and tried < 4 * starts:
        k = next((k for k in order if not any(_is_by(coordinates, e, trials[k]) for e in found)), None)
        if k is None:  # every other trial lies by an end that is known
            break
        order.remove(k)
        tried += 1
        end = climb(sums, coordinates, trials[k].tolist(), close)
        if end is None:
            continue
        reached += 1
        if any(_are_one(coordinates, end, other) for other in found):
            if reached >= (2 if len(coordinates) < 3 else 3) and len(found) == 1:  # from afar to the same end
                break
            continue
        found.append(end)
    return sorted(found, key=lambda e: -e.height)


def _is_by(coordinates: Sequence[Coordinate], end: Ascent, trial: Array) -> bool:
    """Whether a trial lies by an end, so that a climb from it would lead there."""
    return _distance(coordinates, end, trial.tolist()) < BY


def _are_one(coordinates: Sequence[Coordinate], one: Ascent, other: Ascent) -> bool:
    """Whether two ends lie within what separates an end from its maximum, by the curvature there."""
    return _distance(coordinates, one, other.theta) < TOGETHER


def _distance(coordinates: Sequence[Coordinate], end: Ascent, theta: Sequence[float]) -> float:
    """How far a point is from an end, in standard deviations of one observation."""
    if end.curve is None:
        return math.inf
    try:
        apart = np.array([c.at(a) - c.at(b) for c, a, b in zip(coordinates, end.theta, theta, strict=True)])
    except ValueError:  # an end of a domain
        return math.inf
    return math.sqrt(max(float(-apart @ end.curve @ apart), 0.0))


class _Free:
    """l per observation as a function of free coordinates."""

    def __init__(self, sums: SumsOnRows, coordinates: Sequence[Coordinate]):
        self.sums, self.coordinates = sums, coordinates
        self.n = max(sums.n, 1.0)

    def theta(self, t: Array) -> list[float]:
        return [c.value(v) for c, v in zip(self.coordinates, t.tolist(), strict=True)]

    def slopes(self, t: Array) -> Array | None:
        """The gradient, or None where it is not finite."""
        theta = self.theta(t)
        return self._in_free(self.sums.slopes(theta), None, theta)[0]

    def curves(self, t: Array) -> tuple[Array, Array] | None:
        """Gradient and Hessian, or None where one is not finite."""
        theta = self.theta(t)
        g, h = self._in_free(*self.sums.curves(theta), theta)
        return None if g is None or h is None else (g, h)

    def at(self, t: Array) -> tuple[float, Array, Array] | None:
        """l, gradient and Hessian, or None where one is not finite."""
        theta = self.theta(t)
        height, gradient, hessian = self.sums.derivatives(theta)
        g, h = self._in_free(gradient, hessian, theta)
        return None if g is None or h is None or not math.isfinite(height) else (height, g, h)

    def _in_free(
        self, gradient: Array, hessian: Array | None, theta: list[float]
    ) -> tuple[Array | None, Array | None]:
        slopes = [c.slopes(v) for c, v in zip(self.coordinates, theta, strict=True)]
        n, plain = self.n, gradient.tolist()
        g = [d * first / n for d, (first, _) in zip(plain, slopes, strict=True)]
        if not all(map(math.isfinite, g)):
            return None, None
        if hessian is None:
            return np.array(g), None
        h = [
            [v * first * other / n for v, (other, _) in zip(row, slopes, strict=True)]
            for row, (first, _) in zip(hessian.tolist(), slopes, strict=True)
        ]
        for k, (d, (_, second)) in enumerate(zip(plain, slopes, strict=True)):
            h[k][k] += d * second / n
        if not all(math.isfinite(v) for row in h for v in row):
            return None, None
        return np.array(g), np.array(h)


def climb(
    sums: SumsOnRows,
    coordinates: Sequence[Coordinate],
    theta: Sequence[float],
    close: float,
    subsample: SumsOnRows | None = None,
    stage: str = "",
) -> Ascent | None:
    """Newton's method in free coordinates, each step an ascent; None where it does not end at a maximum inside.

    With a subsample the step goes to the root of the score with its curvature taken from there:
    g(t + s) ~ g(t) + H s + [g_sub(t + s) - g_sub(t) - H_sub s], so that the error of a step is that of Newton's
    times the sampling error of the subsample (Jordan, Lee and Yang 2019, section 2).
    """
    free = _Free(sums, coordinates)
    guide = None if subsample is None else _Free(subsample, coordinates)
    try:
        t = np.array([c.at(v) for c, v in zip(coordinates, theta, strict=True)])
    except ValueError:
        return None
    here = free.at(t)
    ended = [k for k, c in enumerate(coordinates) if c.is_bounded]
    for step in range(1, STEPS + 1):
        if here is None:
            return None
        height, g, h = here
        if stage:
            report(stage, step, height, sums.model.parameters, free.theta(t))
        values, inverse = _inverse(h)
        move = inverse @ g
        length = math.sqrt(max(float(g @ move), 0.0))  # per observation, in units of its own spread
        bent = bool(values[-1] < -BEND)
        guided = guide is not None and bent and length < GUIDED
        if guided:
            move = _guided(guide, t, g, inverse, move)  # type: ignore[arg-type]
        still = close > CLOSE or _is_still(move, ended)
        if still and length < (CLOSE_GUIDED if guided else close):
            if not bent or _is_far(t, ended):
                return None
            return Ascent(free.theta(t + move), height, step, float(np.abs(g).max()), _condition(values), h)
        longest = max((abs(move[k]) for k in ended), default=0.0)
        share = min(1.0, LONGEST / max(longest, 1e-300), WIDEST / max(length, 1e-300))
        move = move if share == 1.0 else move * share
        for _ in range(30):
            there = free.at(t + move)
            if there is not None and there[0] >= height - 1e-12 * abs(height):
                break
            move = move / 4
        else:
            return None
        t, here = t + move, there
        if _is_far(t, ended):
            return None
    return None


def _is_still(move: Array, ended: list[int]) -> bool:
    """Whether a step is short in logarithms: on the way to infinity a flat likelihood keeps steps of length 1."""
    return all(abs(move[k]) < STILL for k in ended)


def _is_far(t: Array, ended: list[int]) -> bool:
    return any(abs(t[k]) > FAR for k in ended)


def _inverse(h: Array) -> tuple[Array, Array]:
    """The eigenvalues of the scaled Hessian, and the inverse of -h with all of them made positive."""
    if len(h) == 2:  # without the linear algebra library, which takes longer than many a pass
        (a, b), (_, c) = h.tolist()
        if a < 0 and c < 0 and b * b < (1 - 1e-8) * a * c:
            r = abs(b) / math.sqrt(a * c)
            det = a * c - b * b
            return np.array([-1 - r, -1 + r]), np.array([[-c / det, b / det], [b / det, -a / det]])
    size = np.sqrt(np.maximum(np.abs(h.diagonal()), 1e-300))
    scale = size[:, None] * size
    values, vectors = np.linalg.eigh(h / scale)
    flipped = np.maximum(np.abs(values), 1e-8)
    return values, (vectors / flipped) @ vectors.T / scale


def _condition(values: Array) -> float:
    return float(np.abs(values).max() / max(np.abs(values).min(), 1e-300))


def _guided(guide: _Free, t: Array, g: Array, inverse: Array, move: Array, close: float = 1e-5) -> Array:
    """The step with the curvature of the score taken from a subsample; Newton's own where that does not help."""
    start = guide.at(t)
    if start is None:
        return move
    found = move
    for _ in range(3):
        there = guide.at(t + found)
        if there is None:
            return move
        rest = there[1] - start[1] - start[2] @ found
        better = inverse @ (g + rest)
        if not np.isfinite(better).all() or np.abs(better - move).max() > 0.5 * np.abs(move).max():
            return move
        settled = np.abs(better - found).max() <= close * np.abs(move).max()
        found = better
        if settled:
            break
    return found


__all__ = ["LARGE", "Ascent", "climb", "solve_large"]
