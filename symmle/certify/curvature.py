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
from typing import Any

import mpmath
from sympy import Expr, Range, S, Set, Symbol

from symmle.certify.cells import named
from symmle.certify.coordinates import Coordinates, candidate_functions, solved, systems
from symmle.certify.problem import ConcavityProblem, Proved, SampleOfDensity
from symmle.certify.ranges import Bounds, range_of
from symmle.certify.sampling import DIGITS, ConcaveOnNumbers, draw, measured
from symmle.certify.shapes import Proof
from symmle.estimator import Certificate, Kind, Scope
from symmle.record import Condition


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
    apart: int = 0  # first values of infinite supports that were gone through one by one
    strict: bool = False
    conditions: tuple[Condition, ...] = ()
    theorem: str = "concavity by composition"
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE

    def check(self) -> tuple[bool, str]:
        """The rules applied afresh to the stored densities, and the Hessian at fresh random points."""
        samples = [(f, dict(x), dict(z)) for f, x, z in self.samples]
        problem = ConcavityProblem.of(
            samples, dict(self.parameters), dict(self.constants), self.constraints, self.apart
        )
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
        with mpmath.workdps(DIGITS):
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
    problem = ConcavityProblem.of(samples, parameters, constants, constraints)
    if isinstance(problem, str):
        return problem
    if not problem.parameters:
        return "there is no parameter"
    rows = problem.rows()
    if isinstance(rows, str):
        return rows
    rows = [r for r in rows if r.log_density != 0]
    with mpmath.workdps(DIGITS):
        points = measured(rows, problem.parameters, problem.known, 1, deadline)
        if points is None:
            return "the second derivatives could not be evaluated at random points"
        numbers = ConcaveOnNumbers(points, problem.parameters)
        candidates = candidate_functions([r.log_density for r in rows], problem.known, problem.parameters)
        reason = "not concave at random points in any coordinates that were tried"
        best: ConcaveByComposition | None = None
        proofs_tried = 0
        accepted: list[Coordinates] = []
        for functions in systems(candidates, problem.parameters):
            if time.monotonic() > deadline or proofs_tried >= (4 if best else 12):
                break
            if not numbers.accepts(functions):
                continue
            symbols = _coordinate_symbols(problem, functions)
            system = solved(functions, problem.parameters, problem.known, symbols)
            if system is None:
                continue
            proofs_tried += 1
            accepted.append(system)
            proved = problem.prove(system, deadline)
            if isinstance(proved, str):
                reason = f"concave at random points in {functions}, but {proved}"
                continue
            found = _certificate(samples, parameters, constants, constraints, system, proved)
            if found.strict:
                return found
            best = best or found
    if best is None and accepted and _has_infinite_support(samples):
        return _with_first_values_apart(
            samples, parameters, constants, constraints, accepted[:3], deadline, reason
        )
    return best or reason


def _has_infinite_support(samples: Sequence[SampleOfDensity]) -> bool:
    return any(isinstance(d, Range) and d.sup.is_infinite for _, xs, _ in samples for d in xs.values())


def _with_first_values_apart(
    samples: Sequence[SampleOfDensity],
    parameters: Mapping[Symbol, Set],
    constants: Mapping[Symbol, Any],
    constraints: Sequence[Expr],
    systems_to_try: Sequence[Coordinates],
    deadline: float,
    reason: str,
) -> ConcaveByComposition | str:
    """The proofs again with the two first values of a count on their own: x - 1 changes its sign there."""
    problem = ConcavityProblem.of(samples, parameters, constants, constraints, apart=2)
    if isinstance(problem, str):
        return problem
    for system in systems_to_try:
        proved = problem.prove(system, deadline)
        if isinstance(proved, Proved):
            return _certificate(samples, parameters, constants, constraints, system, proved, apart=2)
    return reason


def _certificate(
    samples: Sequence[SampleOfDensity],
    parameters: Mapping[Symbol, Set],
    constants: Mapping[Symbol, Any],
    constraints: Sequence[Expr],
    system: Coordinates,
    proved: Proved,
    apart: int = 0,
) -> ConcaveByComposition:
    return ConcaveByComposition(
        samples=tuple((f, tuple(x.items()), tuple(z.items())) for f, x, z in samples),
        parameters=tuple(parameters.items()),
        constants=tuple(constants.items()),
        constraints=tuple(constraints),
        coordinates=tuple(zip(system.symbols, system.functions, strict=True)),
        inverse=system.inverse,
        proofs=proved.proofs,
        apart=apart,
        strict=proved.strict,
        conditions=proved.conditions,
    )


def _coordinate_symbols(problem: ConcavityProblem, functions: Sequence[Expr]) -> tuple[Symbol, ...]:
    taken = {s.name for s in problem.known if isinstance(s, Symbol)}
    stem = "u"
    while any(f"{stem}_{k + 1}" in taken for k in range(len(functions))):
        stem += "u"
    return tuple(
        named(Symbol(f"{stem}_{k + 1}"), range_of(f, problem.known)) for k, f in enumerate(functions)
    )


def _same_on_numbers(e: Expr, u: Symbol, box: Mapping[Symbol, Bounds]) -> bool:
    """Whether e equals the coordinate u at random points of the box."""
    generator = random.Random(5)
    for _ in range(4):
        at = {s: S(str(draw(b, generator))) for s, b in box.items()}
        gap = (e.xreplace(at) - at[u]).evalf(20)
        if not gap.is_number or abs(gap) > 1e-9 * (1 + abs(at[u])):
            return False
    return True
