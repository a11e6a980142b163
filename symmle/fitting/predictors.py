"""Affine predictors: parameters that enter a log density only through one affine form eta = v(row) . beta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Add, Dummy, Expr, Mul, Poly, PolynomialError, S, Symbol, simplify

from symmle.declare.declaration import SamplePart


@dataclass(frozen=True)
class Predictor:
    """beta, the direction v of the predictor by row, and the log density as a function of eta, row and the rest."""

    part: SamplePart
    parameters: tuple[Symbol, ...]
    direction: tuple[Expr, ...]  # v, in the columns and constants
    eta: Symbol
    profile: Expr  # log f at beta = eta v / |v|**2

    @property
    def rest(self) -> tuple[Symbol, ...]:
        """The parameters and constants that stand in the profile beside eta and the columns."""
        named = self.profile.free_symbols | set().union(*(v.free_symbols for v in self.direction))
        return tuple(sorted(named - {self.eta, *self.part.all_columns}, key=str))  # type: ignore[arg-type]


def predictors_of(part: SamplePart, opened: Expr, parameters: Sequence[Symbol]) -> list[Predictor]:
    """Groups of parameters that enter the log density through one affine form each."""
    forms = [f for f in _affine_forms(opened, tuple(parameters)) if any(f)]
    groups: list[set[int]] = []
    for form in forms:
        members = {k for k, c in enumerate(form) if c != 0}
        for group in [g for g in groups if g & members]:
            groups.remove(group)
            members |= group
        groups.append(members)
    found = []
    for group in groups:
        names = tuple(parameters[k] for k in sorted(group))
        own = [tuple(f[k] for k in sorted(group)) for f in forms if any(f[k] != 0 for k in group)]
        # a random column may be 0 in a row where the predictor is not
        random = set(part.columns)
        direction = min(
            own, key=lambda f: (any(c.free_symbols & random for c in f), sum(c.count_ops() for c in f))
        )
        if not all(_are_parallel(direction, f) for f in own):
            continue
        eta = Dummy("eta", real=True)
        size = Add(*(c**2 for c in direction))
        at = {p: eta * c / size for p, c in zip(names, direction, strict=True)}
        found.append(Predictor(part, names, direction, eta, opened.xreplace(at)))
    return found


def _affine_forms(e: Expr, parameters: tuple[Symbol, ...]) -> list[tuple[Expr, ...]]:
    """The coefficients of the largest subexpressions that are affine in the parameters."""
    if not e.free_symbols & set(parameters):
        return []
    coefficients = _coefficients(e, parameters)
    if coefficients is not None:
        return [coefficients]
    if isinstance(e, Add):
        affine, found, others = [S.Zero] * len(parameters), False, []
        for term in e.args:
            c = _coefficients(term, parameters)
            if c is None:
                others.append(term)
            else:
                affine, found = [a + b for a, b in zip(affine, c, strict=True)], True
        forms = [tuple(affine)] if found and any(a != 0 for a in affine) else []
        return forms + [f for term in others for f in _affine_forms(term, parameters)]
    if isinstance(e, Mul):
        return [f for factor in e.args for f in _affine_forms(factor, parameters)]
    return [f for a in e.args if isinstance(a, Expr) for f in _affine_forms(a, parameters)]


def _coefficients(e: Expr, parameters: tuple[Symbol, ...]) -> tuple[Expr, ...] | None:
    if not e.free_symbols & set(parameters):
        return (S.Zero,) * len(parameters)
    if not e.is_polynomial(*parameters):
        return None
    try:
        poly = Poly(e, *parameters)
    except PolynomialError:
        return None
    if poly.total_degree() > 1:
        return None
    return tuple(poly.coeff_monomial(p) for p in parameters)


def _are_parallel(v: tuple[Expr, ...], w: tuple[Expr, ...]) -> bool:
    pairs = [(i, j) for i in range(len(v)) for j in range(i)]
    return all(simplify(v[i] * w[j] - v[j] * w[i]) == 0 for i, j in pairs)


__all__ = ["Predictor", "predictors_of"]
