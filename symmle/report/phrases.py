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

# Theorems without a score: the sentence ends with what holds of the estimate.
WITHOUT_SCORE = {
    "unimodal: clipped at the closed end": (
        "The log-likelihood, the other parameters maximised out, has one turn, from rising to falling, so that the "
        "allowed value nearest to it is the maximum"
    ),
    "comparison of finitely many values": (
        "The largest of finitely many values that are each a maximum over the other parameters is the maximum over all"
    ),
    "concave piecewise linear log-likelihood: the subgradient contains 0 at the quantile": (
        "A concave function is largest where its subgradient contains zero, and that of a sum of bent lines does so at "
        "a quantile"
    ),
    "no maximum between neighbouring kinks: the log-likelihood is convex or monotone there": (
        "Between neighbouring kinks the log-likelihood is convex or monotone, so that it is largest at a kink"
    ),
    "concave log-likelihood: the subgradient contains 0 at the maximum": (
        "A concave function is largest where its subgradient contains zero"
    ),
    "largest of all constrained stationary points on a compact set": (
        "On a compact set the maximum is attained, at the largest of all the constrained stationary points"
    ),
    "monotone likelihood: the maximum is the edge of the allowed values": (
        "A likelihood that is monotone on the allowed values is largest at their edge"
    ),
    "constant likelihood: every allowed value is a maximum": (
        "A likelihood that is constant on the allowed values is largest at every one of them"
    ),
    "unimodal likelihood: the root of the score, or the nearest allowed value": (
        "A likelihood with one turn, from rising to falling, is largest there or at the nearest allowed value"
    ),
    "one sign change of the difference of neighbours": (
        "The difference of neighbouring values is positive up to one whole number and negative beyond it, so that the "
        "log-likelihood is largest there"
    ),
    "the score changes its sign once, from plus to minus": (
        "The score is positive before one root and negative after it, so that the log-likelihood is largest there"
    ),
    "the likelihood depends on identified functions alone": (
        "The likelihood depends on the parameters through the identified functions alone, and takes each of its values "
        "along a ridge"
    ),
    "signs of the score between its roots, compared by the log-likelihood": (
        "The signs of the score between its roots leave these maxima alone, and the larger value of the log-likelihood "
        "decides between them"
    ),
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
    "one complex solution": (
        "With their denominators cleared these are polynomial equations with a single complex solution, which is "
        "rational in the statistics."
    ),
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
    Relation.MARGINAL: "Summed over what was not observed,",
    Relation.EXPECTATION: "Given the data, the expectation is",
    Relation.SURROGATE: "The expected complete-data log-likelihood is",
    Relation.UPDATE: "It is largest at",
    Relation.ASCENT: "The log-likelihood does not fall.",
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


def sentences_without_score(theorem: str) -> list[str]:
    """The sentences for a theorem joined of several, where one of them needs no score; else none."""
    parts = theorem.split("; ")
    if not any(p in WITHOUT_SCORE for p in parts):
        return []
    return [s for s in (WITHOUT_SCORE.get(p) or theorem_sentence(p) for p in parts) if s]
