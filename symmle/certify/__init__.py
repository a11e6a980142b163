"""Proofs of what a stationary point is, strongest first; each certificate re-checks itself."""

from __future__ import annotations

from sympy import Symbol

from symmle.algebra import seconds_left
from symmle.certify.curvature import prove_concavity
from symmle.certify.exponential import certify_family
from symmle.certify.local import certify_local
from symmle.certify.sign import certify_sign
from symmle.estimator import Certificate, Estimator
from symmle.record import Condition
from symmle.strategies.problem import Problem


def certify_point(problem: Problem, estimator: Estimator, single: bool) -> Certificate | str:
    """The strongest certificate for the estimator's point, or the reasons why there is none."""
    likelihood, conditions = problem.likelihood, estimator.conditions
    closed = not estimator.remaining
    answer: Certificate | str = certify_family(likelihood, problem.parameters, single and closed, conditions)
    if not isinstance(answer, str):
        return answer
    reasons = [f"exponential family: {answer}"]
    if len(problem.parameters) == 1:
        (parameter,) = problem.parameters
        answer = certify_sign(likelihood, parameter, problem.equations[parameter], conditions)
        if not isinstance(answer, str):
            return answer
        reasons.append(f"sign of the score: {answer}")
    declaration = likelihood.declaration
    samples = [
        (part.with_indicator, dict(part.support), {z: declaration.given_domains.get(z) for z in part.given})
        for part in declaration.samples
    ]
    answer = prove_concavity(
        samples,
        declaration.parameters,
        declaration.constants,
        min(4.0, max(0.5, seconds_left() - 0.5)),
        declaration.constraints,
    )
    if not isinstance(answer, str):
        return answer
    reasons.append(f"curvature: {answer}")
    if closed and not estimator.alternatives:
        answer = certify_local(
            likelihood,
            problem.score.hessian,
            {p: estimator.closed[p] for p in problem.parameters},
            conditions,
        )
        if not isinstance(answer, str):
            return answer
        reasons.append(f"Hessian: {answer}")
    return "; ".join(reasons)


def certify_profile(
    problem: Problem, parameters: tuple[Symbol, ...], conditions: tuple[Condition, ...]
) -> Certificate | str:
    """That the eliminated parameters maximise l for every value of the others."""
    answer: Certificate | str = certify_family(problem.likelihood, parameters, False, conditions)
    if isinstance(answer, str) and len(parameters) == 1:
        answer = certify_sign(problem.likelihood, parameters[0], problem.equations[parameters[0]], conditions)
    return answer


__all__ = ["certify_point", "certify_profile"]
