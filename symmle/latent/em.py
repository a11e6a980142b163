"""A declaration with something unobserved -> its latent structure with the E-step and the solved M-step."""

from __future__ import annotations

from symmle.algebra import GaveUp, attempt_within
from symmle.declare.declaration import Declaration
from symmle.latent.conditional import match_latent
from symmle.latent.mstep import Solve, labelled_m_step, one_label_a_row, solve_alike, split_blocks, together
from symmle.latent.problem import Branch, Conditional, Labelled, Unmatched
from symmle.latent.structure import is_finite_latent, observed_declaration, read_branches
from symmle.latent.unbounded import find_spike


def is_latent(declaration: Declaration) -> bool:
    """Whether the declaration says that something was not observed."""
    return bool(declaration.latent) or any(part.components for part in declaration.samples)


def find_em(declaration: Declaration, solve: Solve) -> Labelled | Conditional | Unmatched:
    """E-step and M-step of a declared latent structure; `solve` is the engine on a smaller declaration."""
    if declaration.latent and not is_finite_latent(declaration):
        return _conditional(declaration, solve)
    branches = read_branches(declaration)
    if isinstance(branches, Unmatched):
        return branches
    return labelled(declaration, branches, solve)


def labelled(declaration: Declaration, branches: tuple[Branch, ...], solve: Solve) -> Labelled:
    """The EM of these branches."""
    m_step, indicators = labelled_m_step(declaration, branches)
    solved = solve_alike(split_blocks(m_step), solve)
    blocks = tuple(one_label_a_row(b, indicators) for b in solved)
    spike = attempt_within(6.0, find_spike, declaration, branches)
    known = spike is not None and not isinstance(spike, GaveUp)
    return Labelled(
        branches,
        indicators,
        observed_declaration(declaration, branches),
        m_step,
        together(m_step, blocks),
        spike.text if known else "",
        blocks,
        spike.scales if known else (),
        {**dict(spike.path), spike.q: spike.end} if known else {},
    )


def _conditional(declaration: Declaration, solve: Solve) -> Conditional | Unmatched:
    found = attempt_within(15.0, match_latent, declaration)
    if isinstance(found, GaveUp):
        return Unmatched(f"the law of the latent variable given the data: {found.reason}")
    if isinstance(found, Unmatched):
        return found
    blocks = tuple(solve(d) for d in split_blocks(found.m_step))
    return Conditional(
        found.expectations,
        found.observed,
        found.m_step,
        together(found.m_step, blocks),
        found.statistics,
        found.kernel,
        blocks,
    )


__all__ = ["find_em", "is_latent", "labelled"]
