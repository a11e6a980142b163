"""log sum_j w_j f_j(x) row by row: responsibilities, the score and the Hessian of the observed likelihood.

With a_j = log w_j + log f_j, r_j = exp(a_j)/sum exp(a_l) and s_j = Da_j the observed log-likelihood has

    Dl = sum_i sum_j r_ij s_ij,   D2l = sum_i [sum_j r_ij (D2a_ij + s_ij s_ij') - s_i s_i'],   s_i = sum_j r_ij s_ij,

so that no logarithm of a sum is ever taken apart. Everything is summed in one pass over cache-sized blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Dummy, Expr, Float, S, Symbol

from symmle.algebra import GaveUp, attempt_within
from symmle.compiling.kernels import row_kernel, stable
from symmle.compiling.row_forms import _kept_apart, with_powers_as_exponentials
from symmle.compiling.row_sums import ROWS, _compiled
from symmle.latent.problem import Labelled
from symmle.likelihood import build_likelihood

Array = NDArray[Any]
LOG_OF_ZERO = -1e300  # times an indicator that is 0 it is 0
SECONDS = 4.0  # for the rewriting of one function
IMPOSSIBLE = -1e290  # what no sum of logarithms of densities reaches


class BranchLikelihood:
    """The branches of a labelled problem compiled for doubles: a_j, Da_j and D2a_j of a block of rows."""

    def __init__(self, problem: Labelled, parameters: Sequence[Symbol], constants: Sequence[Symbol]):
        self.problem = problem
        self.parameters, self.constants = tuple(parameters), tuple(constants)
        (part,) = problem.observed.samples
        self.columns: tuple[Symbol, ...] = part.all_columns
        self.size = len(problem.branches)
        self.pairs = list(itertools.combinations_with_replacement(range(len(self.parameters)), 2))
        joint = [self._log_joint(b.weight * b.density) for b in problem.branches]
        self.own = [[i for i, p in enumerate(self.parameters) if e.has(p)] for e in joint]
        # derivatives that are not 0, by branch: index or pair of indices
        self.slopes: list[list[int]] = []
        self.bends: list[list[tuple[int, int]]] = []
        wanted: list[Expr] = []
        counts = []
        for e, own in zip(joint, self.own, strict=True):
            first = {i: e.diff(self.parameters[i]) for i in own}
            second = {
                (i, j): first[i].diff(self.parameters[j])
                for i in own
                for j in own
                if j <= i and first[i].has(self.parameters[j])
            }
            first = {i: d for i, d in first.items() if d != 0}
            second = {ij: d for ij, d in second.items() if d != 0}
            self.slopes.append(list(first))
            self.bends.append(list(second))
            wanted += [e, *first.values(), *second.values()]
            counts.append((1, len(first), len(second)))
        self._counts = counts
        self._heights = _Blocks(joint, self.columns, self.parameters, self.constants)
        self._wanted = wanted
        self._all: _Blocks | None = None
        names = [*self.columns, *self.parameters, *self.constants]
        self._densities = row_kernel(names, [b.weight * b.density for b in problem.branches])

    @property
    def everything(self) -> _Blocks:
        if self._all is None:
            self._all = _Blocks(self._wanted, self.columns, self.parameters, self.constants)
        return self._all

    def _log_joint(self, joint: Expr) -> Expr:
        declaration = self.problem.observed
        (part,) = declaration.samples
        alone = replace(part, density=joint, components=())
        likelihood = build_likelihood(replace(declaration, samples=(alone,), latent={}))
        return likelihood.log_density[0].xreplace({S.ComplexInfinity: Float(LOG_OF_ZERO)})

    def sliced(self, block: Sequence[Any]) -> list[tuple[Any, list[Any], list[Any]]]:
        """The outputs of `everything` by branch: a_j, slopes, bends."""
        found, at = [], 0
        for _, first, second in self._counts:
            a = block[at]
            found.append(
                (
                    a,
                    list(block[at + 1 : at + 1 + first]),
                    list(block[at + 1 + first : at + 1 + first + second]),
                )
            )
            at += 1 + first + second
        return found

    def on(
        self,
        columns: Sequence[Array],
        weights: Array | None,
        constants: Sequence[float],
        known: Array | None = None,
    ) -> BranchesOnRows:
        return BranchesOnRows(self, columns, weights, constants, known)


def _stable_within(e: Expr) -> Expr:
    """The expression rewritten for doubles; as it is where the rewriting takes too long."""
    found = attempt_within(SECONDS, stable, e)
    return e if isinstance(found, GaveUp) else found


def _real(s: Symbol, name: str) -> Dummy:
    """A real number with the sign of s: of whole numbers SymPy writes log-gammas as logs of gammas, which overflow."""
    if s.is_positive or s.is_negative:
        return Dummy(name, positive=s.is_positive, negative=s.is_negative)
    return Dummy(name, real=True, nonnegative=s.is_nonnegative or None)


class _Blocks:
    """Several functions of columns and parameters; what is of data alone is computed once for a table."""

    def __init__(
        self,
        functions: Sequence[Expr],
        columns: Sequence[Symbol],
        parameters: Sequence[Symbol],
        constants: Sequence[Symbol],
    ):
        names = {s: _real(s, f"a{i}") for i, s in enumerate((*columns, *parameters, *constants))}
        data = {names[c] for c in columns}
        known = {names[p] for p in (*parameters, *constants)}
        bodies = [_stable_within(with_powers_as_exponentials(f).xreplace(names)) for f in functions]
        bodies, kept_names, kept = _kept_apart(bodies, data, known)
        ordered = [names[c] for c in columns]
        self.keeps = len(kept)
        self._keep = _compiled(ordered, kept) if kept else None
        self.call: Callable[..., Any] = _compiled(
            [*ordered, *kept_names, *(names[p] for p in (*parameters, *constants))], bodies
        )

    def keep(self, columns: Sequence[Array]) -> list[Array]:
        if self._keep is None:
            return []
        rows = len(columns[0])
        found = [np.empty(rows) for _ in range(self.keeps)]
        with np.errstate(all="ignore"):
            for low in range(0, rows, ROWS):
                block = self._keep(*(c[low : low + ROWS] for c in columns))
                for whole, part in zip(found, block, strict=True):
                    whole[low : low + ROWS] = part
        return found


class BranchesOnRows:
    """The branches on given rows.

    `known` holds for each row the place of its branch where the label is known, and -1 where it is not.
    `passes` counts the passes over the rows.
    """

    def __init__(
        self,
        model: BranchLikelihood,
        columns: Sequence[Array],
        weights: Array | None,
        constants: Sequence[float],
        known: Array | None = None,
    ):
        self.model, self.columns, self.weights = model, list(columns), weights
        self.constants = tuple(constants)
        self.known = known
        self.rows = len(columns[0])
        self.n = float(self.rows if weights is None else weights.sum())
        self.passes = 0
        self.statistics: dict[Symbol, Any] | None = {}  # of the M-step, those of data alone
        self._kept: dict[str, list[Array]] = {}

    # --- blocks ---

    def _keep(self, which: str, blocks: _Blocks) -> list[Array]:
        if which not in self._kept:
            self._kept[which] = blocks.keep(self.columns)
        return self._kept[which]

    def _settled(self, joint: Array, low: int, high: int, point: Sequence[float]) -> None:
        """Known labels, and the logarithm of the density itself where the opened one is no number, in place."""
        if np.isnan(joint).any():
            with np.errstate(all="ignore"):
                densities = self.model._densities(*(c[low:high] for c in self.columns), *point)
                for a, f in zip(joint, densities, strict=True):
                    bad = np.isnan(a)  # 0 log 0, say
                    a[bad] = np.log(np.broadcast_to(f, a.shape)[bad])
        if self.known is not None:
            known = self.known[low:high]
            for j, a in enumerate(joint):
                a[(known >= 0) & (known != j)] = -math.inf

    def _joint(self, low: int, high: int, theta: Sequence[float], out: Array) -> None:
        blocks = self.model._heights
        kept = self._keep("heights", blocks)
        point = _numbers(theta, self.constants)
        found = blocks.call(*(c[low:high] for c in self.columns), *(k[low:high] for k in kept), *point)
        for a, value in zip(out, found, strict=True):
            a[...] = value
        self._settled(out, low, high, point)

    def expectation(self, theta: Sequence[float], out: Array | None = None) -> tuple[float, Array]:
        """l(theta) and the responsibilities, one row a branch; l is nan where a row is impossible."""
        r = np.empty((self.model.size, self.rows)) if out is None else out
        parts = []
        with np.errstate(all="ignore"):
            for low in range(0, self.rows, ROWS):
                high = min(low + ROWS, self.rows)
                block = r[:, low:high]
                self._joint(low, high, theta, block)
                parts.append(_normalised(block, self._weights(low, high)))
        self.passes += 1
        return _total(parts), r

    def value(self, theta: Sequence[float]) -> float:
        """l(theta)."""
        parts = []
        block = np.empty((self.model.size, min(ROWS, self.rows)))
        with np.errstate(all="ignore"):
            for low in range(0, self.rows, ROWS):
                high = min(low + ROWS, self.rows)
                part = block[:, : high - low]
                self._joint(low, high, theta, part)
                parts.append(_normalised(part, self._weights(low, high)))
        self.passes += 1
        return _total(parts)

    def joint(self, theta: Sequence[float]) -> Array:
        """a_ij = log w_j f_j(x_i)."""
        found = np.empty((self.model.size, self.rows))
        with np.errstate(all="ignore"):
            for low in range(0, self.rows, ROWS):
                high = min(low + ROWS, self.rows)
                self._joint(low, high, theta, found[:, low:high])
        return found

    def row_heights(self, theta: Sequence[float]) -> Array:
        """log f(x_i)."""
        a = self.joint(theta)
        with np.errstate(all="ignore"):
            top = a.max(axis=0)
            found: Array = top + np.log(np.exp(a - top).sum(axis=0))
        return found

    # --- derivatives ---

    def derivatives(self, theta: Sequence[float]) -> tuple[float, Array, Array]:
        """l, its score and its Hessian at theta."""
        return self._summed(theta, None)

    def surrogate(self, theta: Sequence[float], r: Array) -> tuple[float, Array, Array]:
        """Q = sum_i sum_j r_ij a_ij(theta), its gradient and Hessian, for given responsibilities."""
        return self._summed(theta, r)

    def surrogate_value(self, theta: Sequence[float], r: Array) -> float:
        """Q(theta); rows that a branch does not hold add nothing."""
        parts = []
        block = np.empty((self.model.size, min(ROWS, self.rows)))
        with np.errstate(all="ignore"):
            for low in range(0, self.rows, ROWS):
                high = min(low + ROWS, self.rows)
                part = block[:, : high - low]
                self._joint(low, high, theta, part)
                parts.append(_expected(part, r[:, low:high], self._weights(low, high)))
        return _total(parts)

    def _summed(self, theta: Sequence[float], given: Array | None) -> tuple[float, Array, Array]:
        model, p = self.model, len(self.model.parameters)
        blocks = model.everything
        kept = self._keep("all", blocks)
        point = _numbers(theta, self.constants)
        heights = []
        gradient, hessian = np.zeros(p), np.zeros((p, p))
        with np.errstate(all="ignore"):
            for low in range(0, self.rows, ROWS):
                high = min(low + ROWS, self.rows)
                found = model.sliced(
                    blocks.call(*(c[low:high] for c in self.columns), *(k[low:high] for k in kept), *point)
                )
                a = np.empty((model.size, high - low))
                for row, (value, _, _) in zip(a, found, strict=True):
                    row[...] = value
                self._settled(a, low, high, point)
                w = self._weights(low, high)
                if given is None:
                    heights.append(_normalised(a, w))
                    r = a
                else:
                    r = given[:, low:high]
                    heights.append(_expected(a, r, w))
                mean: dict[int, Array] = {}
                for j in range(model.size):
                    rw = r[j] if w is None else r[j] * w
                    slopes = {i: _at(s, r[j]) for i, s in zip(model.slopes[j], found[j][1], strict=True)}
                    total = float(rw.sum())
                    for i, s in slopes.items():
                        gradient[i] += s * total if np.ndim(s) == 0 else _product(rw, s)
                    for (i, k), h in zip(model.bends[j], found[j][2], strict=True):
                        h = _at(h, r[j])
                        hessian[i, k] += h * total if np.ndim(h) == 0 else _product(rw, h)
                    if given is not None:
                        continue
                    for i, s in slopes.items():
                        weighted = rw * s
                        for k, other in slopes.items():
                            if k <= i:
                                hessian[i, k] += (
                                    other * float(weighted.sum())
                                    if np.ndim(other) == 0
                                    else _product(weighted, other)
                                )
                        part = weighted if w is None else r[j] * s
                        mean[i] = mean[i] + part if i in mean else part
                for i, s in mean.items():
                    weighted = s if w is None else s * w
                    for k, other in mean.items():
                        if k <= i:
                            hessian[i, k] -= _product(weighted, other)
        hessian += np.tril(hessian, -1).T
        self.passes += 1
        return _total(heights), gradient, hessian

    def _weights(self, low: int, high: int) -> Array | None:
        return None if self.weights is None else self.weights[low:high]


def _product(values: Array, others: Any) -> float:
    """sum_i v_i u_i; not by BLAS, whose threads wait for each other on columns of this length."""
    return float(np.einsum("i,i", values, others))


def _numbers(*groups: Sequence[float]) -> list[np.float64]:
    """NumPy's doubles, which divide by 0 without an exception."""
    return [np.float64(v) for group in groups for v in group]


def _at(values: Any, r: Array) -> Any:
    """Derivatives, 0 where the branch has no part in the row and they are no numbers."""
    if np.ndim(values) == 0:
        return float(values)
    if not math.isfinite(float(np.add.reduce(values))):
        return np.where((r == 0) & ~np.isfinite(values), 0.0, values)
    return values


def _normalised(a: Array, weights: Array | None) -> float:
    """sum w log sum_j exp(a_j); a becomes the responsibilities, in place."""
    top = a.max(axis=0)
    if not top.min() > IMPOSSIBLE:  # a row that no branch holds, or a nan
        return math.nan
    a -= top
    np.exp(a, out=a)
    total = a.sum(axis=0)
    a /= total
    np.log(total, out=total)
    total += top
    return float(total.sum() if weights is None else total @ weights)


def _expected(a: Array, r: Array, weights: Array | None) -> float:
    found = np.where(r > 0, r * a, 0.0).sum(axis=0)
    return float(found.sum() if weights is None else found @ weights)


def _total(parts: list[float]) -> float:
    try:
        return math.fsum(parts)
    except (OverflowError, ValueError):
        return math.nan


__all__ = ["BranchLikelihood", "BranchesOnRows"]
