"""Is the model an exponential family in some parameters, the others held fixed?

l = C(theta) + sum_k a_k(theta) T_k, with affine dependencies among the statistics and linear ones among
the coefficients removed. With K statistics left for p parameters: K = p is full, K > p curved, K < p
not identifiable.
"""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
from sympy import (
    Add,
    Expr,
    FiniteSet,
    Matrix,
    Mul,
    Range,
    Rational,
    S,
    Symbol,
    cancel,
    expand,
    nsimplify,
    together,
)

from symmle.algebra import GaveUp, attempt_within, compile_expression
from symmle.likelihood import Likelihood, NormalForm
from symmle.sample import Count, Mean
from symmle.sampling import RandomPoints, as_numbers


@dataclass(frozen=True)
class ExponentialFamily:
    """l = constant + sum coefficient * statistic; statistics are sums over samples of Count * Mean."""

    parameters: tuple[Symbol, ...]
    constant: Expr
    coefficients: tuple[Expr, ...]
    statistics: tuple[Expr, ...]
    held: tuple[Symbol, ...] = ()

    @property
    def size(self) -> int:
        return len(self.coefficients)

    @property
    def is_full(self) -> bool:
        return self.size == len(self.parameters)

    @property
    def jacobian(self) -> Matrix:
        return Matrix([[a.diff(p) for p in self.parameters] for a in self.coefficients])

    @property
    def log_likelihood(self) -> Expr:
        return self.constant + Add(*(a * t for a, t in zip(self.coefficients, self.statistics, strict=True)))

    def expected_statistics(self) -> list[Expr] | GaveUp:
        """E[T] = -(Da)^-T grad C, from E[score] = 0."""
        gradient = Matrix([self.constant.diff(p) for p in self.parameters])
        return attempt_within(4.0, _solve_linear, self.jacobian.T, -gradient)


def means_on_finite_support(family: ExponentialFamily, likelihood: Likelihood) -> tuple[Expr, ...] | None:
    """E[t_k] for one observation, summed over a finite support; None for every other family.

    As Da = Cov(t)^-1 D E[t] where the a_k and the t_k are independent, Da is nonsingular exactly where D E[t] is.
    """
    if not likelihood.is_single:
        return None
    form = likelihood.forms[0]
    part = form.part
    if len(part.columns) != 1 or part.given:
        return None
    domain = part.support[part.columns[0]]
    if isinstance(domain, Range) and domain.size.is_Integer and domain.size <= 40:
        domain = FiniteSet(*domain)
    if not isinstance(domain, FiniteSet) or domain.free_symbols or len(domain) > 40:
        return None
    (x,) = part.columns
    found = []
    for statistic in family.statistics:
        t = statistic / Count(form.columns)
        if t.has(Count) or t.free_symbols & set(family.parameters):
            return None
        row = t.replace(lambda m: isinstance(m, Mean), lambda m: m.summand)
        total = Add(*(row.xreplace({x: v}) * part.density.xreplace({x: v}) for v in domain))
        answer = attempt_within(2.0, expand, total)
        if isinstance(answer, GaveUp) or answer.has(x):
            return None
        found.append(answer)
    return tuple(found)


def jacobian_determinant(functions: tuple[Expr, ...], parameters: tuple[Symbol, ...]) -> Expr | GaveUp:
    """det D f, factored."""
    matrix = Matrix([[e.diff(p) for p in parameters] for e in functions])
    return attempt_within(3.0, lambda: matrix.det().factor())


def _solve_linear(matrix: Matrix, right: Matrix) -> list[Expr]:
    if matrix.shape == (1, 1):
        return [cancel(together(right[0] / matrix[0]))]
    from sympy.polys.matrices import DomainMatrix

    try:
        whole = DomainMatrix.from_Matrix(matrix.row_join(right)).to_field()
        n = matrix.shape[0]
        solved = whole[:, :n].lu_solve(whole[:, n:])
        return [cancel(e) for e in solved.to_Matrix()]
    except (NotImplementedError, ValueError, TypeError):
        return [cancel(together(e)) for e in matrix.LUsolve(right)]


