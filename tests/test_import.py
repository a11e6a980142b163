"""`import symmle` is light: neither NumPy nor SciPy, and derivations need neither."""

from __future__ import annotations

import subprocess
import sys

import pytest

FITTING = ("numpy", "scipy", "symmle.compiling", "symmle.fitting")
DERIVING = """
from sympy import Symbol, exp
x, rate = Symbol("x", positive=True), Symbol("lambda", positive=True)
derivation = symmle.derive(symmle.Model(rate*exp(-rate*x), data=x))
derivation.latex(), str(derivation), derivation.to_dict()
"""


@pytest.mark.parametrize("then", ["", DERIVING], ids=["import", "derive"])
def test_neither_numpy_nor_scipy_is_loaded(then: str) -> None:
    program = f"import sys, symmle\n{then}\nprint(*sorted(m for m in {FITTING} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_the_public_names_are_there() -> None:
    import symmle

    assert set(symmle.__all__) >= {"Model", "Mixture", "derive", "fit", "SymmleError"}
    for name in symmle.__all__:
        assert getattr(symmle, name).__doc__
