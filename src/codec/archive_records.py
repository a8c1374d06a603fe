"""An archive file -> its checked records, by number: packets, names and metadata. No network, no JAX.

The file is opened by its path where it is first needed, in each process anew, and read at places: any number
of threads may read from one object, and it can be pickled.
"""

import os
import threading
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec import archive as fmt
from codec.archive import RecordHead
from codec.archive_index import Index, name_hash, read_index, read_names
from codec.archive_metadata import ImageFacts, read_metadata
from codec.errors import CodecError, DamagedArchiveError, FileError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import packet_pair

__all__ = ["File", "Records"]


class File:
    """A file to read at places, by any number of threads."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        try:
            self._number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
            raise self._failed(error) from None
        weakref.finalize(self, os.close, self._number)
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return os.fstat(self._number).st_size

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes from there on, fewer only at the end of the file."""
        pieces = []
        try:
            while count:
                piece = self._read(offset, count)
                if not piece:
                    break
                pieces.append(piece)
                offset, count = offset + len(piece), count - len(piece)
        except OSError as error:
            raise self._failed(error) from None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._number, count, offset)
        with self._lock:  # a system without it: the file has one place at a time
            os.lseek(self._number, offset, os.SEEK_SET)
            return os.read(self._number, count)

    def _failed(self, error: OSError | ValueError) -> FileError:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return FileError(f"archive {self.path}: cannot be read: {reason}")


class Records:
    """The records of an archive file.

    Args:
        path: of the file.
        limits: bounds that the file is held to before anything is allocated.

    Raises, when it is first read:
        FileError: it cannot be read.
        ArchiveError: not an archive, or an unknown version.
        DamagedArchiveError: truncated, without its index, or a check does not match.
        LimitError: over the limits.
    """

    def __init__(self, path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> None:
        self.path = str(Path(path).absolute())
        self.limits = limits
        self._lock = threading.Lock()
        self._opened: tuple[File, bytes, Index] | None = None
        self._names: NDArray[np.uint64] | None = None

    def __reduce__(self) -> tuple[type["Records"], tuple[str, Limits]]:
        return Records, (self.path, self.limits)

    def _open(self) -> tuple[File, bytes, Index]:
        if self._opened is None:
            with self._lock:
                if self._opened is None:
                    file = File(self.path)
                    try:
                        pair = fmt.read_header(file.read(0, fmt.HEADER_BYTES))
                        index = read_index(file.read, file.size, fmt.seed_of(pair), self.limits)
                    except CodecError as error:
                        raise type(error)(f"{self.path}: {error}") from None
                    self._opened = file, pair, index
        return self._opened

    @property
    def pair(self) -> bytes:
        """The pair digest."""
        return self._open()[1]

    @property
    def index(self) -> Index:
        """Where the records are."""
        return self._open()[2]

    @property
    def size(self) -> int:
        """Bytes of the file, as its index has it."""
        return self.index.end + self.index.trailer.index_bytes

    def __len__(self) -> int:
        return len(self.index)

    def read(self, offset: int, count: int) -> bytes:
        """So many bytes of the file from there on, fewer only at its end."""
        return self._open()[0].read(offset, count)

    def head(self, record: int) -> RecordHead:
        """A record's head, which is as the index has it."""
        file, pair, index = self._open()
        start, end = index.offset(record), index.offset(record + 1)
        first, count = index.first(record), index.first(record + 1) - index.first(record)
        head = RecordHead.from_bytes(file.read(start, fmt.HEAD_BYTES), fmt.seed_of(pair))
        if head is None or (head.first, head.count, head.length) != (first, count, end - start):
            raise self.damaged(record, "its head is not what its check and the index say")
        return head

    def metadata(self, record: int) -> ImageFacts:
        """Names and metadata of a record's images."""
        head = self.head(record)
        if not head.metadata_bytes:
            return ImageFacts()
        self.limits.check(
            "metadata_bytes", head.metadata_bytes, f"archive, record {record}: bytes of metadata"
        )
        data = self._body(record, fmt.HEAD_BYTES, head.metadata_bytes, head.metadata_check, "metadata")
        return read_metadata(data, head.count, self.limits)

    def packet(self, record: int) -> bytes:
        """A record's packet: as it was written, and of the archive's pair."""
        head = self.head(record)
        self.limits.check("packet_bytes", head.packet_bytes, f"archive, record {record}: bytes of its packet")
        start = fmt.HEAD_BYTES + head.metadata_bytes
        packet = self._body(record, start, head.packet_bytes, head.packet_check, "packet")
        packet_pair(packet, self.pair)
        return packet

    def _body(self, record: int, start: int, count: int, check: int, what: str) -> bytes:
        file, _, index = self._open()
        data = file.read(index.offset(record) + start, count)
        if len(data) < count or zlib.crc32(data) != check:
            raise self.damaged(record, f"the check of its {what} does not match")
        return data

    def damaged(self, record: int, told: str) -> DamagedArchiveError:
        """The error that tells what is wrong with a record, and which images are in it."""
        first, last = self.index.first(record), self.index.first(record + 1) - 1
        return DamagedArchiveError(
            f"archive, record {record}, images {first:,} to {last:,}: {told}; it is damaged; "
            "codec.recover_archive or codec archive recover saves the others"
        )

    def find(self, name: str) -> Iterator[tuple[int, int]]:
        """Each image of that name, as its record and its number in it; few records are read."""
        if self._names is None:
            names = read_names(self.read, self.index, self.limits)
            self._names = names
        low = np.uint64(name_hash(name) << 32)
        start = int(np.searchsorted(self._names, low))
        end = int(np.searchsorted(self._names, low | np.uint64(0xFFFFFFFF), "right"))
        for entry in self._names[start:end]:
            record = int(entry) & 0xFFFFFFFF
            for number, found in enumerate(self.metadata(record).names or ()):
                if found == name:
                    yield record, number
