"""Roots of one equation in one unknown, in closed form, each by a rule that has a name.

A rule answers with every root it can have (real or not: the domain is somebody else's business) or
with a reason. No rule returns an expression that holds the unknown. `solve` of SymPy comes last.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from sympy import (
    Abs,
    Add,
    CRootOf,
    Derivative,
    Dummy,
    Expr,
    Function,
    Integral,
    LambertW,
    Mul,
    Piecewise,
    Poly,
    Pow,
    Rational,
    S,
    Subs,
    Sum,
    Symbol,
    acos,
    asin,
    atan,
    atan2,
    besseli,
    cancel,
    cos,
    erf,
    erfc,
    exp,
    expand,
    factor_list,
    fraction,
    gamma,
    log,
    loggamma,
    lowergamma,
    nan,
    pi,
    polygamma,
    powsimp,
    sign,
    sin,
    sqrt,
    tan,
    together,
    uppergamma,
    zeta,
)

from symmle.algebra.budget import GaveUp, attempt_within
from symmle.algebra.facts import Facts
from symmle.sample import SampleOperator

MAX_ROOT_OPERATIONS = 400
_NOT_INVERTED = (
    polygamma,
    gamma,
    loggamma,
    besseli,
    Abs,
    sign,
    Piecewise,
    erf,
    erfc,
    uppergamma,
    lowergamma,
    zeta,
    SampleOperator,
    Sum,
    Integral,
    Derivative,
    Subs,
)


@dataclass(frozen=True)
class Roots:
    """Every root that the rule can produce, and the rule's name."""

    roots: tuple[Expr, ...]
    method: str


def solve_equation(e: Expr, v: Symbol, facts: Facts, depth: int = 0) -> Roots | GaveUp:
    """All roots of e = 0 in v, or GaveUp. Roots of cleared denominators are left out."""
    if not e.has(v):
        return GaveUp("the unknown does not occur")
    if any(v in n.free_symbols for n in e.atoms(*_NOT_INVERTED)):
        return GaveUp(f"{v} stands in a function that no rule inverts")
    cleared = attempt_within(2.0, _numerator, e)
    if isinstance(cleared, GaveUp):
        return cleared
    numerator, denominator = cleared
    found: list[Expr] = []
    methods: list[str] = []
    for factor in _factors_with(numerator, v, facts):
        answer = _solve_factor(factor, v, facts, depth)
        if isinstance(answer, GaveUp):
            return answer
        methods.append(answer.method)
        found.extend(r for r in answer.roots if r not in found)
    kept = [r for r in found if not r.has(v) and _is_closed(r) and not _vanishes(denominator, v, r)]
    return Roots(tuple(kept), " and ".join(dict.fromkeys(methods)) or "no factor vanishes")


def _numerator(e: Expr) -> tuple[Expr, Expr]:
    numerator, denominator = fraction(together(e))
    return expand(numerator, power_base=False, log=False), denominator


def _factors_with(e: Expr, v: Symbol, facts: Facts) -> list[Expr]:
    """Factors that hold v and may vanish."""
    answer = attempt_within(2.0, lambda: factor_list(e))
    if isinstance(answer, GaveUp):
        return [e]
    factors = [f for f, _ in answer[1] if f.has(v)]
    if not factors:
        return [e]
    return [f for f in factors if f.count_ops() > 80 or facts.decide_sign(f) is None]


def _vanishes(denominator: Expr, v: Symbol, root: Expr) -> bool:
    """Whether a cleared denominator is zero at the root, at every one of three random points."""
    if not denominator.has(v):
        return False
    stream = random.Random(19)
    for _ in range(3):
        at: dict[Expr, Expr] = {}
        for s in sorted(denominator.free_symbols | root.free_symbols, key=lambda s: s.sort_key()):
            draw = Rational(stream.randint(200, 4000), 1024)
            at[s] = -draw if s.is_negative else draw
        at.pop(v, None)
        value = attempt_within(
            2.0, lambda at=at: denominator.xreplace({v: root.xreplace(at).evalf(30)}).xreplace(at).evalf(20)
        )
        if isinstance(value, GaveUp) or not value.is_number or abs(value) > Rational(1, 10**12):
            return False
    return True


def _is_closed(e: Expr) -> bool:
    return (
        not e.has(CRootOf, Integral, Sum) and e.is_finite is not False and e.count_ops() < MAX_ROOT_OPERATIONS
    )


