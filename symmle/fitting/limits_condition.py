"""The condition under which l rises to its limit: the second term of the profile log-likelihood at the end.

One parameter goes to an end, 1/u or end +- u with u -> 0, and l(u)/n = limit + c u + O(u**2), the other parameters
maximised at every u. Where c > 0 the limit is exceeded on the way, so that it is not the supremum; where it is the
supremum, c <= 0. To first order the others may stay at their limits where those are inside their domains (the
derivative of l by them is 0 there); where they are known in terms of the parameter they are put in.
"""

from __future__ import annotations

from typing import Any

from sympy import (
    Add,
    Dummy,
    Expr,
    Gt,
    Interval,
    Mul,
    O,
    Poly,
    PolynomialError,
    Rational,
    S,
    Symbol,
    expand,
    gcd_terms,
    log,
    loggamma,
    nan,
    oo,
    pi,
    series,
    sqrt,
    together,
    zoo,
)

from symmle.compiling.data import Table
from symmle.compiling.kernels import CONTEXT, open_special_logs
from symmle.fitting.limits_path import Path, Trail, limit_of
from symmle.fitting.plan import Plan
from symmle.record import Condition
from symmle.sample import Mean, statistics_of

ORDER = 3
CLOSE = 1e-3  # of c to what the way shows


