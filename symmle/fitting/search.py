"""Parameters that are searched: whole numbers, and the points of a kink."""

from __future__ import annotations

from typing import Any

from sympy import Interval, S, Symbol

from symmle.compiling.data import Table
from symmle.fitting.integers import search_integers
from symmle.fitting.kinks import search_kinks
from symmle.fitting.plan import Plan
from symmle.fitting.solution import Solution


def search(plan: Plan, table: Table, constants: dict[Symbol, Any]) -> Solution:
    """The maximum over the values of a searched parameter, the others maximised at each."""
    domain = plan.domain_of(plan.estimator.searched[0])
    if isinstance(domain, Interval) or domain is S.Reals:
        return search_kinks(plan, table, constants)
    return search_integers(plan, table, constants)
