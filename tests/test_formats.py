"""The benchmarks of other formats: lossless is lossless, lossy gets better along its sweep, all is drawn."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("imagecodecs", reason="imagecodecs is not installed; run: pip install '.[bench]'")
pytest.importorskip("matplotlib", reason="matplotlib is not installed; run: pip install '.[bench]'")
pytest.importorskip("zstandard", reason="zstandard is not installed; run: pip install '.[bench]'")

from benchmarks import formats, rate_distortion
from benchmarks.formats import SHEETS, SINGLE, STREAMS, Codec, measure
from benchmarks.rate_distortion import Curve, curve, draw, format_curves, pair_curves, save, table

CODECS = {codec.name: codec for codec in (*SINGLE, *SHEETS, *STREAMS)}
LOSSLESS = [name for name, codec in CODECS.items() if codec.lossless]
LOSSY = [name for name, codec in CODECS.items() if not codec.lossless]


@pytest.fixture(scope="module")
def few(digits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A digit of each class, [10, 28, 28]."""
    return digits[::10, ..., 0]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_codecs_return_the_images(few: NDArray[np.uint8], name: str) -> None:
    codec = CODECS[name]
    for setting in codec.settings:
        result = measure(codec, few, setting)[0]  # raises if a pixel differs
        assert (result.psnr, result.images) == (None, 10)
        assert 50 < result.bytes_per_image < 28 * 28


def test_zstandard_with_a_dictionary_returns_the_images(digits: NDArray[np.uint8]) -> None:
    codec = formats.zstd_with_dictionary(digits[1::2, ..., 0], size=8192)
    assert measure(codec, digits[::10, ..., 0], 19)[0].psnr is None


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_codecs_get_better_along_their_settings(few: NDArray[np.uint8], name: str) -> None:
    codec = CODECS[name]
    chosen = codec.settings[:: max(1, len(codec.settings) // 4)]
    results = [measure(codec, few, setting)[0] for setting in chosen]
    sizes, psnrs = ([getattr(result, field) for result in results] for field in ("bytes_per_image", "psnr"))
    assert all(later > earlier - 0.3 for earlier, later in pairwise(psnrs))
    assert all(later > earlier - 1 for earlier, later in pairwise(sizes))
    assert psnrs[-1] > psnrs[0] + 5


def test_a_lossless_codec_that_is_not_is_refused(few: NDArray[np.uint8]) -> None:
    lying = Codec(
        "lying", "level", (1,), lambda pixels, _: pixels.tobytes(), lambda data: few[0] ^ 1, (), lossless=True
    )
    with pytest.raises(ValueError, match="lying: expected the same pixels back"):
        measure(lying, few, 1)


@pytest.mark.parametrize(("name", "part"), [("PNG", "IDAT alone"), ("AVIF", "AV1 data alone")])
def test_payloads_are_what_is_left_without_the_container(
    few: NDArray[np.uint8], name: str, part: str
) -> None:
    codec = CODECS[name]
    whole, payload = measure(codec, few[:2], codec.settings[0])
    assert payload.codec == f"{name}, {part}"
    assert 20 < payload.bytes_per_image < whole.bytes_per_image - 40


@pytest.mark.parametrize("count", [1, 2, 7, 9, 10])
def test_images_come_back_from_a_sheet(digits: NDArray[np.uint8], count: int) -> None:
    images = digits[:count, :, :20, 0]
    np.testing.assert_array_equal(formats.from_sheet(formats.sheet(images), images.shape), images)


def test_measuring_anew_replaces_a_codecs_lines_alone(few: NDArray[np.uint8]) -> None:
    lines = [json.dumps({"codec": name}) for name in ("another", "PNG", "PNG, IDAT alone", "QOI")]
    order = [name for codec in SINGLE for name in formats.names(codec)]
    merged = [json.loads(line) for line in formats.merged(lines, measure(CODECS["PNG"], few, 9), order)]
    assert [row["codec"] for row in merged] == ["PNG", "PNG, IDAT alone", "QOI", "another"]
    assert ["images" in row for row in merged] == [True, True, False, False]


def rows(codec: str, arrangement: str, points: list[tuple[float, float | None]]) -> list[dict[str, Any]]:
    return [
        {"codec": codec, "arrangement": arrangement, "bytes_per_image": size, "psnr": psnr}
        for size, psnr in points
    ]


SYNTHETIC = [
    *rows("JPEG", "each", [(200, 19), (400, 37)]),
    *rows("of tomorrow", "each", [(20, 22), (80, 32)]),
    *rows("PNG", "each", [(274, None)]),
    *rows("JPEG XL lossless", "each", [(203, None), (224, None)]),
    *rows("JPEG, one sheet", "sheet", [(30, 19), (200, 37)]),
    *rows("xz", "stream", [(135, None)]),
]


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pairs = [Curve(name, (30.0, 60.0, 90.0), (17.0, 25.0, 38.0)) for name in ("article", "mnist")]
    path = tmp_path / "curves.png"
    save(draw(SYNTHETIC, pairs), path)
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert min(image.size) >= 1000
    again = tmp_path / "again.png"
    save(draw(SYNTHETIC, pairs), again)
    assert again.read_bytes() == path.read_bytes()


def test_curves_are_read_as_the_results_say(tmp_path: Path) -> None:
    each = format_curves(SYNTHETIC, "each")
    assert [one.name for one in each] == ["JPEG", "of tomorrow", "PNG", "JPEG XL lossless"]
    assert each[0].bytes_at(28) == pytest.approx(300)
    assert each[0].bytes_at(18) is None
    assert each[3].bytes_per_image == (203,)
    assert pair_curves(tmp_path) == []
    (tmp_path / "mnist.jsonl").write_text(json.dumps({"bytes_per_image": 20.0, "psnr": 25.0}) + "\n")
    assert pair_curves(tmp_path) == [Curve("mnist", (20.0,), (25.0,))]
    assert table(each).splitlines()[2] == "| JPEG | 237.8 | 260.0 | 281.1 | 292.2 | 322.2 | 350.0 |  |"


def test_the_committed_results_are_of_the_codecs_there_are() -> None:
    found = rate_distortion.read_lines(formats.RESULTS)
    named = {name for codec in CODECS.values() for name in formats.names(codec)} | {"zstd + dictionary"}
    assert {row["codec"] for row in found} == named
    assert {row["images"] for row in found} <= {2000, 10000}
    assert curve("PNG", [row for row in found if row["codec"] == "PNG"]).bytes_at(30) is None
