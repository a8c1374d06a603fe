"""The sender's half: images to codes, float32 [N, H, W, C] in 0..1 to float32 [N, H/s, W/s, code channels].

Height and width must be whole multiples of the stride s; ``codec.images`` pads them.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from codec.architecture import Architecture, Convolutional, Dense, Residual, Upsampling
from codec.layers import (
    HE_NORMAL,
    Convolution,
    QualityConvolution,
    QualityDense,
    QualityGain,
    depth_to_space,
    leaky_relu,
    max_pool,
    residual_blocks,
    space_to_depth,
)
from codec.registry import networks_of

__all__ = [
    "ConvolutionalAnalysis",
    "DenseAnalysis",
    "ResidualAnalysis",
    "UpsamplingAnalysis",
    "analyse",
    "build_analysis",
]


class ConvolutionalAnalysis(nn.Module):
    """The article's encoder: (3x3 convolution, ReLU, 2x2 max pool) for each layer."""

    architecture: Convolutional

    @nn.compact
    def __call__(self, images: Array, quality: Array | int = 0) -> Array:
        """Codes; they do not depend on the quality."""
        x = images
        last = self.architecture.layers - 1
        for i in range(self.architecture.layers):
            features = self.architecture.code_channels if i == last else self.architecture.filters
            # ReLU after the pool: it commutes with the maximum and then touches a quarter of the values.
            x = nn.relu(max_pool(Convolution(features, name=f"convolution_{i}")(x)))
        return x


class UpsamplingAnalysis(ConvolutionalAnalysis):
    """The same."""

    architecture: Upsampling


class DenseAnalysis(nn.Module):
    """A linear map of the pixels plus (2x2 blocks to depth, 3x3 convolution) a layer and three dense layers.

    The linear path starts as the images' principal components and carries most of the rate; the other bends
    it. The codes are in units of the quantiser step of the quality.
    """

    architecture: Dense

    @nn.compact
    def __call__(self, images: Array, quality: Array | int) -> Array:
        """Codes at ``quality``: one number, or one for each image."""
        a = self.architecture
        pixels = images.reshape(len(images), -1)
        x = images
        for i, features in enumerate(a.filters):
            layer = Convolution(features, HE_NORMAL, name=f"convolution_{i}")
            x = leaky_relu(layer(space_to_depth(x)))
        x = leaky_relu(QualityDense(a.units, a.qualities, name="dense_0")(x.reshape(len(x), -1), quality))
        x = x + leaky_relu(QualityDense(a.units, a.qualities, 0.5, name="dense_1")(x, quality))
        x = nn.Dense(a.elements, use_bias=False, name="dense_2")(x)
        x = x + nn.Dense(a.elements, use_bias=False, name="linear")(pixels)
        bias, gain = QualityGain(a.elements, a.qualities, name="codes")(quality)
        x = (x + bias) * gain
        # Element e is channel e // cells, cell e % cells; what no element fills is zero.
        unused = a.rows * a.columns * a.code_channels - a.elements
        channels = jnp.pad(x, ((0, 0), (0, unused))).reshape(-1, a.code_channels, a.rows, a.columns)
        return channels.transpose(0, 2, 3, 1)


class ResidualAnalysis(nn.Module):
    """A linear map of each block of pixels plus convolutions that bend it and see the blocks around.

    The linear path starts as the blocks' principal components. The codes are in units of the quantiser step
    of the quality.
    """

    architecture: Residual

    @nn.compact
    def __call__(self, images: Array, quality: Array | int) -> Array:
        """Codes at ``quality``: one number, or one for each image."""
        a = self.architecture
        cells = images
        for _ in range(a.layers):
            cells = space_to_depth(cells)
        x = leaky_relu(QualityConvolution(a.filters // 2, a.qualities, name="convolution_0")(cells, quality))
        x = leaky_relu(
            QualityConvolution(a.filters, a.qualities, name="convolution_1")(space_to_depth(x), quality)
        )
        x = residual_blocks(a, x, quality)
        elements = nn.Dense(a.elements, use_bias=False, name="elements")(x)
        elements += nn.Dense(a.elements, use_bias=False, name="linear")(space_to_depth(cells))
        bias, gain = QualityGain(a.elements, a.qualities, name="codes")(quality)
        bias, gain = (v.reshape(-1, 1, 1, a.elements) for v in (bias, gain))
        return depth_to_space((elements + bias) * gain)


def build_analysis(architecture: Architecture) -> nn.Module:
    """The analysis of an architecture of any kind."""
    return networks_of(architecture).analysis(architecture)


def analyse(architecture: Architecture, parameters: Any, images: Array, quality: int) -> Array:
    """Codes of padded ``images`` at ``quality``: float32 [N, h, w, code channels]."""
    codes = build_analysis(architecture).apply({"params": parameters}, images, quality)
    assert isinstance(codes, Array)
    return codes
