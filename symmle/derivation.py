"""The public face: derive, Derivation, fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sympy import Expr, Matrix, Pow, Rational, Symbol, Tuple, cancel, expand, sympify

from symmle.algebra import GaveUp, attempt_within
from symmle.declare.parser import parse_expression
from symmle.errors import ModelError, NotDerivedError
from symmle.estimator import Estimator, StationaryPoint
from symmle.likelihood import Likelihood, build_likelihood
from symmle.model import Model
from symmle.progress import FitState, progress_on_terminal
from symmle.record import Attempt, Relation, Step
from symmle.reduction import cut_domains, ends_of, hold_fixed
from symmle.score import ScoreSystem

if TYPE_CHECKING:
    from symmle.fitting.em_components import Components
    from symmle.information import Information
    from symmle.verification import Verification

TIME_LIMIT = 60.0


def derive(
    model: Model,
    fixed: Mapping[Any, Any] | Iterable[Any] | None = None,
    time_limit: float = TIME_LIMIT,
    progress: bool | None = None,
) -> Derivation:
    """theta-hat = argmax l(theta), derived: closed forms, remaining equations, proofs, and every step.

    Parameters
    ----------
    model : Model
    fixed : mapping or iterable of symbols or names, optional
        Parameters held fixed. A symbol with a value is a known number; a symbol alone (an iterable, or
        the value None) stays a symbol in the formula and gets its value with the data.
    time_limit : float
        Seconds. What did not fit in is left as remaining equations.
    progress : bool, optional
        Show on the terminal what is being tried; by default where one waits at a terminal.

    Returns
    -------
    Derivation

    Examples
    --------
    >>> from sympy import Symbol, exp
    >>> from symmle import Model, derive
    >>> x, lam = Symbol("x", positive=True), Symbol("lambda", positive=True)
    >>> derive(Model(lam*exp(-lam*x), data=x)).estimator.closed
    {lambda: 1/Mean(x)}
    """
    if not isinstance(model, Model):
        raise ModelError(
            f"derive expects a Model, got {type(model).__name__}. Declare one: Model(density, data=x)."
        )
    if not time_limit > 0:
        raise ModelError(f"time_limit is a positive number of seconds, got {time_limit}.")
    held = _held(model, fixed)
    if held:
        model = Model.from_declaration(hold_fixed(model.declaration, held), model.check)
    from symmle.engine import Run

    with progress_on_terminal(progress) as show:
        outcome = Run(model.declaration, time_limit, show).go()
    assert outcome.estimator is not None
    return Derivation(
        model,
        outcome.estimator,
        tuple(outcome.trace.steps),
        tuple(outcome.trace.attempts),
        outcome.likelihood,
    )


def _held(model: Model, fixed: Mapping[Any, Any] | Iterable[Any] | None) -> dict[Symbol, Expr | None]:
    if fixed is None:
        return {}
    if isinstance(fixed, str | Symbol):
        fixed = (fixed,)
    pairs = fixed.items() if isinstance(fixed, Mapping) else ((f, None) for f in fixed)
    held: dict[Symbol, Expr | None] = {}
    for key, value in pairs:
        symbol = model.symbol(key)
        if symbol not in model.parameters:
            raise ModelError(
                f"`{key}` is no parameter of {model.name or 'the model'}; "
                f"it has {', '.join(map(str, model.parameters))}."
            )
        if value is None or isinstance(value, Symbol):
            held[symbol] = None
        elif isinstance(value, float | str):
            held[symbol] = parse_expression(str(value), {}, f"the value of `{symbol}`")
        else:
            held[symbol] = sympify(value)
    return held


@dataclass(frozen=True)
class Invariant:
    """The MLE of g(theta): its expression and its asymptotic variance (None where it is not known)."""

    expression: Expr
    variance: Expr | None


class Derivation:
    """The estimator of a model and how it was derived.

    Attributes
    ----------
    model : Model
        With the parameters that were held fixed among its constants.
    estimator : Estimator
        `closed`, `remaining`, `points`, `conditions`, `kind`.
    steps : tuple of Step
    attempts : tuple of Attempt
        The ways that were tried, in order, and why those that did not solve were left.
    """

    def __init__(
        self,
        model: Model,
        estimator: Estimator,
        steps: tuple[Step, ...],
        attempts: tuple[Attempt, ...],
        likelihood: Likelihood | None = None,
    ):
        self.model = model
        self.estimator = estimator
        self.steps = steps
        self.attempts = attempts
        if likelihood is not None:
            self.__dict__["likelihood"] = likelihood

    # --- mathematics ----------------------------------------------------------------------------
    @cached_property
    def likelihood(self) -> Likelihood:
        """The log-likelihood in its normal form; all parameters, before constraints are solved."""
        return build_likelihood(self.model.declaration)

    @cached_property
    def score(self) -> ScoreSystem:
        """Score equations and Hessian in sample operators."""
        return ScoreSystem(self.likelihood)

    @cached_property
    def information(self) -> Information:
        """Observed information always; the expected one as a SymPy matrix, or None with the reason."""
        from symmle.information import find_information

        return find_information(self.likelihood, self.score)

    def mle_of(self, g: Any) -> Invariant:
        """g(theta-hat), by invariance, and its asymptotic variance grad g' I^-1 grad g.

        Parameters
        ----------
        g : Expr or str
            An expression in the parameters.
        """
        e = self._in_parameters(g)
        closed = self.estimator.closed
        if self.estimator.free:  # on a ridge what is identified has a value
            along = attempt_within(2.0, lambda: cancel(expand(e.xreplace(dict(closed)))))
            if not isinstance(along, GaveUp) and not along.free_symbols & set(self.model.parameters):
                return Invariant(along, None)
        if any(p not in closed for p in e.free_symbols & set(self.model.parameters)):
            missing = ", ".join(
                sorted(str(p) for p in e.free_symbols & set(self.model.parameters) if p not in closed)
            )
            raise NotDerivedError(
                f"{missing} has no closed form: the MLE of {e} is {e} at the numeric estimates.",
                tuple(q.expression for q in self.estimator.remaining),
            )
        put_in = dict(closed)
        return Invariant(e.xreplace(put_in), self._variance(e, put_in))

    def _variance(self, e: Expr, closed: dict[Symbol, Expr]) -> Expr | None:
        regular = self.estimator.kind in ("closed form", "reduced") and not self.estimator.free
        if self.model.declaration.constraints or not regular:
            return None
        covariance = self.information.asymptotic_covariance
        if covariance is None:
            return None
        gradient = Matrix([e.diff(p) for p in self.information.parameters])
        answer = attempt_within(
            3.0, lambda: (gradient.T * covariance * gradient)[0].factor().xreplace(closed)
        )
        return None if isinstance(answer, GaveUp) else answer

    def _in_parameters(self, g: Any) -> Expr:
        if isinstance(g, str):
            names = {str(s): s for s in (*self.model.parameters, *self.model.constants)}
            e = parse_expression(g, names, "the expression")
        else:
            e = sympify(g)
            e = e.xreplace({s: self.model.symbol(s) for s in e.free_symbols})
        unknown = e.free_symbols - set(self.model.parameters) - set(self.model.constants)
        if unknown:
            raise ModelError(
                f"{e} names {', '.join(map(str, unknown))}, which {'are' if len(unknown) > 1 else 'is'} no parameter."
            )
        return e

    def verify(self) -> Verification:
        """Check every step by what its relation claims, and every certificate again."""
        from symmle.verification import Verifier

        return Verifier(self.model.declaration, self.likelihood).verify(self.steps)

    def bounded(self, bounds: Mapping[Any, Any]) -> Derivation:
        """The derivation with domains of parameters cut to closed intervals: {name: (low, high)}, None for no end.

        Made once for the same bounds and kept.
        """
        ends = ends_of(self.model.parameters, bounds, self.model.name)
        kept = self.__dict__.setdefault("_bounded", {})
        key = tuple(sorted(ends.items(), key=str))
        if key not in kept:
            declaration = cut_domains(self.model.declaration, ends)
            kept[key] = derive(Model.from_declaration(declaration, self.model.check))
        found: Derivation = kept[key]
        return found

    def holding(self, values: Mapping[Symbol, Expr]) -> Derivation:
        """The derivation with parameters held at values; made once for the same values and kept."""
        kept = self.__dict__.setdefault("_holding", {})
        key = tuple(sorted(values.items(), key=str))
        if key not in kept:
            kept[key] = derive(self.model, values)
        found: Derivation = kept[key]
        return found

    def face(self, which: int) -> Derivation:
        """The derivation of the problem on one face of the parameter space, where some parameters are known."""
        faces = self.__dict__.setdefault("_faces", {})
        if which not in faces:
            face = self.estimator.faces[which]
            model = Model.from_declaration(face.declaration, self.model.check)
            faces[which] = Derivation(model, face.estimator, (), ())
        found: Derivation = faces[which]
        return found

    # --- numbers --------------------------------------------------------------------------------
    def estimate(
        self,
        data: Any = None,
        weights: Any = None,
        fixed: Mapping[Any, Any] | None = None,
        statistics: Mapping[Any, Any] | None = None,
    ) -> dict[str, float]:
        """The estimates by parameter name, from data or from the statistics of a textbook exercise.

        Parameters
        ----------
        data : array, Series, dict or table
            One column for each data symbol; a bare array where there is one.
        weights : array, optional
            Counts of the rows (fractions allowed).
        fixed : mapping, optional
            Values of parameters that were held fixed as symbols.
        statistics : mapping, optional
            Instead of data: {"n": 10, "mean(x)": 2.5, "total(x**2)": 80}.

        Examples
        --------
        >>> from sympy import Symbol, exp
        >>> from symmle import Model, derive
        >>> x, lam = Symbol("x", positive=True), Symbol("lambda", positive=True)
        >>> derive(Model(lam*exp(-lam*x), data=x)).estimate(statistics={"n": 4, "total(x)": 10})
        {'lambda': 0.4}
        """
        if statistics is not None:
            from symmle.textbook import estimate_from_statistics

            return estimate_from_statistics(self, statistics, fixed)
        from symmle.fitting.fit import estimate

        return estimate(self, data, fixed, weights)

    def stationary_points(
        self,
        data: Any = None,
        weights: Any = None,
        fixed: Mapping[Any, Any] | None = None,
        statistics: Mapping[Any, Any] | None = None,
    ) -> tuple[StationaryPoint, ...]:
        """The stationary points for the data that the derivation knows of, the best first.

        Each has `.values`, `.kind`, `.certificate` and `.log_likelihood`; the tuple has `.complete` (True where
        the list is proved complete, None where that is open), `.reason` and `.ml_degree` (the number of complex
        solutions of the likelihood equations for generic data, where they are rational in the parameters).
        Instead of data, `statistics` as in `estimate`.
        """
        if statistics is not None:
            from symmle.textbook import stationary_points_from_statistics

            return stationary_points_from_statistics(self, statistics, fixed)
        from symmle.fitting.points import stationary_points

        return stationary_points(self, data, weights, fixed)

    def compile(self, fixed: Mapping[Any, Any] | None = None) -> Any:
        """The compiled log-likelihood, score and Hessian, with `source()` to read them.

        Returns
        -------
        CompiledLikelihood
            `.on(data, weights)` gives `log_likelihood`, `score`, `hessian` and `derivatives` at any theta.
        """
        from symmle.fitting.compiled import CompiledLikelihood

        return CompiledLikelihood(self, fixed)

    # --- writing --------------------------------------------------------------------------------
    def latex(self) -> str:
        """The derivation in LaTeX, words between the formulas; needs amsmath."""
        from symmle.report.latex import write_latex

        return write_latex(self)

    def document(self) -> str:
        """A complete LaTeX document of the derivation."""
        from symmle.report.latex import document

        return document(self)

    def written_steps(self) -> tuple[Step, ...]:
        """The steps and, for the reader, information and invariance as further steps."""
        return (*self.steps, *self._information_steps())

    def _information_steps(self) -> list[Step]:
        estimator = self.estimator
        if estimator.kind not in ("closed form", "reduced") or self.model.declaration.constraints:
            return []
        if estimator.free or estimator.maximisers:  # the information is singular, or there is none
            return []
        information = self.information
        p = information.parameters
        # where the likelihood equations say observed = expected statistics, so do the two informations
        agree = information.route == "E[score] = 0" and information.expected is not None
        observed = information.expected if agree else information.observed
        found = [
            *self._invariance_steps(),
            Step("observed information", (), (observed,), Relation.DEFINITION, p),
        ]
        if information.expected is None:
            reason = (("reason", information.reason),)
            found.append(Step("expected information", (), (), Relation.DEFINITION, p, details=reason))
            return found
        route = (("route", information.route),)
        found.append(
            Step("expected information", (), (information.expected,), Relation.DEFINITION, p, details=route)
        )
        covariance = information.asymptotic_covariance
        if covariance is not None:
            found.append(Step("asymptotic covariance", (), (covariance,), Relation.DEFINITION, p))
        return found

    def _invariance_steps(self) -> list[Step]:
        """Usual functions of closed estimates: squares of roots, reciprocals of rates, odds."""
        pairs = []
        for p, e in self.estimator.closed.items():
            domain = self.model.domain_of(p)
            if isinstance(e, Pow) and e.exp == Rational(1, 2):
                pairs.append(Tuple(p**2, e.base))
            elif isinstance(e, Pow) and e.exp == -1:
                pairs.append(Tuple(1 / p, e.base))
            elif domain.start == 0 and domain.end == 1 and e.count_ops() < 12:
                pairs.append(Tuple(p / (1 - p), cancel(e / (1 - e))))
        if not pairs:
            return []
        return [Step("invariance", (), (), Relation.DEFINITION, details=(("pairs", tuple(pairs)),))]

    def __repr__(self) -> str:
        name = self.model.name or "model"
        closed = ", ".join(f"{p} = {e}" for p, e in self.estimator.closed.items())
        left = f"; {len(self.estimator.remaining)} equations remain" if self.estimator.remaining else ""
        return f"Derivation({name}: {self.estimator.kind}{': ' + closed if closed else ''}{left})"

    def __str__(self) -> str:
        from symmle.report.terminal import write_terminal

        return write_terminal(self)

    def _repr_latex_(self) -> str:
        from symmle.report.html import mimebundle

        return mimebundle(self)["text/latex"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from symmle.report.html import mimebundle

        return mimebundle(self)

    # --- storing --------------------------------------------------------------------------------
    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data from which `from_dict` restores an equal derivation."""
        from symmle.serialise import record_to_dict

        return {
            "format": "symmle derivation 1",
            "declaration": record_to_dict(self.model.declaration),
            "estimator": record_to_dict(self.estimator),
            "steps": [record_to_dict(s) for s in self.steps],
            "attempts": [record_to_dict(a) for a in self.attempts],
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Derivation:
        """The derivation that `to_dict` stored; nothing in it is evaluated."""
        from symmle.serialise import record_from_dict

        if table.get("format") != "symmle derivation 1":
            raise ModelError(f"Expected the format 'symmle derivation 1', got {table.get('format')!r}.")
        return cls(
            Model.from_declaration(record_from_dict(table["declaration"])),
            record_from_dict(table["estimator"]),
            tuple(record_from_dict(s) for s in table["steps"]),
            tuple(record_from_dict(a) for a in table["attempts"]),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Derivation):
            return NotImplemented
        return (
            self.model == other.model
            and self.estimator == other.estimator
            and self.steps == other.steps
            and self.attempts == other.attempts
        )

    def __hash__(self) -> int:
        return hash((self.model, self.estimator.kind, len(self.steps)))

    def __getstate__(self) -> dict[str, Any]:
        return {k: self.__dict__[k] for k in ("model", "estimator", "steps", "attempts")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def fit(
    model: Model | Derivation,
    data: Any,
    weights: Any = None,
    fixed: Mapping[Any, Any] | None = None,
    start: Mapping[Any, float] | None = None,
    method: str = "auto",
    by: Any = None,
    seed: int | None = None,
    threads: int | None = None,
    missing: str = "error",
    bounds: Mapping[Any, Any] | None = None,
    callback: Callable[[FitState], Any] | None = None,
    progress: bool | None = None,
    init: str | None = None,
    restarts: int | None = None,
    assignment: str = "soft",
    labels: Any = None,
    accelerate: bool = True,
) -> Any:
    """Maximum-likelihood fit of a model, or of its derivation, to data.

    Parameters
    ----------
    model : Model or Derivation
        A Model is derived first; derive once and pass the Derivation to fit often.
    data : array, Series, dict or table
    weights : array, optional
        Counts of the rows: l = sum w_i l_i.
    fixed : mapping, optional
        Parameters held at given values.
    start, method, by, seed, threads
        See `symmle.fitting.fit.fit_derivation`.
    missing : str
        "error": a NaN or None is refused, its row named; "drop": such rows are left out and counted in
        `result.dropped`.
    bounds : mapping, optional
        {name: (low, high)}, None for no end: the domain of a parameter is cut to this closed interval, and the
        derivation is made for that. A maximum at a bound has `boundary` True.
    callback : callable, optional
        Called with a `FitState` (stage, iteration, parameters, log_likelihood) after each iteration of a numeric
        fit. StopIteration ends the fit: NotConvergedError has the last point in `.result`.
    progress : bool, optional
        Show on the terminal how a long fit goes; by default where one waits at a terminal.
    init, restarts, assignment, labels, accelerate
        Of EM; see `symmle.fitting.fit.fit_derivation`.

    Returns
    -------
    FitResult, or a dict of them by group

    Examples
    --------
    >>> from sympy import Symbol, exp
    >>> from symmle import Model, fit
    >>> x, lam = Symbol("x", positive=True), Symbol("lambda", positive=True)
    >>> round(fit(Model(lam*exp(-lam*x), data=x), [1, 2, 3]).estimates["lambda"], 12)
    0.5
    """
    from symmle.fitting.fit import fit_derivation

    if not isinstance(model, Derivation):
        model, fixed = derive(model, fixed, progress=progress), None
    options: dict[str, Any] = dict(missing=missing, bounds=bounds, callback=callback, progress=progress)
    options |= dict(init=init, restarts=restarts, assignment=assignment, labels=labels, accelerate=accelerate)
    return fit_derivation(model, data, weights, fixed, start, method, by, seed, threads, **options)


def components(law: Model, data: Any, most: int = 5, **options: Any) -> Components:
    """The fits of a law and of its mixtures of 2, ..., `most` components, by AIC, BIC and ICL.

    Parameters
    ----------
    law : Model
        The law of one component; `law.mixture(k)` is fitted.
    data : array, Series, dict or table
    most : int
        The largest number of components.
    **options
        Those of `fit`: weights, init, restarts, ...

    Returns
    -------
    Components
        A mapping from the number of components to the fit, with `best(criterion)`, `table()`, and `refused` for
        numbers that have no maximum.
    """
    from symmle.fitting.em_components import fit_components

    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ModelError(f"Expected a largest number of components from 1, got {most!r}.")
    return fit_components(law, data, most, fit, derive, **options)
