"""SymPy objects -> Declaration: the one builder, which all other ways of declaring a model end in.

A name is an identity: symbols of the same name are the same, whatever they assume. In the Declaration
every symbol carries what its set allows; the user's own symbol stays where it says exactly that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sympy import Basic, Dummy, Eq, Expr, Interval, Rational, S, Set, Symbol, sympify
from sympy.core.relational import Ge, Gt, Le, Lt, Relational

from symmle.declare.declaration import Declaration, SamplePart
from symmle.declare.domains import (
    assumptions_of,
    canonical_set,
    exact,
    lower,
    parse_set,
    set_of_assumptions,
    upper,
    written_set,
)
from symmle.declare.parser import check_name, nearest, parse_expression, shown
from symmle.errors import ModelError

SIGNS = ("positive", "negative", "nonnegative", "nonpositive", "integer")


def is_random(given: Any) -> bool:
    """Whether this is a random variable of `sympy.stats`, which is not imported for the question."""
    return type(given).__module__.startswith("sympy.stats")


def symbol_of(name: str, domain: Set, *, data: bool = False) -> Symbol:
    """The symbol of this name that carries what its set allows."""
    return Symbol(name, **assumptions_of(domain, data=data))


def constant_symbol(name: str, value: Expr | None) -> Symbol:
    """The symbol of a constant, with the sign and wholeness of its value."""
    if value is None:
        return Symbol(name, real=True)
    facts = {"integer": True} if value.is_integer else {}
    if value.is_positive:
        facts["positive"] = True
    elif value.is_negative:
        facts["negative"] = True
    elif value.is_zero:
        facts["nonnegative"] = True
    return Symbol(name, **(facts or {"real": True}))


def constant_value(given: Any, what: str) -> Expr | None:
    """The exact number of a constant; None stays None (it comes with the data)."""
    if given is None:
        return None
    if isinstance(given, (str, float)):
        value = parse_expression(given, {}, what)
    else:
        value = exact(_sympified(given, what))
    if not value.is_number or not value.is_real or not value.is_finite:
        raise ModelError(f"Expected {what} to be a finite real number, got {shown(given)}. Pass a number.")
    return value


def _sympified(given: Any, what: str) -> Expr:
    if isinstance(given, (str, bytes)):
        raise ModelError(
            f"Expected {what} as a SymPy expression, got the text `{shown(given)}`. "
            "Build it from symbols, or use Model.from_dict, which reads text."
        )
    try:
        made = sympify(given)
    except (TypeError, ValueError, AttributeError, RecursionError):
        made = None
    if not isinstance(made, Expr) or isinstance(given, bool):
        raise ModelError(f"Expected {what} as a SymPy expression, got {shown(repr(given))}. Pass an Expr.")
    if any(is_random(s) for s in made.free_symbols):
        raise ModelError(
            f"Expected {what} in plain symbols, got a random variable. Use Model.from_random(X)."
        )
    return made


def _table(given: Any, what: str) -> dict[Any, Any]:
    """A symbol, several symbols, or a mapping from symbols to sets, as a mapping."""
    if given is None:
        return {}
    if isinstance(given, (Symbol, str)):
        return {given: None}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, Iterable):
        return dict.fromkeys(given)
    raise ModelError(f"Expected {what} as a symbol, a tuple of symbols or a dict, got {shown(repr(given))}.")


def _tuple(given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    if isinstance(given, (str, Basic)):
        return (given,)
    return tuple(given)


class _Builder:
    """What is known while a declaration is put together; `names` maps every name to its symbol."""

    def __init__(self, name: str):
        self.label = f" of model '{name}'" if name else ""
        self.roles: dict[str, str] = {}
        self.users: dict[str, Symbol] = {}
        self.names: dict[str, Expr] = {}

    def declare(self, key: Any, role: str) -> str:
        if not isinstance(key, (Symbol, str)):
            raise ModelError(f"Expected a {role} as a SymPy Symbol, got {shown(repr(key))}. Pass a Symbol.")
        name = (
            check_name(key.name if isinstance(key, Symbol) else key, f"the name of a {role}")
            if isinstance(key, str)
            else key.name
        )
        if name in self.roles:
            raise ModelError(
                f"Expected different names for different symbols{self.label}, got `{name}` as {self.roles[name]} "
                f"and as {role}. Rename one of them."
            )
        self.roles[name] = role
        if isinstance(key, Symbol):
            self.users[name] = key
        return name

    def settle(self, name: str, made: Symbol) -> Symbol:
        """The user's own symbol where it says exactly what the new one says; else the new one."""
        user = self.users.get(name)
        chosen = user if user is not None and type(user) is Symbol and user == made else made
        self.names[name] = chosen
        return chosen

    def domain(self, name: str, given: Any, role: str) -> Set:
        """The set of a symbol: given as text or set, or from the user's assumptions."""
        what = f"the {'support' if role in ('data', 'latent variable') else 'domain'} of {role} `{name}`{self.label}"
        user = self.users.get(name)
        if given is None:
            if user is None and role != "covariate":
                raise ModelError(f"Expected {what}, got none. Pass a set, as {{{name}: Interval(0, oo)}}.")
            return (
                set_of_assumptions(user, what) if user is not None else set_of_assumptions(Symbol(name), what)
            )
        if isinstance(given, str):
            made = parse_set(given, self.names, what)
        else:
            made = canonical_set(self.renamed(given) if isinstance(given, Set) else given, what)
        if user is None:
            return made
        data = role in ("data", "latent variable", "covariate", "lag")
        if user.is_positive and isinstance(made, Interval) and made.start.is_zero:
            made = Interval(made.start, made.end, made.left_open or not data, made.right_open)
        allowed = symbol_of(name, made, data=data)
        for fact in SIGNS:
            if user.assumptions0.get(fact) and not getattr(allowed, f"is_{fact}"):
                raise ModelError(
                    f"Expected {what} to agree with its symbol, which is {fact}, got {written_set(made)}. "
                    "Declare the symbol with weaker assumptions, or pass a smaller set."
                )
        return made

    def renamed(self, expression: Any) -> Any:
        """Every symbol replaced by the model's symbol of its name."""
        swap = {}
        for symbol in expression.free_symbols:
            new = self.names.get(getattr(symbol, "name", ""))
            if new is not None and new != symbol:
                swap[symbol] = new
        return exact(expression.xreplace(swap) if swap else expression)

    def expression(self, given: Any, what: str) -> Expr:
        made = self.renamed(_sympified(given, what))
        unknown = sorted(s.name for s in made.free_symbols if self.names.get(s.name) != s)
        if unknown:
            raise ModelError(
                f"Expected {what} in declared symbols, got `{unknown[0]}`{nearest(unknown[0], list(self.names)) or '.'} "
                "Declare it as a parameter, a constant or a covariate, or mend its name."
            )
        return made


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


