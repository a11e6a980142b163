"""The only callers of SymPy's solve, simplify and limit: under a budget, with three-valued answers."""

from symmle.algebra.bounds import Bounds, RangeFinder, bounds_of_set, ends_of_range
from symmle.algebra.budget import GaveUp, attempt_within, seconds_left
from symmle.algebra.evaluate import Rows, compile_expression, evaluate, is_close
from symmle.algebra.facts import Facts

__all__ = [
    "Bounds",
    "Facts",
    "GaveUp",
    "RangeFinder",
    "Rows",
    "attempt_within",
    "bounds_of_set",
    "compile_expression",
    "ends_of_range",
    "evaluate",
    "is_close",
    "seconds_left",
]
