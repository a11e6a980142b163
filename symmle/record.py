"""Records of a derivation: equations, conditions, steps, attempts. Frozen, small, rendered elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from sympy import Basic, Expr, Symbol


class Relation(Enum):
    """What a step claims of `before` and `after`, and so how it is checked."""

    DEFINITION = "definition"  # after is named, nothing is claimed
    EQUAL = "equal"  # before[k] == after[k] at every admissible point
    LOGARITHM = "logarithm"  # log(before[k]) == after[k] on the support
    DERIVATIVE = "derivative"  # after[k] == d before[0] / d subject[k]
    ROOTS = "roots"  # after lists every root in `subject` of before == 0 in the domain
    PROFILE = "profile"  # after[k] is the value of subject[k] that maximises l, the rest held fixed
    EQUIVALENT = "equivalent"  # before == 0 exactly where after == 0
    IMPLIED = "implied"  # before == 0 implies after == 0 (combinations of scores)
    THEOREM = "theorem"  # a certificate stands for it
    ALLOWED = "allowed"  # every row satisfies all of before exactly where all of after hold
    SIGN = "sign"  # before[k] has the sign after[k] (1, -1, or 0 for identically zero) on the allowed set
    MARGINAL = "marginal"  # after[0] is before summed or integrated over what was not observed
    EXPECTATION = "expectation"  # after[k] is the conditional expectation that stands in column subject[k]
    SURROGATE = "surrogate"  # after[0] is the expected complete-data log-likelihood
    UPDATE = "update"  # after[k] is the value of subject[k] that maximises before[0], one after the other
    ASCENT = "ascent"  # an update never lowers the log-likelihood
    MAXIMUM = "maximum"  # after[k] is the value of subject[k] that maximises l, whatever the other parameters


@dataclass(frozen=True)
class Condition:
    """A SymPy relational in sample operators and constants, true on the samples that are meant.

    `reading` says it in words by an id the reports know: "not all equal", "not all at the edge",
    "both occur", "not on a line", "" (the formula alone).
    """

    expression: Basic
    reading: str = ""
    columns: tuple[Expr, ...] = ()


@dataclass(frozen=True)
class Equation:
    """`expression` = 0, an equation for `parameter`."""

    parameter: Symbol
    expression: Expr
    origin: str = "score"  # "score" | "profile score" | "combination"


@dataclass(frozen=True)
class Step:
    """One step: the rule that took it, before, after, what it claims, under which conditions."""

    rule: str
    before: tuple[Basic, ...]
    after: tuple[Basic, ...]
    relation: Relation
    subject: tuple[Symbol, ...] = ()
    conditions: tuple[Condition, ...] = ()
    substeps: tuple[Step, ...] = ()
    details: tuple[tuple[str, object], ...] = ()

    def detail(self, key: str, default: object = None) -> object:
        return dict(self.details).get(key, default)


@dataclass(frozen=True)
class Attempt:
    """A way that was tried: its name, whether it solved, and the reason it did not."""

    strategy: str
    solved: bool
    reason: str = ""
    seconds: float = field(default=0.0, compare=False)


class Trace:
    """The chain of steps and attempts of one run; the run alone appends to it."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.attempts: list[Attempt] = []

    def add(self, step: Step) -> None:
        self.steps.append(step)

    def attempt(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
