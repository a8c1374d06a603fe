"""Warped training images: small turns, stretches and slants, so that a network sees more than there is."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["augmented"]

_TURN = 0.08
"""Standard deviation of the angle, in radians."""
_STRETCH = 0.05
"""Of the logarithm of the two scales."""
_SLANT = 0.07
_CONTRAST = 1.06
"""Interpolation softens an image by about as much as this gives back."""
_MIDDLE = 128
_DARK = 6
"""Fainter values are black: the ringing of interpolation on a black ground."""


def augmented(images: NDArray[np.uint8], share: float, seed: list[int]) -> NDArray[np.uint8]:
    """uint8 ``images`` [N, H, W, C] with a random ``share`` (0..1) of them warped; decided by ``seed``."""
    random = np.random.default_rng(seed)
    chosen = np.flatnonzero(random.random(len(images)) < share)
    result = images.copy()
    turns = random.normal(0, _TURN, len(chosen))
    stretches = np.exp(random.normal(0, _STRETCH, (len(chosen), 2)))
    slants = random.normal(0, _SLANT, len(chosen))
    for i, turn, (across, down), slant in zip(chosen, turns, stretches, slants, strict=True):
        cosine, sine = np.cos(turn), np.sin(turn)
        turned = np.array([[cosine, -sine], [sine, cosine]])
        result[i] = _warp(images[i], turned @ np.array([[across, slant], [0, down]]))
    return result


def _warp(image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """``image`` [H, W, C] seen through ``matrix`` about its middle, its edges continued outwards."""
    height, width, channels = image.shape
    margin = max(height, width) // 4
    sides = ((margin, margin), (margin, margin), (0, 0))
    padded = np.pad(image, sides, mode="edge")
    middle = np.array([width, height]) / 2
    shift = middle + margin - matrix @ middle
    terms = (*matrix[0], shift[0], *matrix[1], shift[1])
    warped = np.stack(
        [
            np.asarray(
                Image.fromarray(padded[..., c]).transform(
                    (width, height), Image.Transform.AFFINE, terms, Image.Resampling.BICUBIC
                ),
                np.float32,
            )
            for c in range(channels)
        ],
        axis=-1,
    )
    sharp = (warped - _MIDDLE) * _CONTRAST + _MIDDLE
    return np.where(sharp < _DARK, 0, np.clip(np.rint(sharp), 0, 255)).astype(np.uint8)
