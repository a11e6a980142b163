"""Equality constraints that are not linear: the Lagrangian, and its maximum by free parameters or elimination."""

from __future__ import annotations

import mpmath
from sympy import Add, Dummy, Expr, Ne, Symbol, fraction, together

from symmle.algebra import GaveUp, attempt_within, compile_expression
from symmle.algebra.constraints import Parametrisation, parametrisations
from symmle.certify.lagrange import LargestOnCompact, OnConstraints, is_ellipsoid
from symmle.declare.declaration import Declaration
from symmle.estimator import BySymbol, Certificate, Estimator, Face, Kind, StationaryPoint
from symmle.likelihood import Likelihood
from symmle.record import Condition, Relation, Step
from symmle.reduction import on_branch
from symmle.reductions.boundary_records import certificate_of, is_closed, reason_of, without_proofs
from symmle.reductions.lagrange_system import solutions_of
from symmle.reductions.problem import Part, Reduced, Skipped, Solve
from symmle.sample import Count
from symmle.score import ScoreSystem
from symmle.strategies.answer import tidy
from symmle.strategies.problem import Problem

Point = dict[Symbol, Expr]


class Lagrange:
    """Maxima on {h = 0} for constraints that no parameter enters linearly with a constant coefficient."""

    name = "constraints"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        declaration = likelihood.declaration
        if not declaration.constraints or declaration.latent:
            return Skipped("")
        if any(part.components for part in declaration.samples):
            return Skipped("")
        problem = Problem(likelihood, ScoreSystem(likelihood))
        multipliers = _multipliers(declaration)
        equations = _equations(problem, multipliers)
        steps = _opening(problem, equations, multipliers)
        branches = parametrisations(declaration.constraints, declaration.parameters)
        if branches is not None and len(branches) == 1:
            return _on_one_branch(declaration, branches[0], steps, solve)
        answer = _by_elimination(problem, equations, multipliers, steps)
        if isinstance(answer, Reduced):
            return answer
        if branches is None:
            return Skipped(f"no constraint was solved for a parameter; {answer.reason}")
        return _over_branches(declaration, branches, steps, solve)


# --- the Lagrangian ---------------------------------------------------------------------------------
def _multipliers(declaration: Declaration) -> tuple[Symbol, ...]:
    taken = {s.name for s in (*declaration.parameters, *declaration.constants)}
    taken |= {c.name for part in declaration.samples for c in part.all_columns}
    stem = next(n for n in ("lambda", "kappa", "nu", "multiplier") if n not in taken)
    number = len(declaration.constraints)
    return tuple(Symbol(stem if number == 1 else f"{stem}_{k + 1}", real=True) for k in range(number))


def _equations(problem: Problem, multipliers: tuple[Symbol, ...]) -> dict[Symbol, Expr]:
    """d/dp (l/n + sum lambda_j h_j) for one sample, of l where there are several."""
    constraints = problem.likelihood.declaration.constraints
    return {
        p: score + Add(*(m * h.diff(p) for m, h in zip(multipliers, constraints, strict=True)))
        for p, score in problem.equations.items()
    }


def _opening(
    problem: Problem, equations: dict[Symbol, Expr], multipliers: tuple[Symbol, ...]
) -> tuple[Step, ...]:
    declaration, likelihood = problem.likelihood.declaration, problem.likelihood
    parameters = tuple(declaration.parameters)
    l = likelihood.log_likelihood
    if likelihood.is_single:
        l = l / Count(likelihood.forms[0].columns)
    return (
        Step(
            "why not the score",
            (),
            (),
            Relation.DEFINITION,
            parameters,
            details=(("reason", "constraint"),),
        ),
        Step(
            "lagrange",
            (l, *declaration.constraints),
            tuple(equations.values()),
            Relation.DEFINITION,
            parameters,
            details=(("multipliers", multipliers),),
        ),
    )


# --- one parametrisation of the whole set -------------------------------------------------------------
def _on_one_branch(
    declaration: Declaration, branch: Parametrisation, steps: tuple[Step, ...], solve: Solve
) -> Reduced | Skipped:
    reduced = on_branch(declaration, branch)
    part = solve(reduced)
    if part.estimator.obstacle:
        return Skipped(part.estimator.obstacle)
    steps = (*steps, *_branch_steps(declaration, branch, part))
    inner = certificate_of(part)
    if not part.estimator.closed or part.estimator.remaining or part.estimator.faces:
        proof = None if inner is None else OnConstraints(declaration, (), tuple(branch.back.items()), inner)
        return _numeric(declaration, ((branch, part),), steps, proof, reason_of(part))
    closed = _whole(declaration, branch, part.estimator.closed)
    conditions = part.estimator.conditions
    others = tuple(BySymbol(_whole(declaration, branch, a)) for a in part.estimator.alternatives)
    proof = None
    if inner is not None:
        proof = OnConstraints(
            declaration, tuple(closed.items()), tuple(branch.back.items()), inner, conditions
        )
        if not others:
            steps = (*steps, _solve_step(closed, conditions))
    return Reduced(_estimator(closed, conditions, proof, reason_of(part), others), steps)


