"""Every step of a derivation checked by what its relation claims, at random admissible points.

Whoever found an answer does not check it: values are compared to 30 digits in mpmath, roots by residual
and by a count of sign changes that knows nothing of the rules, profiles by random competitors, and
certificates re-check themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mpmath
from sympy import Add, Eq, Expr, Interval, Symbol, log, oo

from symmle.algebra import Rows, compile_expression, is_close
from symmle.declare.declaration import Declaration
from symmle.estimator import Certificate
from symmle.latent.problem import Conditional, Labelled
from symmle.likelihood import Likelihood, build_likelihood
from symmle.record import Relation, Step
from symmle.sample import Mean
from symmle.sampling import RandomPoints, as_numbers
from symmle.strategies.problem import real_part
from symmle.verification_edges import check_allowed, check_maximum, check_sign
from symmle.verification_latent import (
    check_ascent,
    check_expectation,
    check_marginal,
    check_surrogate,
    check_update,
)

DIGITS = 30
Point = tuple[dict[Symbol, Any], list[Rows]]


@dataclass(frozen=True)
class StepCheck:
    """What was checked of a step; `holds` is None where its relation claims nothing."""

    rule: str
    holds: bool | None
    found: str


@dataclass(frozen=True)
class Verification:
    """The checks of all steps. True where none failed."""

    checks: tuple[StepCheck, ...]

    def __bool__(self) -> bool:
        return all(c.holds is not False for c in self.checks)

    @property
    def failures(self) -> tuple[StepCheck, ...]:
        return tuple(c for c in self.checks if c.holds is False)

    def __str__(self) -> str:
        mark = {True: "holds", False: "FAILS", None: "-"}
        return "\n".join(f"{c.rule:24} {mark[c.holds]:6} {c.found}" for c in self.checks)


class Verifier:
    """Checks steps of one declaration at its random admissible points."""

    def __init__(self, declaration: Declaration, likelihood: Likelihood, seed: int = 41):
        self.declaration = declaration
        self.likelihood = likelihood
        self.seed = seed
        self.em: Labelled | Conditional | None = None
        self.declared: Declaration | None = None  # with what was not observed
        self.update: Step | None = None  # the M-step that was met

    def verify(self, steps: Sequence[Step]) -> Verification:
        current, checks = self, []
        with mpmath.workdps(DIGITS + 15):
            for step in steps:
                em = step.detail("em")
                if isinstance(em, Labelled | Conditional):  # the steps that follow are of the marginal
                    current = Verifier(em.observed, build_likelihood(em.observed), self.seed)
                    current.em, current.declared = em, step.detail("declared")  # type: ignore[assignment]
                if step.relation is Relation.UPDATE:
                    current.update = step
                checks.append(current._check(step))
                changed = step.detail("declaration")
                if isinstance(changed, Declaration):  # the steps that follow are in other coordinates
                    current = Verifier(changed, build_likelihood(changed), self.seed)
        return Verification(tuple(checks))

    def _check(self, step: Step) -> StepCheck:
        checker = _CHECKERS.get(step.relation)
        if checker is None:
            return StepCheck(step.rule, None, "named, nothing is claimed")
        try:
            holds, found = checker(self, step)
        except (TypeError, ValueError, NotImplementedError, ZeroDivisionError, KeyError) as error:
            # a special function that mpmath cannot evaluate: neither confirmed nor refuted
            return StepCheck(
                step.rule, None, f"could not be evaluated: {type(error).__name__}: {str(error)[:100]}"
            )
        return StepCheck(step.rule, holds, found)

    def points(self, count: int, rows: int = 6) -> list[Point]:
        stream, found = RandomPoints(self.declaration, self.seed), []
        for _ in range(3 * count):
            values = stream.parameters(stream.constants())
            sample = None if values is None else stream.samples(values, self.declaration.size or rows)
            if values is not None and sample is not None:
                found.append((as_numbers(values), sample))
            if len(found) == count:
                break
        return found


def _number(f: Callable[..., Any], values: dict[Symbol, Any], rows: list[Rows]) -> Any:
    try:
        return f(values, rows)
    except (ZeroDivisionError, ValueError, ArithmeticError):
        return None


def _values_differ(
    verifier: Verifier, pairs: Sequence[tuple[Expr, Expr]], closed: dict[Symbol, Expr] | None = None
) -> tuple[bool, str]:
    compiled = [(compile_expression(a), compile_expression(b)) for a, b in pairs]
    put_in = {p: compile_expression(e) for p, e in (closed or {}).items()}
    compared = 0
    for values, rows in verifier.points(5):
        extra = {p: _number(f, values, rows) for p, f in put_in.items()}
        if any(v is None or real_part(v) is None for v in extra.values()):
            continue
        for (f, g), (a, b) in zip(compiled, pairs, strict=True):
            left, right = _number(f, {**values, **extra}, rows), _number(g, values, rows)
            if left is None or right is None or not (mpmath.isfinite(left) or mpmath.isfinite(right)):
                continue
            if not is_close(left, right, DIGITS - 3 if closed else DIGITS) and not extra:
                with mpmath.workdps(20 * DIGITS):  # log(2 - erfc(-t)) loses what log(erfc(t)) keeps
                    left, right = _number(f, values, rows), _number(g, values, rows)
                if left is None or right is None:
                    continue
            if not is_close(left, right, DIGITS - 3 if closed else DIGITS):
                return (
                    False,
                    f"{mpmath.nstr(left, 12)} and {mpmath.nstr(right, 12)} for {str(a)[:60]} and {str(b)[:60]}",
                )
            compared += 1
    return compared > 0, f"equal to {DIGITS} digits at {compared} random points"


def _equal(verifier: Verifier, step: Step) -> tuple[bool, str]:
    closed = {t[0]: t[1] for t in step.detail("closed", ())}  # type: ignore[attr-defined]
    before = step.before
    if len(before) != len(step.after):
        before, after = (Add(*step.before),), (Add(*step.after),)
    else:
        after = step.after
    return _values_differ(verifier, list(zip(before, after, strict=True)), closed or None)  # type: ignore[arg-type]


def _logarithm(verifier: Verifier, step: Step) -> tuple[bool, str]:
    columns = [f.columns for f in verifier.likelihood.forms]
    pairs = [(Mean(log(f), c), Mean(g, c)) for f, g, c in zip(step.before, step.after, columns, strict=True)]
    stacked = [(p, q) for p, q in pairs if isinstance(p, Expr)]
    return _values_differ(verifier, stacked)


def _derivative(verifier: Verifier, step: Step) -> tuple[bool, str]:
    l = compile_expression(step.before[0])  # type: ignore[arg-type]
    claimed = [compile_expression(e) for e in step.after]  # type: ignore[arg-type]
    compared = 0
    for values, rows in verifier.points(3):
        for p, g in zip(step.subject, claimed, strict=True):
            for digits in (2 * DIGITS + 25, 20 * DIGITS):  # F(x + 1) - F(x) far out in the tail takes more
                with mpmath.workdps(digits):
                    slope = mpmath.diff(
                        lambda t, p=p, values=values, rows=rows: l({**values, p: t}, rows), values[p]
                    )
                    if not mpmath.isfinite(slope):
                        continue
                    value = g(values, rows)
                    if not is_close(slope, value, DIGITS - 5):
                        return False, f"d/d{p} is {mpmath.nstr(slope, 12)}, not {mpmath.nstr(value, 12)}"
                compared += 1
                break
    return compared > 0, f"equal to numeric derivatives at {compared} random points"


def _inside(verifier: Verifier, p: Symbol, value: Any) -> bool:
    real = real_part(value)
    if real is None:
        return False
    domain = verifier.declaration.parameters[p]
    if not isinstance(domain, Interval) or domain.free_symbols:
        return True
    lo = -mpmath.inf if domain.start == -oo else mpmath.mpf(str(domain.start.evalf(30)))
    hi = mpmath.inf if domain.end == oo else mpmath.mpf(str(domain.end.evalf(30)))
    return bool(lo <= real <= hi)


def _roots(verifier: Verifier, step: Step) -> tuple[bool, str]:
    equations = [compile_expression(e) for e in step.before]  # type: ignore[arg-type]
    solutions = [[compile_expression(e) for e in t.args] for t in step.after]
    residuals = counted = 0
    for values, rows in verifier.points(4):
        roots = []
        for solution in solutions:
            numbers = [_number(f, values, rows) for f in solution]
            if any(v is None for v in numbers) or not all(
                _inside(verifier, p, v) for p, v in zip(step.subject, numbers, strict=True)
            ):
                continue
            at = {**values, **{p: real_part(v) for p, v in zip(step.subject, numbers, strict=True)}}
            roots.append([at[p] for p in step.subject])
            scale = _scale(equations, values, rows, step)
            for f, s in zip(equations, scale, strict=True):
                residual = abs(f(at, rows))
                if residual > s * mpmath.mpf(10) ** (-DIGITS + 8):
                    return False, f"the residual is {mpmath.nstr(residual, 6)} at {at}"
                residuals += 1
        if not equations or not step.subject:
            continue
        if len(step.subject) == 1 and len(equations) == 1:
            changes = _sign_changes(verifier, equations[0], step.subject[0], values, rows)
            if changes > len({mpmath.nstr(r[0], 15) for r in roots}):
                return (
                    False,
                    f"{changes} sign changes in the domain but {len(roots)} roots there at a random sample",
                )
            counted += 1
        elif len(step.subject) == len(equations):
            strange = _other_root(verifier, equations, step.subject, values, rows, roots)
            if strange is not None:
                return False, f"Newton's method finds another root: {strange}"
            counted += 1
    text = f"{residuals} residuals vanish; no other root met at {counted} random samples"
    return residuals > 0 or counted > 0, text


def _scale(equations: list[Any], values: dict[Symbol, Any], rows: list[Rows], step: Step) -> list[Any]:
    found = []
    for f in equations:
        at = _number(f, values, rows)
        found.append(max(mpmath.mpf(1), abs(at) if at is not None else mpmath.mpf(1)))
    return found


def _grid(domain: object, size: int = 120) -> list[Any]:
    us = [mpmath.mpf(2) ** (mpmath.mpf(k) / 6) for k in range(-size // 2, size // 2 + 1)]
    if not isinstance(domain, Interval) or (domain.start == -oo and domain.end == oo):
        return [mpmath.sinh(mpmath.log(u)) for u in us]
    if domain.end == oo:
        return [mpmath.mpf(str(domain.start.evalf(25))) + u for u in us]
    if domain.start == -oo:
        return [mpmath.mpf(str(domain.end.evalf(25))) - u for u in reversed(us)]
    a, b = mpmath.mpf(str(domain.start.evalf(25))), mpmath.mpf(str(domain.end.evalf(25)))
    return [(a + b * u) / (1 + u) for u in us]


def _sign_changes(verifier: Verifier, f: Any, p: Symbol, values: dict[Symbol, Any], rows: list[Rows]) -> int:
    changes, last = 0, None
    with mpmath.workdps(20):
        for t in _grid(verifier.declaration.parameters[p]):
            value = _number(f, {**values, p: t}, rows)
            real = None if value is None else real_part(value)
            if real is None:
                last = None
                continue
            s = mpmath.sign(real)
            if last is not None and s * last < 0 and mpmath.fabs(real) < mpmath.mpf(10) ** 12:
                changes += 1
            last = s if s else last
    return changes


def _other_root(
    verifier: Verifier,
    equations: list[Any],
    subject: tuple[Symbol, ...],
    values: dict[Symbol, Any],
    rows: list[Rows],
    roots: list[list[Any]],
) -> str | None:
    """A root inside the domain that is not in the list, by Newton's method from random starts."""

    def residual(*at: Any) -> list[Any]:
        return [f({**values, **dict(zip(subject, at, strict=True))}, rows) for f in equations]

    stream = RandomPoints(verifier.declaration, verifier.seed + 1)
    with mpmath.workdps(30):
        for _ in range(3):
            start = stream.parameters(stream.constants())
            if start is None:
                return None
            numbers = as_numbers(start)
            try:
                found = mpmath.findroot(residual, [numbers[p] for p in subject], tol=1e-44, maxsteps=40)
            except (ValueError, ZeroDivisionError, ArithmeticError, TypeError):
                continue
            at = [real_part(v) for v in found]
            if not all(
                v is not None and _strictly_inside(verifier, p, v) for p, v in zip(subject, at, strict=True)
            ):
                continue
            if not roots and _is_flat(residual, at):
                continue  # Newton's method ran off along a flat tail; this sample has no root
            if not any(
                all(abs(a - b) <= 1e-6 * (1 + max(map(abs, r))) for a, b in zip(at, r, strict=True))
                for r in roots
            ):
                return ", ".join(f"{p} = {mpmath.nstr(v, 8)}" for p, v in zip(subject, at, strict=True))
    return None


