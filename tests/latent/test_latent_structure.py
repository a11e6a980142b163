"""What was not observed, read from a declaration: branches, the marginal, the law of a latent variable given the data.

Oracles: sums and integrals of the declared joint density by mpmath, which know nothing of symmle.
"""

from __future__ import annotations

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Interval, Range, S, Symbol, exp, lambdify, log, loggamma, oo

from symmle import Model
from symmle.latent.conditional import Matched, match_latent
from symmle.latent.kernels import Kernel, match_kernel
from symmle.latent.mstep import labelled_m_step, split_blocks
from symmle.latent.problem import Branch, Unmatched
from symmle.latent.structure import observed_declaration, read_branches

z = Symbol("z", positive=True)
u = Symbol("u", real=True)
k = Symbol("k", integer=True, nonnegative=True)
HALF_LINE = Interval.open(0, oo)

# support, statistics, natural parameters at which A is compared with quadrature
KERNELS = (
    (u, S.Reals, {u: 0.7, u**2: -1.3}),
    (u, Interval(-oo, oo), {u: -2.0, u**2: -0.4}),
    (z, HALF_LINE, {log(z): 1.5, z: -2.0}),
    (z, HALF_LINE, {log(z): -3.5, 1 / z: -2.0}),
    (z, HALF_LINE, {log(z): 0.5, z**2: -0.7}),
    (z, HALF_LINE, {log(z): -0.3, z: -1.1, 1 / z: -0.6}),
    (z, Interval.open(0, 1), {log(z): 1.5, log(1 - z): 0.4}),
    (z, HALF_LINE, {log(z): 0.5, log(1 + z): -3.5}),
    (k, Range(0, oo), {k: 0.4, loggamma(k + 1): -1.0}),
    (k, S.Naturals0, {k: -0.8}),
)


@pytest.mark.parametrize("variable, support, naturals", KERNELS, ids=lambda v: str(v)[:40])
def test_a_log_normaliser_is_that_of_quadrature(variable: Symbol, support: object, naturals: dict) -> None:
    kernel = match_kernel(variable, support, frozenset(naturals))  # type: ignore[arg-type]
    assert isinstance(kernel, Kernel)
    at = {kernel.naturals[t]: v for t, v in naturals.items()}
    claimed = float(kernel.log_normaliser.xreplace(at).evalf())
    f = lambdify(variable, exp(sum(v * t for t, v in naturals.items())), modules="mpmath")
    if variable is k:
        total = mpmath.nsum(lambda n: f(int(n)), [0, mpmath.inf])
    else:
        ends = {HALF_LINE: [0, 0.5, 2, 8, mpmath.inf], Interval.open(0, 1): [0, 0.5, 1]}
        total = mpmath.quad(f, ends.get(support, [-mpmath.inf, -1, 1, mpmath.inf]))  # type: ignore[call-overload]
    assert claimed == pytest.approx(float(mpmath.log(total)), rel=1e-9)


@pytest.mark.parametrize(
    "variable, support, statistics",
    [
        (z, HALF_LINE, {z, z**2}),  # a truncated normal: no closed constant is built
        (z, Interval.open(0, 1), {z}),
        (u, S.Reals, {u}),  # not integrable
        (u, S.Reals, {u, u**4}),
        (z, HALF_LINE, {log(z), z, z**2}),
        (k, Range(1, oo), {k}),
        (z, Interval.open(0, 2), {log(z), log(1 - z)}),
    ],
)
def test_other_kernels_are_left_alone(variable: Symbol, support: object, statistics: set) -> None:
    assert match_kernel(variable, support, frozenset(statistics)) is None  # type: ignore[arg-type]


def model(**table: object) -> Model:
    return Model.from_dict(table)


