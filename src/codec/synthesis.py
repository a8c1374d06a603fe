"""The receiver's half: codes to images, float32 [N, h, w, code channels] to [N, h s, w s, C] in 0..1."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from codec.architecture import Architecture, Convolutional, Dense, Residual, Upsampling
from codec.layers import (
    HE_NORMAL,
    Convolution,
    PhaseConvolution,
    QualityConvolution,
    QualityDense,
    QualityGain,
    TransposedConvolution,
    UpsampledConvolution,
    depth_to_space,
    interleave,
    leaky_relu,
    residual_blocks,
    space_to_depth,
)
from codec.registry import networks_of

__all__ = [
    "ConvolutionalSynthesis",
    "DenseSynthesis",
    "ResidualSynthesis",
    "UpsamplingSynthesis",
    "build_synthesis",
    "synthesise",
]


class ConvolutionalSynthesis(nn.Module):
    """The article's decoder: (3x3 transposed convolution, ReLU) for each layer, 3x3 convolution, sigmoid.

    The last transposed convolution's output stays in phases, which the last convolution reads.
    """

    architecture: Convolutional

    @nn.compact
    def __call__(self, codes: Array, quality: Array | int = 0) -> Array:
        """Images in 0..1; they do not depend on the quality."""
        return self.unclipped(codes, quality)

    def unclipped(self, codes: Array, quality: Array | int = 0) -> Array:
        """The same: a sigmoid never leaves 0..1."""
        return nn.sigmoid(self.logits(codes))

    @nn.compact
    def logits(self, codes: Array) -> Array:
        """What the sigmoid takes: a loss computed from it stays finite where the image saturates."""
        x = codes
        last = self.architecture.layers - 1
        for i in range(self.architecture.layers):
            phases = TransposedConvolution(self.architecture.filters, name=f"transposed_{i}")(x)
            a, b, c, d = map(nn.relu, phases)
            if i != last:
                x = interleave((a, b, c, d))
        return PhaseConvolution(self.architecture.image_channels, name="convolution")((a, b, c, d))


class UpsamplingSynthesis(ConvolutionalSynthesis):
    """(3x3 convolution, ReLU, every pixel made a 2x2 block) for each layer, 3x3 convolution, sigmoid.

    A doubling and the convolution after it are one layer, which never sees the repeated pixels.
    """

    architecture: Upsampling

    @nn.compact
    def logits(self, codes: Array) -> Array:
        """What the sigmoid takes."""
        a = self.architecture
        x = nn.relu(Convolution(a.filters, name="convolution_0")(codes))
        for i in range(1, a.layers):
            x = nn.relu(interleave(UpsampledConvolution(a.filters, name=f"convolution_{i}")(x)))
        return interleave(UpsampledConvolution(a.image_channels, name="convolution")(x))


class DenseSynthesis(nn.Module):
    """The dense analysis in mirror: a linear map of the codes plus dense layers and convolutions."""

    architecture: Dense

    @nn.compact
    def __call__(self, codes: Array, quality: Array | int) -> Array:
        """Images in 0..1 of codes at ``quality``: one number, or one for each image."""
        return jnp.clip(self.unclipped(codes, quality), 0, 1)

    @nn.compact
    def unclipped(self, codes: Array, quality: Array | int) -> Array:
        """Images that may leave 0..1, where a loss still has a gradient."""
        a = self.architecture
        elements = codes.transpose(0, 3, 1, 2).reshape(len(codes), -1)[:, : a.elements]
        bias, gain = QualityGain(a.elements, a.qualities, name="codes")(quality)
        codes = elements * gain + bias
        x = leaky_relu(QualityDense(a.units, a.qualities, name="dense_0")(codes, quality))
        x = x + leaky_relu(QualityDense(a.units, a.qualities, 0.5, name="dense_1")(x, quality))
        x = leaky_relu(ChannelDense(a, name="dense_2")(x, quality))
        for i, features in enumerate(reversed(a.filters[:-1])):
            layer = Convolution(4 * features, HE_NORMAL, name=f"convolution_{i}")
            x = depth_to_space(leaky_relu(layer(x)))
        x = Convolution(4 * a.image_channels, HE_NORMAL, name=f"convolution_{a.layers - 1}")(x)
        linear = nn.Dense(a.pixels, name="linear")(codes)
        x = depth_to_space(x)
        return x + linear.reshape(x.shape)


class ChannelDense(nn.Module):
    """From the dense layers back to the grid: [N, units] to [N, rows, columns, filters].

    A bias for each quality and channel.
    """

    architecture: Dense

    @nn.compact
    def __call__(self, x: Array, quality: Array | int) -> Array:
        a = self.architecture
        features = a.filters[-1]
        kernel: Array = self.param("kernel", HE_NORMAL, (x.shape[-1], a.rows * a.columns * features))
        biases: Array = self.param("bias", nn.initializers.zeros_init(), (a.qualities, features))
        return (x @ kernel).reshape(-1, a.rows, a.columns, features) + biases[quality].reshape(
            -1, 1, 1, features
        )


class ResidualSynthesis(nn.Module):
    """The residual analysis in mirror: a linear map of each block's elements plus convolutions."""

    architecture: Residual

    @nn.compact
    def __call__(self, codes: Array, quality: Array | int) -> Array:
        """Images in 0..1 of codes at ``quality``: one number, or one for each image."""
        return jnp.clip(self.unclipped(codes, quality), 0, 1)

    @nn.compact
    def unclipped(self, codes: Array, quality: Array | int) -> Array:
        """Images that may leave 0..1, where a loss still has a gradient."""
        a = self.architecture
        bias, gain = QualityGain(a.elements, a.qualities, name="codes")(quality)
        bias, gain = (v.reshape(-1, 1, 1, a.elements) for v in (bias, gain))
        elements = space_to_depth(codes) * gain + bias
        x = leaky_relu(QualityConvolution(a.filters, a.qualities, name="convolution_0")(elements, quality))
        x = residual_blocks(a, x, quality)
        x = leaky_relu(QualityConvolution(2 * a.filters, a.qualities, name="convolution_1")(x, quality))
        x = QualityConvolution(a.pixels // 4, a.qualities, 0.1, name="convolution_2")(
            depth_to_space(x), quality
        )
        x += depth_to_space(nn.Dense(a.pixels, name="linear")(elements))
        for _ in range(a.layers):
            x = depth_to_space(x)
        return x


def build_synthesis(architecture: Architecture) -> nn.Module:
    """The synthesis of an architecture of any kind."""
    return networks_of(architecture).synthesis(architecture)


def synthesise(architecture: Architecture, parameters: Any, codes: Array, quality: int) -> Array:
    """Images of ``codes`` at ``quality`` as bytes: uint8 [N, H, W, C], halves to even."""
    images = build_synthesis(architecture).apply({"params": parameters}, codes, quality)
    assert isinstance(images, Array)
    return jnp.round(images * 255).astype(jnp.uint8)
