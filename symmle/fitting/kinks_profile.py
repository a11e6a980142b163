"""The profile of a searched parameter: l at a value of it, the other parameters maximised."""

from __future__ import annotations

from typing import Any

from sympy import Symbol

from symmle.certify.kink import MaximumAmongKinks
from symmle.certify.kink_lines import LinesMaximum
from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT
from symmle.errors import NoMaximumError, SymmleError
from symmle.fitting.faces import inner_constants
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.solution import Solution, log_likelihood_at

Point = tuple[Any, Solution]  # the log-likelihood, and the parameters at which it is attained


class Profile:
    """l as a function of the searched parameter `p` alone.

    `proof` is what the certificate of the search says of l, "" without one; `refused` are the values of p at which
    the others have no maximum.
    """

    def __init__(self, plan: Plan, table: Table, constants: dict[Symbol, Any]):
        self.plan, self.table, self.known = plan, table, constants
        self.p = plan.estimator.searched[0]
        self.domain = plan.domain_of(self.p)
        self.inner = plan_of(plan.derivation.face(0))
        self.has_others = bool(plan.estimator.faces[0].declaration.parameters)
        proofs = [q.certificate for q in plan.estimator.points if q.certificate is not None]
        self.proof = next((c.reason for c in proofs if isinstance(c, MaximumAmongKinks | LinesMaximum)), "")
        inner = plan.estimator.faces[0].estimator
        self.is_closed = not (inner.remaining or inner.faces or inner.alternatives or inner.supremum)
        self.closed = inner.closed if self.is_closed else {}
        self.formulas = plan.compile(list(self.closed.values()))
        self.refused: list[tuple[Any, SymmleError]] = []

    def at(self, value: Any, limit: bool = False) -> Point | None:
        """l and the others at p = value; None where they have no maximum, which is kept in mind."""
        known = {**self.known, self.p: value}
        try:
            found = self.others_at(known)
        except NoMaximumError as problem:
            if not limit:
                self.refused.append((value, problem))
            return None
        values = {**known, **found.values}
        if self.plan.reason_against(values, self.table):
            return None
        height = log_likelihood_at(self.plan, self.table, values)
        found.values = values
        return (height, found) if CONTEXT.isfinite(height) else None

    def others_at(self, known: dict[Symbol, Any]) -> Solution:
        from symmle.fitting.solving import solve

        if not self.has_others:
            return Solution(dict(known), "kinks")
        if self.is_closed:
            found = self.formulas.precise(self.table, known)
            values = {**known, **dict(zip(self.closed, (v.number for v in found), strict=True))}
            reason = self.inner.reason_against(values, self.table)
            if reason:
                raise NoMaximumError(
                    f"{self.plan.name}: with `{self.p}` = {float(known[self.p]):.12g} the likelihood has no maximum: "
                    f"{reason}."
                )
            return Solution(values, "kinks")
        return solve(self.inner, self.table, inner_constants(self.inner, known))


__all__ = ["Point", "Profile"]