def declared(name: str) -> Model:
    return {
        "poisson gamma": lambda: model(
            data={"x": "{0..oo}"},
            latent={"z": "(0, oo)"},
            parameters={"a": "positive", "b": "positive"},
            density="exp(-z)*z**x/factorial(x)*b**a*z**(a - 1)*exp(-b*z)/gamma(a)",
        ),
        "binomial beta": lambda: model(
            data={"x": "{0..6}"},
            latent={"p": "(0, 1)"},
            parameters={"a": "positive", "b": "positive"},
            density="binomial(6, x)*p**x*(1 - p)**(6 - x)*p**(a - 1)*(1 - p)**(b - 1)/beta(a, b)",
        ),
        "normal inverse gamma": lambda: model(
            data={"x": "(-oo, oo)"},
            latent={"v": "(0, oo)"},
            parameters={"m": "real", "a": "positive", "b": "positive"},
            density="exp(-(x - m)**2/(2*v))/sqrt(2*pi*v)*b**a*v**(-a - 1)*exp(-b/v)/gamma(a)",
        ),
        "normal normal": lambda: model(
            data={"x": "(-oo, oo)"},
            latent={"u": "(-oo, oo)"},
            parameters={"m": "real", "s": "positive"},
            density="exp(-(x - u)**2/2)/sqrt(2*pi)*exp(-(u - m)**2/(2*s**2))/(s*sqrt(2*pi))",
        ),
        "exponential gamma": lambda: model(
            data={"x": "(0, oo)"},
            latent={"z": "(0, oo)"},
            parameters={"a": "positive", "b": "positive"},
            density="z*exp(-z*x)*b**a*z**(a - 1)*exp(-b*z)/gamma(a)",
        ),
    }[name]()


ENDS = {
    "poisson gamma": [0, 1, 4, 15, mpmath.inf],
    "binomial beta": [0, 0.5, 1],
    "normal inverse gamma": [0, 0.5, 2, 10, mpmath.inf],
    "normal normal": [-mpmath.inf, -2, 2, mpmath.inf],
    "exponential gamma": [0, 0.5, 2, 10, mpmath.inf],
}
VALUES = {"a": 2.3, "b": 1.7, "m": 0.4, "s": 1.3}


@pytest.mark.parametrize("name", sorted(ENDS))
@pytest.mark.parametrize("x", [1, 3])
def test_marginal_and_expectations_are_those_of_quadrature(name: str, x: int) -> None:
    declaration = declared(name).declaration
    found = match_latent(declaration)
    assert isinstance(found, Matched)
    (part,) = declaration.samples
    column, latent = part.columns[0], found.latent
    at = {column: x, **{p: VALUES[p.name] for p in declaration.parameters}}
    joint = lambdify(latent, part.density.xreplace(at), modules="mpmath")
    total = mpmath.quad(joint, ENDS[name])
    marginal = found.observed.samples[0].density.xreplace(at).evalf(20)
    assert float(marginal) == pytest.approx(float(total), rel=1e-9)
    means = {}
    for e, t in found.statistics.items():
        f = lambdify(latent, t, modules="mpmath")
        means[t] = mpmath.quad(lambda v, f=f: f(v) * joint(v), ENDS[name]) / total
        wanted = means[t] - means[latent] ** 2 if e.name.startswith("v_") else means[t]
        claimed = found.expectations[e].xreplace(at).evalf(20)
        assert float(claimed) == pytest.approx(float(wanted), rel=1e-8), (e, t)


@pytest.mark.parametrize(
    "table, words",
    [
        (  # logistic-normal: the kernel is of no known family
            dict(
                data={"x": "{0, 1}"},
                latent={"u": "(-oo, oo)"},
                parameters={"m": "real"},
                density="exp(x*u)/(1 + exp(u))*exp(-(u - m)**2/2)/sqrt(2*pi)",
            ),
            "no known exponential family",
        ),
        (
            dict(
                data={"x": "(-oo, oo)"},
                latent={"u": "(-oo, oo)", "v": "(0, oo)"},
                parameters={"m": "real"},
                density="exp(-(x - u)**2/2)/sqrt(2*pi)*exp(-(u - m)**2/2)/sqrt(2*pi)*exp(-v)",
            ),
            "more than one",
        ),
    ],
)
def test_what_does_not_match_says_why(table: dict, words: str) -> None:
    answer = match_latent(Model.from_dict({**table, "normalises": False}).declaration)
    assert isinstance(answer, Unmatched) and words in answer.reason


# --- branches -------------------------------------------------------------------------------------


