"""True steps of an EM derivation hold; a step that is wrong anywhere is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from sympy import Integer, Symbol

from symmle import Model, derive
from symmle.derivation import Derivation
from symmle.latent.problem import Labelled
from symmle.record import Step
from symmle.verification import Verifier

MODELS: dict[str, dict[str, Any]] = {
    "exponentials": {
        "data": {"x": "(0, oo)"},
        "parameters": {"w": "(0, 1)", "a": "positive", "b": "positive"},
        "components": [
            {"weight": "w", "density": "a*exp(-a*x)"},
            {"weight": "1 - w", "density": "b*exp(-b*x)"},
        ],
    },
    "linkage": {
        "data": {"x": "{0, 1, 2, 3}"},
        "latent": {"z": "{0, 1}"},
        "parameters": {"t": "(0, 1)"},
        "density": "Piecewise((1/2, Eq(x, 0) & Eq(z, 0)), (t/4, Eq(x, 0) & Eq(z, 1)), "
        "((1 - t)/4, (Eq(x, 1) | Eq(x, 2)) & Eq(z, 0)), (t/4, Eq(x, 3) & Eq(z, 0)), (0, True))",
    },
    "gamma rate": {
        "data": {"x": "(0, oo)"},
        "latent": {"z": "(0, oo)"},
        "parameters": {"b": "positive"},
        "density": "z*exp(-z*x)*b**2*z*exp(-b*z)",
    },
}


@cache
def derivation_of(name: str) -> Derivation:
    return derive(Model.from_dict(MODELS[name]))


def scaled(which: int, factor: Integer) -> Callable[[Step], Step]:
    def change(step: Step) -> Step:
        after = list(step.after)
        after[which] = factor * after[which]
        return replace(step, after=tuple(after))

    return change


def shifted(which: int) -> Callable[[Step], Step]:
    def change(step: Step) -> Step:
        after = list(step.after)
        after[which] = after[which] + Integer(1) / 10**6
        return replace(step, after=tuple(after))

    return change


def swapped(step: Step) -> Step:
    return replace(step, after=tuple(reversed(step.after)))


def without_pieces(step: Step) -> Step:
    """The declared density loses its latent structure: another model."""
    em = step.detail("em")
    assert isinstance(em, Labelled)
    first = replace(em.branches[0], weight=em.branches[0].weight / 2)
    changed = replace(em, branches=(first, *em.branches[1:]))
    return replace(step, details=tuple((k, changed if k == "em" else v) for k, v in step.details))


TAMPERED = [
    ("exponentials", "latent structure", scaled(0, Integer(2)), "latent structure"),
    ("exponentials", "E-step", swapped, "E-step"),
    ("exponentials", "E-step", shifted(0), "E-step"),
    ("exponentials", "Q", scaled(0, Integer(2)), "Q"),
    ("exponentials", "M-step", shifted(0), "M-step"),
    ("exponentials", "M-step", scaled(1, Integer(3)), "M-step"),
    ("exponentials", "latent structure", without_pieces, "E-step"),
    ("linkage", "latent structure", shifted(0), "latent structure"),
    ("linkage", "M-step", shifted(0), "M-step"),
    ("gamma rate", "latent structure", scaled(0, Integer(2)), "latent structure"),
    ("gamma rate", "E-step", shifted(0), "E-step"),
    ("gamma rate", "M-step", shifted(0), "M-step"),
]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_true_steps_hold(name: str) -> None:
    verification = derivation_of(name).verify()
    assert verification, str(verification)


@pytest.mark.parametrize("name, rule, change, found", TAMPERED)
def test_a_false_step_is_found(name: str, rule: str, change: Callable[[Step], Step], found: str) -> None:
    derivation = derivation_of(name)
    steps = [change(s) if s.rule == rule else s for s in derivation.steps]
    verification = Verifier(derivation.model.declaration, derivation.likelihood).verify(steps)
    assert found in {c.rule for c in verification.failures}, str(verification)


def test_a_step_that_lowers_the_likelihood_is_found() -> None:
    """An update that runs away: neither Q nor the log-likelihood rises."""
    derivation = derivation_of("exponentials")
    steps = [
        replace(s, after=tuple(100 * e if p != Symbol("w") else e for p, e in zip(s.subject, s.after, strict=True)))
        if s.rule == "M-step"
        else s
        for s in derivation.steps
    ]  # fmt: skip
    verification = Verifier(derivation.model.declaration, derivation.likelihood).verify(steps)
    assert {"M-step", "ascent"} <= {c.rule for c in verification.failures}
