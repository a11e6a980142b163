"""Whole-number parameters: the maximum over the integers of a domain."""

from __future__ import annotations

from typing import Any

from sympy import Symbol

from symmle.compiling.data import Table
from symmle.errors import NotDerivedError
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution


def search_integers(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The best value of the searched parameter, the others maximised at each."""
    raise NotDerivedError(f"{plan.name}: a search over {plan.estimator.searched[0]} is not built yet.")
