"""Global maxima by curvature: every log density concave in common coordinates, for every observation.

Sums of concave functions are concave, so l is concave for every sample, and a stationary point of a
concave function is a global maximum. The coordinates are smooth both ways, so stationary points are
the same in them. The functions are concave on a convex set that contains the image of the domain.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import mpmath
from sympy import Add, Eq, Expr, Gt, Interval, Mul, Piecewise, Range, S, Set, Sum, Symbol, diff, expand, fraction
from sympy.matrices import Matrix
from sympy.sets.sets import FiniteSet

from symmle.certify import coordinates as found_coordinates
from symmle.certify.composition import CONCAVE, OutOfTime, Proof, Prover
from symmle.certify.coordinates import ConcaveOnNumbers, Coordinates, Row, draw
from symmle.certify.opening import factor_sum, is_complex, open_log, tidy
from symmle.certify.ranges import INF, NONNEGATIVE, POSITIVE, Bounds, bounds_of_set, range_of
from symmle.estimator import Certificate, Kind, Scope
from symmle.record import Condition
from symmle.sample import Mean

SampleOfDensity = tuple[Expr, dict[Symbol, Set], dict[Symbol, Set]]
_UNROLLED = 6  # elements of a finite support that are gone through one by one
_ROWS = 24


@dataclass(frozen=True)
class Cell:
    """One log density to prove: a sample's density at a row of its finite columns."""

    density: Expr
    random_columns: tuple[tuple[Symbol, Set], ...]
    given_columns: tuple[tuple[Symbol, Set], ...]
    sample: int
    columns: tuple[Symbol, ...] = ()  # of the whole sample, in order
    indicator: Expr = S.One  # 1 on the rows that are meant, a polynomial in the finite columns


