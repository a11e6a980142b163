"""JAX: the log density compiled with its gradient, L-BFGS-B of SciPy in free coordinates; groups by a batched Newton.

Doubles, one thread. Compiling is left out of the times: the contestant is run once before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmark_laws import ArrayLibrary, Columns, Estimates, Law
from scipy.optimize import minimize

jax.config.update("jax_enable_x64", True)
JAX = ArrayLibrary(jnp, jax.scipy.special.gammaln)
STEPS = 30
CLOSE = 1e-4  # of the step in logarithms that ends the loop; the error is its square


def contestant(law: Law) -> Callable[[Columns], Estimates] | None:
    return _by_group(law) if law.groups else _one_sample(law)


def _inner(law: Law, t: Any) -> list[Any]:
    found = []
    for k, domain in enumerate(law.parameters.values()):
        v = t[k]
        found.append(v if domain == "real" else jax.nn.sigmoid(v) if domain == "(0, 1)" else jnp.exp(v))
    return found


def _outer(law: Law, theta: list[float]) -> Any:
    return np.array(
        [
            v if d == "real" else np.log(v / (1 - v)) if d == "(0, 1)" else np.log(v)
            for v, d in zip(theta, law.parameters.values(), strict=True)
        ]
    )


def _one_sample(law: Law) -> Callable[[Columns], Estimates]:
    @jax.jit
    def cost(t: Any, x: Any) -> Any:
        return jax.value_and_grad(lambda u: -jnp.mean(law.log_density(JAX, x, *_inner(law, u))))(t)

    def run(columns: Columns) -> Estimates:
        x = columns["x"].astype(float, copy=False)
        rows = jnp.asarray(x)

        def evaluate(t: Any) -> tuple[float, Any]:
            value, gradient = cost(t, rows)
            return float(value), np.asarray(gradient)

        start = _outer(law, law.starting_point(x))
        options = {"ftol": 1e-13, "gtol": 3e-6, "maxiter": 500}
        found = minimize(evaluate, start, jac=True, method="L-BFGS-B", options=options)
        return dict(zip(law.parameters, map(float, _inner(law, found.x)), strict=True))

    return run


def _solved(h: Any, g: Any) -> Any:
    """h^-1 g for many; two unknowns by Cramer's rule, which LAPACK one by one does not reach."""
    if g.shape[-1] != 2:
        return jnp.linalg.solve(h, g[..., None])[..., 0]
    det = h[:, 0, 0] * h[:, 1, 1] - h[:, 0, 1] ** 2
    first, second = h[:, 1, 1] * g[:, 0] - h[:, 0, 1] * g[:, 1], h[:, 0, 0] * g[:, 1] - h[:, 0, 1] * g[:, 0]
    return jnp.stack([first, second], axis=1) / det[:, None]


def _by_group(law: Law) -> Callable[[Columns], Estimates]:
    """Newton's method for all groups in one compiled loop, on the rows as the density reads them."""

    def cost(t: Any, x: Any) -> Any:
        return -jnp.mean(law.log_density(JAX, x, *_inner(law, t)))

    gradient, hessian = jax.vmap(jax.grad(cost)), jax.vmap(jax.hessian(cost))

    @jax.jit
    def solve(start: Any, x: Any) -> Any:
        def step(state: Any) -> Any:
            t, _, k = state
            move = _solved(hessian(t, x), -gradient(t, x))
            move = jnp.clip(move, -1.0, 1.0)
            return t + move, jnp.max(jnp.abs(move)), k + 1

        def goes_on(state: Any) -> Any:
            return (state[1] > CLOSE) & (state[2] < STEPS)

        return jax.lax.while_loop(goes_on, step, (start, jnp.inf, 0))[0]

    @jax.jit
    def starts(x: Any) -> Any:  # by moments, as for one sample
        mean, variance = x.mean(axis=1), x.var(axis=1)
        return jnp.log(jnp.stack([mean**2 / variance, mean / variance], axis=1))

    def run(columns: Columns) -> Estimates:
        x = jnp.asarray(columns["x"]).reshape(law.groups, -1)
        found = np.exp(np.asarray(solve(starts(x), x)))
        return dict(zip(law.parameters, found.T, strict=True))

    return run
