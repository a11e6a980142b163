"""Declarations made smaller: parameters held fixed, linear constraints solved for a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf, isnan
from typing import Any

from sympy import Expr, FiniteSet, Interval, Range, S, Symbol, expand, oo

from symmle.algebra.constraints import Parametrisation
from symmle.declare.declaration import Declaration, SamplePart
from symmle.declare.parser import parse_expression
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


def ends_of(
    parameters: Iterable[Symbol], bounds: Mapping[Any, Any], name: str
) -> dict[Symbol, tuple[Expr, Expr]]:
    """Exact ends by parameter from {name or symbol: (low, high)}; None is no end."""
    known = {str(p): p for p in parameters}
    found = {}
    for key, pair in bounds.items():
        if str(key) not in known:
            raise ModelError(
                f"`bounds` names `{key}`, which is no free parameter of {name or 'the model'}; it has "
                f"{', '.join(known)}."
            )
        try:
            low, high = pair
        except (TypeError, ValueError):
            raise ModelError(
                f"Expected `bounds` of `{key}` as a pair (low, high), None for no end; got {pair!r}."
            ) from None
        ends = tuple(_end(key, value, without) for value, without in ((low, -oo), (high, oo)))
        found[known[str(key)]] = ends
    return found


def _end(key: Any, value: Any, without: Expr) -> Expr:
    if value is None or (isinstance(value, float) and value in (-inf, inf)):
        return without if value is None else S(value)
    if isinstance(value, float) and isnan(value):
        raise ModelError(f"Expected numbers as `bounds` of `{key}`, got nan. Pass None for no end.")
    end = parse_expression(str(value), {}, f"a bound of `{key}`")
    if end.is_extended_real is not True:
        raise ModelError(f"Expected numbers as `bounds` of `{key}`, got {value}. Pass None for no end.")
    return end


def cut_domains(declaration: Declaration, bounds: Mapping[Symbol, tuple[Expr, Expr]]) -> Declaration:
    """The domains of `bounds` cut to the closed intervals [low, high]."""
    cut = dict(declaration.parameters)
    for symbol, (low, high) in bounds.items():
        domain = declaration.parameters[symbol]
        asked = f"`bounds` gave {low} to {high}"
        name = f"Parameter `{symbol}` of model '{declaration.name}' has the domain {domain}"
        if domain.free_symbols:
            raise ModelError(
                f"{name}, whose ends name other parameters; {asked}. Declare the domain so that they are numbers."
            )
        if not low <= high:
            raise ModelError(f"{name}; {asked}. Pass the lower one first.")
        found = domain.intersect(Interval(low, high))
        if found is S.EmptySet:
            raise ModelError(
                f"{name}; {asked}, which leaves nothing of it. Pass bounds that overlap with it."
            )
        if isinstance(found, FiniteSet) and len(found) == 1:
            value = found.args[0]
            raise ModelError(f"{name}; {asked}, which leaves one value. Pass fixed={{'{symbol}': {value}}}.")
        if not isinstance(found, Interval | Range | FiniteSet):
            raise ModelError(f"{name}; {asked}, and what is left of it is no interval.")
        cut[symbol] = found
    return replace(declaration, parameters=cut)


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
