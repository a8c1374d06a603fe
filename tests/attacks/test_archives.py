"""Archives that claim much and hold little, whose indexes lie, or that keep a reader busy."""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from codec.archive import (
    ENTRY_BYTES,
    HEADER_BYTES,
    RecordHead,
    Trailer,
    seed_of,
    write_header,
    write_trailer,
)
from codec.archive_inspection import inspect_archive
from codec.archive_reader import open_archive
from codec.archive_repair import recover_archive
from codec.archive_writer import ArchivePieces
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import ArchiveError, CodecError, DamagedArchiveError, LimitError, WrongPairError
from codec.limits import Limits
from tests.attacks.cost import MIB, assert_quick, refused
from tests.conftest import small_pair_of

Pair = tuple[Encoder, Decoder]
BIG = (1 << 64) - 1


def packet_of(pair: Pair, count: int = 2) -> bytes:
    return pair[0].encode(np.zeros((count, 8, 8), np.uint8))


def record(pair: Pair, first: int, count: int, packet: bytes, facts: bytes = b"") -> bytes:
    """A record whose checks match, whatever it says."""
    head = RecordHead(first, count, len(facts), len(packet), zlib.crc32(facts), zlib.crc32(packet))
    return head.to_bytes(seed_of(pair[0].bundle.pair.digest)) + facts + packet


def archive(pair: Pair, parts: list[bytes], entries: list[tuple[int, int]], **claims: int) -> bytes:
    """An archive with an index of any entries, whose checks match."""
    digest = pair[0].bundle.pair.digest
    index = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    names = b""
    stated = {
        "images": claims.get("images", 2 * len(parts)),
        "records": claims.get("records", len(entries)),
        "names": claims.get("names", 0),
    }
    trailer = Trailer(**stated, records_check=zlib.crc32(index), names_check=zlib.crc32(names))
    return write_header(digest) + b"".join(parts) + index + names + write_trailer(trailer, seed_of(digest))


def two(pair: Pair) -> list[bytes]:
    packet = packet_of(pair)
    return [record(pair, 0, 2, packet), record(pair, 2, 2, packet)]


LIES: dict[str, Callable[[int], dict[str, Any]]] = {
    "offset of the first": lambda size: {"entries": [(0, 0), (44 + size, 2)]},
    "an offset beyond the file": lambda size: {"entries": [(44, 0), (BIG, 2)]},
    "records that overlap": lambda size: {"entries": [(44, 0), (45 + 36, 2)]},
    "a record that is its own successor": lambda size: {"entries": [(44, 0), (44, 2)]},
    "records in a circle": lambda size: {"entries": [(44 + size, 0), (44, 2)]},
    "images that go back": lambda size: {"entries": [(44, 0), (44 + size, 0)]},
    "a first image that is not the first": lambda size: {"entries": [(44, 1), (44 + size, 2)]},
    "more images in a record than there may be": lambda size: {
        "entries": [(44, 0), (44 + size, 1 << 33)],
        "images": 1 << 34,
    },
    "more images than there may be": lambda size: {"images": BIG},
    "fewer images than records": lambda size: {"images": 1},
    "more records than there are bytes": lambda size: {"records": 1 << 60},
    "all records": lambda size: {"records": BIG},
    "all names": lambda size: {"names": BIG},
    "names that overlap the records": lambda size: {"names": 7},
    "an index that leaves a record out": lambda size: {"entries": [(44, 0)], "images": 4},
    "no records where there are some": lambda size: {"entries": [], "images": 0},
}


@pytest.mark.parametrize("lie", LIES)
def test_an_index_that_lies_is_refused_at_once(tmp_path: Path, small_pair: Pair, lie: str) -> None:
    records = two(small_pair)
    honest = {"entries": [(44, 0), (44 + len(records[0]), 2)]}
    (tmp_path / "honest").write_bytes(archive(small_pair, records, **honest))  # type: ignore[arg-type]
    assert inspect_archive(tmp_path / "honest").images == 4
    (tmp_path / "x").write_bytes(archive(small_pair, records, **(honest | LIES[lie](len(records[0])))))
    refused(partial(_read_all, tmp_path / "x"), "index|head|names", error=DamagedArchiveError, memory=2 * MIB)


