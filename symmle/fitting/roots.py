"""Roots of one equation: brackets from a scan, a root at full precision, and whether it is one."""

from __future__ import annotations

import math
from typing import Any

from scipy.optimize import brentq

from symmle.compiling.kernels import CONTEXT
from symmle.fitting.coordinates import scales_of
from symmle.fitting.profile import Profile


def brackets_of(signs: list[tuple[float, float]]) -> list[tuple[float, float]]:
    found = []
    for (left, a), (right, b) in zip(signs, signs[1:], strict=False):
        if a == 0:
            found.append((left, left))
        elif b != 0 and (a < 0) != (b < 0):  # a product of tiny numbers would be 0
            found.append((left, right))
    if signs[-1][1] == 0:
        found.append((signs[-1][0], signs[-1][0]))
    return found


def on_all_rows(
    full: Profile, left: float, right: float, low: float, high: float
) -> tuple[float, float] | None:
    """The bracket that a subsample gave, widened until the equation changes its sign on all rows."""
    for _ in range(40):
        below, above = full.equation(left), full.equation(right)
        if below == 0 or above == 0 or (below < 0) != (above < 0):
            return left, right
        width = (right - left) or abs(left) * 1e-3
        left = max(left - width, left - (left - low) / 2) if math.isfinite(low) else left - width
        right = min(right + width, right + (high - right) / 2) if math.isfinite(high) else right + width
    return None


def root_in(full: Profile, left: float, right: float) -> Any:
    """The root in a bracket at full precision, or None for a pole."""
    if left != right:
        ends = min(abs(full.equation(left)), abs(full.equation(right)))
        try:
            root = brentq(
                lambda t: _or_zero(full.equation(t)), left, right, xtol=1e-320, rtol=1e-14, maxiter=300
            )
        except (RuntimeError, ValueError):
            return None
        if not abs(full.equation(root)) <= max(ends, 1e-9):
            return None
    else:
        root = left
    theta = CONTEXT.mpf(root)
    step = abs(theta) * CONTEXT.mpf(2) ** -30 or CONTEXT.mpf(2) ** -60
    before, after = full.precise_equation(theta), full.precise_equation(theta + step)
    for _ in range(4):  # secant steps on the carefully evaluated equation
        slope = (after - before) / step
        if isinstance(slope, CONTEXT.mpc) or not CONTEXT.isfinite(slope) or slope == 0:
            break
        move = -before / slope
        if (
            abs(move) > CONTEXT.mpf("1e-3") * (abs(theta) + step)
            or not left <= theta + move <= right
            and left != right
        ):
            break
        other = full.precise_equation(theta + move)
        if isinstance(other, CONTEXT.mpc) or not CONTEXT.isfinite(other):
            break
        theta, step, after, before = theta + move, -move, before, other
        if move == 0 or abs(move) <= abs(theta) * CONTEXT.mpf(2) ** -56 or before == 0:
            break
    return theta


def settled(full: Profile, root: Any, low: float, high: float) -> Any:
    """The root where the carefully evaluated equation has opposite signs on its two sides; else None.

    Far out, where the equation tends to 0, rounding makes roots that are none. A root at 0 itself, which no
    relative step resolves, is looked at by the scales of the data.
    """
    widest = abs(root) * CONTEXT.mpf("1e-4")
    if low < 0 < high:
        widest = max(widest, CONTEXT.mpf(min(scales_of(full.table))) * CONTEXT.mpf("1e-8"))
    sides = []
    for side in (-1, 1):
        sign = _sign_beside(full, root, side, widest, low, high)
        if sign == 0:
            return None
        sides.append(sign)
    if sides[0] == sides[1]:
        return None
    if root != 0 and abs(root) < widest * CONTEXT.mpf("1e-4"):
        at_zero = full.careful_equation(CONTEXT.mpf(0), 0.1)
        if at_zero.finite and abs(at_zero.number) <= at_zero.error:
            return CONTEXT.mpf(0)
    return root


def _sign_beside(full: Profile, root: Any, side: int, widest: Any, low: float, high: float) -> int:
    """The sign of the equation beside a root, as near to it as rounding lets one see; 0 where it does not."""
    step = min(abs(root) * CONTEXT.mpf("1e-4") or widest * CONTEXT.mpf("1e-8"), widest)
    while step <= widest:
        theta = root + side * step
        if not low < theta < high:
            theta = root + side * step * CONTEXT.mpf("1e-8")
        value = full.careful_equation(theta, 0.1)
        if value.finite and value.error < abs(value.number) / 2:
            return 1 if value.number > 0 else -1
        step *= 1000
    return 0


def is_flat(full: Profile, signs: list[tuple[float, float]]) -> bool:
    """Whether the equation holds, up to rounding, wherever it has a value."""
    if max(abs(v) for _, v in signs) > 1e-6:
        return False
    points = [signs[k * (len(signs) - 1) // 6][0] for k in range(7)]
    for point in points:
        value = full.careful_equation(CONTEXT.mpf(point), 0.1)
        if value.finite and abs(value.number) > 4 * value.error:
            return False
    return True


def _or_zero(number: float) -> float:
    return 0.0 if math.isnan(number) else number
