"""What the rules of curvature say of an expression: a kind, the proof, and where the curvature is strict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Expr

CONSTANT, AFFINE, CONVEX, CONCAVE, UNKNOWN = "constant", "affine", "convex", "concave", "unknown"
FLIP = {CONVEX: CONCAVE, CONCAVE: CONVEX}
FLAT = (CONSTANT, AFFINE)

Proof = tuple  # (rule, expression, *proofs of the parts)
Form = tuple[Expr, ...]  # coefficients of a linear form in the coordinates


class OutOfTime(Exception):
    """The deadline has passed."""


@dataclass(frozen=True)
class Shape:
    """`kind` by `proof`; `forms` are linear forms along which the curvature is strict.

    `given` holds pairs: where the function is affine between two points and one form of the pair is
    constant, so is the other.
    """

    kind: str
    proof: Proof
    forms: tuple[Form, ...] = ()
    given: tuple[tuple[Form, Form], ...] = ()

    def is_(self, kind: str) -> bool:
        return self.kind == kind or self.kind in FLAT


def unknown(e: Expr) -> Shape:
    return Shape(UNKNOWN, ("no rule", e))


def added(kind: str, e: Expr, shapes: Sequence[Shape]) -> Shape:
    if all(s.kind in FLAT for s in shapes):
        kind = AFFINE
    forms = list(dict.fromkeys(f for s in shapes for f in s.forms))
    given = tuple(pair for s in shapes for pair in s.given)
    for first, second in (*given, *given):
        if first in forms and second not in forms:
            forms.append(second)
        elif second in forms and first not in forms:
            forms.append(first)
    return Shape(kind, ("sum", e, *(s.proof for s in shapes)), tuple(forms), given)