def _part_of(given: Any) -> dict[str, Any]:
    part = {"data": None, "density": None, "components": None}
    if isinstance(given, Mapping):
        unknown = [k for k in given if k not in part]
        if unknown:
            raise ModelError(
                f"Expected the keys data, density, components in a sample, got `{shown(unknown[0])}`"
                f"{nearest(str(unknown[0]), list(part)) or '.'} Remove it."
            )
        return {**part, **given}
    if isinstance(given, SamplePart):
        return {"data": given.support, "density": given.density, "components": given.components or None}
    raise ModelError(f"Expected a sample as a dict with data and density, got {shown(repr(given))}.")


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
    b = _Builder(name)
    parts = _parts(density, data, components, samples)
    constant_table = _table(constants, "constants")
    given_table = _table(covariates, "covariates")
    latent_table = _table(latent, "latent variables")
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
    parameter_table = {b.declare(k, "parameter"): v for k, v in _table(parameters, "parameters").items()}
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
        constraints=tuple(_zero(b, c) for c in _tuple(constraints)),
        where=tuple(_positive(b, w) for w in _tuple(where)),
        size=_size(size),
        latent=made_latent,
        normalise_at={_known(b, k): _number(v) for k, v in dict(normalise_at or {}).items()},
        normalises=normalises,
        name=name,
    )
    _check_parameters(declaration, b)
    return declaration


