"""What several declarations say together: shared parameters and constants, weights of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Expr, Interval, S, Set, Symbol

from symmle.declare.declaration import Declaration
from symmle.errors import ModelError


class Merged:
    """What several models say together."""

    def __init__(self) -> None:
        self.parameters: dict[Any, Any] = {}
        self.constants: dict[Any, Any] = {}
        self.data: dict[Any, Any] = {}
        self.given: dict[Any, Any] = {}


def join(into: dict[Any, Any], new: Mapping[Any, Any], what: str) -> None:
    known = {k.name: k for k in into}
    for key, value in new.items():
        if key.name in known and into[known[key.name]] != value:
            raise ModelError(
                f"Expected {what} `{key}` to be the same in all parts, got {into[known[key.name]]} and "
                f"{value}. "
                "Rename one of them."
            )
        if key.name not in known:
            into[key] = value


def as_dict(given: Any) -> dict[Any, Any]:
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    return dict.fromkeys([given] if isinstance(given, (Symbol, str)) else given)


def made_weights(k: int, densities: Sequence[Any]) -> tuple[list[Expr], dict[Symbol, Set], list[Expr]]:
    taken = {s.name for f in densities for s in getattr(f, "free_symbols", ())}
    stem = next(
        letter
        for letter in ("w", "weight", "pi_w")
        if not any(t == letter or t.startswith(f"{letter}_") for t in taken)
    )
    names = [stem] if k == 2 else [f"{stem}_{j}" for j in range(1, k)]
    free = [Symbol(n, positive=True) for n in names]
    last = S.One - sum(free, S.Zero)
    return [*free, last], {w: Interval.open(0, 1) for w in free}, [last] if k > 2 else []


def merged_components(declarations: Sequence[Declaration]) -> Merged:
    merged = Merged()
    for declaration in declarations:
        part = declaration.samples[0]
        join(merged.parameters, declaration.parameters, "parameter")
        join(merged.constants, declaration.constants, "constant")
        join(merged.given, {z: declaration.given_domains.get(z) for z in part.given}, "covariate")
        if merged.data and {x.name: s for x, s in merged.data.items()} != {
            x.name: s for x, s in part.support.items()
        }:
            raise ModelError(
                f"Expected components over the same columns and supports, got {merged.data} and "
                f"{part.support}. "
                "Declare them over the same support."
            )
        merged.data = merged.data or dict(part.support)
    return merged