def condition_at_end(plan: Plan, table: Table, trail: Trail) -> tuple[Condition, float] | None:
    """The condition c > 0 for a maximum before the end, and c on the data; None where it was not derived."""
    if len(plan.declaration.samples) != 1 or len(plan.declaration.samples[0].all_columns) != 1:
        return None
    (column,) = plan.declaration.samples[0].all_columns
    driver = plan.left[0] if len(plan.left) == 1 else next(iter(trail.drivers))
    if len(trail.drivers) != 1 and driver not in trail.drivers:
        return None
    u = Dummy("u", positive=True)
    at = _at(plan, trail, driver, u)
    known = _others(plan, table, trail, driver, column)
    if at is None or known is None:
        return None
    place, side = at
    others, later = known
    data = Dummy("x", positive=True) if column.is_positive else Dummy("x", real=True)
    opened = open_special_logs(plan.derivation.likelihood.log_density[0]).xreplace(others)
    opened = _means_expanded(opened.xreplace({driver: place}), u, column, data)
    if opened is None:
        return None
    c = _coefficient(opened.xreplace({column: data}), u)
    if c is None:
        return None
    mean = _mean_of(c.xreplace({data: column}), column, later)
    scale, rest = _primitive(mean)
    value = plan.compile([mean]).precise(table, {})[0].number
    for k in (len(trail.points) // 3, len(trail.points) // 2):
        here = side(trail.points[k][driver])
        seen = (trail.heights[k] - trail.limit) / (table.n * here)
        if not abs(seen - value) <= CLOSE * abs(value):
            return None
    return Condition(Gt(rest, 0, evaluate=False)), float(value / CONTEXT.mpf(scale.p) * scale.q)


def _at(plan: Plan, trail: Trail, driver: Symbol, u: Symbol) -> Any:
    """The driver in terms of u, and u of its values."""
    domain = plan.domain_of(driver)
    if not isinstance(domain, Interval):
        return None
    first, last = trail.points[0][driver], trail.points[-1][driver]
    end = domain.end if last > first else domain.start
    if end == oo:
        return 1 / u, lambda v: 1 / v
    if end == -oo:
        return -1 / u, lambda v: -1 / v
    if end.free_symbols:
        return None
    number = plan.scalar(end, {})
    return (end - u, lambda v: number - v) if last > first else (end + u, lambda v: v - number)


def _others(
    plan: Plan, table: Table, trail: Trail, driver: Symbol, column: Symbol
) -> tuple[dict[Symbol, Expr], dict[Symbol, Expr]] | None:
    """The other parameters: in terms of the driver, or standing for a statistic that is their limit."""
    if plan.left == [driver] and plan.estimator.route == "profile":
        closed = {p: plan.estimator.closed[p] for p in plan.parameters if p != driver}
        return closed, {}
    mean = Mean(column, (column,))
    spread = Mean((column - mean) ** 2, (column,))
    forms = [mean, sqrt(spread), spread, 1 / mean, sqrt(Mean(column**2, (column,)))]
    values = [v.number for v in plan.compile(forms).precise(table, {})]
    path = Path(plan, table, {}, 0.0)
    later: dict[Symbol, Expr] = {}
    for p in (q for q in plan.parameters if q != driver):
        end = limit_of(path, trail, p)
        found = [
            f
            for f, v in zip(forms, values, strict=True)
            if end is not None and abs(v - end) <= 1e-9 * (1 + abs(v))
        ]
        if not found:
            return None
        later[p] = found[0]
    return {}, later


def _means_expanded(e: Expr, u: Symbol, column: Symbol, data: Symbol) -> Expr | None:
    """Means of functions of u written as a polynomial in u whose coefficients are means."""
    for statistic in statistics_of(e):
        if not statistic.free_symbols & {u}:
            continue
        if not isinstance(statistic, Mean):
            return None
        inside = _series(statistic.summand.xreplace({column: data}), u, ORDER)
        if inside is None:
            return None
        logarithm = Dummy("L")  # log u, which other terms take away
        inside = inside.xreplace({log(u): logarithm})
        if not inside.is_polynomial(u):
            return None
        terms = (
            Mean(c.xreplace({data: column}), (column,)) * u**k for (k,), c in Poly(inside, u).all_terms()
        )
        e = expand(
            e.xreplace({statistic: Add(*terms).xreplace({logarithm: log(u)})}), log=False, power_base=False
        )
    return e


def _coefficient(e: Expr, u: Symbol) -> Expr | None:
    """The coefficient of u in the expansion at 0; None where a term in log u stands there."""
    stand_ins = {s: Dummy("T", positive=True) for s in statistics_of(e)}
    found = _series(e.xreplace(stand_ins), u, 2)
    if found is None:
        return None
    c = expand(found).coeff(u, 1)
    if c.has(log(u), u, nan, zoo, oo):
        return None
    return c.xreplace({d: s for s, d in stand_ins.items()})


def _series(e: Expr, u: Symbol, order: int) -> Expr | None:
    e = e.replace(loggamma, lambda z: _stirling(z, u) if z.has(u) else loggamma(z))
    logarithm = Dummy("L")  # log u
    e = e.replace(log, lambda z: _log(z, u, logarithm) if z.has(u) else log(z))
    found = series(expand(e, log=False, power_base=False), u, 0, order)
    if (
        not isinstance(found, Expr)
        or found.has(loggamma)
        and found.atoms(loggamma)
        and any(a.has(u) for a in found.atoms(loggamma))
    ):
        return None
    found = expand(found.removeO() if found.has(O) else found)
    return (
        None
        if found.has(logarithm) and any(t.has(logarithm) and t.has(u) for t in Add.make_args(found))
        else found.xreplace({logarithm: log(u)})
    )


def _stirling(z: Expr, u: Symbol) -> Expr:
    """log gamma by Stirling's series, where the argument grows like a power of 1/u."""
    power = _power_at_zero(z, u)
    if power is None or power >= 0:
        return loggamma(z)
    return (z - Rational(1, 2)) * log(z) - z + log(2 * pi) / 2 + 1 / (12 * z) - 1 / (360 * z**3)


def _log(z: Expr, u: Symbol, logarithm: Symbol) -> Expr:
    """log(u**m N(u)) = m log u + log N(u)."""
    power = _power_at_zero(z, u)
    return log(z) if power is None else power * logarithm + log(together(z * u**-power).cancel())


def _power_at_zero(z: Expr, u: Symbol) -> int | None:
    """m, where z is a quotient of polynomials in u that behaves like u**m at 0."""
    above, below = together(z).as_numer_denom()
    try:
        lowest = [min(k for (k,) in Poly(e, u).monoms()) for e in (above, below)]
    except PolynomialError:
        return None
    return int(lowest[0] - lowest[1])


def _mean_of(c: Expr, column: Symbol, later: dict[Symbol, Expr]) -> Expr:
    """Mean(c) in powers of the column, about its mean where a parameter tends to that."""
    mean = Mean(column, (column,))
    centre = next((p for p, e in later.items() if e == mean), None)
    if centre is None:
        found = Add(*(Mean(t, (column,)) for t in Add.make_args(expand(c))))
        return expand(found.xreplace(later))
    w = Dummy("w", real=True)
    total = S.Zero
    for term in Add.make_args(expand(c.xreplace({column: centre + w}))):
        factor, power = term.as_independent(w)
        if power == w:
            continue  # the mean of x - mean(x) is 0
        total += factor * Mean(power.xreplace({w: column - mean}), (column,))
    return expand(total.xreplace(later))


def _primitive(e: Expr) -> tuple[Any, Expr]:
    """A positive rational factor and the rest."""
    number, rest = gcd_terms(e).as_coeff_Mul()
    if not number.is_Rational or number == 0:
        return S.One, e
    return abs(number), expand(rest * (1 if number > 0 else -1)) if isinstance(rest, Expr | Mul) else e


__all__ = ["condition_at_end"]
