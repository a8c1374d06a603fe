"""Compiled functions over any number of images: a few fixed batch sizes, so that little is ever compiled."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

__all__ = ["apply_in_batches", "batches"]

_BATCH_SIZES = (1, 16, 256)
"""256 small images' activations stay in a core's cache; the others are for single images and short tails."""
_BATCH_VALUES = 1 << 19
"""Large images go in smaller batches: filling one up must not cost many times the images themselves."""


def batches(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Start, end and size to fill up to of each batch that ``count`` rows go in, under rising ``sizes``."""
    start = 0
    while start < count:
        size = next((s for s in sizes if s >= count - start), sizes[-1])
        end = min(start + size, count)
        yield start, end, size
        start = end


def apply_in_batches(
    function: Callable[..., jax.Array], parameters: Any, array: NDArray[Any], *arguments: Any
) -> NDArray[Any]:
    """``function(parameters, part, *arguments)`` over parts of ``array`` [N, ...], joined again.

    The last part is filled up with copies of its last row to the next fixed size, and cut off again.
    """
    sizes = [s for s in _BATCH_SIZES if s == 1 or s * math.prod(array.shape[1:]) <= _BATCH_VALUES]
    parts: list[NDArray[Any]] = []
    for start, end, size in batches(len(array), sizes):
        part = array[start:end]
        if len(part) < size:
            part = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        parts.append(np.asarray(function(parameters, part, *arguments))[: end - start])
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
