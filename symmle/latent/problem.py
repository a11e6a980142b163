"""What EM needs of a model: the latent structure, the E-step's expectations, the M-step as a declaration.

The M-step is the engine's own answer to `m_step`: with the responsibilities as weights a Total over the
sample of branch j is sum_i w_i r_ij t(x_i), and its Count is sum_i w_i r_ij.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sympy import Expr, Symbol

from symmle.declare.declaration import Declaration
from symmle.serialise import register

if TYPE_CHECKING:
    from symmle.estimator import Estimator
    from symmle.record import Step


@dataclass(frozen=True)
class Unmatched:
    """No latent structure that EM is built for, and why."""

    reason: str


@register
@dataclass(frozen=True)
class Branch:
    """One value of the latent label: P(label) and the law of a row that has it.

    `columns` maps each column of the model (random and given ones) to its copy in this branch's sample
    of the M-step. A density free of parameters has no sample there: its rows say nothing. With a joint
    density f(x, z) the weight is what splits off without columns, and need not be a probability.
    """

    label: str  # "1", "2", ... or "z = 0"
    weight: Expr  # free of data columns
    density: Expr  # f(x; theta | label), 0 where the branch has no rows
    columns: dict[Symbol, Symbol]


@register
@dataclass(frozen=True)
class Block:
    """Parameters of the M-step that stand together, apart from all others, and the engine's answer."""

    declaration: Declaration
    estimator: Estimator
    steps: tuple[Step, ...] = ()


@register
@dataclass(frozen=True)
class Labelled:
    """A finite latent structure: f(x) = sum_j weight_j density_j.

    The samples of `m_step` are, in this order, the labels (columns `indicators`, density
    prod_j weight_j**d_j; left out where no weight names a parameter), then one for each branch whose
    density names a parameter, in its `columns`. The E-step puts r_ij in place of d_ij, and weighs the
    rows of branch j by r_ij.
    """

    branches: tuple[Branch, ...]
    indicators: tuple[Symbol, ...]
    observed: Declaration
    m_step: Declaration
    estimator: Estimator  # of m_step: closed / reduced / numeric, in sample operators over its samples
    unbounded: str = ""  # why the likelihood has no bound, with the path
    blocks: tuple[Block, ...] = ()  # m_step and estimator, by parameters that do not meet
    free_scales: tuple[Symbol, ...] = ()  # parameters that go to the edge of their domain on that path
    # that path: values in the columns of the one row, then the ends that parameters go to
    collapse: dict[Symbol, Expr] = field(default_factory=dict)


@register
@dataclass(frozen=True)
class Conditional:
    """A continuous latent variable z whose law given x is an exponential family.

    `expectations` maps a column e_k of the M-step to E[t_k(z) | x; theta], in the model's columns and
    parameters (those of the last iterate). The one sample of `m_step` has the model's columns and the e_k;
    its log density is the expected complete-data log density.
    """

    expectations: dict[Symbol, Expr]
    observed: Declaration
    m_step: Declaration
    estimator: Estimator
    statistics: dict[Symbol, Expr] = field(default_factory=dict)  # column e_k -> t_k(z)
    kernel: Expr | None = None  # log f(z | x; theta) without its constant
    blocks: tuple[Block, ...] = ()


__all__ = ["Block", "Branch", "Conditional", "Labelled", "Unmatched"]
