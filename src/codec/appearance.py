"""How unlike the images of a domain an image looks: a distance over a few figures of its pixels, no network.

Each channel has seven figures: standard deviation, mean, mean absolute difference across and down, mean
absolute Laplacian, and the shares of nearly black and nearly white pixels; of all of them the square root,
which makes their distributions less lopsided. The distance is Mahalanobis's, squared: from the mean figures
of the domain, in units of how they vary together there. The size of an image does not matter.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIGURES", "Appearance", "figures"]

FIGURES = 7
"""Of each channel."""
_DARK, _BRIGHT = 10, 245
_RIDGE = 1e-3
"""Of each figure's variance, added to it: figures that hardly vary, or together, must not decide alone."""
_LEAST_VARIANCE = 1e-6
_AT_ONCE_VALUES = 1 << 20


def figures(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The figures of uint8 ``images`` [N, H, W, C]: float64 [N, 7 C]."""
    size = max(1, _AT_ONCE_VALUES // max(1, images[0].size)) if len(images) else 1
    parts = [_figures(images[start : start + size]) for start in range(0, len(images), size)]
    return np.concatenate([np.zeros((0, FIGURES * images.shape[3])), *parts])


def _figures(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    pixels = images.astype(np.float32) / np.float32(255)
    # Beyond an edge the picture goes on as it was, so that there is a difference even of a single pixel.
    framed = np.pad(pixels, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    middle = slice(1, -1)
    across, down = np.diff(framed[:, middle], axis=2), np.diff(framed[:, :, middle], axis=1)
    laplacian = np.diff(across, axis=2) + np.diff(down, axis=1)
    of_pixels = (
        pixels,
        np.abs(across),
        np.abs(down),
        np.abs(laplacian),
        images <= _DARK,
        images >= _BRIGHT,
    )
    means = [values.mean((1, 2), dtype=np.float64) for values in of_pixels]
    deviation = pixels.std((1, 2), dtype=np.float64)
    found: NDArray[np.float64] = np.sqrt(np.concatenate([deviation, *means], axis=1))
    return found


@dataclass(frozen=True, eq=False)
class Appearance:
    """What the images of a domain look like.

    Attributes:
        mean: float64 [F], of the figures.
        precision: float64 [F, F], the inverse of their covariance.
    """

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> "Appearance":
        """That of uint8 ``images`` [N, H, W, C]."""
        found = figures(images)
        covariance = np.atleast_2d(np.cov(found.T)) if len(found) > 1 else np.zeros((found.shape[1],) * 2)
        covariance += np.diag(_RIDGE * np.diag(covariance) + _LEAST_VARIANCE)
        return cls(found.mean(0), np.linalg.inv(covariance).astype(np.float64))

    def distance(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """How far each of uint8 ``images`` [N, H, W, C] lies from the mean: float64 [N]."""
        apart = figures(images) - self.mean
        squared: NDArray[np.float64] = np.einsum("ni,ij,nj->n", apart, self.precision, apart)
        return squared

    def to_record(self) -> dict[str, Any]:
        """Plain values, as a bundle's provenance holds them."""
        return {"mean": self.mean.tolist(), "precision": self.precision.tolist()}
