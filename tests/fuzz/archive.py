"""Archives: fields, metadata and indexes are mutated, the checks repaired, and all ways to read tried."""

import struct
import tempfile
import zlib
from pathlib import Path
from random import Random

from codec.archive import (
    HEAD_BYTES,
    HEADER_BYTES,
    RECORD,
    TRAILER,
    TRAILER_BYTES,
    RecordHead,
    read_trailer,
    seed_of,
)
from codec.archive_inspection import inspect_archive
from codec.archive_reader import open_archive
from codec.archive_repair import concat_archives, recover_archive
from codec.bundle_reader import read_bundle
from codec.decoder import Decoder
from codec.errors import CodecError
from codec.limits import Limits
from tests.fuzz.packet import LIMITS as PACKET_LIMITS
from tests.fuzz.target import Target, mutate_bytes, pick, whole_number

__all__ = ["TARGET"]

LIMITS = Limits(
    packet_bytes=1 << 12, metadata_bytes=1 << 12, metadata_values=1 << 9, archive_index_bytes=1 << 12
)
_GOLDEN = Path(__file__).parents[1] / "golden"
DECODER = Decoder(read_bundle((_GOLDEN / "pair.decoder.msgpack").read_bytes(), "decoder"), PACKET_LIMITS)
SEED = seed_of(DECODER.bundle.pair.digest)
_FOLDER = tempfile.TemporaryDirectory()
_IN, _OUT, _JOINED = (Path(_FOLDER.name) / name for name in ("in", "out", "joined"))


# What must hold


def check(data: bytes) -> str:
    """Open, inspect, decode some of it, join and recover; what inspection takes is recovered to the byte."""
    _IN.write_bytes(data)
    try:
        archive = open_archive(_IN, DECODER, LIMITS)
    except CodecError as error:
        _recovered()
        return type(error).__name__
    count = len(archive)
    assert archive.records.size == len(data)
    named = []
    for number in {0, count // 2, count - 1} if count else ():
        try:
            entry = archive[number]
        except CodecError:
            continue
        assert entry.number == number
        assert entry.image.ndim == 3
        named.append(entry)
    images = _recovered()
    try:
        report = inspect_archive(_IN, LIMITS)
    except CodecError as error:
        return f"opened, {type(error).__name__}"
    assert (report.images, report.bytes) == (count, len(data))
    assert images == count
    assert all(entry.name is None or entry.number in archive.find(entry.name) for entry in named)
    assert _OUT.read_bytes() == data, "the reader takes what no writer writes"
    if zlib.crc32(data) % 8 == 0:
        assert concat_archives([_IN, _IN], _JOINED, LIMITS) == 2 * count
        assert inspect_archive(_JOINED, LIMITS).images == 2 * count
    return "archive"


def _recovered() -> int:
    """How many images are saved; what is saved can be opened."""
    try:
        found = recover_archive(_IN, _OUT, LIMITS, pair=None)
    except CodecError:
        return 0
    assert len(open_archive(_OUT, None, LIMITS)) == found.images
    before = -1
    for first, missing in found.missing:
        assert first > before
        assert missing is None or missing > 0
        before = first + (missing or 0)
    return found.images


# Mutation


def mutate(data: bytes, rng: Random) -> bytes:
    """Change records, entries of the index or numbers of the trailer; mostly all checks are right again."""
    trailer = read_trailer(data[-TRAILER_BYTES:], SEED)
    if trailer is None or len(data) < HEADER_BYTES + TRAILER_BYTES or rng.random() < 0.1:
        return mutate_bytes(data, rng)
    end = len(data) - trailer.index_bytes
    records, index = _records(data[HEADER_BYTES:end]), data[end:-TRAILER_BYTES]
    tail = list(TRAILER.unpack(data[-TRAILER_BYTES:-4]))
    for _ in range(pick(rng, (1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.5 and records:
            i = int(rng.random() * len(records))
            records[i] = _changed(records[i], rng)
        elif kind < 0.6 and records:
            records.insert(int(rng.random() * len(records)), pick(rng, records))
        elif kind < 0.65 and records:
            del records[int(rng.random() * len(records))]
        elif kind < 0.85:
            index = _number(index, 8, rng) if rng.random() < 0.8 else mutate_bytes(index, rng)
        else:
            tail[1 + int(rng.random() * 3)] = whole_number(rng, 64)
    body, entries, images = b"", b"", 0
    for record in records:
        entries += struct.pack("<QQ", HEADER_BYTES + len(body), images)
        body += record
        images += int.from_bytes(record[12:16], "little")
    if rng.random() < 0.6:  # an index of the records as they are now
        index = entries + index[16 * trailer.records :]
        tail[1:3] = images, len(records)
    middle = min(len(index), 16 * tail[2])
    tail[4:] = zlib.crc32(index[:middle]), zlib.crc32(index[middle:])
    end_of_file = TRAILER.pack(*tail)
    check = struct.pack("<I", zlib.crc32(end_of_file, SEED))
    return data[:HEADER_BYTES] + body + index + end_of_file + check


def _records(data: bytes) -> list[bytes]:
    found = []
    while (head := RecordHead.from_bytes(data[:HEAD_BYTES], SEED)) is not None:
        found.append(data[: head.length])
        data = data[head.length :]
    return found + [data] * bool(data)


def _number(data: bytes, size: int, rng: Random) -> bytes:
    """One of the numbers of so many bytes changed."""
    if len(data) < size:
        return data
    at = int(rng.random() * (len(data) // size)) * size
    return data[:at] + whole_number(rng, 8 * size).to_bytes(size, "little") + data[at + size :]


def _changed(record: bytes, rng: Random) -> bytes:
    """Other numbers, metadata or packet, under checks that match."""
    if len(record) < HEAD_BYTES or rng.random() < 0.1:
        return mutate_bytes(record, rng)
    marker, first, count, metadata_bytes, packet_bytes, *_ = RECORD.unpack_from(record)
    facts, packet = record[HEAD_BYTES:][:metadata_bytes], record[HEAD_BYTES + metadata_bytes :]
    kind = rng.random()
    if kind < 0.5:
        facts = mutate_bytes(facts, rng)
    elif kind < 0.7:
        packet = mutate_bytes(packet, rng)
    elif kind < 0.8:
        count = whole_number(rng, 32)
    elif kind < 0.9:
        first = whole_number(rng, 64)
    else:
        metadata_bytes, packet_bytes = whole_number(rng, 32), whole_number(rng, 32)
    if kind < 0.7:
        metadata_bytes, packet_bytes = len(facts), len(packet)
    head = RECORD.pack(
        marker, first, count, metadata_bytes, packet_bytes, zlib.crc32(facts), zlib.crc32(packet)
    )
    return head + struct.pack("<I", zlib.crc32(head, SEED)) + facts + packet


TARGET = Target("archive", check, mutate, 1 << 13)
