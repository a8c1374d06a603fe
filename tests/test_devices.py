"""Several devices and several processes train what one device trains, and fail together."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec.decoder import load_decoder
from codec.encoder import load_encoder
from codec.errors import OptionError
from codec.training.devices import devices_for
from tests.several_devices import STEPS, small_digits

ROOT = Path(__file__).resolve().parent.parent
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


def begin(folder: Path, *more: str | int, devices: int = 1) -> "subprocess.Popen[bytes]":
    """``codec train`` of small digits in ``folder``."""
    folder.mkdir(exist_ok=True)
    if not (folder / "digits.npy").exists():
        np.save(folder / "digits.npy", small_digits())
    options = [text for option in OPTIONS.items() for text in option]
    command = [sys.executable, "-m", "codec", "train", *options, *map(str, more)]
    return subprocess.Popen(command, cwd=folder, env=environment(devices), stderr=subprocess.PIPE)


def ended(process: "subprocess.Popen[bytes]", status: int, seconds: float = 300) -> list[str]:
    """The lines that it told on standard error."""
    told = process.communicate(timeout=seconds)[1].decode()
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


def metrics(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "run/metrics.jsonl").read_text().splitlines()
    return [{n: v for n, v in json.loads(line).items() if n != "images_per_s"} for line in lines]


def assert_alike(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert [line["step"] for line in one] == [line["step"] for line in other]
    for kind in ("training", "validation"):
        losses = [[line[kind]["loss"] for line in lines] for lines in (one, other)]
        np.testing.assert_allclose(*losses, rtol=TOLERANCE)


@pytest.mark.parametrize("step", STEPS)
def test_two_and_four_devices_have_the_losses_of_one(step: str) -> None:
    command = [sys.executable, "-m", "tests.several_devices", step]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=True)
    losses = json.loads(done.stdout)
    assert len(set(losses["1"])) == len(losses["1"])
    for devices in ("2", "4"):
        np.testing.assert_allclose(losses[devices], losses["1"], rtol=TOLERANCE)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on one device."""
    folder = tmp_path_factory.mktemp("alone")
    ended(begin(folder, "--epochs", 12), 0)
    return folder


def rate(folder: Path) -> float:
    """Bytes of the finest quality; its packet is decoded as well, and must show the digits."""
    images = small_digits()
    packet = load_encoder(folder / "run/digits.encoder.msgpack").encode(images, quality=7)
    decoded = load_decoder(folder / "run/digits.decoder.msgpack").decode(packet)
    assert decoded.shape == images.shape
    return len(packet)


def test_a_run_goes_on_with_another_number_of_devices_and_makes_the_same_pair(
    alone: Path, tmp_path: Path
) -> None:
    ended(begin(tmp_path, "--epochs", 4, "--devices", 2, devices=2), 0)
    ended(begin(tmp_path, "--epochs", 8, "--devices", "all", "--resume", devices=4), 0)
    ended(begin(tmp_path, "--epochs", 12, "--resume"), 0)
    assert_alike(metrics(alone), metrics(tmp_path))
    assert rate(tmp_path) == pytest.approx(rate(alone), rel=0.02)


def wait_for_checkpoint(folder: Path) -> None:
    end = time.monotonic() + 300
    while not any(path.name.isdigit() for path in (folder / "run/checkpoints").glob("*")):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_processes_train_fail_and_go_on_as_one(alone: Path, tmp_path: Path) -> None:
    with two_processes(tmp_path, "--epochs", 12) as (first, second):
        wait_for_checkpoint(tmp_path / "0")
        second.kill()
        told = ended(first, 1, seconds=120)
        assert (
            "another process of this run has ended or cannot be reached; start all of them again" in told[-1]
        )
    with two_processes(tmp_path, "--epochs", 12, "--resume") as (first, second):
        ended(first, 0)
        assert ended(second, 0) == []
    assert_alike(metrics(alone), metrics(tmp_path / "0"))
    assert rate(tmp_path / "0") == pytest.approx(rate(alone), rel=0.02)
    assert [path.name for path in (tmp_path / "1").iterdir()] == ["digits.npy"]


def test_sigterm_to_one_process_stops_both_after_one_step(alone: Path, tmp_path: Path) -> None:
    with two_processes(tmp_path, "--epochs", 500) as (first, second):
        wait_for_checkpoint(tmp_path / "0")
        second.send_signal(signal.SIGTERM)
        for process in (first, second):
            assert "interrupted after step" in ended(process, 130, seconds=120)[-1]


def test_processes_with_other_data_or_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    np.save(tmp_path / "1/digits.npy", 255 - small_digits())
    with two_processes(tmp_path, "--epochs", 2) as (first, second):
        told = ended(second, 1)[-1]
        assert "process 1: expected what process 0 has, found other values of sha256" in told
        ended(first, 1, seconds=120)


def test_devices_that_are_not_there_and_batches_that_do_not_divide_are_told(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"--devices: expected at most \d+.*found 1000; XLA_FLAGS="):
        devices_for("1000")
    for wrong in ("0", "-1", "some", "²"):
        with pytest.raises(OptionError, match="--devices: expected a number of devices or all, found"):
            devices_for(wrong)
    told = ended(begin(tmp_path, "--devices", 2, "--batch-size", 33, devices=2), 2)[-1]
    assert "--batch-size: expected 2 equal parts that divide by 2 devices, found 33; 32 would do" in told


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
