"""The middle of a derivation in words: how the likelihood equations were solved."""

from __future__ import annotations

from sympy import Basic, Eq, Expr, Symbol, Tuple

from symmle.declare.declaration import Declaration
from symmle.record import Condition, Relation, Step
from symmle.report.blocks import Block, Dialect, Display, Heading, Row, Words
from symmle.report.phrases import READINGS, RELATIONS, capital, joined, method_sentence
from symmle.report.typesetter import indicator
from symmle.sample import Count


def condition_text(dialect: Dialect, condition: Condition, declaration: Declaration | None = None) -> str:
    """A condition in words: 'the x_i are not all equal', or its formula."""
    formula = dialect.formula(condition.expression)
    reading = READINGS.get(condition.reading)
    every = declaration.supports if declaration is not None else {}
    rows = (
        tuple(c for part in declaration.samples for c in part.all_columns) if declaration is not None else ()
    )
    named = list(condition.columns) or (list(every) if len(every) < 4 else [])
    if reading is not None and named and ("{second}" not in reading or len(named) > 1):
        occurs = _occurrence(named, dialect, rows)
        if occurs and condition.reading == "not all at the edge":
            return occurs
        signs = [dialect.indexed(e, rows or tuple(s for s in named if isinstance(s, Symbol))) for e in named]
        if condition.reading == "in the domain" and dialect.width(formula) > 0.5 * dialect.room:
            return f"the value found for {dialect.math(signs[0])} lies in its domain"
        texts = {"first": dialect.math(signs[0]), "second": dialect.math(signs[-1]), "formula": formula}
        point = dialect.math(f"({', '.join(signs)})")
        return reading.format(all=joined(dialect.math(s) for s in signs), point=point, **texts)
    if condition.reading:
        return f"{dialect.plain(condition.reading)} ({formula})"
    return formula


def _occurrence(named: list[Expr], dialect: Dialect, rows: tuple[Symbol, ...]) -> str:
    """What it means that an indicator is not everywhere 0, or not everywhere 1."""
    case = indicator(named[0])
    if case is None or len(named) < 2 or named[1] not in (0, 1):
        return ""
    text = dialect.math(dialect.case(case, rows))
    return f"{text} {'for at least one' if named[1] == 0 else 'not for every'} {dialect.math('i')}"


def conditions_text(dialect: Dialect, conditions: tuple[Condition, ...], declaration: Declaration) -> str:
    unique: list[str] = []
    for condition in conditions:
        text = condition_text(dialect, condition, declaration)
        if text not in unique:
            unique.append(text)
    return joined(unique)


def equations(dialect: Dialect, expressions: tuple[object, ...]) -> list[Block]:
    """A display of equations, `expression = 0` or `left = right`."""
    if all(isinstance(e, Expr) for e in expressions):
        dialect.shown.update((e, "") for e in expressions if isinstance(e, Expr))
        return dialect.displays([("", e) for e in expressions if isinstance(e, Expr)], zero=True)
    return [Display(_zero_rows(dialect, expressions))]


def _zero_rows(dialect: Dialect, expressions: tuple[object, ...], end: str = ".") -> tuple[Row, ...]:
    rows = []
    for place, e in enumerate(expressions):
        if isinstance(e, Eq):
            dialect.shown[e.lhs - e.rhs] = ""
            dialect.solved[e.lhs] = e.rhs
        elif isinstance(e, Expr):
            dialect.shown[e] = ""
        mark = end if place == len(expressions) - 1 else ","
        if isinstance(e, Eq):
            left = dialect.write(e.lhs)
            if dialect.width(left) > 0.6 * dialect.room:
                right = dialect.pieces(e.rhs, dialect.room - 4)
                right[0] = type(right[0])(f"{dialect.equals} {right[0].text}", right[0].depth)
                rows.append(Row("", (*dialect.pieces(e.lhs, dialect.room), *right), "", mark))
            else:
                rows.append(dialect.row(left, e.rhs, end=mark))
        elif isinstance(e, Expr):
            rows.append(dialect.zero_row(e, mark))
    return tuple(rows)


