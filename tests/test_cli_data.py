"""The options of the command line that tell how images are read."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from codec import cli
from codec.cli_data import tile_size
from codec.errors import OptionError
from codec.imagefiles import png_bytes


def run(*arguments: str | Path) -> tuple[int, list[str], list[str]]:
    """Exit status, and the lines on standard output and standard error, of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "codec", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("crop", ["", "64", "64x", "0x4", "4x-4", "64X64", "6 4x4", "64x64x3", "٤x4"])
def test_a_crop_is_two_sides(crop: str) -> None:
    with pytest.raises(OptionError, match=f"--crop: expected HxW in pixels, .*{re.escape(repr(crop))}"):
        tile_size(crop, None)


def test_a_number_of_crops_needs_their_size() -> None:
    assert tile_size("64x48", 3) == (64, 48)
    assert tile_size(None, None) is None
    with pytest.raises(OptionError, match="--crops: expected --crop HxW with it"):
        tile_size(None, 3)
    with pytest.raises(OptionError, match="--crops: expected at least 1, found 0"):
        tile_size("4x4", 0)


@pytest.mark.parametrize("command", ["train", "evaluate", "encode"])
def test_help_tells_of_conversion(command: str) -> None:
    told = CliRunner().invoke(cli.app, [command, "--help"], terminal_width=200).output
    assert "--convert" in told
    assert "laid over white" in told or "goes over white" in told
    assert ("--crop" in told) == (command != "encode")


def test_encode_converts_where_asked_and_tells(tmp_path: Path, digits: NDArray[np.uint8]) -> None:
    grey = Image.fromarray(digits[0, ..., 0])
    grey.convert("RGBA").save(tmp_path / "a.png")
    grey.convert("RGBA").save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(png_bytes(digits[0]))
    status, _, told = run("encode", tmp_path, "-o", tmp_path / "x.packet")
    assert status == 1
    assert [line.endswith("with Pillow's image.convert('RGB')") for line in told[:2]] == [True, True]
    status, _, told = run("encode", tmp_path, "-o", tmp_path / "y.packet", "--convert")
    assert status == 0
    assert told[:2] == [
        "codec: 2 images converted: alpha is laid over white",
        "codec: 2 images converted: RGB becomes grey (ITU-R 601)",
    ]
    assert told[2].startswith("3 images, ")


def test_evaluate_measures_tiles_converted_to_what_the_pair_takes(
    tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    sheet = digits[:6, ..., 0].transpose(1, 0, 2).reshape(28, 168)
    Image.fromarray(sheet).convert("RGB").save(tmp_path / "sheet.png")
    options = ["--images", str(tmp_path), "--crop", "28x28", "--quality", "3", "--json"]
    status, _, told = run("evaluate", *options)
    assert (status, len(told)) == (1, 2)
    assert told[0] == "codec: crop 28x28: 6 tiles of 1 images"
    status, rows, told = run("evaluate", *options, "--convert")
    assert (status, json.loads(rows[0])["images"]) == (0, 6), told
    assert told == [
        "codec: 1 image converted: RGB becomes grey (ITU-R 601)",
        "codec: crop 28x28: 6 tiles of 1 images",
    ]


def test_train_cuts_tiles_from_pictures_of_all_kinds_and_tells(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = tmp_path / "images"
    for i in range(24):
        folder = images / f"class {i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (17 + i, 20, 4 - i % 2), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    (images / "class 0" / "text.png").write_text("no image")
    crop = ["--crop", "8x8", "--crops", "40", "--convert", "--batch-size", "128"]
    status, _, told = run("train", "--images", images, "--out", tmp_path / "out", *crop)
    assert status == 1
    assert told[-1] == (
        "codec: images: expected at least one batch of 128 training images, found 40; lower --batch-size"
    )
    assert re.fullmatch(r"codec: .*text.png: not an image file of the kinds .*", told[0])
    assert told[1] == "codec: 1 of 25 images are left out"
    assert re.fullmatch(r"codec: \d+ images converted: alpha is laid over white", told[2])
    assert re.fullmatch(
        r"codec: crop 8x8: 24 images; 40 training tiles \(40 of the grids' \d+, 0 at random places; --crops "
        r"takes another number\), and \d+ validation tiles of others",
        told[3],
    )
