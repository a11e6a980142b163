"""Newton's method where domains are closed: maxima inside, on a face, in a corner, as a bounded search has them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sympy import Interval, Rational, Symbol, symbols

from symmle import Model, derive
from symmle.compiling.data import read_table
from symmle.errors import NoMaximumError, NotConvergedError
from symmle.fitting.attained import attained
from symmle.fitting.newton import solve_several
from symmle.fitting.plan import Plan, plan_of

x = Symbol("x", real=True)
s, t = symbols("s t", real=True)
HALF = Rational(1, 2)
# 1 + t P1(x) + s P2(x) by Legendre's polynomials on [0, 1], positive inside the box: l is concave in (t, s)
DENSITY = 1 + t * (2 * x - 1) + s * (6 * x**2 - 6 * x + 1)
EVEN = np.linspace(0.01, 0.99, 40)
SAMPLES: dict[str, tuple[Any, bool]] = {  # rows, and whether the maximum is on the edge
    "inside": (EVEN, False),
    "inside, off-centre": (EVEN**1.1, False),
    "t at its upper end": (EVEN**0.5, True),
    "t at its lower end": (EVEN**2, True),
    "s at its upper end": (0.5 + 0.5 * np.sign(EVEN - 0.5) * np.abs(2 * EVEN - 1) ** 0.3, True),
    "s at its lower end": (0.5 + 0.5 * np.sign(EVEN - 0.5) * np.abs(2 * EVEN - 1) ** 3, True),
    "a corner": (0.9 + 0.1 * EVEN, True),
}


def searched(rows: Any) -> Any:
    """SciPy's bounded search on l."""

    def depth(at: Any) -> float:
        density = 1 + at[0] * (2 * rows - 1) + at[1] * (6 * rows**2 - 6 * rows + 1)
        return -float(np.sum(np.log(density))) if (density > 0).all() else 1e300

    box = [(-0.5, 0.5)] * 2
    return minimize(depth, [0.0, 0.0], method="L-BFGS-B", bounds=box, options={"ftol": 1e-15, "gtol": 1e-10})


@cache
def planned(closed: bool) -> Plan:
    box = Interval(-HALF, HALF) if closed else Interval.open(-HALF, HALF)
    return plan_of(derive(Model(DENSITY, data={x: Interval(0, 1)}, parameters={t: box, s: box})))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("closed", [True, False])
def test_the_maximum_of_a_box(name: str, closed: bool) -> None:
    rows, at_edge = SAMPLES[name]
    plan = planned(closed)
    table = read_table(plan.model, rows)
    if at_edge and not closed:  # the supremum is not attained
        with pytest.raises((NoMaximumError, NotConvergedError)):
            solve_several(plan, table, {})
        return
    found = solve_several(plan, table, {})
    wanted = searched(rows)
    assert found.boundary is at_edge and not found.unbounded
    assert [float(found.values[p]) for p in (t, s)] == pytest.approx(wanted.x, abs=1e-5)
    assert found.maxima[0][1] == pytest.approx(-wanted.fun, abs=1e-9)
    if at_edge:
        assert 0.5 in np.abs([float(found.values[p]) for p in (t, s)])


@pytest.mark.parametrize(
    ("closed", "above", "is_attained"), [(True, 0.0, True), (True, 1.0, False), (False, 0.0, False)]
)
def test_a_limit_at_closed_ends_is_attained(closed: bool, above: float, is_attained: bool) -> None:
    """What a way tends to inside the space is a maximum; not where the end is open, or l is lower there."""
    rows, _ = SAMPLES["t at its upper end"]
    plan, best = planned(closed), searched(rows)
    supremum = {"t": 0.5, "s": float(best.x[1]), "log_likelihood": -float(best.fun) + above}
    found = attained(plan, read_table(plan.model, rows), {}, NoMaximumError("", supremum=supremum))
    assert (found is not None) is is_attained
    if found is not None:
        assert found.boundary and float(found.values[t]) == 0.5
        assert float(found.values[s]) == pytest.approx(float(best.x[1]), abs=1e-5)
