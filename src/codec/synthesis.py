"""The receiver's half: codes to images, float32 [N, h, w, code channels] to [N, h s, w s, C] in 0..1."""

import flax.linen as nn
from jax import Array

from codec.architecture import Architecture
from codec.layers import PhaseConvolution, TransposedConvolution, depth_to_space

__all__ = ["Synthesis"]


class Synthesis(nn.Module):
    """The article's decoder: (3x3 transposed convolution, ReLU) for each layer, 3x3 convolution, sigmoid.

    The last transposed convolution stays in depth form, which the last convolution reads.
    """

    architecture: Architecture

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        """Images in 0..1."""
        return nn.sigmoid(self.logits(codes))

    @nn.compact
    def logits(self, codes: Array) -> Array:
        """What the sigmoid takes: a loss computed from it stays finite where the image saturates."""
        x = codes
        last = self.architecture.layers - 1
        for i in range(self.architecture.layers):
            x = nn.relu(TransposedConvolution(self.architecture.filters, name=f"transposed_{i}")(x))
            if i != last:
                x = depth_to_space(x)
        x = PhaseConvolution(self.architecture.image_channels, name="convolution")(x)
        return depth_to_space(x)
