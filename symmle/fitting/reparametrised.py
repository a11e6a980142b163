"""A derivation seen in the coordinates in which it was solved, and the proof for the data in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symmle.compiling.data import Table
from symmle.declare.declaration import Declaration
from symmle.estimator import Estimator
from symmle.fitting.plan import Numbers, Plan
from symmle.likelihood import Likelihood, build_likelihood
from symmle.model import Model
from symmle.score import ScoreSystem

if TYPE_CHECKING:
    from symmle.fitting.isolate import GlobalOnData


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


def proof_on_data(plan: Plan, table: Table, values: Numbers) -> GlobalOnData | str:
    """A proof that a point is the global maximum for the data at hand, or the reason why there is none."""
    from symmle.fitting.isolate import isolate

    constants = {s: float(v) for s, v in values.items() if s not in plan.unknowns}
    found = {str(p): float(values[p]) for p in plan.unknowns if p in values}
    seen = in_new_coordinates(plan.derivation) if plan.auxiliary else plan.derivation
    if seen is None:
        return "the new coordinates of the derivation are not known"
    return isolate(seen, table, found, constants=constants)
