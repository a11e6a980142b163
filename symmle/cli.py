"""The command line: `symmle derive MODEL`, `symmle fit MODEL DATA`, `symmle list`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import symmle
from symmle import gallery
from symmle.datafile import as_number, columns_for, numbers_of, read_text
from symmle.declare.parser import shown
from symmle.derivation import TIME_LIMIT, Derivation, derive, fit
from symmle.errors import DataError, ModelError, SymmleError, UnsoundStepError
from symmle.model import Model
from symmle.printing import (
    certificate_for_data,
    claim_of,
    derivation_table,
    derivation_text,
    fit_table,
    fit_text,
)

FAILED, INTERRUPTED = 2, 130

MODEL_HELP = "a TOML file, or a name of the gallery (`symmle list`): normal, gamma, weibull, ..."
EXAMPLES = """examples:
  symmle derive gamma
  symmle fit gamma --values 3 5 7 18 43 85 91 98 100 130 230 487
  symmle fit weibull lifetimes.csv --column hours
  symmle derive --density "lam*exp(-lam*x)" --support "x: [0, oo)" --parameter "lam: positive"
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(FAILED, f"{self.prog}: {message} (`{self.prog} --help` shows how.)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 0, 2 after an error (one line on stderr), 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode shows escapes
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    try:
        run(options)
        sys.stdout.flush()
    except (SymmleError, OSError) as problem:
        if isinstance(problem, BrokenPipeError):  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"symmle: {' '.join(str(problem).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("symmle: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="symmle",
        description="Maximum-likelihood estimators derived, proved and written down from a declared density.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"symmle {symmle.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    deriving = commands.add_parser("derive", help="derive the estimator of a model and write it down")
    deriving.set_defaults(run=_derive)
    deriving.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    fitting = commands.add_parser("fit", help="derive the estimator of a model and fit it to data")
    fitting.set_defaults(run=_fit)
    fitting.add_argument("model", nargs="?", metavar="MODEL", help=MODEL_HELP)
    fitting.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help="a CSV file with a header, or bare numbers; - is standard input; default: the file's own data",
    )
    fitting.add_argument("--values", nargs="+", metavar="NUMBER", help="the data themselves, instead of DATA")
    fitting.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME",
        help="the column of the data; SYMBOL=NAME where a model has several",
    )
    fitting.add_argument("--weights", metavar="NAME", help="the column that counts the rows")
    fitting.add_argument(
        "--start", action="append", default=[], metavar="NAME=VALUE", help="where a numeric fit starts"
    )
    fitting.add_argument(
        "--bounds",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="a closed interval for a parameter; leave an end out for none",
    )
    fitting.add_argument(
        "--missing",
        choices=("error", "drop"),
        default="error",
        help="rows with a missing value: refuse or leave out",
    )
    fitting.add_argument(
        "--certify", action="store_true", help="try to prove the maximum for these data, if it is not proved"
    )
    for command in (deriving, fitting):
        _add_model_options(command)
    listing = commands.add_parser("list", help="show the densities of the gallery")
    listing.set_defaults(run=_list)
    return parser


def _add_model_options(command: argparse.ArgumentParser) -> None:
    declared = command.add_argument_group("a model declared here, instead of MODEL")
    declared.add_argument("--density", metavar="TEXT", help='such as "lam*exp(-lam*x)"')
    for flag, meaning in {
        "support": 'of a data symbol: "x: (0, oo)", "x: {0..n}"',
        "parameter": 'with its domain: "lam: positive", "mu: real", "p: (0, 1)"',
        "constant": 'with its value: "m: 10"',
        "covariate": 'a column that is conditioned on: "z" or "z: (0, oo)"',
    }.items():
        declared.add_argument(f"--{flag}", action="append", default=[], metavar="TEXT", help=meaning)
    command.add_argument(
        "--fixed", action="append", default=[], metavar="NAME[=VALUE]", help="a parameter that is held fixed"
    )
    command.add_argument("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS")
    command.add_argument("--verify", action="store_true", help="check every step of the derivation again")
    command.add_argument("--latex", metavar="FILE", help="write the derivation as a complete LaTeX document")
    command.add_argument("--json", action="store_true", help="print JSON")


# --- commands -------------------------------------------------------------------------------------


def _derive(options: argparse.Namespace) -> None:
    derivation = _derivation(options)
    if options.json:
        _finish(derivation, options, derivation_table(derivation))
    else:
        _finish(derivation, options, derivation_text(derivation))


def _fit(options: argparse.Namespace) -> None:
    if options.density is not None and options.data is None:  # the one argument is the data
        options.model, options.data = None, options.model
    if options.values is not None and options.data is not None:
        raise DataError(
            f"Expected either a data file or --values, got both: '{shown(options.data)}'. Leave one out."
        )
    derivation = _derivation(options)
    columns, weights, source = _data(derivation, options)
    result = fit(
        derivation,
        columns,
        weights=weights,
        start=_start(options.start),
        bounds=_bounds(options.bounds),
        missing=options.missing,
    )
    derivation = result.derivation  # with bounds that of the smaller space
    claim = claim_of(derivation, unbounded=result.unbounded)
    if options.certify and (claim.status != "proved" or claim.kind != "global maximum"):
        certificate = certificate_for_data(result, options.time_limit)
        if isinstance(certificate, str):
            print(f"symmle: not proved for these data: {certificate}", file=sys.stderr)
        else:
            claim = claim_of(derivation, certificate)
    _finish(
        derivation, options, fit_table(result, claim) if options.json else fit_text(result, claim, source)
    )


def _list(options: argparse.Namespace) -> None:
    names = gallery.names()
    for name in names:
        print(f"{name:<{max(map(len, names))}}  {gallery.read(name)['title']}")


