"""What README.md shows runs, and prints what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from symmle import cli, gallery

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, dict[str, Any]]]:
    """The Python of the README, run in order, with the names as each block leaves them."""
    names: dict[str, Any] = {}
    found = []
    for example in blocks("python"):
        exec(compile(example, "README.md", "exec"), names)
        found.append((example, dict(names)))
    return found


VALUES = re.findall(r"^(\w[^#\n]*?) +# (\{.*\}|'.*'|Mean.*)$", README, re.MULTILINE)


@pytest.mark.parametrize(("expression", "printed"), VALUES)
def test_the_values_are_those_shown(
    expression: str, printed: str, examples: list[tuple[str, dict[str, Any]]]
) -> None:
    names = next(names for example, names in examples if f"\n{expression}" in example)
    pattern = re.escape(printed).replace(re.escape("..."), r"\d*")
    assert re.fullmatch(pattern, repr(eval(expression, names)))


def test_there_are_values_to_hold() -> None:
    assert len(VALUES) == 12 and len(blocks("python")) == 8


def commands() -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    pieces = [piece.strip().removeprefix(".venv/bin/") for line in lines for piece in line.split(" && ")]
    return [piece for piece in pieces if piece.startswith("symmle ")]


@pytest.mark.parametrize("command", commands())
def test_the_commands_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split(command.replace("tests/data", str(ROOT / "tests" / "data")))[1:]
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert out and err == ""


def test_the_fit_prints_what_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(["fit", "gamma", "tests/data/aircondit.csv"]) == 0
    (shown,) = blocks("text")
    assert shown in capsys.readouterr().out


def test_links_and_numbers_hold() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    assert f"{len(gallery.names())} textbook densities" in README
    continuous = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in continuous  # the test command is read from here, and stands here alone
