"""Pictures of a fit: density over the data, distribution function, QQ, PP, and the log-likelihood near the maximum.

matplotlib draws them: the standard plotting library of scientific Python; an optional extra, loaded when asked for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symmle.errors import NotDerivedError
from symmle.fitting.plan import plan_of
from symmle.fitting.refits import Refits
from symmle.fitting.views import view_of

Array = NDArray[Any]
KINDS = ("density", "cdf", "qq", "pp", "likelihood")
INK, DATA = "#1f4e79", "#b0b7c3"
MOST_POINTS = 5000
LOWEST = 3.0  # below the maximum, where a profile ends


def plot(result: Any, kinds: Any = None, figure: Any = None) -> Any:
    """Draw a fit; returns the matplotlib figure.

    Parameters
    ----------
    kinds
        One or several of "density", "cdf", "qq", "pp", "likelihood"; by default all that the model allows.
    figure
        A matplotlib figure to draw into.

    Raises
    ------
    NotDerivedError
        matplotlib is not installed, or the model has none of these pictures.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise NotDerivedError(
            "Pictures need matplotlib, which is not installed. Install it: pip install 'symmle[plot]'."
        ) from problem
    asked = (kinds,) if isinstance(kinds, str) else tuple(kinds) if kinds is not None else _possible(result)
    for kind in asked:
        if kind not in KINDS:
            raise ValueError(f"Expected kinds among {', '.join(KINDS)}, got {kind!r}.")
    if not asked:
        raise NotDerivedError(
            f"{plan_of(result.derivation).name}: none of the pictures is defined for this model."
        )
    panels = sum(len(result.estimates) if kind == "likelihood" else 1 for kind in asked)
    across = min(panels, 2 if panels in (2, 4) else 3)
    down = math.ceil(panels / across)
    if figure is None:
        figure = Figure(figsize=(4.2 * across, 3.4 * down), layout="constrained")
    axes = iter(figure.subplots(down, across, squeeze=False).ravel())
    used = 0
    for kind in asked:
        if kind == "likelihood":
            for name in result.estimates:
                _likelihood(result, name, next(axes))
                used += 1
        else:
            {"density": _density, "cdf": _cdf, "qq": _qq, "pp": _pp}[kind](result, next(axes))
            used += 1
    for left in axes:
        left.set_visible(False)
    return figure


def _possible(result: Any) -> tuple[str, ...]:
    found: list[str] = []
    if result.distribution._alone:
        found += ["density", "cdf"] if result.distribution.discrete else ["density", "cdf", "qq", "pp"]
    try:
        _refits(result)
        found.append("likelihood")
    except NotDerivedError:
        pass
    return tuple(found)


def _refits(result: Any) -> Refits:
    return Refits(plan_of(result.derivation), _constants(result))


def _constants(result: Any) -> dict[Any, Any]:
    plan = plan_of(result.derivation)
    return {c: result.solution.values[c] for c in plan.declaration.constants if c in result.solution.values}


def _sample(result: Any) -> tuple[Array, Array, str]:
    """Sorted values, their cumulated share of the weight, and the name of the column."""
    plan = plan_of(result.derivation)
    column = plan.declaration.samples[0].columns[0]
    sample = result.table.samples[0]
    order = np.argsort(sample.columns[column], kind="stable")
    x = sample.columns[column][order]
    w = np.ones(len(x)) if sample.weights is None else sample.weights[order]
    return x, np.cumsum(w) / w.sum(), str(column)


def _density(result: Any, ax: Any) -> None:
    law, (x, share, name) = result.distribution, _sample(result)
    w = np.diff(np.concatenate([[0.0], share]))
    if law.discrete:
        members = np.arange(math.floor(x[0]) - 1, math.ceil(x[-1]) + 2)
        members = members[(members >= law.support()[0]) & (members <= law.support()[1])]
        observed = [float(w[x == m].sum()) for m in members]
        ax.bar(members, observed, width=0.8, color=DATA, label="data")
        ax.plot(members, law.pmf(members), "o-", color=INK, ms=4, lw=1, label="fit")
    else:
        low, high = float(law.ppf(0.002)), float(law.ppf(0.998))
        low, high = min(low, float(x[0])), max(high, float(x[-1]))
        shown = x[(x >= float(law.ppf(1e-4))) & (x <= float(law.ppf(1 - 1e-4)))] if len(x) > 50 else x
        low, high = (float(shown[0]), float(shown[-1])) if len(x) > 50 and len(shown) > 1 else (low, high)
        bins = int(np.clip(round(2 * len(x) ** (1 / 3)), 5, 80))
        ax.hist(x, bins=bins, range=(low, high), weights=w * bins / (high - low), color=DATA, label="data")
        grid = np.linspace(low, high, 400)
        ax.plot(grid, law.pdf(grid), color=INK, label="fit")
    ax.set(xlabel=name, ylabel="probability" if law.discrete else "density", title="Density")
    ax.legend(frameon=False)


