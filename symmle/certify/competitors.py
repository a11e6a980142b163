"""Random competitors: is l, with the indicator of its support, anywhere larger than at a claimed maximum?

The check knows nothing of how the maximum was found. It is evidence, and it is part of the check of every
certificate that rests on an argument without a score.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import mpmath
from sympy import Expr, FiniteSet, Interval, Range, S, Set, Symbol, Tuple, oo
from sympy.core.relational import Relational

from symmle.algebra import Rows, compile_expression, ends_of_range
from symmle.likelihood import Likelihood
from symmle.record import Condition
from symmle.sample import Minimum
from symmle.sampling import RandomPoints, as_numbers

DIGITS = 60  # with which l is computed
SLACK = 30  # digits to which the edge of a support is compared
Values = Mapping[Symbol, Any]
Height = Callable[[Values, Sequence[Rows]], Any]


def height_of(likelihood: Likelihood, constrained: bool = False) -> Height:
    """l as a function of all symbols and the rows; -inf outside the parameter space and the support.

    `constrained`: the parameter space is where the equality constraints hold.
    """
    l = compile_expression(likelihood.log_likelihood)
    declaration = likelihood.declaration
    inside = [compile_expression(w) for w in declaration.where]
    equal = [compile_expression(c) for c in (declaration.constraints if constrained else ())]
    bounds = [
        (j, x, *_bounds(support))
        for j, part in enumerate(declaration.samples)
        for x, support in part.support.items()
        if isinstance(support, Interval | Range)
    ]

    rowwise = [
        compile_expression(Minimum(e, Tuple(*part.all_columns)))
        for part in declaration.samples
        for e in part.inside
    ]

    def height(values: Values, samples: Sequence[Rows]) -> Any:
        try:
            if not all(mpmath.re(w(values, samples)) > 0 for w in (*inside, *rowwise)):
                return -mpmath.inf
            if any(abs(c(values, samples)) > mpmath.mpf(10) ** -12 for c in equal):
                return -mpmath.inf
            for j, x, lo, hi, lo_open, hi_open in bounds:
                if not _holds_rows(samples[j], x, values, lo, hi, lo_open, hi_open):
                    return -mpmath.inf
            found = mpmath.mpmathify(l(values, samples))
        except (ZeroDivisionError, ValueError, ArithmeticError, TypeError):
            return -mpmath.inf
        if isinstance(found, mpmath.mpc):
            if abs(found.imag) > mpmath.mpf(10) ** -15 * (1 + abs(found.real)):
                return -mpmath.inf
            found = found.real
        return -mpmath.inf if mpmath.isnan(found) else found

    return height


def _bounds(support: Set) -> tuple[Any, Any, bool, bool]:
    if isinstance(support, Range):
        lo, hi = ends_of_range(support)
        lo_open = hi_open = False
    else:
        lo, hi = support.start, support.end  # type: ignore[attr-defined]
        lo_open, hi_open = bool(support.left_open), bool(support.right_open)  # type: ignore[attr-defined]
    return _point(lo), _point(hi), lo_open, hi_open


def _point(bound: Expr) -> Any:
    return None if bound in (oo, -oo) else compile_expression(bound)


def _holds_rows(
    rows: Rows, x: Symbol, values: Values, lo: Any, hi: Any, lo_open: bool, hi_open: bool
) -> bool:
    for i, weight in enumerate(rows.weights):
        if not weight:
            continue
        at = {**values, **{c: column[i] for c, column in rows.columns.items()}}
        for end, side, is_open in ((lo, 1, lo_open), (hi, -1, hi_open)):
            if end is None:
                continue
            edge = end(at, [])
            gap = side * (at[x] - edge)
            slack = mpmath.mpf(10) ** -SLACK * (1 + abs(edge))
            if gap < -slack or (is_open and gap <= slack):
                return False
    return True


def contains(domain: Set, value: Any, values: Values) -> bool:
    """Whether a number lies in a domain, whose bounds may name other symbols."""
    number = mpmath.mpmathify(value)
    if isinstance(number, mpmath.mpc) or not mpmath.isfinite(number):
        return False
    if isinstance(domain, FiniteSet):
        return any(abs(compile_expression(m)(values, []) - number) < 1e-25 for m in domain.args)
    if isinstance(domain, Range) or domain in (S.Integers, S.Naturals, S.Naturals0):
        if number != mpmath.floor(number):
            return False
    if isinstance(domain, Interval | Range):
        lo, hi, lo_open, hi_open = _bounds(domain)
        for end, side, is_open in ((lo, 1, lo_open), (hi, -1, hi_open)):
            gap = None if end is None else side * (number - end(values, []))
            if gap is not None and (gap < 0 or (is_open and gap == 0)):
                return False
    elif domain in (S.Naturals, S.Naturals0):
        return bool(number >= domain.inf)
    return True


def holds(condition: Condition, values: Values, rows: Sequence[Rows]) -> bool | None:
    """Whether a condition holds for a sample; None where it is not a plain relation."""
    e = condition.expression
    if not isinstance(e, Relational):
        return None
    try:
        gap = mpmath.re(compile_expression(e.lhs - e.rhs)(values, rows))  # type: ignore[operator]
    except (ZeroDivisionError, ValueError, ArithmeticError, TypeError, KeyError):
        return None
    return bool(e.func(S(int(mpmath.sign(gap))), S.Zero))


def never_beaten(
    likelihood: Likelihood,
    closed: Mapping[Symbol, Expr],
    conditions: Sequence[Condition] = (),
    attained: bool = True,
    seed: int = 53,
    count: int = 6,
    rows: int = 5,
) -> tuple[bool, str]:
    """Whether no competitor in `closed`'s parameters, the others fixed, has a larger l at random samples.

    Competitors are random points of the parameter space, small steps to every side of the claimed maximum,
    and for whole numbers the neighbours. Where the maximum is not attained, `closed` is the limit at which
    l (without its indicator) is the supremum.
    """
    with mpmath.workdps(max(DIGITS, mpmath.mp.dps)):
        return _compete(likelihood, closed, conditions, attained, seed, count, rows)


def _compete(
    likelihood: Likelihood,
    closed: Mapping[Symbol, Expr],
    conditions: Sequence[Condition],
    attained: bool,
    seed: int,
    count: int,
    rows: int,
) -> tuple[bool, str]:
    declaration = likelihood.declaration
    constrained = bool(declaration.constraints) and set(closed) == set(declaration.parameters)
    height = height_of(likelihood, constrained)
    bare = compile_expression(likelihood.log_likelihood)
    functions = {p: compile_expression(e) for p, e in closed.items()}
    stream, rivals, compared, used = (
        RandomPoints(declaration, seed),
        RandomPoints(declaration, seed + 1),
        0,
        0,
    )
    excluded = 0
    for _ in range(4 * count):
        if used == count:
            break
        values = stream.parameters(stream.constants())
        sample = (
            None
            if values is None
            else stream.samples(values, rows if declaration.size is None else declaration.size)
        )
        if values is None or sample is None:
            continue
        numbers = as_numbers(values)
        if any(holds(c, numbers, sample) is False for c in conditions):
            excluded += 1
            continue
        if not mpmath.isfinite(height(numbers, sample)):
            continue  # a row of the support at which the density is 0
        try:
            best = {p: mpmath.mpmathify(f(numbers, sample)) for p, f in functions.items()}
        except (ZeroDivisionError, ValueError, ArithmeticError):
            continue
        at = {**numbers, **best}
        if attained and not all(contains(declaration.parameters[p], v, at) for p, v in best.items()):
            continue
        try:
            top = height(at, sample) if attained else mpmath.re(bare(at, sample))
        except (ZeroDivisionError, ValueError, ArithmeticError):
            continue
        if not mpmath.isfinite(top):
            if attained:  # the point from which the sample was drawn has a positive likelihood
                shown = ", ".join(f"{p} = {mpmath.nstr(v, 8)}" for p, v in best.items())
                return False, f"the likelihood is {'0' if top < 0 else 'infinite'} at {shown}"
            continue
        used += 1
        drawn = _rivals(declaration.parameters, best, at, rivals)
        if constrained:
            drawn = chain(rivals.moved(at), drawn)
        for rival in drawn:
            rival = {p: v for p, v in rival.items() if p in best}
            if not all(contains(declaration.parameters[p], v, {**at, **rival}) for p, v in rival.items()):
                continue
            other = height({**at, **rival}, sample)
            if other > top + mpmath.mpf(10) ** -20 * (1 + abs(top)):
                shown = ", ".join(f"{p} = {mpmath.nstr(v, 8)}" for p, v in rival.items())
                claimed = ", ".join(f"{p} = {mpmath.nstr(v, 8)}" for p, v in best.items())
                return False, f"l is larger by {mpmath.nstr(other - top, 6)} at {shown} than at {claimed}"
            compared += mpmath.isfinite(other)
    if not used and excluded:
        return True, "no random sample meets the conditions: nothing is claimed of those that were drawn"
    return used > 0, f"not beaten by {compared} competitors at {used} random samples"


def _rivals(domains: Mapping[Symbol, Set], best: dict[Symbol, Any], at: Values, stream: RandomPoints) -> Any:
    for p, value in best.items():
        domain = domains[p]
        if isinstance(domain, FiniteSet):
            steps = [compile_expression(m)(at, []) - value for m in domain.args]
        elif isinstance(domain, Range) or domain in (S.Integers, S.Naturals, S.Naturals0):
            steps = [-8, -3, -2, -1, 1, 2, 3, 8]
        else:
            scale = abs(value) + mpmath.mpf("0.01")
            steps = [s * scale * mpmath.mpf(10) ** -k for k in (0, 1, 2, 4, 8) for s in (-1, 1)]
        for step in steps:
            if step:
                yield {**best, p: value + step}
    for _ in range(8):
        drawn = stream.parameters(stream.constants())
        if drawn is not None:
            numbers = as_numbers(drawn)
            yield {p: numbers[p] for p in best}


__all__ = ["contains", "height_of", "holds", "never_beaten"]
