"""Archives -> an archive: several as one, or what is left of a damaged one; nothing is decoded."""

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from codec import archive as fmt
from codec.archive import RecordHead
from codec.archive_index import IndexBuilder, read_names
from codec.archive_metadata import read_metadata
from codec.archive_records import File, Records
from codec.errors import ArchiveError, CodecError, OptionError, WrongPairError
from codec.files import write_pieces
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import packet_pair
from codec.salvage import Gap, joined

__all__ = ["Recovered", "concat_archives", "recover_archive"]

_PIECE = 1 << 20
_WINDOW = 1 << 12
"""Markers are looked for in few bytes at first: many side by side would keep a reader busy."""
_PASSES = 8
"""How often all of a file may be checked, in parts that overlap, before the rest is given up."""


def concat_archives(
    paths: Sequence[str | os.PathLike[str]], output: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS
) -> int:
    """Write one archive of the images of several, in their order, and return how many there are.

    Records are copied with all their checks compared, and nothing is decoded. The output appears whole or not
    at all; it may be one of ``paths``, or "-" for standard output.

    Raises:
        OptionError: no paths.
        WrongPairError: archives of different pairs.
        ArchiveError, DamagedArchiveError, LimitError, FileError: as ``open_archive``, for damage anywhere.
    """
    sources = [Records(path, limits) for path in paths]
    if not sources:
        raise OptionError("archives: expected at least one, found none")
    pair = sources[0].pair
    for source in sources:
        if source.pair != pair:
            raise WrongPairError(
                f"{source.path}: an archive of the pair {source.pair[:4].hex()}, expected "
                f"{pair[:4].hex()} as in {sources[0].path}; only archives of one pair can be one"
            )
    builder = IndexBuilder(fmt.seed_of(pair), limits)

    def pieces() -> Iterator[bytes]:
        yield fmt.write_header(pair)
        for source in sources:
            builder.add_names(read_names(source.read, source.index, limits))
            for record in range(len(source)):
                head = source.head(record)
                start = source.index.offset(record) + fmt.HEAD_BYTES
                yield replace(head, first=builder.images).to_bytes(fmt.seed_of(pair))
                builder.add(head.count, head.length)
                for count, check in (
                    (head.metadata_bytes, head.metadata_check),
                    (head.packet_bytes, head.packet_check),
                ):
                    found = 0
                    for piece in _read(source, start, count):
                        found = zlib.crc32(piece, found)
                        yield piece
                    if found != check:
                        raise source.damaged(record, "a check does not match")
                    start += count
        yield from builder.pieces()

    write_pieces(output, pieces())
    return builder.images


def _read(file: File | Records, start: int, count: int) -> Iterator[bytes]:
    """So many bytes from there on, fewer only at the end of the file."""
    for at in range(start, start + count, _PIECE):
        yield file.read(at, min(_PIECE, start + count - at))


@dataclass(frozen=True)
class Recovered:
    """What ``recover_archive`` found.

    Attributes:
        images: that were saved; in the new archive they count from 0 without gaps.
        records: that they are in.
        missing: number in the damaged archive of the first image, and count, of each gap. The last count is
            None where the end is gone, and with it whether there were more.
    """

    images: int
    records: int
    missing: tuple[Gap, ...]


