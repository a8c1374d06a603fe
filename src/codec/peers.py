"""Image formats that a pair is held against: pixels to a file and back, at settings that favour them.

Pixels are uint8, grey [H, W] or colour [H, W, 3]. Favourable means few bytes at a PSNR: a slow search and,
where a format has the choice, colours that are not subsampled and quantisers that do not favour the eye.
Pillow makes JPEG, WebP, PNG and, from 11.3 on, AVIF; JPEG XL takes imagecodecs, which is in the extra
``bench``.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from codec.errors import MissingExtraError
from codec.imagefiles import png_bytes

__all__ = [
    "PEERS",
    "Peer",
    "avif",
    "jpeg",
    "jpeg_xl",
    "jpeg_xl_decode",
    "jpeg_xl_lossless",
    "open_pixels",
    "png",
    "save_pixels",
    "webp",
    "webp_lossless",
]

Pixels = NDArray[np.uint8]


def save_pixels(pixels: Pixels, image_format: str, **options: Any) -> bytes:
    """What Pillow writes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def open_pixels(data: bytes, mode: str = "L") -> Pixels:
    """What Pillow decodes, in a mode. WebP has colour only, of grey images nearly grey ones."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


def jpeg(pixels: Pixels, step: float, *, progressive: bool = False) -> bytes:
    """A JPEG file whose quantisers all have one step."""
    # One step for all frequencies is what minimises squared error; the usual tables favour the eye and are
    # up to an eighth larger at the same PSNR. Small progressive files are larger: headers are most of them.
    tables = [[round(step)] * 64] * (1 if pixels.ndim == 2 else 2)
    options = {"progressive": True} if progressive else {}
    colours = {} if pixels.ndim == 2 else {"subsampling": 0}
    return save_pixels(pixels, "JPEG", qtables=tables, optimize=True, **options, **colours)


def webp(pixels: Pixels, quality: float) -> bytes:
    """A lossy WebP file."""
    return save_pixels(pixels, "WEBP", quality=round(quality), method=6, exact=True)


def webp_lossless(pixels: Pixels, quality: float) -> bytes:
    """A lossless WebP file; ``quality`` is the search's."""
    return save_pixels(pixels, "WEBP", quality=round(quality), method=6, exact=True, lossless=True)


def avif(pixels: Pixels, quality: float, speed: int = 0) -> bytes:
    """An AVIF file, tuned for PSNR: libavif's default for still pictures favours the eye."""
    return save_pixels(
        pixels,
        "AVIF",
        quality=round(quality),
        speed=speed,
        subsampling="4:0:0" if pixels.ndim == 2 else "4:4:4",
        range="full",
        max_threads=1,
        codec="aom",
        advanced={"tune": "psnr"},
    )


def jpeg_xl(pixels: Pixels, distance: float) -> bytes:
    """A lossy JPEG XL codestream."""
    data = _imagecodecs().jpegxl_encode(
        pixels, distance=distance, effort=9, lossless=False, usecontainer=False, numthreads=1
    )
    return bytes(data)


def jpeg_xl_lossless(pixels: Pixels, effort: float) -> bytes:
    """A lossless JPEG XL codestream."""
    data = _imagecodecs().jpegxl_encode(
        pixels, effort=round(effort), lossless=True, usecontainer=False, numthreads=1
    )
    return bytes(data)


def jpeg_xl_decode(data: bytes, mode: str = "L") -> Pixels:
    """The pixels of a JPEG XL codestream, which are grey or colour as they went in."""
    return np.asarray(_imagecodecs().jpegxl_decode(data, numthreads=1))


def png(pixels: Pixels, level: float) -> bytes:
    """A PNG file; there is one level."""
    return png_bytes(pixels)


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as error:
        raise MissingExtraError(
            f"JPEG XL: imagecodecs is not installed ({error}); run: pip install 'split-codec[bench]'"
        ) from None
    return imagecodecs


@dataclass(frozen=True)
class Peer:
    """A format and the settings it may be measured at.

    Attributes:
        name: the format's.
        parameter: what a setting is.
        settings: from the fewest bytes to the most.
        encode: pixels and a setting to a file.
        decode: a file, and Pillow's name of the mode, L or RGB, to pixels.
        feature: what Pillow calls its part that writes it; None is not written by Pillow.
        lossless: the pixels come back exactly.
        encode_sheet: for a picture of many images side by side, where another way is better or much faster.
    """

    name: str
    parameter: str
    settings: tuple[float, ...]
    encode: Callable[[Pixels, float], bytes]
    decode: Callable[[bytes, str], Pixels] = open_pixels
    feature: str | None = None
    lossless: bool = False
    encode_sheet: Callable[[Pixels, float], bytes] | None = None

    def check(self) -> None:
        """Raise ``MissingExtraError``, which says how to get it, where what it takes is not installed."""
        if self.feature is None:
            _imagecodecs()
        elif not features.check(self.feature):
            raise MissingExtraError(
                f"{self.name}: this Pillow does not write it; run: pip install 'pillow>=11.3'"
            )


_AVIF_SPEED = 3
"""Files of 28x28 images are some 2 % shorter at speed 0, which takes three times as long."""

PEERS = (
    Peer(
        "JPEG",
        "quantiser step",
        (255, 200, 160, 130, 105, 85, 70, 55, 45, 35, 25, 20, 14, 10, 7, 5, 3, 2, 1),
        jpeg,
        feature="jpg",
        encode_sheet=partial(jpeg, progressive=True),
    ),
    Peer(
        "WebP",
        "quality",
        (0, 2, 5, 8, 12, 16, 20, 30, 40, 50, 60, 70, 80, 88, 94, 97, 100),
        webp,
        feature="webp",
    ),
    Peer(
        "AVIF",
        "quality",
        (0, 1, 3, 5, 8, 12, 18, 24, 30, 38, 46, 54, 62, 70, 78, 86, 92, 97, 100),
        partial(avif, speed=_AVIF_SPEED),
        feature="avif",
    ),
    Peer(
        "JPEG XL",
        "distance",
        (25, 20, 15, 12, 10, 8, 6, 4.5, 3.5, 2.5, 1.8, 1.2, 0.8, 0.5, 0.3, 0.2, 0.1),
        jpeg_xl,
        jpeg_xl_decode,
    ),
    Peer("PNG", "level", (9,), png, feature="zlib", lossless=True),
    Peer("WebP lossless", "quality", (100,), webp_lossless, feature="webp", lossless=True),
    Peer("JPEG XL lossless", "effort", (9,), jpeg_xl_lossless, jpeg_xl_decode, lossless=True),
)
"""What a user would pick instead of a pair."""
