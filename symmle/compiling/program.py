"""Statistics as polynomials in centred columns: Mean(g) = sum_k coefficient_k(c) * Mean(d**k).

A column x with pivot c (a double near its mean) is c + d with d = x - c, which doubles hold exactly
where it matters. A summand is expanded as a polynomial in such increments of its atoms (columns,
and functions of columns such as log(x)); what doubles sum up are products of increments alone. The
coefficients hold the pivots and are evaluated at 240 bits together with everything outside the
means. So Mean(x**2) - Mean(x)**2, Mean((x - Mean(x))**2) and a regression's intercept cancel at 240
bits, where cancelling costs nothing, whatever way the formula is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Any

from sympy import (
    Add,
    Basic,
    Dummy,
    Expr,
    Integer,
    Mul,
    Pow,
    S,
    Symbol,
    Tuple,
    expand_log,
    expand_power_base,
    expand_power_exp,
)

from symmle.algebra.decisions import has_jumps
from symmle.compiling.kernels import CONTEXT, open_special_logs, scalar_kernel
from symmle.sample import Count, Mean, Quantile, SampleOperator, Total, WeightedQuantile

Monomial = tuple[tuple[int, int], ...]  # ((atom, exponent), ...)
Polynomial = dict[Monomial, Expr]

MOST_TERMS = 60
MOST_DEGREE = 8


@dataclass
class Atom:
    """A function of the columns of one sample whose increments are summed up."""

    expression: Expr  # in columns and scalars
    pivot: Dummy  # its value where every column is at its pivot; 0 where it is not centred
    scalars: tuple[Symbol, ...]
    columns: tuple[Symbol, ...]
    stage: int
    centred: bool = False

    @property
    def is_column(self) -> bool:
        return self.expression.is_Symbol


@dataclass
class SampleProgram:
    """What is summed over the rows of one sample: atoms, and monomials in their increments."""

    columns: tuple[Symbol, ...]
    count: Dummy
    pivots: dict[Symbol, Dummy]
    scales: dict[Symbol, Dummy]
    jumps: bool = False  # whether a formula has floors or comparisons, so that exact sums matter
    atoms: list[Atom] = field(default_factory=list)
    monomials: dict[Monomial, Dummy] = field(default_factory=dict)

    def stage_of(self, monomial: Monomial) -> int:
        return max((self.atoms[i].stage for i, _ in monomial), default=0)


@dataclass
class Ordered:
    """A minimum, maximum, median or quantile of a summand; a weighted quantile has a weight for each row."""

    dummy: Dummy
    operator: SampleOperator
    summand: Expr  # in the columns as they are given
    weight: Expr | None
    probability: Expr | None
    scalars: tuple[Symbol, ...]
    stage: int
    sample: int


@dataclass
class Fused:
    """Several formulas as one function, which takes them one by one where one of them has no value."""

    arguments: tuple[Symbol, ...]
    bodies: list[Expr]
    kernel: Callable[..., Any]
    _each: list[Callable[..., Any]] | None = None

    def __call__(self, given: Sequence[Any]) -> list[Any]:
        try:
            return self.kernel(*given)  # type: ignore[no-any-return]
        except (ZeroDivisionError, OverflowError, ValueError, TypeError):
            return self._one_by_one(given)

    def _one_by_one(self, given: Sequence[Any]) -> list[Any]:
        if self._each is None:
            self._each = [scalar_kernel(self.arguments, [body]) for body in self.bodies]
        found = []
        for kernel in self._each:
            try:
                found.append(kernel(*given)[0])
            except (ZeroDivisionError, OverflowError, ValueError, TypeError):
                found.append(CONTEXT.nan)
        return found


class Program:
    """Expressions in sample operators, taken apart for evaluation in stages.

    Stage t sums what needs only scalars of stages below t: an inner mean that stands inside a
    logarithm must be known before the rows are passed over again; one that stands in a polynomial
    need not.
    """

    def __init__(
        self,
        expressions: Sequence[Expr],
        samples: Sequence[tuple[Symbol, ...]],
        scaled: Iterable[Symbol] = (),
    ):
        self.scaled = frozenset(scaled)
        self.samples = [
            SampleProgram(
                tuple(columns),
                Dummy(f"n{j}", positive=True),
                {c: Dummy(f"c_{c}", real=True) for c in columns},
                {c: Dummy(f"s_{c}", positive=True) for c in columns if c in self.scaled},
            )
            for j, columns in enumerate(samples)
        ]
        self.statistics: list[tuple[int, Dummy, Expr]] = []  # stage, name, formula
        self.ordered: list[Ordered] = []
        self._stage: dict[Basic, int] = {}
        self._known: dict[Basic, Expr] = {}
        self.outputs = [self._without_operators(open_special_logs(e)) for e in expressions]
        self.jumps = any(has_jumps(f) for f in [*self.outputs, *(f for _, _, f in self.statistics)])
        for sample in self.samples:  # an atom that occurs in products is centred; alone it need not be
            sample.jumps = self.jumps
            for monomial in sample.monomials:
                if sum(e for _, e in monomial) > 1:
                    for i, _ in monomial:
                        sample.atoms[i].centred = True
            for atom in sample.atoms:
                atom.centred |= atom.is_column
        internal = {d for s in self.samples for d in [s.count, *s.pivots.values(), *s.scales.values()]}
        internal |= {a.pivot for s in self.samples for a in s.atoms}
        internal |= {m for s in self.samples for m in s.monomials.values()}
        internal |= {d for _, d, _ in self.statistics} | {o.dummy for o in self.ordered}
        used: set[Basic] = set()
        for formula in [*self.outputs, *(f for _, _, f in self.statistics)]:
            used |= formula.free_symbols
        for sample in self.samples:
            for atom in sample.atoms:
                used |= set(atom.scalars)
        for order in self.ordered:
            used |= set(order.scalars)
        self.parameters: tuple[Symbol, ...] = tuple(sorted(used - internal, key=str))  # type: ignore[arg-type]
        self.stages = 1 + max([s for s, _, _ in self.statistics] + [o.stage for o in self.ordered], default=0)
        self._fused: Fused | None = None
        self._kernels: dict[int, tuple[tuple[Symbol, ...], list[Dummy], Callable[..., Any]]] = {}

    # --- taking expressions apart ---

    def _without_operators(self, expression: Expr) -> Expr:
        """The expression with every sample operator replaced by a scalar."""
        if not expression.has(SampleOperator):
            return expression
        if isinstance(expression, SampleOperator):
            if expression not in self._known:
                self._known[expression] = self._operator(expression)
            return self._known[expression]
        return expression.func(*(self._without_operators(a) for a in expression.args))  # type: ignore[arg-type]

    def _sample_of(self, operator: SampleOperator) -> int:
        first = operator.columns[0]
        for j, sample in enumerate(self.samples):
            if first in sample.columns:
                return j
        raise KeyError(f"{first} is no column of the samples")

    def _operator(self, operator: SampleOperator) -> Expr:
        j = self._sample_of(operator)
        sample = self.samples[j]
        if isinstance(operator, Count):
            return sample.count
        if isinstance(operator, Total):
            inner = self._without_operators(Mean(operator.summand, operator.args[-1]))
            return sample.count * inner  # type: ignore[no-any-return]
        summand = self._without_operators(operator.args[0])  # type: ignore[arg-type]
        if isinstance(operator, Mean):
            summand = self._scaled_summand(summand, sample)
            polynomial = self._polynomial(summand, sample, j)
            dummy = Dummy("mean", real=True)
            stage = max((sample.stage_of(m) for m in polynomial), default=0)
            formula = Add(*(c * self._moment(sample, m) for m, c in polynomial.items()))
            stage = max([stage, *(self._stage.get(s, 0) for s in formula.free_symbols)])
            self.statistics.append((stage, dummy, formula))
            self._stage[dummy] = stage
            return dummy
        dummy = Dummy("order", real=True)
        weight = probability = None
        if isinstance(operator, Quantile | WeightedQuantile):
            probability = self._without_operators(operator.probability)
        if isinstance(operator, WeightedQuantile):
            weight = self._without_operators(operator.weight)
        scalars = self._scalars_in(Tuple(summand, weight or 0, probability or 0), sample)
        stage = max((self._stage[s] + 1 for s in scalars if s in self._stage), default=0)
        self.ordered.append(Ordered(dummy, operator, summand, weight, probability, scalars, stage, j))
        self._stage[dummy] = stage
        return dummy

    def _scaled_summand(self, summand: Expr, sample: SampleProgram) -> Expr:
        """x = s x' with a power of two s that is pulled out of powers and logarithms."""
        used = {c: s * c for c, s in sample.scales.items() if summand.has(c)}
        if not used:
            return summand
        scaled = summand.subs(used, simultaneous=True)
        return expand_log(expand_power_base(expand_power_exp(scaled)))  # type: ignore[no-any-return]

    def _moment(self, sample: SampleProgram, monomial: Monomial) -> Expr:
        if not monomial:
            return S.One
        if monomial not in sample.monomials:
            label = "".join(f"{i}^{e}" for i, e in monomial)
            sample.monomials[monomial] = Dummy(f"m{label}", real=True)
        return sample.monomials[monomial]

    def _scalars_in(self, expression: Basic, sample: SampleProgram) -> tuple[Symbol, ...]:
        return tuple(sorted(expression.free_symbols - set(sample.columns), key=str))  # type: ignore[arg-type]

    # --- polynomials in increments ---

    def _polynomial(self, summand: Expr, sample: SampleProgram, j: int) -> Polynomial:
        found = self._expand(summand, sample, j)
        if found is None:
            found = self._atom(summand, sample)
        return {m: c for m, c in found.items() if c is not S.Zero}

    def _expand(self, node: Expr, sample: SampleProgram, j: int) -> Polynomial | None:
        """Coefficients by monomials in increments, or None where that takes too many."""
        if not node.has(*sample.columns):
            return {(): node}
        if isinstance(node, Add):
            total: Polynomial = {}
            for term in node.args:
                part = self._expand(term, sample, j)  # type: ignore[arg-type]
                if part is None:
                    part = self._atom(term, sample)  # type: ignore[arg-type]
                for monomial, coefficient in part.items():
                    total[monomial] = total.get(monomial, S.Zero) + coefficient
            return total if len(total) <= MOST_TERMS else None
        if isinstance(node, Mul):
            scalar, rest = node.as_independent(*sample.columns, as_Add=False)
            if self._has_open_atom(rest, sample):
                return {m: scalar * c for m, c in self._atom(rest, sample).items()}
            product: Polynomial | None = {(): scalar}
            for factor in Mul.make_args(rest):
                product = _product(product, self._expand(factor, sample, j))  # type: ignore[arg-type]
                if product is None:
                    return None
            return product
        if isinstance(node, Pow) and node.exp.is_Integer:
            if node.exp > 0:
                return _power(self._expand(node.base, sample, j), int(node.exp))
            if node.exp < -1 and node.base.is_Symbol:
                return _power(self._atom(1 / node.base, sample), int(-node.exp))
        return self._atom(node, sample)

    def _has_open_atom(self, product: Expr, sample: SampleProgram) -> bool:
        """A product with a function of columns and parameters is summed up whole."""
        if not isinstance(product, Mul):
            return False
        for factor in product.args:
            base = (
                factor.base
                if isinstance(factor, Pow) and factor.exp.is_Integer and factor.exp > 0
                else factor
            )  # type: ignore[attr-defined]
            if isinstance(base, (Add, Mul)) and not self._has_open_function(base, sample):
                continue
            if not base.is_Symbol and self._scalars_in(base, sample):
                return True
        return False

    def _has_open_function(self, node: Basic, sample: SampleProgram) -> bool:
        if not node.has(*sample.columns):
            return False
        if isinstance(node, (Add, Mul)) or (isinstance(node, Pow) and node.exp.is_Integer and node.exp > 0):
            return any(self._has_open_function(a, sample) for a in node.args)
        return not node.is_Symbol and bool(self._scalars_in(node, sample))  # type: ignore[attr-defined, arg-type]

    def _atom(self, expression: Expr, sample: SampleProgram) -> Polynomial:
        for i, atom in enumerate(sample.atoms):
            if atom.expression == expression:
                return {(): atom.pivot, ((i, 1),): S.One}
        scalars = self._scalars_in(expression, sample)
        stage = max((self._stage[s] + 1 for s in scalars if s in self._stage), default=0)
        pivot = sample.pivots[expression] if expression.is_Symbol else Dummy("p", real=True)  # type: ignore[index]
        columns = tuple(c for c in sample.columns if expression.has(c))
        sample.atoms.append(Atom(expression, pivot, scalars, columns, stage))
        return {(): pivot, ((len(sample.atoms) - 1, 1),): S.One}

    # --- scalars ---

    def fused(self) -> Fused | None:
        """Where one stage is enough: the outputs straight from the moments."""
        if self.stages > 1:
            return None
        if self._fused is None:
            inner = _in_order([(d, f) for _, d, f in self.statistics])
            put_in = dict(zip((d for _, d, _ in self.statistics), inner, strict=True))
            bodies = [o.xreplace(put_in) for o in self.outputs]
            free = {symbol for body in bodies for symbol in body.free_symbols}
            arguments: tuple[Any, ...] = tuple(
                sorted(free, key=lambda d: (str(d), getattr(d, "dummy_index", 0)))
            )
            self._fused = Fused(arguments, bodies, scalar_kernel(arguments, bodies))
        return self._fused

    def formulas(self, stage: int) -> tuple[tuple[Symbol, ...], list[Dummy], Callable[..., Any]]:
        """Arguments, names and function of the statistics of a stage; `stages` stands for the outputs."""
        if stage not in self._kernels:
            names: list[Dummy] = []
            if stage == self.stages:
                bodies = list(self.outputs)
            else:
                here = [(d, f) for s, d, f in self.statistics if s == stage]
                names, bodies = [d for d, _ in here], _in_order(here)
            free = {symbol for body in bodies for symbol in body.free_symbols}
            arguments: tuple[Any, ...] = tuple(
                sorted(free, key=lambda d: (str(d), getattr(d, "dummy_index", 0)))
            )
            self._kernels[stage] = (arguments, names, scalar_kernel(arguments, bodies))
        return self._kernels[stage]


