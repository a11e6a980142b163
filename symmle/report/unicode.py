"""Expressions on one line of Unicode text: Σ (xᵢ − x̄)², λ̂, log Γ(α)."""

from __future__ import annotations

from typing import Any

from sympy import Add, Basic, Expr, Mul, Piecewise, Pow, S, Symbol, factorial, log
from sympy.printing.str import StrPrinter

from symmle.report.constants import is_negative_term
from symmle.report.names import marked_unicode, renewed_unicode, unicode_name, unicode_superscript
from symmle.report.order import falls, is_factorial, ordered_terms, turned
from symmle.report.typesetter import Names, Typesetter, indicator, levels_of
from symmle.sample import Count, LinearStatistic, Mean, Quantile, SampleOperator, Total

_FUNCTIONS = {
    "gamma": "Γ", "beta": "B", "digamma": "ψ", "loggamma": "log Γ", "LambertW": "W", "asin": "arcsin",
    "acos": "arccos", "atan": "arctan", "sign": "sgn",
}  # fmt: skip


class UnicodePrinter(Typesetter, StrPrinter):
    """Textbook mathematics on one line: Σ (xᵢ − x̄)², λ̂, log Γ(α), n/x̄."""

    printmethod = "_symmle_unicode"  # the operators' own `_sympystr` is for code

    def _print_Symbol(self, symbol: Symbol) -> str:
        column, back = self.names.source_of(symbol)
        if symbol in self.names.marks:
            return marked_unicode(symbol.name, self.names.marks[symbol], symbol in self._bound)
        if symbol in self.names.renewed:
            return renewed_unicode(unicode_name(symbol.name))
        if symbol in self._bound:
            return unicode_name(column.name, index=f"i-{back}" if back else "i").replace("-", "₋")
        if back:
            return unicode_name(column.name, index="prev" + (str(back) if back > 1 else ""))
        return unicode_name(symbol.name, accent="hat" if symbol in self.names.hats else "")

    _print_Dummy = _print_Symbol

    def _print_Pi(self, expression: Expr) -> str:
        return "π"

    def _print_Exp1(self, expression: Expr) -> str:
        return "e"

    def _print_Infinity(self, expression: Expr) -> str:
        return "∞"

    def _print_Rational(self, number: Any) -> str:
        return f"{'−' if number.p < 0 else ''}{abs(number.p)}" + (f"/{number.q}" if number.q != 1 else "")

    _print_Half = _print_Integer = _print_Zero = _print_One = _print_NegativeOne = _print_Rational

    def bracket(self, text: str) -> str:
        return f"({text})"

    def _print_Add(self, expression: Add, order: Any = None) -> str:
        pieces = [self.signed(term) for term in ordered_terms(expression, self.data)]
        text = "".join(f" {sign} {body}" for sign, body in pieces)
        return text[3:] if pieces[0][0] == "+" else "−" + text[3:]

    def signed(self, term: Expr) -> tuple[str, str]:
        if isinstance(term, Add):
            return "+", self.bracket(self._print(term))
        text = self._print(term)
        return ("−", text[1:].lstrip()) if text.startswith("−") else ("+", text)

    def factor(self, expression: Expr, last: bool = False) -> str:
        text = self._print(expression)
        if isinstance(expression, Add) or (isinstance(expression, Mul) and is_negative_term(expression)):
            return self.bracket(text)
        if isinstance(expression, Piecewise) and indicator(expression) is None:
            return self.bracket(text)
        if isinstance(expression, LinearStatistic) and "Σ" in text and not last:
            return self.bracket(text)
        return text

    def _row(self, factors: list[Expr]) -> str:
        if len(factors) == 1 and not isinstance(factors[0], Add):
            return self._print(factors[0])
        texts = [self.factor(f, last=f is factors[-1]) for f in factors]
        joined = texts[0] if texts else ""
        for text in texts[1:]:
            joined += ("·" if text[0].isdigit() else " ") + text
        return joined

    def _print_Mul(self, expression: Expr) -> str:
        upper = self._upper_quantile(expression)
        if upper:
            return upper
        shape = self.shape(expression)
        above, below, after = list(shape.above), list(shape.below), list(shape.after)
        pieces = [self._print(f) for f in shape.leading]
        if below:
            under = self._row(below)
            if len(below) > 1 or " " in under or "/" in under:
                under = self.bracket(under) if not (under.startswith("(") and len(below) == 1) else under
            over = self._row(above) or "1"
            if (len(above) > 1 and "Σ" in over) or (len(above) == 1 and over.startswith("Σ")):
                over = self.bracket(over)
            pieces.append(f"({over}/{under})" if after else f"{over}/{under}")
        else:
            after = above + after
        if after:
            alone = len(after) == 1 and not pieces and not shape.negative
            pieces.append(self._row(after) if not alone else self._print(after[0]))
        return ("−" if shape.negative else "") + (" ".join(pieces) or "1")

    def _print_Pow(self, expression: Pow, rational: bool = False) -> str:
        base, power = expression.base, expression.exp
        if falls(power):
            return self._print_Mul(expression)
        if isinstance(base, Mean) and power.is_Integer and not self.is_plain_mean(base):
            return self._print_Mul(expression)
        if power.is_even and isinstance(base, Add):
            base = turned(base, self.data)
        if power == S.Half:
            inside = self._print(base)
            return f"√{inside}" if isinstance(base, Symbol) or base.is_Integer else f"√({inside})"
        text = self._print(base)
        atom = (
            (isinstance(base, Symbol) and not text.endswith("⁾"))
            or (base.is_Integer and base >= 0)
            or base in (S.Pi, S.Exp1)
        )
        atom = atom or (isinstance(base, SampleOperator) and "Σ" not in text and " " not in text)
        text = text if atom else self.bracket(text)
        raised = self._print(power)
        above = unicode_superscript(raised.replace("−", "-")) if len(raised) <= 3 else None
        if above is not None:
            return text + above
        return f"{text}^{raised}" if raised.isalnum() or len(raised) <= 2 else f"{text}^({raised})"

    def _print_Function(self, expression: Expr) -> str:
        name = _FUNCTIONS.get(expression.func.__name__, expression.func.__name__)
        return f"{name}({', '.join(self._print(a) for a in expression.args)})"

    def _print_gamma(self, expression: Expr) -> str:
        if is_factorial(expression.args[0]):
            return self._print_factorial(factorial(expression.args[0] - 1))
        return self._print_Function(expression)

    def _print_loggamma(self, expression: Expr) -> str:
        if is_factorial(expression.args[0]):
            return self._print_log(log(factorial(expression.args[0] - 1), evaluate=False))
        return self._print_Function(expression)

    def _print_exp(self, expression: Expr) -> str:
        return f"exp({self._print(expression.args[0])})"

    def _print_log(self, expression: Expr) -> str:
        argument = expression.args[0]
        text = self._print(argument)
        bare = isinstance(argument, Symbol) or argument.is_Integer or (
            isinstance(argument, SampleOperator) and "Σ" not in text and " " not in text
        )  # fmt: skip
        return f"log {text}" if bare else f"log({text})"

    def _print_polygamma(self, expression: Expr) -> str:
        order, argument = expression.args
        mark = {0: "", 1: "′", 2: "″"}.get(int(order) if order.is_Integer else -1)
        return f"ψ{f'^({self._print(order)})' if mark is None else mark}({self._print(argument)})"

    def _bessel(self, expression: Expr) -> str:
        letter = expression.func.__name__[-1].upper()
        order = self._print(expression.args[0])
        return f"{letter}{unicode_name('x', index=order)[1:]}({self._print(expression.args[1])})"

    _print_besseli = _print_besselk = _print_besselj = _print_bessely = _bessel

    def _print_LambertW(self, expression: Expr) -> str:
        branch = "₋₁" if len(expression.args) == 2 and expression.args[1] == -1 else "₀"
        return f"W{branch}({self._print(expression.args[0])})"

    def _print_Abs(self, expression: Expr) -> str:
        return f"|{self._print(turned(expression.args[0], self.data))}|"

    def _print_factorial(self, expression: Expr) -> str:
        text = self._print(expression.args[0])
        return f"{text}!" if isinstance(expression.args[0], Symbol) or text.isdigit() else f"({text})!"

    def _print_floor(self, expression: Expr) -> str:
        return f"⌊{self._print(expression.args[0])}⌋"

    def _print_ceiling(self, expression: Expr) -> str:
        return f"⌈{self._print(expression.args[0])}⌉"

    def _print_Relational(self, expression: Any) -> str:
        sign = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}.get(expression.rel_op, expression.rel_op)
        return f"{self._print(expression.lhs)} {sign} {self._print(expression.rhs)}"

    _print_Equality = _print_Relational

    def case(self, condition: Basic) -> str:
        """A condition on the data, by its values where they are a short list."""
        levels = levels_of(condition, self.support_of(condition))
        if not levels:
            return self._print(condition)
        column = self._print(next(iter(condition.free_symbols)))
        if len(levels) == 1:
            return f"{column} = {levels[0]}"
        return f"{column} ∈ {{{', '.join(map(str, levels))}}}"

    def _print_Not(self, expression: Any) -> str:
        return f"not ({self._print(expression.args[0])})"

    def _print_Or(self, expression: Any) -> str:
        return " or ".join(self._print(a) for a in sorted(expression.args, key=str))

    def _print_And(self, expression: Any) -> str:
        return " and ".join(self._print(a) for a in sorted(expression.args, key=str))

    def _print_Piecewise(self, expression: Piecewise) -> str:
        condition = indicator(expression)
        if condition is not None:
            return f"1{{{self.case(condition)}}}"
        cases = []
        for value, case in (pair.args for pair in expression.args):
            cases.append(
                f"{self._print(value)} {'otherwise' if case == S.true else f'if {self._print(case)}'}"
            )
        return "{" + "; ".join(cases) + "}"

    def _print_MatrixBase(self, matrix: Any) -> str:
        return (
            "["
            + "; ".join(", ".join(self._print(e) for e in matrix.row(r)) for r in range(matrix.rows))
            + "]"
        )

    _print_ImmutableDenseMatrix = _print_MutableDenseMatrix = _print_MatrixBase

    def _print_Tuple(self, expression: Any) -> str:
        return "(" + ", ".join(self._print(a) for a in expression.args) + ")"

    def _print_Count(self, expression: Count) -> str:
        if len(self.names.samples) < 2:
            return "n"
        return unicode_name("n", index=self.count_name(expression.columns))

    def _print_Total(self, expression: Total) -> str:
        condition = indicator(expression.summand)
        if condition is not None:
            levels = self.levels(condition, expression.columns)
            if levels:
                return "n" + "‚".join(unicode_name("n", index=str(c))[1:] for c in levels)
            with self._indexed(expression.columns):
                return f"#{{i : {self.case(condition)}}}"
        with self._indexed(expression.columns):
            return f"Σ {self.factor(expression.summand, last=True)}"

    def _print_Mean(self, expression: Mean) -> str:
        if not self.is_plain_mean(expression):
            return self._print_Mul(expression)
        if isinstance(expression.summand, Symbol):
            return unicode_name(expression.summand.name, accent="bar")
        with self._within(0, unindexed=True):
            return f"mean({self._print(expression.summand)})"

    def _ordered(self, expression: SampleOperator, index: str, word: str) -> str:
        summand = expression.args[0]
        if isinstance(summand, Symbol):
            count = self._print_Count(Count(expression.columns)) if index == "n" else index
            place = unicode_name("x", index=f"({count})")[1:]
            return unicode_name(self.names.source_of(summand)[0].name) + place
        with self._indexed(expression.columns):
            return f"{word}({self._print(summand)})"

    def _print_Minimum(self, expression: SampleOperator) -> str:
        return self._ordered(expression, "1", "min")

    def _print_Maximum(self, expression: SampleOperator) -> str:
        return self._ordered(expression, "n", "max")

    def _print_Median(self, expression: SampleOperator) -> str:
        return f"median({self._print(expression.args[0])})"

    def _print_Quantile(self, expression: Any) -> str:
        return f"quantile({self._print(expression.summand)}, {self._print(expression.probability)})"

    def _upper_quantile(self, expression: Expr) -> str:
        """-quantile of -x: the observation next above, where the place is a whole number."""
        q = -expression
        if not isinstance(q, Quantile) or not isinstance(-q.summand, Symbol):
            return ""
        name, share = self._print(-q.summand), 1 - q.probability
        if share == S.Half:
            return f"upper median({name})"
        return f"upper quantile({name}, {self._print(share)})"

    def _print_WeightedQuantile(self, expression: Any) -> str:
        share = self._print(expression.probability)
        with self._indexed(expression.columns):
            inside, weight = self._print(expression.summand), self._print(expression.weight)
        return f"quantile({inside}, {share}, weights {weight})"


def unicode_text(expression: Basic, names: Names | None = None) -> str:
    """An expression on one line of Unicode.

    Examples
    --------
    >>> from sympy import Symbol
    >>> from symmle.sample import Count, Mean
    >>> x, lam = Symbol("x", positive=True), Symbol("lam", positive=True)
    >>> print(unicode_text(Count((x,)) * lam**2 / 2))
    n λ²/2
    """
    return str(UnicodePrinter(names).doprint(expression))
