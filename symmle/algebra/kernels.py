"""Roots through one kernel: the unknown stands in h(v) alone, so solve for h(v), then for v."""

from __future__ import annotations

from sympy import (
    Add,
    Dummy,
    Expr,
    Function,
    Mul,
    Piecewise,
    Pow,
    S,
    Symbol,
    acos,
    asin,
    atan,
    cancel,
    cos,
    exp,
    expand,
    log,
    nan,
    pi,
    sin,
    tan,
)

from symmle.algebra.budget import GaveUp
from symmle.algebra.facts import Facts
from symmle.algebra.polynomials import Roots, Solver, roots_of_power


def one_kernel(e: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver) -> Roots | GaveUp:
    """Solve for a kernel h(v) as an unknown of its own, then h(v) = root."""
    rewritten = _commensurate(e, v)
    for h in _kernels(rewritten, v):
        w = Dummy("w", positive=True) if facts.is_positive(h) else Dummy("w", real=True)
        renamed = rewritten.xreplace({h: w})
        if renamed.has(v):
            renamed = _absorb(rewritten, h, v, w)
        if renamed.has(v) or not renamed.has(w):
            continue
        outer = solve(renamed, w, facts, depth + 1)
        if isinstance(outer, GaveUp):
            continue
        found: list[Expr] = []
        for root in outer.roots:
            inverse = _invert(h, root, v, facts, depth, solve)
            if isinstance(inverse, GaveUp):
                break
            found.extend(inverse)
        else:
            name = "logarithm" if isinstance(h, exp) else "power" if isinstance(h, Pow) else "kernel"
            return Roots(tuple(found), f"{name} and {outer.method}")
    return GaveUp("")


def _commensurate(e: Expr, v: Symbol) -> Expr:
    """Exponentials and powers of v split into factors, so that one kernel may serve them all."""
    e = e.replace(
        lambda n: isinstance(n, exp) and n.args[0].has(v),
        lambda n: exp(expand(n.args[0])).expand(power_exp=True),
    )
    return e.replace(
        lambda n: (
            isinstance(n, Pow)
            and n.exp.has(v)
            and not n.base.has(v)
            and not isinstance(n.base, exp)
            and n.base is not S.Exp1
        ),
        lambda n: Pow(n.base, expand(n.exp)).expand(power_exp=True),
    )


def _kernels(e: Expr, v: Symbol) -> list[Expr]:
    found = {n for n in e.atoms(Pow, Function, exp, log) if n.has(v) and n != e}
    found |= {n for n in e.atoms(Add) if n.has(v) and n != e}
    return sorted(found, key=lambda n: (-n.count_ops(), n.sort_key()))[:12]


def _absorb(e: Expr, h: Expr, v: Symbol, w: Symbol) -> Expr:
    """Other powers of the kernel's base: v**(2k) as w**2 beside v**k = w, exp(-2bv) beside exp(-bv)."""
    base, exponent = (
        (h.base, h.exp) if isinstance(h, Pow) else (S.Exp1, h.args[0]) if isinstance(h, exp) else (None, None)
    )
    if base is None or exponent is None:
        return e.xreplace({h: w})

    def matches(n: Expr) -> bool:
        return (isinstance(n, exp) and base is S.Exp1) or (isinstance(n, Pow) and n.base == base)

    def rewrite(n: Expr) -> Expr:
        other = n.args[0] if isinstance(n, exp) else n.exp
        ratio = cancel(other / exponent)
        return Pow(w, ratio) if not ratio.has(v) and ratio.is_number else n

    renamed = e.replace(matches, rewrite)
    if base == v and not exponent.has(v):  # v itself as a power of the kernel
        renamed = renamed.xreplace({v: Pow(w, 1 / exponent)}) if v.is_positive else renamed
    return renamed


