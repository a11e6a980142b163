"""What stands in the samples of the M-step, written on the one table of the data with its responsibilities.

Total over the sample of branch j is sum_i r_ij t(x_i), its Count sum_i r_ij; the mean of label j is
sum_i r_ij / n. Medians and quantiles are those with weights r_ij.
"""

from __future__ import annotations

import time
from dataclasses import replace

from sympy import (
    Add,
    Expr,
    Mul,
    Pow,
    Rational,
    Symbol,
    Tuple,
    cancel,
    factor_terms,
    log,
    preorder_traversal,
    together,
)

from symmle.algebra import GaveUp, attempt_within
from symmle.latent.mstep import Solve
from symmle.latent.problem import Branch, Conditional, Labelled
from symmle.latent.structure import unused_name, where_positive
from symmle.likelihood import facts_of
from symmle.logarithm import open_logarithm
from symmle.reduction import hold_fixed
from symmle.sample import (
    Count,
    LinearStatistic,
    Mean,
    Median,
    Quantile,
    SampleOperator,
    Total,
    WeightedQuantile,
    statistics_of,
)

SHORT = 16  # nodes; a longer update is said by the new values of other parameters where that is shorter


LONG = 1.0  # seconds


class NotWritten(ValueError):
    """A statistic that has no weighted form."""


class Table:
    """The columns of the data and one of responsibilities for each branch."""

    def __init__(self, em: Labelled, letters: str = "rq"):
        (part,) = em.observed.samples
        taken = {s.name[0] for s in (*part.all_columns, *em.observed.parameters, *em.observed.constants)}
        letter = next((c for c in letters if c not in taken), letters[0])
        names = {s.name for s in (*part.all_columns, *em.observed.parameters, *em.observed.constants)}
        self.em = em
        self.shares = tuple(
            Symbol(unused_name(f"{letter}_{j}", names), positive=True) for j in range(1, len(em.branches) + 1)
        )
        self.columns = Tuple(*part.all_columns, *self.shares)
        self.back = {copy: x for b in em.branches for x, copy in b.columns.items()}

    def write(self, e: Expr) -> Expr:
        """An expression in the operators of the M-step's samples, on this table."""
        found = {o: self._operator(o) for o in statistics_of(e)}
        return e.xreplace(found)

    def _branch_of(self, columns: tuple[Symbol, ...]) -> int | None:
        """Which branch a sample is of; None for the labels."""
        for j, b in enumerate(self.em.branches):
            if columns[0] in b.columns.values():
                return j
        return None

    def _operator(self, o: SampleOperator) -> Expr:
        j = self._branch_of(o.columns)
        if j is None:
            return self._of_labels(o)
        r = self.shares[j]
        if isinstance(o, Count):
            return Total(r, self.columns)
        inner = self.write(o.args[0]).xreplace(self.back)  # type: ignore[arg-type]
        if isinstance(o, Total):
            return Total(r * inner, self.columns)
        if isinstance(o, Mean):
            return Total(r * inner, self.columns) / Total(r, self.columns)
        if isinstance(o, Median):
            return WeightedQuantile(inner, r, Rational(1, 2), self.columns)
        if isinstance(o, Quantile):
            return WeightedQuantile(inner, r, o.probability, self.columns)
        raise NotWritten(f"{o} has no weighted form")

    def _of_labels(self, o: SampleOperator) -> Expr:
        if isinstance(o, Count):
            return Count(self.columns)
        if isinstance(o, LinearStatistic):
            inner = o.summand.xreplace(dict(zip(self.em.indicators, self.shares, strict=True)))
            return type(o)(inner, self.columns)
        raise NotWritten(f"{o} has no weighted form")

    def with_size(self, e: Expr) -> Expr:
        """sum_j sum_i r_ij = n."""
        totals = [Total(r, self.columns) for r in self.shares]

        def gathered(node: Expr) -> Expr:
            shares = [node.coeff(t) for t in totals]
            if shares[0] == 0 or len(set(shares)) > 1:
                return node
            return node - shares[0] * Add(*totals) + shares[0] * Count(self.columns)

        return e.replace(lambda n: isinstance(n, Add), gathered)

    @property
    def expected(self) -> Expr:
        """sum_i sum_j r_ij (log w_j + log f_j(x_i)), a term for each weight and each branch."""
        facts = facts_of(self.em.observed)
        terms: list[Expr] = []
        for b, r in zip(self.em.branches, self.shares, strict=True):
            terms += [Total(r * t, self.columns) for t in _opened(b, facts)]
        return Add(*terms)


