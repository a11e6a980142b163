"""A `sympy.stats` random variable -> Declaration.

The support is read from the set of the random variable, never from its density: most densities of
`sympy.stats` hold no indicator at all, others hold one that a logarithm turns into nonsense.
"""

from __future__ import annotations

from typing import Any

from sympy import (
    Contains,
    Eq,
    Expr,
    FiniteSet,
    Intersection,
    Interval,
    Lambda,
    Piecewise,
    Range,
    Rational,
    S,
    Set,
    Symbol,
    sympify,
)
from sympy.logic.boolalg import And

from symmle.declare.build import build
from symmle.declare.declaration import Declaration
from symmle.declare.domains import assumptions_of, canonical_set
from symmle.declare.words import shown
from symmle.errors import ModelError


def declaration_from_random(variable: Any, data: Any = None, **arguments: Any) -> Declaration:
    """The Declaration of a random variable's law; its free symbols are the parameters.

    Parameters
    ----------
    variable : RandomSymbol
        A random variable such as ``sympy.stats.Gamma("x", a, b)``.
    data : Symbol or dict, optional
        The data symbol, or the symbol with its support, instead of what the variable says.
    **arguments
        Further arguments of the builder: parameters with domains, constants, name, ...
    """
    from sympy.stats.rv import RandomSymbol, SinglePSpace  # loaded by those who have a random variable

    if not isinstance(variable, RandomSymbol) or not isinstance(variable.pspace, SinglePSpace):
        raise ModelError(
            f"Expected a single sympy.stats random variable, got {shown(variable)}. "
            "Declare a transformed or joint variable by its density."
        )
    distribution = variable.pspace.distribution
    given = data
    if isinstance(data, dict) and len(data) == 1:
        ((data, given),) = data.items()
        support = canonical_set(given, f"the support of `{data}`")
    else:
        support = _support(variable)
    name = data.name if isinstance(data, Symbol) else (data if isinstance(data, str) else variable.name)
    x = Symbol(name, **assumptions_of(support, data=True))
    density = _density(distribution, x, support)
    domains = _narrowed(distribution)
    domains.update(arguments.pop("parameters", None) or {})
    return build(density, data={x: support}, parameters=domains or None, **arguments)


def _support(variable: Any) -> Set:
    pspace = variable.pspace
    given = getattr(pspace, "set", None)
    if given is None:
        given = pspace.distribution.set
    if isinstance(given, (set, frozenset)):
        given = FiniteSet(*given)
    if isinstance(given, Intersection):
        # Binomial with a symbolic size: {k in Naturals0 : 0 <= k <= n}
        interval = next((a for a in given.args if isinstance(a, Interval)), None)
        if interval is not None and any(a is S.Naturals0 for a in given.args):
            given = Range(interval.start, interval.end + 1)
    made = canonical_set(given, f"the support of {shown(variable)}")
    if isinstance(made, FiniteSet) and not all(e.is_number for e in made.args):
        raise ModelError(f"Expected outcomes that are numbers, got {shown(made)}. Give the outcomes numbers.")
    return made


def _density(distribution: Any, x: Symbol, support: Set) -> Expr:
    if isinstance(support, FiniteSet):
        table = {sympify(k): sympify(v) for k, v in dict(distribution.dict).items() if v != 0}
        formula = _formula(distribution, x)
        if formula is not None and all((formula.subs(x, k) - v).expand() == 0 for k, v in table.items()):
            return formula
        return _finite(table, x)
    formula = _formula(distribution, x)
    if formula is None:
        raise ModelError(f"Expected a law with a density, got {shown(distribution)}. Declare its density.")
    return formula


def _formula(distribution: Any, x: Symbol) -> Expr | None:
    """The density on its support, without its indicator; None if there is no formula in x."""
    plain = Symbol("x")
    call = getattr(distribution, "pdf", None) or getattr(distribution, "pmf", None)
    made = call(plain) if callable(call) else None
    if isinstance(made, Lambda):
        made = made(plain)
    if not isinstance(made, Expr) or (plain not in made.free_symbols and made.is_zero):
        return None
    if isinstance(made, Piecewise):
        made = _without_indicator(made, plain)
    if made is None or made.has(Contains):
        return None
    return made.xreplace({plain: x})


def _without_indicator(density: Piecewise, x: Symbol) -> Expr | None:
    branches = [(value, condition) for value, condition in density.args if value != 0]
    if any(_equalities(condition) for _, condition in branches[:1]):
        return None  # a table of single points
    branches = [(value, condition) for value, condition in branches if not isinstance(condition, Eq)]
    if not branches:
        return None
    if len(branches) == 1:
        return branches[0][0]
    return Piecewise(*branches[:-1], (branches[-1][0], True))


def _equalities(condition: Any) -> bool:
    return bool(condition.atoms(Eq)) and not isinstance(condition, And)


def _finite(table: dict[Expr, Expr], x: Symbol) -> Expr:
    """p**[x = a] (1 - p)**[x = b] for two points; one branch a point for more."""
    points = sorted(table, key=lambda e: e.sort_key())
    if len(points) == 2:
        b, a = points
        return table[a] ** ((x - b) / (a - b)) * table[b] ** ((a - x) / (a - b))
    branches = [(table[k], Eq(x, k)) for k in points[:-1]]
    return Piecewise(*branches, (table[points[-1]], True))


def _narrowed(distribution: Any) -> dict[Symbol, Set]:
    """(0, 1) for a parameter that the law's own check takes at 1/2 and refuses at 3/2."""
    check = getattr(type(distribution), "check", None)
    arguments = getattr(distribution, "args", ())
    found: dict[Symbol, Set] = {}
    if check is None or not all(isinstance(a, Expr) for a in arguments):
        return found
    symbols = sorted({s for a in arguments for s in a.free_symbols}, key=str)
    for parameter in symbols:
        if parameter not in arguments or parameter.is_integer:
            continue
        others = {s: 5 if s.is_integer else Rational(1, 2) for s in symbols if s != parameter}
        verdicts = []
        for value in (Rational(1, 2), Rational(3, 2)):
            try:
                check(*(a.subs({**others, parameter: value}) for a in arguments))
                verdicts.append(True)
            except (ValueError, TypeError):
                verdicts.append(False)
        if verdicts == [True, False]:
            found[parameter] = Interval.open(0, 1)
    return found
