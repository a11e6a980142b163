"""What every sample obeys: encodings hold on random samples, and conditions name the degenerate ones."""

from __future__ import annotations

import math
import random

import mpmath
import pytest
from sympy import Expr, S, Symbol, Tuple, exp, log, oo, solve, sqrt, symbols

from symmle.algebra import Bounds, Facts, Rows, compile_expression
from symmle.inequalities import SampleFacts
from symmle.sample import Count, Mean

x, v = symbols("x v", positive=True)
y, z, w = symbols("y z w", real=True)
p = Symbol("p", positive=True)
X, Y, P, YZ, YZW = Tuple(x), Tuple(y), Tuple(p), Tuple(y, z), Tuple(y, z, w)
POSITIVE, REAL = Bounds(S.Zero, oo, True, True), Bounds(-oo, oo, True, True)
DATA = Facts({x: POSITIVE, y: REAL, z: REAL, w: REAL, p: Bounds(S.Zero, S.One)})


def facts_for(*means: Expr) -> tuple[SampleFacts, Facts]:
    known = SampleFacts(list(means), DATA)
    return known, DATA.with_bounds(known.bounds, known.encoding)


def random_rows(columns: Tuple, stream: random.Random, size: int) -> Rows:
    def draw(s: Symbol) -> float:
        if s is x:
            return math.exp(stream.gauss(0.3, 0.8))
        return stream.random() if s is p else stream.gauss(0.7, 1.5)

    return Rows(
        {s: [mpmath.mpf(draw(s)) for _ in range(size)] for s in columns},
        [stream.randint(1, 3) for _ in range(size)],
    )


# what is positive on every sample that is not degenerate: (expression, columns)
STRICT: list[Expr] = [
    Mean(x**2, X) - Mean(x, X) ** 2,
    log(Mean(x, X)) - Mean(log(x), X),
    Mean(x, X) * Mean(1 / x, X) - 1,
    Mean(log(x) ** 2, X) - Mean(log(x), X) ** 2,
    Mean(y**2, Y) - Mean(y, Y) ** 2,
    Mean(y**2, YZ) * Mean(z**2, YZ) - Mean(y * z, YZ) ** 2,
    Mean(p, P) * (1 - Mean(p, P)),
    Mean(x, X),
    sqrt(Mean(x**2, X)) - Mean(x, X),
    Mean(y**4, Y)
    - 4 * Mean(y**3, Y) * Mean(y, Y)
    + 6 * Mean(y**2, Y) * Mean(y, Y) ** 2
    - 3 * Mean(y, Y) ** 4
    - (Mean(y**2, Y) - Mean(y, Y) ** 2) ** 2,
    (Mean(y**2, YZ) - Mean(y, YZ) ** 2) * (Mean(z**2, YZ) - Mean(z, YZ) ** 2)
    - (Mean(y * z, YZ) - Mean(y, YZ) * Mean(z, YZ)) ** 2,
]
# of no sign: some sample has each
OPEN: list[Expr] = [
    Mean(x, X) - 1,
    Mean(log(x), X),
    Mean(y, Y),
    Mean(x**2, X) - 2 * Mean(x, X) ** 2,
    Mean(y * z, YZ) - Mean(y, YZ) * Mean(z, YZ),
    log(Mean(x, X)) - 2 * Mean(log(x), X),
    Mean(x, X) * Mean(1 / x, X) - 2,
    Mean(y**2, YZ) - Mean(z**2, YZ),
    Mean(p, P) - S.Half,
]


def means_of(e: Expr) -> list[Expr]:
    return sorted(e.atoms(Mean, Count), key=str)


@pytest.mark.parametrize("expression", STRICT, ids=str)
def test_what_is_positive_is_decided_and_so_it_is(expression: Expr) -> None:
    known, facts = facts_for(*means_of(expression))
    assert facts.decide_sign(known.hide(expression)) == 1
    assert facts.decide_sign(known.hide(-expression)) == -1
    f, stream = compile_expression(expression), random.Random(1)
    columns = next(iter(expression.atoms(Mean))).args[-1]
    with mpmath.workdps(30):
        assert all(f({}, [random_rows(columns, stream, stream.randint(4, 9))]) > 0 for _ in range(40))


@pytest.mark.parametrize("expression", OPEN, ids=str)
def test_what_has_no_sign_is_not_decided(expression: Expr) -> None:
    known, facts = facts_for(*means_of(expression))
    assert facts.decide_sign(known.hide(expression)) is None
    f, stream = compile_expression(expression), random.Random(2)
    columns = next(iter(expression.atoms(Mean))).args[-1]
    with mpmath.workdps(30):
        signs = {mpmath.sign(f({}, [random_rows(columns, stream, 4)])) for _ in range(300)}
    assert signs == {1, -1}


