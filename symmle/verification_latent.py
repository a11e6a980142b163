"""The steps of an EM derivation checked by number: sums and integrals over what was not observed, Q, its maximum.

The marginal and the expectations are computed again from the declared joint density, by enumeration or by
quadrature; an update is held against competitors in Q, and against the log-likelihood that it must not lower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import mpmath
from sympy import Expr, Interval, Range, Symbol, oo

from symmle.algebra import Rows, compile_expression, is_close
from symmle.declare.declaration import Declaration
from symmle.latent.problem import Conditional, Labelled
from symmle.latent.structure import members_of_set
from symmle.likelihood import build_likelihood
from symmle.record import Step
from symmle.sampling import RandomPoints, as_numbers
from symmle.strategies.problem import real_part

if TYPE_CHECKING:
    from symmle.verification import Verifier

Values = dict[Symbol, Any]
DIGITS = 25
QUADRATURE_DIGITS = 8
SAMPLES = 3
ROWS = 6
NUDGES = ("1e-3", "1e-6", "1e-10")


@dataclass(frozen=True)
class Draw:
    """Random parameters and rows of the marginal, with the weights of the rows."""

    values: Values
    rows: tuple[Values, ...]
    weights: tuple[int, ...]


def _draws(declaration: Declaration, seed: int, count: int = SAMPLES) -> Iterator[Draw]:
    stream, found = RandomPoints(declaration, seed), 0
    for _ in range(4 * count):
        values = stream.parameters(stream.constants())
        sample = None if values is None else stream.samples(values, ROWS)
        if values is None or sample is None:
            continue
        (columns,) = (s.columns for s in sample)
        rows = tuple({c: v[i] for c, v in columns.items()} for i in range(ROWS))
        yield Draw(as_numbers(values), rows, tuple(1 + (7 * i) % 3 for i in range(ROWS)))
        found += 1
        if found == count:
            return


@lru_cache(maxsize=512)
def _plain(e: Expr) -> Callable[[Values], Any]:
    """The value of an expression without sample operators."""
    compiled = compile_expression(e)
    return lambda at: compiled(at, [])


def _joint(declared: Declaration) -> Expr:
    (part,) = declared.samples
    return part.with_indicator


def _over_latent(declared: Declaration, what: Expr) -> Callable[[Values], Any]:
    """sum or integral of an expression over the declared latent variables, computed from the declaration alone."""
    latent = tuple(declared.latent)
    f = _plain(what)
    lists = [members_of_set(declared.latent[z], declared.constants) for z in latent]
    if all(v is not None for v in lists):
        listed = list(product(*(v for v in lists if v is not None)))

        def added(at: Values) -> Any:
            return mpmath.fsum(f({**at, **as_numbers(dict(zip(latent, row, strict=True)))}) for row in listed)

        return added
    (z,) = latent
    domain = declared.latent[z]
    if isinstance(domain, Range) or not isinstance(domain, Interval):
        return lambda at: mpmath.nsum(lambda k: f({**at, z: k}), [0, mpmath.inf])

    def integral(at: Values) -> Any:
        with mpmath.workdps(20):
            return mpmath.quad(lambda v: mpmath.re(f({**at, z: v})), _nodes(domain))

    return integral


def _nodes(domain: Interval) -> list[Any]:
    lo = -mpmath.inf if domain.start == -oo else mpmath.mpf(str(domain.start.evalf(25)))
    hi = mpmath.inf if domain.end == oo else mpmath.mpf(str(domain.end.evalf(25)))
    if mpmath.isfinite(lo) and mpmath.isfinite(hi):
        return [lo, (lo + hi) / 2, hi]
    points = [mpmath.mpf(p) for p in ("0.05", "0.3", "1", "3", "8", "30")]
    if mpmath.isfinite(lo):
        return [lo, *(lo + p for p in points), hi]
    if mpmath.isfinite(hi):
        return [lo, *(hi - p for p in reversed(points)), hi]
    return [lo, *(-p for p in reversed(points)), mpmath.mpf(0), *points, hi]


def _is_exact(em: Labelled | Conditional) -> bool:
    return isinstance(em, Labelled)


def check_marginal(verifier: Verifier, step: Step) -> tuple[bool, str]:
    """The observed density is the declared one, summed or integrated over what was not observed."""
    em, declared = verifier.em, step.detail("declared")
    if em is None or not isinstance(declared, Declaration):
        return False, "no declared density is stored"
    marginal = _plain(step.after[0])  # type: ignore[arg-type]
    if declared.latent:
        again = _over_latent(declared, _joint(declared))
    else:
        pairs = [(_plain(w), _plain(f)) for w, f in declared.samples[0].components]
        again = lambda at: mpmath.fsum(w(at) * f(at) for w, f in pairs)  # noqa: E731
        if not pairs:
            again = _plain(_joint(declared))
    compared, digits = 0, DIGITS if _is_exact(em) else QUADRATURE_DIGITS
    for draw in _draws(em.observed, verifier.seed):
        for row in draw.rows[: ROWS if _is_exact(em) else 2]:
            at = {**draw.values, **row}
            left, right = again(at), marginal(at)
            if not is_close(left, right, digits):
                return False, f"{mpmath.nstr(left, 12)} and {mpmath.nstr(right, 12)} at {at}"
            compared += 1
    return compared > 0, f"the marginal agrees to {digits} digits at {compared} random rows"


def check_expectation(verifier: Verifier, step: Step) -> tuple[bool, str]:
    """Responsibilities add up to one and are the shares of the branches; expectations agree with quadrature."""
    em = verifier.em
    if isinstance(em, Labelled):
        return _check_shares(verifier, em, step)
    if not isinstance(em, Conditional):
        return False, "no latent structure is stored"
    declared = _declared_of(verifier)
    z = step.detail("latent")
    assert isinstance(z, Symbol)
    joint = _joint(declared)
    norm = _over_latent(declared, joint)
    compared = 0
    for place, (t, value) in enumerate(zip(step.before, step.after, strict=True)):
        variance = step.subject[place].name.startswith("v_")
        moment = _over_latent(declared, t * joint)  # type: ignore[operator]
        first = _over_latent(declared, z * joint) if variance else None
        claimed = _plain(value)  # type: ignore[arg-type]
        for draw in _draws(em.observed, verifier.seed, 2):
            at = {**draw.values, **draw.rows[0]}
            total = norm(at)
            found = moment(at) / total
            if first is not None:
                found -= (first(at) / total) ** 2
            if not is_close(found, claimed(at), QUADRATURE_DIGITS):
                return False, f"E[{t} | x] is {mpmath.nstr(found, 12)}, not {mpmath.nstr(claimed(at), 12)}"
            compared += 1
    return compared > 0, f"agrees with quadrature to {QUADRATURE_DIGITS} digits at {compared} random rows"


def _declared_of(verifier: Verifier) -> Declaration:
    declared = verifier.declared
    assert declared is not None
    return declared


def _check_shares(verifier: Verifier, em: Labelled, step: Step) -> tuple[bool, str]:
    claimed = [_plain(e) for e in step.after]  # type: ignore[arg-type]
    compared = 0
    for draw in _draws(em.observed, verifier.seed):
        for row in draw.rows:
            at = {**draw.values, **row}
            shares, own = [f(at) for f in claimed], _shares(em, at)
            if not is_close(mpmath.fsum(shares), mpmath.mpf(1), DIGITS):
                return False, f"the responsibilities add up to {mpmath.nstr(mpmath.fsum(shares), 12)} at {at}"
            if not all(is_close(a, b, DIGITS) for a, b in zip(shares, own, strict=True)):
                return False, f"{shares} are not the shares of the branches at {at}"
            compared += 1
    return compared > 0, f"shares that add up to one at {compared} random rows"


def _shares(em: Labelled, at: Values) -> list[Any]:
    terms = [_plain(b.weight)(at) * _plain(b.density)(at) for b in em.branches]
    total = mpmath.fsum(terms)
    return [t / total for t in terms]


# --- Q --------------------------------------------------------------------------------------------


class Surrogate:
    """Q(theta | theta_old) of rows by number, from the branches, or from the expected log density."""

    def __init__(self, em: Labelled | Conditional, draw: Draw, columns: Sequence[Symbol]):
        self.em, self.draw, self.columns = em, draw, tuple(columns)
        if isinstance(em, Labelled):
            self._parts = [_plain(b.weight * b.density) for b in em.branches]
            self.extra = [
                dict(zip(self.columns, _shares(em, {**draw.values, **row}), strict=True)) for row in draw.rows
            ]
        else:
            filled = {e: _plain(v) for e, v in em.expectations.items()}
            self.extra = [{e: f({**draw.values, **row}) for e, f in filled.items()} for row in draw.rows]
            self._density = _plain(em.m_step.samples[0].density)

    @property
    def table(self) -> Rows:
        """The rows with responsibilities or expectations as further columns."""
        whole = [{**row, **more} for row, more in zip(self.draw.rows, self.extra, strict=True)]
        return Rows({c: [row[c] for row in whole] for c in whole[0]}, self.draw.weights)

    def __call__(self, theta: Mapping[Symbol, Any]) -> Any:
        found = []
        for row, more, weight in zip(self.draw.rows, self.extra, self.draw.weights, strict=True):
            at = {**self.draw.values, **row, **theta}
            if isinstance(self.em, Labelled):
                for share, part in zip(more.values(), self._parts, strict=True):
                    if share != 0:
                        found.append(weight * share * mpmath.log(part(at)))
            else:
                found.append(weight * mpmath.log(self._density({**at, **more})))
        return mpmath.re(mpmath.fsum(found))


def check_surrogate(verifier: Verifier, step: Step) -> tuple[bool, str]:
    """Q as it is written is the expected complete-data log-likelihood, up to what is free of the parameters."""
    em = verifier.em
    if em is None:
        return False, "no latent structure is stored"
    written, compared = compile_expression(step.after[0]), 0  # type: ignore[arg-type]
    for draw, rival in zip(
        _draws(em.observed, verifier.seed), _draws(em.observed, verifier.seed + 1), strict=False
    ):
        q = Surrogate(em, draw, step.subject)
        theta = {p: rival.values[p] for p in em.observed.parameters}
        left = written({**draw.values, **theta}, [q.table]) - written(draw.values, [q.table])
        right = q(theta) - q({})
        if not is_close(left, right, DIGITS):
            return False, f"differences of Q are {mpmath.nstr(left, 12)} and {mpmath.nstr(right, 12)}"
        compared += 1
    return compared > 0, f"differences of Q agree to {DIGITS} digits at {compared} random samples"


def _updated(step: Step, q: Surrogate) -> Values | None:
    """The new values, one after the other; None where one is not real."""
    found: Values = {}
    for p, e in zip(step.subject, step.after, strict=True):
        value = real_part(compile_expression(e)({**q.draw.values, **found}, [q.table]))  # type: ignore[arg-type]
        if value is None:
            return None
        found[p] = value
    return found


def check_update(verifier: Verifier, step: Step) -> tuple[bool, str]:
    """No competitor is better in Q, near the update or anywhere; the engine's steps to it hold as well."""
    em = verifier.em
    if em is None:
        return False, "no latent structure is stored"
    for block in em.blocks:
        inner = type(verifier)(block.declaration, build_likelihood(block.declaration), verifier.seed)
        failed = inner.verify(block.steps).failures
        if failed:
            return False, f"a step of the M-step fails: {failed[0].rule}: {failed[0].found}"
    if not step.subject:
        return True, "nothing is closed in the M-step"
    columns: Sequence[Symbol] = step.detail("columns", ())  # type: ignore[assignment]
    stream, compared = RandomPoints(em.observed, verifier.seed + 3), 0
    for draw in _draws(em.observed, verifier.seed):
        q = Surrogate(em, draw, columns)
        new = _updated(step, q)
        if new is None or not _is_admissible(em.observed, {**draw.values, **new}):
            continue
        best = q(new)
        steps = [s * mpmath.mpf(h) for h in NUDGES for s in (1, -1)]
        rivals = [{**new, p: new[p] + h * (1 + abs(new[p]))} for p in new for h in steps]
        for _ in range(6):
            point = stream.parameters(stream.constants())
            if point is not None:
                drawn = as_numbers(point)
                rivals.append({p: drawn[p] for p in new})
        for rival in rivals:
            if not _is_admissible(em.observed, {**draw.values, **rival}):
                continue
            if q(rival) > best + mpmath.mpf(10) ** -20 * (1 + abs(best)):
                return False, f"Q is larger by {mpmath.nstr(q(rival) - best, 6)} at {_shown(rival)}"
            compared += 1
    return compared > 0, f"never beaten in Q by {compared} competitors; the steps to it hold"


