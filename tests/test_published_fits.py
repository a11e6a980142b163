"""Fits from default arguments against published and independently recomputed facts."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from laws_for_fits import column, law  # type: ignore[import-not-found]

from symmle import NoMaximumError, derive, fit
from symmle.fitting.result import FitResult

HEIGHT, ESTIMATE, ERROR = 1e-7, 1e-5, 1e-4


def repeated(**counts: int) -> list[float]:
    """Values by their counts: _3=2 is 3, 3."""
    return [float(k[1:]) for k, count in counts.items() for _ in range(count)]


def right_censored(text: str) -> dict[str, list[float]]:
    """Columns x and d from numbers of which a + marks those that are right-censored."""
    words = text.split()
    return {"x": [float(w.rstrip("+")) for w in words], "d": [float(not w.endswith("+")) for w in words]}


DENTAL = [141, 16, 46, 40, 351, 259, 317, 1511, 107, 567]
TOXOCARA = repeated(_0=14, _1=8, _2=5, _3=1, _4=6, _5=2, _6=1, _7=1, _9=2, _11=1, _12=1, _16=1, _19=1, _20=1, _21=1,
                    _28=2, _30=1, _33=1, _40=1, _41=1, _75=1)  # fmt: skip
OVARIAN = {"x": column("ovarian", "futime"), "d": column("ovarian", "fustat")}
_DATES = column("coal")
COAL = [b - a for a, b in itertools.pairwise(_DATES)]  # years between explosions; two were on one day
AML = right_censored("9 13 13+ 18 23 28+ 31 34 45+ 48 161+ 5 5 8 8 12 16+ 23 27 30 33 43 45")
GEHAN = right_censored("10 7 32+ 23 22 6 16 34+ 32+ 25+ 11+ 20+ 19+ 6 17+ 35+ 6+ 13 9+ 6 10+")
AUTOMOTIVE = right_censored(
    "5248 7454 16890 17200 38700 45000 49390 69040 72280 131900 3961+ 4007+ 4734+ 6054+ 7298+ 10190+ 23060+ 27160+ "
    "28690+ 37100+ 40060+ 45670+ 53000+ 67000+ 69630+"
)

DATA: dict[str, Any] = {
    "ground beef": column("groundbeef"),
    "endosulfan": column("endosulfan"),
    "toxocara": TOXOCARA,
    "Danish fire losses": column("danishuni"),
    "Egyptian ages at death": column("egypt"),
    "Corbet's butterflies": column("corbet"),
    "precipitation": column("precip"),
    "Newcomb's speed of light": column("newcomb"),
    "abbey": column("abbey"),
    "air conditioning": column("aircondit"),
    "Port Pirie": column("portpirie"),
    "dental": DENTAL,
    "ball bearings": column("ballbearings"),
    "rivers": column("rivers"),
    "New Haven": column("nhtemp"),
    "coal mines": COAL,
    "ovarian": OVARIAN,
    "aml": AML,
    "gehan": GEHAN,
    "automotive": AUTOMOTIVE,
    "1 2.5 3 ...": right_censored("1 2.5 3 6 7.5 10 12 12 14.5 15 16+ 16+ 20+ 20+ 21+ 22+"),
    "2.5 2.9 ...": right_censored("2.5 2.9 3.8 9.1 9.3 12 23 25+"),
    "3 5 6+ ...": right_censored("3 5 6+ 8 10+ 11+ 15 20+ 22 23 27+ 29 32 35 40 26 28 33+ 21 24+"),
}


@dataclass(frozen=True)
class Published:
    """Estimates, standard errors and the log-likelihood of one law on one data set; intervals by profile."""

    law: str
    data: str
    estimates: dict[str, float]
    height: float | None = None
    errors: dict[str, float] = field(default_factory=dict)
    aic: float | None = None
    bic: float | None = None
    profiles: dict[str, tuple[float, float]] = field(default_factory=dict)
    digits: float = ESTIMATE  # relative, where fewer are printed
    error_digits: float = ERROR
    unbounded: bool = False  # a density that can be made as high as one likes at one row

    def __str__(self) -> str:
        return f"{self.law} on {self.data}"


P = Published
UNCENSORED = [
    P("Weibull", "ground beef", {"shape": 2.18561233, "scale": 83.3466688}, -1255.22471986,
      {"shape": 0.104566, "scale": 2.52712}, aic=2514.449),
    P("gamma", "ground beef", {"shape": 4.00833903, "rate": 0.0544273556}, -1253.62511369,
      {"shape": 0.341913, "rate": 0.00494611}, aic=2511.250, bic=2518.325),
    P("lognormal", "ground beef", {"mu": 4.16937009, "sigma": 0.536609513}, -1261.31929868,
      {"mu": 0.0336699, "sigma": 0.0238082}, aic=2526.639),
    P("lognormal", "endosulfan", {"mu": 2.55381626, "sigma": 3.14724036}, -532.40520199,
      {"mu": 0.308612, "sigma": 0.218222}),
    P("negative binomial, mean", "toxocara", {"size": 0.396996493, "mu": 8.67924528}, -159.34408612,
      {"size": 0.0828511, "mu": 1.93492}, aic=322.68818),
    P("Poisson", "toxocara", {"mu": 8.67924528}, -507.53342979, {"mu": 0.404672}, aic=1017.06686),
    P("lognormal", "Danish fire losses", {"mu": 0.78695008, "sigma": 0.716554513}, -4057.89746127,
      {"mu": 0.0153929, "sigma": 0.0108844}),
    P("Weibull", "Egyptian ages at death", {"shape": 1.40415842, "scale": 33.5635644}, -613.11438462,
      {"shape": 0.0955872, "scale": 2.11279}),
    P("gamma", "Egyptian ages at death", {"shape": 1.60913858, "rate": 0.0524315315}, -615.38610057,
      {"shape": 0.175373, "rate": 0.006691}, aic=1234.772),
    P("negative binomial", "Corbet's butterflies", {"size": 1.38996170, "p": 0.173989579}, -1472.54695093,
      {"size": 0.102478, "p": 0.0121729}),
    P("gamma", "precipitation", {"shape": 4.71707973, "rate": 0.135215226}, -288.46462442,
      {"shape": 0.770792, "rate": 0.0233142},
      profiles={"shape": (3.36796, 6.398714), "rate": (0.0944204, 0.1860889)}),
    P("normal", "precipitation", {"mu": 34.8857143, "sigma": 13.6083933}, -282.07377014),
    P("Weibull", "precipitation", {"shape": 2.82877378, "scale": 39.0843712}, -282.40630072),
    P("lognormal", "precipitation", {"mu": 3.44235094, "sigma": 0.524679565}, -295.14253414),
    P("Student t", "Newcomb's speed of light", {"m": 27.4017511, "s": 3.81036645, "nu": 2.13113300},
      -215.37590377, {"m": 0.6089, "s": 0.6189, "nu": 0.6623}),
    P("Student t", "abbey", {"m": 9.96581488, "s": 3.44056807, "nu": 1.38207306}, -106.95759661, unbounded=True),
    P("exponential", "air conditioning", {"rate": 0.00925212028}, -68.19483041, {"rate": 0.00267086},
      profiles={"rate": (0.004954442, 0.01551735)}),
    P("gamma", "air conditioning", {"shape": 0.706493175, "rate": 0.00653655983}, -67.64542456,
      {"shape": 0.245972, "rate": 0.00319669}),
    P("GEV", "Port Pirie", {"mu": 3.87474986, "sigma": 0.198043957, "xi": -0.0501095316}, 4.33905847,
      {"mu": 0.02793, "sigma": 0.02025, "xi": 0.09826}, error_digits=3e-4, unbounded=True,
      profiles={"xi": (-0.2181571, 0.1704056)}),
    P("exponential", "dental", {"rate": 0.00298062593}, -68.15621956),
    P("Pareto", "dental", {"shape": 3.03943764, "scale": 704.443256}, -67.74743502,
      {"shape": 4.2, "scale": 1251}, error_digits=1e-2),
    P("gamma", "dental", {"shape": 0.801100413, "rate": 0.00238778066}, -67.98053463),
    P("Weibull", "ball bearings", {"shape": 2.10184686, "scale": 81.8745587}, -113.69195909,
      {"shape": 0.328657, "scale": 8.60093}),
    P("gamma", "ball bearings", {"shape": 4.02470641, "rate": 0.0557277479}, -113.02981884),
    P("lognormal", "ball bearings", {"mu": 4.15038269, "sigma": 0.521686511}, -113.12855433),
    P("inverse Gaussian", "ball bearings", {"mu": 72.2208696, "lam": 231.630331}, -113.20464798),
    P("generalised gamma", "ball bearings", {"mu": 4.23064, "sigma": 0.509982, "lam": 0.307639}, -112.96924625,
      digits=2e-4),  # mu is printed as 4.23064, where l is lower than at 4.2300653
    P("lognormal", "rivers", {"mu": 6.17587888, "sigma": 0.589382913}, -996.32548839),
    P("normal", "New Haven", {"mu": 51.16, "sigma": 1.2550166}, -98.76523998),
    P("exponential from 0", "coal mines", {"rate": 1.7114478779}, -87.905452352),
]  # fmt: skip

CENSORED = [
    P("censored exponential", "1 2.5 3 ...", {"rate": 1 / 19.85}, errors={"rate": 6.277119 / 19.85**2}),
    P("censored Weibull", "3 5 6+ ...", {"shape": 2.149, "scale": 28.99}, digits=3e-4),
    P("censored Weibull", "ovarian", {"shape": 1.10805974, "scale": 1225.41896}, -97.95390105),
    P("censored exponential", "ovarian", {"rate": 0.000769822941}, -98.03220020),
    P("censored lognormal", "ovarian", {"mu": 6.77210986, "sigma": 1.26577093}, -97.12174204265681),
    P("censored log-logistic", "ovarian", {"shape": 1.37597573, "scale": 837.75288}, -97.35470448),
    P("censored Weibull", "aml", {"shape": 1.09660909, "scale": 38.186811}, -83.17866923),
    P("censored exponential", "gehan", {"rate": 9 / 359}, -42.17488030),
    P("censored Weibull", "gehan", {"shape": 1.35373452, "scale": 33.765151}, -41.65867848),
    P("censored Weibull", "automotive", {"shape": 1.45023352, "scale": 76128.1745}, -122.83853814),
    P("censored lognormal", "automotive", {"mu": 10.9571908, "sigma": 1.08468977}, -123.72057694),
    P("censored gamma", "2.5 2.9 ...", {"shape": 1.447623, "rate": 1 / 8.360197}, errors={"shape": 0.7053086}),
    P("censored gamma", "ovarian", {"shape": 1.22933315, "rate": 0.00105516621}, -97.86379723453011),
    P("censored gamma", "automotive", {"shape": 1.608288, "rate": 1 / 45281.1}, -123.00003612, digits=3e-5),
    P("censored normal", "automotive", {"mu": 64326.7401, "sigma": 36533.0388}, -124.44414020),
]  # fmt: skip


@cache
def fitted(name: str, data: str) -> FitResult:
    found: FitResult = fit(law(name), DATA[data])
    return found


SLOW = {
    "generalised gamma",
    "censored gamma",
    "censored lognormal",
    "censored normal",
    "censored log-logistic",
}
ROWS = [
    pytest.param(row, id=str(row), marks=pytest.mark.slow if row.law in SLOW else ())
    for row in [*UNCENSORED, *CENSORED]
]


@pytest.mark.parametrize("row", ROWS)
def test_published(row: Published) -> None:
    result = fitted(row.law, row.data)
    assert result.estimates == pytest.approx(row.estimates, rel=row.digits)
    if row.height is not None:
        assert result.log_likelihood == pytest.approx(row.height, rel=HEIGHT)
    if row.aic is not None:
        assert result.aic == pytest.approx(row.aic, abs=6e-4)
    if row.bic is not None:
        assert result.bic == pytest.approx(row.bic, abs=6e-4)
    assert not result.boundary
    if row.unbounded:  # both: free degrees of freedom below 1/(n - 1), xi below -1
        assert result.unbounded
        assert "largest interior local maximum" in result.status
    elif row.law != "Student t":
        assert not result.unbounded
    assert result.standard_errors is not None
    for parameter, value in row.errors.items():
        assert result.standard_errors[parameter] == pytest.approx(value, rel=row.error_digits)


PROFILED = [(row, parameter) for row in UNCENSORED for parameter in row.profiles]


@pytest.mark.parametrize(("row", "parameter"), PROFILED)
def test_published_profile_intervals(row: Published, parameter: str) -> None:
    found = fitted(row.law, row.data).confidence_intervals(method="profile")[parameter]
    assert found == pytest.approx(row.profiles[parameter], rel=1e-5)


# Weibull, lognormal and gamma on the servings of ground beef, as printed
DISTANCES = {
    "Weibull": (0.1396256, 0.6839600, 3.5730718),
    "lognormal": (0.1493090, 0.8277358, 4.5436542),
    "gamma": (0.1280479, 0.6936765, 3.5670921),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_published_distances(name: str) -> None:
    found = fitted(name, "ground beef").goodness_of_fit(resamples=0).statistics
    assert list(found.values()) == pytest.approx(DISTANCES[name], rel=1e-6)


# --- no maximum, sets of maxima, whole numbers, several maxima --------------------------------------

HORSE_KICKS = repeated(_0=109, _1=65, _2=22, _3=3, _4=1)
UNIFORM = [
    *(0.417022, 0.720324, 0.000114, 0.302333, 0.146756, 0.092339, 0.18626, 0.345561, 0.396767, 0.538817),
    *(0.419195, 0.68522, 0.204452, 0.878117, 0.027388, 0.670468, 0.417305, 0.55869, 0.140387, 0.198101),
    *(0.800745, 0.968262, 0.313424, 0.692323, 0.876389, 0.894607, 0.085044, 0.039055, 0.16983, 0.878143),
]


def refusal(name: str, data: Any) -> NoMaximumError:
    with pytest.raises(NoMaximumError) as caught:
        fit(law(name), data)
    assert name in str(caught.value)
    return caught.value


def test_counts_with_less_variance_than_mean_have_no_negative_binomial() -> None:
    for name in ("negative binomial, mean", "negative binomial"):
        error = refusal(name, HORSE_KICKS)
        assert error.supremum is not None
        assert error.supremum["log_likelihood"] == pytest.approx(-206.10672147, rel=HEIGHT)
    result = fit(law("Poisson"), HORSE_KICKS)
    assert result.estimates == pytest.approx({"mu": 0.61}, rel=ESTIMATE)
    assert result.log_likelihood == pytest.approx(-206.10672147, rel=HEIGHT)
    interval = result.confidence_intervals(method="profile")["mu"]
    assert interval == pytest.approx((0.5080629, 0.7247374), rel=1e-6)


HEIGHTS_BY_SIZE = {10: -206.28457, 100: -206.11059, 1000: -206.10695, 100000: -206.10672}


def test_negative_binomials_approach_the_poisson_law() -> None:
    law_of_mean = derive(law("negative binomial, mean").model, fixed={"size": None})
    for size, height in HEIGHTS_BY_SIZE.items():
        result = fit(law_of_mean, HORSE_KICKS, fixed={"size": size})
        assert result.estimates["mu"] == pytest.approx(0.61, rel=ESTIMATE)
        assert result.log_likelihood == pytest.approx(height, abs=6e-6)


@pytest.mark.parametrize(
    ("counts", "size", "p", "height"),
    [
        ([16, 18, 22, 25, 27], 99, 0.21818, -14.181118773),
        ([16, 18, 22, 25, 28], 191, 0.11413613, -14.486330019),
    ],
)
def test_binomial_with_both_parameters(counts: list[int], size: int, p: float, height: float) -> None:
    result = fit(law("binomial, both"), counts)
    assert result.estimates["N"] == size
    assert result.estimates["p"] == pytest.approx(p, rel=2e-5)
    assert result.log_likelihood == pytest.approx(height, rel=1e-10)


def test_the_height_beside_the_flat_maximum_of_a_binomial() -> None:
    beside = derive(law("binomial, both").model, fixed={"N": 190})
    result = fit(beside, [16, 18, 22, 25, 28])
    assert result.log_likelihood == pytest.approx(-14.486330282, abs=6e-10)


def test_two_distant_values_under_a_cauchy_law() -> None:
    """0 is a minimum: the two maxima at -sqrt(8) and sqrt(8) tie."""
    result = fit(law("Cauchy location"), [-3, 3])
    assert abs(result.estimates["m"]) == pytest.approx(math.sqrt(8), rel=1e-12)
    assert result.log_likelihood == pytest.approx(-5.8729787102, rel=1e-10)
    assert result.unique is False


def test_all_stationary_points_of_the_two_distant_values() -> None:
    points = law("Cauchy location").stationary_points([-3, 3])
    found = {
        round(float(next(iter(p.values.values()))), 9): (p.kind.value, float(p.log_likelihood))
        for p in points
    }
    assert found[0.0] == ("local minimum", pytest.approx(-6.8946299577, rel=1e-10))
    for place in (-math.sqrt(8), math.sqrt(8)):
        kind, height = found[round(place, 9)]
        assert kind.endswith("maximum")
        assert height == pytest.approx(-5.8729787102, rel=1e-10)
    assert len(points) == 3


@pytest.mark.parametrize("name", ["shifted lognormal", "shifted Weibull"])
@pytest.mark.parametrize(
    "data",
    ["ball bearings", *(pytest.param(d, marks=pytest.mark.slow) for d in ("dental", "precipitation"))],
)
def test_laws_with_a_threshold_are_unbounded(name: str, data: str) -> None:
    """A refusal, or a local maximum that is said to be one."""
    try:
        result = fit(law(name), DATA[data])
    except NoMaximumError as error:
        assert name in str(error)
        return
    assert result.unbounded
    assert "local maximum" in result.status
    assert result.estimates["theta"] < min(DATA[data])


def test_the_middle_of_four_values_under_a_laplace_law() -> None:
    result = fit(law("Laplace location"), [1, 2, 3, 4])
    assert result.maximisers["m"] == pytest.approx((2, 3))
    assert 2 <= result.estimates["m"] <= 3
    assert result.unique is False


def test_a_uniform_law_of_length_one() -> None:
    x = [0.31, 0.92, 0.55, 1.13]
    result = fit(law("uniform of length 1"), x)
    assert result.maximisers["theta"] == pytest.approx((0.13, 0.31))
    assert 0.13 - 1e-12 <= result.estimates["theta"] <= 0.31
    assert result.log_likelihood == 0


def test_light_tails_under_a_t_law() -> None:
    """nu -> oo: the normal law of mean 5.82399 and standard deviation 3.07171."""
    error = refusal("Student t", column("gamma60"))
    assert error.supremum is not None
    assert error.supremum["log_likelihood"] == pytest.approx(-152.470, abs=6e-4)


def test_a_uniform_sample_under_a_pareto_law() -> None:
    """The limit is the exponential law."""
    error = refusal("Pareto", UNIFORM)
    rate = len(UNIFORM) / sum(UNIFORM)
    assert error.supremum is not None
    assert error.supremum["log_likelihood"] == pytest.approx(len(UNIFORM) * (math.log(rate) - 1), rel=HEIGHT)


def test_separated_rows_of_a_logistic_regression() -> None:
    error = refusal("logistic regression", {"x": [1, 2, 3, 4], "y": [0, 0, 1, 1]})
    assert "separat" in str(error)
