"""The first part of a derivation in words: model, likelihood, its logarithm, its statistics, the score."""

from __future__ import annotations

from dataclasses import replace

from sympy import Add, Expr, FiniteSet, Gt, Range, S, Set, Symbol, Tuple

from symmle.declare.declaration import Declaration, SamplePart
from symmle.record import Step
from symmle.report.blocks import Block, Dialect, Display, Heading, Row, Words
from symmle.report.layout import Piece
from symmle.report.phrases import capital, joined
from symmle.sample import Mean, Total


def is_discrete(domain: Set) -> bool:
    return isinstance(domain, FiniteSet | Range) or domain in (S.Integers, S.Naturals, S.Naturals0)


def density_words(part: SamplePart) -> str:
    discrete = all(is_discrete(part.support[c]) for c in part.columns if c in part.support)
    return "probability mass function" if discrete else "density"


def density_text(dialect: Dialect, declaration: Declaration, part: SamplePart, indexed: bool = False) -> str:
    """f(x; theta), f(y | z; theta), with an index to tell samples apart."""
    write = (lambda c: dialect.indexed(c, part.all_columns)) if indexed else dialect.write
    columns = ", ".join(write(c) for c in part.columns)
    given = ", ".join(write(c) for c in part.given)
    name = "f"
    if len(declaration.samples) > 1:
        name = f"f{declaration.samples.index(part) + 1}"
    arguments = columns + (rf" {dialect.letter('given')} {given}" if given else "")
    return dialect.function(name, f"{arguments}; {dialect.arguments(declaration.parameters)}")


def _observations(dialect: Dialect, part: SamplePart) -> str:
    def row(place: str) -> str:
        names = [dialect.observation(c, place) for c in part.columns]
        return names[0] if len(names) == 1 else f"({', '.join(names)})"

    return dialect.math(f"{row('1')}, {dialect.letter('dots')}, {row('n')}")


