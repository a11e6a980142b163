"""Slopes on either side of a kink, and what they prove of l in one parameter p, the others held fixed.

A row whose log density rises with slope a_i up to its kink v_i and falls with slope b_i after it gives

    dl/dp = sum_{v_i > p} a_i - sum_{v_i < p} b_i = sum_i a_i - sum_{v_i < p} (a_i + b_i)   between the kinks,

which falls at every kink and not in between: l is concave, and largest where the cumulated weight a_i + b_i of the
kinks passes the share sum a / sum (a + b) of all: at a (weighted) quantile of the v_i. A factor of all slopes that
is free of the row, positive, may depend on p: l is then affine between kinks in a monotone function of p.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import (
    Abs,
    Add,
    And,
    Expr,
    Gt,
    Max,
    Mul,
    Piecewise,
    Rational,
    S,
    Symbol,
    Tuple,
    cancel,
    simplify,
    together,
    true,
)

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.certify.kink_reading import RowKinks, sign_beside
from symmle.likelihood import Likelihood
from symmle.record import Condition
from symmle.sample import Maximum, Mean, Median, Total, WeightedQuantile

LONG = 120  # operations beyond which nothing shorter is sought


@dataclass(frozen=True)
class Slopes:
    """A row rises with slope common * left up to `place` and falls with slope common * right after it."""

    parameter: Symbol
    columns: Tuple
    place: Expr
    left: Expr
    right: Expr
    common: Expr  # free of the row, positive
    weight: Expr  # left + right but for a factor that is free of the row
    share: Expr
    conditions: tuple[Condition, ...] = ()

    @property
    def lower(self) -> Expr:
        """The least maximiser."""
        if self.share == Rational(1, 2) and not self.weight.free_symbols & set(self.columns.args):
            return Median(self.place, self.columns)
        return WeightedQuantile(self.place, self.weight, self.share, self.columns)

    @property
    def upper(self) -> Expr:
        """The greatest maximiser."""
        return -WeightedQuantile(-self.place, self.weight, 1 - self.share, self.columns)


def slopes_of(rows: RowKinks, p: Symbol, likelihood: Likelihood) -> Slopes | str:
    """The slopes of a row with one kink and affine branches, or why there is no closed form by them."""
    columns, facts = likelihood.forms[rows.sample].columns, likelihood.facts
    if len(rows.kinks) != 1:
        return f"a row has {len(rows.kinks)} kinks in {p}"
    (kink,) = rows.kinks
    above, below = _tidy(rows.above.diff(p)), _tidy(rows.below.diff(p))
    conditions: tuple[Condition, ...] = ()
    if kink.direction is None:
        assert kink.slope is not None
        c, d = _tidy(-above / kink.slope), _tidy(below / kink.slope)
        if facts.decide_sign(c) != 1 or facts.decide_sign(d) != 1:
            return f"the slopes beside the kink in {p} have no decided sign"
        size, total = Abs(kink.slope), _tidy(c + d) * Abs(kink.slope)
        if c == d:
            left = right = c * size
        else:  # the same factor stands before both, so that it leaves the share
            factor = _tidy(c + d).as_independent(*columns.args, as_Add=False)[0]
            c, d = (_tidy(e / factor) * kink.slope for e in (c, d))
            left, right = factor * Max(d, -c), factor * Max(c, -d)
        conditions = (
            Condition(
                Gt(Maximum(size, columns), 0, evaluate=False), "not all at the edge", (kink.slope, S.Zero)
            ),
        )
    else:
        left, right = (below, -above) if kink.direction == 1 else (above, -below)
        total = _tidy(left + right)
        if facts.decide_sign(total) != 1:
            return f"that the slope in {p} falls at the kink is not proved"
    separated = _common_factor(left, right, total, p, set(columns.args), facts)
    if separated is None:
        return f"between the kinks the log-likelihood is not affine in {p}"
    left, right, total, common = separated
    if kink.direction is not None:
        for side in (left, right):
            if facts.decide_sign(side) == 1:
                continue
            if side.free_symbols & set(likelihood.parameters):
                return f"that the log density rises up to the kink in {p} and falls after it is not proved"
            conditions += (Condition(Gt(Mean(side, columns), 0, evaluate=False)),)
    share = _tidy(left / total)
    if share.free_symbols & set(columns.args):
        share = _tidy(Mean(left, columns) / Mean(total.expand(), columns))
    weight = total.as_independent(*columns.args, as_Add=False)[1]
    if facts.decide_sign(weight) == -1:
        weight = -weight
    unknown = (share.free_symbols | weight.free_symbols) & set(likelihood.parameters)
    if unknown:
        return f"the share of the quantile depends on {', '.join(sorted(map(str, unknown)))}"
    return Slopes(p, columns, kink.place, left, right, common, weight, share, conditions)


def _tidy(e: Expr) -> Expr:
    """The shortest of some ways to write e."""
    forms = [e]
    for way in (lambda t: cancel(together(t)), simplify):
        if e.count_ops() > LONG:
            break
        made = attempt_within(1.0, way, e)
        if not isinstance(made, GaveUp):
            forms.append(made)
    return min(forms, key=lambda t: (t.count_ops(), str(t)))


def _common_factor(
    left: Expr, right: Expr, total: Expr, p: Symbol, columns: set[Symbol], facts: Facts
) -> tuple[Expr, Expr, Expr, Expr] | None:
    """Slopes free of p, and the positive factor, free of the row, that was taken out."""
    if p not in Tuple(left, right).free_symbols:
        return left, right, total, S.One
    common = Mul(*(f for f in Mul.make_args(total) if p in f.free_symbols))
    if common.free_symbols & columns or facts.decide_sign(common) != 1:
        return None
    left, right, total = (_tidy(e / common) for e in (left, right, total))
    return None if p in Tuple(left, right, total).free_symbols else (left, right, total, common)


def slope_between(found: tuple[RowKinks, ...], p: Symbol, likelihood: Likelihood) -> Expr:
    """dl/dp where every row has one: the slope of the branch on which each row is."""
    terms = []
    for rows in found:
        columns = likelihood.forms[rows.sample].columns
        pieces = []
        for signs, e in rows.branches:
            sides = (k.inner > 0 if s == 1 else k.inner < 0 for s, k in zip(signs, rows.kinks, strict=True))
            pieces.append((_tidy(e.diff(p)), And(*sides)))
        pieces[-1] = (pieces[-1][0], true)
        terms.append(Total(Piecewise(*pieces), columns))
    return Add(*terms)


# --- what is known where no quantile decides --------------------------------------------------------
def is_concave(found: tuple[RowKinks, ...], p: Symbol, likelihood: Likelihood) -> bool:
    """Whether every row is proved concave in p: each branch is, and the slope falls at the one kink."""
    for rows in found:
        if len(rows.kinks) > 1 and not all(_is_affine(e, p) for _, e in rows.branches):
            return False
        for signs, e in rows.branches:
            if not _has_sign(e.diff(p, 2), -1, rows, signs, p, likelihood):
                return False
        for k, kink in enumerate(rows.kinks):
            for signs, e in rows.branches:
                if signs[k] != 1:
                    continue
                other = dict(rows.branches)[(*signs[:k], -1, *signs[k + 1 :])]
                jump = (e - other).diff(p).xreplace({p: kink.place})  # from u < 0 to u > 0
                if kink.direction is None:
                    jump = _tidy(jump / kink.slope) if kink.slope is not None else S.Zero
                    falls = likelihood.facts.decide_sign(jump) == -1
                else:
                    falls = likelihood.facts.decide_sign(_tidy(jump)) in (-kink.direction, 0)
                if not falls:
                    return False
    return True


def _is_affine(e: Expr, p: Symbol) -> bool:
    return p not in _tidy(e.diff(p)).free_symbols


def is_convex_between(found: tuple[RowKinks, ...], p: Symbol, likelihood: Likelihood) -> bool:
    """Whether l is proved convex in p between neighbouring kinks, whatever the other parameters are."""
    return all(
        _has_sign(e.diff(p, 2), 1, rows, signs, p, likelihood) for rows in found for signs, e in rows.branches
    )


def is_monotone_between(found: tuple[RowKinks, ...], p: Symbol, likelihood: Likelihood) -> bool:
    """Whether all slopes have one factor in p, so that l is monotone between neighbouring kinks."""
    slopes = [_tidy(e.diff(p)) for rows in found for _, e in rows.branches]
    nonzero = [s for s in slopes if s != 0]
    if not nonzero:
        return False
    common = Mul(*(f for f in Mul.make_args(nonzero[0]) if p in f.free_symbols))
    columns = {c for form in likelihood.forms for c in form.columns.args}
    if common.free_symbols & columns or likelihood.facts.decide_sign(common) not in (1, -1):
        return False
    return all(p not in _tidy(s / common).free_symbols for s in nonzero)


def falls_outside(found: tuple[RowKinks, ...], p: Symbol, likelihood: Likelihood) -> tuple[bool, bool]:
    """Whether l is proved not to fall below the least kink, and not to rise above the greatest."""
    sides = []
    for side in (-1, 1):
        proved = True
        for rows in found:
            if any(k.direction is None for k in rows.kinks):
                (kink,) = rows.kinks if len(rows.kinks) == 1 else (None,)
                proved &= (
                    kink is not None
                    and kink.slope is not None
                    and all(
                        likelihood.facts.decide_sign(_tidy(s * e.diff(p) / kink.slope)) == -1
                        for (s,), e in rows.branches
                    )
                )
                continue
            signs = tuple(side * (k.direction or 0) for k in rows.kinks)
            e = dict(rows.branches)[signs]
            proved &= _has_sign(e.diff(p), -side, rows, signs, p, likelihood)
        sides.append(proved)
    return sides[0], sides[1]


def _has_sign(
    e: Expr, sign: int, rows: RowKinks, signs: tuple[int, ...], p: Symbol, likelihood: Likelihood
) -> bool:
    """Whether e has the sign, or is 0, on the branch."""
    e = _tidy(e)
    if e == 0:
        return True
    beside = list(zip(rows.kinks, signs, strict=True))
    columns = likelihood.declaration.samples[rows.sample].columns
    return sign_beside(e, beside, p, columns, likelihood.facts) == sign


__all__ = [
    "Slopes",
    "falls_outside",
    "is_concave",
    "is_convex_between",
    "is_monotone_between",
    "slope_between",
    "slopes_of",
]
