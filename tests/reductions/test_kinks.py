"""Kinks: quantiles derived from the piecewise form, against plain numeric search; and what must not be claimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import optimize
from sympy import Abs, Interval, Max, Min, Rational, Symbol

from symmle import Model, NoMaximumError, NotDerivedError, derive, fit
from symmle.estimator import Kind
from symmle.sample import Maximum, Mean, Median, Minimum, Quantile, SampleOperator, WeightedQuantile

Array = Any
RNG = np.random.default_rng(11)


@dataclass(frozen=True)
class Case:
    """A model, its log-likelihood in NumPy (p, others, columns) and the values of p at which it bends."""

    name: str
    table: dict[str, Any]
    log_density: Callable[..., Array]
    kinks: Callable[..., Array]
    data: Callable[[int], dict[str, Array]]
    operators: tuple[type, ...] = ()  # those of the closed form; () for a search
    others: int = 0  # how many other parameters, all positive
    proved: bool = True


def model_of(
    density: str, data: Any = "(-oo, oo)", parameters: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    columns = {"x": data} if isinstance(data, str) else data
    return {"data": columns, "parameters": parameters or {"m": "real"}, "density": density, **more}


def normal(n: int) -> dict[str, Array]:
    return {"x": np.round(RNG.normal(2, 3, n), 2)}


def positive(n: int) -> dict[str, Array]:
    return {"x": np.round(RNG.gamma(2.0, 1.5, n) + 0.01, 3)}


def unit(n: int) -> dict[str, Array]:
    return {"x": np.round(RNG.beta(2, 1.3, n), 4)}


def lines(n: int) -> dict[str, Array]:
    z = np.round(RNG.normal(0.5, 1, n), 1)
    z[0] = 0.0
    return {"y": np.round(1.5 * z + RNG.laplace(0, 0.5, n), 2), "z": z}


def rising(n: int) -> dict[str, Array]:
    z = np.round(RNG.uniform(0.2, 3, n), 2)
    return {"y": np.round(1.5 * z + RNG.laplace(0, 0.5, n), 2), "z": z}


def own(x: Array) -> Array:
    return x


LOCATION = {"m": "real", "s": "positive"}
CASES = [
    Case(
        "Laplace, both",
        model_of("exp(-Abs(x - m)/s)/(2*s)", parameters=LOCATION),
        lambda m, s, x: -np.abs(x - m) / s - np.log(2 * s),
        own,
        normal,
        (Median, Mean),
        1,
    ),
    Case(
        "Laplace, scale first, inside",
        model_of("exp(-Abs((m - x)/s))/(2*s)", parameters={"s": "positive", "m": "real"}),
        lambda m, s, x: -np.abs(x - m) / s - np.log(2 * s),
        own,
        normal,
        (Median, Mean),
        1,
    ),
    Case(
        "Laplace, known scale",
        model_of("exp(-Abs(x - m)/c)/(2*c)", constants={"c": "3/2"}),
        lambda m, x: -np.abs(x - m) / 1.5,
        own,
        normal,
        (Median,),
    ),
    Case(
        "Laplace by its pieces",
        model_of("Piecewise((exp(x - m)/2, x < m), (exp(m - x)/2, True))"),
        lambda m, x: -np.abs(x - m),
        own,
        normal,
        (Median,),
    ),
    Case(
        "Laplace by a minimum",
        model_of("exp(Min((x - m)/s, (m - x)/s))/(2*s)", parameters=LOCATION),
        lambda m, s, x: -np.abs(x - m) / s - np.log(2 * s),
        own,
        normal,
        (Median, Mean),
        1,
    ),
    Case(
        "asymmetric Laplace, pieces",
        model_of(
            "p*(1 - p)/s*exp(-Piecewise((p*(x - m), x >= m), ((p - 1)*(x - m), True))/s)",
            parameters=LOCATION,
            constants={"p": "1/4"},
        ),
        lambda m, s, x: -np.maximum((x - m) / 4, -3 * (x - m) / 4) / s - np.log(s),
        own,
        normal,
        (Quantile, Mean),
        1,
    ),
    Case(
        "asymmetric Laplace, maximum",
        model_of(
            "p*(1 - p)/s*exp(-Max(p*(x - m), (p - 1)*(x - m))/s)", parameters=LOCATION, constants={"p": "2/3"}
        ),
        lambda m, s, x: -np.maximum(2 * (x - m) / 3, -(x - m) / 3) / s - np.log(s),
        own,
        normal,
        (Quantile, Mean),
        1,
    ),
    Case(
        "asymmetric Laplace, tilted",
        model_of("21/50*exp(-Abs(x - m) - (x - m)*2/5)"),
        lambda m, x: -np.abs(x - m) - 0.4 * (x - m),
        own,
        normal,
        (Quantile,),
    ),
    Case(
        "log-Laplace",
        model_of("exp(-Abs(log(x/m))/s)/(2*s*x)", "(0, oo)", {"m": "positive", "s": "positive"}),
        lambda m, s, x: -np.abs(np.log(x / m)) / s - np.log(2 * s * x),
        own,
        positive,
        (Median, Mean),
        1,
    ),
    Case(
        "log-Laplace, median of logs",
        model_of("exp(-Abs(log(x) - m)/s)/(2*s*x)", "(0, oo)", LOCATION),
        lambda m, s, x: -np.abs(np.log(x) - m) / s - np.log(2 * s * x),
        lambda x: np.log(x),
        positive,
        (Median, Mean),
        1,
    ),
    Case(
        "double Pareto",
        model_of("Piecewise((x/m, x < m), ((m/x)**2, True))*2/(3*m)", "(0, oo)", {"m": "positive"}),
        lambda m, x: np.where(x < m, np.log(x / m), 2 * np.log(m / x)) - np.log(m),
        own,
        positive,
        (Quantile,),
    ),
    Case(
        "least absolute deviations through the origin",
        model_of("exp(-Abs(y - m*z)/s)/(2*s)", {"y": "(-oo, oo)"}, LOCATION, covariates=["z"]),
        lambda m, s, y, z: -np.abs(y - m * z) / s - np.log(2 * s),
        lambda y, z: y / np.where(z == 0, np.nan, z),
        lines,
        (WeightedQuantile, Mean),
        1,
    ),
    Case(
        "least absolute deviations, known intercept",
        model_of(
            "exp(-Abs(y - a - m*z)/s)/(2*s)",
            {"y": "(-oo, oo)"},
            LOCATION,
            covariates=["z"],
            constants={"a": "1/2"},
        ),
        lambda m, s, y, z: -np.abs(y - 0.5 - m * z) / s - np.log(2 * s),
        lambda y, z: (y - 0.5) / np.where(z == 0, np.nan, z),
        lines,
        (WeightedQuantile, Mean),
        1,
    ),
    Case(
        "least absolute deviations, known slope",
        model_of("exp(-Abs(y - m - 2*z)/s)/(2*s)", {"y": "(-oo, oo)"}, LOCATION, covariates=["z"]),
        lambda m, s, y, z: -np.abs(y - m - 2 * z) / s - np.log(2 * s),
        lambda y, z: y - 2 * z,
        lines,
        (Median, Mean),
        1,
    ),
    Case(
        "ratio model",
        model_of(
            "exp(-Abs(y - m*z)/(s*z))/(2*s*z)", {"y": "(-oo, oo)"}, LOCATION, covariates={"z": "(0, oo)"}
        ),
        lambda m, s, y, z: -np.abs(y - m * z) / (s * z) - np.log(2 * s * z),
        lambda y, z: y / z,
        rising,
        (Median, Mean),
        1,
    ),
    Case(
        "quantile regression through the origin",
        model_of("3/(4*s)*exp(-Max(3*(y - m*z), m*z - y)/s)", {"y": "(-oo, oo)"}, LOCATION, covariates=["z"]),
        lambda m, s, y, z: -np.maximum(3 * (y - m * z), m * z - y) / s - np.log(s),
        lambda y, z: y / np.where(z == 0, np.nan, z),
        lines,
        (WeightedQuantile, Mean),
        1,
    ),
    Case(
        "domain with closed ends",
        model_of("exp(-Abs(x - m)/s)/(2*s)", parameters={"m": "[0, 1]", "s": "positive"}),
        lambda m, s, x: np.where((m >= 0) & (m <= 1), -np.abs(x - m) / s - np.log(2 * s), -np.inf),
        lambda x: np.clip(x, 0, 1),
        normal,
        (Median, Mean),
        1,
    ),
    # --- searched ---
    Case(
        "asymmetric Laplace, all unknown",
        model_of(
            "p*s/(1 + p**2)*exp(-s*Max(p*(x - m), (m - x)/p))", parameters={**LOCATION, "p": "positive"}
        ),
        lambda m, s, p, x: -s * np.maximum(p * (x - m), (m - x) / p) + np.log(p * s / (1 + p**2)),
        own,
        normal,
        (),
        2,
    ),
    Case(
        "two scales",
        model_of(
            "Piecewise((exp(-(x - m)/s), x >= m), (exp((x - m)/r), True))/(s + r)",
            parameters={**LOCATION, "r": "positive"},
        ),
        lambda m, s, r, x: np.where(x >= m, -(x - m) / s, (x - m) / r) - np.log(s + r),
        own,
        normal,
        (),
        2,
    ),
    Case(
        "triangular",
        model_of("Piecewise((2*x/m, x < m), (2*(1 - x)/(1 - m), True))", "(0, 1)", {"m": "(0, 1)"}),
        lambda m, x: np.where(x < m, np.log(2 * x / m), np.log(2 * (1 - x) / (1 - m))),
        own,
        unit,
    ),
    Case(
        "cusp",
        model_of("exp(-sqrt(Abs(x - m))/s)/(4*s**2)", parameters=LOCATION),
        lambda m, s, x: -np.sqrt(np.abs(x - m)) / s - np.log(4 * s**2),
        own,
        normal,
        (),
        1,
    ),
    Case(
        "insensitive to small deviations",
        model_of("exp(-Max(0, Abs(x - m) - 1)/s)/(2*s + 2)", parameters=LOCATION),
        lambda m, s, x: -np.maximum(0, np.abs(x - m) - 1) / s - np.log(2 * s + 2),
        lambda x: np.concatenate([x - 1, x, x + 1]),
        normal,
        (),
        1,
    ),
    Case(
        "Laplace on the half line",
        model_of("exp(-Abs(x - m)/s)/(s*(2 - exp(-m/s)))", "(0, oo)", {"m": "positive", "s": "positive"}),
        lambda m, s, x: -np.abs(x - m) / s - np.log(s * (2 - np.exp(-m / s))),
        own,
        positive,
        (),
        1,
    ),
    Case(
        "Laplace and normal",
        model_of("exp(-Abs(x - m) - (x - m)**2/2)/c", constants={"c": "1.31135888"}, normalises=False),
        lambda m, x: -np.abs(x - m) - (x - m) ** 2 / 2,
        own,
        normal,
    ),
    Case(
        "scale with a kink",
        model_of("exp(-Abs(x/m - 1))/(m*(2 - exp(-1)))", "(0, oo)", {"m": "positive"}),
        lambda m, x: np.where(m > 0, -np.abs(x / m - 1) - np.log(np.abs(m)), -np.inf),
        own,
        positive,
        proved=False,
    ),
]
IDS = [c.name for c in CASES]
NAMED = {c.name: c for c in CASES}
FITTED: dict[str, Any] = {}


def derived(case: Case) -> Any:
    if case.name not in FITTED:
        FITTED[case.name] = derive(Model.from_dict({**case.table}), time_limit=60.0)
    return FITTED[case.name]


def highest(case: Case, columns: dict[str, Array], weights: Array) -> float:
    """The largest log-likelihood over all kinks and a grid of p, the others by a simplex search."""
    kinks = case.kinks(**columns)
    kinks = kinks[np.isfinite(kinks)]
    low, high = kinks.min(), kinks.max()
    grid = np.concatenate([kinks, np.linspace(low, high, 25)])

    def height(m: float, logs: Array) -> float:
        with np.errstate(all="ignore"):
            found = float(np.sum(weights * case.log_density(m, *np.exp(logs), **columns)))
        return found if np.isfinite(found) else -1e300

    if not case.others:
        return max(height(m, np.zeros(0)) for m in grid)
    best = -np.inf
    for m in grid:
        if case.others == 1:
            answer = optimize.minimize_scalar(
                lambda u, m=m: -height(m, np.array([u])), bounds=(-6, 6), method="bounded"
            )
        else:
            answer = optimize.minimize(
                lambda u, m=m: -height(m, u),
                np.zeros(case.others),
                method="Nelder-Mead",
                options={"xatol": 1e-6},
            )
        best = max(best, -float(answer.fun))
    return best


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_derivation_is_checked_and_says_why(case: Case) -> None:
    derivation = derived(case)
    estimator = derivation.estimator
    verification = derivation.verify()
    assert verification, str(verification)
    rules = [step.rule for step in derivation.steps]
    assert "why not the score" in rules
    (point,) = estimator.points
    assert (point.kind is Kind.GLOBAL_MAXIMUM) == case.proved
    if case.proved:
        assert point.certificate is not None
        assert point.certificate.check()[0]
        assert "certificate" in rules
    if case.operators:
        assert rules.index("why not the score") < rules.index("slope") < rules.index("quantile")
        used = {type(o) for e in estimator.closed.values() for o in e.atoms(SampleOperator)}
        assert used == set(case.operators)
        assert list(map(str, estimator.closed)) == list(case.table["parameters"])
    else:
        assert not estimator.closed
        assert [str(p) for p in estimator.searched] == ["m"]
    assert derivation.latex()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_never_beaten(case: Case, weighted: bool) -> None:
    derivation = derived(case)
    for n in (2, 3, 6, 9) if not case.others else (5, 8):
        if case.others == 2 and n == 8 and weighted:
            continue
        columns = case.data(n)
        weights = RNG.integers(1, 4, n).astype(float) if weighted else np.ones(n)
        best = highest(case, columns, weights)
        try:
            result = fit(derivation, columns, weights=weights if weighted else None)
        except NoMaximumError as refusal:
            if "not all equal" in str(refusal) or case.others < 2:
                raise
            assert refusal.supremum is not None
            assert refusal.supremum["log_likelihood"] >= best - 1e-6 * (1 + abs(best))
            continue
        value = result.estimates["m"]
        others = [result.estimates[p] for p in case.table["parameters"] if p != "m"]
        with np.errstate(all="ignore"):
            own_height = float(np.sum(weights * case.log_density(value, *others, **columns)))
        assert own_height >= best - 1e-7 * (1 + abs(best)), (columns, result.estimates)
        kinks = case.kinks(**columns)
        if case.proved and case.name != "Laplace and normal":
            near = np.nanmin(np.abs(kinks - value))
            assert near <= 1e-12 * (1 + abs(value))


def test_even_samples_have_a_set_of_maximisers() -> None:
    result = fit(derived(NAMED["Laplace, known scale"]), [4.0, 1.0, 2.0, 3.0])
    assert result.estimates["m"] == 2.0
    assert result.unique is False
    assert result.maximisers == {"m": (2.0, 3.0)}
    odd = fit(derived(NAMED["Laplace, known scale"]), [4.0, 1.0, 2.0])
    assert odd.unique is not False
    third = model_of("exp(-Max(2*(m - x), x - m))*2/3")
    hit = fit(Model.from_dict(third), [5.0, 1.0, 2.0])
    assert hit.maximisers == {"m": (1.0, 2.0)}


def test_a_flat_stretch_of_a_search_is_an_interval() -> None:
    samples = [
        {"data": {"x": "(-oo, oo)"}, "density": "exp(-Abs(x - m)/s)/(2*s)"},
        {"data": {"y": "(-oo, oo)"}, "density": "exp(-Abs(y - m)/s)/(2*s)"},
    ]
    derivation = derive(Model.from_dict({"samples": samples, "parameters": LOCATION}))
    assert derivation.verify()
    x, y = [1.0, 7.0, 3.0], [2.0, 8.0, 9.0]
    result = fit(derivation, {"x": x, "y": y})
    assert result.maximisers == {"m": (3.0, 7.0)}
    assert result.unique is False
    pooled = np.array(x + y)
    assert result.estimates["s"] == pytest.approx(np.mean(np.abs(pooled - 5)), rel=1e-12)
    even = fit(derivation, {"x": [1.0, 7.0], "y": [4.0]})
    assert even.estimates["m"] == 4.0


def test_two_samples_with_their_own_medians_share_a_scale() -> None:
    samples = [
        {"data": {"x": "(-oo, oo)"}, "density": "exp(-Abs(x - a)/s)/(2*s)"},
        {"data": {"y": "(-oo, oo)"}, "density": "exp(-Abs(y - b)/s)/(2*s)"},
    ]
    parameters = {"a": "real", "b": "real", "s": "positive"}
    derivation = derive(Model.from_dict({"samples": samples, "parameters": parameters}))
    assert derivation.verify()
    assert derivation.estimator.points[0].kind is Kind.GLOBAL_MAXIMUM
    x, y = np.array([1.0, 7.0, 3.0]), np.array([2.0, 8.0, 9.0, 4.0, 5.0])
    result = fit(derivation, {"x": x, "y": y})
    spread = (np.abs(x - 3).sum() + np.abs(y - 5).sum()) / 8
    assert result.estimates == pytest.approx({"a": 3, "b": 5, "s": spread}, rel=1e-12)


def test_published_values() -> None:
    x = [1, 1, 3, 5, 8, 14]  # SciPy's own test of fixed parameters
    laplace = Model.from_dict(model_of("exp(-Abs(x - m)/s)/(2*s)", parameters=LOCATION))
    assert fit(derive(laplace, fixed={"m": 6}), x).estimates == pytest.approx({"s": 4})
    known = fit(derive(laplace, fixed={"s": 6}), x)
    assert known.maximisers == {"m": (3.0, 5.0)}  # 4 is one of them
    any_in = fit(derive(laplace, fixed={"s": 1}), [1, 2, 3, 4])
    assert any_in.maximisers == {"m": (2.0, 3.0)}
    symbolic = derive(laplace, fixed={"s"})
    assert fit(symbolic, x, fixed={"s": 6}).maximisers == {"m": (3.0, 5.0)}


def test_closed_forms_are_textbook_forms() -> None:
    x, m = Symbol("x", real=True), Symbol("m", real=True)
    both = derived(NAMED["Laplace, both"]).estimator
    (column,) = {c for e in both.closed.values() for o in e.atoms(SampleOperator) for c in o.columns}
    assert str(column) == str(x)
    median = Median(column, (column,))
    assert both.closed[m] == median
    assert both.closed["s"] == Mean(Abs(column - median), (column,))
    assert both.maximisers["m"] == Interval(median, -Quantile(-column, Rational(1, 2), (column,)))
    assert [c.reading for c in both.conditions] == ["not all equal"]
    assert both.conditions[0].expression == (Minimum(column, (column,)) < Maximum(column, (column,)))
    clipped = derived(NAMED["domain with closed ends"]).estimator.closed["m"]
    (column,) = {c for o in clipped.atoms(SampleOperator) for c in o.columns}
    assert clipped == Min(1, Max(0, Median(column, (column,))))


REFUSED: list[tuple[str, dict[str, Any], Any, str]] = [
    ("constant sample", NAMED["Laplace, both"].table, {"x": [3.0, 3.0, 3.0]}, "not all equal"),
    (
        "all covariates 0",
        NAMED["least absolute deviations through the origin"].table,
        {"y": [1.0, 2.0], "z": [0.0, 0.0]},
        "",
    ),
    (
        "below an open end",
        model_of("exp(-Abs(x - m))/2", parameters={"m": "positive"}),
        {"x": [-3.0, -1.0, 2.0]},
        "",
    ),
    (
        "an exponential sample",
        NAMED["asymmetric Laplace, all unknown"].table,
        {"x": [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 9.0]},
        "no maximum",
    ),
]


@pytest.mark.parametrize("row", REFUSED, ids=[r[0] for r in REFUSED])
def test_no_maximum(row: Any) -> None:
    _, table, data, text = row
    with pytest.raises(NoMaximumError) as refusal:
        fit(Model.from_dict(table), data)
    assert text in str(refusal.value)


def test_the_greatest_of_several_maximisers_may_be_the_one_inside() -> None:
    model = Model.from_dict(model_of("exp(-Abs(x - m))/2", parameters={"m": "positive"}))
    assert fit(model, [-3.0, -1.0, 2.0, 5.0]).estimates["m"] == 2.0


# a kink that is not one of a concave piecewise linear function must give no quantile
NO_QUANTILE: list[tuple[str, dict[str, Any]]] = [
    ("smooth power", model_of("exp(-Abs(x - m)**3)*3/(2*gamma(1/3))")),
    ("unknown power", model_of("k*exp(-Abs(x - m)**k)/(2*gamma(1/k))", parameters={"m": "real", "k": "positive"})),
    ("cusp", NAMED["cusp"].table),
    ("triangular", NAMED["triangular"].table),
    ("split normal", model_of("sqrt(2/pi)/3*exp(-(x - m)**2/Piecewise((2, x < m), (8, True)))")),
    ("rising away from the kink", model_of("exp(Abs(x - m))/(exp(m) + exp(1 - m) - 2)", "[0, 1]", {"m": "[0, 1]"})),
    ("a mixture of scales", model_of("exp(-Abs(x - m))/4 + exp(-Abs(x - m)/2)/8")),
    ("a scale under the kink", NAMED["scale with a kink"].table),
]  # fmt: skip


@pytest.mark.parametrize("row", NO_QUANTILE, ids=[r[0] for r in NO_QUANTILE])
def test_no_quantile_is_claimed(row: Any) -> None:
    derivation = derive(Model.from_dict(row[1]), time_limit=30.0)
    used = {type(o) for e in derivation.estimator.closed.values() for o in e.atoms(SampleOperator)}
    assert not used & {Median, Quantile, WeightedQuantile}
    assert all(step.rule != "quantile" for step in derivation.steps)
    assert derivation.verify()


def test_a_density_that_rises_from_its_kink_is_largest_at_an_end() -> None:
    derivation = derive(Model.from_dict(NO_QUANTILE[5][1]))
    x = np.array([0.1, 0.2, 0.25, 0.9])
    m = np.linspace(0, 1, 4001)
    heights = [np.sum(np.abs(x - v)) - len(x) * np.log(np.exp(v) + np.exp(1 - v) - 2) for v in m]
    try:
        result = fit(derivation, x)
    except NotDerivedError:
        return
    assert result.log_likelihood >= max(heights) - 1e-7


def test_many_rows() -> None:
    x = RNG.laplace(3, 2, 100_001)
    result = fit(derived(NAMED["Laplace, both"]), x)
    assert result.estimates["m"] == np.median(x)
    assert result.estimates["s"] == pytest.approx(np.mean(np.abs(x - np.median(x))), rel=1e-12)
    with pytest.raises(NotDerivedError, match="would have to be compared"):
        fit(derived(NAMED["asymmetric Laplace, all unknown"]), RNG.laplace(0, 1, 6000))
    middling = RNG.laplace(0, 1, 700)
    assert fit(derived(NAMED["asymmetric Laplace, all unknown"]), middling).estimates["m"] in middling


LINES: list[tuple[str, dict[str, Any], float]] = [
    ("median line", model_of("exp(-Abs(y - a - m*z)/s)/(2*s)", {"y": "(-oo, oo)"},
        {"a": "real", "m": "real", "s": "positive"}, covariates=["z"]), 0.5),
    ("median line, known scale, slope first", model_of("exp(-Abs(y - a - m*z))/2", {"y": "(-oo, oo)"},
        {"m": "real", "a": "real"}, covariates=["z"]), 0.5),
    ("quantile line", model_of("3/(4*s)*exp(-Max(3*(y - a - m*z), a + m*z - y)/s)", {"y": "(-oo, oo)"},
        {"a": "real", "m": "real", "s": "positive"}, covariates=["z"]), 0.75),
]  # fmt: skip


def least_loss(y: Array, z: Array, share: float) -> float:
    """The least sum of check losses over all lines, as a linear program."""
    n = len(y)
    rows = np.hstack([np.ones((n, 1)), z[:, None], np.eye(n), -np.eye(n)])
    costs = np.r_[0, 0, np.full(n, share), np.full(n, 1 - share)]
    found = optimize.linprog(costs, A_eq=rows, b_eq=y, bounds=[(None, None)] * 2 + [(0, None)] * (2 * n))
    return float(found.fun)


@pytest.mark.parametrize("row", LINES, ids=[r[0] for r in LINES])
def test_a_line_and_its_intercept(row: Any) -> None:
    _, table, share = row
    derivation = derive(Model.from_dict(table))
    assert derivation.verify()
    (point,) = derivation.estimator.points
    assert point.kind is Kind.GLOBAL_MAXIMUM
    assert point.certificate is not None
    assert point.certificate.check()[0]
    for n in (5, 20, 150):
        z = RNG.normal(1, 2, n)
        y = 2 - z + RNG.laplace(0, 1, n)
        result = fit(derivation, {"y": y, "z": z})
        residuals = y - result.estimates["a"] - result.estimates["m"] * z
        loss = np.sum(np.maximum(share * residuals, (share - 1) * residuals))
        assert loss == pytest.approx(least_loss(y, z, share), rel=1e-10)
        if "s" in result.estimates:
            scale = 4 if share != 0.5 else 2
            assert result.estimates["s"] == pytest.approx(scale * loss / n, rel=1e-10)
    with pytest.raises(NoMaximumError):
        fit(derivation, {"y": [1.0, 2.0, 4.0], "z": [1.0, 1.0, 1.0]})
