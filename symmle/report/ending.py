"""The end of a derivation in words: proof, existence, the estimate, invariance, information."""

from __future__ import annotations

from sympy import Basic, Expr, MatrixBase, Tuple

from symmle.declare.declaration import Declaration
from symmle.record import Condition, Step
from symmle.report.blocks import Block, Dialect, Display, Heading, Row, Words
from symmle.report.deciding import best_of_faces, sets_of_maxima, supremum
from symmle.report.phrases import (
    KINDS,
    LEAST_ROUTES,
    SCOPES,
    capital,
    joined,
    sentences_without_score,
    theorem_sentence,
)
from symmle.report.solving import conditions_text, equations


def certificate(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 6: why the point is a maximum, and for what the proof holds."""
    proof = step.detail("certificate")
    theorem = str(step.detail("theorem", "") or getattr(proof, "theorem", "") or "")
    blocks: list[Block] = [Heading("Maximum")]
    if step.after:
        with dialect.hatted(step.subject):
            blocks += _second_order(step, dialect)
    sentence = theorem_sentence(theorem) or (f"By the theorem '{dialect.plain(theorem)}'" if theorem else "")
    kind = getattr(getattr(proof, "kind", None), "value", "")
    if proof is None:
        blocks.append(Words(f"{sentence}." if sentence else "What the point is has not been proved."))
        return blocks
    what = KINDS.get(kind, dialect.plain(kind))
    dialect.proved = kind == "global maximum"
    told = sentences_without_score(theorem)
    if told:
        blocks.append(Words(f"{'. '.join(told)}. The estimate is thus {what}"))
    elif theorem_sentence(theorem):
        blocks.append(Words(f"{sentence}. The stationary point is thus {what}"))
    else:
        blocks.append(Words(f"{sentence or 'By a theorem'}, the stationary point is {what}"))
    conditions = tuple(getattr(proof, "conditions", ()) or step.conditions)
    scope = getattr(getattr(proof, "scope", None), "value", "")
    if conditions:
        words = ", under the conditions below"
        if not dialect.conditions_follow:
            words = f", provided that {conditions_text(dialect, conditions, declaration)}"
        if scope == "the data at hand":
            words = f", {SCOPES[scope]}"
    else:
        words = f", for {scope}" if scope else ""
    last = blocks[-1]
    assert isinstance(last, Words)
    if getattr(proof, "unique", False):
        words += ", and there is no other"
    blocks[-1] = Words(last.text + words + ".")
    return blocks


def profile_certificate(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Why the closed part is the conditional maximum."""
    proof = step.detail("certificate")
    theorem = str(step.detail("theorem", "") or getattr(proof, "theorem", "") or "")
    held = [p for p in declaration.parameters if p not in step.subject]
    fixed = joined(dialect.math(dialect.write(p)) for p in held)
    found = joined(dialect.math(dialect.write(p)) for p in step.subject)
    reason = theorem_sentence(theorem) or f"By the theorem '{dialect.plain(theorem)}'"
    if dialect.proved or getattr(getattr(proof, "kind", None), "value", "") != "global maximum":
        return []
    words = (
        f"{reason}."
        if not fixed
        else f"With {fixed} held fixed, the value for {found} is the global maximum. {reason}."
    )
    return [Heading("Maximum"), Words(words)]


def _second_order(step: Step, dialect: Dialect) -> list[Block]:
    blocks: list[Block] = []
    sign = step.detail("sign", "")
    relation = {"negative": "< 0", "-": "< 0", "positive": "> 0", "+": "> 0"}.get(str(sign), "")
    for entry in step.after:
        if isinstance(entry, MatrixBase):
            blocks.append(Words("At the estimate the matrix of second derivatives is"))
            blocks += matrix_blocks(entry, "H", dialect)
        elif isinstance(entry, Expr):
            left = dialect.slope(step.subject[0], step.subject[0]) if len(step.subject) == 1 else ""
            row = dialect.row(left, entry, end=f" {relation}." if relation else ".")
            blocks += [Words("At the estimate the second derivative is"), Display((row,))]
        elif isinstance(entry, Basic):
            blocks += [
                Words("There"),
                Display((dialect.row("", dialect.write(entry), relation="", end="."),)),
            ]
    return blocks


def matrix_blocks(matrix: MatrixBase, name: str, dialect: Dialect, argument: str = "") -> list[Block]:
    """A matrix in one display where it fits, else its entries one by one."""
    left = dialect.letter(name) + argument
    whole = dialect.write(matrix)
    if dialect.width(whole) + dialect.width(left) + 2 <= dialect.room:
        return [Display((dialect.row(left, whole, end="."),))]
    rows = []
    symmetric = matrix.is_symmetric()
    for r in range(matrix.rows):
        for c in range(r if symmetric else 0, matrix.cols):
            if matrix[r, c] != 0:
                rows.append(dialect.row(dialect.matrix_entry(name, r + 1, c + 1), matrix[r, c], end=","))
    words = "the symmetric matrix with the entries" if symmetric else "the matrix with the entries"
    rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
    blocks: list[Block] = [Words(words), Display(tuple(rows))]
    return [*blocks, Words("The other entries are zero.")] if 0 in matrix.flat() else blocks


def existence(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 7: boundary and degenerate samples."""
    conditions = tuple(c for c in (*step.conditions, *step.after) if isinstance(c, Condition))
    blocks: list[Block] = [Heading("Existence")]
    if not conditions:
        return [*blocks, Words("No condition on the sample is needed.")]
    text = conditions_text(dialect, conditions, declaration)
    if step.detail("exactly", False):
        blocks.append(Words(f"The maximum exists, and is unique, exactly when {text}."))
    else:
        blocks.append(Words(f"The maximum is taken on samples for which {text}."))
    note = step.detail("otherwise", "")
    if note:
        blocks.append(Words(f"Otherwise {dialect.plain(str(note))}."))
    return blocks


def estimate(
    step: Step, dialect: Dialect, declaration: Declaration, estimator: object = None, told: bool = False
) -> list[Block]:
    """Point 8: the estimate and when it exists, unless the conditions have been `told`."""
    closed = dict(zip(step.subject, step.after, strict=False))
    left_over = tuple(getattr(estimator, "remaining", ()))
    left_free = {s for e in left_over for s in e.expression.free_symbols}
    unknown = [p for p in declaration.parameters if p in left_free] or [e.parameter for e in left_over]
    hats = [*closed, *(p for p in unknown if p not in closed)]
    blocks: list[Block] = [Heading("Estimate")]
    if not hats and getattr(estimator, "supremum", None):
        return supremum(estimator, dialect)
    if not hats and getattr(estimator, "faces", None):
        return [*blocks, *best_of_faces(estimator, dialect)]
    if not hats:
        notes = [dialect.plain(str(n)) for n in getattr(estimator, "notes", ()) if n]
        return [*blocks, Words(f"No estimate was derived{': ' + '; '.join(notes) if notes else ''}.")]
    lead = "The maximum likelihood estimate is" if len(hats) == 1 else "The maximum likelihood estimates are"
    if not _is_proved(estimator):
        lead = "The likelihood equations give"
    with dialect.hatted(hats):
        rows = [(dialect.write(p), e) for p, e in closed.items()]
        if rows:
            blocks += [Words(lead), *dialect.displays(rows, "," if left_over else ".")]
    if left_over:
        names = joined(dialect.math(dialect.hat(p)) for p in unknown)
        verb = "solves the equation" if len(left_over) == 1 else "solve the equations"
        blocks.append(
            Words(f"where {names} {verb}" if rows else f"The estimate{'s' * (len(hats) > 1)} {names} {verb}")
        )
        with dialect.hatted(hats):
            blocks += equations(dialect, tuple(e.expression for e in left_over))
    blocks += sets_of_maxima(estimator, dialect)
    route = str(getattr(estimator, "route", ""))
    if closed and left_over and route in LEAST_ROUTES:
        blocks.append(Words(LEAST_ROUTES[route]))
    if not _is_proved(estimator):
        blocks += _alternatives(getattr(estimator, "alternatives", ()), dialect)
    conditions = step.conditions or tuple(getattr(estimator, "conditions", ()))
    if conditions and not told:
        text = conditions_text(dialect, tuple(conditions), declaration)
        exactly = (
            "It exists, and is unique, exactly when"
            if len(hats) == 1
            else "They exist, and are unique, exactly when"
        )
        loosely = "This holds when"
        blocks.append(Words(f"{exactly if step.detail('exactly', False) else loosely} {text}."))
    if not _is_proved(estimator):
        blocks.append(Words("That this point is the global maximum has not been proved for every sample."))
    return blocks


def _alternatives(alternatives: object, dialect: Dialect) -> list[Block]:
    """Further candidates, which the data decide between by the value of the log-likelihood."""
    found: list[Block] = []
    for other in alternatives if isinstance(alternatives, tuple) else ():
        rows = [dialect.row(dialect.write(p), e, end=",") for p, e in other.items()]
        if rows:
            rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
            found.append(Display(tuple(rows)))
    if not found:
        return []
    return [Words("On each sample the log-likelihood at this candidate is compared with that at"), *found]


def _is_proved(estimator: object) -> bool:
    points = tuple(getattr(estimator, "points", ()))
    if estimator is None:
        return True
    return any(p.certificate is not None and p.kind.value == "global maximum" for p in points)


def invariance(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 9: the estimates of usual functions of the parameters."""
    pairs = step.detail("pairs", ())
    if not isinstance(pairs, tuple) or not pairs:
        pairs = tuple(zip(step.before, step.after, strict=False))
    rows = []
    for entry in pairs:
        if isinstance(entry, tuple | Tuple) and len(entry) == 2:
            rows.append(dialect.row(dialect.function("widehat", dialect.write(entry[0])), entry[1], end=","))
    if not rows:
        return []
    rows[-1] = Row(rows[-1].left, rows[-1].right, rows[-1].relation, ".")
    many = "s" if len(rows) > 1 else ""
    words = f"By invariance the maximum likelihood estimate{many} of functions of the parameters "
    return [Heading("Invariance"), Words(words + ("are" if many else "is")), Display(tuple(rows))]


_LONGEST = 14  # lines that a matrix may fill
_MATRICES = {
    "observed information": ("J", "The observed information at the estimate is", ("hat", True)),
    "expected information": ("I", "The expected (Fisher) information of the sample is", ("", False)),
    "asymptotic covariance": ("V", "The asymptotic covariance of the estimates is", ("", False)),
}


def information(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Point 10: observed and expected information, asymptotic variance."""
    name, words, (accent, hatted) = _MATRICES[step.rule]
    blocks: list[Block] = [Heading("Information")]
    reason = str(step.detail("reason", "") or "")
    matrices = [m for m in step.after if isinstance(m, MatrixBase)]
    if not matrices:
        subject = words.removeprefix("The ").removesuffix(" is").removesuffix(" at the estimate")
        because = f": {dialect.plain(reason)}" if reason else ""
        return [*blocks, Words(f"The {subject} was not found in closed form{because}.")]
    subject_names = dialect.arguments(step.subject, hat=bool(accent))
    argument = (
        dialect.letter("(") + subject_names + dialect.letter(")") if step.subject and name != "V" else ""
    )
    matrix = matrices[0]
    if sum(dialect.width(dialect.write(e)) for e in matrix.flat()) > _LONGEST * dialect.room and hatted:
        words = "The observed information is the negative matrix of second derivatives at the estimate"
        return [*blocks, Words(f"{words}; its entries are long and are left out here.")]
    with dialect.hatted(step.subject if hatted else ()):
        if matrix.shape == (1, 1):
            if name == "V":
                words = "The asymptotic variance of the estimate is"
                row = dialect.row(
                    dialect.function("Var", dialect.hat(step.subject[0])), matrix[0, 0], "~", "."
                )
            else:
                row = dialect.row(dialect.letter(name) + argument, matrix[0, 0], end=".")
            return [*blocks, Words(words), Display((row,))]
        found = matrix_blocks(matrix, name, dialect, argument)
    if len(found) > 1 and isinstance(found[0], Words):  # the entries one by one
        return [*blocks, Words(f"{words} {found[0].text}"), *found[1:]]
    return [*blocks, Words(words), *found]


def identifiability(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """The rank of the information: whether the parameters can be told apart."""
    rank = step.detail("rank")
    count = len(step.subject) or len(declaration.parameters)
    if rank is None:
        return []
    if isinstance(rank, int) and rank < count:
        words = f"The information has rank {rank} for {count} parameters: they are not identifiable."
    else:
        words = f"The information has full rank ({rank}), so that the parameters are locally identifiable."
        if count == 1:
            words = "The information is not zero, so that the parameter is locally identifiable."
    return [Words(words)]


def remark(step: Step, dialect: Dialect, declaration: Declaration) -> list[Block]:
    """Points 11 and 12: bias, exact law, numeric check: what the record says, in its words."""
    blocks: list[Block] = [Heading(capital(step.rule))]
    for key, value in step.details:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            blocks.append(Words(f"{capital(dialect.plain(str(key)))}: {dialect.plain(str(value))}."))
    rows = []
    for place, entry in enumerate(step.after):
        left = dialect.write(step.subject[place]) if place < len(step.subject) else ""
        if isinstance(entry, Expr):
            rows.append(dialect.row(left, entry, end="." if place == len(step.after) - 1 else ","))
    return [*blocks, Display(tuple(rows))] if rows else blocks
