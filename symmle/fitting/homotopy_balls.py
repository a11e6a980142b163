"""Solutions of polynomial equations proved: in a small polydisc about an approximate one there is exactly one.

With Y near the inverse of the Jacobian at the centre m, the map q -> q - Y G(q) takes the polydisc of radii r s_i
about m into itself and contracts it (Krawczyk 1969, Rump 1983) where, in the norm max |v_i| / s_i,

    |Y G(m)| + kappa r < r,   kappa = |1 - Y J(m)| + |Y| sup |J - J(m)| < 1.

The supremum is bounded term by term: |c| (prod (|m_i| + r s_i)**e_i - prod |m_i|**e_i). Numbers have 240 bits; what
they round is bounded by 2**-220 of the sum of the absolute values of the terms. The solution is not singular.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sympy.polys.rings import PolyElement

from symmle.compiling.kernels import CONTEXT

STEPS = 40
RADII = tuple(10.0**-k for k in (50, 40, 30, 20, 14))
ROUNDED = CONTEXT.mpf(2) ** -220

Terms = list[tuple[tuple[int, ...], Any]]


@dataclass(frozen=True)
class Ball:
    """A polydisc that holds exactly one solution; a real one where the centre is real."""

    centre: tuple[Any, ...]
    radii: tuple[Any, ...]
    is_real: bool

    def is_apart(self, other: Ball) -> bool:
        return any(
            abs(a - b) > r + s
            for a, b, r, s in zip(self.centre, other.centre, self.radii, other.radii, strict=True)
        )


class Polynomials:
    """Polynomials with real coefficients at 240 bits, their derivatives, and bounds of both on polydiscs."""

    def __init__(self, polynomials: Sequence[PolyElement]):
        self.terms: list[Terms] = [_terms(c) for c in polynomials]
        self.count = len(polynomials)
        self.slopes: list[list[Terms]] = [
            [_derivative(t, i) for i in range(polynomials[0].ring.ngens)] for t in self.terms
        ]

    def values(self, q: Sequence[Any]) -> list[Any]:
        return [_sum(t, q) for t in self.terms]

    def jacobian(self, q: Sequence[Any]) -> Any:
        return CONTEXT.matrix([[_sum(t, q) for t in row] for row in self.slopes])


def _number(v: Any) -> Any:
    return CONTEXT.mpf(int(v.numerator)) / int(v.denominator)


def _terms(c: PolyElement) -> Terms:
    return [(tuple(m), _number(v)) for m, v in c.items()]


def _derivative(terms: Terms, i: int) -> Terms:
    return [((*m[:i], m[i] - 1, *m[i + 1 :]), c * m[i]) for m, c in terms if m[i]]


def _monomial(m: Sequence[int], q: Sequence[Any]) -> Any:
    found = CONTEXT.mpf(1)
    for x, e in zip(q, m, strict=True):
        if e:
            found *= x**e
    return found


def _sum(terms: Terms, q: Sequence[Any]) -> Any:
    return CONTEXT.fsum(c * _monomial(m, q) for m, c in terms)


def _size(terms: Terms, q: Sequence[Any]) -> Any:
    return CONTEXT.fsum(abs(c) * _monomial(m, q) for m, c in terms)


def polish(polynomials: Polynomials, start: Sequence[complex]) -> list[Any] | None:
    """Newton's method at 240 bits; None where it does not settle."""
    q = [CONTEXT.mpc(complex(x)) for x in start]
    last = None
    for _ in range(STEPS):
        try:
            step = CONTEXT.lu_solve(
                polynomials.jacobian(q), CONTEXT.matrix([-v for v in polynomials.values(q)])
            )
        except ZeroDivisionError:
            return None
        q = [x + d for x, d in zip(q, step, strict=True)]
        size = max(abs(x) for x in q) or CONTEXT.mpf(1)
        moved = max(abs(d) for d in step) / size
        if not CONTEXT.isfinite(moved):
            return None
        if moved < CONTEXT.mpf(2) ** -200 or (last is not None and moved < 1e-40 and moved >= last):
            return q
        last = moved
    return q if last is not None and last < 1e-30 else None


def enclose(polynomials: Polynomials, centre: Sequence[Any]) -> Ball | None:
    """The ball about a polished point, real where it can be; None where no proof succeeds."""
    found = _proved(polynomials, centre)
    if found is None:
        return None
    if all(abs(CONTEXT.im(x)) <= r for x, r in zip(found.centre, found.radii, strict=True)):
        real = _proved(polynomials, [CONTEXT.re(x) for x in found.centre])
        if real is not None:
            return Ball(real.centre, real.radii, True)
    return found


def _proved(polynomials: Polynomials, centre: Sequence[Any]) -> Ball | None:
    sizes = [abs(x) for x in centre]
    largest = max(sizes) or CONTEXT.mpf(1)
    scales = [max(s, largest * CONTEXT.mpf("1e-30")) for s in sizes]
    p = polynomials.count
    jacobian = polynomials.jacobian(centre)
    try:
        inverse = jacobian**-1
    except ZeroDivisionError:
        return None
    residual = [
        abs(v) + ROUNDED * _size(t, sizes)
        for v, t in zip(polynomials.values(centre), polynomials.terms, strict=True)
    ]
    start = _norm_of([sum(abs(inverse[i, k]) * residual[k] for k in range(p)) for i in range(p)], scales)
    identity = inverse * jacobian
    for radius in map(CONTEXT.mpf, RADII):
        wide = [s + radius * scale for s, scale in zip(sizes, scales, strict=True)]
        change = [
            [_size(t, wide) - _size(t, sizes) + ROUNDED * _size(t, wide) for t in row]
            for row in polynomials.slopes
        ]
        kappa = max(
            sum(
                (
                    abs(identity[i, j] - (i == j))
                    + sum(
                        abs(inverse[i, k]) * (change[k][j] + ROUNDED * abs(jacobian[k, j])) for k in range(p)
                    )
                )
                * scales[j]
                for j in range(p)
            )
            / scales[i]
            for i in range(p)
        )
        if kappa < 0.5 and start + kappa * radius < radius:
            return Ball(tuple(centre), tuple(radius * s for s in scales), False)
    return None


def _norm_of(vector: Sequence[Any], scales: Sequence[Any]) -> Any:
    return max(v / s for v, s in zip(vector, scales, strict=True))


def is_never_zero(c: PolyElement, ball: Ball) -> bool:
    """Whether a polynomial has no zero in the ball."""
    terms, sizes = _terms(c), [abs(x) for x in ball.centre]
    wide = [s + r for s, r in zip(sizes, ball.radii, strict=True)]
    spread = _size(terms, wide) - _size(terms, sizes) + ROUNDED * _size(terms, wide)
    return bool(abs(_sum(terms, ball.centre)) > spread)


def value_at(c: PolyElement, q: Sequence[Any]) -> Any:
    return _sum(_terms(c), q)


def are_apart(balls: Sequence[Ball]) -> bool:
    return all(a.is_apart(b) for a, b in combinations(balls, 2))


__all__ = ["Ball", "Polynomials", "are_apart", "enclose", "is_never_zero", "polish", "value_at"]
