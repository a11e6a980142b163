"""Declarations made smaller: parameters held fixed, linear constraints solved for a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sympy import Expr, Interval, Symbol, expand, oo

from symmle.algebra.constraints import Parametrisation
from symmle.declare.declaration import Declaration, SamplePart
from symmle.errors import ModelError


def hold_fixed(declaration: Declaration, fixed: Mapping[Symbol, Expr | None]) -> Declaration:
    """The parameters of `fixed` become constants, with a value or without."""
    for symbol, value in fixed.items():
        domain = declaration.parameters[symbol]
        if value is not None and domain.contains(value) == False:  # noqa: E712 - a SymPy truth value
            raise ModelError(
                f"Parameter `{symbol}` of model '{declaration.name}' has the domain {domain}; "
                f"it was fixed at {value}. Fix it inside."
            )
    kept = {p: s for p, s in declaration.parameters.items() if p not in fixed}
    domains = {p: s for p, s in declaration.parameters.items() if p in fixed}
    return replace(
        declaration,
        parameters=kept,
        constants={**declaration.constants, **fixed},
        constant_domains={**declaration.constant_domains, **domains},
    )


def put_into_samples(declaration: Declaration, values: Mapping[Symbol, Expr]) -> tuple[SamplePart, ...]:
    """Every sample with symbols replaced in support, density, components and conditions on rows."""
    known = dict(values)
    return tuple(
        SamplePart(
            part.columns,
            {x: s.xreplace(known) for x, s in part.support.items()},
            part.density.xreplace(known),
            part.given,
            tuple((w.xreplace(known), f.xreplace(known)) for w, f in part.components),
            tuple(e.xreplace(known) for e in part.inside),
        )
        for part in declaration.samples
    )


def solve_constraints(declaration: Declaration) -> tuple[Declaration, dict[Symbol, Expr]] | None:
    """Each linear constraint solved for its last parameter: a declaration without them, and the map.

    None where a constraint is not linear in any parameter.
    """
    solved: dict[Symbol, Expr] = {}
    parameters, where = dict(declaration.parameters), list(declaration.where)
    for constraint in declaration.constraints:
        e = expand(constraint.xreplace(solved))
        for p in reversed([p for p in parameters if e.has(p)]):
            coefficient = e.coeff(p)
            rest = expand(e - coefficient * p)
            if coefficient != 0 and not coefficient.free_symbols & set(parameters) and not rest.has(p):
                value = -rest / coefficient
                solved = {q: s.xreplace({p: value}) for q, s in solved.items()} | {p: value}
                domain = parameters.pop(p)
                if isinstance(domain, Interval):
                    where.extend(
                        side
                        for bound, side in (
                            (domain.start, value - domain.start),
                            (domain.end, domain.end - value),
                        )
                        if bound not in (oo, -oo)
                    )
                break
        else:
            return None
    samples = put_into_samples(declaration, solved)
    return (
        replace(
            declaration,
            samples=samples,
            parameters=parameters,
            constraints=(),
            where=tuple(w.xreplace(solved) for w in where),
        ),
        solved,
    )


def renamed(declaration: Declaration, names: Mapping[Symbol, Expr]) -> Declaration:
    """Parameters under other symbols, as symbols of the same name with other assumptions."""
    samples = put_into_samples(declaration, names)
    return replace(
        declaration,
        samples=samples,
        parameters={names.get(p, p): d for p, d in declaration.parameters.items()},  # type: ignore[misc]
        normalise_at={names.get(p, p): v for p, v in declaration.normalise_at.items()},  # type: ignore[misc]
        constraints=tuple(c.xreplace(names) for c in declaration.constraints),
        where=tuple(w.xreplace(names) for w in declaration.where),
    )


def on_branch(declaration: Declaration, branch: Parametrisation) -> Declaration:
    """The declaration in the free parameters of one branch of its constraint set."""
    changed = renamed(declaration, branch.back)
    where = tuple(dict.fromkeys((*changed.where, *branch.positive)))
    return replace(changed, parameters=dict(branch.free), constraints=(), where=where, normalise_at={})


def with_numbers(declaration: Declaration) -> Declaration:
    """Constants that have a value put in as numbers."""
    values = {c: v for c, v in declaration.constants.items() if v is not None}
    samples = put_into_samples(declaration, values)
    return replace(
        declaration,
        samples=samples,
        constants={c: v for c, v in declaration.constants.items() if v is None},
        where=tuple(w.xreplace(values) for w in declaration.where),
    )
