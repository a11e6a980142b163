"""Letters for what stands several times in a long formula: theta-hat = A + B, where A = ..."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sympy import Add, Basic, Expr, Mul, Pow, Symbol

from symmle.sample import Count, SampleOperator

_LETTERS = "ABCDGKMPQRSUVW"
_MOST = 8  # letters for one display


def _outer_parts(expression: Basic, found: dict[Expr, int]) -> None:
    """Every subexpression that is not within a statistic, with how often it stands there."""
    if isinstance(expression, Symbol | Count) or expression.is_number:
        return
    if isinstance(expression, Expr):
        found[expression] = found.get(expression, 0) + 1
        if isinstance(expression, Pow) and expression.exp.is_Rational and expression.exp < 0:
            positive = Pow(expression.base, -expression.exp)
            if positive != expression.base:
                found[positive] = found.get(positive, 0) + 1
    if isinstance(expression, SampleOperator):
        return
    for argument in expression.args:
        _outer_parts(argument, found)


def _replaced(expression: Basic, part: Expr, letter: Symbol) -> Basic:
    """The letter in the place of the part, but never within a statistic."""
    if expression == part:
        return letter
    if isinstance(expression, SampleOperator) or not expression.args:
        return expression
    if isinstance(expression, Pow) and isinstance(part, Pow) and expression == 1 / part:
        return 1 / letter
    arguments = [_replaced(a, part, letter) for a in expression.args]
    if all(new is old for new, old in zip(arguments, expression.args, strict=True)):
        return expression
    if isinstance(expression, Add | Mul | Pow):
        return expression.func(*arguments, evaluate=False)
    return expression.func(*arguments)


def abbreviated(
    expressions: Sequence[Basic],
    width: Callable[[Basic], float],
    room: float,
    taken: Iterable[str] = (),
    known: dict[Expr, Symbol] | None = None,
) -> tuple[list[Basic], list[tuple[Symbol, Expr]]]:
    """Expressions with letters for their repeated parts, and what the letters stand for, in order.

    Parameters
    ----------
    expressions : sequence of Basic
        What is to be displayed together.
    width : callable
        The printed width of an expression.
    room : float
        The width that is too much: shorter displays are left as they are.
    taken : iterable of str
        Letters that mean something already.
    known : dict, optional
        Letters that were given before: the same part gets the same letter. New ones are added.
    """
    current = list(expressions)
    known = {} if known is None else known
    taken = set(taken) | {s.name for e in current for s in e.atoms(Symbol)} | {s.name for s in known.values()}
    letters = [Symbol(c) for c in _LETTERS if c not in taken]
    named: list[tuple[Symbol, Expr]] = []
    while len(named) < _MOST and sum(width(e) for e in current) > room:
        counts: dict[Expr, int] = {}
        for e in [*current, *(part for _, part in named)]:
            _outer_parts(e, counts)
        repeated = [p for p, n in counts.items() if n > 1 and p.has(SampleOperator)]
        gains = [((counts[p] - 1) * (width(p) - 1.0), p) for p in repeated if width(p) > 3.5]
        if not gains:
            break
        best = max(gain for gain, _ in gains)
        part = min((p for gain, p in gains if gain == best), key=lambda p: p.sort_key())
        if part not in known:
            if not letters:
                break
            known[part] = letters.pop(0)
        letter = known[part]
        current = [_replaced(e, part, letter) for e in current]
        named = [(s, _replaced(e, part, letter)) for s, e in named]
        named.append((letter, part))
    return current, _in_order(named)


def _in_order(named: list[tuple[Symbol, Expr]]) -> list[tuple[Symbol, Expr]]:
    """Each letter before those that stand for expressions in it."""
    letters = {s for s, _ in named}
    ordered: list[tuple[Symbol, Expr]] = []
    left = list(named)
    while left:
        known = {s for s, _ in ordered}
        ready = [pair for pair in left if not (pair[1].free_symbols & letters - known)]
        if not ready:
            return ordered + left
        ordered += ready
        left = [pair for pair in left if pair not in ready]
    return ordered
