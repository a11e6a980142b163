"""LaTeX and Unicode of expressions, as a textbook sets them."""

from __future__ import annotations

import pytest
from sympy import (
    Abs,
    Eq,
    Expr,
    LambertW,
    Piecewise,
    Rational,
    Symbol,
    besseli,
    binomial,
    cos,
    diff,
    digamma,
    exp,
    factorial,
    gamma,
    log,
    loggamma,
    pi,
    polygamma,
    sin,
    sqrt,
    symbols,
)

from symmle.report.printer import textbook_latex
from symmle.report.typesetter import Names
from symmle.report.unicode import unicode_text
from symmle.sample import Count, Maximum, Mean, Median, Minimum, Quantile, Total

x, y = Symbol("x", positive=True), Symbol("y", real=True)
z = Symbol("z", real=True)
back = Symbol("x_prev", real=True)
mu, sigma = Symbol("mu", real=True), Symbol("sigma", positive=True)
alpha, beta, lam, k, p, theta, a, b = symbols("alpha beta lam k p theta a b", positive=True)
c, d = (x,), (x, y)
n = Count(c)
one = Piecewise((1, Eq(x, 1)), (0, True))
NAMES = Names(samples=(c,))


def mean(g: Expr) -> Expr:
    return Mean(g, c)


def total(g: Expr) -> Expr:
    return Total(g, c)


TABLE = [
    (mean(x), r"\bar{x}", "x̄"),
    (total(x), r"\sum_{i=1}^n x_i", "Σ xᵢ"),
    (n / total(x), r"\frac{n}{\sum_{i=1}^n x_i}", "n/(Σ xᵢ)"),
    (mean(x**2) - mean(x) ** 2, r"\frac{1}{n} \sum_{i=1}^n x_i^2 - \bar{x}^2", "(1/n) Σ xᵢ² − x̄²"),
    (
        sqrt(mean((x - mean(x)) ** 2)),
        r"\sqrt{\frac{1}{n} \sum_{i=1}^n (x_i - \bar{x})^2}",
        "√((1/n) Σ (xᵢ − x̄)²)",
    ),
    (
        n * mean((x - mu) ** 2) / sigma**3,
        r"\frac{1}{\sigma^3} \sum_{i=1}^n (x_i - \mu)^2",
        "(1/σ³) Σ (xᵢ − μ)²",
    ),
    (n * (mean(x) - mu) / sigma**2, r"\frac{n (\bar{x} - \mu)}{\sigma^2}", "n (x̄ − μ)/σ²"),
    (
        -n * log(2) / 2 - n * log(pi) / 2 - n * log(sigma) - total((x - mu) ** 2) / (2 * sigma**2),
        r"-\frac{n}{2} \log(2 \pi) - n \log \sigma - \frac{1}{2 \sigma^2} \sum_{i=1}^n (x_i - \mu)^2",
        "−(n/2) log(2 π) − n log σ − (1/(2 σ²)) Σ (xᵢ − μ)²",
    ),
    (
        exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sigma * sqrt(2 * pi)),
        r"\frac{1}{\sigma \sqrt{2 \pi}} \exp\left(-\frac{(x - \mu)^2}{2 \sigma^2}\right)",
        None,
    ),
    (
        sqrt(lam / (2 * pi * x**3)) * exp(-lam * (x - mu) ** 2 / (2 * mu**2 * x)),
        r"\sqrt{\frac{\lambda}{2 \pi x^3}} \exp\left(-\frac{\lambda (x - \mu)^2}{2 \mu^2 x}\right)",
        None,
    ),
    (
        n * alpha * log(beta) - n * loggamma(alpha) + (alpha - 1) * total(log(x)) - beta * total(x),
        r"n \alpha \log \beta - n \log\Gamma(\alpha) + (\alpha - 1) \sum_{i=1}^n \log x_i"
        r" - \beta \sum_{i=1}^n x_i",
        "n α log β − n log Γ(α) + (α − 1) Σ log xᵢ − β Σ xᵢ",
    ),
    (
        beta**alpha * x ** (alpha - 1) * exp(-beta * x) / gamma(alpha),
        r"\frac{\beta^{\alpha}}{\Gamma(\alpha)} x^{\alpha - 1} e^{-\beta x}",
        None,
    ),
    (
        k / lam * (x / lam) ** (k - 1) * exp(-((x / lam) ** k)),
        r"\frac{k}{\lambda} \left(\frac{x}{\lambda}\right)^{k - 1} "
        r"\exp\left(-\left(\frac{x}{\lambda}\right)^k\right)",
        "(k/λ) (x/λ)^(k − 1) exp(−(x/λ)^k)",
    ),
    (mean(x**k) ** (1 / k), r"\Bigl(\frac{1}{n} \sum_{i=1}^n x_i^k\Bigr)^{1/k}", "((1/n) Σ xᵢ^k)^(1/k)"),
    (
        1 / k + mean(log(x)) - mean(x**k * log(x)) / mean(x**k),
        r"\frac{1}{k} + \frac{1}{n} \sum_{i=1}^n \log x_i"
        r" - \frac{\sum_{i=1}^n x_i^k \log x_i}{\sum_{i=1}^n x_i^k}",
        None,
    ),
    (
        diff(n * k * log(lam) + lam**-k * total(x), lam),
        r"\frac{n k}{\lambda} - \frac{k}{\lambda^{k + 1}} \sum_{i=1}^n x_i",
        None,
    ),
    (
        mean((log(x) - mean(log(x))) ** 2),
        r"\frac{1}{n} \sum_{i=1}^n \left(\log x_i - \overline{\log x}\right)^2",
        None,
    ),
    (p**x * (1 - p) ** (1 - x), r"p^x (1 - p)^{1 - x}", None),
    (binomial(10, x) * p**x * (1 - p) ** (10 - x), r"\binom{10}{x} p^x (1 - p)^{10 - x}", None),
    (lam**x * exp(-lam) / factorial(x), r"\frac{\lambda^x e^{-\lambda}}{x!}", "λ^x exp(−λ)/x!"),
    (exp(-Abs(mu - x) / b) / (2 * b), r"\frac{1}{2 b} \exp\left(-\frac{|x - \mu|}{b}\right)", None),
    (exp(k * cos(mu - x)) / (2 * pi * besseli(0, k)), r"\frac{1}{2 \pi I_0(k)} e^{k \cos(x - \mu)}", None),
    (-k * sin(mu - x), r"k \sin(x - \mu)", "k sin(x − μ)"),
    (
        gamma(a + b) / (gamma(a) * gamma(b)) * x ** (a - 1),
        r"\frac{\Gamma(a + b)}{\Gamma(a) \Gamma(b)} x^{a - 1}",
        None,
    ),
    (digamma(alpha), r"\psi(\alpha)", "ψ(α)"),
    (polygamma(0, alpha), r"\psi(\alpha)", "ψ(α)"),
    (polygamma(1, alpha) ** 2, r"(\psi'(\alpha))^2", None),
    (LambertW(-mean(x), -1), r"W_{-1}(-\bar{x})", "W₋₁(−x̄)"),
    (LambertW(x), r"W_0(x)", "W₀(x)"),
    (besseli(0, k), r"I_0(k)", "I₀(k)"),
    (total(one), "n_1", "n₁"),
    (mean(one), r"\frac{n_1}{n}", "n₁/n"),
    (n * mean(one) * log(p), r"n_1 \log p", "n₁ log p"),
    (Total(Piecewise((1, x > 2), (0, True)), c), r"\#\{i : x_i > 2\}", "#{i : xᵢ > 2}"),
    (Maximum(x, c), "x_{(n)}", "x₍ₙ₎"),
    (Minimum(x, c), "x_{(1)}", "x₍₁₎"),
    (Maximum(y - x, d), r"\max_{i} (y_i - x_i)", None),
    (Median(x, c), r"x_{(\lceil n/2 \rceil)}", "median(x)"),
    (-Quantile(-x, Rational(1, 2), c), r"x_{(\lfloor n/2 \rfloor + 1)}", "upper median(x)"),
    (-Quantile(-x, Rational(1, 4), c), r"x_{(\lfloor 3 n/4 \rfloor + 1)}", "upper quantile(x, 3/4)"),
    (Quantile(x, Rational(1, 4), c), r"x_{(\lceil n/4 \rceil)}", "quantile(x, 1/4)"),
    (log(x), r"\log x", "log x"),
    (log(x + 1), r"\log(x + 1)", "log(x + 1)"),
    (log(x) ** 2, r"(\log x)^2", "(log x)²"),
    (log(gamma(alpha)), r"\log \Gamma(\alpha)", None),
    (1 - p, "1 - p", "1 − p"),
    (p - 1, "p - 1", "p − 1"),
    (1 + x**2, "1 + x^2", "1 + x²"),
    (y - alpha - beta * z, r"y - \alpha - \beta z", "y − α − β z"),
    (log(x) - mu, r"\log x - \mu", "log x − μ"),
    (Symbol("mu1"), r"\mu_1", "μ₁"),
    (Symbol("lam"), r"\lambda", "λ"),
    (Symbol("xm"), "x_m", "xₘ"),
    (Symbol("sigma_x"), r"\sigma_x", "σₓ"),
    (Symbol("rate"), r"\mathit{rate}", "rate"),
    (Rational(-3, 4), r"-\frac{3}{4}", "−3/4"),
]


