"""Densities that are 0 outside a region: the region becomes the support, or conditions on rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sympy import Eq, Interval, Piecewise, Symbol, exp, oo, symbols

from symmle import Model, derive, fit
from symmle.compiling.data import read_table
from symmle.errors import DataError
from symmle.fitting.plan import plan_of
from symmle.sampling import RandomPoints

x = Symbol("x", real=True)
u = Symbol("x", positive=True)
mu, xi = symbols("mu xi", real=True)
s, c = symbols("s c", positive=True)
PARETO = (1 + xi * u / s) ** (-1 / xi - 1) / s


def the_part(density: Any, data: Any) -> Any:
    return Model(density, data=data, normalises=False).samples[0]


@pytest.mark.parametrize(
    ("density", "data", "support"),
    [
        (Piecewise((exp(mu - x), x >= mu), (0, True)), x, Interval(mu, oo)),
        (Piecewise((exp(mu - x), x > mu), (0, True)), x, Interval.open(mu, oo)),
        (Piecewise((0, x < mu), (exp(mu - x), True)), x, Interval(mu, oo)),
        (Piecewise((1 / c, u <= c), (0, True)), u, Interval.Lopen(0, c)),
        (Piecewise((1 / s, (x >= mu) & (x <= mu + s)), (0, True)), x, Interval(mu, mu + s)),
        (exp(mu - x) * Piecewise((1, x >= mu), (0, True)), x, Interval(mu, oo)),
    ],
)
def test_a_bound_on_one_column_is_a_support(density: Any, data: Any, support: Any) -> None:
    part = the_part(density, data)
    assert list(part.support.values()) == [support]
    assert not part.inside and not part.density.has(Piecewise)


def test_other_conditions_stand_beside_the_density() -> None:
    part = the_part(Piecewise((PARETO, 1 + xi * u / s > 0), (0, True)), u)
    assert part.inside == (1 + xi * u / s,)
    assert part.density == PARETO
    assert part.with_indicator == Piecewise((PARETO, 1 + xi * u / s > 0), (0, True))


@pytest.mark.parametrize(
    "density",
    [
        Piecewise((exp(-u), xi > 0), (0, True)),  # a condition on parameters alone
        Piecewise((exp(-u) / 2, u < 1), (exp(-u), u < c), (0, True)),  # several branches
        Piecewise((exp(-u * s) * s, Eq(xi, 0)), (PARETO, True)),  # no zero
    ],
)
def test_what_stays_as_it_is(density: Any) -> None:
    part = the_part(density, u)
    assert part.density == density and not part.inside


def test_rows_are_drawn_inside_and_refused_outside() -> None:
    model = Model(Piecewise((PARETO, 1 + xi * u / s > 0), (0, True)), data=u)
    points = RandomPoints(model.declaration, 4)
    drawn = 0
    for _ in range(20):
        values = points.parameters(points.constants())
        assert values is not None
        rows = points.samples(values, 6)
        for value in [] if rows is None else next(iter(rows[0].columns.values())):
            by_name = {str(k): float(v) for k, v in values.items()}
            assert 1 + by_name["xi"] * float(value) / by_name["s"] > 0
            drawn += 1
    assert drawn > 30
    plan = plan_of(derive(model))
    table = read_table(model, [0.5, 2.0])
    by_name = {str(p): p for p in plan.parameters}
    inside = {by_name["s"]: 1.0, by_name["xi"]: -0.4}
    outside = {by_name["s"]: 1.0, by_name["xi"]: -0.6}
    assert not plan._outside_support(inside, table)
    assert "positive" in plan._outside_support(outside, table)


def test_a_condition_without_parameters_refuses_rows() -> None:
    y = Symbol("y", real=True)
    model = Model(
        Piecewise((s * exp(-s * x), x**2 - x > 0), (0, True)), data={x: Interval(0, oo)}, normalises=False
    )
    with pytest.raises(DataError, match="row 1"):
        fit(model, np.array([2.0, 0.5, 3.0]))
    assert y.name not in str(model)


def test_stored_models_keep_the_condition() -> None:
    from symmle.serialise import record_from_dict, record_to_dict

    declaration = Model(Piecewise((PARETO, 1 + xi * u / s > 0), (0, True)), data=u).declaration
    assert record_from_dict(record_to_dict(declaration)) == declaration
