"""A second, independent reader of archives, written from docs/archive.md alone: plain, slow and strict. It
shares no code with the library, and raises `ValueError` for whatever it refuses.
"""

import zlib
from dataclasses import dataclass
from typing import Any

from tests.reference_reader import NAME, Bundle, Cursor, Decoded, Map, plain, read_packet, require, unpack

HEADER, HEAD, TRAILER = 44, 36, 40


@dataclass(frozen=True)
class Record:
    """A packet as it stands in the archive; a name and metadata for each of its images."""

    first: int
    count: int
    names: list[str] | None
    metadata: list[dict[str, Any]]
    packet: bytes


def read_metadata(data: bytes, count: int) -> tuple[list[str] | None, list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    if not data:
        return None, rows
    content = unpack(data)
    keys = list(content) if isinstance(content, Map) else []
    require(keys in (["names"], ["metadata"], ["names", "metadata"]), "neither names nor metadata")
    names, columns = content.get("names"), content.get("metadata", Map())
    if names is not None:
        require(isinstance(names, list) and len(names) == count, "not one name for each image")
        require(all(isinstance(name, str) and NAME.fullmatch(name) for name in names), "no plain name")
        require(all(len(name.encode()) <= 255 for name in names), "name of more than 255 bytes")
    require(isinstance(columns, Map) and plain(columns), "metadata of other than plain values")
    require(columns or "metadata" not in keys, "no columns")
    for key, column in columns.items():
        require(isinstance(column, list) and len(column) == count, "not one value for each image")
        require(any(value is not None for value in column), "column of nil")
        for row, value in zip(rows, column, strict=True):
            row.update({} if value is None else {key: value})
    return names, rows


def read_archive(data: bytes) -> tuple[bytes, list[Record]]:
    """The pair digest and all records."""
    cursor = Cursor(data)
    require(cursor.take(4) == b"\xf1ARC", "not an archive")
    require(cursor.number(1) == 1, "unknown version")
    require(cursor.take(3) == bytes(3), "no zeros behind the version")
    pair, seed = cursor.take(32), data[:40]
    require(cursor.number(4) == zlib.crc32(seed), "header is damaged")

    require(len(data) >= HEADER + TRAILER, "no trailer")
    cursor.at = len(data) - TRAILER
    require(cursor.take(4) == b"\xf1FIN", "no trailer")
    images, records, hashes = (cursor.number(8) for _ in range(3))
    entries_check, names_check = cursor.number(4), cursor.number(4)
    require(cursor.number(4) == zlib.crc32(seed + data[-TRAILER:-4]), "trailer is damaged")
    require(images < 2**63 and records < 2**32, "too many images or records")
    end = len(data) - TRAILER - 16 * records - 8 * hashes
    require(end >= HEADER, "index longer than the file")
    middle = end + 16 * records
    require(zlib.crc32(data[end:middle]) == entries_check, "index is damaged")
    require(zlib.crc32(data[middle:-TRAILER]) == names_check, "index of names is damaged")

    cursor.at = HEADER
    found: list[Record] = []
    entries = b""
    expected: set[int] = set()
    first = 0
    while cursor.at < end:
        entries += cursor.at.to_bytes(8, "little") + first.to_bytes(8, "little")
        record = read_record(cursor, seed, first)
        compact = record.packet[0] >> 4 == 0xA
        require(compact or record.packet[:2] == b"\xc3\x7a", "no packet, or a sealed one")
        stated = record.packet[1:4] if compact else record.packet[4:8]
        require(len(stated) == 4 - compact and pair.startswith(stated), "packet of another pair")
        expected |= {zlib.crc32(name.encode()) << 32 | len(found) for name in record.names or ()}
        first += record.count
        found.append(record)
    require(cursor.at == end and entries == data[end:middle] and first == images, "index of other records")
    joined = b"".join(number.to_bytes(8, "little") for number in sorted(expected))
    require(joined == data[middle:-TRAILER], "index of other names")
    return pair, found


def read_record(cursor: Cursor, seed: bytes, first: int) -> Record:
    head = cursor.data[cursor.at : cursor.at + HEAD - 4]
    require(cursor.take(4) == b"\xf1REC", "no record")
    require(cursor.number(8) == first, "images are missing")
    count, metadata_bytes, packet_bytes, metadata_check, packet_check = (cursor.number(4) for _ in range(5))
    require(count >= 1 and packet_bytes >= 6, "record without an image")
    require(cursor.number(4) == zlib.crc32(seed + head), "record's head is damaged")
    metadata, packet = cursor.take(metadata_bytes), cursor.take(packet_bytes)
    require(zlib.crc32(metadata) == metadata_check, "metadata is damaged")
    require(zlib.crc32(packet) == packet_check, "packet is damaged")
    return Record(first, count, *read_metadata(metadata, count), packet)


def decode_record(record: Record, bundle: Bundle) -> Decoded:
    """The symbols of a record's images."""
    decoded = read_packet(record.packet, bundle)
    require(len(decoded.symbols) == record.count, "packet of another number of images")
    return decoded
