"""Maxima under equality constraints: by free parameters, or the best of all constrained stationary points."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import Expr, Interval, Matrix, Poly, PolynomialError, S, Symbol

from symmle.algebra import compile_expression
from symmle.algebra.constraints import Parametrisation, parametrisations
from symmle.certify.competitors import never_beaten
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate, Kind, Scope
from symmle.likelihood import build_likelihood
from symmle.record import Condition
from symmle.sampling import RandomPoints, as_numbers

COMPACT = "largest of all constrained stationary points on a compact set"
Point = tuple[tuple[Symbol, Expr], ...]


@dataclass(frozen=True)
class OnConstraints(Certificate):
    """{h = 0} is the image of free parameters, one to one; the maximum over these is the maximum on it."""

    declaration: Declaration
    closed: Point
    branch: tuple[tuple[Symbol, Expr], ...]
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
        """The proof in the free parameters again, the constraints at the map, and random competitors."""
        found = [self.inner.check()]
        d = self.declaration
        branches = parametrisations(d.constraints, d.parameters) or ()
        if len(branches) != 1 or dict(branches[0].back) != dict(self.branch):
            return False, "the constraint set is not the image of these free parameters alone"
        found.append(_constraints_hold(branches[0], d))
        if self.closed:
            found.append(never_beaten(build_likelihood(d), dict(self.closed), self.conditions))
        return all(ok for ok, _ in found), "; ".join(text for _, text in found)


def _constraints_hold(branch: Parametrisation, declaration: Declaration) -> tuple[bool, str]:
    stream, seen = RandomPoints(declaration, 83), 0
    functions = [compile_expression(c.xreplace(branch.back)) for c in declaration.constraints]
    for _ in range(5):
        values = stream.parameters(stream.constants())
        if values is None:
            continue
        numbers = as_numbers(values)
        numbers |= {q: compile_expression(e)(numbers, []) for q, e in branch.forward.items()}
        if any(abs(f(numbers, [])) > mpmath.mpf(10) ** -12 for f in functions):
            return False, "the map leaves the constraint set"
        seen += 1
    return seen > 0, f"the constraints hold on the map at {seen} random points"


@dataclass(frozen=True)
class LargestOnCompact(Certificate):
    """l is continuous on the compact set {h = 0}, where h has a gradient, so that its maximum is stationary.

    `points` are all solutions of the Lagrangian's equations; `gaps` are l at the first less l at the others,
    none of them negative for any sample.
    """

    declaration: Declaration
    points: tuple[Point, ...]
    gaps: tuple[Expr, ...]
    conditions: tuple[Condition, ...] = ()
    theorem: str = COMPACT
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The shape of the set, the signs of the gaps, and random competitors."""
        if not is_ellipsoid(self.declaration):
            return False, "the constraint set is not an ellipsoid"
        if not all(gap.is_nonnegative for gap in self.gaps):
            return False, "the sign of a difference of log-likelihoods is not decided"
        ok, text = never_beaten(build_likelihood(self.declaration), dict(self.points[0]), self.conditions)
        return ok, f"{len(self.points)} stationary points; {text}"


def is_ellipsoid(declaration: Declaration) -> bool:
    """Whether one constraint h(theta) = 0 in all parameters, on the whole space, has a definite quadratic form.

    {h = 0} is then an ellipsoid: compact, and the gradient of h is zero at its centre alone, off the set.
    """
    if len(declaration.constraints) != 1 or declaration.where:
        return False
    names = tuple(declaration.parameters)
    if any(d != Interval(-S.Infinity, S.Infinity) for d in declaration.parameters.values()):
        return False
    try:
        h = Poly(declaration.constraints[0], *names)
    except PolynomialError:
        return False
    if h.total_degree() != 2 or h.free_symbols - set(names):
        return False
    form = Matrix([[h.as_expr().diff(p, q) for p in names] for q in names])
    centre = (
        form.LUsolve(-Matrix([h.as_expr().diff(p).subs(dict.fromkeys(names, 0)) for p in names]))
        if form.det()
        else None
    )
    if centre is None:
        return False
    at_centre = h.as_expr().subs(dict(zip(names, centre, strict=True)))
    return bool(
        (form.is_positive_definite and at_centre < 0) or (form.is_negative_definite and at_centre > 0)
    )


__all__ = ["LargestOnCompact", "OnConstraints", "is_ellipsoid"]
