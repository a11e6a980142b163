"""The checks of steps: a true step holds, and the same step with one thing wrong fails, for every relation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sympy import Basic, Eq, Expr, Interval, Rational, Tuple, exp, gamma, log, oo, pi, sqrt, symbols

from symmle import Model, derive
from symmle.certify.exponential import FullExponentialFamily
from symmle.derivation import Derivation
from symmle.record import Relation, Step
from symmle.sample import Mean
from symmle.verification import Verification, Verifier

x, a, b, s, k = symbols("x a b s k", positive=True)
y, mu = symbols("y mu", real=True)
TINY = Rational(1, 10**20)

MODELS: dict[str, Model] = {
    "normal": Model(exp(-((y - mu) ** 2) / (2 * s**2)) / (s * sqrt(2 * pi)), data=y),
    "gamma": Model(b**a * x ** (a - 1) * exp(-b * x) / gamma(a), data=x),
    "weibull": Model(k / b * (x / b) ** (k - 1) * exp(-((x / b) ** k)), data=x),
    "lindley": Model(a**2 * (1 + x) * exp(-a * x) / (1 + a), data=x),
    "benini": Model(
        exp(-a * log(x) - b * log(x) ** 2) * (a / x + 2 * b * log(x) / x), data={x: Interval(1, oo)}
    ),
}
DERIVED: dict[str, Derivation] = {}


def derived(name: str) -> Derivation:
    if name not in DERIVED:
        DERIVED[name] = derive(MODELS[name])
    return DERIVED[name]


def check(name: str, step: Step) -> Verification:
    derivation = derived(name)
    return Verifier(derivation.model.declaration, derivation.likelihood).verify([step])


def step_of(name: str, relation: Relation, rule: str = "") -> Step:
    return next(t for t in derived(name).steps if t.relation is relation and rule in t.rule)


def times(e: Basic, factor: Expr = 1 + TINY) -> Basic:
    return e.func(*(v * factor for v in e.args)) if isinstance(e, Tuple) else e * factor  # type: ignore[operator]


def first_after(change: Callable[[Basic], Basic]) -> Callable[[Step], Step]:
    return lambda t: replace(t, after=(change(t.after[0]), *t.after[1:]))


def with_detail(key: str, change: Callable[[object], object]) -> Callable[[Step], Step]:
    def apply(t: Step) -> Step:
        return replace(t, details=tuple((n, change(v) if n == key else v) for n, v in t.details))

    return apply


# model, relation, rule, how it is made false
TAMPERED: list[tuple[str, Relation, str, str, Callable[[Step], Step]]] = [
    ("normal", Relation.LOGARITHM, "", "a constant lost", first_after(lambda e: e + log(2) / 2)),
    ("gamma", Relation.LOGARITHM, "", "off in the 20th digit", first_after(times)),
    ("weibull", Relation.EQUAL, "normal form", "a term lost", first_after(lambda e: e - e.args[0])),
    ("weibull", Relation.EQUAL, "normal form", "off in the 20th digit", first_after(times)),
    ("weibull", Relation.EQUAL, "remaining", "off in the 20th digit", first_after(times)),
    ("normal", Relation.DERIVATIVE, "score", "sign", first_after(lambda e: -e)),
    ("weibull", Relation.DERIVATIVE, "score", "off in the 20th digit", first_after(times)),
    ("gamma", Relation.DERIVATIVE, "score", "two scores swapped", lambda t: replace(t, after=t.after[::-1])),
    ("normal", Relation.ROOTS, "solve", "off in the 20th digit", first_after(times)),
    ("lindley", Relation.ROOTS, "solve", "the root lost", lambda t: replace(t, after=())),
    ("lindley", Relation.ROOTS, "solve", "another root", first_after(lambda e: Tuple(1 / e.args[0]))),
    ("weibull", Relation.PROFILE, "eliminate", "off in the 20th digit", first_after(times)),
    ("weibull", Relation.PROFILE, "eliminate", "far off", first_after(lambda e: times(e, Rational(3, 2)))),
    (
        "normal",
        Relation.EQUIVALENT,
        "moment",
        "a right side off",
        first_after(lambda e: Eq(e.args[0], e.args[1] + Rational(1, 10**12), evaluate=False)),
    ),
    (
        "normal",
        Relation.EQUIVALENT,
        "moment",
        "one equation twice",
        lambda t: replace(t, after=(t.after[0], t.after[0])),
    ),
    ("normal", Relation.EQUIVALENT, "moment", "one equation lost", lambda t: replace(t, after=t.after[:1])),
    ("benini", Relation.IMPLIED, "combine", "off in the 20th digit", first_after(times)),
    (
        "benini",
        Relation.IMPLIED,
        "combine",
        "another coefficient",
        with_detail("coefficients", lambda v: tuple(Tuple(c.args[0] + 1, *c.args[1:]) for c in v)),  # type: ignore[attr-defined]
    ),
    ("normal", Relation.THEOREM, "certificate", "no certificate", lambda t: replace(t, details=())),
]


@pytest.mark.parametrize(
    ("name", "relation", "rule", "how", "tamper"),
    TAMPERED,
    ids=[f"{r.value} {n}: {h}" for n, r, _, h, _ in TAMPERED],
)
def test_a_true_step_holds_and_a_false_one_fails(
    name: str, relation: Relation, rule: str, how: str, tamper: Callable[[Step], Step]
) -> None:
    step = step_of(name, relation, rule)
    true = check(name, step)
    assert true and true.checks[0].holds is True, str(true)
    wrong = tamper(step)
    assert wrong != step
    false = check(name, wrong)
    assert not false and len(false.failures) == 1, f"{how}: {false}"
    assert false.failures[0].found and "FAILS" in str(false)


def test_a_tampered_certificate_fails_its_step() -> None:
    step = step_of("gamma", Relation.THEOREM)
    certificate = step.detail("certificate")
    assert isinstance(certificate, FullExponentialFamily)
    wrong = replace(certificate, constant=certificate.constant + certificate.parameters[0])
    assert not check("gamma", replace(step, details=(("certificate", wrong),)))


def test_a_conditional_minimum_is_no_profile() -> None:
    """The residual vanishes at a minimum too; only competitors tell it from a maximum."""
    theta = symbols("theta", positive=True)
    # l/n = log theta + theta**2 - theta m has the roots (m -+ sqrt(m**2 - 8))/4, the larger one a minimum
    model = Model(theta * exp(theta**2 - theta * x), data={x: Interval(theta, oo)})
    derivation = derive(model)
    parameter = model.symbol("theta")
    score = derivation.score.equations[parameter]
    verifier = Verifier(model.declaration, derivation.likelihood)
    column = model.declaration.samples[0].columns[0]
    m = Mean(column, (column,))
    minimum = (m + sqrt(m**2 - 8)) / 4
    verification = verifier.verify(
        [Step("eliminate", (score,), (Tuple(minimum),), Relation.PROFILE, (parameter,))]
    )
    assert not verification, str(verification)


def test_every_relation_has_a_check_or_claims_nothing() -> None:
    seen = {r for _, r, _, _, _ in TAMPERED}
    without_score = {Relation.ALLOWED, Relation.SIGN, Relation.MAXIMUM}  # in test_verification_edges.py
    unobserved = {  # in tests/latent/test_verification_latent.py
        Relation.MARGINAL,
        Relation.EXPECTATION,
        Relation.SURROGATE,
        Relation.UPDATE,
        Relation.ASCENT,
    }
    assert set(Relation) - seen == {Relation.DEFINITION} | without_score | unobserved
    named = Step("model", (), (x,), Relation.DEFINITION)
    verification = check("normal", named)
    assert verification and verification.checks[0].holds is None


def test_a_step_that_nothing_was_compared_of_does_not_hold() -> None:
    step = Step("solve", (), (), Relation.ROOTS, ())
    assert not check("normal", step)
    assert not check("normal", Step("x", (), (), Relation.EQUAL))


def test_the_same_verification_every_time() -> None:
    assert str(derived("weibull").verify()) == str(derived("weibull").verify())
