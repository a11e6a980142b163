"""The one orchestrator: a declaration goes in, an estimator and the trace of its derivation come out.

Strategies stand in one order. Whatever was reached when the time is up stands; the rest is left as
remaining equations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import mpmath
from sympy import Expr, Gt, Symbol, Tuple

from symmle.algebra import GaveUp, attempt_within, compile_expression, seconds_left
from symmle.certify import certify_point, certify_profile
from symmle.declare.declaration import Declaration
from symmle.estimator import BySymbol, Estimator, Kind, StationaryPoint
from symmle.existence import degenerate_conditions
from symmle.family import support_parameters
from symmle.identifiability import information_rank
from symmle.latent.em import find_em, is_latent
from symmle.latent.problem import Block, Unmatched
from symmle.latent.steps import steps_of
from symmle.latent.sums import read_sum
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Attempt, Condition, Equation, Relation, Step, Trace
from symmle.reduction import solve_constraints, with_numbers
from symmle.reductions import REDUCTIONS, Part
from symmle.score import ScoreSystem, split_means
from symmle.strategies import strategies_for
from symmle.strategies.answer import as_one_mean
from symmle.strategies.combination import Combination
from symmle.strategies.obstacles import find_obstacle, moving_pieces
from symmle.strategies.problem import Candidate, Problem, Skipped, Solved, real_part

Progress = Callable[[str], None]
MOST_OPERATIONS = 1200  # a longer closed form says nothing to a reader, and loses digits
# steps of a part that the whole has already, or states at its end
OPENING = frozenset(
    ("model", "likelihood", "logarithm", "normal form", "identifiability", "existence", "estimate")
)


@dataclass
class Outcome:
    """What a run has reached; every field is valid at any time."""

    declaration: Declaration
    trace: Trace = field(default_factory=Trace)
    likelihood: Likelihood | None = None
    score: ScoreSystem | None = None
    estimator: Estimator | None = None


class Run:
    """One derivation. The run owns all state, the budget and the choice among candidates."""

    def __init__(self, declaration: Declaration, time_limit: float, progress: Progress | None = None):
        self.outcome = Outcome(declaration)
        self.time_limit = time_limit
        self.progress = progress or (lambda text: None)
        self.edges: tuple[Symbol, ...] = ()  # parameters that move the edge of a support

    @property
    def trace(self) -> Trace:
        return self.outcome.trace

    def go(self) -> Outcome:
        """Derive within the time limit."""
        answer = attempt_within(self.time_limit, self._derive, by_wall=True)
        if isinstance(answer, GaveUp):
            self.trace.attempt(Attempt("derivation", False, answer.reason))
        if self.outcome.estimator is None:
            self.outcome.estimator = self._unsolved(answer.reason if isinstance(answer, GaveUp) else "")
        self._mark_edges()
        return self.outcome

    def _mark_edges(self) -> None:
        """Say of an estimator by the score that the edge of a support is still to be looked at."""
        if self.edges and self.outcome.estimator is not None:
            names = ", ".join(map(str, self.edges))
            note = f"the support depends on {names}: its edge is looked at where the data are known"
            estimator = self.outcome.estimator
            self.outcome.estimator = replace(estimator, edges=self.edges, notes=(*estimator.notes, note))

    # --- the way of a model ---------------------------------------------------------------------
    def _derive(self) -> None:
        declaration = self.outcome.declaration
        if is_latent(declaration) and self._derive_latent(declaration):
            return
        self.progress("opening the log-likelihood")
        likelihood = build_likelihood(declaration)
        self.outcome.likelihood = likelihood
        self.outcome.score = ScoreSystem(likelihood)
        self._record_likelihood(likelihood)
        reduced = declaration
        back: dict[Symbol, Expr] = {}
        if declaration.constraints and not declaration.latent:
            solved = solve_constraints(declaration)
            if solved is not None:
                reduced, back = solved
                self.trace.add(
                    Step(
                        "constraints",
                        declaration.constraints,
                        tuple(back.values()),
                        Relation.DEFINITION,
                        tuple(back),
                    )
                )
        work = likelihood if reduced is declaration else build_likelihood(reduced)
        if self._reduce(work, back):
            return
        obstacle = find_obstacle(work)
        if obstacle is not None and obstacle.stops:
            self.trace.attempt(Attempt("likelihood equations", False, obstacle.text))
            self.outcome.estimator = Estimator(notes=(obstacle.text,), obstacle=obstacle.text)
            return
        self.edges = () if obstacle is None else obstacle.edges
        problem = self._problem(work)
        self._record_score(problem)
        rank = attempt_within(2.0, information_rank, work)
        if isinstance(rank, int) and rank < len(problem.parameters):
            reason = (
                f"not identifiable: the information has rank {rank} for {len(problem.parameters)} parameters"
            )
            self.trace.attempt(Attempt("identifiability", False, reason))
            self.outcome.estimator = self._unsolved(reason)
            return
        if isinstance(rank, int):
            self.trace.add(
                Step(
                    "identifiability",
                    (),
                    (),
                    Relation.DEFINITION,
                    problem.parameters,
                    details=(("rank", rank),),
                )
            )
        self.outcome.estimator = self._unsolved("", problem)
        solved_parts = self._solve(problem)
        if self._should_retry_with_numbers(solved_parts, reduced):
            again = self._problem(build_likelihood(with_numbers(reduced)))
            kept = self.trace.steps[:], self.trace.attempts[:]
            retried = self._solve(again)
            if _closes_more(retried, solved_parts):
                problem, solved_parts = again, retried
            else:
                self.trace.steps, self.trace.attempts = kept
        if solved_parts is None and not back and not self.edges and self._derive_as_mixture(declaration):
            return
        if solved_parts is None:
            self.outcome.estimator = self._unsolved("", problem, degenerate_conditions(problem))
            self._certify(problem)
            return
        self._conclude(problem, solved_parts, back)

    # --- where something is not observed ------------------------------------------------------------
    def _derive_latent(self, declaration: Declaration) -> bool:
        """Whether E-step and M-step were derived; the estimator and the steps are then recorded."""
        self.progress("reading the latent structure")
        started = time.monotonic()
        em = attempt_within(max(1.0, 0.8 * seconds_left()), find_em, declaration, self._solve_block)
        spent = time.monotonic() - started
        if isinstance(em, Unmatched | GaveUp):
            self.trace.attempt(Attempt("latent structure", False, em.reason, spent))
            return False
        if not is_latent(self.outcome.declaration) and em.estimator.kind == "numeric":
            # a sum that nobody called a mixture gains nothing from an M-step without a closed part
            self.trace.attempt(Attempt("latent structure", False, "the M-step has no closed part", spent))
            return False
        self.trace.attempt(Attempt("latent structure", True, "", spent))
        self.trace.steps.clear()
        likelihood = build_likelihood(em.observed)
        self.outcome.likelihood, self.outcome.score = likelihood, ScoreSystem(likelihood)
        for step in steps_of(declaration, em, self._solve_in_short):
            self.trace.add(step)
        notes = (f"the likelihood has no bound: {em.unbounded}",) if getattr(em, "unbounded", "") else ()
        # left as they are: products of the sums of a mixture have thousands of terms
        slopes = {p: likelihood.log_likelihood.diff(p) for p in likelihood.parameters}
        equations = tuple(Equation(p, e) for p, e in slopes.items())
        self.outcome.estimator = Estimator(kind="em", route="em", remaining=equations, notes=notes, em=em)
        if likelihood.has_residual or notes:
            return True
        self.progress("solving the likelihood equations of the marginal")
        part = attempt_within(min(5.0, seconds_left() / 3), self._solve_part, em.observed)
        if isinstance(part, GaveUp):
            self.trace.attempt(Attempt("the marginal in closed form", False, part.reason))
        elif part.estimator.kind == "closed form" and part.estimator.points[0].certificate is not None:
            for step in part.steps:
                self.trace.add(step)
            self.outcome.estimator = replace(part.estimator, em=em)
            self._record_estimate(part.estimator)
        return True

    def _derive_as_mixture(self, declaration: Declaration) -> bool:
        """Whether a density that is a sum was seen to be a mixture, and its EM derived."""
        if is_latent(declaration):
            return False
        found = attempt_within(min(6.0, seconds_left() / 4), read_sum, declaration)
        if isinstance(found, GaveUp | Unmatched):
            self.trace.attempt(Attempt("mixture", False, found.reason))
            return False
        return self._derive_latent(found)

    def _solve_in_short(self, declaration: Declaration) -> Block:
        """One parameter with the others known, for the reader: the answer at once, or none."""
        return self._solve_block(declaration, 2.5)

    def _solve_block(self, declaration: Declaration, seconds: float = 10.0) -> Block:
        """The M-step for parameters that stand together; numeric where the ladder does not answer in time."""
        part = attempt_within(min(seconds, max(1.5, seconds_left() / 3)), self._solve_part, declaration)
        if isinstance(part, GaveUp):
            self.trace.attempt(Attempt("M-step", False, part.reason))
            score = ScoreSystem(build_likelihood(declaration)).equations
            return Block(declaration, Estimator(remaining=tuple(Equation(p, e) for p, e in score.items())))
        return Block(declaration, part.estimator, part.steps)

    # --- where the score does not decide ----------------------------------------------------------
    def _reduce(self, work: Likelihood, back: dict[Symbol, Expr]) -> bool:
        """Whether a reduction has answered; its estimator and steps are then recorded."""
        for reduction in REDUCTIONS:
            self.progress(f"trying {reduction.name}")
            started = time.monotonic()
            answer = attempt_within(max(1.0, seconds_left() - 0.5), reduction.attempt, work, self._solve_part)
            spent = time.monotonic() - started
            if isinstance(answer, Skipped | GaveUp):
                if answer.reason:
                    self.trace.attempt(Attempt(reduction.name, False, answer.reason, spent))
                continue
            self.trace.attempt(Attempt(reduction.name, True, "", spent))
            for step in answer.steps:
                self.trace.add(step)
            estimator = answer.estimator
            if back:
                more = {p: e.xreplace(estimator.closed) for p, e in back.items()}
                estimator = replace(estimator, closed=BySymbol({**estimator.closed, **more}))
            self.outcome.estimator = replace(estimator, closed=self._ordered(estimator.closed))
            self._record_proof(self.outcome.estimator)
            self._record_estimate(self.outcome.estimator)
            return True
        return False

    def _ordered(self, closed: dict[Symbol, Expr]) -> BySymbol:
        return BySymbol({p: closed[p] for p in self.outcome.declaration.parameters if p in closed})

    def _solve_part(self, declaration: Declaration) -> Part:
        """The ladder again on a smaller declaration, without the words on its likelihood."""
        if not declaration.parameters:
            return Part(declaration, Estimator(kind="closed form", route="joint"), ())
        run = Run(declaration, self.time_limit, self.progress)
        run._derive()
        run._mark_edges()
        self.trace.attempts.extend(run.trace.attempts)
        assert run.outcome.estimator is not None
        steps = tuple(s for s in run.trace.steps if s.rule not in OPENING)
        return Part(declaration, run.outcome.estimator, steps)

    def _problem(self, likelihood: Likelihood) -> Problem:
        movable = frozenset(support_parameters(likelihood) & set(likelihood.parameters))
        score = self.outcome.score if likelihood is self.outcome.likelihood else None
        return Problem(likelihood, score or ScoreSystem(likelihood), movable)

    def _solve(self, problem: Problem) -> Solved | None:
        if moving_pieces(problem.likelihood):
            reason = "the pieces of the density move with parameters: its score is solved numerically"
            self.trace.attempt(Attempt("closed forms", False, reason))
            return None
        for strategy in strategies_for(len(problem.parameters)):
            if seconds_left() < min(1.0, 0.2 * self.time_limit):
                self.trace.attempt(Attempt(strategy.name, False, "no time is left"))
                return None
            self.progress(f"trying {strategy.name}")
            started = time.monotonic()
            answer = strategy.attempt(problem)
            spent = time.monotonic() - started
            if isinstance(answer, Solved) and _is_too_long(answer):
                answer = Skipped(f"the answer has more than {MOST_OPERATIONS} operations")
            if isinstance(answer, Solved):
                self.trace.attempt(Attempt(strategy.name, True, "", spent))
                for step in answer.steps:
                    self.trace.add(step)
                return self._combine_further(problem, answer)
            self.trace.attempt(Attempt(strategy.name, False, answer.reason, spent))
        return None

    def _combine_further(self, problem: Problem, solved: Solved) -> Solved:
        """Combinations of the equations that an elimination left, where more than one is left."""
        if len(solved.remaining) < 2 or len(solved.candidates) != 1 or solved.route != "profile":
            return solved
        closed = solved.candidates[0].closed
        left = Problem(problem.likelihood, ScoreSystem(problem.likelihood, solved.remaining), problem.movable)
        left.__dict__["equations"] = {p: _put_in(problem, p, closed) for p in solved.remaining}
        answer = attempt_within(min(6.0, seconds_left() / 2), Combination().attempt, left)
        if not isinstance(answer, Solved) or len(answer.candidates) != 1:
            return solved
        self.trace.attempt(Attempt("combination of the remaining equations", True))
        for step in answer.steps:
            self.trace.add(step)
        more = answer.candidates[0].closed
        candidate = Candidate(
            {**{p: e.xreplace(more) for p, e in closed.items()}, **more},
            solved.candidates[0].conditions + answer.candidates[0].conditions,
            None,
        )
        return Solved(
            "combination", solved.parameters + answer.parameters, (candidate,), (), (), answer.remaining
        )

    def _should_retry_with_numbers(self, solved: Solved | None, declaration: Declaration) -> bool:
        if not any(v is not None for v in declaration.constants.values()) or seconds_left() < 3.0:
            return False
        return solved is None or bool(solved.remaining)

    # --- conclusion -----------------------------------------------------------------------------
    def _conclude(self, problem: Problem, solved: Solved, back: dict[Symbol, Expr]) -> None:
        original = problem
        problem = solved.problem or problem
        back = {**back, **solved.back}
        best, others = _ranked(problem, solved)
        unknowns = _unknowns(problem, solved)
        equations = tuple(
            Equation(
                p, _put_in(problem, s, best.closed), "profile score" if solved.route == "profile" else "score"
            )
            for p, s in unknowns.items()
        )
        if equations:
            self.trace.add(
                Step(
                    "remaining",
                    tuple(problem.equations[s] for s in unknowns.values()),
                    tuple(e.expression for e in equations),
                    Relation.EQUAL,
                    tuple(unknowns),
                    details=(("closed", tuple(Tuple(p, e) for p, e in best.closed.items())),),
                )
            )
        closed = {
            **best.closed,
            **{p: as_one_mean(e.xreplace(best.closed), problem) for p, e in back.items()},
        }
        ordered = BySymbol({p: closed[p] for p in self.outcome.declaration.parameters if p in closed})
        self.outcome.estimator = Estimator(
            closed=ordered,
            remaining=equations,
            conditions=best.conditions
            + _conditions_of_space(problem, best.closed)
            + tuple(
                c for c in degenerate_conditions(problem) if solved.remaining and c not in best.conditions
            ),
            kind="closed form" if not equations else "reduced",
            route=solved.route,
            alternatives=tuple(
                BySymbol({**c.closed, **{p: e.xreplace(c.closed) for p, e in back.items()}}) for c in others
            ),
            points=(self._point(ordered, equations),),
            auxiliary={p: problem.domains[p] for p in unknowns if p not in original.domains},
        )
        self._certify(problem, solved, best)

    def _point(self, closed: dict[Symbol, Expr], equations: tuple[Equation, ...]) -> StationaryPoint:
        values = BySymbol({**closed, **{e.parameter: e.parameter for e in equations}})
        return StationaryPoint(values, reason="no proof was attempted")

    def _certify(self, problem: Problem, solved: Solved | None = None, best: Candidate | None = None) -> None:
        estimator = self.outcome.estimator
        assert estimator is not None
        self.progress("looking for a proof that it is the maximum")
        conditions = estimator.conditions
        answer = attempt_within(
            max(0.5, min(8.0, seconds_left() - 0.5)),
            certify_point,
            problem,
            estimator,
            solved is not None and len(solved.candidates) == 1,
        )
        certificate = None if isinstance(answer, GaveUp | str) else answer
        reason = answer.reason if isinstance(answer, GaveUp) else answer if isinstance(answer, str) else ""
        if self.edges and certificate is not None and estimator.closed and not estimator.remaining:
            # a closed root of the score may lie outside the support: what is found by number does not
            certificate = None
            moving = ", ".join(map(str, self.edges))
            reason = f"the support moves with {moving}: whether it holds the root is seen with the data"
        profile = None
        if not self.edges and estimator.route == "profile" and solved is not None:
            made = attempt_within(3.0, certify_profile, problem, solved.parameters, conditions)
            profile = None if isinstance(made, GaveUp | str) else made
        points = estimator.points or (
            StationaryPoint(BySymbol({e.parameter: e.parameter for e in estimator.remaining})),
        )
        points = tuple(
            StationaryPoint(
                p.values,
                certificate.kind if certificate is not None else Kind.UNDECIDED,
                certificate,
                p.boundary,
                None,
                reason,
            )
            for p in points
        )
        self.outcome.estimator = Estimator(
            estimator.closed,
            estimator.remaining,
            points,
            conditions,
            estimator.kind,
            estimator.route,
            estimator.alternatives,
            profile,
            estimator.notes
            + (
                ()
                if certificate is not None
                else (f"no proof of a global maximum for every sample: {reason}",)
            ),
            auxiliary=estimator.auxiliary,
        )
        self._record_proof(self.outcome.estimator)
        self._record_estimate(self.outcome.estimator)

    def _record_proof(self, estimator: Estimator) -> None:
        proved = next((p.certificate for p in estimator.points if p.certificate is not None), None)
        for proof, rule in ((proved, "certificate"), (estimator.profile_certificate, "profile certificate")):
            if proof is not None:
                self.trace.add(
                    Step(
                        rule,
                        tuple(estimator.closed.values()),
                        (),
                        Relation.THEOREM,
                        tuple(estimator.closed),
                        estimator.conditions,
                        details=(("certificate", proof), ("theorem", proof.theorem)),
                    )
                )

    def _record_estimate(self, estimator: Estimator) -> None:
        named, conditions = tuple(estimator.closed), estimator.conditions
        if conditions and not estimator.supremum:
            self.trace.add(Step("existence", (), (), Relation.DEFINITION, named, conditions))
        if estimator.closed:
            values = tuple(estimator.closed.values())
            self.trace.add(Step("estimate", (), values, Relation.DEFINITION, named, conditions))

    def _unsolved(
        self, reason: str, problem: Problem | None = None, conditions: tuple[Condition, ...] = ()
    ) -> Estimator:
        equations: tuple[Equation, ...] = ()
        if problem is not None:
            equations = tuple(Equation(p, e) for p, e in problem.equations.items())
        return Estimator(remaining=equations, conditions=conditions, notes=(reason,) if reason else ())

    # --- records --------------------------------------------------------------------------------
    def _record_likelihood(self, likelihood: Likelihood) -> None:
        densities = tuple(f.part.density for f in likelihood.forms)
        self.trace.add(Step("model", (), densities, Relation.DEFINITION))
        self.trace.add(Step("likelihood", (), densities, Relation.DEFINITION))
        self.trace.add(Step("logarithm", densities, likelihood.log_density, Relation.LOGARITHM))
        from symmle.sample import Total, statistics_of

        before = tuple(Total(f.opened, f.columns) for f in likelihood.forms)
        shown = likelihood.displayed
        self.trace.add(
            Step(
                "normal form",
                before,
                (shown,),
                Relation.EQUAL,
                details=(
                    ("statistics", tuple(statistics_of(shown))),
                    ("family", "" if likelihood.has_residual else "exponential family"),
                ),
            )
        )

    def _record_score(self, problem: Problem) -> None:
        self.trace.add(
            Step(
                "score",
                (problem.likelihood.log_likelihood,),
                tuple(problem.score.equations.values()),
                Relation.DERIVATIVE,
                problem.parameters,
            )
        )


def _conditions_of_space(problem: Problem, closed: dict[Symbol, Expr]) -> tuple[Condition, ...]:
    """`where` at the closed forms, where no sign proves it."""
    found = []
    for w in problem.likelihood.declaration.where:
        at = as_one_mean(w.xreplace(closed), problem)
        if at.free_symbols & set(problem.parameters):
            continue
        _, facts, (hidden,) = problem.hidden([at], set())
        if facts.decide_sign(hidden) != 1:
            found.append(Condition(Gt(at, 0, evaluate=False), "in the parameter space", ()))
    return tuple(found)


def _unknowns(problem: Problem, solved: Solved) -> dict[Symbol, Symbol]:
    """Parameter that is left -> the parameter whose score is its equation: its own where that is left."""
    left = [p for p in problem.parameters if p not in solved.parameters]
    scores = list(solved.remaining)
    own = {p: p for p in left if p in scores}
    others = iter(s for s in scores if s not in own)
    return {p: own[p] if p in own else next(others) for p in left}


def _put_in(problem: Problem, parameter: Symbol, closed: dict[Symbol, Expr]) -> Expr:
    free = frozenset(problem.likelihood.parameters)
    return split_means(problem.equations[parameter].xreplace(closed), free).expand(
        deep=False, power_base=False, log=False
    )


def _is_too_long(solved: Solved) -> bool:
    return all(sum(e.count_ops() for e in c.closed.values()) > MOST_OPERATIONS for c in solved.candidates)


def _closes_more(new: Solved | None, old: Solved | None) -> bool:
    if new is None:
        return False
    return old is None or len(new.remaining) < len(old.remaining)


def _ranked(problem: Problem, solved: Solved) -> tuple[Candidate, list[Candidate]]:
    """The candidate that is best by log-likelihood most often at random samples, and the others."""
    candidates = list(solved.candidates)
    if len(candidates) == 1:
        return candidates[0], []
    l = compile_expression(problem.likelihood.log_likelihood)
    compiled = [{p: compile_expression(e) for p, e in c.closed.items()} for c in candidates]
    wins = [0] * len(candidates)
    for values, rows in problem.points:
        found: list[tuple[object, int]] = []
        for i, functions in enumerate(compiled):
            try:
                point = {p: real_part(f(values, rows)) for p, f in functions.items()}
                if all(v is not None and problem.contains(p, v, values) for p, v in point.items()):
                    found.append((mpmath.re(l({**values, **point}, rows)), i))
            except (ZeroDivisionError, ValueError, ArithmeticError):
                continue
        if found:
            wins[max(found)[1]] += 1
    order = sorted(range(len(candidates)), key=lambda i: -wins[i])
    return candidates[order[0]], [candidates[i] for i in order[1:]]


__all__ = ["Outcome", "Run"]
