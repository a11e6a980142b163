"""A maximum proved in parts: some parameters known by one argument, the others by another."""

from __future__ import annotations

from dataclasses import dataclass

from symmle.estimator import Certificate, Kind, Scope
from symmle.record import Condition


@dataclass(frozen=True)
class Composed(Certificate):
    """sup over (phi, psi) of l = sup over psi of l(phi-hat, psi): every part holds, so the whole does.

    The first parts say that phi-hat maximises l for every psi; the last that psi-hat maximises what is left.
    """

    parts: tuple[Certificate, ...]
    conditions: tuple[Condition, ...] = ()

    @property
    def theorem(self) -> str:  # type: ignore[override]
        return "; ".join(dict.fromkeys(p.theorem for p in self.parts))

    @property
    def kind(self) -> Kind:  # type: ignore[override]
        kinds = {p.kind for p in self.parts}
        return Kind.GLOBAL_MAXIMUM if kinds == {Kind.GLOBAL_MAXIMUM} else Kind.LOCAL_MAXIMUM

    @property
    def scope(self) -> Scope:  # type: ignore[override]
        return Scope.EVERY_SAMPLE if all(p.scope is Scope.EVERY_SAMPLE for p in self.parts) else Scope.DATA

    def check(self) -> tuple[bool, str]:
        """Every part again."""
        found = [p.check() for p in self.parts]
        return all(ok for ok, _ in found), "; ".join(text for _, text in found)


def compose(*parts: Certificate | None) -> Certificate | None:
    """One certificate for parts that hold together; None where one is missing."""
    known = [p for p in parts if p is not None]
    if len(known) != len(parts) or not known:
        return None
    conditions = tuple(dict.fromkeys(c for p in known for c in p.conditions))
    return known[0] if len(known) == 1 else Composed(tuple(known), conditions)


__all__ = ["Composed", "compose"]
