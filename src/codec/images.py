"""What the user holds <-> what the model takes: checks, batch axes, uint8 <-> float, padding and cropping."""

from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import ImageError

__all__ = ["as_batch", "crop", "pad", "to_float", "whole_number"]

_COLOUR_CHANNELS = (3, 4)
_EXPECTED = "uint8, or float in 0..1, shaped [N,H,W,C], [N,H,W] or one image [H,W,C] or [H,W]"


def as_batch(images: Any, channels: int) -> NDArray[Any]:
    """Images as uint8 or float32 [N, H, W, C] with N, H and W at least 1.

    A missing batch axis is added, and for grey pairs a missing channel axis. An array of three axes is
    read as [H, W, C] if its last axis has the pair's channels, and as [N, H, W] otherwise; for a grey pair
    one whose last axis is 3 or 4 long is refused: it is a colour image far more often than a batch.

    Args:
        images: anything ``numpy.asarray`` takes: uint8, or floating point in 0..1.
        channels: channels of the pair.

    Raises:
        ImageError: another type, a value that is not in 0..1, or a shape that does not fit.
    """
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise ImageError(f"images: expected {_EXPECTED}; these do not form one array: {error}") from None
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise ImageError(
            f"images: expected {_EXPECTED}; found type {array.dtype}. Convert with .astype(numpy.uint8)"
        )
    array = _with_axes(array, channels)
    if 0 in array.shape:
        raise ImageError(f"images: expected at least one image of one pixel, found shape {array.shape}")
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):  # also true for NaN
            raise ImageError(
                f"images: expected floats in 0..1, found {low:g} to {high:g}; divide by the largest value"
            )
        array = array.astype(np.float32)
    return np.ascontiguousarray(array)


def _with_axes(array: NDArray[Any], channels: int) -> NDArray[Any]:
    shape = array.shape
    if array.ndim == 4 and shape[3] == channels:
        return array
    if array.ndim == 3 and shape[2] == channels:
        return array[None]
    if array.ndim == 3 and channels == 1 and shape[2] not in _COLOUR_CHANNELS:
        return array[..., None]
    if array.ndim == 2 and channels == 1:
        return array[None, ..., None]
    raise ImageError(
        f"images: expected {_EXPECTED}, where C is {channels} for this pair; found shape {shape}"
    )


def whole_number(value: Any) -> int | None:
    """``value`` as an int where it is a whole number of Python's or NumPy's, and None where it is not."""
    try:
        # NumPy's arrays have an __index__, and most of them no index.
        return None if isinstance(value, bool) else index(value)
    except TypeError:
        return None


def to_float(images: Any) -> Any:
    """uint8 0..255 to float32 0..1; floats pass. Takes NumPy and JAX arrays."""
    return images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images


def pad(images: NDArray[Any], alignment: int) -> NDArray[Any]:
    """Repeat the last row and column until height and width are whole multiples of ``alignment``."""
    _, height, width, _ = images.shape
    below, right = -height % alignment, -width % alignment
    if not below and not right:
        return images
    return np.pad(images, ((0, 0), (0, below), (0, right), (0, 0)), mode="edge")


def crop(images: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Take the padding off again."""
    return images[:, :height, :width]
