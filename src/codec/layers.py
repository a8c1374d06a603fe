"""Convolution layers for both halves, in forms that a CPU runs fast and that compute the textbook function.

A stride-2 transposed convolution is written as one ordinary convolution that makes the four output phases
side by side in depth; the convolution behind it can read that depth form directly. XLA's own forms dilate
the input with zeros and run several times slower on a CPU (``docs/performance.md``). The tests hold every
form to flax's ``ConvTranspose``, ``Conv`` and ``max_pool``.

"Depth form" of an array [N, 2H, 2W, C] is [N, H, W, 4C]: the 2x2 neighbours of a cell lie side by side in
depth, in the order (row, column, channel).
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

__all__ = [
    "HE_NORMAL",
    "Convolution",
    "PhaseConvolution",
    "QualityDense",
    "QualityGain",
    "TransposedConvolution",
    "depth_to_space",
    "leaky_relu",
    "max_pool",
    "space_to_depth",
]

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_KERNEL = 3
HE_NORMAL = nn.initializers.he_normal()
"""For the kernels in front of ReLUs (He and others 2015)."""
_NO_TAP = _KERNEL * _KERNEL
"""Index of the all-zero tap that pads a rearranged kernel."""


def _convolve(x: Array, kernel: Array, padding: Any) -> Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=_LAYOUT)


@jax.custom_vjp
def max_pool(x: Array) -> Array:
    """Largest value of each 2x2 block: [N, H, W, C] to [N, H/2, W/2, C], H and W even.

    The gradient is shared equally among equal maxima. Written out by hand because the automatic one
    scatters, which makes the first layer's backward pass four times slower on a CPU.
    """
    return _reduce_blocks(jnp.maximum, x)


def _reduce_blocks(combine: Callable[[Array, Array], Array], x: Array) -> Array:
    """2x2 blocks folded by slices of axes of length two, which XLA turns into plain vector loops."""
    n, h, w, c = x.shape
    rows = x.reshape(n, h // 2, 2, w // 2, 2 * c)
    pairs = combine(rows[:, :, 0], rows[:, :, 1]).reshape(n, h // 2, w // 2, 2, c)
    return combine(pairs[:, :, :, 0], pairs[:, :, :, 1])


def _max_pool_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    y = max_pool(x)
    return y, (x, y)


def _max_pool_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array]:
    x, y = saved
    n, h, w, c = x.shape
    is_max = x.reshape(n, h // 2, 2, w // 2, 2, c) == y[:, :, None, :, None, :]
    # The barrier makes XLA write the mask once instead of recomputing it for each of its readers.
    mask = lax.optimization_barrier(is_max.astype(x.dtype).reshape(x.shape))
    share = gradient / _reduce_blocks(jnp.add, mask)
    blocks = mask.reshape(n, h // 2, 2, w // 2, 2, c) * share[:, :, None, :, None, :]
    return (blocks.reshape(x.shape),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def depth_to_space(x: Array) -> Array:
    """Depth form to plain: [N, H, W, 4C] to [N, 2H, 2W, C]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c // 4)


