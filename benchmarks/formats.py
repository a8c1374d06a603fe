"""Rate and distortion of ordinary image formats on MNIST's test images, at settings that favour them.

    TFDS_DATA_DIR=... python -m benchmarks.formats                 prints one JSON object a measurement
    TFDS_DATA_DIR=... python -m benchmarks.formats --write         and puts them into results/formats.jsonl
    TFDS_DATA_DIR=... python -m benchmarks.formats --write --only "JPEG XL"     measures that one anew

What enters: grey images, uint8 [N, 28, 28]. What leaves: for each codec and setting the mean length in bytes
of what its encoder returned, headers and all, and the PSNR of what its decoder made of that. Every image is a
file of its own, or all together are one, side by side on a sheet or as a stream of bytes. Needs the extra
``bench``.
"""

import argparse
import io
import json
import lzma
import math
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import imagecodecs
import numpy as np
import PIL
import zstandard
from numpy.typing import NDArray
from PIL import Image, features

from codec.evaluation import pixel_errors, psnr
from codec.imagefiles import png_bytes
from codec.training.data import load_dataset, load_training

RESULTS = Path(__file__).parent / "results" / "formats.jsonl"

Pixels = NDArray[np.uint8]
Arrangement = Literal["each", "sheet", "stream"]

_DICTIONARY_IMAGES = 10_000
_DICTIONARY_BYTES = 112_640


@dataclass(frozen=True)
class Codec:
    """A format with the encoder, the decoder and the settings it is measured with.

    Attributes:
        name: of the format, as in the results.
        parameter: what the setting is: quality, distance, effort.
        settings: its values, from the fewest bytes to the most.
        encode: pixels and a setting to bytes. Pixels are [H, W], in a stream [N, H, W].
        decode: bytes to those pixels; a flat array of them will do.
        libraries: keys of ``versions`` that the bytes depend on.
        lossless: the pixels come back exactly, which measuring checks.
        arrangement: what becomes one file: each image, a sheet of all, or the stream of all their pixels.
        payload: what a file holds without its container: its name, and how many of the file's bytes it is.
        most: measured on no more than the first so many images, because it is slow.
    """

    name: str
    parameter: str
    settings: tuple[float, ...]
    encode: Callable[[Pixels, float], bytes]
    decode: Callable[[bytes], Pixels]
    libraries: tuple[str, ...]
    lossless: bool = False
    arrangement: Arrangement = "each"
    payload: tuple[str, Callable[[bytes], int]] | None = None
    most: int | None = None


@dataclass(frozen=True)
class Measurement:
    """One codec at one setting: mean bytes an image, and the PSNR of the MSE over all images' pixels."""

    codec: str
    setting: str
    images: int
    bytes_per_image: float
    psnr: float | None
    lossless: bool
    arrangement: Arrangement
    versions: dict[str, str]


@cache
def versions() -> dict[str, str]:
    """Version by name of every library that makes the bytes."""
    wrapped: dict[str, str] = imagecodecs.version(dict)
    own = {
        name: str(features.version(name)) for name in ("libjpeg_turbo", "jpg_2000", "webp", "avif", "zlib")
    }
    return {
        "pillow": PIL.__version__,
        "imagecodecs": str(imagecodecs.__version__),
        **{f"pillow/{name}": version for name, version in own.items()},
        **{name: wrapped[name] for name in ("brotli", "charls", "libjxl", "qoi")},
        "python": sys.version.split()[0],
        "python/zlib": zlib.ZLIB_RUNTIME_VERSION,
        "zstandard": zstandard.__version__,
        "zstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
    }


# Encoders and decoders. Pillow where it offers more than imagecodecs: grey WebP at all, JPEG's own tables,
# JPEG 2000's comment, and AVIF that is lossy and monochrome at once.


def _save(pixels: Pixels, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, image_format, **options)
    return buffer.getvalue()