def find_family(likelihood: Likelihood, parameters: tuple[Symbol, ...]) -> ExponentialFamily | str:
    """The family in `parameters`, every other symbol held fixed, or the reason why it is none."""
    free = set(parameters)
    moving = free & support_parameters(likelihood)
    if moving:
        return f"the support depends on {', '.join(map(str, moving))}"
    constant: Expr = S.Zero
    pairs: list[tuple[Expr, Expr]] = []
    for form in likelihood.forms:
        count = Count(form.columns)
        given = set(form.part.given)
        kept: list[tuple[Expr, Expr]] = []
        for c, g in form.terms:
            data = g.free_symbols & set(form.part.all_columns)
            if data <= given:
                constant += count * c * Mean(g, form.columns)
            elif g.free_symbols & free:
                return f"{g} holds data and parameters together"
            elif not c.free_symbols & free:
                constant += count * c * Mean(g, form.columns)
            else:
                kept.append((c, g))
        reduced = _without_affine_dependencies(form, kept, likelihood)
        if isinstance(reduced, str):
            return reduced
        shift, kept = reduced
        constant += count * shift
        pairs.extend((c, count * Mean(g, form.columns)) for c, g in kept)
    merged = _merge_coefficients(pairs, free)
    if merged is None:
        return "the coefficients of the statistics are linearly dependent in a way that was not resolved"
    shift, pairs = merged
    return ExponentialFamily(
        parameters,
        constant + shift,
        tuple(a for a, _ in pairs),
        tuple(t for _, t in pairs),
        tuple(p for p in likelihood.declaration.parameters if p not in free),
    )


def support_parameters(likelihood: Likelihood) -> set[Symbol]:
    """Parameters that a support names."""
    d = likelihood.declaration
    named: set[Symbol] = set()
    for domain in d.supports.values():
        named |= domain.free_symbols & set(d.parameters)
    for part in d.samples:
        named = named.union(*(e.free_symbols & set(d.parameters) for e in part.inside))
    return named


# --- dependencies ---------------------------------------------------------------------------------


def _without_affine_dependencies(
    form: NormalForm, terms: list[tuple[Expr, Expr]], likelihood: Likelihood
) -> tuple[Expr, list[tuple[Expr, Expr]]] | str:
    """Statistics that are affine combinations of others on the support are put in by those."""
    if len(terms) < 2:
        return S.Zero, terms
    points = _support_points(form, likelihood, len(terms) + 6)
    if points is None:
        return S.Zero, terms
    shift: Expr = S.Zero
    while len(terms) > 1:
        vector = _affine_dependency([g for _, g in terms], form, points)
        if vector is None:
            return shift, terms
        if not _holds(vector, [g for _, g in terms], form, points):
            return "a dependency of the statistics was seen and not proved"
        k = max(i for i, v in enumerate(vector[1:]) if v != 0)
        c_k, _ = terms[k]
        pivot = vector[k + 1]
        shift += -c_k * vector[0] / pivot
        terms = [(c - c_k * vector[i + 1] / pivot, g) for i, (c, g) in enumerate(terms) if i != k]
    return shift, terms


def _support_points(
    form: NormalForm, likelihood: Likelihood, count: int
) -> list[dict[Symbol, object]] | None:
    part = form.part
    if len(part.columns) == 1 and not part.given:
        domain = part.support[part.columns[0]]
        if isinstance(domain, Range) and domain.size.is_Integer and domain.size <= 40:
            domain = FiniteSet(*domain)
        if isinstance(domain, FiniteSet) and len(domain) <= 40:
            return [{part.columns[0]: v, "exact": True} for v in domain]  # type: ignore[dict-item]
    stream = RandomPoints(likelihood.declaration, 11)
    values = stream.parameters(stream.constants())
    rows = None if values is None else stream.samples(values, rows=count)
    if values is None or rows is None:
        return None
    mine = next(r for r in rows if part.columns[0] in r.columns)
    numbers = as_numbers(values)
    return [{**numbers, **{c: v[i] for c, v in mine.columns.items()}} for i in range(count)]


def _affine_dependency(g: list[Expr], form: NormalForm, points: list[dict]) -> list[Expr] | None:  # type: ignore[type-arg]
    if points[0].get("exact"):
        matrix = Matrix(
            [[S.One, *(e.xreplace({k: v for k, v in p.items() if k != "exact"}) for e in g)] for p in points]
        )
        null = attempt_within(2.0, matrix.nullspace)
        if isinstance(null, GaveUp) or not null:
            return None
        vectors = [list(v) for v in null if any(e != 0 for e in v[1:])]
        return vectors[0] if vectors else None
    with mpmath.workdps(40):
        rows = []
        compiled = [compile_expression(e) for e in g]
        for p in points:
            rows.append([mpmath.mpf(1), *(f(p, []) for f in compiled)])
        vector = _null_vector(rows)
    return vector


