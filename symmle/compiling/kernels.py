"""lambdify for rows (NumPy) and for scalars (mpmath), after rewriting what loses digits in doubles."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from sympy import (
    Abs,
    Add,
    And,
    Basic,
    Derivative,
    DiracDelta,
    Expr,
    Function,
    LambertW,
    Mul,
    Or,
    Piecewise,
    Pow,
    S,
    Subs,
    Symbol,
    besseli,
    besselk,
    beta,
    binomial,
    cosh,
    digamma,
    erf,
    erfc,
    exp,
    expand_mul,
    factor,
    factorial,
    gamma,
    lambdify,
    log,
    loggamma,
    meijerg,
    polygamma,
    powsimp,
    sqrt,
    trigamma,
    uppergamma,
)
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.numpy import SciPyPrinter

from symmle.algebra import GaveUp, attempt_within
from symmle.algebra.decisions import decided, scalar_decisions, times_, without_poles
from symmle.algebra.series import add_up_in, with_series
from symmle.compiling.derivatives import CONTEXT as CONTEXT
from symmle.compiling.derivatives import LOCK as LOCK
from symmle.compiling.derivatives import derivative_of_special, row_derivatives, scalar_derivatives
from symmle.compiling.incomplete import by_log_upper, log_upper_
from symmle.compiling.incomplete import rows as log_upper_of_rows
from symmle.compiling.incomplete import scalar as log_upper_of_scalars
from symmle.compiling.series import add_up_in_doubles
from symmle.errors import NotDerivedError

log1p_, expm1_, log1mexp_, softplus_ = (
    Function(f"symmle_{n}") for n in ("log1p", "expm1", "log1mexp", "softplus")
)
ive_, kve_, logndtr_ = (Function(f"symmle_{n}") for n in ("ive", "kve", "logndtr"))
lambertw_, logcosh_, polygamma_ = (Function(f"symmle_{n}") for n in ("lambertw", "logcosh", "polygamma"))


UNDEFINED = Function("symmle_undefined")(0)


def open_special_logs(expression: Expr) -> Expr:
    """Logs of gamma, beta, factorial and binomial as log-gammas: their arguments overflow."""

    def opened(argument: Expr) -> Expr:
        rest, total = [], S.Zero
        for part in Mul.make_args(argument):
            base, power = part.as_base_exp()
            if isinstance(base, gamma):
                total += power * loggamma(base.args[0])
            elif isinstance(base, factorial):
                total += power * loggamma(base.args[0] + 1)
            elif isinstance(base, binomial):
                n, k = base.args
                total += power * (loggamma(n + 1) - loggamma(k + 1) - loggamma(n - k + 1))
            elif isinstance(base, beta):
                a, b = base.args[0], base.args[1]
                total += power * (loggamma(a) + loggamma(b) - loggamma(a + b))
            else:
                rest.append(part)
        return total + log(Mul(*rest)) if rest else total

    expression = without_poles(expression, UNDEFINED)  # branches that no row takes
    expression = expression.replace(lambda e: isinstance(e, log), lambda e: opened(e.args[0]))
    return expression.replace(DiracDelta, lambda *a: S.Zero)


def _stable_add(expression: Add) -> Expr:
    """exp(y) - 1 as expm1(y), also with a common factor of both signs."""
    if len(expression.args) != 2:
        return expression
    one, other = expression.args
    sign, inner = other.as_coeff_Mul()
    if one.is_Rational and abs(sign) == one and isinstance(inner, erf):  # 1 +- erf(z) = 2 Phi(+-sqrt(2) z)
        return 2 * one * exp(logndtr_(sqrt(2) * sign / one * inner.args[0]))  # type: ignore[no-any-return]
    if one not in (S.One, S.NegativeOne):
        return expression
    sign, power = (S.NegativeOne, -other) if one is S.One else (S.One, other)
    if isinstance(power, exp):
        return sign * expm1_(power.args[0])  # type: ignore[no-any-return]
    if isinstance(power, Pow) and power.base.is_positive and not power.exp.is_Integer:
        return sign * expm1_(power.exp * log(power.base))  # type: ignore[no-any-return]
    return expression


def _stable_log(argument: Expr) -> Expr:
    if isinstance(argument, Mul):
        for factor in argument.args:
            base, _ = factor.as_base_exp()
            if isinstance(base, (besseli, besselk)):
                return _stable_log(factor) + _stable_log(argument / factor)
            if isinstance(base, exp) and base.args[0].func == log_upper_:
                return factor.args[0] + _stable_log(argument / factor)
    if isinstance(argument, exp) and argument.has(log_upper_):
        return argument.args[0]  # type: ignore[no-any-return]
    base, power = argument.as_base_exp()
    if isinstance(base, besseli):
        return power * (log(ive_(*base.args)) + Abs(base.args[1]))  # type: ignore[no-any-return]
    if isinstance(base, besselk):
        return power * (log(kve_(*base.args)) - base.args[1])  # type: ignore[no-any-return]
    if isinstance(argument, cosh):
        return logcosh_(argument.args[0])  # type: ignore[no-any-return]
    if isinstance(argument, exp) and argument.args[0].func == logndtr_:
        return argument.args[0]  # type: ignore[no-any-return]
    if isinstance(argument, Mul) and len(argument.args) == 2 and argument.args[0].is_positive:
        if argument.args[0].is_number and isinstance(argument.args[1], exp) and argument.has(logndtr_):
            return log(argument.args[0]) + _stable_log(argument.args[1])  # type: ignore[no-any-return]
    if isinstance(argument, erfc):
        return log(2) + logndtr_(-sqrt(2) * argument.args[0])  # type: ignore[no-any-return]
    if isinstance(argument, Mul) and argument.args[0] is S.NegativeOne and len(argument.args) == 2:
        inner = argument.args[1]
        if inner.func == expm1_:
            return log1mexp_(inner.args[0])  # type: ignore[no-any-return]
    if argument.func == expm1_:  # log(exp(y) - 1) = y + log(1 - exp(-y))
        return argument.args[0] + log1mexp_(-argument.args[0])  # type: ignore[no-any-return]
    if isinstance(argument, Add) and argument.args[0] == 2 and isinstance(2 - argument, erfc):
        return log(2) + logndtr_(sqrt(2) * (2 - argument).args[0])  # 2 - erfc(z) = erfc(-z)
    if isinstance(argument, Add) and argument.args[0] is S.One:
        rest = Add(*argument.args[1:])
        if isinstance(rest, exp):
            return softplus_(rest.args[0])  # type: ignore[no-any-return]
        if isinstance(rest, erf):
            return log(2) + logndtr_(sqrt(2) * rest.args[0])  # type: ignore[no-any-return]
        if isinstance(-rest, erf):  # 1 - erf(z) = 2 Phi(-sqrt(2) z)
            return log(2) + logndtr_(-sqrt(2) * (-rest).args[0])  # type: ignore[no-any-return]
        return log1p_(rest)  # type: ignore[no-any-return]
    return log(argument)  # type: ignore[no-any-return]


def stable(expression: Expr) -> Expr:
    """The same function written so that doubles keep its digits.

    log(1 - exp(y)), exp(y) - 1, log(1 + y), 1 - x**a, log-gammas, Bessel functions scaled by
    exp(-|z|) (so that ratios of large arguments do not overflow), log of the normal cdf.
    """
    return _stable(open_special_logs(expression))


SHORT = 40  # operations up to which a sum is factored


def _stable(node: Expr) -> Expr:
    if not node.args or not isinstance(node, Expr):
        return node if not node.args else node.func(*(_stable(a) for a in node.args))
    if isinstance(node, Subs):
        inner, (variable,), (point,) = node.args[0], node.args[1], node.args[2]
        return _stable(inner).subs(variable, _stable(point))  # type: ignore[no-any-return]
    if isinstance(node, Derivative):
        return derivative_of_special(node)
    if isinstance(node, (uppergamma, meijerg)):
        return by_log_upper(node.func(*(_stable(a) for a in node.args)))
    if isinstance(node, log) and isinstance(node.args[0], (Mul, Pow)) and node.args[0].has(besseli, besselk):
        return _stable_log(node.args[0])
    if isinstance(node, Add) and 2 < len(node.args) <= 6 and node.has(exp) and node.count_ops() <= SHORT:
        factored = attempt_within(1.0, factor, node)  # exp(2 u) - 2 exp(u) + 1 = (exp(u) - 1)**2
        if not isinstance(factored, (Add, GaveUp)):
            return _stable(factored)
    arguments = [_stable(a) for a in node.args]
    if isinstance(node, log):
        if node.args[0].func in (besseli, besselk):
            return _stable_log(node.args[0])
        return _stable_log(arguments[0])
    if isinstance(node, besseli):
        return ive_(*arguments) * exp(Abs(arguments[1]))  # type: ignore[no-any-return]
    if isinstance(node, besselk):
        return kve_(*arguments) * exp(-arguments[1])  # type: ignore[no-any-return]
    if isinstance(node, LambertW):
        return lambertw_(arguments[0], arguments[1] if len(arguments) > 1 else S.Zero)  # type: ignore[no-any-return]
    if isinstance(node, (polygamma, digamma, trigamma)):
        order = arguments[0] if isinstance(node, polygamma) else S(int(isinstance(node, trigamma)))
        return polygamma_(order, arguments[-1])  # type: ignore[no-any-return]
    if isinstance(node, Pow) and isinstance(arguments[0], exp) and arguments[0].has(logndtr_):
        return exp(arguments[1] * arguments[0].args[0])  # type: ignore[no-any-return]
    rebuilt = node.func(*arguments)
    if isinstance(rebuilt, Mul) and any(isinstance(f, exp) and f.has(logndtr_) for f in rebuilt.args):
        powers = [f for f in rebuilt.args if isinstance(f, exp)]  # exp(-z**2/2)/Phi(-z): either underflows
        rest = [f for f in rebuilt.args if not isinstance(f, exp)]
        rebuilt = Mul(*rest, exp(Add(*(f.args[0] for f in powers))))
    if isinstance(rebuilt, Mul) and rebuilt.has(log):
        rebuilt = _without_zero_times_log(rebuilt)
    if isinstance(rebuilt, Mul) and rebuilt.has(log_upper_):
        # exp(M_2) exp(-M_1), either of which may underflow
        terms = Add.make_args(expand_mul(rebuilt, deep=False))
        rebuilt = Add(*(powsimp(term, combine="exp") for term in terms))
    return _stable_add(rebuilt) if isinstance(rebuilt, Add) else rebuilt


def _without_zero_times_log(product: Expr) -> Expr:
    """x**k log(x), k > 0, as 0 where x is: counts may be 0."""
    logs = {a for e in product.atoms(log) for a in e.args[0].free_symbols if _may_be_zero(a)}
    if not logs:
        return product

    def vanishes(factor: Expr) -> bool:
        base, power = factor.as_base_exp()
        return bool(base.free_symbols & logs) and not base.has(log) and power.is_negative is not True

    small = [f for f in product.args if not f.has(log) and vanishes(f)]
    large = [f for f in product.args if any(e.args[0].free_symbols & logs for e in f.atoms(log))]
    if not small or not large:
        return product
    rest = [f for f in product.args if f not in small and f not in large]
    return Mul(*rest) * times_(Mul(*small), Mul(*large))  # type: ignore[no-any-return]


def _may_be_zero(symbol: Basic) -> bool:
    return bool(symbol.is_nonnegative) and not symbol.is_positive


# --- numbers -------------------------------------------------------------------------------------


def _log1mexp(y: Any) -> Any:
    return np.where(y > -0.6931471805599453, np.log(-np.expm1(y)), np.log1p(-np.exp(y)))


def _trigamma(z: Any) -> Any:
    """psi'(z) for z > 0 by recurrence to z >= 10 and the asymptotic series there (Abramowitz and Stegun 6.4.12).

    SciPy's goes by way of the zeta function, which takes some twenty times as long.
    """
    total = np.zeros_like(z)
    if np.min(z, initial=np.inf) < 10:
        for k in range(10):
            y = z + k
            y *= y
            total += np.divide(1.0, y, out=y)
        z = z + 10
    r = 1 / z
    q = r * r
    series = q * (5 / 66 - q * (691 / 2730 - q * (7 / 6)))
    series = 1 / 6 - q * (1 / 30 - q * (1 / 42 - q * (1 / 30 - series)))
    series *= q
    series += 0.5 * r + 1
    series *= r
    total += series
    return total


def _logcosh(z: Any) -> Any:
    return np.abs(z) + np.log1p(np.exp(-2 * np.abs(z))) - np.log(2.0)


@lru_cache(maxsize=1)
def row_functions() -> dict[str, Any]:
    """NumPy's and SciPy's functions by the names that lambdify prints."""
    from scipy import special

    def lambertw(z: Any, k: Any) -> Any:
        value = special.lambertw(z, int(k))
        return np.where(np.abs(value.imag) <= 1e-9 * np.abs(value.real), value.real, np.nan)

    def polygamma_rows(order: Any, z: Any) -> Any:
        if isinstance(z, float) and isinstance(order, (int, float)) and z > 0:
            if order == 0:
                return special.psi(z)
            if order == 1:
                return special.zeta(2.0, z)
        if np.ndim(order) == 0 and order == 0:
            return special.psi(z)
        if np.ndim(order) == 0 and order == 1 and np.size(z) > 1000 and np.min(z) > 0:
            return _trigamma(np.asarray(z, dtype=float))
        if np.ndim(order) == 0 and order >= 1 and (z > 0 if np.ndim(z) == 0 else np.min(z, initial=1.0) > 0):
            n = int(order)
            return (-1) ** (n + 1) * math.factorial(n) * special.zeta(n + 1.0, z)
        return special.polygamma(order, z)

    def log_gamma(z: Any) -> Any:
        return special.gammaln(z)

    return {
        "symmle_undefined": lambda zero: np.nan,
        "symmle_times": lambda a, b: np.where(np.equal(a, 0), 0.0, np.multiply(a, b)),
        "symmle_whole_power": _whole_power,
        "symmle_log1p": np.log1p,
        "symmle_expm1": np.expm1,
        "symmle_log1mexp": _log1mexp,
        "symmle_softplus": lambda y: np.logaddexp(0.0, y),
        "symmle_ive": special.ive,
        "symmle_kve": special.kve,
        "symmle_logndtr": special.log_ndtr,
        "symmle_lambertw": lambertw,
        "symmle_logcosh": _logcosh,
        "symmle_polygamma": polygamma_rows,
        "symmle_log_upper": log_upper_of_rows,
        "loggamma": log_gamma,
        "gammaln": log_gamma,
    }


@lru_cache(maxsize=1)
def scalar_functions() -> dict[str, Any]:
    """mpmath's functions in symmle's own context."""
    c = CONTEXT
    names = {n: getattr(c, n) for n in dir(c) if not n.startswith("_") and callable(getattr(c, n))}

    def lambertw(z: Any, k: Any) -> Any:
        value = c.lambertw(z, int(k))
        return value.real if abs(value.imag) <= abs(value.real) * c.mpf(2) ** -100 else c.nan

    def log_of_ndtr(z: Any) -> Any:
        return c.log(c.erfc(-z / c.sqrt(2)) / 2)

    largest = c.mpf(2) ** 512

    def exponential(y: Any) -> Any:
        """exp(y); 0 or oo far out, where y modulo log 2 would take as many digits as y has."""
        if not isinstance(y, c.mpc) and abs(y) > largest:
            return c.inf if y > 0 else c.zero
        return c.exp(y)

    def exponential_less_one(y: Any) -> Any:
        if not isinstance(y, c.mpc) and abs(y) > largest:
            return c.inf if y > 0 else -c.one
        return c.expm1(y)

    names.update(
        exp=exponential,
        symmle_undefined=lambda zero: c.nan,
        symmle_log1p=lambda y: c.log(1 + y),
        symmle_expm1=exponential_less_one,
        symmle_log1mexp=lambda y: c.log(-exponential_less_one(y)),
        symmle_softplus=lambda y: c.log(1 + exponential(y)),
        symmle_ive=lambda v, z: c.besseli(v, z) * c.exp(-abs(z)),
        symmle_kve=lambda v, z: c.besselk(v, z) * c.exp(z),
        symmle_logndtr=log_of_ndtr,
        symmle_lambertw=lambertw,
        symmle_logcosh=lambda z: c.log(c.cosh(z)),
        symmle_polygamma=lambda m, z: c.psi(int(m), z),
        symmle_log_upper=log_upper_of_scalars,
        loggamma=lambda z: c.loggamma(z).real if z > 0 else c.nan,
        sign=c.sign,
        Abs=abs,
        pi=+c.pi,
        E=+c.e,
        euler=+c.euler,
        catalan=+c.catalan,
    )
    return names


def _renamed(arguments: Sequence[Symbol], expressions: Sequence[Expr]) -> tuple[list[Symbol], list[Expr]]:
    """Arguments under names of their own: `lambda`, `beta` and `gamma` are good names of parameters.

    No Dummies: for each of those lambdify would rebuild all expressions once more.
    """
    names = {a: Symbol(f"symmle_a{i:03d}", **_assumed(a)) for i, a in enumerate(arguments)}
    return list(names.values()), [e.xreplace(names) for e in expressions]


def _assumed(symbol: Symbol) -> dict[str, bool]:
    return {
        k: v
        for k, v in symbol.assumptions0.items()
        if k in ("positive", "real", "integer", "nonnegative") and v
    }


def row_kernel(arguments: Sequence[Symbol], expressions: Sequence[Expr]) -> Callable[..., Any]:
    """A NumPy function of column blocks and floats that returns one array (or float) an expression."""
    summed = with_series(arguments, expressions, row_kernel, add_up_in_doubles)
    if summed is not None:
        return summed
    # of whole numbers SymPy writes log-gammas as logs of gammas, which overflow
    reals = {
        s: Symbol(f"symmle_w{i:03d}", real=True, nonnegative=s.is_nonnegative)
        for i, s in enumerate(arguments)
        if s.is_integer
    }
    arguments = [reals.get(s, s) for s in arguments]
    names, bodies = _renamed(arguments, [stable(e.xreplace(reals)) for e in expressions])
    functions = {**row_functions(), **row_derivatives()}
    settings = {
        "fully_qualified_modules": False,
        "inline": True,
        "allow_unknown_functions": True,
        "user_functions": {name: name for name in functions},
    }
    return _lambdified(names, bodies, [functions, "scipy", "numpy"], RowPrinter(settings))


def scalar_kernel(arguments: Sequence[Symbol], expressions: Sequence[Expr]) -> Callable[..., Any]:
    """An mpmath function at 240 bits: the outer algebra, where differences of means cancel."""
    summed = with_series(arguments, expressions, scalar_kernel, add_up_in(CONTEXT))
    if summed is not None:
        return summed
    names, bodies = _renamed(arguments, [decided(stable(e)) for e in expressions])
    modules = [{**scalar_functions(), **scalar_derivatives(), **scalar_decisions(CONTEXT)}, "mpmath"]
    kernel = _lambdified(names, bodies, modules)
    if not any(body.has(Piecewise) for body in bodies):
        return kernel
    return BranchByBranch(kernel, lambda: _lambdified(names, bodies, modules, cse=False))


class BranchByBranch:
    """A kernel whose common subexpressions may have no value on a branch that is not taken."""

    def __init__(self, kernel: Callable[..., Any], lazily: Callable[[], Callable[..., Any]]):
        self._kernel, self._lazily = kernel, lazily
        self._slow: Callable[..., Any] | None = None

    def __call__(self, *given: Any) -> Any:
        try:
            return self._kernel(*given)
        except (ZeroDivisionError, OverflowError, ValueError, TypeError):
            if self._slow is None:
                self._slow = self._lazily()
            return self._slow(*given)


class RowPrinter(SciPyPrinter):  # type: ignore[misc]
    """Whole powers as products and quotients: NumPy's power takes five times as long."""

    def _print_Pow(self, expr: Pow, rational: bool = False) -> str:
        n = int(expr.exp) if expr.exp.is_Integer and abs(expr.exp) <= 16 else 0
        if n < 0:
            below = f"({self._print(expr.base)})" if n == -1 else self._power(expr.base, -n)
            return f"(1.0/{below})"
        if n > 2:
            return self._power(expr.base, n)
        return super()._print_Pow(expr, rational)  # type: ignore[no-any-return]

    def _print_And(self, expr: And) -> str:
        return self._joined(expr, "&")

    def _print_Or(self, expr: Or) -> str:
        return self._joined(expr, "|")

    def _joined(self, expr: And | Or, sign: str) -> str:
        """Conditions on rows and on parameters alone broadcast; NumPy's reductions want one shape."""
        parts = sorted(self._print(a) for a in expr.args)
        return "(" + f" {sign} ".join(f"({part})" for part in parts) + ")"

    def _power(self, base: Expr, n: int) -> str:
        return f"symmle_whole_power({self._print(base)}, {n})"


def _whole_power(base: Any, n: int) -> Any:
    """base**n for whole n > 0 by repeated squaring."""
    result, square = None, base
    while n:
        if n & 1:
            result = square if result is None else result * square
        n >>= 1
        if n:
            square = square * square
    return result


def _lambdified(
    names: list[Symbol], bodies: list[Expr], modules: list[Any], printer: Any = None, cse: bool = True
) -> Callable[..., Any]:
    try:
        return lambdify(names, bodies, modules=modules, cse=cse, printer=printer)  # type: ignore[no-any-return]
    except PrintMethodNotImplementedError as problem:
        function = str(problem).splitlines()[0].rsplit(": ", 1)[-1]
        raise NotDerivedError(f"The formula holds {function}, for which no numbers are built.") from problem
