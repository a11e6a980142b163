"""A plain declaration: what a model says, as SymPy objects, before anything is derived from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sympy import And, Expr, Piecewise, S, Set, Symbol


@dataclass(frozen=True)
class SamplePart:
    """One independent sample: its random columns, what it is conditioned on, and its density.

    `support` maps each random column to an Interval, Range or FiniteSet, whose bounds may name
    parameters, constants and conditioned columns. `given` are the covariates and lags that stand in
    this sample's table. A finite mixture has `components` of (weight, density) and their sum as
    `density`; with latent variables `density` is the joint one. `inside` are expressions in columns
    and parameters that are positive on the support: outside them the density is 0.
    """

    columns: tuple[Symbol, ...]
    support: dict[Symbol, Set]
    density: Expr
    given: tuple[Symbol, ...] = ()
    components: tuple[tuple[Expr, Expr], ...] = ()
    inside: tuple[Expr, ...] = ()

    @property
    def with_indicator(self) -> Expr:
        """The density with its zero outside `inside`."""
        if not self.inside:
            return self.density
        return Piecewise((self.density, And(*(e > 0 for e in self.inside))), (S.Zero, True))

    @property
    def all_columns(self) -> tuple[Symbol, ...]:
        """The columns that sample operators bind."""
        return self.columns + self.given


@dataclass(frozen=True)
class Declaration:
    """Samples, parameters with domains, constants, constraints: everything a model file can say.

    Symbols carry the assumptions that support and domain allow (a data symbol of [0, oo) is positive
    almost surely; of {0..oo}, a nonnegative integer). A constant without a value (None) gets it with
    the data.
    """

    samples: tuple[SamplePart, ...]
    parameters: dict[Symbol, Set]
    constants: dict[Symbol, Expr | None] = field(default_factory=dict)
    given_domains: dict[Symbol, Set] = field(default_factory=dict)
    lags: dict[Symbol, Symbol] = field(default_factory=dict)
    constraints: tuple[Expr, ...] = ()
    where: tuple[Expr, ...] = ()
    size: int | None = None
    latent: dict[Symbol, Set] = field(default_factory=dict)
    normalise_at: dict[Symbol, Expr] = field(default_factory=dict)
    normalises: bool | None = None
    name: str = ""
    constant_domains: dict[Symbol, Set] = field(default_factory=dict)  # of parameters that were held fixed

    @property
    def supports(self) -> dict[Symbol, Set]:
        """The support of every random column of every sample."""
        return {x: s for part in self.samples for x, s in part.support.items()}
