"""log M_k(s, z), M_k = int_z^oo t**(s - 1) exp(-t) log(t/z)**(k - 1)/(k - 1)! dt: the upper incomplete gamma function
and what its derivatives by the order are made of.

M_1 is Gamma(s, z), d M_k/ds = log(z) M_k + k M_{k+1}, and SymPy writes M_k as a Meijer G function. With t = z exp(u)
the integrand is a power of u times the exponential of s u - z exp(u), which is concave: Gauss's rule on both sides
of its mode, up to where it has fallen by exp(-45), gives doubles their digits. At 240 bits M_{k+1} is z**s/k! times
the k-th derivative of z**-s Gamma(s, z) by s.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sympy import Expr, Function, Integer, S, exp, meijerg, uppergamma

from symmle.compiling.derivatives import CONTEXT
from symmle.errors import NotDerivedError

Array = NDArray[Any]
FALL = 45.0  # below exp(-45) of the mode nothing counts
NODES = 40
WIDEST = 800.0  # exp(u) leaves the doubles before

log_upper_ = Function("symmle_log_upper", real=True)


def by_log_upper(node: Expr) -> Expr:
    """exp(log M_k) of an upper incomplete gamma function, or of the Meijer G function that is M_k.

    Raises
    ------
    NotDerivedError
        Another Meijer G function.
    """
    if isinstance(node, uppergamma):
        return exp(log_upper_(S.One, *node.args))  # type: ignore[no-any-return]
    found = _order_of(node)
    if found is None:
        raise NotDerivedError(f"The formula holds {node}, for which no numbers are built.")
    k, s = found
    z = node.args[-1]
    return exp(s * log_of(z) - z) if k == 0 else exp(log_upper_(Integer(k), s, z))  # type: ignore[no-any-return]


def log_of(z: Expr) -> Expr:
    from sympy import log

    return log(z)  # type: ignore[no-any-return]


def _order_of(node: meijerg) -> tuple[int, Expr] | None:
    """k and s of G with k ones below and k zeros and s above; equal ones of both rows cancel."""
    if node.an or node.bother:
        return None
    ones, zeros = list(node.aother), list(node.bm)
    for value in list(ones):
        if value in zeros:
            ones.remove(value)
            zeros.remove(value)
    k = len(ones)
    if any(value != 1 for value in ones) or len(zeros) != k + 1:
        return None
    for _ in range(k):
        if S.Zero not in zeros:
            return None
        zeros.remove(S.Zero)
    return k, zeros[0]


def rows(k: Any, s: Any, z: Any) -> Any:
    """log M_k(s, z) in doubles, for z > 0 (and z = 0 where k = 1)."""
    from scipy.special import gammaincc, gammaln

    k = int(k)
    with np.errstate(all="ignore"):
        shape = np.broadcast_shapes(np.shape(s), np.shape(z))
        s, z = (np.broadcast_to(np.asarray(v, dtype=float), shape).ravel() for v in (s, z))
        out = np.full(s.shape, np.nan)
        left = z > 0
        if k == 1:
            share = np.where((s > 0) & (z >= 0), gammaincc(np.abs(s), np.abs(z)), 0.0)
            known = share > 1e-200
            out[known] = np.log(share[known]) + gammaln(s[known])
            left &= ~known
        left &= np.isfinite(s) & np.isfinite(z)
        if left.any():
            out[left] = _by_quadrature(k, s[left], z[left])
        return out.reshape(shape)[()]


def _by_quadrature(k: int, s: Array, z: Array) -> Array:
    log_z = np.log(z)
    mode = np.maximum(np.where(s > 0, np.log(np.maximum(s, 1e-320)), -np.inf) - log_z, 0.0)
    width = np.exp(mode + log_z)  # z exp(mode): s, or z where the mode is at 0
    top = s * (mode + log_z) - width

    def fall(v: Array) -> Array:
        """log of the integrand at mode + v, against the mode."""
        return np.asarray(s * v - width * np.expm1(v))

    right = mode + _reach(lambda v: -fall(v))
    left = np.maximum(mode - _reach(lambda v: -fall(-v)), 0.0)
    bend = np.clip(-log_z, mode, right)  # where exp(-z exp(u)) begins to fall
    x, w = _rule()
    total = np.zeros(s.shape)
    for low, high in ((left, mode), (mode, bend), (bend, right)):
        half = (high - low) / 2
        u = ((low + high) / 2)[:, None] + half[:, None] * x
        v = u - mode[:, None]
        values = np.exp(s[:, None] * v - width[:, None] * np.expm1(v))
        if k > 1:
            values = values * u ** (k - 1)
        total += half * (values @ w)
    return np.asarray(top + np.log(total) - math.lgamma(k))


def _reach(depth: Any) -> Array:
    """How far an increasing function that is 0 at 0 stays below FALL, to a per cent, by bisection of the logarithm."""
    probe = depth(np.array(1e-14))
    low, high = np.full(probe.shape, math.log(1e-14)), np.full(probe.shape, math.log(WIDEST))
    for _ in range(24):
        middle = (low + high) / 2
        inside = depth(np.exp(middle)) < FALL
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.asarray(np.exp(high))


@lru_cache(maxsize=1)
def _rule() -> tuple[Array, Array]:
    x, w = np.polynomial.legendre.leggauss(NODES)
    return x, w


def scalar(k: Any, s: Any, z: Any) -> Any:
    """log M_k(s, z) at 240 bits."""
    c, k = CONTEXT, int(k)
    s, z = c.convert(s), c.convert(z)
    if k == 1:
        return c.log(c.gammainc(s, z))
    if not z > 0:
        return c.nan
    bent = c.diff(lambda t: z**-t * c.gammainc(t, z), s, k - 1)
    return s * c.log(z) + c.log(bent) - c.loggamma(k)
