"""The limits of the machine: full disks, read-only folders, closed streams, no memory, files that change.

Each ends in one line and the right exit status, and leaves what was there.
"""

import io
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec import cli
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import CodecError, DamagedPacketError, FileError
from codec.files import creating, write_bytes, write_together
from codec.imagefiles import png_bytes, read_image
from codec.packet_reader import read_packet
from codec.terminal import tell
from tests.kill import TRAIN

CODEC = [sys.executable, "-m", "codec"]


class Ended(NamedTuple):
    """How a command line ended."""

    status: int
    told: list[str]


def run(*arguments: str | Path, cwd: Path, limit: str = "", **streams: Any) -> Ended:
    """Run ``codec``, under a limit of the shell's if there is one."""
    command = ["bash", "-c", f'{limit or ":"}; exec "$@"', "bash", *CODEC, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, check=False, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    )
    return Ended(done.returncode, (done.stderr or b"").decode().splitlines())


def refuses(words: str, ended: Ended) -> None:
    """The end is one line with ``words``, and status 1."""
    assert (ended.status, len(ended.told)) == (1, 1), ended
    assert ended.told[0].startswith("codec: ")
    assert words in ended.told[0]


@pytest.fixture
def work(tmp_path: Path, digits: NDArray[np.uint8]) -> Path:
    """A folder with three digits in digits/ and the packet of them."""
    (tmp_path / "digits").mkdir()
    for i, image in enumerate(digits[:30:10]):
        (tmp_path / "digits" / f"{i}.png").write_bytes(png_bytes(image))
    packet = codec.encode(digits[:30:10], "mnist", names=["0.png", "1.png", "2.png"])
    (tmp_path / "digits.packet").write_bytes(packet)
    return tmp_path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small disk, or changes the options of the one mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if os.path.ismount(folder) else ""
        command = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("needs the right to mount a disk")
        return folder

    if shutil.which("mount") is None:
        pytest.skip("needs the right to mount a disk")
    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Runs the command line in this process, which gets its hooks back."""
    for owner, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, hook, getattr(owner, hook))

    def call(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["codec", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        code = stop.value.code
        assert code is None or isinstance(code, int)
        return Ended(code or 0, capsys.readouterr().err.splitlines())

    yield call
    logging.disable(logging.NOTSET)


def fill(folder: Path) -> None:
    """Leave no room on the disk that ``folder`` is."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


# A full disk


def test_a_packet_that_does_not_fit_leaves_the_older_one(work: Path, disk: Callable[..., Path]) -> None:
    full = disk("size=64k")
    (full / "x.packet").write_bytes(b"old")
    fill(full)
    ended = run("encode", "digits", "-o", full / "x.packet", cwd=work)
    refuses(f"{full / 'x.packet'}: cannot be written: No space left on device", ended)
    assert (full / "x.packet").read_bytes() == b"old"
    assert sorted(path.name for path in full.iterdir()) == ["filler", "x.packet"]


def test_a_packet_over_the_size_that_a_file_may_have_leaves_the_older_one(work: Path) -> None:
    (work / "x.packet").write_bytes(b"old")
    ended = run("encode", "digits", "-o", "x.packet", cwd=work, limit="ulimit -f 0")
    refuses("x.packet: cannot be written: File too large", ended)
    assert (work / "x.packet").read_bytes() == b"old"
    assert not list(work.glob(".codec-*"))


def test_images_decoded_before_the_disk_was_full_are_whole_and_counted(
    work: Path, disk: Callable[..., Path], digits: NDArray[np.uint8]
) -> None:
    full = disk("size=32k")
    (work / "many.packet").write_bytes(codec.encode(digits, "mnist"))
    ended = run("decode", "many.packet", "-o", full, cwd=work)
    written = sorted(full.iterdir())
    assert 2 < len(written) < 10
    refuses(f"cannot be written: No space left on device; {len(written)} images written to {full}", ended)
    expected = codec.decode((work / "many.packet").read_bytes(), "mnist")
    for path, image in zip(written, expected, strict=False):
        np.testing.assert_array_equal(read_image(path), image)


def test_a_pair_that_does_not_fit_leaves_the_older_one(disk: Callable[..., Path]) -> None:
    full = disk("size=64k")
    for name in ("one", "two"):
        (full / name).write_bytes(b"old")
    with pytest.raises(FileError, match="two: cannot be written: No space left on device"):
        write_together({full / "one": bytes(20_000), full / "two": bytes(60_000)})
    assert {path.name: path.read_bytes() for path in full.iterdir()} == {"one": b"old", "two": b"old"}


