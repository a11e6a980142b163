"""Free coordinates of a parameter at 240 bits, so far out that doubles have left the scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sympy import Interval, Symbol

from symmle.compiling.kernels import CONTEXT
from symmle.fitting.plan import Numbers, Plan


@dataclass(frozen=True)
class FreeCoordinate:
    """theta as an increasing function of u in R: exp on half lines, logistic on intervals, u on the line."""

    low: Any
    high: Any

    @property
    def is_line(self) -> bool:
        return bool(CONTEXT.isinf(self.low) and CONTEXT.isinf(self.high))

    @property
    def is_interval(self) -> bool:
        return bool(CONTEXT.isfinite(self.low) and CONTEXT.isfinite(self.high))

    def value(self, u: Any) -> Any:
        if self.is_interval:
            width = self.high - self.low
            if u < 0:
                return self.low + width * CONTEXT.exp(u) / (1 + CONTEXT.exp(u))
            return self.high - width * CONTEXT.exp(-u) / (1 + CONTEXT.exp(-u))
        if CONTEXT.isfinite(self.low):
            return self.low + CONTEXT.exp(u)
        if CONTEXT.isfinite(self.high):
            return self.high - CONTEXT.exp(-u)
        return u

    def at(self, theta: Any) -> Any:
        """The u of theta, or +-400 where theta has been rounded to an end."""
        below, above = theta - self.low, self.high - theta
        if below <= 0 or above <= 0:
            return CONTEXT.mpf(-400 if below <= 0 else 400)
        if self.is_interval:
            return CONTEXT.log(below) - CONTEXT.log(above)
        if CONTEXT.isfinite(self.low):
            return CONTEXT.log(below)
        return -CONTEXT.log(above) if CONTEXT.isfinite(self.high) else theta

    def slopes(self, theta: Any) -> tuple[Any, Any]:
        """d theta/du and d2 theta/du2."""
        if self.is_interval:
            width = self.high - self.low
            p = (theta - self.low) / width
            return width * p * (1 - p), width * p * (1 - p) * (1 - 2 * p)
        if CONTEXT.isfinite(self.low):
            return theta - self.low, theta - self.low
        if CONTEXT.isfinite(self.high):
            return self.high - theta, theta - self.high
        return CONTEXT.mpf(1), CONTEXT.mpf(0)


def free_coordinate(plan: Plan, parameter: Symbol, constants: Numbers) -> FreeCoordinate | None:
    """The coordinate of a parameter whose domain is an interval; bounds that name parameters are left away."""
    domain = plan.domain_of(parameter)
    if not isinstance(domain, Interval):
        return None
    ends = []
    for bound, infinite in ((domain.start, -CONTEXT.inf), (domain.end, CONTEXT.inf)):
        known = bound.free_symbols <= set(constants)
        ends.append(plan.scalar(bound, constants) if known else infinite)
    return FreeCoordinate(*ends)
