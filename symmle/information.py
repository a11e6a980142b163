"""Observed and expected Fisher information, and the asymptotic covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
from sympy import (
    Add,
    Dummy,
    Expr,
    FiniteSet,
    I,
    Integral,
    Matrix,
    Mul,
    Piecewise,
    Range,
    S,
    Sum,
    Symbol,
    cancel,
    exp,
    exp_polar,
    expand,
    expand_log,
    factor,
    gamma,
    integrate,
    log,
    nan,
    oo,
    powsimp,
    simplify,
    summation,
    together,
    zoo,
)

from symmle.algebra import (
    Facts,
    GaveUp,
    Rows,
    attempt_within,
    bounds_of_set,
    compile_expression,
    ends_of_range,
)
from symmle.algebra.roots import solve_equation
from symmle.family import find_family
from symmle.likelihood import Likelihood, NormalForm
from symmle.sample import Mean
from symmle.sampling import RandomPoints, as_numbers
from symmle.score import ScoreSystem


@dataclass(frozen=True)
class Information:
    """Fisher information of the sample in `parameters`, as SymPy matrices.

    `observed` is minus the Hessian, a function of the parameters and of statistics; `expected` its
    expectation under the model, or None with the `reason`.
    """

    parameters: tuple[Symbol, ...]
    observed: Matrix
    expected: Matrix | None
    reason: str = ""
    route: str = ""  # how the expectation was taken

    @property
    def asymptotic_covariance(self) -> Matrix | None:
        """The inverse of the expected information, or None."""
        if self.expected is None:
            return None
        answer = attempt_within(4.0, lambda: self.expected.inv().applyfunc(_short))  # type: ignore[union-attr]
        return None if isinstance(answer, GaveUp) else answer


def _short(e: Expr) -> Expr:
    return factor(cancel(together(e)))


def find_information(likelihood: Likelihood, score: ScoreSystem, time_limit: float = 8.0) -> Information:
    """Observed information always; expected by E[score] = 0, else by integration within the limit."""
    observed = -score.hessian
    expected = attempt_within(time_limit / 2, _by_family, likelihood, score)
    if isinstance(expected, Matrix):
        return Information(score.parameters, observed, expected, route="E[score] = 0")
    if likelihood.declaration.lags:
        return Information(
            score.parameters, observed, None, "with lags the expectation runs over the whole series"
        )
    integrated = attempt_within(time_limit, _by_integration, likelihood, observed)
    if isinstance(integrated, GaveUp):
        return Information(score.parameters, observed, None, f"integration: {integrated.reason}")
    if isinstance(integrated, str):
        return Information(score.parameters, observed, None, integrated)
    return Information(score.parameters, observed, integrated, route="integration")


def _by_family(likelihood: Likelihood, score: ScoreSystem) -> Matrix | None:
    if (
        likelihood.declaration.lags
        or likelihood.declaration.normalises is False
        and not _is_conditional(likelihood)
    ):
        return None
    family = find_family(likelihood, score.parameters)
    if isinstance(family, str) or not family.is_full:
        return None
    expected = family.expected_statistics()
    if isinstance(expected, GaveUp):
        return None
    p = score.parameters
    size = len(p)

    def entry(i: int, j: int) -> Expr:
        total = family.constant.diff(p[i], p[j])
        for a, t in zip(family.coefficients, expected, strict=True):
            total += a.diff(p[i], p[j]) * t
        return _short(-total)

    return Matrix(size, size, lambda i, j: entry(min(i, j), max(i, j)))


def _is_conditional(likelihood: Likelihood) -> bool:
    return any(part.given for part in likelihood.declaration.samples)


def _by_integration(likelihood: Likelihood, observed: Matrix) -> Matrix | str:
    known: dict[Expr, Expr] = {}
    for operator in observed.atoms(Mean):
        form = next(f for f in likelihood.forms if f.columns == operator.args[-1])
        if len(form.part.columns) != 1 or form.part.given:
            return "the expectation is over several columns or conditional"
        x = form.part.columns[0]
        value = _expectation(operator.summand, form.part.density, x, form.part.support[x])
        if isinstance(value, GaveUp) or value.has(x) or not _is_done(value):
            reason = value.reason if isinstance(value, GaveUp) else "no closed form"
            return f"E[{operator.summand}]: {reason}"
        if attempt_within(3.0, _agrees, value, operator.summand, form, likelihood) is not True:
            return f"E[{operator.summand}] was found but quadrature did not confirm it"
        known[operator] = value
    return observed.applyfunc(lambda e: _short(e.xreplace(known)))


def _is_done(value: Expr) -> bool:
    return not value.has(Integral, Sum, Piecewise, nan, zoo, oo, exp_polar, I)


def _expectation(g: Expr, density: Expr, x: Symbol, support: object) -> Expr | GaveUp:
    """E[g(x)]: a sum over a finite support; else integrated as it stands, or in the variable of its exponential."""
    if isinstance(support, FiniteSet):
        return Add(*((g * density).xreplace({x: m}) for m in support.args))
    if isinstance(support, Range):
        lo, hi = ends_of_range(support)
        return attempt_within(1.5, lambda: simplify(summation(g * density, (x, lo, hi))))
    lo, hi = support.inf, support.sup  # type: ignore[attr-defined]
    pivot = attempt_within(2.0, _by_pivot, g, density, x, lo, hi)
    if isinstance(pivot, Expr) and _is_done(pivot):
        return pivot
    return attempt_within(1.5, lambda: simplify(integrate(g * density, (x, lo, hi), conds="none")))


def _by_pivot(g: Expr, density: Expr, x: Symbol, lo: Expr, hi: Expr) -> Expr | None:
    """The integral over u where the density holds exp(-u(x)) and u is monotone from 0 to oo."""
    for e in sorted(density.atoms(exp), key=lambda e: -e.count_ops()):
        u_of_x = -e.args[0]
        if not u_of_x.has(x) or {u_of_x.limit(x, lo, "+"), u_of_x.limit(x, hi, "-")} != {S.Zero, oo}:
            continue
        u = Dummy("u", positive=True)
        answer = solve_equation(u_of_x - u, x, Facts({}))
        if isinstance(answer, GaveUp) or len(answer.roots) != 1:
            continue
        x_of_u = answer.roots[0]
        slope = powsimp(x_of_u.diff(u))
        sign = -1 if u_of_x.limit(x, lo, "+") == oo else 1
        inside = expand(expand_log(powsimp(expand((g * density).xreplace({x: x_of_u}) * slope * sign))))
        by_gamma = _gamma_integral(inside, u)
        if by_gamma is not None:
            return simplify(by_gamma)
        return simplify(integrate(simplify(inside), (u, 0, oo), conds="none"))
    return None


def _gamma_integral(inside: Expr, u: Symbol) -> Expr | None:
    """The integral over (0, oo) of a sum of c u**a log(u)**m exp(-u): c times the m-th derivative of gamma at a + 1."""
    total: Expr = S.Zero
    z = Dummy("z", positive=True)
    for term in Add.make_args(inside):
        c, rest = term.as_independent(u, as_Add=False)
        a, m, seen = S.Zero, 0, False
        for factor_ in Mul.make_args(rest):
            base, power = factor_.as_base_exp()
            if factor_ == exp(-u):
                seen = True
            elif base == u and not power.has(u):
                a += power
            elif base == log(u) and power.is_Integer and power > 0:
                m += int(power)
            else:
                return None
        if not seen or (a + 1).is_positive is False:
            return None
        total += c * gamma(z).diff(z, m).xreplace({z: a + 1})
    return total


def _agrees(value: Expr, g: Expr, form: NormalForm, likelihood: Likelihood) -> bool:
    """The expectation by quadrature at a random parameter point."""
    x = form.part.columns[0]
    stream = RandomPoints(likelihood.declaration, 37)
    values = stream.parameters(stream.constants())
    support = form.part.support[x]
    if values is None:
        return False
    if isinstance(support, FiniteSet):
        return True
    numbers = as_numbers(values)
    b = bounds_of_set(support, values)
    if b is None:
        return False
    f = compile_expression(Mean(factor(g) * form.part.density, form.columns))
    claimed = compile_expression(value)(numbers, [])

    def at(t: Any) -> Any:
        return f(numbers, [Rows({x: [mpmath.mpf(t)]}, [mpmath.mpf(1)])])

    ends = [
        -mpmath.inf if b.lo == -oo else mpmath.mpf(str(b.lo.evalf(20))),
        mpmath.inf if b.hi == oo else mpmath.mpf(str(b.hi.evalf(20))),
    ]
    if isinstance(support, Range):
        found = mpmath.nsum(at, ends)
    else:
        middle = [mpmath.mpf(1)] if ends == [0, mpmath.inf] else []
        found = mpmath.quad(at, [ends[0], *middle, ends[1]])
    return bool(abs(found - claimed) <= 1e-7 * (1 + abs(found)))


__all__ = ["Information", "find_information"]
