"""The records of an EM derivation: latent structure, complete-data log-likelihood, E-step, Q, M-step, why it climbs."""

from __future__ import annotations

from symmle.declare.declaration import Declaration
from symmle.latent.problem import Conditional, Labelled
from symmle.record import Step


def steps_of(declaration: Declaration, em: Labelled | Conditional) -> tuple[Step, ...]:
    return ()
