"""A derivation seen in the coordinates in which it was solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symmle.declare.declaration import Declaration
from symmle.estimator import Estimator
from symmle.likelihood import Likelihood, build_likelihood
from symmle.model import Model
from symmle.score import ScoreSystem


@dataclass(frozen=True)
class Reparametrised:
    """Model, likelihood and score with a new parameter in the place of an old one, and the same estimator.

    A maximum is one in any coordinates that are one-to-one.
    """

    model: Model
    estimator: Estimator
    likelihood: Likelihood
    score: ScoreSystem


def in_new_coordinates(derivation: Any) -> Reparametrised | None:
    """The derivation in the coordinates of its last reparametrisation, or None where it took none."""
    for step in reversed(derivation.steps):
        declaration = step.detail("declaration")
        if step.rule == "reparametrise" and isinstance(declaration, Declaration):
            likelihood = build_likelihood(declaration)
            model = Model.from_declaration(declaration, derivation.model.check)
            return Reparametrised(model, derivation.estimator, likelihood, ScoreSystem(likelihood))
    return None
