"""The command line as a user meets it: one process a call, files and pipes in and out, exit status."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.imagefiles import png_bytes, read_image


def run(
    *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "codec", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=False)


def fails(status: int, *arguments: str | Path, cwd: Path | None = None, stdin: bytes = b"") -> str:
    """The one line on standard error of a call that must fail with ``status``."""
    done = run(*arguments, cwd=cwd, stdin=stdin)
    error = done.stderr.decode()
    assert done.returncode == status, error
    assert "Traceback" not in error
    if error.startswith("codec: ") or status == 1:
        assert error.startswith("codec: ")
        assert error.count("\n") == 1
    return error


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: NDArray[np.uint8]) -> Path:
    """Six digits as PNG files in digits/, and the packet of them."""
    path = tmp_path_factory.mktemp("cli")
    (path / "digits").mkdir()
    for i, image in enumerate(digits[:60:10]):
        (path / "digits" / f"digit {i}.png").write_bytes(png_bytes(image))
    done = run("encode", "digits", "-o", "six.packet", cwd=path)
    assert done.returncode == 0, done.stderr
    return path


def test_a_folder_of_images_survives_the_trip_with_its_names(
    folder: Path, tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    done = run("decode", folder / "six.packet", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"digit {i}.png" for i in range(6)]
    decoded = np.stack([read_image(tmp_path / "out" / name) for name in names])
    np.testing.assert_array_equal(decoded, codec.decode((folder / "six.packet").read_bytes(), "mnist"))
    assert np.abs(decoded.astype(int) - digits[:60:10]).mean() < 20


def test_pipes_carry_an_image_in_and_a_packet_out(folder: Path, tmp_path: Path) -> None:
    png = (folder / "digits" / "digit 3.png").read_bytes()
    packet = run("encode", "-", "-o", "-", "--quality", "2", stdin=png).stdout
    image = read_image(folder / "digits" / "digit 3.png")
    assert packet == codec.encode(image, "mnist", quality=2)
    assert run("decode", "-", "-o", tmp_path, stdin=packet).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["000000.png"]
    report = json.loads(run("inspect", "-", "--json", stdin=packet).stdout)
    assert (report["kind"], report["quality"], report["images"]) == ("packet", 2, 1)


def test_no_names_and_compact_leave_the_names_out(folder: Path, tmp_path: Path) -> None:
    one = folder / "digits" / "digit 1.png"
    for option in ("--no-names", "--compact"):
        assert run("encode", one, "-o", tmp_path / "one", option).returncode == 0
        report = json.loads(run("inspect", tmp_path / "one", "--json").stdout)
        assert report["names"] is None
        assert report["bytes"] - report["payload_bytes"] == (6 if option == "--compact" else 12)


def test_inspect_tells_a_packet_and_a_bundle_in_plain_words(
    folder: Path, tmp_path: Path, small_bundles: tuple[Bundle, Bundle]
) -> None:
    said = run("inspect", folder / "six.packet").stdout.decode()
    assert "images          6" in said
    assert "digit 5.png" in said
    path = tmp_path / "small.msgpack"
    path.write_bytes(write_bundle(small_bundles[1]))
    said = run("inspect", path).stdout.decode()
    assert "side            decoder" in said
    assert small_bundles[1].pair.digest.hex() in said
    assert json.loads(run("inspect", path, "--json").stdout)["code_shape"] == [4, 4, 3]


def test_evaluate_prints_an_object_a_quality(folder: Path) -> None:
    done = run("evaluate", "--images", folder / "digits", "--no-formats", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["quality"] for row in rows] == list(range(13))
    for row in rows:
        assert row["images"] == 6
        assert row["packet_bytes"] == pytest.approx(6 * row["bytes_per_image"])
        assert row["bits_per_pixel"] == pytest.approx(8 * row["packet_bytes"] / 6 / 784)
        assert row["psnr"] == pytest.approx(-10 * np.log10(row["mse"]))
        assert row["mae"] > 0
        assert row["encode_images_per_s"] > 0
        assert row["decode_images_per_s"] > 0
        assert row["domain"]["outside"] < 0.5
    quick: list[str | Path] = ["evaluate", "--images", folder / "digits", "--quality", "3", "--no-formats"]
    done = run(*quick)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == b""
    done = run("evaluate", "--images", folder / "digits", "--quality", "3", "--sample", "2")
    assert b"Bytes an image at the same PSNR, on 2 images of 6, picked at random:" in done.stdout
    assert "leave out --no-formats" in fails(2, *quick, "--plot", "chart.png")


ARTICLE = ["--objective", "distortion", "--filters", "4", "--code-channels", "4"]
RATED = ["--lambda", "5000:500000", "--qualities", "3", "--code-channels", "1", "--model", "dense"]


@pytest.mark.parametrize(("options", "qualities"), [(ARTICLE, 8), (RATED, 3)], ids=["distortion", "rate"])
def test_train_makes_a_pair_that_encodes_and_decodes(
    tmp_path: Path, digits: NDArray[np.uint8], options: list[str], qualities: int
) -> None:
    np.save(tmp_path / "digits.npy", digits)
    small = ["--epochs", "1", "--batch-size", "16", *options]
    train = ["train", "--images", "digits.npy", "--out", "out", *small]
    done = run(*train, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    chosen = "model article: no other is trained for distortion alone\n"
    assert done.stderr.decode().startswith(chosen) == ("--model" not in options)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "checkpoints",
        "digits.decoder.msgpack",
        "digits.encoder.msgpack",
        "metrics.jsonl",
        "preview.png",
    ]
    np.savez(tmp_path / "two.npz", digits[:2])
    evaluate = [
        "evaluate",
        "--images",
        "two.npz",
        "--json",
        "--no-formats",
        "--encoder",
        "out/digits.encoder.msgpack",
    ]
    done = run(*evaluate, "--decoder", "out/digits.decoder.msgpack", cwd=tmp_path)
    assert len(done.stdout.splitlines()) == qualities, done.stderr
    assert "made by the pair" in fails(1, *evaluate, cwd=tmp_path)
    assert "add --resume" in fails(1, *train, cwd=tmp_path)


def test_help_and_version_answer() -> None:
    assert b"encode" in run("--help").stdout
    assert run("--version").stdout.decode().strip() == f"split-codec {codec.__version__}"


def test_wrong_usage_is_status_2(folder: Path) -> None:
    assert "output" in fails(2, "encode", folder / "digits")
    fails(2, "encode", folder / "digits", "-o", "x", "--quality", "high")
    fails(2, "no-such-command")


def test_what_cannot_be_encoded_is_told(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.packet"
    assert "no such file or folder" in fails(1, "encode", "gone.png", "-o", target, cwd=tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "expected a folder of image files, found none" in fails(1, "encode", empty, "-o", target)
    (tmp_path / "text.png").write_text("not an image")
    assert "not an image file" in fails(1, "encode", tmp_path / "text.png", "-o", target)
    (tmp_path / "wide.png").write_bytes(png_bytes(np.zeros((28, 30, 1), np.uint8)))
    assert "wide.png: expected 28x28 pixels, the one size that the pair takes, found 28x30" in fails(
        1, "encode", tmp_path / "wide.png", "-o", target
    )
    (tmp_path / "red.png").write_bytes(png_bytes(np.zeros((28, 28, 3), np.uint8)))
    assert "red.png: expected 1 channel, which the pair takes, found 3; convert it to grey" in fails(
        1, "encode", tmp_path / "red.png", "-o", target
    )
    twice = folder / "digits" / "digit 1.png"
    assert "names that differ" in fails(2, "encode", twice, twice, "-o", target)
    assert "--compact: expected one image" in fails(2, "encode", folder / "digits", "-o", target, "--compact")
    assert "quality: expected 0 to 12" in fails(2, "encode", folder / "digits", "-o", target, "-q", "13")
    assert not target.exists()
    assert "cannot be written" in fails(1, "encode", twice, "-o", tmp_path / "no" / "x")


def test_images_that_cannot_be_encoded_are_listed_and_the_others_encoded(
    folder: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(folder / "digits", images)
    (images / "a text.png").write_text("not an image")  # before all others
    (images / "digit 1b.png").write_bytes((images / "digit 1.png").read_bytes()[:60])
    (images / "digit 2b.png").symlink_to("nowhere")
    (images / "digit 2c.png").mkdir()
    (images / "digit 3b.png").write_bytes(png_bytes(np.zeros((28, 28, 3), np.uint8)))
    (images / "digit 9.png").write_bytes(png_bytes(np.zeros((28, 30, 1), np.uint8)))
    done = run("encode", "images", "-o", "some.packet", "--quality", "3", cwd=tmp_path)
    *told, summary, last = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert [line.split(".png: ")[0] for line in told] == [
        "codec: images/a text",
        "codec: images/digit 1b",
        "codec: image images/digit 2b",
        "codec: image images/digit 2c",
        "codec: images/digit 3b",
        "codec: images/digit 9",
    ]
    assert summary.startswith("6 images, ")
    assert last == "codec: 6 of 12 images cannot be encoded; they are listed above"
    packet = (tmp_path / "some.packet").read_bytes()
    assert json.loads(run("inspect", tmp_path / "some.packet", "--json").stdout)["names"] == [
        f"digit {i}.png" for i in range(6)
    ]
    good = np.stack([read_image(folder / "digits" / f"digit {i}.png") for i in range(6)])
    expected = codec.decode(codec.encode(good, "mnist", quality=3), "mnist")
    np.testing.assert_array_equal(codec.decode(packet, "mnist"), expected)

    done = run("encode", "images", "-o", "-", "--no-names", cwd=tmp_path)
    assert done.returncode == 1
    numbers = [line.rpartition("; left out: the next image is number ")[2] for line in told_of(done)[:-2]]
    assert numbers == ["0", "2", "3", "3", "4", "6"]


def told_of(done: "subprocess.CompletedProcess[bytes]") -> list[str]:
    return done.stderr.decode().splitlines()


def test_where_no_image_can_be_encoded_all_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    for i in range(1500):
        (tmp_path / f"{i}.png").write_bytes(b"")
    (tmp_path / "x.packet").write_bytes(b"old")
    done = run("encode", ".", "-o", "x.packet", cwd=tmp_path)
    assert done.returncode == 1
    assert len(told_of(done)) == 1501
    assert told_of(done)[-1] == "codec: none of 1,500 images can be encoded; nothing is written"
    assert (tmp_path / "x.packet").read_bytes() == b"old"


def test_an_image_that_cannot_be_trained_or_measured_on_is_named(folder: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(folder / "digits", images)
    (images / "digit 3.png").write_bytes(b"")
    for command in (["train", "--out", str(tmp_path / "out")], ["evaluate"]):
        assert "digit 3.png: not an image file" in fails(1, *command, "--images", images)


def test_what_cannot_be_decoded_is_told(folder: Path, tmp_path: Path) -> None:
    packet = (folder / "six.packet").read_bytes()
    out = tmp_path / "out"
    assert "truncated" in fails(1, "decode", "-", "-o", out, stdin=packet[:-1])
    flipped = bytearray(packet)
    flipped[len(packet) // 2] ^= 1
    assert "check of the chunk" in fails(1, "decode", "-", "-o", out, stdin=bytes(flipped))
    assert "this is not a packet" in fails(1, "decode", "-", "-o", out, stdin=b"hello")
    assert "No such file" in fails(1, "decode", "gone.packet", "-o", out, cwd=tmp_path)
    assert "neither a file nor a shipped pair" in fails(1, "decode", "-", "-o", out, "--decoder", "gone")
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    assert "file" in fails(1, "decode", folder / "six.packet", "-o", blocked)


def test_two_images_of_one_name_do_not_overwrite_each_other(
    tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    packet = codec.encode(digits[:2], "mnist", names=["a.png", "a.jpg"])
    error = fails(1, "decode", "-", "-o", tmp_path / "out", stdin=packet)
    assert "two images are called a" in error


def test_what_cannot_be_inspected_or_evaluated_is_told(tmp_path: Path) -> None:
    mnist = str(Path(codec.__file__).parent / "shipped" / "mnist.encoder.msgpack")  # by its path, a user's
    assert "one of --dataset and --images" in fails(2, "evaluate", "--images", "")
    assert "expected a packet or a bundle" in fails(1, "inspect", "-", stdin=b"\0" * 40)
    assert "cannot be read" in fails(1, "inspect", tmp_path / "gone")
    assert "one of --dataset and --images" in fails(2, "evaluate", "--encoder", mnist)
    assert "--quality: expected all or 0 to 12" in fails(
        2, "evaluate", "--images", str(tmp_path), "--quality", "13"
    )


def test_what_cannot_be_trained_on_is_told(tmp_path: Path, digits: NDArray[np.uint8]) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert "one of --dataset and --images" in fails(2, "train", *out)
    assert "none it can open by this name" in fails(1, "train", "--dataset", "no_such_dataset", *out)
    np.save(tmp_path / "float.npy", np.zeros((3, 4, 4)))
    assert "expected uint8 images" in fails(1, "train", "--images", tmp_path / "float.npy", *out)
    np.save(tmp_path / "some.npy", digits)
    some = ["train", "--images", str(tmp_path / "some.npy"), *out]
    assert "lower --batch-size" in fails(1, *some, "--model", "dense")
    assert "layers: expected a whole number from 1 to 6, found -1" in fails(2, *some, "--layers", "-1")
    assert "loss: expected one of" in fails(2, *some, "--loss", "huber")
    assert "model: expected one of dense, residual, article, denoise" in fails(2, *some, "--model", "vae")
    for text in ("a:b", "1:2:3", "x,2", ""):
        assert "--lambda: expected LOW:HIGH or numbers" in fails(2, *some, "--lambda", text)
    assert "lambda: expected a range of positive numbers" in fails(2, *some, "--lambda", "5:2")
    assert "lambda: expected rising numbers" in fails(2, *some, "--lambda", "5,2")


def test_a_dataset_that_is_not_prepared_names_the_way_out(tmp_path: Path) -> None:
    environment = {**os.environ, "TFDS_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "codec", "evaluate", "--dataset", "mnist"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("codec: dataset mnist: not prepared in")
    assert "TFDS_DATA_DIR" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_strangers_bundle_cannot_write_to_the_terminal(
    tmp_path: Path, small_bundles: tuple[Bundle, Bundle]
) -> None:
    odd = replace(small_bundles[1], provenance={"name": "\x1b[31mred", "qualities": 3})
    (tmp_path / "odd.msgpack").write_bytes(write_bundle(odd))
    done = run("inspect", tmp_path / "odd.msgpack")
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    assert b"qualities" in done.stdout
