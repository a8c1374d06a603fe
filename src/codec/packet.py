"""The packet format's vocabulary, shared by its writer and its reader: constants, header, chunk, names.

``docs/packet.md`` specifies the format. These modules know bytes, counts and sizes, and nothing of symbols,
tables or networks.
"""

import binascii
import struct
from dataclasses import dataclass
from enum import IntFlag
from reprlib import repr as short

from codec.errors import ImageError, PacketError, WrongPairError
from codec.limits import DEFAULT_LIMITS, Limits

__all__ = ["Chunk", "Flag", "Header", "check_name", "crc16", "is_packet", "packet_pair"]

MAGIC = b"\xc3\x7a"
VERSION = 1
DIGEST_BYTES = 4
CHUNK_MARKER = b"\xf1CHK"
END_MARKER = b"\xf1END"
CHUNK_FIELDS = struct.Struct("<IHI")
COUNT = struct.Struct("<I")
SHAPE = struct.Struct("<HH")
CRC = struct.Struct("<I")

NAME_BYTES = 255

COMPACT = 0xA0
"""First byte of a compact packet, with the quality added."""
COMPACT_QUALITIES = 16
COMPACT_DIGEST_BYTES = 3
CRC16 = struct.Struct("<H")


class Flag(IntFlag):
    """The header's flags."""

    BATCH = 1
    STREAM = 2
    SHAPE = 4
    NAMES = 8


@dataclass(frozen=True)
class Header:
    """What a packet says of itself before any image.

    Attributes:
        framing: "single", "batch", "stream" or "compact".
        quality: index into the pair's qualities.
        pair: first bytes of the pair digest: 4, or 3 in the compact framing.
        shape: image height and width where they are not the pair's own.
        named: whether each image has a name.
    """

    framing: str
    quality: int
    pair: bytes
    shape: tuple[int, int] | None = None
    named: bool = False


@dataclass(frozen=True)
class Chunk:
    """Some consecutive images of a packet.

    Attributes:
        first: images in the packet before these.
        count: images in this chunk, at least 1.
        payload: the range-coded symbols.
        names: a file name for each image, or None.
    """

    first: int
    count: int
    payload: bytes
    names: tuple[str, ...] | None = None


def is_packet(data: bytes) -> bool:
    """Whether ``data`` begins like a packet of any version."""
    return data[:2] == MAGIC or (data[:1] != b"" and data[0] & 0xF0 == COMPACT)


def packet_pair(data: bytes, expected: bytes | None = None) -> bytes:
    """The first bytes of the pair digest that a packet states; nothing else of it is checked.

    Args:
        expected: if given, the pair digest that they must begin.

    Raises:
        PacketError: no packet, or a sealed one.
        WrongPairError: of another pair.
    """
    compact = data[:1] != b"" and data[0] & 0xF0 == COMPACT
    found = data[1 : 1 + COMPACT_DIGEST_BYTES] if compact else data[4 : 4 + DIGEST_BYTES]
    if not is_packet(data) or len(found) < (COMPACT_DIGEST_BYTES if compact else DIGEST_BYTES):
        raise PacketError(
            f"packet: expected one, found bytes that begin with {data[:8].hex(' ') or 'nothing'}"
        )
    if expected is not None and not expected.startswith(found):
        raise WrongPairError(
            f"packet: made by the pair {found.hex()}, expected {expected[: len(found)].hex()}"
        )
    return found


def check_name(name: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise ``ImageError`` unless ``name`` is a plain file name that a packet may carry."""
    if not isinstance(name, str):
        raise ImageError(f"image name {short(name)}: expected text, found {type(name).__name__}")
    most = min(limits.name_bytes, NAME_BYTES)
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise ImageError(f"image name {short(name)}: expected text that UTF-8 can write") from None
    if not 1 <= length <= most or name in (".", "..") or any(c in "/\\\x7f" or c < " " for c in name):
        raise ImageError(
            f"image name {short(name)}: expected a plain file name of 1 to {most} bytes, "
            "without slashes and control characters"
        )


def crc16(data: bytes) -> int:
    """CRC-16 of the compact framing: polynomial 0x1021, initial value 0xFFFF, not reflected."""
    return binascii.crc_hqx(data, 0xFFFF)