@dataclass(frozen=True)
class ConcaveByComposition(Certificate):
    """l is concave in `coordinates` for every sample; `strict` where it is so surely (under `conditions`).

    `proofs` holds for each log density its expression in the coordinates and the tree of rules:
    (rule, expression, *trees of the parts). `inverse` maps the coordinates back.
    """

    samples: tuple[tuple[Expr, tuple[tuple[Symbol, Set], ...], tuple[tuple[Symbol, Set], ...]], ...]
    parameters: tuple[tuple[Symbol, Set], ...]
    constants: tuple[tuple[Symbol, Any], ...]
    constraints: tuple[Expr, ...]
    coordinates: tuple[tuple[Symbol, Expr], ...]
    inverse: tuple[tuple[Symbol, Expr], ...]
    proofs: tuple[tuple[Expr, Proof], ...]
    strict: bool = False
    conditions: tuple[Condition, ...] = ()
    theorem: str = "concavity by composition"
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The rules applied afresh to the stored densities, and the Hessian at fresh random points."""
        samples = [(f, dict(x), dict(z)) for f, x, z in self.samples]
        problem = _Problem.of(samples, dict(self.parameters), dict(self.constants), self.constraints)
        if isinstance(problem, str):
            return False, problem
        system = Coordinates(
            tuple(u for u, _ in self.coordinates), tuple(f for _, f in self.coordinates), self.inverse
        )
        back = dict(self.inverse)
        for u, f in self.coordinates:
            if not _same_on_numbers(f.xreplace(back), u, system.bounds(problem.known)):
                return False, f"{u} = {f} is not undone by the inverse map"
        deadline = time.monotonic() + 60.0
        with mpmath.workdps(found_coordinates.DIGITS):
            points = problem.measured(seed=20260731, deadline=deadline)
            if points is None:
                return False, "no random points could be evaluated"
            if not ConcaveOnNumbers(points, problem.parameters).accepts(system.functions):
                return False, "the Hessian has a positive eigenvalue at a random point"
        proved = problem.prove(system, deadline)
        if isinstance(proved, str):
            return False, proved
        return True, (
            f"{len(proved.proofs)} log densities concave by the rules again; "
            f"the Hessian has no positive eigenvalue at {len(points)} random points"
        )


@dataclass(frozen=True)
class _Proved:
    proofs: tuple[tuple[Expr, Proof], ...]
    strict: bool
    conditions: tuple[Condition, ...]


@dataclass
class _Problem:
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
    ) -> _Problem | str:
        for p, domain in parameters.items():
            if not isinstance(domain, Interval):
                return f"parameter {p} has the domain {domain}, which is no interval"
        values = {c: v for c, v in constants.items() if v is not None}
        free_constants = [c for c, v in constants.items() if v is None]
        known: dict[Symbol | Expr, Bounds] = {}
        plain: dict[Symbol, Symbol] = {}
        for p, domain in parameters.items():
            plain[p] = _named(p, bounds_of_set(domain))
            known[plain[p]] = bounds_of_set(domain)
        for c in free_constants:
            plain[c] = c
            known[c] = range_of(c, {})
        cells: list[Cell] = []
        columns = [(s, x, d) for s, (_, xs, zs) in enumerate(samples) for x, d in (*xs.items(), *zs.items())]
        for _, x, d in columns:
            hull = bounds_of_set(d.xreplace(values).xreplace(plain), known) if d is not None else Bounds()
            plain[x] = _named(x, hull)
            known[plain[x]] = hull
        for s, (density, random_columns, given) in enumerate(samples):
            over = {x: d.xreplace(values).xreplace(plain) for x, d in random_columns.items()}
            for d in over.values():
                if not isinstance(d, Interval) and d.free_symbols & {plain[p] for p in parameters}:
                    return f"the support {d} counts up to a parameter"
            aside = {z: (d or S.Reals).xreplace(values).xreplace(plain) for z, d in given.items()}
            made = _cells(density.xreplace(values), over, aside, free_constants, s, plain)
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
            known = {**self.known, **_facts(cell, {}, self.known, names)[0]}
            opened = tidy(open_log(cell.density, known, names), known, names)
            opened = Add(*(t for t in Add.make_args(opened) if t.free_symbols & names))
            opened = opened.replace(Sum, _cut)
            if is_complex(opened) or opened.has(Piecewise):
                return f"the logarithm of {cell.density} cannot be opened"
            columns = tuple((x, _sampler(x, d, self.known)) for x, d in (*cell.given_columns, *cell.random_columns))
            found.append(Row(opened, columns))
        return found

    def measured(self, seed: int, deadline: float) -> list[found_coordinates.Measured] | None:
        rows = self.rows()
        if isinstance(rows, str):
            return None
        rows = [r for r in rows if r.log_density != 0]
        return found_coordinates.measured(rows, self.parameters, self.known, seed, deadline)

    def prove(self, system: Coordinates, deadline: float) -> _Proved | str:
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
                facts, edges = _facts(cell, inverse, known, names)
                prover = Prover(system.symbols, {**known, **facts}, deadline)
                for edge in edges:
                    if not _is_convex_region(prover, edge):
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
        strict, conditions = self._strictness(forms, len(system.symbols), known)
        return _Proved(tuple(proofs), strict, conditions)

    def _strictness(
        self,
        forms: Sequence[tuple[Cell, tuple[tuple[Expr, ...], ...]]],
        p: int,
        known: Mapping[Symbol | Expr, Bounds],
    ) -> tuple[bool, tuple[Condition, ...]]:
        """Strict where the forms span; by the data: where a Gram determinant is positive."""
        if not self._spans_on_numbers(forms, p):
            return False, ()
        weights = _weights_of_forms(forms)
        for chosen in list(combinations(weights, p))[:60]:
            bounds = range_of(Matrix([f for _, f in chosen]).det().expand(), known)
            if bounds.positive or bounds.negative:
                needed = [self._mean(sample, weights[sample, f]) for sample, f in chosen]
                return True, tuple(Condition(Gt(m, 0)) for m in dict.fromkeys(needed) if m != 1)
        always = {key: w for key, w in weights.items() if w == 1}
        for group in (always, weights):
            gram = Matrix.zeros(p, p)
            for (sample, form), weight in group.items():
                gram += Matrix(p, p, lambda i, j, s=sample, f=form, w=weight: self._mean(s, w * f[i] * f[j]))
            determinant = gram.det(method="berkowitz").expand()
            if determinant != 0 and determinant.count_ops() < 90:
                return True, (_gram_condition(determinant),)
        return False, ()

    def _mean(self, sample: int, e: Expr) -> Expr:
        cell = next(c for c in self.cells if c.sample == sample)
        columns = tuple(self.originals[x] for x in cell.columns)
        e = expand(e).xreplace(self.originals)
        return Mean(e, columns) if columns else e

    def _spans_on_numbers(self, forms: Sequence[tuple[Cell, tuple[tuple[Expr, ...], ...]]], p: int) -> bool:
        """Whether some sample makes the forms span."""
        generator = random.Random(7)
        lines = []
        for cell, here in forms:
            for _ in range(p + 1):
                theta = {q: draw(self.known[q], generator) for q in self.parameters}
                point: dict[Symbol, Any] = {}
                for x, d in (*cell.given_columns, *cell.random_columns):
                    value = _sampler(x, d, self.known)(theta, generator)
                    point[x] = S(str(value)) if value is not None else S.One
                lines += [[c.xreplace(point).evalf() for c in form] for form in here]
        if not lines or any(not c.is_number or not c.is_finite for line in lines for c in line):
            return False
        return Matrix(lines).rank(iszerofunc=lambda v: abs(v) < 1e-8) == p


def prove_concavity(
    samples: Sequence[SampleOfDensity],
    parameters: Mapping[Symbol, Set],
    constants: Mapping[Symbol, Any],
    deadline_seconds: float,
    constraints: Sequence[Expr] = (),
) -> ConcaveByComposition | str:
    """Prove that every log density is concave in common coordinates, or say why not.

    Parameters
    ----------
    samples
        (density, supports of its random columns, domains of its conditioned columns) for each sample;
        the density is positive on the support and not expanded.
    parameters
        Domains, intervals.
    constants
        Known numbers; None for those that come with the data.
    deadline_seconds
        The time that may be used.
    constraints
        Expressions in the parameters that equal zero.

    Returns
    -------
    ConcaveByComposition or str
        The certificate, or the reason why there is none.
    """
    deadline = time.monotonic() + deadline_seconds
    problem = _Problem.of(samples, parameters, constants, constraints)
    if isinstance(problem, str):
        return problem
    if not problem.parameters:
        return "there is no parameter"
    rows = problem.rows()
    if isinstance(rows, str):
        return rows
    rows = [r for r in rows if r.log_density != 0]
    with mpmath.workdps(found_coordinates.DIGITS):
        points = found_coordinates.measured(rows, problem.parameters, problem.known, 1, deadline)
        if points is None:
            return "the second derivatives could not be evaluated at random points"
        numbers = ConcaveOnNumbers(points, problem.parameters)
        candidates = found_coordinates.candidate_functions(
            [r.log_density for r in rows], problem.known, problem.parameters
        )
        reason = "not concave at random points in any coordinates that were tried"
        best: ConcaveByComposition | None = None
        proofs_tried = 0
        for functions in found_coordinates.systems(candidates, problem.parameters):
            if time.monotonic() > deadline or proofs_tried >= (4 if best else 12):
                break
            if not numbers.accepts(functions):
                continue
            symbols = _coordinate_symbols(problem, functions)
            system = found_coordinates.solved(functions, problem.parameters, problem.known, symbols)
            if system is None:
                continue
            proofs_tried += 1
            proved = problem.prove(system, deadline)
            if isinstance(proved, str):
                reason = f"concave at random points in {functions}, but {proved}"
                continue
            found = _certificate(samples, parameters, constants, constraints, system, proved)
            if found.strict:
                return found
            best = best or found
    return best or reason


def _certificate(
    samples: Sequence[SampleOfDensity],
    parameters: Mapping[Symbol, Set],
    constants: Mapping[Symbol, Any],
    constraints: Sequence[Expr],
    system: Coordinates,
    proved: _Proved,
) -> ConcaveByComposition:
    return ConcaveByComposition(
        samples=tuple((f, tuple(x.items()), tuple(z.items())) for f, x, z in samples),
        parameters=tuple(parameters.items()),
        constants=tuple(constants.items()),
        constraints=tuple(constraints),
        coordinates=tuple(zip(system.symbols, system.functions, strict=True)),
        inverse=system.inverse,
        proofs=proved.proofs,
        strict=proved.strict,
        conditions=proved.conditions,
    )


def _weights_of_forms(
    forms: Sequence[tuple[Cell, tuple[tuple[Expr, ...], ...]]],
) -> dict[tuple[int, tuple[Expr, ...]], Expr]:
    """(sample, form) -> the indicator of the rows where the curvature is strict along the form."""
    rows: dict[tuple[int, tuple[Expr, ...]], list[Cell]] = {}
    for cell, here in forms:
        for form in dict.fromkeys(_bare(f) for f in here):
            rows.setdefault((cell.sample, form), []).append(cell)
    found = {}
    for (sample, form), cells in rows.items():
        everywhere = len(cells) == sum(1 for c, _ in forms if c.sample == sample)
        found[sample, form] = S.One if everywhere else Add(*(c.indicator for c in cells))
    return dict(sorted(found.items(), key=lambda item: item[1] != 1))


def _gram_condition(determinant: Expr) -> Condition:
    """det Mean(f f^T) > 0; of one column, Mean(g^2) - Mean(g)^2 > 0."""
    means = determinant.atoms(Mean)
    for mean in means:
        square = Mean(mean.summand**2, mean.columns)
        ratio = determinant / (square - mean**2)
        if ratio.expand().is_Rational or (determinant.coeff(square) * (square - mean**2) - determinant).expand() == 0:
            return Condition(Gt(square - mean**2, 0), "not all equal", (mean.summand,))
    return Condition(Gt(determinant, 0), "not on a line")


def _bare(form: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """A linear form up to a number."""
    lead = next((c for c in form if c != 0), S.One).as_coeff_Mul()[0]
    return tuple(c / lead for c in form)


def _named(symbol: Symbol, bounds: Bounds) -> Symbol:
    """A symbol of the same name with the assumptions of its range alone."""
    if bounds.positive:
        return Symbol(symbol.name, positive=True)
    if bounds.negative:
        return Symbol(symbol.name, negative=True)
    if bounds.nonnegative:
        return Symbol(symbol.name, nonnegative=True)
    return Symbol(symbol.name, real=True)


def _coordinate_symbols(problem: _Problem, functions: Sequence[Expr]) -> tuple[Symbol, ...]:
    taken = {s.name for s in problem.known if isinstance(s, Symbol)}
    stem = "u"
    while any(f"{stem}_{k + 1}" in taken for k in range(len(functions))):
        stem += "u"
    return tuple(
        _named(Symbol(f"{stem}_{k + 1}"), range_of(f, problem.known)) for k, f in enumerate(functions)
    )


def _cells(
    density: Expr,
    supports: dict[Symbol, Set],
    given: dict[Symbol, Set],
    free_constants: Sequence[Symbol],
    sample: int,
    plain: dict[Symbol, Symbol],
) -> list[Cell] | str:
    """The density at every row of its small finite columns, and open in the others."""
    lists: dict[Symbol, list[Expr]] = {}
    for x, d in supports.items():
        elements = _elements(d)
        if elements is not None:
            lists[x] = elements
    count = 1
    for elements in lists.values():
        count *= len(elements)
    if count > _ROWS:
        lists = {}
    cells = []
    for row in product(*lists.values()):
        at = dict(zip(lists, row, strict=True))
        here = density.subs(at) if at else density
        here = here.xreplace(plain)
        if here.has(Piecewise):
            return "the density is given by cases"
        if here == 0:
            continue
        others = tuple((plain[x], d) for x, d in supports.items() if x not in lists)
        aside = tuple((plain[z], d) for z, d in given.items()) + tuple((c, S.Reals) for c in free_constants)
        indicator = S.One
        for x, value in at.items():
            if len(lists[x]) == 2:
                (other,) = (v for v in lists[x] if v != value)
                indicator *= (plain[x] - other) / (value - other)
            elif len(lists[x]) > 2:
                indicator *= Piecewise((1, Eq(plain[x], value)), (0, True))
        columns = tuple(plain[x] for x in (*supports, *given))
        cells.append(Cell(here, others, aside, sample, columns, indicator))
    return cells


def _elements(d: Set) -> list[Expr] | None:
    if isinstance(d, FiniteSet) and len(d) <= _UNROLLED:
        return list(d.args)
    if isinstance(d, Range) and d.size.is_Integer and d.size <= _UNROLLED:
        return list(d)
    return None


def _facts(
    cell: Cell,
    inverse: Mapping[Symbol, Expr],
    known: Mapping[Symbol | Expr, Bounds],
    names: frozenset[Symbol],
) -> tuple[dict[Symbol | Expr, Bounds], list[Expr]]:
    """What a support that names parameters says: x - a > 0 as facts, and the expressions that are positive."""
    facts: dict[Symbol | Expr, Bounds] = {}
    edges: list[Expr] = []
    for x, d in cell.random_columns:
        if not isinstance(d, Interval):
            continue
        for end, is_open, side in ((d.start, d.left_open, 1), (d.end, d.right_open, -1)):
            gap = side * (x - end.xreplace(dict(inverse)))
            if not gap.free_symbols & names or end.is_infinite:
                continue
            bounds = POSITIVE if is_open else NONNEGATIVE
            facts[gap] = bounds
            top, bottom = fraction(factor_sum(tidy(gap, known, names), known, names))
            kept = S.One
            for factor in Mul.make_args(top):
                if not range_of(factor, known).positive:
                    kept *= factor
            if range_of(bottom, known).positive:
                facts[kept] = bounds
                edges.append(kept)
            else:
                edges.append(gap)
    return facts, edges


def _is_convex_region(prover: Prover, edge: Expr) -> bool:
    """Whether {u : edge > 0} is convex: a concave function, or a monotone one of one coordinate."""
    if prover.shape(edge).is_(CONCAVE):
        return True
    held = edge.free_symbols & prover.names
    if len(held) != 1:
        return False
    slope = range_of(diff(edge, held.pop()), prover.known)
    return slope.nonnegative or slope.nonpositive


def _cut(summand: Expr, limits: Any) -> Expr:
    """A series cut off, for the test on numbers alone: what the rules say of it holds of its parts."""
    index, first, last = limits
    return Sum(summand, (index, first, first + 30 if last is S.Infinity else last))


def _sampler(x: Symbol, domain: Set, known: Mapping[Symbol | Expr, Bounds]) -> Any:
    """A function that draws a value of the column for given parameters."""
    whole = not isinstance(domain, Interval)
    finite = list(domain.args) if isinstance(domain, FiniteSet) else None
    moving = bool(domain.free_symbols)
    fixed = None if moving else bounds_of_set(domain, known)

    def sample(theta: dict[Symbol, mpmath.mpf], generator: random.Random) -> mpmath.mpf | None:
        if finite is not None and not moving:
            return mpmath.mpf(generator.choice(finite).evalf(30))
        bounds = fixed
        if bounds is None:
            at = {s: S(str(v)) for s, v in theta.items()}
            here = domain.xreplace(at)
            if here is S.EmptySet:
                return None
            bounds = bounds_of_set(here, known)
        value = draw(bounds, generator)
        if whole:
            value = mpmath.floor(value) if bounds.hi == INF else mpmath.nint(value)
        return value

    return sample


def _same_on_numbers(e: Expr, u: Symbol, box: Mapping[Symbol, Bounds]) -> bool:
    """Whether e equals the coordinate u at random points of the box."""
    generator = random.Random(5)
    for _ in range(4):
        at = {s: S(str(draw(b, generator))) for s, b in box.items()}
        gap = (e.xreplace(at) - at[u]).evalf(20)
        if not gap.is_number or abs(gap) > 1e-9 * (1 + abs(at[u])):
            return False
    return True
