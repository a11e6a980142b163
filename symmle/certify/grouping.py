"""Sums whose terms are not all of one curvature alone, but in groups."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from sympy import Add, Expr, Mul, Symbol, expand, expand_mul, log, loggamma
from sympy.matrices import Matrix

from symmle.certify.shapes import CONCAVE, CONVEX, UNKNOWN, Shape

if TYPE_CHECKING:
    from symmle.certify.composition import Prover

Judged = tuple[Expr, Shape]


def mended_sum(prover: Prover, judged: list[Judged], kind: str) -> list[Shape] | None:
    """Shapes of groups of terms, each of the wanted kind, that add up to the sum; None where not found."""
    judged = list(judged)
    for mend in (_digamma_increments, _dirichlet_normaliser, _perspectives, _quadratic, _by_coordinate):
        if all(shape.is_(kind) for _, shape in judged):
            break
        judged = mend(prover, judged, kind)
    if all(shape.is_(kind) for _, shape in judged):
        return [shape for _, shape in judged]
    return None


def _coefficient(prover: Prover, term: Expr) -> tuple[Expr, Expr]:
    return term.as_independent(*prover.unknowns, as_Add=False)


def _dirichlet_normaliser(prover: Prover, judged: list[Judged], kind: str) -> list[Judged]:
    """log Gamma(a1 + .. + ak) - sum log Gamma(ai) is concave: the beta integral is log-convex (Hoelder)."""
    turn = 1 if kind == CONCAVE else -1
    bad = [(t, s) for t, s in judged if not s.is_(kind)]
    for term, _ in bad:
        factor, whole = _coefficient(prover, term)
        if not isinstance(whole, loggamma) or prover.sign(turn * factor) != 1:
            continue
        parts = []
        for other, _ in judged:
            c, function = _coefficient(prover, other)
            if not isinstance(function, loggamma) or expand_mul(c + factor) != 0:
                continue
            if prover.linear_form(function.args[0]) is not None and prover.positive(function.args[0]):
                parts.append((other, function.args[0]))
        for size in range(1, len(parts) + 1):
            for chosen in combinations(parts, size):
                gap = expand(whole.args[0] - Add(*(a for _, a in chosen)))
                # of one part: digamma increments; of several, their sum or a constant more than it
                if gap != 0 or size == 1:
                    continue
                used = {term, *(t for t, _ in chosen)}
                group = Add(*used)
                forms = tuple(prover.linear_form(a) for _, a in chosen)
                proof = ("the Dirichlet normaliser is log-convex", group)
                shape = Shape(CONCAVE if turn == 1 else CONVEX, proof, forms)  # type: ignore[arg-type]
                return [j for j in judged if j[0] not in used] + [(group, shape)]
    return judged


def _digamma_increments(prover: Prover, judged: list[Judged], kind: str) -> list[Judged]:
    """log Gamma(a + d) - log Gamma(a), d >= 0 free of the coordinates, is concave: the trigamma falls."""
    turn = 1 if kind == CONCAVE else -1
    for term, shape in judged:
        factor, whole = _coefficient(prover, term)
        if shape.is_(kind) or not isinstance(whole, loggamma) or prover.sign(turn * factor) != 1:
            continue
        for other, _ in judged:
            c, function = _coefficient(prover, other)
            if not isinstance(function, loggamma) or expand_mul(c + factor) != 0:
                continue
            gap = expand(whole.args[0] - function.args[0])
            if prover.depends(gap) or prover.sign(gap) not in (0, 1):
                continue
            if prover.linear_form(function.args[0]) is None or not prover.positive(function.args[0]):
                continue
            group = term + other
            made = Shape(CONCAVE if turn == 1 else CONVEX, ("the trigamma function falls", group))
            rest = [j for j in judged if j[0] not in (term, other)]
            return _digamma_increments(prover, [*rest, (group, made)], kind)
    return judged


def _perspectives(prover: Prover, judged: list[Judged], kind: str) -> list[Judged]:
    """a log b = a log(b/a) + a log a: the first is concave (perspective of the logarithm)."""
    if kind != CONCAVE:
        return judged
    kept: list[Judged] = []
    for term, shape in judged:
        if shape.is_(kind):
            kept.append((term, shape))
            continue
        factor, rest = _coefficient(prover, term)
        logs = [a for a in Mul.make_args(rest) if isinstance(a, log)]
        others = Mul(*(a for a in Mul.make_args(rest) if not isinstance(a, log)))
        if len(logs) != 1 or prover.sign(factor) != 1 or prover.linear_form(others) is None:
            kept.append((term, shape))
            continue
        b = logs[0].args[0]
        if b == others or not prover.positive(others) or not prover.shape(b).is_(CONCAVE):
            kept.append((term, shape))
            continue
        proof = ("perspective of the logarithm", factor * others * log(b / others), prover.shape(b).proof)
        left = factor * others * log(others)
        first, second = prover.linear_form(others), prover.linear_form(b)
        strict = prover.positive(factor) and first is not None and second is not None
        pairs = ((first, second),) if strict else ()  # affine along rays alone
        kept.append((factor * others * log(b / others), Shape(CONCAVE, proof, (), pairs)))  # type: ignore[arg-type]
        kept.append((left, prover.shape(left)))
    return kept


def _quadratic(prover: Prover, judged: list[Judged], kind: str) -> list[Judged]:
    """The terms of degree two at most, together: the signs of the principal minors of their Hessian."""
    chosen = []
    for term, shape in judged:
        if term.is_polynomial(*prover.unknowns):
            poly = expand(term).as_poly(*prover.unknowns)
            if poly is not None and poly.total_degree() <= 2:
                chosen.append((term, shape))
    if len(chosen) < 2 or all(s.is_(kind) for _, s in chosen):
        return judged
    group = expand(Add(*(t for t, _ in chosen)))
    held = [u for u in prover.unknowns if group.has(u)]
    turn = -1 if kind == CONCAVE else 1
    hessian = Matrix([[turn * group.diff(a, b) for b in held] for a in held])
    for size in range(1, len(held) + 1):
        for rows in combinations(range(len(held)), size):
            minor = hessian.extract(list(rows), list(rows)).det()
            if prover.sign(minor.factor()) not in (0, 1):
                return judged
    made = Shape(kind, ("quadratic form, principal minors of one sign", group))
    return [j for j in judged if j not in chosen] + [(group, made)]


def _by_coordinate(prover: Prover, judged: list[Judged], kind: str) -> list[Judged]:
    """Terms that depend on the same coordinates as one that is bad, as a function of one variable."""
    changed = True
    while changed:
        changed = False
        for term, shape in judged:
            if shape.is_(kind):
                continue
            held: set[Symbol] = term.free_symbols & prover.names
            alike = [j for j in judged if j[0].free_symbols & prover.names == held]
            within = [
                j
                for j in judged
                if j[0].free_symbols & prover.names and j[0].free_symbols & prover.names <= held
            ]
            for group in (alike, within):
                if len(group) < 2:
                    continue
                whole = Add(*(t for t, _ in group))
                found = prover.univariate(whole)
                if found is not None and found.kind != UNKNOWN and found.is_(kind):
                    judged = [j for j in judged if j not in group] + [(whole, found)]
                    changed = True
                    break
            if changed:
                break
    return judged