def _open(data: bytes) -> Pixels:
    """What Pillow decodes, as grey: WebP has colour only, and its colours of a grey image are nearly grey."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"))


def _jpeg(pixels: Pixels, step: float) -> bytes:
    # One step for all frequencies is what minimises squared error; the usual tables favour the eye and are
    # up to an eighth larger at the same PSNR. A progressive file would be larger: headers are most of it.
    return _save(pixels, "JPEG", qtables=[[round(step)] * 64], optimize=True)


def _jpeg_progressive(pixels: Pixels, step: float) -> bytes:
    return _save(pixels, "JPEG", qtables=[[round(step)] * 64], optimize=True, progressive=True)


def _jpeg2000(pixels: Pixels, decibels: float) -> bytes:
    return _jpeg2000_lossless(pixels, 1, quality_mode="dB", quality_layers=[decibels])


def _jpeg2000_lossless(pixels: Pixels, resolutions: float, **options: Any) -> bytes:
    # The bare codestream, and a comment of one character for OpenJPEG's, which would be 32 bytes longer. One
    # resolution means no wavelet transform: every level of it costs these images bytes. Then the reversible
    # path, truncated, serves lossy files too and is one byte shorter than the other.
    return _save(
        pixels,
        "JPEG2000",
        no_jp2=True,
        comment=" ",
        num_resolutions=round(resolutions),
        irreversible=False,
        **options,
    )


def _webp(pixels: Pixels, quality: float) -> bytes:
    return _save(pixels, "WEBP", quality=round(quality), method=6, exact=True)


def _webp_lossless(pixels: Pixels, quality: float) -> bytes:
    return _save(pixels, "WEBP", quality=round(quality), method=6, exact=True, lossless=True)


def _avif(pixels: Pixels, quality: float, speed: int = 0) -> bytes:
    # Tuned for PSNR: libavif's default for still pictures favours the eye and never goes below 31 dB here.
    return _save(
        pixels,
        "AVIF",
        quality=round(quality),
        speed=speed,
        subsampling="4:0:0",
        range="full",
        max_threads=1,
        codec="aom",
        advanced={"tune": "psnr"},
    )


def _jpeg_xl(pixels: Pixels, distance: float) -> bytes:
    data = imagecodecs.jpegxl_encode(
        pixels, distance=distance, effort=9, lossless=False, usecontainer=False, numthreads=1
    )
    return bytes(data)


def _jpeg_xl_lossless(pixels: Pixels, effort: float) -> bytes:
    data = imagecodecs.jpegxl_encode(
        pixels, effort=round(effort), lossless=True, usecontainer=False, numthreads=1
    )
    return bytes(data)


def _jpeg_xl_decode(data: bytes) -> Pixels:
    return np.asarray(imagecodecs.jpegxl_decode(data, numthreads=1))


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


def zstd_with_dictionary(training: Pixels, size: int = _DICTIONARY_BYTES) -> Codec:
    """Zstandard, a frame for each image, with a dictionary of ``size`` trained on ``training`` images.

    The dictionary is not counted, as a pair's weights are not: both sides hold it. Frames lack all that both
    can know without them: magic number, size, the dictionary's name.
    """
    dictionary = zstandard.train_dictionary(size, [image.tobytes() for image in training], level=19)
    magicless = zstandard.FORMAT_ZSTD1_MAGICLESS
    decompressor = zstandard.ZstdDecompressor(dict_data=dictionary, format=magicless)

    def encode(pixels: Pixels, level: float) -> bytes:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            round(level),
            source_size=pixels.size,
            dict_size=len(dictionary),
            format=magicless,
            write_checksum=False,
            write_content_size=False,
            write_dict_id=False,
        )
        compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
        return bytes(compressor.compress(pixels.tobytes()))

    def decode(data: bytes) -> Pixels:
        return _flat(decompressor.decompress(data, max_output_size=1 << 20))

    return Codec("zstd + dictionary", "level", (19,), encode, decode, ("zstandard", "zstd"), lossless=True)


def sheet(images: Pixels) -> Pixels:
    """Images [N, H, W] as one picture, edge to edge in rows; black where N leaves the last row short."""
    count, height, width = images.shape
    across = math.isqrt(count - 1) + 1
    down = -(-count // across)
    padded = np.zeros((down * across, height, width), np.uint8)
    padded[:count] = images
    return padded.reshape(down, across, height, width).swapaxes(1, 2).reshape(down * height, across * width)


def from_sheet(picture: Pixels, shape: tuple[int, ...]) -> Pixels:
    """The images of ``shape`` [N, H, W] that ``sheet`` laid out."""
    count, height, width = shape
    down, across = picture.shape[0] // height, picture.shape[1] // width
    return picture.reshape(down, height, across, width).swapaxes(1, 2).reshape(-1, height, width)[:count]


_JPEG_XL = Codec(
    "JPEG XL",
    "distance",
    (25, 20, 15, 12, 10, 8, 6, 4.5, 3.5, 2.5),
    _jpeg_xl,
    _jpeg_xl_decode,
    ("imagecodecs", "libjxl"),
    most=2000,
)
_JPEG_XL_LOSSLESS = Codec(
    "JPEG XL lossless",
    "effort",
    (10, 9),
    _jpeg_xl_lossless,
    _jpeg_xl_decode,
    ("imagecodecs", "libjxl"),
    lossless=True,
)
_JPEG_2000 = Codec(
    "JPEG 2000",
    "target dB",
    (18, 18.2, 18.3, 18.4, 18.5, 19, 24.3, 24.5, 25, 32),
    _jpeg2000,
    _open,
    ("pillow", "pillow/jpg_2000"),
)
_JPEG_LS = Codec(
    "JPEG-LS",
    "near",
    (127, 110, 80, 65, 40, 30, 24, 18, 12),
    _jpeg_ls,
    _jpeg_ls_decode,
    ("imagecodecs", "charls"),
)
_WEBP = Codec(
    "WebP",
    "quality",
    (0, 2, 5, 8, 12, 16, 20, 30, 40, 50),
    _webp,
    _open,
    ("pillow", "pillow/webp"),
)
_WEBP_LOSSLESS = replace(_WEBP, name="WebP lossless", settings=(100,), encode=_webp_lossless, lossless=True)
_JPEG = Codec(
    "JPEG",
    "quantiser step",
    (255, 200, 160, 130, 105, 85, 70, 55, 45, 35, 25, 20),
    _jpeg,
    _open,
    ("pillow", "pillow/libjpeg_turbo"),
)
_AVIF = Codec(
    "AVIF",
    "quality",
    (0, 1, 3, 5, 8, 12, 18, 24, 30),
    _avif,
    _open,
    ("pillow", "pillow/avif"),
    payload=("AV1 data alone", avif_payload),
    most=2000,
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
        lambda pixels, _: png_bytes(pixels),
        _open,
        ("pillow", "pillow/zlib"),
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
        ("imagecodecs", "qoi"),
        lossless=True,
    ),
]
"""A file for each image."""

SHEETS = [
    replace(codec, name=f"{codec.name}, one sheet", arrangement="sheet", payload=None, most=None)
    for codec in (
        replace(_JPEG, encode=_jpeg_progressive),
        replace(_JPEG_2000, settings=(14, 15, 16, 17, 18, 19, 20, 21, 22, 24, 26, 28)),
        replace(_JPEG_LS, settings=(65, 50, 40, 30, 24, 18, 12, 8)),
        _JPEG_XL,
        _WEBP,
        # aom's slower speeds take over ten minutes for a picture of this size, and save a twentieth.
        replace(_AVIF, encode=lambda pixels, quality: _avif(pixels, quality, speed=3)),
        replace(_JPEG_XL_LOSSLESS, settings=(10,)),
        _WEBP_LOSSLESS,
    )
]
"""All images side by side in one picture."""

STREAMS = [
    Codec(
        "zlib",
        "level",
        (9,),
        lambda pixels, level: zlib.compress(pixels.tobytes(), round(level)),
        lambda data: _flat(zlib.decompress(data)),
        ("python", "python/zlib"),
        lossless=True,
        arrangement="stream",
    ),
    Codec(
        "brotli",
        "quality",
        (11,),
        lambda pixels, quality: bytes(imagecodecs.brotli_encode(pixels.tobytes(), round(quality), lgwin=24)),
        lambda data: _flat(bytes(imagecodecs.brotli_decode(data))),
        ("imagecodecs", "brotli"),
        lossless=True,
        arrangement="stream",
    ),
    Codec(
        "xz",
        "preset",
        (9,),
        _xz,
        lambda data: _flat(lzma.decompress(data)),
        ("python",),
        lossless=True,
        arrangement="stream",
    ),
]
"""All images' pixels in a row, compressed as bytes."""