def solutions(step: Step) -> list[tuple[Expr, ...]]:
    """The solutions of a step, each with one value for each unknown."""
    after = step.after
    if all(isinstance(a, Tuple) for a in after):
        return [tuple(a) for a in after]
    if len(step.subject) == 1:
        return [(a,) for a in after]
    if len(after) == len(step.subject):
        return [tuple(after)]
    return []


def _substeps(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    from symmle.report.story import blocks_of_step

    return [block for inner in step.substeps for block in blocks_of_step(inner, dialect, declaration)]


def _rejections(step: Step, dialect: Dialect) -> list[Block]:
    rejected = step.detail("rejected", ())
    found: list[Block] = []
    for entry in rejected if isinstance(rejected, tuple) else ():
        root, reason = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, "")
        values = dialect.formula(root.args[0] if isinstance(root, Tuple) and len(root) == 1 else root)
        why = f": {dialect.plain(str(reason))}" if reason else ""
        found.append(Words(f"The root {values} is rejected{why}."))
    return found


def _method(step: Step, dialect: Dialect) -> str:
    return method_sentence(str(step.detail("method", "") or ""))


def _seen(expression: Basic, dialect: Dialect) -> Basic | None:
    """What the reader has seen of an equation: itself, or n times it."""
    if not isinstance(expression, Expr):
        return None
    for factor in (1, *(expression.atoms(Count) or dialect.counts())):
        for shown in dialect.shown:
            if shown == expression or (factor * expression - shown).expand() == 0:
                return shown
    return None


def _posed(step: Step, dialect: Dialect, held: str = "") -> list[Block]:
    """The equations that are solved, unless the reader has just seen them."""
    unknowns = joined(dialect.math(dialect.write(p)) for p in step.subject)
    many = len(step.before) > 1
    names = [dialect.shown[e] for e in (_seen(b, dialect) for b in step.before) if e is not None]
    if len(names) == len(step.before):
        if all(names):
            return [
                Words(
                    f"Setting {joined(dialect.math(s) for s in names)} to zero we solve for {unknowns}{held}."
                )
            ]
        return [Words(f"We solve {'these equations' if many else 'this equation'} for {unknowns}{held}.")]
    words = f"We solve the equation{'s' if many else ''} for {unknowns}{held}:"
    return [Words(words), *equations(dialect, step.before)]


def _solution_blocks(step: Step, dialect: Dialect, words_one: str, words_many: str) -> list[Block]:
    found = solutions(step)
    if not found:
        return [
            Words(capital(RELATIONS[step.relation])),
            Display(tuple(dialect.row("", a) for a in step.after)),
        ]
    blocks: list[Block] = [Words(words_one if len(found) == 1 else words_many)]
    for place, values in enumerate(found):
        if place:
            blocks.append(Words("and"))
        pairs = zip(step.subject, values, strict=False)
        rows: list[tuple[str, Basic]] = [(dialect.write(p), v) for p, v in pairs]
        blocks += dialect.displays(rows, "." if place == len(found) - 1 else ",")
    return blocks


