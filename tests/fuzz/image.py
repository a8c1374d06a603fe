"""Image files of every format that is read: bytes are mutated, and the checks of PNG chunks repaired."""

import struct
import tempfile
import zlib
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from codec.conversion import Converted
from codec.errors import CodecError
from codec.imagefiles import image_shape, png_bytes, read_image
from codec.limits import Limits
from tests.fuzz.target import Target, mutate_bytes, pick

__all__ = ["TARGET"]

LIMITS = Limits(image_file_bytes=1 << 13, image_file_pixels=1 << 14)
_PNG = b"\x89PNG\r\n\x1a\n"
_FOLDER = tempfile.TemporaryDirectory()
_PATH = Path(_FOLDER.name) / "image"


# What must hold


def check(data: bytes) -> str:
    """Read a file; what is read is grey or RGB, within the limits, and comes back from its own PNG file.

    The same of what is converted; and either way a file's header tells the shape, or nothing is read.
    """
    _PATH.write_bytes(data)
    found, converted = _read(None), _read(Converted())
    if isinstance(converted, CodecError):
        assert isinstance(found, CodecError)
        return type(converted).__name__
    if isinstance(found, CodecError):
        return "converted"
    image = found
    if zlib.crc32(data) % 8 == 0:
        _PATH.write_bytes(png_bytes(image))
        again = read_image(_PATH, Limits(image_file_pixels=LIMITS.image_file_pixels))
        assert np.array_equal(again, image)
    return "grey" if image.shape[2] == 1 else "RGB"


def _read(converted: Converted | None) -> NDArray[np.uint8] | CodecError:
    """The image, or why there is none."""
    try:
        with open(_PATH, "rb") as file:
            shape = image_shape(file, "image", LIMITS, convert=converted is not None)
    except CodecError:
        shape = None
    try:
        image = read_image(_PATH, LIMITS, converted=converted)
    except CodecError as error:
        return error
    assert image.dtype == np.uint8
    assert image.shape == shape
    assert image.shape[2] in (1, 3)
    assert 0 < image.shape[0] * image.shape[1] <= LIMITS.image_file_pixels
    return image


# Mutation


def mutate(data: bytes, rng: Random) -> bytes:
    """Change a few bytes of a file, or of the chunks of a PNG file."""
    if not data.startswith(_PNG) or rng.random() < 0.1:
        return mutate_bytes(data, rng)
    chunks, at = [], len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(pick(rng, (1, 1, 2, 3))):
        if not chunks:
            break
        i, kind = int(rng.random() * len(chunks)), rng.random()
        if kind < 0.5:
            chunks[i] = chunks[i][0], _changed(*chunks[i], rng)
        elif kind < 0.6:
            del chunks[i]
        elif kind < 0.7:
            chunks.insert(i, pick(rng, chunks))
        elif kind < 0.8:
            rng.shuffle(chunks)
        else:
            name = pick(
                rng, (b"tRNS", b"zTXt", b"iCCP", b"acTL", b"fcTL", b"PLTE", b"gAMA", b"IDAT", b"abCD")
            )
            chunks.insert(i, (name, rng.randbytes(int(rng.random() * 30))))
    pieces = [_PNG]
    for name, body in chunks:
        pieces += [struct.pack(">I", len(body)), name, body, struct.pack(">I", zlib.crc32(name + body))]
    return b"".join(pieces)


def _changed(name: bytes, body: bytes, rng: Random) -> bytes:
    """A chunk's body; of the pixels, what is packed."""
    if name == b"IDAT" and rng.random() < 0.7:
        try:
            return zlib.compress(mutate_bytes(zlib.decompress(body), rng), 1)
        except zlib.error:
            pass
    return mutate_bytes(body, rng)


TARGET = Target("image", check, mutate, 1 << 13)
