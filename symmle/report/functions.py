r"""The names of functions in LaTeX: \log x, \log\Gamma(\alpha), \psi(\alpha), I_0(\kappa), W_{-1}(x)."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Function, S, Symbol, factorial, log

from symmle.report.order import is_factorial, turned
from symmle.report.typesetter import Typesetter
from symmle.sample import SampleOperator

_TALL = ("\\frac", "\\sum", "\\prod", "\\binom", "\\begin", "\\sqrt", "\\left", "\\Bigl", "\\overline")


class LatexFunctions(Typesetter):
    """The `_print_` methods of functions; `power` is an exponent that stands at the name."""

    def is_tall(self, text: str) -> bool:
        return any(mark in text for mark in _TALL)

    def bracket(self, text: str) -> str:
        if r"\sum" in text and not self._inline:
            return rf"\Bigl({text}\Bigr)"
        return rf"\left({text}\right)" if self.is_tall(text) else f"({text})"

    def _argument(self, expression: Expr) -> str:
        """The argument of \\log, \\sin: without brackets where it is one sign."""
        text = self._print(expression)
        if isinstance(expression, Symbol | SampleOperator) and r"\sum" not in text and r"\frac" not in text:
            return " " + text
        if (expression.is_Integer and expression >= 0) or expression is S.Pi:
            return " " + text
        if isinstance(expression, Function) and text.startswith(
            (r"\Gamma", r"\binom", r"|", r"I_", r"\lfloor")
        ):
            return " " + text
        return self.bracket(text)

    def _raised(self, text: str, power: Any, bracket: bool = False) -> str:
        if power is None:
            return text
        return rf"{self.bracket(text) if bracket else text}^{{{power}}}"

    def _print_log(self, expression: Expr, power: Any = None) -> str:
        text = rf"\log{self._argument(expression.args[0])}"
        return self._raised(text, power, bracket=True)

    _print_ln = _print_log

    def _print_loggamma(self, expression: Expr, power: Any = None) -> str:
        if is_factorial(expression.args[0]):
            return self._print_log(log(factorial(expression.args[0] - 1), evaluate=False), power)
        return self._raised(rf"\log\Gamma({self._print(expression.args[0])})", power, bracket=True)

    def _named(self, name: str, expression: Expr, power: Any = None) -> str:
        inside = ", ".join(self._print(a) for a in expression.args)
        return self._raised(name, power) + self.bracket(inside)

    def _print_gamma(self, expression: Expr, power: Any = None) -> str:
        if is_factorial(expression.args[0]):
            return self._print_factorial(factorial(expression.args[0] - 1), power)
        return self._named(r"\Gamma", expression, power)

    def _print_beta(self, expression: Expr, power: Any = None) -> str:
        return self._named(r"\mathrm{B}", expression, power)

    def _print_digamma(self, expression: Expr, power: Any = None) -> str:
        return self._named(r"\psi", expression, power)

    def _print_polygamma(self, expression: Expr, power: Any = None) -> str:
        order, argument = expression.args
        mark = {0: "", 1: "'", 2: "''"}.get(int(order) if order.is_Integer else -1)
        raised = f"^{{({self._print(order)})}}" if mark is None else mark
        text = rf"\psi{raised}{self.bracket(self._print(argument))}"
        return self._raised(text, power, bracket=True)

    def _bessel(self, letter: str, expression: Expr, power: Any) -> str:
        order, argument = expression.args
        below = self._print(order)
        text = f"{letter}_{below}" if len(below) == 1 else f"{letter}_{{{below}}}"
        return self._raised(text, power) + self.bracket(self._print(argument))

    def _print_besseli(self, expression: Expr, power: Any = None) -> str:
        return self._bessel("I", expression, power)

    def _print_besselk(self, expression: Expr, power: Any = None) -> str:
        return self._bessel("K", expression, power)

    def _print_LambertW(self, expression: Expr, power: Any = None) -> str:
        branch = f"{{{self._print(expression.args[1])}}}" if len(expression.args) == 2 else "0"
        return self._raised(f"W_{branch}", power) + self.bracket(self._print(expression.args[0]))

    def _print_erf(self, expression: Expr, power: Any = None) -> str:
        return self._named(r"\operatorname{erf}", expression, power)

    def _print_erfc(self, expression: Expr, power: Any = None) -> str:
        return self._named(r"\operatorname{erfc}", expression, power)

    def _print_sign(self, expression: Expr, power: Any = None) -> str:
        return self._named(r"\operatorname{sgn}", expression, power)

    def _print_Abs(self, expression: Expr, power: Any = None) -> str:
        inside = self._print(turned(expression.args[0], self.data))
        text = rf"\left|{inside}\right|" if self.is_tall(inside) else f"|{inside}|"
        return self._raised(text, power)

    def _trig(self, expression: Expr, power: Any = None) -> str:
        name = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}.get(expression.func.__name__)
        name = name or expression.func.__name__
        command = (
            rf"\{name}"
            if name not in ("sech", "csch", "asinh", "acosh", "atanh")
            else rf"\operatorname{{{name}}}"
        )
        argument = expression.args[0]
        if expression.func.__name__ in ("cos", "cosh", "sech"):
            argument = turned(argument, self.data)
        return self._raised(command, power) + self._argument(argument)

    _print_sin = _print_cos = _print_tan = _print_cot = _print_sec = _print_csc = _trig
    _print_sinh = _print_cosh = _print_tanh = _print_coth = _print_sech = _print_csch = _trig
    _print_asin = _print_acos = _print_atan = _print_asinh = _print_acosh = _print_atanh = _trig

    def _print_atan2(self, expression: Expr, power: Any = None) -> str:
        return self._named(r"\operatorname{atan2}", expression, power)

    def _print_binomial(self, expression: Expr, power: Any = None) -> str:
        with self._within(0):
            above, below = (self._print(a) for a in expression.args)
        return self._raised(rf"\binom{{{above}}}{{{below}}}", power, bracket=True)

    def _print_factorial(self, expression: Expr, power: Any = None) -> str:
        argument = expression.args[0]
        inside = self._print(argument)
        text = f"{inside if isinstance(argument, Symbol) or argument.is_Integer else self.bracket(inside)}!"
        return self._raised(text, power, bracket=True)
