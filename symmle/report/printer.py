r"""Expressions in LaTeX as a statistics textbook sets them: \bar{x}, \sum_{i=1}^{n}, \log x, \hat{\theta}."""

from __future__ import annotations

from typing import Any

from sympy import Add, Basic, Expr, Mul, Piecewise, Pow, S, Symbol, Tuple
from sympy.printing.latex import LatexPrinter

from symmle.report.constants import is_negative_term
from symmle.report.functions import LatexFunctions
from symmle.report.layout import width
from symmle.report.names import latex_name, marked_latex, renewed_latex
from symmle.report.order import falls, ordered_terms, turned
from symmle.report.typesetter import Names, indicator, levels_of
from symmle.sample import Count, LinearStatistic, Mean, Quantile, SampleOperator, Total


class TextbookPrinter(LatexFunctions, LatexPrinter):
    """SymPy's LaTeX printer with the conventions of a textbook.

    Parameters
    ----------
    names : Names
        The samples, lags and hats of what is printed.
    """

    # --- symbols and numbers
    def _print_Symbol(self, symbol: Symbol, style: str = "plain") -> str:
        column, back = self.names.source_of(symbol)
        if symbol in self.names.marks:
            return marked_latex(symbol.name, self.names.marks[symbol], symbol in self._bound)
        if symbol in self.names.renewed:
            return renewed_latex(latex_name(symbol.name))
        if symbol in self._bound:
            return latex_name(column.name, index=f"i-{back}" if back else "i")
        if back:
            return latex_name(column.name, index=r"\mathrm{prev}" if back == 1 else rf"\mathrm{{prev}}{back}")
        return latex_name(symbol.name, accent="hat" if symbol in self.names.hats else "")

    _print_Dummy = _print_Symbol
    _print_RandomSymbol = _print_Symbol

    def _print_Exp1(self, expression: Expr) -> str:
        return "e"

    def _print_EulerGamma(self, expression: Expr) -> str:
        return r"\gamma_{\mathrm{E}}"

    def _print_Rational(self, number: Any) -> str:
        sign = "-" if number.p < 0 else ""
        if number.q == 1:
            return f"{sign}{abs(number.p)}"
        if self._inline:
            return f"{sign}{abs(number.p)}/{number.q}"
        return rf"{sign}\frac{{{abs(number.p)}}}{{{number.q}}}"

    _print_Half = _print_Rational

    # --- brackets
    def factor(self, expression: Expr, last: bool = False) -> str:
        """A factor of a product, in brackets where it needs them."""
        text = self._print(expression)
        if isinstance(expression, Add) or (isinstance(expression, Mul) and is_negative_term(expression)):
            return self.bracket(text)
        if isinstance(expression, Piecewise):
            return text if indicator(expression) is not None else self.bracket(text)
        if (r"\sum" in text and isinstance(expression, LinearStatistic)) and not last:
            return self.bracket(text)
        return text

    # --- sums, products, powers
    def _print_Add(self, expression: Add, order: Any = None) -> str:
        pieces = [self.signed(term) for term in ordered_terms(expression, self.data)]
        text = "".join(f" {sign} {body}" for sign, body in pieces)
        return text[3:] if pieces[0][0] == "+" else "-" + text[3:]

    def signed(self, term: Expr) -> tuple[str, str]:
        """The sign of a term and what is printed after it."""
        if isinstance(term, Add):
            return "+", self.bracket(self._print(term))
        text = self._print(term)
        return ("-", text[1:].lstrip()) if text.startswith("-") else ("+", text)

    def _print_Mul(self, expression: Expr) -> str:
        return self.upper_quantile(expression) or self.product(self.shape(expression))

    def product(self, shape: Any) -> str:
        above, below, after = list(shape.above), list(shape.below), list(shape.after)
        sign = "-" if shape.negative else ""
        pieces = [self._print(f) for f in shape.leading]
        if below and self._inline:
            pieces.append(self._slash(above, below, bool(after)))
        elif below:
            pieces.append(
                rf"\frac{{{self._row(above, alone=True) or '1'}}}{{{self._row(below, alone=True)}}}"
            )
        else:
            after = above + after
        if after:
            pieces.append(self._row(after, alone=not pieces and not sign))
        return sign + " ".join(pieces) if pieces else sign + "1"

    def _slash(self, above: list[Expr], below: list[Expr], more: bool) -> str:
        under = self._row(below, alone=True)
        if len(below) > 1 or isinstance(below[0], Add) or "/" in under:
            under = f"({under})"
        over = self._row(above, alone=False) or "1"
        return f"({over}/{under})" if more else f"{over}/{under}"

    def _row(self, factors: list[Expr], alone: bool) -> str:
        """Factors beside each other; a single one needs no brackets."""
        if len(factors) == 1:
            if alone and not (isinstance(factors[0], Piecewise) and indicator(factors[0]) is None):
                return self._print(factors[0])
            return self.factor(factors[0], last=True)
        texts = [self.factor(f, last=f is factors[-1]) for f in factors]
        joined = texts[0] if texts else ""
        for text in texts[1:]:
            digit = text[0].isdigit() or text.startswith(r"\frac")
            joined += (r" \cdot " if digit else " ") + text
        return joined

    def _print_Pow(self, expression: Pow) -> str:
        base, power = expression.base, expression.exp
        if falls(power):
            return self._print_Mul(expression)
        if (
            isinstance(base, Mean)
            and indicator(base.summand) is not None
            and power.is_Integer
            and not self._nested
        ):
            return self._print_Mul(expression)
        if power.is_even and isinstance(base, Add):
            base = turned(base, self.data)
        if power.is_Rational and power.p == 1 and power.q in (2, 3) and not (self._inline and power.q == 3):
            root = "" if power.q == 2 else f"[{power.q}]"
            return rf"\sqrt{root}{{{self._print(base)}}}"
        with self._within():
            raised = self._print(power)
        return (
            rf"{self.power_base(base)}^{{{raised}}}"
            if len(raised) > 1
            else rf"{self.power_base(base)}^{raised}"
        )

    def power_base(self, base: Expr) -> str:
        text = self._print(base)
        simple = (
            (isinstance(base, Symbol) and "^" not in text)
            or (base.is_Integer and base >= 0)
            or base in (S.Pi, S.Exp1)
        )
        if isinstance(base, Symbol) and "^" not in text:
            return text
        if isinstance(base, Mean | Count) and r"\sum" not in text and r"\frac" not in text:
            return text
        if isinstance(base, SampleOperator) and text.startswith(("x_{(", latex_name("x"))):
            return text
        if type(base).__name__ in ("gamma", "besseli", "besselk", "besselj") and "^" not in text:
            return text
        return text if simple else self.bracket(text)

    def _print_exp(self, expression: Expr, power: Any = None) -> str:
        argument = expression.args[0]
        with self._within():
            short = self._print(argument)
        text = rf"e^{{{short}}}" if len(short) > 1 else f"e^{short}"
        if not self._inline and (width(short) > (3.8 if "/" in short else 6.0) or self.is_tall(short)):
            inside = self._print(argument)
            text = rf"\exp{self.bracket(inside)}"
        return self._raised(text, power, bracket=True)

    def _print_Piecewise(self, expression: Piecewise) -> str:
        condition = indicator(expression)
        if condition is not None:
            return rf"\mathbf{{1}}\{{{self.case(condition)}\}}"
        rows = []
        for value, case in (pair.args for pair in expression.args):
            words = r"\text{otherwise}" if case == S.true else rf"\text{{if }} {self._print(case)}"
            rows.append(rf"{self._print(value)} & {words}")
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def _print_MatrixBase(self, matrix: Any) -> str:
        entries = [[self._print(e) for e in matrix.row(r)] for r in range(matrix.rows)]
        rows = [" & ".join(rf"\displaystyle {e}" if self.is_tall(e) else e for e in row) for row in entries]
        tall = any(self.is_tall(e) for row in entries for e in row)
        gap = r" \\[2.5ex] " if tall else r" \\[0.5ex] "  # fractions in neighbouring rows must not touch
        return r"\begin{pmatrix} " + gap.join(rows) + r" \end{pmatrix}"

    _print_ImmutableDenseMatrix = _print_MutableDenseMatrix = _print_MatrixBase

    def case(self, condition: Basic) -> str:
        """A condition on the data, by its values where they are a short list."""
        levels = levels_of(condition, self.support_of(condition))
        if not levels:
            return self._print(condition)
        column = self._print(next(iter(condition.free_symbols)))
        if len(levels) == 1:
            return f"{column} = {levels[0]}"
        return rf"{column} \in \{{{', '.join(map(str, levels))}\}}"

    def _print_Not(self, expression: Any) -> str:
        return rf"\text{{not }} {self.bracket(self._print(expression.args[0]))}"

    def relation_sign(self, expression: Any) -> str:
        signs = {"==": "=", "!=": r"\neq", "<=": r"\le", ">=": r"\ge"}
        return signs.get(expression.rel_op, expression.rel_op)

    def _print_Relational(self, expression: Any) -> str:
        return f"{self._print(expression.lhs)} {self.relation_sign(expression)} {self._print(expression.rhs)}"

    _print_Equality = _print_Relational

    def _logic(self, expression: Any, word: str) -> str:
        return rf" \text{{ {word} }} ".join(self._print(a) for a in sorted(expression.args, key=str))

    def _print_Or(self, expression: Any) -> str:
        return self._logic(expression, "or")

    def _print_And(self, expression: Any) -> str:
        return self._logic(expression, "and")

    def _print_Tuple(self, expression: Tuple) -> str:
        return self.bracket(", ".join(self._print(a) for a in expression.args))

    # --- statistics
    def _print_Count(self, expression: Count) -> str:
        if len(self.names.samples) < 2:
            return "n"
        below = latex_name(self.count_name(expression.columns))
        return f"n_{below}" if len(below) == 1 else f"n_{{{below}}}"

    def _count_of(self, condition: Basic, columns: tuple[Symbol, ...]) -> str:
        levels = self.levels(condition, columns)
        if levels:
            below = ",".join(map(str, levels))
            return f"n_{below}" if len(below) == 1 else f"n_{{{below}}}"
        with self._indexed(columns):
            return rf"\#\{{i : {self.case(condition)}\}}"

    def _print_Total(self, expression: Total) -> str:
        summand, columns = expression.summand, expression.columns
        condition = indicator(summand)
        if condition is not None:
            return self._count_of(condition, columns)
        count = self._print_Count(Count(columns))
        with self._indexed(columns):
            body = self._print(summand)
            if isinstance(summand, Add):
                body = self.bracket(body)
        return rf"\sum_{{i=1}}^{{{count}}} {body}" if len(count) > 1 else rf"\sum_{{i=1}}^{count} {body}"

    def _print_Mean(self, expression: Mean) -> str:
        if not self.is_plain_mean(expression):
            return self._print_Mul(expression)
        if isinstance(expression.summand, Symbol):
            return latex_name(expression.summand.name, accent="bar")
        with self._within(0, unindexed=True):
            return rf"\overline{{{self._print(expression.summand)}}}"

    def _ordered(self, expression: SampleOperator, index: str, word: str) -> str:
        if isinstance(expression.args[0], Symbol):
            column, _ = self.names.source_of(expression.args[0])
            return latex_name(column.name, index=f"({index})")
        with self._indexed(expression.columns):
            inside = self._print(expression.args[0])
            return rf"{word}_{{i}} {self.bracket(inside) if isinstance(expression.args[0], Add) else inside}"

    def _print_Minimum(self, expression: SampleOperator) -> str:
        return self._ordered(expression, "1", r"\min")

    def _print_Maximum(self, expression: SampleOperator) -> str:
        return self._ordered(expression, self._print_Count(Count(expression.columns)), r"\max")

    def _print_Median(self, expression: SampleOperator) -> str:
        if isinstance(expression.args[0], Symbol):
            return self._place(expression, S.Half, r"\lceil", r"\rceil")
        return self._ordered(expression, "", r"\operatorname{med}")

    def _place(self, expression: Any, share: Any, left: str, right: str, more: str = "") -> str:
        """The observation at the place share * n, rounded, of the ordered sample."""
        with self._within():
            place = self._print(share * Count(expression.args[-1]))
        return self._ordered(expression, rf"{left} {place} {right}{more}", "")

    def _print_Quantile(self, expression: Any) -> str:
        if isinstance(expression.summand, Symbol):
            return self._place(expression, expression.probability, r"\lceil", r"\rceil")
        share = self._print(expression.probability)
        return self._ordered(expression, "", rf"\operatorname{{quantile}}_{{{share}}}")

    def upper_quantile(self, expression: Any) -> str | None:
        """-quantile of -x: the observation next above, where the place is a whole number."""
        q = -expression
        if not isinstance(q, Quantile) or not isinstance(-q.summand, Symbol):
            return None
        flipped = Quantile(-q.summand, 1 - q.probability, q.args[-1])
        return self._place(flipped, flipped.probability, r"\lfloor", r"\rfloor", " + 1")

    def _print_WeightedQuantile(self, expression: Any) -> str:
        share = self._print(expression.probability)
        with self._indexed(expression.columns):
            inside, weight = self._print(expression.summand), self._print(expression.weight)
        return rf"\operatorname{{quantile}}_{{{share}}}\bigl({inside};\ \text{{weights }} {weight}\bigr)"

    def _print_floor(self, expression: Any, exp: Any = None) -> str:
        return rf"\left\lfloor {self._print(expression.args[0])} \right\rfloor"

    def _print_ceiling(self, expression: Any, exp: Any = None) -> str:
        return rf"\left\lceil {self._print(expression.args[0])} \right\rceil"


def textbook_latex(expression: Basic, names: Names | None = None) -> str:
    """An expression in LaTeX, without dollars.

    Examples
    --------
    >>> from sympy import Symbol
    >>> from symmle.sample import Mean
    >>> x = Symbol("x", positive=True)
    >>> print(textbook_latex(1 / Mean(x, (x,))))
    \\frac{1}{\\bar{x}}
    """
    return str(TextbookPrinter(names).doprint(expression))
