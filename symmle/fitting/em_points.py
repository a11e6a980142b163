"""The isolated stationary points of a mixture's likelihood, and the lines of stationary points in words."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Float, Symbol

from symmle.compiling.data import Table
from symmle.errors import NoMaximumError, SymmleError
from symmle.estimator import BySymbol, Kind, StationaryPoint
from symmle.fitting.em import compiled, coordinates_of, rows_for, solve_em
from symmle.fitting.em_labels import permuted
from symmle.fitting.em_run import Runner
from symmle.fitting.plan import Plan

Array = NDArray[np.float64]
TRIALS = 300
STEPS = 80
ROOT = 1e-11  # gradient per observation, in free coordinates
ISOLATED = 1e-6  # least eigenvalue of the Hessian, relative to the largest
APART = 1e-6
MOST_PERMUTED = 4  # components whose every order is looked at
FAR = 16.0  # in free coordinates: next to an edge, where the score of a logit vanishes


class Points:
    """Roots of the score, met by Newton's method from many points."""

    def __init__(self, plan: Plan, table: Table, constants: dict[Symbol, Any]):
        self.plan = plan
        self.parts = compiled(plan)
        self.coordinates = coordinates_of(plan, table, constants)
        rows = rows_for(plan, table, constants)
        self.constants = rows.constants
        allowed = lambda theta: self.parts.is_allowed(theta, rows.constants)  # noqa: E731
        self.runner = Runner(rows, self.parts.m_step, self.coordinates, allowed)
        self.table = table
        self.isolated: list[tuple[float, list[float], Array]] = []
        self.coinciding: set[tuple[int, int]] = set()

    def search(self, known: list[list[float]], random: np.random.Generator) -> None:
        for theta in [*known, *(self._anywhere(random) for _ in range(TRIALS))]:
            found = self._root(theta)
            if found is not None:
                self._keep(found)

    def _anywhere(self, random: np.random.Generator) -> list[float]:
        columns = list(self.table.samples[0].columns.values())
        found = []
        for c in self.coordinates:
            if math.isfinite(c.low) and math.isfinite(c.high):
                found.append(c.value(float(random.normal(0.0, 1.7))))
                continue
            column = columns[int(random.integers(len(columns)))]
            value = float(random.choice(column))
            spread = float(np.std(column)) or 1.0
            if math.isfinite(c.low):
                size = random.choice([spread, abs(value) or 1.0, 1.0 / (abs(value) or 1.0)])
                found.append(c.low + float(size) * math.exp(float(random.normal(0.0, 0.7))))
            else:
                found.append(value)
        return found

    def _root(self, theta: list[float]) -> list[float] | None:
        """Newton's method on the score, each step a decrease of its length."""
        t = self.runner.free(theta)
        if t is None:
            return None
        _, g, h = self.runner.free_derivatives(theta)
        for _ in range(STEPS):
            if not (np.isfinite(g).all() and np.isfinite(h).all()) or np.abs(t).max() > FAR:
                return None
            length = float(np.abs(g).max())
            if length < ROOT:
                return self.runner.inside(t)
            move = -np.linalg.lstsq(h, g, rcond=1e-10)[0]
            longest = float(np.abs(move).max())
            move *= min(1.0, 1.5 / longest) if longest > 0 else 1.0
            for _ in range(12):
                new = t + move
                _, g_new, h_new = self.runner.free_derivatives(self.runner.inside(new))
                if np.isfinite(g_new).all() and g_new @ g_new < (1 - 1e-4) * (g @ g):
                    break
                move = move / 3
            else:
                return None
            t, g, h = new, g_new, h_new
        return None

    def _keep(self, theta: list[float]) -> None:
        height, _, h = self.runner.free_derivatives(theta)
        values = np.linalg.eigvalsh(h)
        if float(np.abs(values).min()) < ISOLATED * float(np.abs(values).max()):
            self._name_line(theta)
            return
        for order in self._orders():
            other = permuted(self.parts.exchange, self.parts.weights, theta, order, self.constants)
            if other is not None:
                self._add(height, other, values)

    def _orders(self) -> list[dict[int, int]]:
        """Exchanges of components, the identity among them; with many components swaps alone."""
        found: list[dict[int, int]] = [{}]
        for group in self.parts.exchange.classes:
            if 1 < len(group) <= MOST_PERMUTED:
                orders = [dict(zip(group, order, strict=True)) for order in itertools.permutations(group)]
            else:
                orders = [{}, *({a: b, b: a} for a, b in itertools.combinations(group, 2))]
            found = [{**known, **order} for known in found for order in orders]
        return found

    def _add(self, height: float, theta: list[float], values: Array) -> None:
        t = self.runner.free(theta)
        if t is None or not self.runner.is_allowed(theta):
            return
        for _, other, _ in self.isolated:
            there = self.runner.free(other)
            if there is not None and np.abs(there - t).max() < APART * (1 + np.abs(t).max()):
                return
        self.isolated.append((height, theta, values))

    def _name_line(self, theta: list[float]) -> None:
        members = self.parts.exchange.members
        for group in self.parts.exchange.classes:
            for k, a in enumerate(group):
                for b in group[k + 1 :]:
                    pairs = list(zip(members[a], members[b], strict=True))
                    if all(math.isclose(theta[i], theta[j], rel_tol=1e-4, abs_tol=1e-9) for i, j in pairs):
                        self.coinciding.add((a, b))

    def lines(self) -> str:
        """The points that are not isolated, in words."""
        names = self.plan.parameters
        members = self.parts.exchange.members
        said = []
        for a, b in sorted(self.coinciding):
            equal = " and ".join(
                f"{names[i]} = {names[j]}" for i, j in zip(members[a], members[b], strict=True)
            )
            said.append(
                f"where {equal} every maximum of one component fewer is stationary, whatever the weights"
            )
        return "; ".join(said)


def latent_points(
    plan: Plan, table: Table, constants: dict[Symbol, Any]
) -> tuple[list[StationaryPoint], None, str]:
    """Isolated stationary points, the best first, and what is known of their completeness, in words.

    Raises
    ------
    NoMaximumError
        None was met.
    """
    points = Points(plan, table, constants)
    known: list[list[float]] = []
    try:
        solution = solve_em(plan, table, constants)
        known = [e.theta for e in solution.latent.ends if e.kind == "maximum"]
    except SymmleError:
        pass
    points.search(known, np.random.default_rng(12))
    lines = points.lines()
    if not points.isolated:
        raise NoMaximumError(
            f"{plan.name}: no isolated stationary point was met{'; ' if lines else ''}{lines}."
        )
    found = []
    for height, theta, values in sorted(points.isolated, key=lambda item: (-round(item[0], 9), item[1])):
        kind = Kind.SADDLE_POINT
        if values[-1] < 0:
            kind = Kind.LOCAL_MAXIMUM
        elif values[0] > 0:
            kind = Kind.LOCAL_MINIMUM
        at = BySymbol({p: Float(v, 17) for p, v in zip(plan.parameters, theta, strict=True)})
        found.append(StationaryPoint(at, kind, log_likelihood=height))
    reason = (
        f"met by Newton's method on the score from {TRIALS} points and the ends of EM; that there are no others is "
        "not proved"
    )
    return found, None, f"{reason}; {lines}" if lines else reason


__all__ = ["latent_points"]
