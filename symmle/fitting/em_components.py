"""How many components: the fits of 1, 2, ... of them side by side, by AIC, BIC and ICL."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from symmle.errors import SymmleError

CRITERIA = ("aic", "bic", "icl")


class Components(Mapping[int, Any]):
    """Fits by number of components; those that have no maximum are in `refused` with the reason.

    Attributes
    ----------
    refused : dict of int to str
    """

    def __init__(self, fits: dict[int, Any], refused: dict[int, str]):
        self._fits, self.refused = fits, refused

    def __getitem__(self, k: int) -> Any:
        return self._fits[k]

    def __iter__(self) -> Iterator[int]:
        return iter(self._fits)

    def __len__(self) -> int:
        return len(self._fits)

    def criterion(self, k: int, name: str = "bic") -> float:
        """AIC, BIC or ICL of k components; one component has no labels, so that its ICL is its BIC."""
        if name not in CRITERIA:
            raise ValueError(f"Expected a criterion among {', '.join(CRITERIA)}, got {name!r}.")
        result = self._fits[k]
        if name == "icl" and not hasattr(result, "icl"):
            name = "bic"
        return float(getattr(result, name))

    def best(self, criterion: str = "bic") -> int:
        """The number of components with the least criterion."""
        return min(self._fits, key=lambda k: self.criterion(k, criterion))

    def table(self) -> str:
        """Number of components, parameters, log-likelihood and criteria; the least of each marked."""
        least = {name: self.best(name) for name in CRITERIA}
        lines = [
            f"{'components':>10}  {'p':>3}  {'log-likelihood':>16}"
            + "".join(f"  {n.upper():>15}" for n in CRITERIA)
        ]
        for k in sorted({*self._fits, *self.refused}):
            if k in self.refused:
                lines.append(f"{k:>10}  {self.refused[k]}")
                continue
            result = self._fits[k]
            cells = "".join(
                f"  {self.criterion(k, n):>14.4f}{'*' if least[n] == k else ' '}" for n in CRITERIA
            )
            lines.append(f"{k:>10}  {result.parameters_fitted:>3}  {result.log_likelihood:>16.8g}{cells}")
        return "\n".join(lines)

    __str__ = table

    def __repr__(self) -> str:
        return f"Components({', '.join(f'{k}: BIC {self.criterion(k):.6g}' for k in self._fits)})"


def fit_components(law: Any, data: Any, most: int, fit: Any, derive: Any, **options: Any) -> Components:
    """Fits of `law` alone and of its mixtures of up to `most` components; see `symmle.components`."""
    fits: dict[int, Any] = {}
    refused: dict[int, str] = {}
    em_only = {n: options.pop(n) for n in ("init", "restarts", "assignment") if n in options}
    for k in range(1, most + 1):
        model = law if k == 1 else law.mixture(k)
        try:
            result = fit(derive(model), data, **options, **(em_only if k > 1 else {}))
            if not math.isfinite(result.log_likelihood):
                raise SymmleError("the log-likelihood is not finite")
        except SymmleError as refusal:
            refused[k] = f"{type(refusal).__name__}: {refusal}"
            continue
        fits[k] = result
    if not fits:
        raise SymmleError(f"No number of components has a fit: {refused[1]}")
    return Components(fits, refused)


__all__ = ["Components", "fit_components"]
