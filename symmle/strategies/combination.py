"""Combinations of the scores in which a parameter no longer stands inside a statistic.

Every score is sum coefficient(theta) * atom, the atoms being statistics that hold the wanted parameters,
and transcendental functions of them. A null vector of the coefficients over the rational functions is a
combination of scores free of those atoms. What is solved from it holds at every stationary point; it is
no conditional maximum, so no profile and no envelope.
"""

from __future__ import annotations

from sympy import (
    Add,
    Dummy,
    Expr,
    Function,
    Matrix,
    Mul,
    Poly,
    Pow,
    S,
    Symbol,
    Tuple,
    apart,
    cancel,
    expand,
    fraction,
    log,
    together,
)
from sympy.polys.matrices import DomainMatrix

from symmle.algebra import GaveUp, attempt_within, seconds_left
from symmle.record import Relation, Step
from symmle.sample import Mean, SampleOperator
from symmle.strategies.answer import candidates_of
from symmle.strategies.elimination import subsets
from symmle.strategies.problem import Problem, Skipped, Solved
from symmle.strategies.systems import solve_system


class Combination:
    """Solve as many parameters as possible from combinations of scores."""

    name = "combination of scores"

    def __init__(self, size: int | None = None):
        self.size = size

    def attempt(self, problem: Problem) -> Solved | Skipped:
        count = len(problem.parameters)
        if count < 2:
            return Skipped("one score leaves nothing to combine")
        scores = _scores_in_partial_fractions(problem)
        if isinstance(scores, GaveUp):
            return Skipped("no partial fractions within the budget")
        reasons: list[str] = []
        for size in range(count - 1, 0, -1) if self.size is None else (self.size,):
            found: list[Solved] = []
            for subset in subsets(tuple(p for p in problem.parameters if p not in problem.movable), size):
                if seconds_left() < 0.05:
                    return Skipped("no time is left")
                answer = _solve_subset(problem, scores, subset)
                if isinstance(answer, Solved):
                    found.append(answer)
                else:
                    reasons.append(f"{', '.join(map(str, subset))}: {answer.reason}")
            if found:
                return min(
                    found,
                    key=lambda s: (
                        len(s.candidates),
                        sum(e.count_ops() for c in s.candidates for e in c.closed.values()),
                    ),
                )
        return Skipped("; ".join(reasons)[:400])


def _solve_subset(
    problem: Problem, scores: dict[Symbol, Expr], subset: tuple[Symbol, ...]
) -> Solved | Skipped:
    combined = attempt_within(3.0, _combinations, scores, set(subset))
    if isinstance(combined, GaveUp):
        return Skipped(combined.reason)
    if len(combined) < len(subset):
        return Skipped("no combination is free of the statistics that hold them")
    chosen = combined[: len(subset)]
    expressions = [c for _, c in chosen]
    known, facts, hidden = problem.hidden(expressions, set(subset))
    solutions = solve_system(dict(zip(subset, hidden, strict=True)), subset, facts)
    if isinstance(solutions, GaveUp):
        return Skipped(solutions.reason)
    kept, rejected = candidates_of(problem, solutions, known, facts, expressions)
    if not kept:
        return Skipped("no root lies in the domain")
    used = {p for coefficients, _ in chosen for p, c in zip(scores, coefficients, strict=True) if c != 0}
    steps = (
        Step(
            "combine scores",
            tuple(problem.equations.values()),
            tuple(expressions),
            Relation.IMPLIED,
            problem.parameters,
            details=(("coefficients", tuple(Tuple(*c) for c, _ in chosen)),),
        ),
        Step(
            "solve",
            tuple(expressions),
            tuple(Tuple(*(c.closed[p] for p in subset)) for c in kept),
            Relation.ROOTS,
            subset,
            details=(
                ("method", ", ".join(dict.fromkeys(m for s in solutions for m in s.methods))),
                ("rejected", tuple((Tuple(*(v for _, v in r.values)), r.reason) for r in rejected)),
            ),
        ),
    )
    remaining = _independent_remainder(problem, [c for c, _ in chosen], used, len(subset))
    if remaining is None:
        return Skipped("the combinations depend on each other")
    return Solved("combination", subset, tuple(kept), steps, tuple(rejected), remaining)


