"""Speed and cost of the pairs and of what a user would pick instead: a module a section of the results.

What enters a section: uint8 images [N, 28, 28, 1], and whether to be quick (a few runs of little work) or
full. What leaves it: rows, as plain values. Each comparison is paired: the two are measured in turn, several
times, in processes of their own that stay warm. A peer that cannot run leaves a row that says why.

Sections load when they are run, so that the child processes import nothing that they do not use.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SECTIONS", "Section"]

Section = Callable[["NDArray[np.uint8]", bool], list[dict[str, Any]]]


def _rows(name: str, images: "NDArray[np.uint8]", quick: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = import_module(f"benchmarks.speed.{name}").rows(images, quick)
    return rows


SECTIONS: dict[str, Section] = {
    name: partial(_rows, name)
    for name in (
        "throughput",
        "latency",
        "cold_start",
        "training",
        "memory",
        "sizes",
        "ceiling",
        "growth",
    )
}
"""What makes the rows of each section of the results."""