def _opened(branch: Branch, facts: object) -> list[Expr]:
    """log w_j and log f_j, where they are not 0."""
    density = where_positive(branch.density)
    found = [log(branch.weight)] if branch.weight != 1 else []
    if density != 1:
        found.append(open_logarithm(density, facts))  # type: ignore[arg-type]
    return [t for t in found if t != 0]


def responsibilities(em: Labelled) -> tuple[Expr, ...]:
    """r_j = w_j f_j / sum_k w_k f_k."""
    total = Add(*(b.weight * b.density for b in em.branches))
    return tuple(b.weight * b.density / total for b in em.branches)


def updates(em: Labelled | Conditional, solve: Solve) -> dict[Symbol, Expr]:
    """The closed M-step on the table of the data, one parameter after the other.

    An update may name parameters that stand before it: their new values. What has no weighted form is
    left out.
    """
    table = Table(em) if isinstance(em, Labelled) else None
    plain = dict(em.estimator.closed)
    found: dict[Symbol, Expr] = {}
    patient = True
    for p in sorted(plain, key=lambda p: _size(plain[p])):
        e = plain[p]
        known = {plain[q]: q for q in found if plain[q].has(SampleOperator)}
        shorter = e.xreplace(known)
        if _size(shorter) > SHORT and _is_knotted(shorter):
            started = time.process_time()
            again = _given_the_others(p, shorter, em, set(found), solve) if patient else shorter
            # where one is long sought in vain, so are the others
            patient = patient and (again != shorter or time.process_time() < started + LONG)
            shorter = again
        shorter = _without_signs(shorter)
        if table is None:
            found[p] = shorter
            continue
        written = attempt_within(2.0, table.write, shorter)
        if not isinstance(written, GaveUp):
            found[p] = _without_signs(table.with_size(_as_one_fraction(written)))
    return found


def _given_the_others(
    p: Symbol, e: Expr, em: Labelled | Conditional, before: set[Symbol], solve: Solve
) -> Expr:
    """The value of p that is largest where the others have their new values, where that says it in fewer words."""
    block = next(b.declaration for b in em.blocks if p in b.declaration.parameters)
    others = {q: None for q in block.parameters if q != p}
    if not others:
        return e
    held = hold_fixed(block, others)
    answer = solve(replace(held, samples=tuple(s for s in held.samples if s.density.has(p)))).estimator
    shorter = answer.closed.get(p) if not answer.remaining and not answer.alternatives else None
    if shorter is None or not shorter.free_symbols & set(block.parameters) <= before:
        return e
    return shorter if _size(shorter) < _size(e) else e


def _is_knotted(e: Expr) -> bool:
    """Whether statistics stand within statistics, or in powers: another parameter's value may be in them."""
    nested = any(o.summand.has(SampleOperator) for o in e.atoms(LinearStatistic))
    return nested or any(p.exp not in (1, -1) and p.has(LinearStatistic) for p in e.atoms(Pow))


def _size(e: Expr) -> int:
    """The number of nodes, those inside sample operators with the others."""
    return sum(1 for _ in preorder_traversal(e))


def _without_signs(e: Expr) -> Expr:
    """-Mean(a - y) -> Mean(y - a)."""

    def turned(node: Expr) -> Expr:
        if not node.could_extract_minus_sign():
            return node
        factors = list((-node).args) if isinstance(-node, Mul) else [-node]
        for place, f in enumerate(factors):
            if not isinstance(f, LinearStatistic):
                continue
            inside = list(Mul.make_args(f.summand))
            for k, inner in enumerate(inside):
                if isinstance(inner, Add):
                    inside[k] = Add(*(-t for t in inner.args))
                    factors[place] = f.func(Mul(*inside), f.args[-1])
                    return Mul(*factors)
        return node

    return e.replace(lambda n: isinstance(n, Mul), turned)


def _as_one_fraction(e: Expr) -> Expr:
    """sum r g/sum r stays; a sum of fractions over the same total is one fraction."""
    best = e
    for way in (together, cancel, factor_terms):
        answer = attempt_within(1.0, way, e)
        if not isinstance(answer, GaveUp) and _size(answer) < _size(best):
            best = answer
    return best


def left_over(em: Labelled | Conditional) -> tuple[tuple[Symbol, Expr], ...]:
    """The equations that the M-step leaves, on the table of the data."""
    pairs = [(q.parameter, q.expression) for q in em.estimator.remaining]
    if isinstance(em, Conditional):
        return tuple(pairs)
    table = Table(em)
    return tuple((p, table.write(e)) for p, e in pairs)


__all__ = ["NotWritten", "Table", "left_over", "responsibilities", "updates"]
