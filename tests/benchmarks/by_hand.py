"""Maximum likelihood by NumPy programs written for one family each, with the reductions of the textbooks.

Each takes the columns and gives the estimates; `BARE` holds beside it one bare pass over the rows, the functions of
the log-likelihood summed once at given parameters. All work in blocks that stay in the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from benchmark_laws import Array, Columns, Estimates
from scipy.special import digamma, gammaln, polygamma

ROWS = 1 << 15  # of a block: buffers that are used again stay in the cache, and fewer calls are made
CLOSE = 1e-6  # relative step of Newton's method after which the error is that squared
STEPS = 60


def _blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    for low in range(0, len(arrays[0]), ROWS):
        yield tuple(a[low : low + ROWS] for a in arrays)


def _newton(slope: Callable[[float], tuple[float, float]], start: float) -> float:
    """The root of g by Newton's method in log k; g and g' come together."""
    k = start
    for _ in range(STEPS):
        g, dg = slope(k)
        step = g / (dg * k)
        k *= math.exp(-min(max(step, -2.0), 2.0))
        if abs(step) < CLOSE:
            break
    return k


def _onwards(k: float, at: float, s0: float, s1: float, s2: float) -> float:
    """A sum at k from the sum and its derivatives at the last place of Newton's method."""
    return s0 + (k - at) * (s1 + (k - at) * s2 / 2)


def _newton_two(
    slopes: Callable[[float, float], tuple[Array, Array]], u: float, v: float
) -> tuple[float, float]:
    """The root of two equations, v > 0; a step that would leave v's domain is cut."""
    for _ in range(STEPS):
        g, h = slopes(u, v)
        det = h[0] * h[2] - h[1] * h[1]
        du, dv = (h[2] * g[0] - h[1] * g[1]) / det, (h[0] * g[1] - h[1] * g[0]) / det
        share = min(1.0, 0.5 * v / dv) if dv > 0 else 1.0
        u, v = float(u - share * du), float(v - share * dv)
        if abs(du) + abs(dv) < CLOSE * v:
            break
    return u, v


def _shape_of_gamma(s: Array) -> Array:
    """log k - digamma(k) = s by Newton's method in 1/k (Minka 2002, Estimating a gamma distribution)."""
    k = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(STEPS):
        before = k
        k = 1 / (1 / k + (np.log(k) - digamma(k) - s) / (k**2 * (1 / k - polygamma(1, k))))
        if np.max(np.abs(k / before - 1)) < CLOSE:
            break
    return np.asarray(k)


def _log_sum(x: Array, function: Callable[..., Array] = np.log, sign: float = 1.0) -> float:
    buffer, total = np.empty(ROWS), 0.0
    for (b,) in _blocks(x):
        v = buffer[: len(b)]
        if sign < 0:
            np.negative(b, out=v)
            b = v
        total += function(b, out=v).sum()
    return total


def gamma(columns: Columns) -> Estimates:
    # beta = alpha/mean; log alpha - digamma(alpha) = log mean - mean of logs
    x = columns["x"]
    mean = x.mean()
    a = float(_shape_of_gamma(np.log(mean) - _log_sum(x) / len(x)))
    return {"a": a, "b": a / mean}


def gamma_by_group(columns: Columns) -> Estimates:
    x, g = columns["x"], columns["g"]
    first = np.concatenate([[0], np.flatnonzero(g[1:] != g[:-1]) + 1])
    n = np.diff(np.append(first, len(g)))
    mean = np.add.reduceat(x, first) / n
    a = _shape_of_gamma(np.log(mean) - np.add.reduceat(np.log(x), first) / n)
    return {"a": a, "b": a / mean}


def weibull(columns: Columns) -> Estimates:
    # sum x^k log x / sum x^k - 1/k - mean log x = 0, scale^k = mean x^k, on centred logarithms
    x = columns["x"]
    u = np.log(x)
    centre = u.mean()
    u -= centre
    buffer = np.empty(ROWS)
    at = (0.0, 0.0, 0.0, 0.0)

    def slope(k: float) -> tuple[float, float]:
        nonlocal at
        s0 = s1 = s2 = 0.0
        for (b,) in _blocks(u):
            v = np.multiply(b, k, out=buffer[: len(b)])
            s0 += np.exp(v, out=v).sum()
            s1 += float(v @ b)
            v *= b
            s2 += float(v @ b)
        at = (k, s0, s1, s2)
        return s1 / s0 - 1 / k, s2 / s0 - (s1 / s0) ** 2 + 1 / k**2

    k = _newton(slope, math.pi / math.sqrt(6 * float(u @ u) / len(u)))
    return {"k": k, "s": math.exp(centre) * (_onwards(k, *at) / len(x)) ** (1 / k)}


