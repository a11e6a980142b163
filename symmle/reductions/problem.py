"""What a reduction is given and what it answers: the likelihood, the ladder again, Reduced or Skipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from symmle.declare.declaration import Declaration
from symmle.estimator import Estimator
from symmle.likelihood import Likelihood
from symmle.record import Step
from symmle.strategies.problem import Skipped


@dataclass(frozen=True)
class Part:
    """A smaller problem that the ladder has answered: its declaration, estimator and steps."""

    declaration: Declaration
    estimator: Estimator
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Reduced:
    """The estimator of the whole declaration, and the steps that lead to it.

    The steps do not hold the certificate, the conditions and the estimate: the run records those from
    the estimator.
    """

    estimator: Estimator
    steps: tuple[Step, ...]


Solve = Callable[[Declaration], Part]


class Reduction(Protocol):
    """One way of doing without a score: `attempt` answers Reduced or Skipped and keeps no state."""

    name: str

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped: ...


__all__ = ["Part", "Reduced", "Reduction", "Skipped", "Solve"]
