"""Numbers as colours: diverging around zero, or from nothing to much. Needs the extra ``show``.

The maps are Matplotlib's RdBu and viridis: ordered in lightness, and told apart by colour-blind readers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import MissingExtraError
from codec.show_figure import ColourBar

try:
    from matplotlib import colormaps
except ImportError as error:
    raise MissingExtraError(
        f"colours: matplotlib is not installed ({error}); run: pip install 'split-codec[show]'"
    ) from None

__all__ = ["Colours", "diverging", "rising"]

_SHARE = 0.99
"""Of the values that are not zero, those that colours tell apart; the few beyond have the last colour."""


class Colours:
    """A colour map between two numbers.

    Args:
        name: Matplotlib's.
        low, high: where it begins and ends; values beyond have its first and last colour.
        beyond: whether there are such.
    """

    def __init__(self, name: str, low: float, high: float, *, beyond: bool) -> None:
        self._map = colormaps[name]
        self.low, self.high, self._beyond = low, high, beyond

    def of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """The colour of each value: uint8 [..., 3]."""
        span = self.high - self.low or 1.0
        colours: NDArray[np.uint8] = self._map(
            np.clip((np.asarray(values, np.float64) - self.low) / span, 0, 1), bytes=True
        )
        return colours[..., :3]

    def bar(self, label: str) -> ColourBar:
        """What the colours mean."""
        steps = np.linspace(self.low, self.high, 200)
        ends = [f"{value:.3g}" for value in (self.low, (self.low + self.high) / 2, self.high)]
        low, middle, high = ends
        if self._beyond:
            low, high = (f"{low} or less" if self.low else low), f"{high} or more"
        return ColourBar(label, (low, middle, high), self.of(steps))


def diverging(values: Sequence[NDArray[Any]]) -> Colours:
    """Blue below zero, white at zero, red above, as far on both sides."""
    largest, top = _reach(values)
    return Colours("RdBu_r", -top, top, beyond=largest > top)


def rising(values: Sequence[NDArray[Any]]) -> Colours:
    """Dark at zero and ever lighter, for values of at least zero."""
    largest, top = _reach(values)
    return Colours("viridis", 0.0, top, beyond=largest > top)


def _reach(values: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """The largest absolute value, and how far the colours go."""
    sizes = np.concatenate([np.abs(np.asarray(some, np.float64)).ravel() for some in values])
    sizes = sizes[sizes > 0]
    if not len(sizes):
        return 0.0, 1.0
    return float(sizes.max()), float(np.quantile(sizes, _SHARE))
