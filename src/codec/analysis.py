"""The sender's half: images to codes, float32 [N, H, W, C] in 0..1 to float32 [N, H/s, W/s, code channels].

Height and width must be whole multiples of the stride s; ``codec.images`` pads them.
"""

import flax.linen as nn
from jax import Array

from codec.architecture import Architecture
from codec.layers import Convolution, max_pool

__all__ = ["Analysis"]


class Analysis(nn.Module):
    """The article's encoder: (3x3 convolution, ReLU, 2x2 max pool) for each layer."""

    architecture: Architecture

    @nn.compact
    def __call__(self, images: Array) -> Array:
        x = images
        last = self.architecture.layers - 1
        for i in range(self.architecture.layers):
            features = self.architecture.code_channels if i == last else self.architecture.filters
            # ReLU after the pool: it commutes with the maximum and then touches a quarter of the values.
            x = nn.relu(max_pool(Convolution(features, name=f"convolution_{i}")(x)))
        return x