def _solve_factor(e: Expr, v: Symbol, facts: Facts, depth: int) -> Roots | GaveUp:
    if depth > 4:
        return GaveUp("nested too deep")
    reasons = []
    for rule in (_polynomial, _kernel, _logarithms, _lambert, _amplitude_phase):
        answer = rule(e, v, facts, depth)
        if isinstance(answer, Roots):
            return answer
        reasons.append(answer.reason)
    return GaveUp("; ".join(r for r in reasons if r) or "no rule applies")


# --- polynomials ----------------------------------------------------------------------------------


def _polynomial(e: Expr, v: Symbol, facts: Facts, depth: int) -> Roots | GaveUp:
    try:
        p = Poly(e, v)
    except Exception:  # noqa: BLE001 - PolynomialError has no stable home; the reason is returned
        return GaveUp("")
    if any(c.has(v) for c in p.all_coeffs()):
        return GaveUp("")
    coefficients = p.all_coeffs()
    degree = p.degree()
    if degree == 1:
        return Roots((_tidy(-coefficients[1] / coefficients[0]),), "linear")
    if degree == 2:
        return Roots(_quadratic(*coefficients), "quadratic")
    powers = [m for (m,) in p.monoms() if m]
    step = _gcd(powers)
    if min(m for (m,) in p.monoms()) == 0 and step > 1:
        w = Dummy("w", real=True)
        inner = solve_equation(_compress(p, step, w), w, facts, depth + 1)
        if isinstance(inner, GaveUp):
            return inner
        return Roots(
            tuple(r for q in inner.roots for r in _roots_of_power(q, step, v, facts)),
            f"power and {inner.method}",
        )
    if degree == 3:
        return Roots(_cubic(coefficients, facts), "cubic")
    return GaveUp(f"polynomial of degree {degree}")


def _gcd(numbers: list[int]) -> int:
    from math import gcd

    return gcd(*numbers)


