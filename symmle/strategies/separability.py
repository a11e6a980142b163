"""Whether log f can be sum c_k(phi) t_k(x) while psi is held: the rank of a table of numbers says where it cannot.

    log f(x_i; phi_j, psi) - log f(x_i; phi_0, psi),  i, j = 1 ... 9

has no more independent columns than there are statistics t_k. Where all nine are independent nobody eliminates
phi: its score holds data and parameters together, however it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
from sympy import Expr, Range, Set, Symbol

from symmle.algebra import Rows, compile_expression, ends_of_range
from symmle.likelihood import Likelihood
from symmle.sample import Mean
from symmle.sampling import RandomPoints, Values, as_numbers

SIZE = 9  # statistics beyond which nothing is solved by hand
STARTS = 3
DIGITS = 150
ZERO = mpmath.mpf(10) ** -80  # of the largest entry: a pivot that rounding made


class Separability:
    """The tables of one likelihood: `rules_out(held)` for an expression held, in the parameters."""

    def __init__(self, likelihood: Likelihood, seed: int = 17):
        self.likelihood = likelihood
        self.stream = RandomPoints(likelihood.declaration, seed)
        self.logs = [compile_expression(Mean(form.opened, form.columns)) for form in likelihood.forms]
        self.constants = self.stream.constants()
        self.starts = [self.stream.parameters(self.constants) for _ in range(STARTS)]
        self.rows = [self._distinct_rows(start) for start in self.starts]

    def _distinct_rows(self, start: Values | None) -> list[list[Rows]]:
        """SIZE different rows of every sample, one at a time; a law of few values has fewer."""
        drawn = None if start is None else self.stream.samples(start, rows=SIZE)
        if drawn is None:
            return []
        found = []
        for part, sample in zip(self.likelihood.declaration.samples, drawn, strict=True):
            columns = {c: _spread(part.support.get(c), v) for c, v in sample.columns.items()}
            rows = dict.fromkeys(zip(*columns.values(), strict=True))
            found.append([Rows({c: [v] for c, v in zip(columns, row, strict=True)}, [1]) for row in rows])
        return found

    def rules_out(self, held: Expr, moved: Symbol, back: Expr, name: Symbol) -> bool:
        """Whether the rest cannot be eliminated while `held` is: `moved` follows from name = held by `back`.

        One value of what is held is enough; at some the tails lose all digits.
        """
        return any(
            start is not None and self._rules_out_at(held.xreplace(start), rows, moved, back, name)
            for start, rows in zip(self.starts, self.rows, strict=True)
        )

    def _rules_out_at(
        self, level: Expr, rows: list[list[Rows]], moved: Symbol, back: Expr, name: Symbol
    ) -> bool:
        if not any(len(of_sample) == SIZE for of_sample in rows):
            return False
        domain, at_level = self.likelihood.declaration.parameters[moved], back.xreplace({name: level})
        points: list[Values] = []
        for _ in range(4 * SIZE):
            drawn = self.stream.parameters(self.constants)
            if drawn is None:
                return False
            drawn[moved] = at_level.xreplace(drawn)
            if domain.contains(drawn[moved]) == True:  # noqa: E712 - a SymPy truth value
                points.append(as_numbers(drawn))
            if len(points) > SIZE:
                break
        else:
            return False
        with mpmath.workdps(DIGITS):
            return any(
                self._is_full(log_density, of_sample, points)
                for log_density, of_sample in zip(self.logs, rows, strict=True)
                if len(of_sample) == SIZE
            )

    def _is_full(self, log_density: Any, rows: list[Rows], points: list[Values]) -> bool:
        """Whether SIZE rows are independent; those in a tail where all digits are lost say nothing."""
        table: list[list[Any]] = []
        for row in rows:
            try:
                values = [log_density(at, [row]) for at in points]
            except (ArithmeticError, ValueError, TypeError):
                continue
            if any(isinstance(v, mpmath.mpc) or not mpmath.isfinite(v) for v in values):
                continue
            table.append([v - values[0] for v in values[1:]])
            if len(table) == SIZE:
                return has_full_rank(table)
        return False


def _spread(support: Set | None, values: Sequence[Any]) -> Sequence[Any]:
    """Whole numbers of an endless support, most of them in the tail, by numbers between: formulas do not mind."""
    if not isinstance(support, Range) or support.is_finite_set is not False:
        return values
    low, _ = ends_of_range(support)
    if not low.is_Integer:
        return values
    return [mpmath.mpf(int(low)) + (i + mpmath.mpf(1) / 2) * 4 / SIZE for i in range(SIZE)]


def has_full_rank(table: list[list[Any]]) -> bool:
    """Whether no pivot of a square table vanishes, the largest entry being taken each time."""
    table = [list(row) for row in table]
    first = None
    while table:
        i, j = max(
            ((i, j) for i in range(len(table)) for j in range(len(table))),
            key=lambda ij: abs(table[ij[0]][ij[1]]),
        )
        pivot = table[i][j]
        first = abs(pivot) if first is None else first
        if abs(pivot) <= ZERO * first:
            return False
        row = table.pop(i)
        table = [[v - r[j] / pivot * row[c] for c, v in enumerate(r) if c != j] for r in table]
    return True


__all__ = ["Separability", "has_full_rank"]
