"""The archive format's vocabulary, shared by its writer and its reader: header, record head, trailer.

``docs/archive.md`` specifies the format: a file of records, each a whole packet with the names and metadata
of its images, and an index at the end. Nothing here knows a network, nor what is in a packet.
"""

import struct
import zlib
from dataclasses import dataclass

from codec.errors import ArchiveError, DamagedArchiveError, OptionError

__all__ = [
    "RecordHead",
    "Trailer",
    "is_archive",
    "read_header",
    "read_trailer",
    "write_header",
    "write_trailer",
]

MAGIC = b"\xf1ARC"
VERSION = 1
HEADER = struct.Struct("<4sB3s32s")
CRC = struct.Struct("<I")
HEADER_BYTES = HEADER.size + CRC.size
DIGEST_BYTES = 32

RECORD_MARKER = b"\xf1REC"
RECORD = struct.Struct("<4sQIIIII")
HEAD_BYTES = RECORD.size + CRC.size
PACKET_LEAST = 6
"""Bytes of the shortest packet there is."""

TRAILER_MARKER = b"\xf1FIN"
TRAILER = struct.Struct("<4sQQQII")
TRAILER_BYTES = TRAILER.size + CRC.size

ENTRY_BYTES = 16
"""Of the index, for each record."""
NAME_BYTES = 8
"""Of the index of names, for each entry."""
MOST_RECORDS = (1 << 32) - 1
MOST_IMAGES = (1 << 63) - 1


def is_archive(data: bytes) -> bool:
    """Whether ``data`` begins like an archive of any version."""
    return data[: len(MAGIC)] == MAGIC


def write_header(pair: bytes) -> bytes:
    """The file's header.

    Args:
        pair: the pair digest, 32 bytes.

    Raises:
        OptionError: another length.
    """
    if type(pair) is not bytes or len(pair) != DIGEST_BYTES:
        raise OptionError(f"pair: expected the {DIGEST_BYTES} bytes of a pair digest, found {pair!r:.80}")
    header = HEADER.pack(MAGIC, VERSION, bytes(3), pair)
    return header + CRC.pack(zlib.crc32(header))


def read_header(data: bytes) -> bytes:
    """The pair digest of a file that begins with ``data``.

    Raises:
        ArchiveError: not an archive, or an unknown version.
        DamagedArchiveError: truncated, or the check does not match.
    """
    if not is_archive(data):
        raise ArchiveError(
            f"archive: expected it to begin with {MAGIC.hex(' ')}, found {data[:4].hex(' ') or 'nothing'}; "
            "this is not an archive"
        )
    if len(data) > len(MAGIC) and data[len(MAGIC)] != VERSION:
        raise ArchiveError(
            f"archive: expected format version {VERSION}, found {data[len(MAGIC)]}; "
            "update split-codec to read it"
        )
    if len(data) < HEADER_BYTES:
        raise DamagedArchiveError(
            f"archive, header: expected {HEADER_BYTES} bytes, found {len(data)}; the archive is truncated"
        )
    _, _, zeros, pair = HEADER.unpack_from(data)
    if data[HEADER.size : HEADER_BYTES] != CRC.pack(zlib.crc32(data[: HEADER.size])):
        raise DamagedArchiveError("archive, header: its check does not match; the archive is damaged")
    if any(zeros):
        raise ArchiveError(f"archive, header: expected zeros behind the version, found {zeros.hex(' ')}")
    found: bytes = pair
    return found


def seed_of(pair: bytes) -> int:
    """The CRC of a header's first 40 bytes, which other checks go on from: so they cover the pair."""
    return zlib.crc32(HEADER.pack(MAGIC, VERSION, bytes(3), pair))


@dataclass(frozen=True)
class RecordHead:
    """What stands before a record's metadata and packet.

    Attributes:
        first: images in the archive before this record.
        count: images in this record, at least 1.
        metadata_bytes: of names and metadata; 0 if there are none.
        packet_bytes: of the packet.
        metadata_check, packet_check: their CRCs.
    """

    first: int
    count: int
    metadata_bytes: int
    packet_bytes: int
    metadata_check: int
    packet_check: int

    @property
    def length(self) -> int:
        """Bytes of the whole record."""
        return HEAD_BYTES + self.metadata_bytes + self.packet_bytes

    def to_bytes(self, seed: int) -> bytes:
        """The head, with its check."""
        head = RECORD.pack(
            RECORD_MARKER,
            self.first,
            self.count,
            self.metadata_bytes,
            self.packet_bytes,
            self.metadata_check,
            self.packet_check,
        )
        return head + CRC.pack(zlib.crc32(head, seed))

    @classmethod
    def from_bytes(cls, data: bytes, seed: int) -> "RecordHead | None":
        """The head at the start of ``data``; None where there is none that is whole."""
        if len(data) < HEAD_BYTES or not data.startswith(RECORD_MARKER):
            return None
        if data[RECORD.size : HEAD_BYTES] != CRC.pack(zlib.crc32(data[: RECORD.size], seed)):
            return None
        head = cls(*RECORD.unpack_from(data)[1:])
        if not head.count or head.packet_bytes < PACKET_LEAST or head.first + head.count > MOST_IMAGES:
            return None
        return head


@dataclass(frozen=True)
class Trailer:
    """The end of the file.

    Attributes:
        images: in all records.
        records: entries of the index.
        names: entries of the index of names.
        records_check, names_check: the CRCs of the two.
    """

    images: int
    records: int
    names: int
    records_check: int
    names_check: int

    @property
    def index_bytes(self) -> int:
        """Of all that stands behind the records."""
        return self.records * ENTRY_BYTES + self.names * NAME_BYTES + TRAILER_BYTES


def write_trailer(trailer: Trailer, seed: int) -> bytes:
    """The last bytes of the file."""
    data = TRAILER.pack(
        TRAILER_MARKER,
        trailer.images,
        trailer.records,
        trailer.names,
        trailer.records_check,
        trailer.names_check,
    )
    return data + CRC.pack(zlib.crc32(data, seed))


def read_trailer(data: bytes, seed: int) -> Trailer | None:
    """The trailer in the last bytes of a file; None where it is not whole."""
    if len(data) != TRAILER_BYTES or not data.startswith(TRAILER_MARKER):
        return None
    if data[TRAILER.size :] != CRC.pack(zlib.crc32(data[: TRAILER.size], seed)):
        return None
    return Trailer(*TRAILER.unpack_from(data)[1:])