def _compress(p: Poly, step: int, w: Symbol) -> Expr:
    return Add(*(c * w ** (m // step) for (m,), c in p.terms()))


def _tidy(e: Expr) -> Expr:
    answer = attempt_within(2.0, lambda: cancel(together(e)))
    if isinstance(answer, GaveUp) or answer.count_ops() > e.count_ops():
        return e
    return answer


def _quadratic(a: Expr, b: Expr, c: Expr) -> tuple[Expr, ...]:
    half = b / 2
    even = attempt_within(2.0, lambda: expand(half**2 - a * c))
    d = half**2 - a * c if isinstance(even, GaveUp) else even
    factored = attempt_within(2.0, lambda: d.factor())
    root = sqrt(d if isinstance(factored, GaveUp) else factored)
    return tuple(_tidy_sum(-half + s * root, a) for s in (1, -1))


def _tidy_sum(numerator: Expr, denominator: Expr) -> Expr:
    return powsimp(numerator / denominator)


def _roots_of_power(value: Expr, k: int, v: Symbol, facts: Facts) -> list[Expr]:
    if k % 2 == 0:
        r = Pow(value, Rational(1, k))
        return [r] if v.is_positive else ([-r] if v.is_negative else [r, -r])
    s = facts.decide_sign(value)
    if s == 1 or v.is_positive:
        return [Pow(value, Rational(1, k))]
    if s == -1 or v.is_negative:
        return [-Pow(-value, Rational(1, k))]
    return [sign(value) * Pow(Abs(value), Rational(1, k))]


def _cubic(coefficients: list[Expr], facts: Facts) -> tuple[Expr, ...]:
    """Cardano in real radicals where only one root is real, else the trigonometric three.

    v = t - b/(3a): t**3 + p t + q = 0. For p > 0, and where q**2/4 + p**3/27 > 0, exactly one real root.
    """
    a, b, c, d = coefficients
    shift = _tidy(-b / (3 * a))
    p = _tidy((3 * a * c - b**2) / (3 * a**2))
    q = _tidy((2 * b**3 - 9 * a * b * c + 27 * a**2 * d) / (27 * a**3))
    disc = _tidy(q**2 / 4 + p**3 / 27)
    sign_p, sign_disc = facts.decide_sign(p), facts.decide_sign(disc)
    third = Rational(1, 3)
    if sign_p == 1:
        big = sqrt(disc)
        return (shift + Pow(big - q / 2, third) - Pow(big + q / 2, third),)
    sign_q = facts.decide_sign(q)
    if sign_disc == 1 and sign_q in (1, -1):
        # the larger of the two cube roots first, so that nothing cancels
        u = -sign_q * Pow(sign_q * q / 2 + sqrt(disc), third)
        return (shift + u - p / (3 * u),)
    radius = 2 * sqrt(-p / 3)
    angle = acos(3 * q / (p * radius)) / 3
    trigonometric = tuple(shift + radius * cos(angle - 2 * pi * k / 3) for k in range(3))
    one_real = sign(-q) * Pow(Abs(q) / 2 + sqrt(disc), third)
    return (*trigonometric, shift + one_real - p / (3 * one_real)) if sign_disc is None else trigonometric


# --- one kernel -----------------------------------------------------------------------------------


def _kernel(e: Expr, v: Symbol, facts: Facts, depth: int) -> Roots | GaveUp:
    """Solve for a kernel h(v) as an unknown of its own, then h(v) = root."""
    rewritten = _commensurate(e, v)
    for h in _kernels(rewritten, v):
        w = Dummy("w", positive=True) if facts.is_positive(h) else Dummy("w", real=True)
        renamed = rewritten.xreplace({h: w})
        if renamed.has(v):
            renamed = _absorb(rewritten, h, v, w)
        if renamed.has(v) or not renamed.has(w):
            continue
        outer = solve_equation(renamed, w, facts, depth + 1)
        if isinstance(outer, GaveUp):
            continue
        found: list[Expr] = []
        for root in outer.roots:
            inverse = _invert(h, root, v, facts, depth)
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


def _invert(h: Expr, value: Expr, v: Symbol, facts: Facts, depth: int) -> list[Expr] | GaveUp:
    """All v with h(v) = value."""
    if h == v:
        return [value]
    if isinstance(h, exp):
        return _again(h.args[0] - log(value), v, facts, depth)
    if isinstance(h, log):
        return _again(h.args[0] - exp(value), v, facts, depth)
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
            inner = _roots_of_power(target, abs(k), h.base if h.base == v else Dummy(real=True), facts)
        else:
            inner = [Pow(value, 1 / h.exp)]
        found: list[Expr] = []
        for r in inner:
            more = _again(h.base - r, v, facts, depth)
            if isinstance(more, GaveUp):
                return more
            found.extend(more)
        return found
    if isinstance(h, Pow) and not h.base.has(v):
        return _again(h.exp - log(value) / log(h.base), v, facts, depth)
    if isinstance(h, Add | Mul):
        return _again(h - value, v, facts, depth)
    if isinstance(h, cos | sin | tan):
        return _invert_wave(h, value, v, facts, depth)
    return GaveUp(f"{type(h).__name__} is not inverted")


def _invert_wave(h: Expr, value: Expr, v: Symbol, facts: Facts, depth: int) -> list[Expr] | GaveUp:
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
        more = _again(h.args[0] - angle, v, facts, depth)
        if isinstance(more, GaveUp):
            return more
        found.extend(more)
    return found


def _again(e: Expr, v: Symbol, facts: Facts, depth: int) -> list[Expr] | GaveUp:
    answer = solve_equation(e, v, facts, depth + 1)
    return answer if isinstance(answer, GaveUp) else list(answer.roots)


# --- logarithms -----------------------------------------------------------------------------------


def _logarithms(e: Expr, v: Symbol, facts: Facts, depth: int) -> Roots | GaveUp:
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
    answer = solve_equation(product - exp(-rest * scale / unit), v, facts, depth + 1)
    return answer if isinstance(answer, GaveUp) else Roots(answer.roots, f"exponential and {answer.method}")


# --- Lambert W ------------------------------------------------------------------------------------


def _lambert(e: Expr, v: Symbol, facts: Facts, depth: int) -> Roots | GaveUp:
    """(a0 + a1 y) + (b0 + b1 y) exp(y) = 0 in y = v, log g(v) or an exponent; both real branches.

    alpha + beta y + gamma exp(k y) = 0 has y = -alpha/beta - W(k gamma/beta exp(-k alpha/beta))/k.
    """
    for y_of_v, v_of_y in _lambert_variables(e, v):
        y = Dummy("y", real=True)
        big = Dummy("E", positive=True)
        substituted = attempt_within(2.0, _in_exponentials, e, v, y_of_v, v_of_y, y, big)
        if isinstance(substituted, GaveUp) or substituted is None or substituted.has(v):
            continue
        answer = _lambert_roots(substituted, y, big)
        if answer is None:
            continue
        found = []
        for root in answer:
            value = v_of_y(root)
            found.append(value)
        return Roots(tuple(found), "Lambert W")
    return GaveUp("")


def _lambert_variables(e: Expr, v: Symbol) -> list[tuple[Expr, Callable[[Expr], Expr]]]:
    found: list[tuple[Expr, Callable[[Expr], Expr]]] = []
    for n in e.atoms(exp, log, Pow):
        if not n.has(v):
            continue
        if isinstance(n, exp) or (isinstance(n, Pow) and n.exp.has(v) and not n.base.has(v)):
            exponent = n.args[0] if isinstance(n, exp) else n.exp * log(n.base)
            p = exponent.as_poly(v)
            if p is not None and p.degree() == 1:
                slope, intercept = p.all_coeffs()
                found.append((exponent, _line_back(slope, intercept)))
        elif isinstance(n, log):
            p = n.args[0].as_poly(v)
            if p is not None and p.degree() == 1:
                slope, intercept = p.all_coeffs()
                found.append((n, _exponential_back(slope, intercept)))
    return sorted(found, key=lambda pair: (pair[0].count_ops(), pair[0].sort_key()))


def _line_back(slope: Expr, intercept: Expr) -> Callable[[Expr], Expr]:
    return lambda y: (y - intercept) / slope


def _exponential_back(slope: Expr, intercept: Expr) -> Callable[[Expr], Expr]:
    return lambda y: (exp(y) - intercept) / slope


def _in_exponentials(
    e: Expr, v: Symbol, y_of_v: Expr, v_of_y: Callable[[Expr], Expr], y: Symbol, big: Symbol
) -> Expr | None:
    renamed = e.xreplace({y_of_v: y}) if isinstance(y_of_v, log) else e
    renamed = renamed.subs(v, v_of_y(y))
    renamed = expand(renamed.replace(exp, lambda a: exp(expand(a)).expand(power_exp=True)), log=False)
    renamed = renamed.replace(
        lambda n: isinstance(n, exp) and n.args[0].has(y),
        lambda n: Pow(big, cancel(n.args[0] / y)) if not cancel(n.args[0] / y).has(y) else n,
    )
    numerator = fraction(together(renamed))[0]
    return expand(numerator)


def _lambert_roots(e: Expr, y: Symbol, big: Symbol) -> list[Expr] | None:
    p = e.as_poly(y, big)
    if p is None or p.has(exp(y)):
        return None
    lowest = min(m[1] for m in p.monoms())
    terms = {(i, j - lowest): c for (i, j), c in p.terms()}
    if set(terms) <= {(0, 0), (1, 0), (0, 1)} and (0, 1) in terms and (1, 0) in terms:
        alpha, beta, g, k = terms.get((0, 0), S.Zero), terms[1, 0], terms[0, 1], S.One
    elif set(terms) <= {(0, 0), (0, 1), (1, 1)} and (0, 0) in terms and (1, 1) in terms:
        alpha, beta, g, k = terms.get((0, 1), S.Zero), terms[1, 1], terms[0, 0], S.NegativeOne
    else:
        return None
    inside = _tidy(k * g / beta) * exp(_tidy(-k * alpha / beta))
    return [_tidy(-alpha / beta) - LambertW(inside, branch) / k for branch in (0, -1)]


# --- amplitude and phase --------------------------------------------------------------------------


def _amplitude_phase(e: Expr, v: Symbol, facts: Facts, depth: int) -> Roots | GaveUp:
    """A sin v + B cos v = 0: the direction (B, -A) and its opposite."""
    waves = [n for n in e.atoms(sin, cos) if n.has(v)]
    if not waves or any(n.args[0] != v for n in waves):
        return GaveUp("")
    s, c = Dummy(), Dummy()
    renamed = expand(e.xreplace({sin(v): s, cos(v): c}))
    a, b = renamed.coeff(s), renamed.coeff(c)
    if renamed.has(v) or expand(renamed - a * s - b * c) != 0 or any(t.has(s, c) for t in (a, b)):
        return GaveUp("")
    return Roots((atan2(-b, a), atan2(b, -a)), "amplitude and phase")
