"""Convolution layers for both halves, in forms that a CPU runs fast and that compute the textbook function.

XLA's own transposed convolution dilates its input with zeros and runs several times slower on a CPU than its
arithmetic, and so do convolutions with few features (``docs/performance.md``). So a stride-2 transposed
convolution is written as the four small convolutions that make its output's phases, and a last convolution
with few features reads these phases as they are. A convolution over repeated pixels is written the same way.
The tests hold every form to flax's ``ConvTranspose``, ``Conv`` and ``max_pool``.

"Phases" of an array [N, 2H, 2W, C] are four arrays [N, H, W, C]: each 2x2 block's first, second, third and
last value. "Depth form" is [N, H, W, 4C]: the phases side by side in depth.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

from codec.architecture import Residual

__all__ = [
    "HE_NORMAL",
    "Convolution",
    "PhaseConvolution",
    "QualityConvolution",
    "QualityDense",
    "QualityGain",
    "TransposedConvolution",
    "UpsampledConvolution",
    "depth_to_space",
    "interleave",
    "leaky_relu",
    "max_pool",
    "residual_blocks",
    "space_to_depth",
]

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_KERNEL = 3
_VECTOR = 16
"""Columns of a matrix product that a processor's widest registers hold."""
HE_NORMAL = nn.initializers.he_normal()
"""For the kernels in front of ReLUs (He and others 2015)."""

_SMALL = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
"""For what is added to a path around it."""

Phases = tuple[Array, Array, Array, Array]


def _convolve(x: Array, kernel: Array, padding: Any) -> Array:
    if kernel.shape[:2] == (1, 1):  # a matrix product, which XLA does not see in it
        return x @ kernel[0, 0]
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


