"""The ways of solving, in the one order in which they are tried."""

from symmle.strategies.combination import Combination
from symmle.strategies.elimination import Elimination, Joint
from symmle.strategies.moments import Moments
from symmle.strategies.problem import Strategy
from symmle.strategies.reparametrisation import Reparametrisation


def strategies_for(parameters: int) -> tuple[Strategy, ...]:
    """Moments, joint, for each number of closed parameters elimination before combination, other coordinates."""
    ladder: list[Strategy] = [Moments(), Joint()]
    for size in range(parameters - 1, 0, -1):
        ladder += [Elimination(size), Combination(size)]
    if parameters > 1:
        ladder.append(Reparametrisation())
    return tuple(ladder)


__all__ = ["strategies_for"]
