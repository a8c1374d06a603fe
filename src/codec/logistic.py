"""The logistic distribution over whole numbers: what the prior believes of a symbol."""

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["nats"]


def nats(symbols: Array, mean: Array, log_scale: Array) -> Array:
    """-ln of the logistic's mass on [symbol - 1/2, symbol + 1/2], element by element.

    With i = 1/scale and d = |symbol - mean| the mass is sig((1/2 - d) i) sig((1/2 + d) i) (1 - exp(-i)), sig
    the logistic function: products stay exact where a difference of two sigs would vanish.
    """
    i = jnp.exp(-log_scale)
    d = jnp.abs(symbols - mean)
    return jax.nn.softplus(-(0.5 - d) * i) + jax.nn.softplus(-(0.5 + d) * i) - jnp.log(-jnp.expm1(-i))
