"""Numbers of an asymptotic expansion: constants known exactly as polynomials in atoms, or plain intervals.

An atom is a constant (log 3, digamma(1/2), ...) that is known by an enclosure and by a key that says what it
is; equal constants get equal keys, so that what cancels exactly does cancel. A `Number` without terms is no
constant: it stands for any function with values in [lo, hi].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from fractions import Fraction

Bounds = tuple[float, float]
Terms = dict[tuple[int, ...], Fraction]
_LONGEST = 40
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)


class UnresolvedError(ArithmeticError):
    """A sign that decides the order of growth is not known."""


class TooSoonError(UnresolvedError):
    """The expansion does not hold yet at the start of the tail: it may further out."""


def _down(x: float) -> float:
    return -math.inf if x != x else math.nextafter(x, -math.inf)


def _up(x: float) -> float:
    return math.inf if x != x else math.nextafter(x, math.inf)


def add_bounds(a: Bounds, b: Bounds) -> Bounds:
    return _down(a[0] + b[0]), _up(a[1] + b[1])


def multiply_bounds(a: Bounds, b: Bounds) -> Bounds:
    products = [u * v for u in a for v in b]
    products = [0.0 if p != p else p for p in products]
    return _down(min(products)), _up(max(products))


def invert_bounds(a: Bounds) -> Bounds:
    if a[0] <= 0 <= a[1]:
        raise UnresolvedError("division by an enclosure of zero")
    return _down(1 / a[1]), _up(1 / a[0])


def exp_bounds(a: Bounds) -> Bounds:
    def at(x: float) -> float:
        return 0.0 if x < -745 else math.inf if x > 709 else math.exp(x)

    lo, hi = at(a[0]), at(a[1])
    lo = 1.7e308 if lo == math.inf else lo * (1 - 1e-15)
    return max(_down(lo), 0.0), _up(hi * (1 + 1e-15))


def log_bounds(a: Bounds) -> Bounds:
    if a[0] <= 0:
        raise UnresolvedError("logarithm of an enclosure that reaches zero")
    lo = math.log(a[0])
    hi = math.log(a[1]) if a[1] < math.inf else math.inf
    return _down(lo - abs(lo) * 1e-15), _up(hi + (abs(hi) * 1e-15 if hi < math.inf else 0.0))


def fraction_bounds(f: Fraction) -> Bounds:
    if f.denominator == 1 and abs(f.numerator) < 2**53:
        return float(f.numerator), float(f.numerator)
    try:
        x = float(f)
    except OverflowError:
        return (1.7e308, math.inf) if f > 0 else (-math.inf, -1.7e308)
    return _down(x), _up(x)


class Atoms:
    """The constants met so far."""

    def __init__(self) -> None:
        self.bounds: list[Bounds] = []
        self.logarithm_of: dict[int, Number] = {}  # the atoms that are logarithms
        self._ids: dict[Hashable, int] = {}

    def atom(self, key: Hashable, bounds: Callable[[], Bounds]) -> Number:
        found = self._ids.get(key)
        if found is None:
            self.bounds.append(bounds())
            found = self._ids[key] = len(self.bounds) - 1
        return Number(self, {(found,): Fraction(1)})


class Number:
    """A constant (terms: products of atoms -> rational factor) or an interval of values."""

    __slots__ = ("_bounds", "_key", "atoms", "terms")

    def __init__(self, atoms: Atoms, terms: Terms | None, bounds: Bounds | None = None):
        self.atoms = atoms
        self.terms = terms
        self._bounds = bounds
        self._key: Hashable = None

    @classmethod
    def rational(cls, atoms: Atoms, value: Fraction | int) -> Number:
        return cls(atoms, {(): Fraction(value)} if value else {})

    @classmethod
    def within(cls, atoms: Atoms, bounds: Bounds) -> Number:
        if not bounds[0] <= bounds[1]:
            bounds = (-math.inf, math.inf)
        return cls(atoms, None, bounds)

    @property
    def is_zero(self) -> bool:
        return self.terms is not None and not self.terms

    @property
    def is_rational(self) -> bool:
        return self.terms is not None and (not self.terms or set(self.terms) == {()})

    @property
    def fraction(self) -> Fraction:
        assert self.terms is not None
        return self.terms.get((), Fraction(0))

    @property
    def key(self) -> Hashable:
        if self._key is None:
            assert self.terms is not None
            self._key = frozenset(self.terms.items())
        return self._key

    @property
    def bounds(self) -> Bounds:
        if self._bounds is None:
            assert self.terms is not None
            total = (0.0, 0.0)
            for product, factor in self.terms.items():
                value = fraction_bounds(factor)
                for a in product:
                    value = multiply_bounds(value, self.atoms.bounds[a])
                total = value if total == (0.0, 0.0) else add_bounds(total, value)
            self._bounds = total
        return self._bounds

    def sign(self) -> int:
        """1, 0 or -1; raises where it is not known."""
        if self.is_zero:
            return 0
        lo, hi = self.bounds
        if lo > 0:
            return 1
        if hi < 0:
            return -1
        exact = self._sign_of_logarithms() if self.terms is not None else None
        if exact is not None:
            return exact
        raise UnresolvedError(f"the sign of a number in [{lo:.3g}, {hi:.3g}] is not known")

    def __neg__(self) -> Number:
        if self.terms is not None:
            return Number(self.atoms, {p: -f for p, f in self.terms.items()})
        return Number(self.atoms, None, (-self.bounds[1], -self.bounds[0]))

    def __add__(self, other: Number) -> Number:
        if self.terms is not None and other.terms is not None:
            merged = dict(self.terms)
            for p, f in other.terms.items():
                total = merged.get(p, Fraction(0)) + f
                if total:
                    merged[p] = total
                else:
                    merged.pop(p, None)
            return Number(self.atoms, merged)
        return Number(self.atoms, None, add_bounds(self.bounds, other.bounds))

    def __sub__(self, other: Number) -> Number:
        return self + (-other)

    def __mul__(self, other: Number) -> Number:
        if self.terms is not None and other.terms is not None:
            if len(self.terms) * len(other.terms) > _LONGEST:
                keys = frozenset((self.key, other.key)) if self.key != other.key else (self.key, "squared")
                return self.atoms.atom(("product", keys), lambda: multiply_bounds(self.bounds, other.bounds))
            product: Terms = {}
            for p, f in self.terms.items():
                for q, g in other.terms.items():
                    both = tuple(sorted(p + q))
                    total = product.get(both, Fraction(0)) + f * g
                    if total:
                        product[both] = total
                    else:
                        product.pop(both, None)
            return Number(self.atoms, product)
        if self.is_zero or other.is_zero:
            return Number(self.atoms, {})
        return Number(self.atoms, None, multiply_bounds(self.bounds, other.bounds))

    def function(self, name: Hashable, enclose: Callable[[Bounds], Bounds]) -> Number:
        """A constant function of this number, named so that equal values stay equal."""
        if self.terms is None:
            return Number.within(self.atoms, enclose(self.bounds))
        return self.atoms.atom((name, self.key), lambda: enclose(self.bounds))

    def inverse(self) -> Number:
        if self.is_rational and self.terms:
            return Number.rational(self.atoms, 1 / self.fraction)
        self.sign()
        if self.terms is not None and len(self.terms) == 1:
            ((product, factor),) = self.terms.items()
            found = Number.rational(self.atoms, 1 / factor)
            for a in product:
                single = Number(self.atoms, {(a,): Fraction(1)})
                found = found * single.function("inverse", invert_bounds)
            return found
        return self.function("inverse", invert_bounds)

    def logarithm(self) -> Number:
        """The logarithm of a positive number; of a product of atoms, the sum of theirs."""
        if self.is_rational and self.fraction == 1:
            return Number(self.atoms, {})
        if self.terms is not None and len(self.terms) == 1:
            ((product, factor),) = self.terms.items()
            singles = [Number(self.atoms, {(a,): Fraction(1)}) for a in product]
            if (
                product
                and factor > 0
                and (len(product) > 1 or factor != 1)
                and all(a.bounds[0] > 0 for a in singles)
            ):
                total = Number.rational(self.atoms, factor).logarithm()
                for single in singles:
                    total = total + single.logarithm()
                return total
            if not product and factor > 0:
                return self._rational_logarithm(factor)
        return self._named_logarithm()

    def _named_logarithm(self) -> Number:
        found = self.function("log", log_bounds)
        if found.terms is not None:
            ((atom,),) = found.terms
            self.atoms.logarithm_of[atom] = self
        return found

    def _rational_logarithm(self, f: Fraction) -> Number:
        """By the logarithms of small primes, so that products of data that agree do agree."""
        total = Number(self.atoms, {})
        for whole, sign in ((f.numerator, 1), (f.denominator, -1)):
            rest = whole
            for p in _PRIMES:
                power = 0
                while rest % p == 0:
                    rest //= p
                    power += 1
                if power:
                    total = total + Number.rational(self.atoms, p)._named_logarithm() * Number.rational(
                        self.atoms, sign * power
                    )
            if rest != 1:
                total = total + Number.rational(self.atoms, rest)._named_logarithm() * Number.rational(
                    self.atoms, sign
                )
        return total

    def _sign_of_logarithms(self) -> int | None:
        """The sign of sum c_i log q_i where the c_i are commensurable: that of a product compared with 1."""
        assert self.terms is not None
        bases, factors = [], []
        for product, factor in self.terms.items():
            base = self.atoms.logarithm_of.get(product[0]) if len(product) == 1 else None
            if base is None or not base.is_rational:
                return None
            bases.append(Fraction(base.fraction))
            factors.append(factor)
        ratios = [f / abs(factors[0]) for f in factors]
        common = math.lcm(*(r.denominator for r in ratios))
        powers = [int(r * common) for r in ratios]
        if max(map(abs, powers)) > 400 or len(powers) > 60:
            return None
        result = Fraction(1)
        for rational, power in zip(bases, powers, strict=True):
            result *= rational**power
        return (result > 1) - (result < 1)

    def exponential(self) -> Number:
        """exp, where exp(n log c) is c**n for an integer n."""
        if self.is_zero:
            return Number.rational(self.atoms, 1)
        if self.terms is None:
            return self.function("exp", exp_bounds)
        outside, inside = Number.rational(self.atoms, 1), dict(self.terms)
        for product, factor in self.terms.items():
            base = self.atoms.logarithm_of.get(product[0]) if len(product) == 1 else None
            if (
                base is not None
                and factor.denominator == 1
                and abs(factor) <= (2000 if base.is_rational else 8)
            ):
                del inside[product]
                if base.is_rational:
                    outside = outside * Number.rational(self.atoms, base.fraction ** int(factor))
                    continue
                step = base if factor > 0 else base.inverse()
                for _ in range(abs(int(factor))):
                    outside = outside * step
        if not inside:
            return outside
        return outside * Number(self.atoms, inside).function("exp", exp_bounds)