def measure(codec: Codec, images: Pixels, setting: float) -> list[Measurement]:
    """Encode and decode ``images`` [N, H, W] at one setting; a second measurement is of the payload.

    Raises:
        ValueError: a lossless codec returned other pixels.
    """
    images = images[: codec.most]
    whole = {"each": images, "sheet": sheet(images)[None], "stream": images[None]}[codec.arrangement]
    files = [codec.encode(pixels, setting) for pixels in whole]
    decoded = np.stack([codec.decode(file).reshape(whole.shape[1:]) for file in files])
    if codec.arrangement == "sheet":
        decoded = from_sheet(decoded[0], images.shape)
    error, _ = pixel_errors(images, decoded.reshape(images.shape))
    if codec.lossless and error:
        raise ValueError(f"{codec.name}: expected the same pixels back, found an MSE of {error}")
    measurement = Measurement(
        codec=codec.name,
        setting=f"{codec.parameter} {setting:g}",
        images=len(images),
        bytes_per_image=sum(map(len, files)) / len(images),
        psnr=None if codec.lossless else psnr(error),
        lossless=codec.lossless,
        arrangement=codec.arrangement,
        versions={name: versions()[name] for name in codec.libraries},
    )
    if codec.payload is None:
        return [measurement]
    part, count = codec.payload
    mean = sum(map(count, files)) / len(images)
    return [measurement, replace(measurement, codec=f"{codec.name}, {part}", bytes_per_image=mean)]