def _is_flat(residual: Callable[..., Any], at: list[Any]) -> bool:
    """Whether the equations hardly depend on the unknowns there: a step of 1 % leaves them near zero."""
    scale = mpmath.mpf(10) ** -4
    for k in range(len(at)):
        moved = [v * (1 + mpmath.mpf(1) / 100) if i == k else v for i, v in enumerate(at)]
        try:
            if all(abs(r) < scale for r in residual(*moved)):
                return True
        except (ValueError, ZeroDivisionError, ArithmeticError, TypeError):
            return True
    return False


def _strictly_inside(verifier: Verifier, p: Symbol, value: Any) -> bool:
    domain = verifier.declaration.parameters[p]
    if not _inside(verifier, p, value):
        return False
    if isinstance(domain, Interval) and not domain.free_symbols:
        for b in (domain.start, domain.end):
            if b not in (oo, -oo) and abs(value - mpmath.mpf(str(b.evalf(25)))) < 1e-8:
                return False
    return bool(abs(value) < 1e8)


def _profile(verifier: Verifier, step: Step) -> tuple[bool, str]:
    l = compile_expression(verifier.likelihood.log_likelihood)
    solution = [compile_expression(e) for e in step.after[0].args]
    stream, compared = RandomPoints(verifier.declaration, verifier.seed + 2), 0
    for values, rows in verifier.points(4):
        numbers = [_number(f, values, rows) for f in solution]
        if any(v is None for v in numbers) or not all(
            _inside(verifier, p, v) for p, v in zip(step.subject, numbers, strict=True)
        ):
            continue
        at = {**values, **{p: real_part(v) for p, v in zip(step.subject, numbers, strict=True)}}
        best = mpmath.re(l(at, rows))
        for _ in range(8):
            rival = stream.parameters(stream.constants())
            if rival is None:
                break
            other = _number(
                l, {**at, **{p: v for p, v in as_numbers(rival).items() if p in step.subject}}, rows
            )
            if (
                other is not None
                and real_part(other) is not None
                and mpmath.re(other) > best + mpmath.mpf(10) ** -20 * (1 + abs(best))
            ):
                return False, f"a random competitor is better by {mpmath.nstr(mpmath.re(other) - best, 6)}"
            compared += 1
    residual = _roots(verifier, step)
    if not residual[0]:
        return residual
    return compared > 0, f"never beaten by {compared} random competitors; {residual[1]}"