def beta(columns: Columns) -> Estimates:
    # digamma(a) - digamma(a + b) = mean log x, digamma(b) - digamma(a + b) = mean log(1 - x)
    x = columns["x"]
    n = len(x)
    ln, ln1 = _log_sum(x) / n, _log_sum(x, np.log1p, -1.0) / n
    mean, square = x.mean(), float(x @ x) / n
    total = mean * (1 - mean) / (square - mean**2) - 1
    a, b = mean * total, (1 - mean) * total
    for _ in range(STEPS):
        joint, bend = digamma(a + b), polygamma(1, a + b)
        g = (digamma(a) - joint - ln, digamma(b) - joint - ln1)
        haa, hbb = polygamma(1, a) - bend, polygamma(1, b) - bend
        det = haa * hbb - bend**2
        da, db = (hbb * g[0] + bend * g[1]) / det, (haa * g[1] + bend * g[0]) / det
        a, b = a - da, b - db
        if abs(da) + abs(db) < CLOSE * min(a, b):
            break
    return {"a": float(a), "b": float(b)}


def kumaraswamy(columns: Columns) -> Estimates:
    # b = -n/T, T = sum log(1 - x^a); n/a + sum log x - (b - 1) sum x^a log x/(1 - x^a) = 0
    x = columns["x"]
    n = len(x)
    y = np.log(x)
    ln = y.sum()
    two = np.empty((2, ROWS))
    at = (0.0, 0.0, 0.0, 0.0)

    def slope(a: float) -> tuple[float, float]:
        nonlocal at
        t = q = dq = 0.0
        for (part,) in _blocks(y):
            v, w = two[:, : len(part)]
            np.exp(np.multiply(part, a, out=v), out=v)
            np.subtract(1.0, v, out=w)
            np.divide(part, w, out=w)  # y/(1 - v)
            r = v @ w
            q += r
            w *= v
            w *= part  # y^2 v/(1 - v)
            np.subtract(1.0, v, out=v)
            dq += w @ (1 / v)
            t += np.log(v, out=v).sum()
        at = (a, t, -q, -dq)
        b, db = -n / t, -n * q / t**2
        return n / a + ln - (b - 1) * q, -n / a**2 - db * q - (b - 1) * dq

    a = _newton(slope, 1.0)
    return {"a": a, "b": -n / _onwards(a, *at)}


def gumbel(columns: Columns) -> Estimates:
    # s - mean + sum x e^(-x/s)/sum e^(-x/s) = 0, m = -s log mean e^(-x/s), on centred data
    x = columns["x"]
    centre = float(x.mean())
    s = math.sqrt(6 * (float(x @ x) / len(x) - centre**2)) / math.pi
    two = np.empty((2, ROWS))
    at = (0.0, 0.0, 0.0, 0.0)

    def slope(s: float) -> tuple[float, float]:
        nonlocal at
        s0 = s1 = s2 = 0.0
        for (b,) in _blocks(x):
            u, v = two[:, : len(b)]
            np.subtract(b, centre, out=u)
            np.exp(np.multiply(u, -1 / s, out=v), out=v)
            s0 += v.sum()
            s1 += v @ u
            v *= u
            s2 += v @ u
        at = (-1 / s, s0, s1, s2)
        return s + s1 / s0, 1 + (s2 / s0 - (s1 / s0) ** 2) / s**2

    s = _newton(slope, s)
    return {"m": centre - s * math.log(_onwards(-1 / s, *at) / len(x)), "s": s}


def logistic(columns: Columns) -> Estimates:
    # with z = (x - m)/s and t = tanh(z/2): sum t = 0, sum z t = n
    x = columns["x"]
    n, mean = len(x), float(x.mean())
    two = np.empty((3, ROWS))

    def slopes(m: float, s: float) -> tuple[Array, Array]:
        st = szt = sc = szc = szzc = 0.0
        for (b,) in _blocks(x):
            z, t, c = two[:, : len(b)]
            np.subtract(b, m, out=z)
            z *= 0.5 / s  # half of it
            np.tanh(z, out=t)
            st += t.sum()
            szt += 2 * (z @ t)
            np.multiply(t, t, out=c)
            np.subtract(1.0, c, out=c)
            sc += c.sum()
            szc += c @ z
            c *= z
            szzc += c @ z
        # slopes of t: (1 - t^2)/2
        sc, szc, szzc = sc / 2, szc, 2 * szzc
        g = np.array([st, szt - n]) / s
        return g, -np.array([sc, st + szc, 2 * szt - n + szzc]) / s**2

    m, s = _newton_two(slopes, mean, math.sqrt(3 * (float(x @ x) / n - mean**2)) / math.pi)
    return {"m": m, "s": s}


def inverse_gaussian(columns: Columns) -> Estimates:
    # lambda = 1/(mean of 1/x - 1/mean)
    x = columns["x"]
    mean, buffer, total = float(x.mean()), np.empty(ROWS), 0.0
    for (b,) in _blocks(x):
        total += np.divide(1.0, b, out=buffer[: len(b)]).sum()
    return {"m": mean, "lam": 1 / (total / len(x) - 1 / mean)}


