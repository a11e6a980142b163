"""Tables and TOML files: the keys of a model file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from sympy import Interval, Rational, Symbol, exp, oo

from symmle.declare.table import declaration_from_dict, read_table
from symmle.errors import ModelError

CORPUS = Path(__file__).parents[1] / "corpus"
EXPONENTIAL: dict[str, Any] = {
    "data": {"x": "[0, oo)"},
    "parameters": {"lam": "positive"},
    "density": "lam*exp(-lam*x)",
}
CASES = [case for file in sorted(CORPUS.glob("*.toml")) for case in tomllib.loads(file.read_text())["case"]]


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_every_case_of_the_corpus_is_declared(case: dict[str, Any]) -> None:
    model = case["model"]
    made = declaration_from_dict(model)
    assert [p.name for p in made.parameters] == list(model["parameters"])
    assert {c.name for c in made.constants} == set(model.get("constants", {}))
    assert {z.name for z in made.lags} == set(model.get("lags", {}))
    names = [n for s in model.get("samples", [model]) for n in s["data"]]
    assert [x.name for x in made.supports] == names
    assert declaration_from_dict(model) == made


def test_values() -> None:
    x, rate = Symbol("x", positive=True), Symbol("lam", positive=True)
    made = declaration_from_dict({**EXPONENTIAL, "name": "exponential"})
    assert made.samples[0].density == rate * exp(-rate * x)
    assert made.parameters == {rate: Interval.open(0, oo)}
    assert made.name == "exponential"
    made = declaration_from_dict(
        {
            **EXPONENTIAL,
            "density": "m*lam*exp(-lam*m*x)",
            "constants": {"m": 0.7},
            "normalise_at": {"lam": 0.3},
        }
    )
    assert list(made.constants.values()) == [Rational(7, 10)]
    assert list(made.normalise_at.values()) == [Rational(3, 10)]


def test_domains_name_each_other_in_any_order() -> None:
    table = {
        "data": {"x": "[a, b]"},
        "parameters": {"b": "(a, oo)", "a": "(0, m)"},
        "constants": {"m": 3},
        "density": "1/(b - a)",
    }
    made = declaration_from_dict(table)
    assert [p.name for p in made.parameters] == ["b", "a"]
    with pytest.raises(ModelError, match="circle"):
        declaration_from_dict({**table, "parameters": {"b": "(a, oo)", "a": "(0, b)"}})


BAD: list[tuple[dict[str, Any], str]] = [
    ({"densty": "1"}, "did you mean `density`"),
    ({"denssity": "1", "foo": 1}, "Expected the keys"),
    ({"data": {}}, "support for each column"),
    ({"data": "x"}, "as a table"),
    ({"data": {"x": "positiv"}}, "as one of"),
    ({"data": {"x": 3}}, "as text"),
    ({"data": {"lambda": "positive"}}, "write lam"),
    ({"data": {"x.y": "positive"}}, "letters"),
    ({"parameters": {"lam": "positive", "x": "real"}}, "twice"),
    ({"parameters": {"lam": "positive", "mu": "real"}}, "stands in neither"),
    ({"parameters": ["lam"]}, "as a table"),
    ({"density": "lam*exp(-lam*x*y)"}, "`y` is unknown"),
    ({"density": "lamb*exp(-lam*x)"}, "did you mean `lam`"),
    ({"density": "__import__('os')"}, "letters"),
    ({"density": 3.5, "components": []}, "exactly one"),
    ({"density": ["lam"]}, "as text"),
    ({"samples": [{"data": {"x": "real"}, "density": "1"}]}, "either samples"),
    ({"constants": {"m": "a"}}, "`a` is unknown"),
    ({"constants": {"m": [1]}}, "as a number"),
    ({"constants": {"m": True}}, "as a number"),
    ({"constants": {"m": float("nan")}}, "Expected"),
    ({"constants": {"m": float("inf")}}, "Expected"),
    ({"covariates": {"z": "nowhere"}}, "as one of"),
    ({"covariates": 3}, "as a list"),
    ({"lags": {"x_prev": "y"}}, "data column"),
    ({"where": "lam"}, "as a list"),
    ({"where": ["lam > 1"]}, "true or false"),
    ({"constraints": ["mu"]}, "`mu` is unknown"),
    ({"size": -1}, "sample size"),
    ({"normalises": "no"}, "true or false"),
    ({"normalise_at": {"mu": 1}}, "normalise_at"),
    ({"latent": {"u": "[2, 1]"}}, "something in it"),
    ({"name": 3}, "name"),
]


@pytest.mark.parametrize(("change", "reason"), BAD)
def test_bad_tables(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        declaration_from_dict({**EXPONENTIAL, **change})


@pytest.mark.parametrize("given", [None, 3, "density", ["density"]])
def test_no_table(given: Any) -> None:
    with pytest.raises(ModelError, match="as a table"):
        declaration_from_dict(given)


def test_files(tmp_path: Path) -> None:
    text = 'density = "lam*exp(-lam*x)"\n[data]\nx = "[0, oo)"\n[parameters]\nlam = "positive"\n'
    file = tmp_path / "exponential.toml"
    file.write_text(text)
    plain = declaration_from_dict(read_table(file))
    file.write_text(
        "[model]\n" + text.replace("[data]", "[model.data]").replace("[parameters]", "[model.parameters]")
    )
    assert declaration_from_dict(read_table(file)) == plain == declaration_from_dict(EXPONENTIAL)
    file.write_text("density = ")
    with pytest.raises(ModelError, match="TOML"):
        read_table(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="readable"):
        read_table(file)
    file.write_text("a = " + "[" * 100_000)
    with pytest.raises(ModelError):
        read_table(file)
    with pytest.raises(ModelError, match="readable"):
        read_table(tmp_path / "none.toml")
    with pytest.raises(ModelError, match="readable"):
        read_table("\x00")
