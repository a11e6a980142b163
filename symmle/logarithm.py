"""The logarithm of a density, opened under the facts of its support alone, and split for a sample.

Three forms come out: `opened` (products, powers, factorials and gammas opened, sums and squares left as
they are), `expanded` (a sum of coefficient(theta) * g(x; theta)), and the facts that were used: a
density is positive on its support, so that one factor of undecided sign is positive with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

from sympy import (
    Abs,
    Add,
    Basic,
    Dummy,
    Eq,
    Expr,
    Function,
    Integer,
    Mul,
    Or,
    Piecewise,
    Pow,
    Product,
    S,
    Sum,
    Symbol,
    beta,
    binomial,
    cos,
    exp,
    expand,
    expand_log,
    expand_mul,
    expand_power_base,
    expand_power_exp,
    expand_trig,
    factor,
    factor_terms,
    factorial,
    gamma,
    log,
    loggamma,
    sin,
    together,
)

from symmle.algebra import Facts, GaveUp, attempt_within


def open_logarithm(density: Expr, facts: Facts) -> Expr:
    """log(density), opened; a sum of terms each valid on the support."""
    return _log(density, facts)


def _log(f: Expr, facts: Facts) -> Expr:
    if isinstance(f, exp):
        return f.args[0]
    if isinstance(f, Mul):
        return _log_of_product(f, facts)
    if isinstance(f, Pow):
        return _log_of_power(f, facts)
    if isinstance(f, gamma):
        return loggamma(f.args[0])
    if isinstance(f, factorial):
        return loggamma(f.args[0] + 1)
    if isinstance(f, binomial):
        n, k = f.args
        return loggamma(n + 1) - loggamma(k + 1) - loggamma(n - k + 1)
    if isinstance(f, beta):
        a, b = f.args
        return loggamma(a) + loggamma(b) - loggamma(a + b)
    if isinstance(f, Piecewise):
        return _log_of_piecewise(f, facts)
    if isinstance(f, Abs) and facts.decide_sign(f.args[0]) == 1:
        return _log(f.args[0], facts)
    if isinstance(f, Add):
        return _log_of_sum(f, facts)
    return log(f)


def _log_of_product(f: Expr, facts: Facts) -> Expr:
    opened: list[Expr] = []
    unknown: list[Expr] = []
    negative = False
    for part in f.args:
        if isinstance(part, exp | gamma | factorial | binomial | beta):
            opened.append(_log(part, facts))
            continue
        base = part.base if isinstance(part, Pow) else part
        sign = facts.decide_sign(base)
        if sign == 1:
            opened.append(_log(part, facts))
        elif sign == -1 and (part is base or part.exp.is_odd):
            negative = not negative
            if base is not S.NegativeOne:
                # log(-base) stays whole: opened again it would turn into itself
                opened.append((part.exp if isinstance(part, Pow) else S.One) * log(-base))
        elif isinstance(part, Pow) and may_be_even(part.exp):
            opened.append(part.exp * log(Abs(base)))
        elif isinstance(part, Piecewise):
            opened.append(_log(part, facts))
        else:
            unknown.append(part)
    if not unknown:
        return Add(*opened) if not negative else log(f)
    if len(unknown) == 1 and not negative:
        # the density is positive and so are the other factors: this one is positive too
        part = unknown[0]
        if isinstance(part, Pow) and part.base.is_real is not False:
            opened.append(part.exp * _log_of_sum(part.base, facts))
        else:
            opened.append(_log_of_sum(part, facts))
        return Add(*opened)
    rest = Mul(*unknown) * (-1 if negative else 1)
    return Add(*opened, log(rest))


def _log_of_power(f: Expr, facts: Facts) -> Expr:
    sign = facts.decide_sign(f.base)
    if sign == 1 or (isinstance(f.base, exp)):
        return f.exp * _log(f.base, facts)
    if may_be_even(f.exp):
        return f.exp * log(Abs(f.base))
    if sign == -1:
        return log(f)
    return f.exp * log(f.base)  # real power of a base that a positive density needs positive


def may_be_even(e: Expr) -> bool:
    """Whether a power e of a negative number may be positive for every value of e: 2, 2 x, x (x + 1).

    An exponent in counts that is odd for some count makes a positive density's base positive.
    """
    if e.is_even:
        return True
    symbols = sorted(e.free_symbols, key=str)
    if not e.is_integer or not symbols:
        return False
    rows = (
        product(range(1, 4), repeat=len(symbols))
        if len(symbols) < 5
        else ((k,) * len(symbols) for k in (1, 2, 3))
    )
    return not any(e.xreplace(dict(zip(symbols, map(Integer, row), strict=True))).is_odd for row in rows)


def _log_of_piecewise(f: Piecewise, facts: Facts) -> Expr:
    """sum over branches of indicator * log(branch); the default branch gets its own indicator."""
    branches = list(f.args)
    named = [c for _, c in branches if c != True]  # noqa: E712 - a SymPy truth value
    terms = []
    for value, condition in branches:
        if condition == True:  # noqa: E712
            indicator = _indicator_of_rest(named, facts)
        else:
            indicator = Piecewise((S.One, condition), (S.Zero, True))
        terms.append(indicator * _log(value, facts))
    return Add(*terms)


def _indicator_of_rest(named: list[Basic], facts: Facts) -> Expr:
    """The default branch: on a finite support the members that no condition names, said by name."""
    either = Or(*named)
    symbols = either.free_symbols
    if len(symbols) == 1:
        (x,) = symbols
        rest = [m for m in facts.members.get(x, ()) if either.xreplace({x: m}) == False]  # noqa: E712
        if rest:
            return Piecewise((S.One, Or(*(Eq(x, m) for m in rest))), (S.Zero, True))
    return Piecewise((S.Zero, either), (S.One, True))


def _log_of_sum(f: Expr, facts: Facts) -> Expr:
    """A sum is factored where its factors hold no exponential or power of a parameter."""
    if not isinstance(f, Add):
        return _log(f, facts) if facts.decide_sign(f) == 1 else log(f)
    factored = factor_terms(expand_power_exp(expand_mul(f, deep=False)))
    if isinstance(factored, Mul) and all(facts.decide_sign(a) is not None for a in factored.args):
        return _log_of_product(factored, facts)
    if _has_symbolic_power(f):
        return log(f)
    answer = attempt_within(0.5, lambda: factor(together(f)))
    if isinstance(answer, GaveUp) or not isinstance(answer, Mul | Pow) or answer == f:
        return log(f)
    if all(facts.decide_sign(a.base if isinstance(a, Pow) else a) in (1, -1) for a in Mul.make_args(answer)):
        return _log_of_product(answer, facts) if isinstance(answer, Mul) else _log(answer, facts)
    return log(f)


def _has_symbolic_power(f: Expr) -> bool:
    return any(
        isinstance(e, exp) or (isinstance(e, Pow) and not e.exp.is_number) for e in f.atoms(Pow, exp)
    ) or f.has(exp)


# --- separation -----------------------------------------------------------------------------------


def separate(
    log_density: Expr,
    columns: tuple[Symbol, ...],
    parameters: frozenset[Symbol] = frozenset(),
    members: Mapping[Symbol, tuple[Expr, ...]] | None = None,
) -> list[tuple[Expr, Expr]]:
    """Pairs (coefficient free of the data, g) whose products add up to the log density; g = 1 once.

    Where `parameters` are given, sums of data and constants inside squares stay whole: (y - y0 - mu)**2
    has the statistics of y - y0. Where `members` are given, a function of parameters and of a column of
    two values is linear in that column.
    """
    units: dict[Expr, Symbol] = {}
    if parameters:
        if members:
            log_density = _linear_in_binary(log_density, parameters, members)
        log_density = _with_units(log_density, set(columns), parameters, units)
    data = (*columns, *units.values())
    back = {d: u for u, d in units.items()}
    collected: dict[Expr, Expr] = {}
    for term in Add.make_args(expand_terms(log_density, data)):
        coefficient, g = term.as_independent(*data, as_Add=False)
        if not g.free_symbols & set(data):
            coefficient, g = term, S.One
        g = g.xreplace(back)
        collected[g] = collected.get(g, S.Zero) + coefficient
    return [(c, g) for g, c in collected.items() if c != 0]


def _with_units(
    e: Expr, columns: set[Symbol], parameters: frozenset[Symbol], units: dict[Expr, Symbol]
) -> Expr:
    """Sums without parameters in the bases of integer powers, each by a symbol."""

    def is_power(n: Basic) -> bool:
        return (
            isinstance(n, Pow)
            and n.exp.is_Integer
            and n.exp > 1
            and isinstance(n.base, Add)
            and bool(n.free_symbols & columns)
        )

    def unit(total: Expr) -> Expr:
        sign = S.NegativeOne if total.could_extract_minus_sign() else S.One
        total = expand_mul(sign * total)
        if total not in units:
            units[total] = Dummy("D", positive=True) if total.is_positive else Dummy("D", real=True)
        return sign * units[total]

    def rewrite(power: Expr) -> Expr:
        if not power.base.free_symbols & parameters:
            return Pow(unit(power.base), power.exp)
        whole, rest = [], []
        for term in power.base.args:
            if not term.free_symbols & parameters:
                whole.append(term)
                continue
            factors = [
                unit(f)
                if isinstance(f, Add) and f.free_symbols & columns and not f.free_symbols & parameters
                else f
                for f in Mul.make_args(term)
            ]
            rest.append(Mul(*factors))
        data_terms = [t for t in whole if t.free_symbols & columns]
        if len(whole) > 1 and data_terms:
            whole = [unit(Add(*whole))]
        return Pow(Add(*whole, *rest), power.exp)

    return e.replace(is_power, rewrite)


def _linear_in_binary(
    e: Expr, parameters: frozenset[Symbol], members: Mapping[Symbol, tuple[Expr, ...]]
) -> Expr:
    """g(z, theta) = g(v0) + (g(v1) - g(v0)) (z - v0)/(v1 - v0) on a column z of two values."""
    for z, values in members.items():
        if len(values) != 2:
            continue
        low, high = values

        def mixes(n: Basic, z: Symbol = z) -> bool:
            return (
                isinstance(n, Function | Pow | exp)
                and z in n.free_symbols
                and bool(n.free_symbols & parameters)
            )

        def lines(n: Expr, z: Symbol = z, low: Expr = low, high: Expr = high) -> Expr:
            at_low, at_high = n.xreplace({z: low}), n.xreplace({z: high})
            return at_low + (at_high - at_low) * (z - low) / (high - low)

        e = Add(*(_outermost(t, mixes, lines) for t in Add.make_args(e)))
    return e


def _outermost(e: Expr, wanted: Callable[[Basic], bool], change: Callable[[Expr], Expr]) -> Expr:
    """The outermost nodes that are wanted, changed."""
    if wanted(e):
        return change(e)
    if e.is_Atom:
        return e
    return e.func(*(_outermost(a, wanted, change) if isinstance(a, Expr) else a for a in e.args))


def expand_terms(e: Expr, columns: tuple[Symbol, ...]) -> Expr:
    """Expanded so that data and parameters separate wherever products and powers allow it."""
    e = _split_inner(e, set(columns))
    for _ in range(3):
        before = e
        e = expand_power_base(expand_mul(_expand_powers(e)), deep=False)
        e = Add(*(_split_inner(t, set(columns)) for t in Add.make_args(e)))
        if e == before:
            break
    return e


def _expand_powers(e: Expr) -> Expr:
    return expand(e, log=False, power_base=False, power_exp=False, trig=False, func=False, complex=False)


def _split_inner(term: Expr, columns: set[Symbol]) -> Expr:
    """Powers, exponentials, cosines and logarithms that mix data and parameters, taken apart."""

    def mixes(node: Basic) -> bool:
        free = node.free_symbols
        return bool(free & columns) and bool(free - columns)

    def walk(node: Expr) -> Expr:
        if node.is_Atom or not mixes(node):
            return node
        if isinstance(node, cos | sin) and isinstance(expand_mul(node.args[0]), Add):
            return expand_trig(node.func(expand_mul(node.args[0])))
        if isinstance(node, exp):
            return expand_power_exp(exp(expand_mul(walk(node.args[0]))))
        if isinstance(node, Pow):
            base, exponent = walk(node.base), walk(node.exp)
            if isinstance(base, Add):
                common = factor_terms(together(base)) if not base.is_polynomial() else factor_terms(base)
                if isinstance(common, Mul):
                    base = common
            return expand_power_exp(
                expand_power_base(Pow(base, expand_mul(exponent)), force=False), deep=False
            )
        if isinstance(node, log):
            inner = node.args[0]
            if isinstance(inner, Mul | Pow):
                return expand_log(log(inner))
            return node
        if isinstance(node, Sum | Product | Piecewise):
            return node
        if isinstance(node, Add | Mul):
            return node.func(*(walk(a) for a in node.args))
        return node

    return walk(term)
