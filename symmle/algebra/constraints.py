"""Equality constraints solved: the set {h = 0} as the image of free parameters, branch by branch.

A constraint is solved for a parameter in which it is linear, with a coefficient that is surely not zero,
or quadratic; roots of the wrong sign are left out. A square root of a free parameter that comes in is
removed by its root as a new parameter, p = t**2, and a sum a + b in a denominator by the sum and the share
b/(a + b), so that everything stays rational and factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sympy import (
    Abs,
    Add,
    Expr,
    Interval,
    Mul,
    Poly,
    PolynomialError,
    Pow,
    S,
    Set,
    Symbol,
    cancel,
    expand,
    factor,
    fraction,
    oo,
    sqrt,
    together,
)

from symmle.algebra.bounds import bounds_of_set
from symmle.algebra.budget import GaveUp, attempt_within
from symmle.algebra.facts import Facts

MOST_BRANCHES = 4
SECONDS = 4.0


@dataclass(frozen=True)
class Parametrisation:
    """One branch: free parameters with domains, the others in terms of them, and what must be positive.

    `back` maps every declared parameter that is not free itself; `free` may hold new symbols, which
    `forward` gives in terms of declared parameters.
    """

    free: dict[Symbol, Set]
    back: dict[Symbol, Expr]
    positive: tuple[Expr, ...]
    forward: dict[Symbol, Expr] = field(default_factory=dict)


@dataclass(frozen=True)
class _Choice:
    cost: tuple[int, ...]
    parameter: Symbol
    roots: tuple[Expr, ...]
    positive: tuple[Expr, ...]


def parametrisations(
    constraints: Sequence[Expr], domains: Mapping[Symbol, Set]
) -> tuple[Parametrisation, ...] | None:
    """All branches of {h = 0} within the domains, or None where a constraint is solved for no parameter."""
    found = attempt_within(SECONDS, _branches, tuple(constraints), dict(domains))
    return None if isinstance(found, GaveUp) else found


def _branches(
    constraints: tuple[Expr, ...], domains: dict[Symbol, Set]
) -> tuple[Parametrisation, ...] | None:
    done: list[Parametrisation] = []
    todo: list[tuple[tuple[Expr, ...], Parametrisation]] = [(constraints, Parametrisation(domains, {}, ()))]
    while todo:
        left, so_far = todo.pop(0)
        left = tuple(h for h in (fraction(together(h))[0].expand() for h in left) if h != 0)
        if not left:
            done.append(_rational(so_far))
            continue
        choice = min((c for h in left for c in _choices(h, so_far)), key=lambda c: c.cost, default=None)
        if choice is None:
            return None
        p = choice.parameter
        for root in choice.roots:
            at = {p: root}
            domain = so_far.free[p]
            more = (*choice.positive, *(_sides(root, domain)))
            inside = tuple(w.xreplace(at) for w in so_far.positive) + more
            free = {q: d for q, d in so_far.free.items() if q != p}
            back = {q: e.xreplace(at) for q, e in so_far.back.items()} | at
            todo.append((tuple(h.xreplace(at) for h in left), Parametrisation(free, back, inside)))
        if len(todo) + len(done) > MOST_BRANCHES:
            return None
    return tuple(done) or None


def _sides(value: Expr, domain: Set) -> tuple[Expr, ...]:
    if not isinstance(domain, Interval):
        return ()
    low = () if domain.start == -oo else (value - domain.start,)
    return low if domain.end == oo else (*low, domain.end - value)


def _choices(h: Expr, so_far: Parametrisation) -> list[_Choice]:
    found = []
    names = [p for p in so_far.free if h.has(p)]
    for place, p in enumerate(reversed(names)):
        try:
            coefficients = Poly(h, p).all_coeffs()
        except PolynomialError:
            continue
        if any(c.has(p) for c in coefficients) or len(coefficients) > 3 or len(coefficients) < 2:
            continue
        a = factor(coefficients[0])
        if a.is_nonzero is not True:
            continue
        if len(coefficients) == 2:
            root = factor(-coefficients[1] / a)
            found.append(_Choice((1, int(bool(a.free_symbols)), place, root.count_ops()), p, (root,), ()))
            continue
        b, c = coefficients[1:]
        discriminant = factor(expand(b**2 - 4 * a * c))
        half = sqrt(discriminant)
        roots = tuple(expand((-b + s * half) / (2 * a)) for s in (1, -1))
        kept = tuple(r for r in roots if not _is_outside(r, so_far.free[p]))
        real = () if discriminant.is_nonnegative else (discriminant,)
        if (not kept and not real) or any(r.has(Abs) for r in kept):
            continue
        found.append(_Choice((2, len(kept), half.count_ops(), place), p, kept, real))
    return found


def _is_outside(value: Expr, domain: Set) -> bool:
    """Whether a root surely has the wrong sign."""
    if not isinstance(domain, Interval):
        return False
    if domain.start.is_nonnegative and (value.is_negative or (domain.left_open and value.is_nonpositive)):
        return True
    return bool(
        domain.end.is_nonpositive and (value.is_positive or (domain.right_open and value.is_nonnegative))
    )


def _rational(found: Parametrisation) -> Parametrisation:
    """Square roots and sums removed by new parameters, expressions factored, plain conditions left out."""
    for p in sorted(_under_roots(found), key=str):
        domain = found.free[p]
        if isinstance(domain, Interval) and domain.start.is_nonnegative:
            found = _with_root(found, p, domain)
    total = _sum_below(found)
    while total is not None:
        found = _with_shares(found, total)
        total = _sum_below(found)
    facts = _facts_of(found.free)
    back = {
        q: _oriented(e, facts) if e.is_rational_function(*found.free) else e for q, e in found.back.items()
    }
    return replace(found, back=back, positive=_conditions(found.positive, facts))


def _under_roots(found: Parametrisation) -> set[Symbol]:
    """Free parameters that stand under a root."""
    powers = {a for e in (*found.back.values(), *found.positive) for a in e.atoms(Pow)}
    return {a.base for a in powers if a.exp.is_Rational and not a.exp.is_Integer and a.base in found.free}


def _with_root(found: Parametrisation, p: Symbol, domain: Interval) -> Parametrisation:
    """p = t**2."""
    (name,) = _new_names(found, ("t", "u", "v", f"root_{p}"), 1)
    t = Symbol(name, positive=True) if p.is_positive else Symbol(name, nonnegative=True)
    end = oo if domain.end == oo else sqrt(domain.end)
    new = {t: Interval(sqrt(domain.start), end, domain.left_open, domain.right_open)}
    return _replaced(found, {p: t**2}, new, {t: sqrt(p)})


def _sum_below(found: Parametrisation) -> tuple[Symbol, ...] | None:
    """Free positive parameters whose sum is a factor of a denominator."""
    for e in found.back.values():
        if not e.is_rational_function(*found.free):
            continue
        for factor_ in Mul.make_args(factor(fraction(together(e))[1])):
            terms = Add.make_args(factor_.as_base_exp()[0])
            if len(terms) > 1 and all(t in found.free and t.is_positive for t in terms):
                if all(found.free[t].start == 0 for t in terms):  # type: ignore[attr-defined,index]
                    return tuple(sorted(terms, key=str))  # type: ignore[arg-type]
    return None


def _with_shares(found: Parametrisation, terms: tuple[Symbol, ...]) -> Parametrisation:
    """a_1 = r (1 - q_2 - ..), a_2 = r q_2, ..: the sum r and the shares q, which lie in (0, 1)."""
    names = _new_names(found, ("r", "q", "s", "q_2", "q_3", "q_4", "q_5", "q_6", "q_7", "q_8"), len(terms))
    r, *shares = (Symbol(n, positive=True) for n in names)
    at = {a: r * q for a, q in zip(terms[1:], shares, strict=True)} | {terms[0]: r * (1 - Add(*shares))}
    new: dict[Symbol, Set] = {r: Interval.open(0, oo)} | {q: Interval.open(0, 1) for q in shares}
    forward = {r: Add(*terms)} | {q: a / Add(*terms) for q, a in zip(shares, terms[1:], strict=True)}
    sides = tuple(side for a in terms for side in _sides(at[a], found.free[a]))
    changed = _replaced(found, at, new, forward)
    return _tightened(replace(changed, positive=(*changed.positive, *sides)), r)


def _tightened(found: Parametrisation, r: Symbol) -> Parametrisation:
    """A condition on r alone, c - r > 0, as the end of its domain."""
    facts = _facts_of(found.free)
    ends = []
    for condition in found.positive:
        for part in Mul.make_args(_oriented(condition, facts)):
            gap = part.as_base_exp()[0]
            end = gap + r if (gap + r).is_number else r - gap if (r - gap).is_number else None
            if end is not None and end.is_positive and facts.decide_sign(part) is None:
                ends.append(end)
    if not ends:
        return found
    return replace(found, free={**found.free, r: Interval.open(0, min(ends))})


def _new_names(found: Parametrisation, wanted: tuple[str, ...], count: int) -> tuple[str, ...]:
    taken = {s.name for s in (*found.free, *found.back)}
    taken |= {s.name for e in (*found.back.values(), *found.positive) for s in e.free_symbols}  # type: ignore[attr-defined]
    free = [n for n in wanted if n not in taken]
    free += [f"w_{k}" for k in range(count) if f"w_{k}" not in taken]
    return tuple(free[:count])


def _replaced(
    found: Parametrisation, at: dict[Symbol, Expr], new: dict[Symbol, Set], forward: dict[Symbol, Expr]
) -> Parametrisation:
    free = {p: d for p, d in found.free.items() if p not in at} | new
    declared = {p: e for p, e in at.items() if p not in found.forward}
    back = {q: e.xreplace(at) for q, e in found.back.items()} | declared
    kept = {q: e for q, e in found.forward.items() if q not in at}
    forward = {q: e.xreplace(found.forward) for q, e in forward.items()}
    positive = tuple(e.xreplace(at) for e in found.positive)
    return Parametrisation(free, back, positive, {**kept, **forward})


def _facts_of(free: Mapping[Symbol, Set]) -> Facts:
    bounds = {p: bounds_of_set(d, {}) for p, d in free.items()}
    return Facts({p: b for p, b in bounds.items() if b is not None})


def _oriented(e: Expr, facts: Facts) -> Expr:
    """The expression factored, with factors that are surely positive: (1 - t)**2, not (t - 1)**2."""
    sign, parts = S.One, []
    for part in Mul.make_args(factor(cancel(e))):
        base, power = part.as_base_exp()
        if isinstance(base, Add) and power.is_Integer and facts.decide_sign(base) == -1:
            sign, base = sign * (-1) ** power, -base
        parts.append(base**power)
    return Mul(sign, *parts)


def _conditions(positive: Sequence[Expr], facts: Facts) -> tuple[Expr, ...]:
    """What must be positive, without factors and conditions that surely are."""
    kept = []
    for condition in positive:
        parts = [p for p in Mul.make_args(_oriented(condition, facts)) if facts.decide_sign(p) != 1]
        if parts and not (len(parts) == 1 and parts[0].is_positive):
            kept.append(Mul(*parts))
    return tuple(dict.fromkeys(kept))


__all__ = ["Parametrisation", "parametrisations"]