ENCODED = [
    (Mean(x, X), Mean(x**2, X)),
    (Mean(x, X), Mean(log(x), X)),
    (Mean(x, X), Mean(1 / x, X)),
    (Mean(x, X), Mean(1 / x, X), Mean(log(x), X)),
    (Mean(log(x), X), Mean(log(x) ** 2, X)),
    (Mean(x**v, X),),
    (Mean(y, Y), Mean(y**2, Y), Mean(y**3, Y), Mean(y**4, Y)),
    (Mean(y, YZ), Mean(z, YZ), Mean(y**2, YZ), Mean(z**2, YZ), Mean(y * z, YZ)),
    (Mean(y**2, YZ), Mean(z**2, YZ), Mean(y * z, YZ)),
    (Mean(y, YZ), Mean(y**2, YZ), Mean(y * z, YZ), Mean(z, YZ), Mean(z**2, YZ)),
    (Mean(p, P), Count(P)),
    (Mean(log(1 - p), P), Mean(log(p), P)),
    (Mean(exp(-x), X), Mean(x, X)),
]


@pytest.mark.parametrize("means", ENCODED, ids=str)
def test_every_sample_has_free_values_that_encode_it(means: tuple[Expr, ...]) -> None:
    """An encoding must reach every sample: solved for its free symbols on random samples, they are admissible."""
    known, _ = facts_for(*means)
    columns = next(iter(means)).args[-1]
    stream = random.Random(3)
    for e in means:  # hidden and shown again is the same value
        shown = compile_expression(known.show(known.hide(e)))
        rows = random_rows(columns, stream, 6)
        with mpmath.workdps(30):
            at = {v: mpmath.mpf(2)}
            assert mpmath.almosteq(shown(at, [rows]), compile_expression(e)(at, [rows]), 1e-25)
    with mpmath.workdps(40):
        for _ in range(6):
            rows = random_rows(columns, stream, 6)
            at = {v: mpmath.mpf(2)}
            values = {s: compile_expression(known.show(s))(at, [rows]) for s in known.meaning}
            for symbol, bound in known.bounds.items():
                assert bound.lo <= values[symbol] <= bound.hi
            # each encoding introduces its own free symbol last: solve for it, the others known from before
            free: dict[Symbol, object] = {}
            pending = dict(known.encoding)
            while pending:
                progress = False
                for symbol, encoding in list(pending.items()):
                    unknown = [s for s in encoding.free_symbols if s not in free and s not in values]
                    if len(unknown) > 1:
                        continue
                    del pending[symbol]
                    progress = True
                    put = encoding.xreplace(
                        {s: S(str(n)) for s, n in {**values, **free}.items() if s in encoding.free_symbols}
                    )
                    if not unknown:
                        assert abs(put - S(str(values[symbol]))) < 1e-20
                        continue
                    (s,) = unknown
                    roots = solve(put - S(str(values[symbol])), s)
                    assert roots, f"no admissible {s} in {encoding}"
                    free[s] = mpmath.mpf(str(roots[-1].evalf(30)))
                assert progress or not pending


@pytest.mark.parametrize(
    ("requirement", "reading", "degenerate"),
    [
        (Mean(x**2, X) - Mean(x, X) ** 2, "not all equal", {x: [2.0, 2.0, 2.0]}),
        (1 / (log(Mean(x, X)) - Mean(log(x), X)), "not all equal", {x: [3.0, 3.0]}),
        (Mean(x, X) * Mean(1 / x, X) - 1, "not all equal", {x: [0.5, 0.5]}),
        (Mean(p, P), "not all at the edge", {p: [0.0, 0.0]}),
        (1 - Mean(p, P), "not all at the edge", {p: [1.0, 1.0]}),
        (Mean(y**2, Y), "not all at the edge", {y: [0.0, 0.0]}),
        (
            (Mean(y**2, YZ) - Mean(y, YZ) ** 2) * (Mean(z**2, YZ) - Mean(z, YZ) ** 2)
            - (Mean(y * z, YZ) - Mean(y, YZ) * Mean(z, YZ)) ** 2,
            "not on a line",
            {y: [1.0, 2.0, 4.0], z: [3.0, 5.0, 9.0]},
        ),
    ],
    ids=str,
)
def test_conditions_name_the_degenerate_sample(requirement: Expr, reading: str, degenerate: dict) -> None:
    known, facts = facts_for(*means_of(requirement))
    conditions = known.conditions_of(known.hide(requirement), facts)
    assert reading in {c.reading for c in conditions}
    rows = Rows(degenerate, [1] * len(next(iter(degenerate.values()))))

    def holds(relation: Expr, sample: Rows) -> bool:
        gap = compile_expression(relation.gts - relation.lts)({}, [sample])  # type: ignore[attr-defined]
        return bool(gap > 1e-12)

    assert not all(holds(c.expression, rows) for c in conditions), "the degenerate sample passes"
    stream = random.Random(5)
    for _ in range(20):
        assert all(holds(c.expression, random_rows(Tuple(*degenerate), stream, 6)) for c in conditions)


def test_no_condition_where_nothing_can_degenerate() -> None:
    known, facts = facts_for(Mean(x, X))
    assert known.conditions_of(known.hide(1 / Mean(x, X)), facts) == ()