def _invert(h: Expr, value: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver) -> list[Expr] | GaveUp:
    """All v with h(v) = value."""
    if h == v:
        return [value]
    if isinstance(h, exp):
        return _again(h.args[0] - log(value), v, facts, depth, solve)
    if isinstance(h, log):
        return _again(h.args[0] - exp(value), v, facts, depth, solve)
    if isinstance(h, Pow) and not h.exp.has(v):
        if h.exp.is_integer is not True and (1 / h.exp).is_Integer:
            # h is a root, which is not negative: its power would forget that
            sign = facts.decide_sign(value)
            if sign == -1:
                return []
            if sign is None:
                value = Piecewise((value, value >= 0), (nan, True))
        if h.base == v and v.is_positive:
            return [Pow(value, 1 / h.exp)]
        if h.exp.is_Integer:
            k = int(h.exp)
            target = value if k > 0 else 1 / value
            inner = roots_of_power(target, abs(k), h.base if h.base == v else Dummy(real=True), facts)
        else:
            inner = [Pow(value, 1 / h.exp)]
        found: list[Expr] = []
        for r in inner:
            more = _again(h.base - r, v, facts, depth, solve)
            if isinstance(more, GaveUp):
                return more
            found.extend(more)
        return found
    if isinstance(h, Pow) and not h.base.has(v):
        return _again(h.exp - log(value) / log(h.base), v, facts, depth, solve)
    if isinstance(h, Add | Mul):
        return _again(h - value, v, facts, depth, solve)
    if isinstance(h, cos | sin | tan):
        return _invert_wave(h, value, v, facts, depth, solve)
    return GaveUp(f"{type(h).__name__} is not inverted")


def _invert_wave(
    h: Expr, value: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver
) -> list[Expr] | GaveUp:
    """All angles of one turn, where the argument stays within it."""
    r = facts.range_of(h.args[0])
    if r is None or r.lo < -pi or r.hi > pi:
        return GaveUp("the angle is not within one turn")
    if isinstance(h, cos):
        angles = [acos(value)] if r.lo >= 0 else [acos(value), -acos(value)]
    elif isinstance(h, sin):
        angles = (
            [asin(value)]
            if r.lo >= -pi / 2 and r.hi <= pi / 2
            else [asin(value), pi - asin(value), -pi - asin(value)]
        )
    else:
        angles = (
            [atan(value)]
            if r.lo >= -pi / 2 and r.hi <= pi / 2
            else [atan(value), atan(value) + pi, atan(value) - pi]
        )
    found: list[Expr] = []
    for angle in angles:
        more = _again(h.args[0] - angle, v, facts, depth, solve)
        if isinstance(more, GaveUp):
            return more
        found.extend(more)
    return found


def _again(e: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver) -> list[Expr] | GaveUp:
    answer = solve(e, v, facts, depth + 1)
    return answer if isinstance(answer, GaveUp) else list(answer.roots)


def logarithms(e: Expr, v: Symbol, facts: Facts, depth: int, solve: Solver) -> Roots | GaveUp:
    """sum c_k log(l_k(v)) + c = 0 with integer multiples of one coefficient: exponentiate."""
    logs = sorted((n for n in e.atoms(log) if n.has(v)), key=lambda n: n.sort_key())
    if not logs:
        return GaveUp("")
    stand_ins = {n: Dummy() for n in logs}
    renamed = expand(e.xreplace(stand_ins))
    if renamed.has(v):
        return GaveUp("")
    coefficients = [renamed.coeff(w) for w in stand_ins.values()]
    rest = expand(renamed - Add(*(c * w for c, w in zip(coefficients, stand_ins.values(), strict=True))))
    if any(rest.has(w) for w in stand_ins.values()):
        return GaveUp("")
    unit = coefficients[0]
    ratios = [cancel(c / unit) for c in coefficients]
    if not all(r.is_Rational for r in ratios):
        return GaveUp("")
    scale = Mul(*[r.q for r in ratios])
    product = Mul(*(Pow(n.args[0], r * scale) for n, r in zip(logs, ratios, strict=True)))
    answer = solve(product - exp(-rest * scale / unit), v, facts, depth + 1)
    return answer if isinstance(answer, GaveUp) else Roots(answer.roots, f"exponential and {answer.method}")
