"""What keeps the score from being tried, and what it leaves open."""

from __future__ import annotations

from typing import Any

import pytest
from sympy import (
    Abs,
    FiniteSet,
    Interval,
    Max,
    Piecewise,
    Range,
    Symbol,
    binomial,
    cos,
    exp,
    oo,
    pi,
    sqrt,
    symbols,
)

from symmle import Model, derive
from symmle.likelihood import build_likelihood
from symmle.strategies.obstacles import find_obstacle, moving_pieces

x = Symbol("x", real=True)
mu = Symbol("mu", real=True)
s, a, b, k = symbols("s a b k", positive=True)
n = Symbol("n", positive=True, integer=True)
SPLIT = sqrt(2 / pi) / (a + b)
y = x - mu


def model(density: Any, data: Any = x, **more: Any) -> Any:
    return Model(density, data=data, normalises=False, **more)


def huber(slope: Any) -> Any:
    near = y**2 / (2 * s**2)
    far = slope * Abs(y) / s - slope**2 / 2
    return exp(-Piecewise((near, Abs(y) <= slope * s), (far, True))) / s


@pytest.mark.parametrize(
    ("density", "data", "wanted"),
    [
        (exp(-(y**2) / 2), x, None),
        (
            Piecewise((SPLIT * exp(-(y**2) / (2 * a**2)), x < mu), (SPLIT * exp(-(y**2) / (2 * b**2)), True)),
            x,
            None,
        ),
        (
            Piecewise(
                (SPLIT * exp(-(y**2) / (2 * a**2)), x >= mu), (SPLIT * exp(-(y**2) / (2 * b**2)), True)
            ),
            x,
            None,
        ),
        (huber(2), x, None),
        (exp(-(Abs(y) ** 3)), x, None),
        (exp(-Abs(y) / s) / (2 * s), x, "kink"),
        (exp(-Max(y, 0) - (y**2)), x, "kink"),
        (Piecewise((exp(y / a) / (a + b), x < mu), (exp(-y / b) / (a + b), True)), x, "pieces"),
        (
            Piecewise((exp(-(y**2) / (2 * a**2)) / a, x < mu), (exp(-(y**2) / (2 * b**2)) / b, True)),
            x,
            "pieces",
        ),
        (exp(-y), {x: Interval(mu, oo)}, "edge"),
        (y * exp(-y / s) / s**2, {x: Interval.open(mu, oo)}, "edge"),
        ((1 + cos(pi * y / s)) / (2 * s), {x: Interval(mu - s, mu + s)}, "edge"),
        (
            Piecewise(((1 + mu * x / s) ** (-1 / mu - 1) / s, 1 + mu * x / s > 0), (0, True)),
            {x: Interval(0, oo)},
            "edge",
        ),
        (1 / n, {Symbol("x", integer=True): Range(1, n + 1)}, "space"),
    ],
)
def test_the_obstacle(density: Any, data: Any, wanted: Any) -> None:
    found = find_obstacle(build_likelihood(model(density, data).declaration))
    assert (None if found is None else found.id) == wanted
    if found is not None:
        assert str(found) == found.text and found.stops is (wanted != "edge")
        assert bool(found.edges) is (wanted == "edge")


def test_a_finite_space_is_an_obstacle() -> None:
    law = model(
        binomial(7, x) * a**x, {Symbol("x", integer=True): Range(0, 8)}, parameters={a: FiniteSet(1, 2)}
    )
    found = find_obstacle(build_likelihood(law.declaration))
    assert found is not None and found.id == "space"


def test_pieces_that_move() -> None:
    moving = Piecewise((SPLIT * exp(-(y**2) / (2 * a**2)), x < mu), (SPLIT * exp(-(y**2) / (2 * b**2)), True))
    still = Piecewise((a, x < 1), (1 - a, True))
    assert moving_pieces(build_likelihood(model(moving).declaration))
    assert not moving_pieces(
        build_likelihood(model(still, {x: Interval(0, 2)}, parameters={a: Interval.open(0, 1)}).declaration)
    )


def test_edges_are_marked_and_not_certified_by_what_ignores_them() -> None:
    law = model(k / s * (y / s) ** (k - 1) * exp(-((y / s) ** k)), {x: Interval.open(mu, oo)})
    estimator = derive(law).estimator
    assert [str(p) for p in estimator.edges] == ["mu"]
    assert not estimator.obstacle and estimator.remaining
    assert all(p.certificate is None for p in estimator.points)
    concave = derive(model(y * exp(-y / s) / s**2, {x: Interval.open(mu, oo)})).estimator
    certificate = concave.points[0].certificate
    assert concave.edges and certificate is not None and certificate.theorem == "concavity by composition"
