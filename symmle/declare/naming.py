"""Names, roles and symbols while a declaration is put together."""

from __future__ import annotations

from typing import Any

from sympy import Expr, Interval, Set, Symbol

from symmle.declare.domains import canonical_set, exact, parse_set, set_of_assumptions, written_set
from symmle.declare.symbols import SIGNS, symbol_of, sympified
from symmle.declare.words import check_name, nearest, shown
from symmle.errors import ModelError


class Naming:
    """What is known while a declaration is put together; `names` maps every name to its symbol."""

    def __init__(self, name: str):
        self.label = f" of model '{name}'" if name else ""
        self.roles: dict[str, str] = {}
        self.users: dict[str, Symbol] = {}
        self.names: dict[str, Expr] = {}

    def declare(self, key: Any, role: str) -> str:
        if not isinstance(key, (Symbol, str)):
            raise ModelError(f"Expected a {role} as a SymPy Symbol, got {shown(repr(key))}. Pass a Symbol.")
        name = (
            check_name(key.name if isinstance(key, Symbol) else key, f"the name of a {role}")
            if isinstance(key, str)
            else key.name
        )
        if name in self.roles:
            raise ModelError(
                f"Expected different names for different symbols{self.label}, got `{name}` as "
                f"{self.roles[name]} "
                f"and as {role}. Rename one of them."
            )
        self.roles[name] = role
        if isinstance(key, Symbol):
            self.users[name] = key
        return name

    def settle(self, name: str, made: Symbol) -> Symbol:
        """The user's own symbol where it says exactly what the new one says; else the new one."""
        user = self.users.get(name)
        chosen = user if user is not None and type(user) is Symbol and user == made else made
        self.names[name] = chosen
        return chosen

    def domain(self, name: str, given: Any, role: str) -> Set:
        """The set of a symbol: given as text or set, or from the user's assumptions."""
        kind = "support" if role in ("data", "latent variable") else "domain"
        what = f"the {kind} of {role} `{name}`{self.label}"
        user = self.users.get(name)
        if given is None:
            if user is None and role != "covariate":
                raise ModelError(f"Expected {what}, got none. Pass a set, as {{{name}: Interval(0, oo)}}.")
            return (
                set_of_assumptions(user, what) if user is not None else set_of_assumptions(Symbol(name), what)
            )
        if isinstance(given, str):
            made = parse_set(given, self.names, what)
        else:
            made = canonical_set(self.renamed(given) if isinstance(given, Set) else given, what)
        if user is None:
            return made
        data = role in ("data", "latent variable", "covariate", "lag")
        if user.is_positive and isinstance(made, Interval) and made.start.is_zero:
            made = Interval(made.start, made.end, made.left_open or not data, made.right_open)
        allowed = symbol_of(name, made, data=data)
        for fact in SIGNS:
            if user.assumptions0.get(fact) and not getattr(allowed, f"is_{fact}"):
                raise ModelError(
                    f"Expected {what} to agree with its symbol, which is {fact}, got {written_set(made)}. "
                    "Declare the symbol with weaker assumptions, or pass a smaller set."
                )
        return made

    def renamed(self, expression: Any) -> Any:
        """Every symbol replaced by the model's symbol of its name."""
        swap = {}
        for symbol in expression.free_symbols:
            new = self.names.get(getattr(symbol, "name", ""))
            if new is not None and new != symbol:
                swap[symbol] = new
        return exact(expression.xreplace(swap) if swap else expression)

    def expression(self, given: Any, what: str) -> Expr:
        made = self.renamed(sympified(given, what))
        unknown = sorted(s.name for s in made.free_symbols if self.names.get(s.name) != s)
        if unknown:
            raise ModelError(
                f"Expected {what} in declared symbols, got "
                f"`{unknown[0]}`{nearest(unknown[0], list(self.names)) or '.'} "
                "Declare it as a parameter, a constant or a covariate, or mend its name."
            )
        return made
