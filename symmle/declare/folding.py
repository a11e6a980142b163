"""A density at a point of the parameter space, as a plain Python function of its columns.

The expression is folded into closures: what is free of the columns becomes a number once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy
from sympy import Basic, Expr, Piecewise, Product, S, Set, Sum, Symbol
from sympy.core.relational import Relational
from sympy.logic.boolalg import And, BooleanFalse, BooleanTrue, Not, Or

from symmle.declare.domains import lower, upper
from symmle.declare.numbers import SPECIAL, Digits, Doubles, NotComputed, NotReal

Function = Callable[[list[Any]], Any]
Folded = tuple[Any, Function | None]  # (number, None) or (None, function)
MOST_TERMS = 10_000

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Folder:
    """Folds expressions at one point, in one arithmetic; `slots` numbers the columns."""

    def __init__(self, values: Mapping[Symbol, Any], columns: Sequence[Symbol], arithmetic: Doubles | Digits):
        self.arithmetic = arithmetic
        self.values = {s: arithmetic.number(v) for s, v in values.items()}
        self.slots = {x: i for i, x in enumerate(columns)}
        self.width = len(columns)
        self.known: dict[Basic, Folded] = {}

    def function(self, expression: Expr) -> Function:
        """The value of the expression at a list of column values."""
        number, function = self.fold(expression)
        if function is None:
            return lambda v: number
        width, columns = self.width, len(self.slots)
        if width == columns:
            return function
        pad = [None] * (width - columns)
        return lambda v: function([*v, *pad])

    def fold(self, e: Basic) -> Folded:
        found = self.known.get(e)
        if found is None:
            found = self.known[e] = self._fold(e)
        return found

    def applied(self, operation: Callable[..., Any], parts: list[Folded]) -> Folded:
        """operation(*parts), done now if all parts are numbers."""
        if all(f is None for _, f in parts):
            return operation(*(n for n, _ in parts)), None
        if len(parts) == 1:
            f = parts[0][1]
            assert f is not None
            return None, lambda v: operation(f(v))
        if len(parts) == 2:
            (a, f), (b, g) = parts
            if f is None:
                assert g is not None
                return None, lambda v: operation(a, g(v))
            if g is None:
                return None, lambda v: operation(f(v), b)
            return None, lambda v: operation(f(v), g(v))
        functions = [_constant(n) if f is None else f for n, f in parts]
        return None, lambda v: operation(*(f(v) for f in functions))

    def _fold(self, e: Basic) -> Folded:
        ar = self.arithmetic
        if isinstance(e, Symbol):
            if e in self.slots:
                slot = self.slots[e]
                return None, lambda v: v[slot]
            if e in self.values:
                return self.values[e], None
            raise NotComputed(f"`{e}` has no value")
        if isinstance(e, (BooleanTrue, BooleanFalse)):
            return bool(e), None
        if isinstance(e, Expr) and e.is_number and not e.args:
            return ar.number(e), None
        if e.is_Add:
            return self.chained(e.args, lambda a, b: a + b)
        if e.is_Mul:
            return self.product(e)
        if e.is_Pow:
            base, exponent = e.args
            return self.power(base, exponent)
        if isinstance(e, sympy.exp):
            return self.applied(ar.exp, [self.fold(e.args[0])])
        if isinstance(e, sympy.log):
            return self.applied(ar.log, [self.fold(e.args[0])])
        if isinstance(e, Piecewise):
            return self.piecewise(e)
        if isinstance(e, Relational):
            return self.applied(_COMPARE[e.rel_op], [self.fold(a) for a in e.args])
        if isinstance(e, And):
            return self.chained(e.args, lambda a, b: a and b)
        if isinstance(e, Or):
            return self.chained(e.args, lambda a, b: a or b)
        if isinstance(e, Not):
            return self.applied(lambda a: not a, [self.fold(e.args[0])])
        if isinstance(e, (Sum, Product)):
            return self.summation(e)
        name = type(e).__name__
        if name == "hyper":
            groups = [[self.fold(a) for a in group] for group in e.args[:2]]
            if any(f is not None for group in groups for _, f in group):
                raise NotComputed("a hyper function whose parameters hold the data")
            upper_, lower_ = ([n for n, _ in group] for group in groups)
            context = _context_of(ar)
            return self.applied(lambda z: _real(context.hyper(upper_, lower_, z), ar), [self.fold(e.args[2])])
        if name in SPECIAL:
            return self.applied(lambda *a: ar.special(name, a), [self.fold(a) for a in e.args])
        raise NotComputed(f"{name} is not known to the check")

    def chained(self, arguments: tuple[Basic, ...], operation: Callable[[Any, Any], Any]) -> Folded:
        """Numbers among the arguments are joined first."""
        parts = [self.fold(a) for a in arguments]
        numbers = [n for n, f in parts if f is None]
        rest: list[Folded] = [(n, f) for n, f in parts if f is not None]
        if numbers:
            joined = numbers[0]
            for n in numbers[1:]:
                joined = operation(joined, n)
            rest.insert(0, (joined, None))
        folded = rest[0]
        for part in rest[1:]:
            folded = self.applied(operation, [folded, part])
        return folded

    def product(self, e: Expr) -> Folded:
        top: list[Basic] = []
        bottom: list[tuple[Basic, Expr]] = []
        for factor in e.args:
            if factor.is_Pow and factor.args[1].could_extract_minus_sign():
                bottom.append((factor.args[0], -factor.args[1]))
            else:
                top.append(factor)
        times = lambda a, b: a * b  # noqa: E731
        folded = self.chained(tuple(top), times) if top else (self.arithmetic.number(S.One), None)
        for base, exponent in bottom:
            folded = self.applied(_quotient, [folded, self.power(base, exponent)])
        return folded

    def power(self, base: Basic, exponent: Basic) -> Folded:
        if exponent is S.One:
            return self.fold(base)
        if exponent == 2:
            return self.applied(lambda a: a * a, [self.fold(base)])
        if exponent is S.NegativeOne:
            return self.applied(lambda a: _quotient(1, a), [self.fold(base)])
        if base is S.Exp1:
            return self.applied(self.arithmetic.exp, [self.fold(exponent)])
        return self.applied(self.arithmetic.power, [self.fold(base), self.fold(exponent)])

    def piecewise(self, e: Piecewise) -> Folded:
        """A branch is folded when it is first taken: others may be undefined here."""
        branches = [(value, self.fold(condition)) for value, condition in e.args]

        def taken(v: list[Any]) -> Any:
            for value, (truth, test) in branches:
                if truth if test is None else test(v):
                    number, function = self.fold(value)
                    return number if function is None else function(v)
            raise NotComputed("no branch of a Piecewise holds")

        if all(test is None for _, (_, test) in branches):
            for value, (truth, _) in branches:
                if truth:
                    return self.fold(value)
            raise NotComputed("no branch of a Piecewise holds")
        for value, _ in branches:  # sums in the branches claim their slots now
            for inner in value.atoms(Sum, Product):
                self.fold(inner) if not inner.free_symbols & set(self.slots) else None
        return None, taken

    def summation(self, e: Sum | Product) -> Folded:
        if len(e.limits) != 1:
            inner = type(e)(e.function, *e.limits[:-1])
            e = type(e)(inner, e.limits[-1])
        index, low, high = e.limits[0]
        slot = self.width
        self.width += 1
        before = self.slots.get(index)
        outer, self.known = self.known, {}
        self.slots[index] = slot
        number, term = self.fold(e.function)
        del self.slots[index]
        if before is not None:
            self.slots[index] = before
        self.known = outer
        function = term or _constant(number)
        product = isinstance(e, Product)
        (a, f), (b, g) = self.fold(low), self.fold(high)
        free = bool(e.free_symbols & set(self.slots))

        def total(v: list[Any]) -> Any:
            row = list(v) + [None] * (slot + 1 - len(v))
            first = a if f is None else f(v)
            last = b if g is None else g(v)
            return _summed(lambda k: function(_with(row, slot, k)), first, last, product)

        if not free and f is None and g is None:
            return total([None] * slot), None
        return None, total


def _with(row: list[Any], slot: int, value: Any) -> list[Any]:
    row[slot] = value
    return row


def _constant(number: Any) -> Function:
    return lambda v: number


def _quotient(a: Any, b: Any) -> Any:
    if b == 0:
        if a == 0:
            raise NotComputed("0/0")
        return math.inf if a > 0 else -math.inf
    return a / b


def _context_of(arithmetic: Doubles | Digits) -> Any:
    if isinstance(arithmetic, Digits):
        return arithmetic.context
    import mpmath

    return mpmath.mp


def _real(value: Any, arithmetic: Doubles | Digits) -> Any:
    return value if arithmetic.precise else float(value.real)


def _summed(term: Callable[[Any], Any], first: Any, last: Any, product: bool) -> Any:
    """A finite sum, or an infinite one whose terms fall geometrically."""
    if first == -math.inf:
        if product:
            raise NotComputed("a product over all integers")
        if last == math.inf:
            return _summed(term, 0, math.inf, False) + _summed(lambda k: term(-k), 1, math.inf, False)
        return _summed(lambda k: term(-k), -last, math.inf, False)
    if not math.isfinite(first) or math.floor(first) != first:
        raise NotComputed("a sum whose first index is no whole number")
    whole = math.isfinite(last)
    if whole and last - first > MOST_TERMS:
        raise NotComputed(f"a sum of more than {MOST_TERMS} terms")
    value: Any = 1 if product else 0
    small = 0
    before = None
    count = int(last - first) + 1 if whole else MOST_TERMS
    for i in range(count):
        t = term(first + i)
        value = value * t if product else value + t
        if whole or product:
            continue
        falling = before is None or before == 0 or abs(t) <= 0.95 * abs(before)
        small = small + 1 if abs(t) <= 1e-18 * abs(value) and falling else 0
        if small >= 4:
            return value
        before = t
    if not whole:
        raise NotComputed("a sum that converges slowly")
    return value


class Density:
    """f at one point of the parameter space: doubles first, 40 digits where they fail."""

    def __init__(self, expression: Expr, values: Mapping[Symbol, Any], columns: Sequence[Symbol]):
        self.expression, self.values, self.columns = expression, values, tuple(columns)
        self.quick = self._made(Doubles())
        self.slow: Function | None = None
        self.rescued = 0

    def _made(self, arithmetic: Doubles | Digits) -> Function:
        return Folder(self.values, self.columns, arithmetic).function(self.expression)

    def __call__(self, *row: float) -> float:
        try:
            value = self.quick(list(row))
            if isinstance(value, (float, int)) and math.isfinite(value):
                return float(value)
        except (ArithmeticError, ValueError, TypeError):
            pass
        self.rescued += 1
        return self.precise(*row)

    def precise(self, *row: Any) -> float:
        """By 40 digits; NotReal and NotComputed where there is no real number."""
        if self.slow is None:
            self.slow = self._made(Digits())
        context = Digits().context
        try:
            value = self.slow([context.convert(x) for x in row])
        except (ZeroDivisionError, OverflowError, ValueError, TypeError) as problem:
            raise NotComputed(str(problem)) from None
        value = context.convert(value)
        imaginary = context.im(value)
        if imaginary and abs(imaginary) > 1e-20 * (1 + abs(context.re(value))):
            raise NotReal(f"{self.expression} is not real")
        number = float(context.re(value))
        if not math.isfinite(number):
            raise NotComputed("the density is not finite everywhere")
        return number


def number_at(expression: Expr, values: Mapping[Symbol, Any]) -> float:
    """An expression without columns as a double."""
    if expression.is_infinite:
        return math.inf if expression.is_extended_positive else -math.inf
    return Density(expression, values, ())()


def bounds_at(domain: Set, values: Mapping[Symbol, Any]) -> tuple[float, float]:
    """The bounds of an Interval or Range at a point."""
    return number_at(lower(domain), values), number_at(upper(domain), values)
