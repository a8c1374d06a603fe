"""What is left of a damaged packet: its good images under their numbers, and the gaps between them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gap", "Salvaged", "joined"]

Gap = tuple[int, int | None]
"""The number of the first missing image, from 0, and how many are missing; None where nobody can know."""


@dataclass(frozen=True, eq=False)
class Salvaged:
    """The good images of a packet and the gaps; every image of the packet is in one of the two.

    Attributes:
        images: uint8 [N, H, W, C].
        numbers: int64 [N], rising: which image of the packet each is, from 0.
        missing: number of the first image and count of each gap, in order, none touching another. The last
            count is None where the packet's end is gone, and with it how many images there were.
        names: a file name for each of ``images``, or None.
    """

    images: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    missing: tuple[Gap, ...]
    names: tuple[str, ...] | None


def joined(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Gaps in order, those that touch as one."""
    result: list[Gap] = []
    for first, count in sorted(gaps, key=lambda gap: gap[0]):
        before, missing = result[-1] if result else (0, None)
        if missing is not None and before + missing == first:
            result.pop()
            result.append((before, None if count is None else missing + count))
        else:
            result.append((first, count))
    return tuple(result)
