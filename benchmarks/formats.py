"""Ordinary image formats and compressors of bytes as codecs to measure, at settings that favour them.

Every image is a file of its own, or all together are one, side by side on a sheet or as a stream of bytes.
Decoders are functions that another process can be given. Needs the extra ``bench``.
"""

import lzma
import zlib
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import imagecodecs
import numpy as np
import zstandard

from benchmarks.codecs import Codec, Pixels
from codec.peers import (
    avif,
    jpeg,
    jpeg_xl,
    jpeg_xl_decode,
    jpeg_xl_lossless,
    open_pixels,
    png,
    save_pixels,
    webp,
    webp_lossless,
)

__all__ = ["SHEETS", "SINGLE", "STREAMS", "avif_payload", "png_payload", "zstd_with_dictionary"]

_DICTIONARY_BYTES = 112_640


# Encoders and decoders that ``codec.peers`` does not have. Pillow where it offers more than imagecodecs:
# JPEG 2000's comment.


def _jpeg2000(pixels: Pixels, decibels: float) -> bytes:
    return _jpeg2000_lossless(pixels, 1, quality_mode="dB", quality_layers=[decibels])


def _jpeg2000_lossless(pixels: Pixels, resolutions: float, **options: Any) -> bytes:
    # The bare codestream, and a comment of one character for OpenJPEG's, which would be 32 bytes longer. One
    # resolution means no wavelet transform: every level of it costs these images bytes. Then the reversible
    # path, truncated, serves lossy files too and is one byte shorter than the other.
    return save_pixels(
        pixels,
        "JPEG2000",
        no_jp2=True,
        comment=" ",
        num_resolutions=round(resolutions),
        irreversible=False,
        **options,
    )


def _jpeg_ls(pixels: Pixels, near: float) -> bytes:
    return bytes(imagecodecs.jpegls_encode(pixels, round(near)))


def _jpeg_ls_decode(data: bytes) -> Pixels:
    return np.asarray(imagecodecs.jpegls_decode(data))


def _qoi(pixels: Pixels, channels: float) -> bytes:
    # QOI has no grey. The same value three times costs nothing in a run, and a byte or more elsewhere.
    return bytes(imagecodecs.qoi_encode(np.repeat(pixels[..., None], round(channels), axis=2)))


def _qoi_decode(data: bytes) -> Pixels:
    return np.asarray(imagecodecs.qoi_decode(data))[..., 0]


def _flat(data: bytes) -> Pixels:
    return np.frombuffer(data, np.uint8)


def _xz(pixels: Pixels, preset: float) -> bytes:
    # Pixels are single bytes: none of a position's low bits tell anything of it.
    options = {"preset": round(preset) | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}
    return lzma.compress(pixels.tobytes(), filters=[{"id": lzma.FILTER_LZMA2, **options}])


def _unxz(data: bytes) -> Pixels:
    return _flat(lzma.decompress(data))


def _zlib(pixels: Pixels, level: float) -> bytes:
    return zlib.compress(pixels.tobytes(), round(level))


def _unzlib(data: bytes) -> Pixels:
    return _flat(zlib.decompress(data))


def _brotli(pixels: Pixels, quality: float) -> bytes:
    return bytes(imagecodecs.brotli_encode(pixels.tobytes(), round(quality), lgwin=24))


def _unbrotli(data: bytes) -> Pixels:
    return _flat(bytes(imagecodecs.brotli_decode(data)))


def png_payload(data: bytes) -> int:
    """Bytes in the IDAT chunks of a PNG file."""
    total, at = 0, 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        total += length * (data[at + 4 : at + 8] == b"IDAT")
        at += 12 + length
    return total


def avif_payload(data: bytes) -> int:
    """Bytes in the mdat boxes of an AVIF file: the AV1 stream, which decodes by itself."""
    total = at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8:
            raise ValueError(f"expected a box of at least 8 bytes at {at}, found {length}")
        total += (length - 8) * (data[at + 4 : at + 8] == b"mdat")
        at += length
    return total


@dataclass(frozen=True)
class _Dictionary:
    """Zstandard with a dictionary; frames lack what both sides know: magic number, size and name."""

    data: bytes

    @property
    def _dictionary(self) -> zstandard.ZstdCompressionDict:
        return zstandard.ZstdCompressionDict(self.data)

    def encode(self, pixels: Pixels, level: float) -> bytes:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            round(level),
            source_size=pixels.size,
            dict_size=len(self.data),
            format=zstandard.FORMAT_ZSTD1_MAGICLESS,
            write_checksum=False,
            write_content_size=False,
            write_dict_id=False,
        )
        compressor = zstandard.ZstdCompressor(dict_data=self._dictionary, compression_params=parameters)
        return bytes(compressor.compress(pixels.tobytes()))

    def decode(self, data: bytes) -> Pixels:
        decompressor = zstandard.ZstdDecompressor(
            dict_data=self._dictionary, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        )
        return _flat(decompressor.decompress(data, max_output_size=1 << 20))


