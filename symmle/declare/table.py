"""Tables and TOML files -> Declaration: the keys of a model file, with all text read by the safe parser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sympy import Expr, Set, Symbol

from symmle.declare.build import build
from symmle.declare.declaration import Declaration
from symmle.declare.domains import parse_set
from symmle.declare.parser import parse_expression
from symmle.declare.symbols import constant_symbol, constant_value, symbol_of
from symmle.declare.words import check_name, nearest, shown
from symmle.errors import ModelError

MODEL_KEYS = (
    "data",
    "parameters",
    "density",
    "constants",
    "covariates",
    "lags",
    "constraints",
    "where",
    "size",
    "normalise_at",
    "normalises",
    "components",
    "latent",
    "samples",
    "name",
)
SAMPLE_KEYS = ("data", "density", "components")
LARGEST_FILE = 1_000_000


def read_table(path: str | Path) -> dict[str, Any]:
    """The model table of a TOML file: its keys stand at the top, or under ``[model]``.

    Raises
    ------
    ModelError
        If the file cannot be read, is no TOML, or holds no model.
    """
    import tomllib  # for files alone: the import takes milliseconds

    file = Path(path)
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ModelError(
                f"Expected a model file below {LARGEST_FILE} bytes, got {file.stat().st_size}: {file}."
            )
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        if isinstance(problem, ModelError):
            raise
        raise ModelError(f"Expected a readable model file, got {file}: {shown(problem, 120)}.") from None
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as problem:
        raise ModelError(f"Expected TOML in {file}, got: {shown(problem, 120)}. Mend the file.") from None
    inner = table.get("model")
    if isinstance(inner, dict):
        return inner
    return {key: value for key, value in table.items() if key in MODEL_KEYS} if "density" in table else table


def declaration_from_dict(table: Mapping[str, Any]) -> Declaration:
    """The Declaration of a table with the keys data, parameters, density, constants, ...

    Raises
    ------
    ModelError
        On unknown keys, unknown names, and whatever the parser and the builder refuse.
    """
    table = _mapping(table, "a model")
    _check_keys(table, MODEL_KEYS, "a model")
    name = table.get("name", "")
    names: dict[str, Expr] = {}
    constants: dict[Symbol, Expr | None] = {}
    for key, given in _mapping(table.get("constants", {}), "constants").items():
        value = constant_value(_scalar(given, f"constant `{key}`"), f"constant `{key}`")
        constants[_new(names, key, constant_symbol(_name(key, "constant"), value))] = value
    parameters = _parameters(_mapping(table.get("parameters", {}), "parameters"), names)
    covariates: dict[Symbol, Set | None] = {}
    for key, text in _covariates(table.get("covariates", ())).items():
        domain = None if text is None else parse_set(text, names, f"the domain of covariate `{key}`")
        made = Symbol(key, real=True) if domain is None else symbol_of(key, domain, data=True)
        covariates[_new(names, key, made)] = domain
    parts = _sample_tables(table)
    supports = [_sets(_mapping(part["data"], "data"), names, "the support of data") for part in parts]
    latent = _sets(_mapping(table.get("latent", {}), "latent"), names, "the support of latent variable")
    by_name: dict[str, tuple[Symbol, Set | None]] = {s.name: (s, d) for s, d in covariates.items()}
    by_name |= {x.name: (x, s) for support in supports for x, s in support.items()}
    lags: dict[Symbol, str] = {}
    for key, source in _mapping(table.get("lags", {}), "lags").items():
        if not isinstance(source, str) or source not in by_name:
            raise ModelError(
                f"Expected lag `{shown(key)}` of a data column, got {shown(repr(source))}. Name a column."
            )
        domain = by_name[source][1]
        made = Symbol(key, real=True) if domain is None else symbol_of(_name(key, "lag"), domain, data=True)
        lags[_new(names, key, made)] = source
    several = len(parts) > 1
    samples = []
    for number, (part, support) in enumerate(zip(parts, supports, strict=True), 1):
        where = f"the density of sample {number}" if several else "the density"
        made_part: dict[str, Any] = {"data": support}
        if "components" in part:
            made_part["components"] = [
                _component(c, names, where) for c in _list(part["components"], "components")
            ]
        else:
            made_part["density"] = parse_expression(part["density"], names, where)
        samples.append(made_part)
    arguments = samples[0] if not several else {"samples": samples}
    normalises = table.get("normalises")
    if normalises is not None and not isinstance(normalises, bool):
        raise ModelError(f"Expected normalises as true or false, got {shown(repr(normalises))}.")
    return build(
        **arguments,
        parameters=parameters,
        constants=constants,
        covariates=covariates,
        lags=lags,
        constraints=[
            parse_expression(c, names, "a constraint")
            for c in _list(table.get("constraints", ()), "constraints")
        ],
        where=[parse_expression(w, names, "`where`") for w in _list(table.get("where", ()), "where")],
        size=table.get("size"),
        name=name,
        latent=latent or None,
        normalise_at={
            k: _scalar(v, "a value of normalise_at")
            for k, v in _mapping(table.get("normalise_at", {}), "normalise_at").items()
        },
        normalises=normalises,
    )


def _sample_tables(table: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "samples" in table:
        both = [k for k in SAMPLE_KEYS if k in table]
        if both:
            raise ModelError(f"Expected either samples or `{both[0]}` in a model, got both. Leave one out.")
        parts = [_mapping(p, "a sample") for p in _list(table["samples"], "samples")]
        for part in parts:
            _check_keys(part, SAMPLE_KEYS, "a sample")
    else:
        parts = [{k: table[k] for k in SAMPLE_KEYS if k in table}]
    if not parts:
        raise ModelError("Expected at least one sample, got an empty list. Give data and density.")
    for part in parts:
        if "data" not in part or not part["data"]:
            raise ModelError(
                'Expected the key data with a support for each column, as data = { x = "(0, oo)" }.'
            )
        if ("density" in part) == ("components" in part):
            raise ModelError("Expected exactly one of the keys density and components. Give one of them.")
    return parts


def _parameters(table: Mapping[str, Any], names: dict[str, Expr]) -> dict[Symbol, Set]:
    """Domains may name constants and other parameters: they are read in an order in which they can be."""
    domains: dict[str, tuple[Symbol, Set]] = {}
    waiting = {_name(key, "parameter"): text for key, text in table.items()}
    while waiting:
        key = next((k for k, text in waiting.items() if not _mentions(text, set(waiting) - {k})), None)
        if key is None:
            raise ModelError(
                f"Expected domains that do not name each other in a circle, got {', '.join(waiting)}."
            )
        domain = parse_set(waiting.pop(key), names, f"the domain of parameter `{key}`")
        domains[key] = (_new(names, key, symbol_of(key, domain)), domain)
    return {domains[key][0]: domains[key][1] for key in table}


def _mentions(text: object, names: set[str]) -> bool:
    words = "".join(c if c.isalnum() or c == "_" else " " for c in str(text)[:2_000]).split()
    return bool(names & set(words))


def _sets(table: Mapping[str, Any], names: dict[str, Expr], what: str) -> dict[Symbol, Set]:
    domains = {
        _name(k, "data column"): parse_set(text, names, f"{what} `{shown(k)}`") for k, text in table.items()
    }
    made: dict[Symbol, Set] = {}
    for key, domain in domains.items():
        made[_new(names, key, symbol_of(key, domain, data=True))] = domain
    return made


def _covariates(given: Any) -> dict[str, str | None]:
    if isinstance(given, Mapping):
        return {_name(k, "covariate"): text for k, text in given.items()}
    if isinstance(given, str):
        given = [given]
    return {_name(k, "covariate"): None for k in _list(given, "covariates")}


def _component(given: Any, names: dict[str, Expr], where: str) -> tuple[Expr, Expr]:
    table = _mapping(given, "a mixture component")
    _check_keys(table, ("weight", "density"), "a mixture component")
    if len(table) != 2:
        raise ModelError("Expected a mixture component with the keys weight and density. Give both.")
    return (
        parse_expression(table["weight"], names, f"a weight of {where}"),
        parse_expression(table["density"], names, f"a component of {where}"),
    )


def _new(names: dict[str, Expr], key: str, symbol: Symbol) -> Symbol:
    if key in names:
        raise ModelError(
            f"Expected different names for different symbols, got `{key}` twice. Rename one of them."
        )
    names[key] = symbol
    return symbol


def _name(key: object, role: str) -> str:
    return check_name(key, f"the name of a {role}")


def _mapping(given: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ModelError(f"Expected {what} as a table, got {shown(repr(given))}. Write key = value pairs.")
    return given


def _list(given: Any, what: str) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, (list, tuple)):
        raise ModelError(f"Expected {what} as a list, got {shown(repr(given))}. Put it in square brackets.")
    return list(given)


def _scalar(given: Any, what: str) -> Any:
    if isinstance(given, bool) or not isinstance(given, (int, float, str, Expr)):
        raise ModelError(f"Expected {what} as a number, got {shown(repr(given))}.")
    return given


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    for key in table:
        if key not in known:
            raise ModelError(
                f"Expected the keys {', '.join(known)} in {what}, got "
                f"`{shown(key)}`{nearest(str(key), list(known)) or '.'} "
                "Rename or remove it."
            )
