"""From solutions of a system to candidates: shown in operators, filtered by the domain, with conditions."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
from sympy import (
    Add,
    And,
    Basic,
    Expr,
    Ge,
    Gt,
    Interval,
    Le,
    Lt,
    Mul,
    Ne,
    Piecewise,
    Pow,
    S,
    Set,
    Symbol,
    cancel,
    expand,
    factor,
    factor_terms,
    fraction,
    log,
    nan,
    oo,
    powsimp,
    together,
)

from symmle.algebra import Facts, GaveUp, attempt_within, compile_expression
from symmle.inequalities import SampleFacts
from symmle.record import Condition
from symmle.sample import Mean
from symmle.strategies.problem import Candidate, Problem, Rejected, real_part
from symmle.strategies.systems import Solution


def candidates_of(
    problem: Problem, solutions: list[Solution], known: SampleFacts, facts: Facts, equations: Sequence[Expr]
) -> tuple[list[Candidate], list[Rejected]]:
    """Candidates inside the domain; what is outside for every sample seen is rejected with the reason."""
    kept: list[Candidate] = []
    reserve: list[Candidate] = []  # outside at every sample seen, which proves nothing
    rejected: list[Rejected] = []
    for raw in solutions:
        plain, roots = _without_guards(raw)
        solution = Solution({p: tidy(e) for p, e in plain.items()}, raw.methods)
        shown = {p: as_one_mean(known.show(e), problem) for p, e in solution.values.items()}
        decided = {p: problem.decide_in_domain(e, p, facts) for p, e in solution.values.items()}
        outside = [p for p, d in decided.items() if d is False]
        values = tuple(shown.items())
        guards = tuple(
            Condition(Ge(known.show(r), 0, evaluate=False), "defined", tuple(shown)) for r in roots
        )
        wrong = _why_no_root(problem, shown, guards, equations)
        if wrong is not None:
            rejected.append(Rejected(values, wrong))
            continue
        if outside:
            rejected.append(Rejected(values, f"{outside[0]} is outside its domain for every sample"))
            continue
        in_domain: bool | None = True if all(d is True for d in decided.values()) else None
        if in_domain is None:
            inside, total, real = problem.count_admissible(shown)
            unseen = bool(total and not inside and (real or _is_surely_real(solution)))
        else:
            unseen, total = False, 0
        conditions = (*guards, *_conditions(problem, solution, shown, decided, known, facts))
        candidate = Candidate(shown, conditions, in_domain)
        if any(c.closed == shown for c in (*kept, *reserve)):
            continue
        if unseen:
            reserve.append(candidate)
            rejected.append(Rejected(values, f"outside the domain at each of {total} random samples"))
        else:
            kept.append(candidate)
    if not kept:
        return reserve, [r for r in rejected if dict(r.values) not in [c.closed for c in reserve]]
    return kept, rejected


def _without_guards(solution: Solution) -> tuple[dict[Symbol, Expr], list[Expr]]:
    """The values without the pieces that keep a root from being squared away, and what must not be negative."""
    needed: list[Expr] = []

    def strip(piece: Piecewise) -> Expr:
        value, condition = piece.args[0]
        bound = (
            condition.lhs - condition.rhs
            if condition.rel_op in (">=", ">")
            else condition.rhs - condition.lhs
        )
        if bound not in needed:
            needed.append(bound)
        return value

    def guarded(node: Basic) -> bool:
        return isinstance(node, Piecewise) and node.args[-1][0] is nan

    return {p: e.replace(guarded, strip) for p, e in solution.values.items()}, needed


def _why_no_root(
    problem: Problem, shown: dict[Symbol, Expr], guards: tuple[Condition, ...], equations: Sequence[Expr]
) -> str | None:
    """An independent look: the equations at the values, for samples of the support that meet the guards."""
    columns = {c for form in problem.likelihood.forms for c in form.part.all_columns}
    if any(e.free_symbols & columns for e in shown.values()):
        return "a data column stands outside every statistic"
    try:
        values_of = {p: compile_expression(e) for p, e in shown.items()}
        residuals = [compile_expression(e) for e in equations]
        allowed = [compile_expression(g.expression.lhs) for g in guards]
    except (TypeError, ValueError, NotImplementedError):
        return None
    with mpmath.workdps(40):
        for values, rows in problem.points:
            try:
                at = {p: real_part(f(values, rows)) for p, f in values_of.items()}
                if any(v is None or not problem.contains(p, v, values) for p, v in at.items()):
                    continue
                if any(not mpmath.re(g(values, rows)) >= 0 for g in allowed):
                    continue
                found = [(f({**values, **at}, rows), f(values, rows)) for f in residuals]
            except (ZeroDivisionError, ValueError, ArithmeticError, TypeError):
                continue
            if any(abs(r) > mpmath.mpf(10) ** -12 * (1 + abs(elsewhere)) for r, elsewhere in found):
                return "the equations do not vanish there at a random sample"
    return None


def _is_surely_real(solution: Solution) -> bool:
    return all(e.is_real is True for e in solution.values.values())


def _conditions(
    problem: Problem,
    solution: Solution,
    shown: dict[Symbol, Expr],
    decided: dict[Symbol, bool | None],
    known: SampleFacts,
    facts: Facts,
) -> tuple[Condition, ...]:
    """What excludes degenerate samples, and for what is not decided, that the value is in the domain."""
    found: list[Condition] = []
    for p, e in solution.values.items():
        inside = _in_domain_condition(problem.domains[p], p, shown[p])
        for requirement, kind in _requirements(problem.domains[p], e):
            whole = inside
            if kind == "denominator":
                whole = Condition(Ne(known.show(requirement), 0, evaluate=False), "defined", (p,))
            elif kind == "root":
                whole = Condition(Ge(known.show(requirement), 0, evaluate=False), "defined", (p,))
            elif kind == "logarithm":
                whole = Condition(Gt(known.show(requirement), 0, evaluate=False), "defined", (p,))
            needed = known.conditions_of(requirement, facts, whole, kind in ("closed domain", "root"))
            open_sign = kind in ("logarithm", "denominator") and facts.decide_sign(requirement) not in (
                (1,) if kind == "logarithm" else (1, -1)
            )
            if open_sign and whole is not None and whole not in needed:
                needed = (*needed, whole)
            for condition in needed:
                if condition not in found:
                    found.append(condition)
        if decided[p] is None and inside is not None and inside not in found:
            found.append(inside)
    return tuple(found)


def _requirements(domain: Set, value: Expr) -> list[tuple[Expr, str]]:
    """Expressions that are positive (denominators: not zero) where the value is defined and in its domain."""
    found = (
        []
        if not isinstance(domain, Interval)
        else [
            (side, "domain" if is_open else "closed domain")
            for bound, side, is_open in (
                (domain.start, value - domain.start, domain.left_open),
                (domain.end, domain.end - value, domain.right_open),
            )
            if bound not in (oo, -oo)
        ]
    )
    denominators = [fraction(together(value))[1]]
    roots = []
    for power in sorted(value.atoms(Pow), key=lambda n: n.sort_key()):
        if power.exp.could_extract_minus_sign():
            denominators.append(power.base)
        elif power.exp.is_integer is False:
            roots.append(power.base)
    found.extend((d, "denominator") for d in dict.fromkeys(denominators) if not d.is_number)
    found.extend((b, "root") for b in dict.fromkeys(roots) if not b.is_number)
    found.extend((n.args[0], "logarithm") for n in sorted(value.atoms(log), key=str))
    return found


def _in_domain_condition(domain: Set, p: Symbol, value: Expr) -> Condition | None:
    if not isinstance(domain, Interval):
        return None
    bounds = []
    if domain.start != -oo:
        bounds.append((Gt if domain.left_open else Ge)(value, domain.start, evaluate=False))
    if domain.end != oo:
        bounds.append((Lt if domain.right_open else Le)(value, domain.end, evaluate=False))
    if not bounds:
        return None
    return Condition(And(*bounds, evaluate=False) if len(bounds) > 1 else bounds[0], "in the domain", (p,))


def as_one_mean(e: Expr, problem: Problem) -> Expr:
    """Sums of indicator means written the shortest way: 1 - Mean(I_1) - Mean(I_2) is Mean(I_3)."""
    for form in problem.likelihood.forms:
        members = problem.likelihood.facts.members.get(form.part.columns[0])
        indicators = [g for _, g in form.terms if isinstance(g, Piecewise)]
        if members is None or len(form.columns.args) != 1 or len(indicators) < 2:
            continue
        x = form.part.columns[0]
        if any(Add(*indicators).xreplace({x: m}) != 1 for m in members):
            continue
        means = [Mean(g, form.columns) for g in indicators]
        e = e.replace(
            lambda n: isinstance(n, Add) and n.has(Mean), lambda n, means=means: _shortest(n, means)
        )
    return e


def _shortest(total: Add, means: list[Expr]) -> Expr:
    """The sum plus the multiple of 1 - sum(means) that leaves the fewest terms."""
    constant = Add(*(t for t in total.args if not t.has(*means)))
    coefficients = [total.coeff(m) for m in means]
    if expand(total - constant - Add(*(c * m for c, m in zip(coefficients, means, strict=True)))) != 0:
        return total
    if not all(c.is_number for c in (constant, *coefficients)):
        return total
    ways = [total]
    for shift in (constant, *(-c for c in coefficients)):
        ways.append(
            Add(constant - shift, *((c + shift) * m for c, m in zip(coefficients, means, strict=True)))
        )
    return min(ways, key=lambda w: (len(Add.make_args(w)), w.count_ops()))


def tidy(e: Expr) -> Expr:
    """A shorter way of writing an answer, the same value: common factors out of sums and roots."""
    joined = attempt_within(2.0, _join_logarithms, e)
    if not isinstance(joined, GaveUp) and joined.count_ops() < e.count_ops():
        e = joined
    if not e.has(log) and not any(not p.exp.is_Integer for p in e.atoms(Pow)):
        short = attempt_within(2.0, lambda: cancel(together(e)))
        if not isinstance(short, GaveUp) and short.count_ops() < e.count_ops():
            e = short
    answer = attempt_within(2.0, lambda: factor_terms(powsimp(e)))
    if isinstance(answer, GaveUp) or answer.count_ops() > e.count_ops():
        answer = e
    return _roots_of_quotients(answer)


def _join_logarithms(e: Expr) -> Expr:
    """log(a) - log(b) as log(a/b) in lowest terms, for logarithms whose arguments are positive together."""
    inside, rest, count = S.One, S.Zero, 0
    for term in Add.make_args(e):
        c, function = term.as_coeff_Mul()
        if isinstance(function, log) and abs(c) == 1:
            inside *= function.args[0] ** c
            count += 1
        else:
            rest += term
    if count < 2:
        return e
    short = factor(cancel(together(inside)))
    numerator, denominator = fraction(short)
    if numerator.could_extract_minus_sign() and denominator.could_extract_minus_sign():
        short = -numerator / -denominator
    return log(short) + rest


def _roots_of_quotients(e: Expr) -> Expr:
    """sqrt(a)/sqrt(b) under one root, its quotient written out: sqrt(C_yy - C_yz**2/C_zz)."""
    return e.replace(
        lambda n: isinstance(n, Mul) and sum(isinstance(f, Pow) and abs(f.exp) == S.Half for f in n.args) > 1,
        _one_root,
    )


def _one_root(product: Mul) -> Expr:
    inside, rest = S.One, S.One
    for f in product.args:
        if isinstance(f, Pow) and abs(f.exp) == S.Half:
            inside *= f.base if f.exp > 0 else 1 / f.base
        else:
            rest *= f
    # every factor is the root of a positive number here, so that the roots may be joined
    numerator, denominator = fraction(together(inside))
    spread = numerator / denominator
    if isinstance(denominator, Symbol):
        spread = (
            expand(numerator) / denominator
            if not numerator.is_Add
            else sum(t / denominator for t in numerator.args)
        )
    return rest * Pow(spread, S.Half)


__all__ = ["as_one_mean", "candidates_of", "tidy"]
