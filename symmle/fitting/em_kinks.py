"""Maxima at kinks: where a component's density bends in one parameter at a row, as a Laplace law does in its centre.

Let every kink be a surface p = g(x_i) of a single parameter p. With the parameters at kinks held, l is smooth in the
others; its directional derivative is the sum of one-sided slopes in the held ones and the score in the others,
because a responsibility has no jump. So a point is a strict local maximum where the slopes of every held parameter
point down to both sides, the score of the others is 0 and their Hessian negative definite.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Abs, Expr, Heaviside, Max, Min, S, Symbol, fraction, sign, together

from symmle.compiling.kernels import row_kernel
from symmle.fitting.em_ridges import Ridges
from symmle.fitting.em_run import Runner
from symmle.latent.problem import Labelled

Array = NDArray[np.float64]
BENT = (Abs, Max, Min, sign, Heaviside)
SAME = 1e-9  # of the range of the data, within which a parameter is at a kink
ROUNDS = 60
AROUND = (1, 2, 3, 5, 8, 13, 21, 34)  # kinks away that are tried on both sides
NEXT = (-2, -1, 1, 2)  # kinks away at which the other parameters are moved, too
BESIDE = 1e-6  # of the distance to the next kink, where a one-sided slope is taken
DOWN = 1e-9  # slope per observation, in ranges of the data, that counts as one
AT_REST = 1e-7  # score per observation in free coordinates
SECTIONS = 60


def bending_of(problem: Labelled) -> Iterator[tuple[str, Expr, Expr]]:
    """The label of a component, what bends, and what is 0 there."""
    (part,) = problem.observed.samples
    free, columns = set(problem.observed.parameters), set(part.all_columns)
    for branch in problem.branches:
        for atom in sorted(branch.density.atoms(*BENT), key=str):
            if not (atom.free_symbols & free and atom.free_symbols & columns):
                continue
            if isinstance(atom, Max | Min):
                for one, other in itertools.combinations(atom.args, 2):
                    yield branch.label, atom, one - other
            else:
                yield branch.label, atom, atom.args[0]


def places_of(problem: Labelled, zero: Expr) -> tuple[Symbol, Expr] | None:
    """u = a(x) + b(x) p is 0 at p = -a/b; None where u is not of that form."""
    u = fraction(together(zero))[0]
    free = sorted(u.free_symbols & set(problem.observed.parameters), key=str)
    if len(free) != 1:
        return None
    (p,) = free
    slope = u.diff(p)
    if slope == 0 or slope.has(p):
        return None
    return p, -u.xreplace({p: S.Zero}) / slope


def kinks_of(problem: Labelled) -> str:
    """Which kinks are no values of single parameters, in words; "" where there are none."""
    for label, atom, zero in bending_of(problem):
        if places_of(problem, zero) is None:
            return f"the density of component {label} has a kink in {atom}"
    return ""


class Kinks:
    """The values of each parameter at which a component bends at a row."""

    def __init__(self, problem: Labelled, parameters: Sequence[Symbol], constants: Sequence[Symbol]):
        (part,) = problem.observed.samples
        order = {p: i for i, p in enumerate(parameters)}
        found: dict[int, list[Expr]] = {}
        for _, _, zero in bending_of(problem):
            read = places_of(problem, zero)
            if read is not None and read[1] not in found.setdefault(order[read[0]], []):
                found[order[read[0]]].append(read[1])
        names = [*part.all_columns, *constants]
        self.kernels: dict[int, Callable[..., Any]] = {i: row_kernel(names, g) for i, g in found.items()}

    def __bool__(self) -> bool:
        return bool(self.kernels)


@dataclass(frozen=True)
class Rest:
    """A point, l there, the parameters held at kinks, and whether it is a strict local maximum."""

    theta: list[float]
    height: float
    held: tuple[int, ...]
    is_maximum: bool
    gradient: float = math.inf
    condition: float = math.inf


class KinkSearch:
    """Ascent over the kinks of the rows."""

    def __init__(self, runner: Runner, ridges: Ridges, kinks: Kinks):
        self.runner, self.ridges = runner, ridges
        rows = runner.rows
        self.values: dict[int, Array] = {}
        for i, kernel in kinks.kernels.items():
            c = runner.coordinates[i]
            with np.errstate(all="ignore"):
                found = [np.broadcast_to(v, rows.rows) for v in kernel(*rows.columns, *rows.constants)]
            values = np.unique(np.concatenate(found))
            self.values[i] = values[np.isfinite(values) & (values > c.low) & (values < c.high)]

    def __call__(self, theta: Sequence[float]) -> Rest:
        """The end of an ascent over neighbouring kinks and, with them held, over the other parameters."""
        at = [self._at_kink(i, v) if i in self.values else v for i, v in enumerate(theta)]
        if not self.runner.value(at) >= self.runner.value(theta) - 1e-9:
            at = list(theta)
        height = self.runner.value(at)
        for _ in range(ROUNDS):
            at, height = self.ridges.along(at, self.held(at))
            moved = False
            for i in self.values:
                best, top = self._best_near(i, at, height)
                if best is not None:
                    at[i], height, moved = best, top, True
            if not moved:
                better = self._better_neighbour(at, height)
                if better is None:
                    break
                at, height = better
        return self._judged(at, height)

    # --- where the kinks are ---

    def _spread(self, i: int) -> float:
        values = self.values[i]
        return float(values[-1] - values[0]) or 1.0 if len(values) else 1.0

    def _at_kink(self, i: int, value: float) -> float:
        """The kink at this value, or the value where none is near."""
        values = self.values[i]
        if not len(values):
            return value
        place = min(int(np.searchsorted(values, value)), len(values) - 1)
        near = min(values[max(place - 1, 0) : place + 1], key=lambda v: abs(v - value))
        return float(near) if abs(near - value) <= SAME * self._spread(i) else value

    def held(self, theta: Sequence[float]) -> set[int]:
        """The parameters that are at kinks."""
        found = set()
        for i, values in self.values.items():
            place = int(np.searchsorted(values, theta[i]))
            if place < len(values) and values[place] == theta[i]:
                found.add(i)
        return found

    def _sides(self, i: int, theta: Sequence[float]) -> tuple[float, float]:
        """The kinks next to this value on both sides, or as far away as the data reach."""
        values, spread = self.values[i], self._spread(i)
        below = int(np.searchsorted(values, theta[i], side="left")) - 1
        above = int(np.searchsorted(values, theta[i], side="right"))
        low = float(values[below]) if below >= 0 else theta[i] - spread
        high = float(values[above]) if above < len(values) else theta[i] + spread
        return low, high

    # --- steps ---

    def _best_near(self, i: int, theta: list[float], height: float) -> tuple[float | None, float]:
        """A value of the parameter at which l is higher: at a kink near by, or between this one and the next."""
        values = self.values[i]
        place = int(np.searchsorted(values, theta[i]))
        best, top = None, height + 1e-12 * (1 + abs(height))
        for step in AROUND:
            for other in (place - step, place + step):
                if 0 <= other < len(values):
                    there = self._value(i, theta, float(values[other]))
                    if there > top:
                        best, top = float(values[other]), there
        if best is not None or theta[i] not in values[place : place + 1]:
            return best, top
        left, right = self._slopes(i, theta)
        for rises, end in ((right > 0, self._sides(i, theta)[1]), (left < 0, self._sides(i, theta)[0])):
            if rises:
                between = self._between(i, theta, theta[i], end)
                there = self._value(i, theta, between)
                if there > top:
                    best, top = between, there
        return best, top

    def _better_neighbour(self, theta: list[float], height: float) -> tuple[list[float], float] | None:
        """A point with one parameter at a kink next to its own, the others at their best, where l is higher."""
        held = self.held(theta)
        for i in held:
            values = self.values[i]
            place = int(np.searchsorted(values, theta[i]))
            for other in NEXT:
                if 0 <= place + other < len(values):
                    trial = [float(values[place + other]) if k == i else v for k, v in enumerate(theta)]
                    if math.isfinite(self.runner.value(trial)):
                        at, top = self.ridges.along(trial, held)
                        if top > height + 1e-12 * (1 + abs(height)):
                            return at, top
        return None

    def _value(self, i: int, theta: Sequence[float], value: float) -> float:
        found = self.runner.value([value if k == i else v for k, v in enumerate(theta)])
        return found if math.isfinite(found) else -math.inf

    def _between(self, i: int, theta: list[float], low: float, high: float) -> float:
        """The largest value between two neighbouring kinks by golden sections."""
        share = (math.sqrt(5) - 1) / 2
        a, b = low, high
        for _ in range(SECTIONS):
            left, right = b - share * (b - a), a + share * (b - a)
            if self._value(i, theta, left) > self._value(i, theta, right):
                b = right
            else:
                a = left
        return 0.5 * (a + b)

    def _slopes(self, i: int, theta: Sequence[float]) -> tuple[float, float]:
        """The slopes of l to the left and to the right of a kink."""
        found = []
        for end in self._sides(i, theta):
            beside = theta[i] + BESIDE * (end - theta[i])
            point = [beside if k == i else v for k, v in enumerate(theta)]
            found.append(float(self.runner.derivatives(point)[1][i]))
        return found[0], found[1]

    # --- what the end is ---

    def _judged(self, theta: list[float], height: float) -> Rest:
        held = self.held(theta)
        others = [i for i in range(len(theta)) if i not in held]
        _, g, h = self.runner.free_derivatives(theta)
        g, h = g[others], h[np.ix_(others, others)]
        if not (math.isfinite(height) and np.isfinite(g).all() and np.isfinite(h).all()):
            return Rest(theta, height, tuple(sorted(held)), False)
        size = np.linalg.eigvalsh(h) if others else np.array([-1.0])
        gradient = float(np.abs(g).max(initial=0.0))
        sharp = True
        for i in held:
            left, right = (s * self._spread(i) / self.runner.n for s in self._slopes(i, theta))
            sharp = sharp and left > DOWN and right < -DOWN
        bent = bool(size[-1] < -1e-9) and gradient < AT_REST
        return Rest(
            theta,
            height,
            tuple(sorted(held)),
            sharp and bent,
            gradient,
            float(size[0] / min(size[-1], -1e-300)),
        )


__all__ = ["KinkSearch", "Kinks", "Rest", "kinks_of"]
