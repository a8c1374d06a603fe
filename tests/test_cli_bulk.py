"""``codec bulk`` on the command line: files in and out, progress, exit status, errors of one line."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codec import cli_bulk
from codec.bulk.jobs import encode_job
from codec.bundle import Bundle
from codec.cli import main
from tests.bulk import contents, pictures, write_bundles, write_pictures

Run = Callable[..., tuple[int, str]]
SERIAL = ("--engine", "serial", "--images-per-shard", "4")


@pytest.fixture
def run(
    tmp_path: Path,
    small_bundles: tuple[Bundle, Bundle],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """The command line in this process, in a folder with pictures and a pair: exit status, standard error."""
    write_bundles(tmp_path, small_bundles)
    write_pictures(tmp_path / "pictures", pictures(10))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["codec", "bulk", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capfd.readouterr()
        assert not output.out
        return int(stop.value.code or 0), output.err

    return call


def test_a_folder_is_encoded_and_decoded(run: Run, tmp_path: Path) -> None:
    status, told = run("encode", "pictures", "archives", "--encoder", "encoder.msgpack", *SERIAL)
    assert status == 0
    assert "codec: 3 of 3 shards, 10 of 10 images, " in told
    size = sum(path.stat().st_size for path in (tmp_path / "archives").glob("*.archive"))
    assert (
        f"10 images in 3 shards in {tmp_path / 'archives'}, {size:,} bytes, {size / 10:.1f} an image" in told
    )
    encode_job("pictures", "same", "encoder.msgpack", images_per_shard=4).run()
    assert contents(tmp_path / "archives") == contents(tmp_path / "same")
    command = ("decode", "archives", "out", "--decoder", "decoder.msgpack", "--engine", "serial")
    assert run(*command)[0] == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 10
    assert run(*command)[0] == 0  # done already


def test_images_left_out_are_listed_and_end_with_status_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "class-0" / "0002.png").write_bytes(b"no image")
    status, told = run("encode", "pictures", "archives", "--encoder", "encoder.msgpack", *SERIAL)
    assert status == 1
    assert "codec: number 2: class-0/0002.png: not an image file" in told
    assert "codec: 1 of 10 images could not be taken; they are listed above, and all in" in told
    assert (tmp_path / "archives" / "manifest.json").exists()


def test_another_job_in_the_folder_is_one_line(run: Run) -> None:
    command = ("encode", "pictures", "archives", "--encoder", "encoder.msgpack", *SERIAL)
    assert run(*command)[0] == 0
    status, told = run(*command, "--quality", "0")
    assert status == 1
    assert told.startswith("codec: ")
    assert told.count("\n") == 1
    assert "holds another job, whose quality is" in told


@pytest.mark.parametrize(
    ("arguments", "told", "status"),
    [
        (("encode", "nothing", "out", "--encoder", "encoder.msgpack"), "no such file or folder", 1),
        (("encode", "pictures", "out", "--encoder", "nothing"), "neither a file nor a shipped pair", 1),
        (("decode", "pictures", "out", "--decoder", "decoder.msgpack"), "expected manifest.json", 1),
    ],
)
def test_mistakes_are_one_line(run: Run, arguments: tuple[str, ...], told: str, status: int) -> None:
    found, line = run(*arguments, "--engine", "serial")
    assert (found, line.count("\n")) == (status, 1)
    assert told in line


def test_an_unknown_engine_is_wrong_usage(run: Run) -> None:
    command = ("encode", "pictures", "out", "--encoder", "encoder.msgpack", "--engine", "spark")
    assert run(*command) == (2, "codec: --engine: expected ray or serial, found 'spark'\n")


def test_without_ray_the_command_says_what_installs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    status, told = run("encode", "pictures", "out", "--encoder", "encoder.msgpack")
    assert status == 1
    assert "pip install 'split-codec[bulk]', or use the serial engine" in told
    assert not (tmp_path / "out").exists()


def test_on_a_terminal_progress_is_a_bar(run: Run, tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    job = encode_job("pictures", "out", "encoder.msgpack", images_per_shard=4)
    with cli_bulk._progress(job, terminal) as on_shard:
        job.run(on_shard=on_shard)
    assert "10/10" in terminal.getvalue()
