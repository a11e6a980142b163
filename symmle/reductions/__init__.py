"""Where the score does not decide the maximum: ways to know some parameters without it, in one order."""

from symmle.reductions.boundary import Boundary
from symmle.reductions.finite import Finite
from symmle.reductions.integers import Integers
from symmle.reductions.kinks import Kinks
from symmle.reductions.lagrange import Lagrange
from symmle.reductions.problem import Part, Reduced, Reduction, Solve
from symmle.reductions.ridge import Ridge
from symmle.reductions.support import Support
from symmle.reductions.unrolled import Unrolled

REDUCTIONS: tuple[Reduction, ...] = (
    Support(),
    Unrolled(),
    Integers(),
    Finite(),
    Kinks(),
    Ridge(),
    Boundary(),
    Lagrange(),
)

__all__ = ["REDUCTIONS", "Part", "Reduced", "Reduction", "Solve"]
