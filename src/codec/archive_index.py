"""The index at the end of an archive: image number -> record, and name -> records that may hold it.

The index of records is held in memory, 16 bytes a record, once all of it has been checked; that of names, 8
bytes for each image with a name, is loaded where a name is asked for.
"""

import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec import archive as fmt
from codec.errors import DamagedArchiveError
from codec.limits import DEFAULT_LIMITS, Limits

__all__ = ["Index", "IndexBuilder", "name_hash", "read_index", "read_names"]

Read = Callable[[int, int], bytes]
"""``read(offset, count)``: so many bytes of a file, fewer only at its end."""

_PIECE = 1 << 16
"""Entries that are read or written at once."""


def name_hash(name: str) -> int:
    """What the index of names knows of a name: 32 bits of it."""
    return zlib.crc32(name.encode())


@dataclass(frozen=True, eq=False)
class Index:
    """Where the records of a file are, all checked to follow each other without a gap or an overlap.

    Attributes:
        trailer: the file's.
        entries: uint64 [records + 1, 2]: where each record begins, and how many images are before it; the
            last row tells where the records end, and how many images there are.
    """

    trailer: fmt.Trailer
    entries: NDArray[np.uint64]

    def __len__(self) -> int:
        return self.trailer.records

    @property
    def end(self) -> int:
        """Where the records end."""
        return int(self.entries[-1, 0])

    def record_of(self, image: int) -> int:
        """The record that holds an image of the archive."""
        return int(np.searchsorted(self.entries[:, 1], np.uint64(image), "right")) - 1

    def offset(self, record: int) -> int:
        """Where a record begins; of the number of records, where they end."""
        return int(self.entries[record, 0])

    def first(self, record: int) -> int:
        """How many images are before a record; of the number of records, all."""
        return int(self.entries[record, 1])


def read_index(read: Read, size: int, seed: int, limits: Limits = DEFAULT_LIMITS) -> Index:
    """The index of a file of ``size`` bytes whose header was read already.

    Raises:
        DamagedArchiveError: it is not whole, or not one of this file.
        LimitError: over ``limits``.
    """
    trailer = None
    if size >= fmt.HEADER_BYTES + fmt.TRAILER_BYTES:
        trailer = fmt.read_trailer(read(size - fmt.TRAILER_BYTES, fmt.TRAILER_BYTES), seed)
    if trailer is None:
        raise DamagedArchiveError(
            "archive: its index is missing: the file is truncated, or its writer is at work or was stopped; "
            "codec.recover_archive or codec archive recover saves its records"
        )
    end = size - trailer.index_bytes
    least = fmt.HEADER_BYTES + trailer.records * (fmt.HEAD_BYTES + fmt.PACKET_LEAST)
    if end < least or trailer.images > fmt.MOST_IMAGES or trailer.records > fmt.MOST_RECORDS:
        raise _lying(f"{trailer.records:,} records of {trailer.images:,} images in {size:,} bytes")
    limits.check("archive_index_bytes", trailer.records * fmt.ENTRY_BYTES, "archive: bytes of its index")
    entries = np.empty((trailer.records + 1, 2), np.uint64)
    entries[-1] = end, trailer.images
    expected = np.array([fmt.HEADER_BYTES, 0], np.uint64)
    check = 0
    for start in range(0, trailer.records, _PIECE):
        count = min(_PIECE, trailer.records - start)
        data = read(end + start * fmt.ENTRY_BYTES, count * fmt.ENTRY_BYTES)
        if len(data) < count * fmt.ENTRY_BYTES:
            raise DamagedArchiveError("archive, index: the file became shorter while it was read")
        check = zlib.crc32(data, check)
        entries[start : start + count] = np.frombuffer(data, "<u8").reshape(-1, 2)
        if not start and (entries[0] != expected).any():
            raise _lying(f"the first record at {entries[0, 0]} with {entries[0, 1]} images before it")
        _check_order(entries[max(0, start - 1) : start + count], start)
    if check != trailer.records_check:
        raise DamagedArchiveError("archive, index: its check does not match; the archive is damaged")
    _check_order(entries[-2:], max(0, trailer.records - 1))
    if not trailer.records and (trailer.images or end != fmt.HEADER_BYTES):
        raise _lying("no records, but images or bytes of some")
    return Index(trailer, entries)


