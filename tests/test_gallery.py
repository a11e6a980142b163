"""Every density of the gallery derives, fits its own data, and gives the answer in its file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from symmle import Model, ModelError, derive, fit, gallery

NAMES = gallery.names()
# what the derivation must come to: whether a closed form is found, and what is proved for every sample
EXPECTED = {
    "beta": ("numeric", True),
    "birnbaum-saunders": ("reduced", False),
    "gamma": ("reduced", True),
    "gumbel": ("reduced", True),
    "kumaraswamy": ("reduced", True),
    "logistic": ("numeric", True),
    "negative-binomial": ("reduced", False),
    "poisson-mixture": ("em", False),
    "von-mises": ("reduced", True),
    "weibull": ("reduced", True),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_data_give_the_answer(name: str) -> None:
    file = gallery.read(name)
    derivation = derive(Model.from_toml(gallery.path_of(name)))
    kind, proved = EXPECTED.get(name, ("closed form", True))
    assert derivation.estimator.kind == kind
    points = derivation.estimator.points
    assert any(p.certificate is not None and p.kind.value == "global maximum" for p in points) is proved
    columns = {column: rows for column, rows in file["data"].items() if column != "weights"}
    result = fit(derivation, columns, weights=file["data"].get("weights"))
    answer = file["answer"]
    assert result.estimates == pytest.approx(answer["estimate"], rel=1e-8)
    assert result.standard_errors == pytest.approx(answer["standard_error"], rel=1e-4)
    assert result.log_likelihood == pytest.approx(answer["log_likelihood"], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_where_it_comes_from(name: str) -> None:
    file = gallery.read(name)
    assert set(file) == {"title", "source", "data_source", "model", "data", "answer"}
    assert file["title"] and file["source"] and file["data_source"] and file["model"]["name"]
    assert set(file["answer"]["estimate"]) == set(file["model"]["parameters"])


def test_the_index_lists_every_file() -> None:
    index = (Path(__file__).parent.parent / "gallery" / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        title = gallery.read(name)["title"]
        assert f"| [{name}]({name}.toml) | {title} |" in index


def test_there_are_about_twenty() -> None:
    assert len(NAMES) >= 20
    assert {"normal", "gamma", "poisson"} <= set(NAMES)


@pytest.mark.parametrize("name", ["gama", "", "../pyproject", "normal.toml/", "no\nname"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="name of the gallery"):
        gallery.path_of(name)


def test_the_installed_package_carries_the_files() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"gallery": f"symmle/{gallery.INSTALLED.name}"}
