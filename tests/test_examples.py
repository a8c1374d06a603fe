"""Every example runs by itself."""

import subprocess
import sys
from pathlib import Path

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


def test_a_folder_of_digits_becomes_archives_and_pictures_again(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "bulk.py"), "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "000003.archive: 10 images" in done.stdout
    assert "image 0 of archive 1: 003.png, {'folder': '3'}, (28, 28, 1)" in done.stdout
    received = sorted(path.name for path in (tmp_path / "out" / "received").rglob("*.png"))
    assert received == [f"{i:03}.png" for i in range(100)]


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"bulk.py", "demo.py"}
