"""Each way of solving: what it solves, with the equations it leaves, and the reason where it does not apply."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, special
from sympy import (
    Expr,
    Interval,
    Range,
    Symbol,
    besseli,
    cos,
    exp,
    factorial,
    gamma,
    log,
    oo,
    pi,
    sqrt,
    symbols,
)

from symmle import Model
from symmle.algebra import Rows, compile_expression
from symmle.likelihood import build_likelihood
from symmle.record import Relation
from symmle.sample import Mean, SampleOperator
from symmle.score import ScoreSystem
from symmle.strategies import strategies_for
from symmle.strategies.combination import Combination
from symmle.strategies.elimination import Elimination, Joint
from symmle.strategies.moments import Moments
from symmle.strategies.problem import Problem, Skipped, Solved, Strategy
from symmle.strategies.systems import solve_system
from symmle.verification import Verifier

x, a, b, c, d, k, s, lam = symbols("x a b c d k s lambda", positive=True)
y, mu = symbols("y mu", real=True)
m = Symbol("m", integer=True, nonnegative=True)

MODELS: dict[str, Model] = {
    "exponential": Model(lam * exp(-lam * x), data=x),
    "normal": Model(exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y),
    "inverse gaussian": Model(
        sqrt(lam / (2 * pi * x**3)) * exp(-lam * (x - a) ** 2 / (2 * a**2 * x)), data=x
    ),
    "gamma": Model(b**a * x ** (a - 1) * exp(-b * x) / gamma(a), data=x),
    "weibull": Model(k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), data=x),
    "gumbel": Model(exp(-(y - mu) / s - exp(-(y - mu) / s)) / s, data=y),
    "lomax": Model(a / b * (1 + x / b) ** (-a - 1), data=x),
    "generalised gamma": Model(c / b * (x / b) ** (d - 1) * exp(-((x / b) ** c)) / gamma(d / c), data=x),
    "benini": Model(
        exp(-a * log(x) - b * log(x) ** 2) * (a / x + 2 * b * log(x) / x), data={x: Interval(1, oo)}
    ),
    "lindley": Model(a**2 * (1 + x) * exp(-a * x) / (1 + a), data=x),
    "cauchy": Model(1 / (pi * s * (1 + ((y - mu) / s) ** 2)), data=y),
    "scale from two means": Model(exp(-((y - a) ** 2) / (2 * a**2)) / (a * sqrt(2 * pi)), data=y),
    "poisson": Model(a**m * exp(-a) / factorial(m), data={m: Range(0, oo)}),
    "von mises": Model(
        exp(k * cos(y - mu)) / (2 * pi * besseli(0, k)),
        data={y: Interval(-pi, pi)},
        parameters={mu: Interval.Lopen(-pi, pi), k: Interval.open(0, oo)},
    ),
}


def problem_of(name: str) -> Problem:
    likelihood = build_likelihood(MODELS[name].declaration)
    return Problem(likelihood, ScoreSystem(likelihood))


# strategy, model, parameters closed (None: skipped), remaining, word in the reason
TABLE: list[tuple[Strategy, str, set[str] | None, set[str], str]] = [
    (Moments(), "exponential", {"lambda"}, set(), ""),
    (Moments(), "normal", {"mu", "s"}, set(), ""),
    (Moments(), "inverse gaussian", {"a", "lambda"}, set(), ""),
    (Moments(), "poisson", {"a"}, set(), ""),
    (Moments(), "gamma", None, set(), "expected = observed"),
    (Moments(), "weibull", None, set(), "no exponential family"),
    (Moments(), "scale from two means", None, set(), "2 statistics for 1"),
    (Joint(), "normal", {"mu", "s"}, set(), ""),
    (Joint(), "lindley", {"a"}, set(), ""),
    (Joint(), "scale from two means", {"a"}, set(), ""),
    (Joint(), "weibull", None, set(), "holds data and"),
    (Joint(), "gamma", None, set(), "no rule inverts"),
    (Elimination(1), "gamma", {"b"}, {"a"}, ""),
    (Elimination(1), "weibull", {"b"}, {"k"}, ""),
    (Elimination(1), "gumbel", {"mu"}, {"s"}, ""),
    (Elimination(1), "lomax", {"a"}, {"b"}, ""),
    (Elimination(1), "von mises", {"mu"}, {"k"}, ""),
    (Elimination(1), "cauchy", None, set(), "together"),
    (Elimination(2), "generalised gamma", None, set(), ""),
    (Combination(1), "benini", {"b"}, {"b"}, ""),
    (Combination(2), "generalised gamma", None, set(), "no combination is free"),
    (Combination(1), "exponential", None, set(), "nothing to combine"),
    (Combination(1), "cauchy", None, set(), ""),
]


@pytest.mark.parametrize(
    ("strategy", "name", "closed", "left", "reason"), TABLE, ids=[f"{t[0].name} {t[1]}" for t in TABLE]
)
def test_solves_or_says_why_not(
    strategy: Strategy, name: str, closed: set[str] | None, left: set[str], reason: str
) -> None:
    problem = problem_of(name)
    answer = strategy.attempt(problem)
    if closed is None:
        assert isinstance(answer, Skipped), answer
        assert answer.reason and reason in answer.reason
        return
    assert isinstance(answer, Solved), answer
    assert {str(p) for p in answer.parameters} == closed
    # names of the scores that are left; of a combination any one of those it used
    assert len(answer.remaining) == len(left)
    if answer.route == "profile":
        assert {str(p) for p in answer.remaining} == left
    unknown = set(answer.parameters)
    for candidate in answer.candidates:
        assert not any(e.free_symbols & unknown for e in candidate.closed.values())
    verification = Verifier(MODELS[name].declaration, problem.likelihood).verify(answer.steps)
    assert not verification.failures, str(verification)
    assert all(c.holds for c in verification.checks)
    # kept by the run, not by the strategy: the same again
    again = strategy.attempt(problem_of(name))
    assert again == answer


DATA = np.array([0.31, 1.7, 0.92, 4.4, 2.2, 0.05, 1.1])

# closed part at given values of the rest, against the maximum of a log-density written by hand
CONDITIONAL: dict[str, tuple[Strategy, Callable[..., float], str, dict[str, float], tuple[float, float]]] = {
    "weibull": (
        Elimination(1),
        lambda b, k: float(np.sum(np.log(k / b) + (k - 1) * np.log(DATA / b) - (DATA / b) ** k)),
        "b",
        {"k": 1.4},
        (1e-3, 50),
    ),
    "gumbel": (
        Elimination(1),
        lambda mu, s: float(np.sum(-(DATA - mu) / s - np.exp(-(DATA - mu) / s) - np.log(s))),
        "mu",
        {"s": 0.8},
        (-30, 30),
    ),
    "lomax": (
        Elimination(1),
        lambda a, b: float(np.sum(np.log(a / b) - (a + 1) * np.log1p(DATA / b))),
        "a",
        {"b": 2.5},
        (1e-3, 200),
    ),
    "gamma": (
        Elimination(1),
        lambda b, a: float(np.sum(a * np.log(b) + (a - 1) * np.log(DATA) - b * DATA - special.gammaln(a))),
        "b",
        {"a": 1.9},
        (1e-3, 200),
    ),
}


@pytest.mark.parametrize("name", CONDITIONAL)
def test_an_eliminated_parameter_is_the_conditional_maximum(name: str) -> None:
    strategy, by_hand, closed, held, bracket = CONDITIONAL[name]
    model = MODELS[name]
    answer = strategy.attempt(problem_of(name))
    assert isinstance(answer, Solved) and answer.route == "profile"
    (candidate,) = answer.candidates
    column = model.declaration.samples[0].columns[0]
    f = compile_expression(candidate.closed[model.symbol(closed)])
    found = float(
        f({model.symbol(n): v for n, v in held.items()}, [Rows({column: list(DATA)}, [1] * len(DATA))])
    )
    best = optimize.minimize_scalar(
        lambda t: -by_hand(t, **held), bounds=bracket, method="bounded", options={"xatol": 1e-11}
    )
    assert found == pytest.approx(best.x, rel=1e-5)


def test_what_comes_from_a_combination_is_no_profile() -> None:
    answer = Combination(1).attempt(problem_of("benini"))
    assert isinstance(answer, Solved)
    assert answer.route == "combination"
    assert {s.relation for s in answer.steps} == {Relation.IMPLIED, Relation.ROOTS}


def test_a_root_outside_the_domain_is_no_candidate() -> None:
    answer = Joint().attempt(problem_of("lindley"))  # the other root is negative on every sample
    assert isinstance(answer, Solved)
    (candidate,) = answer.candidates
    assert candidate.in_domain is True and candidate.conditions == ()


def test_the_order_of_the_ladder() -> None:
    """Moments, joint; then fewer equations left first, and elimination before combination."""
    ladder = strategies_for(3)
    names = [type(s).__name__ for s in ladder]
    assert names[:2] == ["Moments", "Joint"]
    rest = [(-(s.size or 0), type(s).__name__) for s in ladder if isinstance(s, Elimination | Combination)]
    assert rest == [(-2, "Elimination"), (-2, "Combination"), (-1, "Elimination"), (-1, "Combination")]


SYSTEMS: list[tuple[dict[Symbol, Expr], list[dict[str, float]]]] = [
    ({a: a + b - 5, b: a - b - 1}, [{"a": 3, "b": 2}]),
    ({a: a * b - 6, b: a - b - 1}, [{"a": 3, "b": 2}]),
    ({a: 1 / a + 1 / b - 1, b: a - 2 * b}, [{"a": 3, "b": 1.5}]),
    ({mu: mu - 4, s: s**2 + mu**2 - 25}, [{"mu": 4, "s": 3}]),
    ({a: a**2 - b, b: b - 4}, [{"a": 2, "b": 4}]),
    ({a: a * exp(b) - 2, b: a * exp(2 * b) - 6}, [{"a": 2 / 3, "b": float(np.log(3))}]),
]


@pytest.mark.parametrize(("equations", "expected"), SYSTEMS, ids=str)
def test_triangular_systems(equations: dict[Symbol, Expr], expected: list[dict[str, float]]) -> None:
    from symmle.algebra import Bounds, Facts, GaveUp

    facts = Facts({u: Bounds(0 * a, oo, True, True) for u in equations if u.is_positive})
    for order in (tuple(equations), tuple(reversed(tuple(equations)))):
        answer = solve_system(equations, order, facts)
        assert not isinstance(answer, GaveUp)
        found = []
        for solution in answer:
            values = {str(u): complex(e.evalf()) for u, e in solution.values.items()}
            assert not any(e.free_symbols & set(equations) for e in solution.values.values())
            if all(abs(v.imag) < 1e-12 and (v.real > 0 or n == "mu") for n, v in values.items()):
                found.append({n: v.real for n, v in values.items()})
        assert found == [pytest.approx(e) for e in expected]


def test_statistics_of_the_answer_are_sample_operators() -> None:
    answer = Moments().attempt(problem_of("normal"))
    assert isinstance(answer, Solved)
    (candidate,) = answer.candidates
    spread = candidate.closed[MODELS["normal"].symbol("s")]
    column = MODELS["normal"].declaration.samples[0].columns
    assert spread.atoms(SampleOperator) >= {Mean(column[0], column)}
    assert spread == sqrt(Mean((column[0] - Mean(column[0], column)) ** 2, column))  # central, not raw