def _in_order(named: list[tuple[Dummy, Expr]]) -> list[Expr]:
    """Formulas of one stage with earlier ones of the same stage put in."""
    done: dict[Basic, Expr] = {}
    for dummy, formula in named:
        done[dummy] = formula.xreplace({d: done[d] for d in formula.free_symbols if d in done})
    return list(done.values())


def _product(first: Polynomial | None, second: Polynomial | None) -> Polynomial | None:
    if first is None or second is None or len(first) * len(second) > 4 * MOST_TERMS:
        return None
    result: Polynomial = {}
    for m, a in first.items():
        for k, b in second.items():
            exponents = dict(m)
            for i, e in k:
                exponents[i] = exponents.get(i, 0) + e
            if sum(exponents.values()) > MOST_DEGREE:
                return None
            key = tuple(sorted(exponents.items()))
            result[key] = result.get(key, S.Zero) + a * b
    return result if len(result) <= MOST_TERMS else None


def _power(base: Polynomial | None, exponent: int) -> Polynomial | None:
    if base is None or exponent > MOST_DEGREE:
        return None
    if len(base) == 2 and () in base:  # (a + b d)**k by the binomial theorem
        (other,) = [m for m in base if m]
        a, b = base[()], base[other]
        if sum(e for _, e in other) * exponent > MOST_DEGREE:
            return None
        return {
            tuple((i, e * k) for i, e in other) if k else (): Integer(comb(exponent, k))
            * a ** (exponent - k)
            * b**k
            for k in range(exponent + 1)
        }
    result: Polynomial | None = {(): S.One}
    for _ in range(exponent):
        result = _product(result, base)
    return result
