"""Distortion between images in 0..1 and what the synthesis makes of them, as scalars to minimise."""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

__all__ = ["LOSSES"]


def binary_cross_entropy(logits: Array, images: Array) -> Array:
    """Mean of -x log y - (1-x) log(1-y) in nats, y the sigmoid of the logits: the article's loss.

    From the logits, so that it is finite and exact where y rounds to 0 or 1.
    """
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, images))


def mean_squared_error(logits: Array, images: Array) -> Array:
    """Mean of (y-x)^2."""
    return jnp.mean((nn.sigmoid(logits) - images) ** 2)


def mean_absolute_error(logits: Array, images: Array) -> Array:
    """Mean of |y-x|."""
    return jnp.mean(jnp.abs(nn.sigmoid(logits) - images))


LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "bce": binary_cross_entropy,
    "mse": mean_squared_error,
    "l1": mean_absolute_error,
}
"""Loss by the name that ``--loss`` takes: (logits, images) to a scalar."""
