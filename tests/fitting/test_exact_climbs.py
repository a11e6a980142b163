"""Climbs that doubles end too early, maxima behind dips, ways that are shown, and parameters that rows do not tell."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpmath import mp
from scipy import stats
from sympy import Expr, Interval, Rational, Symbol, erf, exp, log, oo, pi, sqrt, symbols

from symmle import Model, derive
from symmle.compiling.data import Table, read_table
from symmle.compiling.kernels import row_kernel
from symmle.compiling.rows import Care
from symmle.errors import NoMaximumError, NotConvergedError
from symmle.fitting.faces import _is_below
from symmle.fitting.limits import _leaves_the_space
from symmle.fitting.limits_identified import to_be_held
from symmle.fitting.newton import _way_without_bound
from symmle.fitting.newton_climbs import Climb, climb_from, spread
from symmle.fitting.newton_exact import continued
from symmle.fitting.newton_probes import probes
from symmle.fitting.plan import Plan, plan_of
from symmle.fitting.surface import Surface

x = Symbol("x", real=True)
y = Symbol("x", positive=True)
z = Symbol("z", real=True)
a, b, k, s, c = symbols("a b k s c", positive=True)
m = Symbol("m", real=True)
PHI = Rational(1, 2) + erf(z / sqrt(2)) / 2
REST = Rational(1, 2) - erf(z / sqrt(2)) / 2
EXPONENTIATED = PHI.subs(z, (x - m) / s) ** (a - 1) * a * exp(-(((x - m) / s) ** 2) / 2) / (s * sqrt(2 * pi))
ROWS = np.round(stats.norm.ppf((np.arange(1, 31) - 0.5) / 30) * 1.3 + 0.4, 3)
CORPUS = Path(__file__).parent.parent / "corpus" / "novel-4.toml"
(TWO_MAXIMA,) = (
    np.array(case["data"]["x"])
    for case in tomllib.loads(CORPUS.read_text())["case"]
    if case["id"] == "marshall-olkin-weibull"
)
POSITIVE = np.round(stats.weibull_min.ppf((np.arange(1, 31) - 0.5) / 30, 1.7) * 2.2, 3)


PLANS: dict[str, Plan] = {}


def planned(density: Expr, data: Any, **domains: Any) -> Plan:
    """The plan of a density, derived once."""
    key = f"{density} {data} {domains}"
    if key not in PLANS:
        PLANS[key] = plan_of(derive(Model(density, data=data, parameters=domains.get("parameters"))))
    return PLANS[key]


def surface_of(plan: Plan, rows: Any) -> Surface:
    table: Table = read_table(plan.model, rows)
    return Surface(plan, table, {})


# --- digits ---
@pytest.mark.parametrize(
    ("written", "true"),
    [
        (PHI**a, lambda z, a: mp.ncdf(z) ** a),
        (1 - PHI**a, lambda z, a: -mp.expm1(a * mp.log1p(-mp.erfc(z / mp.sqrt(2)) / 2))),
        (log(1 - PHI**a), lambda z, a: mp.log(-mp.expm1(a * mp.log1p(-mp.erfc(z / mp.sqrt(2)) / 2)))),
        (log(REST), lambda z, a: mp.log(mp.erfc(z / mp.sqrt(2)) / 2)),
        (REST**a, lambda z, a: (mp.erfc(z / mp.sqrt(2)) / 2) ** a),
        (exp(-(z**2) / 2) / REST, lambda z, a: mp.exp(-(z**2) / 2) / (mp.erfc(z / mp.sqrt(2)) / 2)),
        (1 + erf(z), lambda z, a: mp.erfc(-z)),
        (1 - erf(z), lambda z, a: mp.erfc(z)),
        (erf(z), lambda z, a: mp.erf(z)),
    ],
)
@pytest.mark.parametrize("at", [-9.0, -1.5, 0.3, 2.0, 9.0])
def test_normal_tails_keep_their_digits(written: Expr, true: Any, at: float) -> None:
    kernel = row_kernel([z, a], [written])
    with mp.workdps(60), np.errstate(all="ignore"):
        wanted = float(true(mp.mpf(at), mp.mpf(2.5)))
        found = float(np.ravel(kernel(np.array([at]), 2.5)[0])[0])
    assert found == pytest.approx(wanted, rel=1e-12)


def test_the_score_keeps_its_digits_far_out() -> None:
    """Proportional hazards of an exponentiated normal law: 1 - F**a is 1e-20 at the largest rows."""
    density = EXPONENTIATED * b * (1 - PHI.subs(z, (x - m) / s) ** a) ** (b - 1)
    plan = planned(density, {x: Interval(-oo, oo)})
    surface = surface_of(plan, ROWS)
    point = {"a": 158.0, "b": 0.05, "m": 0.0016, "s": 0.32}
    values = surface.values([point[str(p)] for p in plan.parameters])
    for compiled in (plan.score, plan.hessian):
        doubles = compiled.quick(surface.table, values, Care.DIRECT)
        exact = compiled.quick(surface.table, values, Care.EXACT)
        for one, other in zip(doubles, exact, strict=True):
            assert abs(one - other) <= 1e-5 * abs(other)


@pytest.mark.parametrize("point", [(0.7, 1.3, 2.0), (3.0, 0.4, 0.8)])
def test_the_score_as_it_is_computed_is_the_score(point: tuple[float, float, float]) -> None:
    density = a * k / s * (y / s) ** (k - 1) * exp(-((y / s) ** k)) * (1 - exp(-((y / s) ** k))) ** (a - 1)
    plan = planned(density, {y: Interval.open(0, oo)})
    surface = surface_of(plan, POSITIVE)
    values = surface.values(point)
    score = plan.derivation.score
    split = plan.compile([score.equations[p] for p in plan.parameters]).quick(
        surface.table, values, Care.EXACT
    )
    kept = plan.score.quick(surface.table, values, Care.EXACT)
    for one, other in zip(split, kept, strict=True):
        assert abs(one - other) <= 1e-30 * (1 + abs(one))


# --- climbs at 240 bits ---
WEIBULL = k / s * (y / s) ** (k - 1) * exp(-((y / s) ** k))
MARSHALL = a * WEIBULL / (1 - (1 - a) * exp(-((y / s) ** k))) ** 2


def test_a_halted_climb_goes_on() -> None:
    plan = planned(MARSHALL, {y: Interval.open(0, oo)})
    surface = surface_of(plan, POSITIVE[::3])
    assert plan.parameters == (a, k, s)
    start = np.array([0.9, 1.5, 2.0])
    top = climb_from(surface, start)
    halted = Climb(start, surface.height(start), False, 3)
    continued(surface, [halted])
    assert halted.converged and halted.height == pytest.approx(top.height, rel=1e-12)
    assert halted.theta == pytest.approx(top.theta, rel=1e-6)


def test_what_has_ended_stays() -> None:
    plan = planned(MARSHALL, {y: Interval.open(0, oo)})
    surface = surface_of(plan, POSITIVE)
    gone = Climb(np.array([1e30, 1.5, 2.0]), -1e5, False, 3, runs_away=0)
    nowhere = Climb(np.array([1.0, 1.5, 2.0]), -math.inf, False, 0)
    continued(surface, [gone, nowhere])
    assert not gone.converged and gone.theta[0] == 1e30 and not nowhere.converged


def test_starts_at_one_end_are_near_each_other() -> None:
    u = Symbol("u", real=True)
    density = 1 + u * (2 * y - 1)
    plan = planned(density, {y: Interval(0, 1)}, parameters={u: Interval.open(-1, 1)})
    surface = surface_of(plan, np.linspace(0.1, 0.9, 9))
    ends = [-1 + 2.0**-50, -1 + 2.0**-30]
    assert spread(surface, ends[:1], ends[1:]) < 1.0
    assert spread(surface, [-0.5], [0.5]) > 1.0


# --- behind a dip ---
def test_a_second_maximum_is_found_from_the_first() -> None:
    """Marshall and Olkin's Weibull law has a second maximum far out on this sample (at 240 bits, too)."""
    surface = surface_of(planned(MARSHALL, {y: Interval.open(0, oo)}), TWO_MAXIMA)
    top = climb_from(surface, np.array([0.14, 2.4, 3.8]))
    assert top.converged and top.height == pytest.approx(-141.37287971095606, abs=1e-9)
    found = [f for f in probes(surface, top) if f.converged]
    assert [f.height for f in found] == pytest.approx([-142.3401737296593], abs=1e-9)