def _finish(derivation: Derivation, options: argparse.Namespace, answer: str | dict[str, Any]) -> None:
    """What both commands share: the LaTeX file, the answer as text or JSON, the checks."""
    if options.latex:
        Path(options.latex).write_text(derivation.document(), encoding="utf-8")
    checked = derivation.verify() if options.verify else None
    if isinstance(answer, str):
        print(answer if checked is None else f"{answer}\n\nCHECKS\n{checked}")
    else:
        if checked is not None:
            answer["verification"] = [
                {"rule": c.rule, "holds": c.holds, "found": c.found} for c in checked.checks
            ]
        print(json.dumps(answer, indent=2, ensure_ascii=False, allow_nan=False))
    if checked is not None and not checked:
        failed = checked.failures[0]
        raise UnsoundStepError(
            f"The step '{failed.rule}' does not hold: {failed.found}. This is a bug in symmle."
        )


# --- model and data -------------------------------------------------------------------------------


def _derivation(options: argparse.Namespace) -> Derivation:
    if options.density is not None:
        if options.model is not None:
            raise ModelError(
                f"Expected either MODEL or --density, got both: '{shown(options.model)}'. Leave one out."
            )
        model = Model.from_dict(_declared(options))
    elif options.model is None:
        raise ModelError(
            "Expected MODEL, a TOML file or a name of the gallery, or --density. `symmle list` shows names."
        )
    else:
        for flag in ("support", "parameter", "constant", "covariate"):
            if getattr(options, flag):
                raise ModelError(f"--{flag} goes with --density; a model file says it itself. Leave one out.")
        model = Model.from_toml(_model_file(options.model))
    fixed = {}
    for text in options.fixed:
        name, equals, value = text.partition("=")
        fixed[name.strip()] = value.strip() if equals else None
        if options.run is _fit and not equals:
            raise ModelError(f"Expected --fixed {name}=VALUE, got no value. A fit needs the number.")
    return derive(model, fixed or None, options.time_limit)


def _model_file(given: str) -> Path:
    """A name of the gallery, or the path of a file."""
    path = Path(given)
    return path if path.suffix == ".toml" or path.is_file() else gallery.path_of(given)


def _declared(options: argparse.Namespace) -> dict[str, Any]:
    if not options.support:
        raise ModelError('Expected --support with --density, such as --support "x: (0, oo)".')
    return {
        "density": options.density,
        "data": _pairs(options.support, "support"),
        "parameters": _pairs(options.parameter, "parameter"),
        "constants": _pairs(options.constant, "constant"),
        "covariates": _pairs([t if ":" in t else f"{t}: real" for t in options.covariate], "covariate"),
    } | ({"normalises": False} if options.covariate else {})


def _pairs(texts: Sequence[str], flag: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, colon, value = (part.strip() for part in text.partition(":"))
        if not (name and colon and value):
            raise ModelError(f'Expected --{flag} "NAME: ...", got "{shown(text)}".')
        if name in found:
            raise ModelError(f"Expected one --{flag} for `{shown(name)}`, got two. Leave one out.")
        found[name] = value
    return found


def _data(derivation: Derivation, options: argparse.Namespace) -> tuple[dict[str, Any], Any, str]:
    """Columns by data symbol, weights, and where they come from."""
    declaration = derivation.model.declaration
    lags = {lag.name for lag in declaration.lags}
    needed = list(
        dict.fromkeys(c.name for part in declaration.samples for c in part.all_columns if c.name not in lags)
    )
    if options.values is not None:
        if len(needed) != 1:
            raise DataError(f"--values gives one column; the model has {', '.join(needed)}. Pass a CSV file.")
        return {needed[0]: numbers_of(options.values)}, None, "the values given"
    if options.data is None:
        return _own_data(needed, options)
    given: dict[str, str] = {}
    for text in options.column:
        symbol, equals, name = text.partition("=")
        if not equals and len(needed) > 1:
            raise DataError(
                f"Expected --column SYMBOL=NAME for one of {', '.join(needed)}, got '{shown(text)}'."
            )
        given[symbol if equals else needed[0]] = name if equals else text
    table = read_text(options.data)
    columns, weights = columns_for(needed, table, given, options.weights, options.missing == "drop")
    return columns, weights, table.source


def _start(texts: Sequence[str]) -> dict[str, float] | None:
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        number = as_number(value)
        if number is None:
            raise DataError(f"Expected --start NAME=VALUE with a number, got '{shown(text)}'.")
        found[name.strip()] = number
    return found or None


def _bounds(texts: Sequence[str]) -> dict[str, tuple[str | None, str | None]] | None:
    found: dict[str, tuple[str | None, str | None]] = {}
    for text in texts:
        name, equals, ends = text.partition("=")
        low, colon, high = (part.strip() for part in ends.partition(":"))
        if not (equals and colon):
            raise ModelError(f"Expected --bounds NAME=LOW:HIGH, got '{shown(text)}'.")
        found[name.strip()] = (low or None, high or None)
    return found or None


def _own_data(needed: Sequence[str], options: argparse.Namespace) -> tuple[dict[str, Any], Any, str]:
    """The data set that stands in the model's own file."""
    own: Any = None
    if options.model is not None:
        path = _model_file(options.model)
        own = tomllib.loads(path.read_text(encoding="utf-8")).get("data")
    if not isinstance(own, dict) or not all(isinstance(own.get(name), list) for name in needed):
        raise DataError("Expected DATA, a CSV file, or - for standard input, or --values NUMBER NUMBER ...")
    return {name: own[name] for name in needed}, own.get("weights"), f"the data of {path.name}"


if __name__ == "__main__":
    sys.exit(main())
