"""The gallery: textbook densities, each declared in TOML with its source, a data set and the answer."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from symmle.declare.parser import nearest, shown
from symmle.errors import ModelError

INSTALLED = Path(__file__).with_name("gallery_files")
CHECKOUT = Path(__file__).parent.parent / "gallery"


def folder() -> Path:
    """Where the files are: inside the installed package, or beside the package in a checkout."""
    return INSTALLED if INSTALLED.is_dir() else CHECKOUT


def names() -> list[str]:
    """The names of the densities, sorted."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def path_of(name: str) -> Path:
    """The file of a density.

    Raises
    ------
    ModelError
        If there is none of this name.

    Examples
    --------
    >>> path_of("gamma").name
    'gamma.toml'
    """
    known = names()
    if name not in known:
        raise ModelError(
            f"Expected a model file or a name of the gallery, got '{shown(name)}'"
            f"{nearest(name, known) or '.'} `symmle list` shows the names."
        )
    return folder() / f"{name}.toml"


def read(name: str) -> dict[str, Any]:
    """All that a file of the gallery says: title, source, model, data, answer."""
    return tomllib.loads(path_of(name).read_text(encoding="utf-8"))
