"""An EM derivation in words: labels, complete-data log-likelihood, E-step, Q, M-step, and why it climbs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sympy import Expr, Symbol

from symmle.declare.declaration import Declaration
from symmle.latent.problem import Conditional, Labelled
from symmle.record import Step
from symmle.report.blocks import Block, Dialect, Display, Heading, Row, Words
from symmle.report.layout import Piece
from symmle.report.phrases import joined
from symmle.sample import Count, Mean, Total


def prepare(dialect: Dialect, steps: tuple[Step, ...]) -> None:
    """The columns that carry the number of a branch are printed with it as a second index."""
    marks: dict[Symbol, str] = {}
    dialect.label = Symbol("z")
    for step in steps:
        if step.rule == "latent structure" and not isinstance(step.detail("em"), Conditional):
            marks |= {s: str(j) for j, s in enumerate(step.subject, 1)}
            dialect.label = Symbol(step.subject[0].name[0])
        if step.rule == "E-step":
            marks |= {s: str(j) for j, s in enumerate(step.subject, 1)}
    dialect.names = replace(dialect.names, marks=marks)


# --- signs ----------------------------------------------------------------------------------------


def _theta(dialect: Dialect, declaration: Declaration) -> str:
    """The parameters together, as they stand in Q and l."""
    listed = list(declaration.parameters)
    return dialect.vector() if len(listed) > 1 else dialect.write(listed[0])


def _given(dialect: Dialect, left: str, right: Iterable[str]) -> str:
    """`left | right`, or `left` alone."""
    listed = ", ".join(right)
    return f"{left} {dialect.letter('given')} {listed}" if listed else left


def _arguments(dialect: Dialect, declaration: Declaration, indexed: bool = False) -> str:
    """The columns of a row: y | z, or y_i | z_i."""
    (part,) = declaration.samples

    def text(c: Symbol) -> str:
        return dialect.indexed(c, part.all_columns) if indexed else dialect.write(c)

    return _given(dialect, ", ".join(map(text, part.columns)), map(text, part.given))


def _marked(dialect: Dialect, column: Symbol, mark: str) -> str:
    """r_ij."""
    kept = dialect.names
    dialect.names = replace(kept, marks={**kept.marks, column: mark})
    text = dialect.indexed(column, (column,))
    dialect.names = kept
    return text


def _factor(dialect: Dialect, e: Expr) -> str:
    text = dialect.write(e)
    return f"({text})" if e.is_Add else text


# --- writers --------------------------------------------------------------------------------------


def latent_structure(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """What was not observed, its law, and the law of the data given it."""
    em = step.detail("em")
    if isinstance(em, Labelled):
        joint = any(not b.label.isdigit() for b in em.branches)
        return (_joint if joint else _labels)(em, step, dialect, declaration)
    (z,) = step.subject
    (part,) = declaration.samples
    names = ", ".join(dialect.write(s) for s in (*part.columns, z))
    left = dialect.function("f", f"{names}; {dialect.arguments(declaration.parameters)}")
    where = dialect.math(dialect.member(dialect.indexed(z, (z,)), declaration.latent[z]))
    density = [(left, step.before[0])]
    return [
        Heading("Latent structure"),
        Words(f"With every observation goes a value that is not observed, {where}. The joint density is"),
        *dialect.displays(density, ","),
        Words("and the density above is its integral over what is not observed."),
    ]


def _labels(em: Labelled, step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    columns, k = _arguments(dialect, declaration), len(em.branches)
    label, j = dialect.math(dialect.indexed(dialect.label, (dialect.label,))), dialect.math("j")
    shares = [dialect.math(dialect.write(b.weight)) for b in em.branches]
    rows = [(dialect.function(f"f{n}", columns), b.density) for n, b in enumerate(em.branches, 1)]
    numbers = joined(dialect.math(str(n)) for n in range(1, k + 1))
    return [
        Heading("Latent structure"),
        Words(
            f"With every observation goes a label {label} that is not observed. Its values are {numbers}, with "
            f"the probabilities {joined(shares)}; given the label, the density of the observation is one of"
        ),
        *dialect.displays(rows),
        Words(_one_hot(step, dialect, f"{label} is {j}")),
    ]


def _joint(em: Labelled, step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    columns = _arguments(dialect, declaration)
    names = joined(dialect.math(dialect.write(v)) for v in declaration.latent)
    rows = [(dialect.function(f"f{n}", columns), b.weight * b.density) for n, b in enumerate(em.branches, 1)]
    cases = joined(dialect.math(b.label) for b in em.branches)
    one = len(declaration.latent) == 1
    return [
        Heading("Latent structure"),
        Words(
            f"The density is a sum over {names}, which {'is' if one else 'are'} not observed. At {cases} the "
            "joint density is"
        ),
        *dialect.displays(rows),
        Words(_one_hot(step, dialect, f"the observation comes from case {dialect.math('j')} of these")),
    ]


def _one_hot(step: Step, dialect: Dialect, where: str) -> str:
    return f"Let {dialect.math(_marked(dialect, step.subject[0], 'j'))} be 1 where {where}, and 0 elsewhere."


def complete(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The log-likelihood if everything had been observed."""
    left = dialect.function("lc", _theta(dialect, declaration))
    lead = "If everything were observed, the log-likelihood would be"
    listed = list(declaration.parameters)
    if 1 < len(listed) <= 3:  # more have that name from the beginning
        every = f"{dialect.vector()} = ({dialect.listed(listed)})"
        lead = f"We write {dialect.math(every)} for the parameters together. {lead}"
    return [Words(lead), *dialect.displays([(left, step.after[0])])]