def _null_vector(rows: list[list]) -> list[Expr] | None:  # type: ignore[type-arg]
    """A rational null vector of a tall matrix by elimination, None where the rank is full."""
    n = len(rows[0])
    pivots: list[tuple[int, list]] = []  # type: ignore[type-arg]
    for row in rows:
        row = list(row)
        for column, other in pivots:
            if row[column]:
                factor = row[column]
                row = [a - factor * b for a, b in zip(row, other, strict=True)]
        scale = max(abs(v) for v in row)
        if scale < mpmath.mpf(10) ** -25:
            continue
        column = next(i for i, v in enumerate(row) if abs(v) > scale * mpmath.mpf(10) ** -20)
        lead = row[column]
        row = [v / lead for v in row]
        pivots = [(c, [a - o[column] * b for a, b in zip(o, row, strict=True)]) for c, o in pivots]
        pivots.append((column, row))
        if len(pivots) == n:
            return None
    used = {c for c, _ in pivots}
    free = next(i for i in range(n) if i not in used)
    vector: list[Expr] = [S.Zero] * n
    vector[free] = S.One
    for c, row in pivots:
        value = nsimplify(Rational(str(mpmath.nstr(-row[free], 25))), rational=True, tolerance=1e-18)
        vector[c] = value
    return vector


def _holds(vector: list[Expr], g: list[Expr], form: NormalForm, points: list[dict]) -> bool:  # type: ignore[type-arg]
    if points[0].get("exact"):
        return True  # the whole support was compared
    combination = vector[0] + Add(*(v * e for v, e in zip(vector[1:], g, strict=True)))
    answer = attempt_within(
        2.0, lambda: expand(combination.expand(force=False)).rewrite("exp") == 0 or expand(combination) == 0
    )
    return answer is True


def _merge_coefficients(
    pairs: list[tuple[Expr, Expr]], free: set[Symbol]
) -> tuple[Expr, list[tuple[Expr, Expr]]] | None:
    """Proportional coefficients are one; then the rest must be independent of each other and of 1."""
    # t**2 beside t stays a mean of its own: the two make up a variance
    present = {m.summand for _, t in pairs for m in t.atoms(Mean)}
    squares = {g for g in present if any(g == h * h for h in present)}
    merged: list[tuple[Expr, Expr]] = []
    for a, t in pairs:
        for i, (b, s) in enumerate(merged):
            ratio = attempt_within(2.0, lambda a=a, b=b: cancel(together(a / b)))
            if not isinstance(ratio, GaveUp) and not ratio.free_symbols & free:
                merged[i] = (b, s + ratio * t if squares & _summands(s, t) else _joined(s, ratio, t))
                break
        else:
            merged.append((a, t))
    return S.Zero, merged


def _summands(*statistics: Expr) -> set[Expr]:
    return {m.summand for t in statistics for m in t.atoms(Mean)}


def _joined(s: Expr, ratio: Expr, t: Expr) -> Expr:
    """n Mean(g) + ratio n Mean(h) of one sample as n Mean(g + ratio h)."""
    g, h = (next((f for f in Mul.make_args(e) if isinstance(f, Mean)), None) for e in (s, t))
    if g is not None and h is not None and s / g == t / h and g.args[-1] == h.args[-1]:
        return s / g * Mean(g.summand + ratio * h.summand, g.args[-1])
    return s + ratio * t


def have_independent_coefficients(family: ExponentialFamily, likelihood: Likelihood) -> bool | None:
    """Whether 1, a_1 .. a_K are linearly independent, by the rank at random points."""
    stream = RandomPoints(likelihood.declaration, 5)
    compiled = [compile_expression(a) for a in family.coefficients]
    rows = []
    with mpmath.workdps(40):
        for _ in range(family.size + 5):
            values = stream.parameters(stream.constants())
            if values is None:
                return None
            numbers = as_numbers(values)
            rows.append([mpmath.mpf(1), *(f(numbers, []) for f in compiled)])
        return _null_vector(rows) is None


__all__ = ["ExponentialFamily", "find_family", "have_independent_coefficients", "support_parameters"]
