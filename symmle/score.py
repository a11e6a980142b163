"""The score equations and the Hessian, in sample operators, each mean split into its statistics."""

from __future__ import annotations

from functools import cached_property

from sympy import Add, Expr, Matrix, Mul, S, Symbol, Tuple

from symmle.likelihood import Likelihood
from symmle.logarithm import separate
from symmle.sample import Mean, SampleOperator

# Operations beyond which derivatives are left as they are: products of many sums have thousands of terms, of which
# none separates. Second derivatives of SHORT ones are split even where that makes them longer.
LONG, SHORT = 600, 150


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


def without_centring(expression: Expr) -> Expr:
    """Means about other means written by raw ones: Mean((x - Mean(x))**2) as Mean(x**2) - Mean(x)**2."""

    def split(operator: Expr) -> Expr:
        if not operator.summand.has(SampleOperator):
            return operator
        columns: Tuple = operator.args[-1]
        parts = separate(operator.summand, tuple(columns))
        return Add(*(c.replace(lambda e: isinstance(e, Mean), split) * Mean(g, columns) for c, g in parts))

    return expression.replace(lambda e: isinstance(e, Mean), split)


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
        return {p: s if s.count_ops() > LONG else _collected(split_means(s, free)) for p, s in slopes.items()}

    @cached_property
    def hessian(self) -> Matrix:
        l, free = self.likelihood.log_likelihood, frozenset(self.likelihood.parameters)

        def second(p: Symbol, q: Symbol) -> Expr:
            found = self.equations[p].diff(q)
            if (size := found.count_ops()) > SHORT:
                plain = l.diff(p).diff(q)
                if size > LONG or plain.count_ops() < size:
                    return plain  # type: ignore[no-any-return]
            return split_means(found, free)

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
