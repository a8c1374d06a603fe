"""Rows of images as one labelled picture, uint8 [H, W, 3]."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["difference", "picture_rows"]

_LABEL_WIDTH = 110
_GAP = 3
_LEAST_SIDE = 56


def difference(images: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Absolute difference, inverted: white where the two agree."""
    gap: NDArray[np.int16] = np.abs(images.astype(np.int16) - decoded)
    return np.subtract(255, gap).astype(np.uint8)


def picture_rows(rows: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One row a label, images side by side, small ones enlarged without smoothing.

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
