"""Two arithmetics for the normalisation check: double precision, and mpmath with 40 digits.

The second serves the points where doubles overflow, underflow into 0/0, or cancel. Both bound what
they compute, so that no value of a density takes long or fills the memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import mpmath
from sympy import Expr

DIGITS = 40
LARGEST_MAGNITUDE = 4_000  # bits before the point of an exponent


class NotComputed(ArithmeticError):
    """A value that cannot be computed, with the reason."""


class NotReal(NotComputed):
    """A value that is no real number."""


@lru_cache(maxsize=1)
def _context() -> Any:
    context = mpmath.MPContext()
    context.dps = DIGITS
    return context


class Doubles:
    """Double precision; what overflows is infinite, what leaves the reals raises NotReal."""

    precise = False

    def number(self, value: Any) -> float:
        return float(value)

    def exp(self, z: float) -> float:
        try:
            return math.exp(z)
        except OverflowError:
            return math.inf

    def log(self, z: float) -> float:
        if z > 0:
            return math.log(z)
        if z == 0:
            return -math.inf
        raise NotReal("the logarithm of a negative number")

    def power(self, base: float, exponent: float) -> float:
        try:
            value = base**exponent
        except OverflowError:
            return math.inf
        except ZeroDivisionError:
            return math.inf
        if isinstance(value, complex):
            raise NotReal("a root of a negative number")
        return value

    def special(self, name: str, arguments: tuple[Any, ...]) -> float:
        direct = _DIRECT.get(name)
        if direct is not None:
            try:
                return float(direct(*arguments))
            except OverflowError:
                return math.inf
            except ValueError:
                raise NotComputed(f"{name} at {arguments}") from None
        value = SPECIAL[name](mpmath.mp, *arguments)
        if isinstance(value, mpmath.mpc) and abs(value.imag) > 1e-12 * (1 + abs(value.real)):
            raise NotReal(f"{name} at {arguments}")
        return float(value.real)


class Digits:
    """mpmath with 40 digits, in a context of its own; complex values may pass through."""

    precise = True

    def __init__(self) -> None:
        self.context = _context()

    def number(self, value: Any) -> Any:
        if not isinstance(value, Expr):
            return self.context.convert(value)
        if value.is_Rational:
            return self.context.mpf(int(value.p)) / int(value.q)
        if value.is_infinite:
            return self.context.inf if value.is_extended_positive else self.context.ninf
        return self.context.mpf(str(value.evalf(DIGITS)))

    def exp(self, z: Any) -> Any:
        real = self.context.re(z)
        if not self.context.isfinite(real) or (real and self.context.mag(real) > LARGEST_MAGNITUDE):
            return self.context.mpf(0) if real < 0 else self.context.inf
        return self.context.exp(z)

    def log(self, z: Any) -> Any:
        return self.context.log(z) if z != 0 else self.context.ninf

    def power(self, base: Any, exponent: Any) -> Any:
        if base == 0:
            return self.context.mpf(1) if exponent == 0 else (base if exponent > 0 else self.context.inf)
        size = abs(exponent) * abs(self.context.log(abs(base)))
        if not self.context.isfinite(size) or (size and self.context.mag(size) > LARGEST_MAGNITUDE):
            grows = (abs(base) > 1) == (self.context.re(exponent) > 0)
            return self.context.inf if grows else self.context.mpf(0)
        return self.context.power(base, exponent)

    def special(self, name: str, arguments: tuple[Any, ...]) -> Any:
        return SPECIAL[name](self.context, *arguments)


def _sign(x: Any) -> int:
    return (x > 0) - (x < 0)


def _binomial(n: float, k: float) -> float:
    if n == int(n) and k == int(k) and 0 <= n < 1000:
        return float(math.comb(int(n), int(k))) if 0 <= k <= n else 0.0
    value = mpmath.mp.binomial(n, k)
    return float(value)


def _factorial(x: float) -> float:
    return math.gamma(x + 1)


def _loggamma(x: float) -> float:
    if x <= 0:
        raise ValueError
    return math.lgamma(x)


def _beta(a: float, b: float) -> float:
    if a <= 0 or b <= 0 or a + b > 1e6:  # the logarithms would cancel
        raise ValueError
    return math.exp(math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))


_DIRECT: dict[str, Callable[..., Any]] = {
    **{
        n: getattr(math, n)
        for n in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "asinh", "atan", "atan2", "erf", "erfc")
    },
    "acos": math.acos,
    "asin": math.asin,
    "acosh": math.acosh,
    "atanh": math.atanh,
    "sech": lambda x: 1 / math.cosh(x) if abs(x) < 700 else 0.0,
    "csch": lambda x: 1 / math.sinh(x) if abs(x) < 700 else 0.0,
    "coth": lambda x: 1 / math.tanh(x),
    "gamma": math.gamma,
    "loggamma": _loggamma,
    "factorial": _factorial,
    "binomial": _binomial,
    "beta": _beta,
    "Abs": abs,
    "sign": _sign,
    "floor": math.floor,
    "ceiling": math.ceil,
    "frac": lambda x: x - math.floor(x),
    "Mod": lambda a, b: a % b,
    "Max": max,
    "Min": min,
    "Heaviside": lambda x, h=0.5: 0.0 if x < 0 else (1.0 if x > 0 else h),
    "KroneckerDelta": lambda a, b: 1.0 if a == b else 0.0,
}


def _of_order(name: str) -> Callable[..., Any]:
    """I and K of a negative whole order by symmetry, as the series would cancel."""

    def bessel(c: Any, n: Any, z: Any) -> Any:
        return getattr(c, name)(abs(n) if n == c.floor(n) else n, z)

    return bessel


_SAME_NAME = (
    "sin cos tan cot sec csc asin acos atan acot asec acsc sinh cosh tanh coth sech csch asinh acosh "
    "atanh acoth "
    "sinc erf erfc erfi erfinv gamma loggamma factorial binomial beta zeta besselj bessely polylog "
    "airyai airybi digamma harmonic expint ei li si ci shi chi atan2 lerchphi fac2 rf ff erf2"
)
SPECIAL: dict[str, Callable[..., Any]] = {
    **{n: (lambda c, *a, n=n: getattr(c, n)(*a)) for n in _SAME_NAME.split()},
    "besseli": _of_order("besseli"),
    "besselk": _of_order("besselk"),
    "Ei": lambda c, z: c.ei(z),
    "Si": lambda c, z: c.si(z),
    "Ci": lambda c, z: c.ci(z),
    "Shi": lambda c, z: c.shi(z),
    "Chi": lambda c, z: c.chi(z),
    "erfcinv": lambda c, z: c.erfinv(1 - z),
    "elliptic_k": lambda c, m: c.ellipk(m),
    "elliptic_e": lambda c, *a: c.ellipe(*a),
    "elliptic_f": lambda c, *a: c.ellipf(*a),
    "dirichlet_eta": lambda c, s: c.altzeta(s),
    "factorial2": lambda c, z: c.fac2(z),
    "RisingFactorial": lambda c, x, k: c.rf(x, k),
    "FallingFactorial": lambda c, x, k: c.ff(x, k),
    "LambertW": lambda c, z, k=0: c.lambertw(z, int(c.re(k))),
    "polygamma": lambda c, n, z: c.psi(int(c.re(n)), z),
    "uppergamma": lambda c, a, z: c.gammainc(a, z),
    "lowergamma": lambda c, a, z: c.gammainc(a, 0, z),
    "trigamma": lambda c, z: c.psi(1, z),
    "Abs": lambda c, z: abs(z),
    "sign": lambda c, z: c.sign(z),
    "floor": lambda c, z: c.floor(z),
    "ceiling": lambda c, z: c.ceil(z),
    "frac": lambda c, z: z - c.floor(z),
    "Mod": lambda c, a, b: a - b * c.floor(a / b),
    "Max": lambda c, *a: max(a),
    "Min": lambda c, *a: min(a),
    "Heaviside": lambda c, x, h=0.5: c.mpf(0) if x < 0 else (c.mpf(1) if x > 0 else c.mpf(h)),
    "KroneckerDelta": lambda c, a, b: c.mpf(1 if a == b else 0),
}
