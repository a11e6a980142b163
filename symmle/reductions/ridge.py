"""Parameters that are not identified: only functions of them enter, and the maximum is a ridge.

Where l depends on theta through fewer functions u(theta) than there are parameters (a + b, a b, s a**(1/k)), l is
written in terms of u, and solved there. The parameter space is mapped onto the space of u, so that the maximum over
u is the maximum over theta, attained on the whole curve u(theta) = u-hat: some parameters may have any value for
which the others stay in their domains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Expr, Interval, S, Set, Symbol, Tuple, nan, oo, simplify, zoo

from symmle.algebra import GaveUp, attempt_within, seconds_left
from symmle.certify.ridge import IdentifiedMaximum, depends_alone
from symmle.declare.declaration import Declaration, SamplePart
from symmle.estimator import BySymbol, Certificate, Estimator, Face, Kind, StationaryPoint
from symmle.family import support_parameters
from symmle.identifiability import information_rank
from symmle.likelihood import Likelihood
from symmle.record import Relation, Step
from symmle.reductions.problem import Part, Reduced, Skipped, Solve
from symmle.reductions.ridge_functions import Identified, identified_functions

POSITIVE = Interval.open(0, oo)
NAMES = ("delta", "kappa", "rho", "omega", "delta_1", "delta_2", "delta_3", "delta_4", "delta_5", "delta_6")
PROOFS = ("certificate", "profile certificate")


@dataclass(frozen=True)
class Rewritten:
    """The declaration in terms of identified functions; `functions` are (u, what it stands for)."""

    declaration: Declaration
    functions: tuple[tuple[Symbol, Identified], ...]
    free: tuple[Symbol, ...]

    @property
    def pivots(self) -> dict[Symbol, Expr]:
        """The replaced parameters in terms of u and the free ones."""
        return {f.pivot: f.solved(u) for u, f in self.functions}


class Ridge:
    """Only functions of the parameters are identified."""

    name = "identified functions"

    def attempt(self, likelihood: Likelihood, solve: Solve) -> Reduced | Skipped:
        declaration = likelihood.declaration
        size = len(declaration.parameters)
        if size < 2 or declaration.latent or declaration.constraints or declaration.where:
            return Skipped("")
        if any(part.components or part.inside for part in declaration.samples) or support_parameters(
            likelihood
        ):
            return Skipped("")
        if any(not isinstance(d, Interval) or d.free_symbols for d in declaration.parameters.values()):
            return Skipped("")
        rank = attempt_within(2.0, information_rank, likelihood)
        if not isinstance(rank, int) or rank >= size:
            return Skipped("")
        ways: list[tuple[Rewritten, Part]] = []
        names = list(declaration.parameters)
        for order in (names, names[::-1]):
            if seconds_left() < 2.0:
                break
            rewritten = attempt_within(6.0, _rewritten, likelihood, order)
            if isinstance(rewritten, GaveUp) or rewritten is None:
                continue
            part = solve(rewritten.declaration)
            if part.estimator.obstacle:
                continue
            ways.append((rewritten, part))
            if _rank(part) == (0, 0):
                break
        if not ways:
            return Skipped(
                f"not identifiable: the information has rank {rank} for {size} parameters, and no function of them "
                "was found on which alone the likelihood depends"
            )
        return _answer(likelihood, *min(ways, key=lambda way: _rank(way[1])))


def _rank(part: Part) -> tuple[int, int]:
    """Closed and proved before closed before reduced."""
    estimator = part.estimator
    left = len(part.declaration.parameters) - len(estimator.closed)
    return left, int(_proof_of(part) is None)


def _proof_of(part: Part) -> Certificate | None:
    points = part.estimator.points
    proof = points[0].certificate if points else None
    return proof if proof is not None and proof.kind is Kind.GLOBAL_MAXIMUM else None


# --- the density in terms of identified functions ---


def _rewritten(likelihood: Likelihood, order: Sequence[Symbol]) -> Rewritten | None:
    declaration = likelihood.declaration
    found = identified_functions(likelihood, order)
    if not found:
        return None
    images = _images(found, declaration.parameters)
    if images is None:
        return None
    pivots = [f.pivot for f in found]
    free = tuple(p for p in declaration.parameters if any(p in dict(f.weights) for f in found))
    taken = {str(s) for s in (*declaration.parameters, *declaration.constants)}
    taken |= {str(c) for part in declaration.samples for c in part.all_columns}
    names = iter(n for n in NAMES if n not in taken)
    us = [
        Symbol(next(names), positive=True) if image.inf >= 0 else Symbol(next(names), real=True)
        for image in images
    ]
    functions = tuple(zip(us, found, strict=True))
    parameters: dict[Symbol, Set] = {}
    for p, domain in declaration.parameters.items():
        if p in pivots:
            parameters[us[pivots.index(p)]] = images[pivots.index(p)]
        elif p not in free:
            parameters[p] = domain
    for value in (S.Zero, S.One):
        if value == 0 and any(f.power <= 0 for f in found):
            continue
        at = dict.fromkeys(free, value)
        put_in = {**{f.pivot: f.solved(u).xreplace(at) for u, f in functions}, **at}
        samples = tuple(_put_into(part, put_in) for part in declaration.samples)
        if any(
            part.density.has(nan, zoo, oo) or part.density.free_symbols & {*pivots, *free} for part in samples
        ):
            continue
        changed = replace(declaration, samples=samples, parameters=parameters, normalise_at={})
        if depends_alone(declaration, changed, tuple((u, f.function) for u, f in functions))[0]:
            return Rewritten(changed, functions, free)
    return None


def _put_into(part: SamplePart, put_in: Mapping[Symbol, Expr]) -> SamplePart:
    density = part.density.xreplace(dict(put_in))
    shorter = attempt_within(1.0, simplify, density)
    if not isinstance(shorter, GaveUp) and shorter.count_ops() < density.count_ops():
        density = shorter
    return replace(part, density=density)


def _images(found: Sequence[Identified], domains: Mapping[Symbol, Set]) -> list[Interval] | None:
    """The intervals onto whose product the parameter space is mapped; None where it is not known to be one."""
    images = []
    for f in found:
        image = _image(f, domains)
        if image is None:
            return None
        images.append(image)
    if len(found) == 1:
        return images  # the image of an interval or a box under a continuous function is an interval
    used = [domains[s] for f in found for s in (f.pivot, *(q for q, _ in f.weights))]
    if all(d == S.Reals for d in used) and all(f.power == 1 for f in found):
        return images  # whatever the free ones are, a pivot makes up for it
    if all(d == POSITIVE for d in used):
        if all(f.power == 0 for f in found):
            return images
        if all(f.power > 0 and all(w.is_positive for _, w in f.weights) for f in found):
            return images  # free ones near 0 leave every pivot positive
    return None


def _image(f: Identified, domains: Mapping[Symbol, Set]) -> Interval | None:
    terms = [(f.pivot, S.One), *f.weights]
    own = [domains[s] for s, _ in terms]
    if f.power == 0:
        if all(d == POSITIVE for d in own):
            return POSITIVE
        if any(not w.is_Rational for _, w in terms):
            return None
        if S.Reals in own:
            odd = all(w == 1 for (_, w), d in zip(terms, own, strict=True) if d == S.Reals)
            return S.Reals if odd and all(d in (S.Reals, POSITIVE) for d in own) else None  # type: ignore[return-value]
        if any(not d.inf >= 0 for d in own):
            return None
        pieces = [(d.inf, d.sup, d.left_open, d.right_open, w) for d, (_, w) in zip(own, terms, strict=True)]  # type: ignore[attr-defined]
        low = [(a, ao) if w > 0 else (b, bo) for a, b, ao, bo, w in pieces]
        high = [(b, bo) if w > 0 else (a, ao) for a, b, ao, bo, w in pieces]
        ends = []
        for side in (low, high):
            value = S.One
            for (v, _), (*_, w) in zip(side, pieces, strict=True):
                value *= v**w
            ends.append((value, any(bool(o) for _, o in side)))
    else:
        if f.power != 1 and any(not d.inf >= 0 for d in own):
            return None
        spans = []
        for d, (_, w) in zip(own, terms, strict=True):
            a, b = (d.inf, bool(d.left_open)), (d.sup, bool(d.right_open))  # type: ignore[attr-defined]
            if f.power < 0:
                a, b = b, a
            low_end, high_end = (w * a[0] ** f.power, a[1]), (w * b[0] ** f.power, b[1])
            spans.append((low_end, high_end) if w > 0 else (high_end, low_end))
        ends = [(sum((s[k][0] for s in spans), S.Zero), any(s[k][1] for s in spans)) for k in (0, 1)]
    (lo, lo_open), (hi, hi_open) = ends
    if any(v.has(nan, zoo) or v.is_extended_real is not True for v in (lo, hi)) or not lo < hi:
        return None
    return Interval(lo, hi, lo_open or lo == -oo, hi_open or hi == oo)


# --- the answer ---


def _answer(likelihood: Likelihood, rewritten: Rewritten, part: Part) -> Reduced:
    declaration, estimator = likelihood.declaration, part.estimator
    us = dict(rewritten.functions)
    closed: dict[Symbol, Expr] = {}
    if not estimator.remaining and set(estimator.closed) == set(rewritten.declaration.parameters):
        put_in = dict(estimator.closed)
        closed = {p: e for p, e in estimator.closed.items() if p not in us}
        closed.update({p: e.xreplace(put_in) for p, e in rewritten.pivots.items()})
        closed = {p: closed[p] for p in declaration.parameters if p in closed}
    functions = tuple((u, f.function) for u, f in rewritten.functions)
    shown = ", ".join(str(e) for _, e in functions)
    proof, reason = _certificate(likelihood, rewritten, part, closed)
    values = BySymbol({p: closed.get(p, p) for p in declaration.parameters})
    kind = Kind.UNDECIDED if proof is None else proof.kind
    answer = Estimator(
        closed=BySymbol(closed),
        points=(StationaryPoint(values, kind, proof, reason=reason),) if closed else (),
        conditions=estimator.conditions,
        kind="closed form" if closed else "reduced",
        route="ridge",
        notes=(f"not identifiable: the likelihood depends on {shown} alone", *((reason,) if reason else ())),
        faces=(Face(dict(rewritten.pivots), rewritten.declaration, estimator),),
        free=rewritten.free,
    )
    return Reduced(answer, _steps(declaration, rewritten, part, closed))


def _certificate(
    likelihood: Likelihood, rewritten: Rewritten, part: Part, closed: dict[Symbol, Expr]
) -> tuple[Certificate | None, str]:
    proof = _proof_of(part)
    if proof is None:
        points = part.estimator.points
        return None, (points[0].reason if points else "") or "no proof for the identified functions"
    if attempt_within(3.0, _is_constant_along, likelihood, rewritten) is not True:
        return None, "that the likelihood depends on these functions alone was found by value, and not proved"
    functions = tuple((u, f.function) for u, f in rewritten.functions)
    return IdentifiedMaximum(
        likelihood.declaration,
        rewritten.declaration,
        functions,
        tuple(part.estimator.closed.items()) if closed else (),
        proof,
        part.estimator.conditions,
    ), ""


def _is_constant_along(likelihood: Likelihood, rewritten: Rewritten) -> bool:
    """Whether d/dq of the log density, the pivots put in, is 0 identically for every free q."""
    pivots = rewritten.pivots
    for form in likelihood.forms:
        inside = form.opened.xreplace(pivots)
        if any(simplify(inside.diff(q)) != 0 for q in rewritten.free):
            return False
    return True


def _steps(
    declaration: Declaration, rewritten: Rewritten, part: Part, closed: dict[Symbol, Expr]
) -> tuple[Step, ...]:
    functions = tuple(f.function for _, f in rewritten.functions)
    steps = [
        Step(
            "why not the score",
            (),
            (),
            Relation.DEFINITION,
            tuple(declaration.parameters),
            details=(("reason", "ridge"),),
        ),
        Step("ridge", (), functions, Relation.DEFINITION, rewritten.free),
        Step(
            "reparametrise",
            tuple(rewritten.pivots),
            tuple(rewritten.pivots.values()),
            Relation.DEFINITION,
            tuple(rewritten.pivots),
            details=(
                ("map", tuple(Tuple(p, e) for p, e in rewritten.pivots.items())),
                ("declaration", rewritten.declaration),
            ),
        ),
        *(s for s in part.steps if s.rule not in PROOFS),
    ]
    pivots = tuple(rewritten.pivots)
    before = tuple(rewritten.pivots.values())
    after = tuple(closed.get(p, e) for p, e in rewritten.pivots.items())
    steps.append(
        Step("put in", before, after, Relation.DEFINITION, pivots, details=(("declaration", declaration),))
    )
    return tuple(steps)


__all__ = ["Ridge"]
