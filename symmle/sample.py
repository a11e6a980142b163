"""Sample operators: what a likelihood sees of the data, as SymPy objects.

Every operator binds the columns of its sample, as a sum binds its index: `Mean(x**k, (x,))` has the
free symbol `k` alone. All operators of one sample carry the same columns in the same order, so that
equal statistics compare equal. Counts and means are those of the weighted sample.
"""

from __future__ import annotations

from typing import Any

from sympy import Add, Basic, Dummy, Expr, IndexedBase, Mul, S, Sum, Symbol, Tuple, expand, sympify
from sympy.core.cache import cacheit


def _as_columns(columns: Any) -> Tuple:
    if isinstance(columns, Symbol):
        return Tuple(columns)
    return Tuple(*columns)


class SampleOperator(Expr):
    """A number computed from the rows of one sample; `columns` are bound in it."""

    is_commutative = True
    # an atom to SymPy's expand, so that (x - c)**2 inside a mean stays a square
    is_Atom = True

    @property
    def columns(self) -> tuple[Symbol, ...]:
        return tuple(self.args[-1].args)  # type: ignore[arg-type]

    @property
    def bound_symbols(self) -> set[Basic]:
        return set(self.columns)

    @property
    def free_symbols(self) -> set[Basic]:
        found: set[Basic] = set()
        for argument in self.args[:-1]:
            found |= argument.free_symbols
        return found - self.bound_symbols

    def _eval_subs(self, old: Basic, new: Basic) -> Basic | None:
        if self == old:
            return new
        if old in self.bound_symbols:
            return self
        new = sympify(new)
        if new.free_symbols & self.bound_symbols:
            raise ValueError(f"{new} would capture a data column of {self}")
        arguments = [argument._subs(old, new) for argument in self.args[:-1]]
        return self.func(*arguments, self.args[-1])

    def _sympystr(self, printer: Any) -> str:
        inside = ", ".join(printer._print(argument) for argument in self.args[:-1])
        return f"{type(self).__name__}({inside or ', '.join(map(str, self.columns))})"

    def _eval_is_extended_real(self) -> bool | None:
        return True

    def _eval_is_finite(self) -> bool | None:
        return True


class Count(SampleOperator):
    """n, the number of rows (the sum of the weights) of the sample with these columns."""

    def __new__(cls, columns: Any) -> Count:
        return Expr.__new__(cls, _as_columns(columns))

    def _eval_is_positive(self) -> bool:
        return True

    def _eval_is_zero(self) -> bool:
        return False

    def _eval_derivative(self, symbol: Symbol) -> Expr:
        return S.Zero


class Statistic(SampleOperator):
    """An operator of one summand; `summand` may hold parameters."""

    @property
    def summand(self) -> Expr:
        return self.args[0]  # type: ignore[return-value]


class LinearStatistic(Statistic):
    """Total and Mean: linear, differentiable in parameters, constants pulled out on construction."""

    @cacheit
    def __new__(cls, summand: Any, columns: Any) -> Expr:  # type: ignore[misc]
        bound = _as_columns(columns)
        summand = sympify(summand)
        if not summand.free_symbols & set(bound.args):
            return cls._of_constant(summand, bound)
        if isinstance(summand, Add):
            constant, rest = summand.as_independent(*bound.args, as_Add=True)
            if constant is not S.Zero:
                return cls._of_constant(constant, bound) + cls(rest, bound)
        if isinstance(summand, Mul):
            factor, rest = summand.as_independent(*bound.args, as_Add=False)
            if factor is not S.One:
                return factor * cls(rest, bound)
        return Expr.__new__(cls, summand, bound)

    @classmethod
    def _of_constant(cls, constant: Expr, columns: Tuple) -> Expr:
        raise NotImplementedError

    def _eval_derivative(self, symbol: Symbol) -> Expr:
        if symbol in self.bound_symbols:
            return S.Zero
        return self.func(self.summand.diff(symbol), self.args[-1])

    def split(self) -> Expr:
        """The sum over the terms of the expanded summand."""
        return Add(*(self.func(t, self.args[-1]) for t in Add.make_args(expand(self.summand))))

    def _eval_is_positive(self) -> bool | None:
        return True if self.summand.is_positive else None

    def _eval_is_negative(self) -> bool | None:
        return True if self.summand.is_negative else None

    def _eval_is_nonnegative(self) -> bool | None:
        return True if self.summand.is_nonnegative else None

    def _eval_is_nonpositive(self) -> bool | None:
        return True if self.summand.is_nonpositive else None


