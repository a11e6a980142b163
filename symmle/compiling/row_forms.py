"""Functions of rows as they are summed: stable, in few shared pieces, linear in sums that are taken once.

A sum of products becomes inner products of pieces that other sums need too; what is free of data stands outside,
what is free of parameters is told apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from sympy import (
    Add,
    Dummy,
    Expr,
    Function,
    Integer,
    Mul,
    Pow,
    S,
    Symbol,
    cancel,
    exp,
    expand,
    log,
)

from symmle.compiling.kernels import expm1_, log1mexp_, log1p_, softplus_, stable

dot_, total_, inverse_ = (Function(f"symmle_{n}") for n in ("dot", "total", "inverse"))

exp_ = Function("symmle_exp")  # not joined: exp(y)**2 stays a square

_WEIGHT = Dummy("w", real=True)


def with_powers_as_exponentials(e: Expr, columns: Iterable[Symbol] = ()) -> Expr:
    """x**k as exp(k log x) where k is no number: the logarithm is shared, and kept where it is of data alone.

    What is free of `columns` goes out of the base: (x/s)**k is s**-k exp(k log x).
    """
    data = set(columns)

    def written(power: Expr) -> Expr:
        base, exponent = power.base, power.exp  # type: ignore[attr-defined]
        if data and base.is_Mul:
            outside, inside = base.as_independent(*data, as_Add=False)
            if outside != 1 and outside.is_positive and inside.is_positive:
                return exp(exponent * log(outside)) * exp(exponent * log(inside))  # type: ignore[no-any-return]
        return exp(exponent * log(base))  # type: ignore[no-any-return]

    return e.replace(
        lambda p: (
            isinstance(p, Pow)
            and not p.exp.is_number
            and not p.base.is_number
            and p.base.is_positive is not False
        ),
        written,
    )


def prepared(e: Expr, columns: Iterable[Symbol], lines: list[Expr] | None = None) -> Expr:
    """The function as rows are evaluated: stable, its squares completed, its lines as multiples of those in `lines`.

    log(1 + exp(y)) goes by way of exp(y), which the derivatives need too; beyond y = 709 it is not finite.
    """
    e = with_powers_as_exponentials(_squared(e, set(columns)), columns)
    e = e.replace(lambda p: isinstance(p, log) and p.args[0].is_Mul, lambda p: _opened_log(p, set(columns)))
    e = stable(e).replace(lambda p: p.func == softplus_, lambda p: log(1 + exp(p.args[0])))
    return _lines(e, set(columns), [] if lines is None else lines)


def _lines(e: Expr, columns: set[Symbol], known: list[Expr]) -> Expr:
    """Every a x + b in one form, so that it is shared: a multiple of a known one; a (x - r); else a x + b."""

    def canonical(node: Expr) -> Expr:
        mine = columns & node.free_symbols
        if len(mine) != 1:
            return node
        (x,) = mine
        opened = expand(node)
        a, b = opened.coeff(x), opened.coeff(x, 0)
        if a == 0 or (a.free_symbols | b.free_symbols) & columns or expand(opened - a * x - b) != 0:
            return node
        for line in known:
            ratio = cancel(opened / line)
            if not ratio.free_symbols & columns and ratio.is_nonzero is not False:
                return ratio * line
        r = cancel(-b / a)
        if r.is_polynomial(*r.free_symbols):
            known.append(x - r)
            return a * (x - r)
        known.append(a * x + b)
        return known[-1]

    def small(node: Expr) -> bool:
        return isinstance(node, Add) and len(node.args) <= 4 and bool(node.free_symbols & columns)

    e = e.replace(small, canonical)
    return e.replace(
        lambda n: n.func == log1p_ and n.args[0].has(Add),
        lambda n: _opened_log(log(canonical(1 + n.args[0])), columns),
    )


def _opened_log(e: Expr, columns: set[Symbol]) -> Expr:
    """log(c u) as log c + log u for c > 0 free of data: where u < 0 neither is a number."""
    outside, inside = e.args[0].as_independent(*columns, as_Add=False)
    if outside.free_symbols and outside.is_positive:
        return log(outside) + log(inside)  # type: ignore[no-any-return]
    return e


def _squared(e: Expr, columns: set[Symbol]) -> Expr:
    """x**2 - 2 m x + m**2 + c as (x - m)**2 + c: fewer operations, and no cancellation far from 0."""

    def completed(node: Expr) -> Expr:
        for column in columns & node.free_symbols:
            parts = {0: S.Zero, 1: S.Zero, 2: S.Zero}
            for term in node.args:
                rest, power = term.as_independent(column, as_Add=False)
                degree = (
                    0 if power == 1 else power.as_base_exp()[1] if power.as_base_exp()[0] == column else -1
                )
                if degree not in parts or rest.free_symbols & columns:
                    break
                parts[degree] += rest
            else:
                a, b, c = parts[2], parts[1], parts[0]
                if b != 0 and (a.is_positive or a.is_negative):
                    middle = (-b / (2 * a)).expand()
                    return a * (column - middle) ** 2 + (c - a * middle**2).expand()
        return node

    return e.replace(lambda n: isinstance(n, Add) and len(n.args) > 2, completed)


def linear_parts(e: Expr, columns: set[Symbol]) -> list[tuple[Expr, Expr]]:
    """e as a sum of coefficients free of data times functions of rows, (coefficient, function)."""
    found = []
    for term in Add.make_args(e):
        coefficient, rest = term.as_independent(*columns, as_Add=False)
        factors = []
        for factor in Mul.make_args(rest):
            base, power = factor.as_base_exp()
            if isinstance(base, Add) and isinstance(power, Integer):
                leading = _leading(base, columns)
                if leading not in (None, S.One):
                    coefficient *= leading**power
                    base = Add(*(a / leading for a in base.args))
            if isinstance(power, Integer) and power < -1:
                base, power = inverse_(base), -power
            elif power == -1:
                base, power = inverse_(base), S.One
            factors.append(base**power)
        found.append((coefficient, Mul(*factors)))
    return found


def _leading(base: Expr, columns: set[Symbol]) -> Expr | None:
    """The coefficient of the first bare column, where it cannot be 0."""
    for column in sorted(columns & base.free_symbols, key=str):
        for term in base.args:
            coefficient, rest = term.as_independent(column, as_Add=False)
            if rest == column and not coefficient.free_symbols & columns and coefficient.is_nonzero:
                return coefficient
    return None


class _Pool:
    """Inner products for sums of products: the pieces that other sums need too are preferred."""

    def __init__(self, data: set[Symbol]):
        self.data = data
        self.made: set[Expr] = set()

    def sum_of(self, body: Expr) -> Expr:
        """The sum over rows of w times the function, as an inner product where it is a product."""
        factors: list[Expr] = []
        for factor in Mul.make_args(body):
            base, power = factor.as_base_exp()
            whole = isinstance(power, Integer) and 0 < power <= 6
            factors += [base] * int(power) if whole else [factor]
        if not 2 <= len(factors) <= 8 or any(not f.free_symbols & self.data for f in factors):
            return total_(_WEIGHT, body)
        best: tuple[tuple[int, int], Expr, Expr] | None = None
        places = range(len(factors))
        for size in range(len(factors) // 2, 0, -1):
            for chosen in itertools.combinations(places, size):
                one = Mul(*(factors[k] for k in chosen))
                other = Mul(*(factors[k] for k in places if k not in chosen))
                cost = self._cost(one) + (0 if one == other else self._cost(other))
                key = (cost, len(factors) - 2 * size)
                if best is None or key < best[0]:
                    best = key, one, other
        assert best is not None
        self.made |= {best[1], best[2]}
        return dot_(_WEIGHT, *sorted(best[1:], key=str))

    def _cost(self, product: Expr) -> int:
        if product in self.made or not isinstance(product, (Mul, Pow)):
            return 0
        powers = [f.as_base_exp()[1] for f in Mul.make_args(product)]
        return sum(abs(int(p)) if p.is_Integer else 1 for p in powers) - 1


def _with_few_functions(bodies: Sequence[Expr], data: set[Symbol]) -> list[Expr]:
    """exp(2 y) as exp(y)**2, exp(y) as 1 + expm1(y) where expm1(y) is wanted too, one 1/y for all its powers."""

    def inverted(e: Expr) -> Expr:
        return inverse_(e.base) ** -e.exp if e.base.free_symbols & data else e  # type: ignore[attr-defined, no-any-return]

    def primitive(e: Expr) -> Expr:
        content, rest = e.args[0].as_content_primitive()
        if content < 0:
            content, rest = -content, -rest
        whole = content if content.is_Integer and content <= 8 else S.One
        return exp_(rest * (content / whole)) ** whole  # type: ignore[no-any-return]

    found = [b.replace(lambda e: isinstance(e, exp), primitive) for b in bodies]
    found = [
        b.replace(lambda e: isinstance(e, Pow) and e.exp.is_Integer and e.exp < 0, inverted) for b in found
    ]
    precise = {e.args[0] for b in found for e in b.atoms(Function) if e.func == expm1_}
    if not precise:
        return found
    put = {exp_(y): 1 + expm1_(y) for y in precise} | {log1mexp_(y): log(-expm1_(y)) for y in precise}
    return [b.xreplace(put) for b in found]


def _hoisted(e: Any, known: set[Symbol], found: dict[Expr, Symbol]) -> Any:
    """The expression with what is free of data by name."""
    if not isinstance(e, Expr) or not e.args:
        return e if not getattr(e, "args", ()) else e.func(*(_hoisted(a, known, found) for a in e.args))

    def named(part: Expr) -> Expr:
        if part.is_number or part.is_Symbol:
            return part
        return found.setdefault(part, Dummy(f"c{len(found)}", real=True))

    if e.free_symbols <= known:
        return named(e)
    if e.is_Mul or e.is_Add:
        alone = [a for a in e.args if a.free_symbols <= known]
        rest = [_hoisted(a, known, found) for a in e.args if a not in alone]
        if not alone:
            return e.func(*rest)
        minus = e.is_Mul and len(alone) == 1 and alone[0] is S.NegativeOne
        return e.func(*alone, *rest) if minus else e.func(named(e.func(*alone)), *rest)
    return e.func(*(_hoisted(a, known, found) for a in e.args))


def _opened(e: Expr) -> Expr:
    """The function whose sum is meant, where sums are taken outside."""
    if e.func in (dot_, total_):
        return Mul(*e.args[1:])
    return e


def _kept_apart(
    bodies: list[Expr], data: set[Symbol], known: set[Symbol]
) -> tuple[list[Expr], list[Symbol], list[Expr]]:
    """The largest parts of data alone that hold a function or a power, each by a name."""
    names: dict[Expr, Symbol] = {}

    def is_worth(e: Expr) -> bool:
        return bool(e.free_symbols & data) and not e.free_symbols & known and _is_costly(e)

    def walk(e: Any) -> Any:
        if not e.args or not isinstance(e, Expr):
            return e if not e.args else e.func(*(walk(a) for a in e.args))
        if is_worth(e):
            if isinstance(e, Pow) and isinstance(e.exp, Integer) and 0 < int(e.exp) <= 3:
                return walk(e.base) ** e.exp  # cheaper than to read another column
            if e not in names:
                names[e] = Dummy(f"d{len(names)}", real=True)
            return names[e]
        if e.is_Mul or e.is_Add:
            alone = [a for a in e.args if a.free_symbols and a.free_symbols <= data]
            rest = [walk(a) for a in e.args if a not in alone]
            if len(alone) > 1 and rest:
                joined = e.func(*alone)
                return e.func(walk(joined), *rest)
        return e.func(*(walk(a) for a in e.args))

    found = [walk(b) for b in bodies]
    return found, list(names.values()), list(names)


def _is_costly(e: Expr) -> bool:
    """Whether keeping a column is cheaper than computing it again: a function, a root, a division."""
    if e.is_Function:
        return True
    if isinstance(e, Pow):
        return not (isinstance(e.exp, Integer) and 0 < int(e.exp) <= 3) or any(_is_costly(a) for a in e.args)
    return any(_is_costly(a) for a in e.args)  # type: ignore[arg-type]


__all__ = ["linear_parts", "prepared", "with_powers_as_exponentials"]
