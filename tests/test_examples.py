"""Every example runs by itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from codec.imagefiles import read_image

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_demo_sends_digits_between_two_processes(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py"), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in ("raw pixels", "codes as float32", "PNG files", "packet, quality 12"):
        assert line in done.stdout
    assert "6,272.0" in done.stdout
    assert read_image(tmp_path / "out" / "demo.png").shape[2] == 3
    sender = {path.name for path in (tmp_path / "out" / "sender").iterdir()}
    receiver = {path.name for path in (tmp_path / "out" / "receiver").iterdir()}
    assert "decoder.msgpack" not in sender
    assert "encoder.msgpack" not in receiver


def test_ones_own_images_are_trained_on_sent_and_received(tmp_path: Path) -> None:
    for module in ("optax", "orbax", "sklearn"):
        pytest.importorskip(module, reason=f"{module} is not installed; run: pip install '.[train]'")
    # Most of the time goes to compiling, the less of it the fewer codes a block has.
    small = ["--epochs", "1", "--code-channels", "2", "--filters", "8"]
    command = [sys.executable, str(EXAMPLES / "own_images.py"), *small, "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    names = {folder: {path.name for path in (out / folder).iterdir()} for folder in ("sender", "receiver")}
    assert names["sender"] == {"mine.encoder.msgpack", "new.packet"}
    assert names["receiver"] == {"mine.decoder.msgpack", "new.packet", "images"}
    new, received = (sorted((out / folder).glob("*.png")) for folder in ("new", "receiver/images"))
    assert len(new) == len(received) > 50
    trained_on = {path.read_bytes() for path in (out / "training").iterdir()}
    assert not trained_on & {path.read_bytes() for path in new}
    rates = [float(line.split("│")[2]) for line in done.stdout.splitlines() if line.count("│") == 4]
    assert len(rates) == 3
    assert rates == sorted(rates)
    assert 0 < rates[-1] < 16 * 16 * 3 / 4
    assert f"{len(new)} new images" in done.stdout
    picture = read_image(out / "own_images.png")
    assert picture.shape[2] == 3
    assert picture.shape[1] > 10 * 32


def test_a_folder_of_digits_becomes_archives_and_pictures_again(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "bulk.py"), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "000003.archive: 10 images" in done.stdout
    assert "image 0 of archive 1: 003.png, {'folder': '3'}, (28, 28, 1)" in done.stdout
    received = sorted(path.name for path in (tmp_path / "out" / "received").rglob("*.png"))
    assert received == [f"{i:03}.png" for i in range(100)]


def test_noisy_digits_come_out_clean(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "denoise.py"), "--noise", "0.4", "--out", "out.png"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("│")[1:-1] for line in done.stdout.splitlines() if line.count("│") == 5]
    found = [[float(cell) for cell in row] for row in rows]
    assert [deviation for deviation, *_ in found] == [0, 0.2, 0.4, 0.6, 0.8]
    assert all(after > before + 5 for _, before, after, _ in found[1:])
    assert max(size for *_, size in found) < 1.3 * min(size for *_, size in found)
    assert read_image(tmp_path / "out.png").shape[2] == 3


def test_networks_of_ones_own_are_trained_and_a_process_that_does_not_know_them_says_so(
    tmp_path: Path,
) -> None:
    for module in ("optax", "orbax", "mlxtend"):
        pytest.importorskip(module, reason=f"{module} is not installed; run: pip install '.[train]'")
    command = [
        sys.executable,
        str(EXAMPLES / "own_model.py"),
        "--epochs",
        "15",
        "--digits",
        "200",
        "--out",
        "out",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"20 digits at ([0-9.]+) bytes each, ([0-9.]+) dB", done.stdout)
    assert found, done.stdout
    assert float(found[1]) < 784 / 4
    assert float(found[2]) > 12
    *_, last = done.stdout.strip().splitlines()
    assert last.startswith("without the module: codec: ")
    assert "found 'example.strided'" in last
    assert last.endswith("import the author's code that calls codec.register_architecture first")
    sender = {path.name for path in (tmp_path / "out" / "sender").iterdir()}
    assert sender == {"own.encoder.msgpack", "digits.npy", "digits.packet"}


def test_a_pair_trained_from_python_is_shared_out_and_sends_new_digits(tmp_path: Path) -> None:
    for module in ("optax", "orbax", "mlxtend"):
        pytest.importorskip(module, reason=f"{module} is not installed; run: pip install '.[train]'")
    command = [sys.executable, str(EXAMPLES / "train.py"), "--epochs", "1", "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    names = {folder: {path.name for path in (out / folder).iterdir()} for folder in ("sender", "receiver")}
    packets = [f"quality-{quality}.packet" for quality in range(3)]
    assert names == {
        "sender": {"digits.encoder.msgpack"},
        "receiver": {"digits.decoder.msgpack", *packets},
    }
    assert {path.name for path in (out / "run").iterdir()} == {"checkpoints", "metrics.jsonl", "preview.png"}
    cells = [line.split("│")[1:4] for line in done.stdout.splitlines() if line.count("│") == 4]
    rates, decibels = ([float(row[column]) for row in cells] for column in (1, 2))
    sizes = [(out / "receiver" / packet).stat().st_size for packet in packets]
    assert rates == [round(size / 500, 1) for size in sizes]
    assert rates == sorted(rates)
    assert 15 < decibels[0] < decibels[1] < decibels[2]
    assert read_image(out / "train.png").shape[2] == 3


def test_every_example_is_tested() -> None:
    tested = {
        "bulk.py",
        "demo.py",
        "denoise.py",
        "own_images.py",
        "own_model.py",
        "receiver.py",  # in test_examples_wire.py
        "sender.py",
        "train.py",
        "wire.py",
    }
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