def moment_equations(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 5 for an exponential family: observed statistic = expected statistic."""
    words = "The likelihood equations say that every statistic equals its expected value:"
    return [Heading("Solution"), Words(words), *equations(dialect, step.after)]


def solve(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 5: an equation or a system and its roots."""
    blocks: list[Block] = [Heading("Solution")]
    found = solutions(step)
    pairs = zip(step.subject, found[0] if len(found) == 1 else (), strict=False)
    if len(found) == 1 and all(dialect.solved.get(p) == v for p, v in pairs):
        return [*blocks, Words("This gives the solution at once."), *_rejections(step, dialect)]
    if step.before:
        blocks += _posed(step, dialect)
    method = _method(step, dialect)
    if method:
        blocks.append(Words(method))
    blocks += _substeps(step, dialect, declaration)
    one = "The only solution in the parameter space is" if step.detail("rejected", ()) else "The solution is"
    if not step.after:
        blocks.append(Words("There is no solution in the parameter space."))
    else:
        blocks += _solution_blocks(step, dialect, one, "The solutions in the parameter space are")
    return blocks + _rejections(step, dialect)


def eliminate(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 5: the conditional maximum of some parameters, the others held fixed."""
    others = [p for p in declaration.parameters if p not in step.subject]
    fixed = [p for p in others if any(a.has(p) for a in step.after)]
    blocks: list[Block] = [Heading("Solution")]
    held = f" with {joined(dialect.math(dialect.write(p)) for p in fixed)} held fixed" if fixed else ""
    if step.before:
        blocks += _posed(step, dialect, held)
    method = _method(step, dialect)
    if method:
        blocks.append(Words(method))
    blocks += _substeps(step, dialect, declaration)
    if len(solutions(step)) == 1 and step.relation is Relation.PROFILE:
        values = solutions(step)[0]
        rows = []
        for p, v in zip(step.subject, values, strict=False):
            left = dialect.hat(p)
            if fixed:
                left = dialect.function("hat " + p.name, dialect.listed(fixed))
            rows.append((left, v))
        largest = (
            f"For fixed {dialect.math(dialect.listed(fixed))} the log-likelihood"
            if fixed
            else "The log-likelihood"
        )
        blocks += [Words(f"{largest} is largest at"), *dialect.displays(rows)]
    else:
        blocks += _solution_blocks(step, dialect, "The solution is", "The candidates are")
    return blocks + _rejections(step, dialect)


def _scaled(coefficient: Expr, slope: str, dialect: Dialect) -> str:
    if coefficient == 1:
        return slope
    text = dialect.write(coefficient)
    return f"{text} {slope}" if isinstance(coefficient, Symbol) else f"({text}) {slope}"


def combine_scores(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 5: a combination of the scores in which what cannot be solved cancels."""
    words = "A combination of the score equations is free of what cannot be solved:"
    raw = step.detail("coefficients", ())
    blocks: list[Block] = [Heading("Solution")]
    parameters = list(declaration.parameters)
    for place, coefficients in enumerate(raw if isinstance(raw, tuple) else ()):
        entries = tuple(coefficients) if isinstance(coefficients, tuple | Tuple) else ()
        if len(entries) == len(parameters) and place < len(step.after):
            with_score = [(c, p) for c, p in zip(entries, parameters, strict=True) if c != 0]
            if len(with_score) == 1:
                name = dialect.math(dialect.slope(with_score[0][1]))
                words = f"The score {name} is free of what cannot be solved:"
                continue
            parts = [_scaled(c, dialect.slope(p), dialect) for c, p in with_score]
            blocks.append(Words(f"We combine the scores as {dialect.math(' + '.join(parts))}."))
    return [*blocks, Words(words), *equations(dialect, step.after)]


def remaining(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 5: the equations that are left after back-substitution."""
    free = {s for e in step.after for s in e.free_symbols}
    named = [p for p in declaration.parameters if p in free] or list(step.subject)
    unknowns = joined(dialect.math(dialect.write(p)) for p in named)
    many = len(step.after) > 1
    left = "equations are left" if many else "equation is left"
    words = f"Substituting, {len(step.after) if many else 'one'} {left}, for {unknowns}:"
    return [Heading("Solution"), Words(words), *equations(dialect, step.after)]


def constraints(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Parameters that the constraints give in terms of the others."""
    rows = [dialect.row(dialect.write(p), e, end=",") for p, e in zip(step.subject, step.after, strict=False)]
    if not rows:
        return []
    rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
    many = "s give" if len(step.before) > 1 else " gives"
    return [Words(f"The constraint{many}"), Display(tuple(rows))]


def reparametrise(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 5: other coordinates, in which the equations separate."""
    raw = step.detail("map", ())
    rows = []
    for entry in raw if isinstance(raw, tuple) else ():
        if isinstance(entry, tuple | Tuple) and len(entry) == 2:
            rows.append(dialect.row(dialect.write(entry[0]), entry[1], end=","))
    if rows:
        rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
    words = "As maximum likelihood estimates do not depend on the parametrisation, we may solve in terms of"
    return [Heading("Solution"), Words(words), Display(tuple(rows))]