def _independent_remainder(
    problem: Problem, coefficients: list[tuple[Expr, ...]], used: set[Symbol], size: int
) -> tuple[Symbol, ...] | None:
    """Scores that with the combinations make up the whole system: leave out one used score each.

    A combination with a non-vanishing coefficient on a left-out score gives that score back.
    """
    parameters = problem.parameters
    matrix = Matrix([list(c) for c in coefficients])
    for left_out in subsets(tuple(p for p in parameters if p in used), size):
        columns = [parameters.index(p) for p in left_out]
        minor = attempt_within(2.0, lambda columns=columns: matrix.extract(list(range(size)), columns).det())
        if not isinstance(minor, GaveUp) and problem.likelihood.facts.decide_sign(minor) in (1, -1):
            return tuple(p for p in parameters if p not in left_out)
    return None


# --- combinations ---------------------------------------------------------------------------------


def _combinations(scores: dict[Symbol, Expr], subset: set[Symbol]) -> list[tuple[tuple[Expr, ...], Expr]]:
    """(coefficient of each score, combination) with no atom that holds a parameter of the subset."""
    symbols = list(scores)
    split = [_split(e, subset) for e in scores.values()]
    atoms = sorted({a for s in split for a in s}, key=lambda a: a.sort_key())
    matrix = [[s.get(a, S.Zero) for s in split] for a in atoms]
    if matrix:
        vectors = _null_vectors(matrix, len(symbols))
    else:
        vectors = [[S.One if i == j else S.Zero for j in range(len(symbols))] for i in range(len(symbols))]
    found = []
    for vector in vectors:
        total = Add(*(c * e for c, e in zip(vector, scores.values(), strict=True)))
        total = _collect(expand(total, power_base=False, log=False, deep=False))
        if (
            total != 0
            and total.free_symbols & subset
            and not any(o.free_symbols & subset for o in total.atoms(SampleOperator))
        ):
            found.append((tuple(vector), total))
    return sorted(found, key=lambda pair: pair[1].count_ops())


def _collect(e: Expr) -> Expr:
    """Coefficients of each operator brought together, so that what cancels is seen to."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(e):
        operators = Mul(*(f for f in Mul.make_args(term) if isinstance(f, SampleOperator)))
        found[operators] = found.get(operators, S.Zero) + term / operators
    return Add(*(cancel(together(c)) * o for o, c in found.items()))


def _split(e: Expr, subset: set[Symbol]) -> dict[Expr, Expr]:
    """atom -> coefficient, for atoms that hold the wanted parameters where no formula can reach."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(expand(e, power_base=False, log=False, deep=False)):
        coefficient, atom = S.One, S.One
        for factor in Mul.make_args(term):
            if _is_atom(factor, subset):
                atom *= factor
            else:
                coefficient *= factor
        if atom is not S.One:
            found[atom] = found.get(atom, S.Zero) + coefficient
    return {a: cancel(together(c)) for a, c in found.items() if c != 0}


def _is_atom(factor: Expr, subset: set[Symbol]) -> bool:
    if not factor.free_symbols & subset:
        return False
    base = factor.base if isinstance(factor, Pow) else factor
    if isinstance(base, SampleOperator):
        return True
    return any(n.free_symbols & subset for n in factor.atoms(Function)) and not factor.is_polynomial()


