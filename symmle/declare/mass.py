"""The total mass of one sample's density at one point of the parameter space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from sympy import Abs, Dummy, Expr, FiniteSet, Interval, Max, Min, Range, Set, Symbol, sign
from sympy.core.relational import Relational

from symmle.declare.domains import lower, upper
from symmle.declare.folding import Density, bounds_at, number_at
from symmle.declare.numbers import NotComputed, NotReal
from symmle.declare.quadrature import Amount, Clock, Ray, along, summed

MOST_CELLS = 20_000
MOST_SLICES = 200


class Watched:
    """A density that keeps where it was most negative, and where it was not real."""

    def __init__(
        self, density: Density, place: Callable[[tuple[float, ...]], dict[Symbol, float]], precise: bool
    ):
        self.density, self.place, self.precise = density, place, precise
        self.lowest = 0.0
        self.where: tuple[float, ...] | None = None

    def __call__(self, *row: float) -> float:
        try:
            value = self.density.precise(*row) if self.precise else self.density(*row)
        except NotReal as problem:
            problem.place = self.place(row)  # type: ignore[attr-defined]
            raise
        if value < self.lowest:
            self.lowest, self.where = value, row
        return value

    def negative(self) -> dict[Symbol, float] | None:
        """Where the density is negative beyond rounding."""
        if self.where is None or self.lowest > -1e-9 or self.density.precise(*self.where) > -1e-9:
            return None
        return self.place(self.where)


class Negative(NotComputed):
    """The density is negative at `place`."""

    def __init__(self, place: dict[Symbol, float]):
        super().__init__("the density is negative")
        self.place = place


def mass(
    density: Expr,
    support: Mapping[Symbol, Set],
    values: Mapping[Symbol, Any],
    clock: Clock,
    *,
    step: float = 0.5,
    precise: bool = False,
) -> Amount:
    """The integral or sum of the density over the product of the supports.

    `step` and `precise` choose another splitting and 40 digits, for confirming a number.
    """
    columns = list(support)
    if any(support[x].free_symbols & set(columns) for x in columns):
        raise NotComputed("a support names another column")
    if len(columns) == 1:
        return _one(density, columns[0], support[columns[0]], values, clock, step, precise)
    cells = {x: _elements(support[x], values) for x in columns}
    listed = [x for x in columns if cells[x] is not None]
    rest = [x for x in columns if cells[x] is None]
    count = math.prod(len(cells[x] or ()) for x in listed)
    if not rest and count <= MOST_CELLS:
        watched = Watched(Density(density, values, columns), _naming(columns, {}), precise)
        terms = []
        for number, row in enumerate(itertools.product(*(cells[x] or () for x in columns))):
            terms.append(watched(*row))
            if number % 256 == 0:
                clock.look()
        _refuse_negative(watched)
        return Amount(math.fsum(terms), 1e-15 * len(terms))
    if len(rest) == 1 and count <= MOST_SLICES:
        total = Amount()
        for row in itertools.product(*(cells[x] or () for x in listed)):
            fixed = {**values, **dict(zip(listed, row, strict=True))}
            total = total + _one(density, rest[0], support[rest[0]], fixed, clock, step, precise)
        return total
    if len(columns) == 2 and not precise:
        return _two(density, columns, support, values, clock, step)
    raise NotComputed(f"it has {len(columns)} columns")


def _elements(domain: Set, values: Mapping[Symbol, Any]) -> list[float] | None:
    """The elements of a small finite set."""
    if isinstance(domain, FiniteSet):
        return [number_at(e, values) for e in domain.args]
    if isinstance(domain, Range):
        low, high = bounds_at(domain, values)
        if high - low < MOST_CELLS:
            return [low + k for k in range(int(high - low) + 1)]
    return None


def _naming(
    columns: list[Symbol], fixed: Mapping[Symbol, float]
) -> Callable[[tuple[float, ...]], dict[Symbol, float]]:
    return lambda row: {**fixed, **dict(zip(columns, row, strict=True))}


def _refuse_negative(*watched: Watched) -> None:
    for w in watched:
        place = w.negative()
        if place is not None:
            raise Negative(place)


def _one(
    density: Expr,
    x: Symbol,
    domain: Set,
    values: Mapping[Symbol, Any],
    clock: Clock,
    step: float,
    precise: bool,
) -> Amount:
    plain = Watched(Density(density, values, (x,)), _naming([x], {}), precise)
    if isinstance(domain, FiniteSet):
        amount = Amount(math.fsum(plain(number_at(e, values)) for e in domain.args), 1e-15)
    elif isinstance(domain, Range):
        low, high = bounds_at(domain, values)
        if MOST_CELLS < high - low < math.inf:
            raise NotComputed(f"it sums over more than {MOST_CELLS} values")
        amount = summed(plain, low, high, clock, 25 if step == 0.5 else 400)
    else:
        assert isinstance(domain, Interval)
        return _line(density, x, domain, values, clock, step, precise, plain)
    _refuse_negative(plain)
    return amount


def _line(
    density: Expr,
    x: Symbol,
    domain: Interval,
    values: Mapping[Symbol, Any],
    clock: Clock,
    step: float,
    precise: bool,
    plain: Watched,
) -> Amount:
    low, high = bounds_at(domain, values)
    if not low < high:
        raise NotComputed("the support is empty")
    breaks = [c for c in _kinks(density, x, values) if low < c < high]
    hints = [number_at(s, values) for s in values]
    breaks += [h for h in dict.fromkeys(hints) if low < h < high and math.isinf(low) and math.isinf(high)][:6]
    top, narrow = _peak(plain, low, high, hints, clock)
    if narrow or (math.isinf(low) and math.isinf(high)):
        shift = 0.0 if step == 0.5 else 1e-3 * (1 if not narrow else 0)
        breaks.append(top + shift)
    u = Dummy("u", positive=True)
    watched = [plain]

    def at_edge(edge: Expr, direction: int) -> Callable[[float], float]:
        # in u = x - edge no digits are lost at the edge
        if edge.is_zero and direction == 1:
            return plain
        shifted = Density(density.xreplace({x: edge + direction * u}), values, (u,))
        number = number_at(edge, values)
        place = lambda row: {x: number + direction * row[0]}  # noqa: E731
        watched.append(Watched(shifted, place, precise))
        return watched[-1]

    anchors: list[tuple[float, Expr | None]] = [(c, None) for c in sorted(set(breaks))]
    if math.isfinite(low):
        anchors.insert(0, (low, lower(domain)))
    if math.isfinite(high):
        anchors.append((high, upper(domain)))

    def ray(anchor: tuple[float, Expr | None], direction: int, length: float) -> Ray:
        number, edge = anchor
        if edge is None:
            return Ray(lambda v: plain(number + direction * v), length)
        return Ray(at_edge(edge, direction), length)

    total = Amount()
    share = 1e-9 / (2 * len(anchors) + 2)
    if math.isinf(low):
        total = total + along(ray(anchors[0], -1, math.inf), clock, step, share)
    for left, right in itertools.pairwise(anchors):
        half = (right[0] - left[0]) / 2
        if half > 0:
            total = total + along(ray(left, 1, half), clock, step, share)
            total = total + along(ray(right, -1, half), clock, step, share)
    if math.isinf(high):
        total = total + along(ray(anchors[-1], 1, math.inf), clock, step, share)
    _refuse_negative(*watched)
    return total


def _kinks(density: Expr, x: Symbol, values: Mapping[Symbol, Any]) -> list[float]:
    """Zeros of what stands in |.|, in conditions, in Max and Min, where they are linear in x."""
    inside: set[Expr] = {a.args[0] for a in density.atoms(Abs, sign)}
    inside |= {r.lhs - r.rhs for r in density.atoms(Relational)}
    for m in density.atoms(Max, Min):
        inside |= {a - b for a, b in itertools.combinations(m.args, 2)}
    zeros = []
    for g in sorted((g for g in inside if x in g.free_symbols), key=str)[:8]:
        try:
            f = Density(g, values, (x,))
            a, b, c = f(0.0), f(1.0), f(-2.0)
        except NotComputed:
            continue
        slope = b - a
        if slope and abs(c - (a - 2 * slope)) < 1e-9 * (1 + abs(a) + abs(slope)):
            zeros.append(-a / slope)
    return zeros


def _peak(
    f: Callable[[float], float], low: float, high: float, hints: list[float], clock: Clock
) -> tuple[float, bool]:
    """Where the density is largest, about, and whether it is narrow there against its distance to the "
    "edges."""
    if math.isfinite(low) and math.isfinite(high):
        grid = [low + (high - low) * (i + 0.5) / 32 for i in range(32)]
    elif math.isfinite(low):
        grid = [low + 2.0**k for k in range(-12, 24)]
    elif math.isfinite(high):
        grid = [high - 2.0**k for k in range(-12, 24)]
    else:
        grid = [0.0] + [s * 2.0**k for k in range(-8, 24, 1) for s in (1, -1)]
    around = [h for a in hints if math.isfinite(a) for h in (a, -a, low + a, high - a)]
    candidates = [c for c in grid + around if low < c < high]

    def height(c: float) -> float:
        try:
            return f(c) if low < c < high else -math.inf
        except NotReal:
            raise
        except NotComputed:
            return -math.inf

    best, c = max((height(c), c) for c in candidates)
    distance = min(c - low, high - c) if math.isfinite(low) or math.isfinite(high) else max(1.0, abs(c))
    width = 0.25 * distance
    for _ in range(60):
        clock.look()
        higher = max((height(c + s * width), c + s * width) for s in (-1, 1))
        if higher[0] > best:
            best, c = higher
        else:
            width /= 2
            if width < 1e-9 * distance:
                break
    distance = min(c - low, high - c) if math.isfinite(low) or math.isfinite(high) else max(1.0, abs(c))
    narrow = max(height(c + 0.05 * distance), height(c - 0.05 * distance)) < 0.5 * best
    return c, narrow


