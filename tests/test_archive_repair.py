"""Archives cut, flipped, overwritten and killed anywhere: what is whole comes back, the rest is told."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from codec import archive as fmt
from codec.archive_inspection import inspect_archive
from codec.archive_reader import open_archive
from codec.archive_repair import Recovered, recover_archive
from codec.archive_writer import ArchiveWriter
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import ArchiveError, CodecError, DamagedArchiveError, WrongPairError
from codec.salvage import Gap

Pair = tuple[Encoder, Decoder]
COUNTS = (2, 1, 3, 1)


@pytest.fixture
def _unflushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk a thousand times."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, small_pair: Pair) -> bytes:
    """An archive of four small packets with names."""
    path = tmp_path_factory.mktemp("whole") / "x"
    rng = np.random.default_rng(0)
    with ArchiveWriter(path, small_pair[0].bundle.pair.digest) as writer:
        for i, count in enumerate(COUNTS):
            packet = small_pair[0].encode(rng.integers(0, 256, (count, 8, 8, 1), np.uint8), quality=0)
            writer.write_record(packet, count, [f"{i}-{j}" for j in range(count)], [{"record": i}] * count)
    return path.read_bytes()


@pytest.fixture(scope="module")
def bounds(tmp_path_factory: pytest.TempPathFactory, whole: bytes) -> list[int]:
    """Where each record begins, and where the last one ends."""
    path = tmp_path_factory.mktemp("bounds") / "x"
    path.write_bytes(whole)
    index = open_archive(path).records.index
    return [index.offset(record) for record in range(len(index) + 1)]


def recovered(folder: Path, data: bytes, pair: bytes | None = None) -> tuple[Recovered, list[str]]:
    """What was found, and the names of the images saved, whose archive is whole."""
    (folder / "damaged").write_bytes(data)
    found = recover_archive(folder / "damaged", folder / "saved", pair=pair)
    assert (folder / "damaged").read_bytes() == data
    report = inspect_archive(folder / "saved")
    assert (report.images, report.packets) == (found.images, found.records)
    return found, [str(entry.name) for entry in open_archive(folder / "saved")]


def names_but(*lost: int) -> list[str]:
    return [f"{i}-{j}" for i, count in enumerate(COUNTS) for j in range(count) if i not in lost]


def gaps_of(*lost: int) -> tuple[Gap, ...]:
    """Neighbours as one."""
    gaps: list[list[int]] = []
    for record in lost:
        first = sum(COUNTS[:record])
        if gaps and sum(gaps[-1]) == first:
            gaps[-1][1] += COUNTS[record]
        else:
            gaps.append([first, COUNTS[record]])
    return tuple((first, count) for first, count in gaps)


def test_a_whole_archive_is_recovered_to_the_byte(tmp_path: Path, whole: bytes) -> None:
    found, names = recovered(tmp_path, whole)
    assert (found, names) == (Recovered(7, 4, ()), names_but())
    assert (tmp_path / "saved").read_bytes() == whole


@pytest.mark.usefixtures("_unflushed")
def test_cut_anywhere_all_that_was_fully_written_comes_back(
    tmp_path: Path, whole: bytes, bounds: list[int]
) -> None:
    for length in range(len(whole)):
        data = whole[:length]
        (tmp_path / "damaged").write_bytes(data)
        with pytest.raises(ArchiveError):
            open_archive(tmp_path / "damaged")
        if length < fmt.HEADER_BYTES:
            with pytest.raises(ArchiveError):
                recover_archive(tmp_path / "damaged", tmp_path / "saved")
            continue
        records = sum(end <= length for end in bounds[1:])
        found = recover_archive(tmp_path / "damaged", tmp_path / "saved")
        images = sum(COUNTS[:records])
        assert found == Recovered(images, records, ((images, None),)), length
        assert [entry.name for entry in open_archive(tmp_path / "saved")] == names_but(*range(records, 4))


@pytest.mark.usefixtures("_unflushed")
def test_a_flipped_bit_anywhere_costs_its_record_alone_and_is_told(
    tmp_path: Path, whole: bytes, bounds: list[int]
) -> None:
    rng = np.random.default_rng(1)
    for at in range(fmt.HEADER_BYTES, len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "damaged").write_bytes(data)
        found = recover_archive(tmp_path / "damaged", tmp_path / "saved")
        lost = [record for record in range(4) if bounds[record] <= at < bounds[record + 1]]
        names = [entry.name for entry in open_archive(tmp_path / "saved")]
        assert names == names_but(*lost), at
        end_is_known = at < len(whole) - fmt.TRAILER_BYTES
        assert found.missing == (gaps_of(*lost) if end_is_known else ((7, None),)), at


@pytest.mark.parametrize("lost", [(0,), (1, 2), (3,), (0, 3), (0, 1, 2, 3)])
@pytest.mark.parametrize("how", ["zeros", "gone", "longer"])
def test_any_records_may_be_overwritten_or_gone(
    tmp_path: Path, whole: bytes, bounds: list[int], lost: tuple[int, ...], how: str
) -> None:
    parts = [whole[start:end] for start, end in pairwise(bounds)]
    for record in lost:
        zeros = bytes(len(parts[record]))
        middle = len(zeros) // 2
        parts[record] = {
            "zeros": zeros,
            "gone": b"",
            "longer": parts[record][:middle] + zeros + parts[record][middle:],
        }[how]
    data = whole[: fmt.HEADER_BYTES] + b"".join(parts) + whole[bounds[-1] :]
    found, names = recovered(tmp_path, data)
    assert names == names_but(*lost)
    assert found.missing == gaps_of(*lost)


def test_records_that_stand_twice_or_out_of_order_are_saved_once(
    tmp_path: Path, whole: bytes, bounds: list[int]
) -> None:
    parts = [whole[start:end] for start, end in pairwise(bounds)]
    data = whole[: fmt.HEADER_BYTES] + b"".join(parts[i] for i in (0, 0, 2, 1, 3)) + whole[bounds[-1] :]
    found, names = recovered(tmp_path, data)
    assert (names, found.missing) == (names_but(1), gaps_of(1))


def test_a_damaged_header_is_made_again_by_who_knows_the_pair(
    tmp_path: Path, whole: bytes, small_pair: Pair
) -> None:
    pair = small_pair[0].bundle.pair.digest
    damaged = whole[:20] + b"xx" + whole[22:]
    with pytest.raises(DamagedArchiveError, match="header: its check does not match"):
        recovered(tmp_path, damaged)
    assert recovered(tmp_path, damaged, pair) == (Recovered(7, 4, ()), names_but())
    assert recovered(tmp_path, whole[30:], pair) == (Recovered(7, 4, ()), names_but())
    assert recovered(tmp_path, whole, pair)[0].images == 7
    with pytest.raises(WrongPairError, match="give its own or none"):
        recovered(tmp_path, whole, bytes(32))


def test_a_damaged_record_is_an_error_where_it_is_read_and_no_other_is(
    tmp_path: Path, whole: bytes, bounds: list[int], small_pair: Pair
) -> None:
    data = bytearray(whole)
    data[bounds[3] - 1] ^= 4
    (tmp_path / "x").write_bytes(data)
    archive = open_archive(tmp_path / "x", small_pair[1])
    for number in (0, 1, 2, 6):
        assert archive[number].image.shape == (8, 8, 1)
    for number in (3, 4, 5):
        with pytest.raises(DamagedArchiveError, match=r"record 2, images 3 to 5: the check of its packet"):
            archive[number]
    assert open_archive(tmp_path / "x").records.metadata(2).names == ("2-0", "2-1", "2-2")


def test_a_process_that_is_killed_while_it_appends_loses_nothing_that_was_written(
    tmp_path: Path, whole: bytes
) -> None:
    path = tmp_path / "x"
    path.write_bytes(whole)
    code = """
import sys
from codec.archive_reader import open_archive
from codec.archive_writer import ArchiveWriter
packet = next(open_archive(sys.argv[1]).packets())
with ArchiveWriter(sys.argv[1], None, append=True) as writer:
    for i in range(100_000_000):
        writer.write_record(packet, 2, [f"new-{i}-0", f"new-{i}-1"])
        if i == 50:
            print("going", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"going\n"
        time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(CodecError, match="its index is missing"):
        open_archive(path)
    found = recover_archive(path, path)
    assert found.images >= 7 + 2 * 51
    assert found.missing == ((found.images, None),)
    archive = open_archive(path)
    assert [entry.name for entry in archive[:7]] == names_but()
    assert archive[-1].name == f"new-{(found.images - 7) // 2 - 1}-1"
    inspect_archive(path)