def measure_all(codec: Codec, images: Pixels) -> Iterator[Measurement]:
    """Every setting of a codec, telling of each on standard error."""
    for setting in codec.settings:
        start = perf_counter()
        measurements = measure(codec, images, setting)
        seconds = perf_counter() - start
        for m in measurements:
            distortion = "lossless" if m.psnr is None else f"{m.psnr:.2f} dB"
            print(
                f"{m.codec}, {m.setting}: {m.images} images, {m.bytes_per_image:.1f} bytes each, "
                f"{distortion}, {seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        yield from measurements


def merged(lines: Sequence[str], measured: Sequence[Measurement], order: Sequence[str]) -> list[str]:
    """Lines of results, the measured codecs' replaced; in ``order`` of the codecs, unknown ones last."""
    anew = {m.codec for m in measured}
    kept = [line for line in lines if json.loads(line)["codec"] not in anew]
    lines = kept + [json.dumps(asdict(m)) for m in measured]
    place = {name: i for i, name in enumerate(order)}
    return sorted(lines, key=lambda line: place.get(json.loads(line)["codec"], len(place)))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"put the measurements into {RESULTS.name}")
    parser.add_argument("--images", type=int, default=None, help="measure on the first so many alone")
    parser.add_argument("--only", action="append", metavar="CODEC", help="measure these alone")
    options = parser.parse_args()
    images = load_dataset("mnist", "test")[: options.images, ..., 0]
    training = load_training("mnist", None, seed=0).training[:_DICTIONARY_IMAGES, ..., 0]
    codecs = [*SINGLE, zstd_with_dictionary(training), *SHEETS, *STREAMS]
    order = [name for codec in codecs for name in names(codec)]
    unknown = set(options.only or ()) - {codec.name for codec in codecs}
    if unknown:
        parser.error(f"expected codecs among {[codec.name for codec in codecs]}, found {sorted(unknown)}")
    for codec in codecs:
        if options.only and codec.name not in options.only:
            continue
        measured = list(measure_all(codec, images))
        print("\n".join(json.dumps(asdict(m)) for m in measured), flush=True)
        if options.write:  # after each codec, so that a run cut short keeps what it has
            lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
            RESULTS.write_text("\n".join(merged(lines, measured, order)) + "\n")


def names(codec: Codec) -> list[str]:
    """What the codec's measurements are called: the files and, where it is measured too, their payload."""
    return [codec.name] if codec.payload is None else [codec.name, f"{codec.name}, {codec.payload[0]}"]


if __name__ == "__main__":
    main()
