"""Bounded reads and atomic writes."""

import io
import itertools
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import CodecError, FileError, LimitError
from codec.files import read_bytes, read_up_to, write_bytes, write_pieces


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class StoppedError(Exception):
    """What a source of pieces may raise."""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file that is already there."""
    path = tmp_path / "packet.bin"
    path.write_bytes(b"old")
    return path


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    write_bytes(tmp_path / "new", data)
    assert read_bytes(tmp_path / "new", len(data), "packet") == data


@settings(deadline=None, max_examples=50)
@given(pieces=st.lists(st.binary(max_size=99), max_size=9), limit=st.integers(1, 900))
def test_any_pieces_come_back_as_one_file_or_are_over_the_limit(pieces: list[bytes], limit: int) -> None:
    data = b"".join(pieces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        assert write_pieces(path, pieces) == len(data)
        if len(data) <= limit:
            assert read_bytes(path, limit, "file") == data
        else:
            with pytest.raises(LimitError, match="expected at most"):
                read_bytes(path, limit, "file")


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=50), most=st.lists(st.integers(1, 9), min_size=1), count=st.integers(0, 60))
def test_a_file_that_gives_less_than_it_is_asked_for_is_asked_again(
    data: bytes, most: list[int], count: int
) -> None:
    sizes, file = itertools.cycle(most), io.BytesIO(data)

    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return file.read(min(size or 0, next(sizes)))

    assert read_up_to(Dripping(), count) == data[:count]


def test_pieces_are_joined_and_counted(target: Path) -> None:
    assert write_pieces(os.fspath(target), [b"one", b"", b"and two"]) == 10
    assert target.read_bytes() == b"oneand two"
    assert names(target.parent) == [target.name]


def test_the_old_file_is_whole_until_the_last_piece_is_written(target: Path) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(3):
            assert target.read_bytes() == b"old"
            yield b"new" * 10_000

    write_pieces(target, pieces())
    assert target.read_bytes() == b"new" * 30_000


@pytest.mark.parametrize("failure", [StoppedError("enough"), FileError("gone"), KeyboardInterrupt()])
def test_the_old_file_stays_when_a_piece_cannot_be_made(target: Path, failure: BaseException) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"new" * 10_000
        raise failure

    with pytest.raises(type(failure)) as caught:
        write_pieces(target, pieces())
    assert caught.value is failure
    assert target.read_bytes() == b"old"
    assert names(target.parent) == [target.name]


def test_nothing_is_left_behind_when_a_new_file_cannot_be_finished(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_pieces(tmp_path / "new", [b"piece", "text"])  # type: ignore[list-item]
    assert names(tmp_path) == []


def test_a_folder_cannot_be_replaced_by_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(FileError, match=f"^{re.escape(str(folder))}: cannot be written: Is a directory$"):
        write_bytes(folder, b"data")
    assert names(tmp_path) == ["folder"]
    assert names(folder) == []


@pytest.mark.parametrize(
    ("folder", "reason"), [("missing", "No such file or directory"), ("packet.bin", "Not a directory")]
)
def test_a_file_in_what_is_no_folder_cannot_be_written(target: Path, folder: str, reason: str) -> None:
    path = target.parent / folder / "new"
    with pytest.raises(FileError, match=f"^{re.escape(str(path))}: cannot be written: {reason}$"):
        write_bytes(path, b"data")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_in_a_read_only_folder_cannot_be_written(target: Path) -> None:
    target.parent.chmod(0o500)
    try:
        with pytest.raises(FileError, match=r"cannot be written: Permission denied$"):
            write_bytes(target, b"data")
    finally:
        target.parent.chmod(0o700)
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "new", b"data")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~mask


def test_a_file_over_the_limit_is_refused(target: Path) -> None:
    assert read_bytes(target, 3, "packet") == b"old"
    message = f"packet {target}: expected at most 2 bytes, found more"
    with pytest.raises(LimitError, match=f"^{re.escape(message)}$"):
        read_bytes(target, 2, "packet")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "No such file or directory"),
        ("", "Is a directory"),
        ("packet.bin/inside", "Not a directory"),
    ],
)
def test_what_cannot_be_read_is_refused(target: Path, name: str, reason: str) -> None:
    path = target.parent / name
    with pytest.raises(FileError, match=f"^encoder bundle {re.escape(str(path))}: cannot be read: {reason}$"):
        read_bytes(path, 10, "encoder bundle")


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    give(b"\xc3\x7a packet")
    assert read_bytes("-", 9, "packet") == b"\xc3\x7a packet"
    give(b"\xc3\x7a packet")
    with pytest.raises(LimitError, match=r"^packet -: expected at most 8 bytes, found more$"):
        read_bytes("-", 8, "packet")


def test_a_dash_writes_standard_output(
    capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_pieces("-", [b"\xc3\x7a", b"\r\n\0"]) == 5
    write_bytes("-", b"more")
    assert capsysbinary.readouterr().out == b"\xc3\x7a\r\n\0more"
    assert names(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_standard_output_is_told_as_a_file_error() -> None:
    code = (
        "from codec.errors import FileError\n"
        "from codec.files import write_bytes\n"
        "try: write_bytes('-', bytes(100_000))\n"
        "except FileError: raise SystemExit(7)\n"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.DEVNULL)
    assert done.returncode == 7


def test_a_name_as_long_as_a_packet_may_carry_can_be_written(tmp_path: Path) -> None:
    name = "n" * 251 + ".png"
    write_bytes(tmp_path / name, b"data")
    assert names(tmp_path) == [name]


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_bytes(pipe, b"data")
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert os.read(reader, 10) == b"data"
    finally:
        os.close(reader)


def test_a_link_goes_on_pointing_to_the_file_that_is_written(target: Path) -> None:
    link = target.parent / "link"
    link.symlink_to(target)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_private_file_stays_private_when_it_is_replaced(target: Path) -> None:
    target.chmod(0o600)
    write_bytes(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_path_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(CodecError):
        read_bytes("a\0b", 10, "packet")
