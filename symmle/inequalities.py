"""What every sample obeys: ranges of means, Jensen gaps, Cauchy-Schwarz, as encodings by free symbols.

A mean is opaque to the solver. Two encodings serve it. The first, `central`, writes second and higher
moments by central ones, Mean(t**2) = C + Mean(t)**2: the solver's answers come out in central moments.
The second, for signs only, writes every opaque symbol in free positive symbols, so that an inequality
becomes a sign of coefficients: Mean(t) = lo + u, a covariance matrix = L L', Mean(h(t)) = h(Mean(t)) + g
for convex h. A free symbol that may vanish on a degenerate sample carries the condition that excludes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sympy import (
    Abs,
    Add,
    Dummy,
    Expr,
    Gt,
    Lt,
    Piecewise,
    Pow,
    S,
    Symbol,
    Tuple,
    binomial,
    exp,
    expand,
    log,
    nan,
    oo,
    zoo,
)

from symmle.algebra import Bounds, Facts
from symmle.record import Condition
from symmle.sample import Count, Maximum, Mean, Minimum

LONG = 45  # operations from which a requirement is its own condition


def not_all_equal(expression: Expr, columns: Tuple) -> Condition:
    return Condition(
        Lt(Minimum(expression, columns), Maximum(expression, columns)), "not all equal", (expression,)
    )


def _not_all_zero(expression: Expr, columns: Tuple) -> Condition:
    return Condition(
        Gt(Maximum(Abs(expression), columns), 0, evaluate=False), "not all at the edge", (expression, S.Zero)
    )


def _sign_at(e: Expr, values: Mapping[Symbol, Expr], facts: Facts) -> int | None:
    """The sign of e when symbols take degenerate values; -1 where it is not defined, None open."""
    plain = facts.encode(e.xreplace(dict(values))).xreplace(dict(values))
    if plain.has(nan, zoo, oo, -oo):
        return -1
    return facts.decide_sign(plain)


class SampleFacts:
    """Opaque symbols for the means and counts that stand in some expressions, and their facts.

    Parameters
    ----------
    means : the Mean and Count operators that occur.
    data : ranges of the data columns and constants.
    given : conditioned columns; they come first in covariance matrices.
    """

    def __init__(self, means: Sequence[Expr], data: Facts, given: Sequence[Symbol] = ()):
        self.data = data
        self._made = 0
        self.given = set(given)
        self.opaque: dict[Expr, Expr] = {}  # operator -> symbol or central expression
        self.meaning: dict[Symbol, Expr] = {}  # opaque symbol -> expression in operators
        self.bounds: dict[Symbol, Bounds] = {}
        self.encoding: dict[Expr, Expr] = {}  # opaque symbol -> expression in free symbols
        # (symbol, its value on a degenerate sample, the condition that excludes it)
        self.degenerate: list[tuple[Symbol, Expr, Condition]] = []
        samples: dict[Tuple, list[Mean]] = {}
        for operator in means:
            if isinstance(operator, Count):
                self._new(operator, "n", positive=True, integer=True)
            elif isinstance(operator, Mean):
                samples.setdefault(operator.args[-1], []).append(operator)
            else:
                self._new(operator, "q", real=True)
        for columns, found in samples.items():
            self._sample(columns, found)

    def _new(self, operator: Expr, name: str, **assumptions: bool) -> Symbol:
        symbol = Dummy(f"{name}{len(self.opaque)}", **assumptions)  # names of their own: SymPy sorts by them
        self.opaque[operator] = symbol
        self.meaning[symbol] = operator
        return symbol

    def _free(self, name: str, **assumptions: bool) -> Symbol:
        self._made += 1
        return Dummy(f"{name}{self._made}", **assumptions)

    def _zero(self, symbol: Symbol, condition: Condition) -> None:
        self.degenerate.append((symbol, S.Zero, condition))

    # --- use ------------------------------------------------------------------------------------
    def hide(self, expression: Expr) -> Expr:
        """Operators replaced by opaque symbols (and central moments)."""
        return expression.xreplace(self.opaque)

    def show(self, expression: Expr) -> Expr:
        """Opaque symbols replaced by the operators that they stand for."""
        for _ in range(5):
            shown = expression.xreplace(self.meaning)
            if shown == expression:
                break
            expression = shown
        return expression

    def conditions_of(
        self, requirement: Expr, facts: Facts, whole: Condition | None = None, weak: bool = False
    ) -> tuple[Condition, ...]:
        """The conditions without which `requirement` > 0 may fail or not be defined.

        A degenerate value that alone does no harm asks for nothing; `whole` is the condition to give
        where several together do. A `weak` requirement may be zero (a closed end of a domain).
        """
        if whole is not None and requirement.count_ops() > LONG:
            return (whole,)
        needed: list[Condition] = []
        harmless: dict[Symbol, Expr] = {}
        together_matter = False
        for symbol, value, condition in self._degenerate_in(requirement):
            sign = _sign_at(requirement, {symbol: value}, facts)
            if sign == 1 or (weak and sign == 0):
                harmless[symbol] = value
            elif sign is None and whole is not None:
                together_matter = True  # a sum that may stay positive: only the whole decides
            elif condition not in needed:
                needed.append(condition)
        if whole is not None and (
            together_matter
            or (
                len(harmless) > 1 and _sign_at(requirement, harmless, facts) not in ((0, 1) if weak else (1,))
            )
        ):
            needed.append(whole)
        return tuple(needed)

    def _degenerate_in(self, e: Expr) -> list[tuple[Symbol, Expr, Condition]]:
        seen: set[Symbol] = set()
        todo = set(e.free_symbols)
        while todo:  # the order does not matter: the answer follows the order of `degenerate`
            symbol = todo.pop()
            if symbol not in seen:
                seen.add(symbol)
                todo |= self.encoding[symbol].free_symbols if symbol in self.encoding else set()
        return [d for d in self.degenerate if d[0] in seen]

    # --- one sample -----------------------------------------------------------------------------
    def _sample(self, columns: Tuple, means: list[Mean]) -> None:
        summands = {m.summand: m for m in means}
        done: set[Expr] = set()
        dependent = self._partition(columns, summands)
        if dependent is not None:
            last, others = dependent
            for t in others:
                self._by_range(t, summands[t], columns)
            # the indicators of a partition of the support sum to 1
            rest = S.One - Add(*(self.opaque[summands[t]] for t in others))
            symbol = self._by_range(last, summands[last], columns)
            self.opaque[summands[last]] = rest
            del self.meaning[symbol]
            done.update((last, *others))
        self._moments(columns, summands, done)
        self._weighted_moments(columns, summands, done)
        self._gaps(columns, summands, done)
        for t, operator in summands.items():
            if t not in done:
                self._by_range(t, operator, columns)

    def _partition(self, columns: Tuple, summands: Mapping[Expr, Mean]) -> tuple[Expr, list[Expr]] | None:
        """Indicators among the summands that sum to 1 on a finite support: (the last, the others)."""
        if len(columns.args) != 1:
            return None
        (x,) = columns.args
        members = self.data.members.get(x)
        indicators = [t for t in summands if isinstance(t, Piecewise)]
        if members is None or len(indicators) < 2:
            return None
        total = Add(*indicators)
        if any(total.xreplace({x: m}) != 1 for m in members):
            return None
        indicators.sort(key=str)
        return indicators[-1], indicators[:-1]

    def _by_range(self, t: Expr, operator: Expr, columns: Tuple) -> Symbol:
        r = self.data.range_of(t)
        if r is None or (r.lo == -oo and r.hi == oo):
            return self._new(operator, "W", real=True)
        if r.lo >= 0:
            symbol = self._new(operator, "W", positive=True)
        elif r.hi <= 0:
            symbol = self._new(operator, "W", negative=True)
        else:
            symbol = self._new(operator, "W", real=True)
        self.bounds[symbol] = Bounds(r.lo, r.hi, True, True)
        u = self._free("u", positive=True)
        if r.lo != -oo and r.hi != oo:
            self.encoding[symbol] = (r.lo + r.hi * u) / (1 + u)
        elif r.lo != -oo:
            self.encoding[symbol] = r.lo + u
        else:
            self.encoding[symbol] = r.hi - u
        if r.lo != -oo and not r.lo_open:
            above = Condition(Gt(Maximum(t, columns), r.lo, evaluate=False), "not all at the edge", (t, r.lo))
            self.degenerate.append((symbol, r.lo, above))
        if r.hi != oo and not r.hi_open:
            below = Condition(Lt(Minimum(t, columns), r.hi, evaluate=False), "not all at the edge", (t, r.hi))
            self.degenerate.append((symbol, r.hi, below))
        return symbol

    # --- second and higher moments ---------------------------------------------------------------
    def _moments(self, columns: Tuple, summands: Mapping[Expr, Mean], done: set[Expr]) -> None:
        atoms = [t for t in summands if _root_of_square(t) is None or t * t in summands]
        for t in summands:
            root = _root_of_square(t)
            if root is not None and root not in atoms:
                atoms.append(root)
        atoms = [a for a in atoms if a * a in summands]
        atoms.sort(key=lambda a: (bool(a.free_symbols - self.given), str(a)))
        groups = _connected(atoms, summands)
        for group in groups:
            centred = [a for a in group if a in summands]
            if centred == group:
                self._central_group(columns, summands, group, done)
            elif not centred:
                self._raw_group(columns, summands, group, done)

    def _weighted_moments(self, columns: Tuple, summands: Mapping[Expr, Mean], done: set[Expr]) -> None:
        """Cauchy-Schwarz: Mean(s) Mean(t) >= Mean(r)**2 where r**2 = s t, s and t nonnegative."""
        diagonal = [t for t in summands if t not in done and self._is_nonnegative(t)]
        if len(diagonal) < 2:
            return
        diagonal.sort(key=lambda t: (bool(t.free_symbols - self.given), str(t)))
        off: dict[tuple[int, int], Expr] = {}
        for i, s in enumerate(diagonal):
            for j, t in enumerate(diagonal[:i]):
                product = s * t
                for r in summands:
                    if r not in done and r not in (s, t) and r * r == product:
                        off[i, j] = r
        roots = set(off.values())
        rows = [i for i in range(len(diagonal)) if diagonal[i] not in roots]
        rows = [i for i in rows if any(i in key and set(key) <= set(rows) for key in off)]
        if len(rows) < 2:
            return
        matrix: dict[tuple[int, int], Symbol] = {}
        for a, i in enumerate(rows):
            matrix[a, a] = self._new(summands[diagonal[i]], "W", positive=True)
            done.add(diagonal[i])
            for b, j in enumerate(rows[:a]):
                if (i, j) in off and off[i, j] not in done:
                    matrix[a, b] = self._new(summands[off[i, j]], "W", real=True)
                    done.add(off[i, j])
        self._cholesky(matrix, [diagonal[i] for i in rows], columns, raw=True)

    def _is_nonnegative(self, t: Expr) -> bool:
        r = self.data.range_of(t)
        return r is not None and r.is_nonnegative

    def _central_group(
        self, columns: Tuple, summands: Mapping[Expr, Mean], group: list[Expr], done: set[Expr]
    ) -> None:
        mean = {a: self._by_range(a, summands[a], columns) for a in group}
        done.update(group)
        matrix: dict[tuple[int, int], Symbol] = {}
        for i, a in enumerate(group):
            for j, b in enumerate(group[: i + 1]):
                if a * b not in summands or a * b in done:
                    continue
                centred = (a - summands[a]) * (b - summands[b]) if i != j else (a - summands[a]) ** 2
                c = self._free("C", positive=True) if i == j else self._free("C", real=True)
                self.meaning[c] = Mean(centred, columns)
                self.opaque[summands[a * b]] = c + mean[a] * mean[b]
                matrix[i, j] = c
                done.add(a * b)
        for t in [t for t in summands if t not in group and t not in done]:
            for i, a in enumerate(group):
                if a * t in summands and a * t not in done:
                    m = self._by_range(t, summands[t], columns) if t not in done else self.opaque[summands[t]]
                    done.add(t)
                    c = self._free("C", real=True)
                    self.meaning[c] = Mean((a - summands[a]) * (t - summands[t]), columns)
                    self.opaque[summands[a * t]] = c + mean[group[i]] * m
                    done.add(a * t)
        self._cholesky(matrix, group, columns)
        if len(group) == 1:
            self._higher(columns, summands, group[0], mean[group[0]], matrix[0, 0], done)

    def _raw_group(
        self, columns: Tuple, summands: Mapping[Expr, Mean], group: list[Expr], done: set[Expr]
    ) -> None:
        matrix: dict[tuple[int, int], Symbol] = {}
        for i, a in enumerate(group):
            for j, b in enumerate(group[: i + 1]):
                if a * b in summands:
                    assumptions = {"positive": True} if i == j else {"real": True}
                    matrix[i, j] = self._new(summands[a * b], "W", **assumptions)
                    done.add(a * b)
        if len(group) > 1:
            self._cholesky(matrix, group, columns, raw=True)
        else:
            a = group[0]
            r = self.data.range_of(a * a)
            if r is None or not (r.lo == 0 and r.lo_open):
                self._zero(matrix[0, 0], _not_all_zero(a, columns))

    def _cholesky(
        self, matrix: Mapping[tuple[int, int], Symbol], group: list[Expr], columns: Tuple, raw: bool = False
    ) -> None:
        n = len(group)
        factor: dict[tuple[int, int], Expr] = {}
        for i in range(n):
            for j in range(i + 1):
                # a moment that does not occur is free, not zero
                factor[i, j] = self._free("d", positive=True) if i == j else self._free("b", real=True)
        for (i, j), symbol in matrix.items():
            self.encoding[symbol] = expand(sum(factor[i, k] * factor[j, k] for k in range(j + 1)))
        for i in range(n):
            d = factor[i, i]
            earlier = [k for k in range(i) if (i, k) in matrix]
            rows = [*earlier, i]
            if raw and not earlier:
                self._zero(d, _not_all_zero(group[i], columns))
            elif not earlier:
                self._zero(d, not_all_equal(group[i], columns))
            elif all((a, b) in matrix for a in rows for b in rows if b <= a):
                minor = self.show(_determinant(matrix, rows))
                reading = "not proportional" if raw else "not on a line"
                names = tuple(group[k] for k in (*earlier, i))
                self._zero(d, Condition(Gt(minor, 0, evaluate=False), reading, names))

    def _higher(
        self,
        columns: Tuple,
        summands: Mapping[Expr, Mean],
        t: Expr,
        mean: Symbol,
        c2: Symbol,
        done: set[Expr],
    ) -> None:
        """Mean(t**3), Mean(t**4) by central moments; C4 >= C2**2."""
        central: dict[int, Expr] = {0: S.One, 1: S.Zero, 2: c2}
        for k in (3, 4):
            if t**k not in summands or any(j not in central for j in range(k)):
                continue
            c = self._free("C", positive=True) if k == 4 else self._free("C", real=True)
            self.meaning[c] = Mean((t - summands[t]) ** k, columns)
            if k == 4:
                g = self._free("g", positive=True)
                self.encoding[c] = c2**2 + g
                # C4 = C2**2 also where the sample has two values in equal parts
                self._zero(g, not_all_equal((t - summands[t]) ** 2, columns))
            central[k] = c
            self.opaque[summands[t**k]] = sum(
                binomial(k, j) * central[j] * mean ** (k - j) for j in range(k + 1)
            )
            done.add(t**k)

    # --- Jensen ---------------------------------------------------------------------------------
    def _gaps(self, columns: Tuple, summands: Mapping[Expr, Mean], done: set[Expr]) -> None:
        """Mean(h(t)) = h(Mean(t)) + g with g > 0 for strictly convex h, for one base t a column."""
        for base in sorted(summands, key=lambda t: (t.count_ops(), str(t))):
            free = [s for s in base.free_symbols if s in columns.args]
            if base in done or len(free) != 1:
                continue
            inverse = _inverse(base, free[0])
            r = self.data.range_of(base)
            if inverse is None or r is None:
                continue
            s = Dummy("s", positive=True) if r.lo >= 0 else Dummy("s", real=True)
            facts = self.data.with_bounds({s: r})
            partners = [
                t
                for t in summands
                if t != base and t not in done and t.free_symbols & set(columns.args) == set(free)
            ]
            signs: dict[Expr, tuple[Expr, int]] = {}
            for t in partners:
                h = t.xreplace({free[0]: inverse(s)})
                h = (
                    expand(h)
                    if not h.has(log)
                    else h.replace(
                        lambda e: isinstance(e, log) and isinstance(e.args[0], exp),
                        lambda e: e.args[0].args[0],
                    )
                )
                second = h.diff(s, 2)
                sign = facts.decide_sign(second) if second.free_symbols - set(facts.bounds) <= {s} else None
                if sign in (1, -1):
                    signs[t] = (h.xreplace({s: S.One * s}), sign)
            if not signs:
                continue
            w = self._by_range(base, summands[base], columns)
            done.add(base)
            for t, (h, sign) in signs.items():
                symbol = self._by_range(t, summands[t], columns)
                g = self._free("g", positive=True)
                self.encoding[symbol] = h.xreplace({s: w}) + sign * g
                self._zero(g, not_all_equal(free[0], columns))
                done.add(t)


def _root_of_square(t: Expr) -> Expr | None:
    if isinstance(t, Pow) and t.exp.is_Integer and t.exp.is_even:
        return t.base ** (t.exp / 2)
    return None


def _connected(atoms: list[Expr], summands: Mapping[Expr, Mean]) -> list[list[Expr]]:
    groups: list[list[Expr]] = []
    for a in atoms:
        if any(a == b * b for b in atoms):
            continue  # t**2 beside t**4: higher moments of t
        joined = [g for g in groups if any(a * b in summands for b in g)]
        groups = [g for g in groups if g not in joined] + [[b for g in joined for b in g] + [a]]
    return groups


def _determinant(matrix: Mapping[tuple[int, int], Expr], rows: list[int]) -> Expr:
    from sympy import Matrix

    def entry(i: int, j: int) -> Expr:
        return matrix.get((max(i, j), min(i, j)), S.Zero)

    return Matrix(len(rows), len(rows), lambda i, j: entry(rows[i], rows[j])).det()


def _inverse(t: Expr, x: Symbol):  # type: ignore[no-untyped-def]
    """The inverse of t(x) for the monotone t that statistics are made of, else None."""
    if t == x:
        return lambda s: s
    if t == log(x):
        return exp
    if t == log(1 - x):
        return lambda s: 1 - exp(s)
    if isinstance(t, Pow) and t.base == x and not t.exp.has(x) and (x.is_positive or t.exp.is_odd):
        return lambda s: s ** (1 / t.exp)
    if t == exp(x):
        return log
    if t == exp(-x):
        return lambda s: -log(s)
    return None
