"""The checks of steps without a score: true steps hold, and each with one thing wrong fails."""

from __future__ import annotations

import pytest
from sympy import Ge, Gt, Integer, Interval, Le, Symbol, exp

from symmle import Model
from symmle.certify.competitors import never_beaten
from symmle.likelihood import build_likelihood
from symmle.record import Relation, Step
from symmle.sample import Count, Maximum, Mean, Minimum
from symmle.verification import Verifier

x, theta = Symbol("x", positive=True), Symbol("theta", positive=True)
y, mu = Symbol("y", real=True), Symbol("mu", real=True)
UNIFORM = Model(1 / theta, data={x: Interval(0, theta)})
SHIFTED = Model(exp(mu - y), data={y: Interval(mu, float("inf"))}, parameters={mu: Interval(-9, 9)})
X, Y = (x,), (y,)
STEPS = {
    "support": (
        UNIFORM,
        Step("support", (Le(x, theta),), (Ge(theta, Maximum(x, X)),), Relation.ALLOWED, (theta,)),
        Step("support", (Le(x, theta),), (Ge(theta, Minimum(x, X)),), Relation.ALLOWED, (theta,)),
    ),
    "open support": (
        SHIFTED,
        Step("support", (Ge(y, mu),), (Le(mu, Minimum(y, Y)),), Relation.ALLOWED, (mu,)),
        Step("support", (Ge(y, mu),), (Gt(mu, Minimum(y, Y) - 1),), Relation.ALLOWED, (mu,)),
    ),
    "sign": (
        UNIFORM,
        Step("monotone", (-Count(X) / theta,), (Integer(-1),), Relation.SIGN, (theta,)),
        Step("monotone", (-Count(X) / theta,), (Integer(1),), Relation.SIGN, (theta,)),
    ),
    "zero": (
        UNIFORM,
        Step("monotone", (theta - theta,), (Integer(0),), Relation.SIGN, (theta,)),
        Step("monotone", (1 / theta,), (Integer(0),), Relation.SIGN, (theta,)),
    ),
    "maximum": (
        UNIFORM,
        Step("edge", (), (Maximum(x, X),), Relation.MAXIMUM, (theta,)),
        Step("edge", (), (Maximum(x, X) * (1 + Integer(10) ** -6),), Relation.MAXIMUM, (theta,)),
    ),
    "maximum below the edge": (
        SHIFTED,
        Step("edge", (), (Minimum(y, Y),), Relation.MAXIMUM, (mu,)),
        Step("edge", (), (Mean(y, Y),), Relation.MAXIMUM, (mu,)),
    ),
}


@pytest.mark.parametrize("case", STEPS)
def test_a_true_step_holds_and_a_false_one_fails(case: str) -> None:
    model, true, false = STEPS[case]
    verifier = Verifier(model.declaration, build_likelihood(model.declaration))
    assert verifier.verify([true]).checks[0].holds is True, str(verifier.verify([true]))
    assert verifier.verify([false]).checks[0].holds is False


def test_a_supremum_is_no_maximum() -> None:
    model = Model(1 / theta, data={x: Interval.open(0, theta)})
    likelihood = build_likelihood(model.declaration)
    closed = {model.symbol("theta"): Maximum(model.symbol("x"), (model.symbol("x"),))}
    assert not never_beaten(likelihood, closed)[0]  # the indicator is 0 there
    assert never_beaten(likelihood, closed, attained=False)[0]
