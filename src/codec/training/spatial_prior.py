"""What training believes of symbols of images of any size: a logistic for each, told by its neighbourhood.

The elements of a block of the codes come in groups, and each group in two passes over a checkerboard of
blocks: the even ones, then the odd ones. A pass sees the groups before its own in the block and the eight
around it, and the second pass also its own group in the four even blocks beside. Each has a linear map and
one hidden layer of its own. ``codec.training.spatial_integers`` turns this into integers, which is all that
coding ever uses.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from codec.context_arithmetic import LOG_SCALES
from codec.spatial_context import SIDES, TAPS

__all__ = ["SpatialPrior", "spatial_groups"]

_FIRST_GROUPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""As principal components rank them: what each tells of the next falls as they grow."""


def spatial_groups(elements: int) -> tuple[int, ...]:
    """Sizes of the groups that the elements of a block are coded in."""
    groups: list[int] = []
    for size in _FIRST_GROUPS:
        if sum(groups) + 2 * size > elements:
            break
        groups.append(size)
    return (*groups, elements - sum(groups))


class SpatialPrior(nn.Module):
    """Mean and log scale of each symbol's logistic.

    Attributes:
        groups: elements of each group.
        units: hidden units of each pass.
        qualities: operating points.
    """

    groups: tuple[int, ...]
    units: int
    qualities: int

    @nn.compact
    def __call__(self, symbols: Array, quality: Array) -> tuple[Array, Array]:
        """Means and log scales [N, rows, columns, D] of (soft) symbols of that shape at ``quality`` [N]."""
        rows, columns, elements = symbols.shape[1:]
        by_code = (2, self.qualities, elements)
        zeros = nn.initializers.zeros_init()
        start = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
        small = nn.initializers.variance_scaling(2e-3, "fan_in", "normal")
        smaller = nn.initializers.variance_scaling(2e-2, "fan_in", "normal")
        mean: Array = self.param("mean", zeros, by_code)
        log_scale: Array = self.param("log_scale", zeros, by_code)
        gain_in: Array = self.param("log_gain_in", zeros, by_code[1:])
        gain_out: Array = self.param("log_gain_out", zeros, by_code[1:])
        bias: Array = self.param("hidden_bias", zeros, (self.qualities, 2 * len(self.groups), self.units))
        # By image, once: the gradient of looking up is slow.
        means, log_scales, biases = mean[:, quality], log_scale[:, quality], bias[quality][:, None]
        mean_gain = jnp.exp(gain_out[quality])[:, None]
        inputs = symbols * jnp.exp(gain_in[quality])[:, None, None]
        # An even grid splits into parities by slices, whose gradients are fast.
        high, wide = rows + rows % 2, columns + columns % 2
        around = jnp.pad(inputs, ((0, 0), (1, 1 + rows % 2), (1, 1 + columns % 2), (0, 0)))
        # Split at once, and not sliced one by one: the gradient is then one array, and not a sum of as many.
        by_group = jnp.split(around, np.cumsum(self.groups)[:-1], axis=-1)
        known: list[list[Array]] = [[], []]
        told: list[list[tuple[Array, Array]]] = [[], []]
        before = 0
        for group, size in enumerate(self.groups):
            part = slice(before, before + size)
            taps = [_split(by_group[group][:, i : i + high, j : j + wide]) for i, j in TAPS]
            for parity in (0, 1):
                number = 2 * group + parity
                blocks = taps[0][parity].shape[:2]
                beside = [taps[i][1] for i in SIDES] if parity else []
                u = jnp.concatenate([jnp.zeros((*blocks, 0)), *known[parity], *beside], -1)
                m, s = (v[parity][:, None, part] for v in (means, log_scales))
                m, s = (jnp.broadcast_to(v, (*blocks, size)) for v in (m, s))
                if u.shape[-1]:
                    into: Array = self.param(f"hidden_{number}", start, (u.shape[-1], self.units))
                    mean_out: Array = self.param(f"mean_out_{number}", small, (self.units, size))
                    scale_out: Array = self.param(f"scale_out_{number}", smaller, (self.units, size))
                    linear: Array = self.param(f"linear_{number}", zeros, (u.shape[-1], size))
                    # Products with one matrix each, as matrices of few columns are slow.
                    both = u @ jnp.concatenate([into, linear], 1)
                    h = nn.relu(both[..., : self.units] + biases[:, :, number])
                    out = h @ jnp.concatenate([mean_out, scale_out], 1)
                    mean_change = out[..., :size] + both[..., self.units :]
                    m += mean_change * mean_gain[..., part]
                    s += out[..., size:]
                told[parity].append((m, s))
            for parity in (0, 1):
                known[parity] += [tap[parity] for tap in taps]
            before += size
        even, odd = ([jnp.concatenate(parts, -1) for parts in zip(*half, strict=True)] for half in told)
        m, s = (_join(e, o, high, wide)[:, :rows, :columns] for e, o in zip(even, odd, strict=True))
        return m, jnp.clip(s, LOG_SCALES[0], LOG_SCALES[-1])


def _split(x: Array) -> tuple[Array, Array]:
    """The even and the odd blocks of [N, rows, columns, D], both even: [N, rows x columns / 2, D] each."""
    count, rows, columns, elements = x.shape
    x = x.reshape(count, rows // 2, 2, columns // 2, 2, elements)
    even = jnp.stack([x[:, :, 0, :, 0], x[:, :, 1, :, 1]], axis=2)
    odd = jnp.stack([x[:, :, 0, :, 1], x[:, :, 1, :, 0]], axis=2)
    return even.reshape(count, -1, elements), odd.reshape(count, -1, elements)


def _join(even: Array, odd: Array, rows: int, columns: int) -> Array:
    """The reverse: [N, rows, columns, D]."""
    count, _, elements = even.shape
    even, odd = (x.reshape(count, rows // 2, 2, columns // 2, elements) for x in (even, odd))
    first = jnp.stack([even[:, :, 0], odd[:, :, 0]], axis=3)
    second = jnp.stack([odd[:, :, 1], even[:, :, 1]], axis=3)
    return jnp.stack([first, second], axis=2).reshape(count, rows, columns, elements)
