"""Sample operators: what they bind, how they substitute and differentiate, and how they are written as sums."""

from __future__ import annotations

import pickle

import pytest
from sympy import Expr, IndexedBase, Integer, Sum, Symbol, Tuple, exp, log, sqrt, srepr, symbols

from symmle.sample import (
    Count,
    Maximum,
    Mean,
    Median,
    Minimum,
    Quantile,
    SampleOperator,
    Total,
    statistics_of,
    totals_as_means,
    written_as_sums,
)

x, k, mu, u = symbols("x k mu u", real=True)
y = Symbol("y", positive=True)
a, b = symbols("a b", positive=True)
X, XY = Tuple(x), Tuple(x, y)
n = Count(X)

OPERATORS = [
    Count(X),
    Mean(exp(k * x), X),
    Total(exp(k * x), X),
    Minimum(x - k, X),
    Maximum(x - k, X),
    Median(x - k, X),
    Quantile(x - k, Integer(1) / 4, X),
    Mean((x - Mean(x, X)) ** 2, X),
    Mean(x * y**k, XY),
]


@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_columns_are_bound_and_survive_storing(operator: Expr) -> None:
    assert not operator.free_symbols & {x, y}
    assert operator.free_symbols <= {k}
    assert operator.subs(x, u) == operator == operator.xreplace({Symbol("other"): u})
    assert operator.diff(x) == 0
    assert operator.func(*operator.args) == operator
    again = pickle.loads(pickle.dumps(operator))
    assert again == operator and hash(again) == hash(operator) and again.free_symbols == operator.free_symbols
    assert type(again) is type(operator) and again.is_real


@pytest.mark.parametrize("operator", [o for o in OPERATORS if o.has(k)], ids=str)
def test_substitution_reaches_the_parameter_and_refuses_capture(operator: Expr) -> None:
    assert operator.subs(k, mu).free_symbols == {mu}
    assert operator.subs(k, 2 * mu).xreplace({mu: k / 2}) == operator
    # the column of the sample put in for a parameter would be summed over: sum x_i x_i is not sum x_j x_i
    for captured in (x, x + 1, exp(x) * a):
        with pytest.raises(ValueError, match="capture"):
            operator.subs(k, captured)


def test_a_mean_in_place_of_a_parameter_is_a_constant_to_the_outer_mean() -> None:
    central = Mean((x - mu) ** 2, X).subs(mu, Mean(x, X))
    assert central == Mean((x - Mean(x, X)) ** 2, X)
    assert central.free_symbols == set()
    assert central.diff(mu) == 0


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (Mean(Integer(3), X), Integer(3)),
        (Mean(a, X), a),
        (Total(a, X), a * n),
        (Total(Integer(1), X), n),
        (Mean(a * x, X), a * Mean(x, X)),
        (Total(a * b * x**2, X), a * b * Total(x**2, X)),
        (Mean(a + x, X), a + Mean(x, X)),
        (Total(x - mu, X), Total(x, X) - n * mu),
        (Mean(Mean(x, X) * x, X), Mean(x, X) ** 2),
        (Mean(x - Mean(x, X), X), Integer(0)),
        (Mean(y, X), y),  # a column of another sample is a constant here
        (Mean((x + a) ** 2, X).split(), Mean(x**2, X) + 2 * a * Mean(x, X) + a**2),
        (totals_as_means(Total(x, X) / n), Mean(x, X)),
        (totals_as_means(Total(x * y, XY) + Total(x, X)), Count(XY) * Mean(x * y, XY) + n * Mean(x, X)),
        (Minimum(2 * x, X).summand, 2 * x),  # 2 min x and min 2x are one value, but nothing is promised
    ],
    ids=str,
)
def test_linear(built: Expr, expected: Expr) -> None:
    assert (built - expected).expand() == 0


@pytest.mark.parametrize(
    ("operator", "by", "expected"),
    [
        (Mean(exp(k * x), X), k, Mean(x * exp(k * x), X)),
        (Total(log(1 + a * y), Tuple(y)), a, Total(y / (1 + a * y), Tuple(y))),
        (Mean((x - mu) ** 2, X), mu, -2 * Mean(x - mu, X)),
        (Count(X), k, Integer(0)),
        (Mean(x, X), k, Integer(0)),
        (log(Mean(y**k, Tuple(y))), k, Mean(y**k * log(y), Tuple(y)) / Mean(y**k, Tuple(y))),
    ],
    ids=str,
)
def test_derivative_in_a_parameter(operator: Expr, by: Symbol, expected: Expr) -> None:
    assert (operator.diff(by) - expected).expand() == 0


@pytest.mark.parametrize(
    ("operator", "sign"),
    [
        (Count(X), 1),
        (Mean(y, Tuple(y)), 1),
        (Total(-y, Tuple(y)), -1),
        (Mean(exp(x), X), 1),
        (Mean(x**2, X), None),  # zero where every x is zero: nonnegative, not positive
        (Mean(x, X), None),
        (Mean(log(y), Tuple(y)), None),
        (Mean(x**2, X) - Mean(x, X) ** 2, None),  # the sample's inequalities are no assumption
    ],
    ids=str,
)
def test_assumptions(operator: Expr, sign: int | None) -> None:
    assert (operator.is_positive is True) == (sign == 1)
    assert (operator.is_negative is True) == (sign == -1)
    assert operator.is_real is True


def test_equal_statistics_compare_equal_and_samples_are_kept_apart() -> None:
    assert Mean(x * y, XY) == Mean(y * x, (x, y))
    assert Mean(x, X) != Mean(x, XY) != Total(x, XY)
    assert Count(X) != Count(Tuple(y))
    assert str(Mean(x**2, X)) == "Mean(x**2)" and str(Count(XY)) == "Count(x, y)"
    found = statistics_of(Mean((x - Mean(x, X)) ** 2, X) / n + Mean(x, X))
    assert len(found) == 3 and all(isinstance(o, SampleOperator) for o in found)


def test_written_as_sums_gives_each_nesting_an_index_of_its_own() -> None:
    size = Symbol("n", integer=True, positive=True)
    i, j = (Symbol(name, integer=True, positive=True) for name in "ij")
    column = IndexedBase(x)
    written = written_as_sums(sqrt(Mean((x - Mean(x, X)) ** 2, X)))
    inner = Sum(column[j], (j, 1, size)) / size
    assert written == sqrt(Sum((column[i] - inner) ** 2, (i, 1, size)) / size)
    # by value, with SymPy alone
    data = [1, 4, 7, 12]
    value = (
        written.subs(size, len(data)).doit().xreplace({column[r + 1]: Integer(v) for r, v in enumerate(data)})
    )
    assert value**2 == Integer(66) / 4  # the mean is 6: (25 + 4 + 1 + 36)/4
    assert not written.has(SampleOperator)


def test_written_as_sums_names_the_sizes_of_several_samples() -> None:
    written = written_as_sums(Mean(x, X) + Total(log(y), Tuple(y)))
    assert {str(s) for s in written.free_symbols if s.is_integer} == {"n_x", "n_y"}
    assert "Sum(log(y[i]), (i, 1, n_y))" in str(written)


def test_srepr_free_names_do_not_leak() -> None:
    assert "Dummy" not in srepr(Mean(exp(k * x), X))
