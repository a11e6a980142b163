"""A statistical model: densities of one or more samples with shared parameters, checked when built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sympy import Expr, FiniteSet, S, Set, Symbol, latex

from symmle.declare.build import build
from symmle.declare.declaration import Declaration, SamplePart
from symmle.declare.domains import set_of_assumptions, written_set
from symmle.declare.merging import Merged, as_dict, join, made_weights, merged_components
from symmle.declare.normalisation import NormalisationCheck, check_normalisation
from symmle.declare.random import declaration_from_random
from symmle.declare.symbols import is_random
from symmle.declare.table import declaration_from_dict, read_table
from symmle.declare.words import nearest, shown
from symmle.errors import ModelError

__all__ = ["Mixture", "Model", "NormalisationCheck"]


class Model:
    """f(x; theta) with data, parameters, supports and domains.

    Parameters
    ----------
    density : Expr, or random variable of sympy.stats
        The density or mass function of one observation. Its free symbols that are nothing else are
        parameters. A `sympy.stats` random variable brings its own support.
    data : Symbol, tuple of Symbol, or dict of Symbol to Set
        The columns. A bare symbol has the support that its assumptions mean (``positive=True``: (0, oo));
        a set may name parameters, as ``{x: Interval(0, theta)}``.
    parameters : dict of Symbol to Set, optional
        Domains of parameters; the others follow from assumptions (the real line for a plain symbol, (0, 1)
        for a symbol that is only a mixture weight).
    constants : dict of Symbol to number, optional
        Known numbers; None for those that come with the data.
    covariates, lags, latent
        Columns that are conditioned on; ``{x_prev: x}``; unobserved variables with their supports.
    constraints, where : tuple of Expr
        Expressions in the parameters that are zero; that are positive.
    size : int, optional
        The sample size, where the answer is for that size only.
    samples : sequence of dict or Model, optional
        Several independent samples, instead of `density` and `data`.
    components : sequence of (weight, density), optional
        A finite mixture, instead of `density`.
    normalise_at : dict, optional
        A point of the parameter space at which the density is integrated as well.
    normalises : bool, optional
        False leaves the integration out.

    Attributes
    ----------
    declaration : Declaration
    check : NormalisationCheck

    Raises
    ------
    ModelError
        On unknown symbols, clashing names, empty sets, and for a density that does not integrate to 1, is
        negative, or is not real at a point of the parameter space, which is named.

    Examples
    --------
    >>> from sympy import Symbol, exp
    >>> x, rate = Symbol("x", positive=True), Symbol("lambda", positive=True)
    >>> Model(rate*exp(-rate*x), data=x).check.value
    'normalises'
    """

    declaration: Declaration
    check: NormalisationCheck

    def __init__(
        self,
        density: Any = None,
        data: Any = None,
        parameters: Any = None,
        constants: Any = None,
        covariates: Any = (),
        lags: Any = None,
        constraints: Any = (),
        where: Any = (),
        size: int | None = None,
        name: str = "",
        samples: Any = None,
        latent: Any = None,
        components: Any = None,
        normalise_at: Any = None,
        normalises: bool | None = None,
    ):
        rest: dict[str, Any] = {
            "constants": constants,
            "covariates": covariates,
            "lags": lags,
            "constraints": constraints,
            "where": where,
            "size": size,
            "name": name,
            "latent": latent,
            "normalise_at": normalise_at,
            "normalises": normalises,
        }
        if is_random(density):
            self._settle(declaration_from_random(density, data, parameters=parameters, **rest))
            return
        if samples is not None:
            samples, inherited = _samples_of(samples)
            parameters = {**inherited.parameters, **as_dict(parameters)} or None
            rest["constants"] = {**inherited.constants, **as_dict(constants)} or None
        self._settle(
            build(density, data=data, parameters=parameters, samples=samples, components=components, **rest)
        )

    def _settle(self, declaration: Declaration, check: NormalisationCheck | None = None) -> None:
        self.declaration = declaration
        self.check = check_normalisation(declaration) if check is None else check

    # -- other ways to declare -----------------------------------------------------------------

    @classmethod
    def from_declaration(cls, declaration: Declaration, check: NormalisationCheck | None = None) -> Model:
        """The model of a Declaration; a given `check` is taken over instead of a new one."""
        model = Model.__new__(Model)
        model._settle(declaration, check)
        return model

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Model:
        """The model of a table with the keys data, parameters, density, ...; strings are parsed safely.

        Examples
        --------
        >>> Model.from_dict({"data": {"x": "[0, oo)"}, "parameters": {"lam": "positive"},
        ...                  "density": "lam*exp(-lam*x)"}).parameters
        {lam: Interval.open(0, oo)}
        """
        return cls.from_declaration(declaration_from_dict(table))

    @classmethod
    def from_toml(cls, path: str | Path) -> Model:
        """The model of a TOML file with these keys at the top or under ``[model]``."""
        table = dict(read_table(path))
        table.setdefault("name", Path(path).stem)
        return cls.from_dict(table)

    @classmethod
    def from_random(cls, variable: Any, data: Any = None, **arguments: Any) -> Model:
        """The model of a `sympy.stats` random variable; its free symbols are the parameters.

        Examples
        --------
        >>> from sympy import Symbol
        >>> from sympy.stats import Bernoulli
        >>> Model.from_random(Bernoulli("x", Symbol("p", positive=True))).density
        p**x*(1 - p)**(1 - x)
        """
        return cls.from_declaration(declaration_from_random(variable, data, **arguments))

    def mixture(self, k: int, name: str = "") -> Mixture:
        """k copies of this law, with parameters theta_1 ... theta_k and weights that sum to 1."""
        if isinstance(k, bool) or not isinstance(k, int) or k < 2:
            raise ModelError(f"Expected a number of components from 2, got {shown(repr(k))}. Pass 2 or more.")
        part = self._single()
        taken = {s.name for s in self._symbols()}
        parameters: dict[Symbol, Set] = {}
        densities = []
        for j in range(1, k + 1):
            swap = {p: Symbol(f"{p.name}_{j}", **p.assumptions0) for p in self.parameters}
            clash = [s.name for s in swap.values() if s.name in taken]
            if clash:
                raise ModelError(
                    f"Expected room for the name `{clash[0]}`, which is taken. Rename that symbol."
                )
            parameters.update({swap[p]: d.xreplace(swap) for p, d in self.parameters.items()})
            densities.append(part.with_indicator.xreplace(swap))
        return Mixture(
            densities,
            data=part.support,
            parameters=parameters,
            constants=self.constants,
            covariates={z: self.declaration.given_domains.get(z) for z in part.given},
            name=name,
        )

    # -- what it says --------------------------------------------------------------------------

    @property
    def samples(self) -> tuple[SamplePart, ...]:
        """The independent samples."""
        return self.declaration.samples

    @property
    def parameters(self) -> dict[Symbol, Set]:
        """The parameters with their domains."""
        return self.declaration.parameters

    @property
    def constants(self) -> dict[Symbol, Expr | None]:
        """The constants with their values; None where they come with the data."""
        return self.declaration.constants

    @property
    def data(self) -> dict[Symbol, Set]:
        """The random columns of all samples with their supports."""
        return self.declaration.supports

    @property
    def name(self) -> str:
        """The name, "" if none was given."""
        return self.declaration.name

    @property
    def density(self) -> Expr:
        """The density of the only sample (joint with latent variables, summed over components)."""
        return self._single().with_indicator

    def symbol(self, name: str | Symbol) -> Symbol:
        """The declared symbol of this name."""
        text = name.name if isinstance(name, Symbol) else name
        by_name = {s.name: s for s in self._symbols()}
        if text not in by_name:
            raise ModelError(
                f"Expected a symbol of model '{self.name}', got "
                f"`{shown(text)}`{nearest(str(text), list(by_name)) or '.'} "
                f"It has {', '.join(by_name)}."
            )
        return by_name[text]

    def domain_of(self, symbol: str | Symbol) -> Set:
        """The domain of a parameter, the support of a column, {value} of a constant."""
        known = self.symbol(symbol)
        d = self.declaration
        for table in (d.parameters, d.supports, d.latent, d.given_domains):
            if known in table:
                return table[known]
        value = d.constants.get(known)
        return FiniteSet(value) if value is not None else set_of_assumptions(known, f"`{known}`")

    def _symbols(self) -> list[Symbol]:
        d = self.declaration
        given = [z for part in d.samples for z in part.given]
        return list(
            dict.fromkeys([*d.supports, *d.latent, *given, *d.given_domains, *d.parameters, *d.constants])
        )

    def _single(self) -> SamplePart:
        if len(self.samples) != 1:
            raise ModelError(f"Expected a model of one sample, got {len(self.samples)}. Use model.samples.")
        return self.samples[0]

    def _single_declaration(self) -> Declaration:
        self._single()
        return self.declaration

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.declaration == other.declaration

    def __hash__(self) -> int:
        return hash((self.name, tuple(part.density for part in self.samples), tuple(self.parameters)))

    def __repr__(self) -> str:
        names = ", ".join(map(str, self.parameters))
        sets = [f"{x} in {written_set(s)}" for x, s in {**self.data, **self.declaration.latent}.items()]
        domains = [f"{p} in {written_set(d)}" for p, d in self.parameters.items()]
        densities = "; ".join(
            f"f({', '.join(map(str, p.columns))}; {names}) = {p.density}" for p in self.samples
        )
        return f"Model({repr(self.name) + ': ' if self.name else ''}{densities}, {', '.join(sets + domains)})"

    def _repr_latex_(self) -> str:
        names = ", ".join(latex(p) for p in self.parameters)
        lines = []
        for part in self.samples:
            columns = ", ".join(latex(x) for x in part.columns)
            given = " \\mid " + ", ".join(latex(z) for z in part.given) if part.given else ""
            sets = ", ".join(f"{latex(x)} \\in {latex(s)}" for x, s in part.support.items())
            lines.append(f"f({columns}{given}; {names}) = {latex(part.density)}, \\quad {sets}")
        return "$\\displaystyle " + " \\\\ ".join(lines) + "$"


class Mixture(Model):
    """sum_j w_j f_j(x; theta): a finite mixture.

    Parameters
    ----------
    components : sequence of Model or Expr
        Models of one sample over the same columns; parameters of the same name are shared. Plain
        densities need `data`.
    weights : sequence of Expr, optional
        The weights, which sum to 1; made up (w, or w_1 ... w_{k-1}) when left out.
    **arguments
        Those of Model: data, parameters, constants, covariates, where, name, ...

    Examples
    --------
    >>> from sympy import Symbol, exp
    >>> x, a, w = Symbol("x", positive=True), Symbol("a", positive=True), Symbol("w")
    >>> law = Model(a*exp(-a*x), data=x)
    >>> list(law.mixture(2).parameters)
    [a_1, a_2, w]
    """

    def __init__(self, components: Sequence[Any], weights: Sequence[Any] | None = None, **arguments: Any):
        members = list(components)
        if len(members) < 2:
            raise ModelError(f"Expected at least two components of a mixture, got {len(members)}. Add one.")
        merged = merged_components([m._single_declaration() for m in members if isinstance(m, Model)])
        parameters = {**merged.parameters, **as_dict(arguments.pop("parameters", None))}
        constants = {**merged.constants, **as_dict(arguments.pop("constants", None))}
        data = arguments.pop("data", None) or merged.data
        covariates = arguments.pop("covariates", None) or merged.given
        densities = [m._single().with_indicator if isinstance(m, Model) else m for m in members]
        where = list(arguments.pop("where", None) or ())
        if weights is None:
            weights, more, cut = made_weights(len(members), densities)
            parameters.update(more)
            where += cut
        weights = list(weights)
        if len(weights) == len(members) - 1:
            weights.append(S.One - sum(weights, S.Zero))
        if len(weights) != len(members):
            raise ModelError(
                f"Expected {len(members)} weights for {len(members)} components, got {len(weights)}. "
                "Pass one each."
            )
        super().__init__(
            components=list(zip(weights, densities, strict=True)),
            data=data,
            parameters=parameters or None,
            constants=constants or None,
            covariates=covariates,
            where=where,
            **arguments,
        )


def _samples_of(samples: Any) -> tuple[list[Any], Merged]:
    """Models among the samples give their parts, and their parameters and constants to share."""
    merged = Merged()
    parts: list[Any] = []
    for sample in samples:
        if isinstance(sample, Model):
            join(merged.parameters, sample.parameters, "parameter")
            join(merged.constants, sample.constants, "constant")
            parts += sample.samples
        else:
            parts.append(sample)
    return parts, merged
