"""The answer of a derivation: closed forms, remaining equations, stationary points, certificates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from sympy import Basic, Expr, Set, Symbol

from symmle.declare.declaration import Declaration
from symmle.record import Condition, Equation

if TYPE_CHECKING:
    from symmle.latent.problem import Conditional, Labelled


class Kind(Enum):
    """What is known of a stationary point."""

    GLOBAL_MAXIMUM = "global maximum"
    LOCAL_MAXIMUM = "local maximum"
    SADDLE_POINT = "saddle point"
    LOCAL_MINIMUM = "local minimum"
    UNDECIDED = "undecided"


class Scope(Enum):
    """For what a certificate holds."""

    EVERY_SAMPLE = "every sample"
    DATA = "the data at hand"


class BySymbol(dict):  # type: ignore[type-arg]
    """A dict keyed by symbols that also answers to names and to symbols of other assumptions."""

    def __missing__(self, key: Any) -> Any:
        for symbol, value in self.items():
            if str(symbol) == str(key):
                return value
        raise KeyError(key)


class Certificate(ABC):
    """A proof that re-checks itself from its stored expressions.

    Subclasses are frozen dataclasses of SymPy objects and numbers; `theorem` names the theorem,
    `kind` what is proved of the point, `scope` for what it holds.
    """

    theorem: str
    kind: Kind
    scope: Scope
    conditions: tuple[Condition, ...]

    @abstractmethod
    def check(self) -> tuple[bool, str]:
        """Whether the proof holds when it is done again, and what was found."""


@dataclass(frozen=True)
class StationaryPoint:
    """A stationary point: its values, what it is, and the proof of that."""

    values: dict[Symbol, Expr]
    kind: Kind = Kind.UNDECIDED
    certificate: Certificate | None = None
    boundary: bool = False
    log_likelihood: float | None = None
    reason: str = ""  # why the kind is open, where it is


@dataclass(frozen=True)
class Face:
    """A part of the parameter space on which the parameters in `at` have known values.

    They are constants of `declaration`, which has the other parameters; `estimator` is its answer.
    """

    at: dict[Symbol, Expr]  # in sample operators and constants
    declaration: Declaration
    estimator: Estimator


@dataclass(frozen=True)
class Estimator:
    """closed[parameter] is an expression in sample operators, constants and remaining parameters.

    `remaining` holds the equations that are left; they name remaining parameters alone.
    `route` is "joint", "moments", "profile" (closed[phi] maximises l for every value of the
    remaining parameters) or "combination" (closed[phi] holds at every stationary point, no profile).

    Where the score does not decide: the maximum over all is the best of the maxima on `faces`; for a
    parameter in `searched` (whole numbers, or the points of a kink) it is the best over its values,
    `faces` holding the one problem in which it is a constant. `maximisers` are the sets of values that
    all attain the maximum (`closed` names one of each), `free` the parameters of a ridge that may take
    any value. Where the maximum is not attained `closed` is empty and `supremum` is the limit.
    """

    closed: dict[Symbol, Expr] = field(default_factory=BySymbol)
    remaining: tuple[Equation, ...] = ()
    points: tuple[StationaryPoint, ...] = ()
    conditions: tuple[Condition, ...] = ()
    kind: str = "numeric"
    route: str = "numeric"
    alternatives: tuple[dict[Symbol, Expr], ...] = ()  # further candidates, compared by value
    profile_certificate: Certificate | None = None  # closed[phi] is the conditional maximum
    notes: tuple[str, ...] = ()
    obstacle: str = ""  # why the likelihood equations do not decide the maximum, so that none is solved
    # parameters that move the edge of a support: the maximum may lie on it, or be approached there
    edges: tuple[Symbol, ...] = ()
    # new coordinates that remain, with their domains
    auxiliary: dict[Symbol, Set] = field(default_factory=dict)
    faces: tuple[Face, ...] = ()
    searched: tuple[Symbol, ...] = ()
    maximisers: dict[Symbol, Set] = field(default_factory=BySymbol)
    free: tuple[Symbol, ...] = ()
    supremum: dict[Symbol, Expr] = field(default_factory=BySymbol)
    unattained: str = ""  # why the supremum is not attained, and what would change that
    em: Labelled | Conditional | None = None  # the latent structure, with the M-step (kind "em")

    def as_sums(self) -> dict[Symbol, Expr]:
        """The closed part in plain SymPy: sums over an Indexed with index i = 1..n."""
        from symmle.sample import written_as_sums

        return BySymbol({p: written_as_sums(e) for p, e in self.closed.items()})


def parameters_of(equations: Iterable[Equation]) -> tuple[Symbol, ...]:
    """The parameters that equations are for, in order."""
    return tuple(e.parameter for e in equations)


def is_free_of(expression: Basic, symbols: Iterable[Symbol]) -> bool:
    return not (expression.free_symbols & set(symbols))
