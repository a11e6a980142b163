"""SymPy objects -> Declaration: the one builder, which all other ways of declaring a model end in.

A name is an identity: symbols of the same name are the same, whatever they assume. In the Declaration
every symbol carries what its set allows; the user's own symbol stays where it says exactly that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import Basic, Dummy, Eq, Expr, Interval, Rational, S, Set, Symbol
from sympy.core.relational import Ge, Gt, Le, Lt, Relational

from symmle.declare.declaration import Declaration, SamplePart
from symmle.declare.domains import (
    lower,
    set_of_assumptions,
    upper,
    written_set,
)
from symmle.declare.naming import Naming
from symmle.declare.parts import as_mapping, as_tuple, expressions_of, parts_of
from symmle.declare.pieces import without_zero_branch
from symmle.declare.symbols import SIGNS, constant_symbol, constant_value, symbol_of
from symmle.declare.words import nearest, shown
from symmle.errors import ModelError


def _symbols_of(given: Any) -> list[Symbol]:
    """The free symbols of an expression or set, in a fixed order; other kinds are an error."""
    if not isinstance(given, Basic):
        return []
    for symbol in given.free_symbols:
        if not isinstance(symbol, Symbol):
            raise ModelError(
                f"Expected plain symbols in a density, got {shown(symbol)}. Use Symbol, not Indexed."
            )
    return sorted(given.free_symbols, key=lambda s: (s.name, s.sort_key()))


def _without_twins(expressions: Sequence[Any]) -> None:
    seen: dict[str, Symbol] = {}
    for expression in expressions:
        for symbol in _symbols_of(expression):
            other = seen.setdefault(symbol.name, symbol)
            if other != symbol and (isinstance(symbol, Dummy) or isinstance(other, Dummy)):
                raise ModelError(
                    f"Expected one symbol named `{symbol.name}`, got two different ones. Rename one."
                )


def build(
    density: Any = None,
    *,
    data: Any = None,
    parameters: Any = None,
    constants: Any = None,
    covariates: Any = (),
    lags: Any = None,
    constraints: Any = (),
    where: Any = (),
    size: Any = None,
    name: str = "",
    samples: Any = None,
    components: Any = None,
    latent: Any = None,
    normalise_at: Any = None,
    normalises: bool | None = None,
) -> Declaration:
    """The Declaration of a density; `symmle.model.Model` documents the arguments.

    Raises
    ------
    ModelError
        On unknown symbols, names that clash, empty sets, parameters that stand nowhere.
    """
    if not isinstance(name, str):
        raise ModelError(f"Expected the name of a model as text, got {shown(repr(name))}.")
    b = Naming(name)
    parts = parts_of(density, data, components, samples)
    constant_table = as_mapping(constants, "constants")
    given_table = as_mapping(covariates, "covariates")
    latent_table = as_mapping(latent, "latent variables")
    lag_table = dict(lags or {})
    columns = [[b.declare(k, "data") for k in part["data"]] for part in parts]
    tables = [
        dict(zip(names, part["data"].values(), strict=True))
        for names, part in zip(columns, parts, strict=True)
    ]
    for table, role in (
        (latent_table, "latent variable"),
        (given_table, "covariate"),
        (lag_table, "lag"),
        (constant_table, "constant"),
    ):
        renamed = {b.declare(k, role): v for k, v in table.items()}
        table.clear()
        table.update(renamed)
    parameter_table = {b.declare(k, "parameter"): v for k, v in as_mapping(parameters, "parameters").items()}
    _discover(b, parts, tables, [latent_table, given_table], parameter_table)

    made_constants = _constants(b, constant_table)
    made_parameters = _parameters(b, parameter_table, parts)
    domains: dict[Symbol, Set] = {}
    for key, given in given_table.items():
        user = b.users.get(key)
        domain = b.domain(key, given, "covariate")
        symbol = b.settle(key, symbol_of(key, domain, data=True))
        if given is not None or (user is not None and domain != Interval(-S.Infinity, S.Infinity)):
            domains[symbol] = domain
    supports: list[dict[Symbol, Set]] = []
    for table in tables:
        support = {key: b.domain(key, given, "data") for key, given in table.items()}
        supports.append({b.settle(k, symbol_of(k, s, data=True)): s for k, s in support.items()})
    made_latent = {}
    for key, given in latent_table.items():
        domain = b.domain(key, given, "latent variable")
        made_latent[b.settle(key, symbol_of(key, domain, data=True))] = domain
    made_lags = _lags(b, lag_table, supports, domains)

    made_samples = tuple(
        _sample(
            b, part, support, number, len(parts), [b.names[k] for k in (*given_table, *lag_table)], made_lags
        )
        for number, (part, support) in enumerate(zip(parts, supports, strict=True), 1)
    )
    declaration = Declaration(
        samples=made_samples,
        parameters=made_parameters,
        constants=made_constants,
        given_domains=domains,
        lags=made_lags,
        constraints=tuple(_zero(b, c) for c in as_tuple(constraints)),
        where=tuple(_positive(b, w) for w in as_tuple(where)),
        size=_size(size),
        latent=made_latent,
        normalise_at={_known(b, k): _number(v) for k, v in dict(normalise_at or {}).items()},
        normalises=normalises,
        name=name,
    )
    _check_parameters(declaration, b)
    return declaration


def _discover(
    b: Naming,
    parts: list[dict[str, Any]],
    tables: list[dict[str, Any]],
    others: list[dict[str, Any]],
    parameters: dict[str, Any],
) -> None:
    """Free symbols that nothing declares are parameters."""
    everything: list[Any] = [e for part in parts for e in expressions_of(part)]
    for table in (*tables, *others, parameters):
        everything += [s for s in table.values() if isinstance(s, Set)]
    _without_twins(everything)
    free = {s.name: s for e in everything for s in _symbols_of(e)}
    for key in sorted(free):
        if key not in b.roles:
            parameters[b.declare(free[key], "parameter")] = None
        else:
            b.users.setdefault(key, free[key])


def _constants(b: Naming, table: dict[str, Any]) -> dict[Symbol, Expr | None]:
    made: dict[Symbol, Expr | None] = {}
    for key, given in table.items():
        value = constant_value(given, f"constant `{key}`{b.label}")
        user = b.users.get(key)
        if value is None and user is not None:
            symbol = symbol_of(key, set_of_assumptions(user, f"constant `{key}`"))
        else:
            symbol = constant_symbol(key, value)
        if user is not None:
            for fact in SIGNS:
                if user.assumptions0.get(fact) and not getattr(
                    symbol if value is None else value, f"is_{fact}"
                ):
                    raise ModelError(
                        f"Expected constant `{key}`{b.label} to be {fact} like its symbol, got {value}. "
                        "Declare the symbol with weaker assumptions, or pass another value."
                    )
        made[b.settle(key, symbol)] = value
    return made


def _parameters(b: Naming, table: dict[str, Any], parts: list[dict[str, Any]]) -> dict[Symbol, Set]:
    """Domains may name constants and other parameters: those without such names come first."""
    weights = _weight_parameters(parts)
    waiting = dict(table)
    domains: dict[str, Set] = {}
    while waiting:
        ready = [k for k, v in waiting.items() if not (_names_in(v) & set(waiting) - {k})]
        if not ready:
            raise ModelError(
                f"Expected domains that do not name each other in a circle, got {', '.join(waiting)}. "
                "Use `where`."
            )
        for key in ready:
            given = waiting.pop(key)
            if key in _names_in(given):
                raise ModelError(
                    f"Expected the domain of `{key}` without `{key}` itself, got {shown(given)}."
                )
            if given is None and key in weights:
                given = Interval.open(0, 1)
            domains[key] = b.domain(key, given, "parameter")
            b.settle(key, symbol_of(key, domains[key]))
    made: dict[Symbol, Set] = {}
    for key in table:
        symbol = b.names[key]
        assert isinstance(symbol, Symbol)
        made[symbol] = domains[key]
    return made


def _names_in(given: Any) -> set[str]:
    if isinstance(given, str):
        return set("".join(c if c.isidentifier() or c.isdigit() else " " for c in given).split())
    return {s.name for s in given.free_symbols} if isinstance(given, Set) else set()


def _weight_parameters(parts: list[dict[str, Any]]) -> set[str]:
    """Parameters that stand in mixture weights and in no density: they lie in (0, 1)."""
    pairs = [pair for part in parts for pair in part["components"] or ()]
    densities = [f for _, f in pairs] + [p["density"] for p in parts if p["components"] is None]
    inside = {s.name for f in densities for s in f.free_symbols}
    return {s.name for w, _ in pairs for s in w.free_symbols} - inside


def _lags(
    b: Naming, table: dict[str, Any], supports: list[dict[Symbol, Set]], domains: dict[Symbol, Set]
) -> dict[Symbol, Symbol]:
    columns = {x.name: (x, s) for support in supports for x, s in support.items()}
    columns.update({z.name: (z, s) for z, s in domains.items()})
    made: dict[Symbol, Symbol] = {}
    for key, source in table.items():
        name = source.name if isinstance(source, Symbol) else source
        if b.roles.get(name) == "covariate" and name not in columns:
            symbol = b.names[name]
            assert isinstance(symbol, Symbol)
            columns[name] = (symbol, Interval(-S.Infinity, S.Infinity))
        if name not in columns:
            raise ModelError(
                f"Expected lag `{key}`{b.label} of a data column, got `{shown(name)}`. "
                f"The columns are {', '.join(columns)}."
            )
        column, support = columns[name]
        lagged = b.settle(key, symbol_of(key, support, data=True))
        made[lagged] = column
        domains[lagged] = support
    return made


def _sample(
    b: Naming,
    part: dict[str, Any],
    support: dict[Symbol, Set],
    number: int,
    count: int,
    given: list[Expr],
    lags: dict[Symbol, Symbol],
) -> SamplePart:
    where = f"the density{b.label}" if count == 1 else f"the density of sample {number}{b.label}"
    pairs: tuple[tuple[Expr, Expr], ...] = ()
    if part["components"] is not None:
        pairs = tuple(
            (b.expression(w, f"a weight of {where}"), b.expression(f, f"a component of {where}"))
            for w, f in part["components"]
        )
        density = sum((w * f for w, f in pairs), S.Zero)
    else:
        density = b.expression(part["density"], where)
    used = density.free_symbols.union(*(s.free_symbols for s in support.values()))
    for symbol in sorted(used - set(support), key=str):
        if b.roles[symbol.name] == "data":
            raise ModelError(f"Expected {where} in its own columns, got `{symbol}` of another sample.")
    for w, _ in pairs:
        if any(b.roles[s.name] in ("data", "latent variable") for s in w.free_symbols):
            raise ModelError(f"Expected mixture weights free of the data, got {shown(w)}.")
    if density.has(S.NaN, S.ComplexInfinity, S.ImaginaryUnit) or density.is_infinite:
        raise ModelError(f"Expected {where} to be a real formula, got {shown(density)}. Mend the formula.")
    if density.is_nonpositive:
        raise ModelError(f"Expected {where} to be positive, got {shown(density)}. Mend the formula.")
    conditioned = tuple(
        z for z in given if isinstance(z, Symbol) and (z in used or (count == 1) or lags.get(z) in support)
    )
    return without_zero_branch(SamplePart(tuple(support), support, density, conditioned, pairs))


def _zero(b: Naming, given: Any) -> Expr:
    if isinstance(given, Eq):
        given = given.lhs - given.rhs
    return b.expression(given, f"a constraint{b.label}")


def _positive(b: Naming, given: Any) -> Expr:
    if isinstance(given, (Gt, Ge)):
        given = given.lhs - given.rhs
    elif isinstance(given, (Lt, Le)):
        given = given.rhs - given.lhs
    elif isinstance(given, Relational):
        raise ModelError(f"Expected `where` as an expression that is positive, got {shown(given)}.")
    return b.expression(given, f"`where`{b.label}")


def _size(given: Any) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or int(given) != given or given < 1:
        raise ModelError(f"Expected the sample size as a whole number from 1, got {shown(repr(given))}.")
    return int(given)


def _known(b: Naming, key: Any) -> Symbol:
    name = key.name if isinstance(key, Symbol) else str(key)
    symbol = b.names.get(name)
    if not isinstance(symbol, Symbol):
        raise ModelError(
            f"Expected a declared symbol in normalise_at, got `{shown(name)}`{nearest(name, list(b.names))}"
        )
    return symbol


def _number(given: Any) -> Expr:
    value = constant_value(given, "a value of normalise_at")
    return value if value is not None else Rational(0)


def _check_parameters(declaration: Declaration, b: Naming) -> None:
    used: set[Basic] = set()
    for part in declaration.samples:
        used |= part.density.free_symbols
        for pair in part.components:
            used |= pair[0].free_symbols | pair[1].free_symbols
        for support in part.support.values():
            used |= support.free_symbols
        used = used.union(*(e.free_symbols for e in part.inside))
    for support in declaration.latent.values():
        used |= support.free_symbols
    for parameter in declaration.parameters:
        if parameter not in used:
            raise ModelError(
                f"Expected every parameter{b.label} in the density or its support, but `{parameter}` "
                "stands in neither. "
                "Remove it, or mend the density."
            )
    for domain in declaration.parameters.values():
        for symbol in domain.free_symbols:
            if symbol not in declaration.parameters and symbol not in declaration.constants:
                raise ModelError(
                    f"Expected domains in parameters and constants, got `{symbol}` in {written_set(domain)}."
                )
    for table in declaration.supports, declaration.parameters:
        for symbol, chosen in table.items():
            if (lower(chosen) - upper(chosen)).is_positive:
                raise ModelError(
                    f"Expected a set with something in it for `{symbol}`, got {written_set(chosen)}."
                )
