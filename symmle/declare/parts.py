"""The samples of a declaration in one shape, however they were passed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sympy import Basic, Expr, Symbol

from symmle.declare.declaration import SamplePart
from symmle.declare.symbols import sympified
from symmle.declare.words import nearest, shown
from symmle.errors import ModelError


def as_mapping(given: Any, what: str) -> dict[Any, Any]:
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


def as_tuple(given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    if isinstance(given, (str, Basic)):
        return (given,)
    return tuple(given)


def part_of(given: Any) -> dict[str, Any]:
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
        return {
            "data": given.support,
            "density": given.with_indicator,
            "components": given.components or None,
        }
    raise ModelError(f"Expected a sample as a dict with data and density, got {shown(repr(given))}.")


def parts_of(density: Any, data: Any, components: Any, samples: Any) -> list[dict[str, Any]]:
    if samples is not None:
        if density is not None or data is not None or components is not None:
            raise ModelError("Expected either samples or one density with data, got both. Leave one out.")
        parts = [part_of(s) for s in samples]
    else:
        parts = [{"density": density, "data": data, "components": components}]
    if not parts:
        raise ModelError("Expected at least one sample, got none. Pass a density and its data.")
    for part in parts:
        part["data"] = as_mapping(part["data"], "data")
        if not part["data"]:
            raise ModelError(
                "Expected the data symbols of the density, got none. Pass data=x or data={x: support}."
            )
        if part["components"] is not None:
            if part["density"] is not None and not isinstance(part["density"], Basic):
                raise ModelError("Expected either a density or mixture components, got both. Leave one out.")
            part["components"] = [component_of(c) for c in part["components"]]
            if len(part["components"]) < 1:
                raise ModelError("Expected mixture components, got none. Pass (weight, density) pairs.")
        elif part["density"] is None:
            raise ModelError("Expected a density, got none. Pass a SymPy expression.")
        else:
            part["density"] = sympified(part["density"], "the density")
    return parts


def component_of(given: Any) -> tuple[Expr, Expr]:
    if isinstance(given, Mapping):
        if set(given) != {"weight", "density"}:
            raise ModelError(
                f"Expected a mixture component with weight and density, got keys {sorted(given)}."
            )
        given = (given["weight"], given["density"])
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ModelError(f"Expected a mixture component as (weight, density), got {shown(repr(given))}.")
    return sympified(given[0], "a mixture weight"), sympified(given[1], "a component's density")


def expressions_of(part: dict[str, Any]) -> list[Expr]:
    if part["components"] is not None:
        return [e for pair in part["components"] for e in pair]
    return [part["density"]]
