"""The learned peers: their files, their cache and their environments, with zlib in place of networks."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.learned import environments, protocol
from benchmarks.learned.environments import PeerFailedError, PeerUnavailableError
from benchmarks.learned.peers import LearnedPeer, peers
from codec.samples import sample_images

PEER = LearnedPeer("zlib", 1000, "lambda", "tfc", "mse", latents=3, epochs=2)
ZLIB = """
import zlib
import numpy as np
from benchmarks.learned.protocol import FormatError, main

def train(images, settings, model):
    if settings.seed == 13:
        raise FormatError("no training on this seed")
    print(f"{settings.epochs} epochs of {len(images)} images, weight {settings.weight:g}")
    (model / "sender.npz").write_bytes(b"level 9")

def sender(model):
    return lambda images: [zlib.compress(image.tobytes(), 9) for image in images]

def receiver(model):
    def decode(strings):
        pixels = b"".join(map(zlib.decompress, strings))
        return np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28)
    return decode

if __name__ == "__main__":
    main(__doc__, train, sender, receiver)
"""
VARIABLE = "CODEC_BENCH_TFC_PYTHON"


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return sample_images()[:6, :, :, 0]


@pytest.fixture
def of_zlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment tfc is this Python, and its script compresses with zlib."""
    (tmp_path / "zlib_peer.py").write_text(ZLIB)
    fake = replace(environments.ENVIRONMENTS["tfc"], module="zlib_peer")
    monkeypatch.setitem(environments.ENVIRONMENTS, "tfc", fake)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv(VARIABLE, sys.executable)


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable names a Python, and this one will do."""
    monkeypatch.delenv(VARIABLE, raising=False)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    fake = replace(environments.ENVIRONMENTS["tfc"], pythons=(here,))
    monkeypatch.setitem(environments.ENVIRONMENTS, "tfc", fake)


def fake_run(
    monkeypatch: pytest.MonkeyPatch, status: int, output: str, folder: Path | None = None
) -> list[str]:
    """Commands do nothing, but venv makes ``folder``; pip ends with this status and output. What ran."""
    ran = []

    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append("pip" if "pip" in command else "venv")
        if ran[-1] == "pip":
            return subprocess.CompletedProcess(command, status, output, "")
        if folder:
            (folder / "bin").mkdir(parents=True, exist_ok=True)
            (folder / "bin" / "python").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def nothing(*_: object) -> None:
    raise AssertionError("called although the arguments are wrong")


class TestStringsFile:
    def test_gives_back_what_it_took(self, tmp_path: Path) -> None:
        strings = [b"", b"one", bytes(0xFFFF), b"\x00\x01"]
        protocol.write_strings(tmp_path / "strings.bin", strings)
        assert protocol.read_strings(tmp_path / "strings.bin") == strings

    def test_costs_two_bytes_a_string(self, tmp_path: Path) -> None:
        protocol.write_strings(tmp_path / "strings.bin", [b"one", b"four"])
        assert (tmp_path / "strings.bin").read_bytes() == b"\x03\x00one\x04\x00four"

    def test_that_ends_early_is_an_error(self, tmp_path: Path) -> None:
        path = tmp_path / "strings.bin"
        for data, place in ((b"\x03\x00one\x04", "the length of string 1"), (b"\x03\x00on", "string 0")):
            path.write_bytes(data)
            with pytest.raises(protocol.FormatError, match=f"ends within {place}"):
                protocol.read_strings(path)

    def test_takes_no_string_of_64_kib(self, tmp_path: Path) -> None:
        with pytest.raises(
            protocol.FormatError, match="string 1: expected at most 65,535 bytes, found 65,536"
        ):
            protocol.write_strings(tmp_path / "strings.bin", [b"", bytes(0x10000)])


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "the following arguments are required: command"),
            (["recode"], "invalid choice: 'recode'"),
            (["encode", "--images", "i.npy", "--out", "s.bin"], "required: --model"),
            (["train", "--lambda", "0"], "argument --lambda: expected a number above 0, found 0"),
            (["train", "--lambda", "much"], "argument --lambda: invalid float value: 'much'"),
            (["train", "--epochs", "1.5"], "argument --epochs: invalid int value: '1.5'"),
            (["train", "--loss", "ssim"], "argument --loss: invalid choice: 'ssim'"),
        ],
    )
    def test_wrong_usage_exits_with_2(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stopped:
            protocol.main("a peer", nothing, nothing, nothing, arguments)  # type: ignore[arg-type]
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err

    def test_a_wrong_file_exits_with_1(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        np.save(tmp_path / "i.npy", np.zeros((2, 28, 28, 1), np.uint8))
        settings = ["--loss=mse", "--lambda=1", "--latents=1", "--epochs=1"]
        arguments = ["train", *settings, f"--images={tmp_path / 'i.npy'}", f"--out={tmp_path / 'model'}"]
        with pytest.raises(SystemExit) as stopped:
            protocol.main("a peer", nothing, nothing, nothing, arguments)  # type: ignore[arg-type]
        assert stopped.value.code == 1
        assert "expected uint8 images [N, H, W], found uint8 (2, 28, 28, 1)" in capsys.readouterr().err


class TestReason:
    def test_is_the_last_error(self) -> None:
        output = "Collecting x\nERROR: No versions of x\nERROR: No x\n\n[notice] A new pip\nWARNING: error\n"
        assert environments.reason(output, 1) == "ERROR: No x"

    def test_without_an_error_is_the_last_line(self) -> None:
        assert environments.reason("one\ntwo\n\n", 1) == "two"

    def test_of_silence_is_the_exit_status(self) -> None:
        assert environments.reason("\n", -9) == "exit status -9"

    def test_tells_no_address(self) -> None:
        assert environments.reason("error at https://example.org/simple now", 1) == "error at (address) now"


class TestEnvironment:
    def test_named_by_the_variable_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, sys.executable)
        assert environments.environment("tfc") == Path(sys.executable)

    def test_named_wrongly_is_unavailable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VARIABLE, "no/python")
        with pytest.raises(PeerUnavailableError, match=f"{VARIABLE}: no/python is no program"):
            environments.environment("tfc")

    @pytest.mark.usefixtures("own_environment")
    def test_that_pip_cannot_fill_tells_why(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_run(
            monkeypatch, 1, "Collecting tensorflow\nERROR: No matching distribution found for tensorflow\n"
        )
        with pytest.raises(
            PeerUnavailableError, match=r"^ERROR: No matching distribution found for tensorflow$"
        ):
            environments.environment("tfc", tmp_path / "venv")
        assert not (tmp_path / "venv" / "installed.txt").exists()

    @pytest.mark.usefixtures("own_environment")
    def test_is_made_once_and_again_for_other_requirements(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "venv"
        ran = fake_run(monkeypatch, 0, "", folder)
        assert environments.environment("tfc", folder) == folder / "bin" / "python"
        environments.environment("tfc", folder)
        assert ran == ["venv", "pip"]
        (folder / "installed.txt").write_text("tensorflow==1.0\n")
        environments.environment("tfc", folder)
        assert ran == ["venv", "pip"] * 2

    def test_without_a_python_of_its_kind_is_unavailable(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(VARIABLE, raising=False)
        fake = replace(environments.ENVIRONMENTS["tfc"], pythons=("2.6", "2.5"))
        monkeypatch.setitem(environments.ENVIRONMENTS, "tfc", fake)
        with pytest.raises(PeerUnavailableError, match=r"tfc: needs a Python of 2\.6, 2\.5, found none"):
            environments.environment("tfc", tmp_path)


class TestCache:
    def test_key_changes_with_every_setting(self) -> None:
        others = [
            replace(PEER, setting=2000),
            replace(PEER, environment="compressai"),
            replace(PEER, loss="mae"),
            replace(PEER, latents=4),
            replace(PEER, epochs=3),
            replace(PEER, most=10),
            replace(PEER, seed=1),
        ]
        assert len({peer.key for peer in (PEER, *others)}) == 8
        assert replace(PEER, name="another").key == PEER.key

    def test_keys_of_all_peers_differ(self) -> None:
        keys = [peer.key for quick in (False, True) for peer in peers(quick)]
        assert len(set(keys)) == len(keys)

    @pytest.mark.usefixtures("of_zlib")
    def test_trains_again_for_other_images_and_damaged_files_only(
        self, images: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        PEER.prepare(images, tmp_path)
        log = tmp_path / PEER.key / "log.txt"
        assert log.read_text() == "2 epochs of 6 images, weight 1000\n"
        log.write_text("kept")
        PEER.prepare(images, tmp_path)
        assert log.read_text() == "kept"
        PEER.prepare(images[:5], tmp_path)
        assert log.read_text() == "2 epochs of 5 images, weight 1000\n"
        (tmp_path / PEER.key / "sender.npz").write_bytes(b"level 8")
        PEER.prepare(images[:5], tmp_path)
        assert (tmp_path / PEER.key / "sender.npz").read_bytes() == b"level 9"

    @pytest.mark.usefixtures("of_zlib")
    def test_holds_no_model_whose_training_failed(self, images: NDArray[np.uint8], tmp_path: Path) -> None:
        peer = replace(PEER, seed=13)
        with pytest.raises(PeerFailedError, match=r"^zlib, .*: train: error: no training on this seed$"):
            peer.prepare(images, tmp_path)
        with pytest.raises(PeerFailedError, match="not trained"):
            peer.files(images, tmp_path)


class TestPeer:
    @pytest.mark.usefixtures("of_zlib")
    def test_sends_strings_from_process_to_process(self, images: NDArray[np.uint8], tmp_path: Path) -> None:
        PEER.prepare(images, tmp_path)
        strings = PEER.files(images, tmp_path)
        assert len(strings) == len(images)
        np.testing.assert_array_equal(PEER.decoded(strings, images.shape, tmp_path), images)
        speeds = PEER.speed(images, tmp_path, batch=4, runs=3)
        for way in ("compress", "decompress"):
            low, middle, high = (speeds[way][f"images_per_s{end}"] for end in ("_low", "", "_high"))
            assert 0 < low <= middle <= high

    @pytest.mark.usefixtures("of_zlib")
    def test_that_decodes_another_number_of_images_failed(
        self, images: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        PEER.prepare(images, tmp_path)
        strings = PEER.files(images, tmp_path)[1:]
        with pytest.raises(PeerFailedError, match=r"expected images \(6, 28, 28\), decoded \(5, 28, 28\)"):
            PEER.decoded(strings, images.shape, tmp_path)

    @pytest.mark.parametrize("name", ["tfc", "compressai"])
    def test_runs_for_an_epoch(self, name: str, tmp_path: Path) -> None:
        variable = environments.ENVIRONMENTS[name].variable
        if not os.environ.get(variable):
            pytest.skip(f"{variable} names no Python to run this peer with")
        images = sample_images()[..., 0]
        peer = LearnedPeer(name, 1000, "lambda", name, "mse", latents=8, epochs=1)
        peer.prepare(images, tmp_path)
        strings = peer.files(images, tmp_path)
        assert len(strings) == len(images)
        assert max(map(len, strings)) < 784
        again = peer.decoded(strings, images.shape, tmp_path)
        assert again.dtype == np.uint8
        np.testing.assert_array_equal(peer.decoded(strings, images.shape, tmp_path), again)
