"""How large the bundles of the shipped pairs are."""

from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.rows import Size, plain

__all__ = ["rows"]


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows; they depend on neither argument."""
    bundles = (file for file in files("codec.shipped").iterdir() if file.name.endswith(".msgpack"))
    return plain(
        Size(file.name, len(file.read_bytes())) for file in sorted(bundles, key=lambda file: file.name)
    )
