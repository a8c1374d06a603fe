"""Where everything in a figure stands, in pixels: images enlarged by whole numbers, and text.

The same for PNG and SVG; ``codec.show_files`` makes them of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import ImageFont

from codec.errors import LimitError
from codec.limits import DEFAULT_LIMITS
from codec.show_figure import ColourBar, Figure, Pixels, Row, column_widths, plain_lines

__all__ = ["Layout", "Placed", "Text", "font", "lay_out"]

_MARGIN, _GAP, _BLOCK_GAP, _LABEL_GAP = 8, 4, 10, 12
_LABEL_SIZE, _SMALL_SIZE = 14, 12
_LINE, _SMALL_LINE = 17, 15
_WIDER = 1.15
"""How much wider than Pillow's a browser's sans-serif may be."""
_INK, _GREY = "#000000", "#555555"
_BAR = (240, 10)


@dataclass(frozen=True)
class Text:
    """A line of text: ``x`` is where it starts, or its middle or its end by ``anchor``; ``y`` its middle."""

    x: float
    y: float
    text: str
    size: int
    colour: str
    anchor: str = "start"


@dataclass(frozen=True, eq=False)
class Placed:
    """An image, uint8 [h, w, 3], with its upper left corner, enlarged to ``width`` x ``height``."""

    x: int
    y: int
    width: int
    height: int
    image: Pixels


@dataclass(frozen=True, eq=False)
class Layout:
    """Where everything stands on a white ground, in pixels; images are ``framed`` by a thin line or not."""

    width: int
    height: int
    images: Sequence[Placed]
    texts: Sequence[Text]
    framed: bool


def lay_out(figure: Figure) -> Layout:
    """Where everything stands.

    Raises:
        LimitError: the picture would be larger than an image file that can be read.
    """
    left = _MARGIN + max((_label_width(row.label) for row in figure.rows), default=0)
    widths = column_widths(figure.rows, lambda cell: cell.image.shape[1] * cell.scale, _text_width)
    starts = [left]
    for width in widths:
        starts.append(starts[-1] + width + _GAP)
    width, top = starts[-1] - _GAP + _MARGIN, _MARGIN
    images: list[Placed] = []
    texts: list[Text] = []
    for block in figure.blocks:
        for row in block:
            top += _place_row(row, top, starts, widths, images, texts) + _GAP
        top += _BLOCK_GAP - _GAP
    top += _MARGIN - _BLOCK_GAP
    if figure.bar is not None:
        top, needed = _place_bar(figure.bar, left, top, images, texts)
        width = max(width, needed)
    if width * top > DEFAULT_LIMITS.image_file_pixels:
        raise LimitError(
            f"picture: expected at most {DEFAULT_LIMITS.image_file_pixels:,} pixels, found "
            f"{width:,}x{top:,}; show fewer images, or smaller ones"
        )
    return Layout(width, top, images, texts, figure.framed)


def _place_row(
    row: Row, top: int, starts: list[int], widths: list[int], images: list[Placed], texts: list[Text]
) -> int:
    """Add what the row consists of, and return its height."""
    cells = [cell for cell in row.cells if cell is not None]
    tallest = max((cell.image.shape[0] * cell.scale for cell in cells), default=0)
    lines = plain_lines(row.label) if row.label else []
    label = _LINE + _SMALL_LINE * (len(lines) - 1) if lines else 0
    height = max(tallest, label)
    at = top + (height - label) / 2
    for i, line in enumerate(lines):
        step, size, colour = (_SMALL_LINE, _SMALL_SIZE, _GREY) if i else (_LINE, _LABEL_SIZE, _INK)
        texts.append(Text(_MARGIN, at + step / 2, line, size, colour))
        at += step
    captioned = any(cell.caption for cell in cells)
    for start, width, cell in zip(starts, widths, row.cells, strict=False):
        if cell is None:
            continue
        high, wide = (side * cell.scale for side in cell.image.shape[:2])
        x = start + (width - wide) // 2
        images.append(Placed(x, top, wide, high, cell.rgb))
        if cell.caption:
            (line,) = plain_lines(cell.caption)
            texts.append(
                Text(start + width / 2, top + high + _SMALL_LINE / 2 + 1, line, _SMALL_SIZE, _GREY, "middle")
            )
    return height + (_SMALL_LINE if captioned else 0)


def _place_bar(
    bar: ColourBar, left: int, top: int, images: list[Placed], texts: list[Text]
) -> tuple[int, int]:
    """Add a colour bar, and return the picture's height with it and the width it needs."""
    width, height = _BAR
    images.append(Placed(left, top, width, height, bar.colours[None]))
    for i, (tick, anchor) in enumerate(zip(bar.ticks, ("start", "middle", "end"), strict=True)):
        y = top + height + _SMALL_LINE / 2 + 1
        texts.append(Text(left + i * width / 2, y, tick, _SMALL_SIZE, _GREY, anchor))
    x = left + width + _LABEL_GAP
    texts.append(Text(x, top + height / 2, bar.label, _SMALL_SIZE, _INK))
    return top + height + _SMALL_LINE + _MARGIN, x + _text_width(bar.label) + _MARGIN


def _label_width(label: str) -> int:
    if not label:
        return 0
    first, *rest = plain_lines(label)
    return max(_text_width(first, _LABEL_SIZE), *map(_text_width, rest), 0) + _LABEL_GAP


def _text_width(text: str, size: int = _SMALL_SIZE) -> int:
    length: float = font(size).getlength(text)
    return round(length * _WIDER)


@cache
def font(size: int) -> Any:
    """Pillow's own sans-serif font."""
    return ImageFont.load_default(size=size)
