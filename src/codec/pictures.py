"""Many images as one picture: labelled rows of them, or a sheet of all, edge to edge."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["difference", "from_sheet", "picture_rows", "sheet"]

_LABEL_WIDTH = 110
_GAP = 3
_LEAST_SIDE = 56


def difference(images: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Absolute difference, inverted: white where the two agree."""
    gap: NDArray[np.int16] = np.abs(images.astype(np.int16) - decoded)
    return np.subtract(255, gap).astype(np.uint8)


def picture_rows(rows: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One row a label, images side by side, small ones enlarged without smoothing: uint8 [H, W, 3].

    Args:
        rows: label to uint8 [N, H, W, C], all of one shape; unless C is 3, the first channel is shown.
    """
    count, height, width, _ = next(iter(rows.values())).shape
    scale = max(1, -(-_LEAST_SIDE // max(height, width)))
    cell_h, cell_w = height * scale + _GAP, width * scale + _GAP
    canvas = Image.new("RGB", (_LABEL_WIDTH + count * cell_w, len(rows) * cell_h + _GAP), "white")
    draw: Any = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(size=13)
    for r, (label, images) in enumerate(rows.items()):
        top = _GAP + r * cell_h
        draw.text((4, top + cell_h // 2 - 8), label, fill="black", font=font)
        for i, image in enumerate(images):
            shown = image if image.shape[2] == 3 else image[..., :1]
            pixels = np.broadcast_to(shown, (height, width, 3)).repeat(scale, 0).repeat(scale, 1)
            canvas.paste(Image.fromarray(np.ascontiguousarray(pixels)), (_LABEL_WIDTH + i * cell_w, top))
    return np.asarray(canvas)


def sheet(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images [N, H, W] or [N, H, W, C] as one picture, edge to edge; black where the last row is short."""
    count, height, width = images.shape[:3]
    across = math.isqrt(count - 1) + 1
    down = -(-count // across)
    padded = np.zeros((down * across, *images.shape[1:]), np.uint8)
    padded[:count] = images
    rows = padded.reshape(down, across, *images.shape[1:]).swapaxes(1, 2)
    return rows.reshape(down * height, across * width, *images.shape[3:])


def from_sheet(picture: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The images of ``shape`` [N, H, W] or [N, H, W, C] that ``sheet`` laid out."""
    count, height, width = shape[:3]
    down, across = picture.shape[0] // height, picture.shape[1] // width
    rows = picture.reshape(down, height, across, width, *shape[3:]).swapaxes(1, 2)
    return rows.reshape(-1, *shape[1:])[:count]
