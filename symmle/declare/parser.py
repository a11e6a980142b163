"""Text -> SymPy expression, safely: a whitelist over Python's `ast`.

Nothing is evaluated by Python: every node of the syntax tree is either one of the few that are known
here or an error. Numbers are exact rationals, and what SymPy would compute on the spot (powers,
factorials, rounding of constants) is bounded before SymPy sees it.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import sympy
from sympy import Basic, Expr, Rational, S, Symbol
from sympy.logic.boolalg import Boolean, BooleanFalse, BooleanTrue

from symmle.declare.functions import CONSTANTS, FUNCTIONS, KnownFunction
from symmle.declare.limits import LARGEST_CONSTANT, Bounded, is_nested_beyond
from symmle.declare.words import check_name, nearest, shown
from symmle.errors import ModelError

__all__ = ["check_name", "nearest", "parse_expression", "shown"]

LONGEST_TEXT = 10_000
DEEPEST_NESTING = 60
MOST_NODES = 3_000
LONGEST_LITERAL = 60
LONGEST_SUM = 1_000_000

_CHARACTERS = re.compile(r"[\w\s+\-*/().,<>=!&|~\[\]]*")
_DECIMAL = re.compile(r"(\d*)\.?(\d*)(?:[eE][+-]?(\d{1,3}))?")
_BINARY: dict[type[ast.AST], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
}


def parse_expression(
    text: object,
    names: Mapping[str, Expr],
    what: str = "the expression",
    *,
    infinite: bool = False,
) -> Expr:
    """The SymPy expression that a text means.

    Parameters
    ----------
    text : str
        Numbers (exact: 0.3 is 3/10), ``+ - * / **``, comparisons, ``&``, ``|``, and mathematical functions by
        their SymPy names. A number is taken as it is.
    names : mapping of str to Expr
        The declared symbols. A declared name shadows a function of the same name.
    what : str
        What the text stands for, for the message of an error.
    infinite : bool
        Whether ``oo`` may stand in it (bounds of sets).

    Raises
    ------
    ModelError
        Saying what was expected, what was got, where, and what to do.

    Examples
    --------
    >>> from sympy import Symbol
    >>> parse_expression("0.3*x**2", {"x": Symbol("x")})
    3*x**2/10
    """
    value = _Parser(text, names, what, infinite).parse()
    if not isinstance(value, Expr):
        raise ModelError(
            f"Expected {what} to be a number or a formula, got `{shown(text)}`, which is true or false. "
            "Use a comparison inside Piecewise((value, condition), ...)."
        )
    if value.has(S.ImaginaryUnit):
        raise ModelError(
            f"Expected {what} to be real, got `{shown(text)}`, which is {shown(value)}. Mend the formula."
        )
    if value.has(S.NaN, S.ComplexInfinity) or (not infinite and value.has(S.Infinity, S.NegativeInfinity)):
        if not (value.has(sympy.Sum) and not value.has(S.NaN, S.ComplexInfinity)):
            raise ModelError(
                f"Expected {what} to be finite, got `{shown(text)}`, which is {value}. Mend the formula."
            )
    return value


class _Parser(Bounded):
    """One text, one walk over its tree."""

    def __init__(self, text: object, names: Mapping[str, Expr], what: str, infinite: bool = False):
        self.infinite = infinite
        if isinstance(text, bool) or not isinstance(text, (str, int, float)):
            raise ModelError(f"Expected {what} as text, got {shown(repr(text))}. Write it as a string.")
        self.text = text if isinstance(text, str) else repr(text)
        self.names = dict(names)
        self.what = what
        self.nodes = 0
        self.depth = 0

    def parse(self) -> Basic:
        text = self.text
        if len(text) > LONGEST_TEXT:
            raise ModelError(
                f"Expected {self.what} of at most {LONGEST_TEXT} characters, got {len(text)}. Shorten it."
            )
        self.text = text = " ".join(text.split())
        if not text:
            raise ModelError(f"Expected {self.what}, got an empty text. Write a formula.")
        if re.search(r"\blambda\b", text):
            raise ModelError(
                f"Expected {self.what} without the Python keyword `lambda`, got `{shown(text)}`: write lam."
            )
        if not _CHARACTERS.fullmatch(text) or unicodedata.normalize("NFKC", text) != text:
            raise ModelError(
                f"Expected {self.what} in letters, digits and the signs + - * / ** ( ) , < > = & |, got "
                f"`{shown(text)}`. Remove the other characters{' (a power is **)' if '^' in text else ''}."
            )
        if is_nested_beyond(text, DEEPEST_NESTING):
            raise ModelError(
                f"Expected {self.what} nested at most {DEEPEST_NESTING} deep, got `{shown(text)}`. "
                "Write it with fewer brackets."
            )
        try:
            tree = ast.parse(text, mode="eval")
        except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as problem:
            place = (
                f" at character {problem.offset}"
                if isinstance(problem, SyntaxError) and problem.offset
                else ""
            )
            reason = problem.msg if isinstance(problem, SyntaxError) else "it is nested too deeply"
            raise ModelError(
                f"Expected {self.what} as a formula, got `{shown(text)}`{place}: {shown(reason)}. Mend "
                "the syntax."
            ) from None
        self.bytes = text.encode()
        try:
            return self.visit(tree.body)
        except ModelError:
            raise
        except RecursionError:
            raise ModelError(
                f"Expected {self.what} of modest nesting, got `{shown(text)}`. Write it with fewer brackets."
            ) from None
        except (TypeError, ValueError, ArithmeticError, NotImplementedError, AttributeError) as problem:
            # SymPy evaluates as it builds, and may find that there is no value
            raise ModelError(
                f"Expected {self.what} with a value, got `{shown(text)}`: {shown(problem) or 'undefined'}. "
                "Mend the formula."
            ) from None

    def fail(self, node: ast.AST, expected: str, todo: str) -> NoReturn:
        start = getattr(node, "col_offset", 0)
        part = self.bytes[start : getattr(node, "end_col_offset", None)].decode(errors="replace")
        raise ModelError(
            f"Expected {expected} in {self.what}, got `{shown(part)}` at character {start + 1} of "
            f"`{shown(self.text)}`. {todo}"
        )

    # -- nodes ---------------------------------------------------------------------------------

    def visit(self, node: ast.AST) -> Basic:
        self.nodes += 1
        self.depth += 1
        if self.nodes > MOST_NODES:
            self.fail(node, f"at most {MOST_NODES} numbers, names and signs", "Shorten it.")
        if self.depth > DEEPEST_NESTING:
            self.fail(node, f"nesting of at most {DEEPEST_NESTING}", "Write it with fewer brackets.")
        method = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            self.fail(
                node,
                "numbers, names, operators and known functions",
                f"`{type(node).__name__}` is not one of them: remove it.",
            )
        value: Basic = method(node)
        self.depth -= 1
        return value

    def expression(self, node: ast.AST) -> Expr:
        value = self.visit(node)
        if not isinstance(value, Expr):
            self.fail(node, "a number or a formula", "Comparisons stand in Piecewise alone.")
        return value

    def condition(self, node: ast.AST) -> Boolean:
        value = self.visit(node)
        if not isinstance(value, Boolean) or isinstance(value, Symbol):
            self.fail(node, "a condition", "Compare, as in x > 0, and put brackets around each comparison.")
        return value

    def visit_Constant(self, node: ast.Constant) -> Basic:
        if node.value is True:
            return S.true
        if node.value is False:
            return S.false
        source = self.bytes[node.col_offset : node.end_col_offset].decode().replace("_", "")
        match = _DECIMAL.fullmatch(source)
        if type(node.value) not in (int, float) or match is None or len(source) > LONGEST_LITERAL:
            self.fail(
                node,
                f"a decimal number of at most {LONGEST_LITERAL} characters",
                "Write it as 12, 0.3 or 1e-3.",
            )
        return Rational(source)

    def visit_Name(self, node: ast.Name) -> Basic:
        name = node.id
        if name in self.names:
            return self.names[name]
        if name == "oo" and not self.infinite:
            self.fail(node, "a finite number", "Infinity stands in bounds alone.")
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            self.fail(node, f"brackets after the function {name}", f"Write {name}(...), or declare `{name}`.")
        known = [*self.names, *FUNCTIONS, *CONSTANTS]
        self.fail(
            node,
            "a declared symbol",
            f"`{shown(name)}` is unknown{nearest(name, known) or '.'} Declare it as data, parameter, "
            "constant, "
            f"covariate or lag (declared: {', '.join(self.names) or 'nothing'}).",
        )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Basic:
        if isinstance(node.op, (ast.Not, ast.Invert)):
            return sympy.Not(self.condition(node.operand))
        value = self.expression(node.operand)
        return -value if isinstance(node.op, ast.USub) else value

    def visit_BinOp(self, node: ast.BinOp) -> Basic:
        if isinstance(node.op, ast.BitAnd):
            return sympy.And(self.condition(node.left), self.condition(node.right))
        if isinstance(node.op, ast.BitOr):
            return sympy.Or(self.condition(node.left), self.condition(node.right))
        if isinstance(node.op, ast.Pow):
            return self.power(node, self.expression(node.left), self.expression(node.right))
        if type(node.op) not in _BINARY:
            self.fail(node, "the operators + - * / ** & |", "A power is **, a remainder is Mod(a, b).")
        # a + b - c ... leans to the left: walked in a loop, as long sums are not deep
        chain: list[ast.BinOp] = []
        first: ast.AST = node
        while isinstance(first, ast.BinOp) and type(first.op) in _BINARY:
            chain.append(first)
            first = first.left
        value = self.expression(first)
        for step in reversed(chain):
            self.nodes += 1
            other = self.expression(step.right)
            sign = _BINARY[type(step.op)]
            if sign == "/" and other.is_zero:
                self.fail(step, "a divisor other than zero", "Mend the formula.")
            if sign == "+":
                value = value + other
            elif sign == "-":
                value = value - other
            elif sign == "*":
                value = value * other
            else:
                value = value / other
            self.check_size(step, value)
        return value

    def visit_BoolOp(self, node: ast.BoolOp) -> Basic:
        conditions = [self.condition(value) for value in node.values]
        return sympy.And(*conditions) if isinstance(node.op, ast.And) else sympy.Or(*conditions)

    def visit_Compare(self, node: ast.Compare) -> Basic:
        sides = [self.expression(side) for side in (node.left, *node.comparators)]
        for operator in node.ops:
            if type(operator) not in _COMPARISONS:
                self.fail(node, "a comparison < <= > >= ==", "Use one of these.")
        for side in sides:
            self.check_constant(node, side, LARGEST_CONSTANT**3)
        return sympy.And(
            *(
                self.called(node, _COMPARISONS[type(op)], (a, b))
                for op, a, b in zip(node.ops, sides[:-1], sides[1:], strict=True)
            )
        )

    def visit_Call(self, node: ast.Call) -> Basic:
        if not isinstance(node.func, ast.Name):
            self.fail(node.func, "the name of a function", "Only known mathematical functions can be called.")
        name = node.func.id
        if name in self.names:
            self.fail(
                node,
                "a function",
                f"`{shown(name)}` is declared as a symbol here, which shadows a function of that name: "
                "rename "
                f"the symbol to call the function, or write {shown(name)}*(...) for a product.",
            )
        function = FUNCTIONS.get(name)
        if function is None:
            self.fail(
                node,
                "a known mathematical function",
                f"`{shown(name)}` is not one{nearest(name, list(FUNCTIONS)) or '.'} Use functions by "
                "their SymPy names.",
            )
        if node.keywords:
            self.fail(node, "arguments without keywords", "Give the arguments in order.")
        if not function.fewest <= len(node.args) <= function.most:
            count = str(function.fewest) if function.fewest == function.most else f"{function.fewest} or more"
            self.fail(node, f"{count} arguments of {name}", f"It has {len(node.args)}.")
        if function.form == "Piecewise":
            return self.piecewise(node)
        if function.form in ("Sum", "Product"):
            return self.summation(node, function)
        if function.form == "logical":
            return self.called(node, function.build, tuple(self.condition(a) for a in node.args))
        if function.form == "hyper":
            return self.hyper(node, function)
        outer, self.infinite = self.infinite, False
        arguments = tuple(self.expression(a) for a in node.args)
        self.infinite = outer
        if name == "sqrt":
            return self.power(node, arguments[0], S.Half)
        for argument in arguments:
            if function.exact and not argument.free_symbols and not argument.is_Rational:
                self.fail(node, f"a symbol or a rational number in {name}", "Write the number itself.")
            if name not in ("log", "ln", "Abs", "abs", "sign", "Rational") or not argument.is_Rational:
                self.check_constant(node, argument, function.largest)
        return self.called(node, function.build, arguments)

    # -- forms ---------------------------------------------------------------------------------

    def pair(self, node: ast.AST, length: int, form: str) -> list[ast.expr]:
        if not isinstance(node, (ast.Tuple, ast.List)) or len(node.elts) != length:
            self.fail(node, f"a bracket {form}", f"Write {form}.")
        return node.elts

    def piecewise(self, node: ast.Call) -> Basic:
        pairs = []
        for argument in node.args:
            value, condition = self.pair(argument, 2, "(value, condition)")
            pairs.append((self.expression(value), self.condition(condition)))
        return self.called(node, sympy.Piecewise, tuple(pairs))

    def summation(self, node: ast.Call, function: KnownFunction) -> Basic:
        index, low, high = self.pair(node.args[1], 3, "(j, first, last)")
        if not isinstance(index, ast.Name):
            self.fail(index, "the name of an index", f"Write {function.form}(f, (j, first, last)).")
        name = check_name(index.id, "the index of a sum")
        if name in self.names:
            self.fail(
                index, "an index with a name of its own", f"`{name}` is declared already: rename the index."
            )
        outer, self.infinite = self.infinite, True
        first, last = self.expression(low), self.expression(high)
        self.infinite = outer
        for bound in (first, last):
            if (
                bound.is_number
                and not bound.is_infinite
                and not (bound.is_Integer and abs(bound) <= LONGEST_SUM)
            ):
                self.fail(node, f"whole bounds up to {LONGEST_SUM}", "Write a whole number, a symbol or oo.")
        facts = {"nonnegative": True} if first.is_nonnegative else {}
        if first.is_positive:
            facts = {"positive": True}
        symbol = Symbol(name, integer=True, **facts)
        self.names[name] = symbol
        summand = self.expression(node.args[0])
        del self.names[name]
        endless = first.is_infinite or last.is_infinite
        if endless and not summand.free_symbols - {symbol}:
            self.fail(node, "an infinite sum with a symbol in it", "Write its value, as zeta(2).")
        return self.called(node, function.build, (summand, (symbol, first, last)))

    def hyper(self, node: ast.Call, function: KnownFunction) -> Basic:
        lists = []
        for argument in node.args[:2]:
            if not isinstance(argument, (ast.Tuple, ast.List)):
                self.fail(argument, "a bracket of parameters", "Write hyper((a, b), (c,), z).")
            lists.append(tuple(self.expression(e) for e in argument.elts))
            for value in lists[-1]:
                self.check_constant(node, value, function.largest)
        return self.called(node, function.build, (*lists, self.expression(node.args[2])))

    def called(self, node: ast.AST, build: Callable[..., Any], arguments: tuple[Any, ...]) -> Basic:
        try:
            value = build(*arguments)
        except (TypeError, ValueError, ArithmeticError, NotImplementedError, RecursionError) as problem:
            self.fail(node, "arguments that the function takes", f"SymPy says: {shown(problem, 120)}.")
        if isinstance(value, (BooleanTrue, BooleanFalse, Boolean, Expr)):
            return value
        self.fail(node, "a formula", "Mend the call.")
