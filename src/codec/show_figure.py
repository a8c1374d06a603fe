"""A picture of many small images in labelled rows, whatever it is drawn on.

What enters: uint8 images with their labels and captions. What leaves: a PNG or SVG file, pixels, or a drawing
in the terminal. ``codec.show`` makes the pictures.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import ImageError, OptionError
from codec.files import write_bytes

__all__ = [
    "Block",
    "Cell",
    "ColourBar",
    "Drawing",
    "Figure",
    "Row",
    "check_ending",
    "column_widths",
    "plain_lines",
]

Pixels = NDArray[np.uint8]

_SIDE = 56
"""Pixels that the longer side of an image has at least, once it is enlarged."""
_ENDINGS = (".png", ".svg")


@dataclass(frozen=True, eq=False)
class Cell:
    """One image and what stands below it.

    Attributes:
        image: uint8 [h, w, C]; unless C is 3, the first channel is shown, as grey.
        caption: one line.
    """

    image: Pixels
    caption: str = ""

    def __post_init__(self) -> None:
        image: Any = self.image
        if (
            not isinstance(image, np.ndarray)
            or image.dtype != np.uint8
            or image.ndim != 3
            or 0 in image.shape
        ):
            found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise ImageError(f"picture: expected images of uint8 [H, W, C], found {found}")

    @property
    def rgb(self) -> Pixels:
        """What is shown, uint8 [h, w, 3]."""
        shown = self.image if self.image.shape[2] == 3 else self.image[..., :1]
        return np.ascontiguousarray(np.broadcast_to(shown, (*shown.shape[:2], 3)))

    @property
    def scale(self) -> int:
        """By how much it is enlarged."""
        longest: int = max(self.image.shape[:2])
        return max(1, -(-_SIDE // longest))


@dataclass(frozen=True, eq=False)
class Row:
    """Images side by side.

    Attributes:
        label: what stands to their left, of one line or more; all but the first are small.
        cells: the images; None leaves a place empty.
    """

    label: str
    cells: Sequence[Cell | None]


Block = Sequence[Row]
"""Rows that belong together."""


@dataclass(frozen=True, eq=False)
class ColourBar:
    """What colours mean.

    Attributes:
        label: the quantity.
        ticks: what stands at the lowest colour, in the middle and at the highest.
        colours: uint8 [N, 3], from the lowest value to the highest.
    """

    label: str
    ticks: tuple[str, str, str]
    colours: Pixels


class Drawing(ABC):
    """What can be written as a file: PNG or SVG by its ending, the same bytes each time."""

    @abstractmethod
    def png(self) -> bytes:
        """A PNG file."""

    @abstractmethod
    def svg(self) -> bytes:
        """An SVG file."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all.

        Raises:
            OptionError: it ends neither in .png nor in .svg.
            FileError: it cannot be written.
        """
        write_bytes(path, self.svg() if check_ending(path) == ".svg" else self.png())

    def _repr_png_(self) -> bytes:
        """For notebooks."""
        return self.png()


@dataclass(frozen=True, eq=False)
class Figure(Drawing):
    """Blocks of rows, one below the other, with images in columns.

    Attributes:
        blocks: the rows.
        bar: what colours mean, at the bottom.
        framed: whether a thin grey line is around each image, for those that may be as white as the paper.
    """

    blocks: Sequence[Block]
    bar: ColourBar | None = None
    framed: bool = False

    @property
    def rows(self) -> list[Row]:
        """Of all blocks."""
        return [row for block in self.blocks for row in block]

    def pixels(self) -> Pixels:
        """The picture as uint8 [H, W, 3].

        Raises:
            LimitError: larger than an image file that can be read. So too ``png``, ``svg`` and ``save``.
        """
        from codec.show_files import to_pixels
        from codec.show_layout import lay_out

        return to_pixels(lay_out(self))

    def png(self) -> bytes:
        from codec.imagefiles import png_bytes

        return png_bytes(self.pixels())

    def svg(self) -> bytes:
        from codec.show_files import to_svg
        from codec.show_layout import lay_out

        return to_svg(lay_out(self))

    def draw(self, console: Any = None) -> None:
        """Draw it in the terminal.

        Args:
            console: a ``rich.console.Console``; None is standard output's.

        Raises:
            OptionError: no terminal, without colours, or too narrow.
        """
        from codec.show_terminal import draw

        draw(self, console)


def check_ending(path: str | os.PathLike[str]) -> str:
    """The ending of a file's name: .png or .svg; ``OptionError`` for another."""
    ending = Path(path).suffix.lower()
    if ending not in _ENDINGS:
        raise OptionError(
            f"{os.fspath(path)}: expected a file that ends in {' or '.join(_ENDINGS)}, which is then its kind"
        )
    return ending


def plain_lines(text: str) -> list[str]:
    """The lines of a label, without anything that a terminal would obey or a file could not hold."""
    return [
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        for line in text.split("\n")
    ]


def column_widths(
    rows: Iterable[Row], of_image: Callable[[Cell], int], of_caption: Callable[[str], int]
) -> list[int]:
    """The width that each column needs for its images and their captions, by the two functions."""
    widths: list[int] = []
    for row in rows:
        widths += [0] * (len(row.cells) - len(widths))
        for i, cell in enumerate(row.cells):
            if cell is not None:
                widths[i] = max(widths[i], of_image(cell), of_caption(cell.caption) if cell.caption else 0)
    return widths
