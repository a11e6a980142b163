"""Storing and restoring expressions and records: exact round trips, and refusal of what is not known."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
import sympy
from sympy import (
    Abs,
    Add,
    And,
    Complement,
    Contains,
    Dummy,
    Eq,
    Expr,
    FiniteSet,
    Float,
    Function,
    ImmutableMatrix,
    Indexed,
    IndexedBase,
    Integer,
    Interval,
    Lambda,
    LambertW,
    Matrix,
    Max,
    Min,
    Mul,
    Ne,
    Not,
    Or,
    Piecewise,
    Pow,
    ProductSet,
    Range,
    Rational,
    S,
    Sum,
    Symbol,
    Tuple,
    Union,
    besseli,
    binomial,
    ceiling,
    digamma,
    erf,
    exp,
    factorial,
    floor,
    gamma,
    hyper,
    log,
    loggamma,
    lowergamma,
    oo,
    pi,
    polygamma,
    sign,
    sqrt,
    uppergamma,
    zeta,
)

from symmle import Model, derive
from symmle.errors import ModelError
from symmle.estimator import BySymbol, Certificate, Estimator, Kind, Scope, StationaryPoint
from symmle.plain import expression_from_plain, expression_to_plain
from symmle.record import Attempt, Condition, Equation, Relation, Step
from symmle.sample import Count, Maximum, Mean, Median, Minimum, Quantile, Total
from symmle.serialise import record_from_dict, record_to_dict

x = Symbol("x", positive=True)
y = Symbol("y", real=True)
k = Symbol("k", integer=True, nonnegative=True)
mu, sigma = Symbol("mu", real=True), Symbol("sigma", positive=True)
u = Symbol("u")
columns = (x,)
pair = (x, y)

EXPRESSIONS = [
    S.Zero,
    Integer(-7),
    Integer(3) ** 80,
    Rational(-22, 7),
    Float("0.1"),
    Float("1.234567890123456789012345678901", 30),
    Float("-1e-400"),
    Float(0),
    pi,
    S.Exp1,
    S.EulerGamma,
    S.ImaginaryUnit,
    oo,
    -oo,
    S.NaN,
    S.ComplexInfinity,
    u,
    x,
    Symbol("x", real=True),
    Symbol("p", real=True, nonzero=True, finite=True),
    Dummy("t", positive=True),
    x + u * mu - 3,
    exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi)),
    Add(x, x, evaluate=False),
    Mul(2, x + y, evaluate=False),
    Pow(8, Rational(1, 2), evaluate=False),
    Pow(S.Exp1, x, evaluate=False),
    exp(0, evaluate=False),
    log(1, evaluate=False),
    gamma(x) * loggamma(sigma) + digamma(x) - polygamma(2, x),
    lowergamma(x, sigma) / uppergamma(x, sigma),
    besseli(0, sigma) + LambertW(-exp(-1 - sigma), -1) + LambertW(x),
    binomial(k, 3) * factorial(k),
    floor(x) + ceiling(y) + Abs(y - mu) + sign(y),
    Max(x, y, mu) - Min(x, 3),
    zeta(sigma) + erf(x),
    hyper((1, sigma), (2,), x),
    Piecewise((x**2, y > 0), (0, Eq(y, 0)), (-x, True)),
    Piecewise((1, Eq(k, 1)), (0, True)),
    And(x > 1, y <= mu),
    Or(Eq(x, 1), Not(Contains(y, Interval(0, 1)))),
    Ne(x, y),
    S.true,
    S.false,
    Interval(0, 1),
    Interval.open(0, oo),
    Interval.Lopen(mu, sigma),
    S.Reals,
    S.Naturals0,
    S.EmptySet,
    FiniteSet(Rational(1, 4), Rational(3, 4), mu),
    Range(0, oo),
    Range(1, 10, 3),
    Union(Interval(0, 1), Interval(2, 3)),
    Complement(S.Reals, FiniteSet(0)),
    ProductSet(Interval(0, 1), Range(3)),
    Tuple(x, Tuple(y, 1)),
    Matrix([[x, y], [0, mu]]),
    ImmutableMatrix([[Mean(x, columns), 1]]),
    Count(columns),
    Mean((x - Mean(x, columns)) ** 2, columns),
    Total(x**u * log(x), columns) / Total(x**u, columns),
    Mean(x * y, pair) - Mean(x, pair) * Mean(y, pair),
    Minimum(x, columns) + Maximum(y, pair),
    Median(x, columns) + Quantile(x, Rational(1, 4), columns),
    Mean(Piecewise((1, Eq(x, 1)), (0, True)), columns),
    Sum(Indexed(IndexedBase("x"), k) ** 2, (k, 1, u)) / u,
]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda e: str(e)[:50])
def test_round_trip_is_exact(expression: Expr) -> None:
    text = json.dumps(expression_to_plain(expression), allow_nan=False)
    again = expression_from_plain(json.loads(text))
    assert again == expression
    assert type(again) is type(expression)
    assert [type(a) for a in sympy.preorder_traversal(again)] == [
        type(a) for a in sympy.preorder_traversal(expression)
    ]


def test_every_class_on_the_list_is_one_that_sympy_has() -> None:
    from symmle.plain import _AS_GIVEN, _BUILDERS, _UNEVALUATED

    assert {*_AS_GIVEN.split(), *_UNEVALUATED.split()} <= set(_BUILDERS)


HOSTILE = [
    ["Lambda", ["Symbol", "x", {}], 1],
    ["__import__", ["Str", "os"]],
    ["eval", 1],
    ["Symbol", "x", {"positive": 1}],
    ["Symbol", "x", {"__class__": True}],
    ["Symbol", "", {}],
    ["Symbol", "x"],
    ["Rational", "1", "0"],
    ["Integer", "1e9"],
    ["Integer", "9" * 5000],
    ["Constant", "__class__"],
    ["Float", 0, "1", 10**12, 1, 53],
    ["ImmutableDenseMatrix", 2, 2, 1],
    ["Pow", 2],
    ["Interval", ["Symbol", "x", {}]],
    [],
    [[]],
    "x**2",
    3.5,
    None,
    True,
    {"a": 1},
]


@pytest.mark.parametrize("plain", HOSTILE, ids=lambda p: repr(p)[:50])
def test_what_symmle_does_not_write_is_refused(plain: object) -> None:
    with pytest.raises(ModelError):
        expression_from_plain(plain)


def test_powers_are_not_evaluated_on_the_way_back() -> None:
    tower: list[object] | int = 10
    for _ in range(6):
        tower = ["Pow", 10, tower]
    assert isinstance(expression_from_plain(tower), Pow)


def test_nesting_is_bounded() -> None:
    deep: list[object] | int = 1
    for _ in range(5000):
        deep = ["exp", deep]
    with pytest.raises(ModelError, match="deep"):
        expression_from_plain(deep)
    tall: Expr = u
    for _ in range(300):
        tall = exp(tall, evaluate=False)
    with pytest.raises(ModelError, match="deep"):
        expression_to_plain(tall)


@pytest.mark.parametrize(
    "unknown", [Lambda(u, u + 1), Function("f")(u), sympy.Derivative(Function("f")(u), u)]
)
def test_unknown_classes_are_refused_by_name(unknown: Expr) -> None:
    with pytest.raises(ModelError, match=r"cannot|can be stored"):
        expression_to_plain(unknown)


@dataclass(frozen=True)
class ExampleCertificate(Certificate):
    """A certificate as the certifiers write them."""

    expression: Expr
    bound: float
    theorem: str = "example"
    kind: Kind = Kind.GLOBAL_MAXIMUM
    scope: Scope = Scope.EVERY_SAMPLE
    conditions: tuple[Condition, ...] = ()

    def check(self) -> tuple[bool, str]:
        return True, ""


CONDITION = Condition(Mean((x - Mean(x, columns)) ** 2, columns) > 0, "not all equal", columns)
SUBSTEP = Step("solve", (u**2 - 4,), (S(2),), Relation.ROOTS, (u,), details=(("method", "quadratic"),))
STEP = Step(
    "certificate",
    (x,),
    (Matrix([[x]]).as_immutable(),),
    Relation.THEOREM,
    (mu, sigma),
    (CONDITION,),
    (SUBSTEP,),
    (
        ("certificate", ExampleCertificate(x + 1, 0.1)),
        ("rejected", ((S(-2), "not in the domain"),)),
        ("rank", 2),
        ("nothing", None),
        ("far", float("inf")),
        ("third", Fraction(1, 3)),
        ("list", [1, 2.5, True]),
        ("table", {"a": 2**70, x: mu}),
    ),
)
RECORDS = [
    CONDITION,
    SUBSTEP,
    STEP,
    Equation(mu, 1 / mu - Mean(x, columns), "profile score"),
    Attempt("joint", False, "no root", 0.25),
    StationaryPoint({mu: x}, Kind.LOCAL_MAXIMUM, ExampleCertificate(x, 1e-300), log_likelihood=-3.5),
    Estimator(
        BySymbol({mu: Mean(x, columns)}), (Equation(sigma, sigma - 1),), alternatives=({mu: x},), notes=("a",)
    ),
    Kind.SADDLE_POINT,
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_records_round_trip(record: object) -> None:
    text = json.dumps(record_to_dict(record), allow_nan=False)
    again = record_from_dict(json.loads(text))
    assert again == record
    assert type(again) is type(record)
    assert json.dumps(record_to_dict(again), allow_nan=False) == text


def test_the_table_of_an_estimator_still_answers_to_names() -> None:
    again = record_from_dict(record_to_dict(Estimator(BySymbol({mu: x}))))
    assert again.closed["mu"] == x


def test_times_taken_are_not_stored() -> None:
    assert record_to_dict(Attempt("joint", True, "", 1.0)) == record_to_dict(Attempt("joint", True, "", 2.0))


@pytest.mark.parametrize(
    "plain",
    [
        {"record": "Popen", "args": "x"},
        {"record": "Step"},
        {"record": "Attempt", "strategy": "a", "solved": True, "other": 1},
        {"enum": "Kind", "name": "NOT_ONE"},
        {"enum": "Other", "name": "A"},
        {"dict": [1, 2]},
        {"something": 1},
        pytest.param(object(), id="an object"),
    ],
    ids=lambda p: repr(p)[:40],
)
def test_records_that_symmle_does_not_write_are_refused(plain: object) -> None:
    with pytest.raises(ModelError):
        record_from_dict(plain)


def test_a_stored_derivation_is_read_in_a_fresh_process(tmp_path: Path) -> None:
    model = Model(sigma * exp(-sigma * x), data=x)
    table = derive(model).to_dict()
    assert any("certificate" in step["rule"] for step in table["steps"])
    file = tmp_path / "derivation.json"
    file.write_text(json.dumps(table), encoding="utf-8")
    program = (
        "import json, sys; from symmle.derivation import Derivation; table = json.load(open(sys.argv[1])); "
        "assert Derivation.from_dict(table).to_dict() == table"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, timeout=120)


def test_what_cannot_be_stored_says_so() -> None:
    with pytest.raises(ModelError, match="cannot be stored"):
        record_to_dict(Step("a", (), (), Relation.EQUAL, details=(("function", len),)))