def cauchy(columns: Columns) -> Estimates:
    # with w = 1/(1 + z^2): sum z w = 0, sum z^2 w = n/2
    x = columns["x"]
    n = len(x)
    low, middle, high = np.partition(x, (n // 4, n // 2, 3 * n // 4))[[n // 4, n // 2, 3 * n // 4]]
    three = np.empty((3, ROWS))

    def slopes(m: float, s: float) -> tuple[Array, Array]:
        w0 = w1 = v0 = v1 = 0.0
        for (b,) in _blocks(x):
            z, w, c = three[:, : len(b)]
            np.subtract(b, m, out=z)
            z /= s
            np.multiply(z, z, out=w)
            w += 1
            np.divide(1.0, w, out=w)
            w0 += w.sum()
            w1 += z @ w
            v0 += w @ w
            np.multiply(w, w, out=c)
            v1 += c @ z
        # z^2 w = 1 - w, d(z w)/dz = 2 w^2 - w, d(z^2 w)/dz = 2 z w^2
        g = np.array([2 * w1, n - 2 * w0]) / s
        return g, -np.array([2 * (2 * v0 - w0), 4 * v1, n + 2 * w0 - 4 * v0]) / s**2

    m, s = _newton_two(slopes, float(middle), float(high - low) / 2)
    return {"m": m, "s": s}


def negative_binomial(columns: Columns) -> Estimates:
    # p = r/(r + mean); sum_j #(x > j)/(r + j) + n log p = 0, on values and counts
    counts = np.bincount(columns["x"])
    n, values = int(counts.sum()), np.arange(len(counts))
    mean = float(counts @ values) / n
    variance = float(counts @ (values - mean) ** 2) / n
    above = n - np.cumsum(counts)

    def slope(r: float) -> tuple[float, float]:
        each = above / (r + values)
        return (
            float(each.sum()) + n * math.log(r / (r + mean)),
            -float((each / (r + values)).sum()) + n * mean / (r * (r + mean)),
        )

    r = _newton(slope, mean**2 / (variance - mean) if variance > mean else 10.0)
    return {"r": r, "p": r / (r + mean)}


BY_HAND: dict[str, Callable[[Columns], Estimates]] = {
    "gamma": gamma,
    "Weibull": weibull,
    "beta": beta,
    "Kumaraswamy": kumaraswamy,
    "Gumbel": gumbel,
    "logistic": logistic,
    "inverse Gaussian": inverse_gaussian,
    "Cauchy": cauchy,
    "negative binomial": negative_binomial,
    "gamma by group": gamma_by_group,
}


# --- one bare pass over the rows -------------------------------------------------------------------


def _bare(*steps: Callable[[Array, Array], Array]) -> Callable[[Columns], float]:
    """Each step turns the block and a buffer into what is summed."""

    def run(columns: Columns) -> float:
        buffer, total = np.empty(ROWS), 0.0
        for (b,) in _blocks(columns["x"]):
            for step in steps:
                total += step(b, buffer[: len(b)]).sum()
        return total

    return run


def _log(b: Array, v: Array) -> Array:
    return np.log(b, out=v)


def _one_minus(b: Array, v: Array) -> Array:
    return np.log1p(np.negative(b, out=v), out=v)


def _exp(b: Array, v: Array) -> Array:
    return np.exp(np.multiply(b, -0.6, out=v), out=v)


def _softplus(b: Array, v: Array) -> Array:
    return np.log1p(_exp(b, v), out=v)


def _power(b: Array, v: Array) -> Array:
    np.log(b, out=v)
    v *= 1.6
    return np.exp(v, out=v)


def _power_complement(b: Array, v: Array) -> Array:
    return np.log1p(np.negative(_power(b, v), out=v), out=v)


def _weibull_distribution(b: Array, v: Array) -> Array:
    np.negative(_power(b, v), out=v)
    return np.log(np.negative(np.expm1(v, out=v), out=v), out=v)


def _reciprocal(b: Array, v: Array) -> Array:
    return np.divide(1.0, b, out=v)


def _student(b: Array, v: Array) -> Array:
    return np.log1p(np.multiply(b, b, out=v), out=v)


def _values(b: Array, v: Array) -> Array:
    return b


def _gev(b: Array, v: Array) -> Array:
    v[:] = b
    v += 10.0
    np.log(np.abs(v, out=v), out=v)
    total = v.sum()
    v *= -6.0
    np.exp(v, out=v)
    v[0] += total
    return v


def _counted(columns: Columns) -> float:
    counts = np.bincount(columns["x"])
    return float(counts @ gammaln(np.arange(len(counts)) + 3.5))


BARE: dict[str, Callable[[Columns], float]] = {
    "gamma": _bare(_values, _log),
    "Weibull": _bare(_power),
    "beta": _bare(_log, _one_minus),
    "Kumaraswamy": _bare(_power_complement),
    "exponentiated Weibull": _bare(_weibull_distribution),
    "Gumbel": _bare(_exp),
    "logistic": _bare(_softplus),
    "inverse Gaussian": _bare(_values, _reciprocal),
    "GEV": _bare(_gev),
    "Student t": _bare(_student),
    "Cauchy": _bare(_student),
    "negative binomial": _counted,
    "gamma by group": _bare(_values, _log),
}

__all__ = ["BARE", "BY_HAND"]
