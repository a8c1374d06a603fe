"""The benchmarks' harness: honest codecs are measured as they are, and those that cheat are caught."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("bjontegaard", reason="bjontegaard is not installed; run: pip install '.[bench]'")
pytest.importorskip("imagecodecs", reason="imagecodecs is not installed; run: pip install '.[bench]'")
pytest.importorskip("skimage", reason="scikit-image is not installed; run: pip install '.[bench]'")
pytest.importorskip("zstandard", reason="zstandard is not installed; run: pip install '.[bench]'")

from benchmarks.codecs import Codec, Pixels, from_sheet, sheet
from benchmarks.harness import Row, distortion, measure, rate, unseen
from benchmarks.linear import principal_components
from benchmarks.machine import machine
from benchmarks.pairs import float_codes, pair_codecs
from benchmarks.rate import bjontegaard_rows
from codec.evaluation import pixel_errors, psnr

FEW = 12


@pytest.fixture(scope="module")
def few(digits: NDArray[np.uint8]) -> Pixels:
    """[12, 28, 28]."""
    return digits[::9, ..., 0][:FEW]


def as_it_is(pixels: Pixels, setting: float) -> bytes:
    return pixels.tobytes()


def read(data: bytes) -> Pixels:
    return np.frombuffer(data, np.uint8)


HONEST = Codec("raw", "none", (0.0,), as_it_is, read, lossless=True)


def rows_of(codec: Codec, images: Pixels) -> list[Row]:
    return [row for result in measure(codec, images) for row in result.rows]


def test_an_honest_codec_gets_its_own_figures(few: Pixels) -> None:
    (row,) = rows_of(HONEST, few)
    assert (row.bytes_per_image, row.bits_per_pixel, row.mse, row.mae) == (784, 8, 0, 0)
    assert (row.psnr, row.worst_psnr, row.error, row.images) == (None, None, None, FEW)
    assert row.ssim == 1


def coarse(pixels: Pixels, step: float) -> bytes:
    return bytes((pixels // step * step).astype(np.uint8).tobytes())


def test_distortion_is_of_what_came_out(few: Pixels) -> None:
    (row,) = rows_of(Codec("coarse", "step", (32.0,), coarse, read), few)
    expected = (few // 32 * 32).astype(np.uint8)
    squared, absolute = pixel_errors(few, expected)
    assert (row.mse, row.mae, row.psnr) == (squared, absolute, psnr(squared))
    worst = max(
        float(((a.astype(float) - b) ** 2).mean()) / 255**2 for a, b in zip(few, expected, strict=True)
    )
    assert row.worst_psnr == pytest.approx(psnr(worst))
    assert (row.worst_psnr or 0) < psnr(squared)
    assert row.ssim is not None
    assert 0.5 < row.ssim < 1


# Those that cheat.

_hidden: list[Pixels] = []


def hide(pixels: Pixels, setting: float) -> bytes:
    """Keeps the pixels where only this process can find them."""
    _hidden.append(pixels)
    return b"\0"


def find(data: bytes) -> Pixels:
    return _hidden.pop(0)


def test_a_codec_that_returns_the_input_without_sending_it_is_caught(few: Pixels) -> None:
    (row,) = rows_of(Codec("hides", "none", (0.0,), hide, find), few)
    assert len(_hidden) == FEW
    assert row.error is not None
    assert "decoding failed: IndexError" in row.error
    assert row.bytes_per_image is None


class _Short(bytes):
    """Says that it is one byte long."""

    def __len__(self) -> int:
        return 1


def lie(pixels: Pixels, setting: float) -> bytes:
    return _Short(pixels.tobytes())


def test_a_codec_that_reports_fewer_bytes_than_it_wrote_is_caught(few: Pixels) -> None:
    assert len(lie(few[0], 0)) == 1
    (row,) = rows_of(Codec("lies", "none", (0.0,), lie, read, lossless=True), few)
    assert row.bytes_per_image == 784


def lose(data: bytes) -> Pixels:
    return np.frombuffer(data, np.uint8) ^ np.uint8(1)


def test_a_lossless_codec_that_is_not_is_caught(few: Pixels) -> None:
    (row,) = rows_of(replace(HONEST, name="loses", decode=lose), few)
    assert row.error is not None
    assert "expected the same pixels back" in row.error
    assert row.bytes_per_image is None


def short(data: bytes) -> Pixels:
    return np.frombuffer(data, np.uint8)[:-1]


def text(pixels: Pixels, setting: float) -> Any:
    return "no bytes"


def fail(pixels: Pixels, setting: float) -> bytes:
    raise RuntimeError("cannot encode this")


def fail_at_two(pixels: Pixels, setting: float) -> bytes:
    return fail(pixels, setting) if setting == 2 else pixels.tobytes()


@pytest.mark.parametrize(
    ("codec", "reason"),
    [
        (replace(HONEST, decode=short), "decoding failed: ValueError"),
        (replace(HONEST, encode=text), "bytes-like object"),
        (replace(HONEST, encode=fail), "cannot encode this"),
        (replace(HONEST, decode=lambda data: read(data)), "cannot be given to another process"),
    ],
    ids=["too little", "no bytes", "cannot encode", "a function of this process alone"],
)
def test_a_failure_is_a_row_that_says_why(few: Pixels, codec: Codec, reason: str) -> None:
    (row,) = rows_of(codec, few)
    assert row.error is not None
    assert reason in row.error
    assert (row.psnr, row.mse, row.bytes_per_image) == (None, None, None)


def test_one_setting_that_fails_leaves_the_others(few: Pixels) -> None:
    rows = rows_of(replace(HONEST, settings=(1.0, 2.0, 3.0), encode=fail_at_two), few)
    assert [row.error is None for row in rows] == [True, False, True]


def test_no_image_of_the_training_set_is_measured(few: Pixels) -> None:
    unseen(few[:3], few[3:])
    with pytest.raises(ValueError, match="found image 2 in the training set"):
        unseen(few[:3], few[2:])


@pytest.mark.parametrize("count", [1, 2, 7, 9, 10])
def test_images_come_back_from_a_sheet(digits: NDArray[np.uint8], count: int) -> None:
    images = digits[:count, :, :20, 0]
    np.testing.assert_array_equal(from_sheet(sheet(images), images.shape), images)
    coloured = np.stack([images, images // 2, 255 - images], -1)
    assert sheet(coloured).shape == (*sheet(images).shape, 3)
    np.testing.assert_array_equal(from_sheet(sheet(coloured), coloured.shape), coloured)


def test_bits_a_pixel_and_the_worst_image_are_counted_over_colours_too(few: Pixels) -> None:
    coloured = np.stack([few, few // 2, 255 - few], -1)
    assert rate(coloured, 3 * few.size) == {"bytes_per_image": 3 * 784, "bits_per_pixel": 24}
    wrong = coloured.copy()
    wrong[2, ..., 1] ^= 16
    found = distortion(coloured, wrong)
    assert found["worst_psnr"] == pytest.approx(psnr(16**2 / 3 / 255**2))
    assert found["psnr"] == pytest.approx(psnr(16**2 / 3 / FEW / 255**2))
    assert 0 < found["ssim"] < 1


# The codecs that are not image formats.


def test_pairs_are_measured_by_real_packets(few: Pixels) -> None:
    packet, single = pair_codecs("mnist")
    packet, single = replace(packet, settings=(3.0, 9.0)), replace(single, settings=(3.0, 9.0))
    together, apart = rows_of(packet, few), rows_of(single, few)
    assert [row.error for row in together + apart] == [None] * 4
    assert [row.psnr for row in together] == sorted(row.psnr or 0 for row in together)
    for one, other in zip(together, apart, strict=True):
        assert one.psnr == pytest.approx(other.psnr, abs=0.01)
        assert 0 < (other.bytes_per_image or 0) - (one.bytes_per_image or 0) < 14
    (codes,) = rows_of(float_codes("article"), few)
    assert codes.bytes_per_image == 6272
    assert (codes.psnr or 0) > 28


def test_principal_components_lose_less_with_smaller_steps(digits: NDArray[np.uint8], few: Pixels) -> None:
    codec = principal_components(np.delete(digits[..., 0], np.arange(0, 100, 9), 0), (2.0, 0.25))
    rows = rows_of(codec, few)
    assert [row.error for row in rows] == [None, None]
    assert (rows[0].psnr or 0) + 2 < (rows[1].psnr or 0)  # of 88 digits it knows, no more
    assert (rows[0].bytes_per_image or 0) < (rows[1].bytes_per_image or 0)


def point(codec: str, kind: str, arrangement: str, size: float, psnr: float) -> dict[str, Any]:
    where = {"codec": codec, "kind": kind, "arrangement": arrangement}
    return {**where, "bytes_per_image": size, "psnr": psnr, "error": None}


def test_bjontegaard_differences_are_of_the_rate() -> None:
    levels = [20.0, 24, 28, 32]
    rows = [point("ours", "pair", "packet", 10 * 1.1**db, db) for db in levels]
    rows += [point("twice", "format", "each", 20 * 1.1**db, db) for db in levels]
    rows += [point("none in common", "format", "each", db, db + 50) for db in levels]
    rows += [point("few", "learned", "each", 5, db) for db in levels[:2]]
    rows += [{**point("failed", "format", "each", 5, 20), "error": "it failed", "psnr": None}]
    rows += [point("twice", "format", "each", 900, 25)]  # worse than its neighbours: no part of the curve
    found = {row["codec"]: row for row in bjontegaard_rows(rows)}
    assert set(found) == {"twice", "none in common", "few"}
    assert found["twice"]["rate_difference_percent"] == pytest.approx(-50)
    assert (found["twice"]["low_db"], found["twice"]["high_db"]) == (20, 32)
    assert "too few" in found["few"]["error"]
    assert "no PSNR in common" in found["none in common"]["error"]


def test_the_machine_is_told_with_versions(tmp_path: Path) -> None:
    told = machine()
    assert told["cores"] >= 1
    assert told["versions"]["numpy"] == np.__version__
    assert "imagecodecs/libjxl" in told["versions"]
