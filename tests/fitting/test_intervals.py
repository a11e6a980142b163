"""Enclosures hold the values that mpmath gives at 40 digits, at random points."""

from __future__ import annotations

from fractions import Fraction
from time import monotonic

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from symmle.fitting import intervals as iv
from symmle.fitting import intervals_special as special
from symmle.fitting.intervals import Interval
from symmle.fitting.intervals_forms import condensed
from symmle.fitting.intervals_functions import bessel_ratio_rule, log_bessel_rule
from symmle.fitting.intervals_numbers import UnresolvedError
from symmle.fitting.intervals_program import Evaluation, Rows
from symmle.fitting.tails import Tail
from symmle.sample import Mean

mpmath.mp.dps = 40
x, k, d, y = (
    sp.Symbol("x", positive=True),
    sp.Symbol("k", positive=True),
    sp.Symbol("d"),
    sp.Symbol("y", real=True),
)
REAL = st.floats(-50, 50)
POSITIVE = st.floats(1e-6, 1e4)
WIDTH = st.floats(0, 2) | st.just(0.0)


def _inside(enclosure: Interval, value: mpmath.mpf, what: object) -> None:
    lo, hi = float(enclosure.lo.ravel()[0]), float(enclosure.hi.ravel()[0])
    assert mpmath.mpf(lo) <= value <= mpmath.mpf(hi), f"{what}: {value} not in [{lo!r}, {hi!r}]"


