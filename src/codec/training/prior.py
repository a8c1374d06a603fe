"""What training believes of the symbols: a logistic for each, told by the symbols before it.

The elements come in groups. Those of a group depend on the groups before it, through a linear map and one
hidden layer, and not on each other; the first group has means and scales of its own, by quality. Export turns
this into integers (``codec.training.integers``), which is all that coding ever uses.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from codec.context_arithmetic import LOG_SCALES, MEAN_PARTS

__all__ = ["BITS_PER_NAT", "Prior", "default_groups", "on_grid"]

_FIRST_GROUPS = (2, 4, 4, 6, 8, 8, 12, 12, 24, 40, 64)
"""Small groups first: most of what an image is stands in its first elements, and each tells of the next."""


def default_groups(elements: int) -> tuple[int, ...]:
    """Sizes of the groups that ``elements`` are coded in."""
    groups: list[int] = []
    for size in _FIRST_GROUPS:
        if sum(groups) + 2 * size > elements:
            break
        groups.append(size)
    while elements - sum(groups) > 4 * _FIRST_GROUPS[-1] and elements - sum(groups) > 4 * groups[-1]:
        groups.append(2 * groups[-1])
    return (*groups, elements - sum(groups))


class Prior(nn.Module):
    """Mean and log scale of each symbol's logistic.

    Attributes:
        groups: elements of each group.
        units: hidden units that each group but the last adds for those behind it.
        qualities: operating points.
    """

    groups: tuple[int, ...]
    units: int
    qualities: int

    @nn.compact
    def __call__(self, symbols: Array, quality: Array) -> tuple[Array, Array]:
        """Means and log scales [N, D] of (soft) symbols [N, D] at ``quality`` [N]."""
        group = np.repeat(np.arange(len(self.groups)), self.groups)
        block = np.repeat(np.arange(len(self.groups) - 1), self.units)
        elements, hidden = len(group), len(block)
        by_code = (self.qualities, elements)
        zeros = nn.initializers.zeros_init()
        mean: Array = self.param("mean", zeros, by_code)
        log_scale: Array = self.param("log_scale", zeros, by_code)
        m, s = mean[quality], log_scale[quality]
        if hidden:
            # Masks keep what a group sees to the groups before it.
            sees = jnp.asarray((group[:, None] <= block), jnp.float32)
            tells = jnp.asarray((block[:, None] < group), jnp.float32)
            before = jnp.asarray((group[:, None] < group), jnp.float32)
            gain_in: Array = self.param("log_gain_in", zeros, by_code)
            gain_out: Array = self.param("log_gain_out", zeros, by_code)
            start = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
            small = nn.initializers.variance_scaling(2e-3, "fan_in", "normal")
            smaller = nn.initializers.variance_scaling(2e-2, "fan_in", "normal")
            into: Array = self.param("hidden", start, (elements, hidden))
            bias: Array = self.param("hidden_bias", zeros, (self.qualities, hidden))
            mean_out: Array = self.param("mean_out", small, (hidden, elements))
            scale_out: Array = self.param("scale_out", smaller, (hidden, elements))
            linear: Array = self.param("linear", zeros, (elements, elements))
            u = symbols * jnp.exp(gain_in[quality])
            h = nn.relu(u @ (into * sees) + bias[quality])
            m = m + (h @ (mean_out * tells) + u @ (linear * before)) * jnp.exp(gain_out[quality])
            s = s + h @ (scale_out * tells)
        return m, jnp.clip(s, LOG_SCALES[0], LOG_SCALES[-1])


def on_grid(mean: Array, log_scale: Array) -> tuple[Array, Array]:
    """The nearest mean and log scale that exported tables are made for; gradients pass straight through.

    Of an element that is nearly always zero a sixteenth in the mean can be most of the scale; a prior that
    learns with such means chooses a wider one.
    """
    scale_step = LOG_SCALES[1] - LOG_SCALES[0]
    means = jnp.round(mean * MEAN_PARTS) / MEAN_PARTS
    scales = LOG_SCALES[0] + jnp.round((log_scale - LOG_SCALES[0]) / scale_step) * scale_step
    return (
        mean + lax.stop_gradient(means - mean),
        log_scale + lax.stop_gradient(scales - log_scale),
    )


BITS_PER_NAT = 1 / math.log(2)
