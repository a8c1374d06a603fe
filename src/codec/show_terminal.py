"""A figure in the terminal: half blocks, two pixels a character in 24-bit colours, through Rich."""

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from codec.errors import OptionError
from codec.show_figure import Cell, ColourBar, Row, column_widths, plain_lines

if TYPE_CHECKING:
    from codec.show_figure import Figure

__all__ = ["columns_within", "draw", "terminal"]

_UPPER = "\N{UPPER HALF BLOCK}"
_BAR = 24
_INSTEAD = "write a file instead with -o FILE.png or FILE.svg"


def terminal() -> Console:
    """Standard output's console, once it is known to be a terminal with colours.

    Raises:
        OptionError: it is not.
    """
    console = Console(highlight=False)
    check(console)
    return console


def check(console: Console) -> None:
    """Raise ``OptionError`` unless the console is a terminal with colours."""
    if not console.is_terminal:
        raise OptionError(f"standard output: expected a terminal to draw in; {_INSTEAD}")
    if console.color_system not in ("256", "truecolor", "windows") or console.no_color:
        raise OptionError(
            "terminal: expected one that shows 256 colours or more, as TERM, COLORTERM and NO_COLOR tell; "
            f"{_INSTEAD}"
        )


def columns_within(console: Console, width: int, beside: int = 0) -> int:
    """How many images of ``width`` pixels fit side by side next to one of ``beside``, at least 1."""
    return max(1, (console.width - beside - bool(beside) + 1) // (width + 1))


def draw(figure: "Figure", console: Console | None = None) -> None:
    """Draw a figure, a pixel a column, labels above their rows.

    Raises:
        OptionError: no terminal, without colours, or too narrow.
    """
    console = terminal() if console is None else console
    check(console)
    rows = figure.rows
    widths = column_widths(rows, lambda cell: cell.image.shape[1], len)
    needed = sum(widths) + len(widths) - 1
    if needed > console.width:
        raise OptionError(
            f"terminal: expected at least {needed:,} columns, found {console.width}; make it wider, "
            f"or {_INSTEAD}"
        )
    lines = [line for row in rows for line in _row(row, widths)]
    if figure.bar is not None:
        lines += ["", _bar(figure.bar)]
    for line in lines:
        console.print(line, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)


def _row(row: Row, widths: list[int]) -> list[Text | str]:
    """The lines of a row: its label, then its images, each with its caption below."""
    cells = list(zip(widths, row.cells, strict=False))
    drawn = [(width, [] if cell is None else _captioned(cell, width)) for width, cell in cells]
    lines: list[Text | str] = [Text(", ".join(plain_lines(row.label)))] if row.label else []
    for number in range(max((len(image) for _, image in drawn), default=0)):
        line = Text()
        for width, image in drawn:
            part = image[number] if number < len(image) else Text()
            line.append_text(part).append(" " * (width - len(part) + 1))
        line.rstrip()
        lines.append(line)
    return lines


def _captioned(cell: Cell, width: int) -> list[Text]:
    """The lines of an image and of what stands below its middle."""
    caption = "".join(plain_lines(cell.caption))
    before = " " * ((width - len(caption)) // 2)
    return _halves(cell.rgb) + ([Text(before).append(caption, "dim")] if caption else [])


def _halves(image: NDArray[np.uint8]) -> list[Text]:
    """The lines of an image [h, w, 3]: a character shows a pixel and the one below it."""
    lines = []
    for upper, lower in zip(image[::2], [*image[1::2], None], strict=False):
        line = Text()
        colours = map(_colour, upper), [None] * len(upper) if lower is None else map(_colour, lower)
        for (above, below), run in groupby(zip(*colours, strict=True)):
            line.append(_UPPER * len(list(run)), Style(color=above, bgcolor=below))
        lines.append(line)
    return lines


def _colour(pixel: NDArray[np.uint8]) -> Color:
    red, green, blue = pixel.tolist()
    return Color.from_rgb(red, green, blue)


def _bar(bar: ColourBar) -> Text:
    picked = bar.colours[np.linspace(0, len(bar.colours) - 1, _BAR).round().astype(np.intp)]
    low, _, high = bar.ticks
    line = Text(f"{low} ")
    for pixel in picked:
        line.append("\N{FULL BLOCK}", Style(color=_colour(pixel)))
    return line.append(f" {high}  {bar.label}")
