"""Image files that unpack to much, or that keep a reader busy: what a sender is given to encode."""

import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.errors import ImageError, LimitError
from codec.imagefiles import read_image
from codec.limits import Limits
from tests.attacks.cost import KIB, MIB, refused


def png(width: int, height: int, packed: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A grey PNG file of these packed rows."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def tiff(frames: int) -> bytes:
    """A TIFF file of so many frames of one byte, all of them the same."""
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1), (279, 1)]
    length = 2 + 12 * len(tags) + 4
    data = bytearray(b"II*\0" + struct.pack("<I", 8))
    for frame in range(frames):
        data += struct.pack("<H", len(tags))
        data += b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
        data += struct.pack("<I", 8 + length * (frame + 1) if frame < frames - 1 else 0)
    return bytes(data)


def attack(tmp_path: Path, data: bytes, limits: Limits = Limits()) -> partial[NDArray[np.uint8]]:
    path = tmp_path / "image"
    path.write_bytes(data)
    return partial(read_image, path, limits)


def test_a_file_of_kilobytes_that_unpacks_to_gigabytes_is_refused_from_its_header(tmp_path: Path) -> None:
    bomb = png(60_000, 60_000, zlib.compress(bytes(8 * MIB), 9))
    assert len(bomb) < 10 * KIB
    refused(attack(tmp_path, bomb), "pixels: expected at most 67,108,864", error=LimitError, memory=2 * MIB)


def test_a_file_of_kilobytes_that_unpacks_to_megabytes_is_bounded_by_a_limit_that_a_caller_can_lower(
    tmp_path: Path,
) -> None:
    bomb = png(1000, 1000, zlib.compress(bytes(1001 * 1000), 9))
    assert len(bomb) < 2 * KIB
    lower = attack(tmp_path, bomb, Limits(image_file_pixels=999_999))
    refused(lower, "found 1,000,000", error=LimitError, memory=2 * MIB)
    assert attack(tmp_path, bomb, Limits(image_file_pixels=1_000_000))().shape == (1000, 1000, 1)


def test_a_note_that_unpacks_to_a_gigabyte_is_not_unpacked(tmp_path: Path) -> None:
    note = b"note\0\0" + zlib.compress(bytes(64 * MIB), 9)
    bomb = png(1, 1, zlib.compress(bytes(2)), (b"zTXt", note))
    refused(attack(tmp_path, bomb), "damaged or unsupported image file", error=ImageError, memory=8 * MIB)


def test_frames_without_end_are_not_counted(tmp_path: Path) -> None:
    frames = tiff(20_000)  # counting them took 2.5 s, and a hundred times that for ten times as many
    refused(attack(tmp_path, frames), "found an animation", error=ImageError, memory=8 * MIB)


@pytest.mark.parametrize(
    "kind", [b"P5 99999999999 99999999999 255\n", b"BM" + b"\xff" * 60, b"GIF89a" + b"\xff" * 20]
)
def test_sizes_beyond_all_bounds_are_refused(tmp_path: Path, kind: bytes) -> None:
    refused(attack(tmp_path, kind), "image", memory=2 * MIB)
