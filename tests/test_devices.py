"""Several devices and several processes train what one device trains, and fail together."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from rich.console import Console

from codec.decoder import load_decoder
from codec.encoder import load_encoder
from codec.errors import OptionError, TrainingError
from codec.training.data import load_training
from codec.training.devices import SeveralDevices, devices_for
from codec.training.distortion import Distortion
from codec.training.run import run
from codec.training.settings import Settings, settings_for
from codec.training.step import check_parts
from tests.several_devices import STEPS, small_digits

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 900
"""Seconds; on an idle machine a process takes five."""
TOLERANCE = 1e-4
"""Of a loss after a few steps: sums over a batch are taken in another order."""
OPTIONS = {
    "--images": "digits.npy",
    "--out": "run",
    "--objective": "distortion",
    "--layers": "1",
    "--filters": "4",
    "--code-channels": "4",
    "--batch-size": "16",
    "--noise": "0.2",
    "--learning-rate": "0.01",
}


def environment(devices: int = 1) -> dict[str, str]:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    return {**os.environ, "PYTHONPATH": paths, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def saved_digits(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "digits.npy", small_digits())
    return folder / "digits.npy"


def begin(folder: Path, *more: str | int, devices: int = 1) -> "subprocess.Popen[bytes]":
    """``codec train`` of small digits in ``folder``."""
    saved_digits(folder)
    options = [text for option in OPTIONS.items() for text in option]
    command = [sys.executable, "-m", "codec", "train", *options, *map(str, more)]
    return subprocess.Popen(command, cwd=folder, env=environment(devices), stderr=subprocess.PIPE)


def ended(process: "subprocess.Popen[bytes]", status: int) -> list[str]:
    """The lines that it told on standard error."""
    told = process.communicate(timeout=PATIENCE)[1].decode()
    assert process.returncode == status, told
    return told.splitlines()


@contextmanager
def two_processes(folder: Path, *more: str | int) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Each in a folder of its own, as on a machine of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = ("--coordinator", f"127.0.0.1:{port}", "--processes", 2, *more)
    processes = [begin(folder / str(i), *shared, "--process", i) for i in range(2)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            stderr(process).close()


def stderr(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stderr is not None
    return process.stderr


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "run/metrics.jsonl").read_text().splitlines()
    return [{n: v for n, v in json.loads(line).items() if n != "images_per_s"} for line in lines]


@pytest.fixture(scope="module")
def losses() -> dict[str, dict[str, list[float]]]:
    command = [sys.executable, "-m", "tests.several_devices"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=True)
    found: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("objective", STEPS)
def test_two_and_four_devices_have_the_losses_of_one(
    losses: dict[str, dict[str, list[float]]], objective: str
) -> None:
    one = losses[objective].pop("1")
    assert len(set(one)) == len(one)
    for several in losses[objective].values():
        np.testing.assert_allclose(several, one, rtol=TOLERANCE)


def alone(folder: Path, epochs: int, *, resume: bool = False) -> Path:
    """The run of ``OPTIONS`` on one device, in this process."""
    data = load_training(None, folder / "digits.npy" if resume else saved_digits(folder), 0)
    settings = settings_for(
        data.training,
        data.name,
        objective="distortion",
        layers=1,
        filters=4,
        code_channels=4,
        batch_size=16,
        noise=(0.2, 0.2),
        learning_rate=0.01,
        epochs=epochs,
    )
    run(settings, data, folder / "run", resume=resume, console=Console(quiet=True))
    return folder


def rate(folder: Path) -> int:
    """Bytes of the finest quality; its packet is decoded as well."""
    images = small_digits()
    packet = load_encoder(folder / "run/digits.encoder.msgpack").encode(images, quality=7)
    decoded = load_decoder(folder / "run/digits.decoder.msgpack").decode(packet)
    assert decoded.shape == images.shape
    return len(packet)


def assert_alike(one: Path, other: Path) -> None:
    """Of two finished runs: the same losses, and pairs of the same rate."""
    lines = [metrics(one), metrics(other)]
    assert [line["step"] for line in lines[0]] == [line["step"] for line in lines[1]]
    for kind in ("training", "validation"):
        first, second = ([line[kind]["loss"] for line in some] for some in lines)
        np.testing.assert_allclose(first, second, rtol=TOLERANCE)
    assert rate(one) == pytest.approx(rate(other), rel=0.02)


def test_a_run_on_two_devices_goes_on_with_one_and_makes_the_same_pair(tmp_path: Path) -> None:
    ended(begin(tmp_path / "several", "--epochs", 4, "--devices", "all", devices=2), 0)
    first = rate(tmp_path / "several")
    assert first == pytest.approx(rate(alone(tmp_path / "one", 4)), rel=0.02)
    alone(tmp_path / "one", 8, resume=True)
    assert_alike(tmp_path / "one", alone(tmp_path / "several", 8, resume=True))


def wait_for_checkpoint(folder: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not any(path.name.isdigit() for path in (folder / "run/checkpoints").glob("*")):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_processes_fail_stop_and_finish_together_as_one_would(tmp_path: Path) -> None:
    with two_processes(tmp_path, "--epochs", 500) as (first, second):
        wait_for_checkpoint(tmp_path / "0")
        second.kill()
        told = ended(first, 1)
        assert "another process of this run has ended or cannot be reached; start all of them" in told[-1]
    with two_processes(tmp_path, "--epochs", 500, "--resume") as (first, second):
        while not second.poll() and b"epoch" not in stderr(first).readline():
            pass
        second.terminate()
        for process in (first, second):
            assert "interrupted after step" in ended(process, 130)[-1]
    epochs = len(metrics(tmp_path / "0")) + 1
    with two_processes(tmp_path, "--epochs", epochs, "--resume") as (first, second):
        ended(first, 0)
        assert not any("epoch" in line for line in ended(second, 0))
    assert_alike(alone(tmp_path / "one", epochs), tmp_path / "0")
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["digits.npy"]


def test_a_process_with_other_data_or_settings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    several = SeveralDevices(1)
    run = {name: bytes(32) for name in ("sha256", "seed", "devices")}
    several.check_agreement(run)
    first = np.zeros((3, 32), np.uint8)
    first[:2, 31] = 1
    monkeypatch.setattr(several, "from_first", lambda mine: first)
    with pytest.raises(
        TrainingError, match="expected what process 0 has, found other values of sha256, seed;"
    ):
        several.check_agreement(run)


def test_devices_that_are_not_there_are_told() -> None:
    with pytest.raises(OptionError, match=r"--devices: expected at most \d+.*found 1000; XLA_FLAGS="):
        devices_for("1000")
    for wrong in ("0", "-1", "some", "²"):
        with pytest.raises(OptionError, match="--devices: expected a number of devices or all, found"):
            devices_for(wrong)


@pytest.mark.parametrize(
    ("batch", "count", "told"),
    [
        (33, 2, "expected 2 equal parts that divide by 2 devices, found 33; 32 would do"),
        (30, 4, "expected a number that divides by 4 devices, found 30; 28 would do"),
        (3, 4, "expected a number that divides by 4 devices, found 3; 4 would do"),
        (64, 64, "expected 2 equal parts that divide by 64 devices, found 64; take fewer devices"),
    ],
)
def test_a_batch_that_does_not_divide_is_told(batch: int, count: int, told: str) -> None:
    several = SeveralDevices(1)
    several.count = count
    with pytest.raises(OptionError, match=f"--batch-size: {told}"):
        check_parts(lambda size: Distortion(Settings()), batch, several)
    several.count = 1
    check_parts(lambda size: Distortion(Settings()), batch, several)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--process", 0], "expected --coordinator, --processes and --process together"),
        (
            ["--coordinator", "here", "--processes", 2, "--process", 0],
            "expected HOST:PORT of process 0, found",
        ),
        (
            ["--coordinator", "a:1", "--processes", 1, "--process", 0],
            "--processes: expected at least 2, found 1",
        ),
        (["--coordinator", "a:1", "--processes", 2, "--process", 2], "--process: expected 0 to 1, found 2"),
    ],
)
def test_half_a_place_among_processes_is_told(tmp_path: Path, options: list[str | int], told: str) -> None:
    assert told in ended(begin(tmp_path, *options), 2)[-1]