def _equivalent(verifier: Verifier, step: Step) -> tuple[bool, str]:
    """before = M(theta) (left - right) with one nonsingular M for all samples."""
    before = [compile_expression(e) for e in step.before]  # type: ignore[arg-type]
    after = [compile_expression(e.lhs - e.rhs) for e in step.after if isinstance(e, Eq)]
    p = len(before)
    if len(after) != p:
        return False, f"{len(after)} equations stand for {p} scores"
    points = verifier.points(p + 3)
    if len(points) < p + 2:
        return False, "too few admissible points"
    values = points[0][0]
    left = mpmath.matrix([[f(values, rows) for _, rows in points] for f in before])
    right = mpmath.matrix([[f(values, rows) for _, rows in points] for f in after])
    try:
        m = left[:, :p] * right[:, :p] ** -1
    except ZeroDivisionError:
        return False, "the random samples do not separate the equations"
    gap = mpmath.mnorm(left - m * right, mpmath.inf)
    scale = 1 + mpmath.mnorm(left, mpmath.inf)
    singular = abs(mpmath.det(m)) < mpmath.mpf(10) ** -25
    if gap > scale * mpmath.mpf(10) ** (-DIGITS + 10) or singular:
        return False, f"the equations are not combinations of the scores: gap {mpmath.nstr(gap, 6)}"
    return True, f"one nonsingular matrix turns them into the scores at {len(points)} random samples"