def _shown(values: Values) -> str:
    return ", ".join(f"{p} = {mpmath.nstr(v, 8)}" for p, v in values.items())


def _is_admissible(declaration: Declaration, values: Values) -> bool:
    for p, domain in declaration.parameters.items():
        if isinstance(domain, Interval) and not domain.free_symbols:
            lo, hi = (
                mpmath.mpf(str(b.evalf(25)))
                if b not in (oo, -oo)
                else (mpmath.inf if b == oo else -mpmath.inf)
                for b in (domain.start, domain.end)
            )
            if not lo < values[p] < hi:
                return False
    tied = all(abs(_plain(c)(values)) < mpmath.mpf(10) ** -20 for c in declaration.constraints)
    return tied and all(mpmath.re(_plain(w)(values)) > 0 for w in declaration.where)


def check_ascent(verifier: Verifier, step: Step) -> tuple[bool, str]:
    """The log-likelihood of the rows at the updates is not below that at random old values."""
    em = verifier.em
    if em is None or verifier.update is None:
        return False, "no M-step is stored"
    update = verifier.update
    if not update.subject:
        return True, "nothing is closed in the M-step"
    columns: Sequence[Symbol] = update.detail("columns", ())  # type: ignore[assignment]
    density, compared = _plain(em.observed.samples[0].density), 0
    for draw in _draws(em.observed, verifier.seed + 5, 2 * SAMPLES):
        new = _updated(update, Surrogate(em, draw, columns))
        if new is None or not _is_admissible(em.observed, {**draw.values, **new}):
            continue
        before, after = (
            mpmath.fsum(
                w * mpmath.log(mpmath.re(density({**draw.values, **row, **theta})))
                for row, w in zip(draw.rows, draw.weights, strict=True)
            )
            for theta in ({}, new)
        )
        if after < before - mpmath.mpf(10) ** -20 * (1 + abs(before)):
            return (
                False,
                f"the log-likelihood falls by {mpmath.nstr(before - after, 6)} at {_shown(draw.values)}",
            )
        compared += 1
    return compared > 0, f"the log-likelihood did not fall at {compared} random samples"


__all__ = ["check_ascent", "check_expectation", "check_marginal", "check_surrogate", "check_update"]