def _two(
    density: Expr,
    columns: list[Symbol],
    support: Mapping[Symbol, Set],
    values: Mapping[Symbol, Any],
    clock: Clock,
    step: float,
) -> Amount:
    """Double-exponential rules in both columns, about the peak, at two widths; sums by their terms."""
    f = Watched(Density(density, values, columns), _naming(columns, {}), False)
    centres = _centres(f, [support[x] for x in columns], values, clock)
    results = []
    for h in (0.1, 0.07) if step == 0.5 else (0.089, 0.061):
        nodes = [_nodes(support[x], values, h, *centre) for x, centre in zip(columns, centres, strict=True)]
        rows = []
        for a, wa in nodes[0]:
            clock.look()
            row = math.fsum(f(a, b) * wb for b, wb in nodes[1])
            rows.append(row * wa)
        results.append(math.fsum(rows))
    _refuse_negative(f)
    return Amount(results[1], abs(results[0] - results[1]))


def _centres(
    f: Watched, domains: list[Set], values: Mapping[Symbol, Any], clock: Clock
) -> list[tuple[float, float]]:
    """Peak and width in each column of the whole line, by climbing one column after the other."""
    free = [isinstance(d, Interval) and d.start.is_infinite and d.end.is_infinite for d in domains]
    place = [0.0 if line else _inner(d, values) for d, line in zip(domains, free, strict=True)]
    widths = [1.0, 1.0]

    def height(i: int, c: float) -> float:
        row = list(place)
        row[i] = c
        try:
            return f(*row)
        except NotReal:
            raise
        except NotComputed:
            return -math.inf

    for _ in range(3):
        for i, line in enumerate(free):
            if not line:
                continue
            clock.look()
            hints = [s * number_at(v, values) for v in values for s in (1, -1)]
            grid = [0.0, place[i], *(s * 2.0**k for k in range(-4, 16) for s in (1, -1)), *hints]
            best, c = max((height(i, g), g) for g in grid)
            width = max(1.0, abs(c)) / 4
            for _ in range(100):
                higher = max((height(i, c + s * width), c + s * width) for s in (-1, 1))
                if higher[0] > best:
                    best, c = higher
                else:
                    width /= 2
            place[i] = c
            width = 2.0**-10
            while width < 2.0**20 and height(i, c + width) > 0.5 * best:
                width *= 2
            widths[i] = width
    return list(zip(place, widths, strict=True))