def model(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 1: the model, its support, the parameter space."""
    blocks: list[Block] = [Heading("Model")]
    several = len(declaration.samples) > 1
    for place, part in enumerate(declaration.samples):
        kind = density_words(part)
        given = [c for c in part.given if c not in declaration.lags]
        lagged = [c for c in part.given if c in declaration.lags]
        text = f"Let {_observations(dialect, part)} be independent observations"
        if lagged:
            text = f"Let {_observations(dialect, part)} be observations in a row"
        if several and place:
            text += ", independent of the others,"
        if part.given:
            kind = f"conditional {kind}"
        text += f" with {kind}"
        blocks.append(Words(text))
        density = step.after[place] if place < len(step.after) else part.density
        blocks.append(Display((dialect.row(density_text(dialect, declaration, part), density, end=","),)))
        where = [dialect.math(dialect.member(dialect.write(c), s)) for c, s in part.support.items()]
        where += [dialect.math(dialect.write(Gt(e, 0, evaluate=False))) for e in part.inside]
        more = f"for {joined(where)}"
        if given:
            more += f"; the {joined(dialect.math(dialect.write(c)) for c in given)} are known"
        if lagged:
            more += "; the first row is conditioned on"
        blocks.append(Words(more + "."))
    blocks.append(Words(_parameter_space(dialect, declaration)))
    return blocks


def _parameter_space(dialect: Dialect, declaration: Declaration) -> str:
    domains = [dialect.math(dialect.member(dialect.write(p), d)) for p, d in declaration.parameters.items()]
    text = f"The unknown parameter{'s are' if len(domains) > 1 else ' is'} {joined(domains)}"
    limits = [dialect.math(f"{dialect.write(c)} = 0") for c in declaration.constraints]
    limits += [dialect.math(f"{dialect.write(w)} > 0") for w in declaration.where]
    if limits:
        text += f", subject to {joined(limits)}"
    known = []
    for constant, value in declaration.constants.items():
        known.append(
            dialect.math(dialect.write(constant) + ("" if value is None else f" = {dialect.write(value)}"))
        )
    if known:
        text += f"; {joined(known)} {'is' if len(known) == 1 else 'are'} known"
    if len(declaration.parameters) > 3:
        every = f"{dialect.vector()} = ({dialect.listed(declaration.parameters)})"
        text += f". We write {dialect.math(every)}"
    return text + "."


def likelihood(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 2: the likelihood, with its indicator where the support depends on a parameter."""
    name = dialect.function("L", dialect.arguments(declaration.parameters))
    names: list[str] = []
    bodies: list[Piece] = []
    moving = False
    for place, part in enumerate(declaration.samples):
        density = step.after[place] if place < len(step.after) else part.density
        names.append(
            dialect.big("prod", part.all_columns, density_text(dialect, declaration, part, indexed=True))
        )
        body = dialect.indexed_pieces(density, part.all_columns, dialect.room - dialect.width(name) - 6)
        if density.is_Add:
            body = [replace(body[0], text="(" + body[0].text), *body[1:]]
            body[-1] = replace(body[-1], text=body[-1].text + ")")
        for column, domain in part.support.items():
            if domain.free_symbols & set(declaration.parameters):
                moving = True
                inside = dialect.member(dialect.indexed(column, part.all_columns), domain)
                shown = "" if body[-1].text == "1" else f"{body[-1].text} "
                body[-1] = replace(body[-1], text=f"{shown}{dialect.function('1', inside)}")
        for e in part.inside:
            moving = True
            inside = dialect.indexed(Gt(e, 0, evaluate=False), part.all_columns)
            body[-1] = replace(body[-1], text=f"{body[-1].text} {dialect.function('1', inside)}")
        body[0] = replace(body[0], text=dialect.big("prod", part.all_columns, body[0].text))
        bodies += body
    rows = [
        Row(name, tuple(Piece(n) for n in names)),
        Row("", tuple(bodies), end="."),
    ]
    blocks: list[Block] = [Heading("Likelihood")]
    reason = "By independence the likelihood is"
    if any(c in declaration.lags for part in declaration.samples for c in part.given):
        reason = "Conditionally on the first row the likelihood is"
    blocks += [Words(reason), Display(tuple(rows))]
    if moving:
        blocks.append(
            Words(
                "The support depends on the parameter: the indicator is a constraint on it, the "
                "likelihood is not "
                "smooth there, and the usual asymptotics of the score do not apply."
            )
        )
    return blocks


def logarithm(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 3, first half: the log-likelihood as a sum."""
    name = dialect.function("l", dialect.arguments(declaration.parameters))
    rows: list[Row] = []
    for place, part in enumerate(declaration.samples):
        if place >= len(step.after):
            break
        shown = _as_one_sum(step.after[place], part)
        lead = dialect.equals if place == 0 else "+"
        rows.append(dialect.row(name if place == 0 else "", shown, relation=lead))
    if rows:
        rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
    return [
        Heading("Log-likelihood"),
        Words("On the support the logarithm of the likelihood is"),
        Display(tuple(rows)),
    ]


def _as_one_sum(summand: Expr, part: SamplePart) -> Total:
    """The sum over the rows with the summand in one piece, as it is first written."""
    return Expr.__new__(Total, summand, Tuple(*part.all_columns))


def normal_form(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 3, second half: the statistics, named."""
    name = dialect.function("l", dialect.arguments(declaration.parameters))
    blocks: list[Block] = [Words("Collecting terms,")]
    blocks.append(Display(tuple(dialect.row(name, e, end=".") for e in step.after)))
    raw = step.detail("statistics", ())
    named_ones = [s for s in raw if isinstance(s, Total | Mean)] if isinstance(raw, tuple) else []
    statistics = [s for s in named_ones if _meets_parameters(s, step.after, set(declaration.parameters))]
    if statistics:
        named = joined(dialect.math(dialect.write(s)) for s in statistics)
        if step.detail("family", ""):
            verb = "is sufficient" if len(statistics) == 1 else "are jointly sufficient"
            kind = str(step.detail("family"))
            article = "an" if kind[0] in "aeiou" else "a"
            text = f"this is {article} {dialect.plain(kind)}, and {named} {verb}."
        else:
            text = f"the data enter through {named}."
        blocks.append(Words(capital(text)))
    return blocks


def _meets_parameters(statistic: Expr, shown: tuple[object, ...], parameters: set[Symbol]) -> bool:
    """Whether a parameter stands beside the statistic; else it only adds a constant."""
    terms = [t for e in shown if isinstance(e, Expr) for t in Add.make_args(e) if t.has(statistic)]
    return not terms or any(t.free_symbols & parameters for t in terms)


def score(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 4: the score, one line a parameter."""
    rows = [(dialect.slope(p), e) for p, e in zip(step.subject, step.after, strict=False)]
    dialect.shown.update((e, dialect.slope(p)) for p, e in zip(step.subject, step.after, strict=False))
    words = "The score has the component" + ("s" if len(rows) > 1 else "")
    return [Heading("Score"), Words(words), *dialect.displays(rows)]