@pytest.mark.parametrize(("expression", "latex", "text"), TABLE, ids=lambda v: str(v)[:60])
def test_expressions_read_as_in_a_textbook(expression: Expr, latex: str, text: str | None) -> None:
    assert textbook_latex(expression, NAMES) == latex
    if text is not None:
        assert unicode_text(expression, NAMES) == text


def test_several_samples_have_several_sizes() -> None:
    names = Names(samples=((x,), (y,)))
    both = Count((x,)) * Mean(x, (x,)) + Total(y**2, (y,))
    assert textbook_latex(both, names) == r"n_x \bar{x} + \sum_{i=1}^{n_y} y_i^2"
    assert unicode_text(Count((x,)), names) == "nₓ"


def test_a_lag_is_the_row_before() -> None:
    names = Names(samples=((x, back),), lags={back: x})
    assert textbook_latex(Mean(x * back, (x, back)), names) == r"\frac{1}{n} \sum_{i=1}^n x_i x_{i-1}"


def test_hats_stand_on_what_is_estimated() -> None:
    names = Names(samples=(c,), hats=frozenset({k, Symbol("mu1")}))
    assert textbook_latex(k + lam * Symbol("mu1"), names) == r"\hat{k} + \lambda \hat{\mu}_1"
    assert unicode_text(k, names) == "k̂"


def test_bars_shorten_means() -> None:
    names = Names(samples=(c,), bars=True)
    assert textbook_latex(mean(x**2) / mean(x), names) == r"\frac{\overline{x^2}}{\bar{x}}"


def test_a_summand_of_several_terms_stands_in_brackets() -> None:
    assert (
        textbook_latex(Total.__mro__[3].__new__(Total, x - mu, n.args[-1]), NAMES)
        == r"\sum_{i=1}^n (x_i - \mu)"
    )
