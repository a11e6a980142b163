"""The M-step of labelled rows: a declaration of several samples, its parts that do not meet, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from sympy import Add, Basic, Expr, FiniteSet, Mul, S, Set, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.declare.declaration import Declaration, SamplePart
from symmle.estimator import BySymbol, Estimator
from symmle.latent.problem import Block, Branch
from symmle.latent.structure import unused_name, where_positive
from symmle.sample import Mean

Solve = Callable[[Declaration], Block]


def labelled_m_step(
    declaration: Declaration, branches: tuple[Branch, ...]
) -> tuple[Declaration, tuple[Symbol, ...]]:
    """sum_j (sum_i r_ij log w_j + sum_i r_ij log f_j(x_i)) as a likelihood of a sample of labels and one a branch."""
    (part,) = declaration.samples
    parameters = set(declaration.parameters)
    taken = {c.name for b in branches for c in b.columns.values()}
    taken |= {s.name for s in (*part.all_columns, *declaration.parameters, *declaration.constants)}
    indicators = tuple(
        Symbol(unused_name(f"d_{j}", taken), integer=True, nonnegative=True)
        for j in range(1, len(branches) + 1)
    )
    samples = []
    if any(b.weight.free_symbols & parameters for b in branches):
        density = Mul(*(b.weight**d for b, d in zip(branches, indicators, strict=True)))
        support = {d: FiniteSet(0, 1) for d in indicators}
        samples.append(SamplePart(indicators, support, density))
    given_domains: dict[Symbol, Set] = {}
    for b in branches:
        kept = _of_parameters(where_positive(b.density), parameters)
        if not kept.free_symbols & parameters:
            continue
        density = kept.xreplace(b.columns)
        support = {b.columns[x]: s.xreplace(b.columns) for x, s in part.support.items()}
        given = tuple(b.columns[z] for z in part.given if density.has(b.columns[z]))
        given_domains |= {
            b.columns[z]: declaration.given_domains[z] for z in part.given if z in declaration.given_domains
        }
        inside = tuple(e.xreplace(b.columns) for e in part.inside)
        samples.append(SamplePart(tuple(support), support, density, given, (), inside))
    return (
        replace(
            declaration,
            samples=tuple(samples),
            given_domains=given_domains,
            latent={},
            normalise_at={},
            normalises=False,
            size=None,
        ),
        indicators,
    )


def _of_parameters(density: Expr, parameters: set[Symbol]) -> Expr:
    """The density itself; S.One where no factor names a parameter."""
    return density if density.free_symbols & parameters else S.One


def split_blocks(declaration: Declaration) -> list[Declaration]:
    """The declaration taken apart by parameters that meet in no sample, domain, constraint or condition."""
    parameters = list(declaration.parameters)
    groups: list[set[Symbol]] = [
        {p} | (d.free_symbols & set(parameters)) for p, d in declaration.parameters.items()
    ]
    for part in declaration.samples:
        groups.append(_symbols_of(part) & set(parameters))
    for e in (*declaration.constraints, *declaration.where):
        groups.append(e.free_symbols & set(parameters))
    merged: list[set[Symbol]] = []
    for group in groups:
        meeting = [m for m in merged if m & group]
        merged = [m for m in merged if not m & group] + ([group.union(*meeting)] if group else [])
    ordered = sorted(merged, key=lambda m: min(parameters.index(p) for p in m))
    return [_restricted(declaration, m) for m in ordered]


def _symbols_of(part: SamplePart) -> set[Symbol]:
    found = set(part.density.free_symbols)
    for s in part.support.values():
        found |= s.free_symbols
    return found.union(*(e.free_symbols for e in part.inside))


def _restricted(declaration: Declaration, kept: set[Symbol]) -> Declaration:
    samples = tuple(p for p in declaration.samples if _symbols_of(p) & kept)
    columns = {c for p in samples for c in p.all_columns}
    return replace(
        declaration,
        samples=samples,
        parameters={p: d for p, d in declaration.parameters.items() if p in kept},
        given_domains={z: d for z, d in declaration.given_domains.items() if z in columns},
        constraints=tuple(c for c in declaration.constraints if c.free_symbols & kept),
        where=tuple(w for w in declaration.where if w.free_symbols & kept),
    )


def solve_alike(declarations: Sequence[Declaration], solve: Solve) -> list[Block]:
    """The answers to each; what differs from one before by the names of its symbols alone is not solved again."""
    found: list[Block] = []
    for declaration in declarations:
        for block in found:
            names = _same_but_for_names(block.declaration, declaration)
            if names is not None:
                found.append(_renamed(block, names))
                break
        else:
            found.append(solve(declaration))
    return found


def _same_but_for_names(one: Declaration, other: Declaration) -> dict[Symbol, Symbol] | None:
    """The symbols of the other for those of the one, in the order in which they stand."""
    first, second = _in_order(one), _in_order(other)
    if len(first) != len(second):
        return None
    names = dict(zip(first, second, strict=True))
    return names if _renamed(one, names) == other else None


def _in_order(declaration: Declaration) -> list[Symbol]:
    return [*declaration.parameters, *(c for part in declaration.samples for c in part.all_columns)]


def _renamed(value: Any, names: dict[Symbol, Symbol]) -> Any:
    """A record with its symbols replaced, all at once."""
    if isinstance(value, Basic):
        return value.xreplace(names)
    if isinstance(value, dict):
        return type(value)({_renamed(k, names): _renamed(v, names) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return type(value)(_renamed(v, names) for v in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: _renamed(getattr(value, f.name), names) for f in fields(value) if f.init}
        )
    return value


def one_label_a_row(block: Block, indicators: Sequence[Symbol]) -> Block:
    """sum_j d_ij = 1 in every row: Mean(d_k) is 1 minus the others."""
    if not any(c in indicators for part in block.declaration.samples for c in part.columns):
        return block
    means = [Mean(d, indicators) for d in indicators]
    last = {means[-1]: 1 - Add(*means[:-1])}
    estimator = block.estimator
    closed = {p: _shorter(e.xreplace(last)) if e.has(means[-1]) else e for p, e in estimator.closed.items()}
    closed = {p: means[-1] if e == last[means[-1]] else e for p, e in closed.items()}
    return replace(block, estimator=replace(estimator, closed=BySymbol(closed)))


def _shorter(e: Expr) -> Expr:
    from sympy import cancel, simplify

    for way in (cancel, simplify):
        answer = attempt_within(1.0, way, e)
        if not isinstance(answer, GaveUp) and answer.count_ops() < e.count_ops():
            e = answer
    return e


def together(declaration: Declaration, blocks: tuple[Block, ...]) -> Estimator:
    """The answers of the blocks as one estimator of the M-step."""
    usable = [
        b for b in blocks if not (b.estimator.alternatives or b.estimator.faces or b.estimator.obstacle)
    ]
    closed = {p: e for b in usable for p, e in b.estimator.closed.items()}
    whole = set(closed) == set(declaration.parameters) and not any(b.estimator.remaining for b in usable)
    kind = "closed form" if whole else "reduced" if closed else "numeric"
    return Estimator(
        closed=BySymbol({p: closed[p] for p in declaration.parameters if p in closed}),
        remaining=tuple(e for b in usable for e in b.estimator.remaining),
        conditions=tuple(dict.fromkeys(c for b in blocks for c in b.estimator.conditions)),
        kind=kind,
        route="joint" if kind == "closed form" else "profile" if closed else "numeric",
        auxiliary={p: d for b in blocks for p, d in b.estimator.auxiliary.items()},
    )


__all__ = ["Solve", "labelled_m_step", "one_label_a_row", "solve_alike", "split_blocks", "together"]
