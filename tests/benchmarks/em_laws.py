"""The mixtures of the benchmarks: declaration, simulated data, a start, the log-likelihood that judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from em_by_hand import Start, normals_by_hand, poissons_by_hand
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

Array = NDArray[Any]
TOLERANCE = 1e-12  # gain a row at which EM ends


@dataclass(frozen=True)
class Row:
    """A mixture and its data; parameters are weights w, then by component what the kernel has."""

    name: str
    rows: int
    weights: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...] = ()  # none: Poisson components

    def columns(self, rows: int | None = None) -> dict[str, Array]:
        rng = np.random.default_rng(5)
        label = rng.choice(len(self.weights), rows or self.rows, p=self.weights)
        if not self.scales:
            return {"x": rng.poisson(np.array(self.means)[label])}
        return {"x": rng.normal(np.array(self.means)[label], np.array(self.scales)[label])}

    def start(self, x: Array) -> Start:
        """Equal weights, means at quantiles, a common scale."""
        k = len(self.weights)
        means = np.quantile(x[:5000], (np.arange(k) + 0.5) / k) + (0.0 if self.scales else 0.5)
        scales = np.full(k, x[:5000].std() / k) if self.scales else None
        return Start(np.full(k, 1 / k), means, scales)

    def declaration(self) -> dict[str, Any]:
        k = len(self.weights)
        free = ["w"] if k == 2 else [f"w{j + 1}" for j in range(k - 1)]
        weights = [*free, f"1 - {' - '.join(free)}"]
        parameters = dict.fromkeys(free, "(0, 1)")
        components = []
        for j, weight in enumerate(weights, 1):
            parameters[f"m{j}"] = "real" if self.scales else "positive"
            density = f"m{j}**x*exp(-m{j})/factorial(x)"
            if self.scales:
                parameters[f"s{j}"] = "positive"
                density = f"exp(-(x - m{j})**2/(2*s{j}**2))/(s{j}*sqrt(2*pi))"
            components.append({"weight": weight, "density": density})
        table = {
            "name": self.name,
            "data": {"x": "(-oo, oo)" if self.scales else "{0..oo}"},
            "parameters": parameters,
            "components": components,
        }
        return table | ({"where": [weights[-1]]} if k > 2 else {})

    def named(self, found: Start) -> dict[str, float]:
        """As symmle's parameters."""
        k = len(self.weights)
        names = ["w"] if k == 2 else [f"w{j + 1}" for j in range(k - 1)]
        values = {n: float(v) for n, v in zip(names, found.weights, strict=False)}
        for j in range(k):
            values[f"m{j + 1}"] = float(found.means[j])
            if found.scales is not None:
                values[f"s{j + 1}"] = float(found.scales[j])
        return values

    def unnamed(self, values: dict[str, float]) -> Start:
        k = len(self.weights)
        free = [values[n] for n in (["w"] if k == 2 else [f"w{j + 1}" for j in range(k - 1)])]
        scales = np.array([values[f"s{j + 1}"] for j in range(k)]) if self.scales else None
        return Start(
            np.array([*free, 1 - sum(free)]), np.array([values[f"m{j + 1}"] for j in range(k)]), scales
        )

    def by_hand(self, columns: dict[str, Array]) -> Start:
        program = normals_by_hand if self.scales else poissons_by_hand
        return program(columns["x"], self.start(columns["x"]), TOLERANCE)

    def height(self, x: Array, found: Start) -> float:
        """The log-likelihood a row."""
        total = 0.0
        for low in range(0, len(x), 1 << 17):
            b = x[low : low + (1 << 17), None].astype(float)
            if found.scales is None:
                each = b * np.log(found.means) - found.means - gammaln(b + 1)
            else:
                z = (b - found.means) / found.scales
                each = -0.5 * z**2 - np.log(found.scales) - 0.5 * np.log(2 * np.pi)
            total += float(logsumexp(each + np.log(found.weights), axis=1).sum())
        return total / len(x)


TWO = ((0.35, 0.65), (1.0, 4.5), (1.0, 1.4))
THREE = ((0.3, 0.45, 0.25), (0.0, 4.0, 9.0), (1.0, 1.2, 1.6))
ROWS = (
    Row("2 normals 1e5", 100_000, *TWO),
    Row("2 normals 1e6", 1_000_000, *TWO),
    Row("3 normals 1e5", 100_000, *THREE),
    Row("3 normals 1e6", 1_000_000, *THREE),
    Row("2 Poissons 1e5", 100_000, (0.4, 0.6), (2.0, 7.0)),
)