def _implied(verifier: Verifier, step: Step) -> tuple[bool, str]:
    rows = step.detail("coefficients", ())
    pairs = [
        (Add(*(c * e for c, e in zip(t.args, step.before, strict=True))), after)
        for t, after in zip(rows, step.after, strict=True)  # type: ignore[call-overload]
    ]
    return _values_differ(verifier, pairs)


def _theorem(verifier: Verifier, step: Step) -> tuple[bool, str]:
    certificate = step.detail("certificate")
    if not isinstance(certificate, Certificate):
        return False, "no certificate is stored"
    return certificate.check()


_CHECKERS: dict[Relation, Callable[[Verifier, Step], tuple[bool, str]]] = {
    Relation.EQUAL: _equal,
    Relation.LOGARITHM: _logarithm,
    Relation.DERIVATIVE: _derivative,
    Relation.ROOTS: _roots,
    Relation.PROFILE: _profile,
    Relation.EQUIVALENT: _equivalent,
    Relation.IMPLIED: _implied,
    Relation.THEOREM: _theorem,
    Relation.ALLOWED: check_allowed,
    Relation.MARGINAL: check_marginal,
    Relation.EXPECTATION: check_expectation,
    Relation.SURROGATE: check_surrogate,
    Relation.UPDATE: check_update,
    Relation.ASCENT: check_ascent,
    Relation.SIGN: check_sign,
    Relation.MAXIMUM: check_maximum,
}

__all__ = ["StepCheck", "Verification", "Verifier"]
