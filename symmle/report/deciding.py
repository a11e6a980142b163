"""Where the score does not decide, in words: supports, kinks, whole numbers, finite spaces, edges, constraints."""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Basic, Dummy, Expr, FiniteSet, Integer, Interval, Symbol, Tuple
from sympy.core.relational import Relational

from symmle.declare.declaration import Declaration
from symmle.record import Relation, Step
from symmle.report.blocks import Block, Dialect, Display, Heading, Row, Words
from symmle.report.phrases import NO_SCORE, joined, theorem_sentence
from symmle.report.solving import equations

_SIGNS = {1: "> 0", -1: "< 0", 0: "= 0"}


def _names(dialect: Dialect, symbols: Sequence[Symbol]) -> str:
    return joined(dialect.math(dialect.write(p)) for p in symbols)


def _rows_of_samples(declaration: Declaration) -> tuple[Symbol, ...]:
    return tuple(c for part in declaration.samples for c in part.all_columns)


def why_not_the_score(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 13: why the score is not used, and what that means for the usual asymptotics."""
    reason = str(step.detail("reason", "") or "")
    words = NO_SCORE.get(reason, "The score does not decide where the maximum is.")
    return [Heading("Solution"), Words(words.format(names=_names(dialect, step.subject)))]


def support(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The indicator of the likelihood as limits on the parameters."""
    columns = _rows_of_samples(declaration)
    rowwise = [dialect.math(dialect.indexed(r, columns)) for r in step.before]
    limits = [r for r in step.after if isinstance(r, Relational)]
    words = (
        f"The indicator is 1 exactly where {joined(rowwise)} for every {dialect.math('i')}, that is, where"
    )
    rows = [_relation_row(dialect, r, "," if r is not limits[-1] else ".") for r in limits]
    return [Words(words), Display(tuple(rows))]


def _relation_row(dialect: Dialect, relation: Relational, end: str) -> Row:
    sign = {"<": "<", "<=": dialect.letter("<="), ">": ">", ">=": dialect.letter(">=")}
    return dialect.row(
        dialect.write(relation.lhs), relation.rhs, sign.get(relation.rel_op, relation.rel_op), end
    )


def monotone(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The sign of the derivative (or of the difference of neighbours) on the allowed values."""
    lattice = bool(step.detail("lattice", False))
    blocks: list[Block] = []
    for p, slope, sign in zip(step.subject, step.before, step.after, strict=False):
        direction = {1: "rises", -1: "falls", 0: "does not change"}[int(sign)]  # type: ignore[call-overload]
        left = difference(dialect, p) if lattice else dialect.slope(p)
        what = "the difference of neighbouring values is" if lattice else "the derivative is"
        end = "." if slope == 0 else f" {_SIGNS[int(sign)]}."  # type: ignore[call-overload]
        name = dialect.math(dialect.write(p))
        others = [q for q in declaration.parameters if q != p]
        held = f", whatever {_names(dialect, others)}," if others else ""
        blocks += [
            Words(f"On these values {what}"),
            Display((dialect.row(left, slope, end=end),)),
            Words(f"so that{held} the log-likelihood {direction} in {name}."),
        ]
    return blocks


def difference(dialect: Dialect, p: Symbol) -> str:
    """l(N) - l(N - 1)."""
    before = dialect.write(p - 1)
    return f"{dialect.function('l', dialect.write(p))} - {dialect.function('l', before)}"


def edge(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The conclusion: the end of the allowed values, its limit, or all of them."""
    rows = [(dialect.hat(p), v) for p, v in zip(step.subject, step.after, strict=False)]
    members = step.detail("set")
    if isinstance(members, Interval):
        (p, value) = step.subject[0], step.after[0]
        blocks: list[Block] = [
            Words("Every value in"),
            Display((Row("", (_piece(dialect.member(dialect.write(p), members)),), "", "."),)),
        ]
        if value != members.start:
            blocks += [
                Words("maximises the likelihood. A representative is"),
                *dialect.displays([(dialect.hat(p), value)]),
            ]
        else:
            blocks.append(Words("maximises the likelihood."))
        return blocks
    if not step.detail("attained", True):
        limits = [(dialect.write(p), v) for p, v in zip(step.subject, step.after, strict=False)]
        shown = [dialect.row(left, v, dialect.letter("to"), ".") for left, v in limits]
        return [
            Words("The supremum is approached, and not attained, as"),
            Display(tuple(shown)),
        ]
    return [Words("Hence the likelihood is largest at"), *dialect.displays(rows)]


def _piece(text: str):  # type: ignore[no-untyped-def]
    from symmle.report.layout import Piece

    return Piece(text)


def hold(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Some parameters are known; the others are found as if these were given."""
    others = [p for p in declaration.parameters if p not in step.subject]
    if not others:
        return []
    values = [v for v in step.after if isinstance(v, Expr)]
    if len(values) == len(step.subject) and all(v.is_number for v in values):
        known = joined(
            dialect.math(f"{dialect.write(p)} = {dialect.write(v)}")
            for p, v in zip(step.subject, values, strict=True)
        )
        return [Words(f"With {known} what is left is the maximum over {_names(dialect, others)}.")]
    held = _names(dialect, step.subject)
    return [Words(f"What is left is the maximum over {_names(dialect, others)} with {held} known.")]


def put_in(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The known values put into the answers for the others."""
    rows = [
        (dialect.hat(p), v) for p, v in zip(step.subject, step.after, strict=False) if isinstance(v, Basic)
    ]
    return [Words("Putting in what is known,"), *dialect.displays(rows)] if rows else []


def slope(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The derivative between the kinks: a sum of two slopes."""
    rows = [dialect.row(dialect.slope(p), e, end=".") for p, e in zip(step.subject, step.after, strict=False)]
    name = _names(dialect, step.subject)
    return [
        Words("Between two neighbouring kinks the derivative is"),
        Display(tuple(rows)),
        Words(
            f"It does not change between the kinks and falls at each of them: the log-likelihood is concave in {name}, "
            "and it is largest where the derivative passes from positive to negative."
        ),
    ]


def quantile(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The order statistic at which the derivative changes its sign."""
    rows = [(dialect.hat(p), v) for p, v in zip(step.subject, step.after, strict=False)]
    blocks: list[Block] = [Words("That is at"), *dialect.displays(rows)]
    members = step.detail("set")
    if isinstance(members, Interval):
        inside = dialect.math(dialect.member(dialect.write(step.subject[0]), members))
        blocks.append(
            Words(f"Where the derivative vanishes between two kinks every value with {inside} is a maximum.")
        )
    return blocks


def ratio(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Neighbouring whole numbers compared."""
    p = step.subject[0]
    rows = [dialect.row(difference(dialect, p), e, end=".") for e in step.after if isinstance(e, Expr)]
    return [Words("For neighbouring values the log-likelihoods differ by"), Display(tuple(rows))]


def one_crossing(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The difference passes from + to - once."""
    name = _names(dialect, step.subject)
    if step.relation is Relation.SIGN and step.after and step.after[0] in (Integer(1), Integer(-1)):
        falls = step.after[0] == -1
        return [
            Words(
                f"This difference {'falls' if falls else 'rises'} in {name}: it changes its sign once at most."
            )
        ]
    theorem = theorem_sentence(str(step.detail("theorem", "") or "")) or ""
    words = f"The difference passes from positive to negative once as {name} grows"
    return [Words(f"{theorem}. {words}." if theorem else f"{words}.")]


def floored(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The largest whole number at which the difference is not negative."""
    p = step.subject[0]
    root = step.detail("root")
    blocks: list[Block] = []
    if isinstance(root, Expr):
        relation = dialect.math(f"{dialect.write(p)} {dialect.letter('<=')} {dialect.write(root)}")
        blocks.append(
            Words(
                f"It is not negative exactly where {relation}; the log-likelihood rises up to the largest such whole "
                "number and falls from there on. Where the bound is itself a whole number the value below it ties."
            )
        )
    rows = [(dialect.hat(q), v) for q, v in zip(step.subject, step.after, strict=False)]
    return [*blocks, Words("Hence"), *dialect.displays(rows)]


def comparison(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The log-likelihood at each member of a finite space."""
    members = step.detail("members", ())
    values = [v for v in step.before if isinstance(v, Expr)]
    rows = []
    for member, value in zip(members if isinstance(members, tuple | Tuple) else (), values, strict=False):
        named = [dialect.write(m) for m in (member.args if isinstance(member, Tuple) else (member,))]
        rows.append((dialect.function("l", ", ".join(named)), value))
    words = "Only finitely many values are possible; the log-likelihood at each is"
    return [Words(words), *dialect.displays(rows)] if rows else [Words("The possible values are compared.")]


def best_member(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    rows = [(dialect.hat(p), v) for p, v in zip(step.subject, step.after, strict=False)]
    return [Words("The larger one wins:"), *dialect.displays(rows)]


def clip(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The free optimum where it is allowed, else the edge."""
    rows = [(dialect.hat(p), v) for p, v in zip(step.subject, step.after, strict=False)]
    return [
        Words(
            "The log-likelihood, the other parameters maximised out, rises up to the free optimum and falls from there "
            "on. Where the free optimum is not allowed the nearest allowed value is the maximum:"
            if len(declaration.parameters) > 1
            else "The log-likelihood rises up to the free optimum and falls from there on. Where the free optimum is "
            "not allowed the nearest allowed value is the maximum:"
        ),
        *dialect.displays(rows),
    ]


def lagrange(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The Lagrangian's equations."""
    raw = step.detail("multipliers", ())
    multipliers = [m for m in raw if isinstance(m, Symbol)] if isinstance(raw, tuple | Tuple) else []
    named = (
        f" with {'multipliers' if len(multipliers) > 1 else 'the multiplier'} {_names(dialect, multipliers)}"
    )
    words = f"We add the constraint{'s' if len(declaration.constraints) > 1 else ''} to the log-likelihood"
    blocks: list[Block] = [Words(f"{words}{named if multipliers else ''} and set every derivative to zero:")]
    return [*blocks, *equations(dialect, step.after)] if step.after else blocks


def unrolled(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The likelihood of a sample of known size in its order statistics."""
    size = dialect.math(str(declaration.size)) if declaration.size is not None else "this many"
    name = dialect.function("l", dialect.arguments(declaration.parameters))
    rows = [(name, e) for e in step.after if isinstance(e, Expr)]
    return [
        Words(
            f"With {size} observation{'s' if declaration.size != 1 else ''}, written in the ordered sample,"
        ),
        *dialect.displays(rows),
    ]


def ridge(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """What of the parameters enters the density."""
    known = joined(dialect.math(dialect.write(e)) for e in step.after if isinstance(e, Basic))
    free = _names(dialect, step.subject)
    words = f"Only {known} enter{'s' if len(step.after) == 1 else ''} the density: " if known else ""
    return [
        Heading("Solution"),
        Words(
            f"{words}the maximum is taken on a whole ridge, and {free} may be any value for which the others stay in "
            "their domains."
        ),
    ]


def sets_of_maxima(estimator: object, dialect: Dialect) -> list[Block]:
    """The sets of values that all attain the maximum, after the estimate."""
    found: list[Block] = []
    maximisers = getattr(estimator, "maximisers", {}) or {}
    for p, members in maximisers.items():
        name = dialect.write(p)
        if isinstance(members, Interval) and not members.has(Dummy):
            inside = dialect.math(dialect.member(name, members))
            found.append(
                Words(f"Every {inside} attains the maximum; it is one point where the two ends agree.")
            )
        elif isinstance(members, FiniteSet) and len(members) > 1:
            listed = joined(dialect.math(dialect.write(m)) for m in members.args)
            found.append(
                Words(f"In a tie {listed} differ, and each of them is a maximum over {dialect.math(name)}.")
            )
    free = tuple(getattr(estimator, "free", ()))
    if free:
        found.append(Words(f"Here {_names(dialect, free)} may be any value: the maximum is a ridge."))
    return found


def best_of_faces(estimator: object, dialect: Dialect) -> list[Block]:
    """The best of the maxima on the faces, or over the values that are searched."""
    faces = tuple(getattr(estimator, "faces", ()))
    searched = tuple(getattr(estimator, "searched", ()))
    if searched:
        others = [p for f in faces for p in f.declaration.parameters]
        given = f", {_names(dialect, others)} being maximised at each," if others else ""
        where = (
            "whole numbers" if getattr(estimator, "kind", "") == "integer" else "points where the slope jumps"
        )
        blocks: list[Block] = [
            Words(
                f"The maximum is that over {_names(dialect, searched)}{given} among the {where}; it has no closed form."
            )
        ]
        rows = [(dialect.hat(p), e) for f in faces for p, e in f.estimator.closed.items()]
        if rows:
            blocks += [Words("At each of them"), *dialect.displays(rows)]
        return blocks
    blocks = [
        Words("The estimate is the best by the log-likelihood of these points, as far as they are allowed:")
    ]
    for face in faces:
        pairs = [*face.at.items(), *face.estimator.closed.items()]
        left = [e.parameter for e in face.estimator.remaining]
        rows = [(dialect.hat(p), e) for p, e in pairs]
        if left and rows:
            blocks += [
                *dialect.displays(rows),
                Words(f"with {_names(dialect, left)} by its likelihood equation;"),
            ]
        elif rows:
            blocks += dialect.displays(rows)
        else:
            inside = _names(dialect, tuple(face.declaration.parameters))
            blocks.append(
                Words(f"the maximum over {inside} by the likelihood equations inside the parameter space;")
            )
    return blocks


def supremum(estimator: object, dialect: Dialect) -> list[Block]:
    """The limit that is not attained, and what closing the support would change."""
    limits = getattr(estimator, "supremum", {}) or {}
    rows = [dialect.row(dialect.write(p), v, dialect.letter("to"), ",") for p, v in limits.items()]
    if not rows:
        return []
    rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
    reason = str(getattr(estimator, "unattained", "") or "")
    words = "There is no maximum likelihood estimate: the supremum is approached, and not attained, as"
    blocks: list[Block] = [Heading("Estimate"), Words(words), Display(tuple(rows))]
    if reason.lower().startswith("the support"):
        estimates = joined(dialect.math(f"{dialect.hat(p)} = {dialect.write(v)}") for p, v in limits.items())
        return [
            *blocks,
            Words(
                "The range of the observations is open there. With its end included the supremum would be "
                f"attained, and the estimate would be {estimates}."
            ),
        ]
    if not reason:
        return blocks
    text = dialect.plain(reason[:1].upper() + reason[1:])
    return [*blocks, Words(text + ("" if reason.endswith(".") else "."))]