def _read_all(path: Path) -> None:
    found = open_archive(path)
    for number in (0, 1, 2, 3):
        found[number]
    inspect_archive(path)


def test_a_trillion_records_in_a_file_of_holes_are_refused_before_they_are_read(
    tmp_path: Path, small_pair: Pair
) -> None:
    digest = small_pair[0].bundle.pair.digest
    count = 1 << 32
    path = tmp_path / "x"
    trailer = write_trailer(Trailer(count, count - 1, 0, 0, 0), seed_of(digest))
    with path.open("wb") as file:
        file.write(write_header(digest))
        file.seek(HEADER_BYTES + count * (ENTRY_BYTES + 42))
        file.write(trailer)
    refused(partial(open_archive, path), "bytes of its index: expected at most", error=LimitError)
    limits = Limits(archive_index_bytes=1 << 40)
    with pytest.raises((DamagedArchiveError, MemoryError)):
        open_archive(path, None, limits)


def test_a_record_of_four_thousand_million_images_costs_nothing(tmp_path: Path, small_pair: Pair) -> None:
    count = (1 << 32) - 1
    data = archive(small_pair, [record(small_pair, 0, count, packet_of(small_pair))], [(44, 0)], images=count)
    (tmp_path / "x").write_bytes(data)
    refused(partial(inspect_archive, tmp_path / "x"), "expected 4,294,967,295 images, found 2")
    found = open_archive(tmp_path / "x", small_pair[1])
    assert len(found) == count
    assert open_archive(tmp_path / "x")[count - 1].metadata == {}
    refused(
        lambda: found[5], "expected 4,294,967,295 images in its packet, found 2", seconds=1, memory=8 * MIB
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xdd\x00\xff\xff\xff" + b"\x90" * ((1 << 24) - 5), "values: expected|exceeds max_array_len"),
        (b"\x81\xa8metadata\x81\xa1x\x92" + b"\x91" * 100_000 + b"\xc0" * 2, "metadata"),
        (b"\x81\xa8metadata\x81\xa1x\x92" + b"\x91" * 20 + b"\xc0" * 2, "nested too deeply"),
        (b"\x81\xa8metadata\x81\xa1x\x92\xc7\xff\x05", "metadata"),
        (b"\x81\xa8metadata\x81\xa1x\xdf\xff\xff\xff\xff", "metadata"),
        (b"\x81\xa8metadata\x82\xa1x\x92\x01\x02\xa1x\x92\x01\x02", "unique string keys"),
        (b"\x81\xa8metadata\x81\xa1x\x92\x01\xcc\x02", "shortest form"),
        (b"\x81\xa8metadata\x81\xa1x\x92\x01\xc4\x01\x02", "found bytes"),
        (b"\x81\xa8metadata\x81\xa1x\x92\xc0\xc0", "a value for at least one image"),
        (b"\x81\xa8metadata\x81\xa1x\x93\x01\x02\x03", "each of 2 images, found 3 values"),
        (b"\x81\xa8metadata\x80", "map of columns"),
        (b"\x80", "expected a map of names, metadata or both"),
        (b"\x81\xa5other\x92\x01\x02", "expected a map of names, metadata or both"),
        (b"\x81\xa5names\x92\xa1a\x02", "expected text, found int"),
        (b"\x81\xa5names\x92\xa1a\xa6../etc", "expected a plain file name"),
    ],
    ids=map(str, range(15)),
)
def test_metadata_that_grows_or_is_not_as_specified_is_refused(
    tmp_path: Path, small_pair: Pair, content: bytes, told: str
) -> None:
    record_ = record(small_pair, 0, 2, packet_of(small_pair), content)
    (tmp_path / "x").write_bytes(archive(small_pair, [record_], [(44, 0)]))
    found = open_archive(tmp_path / "x")
    refused(lambda: found[0], told, seconds=2, memory=150 * MIB)
    assert recover_archive(tmp_path / "x", tmp_path / "y").missing == ((0, 2),)


