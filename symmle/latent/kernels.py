"""log int exp(sum_k eta_k t_k(z)) dz for the exponential families in z: support, statistics, log-normaliser.

A kernel is told by its support and by what stands in its exponent, so that a conditional law is met under any
name. The expectations are the gradient of the log-normaliser: E[t_k(z)] = dA/d eta_k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sympy import (
    Abs,
    Dummy,
    Expr,
    Interval,
    Range,
    S,
    Set,
    Symbol,
    besselk,
    exp,
    log,
    loggamma,
    oo,
    pi,
    sqrt,
)

Normaliser = Callable[[dict[Expr, Expr]], Expr]


@dataclass(frozen=True)
class Kernel:
    """A matched kernel: natural parameters eta by statistic, A(eta), and what must be positive for A to be finite."""

    naturals: dict[Expr, Symbol]  # t_k(z) -> the symbol of eta_k
    log_normaliser: Expr
    positive: tuple[Expr, ...]


def match_kernel(z: Symbol, support: Set, statistics: frozenset[Expr]) -> Kernel | None:
    """The kernel with this support whose statistics hold all of these; None where none is known."""
    for way in (_gaussian, _power, _two_sided, _unit, _ratio, _counts):
        found = way(z, support, statistics)
        if found is not None:
            return found
    return None


def _naturals(*statistics: Expr) -> dict[Expr, Symbol]:
    return {t: Dummy(f"eta_{k}", real=True) for k, t in enumerate(statistics, 1)}


def _is_half_line(support: Set) -> bool:
    return isinstance(support, Interval) and support.start == 0 and support.end == oo


def _gaussian(z: Symbol, support: Set, statistics: frozenset[Expr]) -> Kernel | None:
    """exp(eta_1 z + eta_2 z**2) on the real line."""
    line = support is S.Reals or (isinstance(support, Interval) and support.args[:2] == (-oo, oo))
    if not line or not statistics <= {z, z**2} or z**2 not in statistics:
        return None
    n = _naturals(z, z**2)
    a, b = n[z], n[z**2]
    return Kernel(n, -(a**2) / (4 * b) + log(pi / -b) / 2, (-b,))


def _power(z: Symbol, support: Set, statistics: frozenset[Expr]) -> Kernel | None:
    """z**eta_1 exp(eta_2 z**c) on the half line, c a number other than 0: z**c is a gamma variable."""
    rest = statistics - {log(z)}
    if not _is_half_line(support) or len(rest) != 1:
        return None
    (t,) = rest
    base, c = t.as_base_exp()
    if base != z or not c.is_number or c == 0:
        return None
    n = _naturals(log(z), t)
    a, b = n[log(z)], n[t]
    shape = (a + 1) / c
    return Kernel(n, loggamma(shape) - shape * log(-b) - log(Abs(c)), (shape, -b))


def _two_sided(z: Symbol, support: Set, statistics: frozenset[Expr]) -> Kernel | None:
    """z**eta_1 exp(eta_2 z + eta_3/z) on the half line: a Bessel function."""
    if not _is_half_line(support) or not {z, 1 / z} <= statistics <= {z, 1 / z, log(z)}:
        return None
    n = _naturals(log(z), z, 1 / z)
    a, b, c = n[log(z)], n[z], n[1 / z]
    order = a + 1
    return Kernel(n, log(2) + log(besselk(order, 2 * sqrt(b * c))) + order * log(c / b) / 2, (-b, -c))


def _unit(z: Symbol, support: Set, statistics: frozenset[Expr]) -> Kernel | None:
    """z**eta_1 (1 - z)**eta_2 on (0, 1)."""
    if not (isinstance(support, Interval) and support.start == 0 and support.end == 1):
        return None
    if not statistics <= {log(z), log(1 - z)}:
        return None
    n = _naturals(log(z), log(1 - z))
    a, b = (e + 1 for e in n.values())
    return Kernel(n, loggamma(a) + loggamma(b) - loggamma(a + b), (a, b))


def _ratio(z: Symbol, support: Set, statistics: frozenset[Expr]) -> Kernel | None:
    """z**eta_1 (1 + z)**eta_2 on the half line."""
    if not _is_half_line(support) or not statistics <= {log(z), log(1 + z)}:
        return None
    n = _naturals(log(z), log(1 + z))
    a, b = (e for e in n.values())
    return Kernel(n, loggamma(a + 1) + loggamma(-b - a - 1) - loggamma(-b), (a + 1, -b - a - 1))


def _counts(z: Symbol, support: Set, statistics: frozenset[Expr]) -> Kernel | None:
    """exp(eta_1 z)/z! or exp(eta_1 z) on {0, 1, 2, ...}; the factorial's exponent is -1 and no natural parameter."""
    counts = support == S.Naturals0 or (isinstance(support, Range) and support.args == (0, oo, 1))
    if not counts or not statistics <= {z, loggamma(z + 1)}:
        return None
    if loggamma(z + 1) in statistics:
        n = _naturals(z, loggamma(z + 1))
        return Kernel(n, exp(n[z]), (-n[loggamma(z + 1)],))
    n = _naturals(z)
    return Kernel(n, -log(1 - exp(n[z])), (-n[z],))


def is_base_measure(kernel: Kernel, statistic: Expr) -> bool:
    """Whether the coefficient of a statistic must be -1: A does not know it as a natural parameter."""
    return kernel.naturals[statistic] not in kernel.log_normaliser.free_symbols


__all__ = ["Kernel", "is_base_measure", "match_kernel"]