def interleave(phases: Phases) -> Array:
    """Phases [N, H, W, C] to plain: [N, 2H, 2W, C]."""
    n, h, w, c = phases[0].shape
    x = jnp.stack(phases).reshape(2, 2, n, h, w, c).transpose(2, 3, 0, 4, 1, 5)
    return x.reshape(n, 2 * h, 2 * w, c)


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
    """3x3 convolution, stride 1, zero padding: [N, H, W, I] to [N, H, W, features]."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel, bias = self.weights(x.shape[-1])
        return _convolve(x, kernel, "SAME") + bias


class TransposedConvolution(_Layer):
    """3x3 transposed convolution, stride 2, SAME: [N, H, W, I] to the phases of [N, 2H, 2W, features].

    ``interleave`` of the result equals ``flax.linen.ConvTranspose(features, (3, 3), (2, 2))``: along one axis
    output 2i is x[i-1] k[0] + x[i] k[2], and output 2i+1 is x[i] k[1].
    """

    @nn.compact
    def __call__(self, x: Array) -> Phases:
        kernel, bias = self.weights(x.shape[-1])
        even, odd = (slice(0, None, 2), (1, 0)), (slice(1, 2), (0, 0))
        a, b, c, d = (
            _convolve(x, kernel[rows, columns], (above, left)) + bias
            for rows, above in (even, odd)
            for columns, left in (even, odd)
        )
        return a, b, c, d


class UpsampledConvolution(_Layer):
    """``Convolution`` over repeated pixels: [N, H, W, I] to the phases of [N, 2H, 2W, features].

    ``interleave`` of the result equals the convolution of the array with every pixel made a 2x2 block of its
    like: along one axis output 2i is x[i-1] k[0] + x[i] (k[1] + k[2]), and output 2i+1 is
    x[i] (k[0] + k[1]) + x[i+1] k[2]. That is 4 products for each output in the place of 9.
    """

    @nn.compact
    def __call__(self, x: Array) -> Phases:
        kernel, bias = self.weights(x.shape[-1])

        def merged(taps: Array, odd: int) -> Array:
            """Of three taps along the first axis the two that a phase has."""
            first, second = (taps[:2].sum(0), taps[2]) if odd else (taps[0], taps[1:].sum(0))
            return jnp.stack([first, second])

        by_row = [merged(kernel, odd).swapaxes(0, 1) for odd in (0, 1)]
        kernels = [merged(taps, odd).swapaxes(0, 1) for taps in by_row for odd in (0, 1)]
        sides = ((1, 0), (0, 1))
        paddings = [(above, left) for above in sides for left in sides]
        a, b, c, d = (
            _convolve(x, one, padding) + bias for one, padding in zip(kernels, paddings, strict=True)
        )
        return a, b, c, d


class PhaseConvolution(_Layer):
    """``Convolution`` for few features of an input in phases [N, H, W, I]: [N, 2H, 2W, features].

    A convolution with few features leaves most of a vector register empty. Here every tap's products with
    the input are columns of one matrix product, and are added up where they belong.
    """

    @nn.compact
    def __call__(self, phases: Phases) -> Array:
        kernel, bias = self.weights(phases[0].shape[-1])
        return _convolve_phases(phases, kernel) + bias


@jax.custom_vjp
def _convolve_phases(phases: Phases, kernel: Array) -> Array:
    """3x3 convolution with zero padding of an array in phases [N, H, W, I]: [N, 2H, 2W, O]."""
    n, height, width, inputs = phases[0].shape
    outputs = kernel.shape[-1]
    columns = kernel.transpose(2, 0, 1, 3).reshape(inputs, -1)
    columns = jnp.pad(columns, ((0, 0), (0, -columns.shape[1] % _VECTOR)))
    products = []
    for number, phase in enumerate(phases):
        # Of the cells around the image only those behind phase 0 and before phase 1 are read.
        rows, sides = (((0, 1), (1, 0))[part] for part in divmod(number, 2))
        padded = jnp.pad(phase, ((0, 0), rows, sides, (0, 0)))
        # The barrier keeps XLA from computing the products anew for each of their readers.
        products.append(lax.optimization_barrier(padded @ columns))

    def output(row: int, column: int) -> Array:
        """One phase of the result: along an axis tap k of phase a reads position a + k - 1 of its block."""
        total = jnp.zeros((n, height, width, outputs))
        for tap in range(_KERNEL * _KERNEL):
            (i, a), (j, b) = (divmod(at - 1, 2) for at in (row + tap // _KERNEL, column + tap % _KERNEL))
            rows, sides = slice(i + a, i + a + height), slice(j + b, j + b + width)
            total += products[2 * a + b][:, rows, sides, tap * outputs : (tap + 1) * outputs]
        return total

    return interleave((output(0, 0), output(0, 1), output(1, 0), output(1, 1)))


def _convolve_phases_forward(phases: Phases, kernel: Array) -> tuple[Array, tuple[Phases, Array]]:
    return _convolve_phases(phases, kernel), (phases, kernel)


def _convolve_phases_backward(saved: tuple[Phases, Array], gradient: Array) -> tuple[Phases, Array]:
    phases, kernel = saved
    _, height, width, inputs = phases[0].shape
    outputs = kernel.shape[-1]
    padded = jnp.pad(gradient, ((0, 0), (1, 1), (1, 1), (0, 0)))
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, inputs)
    towards_phases, towards_kernel = [], jnp.zeros_like(turned)
    for number, phase in enumerate(phases):
        row, column = divmod(number, 2)
        taps = [
            padded[:, row + r : row + r + 2 * height : 2, column + c : column + c + 2 * width : 2]
            for r in range(_KERNEL)
            for c in range(_KERNEL)
        ]
        columns = lax.optimization_barrier(jnp.concatenate(taps, -1).reshape(-1, len(turned)))
        towards_phases.append((columns @ turned).reshape(phase.shape))
        towards_kernel += columns.T @ phase.reshape(-1, inputs)
    kernel_gradient = towards_kernel.reshape(_KERNEL, _KERNEL, outputs, inputs)[::-1, ::-1]
    a, b, c, d = towards_phases
    return (a, b, c, d), kernel_gradient.transpose(0, 1, 3, 2)


_convolve_phases.defvjp(_convolve_phases_forward, _convolve_phases_backward)


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


class QualityConvolution(nn.Module):
    """``Convolution`` with a bias for each quality: [N, H, W, I] to [N, H, W, features].

    The kernel starts as He's normal (2015) for ReLUs, times ``scale``; the biases start at zero.
    """

    features: int
    qualities: int
    scale: float = 1.0

    @nn.compact
    def __call__(self, x: Array, quality: Array | int) -> Array:
        """For one ``quality``, or one for each image."""
        start = nn.initializers.variance_scaling(2 * self.scale**2, "fan_in", "normal")
        kernel: Array = self.param("kernel", start, (_KERNEL, _KERNEL, x.shape[-1], self.features))
        biases: Array = self.param("bias", nn.initializers.zeros_init(), (self.qualities, self.features))
        return _convolve(x, kernel, "SAME") + biases[quality].reshape(-1, 1, 1, self.features)


def residual_blocks(architecture: Residual, x: Array, quality: Array | int) -> Array:
    """x + mix(leaky ReLU(convolution(x))) for each block, mix a matrix: [N, H, W, filters] to the same.

    Layers of the module that calls this.
    """
    a = architecture
    for i in range(a.blocks):
        bent = leaky_relu(QualityConvolution(a.filters, a.qualities, name=f"residual_{i}")(x, quality))
        x = x + nn.Dense(a.filters, use_bias=False, kernel_init=_SMALL, name=f"mix_{i}")(bent)
    return x


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