def test_metadata_that_is_within_limits_takes_a_bounded_multiple_of_memory(
    tmp_path: Path, small_pair: Pair
) -> None:
    limits = Limits(metadata_values=1000)
    content = msgpack.packb({"metadata": {"x": [[[]] * 600, [[]] * 600]}})
    (tmp_path / "x").write_bytes(
        archive(small_pair, [record(small_pair, 0, 2, packet_of(small_pair), content)], [(44, 0)])
    )
    refused(lambda: open_archive(tmp_path / "x", None, limits)[0], "values: expected at most 1,000")
    assert len(open_archive(tmp_path / "x")[0].metadata["x"]) == 600


def test_a_packet_of_another_pair_is_refused_by_each_reader(tmp_path: Path, small_pair: Pair) -> None:
    other = packet_of((Encoder(small_pair_of(7)[0]), small_pair[1]))
    (tmp_path / "x").write_bytes(archive(small_pair, [record(small_pair, 0, 2, other)], [(44, 0)]))
    for read in (
        lambda: open_archive(tmp_path / "x", small_pair[1])[0],
        lambda: list(open_archive(tmp_path / "x").packets()),
        lambda: inspect_archive(tmp_path / "x"),
    ):
        with pytest.raises(WrongPairError, match="packet: made by the pair"):
            read()
    assert recover_archive(tmp_path / "x", tmp_path / "y").images == 0


def test_a_record_cannot_be_moved_to_an_archive_of_another_pair(tmp_path: Path, small_pair: Pair) -> None:
    other = small_pair_of(7)
    moved = archive(
        (Encoder(other[0]), Decoder(other[1])), [record(small_pair, 0, 2, packet_of(small_pair))], [(44, 0)]
    )
    (tmp_path / "x").write_bytes(moved)
    with pytest.raises(DamagedArchiveError, match="its head is not what its check and the index say"):
        open_archive(tmp_path / "x")[0]


def test_all_names_of_one_hash_are_searched_and_no_more(tmp_path: Path, small_pair: Pair) -> None:
    pieces = ArchivePieces(small_pair[0].bundle.pair.digest)
    packet = packet_of(small_pair)
    parts = [pieces.header(), *(pieces.record(packet, 2, ["plumless"] * 2) for _ in range(500))]
    (tmp_path / "x").write_bytes(b"".join([*parts, *pieces.index()]))
    found = open_archive(tmp_path / "x")
    assert_quick(lambda: found.find("buckeroo"), 2)
    assert found.find("buckeroo") == []


@pytest.mark.parametrize("kind", ["markers", "heads", "nested"])
def test_recovery_of_a_file_made_to_keep_it_busy_takes_time_by_its_length(
    tmp_path: Path, small_pair: Pair, kind: str
) -> None:
    digest = small_pair[0].bundle.pair.digest
    size = 1 << 18
    if kind == "markers":
        body = b"\xf1REC" * (size // 4)
    else:
        count = size // 36
        lengths = [6 if kind == "heads" else 36 * (count - i) - 17 for i in range(count)]
        heads = (RecordHead(i, 1, 0, length, 0, 1) for i, length in enumerate(lengths))
        body = b"".join(head.to_bytes(seed_of(digest)) for head in heads)
    (tmp_path / "x").write_bytes(write_header(digest) + body)
    assert_quick(lambda: recover_archive(tmp_path / "x", tmp_path / "y"), 3)
    assert recover_archive(tmp_path / "x", tmp_path / "y").images == 0


def test_any_error_of_an_archive_is_the_librarys(tmp_path: Path) -> None:
    for data in (b"", b"\xf1ARC", b"\xf1ARC\x01" + bytes(200), bytes(300)):
        (tmp_path / "x").write_bytes(data)
        for read in (open_archive, inspect_archive, partial(recover_archive, output=tmp_path / "y")):
            with pytest.raises(ArchiveError):
                read(tmp_path / "x")
    with pytest.raises(CodecError):
        open_archive("a\0b")
