"""The score equations and the Hessian, in sample operators, each mean split into its statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from sympy import Add, Expr, Matrix, Mul, S, Symbol, Tuple

from symmle.algebra import GaveUp, attempt_within
from symmle.likelihood import Likelihood
from symmle.logarithm import separate
from symmle.sample import Mean, SampleOperator

# Operations beyond which derivatives are left as they are: products of many sums have thousands of terms, of which
# none separates. Second derivatives of SHORT ones are split even where that makes them longer.
LONG, SHORT = 600, 150
# For the splitting of one derivative, and of those that follow one which took too long.
SECONDS, LEAST = 0.3, 0.03


def split_means(expression: Expr, parameters: frozenset[Symbol] = frozenset()) -> Expr:
    """Every Mean(h) as sum coefficient * Mean(g), parameters outside where they separate.

    A Mean without any of the `parameters` stays as it is.
    """

    def split(operator: Expr) -> Expr:
        columns: Tuple = operator.args[-1]
        if operator.summand.has(SampleOperator) or (parameters and not operator.free_symbols & parameters):
            return operator
        return Add(*(c * Mean(g, columns) for c, g in separate(operator.summand, tuple(columns), parameters)))

    return expression.replace(lambda e: isinstance(e, Mean), split)


def separated_means(expression: Expr, parameters: frozenset[Symbol]) -> Expr:
    """As `split_means`, where that takes parameters out of every part; a Mean of which a part keeps them all stays.

    What does not separate keeps the form it was differentiated in: log(1 - F**a) brings quotients like
    F**a log(F)/(1 - F**a), which hold all their digits only as long as they are not opened.
    """

    def split(operator: Expr) -> Expr:
        own = operator.free_symbols & parameters
        if operator.summand.has(SampleOperator) or not own:
            return operator
        columns: Tuple = operator.args[-1]
        found: list[Expr] = []
        for term in Add.make_args(operator.summand):
            parts = separate(term, tuple(columns), parameters)
            inside = term.free_symbols & parameters
            whole = any(g.free_symbols & parameters == inside for _, g in parts) and bool(inside)
            kept = [(S.One, term)] if whole else parts
            found.append(Add(*(c * Mean(g, columns) for c, g in kept)))
        return Add(*found)

    return expression.replace(lambda e: isinstance(e, Mean), split)


def without_centring(expression: Expr) -> Expr:
    """Means about other means written by raw ones: Mean((x - Mean(x))**2) as Mean(x**2) - Mean(x)**2."""

    def split(operator: Expr) -> Expr:
        if not operator.summand.has(SampleOperator):
            return operator
        columns: Tuple = operator.args[-1]
        parts = separate(operator.summand, tuple(columns))
        return Add(*(c.replace(lambda e: isinstance(e, Mean), split) * Mean(g, columns) for c, g in parts))

    return expression.replace(lambda e: isinstance(e, Mean), split)


def _while_quick(expressions: dict[Any, Expr], split: Callable[[Expr], Expr]) -> dict[Any, Expr]:
    """Each that is not long, split; after one that took too long the others get hardly any time."""
    seconds, found = SECONDS, dict(expressions)
    for key, e in expressions.items():
        if e.count_ops() > LONG:
            continue
        answer = attempt_within(seconds, split, e)
        if isinstance(answer, GaveUp):
            seconds = LEAST
        else:
            found[key] = answer
    return found


class ScoreSystem:
    """d l / d theta for the free parameters of a likelihood, and the second derivatives."""

    def __init__(self, likelihood: Likelihood, parameters: tuple[Symbol, ...] | None = None):
        self.likelihood = likelihood
        self.parameters = tuple(likelihood.parameters) if parameters is None else parameters

    @cached_property
    def equations(self) -> dict[Symbol, Expr]:
        l = self.likelihood.log_likelihood
        free = frozenset(self.likelihood.parameters)
        slopes = {p: l.diff(p) for p in self.parameters}
        return _while_quick(slopes, lambda s: _collected(split_means(s, free)))

    @cached_property
    def slopes(self) -> dict[Symbol, Expr]:
        """The score as it is computed: what does not separate is left as it was differentiated."""
        l, free = self.likelihood.log_likelihood, frozenset(self.likelihood.parameters)
        plain = {p: l.diff(p) for p in self.parameters}
        return _while_quick(plain, lambda s: separated_means(s, free))

    @cached_property
    def curvature(self) -> Matrix:
        """The Hessian as it is computed."""
        free = frozenset(self.likelihood.parameters)
        plain = {
            (p, q): self.slopes[p].diff(q)
            for i, p in enumerate(self.parameters)
            for q in self.parameters[: i + 1]
        }
        found = _while_quick(plain, lambda s: separated_means(s, free))
        return Matrix(
            [[found.get((p, q), found.get((q, p))) for q in self.parameters] for p in self.parameters]
        )

    @cached_property
    def hessian(self) -> Matrix:
        l, free = self.likelihood.log_likelihood, frozenset(self.likelihood.parameters)

        def second(p: Symbol, q: Symbol) -> Expr:
            found = self.equations[p].diff(q)
            if (size := found.count_ops()) > SHORT:
                plain = l.diff(p).diff(q)
                if size > LONG or plain.count_ops() < size:
                    return plain  # type: ignore[no-any-return]
            split = attempt_within(SECONDS, split_means, found, free)
            return found if isinstance(split, GaveUp) else split

        return Matrix([[second(p, q) for q in self.parameters] for p in self.parameters])


def _collected(expression: Expr) -> Expr:
    """A sum of coefficient * operators, each operator once."""
    found: dict[Expr, Expr] = {}
    for term in Add.make_args(expression.expand(deep=False, power_base=False, log=False)):
        operators: list[Expr] = []
        coefficient: list[Expr] = []
        for factor in Mul.make_args(term):
            (operators if isinstance(factor, SampleOperator) else coefficient).append(factor)
        key = Mul(*operators)
        found[key] = found.get(key, S.Zero) + Mul(*coefficient)
    return Add(*(k * c for k, c in found.items()))
