"""What an archive says of itself, all of whose checks match: without JAX and without a bundle."""

import os
from dataclasses import dataclass

import numpy as np

from codec.archive_index import name_hash, read_names
from codec.archive_records import Records
from codec.errors import CodecError, DamagedArchiveError, PacketError
from codec.inspection import Report
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import Header
from codec.packet_reader import read_packet

__all__ = ["ArchiveReport", "inspect_archive"]

_TOLD = 100
"""Qualities, image sizes and keys that are listed; a stranger's archive may have any number."""


@dataclass(frozen=True)
class ArchiveReport(Report):
    """An archive all of whose checks match, and those of all its packets.

    Attributes:
        pair: the pair digest, hexadecimal.
        images: how many.
        packets: how many.
        most_images: in one packet.
        qualities: of the packets.
        image_sizes: heights and widths of images that are not the pair's own; None if all are of that.
        names: how many images have one.
        metadata: keys, and how many images have a value under each.
        bytes: of the whole file.
        packet_bytes: of the packets.
        metadata_bytes: of names and metadata.
        index_bytes: of the index.
    """

    pair: str
    images: int
    packets: int
    most_images: int
    qualities: list[int]
    image_sizes: list[tuple[int, int]] | None
    names: int
    metadata: dict[str, int]
    bytes: int
    packet_bytes: int
    metadata_bytes: int
    index_bytes: int


def inspect_archive(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> ArchiveReport:
    """Check an archive from end to end and tell what it holds; lists of the first hundred kinds.

    Raises:
        FileError: it cannot be read.
        ArchiveError, DamagedArchiveError: not an archive, damage, or another archive's index.
        PacketError, WrongPairError, LimitError: of a packet.
    """
    records = Records(path, limits)
    names = read_names(records.read, records.index, limits)
    found = np.zeros(len(names), np.bool_)
    qualities: dict[int, None] = {}
    sizes: dict[tuple[int, int], None] = {}
    keys: dict[str, int] = {}
    named = most = packet_bytes = metadata_bytes = 0
    for record in range(len(records)):
        head = records.head(record)
        facts = records.metadata(record)
        header, of_chunks = _checked(records, record, head.count, limits)
        if len(qualities) < _TOLD:
            qualities[header.quality] = None
        for size in of_chunks if header.shape is None else {header.shape}:
            if len(sizes) < _TOLD:
                sizes[size] = None
        for key, column in facts.columns.items():
            if key in keys or len(keys) < _TOLD:
                keys[key] = keys.get(key, 0) + sum(value is not None for value in column)
        if facts.names is not None:
            named += head.count
            own = np.array([name_hash(name) << 32 | record for name in facts.names], np.uint64)
            at = np.searchsorted(names, own)
            if (at == len(names)).any() or (names[at] != own).any():
                raise DamagedArchiveError(
                    f"{records.path}: a name in record {record} is not in the index of names"
                )
            found[at] = True
        most = max(most, head.count)
        packet_bytes += head.packet_bytes
        metadata_bytes += head.metadata_bytes
    if not found.all():
        raise DamagedArchiveError(f"{records.path}: a name in the index of names is in no record")
    return ArchiveReport(
        "archive",
        records.pair.hex(),
        records.index.trailer.images,
        len(records),
        most,
        sorted(qualities),
        list(sizes) or None,
        named,
        keys,
        records.size,
        packet_bytes,
        metadata_bytes,
        records.index.trailer.index_bytes,
    )


def _checked(
    records: Records, record: int, count: int, limits: Limits
) -> tuple[Header, set[tuple[int, int]]]:
    """The header of a record's packet, all of it as it should be, and the sizes that its chunks state."""
    try:
        header, chunks = read_packet(records.packet(record), limits)
        images = 0
        sizes: set[tuple[int, int]] = set()
        for chunk in chunks:
            images = chunk.first + chunk.count  # tiles of one image have the same first
            if chunk.size is not None and len(sizes) < _TOLD:
                sizes.add(chunk.size)
        if images != count:
            raise PacketError(f"packet: expected {count:,} images, found {images:,}")
    except CodecError as error:
        raise type(error)(f"{records.path}, record {record}: {error}") from None
    return header, sizes
