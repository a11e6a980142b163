"""f(x) = sum_z f(x, z): the branches of a finite mixture, or of a joint density with a finite latent variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from sympy import Add, Eq, Expr, FiniteSet, Mul, Piecewise, Range, S, Set, Symbol, piecewise_fold, simplify

from symmle.algebra import GaveUp, attempt_within
from symmle.declare.declaration import Declaration, SamplePart
from symmle.latent.problem import Branch, Unmatched

MOST_BRANCHES = 24


def read_branches(declaration: Declaration) -> tuple[Branch, ...] | Unmatched:
    """The branches of a declaration with components or with latent variables of finitely many values."""
    if len(declaration.samples) != 1:
        return Unmatched("latent structure in one of several samples is not built")
    (part,) = declaration.samples
    if declaration.lags:
        return Unmatched("latent structure with lags: the rows are not independent given the past")
    if any(s.free_symbols & set(declaration.parameters) for s in part.support.values()):
        return Unmatched("the support moves with a parameter, under every label")
    if part.components and not declaration.latent:
        pairs = [(str(j), w, f) for j, (w, f) in enumerate(part.components, 1)]
    elif declaration.latent and not part.components:
        found = _joint(declaration, part)
        if isinstance(found, Unmatched):
            return found
        pairs = found
    else:
        return Unmatched("components together with latent variables are not built")
    if not 1 < len(pairs) <= MOST_BRANCHES:
        return Unmatched(f"{len(pairs)} branches: from 2 to {MOST_BRANCHES} are built")
    moving = set(declaration.parameters)
    for _, _, f in pairs:
        conditions = {c for p in f.atoms(Piecewise) for _, c in p.args}
        if any(c.free_symbols & moving for c in conditions):
            return Unmatched("the pieces of a component move with a parameter")
    taken = {s.name for s in _symbols(declaration)}
    return tuple(
        Branch(label, w, f, _copies(part.all_columns, j, taken)) for j, (label, w, f) in enumerate(pairs, 1)
    )


def _symbols(declaration: Declaration) -> Iterator[Symbol]:
    for part in declaration.samples:
        yield from part.all_columns
    yield from declaration.parameters
    yield from declaration.constants
    yield from declaration.latent


def _copies(columns: tuple[Symbol, ...], j: int, taken: set[str]) -> dict[Symbol, Symbol]:
    """x -> x_j, by a name that the model does not have."""
    return {x: Symbol(unused_name(f"{x.name}_{j}", taken), **x.assumptions0) for x in columns}


def unused_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def members_of_set(domain: Set, constants: Mapping[Symbol, Expr | None]) -> list[Expr] | None:
    """The values of a finite set of numbers in order, or None."""
    known = {c: v for c, v in constants.items() if v is not None}
    domain = domain.xreplace(known)
    if domain.free_symbols:
        return None
    if isinstance(domain, FiniteSet):
        values = list(domain.args)
    elif isinstance(domain, Range) and domain.is_finite_set is True and len(domain) <= 4 * MOST_BRANCHES:
        values = list(domain)
    else:
        return None
    return sorted(values, key=lambda v: v.sort_key()) if all(v.is_number for v in values) else None


def is_finite_latent(declaration: Declaration) -> bool:
    """Whether every latent variable has finitely many values."""
    return all(members_of_set(s, declaration.constants) is not None for s in declaration.latent.values())


def _joint(declaration: Declaration, part: SamplePart) -> list[tuple[str, Expr, Expr]] | Unmatched:
    """f(x, z) at every value of z; what is free of the columns splits off as the weight."""
    latent = tuple(declaration.latent)
    values = [members_of_set(declaration.latent[z], declaration.constants) for z in latent]
    listed = [v for v in values if v is not None]
    if len(listed) < len(latent):
        return Unmatched("a latent variable has infinitely many values")
    size = 1
    for v in listed:
        size *= len(v)
    if size > MOST_BRANCHES:
        return Unmatched(f"{size} values of the latent variables: up to {MOST_BRANCHES} are built")
    found = []
    for row in product(*listed):
        at = dict(zip(latent, row, strict=True))
        joint = part.with_indicator.subs(at)
        if joint == 0:
            continue
        weight, density = joint.as_independent(*part.all_columns, as_Add=False)
        if not density.free_symbols & set(part.all_columns):
            weight, density = joint, S.One
        found.append((", ".join(f"{z} = {v}" for z, v in at.items()), weight, density))
    return found


def observed_declaration(declaration: Declaration, branches: tuple[Branch, ...]) -> Declaration:
    """The marginal of the data: no latent variables, density sum_j w_j f_j.

    Components that vanish at some x make it a density in pieces, one logarithm each.
    """
    (part,) = declaration.samples
    density = Add(*(b.weight * b.density for b in branches))
    if any(b.density.has(Piecewise) for b in branches):
        folded = attempt_within(2.0, piecewise_fold, density)
        if not isinstance(folded, GaveUp):
            density = _tidy(folded, part, declaration.constants)
    observed = SamplePart(part.columns, part.support, density, part.given, (), part.inside)
    return replace(declaration, samples=(observed,), latent={})


def _tidy(density: Expr, part: SamplePart, constants: Mapping[Symbol, Expr | None]) -> Expr:
    """The pieces with `x = v` put in, gathered, and without pieces that the support never meets."""
    if not isinstance(density, Piecewise):
        return density
    rest = _rest(density, part, constants)
    pieces: list[tuple[Expr, object]] = []
    for value, condition in density.args:
        if isinstance(condition, Eq) and isinstance(condition.lhs, Symbol) and condition.rhs.is_number:
            value = value.xreplace({condition.lhs: condition.rhs})
        if condition == True and rest is not None:  # noqa: E712 - a SymPy truth value
            if not rest:
                break
            if len(rest) == 1:
                value = value.xreplace(rest[0])
        shorter = attempt_within(0.5, simplify, value) if value.is_Add else value
        if not isinstance(shorter, GaveUp) and shorter.count_ops() < value.count_ops():
            value = shorter
        pieces.append((value, condition))
    if rest == []:
        pieces[-1] = (pieces[-1][0], S.true)
    return Piecewise(*pieces)


def _rest(
    density: Piecewise, part: SamplePart, constants: Mapping[Symbol, Expr | None]
) -> list[dict[Symbol, Expr]] | None:
    """The values of a column of finitely many that only the last piece is for."""
    if len(part.columns) != 1 or part.given:
        return None
    (x,) = part.columns
    members = members_of_set(part.support[x], constants)
    if members is None:
        return None
    named = [c for _, c in density.args if c != True]  # noqa: E712
    return [{x: m} for m in members if not any(c.xreplace({x: m}) == True for c in named)]  # noqa: E712


def where_positive(density: Expr) -> Expr:
    """The density without its zero pieces: rows there have responsibility 0, whatever stands for them."""
    if isinstance(density, Mul):
        return Mul(*(where_positive(f) for f in density.args))
    if not isinstance(density, Piecewise):
        return density
    kept = [(v, c) for v, c in density.args if v != 0]
    if not kept:
        return S.Zero
    return Piecewise(*kept[:-1], (kept[-1][0], True)) if len(kept) > 1 else kept[0][0]


__all__ = [
    "is_finite_latent",
    "members_of_set",
    "observed_declaration",
    "read_branches",
    "unused_name",
    "where_positive",
]