def zstd_with_dictionary(training: Pixels, size: int = _DICTIONARY_BYTES) -> Codec:
    """Zstandard, a frame for each image, with a dictionary of ``size`` trained on ``training`` images.

    The dictionary is not counted, as a pair's weights are not: both sides hold it.
    """
    trained = zstandard.train_dictionary(size, [image.tobytes() for image in training], level=19)
    dictionary = _Dictionary(trained.as_bytes())
    return Codec(
        "zstd + dictionary",
        "level",
        (19,),
        dictionary.encode,
        dictionary.decode,
        lossless=True,
        kind="bytes",
    )


_JPEG_XL = Codec(
    "JPEG XL",
    "distance",
    (25, 20, 15, 12, 10, 8, 6, 4.5, 3.5, 2.5),
    jpeg_xl,
    jpeg_xl_decode,
    most=2000,
)
_JPEG_XL_LOSSLESS = Codec(
    "JPEG XL lossless",
    "effort",
    (10, 9),
    jpeg_xl_lossless,
    jpeg_xl_decode,
    lossless=True,
)
_JPEG_2000 = Codec(
    "JPEG 2000",
    "target dB",
    (18, 18.2, 18.3, 18.4, 18.5, 19, 24.3, 24.5, 25, 32),
    _jpeg2000,
    open_pixels,
)
_JPEG_LS = Codec(
    "JPEG-LS",
    "near",
    (127, 110, 80, 65, 40, 30, 24, 18, 12),
    _jpeg_ls,
    _jpeg_ls_decode,
)
_WEBP = Codec(
    "WebP",
    "quality",
    (0, 2, 5, 8, 12, 16, 20, 30, 40, 50),
    webp,
    open_pixels,
)
_WEBP_LOSSLESS = replace(_WEBP, name="WebP lossless", settings=(100,), encode=webp_lossless, lossless=True)
_JPEG = Codec(
    "JPEG",
    "quantiser step",
    (255, 200, 160, 130, 105, 85, 70, 55, 45, 35, 25, 20),
    jpeg,
    open_pixels,
)
_AVIF = Codec(
    "AVIF",
    "quality",
    (0, 1, 3, 5, 8, 12, 18, 24, 30),
    avif,
    open_pixels,
    payload=("AV1 data alone", avif_payload),
    most=500,
)

SINGLE = [
    _JPEG,
    _JPEG_2000,
    _JPEG_LS,
    _JPEG_XL,
    _WEBP,
    _AVIF,
    Codec(
        "PNG",
        "level",
        (9,),
        png,
        open_pixels,
        lossless=True,
        payload=("IDAT alone", png_payload),
    ),
    replace(
        _JPEG_2000,
        name="JPEG 2000 lossless",
        parameter="resolutions",
        settings=(1,),
        encode=_jpeg2000_lossless,
        lossless=True,
    ),
    replace(_JPEG_LS, name="JPEG-LS lossless", settings=(0,), lossless=True),
    _JPEG_XL_LOSSLESS,
    _WEBP_LOSSLESS,
    Codec(
        "QOI",
        "channels",
        (3,),
        _qoi,
        _qoi_decode,
        lossless=True,
    ),
]
"""A file for each image."""

SHEETS = [
    replace(codec, name=f"{codec.name}, one sheet", arrangement="sheet", payload=None, most=None)
    for codec in (
        replace(_JPEG, encode=partial(jpeg, progressive=True)),
        replace(_JPEG_2000, settings=(14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 26, 28)),
        replace(_JPEG_LS, settings=(65, 50, 40, 30, 24, 18, 12, 8)),
        _JPEG_XL,
        _WEBP,
        # aom's slower speeds take over ten minutes for a picture of this size, and save a twentieth.
        replace(_AVIF, encode=partial(avif, speed=3)),
        replace(_JPEG_XL_LOSSLESS, settings=(10,)),
        _WEBP_LOSSLESS,
    )
]
"""All images side by side in one picture."""

_ZLIB = Codec(
    "zlib",
    "level",
    (9,),
    _zlib,
    _unzlib,
    lossless=True,
    arrangement="stream",
    kind="bytes",
)
STREAMS = [
    replace(_ZLIB, name="zlib, each", arrangement="each"),
    _ZLIB,
    replace(
        _ZLIB,
        name="brotli",
        parameter="quality",
        settings=(11,),
        encode=_brotli,
        decode=_unbrotli,
    ),
    replace(_ZLIB, name="xz", parameter="preset", encode=_xz, decode=_unxz),
]
"""Pixels in a row, compressed as bytes: all images' together, and for zlib each image's alone too."""
