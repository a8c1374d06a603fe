"""The networks of ``codec.synthesis`` in NumPy: a few images, without the second that JAX takes to start.

Both forms compute the same function in float32 and differ in the order of their sums only.
"""

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Convolutional, Dense, Residual, Upsampling
from codec.registry import networks_of
from codec.spatial_context import to_blocks

__all__ = ["Parameters", "convolutional", "dense", "float_images", "residual", "synthesise", "upsampling"]

Floats = NDArray[np.float32]
Layer = Mapping[str, Floats]
Parameters = Mapping[str, Layer]
"""The weights as ``Bundle.parameters`` gives them: {layer: {"kernel": ..., "bias": ...}}."""

Index = tuple[int, int, slice, slice, slice]

_KERNEL = 3


def synthesise(
    architecture: Architecture, parameters: Parameters, codes: Floats, quality: int
) -> NDArray[np.uint8]:
    """Images of ``codes`` [N, h, w, code channels] at ``quality``: uint8 [N, H, W, C], halves to even."""
    # As in JAX, weights and codes that overflow are no reason to warn.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.rint(float_images(architecture, parameters, codes, quality) * 255).astype(np.uint8)


def float_images(architecture: Architecture, parameters: Parameters, codes: Floats, quality: int) -> Floats:
    """The same before rounding: float32 in 0..1, of an architecture that has its synthesis in NumPy."""
    synthesis = networks_of(architecture).numpy_synthesis
    assert synthesis is not None
    return synthesis(architecture, parameters, codes, quality)


def convolutional(architecture: Convolutional, parameters: Parameters, codes: Floats, quality: int) -> Floats:
    """``codec.synthesis.ConvolutionalSynthesis``."""
    x = codes
    for i in range(architecture.layers):
        x = np.maximum(_convolve(x, parameters[f"transposed_{i}"], stride=2), 0)
    return _sigmoid(_convolve(x, parameters["convolution"]))


def upsampling(architecture: Upsampling, parameters: Parameters, codes: Floats, quality: int) -> Floats:
    """``codec.synthesis.UpsamplingSynthesis``."""
    x = codes
    for i in range(architecture.layers):
        x = np.maximum(_convolve(x, parameters[f"convolution_{i}"]), 0)
        x = x.repeat(2, axis=1).repeat(2, axis=2)
    return _sigmoid(_convolve(x, parameters["convolution"]))


def _sigmoid(logits: Floats) -> Floats:
    images: Floats = np.reciprocal(1 + np.exp(-logits))
    return images


def dense(a: Dense, parameters: Parameters, codes: Floats, quality: int) -> Floats:
    """``codec.synthesis.DenseSynthesis``."""
    n = len(codes)
    elements = codes.transpose(0, 3, 1, 2).reshape(n, -1)[:, : a.elements]
    scaling = parameters["codes"]
    elements = elements * np.exp(scaling["log_gain"][quality]) + scaling["bias"][quality]
    x = _leaky_relu(_multiply(elements, parameters["dense_0"], quality))
    x = x + _leaky_relu(_multiply(x, parameters["dense_1"], quality))
    grid = (x @ parameters["dense_2"]["kernel"]).reshape(n, a.rows, a.columns, -1)
    x = _leaky_relu(grid + parameters["dense_2"]["bias"][quality])
    for i in range(a.layers - 1):
        x = _depth_to_space(_leaky_relu(_convolve(x, parameters[f"convolution_{i}"])))
    x = _depth_to_space(_convolve(x, parameters[f"convolution_{a.layers - 1}"]))
    linear = elements @ parameters["linear"]["kernel"] + parameters["linear"]["bias"]
    images: Floats = np.clip(x + linear.reshape(x.shape), 0, 1)
    return images


def residual(a: Residual, parameters: Parameters, codes: Floats, quality: int) -> Floats:
    """``codec.synthesis.ResidualSynthesis``."""
    scaling = parameters["codes"]
    elements = to_blocks(codes) * np.exp(scaling["log_gain"][quality]) + scaling["bias"][quality]
    x = _leaky_relu(_convolve(elements, _at(parameters["convolution_0"], quality)))
    for i in range(a.blocks):
        bent = _leaky_relu(_convolve(x, _at(parameters[f"residual_{i}"], quality)))
        x = x + bent @ parameters[f"mix_{i}"]["kernel"]
    x = _leaky_relu(_convolve(x, _at(parameters["convolution_1"], quality)))
    x = _convolve(_depth_to_space(x), _at(parameters["convolution_2"], quality))
    linear = elements @ parameters["linear"]["kernel"] + parameters["linear"]["bias"]
    x = x + _depth_to_space(linear)
    for _ in range(a.layers):
        x = _depth_to_space(x)
    images: Floats = np.clip(x, 0, 1)
    return images


def _at(layer: Layer, quality: int) -> Layer:
    """A layer that has a bias for each quality, at one."""
    return {"kernel": layer["kernel"], "bias": layer["bias"][quality]}


def _multiply(x: Floats, layer: Layer, quality: int) -> Floats:
    """[N, I] to [N, features], with the bias of a quality."""
    y: Floats = x @ layer["kernel"] + layer["bias"][quality]
    return y


def _leaky_relu(x: Floats) -> Floats:
    """x where positive, a fifth of it elsewhere."""
    y: Floats = np.maximum(x, x * np.float32(0.2))
    return y


def _depth_to_space(x: Floats) -> Floats:
    """[N, H, W, 4C] to [N, 2H, 2W, C], from the order (row, column, channel) of a cell's 2x2 neighbours."""
    n, h, w, depth = x.shape
    x = x.reshape(n, h, w, 2, 2, depth // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, depth // 4)


def _convolve(x: Floats, layer: Layer, stride: int = 1) -> Floats:
    """3x3 convolution, stride 2 the transposed one, zero padding: to [N, stride H, stride W, features].

    Each tap of the kernel is a matrix product of its own; what it gives is added where it belongs.
    """
    n, h, w, inputs = x.shape
    kernel, bias = layer["kernel"], layer["bias"]
    taps = (x.reshape(-1, inputs) @ kernel).reshape(_KERNEL, _KERNEL, n, h, w, -1)
    phases = np.empty((stride, stride, n, h, w, len(bias)), np.float32)
    phases[...] = bias
    for target, tap in _LINKS[stride]:
        phases[target] += taps[tap]
    return phases.transpose(2, 3, 0, 4, 1, 5).reshape(n, stride * h, stride * w, -1)


def _links(stride: int) -> list[tuple[Index, Index]]:
    """For each tap, where in [phase row, phase column, N, H, W] it goes, and which of its values do.

    Along one axis tap k of cell i goes to output i + 1 - k with stride 1, and 2i + 2 - k with stride 2. In
    both that is phase (stride - k) mod stride of cell i + floor((stride - k) / stride).
    """
    everything = slice(None)
    shifts = {
        -1: (slice(None, -1), slice(1, None)),
        0: (everything, everything),
        1: (slice(1, None), slice(None, -1)),
    }
    links: list[tuple[Index, Index]] = []
    for row, column in product(range(_KERNEL), repeat=2):
        (down, phase_row), (right, phase_column) = (
            divmod(stride - row, stride),
            divmod(stride - column, stride),
        )
        (to_rows, rows), (to_columns, columns) = shifts[down], shifts[right]
        target = phase_row, phase_column, everything, to_rows, to_columns
        links.append((target, (row, column, everything, rows, columns)))
    return links


_LINKS = {stride: _links(stride) for stride in (1, 2)}
