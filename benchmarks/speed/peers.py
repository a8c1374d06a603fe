"""Image formats as peers: every image a file of its own, at settings of about 30 dB where they are lossy.

The settings are read off the rates that the benchmarks measured on MNIST. PNG is lossless.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.imagefiles import png_bytes

__all__ = ["PEERS", "Peer"]

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Peer:
    """A format.

    Attributes:
        setting: in words.
        encode: pixels [H, W] to a file's bytes.
        decode: those back to pixels.
    """

    setting: str
    encode: Callable[[Pixels], bytes]
    decode: Callable[[bytes], Pixels]


def _open(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"))


def _webp(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=14)
    return buffer.getvalue()


def _jpeg_xl(pixels: Pixels) -> bytes:
    codec = _imagecodecs()
    return bytes(codec.jpegxl_encode(pixels, distance=6, effort=7, usecontainer=False, numthreads=1))


def _jpeg_xl_decode(data: bytes) -> Pixels:
    return np.asarray(_imagecodecs().jpegxl_decode(data, numthreads=1))


def _imagecodecs() -> Any:
    import imagecodecs  # where it is not installed, the others can still be measured

    return imagecodecs


PEERS = {
    "PNG": Peer("optimised", png_bytes, _open),
    "JPEG XL": Peer("distance 6, effort 7", _jpeg_xl, _jpeg_xl_decode),
    "WebP": Peer("quality 14", _webp, _open),
}
"""By name."""