def test_components_are_branches_with_their_weights() -> None:
    mixture = model(data={"x": "(0, oo)"}, parameters={"a": "positive"}, density="a*exp(-a*x)").mixture(3)
    branches = read_branches(mixture.declaration)
    assert not isinstance(branches, Unmatched)
    assert [b.label for b in branches] == ["1", "2", "3"]
    assert sum(b.weight for b in branches).simplify() == 1
    assert len({c for b in branches for c in b.columns.values()}) == 3


def test_a_joint_density_is_taken_apart_by_the_values_of_its_latent_variable() -> None:
    two = model(
        data={"x": "{0..2}"},
        latent={"g": "{0, 1}", "h": "{0, 1}"},
        parameters={"t": "(0, 1)"},
        density="binomial(2, x)*t**x*(1 - t)**(2 - x)*(1/4)**(g + h)*(3/4)**(2 - g - h)",
    )
    branches = read_branches(two.declaration)
    assert not isinstance(branches, Unmatched)
    assert [b.label for b in branches] == ["g = 0, h = 0", "g = 0, h = 1", "g = 1, h = 0", "g = 1, h = 1"]


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0.05, 0.95),
    st.floats(0.1, 5),
    st.integers(0, 6),
)
def test_the_marginal_is_the_sum_of_the_branches(w: float, rate: float, x: int) -> None:
    inflated = model(
        data={"x": "{0..oo}"},
        parameters={"w": "(0, 1)", "m": "positive"},
        components=[
            {"weight": "w", "density": "Piecewise((1, Eq(x, 0)), (0, True))"},
            {"weight": "1 - w", "density": "exp(-m)*m**x/factorial(x)"},
        ],
    )
    branches = read_branches(inflated.declaration)
    assert not isinstance(branches, Unmatched)
    density = observed_declaration(inflated.declaration, branches).samples[0].density
    at = {inflated.symbol("x"): x, inflated.symbol("w"): w, inflated.symbol("m"): rate}
    plain = (w if x == 0 else 0) + (1 - w) * float(mpmath.exp(-rate) * rate**x / mpmath.factorial(x))
    assert float(density.xreplace(at)) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize(
    "table, words",
    [
        (
            dict(data={"x": "(0, t)"}, parameters={"t": "positive", "w": "(0, 1)"}, components=[
                {"weight": "w", "density": "1/t"}, {"weight": "1 - w", "density": "2*x/t**2"}]),
            "support moves",
        ),
        (
            dict(data={"x": "(0, oo)"}, parameters={"t": "positive", "w": "(0, 1)"}, components=[
                {"weight": "w", "density": "Piecewise((1/t, x < t), (0, True))"},
                {"weight": "1 - w", "density": "exp(-x)"}]),
            "pieces",
        ),
        (
            dict(data={"x": "{0..2}"}, latent={"z": "{0..60}"}, parameters={"t": "(0, 1)"},
                 density="binomial(2, x)*t**x*(1 - t)**(2 - x)*binomial(60, z)/2**60"),
            "61 values",
        ),
    ],
)  # fmt: skip
def test_structures_that_are_not_built_say_why(table: dict, words: str) -> None:
    answer = read_branches(Model.from_dict({**table, "normalises": False}).declaration)
    assert isinstance(answer, Unmatched) and words in answer.reason


def test_parameters_that_do_not_meet_are_solved_apart() -> None:
    shared = model(
        data={"x": "(-oo, oo)"},
        parameters={"w": "(0, 1)", "m1": "real", "m2": "real", "s": "positive"},
        components=[
            {"weight": "w", "density": "exp(-(x - m1)**2/(2*s**2))/(s*sqrt(2*pi))"},
            {"weight": "1 - w", "density": "exp(-(x - m2)**2/(2*s**2))/(s*sqrt(2*pi))"},
        ],
    )
    branches = read_branches(shared.declaration)
    assert not isinstance(branches, Unmatched) and all(isinstance(b, Branch) for b in branches)
    m_step, indicators = labelled_m_step(shared.declaration, branches)
    assert [len(p.columns) for p in m_step.samples] == [2, 1, 1] and len(indicators) == 2
    groups = [{p.name for p in d.parameters} for d in split_blocks(m_step)]
    assert groups == [{"w"}, {"m1", "m2", "s"}]
