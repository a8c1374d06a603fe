"""Packets -> an archive file, new or behind what is in one. No network, no JAX: a packet stays as it is."""

import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from codec import archive as fmt
from codec.archive import RecordHead
from codec.archive_index import IndexBuilder, read_names
from codec.archive_metadata import write_metadata
from codec.archive_records import Records
from codec.errors import FileError, OptionError, WrongPairError
from codec.files import replacing, write_to, writing
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import packet_pair

__all__ = ["ArchivePieces", "ArchiveWriter", "count_images"]


class ArchivePieces:
    """The pieces of an archive, to write one after the other: ``header``, a ``record`` each, then ``index``.

    Args:
        pair: the pair digest, 32 bytes, of all packets.
        limits: bounds that packets, metadata and the index are held to.
    """

    def __init__(self, pair: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
        self._header = fmt.write_header(pair)
        self._seed = fmt.seed_of(pair)
        self.pair = pair
        self.limits = limits
        self.builder = IndexBuilder(self._seed, limits)

    def header(self) -> bytes:
        """The beginning of the file."""
        return self._header

    def record(
        self,
        packet: bytes,
        count: int,
        names: Sequence[str] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> bytes:
        """A record of a packet that holds ``count`` images; names and metadata as for ``write_metadata``."""
        packet_pair(packet, self.pair)
        limits = self.limits
        limits.check("packet_bytes", len(packet), "archive: bytes of a packet")
        limits.check("packet_images", count, "archive: images in a packet")
        facts = write_metadata(count, names, metadata, limits)
        head = RecordHead(
            self.builder.images, count, len(facts), len(packet), zlib.crc32(facts), zlib.crc32(packet)
        )
        self.builder.add(count, head.length, names)
        return head.to_bytes(self._seed) + facts + packet

    def index(self) -> Iterator[bytes]:
        """The end of the file."""
        return self.builder.pieces()


def count_images(packet: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[int, tuple[str, ...] | None]:
    """How many images are in a packet, all of whose checks match, and their names if it has some.

    Raises:
        PacketError, LimitError: as ``codec.inspect``.
    """
    from codec.packet_reader import read_packet  # who makes packets knows, and needs no reader

    header, chunks = read_packet(packet, limits)
    count = 0
    names: list[str] = []
    for chunk in chunks:
        count = chunk.first + chunk.count  # tiles of one image have the same first
        limits.check("packet_images", count, "packet: images")
        names += chunk.names or ()
    return count, tuple(names) if header.named else None


class ArchiveWriter:
    """Writes packets to an archive file, as a context manager.

    A new archive appears whole when the block ends, or not at all; it replaces an older file of its name.
    Appending writes behind the last record and a new index at the end. If the block ends in an exception, the
    archive is then as it was; if the process is killed, it has lost its index, and ``recover_archive`` saves
    all records that were fully written.

    Args:
        path: of the file.
        pair: the pair digest, 32 bytes, of all packets: ``encoder.bundle.pair.digest``. For appending, None
            is the archive's own.
        append: go on behind the records of an archive that is there.
        limits: bounds that packets, metadata and the index are held to.

    Raises:
        FileError: the file cannot be written, or another process is appending to it.
        ArchiveError, DamagedArchiveError: of the archive that is there.
        WrongPairError: the archive that is there is of another pair.
        OptionError: no pair.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        pair: bytes | None,
        *,
        append: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.path = os.fspath(path)
        self._append = append
        self._stack = ExitStack()
        self._file: BinaryIO | None = None
        self._broken = False
        if append:
            self._old = Records(path, limits)
            if pair is not None and pair != self._old.pair:
                raise WrongPairError(
                    f"{self.path}: an archive of the pair {self._old.pair[:4].hex()}, expected "
                    f"{pair[:4].hex()}; write another archive"
                )
            pair = self._old.pair
        if pair is None:
            raise OptionError("pair: expected the pair digest of a new archive's packets, found None")
        self._pieces = ArchivePieces(pair, limits)

    @property
    def pair(self) -> bytes:
        """The pair digest."""
        return self._pieces.pair

    @property
    def images(self) -> int:
        """In all records so far."""
        return self._pieces.builder.images

    def __enter__(self) -> Self:
        if self._append:
            self._file = self._stack.enter_context(_appending(self._old, self._pieces))
        else:
            self._file = self._stack.enter_context(replacing(self.path))
            write_to(self._file, [self._pieces.header()], self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        file, self._file = self._file, None
        if error is not None or file is None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._check_whole()
            write_to(file, self._pieces.index(), self.path)

    def _check_whole(self) -> None:
        if self._broken:
            raise FileError(f"{self.path}: cannot be finished: a packet could only be written in part")

    def add_packet(
        self,
        packet: bytes,
        names: Iterable[str] | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | None = None,
    ) -> None:
        """Add a packet, in any framing but sealed, all of whose checks match; one of no images adds nothing.

        Args:
            names: a plain file name for each image; None is those in the packet, if it has some. They need
                not differ.
            metadata: for each image, a map of plain values with string keys, or None.

        Raises:
            PacketError, WrongPairError: no packet, damaged, or of another pair.
            ImageError, OptionError: names or metadata that an archive cannot hold.
            LimitError: over the limits.
            FileError: it cannot be written.
        """
        count, own = count_images(packet, self._pieces.limits)
        if not count:
            return
        self.write_record(bytes(packet), count, own if names is None else tuple(names), metadata)

    def write_record(
        self,
        packet: bytes,
        count: int,
        names: Sequence[str] | None = None,
        metadata: Iterable[Mapping[str, Any] | None] | None = None,
    ) -> None:
        """As ``add_packet``, for who has just made the packet and knows that ``count`` images are in it."""
        if self._file is None:
            raise OptionError(f"{self.path}: expected the archive open for writing; use it in a with block")
        listed = None if metadata is None else list(metadata)
        self._check_whole()
        record = self._pieces.record(packet, count, names, listed)
        self._broken = True
        write_to(self._file, [record], self.path)
        self._broken = False


@contextmanager
def _appending(old: Records, pieces: ArchivePieces) -> Iterator[BinaryIO]:
    """An archive's file without its index, to write behind its records; if that fails, it is as it was."""
    index = old.index
    names = read_names(old.read, index, old.limits)
    builder = pieces.builder
    builder.resume(index, names)
    before = list(builder.pieces())
    with writing(old.path):
        opened = open(old.path, "r+b", buffering=0)  # noqa: SIM115
    with opened as file:
        _lock(file, old.path)
        with writing(old.path):
            if os.fstat(file.fileno()).st_size != old.size:
                raise FileError(f"{old.path}: was changed while it was opened; try again")
            file.truncate(index.end)
            file.seek(index.end)
        try:
            yield cast(BinaryIO, file)
            with writing(old.path):
                os.fsync(file.fileno())
        except BaseException:
            with writing(old.path):
                file.truncate(index.end)
                file.seek(index.end)
            write_to(file, before, old.path)
            raise


def _lock(file: Any, path: str) -> None:
    """Keep others from appending at the same time, where the system can; the lock goes with the file."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileError(f"{path}: another process is appending to it; wait until it has ended") from None
    except OSError:  # a file system without locks
        return
