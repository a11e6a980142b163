"""E-step and M-step derived: the corpus, updates against hand-written formulas, no false claim of no bound."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from sympy import Expr, Symbol

from symmle import Model, derive
from symmle.algebra import Rows, compile_expression
from symmle.derivation import Derivation
from symmle.latent.problem import Conditional, Labelled
from symmle.record import Step
from symmle.serialise import record_from_dict, record_to_dict

CASES = {
    case["id"]: case
    for file in sorted((Path(__file__).parents[1] / "corpus").glob("*.toml"))
    for case in tomllib.loads(file.read_text(encoding="utf-8"))["case"]
    if case["expected"]["kind"] == "em"
}
# nothing is declared to be unobserved there: the density is that of censored rows
PLAIN = {"censored-normal", "interval-censored-exponential"}
CLOSED = {"rao-genetic-linkage", "poisson-exponential-rate-latent"}  # the marginal is solved and proved too
REDUCED = {"weibull-mixture-2"}  # one equation for each component is left in the M-step
UNBOUNDED = {"gmm2-free-variances", "weibull-mixture-2"}
DECLARED = sorted(set(CASES) - PLAIN)


@cache
def derivation_of(name: str) -> Derivation:
    return derive(Model.from_dict(CASES[name]["model"]))


@pytest.mark.parametrize("name", DECLARED)
def test_the_corpus_is_derived(name: str) -> None:
    estimator = derivation_of(name).estimator
    assert estimator.kind == ("closed form" if name in CLOSED else "em")
    em = estimator.em
    assert em is not None
    assert em.estimator.kind == ("reduced" if name in REDUCED else "closed form")
    known = {e.parameter for e in em.estimator.remaining}
    for closed in em.estimator.closed.values():
        assert closed.free_symbols <= known | set(em.observed.constants)
    assert bool(getattr(em, "unbounded", "")) == (name in UNBOUNDED)


@pytest.mark.parametrize("name", DECLARED)
def test_the_corpus_is_verified(name: str) -> None:
    verification = derivation_of(name).verify()
    assert verification, str(verification)
    checked = {c.rule for c in verification.checks if c.holds}
    assert {"latent structure", "E-step", "Q", "M-step", "ascent"} <= checked


@pytest.mark.parametrize("name", ["gmm2-free-variances", "random-intercept-two-replicates"])
def test_the_latent_structure_is_stored_and_read_back(name: str) -> None:
    estimator = derivation_of(name).estimator
    assert record_from_dict(record_to_dict(estimator)) == estimator


# --- updates against formulas written by hand -----------------------------------------------------

X = np.array([0.3, 1.2, 2.5, 0.7, 4.1, 3.3])
R = np.array([0.9, 0.6, 0.3, 0.8, 0.1, 0.25])


def mixture(density: str, parameters: dict[str, str], support: str = "(0, oo)", **more: Any) -> Model:
    table = {"data": {"x": support}, "parameters": parameters, "density": density, **more}
    return Model.from_dict(table).mixture(2)


def weighted(r: np.ndarray, g: np.ndarray) -> float:
    return float(np.sum(r * g) / np.sum(r))


def spread(r: np.ndarray) -> float:
    return float(np.sqrt(weighted(r, (X - weighted(r, X)) ** 2)))


UPDATES: dict[str, tuple[Model, dict[str, Any]]] = {
    "normal": (
        mixture("exp(-(x - m)**2/(2*s**2))/(s*sqrt(2*pi))", {"m": "real", "s": "positive"}, "(-oo, oo)"),
        {"m": lambda r: weighted(r, X), "s": spread},
    ),
    "exponential": (mixture("a*exp(-a*x)", {"a": "positive"}), {"a": lambda r: 1 / weighted(r, X)}),
    "rayleigh": (
        mixture("x/s**2*exp(-x**2/(2*s**2))", {"s": "positive"}),
        {"s": lambda r: np.sqrt(weighted(r, X**2) / 2)},
    ),
    "lognormal": (
        mixture("exp(-(log(x) - m)**2/(2*s**2))/(x*s*sqrt(2*pi))", {"m": "real", "s": "positive"}, "(0, oo)"),
        {
            "m": lambda r: weighted(r, np.log(X)),
            "s": lambda r: np.sqrt(weighted(r, (np.log(X) - weighted(r, np.log(X))) ** 2)),
        },
    ),
    "inverse gaussian": (
        mixture("sqrt(k/(2*pi*x**3))*exp(-k*(x - m)**2/(2*m**2*x))", {"m": "positive", "k": "positive"}),
        {
            "m": lambda r: weighted(r, X),
            "k": lambda r: 1 / (weighted(r, 1 / X) - 1 / weighted(r, X)),
        },
    ),
}


def label_free(closed: dict[Symbol, Expr], em: Labelled, p: Symbol, share: np.ndarray, branch: int) -> float:
    """A closed M-step on rows weighted with responsibilities."""
    rows = []
    shares = [share, 1 - share]
    for b, r in zip(em.branches, shares, strict=True):
        (copy,) = b.columns.values()
        rows.append(Rows({copy: [mpmath.mpf(float(v)) for v in X]}, [mpmath.mpf(float(v)) for v in r]))
    labels = {d: [mpmath.mpf(float(v)) for v in r] for d, r in zip(em.indicators, shares, strict=True)}
    rows.append(Rows(labels, [mpmath.mpf(1)] * len(X)))
    return float(compile_expression(closed[p])({}, rows))


@pytest.mark.parametrize("name", sorted(UPDATES))
def test_an_m_step_is_the_weighted_maximum_of_the_textbook(name: str) -> None:
    model, formulas = UPDATES[name]
    em = derive(model).estimator.em
    assert isinstance(em, Labelled)
    closed = em.estimator.closed
    for j, r in enumerate((R, 1 - R)):
        for letter, formula in formulas.items():
            found = label_free(closed, em, model.symbol(f"{letter}_{j + 1}"), R, j)  # type: ignore[arg-type]
            assert found == pytest.approx(formula(r), rel=1e-12), (letter, j)
    assert label_free(closed, em, model.symbol("w"), R, 0) == pytest.approx(R.mean(), rel=1e-12)


def test_components_of_different_families_share_a_parameter() -> None:
    model = Model.from_dict(
        {
            "data": {"x": "(0, oo)"},
            "parameters": {"w": "(0, 1)", "a": "positive"},
            "components": [
                {"weight": "w", "density": "a*exp(-a*x)"},
                {"weight": "1 - w", "density": "a**2*x*exp(-a*x)"},
            ],
        }
    )
    em = derive(model).estimator.em
    assert isinstance(em, Labelled) and not em.unbounded
    # a = (sum r + 2 sum (1 - r))/sum x
    wanted = (R.sum() + 2 * (1 - R).sum()) / X.sum()
    assert label_free(em.estimator.closed, em, model.symbol("a"), R, 0) == pytest.approx(wanted, rel=1e-12)


def test_student_t_is_a_normal_with_a_gamma_precision() -> None:
    student = Model.from_dict(
        {
            "data": {"x": "(-oo, oo)"},
            "latent": {"z": "(0, oo)"},
            "parameters": {"m": "real", "s": "positive", "nu": "positive"},
            "density": "sqrt(z)*exp(-z*(x - m)**2/(2*s**2))/(s*sqrt(2*pi))"
            "*(nu/2)**(nu/2)*z**(nu/2 - 1)*exp(-nu*z/2)/gamma(nu/2)",
        }
    )
    derivation = derive(student)
    em = derivation.estimator.em
    assert isinstance(em, Conditional) and derivation.estimator.kind == "em"
    m, s, nu, x = (student.symbol(n) for n in ("m", "s", "nu", "x"))
    (weight,) = (e for c, e in em.expectations.items() if em.statistics[c].is_Symbol)
    assert (weight - (nu + 1) / (nu + (x - m) ** 2 / s**2)).simplify() == 0
    assert {e.parameter for e in em.estimator.remaining} == {nu}
    assert derivation.verify()


def test_hurdles_and_point_masses_have_responsibilities_of_nought_and_one() -> None:
    hurdle = Model.from_dict(
        {
            "data": {"x": "{0..oo}"},
            "parameters": {"w": "(0, 1)", "lam": "positive"},
            "components": [
                {"weight": "w", "density": "Piecewise((1, Eq(x, 0)), (0, True))"},
                {
                    "weight": "1 - w",
                    "density": "Piecewise((0, Eq(x, 0)), (exp(-lam)*lam**x/factorial(x)/(1 - exp(-lam)), True))",
                },
            ],
        }
    )
    derivation = derive(hurdle)
    assert derivation.estimator.em is not None
    assert derivation.verify()


# --- bounds ---------------------------------------------------------------------------------------

TWO_SIDED, POSITIVE = "(-oo, oo)", "(0, oo)"
LOCATION = {"a": "real", "b": "positive"}
BOTH = {"a": "positive", "b": "positive"}
FREE = {
    "normal": ("exp(-(x - a)**2/(2*b**2))/(b*sqrt(2*pi))", LOCATION, TWO_SIDED),
    "laplace": ("exp(-Abs(x - a)/b)/(2*b)", LOCATION, TWO_SIDED),
    "logistic": ("exp(-(x - a)/b)/(b*(1 + exp(-(x - a)/b))**2)", LOCATION, TWO_SIDED),
    "cauchy": ("b/(pi*(b**2 + (x - a)**2))", LOCATION, TWO_SIDED),
    "gamma": ("b**a*x**(a - 1)*exp(-b*x)/gamma(a)", BOTH, POSITIVE),
    "weibull": ("(b/a)*(x/a)**(b - 1)*exp(-(x/a)**b)", BOTH, POSITIVE),
    "beta": ("x**(a - 1)*(1 - x)**(b - 1)/beta(a, b)", BOTH, "(0, 1)"),
    "normal of known mean": ("exp(-x**2/(2*b**2))/(b*sqrt(2*pi))", {"b": "positive"}, TWO_SIDED),
    "normal of known scale": ("exp(-(x - a)**2/2)/sqrt(2*pi)", {"a": "real"}, TWO_SIDED),
    "exponential": ("a*exp(-a*x)", {"a": "positive"}, POSITIVE),
    "poisson": ("exp(-a)*a**x/factorial(x)", {"a": "positive"}, "{0..oo}"),
    "scale bounded below": ("exp(-(x - a)**2/(2*b**2))/(b*sqrt(2*pi))", {"a": "real", "b": "(1, oo)"}, TWO_SIDED),
}  # fmt: skip
BOUNDED = {
    "normal of known mean",
    "normal of known scale",
    "exponential",
    "poisson",
    "scale bounded below",
}


@pytest.mark.parametrize("name", sorted(FREE))
def test_a_free_scale_has_no_bound_and_a_held_one_has(name: str) -> None:
    density, parameters, support = FREE[name]
    em = derive(mixture(density, parameters, support)).estimator.em
    assert isinstance(em, Labelled)
    assert bool(em.unbounded) == (name not in BOUNDED)
    if not em.unbounded:
        return
    # the path by number: the density of the component at x = 0.7 grows without end along it
    x, branch = em.observed.samples[0].columns[0], em.branches[0].density
    (p, value), (q, end) = em.collapse.items()
    heights = []
    for t in (10, 10**3, 10**5):
        here = mpmath.mpf(t) if end.is_infinite else mpmath.mpf(1) / t
        at = {x: mpmath.mpf(0.7), q: here}
        at[p] = compile_expression(value)(at, [])
        heights.append(compile_expression(branch)(at, []))
    assert heights[0] * 3 < heights[1] and heights[1] * 3 < heights[2]


def test_a_scale_that_the_components_share_is_not_said_to_be_unbounded() -> None:
    model = Model.from_dict(
        {
            "data": {"x": "(-oo, oo)"},
            "parameters": {"w": "(0, 1)", "m1": "real", "m2": "real", "s": "positive"},
            "components": [
                {"weight": "w", "density": "exp(-(x - m1)**2/(2*s**2))/(s*sqrt(2*pi))"},
                {"weight": "1 - w", "density": "exp(-(x - m2)**2/(2*(2*s)**2))/(2*s*sqrt(2*pi))"},
            ],
        }
    )
    em = derive(model).estimator.em
    assert isinstance(em, Labelled) and em.unbounded == ""


def test_a_mean_that_is_shared_does_not_bound_a_free_scale() -> None:
    """a = x_1 and b -> 0: the first component keeps a positive density there."""
    shared = contaminated()
    em = derive(shared).estimator.em
    assert isinstance(em, Labelled) and em.free_scales == (shared.symbol("b"),)


def test_scales_in_a_bounded_ratio_are_not_said_to_be_unbounded() -> None:
    em = derive(contaminated(where=["10*b - 1"], b="positive")).estimator.em
    assert isinstance(em, Labelled) and em.unbounded == ""


def contaminated(b: str = "positive", **more: Any) -> Model:
    return Model.from_dict(
        {
            "data": {"x": "(-oo, oo)"},
            "parameters": {"w": "(0, 1)", "a": "real", "b": b},
            "components": [
                {"weight": "w", "density": "exp(-(x - a)**2/2)/sqrt(2*pi)"},
                {"weight": "1 - w", "density": "exp(-(x - a)**2/(2*b**2))/(b*sqrt(2*pi))"},
            ],
            **more,
        }
    )


def test_a_point_mass_covers_nothing() -> None:
    """Beside a point mass at 0 a normal with a free scale must cover the other rows itself."""
    model = Model.from_dict(
        {
            "data": {"x": "[0, oo)"},
            "parameters": {"w": "(0, 1)", "m": "real", "s": "positive"},
            "components": [
                {"weight": "w", "density": "Piecewise((1, x < 1), (0, True))"},
                {"weight": "1 - w", "density": "exp(-(log(x) - m)**2/(2*s**2))/(x*s*sqrt(2*pi))"},
            ],
            "normalises": False,
        }
    )
    em = derive(model).estimator.em
    assert isinstance(em, Labelled) and em.unbounded == ""


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DECLARED)
def test_every_case_is_written(name: str) -> None:
    derivation = derivation_of(name)
    text, latex = str(derivation), derivation.latex()
    for words in ("Latent structure", "E-step", "M-step", "Ascent"):
        assert words.upper() in text and rf"\paragraph{{{words}.}}" in latex
    assert ("NO BOUND" in text) == (name in UNBOUNDED)
    assert "Jensen" in text and r"^{(t+1)}" in latex


def test_the_updates_of_two_normals_are_those_of_a_textbook() -> None:
    latex = derivation_of("gmm2-free-variances").latex()
    for formula in (
        r"w^{(t+1)} &= \frac{1}{n} \sum_{i=1}^n r_{i1}",
        r"m_1^{(t+1)} &= \frac{\sum_{i=1}^n r_{i1} x_i}{\sum_{i=1}^n r_{i1}}",
        r"r_{i1} (x_i - m_1^{(t+1)})^2",
        r"r_{i1} &= \frac{w f_1(x_i)}{w f_1(x_i) + (1 - w) f_2(x_i)}",
    ):
        assert formula in latex, latex


def test_labels_get_another_letter_where_z_is_taken() -> None:
    text = str(derivation_of("mixture-of-regressions-2"))
    assert "uᵢⱼ" in text and "zᵢⱼ" not in text


def step_of(name: str, rule: str) -> Step:
    return next(s for s in derivation_of(name).steps if s.rule == rule)


def test_an_update_names_only_what_stands_before_it() -> None:
    for name in DECLARED:
        step = step_of(name, "M-step")
        left = {t.args[0] for t in step.detail("remaining", ())}  # type: ignore[attr-defined]
        seen: set[Any] = left | set(derivation_of(name).model.constants)
        for p, e in zip(step.subject, step.after, strict=True):
            assert e.free_symbols <= seen, (name, p)
            seen.add(p)


def test_a_notebook_shows_the_updates() -> None:
    from symmle.report.html import estimate_latex, write_html

    derivation = derivation_of("two-coins")
    shown = estimate_latex(derivation)
    assert r"a^{(t+1)} &= " in shown and "no estimate" not in shown
    assert "E-step" in write_html(derivation)