def _inner(domain: Set, values: Mapping[Symbol, Any]) -> float:
    """A place inside a set."""
    if isinstance(domain, FiniteSet):
        return number_at(domain.args[0], values)
    low, high = bounds_at(domain, values)
    if math.isfinite(low) and math.isfinite(high):
        return (low + high) / 2 if isinstance(domain, Interval) else low
    return low + 1 if math.isfinite(low) else (high - 1 if math.isfinite(high) else 0.0)


def _nodes(
    domain: Set, values: Mapping[Symbol, Any], h: float, centre: float, width: float
) -> list[tuple[float, float]]:
    """Nodes and weights of a column."""
    if isinstance(domain, FiniteSet):
        return [(number_at(e, values), 1.0) for e in domain.args]
    low, high = bounds_at(domain, values)
    if isinstance(domain, Range):
        first, last = max(low, -60.0), min(high, 60.0 if h > 0.08 else 90.0)
        return [(first + k, 1.0) for k in range(int(last - first) + 1)]
    made = []
    for i in range(-round(4 / h), round(4 / h) + 1):
        t = (i + 0.31) * h
        s = math.pi / 2 * math.sinh(t)
        c = math.pi / 2 * math.cosh(t) * h
        if math.isinf(low) and math.isinf(high):
            if abs(s) < 25:
                made.append((centre + width * math.sinh(s), width * math.cosh(s) * c))
        elif math.isinf(high):
            made.append((low + math.exp(s), math.exp(s) * c))
        elif math.isinf(low):
            made.append((high - math.exp(s), math.exp(s) * c))
        else:
            share = 1 / (1 + math.exp(-2 * s))
            node = low + (high - low) * share
            if low < node < high:
                made.append((node, (high - low) * share * (1 - share) * 2 * c))
    return made
