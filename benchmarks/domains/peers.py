"""What a domain's pair is compared with: the image formats, at settings around the PSNRs of the claims.

Grey images take the codecs of ``benchmarks.formats`` as they are. RGB ones take those that encode either,
with decoders that keep colour, and JPEG and AVIF of their own: at equal PSNR on tiles of 32x32 JPEG needs
fewer bytes with chroma at half size, AVIF with chroma at full size.
"""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from PIL import Image

from benchmarks.codecs import Codec, Pixels
from benchmarks.formats import SHEETS, SINGLE

__all__ = ["peers"]

Encode = Callable[[Pixels, float], bytes]

_SETTINGS: dict[str, tuple[float, ...]] = {
    "JPEG XL": (25, 18, 14, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2),
    "WebP": (0, 2, 4, 6, 9, 12, 16, 20, 25, 30, 40, 50, 60),
    "JPEG": (200, 160, 130, 105, 85, 70, 55, 45, 35, 25),
    "AVIF": (0, 3, 8, 14, 20, 28, 36),
    "PNG": (9,),
    "JPEG XL lossless": (9,),
    "JPEG XL, one sheet": (20, 14, 10, 7, 5, 3.5, 2.5),
    "WebP, one sheet": (0, 5, 12, 20, 30, 45),
    "AVIF, one sheet": (0, 8, 16, 24, 32, 40),
}
_QUICK = {"JPEG XL": (15, 6, 3), "WebP": (0, 20, 50), "PNG": (9,)}


def _saved(pixels: Pixels, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def _jpeg(pixels: Pixels, step: float, *, progressive: bool = False) -> bytes:
    # One step for all frequencies, as for grey images.
    steps = [[round(step)] * 64]
    return _saved(pixels, "JPEG", qtables=steps, optimize=True, progressive=progressive, subsampling="4:2:0")


def _avif(pixels: Pixels, quality: float, speed: int = 0) -> bytes:
    return _saved(
        pixels,
        "AVIF",
        quality=round(quality),
        speed=speed,
        subsampling="4:4:4",
        range="full",
        max_threads=1,
        codec="aom",
        advanced={"tune": "psnr"},
    )


def _colour(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def peers(*, grey: bool, quick: bool = False) -> list[Codec]:
    """The formats to measure on grey images [N, H, W], or on RGB images [N, H, W, 3]."""
    chosen = _QUICK if quick else _SETTINGS
    known = {codec.name: codec for codec in (*SINGLE, *SHEETS)}
    found = [
        # All settings on all test images, AVIF's single files apart, which take long and lose by far.
        replace(known[name], settings=settings, payload=None, most=500 if name == "AVIF" else None)
        for name, settings in chosen.items()
    ]
    return found if grey else [_in_colour(codec) for codec in found]


def _in_colour(codec: Codec) -> Codec:
    if codec.name.startswith("JPEG XL"):
        return codec
    speed = 3 if codec.arrangement == "sheet" else 0
    encoders: dict[str, Encode] = {"JPEG": _jpeg, "AVIF": partial(_avif, speed=speed)}
    encode = encoders.get(codec.name.split(",")[0], codec.encode)
    return replace(codec, encode=encode, decode=_colour)