def _null_vectors(matrix: list[list[Expr]], columns: int) -> list[list[Expr]]:
    """Null vectors over the field of rational functions; other kernels are generators of it."""
    kernels: dict[Expr, Symbol] = {}

    def rational(e: Expr) -> Expr:
        e = together(e)
        for n in sorted(e.atoms(Pow, log, Function), key=lambda n: (-n.count_ops(), n.sort_key())):
            if isinstance(n, Pow) and n.exp.is_Integer:
                continue
            kernels.setdefault(n, Dummy())
        return e.xreplace(kernels)

    rows = [[rational(e) for e in row] for row in matrix]
    field = DomainMatrix.from_list_sympy(len(rows), columns, rows).to_field()
    null = field.nullspace()
    back = {d: n for n, d in kernels.items()}
    vectors = []
    for row in null.to_Matrix().tolist():
        denominators = [fraction(together(e))[1] for e in row]
        common = Mul(*dict.fromkeys(denominators))
        vector = [cancel(e * common) for e in row]
        gcd = _common_factor(vector)
        vectors.append([cancel(v / gcd).xreplace(back) for v in vector])
    return vectors


def _common_factor(vector: list[Expr]) -> Expr:
    from sympy import gcd_list

    present = [v for v in vector if v != 0]
    answer = attempt_within(2.0, gcd_list, present)
    return S.One if isinstance(answer, GaveUp) or answer == 0 else answer


# --- partial fractions ----------------------------------------------------------------------------


def _scores_in_partial_fractions(problem: Problem) -> dict[Symbol, Expr] | GaveUp:
    """Of every parameter; the same for every number of parameters that are to be solved."""
    if problem.fractions is None:
        found: dict[Symbol, Expr] = {}
        for p, e in problem.equations.items():
            answer = _partial_fractions(e)
            if isinstance(answer, GaveUp):
                problem.fractions = answer
                return answer
            found[p] = answer
        problem.fractions = found
    return problem.fractions


def _partial_fractions(score: Expr) -> Expr | GaveUp:
    """Means of rational functions of a data-bearing kernel in partial fractions, so that atoms agree."""
    return attempt_within(2.0, lambda: score.replace(lambda e: isinstance(e, Mean), _split_mean))


def _split_mean(mean: Expr) -> Expr:
    columns = mean.args[-1]
    g = mean.summand
    denominator = fraction(together(g))[1]
    if not denominator.free_symbols & set(columns) or not isinstance(denominator, Add | Mul | Pow):
        return mean
    generator = _data_generator(denominator, set(columns))
    if generator is None:
        return mean
    d = Dummy()
    renamed = together(g.xreplace({generator: d}))
    other = _other_data(renamed, d, set(columns))
    factored = Mul(*other) if other else S.One
    rest = cancel(renamed / factored)
    if rest.free_symbols & set(columns) or Poly(fraction(rest)[1], d).degree() < 1:
        return mean
    parts = Add.make_args(apart(rest, d))
    total: Expr = S.Zero
    for part in parts:
        piece = _monic(part, d).xreplace({d: generator}) * factored
        coefficient, inner = piece.as_independent(*columns, as_Add=False)
        total += coefficient * Mean(inner, columns)
    return total


def _monic(part: Expr, d: Symbol) -> Expr:
    """One spelling of c/(a + b d): numerator and denominator cancelled, constants drawn out."""
    from sympy import factor

    return factor(part)


def _data_generator(denominator: Expr, columns: set[Symbol]) -> Expr | None:
    """The one kernel through which the data stand in a denominator: x, log(x), exp(b x) ..."""
    sums = [n for n in denominator.atoms(Add) if n.free_symbols & columns] or [denominator]
    kernels: set[Expr] = set()
    for s in sums:
        for term in Add.make_args(s):
            for factor in Mul.make_args(term):
                if factor.free_symbols & columns:
                    kernels.add(factor.base if isinstance(factor, Pow) and factor.exp.is_Integer else factor)
    return kernels.pop() if len(kernels) == 1 else None


def _other_data(e: Expr, d: Symbol, columns: set[Symbol]) -> list[Expr]:
    return [f for f in Mul.make_args(e) if f.free_symbols & columns]
