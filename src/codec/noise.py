"""Noise as the denoising tutorial adds it: uint8 images in, noisy uint8 images out. NumPy alone."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["noisy"]


def noisy(images: NDArray[np.uint8], deviation: float, seed: int) -> NDArray[np.uint8]:
    """Images with white Gaussian noise, clipped and rounded: uint8 [N, H, W, C].

    Noise takes values below 0 and above 1, and between the 256 levels. They are clipped and rounded because
    what a sender can hold is bytes: a camera saturates, and a file has 8 bits a value.

    Args:
        images: uint8 [N, H, W, C].
        deviation: standard deviation of the noise on the scale of 0 to 1; the article's is 0.4.
        seed: of the noise; the same seed makes the same images.
    """
    rng = np.random.default_rng(seed)
    return np.rint(np.clip(images / 255 + deviation * rng.standard_normal(images.shape), 0, 1) * 255).astype(
        np.uint8
    )
