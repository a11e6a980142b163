"""From solutions of a system to candidates: shown in operators, filtered by the domain, with conditions."""

from __future__ import annotations

from sympy import (
    Add,
    And,
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
    oo,
    powsimp,
    together,
)

from symmle.algebra import Facts, GaveUp, attempt_within
from symmle.inequalities import SampleFacts
from symmle.record import Condition
from symmle.sample import Mean
from symmle.strategies.problem import Candidate, Problem, Rejected
from symmle.strategies.systems import Solution


def candidates_of(
    problem: Problem, solutions: list[Solution], known: SampleFacts, facts: Facts
) -> tuple[list[Candidate], list[Rejected]]:
    """Candidates inside the domain; what is outside for every sample seen is rejected with the reason."""
    kept: list[Candidate] = []
    reserve: list[Candidate] = []  # outside at every sample seen, which proves nothing
    rejected: list[Rejected] = []
    for raw in solutions:
        solution = Solution({p: tidy(e) for p, e in raw.values.items()}, raw.methods)
        shown = {p: as_one_mean(known.show(e), problem) for p, e in solution.values.items()}
        decided = {p: problem.decide_in_domain(e, p, facts) for p, e in solution.values.items()}
        outside = [p for p, d in decided.items() if d is False]
        values = tuple(shown.items())
        if outside:
            rejected.append(Rejected(values, f"{outside[0]} is outside its domain for every sample"))
            continue
        in_domain: bool | None = True if all(d is True for d in decided.values()) else None
        if in_domain is None:
            inside, total, real = problem.count_admissible(shown)
            unseen = bool(total and not inside and (real or _is_surely_real(solution)))
        else:
            unseen, total = False, 0
        conditions = _conditions(problem, solution, shown, decided, known, facts)
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
            open_sign = kind == "logarithm" and facts.decide_sign(requirement) != 1
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
