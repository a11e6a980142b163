"""Rooms and floors: a file imports only from floors below its own, NumPy and SciPy only where numbers are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "symmle"

# One floor a line, from the ground up. A room is a module of symmle or a package in it.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "progress"),
    ("sample",),
    ("algebra", "plain"),
    ("record",),
    ("declare",),
    ("model", "reduction", "sampling", "logarithm", "inequalities"),
    ("end_rows",),
    ("likelihood",),
    ("score", "family"),
    ("estimator",),
    ("information", "identifiability", "serialise"),
    ("strategies", "latent"),
    ("certify", "existence"),
    ("reductions",),
    ("engine", "verification_edges", "verification_latent"),
    ("verification",),
    ("report",),
    ("compiling",),
    ("fitting",),
    ("textbook",),
    ("derivation",),
    ("gallery", "datafile", "printing"),
    ("cli",),
)
FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
# compiled expressions call the special functions of SciPy; its solvers belong to the fitters
NUMERIC = {
    "numpy": ("compiling", "fitting"),
    "scipy": ("fitting",),
    "scipy.special": ("compiling", "fitting"),
}


def room_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def running_code(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from running_code(child)


def imported_modules(file: str) -> Iterator[str]:
    """Full names of what a file imports, at its top or inside functions."""
    for node in running_code(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}, line {node.lineno}: imports are absolute"
            if node.module == "symmle":
                yield from (f"symmle.{name.name}" for name in node.names)
            elif node.module == "scipy":
                yield from (f"scipy.{name.name}" for name in node.names)
            elif node.module:
                yield node.module


@pytest.mark.parametrize("file", [f for f in FILES if f != "__init__.py"])
def test_a_file_imports_from_floors_below(file: str) -> None:
    room = room_of(file)
    assert room in FLOOR_OF, f"{room} has no floor: put it on one"
    for module in imported_modules(file):
        package, _, rest = module.partition(".")
        if package != "symmle" or not rest:
            continue
        other = rest.split(".")[0]
        if other in FLOOR_OF and other != room:
            assert FLOOR_OF[other] < FLOOR_OF[room], f"{file} imports {module}"


@pytest.mark.parametrize("file", FILES)
def test_numbers_are_loaded_where_numbers_are(file: str) -> None:
    for module in imported_modules(file):
        allowed = NUMERIC.get(module, NUMERIC.get(module.split(".")[0]))
        assert allowed is None or room_of(file) in allowed, f"{file} imports {module}"
