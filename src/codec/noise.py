"""Gaussian noise on images, as a sensor adds it: the same for the same seed, whoever adds it."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["noisy"]


def noisy(
    images: NDArray[np.uint8], deviation: float | NDArray[np.floating], seed: int | list[int]
) -> NDArray[np.uint8]:
    """uint8 ``images`` [N, H, W, C] plus noise, clipped to black and white and rounded to bytes.

    Clipped and rounded because that is what a sender can hold: an image in bytes.

    Args:
        deviation: standard deviation on the scale of 0 to 1; one for all images, or one for each, [N].
        seed: a number, or several.
    """
    random = np.random.default_rng(seed)
    deviations = np.broadcast_to(np.asarray(deviation, np.float64), len(images))
    result = np.empty_like(images)
    with np.errstate(over="ignore"):  # whatever is that far out is clipped
        for i, (image, spread) in enumerate(zip(images, deviations, strict=True)):
            levels = image / 255 + spread * random.standard_normal(image.shape)
            result[i] = np.rint(np.clip(levels, 0, 1) * 255)
    return result
