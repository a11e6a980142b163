"""The words of a derivation, by the ids that records carry."""

from __future__ import annotations

from collections.abc import Iterable

from symmle.record import Relation

# {all}: the columns with their index; {first}, {second}: the expressions that a condition names.
READINGS = {
    "not all equal": "the {all} are not all equal",
    "not all at the edge": "the {first} are not all equal to {second}",
    "both occur": "both values occur among the {all}",
    "all occur": "every value occurs among the {all}",
    "not on a line": "the points {point} do not all lie on one line",
    "not proportional": "the columns {all} are not proportional to each other",
    "not all zero": "the {all} are not all zero",
    "at least two": "there are at least two observations",
    "in the domain": "the value for {first} lies in its domain, {formula}",
    "defined": "the formula is defined, {formula}",
    "in the parameter space": "the values lie in the parameter space, {formula}",
}

THEOREMS = {
    "full exponential family": (
        "For a full exponential family the log-likelihood is strictly concave in the natural parameters"
    ),
    "exponential family": (
        "In a full exponential family the log-likelihood is strictly concave in the natural parameters"
    ),
    "concavity by composition": (
        "The log-likelihood is concave in suitable coordinates of the parameter space"
    ),
    "curvature": "The log-likelihood is concave in suitable coordinates of the parameter space",
    "sign of the score on both sides of a unique root": (
        "The score has a single root and is positive before it and negative after it"
    ),
    "unique root": (
        "The likelihood equation has a single root, and the log-likelihood stays below its value "
        "there towards "
        "every edge of the parameter space"
    ),
    "complete list": (
        "The list of stationary points is complete, and the log-likelihood stays below its best "
        "value among them "
        "towards every edge of the parameter space"
    ),
    "negative definite hessian": "The matrix of second derivatives is negative definite there",
}

KINDS = {
    "global maximum": "a global maximum",
    "local maximum": "a local maximum; that it is the global one is not proved",
    "saddle point": "a saddle point",
    "local minimum": "a local minimum",
    "undecided": "a stationary point whose kind is not decided",
}

SCOPES = {
    "every sample": "for every sample that meets the conditions",
    "the data at hand": "for the data at hand",
}

METHODS = {
    "Lambert W": (
        "The unknown stands inside and outside an exponential: Lambert's function solves the equation."
    ),
    "amplitude and phase": "A sum of a sine and a cosine is one sine with an amplitude and a phase.",
    "cubic": "The equation is cubic in the unknown.",
    "quartic": "The equation is of the fourth degree in the unknown.",
    "polynomial": "The equation is a polynomial in the unknown.",
}

# Why the score is not used; {names} are the parameters concerned.
NO_SCORE = {
    "moving support": (
        "The range of the observations depends on {names}: where an observation leaves it the likelihood drops to "
        "zero, so that the maximum may sit on the edge of the allowed values, where the score need not vanish. The "
        "score is therefore not used for {names}. For the same reason differentiation under the integral fails at "
        "the edge, and with it the root-n asymptotic normality that rests on the score."
    ),
    "kinks": (
        "The log-likelihood has kinks: it is not differentiable in {names} where {names} meets an observation, and "
        "the maximum sits at such a point. The score has no root there in general and is not used for {names}; its "
        "derivative does not give the information."
    ),
    "whole numbers": (
        "As {names} takes whole numbers only, there is no derivative and no score: neighbouring values are compared. "
        "The usual asymptotic normality does not apply."
    ),
    "finite space": (
        "As {names} takes finitely many values only, there is no score: the likelihood is compared at each of them."
    ),
    "closed edge": (
        "The range of {names} is closed: the maximum may sit on its edge, where the score need not vanish and the "
        "estimate is not asymptotically normal. A root of the score alone does not decide."
    ),
    "constraint": (
        "The parameters {names} are bound by an equation: at the maximum the score need not vanish, only its part "
        "along the constraint does."
    ),
    "ridge": ("The likelihood equations do not determine {names}: the score vanishes along a whole curve."),
}

RELATIONS = {
    Relation.DEFINITION: "We write",
    Relation.EQUAL: "This equals",
    Relation.LOGARITHM: "Taking logarithms,",
    Relation.DERIVATIVE: "Differentiating,",
    Relation.ROOTS: "The roots are",
    Relation.PROFILE: "With the other parameters held fixed, the log-likelihood is largest at",
    Relation.EQUIVALENT: "This holds exactly where",
    Relation.IMPLIED: "It follows that",
    Relation.THEOREM: "By a theorem,",
    Relation.ALLOWED: "This holds for every observation exactly where",
    Relation.SIGN: "The sign is",
    Relation.MAXIMUM: "The log-likelihood is largest at",
}

LEAST_ROUTES = {
    "combination": (
        "These hold at every stationary point, as they follow from a combination of the score equations; "
        "they are not conditional maxima."
    ),
}


def joined(parts: Iterable[str], last: str = " and ") -> str:
    """a, b and c."""
    listed = list(parts)
    if len(listed) < 2:
        return "".join(listed)
    return ", ".join(listed[:-1]) + last + listed[-1]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def method_sentence(method: str) -> str:
    """The words for what is worth saying of how an equation was solved; a method may name several."""
    return " ".join(words for name, words in METHODS.items() if name in method)


def theorem_sentence(theorem: str) -> str | None:
    """The words for a theorem, looked up by its name in any case; None for one that is not known here."""
    return THEOREMS.get(theorem.strip().lower().replace("-", " "))
