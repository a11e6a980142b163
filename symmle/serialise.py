"""Records as plain JSON-able data, and back: an object with the class name and the fields.

Expressions in them are nested lists (`symmle.plain`). Only known records and every `Certificate` are
read back; nothing is parsed or evaluated.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from typing import Any

from sympy import Basic, MatrixBase

from symmle.declare.declaration import Declaration, SamplePart
from symmle.errors import ModelError
from symmle.estimator import BySymbol, Certificate, Estimator, Face, Kind, Scope, StationaryPoint
from symmle.plain import (
    DEEPEST,
    PLAIN_INTEGER,
    expression_from_plain,
    expression_to_plain,
    stored_integer,
)
from symmle.record import Attempt, Condition, Equation, Relation, Step

_RECORDS: dict[str, type] = {
    cls.__name__: cls
    for cls in (Attempt, Condition, Declaration, Equation, Estimator, Face, SamplePart, StationaryPoint, Step)
}
_ENUMS: dict[str, type[Enum]] = {cls.__name__: cls for cls in (Kind, Relation, Scope)}


def register(cls: type) -> type:
    """A class decorator: stored records may hold this dataclass or enum (certificates do anyway)."""
    if isinstance(cls, type) and issubclass(cls, Enum):
        _ENUMS[cls.__name__] = cls
    else:
        _RECORDS[cls.__name__] = cls
    return cls


def _certificates(cls: type) -> Iterator[type]:
    children: list[type] = cls.__subclasses__()
    for child in children:
        yield child
        yield from _certificates(child)


def _load_certifiers() -> None:
    """Import the room of the certifiers, so that their records are known in a fresh process too."""
    package = "symmle.certify"
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        importlib.import_module(module.name)
    importlib.import_module("symmle.latent.problem")


def _find_record_class(name: str) -> type | None:
    if name in _RECORDS:
        return _RECORDS[name]
    found = [c for c in _certificates(Certificate) if c.__name__ == name and dataclasses.is_dataclass(c)]
    return found[-1] if found else None


def _record_class(name: Any) -> type:
    found = None
    if isinstance(name, str):
        found = _find_record_class(name)
        if found is None:
            _load_certifiers()
            found = _find_record_class(name)
    if found is None:
        known = ", ".join(sorted(_RECORDS))
        raise ModelError(f"Unknown record {name!r} in stored data; expected one of {known}.")
    return found


def _stored_fields(cls: Any) -> list[str]:
    """The fields that count for equality: times taken do not, so the same derivation is the same text."""
    return [f.name for f in dataclasses.fields(cls) if f.init and f.compare]


def record_to_dict(value: Any) -> Any:
    """A record, or anything that may stand in one, as plain JSON-able data.

    Examples
    --------
    >>> from sympy import Symbol
    >>> from symmle.record import Equation
    >>> record_to_dict(Equation(Symbol("k"), Symbol("k") - 1))["record"]
    'Equation'
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Basic | MatrixBase):
        return {"sympy": expression_to_plain(value)}
    if isinstance(value, Enum):
        if type(value).__name__ not in _ENUMS:
            raise ModelError(f"'{type(value).__name__}' is not among the enums that can be stored.")
        return {"enum": type(value).__name__, "name": value.name}
    if isinstance(value, int):
        return value if abs(value) <= PLAIN_INTEGER else {"int": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, Fraction):
        return {"fraction": [str(value.numerator), str(value.denominator)]}
    if isinstance(value, tuple):
        return [record_to_dict(v) for v in value]
    if isinstance(value, list):
        return {"list": [record_to_dict(v) for v in value]}
    if isinstance(value, dict):
        pairs = [[record_to_dict(k), record_to_dict(v)] for k, v in value.items()]
        return {"symbols" if isinstance(value, BySymbol) else "dict": pairs}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls = type(value)
        if _record_class(cls.__name__) is not cls:
            raise ModelError(f"Two kinds of record are named '{cls.__name__}'; rename one of them.")
        fields = {name: record_to_dict(getattr(value, name)) for name in _stored_fields(cls)}
        return {"record": cls.__name__, **fields}
    raise ModelError(
        f"A '{type(value).__name__}' cannot be stored; expected SymPy objects, records, text or numbers."
    )


def record_from_dict(plain: Any, depth: int = 0) -> Any:
    """What `record_to_dict` wrote, equal to the original; `ModelError` where it is not of that form."""
    if depth > DEEPEST:
        raise ModelError(f"Stored data is nested more than {DEEPEST} levels deep.")
    if plain is None or isinstance(plain, bool | str | int | float):
        return plain
    if isinstance(plain, list):
        return tuple(record_from_dict(v, depth + 1) for v in plain)
    if not isinstance(plain, dict):
        raise ModelError(f"Expected plain JSON data, got a '{type(plain).__name__}'.")
    if "record" in plain:
        return _build_record(plain, depth)
    if "sympy" in plain:
        return expression_from_plain(plain["sympy"])
    if "enum" in plain:
        members = _ENUMS.get(plain["enum"]) if isinstance(plain["enum"], str) else None
        if members is None or plain.get("name") not in members.__members__:
            raise ModelError(f"Unknown value {plain!r:.80} in stored data.")
        return members[plain["name"]]
    if "int" in plain:
        return stored_integer(plain["int"])
    if plain.get("float") in ("inf", "-inf", "nan"):
        return float(plain["float"])
    if "fraction" in plain:
        numerator, denominator = (stored_integer(v) for v in plain["fraction"])
        return Fraction(numerator, denominator or 1)
    if isinstance(plain.get("list"), list):
        return [record_from_dict(v, depth + 1) for v in plain["list"]]
    for key, build in (("symbols", BySymbol), ("dict", dict)):
        if isinstance(plain.get(key), list):
            if any(not isinstance(pair, list) or len(pair) != 2 for pair in plain[key]):
                raise ModelError(f"A stored table is not a list of pairs: {plain!r:.80}.")
            return build(
                (record_from_dict(k, depth + 1), record_from_dict(v, depth + 1)) for k, v in plain[key]
            )
    raise ModelError(f"Stored data has an object that symmle does not write: {plain!r:.80}.")


def _build_record(plain: dict[str, Any], depth: int) -> Any:
    cls = _record_class(plain["record"])
    allowed = set(_stored_fields(cls))
    values = {name: record_from_dict(v, depth + 1) for name, v in plain.items() if name != "record"}
    unknown = sorted(set(values) - allowed)
    if unknown:
        raise ModelError(f"A stored '{cls.__name__}' has the unknown field '{unknown[0]}'.")
    try:
        return cls(**values)
    except TypeError as error:
        raise ModelError(f"A stored '{cls.__name__}' lacks a field: {error}.") from error