def _branch_steps(declaration: Declaration, branch: Parametrisation, part: Part) -> tuple[Step, ...]:
    """The constraints solved for parameters, the problem in the free ones, and back."""
    closed = part.estimator.closed
    entering = Step(
        "constraints",
        declaration.constraints,
        tuple(branch.back.values()),
        Relation.DEFINITION,
        tuple(branch.back),
        details=(("declaration", part.declaration),),
    )
    leaving = Step(
        "put in",
        tuple(branch.back.values()),
        tuple(_put_in(e, closed) for e in branch.back.values()),
        Relation.DEFINITION,
        tuple(branch.back),
        details=(("declaration", declaration),),
    )
    return (entering, *without_proofs(part.steps), leaving)


def _put_in(e: Expr, closed: Point) -> Expr:
    short = attempt_within(2.0, tidy, e.xreplace(dict(closed)))
    return e.xreplace(dict(closed)) if isinstance(short, GaveUp) else short


def _whole(declaration: Declaration, branch: Parametrisation, closed: Point) -> Point:
    return {p: closed[p] if p in closed else _put_in(branch.back[p], closed) for p in declaration.parameters}


# --- several branches ----------------------------------------------------------------------------------
def _over_branches(
    declaration: Declaration, branches: tuple[Parametrisation, ...], steps: tuple[Step, ...], solve: Solve
) -> Reduced | Skipped:
    """Each branch solved for itself; the best by value on data."""
    parts = [(branch, solve(on_branch(declaration, branch))) for branch in branches]
    for _, part in parts:
        if part.estimator.obstacle:
            return Skipped(part.estimator.obstacle)
    for branch, part in parts:
        steps = (*steps, *_branch_steps(declaration, branch, part))
    reason = "the maxima on the branches of the constraint set are compared by value on data"
    if not all(is_closed(part) for _, part in parts):
        return _numeric(declaration, tuple(parts), steps, None, reason)
    points = [_whole(declaration, branch, part.estimator.closed) for branch, part in parts]
    shared = [set(part.estimator.conditions) for _, part in parts]
    conditions = tuple(c for c in parts[0][1].estimator.conditions if all(c in s for s in shared))
    others = tuple(BySymbol(p) for p in points[1:])
    return Reduced(_estimator(points[0], conditions, None, reason, others), steps)


def _numeric(
    declaration: Declaration,
    parts: tuple[tuple[Parametrisation, Part], ...],
    steps: tuple[Step, ...],
    proof: Certificate | None,
    reason: str,
) -> Reduced:
    """Faces in the free parameters: fit solves each and completes the point by the map back."""
    faces = tuple(Face(dict(branch.back), part.declaration, part.estimator) for branch, part in parts)
    remaining = tuple(e for _, part in parts[:1] for e in part.estimator.remaining)
    values = BySymbol({p: p for p in declaration.parameters})
    kind = Kind.UNDECIDED if proof is None else proof.kind
    point = StationaryPoint(values, kind, proof, reason="" if proof is not None else reason)
    estimator = Estimator(
        remaining=remaining,
        points=(point,),
        route="lagrange",
        notes=() if proof is not None else (f"no proof of a global maximum for every sample: {reason}",),
        faces=faces,
    )
    return Reduced(estimator, steps)