def test_training_on_a_full_disk_keeps_its_last_checkpoint_and_goes_on(
    disk: Callable[..., Path],
    tmp_path: Path,
    digits: NDArray[np.uint8],
    main: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = disk("size=110k")
    np.save(tmp_path / "small.npy", digits[:, 6:14, 6:14])
    train: list[str | Path] = ["train", "--images", "small.npy", "--out", full / "out", *TRAIN]
    ended = run(*train, cwd=tmp_path)
    assert ended.status == 1
    assert not [line for line in ended.told if "Traceback" in line or "Error" in line]
    assert "No space left on device; when that is mended, the same command with --resume" in ended.told[-1]
    assert [path.name for path in (full / "out" / "checkpoints").glob("[0-9]")] == ["2"]
    disk("size=4m")
    monkeypatch.chdir(tmp_path)
    assert main(*train, "--resume").status == 0
    assert len(list((full / "out").glob("*.msgpack"))) == 2
    assert not list((full / "out" / "checkpoints").glob("*tmp*"))


# A read-only folder


def test_a_read_only_folder_is_told_and_nothing_in_it_changes(
    work: Path,
    disk: Callable[..., Path],
    digits: NDArray[np.uint8],
    main: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(work)
    folder = disk("size=1m")
    (folder / "x.packet").write_bytes(b"old")
    disk("ro")
    np.save(work / "small.npy", digits[:, 6:14, 6:14])
    commands: list[list[str | Path]] = [
        ["encode", "digits", "-o", folder / "x.packet"],
        ["decode", "digits.packet", "-o", folder],
        ["decode", "digits.packet", "-o", folder / "new"],
        ["train", "--images", "small.npy", "--out", folder / "out", *TRAIN],
    ]
    for command in commands:
        ended = main(*command)
        assert ended.status == 1, command
        assert "Traceback" not in "".join(ended.told)
        assert ended.told[-1].startswith("codec: ")
        assert ended.told[-1].endswith("Read-only file system"), ended
    assert [path.name for path in folder.iterdir()] == ["x.packet"]
    assert (folder / "x.packet").read_bytes() == b"old"


# Closed streams


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "digits", "-o", "-"],
        ["inspect", "digits.packet"],
        ["evaluate", "--images", "digits", "--quality", "3"],
        ["--help"],
        ["--version"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_where_the_reader_has_gone_the_end_is_quiet_and_its_status_141(
    work: Path, arguments: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(*arguments, cwd=work, stdout=writer) == (141, [])
    finally:
        os.close(writer)


def test_a_full_standard_output_is_told(work: Path) -> None:
    with open("/dev/full", "wb") as full:
        for arguments in (["encode", "digits", "-o", "-"], ["inspect", "digits.packet"], ["--version"]):
            refuses("No space left on device", run(*arguments, cwd=work, stdout=full))


@pytest.mark.parametrize(
    ("closed", "arguments", "words"),
    [
        ("<&-", ["decode", "-", "-o", "out"], "standard input: cannot be read: it is closed"),
        (">&-", ["encode", "digits", "-o", "-"], "standard output: cannot be written: it is closed"),
        (">&-", ["inspect", "digits.packet"], "standard output: cannot be written: it is closed"),
    ],
)
def test_a_closed_stream_that_is_needed_is_told(
    work: Path, closed: str, arguments: list[str], words: str
) -> None:
    refuses(words, run(*arguments, cwd=work, limit=f"exec {closed}"))


def test_without_any_stream_a_packet_is_still_the_packet(work: Path) -> None:
    ended = run("encode", "digits", "-o", "again.packet", cwd=work, limit="exec <&- >&- 2>&-")
    assert ended.status == 0
    again = codec.decode((work / "again.packet").read_bytes(), "mnist")
    np.testing.assert_array_equal(again, codec.decode((work / "digits.packet").read_bytes(), "mnist"))


def test_what_a_library_prints_where_standard_error_is_closed_is_in_no_file(work: Path) -> None:
    code = (
        "import os\nimport codec.encoder\nfrom codec.cli import main\n"
        "encode = codec.encoder.encode_symbols\n"
        "def printing(*arguments):\n"
        "    os.write(2, b'noise')\n"
        "    return encode(*arguments)\n"
        "codec.encoder.encode_symbols = printing\nmain()\n"
    )
    command = [sys.executable, "-c", code, "encode", "digits", "-o", "again.packet"]
    done = subprocess.run(["bash", "-c", 'exec 2>&-; exec "$@"', "bash", *command], cwd=work, check=False)
    assert done.returncode == 0
    assert codec.decode((work / "again.packet").read_bytes(), "mnist").shape == (3, 28, 28, 1)


def test_where_nobody_can_be_told_the_status_still_tells(work: Path) -> None:
    assert run("inspect", "gone", cwd=work, limit="exec 2>/dev/full").status == 1
    assert run("encode", "digits", cwd=work, limit="exec 2>&-").status == 2


# Memory and file handles


def test_too_little_memory_is_one_line(work: Path) -> None:
    with (work / "big.packet").open("wb") as file:
        file.write(b"\xc3\x7a\x10\0")
        file.truncate(900 << 20)
    ended = run("inspect", "big.packet", cwd=work, limit="ulimit -v 400000")
    refuses("there is not enough memory for this", ended)


def test_too_few_file_handles_are_one_line(work: Path) -> None:
    code = (
        "import resource\nfrom codec.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\nmain()\n"
    )
    command = [sys.executable, "-c", code, "inspect", "digits.packet"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    refuses("Too many open files", Ended(done.returncode, done.stderr.splitlines()))


# Files that change, and things that are no files


class Changing(io.BytesIO):
    """A file that someone else cuts short or prolongs after a few reads."""

    def __init__(self, data: bytes, reads: int, change: int) -> None:
        super().__init__(data)
        self.reads, self._change = reads, change

    def read(self, size: int | None = -1, /) -> bytes:
        if self.reads == 0:
            whole, place = self.getvalue(), self.tell()
            self.seek(0)
            self.truncate()
            self.write(whole + bytes(self._change) if self._change > 0 else whole[: self._change])
            self.seek(place)
        self.reads -= 1
        return super().read(size)


@pytest.mark.parametrize("change", [-7, 7])
def test_a_packet_that_shrinks_or_grows_while_it_is_read_is_refused(
    small_pair: tuple[Encoder, Decoder], change: int
) -> None:
    encoder, decoder = small_pair
    images = np.random.default_rng(1).integers(0, 256, (1030, 8, 8, 1), np.uint8)
    for packet in (encoder.encode(images), encoder.encode(images[:3])):
        whole = Changing(packet, -1, change)
        list(read_packet(whole)[1])
        # What is cut off once all has been read, before the last read that finds the end, is no damage.
        for after in range(-1 - whole.reads - (change < 0)):
            with pytest.raises(DamagedPacketError):
                list(decoder.decode_stream(Changing(packet, after, change)))


def test_a_pipe_is_read_as_a_file_is(work: Path) -> None:
    os.mkfifo(work / "pipe")
    packet = (work / "digits.packet").read_bytes()
    writer = threading.Thread(target=(work / "pipe").write_bytes, args=(packet,))
    writer.start()
    ended = run("decode", "pipe", "-o", "out", cwd=work)
    writer.join()
    assert (ended.status, len(list((work / "out").iterdir()))) == (0, 3)


def test_a_pipe_in_a_folder_of_images_is_not_waited_for(work: Path) -> None:
    os.mkfifo(work / "digits" / "pipe.png")
    ended = run("encode", "digits", "-o", "x.packet", cwd=work)
    assert ended.status == 0
    assert ended.told[0].startswith("3 images,")


def test_a_folder_that_is_removed_midway_is_told(work: Path) -> None:
    code = (
        "import shutil\nimport codec.imagefiles\nfrom codec.cli import main\n"
        "png, images = codec.imagefiles.png_bytes, []\n"
        "def removing(image):\n"
        "    images.append(image)\n"
        "    if len(images) == 2: shutil.rmtree('out')\n"
        "    return png(image)\n"
        "codec.imagefiles.png_bytes = removing\nmain()\n"
    )
    command = [sys.executable, "-c", code, "decode", "digits.packet", "-o", "out"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    refuses("1.png: cannot be written: No such file", Ended(done.returncode, done.stderr.splitlines()))


# No traceback, whatever happens


def bad_command_lines() -> list[list[str]]:
    """Everything that takes a file, given what is none, and some more."""
    odd = ["gone", "digits", "empty", "noise", "digits/0.png", "digits.packet", "digits.packet/x"]
    odd += ["gone\nand gone", "n" * 5000, ""]
    lines = [["inspect", name] for name in odd if name != "digits.packet"]
    lines += [["decode", name, "-o", "out"] for name in odd if name != "digits.packet"]
    lines += [["decode", "digits.packet", "-o", "out", "--decoder", name] for name in odd]
    lines += [["encode", "digits", "-o", "x", "--encoder", name] for name in odd]
    lines += [["encode", name, "-o", "x"] for name in odd if not name.startswith("digits")]
    lines += [["encode", "digits", "-o", name] for name in ("digits", "gone/x", "empty/x", "n" * 5000)]
    lines += [["decode", "digits.packet", "-o", name] for name in ("empty", "noise/x", "n" * 5000)]
    lines += [["evaluate", "--images", name] for name in odd if name not in ("digits", "digits/0.png")]
    lines += [["train", "--images", name, "--out", "out"] for name in odd if not name.startswith("digits")]
    lines += [["train", "--images", name, "--out", "out"] for name in ("digits.packet", "digits.packet/x")]
    lines += [["train", "--images", "digits", "--out", "out", "--batch-size", "128"]]
    lines += [["train", "--images", "digits", "--out", name] for name in ("empty", "noise/x")]
    return lines


def test_no_failing_command_line_prints_a_traceback(
    work: Path, main: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    (work / "empty").write_bytes(b"")
    (work / "noise").write_bytes(bytes(range(256)))
    for name in ("bad.npy", "bad.npz"):
        (work / name).write_bytes(b"\x93NUMPY")
    more = [["train", "--images", name, "--out", "out"] for name in ("bad.npy", "bad.npz")]
    for arguments in bad_command_lines() + more:
        ended = main(*arguments)
        assert ended.status in (1, 2), (arguments, ended)
        assert len(ended.told) == 1, (arguments, ended)
        assert ended.told[0].startswith("codec: "), (arguments, ended)
        assert "defect" not in ended.told[0], (arguments, ended)


class PanicError(BaseException):
    """What a library in Rust may raise."""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("one\ntwo"), "codec: a defect: ValueError in test_machine.py, line "),
        (PanicError("oh"), "codec: a defect: PanicError in test_machine.py, line "),
        (MemoryError(), "codec: there is not enough memory for this"),
        (ImportError("no lib"), "codec: a library cannot be loaded: no lib"),
        (OSError(5, "Input/output error", "place"), "codec: place: Input/output error"),
        (OSError("odd"), "codec: odd"),
        (CodecError("one\ntwo"), "codec: one two"),
    ],
)
def test_even_a_defect_is_one_line(
    main: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, error: BaseException, told: str
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("codec.files.read_bytes", fail)
    ended = main("inspect", "x")
    assert ended.status == 1
    assert len(ended.told) == 1
    assert ended.told[0].startswith(told)


def test_jax_says_in_its_own_way_that_there_is_no_memory(
    main: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    import jax

    def fail(*arguments: object) -> None:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr("codec.files.read_bytes", fail)
    assert main("inspect", "x").told[0].startswith("codec: there is not enough memory for this")


def test_a_new_name_lasts_as_its_folder_is_flushed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    real = os.fsync

    def record(number: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        real(number)

    monkeypatch.setattr(os, "fsync", record)
    write_bytes(tmp_path / "one", b"data")
    assert len(flushed) == 2
    assert flushed[1] == str(tmp_path)
    write_bytes(tmp_path / "two", b"data", lasting=False)
    assert len(flushed) == 3
    with creating(tmp_path / "key", private=True) as file:
        file.write(b"secret")
    assert flushed[4:] == [str(tmp_path)]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "target")
    write_together({tmp_path / "link": b"data"})
    assert flushed[6:] == [str(tmp_path / "elsewhere")]


def test_a_failure_shows_nothing_that_a_terminal_would_obey(capsys: pytest.CaptureFixture[str]) -> None:
    tell("key \x1b[31mred\x9b, line\nfeed, ü")
    assert (
        capsys.readouterr().err
        == "codec: key \N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}, line feed, ü\n"
    )