FUNCTIONS = {
    "exp": (iv.exponential, mpmath.exp, REAL),
    "expm1": (iv.exponential_minus_one, mpmath.expm1, REAL),
    "log": (iv.logarithm, mpmath.log, POSITIVE),
    "log1p": (iv.logarithm_of_one_plus, mpmath.log1p, POSITIVE),
    "sin": (iv.sine, mpmath.sin, REAL),
    "cos": (iv.cosine, mpmath.cos, REAL),
    "tanh": (iv.hyperbolic_tangent, mpmath.tanh, REAL),
    "sinh": (iv.hyperbolic_sine, mpmath.sinh, REAL),
    "cosh": (iv.hyperbolic_cosine, mpmath.cosh, REAL),
    "atan": (iv.arctangent, mpmath.atan, REAL),
    "asinh": (iv.inverse_hyperbolic_sine, mpmath.asinh, REAL),
    "abs": (iv.absolute, abs, REAL),
    "sqrt": (lambda a: iv.real_power(a, 0.5), mpmath.sqrt, POSITIVE),
    "power": (lambda a: iv.real_power(a, -1.25), lambda t: t ** mpmath.mpf(-1.25), POSITIVE),
    "cube": (lambda a: iv.integer_power(a, 3), lambda t: t**3, REAL),
    "square": (lambda a: iv.integer_power(a, 2), lambda t: t**2, REAL),
    "reciprocal": (iv.reciprocal, lambda t: 1 / t, POSITIVE),
    "loggamma": (special.log_gamma, mpmath.loggamma, POSITIVE),
    "digamma": (lambda a: special.polygamma(0, a), lambda t: mpmath.psi(0, t), POSITIVE),
    "trigamma": (lambda a: special.polygamma(1, a), lambda t: mpmath.psi(1, t), POSITIVE),
    "tetragamma": (lambda a: special.polygamma(2, a), lambda t: mpmath.psi(2, t), POSITIVE),
    "pentagamma": (lambda a: special.polygamma(3, a), lambda t: mpmath.psi(3, t), POSITIVE),
    "erf": (special.error_function, mpmath.erf, REAL),
    "erfc": (special.complementary_error_function, mpmath.erfc, st.floats(-20, 20)),
    "lambertw": (lambda a: special.lambert_w(a, 0), mpmath.lambertw, POSITIVE),
    "lambertw-1": (
        lambda a: special.lambert_w(a, -1), lambda t: mpmath.re(mpmath.lambertw(t, -1)), st.floats(-0.36, -1e-9)
    ),
    "log I_0": (lambda a: special.log_bessel(np.array(0.0), a), lambda t: mpmath.log(mpmath.besseli(0, t)), POSITIVE),
    "log I_5": (lambda a: special.log_bessel(np.array(5.0), a), lambda t: mpmath.log(mpmath.besseli(5, t)), POSITIVE),
    "I_1/I_0": (
        lambda a: special.bessel_ratio(np.array(0.0), a),
        lambda t: mpmath.besseli(1, t) / mpmath.besseli(0, t),
        POSITIVE,
    ),
    "I_4/I_3": (
        lambda a: special.bessel_ratio(np.array(3.0), a),
        lambda t: mpmath.besseli(4, t) / mpmath.besseli(3, t),
        POSITIVE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_an_enclosure_holds_the_function(name: str, data: st.DataObject) -> None:
    enclose, exact, points = FUNCTIONS[name]
    lo = data.draw(points)
    hi = lo + data.draw(WIDTH) if name != "lambertw-1" else lo / 2
    inner = min(max(lo + data.draw(st.floats(0, 1)) * (hi - lo), lo), hi)
    with np.errstate(all="ignore"):
        found = enclose(Interval(np.array([[lo]]), np.array([[hi]])))
        point = enclose(Interval.of(np.array([[inner]])))
    value = exact(mpmath.mpf(inner))
    _inside(found, value, (name, lo, hi, inner))
    _inside(point, value, (name, inner))


def test_point_enclosures_are_narrow() -> None:
    for name, (enclose, _, _) in FUNCTIONS.items():
        at = -0.2 if name == "lambertw-1" else 1.7
        found = enclose(Interval.of(np.array([[at]])))
        assert float((found.hi - found.lo)[0, 0]) < 1e-8 * (1 + abs(float(found.lo[0, 0]))), name


@pytest.mark.parametrize("nu", [0.0, 1.0, 4.0])
@settings(max_examples=40, deadline=None)
@given(z=st.floats(0.01, 300))
def test_derivatives_of_bessel_functions(nu: float, z: float) -> None:
    box = Interval.of(np.array([[z]]))
    log_rule, ratio_rule = log_bessel_rule(np.array(nu))(box, 2), bessel_ratio_rule(np.array(nu))(box, 2)
    for order in range(3):
        _inside(
            log_rule[order],
            mpmath.diff(lambda t: mpmath.log(mpmath.besseli(nu, t)), z, order),
            (nu, z, order),
        )
        ratio = mpmath.diff(lambda t: mpmath.besseli(nu + 1, t) / mpmath.besseli(nu, t), z, order)
        _inside(ratio_rule[order], ratio, (nu, z, order))


DATA = np.array([0.31, 2.4, 1.7, 0.05, 5.2, 1.7])
EXPRESSIONS = [
    sp.log(k) + (k - 1) * Mean(sp.log(x), (x,)) - sp.log(Mean(x**k, (x,))),
    1 / k + Mean(sp.log(x), (x,)) - Mean(x**k * sp.log(x), (x,)) / Mean(x**k, (x,)),
    sp.log(k) - sp.digamma(k) - sp.log(Mean(x, (x,))) + Mean(sp.log(x), (x,)),
    Mean(sp.loggamma(x + k), (x,)) - sp.loggamma(k) + k * sp.log(k / (k + Mean(x, (x,)))),
    -sp.log(-Mean(sp.log(1 - sp.exp(-k * x)), (x,))) + sp.log(k) - Mean(sp.log(1 - sp.exp(-k * x)), (x,)),
    Mean(x**k, (x,)) - sp.log(Mean(sp.exp(x**k), (x,)) - 1) + sp.log(k),
    sp.log(sp.besseli(0, k)) + sp.besseli(1, k) / sp.besseli(0, k) * Mean(sp.cos(x), (x,)),
    Mean(sp.Abs(x - k) ** sp.Rational(3, 2), (x,)) + sp.sqrt(k) * Mean((x - Mean(x, (x,))) ** 2, (x,)),
    (1 - Mean(x**k, (x,)) + sp.sqrt((Mean(x**k, (x,)) - 1) ** 2 + 8 * Mean(x**k, (x,)))) / (2 * Mean(x**k, (x,))),
    Mean(sp.log(sp.besseli(0, x * k)), (x,)) - k * Mean(x, (x,)),
    Mean(sp.log(1 + x**2 / k), (x,)) * (k + 1) / 2 + sp.erf(k - 1) + sp.atan(k),
]  # fmt: skip


def _exact(e: sp.Expr, at: mpmath.mpf) -> mpmath.mpf:
    """The expression by mpmath, means taken over the rows."""

    def number(e: sp.Expr, row: float | None) -> mpmath.mpf:
        if isinstance(e, Mean):
            return sum(number(e.summand, float(v)) for v in DATA) / len(DATA)
        if e == k:
            return at
        if e == x:
            return mpmath.mpf(row)
        if not e.args:
            return mpmath.mpf(e.p) / e.q if e.is_Rational else mpmath.mpf(e.evalf(40))
        inner = [number(a, row) for a in e.args]
        if isinstance(e, sp.polygamma):
            return mpmath.psi(0, inner[1])
        if isinstance(e, sp.Pow):
            return inner[0] ** inner[1]
        named = {sp.Abs: abs, sp.Add: lambda *a: mpmath.fsum(a), sp.Mul: lambda *a: mpmath.fprod(a)}
        function = named.get(type(e)) or getattr(mpmath, type(e).__name__)
        return function(*inner)

    with mpmath.workdps(60):
        return number(e, None)


def _rows() -> tuple[Rows, ...]:
    return (Rows.of({x: DATA}),)


@pytest.mark.parametrize("index", range(len(EXPRESSIONS)))
@settings(max_examples=25, deadline=None)
@given(lo=st.floats(0.05, 8), width=st.floats(0, 0.5), inner=st.floats(0, 1))
def test_an_enclosure_holds_value_slope_and_curvature(
    index: int, lo: float, width: float, inner: float
) -> None:
    e = EXPRESSIONS[index]
    hi = lo + width
    t = min(max(lo + inner * width, lo), hi)
    with np.errstate(all="ignore"):
        jet = Evaluation({k: Interval(np.array([[lo]]), np.array([[hi]]))}, _rows(), 2).enclosure(e)
    _inside(jet.value, _exact(e, mpmath.mpf(t)), (e, t))
    smooth = not (e.has(sp.Abs) and np.min(np.abs(DATA - t)) < 1e-3)
    if smooth:
        with mpmath.workdps(60):
            for order, found in ((1, jet.gradient[0]), (2, jet.hessian[0])):
                assert found is not None
                value = mpmath.diff(lambda s: _exact(e, s), mpmath.mpf(t), order, h=mpmath.mpf(10) ** -12)
                slack = mpmath.mpf(10) ** -8 * (1 + abs(value))
                lo_found, hi_found = float(found.lo[0, 0]), float(found.hi[0, 0])
                assert lo_found - slack <= value <= hi_found + slack, (e, t, order)


@pytest.mark.parametrize("index", range(len(EXPRESSIONS)))
@pytest.mark.parametrize("end", [sp.oo, sp.S.Zero, sp.Rational(3, 2)])
@pytest.mark.parametrize("order", [(2, 5), (4, 10)])
def test_an_expansion_holds_on_the_whole_tail(index: int, end: sp.Expr, order: tuple[int, int]) -> None:
    e = EXPRESSIONS[index]
    checked = 0
    for step in (4, 40, 10**6):
        size, side = (Fraction(step, 256), 1) if end is sp.oo else (Fraction(256, step), -1)
        try:
            lo, hi = Tail(k, size, end, side, _rows(), monotonic() + 60, *order).bounds(e)
        except UnresolvedError:
            continue
        for factor in (1, 1.001, 1.3, 4, 30):
            t = (
                mpmath.mpf(step) * factor
                if end is sp.oo
                else mpmath.mpf(end.p) / end.q + 1 / (step * mpmath.mpf(factor))
            )
            value = _exact(e, t) if t < 500 or not e.has(sp.exp(x**k)) else None
            if value is not None:
                assert lo <= value <= hi, (e, float(t), value, lo, hi)
                checked += 1
    assert checked or end == sp.Rational(3, 2) or e.has(sp.Abs), f"no tail of {e} was expanded"


@pytest.mark.parametrize(
    "e",
    [
        sp.log((k * x) ** k), sp.log(k**2 * y**2), sp.log(1 / (k - 3)), ((k * x) ** (1 / k)) ** k,
        sp.log((k - 3) ** 2), Mean((k * x) ** k, (x,)), Mean(x * (k + x), (x,)),
    ],
)  # fmt: skip
def test_condensed_expressions_are_equal(e: sp.Expr) -> None:
    point = {k: sp.Rational(17, 5), x: sp.Rational(3, 7), y: sp.Rational(-2, 3)}
    change = condensed(e) - e
    means = {m: sp.Symbol(f"m{i}") for i, m in enumerate(sorted(change.atoms(Mean), key=str))}
    values = {
        s: sum(m.summand.subs(k, point[k]).subs(x, sp.Float(v, 30)) for v in DATA) / 6
        for m, s in means.items()
    }
    assert abs(sp.N(change.subs(means).subs(values).subs(point), 25)) < 1e-12


def test_what_is_not_defined_is_the_whole_line() -> None:
    with np.errstate(all="ignore"):
        found = iv.logarithm(Interval(np.array([-2.0]), np.array([-1.0])))
    assert np.isinf(found.lo[0]) and np.isinf(found.hi[0])