def kernel(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The law of the latent variable given the data, as an exponential family in it."""
    if not step.after:
        return []
    (z,) = step.subject
    (part,) = declaration.samples
    columns = (*part.all_columns, z)
    inside = _given(
        dialect, dialect.indexed(z, columns), (dialect.indexed(c, columns) for c in part.all_columns)
    )
    left = dialect.function("logf", inside)
    pieces = dialect.indexed_pieces(step.after[0], columns, dialect.room - dialect.width(left) - 8)  # type: ignore[arg-type]
    return [
        Words("As a function of what is not observed, the joint density gives its law given the data,"),
        Display((Row(left, (*pieces, Piece(f"+ {dialect.letter('const')}")), dialect.equals, "."),)),
        Words(
            "This is an exponential family; its expectations are derivatives of the logarithm of the constant."
        ),
    ]


def e_step(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Responsibilities, or expectations of the statistics, at the parameters of the last iteration."""
    theta = dialect.math(dialect.old(_theta(dialect, declaration)))
    z = step.detail("latent")
    if isinstance(z, Symbol):
        return [Heading("E-step"), *_expectations(step, z, dialect, declaration, theta)]
    return [Heading("E-step"), *_responsibilities(step, dialect, declaration, theta)]


def _expectations(
    step: Step, z: Symbol, dialect: Dialect, declaration: Declaration, theta: str
) -> list[Block]:
    (part,) = declaration.samples
    columns, rows = part.all_columns, []
    for column, t, value in zip(step.subject, step.before, step.after, strict=True):
        variance = column.name.startswith("v_")
        inside = dialect.indexed(z if variance else t, (*columns, z))  # type: ignore[arg-type]
        inside = _given(dialect, inside, (dialect.indexed(c, columns) for c in columns))
        expected = dialect.function("Var" if variance else "E", inside)
        left = f"{dialect.indexed(column, (column,))} {dialect.equals} {expected}"
        room = dialect.room - dialect.width(left) - 4
        rows.append(Row(left, tuple(dialect.indexed_pieces(value, columns, room)), dialect.equals, ","))  # type: ignore[arg-type]
    rows[-1] = replace(rows[-1], end=".")
    return [Words(f"With the parameters at their present values {theta},"), Display(tuple(rows))]


def _responsibilities(step: Step, dialect: Dialect, declaration: Declaration, theta: str) -> list[Block]:
    row = _arguments(dialect, declaration, indexed=True)
    names = [dialect.function(f"f{n}", row) for n in range(1, len(step.subject) + 1)]
    if step.before:
        names = [f"{_factor(dialect, w)} {f}" for w, f in zip(step.before, names, strict=True)]  # type: ignore[arg-type]
    total = " + ".join(names)
    rows = [
        Row(dialect.indexed(r, (r,)), (Piece(dialect.fraction(name, total)),), dialect.equals, ",")
        for r, name in zip(step.subject, names, strict=True)
    ]
    rows[-1] = replace(rows[-1], end=".")
    share = dialect.math(_marked(dialect, dialect.label, "j"))
    return [
        Words(
            f"With the parameters at their present values {theta}, the expectation of {share} given the data is "
            "the responsibility"
        ),
        Display(tuple(rows)),
    ]


def surrogate(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Q: the expected complete-data log-likelihood."""
    theta = _theta(dialect, declaration)
    left = dialect.function("Q", _given(dialect, theta, (dialect.old(theta),)))
    words = "The expected complete-data log-likelihood is"
    if step.detail("dropped"):
        words += ", up to terms free of the parameters,"
    return [Words(words), *dialect.displays([(left, step.after[0])])]


def m_step(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The updates as a textbook states them."""
    blocks: list[Block] = [Heading("M-step")]
    left: Any = step.detail("remaining", ())
    numeric: Any = step.detail("numeric", ())
    with dialect.renewed((*step.subject, *(t.args[0] for t in left), *numeric)):
        rows = [(dialect.write(p), _sums(e)) for p, e in zip(step.subject, step.after, strict=True)]
        if rows:
            words = "Setting the derivatives to zero gives"
            if not step.detail("smooth"):
                words = f"{dialect.math('Q')} is largest at"
            elif step.detail("proved"):
                words = f"Setting the derivatives to zero, {dialect.math('Q')} is seen to be largest at"
            blocks += [Words(words), *dialect.displays(rows, "," if left else ".")]  # type: ignore[arg-type]
        if left:
            names = joined(dialect.math(dialect.write(t.args[0])) for t in left)
            verb = "solves" if len(left) == 1 else "solve"
            lead = f"where {names} {verb}" if rows else f"The derivatives are zero where {names} {verb}"
            blocks += [Words(lead), *dialect.displays([("", _sums(t.args[1])) for t in left], zero=True)]
        if numeric:
            names = joined(dialect.math(dialect.write(p)) for p in numeric)
            blocks.append(Words(f"New values of {names} that increase it are found by number."))
    return blocks


def _sums(e: Expr) -> Expr:
    """Means of single columns as sums over n."""
    return e.replace(
        lambda n: isinstance(n, Mean) and isinstance(n.summand, Symbol),
        lambda n: Total(n.summand, n.args[-1]) / Count(n.args[-1]),
    )


def ascent(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Jensen's inequality: l rises by at least as much as Q."""
    theta = _theta(dialect, declaration)
    old = dialect.old(theta)
    l_new, l_old = dialect.function("l", theta), dialect.function("l", old)
    q_new, q_old = (dialect.function("Q", _given(dialect, t, (old,))) for t in (theta, old))
    words = (
        "By Jensen's inequality, as the logarithm is concave and the expectations are under the law at "
        f"{dialect.math(old)}, for every {dialect.math(theta)}"
    )
    minus = dialect.letter("-")
    row = Row(f"{l_new} {minus} {l_old}", (Piece(f"{q_new} {minus} {q_old}"),), dialect.letter(">="), ".")
    tail = "No iteration that raises the right side lowers the log-likelihood"
    if step.detail("proved"):
        tail = "The M-step makes the right side largest, hence not negative: no iteration lowers the log-likelihood"
    rest = "What an iteration leaves in place is a stationary point of the log-likelihood"
    if not step.detail("smooth", True):
        rest = (
            "What an iteration leaves in place need not be a maximum where the log-likelihood has a kink: there the "
            "slopes to both sides are looked at"
        )
    return [
        Heading("Ascent"),
        Words(words),
        Display((row,)),
        Words(f"{tail}. {rest}."),
    ]


def unbounded(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Where the likelihood has no bound."""
    pairs: Any = step.detail("collapse", ())
    columns = declaration.samples[0].all_columns
    texts = []
    for p, e in pairs:
        at_row = bool(e.free_symbols & set(columns))
        sign = dialect.equals if at_row else dialect.letter("to")
        value = dialect.write(e.xreplace({c: Symbol(f"{c.name}_1") for c in columns}))
        texts.append(dialect.math(f"{dialect.write(p)} {sign} {value}"))
    label = str(step.detail("label", ""))
    name = f"component {label}" if label.isdigit() else f"the case {dialect.math(label)}"
    return [
        Heading("No bound"),
        Words(
            f"With {joined(texts)} the density of {name} at the first observation goes to infinity, while the "
            "other observations keep a positive density under another component. The likelihood has therefore "
            "no bound; what is meant by the estimate is the largest of its local maxima inside the parameter space."
        ),
    ]


def limit_of_updates(dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The estimate of an EM derivation."""
    listed = list(declaration.parameters)
    hat = dialect.math(dialect.vector(True) if len(listed) > 1 else dialect.hat(listed[0]))
    return [
        Heading("Estimate"),
        Words(
            f"The estimate {hat} is the limit of E- and M-steps, repeated from several starts; of several limits "
            "the one with the largest log-likelihood is taken."
        ),
    ]


__all__ = [
    "ascent",
    "complete",
    "e_step",
    "kernel",
    "latent_structure",
    "limit_of_updates",
    "m_step",
    "prepare",
    "surrogate",
    "unbounded",
]