def _parts(density: Any, data: Any, components: Any, samples: Any) -> list[dict[str, Any]]:
    if samples is not None:
        if density is not None or data is not None or components is not None:
            raise ModelError("Expected either samples or one density with data, got both. Leave one out.")
        parts = [_part_of(s) for s in samples]
    else:
        parts = [{"density": density, "data": data, "components": components}]
    if not parts:
        raise ModelError("Expected at least one sample, got none. Pass a density and its data.")
    for part in parts:
        part["data"] = _table(part["data"], "data")
        if not part["data"]:
            raise ModelError(
                "Expected the data symbols of the density, got none. Pass data=x or data={x: support}."
            )
        if part["components"] is not None:
            if part["density"] is not None and not isinstance(part["density"], Basic):
                raise ModelError("Expected either a density or mixture components, got both. Leave one out.")
            part["components"] = [_component(c) for c in part["components"]]
            if len(part["components"]) < 1:
                raise ModelError("Expected mixture components, got none. Pass (weight, density) pairs.")
        elif part["density"] is None:
            raise ModelError("Expected a density, got none. Pass a SymPy expression.")
        else:
            part["density"] = _sympified(part["density"], "the density")
    return parts


def _component(given: Any) -> tuple[Expr, Expr]:
    if isinstance(given, Mapping):
        if set(given) != {"weight", "density"}:
            raise ModelError(
                f"Expected a mixture component with weight and density, got keys {sorted(given)}."
            )
        given = (given["weight"], given["density"])
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ModelError(f"Expected a mixture component as (weight, density), got {shown(repr(given))}.")
    return _sympified(given[0], "a mixture weight"), _sympified(given[1], "a component's density")


def _expressions(part: dict[str, Any]) -> list[Expr]:
    if part["components"] is not None:
        return [e for pair in part["components"] for e in pair]
    return [part["density"]]


def _discover(
    b: _Builder,
    parts: list[dict[str, Any]],
    tables: list[dict[str, Any]],
    others: list[dict[str, Any]],
    parameters: dict[str, Any],
) -> None:
    """Free symbols that nothing declares are parameters."""
    everything: list[Any] = [e for part in parts for e in _expressions(part)]
    for table in (*tables, *others, parameters):
        everything += [s for s in table.values() if isinstance(s, Set)]
    _without_twins(everything)
    free = {s.name: s for e in everything for s in _symbols_of(e)}
    for key in sorted(free):
        if key not in b.roles:
            parameters[b.declare(free[key], "parameter")] = None
        else:
            b.users.setdefault(key, free[key])


def _constants(b: _Builder, table: dict[str, Any]) -> dict[Symbol, Expr | None]:
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


def _parameters(b: _Builder, table: dict[str, Any], parts: list[dict[str, Any]]) -> dict[Symbol, Set]:
    """Domains may name constants and other parameters: those without such names come first."""
    weights = _weight_parameters(parts)
    waiting = dict(table)
    domains: dict[str, Set] = {}
    while waiting:
        ready = [k for k, v in waiting.items() if not (_names_in(v) & set(waiting) - {k})]
        if not ready:
            raise ModelError(
                f"Expected domains that do not name each other in a circle, got {', '.join(waiting)}. Use `where`."
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
        return {
            word for word in "".join(c if c.isidentifier() or c.isdigit() else " " for c in given).split()
        }
    return {s.name for s in given.free_symbols} if isinstance(given, Set) else set()


def _weight_parameters(parts: list[dict[str, Any]]) -> set[str]:
    """Parameters that stand in mixture weights and in no density: they lie in (0, 1)."""
    pairs = [pair for part in parts for pair in part["components"] or ()]
    densities = [f for _, f in pairs] + [p["density"] for p in parts if p["components"] is None]
    inside = {s.name for f in densities for s in f.free_symbols}
    return {s.name for w, _ in pairs for s in w.free_symbols} - inside


def _lags(
    b: _Builder, table: dict[str, Any], supports: list[dict[Symbol, Set]], domains: dict[Symbol, Set]
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
    b: _Builder,
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
    return SamplePart(tuple(support), support, density, conditioned, pairs)


def _zero(b: _Builder, given: Any) -> Expr:
    if isinstance(given, Eq):
        given = given.lhs - given.rhs
    return b.expression(given, f"a constraint{b.label}")


def _positive(b: _Builder, given: Any) -> Expr:
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


def _known(b: _Builder, key: Any) -> Symbol:
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


def _check_parameters(declaration: Declaration, b: _Builder) -> None:
    used: set[Basic] = set()
    for part in declaration.samples:
        used |= part.density.free_symbols
        for pair in part.components:
            used |= pair[0].free_symbols | pair[1].free_symbols
        for support in part.support.values():
            used |= support.free_symbols
    for support in declaration.latent.values():
        used |= support.free_symbols
    for parameter in declaration.parameters:
        if parameter not in used:
            raise ModelError(
                f"Expected every parameter{b.label} in the density or its support, but `{parameter}` stands in neither. "
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
