"""Coordinates in which a log-likelihood may be concave, found from the data's coefficients.

The innermost affine forms of the data (the exponents, the arguments of functions, the bases of
powers) have coefficients that are functions of the parameters: 1/sigma and mu/sigma, k and k log lambda.
Those, the parameters, their logarithms and reciprocals are the candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from sympy import Abs, Add, Expr, Mul, Pow, S, Symbol, exp, expand_mul, log, powdenest

from symmle.certify.ranges import Bounds, range_of

_SYSTEMS = 260  # choices of coordinates that are tested on numbers


@dataclass(frozen=True)
class Coordinates:
    """u_k = functions[k](theta), theta = inverse[theta](u): smooth both ways, so one to one."""

    symbols: tuple[Symbol, ...]
    functions: tuple[Expr, ...]
    inverse: tuple[tuple[Symbol, Expr], ...]

    def bounds(self, known: Mapping[Symbol | Expr, Bounds]) -> dict[Symbol, Bounds]:
        """A box (convex) that contains the image of the parameter domain."""
        return {u: range_of(f, known) for u, f in zip(self.symbols, self.functions, strict=True)}


def candidate_functions(
    log_densities: Sequence[Expr], known: Mapping[Symbol | Expr, Bounds], parameters: Sequence[Symbol]
) -> list[tuple[int, Expr]]:
    """(cost, function of the parameters), cheapest first."""
    found: dict[Expr, int] = {}

    def add(function: Expr, cost: int) -> None:
        bare = function.as_coeff_Mul()[1]
        if not bare.free_symbols & set(parameters) or bare.count_ops() > 10 or bare.is_Add:
            return
        found[bare] = min(cost, found.get(bare, 99))

    for p in parameters:
        add(p, 0)
    for density in log_densities:
        for function in _coefficient_functions(density, parameters):
            add(function, 1)
    for p in parameters:
        bounds = known[p]
        if bounds.positive:
            add(log(p), 2)
            add(1 / p, 3)
            if len(parameters) < 4:
                for q in parameters:
                    if q != p:
                        add(q / p, 5)
    for function in [f for f, cost in found.items() if cost == 1 and f not in parameters]:
        if not function.has(log) and range_of(function, known).positive and len(function.free_symbols) == 1:
            add(log(function), 4)
    return sorted(
        ((cost, f) for f, cost in found.items()),
        key=lambda pair: (pair[0], pair[1].count_ops(), str(pair[1])),
    )


def _coefficient_functions(e: Expr, parameters: Sequence[Symbol]) -> Iterator[Expr]:
    """The functions of the parameters that multiply data inside the innermost affine forms of e."""
    names = set(parameters)

    def forms(argument: Expr) -> Iterator[Expr]:
        for term in Add.make_args(expand_mul(argument)):
            dependent = term.as_independent(*parameters, as_Add=False)[1]
            if not dependent.free_symbols & names:
                continue
            if dependent.free_symbols <= names:
                if not isinstance(dependent, (exp, log)) or not dependent.args[0].is_Add:
                    yield dependent
                yield from inside(dependent)
            else:
                plain = Mul(*(f for f in Mul.make_args(dependent) if f.free_symbols <= names))
                if plain is not S.One:
                    yield plain
                yield from inside(dependent)

    def inside(e: Expr) -> Iterator[Expr]:
        if isinstance(e, Mul):
            for part in e.args:
                base, power = part.as_base_exp()
                base = base.args[0] if isinstance(base, Abs) else base
                if (
                    isinstance(base, Add)
                    and power.is_Rational
                    and power > 0
                    and not base.free_symbols <= names
                ):
                    others = Mul(
                        *(f for f in e.args if f != part and f.free_symbols and f.free_symbols <= names)
                    )
                    yield from forms(base * powdenest(others ** (1 / power), force=True))
                else:
                    yield from inside(part)
        elif isinstance(e, exp):
            yield from forms(e.exp)
        elif isinstance(e, Pow):
            if e.exp.free_symbols & names:
                yield from forms(e.exp * log(e.base))
            yield from forms(e.base)
        else:
            for argument in e.args:
                if isinstance(argument, Expr) and argument.free_symbols & names:
                    yield from forms(argument)

    seen: set[Expr] = set()
    for function in forms(e):
        if function not in seen:
            seen.add(function)
            yield function


def systems(candidates: Sequence[tuple[int, Expr]], parameters: Sequence[Symbol]) -> list[tuple[Expr, ...]]:
    """Choices of as many functions as there are parameters, each parameter in one of them, cheapest first."""
    names = set(parameters)
    chosen = [
        (sum(c for c, _ in choice), tuple(f for _, f in choice))
        for choice in combinations(candidates[: 18 if len(parameters) < 4 else 11], len(parameters))
        if set().union(*(f.free_symbols for _, f in choice)) >= names
    ]
    chosen.sort(key=lambda pair: pair[0])
    return [choice for _, choice in chosen[:_SYSTEMS]]


def solved(
    functions: Sequence[Expr],
    parameters: Sequence[Symbol],
    known: Mapping[Symbol | Expr, Bounds],
    symbols: Sequence[Symbol],
) -> Coordinates | None:
    """The inverse map of u = functions(theta), one parameter after another; None where it is not plain."""
    inverse: dict[Symbol, Expr] = {}
    left = list(zip(functions, symbols, strict=True))
    while left:
        for pair in left:
            function, u = pair
            open_ones = function.free_symbols & set(parameters) - set(inverse)
            if len(open_ones) == 1:
                (parameter,) = open_ones
                value = _peeled(function, u, parameter, known)
                if value is None:
                    return None
                inverse[parameter] = value.xreplace(inverse)
                left.remove(pair)
                break
        else:
            return None
    ordered = tuple((p, inverse[p]) for p in parameters)
    return Coordinates(tuple(symbols), tuple(functions), ordered)


def _peeled(
    function: Expr, target: Expr, theta: Symbol, known: Mapping[Symbol | Expr, Bounds]
) -> Expr | None:
    """theta from function(theta) = target, by inverses that are one to one on the range."""
    while function != theta:
        if isinstance(function, Mul):
            factor, rest = function.as_independent(theta, as_Add=False)
            bounds = range_of(factor, known)
            if factor is S.One or not (bounds.positive or bounds.negative):
                return None
            target, function = target / factor, rest
        elif isinstance(function, Add):
            constant, rest = function.as_independent(theta, as_Add=True)
            if constant is S.Zero:
                return None
            target, function = target - constant, rest
        elif isinstance(function, exp):
            target, function = log(target), function.exp
        elif isinstance(function, log):
            target, function = exp(target), function.args[0]
        elif isinstance(function, Pow) and not function.exp.has(theta):
            bounds = range_of(function.base, known)
            if not (bounds.positive or (function.exp == -1 and bounds.negative)):
                return None
            target, function = target ** (1 / function.exp), function.base
        else:
            return None
    return target