def test_one_maximum_stays_alone() -> None:
    plan = planned(WEIBULL, {y: Interval.open(0, oo)})
    surface = surface_of(plan, POSITIVE)
    top = climb_from(surface, np.array([1.5, 2.0]))
    assert top.converged and probes(surface, top) == []


# --- what is said ---
def test_no_way_without_bound_is_made_up() -> None:
    plan = planned(MARSHALL, {y: Interval.open(0, oo)})
    surface = surface_of(plan, POSITIVE[::5])
    top = climb_from(surface, np.array([0.9, 1.5, 2.0]))
    high = Climb(top.theta * 1.01, top.height + 1e3, False, 0, runs_away=0)
    assert _way_without_bound(surface, high, top) == ""


@pytest.mark.parametrize(
    ("refusal", "best", "is_below"),
    [
        (NoMaximumError("", supremum={"log_likelihood": -5.0}), -4.0, True),
        (NoMaximumError("", supremum={"log_likelihood": -3.0}), -4.0, False),
        (NoMaximumError("", supremum={"log_likelihood": math.inf}), -4.0, False),
        (NoMaximumError(""), -4.0, False),
        # where climbs have halted is no supremum
        (NotConvergedError("", result={"log_likelihood": -5.0}), -4.0, False),
    ],
)
def test_what_bounds_a_face(refusal: Any, best: float, is_below: bool) -> None:
    assert _is_below(refusal, best) is is_below


@pytest.mark.parametrize(
    ("limits", "leaves"),
    [
        ({"k": 1.0, "s": 0.0}, True),
        ({"k": math.inf, "s": 1.0}, True),
        ({"k": 1.0, "s": 2.0}, False),
        ({}, False),
    ],
)
def test_which_limits_leave_the_space(limits: dict[str, float], leaves: bool) -> None:
    plan = planned(WEIBULL, {y: Interval.open(0, oo)})
    assert _leaves_the_space(plan, limits) is leaves


# --- what rows do not tell ---
@pytest.mark.parametrize(
    ("density", "data", "rows", "held"),
    [
        (WEIBULL, {y: Interval.open(0, oo)}, POSITIVE, []),
        (MARSHALL, {y: Interval.open(0, oo)}, POSITIVE, []),
        (exp(-((x - m) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), {x: Interval(-oo, oo)}, ROWS, []),
        # c exp((x - m)/s): a straight line in (log c, m) that turns with s
        (c / s * exp((x - m) / s) * exp(-c * exp((x - m) / s)), {x: Interval(-oo, oo)}, ROWS, [c]),
        # a product
        (WEIBULL.subs(s, b * c), {y: Interval.open(0, oo)}, POSITIVE, [c]),
    ],
)
def test_parameters_that_have_to_be_held(density: Expr, data: Any, rows: Any, held: list[Symbol]) -> None:
    plan = planned(density, data)
    table = read_table(plan.model, rows)
    found = to_be_held(plan, table, {})
    assert len(found) == len(held) and (not held or found == held or found == [b])
