"""The command line, from declared text and data files to numbers, documents and one-line errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from symmle import Derivation, __version__, gallery
from symmle.cli import main

DATA = Path(__file__).parent / "data"
AIR = "3 5 7 18 43 85 91 98 100 130 230 487".split()

NEGATIVE_BINOMIAL_MEAN = [
    "--density", "gamma(x + size)/(gamma(size)*factorial(x))*(size/(size + mu))**size*(mu/(size + mu))**x",
    "--support", "x: {0..oo}", "--parameter", "size: positive", "--parameter", "mu: positive",
]  # fmt: skip
PARETO_TYPE_TWO = [
    "--density", "shape*scale**shape/(x + scale)**(shape + 1)",
    "--support", "x: (0, oo)", "--parameter", "shape: positive", "--parameter", "scale: positive",
]  # fmt: skip
STUDENT_T = [
    "--density", "gamma((nu + 1)/2)/(sqrt(nu*pi)*gamma(nu/2)*s)*(1 + (x - m)**2/(nu*s**2))**(-(nu + 1)/2)",
    "--support", "x: real", "--parameter", "m: real", "--parameter", "s: positive", "--parameter", "nu: positive",
]  # fmt: skip

# model, data, estimates, standard errors (or none published), log-likelihood. From the documentation and
# tests of fitdistrplus, univariateML, actuar, boot, MASS and lifelines, and of R's data sets.
FACTS: list[tuple[list[str], list[str], dict[str, float], dict[str, float], float]] = [
    (["exponential"], ["aircondit.csv"], {"lam": 0.00925212028}, {"lam": 0.00267086}, -68.19483041),
    (
        ["gamma"],
        ["aircondit.csv"],
        {"alpha": 0.706493175, "beta": 0.00653655983},
        {"alpha": 0.245972, "beta": 0.00319669},
        -67.64542456,
    ),
    (
        ["weibull"],
        ["groundbeef.csv"],
        {"k": 2.18561233, "lam": 83.3466688},
        {"k": 0.104566, "lam": 2.52712},
        -1255.22471986,
    ),
    (
        ["gamma"],
        ["groundbeef.csv"],
        {"alpha": 4.00833903, "beta": 0.0544273556},
        {"alpha": 0.341913, "beta": 0.00494611},
        -1253.62511369,
    ),
    (
        ["lognormal"],
        ["groundbeef.csv"],
        {"mu": 4.16937009, "sigma": 0.536609513},
        {"mu": 0.0336699, "sigma": 0.0238082},
        -1261.31929868,
    ),
    (
        ["lognormal"],
        ["endosulfan.csv", "--column", "ATV"],
        {"mu": 2.55381626, "sigma": 3.14724036},
        {"mu": 0.308612, "sigma": 0.218222},
        -532.40520199,
    ),
    (
        NEGATIVE_BINOMIAL_MEAN,
        ["toxocara.csv", "--weights", "hosts"],
        {"size": 0.396996493, "mu": 8.67924528},
        {"size": 0.0828511, "mu": 1.93492},
        -159.34408612,
    ),
    (
        ["poisson"],
        ["toxocara.csv", "--weights", "hosts"],
        {"lam": 8.67924528},
        {"lam": 0.404672},
        -507.53342979,
    ),
    (
        ["lognormal"],
        ["danishuni.csv", "--column", "Loss"],
        {"mu": 0.78695008, "sigma": 0.716554513},
        {"mu": 0.0153929, "sigma": 0.0108844},
        -4057.89746127,
    ),
    (
        ["weibull"],
        ["egypt.csv", "--column", "age"],
        {"k": 1.40415842, "lam": 33.5635644},
        {"k": 0.0955872, "lam": 2.11279},
        -613.11438462,
    ),
    (
        ["gamma"],
        ["egypt.csv", "--column", "age"],
        {"alpha": 1.60913858, "beta": 0.0524315315},
        {"alpha": 0.175373, "beta": 0.006691},
        -615.38610057,
    ),
    (
        ["negative-binomial"],
        ["corbet.csv"],
        {"r": 1.38996170, "p": 0.173989579},
        {"r": 0.102478, "p": 0.0121729},
        -1472.54695093,
    ),
    (
        ["gamma"],
        ["precip.csv"],
        {"alpha": 4.71707973, "beta": 0.135215226},
        {"alpha": 0.770792, "beta": 0.0233142},
        -288.46462442,
    ),
    (["normal"], ["precip.csv"], {"mu": 34.8857143, "sigma": 13.6083933}, {}, -282.07377014),
    (["weibull"], ["precip.csv"], {"k": 2.82877378, "lam": 39.0843712}, {}, -282.40630072),
    (["lognormal"], ["precip.csv"], {"mu": 3.44235094, "sigma": 0.524679565}, {}, -295.14253414),
    (["exponential"], ["dental.csv"], {"lam": 0.00298062593}, {}, -68.15621956),
    (PARETO_TYPE_TWO, ["dental.csv"], {"shape": 3.03943764, "scale": 704.443256}, {}, -67.74743502),
    (["gamma"], ["dental.csv"], {"alpha": 0.801100413, "beta": 0.00238778066}, {}, -67.98053463),
    (
        ["weibull"],
        ["ballbearings.csv"],
        {"k": 2.10184686, "lam": 81.8745587},
        {"k": 0.328657, "lam": 8.60093},
        -113.69195909,
    ),
    (["gamma"], ["ballbearings.csv"], {"alpha": 4.02470641, "beta": 0.0557277479}, {}, -113.02981884),
    (["lognormal"], ["ballbearings.csv"], {"mu": 4.15038269, "sigma": 0.521686511}, {}, -113.12855433),
    (["inverse-gaussian"], ["ballbearings.csv"], {"mu": 72.2208696, "lam": 231.630331}, {}, -113.20464798),
    (["lognormal"], ["rivers.csv"], {"mu": 6.17587888, "sigma": 0.589382913}, {}, -996.32548839),
    (["normal"], ["nhtemp.csv"], {"mu": 51.16, "sigma": 1.2550166}, {}, -98.76523998),
    (
        STUDENT_T,
        ["newcomb.csv"],
        {"m": 27.4017511, "s": 3.81036645, "nu": 2.13113300},
        {"m": 0.6089, "s": 0.6189, "nu": 0.6623},
        -215.37590377,
    ),
    (STUDENT_T, ["abbey.csv"], {"m": 9.96581488, "s": 3.44056807, "nu": 1.38207306}, {}, -106.95759661),
]


@pytest.mark.parametrize(
    ("model", "data", "estimates", "errors", "log_likelihood"),
    FACTS,
    ids=[f"{model[0].strip('-')}-{data[0].removesuffix('.csv')}" for model, data, *_ in FACTS],
)
def test_published_fits(
    model: list[str],
    data: list[str],
    estimates: dict[str, float],
    errors: dict[str, float],
    log_likelihood: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = run_json(["fit", *model, str(DATA / data[0]), *data[1:]], capsys)
    assert found["estimates"] == pytest.approx(estimates, rel=1e-6)
    assert found["log_likelihood"] == pytest.approx(log_likelihood, rel=1e-7)
    for name, error in errors.items():
        assert found["standard_errors"][name] == pytest.approx(error, rel=1e-4)


def run_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


# --- what is printed ------------------------------------------------------------------------------


def test_a_derivation_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "exponential", "--verify"]) == 0
    out, err = capsys.readouterr()
    for phrase in ("LIKELIHOOD", "ℓ(λ) = n log λ − λ Σ xᵢ", "λ̂ = 1/x̄", "global maximum", "CHECKS", "holds"):
        assert phrase in out
    assert err == "" and "FAILS" not in out and max(map(len, out.splitlines())) < 140


def test_a_derivation_says_why_there_is_no_closed_form(capsys: pytest.CaptureFixture[str]) -> None:
    density = "gamma((nu + 1)/2)/(sqrt(pi*nu)*gamma(nu/2))*(1 + x**2/nu)**(-(nu + 1)/2)"
    law = ["--density", density, "--support", "x: (-oo, oo)", "--parameter", "nu: positive"]
    assert main(["derive", *law]) == 0
    out = capsys.readouterr().out
    assert "NO CLOSED FORM" in out and "holds data and nu together" in " ".join(out.split())


def test_a_moving_support_is_derived_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    law = ["--density", "1/theta", "--support", "x: [0, theta]", "--parameter", "theta: positive"]
    assert main(["derive", *law]) == 0
    out = capsys.readouterr().out
    assert "θ̂ = x₍ₙ₎" in out and "score is therefore not used" in " ".join(out.split())


def test_a_fit_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "gamma", "--values", *AIR]) == 0
    out = capsys.readouterr().out
    for phrase in ("β̂ = α̂/x̄", "0.7064931748", "0.245972", "-67.64542456", "Proved: global maximum"):
        assert phrase in out


def test_what_is_not_proved_says_so_until_it_is_proved_for_the_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "birnbaum-saunders"]) == 0
    assert "Open: that this is the global maximum is not proved." in capsys.readouterr().out
    assert main(["fit", "birnbaum-saunders", "--certify"]) == 0
    assert "Proved: global maximum, for these data" in capsys.readouterr().out


def test_a_local_maximum_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(["fit", *STUDENT_T, str(DATA / "abbey.csv")], capsys)
    assert found["unbounded"] is True
    assert (found["maximum"]["status"], found["maximum"]["kind"]) == ("open", "local maximum")


def test_bounds_cut_the_space(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(["fit", "gamma", "--values", *AIR, "--bounds", "alpha=1:3"], capsys)
    assert found["estimates"]["alpha"] == 1 and found["boundary"] is True
    assert found["estimates"]["beta"] == pytest.approx(
        0.00925212028, rel=1e-8
    )  # 1/mean(x): the exponential law
    found = run_json(["fit", "gamma", "--values", *AIR, "--bounds", "alpha=:3"], capsys)
    assert found["estimates"]["alpha"] == pytest.approx(0.706493175, rel=1e-8) and found["boundary"] is False
    assert main(["fit", "gamma", "--values", *AIR, "--bounds", "alpha=1"]) == 2
    assert "NAME=LOW:HIGH" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["NA", "", "nan", "."])
def test_missing_cells_are_left_out_where_asked(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(f"x,y\n1.0,2\n{word},3\n3.5,\n2.0,1\n", encoding="utf-8")
    command = ["fit", "exponential", str(file), "--column", "x"]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "row 1 is nan" in error or "line 3, column `x`" in error
    found = run_json([*command, "--missing", "drop"], capsys)
    assert found["n"] == 3
    assert "1 row was left out" in found["status"]


def test_the_gallery_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == gallery.names()


def test_json_restores_the_derivation(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(["derive", "weibull", "--verify"], capsys)
    assert found["closed"] == {"lam": "Mean(x**k)**(1/k)"}
    assert [q["parameter"] for q in found["remaining"]] == ["k"]
    assert found["maximum"]["status"] == "proved" and found["maximum"]["scope"] == "every sample"
    assert {c["holds"] for c in found["verification"]} == {True, None}
    assert str(Derivation.from_dict(found["derivation"]).estimator.closed["lam"]) == "Mean(x**k)**(1/k)"


def test_latex_is_a_whole_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rate.tex"
    assert main(["derive", "exponential", "--latex", str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert text.lstrip().startswith(r"\documentclass") and text.rstrip().endswith(r"\end{document}")
    assert r"\hat{\lambda}" in text and r"\bar{x}" in text


# --- models and data ------------------------------------------------------------------------------

RATE = ["--density", "lam*exp(-lam*x)", "--support", "x: [0, oo)", "--parameter", "lam: positive"]


def test_a_model_file_brings_its_own_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "law.toml"
    file.write_text(gallery.path_of("poisson").read_text(encoding="utf-8"), encoding="utf-8")
    assert run_json(["fit", str(file)], capsys)["estimates"] == pytest.approx({"lam": 0.61})


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("x\n1\n2\n6\n", []),
        ("1\n2\n6\n", []),
        ("1 2 6\n", []),
        ("# hours\n\n1.0\n2\n6", []),
        ("name,x\na,1\nb,2\nc,6\n", []),
        ("name;hours\na;1\nb;2\nc;6\n", ["--column", "hours"]),
        ('"name","hours, all"\n"a","1"\n"b","2"\n"c","6"\n', ["--column", "hours, all"]),
        ("\ufeffx\thow\n1\ta\n2\tb\n6\tc\n", []),
        ("x,w\n1,1\n2,1\n6,1\n9,0\n", ["--weights", "w"]),
    ],
)
def test_data_files(
    text: str, options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "data.csv"
    file.write_text(text, encoding="utf-8")
    found = run_json(["fit", *RATE, str(file), *options], capsys)
    assert found["estimates"] == pytest.approx({"lam": 1 / 3}) and found["n"] == 3


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", ["1\n", "2\n", "6\n"])
    assert run_json(["fit", *RATE, "-"], capsys)["estimates"] == pytest.approx({"lam": 1 / 3})


def test_a_start(capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(["fit", "logistic", "--start", "mu=20", "--start", "s=3"], capsys)
    assert found["estimates"] == pytest.approx({"mu": 27.348069, "s": 3.885472}, rel=1e-6)


def test_covariates_constants_and_fixed_parameters(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "line.csv"
    file.write_text("dose,response\n1,2.5\n2,4.5\n3,7\n", encoding="utf-8")
    law = [
        "--density", "exp(-(y - b*z)**2/(2*s**2))/(s*sqrt(2*pi))", "--support", "y: (-oo, oo)",
        "--parameter", "b: real", "--covariate", "z", "--constant", "s: 1/2",
    ]  # fmt: skip
    found = run_json(["fit", *law, str(file), "--column", "y=response", "--column", "z=dose"], capsys)
    assert found["estimates"] == pytest.approx({"b": (2.5 + 9 + 21) / 14})
    found = run_json(["fit", "normal", "--values", "-1", "2", "5", "--fixed", "mu=1/2"], capsys)
    assert found["estimates"] == pytest.approx({"sigma": ((2.25 + 2.25 + 20.25) / 3) ** 0.5})
    found = run_json(["derive", "normal", "--fixed", "mu"], capsys)
    assert set(found["closed"]) == {"sigma"} and "mu" in found["closed"]["sigma"]


# --- errors: one line on stderr, status 2 ---------------------------------------------------------

BAD: list[tuple[list[str], str]] = [
    ([], "arguments are required"),
    (["fly"], "invalid choice"),
    (["derive"], "Expected MODEL"),
    (["derive", "nosuchlaw"], "name of the gallery"),
    (["derive", "gama"], "did you mean `gamma`"),
    (["derive", "nosuch.toml"], "readable model file"),
    (["derive", "gamma", "--density", "x"], "either MODEL or --density"),
    (["derive", "gamma", "--support", "x: real"], "goes with --density"),
    (["derive", "--density", "exp(-x)"], "--support"),
    (["derive", *RATE[:4], "--parameter", "lam"], "--parameter"),
    (["derive", *RATE, "--parameter", "lam: real"], "got two"),
    (["derive", *RATE[:4]], "lam"),
    (["derive", "--density", "2*lam*exp(-lam*x)", *RATE[2:]], "integrate"),
    (["derive", "--density", "__import__('os').system('true')", *RATE[2:]], ""),
    (["derive", *RATE, "--fixed", "mu"], "mu"),
    (["derive", *RATE, "--time-limit", "-1"], "time_limit"),
    (["derive", *RATE, "--time-limit", "soon"], "invalid float"),
    (["derive", "exponential", "--latex", "/nosuch/folder/file.tex"], "No such file"),
    (["fit", *RATE], "Expected DATA"),
    (["fit", *RATE, "nosuch.csv"], "readable data file"),
    (["fit", *RATE, "--values", "1", "two"], "'two'"),
    (["fit", *RATE, "--values", "1", "-3"], "row 1"),
    (["fit", *RATE, "--values", "1", "inf"], "row 1"),
    (["fit", *RATE, "x.csv", "--values", "1"], "both"),
    (["fit", *RATE, "--fixed", "lam", "--values", "1"], "VALUE"),
    (["fit", "logistic", "--start", "s"], "NAME=VALUE"),
    (["fit", "logistic", "--start", "s=-1"], "`start` gave -1"),
    (["fit", "normal", "--values", "4", "4", "4"], "not all equal"),
    (["fit", "poisson", "--values", "1", "2.5"], "whole number"),
    (["fit", "linear-regression", "--values", "1", "2"], "one column"),
]


@pytest.mark.parametrize(("arguments", "phrase"), BAD, ids=[" ".join(a)[:60] for a, _ in BAD])
def test_errors(arguments: list[str], phrase: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(arguments, phrase, capsys)


def assert_refused(arguments: list[str], phrase: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(arguments)
    except SystemExit as stop:  # argparse
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    assert status == 2 and out == ""
    assert len(err.splitlines()) == 1 and err.startswith("symmle")
    assert phrase in err


@pytest.mark.parametrize(
    ("text", "options", "phrase"),
    [
        ("", [], "empty"),
        ("x\n", [], "below the header"),
        ("x\n1\n\nn/a\n", [], "line 4, column `x`: expected a number, got 'n/a'"),
        ("a,x\n1,2\n3\n", [], "line 3"),
        ("a,b\n1,2\n", [], "column `x`"),
        ("a,b\n1,2\n", ["--column", "c"], "no column `c`"),
        ("a,hours\n1,2\n", ["--column", "hour"], "did you mean `hours`"),
        ("1,2\n3,4\n", [], "no header"),
        ("1\n2\n", ["--column", "x"], "header"),
        ("x,w\n1,1\n2,-1\n", ["--weights", "w"], "weight"),
        ("x\n1_0\n2\n", [], "'1_0'"),
        ("x\n1\nnan\n", [], "row 1"),
    ],
)
def test_bad_data_files(
    text: str, options: list[str], phrase: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "data.csv"
    file.write_text(text, encoding="utf-8")
    assert_refused(["fit", *RATE, str(file), *options], phrase, capsys)


def test_an_interrupt_leaves_quietly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("symmle.cli.derive", interrupted)
    assert main(["derive", "normal"]) == 130
    assert capsys.readouterr().err == "symmle: interrupted\n"


# --- as a program ---------------------------------------------------------------------------------


def run_program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "symmle.cli", *arguments]
    return subprocess.run(
        program,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        env={**os.environ, **environment},
    )


def test_as_a_program() -> None:
    done = run_program("fit", "exponential", str(DATA / "aircondit.csv"), PYTHONIOENCODING="utf-8")
    assert done.returncode == 0 and done.stderr == ""
    assert "0.009252120278" in done.stdout and "λ̂ = 1/x̄" in done.stdout
    done = run_program("--version")
    assert done.returncode == 0 and done.stdout == f"symmle {__version__}\n"


def test_a_terminal_without_unicode_is_served() -> None:
    done = run_program("fit", "exponential", str(DATA / "aircondit.csv"), PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and "0.009252120278" in done.stdout


def test_errors_of_the_program_are_one_line() -> None:
    done = run_program("fit", "exponential", "--values", "x")
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(r"symmle: .*'x'.*\n", done.stderr)
