"""How a picture is cut into tiles, and where a network looks to make one of them: whole numbers alone.

A tile's codes are those of the whole picture, so whoever makes them, or pixels from them, looks at a window
around the tile that reaches as far as the network does. A window ends where the padded picture does, so that
the zeros a convolution pads with stand at the picture's border and nowhere else: there are no seams.
"""

from typing import NamedTuple

__all__ = [
    "MOST_MARGIN",
    "MOST_SIDE",
    "MOST_TILES",
    "TILE",
    "Window",
    "aligned",
    "longest_window",
    "look",
    "tile_count",
    "tile_span",
    "tiles_along",
]

TILE = 512
"""Pixels along the side of a tile: part of the packet format. A whole multiple of every alignment."""
MOST_SIDE = (1 << 31) - 1
"""Pixels along the side of a picture."""
MOST_TILES = 1 << 32
"""Tiles of a picture."""

_STEP = 128
"""What sides of windows are multiples of, so that pictures of all sizes share a few compiled functions."""
MOST_MARGIN = TILE - _STEP
"""Pixels that a network may reach: a window then stays within the tiles next to its own."""


def aligned(side: int, alignment: int) -> int:
    """``side`` rounded up to a whole multiple of ``alignment``."""
    return -(-side // alignment) * alignment


def tiles_along(side: int) -> int:
    """Tiles along a side of so many pixels."""
    return -(-side // TILE)


def tile_count(height: int, width: int) -> int:
    """Tiles of a picture; they count row by row."""
    return tiles_along(height) * tiles_along(width)


def tile_span(index: int, side: int) -> tuple[int, int]:
    """The first pixel of tile ``index`` along a side, and the first behind it."""
    return index * TILE, min((index + 1) * TILE, side)


class Window(NamedTuple):
    """Where to look along one side of a padded picture, in pixels: whole multiples of its alignment.

    Attributes:
        whole: the window in the picture.
        tile: the tile in the window.
    """

    whole: slice
    tile: slice

    def cells(self, stride: int) -> "Window":
        """The same in codes, ``stride`` pixels each."""
        whole, tile = (slice(part.start // stride, part.stop // stride) for part in self)
        return Window(whole, tile)


def longest_window(side: int, alignment: int, margin: int) -> int:
    """What no window along a side is longer than."""
    return min(aligned(side, alignment), aligned(TILE + 2 * margin, _STEP))


def look(index: int, side: int, alignment: int, margin: int) -> Window:
    """The window for tile ``index`` along a side.

    At the picture's borders it is moved inwards and lengthened rather than cut, where there are pixels.

    Args:
        side: of the picture, before it is padded to a whole multiple of ``alignment``.
        margin: pixels around the tile that it depends on, a whole multiple of ``alignment``.
    """
    whole = aligned(side, alignment)
    start, stop = tile_span(index, whole)
    low, high = max(0, start - margin), min(whole, stop + margin)
    length = min(whole, aligned(high - low, _STEP))
    low = min(low, whole - length)
    return Window(slice(low, low + length), slice(start - low, stop - low))
