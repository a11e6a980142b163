"""A derivation as a picture: python gallery/picture.py gamma gallery/gamma.png (needs pdflatex, pdftoppm)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from symmle import Model, derive, gallery

CLASS = r"\documentclass[border=12pt]{standalone}"
COLUMNS = r"\usepackage{multicol}\setlength{\columnsep}{1cm}"
OPENING = r"\begin{document}\begin{minipage}{25cm}\begin{multicols}{2}"
CLOSING = r"\end{multicols}\end{minipage}\end{document}"


def draw(name: str, picture: Path) -> None:
    """The page that `derive` writes, in two columns, cropped to what stands on it."""
    document = derive(Model.from_toml(gallery.path_of(name))).document()
    preamble, _, body = document.partition(r"\begin{document}")
    packages = [
        line for line in preamble.splitlines() if line.startswith(r"\usepackage") and "geometry" not in line
    ]
    written = body.partition(r"\end{document}")[0]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.tex"
        page.write_text("\n".join([CLASS, *packages, COLUMNS, OPENING, written, CLOSING]), encoding="utf-8")
        for command in (
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", page.name],
            ["pdftoppm", "-png", "-singlefile", "-gray", "-r", "110", "page.pdf", "page"],
        ):
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        picture.write_bytes(page.with_suffix(".png").read_bytes())


if __name__ == "__main__":
    draw(sys.argv[1], Path(sys.argv[2]))
