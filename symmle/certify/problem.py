"""The cells of a declaration with the ranges of its symbols, and the proof in given coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sympy import Add, Expr, FiniteSet, Interval, Piecewise, Range, S, Set, Sum, Symbol

from symmle.certify import sampling
from symmle.certify.cells import (
    Cell,
    cells_of,
    column_sampler,
    cut_series,
    is_convex_region,
    named,
    support_facts,
)
from symmle.certify.composition import Prover
from symmle.certify.coordinates import Coordinates
from symmle.certify.opening import is_complex, open_log, tidy
from symmle.certify.ranges import Bounds, bounds_of_set, range_of
from symmle.certify.sampling import Measured, Row
from symmle.certify.shapes import CONCAVE, OutOfTime, Proof
from symmle.certify.strictness import strictness
from symmle.record import Condition

SampleOfDensity = tuple[Expr, dict[Symbol, Set], dict[Symbol, Set]]


@dataclass(frozen=True)
class Proved:
    proofs: tuple[tuple[Expr, Proof], ...]
    strict: bool
    conditions: tuple[Condition, ...]


@dataclass
class ConcavityProblem:
    """The cells of a declaration and the ranges of its symbols."""

    cells: tuple[Cell, ...]
    domains: dict[Symbol, Set]
    known: dict[Symbol | Expr, Bounds]
    constraints: tuple[Expr, ...]
    originals: dict[Symbol, Symbol]

    @property
    def parameters(self) -> tuple[Symbol, ...]:
        return tuple(self.domains)

    @classmethod
    def of(
        cls,
        samples: Sequence[SampleOfDensity],
        parameters: Mapping[Symbol, Set],
        constants: Mapping[Symbol, Any],
        constraints: Sequence[Expr] = (),
        apart: int = 0,
    ) -> ConcavityProblem | str:
        for p, domain in parameters.items():
            if not isinstance(domain, Interval):
                return f"parameter {p} has the domain {domain}, which is no interval"
        values = {c: v for c, v in constants.items() if v is not None}
        free_constants = [c for c, v in constants.items() if v is None]
        known: dict[Symbol | Expr, Bounds] = {}
        plain: dict[Symbol, Symbol] = {}
        for p, domain in parameters.items():
            plain[p] = named(p, bounds_of_set(domain))
            known[plain[p]] = bounds_of_set(domain)
        for c in free_constants:
            plain[c] = c
            known[c] = range_of(c, {})
        cells: list[Cell] = []
        hulls: dict[str, Bounds] = {}
        columns = [(s, x, d) for s, (_, xs, zs) in enumerate(samples) for x, d in (*xs.items(), *zs.items())]
        for _, x, d in columns:
            hull = bounds_of_set(d.xreplace(values).xreplace(plain), known) if d is not None else Bounds()
            hull = hull.join(hulls[x.name]) if x.name in hulls else hull
            hulls[x.name] = hull
        for _, x, d in columns:
            hull = hulls[x.name]
            # counts stay counts: an even power of a parameter says nothing of its sign
            whole = (
                True
                if isinstance(d, Range) or (isinstance(d, FiniteSet) and all(m.is_integer for m in d.args))
                else None
            )
            plain[x] = named(x, hull, whole)
            known[plain[x]] = hull
        for s, (density, random_columns, given) in enumerate(samples):
            over = {x: d.xreplace(values).xreplace(plain) for x, d in random_columns.items()}
            for d in over.values():
                if not isinstance(d, Interval) and d.free_symbols & {plain[p] for p in parameters}:
                    return f"the support {d} counts up to a parameter"
            aside = {z: (d or S.Reals).xreplace(values).xreplace(plain) for z, d in given.items()}
            made = cells_of(density.xreplace(values), over, aside, free_constants, s, plain, apart)
            if isinstance(made, str):
                return made
            cells += made
        domains = {plain[p]: d for p, d in parameters.items()}
        back = {new: old for old, new in plain.items()}
        bound = tuple(c.xreplace(values).xreplace(plain) for c in constraints)
        return cls(tuple(cells), domains, known, bound, back)

    def rows(self) -> list[Row] | str:
        """The log densities as functions of the parameters, terms free of them left out."""
        found = []
        names = frozenset(self.parameters)
        for cell in self.cells:
            known = {**self.known, **support_facts(cell, {}, self.known, names)[0]}
            opened = tidy(open_log(cell.density, known, names), known, names)
            opened = Add(*(t for t in Add.make_args(opened) if t.free_symbols & names))
            opened = opened.replace(Sum, cut_series)
            if is_complex(opened) or opened.has(Piecewise):
                return f"the logarithm of {cell.density} cannot be opened"
            columns = tuple(
                (x, column_sampler(x, d, self.known)) for x, d in (*cell.given_columns, *cell.random_columns)
            )
            found.append(Row(opened, columns))
        return found

    def measured(self, seed: int, deadline: float) -> list[Measured] | None:
        rows = self.rows()
        if isinstance(rows, str):
            return None
        rows = [r for r in rows if r.log_density != 0]
        return sampling.measured(rows, self.parameters, self.known, seed, deadline)

    def prove(self, system: Coordinates, deadline: float) -> Proved | str:
        """Each cell concave in the coordinates, by the rules."""
        inverse = dict(system.inverse)
        names = frozenset(system.symbols)
        box = system.bounds({p: self.known[p] for p in self.parameters})
        known = {s: b for s, b in self.known.items() if s not in self.domains} | box
        for c in self.constraints:
            if Prover(system.symbols, known).linear_form(tidy(c.xreplace(inverse), known, names)) is None:
                return f"the constraint {c} = 0 is not affine in {system.functions}"
        proofs = []
        forms: list[tuple[Cell, tuple[tuple[Expr, ...], ...]]] = []
        try:
            for cell in self.cells:
                facts, edges = support_facts(cell, inverse, known, names)
                prover = Prover(system.symbols, {**known, **facts}, deadline)
                for edge in edges:
                    if not is_convex_region(prover, edge):
                        return f"the set of coordinates with {edge} > 0 is not proved convex"
                density = cell.density.xreplace(inverse)
                opened = prover.tidy(prover.open_log(density))
                opened = Add(*(t for t in Add.make_args(opened) if prover.depends(t)))
                if is_complex(opened):
                    return f"the logarithm of {density} cannot be opened"
                shape = prover.shape(opened)
                if not shape.is_(CONCAVE):
                    return f"no rule shows that {opened} is concave"
                proofs.append((opened, shape.proof))
                forms.append((cell, shape.forms))
        except OutOfTime:
            return "the time for the proof of concavity was used up"
        strict, conditions = strictness(self, forms, len(system.symbols), known)
        return Proved(tuple(proofs), strict, conditions)
