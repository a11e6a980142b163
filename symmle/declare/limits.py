"""What SymPy would compute on the spot is bounded before SymPy sees it: powers, constants, sizes."""

from __future__ import annotations

import ast
from typing import Any, NoReturn

import sympy
from sympy import Expr, Rational, S

LARGEST_EXPONENT = 1_000
MOST_BITS = 20_000
LARGEST_CONSTANT = 10_000


class Bounded:
    """Powers and constants of bounded size; `fail` raises the error."""

    def fail(self, node: ast.AST, expected: str, todo: str) -> NoReturn:
        raise NotImplementedError

    def power(self, node: ast.AST, base: Expr, exponent: Expr) -> Expr:
        if exponent.is_Rational:
            inner = abs(base.exp) if base.is_Pow and base.exp.is_Rational else S.One
            bits = _bits(base.as_coeff_Mul()[0])
            size = abs(exponent)
            if (
                size > LARGEST_EXPONENT
                or size * inner > 10 * LARGEST_EXPONENT
                or exponent.q > 10**6
                or bits * size > MOST_BITS
            ):
                self.fail(
                    node,
                    f"powers up to {LARGEST_EXPONENT} and numbers below {MOST_BITS} bits",
                    "Use a symbol or smaller numbers.",
                )
        else:
            self.check_constant(node, exponent, LARGEST_CONSTANT)
        if base.is_zero and exponent.is_negative:
            self.fail(node, "a divisor other than zero", "Mend the formula.")
        value = base**exponent
        self.check_size(node, value)
        return value

    def check_constant(self, node: ast.AST, value: Expr, largest: int) -> None:
        """A constant that SymPy may evaluate on the spot is small."""
        if value.free_symbols or value.is_infinite:
            return
        small: bool
        if value.is_Rational:
            small = abs(value) <= largest and value.q <= LARGEST_CONSTANT**2
        elif value.has(sympy.Sum, sympy.Product):
            small = False
        else:
            # its parts were bounded before, so that this evaluation is quick
            number = value.evalf(15)
            small = bool(number.is_comparable) and bool(abs(number) <= largest)
        if not small:
            self.fail(node, f"a constant of at most {largest} here", "Use a symbol or a smaller number.")

    def check_size(self, node: ast.AST, value: Expr) -> None:
        parts = (value.as_coeff_Mul()[0], value.as_coeff_Add()[0])
        if any(_bits(p) > MOST_BITS for p in parts):
            self.fail(node, f"numbers below {MOST_BITS} bits", "Use smaller numbers.")


def _bits(number: Any) -> int:
    if isinstance(number, Rational):
        return max(int(number.p).bit_length(), int(number.q).bit_length()) if number is not S.One else 0
    return 0


def is_nested_beyond(text: str, depth: int) -> bool:
    """Whether brackets, or signs in a row, are nested deeper, counted before Python parses the text."""
    brackets = signs = 0
    for character in text:
        brackets += (character in "([") - (character in ")]")
        signs = signs + 1 if character in "+-~" else (signs if character == " " else 0)
        if brackets > depth or signs > depth:
            return True
    return False