def _check_order(entries: NDArray[np.uint64], start: int) -> None:
    """Refuse records that overlap or loop, that are shorter than any, or that have no image or too many."""
    wide = entries[1:] > entries[:-1]  # first of all: differences of unsigned numbers wrap around
    steps = entries[1:] - entries[:-1]
    least = np.array([fmt.HEAD_BYTES + fmt.PACKET_LEAST, 1], np.uint64)
    wrong = ~(wide & (steps >= least) & (steps[:, 1:] < np.uint64(1 << 32))).all(1)
    if wrong.any():
        raise _lying(
            f"record {start + int(wrong.argmax())} overlaps the next one, or has no or too many images"
        )


def _lying(found: str) -> DamagedArchiveError:
    return DamagedArchiveError(
        f"archive, index: expected records that follow each other without a gap, found {found}"
    )


def read_names(read: Read, index: Index, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint64]:
    """The index of names, uint64: for each name its hash and, in the low 32 bits, the record that holds it.

    Raises:
        DamagedArchiveError: it is not as it was written.
        LimitError: over ``limits``.
    """
    count = index.trailer.names
    limits.check("archive_index_bytes", count * fmt.NAME_BYTES, "archive: bytes of its index of names")
    start = index.end + len(index) * fmt.ENTRY_BYTES
    names = np.empty(count, np.uint64)
    check = 0
    for at in range(0, count, _PIECE):
        wanted = min(_PIECE, count - at) * fmt.NAME_BYTES
        data = read(start + at * fmt.NAME_BYTES, wanted)
        if len(data) < wanted:
            raise DamagedArchiveError("archive, names: the file became shorter while it was read")
        check = zlib.crc32(data, check)
        names[at : at + wanted // fmt.NAME_BYTES] = np.frombuffer(data, "<u8")
    if check != index.trailer.names_check:
        raise DamagedArchiveError(
            "archive, names: their check does not match; the archive is damaged or open "
            "elsewhere for appending"
        )
    if count and not (names[1:] > names[:-1]).all():
        raise DamagedArchiveError("archive, names: expected them in rising order")
    if count and int(names.max() & np.uint64(0xFFFFFFFF)) >= len(index):
        raise DamagedArchiveError("archive, names: expected names of this archive's records, found others")
    return names


class IndexBuilder:
    """Takes notes of records as they are written, 16 bytes each and 8 for each name, and makes the index."""

    def __init__(self, seed: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self._seed = seed
        self._limits = limits
        self._entries = array("Q")
        self._names = array("Q")
        self.images = 0
        """In all records so far."""
        self.end = fmt.HEADER_BYTES
        """Where the next record begins."""

    @property
    def records(self) -> int:
        """How many there are so far."""
        return len(self._entries) // 2

    def add(self, count: int, length: int, names: Iterable[str] | None = None) -> None:
        """Note a record of ``count`` images and ``length`` bytes."""
        record = self.records
        self._limits.check(
            "archive_index_bytes", (record + 1) * fmt.ENTRY_BYTES, "archive: bytes of its index"
        )
        self._entries.extend((self.end, self.images))
        if names is not None:
            self._names.extend(name_hash(name) << 32 | record for name in names)
            self._limits.check(
                "archive_index_bytes",
                len(self._names) * fmt.NAME_BYTES,
                "archive: bytes of its index of names",
            )
        self.end += length
        self.images += count

    def add_names(self, names: NDArray[np.uint64]) -> None:
        """Note the names of records that come next, as the index of names of their own archive has them."""
        total = (len(self._names) + len(names)) * fmt.NAME_BYTES
        self._limits.check("archive_index_bytes", total, "archive: bytes of its index of names")
        self._names.frombytes((names + np.uint64(self.records)).tobytes())

    def resume(self, index: Index, names: NDArray[np.uint64]) -> None:
        """Go on behind the records of another index."""
        self._entries = array("Q", index.entries[:-1].tobytes())
        self._names = array("Q", names.tobytes())
        self.images, self.end = index.trailer.images, index.end

    def pieces(self) -> Iterator[bytes]:
        """All that stands behind the records."""
        entries = np.frombuffer(self._entries, np.uint64)
        names = np.unique(np.frombuffer(self._names, np.uint64))
        checks = []
        for numbers in (entries, names):
            check = 0
            for start in range(0, len(numbers), _PIECE):
                piece = numbers[start : start + _PIECE].astype("<u8").tobytes()
                check = zlib.crc32(piece, check)
                yield piece
            checks.append(check)
        trailer = fmt.Trailer(self.images, self.records, len(names), checks[0], checks[1])
        yield fmt.write_trailer(trailer, self._seed)