def space_to_depth(x: Array) -> Array:
    """Plain to depth form: [N, 2H, 2W, C] to [N, H, W, 4C]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // 2, w // 2, 4 * c)


def _transposed_taps() -> np.ndarray:
    """Which tap of the 3x3 kernel links an input cell of a 2x2 window to an output phase.

    Along one axis output 2i is x[i-1] k[0] + x[i] k[2] and output 2i+1 is x[i] k[1].
    Returns int [window row, window column, phase row, phase column].
    """
    axis = np.array([[0, -1], [2, 1]])
    rows, columns = axis[:, None, :, None], axis[None, :, None, :]
    return np.where((rows < 0) | (columns < 0), _NO_TAP, rows * _KERNEL + columns)


def _phase_taps() -> np.ndarray:
    """Which tap of a 3x3 kernel at full size links an input phase of a 3x3 window to an output phase.

    Along one axis tap k of output phase a reads position a + k - 1, which is phase (a + k - 1) mod 2 of
    the cell floor((a + k - 1) / 2).
    Returns int [window row, window column, input phase row, input phase column, output phase row, column].
    """
    axis = np.full((_KERNEL, 2, 2), -1)
    for a in range(2):
        for k in range(_KERNEL):
            cell, phase = divmod(a + k - 1, 2)
            axis[cell + 1, phase, a] = k
    rows, columns = axis[:, None, :, None, :, None], axis[None, :, None, :, None, :]
    return np.where((rows < 0) | (columns < 0), _NO_TAP, rows * _KERNEL + columns)


_TRANSPOSED_TAPS = _transposed_taps()
_PHASE_TAPS = _phase_taps()


def _pick_taps(kernel: Array, taps: np.ndarray) -> Array:
    """Taps of ``kernel`` [3, 3, I, O] gathered by index: [*taps.shape, I, O]; index 9 is a tap of zeros."""
    height, width, inputs, outputs = kernel.shape
    flat = kernel.reshape(height * width, inputs, outputs)
    return jnp.concatenate([flat, jnp.zeros_like(flat[:1])])[taps]


class _Layer(nn.Module):
    """A 3x3 kernel and a bias for each feature, initialised as Keras does (Glorot uniform, zeros)."""

    features: int
    kernel_init: nn.initializers.Initializer = nn.initializers.glorot_uniform()

    def weights(self, inputs: int) -> tuple[Array, Array]:
        shape = (_KERNEL, _KERNEL, inputs, self.features)
        kernel: Array = self.param("kernel", self.kernel_init, shape)
        bias: Array = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return kernel, bias


class Convolution(_Layer):
    """3x3 convolution, stride 1, zero padding: [N, H, W, I] to [N, H, W, features].

    ``gathered``: as one matrix product over gathered columns, the faster form on a CPU where there are few
    inputs or many features.
    """

    gathered: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel, bias = self.weights(x.shape[-1])
        if not self.gathered:
            return _convolve(x, kernel, "SAME") + bias
        n, height, width, inputs = x.shape
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = [padded[:, r : r + height, c : c + width] for r in range(_KERNEL) for c in range(_KERNEL)]
        columns = jnp.concatenate(taps, -1).reshape(-1, _KERNEL * _KERNEL * inputs)
        return (columns @ kernel.reshape(-1, self.features)).reshape(n, height, width, -1) + bias


class TransposedConvolution(_Layer):
    """3x3 transposed convolution, stride 2, SAME: [N, H, W, I] to depth form [N, H, W, 4 features].

    ``depth_to_space`` of the result equals ``flax.linen.ConvTranspose(features, (3, 3), (2, 2))``.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inputs = x.shape[-1]
        kernel, bias = self.weights(inputs)
        taps = _pick_taps(kernel, _TRANSPOSED_TAPS)
        phases = taps.transpose(0, 1, 4, 2, 3, 5).reshape(2, 2, inputs, 4 * self.features)
        # The barrier stops XLA from fusing the rearrangement behind into the convolution's loop.
        y: Array = lax.optimization_barrier(_convolve(x, phases, ((1, 0), (1, 0))) + jnp.tile(bias, 4))
        return y


class PhaseConvolution(_Layer):
    """``Convolution`` for an input in depth form: [N, H, W, 4I] to depth form [N, H, W, 4 features].

    A layer with few features at full size starves the processor; in depth form it has four times as many.
    """

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inputs = x.shape[-1] // 4
        kernel, bias = self.weights(inputs)
        taps = _pick_taps(kernel, _PHASE_TAPS)
        phases = taps.transpose(0, 1, 2, 3, 6, 4, 5, 7)
        phases = phases.reshape(_KERNEL, _KERNEL, 4 * inputs, 4 * self.features)
        return _convolve(x, phases, "SAME") + jnp.tile(bias, 4)


def leaky_relu(x: Array) -> Array:
    """x where positive, a fifth of it elsewhere."""
    return jnp.where(x > 0, x, 0.2 * x)


class QualityDense(nn.Module):
    """A dense layer with a bias for each quality: [N, I] to [N, features].

    The kernel starts as He's normal (2015) for ReLUs, times ``scale``; the biases start at zero.
    """

    features: int
    qualities: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: Array, quality: Array | int) -> Array:
        start = nn.initializers.variance_scaling(2 * self.scale**2, "fan_in", "normal")
        kernel: Array = self.param("kernel", start, (x.shape[-1], self.features))
        biases: Array = self.param("bias", nn.initializers.zeros_init(), (self.qualities, self.features))
        return x @ kernel + biases[quality]


class QualityGain(nn.Module):
    """A bias and a positive gain for each element and quality."""

    elements: int
    qualities: int

    @nn.compact
    def __call__(self, quality: Array | int) -> tuple[Array, Array]:
        """Bias and gain [elements], or [N, elements] where ``quality`` is [N]."""
        shape = (self.qualities, self.elements)
        biases: Array = self.param("bias", nn.initializers.zeros_init(), shape)
        logs: Array = self.param("log_gain", nn.initializers.zeros_init(), shape)
        return biases[quality], jnp.exp(logs[quality])
