"""Which branches may be exchanged, what the weights are then, and the one order in which an answer is given."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sympy import Symbol

from symmle.fitting.em_rows import BranchLikelihood
from symmle.fitting.surface_sums import scalar_function

MOST_TRIED = 5  # own parameters of a branch that are paired in every order


@dataclass(frozen=True)
class Exchange:
    """Classes of branches with one law up to names: members[j] are the places of branch j's own parameters."""

    classes: tuple[tuple[int, ...], ...]
    members: dict[int, tuple[int, ...]]


def exchange_of(model: BranchLikelihood) -> Exchange:
    """Branches whose densities go over into each other by a change of parameter names."""
    parameters = model.parameters
    branches = model.problem.branches
    names = [tuple(p for p in parameters if b.density.has(p)) for b in branches]
    classes: list[list[int]] = []
    members: dict[int, tuple[int, ...]] = {}
    place = {p: i for i, p in enumerate(parameters)}
    for j, branch in enumerate(branches):
        for known in classes:
            first = known[0]
            shared = set(names[first]) & set(names[j])
            here = [p for p in names[first] if p not in shared]
            there = [p for p in names[j] if p not in shared]
            found = _pairing(branches[first].density, branch.density, here, there)
            if found is not None and here:
                members.setdefault(first, tuple(place[p] for p in here))
                members[j] = tuple(place[p] for p in found)
                known.append(j)
                break
        else:
            classes.append([j])
    return Exchange(tuple(tuple(c) for c in classes), members)


def _pairing(one: object, other: object, here: list[Symbol], there: list[Symbol]) -> list[Symbol] | None:
    if len(here) != len(there):
        return None
    orders = itertools.permutations(there) if len(there) <= MOST_TRIED else [tuple(there)]
    for order in orders:
        if one.xreplace(dict(zip(here, order, strict=True))) == other:  # type: ignore[attr-defined]
            return list(order)
    return None


class Weights:
    """The weights of the branches as functions of parameters; their values taken back to parameters where linear."""

    def __init__(self, model: BranchLikelihood):
        weights = [b.weight for b in model.problem.branches]
        self.model = model
        self._values = scalar_function([*model.parameters, *model.constants], [], weights)
        densities = [b.density for b in model.problem.branches]
        self.own = [
            i
            for i, p in enumerate(model.parameters)
            if any(w.has(p) for w in weights) and not any(d.has(p) for d in densities)
        ]
        names = [model.parameters[i] for i in self.own]
        free = set(model.parameters)
        self.matrix: NDArray[np.float64] | None = None
        if names and all(not (w.diff(p).free_symbols & free) for w in weights for p in names):
            if not any((w.free_symbols & free) - set(names) for w in weights):
                numbers = [[w.diff(p) for p in names] for w in weights]
                if all(d.is_number for row in numbers for d in row):
                    self.matrix = np.array([[float(d) for d in row] for row in numbers])
                    self._inverse = np.linalg.pinv(self.matrix)

    def __call__(self, theta: Sequence[float], constants: Sequence[float]) -> list[float]:
        return [float(v) for v in self._values(*theta, *constants)]

    def put(
        self, theta: Sequence[float], wanted: Sequence[float], constants: Sequence[float]
    ) -> list[float] | None:
        """theta with weights of these values, or None where no parameter values give them."""
        now = np.array(self(theta, constants))
        if np.abs(now - wanted).max() <= 1e-15:
            return list(theta)
        if self.matrix is None:
            return None
        change = np.asarray(wanted) - now
        move = self._inverse @ change
        if np.abs(self.matrix @ move - change).max() > 1e-12:
            return None
        found = list(theta)
        for i, m in zip(self.own, move, strict=True):
            found[i] += float(m)
        return found


def permuted(
    exchange: Exchange,
    weights: Weights,
    theta: Sequence[float],
    order: dict[int, int],
    constants: Sequence[float],
) -> list[float] | None:
    """theta in which branch j is what branch order[j] was; None where the weights do not allow it."""
    found = list(theta)
    for j, source in order.items():
        for to, since in zip(exchange.members[j], exchange.members[source], strict=True):
            found[to] = theta[since]
    now = weights(theta, constants)
    return weights.put(found, [now[order.get(j, j)] for j in range(len(now))], constants)


def in_order(
    exchange: Exchange, weights: Weights, theta: Sequence[float], constants: Sequence[float]
) -> list[float]:
    """theta with exchangeable branches by increasing first own parameter (then the second, ...)."""
    order: dict[int, int] = {}
    for group in exchange.classes:
        if len(group) > 1:
            ranked = sorted(group, key=lambda j: [theta[i] for i in exchange.members[j]])
            order.update(zip(group, ranked, strict=True))
    if all(j == s for j, s in order.items()):
        return list(theta)
    found = permuted(exchange, weights, theta, order, constants)
    return list(theta) if found is None else found


__all__ = ["Exchange", "Weights", "exchange_of", "in_order", "permuted"]