def _cdf(result: Any, ax: Any) -> None:
    law, (x, share, name) = result.distribution, _sample(result)
    ax.step([x[0], *x], [0.0, *share], where="post", color=DATA, lw=2, label="data")
    if law.discrete:
        grid = np.arange(math.floor(x[0]) - 1, math.ceil(x[-1]) + 2)
        ax.step(grid, law.cdf(grid), where="post", color=INK, lw=1, label="fit")
    else:
        grid = np.linspace(x[0], x[-1], 400)
        ax.plot(grid, law.cdf(grid), color=INK, label="fit")
    ax.set(xlabel=name, ylabel="probability", title="Distribution function")
    ax.legend(frameon=False)


def _thin(size: int) -> Array:
    return np.unique(np.linspace(0, size - 1, min(size, MOST_POINTS)).astype(int))


def _qq(result: Any, ax: Any) -> None:
    law, (x, share, name) = result.distribution, _sample(result)
    kept = _thin(len(x))
    middle = share - np.diff(np.concatenate([[0.0], share])) / 2
    theory = law.ppf(middle[kept])
    ax.plot(theory, x[kept], "o", ms=3, color=INK, alpha=0.6)
    ends = [float(min(theory[0], x[0])), float(max(theory[-1], x[-1]))]
    ax.plot(ends, ends, color=DATA, lw=1)
    ax.set(xlabel="quantiles of the fit", ylabel=f"ordered {name}", title="Quantiles")


def _pp(result: Any, ax: Any) -> None:
    law, (x, share, _) = result.distribution, _sample(result)
    kept = _thin(len(x))
    middle = share - np.diff(np.concatenate([[0.0], share])) / 2
    ax.plot(law.cdf(x[kept]), middle[kept], "o", ms=3, color=INK, alpha=0.6)
    ax.plot([0, 1], [0, 1], color=DATA, lw=1)
    ax.set(xlabel="probability under the fit", ylabel="share of the data", title="Probabilities")


def _likelihood(result: Any, name: str, ax: Any) -> None:
    """The profile log-likelihood of a parameter, less its maximum, with the height of the 95 % interval."""
    view = view_of(result)
    if view is not None:
        result = view.result
    plan, refits = plan_of(result.derivation), _refits(result)
    parameter = next(p for p in plan.parameters if str(p) == name)
    rows = refits.rows_of(result.table)
    start = {p: float(result.solution.values[p]) for p in plan.parameters}
    errors = result.standard_errors
    spread = errors[name] if errors else 0.2 * (abs(start[parameter]) or 1.0)
    coordinate = refits.coordinates[parameter]  # a scale without ends, on which profiles are more symmetric
    centre = coordinate.at(start[parameter])
    step = spread / abs(coordinate.slopes(start[parameter])[0]) / 5
    top = refits.sums(rows, plan.parameters, {}).value([start[p] for p in plan.parameters])
    points: list[tuple[float, float]] = [(start[parameter], 0.0)]
    for side in (-1.0, 1.0):
        last = dict(start)
        for k in range(1, 41):
            value = coordinate.value(centre + side * step * k)
            if not coordinate.low < value < coordinate.high:
                break
            found = refits.maximum(rows, {**last, parameter: value}, (parameter,), 1e-5)
            if found is None:
                break
            last = found[0]
            points.append((value, found[1] - top))
            if found[1] - top < -LOWEST:
                break
    points.sort()
    values, heights = zip(*points, strict=True)
    shown = [v if view is None else view.value(name, v) for v in (*values, start[parameter])]
    ax.plot(shown[:-1], heights, color=INK)
    ax.axhline(-1.9207294103470, color=DATA, lw=1, ls="--")
    ax.axvline(shown[-1], color=DATA, lw=1)
    ax.set(xlabel=name, ylabel="log-likelihood less its maximum", title=f"Profile of {name}")
    ax.set_ylim(max(-LOWEST, min(h for _, h in points)), 0.3)


__all__ = ["KINDS", "plot"]