# --- elimination of the multipliers ----------------------------------------------------------------------
def _by_elimination(
    problem: Problem, equations: dict[Symbol, Expr], multipliers: tuple[Symbol, ...], steps: tuple[Step, ...]
) -> Reduced | Skipped:
    declaration = problem.likelihood.declaration
    parameters = tuple(declaration.parameters)
    known, _, hidden = problem.hidden(list(equations.values()), set(parameters))
    if any(e.has(*known.opaque) for e in hidden):
        return Skipped("a statistic holds a parameter")
    # plain symbols for the field of the statistics
    plain = {s: Dummy(f"T{k}", **_reality(s)) for k, s in enumerate(sorted(known.meaning, key=str))}
    back = {d: s for s, d in plain.items()}
    system = [e.xreplace(plain) for e in (*hidden, *declaration.constraints)]
    if not all(e.is_rational_function(*parameters, *multipliers) for e in system):
        return Skipped("the equations are not rational in the parameters")
    found = solutions_of(system, multipliers, parameters)
    if isinstance(found, str):
        return Skipped(found)
    shown = [{p: tidy(s[p]).xreplace(back) for p in parameters} for s in found]
    points = [{p: known.show(e) for p, e in s.items()} for s in shown]
    admitted = [k for k, p in enumerate(points) if problem.count_admissible(p)[0] > 0]
    if not admitted:
        return Skipped("no solution of the Lagrangian's equations lies in the parameter space")
    order = _ranked(problem, [points[k] for k in admitted])
    admitted = [admitted[i] for i in order]
    best, others = points[admitted[0]], [points[k] for k in admitted[1:]]
    conditions = _defined(best)
    gaps = [
        _gap(problem, found[admitted[0]], found[k], plain, known.hide(problem.likelihood.log_likelihood))
        for k in admitted[1:]
    ]
    proof: Certificate | None = None
    reason = "the solutions of the Lagrangian's equations are compared by value on data"
    if is_ellipsoid(declaration) and len(admitted) == len(found):
        if all(gap is not None for gap in gaps):
            named = tuple(tuple(p.items()) for p in (best, *others))
            decided = tuple(gap for gap in gaps if gap is not None)
            proof, others = LargestOnCompact(declaration, named, decided, conditions), []
    if proof is not None:
        steps = (*steps, _solve_step(best, conditions))
    alternatives = tuple(BySymbol(p) for p in others)
    return Reduced(_estimator(best, conditions, proof, reason, alternatives), steps)


def _reality(symbol: Symbol) -> dict[str, bool]:
    if symbol.is_positive:
        return {"positive": True}
    return {"negative": True} if symbol.is_negative else {"real": True}


def _defined(point: Point) -> tuple[Condition, ...]:
    """The denominators are not zero."""
    found = []
    for p, e in point.items():
        denominator = fraction(together(e))[1]
        if not denominator.is_number and denominator.is_nonzero is not True:
            found.append(Condition(Ne(denominator, 0, evaluate=False), "defined", (p,)))
    return tuple({c.expression: c for c in found}.values())


def _gap(
    problem: Problem, best: Point, other: Point, plain: dict[Symbol, Symbol], hidden: Expr
) -> Expr | None:
    """l at one point less l at another in plain symbols, where that is surely not negative."""
    parameters = problem.parameters
    l = hidden.xreplace(plain)
    first, second = (l.xreplace({p: s[p] for p in parameters}) for s in (best, other))
    gap = attempt_within(3.0, lambda: tidy((first - second).expand().factor()))
    return gap if not isinstance(gap, GaveUp) and gap.is_nonnegative else None


def _ranked(problem: Problem, points: list[Point]) -> list[int]:
    """Places of the points, those first that are best by l most often at random samples."""
    l = compile_expression(problem.likelihood.log_likelihood)
    compiled = [{p: compile_expression(e) for p, e in point.items()} for point in points]
    wins = [0] * len(points)
    for values, rows in problem.points:
        heights: list[tuple[object, int]] = []
        for k, functions in enumerate(compiled):
            try:
                at = {p: mpmath.mpmathify(f(values, rows)) for p, f in functions.items()}
                if all(problem.contains(p, v, values) for p, v in at.items()):
                    at = {p: mpmath.re(v) for p, v in at.items()}
                    heights.append((mpmath.re(l({**values, **at}, rows)), k))
            except (ZeroDivisionError, ValueError, ArithmeticError):
                continue
        if heights:
            wins[max(heights)[1]] += 1
    return sorted(range(len(points)), key=lambda k: -wins[k])


# --- answers -----------------------------------------------------------------------------------------------
def _solve_step(closed: Point, conditions: tuple[Condition, ...]) -> Step:
    return Step("solve", (), tuple(closed.values()), Relation.MAXIMUM, tuple(closed), conditions)


def _estimator(
    closed: Point,
    conditions: tuple[Condition, ...],
    proof: Certificate | None,
    reason: str,
    others: tuple[BySymbol, ...],
) -> Estimator:
    kind = Kind.UNDECIDED if proof is None else proof.kind
    point = StationaryPoint(BySymbol(closed), kind, proof, reason="" if proof is not None else reason)
    return Estimator(
        closed=BySymbol(closed),
        points=(point,),
        conditions=conditions,
        kind="closed form",
        route="lagrange",
        alternatives=others,
        notes=() if proof is not None else (f"no proof of a global maximum for every sample: {reason}",),
    )


__all__ = ["Lagrange"]