class Mean(LinearStatistic):
    """(1/n) sum_i g(x_i)."""

    @classmethod
    def _of_constant(cls, constant: Expr, columns: Tuple) -> Expr:
        return constant


class Total(LinearStatistic):
    """sum_i g(x_i)."""

    @classmethod
    def _of_constant(cls, constant: Expr, columns: Tuple) -> Expr:
        return Count(columns) * constant


class OrderStatistic(Statistic):
    """Operators that return one of the values of the summand."""

    def __new__(cls, summand: Any, columns: Any) -> Expr:
        return Expr.__new__(cls, sympify(summand), _as_columns(columns))


class Minimum(OrderStatistic):
    """min_i g(x_i) over the rows of positive weight."""


class Maximum(OrderStatistic):
    """max_i g(x_i) over the rows of positive weight."""


class Median(OrderStatistic):
    """The lower median: the smallest order statistic with cumulated weight at least n/2."""


class Quantile(SampleOperator):
    """The smallest order statistic whose cumulated weight is at least p n; never interpolated."""

    def __new__(cls, summand: Any, probability: Any, columns: Any) -> Expr:
        return Expr.__new__(cls, sympify(summand), sympify(probability), _as_columns(columns))

    @property
    def summand(self) -> Expr:
        return self.args[0]  # type: ignore[return-value]

    @property
    def probability(self) -> Expr:
        return self.args[1]  # type: ignore[return-value]


class WeightedQuantile(SampleOperator):
    """The smallest value of g(x_i) whose cumulated weight v(x_i) is at least p times their sum; never interpolated.

    `weight` is an expression v in the columns, positive; a row of count w weighs w v(x_i).
    """

    def __new__(cls, summand: Any, weight: Any, probability: Any, columns: Any) -> Expr:
        weight = sympify(weight)
        bound = _as_columns(columns)
        if not weight.free_symbols & set(bound.args):
            return Quantile(summand, probability, bound)
        return Expr.__new__(cls, sympify(summand), weight, sympify(probability), bound)

    @property
    def summand(self) -> Expr:
        return self.args[0]  # type: ignore[return-value]

    @property
    def weight(self) -> Expr:
        return self.args[1]  # type: ignore[return-value]

    @property
    def probability(self) -> Expr:
        return self.args[2]  # type: ignore[return-value]


def totals_as_means(expression: Expr) -> Expr:
    """Total(g) written as n Mean(g)."""
    return expression.replace(
        lambda e: isinstance(e, Total), lambda e: Count(e.args[-1]) * Mean(e.summand, e.args[-1])
    )


_INDICES = "ijklm"


def written_as_sums(expression: Expr, depth: int = 0) -> Expr:
    """Means and totals as SymPy sums over x[1] .. x[n]; a mean inside a mean gets an index of its own.

    The sample size is the symbol n, or n_x where the columns start with x and there are several samples.
    """
    columns = {o.args[-1] for o in expression.atoms(SampleOperator)}

    def size(bound: Basic) -> Symbol:
        name = "n" if len(columns) == 1 else f"n_{bound.args[0]}"
        return Symbol(name, integer=True, positive=True)

    def write(node: Expr, level: int) -> Expr:
        if isinstance(node, Count):
            return size(node.args[-1])
        if isinstance(node, LinearStatistic):
            index = Symbol(_INDICES[level], integer=True, positive=True)
            rows = {x: IndexedBase(x)[index] for x in node.columns}
            inner = {o: Dummy() for o in statistics_of(node.summand)}  # their columns are their own
            inside = node.summand.xreplace(inner).xreplace(rows)
            inside = inside.xreplace({d: write(o, level + 1) for o, d in inner.items()})
            n = size(node.args[-1])
            total = Sum(inside, (index, 1, n))
            return total / n if isinstance(node, Mean) else total
        return node

    def walk(node: Expr, level: int) -> Expr:
        if isinstance(node, SampleOperator):
            return write(node, level)
        return node.func(*(walk(a, level) for a in node.args)) if node.args else node

    return walk(expression, depth)


def statistics_of(expression: Basic) -> list[SampleOperator]:
    """The outermost sample operators of an expression, in a fixed order."""
    found: list[SampleOperator] = []

    def walk(node: Basic) -> None:
        if isinstance(node, SampleOperator):
            if node not in found:
                found.append(node)
            return
        for argument in node.args:
            walk(argument)

    walk(expression)
    return sorted(found, key=lambda s: s.sort_key())