def recover_archive(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    limits: Limits = DEFAULT_LIMITS,
    *,
    pair: bytes | None = None,
) -> Recovered:
    """Write an archive of all records of a damaged one that are whole, and tell which images are missing.

    The damaged file is only read, and its index is not needed: records are found by their markers and checks,
    so damage to one costs that one. The output appears whole; it may be ``path`` itself.

    Args:
        pair: the pair digest, 32 bytes, for a file whose header is damaged; None is that of the header.

    Raises:
        ArchiveError, DamagedArchiveError: the header is not one that can be read, and ``pair`` is not given.
        WrongPairError: the header is whole, and of another pair than ``pair``.
        FileError: the file cannot be read, or the other not be written.
    """
    file = File(path)
    start = fmt.HEADER_BYTES
    try:
        found = fmt.read_header(file.read(0, fmt.HEADER_BYTES))
    except ArchiveError:
        if pair is None:
            raise
        start = 0
    else:
        if pair is not None and pair != found:
            raise WrongPairError(
                f"archive: made by the pair {found[:4].hex()}, expected {pair[:4].hex()}; "
                "give its own or none"
            )
        pair = found
    seed, size = fmt.seed_of(pair), file.size
    trailer = fmt.read_trailer(file.read(max(0, size - fmt.TRAILER_BYTES), fmt.TRAILER_BYTES), seed)
    end = size if trailer is None else max(start, size - trailer.index_bytes)
    builder = IndexBuilder(seed, limits)
    gaps: list[Gap] = []
    expected = 0  # the number, in the damaged archive, of the image that comes next

    def pieces() -> Iterator[bytes]:
        nonlocal expected
        yield fmt.write_header(pair)
        for at, head in _whole_records(file, start, end, seed):
            if head.first < expected:
                continue  # one that was found before, or a stranger's
            try:
                names = _names(file, at, head, pair, limits)
            except CodecError:
                continue
            if head.first > expected:
                gaps.append((expected, head.first - expected))
            expected = head.first + head.count
            yield replace(head, first=builder.images).to_bytes(seed)
            yield from _read(file, at + fmt.HEAD_BYTES, head.length - fmt.HEAD_BYTES)
            builder.add(head.count, head.length, names)
        yield from builder.pieces()

    write_pieces(output, pieces())
    if trailer is None or trailer.images < expected:
        gaps.append((expected, None))
    elif trailer.images > expected:
        gaps.append((expected, trailer.images - expected))
    return Recovered(builder.images, builder.records, joined(gaps))


def _names(file: File, at: int, head: RecordHead, pair: bytes, limits: Limits) -> tuple[str, ...] | None:
    """The names in a record that a reader would take; ``CodecError`` for another."""
    packet_pair(file.read(at + fmt.HEAD_BYTES + head.metadata_bytes, 8), pair)
    limits.check("packet_bytes", head.packet_bytes, "archive: bytes of a packet")
    limits.check("metadata_bytes", head.metadata_bytes, "archive: bytes of metadata")
    return read_metadata(file.read(at + fmt.HEAD_BYTES, head.metadata_bytes), head.count, limits).names


def _whole_records(file: File, start: int, end: int, seed: int) -> Iterator[tuple[int, RecordHead]]:
    """Where each record begins all of whose checks match, and its head."""
    at, left = start, _PASSES * (end - start)
    while left >= 0:
        found = _next_head(file, at, end, seed)
        if found is None:
            return
        at, head = found
        after = at + head.length
        if after <= end:
            left -= head.length
            if _matches(file, at, head):
                yield at, head
                at = after
                continue
            # Bytes of it were changed; or some are gone, and the next record is not behind it but in it.
            if after == end or RecordHead.from_bytes(file.read(after, fmt.HEAD_BYTES), seed) is not None:
                at = after
                continue
        at += 1


def _matches(file: File, at: int, head: RecordHead) -> bool:
    start = at + fmt.HEAD_BYTES
    for count, check in (
        (head.metadata_bytes, head.metadata_check),
        (head.packet_bytes, head.packet_check),
    ):
        found = 0
        for piece in _read(file, start, count):
            found = zlib.crc32(piece, found)
        if found != check:
            return False
        start += count
    return True


def _next_head(file: File, at: int, end: int, seed: int) -> tuple[int, RecordHead] | None:
    """The first head from there on whose check matches, and where it is."""
    window = _WINDOW
    while at < end:
        data = file.read(at, min(window + fmt.HEAD_BYTES, end - at))
        place = data.find(fmt.RECORD_MARKER)
        while place >= 0:
            head = RecordHead.from_bytes(data[place : place + fmt.HEAD_BYTES], seed)
            if head is not None:
                return at + place, head
            place = data.find(fmt.RECORD_MARKER, place + 1)
        at += window + 1  # the places up to there had a whole head in the window
        window = min(2 * window, _PIECE)
    return None
