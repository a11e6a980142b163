"""Observed and expected Fisher information, and the asymptotic covariance."""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr, Matrix, Range, Symbol, cancel, factor, integrate, oo, simplify, summation, together

from symmle.algebra import GaveUp, attempt_within
from symmle.family import find_family
from symmle.likelihood import Likelihood
from symmle.sample import Mean
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
        return Information(score.parameters, observed, None, "with lags the expectation runs over the whole series")
    integrated = attempt_within(time_limit, _by_integration, likelihood, observed)
    if isinstance(integrated, GaveUp):
        return Information(score.parameters, observed, None, f"integration: {integrated.reason}")
    if isinstance(integrated, str):
        return Information(score.parameters, observed, None, integrated)
    return Information(score.parameters, observed, integrated, route="integration")


def _by_family(likelihood: Likelihood, score: ScoreSystem) -> Matrix | None:
    if likelihood.declaration.lags or likelihood.declaration.normalises is False and not _is_conditional(likelihood):
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
        known[operator] = value
    return observed.applyfunc(lambda e: _short(e.xreplace(known)))


def _is_done(value: Expr) -> bool:
    from sympy import Integral, Piecewise, Sum, nan, zoo

    return not value.has(Integral, Sum, Piecewise, nan, zoo, oo)


def _expectation(g: Expr, density: Expr, x: Symbol, support: object) -> Expr | GaveUp:
    if isinstance(support, Range):
        return attempt_within(1.5, lambda: simplify(summation(g * density, (x, support.inf, support.sup))))
    lo, hi = support.inf, support.sup  # type: ignore[attr-defined]
    return attempt_within(1.5, lambda: simplify(integrate(g * density, (x, lo, hi), conds="none")))


__all__ = ["Information", "find_information"]
