"""Maxima over a closed end: the maximum of a larger space where it lies inside, else one on the edge."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Dummy, Expr, Interval, Poly, PolynomialError, Symbol, fraction, oo, together

from symmle.certify.competitors import never_beaten
from symmle.certify.coordinates import Coordinates, solved
from symmle.certify.curvature import ConcaveByComposition
from symmle.certify.exponential import FullExponentialFamily
from symmle.certify.ranges import Bounds, bounds_of_set, range_of
from symmle.certify.sign import OneSignChange
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import build_likelihood
from symmle.record import Condition

THEOREM = "unimodal: clipped at the closed end"


@dataclass(frozen=True)
class Clipped(Certificate):
    """The maximum over lo <= p <= hi from the maximum over a larger space, and those at p = lo and p = hi.

    With one parameter: on the larger interval l rises up to its one stationary point and falls after it, so
    that on [lo, hi] the maximum is that point where it lies inside, else the nearer end.

    With several: l is concave in coordinates in which the larger space is convex, with its maximum at
    theta*. If theta* has p* < lo, the segment from any point with p >= lo to theta* meets p = lo, and l on it
    is nowhere less than at its beginning: sup over p >= lo is the maximum at p = lo (p* > hi likewise).

    A sample without a maximum on the larger space is a limit of samples with one (give the rows of another
    sample weight e, e -> 0); l is linear in the weights, so that the limit of the maximisers is one where the
    formula is continuous; it is kept only where that is finite.
    """

    declaration: Declaration
    closed: tuple[tuple[Symbol, Expr], ...]
    larger: Declaration
    free: Certificate
    at_ends: tuple[Certificate, ...] = ()
    conditions: tuple[Condition, ...] = ()
    theorem: str = THEOREM
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The proofs on the larger space and at the ends again, the shape of the space, and random competitors."""
        found = [c.check() for c in (self.free, *self.at_ends)]
        if not is_unimodal(self.free, self.larger):
            return False, "no theorem says that l is unimodal on the larger space"
        if self.closed:
            likelihood = build_likelihood(self.declaration)
            found.append(never_beaten(likelihood, dict(self.closed), self.conditions))
        return all(ok for ok, _ in found), "; ".join(text for _, text in found)


@dataclass(frozen=True)
class AtClosedEnds(Certificate):
    """The maximum over the domains without their closed ends is the maximum with them, as l is continuous there.

    It needs no condition on a sample where the formula is finite and in the closed domains: such a sample is a
    limit of samples for which it holds.
    """

    declaration: Declaration
    closed: tuple[tuple[Symbol, Expr], ...]
    inner: Certificate
    conditions: tuple[Condition, ...] = ()

    @property
    def theorem(self) -> str:  # type: ignore[override]
        return self.inner.theorem

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        return self.inner.kind

    @property
    def scope(self) -> Scope:  # type: ignore[override]
        return self.inner.scope

    def check(self) -> tuple[bool, str]:
        """The proof without the ends again, and random competitors with them."""
        first, text = self.inner.check()
        likelihood = build_likelihood(self.declaration)
        second, more = never_beaten(likelihood, dict(self.closed), self.conditions)
        return first and second, f"{text}; {more}"


def is_unimodal(certificate: Certificate, larger: Declaration) -> bool:
    """Whether the certificate says that l falls along paths from its maximum that fill the larger space."""
    if certificate.kind is not Kind.GLOBAL_MAXIMUM or certificate.scope is not Scope.EVERY_SAMPLE:
        return False
    if isinstance(certificate, OneSignChange):
        return len(larger.parameters) == 1
    if not isinstance(certificate, FullExponentialFamily | ConcaveByComposition):
        return False
    # in one parameter the coordinate is monotone, and the image of an interval is one
    return len(larger.parameters) == 1 or has_convex_image(certificate, larger)


def has_convex_image(
    certificate: FullExponentialFamily | ConcaveByComposition, declaration: Declaration
) -> bool:
    """Whether the parameter space is convex in the coordinates in which l is concave.

    The image is {u in a box : theta_j(u) in its domain for all j}. It is convex if every theta_j(u) lies in
    its domain for all u of the box, or the bound is affine in u after multiplication with what is positive,
    or theta_j depends on one coordinate alone, through which it is monotone.
    """
    if declaration.constraints or any(not isinstance(d, Interval) for d in declaration.parameters.values()):
        return False
    system, known = _coordinates(certificate, declaration)
    if system is None:
        return False
    box = system.bounds(known)
    inverse = dict(system.inverse)
    names = {p.name: p for p in inverse}
    for p, domain in declaration.parameters.items():
        value = inverse[names[p.name]]
        reached = range_of(value, dict(box))
        for bound, inside, is_open, direction in (
            (domain.start, reached, bool(domain.left_open), 1),  # type: ignore[attr-defined]
            (domain.end, -reached, bool(domain.right_open), -1),  # type: ignore[attr-defined]
        ):
            if bound in (oo, -oo):
                continue
            edge = range_of(direction * bound, dict(known))
            if inside.lo > edge.hi or (inside.lo == edge.hi and (inside.lo_open or not is_open)):
                continue
            if len(value.free_symbols & set(system.symbols)) > 1 and not _is_halfspace(
                direction * (value - bound), system.symbols, box
            ):
                return False
    back = {p: inverse[names[p.name]] for p in declaration.parameters}
    return all(_is_halfspace(w.xreplace(back), system.symbols, box) for w in declaration.where)


def _coordinates(
    certificate: FullExponentialFamily | ConcaveByComposition, declaration: Declaration
) -> tuple[Coordinates | None, dict[Symbol | Expr, Bounds]]:
    parameters = tuple(declaration.parameters)
    if isinstance(certificate, FullExponentialFamily):
        if set(certificate.parameters) != set(parameters):
            return None, {}
        known: dict[Symbol | Expr, Bounds] = {p: bounds_of_set(d) for p, d in declaration.parameters.items()}
        symbols = tuple(Dummy(f"eta{k}", real=True) for k in range(len(parameters)))
        return solved(certificate.coefficients, parameters, known, symbols), known
    inverse = certificate.inverse
    if {p.name for p, _ in inverse} != {p.name for p in parameters}:
        return None, {}
    domains = {p.name: d for p, d in declaration.parameters.items()}
    known = {p: bounds_of_set(domains[p.name]) for p, _ in inverse}
    symbols = tuple(u for u, _ in certificate.coordinates)
    return Coordinates(symbols, tuple(f for _, f in certificate.coordinates), inverse), known


def _is_halfspace(gap: Expr, symbols: tuple[Symbol, ...], box: dict[Symbol, Bounds]) -> bool:
    """Whether gap > 0 is an affine inequality in the symbols on the box, or one in a single monotone symbol."""
    named = gap.free_symbols & set(symbols)
    if len(named) == 1:
        slope = range_of(gap.diff(*named), dict(box))
        if slope.positive or slope.negative:
            return True
    numerator, denominator = fraction(together(gap))
    sign = range_of(denominator, dict(box))
    if not (sign.positive or sign.negative):
        return False
    try:
        return bool(Poly(numerator, *symbols).total_degree() <= 1)
    except PolynomialError:
        return False


__all__ = ["AtClosedEnds", "Clipped", "has_convex_image", "is_unimodal"]
